//! Contacts from a technician's side: the program, a tree, and the stand-in of each documentation system.

use std::fs;

use intake::model::contact::Product;
use serde_json::{Value, json};

use crate::documentation::fake::{
    ALWAYS, At, DocumentationFake, Fault, KEY, LAYOUT, PRIVATE_KEY, PUBLIC_KEY, Place,
};
use crate::support::intake::Installation;

/// The customer's organisation.
const ORGANIZATION: u64 = 2;

/// An installation whose customer `contoso` has some people, documented in these systems.
struct Desk {
    here: Installation,
    document: String,
}

impl Desk {
    fn new(systems: &[(&str, &DocumentationFake)], people: &[u32]) -> Self {
        let connections: String = systems.iter().map(|(name, fake)| fake.operator_connection(name)).collect();
        Self::with(&connections, systems, people)
    }

    /// Makes one with other connections in the operator's file than those that systems have by default.
    fn with(connections: &str, systems: &[(&str, &DocumentationFake)], people: &[u32]) -> Self {
        let mut here = Installation::new();
        here.policy(&["contoso"]);
        here.customer_of_files("contoso", people);
        for (name, value) in [
            ("DOCUMENTATION_KEY", KEY),
            ("DOCUMENTATION_PUBLIC_KEY", PUBLIC_KEY),
            ("DOCUMENTATION_PRIVATE_KEY", PRIVATE_KEY),
        ] {
            here.environment(name, value);
        }
        here.operator(&format!("connections:\n{connections}"));
        let document = fs::read_to_string(here.tree().join("contoso.yaml")).expect("the document");
        let places: Vec<String> = systems.iter().map(|(name, fake)| place(name, fake.product())).collect();
        let desk = Self { here, document: format!("{document}  documentation: [{}]\n", places.join(", ")) };
        desk.commit("");
        desk
    }

    /// Writes the customer's document with more lines below `spec`.
    fn commit(&self, lines: &str) {
        self.here.write("contoso.yaml", &format!("{}{lines}", self.document));
    }

    /// Does a round, which nothing in a documentation system may make fail.
    fn round(&self) {
        self.here.run(&["run", "--once"]).expect(0);
    }

    fn text(&self, arguments: &[&str]) -> String {
        self.here.run(&[&["matches"], arguments].concat()).expect(0).stdout
    }

    fn matches(&self) -> Vec<Value> {
        self.here.json(&["matches"], 0)["matches"].as_array().expect("a list").clone()
    }

    /// Says how somebody stands in a system: status, key, contact.
    fn stands(&self, person: &str, system: &str) -> String {
        let all = self.matches();
        let found = all
            .iter()
            .find(|found| found["system"] == system && found["account"] == format!("{person}@contoso.test"));
        let Some(found) = found else { return "nowhere".to_owned() };
        let word = |key: &str| found[key].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", word("status"), word("matchedBy"), word("contact"))
    }

    fn events_about_contacts(&self) -> Vec<String> {
        let events = self.here.events();
        let kinds = events.iter().filter_map(|event| event["kind"].as_str());
        kinds.filter(|kind| kind.starts_with("contact.")).map(str::to_owned).collect()
    }
}

/// The customer's place in a system.
fn place(name: &str, product: Product) -> String {
    match product {
        Product::ItGlue => format!("{{connection: {name}, organizationId: \"{ORGANIZATION}\"}}"),
        Product::ConnectWise => format!("{{connection: {name}, companyId: {ORGANIZATION}}}"),
        Product::Hudu => {
            format!("{{connection: {name}, companyId: {ORGANIZATION}, assetLayoutId: {LAYOUT}}}")
        }
    }
}

fn fake_of(product: Product) -> DocumentationFake {
    let fake = DocumentationFake::start(product);
    fake.company(ORGANIZATION, "Contoso").company(3, "Fabrikam");
    fake
}

