//! The time of day, as an argument.

use jiff::Timestamp;

/// Tells the time. Nothing below the shell reads a clock of its own.
pub trait Clock: Send + Sync {
    /// Returns the present moment.
    fn now(&self) -> Timestamp;
}
