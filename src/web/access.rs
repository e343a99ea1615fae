//! Who asks, and what they may: bearer tokens, compared in a time that tells nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use crate::model::digest::Digest;
use crate::model::text::Text;
use crate::ports::access::{Role, Token, TokenBook};
use crate::ports::clock::Clock;
use crate::web::answer::Problem;
use crate::web::attempts::Attempts;
use crate::web::server::Peer;

/// What is asked of somebody who said nothing.
const CHALLENGE: &str = "Bearer realm=\"intake\"";
/// What is asked of somebody whose token is none.
const WRONG: &str = "Bearer realm=\"intake\", error=\"invalid_token\"";

/// What whoever asks is judged by.
#[derive(Clone)]
pub struct Gate {
    /// The tokens.
    pub tokens: Arc<dyn TokenBook>,
    /// Who failed lately.
    pub attempts: Arc<Attempts>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's name; `None` where there are no tokens.
    pub name: Option<Text>,
    /// What they may do.
    pub role: Role,
}

impl Caller {
    /// Expects somebody who may change something; returns the token's name.
    ///
    /// # Errors
    /// What a viewer is told.
    pub fn expect_operator(&self) -> Result<&Text, Problem> {
        match (&self.name, self.role) {
            (Some(name), Role::Operator) => Ok(name),
            (Some(name), Role::Viewer) => {
                let detail = format!("the token `{name}` may look, and not change anything");
                Err(Problem::new(StatusCode::FORBIDDEN, detail)
                    .hint("use a token whose role is `operator` in the operator's file"))
            }
            (None, _) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "without tokens, everything here is for looking alone",
            )
            .hint("add `auth: {tokens: …}` to the operator's file of the controller")),
        }
    }
}

/// Lets in who may look, and notes who it is.
pub async fn check(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    match caller(&gate, peer_of(&request), request.headers()).await {
        Ok((caller, proof)) => {
            request.extensions_mut().insert(StillMay::of(&gate, &caller, proof));
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Returns from where a request came. One that came over no connection is of this machine.
pub fn peer_of(request: &Request) -> IpAddr {
    request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0)
}

/// Asks whether whoever asked may still look, for answers that go on for long.
#[derive(Clone)]
pub struct StillMay(Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>);

impl StillMay {
    /// Asks like this.
    pub fn new(ask: impl Fn() -> BoxFuture<'static, bool> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    /// Asks whether a caller's token is still theirs; where there are no tokens, everybody may for ever.
    fn of(gate: &Gate, caller: &Caller, proof: Option<Digest>) -> Self {
        let (gate, caller) = (gate.clone(), caller.clone());
        Self::new(move || {
            let (gate, caller) = (gate.clone(), caller.clone());
            async move {
                match (proof, &caller.name) {
                    (Some(digest), Some(name)) => gate.is_still(digest, name, caller.role).await,
                    _ => true,
                }
            }
            .boxed()
        })
    }

    /// Asks.
    pub async fn ask(&self) -> bool {
        (self.0)().await
    }
}

/// Returns who asks, and the digest of the token that proved it.
async fn caller(gate: &Gate, peer: IpAddr, headers: &HeaderMap) -> Result<(Caller, Option<Digest>), Problem> {
    if gate.tokens.is_empty() {
        return match names_this_machine(headers) {
            true => Ok((Caller { name: None, role: Role::Viewer }, None)),
            false => Err(Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "without tokens, only requests to an address of this machine are answered",
            )
            .hint("ask 127.0.0.1 or localhost; for a name, add `auth: {tokens: …}` to the operator's file")),
        };
    }
    let presented = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    let Some(presented) = presented else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "this needs a token").challenge(CHALLENGE).hint(
            "send `Authorization: Bearer TOKEN`, with a token that the operator's file of the controller names",
        ));
    };
    match gate.try_token(presented, peer).await {
        Ok((caller, digest)) => Ok((caller, Some(digest))),
        Err(Unproved::Wait(wait)) => Err(too_many(wait)),
        Err(Unproved::Unknown) => {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "the token is not known").challenge(WRONG))
        }
    }
}

