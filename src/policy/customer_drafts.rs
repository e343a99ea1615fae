//! `Customer` documents for the organisations of a documentation system: which are new, which are known, and what
//! of a known one's document follows its organisation. Never guesses that two of one name are the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::model::contact::{Organization, Product};
use crate::model::text::{Text, fold, is_plain};
use crate::policy::check::TreeFile;
use crate::policy::fleet::{Customer, Fleet};
use crate::policy::source::{Ledger, Place, Source};
use crate::policy::yaml::{Node, parse, written};

/// How long a name may be: that of a DNS label.
const LONGEST_NAME: usize = 63;
/// What marks a display name that follows its organisation, after the connection's name: what it was when it
/// was written. Who writes another name, or takes the mark away, has a name of their own.
const MARK: &str = "# from ";

/// From where organisations are taken, and which.
#[derive(Debug)]
pub struct Import<'a> {
    /// The connection of the operator's file.
    pub connection: &'a str,
    /// Its product.
    pub product: Product,
    /// Hudu: the asset layout that holds people.
    pub asset_layout: Option<u64>,
    /// Only organisations of these types; empty for all.
    pub types: &'a [String],
    /// Only organisations of these statuses; empty for all.
    pub statuses: &'a [String],
    /// What a document says of its schema; the modeline of editors.
    pub schema: &'a str,
}

/// What importing organisations comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Drafts {
    /// Customers that are new, by name.
    pub new: Vec<Draft>,
    /// Files in which a display name follows its organisation.
    pub edits: Vec<Edit>,
    /// Organisations whose customer may be there already, which only a person can tell.
    pub unclear: Vec<Unclear>,
    /// How many organisations have their customer.
    pub known: usize,
    /// How many were left out, by the reason.
    pub left_out: BTreeMap<String, usize>,
    /// Customers of the tree whose organisation was not listed.
    pub unseen: Vec<(Text, Text)>,
}

/// A customer that is new.
#[derive(Debug, PartialEq, Eq)]
pub struct Draft {
    /// metadata.name.
    pub name: Text,
    /// The organisation's id.
    pub organization: Text,
    /// The document.
    pub document: String,
}

/// A display name that follows its organisation.
#[derive(Debug, PartialEq, Eq)]
pub struct Edit {
    /// Whose it is.
    pub customer: Text,
    /// The file, relative to the tree.
    pub path: PathBuf,
    /// What it was.
    pub before: String,
    /// What it is.
    pub after: String,
    /// The whole file before.
    pub original: String,
    /// The whole file with all its changes.
    pub content: String,
}

/// An organisation that may be a customer's.
#[derive(Debug, PartialEq, Eq)]
pub struct Unclear {
    /// Its name.
    pub name: Text,
    /// The customer that is called as it would be.
    pub customer: Text,
    /// The line that says that they are the same, as it stands below `documentation`.
    pub line: String,
}

