//! How long a process takes, and what it takes of the machine: for benchmarks.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a process took.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// From its start to its end.
    pub time: Duration,
    /// Of one core, user and system together.
    pub busy: Duration,
    /// The most memory that it held, in kB.
    pub peak: u64,
}

impl Measured {
    /// How much of one core it took, in percent.
    pub fn of_a_core(&self) -> f64 {
        100.0 * self.busy.as_secs_f64() / self.time.as_secs_f64()
    }
}

/// Runs a command to its end, and looks at it meanwhile.
pub fn measure(command: &mut Command) -> Measured {
    measure_and(command, |_, _| {})
}

/// The same, with a look of the caller's own every few milliseconds.
pub fn measure_and(command: &mut Command, mut look: impl FnMut(&Child, Measured)) -> Measured {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (mut peak, mut busy) = (0, Duration::ZERO);
    // Both only rise, and are gone with the process: the last look counts.
    loop {
        let of =
            |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap_or_default();
        let mark = of("status").lines().find_map(|line| line.strip_prefix("VmHWM:").map(str::to_owned));
        if let Some(mark) = mark {
            peak = mark.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        }
        busy = busy.max(busy_time(&of("stat")));
        look(&child, Measured { time: started.elapsed(), busy, peak });
        if let Some(status) = child.try_wait().expect("a process") {
            assert!(status.success(), "{command:?} failed: {status}");
            return Measured { time: started.elapsed(), busy, peak };
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Reads utime and stime of `/proc/PID/stat` (proc(5)): fields 14 and 15, in hundredths of a second.
fn busy_time(stat: &str) -> Duration {
    let Some((_, fields)) = stat.rsplit_once(") ") else { return Duration::ZERO };
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks: u64 = [11, 12]
        .iter()
        .filter_map(|index| fields.get(*index))
        .filter_map(|text| text.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// The one in the middle.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