/// The story for which all of this is made: import, two contacts with one address, the choice by commit; and
/// once more, where the duplicate is deleted at its source.
fn story(product: Product) {
    let fake = fake_of(product);
    let first = fake.person(ORGANIZATION, "Person", "One", &["person1@contoso.test"]);
    let second = fake.person(ORGANIZATION, "P.", "One", &["p.one@contoso.test", "PERSON1@contoso.test"]);
    let other = fake.person(ORGANIZATION, "Person", "Two", &["person2@contoso.test"]);
    fake.person(3, "Person", "Three", &["person3@contoso.test"]);
    let desk = Desk::new(&[("docs", &fake)], &[1, 2, 3]);
    desk.round();
    assert_eq!(desk.here.names("contoso", "active").len(), 3, "the import is done whatever is ambiguous");
    assert_eq!(desk.stands("person1", "docs"), "ambiguous - -");
    assert_eq!(desk.stands("person2", "docs"), format!("matched address {other}"));
    assert_eq!(desk.stands("person3", "docs"), "unmatched - -", "another organisation's");

    let shown = desk.text(&["--status", "ambiguous"]);
    assert!(shown.contains("2 contacts have the address person1@contoso.test"), "{shown}");
    assert!(!shown.contains("person2@"), "{shown}");
    let choices: Vec<&str> =
        shown.lines().filter_map(|line| line.split_once("to choose it: ")).map(|(_, line)| line).collect();
    assert_eq!(
        choices,
        [first, second].map(|id| format!("- {{account: person1@contoso.test, system: docs, id: \"{id}\"}}"))
    );
    desk.commit(&format!("  matches:\n    {}\n", choices[1]));
    desk.round();
    assert_eq!(desk.stands("person1", "docs"), format!("matched choice {second}"));
    let events = desk.here.events();
    desk.round();
    assert_eq!(desk.here.events(), events, "a second run writes nothing");
    desk.here.expect_whole();
    // Whoever chose wants no other.
    fake.remove(second);
    desk.round();
    assert_eq!(desk.stands("person1", "docs"), "failed - -");
    assert!(desk.text(&["--status", "failed"]).contains(&format!("`matches` chooses {second}")));
    assert_eq!(
        desk.events_about_contacts(),
        ["contact.ambiguous", "contact.matched", "contact.unmatched", "contact.matched", "contact.failed"]
    );

    let fresh = Desk { here: desk.here.elsewhere(), document: desk.document.clone() };
    fs::copy(desk.here.folder().join("operator.yaml"), fresh.here.folder().join("operator.yaml"))
        .expect("copied");
    fresh.here.operator(&format!("connections:\n{}", fake.operator_connection("docs")));
    fresh.commit("");
    let again = fake.person(ORGANIZATION, "P.", "One", &["person1@contoso.test"]);
    fresh.round();
    assert_eq!(fresh.stands("person1", "docs"), "ambiguous - -");
    fake.remove(again);
    fresh.round();
    assert_eq!(fresh.stands("person1", "docs"), format!("matched address {first}"), "without anybody's help");
}

#[test]
fn it_glue_two_contacts_one_address_and_the_choice() {
    story(Product::ItGlue);
}

#[test]
fn connect_wise_two_contacts_one_address_and_the_choice() {
    story(Product::ConnectWise);
}

#[test]
fn hudu_two_contacts_one_address_and_the_choice() {
    story(Product::Hudu);
}

#[test]
fn choices_that_cannot_be_followed_are_findings_until_they_are_taken_back() {
    let fake = fake_of(Product::ItGlue);
    let elsewhere = fake.person(3, "Person", "Two", &["person2@contoso.test"]);
    let archived = fake.person(ORGANIZATION, "Person", "Three", &["person3@contoso.test"]);
    let good = fake.person(ORGANIZATION, "P.", "Four", &["p.four@contoso.test"]);
    fake.change(archived, |one| one.is_archived = true);
    let desk = Desk::new(&[("docs", &fake)], &[1, 2, 3, 4]);
    let choice = |number: u32, id: &str| {
        format!("    - {{account: person{number}@contoso.test, system: docs, id: \"{id}\"}}\n")
    };
    let (nobody, elsewhere) = (choice(1, "424242"), choice(2, &elsewhere.to_string()));
    let (archived, good) = (choice(3, &archived.to_string()), choice(4, &good.to_string()));
    desk.commit(&format!("  matches:\n{nobody}{elsewhere}{archived}{good}"));
    let findings = || {
        let plan = desk.here.json(&["plan"], 0);
        let customer = &plan["customers"][0];
        assert!(customer["operations"].as_array().is_some_and(Vec::is_empty), "{customer:#}");
        let all = customer["findings"].as_array().expect("a list").clone();
        let told = all.iter().filter(|finding| finding["code"] == "choice-not-followed").map(|finding| {
            assert_eq!(finding["severity"], "warning");
            let word = |name: &str| finding[name].as_str().expect("text").to_owned();
            (word("subject"), word("message"))
        });
        told.collect::<Vec<_>>()
    };
    desk.round();
    let told = findings();
    let subjects: Vec<&str> = told.iter().map(|(subject, _)| subject.as_str()).collect();
    assert_eq!(subjects, [1, 2, 3].map(|number| format!("matches: person{number}@contoso.test")));
    let gone = "was deleted, or belongs to another organisation; no other contact is taken for person";
    assert!(
        told[0].1.starts_with("in docs: `matches` chooses 424242, ") && told[0].1.contains(gone),
        "{told:?}"
    );
    assert!(told[1].1.contains(gone), "{told:?}");
    assert!(told[2].1.contains("(Person Three), which is archived; no other contact"), "{told:?}");
    assert_eq!(desk.stands("person4", "docs").split(' ').take(2).collect::<Vec<_>>(), ["matched", "choice"]);
    let text = desk.here.run(&["plan"]).expect(0).stdout;
    assert_eq!(text.matches("choice-not-followed").count(), 3, "{text}");
    let comment = desk.here.run(&["plan", "--format", "markdown"]).expect(0).stdout;
    assert_eq!(comment.matches("choice-not-followed").count(), 3, "{comment}");
    let redacted = desk.here.run(&["plan", "--format", "json", "--redact"]).expect(0).stdout;
    assert!(redacted.contains("choice-not-followed") && !redacted.contains("Person Three"), "{redacted}");
    // They hold nothing, and a second look writes nothing.
    let events = desk.here.events();
    desk.round();
    assert_eq!((desk.here.events(), findings()), (events, told));
    // Taken back, or made otherwise: gone before anybody looks again.
    desk.commit(&format!("  matches:\n{}{archived}{good}", choice(2, "424242")));
    let told = findings();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, "matches: person3@contoso.test");
    // Followed by now, as nothing is wrong with it any more; and another one that was wrong from the start.
    let id = fake.everybody().iter().find(|one| one.is_archived).expect("somebody").id;
    fake.change(id, |one| one.is_archived = false);
    desk.round();
    let told = findings();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, "matches: person2@contoso.test");
    desk.commit("");
    assert!(findings().is_empty());
}