fn too_many(wait: Duration) -> Problem {
    let detail = "there were too many tokens from this address that are none";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(wait).hint("wait, and send a right one")
}

/// Why a token proved nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unproved {
    /// There is none like it.
    Unknown,
    /// Too many were none: no other one is looked at before this time has passed.
    Wait(Duration),
}

impl Gate {
    /// Returns whose token somebody presented, and its digest. Whoever presents none that is right too often
    /// has to wait.
    ///
    /// # Errors
    /// [`Unproved`].
    pub async fn try_token(&self, presented: &[u8], peer: IpAddr) -> Result<(Caller, Digest), Unproved> {
        let presented = Digest::of(presented);
        let is_new = self.attempts.begin(peer, presented, self.clock.now()).map_err(Unproved::Wait)?;
        match find(&self.tokens().await, presented) {
            Some(caller) => {
                self.attempts.succeeded(peer, presented);
                Ok((caller, presented))
            }
            None => {
                // A program with an old token sends it all day, and fills no log.
                if is_new {
                    tracing::warn!(%peer, "somebody sent a token that is none");
                }
                Err(Unproved::Unknown)
            }
        }
    }

    /// Whether a token is still one, and still somebody's with their name and role.
    pub async fn is_still(&self, digest: Digest, name: &Text, role: Role) -> bool {
        let found = find(&self.tokens().await, digest);
        found.is_some_and(|caller| caller.name.as_ref() == Some(name) && caller.role == role)
    }

    async fn tokens(&self) -> Vec<Token> {
        // Tokens lie in files, and a disk may be slow.
        let book = self.tokens.clone();
        tokio::task::spawn_blocking(move || book.tokens()).await.unwrap_or_default()
    }
}

/// Returns whose token was presented. All are compared, whichever fits: the time tells nothing. Digests
/// are compared, so that it does not tell the length of a token either.
fn find(tokens: &[Token], presented: Digest) -> Option<Caller> {
    let mut found = None;
    for token in tokens {
        let expected = Digest::of(token.secret.expose_secret().as_bytes());
        if bool::from(expected.as_bytes().ct_eq(presented.as_bytes())) {
            found = Some(Caller { name: Some(token.name.clone()), role: token.role });
        }
    }
    found
}

/// Returns the token of an `Authorization` header; the word before it has no case (RFC 9110).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ")).then_some(token.trim_ascii()).filter(|token| !token.is_empty())
}

/// Whether a request is meant for this machine by its own word. A page of somebody else's may have a name
/// lead here and ask under it (DNS rebinding): it cannot choose what its browser writes as `Host`.
pub fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let without_port = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    };
    without_port.eq_ignore_ascii_case("localhost")
        || without_port.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn a_token_is_what_follows_the_word() {
        assert_eq!(bearer(b"Bearer abc"), Some(b"abc".as_slice()));
        assert_eq!(bearer(b"bearer  abc "), Some(b"abc".as_slice()));
        for wrong in [&b"Bearer"[..], b"Bearer ", b"Basic abc", b"", b"Bearerabc"] {
            assert_eq!(bearer(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn only_the_whole_token_fits() {
        let token = |name: &str, role, secret: &str| Token {
            name: Text::from(name),
            role,
            secret: SecretString::from(secret),
        };
        let tokens = [token("ci", Role::Viewer, "look"), token("ops", Role::Operator, "do")];
        let who = |presented: &str| find(&tokens, Digest::of(presented.as_bytes()));
        assert_eq!(who("do"), Some(Caller { name: Some(Text::from("ops")), role: Role::Operator }));
        assert_eq!(who("look").map(|caller| caller.role), Some(Role::Viewer));
        for wrong in ["", "d", "doo", "Do", "lookdo"] {
            assert_eq!(who(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn this_machine_is_known_by_its_addresses_and_no_name_but_localhost() {
        let is_here = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().expect("a header"));
            names_this_machine(&headers)
        };
        for here in ["127.0.0.1:8080", "127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:8080", "127.9.9.9:1"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in ["evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1:80", "[2001:db8::1]:1", ""]
        {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }
}
