//! How many accounts there were on each of the last days, as a line, with words for whoever does not see it.

use std::fmt::Write as _;

use askama::Template;
use jiff::Timestamp;

use crate::web::fleet::day_of;
use crate::web::pages::word::{counted, number};

const SECONDS_A_DAY: i64 = 86_400;

/// A line without axes, as high as a line of text.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/spark.html")]
pub struct Spark {
    line: String,
    area: String,
    words: String,
}

impl askama::filters::HtmlSafe for Spark {}

/// A line with its days and numbers.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/plot.html")]
pub struct Plot {
    line: String,
    area: String,
    words: String,
    high: String,
    low: String,
    first: String,
    last: String,
    /// The days, the last one first, each with its number and by how much that is more than the day before.
    days: Vec<(String, String, String)>,
}

impl askama::filters::HtmlSafe for Plot {}

impl Spark {
    /// Draws numbers of days, the oldest first.
    pub fn of(series: &[u64]) -> Self {
        let (line, area) = paths(series, 120.0, 28.0);
        Self { line, area, words: words(series) }
    }
}

impl Plot {
    /// Draws numbers of days, the oldest first and today's last.
    pub fn of(series: &[u64], now: Timestamp) -> Self {
        let (line, area) = paths(series, 720.0, 160.0);
        let day = |back: usize| {
            let back = i64::try_from(back).unwrap_or(0);
            Timestamp::from_second((day_of(now) - back) * SECONDS_A_DAY)
                .map(|at| at.strftime("%Y-%m-%d").to_string())
                .unwrap_or_default()
        };
        let count = series.len();
        let days = series.iter().enumerate().rev().map(|(place, value)| {
            let change = match place.checked_sub(1).map(|before| series[before]) {
                Some(before) if before < *value => format!("+{}", number(value - before)),
                Some(before) if before > *value => format!("−{}", number(before - value)),
                _ => "0".to_owned(),
            };
            (day(count - 1 - place), number(*value), change)
        });
        Self {
            words: words(series),
            high: number(series.iter().copied().max().unwrap_or(0)),
            low: number(series.iter().copied().min().unwrap_or(0)),
            first: day(count.saturating_sub(1)),
            last: day(0),
            days: days.collect(),
            line,
            area,
        }
    }
}

fn words(series: &[u64]) -> String {
    let (Some(first), Some(last)) = (series.first(), series.last()) else {
        return "no numbers yet".to_owned();
    };
    let days = series.len();
    if series.iter().all(|value| value == first) {
        return format!("{} on each of the last {days} days", counted(*first, "account", "accounts"));
    }
    let high = series.iter().max().copied().unwrap_or(0);
    let low = series.iter().min().copied().unwrap_or(0);
    format!(
        "the last {days} days: from {} to {}, between {} and {}",
        number(*first),
        counted(*last, "account", "accounts"),
        number(low),
        number(high)
    )
}

/// Returns the line and what is below it, in a picture of this size.
fn paths(series: &[u64], width: f64, height: f64) -> (String, String) {
    let high = series.iter().copied().max().unwrap_or(0);
    let low = series.iter().copied().min().unwrap_or(0);
    let pad = 3.0;
    // A few accounts more must not look like a landslide: the picture spans a tenth of the number at least.
    let span = ((high - low) as f64).max(high as f64 / 10.0).max(1.0);
    let middle = f64::midpoint(high as f64, low as f64);
    let steps = series.len().saturating_sub(1).max(1) as f64;
    let mut line = String::new();
    for (place, value) in series.iter().enumerate() {
        let x = place as f64 / steps * width;
        let y = if high == 0 {
            height - pad
        } else {
            height / 2.0 - (*value as f64 - middle) / span * (height - 2.0 * pad)
        };
        let _ = write!(line, "{}{x:.1} {y:.1}", if place == 0 { "M" } else { "L" });
    }
    let area =
        if line.is_empty() { String::new() } else { format!("{line}L{width:.1} {height:.1}L0 {height:.1}Z") };
    (line, area)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_within_its_picture_and_has_words() {
        for series in [vec![0; 30], vec![5; 30], (0..30).collect(), vec![u64::MAX, 0, 3], vec![7]] {
            let (line, _) = paths(&series, 120.0, 28.0);
            let numbers = line.split(['M', 'L', ' ']).filter(|part| !part.is_empty());
            let numbers: Vec<f64> = numbers.map(|part| part.parse().expect("a number")).collect();
            assert_eq!(numbers.len(), series.len() * 2, "{line}");
            assert!(
                numbers
                    .chunks(2)
                    .all(|point| (0.0..=120.0).contains(&point[0]) && (0.0..=28.0).contains(&point[1])),
                "{series:?}: {line}"
            );
        }
        assert_eq!(words(&[2, 3, 1]), "the last 3 days: from 2 to 1 account, between 1 and 3");
        assert_eq!(words(&[4, 4]), "4 accounts on each of the last 2 days");
    }
}
