//! Reads everything that one customer's plan is computed from, at the same time.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use crate::model::account::Source;
use crate::model::confirmation::Confirmation;
use crate::model::directory::Directory;
use crate::model::duration::Seconds;
use crate::model::guid::Guid;
use crate::model::observation::Observation;
use crate::model::reading::{Fault, FaultKind, Reading};
use crate::model::tenant::Tenant;
use crate::model::tenant_group::{TenantGroup, WantedGroups, amend_groups};
use crate::model::text::{Text, inert};
use crate::plan::outcome::Operation;
use crate::plan::tenant_scope::wanted_groups;
use crate::policy::fleet::{Customer, DirectoryLocation, DirectorySource, Refresh, TenantSource};
use crate::ports::clock::Clock;
use crate::ports::register::{RegisterFault, RegisterReader};
use crate::ports::source::{DirectoryPort, Progress, Sources, TenantPort, Unwatched};

/// How long a source may go without a page before it counts as hung. Far beyond every time-out
/// that an adapter sets itself: this is the net below them.
pub const STALL: Duration = Duration::from_secs(600);

/// How many members whom the listing of users lacks are asked for. More of them are no coincidence.
const UNLISTED: usize = 1_000;

/// Reads customers. Holds nothing that writes, so whoever plans with it cannot write.
#[derive(Clone)]
pub struct Observer {
    /// Where people come from.
    pub sources: Arc<dyn Sources>,
    /// What is known already.
    pub register: Arc<dyn RegisterReader>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long a source may go without a page, on top of its own time-outs.
    pub stall: Duration,
}

impl Observer {
    /// Reads all directories, the tenant and the register of one customer at the same time.
    /// Dropping the future ends the reads. `progress` is told the sum over all sources.
    ///
    /// # Errors
    /// Only the register fails; what is wrong with a source is in its reading, also a hang or a
    /// panic of what reads it.
    pub async fn observe(
        &self,
        customer: &Arc<Customer>,
        progress: &Arc<dyn Progress>,
    ) -> Result<Observation, RegisterFault> {
        let at = self.clock.now();
        let sum = &Sum::towards(progress);
        let directories = directories(&self.sources, self.stall, customer, sum);
        let (register, directories, tenant) =
            tokio::join!(self.register.load(&customer.name), directories, self.tenant(customer, at, sum));
        let (register, tenant) = (register?, tenant?);
        let mut observation = Observation { at, directories, tenant, register, confirmation: None };
        // What a group was pinned to is known by the register alone, so groups come last.
        let groups = self.groups(customer, &observation, sum).await;
        if let Some(Reading::Complete(tenant)) = &mut observation.tenant {
            match groups {
                None | Some(Reading::Complete(None)) => {}
                Some(Reading::Complete(Some(groups))) => tenant.groups = Some(Reading::Complete(groups)),
                Some(Reading::Incomplete(shortfall)) => tenant.groups = Some(Reading::Incomplete(shortfall)),
                Some(Reading::Unavailable(fault)) => tenant.groups = Some(Reading::Unavailable(fault)),
            }
        }
        self.find_unlisted_members(customer, &mut observation, sum).await;
        Ok(observation)
    }

