//! What may be typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

use crate::cli::when::When;
use crate::model::contact_match::MatchStatus;
use crate::model::digest::Digest;
use crate::model::duration::Seconds;
use crate::model::event::EventKind;

/// GitOps for account imports: policies in, accounts out, and nobody removed by accident.
#[derive(Debug, Parser)]
#[command(name = "intake", version, max_term_width = 100, subcommand_required = true)]
pub struct Arguments {
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// Reads what was typed, its own name first.
    ///
    /// # Errors
    /// If it means nothing, help that was asked for among it.
    pub fn read(typed: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let arguments = Self::try_parse_from(typed)?;
        let format = arguments.common.format;
        match format.is_only_for(&arguments.command) {
            None => Ok(arguments),
            Some((command, here)) => {
                let format = format.to_possible_value();
                let format = format.as_ref().map_or("", |format| format.get_name());
                let what = format!("`--format {format}` is for `{command}`; this command takes {here}");
                Err(Self::command().error(ErrorKind::InvalidValue, what))
            }
        }
    }
}

impl Format {
    /// Returns which command alone writes so, and what the one that was typed takes, if it is another one.
    fn is_only_for(self, typed: &Command) -> Option<(&'static str, &'static str)> {
        let here = match typed {
            Command::Plan(_) => "text, json or markdown",
            Command::Validate(_) => "text, json, github or sarif",
            Command::History(_) => "text, json or jsonl",
            _ => "text or json",
        };
        match (self, typed) {
            (Self::Text | Self::Json, _)
            | (Self::Markdown, Command::Plan(_))
            | (Self::Github | Self::Sarif, Command::Validate(_))
            | (Self::Jsonl, Command::History(_)) => None,
            (Self::Jsonl, _) => Some(("history", here)),
            (Self::Markdown, _) => Some(("plan", here)),
            (Self::Github | Self::Sarif, _) => Some(("validate", here)),
        }
    }
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// The operator's file: secrets, connections, limits; kept outside of the tree
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the register is kept: sqlite:PATH [default: the operator's file, or sqlite:intake.db]
    #[arg(long, global = true, value_name = "URL", env = "INTAKE_STATE", hide_env_values = true)]
    pub state: Option<String>,
    /// Only this customer; may be given several times
    #[arg(long = "customer", global = true, value_name = "NAME")]
    pub customers: Vec<String>,
    /// How results are written to stdout
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// How the log is written to stderr
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Tells more; twice: everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Tells errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colour; NO_COLOR is honoured
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub color: Colour,
    /// How long throttling and faults of a source may delay a customer before it is unreadable
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s")]
    pub max_wait: Seconds,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Parses and checks the tree, without asking any system
    Validate(TreeArgument),
    /// Reads the sources and shows what `apply` would do; writes nothing
    Plan(PlanArguments),
    /// Plans, shows, asks and applies
    Apply(ApplyArguments),
    /// Reconciles every customer on its interval, and at once on a changed tree
    Run(RunArguments),
    /// Says why somebody is imported or not, rule by rule
    Explain(ExplainArguments),
    /// Lists the OUs or groups of a customer that a policy may select
    Discover(DiscoverArguments),
    /// Lists the accounts of the register
    Accounts(TreeArgument),
    /// Lists how each customer's last turn went
    Status(TreeArgument),
    /// Lists the audit record
    History(HistoryArguments),
    /// Lists how accounts stand in documentation systems, and what to commit to choose among candidates
    Matches(MatchesArguments),
    /// Makes documents of customers
    #[command(subcommand)]
    Customers(CustomersCommand),
    /// Has a running controller begin a customer's turn now
    Sync(OrderArguments),
    /// Has a running controller write nothing more for a customer; it goes on to read and to plan
    Suspend(SuspendArguments),
    /// Lets a running controller write for a customer again that was suspended by command
    Resume(OrderArguments),
    /// Moves the store to another place, backs it up, restores and checks it
    #[command(subcommand)]
    State(StateCommand),
    /// Starts a tree for a newcomer: a customer, a policy, schemas, an operator's file and a pipeline
    Init(InitArguments),
    /// Writes the JSON Schemas of policy files
    Schema(SchemaArguments),
}

/// Where the tree is.
#[derive(Debug, Args)]
pub struct TreeArgument {
    /// The folder of policy files
    #[arg(value_name = "TREE", default_value = ".")]
    pub tree: PathBuf,
}

/// What `plan` takes.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// Where the tree is.
    #[command(flatten)]
    pub tree: TreeArgument,
    /// Exits with 2 if there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Saves the plan, for `apply --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Shows ids in place of names, also in the file of `--out`
    #[arg(long)]
    pub redact: bool,
    /// Shows only what differs from the tree at this revision of git
    #[arg(long, value_name = "GITREF", conflicts_with = "out")]
    pub against: Option<String>,
    /// Asks the controller at this address, which answers from its latest complete readings: needs no
    /// register and no source, but a token in the variable INTAKE_TOKEN where the controller wants one
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
}