/// Compares the organisations of a system with a tree.
pub fn customer_drafts(
    import: &Import<'_>,
    organizations: &[Organization],
    fleet: &Fleet,
    files: &[TreeFile],
) -> Drafts {
    let mut drafts = Drafts::default();
    let holders = holders(import.connection, fleet);
    let listed: BTreeSet<&Text> = organizations.iter().map(|organization| &organization.id).collect();
    for (id, customer) in &holders {
        if !listed.contains(id) {
            drafts.unseen.push((customer.name.clone(), (*id).clone()));
        }
    }
    let mut new: Vec<(&Organization, String)> = Vec::new();
    let names = display_names(files);
    let mut changes: Vec<Change<'_>> = Vec::new();
    for organization in organizations {
        // Whoever is in the tree stays, whatever the filters say.
        if let Some(customer) = holders.get(&organization.id) {
            drafts.known += 1;
            let at = names.get(&customer.name);
            changes.extend(at.and_then(|at| change(import.connection, organization, &customer.name, at)));
        } else if let Some(reason) = left_out(import, organization) {
            *drafts.left_out.entry(reason).or_default() += 1;
        } else {
            new.push((organization, name_of(organization)));
        }
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (_, name) in &new {
        *counts.entry(name.clone()).or_default() += 1;
    }
    let mut taken: BTreeSet<String> = fleet.customers.keys().map(Text::to_string).collect();
    for (organization, name) in new {
        let there = fleet.customers.get(name.as_str());
        let is_other = there.is_some_and(|customer| is_documented(customer, import.connection));
        // Two of one name are told apart by their ids, both: which came first says nothing.
        let is_shared = counts.get(&name).is_some_and(|count| *count > 1);
        // One that somebody wrote may be this very one.
        let is_unclear = there.is_some() && !is_other;
        let is_told_apart = is_other || (is_shared && !is_unclear);
        let name = if is_told_apart { with_id(&name, &organization.id) } else { name };
        if taken.insert(name.clone()) {
            let document = document(import, organization, &name);
            drafts.new.push(Draft {
                name: Text::from(name),
                organization: organization.id.clone(),
                document,
            });
        } else {
            drafts.unclear.push(Unclear {
                name: organization.name.clone(),
                customer: Text::from(name),
                line: format!("- {}", place(import, &organization.id)),
            });
        }
    }
    drafts.edits = edits(changes);
    drafts
        .new
        .sort_by(|left, right| (&left.name, &left.organization).cmp(&(&right.name, &right.organization)));
    drafts
}

/// Returns which customers have which organisations.
fn holders<'a>(connection: &str, fleet: &'a Fleet) -> BTreeMap<&'a Text, &'a Customer> {
    let mut holders = BTreeMap::new();
    for customer in fleet.customers.values() {
        for place in customer.documentation.iter().filter(|place| place.connection == connection) {
            holders.insert(&place.organization, customer);
        }
    }
    holders
}

fn is_documented(customer: &Customer, connection: &str) -> bool {
    customer.documentation.iter().any(|place| place.connection == connection)
}

/// Returns why an organisation is none of the customers.
fn left_out(import: &Import<'_>, organization: &Organization) -> Option<String> {
    let is_among = |word: &str, words: &[String]| words.iter().any(|wanted| fold(wanted) == fold(word));
    if organization.id.is_empty() || !organization.id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some("with an id that is no number".to_owned());
    }
    if organization.is_primary {
        return Some("the provider itself".to_owned());
    }
    if organization.is_archived {
        return Some("archived or deleted".to_owned());
    }
    if !import.types.is_empty() && !organization.types.iter().any(|word| is_among(word, import.types)) {
        let types: Vec<&str> = organization.types.iter().map(Text::as_str).collect();
        let types = if types.is_empty() { "none".to_owned() } else { types.join(", ") };
        return Some(format!("of type {types}"));
    }
    let status = organization.status.as_deref().unwrap_or("none");
    if !import.statuses.is_empty() && !is_among(status, import.statuses) {
        return Some(format!("of status {status}"));
    }
    None
}

/// Returns the name that an organisation gives its customer.
fn name_of(organization: &Organization) -> String {
    let slug = cut(&slug::slugify(organization.name.as_str()), LONGEST_NAME);
    if slug.is_empty() { with_id("organization", &organization.id) } else { slug }
}

fn with_id(name: &str, id: &str) -> String {
    let id = slug::slugify(id);
    let room = LONGEST_NAME.saturating_sub(id.len() + 1);
    format!("{}-{id}", cut(name, room))
}

/// Cuts a slug, which is ASCII, so that it still ends as a name may.
fn cut(slug: &str, most: usize) -> String {
    slug.get(..most).unwrap_or(slug).trim_matches('-').to_owned()
}

fn place(import: &Import<'_>, organization: &Text) -> String {
    let connection = written(import.connection);
    match import.product {
        Product::ItGlue => format!("{{connection: {connection}, organizationId: {}}}", quoted(organization)),
        Product::ConnectWise => format!("{{connection: {connection}, companyId: {organization}}}"),
        Product::Hudu => {
            let layout = import.asset_layout.map_or_else(|| "0".to_owned(), |layout| layout.to_string());
            format!("{{connection: {connection}, companyId: {organization}, assetLayoutId: {layout}}}")
        }
    }
}

fn document(import: &Import<'_>, organization: &Organization, name: &str) -> String {
    let shown = display_name(organization, name);
    format!(
        "# yaml-language-server: $schema={}\napiVersion: intake.dev/v1\nkind: Customer\nmetadata: {{name: {}}}\n\
         spec:\n  displayName: {}\n  # Next: `directories`, `tenant` or both. Until then the customer is not ready, and nobody is imported.\n  \
         documentation:\n    - {}\n",
        import.schema,
        written(name),
        marked(import.connection, &shown),
        place(import, &organization.id),
    )
}

