//! Stand-ins for IT Glue, Hudu and ConnectWise PSA: one state for all three, and a protocol for each.
//!
//! A stand-in is a server on a free loopback port with companies, people and password entries in it, which are
//! changed at any time, from any test, also while it is being read. It was built from the vendors' documents
//! alone (no live instance of any of the three was ever asked), is strict in what it takes (credentials, media
//! types, encoded brackets, page sizes), and as wrong as the real ones in what it gives, where that is ordered.
//!
//! ```text
//! let fake = DocumentationFake::it_glue();          // or hudu(), connect_wise(); ends when dropped
//! fake.company(2, "Contoso");                       // ids are chosen by the test
//! let ada = fake.person(2, "Ada", "Lovelace", &["ada@contoso.test"]);     // returns the new id
//! fake.change(ada, |ada| ada.emails.push("a@contoso.test".to_owned()));   // or is_archived, title, notes...
//! fake.password(2, "admin", "CONTOSO\\ada", "Active Directory");          // IT Glue alone
//! fake.password_category(7, "Active Directory");    // for entries that are made; those above need none
//! fake.remove(ada);
//! fake.fault(At::contacts().page(2), Fault::TooFast(Some(1)), 1);         // the next time that it fits
//! fake.set(|wrong| wrong.page_cap = Some(25));      // what is wrong all the time
//! fake.count(Place::Contacts);                      // requests that arrived there
//! fake.operator_connection("docs")                  // the connection for an operator's file, YAML
//! ```
//!
//! The key that is right is [`KEY`] (ConnectWise: [`PUBLIC_KEY`] and [`PRIVATE_KEY`], company [`COMPANY`]),
//! until `set_key` makes it another one. `operator_connection` names environment variables for them:
//! `DOCUMENTATION_KEY`, `DOCUMENTATION_PUBLIC_KEY` and `DOCUMENTATION_PRIVATE_KEY`. People of Hudu are assets of
//! the layout [`LAYOUT`].

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use futures_util::StreamExt as _;
use intake::model::contact::Product;
use serde_json::{Value, json};

use super::{connect_wise_fake, hudu_fake, it_glue_fake};

/// The key of IT Glue and Hudu.
pub(crate) const KEY: &str = "ITG.the-right-key";

/// The keys of ConnectWise's API member.
pub(crate) const PUBLIC_KEY: &str = "the-public-key";
pub(crate) const PRIVATE_KEY: &str = "the-private-key";

/// The company that one logs in to at ConnectWise.
pub(crate) const COMPANY: &str = "provider";

/// The id of the integration at ConnectWise.
pub(crate) const CLIENT_ID: &str = "7d1c2f3a-4b5c-4d6e-8f90-a1b2c3d4e5f6";

/// The asset layout of Hudu's people.
pub(crate) const LAYOUT: u64 = 5;

/// A fault that is ordered for ever.
pub(crate) const ALWAYS: usize = usize::MAX;

/// The server; ends when dropped. Has a runtime of its own, so that tests without one can use it.
pub(crate) struct DocumentationFake {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Without the query, and decoded.
    pub(crate) path: String,
    /// As it came.
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Value,
    pub(crate) status: u16,
    pub(crate) place: Option<Place>,
}

/// Where a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The listing of organisations or companies.
    Companies,
    /// The listing of contacts or assets.
    Contacts,
    /// IT Glue's listing of password entries.
    Passwords,
    /// IT Glue's listing of their categories.
    Categories,
    /// A contact or password entry being made.
    Create,
    /// Where ConnectWise tells its code base.
    CodeBase,
    /// What ConnectWise knows of ways to reach somebody.
    CommunicationTypes,
    /// How many contacts or companies ConnectWise has.
    Count,
    /// A layout of Hudu's.
    Layout,
}

