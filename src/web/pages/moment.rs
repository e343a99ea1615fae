//! Times as pages show them: when it was in UTC, and how long that is ago.

use askama::Template;
use jiff::Timestamp;

/// A time on a page.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/moment.html")]
pub struct Moment {
    /// For programs.
    iso: String,
    /// For people, to the minute.
    absolute: String,
    /// How long ago, or how far away.
    age: String,
}

impl askama::filters::HtmlSafe for Moment {}

impl Moment {
    /// Shows a time as of another one.
    pub fn of(at: Timestamp, now: Timestamp) -> Self {
        Self {
            iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            absolute: at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            age: age(at, now),
        }
    }
}

/// Says how long ago a time is, or how far away.
pub fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs();
    let words = span(seconds.unsigned_abs());
    match seconds {
        -5..=5 => "just now".to_owned(),
        6.. => format!("{words} ago"),
        _ => format!("in {words}"),
    }
}

/// Says how long a time is, in its largest unit.
pub fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..=89 => (seconds, "second"),
        90..=5_399 => ((seconds + 30) / 60, "minute"),
        5_400..=129_599 => ((seconds + 1_800) / 3_600, "hour"),
        _ => ((seconds + 43_200) / 86_400, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        let now = Timestamp::from_second(10_000_000).expect("a time");
        let at = |seconds: i64| age(Timestamp::from_second(10_000_000 - seconds).expect("a time"), now);
        for (seconds, expected) in [
            (0, "just now"),
            (30, "30 seconds ago"),
            (120, "2 minutes ago"),
            (5_399, "90 minutes ago"),
            (7_200, "2 hours ago"),
            (86_400 * 3, "3 days ago"),
            (-180, "in 3 minutes"),
        ] {
            assert_eq!(at(seconds), expected, "{seconds}");
        }
    }
}
