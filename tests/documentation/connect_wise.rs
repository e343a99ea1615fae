//! What is ConnectWise PSA's own.

use intake::model::contact::{NewContact, NewPerson, Product};
use intake::model::reading::FaultKind;
use intake::model::text::Text;
use serde_json::{Value, json};

use super::fake::{ALWAYS, At, DocumentationFake, Fault, Place};
use super::{
    IMPATIENT, PATIENT, Reader, complete, contacts, fake_of, ids, incomplete, new_contact, new_person, shelf,
    shelves, unavailable,
};

fn fake(people: usize) -> (DocumentationFake, Vec<u64>) {
    let (fake, people) = fake_of(Product::ConnectWise, people);
    fake.set(|wrong| wrong.page_cap = Some(25));
    (fake, people)
}

#[tokio::test]
async fn pages_are_followed_forward_with_all_headers() {
    let (fake, people) = fake(59);
    let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
    assert_eq!(ids(&catalogue, 2), people);
    let pages: Vec<_> =
        fake.requests().into_iter().filter(|seen| seen.place == Some(Place::Contacts)).collect();
    assert_eq!(pages.len(), 3);
    for page in &pages {
        assert_eq!(page.path, "/v2025_1/apis/3.0/company/contacts");
        assert_eq!(page.headers["pagination-type"], "forward-only");
        assert_eq!(page.headers["accept"], "application/vnd.connectwise.com+json; version=2025.1");
    }
    assert_eq!(pages[0].query, "pageSize=1000");
    assert!(pages[1].query.starts_with("pageSize=1000&pageId="), "{}", pages[1].query);
    assert_eq!(fake.count(Place::Count), 0);
}

#[tokio::test]
async fn the_code_base_is_asked_for_without_a_key_and_once() {
    let (fake, _) = fake(1);
    let reader = Reader::new(PATIENT);
    complete(reader.sweep(&fake, &[2]).await);
    complete(reader.sweep(&fake, &[2]).await);
    let asked: Vec<_> =
        fake.requests().into_iter().filter(|seen| seen.place == Some(Place::CodeBase)).collect();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, "/login/companyinfo/provider");
    assert!(!asked[0].headers.contains_key("authorization") && !asked[0].headers.contains_key("clientid"));
}

#[tokio::test]
async fn a_code_base_that_is_none_is_the_usual_one() {
    for odd in [
        json!({"Codebase": "../../evil/"}),
        json!({"Codebase": "https://evil.test/"}),
        json!({"Codebase": ""}),
        json!({"CompanyName": "Provider"}),
        json!([]),
    ] {
        let (fake, people) = fake(1);
        fake.set(|wrong| wrong.code_base = Some(odd.clone()));
        assert_eq!(ids(&complete(Reader::new(PATIENT).sweep(&fake, &[2]).await), 2), people, "{odd}");
    }
    for fault in [Fault::Html(404), Fault::Null, Fault::Html(200), Fault::Status(403)] {
        let (fake, people) = fake(1);
        fake.set(|wrong| wrong.code_base = Some(json!({"Codebase": "v4_6_release/"})));
        fake.fault(At::place(Place::CodeBase), fault.clone(), ALWAYS);
        assert_eq!(ids(&complete(Reader::new(PATIENT).sweep(&fake, &[2]).await), 2), people, "{fault:?}");
    }
    let (fake, _) = fake(1);
    fake.fault(At::place(Place::CodeBase), Fault::Status(503), ALWAYS);
    assert_eq!(unavailable(Reader::new(IMPATIENT).sweep(&fake, &[2]).await).kind, FaultKind::Transient);
    assert_eq!(fake.count(Place::Companies), 0);
}

#[tokio::test]
async fn a_link_to_another_server_is_not_followed_and_gets_nothing() {
    let stranger = DocumentationFake::connect_wise();
    let (fake, _) = fake(59);
    let link = format!("<{}/v2025_1/apis/3.0/company/contacts?pageId=1>; rel=\"next\"", stranger.url());
    fake.fault(At::contacts().page(2), Fault::Link(link), 1);
    let shortfall = incomplete(Reader::new(IMPATIENT).sweep(&fake, &[2]).await);
    assert!(shortfall.what.contains("another server"), "{}", shortfall.what);
    assert!(stranger.requests().is_empty());
}

#[tokio::test]
async fn links_that_lead_nowhere_are_not_guessed_at() {
    for link in
        ["</v2025_1/apis/3.0/company/contacts?pageId=1>; rel=\"next\"", "nowhere", "<file:///etc>; rel=next"]
    {
        let (fake, _) = fake(59);
        fake.fault(At::contacts().page(2), Fault::Link(link.to_owned()), ALWAYS);
        incomplete(Reader::new(IMPATIENT).sweep(&fake, &[2]).await);
    }
    let (fake, _) = fake(59);
    let first = format!("<{}/v2025_1/apis/3.0/company/contacts?pageSize=1000>; rel=\"next\"", fake.url());
    fake.fault(At::contacts().page(2), Fault::Link(first), ALWAYS);
    let shortfall = incomplete(Reader::new(IMPATIENT).sweep(&fake, &[2]).await);
    assert!(shortfall.what.contains("leads back"), "{}", shortfall.what);
}

