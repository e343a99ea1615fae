//! Tenants that are read by what changed: as whole as a listing, whatever happens on the way.

use intake::model::tenant::SyncState;
use jiff::{SignedDuration, Timestamp};

use super::*;

/// A tenant, and what was kept of its last reading.
struct Follower {
    reader: Reader,
    fake: GraphFake,
    kept: Option<SyncState>,
    now: Timestamp,
}

impl Follower {
    /// A tenant of so many people, three a page, that was read wholly.
    async fn of(people: u32) -> Self {
        let fake = fake_of(people).await;
        let now = "2026-11-25T08:00:00Z".parse().expect("a time");
        let mut follower = Self { reader: Reader::new(IMPATIENT), fake, kept: None, now };
        follower.follow().await;
        follower
    }

    async fn read(&self) -> Reading<Tenant> {
        self.reader.source(&self.fake).read_on(self.kept.clone(), self.now, &Unwatched).await
    }

    /// Reads, expects everything, and keeps what is to be kept, as the register does.
    async fn follow(&mut self) -> Tenant {
        let tenant = complete(self.read().await);
        let state = tenant.sync_state.clone().expect("something to keep");
        let before = self.kept.take();
        assert_eq!(state.generation, before.as_ref().map_or(0, |before| before.generation));
        let content = state.content.or_else(|| before.expect("kept before").content);
        self.kept = Some(SyncState { generation: state.generation + 1, content, ..state });
        tenant
    }

    /// Expects that the changes give what a listing gives, and returns it.
    async fn is_whole(&mut self) -> Tenant {
        let (followed, listed) = (self.follow().await, complete(self.reader.read(&self.fake).await));
        assert_eq!(shown(&followed), shown(&listed));
        followed
    }

    fn tenant(&self) -> crate::support::graph::FakeTenant {
        self.fake.tenant(DOMAIN)
    }

    fn hours_pass(&mut self, hours: i64) {
        self.now += SignedDuration::from_hours(hours);
    }

    /// How many rows the last reading was told, and whether it began from nothing.
    fn began_anew(&self) -> bool {
        let asked = self.fake.requests();
        asked.iter().any(|seen| seen.place() == Some(Place::Delta) && seen.query.starts_with("$select="))
    }
}

/// Everybody, sorted, with everything that is known of them.
fn shown(tenant: &Tenant) -> Vec<String> {
    let show = |user: &intake::model::tenant::TenantUser| {
        let licences = tenant.licences_of(user).to_vec();
        let user = intake::model::tenant::TenantUser {
            licences: intake::model::tenant::LicenceSetIndex(0),
            ..user.clone()
        };
        format!("{user:?} {licences:?}")
    };
    let mut shown: Vec<String> = tenant.users.iter().map(show).collect();
    shown.sort();
    shown
}

#[tokio::test]
async fn what_changed_is_put_into_what_was_kept() {
    let mut one = Follower::of(8).await;
    assert_eq!(ids(&one.is_whole().await), people(8));
    one.tenant()
        .change(&person_id(1), json!({"displayName": "Renamed", "mail": "new@contoso.com"}))
        .change(&person_id(2), json!({"assignedLicenses": [], "licenseAssignmentStates": []}))
        .change(&person_id(3), json!({"mail": null, "proxyAddresses": []}))
        .change(&person_id(4), json!({"accountEnabled": false}))
        .change(&person_id(5), json!({"onPremisesImmutableId": "MyIRAFVEd2aImaq7zN3u/w=="}))
        .remove(&person_id(6))
        .user(person(9, DOMAIN));
    one.fake.forget_requests();
    let tenant = one.is_whole().await;
    assert!(!one.began_anew());
    let user = |number| tenant.users.iter().find(|user| user.id.to_string() == person_id(number)).cloned();
    let of = |number| user(number).expect("a person");
    assert_eq!(of(1).display_name.as_deref(), Some("Renamed"));
    assert!(tenant.licences_of(&of(2)).is_empty(), "the last licence went");
    assert_eq!((of(3).mail, of(3).addresses.primary().cloned()), (None, None), "null, and empty");
    assert_eq!(of(3).display_name.as_deref(), Some("Person 3"), "what is absent stays");
    assert!(!of(4).enabled && user(6).is_none() && user(9).is_some());
    // An anchor that is taken away again is none.
    one.tenant().change(&person_id(5), json!({"onPremisesImmutableId": null}));
    one.is_whole().await;
    // Somebody deleted comes back, as the one it was.
    one.tenant().user(person(6, DOMAIN));
    one.is_whole().await;
    assert!(!one.began_anew());
}

