//! A stateful stand-in for Microsoft Graph and its token service on loopback, with faults to order.
//!
//! `graph_server` speaks the protocol; here is what a test says about it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use intake::policy::fleet::GraphEndpoints;
use serde_json::{Value, json};
use socket2::SockRef;
use uuid::Uuid;

use super::graph_delta::DeltaRound;
use super::graph_groups::FakeGroup;
use super::{graph_assertion, graph_server};

/// The id of the application that every tenant knows unless told otherwise.
pub(crate) const CLIENT_ID: &str = "5c8b5a1e-7d0f-4a83-9d3c-2f1e6b7a9c01";

/// The client id of the managed identity that the stand-in's machine has.
pub(crate) const IDENTITY: &str = "0f2d7a5c-3b8e-4a16-8c4d-91e6f7a2b305";

/// What a program on the machine proves itself with, where it is App Service.
pub(crate) const IDENTITY_HEADER: &str = "the-header-of-this-machine";

/// The application's secret, unless a tenant wants another.
pub(crate) const SECRET: &str = "the-right-secret";

/// A fault that is ordered for ever.
pub(crate) const ALWAYS: usize = usize::MAX;

/// The server; ends when dropped. Has a runtime of its own, so that tests without one can use it.
pub(crate) struct GraphFake {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// A tenant of the server, to be changed at any time.
#[derive(Clone)]
pub(crate) struct FakeTenant {
    world: Arc<Mutex<World>>,
    domain: String,
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    /// The caller's end of the connection that it came on.
    pub(crate) connection: SocketAddr,
    pub(crate) status: u16,
}

/// Where a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Token,
    /// The machine's managed identity.
    Machine,
    Users,
    /// What changed of the users.
    Delta,
    Skus,
    Organization,
    /// Several requests that come together.
    Batch,
    /// One user, asked for inside of a batch.
    User,
    Groups,
    /// The members of a group.
    Members,
}

