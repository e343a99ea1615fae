//! Results, on stdout. Whoever reads them may stop reading: that ends no command.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use crate::cli::arguments::Colour;
use crate::cli::exit::Failure;
use crate::model::text::inert;
use crate::plan::inert_json::json_text;

/// Where results go.
pub struct Output<W: Write> {
    to: W,
    closed: bool,
}

/// Whether stdout and stderr take colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colours {
    /// Whether stdout does.
    pub out: bool,
    /// Whether stderr does.
    pub err: bool,
}

impl Colours {
    /// Decides by what was asked for, the terminal and the environment (`NO_COLOR` among it).
    pub fn decide(asked: Colour) -> Self {
        match asked {
            Colour::Always => Self { out: true, err: true },
            Colour::Never => Self { out: false, err: false },
            Colour::Auto => Self {
                out: AutoStream::choice(&io::stdout()) != ColorChoice::Never,
                err: AutoStream::choice(&io::stderr()) != ColorChoice::Never,
            },
        }
    }
}

impl<W: Write> Output<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Self {
        Self { to, closed: false }
    }

    /// Writes text as it is.
    ///
    /// # Errors
    /// A [`Failure`] if it cannot be written, a full disk for example. A reader that went away is
    /// none: what was asked for is done all the same.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        match self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(error) => Err(Failure::of("cannot write the result", &error)),
        }
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text =
            json_text(value).map_err(|error| Failure::of("cannot write the result as JSON", &error))?;
        self.text(&text)
    }

    /// Writes rows in columns, numbers to the right and names from outside inert. Without rows it
    /// writes `empty`.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn table(
        &mut self,
        titles: impl AsRef<[&'static str]>,
        rows: &[impl AsRef<[String]>],
        empty: &str,
    ) -> Result<(), Failure> {
        if rows.is_empty() {
            return self.text(&format!("{empty}\n"));
        }
        let titles = titles.as_ref();
        let is_number = |cell: &String| !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit());
        let are_numbers: Vec<bool> = (0..titles.len())
            .map(|column| rows.iter().all(|row| row.as_ref().get(column).is_some_and(is_number)))
            .collect();
        let rows: Vec<Vec<String>> =
            std::iter::once(titles.iter().map(|title| (*title).to_owned()).collect())
                .chain(
                    rows.iter().map(|row| row.as_ref().iter().map(|cell| inert(cell).into_owned()).collect()),
                )
                .collect();
        let mut widths = vec![0; titles.len()];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count().min(60));
            }
        }
        let mut text = String::new();
        for row in &rows {
            let mut line = String::new();
            for ((width, are_numbers), cell) in widths.iter().zip(&are_numbers).zip(row) {
                let padding = width.saturating_sub(cell.chars().count());
                let (left, right) = if *are_numbers { (padding, 0) } else { (0, padding) };
                let _ = write!(line, "{:left$}{cell}{:right$}  ", "", "");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        self.text(&text)
    }
}

/// Returns a number of things, in the singular where it is one.
pub fn counted(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_and_a_full_disk_is() {
        let mut output = Output::new(Broken(io::ErrorKind::BrokenPipe));
        assert_eq!(output.text("a"), Ok(()));
        assert_eq!(output.text("b"), Ok(()));
        let mut output = Output::new(Broken(io::ErrorKind::StorageFull));
        assert!(output.text("a").is_err());
    }

    #[test]
    fn numbers_are_aligned_to_the_right() {
        let mut to = Vec::new();
        let rows = [["120", "7", "x"], ["9", "", "y"]].map(|row| row.map(str::to_owned));
        Output::new(&mut to).table(["N", "MAYBE", "NAME"], &rows, "none").expect("written");
        let text = String::from_utf8(to).expect("UTF-8");
        assert_eq!(text, "  N  MAYBE  NAME\n120  7      x\n  9         y\n");
    }

    #[test]
    fn columns_are_aligned_and_cells_inert() {
        let mut to = Vec::new();
        let rows = [["jö\u{1b}".to_owned(), "1".to_owned()], ["x".to_owned(), "2".to_owned()]];
        Output::new(&mut to).table(["NAME", "N"], &rows, "none").expect("written");
        assert_eq!(String::from_utf8(to).expect("UTF-8"), "NAME      N\njö\\u{1b}  1\nx         2\n");
    }
}