#[test]
fn status_says_whose_contacts_wait_for_a_person_and_which_system_cannot_be_read() {
    let (glue, hudu) = (fake_of(Product::ItGlue), fake_of(Product::Hudu));
    let ambiguous = glue.person(ORGANIZATION, "Person", "One", &["person1@contoso.test"]);
    glue.person(ORGANIZATION, "P.", "One", &["person1@contoso.test"]);
    glue.person(ORGANIZATION, "Person", "Two", &["person2@contoso.test"]);
    let there = hudu.person(ORGANIZATION, "Person", "One", &["person1@contoso.test"]);
    let desk = Desk::new(&[("glue", &glue), ("hudu", &hudu)], &[1, 2, 3, 4]);
    let status = |arguments: &[&str]| desk.here.run(&[&["status"], arguments].concat()).expect(0).stdout;
    let of = |system: &str| {
        let form = desk.here.json(&["status"], 0);
        let all = form["customers"][0]["documentation"].as_array().expect("a list").clone();
        all.into_iter().find(|one| one["system"] == system).expect("the system")
    };
    let counts = |form: &Value| {
        ["matched", "unmatched", "ambiguous", "failed"].map(|word| form[word].as_u64().expect("a number"))
    };
    assert!(!status(&[]).contains("matches"), "nobody was looked for yet");
    desk.commit("  matches:\n    - {account: person3@contoso.test, system: glue, id: \"424242\"}\n");
    hudu.fault(At::contacts(), Fault::Html(403), ALWAYS);
    desk.round();
    let shown = status(&[]);
    let glue_line =
        "contoso in glue: 1 ambiguous, 1 failed; `intake matches --customer contoso` lists them.\n";
    assert!(shown.contains(glue_line), "{shown}");
    let hudu_line = shown.lines().find(|line| line.starts_with("contoso in hudu: ")).expect("a line");
    assert!(
        hudu_line.starts_with("contoso in hudu: 4 failed; never looked into yet (GET http"),
        "{hudu_line}"
    );
    assert!(hudu_line.ends_with("); `intake matches --customer contoso` lists them."), "{hudu_line}");
    assert_eq!(counts(&of("glue")), [1, 1, 1, 1]);
    assert!(of("glue")["fault"].is_null() && of("glue")["lastSuccess"].is_string());
    assert_eq!(counts(&of("hudu")), [0, 0, 0, 4], "as `matches` has it: nobody knows");
    assert!(of("hudu")["fault"].as_str().is_some_and(|fault| fault.contains("403")));
    assert!(of("hudu")["lastSuccess"].is_null());
    // A system that was read once and is away now keeps what was known, and says since when.
    hudu.clear_faults();
    desk.round();
    hudu.fault(At::contacts(), Fault::Html(403), ALWAYS);
    desk.round();
    let shown = status(&["--customer", "contoso"]);
    assert!(shown.contains("contoso in hudu: last looked into at 20"), "{shown}");
    assert_eq!(counts(&of("hudu")), [1, 3, 0, 0]);
    assert_eq!(desk.stands("person1", "hudu"), format!("matched address {there}"));
    // Where nothing is wrong, nothing is said; who has no contact is no news.
    hudu.clear_faults();
    glue.remove(ambiguous);
    desk.commit("");
    desk.round();
    assert!(!status(&[]).contains(" in glue: ") && !status(&[]).contains(" in hudu: "), "{}", status(&[]));
    assert_eq!(counts(&of("glue")), [2, 2, 0, 0]);
}

