//! The policy tree as it changes over time, written as the files that a technician would commit.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use intake::model::account::AccountType;
use intake::model::guid::Guid;
use intake::policy::check::{Checked, TreeFile, check};
use intake::policy::limits::Limits;

use super::truth::{Kind, NAMES};

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breakage {
    /// A word that nobody knows: what kind of document it is, and whose, can be read.
    Word,
    /// Nothing can be read.
    Syntax,
}

/// Limits on removals, and how narrow a policy is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Import {
    pub(super) present: bool,
    pub(super) broken: Option<Breakage>,
    pub(super) narrow: bool,
    pub(super) typo: bool,
    pub(super) grace_hours: i64,
    pub(super) window_hours: i64,
    pub(super) percent: u64,
    pub(super) count: u64,
    pub(super) minimum: u64,
    pub(super) allow_empty: bool,
}

#[derive(Debug, Clone)]
pub(super) struct CustomerFile {
    pub(super) present: bool,
    pub(super) broken: Option<Breakage>,
    pub(super) suspended: bool,
    /// Who is protected: by objectGUID, or by the name that they had when it was written.
    pub(super) protected: Vec<(Guid, Option<String>)>,
    pub(super) approved: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) customers: Vec<CustomerFile>,
    /// Policies of the first four customers, the block of the last, and the administrators' block of the first.
    pub(super) imports: Vec<Import>,
}

/// What a tree says about one account type of a customer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Says<'t> {
    /// This applies, under this name.
    Applies(&'t Import, &'static str),
    /// Nothing applies: accounts are orphaned.
    Nothing,
    /// Something is broken, or unknown: nothing may happen.
    Unclear,
}

/// A change of the tree; numbers are taken modulo what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    RemovePolicy(u32),
    RestorePolicy(u32),
    BreakPolicy(u32, Breakage),
    MendPolicy(u32),
    Narrow(u32),
    Widen(u32),
    Typo(u32),
    MendTypo(u32),
    Loosen(u32),
    Tighten(u32),
    Grace(u32, bool),
    AllowEmpty(u32, bool),
    RemoveCustomer(u32),
    RestoreCustomer(u32),
    BreakCustomer(u32, Breakage),
    MendCustomer(u32),
    Suspend(u32),
    Resume(u32),
    /// Protects somebody, by name or by objectGUID.
    Protect(u32, u32, bool),
    Unprotect(u32),
}

const POLICIES: [&str; 4] = ["staff", "members", "licensed", "entra"];
/// The block of the last customer, and of the first one's administrators.
const OWN: usize = 4;
const ADMINISTRATORS: usize = 5;

impl Tree {
    pub(super) fn new() -> Self {
        let import = Import {
            present: true,
            broken: None,
            narrow: false,
            typo: false,
            grace_hours: 0,
            window_hours: 24,
            percent: 20,
            count: 25,
            minimum: 2,
            allow_empty: false,
        };
        let customer = CustomerFile {
            present: true,
            broken: None,
            suspended: false,
            protected: Vec::new(),
            approved: BTreeSet::new(),
        };
        let mut imports = vec![import; 6];
        imports[OWN].grace_hours = 48;
        Self { customers: vec![customer; NAMES.len()], imports }
    }

