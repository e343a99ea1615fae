//! Users who are asked for once more, twenty at a time.

use std::collections::BTreeSet;

use intake::model::guid::Guid;

use super::*;
use crate::support::intake::{Installation, ldif_source, persons};

async fn ask(reader: &Reader, fake: &GraphFake, numbers: &[u32]) -> Reading<Option<Tenant>> {
    let users: Vec<Guid> = numbers.iter().map(|number| guid(*number)).collect();
    reader.source(fake).confirm(&users, &Unwatched).await
}

fn guid(number: u32) -> Guid {
    person_id(number).parse().expect("a GUID")
}

fn found(reading: Reading<Option<Tenant>>) -> BTreeSet<Guid> {
    match reading {
        Reading::Complete(Some(tenant)) => tenant.users.iter().map(|user| user.id).collect(),
        other => panic!("not complete: {other:?}"),
    }
}

#[tokio::test]
async fn users_are_asked_for_twenty_at_a_time_and_who_is_gone_is_not_among_them() {
    let fake = fake_of(45).await;
    fake.tenant(DOMAIN).remove(&person_id(7));
    let asked: Vec<u32> = (1..=45).collect();
    let there = found(ask(&Reader::new(PATIENT), &fake, &asked).await);
    let expected: BTreeSet<Guid> =
        asked.iter().filter(|number| **number != 7).map(|one| guid(*one)).collect();
    assert_eq!(there, expected);
    assert_eq!(fake.count(Place::Batch), 3);
    assert_eq!(fake.count(Place::Users), 0, "the listing is not read again");
}

#[tokio::test]
async fn what_passes_is_survived_also_inside_of_a_batch() {
    for (at, fault) in [
        (At::batch(), Fault::Throttled(Some(0))),
        (At::batch(), Fault::Status(503)),
        (At::batch(), Fault::CutBody),
        (At::batch(), Fault::Html),
        (At::batch(), Fault::Reset),
        (At::user(), Fault::Throttled(Some(0))),
        (At::user(), Fault::Throttled(None)),
        (At::user(), Fault::Refused(503, "ServiceUnavailable")),
        (At::token(), Fault::Status(503)),
    ] {
        let fake = fake_of(3).await;
        fake.fault(at, fault.clone(), 1);
        let there = found(ask(&Reader::new(PATIENT), &fake, &[1, 2, 3, 4]).await);
        assert_eq!(there.len(), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn an_answer_that_says_neither_who_nor_nobody_confirms_nobody() {
    for (at, fault) in [
        (At::user(), Fault::Throttled(Some(60))),
        (At::user(), Fault::Refused(403, "Authorization_RequestDenied")),
        (At::user(), Fault::Refused(404, "UnknownError")),
        (At::user(), Fault::Refused(500, "InternalServerError")),
        (At::user(), Fault::Hidden("assignedLicenses")),
        (At::user(), Fault::BrokenRow(json!({"id": 5}))),
        (At::user(), Fault::BrokenRow(person(9, DOMAIN))),
        (At::batch(), Fault::NoValue),
        (At::batch(), Fault::Redirect("http://127.0.0.1:1/".to_owned())),
        (At::batch(), Fault::Throttled(Some(60))),
    ] {
        let fake = fake_of(3).await;
        fake.fault(at, fault.clone(), ALWAYS);
        let reading = ask(&Reader::new(IMPATIENT), &fake, &[1, 2, 3]).await;
        assert!(!matches!(reading, Reading::Complete(_)), "{fault:?}: {reading:?}");
    }
}

#[tokio::test]
async fn a_wait_that_was_asked_for_inside_of_a_batch_holds_for_the_tenant() {
    let fake = fake_of(3).await;
    fake.fault(At::user(), Fault::Throttled(Some(60)), 1);
    let reader = Reader::new(IMPATIENT);
    let _ = ask(&reader, &fake, &[1]).await;
    fake.forget_requests();
    let SourceFault { retry_after, .. } = unavailable(reader.read(&fake).await);
    assert!(retry_after.is_some_and(|wait| wait > Duration::from_secs(50)), "{retry_after:?}");
    assert_eq!(fake.count(Place::Users), 0, "the tenant is left alone");
}

#[test]
fn a_stale_listing_of_the_tenant_removes_nobody_and_who_is_gone_goes() {
    let graph = GraphFake::spawn();
    let tenant = graph.tenant("contoso.test");
    tenant.people(20).sku(e3());
    let mut here = Installation::new();
    here.policy(&["contoso"]);
    let all: Vec<u32> = (1..=20).collect();
    here.people("contoso", &all);
    let source = here.graph_source("contoso", &graph);
    here.customer("contoso", "Contoso", &ldif_source("contoso"), &source);
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(here.names("contoso", "active"), persons(&all));

    // The listing misses somebody for one read, and takes a licence from somebody for one read.
    graph.fault(At::users(), Fault::Missing(person_id(3)), 1);
    let run = here.run(&["apply", "--yes"]).expect(0);
    assert!(run.stdout.contains("0 removed"), "{run:?}");
    assert_eq!(graph.count(Place::Batch), 1);
    assert_eq!(here.names("contoso", "active"), persons(&all));

    // While nobody can be asked once more, who is missing stays, and the run says so.
    tenant.remove(&person_id(3));
    graph.fault(At::batch(), Fault::Status(500), ALWAYS);
    let run = here.run(&["apply", "--yes", "--max-wait", "1s"]).expect(3);
    assert!(run.stdout.contains("1 removal waits"), "{run:?}");
    assert_eq!(here.names("contoso", "active"), persons(&all));

    graph.clear_faults();
    here.run(&["apply", "--yes"]).expect(0);
    let left: Vec<u32> = all.into_iter().filter(|number| *number != 3).collect();
    assert_eq!(here.names("contoso", "active"), persons(&left));
}
