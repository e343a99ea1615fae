//! Tenants: Graph over real HTTP against a stand-in with faults to order, snapshots, webhooks.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use intake::adapters::graph::{GraphTenant, SharedGraph};
use intake::adapters::graph_credential::Credential;
use intake::adapters::http::{HttpClient, Request, Timeouts};
use intake::adapters::snapshot::SnapshotTenant;
use intake::model::reading::{Fault as SourceFault, FaultKind, Reading, Shortfall};
use intake::model::tenant::Tenant;
use intake::ports::source::{Progress, TenantPort, Unwatched};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::graph::{
    ALWAYS, At, CLIENT_ID, E3, Fault, GraphFake, Place, SECRET, e3, person, person_id,
};

mod confirm;
mod credentials;
mod delta;
mod groups;
mod others;
mod patience;
mod webhooks;

const DOMAIN: &str = "contoso.com";

/// What a reading may be delayed by faults, where a test expects it to recover.
const PATIENT: Duration = Duration::from_secs(20);

/// What a reading may be delayed by, where a test expects it to give up.
const IMPATIENT: Duration = Duration::from_millis(300);

fn client(silence: Duration) -> HttpClient {
    let timeouts = Timeouts { connect: Duration::from_secs(5), silence, whole: Duration::from_secs(20) };
    HttpClient::with_timeouts(timeouts)
}

/// A reader of the stand-in's tenant, which shares tokens and waits with its clones alone.
#[derive(Clone)]
struct Reader {
    client: HttpClient,
    shared: SharedGraph,
    credential: Credential,
    patience: Duration,
    tenant: String,
}

impl Reader {
    fn new(patience: Duration) -> Self {
        Self::over(client(Duration::from_secs(10)), patience)
    }

    fn over(client: HttpClient, patience: Duration) -> Self {
        Self {
            shared: SharedGraph::new(client.clone()),
            client,
            credential: secret(SECRET),
            patience,
            tenant: DOMAIN.to_owned(),
        }
    }

    /// The same client, and nothing else that is shared: making a client takes time that timers
    /// would count.
    fn of_its_own(&self) -> Self {
        Self { shared: SharedGraph::new(self.client.clone()), ..self.clone() }
    }

    fn with(&self, credential: Credential) -> Self {
        Self { credential, ..self.clone() }
    }

    fn of(&self, tenant: &str) -> Self {
        Self { tenant: tenant.to_owned(), ..self.clone() }
    }

    fn source(&self, fake: &GraphFake) -> GraphTenant {
        GraphTenant::new(
            self.shared.clone(),
            &self.tenant,
            CLIENT_ID.parse().expect("a GUID"),
            &fake.endpoints(),
            self.credential.clone(),
            self.patience,
        )
    }

    async fn read(&self, fake: &GraphFake) -> Reading<Tenant> {
        self.source(fake).read(&Unwatched).await
    }
}

fn secret(text: &str) -> Credential {
    Credential::Secret(SecretString::from(text))
}

/// A stand-in with a tenant of so many people, three a page.
async fn fake_of(people: u32) -> GraphFake {
    let fake = GraphFake::start().await;
    fake.tenant(DOMAIN).people(people).page_size(3).sku(e3());
    fake
}

fn complete(reading: Reading<Tenant>) -> Tenant {
    match reading {
        Reading::Complete(tenant) => tenant,
        other => panic!("not complete: {other:?}"),
    }
}

fn incomplete(reading: Reading<Tenant>) -> Shortfall {
    match reading {
        Reading::Incomplete(shortfall) => shortfall,
        other => panic!("not incomplete: {other:?}"),
    }
}

fn unavailable(reading: Reading<Tenant>) -> SourceFault {
    match reading {
        Reading::Unavailable(fault) => fault,
        other => panic!("not unavailable: {other:?}"),
    }
}

fn ids(tenant: &Tenant) -> Vec<String> {
    let mut ids: Vec<String> = tenant.users.iter().map(|user| user.id.to_string()).collect();
    ids.sort();
    ids
}

fn people(count: u32) -> Vec<String> {
    (1..=count).map(person_id).collect()
}

/// Orders a fault once and expects the reading to be whole all the same.
async fn recovers(reader: &Reader, at: At, fault: Fault) {
    let fake = fake_of(8).await;
    fake.fault(at.clone(), fault.clone(), 1);
    let tenant = complete(reader.of_its_own().read(&fake).await);
    assert_eq!(ids(&tenant), people(8), "{fault:?} at {at:?}");
}

/// Orders a fault for ever and returns what comes of reading.
async fn read_under(reader: &Reader, at: At, fault: Fault) -> Reading<Tenant> {
    let fake = fake_of(8).await;
    fake.fault(at, fault, ALWAYS);
    reader.of_its_own().read(&fake).await
}