    /// Asks all sources once more for some accounts, and puts what they answer into the observation:
    /// a listing may have missed somebody who is there. Returns also whether that may change anything.
    pub async fn confirm(
        &self,
        customer: &Arc<Customer>,
        mut observation: Observation,
        accounts: &[&Operation],
    ) -> (Observation, bool) {
        // What is read of single people is not worth a progress bar.
        let sum = &Arc::new(Sum { objects: AtomicUsize::new(0), onward: Arc::new(Unwatched) });
        let in_directory = |name: &Text| -> Vec<Guid> {
            let of_directory = accounts.iter().filter(|account| account.directory.as_ref() == Some(name));
            of_directory.map(|account| account.key.id).collect()
        };
        // The id of an account of the tenant alone is the user's, whatever else is known of it.
        let user = |account: &&Operation| match account.key.source {
            Source::Tenant => Some(account.key.id),
            Source::Directory => account.profile.tenant_user_id,
        };
        let users: Vec<Guid> = accounts.iter().filter_map(user).collect();
        let is_of_tenant = accounts.iter().any(|account| account.key.source == Source::Tenant);
        let directories = join_all(
            (0..customer.directories.len())
                .map(|index| (index, in_directory(&customer.directories[index].name)))
                .filter(|(_, people)| !people.is_empty())
                .map(|(index, people)| {
                    let ask = |port: Box<dyn DirectoryPort>, seen: Arc<Watched>| async move {
                        port.confirm(&people, &*seen).await
                    };
                    ask_directory(&self.sources, self.stall, customer, index, sum, ask)
                }),
        );
        let groups = async {
            match is_of_tenant {
                true => self.groups(customer, &observation, sum).await,
                false => None,
            }
        };
        let (directories, tenant, groups) =
            tokio::join!(directories, self.users_now(customer, users, sum), groups);
        let asked = accounts.iter().map(|account| account.key).collect();
        let mut confirmation = Confirmation { asked, unanswered: Vec::new() };
        let mut amended = false;
        for (name, answer) in directories {
            let subject = format!("directory {}", inert(&name));
            let Some(Some(people)) = confirmation.take(subject, answer) else { continue };
            amended = true;
            let read = observation.directories.iter_mut().find(|(read, _)| *read == name);
            if let Some((_, Reading::Complete(directory))) = read {
                people.amend(directory);
            }
        }
        if let Some(Some(users)) = tenant.and_then(|answer| confirmation.take("tenant".to_owned(), answer))
            && let Some(Reading::Complete(read)) = observation.tenant.take()
        {
            observation.tenant = Some(Reading::Complete(read.amend(users)));
            amended = true;
        }
        if let Some(Some(now)) = groups.and_then(|answer| confirmation.take("tenant".to_owned(), answer))
            && let Some(Reading::Complete(tenant)) = &mut observation.tenant
            && let listed = tenant.user_ids()
            && let Some(Reading::Complete(groups)) = &mut tenant.groups
        {
            amend_groups(groups, now, |user| listed.contains(user));
            amended = true;
        }
        amended |= !confirmation.unanswered.is_empty();
        observation.confirmation = Some(confirmation);
        (observation, amended)
    }

    async fn users_now(
        &self,
        customer: &Arc<Customer>,
        users: Vec<Guid>,
        sum: &Arc<Sum>,
    ) -> Option<Reading<Option<Tenant>>> {
        if users.is_empty() {
            return None;
        }
        self.ask_tenant(customer, "the tenant", sum, |port, seen| async move {
            port.confirm(&users, &*seen).await
        })
        .await
    }

    /// Asks for members of groups whom the listing of users lacks, by their ids: whoever was hired while
    /// the tenant was read stops nobody's removal. Without an answer the plan has removals wait.
    async fn find_unlisted_members(
        &self,
        customer: &Arc<Customer>,
        observation: &mut Observation,
        sum: &Arc<Sum>,
    ) {
        let tenant = observation.tenant.as_ref().and_then(Reading::complete);
        let unlisted = tenant.map(Tenant::unlisted_members).unwrap_or_default();
        if unlisted.len() > UNLISTED {
            return;
        }
        let answer = self.users_now(customer, unlisted, sum).await;
        if let Some(Reading::Complete(Some(now))) = answer
            && let Some(Reading::Complete(read)) = observation.tenant.take()
        {
            let mut amended = read.amend(now);
            amended.forget_unlisted_members();
            observation.tenant = Some(Reading::Complete(amended));
        }
    }

