//! How a customer stands, in a word, a sign and a sentence that says what to do.

use askama::Template;

use crate::web::fleet::CustomerView;

/// How a customer stands. The order is the order in which somebody should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A guard keeps something back.
    Held,
    /// A source could not be read whole.
    Unreadable,
    /// A document is broken.
    Invalid,
    /// One side of a linked import is missing.
    NotReady,
    /// Writing is paused.
    Suspended,
    /// It is not any more, and no turn has written since.
    Resumed,
    /// Everything was read and nothing is held.
    Ready,
    /// It had no turn yet.
    New,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Held,
        Self::Unreadable,
        Self::Invalid,
        Self::NotReady,
        Self::Suspended,
        Self::Resumed,
        Self::Ready,
        Self::New,
    ];

    /// Returns how a customer stands. Who is suspended since its last turn is suspended.
    pub fn of(customer: &CustomerView) -> Self {
        let told = match customer.state.as_deref() {
            Some("held") => Self::Held,
            Some("unreadable") => Self::Unreadable,
            Some("invalid") => Self::Invalid,
            Some("notReady") => Self::NotReady,
            Some("suspended") => Self::Suspended,
            Some(_) => Self::Ready,
            None => Self::New,
        };
        let is_suspended = customer.suspension.is_some() || customer.suspended_in_tree;
        match told {
            Self::Held | Self::Ready | Self::New if is_suspended => Self::Suspended,
            Self::Suspended if !is_suspended => Self::Resumed,
            told => told,
        }
    }

    /// Returns the word of addresses and of every other output.
    pub fn code(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Unreadable => "unreadable",
            Self::Invalid => "invalid",
            Self::NotReady => "notReady",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
            Self::Ready => "ready",
            Self::New => "new",
        }
    }

    /// Returns the word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "Held",
            Self::Unreadable => "Unreadable",
            Self::Invalid => "Invalid",
            Self::NotReady => "Not ready",
            Self::Suspended => "Suspended",
            Self::Resumed => "Resumed",
            Self::Ready => "Ready",
            Self::New => "No turn yet",
        }
    }

    /// Says what it means, and what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Held => {
                "Something keeps removals back; the findings say what. Look at who would go: if that is right, and a \
                 line to commit is shown below, commit it; if not, correct the policy or the directory, and the next \
                 turn lets go of it."
            }
            Self::Unreadable => {
                "A source could not be read whole, so nothing was changed. The cause says which one: \
                 make it reachable and readable again; the controller tries by itself."
            }
            Self::Invalid => {
                "A document that applies is broken, so nobody is added or removed. Correct it where the problem \
                 says, and commit."
            }
            Self::NotReady => {
                "The import links a directory and a tenant, and one of them is not connected. Add the missing one \
                 to the customer's document, or set `passwordSync: false` in the policy."
            }
            Self::Suspended => {
                "The customer is read and planned, and nothing is written until it is resumed."
            }
            Self::Resumed => "It was resumed, and its next turn writes again.",
            Self::Ready => "Everything was read and nothing is held back.",
            Self::New => "The controller has not finished a turn of this customer yet.",
        }
    }
}

/// A standing as a page shows it: never by its colour alone.
#[derive(Debug, Clone, Copy, Template)]
#[template(path = "parts/badge.html")]
pub struct Badge {
    /// Chooses the colour and the sign.
    pub kind: &'static str,
    /// What is read.
    pub word: &'static str,
}

impl askama::filters::HtmlSafe for Badge {}

impl Badge {
    /// Returns the sign that goes with the word.
    fn icon(&self) -> &'static str {
        match self.kind {
            "ready" | "active" | "matched" | "passed" | "published" => "check",
            "held" => "lock",
            "unreadable" => "unplugged",
            "invalid" | "warning" | "drifted" => "triangle",
            "notReady" | "orphaned" => "unlinked",
            "suspended" => "pause",
            "new" => "dashed",
            "syncing" => "turn",
            "pendingRemoval" | "waiting" => "clock",
            "removed" | "unmatched" | "deactivated" | "deleted" => "minus",
            "ambiguous" | "unknown" => "question",
            "failed" | "error" | "conflict" => "cross",
            "notReached" => "dot",
            _ => "info",
        }
    }
}

impl From<Standing> for Badge {
    fn from(standing: Standing) -> Self {
        Self { kind: standing.code(), word: standing.word() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::fleet::SuspensionView;
    use crate::web::pages::customer::unseen;

    #[test]
    fn whoever_was_suspended_since_their_last_turn_is_suspended() {
        let stands = |state: Option<&str>, by: Option<&str>, in_tree: bool| {
            Standing::of(&CustomerView {
                state: state.map(Into::into),
                suspension: by.map(|by| SuspensionView {
                    at: jiff::Timestamp::UNIX_EPOCH,
                    by: by.into(),
                    reason: "moving".to_owned(),
                }),
                suspended_in_tree: in_tree,
                ..unseen("contoso")
            })
        };
        assert_eq!(stands(None, None, false), Standing::New);
        assert_eq!(stands(Some("ready"), None, false), Standing::Ready);
        assert_eq!(stands(Some("held"), Some("jane"), false), Standing::Suspended);
        assert_eq!(stands(Some("ready"), None, true), Standing::Suspended);
        assert_eq!(stands(Some("suspended"), Some("jane"), false), Standing::Suspended);
        assert_eq!(stands(Some("suspended"), None, false), Standing::Resumed);
        // What keeps it from being read is told all the same.
        assert_eq!(stands(Some("unreadable"), Some("jane"), false), Standing::Unreadable);
        assert_eq!(stands(Some("invalid"), None, true), Standing::Invalid);
        assert!(Standing::ALL.is_sorted(), "whoever needs somebody first is first");
    }
}
