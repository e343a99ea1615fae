//! What a newcomer's tree is made of: the files of `init`, as texts.

use std::path::PathBuf;

use crate::cli::arguments::Pipeline;

/// What a newcomer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// The customer's name.
    pub customer: String,
    /// Where the directory is, for a customer that has one.
    pub directory: Option<DirectoryAnswers>,
    /// The tenant, as a domain or an id, for a customer that has one.
    pub tenant: Option<String>,
    /// Which pipeline checks the tree.
    pub pipeline: Pipeline,
}

/// Where a directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryAnswers {
    /// The domain by its DNS name.
    pub domain: String,
    /// The addresses of its servers.
    pub urls: Vec<String>,
}

/// The folder of the policy files.
pub const TREE: &str = "tree";

const MODELINE: &str = "# yaml-language-server: $schema=../../schemas/intake.schema.json\n";

const GITHUB: &str = include_str!("../../examples/ci/github.yml");
const GITLAB: &str = include_str!("../../examples/ci/gitlab.yml");

const GITIGNORE: &str = "\
# The register of trials on this machine.
*.db
*.db-shm
*.db-wal
# Saved plans hold names.
plan.json
plan.md
";

const OPERATOR: &str = "\
# The operator's file: what Intake may do on this machine. It lies outside of the tree, because whoever may edit
# the tree must not be able to widen it; the one that counts stays on the machine of the controller.
#
#   intake run tree --config operator.yaml
state: sqlite:intake.db
concurrency: 4

# Which secrets a customer's document may name: by default those that carry its own name.
secrets:
  env: [\"INTAKE_SECRET_{customer}__*\"]
  files: [\"/run/secrets/{customer}/*\"]

# Ceilings, beyond which a tree is refused.
limits:
  removal: {maxPercent: 25, maxCount: 100}

# Over all customers.
fleet: {maxRemovals: 200, window: 1h}
";

/// Returns the files with their paths, in the order in which they are told of.
pub fn files(answers: &Answers) -> Vec<(PathBuf, String)> {
    let customer = format!("{TREE}/customers/{}.yaml", answers.customer);
    let mut files = vec![
        (customer.into(), customer_document(answers)),
        (format!("{TREE}/policies/staff.yaml").into(), policy_document(answers)),
        ("operator.yaml".into(), OPERATOR.to_owned()),
        (".gitignore".into(), GITIGNORE.to_owned()),
    ];
    match answers.pipeline {
        Pipeline::Github => files.push((".github/workflows/intake.yml".into(), GITHUB.to_owned())),
        Pipeline::Gitlab => files.push((".gitlab-ci.yml".into(), GITLAB.to_owned())),
        Pipeline::None => {}
    }
    files
}

/// Returns the variables that hold the secrets that a customer's document names.
pub fn secrets(answers: &Answers) -> Vec<String> {
    let directory = answers.directory.iter().map(|_| secret(answers, "LDAP"));
    directory.chain(answers.tenant.iter().map(|_| secret(answers, "GRAPH"))).collect()
}

/// Names a variable that the customer's document may name, whatever else the operator says.
fn secret(answers: &Answers, source: &str) -> String {
    format!("INTAKE_SECRET_{}__{source}", answers.customer.to_uppercase().replace('-', "_"))
}

fn customer_document(answers: &Answers) -> String {
    let name = quoted(&answers.customer);
    let mut text = format!(
        "{MODELINE}#
# Where this customer's people are. Passwords and keys never stand here: only where they are kept.
apiVersion: intake.dev/v1
kind: Customer
metadata:
  name: {name}
spec:
"
    );
    if let Some(directory) = &answers.directory {
        let urls: Vec<String> = directory.urls.iter().map(|url| quoted(url)).collect();
        text.push_str(&format!(
            "  directories:
    - ldap:
        # Tried in order.
        urls: [{}]
        baseDn: {}
        # An account that may read, and nothing else.
        bind:
          dn: {}
          passwordFrom: {{env: {}}}
",
            urls.join(", "),
            quoted(&base_dn(&directory.domain)),
            quoted(&format!("svc-intake@{}", directory.domain)),
            secret(answers, "LDAP"),
        ));
    }
    if let Some(tenant) = &answers.tenant {
        text.push_str(&format!(
            "  tenant:
    graph:
      tenantId: {}
      # The application that may read the tenant: User.Read.All and LicenseAssignment.Read.All.
      clientId: 00000000-0000-0000-0000-000000000000
      clientSecretFrom: {{env: {}}}
",
            quoted(tenant),
            secret(answers, "GRAPH"),
        ));
    }
    text
}

fn policy_document(answers: &Answers) -> String {
    let customer = &answers.customer;
    let selection = match &answers.directory {
        Some(_) => format!(
            "  # Who is imported. What there is to select: intake discover ous {TREE} --customer {customer}
  selection:
    organizationalUnits: [\"OU=Staff\"]
"
        ),
        None => "  # Who is imported: everybody of the tenant who holds a licence that counts.
  selection:
    licensed: true
"
        .to_owned(),
    };
    let password_sync = match (&answers.directory, &answers.tenant) {
        (Some(_), None) => {
            "  # The directory alone decides: there is no tenant to match with.\n  passwordSync: false\n"
        }
        _ => "",
    };
    format!(
        "{MODELINE}#
# For every customer that no other policy is for.
apiVersion: intake.dev/v1
kind: ImportPolicy
metadata:
  name: staff
spec:
  accountType: EndUser
  default: true
{selection}{password_sync}  exclude:
    - {{account: \"svc-*\", reason: service accounts}}
  # More removals than this within a day are held until somebody approves exactly them.
  removal:
    maxPercent: 10
    maxCount: 25
"
    )
}

/// Returns the base DN of a domain: `DC=contoso,DC=test` of `contoso.test`.
fn base_dn(domain: &str) -> String {
    let parts: Vec<String> = domain.split('.').map(|label| format!("DC={label}")).collect();
    parts.join(",")
}

/// Writes a text as YAML takes it, whatever is in it: its double-quoted form takes what JSON writes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