#[tokio::test]
async fn where_nothing_changed_only_the_place_is_kept_anew() {
    let mut one = Follower::of(8).await;
    one.fake.forget_requests();
    let state = one.follow().await.sync_state.expect("a state");
    assert_eq!(state.content, None);
    assert_eq!(one.fake.count(Place::Delta), 1);
    one.tenant().change(&person_id(1), json!({"displayName": "Renamed"}));
    assert!(one.follow().await.sync_state.expect("a state").content.is_some());
    let known = format!("{:?}", one.kept);
    assert!(!known.contains("deltatoken") && !known.contains("Renamed"), "{known}");
}

#[tokio::test]
async fn changes_may_come_twice_in_any_order_and_on_empty_pages() {
    let mut one = Follower::of(8).await;
    let old = json!({"id": person_id(1), "displayName": "Long ago"});
    let newest = json!({"id": person_id(1), "displayName": "Person 1"});
    one.fake.fault(At::delta().page(1), Fault::MoreRows(vec![old, newest]), 1);
    one.is_whole().await;
    one.tenant().change(&person_id(2), json!({"displayName": "Two"})).remove(&person_id(3));
    one.fake.fault(At::delta().page(1), Fault::EmptyPage, 1);
    one.fake.fault(At::delta().page(2), Fault::DuplicateRows, 1);
    assert_eq!(one.is_whole().await.users.len(), 7);
    // Gone already: telling it again changes nothing.
    let gone = json!({"id": person_id(3), "@removed": {"reason": "deleted"}});
    one.fake.fault(At::delta().page(1), Fault::MoreRows(vec![gone]), 1);
    one.is_whole().await;
    assert!(one.fake.requests().iter().filter(|seen| seen.query.starts_with("$select=id")).count() > 0);
}

#[tokio::test]
async fn a_link_that_the_service_forgot_leads_to_everybody() {
    let codes = [
        (410, "SyncStateNotFound"),
        (410, "resyncRequired"),
        (400, "syncStateNotFound"),
        (400, "BadRequest"),
        (404, "ResyncRequired"),
    ];
    for (status, code) in codes {
        let mut one = Follower::of(8).await;
        one.tenant().remove(&person_id(3)).change(&person_id(1), json!({"displayName": "Renamed"}));
        one.fake.fault(At::delta().page(1), Fault::Refused(status, code), 1);
        one.fake.forget_requests();
        assert_eq!(one.is_whole().await.users.len(), 7, "whoever is gone is not told of in a first round");
        assert!(one.began_anew(), "{status} {code}");
        // And goes on from there.
        one.fake.forget_requests();
        one.is_whole().await;
        assert!(!one.began_anew());
    }
    let mut one = Follower::of(8).await;
    one.fake.expire_delta_links();
    one.fake.forget_requests();
    one.is_whole().await;
    assert!(one.began_anew());
}

#[tokio::test]
async fn everybody_is_read_when_twelve_hours_have_passed() {
    let mut one = Follower::of(4).await;
    // A change that the service never tells of.
    one.tenant().change(
        &person_id(1),
        json!({"licenseAssignmentStates": [{"skuId": E3, "disabledPlans": [], "assignedByGroup": null,
            "state": "Error", "error": "CountViolation"}]}),
    );
    let counts = |tenant: &Tenant| {
        let effective = |user| tenant.licences_of(user).iter().any(|licence| licence.effective);
        tenant.users.iter().filter(|user| effective(user)).count()
    };
    one.hours_pass(11);
    one.fake.forget_requests();
    assert_eq!(counts(&one.follow().await), 4);
    assert!(!one.began_anew());
    one.hours_pass(1);
    assert_eq!(counts(&one.is_whole().await), 3);
    assert!(one.began_anew());
    // Counted from then on; and a clock that went back is not waited for.
    one.hours_pass(3);
    one.fake.forget_requests();
    one.is_whole().await;
    assert!(!one.began_anew());
    one.hours_pass(-30);
    one.is_whole().await;
    assert!(one.began_anew());
}

