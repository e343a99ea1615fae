//! Files to a fleet, or every problem at once: parse, read, check, resolve, compare.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::rc::Rc;

use crate::model::account::AccountType;
use crate::model::digest::Digester;
use crate::model::duration::Seconds;
use crate::model::text::Text;
use crate::policy::check_customer::{self, Context};
use crate::policy::check_import::{self, Built};
use crate::policy::check_selection::Misplaced;
use crate::policy::check_sharing::{self, Claims, Overlaps};
use crate::policy::document::{API_VERSION, Kind, Metadata};
use crate::policy::document_customer::CustomerSpec;
use crate::policy::document_import::{Block, ImportSpec};
use crate::policy::document_options::{Choices, OptionsSpec};
use crate::policy::document_part::Customers;
use crate::policy::fleet::{Customer, Exclusion, Fleet, Imports, Options};
use crate::policy::limits::Limits;
use crate::policy::problem::Problem;
use crate::policy::problem::Rule;
use crate::policy::reach::{Form, Reach, Selector, TOP_KEYS};
use crate::policy::read::{Given, Placed, Read, Record, check_keys, field, nearest, wrong_word};
use crate::policy::resolve::{Choice, Chooser, Offer, Offers};
use crate::policy::source::{Ledger, Place, Source, shown};
use crate::policy::yaml::{Content, Node, Parsed, parse};

/// The largest file that is read, in bytes.
pub const MAX_FILE: usize = 4 * 1024 * 1024;

/// A file of a tree.
#[derive(Debug, Clone)]
pub struct TreeFile {
    /// Relative to the tree.
    pub path: PathBuf,
    /// Its bytes, or why they could not be read.
    pub content: Result<Vec<u8>, String>,
}

/// What came of checking a tree.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What the tree says; what is broken in it is invalid there.
    pub fleet: Fleet,
    /// Everything that is wrong, by file, line and column.
    pub problems: Vec<Problem>,
}

/// A document, read as far as it can be.
struct Document {
    /// As the ledger numbers documents.
    id: usize,
    /// What it is; of a misspelt kind what was meant.
    kind: Option<Kind>,
    name: Option<Placed<Text>>,
    labels: BTreeMap<Text, Text>,
    /// Where problems of the whole are shown.
    at: Place,
    /// Its file, relative to the tree.
    file: PathBuf,
    root: Option<Rc<Node>>,
    spec: Spec,
}

enum Spec {
    Customer(Box<CustomerSpec>),
    Import(Box<ImportSpec>),
    Options(Box<OptionsSpec>),
    Broken,
}

/// Checks a tree. Pure: reads no file and asks nobody.
pub fn check(files: &[TreeFile], limits: &Limits) -> Checked {
    let mut files: Vec<&TreeFile> = files.iter().collect();
    files.sort_by(|left, right| left.path.cmp(&right.path));
    let mut ledger = Ledger::default();
    let mut documents = Vec::new();
    for file in &files {
        read_file(file, &mut documents, &mut ledger);
    }
    let names_are_known = documents.iter().all(|document| document.kind.is_some() && document.name.is_some());
    report_duplicates(&documents, &mut ledger);

    let policies = build_policies(&documents, limits, &mut ledger);
    let option_sets = build_options(&documents, limits, &mut ledger);
    let known: BTreeSet<Text> = names_of(&documents, Kind::Customer);
    report_unknown_names(&documents, &known, &mut ledger);

    let customers = build_customers(&documents, limits, &mut ledger);
    let claims: Vec<Claims<'_>> = customers
        .iter()
        .map(|(document, built)| Claims {
            name: &built.customer.name,
            document: document.id,
            claims: &built.claims,
        })
        .collect();
    check_sharing::sources(&claims, &known, &mut ledger);

    let fleet_customers = resolve(&documents, customers, &policies, &option_sets, limits, &mut ledger);
    let fleet = Fleet { revision: revision(&files), customers: fleet_customers, names_are_known };
    Checked { fleet, problems: ledger.finish() }
}

