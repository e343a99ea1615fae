//! What the dashboard keeps while the program runs: who may ask, and who is signed in.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::ports::sign_in::SignIn;
use crate::web::access::Gate;
use crate::web::sessions::Sessions;

/// What the dashboard keeps.
pub struct Dashboard {
    /// Who may ask.
    pub gate: Gate,
    /// Who is signed in.
    pub sessions: Sessions,
    /// Whether only this machine can ask: then a cookie may travel without TLS.
    pub is_loopback: bool,
    /// Who else signs people in, if anybody does.
    pub sign_in: Option<Arc<dyn SignIn>>,
    /// Where it is asked: cookies of others on the same machine have other names.
    port: u16,
}

impl Dashboard {
    /// Makes one to which nobody is signed in.
    pub fn new(
        gate: Gate,
        sessions: Sessions,
        sign_in: Option<Arc<dyn SignIn>>,
        address: Option<SocketAddr>,
    ) -> Self {
        Self {
            gate,
            sessions,
            sign_in,
            is_loopback: address.is_some_and(|address| address.ip().is_loopback()),
            port: address.map_or(0, |address| address.port()),
        }
    }

    /// Returns the name of a cookie. Over TLS no other host and no page without TLS can set one of this name
    /// (`__Host-`, RFC 6265bis); without it all programs of this machine share cookies, whatever their ports, and
    /// the name has the port.
    pub fn cookie_name(&self, name: &str, is_secure: bool) -> String {
        if is_secure { format!("__Host-{name}") } else { format!("{name}-{}", self.port) }
    }

    /// Returns the names that a cookie may have in what a browser sends; whoever comes over the network has it over
    /// TLS alone.
    pub fn cookie_names(&self, name: &str) -> Vec<(String, bool)> {
        let kinds = if self.is_loopback { &[true, false][..] } else { &[true] };
        kinds.iter().map(|is_secure| (self.cookie_name(name, *is_secure), *is_secure)).collect()
    }
}
