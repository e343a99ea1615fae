//! Many tenants behind one client: who was told to wait waits, and nobody else does.

use futures_util::FutureExt as _;

use super::*;

#[tokio::test]
async fn what_one_reading_was_told_holds_for_the_next_one_of_the_tenant() {
    let fake = fake_of(8).await;
    fake.tenant("fabrikam.com").people(2);
    fake.fault(At::users().page(2).of(DOMAIN), Fault::Throttled(Some(3000)), 1);
    let reader = Reader::new(PATIENT);
    assert_eq!(incomplete(reader.read(&fake).await).read, 3);
    fake.forget_requests();

    let fault = unavailable(reader.read(&fake).await);
    assert_eq!(fault.kind, FaultKind::Transient);
    assert!(fault.what.contains("left alone"), "{fault}");
    let left = fault.retry_after.expect("how long");
    assert!((2000..=3000).contains(&left.as_secs()), "{left:?}");
    assert!(fake.requests().is_empty(), "the service is left alone");

    assert_eq!(complete(reader.of("fabrikam.com").read(&fake).await).users.len(), 2, "another tenant");
}

#[tokio::test]
async fn one_tenants_throttling_never_slows_another() {
    let fake = fake_of(8).await;
    fake.fault(At::users().of(DOMAIN), Fault::Throttled(Some(3000)), ALWAYS);
    let patient = Reader { patience: Duration::from_secs(4000), ..Reader::new(PATIENT) };
    let mut throttled = Box::pin(patient.read(&fake));
    // Another tenant is read to its end, ten times over, while the first one waits.
    for number in 1..=10 {
        let domain = format!("customer{number}.test");
        fake.tenant(&domain).people(5).page_size(2);
        let other = Reader { patience: PATIENT, ..patient.of(&domain) };
        let reading = tokio::select! {
            biased;
            reading = other.read(&fake) => reading,
            _ = &mut throttled => panic!("the throttled tenant was not waited for"),
        };
        assert_eq!(complete(reading).users.len(), 5);
    }
    assert!(throttled.now_or_never().is_none(), "it waits on");
    let asked = fake.requests().iter().filter(|seen| seen.status == 429).count();
    assert_eq!(asked, 1, "and asks nothing while it waits");
}

#[tokio::test]
async fn an_overloaded_server_is_left_by_a_new_connection() {
    // After a 429 the same server is as good as any; after a 503 it is not.
    for (status, is_left) in [(429, false), (503, true)] {
        let fake = fake_of(8).await;
        fake.fault(At::users().page(2), Fault::StatusAfter(status, 0), 1);
        assert_eq!(ids(&complete(Reader::new(PATIENT).read(&fake).await)), people(8));
        let requests = fake.requests();
        let refused = requests.iter().position(|seen| seen.status == status).expect("a refusal");
        assert_eq!(requests[refused - 1].connection, requests[refused].connection, "one is kept open");
        for later in &requests[refused + 1..] {
            assert_eq!(later.connection != requests[refused].connection, is_left, "after {status}");
        }
    }
}

#[tokio::test]
async fn readings_that_wait_for_one_token_learn_together_that_there_is_none() {
    let fake = fake_of(1).await;
    fake.fault(At::token(), Fault::Token(7000222), ALWAYS);
    let reader = Reader::new(PATIENT);
    let readings = futures_util::future::join_all((0..8).map(|_| reader.read(&fake))).await;
    assert!(readings.into_iter().all(|reading| unavailable(reading).what.contains("AADSTS7000222")));
    assert_eq!(fake.count(Place::Token), 1);

    unavailable(reader.read(&fake).await);
    assert_eq!(fake.count(Place::Token), 2, "whoever comes later asks anew");
}

#[tokio::test]
async fn hundreds_of_tenants_share_a_client_and_each_asks_no_more_than_it_needs() {
    let fake = GraphFake::start().await;
    let tenants: Vec<String> = (1..=300).map(|number| format!("customer{number}.test")).collect();
    for tenant in &tenants {
        fake.tenant(tenant).people(2).sku(e3());
    }
    fake.fault(At::users(), Fault::Throttled(None), 30);
    // What is counted is requests. So many at once may take their time.
    let long = Duration::from_secs(60);
    let client = HttpClient::with_timeouts(Timeouts { connect: long, silence: long, whole: long });
    let reader = Reader::over(client, 2 * long);
    let readings = tenants.iter().map(|tenant| {
        let (reader, fake) = (reader.of(tenant), &fake);
        async move { complete(reader.read(fake).await).users.len() }
    });
    let counts = futures_util::future::join_all(readings).await;
    assert_eq!(counts, vec![2; 300]);
    assert_eq!(fake.count(Place::Token), 300);
    assert_eq!(fake.count(Place::Users), 330, "each refusal is asked once more");
}
