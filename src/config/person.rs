//! Who runs the program, for the record of what somebody decided.

use crate::model::text::Text;

/// Returns whose process this is, as the operating system says: the name, and whom `sudo` says it acts
/// for. A number where it has no name.
pub fn name() -> Text {
    let name = named(owner(), &std::fs::read_to_string("/etc/passwd").unwrap_or_default());
    // Set by sudo for what it starts; whoever may run it as root may also set it.
    match std::env::var("SUDO_USER") {
        Ok(other) if !other.is_empty() && name != other => Text::from(format!("{name} (sudo by {other})")),
        _ => name,
    }
}

/// Whose the process's own folder is.
#[cfg(unix)]
fn owner() -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").ok().map(|found| found.uid())
}

#[cfg(not(unix))]
fn owner() -> Option<u32> {
    None
}

/// Finds a user's name in passwd(5).
fn named(uid: Option<u32>, passwd: &str) -> Text {
    let Some(uid) = uid else { return Text::const_new("unknown") };
    let of_uid = |line: &&str| line.split(':').nth(2) == Some(uid.to_string().as_str());
    let name = passwd.lines().find(of_uid).and_then(|line| line.split(':').next());
    name.map_or_else(|| Text::from(format!("uid {uid}")), Text::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_or_a_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\njane:x:1000:1000::/home:/bin/sh\nbroken\n";
        assert_eq!(named(Some(1000), passwd), "jane");
        assert_eq!(named(Some(0), passwd), "root");
        assert_eq!(named(Some(7), passwd), "uid 7");
        assert_eq!(named(None, passwd), "unknown");
        assert!(!name().is_empty());
    }
}