/// What `apply` takes.
#[derive(Debug, Args)]
pub struct ApplyArguments {
    /// Where the tree is.
    #[command(flatten)]
    pub tree: TreeArgument,
    /// Applies without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Applies exactly this saved plan, to the customers in it; a plan that would be another one by now is stale
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Lets held removals of exactly this digest go ahead, in this run; may be given several times
    #[arg(long, value_name = "DIGEST")]
    pub approve: Vec<Digest>,
}

/// What `run` takes.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The folder of policy files; by default the one in git that the operator's file names, else this one
    #[arg(value_name = "TREE")]
    pub tree: Option<PathBuf>,
    /// Takes this commit, once, although the branch was rewritten before it
    #[arg(long, value_name = "COMMIT", value_parser = commit)]
    pub accept_rewrite: Option<String>,
    /// Does one round over all customers and exits
    #[arg(long)]
    pub once: bool,
}

/// What orders to a running controller take.
#[derive(Debug, Args)]
pub struct OrderArguments {
    /// The customer's name
    #[arg(value_name = "CUSTOMER")]
    pub customer: String,
    /// Where the controller is reached; a token whose role is `operator` is in the variable INTAKE_TOKEN
    #[arg(long, value_name = "URL")]
    pub server: String,
}

/// What `suspend` takes.
#[derive(Debug, Args)]
pub struct SuspendArguments {
    /// Whom, and where.
    #[command(flatten)]
    pub order: OrderArguments,
    /// Why, for whoever finds the customer suspended
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// What `explain` takes.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// Who: a userPrincipalName, sAMAccountName, mail address, objectGUID or tenant user id
    #[arg(value_name = "ACCOUNT")]
    pub account: String,
    /// Where the tree is.
    #[command(flatten)]
    pub tree: TreeArgument,
    /// From the last complete readings of `apply` or `run`, without asking the sources
    #[arg(long)]
    pub cached: bool,
}

/// What `discover` takes.
#[derive(Debug, Args)]
pub struct DiscoverArguments {
    /// What to list
    #[arg(value_enum, value_name = "WHAT")]
    pub what: Selectable,
    /// Where the tree is.
    #[command(flatten)]
    pub tree: TreeArgument,
    /// Only those with this text in their name or DN, whatever the case
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Also those that may not be selected, with the reason why not
    #[arg(long)]
    pub all: bool,
}

/// What a policy selects people by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Selectable {
    /// Organizational units that hold user accounts
    Ous,
    /// Security groups
    Groups,
}

/// What `history` takes.
#[derive(Debug, Args)]
pub struct HistoryArguments {
    /// Where the tree is.
    #[command(flatten)]
    pub tree: TreeArgument,
    /// Only what is about this account: a userPrincipalName, sAMAccountName or mail address that it has or
    /// ever had, or its objectGUID or tenant user id
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Only events of this kind; may be given several times
    #[arg(long = "kind", value_name = "KIND", value_parser = kinds())]
    pub kinds: Vec<EventKind>,
    /// Only what was written then or later: a date (UTC) or a time with its zone
    #[arg(long, value_name = "TIME")]
    pub since: Option<When>,
    /// Only what was written until then: a date means the whole day
    #[arg(long, value_name = "TIME")]
    pub until: Option<When>,
    /// The register as it was then, in place of events
    #[arg(long, value_name = "TIME", conflicts_with_all = ["account", "kinds", "since", "until", "verify"])]
    pub at: Option<When>,
    /// Checks that nothing in the record was changed, removed or reordered
    #[arg(long, conflicts_with_all = ["account", "kinds", "since", "until"])]
    pub verify: bool,
    /// Checks besides that the record still holds a head that was noted earlier; may be given several times
    #[arg(long = "head", value_name = "HASH", requires = "verify")]
    pub heads: Vec<Digest>,
}

/// What `matches` takes.
#[derive(Debug, Args)]
pub struct MatchesArguments {
    /// Where the tree is.
    #[command(flatten)]
    pub tree: TreeArgument,
    /// Only accounts that stand so; may be given several times
    #[arg(long = "status", value_name = "STATUS", value_parser = statuses())]
    pub statuses: Vec<MatchStatus>,
    /// Only this system, by the name of its connection; may be given several times
    #[arg(long = "system", value_name = "NAME")]
    pub systems: Vec<String>,
}

/// What is done with customers.
#[derive(Debug, Subcommand)]
pub enum CustomersCommand {
    /// Prints `Customer` documents for the organisations of a documentation system that the tree does not have
    Import(CustomersImportArguments),
}

/// What `customers import` takes.
#[derive(Debug, Args)]
pub struct CustomersImportArguments {
    /// Where the tree is.
    #[command(flatten)]
    pub tree: TreeArgument,
    /// From which product
    #[arg(long, value_enum)]
    pub from: ImportFrom,
    /// By which connection of the operator's file [default: the only one to this product]
    #[arg(long, value_name = "NAME")]
    pub connection: Option<String>,
    /// Only organisations of this type; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
    /// Only organisations of this status; may be given several times
    #[arg(long = "status", value_name = "STATUS")]
    pub statuses: Vec<String>,
    /// Hudu: the asset layout that people have there
    #[arg(long, value_name = "ID")]
    pub asset_layout: Option<u64>,
    /// Writes new documents into `customers/` of the tree, and lets names follow that an import wrote
    #[arg(long)]
    pub write: bool,
}

