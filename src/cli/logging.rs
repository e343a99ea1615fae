//! The log: to stderr, as text or JSON, as much as `-v` and `-q` ask for. And traces, once it is known who collects
//! them.

use std::io;
use std::sync::OnceLock;

use opentelemetry_sdk::trace::SdkTracer;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt as _, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, reload};

use crate::cli::arguments::{Command, Common, LogFormat};
use crate::cli::progress::Bar;
use crate::reconcile::turn::APPLIED;

type Collecting = Option<Box<dyn Layer<Registry> + Send + Sync>>;

/// Where traces begin to be collected.
static COLLECTING: OnceLock<reload::Handle<Collecting, Registry>> = OnceLock::new();

/// Has what is done from now on traced. Of names from outside, those of customers alone are in it.
pub fn trace(tracer: SdkTracer) {
    let layer = tracing_opentelemetry::layer()
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_tracer(tracer);
    if let Some(collecting) = COLLECTING.get() {
        // Fails only where the log is gone.
        let _ = collecting.reload(Some(layer.boxed()));
    }
}

/// Starts the log, once a process. A controller tells what it does; other commands have results
/// to tell it.
pub fn start(common: &Common, command: &Command, coloured: bool, bar: &Bar) {
    let controller = matches!(command, Command::Run(arguments) if !arguments.once);
    // Where each record ends belongs into the log of whoever writes, also of one that tells nothing else.
    let applied = if common.quiet { LevelFilter::ERROR } else { LevelFilter::INFO };
    let usual = if controller { LevelFilter::INFO } else { LevelFilter::WARN };
    let ours = match (common.quiet, common.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => usual,
        (false, 1) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    // Libraries tell their own troubles only to who asks for everything: what matters to a person
    // comes back as an error and is told once.
    let theirs = if common.verbose > 1 { LevelFilter::DEBUG } else { LevelFilter::ERROR };
    let filter = Targets::new()
        .with_target("intake", ours)
        .with_target(APPLIED, applied.max(ours))
        .with_default(theirs.min(ours))
        // Spans are for traces: a line of the log says all of it itself.
        .and(filter_fn(|metadata| metadata.is_event()));
    let writer = Beside { bar: bar.clone() };
    let (collecting, handle) = reload::Layer::new(None);
    let is_ours = |target: &str| target == "intake" || target.starts_with("intake::");
    let spans = filter_fn(move |metadata| metadata.is_span() && is_ours(metadata.target()));
    let registry = tracing_subscriber::registry().with(collecting.with_filter(spans));
    let _ = COLLECTING.set(handle);
    // A second start, as tests do, changes nothing.
    let _ = match common.log_format {
        LogFormat::Text => {
            let layer = tracing_subscriber::fmt::layer()
                .with_writer(writer)
                .with_ansi(coloured)
                .with_target(false)
                .with_filter(filter);
            registry.with(layer).try_init()
        }
        LogFormat::Json => {
            let layer = tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(writer)
                .with_filter(filter);
            registry.with(layer).try_init()
        }
    };
}

/// Writes log lines beside the progress line.
struct Beside {
    bar: Bar,
}

/// Collects one line of the log and writes it whole.
struct Line {
    bar: Bar,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Beside {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { bar: self.bar.clone(), text: Vec::with_capacity(256) }
    }
}

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.bar.write_err(&self.text);
        }
    }
}
