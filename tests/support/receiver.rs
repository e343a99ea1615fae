//! A receiver of notifications on loopback, which remembers what it was told.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;

/// The receiver; ends when dropped.
pub struct Receiver {
    address: SocketAddr,
    told: Arc<Mutex<Vec<Value>>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Receiver {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket for tokio");
        let address = listener.local_addr().expect("an address");
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let take = move |body: Bytes| async move {
            let event: Value = match serde_json::from_slice(&body) {
                Ok(event) => event,
                Err(_) => return StatusCode::BAD_REQUEST,
            };
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            StatusCode::NO_CONTENT
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let router = Router::new().route("/events", post(take));
            axum::serve(listener, router).await.expect("served");
        });
        Self { address, told, runtime: Some(runtime) }
    }

    /// Returns the lines of an operator's file that have it told of these occasions.
    pub fn notify(&self, on: &str) -> String {
        format!("notify: [{{webhook: {{url: \"http://{}/events\"}}, on: [{on}]}}]\n", self.address)
    }

    /// Returns everything it was told, in order.
    pub fn told(&self) -> Vec<Value> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}
