//! A stand-in for SCIM services: strict in what it takes, and as wrong as the real ones in what it gives, where that is
//! ordered. It ends when dropped.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use serde_json::{Map, Value, json};

/// The token that is right.
pub(crate) const TOKEN: &str = "the-right-token";

/// The server.
pub(crate) struct ScimFake {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
}

/// What is wrong.
#[derive(Debug, Clone)]
pub(crate) struct Wrong {
    /// Filters by these attributes are answered by a status.
    pub(crate) filters_refused: BTreeMap<&'static str, u16>,
    /// Filters are ignored: everybody is returned.
    pub(crate) filters_ignored: bool,
    /// Who is inactive is found by no filter.
    pub(crate) filters_hide_inactive: bool,
    /// The next so many requests are 404, whatever they ask for.
    pub(crate) nothing_is_there: usize,
    /// A user that is asked for by its id is answered for by 200, and is none.
    pub(crate) shows_nobody: bool,
    /// Listings are answered as it was when they were asked for, once this ends.
    pub(crate) listing_waits: bool,
    /// Writes to addresses that begin so are answered by a status.
    pub(crate) writes_refused: Option<(&'static str, u16)>,
    /// `POST` of a name that is there answers 201 with whoever has it, and writes the `externalId` on it.
    pub(crate) post_adopts: bool,
    /// `POST` of an address that is there answers 201 with whoever has it, and writes the `externalId` on it.
    pub(crate) post_adopts_by_address: bool,
    /// `409` says no `scimType`.
    pub(crate) conflict_is_bare: bool,
    /// `POST` says 409 for everybody.
    pub(crate) post_conflicts: bool,
    /// The next `POST`s keep the user, and answer by this status; 0 drops the connection.
    pub(crate) post_keeps_and_fails: Vec<u16>,
    /// `POST` answers without a body, without an id in it, or without `Location`.
    pub(crate) post_is_mute: bool,
    pub(crate) post_location: Location,
    /// `PATCH` answers by this status; 204 does it without a word.
    pub(crate) patch_status: u16,
    /// `PATCH` says that, with this `scimType`.
    pub(crate) patch_type: Option<&'static str>,
    /// Deactivating is taken, and forgotten.
    pub(crate) stays_active: bool,
    /// These attributes are dropped.
    pub(crate) drops: Vec<&'static str>,
    /// Names in answers are in lower case, and the list is called `resources`.
    pub(crate) lower_case: bool,
    /// Booleans are words.
    pub(crate) word_booleans: bool,
    /// Statuses in errors are numbers.
    pub(crate) number_status: bool,
    /// Errors are pages for people.
    pub(crate) html_errors: bool,
    /// No `meta`.
    pub(crate) no_meta: bool,
    /// An id that is not known is 400.
    pub(crate) unknown_is_400: bool,
    /// `DELETE` answers by this status.
    pub(crate) delete_status: u16,
    /// Versions are kept, and the next writes find another one.
    pub(crate) versions: bool,
    pub(crate) other_version: usize,
    /// Whoever is faster writes another `externalId`.
    pub(crate) faster_is_another: bool,
    /// The first so many requests, besides that for the configuration, are told to wait.
    pub(crate) too_fast: usize,
    /// The configuration: 404 by default.
    pub(crate) configuration: Option<Value>,
    /// The most users of a page.
    pub(crate) page: usize,
    /// Pages never end: every page is the first one.
    pub(crate) pages_repeat: bool,
    /// Pages never end: every page has somebody new.
    pub(crate) pages_go_on: bool,
    /// Each page begins with the last user of the one before.
    pub(crate) pages_overlap: bool,
    /// The total is this much too high.
    pub(crate) total_too_high: usize,
    /// Cursors: the second one is too old, so often.
    pub(crate) cursor_expires: usize,
    /// Bulk: answered by this status, if not 200.
    pub(crate) bulk_status: u16,
    /// Bulk: of more operations than these it is 413.
    pub(crate) bulk_takes: usize,
    /// Bulk: every so manieth operation fails by 500.
    pub(crate) bulk_fails: usize,
}

/// What `Location` of a new user is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Location {
    Absolute,
    Relative,
    None,
}