#[test]
fn an_outage_of_one_system_leaves_the_others_and_what_was_known_alone() {
    let (glue, psa) = (fake_of(Product::ItGlue), fake_of(Product::ConnectWise));
    let contact = glue.person(ORGANIZATION, "Person", "One", &["person1@contoso.test"]);
    let linked = psa.person(ORGANIZATION, "Person", "One", &["person1@contoso.test"]);
    let desk = Desk::new(&[("glue", &glue), ("psa", &psa)], &[1]);
    glue.fault(At::contacts(), Fault::Html(403), ALWAYS);
    desk.round();
    assert_eq!(desk.stands("person1", "psa"), format!("matched address {linked}"));
    assert_eq!(desk.stands("person1", "glue"), "failed - -");
    let shown = desk.text(&["--system", "glue"]);
    assert!(shown.contains("never looked into yet") && shown.contains("403"), "{shown}");
    glue.clear_faults();
    desk.round();
    assert_eq!(desk.stands("person1", "glue"), format!("matched address {contact}"));
    // Cut in the middle of a listing, and a key that sees less: nobody loses anything.
    let events = desk.here.events();
    glue.fault(At::contacts(), Fault::CutBody, ALWAYS);
    desk.round();
    glue.clear_faults();
    glue.remove_company(ORGANIZATION);
    desk.round();
    assert_eq!(desk.stands("person1", "glue"), format!("matched address {contact}"));
    let shown = desk.text(&["--system", "glue"]);
    assert!(
        shown.contains("source-shrunk: the key of `glue` does not see organisation 2 any more"),
        "{shown}"
    );
    assert_eq!(desk.here.events(), events);
}

#[test]
fn an_organisation_that_was_never_there_is_told_apart_from_one_that_vanished() {
    let fake = DocumentationFake::it_glue();
    fake.company(3, "Fabrikam");
    let desk = Desk::new(&[("glue", &fake)], &[1]);
    desk.round();
    let shown = desk.text(&[]);
    assert!(shown.contains("organization-not-found: the key of `glue` sees no organisation 2"), "{shown}");
    assert!(shown.contains("1 failed"), "{shown}");
}

#[test]
fn a_missing_contact_is_shown_made_once_and_not_again() {
    for product in Product::ALL {
        let fake = fake_of(product);
        let desk = Desk::new(&[("docs", &fake)], &[1, 2]);
        fake.person(ORGANIZATION, "Person", "Two", &["person2@contoso.test"]);
        let option = "  options: {endUsers: {documentation: {createMissing: true}}}\n";
        desk.commit(option);
        let plan = desk.here.run(&["plan"]).expect(0).stdout;
        let line =
            "+ contact in docs for person1@contoso.test, person1@contoso.test: none fits (createMissing)";
        assert!(plan.contains(line), "{plan}");
        assert_eq!(fake.everybody().len(), 1, "a plan makes nothing");
        desk.round();
        let made = made_for_person1(&fake);
        desk.round();
        assert_eq!(desk.stands("person1", "docs"), format!("matched address {made}"), "{}", product.name());
        let plan = desk.here.json(&["plan"], 0);
        assert!(plan["customers"][0]["missingContacts"].is_null(), "{plan:#}");
        // Somebody deletes it: that is their choice.
        fake.remove(made);
        desk.round();
        desk.round();
        assert_eq!(desk.stands("person1", "docs"), "unmatched - -");
        assert_eq!(fake.everybody().len(), 1, "{}", product.name());
        assert!(desk.text(&["--status", "unmatched"]).contains("is made once only"));
    }
}

