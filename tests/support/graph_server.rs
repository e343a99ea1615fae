//! How the stand-in for Microsoft Graph answers: strict where the service is, and in its forms.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Response, StatusCode, header};
use futures_util::StreamExt as _;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Map, Value, json};
use url::form_urlencoded;
use uuid::Uuid;

use super::graph::{
    CLIENT_ID, Cursor, Fault, IDENTITY, IDENTITY_HEADER, IssuedToken, Place, Seen, World, lock,
};
use super::graph_assertion;

pub(super) const GRAPH_JSON: &str =
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";

/// What a managed identity's token must be issued for.
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// What comes without `$select`.
const DEFAULT_PROPERTIES: [&str; 11] = [
    "businessPhones",
    "displayName",
    "givenName",
    "id",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
];

/// What else may be selected.
const OTHER_PROPERTIES: [&str; 14] = [
    "accountEnabled",
    "assignedLicenses",
    "assignedPlans",
    "licenseAssignmentStates",
    "onPremisesDistinguishedName",
    "onPremisesDomainName",
    "onPremisesImmutableId",
    "onPremisesSamAccountName",
    "onPremisesSecurityIdentifier",
    "onPremisesSyncEnabled",
    "onPremisesUserPrincipalName",
    "proxyAddresses",
    "usageLocation",
    "userType",
];

/// The properties that are lists, and never null.
const LISTS: [&str; 5] =
    ["assignedLicenses", "assignedPlans", "businessPhones", "licenseAssignmentStates", "proxyAddresses"];

pub(super) async fn serve(listener: TcpListener, world: Arc<Mutex<World>>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let app = Router::new().fallback(answer).with_state(world);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).await.expect("a server");
}

/// An answer, or what happens in place of one.
pub(super) enum Outcome {
    Answer(Box<Response<Body>>),
    Hang,
    Reset,
}

async fn answer(
    State(world): State<Arc<Mutex<World>>>,
    ConnectInfo(connection): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
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
        connection,
        status: 0,
    };
    let outcome = {
        let mut world = lock(&world);
        let outcome = world.answer(&seen, &body);
        if let Outcome::Answer(response) = &outcome {
            seen.status = response.status().as_u16();
        }
        world.seen.push(seen.clone());
        outcome
    };
    match outcome {
        Outcome::Answer(mut response) => {
            let headers = response.headers_mut();
            headers.insert("request-id", Uuid::new_v4().to_string().parse().expect("a header"));
            if let Some(id) = seen.headers.get("client-request-id") {
                headers.insert("client-request-id", id.parse().expect("a header"));
            }
            *response
        }
        Outcome::Hang => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Response::new(Body::empty())
        }
        // Ends the connection's task without a word, and with it the connection.
        Outcome::Reset => std::panic::resume_unwind(Box::new("the connection is reset on order")),
    }
}

impl From<Response<Body>> for Outcome {
    fn from(response: Response<Body>) -> Self {
        Self::Answer(Box::new(response))
    }
}

impl World {
    fn answer(&mut self, seen: &Seen, body: &Bytes) -> Outcome {
        match seen.place() {
            Some(Place::Token) => self.token(seen, body),
            Some(Place::Machine) => self.machine(seen),
            Some(Place::Batch) if seen.method == "POST" => self.graph(Place::Batch, seen, body),
            Some(_) if seen.method != "GET" => graph_error(405, "Request_BadRequest", "Only GET.").into(),
            Some(place) => self.graph(place, seen, body),
            None => {
                graph_error(404, "Request_ResourceNotFound", "Resource not found for the segment.").into()
            }
        }
    }