impl Default for Wrong {
    fn default() -> Self {
        Self {
            filters_refused: BTreeMap::new(),
            filters_ignored: false,
            filters_hide_inactive: false,
            nothing_is_there: 0,
            shows_nobody: false,
            listing_waits: false,
            writes_refused: None,
            post_adopts: false,
            post_adopts_by_address: false,
            conflict_is_bare: false,
            post_conflicts: false,
            post_keeps_and_fails: Vec::new(),
            post_is_mute: false,
            post_location: Location::Absolute,
            patch_status: 200,
            patch_type: None,
            stays_active: false,
            drops: Vec::new(),
            lower_case: false,
            word_booleans: false,
            number_status: false,
            html_errors: false,
            no_meta: false,
            unknown_is_400: false,
            delete_status: 204,
            versions: false,
            other_version: 0,
            faster_is_another: false,
            too_fast: 0,
            configuration: None,
            page: 1_000,
            pages_repeat: false,
            pages_go_on: false,
            pages_overlap: false,
            total_too_high: 0,
            cursor_expires: 0,
            bulk_status: 200,
            bulk_takes: usize::MAX,
            bulk_fails: usize::MAX,
        }
    }
}

struct World {
    token: String,
    users: Vec<Value>,
    next: u64,
    wrong: Wrong,
    seen: Vec<Seen>,
    versions: BTreeMap<String, u64>,
}

impl ScimFake {
    /// Starts one on a free port, without users.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket for tokio");
        let address = listener.local_addr().expect("an address");
        let world = Arc::new(Mutex::new(World {
            token: TOKEN.to_owned(),
            users: Vec::new(),
            next: 1,
            wrong: Wrong::default(),
            seen: Vec::new(),
            versions: BTreeMap::new(),
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let app = Router::new().fallback(answer).with_state(world.clone());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, app).await.expect("served");
        });
        Self { address, world, runtime: Some(runtime) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its base address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/scim/v2", self.address)
    }

    /// Orders what is wrong from now on.
    pub(crate) fn set(&self, order: impl FnOnce(&mut Wrong)) {
        order(&mut self.world().wrong);
    }

    /// Takes another token from now on.
    pub(crate) fn set_token(&self, token: &str) {
        token.clone_into(&mut self.world().token);
    }

    /// Adds a user of somebody else's.
    pub(crate) fn stranger(&self, user_name: &str, external_id: Option<&str>) -> String {
        let mut user = json!({"userName": user_name, "displayName": "A Stranger", "active": true});
        if let Some(external_id) = external_id {
            user["externalId"] = json!(external_id);
        }
        let mut world = self.world();
        world.keep(user)["id"].as_str().expect("an id").to_owned()
    }

    /// All users, in the order in which they were made.
    pub(crate) fn users(&self) -> Vec<Value> {
        self.world().users.clone()
    }

    /// The user of this name.
    pub(crate) fn user(&self, user_name: &str) -> Option<Value> {
        self.users().into_iter().find(|user| user["userName"] == user_name)
    }

    /// Changes a user as somebody else does.
    pub(crate) fn change(&self, user_name: &str, change: impl FnOnce(&mut Value)) {
        let mut world = self.world();
        let user = world.users.iter_mut().find(|user| user["userName"] == user_name).expect("a user");
        change(user);
    }

    /// Removes a user as somebody else does.
    pub(crate) fn remove(&self, user_name: &str) {
        self.world().users.retain(|user| user["userName"] != user_name);
    }

    /// What arrived since it was last asked.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.world().seen)
    }

    /// The writes that arrived since it was last asked, by method and path.
    pub(crate) fn take_writes(&self) -> Vec<String> {
        let seen = self.take_seen().into_iter();
        seen.filter(|seen| seen.method != "GET")
            .map(|seen| format!("{} {}", seen.method, seen.path))
            .collect()
    }

    /// Lines of an operator's file that have it as the target `hr-app`; further fields begin with a comma.
    pub(crate) fn target(&self, fields: &str) -> String {
        format!(
            "targets: {{hr-app: {{scim: {{url: \"{}\", tokenFrom: {{env: SCIM_TOKEN}}{fields}}}}}}}\n",
            self.url()
        )
    }
}