    pub(super) fn edit(&mut self, edit: Edit) {
        let imports = self.imports.len();
        let import = |number: u32| number as usize % imports;
        let customer = |number: u32| number as usize % NAMES.len();
        match edit {
            Edit::RemovePolicy(n) => self.imports[import(n)].present = false,
            Edit::RestorePolicy(n) => self.imports[import(n)].present = true,
            Edit::BreakPolicy(n, how) => self.imports[import(n)].broken = Some(how),
            Edit::MendPolicy(n) => self.imports[import(n)].broken = None,
            Edit::Narrow(n) => self.imports[import(n)].narrow = true,
            Edit::Widen(n) => self.imports[import(n)].narrow = false,
            Edit::Typo(n) => self.imports[import(n)].typo = true,
            Edit::MendTypo(n) => self.imports[import(n)].typo = false,
            Edit::Loosen(n) => (self.imports[import(n)].percent, self.imports[import(n)].minimum) = (50, 3),
            Edit::Tighten(n) => (self.imports[import(n)].percent, self.imports[import(n)].minimum) = (10, 1),
            Edit::Grace(n, long) => self.imports[import(n)].grace_hours = if long { 72 } else { 0 },
            Edit::AllowEmpty(n, allow) => self.imports[import(n)].allow_empty = allow,
            Edit::RemoveCustomer(n) => self.customers[customer(n)].present = false,
            Edit::RestoreCustomer(n) => self.customers[customer(n)].present = true,
            Edit::BreakCustomer(n, how) => self.customers[customer(n)].broken = Some(how),
            Edit::MendCustomer(n) => self.customers[customer(n)].broken = None,
            Edit::Suspend(n) => self.customers[customer(n)].suspended = true,
            Edit::Resume(n) => self.customers[customer(n)].suspended = false,
            Edit::Unprotect(n) => self.customers[customer(n)].protected.clear(),
            // Who that is, the stage knows.
            Edit::Protect(..) => {}
        }
    }

    /// Puts everything in order: nothing missing, nothing broken, nothing suspended.
    pub(super) fn mend(&mut self) {
        for import in &mut self.imports {
            (import.present, import.broken, import.typo, import.narrow) = (true, None, false, false);
        }
        for customer in &mut self.customers {
            (customer.present, customer.broken, customer.suspended) = (true, None, false);
        }
    }

    fn import_of(customer: usize, account_type: AccountType) -> Option<usize> {
        match (customer, account_type) {
            (0, AccountType::Administrator) => Some(ADMINISTRATORS),
            (_, AccountType::EndUser) => Some(customer),
            _ => None,
        }
    }

    /// Whether some document hides its kind or its name.
    fn hides_names(&self) -> bool {
        let is_hidden = |broken: Option<Breakage>| broken == Some(Breakage::Syntax);
        self.customers.iter().any(|customer| customer.present && is_hidden(customer.broken))
            || self.imports[..OWN].iter().any(|import| import.present && is_hidden(import.broken))
    }