    /// Reads the groups of the tenant that a policy of this customer selects; nobody else is asked for.
    async fn groups(
        &self,
        customer: &Arc<Customer>,
        observation: &Observation,
        sum: &Arc<Sum>,
    ) -> Option<Reading<Option<Vec<TenantGroup>>>> {
        observation.tenant.as_ref()?.complete()?;
        let wanted: WantedGroups = wanted_groups(customer, &observation.register.pins);
        if wanted.is_empty() {
            return None;
        }
        self.ask_tenant(customer, "the groups of the tenant", sum, |port, seen| async move {
            port.groups(&wanted, &*seen).await
        })
        .await
    }

    async fn tenant(
        &self,
        customer: &Arc<Customer>,
        now: Timestamp,
        sum: &Arc<Sum>,
    ) -> Result<Option<Reading<Tenant>>, RegisterFault> {
        if let Some(fault) = not_worth_reading(customer) {
            return Ok(customer.tenant.as_ref().map(|_| Reading::Unavailable(fault)));
        }
        let goes_on =
            matches!(&customer.tenant, Some(TenantSource::Graph(at)) if at.refresh == Refresh::Delta);
        if !goes_on {
            let ask = |port: Box<dyn TenantPort>, seen: Arc<Watched>| async move { port.read(&*seen).await };
            return Ok(self.ask_tenant(customer, "the tenant", sum, ask).await);
        }
        let kept = self.register.sync_state(&customer.name).await?;
        let ask = move |port: Box<dyn TenantPort>, seen: Arc<Watched>| async move {
            port.read_on(kept, now, &*seen).await
        };
        Ok(self.ask_tenant(customer, "the tenant", sum, ask).await)
    }

    /// Asks a customer's tenant, if it has one. `what` names in a fault what was asked for.
    async fn ask_tenant<T, Answer>(
        &self,
        customer: &Arc<Customer>,
        what: &str,
        sum: &Arc<Sum>,
        ask: impl FnOnce(Box<dyn TenantPort>, Arc<Watched>) -> Answer + Send + 'static,
    ) -> Option<Reading<T>>
    where
        T: Send + 'static,
        Answer: Future<Output = Reading<T>> + Send,
    {
        let source: TenantSource = customer.tenant.clone()?;
        let what = format!("{what} of `{}`", inert(&customer.name));
        let watched = Arc::new(Watched::new(sum));
        let (sources, customer, seen) = (self.sources.clone(), customer.clone(), watched.clone());
        // Opened in there, too: what opens it may panic as well.
        let read = async move { ask(sources.tenant(&customer, &source), seen).await };
        Some(guarded(&what, self.stall, &watched, read).await)
    }
}

/// Reads all directories of one customer at the same time, and nothing else. Dropping the future ends
/// the reads; `stall` and `progress` are as for an [`Observer`].
pub async fn read_directories(
    sources: &Arc<dyn Sources>,
    stall: Duration,
    customer: &Arc<Customer>,
    progress: &Arc<dyn Progress>,
) -> Vec<(Text, Reading<Directory>)> {
    directories(sources, stall, customer, &Sum::towards(progress)).await
}

async fn directories(
    sources: &Arc<dyn Sources>,
    stall: Duration,
    customer: &Arc<Customer>,
    sum: &Arc<Sum>,
) -> Vec<(Text, Reading<Directory>)> {
    let every = 0..customer.directories.len();
    join_all(every.map(|index| directory(sources, stall, customer, index, sum))).await
}

async fn directory(
    sources: &Arc<dyn Sources>,
    stall: Duration,
    customer: &Arc<Customer>,
    index: usize,
    sum: &Arc<Sum>,
) -> (Text, Reading<Directory>) {
    if let Some(fault) = not_worth_reading(customer) {
        return (customer.directories[index].name.clone(), Reading::Unavailable(fault));
    }
    let ask = |port: Box<dyn DirectoryPort>, seen: Arc<Watched>| async move { port.read(&*seen).await };
    ask_directory(sources, stall, customer, index, sum, ask).await
}

