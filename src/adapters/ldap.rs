//! Directories over LDAP.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use rustls::ClientConfig;
use secrecy::SecretString;
use tracing::Instrument as _;

use crate::adapters::ldap_backlinks::Backlinks;
use crate::adapters::ldap_confirm::confirm;
use crate::adapters::ldap_connection::{Connection, RootDse, tls_config};
use crate::adapters::ldap_fault::{Failure, refused, transient};
use crate::adapters::ldap_kerberos::{service_host, sign_in};
use crate::adapters::ldap_search::Search;
use crate::model::confirmation::PeopleNow;
use crate::model::directory::Directory;
use crate::model::guid::Guid;
use crate::model::reading::{Fault, FaultKind, Reading, Shortfall};
use crate::model::text::Text;
use crate::policy::fleet::{Bind, LdapLocation};
use crate::ports::meter::{Answered, Asked, Meter, Unmeasured};
use crate::ports::source::{DirectoryPort, Progress};

/// How long to wait before all servers are tried again; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest such wait.
const LAST_WAIT: Duration = Duration::from_secs(8);

/// A directory behind one or several servers.
#[derive(Debug)]
pub struct LdapDirectory {
    name: Text,
    location: LdapLocation,
    password: Option<SecretString>,
    patience: Duration,
    meter: Arc<dyn Meter>,
}

impl LdapDirectory {
    /// Makes a directory called `name`. `location.ca_file` is absolute.
    ///
    /// Servers that do not answer are tried again until `patience` has passed; with none, each is
    /// tried once.
    pub fn new(
        name: Text,
        location: LdapLocation,
        password: Option<SecretString>,
        patience: Duration,
    ) -> Self {
        Self { name, location, password, patience, meter: Arc::new(Unmeasured) }
    }

    /// Has questions counted.
    #[must_use]
    pub fn measured_by(self, meter: Arc<dyn Meter>) -> Self {
        Self { meter, ..self }
    }

    /// Asks the servers until one has answered the whole question.
    async fn ask<Q: Question>(&self, question: &Q) -> Reading<Q::Answer> {
        let tls = match self.tls().await {
            Ok(tls) => tls,
            Err(fault) => return Reading::Unavailable(fault),
        };
        let started = Instant::now();
        let mut wait = FIRST_WAIT;
        loop {
            let reading = self.try_servers(tls.as_ref(), question).await;
            let worth_repeating = match &reading {
                Attempted::Done(_) => false,
                Attempted::Passing(_) => started.elapsed() + wait < self.patience,
            };
            if !worth_repeating {
                return reading.into();
            }
            tracing::debug!(directory = %self.name, ?wait, "no server answered; trying again");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LAST_WAIT);
        }
    }

    /// Tries each server once, in order. Every attempt is a reading from the start: two servers may
    /// be of different ages, and what they hold is never mixed.
    async fn try_servers<Q: Question>(
        &self,
        tls: Option<&Arc<ClientConfig>>,
        question: &Q,
    ) -> Attempted<Q::Answer> {
        let mut faults: Vec<Fault> = Vec::new();
        let mut shortfall: Option<Shortfall> = None;
        for url in &self.location.urls {
            // ldap3 panics on some answers that break the protocol. A broken server costs one
            // customer its reading, and nobody else anything.
            let span = tracing::info_span!("asked", otel.kind = "client", otel.name = Asked::Ldap.code(), server = %url);
            let attempt = AssertUnwindSafe(self.attempt(url, tls.cloned(), question)).catch_unwind();
            let attempt = attempt.instrument(span).await;
            self.meter.asked(Asked::Ldap, attempt.as_ref().map_or(Answered::Failed, outcome));
            match attempt {
                Ok(Ok(answer)) => return Attempted::Done(Reading::Complete(answer)),
                // A wrong password is not tried on every server: that would lock the account.
                Ok(Err(Failure::Unavailable(fault))) if fault.kind == FaultKind::Unauthorised => {
                    return Attempted::Done(Reading::Unavailable(fault));
                }
                Ok(Err(Failure::Unavailable(fault))) => faults.push(fault),
                Ok(Err(Failure::Incomplete { shortfall, passing: false })) => {
                    return Attempted::Done(Reading::Incomplete(shortfall));
                }
                Ok(Err(Failure::Incomplete { shortfall: found, passing: true })) => {
                    shortfall.get_or_insert(found);
                }
                Err(_) => faults
                    .push(transient(format!("{url}: the server sent something that breaks the protocol"))),
            }
        }
        if let Some(shortfall) = shortfall {
            return Attempted::Passing(Reading::Incomplete(shortfall));
        }
        let passing = faults.iter().any(|fault| fault.kind == FaultKind::Transient);
        let reading = Reading::Unavailable(united(faults));
        if passing { Attempted::Passing(reading) } else { Attempted::Done(reading) }
    }

    async fn attempt<Q: Question>(
        &self,
        url: &str,
        tls: Option<Arc<ClientConfig>>,
        question: &Q,
    ) -> Result<Q::Answer, Failure> {
        let location = &self.location;
        let timeout = location.timeout.to_std();
        let mut connection =
            Connection::open(url, location.start_tls, tls, timeout).await.map_err(Failure::Unavailable)?;
        match &location.bind {
            Some(Bind::Password { dn, .. }) => {
                connection.bind(dn, self.password.as_ref()).await.map_err(Failure::Unavailable)?;
            }
            Some(Bind::Kerberos(service)) => {
                let host = service_host(url, service);
                connection = sign_in(connection, host).await.map_err(Failure::Unavailable)?;
            }
            None => {}
        }
        let root = connection.root_dse().await.map_err(Failure::Unavailable)?;
        let base = location.base_dn.clone().or_else(|| root.default_base()).ok_or_else(|| {
            let fault = refused(format!("{}: the server does not say which domain it holds", connection.url));
            Failure::Unavailable(fault.hint("set baseDn"))
        })?;
        let search = Search::new(&mut connection, &root, base, location.page_size);
        let answer = question.ask(search, &root).await?;
        connection.close().await;
        Ok(answer)
    }

    async fn tls(&self) -> Result<Option<Arc<ClientConfig>>, Fault> {
        let is_encrypted =
            |url: &String| url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("ldaps:"));
        if !self.location.start_tls && !self.location.urls.iter().any(is_encrypted) {
            return Ok(None);
        }
        let ca_file = self.location.ca_file.clone();
        let made = tokio::task::spawn_blocking(move || tls_config(ca_file.as_deref())).await;
        made.unwrap_or_else(|_| Err(transient("setting up encryption was broken off".to_owned()))).map(Some)
    }
}

