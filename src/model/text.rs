//! Short text that is stored by the million, and how names are compared.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher};

/// Text of a person, group or setting: up to 24 bytes are kept without an allocation, which
/// is what lets a million accounts fit into memory.
pub type Text = compact_str::CompactString;

/// Returns the form in which names are compared: directories and tenants ignore case.
///
/// Borrows where nothing has to change, so that comparing ASCII names costs no allocation.
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        }
    } else {
        Cow::Owned(text.to_lowercase())
    }
}

/// Whether two names are the same, ignoring case.
pub fn same(left: &str, right: &str) -> bool {
    if left.is_ascii() && right.is_ascii() {
        left.eq_ignore_ascii_case(right)
    } else {
        fold(left) == fold(right)
    }
}

/// Hashes a name so that names that are [`same`] get the same value.
pub fn hash_folded(state: &impl BuildHasher, text: &str) -> u64 {
    let mut hasher = state.build_hasher();
    let mut buffer = [0_u8; 64];
    if text.is_ascii() && text.len() <= buffer.len() {
        let lower = &mut buffer[..text.len()];
        lower.copy_from_slice(text.as_bytes());
        lower.make_ascii_lowercase();
        lower.hash(&mut hasher);
    } else {
        fold(text).as_bytes().hash(&mut hasher);
    }
    hasher.finish()
}

/// Makes text from outside inert for a terminal or a log: control characters (ANSI escapes,
/// newlines), bidirectional marks and other invisible format characters are written as escapes.
///
/// Names in a directory are typed by anybody who may edit an account, and are hostile.
pub fn inert(text: &str) -> Cow<'_, str> {
    // Nearly every name: found out by its bytes alone.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_active(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Whether a character acts on what shows it, instead of being shown.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// Whether a character can be shown, copied and written anywhere: it is one of text (Unicode, section
/// 23.7: YAML, too, takes no others), and does not act on what shows it.
pub fn is_plain(character: char) -> bool {
    let code = u32::from(character);
    let is_noncharacter = code & 0xFFFE == 0xFFFE || (0xFDD0..=0xFDEF).contains(&code);
    !is_noncharacter && !is_active(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_also_beyond_ascii() {
        assert!(same("Jane@Contoso.test", "jane@contoso.TEST"));
        assert!(same("Ångström", "ÅNGSTRÖM"));
        assert!(!same("jane", "jan"));
        let state = hashbrown::DefaultHashBuilder::default();
        assert_eq!(hash_folded(&state, "ÅNG"), hash_folded(&state, "ång"));
        assert_eq!(hash_folded(&state, "JANE"), hash_folded(&state, "jane"));
    }

    #[test]
    fn what_acts_on_a_terminal_is_shown_as_an_escape() {
        assert_eq!(inert("Jane Doe"), "Jane Doe");
        assert_eq!(inert("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\u{a}b");
        assert_eq!(inert("x\u{202e}y"), "x\\u{202e}y");
    }
}
