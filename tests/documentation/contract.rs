//! One contract for all documentation systems: the same people give the same contacts, and no fault makes a
//! complete reading of fewer.

use std::time::Duration;

use futures_util::future::join_all;
use intake::adapters::http_pages::Bounds;
use intake::model::contact::{ContactKind, Product};
use intake::model::reading::{FaultKind, Reading};
use serde_json::json;

use super::fake::{ALWAYS, At, DocumentationFake, Fault, KEY, PRIVATE_KEY, Place};
use super::{
    AT_ONCE, IMPATIENT, PATIENT, Reader, complete, contacts, fake_of, ids, incomplete, shelves, unavailable,
};

pub(super) const PRODUCTS: [Product; 3] = Product::ALL;

/// The people that everybody has to see in the same way.
fn everybody(fake: &DocumentationFake) {
    fake.company(2, "Contoso").company(3, "Fabrikam & \"Sons\"").company(4, "Nobody");
    fake.person(2, "Ada", "Lovelace", &["Ada@Contoso.test", "a.lovelace+work@contoso.test"]);
    fake.person(2, "Seán", "O'Hara \"Bob\"", &["sean@bücher.example"]);
    fake.person(2, "No", "Mail", &[]);
    let gone = fake.person(2, "Grace", "Hopper", &["grace@contoso.test"]);
    fake.change(gone, |gone| {
        gone.is_archived = true;
        gone.kind = Some("No Longer Employed".to_owned());
        gone.title = Some("Admiral".to_owned());
    });
    let linked = fake.person(3, "Bob", "Twin", &["shared@fabrikam.test"]);
    fake.change(linked, |linked| linked.psa_id = Some(177));
    fake.person(3, "Alice", "Twin", &["shared@fabrikam.test"]);
    let nobodys = fake.person(3, "Stray", "Cat", &["stray@fabrikam.test"]);
    fake.change(nobodys, |nobodys| nobodys.company = None);
    fake.change_company(3, |company| company.psa_id = Some(44));
}

#[tokio::test]
async fn the_same_people_are_the_same_contacts_everywhere() {
    let reader = Reader::new(PATIENT);
    for product in PRODUCTS {
        let fake = DocumentationFake::start(product);
        everybody(&fake);
        let catalogue = complete(reader.of_its_own().sweep(&fake, &[2, 4]).await);
        assert_eq!(catalogue.organizations.iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["2", "3", "4"]);
        assert_eq!(catalogue.shelves.len(), 2, "{product:?}");
        assert!(contacts(&catalogue, 4).is_empty());
        let seen: Vec<_> = contacts(&catalogue, 2)
            .into_iter()
            .map(|contact| {
                assert_eq!((contact.kind, contact.organization.as_str()), (ContactKind::Person, "2"));
                (contact.name.to_string(), contact.addresses.join(" "), contact.is_archived)
            })
            .collect();
        let expected = [
            ("Ada Lovelace", "a.lovelace+work@contoso.test ada@contoso.test", false),
            ("Seán O'Hara \"Bob\"", "sean@xn--bcher-kva.example", false),
            ("No Mail", "", false),
            ("Grace Hopper", "grace@contoso.test", true),
        ]
        .map(|(name, addresses, archived)| (name.to_owned(), addresses.to_owned(), archived));
        assert_eq!(seen, expected, "{product:?}");

        let again = complete(reader.sweep(&fake, &[2, 4]).await);
        assert_eq!(again, catalogue, "{product:?}: a second listing is the same");
    }
}

#[tokio::test]
async fn what_is_synchronised_with_connect_wise_says_so() {
    for product in PRODUCTS.into_iter().filter(|product| *product != Product::ConnectWise) {
        let fake = DocumentationFake::start(product);
        everybody(&fake);
        let reader = Reader::new(PATIENT);
        let catalogue = complete(reader.sweep(&fake, &[3]).await);
        let links: Vec<_> = contacts(&catalogue, 3).into_iter().map(|contact| contact.links).collect();
        assert_eq!(links[0].len(), 1, "{product:?}");
        assert_eq!((links[0][0].product, links[0][0].id.as_str()), (Some(Product::ConnectWise), "177"));
        assert!(links[1].is_empty());
        let organizations = complete(reader.open(&fake).organizations().await);
        assert_eq!(organizations[1].links[0].id, "44", "{product:?}");
        assert!(organizations[0].links.is_empty());
    }
}