#[test]
fn a_missing_password_entry_is_shown_made_once_matched_by_username_and_not_made_again() {
    let fake = fake_of(Product::ItGlue);
    fake.password_category(7, "Active Directory");
    fake.person(ORGANIZATION, "Person", "Two", &["person2@contoso.test"]);
    // An entry of another organisation is nobody's here.
    fake.password(3, "Person One", "person1@contoso.test", "Active Directory");
    let connection = format!(
        "{}      passwordCategories: [active directory, Microsoft 365]\n      missingAs: passwordEntry\n",
        fake.operator_connection("docs")
    );
    let desk = Desk::with(&connection, &[("docs", &fake)], &[1, 2]);
    desk.commit("  options: {endUsers: {documentation: {createMissing: true}}}\n");
    let plan = desk.here.run(&["plan"]).expect(0).stdout;
    let line =
        "+ password entry in docs for person1@contoso.test, person1@contoso.test: none fits (createMissing)";
    assert!(plan.contains(line), "{plan}");
    let missing = desk.here.json(&["plan"], 0)["customers"][0]["missingContacts"].clone();
    assert_eq!(missing.as_array().map(Vec::len), Some(1), "person 2 has a contact: {missing:#}");
    assert_eq!(
        [&missing[0]["kind"], &missing[0]["username"], &missing[0]["address"], &missing[0]["system"]],
        [&json!("passwordEntry"), &json!("person1@contoso.test"), &Value::Null, &json!("docs")]
    );
    let comment = desk.here.run(&["plan", "--format", "markdown"]).expect(0).stdout;
    assert!(comment.contains("1 missing password entry would be made in "), "{comment}");
    let redacted = desk.here.run(&["plan", "--format", "json", "--redact"]).expect(0).stdout;
    assert!(redacted.contains("missingContacts") && !redacted.contains("person1"), "{redacted}");
    assert_eq!(fake.passwords().len(), 1, "a plan makes nothing");

    // The first answer is lost: the entry is there all the same, and is made once.
    fake.fault(At::create(), Fault::LostAnswer, 1);
    desk.round();
    let shown = desk.text(&["--status", "failed"]);
    assert!(
        shown.contains("its contact or password entry could not be made (1 attempt, tried again)"),
        "{shown}"
    );
    let made = fake.passwords().pop().expect("an entry");
    assert_eq!((made.company, made.category.as_deref()), (ORGANIZATION, Some("Active Directory")));
    assert_eq!(made.username.as_deref(), Some("person1@contoso.test"));
    assert!(made.notes.is_some_and(|notes| notes.starts_with("By Intake: ")));
    desk.round();
    assert_eq!(desk.stands("person1", "docs"), format!("matched username password/{}", made.id));
    assert_eq!(fake.passwords().len(), 2);
    assert_eq!(fake.everybody().len(), 1, "and no contact");
    let (events, writes) = (desk.here.events(), fake.count(Place::Create));
    desk.round();
    assert_eq!(
        (desk.here.events(), fake.count(Place::Create)),
        (events, writes),
        "a second run writes nothing"
    );
    assert!(desk.here.json(&["plan"], 0)["customers"][0]["missingContacts"].is_null());
    // Somebody deletes it: that is their choice.
    fake.remove_password(made.id);
    desk.round();
    desk.round();
    assert_eq!(desk.stands("person1", "docs"), "unmatched - -");
    assert_eq!(fake.passwords().len(), 1);
    assert!(desk.text(&["--status", "unmatched"]).contains("is made once only"));
    desk.here.expect_whole();
}

#[test]
fn an_entry_whose_category_is_not_there_is_told_of_and_not_made() {
    let fake = fake_of(Product::ItGlue);
    let connection = format!(
        "{}      passwordCategories: [Active Directory]\n      missingAs: passwordEntry\n",
        fake.operator_connection("docs")
    );
    let desk = Desk::with(&connection, &[("docs", &fake)], &[1]);
    desk.commit("  options: {endUsers: {documentation: {createMissing: true}}}\n");
    desk.round();
    let shown = desk.text(&["--status", "failed"]);
    assert!(shown.contains("IT Glue has no password category `Active Directory`"), "{shown}");
    assert!(shown.contains("put another one first in `passwordCategories`"), "{shown}");
    assert!(fake.passwords().is_empty() && fake.everybody().is_empty());
}

/// Returns the one contact that was made.
fn made_for_person1(fake: &DocumentationFake) -> u64 {
    let everybody = fake.everybody();
    let is_made = |mails: &[String]| mails.iter().any(|mail| mail == "person1@contoso.test");
    let made: Vec<u64> = everybody.iter().filter(|one| is_made(&one.emails)).map(|one| one.id).collect();
    assert_eq!(made.len(), 1, "{everybody:?}");
    made[0]
}