// Listing

#[tokio::test]
async fn all_users_are_read_licensed_or_not_over_all_pages() {
    let fake = fake_of(8).await;
    let tenant = fake.tenant(DOMAIN);
    tenant.change(&person_id(2), json!({"assignedLicenses": [], "licenseAssignmentStates": []}));
    tenant.change(&person_id(3), json!({"userType": "Guest"}));
    tenant.change(
        &person_id(4),
        json!({"accountEnabled": false, "onPremisesImmutableId": "MyIRAFVEd2aImaq7zN3u/w==",
            "onPremisesSecurityIdentifier": "S-1-5-21-1-2-3-1104"}),
    );
    let read = complete(Reader::new(PATIENT).read(&fake).await);
    assert_eq!(ids(&read), people(8));
    assert_eq!(read.id.as_deref(), Some(tenant.id().as_str()));
    let user = |number: u32| {
        read.users.iter().find(|user| user.id.to_string() == person_id(number)).expect("a person")
    };
    assert_eq!(user(1).user_principal_name, "person1@contoso.com");
    assert_eq!(user(1).addresses.primary().map(|address| address.as_str()), Some("person1@contoso.com"));
    assert_eq!(read.licences_of(user(1))[0].sku.to_string(), E3);
    assert!(read.licences_of(user(2)).is_empty());
    assert!(user(3).is_guest && !user(1).is_guest);
    assert!(!user(4).enabled && user(1).enabled);
    assert_eq!(user(4).on_premises_sid.expect("a SID").to_string(), "S-1-5-21-1-2-3-1104");
    assert_eq!(read.subscriptions.expect("subscriptions")[0].part_number, "SPE_E3");
}

#[tokio::test]
async fn an_empty_tenant_is_read_whole() {
    let fake = fake_of(0).await;
    assert!(complete(Reader::new(PATIENT).read(&fake).await).users.is_empty());
}

#[tokio::test]
async fn every_page_is_asked_for_with_all_headers_and_by_the_link_as_it_was_given() {
    let fake = fake_of(8).await;
    complete(Reader::new(PATIENT).read(&fake).await);
    let pages: Vec<_> =
        fake.requests().into_iter().filter(|seen| seen.place() == Some(Place::Users)).collect();
    assert_eq!(pages.len(), 3);
    assert!(pages[0].query.starts_with("$select=id,userPrincipalName,"), "{}", pages[0].query);
    assert!(pages[0].query.ends_with("&$top=999"), "all users, no filter: {}", pages[0].query);
    let mut request_ids = Vec::new();
    for page in &pages {
        assert_eq!(page.status, 200);
        assert_eq!(page.headers["accept"], "application/json");
        assert_eq!(page.headers["x-ms-throttle-priority"], "low");
        assert!(page.headers["user-agent"].starts_with("intake/"));
        assert!(!page.headers.contains_key("cookie"));
        request_ids.push(page.headers["client-request-id"].clone());
    }
    request_ids.sort();
    request_ids.dedup();
    assert_eq!(request_ids.len(), 3, "a fresh id per request");
}

#[tokio::test]
async fn progress_is_told_after_each_page() {
    struct Told(Mutex<Vec<usize>>);
    impl Progress for Told {
        fn read(&self, objects: usize) {
            self.0.lock().expect("a lock").push(objects);
        }
    }
    let fake = fake_of(8).await;
    let told = Told(Mutex::default());
    complete(Reader::new(PATIENT).source(&fake).read(&told).await);
    assert_eq!(*told.0.lock().expect("a lock"), [3, 6, 8]);
}

#[tokio::test]
async fn an_empty_page_is_not_the_end() {
    recovers(&Reader::new(PATIENT), At::users().page(1), Fault::EmptyPage).await;
    recovers(&Reader::new(PATIENT), At::users().page(2), Fault::EmptyPage).await;
}

#[tokio::test]
async fn rows_that_come_twice_count_once() {
    recovers(&Reader::new(PATIENT), At::users().page(2), Fault::DuplicateRows).await;
}

#[tokio::test]
async fn a_stale_read_is_whole_and_the_next_one_has_the_user_again() {
    // Nothing in the answer tells: guards further down must cope.
    let fake = fake_of(8).await;
    fake.fault(At::users().page(1), Fault::Missing(person_id(1)), 1);
    let reader = Reader::new(PATIENT);
    assert_eq!(complete(reader.read(&fake).await).users.len(), 7);
    assert_eq!(ids(&complete(reader.read(&fake).await)), people(8));
}

#[tokio::test]
async fn a_link_that_leads_back_ends_the_reading_incomplete() {
    let shortfall =
        incomplete(read_under(&Reader::new(IMPATIENT), At::users().page(2), Fault::RepeatedLink).await);
    assert!(shortfall.what.contains("leads back to an earlier page"), "{}", shortfall.what);
}