/// Where, and on which page (from 1, as requests of one listing come), a fault happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    place: Place,
    page: Option<usize>,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Too fast, in the product's own form; with `Retry-After` in seconds or without.
    TooFast(Option<u64>),
    /// A status without a body.
    Status(u16),
    /// A status with a text that is no JSON.
    Plain(u16, &'static str),
    /// A status with JSON.
    Json(u16, Value),
    /// A status with a page for people.
    Html(u16),
    /// 302 to another address.
    Redirect(String),
    /// 200 with the body `null`.
    Null,
    /// 200 without a body.
    Empty,
    /// 200 with JSON that is no listing.
    NoListing,
    /// 200 whose JSON is cut; the HTTP is whole.
    CutBody,
    /// 200 whose connection ends in the middle of the body.
    CutConnection,
    /// No answer.
    Hang,
    /// The connection ends before an answer, and nothing was done.
    Reset,
    /// What was asked is done, and the connection ends before the answer.
    LostAnswer,
    /// What was asked is done, and the answer does not say as what.
    WithoutId,
    /// What was asked is done, and the answer is about somebody else.
    Another,
    /// What was asked is done, and the answer names this company. IT Glue alone.
    Elsewhere(u64),
    /// A page whose rows come twice.
    DuplicateRows,
    /// The first row of the page is this.
    BrokenRow(Value),
    /// The first row of the page lacks this member.
    Without(&'static str),
    /// Before this page is answered somebody goes, and all later rows move forward.
    Gone(u64),
    /// Before this page is answered somebody comes, before everybody else.
    Came(u64),
    /// ConnectWise: the page has no `Link` header.
    NoLink,
    /// ConnectWise: the page leads there.
    Link(String),
}

/// What is wrong all the time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wrong {
    /// How many rows a page has at most, whatever is asked for.
    pub(crate) page_cap: Option<usize>,
    /// Parameters that are taken and do nothing.
    pub(crate) ignored: BTreeSet<&'static str>,
    /// Whether a page beyond the last one is the last one.
    pub(crate) clamps_pages: bool,
    /// Pages of more rows than this are too slow to be made: 504.
    pub(crate) too_slow_above: Option<usize>,
    /// IT Glue: whether `meta` and `links` are left out, as in the vendor's own examples.
    pub(crate) hides_meta: bool,
    /// IT Glue: whether the total is so much larger than what can be seen.
    pub(crate) hidden_rows: usize,
    /// IT Glue: whether `include` is refused.
    pub(crate) refuses_include: bool,
    /// IT Glue: whether the key may not see passwords.
    pub(crate) hides_passwords: bool,
    /// With which status a wrong key is refused, where not as usual.
    pub(crate) unauthorised: Option<u16>,
    /// How many requests are taken in which time.
    pub(crate) limit: Option<(usize, Duration)>,
    /// ConnectWise: whether pages are counted, and not led to by ids.
    pub(crate) counts_pages: bool,
    /// ConnectWise: whether contacts come without their ways to be reached.
    pub(crate) hides_communication: bool,
    /// ConnectWise: whether there is no e-mail type.
    pub(crate) has_no_email_type: bool,
    /// ConnectWise: what it says of its code base; by default `v2025_1/`.
    pub(crate) code_base: Option<Value>,
    /// Hudu: whether the layout has fields for an address and for notes.
    pub(crate) has_fields: bool,
}

/// A company or organisation.
#[derive(Debug, Clone)]
pub(crate) struct FakeCompany {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) is_archived: bool,
    pub(crate) is_primary: bool,
    /// The company's id at ConnectWise, which IT Glue and Hudu are synchronised with.
    pub(crate) psa_id: Option<u64>,
}

/// A person.
#[derive(Debug, Clone)]
pub(crate) struct FakePerson {
    pub(crate) id: u64,
    /// `None` for somebody of no company.
    pub(crate) company: Option<u64>,
    /// Hudu's asset layout.
    pub(crate) layout: u64,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) emails: Vec<String>,
    pub(crate) is_archived: bool,
    pub(crate) title: Option<String>,
    /// What kind of contact it is: `Approver`, `No Longer Employed`.
    pub(crate) kind: Option<String>,
    /// Notes of IT Glue, a field of Hudu, a user-defined field of ConnectWise.
    pub(crate) notes: Option<String>,
    /// The contact's id at ConnectWise, which IT Glue and Hudu are synchronised with.
    pub(crate) psa_id: Option<u64>,
    /// Members of the row that are as they stand here.
    pub(crate) members: BTreeMap<String, Value>,
}

/// A password entry.
#[derive(Debug, Clone)]
pub(crate) struct FakePassword {
    pub(crate) id: u64,
    pub(crate) company: u64,
    pub(crate) name: String,
    pub(crate) username: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) notes: Option<String>,
    pub(crate) is_archived: bool,
}

