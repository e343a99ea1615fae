//! Password entries that are made in IT Glue: looked for first, made once, and never with a password.

use intake::model::contact::{ContactKind, Product};
use intake::model::reading::FaultKind;
use intake::model::text::Text;
use serde_json::{Value, json};

use super::fake::{ALWAYS, At, DocumentationFake, Fault, Place};
use super::{IMPATIENT, MARK, PATIENT, Reader, complete, contacts, fake_of, new_entry, shelf};

/// An IT Glue with the category of new entries as its second one.
fn fake() -> DocumentationFake {
    let (fake, _) = fake_of(Product::ItGlue, 2);
    fake.password_category(6, "Active Directory (old)").password_category(7, "ACTIVE directory");
    fake
}

fn reader() -> Reader {
    let categories = ["Active Directory", "Microsoft 365"].map(Text::from).to_vec();
    Reader { categories, ..Reader::new(PATIENT) }
}

fn impatient() -> Reader {
    Reader { patience: IMPATIENT, ..reader() }
}

/// Returns what was sent to make something.
fn sent(fake: &DocumentationFake) -> Vec<Value> {
    let requests = fake.requests().into_iter();
    requests.filter(|seen| seen.method == "POST").map(|seen| seen.body).collect()
}

#[tokio::test]
async fn an_entry_has_a_name_a_username_the_mark_and_the_first_category() {
    let fake = fake();
    let port = reader().open(&fake);
    let id = port.create(&shelf(&fake, 2), &new_entry("Ada@contoso.test")).await.expect("made");
    assert_eq!(
        sent(&fake),
        [json!({"data": {"type": "passwords", "attributes": {"name": "Ada Lovelace",
            "username": "Ada@contoso.test", "notes": MARK, "password-category-id": 7}}})],
        "and no password"
    );
    let made = fake.requests().pop().expect("a request");
    assert_eq!(
        (made.path.as_str(), made.query.as_str()),
        ("/organizations/2/relationships/passwords", "show_password=false")
    );
    let entry = fake.passwords().pop().expect("an entry");
    assert_eq!(id, format!("password/{}", entry.id));
    assert_eq!((entry.company, entry.category.as_deref()), (2, Some("ACTIVE directory")));
    // It is what a sweep finds, and whom the account is matched with.
    let catalogue = complete(reader().sweep(&fake, &[2]).await);
    let found = contacts(&catalogue, 2).into_iter().find(|one| one.kind == ContactKind::PasswordEntry);
    let found = found.expect("the entry");
    assert_eq!((&found.id, found.username.as_deref()), (&id, Some("Ada@contoso.test")));
    let is_shown = |path: &str| path.rsplit('/').next().is_some_and(|last| last.parse::<u64>().is_ok());
    assert!(fake.requests().iter().all(|seen| !is_shown(&seen.path)), "no entry is ever opened");
}

#[tokio::test]
async fn an_entry_is_found_by_its_mark_or_username_in_its_own_organisation_alone() {
    let fake = fake();
    let port = reader().open(&fake);
    let found = async |username: &str| {
        let found = port.find(&shelf(&fake, 2), &new_entry(username)).await.expect("an answer");
        found.map(|entry| entry.id.to_string())
    };
    fake.person(2, "Ada", "Lovelace", &["ada@contoso.test"]);
    fake.password(3, "Elsewhere", "ada@contoso.test", "Active Directory");
    assert_eq!(found("ada@contoso.test").await, None, "a contact is no entry, nor is another organisation's");

    let id = fake.password(2, "Ada", "CONTOSO\\ADA", "Active Directory");
    let shown = Some(format!("password/{id}"));
    assert_eq!(found("ada").await, shown);
    assert_eq!(found("contoso\\ada").await, shown);
    assert_eq!(found("ad").await, None);
    fake.change_password(id, |entry| entry.is_archived = true);
    assert_eq!(found("ada").await, shown, "archived ones too");
    fake.change_password(id, |entry| entry.category = None);
    assert_eq!(found("ada").await, shown, "whatever its category");

    let marked = fake.password(2, "Somebody", "other", "Network");
    fake.change_password(marked, |entry| {
        entry.notes = Some(format!("Ask first. {MARK}"));
        entry.username = None;
    });
    let marked = Some(format!("password/{marked}"));
    assert_eq!(found("nobody").await, marked, "by its mark");
    assert_eq!(found("ada").await, marked, "the mark goes first");

    // A filter that does nothing gives others as well.
    fake.set(|wrong| wrong.ignored.extend(["filter[organization_id]"]));
    let elsewhere = port.find(&shelf(&fake, 4), &new_entry("ada@contoso.test")).await;
    assert_eq!(elsewhere.expect("an answer"), None);
}

#[tokio::test]
async fn entries_that_cannot_be_looked_up_are_not_absent() {
    for fault in [Fault::Html(200), Fault::Null, Fault::Status(500), Fault::CutBody, Fault::NoListing] {
        let fake = fake();
        fake.fault(At::passwords(), fault.clone(), ALWAYS);
        let found = impatient().open(&fake).find(&shelf(&fake, 2), &new_entry("ada")).await;
        assert!(found.is_err(), "{fault:?}");
    }
}

