//! `init`: starts a tree for a newcomer, all of it or nothing, and never over a file that is there.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use serde_json::json;

use crate::cli::arguments::{InitArguments, Pipeline};
use crate::cli::exit::{Exit, Failure};
use crate::cli::init_files::{Answers, DirectoryAnswers, TREE, files, secrets};
use crate::cli::session::{Session, quoted};
use crate::cli::wiring;
use crate::model::text::inert;

/// Runs the command.
///
/// # Errors
/// If something that is needed was not said, is wrong, or if a file is there already: nothing is written then.
pub fn run(session: &mut Session, arguments: &InitArguments) -> Result<Exit, Failure> {
    let answers = answers(session, arguments)?;
    let mut files = files(&answers);
    check(&answers, &files)?;
    files.extend(wiring::schemas().into_iter().map(|(name, text)| (Path::new("schemas").join(name), text)));
    write(&arguments.folder, &files)?;
    let paths: Vec<String> = files.iter().map(|(path, _)| path.display().to_string()).collect();
    if session.is_json() {
        session.out.json(&json!({"created": paths}))?;
    } else {
        for path in &paths {
            session.out.text(&format!("{}\n", inert(path)))?;
        }
    }
    session.note(&next_steps(session, &arguments.folder, &answers));
    Ok(Exit::Done)
}

/// Says what to do with the files.
fn next_steps(session: &Session, folder: &Path, answers: &Answers) -> String {
    let program = inert(&session.program);
    let mut steps = String::from("\nNext:\n");
    if folder != Path::new(".") {
        steps.push_str(&format!("  cd {}\n", inert(&quoted(&folder.display().to_string()))));
    }
    steps.push_str(&format!("  {program} validate {TREE} --config operator.yaml\n"));
    for secret in secrets(answers) {
        steps.push_str(&format!("  export {secret}=…\n"));
    }
    if answers.directory.is_some() {
        steps.push_str(&format!("  {program} discover ous {TREE} --customer {}\n", answers.customer));
    }
    steps + &format!("  {program} plan {TREE} --config operator.yaml")
}

/// Collects what was typed, and asks for the rest where there is somebody to ask.
fn answers(session: &Session, arguments: &InitArguments) -> Result<Answers, Failure> {
    let mut ask = Ask { session, is_terminal: io::stdin().is_terminal() && io::stderr().is_terminal() };
    let customer = match session.common.customers.as_slice() {
        [] => ask.needed("What is the customer called? Small letters, digits and -", "--customer")?,
        [customer] => customer.clone(),
        _ => return Err(Failure::new("`init` starts a tree with one customer: give `--customer` once")),
    };
    // Whoever typed one source said all there is.
    let typed = arguments.domain.is_some() || !arguments.urls.is_empty() || arguments.tenant.is_some();
    let domain = match &arguments.domain {
        None if !typed => ask.wanted("Which Active Directory domain has it? contoso.test, or nothing")?,
        domain => domain.clone(),
    };
    let tenant = match &arguments.tenant {
        None if !typed => ask.wanted("Which Microsoft 365 tenant? contoso.com, or nothing")?,
        tenant => tenant.clone(),
    };
    let directory = directory(&mut ask, arguments, domain)?;
    if directory.is_none() && tenant.is_none() {
        return Err(Failure::new("without a directory and a tenant there is nobody to import")
            .hint("give `--domain`, `--tenant` or both"));
    }
    let pipeline = match arguments.ci {
        Some(pipeline) => pipeline,
        None => ask.pipeline()?,
    };
    Ok(Answers { customer, directory, tenant, pipeline })
}

fn directory(
    ask: &mut Ask<'_>,
    arguments: &InitArguments,
    domain: Option<String>,
) -> Result<Option<DirectoryAnswers>, Failure> {
    match (domain, arguments.urls.as_slice()) {
        (None, []) => Ok(None),
        (None, _) => Err(Failure::new("`--url` says where the servers are, and not of which domain")
            .hint("give `--domain` as well, `contoso.test` for example")),
        (Some(domain), []) => {
            let usual = format!("ldaps://dc1.{domain}");
            let url = ask.wanted(&format!("At which address is a domain controller? Nothing: {usual}"))?;
            Ok(Some(DirectoryAnswers { urls: vec![url.unwrap_or(usual)], domain }))
        }
        (Some(domain), urls) => Ok(Some(DirectoryAnswers { domain, urls: urls.to_vec() })),
    }
}

/// Whom to ask what was not typed.
struct Ask<'a> {
    session: &'a Session,
    is_terminal: bool,
}

