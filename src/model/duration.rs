//! Durations as people write them: `30s`, `15m`, `3h`, `7d`.

use std::fmt;
use std::str::FromStr;

/// A whole number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Seconds(pub u64);

/// Why text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a duration: write a whole number and one of s, m, h, d, as in `30s`, `15m`, `3h` or `7d`")]
pub struct InvalidDuration;

impl Seconds {
    /// Returns the standard library's form.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.0)
    }

    /// Returns the moment that lies this long before another.
    pub fn before(self, moment: jiff::Timestamp) -> jiff::Timestamp {
        moment.checked_sub(self.to_std()).unwrap_or(jiff::Timestamp::MIN)
    }

    /// Returns the moment that lies this long after another.
    pub fn after(self, moment: jiff::Timestamp) -> jiff::Timestamp {
        moment.checked_add(self.to_std()).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl FromStr for Seconds {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(InvalidDuration)?;
        let scale: u64 = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(InvalidDuration),
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidDuration);
        }
        let number: u64 = number.parse().map_err(|_| InvalidDuration)?;
        number.checked_mul(scale).map(Self).ok_or(InvalidDuration)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => formatter.write_str("0s"),
            seconds if seconds % 86_400 == 0 => write!(formatter, "{}d", seconds / 86_400),
            seconds if seconds % 3_600 == 0 => write!(formatter, "{}h", seconds / 3_600),
            seconds if seconds % 60 == 0 => write!(formatter, "{}m", seconds / 60),
            seconds => write!(formatter, "{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["0s", "30s", "15m", "3h", "7d"] {
            assert_eq!(text.parse::<Seconds>().expect("a duration").to_string(), text);
        }
        assert_eq!("24h".parse(), Ok(Seconds(86_400)));
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "h", "3", "3 h", "-3h", "1.5h", "3H", "99999999999999999999d", "3ü"] {
            assert_eq!(text.parse::<Seconds>(), Err(InvalidDuration), "{text}");
        }
    }
}