    fn token(&mut self, seen: &Seen, body: &Bytes) -> Outcome {
        let named = seen.path.trim_start_matches('/').split('/').next().unwrap_or_default().to_lowercase();
        let domain = self
            .tenants
            .iter()
            .find(|(domain, tenant)| domain.to_lowercase() == named || tenant.id == named)
            .map(|(domain, _)| domain.clone());
        let ordered = self.ordered(Place::Token, 1, domain.as_deref().unwrap_or_default());
        if let Some(outcome) = ordered.and_then(|fault| broken(&fault, &json!({}))) {
            return outcome;
        }
        let form: HashMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let is_form = seen
            .headers
            .get("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if seen.method != "POST" || !is_form {
            return token_error(900144).into();
        }
        let Some(domain) = domain else {
            return token_error(90002).into();
        };
        let tenant = &self.tenants[&domain];
        if field("grant_type") != "client_credentials" {
            return token_error(70003).into();
        }
        if field("scope") != format!("{}/.default", self.root) {
            return token_error(500011).into();
        }
        if field("client_id") != CLIENT_ID {
            return token_error(700038).into();
        }
        if !tenant.consented {
            return token_error(700016).into();
        }
        let assertion = field("client_assertion");
        let refused = match (field("client_secret"), assertion) {
            ("", "") => Some(7000218),
            ("", _) if field("client_assertion_type") != graph_assertion::TYPE => Some(900144),
            ("", _) => {
                let is_trusted = tenant.trusts_machine
                    && self.machine_tokens.get(assertion).is_some_and(|audience| audience == EXCHANGE);
                let url = format!("{}{}", self.root, seen.path);
                let tenant = self.tenants.get_mut(&domain).expect("the tenant");
                if is_trusted || tenant.federated.contains(assertion) {
                    None
                } else {
                    let seen = &mut tenant.assertions;
                    graph_assertion::refused(assertion, &tenant.certificates, &url, CLIENT_ID, seen)
                }
            }
            (given, "") => (given != tenant.secret).then_some(7000215),
            _ => Some(900144),
        };
        if let Some(number) = refused {
            return token_error(number).into();
        }
        let tenant = &self.tenants[&domain];
        // Issued also when no permission was consented to: Graph says so later.
        let token = format!("opaque.{}", Uuid::new_v4().simple());
        let issued = IssuedToken::new(&domain, tenant.roles.clone(), tenant.token_life);
        let life = tenant.token_life;
        self.tokens.insert(token.clone(), issued);
        let granted = json!({"token_type": "Bearer", "expires_in": life, "ext_expires_in": life,
            "access_token": token});
        response(200, "application/json; charset=utf-8", granted.to_string()).into()
    }

    /// The machine's own service, in both its forms.
    fn machine(&mut self, seen: &Seen) -> Outcome {
        if let Some(outcome) =
            self.ordered(Place::Machine, 1, "").and_then(|fault| broken(&fault, &json!({})))
        {
            return outcome;
        }
        let parameters: HashMap<String, String> =
            form_urlencoded::parse(seen.query.as_bytes()).into_owned().collect();
        let field = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
        let header = |name: &str| seen.headers.get(name).map(String::as_str);
        let (is_proven, version) = if seen.path == "/msi/token" {
            (header("x-identity-header") == Some(IDENTITY_HEADER), "2019-08-01")
        } else {
            (header("metadata") == Some("true") && header("x-forwarded-for").is_none(), "2018-02-01")
        };
        if seen.method != "GET" || !is_proven || field("api-version") != version {
            return machine_error("Bad request. Required metadata header not specified.").into();
        }
        if field("client_id") != IDENTITY {
            return machine_error("Identity not found").into();
        }
        let token = format!("{}.{}.c2lnbmVk", "eyJhbGciOiJSUzI1NiJ9", Uuid::new_v4().simple());
        self.machine_tokens.insert(token.clone(), field("resource").to_owned());
        let ends = jiff::Timestamp::now().as_second() + 86_400;
        // Numbers are text here, and App Service says only when it ends.
        let mut granted = json!({"access_token": token, "client_id": IDENTITY, "token_type": "Bearer",
            "expires_on": ends.to_string(), "resource": field("resource")});
        if version == "2018-02-01" {
            granted["expires_in"] = json!("86400");
        }
        response(200, "application/json; charset=utf-8", granted.to_string()).into()
    }

