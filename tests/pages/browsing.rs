//! Looking around: a fleet, a large register, and a turn as it goes.

use std::sync::Arc;

use intake::adapters::store::connection::Store;
use intake::model::account::Account;
use intake::model::register::Commit;
use intake::ports::register::Register as _;
use serde_json::Value;

use super::{customer_of_names, started, without_tokens};
use crate::register::sample::{account, commit};
use crate::support::asking::Served;
use crate::support::browser::Browser;
use crate::support::graph::{ALWAYS, At, Fault, GraphFake};
use crate::support::intake::{directory, ldif_source, until};

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
    browser.until("document.querySelectorAll('tbody tr .badge')[1]?.textContent === 'Unreadable'").await;
    assert_eq!(browser.title().await, "Fleet · Intake");
    let names = browser.texts("tbody th a").await;
    assert_eq!(names, ["contoso", "fabrikam", "adventure", "zenith"]);
    let badges = browser.texts("tbody .badges").await;
    assert_eq!(badges, ["Held", "Unreadable", "Ready", "Ready"]);
    assert_eq!(browser.text("tbody tr .tally").await.replace('\n', " "), "6 End users");
    assert!(browser.has("tbody svg.spark[role=img][aria-label*='account']").await);

    browser.click(".chip[href*=held]").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    assert_eq!(browser.texts("tbody th a").await, ["contoso"]);
    browser.goto(&format!("{}/?q=ZEN", served.url())).await;
    assert_eq!(browser.texts("tbody th a").await, ["zenith"]);
    browser.click("tbody th a").await;
    browser.until("document.querySelector('h1').textContent === 'zenith'").await;
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
    let took = |what: &'static str| {
        let expression = "(() => { const one = performance.getEntriesByType('navigation')[0]; \
                          return one.responseEnd - one.requestStart; })()";
        let browser = &browser;
        async move {
            let took = browser.evaluate(expression).await.as_f64().expect("milliseconds");
            assert!(took < 2_000.0, "{what} took {took} ms");
        }
    };
    tokio::task::block_in_place(|| {
        until("the tree is read", || {
            crate::support::asking::ask(served.address, "GET", "/customers/contoso/accounts", &[], b"").status
                == 200
        })
    });
    browser.goto(&url).await;
    took("the first page").await;
    assert_eq!(browser.texts("tbody th a").await.len(), 100);
    browser.click(".pager a[rel=next]").await;
    browser.until("document.querySelector('tbody th')?.textContent.includes('User 101')").await;
    took("the second page").await;
    browser.fill("#q", "user099999 contoso.com").await;
    browser.click(".filter button").await;
    browser.until("document.querySelectorAll('tbody tr').length === 1").await;
    took("a search").await;
    assert_eq!(browser.texts("tbody th a").await, ["User 99999"]);
    browser.goto(&format!("{}/accounts?q=nobody", served.url())).await;
    took("a search for nobody").await;
    assert!(browser.text(".empty").await.contains("No account fits."));
    drop(browser);
    served.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_is_followed_as_it_goes_and_found_over() {
    let graph = GraphFake::spawn();
    let mut here = without_tokens();
    let served = tokio::task::block_in_place(|| {
        here.default_policy("selection: {securityGroups: [Intake Users]}");
        let people: Vec<u32> = (1..=3).collect();
        here.write(
            "contoso.ldif",
            &format!("# intake: begin\nversion: 1\n\n{}# intake: end\n", directory(&people, &people)),
        );
        graph.tenant("contoso.test").people(3);
        let tenant = here.graph_source("contoso", &graph);
        here.customer("contoso", "Contoso", &ldif_source("contoso"), &tenant);
        // It answers, and asks to wait, until it is told otherwise.
        graph.fault(At::users(), Fault::Throttled(Some(1)), ALWAYS);
        Served::start(&here)
    });
    let browser = Browser::open().await;
    tokio::task::block_in_place(|| {
        until("the tree is read", || {
            crate::support::asking::ask(served.address, "GET", "/customers/contoso", &[], b"").status == 200
        })
    });
    browser.goto(&format!("{}/customers/contoso", served.url())).await;
    browser.until("document.querySelector('[data-progress]')?.textContent.startsWith('Syncing')").await;
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