/// Returns the digest of the files: of their paths and contents, in order of path.
fn revision(files: &[&TreeFile]) -> Text {
    let mut digester = Digester::new("tree");
    for file in files {
        digester.field(shown(&file.path));
        digester.optional(file.content.as_ref().ok());
    }
    Text::from(digester.finish().to_string())
}

fn read_file(file: &TreeFile, documents: &mut Vec<Document>, ledger: &mut Ledger) {
    let mut broken = |text: String, offset: usize, what: String, help: Option<&str>, ledger: &mut Ledger| {
        let source = ledger.add(Source::new(&file.path, text));
        let start = u32::try_from(offset).unwrap_or(u32::MAX);
        let at = Place { source, start, end: start };
        let id = documents.len();
        ledger.own(Some(id));
        ledger.report(at, what).rule(Rule::Syntax).maybe_help(help.map(str::to_owned));
        documents.push(Document {
            id,
            kind: None,
            name: None,
            labels: BTreeMap::new(),
            at,
            file: file.path.clone(),
            root: None,
            spec: Spec::Broken,
        });
    };
    let bytes = match &file.content {
        Ok(bytes) => bytes,
        Err(reason) => {
            broken(String::new(), 0, format!("this file cannot be read: {reason}"), None, ledger);
            return;
        }
    };
    if bytes.len() > MAX_FILE {
        let what = format!("this file is larger than {} MiB", MAX_FILE / 1024 / 1024);
        broken(String::new(), 0, what, Some("split it into several"), ledger);
        return;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(error) => {
            let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
            let what = if utf16 { "this file is UTF-16, and not UTF-8" } else { "this is not UTF-8" };
            let text = String::from_utf8_lossy(bytes).into_owned();
            let bom = if text.starts_with('\u{feff}') { 3 } else { 0 };
            let offset = error.valid_up_to().saturating_sub(bom);
            broken(text, offset, what.to_owned(), Some("save the file as UTF-8"), ledger);
            return;
        }
    };
    let source = ledger.add(Source::new(&file.path, text));
    for parsed in parse(source, documents.len(), ledger) {
        let id = documents.len();
        documents.push(read_document(id, parsed, file.path.clone(), ledger));
    }
}

fn read_document(id: usize, parsed: Parsed, file: PathBuf, ledger: &mut Ledger) -> Document {
    ledger.own(Some(id));
    let Parsed { root, whole, at } = parsed;
    let mut document = Document {
        id,
        kind: None,
        name: None,
        labels: BTreeMap::new(),
        at,
        file,
        root: root.clone(),
        spec: Spec::Broken,
    };
    let Some(root) = root else { return document };
    document.at = root.at;
    if whole {
        if !check_keys(&root, &TOP_KEYS, "a document", ledger) {
            return document;
        }
    } else if !matches!(root.content, Content::Mapping(_)) {
        return document;
    }
    read_version(&root, whole, ledger);
    let kind = root.get("kind");
    let (kind, meant) = match kind {
        Some(node) => {
            let kind = Kind::read(node, ledger);
            let meant =
                node.text().and_then(|text| nearest(text, Kind::WORDS.iter().copied())).and_then(|word| {
                    [Kind::Customer, Kind::ImportPolicy, Kind::ImportOptions]
                        .into_iter()
                        .find(|kind| kind.code() == word)
                });
            (kind, kind.or(meant))
        }
        None => {
            if whole {
                let what = "`kind` is missing here";
                ledger
                    .report(root.at, what)
                    .rule(Rule::MissingKey)
                    .help("write `kind: Customer`, `ImportPolicy` or `ImportOptions`");
            }
            (None, None)
        }
    };
    document.kind = meant;
    read_metadata(&root, whole, &mut document, ledger);
    let Some(spec) = root.get("spec") else {
        if whole {
            ledger.report(root.at, "`spec` is missing here").rule(Rule::MissingKey);
        }
        return document;
    };
    // What a syntax error cut is not judged any further: most of it would be about what is missing.
    if let (Some(kind), true) = (kind.or(meant), whole) {
        document.spec = match kind {
            Kind::Customer => Read::read(spec, ledger).map(Spec::Customer),
            Kind::ImportPolicy => Read::read(spec, ledger).map(Spec::Import),
            Kind::ImportOptions => Read::read(spec, ledger).map(Spec::Options),
        }
        .unwrap_or(Spec::Broken);
    }
    document
}