pub(super) struct World {
    pub(super) product: Product,
    pub(super) root: String,
    pub(super) key: String,
    pub(super) companies: Vec<FakeCompany>,
    pub(super) people: Vec<FakePerson>,
    pub(super) passwords: Vec<FakePassword>,
    pub(super) categories: Vec<(u64, String)>,
    pub(super) wrong: Wrong,
    next_id: u64,
    orders: Vec<Order>,
    seen: Vec<Seen>,
    taken: VecDeque<Instant>,
}

struct Order {
    at: At,
    fault: Fault,
    left: usize,
}

/// A request, as the protocols look at it.
pub(super) struct Asked<'a> {
    pub(super) seen: &'a Seen,
    pub(super) parameters: Vec<(String, String)>,
}

/// An answer, as the protocols give it, or what happens in place of one.
pub(super) enum Told {
    Answer { status: u16, media: &'static str, body: Value, headers: Vec<(&'static str, String)> },
    Broken(Fault, u16, Value),
}

impl Asked<'_> {
    /// Returns a parameter, unless it is one that does nothing.
    pub(super) fn parameter(&self, world: &World, name: &str) -> Option<&str> {
        if world.wrong.ignored.contains(name) {
            return None;
        }
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.seen.headers.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl At {
    fn of(place: Place) -> Self {
        Self { place, page: None }
    }

    pub(crate) fn contacts() -> Self {
        Self::of(Place::Contacts)
    }

    pub(crate) fn companies() -> Self {
        Self::of(Place::Companies)
    }

    pub(crate) fn passwords() -> Self {
        Self::of(Place::Passwords)
    }

    pub(crate) fn categories() -> Self {
        Self::of(Place::Categories)
    }

    pub(crate) fn create() -> Self {
        Self::of(Place::Create)
    }

    pub(crate) fn place(place: Place) -> Self {
        Self::of(place)
    }

    pub(crate) fn page(self, page: usize) -> Self {
        Self { page: Some(page), ..self }
    }
}

impl DocumentationFake {
    /// Starts an IT Glue.
    pub(crate) fn it_glue() -> Self {
        Self::start(Product::ItGlue)
    }

    /// Starts a Hudu.
    pub(crate) fn hudu() -> Self {
        Self::start(Product::Hudu)
    }

    /// Starts a ConnectWise PSA.
    pub(crate) fn connect_wise() -> Self {
        Self::start(Product::ConnectWise)
    }

    /// Starts one of a product on a free port.
    pub(crate) fn start(product: Product) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket for tokio");
        let address = listener.local_addr().expect("an address");
        let world = Arc::new(Mutex::new(World {
            product,
            root: format!("http://{address}"),
            key: if product == Product::ConnectWise { PRIVATE_KEY } else { KEY }.to_owned(),
            companies: Vec::new(),
            people: Vec::new(),
            passwords: Vec::new(),
            categories: Vec::new(),
            wrong: Wrong::default(),
            next_id: 1_000,
            orders: Vec::new(),
            seen: Vec::new(),
            taken: VecDeque::new(),
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.spawn(serve(listener, Arc::clone(&world)));
        Self { address, world, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn product(&self) -> Product {
        self.lock().product
    }

    /// Returns the connection for an operator's file, to stand below `connections:`, and indented for that.
    pub(crate) fn operator_connection(&self, name: &str) -> String {
        let url = self.url();
        match self.lock().product {
            Product::ItGlue => format!(
                "  {name}:\n    itGlue:\n      url: {url}\n      apiKeyFrom: {{env: DOCUMENTATION_KEY}}\n"
            ),
            Product::Hudu => format!(
                "  {name}:\n    hudu:\n      url: {url}\n      apiKeyFrom: {{env: DOCUMENTATION_KEY}}\n"
            ),
            Product::ConnectWise => format!(
                "  {name}:\n    connectWise:\n      url: {url}\n      loginCompany: {COMPANY}\n      clientId: \
                 {CLIENT_ID}\n      publicKeyFrom: {{env: DOCUMENTATION_PUBLIC_KEY}}\n      privateKeyFrom: {{env: \
                 DOCUMENTATION_PRIVATE_KEY}}\n"
            ),
        }
    }

    /// Adds a company, or gives it another name.
    pub(crate) fn company(&self, id: u64, name: &str) -> &Self {
        let mut world = self.lock();
        match world.companies.iter_mut().find(|company| company.id == id) {
            Some(company) => name.clone_into(&mut company.name),
            None => world.companies.push(FakeCompany {
                id,
                name: name.to_owned(),
                kind: "Customer".to_owned(),
                status: "Active".to_owned(),
                is_archived: false,
                is_primary: false,
                psa_id: None,
            }),
        }
        drop(world);
        self
    }

    /// Changes a company.
    pub(crate) fn change_company(&self, id: u64, change: impl FnOnce(&mut FakeCompany)) -> &Self {
        change(self.lock().companies.iter_mut().find(|company| company.id == id).expect("the company"));
        self
    }

    /// Removes a company, and nobody who belongs to it.
    pub(crate) fn remove_company(&self, id: u64) -> &Self {
        self.lock().companies.retain(|company| company.id != id);
        self
    }

    /// Adds a person to a company, and returns the new id.
    pub(crate) fn person(&self, company: u64, first_name: &str, last_name: &str, emails: &[&str]) -> u64 {
        let emails = emails.iter().map(|email| (*email).to_owned()).collect();
        self.lock().add(Some(company), first_name, last_name, emails)
    }

    /// Adds so many people, `person1@contoso.test` and so on, and returns their ids.
    pub(crate) fn people(&self, company: u64, count: usize) -> Vec<u64> {
        let mut world = self.lock();
        (1..=count)
            .map(|number| {
                let email = format!("person{number}@contoso.test");
                world.add(Some(company), "Person", &number.to_string(), vec![email])
            })
            .collect()
    }

    /// Changes a person.
    pub(crate) fn change(&self, id: u64, change: impl FnOnce(&mut FakePerson)) -> &Self {
        change(self.lock().people.iter_mut().find(|person| person.id == id).expect("the person"));
        self
    }

    /// Removes a person.
    pub(crate) fn remove(&self, id: u64) -> &Self {
        self.lock().people.retain(|person| person.id != id);
        self
    }

    /// Adds a password entry, and returns the new id.
    pub(crate) fn password(&self, company: u64, name: &str, username: &str, category: &str) -> u64 {
        let mut world = self.lock();
        let id = world.new_id();
        world.passwords.push(FakePassword {
            id,
            company,
            name: name.to_owned(),
            username: Some(username.to_owned()),
            category: Some(category.to_owned()),
            notes: Some("for our eyes alone".to_owned()),
            is_archived: false,
        });
        id
    }

    /// Adds a category of password entries, in which some may be made.
    pub(crate) fn password_category(&self, id: u64, name: &str) -> &Self {
        self.lock().categories.push((id, name.to_owned()));
        self
    }

    /// Changes a password entry.
    pub(crate) fn change_password(&self, id: u64, change: impl FnOnce(&mut FakePassword)) -> &Self {
        change(self.lock().passwords.iter_mut().find(|entry| entry.id == id).expect("the entry"));
        self
    }

    /// Removes a password entry.
    pub(crate) fn remove_password(&self, id: u64) -> &Self {
        self.lock().passwords.retain(|entry| entry.id != id);
        self
    }

    /// Returns all password entries that are there.
    pub(crate) fn passwords(&self) -> Vec<FakePassword> {
        self.lock().passwords.clone()
    }

    /// Returns everybody who is there.
    pub(crate) fn everybody(&self) -> Vec<FakePerson> {
        self.lock().people.clone()
    }

    /// Makes another key the right one (of ConnectWise: the private one).
    pub(crate) fn set_key(&self, key: &str) -> &Self {
        key.clone_into(&mut self.lock().key);
        self
    }

    /// Changes what is wrong all the time.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Wrong)) -> &Self {
        change(&mut self.lock().wrong);
        self
    }

    /// Orders a fault for the next so many requests that it fits.
    pub(crate) fn fault(&self, at: At, fault: Fault, times: usize) -> &Self {
        self.lock().orders.push(Order { at, fault, left: times });
        self
    }

    /// Takes all orders back.
    pub(crate) fn clear_faults(&self) {
        self.lock().orders.clear();
    }

    /// Returns all requests that arrived, in order.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// Returns how many requests arrived at a place.
    pub(crate) fn count(&self, place: Place) -> usize {
        self.lock().seen.iter().filter(|seen| seen.place == Some(place)).count()
    }

    /// Forgets the requests that arrived.
    pub(crate) fn forget_requests(&self) {
        self.lock().seen.clear();
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

impl Drop for DocumentationFake {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            let ending = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(5)));
            let _ = ending.join();
        }
    }
}

impl World {
    pub(super) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn add(
        &mut self,
        company: Option<u64>,
        first_name: &str,
        last_name: &str,
        emails: Vec<String>,
    ) -> u64 {
        let id = self.new_id();
        self.people.push(FakePerson {
            id,
            company,
            layout: LAYOUT,
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
            emails,
            is_archived: false,
            title: None,
            kind: None,
            notes: None,
            psa_id: None,
            members: BTreeMap::new(),
        });
        id
    }

    pub(super) fn company(&self, id: u64) -> Option<&FakeCompany> {
        self.companies.iter().find(|company| company.id == id)
    }

    /// Takes the next fault that is ordered for a request, and does what it does to the people.
    pub(super) fn ordered(&mut self, place: Place, page: usize) -> Option<Fault> {
        let order = self.orders.iter_mut().find(|order| {
            order.left > 0 && order.at.place == place && order.at.page.is_none_or(|wanted| wanted == page)
        })?;
        if order.left != ALWAYS {
            order.left -= 1;
        }
        let fault = order.fault.clone();
        match fault {
            Fault::Gone(id) => self.people.retain(|person| person.id != id),
            Fault::Came(company) => {
                self.add(Some(company), "New", "Comer", vec!["new@contoso.test".to_owned()]);
                let newest = self.people.pop().expect("somebody");
                self.people.insert(0, newest);
            }
            _ => {}
        }
        Some(fault)
    }

    /// Whether this request comes too fast.
    fn is_too_fast(&mut self) -> bool {
        let Some((requests, window)) = self.wrong.limit else { return false };
        let now = Instant::now();
        while self.taken.front().is_some_and(|first| now.duration_since(*first) >= window) {
            self.taken.pop_front();
        }
        self.taken.push_back(now);
        self.taken.len() > requests
    }

    /// Returns the rows of a page, by its number and size, and whether more come after it. `None` for a page
    /// that takes too long to make.
    pub(super) fn cut<T>(&self, rows: Vec<T>, number: usize, size: usize) -> Option<(Vec<T>, bool)> {
        if self.wrong.too_slow_above.is_some_and(|most| size > most) {
            return None;
        }
        let size = size.min(self.wrong.page_cap.unwrap_or(usize::MAX)).max(1);
        let pages = rows.len().div_ceil(size).max(1);
        let number = if self.wrong.clamps_pages { number.min(pages) } else { number };
        let more = number < pages;
        Some((rows.into_iter().skip((number - 1) * size).take(size).collect(), more))
    }

    fn answer(&mut self, asked: &Asked<'_>, place: &mut Option<Place>) -> Told {
        if self.is_too_fast() {
            return self.too_fast(None);
        }
        match self.product {
            Product::ItGlue => it_glue_fake::answer(self, asked, place),
            Product::Hudu => hudu_fake::answer(self, asked, place),
            Product::ConnectWise => connect_wise_fake::answer(self, asked, place),
        }
    }

    fn too_fast(&self, wait: Option<u64>) -> Told {
        let (media, body) = match self.product {
            Product::ItGlue => {
                (it_glue_fake::MEDIA, json!({"errors": [{"title": "Too Many Requests", "status": 429}]}))
            }
            Product::Hudu => ("text/plain", json!("Retry later")),
            Product::ConnectWise => (
                "application/json",
                json!({"error": "ConnectWiseAPI", "message": "There were too many requests for now."}),
            ),
        };
        let headers = wait.map(|wait| ("retry-after", wait.to_string())).into_iter().collect();
        Told::Answer { status: 429, media, body, headers }
    }
}

/// Makes an answer.
pub(super) fn told(status: u16, media: &'static str, body: Value) -> Told {
    Told::Answer { status, media, body, headers: Vec::new() }
}

/// Changes the rows of a page as a fault has it.
pub(super) fn spoiled(fault: Option<&Fault>, rows: &mut Vec<Value>, below: Option<&str>) {
    match fault {
        Some(Fault::DuplicateRows) => rows.extend(rows.clone()),
        Some(Fault::BrokenRow(row)) if !rows.is_empty() => rows[0] = row.clone(),
        Some(Fault::Without(name)) if !rows.is_empty() => {
            let row = match below {
                Some(below) if *name != "id" => &mut rows[0][below],
                _ => &mut rows[0],
            };
            row.as_object_mut().expect("an object").remove(*name);
        }
        _ => {}
    }
}

/// Whether a fault replaces the whole answer.
pub(super) fn is_whole(fault: &Fault) -> bool {
    !matches!(
        fault,
        Fault::DuplicateRows
            | Fault::BrokenRow(_)
            | Fault::Without(_)
            | Fault::Gone(_)
            | Fault::Came(_)
            | Fault::NoLink
            | Fault::Link(_)
            | Fault::LostAnswer
            | Fault::WithoutId
            | Fault::Another
            | Fault::Elsewhere(_)
    )
}

pub(super) fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, world: Arc<Mutex<World>>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let app = Router::new().fallback(answer).with_state(world);
    axum::serve(listener, app).await.expect("a server");
}

async fn answer(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let mut seen = Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        status: 0,
        place: None,
    };
    let told = {
        let mut world = lock(&world);
        let parameters = url::form_urlencoded::parse(seen.query.as_bytes()).into_owned().collect();
        let mut place = None;
        let mut told = world.answer(&Asked { seen: &seen, parameters }, &mut place);
        if let Told::Broken(Fault::TooFast(wait), ..) = told {
            told = world.too_fast(wait);
        }
        seen.place = place;
        seen.status = match &told {
            Told::Answer { status, .. } => *status,
            Told::Broken(fault, status, _) => match fault {
                Fault::Status(status)
                | Fault::Plain(status, _)
                | Fault::Json(status, _)
                | Fault::Html(status) => *status,
                _ => *status,
            },
        };
        world.seen.push(seen);
        told
    };
    match told {
        Told::Answer { status, media, body, headers } => {
            let text = if media == "text/plain" {
                body.as_str().unwrap_or_default().to_owned()
            } else {
                body.to_string()
            };
            let mut response = response(status, media, text);
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().expect("a header"));
            }
            response
        }
        Told::Broken(fault, _, body) => broken(&fault, &body).await,
    }
}