    fn graph(&mut self, place: Place, seen: &Seen, body: &Bytes) -> Outcome {
        let token = seen.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let Some(token) = token.and_then(|token| self.tokens.get(token)) else {
            return graph_error(401, "InvalidAuthenticationToken", "Access token is empty or unknown.")
                .into();
        };
        if token.ends <= Instant::now() {
            let message = "Lifetime validation failed, the token is expired.";
            return graph_error(401, "InvalidAuthenticationToken", message).into();
        }
        let enough: &[&str] = match place {
            Place::Groups | Place::Members => {
                &["GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"]
            }
            Place::Skus => &["LicenseAssignment.Read.All", "Organization.Read.All", "Directory.Read.All"],
            _ => &["User.Read.All", "Directory.Read.All"],
        };
        if !token.has(enough) {
            let message = "Insufficient privileges to complete the operation.";
            return graph_error(403, "Authorization_RequestDenied", message).into();
        }
        let domain = token.domain.clone();
        let parameters: Vec<(String, String)> =
            form_urlencoded::parse(seen.query.as_bytes()).into_owned().collect();
        match place {
            Place::Users => self.users(&domain, seen, &parameters),
            Place::Delta => self.delta(&domain, &parameters),
            Place::Batch => self.batch(&domain, seen, body),
            Place::Groups => self.groups(&domain, seen, &parameters),
            Place::Members => self.members(&domain, seen, &parameters),
            Place::Skus => {
                let skus = self.tenants[&domain].skus.clone();
                self.short(place, &domain, "subscribedSkus", skus, &parameters)
            }
            _ => {
                let organization = json!({"id": self.tenants[&domain].id, "displayName": domain});
                self.short(place, &domain, "organization", vec![organization], &parameters)
            }
        }
    }

    /// Several requests for one user each. The answers come in another order than the questions.
    fn batch(&mut self, domain: &str, seen: &Seen, body: &Bytes) -> Outcome {
        let bad = |what: &str| graph_error(400, "BadRequest", what).into();
        if seen.headers.get("content-type").is_none_or(|kind| !kind.starts_with("application/json")) {
            return bad("The content type is not application/json.");
        }
        let Ok(asked) = serde_json::from_slice::<Value>(body) else { return bad("Invalid JSON.") };
        let requests = asked["requests"].as_array().cloned().unwrap_or_default();
        if requests.is_empty() || requests.len() > 20 {
            return bad("Number of batch request steps must be from 1 to 20.");
        }
        let mut ids: Vec<String> =
            requests.iter().map(|one| one["id"].as_str().unwrap_or_default().to_lowercase()).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() != requests.len() || ids.contains(&String::new()) {
            return bad("The ids of a batch are text, and different.");
        }
        let mut responses: Vec<Value> = requests.iter().map(|one| self.inside_batch(domain, one)).collect();
        responses.reverse();
        let answer = json!({"responses": responses});
        let ordered = self.ordered(Place::Batch, 1, domain);
        ordered
            .and_then(|fault| broken(&fault, &answer))
            .unwrap_or_else(|| response(200, "application/json", answer.to_string()).into())
    }

    fn inside_batch(&mut self, domain: &str, request: &Value) -> Value {
        let error = |status: u16, code: &str| {
            json!({"id": request["id"], "status": status, "headers": {"Content-Type": "application/json"},
                "body": {"error": {"code": code, "message": "Inside of a batch.", "innerError": {}}}})
        };
        let url = request["url"].as_str().unwrap_or_default();
        let asked = url.strip_prefix("/users/").and_then(|rest| rest.split_once("?$select="));
        let (Some((id, select)), Some("GET")) = (asked, request["method"].as_str()) else {
            return error(400, "BadRequest");
        };
        let select: Vec<String> = select.split(',').map(str::to_owned).collect();
        let ordered = self.ordered(Place::User, 1, domain);
        match &ordered {
            Some(Fault::Throttled(wait)) => {
                let mut answer = error(429, "TooManyRequests");
                if let Some(wait) = wait {
                    answer["headers"]["Retry-After"] = json!(wait.to_string());
                }
                return answer;
            }
            Some(Fault::Refused(status, code)) => return error(*status, code),
            Some(Fault::Missing(missing)) if missing == id => return error(404, "Request_ResourceNotFound"),
            _ => {}
        }
        let Some(user) = self.tenants[domain].users.iter().find(|user| user["id"] == id) else {
            return error(404, "Request_ResourceNotFound");
        };
        let mut body = selected(user, &select);
        match ordered {
            Some(Fault::Hidden(name)) => drop(body.as_object_mut().expect("an object").remove(name)),
            Some(Fault::BrokenRow(row)) => body = row,
            _ => {}
        }
        json!({"id": request["id"], "status": 200, "headers": {"Content-Type": GRAPH_JSON}, "body": body})
    }

