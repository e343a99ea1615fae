//! What is Hudu's own.

use intake::model::contact::{Product, Shelf};
use intake::model::reading::FaultKind;
use intake::model::text::Text;
use serde_json::{Value, json};

use super::fake::{ALWAYS, At, DocumentationFake, Fault, LAYOUT, Place};
use super::{
    IMPATIENT, PATIENT, Reader, complete, contacts, fake_of, ids, incomplete, new_contact, shelf, unavailable,
};

fn fake(people: usize) -> (DocumentationFake, Vec<u64>) {
    fake_of(Product::Hudu, people)
}

#[tokio::test]
async fn people_are_asked_for_by_their_layout_and_archived_ones_besides() {
    let (fake, people) = fake(3);
    fake.change(people[1], |person| person.is_archived = true);
    let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
    assert_eq!(ids(&catalogue, 2), people);
    let queries: Vec<String> = fake
        .requests()
        .into_iter()
        .filter(|seen| seen.place == Some(Place::Contacts))
        .map(|seen| seen.query)
        .collect();
    assert_eq!(
        queries,
        [
            "asset_layout_id=5&page=1&page_size=1000",
            "asset_layout_id=5&page=2&page_size=1000",
            "asset_layout_id=5&archived=true&page=1&page_size=1000",
            "asset_layout_id=5&archived=true&page=2&page_size=1000"
        ]
    );
}

#[tokio::test]
async fn two_layouts_are_two_shelves_of_one_company() {
    let (fake, people) = fake(4);
    fake.change(people[0], |person| person.layout = 6);
    let shelf = |layout| Shelf { organization: Text::from("2"), asset_layout: Some(layout) };
    let shelves = [shelf(LAYOUT), shelf(6), shelf(7)].into();
    let catalogue = complete(Reader::new(PATIENT).open(&fake).sweep(&shelves).await);
    let counts: Vec<usize> = catalogue.shelves.values().map(Vec::len).collect();
    assert_eq!(counts, [3, 1, 0]);
    let nowhere = Shelf { organization: Text::from("2"), asset_layout: None };
    let fault = unavailable(Reader::new(PATIENT).open(&fake).sweep(&[nowhere].into()).await);
    assert!(fault.hint.expect("a hint").contains("assetLayoutId"));
}

#[tokio::test]
async fn an_instance_that_makes_its_pages_smaller_is_read_to_an_empty_page() {
    for count in [24, 25, 26, 50, 75] {
        let (fake, people) = fake(count);
        fake.set(|wrong| wrong.page_cap = Some(25));
        let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
        assert_eq!(ids(&catalogue, 2), people, "{count}");
    }
}

#[tokio::test]
async fn somebody_who_is_archived_while_being_read_is_there_once() {
    let (fake, people) = fake(60);
    fake.set(|wrong| wrong.page_cap = Some(25));
    fake.change(people[7], |person| person.is_archived = true);
    fake.set(|wrong| wrong.ignored.extend(["archived"]));
    let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
    assert_eq!(ids(&catalogue, 2), people, "also where archived ones come unasked, and in both listings");
    let archived = contacts(&catalogue, 2).into_iter().filter(|contact| contact.is_archived);
    assert_eq!(archived.map(|contact| contact.id).collect::<Vec<_>>(), [people[7].to_string()]);
}

#[tokio::test]
async fn a_manager_s_address_is_nobody_else_s() {
    let (fake, _) = fake(3);
    let port = Reader::new(PATIENT).open(&fake);
    let found = port.find(&shelf(&fake, 2), &new_contact("boss@contoso.test")).await;
    assert_eq!(found.expect("an answer"), None);
}

#[tokio::test]
async fn a_layout_without_fields_for_it_gets_the_address_of_the_asset_alone() {
    for fault in [None, Some(Fault::Null), Some(Fault::Html(404)), Some(Fault::NoListing)] {
        let (fake, _) = fake(1);
        if let Some(fault) = fault {
            fake.fault(At::place(Place::Layout), fault, ALWAYS);
        }
        let port = Reader::new(PATIENT).open(&fake);
        let contact = new_contact("ada@contoso.test");
        let id = port.create(&shelf(&fake, 2), &contact).await.expect("made");
        let sent = fake.requests().into_iter().find(|seen| seen.method == "POST").expect("a request").body;
        assert_eq!(
            sent,
            json!({"asset": {"name": "Ada Lovelace", "asset_layout_id": 5, "primary_mail": "ada@contoso.test"}})
        );
        let found = port.find(&shelf(&fake, 2), &contact).await.expect("an answer").expect("a contact");
        assert_eq!(found.id, id);
    }
    let (fake, _) = fake(1);
    fake.fault(At::place(Place::Layout), Fault::Status(500), ALWAYS);
    let port = Reader::new(IMPATIENT).open(&fake);
    let fault = port.create(&shelf(&fake, 2), &new_contact("ada@contoso.test")).await.expect_err("no layout");
    assert_eq!(fault.kind, FaultKind::Transient);
    assert_eq!(fake.count(Place::Create), 0);
}

#[tokio::test]
async fn every_form_of_a_refusal_is_told_in_its_words() {
    let forms = [
        (
            Fault::Json(400, json!({"error": "Parameter missing", "details": "company"})),
            "Parameter missing; company",
        ),
        (Fault::Json(422, json!({"errors": "is odd"})), "is odd"),
        (Fault::Json(422, json!({"errors": {"name": ["is taken"]}})), "{\"name\":[\"is taken\"]}"),
        (Fault::Json(404, json!({"error": "No matching integration"})), "No matching integration"),
        (Fault::Html(404), "(HTML)"),
    ];
    for (fault, said) in forms {
        let (fake, _) = fake(1);
        fake.fault(At::companies(), fault, ALWAYS);
        let fault = unavailable(Reader::new(IMPATIENT).sweep(&fake, &[2]).await);
        assert!(fault.what.contains(said), "{} lacks {said}", fault.what);
    }
}

#[tokio::test]
async fn a_row_counts_only_where_it_can_matter() {
    let odd: [(&str, Value, bool); 9] = [
        ("company_id", json!(null), true),
        ("company_id", json!("3"), true),
        ("company_id", json!({}), false),
        ("asset_layout_id", json!(6), true),
        ("asset_layout_id", json!(null), false),
        ("fields", json!("odd"), false),
        ("fields", json!([7, {"label": "Email"}, {"value": "x"}]), true),
        ("cards", json!({}), false),
        ("primary_mail", json!(7), true),
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
}
