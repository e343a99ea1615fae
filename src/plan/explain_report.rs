//! An explanation for people: the answer in a sentence, and a line for every rule.

use std::fmt::{self, Write};

use anstyle::Style as Ink;

use crate::model::text::inert;
use crate::plan::explanation::{Explanation, Outcome, Step};
use crate::plan::report::{BOLD, DIM, GREEN, MAGENTA, RED, Style, YELLOW, moment};

/// How wide a line of evidence may become.
const WIDTH: usize = 100;
/// Where evidence begins.
const INDENT: usize = 16;

/// Writes an explanation. Names from outside are inert in it.
///
/// # Errors
/// Only those of `out`.
pub fn write(out: &mut dyn Write, explanation: &Explanation, style: Style<'_>) -> fmt::Result {
    write_one(out, explanation, style)?;
    for other in &explanation.also_as {
        writeln!(out)?;
        write_one(out, other, style)?;
    }
    if let Some(at) = explanation.read_at {
        writeln!(out, "\nFrom the last complete readings, of {}.", moment(at))?;
    }
    Ok(())
}

fn write_one(out: &mut dyn Write, explanation: &Explanation, style: Style<'_>) -> fmt::Result {
    for line in wrapped(&explanation.answer, WIDTH) {
        writeln!(out, "{}", style.paint(BOLD, line))?;
    }
    let mut about = vec![format!("customer {}", inert(&explanation.customer))];
    about.extend(explanation.account_type.map(|account_type| account_type.to_string()));
    about.extend(explanation.policy.as_ref().map(|policy| format!("policy `{}`", inert(policy))));
    about.extend(explanation.account.directory_id.map(|id| format!("objectGUID {id}")));
    writeln!(out, "{}", style.paint(DIM, about.join(" · ")))?;
    writeln!(out)?;
    explanation.steps.iter().try_for_each(|step| write_step(out, step, style))
}

fn write_step(out: &mut dyn Write, step: &Step, style: Style<'_>) -> fmt::Result {
    let (mark, ink) = match step.outcome {
        Outcome::Passed => ("✓", GREEN),
        Outcome::Failed => ("✗", RED),
        Outcome::Held => ("!", MAGENTA),
        Outcome::Unknown => ("?", YELLOW),
        Outcome::Info => ("·", Ink::new()),
        Outcome::NotReached => ("·", DIM),
    };
    let text = match step.outcome {
        Outcome::NotReached => DIM,
        _ if step.decides => ink.bold(),
        _ => Ink::new(),
    };
    let head = format!("{:<width$}", step.step.code(), width = INDENT - 4);
    let mut lines: Vec<String> =
        step.evidence.iter().flat_map(|fact| wrapped(fact, WIDTH - INDENT)).collect();
    if lines.is_empty() {
        lines.push(if step.outcome == Outcome::NotReached {
            "not reached".to_owned()
        } else {
            String::new()
        });
    }
    for (number, line) in lines.iter().enumerate() {
        if number == 0 {
            let (mark, head) = (style.paint(ink, mark), style.paint(text, head.as_str()));
            writeln!(out, "  {mark} {head}{}", style.paint(text, line))?;
        } else {
            writeln!(out, "{:INDENT$}{}", "", style.paint(text, line))?;
        }
    }
    Ok(())
}

/// Breaks text between words; a word that is longer than a line stays whole, to be copied.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut length = 0;
    for word in text.split(' ') {
        let more = word.chars().count();
        match lines.last_mut() {
            Some(line) if length + 1 + more <= width => {
                line.push(' ');
                line.push_str(word);
                length += 1 + more;
            }
            _ => {
                lines.push(word.to_owned());
                length = more;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_long_words_stay_whole() {
        assert_eq!(wrapped("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrapped("abcdefgh i", 4), ["abcdefgh", "i"]);
        assert_eq!(wrapped("", 4), [""]);
    }
}