fn read_version(root: &Node, whole: bool, ledger: &mut Ledger) {
    match root.get("apiVersion") {
        Some(node) if node.text() == Some(API_VERSION) => {}
        Some(node) => wrong_word(node, "version that Intake knows", &[API_VERSION], ledger),
        None if whole => {
            let what = "`apiVersion` is missing here";
            ledger
                .report(root.at, what)
                .rule(Rule::MissingKey)
                .help(format!("write `apiVersion: {API_VERSION}`"));
        }
        None => {}
    }
}

fn read_metadata(root: &Node, whole: bool, document: &mut Document, ledger: &mut Ledger) {
    let Some(node) = root.get("metadata") else {
        if whole {
            ledger
                .report(root.at, "`metadata` is missing here")
                .rule(Rule::MissingKey)
                .help("write `metadata: {name: …}`");
        }
        return;
    };
    // A name that stands before a syntax error is a name, unless the error may have cut it short.
    if !node.whole {
        return;
    }
    if let Some(metadata) = Metadata::read(node, ledger) {
        let name = metadata.name;
        document.name = Some(Placed { value: name.value.0, at: name.at });
        let labels = metadata.labels.into_iter().flat_map(|labels| labels.0);
        document.labels = labels.map(|(key, value)| (Text::from(key.value.as_str()), value.0)).collect();
    }
}

fn names_of(documents: &[Document], kind: Kind) -> BTreeSet<Text> {
    documents
        .iter()
        .filter(|document| document.kind == Some(kind))
        .filter_map(|document| document.name.as_ref().map(|name| name.value.clone()))
        .collect()
}

/// Reports objects of one kind and name; both are broken then.
fn report_duplicates(documents: &[Document], ledger: &mut Ledger) {
    let mut seen: BTreeMap<(Kind, &Text), (usize, Place)> = BTreeMap::new();
    for document in documents {
        let (Some(kind), Some(name)) = (document.kind, &document.name) else { continue };
        let Some((first, first_at)) = seen.get(&(kind, &name.value)).copied() else {
            seen.insert((kind, &name.value), (document.id, name.at));
            continue;
        };
        ledger.own(Some(document.id));
        let what = format!("a second {} is called `{}`", kind.code(), name.value);
        ledger.report(name.at, what.clone()).rule(Rule::Duplicate).label(first_at, "the first one");
        let line = format!("{}: {what}", ledger.at(name.at));
        ledger.taint(first, line);
    }
}

/// Reports customers that a document names and the tree does not have. It stops nobody.
fn report_unknown_names(documents: &[Document], known: &BTreeSet<Text>, ledger: &mut Ledger) {
    ledger.own(None);
    for document in documents {
        // Of a broken document too, whose other problems are told already.
        let of_broken = || {
            let spec = document.root.as_ref()?.get("spec")?;
            field::<Customers>(spec, "customers", &mut Ledger::default())
        };
        let read;
        let customers: Option<&Customers> = match (&document.spec, document.kind) {
            (Spec::Import(spec), _) => spec.customers.as_ref(),
            (Spec::Options(spec), _) => spec.customers.as_ref(),
            (Spec::Broken, Some(Kind::ImportPolicy | Kind::ImportOptions)) => {
                read = of_broken();
                read.as_ref()
            }
            (Spec::Broken | Spec::Customer(_), _) => None,
        };
        for name in customers.iter().flat_map(|customers| customers.names.iter().flatten()) {
            if !known.contains(&name.value.0) {
                ledger
                    .report(name.at, format!("there is no customer `{}`", name.value.0))
                    .rule(Rule::UnknownReference)
                    .suggest(&name.value.0, known.iter().map(Text::as_str));
            }
        }
    }
}

/// The policies, or options, of a tree: what each says, and how they are chosen.
struct Candidates<T> {
    by_document: HashMap<usize, T>,
    by_name: BTreeMap<Text, usize>,
    offers: Vec<Offer>,
}

