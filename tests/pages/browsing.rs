//! Looking around: a fleet, a large register, and a turn as it goes.

use std::sync::Arc;

use intake::adapters::store::connection::Store;
use intake::model::account::Account;
use intake::model::register::Commit;
use intake::ports::register::Register as _;
use serde_json::Value;

use super::{customer_of_names, started, without_tokens};
use crate::register::sample::{account, commit, tamper};
use crate::support::asking::Served;
use crate::support::browser::Browser;
use crate::support::graph::{ALWAYS, At, Fault, GraphFake};
use crate::support::intake::{directory, ldif_source, until};
use crate::support::slapd::{Slapd, SlapdOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fleet_shows_whoever_needs_somebody_first() {
    let here = without_tokens();
    let served = tokio::task::block_in_place(|| {
        customer_of_names(&here, "zenith", &["Jane Doe"]);
        let served =
            started(&here, &[("contoso", &[1, 2, 3, 4, 5, 6]), ("fabrikam", &[1]), ("adventure", &[1])]);
        until("zenith had its turn", || here.status("zenith") != Value::Null);
        here.people("contoso", &[1]);
        here.delete("fabrikam.ldif");
        until("contoso is held", || here.status("contoso")["state"] == "held");
        until("fabrikam is unreadable", || here.status("fabrikam")["state"] == "unreadable");
        served
    });
    let browser = Browser::open().await;
    browser.goto(&served.url()).await;
    browser
        .until(
            "document.querySelectorAll('tbody tr .badge:not(.is-syncing)')[1]?.textContent === 'Unreadable'",
        )
        .await;
    assert_eq!(browser.title().await, "Fleet · Intake");
    let names = browser.texts("tbody th a").await;
    assert_eq!(names, ["contoso", "fabrikam", "adventure", "zenith"]);
    let badges = browser.texts("tbody .badges .badge:not(.is-syncing)").await;
    assert_eq!(badges, ["Held", "Unreadable", "Ready", "Ready"]);
    assert_eq!(browser.text("tbody tr .tally").await.replace('\n', " "), "6 End users");
    assert!(browser.has("tbody svg.spark[role=img][aria-label*='account']").await);

    // Somebody else is held now: they come first, and whoever was on a link stays on it.
    browser.evaluate("document.querySelectorAll('tbody th a')[3].focus()").await;
    here.people("adventure", &[]);
    browser.until("document.querySelectorAll('tbody th a')[1]?.textContent === 'contoso'").await;
    assert_eq!(browser.texts("tbody th a").await, ["adventure", "contoso", "fabrikam", "zenith"]);
    assert_eq!(browser.evaluate("document.activeElement.textContent").await, "zenith");

    here.people("adventure", &[1]);
    browser.until("document.querySelectorAll('tbody th a')[1]?.textContent === 'fabrikam'").await;
    // Whoever types keeps what they typed, though the order changes; it is taken over when they are done.
    browser.fill("input[name=q]", "zen").await;
    browser.press("Tab").await;
    here.people("adventure", &[]);
    browser.until("document.querySelector('.chip[href*=held]')?.textContent.trim().startsWith('2')").await;
    assert_eq!(browser.evaluate("document.querySelector('input[name=q]').value").await, "zen");
    browser
        .evaluate("document.querySelector('input[name=q]').value = '', document.activeElement.blur()")
        .await;
    browser.until("document.querySelectorAll('tbody th a')[0]?.textContent === 'adventure'").await;
    here.people("adventure", &[1]);
    browser.until("document.querySelectorAll('tbody th a')[1]?.textContent === 'fabrikam'").await;

    browser.click(".chip[href*=held]").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    assert_eq!(browser.texts("tbody th a").await, ["contoso"]);
    browser.goto(&format!("{}/?q=ZEN", served.url())).await;
    assert_eq!(browser.texts("tbody th a").await, ["zenith"]);
    browser.click("tbody th a").await;
    browser.until("document.querySelector('h1')?.textContent === 'zenith'").await;
    assert!(browser.text("main").await.contains("Intake Users"), "its scope");
    drop(browser);
    served.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_accounts_are_searched_without_a_stall() {
    let here = without_tokens();
    let many = 100_000;
    let store = Store::open(&format!("sqlite:{}", here.state().display())).await.expect("a store");
    let provenance = account(1).provenance;
    let accounts: Vec<Account> =
        (1..=many).map(|number| Account { provenance: Arc::clone(&provenance), ..account(number) }).collect();
    store.commit(Commit { accounts, ..commit("contoso", 0) }).await.expect("written");
    store.close().await;
    let served = tokio::task::block_in_place(|| {
        here.default_policy("selection: {securityGroups: [Intake Users]}");
        // Its people are not read: what is shown is what the register holds.
        here.customer("contoso", "Contoso", &ldif_source("absent"), "{snapshot: {file: absent.json}}");
        Served::start(&here)
    });
    let browser = Browser::open().await;
    let url = format!("{}/customers/contoso/accounts", served.url());
    tokio::task::block_in_place(|| {
        until("the tree is read", || {
            crate::support::asking::ask(served.address, "GET", "/customers/contoso/accounts", &[], b"").status
                == 200
        })
    });
    browser.goto(&url).await;
    browser.expect_short("the first page").await;
    assert_eq!(browser.texts("tbody th a").await.len(), 100);
    browser.click(".pager a[rel=next]").await;
    browser.until("document.querySelector('tbody th')?.textContent.includes('User 101')").await;
    browser.expect_short("the second page").await;
    browser.fill("#q", "user099999 contoso.com").await;
    browser.click(".filter button").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    browser.expect_short("a search").await;
    assert_eq!(browser.texts("tbody th a").await, ["User 99999"]);
    browser.goto(&format!("{}/accounts?q=nobody", served.url())).await;
    browser.expect_short("a search for nobody").await;
    assert!(browser.text(".empty").await.contains("No account fits."));
    drop(browser);
    served.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_is_followed_as_it_goes_and_found_over() {
    let graph = GraphFake::spawn();
    let mut here = without_tokens();
    let people: Vec<u32> = (1..=3).collect();
    let slapd =
        tokio::task::block_in_place(|| Slapd::start(&directory(&people, &people), &SlapdOptions::default()));
    let served = tokio::task::block_in_place(|| {
        here.default_policy("selection: {securityGroups: [Intake Users]}");
        graph.tenant("contoso.test").people(3);
        let tenant = here.graph_source("contoso", &graph);
        let directory = here.ldap_source("contoso", &slapd.url());
        here.customer("contoso", "Contoso", &directory, &tenant);
        graph.tenant("contoso.test").page_size(1);
        // After two pages it asks to wait, until it is told otherwise.
        graph.fault(At::users().page(3), Fault::Throttled(Some(1)), ALWAYS);
        Served::start(&here)
    });
    let browser = Browser::open().await;
    tokio::task::block_in_place(|| {
        until("the tree is read", || {
            crate::support::asking::ask(served.address, "GET", "/customers/contoso", &[], b"").status == 200
        })
    });
    browser.goto(&format!("{}/customers/contoso", served.url())).await;
    // Two of the tenant's users, and three people and their group of the directory.
    browser
        .until(
            "/^Syncing: (\\d+) objects read/.exec(document.querySelector('[data-progress]')?.textContent)?.[1] >= 6",
        )
        .await;
    browser.until("document.querySelector('[data-live-word]')?.textContent === 'Live.'").await;
    assert_eq!(browser.text(".status .badge").await, "No turn yet");
    graph.clear_faults();
    browser.until("document.querySelector('.status .badge')?.textContent === 'Ready'").await;
    browser.until("!document.querySelector('[data-progress]')").await;
    browser
        .until("document.querySelector('[data-live=events]')?.textContent.includes('Account added')")
        .await;
    assert_eq!(
        browser.evaluate("performance.getEntriesByType('navigation').length").await,
        1,
        "never loaded anew"
    );
    drop(browser);
    served.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_thousand_customers_a_page_is_shown() {
    let here = without_tokens();
    Store::open(&format!("sqlite:{}", here.state().display())).await.expect("a store").close().await;
    tamper(
        &here.state(),
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
         INSERT INTO customers (name, revision, pins, events)
         SELECT printf('customer-%05d', i), 1, '{\"domains\":[],\"tenant\":null,\"scopes\":[]}', 0 FROM n;
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
         INSERT INTO statuses (customer, state, last_attempt, last_success, failures, tree_revision, message)
         SELECT printf('customer-%05d', i), iif(i % 1000 = 7, 'held', 'ready'), 1764144000000000, 1764144000000000,
            0, 'tree-1', iif(i % 1000 = 7, 'too many removals', '')
         FROM n",
    )
    .await;
    let served = tokio::task::block_in_place(|| {
        here.default_policy("selection: {securityGroups: [Intake Users]}");
        // The others stay as they are written here.
        Served::of(here.start(&["run", "--customer", "customer-00001"]))
    });
    let browser = Browser::open().await;
    for (path, first) in [
        ("/", "customer-00007"),
        ("/?page=2", "customer-00092"),
        ("/?page=100", "customer-09901"),
        ("/?q=04321", "customer-04321"),
        ("/?state=held", "customer-00007"),
        ("/reports", "customer-00001"),
    ] {
        // The first view of so many takes a while, during which others are told to come back.
        tokio::task::block_in_place(|| {
            until("it is shown", || {
                crate::support::asking::ask(served.address, "GET", path, &[], b"").status == 200
            })
        });
        browser.goto(&format!("{}{path}", served.url())).await;
        browser.expect_short(path).await;
        assert_eq!(browser.text("tbody th a").await, first, "{path}");
    }
    browser.goto(&format!("{}/", served.url())).await;
    assert_eq!(browser.texts("tbody th a").await.len(), 100);
    assert_eq!(browser.text(".pager span").await, "1–100 of 10,000");
    browser.click(".pager a[rel=next]").await;
    browser.until("document.querySelector('.pager span')?.textContent === '101–200 of 10,000'").await;
    browser.click(".pager a[rel=prev]").await;
    browser.until("document.querySelector('.pager span')?.textContent === '1–100 of 10,000'").await;
    drop(browser);
    served.end();
}