impl Drop for ScimFake {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(
    State(world): State<Arc<Mutex<World>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let (answer, drops) = {
        let mut world = world.lock().unwrap_or_else(PoisonError::into_inner);
        world.answer(&method, &uri, &headers, &body)
    };
    let is_listing =
        method == Method::GET && uri.path().ends_with("/Users") && !uri.query().is_some_and(is_filter);
    while is_listing && world.lock().unwrap_or_else(PoisonError::into_inner).wrong.listing_waits {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    if drops {
        // As a gateway that gives up: the answer never comes.
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    answer
}

fn is_filter(query: &str) -> bool {
    query.starts_with("filter=")
}

type Answered = (u16, Value, Vec<(&'static str, String)>);

impl World {
    fn keep(&mut self, mut user: Value) -> Value {
        // Of a numbered person the number, so that tests know it: several are made at the same time.
        let name = user["userName"].as_str().unwrap_or_default();
        let number = name.strip_prefix("person").and_then(|rest| rest.split('@').next());
        let id = number.map_or_else(|| format!("s{}", self.next), |number| format!("u{number}"));
        self.next += 1;
        let is_free = self.find(&id).is_none();
        user["id"] = json!(if is_free { id } else { format!("t{}", self.next) });
        self.users.push(user.clone());
        user
    }

    fn answer(
        &mut self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> (Response<Body>, bool) {
        let query: BTreeMap<String, String> = uri
            .query()
            .map(|query| url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
            .unwrap_or_default();
        let path = uri.path().trim_start_matches("/scim/v2").to_owned();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        self.seen.push(Seen { method: method.to_string(), path: path.clone() });
        let text = |name: header::HeaderName| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        if text(header::AUTHORIZATION) != format!("Bearer {}", self.token) {
            return (self.respond(self.error(401, None, "who are you?")), false);
        }
        if method != Method::GET && method != Method::DELETE {
            assert_eq!(text(header::CONTENT_TYPE), "application/scim+json");
        }
        if self.wrong.nothing_is_there > 0 {
            self.wrong.nothing_is_there -= 1;
            return (self.respond(self.error(404, None, "no such address")), false);
        }
        if path != "/ServiceProviderConfig" && self.wrong.too_fast > 0 {
            self.wrong.too_fast -= 1;
            let (status, value, _) = self.error(429, None, "too fast");
            return (self.respond((status, value, vec![("retry-after", "1".to_owned())])), false);
        }
        if method == Method::POST && path == "/Users" && !self.wrong.post_keeps_and_fails.is_empty() {
            let status = self.wrong.post_keeps_and_fails.remove(0);
            let _ = self.post(&body);
            let answered = self.error(if status == 0 { 504 } else { status }, None, "something broke");
            return (self.respond(answered), status == 0);
        }
        let answered = self.act(method, &path, &query, &text(header::IF_MATCH), &body);
        (self.respond(answered), false)
    }

    fn act(
        &mut self,
        method: &Method,
        path: &str,
        query: &BTreeMap<String, String>,
        if_match: &str,
        body: &Value,
    ) -> Answered {
        let id = path.strip_prefix("/Users/").map(str::to_owned);
        if let Some((begin, status)) = self.wrong.writes_refused
            && method != Method::GET
            && path.starts_with(begin)
        {
            return self.error(status, None, "not you");
        }
        match (method.as_str(), path, id) {
            ("GET", "/ServiceProviderConfig", _) => match self.wrong.configuration.clone() {
                Some(configuration) => (200, configuration, Vec::new()),
                None => self.error(404, None, "no such thing"),
            },
            ("GET", "/Users", _) => self.list(query),
            ("POST", "/Users", _) => self.post(body),
            ("POST", "/Bulk", _) => self.bulk(body),
            ("GET", _, Some(_)) if self.wrong.shows_nobody => (200, json!({"detail": "hello"}), Vec::new()),
            ("GET", _, Some(id)) => match self.find(&id) {
                Some(user) => (200, self.shown(&user), self.version_of(&id)),
                None => self.unknown(),
            },
            ("PATCH", _, Some(id)) => self.patch(&id, if_match, body),
            ("PUT", _, Some(id)) => self.put(&id, if_match, body),
            ("DELETE", _, Some(id)) => {
                if self.find(&id).is_none() {
                    return self.unknown();
                }
                if let Some(refused) = self.unless_current(&id, if_match) {
                    return refused;
                }
                if self.wrong.delete_status != 204 {
                    return self.error(self.wrong.delete_status, None, "not so");
                }
                self.users.retain(|user| user["id"] != json!(id));
                (204, Value::Null, Vec::new())
            }
            _ => self.error(404, None, "no such address"),
        }
    }

    fn unknown(&self) -> Answered {
        self.error(if self.wrong.unknown_is_400 { 400 } else { 404 }, None, "no such user")
    }

    fn find(&self, id: &str) -> Option<Value> {
        self.users.iter().find(|user| user["id"] == id).cloned()
    }

    fn version(&self, id: &str) -> String {
        format!("W/\"{}\"", self.versions.get(id).copied().unwrap_or(1))
    }

    fn version_of(&self, id: &str) -> Vec<(&'static str, String)> {
        match self.wrong.versions {
            true => vec![("etag", self.version(id))],
            false => Vec::new(),
        }
    }

    fn raise(&mut self, id: &str) {
        *self.versions.entry(id.to_owned()).or_insert(1) += 1;
    }

    /// Refuses a write of another version than the one that is there.
    fn unless_current(&mut self, id: &str, if_match: &str) -> Option<Answered> {
        if self.wrong.versions {
            assert_eq!(if_match, self.version(id), "the version that was read");
        } else {
            assert_eq!(if_match, "", "no version where none are kept");
        }
        if self.wrong.other_version == 0 {
            return None;
        }
        self.wrong.other_version -= 1;
        self.raise(id);
        if self.wrong.faster_is_another {
            self.user_of(id)["externalId"] = json!("theirs");
        }
        Some(self.error(412, None, "somebody was faster"))
    }

    fn user_of(&mut self, id: &str) -> &mut Value {
        self.users.iter_mut().find(|user| user["id"] == id).expect("a user")
    }

    fn list(&mut self, query: &BTreeMap<String, String>) -> Answered {
        if self.wrong.pages_go_on && !query.contains_key("filter") {
            let id = self.next;
            self.next += 1;
            let user = json!({"id": format!("u{id}"), "userName": format!("endless{id}@example.test")});
            return (200, json!({"totalResults": 1_000_000_000, "Resources": [user]}), Vec::new());
        }
        let mut users: Vec<Value> = self.users.clone();
        if let Some(filter) = query.get("filter") {
            let (attribute, value) = filter.split_once(" eq ").expect("a filter");
            if let Some(status) = self
                .wrong
                .filters_refused
                .iter()
                .find(|(name, _)| **name == attribute)
                .map(|(_, status)| *status)
            {
                return self.error(status, Some("invalidFilter"), "this is not filtered by");
            }
            let value: String = serde_json::from_str(value).expect("a literal");
            let has = |user: &Value| match attribute {
                "externalId" => user["externalId"] == json!(value),
                "userName" => user["userName"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(&value)),
                _ => false,
            };
            let hides = self.wrong.filters_hide_inactive;
            if !self.wrong.filters_ignored {
                users.retain(|user| has(user) && !(hides && user["active"] == json!(false)));
            }
        }
        let total = users.len() + self.wrong.total_too_high;
        let count = query.get("count").map_or(usize::MAX, |count| count.parse().expect("a number"));
        let count = count.min(self.wrong.page);
        assert!(count > 0, "a page of nobody is asked for");
        if let Some(cursor) = query.get("cursor") {
            assert!(!query.contains_key("startIndex"), "both ways to page at once");
            let from: usize = if cursor.is_empty() { 0 } else { cursor.parse().expect("our own cursor") };
            if from > 0 && self.wrong.cursor_expires > 0 {
                self.wrong.cursor_expires -= 1;
                return self.error(400, Some("expiredCursor"), "too late");
            }
            let page: Vec<Value> = users.iter().skip(from).take(count).map(|user| self.shown(user)).collect();
            let mut listing = json!({"Resources": page});
            if from + count < users.len() {
                listing["nextCursor"] = json!((from + count).to_string());
            }
            return (200, listing, Vec::new());
        }
        let from = query.get("startIndex").map_or(1, |from| from.parse::<usize>().expect("a number"));
        assert!(from > 0, "places begin with 1");
        let mut from = from - 1;
        if self.wrong.pages_repeat {
            from = 0;
        }
        if self.wrong.pages_overlap && from > 0 {
            from -= 1;
        }
        let page: Vec<Value> = users.iter().skip(from).take(count).map(|user| self.shown(user)).collect();
        let name = if self.wrong.lower_case { "resources" } else { "Resources" };
        (200, json!({"totalResults": total, "itemsPerPage": page.len(), name: page}), Vec::new())
    }

    fn shown(&self, user: &Value) -> Value {
        let mut members: Map<String, Value> = user.as_object().cloned().unwrap_or_default();
        if !self.wrong.no_meta {
            members.insert(
                "meta".to_owned(),
                json!({"resourceType": "User", "version": self.version(user["id"].as_str().unwrap_or_default())}),
            );
        }
        if self.wrong.word_booleans
            && let Some(Value::Bool(active)) = members.get("active").cloned()
        {
            members.insert("active".to_owned(), json!(if active { "True" } else { "False" }));
        }
        match self.wrong.lower_case {
            true => members.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect(),
            false => Value::Object(members),
        }
    }

    fn post(&mut self, body: &Value) -> Answered {
        let name = body["userName"].as_str().expect("a name").to_owned();
        let has_name =
            |user: &&Value| user["userName"].as_str().is_some_and(|other| other.eq_ignore_ascii_case(&name));
        let address = body["emails"][0]["value"].clone();
        let has_address = |user: &&Value| !address.is_null() && user["emails"][0]["value"] == address;
        let there = self.users.iter().find(has_name).cloned();
        let by_name = there.clone().filter(|_| self.wrong.post_adopts);
        let by_address = self.users.iter().find(has_address).filter(|_| self.wrong.post_adopts_by_address);
        if let Some(there) = by_name.or_else(|| by_address.cloned()) {
            let there = self.user_of(there["id"].as_str().expect("an id"));
            there["externalId"] = body["externalId"].clone();
            let there = there.clone();
            let shown = if self.wrong.post_is_mute { Value::Null } else { self.shown(&there) };
            return (201, shown, Vec::new());
        }
        if there.is_some() || self.wrong.post_conflicts {
            let kind = (!self.wrong.conflict_is_bare).then_some("uniqueness");
            return self.error(409, kind, "it is there already");
        }
        let mut body = body.clone();
        for name in &self.wrong.drops {
            body.as_object_mut().expect("members").remove(*name);
        }
        let user = self.keep(body);
        let id = user["id"].as_str().expect("an id").to_owned();
        let mut headers = self.version_of(&id);
        match self.wrong.post_location {
            Location::Absolute => headers.push(("location", format!("http://localhost/scim/v2/Users/{id}"))),
            Location::Relative => headers.push(("location", format!("/Users/{id}"))),
            Location::None => {}
        }
        let shown = if self.wrong.post_is_mute { Value::Null } else { self.shown(&user) };
        (201, shown, headers)
    }

    fn patch(&mut self, id: &str, if_match: &str, body: &Value) -> Answered {
        if self.find(id).is_none() {
            return self.unknown();
        }
        if let Some(refused) = self.unless_current(id, if_match) {
            return refused;
        }
        if self.wrong.patch_status >= 400 {
            return self.error(self.wrong.patch_status, self.wrong.patch_type, "no PATCH here");
        }
        for operation in body["Operations"].as_array().expect("operations") {
            let path = operation["path"].as_str().expect("a path");
            assert!(!path.contains('['), "a simple path: {path}");
            assert!(["replace", "remove"].contains(&operation["op"].as_str().expect("an op")));
            let value = operation["value"].clone();
            if path == "active" {
                assert!(value.is_boolean(), "a real boolean");
            }
            self.set_member(id, path, value);
        }
        self.raise(id);
        if self.wrong.patch_status == 204 {
            return (204, Value::Null, self.version_of(id));
        }
        let user = self.find(id).expect("a user");
        (200, self.shown(&user), self.version_of(id))
    }

    fn set_member(&mut self, id: &str, path: &str, value: Value) {
        let top = path.split('.').next().expect("a name");
        if self.wrong.drops.contains(&top) || (path == "active" && self.wrong.stays_active) {
            return;
        }
        let user = self.user_of(id);
        match path.split_once('.') {
            None => user[path] = value,
            Some((outer, inner)) => user[outer][inner] = value,
        }
    }

    fn put(&mut self, id: &str, if_match: &str, body: &Value) -> Answered {
        assert_eq!(body["id"], id);
        if self.find(id).is_none() {
            return self.unknown();
        }
        if let Some(refused) = self.unless_current(id, if_match) {
            return refused;
        }
        let mut body = body.clone();
        for name in &self.wrong.drops {
            body.as_object_mut().expect("members").remove(*name);
        }
        let user = self.user_of(id);
        *user = body;
        let user = user.clone();
        self.raise(id);
        (200, self.shown(&user), self.version_of(id))
    }

    fn bulk(&mut self, body: &Value) -> Answered {
        let operations = body["Operations"].as_array().expect("operations").clone();
        if operations.len() > self.wrong.bulk_takes {
            return self.error(413, None, "too much");
        }
        if self.wrong.bulk_status != 200 {
            return self.error(self.wrong.bulk_status, None, "not together");
        }
        let mut results = Vec::new();
        for (place, operation) in operations.iter().enumerate() {
            let method: Method = operation["method"].as_str().expect("a method").parse().expect("a method");
            let path = operation["path"].as_str().expect("a path");
            let mut result = json!({"bulkId": operation["bulkId"], "method": operation["method"]});
            if (place + 1) % self.wrong.bulk_fails == 0 {
                result["status"] = json!("500");
            } else {
                let version = operation["version"].as_str().unwrap_or_default();
                let (status, _, headers) =
                    self.act(&method, path, &BTreeMap::new(), version, &operation["data"]);
                result["status"] = json!(status.to_string());
                if let Some((_, location)) = headers.iter().find(|(name, _)| *name == "location") {
                    result["location"] = json!(location);
                }
            }
            results.push(result);
        }
        (200, json!({"Operations": results}), Vec::new())
    }

    fn error(&self, status: u16, kind: Option<&str>, detail: &str) -> Answered {
        let mut error = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "detail": detail});
        error["status"] = if self.wrong.number_status { json!(status) } else { json!(status.to_string()) };
        if let Some(kind) = kind {
            error["scimType"] = json!(kind);
        }
        (status, error, Vec::new())
    }

    fn respond(&self, (status, value, headers): Answered) -> Response<Body> {
        let is_page = status >= 400 && self.wrong.html_errors;
        let media_type = if is_page { "text/html" } else { "application/scim+json" };
        let body = match (is_page, value.is_null()) {
            (true, _) => "<html><body>Oh dear</body></html>".to_owned(),
            (false, true) => String::new(),
            (false, false) => value.to_string(),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        response.headers_mut().insert(header::CONTENT_TYPE, media_type.parse().expect("a media type"));
        for (name, value) in headers {
            response.headers_mut().insert(name, value.parse().expect("a value"));
        }
        response
    }
}
