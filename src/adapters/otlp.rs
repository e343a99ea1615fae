//! Traces by OTLP over HTTP (the OpenTelemetry protocol, 1.x, in its binary form): what took how long, for whoever
//! collects it. Their going never holds anything up.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use url::Url;

use crate::adapters::http::{self, HttpClient};
use crate::adapters::http_secret::ReadSecret;

/// How long one delivery may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long what is left may take when the program ends.
const FAREWELL: Duration = Duration::from_secs(3);
/// How large an answer may be, in bytes.
const LARGEST: usize = 1 << 20;

/// Sends traces to one collector.
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Makes it; asks nobody. Needs a runtime. An address without a path is completed as OTLP says it:
    /// `/v1/traces`.
    ///
    /// # Errors
    /// An address that is none, or a library that does not start.
    pub fn open(url: &str, token: Option<ReadSecret>, client: HttpClient) -> Result<Self, String> {
        let mut url = Url::parse(url).map_err(|error| format!("the address of the collector: {error}"))?;
        if url.path() == "/" {
            url.set_path("/v1/traces");
        }
        let sender = Sender { client, url: url.clone(), token, runtime: Handle::current() };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(sender)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url.as_str())
            .with_timeout(PATIENCE)
            .build()
            .map_err(|error| format!("traces cannot be sent: {error}"))?;
        let resource = Resource::builder_empty()
            .with_service_name("intake")
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        Ok(Self { provider })
    }

    /// Returns what spans are handed to.
    pub fn tracer(&self) -> SdkTracer {
        self.provider.tracer("intake")
    }

    /// Sends what is left, for some seconds. Blocks.
    pub fn close(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FAREWELL) {
            tracing::debug!("the last traces were not sent: {error}");
        }
    }
}

/// Sends what the library made, by the client that everything here is sent by: it knows proxies, roots and
/// times. From the library's own thread, so the work is done on the runtime.
struct Sender {
    client: HttpClient,
    url: Url,
    token: Option<ReadSecret>,
    runtime: Handle,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sender").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

#[async_trait]
impl opentelemetry_http::HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let content = request.into_body().to_vec();
        let mut request = http::Request::post(self.url.clone(), "application/x-protobuf", content);
        if let Some(token) = &self.token {
            request = request.bearer(&token()?);
        }
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move { client.send(&request, PATIENCE, LARGEST).await });
        let answer = sending.await?.map_err(|failed| {
            tracing::debug!("traces were not taken: {}", failed.fault.with_hint());
            failed.fault.what
        })?;
        if !answer.is_success() {
            tracing::debug!("traces were not taken: {}", answer.refused(None).fault.with_hint());
        }
        let mut response = Response::new(Bytes::from(answer.body.clone()));
        *response.status_mut() = answer.status.try_into()?;
        Ok(response)
    }
}