#[tokio::test]
async fn organizations_tell_what_chooses_between_them() {
    for product in PRODUCTS {
        let fake = DocumentationFake::start(product);
        fake.company(2, "Contoso").company(10, "Old").company(3, "Sold");
        fake.change_company(10, |company| company.kind = "Vendor".to_owned());
        fake.change_company(3, |company| company.is_archived = true);
        let found = complete(Reader::new(PATIENT).open(&fake).organizations().await);
        let seen: Vec<_> = found
            .iter()
            .map(|one| (one.id.as_str(), one.name.as_str(), one.types.join(","), one.is_primary))
            .collect();
        assert_eq!(
            seen,
            [
                ("10", "Old", "Vendor".to_owned(), false),
                ("2", "Contoso", "Customer".to_owned(), false),
                ("3", "Sold", "Customer".to_owned(), false)
            ],
            "{product:?}"
        );
        if product != Product::ItGlue {
            assert_eq!(found.iter().map(|one| one.is_archived).collect::<Vec<_>>(), [false, false, true]);
        }
    }
}

#[tokio::test]
async fn nobody_is_read_of_whom_nobody_asked() {
    for product in PRODUCTS {
        let (fake, _) = fake_of(product, 3);
        let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[]).await);
        assert!(catalogue.shelves.is_empty());
        assert_eq!(catalogue.organizations.len(), 2);
        assert_eq!(fake.count(Place::Contacts), 0, "{product:?}");
        // An id that nobody has is a shelf with nobody on it, and no organisation.
        let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[99]).await);
        assert!(ids(&catalogue, 99).is_empty());
        assert!(!catalogue.organizations.contains("99"));
    }
}

#[tokio::test]
async fn whatever_changes_is_seen_by_the_next_reading() {
    for fake in [DocumentationFake::connect_wise(), DocumentationFake::it_glue(), DocumentationFake::hudu()] {
        everybody(&fake);
        let reader = Reader::new(PATIENT);
        let before = complete(reader.sweep(&fake, &[2]).await);
        let someone = ids(&before, 2)[0];
        fake.remove(someone).remove_company(4);
        let after = complete(reader.sweep(&fake, &[2]).await);
        assert_eq!(ids(&after, 2), ids(&before, 2)[1..]);
        assert!(!after.organizations.contains("4") && before.organizations.contains("4"));
        fake.forget_requests();
        fake.set_key("another-key");
        assert_eq!(unavailable(reader.sweep(&fake, &[2]).await).kind, FaultKind::Unauthorised);
        assert_eq!(complete(reader.with_key("another-key").sweep(&fake, &[2]).await), after);
        assert!(fake.requests().len() < 12, "{}", fake.requests().len());
    }
}

#[tokio::test]
async fn all_pages_are_read_however_small_the_server_makes_them() {
    let reader = Reader::new(PATIENT);
    for product in PRODUCTS {
        for cap in [1, 7, 24, 25, 60, 61, 120, 1_000] {
            let (fake, people) = fake_of(product, 59);
            fake.set(|wrong| wrong.page_cap = Some(cap));
            let catalogue = complete(reader.sweep(&fake, &[2]).await);
            assert_eq!(ids(&catalogue, 2), people, "{product:?}, {cap} a page");
        }
    }
}

#[tokio::test]
async fn rows_that_come_twice_count_once() {
    for product in PRODUCTS {
        let (fake, people) = fake_of(product, 59);
        fake.set(|wrong| wrong.page_cap = Some(25));
        fake.fault(At::contacts(), Fault::DuplicateRows, ALWAYS);
        fake.fault(At::companies(), Fault::DuplicateRows, ALWAYS);
        let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
        assert_eq!(ids(&catalogue, 2), people, "{product:?}");
    }
}