/// Returns what a document offers to customers, broken or not. A document of unknown kind may be
/// anything, so it offers, too.
fn offer(
    document: &Document,
    reach: Option<Reach>,
    default_at: Option<Place>,
    form: &Form<'_>,
    ledger: &Ledger,
) -> Offer {
    let broken = ledger.broken(document.id).to_vec();
    let reach = match reach {
        Some(reach) if broken.is_empty() => reach,
        _ if document.kind.is_none() => Reach::unknown(),
        _ => Reach::of_broken(document.root.as_ref(), form),
    };
    let name = document.name.as_ref().map(|name| name.value.clone());
    let at = document.name.as_ref().map_or(document.at, |name| name.at);
    Offer { document: document.id, name, at, reach, default_at, broken }
}

fn reach(account_type: AccountType, customers: Option<&Customers>, default: Option<&Placed<bool>>) -> Reach {
    Reach {
        types: vec![account_type],
        customers: Some(Selector::of(customers)),
        may_be_default: default.is_some_and(|default| default.value),
    }
}

fn default_at(default: Option<&Placed<bool>>) -> Option<Place> {
    default.filter(|default| default.value).map(|default| default.at)
}

/// A policy as the tree has it.
struct Policy<'a> {
    spec: &'a ImportSpec,
    built: Option<Built>,
}

fn build_policies<'a>(
    documents: &'a [Document],
    limits: &Limits,
    ledger: &mut Ledger,
) -> Candidates<Policy<'a>> {
    let mut candidates =
        Candidates { by_document: HashMap::new(), by_name: BTreeMap::new(), offers: Vec::new() };
    let form = Form { keys: &ImportSpec::keys(), required: &["accountType", "selection"] };
    for document in documents {
        if !matches!(document.kind, None | Some(Kind::ImportPolicy)) {
            continue;
        }
        ledger.own(Some(document.id));
        let mut healthy = None;
        let mut default = None;
        if let Spec::Import(spec) = &document.spec {
            let name = document.name.as_ref().map_or_else(Text::default, |name| name.value.clone());
            let holder = document.name.as_ref().map_or(document.at, |name| name.at);
            let account_type = spec.account_type.value;
            let built = check_import::import(&spec.rules, account_type, name.clone(), holder, limits, ledger);
            healthy = Some(reach(account_type, spec.customers.as_ref(), spec.default.as_ref()));
            default = default_at(spec.default.as_ref());
            candidates.by_document.insert(document.id, Policy { spec, built });
        }
        if let (Some(name), Some(_)) = (&document.name, document.kind) {
            candidates.by_name.entry(name.value.clone()).or_insert(document.id);
        }
        candidates.offers.push(offer(document, healthy, default, &form, ledger));
    }
    candidates
}

fn build_options(documents: &[Document], limits: &Limits, ledger: &mut Ledger) -> Candidates<Options> {
    let mut candidates =
        Candidates { by_document: HashMap::new(), by_name: BTreeMap::new(), offers: Vec::new() };
    let form = Form { keys: &OptionsSpec::keys(), required: &["accountType"] };
    for document in documents {
        if !matches!(document.kind, None | Some(Kind::ImportOptions)) {
            continue;
        }
        ledger.own(Some(document.id));
        let mut healthy = None;
        let mut default = None;
        if let Spec::Options(spec) = &document.spec {
            let holder = document.name.as_ref().map_or(document.at, |name| name.at);
            let options = check_import::options(&spec.choices, holder, limits, ledger);
            healthy = Some(reach(spec.account_type.value, spec.customers.as_ref(), spec.default.as_ref()));
            default = default_at(spec.default.as_ref());
            candidates.by_document.insert(document.id, options);
        }
        candidates.offers.push(offer(document, healthy, default, &form, ledger));
    }
    candidates
}