#[tokio::test]
async fn after_a_lost_answer_the_entry_is_found_and_made_once() {
    let fake = fake();
    fake.fault(At::create(), Fault::LostAnswer, 1);
    let (port, entry) = (reader().open(&fake), new_entry("ada@contoso.test"));
    let lost = port.create(&shelf(&fake, 2), &entry).await.expect_err("no answer");
    assert_eq!(lost.kind, FaultKind::Transient);
    assert_eq!(fake.count(Place::Create), 1, "and not tried again");
    let found = port.find(&shelf(&fake, 2), &entry).await.expect("an answer").expect("the entry");
    assert_eq!(found.id, format!("password/{}", fake.passwords()[0].id));
}

#[tokio::test]
async fn an_answer_that_does_not_say_which_entry_is_asked_about() {
    let fake = fake();
    fake.fault(At::create(), Fault::WithoutId, 1);
    let id = reader().open(&fake).create(&shelf(&fake, 2), &new_entry("ada")).await.expect("made");
    assert_eq!(id, format!("password/{}", fake.passwords()[0].id));
    assert_eq!(fake.count(Place::Create), 1);
}

#[tokio::test]
async fn an_answer_about_another_entry_or_organisation_is_not_taken() {
    for fault in [Fault::Another, Fault::Elsewhere(3)] {
        let fake = fake();
        fake.fault(At::create(), fault.clone(), 1);
        let made = reader().open(&fake).create(&shelf(&fake, 2), &new_entry("ada")).await;
        let refused = made.expect_err("another");
        assert_eq!(refused.kind, FaultKind::Refused, "{fault:?}");
        assert!(refused.what.contains("answered with password entry password/"), "{}", refused.what);
    }
}

#[tokio::test]
async fn no_request_that_makes_an_entry_is_sent_twice() {
    let kinds = [
        (Fault::Status(500), FaultKind::Transient),
        (Fault::Status(422), FaultKind::Refused),
        (Fault::Status(401), FaultKind::Unauthorised),
        (Fault::TooFast(Some(0)), FaultKind::Transient),
        (Fault::Html(200), FaultKind::Transient),
        (Fault::Reset, FaultKind::Transient),
    ];
    for (fault, kind) in kinds {
        let fake = fake();
        fake.fault(At::create(), fault.clone(), ALWAYS);
        let made = reader().open(&fake).create(&shelf(&fake, 2), &new_entry("ada")).await;
        assert_eq!(made.expect_err("refused").kind, kind, "{fault:?}");
        assert_eq!(fake.count(Place::Create), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn without_the_category_nothing_is_made() {
    let (fake, _) = fake_of(Product::ItGlue, 1);
    fake.password_category(6, "Active Directory (old)");
    let refused =
        reader().open(&fake).create(&shelf(&fake, 2), &new_entry("ada")).await.expect_err("no such");
    assert_eq!(refused.kind, FaultKind::Refused);
    assert_eq!(refused.what, "IT Glue has no password category `Active Directory`");
    assert!(refused.hint.expect("a hint").contains("`passwordCategories`"));
    // One that is on no page that came is not known to be absent.
    for number in 10..60 {
        fake.password_category(number, &format!("Category {number}"));
    }
    fake.password_category(99, "Active Directory");
    fake.set(|wrong| wrong.page_cap = Some(25));
    for fault in [Fault::CutBody, Fault::Html(200), Fault::Null] {
        fake.fault(At::categories().page(2), fault.clone(), ALWAYS);
        let unread = impatient().open(&fake).create(&shelf(&fake, 2), &new_entry("ada")).await;
        assert!(!unread.expect_err("not read").what.contains("has no password category"), "{fault:?}");
        fake.clear_faults();
    }
    assert_eq!(fake.count(Place::Create), 0);
    reader().open(&fake).create(&shelf(&fake, 2), &new_entry("ada")).await.expect("made, by the last page");
}

#[tokio::test]
async fn a_key_that_may_not_see_passwords_says_so_where_it_matters() {
    let fake = fake();
    fake.set(|wrong| wrong.hides_passwords = true);
    let port = reader().open(&fake);
    let made = port.create(&shelf(&fake, 2), &new_entry("ada")).await.expect_err("hidden");
    assert_eq!(made.kind, FaultKind::Unauthorised);
    assert!(made.hint.expect("a hint").contains("`missingAs`"));
    let found = port.find(&shelf(&fake, 2), &new_entry("ada")).await.expect_err("hidden");
    assert_eq!(found.kind, FaultKind::Unauthorised);
    assert_eq!(fake.count(Place::Create), 0);
}

#[tokio::test]
async fn an_organisation_that_cannot_be_gets_into_no_address() {
    let fake = fake();
    let port = reader().open(&fake);
    for odd in ["", "2 or id>0", "../3", "2,3", "2/passwords?x="] {
        let mut shelf = shelf(&fake, 2);
        shelf.organization = Text::from(odd);
        port.find(&shelf, &new_entry("ada")).await.expect_err(odd);
        port.create(&shelf, &new_entry("ada")).await.expect_err(odd);
    }
    assert_eq!(fake.requests().len(), 0);
}