#[async_trait]
impl DirectoryPort for LdapDirectory {
    async fn read(&self, progress: &dyn Progress) -> Reading<Directory> {
        self.ask(&Everything { name: self.name.clone(), progress }).await
    }

    async fn confirm(&self, people: &[Guid], _progress: &dyn Progress) -> Reading<Option<PeopleNow>> {
        self.ask(&Few { people }).await
    }
}

/// What one server is asked, over one connection.
#[async_trait]
trait Question: Sync {
    type Answer: Send;

    async fn ask(&self, search: Search<'_>, root: &RootDse) -> Result<Self::Answer, Failure>;
}

/// The whole directory.
struct Everything<'a> {
    name: Text,
    progress: &'a dyn Progress,
}

/// Single people.
struct Few<'a> {
    people: &'a [Guid],
}

#[async_trait]
impl Question for Everything<'_> {
    type Answer = Directory;

    async fn ask(&self, mut search: Search<'_>, root: &RootDse) -> Result<Directory, Failure> {
        let mut harvest = search.run(self.name.clone(), self.progress).await?;
        if let Some(backlinks) = Backlinks::of(root) {
            search.find_hidden_members(backlinks, &mut harvest).await?;
        }
        Ok(harvest.builder.finish())
    }
}

#[async_trait]
impl Question for Few<'_> {
    type Answer = Option<PeopleNow>;

    async fn ask(&self, search: Search<'_>, _root: &RootDse) -> Result<Option<PeopleNow>, Failure> {
        confirm(search, self.people).await.map(Some)
    }
}

/// What came of trying every server once.
enum Attempted<T> {
    /// Trying again would give the same.
    Done(Reading<T>),
    /// Trying again may help.
    Passing(Reading<T>),
}

impl<T> From<Attempted<T>> for Reading<T> {
    fn from(attempted: Attempted<T>) -> Self {
        match attempted {
            Attempted::Done(reading) | Attempted::Passing(reading) => reading,
        }
    }
}

/// Returns what came of asking one server, as it is counted.
fn outcome<T>(attempt: &Result<T, Failure>) -> Answered {
    match attempt {
        Ok(_) => Answered::Ok,
        Err(Failure::Incomplete { .. }) => Answered::Failed,
        Err(Failure::Unavailable(fault)) => match fault.kind {
            FaultKind::Transient => Answered::Unanswered,
            FaultKind::Unauthorised | FaultKind::Unconsented => Answered::Unauthorised,
            FaultKind::Refused => Answered::Refused,
        },
    }
}

/// Makes one fault of those of several servers.
fn united(mut faults: Vec<Fault>) -> Fault {
    if faults.len() == 1
        && let Some(only) = faults.pop()
    {
        return only;
    }
    if faults.is_empty() {
        return refused("no server is named".to_owned()).hint("set urls");
    }
    let is_transient = faults.iter().any(|fault| fault.kind == FaultKind::Transient);
    let kind = if is_transient { FaultKind::Transient } else { FaultKind::Refused };
    let hint = faults.iter().find_map(|fault| fault.hint.clone());
    let what: Vec<String> = faults.into_iter().map(|fault| fault.what).collect();
    Fault { kind, what: what.join("; "), hint, retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_by_what_came_of_them() {
        let unavailable = |kind| Err::<(), _>(Failure::Unavailable(Fault::new(kind, "why")));
        let shortfall = Shortfall { what: "cut off".to_owned(), read: 7 };
        for (attempt, meaning) in [
            (Ok(()), Answered::Ok),
            (unavailable(FaultKind::Transient), Answered::Unanswered),
            (unavailable(FaultKind::Unauthorised), Answered::Unauthorised),
            (unavailable(FaultKind::Refused), Answered::Refused),
            (Err(Failure::Incomplete { shortfall, passing: true }), Answered::Failed),
        ] {
            assert_eq!(outcome(&attempt), meaning);
        }
    }
}
