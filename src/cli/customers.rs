//! `customers import`: `Customer` documents for the organisations of a documentation system.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::cli::arguments::{CustomersImportArguments, ImportFrom};
use crate::cli::exit::{Exit, Failure};
use crate::cli::session::Session;
use crate::cli::wiring::{self, Operator};
use crate::model::contact::{Organization, Product};
use crate::model::reading::Reading;
use crate::model::text::{Text, inert};
use crate::policy::customer_drafts::{Drafts, Import, customer_drafts};
use crate::policy::source::shown;
use crate::ports::meter::Unmeasured;

/// Where new documents are put, below the tree.
const FOLDER: &str = "customers";

/// Runs the command.
///
/// # Errors
/// If there is no such connection, its system cannot be read whole, or a file cannot be written.
pub async fn import(session: &mut Session, arguments: &CustomersImportArguments) -> Result<Exit, Failure> {
    let operator = session.operator()?;
    let product = arguments.from.product();
    let connection = connection(&operator, product, arguments.connection.as_deref())?;
    if (product == Product::Hudu) != arguments.asset_layout.is_some() {
        return Err(match product {
            Product::Hudu => Failure::new("`--asset-layout` is missing: people are assets in Hudu").hint(
                "give the id of the asset layout that people have there; it is in the layout's address",
            ),
            _ => Failure::new(format!("`--asset-layout` is for Hudu, and not for {}", product.name())),
        });
    }
    let root = &arguments.tree.tree;
    let files = wiring::policy_files(root)?;
    let tree = wiring::check_files(&files, &operator, session.colours.err);
    if !tree.fleet.names_are_known {
        session.tell_problems(&tree);
        return Err(Failure::new(
            "a document does not tell its kind and name: its customer would be made twice",
        )
        .hint("correct what is told above"));
    }
    let broken = tree.fleet.customers.values().find(|customer| !customer.invalid.is_empty());
    if let Some(broken) = broken {
        session.tell_problems(&tree);
        let what =
            format!("the document of `{}` has errors: which organisation it has is not known", broken.name);
        return Err(Failure::new(what).hint("correct what is told above"));
    }
    let organizations = organizations(session, &operator, &connection).await?;
    let folder = root.join(FOLDER);
    let import = Import {
        connection: &connection,
        product,
        asset_layout: arguments.asset_layout,
        types: &arguments.types,
        statuses: &arguments.statuses,
        schema: &schema_from(&folder),
    };
    let drafts = customer_drafts(&import, &organizations, &tree.fleet, &files);
    let mut exit = Exit::Done;
    if arguments.write {
        exit = write(session, root, &drafts)?;
    }
    show(session, &drafts, arguments.write)?;
    tell(session, &connection, &drafts, arguments.write);
    Ok(exit)
}

/// Returns the one connection of a product, or the one that was named.
fn connection(operator: &Operator, product: Product, named: Option<&str>) -> Result<Text, Failure> {
    let known = operator.documentation_connections(product);
    let names = known.join("`, `");
    match (named, &known[..]) {
        (Some(named), _) if known.iter().any(|known| known == named) => Ok(Text::from(named)),
        (Some(named), _) => {
            let failure = Failure::new(format!("`{}` is no connection to {}", inert(named), product.name()));
            Err(if known.is_empty() { failure } else { failure.hint(format!("there is `{names}`")) })
        }
        (None, [one]) => Ok(one.clone()),
        (None, []) => {
            Err(Failure::new(format!("there is no connection to {}", product.name())).hint(format!(
                "connections are in the operator's file (`--config`): `connections: {{NAME: {{{}: …}}}}`",
                product.code()
            )))
        }
        (None, _) => Err(Failure::new(format!("there are several connections to {}", product.name()))
            .hint(format!("name one with `--connection`: `{names}`"))),
    }
}

async fn organizations(
    session: &Session,
    operator: &Operator,
    connection: &str,
) -> Result<Vec<Organization>, Failure> {
    let systems = operator.documentation(session.common.max_wait, Arc::new(Unmeasured));
    let cannot = |what: &str| {
        Failure::new(format!("the organisations of `{connection}` cannot be listed: {}", inert(what)))
    };
    let system = systems.open(connection).map_err(|fault| cannot(&fault.with_hint()))?;
    match system.organizations().await {
        Reading::Complete(organizations) => Ok(organizations),
        Reading::Incomplete(shortfall) => Err(cannot(&shortfall.what)),
        Reading::Unavailable(fault) => {
            let failure = cannot(&fault.what);
            Err(match fault.hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            })
        }
    }
}

/// Returns where `schemas/` is, as a document in a folder names it: beside the tree or in it, as `init` and
/// `schema` put it.
fn schema_from(folder: &Path) -> String {
    let name = "schemas/intake.schema.json";
    let up = (1..=6).find(|up| {
        let above = folder.components().count() > 0 && folder.ancestors().nth(*up).is_some();
        let path = folder.ancestors().nth(*up).map(|above| above.join(name));
        above && path.is_some_and(|path| path.is_file())
    });
    format!("{}{name}", "../".repeat(up.unwrap_or(2)))
}