/// Asks one directory of a customer; returns also its name.
async fn ask_directory<T, Answer>(
    sources: &Arc<dyn Sources>,
    stall: Duration,
    customer: &Arc<Customer>,
    index: usize,
    sum: &Arc<Sum>,
    ask: impl FnOnce(Box<dyn DirectoryPort>, Arc<Watched>) -> Answer + Send + 'static,
) -> (Text, Reading<T>)
where
    T: Send + 'static,
    Answer: Future<Output = Reading<T>> + Send,
{
    let source = &customer.directories[index];
    let name = source.name.clone();
    let what = format!("the directory `{}` of `{}`", inert(&name), inert(&customer.name));
    let stall = stall + page_time(source);
    let watched = Arc::new(Watched::new(sum));
    let (sources, customer, seen) = (sources.clone(), customer.clone(), watched.clone());
    // Opened in there, too: what opens it may panic as well.
    let read = async move { ask(sources.directory(&customer, &customer.directories[index]), seen).await };
    (name, guarded(&what, stall, &watched, read).await)
}

/// A broken document may name the wrong server: nobody is asked on its word.
fn not_worth_reading(customer: &Customer) -> Option<Fault> {
    (!customer.invalid.is_empty())
        .then(|| Fault::new(FaultKind::Refused, "not read, because the customer's document has errors"))
}

/// How long a directory may legitimately need for one page: every server in turn may use up the
/// time that the customer's document allows.
fn page_time(source: &DirectorySource) -> Duration {
    match &source.location {
        DirectoryLocation::Ldap(ldap) => {
            let servers = u64::try_from(ldap.urls.len()).unwrap_or(1).max(1);
            Seconds(ldap.timeout.0.saturating_mul(servers).min(86_400)).to_std()
        }
        DirectoryLocation::Ldif(_) => Duration::ZERO,
    }
}

/// Sums the objects of all sources of one customer for whoever wants to know.
struct Sum {
    objects: AtomicUsize,
    onward: Arc<dyn Progress>,
}

impl Sum {
    fn towards(progress: &Arc<dyn Progress>) -> Arc<Self> {
        Arc::new(Self { objects: AtomicUsize::new(0), onward: progress.clone() })
    }
}

/// Counts the pages of one source, so that a hang can be told from a source that is merely long.
struct Watched {
    pages: AtomicU64,
    objects: AtomicUsize,
    sum: Arc<Sum>,
}

impl Watched {
    fn new(sum: &Arc<Sum>) -> Self {
        Self { pages: AtomicU64::new(0), objects: AtomicUsize::new(0), sum: sum.clone() }
    }

    fn pages(&self) -> u64 {
        self.pages.load(Ordering::Relaxed)
    }
}

impl Progress for Watched {
    fn read(&self, objects: usize) {
        self.pages.fetch_add(1, Ordering::Relaxed);
        let more = objects.saturating_sub(self.objects.swap(objects, Ordering::Relaxed));
        let before = self.sum.objects.fetch_add(more, Ordering::Relaxed);
        self.sum.onward.read(before + more);
    }
}

/// Reads in a task of its own: its panic and its hang end as a reading that says so.
async fn guarded<T: Send + 'static>(
    what: &str,
    stall: Duration,
    watched: &Watched,
    read: impl Future<Output = Reading<T>> + Send + 'static,
) -> Reading<T> {
    let mut task = AbortOnDropHandle::new(tokio::spawn(
        read.instrument(tracing::info_span!("reading", otel.name = what)),
    ));
    loop {
        let before = watched.pages();
        match tokio::time::timeout(stall, &mut task).await {
            Ok(Ok(reading)) => return reading,
            Ok(Err(error)) => {
                let why =
                    if error.is_panic() { panic_text(&*error.into_panic()) } else { "cancelled".into() };
                let fault =
                    Fault::new(FaultKind::Transient, format!("reading {what} failed inside Intake: {why}"))
                        .hint("this is a defect of Intake: please report it with the log around it");
                return Reading::Unavailable(fault);
            }
            Err(_) if watched.pages() > before => {}
            Err(_) => {
                let waited = Seconds(stall.as_secs());
                let fault =
                    Fault::new(FaultKind::Transient, format!("{what} sent nothing for {waited}: given up"));
                return Reading::Unavailable(fault);
            }
        }
    }
}

