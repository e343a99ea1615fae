//! Problems of a tree as annotations of a GitHub workflow: commands that its runner reads from stdout.

use crate::policy::problem::Problem;

/// Returns the command that marks a problem in the file that it is in. `folder` is the tree, from the
/// repository's root.
pub fn annotation(problem: &Problem, folder: &str) -> String {
    let Problem { file, line, column, end_line, end_column, what, help, labels, rule, .. } = problem;
    let mut properties = Vec::new();
    if !file.is_empty() {
        properties.push(("file", format!("{folder}{file}")));
        properties.push(("line", line.to_string()));
        properties.push(("endLine", end_line.to_string()));
        // A column means something to GitHub only where one line is marked.
        if line == end_line {
            properties.push(("col", column.to_string()));
            properties.push(("endColumn", end_column.to_string()));
        }
    }
    properties.push(("title", format!("intake: {}", rule.code())));
    let properties: Vec<String> =
        properties.iter().map(|(name, value)| format!("{name}={}", property(value))).collect();
    let mut message = what.clone();
    for label in labels {
        let (line, column) = (label.line, label.column);
        message.push_str(&format!("\n{}: {folder}{}:{line}:{column}", label.what, label.file));
    }
    if let Some(help) = help {
        message.push_str(&format!("\nhelp: {help}"));
    }
    format!("::error {}::{}\n", properties.join(","), data(&message))
}

/// Escapes a message as the runner unescapes it (actions/toolkit, `escapeData`).
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property (actions/toolkit, `escapeProperty`).
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::problem::{Excerpt, Label, Rule};

    fn problem(file: &str, what: &str) -> Problem {
        let excerpt = Excerpt { text: "a: b".to_owned(), mark: 0..1 };
        let label = Label {
            file: file.to_owned(),
            line: 3,
            column: 5,
            end_line: 3,
            end_column: 9,
            span: 20..24,
            what: what.to_owned(),
            excerpt,
        };
        Problem { rule: Rule::UnknownKey, ..Problem::new(label) }
    }

    #[test]
    fn what_means_something_to_the_runner_is_escaped() {
        let mut problem = problem("a,b:c%.yaml", "100% of `x: y`, ::stop-commands::x");
        problem.help = Some("write `y`".to_owned());
        assert_eq!(
            annotation(&problem, "tree/"),
            "::error file=tree/a%2Cb%3Ac%25.yaml,line=3,endLine=3,col=5,endColumn=9,title=intake%3A unknown-key\
             ::100%25 of `x: y`, ::stop-commands::x%0Ahelp: write `y`\n"
        );
    }

    #[test]
    fn columns_are_left_out_where_several_lines_are_marked() {
        let mut several = problem("a.yaml", "x");
        several.end_line = 5;
        assert_eq!(
            annotation(&several, ""),
            "::error file=a.yaml,line=3,endLine=5,title=intake%3A unknown-key::x\n"
        );
    }

    #[test]
    fn a_problem_of_no_file_has_no_place() {
        let nowhere = Problem::new(Label::nowhere("x\u{1b}\n".to_owned()));
        assert_eq!(annotation(&nowhere, "tree/"), "::error title=intake%3A invalid::x\\u{1b}\\u{a}\n");
    }
}
