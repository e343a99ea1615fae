//! Times as people type them: a moment, or all of the second or day that they write.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// A time that was typed: as much of it as was written. What begins there begins with `first`, what ends
/// there ends with `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// Its first moment.
    pub first: Timestamp,
    /// Its last moment, to the microsecond.
    pub last: Timestamp,
}

/// Why text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWhen {
    /// It is of another form.
    #[error(
        "not a time: write a date (2026-11-22, the whole day in UTC) or a time with its zone \
         (2026-11-22T09:30:00Z, 2026-11-22T10:30:00+01:00)"
    )]
    Form,
    /// It may be the time of any zone.
    #[error("whose time? add the zone: `Z` for UTC, or how far it is ahead, as in `+01:00`")]
    Zone,
}

impl FromStr for When {
    type Err = InvalidWhen;

    /// Reads a date, or a time as RFC 3339 has it; a blank may stand for the `T`, as in what `history`
    /// prints.
    fn from_str(text: &str) -> Result<Self, InvalidWhen> {
        if let Some(when) = day(text) {
            return Ok(when);
        }
        match text.parse::<Timestamp>() {
            Ok(first) => {
                Ok(Self { first, last: if text.contains('.') { first } else { end_of_second(first) } })
            }
            Err(_) if text.parse::<DateTime>().is_ok() => Err(InvalidWhen::Zone),
            Err(_) => Err(InvalidWhen::Form),
        }
    }
}

/// Reads a date alone: ten characters, as a date and a time would be read as that day otherwise.
fn day(text: &str) -> Option<When> {
    let date = (text.len() == "2026-11-22".len()).then(|| text.parse::<Date>().ok())??;
    let begin = |date: Date| Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp());
    let next = begin(date.tomorrow().ok()?)?;
    Some(When { first: begin(date)?, last: Timestamp::from_microsecond(next.as_microsecond() - 1).ok()? })
}

/// What is printed to the second happened within that second.
fn end_of_second(first: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(first.as_microsecond().saturating_add(999_999)).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(text: &str) -> (String, String) {
        let when: When = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        (when.first.to_string(), when.last.to_string())
    }

    fn pair(first: &str, last: &str) -> (String, String) {
        (first.to_owned(), last.to_owned())
    }

    #[test]
    fn a_time_is_all_that_is_written_of_it() {
        let day = pair("2026-11-22T00:00:00Z", "2026-11-22T23:59:59.999999Z");
        assert_eq!(when("2026-11-22"), day);
        let second = pair("2026-11-22T09:30:00Z", "2026-11-22T09:30:00.999999Z");
        for text in [
            "2026-11-22T09:30:00Z",
            "2026-11-22t09:30:00z",
            "2026-11-22T10:30:00+01:00",
            "2026-11-22 09:30:00Z",
        ] {
            assert_eq!(when(text), second, "{text}");
        }
        let moment = "2026-11-22T09:30:00.25Z";
        assert_eq!(when(moment), pair(moment, moment));
    }

    #[test]
    fn another_form_is_an_error_that_says_what_is_wanted() {
        for text in
            ["", "yesterday", "22.11.2026", "2026-13-01", "2026-11-31", "2026-11", "1763800000", "12:00"]
        {
            assert_eq!(text.parse::<When>(), Err(InvalidWhen::Form), "{text}");
        }
        for text in ["2026-11-22T09:30:00", "2026-11-22 09:30"] {
            assert_eq!(text.parse::<When>(), Err(InvalidWhen::Zone), "{text}");
        }
    }
}
