//! Pages without a browser: everything works by links and forms, and whatever is asked wrongly is told.

use super::{Reader, customer_of_names, started, without_tokens};
use crate::support::asking::Answer;
use crate::support::intake::until;

/// Expects an error as a page, without anything from inside.
fn expect_error(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.headers["content-type"].starts_with("text/html"), "{answer:?}");
    assert!(answer.body.contains(words) && answer.body.contains("<h1>"), "{words}: {}", answer.body);
    assert!(!answer.body.contains("src/"), "{answer:?}");
}

#[test]
fn what_is_asked_wrongly_is_a_page_that_says_so() {
    let here = without_tokens();
    let served = started(&here, &[("contoso", &[1])]);
    let reader = Reader::of(&served);
    for (path, status, words) in [
        ("/?state=odd", 400, "does not know “odd”"),
        ("/?page=0", 400, "It is a number from 1."),
        ("/accounts?type=Guest", 400, "It may be EndUser, Administrator."),
        ("/accounts?state=gone", 400, "It may be active, pendingRemoval, orphaned, removed."),
        ("/accounts?reason=included", 400, "does not know"),
        ("/accounts?after=nowhere", 400, "a place in this list"),
        ("/audit?kind=odd", 400, "account.added"),
        ("/audit?day=yesterday", 400, "2027-01-31"),
        ("/audit?after=x", 400, "a place in the record"),
        ("/customers/contosso", 404, "Did you mean <a href=\"/customers/contoso\">contoso</a>?"),
        ("/customers/contosso/accounts", 404, "contoso"),
        ("/customers/contosso/audit", 404, "contoso"),
        ("/customers/contosso/reports", 404, "contoso"),
        ("/customers/contosso/accounts/x", 404, "contoso"),
        ("/customers/%3Cscript%3E", 404, "&#60;script&#62;"),
        ("/customers/contoso/accounts/nobody%20at%20all", 404, "Nobody of contoso is “nobody at all”."),
        ("/nowhere", 404, "There is nothing at this address."),
        ("/customers/contoso/nowhere", 404, "There is nothing at this address."),
    ] {
        expect_error(&reader.get(path), status, words);
    }
    expect_error(&reader.get("/customers/%ff"), 404, "There is nothing at this address.");
    expect_error(&reader.post("/", &[]), 405, "This address takes GET, HEAD.");
    let asset = served.ask("POST", "/assets/x/y", &[], b"");
    assert_eq!((asset.status, asset.headers["allow"].as_str()), (405, "GET, HEAD"));
    assert_eq!(asset.headers["content-type"], "application/problem+json");
    assert_eq!(served.get("/assets/%ff/y").status, 404);
    // Programs are told as programs are.
    served.get("/nowhere").expect(404);
    assert_eq!(reader.get("/api/v1/nowhere").headers["content-type"], "application/problem+json");
    let long = format!("/accounts?q={}", "x".repeat(300));
    assert!(reader.page(&long).contains("The search was cut off after 200 characters."));
    assert!(reader.page("/accounts?q=a+b+c+d+e").contains("Only the first 4 words were looked for."));
    served.end();
}