#[tokio::test]
async fn a_round_that_does_not_end_is_no_reading_and_keeps_what_was_kept() {
    let faults = [
        (At::delta().page(1), Fault::NoEnd),
        (At::delta().page(1), Fault::TwoEnds),
        (At::delta().page(1), Fault::ForeignLink("http://127.0.0.1:9/v1.0/users/delta".to_owned())),
        (At::delta().page(2), Fault::CutBody),
        (At::delta().page(2), Fault::CutConnection),
        (At::delta().page(2), Fault::Html),
        (At::delta().page(2), Fault::Status(500)),
        (At::delta().page(2), Fault::Throttled(None)),
        (At::delta().page(1), Fault::MoreRows(vec![json!({"displayName": "Nobody"})])),
        (At::delta().page(1), Fault::MoreRows(vec![json!({"id": "7", "displayName": "Nobody"})])),
        (At::delta().page(1), Fault::MoreRows(vec![json!({"id": person_id(1), "accountEnabled": "yes"})])),
    ];
    for (at, fault) in faults {
        let mut one = Follower::of(8).await;
        for number in 1..=7 {
            one.tenant().change(&person_id(number), json!({"displayName": "Renamed"}));
        }
        one.fake.fault(at, fault.clone(), ALWAYS);
        let read = one.read().await;
        assert!(matches!(read, Reading::Incomplete(_) | Reading::Unavailable(_)), "{fault:?}: {read:?}");
        one.fake.clear_faults();
        one.reader = one.reader.of_its_own();
        one.fake.forget_requests();
        one.is_whole().await;
        assert!(!one.began_anew(), "{fault:?}: what was kept is as good as before");
    }
}

#[tokio::test]
async fn half_of_somebody_unknown_means_that_a_change_is_missing() {
    let mut one = Follower::of(8).await;
    one.tenant().user(person(9, DOMAIN));
    let half = json!({"id": person_id(9), "displayName": "Person 9"});
    one.fake.fault(At::delta().page(1), Fault::BrokenRow(half), 1);
    one.fake.forget_requests();
    assert_eq!(one.is_whole().await.users.len(), 9);
    assert!(one.began_anew());
}

#[tokio::test]
async fn licences_that_nobody_shows_are_hidden_and_those_that_one_lacks_are_none() {
    let mut one = Follower::of(3).await;
    one.kept = None;
    one.fake.fault(At::delta(), Fault::Hidden("assignedLicenses"), ALWAYS);
    let short = incomplete(one.read().await);
    assert!(short.what.contains("does not show assignedLicenses of anybody"), "{short:?}");
    one.fake.clear_faults();
    let mut without = person(4, DOMAIN);
    without.as_object_mut().expect("an object").remove("assignedLicenses");
    without.as_object_mut().expect("an object").remove("licenseAssignmentStates");
    one.tenant().user(without);
    one.is_whole().await;
    one.fake.fault(At::delta(), Fault::Hidden("accountEnabled"), ALWAYS);
    one.kept = None;
    let short = incomplete(one.read().await);
    assert!(short.what.contains("accountEnabled"), "{short:?}");
}

#[tokio::test]
async fn what_was_kept_and_is_damaged_or_about_something_else_is_not_used() {
    let mut one = Follower::of(5).await;
    let whole = one.kept.clone().expect("kept");
    let content = whole.content.clone().expect("a content");
    let other = Follower::of(3).await.kept;
    let position = |from: &str, to: &str| {
        let text = String::from_utf8(whole.position.clone()).expect("text");
        assert!(text.contains(from), "{text}");
        SyncState { position: text.replace(from, to).into_bytes(), ..whole.clone() }
    };
    let damaged = [
        SyncState { content: Some(content[..content.len() / 2].to_vec()), ..whole.clone() },
        SyncState { content: Some(Vec::new()), ..whole.clone() },
        SyncState { content: None, ..whole.clone() },
        SyncState { position: b"{}".to_vec(), ..whole.clone() },
        SyncState { position: Vec::new(), ..whole.clone() },
        SyncState { content: other.clone().expect("kept").content, ..whole.clone() },
        other.expect("kept"),
        position(&one.fake.url(), "http://127.0.0.1:9"),
        position("\"link\":\"http", "\"link\":\"nowhere"),
    ];
    for state in damaged {
        one.kept = Some(state.clone());
        one.fake.forget_requests();
        let tenant = complete(one.read().await);
        assert_eq!(ids(&tenant), people(5), "{state:?}");
        assert!(one.began_anew(), "{state:?}");
        let anew = tenant.sync_state.expect("a state");
        assert!(anew.content.is_some() && anew.generation == state.generation, "{anew:?}");
    }
}

#[tokio::test]
async fn a_first_round_whose_links_expire_is_begun_once_more() {
    let mut one = Follower::of(8).await;
    one.kept = None;
    one.fake.fault(At::delta().page(3), Fault::ExpiredPageToken, 1);
    one.is_whole().await;
    one.kept = None;
    one.fake.fault(At::delta().page(3), Fault::ExpiredPageToken, ALWAYS);
    incomplete(one.read().await);
}