    pub(super) fn says(&self, customer: usize, account_type: AccountType) -> Says<'_> {
        let file = &self.customers[customer];
        if !file.present || file.broken == Some(Breakage::Syntax) {
            return if self.hides_names() { Says::Unclear } else { Says::Nothing };
        }
        let Some(position) = Self::import_of(customer, account_type) else { return Says::Nothing };
        let import = &self.imports[position];
        let own = position >= OWN;
        // A block of its own is a part of the customer's document: broken, it spoils all of that.
        let is_broken = |import: &Import| import.present && import.broken.is_some();
        let blocks = [(0, ADMINISTRATORS), (4, OWN)];
        let spoiled = blocks.iter().any(|(whose, at)| *whose == customer && is_broken(&self.imports[*at]));
        if file.broken.is_some() || is_broken(import) || spoiled {
            return Says::Unclear;
        }
        // A document that nobody can read may be a policy for everybody who has no block of their own.
        if !own && self.hides_names() {
            return Says::Unclear;
        }
        match import.present {
            true => Says::Applies(import, Self::policy_name(customer, account_type)),
            false => Says::Nothing,
        }
    }

    fn policy_name(customer: usize, account_type: AccountType) -> &'static str {
        match (customer, account_type) {
            (0, AccountType::Administrator) => "customer/contoso",
            (4, _) => "customer/tailspin",
            _ => POLICIES[customer],
        }
    }

    pub(super) fn checked(&self) -> Checked {
        let files: Vec<TreeFile> = self
            .files()
            .into_iter()
            .map(|(path, text)| TreeFile { path: path.into(), content: Ok(text.into_bytes()) })
            .collect();
        check(&files, &Limits::default())
    }

    fn files(&self) -> Vec<(String, String)> {
        let customers = (0..NAMES.len()).filter(|customer| self.customers[*customer].present);
        let policies = (0..OWN).filter(|policy| self.imports[*policy].present);
        customers
            .map(|customer| (format!("customers/{}.yaml", NAMES[customer]), self.customer_text(customer)))
            .chain(
                policies
                    .map(|policy| (format!("policies/{}.yaml", POLICIES[policy]), self.policy_text(policy))),
            )
            .collect()
    }

    fn customer_text(&self, customer: usize) -> String {
        let (file, name) = (&self.customers[customer], NAMES[customer]);
        if file.broken == Some(Breakage::Syntax) {
            return "apiVersion: [\n".to_owned();
        }
        let mut text = format!(
            "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {{name: {name}}}\nspec:\n  suspend: {}\n",
            file.suspended
        );
        if !Kind::of(customer).is_of_tenant() {
            let _ = writeln!(text, "  directories: [{{ldif: {{file: {name}.ldif}}}}]");
        }
        let _ = writeln!(text, "  tenant: {{snapshot: {{file: {name}.json}}}}");
        let entries: Vec<String> =
            file.protected.iter().map(|(id, name)| name.clone().unwrap_or_else(|| id.to_string())).collect();
        let _ = writeln!(text, "  protect: [{}]", entries.join(", "));
        let approved: Vec<String> = file.approved.iter().map(|digest| format!("\"{digest}\"")).collect();
        let _ = writeln!(text, "  approve: [{}]", approved.join(", "));
        if file.broken == Some(Breakage::Word) {
            text.push_str("  aprove: []\n");
        }
        for (holder, position, field) in [(4, OWN, "endUsers"), (0, ADMINISTRATORS, "administrators")] {
            if customer == holder && self.imports[position].present {
                let _ = writeln!(text, "  {field}:\n{}", self.spec(position, "    "));
            }
        }
        text
    }

    fn policy_text(&self, policy: usize) -> String {
        if self.imports[policy].broken == Some(Breakage::Syntax) {
            return "apiVersion: [\n".to_owned();
        }
        format!(
            "apiVersion: intake.dev/v1\nkind: ImportPolicy\nmetadata: {{name: {}}}\nspec:\n  accountType: EndUser\n  \
             customers: {{names: [{}]}}\n{}",
            POLICIES[policy],
            // A customer that is not there is an error of its own, and stops nobody.
            NAMES[policy],
            self.spec(policy, "  "),
        )
    }

    fn spec(&self, position: usize, indent: &str) -> String {
        let import = &self.imports[position];
        let typo = if import.typo { "X" } else { "" };
        let customer = if position == ADMINISTRATORS { 0 } else { position };
        let selection = match (position, Kind::of(customer)) {
            (ADMINISTRATORS, _) => format!("{{securityGroups: [{typo}Admins]}}"),
            (_, Kind::Ou) if import.narrow => {
                format!("{{organizationalUnits: [\"OU={typo}Team,OU=Staff\"]}}")
            }
            (_, Kind::Ou) => format!("{{organizationalUnits: [\"OU={typo}Staff\"]}}"),
            (_, Kind::Group) => format!("{{securityGroups: [{typo}Intake Users]}}"),
            (_, Kind::Licensed) => "{licensed: true}".to_owned(),
            (_, Kind::EntraGroup) => format!("{{entraGroups: [{typo}Intake Users]}}"),
        };
        let mut text = format!("{indent}selection: {selection}\n");
        if position != ADMINISTRATORS && !Kind::of(customer).is_of_tenant() {
            let _ = writeln!(
                text,
                "{indent}exclude:\n{indent}  - {{organizationalUnit: \"OU=Leavers,OU=Staff\"}}\n{indent}  - \
                 {{securityGroup: No Intake}}"
            );
        }
        if import.broken.is_some() {
            let _ = writeln!(text, "{indent}selectoin: {{}}");
        }
        let _ = writeln!(
            text,
            "{indent}removal: {{grace: {}h, window: {}h, maxPercent: {}, maxCount: {}, minCount: {}, allowEmpty: {}}}",
            import.grace_hours,
            import.window_hours,
            import.percent,
            import.count,
            import.minimum,
            import.allow_empty
        );
        text
    }
}
