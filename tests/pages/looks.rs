//! How every page looks, and whom it keeps out: in both themes, wide and narrow. The pictures are for people, in
//! the build's folder `screenshots`.

use std::fs;

use serde_json::Value;

use super::{OPERATOR, Reader, customer_of_names, form_token, started, with_tokens};
use crate::documentation::fake::DocumentationFake;
use crate::support::asking::Served;
use crate::support::browser::Browser;
use crate::support::intake::{Installation, until};

/// A provider on a bad morning: somebody held, somebody unreadable, somebody suspended, and most are well.
fn provider(glue: &DocumentationFake) -> (Installation, Served) {
    let here = with_tokens(&format!("connections:\n{}", glue.operator_connection("glue")));
    customer_of_names(
        &here,
        "adventure-works",
        &[
            "Jane Doe",
            "John Roe",
            "Ada Lovelace",
            "Grace Hopper",
            "Alan Turing",
            "Edsger Dijkstra",
            "Barbara Liskov",
        ],
    );
    let document = fs::read_to_string(here.tree().join("adventure-works.yaml")).expect("a file");
    let document =
        document.replace("displayName: adventure-works", "displayName: Adventure Works Cycles Ltd");
    here.write(
        "adventure-works.yaml",
        &format!("{document}  documentation: [{{connection: glue, organizationId: \"2\"}}]\n"),
    );
    here.write(
        "broken.yaml",
        "apiVersion: intake.dev/v1\nkind: Customer\nmetadata: {name: proseware}\nspec: {directory: main}\n",
    );
    // Two customers may not be one tenant; these are of files.
    let people: Vec<u32> = (1..=40).collect();
    let served = started(
        &here,
        &[("contoso", &people[..]), ("fabrikam", &[1, 2, 3]), ("northwind", &[1, 2]), ("tailspin", &[1])],
    );
    until("all had their turn", || here.status("adventure-works") != Value::Null);
    until("contacts were looked for", || {
        here.json(&["matches"], 0)["matches"].as_array().is_some_and(|all| all.len() == 7)
    });
    here.people("contoso", &people[..20]);
    here.delete("fabrikam.ldif");
    let operator = Reader::signed_in(&served, OPERATOR);
    let token = form_token(&operator.page("/"));
    let reason = "they migrate to another tenant until Friday";
    let suspended = operator.post("/customers/northwind/suspend", &[("session", &token), ("reason", reason)]);
    assert_eq!(suspended.status, 303);
    // Whoever lost their licence is told in the reports.
    let tenant = here.tree().join("adventure-works.json");
    let mut users: Value = serde_json::from_str(&fs::read_to_string(&tenant).expect("a file")).expect("JSON");
    users["value"][6]["assignedLicenses"] = Value::Array(Vec::new());
    for number in [90, 91] {
        let mut outside = crate::support::graph::person(number, "contoso.test");
        outside["displayName"] = Value::from(["Shared Reception", "Board Room"][number as usize - 90]);
        users["value"].as_array_mut().expect("a list").push(outside);
    }
    here.write("adventure-works.json", &users.to_string());
    for (name, state) in [("contoso", "held"), ("fabrikam", "unreadable"), ("northwind", "suspended")] {
        until("its status says so", || here.status(name)["state"] == state);
    }
    until("somebody lost their licence", || !here.names("adventure-works", "removed").is_empty());
    (here, served)
}

fn documented() -> DocumentationFake {
    let glue = DocumentationFake::it_glue();
    glue.company(2, "Adventure Works");
    glue.person(2, "Jane", "Doe", &["person1@contoso.test"]);
    glue.person(2, "Jane", "Doe", &["person1@contoso.test", "jane@home.example"]);
    glue.person(2, "John", "Roe", &["person2@contoso.test"]);
    glue.person(2, "Ada", "Lovelace", &["ada@elsewhere.example"]);
    glue
}

