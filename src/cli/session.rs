//! What every command works with: what was typed, where results go, how far it is.

use std::io::{Stdout, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::cli::arguments::{Common, Format};
use crate::cli::exit::Failure;
use crate::cli::output::{Colours, Output};
use crate::cli::progress::Bar;
use crate::cli::selection::one;
use crate::cli::wiring::{self, CheckedTree, Operator, SystemClock};
use crate::model::directory::Directory;
use crate::model::reading::Reading;
use crate::model::text::Text;
use crate::policy::fleet::Customer;
use crate::ports::meter::{Meter, Unmeasured};
use crate::ports::register::RegisterReader;
use crate::reconcile::deliver::Courier;
use crate::reconcile::documentation::{Documenter, Looked};
use crate::reconcile::observe::{Observer, STALL, read_directories};
use crate::reconcile::publish::Publisher;

/// Where the register is if nobody says.
const DEFAULT_STATE: &str = "sqlite:intake.db";

/// One run of the program.
pub struct Session {
    /// What was typed.
    pub common: Common,
    /// Where results go.
    pub out: Output<Stdout>,
    /// How far it is; the way to stderr.
    pub bar: Bar,
    /// Where there is colour.
    pub colours: Colours,
    /// The program's name as it was typed.
    pub program: String,
}

impl Session {
    /// Whether results are for programs.
    pub fn is_json(&self) -> bool {
        self.common.format == Format::Json
    }

    /// Returns what is typed to apply a tree with the same register and operator's file, quoted for
    /// a shell.
    pub fn apply_command(&self, tree: &Path) -> String {
        let mut words = vec![self.program.clone(), "apply".to_owned()];
        if tree != Path::new(".") {
            words.push(tree.display().to_string());
        }
        if let Some(config) = &self.common.config {
            words.extend(["--config".to_owned(), config.display().to_string()]);
        }
        // What the environment says it says again, and it may be a secret.
        let of_environment = std::env::var("INTAKE_STATE").ok();
        if let Some(state) =
            self.common.state.as_ref().filter(|state| of_environment.as_ref() != Some(*state))
        {
            words.extend(["--state".to_owned(), wiring::without_password(state)]);
        }
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        words.join(" ")
    }

    /// Tells people something that is no result.
    pub fn note(&self, text: &str) {
        if !self.common.quiet {
            self.tell(text);
        }
    }

    /// Tells people of an error.
    pub fn complain(&self, failure: &Failure) {
        self.bar.write_err(failure.lines().as_bytes());
    }

    fn tell(&self, text: &str) {
        let mut line = text.as_bytes().to_vec();
        let _ = line.write_all(b"\n");
        self.bar.write_err(&line);
    }

    /// Reads the operator's file.
    ///
    /// # Errors
    /// If it cannot be read or has errors.
    pub fn operator(&self) -> Result<Operator, Failure> {
        wiring::operator(self.common.config.as_deref())
    }

    /// Returns where the register is: as typed, by the environment, by the operator, or here.
    pub fn state<'a>(&'a self, operator: &'a Operator) -> &'a str {
        self.common.state.as_deref().or(operator.state.as_deref()).unwrap_or(DEFAULT_STATE)
    }

    /// Opens the register for asking only.
    ///
    /// # Errors
    /// The register's.
    pub async fn reader(&self, operator: &Operator) -> Result<Arc<dyn RegisterReader>, Failure> {
        wiring::open_reading(self.state(operator)).await
    }

    /// Reads and checks the tree and tells its problems.
    ///
    /// # Errors
    /// If the tree itself cannot be read.
    pub fn tree(&self, root: &Path, operator: &Operator) -> Result<CheckedTree, Failure> {
        let tree = wiring::check_tree(root, operator, self.colours.err)?;
        self.tell_problems(&tree);
        Ok(tree)
    }

    /// Reads a tree for the one customer that a command is about. What is wrong elsewhere in the tree is
    /// nothing to it, and is told only if the customer cannot be used.
    ///
    /// # Errors
    /// If the tree cannot be read, or the customer is not named, unknown, or has errors in its document:
    /// that may name the wrong server, and nobody is asked on its word.
    pub fn customer(
        &self,
        root: &Path,
        operator: &Operator,
    ) -> Result<(CheckedTree, Arc<Customer>), Failure> {
        let tree = wiring::check_tree(root, operator, self.colours.err)?;
        match one(&tree.fleet, &self.common.customers).and_then(sound) {
            Ok(customer) => Ok((tree, customer)),
            Err(failure) => {
                self.tell_problems(&tree);
                Err(failure)
            }
        }
    }

    /// Tells the problems of a tree.
    pub fn tell_problems(&self, tree: &CheckedTree) {
        for problem in &tree.problems {
            self.bar.write_err(problem.drawn.as_bytes());
        }
    }

    /// Delivers what is in the outbox, for no longer than a source may delay a customer. What does
    /// not arrive stays there: a later run tries again.
    pub async fn deliver(&self, courier: &Courier, stop: &CancellationToken) {
        let enough = stop.child_token();
        let (timer, patience) = (enough.clone(), self.common.max_wait.to_std());
        let timer = AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            timer.cancel();
        }));
        if let Err(fault) = courier.drain(&enough).await {
            self.complain(&fault.into());
        }
        drop(timer);
    }

    /// Looks for the contacts of everybody who had a turn. What a documentation system does not answer is
    /// logged, recorded for `matches`, and no failure of the command: the imports are done.
    /// Returns whether anything changed: contacts may be to be made.
    pub async fn look_for_contacts(&self, documenter: &Documenter, stop: &CancellationToken) -> bool {
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            looked = documenter.look_everywhere() => looked,
        };
        match looked {
            Ok(Looked { matched: 0, failed: 0, .. }) => false,
            Ok(Looked { matched, failed, changed }) => {
                tracing::info!(matched, failed, changed, "looked for contacts");
                changed > 0
            }
            Err(fault) => {
                self.complain(&fault.into());
                false
            }
        }
    }

    /// Compares targets with what was published to them, whose time has come. Returns whether anything is to be set
    /// right.
    pub async fn look_for_drift(&self, publisher: &Publisher, stop: &CancellationToken) -> bool {
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            looked = publisher.look_for_drift() => looked,
        };
        match looked {
            Ok(asked) => asked > 0,
            Err(fault) => {
                self.complain(&fault.into());
                false
            }
        }
    }

    /// Reads all directories of a customer of the tree at `root`, and nothing else.
    pub async fn directories(
        &self,
        root: &Path,
        operator: &Operator,
        customer: &Arc<Customer>,
    ) -> Vec<(Text, Reading<Directory>)> {
        let sources = operator.sources(root, self.common.max_wait, Arc::new(Unmeasured));
        self.bar.begin(1);
        let readings = read_directories(&sources, self.stall(), customer, &self.bar.customer()).await;
        self.bar.end();
        readings
    }

    /// Returns what reads the customers of the tree at `root`.
    pub fn observer(&self, root: &Path, operator: &Operator, register: Arc<dyn RegisterReader>) -> Observer {
        self.measured_observer(root, operator, register, Arc::new(Unmeasured))
    }

    /// Returns what reads the customers of the tree at `root`, and has counted what sources are asked.
    pub fn measured_observer(
        &self,
        root: &Path,
        operator: &Operator,
        register: Arc<dyn RegisterReader>,
        meter: Arc<dyn Meter>,
    ) -> Observer {
        Observer {
            sources: operator.sources(root, self.common.max_wait, meter),
            register,
            clock: Arc::new(SystemClock),
            stall: self.stall(),
        }
    }

    fn stall(&self) -> Duration {
        STALL.saturating_add(self.common.max_wait.to_std())
    }
}

fn sound(customer: &Customer) -> Result<Arc<Customer>, Failure> {
    if customer.invalid.is_empty() {
        return Ok(Arc::new(customer.clone()));
    }
    Err(Failure::new(format!("the document of `{}` has errors: its directories are not read", customer.name))
        .hint("correct what is told above; `intake validate` tells it again without reading anything"))
}

/// Quotes a word for a POSIX shell, where that is needed.
pub fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=@%+,".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_them_otherwise() {
        assert_eq!(quoted("sqlite:/var/lib/a-b.db"), "sqlite:/var/lib/a-b.db");
        assert_eq!(quoted("my tree"), "'my tree'");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