/// Writes new documents, and display names that follow their organisations. What is there already is never
/// overwritten; the failure of one stops no other.
fn write(session: &Session, root: &Path, drafts: &Drafts) -> Result<Exit, Failure> {
    let folder = root.join(FOLDER);
    let mut exit = Exit::Done;
    if !drafts.new.is_empty() {
        fs::create_dir_all(&folder)
            .map_err(|error| Failure::of(&format!("{} cannot be made", shown(&folder)), &error))?;
    }
    for draft in &drafts.new {
        let path = folder.join(format!("{}.yaml", draft.name));
        let written = fs::File::create_new(&path).and_then(|mut file| {
            let written = file.write_all(draft.document.as_bytes()).and_then(|()| file.sync_all());
            // Half a document would be a broken one at the next run.
            written.inspect_err(|_| drop(fs::remove_file(&path)))
        });
        if let Err(error) = written {
            session.complain(&Failure::of(&format!("{} was not written", shown(&path)), &error));
            exit = Exit::Error;
        }
    }
    // Of a file with several changes the last content has them all.
    for (number, edit) in drafts.edits.iter().enumerate() {
        if drafts.edits[number + 1..].iter().any(|later| later.path == edit.path) {
            continue;
        }
        let path = root.join(&edit.path);
        if let Err(error) = replace(&path, &edit.original, &edit.content) {
            session.complain(&Failure::of(&format!("{} was not changed", shown(&path)), &error));
            exit = Exit::Error;
        }
    }
    Ok(exit)
}

/// Replaces a file whole, if it is still what it was read as: whoever reads it meanwhile sees the old one or the new
/// one, and what a person wrote meanwhile stays.
fn replace(path: &Path, original: &str, content: &str) -> std::io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = fs::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let beside = folder.join(format!(".intake-{}.tmp", uuid::Uuid::new_v4()));
    let permissions = fs::metadata(&path)?.permissions();
    let mut file = fs::File::create_new(&beside)?;
    let replaced = file
        .write_all(content.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::set_permissions(&beside, permissions))
        .and_then(|()| match fs::read(&path)? == original.as_bytes() {
            true => fs::rename(&beside, &path),
            false => Err(std::io::Error::other("somebody changed it meanwhile")),
        });
    if replaced.is_err() {
        let _ = fs::remove_file(&beside);
    }
    replaced
}

fn show(session: &mut Session, drafts: &Drafts, is_written: bool) -> Result<(), Failure> {
    if session.is_json() {
        let new: Vec<_> = drafts
            .new
            .iter()
            .map(|draft| json!({"name": draft.name, "organization": draft.organization, "document": draft.document}))
            .collect();
        let updated: Vec<_> = drafts
            .edits
            .iter()
            .map(|edit| json!({"name": edit.customer, "file": shown(&edit.path), "before": edit.before, "after": edit.after}))
            .collect();
        let unclear: Vec<_> = drafts
            .unclear
            .iter()
            .map(|unclear| json!({"organization": unclear.name, "customer": unclear.customer, "line": unclear.line}))
            .collect();
        let unseen: Vec<_> =
            drafts.unseen.iter().map(|(name, id)| json!({"name": name, "organization": id})).collect();
        return session.out.json(&json!({
            "new": new, "updated": updated, "unclear": unclear, "unseen": unseen,
            "known": drafts.known, "leftOut": drafts.left_out,
        }));
    }
    if is_written {
        for draft in &drafts.new {
            session.out.text(&format!("{FOLDER}/{}.yaml\n", inert(&draft.name)))?;
        }
        for edit in &drafts.edits {
            session.out.text(&format!(
                "{}: displayName {} → {}\n",
                shown(&edit.path),
                inert(&edit.before),
                inert(&edit.after)
            ))?;
        }
        return Ok(());
    }
    let documents: Vec<&str> = drafts.new.iter().map(|draft| draft.document.as_str()).collect();
    session.out.text(&documents.join("---\n"))
}

/// Tells on stderr what is beside the documents.
fn tell(session: &Session, connection: &str, drafts: &Drafts, is_written: bool) {
    let Drafts { new, edits, unclear, known, left_out, unseen } = drafts;
    session.note(&format!(
        "{} new, {} renamed, {} to be judged, {known} known{}.",
        new.len(),
        edits.len(),
        unclear.len(),
        if is_written || (new.is_empty() && edits.is_empty()) { "" } else { "; `--write` writes them" },
    ));
    for edit in edits.iter().filter(|_| !is_written) {
        session.note(&format!(
            "{}: `{}` is called {} by now, and was {}",
            shown(&edit.path),
            inert(&edit.customer),
            inert(&edit.after),
            inert(&edit.before)
        ));
    }
    for unclear in unclear {
        session.note(&format!(
            "{} may be the customer `{}`, which is not documented there. If it is, write below its `documentation`: {}",
            inert(&unclear.name), inert(&unclear.customer), unclear.line
        ));
    }
    for (name, id) in unseen {
        session.note(&format!(
            "source-shrunk: the key of `{connection}` does not see organisation {} of `{}`; its document stays",
            inert(id), inert(name)
        ));
    }
    for (reason, count) in left_out {
        session.note(&format!("left out: {count} {}", inert(reason)));
    }
}

impl ImportFrom {
    fn product(self) -> Product {
        match self {
            Self::Itglue => Product::ItGlue,
            Self::Hudu => Product::Hudu,
            Self::Connectwise => Product::ConnectWise,
        }
    }
}