#[test]
fn a_contact_whose_making_was_not_answered_is_there_once_and_what_is_refused_is_told() {
    let fake = fake_of(Product::ConnectWise);
    let desk = Desk::new(&[("docs", &fake)], &[1, 2]);
    desk.commit("  options: {endUsers: {documentation: {createMissing: true}}}\n");
    fake.fault(At::create(), Fault::LostAnswer, 1);
    fake.fault(At::create(), Fault::Status(400), ALWAYS);
    desk.round();
    let shown = desk.text(&["--status", "failed"]);
    assert_eq!(
        shown.matches("its contact or password entry could not be made (1 attempt, tried again)").count(),
        2,
        "{shown}"
    );
    // It was made all the same, and is found by its address.
    assert_eq!(fake.everybody().len(), 1);
    desk.round();
    let matched = desk.matches().iter().filter(|found| found["status"] == "matched").count();
    assert_eq!(matched, 1);
    assert_eq!(fake.everybody().len(), 1);
}

#[test]
fn what_the_document_does_not_name_any_more_is_forgotten_and_who_returns_has_their_contact() {
    let fake = fake_of(Product::ItGlue);
    let first = fake.person(ORGANIZATION, "Person", "One", &["person1@contoso.test"]);
    let desk = Desk::new(&[("docs", &fake)], &[1, 2, 3, 4, 5]);
    desk.round();
    // Somebody leaves, and comes back after the address changed in the system.
    desk.here.people("contoso", &[2, 3, 4, 5]);
    desk.round();
    assert_eq!(desk.here.names("contoso", "removed").len(), 1);
    assert_eq!(desk.stands("person1", "docs"), "nowhere", "removed accounts are not listed");
    fake.change(first, |one| one.emails = vec!["other@contoso.test".to_owned()]);
    desk.here.people("contoso", &[1, 2, 3, 4, 5]);
    desk.round();
    assert_eq!(desk.stands("person1", "docs"), format!("matched address {first}"));
    let document = desk.document.split("  documentation:").next().expect("a document").to_owned();
    desk.here.write("contoso.yaml", &document);
    desk.round();
    assert!(desk.matches().is_empty(), "{:?}", desk.matches());
    assert_eq!(desk.events_about_contacts().iter().filter(|kind| *kind == "contact.forgotten").count(), 5);
    let events = desk.here.events();
    desk.round();
    assert_eq!(desk.here.events(), events);
}

#[test]
fn a_document_that_breaks_and_a_listing_that_shrinks_take_no_contact_away() {
    let fake = fake_of(Product::Hudu);
    let people: Vec<u64> = (1..=6)
        .map(|number| fake.person(ORGANIZATION, "Person", "X", &[&format!("person{number}@contoso.test")]))
        .collect();
    let desk = Desk::new(&[("docs", &fake)], &[1, 2, 3, 4, 5, 6]);
    desk.round();
    let events = desk.here.events();
    assert_eq!(desk.events_about_contacts().len(), 6);
    // Half of the document cannot be read: what it does not say any more was not taken back.
    desk.here.write("contoso.yaml", &desk.document.replace("  directories:", "  directories: ]"));
    desk.here.run(&["run", "--once"]).expect(1);
    assert_eq!(desk.here.events(), events);
    desk.commit("");
    desk.round();
    assert_eq!(desk.here.events(), events);
    // Another asset layout, or a key that sees less, is a whole listing, too.
    for id in &people[1..] {
        fake.change(*id, |one| one.layout = 77);
    }
    desk.round();
    assert_eq!(desk.here.events(), events);
    assert_eq!(desk.stands("person6", "docs"), format!("matched address {}", people[5]));
    let shown = desk.text(&[]);
    assert!(shown.contains("source-shrunk: 5 of 6 linked contacts are not listed any more"), "{shown}");
    // Few go as they are listed.
    for id in &people[1..5] {
        fake.change(*id, |one| one.layout = LAYOUT);
    }
    desk.round();
    assert_eq!(desk.stands("person6", "docs"), "unmatched - -");
    assert_eq!(desk.stands("person5", "docs"), format!("matched address {}", people[4]));
}

#[test]
fn a_missing_contact_is_not_made_before_the_system_that_may_know_better_was_read() {
    let (glue, psa) = (fake_of(Product::ItGlue), fake_of(Product::ConnectWise));
    let linked = psa.person(ORGANIZATION, "Person", "One", &["person1@contoso.test"]);
    let known = glue.person(ORGANIZATION, "Another", "Name", &["else@contoso.test"]);
    glue.change(known, |one| one.psa_id = Some(linked));
    let desk = Desk::new(&[("glue", &glue), ("psa", &psa)], &[1]);
    desk.commit("  options: {endUsers: {documentation: {createMissing: true}}}\n");
    let plan = desk.here.json(&["plan"], 0);
    assert!(plan["customers"][0]["missingContacts"].is_null(), "a plan follows links, too: {plan:#}");
    psa.fault(At::contacts(), Fault::Status(500), ALWAYS);
    let plan = desk.here.json(&["plan", "--max-wait", "1s"], 0);
    assert!(plan["customers"][0]["missingContacts"].is_null(), "{plan:#}");
    desk.round();
    assert_eq!(desk.stands("person1", "glue"), "unmatched - -");
    assert_eq!(glue.everybody().len(), 1);
    psa.clear_faults();
    desk.round();
    assert_eq!(desk.stands("person1", "psa"), format!("matched address {linked}"));
    assert_eq!(desk.stands("person1", "glue"), format!("matched crossLink {known}"));
    assert_eq!(glue.everybody().len(), 1);
}

