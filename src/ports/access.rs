//! Who may use the HTTP interface: tokens, each with a name and a role.

use secrecy::SecretString;

use crate::model::text::Text;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look, and have candidates planned.
    Viewer,
    /// That, and start, suspend and resume customers.
    Operator,
}

/// A token as it is at this moment.
#[derive(Debug, Clone)]
pub struct Token {
    /// The name that the audit record and the log know.
    pub name: Text,
    /// What its bearer may do.
    pub role: Role,
    /// What the bearer has to say.
    pub secret: SecretString,
}

/// Keeps the tokens, wherever they lie.
pub trait TokenBook: Send + Sync {
    /// Whether nobody can say who they are: then whoever reaches the interface may look, and nobody may do
    /// more.
    fn is_empty(&self) -> bool;
    /// Whether there is any token.
    fn has_tokens(&self) -> bool;
    /// Returns the tokens as they are now: one that was replaced is worth nothing from then on. One that
    /// cannot be read lets nobody in, and is left out.
    fn tokens(&self) -> Vec<Token>;
}
