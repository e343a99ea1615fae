//! Sources that are read once, however many plans are made from them: two trees are compared by what they
//! say, and not by what changed at a customer in between.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::confirmation::PeopleNow;
use crate::model::directory::Directory;
use crate::model::guid::Guid;
use crate::model::reading::Reading;
use crate::model::tenant::{SyncState, Tenant};
use crate::model::tenant_group::{TenantGroup, WantedGroups};
use crate::policy::fleet::{Customer, DirectoryLocation, DirectorySource, TenantSource};
use crate::ports::source::{DirectoryPort, Progress, Sources, TenantPort};

/// Sources whose readings are kept for whoever asks the same next. Files are read each time: in another
/// tree they are others.
#[derive(Clone)]
pub struct ReadOnce {
    sources: Arc<dyn Sources>,
    kept: Arc<Kept>,
}

/// Readings by customer and source, as the customer's document has them.
#[derive(Default)]
pub struct Kept {
    directories: Mutex<HashMap<String, Reading<Directory>>>,
    tenants: Mutex<HashMap<String, Reading<Tenant>>>,
}

impl Kept {
    /// Forgets what was read of a customer.
    pub fn forget(&self, customer: &str) {
        let prefix = prefix(customer);
        lock(&self.directories).retain(|key, _| !key.starts_with(&prefix));
        lock(&self.tenants).retain(|key, _| !key.starts_with(&prefix));
    }
}

impl ReadOnce {
    /// Makes one that shares what it reads with all that share `kept`.
    pub fn new(sources: Arc<dyn Sources>, kept: Arc<Kept>) -> Self {
        Self { sources, kept }
    }
}

impl Sources for ReadOnce {
    fn directory(&self, customer: &Customer, source: &DirectorySource) -> Box<dyn DirectoryPort> {
        let port = self.sources.directory(customer, source);
        match source.location {
            DirectoryLocation::Ldif(_) => port,
            DirectoryLocation::Ldap(_) => {
                let key = format!("{}{source:?}", prefix(&customer.name));
                Box::new(Once { port, key, kept: self.kept.clone() })
            }
        }
    }

    fn tenant(&self, customer: &Customer, source: &TenantSource) -> Box<dyn TenantPort> {
        let port = self.sources.tenant(customer, source);
        match source {
            TenantSource::Snapshot(_) => port,
            TenantSource::Graph(_) => {
                let key = format!("{}{source:?}", prefix(&customer.name));
                Box::new(Once { port, key, kept: self.kept.clone() })
            }
        }
    }
}

struct Once<P> {
    port: P,
    key: String,
    kept: Arc<Kept>,
}

#[async_trait]
impl DirectoryPort for Once<Box<dyn DirectoryPort>> {
    async fn read(&self, progress: &dyn Progress) -> Reading<Directory> {
        once(&self.kept.directories, &self.key, self.port.read(progress)).await
    }

    async fn confirm(&self, people: &[Guid], progress: &dyn Progress) -> Reading<Option<PeopleNow>> {
        self.port.confirm(people, progress).await
    }
}

#[async_trait]
impl TenantPort for Once<Box<dyn TenantPort>> {
    async fn read(&self, progress: &dyn Progress) -> Reading<Tenant> {
        once(&self.kept.tenants, &self.key, self.port.read(progress)).await
    }

    async fn read_on(
        &self,
        kept: Option<SyncState>,
        now: Timestamp,
        progress: &dyn Progress,
    ) -> Reading<Tenant> {
        once(&self.kept.tenants, &self.key, self.port.read_on(kept, now, progress)).await
    }

    async fn confirm(&self, users: &[Guid], progress: &dyn Progress) -> Reading<Option<Tenant>> {
        self.port.confirm(users, progress).await
    }

    async fn groups(
        &self,
        wanted: &WantedGroups,
        progress: &dyn Progress,
    ) -> Reading<Option<Vec<TenantGroup>>> {
        self.port.groups(wanted, progress).await
    }
}

/// Returns the reading that was kept, or asks for one and keeps it.
async fn once<T: Clone>(
    kept: &Mutex<HashMap<String, Reading<T>>>,
    key: &str,
    ask: impl Future<Output = Reading<T>> + Send,
) -> Reading<T> {
    if let Some(known) = lock(kept).get(key) {
        return known.clone();
    }
    let reading = ask.await;
    lock(kept).insert(key.to_owned(), reading.clone());
    reading
}

/// No customer's name holds this character.
fn prefix(customer: &str) -> String {
    format!("{customer}\n")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
