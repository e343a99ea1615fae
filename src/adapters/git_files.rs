//! Writes the files of a commit into a folder, as they are in the commit: no filter and no setting of a
//! repository changes a byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::adapters::git_command::{Git, GitFault, Session};
use crate::model::text::inert;

/// A tree holds no more files than these.
const MAX_FILES: usize = 100_000;
/// All files of a tree together are no larger than this, in bytes: files of people are among them.
const MAX_BYTES: u64 = 2 << 30;
/// How many bytes of content are held at once, a larger file apart.
const BATCH: u64 = 32 << 20;

/// More than stands before and behind each content, in bytes.
const HEAD: u64 = 128;

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From the top of the tree.
    pub path: PathBuf,
    /// The id of what it holds.
    pub content: String,
    is_link: bool,
    size: u64,
}

impl Entry {
    /// Reads what `git ls-tree -r -z -l` prints. Other repositories inside (submodules) are none of ours.
    ///
    /// # Errors
    /// A tree that is too large, or whose paths no checkout could have.
    pub fn read_all(listed: &[u8]) -> Result<Vec<Self>, GitFault> {
        let mut entries = Vec::new();
        let mut bytes = 0_u64;
        for line in listed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let strange = || {
                GitFault::new(format!("git lists a strange file: {}", inert(&String::from_utf8_lossy(line))))
            };
            let text = std::str::from_utf8(line).map_err(|_| strange())?;
            let (about, path) = text.split_once('\t').ok_or_else(strange)?;
            let mut about = about.split_ascii_whitespace();
            let (mode, kind) = (about.next(), about.next());
            let (content, size) = (about.next().ok_or_else(strange)?, about.next().ok_or_else(strange)?);
            if kind != Some("blob") {
                continue;
            }
            let path = PathBuf::from(path);
            let is_usual = |part: Component<'_>| match part {
                Component::Normal(name) => !name.eq_ignore_ascii_case(".git"),
                _ => false,
            };
            if !path.components().all(is_usual) {
                return Err(strange());
            }
            let size = size.parse().map_err(|_| strange())?;
            bytes = bytes.saturating_add(size);
            entries.push(Self { path, content: content.to_owned(), is_link: mode == Some("120000"), size });
            if entries.len() > MAX_FILES || bytes > MAX_BYTES {
                return Err(GitFault::new(format!(
                    "the tree is too large: at most {MAX_FILES} files and {} MiB",
                    MAX_BYTES >> 20
                ))
                .hint("`git.path` names the folder of the repository that holds the tree"));
            }
        }
        let paths: BTreeSet<&Path> = entries.iter().map(|entry| entry.path.as_path()).collect();
        // No tree that git makes holds one; in one that somebody made, a file would go through a link.
        let below =
            entries.iter().find(|one| one.path.ancestors().skip(1).any(|folder| paths.contains(folder)));
        if let Some(below) = below {
            let shown = below.path.display().to_string();
            return Err(GitFault::new(format!(
                "git lists a strange file: {} is inside of another",
                inert(&shown)
            )));
        }
        Ok(entries)
    }
}

/// Writes files into a folder that appears whole or not at all, in place of one of that name.
///
/// # Errors
/// A folder that cannot be written, or content that git does not have.
pub async fn write_files(git: &Git, entries: &[Entry], root: &Path) -> Result<(), GitFault> {
    let new = root.with_extension("new");
    let failed = |error: io::Error| {
        GitFault::new(format!("cannot write the tree to {}: {error}", inert(&root.display().to_string())))
    };
    remove(&new).map_err(failed)?;
    fs::create_dir_all(&new).map_err(failed)?;
    // Links last: whatever a tree says, nothing is ever written through one.
    let (links, files): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| entry.is_link);
    for batch in batches(files) {
        let contents = read_contents(git, &batch).await?;
        for entry in batch {
            write_file(&new.join(&entry.path), &contents[&entry.content]).map_err(failed)?;
        }
    }
    for batch in batches(links) {
        let contents = read_contents(git, &batch).await?;
        for entry in batch {
            write_link(&new.join(&entry.path), &contents[&entry.content]).map_err(failed)?;
        }
    }
    remove(root).map_err(failed)?;
    fs::rename(&new, root).map_err(failed)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn batches(entries: Vec<&Entry>) -> Vec<Vec<&Entry>> {
    let mut batches: Vec<Vec<&Entry>> = Vec::new();
    let mut held = u64::MAX;
    for entry in entries {
        held = held.saturating_add(entry.size);
        match batches.last_mut() {
            Some(batch) if held <= BATCH => batch.push(entry),
            _ => {
                held = entry.size;
                batches.push(vec![entry]);
            }
        }
    }
    batches
}

