//! Microsoft 365 tenants through Microsoft Graph: all users with their licences, what the tenant
//! owns, and its id. Reads only.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::adapters::graph_application::Application;
use crate::adapters::graph_confirm::confirm;
use crate::adapters::graph_credential::Credential;
use crate::adapters::graph_delta::read_changes;
use crate::adapters::graph_groups::read_groups;
use crate::adapters::graph_limiter::Limiters;
use crate::adapters::graph_listing::{Ended, Graph, Pages, astray, is_expired_page};
use crate::adapters::graph_token::TokenCache;
use crate::adapters::http::{Failed, HttpClient};
use crate::adapters::http_patience::Patience;
use crate::adapters::tenant_object::{
    Absent, OrganizationRow, SkuRow, USER_PROPERTIES, UserRow, subscription, user,
};
use crate::model::guid::Guid;
use crate::model::reading::{Fault, Reading, Shortfall};
use crate::model::tenant::{Subscription, SyncState, Tenant, TenantBuilder};
use crate::model::tenant_group::{TenantGroup, WantedGroups};
use crate::model::text::{Text, inert};
use crate::policy::fleet::GraphEndpoints;
use crate::ports::source::{Progress, TenantPort};

/// The most users that Graph gives a page.
const PAGE_SIZE: u32 = 999;

/// What is said to be read while the tenant's id is.
const ORGANIZATION: &str = "the organisation";

/// How a reading gets the users.
enum Refreshed {
    /// All of them.
    Full,
    /// What changed since a state that was kept, at a time.
    Delta { kept: Option<SyncState>, now: Timestamp },
}

/// What the readings of all tenants share; a clone shares it as well.
#[derive(Debug, Clone)]
pub struct SharedGraph {
    client: HttpClient,
    tokens: TokenCache,
    limiters: Limiters,
}

/// A tenant that is read through Microsoft Graph.
#[derive(Debug)]
pub struct GraphTenant {
    shared: SharedGraph,
    application: Result<Application, Fault>,
    patience: Duration,
}

impl SharedGraph {
    /// Makes one, without tokens and waits.
    pub fn new(client: HttpClient) -> Self {
        Self { client, tokens: TokenCache::new(), limiters: Limiters::new() }
    }
}

impl GraphTenant {
    /// Makes the tenant's source. `patience` is how long the faults of one reading may delay it.
    ///
    /// Addresses and names that cannot be are what its reading says.
    pub fn new(
        shared: SharedGraph,
        tenant_id: &str,
        client_id: Guid,
        endpoints: &GraphEndpoints,
        credential: Credential,
        patience: Duration,
    ) -> Self {
        let application = Application::new(tenant_id, client_id, endpoints, credential);
        Self { shared, application, patience }
    }

    fn graph<'a>(&'a self, patience: &'a Patience) -> Result<Graph<'a>, Fault> {
        let application = self.application.as_ref().map_err(Clone::clone)?;
        let SharedGraph { client, tokens, limiters } = &self.shared;
        Ok(Graph { client, tokens, limiters, application, patience })
    }

    fn patience(&self) -> Patience {
        Patience::new(self.patience).measured_by(self.shared.client.meter().clone())
    }

    async fn read_by(&self, refreshed: &Refreshed, progress: &dyn Progress) -> Reading<Tenant> {
        let patience = self.patience();
        let graph = match self.graph(&patience) {
            Ok(graph) => graph,
            Err(fault) => return Reading::Unavailable(fault),
        };
        match read_tenant(&graph, refreshed, progress).await {
            Ok(tenant) => Reading::Complete(tenant),
            Err(ended) if ended.pages > 0 || ended.failed.answered => Reading::Incomplete(Shortfall {
                what: format!(
                    "{} could not be read whole: {}",
                    ended.reading,
                    ended.failed.fault.with_hint()
                ),
                read: ended.users,
            }),
            Err(ended) => Reading::Unavailable(ended.failed.fault),
        }
    }
}

#[async_trait]
impl TenantPort for GraphTenant {
    async fn read(&self, progress: &dyn Progress) -> Reading<Tenant> {
        self.read_by(&Refreshed::Full, progress).await
    }

    async fn read_on(
        &self,
        kept: Option<SyncState>,
        now: Timestamp,
        progress: &dyn Progress,
    ) -> Reading<Tenant> {
        self.read_by(&Refreshed::Delta { kept, now }, progress).await
    }

    async fn confirm(&self, users: &[Guid], _progress: &dyn Progress) -> Reading<Option<Tenant>> {
        let patience = self.patience();
        let graph = match self.graph(&patience) {
            Ok(graph) => graph,
            Err(fault) => return Reading::Unavailable(fault),
        };
        reading_of(confirm(&graph, users).await)
    }

    async fn groups(
        &self,
        wanted: &WantedGroups,
        progress: &dyn Progress,
    ) -> Reading<Option<Vec<TenantGroup>>> {
        let patience = self.patience();
        let graph = match self.graph(&patience) {
            Ok(graph) => graph,
            Err(fault) => return Reading::Unavailable(fault),
        };
        reading_of(read_groups(&graph, wanted, progress).await)
    }
}

