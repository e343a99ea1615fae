//! The addresses of somebody's proxyAddresses: one primary, the others aliases.

use serde::{Deserialize, Serialize};

use crate::model::text::Text;

/// The `SMTP:` addresses of an account or tenant user, without the prefix.
///
/// One pointer wide: many directories keep no addresses, and a million empty lists are memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Addresses(Option<Box<Parts>>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Parts {
    primary: Option<Text>,
    aliases: Box<[Text]>,
}

impl Addresses {
    /// Makes a list of addresses: the one written `SMTP:`, and those written `smtp:`.
    pub fn new(primary: Option<Text>, aliases: impl Into<Box<[Text]>>) -> Self {
        let aliases = aliases.into();
        let is_empty = primary.is_none() && aliases.is_empty();
        Self((!is_empty).then(|| Box::new(Parts { primary, aliases })))
    }

    /// Returns the primary address.
    pub fn primary(&self) -> Option<&Text> {
        self.0.as_ref()?.primary.as_ref()
    }

    /// Returns the other addresses: never a key, only a hint.
    pub fn aliases(&self) -> &[Text] {
        self.0.as_ref().map_or(&[], |parts| &parts.aliases)
    }
}
