//! A policy tree in a folder: its files, and the files that its documents name.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::policy::check::{MAX_FILE, TreeFile};
use crate::policy::check_customer::join;
use crate::policy::source::shown;

/// A tree holds no more files than these, of any name.
const MAX_FILES: usize = 100_000;
/// All files of a tree together are no larger than this, in bytes.
const MAX_TREE: usize = 256 * 1024 * 1024;
/// Folders are no deeper than this.
const MAX_DEPTH: usize = 64;

/// Why a folder is no tree.
#[derive(Debug, thiserror::Error)]
pub enum FolderFault {
    /// It is not there, or may not be listed.
    #[error("the folder {path} cannot be read")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file that a document names is not there, or may not be read.
    #[error("the file {path} cannot be read")]
    UnreadableFile {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is something else.
    #[error("{path} is no folder; name the folder that holds the policy files")]
    NoFolder {
        /// Which.
        path: String,
    },
    /// It holds too much to be one.
    #[error(
        "{path} is too large for a policy tree (at most {MAX_FILES} files, 256 MiB and {MAX_DEPTH} levels of folders); name the folder that holds the policy files"
    )]
    TooMuch {
        /// Which.
        path: String,
    },
    /// A path of a document leads out of the tree.
    #[error("{path} leads out of the tree")]
    Outside {
        /// Which.
        path: String,
    },
}

/// Reads the `*.yaml` and `*.yml` files of a tree, sorted by path. Names that start with a dot are
/// skipped. What is wrong with one file is told in its place, so that others are read.
///
/// # Errors
/// If the folder itself cannot be read, or holds more than a tree may.
pub fn read_tree(root: &Path) -> Result<Vec<TreeFile>, FolderFault> {
    let unreadable = |source| FolderFault::Unreadable { path: shown(root), source };
    let real_root = fs::canonicalize(root).map_err(unreadable)?;
    if !real_root.is_dir() {
        return Err(FolderFault::NoFolder { path: shown(root) });
    }
    let mut files = Vec::new();
    let mut seen = 0;
    let mut size = 0;
    let mut folders = vec![(PathBuf::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match fs::read_dir(real_root.join(&folder)) {
            Ok(entries) => entries,
            Err(source) if folder.as_os_str().is_empty() => return Err(unreadable(source)),
            Err(error) => {
                files.push(TreeFile {
                    path: folder,
                    content: Err(format!("its folder cannot be listed: {error}")),
                });
                continue;
            }
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let content = Err(format!("its folder cannot be listed: {error}"));
                    files.push(TreeFile { path: folder.clone(), content });
                    break;
                }
            };
            seen += 1;
            if seen > MAX_FILES || depth > MAX_DEPTH {
                return Err(FolderFault::TooMuch { path: shown(root) });
            }
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            let path = folder.join(entry.file_name());
            match kind(&real_root, &path) {
                Ok(Entry::Folder) => folders.push((path, depth + 1)),
                Ok(Entry::File) if is_yaml(&path) => {
                    let content = read_bounded(&real_root.join(&path));
                    size += content.as_ref().map_or(0, Vec::len);
                    if size > MAX_TREE {
                        return Err(FolderFault::TooMuch { path: shown(root) });
                    }
                    files.push(TreeFile { path, content });
                }
                Ok(Entry::File | Entry::Other) => {}
                // A folder behind a link may hold documents, so its failure is told whatever its name.
                Err(reason) => files.push(TreeFile { path, content: Err(reason) }),
            }
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(files)
}

/// What an entry of a folder is.
enum Entry {
    Folder,
    File,
    /// Sockets, devices, and links that name nothing a tree needs.
    Other,
}

/// Says what an entry is. Links are followed inside the tree, as a mounted ConfigMap needs them;
/// one that leads to a folder is not, as it could lead round in a circle.
fn kind(root: &Path, path: &Path) -> Result<Entry, String> {
    let full = root.join(path);
    let metadata = fs::symlink_metadata(&full).map_err(|error| error.to_string())?;
    if metadata.is_dir() {
        return Ok(Entry::Folder);
    }
    if metadata.is_file() {
        return Ok(Entry::File);
    }
    if !metadata.is_symlink() {
        let what = Err("it is neither a file nor a folder".to_owned());
        return if is_yaml(path) { what } else { Ok(Entry::Other) };
    }
    let real = match fs::canonicalize(&full) {
        Ok(real) => real,
        Err(error) if is_yaml(path) => return Err(format!("its link cannot be followed: {error}")),
        Err(_) => return Ok(Entry::Other),
    };
    if real.is_dir() {
        return Err("it is a link to a folder, which is not followed".to_owned());
    }
    if !is_yaml(path) {
        return Ok(Entry::Other);
    }
    if real.starts_with(root) {
        return if real.is_file() { Ok(Entry::File) } else { Err("its link leads to no file".to_owned()) };
    }
    Err("its link leaves the tree".to_owned())
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Reads a file, and at most a byte more than the check takes: it says that the file is too large.
fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
    let mut content = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut content))
        .map_err(|error| error.to_string())?;
    Ok(content)
}