fn build_customers<'a>(
    documents: &'a [Document],
    limits: &Limits,
    ledger: &mut Ledger,
) -> Vec<(&'a Document, check_customer::Built)> {
    let mut customers = Vec::new();
    for document in documents {
        let (Some(Kind::Customer), Some(name)) = (document.kind, &document.name) else { continue };
        ledger.own(Some(document.id));
        let folder = document.file.parent().map_or_else(PathBuf::new, PathBuf::from);
        let mut context = Context { name: &name.value, folder, limits, ledger };
        let built = match &document.spec {
            Spec::Customer(spec) => check_customer::customer(spec, name.at, &mut context),
            _ => check_customer::Built {
                customer: Customer::named(name.value.clone()),
                exclude: Vec::new(),
                claims: Vec::new(),
            },
        };
        customers.push((document, built));
    }
    customers
}

fn resolve(
    documents: &[Document],
    customers: Vec<(&Document, check_customer::Built)>,
    policies: &Candidates<Policy<'_>>,
    option_sets: &Candidates<Options>,
    limits: &Limits,
    ledger: &mut Ledger,
) -> BTreeMap<Text, Customer> {
    let mut policy_offers = Offers::arrange("policy", policies.offers.clone(), ledger);
    let mut options_offers = Offers::arrange("options", option_sets.offers.clone(), ledger);
    let mut overlaps = Overlaps::default();
    let mut misplaced = Misplaced::default();
    let mut fleet: BTreeMap<Text, Customer> = BTreeMap::new();
    for (document, built) in customers {
        let check_customer::Built { mut customer, exclude, claims } = built;
        ledger.own(Some(document.id));
        let spec = match &document.spec {
            Spec::Customer(spec) => Some(spec.as_ref()),
            _ => None,
        };
        let mut turn = Turn { document, exclude: &exclude, policies, documents, limits };
        let mut valid: BTreeMap<AccountType, Vec<Built>> = BTreeMap::new();
        for account_type in AccountType::ALL {
            let block = spec.and_then(|spec| block(spec, account_type));
            match turn.imports(&customer.name, block, account_type, &mut policy_offers, ledger) {
                Ok(imports) if imports.is_empty() => {}
                Ok(imports) => {
                    valid.insert(account_type, imports);
                }
                Err(why) => {
                    customer.imports.insert(account_type, Imports::Invalid(why));
                }
            }
            let own = spec.and_then(|spec| own_options(spec, account_type));
            let chooser = Chooser {
                name: &customer.name,
                labels: &document.labels,
                own: own.map(|own| (own.at, None)),
            };
            let options = match options_offers.choose(&chooser, account_type, ledger) {
                Choice::Own => own.and_then(|own| {
                    let choices = own.value.as_ref()?;
                    Some(check_import::options(choices, own.at, limits, ledger))
                }),
                Choice::Documents(ids) => ids.first().and_then(|id| option_sets.by_document.get(id)).cloned(),
                // Options never say who is imported, so broken ones stop no import; what holds then
                // writes nothing into other systems.
                Choice::Nothing | Choice::Unclear(_) => None,
            };
            customer.options.insert(account_type, options.unwrap_or_else(|| built_in_options(limits)));
        }
        let overlap = overlaps.compare(&customer.name, &customer.directories, &valid);
        // The directories' claims come first.
        let directory = claims.first().filter(|_| !customer.directories.is_empty()).map(|claim| claim.at);
        let misplaced = misplaced.find(&customer.name, directory, &valid);
        for (account_type, imports) in valid {
            let imports = match overlap.as_ref().or(misplaced.get(&account_type)) {
                Some(what) => Imports::Invalid(vec![what.clone()]),
                None => Imports::Valid(imports.into_iter().map(|built| built.import).collect()),
            };
            customer.imports.insert(account_type, imports);
        }
        customer.invalid = ledger.broken(document.id).to_vec();
        match fleet.get_mut(&customer.name) {
            // Of two documents of one name neither counts.
            Some(first) => first.invalid.extend(customer.invalid),
            None => {
                fleet.insert(customer.name.clone(), customer);
            }
        }
    }
    policy_offers.report_collisions(ledger);
    options_offers.report_collisions(ledger);
    overlaps.report(ledger);
    misplaced.report(ledger);
    fleet
}

fn built_in_options(limits: &Limits) -> Options {
    Options {
        interval: limits.min_interval.max(Seconds(10_800)),
        match_documentation: true,
        create_missing_documentation: false,
        publish: Vec::new(),
    }
}