#[tokio::test]
async fn a_link_to_another_server_is_not_followed_and_gets_no_token() {
    let stranger = GraphFake::start().await;
    let link = format!("{}/v1.0/users?$skiptoken=x", stranger.url());
    let shortfall =
        incomplete(read_under(&Reader::new(IMPATIENT), At::users().page(1), Fault::ForeignLink(link)).await);
    assert!(shortfall.what.contains("another server"), "{}", shortfall.what);
    assert_eq!(shortfall.read, 0, "what the page held is not taken either");
    assert!(stranger.requests().is_empty());
}

#[tokio::test]
async fn a_link_that_is_no_whole_address_is_not_guessed_at() {
    for link in ["", "/v1.0/users?$skiptoken=x", "users?$skiptoken=x", "$skiptoken=x", "file:///etc/passwd"] {
        let fake = fake_of(8).await;
        fake.fault(At::users().page(1), Fault::ForeignLink(link.to_owned()), ALWAYS);
        assert_eq!(incomplete(Reader::new(IMPATIENT).read(&fake).await).read, 0, "`{link}`");
        assert_eq!(fake.count(Place::Users), 1, "`{link}`");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let stranger = GraphFake::start().await;
    let fault =
        unavailable(read_under(&Reader::new(IMPATIENT), At::users(), Fault::Redirect(stranger.url())).await);
    assert_eq!(fault.kind, FaultKind::Refused);
    assert!(stranger.requests().is_empty());
}

#[tokio::test]
async fn an_expired_link_starts_the_listing_anew_once() {
    let fake = fake_of(8).await;
    fake.fault(At::users().page(3), Fault::ExpiredPageToken, 1);
    assert_eq!(ids(&complete(Reader::new(PATIENT).read(&fake).await)), people(8));
    assert_eq!(fake.count(Place::Users), 6, "three pages, the last refused, and three pages anew");

    for expired in [
        Fault::Refused(400, "DirectoryPageTokenNotFoundException"),
        Fault::RefusedInside(400, "Directory_ExpiredPageToken"),
    ] {
        fake.fault(At::users().page(2), expired, 1);
        assert_eq!(ids(&complete(Reader::new(PATIENT).read(&fake).await)), people(8));
    }

    fake.fault(At::users().page(2), Fault::ExpiredPageToken, 2);
    let shortfall = incomplete(Reader::new(PATIENT).read(&fake).await);
    assert_eq!(shortfall.read, 3, "of the second listing alone");
}

#[tokio::test]
async fn a_user_that_cannot_be_read_makes_the_reading_incomplete_and_is_named() {
    let broken = [
        (json!({"userPrincipalName": "jane@contoso.com", "assignedLicenses": []}), "has no id"),
        (json!({"id": "7", "userPrincipalName": "jane@contoso.com"}), "(jane@contoso.com) has the id `7`"),
        (json!({"id": 7}), "object 1 of a page cannot be read"),
        (json!("jane"), "object 1 of a page cannot be read"),
    ];
    for (row, expected) in broken {
        let fake = fake_of(8).await;
        fake.fault(At::users().page(2), Fault::BrokenRow(row), 1);
        let shortfall = incomplete(Reader::new(PATIENT).read(&fake).await);
        assert!(shortfall.what.contains(expected), "{} lacks {expected}", shortfall.what);
        assert_eq!(shortfall.read, 3);
    }
}

#[tokio::test]
async fn users_whose_licences_are_hidden_make_the_reading_incomplete() {
    for hidden in ["assignedLicenses", "accountEnabled"] {
        let shortfall =
            incomplete(read_under(&Reader::new(IMPATIENT), At::users(), Fault::Hidden(hidden)).await);
        assert!(shortfall.what.contains(&format!("does not show {hidden}")), "{}", shortfall.what);
    }
}

// Faults that pass

#[tokio::test]
async fn throttling_is_waited_out_and_the_server_is_obeyed() {
    for wait in [Fault::Throttled(Some(1)), Fault::ThrottledUntil(2)] {
        let fake = fake_of(8).await;
        fake.fault(At::users().page(2), wait, 1);
        let started = Instant::now();
        assert_eq!(ids(&complete(Reader::new(PATIENT).read(&fake).await)), people(8));
        assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn what_passes_by_itself_is_survived_within_the_reading() {
    let passing = [
        Fault::Throttled(None),
        Fault::Throttled(Some(0)),
        Fault::Status(503),
        Fault::StatusAfter(503, 0),
        Fault::Status(504),
        Fault::Status(509),
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(408),
        Fault::Refused(409, "Directory_ConcurrencyViolation"),
        Fault::RefusedInside(409, "Directory_ConcurrencyViolation"),
        Fault::CutBody,
        Fault::CutConnection,
        Fault::Html,
        Fault::NoValue,
        Fault::Reset,
    ];
    let reader = &Reader::new(PATIENT);
    let tests = passing.into_iter().map(|fault| async move {
        recovers(reader, At::users().page(1), fault.clone()).await;
        recovers(reader, At::users().page(3), fault).await;
    });
    futures_util::future::join_all(tests).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_and_asked_again() {
    let reader = Reader::over(client(Duration::from_secs(2)), PATIENT);
    let places = [At::token(), At::users().page(1), At::users().page(3), At::skus()];
    let reader = &reader;
    futures_util::future::join_all(places.map(|at| recovers(reader, at, Fault::Hang))).await;
}

#[tokio::test]
async fn a_server_that_hangs_for_ever_ends_the_reading() {
    let reader = Reader::over(client(Duration::from_secs(2)), Duration::from_secs(3));
    let (token, first, third) = futures_util::future::join3(
        read_under(&reader, At::token(), Fault::Hang),
        read_under(&reader, At::users().page(1), Fault::Hang),
        read_under(&reader, At::users().page(3), Fault::Hang),
    )
    .await;
    assert_eq!(unavailable(token).kind, FaultKind::Transient);
    assert_eq!(unavailable(first).kind, FaultKind::Transient);
    assert_eq!(incomplete(third).read, 6);
}

#[tokio::test]
async fn faults_of_the_token_service_that_pass_are_survived() {
    for fault in [Fault::Token(90033), Fault::Token(90055), Fault::Status(500), Fault::Reset, Fault::CutBody]
    {
        recovers(&Reader::new(PATIENT), At::token(), fault).await;
    }
}

#[tokio::test]
async fn faults_of_the_short_listings_that_pass_are_survived() {
    for at in [At::skus(), At::organization()] {
        recovers(&Reader::new(PATIENT), at.clone(), Fault::StatusAfter(503, 0)).await;
        recovers(&Reader::new(PATIENT), at, Fault::CutBody).await;
    }
}

#[tokio::test]
async fn no_fault_that_lasts_ends_in_a_complete_reading() {
    let lasting = [
        Fault::Throttled(None),
        Fault::Throttled(Some(60)),
        Fault::Status(503),
        Fault::Status(500),
        Fault::CutBody,
        Fault::CutConnection,
        Fault::Html,
        Fault::NoValue,
        Fault::Reset,
        Fault::Refused(400, "Request_BadRequest"),
        Fault::Refused(401, "InvalidAuthenticationToken"),
        Fault::Refused(403, "Authorization_RequestDenied"),
        Fault::Refused(410, "Gone"),
    ];
    let reader = &Reader::new(IMPATIENT);
    let tests = lasting.into_iter().map(|fault| async move {
        let bad_answer =
            matches!(fault, Fault::CutBody | Fault::CutConnection | Fault::Html | Fault::NoValue);
        match read_under(reader, At::users().page(1), fault.clone()).await {
            Reading::Unavailable(_) => assert!(!bad_answer, "{fault:?} on the first page"),
            Reading::Incomplete(shortfall) => {
                assert!(bad_answer, "{fault:?} on the first page");
                assert_eq!(shortfall.read, 0);
            }
            Reading::Complete(_) => panic!("{fault:?} on the first page ended complete"),
        }
        let shortfall = incomplete(read_under(reader, At::users().page(3), fault.clone()).await);
        assert_eq!(shortfall.read, 6, "{fault:?} on the third page");
        // Who may not read what the tenant owns still sees all users; any other fault is one.
        if !matches!(fault, Fault::Refused(403, _)) {
            let shortfall = incomplete(read_under(reader, At::skus(), fault.clone()).await);
            assert_eq!(shortfall.read, 8, "{fault:?} at subscribedSkus");
            incomplete(read_under(reader, At::organization(), fault).await);
        }
    });
    futures_util::future::join_all(tests).await;
}

#[tokio::test]
async fn a_wait_beyond_the_patience_ends_at_once_and_is_handed_on() {
    let fake = fake_of(8).await;
    fake.fault(At::users(), Fault::Throttled(Some(120)), ALWAYS);
    let fault = unavailable(Reader::new(PATIENT).read(&fake).await);
    assert_eq!(fault.kind, FaultKind::Transient);
    assert_eq!(fault.retry_after, Some(Duration::from_secs(120)));
    assert_eq!(fake.count(Place::Users), 1);
}

#[tokio::test]
async fn what_the_token_service_says_is_never_taken_for_what_graph_says() {
    // A 403 at subscribedSkus means a missing permission; a 403 on the way to a token does not.
    for fault in
        [Fault::Status(403), Fault::Html, Fault::CutBody, Fault::Redirect("http://127.0.0.1:1".into())]
    {
        let fake = fake_of(3).await;
        // So short a life that every request gets a token of its own: the second is for subscribedSkus.
        fake.tenant(DOMAIN).token_life(299);
        fake.fault(At::token(), Fault::Nothing, 1);
        fake.fault(At::token(), fault.clone(), ALWAYS);
        assert_eq!(incomplete(Reader::new(IMPATIENT).read(&fake).await).read, 3, "{fault:?}");

        fake.clear_faults();
        fake.fault(At::token(), fault.clone(), ALWAYS);
        unavailable(Reader::new(IMPATIENT).read(&fake).await);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read_to_its_end() {
    let fake = fake_of(8).await;
    let url = format!("{}/nothing", fake.url()).parse().expect("an address");
    let failed =
        client(PATIENT).send(&Request::get(url), PATIENT, 10).await.expect_err("more than ten bytes");
    assert_eq!(failed.fault.kind, FaultKind::Refused);
    assert!(failed.fault.what.contains("longer than 10 bytes"), "{}", failed.fault);
}

#[tokio::test]
async fn an_error_of_the_server_is_tried_a_few_times_only() {
    let fake = fake_of(8).await;
    fake.fault(At::users(), Fault::StatusAfter(500, 0), ALWAYS);
    let fault = unavailable(Reader::new(PATIENT).read(&fake).await);
    assert_eq!(fault.kind, FaultKind::Transient);
    assert_eq!(fake.count(Place::Users), 4);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let fake = GraphFake::start().await;
    let source = Reader::new(IMPATIENT).source(&fake);
    drop(fake);
    let fault = unavailable(source.read(&Unwatched).await);
    assert_eq!(fault.kind, FaultKind::Transient);
}

// Permissions

#[tokio::test]
async fn a_token_without_permissions_is_unauthorised_and_says_which_one_is_missing() {
    let fake = fake_of(8).await;
    fake.tenant(DOMAIN).roles(&[]);
    let reader = Reader::new(PATIENT);
    let fault = unavailable(reader.read(&fake).await);
    assert_eq!(fault.kind, FaultKind::Unauthorised);
    assert!(fault.hint.expect("a hint").contains("User.Read.All"));
    assert_eq!(fake.count(Place::Users), 1, "asking again would not help");

    fake.tenant(DOMAIN).roles(&["User.Read.All", "LicenseAssignment.Read.All"]);
    assert_eq!(ids(&complete(reader.read(&fake).await)), people(8), "the old token is not kept");
}

#[tokio::test]
async fn a_tenant_that_does_not_know_the_application_is_unconsented() {
    for status in [401, 403] {
        let fault = unavailable(
            read_under(
                &Reader::new(IMPATIENT),
                At::users(),
                Fault::Refused(status, "Authorization_IdentityNotFound"),
            )
            .await,
        );
        assert_eq!(fault.kind, FaultKind::Unconsented);
        assert!(fault.hint.expect("a hint").contains("consents"));
    }
}

#[tokio::test]
async fn without_permission_to_read_subscriptions_the_reading_is_whole_without_them() {
    let fake = fake_of(8).await;
    fake.tenant(DOMAIN).roles(&["User.Read.All"]);
    let tenant = complete(Reader::new(PATIENT).read(&fake).await);
    assert_eq!(tenant.subscriptions, None);
    assert_eq!(ids(&tenant), people(8));
    let missing = complete(
        read_under(&Reader::new(IMPATIENT), At::skus(), Fault::Refused(404, "Request_ResourceNotFound"))
            .await,
    );
    assert_eq!(missing.subscriptions, None);
}

#[tokio::test]
async fn without_permission_to_read_the_organisation_a_configured_id_is_the_id() {
    let fake = fake_of(8).await;
    fake.fault(At::organization(), Fault::Refused(403, "Authorization_RequestDenied"), ALWAYS);
    let mut reader = Reader::new(PATIENT);
    assert_eq!(complete(reader.read(&fake).await).id, None);
    let id = fake.tenant(DOMAIN).id();
    reader.tenant = id.to_uppercase();
    fake.clear_faults();
    fake.fault(At::organization(), Fault::Refused(403, "Authorization_RequestDenied"), 1);
    assert_eq!(complete(reader.read(&fake).await).id.as_deref(), Some(id.as_str()));
}

// Tokens

#[tokio::test]
async fn one_token_serves_all_readings_until_shortly_before_its_end() {
    let fake = fake_of(8).await;
    let reader = Reader::new(PATIENT);
    complete(reader.read(&fake).await);
    complete(reader.read(&fake).await);
    assert_eq!(fake.count(Place::Token), 1);

    fake.forget_requests();
    fake.tenant(DOMAIN).token_life(299);
    let reader = Reader::new(PATIENT);
    complete(reader.read(&fake).await);
    assert_eq!(
        fake.count(Place::Token),
        5,
        "less than five minutes left: a new one for each of five requests"
    );
}

#[tokio::test]
async fn readings_at_the_same_time_ask_for_one_token() {
    let fake = fake_of(8).await;
    let reader = Reader::new(PATIENT);
    let readings = futures_util::future::join_all((0..8).map(|_| reader.read(&fake))).await;
    assert_eq!(readings.into_iter().map(complete).count(), 8);
    assert_eq!(fake.count(Place::Token), 1);
}

#[tokio::test]
async fn an_expired_token_is_replaced_once_within_the_reading() {
    let fake = fake_of(8).await;
    let reader = Reader::new(PATIENT);
    complete(reader.read(&fake).await);
    fake.expire_access_tokens();
    fake.forget_requests();
    assert_eq!(ids(&complete(reader.read(&fake).await)), people(8));
    assert_eq!((fake.count(Place::Token), fake.count(Place::Users)), (1, 4));

    fake.fault(At::users(), Fault::Refused(401, "InvalidAuthenticationToken"), ALWAYS);
    fake.forget_requests();
    let fault = unavailable(reader.read(&fake).await);
    assert_eq!(fault.kind, FaultKind::Unauthorised);
    assert_eq!((fake.count(Place::Token), fake.count(Place::Users)), (1, 2), "one new token, then no more");
}

#[tokio::test]
async fn a_wrong_secret_gets_no_token_that_the_right_one_bought() {
    let fake = fake_of(8).await;
    let right = Reader::new(PATIENT);
    complete(right.read(&fake).await);
    let fault = unavailable(right.with(secret("a-guess")).read(&fake).await);
    assert_eq!(fault.kind, FaultKind::Unauthorised);
    assert!(fault.what.contains("AADSTS7000215"), "{}", fault.what);
    assert!(!fault.what.contains("a-guess"), "{}", fault.what);
}

#[tokio::test]
async fn refusals_of_the_token_service_say_what_to_do() {
    use FaultKind::{Refused, Unauthorised, Unconsented};
    let consent = "adminconsent?client_id=";
    let expected = [
        (7000215, Unauthorised, "the client secret is wrong", "not its id"),
        (7000222, Unauthorised, "the client secret has expired", "new secret"),
        (50013, Unauthorised, "the assertion is not accepted", "clock"),
        (900384, Unauthorised, "the assertion is not accepted", "clock"),
        (500133, Unauthorised, "not valid at this time", "clock"),
        (700024, Unauthorised, "not valid at this time", "clock"),
        (700211, Unauthorised, "no federated credential", CLIENT_ID),
        (700229, Unauthorised, "no federated credential", CLIENT_ID),
        (7000218, Unauthorised, "no credential arrived", "not empty"),
        (700016, Unconsented, "has not consented", consent),
        (7000229, Unconsented, "has not consented", consent),
        (90099, Unconsented, "has not consented", consent),
        (65001, Unconsented, "has not consented", consent),
        (650052, Unconsented, "has not consented", consent),
        (650056, Unconsented, "has not consented", consent),
        (90002, Refused, "no such tenant", "tenantId"),
        (7000112, Unauthorised, "the application is disabled", "enable"),
        (70001, Refused, "no such application", CLIENT_ID),
        (700038, Refused, "no such application", CLIENT_ID),
        (500011, Refused, "address of Graph", "cloud"),
        (70011, Refused, "address of Graph", "cloud"),
        (700022, Refused, "address of Graph", "cloud"),
        (53003, Unauthorised, "Conditional Access", "excludes the application"),
        (530032, Unauthorised, "Conditional Access", "excludes the application"),
        (90038, Refused, "another cloud", "cloud"),
        (900382, Refused, "another cloud", "cloud"),
        (900432, Refused, "another cloud", "cloud"),
    ];
    for (number, kind, meaning, hint) in expected {
        let fake = fake_of(1).await;
        fake.fault(At::token(), Fault::Token(number), ALWAYS);
        let fault = unavailable(Reader::new(PATIENT).read(&fake).await);
        assert_eq!(fault.kind, kind, "{number}");
        assert!(fault.what.contains(meaning), "{}", fault.what);
        for evidence in [format!("AADSTS{number}"), ", trace ".to_owned(), ", correlation ".to_owned()] {
            assert!(fault.what.contains(&evidence), "{} lacks {evidence}", fault.what);
        }
        assert!(fault.hint.as_deref().expect("a hint").contains(hint), "{:?}", fault.hint);
        assert_eq!(fake.count(Place::Token), 1, "{number} is not tried again");
        assert_eq!(fake.count(Place::Users), 0);
    }
}

#[tokio::test]
async fn a_refusal_with_an_unknown_number_is_shown_in_its_own_words() {
    let fault = unavailable(read_under(&Reader::new(IMPATIENT), At::token(), Fault::Token(1234567)).await);
    assert_eq!(fault.kind, FaultKind::Refused);
    assert!(fault.what.contains("AADSTS1234567: The request is not valid."), "{}", fault.what);
    assert!(!fault.what.contains("Trace ID:"), "{}", fault.what);
}

#[tokio::test]
async fn a_throttled_token_service_is_transient() {
    let reader = &Reader::new(IMPATIENT);
    let tests = [90055, 90033, 90024, 90006, 90012, 90090, 50033].map(|number| async move {
        let fault = unavailable(read_under(reader, At::token(), Fault::Token(number)).await);
        assert_eq!(fault.kind, FaultKind::Transient, "{number}");
        recovers(&Reader::new(PATIENT), At::token(), Fault::Token(number)).await;
    });
    futures_util::future::join_all(tests).await;
}

#[tokio::test]
async fn the_stand_in_is_as_strict_as_the_service() {
    let fake = fake_of(1).await;
    fake.tenant("unconsented.test").consented(false);
    let kind = async |tenant: &str, text| {
        unavailable(Reader::new(PATIENT).of(tenant).with(secret(text)).read(&fake).await).kind
    };
    assert_eq!(kind(DOMAIN, "wrong").await, FaultKind::Unauthorised);
    assert_eq!(kind("unconsented.test", SECRET).await, FaultKind::Unconsented);
    assert_eq!(kind("unknown.test", SECRET).await, FaultKind::Refused);
}

#[tokio::test]
async fn a_tenant_or_address_that_cannot_be_is_said_by_the_reading() {
    let fake = fake_of(1).await;
    let reader = Reader::new(PATIENT).of("../contoso.com");
    assert_eq!(unavailable(reader.read(&fake).await).kind, FaultKind::Refused);
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn a_token_never_shows_in_a_message() {
    let fake = fake_of(8).await;
    fake.fault(At::users().page(2), Fault::Refused(403, "Authorization_RequestDenied"), ALWAYS);
    let shortfall = incomplete(Reader::new(PATIENT).read(&fake).await);
    let tokens: Vec<String> = fake
        .requests()
        .iter()
        .filter_map(|seen| seen.headers.get("authorization")?.strip_prefix("Bearer ").map(str::to_owned))
        .collect();
    assert!(!tokens.is_empty());
    assert!(tokens.iter().all(|token| !shortfall.what.contains(token)), "{}", shortfall.what);
    assert!(!shortfall.what.contains("skiptoken"), "{}", shortfall.what);
    assert!(shortfall.what.contains("/v1.0/users"), "{}", shortfall.what);
}

#[test]
fn the_stand_in_serves_tests_that_have_no_runtime() {
    let fake = GraphFake::spawn();
    let mut stream = TcpStream::connect(fake.url().trim_start_matches("http://")).expect("a connection");
    let request = "GET /v1.0/users HTTP/1.1\r\nhost: fake\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("InvalidAuthenticationToken"), "{answer}");
}

// Snapshots

struct Snapshot {
    folder: tempfile::TempDir,
}

impl Snapshot {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("users.json")
    }

    async fn read(&self, content: impl AsRef<[u8]>) -> Reading<Tenant> {
        std::fs::write(self.path(), content).expect("a file");
        self.source().read(&Unwatched).await
    }

    fn source(&self) -> SnapshotTenant {
        SnapshotTenant::new(self.path(), "contoso/users.json".to_owned())
    }
}

fn snapshot_of(count: u32) -> Value {
    let users: Vec<Value> = (1..=count).map(|number| person(number, DOMAIN)).collect();
    json!({"value": users, "subscribedSkus": [e3()], "tenantId": "6F9619FF-8B86-D011-B42D-00C04FC964FF"})
}

#[tokio::test]
async fn a_snapshot_is_read_whole() {
    let tenant = complete(Snapshot::new().read(snapshot_of(4).to_string()).await);
    assert_eq!(ids(&tenant), people(4));
    assert_eq!(tenant.id.as_deref(), Some("6f9619ff-8b86-d011-b42d-00c04fc964ff"));
    assert_eq!(tenant.subscriptions.expect("subscriptions").len(), 1);
}

#[tokio::test]
async fn a_snapshot_needs_nothing_but_its_users() {
    let text = r#"{"@odata.context": "x", "value": [{"id": "00000000-0000-4000-8000-000000000001",
        "userPrincipalName": "jane@contoso.com", "assignedLicenses": []}]}"#;
    let tenant = complete(Snapshot::new().read(text).await);
    assert_eq!((tenant.users.len(), tenant.id, tenant.subscriptions), (1, None, None));
    assert!(tenant.users[0].enabled);
    assert!(
        complete(Snapshot::new().read(format!("\u{feff}{text}\n")).await).users.len() == 1,
        "with a mark"
    );
}

#[tokio::test]
async fn a_snapshot_cut_anywhere_is_never_complete() {
    let text = serde_json::to_vec_pretty(&snapshot_of(2)).expect("JSON");
    let snapshot = Snapshot::new();
    complete(snapshot.read(&text).await);
    for length in 0..text.len() {
        let fault = unavailable(snapshot.read(&text[..length]).await);
        assert_eq!(fault.kind, FaultKind::Refused, "cut after {length} bytes: {fault}");
        assert!(fault.what.starts_with("contoso/users.json:"), "{fault}");
    }
}

#[tokio::test]
async fn a_snapshot_with_a_link_to_more_is_incomplete() {
    let mut snapshot = snapshot_of(2);
    snapshot["@odata.nextLink"] = json!("https://graph.microsoft.com/v1.0/users?$skiptoken=x");
    let shortfall = incomplete(Snapshot::new().read(snapshot.to_string()).await);
    assert!(shortfall.what.contains("@odata.nextLink"), "{}", shortfall.what);
    assert_eq!(shortfall.read, 2);
}

#[tokio::test]
async fn a_snapshot_whose_users_show_no_licences_is_incomplete() {
    let mut snapshot = snapshot_of(3);
    snapshot["value"][1].as_object_mut().expect("a user").remove("assignedLicenses");
    let shortfall = incomplete(Snapshot::new().read(snapshot.to_string()).await);
    assert!(
        shortfall.what.contains("1 of 3 users show no assignedLicenses, the first is person2@contoso.com"),
        "{}",
        shortfall.what
    );
}

#[tokio::test]
async fn a_broken_snapshot_is_refused_with_its_place() {
    let user = r#""userPrincipalName": "jane@contoso.com", "assignedLicenses": []"#;
    let cases = [
        ("{\"value\": [\n  {\"id\": 7}\n]}".to_owned(), ":2:", "invalid type"),
        (
            format!("{{\"value\": [\n  {{\"id\": \"7\", {user}}}\n]}}"),
            ":2:",
            "user 1 (jane@contoso.com) has the id `7`",
        ),
        (format!("{{\"value\": [\n  {{{user}}}\n]}}"), ":2:", "has no id"),
        ("{\"value\": {}}".to_owned(), ":1:", "expected a list"),
        ("[]".to_owned(), ":1:", "expected an object"),
        ("{\"value\": []} {}".to_owned(), ":1:", "trailing"),
        ("{\"value\": [], \"value\": []}".to_owned(), ":1:", "duplicate field"),
        ("{}".to_owned(), "contoso/users.json: ", "no `value`"),
        (
            "{\"value\": [], \"subscribedSkus\": [{}]}".to_owned(),
            "contoso/users.json: ",
            "entry 1 has no skuId",
        ),
    ];
    for (text, place, expected) in cases {
        let fault = unavailable(Snapshot::new().read(&text).await);
        assert_eq!(fault.kind, FaultKind::Refused);
        assert!(fault.what.contains(place) && fault.what.contains(expected), "{text}: {fault}");
    }
}

#[tokio::test]
async fn two_users_of_one_id_in_a_snapshot_are_both_named() {
    let mut snapshot = snapshot_of(4);
    snapshot["value"][3]["id"] = json!(person_id(2));
    let fault = unavailable(Snapshot::new().read(snapshot.to_string()).await);
    assert!(fault.what.contains(&format!("users 2 and 4 have the same id {}", person_id(2))), "{fault}");
}

#[tokio::test]
async fn what_is_no_utf_8_file_is_refused_with_a_reason() {
    let snapshot = Snapshot::new();
    let fault = unavailable(snapshot.source().read(&Unwatched).await);
    assert!(fault.what.contains("cannot be opened"), "{fault}");
    let utf_16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("{}".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let fault = unavailable(snapshot.read(utf_16).await);
    assert_eq!(fault.hint.as_deref(), Some("save it as UTF-8"));
    let fault = unavailable(snapshot.read(b"{\"value\": [{\"id\": \"\xff\xfe\"}]}").await);
    assert_eq!(fault.kind, FaultKind::Refused);
    let folder = SnapshotTenant::new(snapshot.folder.path().to_owned(), "contoso".to_owned());
    assert_eq!(unavailable(folder.read(&Unwatched).await).kind, FaultKind::Refused);
}