#[test]
fn what_was_asked_for_in_the_wrong_organisation_or_is_not_wanted_any_more_is_not_made() {
    let fake = fake_of(Product::ItGlue);
    let desk = Desk::new(&[("docs", &fake)], &[1]);
    let create = "  options: {endUsers: {documentation: {createMissing: true}}}\n";
    let wrong = desk.document.replace("organizationId: \"2\"", "organizationId: \"3\"");
    fake.fault(At::create(), Fault::Status(500), 1);
    desk.here.write("contoso.yaml", &format!("{wrong}{create}"));
    desk.round();
    assert!(desk.text(&["--status", "failed"]).contains("could not be made"), "asked for in organisation 3");
    // Corrected: it is asked for there, and made; the old one is void when its time comes.
    desk.commit(create);
    desk.round();
    let made = fake.everybody();
    let places: Vec<Option<u64>> = made.iter().map(|one| one.company).collect();
    assert_eq!(places, [Some(ORGANIZATION)]);
    desk.round();
    assert_eq!(desk.stands("person1", "docs"), format!("matched address {}", made[0].id));
}

#[test]
fn a_suspended_customer_is_not_looked_for_and_accounts_may_be_left_out() {
    let fake = fake_of(Product::ItGlue);
    fake.person(ORGANIZATION, "Person", "One", &["person1@contoso.test"]);
    let desk = Desk::new(&[("docs", &fake)], &[1]);
    desk.commit("  options: {endUsers: {documentation: {match: false}}}\n");
    desk.round();
    assert!(desk.events_about_contacts().is_empty());
    desk.commit("  suspend: true\n");
    desk.round();
    assert!(desk.events_about_contacts().is_empty());
    desk.commit("");
    desk.round();
    assert_eq!(desk.events_about_contacts(), ["contact.matched"]);
    desk.commit("  options: {endUsers: {documentation: {match: false}}}\n");
    desk.round();
    assert_eq!(desk.events_about_contacts(), ["contact.matched", "contact.forgotten"]);
}

#[test]
fn what_was_asked_for_is_not_made_while_the_document_suspends_the_customer() {
    let fake = fake_of(Product::ItGlue);
    let desk = Desk::new(&[("docs", &fake)], &[1]);
    let create = "  options: {endUsers: {documentation: {createMissing: true}}}\n";
    fake.fault(At::create(), Fault::Status(500), 1);
    desk.commit(create);
    desk.round();
    desk.commit(&format!("{create}  suspend: true\n"));
    desk.here.sql("UPDATE outbox SET next_attempt = 0");
    desk.round();
    assert!(fake.everybody().is_empty());
    desk.commit(create);
    desk.here.sql("UPDATE outbox SET next_attempt = 0");
    desk.round();
    made_for_person1(&fake);
}

#[test]
fn however_many_customers_share_a_key_it_is_swept_once() {
    let fake = fake_of(Product::ItGlue);
    let desk = Desk::new(&[("docs", &fake)], &[1]);
    desk.round();
    let alone = fake.count(Place::Contacts) + fake.count(Place::Companies);
    let names: Vec<String> = (0..12).map(|number| format!("customer{number}")).collect();
    for (number, name) in (10..).zip(&names) {
        fake.company(number, name);
        desk.here.customer_of_files(name, &[1]);
        let document = fs::read_to_string(desk.here.tree().join(format!("{name}.yaml"))).expect("a document");
        let place = format!("  documentation: [{{connection: docs, organizationId: \"{number}\"}}]\n");
        desk.here.write(&format!("{name}.yaml"), &format!("{document}{place}"));
        fake.person(number, "Person", "One", &["person1@contoso.test"]);
    }
    let all: Vec<&str> = names.iter().map(String::as_str).chain(["contoso"]).collect();
    desk.here.policy(&all);
    fake.forget_requests();
    desk.round();
    let matched = desk.matches().iter().filter(|found| found["status"] == "matched").count();
    assert_eq!(matched, 12);
    assert_eq!(fake.count(Place::Contacts) + fake.count(Place::Companies), alone);
}

