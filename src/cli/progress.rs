//! How far reading is, on a terminal only.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::ports::source::Progress;

/// One line at the bottom of the terminal: customers read, objects read. Whatever else goes to
/// stderr goes through it, so that neither tears the other apart.
#[derive(Clone)]
pub struct Bar {
    bar: ProgressBar,
    objects: Arc<AtomicUsize>,
    /// Whether it may be shown at all.
    wanted: bool,
}

impl Bar {
    /// Makes one that is shown only where stderr is a terminal and `wanted`.
    pub fn new(wanted: bool) -> Self {
        // Until there is something to count it is hidden: a log line written beside a line that is
        // shown would draw it.
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} customers, {msg}") {
            bar.set_style(style);
        }
        Self { bar, objects: Arc::default(), wanted: wanted && io::stderr().is_terminal() }
    }

    /// Shows that reading so many customers begins.
    pub fn begin(&self, customers: usize) {
        self.objects.store(0, Ordering::Relaxed);
        self.bar.reset();
        self.bar.set_length(u64::try_from(customers).unwrap_or(u64::MAX));
        self.bar.set_message("0 objects");
        if self.wanted && customers > 0 {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(Duration::from_millis(120));
        }
    }

    /// Shows that one more customer is done.
    pub fn customer_done(&self) {
        self.bar.inc(1);
    }

    /// Takes the line away.
    pub fn end(&self) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// Returns who listens to the reading of one customer.
    pub fn customer(&self) -> Arc<dyn Progress> {
        Arc::new(CustomerProgress { bar: self.clone(), read: AtomicUsize::new(0) })
    }

    /// Writes to stderr beside the line. What cannot be written there cannot be told anywhere.
    pub fn write_err(&self, text: &[u8]) {
        self.bar.suspend(|| {
            let mut stderr = io::stderr().lock();
            let _ = stderr.write_all(text).and_then(|()| stderr.flush());
        });
    }
}

/// One customer's part of the line.
struct CustomerProgress {
    bar: Bar,
    read: AtomicUsize,
}

impl Progress for CustomerProgress {
    fn read(&self, objects: usize) {
        let more = objects.saturating_sub(self.read.swap(objects, Ordering::Relaxed));
        let all = self.bar.objects.fetch_add(more, Ordering::Relaxed) + more;
        let all = u64::try_from(all).unwrap_or(u64::MAX);
        self.bar.bar.set_message(format!("{} objects", HumanCount(all)));
    }
}
