//! Contacts: people and entries of documentation systems, as they are listed there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::text::Text;

/// A product that documents a provider's customers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Product {
    /// ConnectWise PSA (Manage). The first: others link to its contacts.
    ConnectWise,
    /// IT Glue.
    ItGlue,
    /// Hudu.
    Hudu,
}

/// Somebody, or something of somebody's, in a documentation system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The id there, as text: some systems count, others do not.
    pub id: Text,
    /// What it is.
    pub kind: ContactKind,
    /// The organisation or company that it belongs to.
    pub organization: Text,
    /// The name under which it is shown there.
    pub name: Text,
    /// The given name, where the system keeps it apart.
    pub first_name: Option<Text>,
    /// The family name, likewise.
    pub last_name: Option<Text>,
    /// Every e-mail address of a person, by [`address_key`], sorted, each once. None of an entry.
    pub addresses: Vec<Text>,
    /// The username of a password entry, as written.
    pub username: Option<Text>,
    /// The category of a password entry, as written.
    pub category: Option<Text>,
    /// Contacts of other systems that this one is synchronised with.
    pub links: Vec<CrossLink>,
    /// Whether it was put away: shown to people, and never linked.
    pub is_archived: bool,
    /// What else a person should know before choosing it: its types, its title.
    pub remark: Option<Text>,
    /// Where it can be looked at in a browser.
    pub url: Option<Text>,
}

/// What a contact is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum ContactKind {
    /// A person.
    Person,
    /// A password entry: who has it is told by its username.
    PasswordEntry,
}

/// A contact of another system, as one that is synchronised with it names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CrossLink {
    /// The other system's product; `None` where the system does not tell which one it is.
    pub product: Option<Product>,
    /// The contact's id there.
    pub id: Text,
}

/// An organisation or company of a documentation system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// The id there.
    pub id: Text,
    /// Its name.
    pub name: Text,
    /// What kinds it is of: `Customer`, `Vendor`. Empty where the system does not tell.
    pub types: Vec<Text>,
    /// Its status: `Active`.
    pub status: Option<Text>,
    /// Whether it was put away or deleted.
    pub is_archived: bool,
    /// Whether it is the provider itself.
    pub is_primary: bool,
    /// Organisations of other systems that it is synchronised with.
    pub links: Vec<CrossLink>,
}

/// Where a customer's contacts are in a documentation system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shelf {
    /// The organisation's or company's id.
    pub organization: Text,
    /// Hudu: the asset layout that holds people.
    pub asset_layout: Option<u64>,
}

/// What a whole listing of a documentation system held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// The ids of all organisations that the key may see, archived ones included. What is not among them is
    /// hidden, and proves nothing about its contacts.
    pub organizations: BTreeSet<Text>,
    /// The contacts of the shelves that were asked for, archived ones included; in the order of their ids,
    /// each once.
    pub shelves: BTreeMap<Shelf, Vec<Contact>>,
}

/// What is to be made for an account that has nobody in a documentation system. The outbox holds it as one of the
/// two objects: what earlier versions wrote there is the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum NewContact {
    /// A person.
    Person(NewPerson),
    /// A password entry.
    PasswordEntry(NewPasswordEntry),
}

/// A person who is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPerson {
    /// The given name.
    pub first_name: Text,
    /// The family name; may be empty.
    pub last_name: Text,
    /// The e-mail address, by which it is found again. As [`address_key`] gives it.
    pub address: Text,
    /// What says that Intake made it, and for which account: stands in its notes, and is looked for before
    /// it is made.
    pub mark: Text,
}

/// A password entry that is to be made. It has no password: whoever has one writes it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPasswordEntry {
    /// The name under which it is shown.
    pub name: Text,
    /// The username, as written: by it the entry is found again, in the form of [`username_key`].
    pub username: Text,
    /// As that of a [`NewPerson`].
    pub mark: Text,
}

impl NewContact {
    /// Returns what it is.
    pub fn kind(&self) -> ContactKind {
        match self {
            Self::Person(_) => ContactKind::Person,
            Self::PasswordEntry(_) => ContactKind::PasswordEntry,
        }
    }
}

impl Product {
    /// All products, in the order in which contacts are matched.
    pub const ALL: [Self; 3] = [Self::ConnectWise, Self::ItGlue, Self::Hudu];

    /// Returns its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectWise => "ConnectWise PSA",
            Self::ItGlue => "IT Glue",
            Self::Hudu => "Hudu",
        }
    }

    /// Returns the word of the operator's file.
    pub fn code(self) -> &'static str {
        match self {
            Self::ConnectWise => "connectWise",
            Self::ItGlue => "itGlue",
            Self::Hudu => "hudu",
        }
    }
}