#[tokio::test]
async fn whoever_moves_between_pages_is_not_lost() {
    let reader = Reader::new(PATIENT);
    for product in PRODUCTS {
        for page in 2..=4 {
            let (fake, mut people) = fake_of(product, 90);
            fake.set(|wrong| wrong.page_cap = Some(25));
            // Somebody of the first page goes: all others move forward, and one of them into a page that was read.
            fake.fault(At::contacts().page(page), Fault::Gone(people[3]), 1);
            let catalogue = complete(reader.sweep(&fake, &[2]).await);
            people.remove(3);
            let found: Vec<u64> = ids(&catalogue, 2).into_iter().filter(|id| people.contains(id)).collect();
            assert_eq!(found, people, "{product:?}: somebody went before page {page}");

            let (fake, people) = fake_of(product, 90);
            fake.set(|wrong| wrong.page_cap = Some(25));
            fake.fault(At::contacts().page(page), Fault::Came(2), 1);
            let catalogue = complete(reader.sweep(&fake, &[2]).await);
            let found: Vec<u64> = ids(&catalogue, 2).into_iter().filter(|id| people.contains(id)).collect();
            assert_eq!(found, people, "{product:?}: somebody came before page {page}");
        }
    }
}

#[tokio::test]
async fn a_listing_that_never_stands_still_is_not_believed() {
    for product in PRODUCTS.into_iter().filter(|product| *product != Product::ConnectWise) {
        let (fake, people) = fake_of(product, 90);
        fake.set(|wrong| wrong.page_cap = Some(25));
        for id in people.iter().take(12) {
            fake.fault(At::contacts().page(2), Fault::Gone(*id), 1);
        }
        let shortfall = incomplete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
        assert!(shortfall.what.contains("times"), "{}", shortfall.what);
    }
}

#[tokio::test]
async fn a_server_that_turns_no_pages_is_not_believed() {
    for product in PRODUCTS.into_iter().filter(|product| *product != Product::ConnectWise) {
        let (fake, _) = fake_of(product, 59);
        fake.set(|wrong| {
            wrong.page_cap = Some(25);
            wrong.ignored.extend(["page", "page[number]"]);
            wrong.hides_meta = true;
        });
        let shortfall = incomplete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
        assert!(shortfall.what.contains("turns no pages"), "{}", shortfall.what);
    }
}

#[tokio::test]
async fn a_server_that_gives_the_last_page_for_any_later_one_is_read_whole() {
    for product in PRODUCTS.into_iter().filter(|product| *product != Product::ConnectWise) {
        for (count, cap) in [(59, 25), (49, 25), (10, 25), (99, 1_000), (1, 1_000), (2, 25)] {
            let (fake, people) = fake_of(product, count);
            fake.set(|wrong| {
                wrong.page_cap = Some(cap);
                wrong.clamps_pages = true;
                wrong.hides_meta = true;
            });
            let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
            assert_eq!(ids(&catalogue, 2), people, "{product:?}: {count}, {cap} a page");
        }
    }
}

// Faults

fn passing() -> Vec<Fault> {
    vec![
        Fault::TooFast(None),
        Fault::TooFast(Some(0)),
        Fault::TooFast(Some(1)),
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(503),
        Fault::Html(503),
        Fault::Html(504),
        Fault::Plain(500, "Something went wrong"),
        Fault::Json(500, json!({"status": 500, "error": "Internal Server Error"})),
        Fault::Html(200),
        Fault::Empty,
        Fault::CutBody,
        Fault::CutConnection,
        Fault::Reset,
    ]
}

#[tokio::test]
async fn what_passes_by_itself_is_survived_within_the_reading() {
    let reader = &Reader::new(PATIENT);
    let tests = PRODUCTS.into_iter().flat_map(|product| {
        passing().into_iter().map(move |fault| async move {
            let (fake, people) = fake_of(product, 59);
            fake.set(|wrong| wrong.page_cap = Some(25));
            fake.fault(At::companies().page(1), fault.clone(), 1);
            fake.fault(At::contacts().page(1), fault.clone(), 1);
            fake.fault(At::contacts().page(3), fault.clone(), 1);
            let catalogue = complete(reader.of_its_own().sweep(&fake, &[2]).await);
            assert_eq!(ids(&catalogue, 2), people, "{product:?} {fault:?}");
        })
    });
    join_all(tests).await;
}

