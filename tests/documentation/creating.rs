//! Contacts that are looked up and made, in all documentation systems: never twice.

use intake::model::contact::{NewContact, NewPerson, Product};
use intake::model::reading::FaultKind;
use intake::model::text::Text;

use super::contract::PRODUCTS;
use super::fake::{ALWAYS, At, Fault, Place};
use super::{
    IMPATIENT, MARK, PATIENT, Reader, complete, contacts, fake_of, new_contact, new_entry, new_person, shelf,
};

#[tokio::test]
async fn a_contact_is_found_by_its_mark_or_any_address_on_its_own_shelf_alone() {
    for product in PRODUCTS {
        let (fake, people) = fake_of(product, 30);
        fake.set(|wrong| wrong.has_fields = true);
        let port = Reader::new(PATIENT).open(&fake);
        let found = |address: &'static str| {
            let (port, shelf) = (&port, shelf(&fake, 2));
            async move {
                let found = port.find(&shelf, &new_contact(address)).await.expect("an answer");
                found.map(|contact| contact.id.parse::<u64>().expect("a number"))
            }
        };
        assert_eq!(found("ada@contoso.test").await, None, "{product:?}");
        assert_eq!(found("person7@contoso.test").await, Some(people[6]), "{product:?}");
        fake.change(people[6], |person| person.is_archived = true);
        assert_eq!(found("person7@contoso.test").await, Some(people[6]), "{product:?}: archived ones too");
        fake.change(people[8], |person| person.emails.push("Second@Contoso.test".to_owned()));
        assert_eq!(found("second@contoso.test").await, Some(people[8]), "{product:?}");

        fake.change(people[9], |person| person.notes = Some(format!("Made by Intake. {MARK}")));
        assert_eq!(found("ada@contoso.test").await, Some(people[9]), "{product:?}: by its mark");
        assert_eq!(found("person7@contoso.test").await, Some(people[9]), "{product:?}: the mark goes first");
        fake.change(people[9], |person| person.company = Some(3));
        assert_eq!(found("ada@contoso.test").await, None, "{product:?}: on another shelf");
    }
}