impl ContactKind {
    /// Returns the word that every output uses.
    pub fn code(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::PasswordEntry => "passwordEntry",
        }
    }

    /// Returns the word for people.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Person => "contact",
            Self::PasswordEntry => "password entry",
        }
    }
}

/// Returns the form in which e-mail addresses are compared: trimmed, without an `SMTP:` prefix, in lower case,
/// the domain in its ASCII form (IDNA). Tags after a plus and dots count: mail to them may be somebody else's.
/// `None` for text that is no address.
pub fn address_key(written: &str) -> Option<Text> {
    let written = written.trim();
    let bare = match written.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case("smtp:") => written.get(5..)?.trim(),
        _ => written,
    };
    let (local, domain) = bare.rsplit_once('@')?;
    let is_sound = !local.is_empty() && !domain.is_empty() && bare.len() <= LONGEST_ADDRESS;
    if !is_sound || bare.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return None;
    }
    let local = crate::model::text::fold(local);
    // A name that IDNA refuses (an underscore, `.local` with odd characters) is compared as it stands.
    let domain = if domain.is_ascii() {
        domain.to_ascii_lowercase()
    } else {
        match url::Host::parse(domain) {
            Ok(url::Host::Domain(ascii)) => ascii,
            _ => domain.to_lowercase(),
        }
    };
    Some(Text::from(format!("{local}@{domain}")))
}

/// Returns the form in which usernames are compared: trimmed, folded, and without the domain that Windows writes
/// before a backslash.
pub fn username_key(written: &str) -> Text {
    let written = written.trim();
    let bare = written.rsplit_once('\\').map_or(written, |(_, name)| name);
    Text::from(crate::model::text::fold(bare).as_ref())
}

/// How long an address may be, in bytes: RFC 5321 allows 254; what is longer is something else.
const LONGEST_ADDRESS: usize = 320;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_without_case_and_prefix_and_with_their_tags() {
        let key = |written: &str| address_key(written);
        assert_eq!(key(" SMTP:Jane.Doe@Contoso.TEST ").as_deref(), Some("jane.doe@contoso.test"));
        assert_eq!(key("jane@bücher.example").as_deref(), Some("jane@xn--bcher-kva.example"));
        assert_eq!(key("JANE@BÜCHER.example"), key("jane@xn--bcher-kva.example"));
        assert_ne!(key("jane+tag@contoso.test"), key("jane@contoso.test"));
        assert_ne!(key("ja.ne@contoso.test"), key("jane@contoso.test"));
        for no_address in ["", "jane", "@contoso.test", "jane@", "ja ne@contoso.test", "a\n@b", "smtp:"] {
            assert_eq!(key(no_address), None, "{no_address:?}");
        }
        assert_eq!(key(&format!("{}@b.test", "a".repeat(400))), None);
    }

    #[test]
    fn usernames_are_compared_without_case_and_domain() {
        for written in ["jane", " JANE ", "CONTOSO\\Jane", "corp\\contoso\\jane"] {
            assert_eq!(username_key(written), "jane", "{written:?}");
        }
        assert_eq!(username_key("Jane@Contoso.test"), "jane@contoso.test");
        assert_eq!(username_key("CONTOSO\\"), "");
    }

    #[test]
    fn what_is_to_be_made_is_read_as_it_was_written_and_as_earlier_versions_wrote_it() {
        let person = NewContact::Person(NewPerson {
            first_name: "Jane".into(),
            last_name: "Doe".into(),
            address: "jane@contoso.test".into(),
            mark: "By Intake: 7".into(),
        });
        let entry = NewContact::PasswordEntry(NewPasswordEntry {
            name: "Jane Doe".into(),
            username: "jane@contoso.test".into(),
            mark: "By Intake: 7".into(),
        });
        for contact in [&person, &entry] {
            let written = serde_json::to_value(contact).expect("a form");
            assert_eq!(&serde_json::from_value::<NewContact>(written).expect("a contact"), contact);
        }
        let before = serde_json::json!({"firstName": "Jane", "lastName": "Doe", "address": "jane@contoso.test",
            "mark": "By Intake: 7"});
        assert_eq!(serde_json::from_value::<NewContact>(before).expect("a contact"), person);
        for odd in [
            serde_json::json!({"name": "Jane", "username": "jane", "mark": "7", "password": "hush"}),
            serde_json::json!({"firstName": "Jane", "lastName": "Doe", "address": "jane@contoso.test", "mark": "7",
                "username": "jane"}),
            serde_json::json!({"mark": "7"}),
        ] {
            assert!(serde_json::from_value::<NewContact>(odd.clone()).is_err(), "{odd}");
        }
    }
}