    /// Whether a link was followed as it was given.
    pub(super) fn is_as_given(&self, query: &str, given: &str) -> bool {
        let parts = |query: &str| form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>();
        query == given || (self.is_behind && parts(query) == parts(given))
    }

    /// A listing of one page that knows `$select` alone.
    fn short(
        &mut self,
        place: Place,
        domain: &str,
        name: &str,
        rows: Vec<Value>,
        parameters: &[(String, String)],
    ) -> Outcome {
        let mut select = None;
        for (parameter, value) in parameters {
            match parameter.as_str() {
                "$select" => select = Some(value.clone()),
                _ => return unknown_parameter(parameter).into(),
            }
        }
        let mut rows = rows;
        if let Some(select) = select {
            let names: Vec<&str> = select.split(',').collect();
            for row in &mut rows {
                let members = row.as_object_mut().expect("an object");
                members.retain(|member, _| names.contains(&member.as_str()));
            }
        }
        let page = json!({"@odata.context": format!("{}/v1.0/$metadata#{name}", self.root), "value": rows});
        let ordered = self.ordered(place, 1, domain);
        ordered
            .and_then(|fault| broken(&fault, &page))
            .unwrap_or_else(|| response(200, GRAPH_JSON, page.to_string()).into())
    }

    fn users(&mut self, domain: &str, seen: &Seen, parameters: &[(String, String)]) -> Outcome {
        let mut top = 100;
        let mut select: Vec<String> = DEFAULT_PROPERTIES.map(str::to_owned).to_vec();
        let mut cursor = None;
        for (name, value) in parameters {
            match name.as_str() {
                "$top" => match value.parse() {
                    Ok(number) if (1..=999).contains(&number) => top = number,
                    _ => {
                        return graph_error(400, "Request_BadRequest", "Invalid page size specified.").into();
                    }
                },
                "$select" => match selection(value) {
                    Ok(names) => select = names,
                    Err(refused) => return refused,
                },
                "$skiptoken" => match self.cursors.get(value) {
                    Some(known) if known.domain == domain => cursor = Some((value.clone(), known.clone())),
                    _ => {
                        return graph_error(400, "DirectoryPageTokenNotFoundException", "Unknown token.")
                            .into();
                    }
                },
                _ => return unknown_parameter(name).into(),
            }
        }
        let (offset, number) = match &cursor {
            None => (0, 1),
            Some((token, cursor)) => {
                if !self.is_as_given(&seen.query, &format!("{}&$skiptoken={token}", cursor.query)) {
                    let message = "The link was not followed as it was given.";
                    return graph_error(400, "Request_BadRequest", message).into();
                }
                if cursor.expired {
                    return expired_page().into();
                }
                (cursor.offset, cursor.page)
            }
        };
        let ordered = self.ordered(Place::Users, number, domain);
        let tenant = &self.tenants[domain];
        let size = if matches!(ordered, Some(Fault::EmptyPage)) { 0 } else { top.min(tenant.page_size) };
        let end = (offset + size).min(tenant.users.len());
        let mut rows: Vec<Value> = tenant
            .users
            .get(offset..end)
            .unwrap_or_default()
            .iter()
            .map(|user| selected(user, &select))
            .collect();
        let mut link = None;
        if end < tenant.users.len() || (size == 0 && end <= tenant.users.len()) {
            let query = match &cursor {
                None => seen.query.clone(),
                Some((_, cursor)) => cursor.query.clone(),
            };
            let token = format!("RFNwdA{}", Uuid::new_v4().simple());
            link = Some(format!("{}/v1.0/users?{query}&$skiptoken={token}", self.root));
            let next =
                Cursor { domain: domain.to_owned(), offset: end, page: number + 1, query, expired: false };
            self.cursors.insert(token, next);
        }
        match &ordered {
            Some(Fault::DuplicateRows) => rows.extend(rows.clone()),
            Some(Fault::RepeatedLink) => link = Some(format!("{}/v1.0/users?{}", self.root, seen.query)),
            Some(Fault::ForeignLink(foreign)) => link = Some(foreign.clone()),
            Some(Fault::Missing(id)) => rows.retain(|row| row["id"] != id.as_str()),
            Some(Fault::Hidden(name)) => rows.iter_mut().for_each(|row| {
                row.as_object_mut().expect("an object").remove(*name);
            }),
            Some(Fault::BrokenRow(row)) => rows[0] = row.clone(),
            _ => {}
        }
        let mut page =
            json!({"@odata.context": format!("{}/v1.0/$metadata#users", self.root), "value": rows});
        if let Some(link) = link {
            page["@odata.nextLink"] = json!(link);
        }
        ordered
            .and_then(|fault| broken(&fault, &page))
            .unwrap_or_else(|| response(200, GRAPH_JSON, page.to_string()).into())
    }
}

