//! The log: to stderr, as text or JSON, as much as `-v` and `-q` ask for.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::arguments::{Command, Common, LogFormat};
use crate::cli::progress::Bar;

/// Starts the log, once a process. A controller tells what it does; other commands have results
/// to tell it.
pub fn start(common: &Common, command: &Command, coloured: bool, bar: &Bar) {
    let controller = matches!(command, Command::Run(arguments) if !arguments.once);
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
    let filter = Targets::new().with_target("intake", ours).with_default(theirs.min(ours));
    let writer = Beside { bar: bar.clone() };
    let registry = tracing_subscriber::registry();
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