#[test]
fn accounts_are_found_and_explained() {
    let here = without_tokens();
    customer_of_names(&here, "adventure", &["Jane Doe", "John Roe", "Ada Lovelace"]);
    let served = started(&here, &[("contoso", &[1, 2])]);
    until("all are imported", || here.accounts().len() == 5);
    let reader = Reader::of(&served);
    let all = reader.page("/accounts");
    for name in ["Jane Doe", "person1@contoso.test", "adventure", "contoso", "aria-label=\"Microsoft 365\""] {
        assert!(all.contains(name), "{name}: {all}");
    }
    let found = reader.page("/customers/adventure/accounts?q=jane&type=EndUser&state=active");
    assert!(found.contains("Jane Doe") && !found.contains("John Roe"), "{found}");
    let address = found.split("href=\"").find(|rest| rest.starts_with("/customers/adventure/accounts/"));
    let address = address.and_then(|rest| rest.split('"').next()).expect("a link");
    let page = reader.page(address);
    for words in ["Jane Doe", "included", "decides", "Account added", "policy staff", "objectGUID"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    // By name, too; and whoever is not found is asked about.
    assert!(reader.page("/customers/adventure/accounts/person2@contoso.test").contains("John Roe"));
    let nobody = reader.page("/customers/adventure/accounts?q=person9");
    assert!(nobody.contains("href=\"/customers/adventure/accounts/person9\""), "{nobody}");
    let empty = reader.page("/customers/adventure/accounts?state=removed");
    assert!(empty.contains("No account fits."), "{empty}");
    served.end();
}

#[test]
fn reports_are_pages_and_files() {
    let here = without_tokens();
    customer_of_names(&here, "contoso", &["Jane \"JD\" Doe", "=cmd|'/C calc'!A0", "Ada"]);
    // One loses every licence, and somebody else has one.
    let tenant = here.tree().join("contoso.json");
    let mut users: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&tenant).expect("a file")).expect("JSON");
    users["value"][1]["assignedLicenses"] = serde_json::json!([]);
    let mut outside = crate::support::graph::person(77, "contoso.test");
    outside["displayName"] = serde_json::json!("+outside");
    outside["onPremisesImmutableId"] = serde_json::Value::Null;
    users["value"].as_array_mut().expect("a list").push(outside);
    here.write("contoso.json", &users.to_string());
    let served = started_with(&here);
    let reader = Reader::of(&served);
    let page = reader.page("/customers/contoso/reports");
    assert!(page.contains("=cmd|&#39;/C calc&#39;!A0") && page.contains("+outside"), "{page}");
    let file = reader.get("/customers/contoso/reports/in-scope-without-license.csv");
    assert_eq!(file.headers["content-type"], "text/csv; charset=utf-8; header=present");
    assert!(file.headers["content-disposition"].contains("contoso-in-scope-without-license.csv"));
    assert!(
        file.body.contains("EndUser,\"'=cmd|'/C calc'!A0\",person2@contoso.test,person2,"),
        "{}",
        file.body
    );
    let file = reader.get("/customers/contoso/reports/licensed-outside-scope.csv").body;
    assert!(
        file.starts_with(
            "\u{feff}displayName,userPrincipalName,tenantUserId,licenses\r\n\"'+outside\",person77@"
        ),
        "{file}"
    );
    // The same and everybody else who is not imported, by verdict.
    let section = page.split("id=\"candidates-h\"").nth(1).expect("a list of verdicts");
    for words in ["<option value=\"unlicensed\">unlicensed (1)</option>", "No licence that counts", "person2"]
    {
        assert!(section.contains(words), "{words}: {section}");
    }
    let filtered = reader.page("/customers/contoso/reports?verdict=unlicensed");
    assert!(filtered.contains("<option value=\"unlicensed\" selected>"), "{filtered}");
    let nobody = reader.page("/customers/contoso/reports?verdict=guest");
    let section = nobody.split("id=\"candidates-h\"").nth(1).expect("a list of verdicts");
    assert!(section.contains("<p>Nobody.</p>") && section.contains(">guest (0)</option>"), "{section}");
    expect_error(&reader.get("/customers/contoso/reports?verdict=included"), 400, "does not know");
    expect_error(&reader.get("/accounts?reason=ambiguous-match"), 400, "does not know");
    let file = reader.get("/customers/contoso/reports/not-imported.csv").body;
    assert!(file.contains("\r\nunlicensed,notImported,EndUser,\"'=cmd|"), "{file}");
    let fleet = reader.page("/reports");
    assert!(fleet.contains("In scope without a licence"), "{fleet}");
    let file = reader.get("/reports.csv").body;
    assert!(file.contains("contoso,ready,2,1,1\r\n"), "{file}");
    served.end();
}

#[test]
fn what_pages_are_dressed_in_is_kept_for_ever_under_an_address_of_its_own() {
    let here = without_tokens();
    let served = started(&here, &[("contoso", &[1])]);
    let reader = Reader::of(&served);
    let page = reader.page("/");
    let addresses = page.split('"').filter(|text| text.starts_with("/assets/"));
    let addresses: std::collections::BTreeSet<&str> = addresses.collect();
    assert_eq!(addresses.len(), 3, "{addresses:?}");
    for address in addresses {
        let asset = reader.get(address);
        assert_eq!(asset.status, 200, "{address}");
        assert_eq!(asset.headers["cache-control"], "public, max-age=31536000, immutable", "{address}");
        assert_eq!(asset.headers["x-content-type-options"], "nosniff");
        let (folder, name) = address.rsplit_once('/').expect("a folder");
        assert_eq!(
            reader.get(&format!("{}0/{name}", &folder[..folder.len() - 1])).status,
            404,
            "another version"
        );
    }
    // Nothing comes from elsewhere.
    assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
    served.end();
}

fn started_with(here: &crate::support::intake::Installation) -> crate::support::asking::Served {
    here.default_policy("selection: {securityGroups: [Intake Users]}");
    let mut served = crate::support::asking::Served::start(here);
    served.running.first_turn("contoso");
    served
}
