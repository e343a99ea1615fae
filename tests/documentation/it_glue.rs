//! What is IT Glue's own.

use intake::model::contact::{ContactKind, Product};
use intake::model::reading::FaultKind;
use intake::model::text::Text;
use serde_json::{Value, json};

use super::fake::{ALWAYS, At, DocumentationFake, Fault, Place};
use super::{IMPATIENT, PATIENT, Reader, complete, contacts, fake_of, ids, incomplete, unavailable};

fn fake(people: usize) -> (DocumentationFake, Vec<u64>) {
    fake_of(Product::ItGlue, people)
}

fn with_passwords() -> Reader {
    Reader { categories: vec![Text::from("active directory")], ..Reader::new(PATIENT) }
}

#[tokio::test]
async fn every_page_is_asked_for_in_the_documented_form() {
    let (fake, _) = fake(3);
    complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
    let first = fake.requests().into_iter().find(|seen| seen.place == Some(Place::Contacts)).expect("a page");
    assert_eq!(first.query, "page%5Bnumber%5D=1&page%5Bsize%5D=1000&include=adapters_resources&sort=id");
    assert_eq!(fake.count(Place::Contacts), 1, "the count proves that this was all");
    assert_eq!(fake.count(Place::Passwords), 0);
}

#[tokio::test]
async fn a_listing_without_a_count_is_read_to_an_empty_page_and_until_it_is_the_same_twice() {
    for (count, cap) in [(10, 1_000), (59, 25), (50, 25), (60, 1_000)] {
        let (fake, people) = fake(count);
        fake.set(|wrong| {
            wrong.hides_meta = true;
            wrong.page_cap = Some(cap);
        });
        let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
        assert_eq!(ids(&catalogue, 2), people, "{count}, {cap} a page");
    }
}

#[tokio::test]
async fn whoever_moves_is_not_lost_without_a_count_either() {
    for page in 2..=4 {
        let (fake, mut people) = fake(90);
        fake.set(|wrong| {
            wrong.hides_meta = true;
            wrong.page_cap = Some(25);
        });
        fake.fault(At::contacts().page(page), Fault::Gone(people[3]), 1);
        let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
        people.remove(3);
        assert_eq!(ids(&catalogue, 2), people, "before page {page}");
    }
}

#[tokio::test]
async fn fewer_rows_than_the_count_are_read_once_more_and_then_not_believed() {
    let (fake, _) = fake(3);
    fake.set(|wrong| wrong.hidden_rows = 1);
    let shortfall = incomplete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
    assert!(
        shortfall.what.contains("organizations says that there are 3, and 2 arrived"),
        "{}",
        shortfall.what
    );
    assert_eq!(fake.count(Place::Companies), 4, "two pages, the second empty, and once more");
}

#[tokio::test]
async fn a_page_that_takes_too_long_is_asked_for_in_parts() {
    for (cap, most) in [(1_000, 999), (1_000, 60), (150, 149), (99, 51), (333, 170)] {
        for hides_meta in [false, true] {
            let (fake, people) = fake(400);
            fake.set(|wrong| {
                wrong.page_cap = Some(cap);
                wrong.too_slow_above = Some(most);
                wrong.hides_meta = hides_meta;
            });
            let catalogue = complete(Reader::new(IMPATIENT).sweep(&fake, &[2]).await);
            assert_eq!(ids(&catalogue, 2), people, "{cap} a page, {most} at most");
        }
    }
    // In the middle, where the server has made its pages smaller by itself.
    for (cap, page) in [(1_000, 1), (150, 2), (150, 3), (99, 4), (333, 2)] {
        let (fake, people) = fake(400);
        fake.set(|wrong| {
            wrong.page_cap = Some(cap);
            wrong.hides_meta = true;
        });
        fake.fault(At::contacts().page(page), Fault::Html(504), 1);
        let catalogue = complete(Reader::new(IMPATIENT).sweep(&fake, &[2]).await);
        assert_eq!(ids(&catalogue, 2), people, "{cap} a page, page {page} too slow");
    }
    let (fake, _) = fake(400);
    fake.set(|wrong| wrong.too_slow_above = Some(10));
    assert_eq!(unavailable(Reader::new(IMPATIENT).sweep(&fake, &[2]).await).kind, FaultKind::Transient);
}