/// Where customers are documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportFrom {
    /// IT Glue
    Itglue,
    /// Hudu
    Hudu,
    /// ConnectWise PSA
    Connectwise,
}

/// What is done with the store.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Copies a store into an empty one, from a file to a server or the other way, and compares the two
    Copy(StateCopyArguments),
    /// Reads everything in the store of `--state`, and verifies every audit record
    Check,
    /// Writes the store of `--state` into a new file, also while a controller runs
    Backup(StateBackupArguments),
    /// Copies a backup into the store of `--state`, which must be empty
    Restore(StateRestoreArguments),
}

/// What `state copy` takes.
#[derive(Debug, Args)]
pub struct StateCopyArguments {
    /// The store to copy: sqlite:PATH or postgres://HOST/DATABASE; a controller that runs on it is to be stopped first
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// The store to copy into: a new file, or a database without a table or row
    #[arg(long, value_name = "URL")]
    pub to: String,
}

/// What `state backup` takes.
#[derive(Debug, Args)]
pub struct StateBackupArguments {
    /// The file to write, readable for its owner alone; nothing is overwritten
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
}

/// What `state restore` takes.
#[derive(Debug, Args)]
pub struct StateRestoreArguments {
    /// A file that `state backup` wrote
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
}

/// Reads how an account stands.
fn statuses() -> impl TypedValueParser<Value = MatchStatus> {
    PossibleValuesParser::new(MatchStatus::ALL.map(MatchStatus::code))
        .try_map(|code| MatchStatus::from_code(&code).ok_or("no status"))
}

/// Reads a kind of event; of another word, clap names the nearest one.
fn kinds() -> impl TypedValueParser<Value = EventKind> {
    PossibleValuesParser::new(EventKind::ALL.map(EventKind::code))
        .try_map(|code| EventKind::from_code(&code).ok_or("no kind of event"))
}

/// What `init` takes; `--customer` names the first customer.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// The folder to start in; what is there already is never overwritten
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// The customer's Active Directory domain by its DNS name: contoso.test
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// The address of a domain controller; may be given several times [default: ldaps://dc1.DOMAIN]
    #[arg(long = "url", value_name = "URL")]
    pub urls: Vec<String>,
    /// The customer's Microsoft 365 tenant: a verified domain or the id
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// The pipeline that checks the tree and shows plans on pull requests [default: none]
    #[arg(long, value_enum)]
    pub ci: Option<Pipeline>,
}

/// Where pipelines run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pipeline {
    /// GitHub Actions
    Github,
    /// GitLab CI
    Gitlab,
    /// Nowhere
    None,
}

/// What `schema` takes.
#[derive(Debug, Args)]
pub struct SchemaArguments {
    /// The folder to write to
    #[arg(value_name = "DIR", default_value = "schemas")]
    pub folder: PathBuf,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For programs, one object a line (`history`)
    Jsonl,
    /// A comment on a pull request (`plan`)
    Markdown,
    /// Annotations of a GitHub workflow (`validate`)
    Github,
    /// SARIF 2.1.0, for code scanning and editors (`validate`)
    Sarif,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Reads the whole id of a commit: to make another one that begins alike is easy.
fn commit(text: &str) -> Result<String, String> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && matches!(text.len(), 40 | 64) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("write the whole id of the commit".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn common_flags_stand_before_or_after_the_command() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' ')).expect("arguments");
        let arguments = parse("intake --customer a plan tree --customer b --max-wait 2m -vv");
        assert_eq!(arguments.common.max_wait, Seconds(120));
        assert_eq!(arguments.common.verbose, 2);
        assert!(matches!(arguments.command, Command::Plan(_)));
        assert!(Arguments::try_parse_from(["intake", "plan", "--max-wait", "soon"]).is_err());
        assert!(Arguments::try_parse_from(["intake", "apply", "--approve", "sha256:1"]).is_err());
        assert!(Arguments::try_parse_from(["intake"]).is_err());
    }

    #[test]
    fn a_format_of_another_command_is_an_error_that_names_what_is_possible() {
        let read = |line: &str| Arguments::read(line.split(' ').map(OsString::from));
        for fits in [
            "plan --format markdown",
            "validate --format github",
            "validate --format sarif",
            "history --format jsonl",
        ] {
            assert!(read(&format!("intake {fits}")).is_ok(), "{fits}");
        }
        for (typed, command, here) in [
            ("apply --format markdown", "`plan`", "text or json"),
            ("plan --format sarif", "`validate`", "text, json or markdown"),
            ("validate --format markdown", "`plan`", "text, json, github or sarif"),
            ("status --format github", "`validate`", "text or json"),
            ("plan --format jsonl", "`history`", "text, json or markdown"),
            ("history --format sarif", "`validate`", "text, json or jsonl"),
        ] {
            let told = read(&format!("intake {typed}")).expect_err(typed).to_string();
            assert!(told.contains(command) && told.contains(here), "{told}");
        }
        assert!(read("intake plan --log-format markdown").is_err());
    }
}