/// Where, on which page (from 1) and in which tenant a fault happens.
#[derive(Debug, Clone)]
pub(crate) struct At {
    pub(crate) place: Place,
    pub(crate) page: Option<usize>,
    pub(crate) tenant: Option<String>,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing: so many requests go well before the next order counts.
    Nothing,
    /// 429, with `Retry-After` in seconds or without.
    Throttled(Option<u64>),
    /// 429 with `Retry-After` as a date, so many seconds from now.
    ThrottledUntil(u64),
    /// A status without a useful body.
    Status(u16),
    /// A status with `Retry-After` in seconds.
    StatusAfter(u16, u64),
    /// A refusal in the form of Graph.
    Refused(u16, &'static str),
    /// A refusal in the form of Graph, whose code stands inside alone.
    RefusedInside(u16, &'static str),
    /// A refusal in the form of the token service, by its AADSTS number.
    Token(u64),
    /// 302 to another address.
    Redirect(String),
    /// 200 whose JSON is cut; the HTTP is whole.
    CutBody,
    /// 200 whose connection ends in the middle of the body.
    CutConnection,
    /// 200 with a page for people.
    Html,
    /// 200 with JSON that is no listing.
    NoValue,
    /// A page without rows that is not the last.
    EmptyPage,
    /// A page whose rows come twice.
    DuplicateRows,
    /// A page whose link leads to itself.
    RepeatedLink,
    /// A page whose link leads elsewhere.
    ForeignLink(String),
    /// The link that led here is too old.
    ExpiredPageToken,
    /// No answer.
    Hang,
    /// The connection ends before an answer.
    Reset,
    /// A user is missing from this answer, as reads may be stale.
    Missing(String),
    /// A property that was asked for does not come.
    Hidden(&'static str),
    /// The page ends with these rows besides.
    MoreRows(Vec<Value>),
    /// A page that says neither where it goes on nor that it is the last.
    NoEnd,
    /// A last page that goes on all the same.
    TwoEnds,
    /// The first row of the page is this in place of a user.
    BrokenRow(Value),
}

pub(super) struct World {
    pub(super) root: String,
    /// Whether a proxy stands in front, which writes addresses in its own way.
    pub(super) is_behind: bool,
    pub(super) tenants: BTreeMap<String, TenantState>,
    pub(super) tokens: HashMap<String, IssuedToken>,
    pub(super) cursors: HashMap<String, Cursor>,
    pub(super) rounds: HashMap<String, DeltaRound>,
    pub(super) orders: Vec<Order>,
    pub(super) seen: Vec<Seen>,
    /// The tokens of the machine's identity: for whom each was issued.
    pub(super) machine_tokens: HashMap<String, String>,
}

pub(super) struct TenantState {
    pub(super) id: String,
    pub(super) users: Vec<Value>,
    pub(super) groups: Vec<FakeGroup>,
    pub(super) skus: Vec<Value>,
    pub(super) secret: String,
    /// Certificates of the application, and which assertions they signed already.
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) assertions: BTreeSet<String>,
    /// Tokens of other issuers that fit a federated credential of the application.
    pub(super) federated: BTreeSet<String>,
    /// Whether the application trusts the machine's identity.
    pub(super) trusts_machine: bool,
    pub(super) consented: bool,
    pub(super) roles: Vec<String>,
    pub(super) page_size: usize,
    pub(super) token_life: u64,
}

pub(super) struct IssuedToken {
    pub(super) domain: String,
    pub(super) roles: Vec<String>,
    pub(super) ends: Instant,
}

#[derive(Clone)]
pub(super) struct Cursor {
    pub(super) domain: String,
    pub(super) offset: usize,
    pub(super) page: usize,
    /// The query of the first page, which the link repeats.
    pub(super) query: String,
    pub(super) expired: bool,
}

pub(super) struct Order {
    at: At,
    fault: Fault,
    left: usize,
}

impl GraphFake {
    /// Starts a server on a free port, from a test with a runtime.
    pub(crate) async fn start() -> Self {
        Self::spawn()
    }

    /// Starts a server on a free port, from any test.
    pub(crate) fn spawn() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        // Hundreds may come at once, and wait for a busy machine: whom the system turns away comes back late.
        SockRef::from(&listener).listen(1_024).expect("a longer queue");
        listener.set_nonblocking(true).expect("a socket for tokio");
        let address = listener.local_addr().expect("an address");
        let world = Arc::new(Mutex::new(World {
            root: format!("http://{address}"),
            is_behind: false,
            tenants: BTreeMap::new(),
            tokens: HashMap::new(),
            cursors: HashMap::new(),
            rounds: HashMap::new(),
            orders: Vec::new(),
            seen: Vec::new(),
            machine_tokens: HashMap::new(),
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.spawn(graph_server::serve(listener, Arc::clone(&world)));
        Self { address, world, runtime: Some(runtime) }
    }

    /// Returns the address of the token service and of Graph.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes all links lead to another address, which a proxy in front of the server has.
    pub(crate) fn answers_behind(&self, root: &str) {
        let mut world = self.lock();
        world.root = root.to_owned();
        world.is_behind = true;
    }

    /// Returns both addresses as an adapter takes them.
    pub(crate) fn endpoints(&self) -> GraphEndpoints {
        GraphEndpoints { login: self.url(), graph: self.url() }
    }

    /// Returns a tenant, which is made when it is first named.
    pub(crate) fn tenant(&self, domain: &str) -> FakeTenant {
        self.lock().tenants.entry(domain.to_owned()).or_insert_with(|| TenantState {
            id: Uuid::new_v4().to_string(),
            users: Vec::new(),
            groups: Vec::new(),
            skus: Vec::new(),
            secret: SECRET.to_owned(),
            certificates: Vec::new(),
            assertions: BTreeSet::new(),
            federated: BTreeSet::new(),
            trusts_machine: false,
            consented: true,
            roles: vec!["User.Read.All".to_owned(), "LicenseAssignment.Read.All".to_owned()],
            page_size: 999,
            token_life: 3599,
        });
        FakeTenant { world: Arc::clone(&self.world), domain: domain.to_owned() }
    }

    /// Orders a fault for the next so many requests that it fits.
    pub(crate) fn fault(&self, at: At, fault: Fault, times: usize) {
        self.lock().orders.push(Order { at, fault, left: times });
    }

    /// Takes all orders back.
    pub(crate) fn clear_faults(&self) {
        self.lock().orders.clear();
    }

    /// Makes all links to next pages too old.
    pub(crate) fn expire_page_tokens(&self) {
        self.lock().cursors.values_mut().for_each(|cursor| cursor.expired = true);
    }

    /// Makes all links to later rounds of changes too old.
    pub(crate) fn expire_delta_links(&self) {
        self.lock().rounds.values_mut().for_each(|round| round.expired = true);
    }

    /// Ends the life of all tokens.
    pub(crate) fn expire_access_tokens(&self) {
        self.lock().tokens.values_mut().for_each(|token| token.ends = Instant::now());
    }

    /// Returns all requests that arrived, in order.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// Returns how many requests arrived at a place.
    pub(crate) fn count(&self, place: Place) -> usize {
        self.requests().iter().filter(|seen| seen.place() == Some(place)).count()
    }

    /// Forgets the requests that arrived.
    pub(crate) fn forget_requests(&self) {
        self.lock().seen.clear();
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

impl Drop for GraphFake {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // On a thread of its own, as a test with a runtime may not wait; and waited for, so
            // that nobody answers afterwards.
            let ending = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
            let _ = ending.join();
        }
    }
}

impl FakeTenant {
    /// Returns the tenant's id.
    pub(crate) fn id(&self) -> String {
        self.with(|tenant| tenant.id.clone())
    }

    /// Adds a user, or replaces the one of the same id.
    pub(crate) fn user(&self, user: Value) -> &Self {
        self.with(|tenant| match tenant.users.iter_mut().find(|known| known["id"] == user["id"]) {
            Some(known) => *known = user,
            None => tenant.users.push(user),
        });
        self
    }

    /// Adds so many people, numbered from 1.
    pub(crate) fn people(&self, count: u32) -> &Self {
        (1..=count).for_each(|number| {
            self.user(person(number, &self.domain));
        });
        self
    }

    /// Adds users whom the tenant does not have yet.
    pub(crate) fn people_at_once(&self, users: Vec<Value>) -> &Self {
        self.with(|tenant| tenant.users.extend(users));
        self
    }

    /// Changes properties of a user.
    pub(crate) fn change(&self, id: &str, changes: Value) -> &Self {
        self.with(|tenant| {
            let user = tenant.users.iter_mut().find(|user| user["id"] == id).expect("a user of this id");
            for (name, value) in changes.as_object().expect("an object of properties") {
                user[name] = value.clone();
            }
        });
        self
    }

    /// Removes a user.
    pub(crate) fn remove(&self, id: &str) -> &Self {
        self.with(|tenant| tenant.users.retain(|user| user["id"] != id));
        self
    }

    /// Adds a subscription.
    pub(crate) fn sku(&self, sku: Value) -> &Self {
        self.with(|tenant| tenant.skus.push(sku));
        self
    }

    /// Sets how many users the server gives a page at most, whatever `$top` asks for.
    pub(crate) fn page_size(&self, size: usize) -> &Self {
        self.with(|tenant| tenant.page_size = size);
        self
    }

    /// Sets the application permissions that were consented to.
    pub(crate) fn roles(&self, roles: &[&str]) -> &Self {
        self.with(|tenant| tenant.roles = roles.iter().map(|role| (*role).to_owned()).collect());
        self
    }

    /// Sets whether the tenant knows the application.
    pub(crate) fn consented(&self, consented: bool) -> &Self {
        self.with(|tenant| tenant.consented = consented);
        self
    }

    /// Sets the secret that is right.
    pub(crate) fn secret(&self, secret: &str) -> &Self {
        self.with(|tenant| tenant.secret = secret.to_owned());
        self
    }

    /// Adds a certificate to the application, PEM.
    pub(crate) fn certificate(&self, pem: &str) -> &Self {
        self.with(|tenant| tenant.certificates.push(graph_assertion::certificate(pem)));
        self
    }

    /// Takes all certificates from the application.
    pub(crate) fn forget_certificates(&self) -> &Self {
        self.with(|tenant| tenant.certificates.clear());
        self
    }

    /// Makes the tokens of another issuer that fit a federated credential these.
    pub(crate) fn federated(&self, tokens: &[&str]) -> &Self {
        self.with(|tenant| tenant.federated = tokens.iter().map(|token| (*token).to_owned()).collect());
        self
    }

    /// Lets the application trust the machine's identity.
    pub(crate) fn trusts_machine(&self, trusts: bool) -> &Self {
        self.with(|tenant| tenant.trusts_machine = trusts);
        self
    }

    /// Sets how many seconds new tokens live.
    pub(crate) fn token_life(&self, seconds: u64) -> &Self {
        self.with(|tenant| tenant.token_life = seconds);
        self
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut TenantState) -> T) -> T {
        change(lock(&self.world).tenants.get_mut(&self.domain).expect("the tenant"))
    }
}

/// Returns a person with a licence. The id is the same for the same number.
pub(crate) fn person(number: u32, domain: &str) -> Value {
    json!({
        "id": person_id(number),
        "userPrincipalName": format!("person{number}@{domain}"),
        "displayName": format!("Person {number}"),
        "mail": format!("person{number}@{domain}"),
        "accountEnabled": true,
        "userType": "Member",
        "assignedLicenses": [{"skuId": E3, "disabledPlans": []}],
        "licenseAssignmentStates": [{"skuId": E3, "disabledPlans": [], "assignedByGroup": null,
            "state": "Active", "error": "None", "lastUpdatedDateTime": "2026-01-01T00:00:00Z"}],
        "proxyAddresses": [format!("SMTP:person{number}@{domain}")]
    })
}

/// Returns the id of a numbered person.
pub(crate) fn person_id(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// The SKU that people hold, `SPE_E3`.
pub(crate) const E3: &str = "05e9a617-0261-4cee-bb44-138d3ef5d965";

/// Returns the subscription of the SKU that people hold.
pub(crate) fn e3() -> Value {
    json!({
        "skuId": E3, "skuPartNumber": "SPE_E3", "appliesTo": "User", "capabilityStatus": "Enabled",
        "consumedUnits": 3, "prepaidUnits": {"enabled": 25, "lockedOut": 0, "suspended": 0, "warning": 0},
        "servicePlans": [{"servicePlanId": "efb87545-963c-4e0d-99df-69c6916d9eb0",
            "servicePlanName": "EXCHANGE_S_ENTERPRISE", "provisioningStatus": "Success", "appliesTo": "User"}],
        "subscriptionIds": []
    })
}

impl Seen {
    /// Returns which place was asked.
    pub(crate) fn place(&self) -> Option<Place> {
        match self.path.as_str() {
            path if path.ends_with("/oauth2/v2.0/token") => Some(Place::Token),
            "/metadata/identity/oauth2/token" | "/msi/token" => Some(Place::Machine),
            "/v1.0/users" => Some(Place::Users),
            "/v1.0/users/delta" | "/v1.0/users/delta()" | "/v1.0/users/microsoft.graph.delta" => {
                Some(Place::Delta)
            }
            "/v1.0/subscribedSkus" => Some(Place::Skus),
            "/v1.0/organization" => Some(Place::Organization),
            "/v1.0/$batch" => Some(Place::Batch),
            "/v1.0/groups" => Some(Place::Groups),
            path if path.starts_with("/v1.0/groups/") && path.ends_with("/members") => Some(Place::Members),
            _ => None,
        }
    }
}

impl At {
    pub(crate) fn token() -> Self {
        Self { place: Place::Token, page: None, tenant: None }
    }

    pub(crate) fn machine() -> Self {
        Self { place: Place::Machine, ..Self::token() }
    }

    pub(crate) fn users() -> Self {
        Self { place: Place::Users, ..Self::token() }
    }

    pub(crate) fn delta() -> Self {
        Self { place: Place::Delta, ..Self::token() }
    }

    pub(crate) fn skus() -> Self {
        Self { place: Place::Skus, ..Self::token() }
    }

    pub(crate) fn organization() -> Self {
        Self { place: Place::Organization, ..Self::token() }
    }

    pub(crate) fn batch() -> Self {
        Self { place: Place::Batch, ..Self::token() }
    }

    pub(crate) fn user() -> Self {
        Self { place: Place::User, ..Self::token() }
    }

    pub(crate) fn groups() -> Self {
        Self { place: Place::Groups, ..Self::token() }
    }

    pub(crate) fn members() -> Self {
        Self { place: Place::Members, ..Self::token() }
    }

    /// On this page alone, from 1.
    pub(crate) fn page(self, page: usize) -> Self {
        Self { page: Some(page), ..self }
    }

    /// In this tenant alone.
    pub(crate) fn of(self, domain: &str) -> Self {
        Self { tenant: Some(domain.to_owned()), ..self }
    }
}

impl World {
    /// Returns the fault that was ordered for a request, and counts it.
    pub(super) fn ordered(&mut self, place: Place, page: usize, domain: &str) -> Option<Fault> {
        let order = self.orders.iter_mut().find(|order| {
            order.left > 0
                && order.at.place == place
                && order.at.page.is_none_or(|wanted| wanted == page)
                && order.at.tenant.as_deref().is_none_or(|wanted| wanted == domain)
        })?;
        if order.left != ALWAYS {
            order.left -= 1;
        }
        Some(order.fault.clone())
    }
}

impl IssuedToken {
    pub(super) fn new(domain: &str, roles: Vec<String>, life: u64) -> Self {
        Self { domain: domain.to_owned(), roles, ends: Instant::now() + Duration::from_secs(life) }
    }

    pub(super) fn has(&self, roles: &[&str]) -> bool {
        self.roles.iter().any(|role| roles.contains(&role.as_str()))
    }
}

pub(super) fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