#[tokio::test]
async fn what_is_not_needed_is_left_out_where_it_is_refused() {
    let (fake, people) = fake(3);
    fake.change(people[0], |person| person.psa_id = Some(9));
    fake.set(|wrong| wrong.refuses_include = true);
    let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
    assert_eq!(ids(&catalogue, 2), people);
    assert!(contacts(&catalogue, 2).iter().all(|contact| contact.links.is_empty()));
    assert_eq!(fake.count(Place::Contacts), 2);
}

#[tokio::test]
async fn both_refusals_of_a_key_are_the_same_and_say_what_may_be_wrong() {
    for status in [401, 403] {
        let (fake, _) = fake(1);
        fake.set(|wrong| wrong.unauthorised = Some(status));
        let fault = unavailable(Reader::new(PATIENT).with_key("wrong").sweep(&fake, &[2]).await);
        assert_eq!(fault.kind, FaultKind::Unauthorised);
        assert!(fault.what.contains("Forbidden: The key is not known here."), "{}", fault.what);
        let hint = fault.hint.expect("a hint");
        assert!(hint.contains("region") && hint.contains("90 days"), "{hint}");
    }
}

#[tokio::test]
async fn password_entries_are_read_by_username_where_their_category_is_wanted() {
    let (fake, people) = fake(2);
    let entry = fake.password(2, "Ada", "CONTOSO\\ada", "Active Directory");
    fake.password(2, "Router", "admin", "Network");
    fake.password(3, "Elsewhere", "bob", "Active Directory");
    let catalogue = complete(with_passwords().sweep(&fake, &[2]).await);
    let found = contacts(&catalogue, 2);
    assert_eq!(found.len(), people.len() + 1);
    let found = found.iter().find(|one| one.kind == ContactKind::PasswordEntry).expect("an entry");
    assert_eq!(
        (found.id.as_str(), found.username.as_deref()),
        (format!("password/{entry}").as_str(), Some("CONTOSO\\ada"))
    );
    assert!(!format!("{catalogue:?}").contains("our eyes alone"), "nothing else of it is kept");
    assert!(fake.requests().iter().all(|seen| !seen.path.contains("passwords/")), "never one by one");

    fake.set(|wrong| wrong.hides_passwords = true);
    let fault = unavailable(with_passwords().sweep(&fake, &[2]).await);
    assert_eq!(fault.kind, FaultKind::Unauthorised);
    assert!(fault.hint.expect("a hint").contains("passwordCategories"));
    complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
}

#[tokio::test]
async fn password_entries_that_do_not_come_are_not_left_out() {
    for fault in [Fault::Html(200), Fault::Null, Fault::CutBody, Fault::Without("id")] {
        let (fake, _) = fake(2);
        fake.password(2, "Ada", "CONTOSO\\ada", "Active Directory");
        fake.fault(At::passwords(), fault.clone(), ALWAYS);
        let reader = Reader { patience: IMPATIENT, ..with_passwords() };
        assert!(reader.sweep(&fake, &[2]).await.complete().is_none(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_row_counts_only_where_it_can_matter() {
    let odd: [(&str, Value, bool); 5] = [
        ("organization-id", json!(null), true),
        ("organization-id", json!("3"), true),
        ("organization-id", json!({}), false),
        ("contact-emails", json!("ada@contoso.test"), false),
        ("title", json!(["odd"]), true),
    ];
    for (name, value, is_whole) in odd {
        let (fake, people) = fake(3);
        fake.change(people[1], |person| drop(person.members.insert(name.to_owned(), value.clone())));
        let reading = Reader::new(IMPATIENT).sweep(&fake, &[2]).await;
        assert_eq!(reading.complete().is_some(), is_whole, "{name}: {value}");
        if !is_whole {
            assert!(incomplete(reading).what.contains(&people[1].to_string()), "it is named");
        }
    }
    let (fake, people) = fake(3);
    fake.fault(At::contacts(), Fault::Without("organization-id"), 1);
    assert!(Reader::new(IMPATIENT).sweep(&fake, &[3]).await.complete().is_none());
    // Of those who are on no shelf that is wanted nothing is looked at.
    fake.change(people[1], |person| drop(person.members.insert("contact-emails".to_owned(), json!(7))));
    complete(Reader::new(IMPATIENT).sweep(&fake, &[3]).await);
}