fn block(spec: &CustomerSpec, account_type: AccountType) -> Option<&Given<Block>> {
    match account_type {
        AccountType::EndUser => spec.end_users.as_ref(),
        AccountType::Administrator => spec.administrators.as_ref(),
    }
}

fn own_options(spec: &CustomerSpec, account_type: AccountType) -> Option<&Given<Choices>> {
    let options = spec.options.as_ref()?;
    match account_type {
        AccountType::EndUser => options.end_users.as_ref(),
        AccountType::Administrator => options.administrators.as_ref(),
    }
}

/// The resolution of one customer.
struct Turn<'a> {
    document: &'a Document,
    exclude: &'a [Exclusion],
    policies: &'a Candidates<Policy<'a>>,
    documents: &'a [Document],
    limits: &'a Limits,
}

impl Turn<'_> {
    /// Returns the imports that apply, or why that cannot be told.
    fn imports(
        &mut self,
        name: &Text,
        block: Option<&Given<Block>>,
        account_type: AccountType,
        offers: &mut Offers,
        ledger: &mut Ledger,
    ) -> Result<Vec<Built>, Vec<String>> {
        let base = block.and_then(|block| block.value.as_ref()).and_then(|block| block.policy.as_ref());
        let chooser = Chooser {
            name,
            labels: &self.document.labels,
            own: block.map(|block| (block.at, base.map(|name| name.value.0.clone()))),
        };
        let mut imports = match offers.choose(&chooser, account_type, ledger) {
            Choice::Nothing => Vec::new(),
            Choice::Unclear(why) => return Err(why),
            Choice::Documents(ids) => {
                let built = ids.iter().filter_map(|id| self.policies.by_document.get(id));
                built.filter_map(|policy| policy.built.clone()).collect()
            }
            Choice::Own => match block {
                Some(block) => vec![self.own(name, block, account_type, ledger)?],
                None => Vec::new(),
            },
        };
        for built in &mut imports {
            built.import.exclude.extend(self.exclude.iter().cloned());
        }
        Ok(imports)
    }

    /// Builds the customer's own import.
    fn own(
        &self,
        name: &Text,
        given: &Given<Block>,
        account_type: AccountType,
        ledger: &mut Ledger,
    ) -> Result<Built, Vec<String>> {
        let broken = || vec![format!("the customer's own import for {account_type} is broken")];
        let block = given.value.as_ref().ok_or_else(broken)?;
        let rules = match &block.policy {
            None => block.rules.clone(),
            Some(policy) => block.rules.over(&self.base(policy, account_type, ledger)?.rules),
        };
        let recorded = Text::from(format!("customer/{name}"));
        check_import::import(&rules, account_type, recorded, given.at, self.limits, ledger).ok_or_else(broken)
    }

    /// Finds the policy that a block starts from.
    fn base(
        &self,
        policy: &Placed<crate::policy::value::Name>,
        account_type: AccountType,
        ledger: &mut Ledger,
    ) -> Result<&ImportSpec, Vec<String>> {
        let name = &policy.value.0;
        let Some(id) = self.policies.by_name.get(name) else {
            let what = format!("there is no policy `{name}`");
            let known = self.policies.by_name.keys().map(Text::as_str);
            ledger.report(policy.at, what.clone()).rule(Rule::UnknownReference).suggest(name, known);
            return Err(vec![what]);
        };
        let broken = ledger.broken(*id);
        if let Some(first) = broken.first() {
            return Err(vec![format!("the policy `{name}` is broken: {first}")]);
        }
        let Some(found) = self.policies.by_document.get(id) else {
            return Err(vec![format!("the policy `{name}` is broken")]);
        };
        if found.spec.account_type.value != account_type {
            let what = format!(
                "the policy `{name}` is for {}, and not for {account_type}",
                found.spec.account_type.value
            );
            let place =
                self.documents.get(*id).and_then(|document| document.name.as_ref()).map(|name| name.at);
            let report = ledger.report(policy.at, what.clone()).rule(Rule::UnknownReference);
            if let Some(place) = place {
                report.label(place, "the policy");
            }
            return Err(vec![what]);
        }
        Ok(found.spec)
    }
}
