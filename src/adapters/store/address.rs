//! Where a store is, as somebody wrote it with `--state`.

use std::path::PathBuf;

use crate::model::text::inert;
use crate::ports::register::RegisterFault;

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// In memory, gone with the process: for tests.
    Memory,
    /// In a file, by its absolute path: a later change of the working folder changes nothing.
    File(PathBuf),
}

impl Address {
    /// Reads `sqlite:PATH` or `sqlite::memory:`. The path is taken as it is: `?` and `%` are
    /// ordinary characters of it.
    ///
    /// # Errors
    /// [`RegisterFault::Unavailable`] for any other text. The text itself is not repeated: the
    /// address of another kind of store may hold a password.
    pub fn parse(url: &str) -> Result<Self, RegisterFault> {
        let Some(path) = url.strip_prefix("sqlite:") else {
            let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
            return Err(refused(if matches!(scheme, "postgres" | "postgresql") {
                "this version keeps its register in SQLite only; write `sqlite:PATH`".into()
            } else {
                format!("`{}` is no kind of store; write `sqlite:PATH`", inert(scheme))
            }));
        };
        if path == ":memory:" {
            return Ok(Self::Memory);
        }
        // `sqlite:///var/lib/x` is how other tools write `sqlite:/var/lib/x`.
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(refused("it names no file; write `sqlite:PATH`".into()));
        }
        if path.contains('\0') {
            return Err(refused("a path holds no NUL character".into()));
        }
        // Absolute also because SQLite takes a relative name that begins with `file:` for a URI.
        std::path::absolute(path).map(Self::File).map_err(|error| RegisterFault::Unavailable {
            what: format!("the store `{}` cannot be found", inert(path)),
            source: error.into(),
        })
    }
}

/// Says why an address is none.
fn refused(why: String) -> RegisterFault {
    RegisterFault::Unavailable { what: "the address of the store is wrong".into(), source: why.into() }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is() {
        assert_eq!(Address::parse("sqlite::memory:").unwrap(), Address::Memory);
        assert_eq!(Address::parse("sqlite:/a/b?c%20d").unwrap(), Address::File("/a/b?c%20d".into()));
        assert_eq!(Address::parse("sqlite:///a/b").unwrap(), Address::File("/a/b".into()));
        let Address::File(path) = Address::parse("sqlite:intake.db").unwrap() else { panic!("a file") };
        assert_eq!(path, std::env::current_dir().unwrap().join("intake.db"));
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_a_password() {
        for wrong in ["", "intake.db", "sqlite:", "sqlite://", "sqlite:a\0b", "postgres://u:secret@h/d"] {
            let fault = Address::parse(wrong).unwrap_err();
            let text = format!("{fault}: {}", fault.source().expect("a cause"));
            assert!(text.starts_with("the address of the store is wrong: "), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