impl Ask<'_> {
    fn needed(&mut self, question: &str, flag: &str) -> Result<String, Failure> {
        self.wanted(question)?.ok_or_else(|| {
            Failure::new(format!("`{flag}` is missing, and nobody said it on a terminal"))
                .hint("`intake init --customer contoso --domain contoso.test --tenant contoso.com`")
        })
    }

    /// Asks for what may be nothing. Where nobody can be asked, it is nothing.
    fn wanted(&mut self, question: &str) -> Result<Option<String>, Failure> {
        if !self.is_terminal {
            return Ok(None);
        }
        self.session.bar.write_err(format!("{}: ", inert(question)).as_bytes());
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        match read.map_err(|error| Failure::of("cannot read the answer", &error))? {
            0 => Err(Failure::new("not started: nothing was written")),
            _ => Ok(Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty())),
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, Failure> {
        let answer = self.wanted("Which pipeline checks the tree? github, gitlab, or nothing for none")?;
        let answer = answer.unwrap_or_else(|| "none".to_owned());
        Pipeline::from_str(&answer, true).map_err(|_| {
            Failure::new(format!("`{answer}` is no pipeline that `init` knows"))
                .hint("github, gitlab or none")
        })
    }
}

/// Expects that `validate` has nothing to say about the tree: what was typed may be no name, domain or
/// address.
fn check(answers: &Answers, files: &[(PathBuf, String)]) -> Result<(), Failure> {
    let tree = files.iter().filter_map(|(path, text)| {
        let path = path.strip_prefix(TREE).ok()?;
        Some((path.to_owned(), text.clone()))
    });
    let problems = wiring::check_texts(tree)?;
    let lines: Vec<String> = problems.iter().map(|problem| problem.line.clone()).collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "what was said makes no valid tree for the customer `{}`, and nothing was written",
        answers.customer
    ))
    .details(lines)
    .hint("correct the name, the domain, the address or the tenant"))
}

/// Writes all files, or none.
fn write(folder: &Path, files: &[(PathBuf, String)]) -> Result<(), Failure> {
    let there: Vec<String> = files
        .iter()
        .filter(|(path, _)| fs::symlink_metadata(folder.join(path)).is_ok())
        .map(|(path, _)| folder.join(path).display().to_string())
        .collect();
    if !there.is_empty() {
        return Err(Failure::new("these files are there already, and nothing was written")
            .details(there)
            .hint("`init` starts a new tree: name an empty folder"));
    }
    let mut made = Made::default();
    for (path, text) in files {
        let path = folder.join(path);
        if let Err(error) = made.file(&path, text) {
            made.undo();
            let what = format!("cannot write `{}`, and nothing was left behind", path.display());
            return Err(Failure::of(&what, &error));
        }
    }
    Ok(())
}

/// What was made so far.
#[derive(Default)]
struct Made {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Made {
    fn file(&mut self, path: &Path, text: &str) -> io::Result<()> {
        let missing: Vec<PathBuf> = path
            .ancestors()
            .skip(1)
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .map(Path::to_owned)
            .collect();
        for folder in missing.into_iter().rev() {
            fs::create_dir(&folder)?;
            self.folders.push(folder);
        }
        // Whoever made the same file meanwhile keeps it.
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
        self.files.push(path.to_owned());
        file.write_all(text.as_bytes())
    }

    /// Removes what was made, as far as it can be.
    fn undo(&self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        // The inner ones were made last. A folder that somebody put something into stays.
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(directory: bool, tenant: bool) -> Answers {
        Answers {
            customer: "contoso-eu".to_owned(),
            directory: directory.then(|| DirectoryAnswers {
                domain: "contoso.test".to_owned(),
                urls: vec!["ldaps://dc1.contoso.test".to_owned()],
            }),
            tenant: tenant.then(|| "contoso.com".to_owned()),
            pipeline: Pipeline::None,
        }
    }

    #[test]
    fn what_is_made_is_valid_for_every_kind_of_customer() {
        for (directory, tenant) in [(true, true), (true, false), (false, true)] {
            let answers = answers(directory, tenant);
            assert_eq!(check(&answers, &files(&answers)), Ok(()), "{directory} {tenant}");
            assert_eq!(secrets(&answers).len(), usize::from(directory) + usize::from(tenant));
        }
        assert_eq!(secrets(&answers(false, true)), ["INTAKE_SECRET_CONTOSO_EU__GRAPH"]);
    }

    #[test]
    fn what_is_no_name_or_address_makes_nothing() {
        let mut strange = answers(true, true);
        strange.customer = "Contoso \"Ltd\"".to_owned();
        assert!(check(&strange, &files(&strange)).is_err());
        let mut strange = answers(true, true);
        strange.directory.as_mut().expect("one").urls = vec!["dc1\n  suspend: true".to_owned()];
        let failure = check(&strange, &files(&strange)).expect_err("no address");
        assert_eq!(failure.details.len(), 1, "it stays one value: {failure:?}");
    }

    #[test]
    fn what_cannot_be_written_to_the_end_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("new");
        let long = "x".repeat(300);
        let files = [("a/b.yaml", "b"), ("c.yaml", "c"), (long.as_str(), "no name is so long")];
        let files = files.map(|(path, text)| (PathBuf::from(path), text.to_owned()));
        let failure = write(&root, &files).expect_err("no name is so long");
        assert!(failure.what.contains("nothing was left behind"), "{}", failure.what);
        assert!(!root.exists());
        write(&root, &files[..2]).expect("written");
        let failure = write(&root, &files[..2]).expect_err("they are there");
        assert_eq!(failure.details.len(), 2);
    }
}