#[tokio::test]
async fn no_fault_that_lasts_ends_in_a_complete_reading() {
    let reader = &Reader::new(IMPATIENT);
    let mut lasting = passing();
    lasting.extend([
        Fault::TooFast(Some(60)),
        Fault::Status(504),
        Fault::Html(404),
        Fault::Plain(400, "no"),
        Fault::Json(422, json!({"errors": "text"})),
        Fault::Json(400, json!({"error": "Parameter missing", "details": "company"})),
        Fault::Redirect("http://127.0.0.1:1/".to_owned()),
        Fault::Null,
        Fault::NoListing,
        Fault::BrokenRow(json!("nobody")),
        Fault::BrokenRow(json!({"id": null})),
        Fault::BrokenRow(json!({"id": 7, "company": {"name": "Contoso"}})),
        Fault::Without("id"),
    ]);
    let tests = PRODUCTS.into_iter().flat_map(|product| {
        lasting.clone().into_iter().flat_map(move |fault| {
            [At::contacts().page(1), At::contacts().page(2), At::contacts().page(3), At::contacts()]
                .into_iter()
                .map(move |at| {
                    let fault = fault.clone();
                    async move {
                        let (fake, _) = fake_of(product, 59);
                        fake.set(|wrong| wrong.page_cap = Some(25));
                        fake.fault(at, fault.clone(), ALWAYS);
                        match reader.of_its_own().sweep(&fake, &[2]).await {
                            Reading::Complete(_) => panic!("{product:?}: complete under {fault:?} at {at:?}"),
                            Reading::Incomplete(shortfall) => assert!(!shortfall.what.is_empty()),
                            Reading::Unavailable(fault) => assert!(!fault.what.is_empty()),
                        }
                    }
                })
        })
    });
    join_all(tests).await;
}