#[tokio::test]
async fn a_filter_that_is_ignored_finds_nobody_elsewhere() {
    for product in PRODUCTS {
        let (fake, people) = fake_of(product, 30);
        fake.set(|wrong| {
            wrong.ignored.extend([
                "filter[organization_id]",
                "company_id",
                "asset_layout_id",
                "archived",
                "conditions",
            ]);
        });
        let port = Reader::new(PATIENT).open(&fake);
        let elsewhere = port.find(&shelf(&fake, 3), &new_contact("person7@contoso.test")).await;
        assert_eq!(elsewhere.expect("an answer"), None, "{product:?}");
        let here = port.find(&shelf(&fake, 2), &new_contact("person1@contoso.test")).await;
        assert_eq!(here.expect("an answer").expect("a contact").id, people[0].to_string(), "{product:?}");
        // The sweep relies on no filter either.
        if product == Product::Hudu {
            fake.change(people[3], |person| person.layout = 6);
            let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
            assert_eq!(contacts(&catalogue, 2).len(), 29);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_looked_up_is_no_absence() {
    for product in PRODUCTS {
        for fault in [Fault::Html(200), Fault::Null, Fault::Status(500), Fault::CutBody, Fault::NoListing] {
            let (fake, _) = fake_of(product, 30);
            fake.set(|wrong| wrong.page_cap = Some(20));
            fake.fault(At::contacts().page(2), fault.clone(), ALWAYS);
            let port = Reader::new(IMPATIENT).open(&fake);
            let found = port.find(&shelf(&fake, 2), &new_contact("ada@contoso.test")).await;
            found.expect_err("a fault");
        }
    }
}

#[tokio::test]
async fn a_contact_that_is_made_is_found_again_and_read_as_it_was_sent() {
    for product in PRODUCTS {
        let (fake, _) = fake_of(product, 3);
        fake.set(|wrong| wrong.has_fields = true);
        let port = Reader::new(PATIENT).open(&fake);
        let contact = NewContact::Person(NewPerson {
            last_name: Text::from("O'Hara \"Bob\" <b>"),
            ..new_person("ada+x@contoso.test")
        });
        let id = port.create(&shelf(&fake, 2), &contact).await.expect("made");
        assert_eq!(fake.count(Place::Create), 1, "{product:?}");
        let found = port.find(&shelf(&fake, 2), &contact).await.expect("an answer").expect("a contact");
        assert_eq!(found.id, id, "{product:?}");
        assert_eq!(found.name, "Ada O'Hara \"Bob\" <b>", "{product:?}");
        assert_eq!(found.addresses, ["ada+x@contoso.test"], "{product:?}");
        let made = fake.everybody().pop().expect("somebody");
        assert!(made.notes.expect("notes").contains(MARK), "{product:?}");
        assert_eq!(made.company, Some(2));
        // Also where the address is changed afterwards.
        fake.change(id.parse().expect("a number"), |made| made.emails.clear());
        let found = port.find(&shelf(&fake, 2), &contact).await.expect("an answer").expect("a contact");
        assert_eq!(found.id, id, "{product:?}: by its mark");
    }
}

#[tokio::test]
async fn somebody_with_one_name_is_made_too() {
    for product in PRODUCTS {
        let (fake, _) = fake_of(product, 0);
        let contact =
            NewContact::Person(NewPerson { last_name: Text::default(), ..new_person("info@contoso.test") });
        let port = Reader::new(PATIENT).open(&fake);
        port.create(&shelf(&fake, 2), &contact).await.expect("made");
        let catalogue = complete(Reader::new(PATIENT).sweep(&fake, &[2]).await);
        assert_eq!(contacts(&catalogue, 2)[0].name, "Ada", "{product:?}");
    }
}

#[tokio::test]
async fn after_a_lost_answer_the_contact_is_found_and_made_once() {
    for product in PRODUCTS {
        let (fake, _) = fake_of(product, 3);
        fake.fault(At::create(), Fault::LostAnswer, 1);
        let (port, contact) = (Reader::new(PATIENT).open(&fake), new_contact("ada@contoso.test"));
        let lost = port.create(&shelf(&fake, 2), &contact).await.expect_err("no answer");
        assert_eq!(lost.kind, FaultKind::Transient, "{product:?}");
        assert_eq!(fake.count(Place::Create), 1, "{product:?}: and not tried again");
        let found = port.find(&shelf(&fake, 2), &contact).await.expect("an answer");
        assert!(found.is_some(), "{product:?}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_say_who_was_made_is_asked_about() {
    for product in PRODUCTS {
        let (fake, _) = fake_of(product, 3);
        fake.fault(At::create(), Fault::WithoutId, 1);
        let (port, contact) = (Reader::new(PATIENT).open(&fake), new_contact("ada@contoso.test"));
        let id = port.create(&shelf(&fake, 2), &contact).await.expect("made");
        assert_eq!(id, fake.everybody().pop().expect("somebody").id.to_string(), "{product:?}");
        assert_eq!(fake.count(Place::Create), 1, "{product:?}");
    }
}

#[tokio::test]
async fn an_answer_about_somebody_else_is_not_taken() {
    for product in PRODUCTS {
        let (fake, _) = fake_of(product, 3);
        fake.fault(At::create(), Fault::Another, 1);
        let port = Reader::new(PATIENT).open(&fake);
        let fault = port.create(&shelf(&fake, 2), &new_contact("ada@contoso.test")).await;
        assert_eq!(fault.expect_err("another").kind, FaultKind::Refused, "{product:?}");
    }
}

#[tokio::test]
async fn no_request_that_makes_somebody_is_sent_twice() {
    let kinds = [
        (Fault::Status(500), FaultKind::Transient),
        (Fault::Status(422), FaultKind::Refused),
        (Fault::Status(401), FaultKind::Unauthorised),
        (Fault::TooFast(Some(0)), FaultKind::Transient),
        (Fault::Html(200), FaultKind::Transient),
        (Fault::Reset, FaultKind::Transient),
    ];
    for product in PRODUCTS {
        for (fault, kind) in &kinds {
            let (fake, _) = fake_of(product, 1);
            fake.fault(At::create(), fault.clone(), ALWAYS);
            let port = Reader::new(PATIENT).open(&fake);
            let refused = port.create(&shelf(&fake, 2), &new_contact("ada@contoso.test")).await;
            assert_eq!(refused.expect_err("refused").kind, *kind, "{product:?} {fault:?}");
            assert_eq!(fake.count(Place::Create), 1, "{product:?} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_shelf_that_cannot_be_gets_into_no_address() {
    for product in PRODUCTS {
        let (fake, _) = fake_of(product, 1);
        let port = Reader::new(PATIENT).open(&fake);
        for odd in ["", "2 or id>0", "../3", "2,3", "2/contacts?x="] {
            let mut shelf = shelf(&fake, 2);
            shelf.organization = Text::from(odd);
            let contact = new_contact("ada@contoso.test");
            port.find(&shelf, &contact).await.expect_err(odd);
            port.create(&shelf, &contact).await.expect_err(odd);
        }
        assert_eq!(fake.requests().len(), 0, "{product:?}");
    }
}

#[tokio::test]
async fn a_system_whose_entries_are_not_read_is_asked_for_none() {
    for product in PRODUCTS.into_iter().filter(|product| *product != Product::ItGlue) {
        let (fake, _) = fake_of(product, 1);
        let port = Reader::new(PATIENT).open(&fake);
        let found = port.find(&shelf(&fake, 2), &new_entry("ada")).await.expect_err("no entries");
        let made = port.create(&shelf(&fake, 2), &new_entry("ada")).await.expect_err("no entries");
        assert_eq!([found.kind, made.kind], [FaultKind::Refused; 2], "{product:?}");
        assert_eq!(fake.requests().len(), 0, "{product:?}");
    }
}