/// Returns where a file is that a checked document names (`ca_file`, an LDIF, a snapshot): paths of
/// a fleet are relative to the tree. Links are followed, and may not leave the tree.
///
/// # Errors
/// If the file is not there, or is outside of the tree.
pub fn resolve(root: &Path, path: &Path) -> Result<PathBuf, FolderFault> {
    let outside = || FolderFault::Outside { path: shown(path) };
    let inside = join(Path::new(""), path).ok_or_else(outside)?;
    let real_root =
        fs::canonicalize(root).map_err(|source| FolderFault::Unreadable { path: shown(root), source })?;
    let real = fs::canonicalize(real_root.join(inside))
        .map_err(|source| FolderFault::UnreadableFile { path: shown(path), source })?;
    if real.starts_with(&real_root) { Ok(real) } else { Err(outside()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("customers/.hidden")).expect("folders");
        for (path, text) in [
            ("b.yaml", "b"),
            ("a.yml", "a"),
            ("notes.txt", "no"),
            (".skipped.yaml", "no"),
            ("customers/c.yaml", "c"),
            ("customers/.hidden/d.yaml", "no"),
        ] {
            fs::write(folder.path().join(path), text).expect("a file");
        }
        folder
    }

    #[test]
    fn yaml_files_are_read_in_order_and_hidden_ones_are_not() {
        let folder = tree();
        let files = read_tree(folder.path()).expect("a tree");
        let paths: Vec<String> = files.iter().map(|file| file.path.display().to_string()).collect();
        assert_eq!(paths, ["a.yml", "b.yaml", "customers/c.yaml"]);
        assert_eq!(files[2].content.as_deref(), Ok(b"c".as_slice()));
    }

    #[test]
    #[cfg(unix)]
    fn a_link_that_leaves_the_tree_is_told_and_one_inside_is_followed() {
        let folder = tree();
        let outside = tempfile::tempdir().expect("a folder");
        fs::write(outside.path().join("secret.yaml"), "x").expect("a file");
        let link = |to: &Path, name: &str| {
            std::os::unix::fs::symlink(to, folder.path().join(name)).expect("a link");
        };
        link(&outside.path().join("secret.yaml"), "leaves.yaml");
        link(Path::new("b.yaml"), "stays.yaml");
        link(Path::new("missing.yaml"), "dangling.yaml");
        let files = read_tree(folder.path()).expect("a tree");
        let of = |name: &str| {
            files.iter().find(|file| file.path == Path::new(name)).expect("the file").content.clone()
        };
        assert_eq!(of("leaves.yaml"), Err("its link leaves the tree".to_owned()));
        assert_eq!(of("stays.yaml"), Ok(b"b".to_vec()));
        assert!(of("dangling.yaml").expect_err("no target").starts_with("its link cannot be followed"));
        assert!(matches!(resolve(folder.path(), Path::new("leaves.yaml")), Err(FolderFault::Outside { .. })));
        assert!(matches!(resolve(folder.path(), Path::new("../x")), Err(FolderFault::Outside { .. })));
        let real = fs::canonicalize(folder.path().join("b.yaml")).expect("a path");
        assert_eq!(resolve(folder.path(), Path::new("stays.yaml")).expect("a path"), real);
        let missing = resolve(folder.path(), Path::new("customers/no.ldif")).expect_err("no file");
        assert_eq!(missing.to_string(), "the file customers/no.ldif cannot be read");
    }

    #[test]
    fn a_file_is_no_tree_and_neither_is_nothing() {
        let folder = tree();
        assert!(matches!(read_tree(&folder.path().join("b.yaml")), Err(FolderFault::NoFolder { .. })));
        assert!(matches!(read_tree(&folder.path().join("no")), Err(FolderFault::Unreadable { .. })));
    }

    #[test]
    fn a_file_that_is_too_large_is_read_no_further() {
        let folder = tree();
        fs::write(folder.path().join("large.yaml"), vec![b' '; MAX_FILE + 100]).expect("a file");
        let files = read_tree(folder.path()).expect("a tree");
        let large = files.iter().find(|file| file.path == Path::new("large.yaml")).expect("the file");
        assert_eq!(large.content.as_ref().map(Vec::len), Ok(MAX_FILE + 1));
    }
}
