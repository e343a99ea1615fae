//! Addresses of pages, with everything in them written so that it means itself.

use std::fmt::Write as _;

use url::form_urlencoded::byte_serialize;

/// An address with its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link(String);

impl Link {
    /// Begins with a path; its parts are written by [`segment`].
    pub fn to(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// Adds a parameter; nothing for an empty one.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.0.push(if self.0.contains('?') { '&' } else { '?' });
            self.0.push_str(name);
            self.0.push('=');
            self.0.extend(byte_serialize(value.as_bytes()));
        }
        self
    }

    /// Returns it.
    pub fn done(self) -> String {
        self.0
    }
}

/// Returns text as one part of a path.
pub fn segment(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~@".contains(&byte) {
            written.push(char::from(byte));
        } else {
            let _ = write!(written, "%{byte:02X}");
        }
    }
    // A browser takes these for steps within the path, written as they are or not.
    if written == "." || written == ".." { format!("{written}%20") } else { written }
}

/// Returns the address of a customer's page, or of one below it.
pub fn of_customer(customer: &str, below: &str) -> String {
    format!("/customers/{}{below}", segment(customer))
}

/// Returns the address of an account's page.
pub fn of_account(customer: &str, account: &str) -> String {
    format!("/customers/{}/accounts/{}", segment(customer), segment(account))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_an_address_means_itself() {
        let link = Link::to("/accounts").with("q", "a b&c=d").with("state", "").with("after", "ü").done();
        assert_eq!(link, "/accounts?q=a+b%26c%3Dd&after=%C3%BC");
        assert_eq!(of_account("contoso", "a/../b?c#d"), "/customers/contoso/accounts/a%2F..%2Fb%3Fc%23d");
        assert_eq!(segment(".."), "..%20");
    }
}
