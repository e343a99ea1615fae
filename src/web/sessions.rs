//! Sessions of people in browsers: who they are, whatever proved it, until they leave, are idle, or may no more.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq as _;

use crate::model::digest::Digest;
use crate::model::text::Text;
use crate::ports::access::Role;

/// How long a session lasts at the most.
pub const LIFETIME: SignedDuration = SignedDuration::from_hours(12);
/// How long it lasts unused.
const IDLE: SignedDuration = SignedDuration::from_hours(1);
/// How many there are at once. Of more than these the oldest goes.
const MOST: usize = 10_000;
/// How many of them are one's, by what proved it: whoever signs in again and again ends their own ones.
const MOST_OF_ONE: usize = 100;

/// Bytes that nobody can guess; `None` if the machine has none to give.
pub type Unguessable = fn() -> Option<[u8; 32]>;

/// Keeps sessions, in memory: none outlives the process.
pub struct Sessions {
    unguessable: Unguessable,
    /// By the digest of the id: what is in memory opens nothing.
    kept: Mutex<HashMap<Digest, Session>>,
}

/// A session. Whoever has its id is who it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who it is, as the audit record and the log know them.
    pub name: Text,
    /// What they are called on pages.
    pub called: Text,
    /// What they may do.
    pub role: Role,
    /// What proved it.
    pub proof: Proof,
    /// What every form of the session carries, and no page of somebody else's knows.
    pub form_token: String,
    /// When it began.
    pub began: Timestamp,
    /// When it was last used by a person.
    pub used: Timestamp,
    /// What the next page tells: what came of the last order.
    pub notice: Option<Notice>,
}

/// What proved who somebody is, and has to be true as long as the session lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A token of the operator's file, by its digest: the session ends with it.
    Token(Digest),
    /// The word of an identity provider: the session ends by itself.
    Provider,
}

/// What a page tells once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whether it went well.
    pub is_good: bool,
    /// What happened, for people.
    pub text: String,
}

/// How a session is found again; never the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle(Digest);

impl Sessions {
    /// Keeps none yet.
    pub fn new(unguessable: Unguessable) -> Self {
        Self { unguessable, kept: Mutex::default() }
    }

    /// Begins a session of somebody who proved who they are; returns its id, for their browser alone. `None`
    /// if the machine gives no random bytes: then nobody gets in.
    pub fn begin(
        &self,
        name: Text,
        called: Text,
        role: Role,
        proof: Proof,
        now: Timestamp,
    ) -> Option<String> {
        let (id, form_token) = (hex(&(self.unguessable)()?), hex(&(self.unguessable)()?));
        let session = Session { name, called, role, proof, form_token, began: now, used: now, notice: None };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut kept, MOST_OF_ONE, |other| other.name == session.name && other.proof == session.proof);
        if kept.len() >= MOST {
            kept.retain(|_, session| session.lasts(now));
            make_room(&mut kept, MOST, |_| true);
        }
        kept.insert(Digest::of(id.as_bytes()), session);
        Some(id)
    }

    /// Returns the session of an id, if it lasts. A person who looks uses it; a page that looks by itself
    /// does not, or it would last for as long as the page is open.
    pub fn find(&self, id: &str, now: Timestamp, by_person: bool) -> Option<(Handle, Session)> {
        let key = Digest::of(id.as_bytes());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let session = kept.get_mut(&key)?;
        if !session.lasts(now) {
            kept.remove(&key);
            return None;
        }
        if by_person {
            session.used = now;
        }
        Some((Handle(key), session.clone()))
    }

    /// Ends a session.
    pub fn end(&self, handle: Handle) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&handle.0);
    }

    /// Has the next page tell something.
    pub fn tell(&self, handle: Handle, notice: Notice) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = kept.get_mut(&handle.0) {
            session.notice = Some(notice);
        }
    }

    /// Returns what the next page tells, once.
    pub fn take_notice(&self, handle: Handle) -> Option<Notice> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_mut(&handle.0)?.notice.take()
    }
}

/// Ends the oldest of some sessions where there are as many as there may be.
fn make_room(kept: &mut HashMap<Digest, Session>, most: usize, is_one: impl Fn(&Session) -> bool) {
    let of_them = || kept.iter().filter(|(_, session)| is_one(session));
    if of_them().count() >= most
        && let Some(oldest) = of_them().min_by_key(|(_, session)| session.began).map(|(key, _)| *key)
    {
        kept.remove(&oldest);
    }
}