/// Reads what files hold, by its id.
async fn read_contents(git: &Git, entries: &[&Entry]) -> Result<BTreeMap<String, Vec<u8>>, GitFault> {
    let input: String = entries.iter().map(|entry| format!("{}\n", entry.content)).collect();
    let sizes: u64 = entries.iter().map(|entry| entry.size.saturating_add(HEAD)).sum();
    let limit = usize::try_from(sizes).unwrap_or(usize::MAX);
    let printed = git.feed(&["cat-file", "--batch"], &Session::default(), input.into_bytes(), limit).await?;
    let mut contents = BTreeMap::new();
    let mut rest = printed.as_slice();
    for entry in entries {
        let missing =
            || GitFault::new(format!("git does not have {}", inert(&entry.path.display().to_string())));
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(missing)?;
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = match head.split(' ').collect::<Vec<_>>().as_slice() {
            [id, "blob", size] if *id == entry.content => size.parse::<usize>().map_err(|_| missing())?,
            _ => return Err(missing()),
        };
        let content = rest.get(end + 1..end + 1 + size).ok_or_else(missing)?;
        contents.insert(entry.content.clone(), content.to_vec());
        // A line break stands after each.
        rest = rest.get(end + 2 + size..).unwrap_or_default();
    }
    Ok(contents)
}

fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    io::Write::write_all(&mut file, content)
}

/// Where a link leads is looked at by whoever reads the tree.
fn write_link(path: &Path, target: &[u8]) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let target = std::str::from_utf8(target).map_err(|_| io::ErrorKind::InvalidFilename)?;
    std::os::unix::fs::symlink(target, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(mode: &str, kind: &str, size: &str, path: &str) -> String {
        format!("{mode} {kind} {} {size:>7}\t{path}\0", "a".repeat(40))
    }

    #[test]
    fn files_and_links_are_read_and_other_repositories_are_not() {
        let listed = [
            line("100644", "blob", "12", "customers/a b.yaml"),
            line("120000", "blob", "3", "link.yaml"),
            line("160000", "commit", "-", "other"),
        ]
        .concat();
        let entries = Entry::read_all(listed.as_bytes()).expect("entries");
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| (entry.path.to_str().expect("a path"), entry.is_link, entry.size))
            .collect();
        assert_eq!(seen, [("customers/a b.yaml", false, 12), ("link.yaml", true, 3)]);
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for path in ["../x.yaml", "/etc/x.yaml", "a/../../x", ".git/config", "a/.GIT/hooks/x"] {
            let listed = line("100644", "blob", "1", path);
            let fault = Entry::read_all(listed.as_bytes()).expect_err(path);
            assert!(fault.what.contains("strange file"), "{path}: {fault}");
        }
    }

    #[test]
    fn nothing_lies_inside_of_a_file_or_a_link() {
        let listed = line("120000", "blob", "4", "a") + &line("120000", "blob", "4", "a/b");
        let fault = Entry::read_all(listed.as_bytes()).expect_err("a link with something in it");
        assert!(fault.what.contains("inside of another"), "{fault}");
    }

    #[test]
    fn a_tree_that_is_too_large_is_refused_before_anything_is_written() {
        let listed = line("100644", "blob", &(MAX_BYTES + 1).to_string(), "x.ldif");
        let fault = Entry::read_all(listed.as_bytes()).expect_err("too large");
        assert!(fault.what.contains("too large"), "{fault}");
        let listed: String =
            (0..=MAX_FILES).map(|number| line("100644", "blob", "1", &format!("{number}.yaml"))).collect();
        assert!(Entry::read_all(listed.as_bytes()).is_err());
    }

    #[test]
    fn contents_are_read_in_batches_of_bounded_size() {
        let entry = |size| Entry { path: PathBuf::from("x"), content: String::new(), is_link: false, size };
        let all = [entry(BATCH), entry(1), entry(BATCH - 1), entry(2), entry(BATCH * 3), entry(0)];
        let sizes: Vec<Vec<u64>> = batches(all.iter().collect())
            .iter()
            .map(|batch| batch.iter().map(|entry| entry.size).collect())
            .collect();
        assert_eq!(sizes, [vec![BATCH], vec![1, BATCH - 1], vec![2], vec![BATCH * 3], vec![0]]);
    }
}