#[tokio::test]
async fn without_a_link_the_count_has_to_fit_and_the_list_to_be_the_same_twice() {
    // The header is missing on the last page alone, where a proxy drops it for being empty.
    let (one, people) = fake(59);
    one.fault(At::contacts().page(3), Fault::NoLink, ALWAYS);
    assert_eq!(ids(&complete(Reader::new(PATIENT).sweep(&one, &[2]).await), 2), people);
    assert_eq!(one.count(Place::Count), 2);
    // It is missing always, and the first page is not all.
    let (other, _) = fake(59);
    other.fault(At::contacts(), Fault::NoLink, ALWAYS);
    let shortfall = incomplete(Reader::new(PATIENT).sweep(&other, &[2]).await);
    assert!(shortfall.what.contains("says that it is the last"), "{}", shortfall.what);
    assert_eq!(shortfall.read, 2 + 25);
}

#[tokio::test]
async fn a_system_that_counts_its_pages_is_read_until_it_is_the_same_twice() {
    for page in 2..=4 {
        let (fake, mut people) = fake(90);
        fake.set(|wrong| wrong.counts_pages = true);
        fake.fault(At::contacts().page(page), Fault::Gone(people[3]), 1);
        let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
        people.remove(3);
        assert_eq!(ids(&catalogue, 2), people, "before page {page}");
    }
}

#[tokio::test]
async fn the_cloud_hides_wrong_keys_behind_other_answers() {
    let (fake, _) = fake(1);
    fake.set(|wrong| wrong.unauthorised = Some(404));
    let fault = unavailable(Reader::new(PATIENT).with_key("wrong").sweep(&fake, &[2]).await);
    assert_eq!(fault.kind, FaultKind::Unauthorised);
    assert!(fault.hint.expect("a hint").contains("loginCompany"));

    let no_tls = json!({"code": "Security", "message": "SSL is required.", "errors": null});
    fake.fault(At::companies(), Fault::Json(403, no_tls), 1);
    let fault = unavailable(Reader::new(PATIENT).sweep(&fake, &[2]).await);
    assert_eq!(fault.kind, FaultKind::Refused);
    assert!(fault.hint.expect("a hint").contains("`api-`"));
}

#[tokio::test]
async fn what_is_wrong_with_a_contact_is_shown() {
    let (fake, _) = fake(1);
    let invalid = json!({"code": "InvalidObject", "message": "contact object is invalid", "errors": [
        {"code": "ObjectExists", "message": "There is one already", "resource": "contact", "field": "name"}]});
    fake.fault(At::create(), Fault::Json(400, invalid), 1);
    let port = Reader::new(PATIENT).open(&fake);
    let fault = port.create(&shelf(&fake, 2), &new_contact("ada@contoso.test")).await.expect_err("refused");
    assert!(
        fault.what.ends_with("InvalidObject; contact object is invalid; name: There is one already"),
        "{fault}"
    );
}

#[tokio::test]
async fn without_a_type_for_addresses_nobody_is_made() {
    let (fake, _) = fake(1);
    fake.set(|wrong| wrong.has_no_email_type = true);
    let port = Reader::new(IMPATIENT).open(&fake);
    let contact = new_contact("ada@contoso.test");
    let fault = port.create(&shelf(&fake, 2), &contact).await.expect_err("no type");
    assert_eq!(fault.kind, FaultKind::Refused);
    fake.fault(At::place(Place::CommunicationTypes), Fault::Status(403), ALWAYS);
    let fault = port.create(&shelf(&fake, 2), &contact).await.expect_err("no type");
    assert_eq!(fault.kind, FaultKind::Unauthorised);
    assert_eq!(fake.count(Place::Create), 0);
}

#[tokio::test]
async fn a_mark_that_is_too_long_is_left_out_and_the_address_found() {
    let (fake, _) = fake(1);
    let port = Reader::new(PATIENT).open(&fake);
    let contact =
        NewContact::Person(NewPerson { mark: Text::from("x".repeat(51)), ..new_person("ada@contoso.test") });
    let id = port.create(&shelf(&fake, 2), &contact).await.expect("made");
    let found = port.find(&shelf(&fake, 2), &contact).await.expect("an answer").expect("a contact");
    assert_eq!(found.id, id);
}

#[tokio::test]
async fn contacts_come_without_their_items_and_then_have_no_addresses() {
    let (fake, people) = fake(3);
    fake.set(|wrong| wrong.hides_communication = true);
    let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
    assert_eq!(ids(&catalogue, 2), people);
    assert!(contacts(&catalogue, 2).iter().all(|contact| contact.addresses.is_empty()));
}

#[tokio::test]
async fn a_row_counts_only_where_it_can_matter() {
    let odd: [(&str, Value, bool); 6] = [
        ("company", json!(null), true),
        ("company", json!({"id": "3"}), true),
        ("company", json!({"name": "Contoso"}), false),
        ("company", json!(2), false),
        ("communicationItems", json!("ada@contoso.test"), false),
        ("types", json!("odd"), true),
    ];
    for (name, value, is_whole) in odd {
        let (fake, people) = fake(3);
        fake.change(people[1], |person| drop(person.members.insert(name.to_owned(), value.clone())));
        let reading = Reader::new(IMPATIENT).sweep(&fake, &[2]).await;
        assert_eq!(reading.complete().is_some(), is_whole, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_lookup_reads_the_contacts_of_one_company() {
    let (fake, _) = fake(59);
    let port = Reader::new(PATIENT).open(&fake);
    let hostile = new_contact("o'hara\"+and%id>0@contoso.test");
    assert_eq!(port.find(&shelf(&fake, 2), &hostile).await.expect("an answer"), None);
    let pages: Vec<_> =
        fake.requests().into_iter().filter(|seen| seen.place == Some(Place::Contacts)).collect();
    assert!(pages.iter().all(|page| page.query.contains("conditions=company%2Fid%3D2")), "{pages:?}");
    assert!(!shelves(&fake, &[2]).is_empty());
}