impl Session {
    fn lasts(&self, now: Timestamp) -> bool {
        now.duration_since(self.began) < LIFETIME && now.duration_since(self.used) < IDLE
    }

    /// Whether a form is of this session. The time tells nothing.
    pub fn owns(&self, form_token: &str) -> bool {
        self.form_token.as_bytes().ct_eq(form_token.as_bytes()).into()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Different each time, and that is enough here.
    fn counted() -> Option<[u8; 32]> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        Some(bytes)
    }

    fn at(hours: i64, minutes: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + hours * 3_600 + minutes * 60).expect("a time")
    }

    fn begin(sessions: &Sessions, name: &str, now: Timestamp) -> String {
        let proof = Proof::Token(Digest::of(b"token"));
        sessions.begin(Text::from(name), Text::from(name), Role::Operator, proof, now).expect("random bytes")
    }

    #[test]
    fn a_session_is_found_by_its_id_alone_and_knows_its_forms() {
        let sessions = Sessions::new(counted);
        let (jane, john) = (begin(&sessions, "jane", at(0, 0)), begin(&sessions, "john", at(0, 0)));
        assert!(jane != john && jane.len() == 64);
        let (handle, session) = sessions.find(&jane, at(0, 1), true).expect("a session");
        assert_eq!((session.name.as_str(), session.role), ("jane", Role::Operator));
        let (_, other) = sessions.find(&john, at(0, 1), true).expect("a session");
        assert!(session.owns(&session.form_token) && !session.owns(&other.form_token) && !session.owns(""));
        assert!(
            sessions.find("", at(0, 1), true).is_none()
                && sessions.find(&jane[1..], at(0, 1), true).is_none()
        );
        sessions.tell(handle, Notice { is_good: true, text: "done".to_owned() });
        assert_eq!(sessions.take_notice(handle).expect("a notice").text, "done");
        assert_eq!(sessions.take_notice(handle), None);
        sessions.end(handle);
        assert!(
            sessions.find(&jane, at(0, 1), true).is_none() && sessions.find(&john, at(0, 1), true).is_some()
        );
    }

    #[test]
    fn a_session_ends_unused_and_after_half_a_day() {
        let sessions = Sessions::new(counted);
        let id = begin(&sessions, "jane", at(0, 0));
        assert!(sessions.find(&id, at(0, 59), false).is_some(), "nobody used it");
        assert!(sessions.find(&id, at(1, 0), true).is_none());
        let id = begin(&sessions, "jane", at(0, 0));
        for minutes in (0..12 * 60).step_by(30) {
            assert!(sessions.find(&id, at(0, minutes), true).is_some(), "{minutes}");
        }
        assert!(sessions.find(&id, at(12, 0), true).is_none());
    }

    #[test]
    fn whoever_signs_in_again_and_again_ends_nobody_elses_session() {
        let sessions = Sessions::new(counted);
        let other = begin(&sessions, "jane", at(0, 0));
        let mine: Vec<String> = (0..=MOST_OF_ONE).map(|_| begin(&sessions, "john", at(0, 1))).collect();
        let lasting = mine.iter().filter(|id| sessions.find(id, at(0, 2), true).is_some()).count();
        assert_eq!(lasting, MOST_OF_ONE);
        assert!(sessions.find(&mine[MOST_OF_ONE], at(0, 2), true).is_some(), "the last one");
        assert!(sessions.find(&other, at(0, 2), true).is_some());
    }

    #[test]
    fn of_too_many_sessions_the_oldest_goes_and_without_random_bytes_there_is_none() {
        let sessions = Sessions::new(counted);
        let first = begin(&sessions, "first", at(0, 0));
        let second = begin(&sessions, "second", at(0, 1));
        (2..MOST).for_each(|number| drop(begin(&sessions, &format!("more-{number}"), at(0, 2))));
        assert!(sessions.find(&first, at(0, 3), true).is_some());
        let last = begin(&sessions, "last", at(0, 3));
        assert!(sessions.find(&first, at(0, 3), true).is_none());
        assert!(
            sessions.find(&second, at(0, 3), true).is_some()
                && sessions.find(&last, at(0, 3), true).is_some()
        );
        let broken = Sessions::new(|| None);
        let proof = Proof::Token(Digest::of(b"token"));
        assert_eq!(broken.begin(Text::from("jane"), Text::from("jane"), Role::Viewer, proof, at(0, 0)), None);
    }
}
