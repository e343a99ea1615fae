//! Groups of a tenant: only those that somebody asked for, each to its last page or not at all.

use intake::model::guid::Guid;
use intake::model::tenant_group::{TenantGroup, WantedGroups};

use super::*;
use crate::support::graph_groups::group_id;

fn wanted(names: &[&str], ids: &[u32]) -> WantedGroups {
    WantedGroups {
        names: names.iter().map(|name| (*name).into()).collect(),
        ids: ids.iter().map(|number| guid(&group_id(*number))).collect(),
    }
}

fn guid(id: &str) -> Guid {
    id.parse().expect("a GUID")
}

fn users(numbers: &[u32]) -> Vec<Guid> {
    numbers.iter().map(|number| guid(&person_id(*number))).collect()
}

/// A stand-in whose tenant has eight people, three objects a page, and the groups 1 (eight people) and
/// 2 (nobody).
async fn fake_with_groups() -> GraphFake {
    let fake = fake_of(8).await;
    fake.tenant(DOMAIN)
        .roles(&["User.Read.All", "LicenseAssignment.Read.All", "GroupMember.Read.All"])
        .group(1, "Intake Users")
        .members(1, &[1, 2, 3, 4, 5, 6, 7, 8])
        .group(2, "O'Brien & Söhne + 100 %");
    fake
}

async fn ask(reader: &Reader, fake: &GraphFake, wanted: &WantedGroups) -> Reading<Option<Vec<TenantGroup>>> {
    reader.source(fake).groups(wanted, &Unwatched).await
}

fn found(reading: Reading<Option<Vec<TenantGroup>>>) -> Vec<TenantGroup> {
    match reading {
        Reading::Complete(Some(groups)) => groups,
        other => panic!("not complete: {other:?}"),
    }
}

#[tokio::test]
async fn groups_are_found_by_name_and_by_id_and_read_to_the_last_page() {
    let fake = fake_with_groups().await;
    fake.tenant(DOMAIN).group(3, "intake users").group(4, "Other").members(4, &[2]);
    let groups = found(ask(&Reader::new(PATIENT), &fake, &wanted(&["Intake Users"], &[1, 4, 99])).await);
    let told: Vec<(Guid, &str, Vec<Guid>)> =
        groups.iter().map(|group| (group.id, group.display_name.as_str(), group.users.clone())).collect();
    assert_eq!(
        told,
        [
            (guid(&group_id(1)), "Intake Users", users(&[1, 2, 3, 4, 5, 6, 7, 8])),
            (guid(&group_id(3)), "intake users", Vec::new()),
            (guid(&group_id(4)), "Other", users(&[2])),
        ]
    );
    assert_eq!(fake.count(Place::Groups), 4, "one for each name and id");
    assert_eq!(fake.count(Place::Members), 3 + 1 + 1);
}

#[tokio::test]
async fn a_name_with_quotes_and_signs_is_found_as_it_is() {
    let fake = fake_with_groups().await;
    let groups = found(ask(&Reader::new(PATIENT), &fake, &wanted(&["O'Brien & Söhne + 100 %"], &[])).await);
    assert_eq!(groups.iter().map(|group| group.id).collect::<Vec<_>>(), [guid(&group_id(2))]);
}

#[tokio::test]
async fn nobody_else_s_groups_are_asked_for_by_a_reading_of_the_users() {
    let fake = fake_with_groups().await;
    let tenant = complete(Reader::new(PATIENT).read(&fake).await);
    assert!(tenant.groups.is_none());
    assert_eq!(fake.count(Place::Groups) + fake.count(Place::Members), 0);
}

#[tokio::test]
async fn members_are_told_apart_and_groups_among_them_are_counted() {
    let fake = fake_with_groups().await;
    let inner = group_id(2);
    fake.tenant(DOMAIN)
        .member(1, "group", &inner)
        .member(1, "device", &group_id(50))
        .member(1, "servicePrincipal", &group_id(51))
        .member(1, "orgContact", &group_id(52))
        .member(1, "group", &group_id(77))
        .members(2, &[1, 2, 3, 4, 5]);
    let groups = found(ask(&Reader::new(PATIENT), &fake, &wanted(&["Intake Users"], &[])).await);
    assert_eq!(groups[0].users, users(&[1, 2, 3, 4, 5, 6, 7, 8]));
    let nested: Vec<(Guid, Option<usize>)> =
        groups[0].groups.iter().map(|nested| (nested.id, nested.members)).collect();
    assert_eq!(
        nested,
        [(guid(&inner), Some(5)), (guid(&group_id(77)), None)],
        "the other one is gone already"
    );
}

#[tokio::test]
async fn what_a_group_is_decides_later_and_is_read() {
    let fake = fake_with_groups().await;
    fake.tenant(DOMAIN).change_group(
        1,
        json!({"securityEnabled": false, "isAssignableToRole": true, "visibility": "HiddenMembership"}),
    );
    let groups = found(ask(&Reader::new(PATIENT), &fake, &wanted(&["Intake Users"], &[])).await);
    let TenantGroup { is_security, holds_roles, hides_members, .. } = groups[0];
    assert_eq!((is_security, holds_roles, hides_members), (false, true, true));
}

#[tokio::test]
async fn without_the_permission_the_groups_are_not_read_and_it_is_named() {
    let fake = fake_with_groups().await;
    fake.tenant(DOMAIN).roles(&["User.Read.All", "LicenseAssignment.Read.All"]);
    let reader = Reader::new(PATIENT);
    complete(reader.read(&fake).await);
    let reading = ask(&reader, &fake, &wanted(&["Intake Users"], &[])).await;
    let Reading::Unavailable(fault) = reading else { panic!("{reading:?}") };
    assert!(fault.hint.as_deref().is_some_and(|hint| hint.contains("GroupMember.Read.All")), "{fault:?}");
    // After the consent a new token is needed, and taken.
    fake.tenant(DOMAIN).roles(&["User.Read.All", "GroupMember.Read.All"]);
    found(ask(&reader, &fake, &wanted(&["Intake Users"], &[])).await);
}