#[test]
fn a_controller_looks_for_contacts_soon_after_a_turn() {
    let fake = fake_of(Product::ConnectWise);
    let contact = fake.person(ORGANIZATION, "Person", "One", &["person1@contoso.test"]);
    let desk = Desk::new(&[("docs", &fake)], &[1]);
    let mut running = desk.here.start(&["run"]);
    running.logs("turn ended");
    let deadline = std::time::Instant::now() + crate::support::intake::PATIENCE;
    while desk.stands("person1", "docs") == "nowhere" {
        assert!(std::time::Instant::now() < deadline, "{}", running.log());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(desk.stands("person1", "docs"), format!("matched address {contact}"));
    running.signal("TERM");
    let run = running.end();
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn customers_are_imported_by_every_product_and_a_second_run_keeps_what_people_wrote() {
    for (product, word) in
        [(Product::ItGlue, "itglue"), (Product::ConnectWise, "connectwise"), (Product::Hudu, "hudu")]
    {
        let fake = DocumentationFake::start(product);
        fake.company(2, "Contoso \"Ltd\"").company(3, "Fabrikam").company(4, "Fabrikam!").company(5, "Old");
        fake.change_company(5, |one| one.is_archived = true);
        fake.company(6, "The Provider");
        fake.change_company(6, |one| one.is_primary = true);
        let desk = Desk::new(&[("docs", &fake)], &[1]);
        fs::remove_file(desk.here.tree().join("contoso.yaml")).expect("removed");
        fs::remove_file(desk.here.tree().join("staff.yaml")).expect("removed");
        let layout = LAYOUT.to_string();
        let mut typed = vec!["customers", "import", "--from", word];
        if product == Product::Hudu {
            desk.here.run(&typed).expect(1);
            typed.extend(["--asset-layout", &layout]);
        }
        let printed = desk.here.run(&typed).expect(0).stdout;
        // IT Glue alone tells which organisation is the provider, and has no archive; the others the reverse.
        let left_out = if product == Product::ItGlue { "the-provider" } else { "old" };
        assert_eq!(printed.matches("kind: Customer").count(), 4, "{printed}");
        assert!(!printed.contains(&format!("name: {left_out}")), "{printed}");
        assert!(
            fs::read_dir(desk.here.tree())
                .expect("a folder")
                .all(|entry| { entry.expect("an entry").file_name() != "customers" })
        );
        typed.push("--write");
        desk.here.run(&typed).expect(0);
        let file = |name: &str| desk.here.tree().join("customers").join(format!("{name}.yaml"));
        for name in ["contoso-ltd", "fabrikam-3", "fabrikam-4"] {
            assert!(file(name).is_file(), "{} {name}", product.name());
        }
        desk.here.run(&["validate"]).expect(0);
        // A person writes a name of their own and a comment; the others follow.
        let own = fs::read_to_string(file("fabrikam-3")).expect("a document");
        let own = own.replace("displayName: \"Fabrikam\"", "displayName: \"Fabrikam (main)\"") + "  # ours\n";
        fs::write(file("fabrikam-3"), &own).expect("written");
        fake.company(2, "Contoso AG").company(3, "Fabrikam AG").company(7, "Contoso Ltd");
        desk.here.run(&typed).expect(0);
        assert_eq!(fs::read_to_string(file("fabrikam-3")).expect("a document"), own);
        let renamed = fs::read_to_string(file("contoso-ltd")).expect("a document");
        assert!(renamed.contains("displayName: \"Contoso AG\" # from docs: \"Contoso AG\""), "{renamed}");
        assert!(file("contoso-ltd-7").is_file(), "another one of the first one's name");
        let before: Vec<_> = walk(&desk.here.tree().join("customers"));
        desk.here.run(&typed).expect(0);
        assert_eq!(walk(&desk.here.tree().join("customers")), before, "nothing changes by itself");
        fake.remove_company(4);
        let run = desk.here.run(&typed).expect(0);
        assert!(run.stderr.contains("source-shrunk") && run.stderr.contains("fabrikam-4"), "{}", run.stderr);
        fake.fault(At::companies(), Fault::CutBody, ALWAYS);
        desk.here.run(&[&typed[..], &["--max-wait", "1s"]].concat()).expect(1);
        assert_eq!(walk(&desk.here.tree().join("customers")), before);
    }
}

fn walk(folder: &std::path::Path) -> Vec<(std::path::PathBuf, String)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        entries.map(|path| (path.clone(), fs::read_to_string(path).expect("a file"))).collect();
    files.sort();
    files
}