/// Does what a fault is, in place of an answer.
async fn broken(fault: &Fault, body: &Value) -> Response<Body> {
    let text = body.to_string();
    let media = "application/json";
    match fault {
        Fault::Status(status) => response(*status, "text/plain", String::new()),
        Fault::Plain(status, text) => response(*status, "text/plain", (*text).to_owned()),
        Fault::Json(status, body) => response(*status, media, body.to_string()),
        Fault::Html(status) => {
            response(*status, "text/html", "<!DOCTYPE html><html><body>Sorry</body></html>".to_owned())
        }
        Fault::Redirect(to) => {
            let mut response = response(302, "text/plain", String::new());
            response.headers_mut().insert(header::LOCATION, to.parse().expect("a header"));
            response
        }
        Fault::Null => response(200, media, "null".to_owned()),
        Fault::Empty => response(200, media, String::new()),
        Fault::NoListing => response(200, media, json!({"status": "ok"}).to_string()),
        Fault::CutBody => response(200, media, text[..half(&text)].to_owned()),
        Fault::CutConnection => {
            let begun = futures_util::stream::iter([Ok(Bytes::from(text[..half(&text)].to_owned()))]);
            // The head of the answer has to be out before the connection ends.
            let end = futures_util::stream::once(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(std::io::Error::other("cut on order"))
            });
            let body = Body::from_stream(begun.chain(end));
            Response::builder().header(header::CONTENT_TYPE, media).body(body).expect("an answer")
        }
        Fault::Hang => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Response::new(Body::empty())
        }
        // Ends the connection's task without a word, and with it the connection.
        _ => std::panic::resume_unwind(Box::new("the connection is reset on order")),
    }
}

fn half(text: &str) -> usize {
    (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

fn response(status: u16, media: &str, body: String) -> Response<Body> {
    Response::builder()
        .status(StatusCode::from_u16(status).expect("a status"))
        .header(header::CONTENT_TYPE, media)
        .body(Body::from(body))
        .expect("an answer")
}