/// Returns what an organisation is called, without what would act on what shows it.
fn display_name(organization: &Organization, name: &str) -> String {
    let shown: String = organization.name.chars().filter(|character| is_plain(*character)).collect();
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    if shown.is_empty() { name.to_owned() } else { shown }
}

/// A display name with the mark that lets it follow its organisation.
fn marked(connection: &str, shown: &str) -> String {
    format!("{} {MARK}{connection}: {}", quoted(shown), quoted(shown))
}

/// Quotes text as JSON does, and YAML takes it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Where the display names of customers stand: in which file, and from where to where, in bytes.
fn display_names(files: &[TreeFile]) -> BTreeMap<Text, (&Path, &str, usize, usize)> {
    let mut names = BTreeMap::new();
    for file in files {
        // What is no text was reported by whoever checked the tree.
        let Some(text) = file.content.as_ref().ok().and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
            continue;
        };
        let mut ledger = Ledger::default();
        let source = ledger.add(Source::new(&file.path, text.to_owned()));
        let skipped = text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
        for document in parse(source, 0, &mut ledger) {
            let Some((name, at)) = document.root.as_deref().and_then(display_name_of) else { continue };
            let (Ok(start), Ok(end)) = (usize::try_from(at.start), usize::try_from(at.end)) else { continue };
            names.insert(name, (file.path.as_path(), text, skipped + start, skipped + end));
        }
    }
    names
}

fn display_name_of(root: &Node) -> Option<(Text, Place)> {
    let is_customer = root.get("kind").and_then(|kind| kind.text()) == Some("Customer");
    let name = root.get("metadata")?.get("name")?.text().filter(|_| is_customer)?;
    Some((Text::from(name), root.get("spec")?.get("displayName")?.at))
}

/// A display name that is to be changed.
struct Change<'a> {
    customer: &'a Text,
    path: &'a Path,
    text: &'a str,
    /// From where to where, in bytes, and by what it is replaced.
    range: (usize, usize),
    by: String,
    before: String,
    after: String,
}

/// Finds a display name that is still the one that an earlier import wrote, where the organisation has another
/// one by now.
fn change<'a>(
    connection: &str,
    organization: &Organization,
    customer: &'a Text,
    &(path, text, start, end): &(&'a Path, &'a str, usize, usize),
) -> Option<Change<'a>> {
    let after = display_name(organization, customer);
    let line_end = text.get(start..)?.find('\n').map_or(text.len(), |at| start + at);
    let line_end = if text.get(..line_end)?.ends_with('\r') { line_end - 1 } else { line_end };
    let rest = text.get(end..line_end)?;
    let recorded = rest.trim_start().strip_prefix(MARK)?.strip_prefix(connection)?.strip_prefix(": ")?;
    let recorded: String = serde_json::from_str(recorded.trim_end()).ok()?;
    let before: String = serde_json::from_str(text.get(start..end)?).ok()?;
    if before != recorded || before == after {
        return None;
    }
    let by = marked(connection, &after);
    Some(Change { customer, path, text, range: (start, line_end), by, before, after })
}

