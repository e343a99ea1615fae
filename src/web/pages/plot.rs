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
    /// The numbers at the edge, each with how far down the picture it is, in percent.
    scale: Vec<(String, String)>,
    /// The lines that lead from them, over the picture.
    grid: String,
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
        let (line, area) = paths(series, WIDTH, HEIGHT);
        let (scale, grid) = scale(series);
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
            scale,
            grid,
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

/// The size of a plot's picture.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 160.0;
/// How far numbers of a scale are apart at the least, so that none stands on another.
const APART: f64 = 20.0;

/// Returns the highest and the lowest number, each with its place in a plot, and lines there; one for both where they
/// are too near to each other.
fn scale(series: &[u64]) -> (Vec<(String, String)>, String) {
    let (Some(high), Some(low)) = (series.iter().max(), series.iter().min()) else {
        return Default::default();
    };
    let place = place_of(series, HEIGHT);
    let at = |y: f64, words: String| (format!("{:.1}%", y / HEIGHT * 100.0), words);
    let (above, below) = (place(*high), place(*low));
    let line = |y: f64| format!("M0 {y:.1}H{WIDTH}");
    if high == low {
        (vec![at(above, number(*high))], line(above))
    } else if below - above < APART {
        let words = format!("{}–{}", number(*low), number(*high));
        (vec![at(f64::midpoint(above, below), words)], line(above) + &line(below))
    } else {
        (vec![at(above, number(*high)), at(below, number(*low))], line(above) + &line(below))
    }
}

/// Returns what tells how far down a picture of this height a number is.
fn place_of(series: &[u64], height: f64) -> impl Fn(u64) -> f64 {
    let high = series.iter().copied().max().unwrap_or(0);
    let low = series.iter().copied().min().unwrap_or(0);
    let pad = 3.0;
    // A few accounts more must not look like a landslide: the picture spans a tenth of the number at least.
    let span = ((high - low) as f64).max(high as f64 / 10.0).max(1.0);
    let middle = f64::midpoint(high as f64, low as f64);
    move |value| {
        if high == 0 {
            height - pad
        } else {
            height / 2.0 - (value as f64 - middle) / span * (height - 2.0 * pad)
        }
    }
}

/// Returns the line and what is below it, in a picture of this size.
fn paths(series: &[u64], width: f64, height: f64) -> (String, String) {
    let place_of = place_of(series, height);
    let steps = series.len().saturating_sub(1).max(1) as f64;
    let mut line = String::new();
    for (place, value) in series.iter().enumerate() {
        let x = place as f64 / steps * width;
        let y = place_of(*value);
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
    }

    #[test]
    fn numbers_of_a_scale_stand_where_the_line_has_them() {
        // The highest touches the upper edge, less what the line is thick.
        assert_eq!(
            scale(&[0, 50, 100]).0,
            [("1.9%".to_owned(), "100".to_owned()), ("98.1%".to_owned(), "0".to_owned())]
        );
        // The picture spans a tenth of the number at least: 40 more than 1,000 fill less than half of it.
        let (numbers, grid) = scale(&[1_000, 1_040]);
        assert_eq!(
            numbers,
            [("31.5%".to_owned(), "1,040".to_owned()), ("68.5%".to_owned(), "1,000".to_owned())]
        );
        let (line, _) = paths(&[1_000, 1_040], WIDTH, HEIGHT);
        assert_eq!((line.as_str(), grid.as_str()), ("M0.0 109.6L720.0 50.4", "M0 50.4H720M0 109.6H720"));
        assert_eq!(scale(&[1_000, 1_001]).0, [("50.0%".to_owned(), "1,000–1,001".to_owned())]);
        assert_eq!(scale(&[7, 7]).0, [("50.0%".to_owned(), "7".to_owned())]);
        assert_eq!(scale(&[0, 0]).0, [("98.1%".to_owned(), "0".to_owned())]);
        assert_eq!(scale(&[]).0, []);
    }

    #[test]
    fn a_line_has_words() {
        assert_eq!(words(&[2, 3, 1]), "the last 3 days: from 2 to 1 account, between 1 and 3");
        assert_eq!(words(&[4, 4]), "4 accounts on each of the last 2 days");
    }
}