/// Returns what came of asking for single objects.
fn reading_of<T>(answer: Result<T, Failed>) -> Reading<Option<T>> {
    match answer {
        Ok(value) => Reading::Complete(Some(value)),
        Err(failed) if failed.answered => {
            Reading::Incomplete(Shortfall { what: failed.fault.with_hint(), read: 0 })
        }
        Err(failed) => Reading::Unavailable(failed.fault),
    }
}

async fn read_tenant(
    graph: &Graph<'_>,
    refreshed: &Refreshed,
    progress: &dyn Progress,
) -> Result<Tenant, Ended> {
    let (mut builder, id) = match refreshed {
        Refreshed::Full => (list_users(graph, progress).await?, None),
        Refreshed::Delta { kept, now } => {
            // First, as what was kept of one tenant must not be added to by another.
            let id = organization(graph).await.map_err(|failed| Ended::new(failed, ORGANIZATION, 0, 0))?;
            let tenant = id.clone().unwrap_or_default();
            (read_changes(graph, &tenant, kept.as_ref(), *now, progress).await?, Some(id))
        }
    };
    let count = builder.users();
    let after = |reading| move |failed: Failed| Ended::new(failed, reading, 1, count);
    if let Some(subscriptions) = subscriptions(graph).await.map_err(after("subscribedSkus"))? {
        builder.subscriptions(subscriptions);
    }
    let id = match id {
        Some(id) => id,
        None => organization(graph).await.map_err(after(ORGANIZATION))?,
    };
    if let Some(id) = id {
        builder.id(id);
    }
    Ok(builder.finish())
}

/// Reads what the tenant owns. Reading licences by name needs a permission of its own; `None` without it:
/// the rest still stands.
async fn subscriptions(graph: &Graph<'_>) -> Result<Option<Vec<Subscription>>, Failed> {
    let skus = graph.address("/v1.0/subscribedSkus")?;
    let rows = match graph.rows::<SkuRow>(&mut Pages::new(skus)).await {
        Ok(rows) => rows,
        Err(failed) if matches!(failed.status, Some(403 | 404)) => {
            tracing::info!(fault = %failed.fault, "the tenant's subscriptions are not readable");
            return Ok(None);
        }
        Err(failed) => return Err(failed),
    };
    let subscriptions = rows.into_iter().enumerate().map(|(index, row)| {
        subscription(row).map_err(|fault| astray(format!("subscription {} {fault}", index + 1)))
    });
    subscriptions.collect::<Result<_, _>>().map(Some)
}

/// Reads the tenant's id, in one form however it is written, as a pin is compared by its text.
async fn organization(graph: &Graph<'_>) -> Result<Option<Text>, Failed> {
    let organization = graph.address("/v1.0/organization?$select=id")?;
    let id = match graph.rows::<OrganizationRow>(&mut Pages::new(organization)).await {
        Ok(rows) => match <[OrganizationRow; 1]>::try_from(rows) {
            Ok([OrganizationRow { id: Some(id) }]) => Some(id),
            _ => return Err(astray("it does not name exactly one organisation".to_owned())),
        },
        // The token came from the tenant that is configured: an id there is its id.
        Err(failed) if failed.status == Some(403) => {
            graph.application.tenant().parse::<Guid>().ok().map(text)
        }
        Err(failed) => return Err(failed),
    };
    Ok(id.map(|id| id.parse::<Guid>().map_or(id, text)))
}

/// Lists all users.
async fn list_users(graph: &Graph<'_>, progress: &dyn Progress) -> Result<TenantBuilder, Ended> {
    let ended = |failed, pages: usize, builder: &TenantBuilder| {
        Ended::new(failed, "the users", pages, builder.users())
    };
    let mut builder = TenantBuilder::new();
    let path = format!("/v1.0/users?$select={}&$top={PAGE_SIZE}", USER_PROPERTIES.join(","));
    let users = graph.address(&path).map_err(|failed| ended(failed, 0, &builder))?;
    let mut pages = Pages::new(users.clone());
    if let Err(failed) = read_users(graph, &mut pages, &mut builder, progress).await {
        // In a large tenant the links may expire under a slow reader: once more, from the start.
        // What had arrived is dropped, as nothing ties it to the second listing.
        let read = pages.read;
        if read == 0 || !is_expired_page(&failed) {
            return Err(ended(failed, read, &builder));
        }
        tracing::info!(pages = read, "the listing of users expired and is read anew");
        builder = TenantBuilder::new();
        pages = Pages::new(users);
        if let Err(failed) = read_users(graph, &mut pages, &mut builder, progress).await {
            return Err(ended(failed, read, &builder));
        }
    }
    Ok(builder)
}

async fn read_users(
    graph: &Graph<'_>,
    pages: &mut Pages,
    builder: &mut TenantBuilder,
    progress: &dyn Progress,
) -> Result<(), Failed> {
    let put = |rows: Vec<UserRow>, page| {
        for (index, row) in rows.into_iter().enumerate() {
            let name = row.name();
            let user = user(row, Absent::Hidden, builder).map_err(|fault| {
                astray(format!("user {} of page {page} ({}) {fault}", index + 1, inert(&name)))
            })?;
            builder.user(user);
        }
        progress.read(builder.users());
        Ok(())
    };
    graph.each_page(pages, put).await
}

fn text(id: Guid) -> Text {
    Text::from(id.to_string())
}