/// Makes the changes of each file, from its end to its beginning, so that no place moves.
fn edits(mut changes: Vec<Change<'_>>) -> Vec<Edit> {
    changes.sort_by(|left, right| (left.path, right.range).cmp(&(right.path, left.range)));
    let mut contents: BTreeMap<&Path, String> = BTreeMap::new();
    for change in &changes {
        let content = contents.entry(change.path).or_insert_with(|| change.text.to_owned());
        content.replace_range(change.range.0..change.range.1, &change.by);
    }
    let mut edits: Vec<Edit> = changes
        .iter()
        .map(|change| Edit {
            customer: change.customer.clone(),
            path: change.path.to_owned(),
            before: change.before.clone(),
            after: change.after.clone(),
            original: change.text.to_owned(),
            content: contents.get(change.path).cloned().unwrap_or_default(),
        })
        .collect();
    edits.sort_by(|left, right| left.customer.cmp(&right.customer));
    edits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::check::check;
    use crate::policy::limits::{ConnectionKind, Limits};

    fn import(types: &[String]) -> Import<'_> {
        Import {
            connection: "glue",
            product: Product::ItGlue,
            asset_layout: None,
            types,
            statuses: &[],
            schema: "../schemas/intake.schema.json",
        }
    }

    fn organization(id: &str, name: &str) -> Organization {
        Organization {
            id: id.into(),
            name: name.into(),
            types: vec!["Customer".into()],
            status: Some("Active".into()),
            is_archived: false,
            is_primary: false,
            links: Vec::new(),
        }
    }

    fn tree(texts: &[(&str, &str)]) -> (Fleet, Vec<TreeFile>) {
        let file = |(path, text): &(&str, &str)| TreeFile {
            path: PathBuf::from(path),
            content: Ok(text.as_bytes().to_vec()),
        };
        let files: Vec<TreeFile> = texts.iter().map(file).collect();
        let mut limits = Limits::default();
        limits.connections.insert("glue".into(), ConnectionKind::Documentation(Product::ItGlue));
        let checked = check(&files, &limits);
        assert!(checked.problems.is_empty(), "{:?}", checked.problems);
        (checked.fleet, files)
    }

    fn drafts(organizations: &[Organization], texts: &[(&str, &str)]) -> Drafts {
        let (fleet, files) = tree(texts);
        customer_drafts(&import(&[]), organizations, &fleet, &files)
    }

    fn names(drafts: &Drafts) -> Vec<&str> {
        drafts.new.iter().map(|draft| draft.name.as_str()).collect()
    }

    #[test]
    fn what_is_written_is_a_tree_that_knows_its_organisations() {
        let all = [organization("7", "Müller & Söhne \"GmbH\": #1"), organization("8", "日本 株式会社")];
        let first = drafts(&all, &[]);
        assert_eq!(first.new.len(), 2);
        let texts: Vec<(String, &str)> =
            first.new.iter().map(|draft| (format!("{}.yaml", draft.name), draft.document.as_str())).collect();
        let texts: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let (fleet, _) = tree(&texts);
        let shown: Vec<&str> =
            fleet.customers.values().map(|customer| customer.display_name.as_str()).collect();
        assert!(
            shown.contains(&"Müller & Söhne \"GmbH\": #1") && shown.contains(&"日本 株式会社"),
            "{shown:?}"
        );
        let again = drafts(&all, &texts);
        assert_eq!((again.known, again.new.len(), again.edits.len()), (2, 0, 0));
    }

    #[test]
    fn two_of_one_name_are_told_apart_by_their_ids_and_stay_so() {
        let twins = [organization("7", "Contoso"), organization("8", "contoso!"), organization("9", "")];
        assert_eq!(names(&drafts(&twins, &[])), ["contoso-7", "contoso-8", "organization-9"]);
        let first = drafts(&twins[..1], &[]);
        assert_eq!(names(&first), ["contoso"]);
        let later = drafts(&twins[..2], &[("contoso.yaml", &first.new[0].document)]);
        assert_eq!((later.known, names(&later)), (1, vec!["contoso-8"]));
        let long = organization("12", &"long name ".repeat(20));
        let found = drafts(&[long.clone(), Organization { id: "13".into(), ..long }], &[]);
        assert!(found.new.iter().all(|draft| draft.name.len() <= LONGEST_NAME), "{:?}", names(&found));
        let longest = found.new[0].document.as_str();
        tree(&[("a.yaml", longest)]);
    }

    #[test]
    fn a_customer_of_the_same_name_is_for_a_person_to_judge() {
        let text = "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {name: contoso}\nspec: {tenant: {snapshot: {file: a.json}}}\n";
        let found = drafts(&[organization("7", "Contoso")], &[("a.yaml", text)]);
        assert!(found.new.is_empty());
        assert_eq!(found.unclear[0].line, "- {connection: glue, organizationId: \"7\"}");
        assert_eq!(found.unclear[0].customer, "contoso");
    }

    #[test]
    fn a_name_follows_its_organisation_until_somebody_writes_another() {
        let first = drafts(&[organization("7", "Contoso")], &[]);
        let renamed = [organization("7", "Contoso & Co")];
        let before =
            format!("# ours\r\n{}  # a note\n  protect: [ceo@contoso.test] # never\n", first.new[0].document);
        let found = drafts(&renamed, &[("all.yaml", &before)]);
        let [edit] = &found.edits[..] else { panic!("{found:?}") };
        assert_eq!((edit.before.as_str(), edit.after.as_str()), ("Contoso", "Contoso & Co"));
        assert_eq!(edit.original, before);
        let expected = before.replace(
            "\"Contoso\" # from glue: \"Contoso\"",
            "\"Contoso & Co\" # from glue: \"Contoso & Co\"",
        );
        assert_eq!(edit.content, expected, "nothing else changes");
        assert!(drafts(&renamed, &[("all.yaml", &expected)]).edits.is_empty());
        // A person's name stays, and so does one without the mark.
        for own in [
            before.replace("displayName: \"Contoso\"", "displayName: \"Contoso (Berlin)\""),
            before.replace(" # from glue: \"Contoso\"", ""),
            before.replace("displayName: \"Contoso\"", "displayName: Contoso"),
        ] {
            assert_ne!(own, before);
            assert!(drafts(&renamed, &[("all.yaml", &own)]).edits.is_empty(), "{own}");
        }
    }

    #[test]
    fn names_that_yaml_or_the_tree_would_take_otherwise_are_quoted_or_left_to_a_person() {
        let odd = [organization("1", "365"), organization("2", "True"), organization("3", "1e3")];
        let found = drafts(&odd, &[]);
        assert_eq!(names(&found), ["1e3", "365", "true"]);
        for draft in &found.new {
            let (fleet, _) = tree(&[("a.yaml", &draft.document)]);
            assert!(fleet.customers.contains_key(&draft.name), "{}", draft.document);
        }
        // A name that two organisations come to with their ids is somebody else's already.
        let text = "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {name: contoso-7}\nspec: {tenant: {snapshot: {file: a.json}}}\n";
        let twins =
            [organization("7", "Contoso"), organization("8", "Contoso"), organization("9", "Contoso 8")];
        let found = drafts(&twins, &[("a.yaml", text)]);
        let unclear: Vec<&str> = found.unclear.iter().map(|unclear| unclear.customer.as_str()).collect();
        assert_eq!((names(&found), unclear), (vec!["contoso-8"], vec!["contoso-7", "contoso-8"]));
        // An id is a number in all three products; what is none could be anything.
        let mut hostile = organization("7,x: y", "X");
        assert!(drafts(std::slice::from_ref(&hostile), &[]).new.is_empty());
        hostile.id = "".into();
        assert!(drafts(&[hostile], &[]).new.is_empty());
    }

    #[test]
    fn two_customers_of_one_file_are_both_changed() {
        let first = drafts(&[organization("7", "One"), organization("8", "Two")], &[]);
        let file = format!("{}---\n{}", first.new[0].document, first.new[1].document);
        let found =
            drafts(&[organization("7", "First"), organization("8", "Second")], &[("all.yaml", &file)]);
        let last = found.edits.last().expect("two edits");
        assert_eq!(found.edits.len(), 2);
        assert!(last.content.contains("\"First\" # from") && last.content.contains("\"Second\" # from"));
    }

    #[test]
    fn others_are_left_out_with_the_reason_and_nobody_leaves_the_tree() {
        let with = |change: fn(&mut Organization)| {
            let mut one = organization("7", "X");
            change(&mut one);
            one
        };
        let all = [
            with(|one| one.is_primary = true),
            with(|one| one.is_archived = true),
            with(|one| one.types = vec!["Vendor".into()]),
            with(|one| one.id = "8".into()),
        ];
        let types = ["customer".to_owned()];
        let (fleet, files) = tree(&[]);
        let found = customer_drafts(&import(&types), &all, &fleet, &files);
        assert_eq!(names(&found), ["x"]);
        let reasons: Vec<&str> = found.left_out.keys().map(String::as_str).collect();
        assert_eq!(reasons, ["archived or deleted", "of type Vendor", "the provider itself"]);
        let gone = drafts(&[], &[("x.yaml", &found.new[0].document)]);
        assert_eq!(gone.unseen, [("x".into(), "8".into())]);
    }
}
