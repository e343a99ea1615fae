//! How fast documentation systems are asked: never faster than they take it, for all users of a connection
//! together.

use std::time::Duration;

use intake::adapters::http_pace::Budget;
use intake::adapters::{connect_wise, hudu, it_glue};
use intake::model::contact::Product;
use intake::model::reading::FaultKind;

use super::contract::PRODUCTS;
use super::fake::{At, Fault, Place};
use super::{IMPATIENT, PATIENT, Reader, complete, fake_of, ids, unavailable};

#[test]
fn the_paces_are_below_what_is_documented() {
    let minute = Duration::from_secs(60);
    let documented = [
        (it_glue::BUDGET, 3_000, 5 * minute),
        (hudu::BUDGET, 300, minute),
        (connect_wise::BUDGET, 1_000, minute),
    ];
    for (budget, requests, window) in documented {
        assert!(budget.requests < requests && budget.window >= window && budget.rest >= minute);
    }
}

#[tokio::test]
async fn several_readings_together_never_ask_faster_than_one_may() {
    for product in PRODUCTS {
        let (fake, people) = fake_of(product, 59);
        fake.set(|wrong| {
            wrong.page_cap = Some(5);
            wrong.limit = Some((20, Duration::from_millis(100)));
        });
        let budget = Budget { requests: 20, window: Duration::from_millis(600), rest: Duration::ZERO };
        let reader = Reader::at(PATIENT, budget);
        let (one, other) = tokio::join!(reader.sweep(&fake, &[2]), reader.sweep(&fake, &[2, 3]));
        assert_eq!(ids(&complete(one), 2), people);
        assert_eq!(ids(&complete(other), 2), people);
        assert!(fake.requests().len() > 25, "{product:?}: enough to be too fast");
        assert!(fake.requests().iter().all(|seen| seen.status != 429), "{product:?}");
    }
}

#[tokio::test]
async fn what_one_reading_was_told_to_wait_no_other_reading_tries() {
    for product in PRODUCTS {
        let (fake, _) = fake_of(product, 3);
        fake.fault(At::companies(), Fault::TooFast(Some(3_600)), 1);
        let reader = Reader::new(IMPATIENT);
        let fault = unavailable(reader.sweep(&fake, &[2]).await);
        assert_eq!((fault.kind, fault.retry_after), (FaultKind::Transient, Some(Duration::from_secs(3_600))));
        let asked = fake.count(Place::Companies);
        let fault = unavailable(reader.sweep(&fake, &[2]).await);
        assert!(fault.retry_after.is_some_and(|left| left > Duration::from_secs(3_000)), "{product:?}");
        assert_eq!(fake.count(Place::Companies), asked, "{product:?}: nothing was sent");
        complete(reader.of_its_own().sweep(&fake, &[2]).await);
    }
}

#[tokio::test]
async fn a_thousand_customers_on_one_key_are_few_requests() {
    for product in PRODUCTS {
        let fake = super::DocumentationFake::start(product);
        for company in 1..=1_000 {
            fake.company(company, &format!("Customer {company}"));
            fake.person(company, "Ada", "Lovelace", &["ada@contoso.test"]);
        }
        let companies: Vec<u64> = (1..=1_000).collect();
        let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &companies).await);
        assert_eq!(catalogue.shelves.len(), 1_000);
        assert!(catalogue.shelves.values().all(|contacts| contacts.len() == 1), "{product:?}");
        let most = match product {
            Product::ItGlue => 2,
            // Every listing twice, to an empty page, and the archived ones.
            Product::Hudu => 9,
            // With the code base.
            Product::ConnectWise => 3,
        };
        assert_eq!(fake.requests().len(), most, "{product:?}");
    }
}
