//! `schema`: writes the JSON Schemas of policy files.

use std::fs;

use crate::cli::arguments::SchemaArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::session::Session;
use crate::cli::wiring;

/// Runs the command.
///
/// # Errors
/// If a file cannot be written.
pub fn run(session: &mut Session, arguments: &SchemaArguments) -> Result<Exit, Failure> {
    let folder = &arguments.folder;
    let failed = |path: &std::path::Path, error: &std::io::Error| {
        Failure::of(&format!("cannot write `{}`", path.display()), error)
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    for (name, text) in wiring::schemas() {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, &error))?;
        session.out.text(&format!("{}\n", path.display()))?;
    }
    Ok(Exit::Done)
}