/// Returns what a panic said, inert and short.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    inert(text).chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::reconcile::fakes::{FakeRegister, FixedClock, customer};

    /// Directories by the name of what they do.
    struct Faulty;

    struct FaultyDirectory(Text);
    struct Slow;

    impl Sources for Faulty {
        fn directory(&self, _customer: &Customer, source: &DirectorySource) -> Box<dyn DirectoryPort> {
            assert_ne!(source.name, "unopenable", "cannot be opened");
            Box::new(FaultyDirectory(source.name.clone()))
        }

        fn tenant(&self, _customer: &Customer, _source: &TenantSource) -> Box<dyn TenantPort> {
            Box::new(Slow)
        }
    }

    #[async_trait]
    impl DirectoryPort for FaultyDirectory {
        async fn read(&self, _progress: &dyn Progress) -> Reading<Directory> {
            match self.0.as_str() {
                "hangs" => std::future::pending().await,
                name => panic!("{name}\u{1b}[31m"),
            }
        }
    }

    #[async_trait]
    impl TenantPort for Slow {
        async fn read(&self, progress: &dyn Progress) -> Reading<Tenant> {
            for page in 0..6 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                progress.read(page);
            }
            Reading::Complete(Tenant::default())
        }
    }

    fn observer() -> Observer {
        Observer {
            sources: Arc::new(Faulty),
            register: Arc::new(FakeRegister::default()),
            clock: Arc::new(FixedClock),
            stall: Duration::from_secs(5),
        }
    }

    fn with_directories(names: &[&str]) -> Customer {
        let mut customer = customer("contoso");
        customer.directories = names
            .iter()
            .map(|name| DirectorySource {
                name: Text::from(*name),
                location: DirectoryLocation::Ldif("x.ldif".into()),
            })
            .collect();
        customer.tenant = Some(TenantSource::Snapshot("x.json".into()));
        customer
    }

    #[tokio::test]
    async fn a_panic_or_a_hang_is_an_unavailable_source_and_harms_no_other() {
        let customer = Arc::new(with_directories(&["panics", "hangs", "unopenable"]));
        let progress: Arc<dyn Progress> = Arc::new(Unwatched);
        let observation = observer().observe(&customer, &progress).await.expect("observed");
        let faults: Vec<&Fault> = observation
            .directories
            .iter()
            .filter_map(|(_, reading)| match reading {
                Reading::Unavailable(fault) => Some(fault),
                _ => None,
            })
            .collect();
        assert_eq!(faults.len(), 3);
        assert!(faults[0].what.contains("panics\\u{1b}[31m"), "{}", faults[0].what);
        assert!(faults[1].what.contains("sent nothing"), "{}", faults[1].what);
        assert!(faults[2].what.contains("failed inside Intake"), "{}", faults[2].what);
        // The tenant took longer than the stall in all, but never between two pages.
        assert!(observation.tenant.expect("a tenant").complete().is_some());
    }

    #[tokio::test]
    async fn nobody_is_asked_on_the_word_of_a_broken_document() {
        let mut broken = with_directories(&["panics"]);
        broken.invalid.push("urls: not a URL".to_owned());
        let progress: Arc<dyn Progress> = Arc::new(Unwatched);
        let observation = observer().observe(&Arc::new(broken), &progress).await.expect("observed");
        let Reading::Unavailable(fault) = &observation.directories[0].1 else { panic!("read") };
        assert_eq!(fault.kind, FaultKind::Refused);
    }
}