/// Reads the properties that are selected.
pub(super) fn selection(value: &str) -> Result<Vec<String>, Outcome> {
    let names: Vec<String> = value.split(',').map(|name| name.trim().to_owned()).collect();
    let known = |name: &String| {
        DEFAULT_PROPERTIES.contains(&name.as_str()) || OTHER_PROPERTIES.contains(&name.as_str())
    };
    match names.iter().find(|name| !known(name)) {
        None => Ok(names),
        Some(unknown) => {
            let message = format!(
                "Parsing OData Select and Expand failed: Could not find a property named '{unknown}' on type \
                 'microsoft.graph.user'."
            );
            Err(graph_error(400, "BadRequest", &message).into())
        }
    }
}

/// Returns what was selected of a user: what has no value comes as null, lists come empty.
pub(super) fn selected(user: &Value, select: &[String]) -> Value {
    let property = |name: &String| {
        let absent = if LISTS.contains(&name.as_str()) { json!([]) } else { Value::Null };
        (name.clone(), user.get(name).cloned().unwrap_or(absent))
    };
    Value::Object(select.iter().map(property).collect::<Map<_, _>>())
}

/// Returns what a fault makes of an answer; `None` for faults that change the content alone.
pub(super) fn broken(fault: &Fault, page: &Value) -> Option<Outcome> {
    let text = page.to_string();
    let outcome = match fault {
        Fault::Throttled(wait) => with_wait(throttled(), wait.map(|wait| wait.to_string())).into(),
        Fault::ThrottledUntil(seconds) => {
            let until = jiff::Timestamp::now() + Duration::from_secs(*seconds);
            let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&until).expect("a date");
            with_wait(throttled(), Some(date)).into()
        }
        Fault::Status(status) => response(*status, "text/plain", String::new()).into(),
        Fault::StatusAfter(status, wait) => {
            with_wait(response(*status, "text/plain", String::new()), Some(wait.to_string())).into()
        }
        Fault::Refused(status, code) => graph_error(*status, code, "Refused on order.").into(),
        Fault::RefusedInside(status, code) => {
            let body =
                json!({"error": {"code": "", "message": "Refused on order.", "innerError": {"code": code}}});
            response(*status, GRAPH_JSON, body.to_string()).into()
        }
        Fault::Token(number) => token_error(*number).into(),
        Fault::Redirect(to) => {
            let mut response = response(302, "text/plain", String::new());
            response.headers_mut().insert(header::LOCATION, to.parse().expect("a header"));
            response.into()
        }
        Fault::CutBody => response(200, GRAPH_JSON, text[..text.len() / 2].to_owned()).into(),
        Fault::CutConnection => {
            let half = Bytes::from(text[..text.len() / 2].to_owned());
            let begun = futures_util::stream::iter([Ok(half)]);
            // The head of the answer has to be out before the connection ends.
            let end = futures_util::stream::once(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(std::io::Error::other("cut on order"))
            });
            let body = Body::from_stream(begun.chain(end));
            Response::builder().header(header::CONTENT_TYPE, GRAPH_JSON).body(body).expect("an answer").into()
        }
        Fault::Html => {
            response(200, "text/html", "<html><body>Please sign in</body></html>".to_owned()).into()
        }
        Fault::NoValue => response(200, GRAPH_JSON, json!({"status": "ok"}).to_string()).into(),
        Fault::ExpiredPageToken => expired_page().into(),
        Fault::Hang => Outcome::Hang,
        Fault::Reset => Outcome::Reset,
        Fault::Nothing
        | Fault::EmptyPage
        | Fault::DuplicateRows
        | Fault::RepeatedLink
        | Fault::ForeignLink(_)
        | Fault::Missing(_)
        | Fault::Hidden(_)
        | Fault::MoreRows(_)
        | Fault::NoEnd
        | Fault::TwoEnds
        | Fault::BrokenRow(_) => return None,
    };
    Some(outcome)
}