#[tokio::test]
async fn organizations_that_cannot_be_read_whole_are_not_read() {
    let faults = [
        Fault::Html(200),
        Fault::Null,
        Fault::CutBody,
        Fault::NoListing,
        Fault::Without("id"),
        Fault::BrokenRow(json!([])),
        Fault::Status(404),
    ];
    for product in PRODUCTS {
        for fault in &faults {
            let (fake, _) = fake_of(product, 1);
            fake.fault(At::companies(), fault.clone(), ALWAYS);
            let reader = Reader::new(IMPATIENT);
            assert!(reader.open(&fake).organizations().await.complete().is_none(), "{product:?} {fault:?}");
            assert!(
                reader.of_its_own().sweep(&fake, &[2]).await.complete().is_none(),
                "{product:?} {fault:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_more_ends_the_reading() {
    let reader = &Reader::over(IMPATIENT, AT_ONCE, Duration::from_secs(10));
    join_all(PRODUCTS.map(|product| async move {
        let (fake, _) = fake_of(product, 59);
        fake.set(|wrong| wrong.page_cap = Some(25));
        fake.fault(At::contacts().page(2), Fault::Hang, ALWAYS);
        let shortfall = incomplete(reader.of_its_own().sweep(&fake, &[2]).await);
        assert!(shortfall.read >= 25, "{product:?}: {shortfall:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_reading_without_an_end_is_ended() {
    let reader = &Reader::new(PATIENT);
    join_all(PRODUCTS.map(|product| async move {
        let (fake, _) = fake_of(product, 90);
        fake.set(|wrong| wrong.page_cap = Some(5));
        let bounds = Bounds { pages: 7, ..Bounds::default() };
        let shortfall = incomplete(Reader { bounds, ..reader.of_its_own() }.sweep(&fake, &[2]).await);
        assert!(shortfall.what.contains("has more than 7 pages"), "{product:?}: {}", shortfall.what);
        assert!(fake.count(Place::Contacts) <= 7, "{product:?}");
        // What takes too long, whoever makes it wait.
        fake.fault(At::contacts().page(2), Fault::Hang, ALWAYS);
        let bounds = Bounds { time: Duration::from_secs(5), ..Bounds::default() };
        let shortfall = incomplete(Reader { bounds, ..reader.of_its_own() }.sweep(&fake, &[2]).await);
        assert!(shortfall.what.contains("did not end within"), "{product:?}: {}", shortfall.what);
    }))
    .await;
}

#[tokio::test]
async fn a_page_for_people_is_not_shown_and_text_only_in_part() {
    for product in PRODUCTS {
        let (fake, _) = fake_of(product, 1);
        fake.fault(At::companies(), Fault::Html(404), 1);
        let reader = Reader::new(IMPATIENT);
        let fault = unavailable(reader.sweep(&fake, &[2]).await);
        assert!(fault.what.contains("HTML") && !fault.what.contains("Sorry"), "{}", fault.what);
        fake.fault(At::companies(), Fault::Plain(400, "no\u{1b}[31m such thing"), ALWAYS);
        let fault = unavailable(reader.sweep(&fake, &[2]).await);
        assert!(fault.what.contains("no\\u{1b}[31m such thing"), "{}", fault.what);
    }
}

// Credentials

#[tokio::test]
async fn a_wrong_key_is_told_apart_and_shown_to_nobody() {
    for product in PRODUCTS {
        let (fake, _) = fake_of(product, 1);
        let reader = Reader::new(IMPATIENT).with_key("hush-this-is-wrong");
        let reading = reader.sweep(&fake, &[2]).await;
        let fault = unavailable(reading.clone());
        assert_eq!(fault.kind, FaultKind::Unauthorised, "{product:?}");
        assert!(fault.hint.is_some(), "{product:?}");
        assert!(!format!("{reading:?}").contains("hush"), "{product:?}");
        let asked = fake.requests().iter().filter(|seen| seen.place == Some(Place::Companies)).count();
        assert_eq!(asked, 1, "{product:?}: a refusal is not tried again");
    }
}

#[tokio::test]
async fn a_key_that_is_taken_away_while_it_is_used_is_no_shortfall() {
    for product in PRODUCTS {
        let (fake, _) = fake_of(product, 59);
        fake.set(|wrong| wrong.page_cap = Some(25));
        fake.fault(At::contacts().page(2), Fault::Status(401), ALWAYS);
        let fault = unavailable(Reader::new(IMPATIENT).sweep(&fake, &[2]).await);
        assert_eq!(fault.kind, FaultKind::Unauthorised, "{product:?}");
    }
}

#[tokio::test]
async fn a_key_that_the_other_side_repeats_is_taken_out() {
    for product in PRODUCTS {
        let (fake, _) = fake_of(product, 1);
        let secret = if product == Product::ConnectWise { PRIVATE_KEY } else { KEY };
        for fault in [
            Fault::Plain(400, if product == Product::ConnectWise { PRIVATE_KEY } else { KEY }),
            Fault::Json(400, json!({"errors": [{"title": secret}], "error": secret, "message": secret})),
        ] {
            fake.fault(At::companies(), fault, 3);
            let fault = unavailable(Reader::new(IMPATIENT).sweep(&fake, &[2]).await);
            assert!(!fault.what.contains(secret), "{product:?}: {}", fault.what);
            assert!(fault.what.contains("redacted"), "{product:?}: {}", fault.what);
            fake.clear_faults();
        }
    }
}

// Size

#[tokio::test]
async fn ten_thousand_contacts_with_one_address_are_ten_thousand_contacts() {
    for product in PRODUCTS {
        let fake = DocumentationFake::start(product);
        fake.company(2, "Contoso");
        for number in 0..10_000 {
            fake.person(2, "Info", &number.to_string(), &["info@contoso.test"]);
        }
        let port = Reader::new(PATIENT).open(&fake);
        let catalogue = complete(port.sweep(&shelves(&fake, &[2])).await);
        let found = contacts(&catalogue, 2);
        assert_eq!(found.len(), 10_000, "{product:?}");
        assert!(found.iter().all(|contact| contact.addresses == ["info@contoso.test"]));
        assert!(found.is_sorted_by(|one, other| one.id < other.id));
        assert!(fake.count(Place::Contacts) <= 33, "{product:?}: {}", fake.count(Place::Contacts));
    }
}