/// Somebody who is published to many targets, and stands otherwise at each.
const PUBLISHED: &str = "
    WITH statuses (status, cause) AS (VALUES
        ('waiting', ''), ('published', ''), ('deactivated', ''), ('deleted', ''),
        ('drifted', 'the target shows another displayName'), ('conflict', 'the userName `jane` is there already'),
        ('failed', 'the target refuses it: <b>no</b>'), ('held', 'more than 10 % would go'), ('orphaned', ''))
    INSERT INTO publications (customer, target, account_type, source, id, subject, status, cause, since, wanted, remote_id)
    SELECT customer, 'target-' || status, account_type, source, id, display_name, status, cause, imported_at, 'present', 'u1'
    FROM accounts, statuses WHERE customer = 'adventure-works' AND display_name = 'Jane Doe'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_open_to_everybody_in_both_themes_wide_and_narrow() {
    let glue = documented();
    let (here, served) = tokio::task::block_in_place(|| provider(&glue));
    let operator = Reader::signed_in(&served, OPERATOR);
    let account = |page: &str, name: &str| {
        let all = operator.page(page);
        let before = all.split(&format!(">{name}</a>")).next().expect("a link").to_owned();
        before
            .rsplit("href=\"")
            .next()
            .and_then(|rest| rest.split('"').next())
            .expect("an address")
            .to_owned()
    };
    let jane = account("/customers/adventure-works/accounts", "Jane Doe");
    let barbara = account("/customers/adventure-works/accounts?state=removed", "Barbara Liskov");
    // What the accounts' pages show of documentation systems programs are told as well, as `matches` lists it.
    let told = |query: &str| {
        let path = format!("/api/v1/customers/adventure-works/matches{query}");
        let bearer = format!("Bearer {OPERATOR}");
        let answer =
            crate::support::asking::ask(served.address, "GET", &path, &[("Authorization", &bearer)], b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let by_account = |all: &Value| {
        let mut all = all["matches"].as_array().expect("a list").clone();
        all.sort_by_key(|one| one["id"].to_string());
        all
    };
    let listed = tokio::task::block_in_place(|| here.json(&["matches"], 0));
    assert_eq!(by_account(&told("")), by_account(&listed));
    let page = told("?limit=2");
    let next = page["next"].as_str().expect("another page");
    assert_eq!(
        by_account(&page).len() + by_account(&told(&format!("?limit=900&cursor={next}"))).len(),
        by_account(&listed).len()
    );
    let ambiguous = told("?status=ambiguous");
    assert!(
        by_account(&ambiguous).iter().all(|one| one["status"] == "ambiguous") && ambiguous["next"].is_null()
    );
    assert!(!by_account(&ambiguous).is_empty());
    here.sql(PUBLISHED);
    let suspended = operator.page("/customers/northwind");
    assert!(suspended.contains("What a turn would do if it were not suspended"), "{suspended}");
    assert!(!suspended.contains("What the next turn would do"), "{suspended}");
    let browser = Browser::open().await;
    let pages = [
        ("fleet", "/"),
        ("fleet-nobody", "/?q=nobody"),
        ("customer-held", "/customers/contoso"),
        ("customer-ready", "/customers/adventure-works"),
        ("customer-suspended", "/customers/northwind"),
        ("customer-unreadable", "/customers/fabrikam"),
        ("customer-invalid", "/customers/proseware"),
        ("accounts", "/accounts"),
        ("accounts-customer", "/customers/adventure-works/accounts"),
        ("account", &jane),
        ("account-removed", &barbara),
        ("reports-fleet", "/reports"),
        ("reports", "/customers/adventure-works/reports"),
        ("audit", "/audit"),
        ("audit-customer", "/customers/adventure-works/audit?kind=contact.ambiguous"),
        ("error", "/customers/contosso"),
    ];
    browser.goto(&format!("{}/login", served.url())).await;
    let mut seen = Seen::default();
    seen.look(&browser, "sign-in").await;
    browser.fill("#token", OPERATOR).await;
    browser.click("button.primary").await;
    browser.until("location.pathname === '/'").await;
    for (name, path) in pages {
        browser.goto(&format!("{}{path}", served.url())).await;
        seen.look(&browser, name).await;
    }
    browser.goto(&format!("{}/accounts", served.url())).await;
    let lines = "[...document.querySelectorAll('td[data-label=Type]')].map((cell) => { const range = \
                 document.createRange(); range.selectNodeContents(cell); return range.getClientRects().length; })";
    let lines = browser.evaluate(lines).await;
    assert!(
        lines.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(|one| *one == 1)),
        "{lines}"
    );
    // What is folded away is looked at as well.
    browser.goto(&format!("{}/customers/contoso", served.url())).await;
    browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })").await;
    seen.look(&browser, "customer-unfolded").await;
    drop(browser);
    assert!(seen.faults.is_empty(), "{}", seen.faults.join("\n"));
    served.end();
    drop(here);
}

/// What was seen so far that is not as it should be.
#[derive(Default)]
struct Seen {
    faults: Vec<String>,
}

impl Seen {
    /// Looks at a page in both themes, wide and narrow.
    async fn look(&mut self, browser: &Browser, name: &str) {
        // Every page says where one is, by a title and one heading.
        let (title, headings) = (browser.title().await, browser.texts("h1").await.len());
        if headings != 1 || !title.ends_with(" · Intake") {
            self.faults.push(format!("{name}: `{title}`, {headings} headings"));
        }
        for (width, dark) in [(1440, false), (1440, true), (360, false), (360, true)] {
            browser.look_like(width, dark).await;
            let theme = if dark { "dark" } else { "light" };
            browser.picture(&format!("{name}-{theme}-{width}")).await;
            self.faults.extend(browser.barriers().await);
            self.faults.extend(browser.sideways().await);
        }
        for width in [560, 768, 860, 1_100, 3_840] {
            browser.look_like(width, false).await;
            self.faults.extend(browser.sideways().await);
        }
        browser.look_like(1440, false).await;
    }
}