pub(super) fn response(status: u16, content_type: &str, body: String) -> Response<Body> {
    Response::builder()
        .status(StatusCode::from_u16(status).expect("a status"))
        .header(header::CONTENT_TYPE, content_type)
        .body(Body::from(body))
        .expect("an answer")
}

fn with_wait(mut response: Response<Body>, wait: Option<String>) -> Response<Body> {
    if let Some(wait) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, wait.parse().expect("a header"));
    }
    response
}

fn throttled() -> Response<Body> {
    graph_error(429, "TooManyRequests", "Please retry again later.")
}

pub(super) fn expired_page() -> Response<Body> {
    let message = "The specified page token value has expired and can no longer be included in your request.";
    graph_error(400, "Directory_ExpiredPageToken", message)
}

pub(super) fn unknown_parameter(name: &str) -> Response<Body> {
    graph_error(400, "Request_UnsupportedQuery", &format!("The query parameter '{name}' is not supported."))
}

pub(super) fn graph_error(status: u16, code: &str, message: &str) -> Response<Body> {
    let inner = json!({"date": "2026-11-22T12:00:00", "request-id": Uuid::new_v4(),
        "client-request-id": Uuid::new_v4()});
    let body = json!({"error": {"code": code, "message": message, "innerError": inner}});
    response(status, GRAPH_JSON, body.to_string())
}

fn machine_error(text: &str) -> Response<Body> {
    let body = json!({"error": "invalid_request", "error_description": text});
    response(400, "application/json; charset=utf-8", body.to_string())
}

/// A refusal of the token service in its documented form.
fn token_error(number: u64) -> Response<Body> {
    let (status, error, text) = match number {
        7000215 => (401, "invalid_client", "Invalid client secret provided."),
        7000222 => (401, "invalid_client", "The provided client secret keys are expired."),
        7000218 => {
            (401, "invalid_client", "The request body must contain client_assertion or client_secret.")
        }
        700038 => (400, "unauthorized_client", "That is not a valid application identifier."),
        700016 => (400, "unauthorized_client", "Application was not found in the directory."),
        65001 => (400, "invalid_grant", "The user or administrator has not consented."),
        7000229 => (400, "invalid_client", "The client application is missing service principal."),
        90099 => (400, "invalid_request", "The application has not been authorized in the tenant."),
        650052 | 650056 => (400, "invalid_client", "The app is not set up in the tenant."),
        700027 => (401, "invalid_client", "The certificate with identifier used to sign is not registered."),
        50013 | 500133 | 700024 => (401, "invalid_client", "The client assertion is not valid."),
        900384 => (400, "invalid_request", "The assertion is malformed."),
        70021 | 700211..=700213 | 700229 => {
            (400, "invalid_client", "No matching federated identity record found.")
        }
        7000112 => (400, "unauthorized_client", "The application is disabled."),
        70001 => (400, "unauthorized_client", "The application is not found."),
        90002 => (400, "invalid_request", "Tenant not found."),
        90038 | 900382 | 900432 => {
            (400, "invalid_request", "Confidential client is not supported in cross cloud request.")
        }
        53003 | 530032 => (400, "invalid_grant", "Access has been blocked by Conditional Access policies."),
        70011 | 700022 => (400, "invalid_scope", "The provided value for scope is not valid."),
        500011 => (400, "invalid_resource", "The resource principal was not found in the tenant."),
        70003 => (400, "unsupported_grant_type", "The app requested an unsupported grant type."),
        90033 | 90024 | 90006 | 90012 | 90090 | 50033 => {
            (503, "temporarily_unavailable", "A transient error has occurred.")
        }
        90055 => (429, "temporarily_unavailable", "Tenant throttled."),
        _ => (400, "invalid_request", "The request is not valid."),
    };
    let trace = Uuid::new_v4();
    let correlation = Uuid::new_v4();
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} \
            Timestamp: 2026-11-22 12:00:00Z"),
        "error_codes": [number],
        "timestamp": "2026-11-22 12:00:00Z",
        "trace_id": trace,
        "correlation_id": correlation
    });
    response(status, "application/json; charset=utf-8", body.to_string())
}