#[tokio::test]
async fn what_passes_is_survived_and_an_expired_link_starts_the_listing_anew_once() {
    for at in [At::groups(), At::members(), At::members().page(2)] {
        for fault in [
            Fault::Throttled(Some(0)),
            Fault::Status(503),
            Fault::CutBody,
            Fault::CutConnection,
            Fault::EmptyPage,
            Fault::DuplicateRows,
            Fault::Reset,
        ] {
            let fake = fake_with_groups().await;
            fake.fault(at.clone(), fault.clone(), 1);
            let groups = found(ask(&Reader::new(PATIENT), &fake, &wanted(&["Intake Users"], &[])).await);
            assert_eq!(groups[0].users, users(&[1, 2, 3, 4, 5, 6, 7, 8]), "{fault:?} at {at:?}");
        }
    }
    let fake = fake_with_groups().await;
    fake.fault(At::members().page(3), Fault::ExpiredPageToken, 1);
    let groups = found(ask(&Reader::new(PATIENT), &fake, &wanted(&["Intake Users"], &[])).await);
    assert_eq!(groups[0].users.len(), 8);
}

#[tokio::test]
async fn no_fault_that_lasts_ends_in_groups_that_look_whole() {
    for at in [At::groups(), At::members(), At::members().page(2)] {
        for fault in [
            Fault::Throttled(Some(60)),
            Fault::Status(500),
            Fault::Refused(404, "Request_ResourceNotFound"),
            Fault::CutBody,
            Fault::Html,
            Fault::NoValue,
            Fault::RepeatedLink,
            Fault::ForeignLink("http://127.0.0.1:1/v1.0/groups".to_owned()),
            Fault::ExpiredPageToken,
            Fault::Hidden("id"),
            Fault::BrokenRow(json!({"id": 5})),
            Fault::Redirect("http://127.0.0.1:1/".to_owned()),
        ] {
            let fake = fake_with_groups().await;
            fake.fault(at.clone(), fault.clone(), ALWAYS);
            let reading = ask(&Reader::new(IMPATIENT), &fake, &wanted(&["Intake Users"], &[])).await;
            assert!(!matches!(reading, Reading::Complete(_)), "{fault:?} at {at:?}: {reading:?}");
        }
    }
    let fake = fake_with_groups().await;
    fake.fault(At::groups(), Fault::Hidden("securityEnabled"), ALWAYS);
    let reading = ask(&Reader::new(IMPATIENT), &fake, &wanted(&["Intake Users"], &[])).await;
    assert!(matches!(reading, Reading::Incomplete(_)), "{reading:?}");
}

// Snapshots

fn snapshot_with(groups: Value) -> String {
    let mut snapshot = snapshot_of(3);
    snapshot["groups"] = groups;
    snapshot.to_string()
}

fn group(number: u32, members: Value) -> Value {
    json!({"id": group_id(number), "displayName": format!("Group {number}"), "securityEnabled": true, "members": members})
}

fn member(kind: &str, id: &str) -> Value {
    json!({"@odata.type": format!("#microsoft.graph.{kind}"), "id": id})
}

#[tokio::test]
async fn a_snapshot_holds_groups_with_their_members() {
    let text = snapshot_with(json!([
        group(1, json!([member("user", &person_id(1)), {"id": person_id(2)}, member("group", &group_id(2))])),
        group(2, json!([member("user", &person_id(3))])),
    ]));
    let tenant = complete(Snapshot::new().read(&text).await);
    let Some(Reading::Complete(groups)) = tenant.groups else { panic!("{:?}", tenant.groups) };
    assert_eq!(groups[0].users, users(&[1, 2]));
    assert_eq!(groups[0].groups[0].members, Some(1));
    assert!(complete(Snapshot::new().read(snapshot_of(3).to_string()).await).groups.is_none());
}

#[tokio::test]
async fn a_snapshot_whose_groups_do_not_show_all_members_has_users_and_no_groups() {
    let mut more = group(1, json!([]));
    more["members@odata.nextLink"] = json!("https://graph.microsoft.com/v1.0/more");
    let mut none = group(1, json!([]));
    none.as_object_mut().expect("an object").remove("members");
    for broken in [more, none] {
        let tenant = complete(Snapshot::new().read(snapshot_with(json!([broken]))).await);
        assert_eq!(tenant.users.len(), 3);
        let Some(Reading::Incomplete(shortfall)) = tenant.groups else { panic!("{:?}", tenant.groups) };
        assert!(shortfall.what.contains("Group 1"), "{}", shortfall.what);
    }
}

#[tokio::test]
async fn a_snapshot_with_broken_groups_is_refused_with_their_place() {
    let twice = json!([group(1, json!([])), group(1, json!([]))]);
    let mut unknown = group(1, json!([]));
    unknown.as_object_mut().expect("an object").remove("securityEnabled");
    for (groups, words) in [
        (twice, "entry 2 (Group 1) is there twice"),
        (json!([unknown]), "entry 1 (Group 1) has no securityEnabled"),
        (json!([group(1, json!([{"displayName": "x"}]))]), "member 1 has no id"),
        (json!([group(1, json!([{"id": "x"}]))]), "member 1 has the id `x`, which is no GUID"),
    ] {
        let fault = unavailable(Snapshot::new().read(snapshot_with(groups)).await);
        assert!(fault.what.contains(words), "{}", fault.what);
    }
}
