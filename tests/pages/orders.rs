//! What an operator does in a browser, from signing in to signing out.

use std::fs;

use super::{OPERATOR, VIEWER, started, token_file, with_tokens};
use crate::support::asking::Served;
use crate::support::browser::Browser;
use crate::support::intake::{Installation, persons};

/// Signs in at whatever page one was on the way to.
async fn sign_in(browser: &Browser, token: &str) {
    browser.fill("#token", token).await;
    browser.click("button.primary").await;
}

fn prepared(people: &[(&str, &[u32])]) -> (Installation, Served) {
    tokio::task::block_in_place(|| {
        let here = with_tokens("");
        let served = started(&here, people);
        (here, served)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_removals_are_approved_by_committing_the_lines_that_are_shown() {
    let (here, served) = prepared(&[("contoso", &[1, 2, 3, 4, 5, 6, 7, 8])]);
    let browser = Browser::open().await;
    browser.goto(&format!("{}/customers/contoso", served.url())).await;
    sign_in(&browser, OPERATOR).await;
    browser.until("document.querySelector('h1')?.textContent === 'contoso'").await;
    assert_eq!(browser.text(".status .badge").await, "Ready");
    assert!(!browser.has("#approval-lines").await);

    // Half of them leave at once.
    here.people("contoso", &[1, 2, 3, 4]);
    browser.click(".actions .primary").await;
    browser.until("document.querySelector('.status .badge')?.textContent === 'Held'").await;
    browser.until("document.querySelectorAll('#held-removals tbody tr').length === 4").await;
    let held = browser.texts("#held-removals tbody th a").await;
    assert_eq!(held, ["Person 5", "Person 6", "Person 7", "Person 8"]);
    assert!(browser.text(".hold h2").await.contains("4 removals are held back"));
    assert!(browser.text("[data-live=findings]").await.contains("removal-limit"));

    // The lines, as they are shown, into the document.
    let line = browser.evaluate("document.querySelector('#approval-lines').textContent").await;
    let line = line.as_str().expect("a text");
    let document = fs::read_to_string(here.tree().join("contoso.yaml")).expect("a file");
    here.write("contoso.yaml", &document.replace("spec:\n", &format!("spec:\n{line}\n")));
    browser.until("document.querySelector('.status .badge')?.textContent === 'Ready'").await;
    browser.until("!document.querySelector('#approval-lines')").await;
    tokio::task::block_in_place(|| assert_eq!(here.names("contoso", "active"), persons(&[1, 2, 3, 4])));
    browser.goto(&format!("{}/customers/contoso/audit?kind=hold.approved", served.url())).await;
    assert!(browser.text(".event").await.contains("Removals approved"));
    browser.expect_no_complaint().await;
    drop(browser);
    served.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_suspends_with_a_reason_and_resumes_by_the_keyboard() {
    let (_here, served) = prepared(&[("contoso", &[1])]);
    let browser = Browser::open().await;
    browser.goto(&format!("{}/customers/contoso", served.url())).await;
    assert_eq!(browser.path().await, "/login?next=%2Fcustomers%2Fcontoso");
    sign_in(&browser, "wrong").await;
    browser.until("document.querySelector('#wrong')?.textContent.trim() === 'The token is not known.'").await;
    sign_in(&browser, OPERATOR).await;
    browser.until("location.pathname === '/customers/contoso'").await;

    // The first stop leads past the navigation.
    browser.press("Tab").await;
    assert_eq!(browser.evaluate("document.activeElement.textContent").await, "Skip to content");
    browser.press("Enter").await;
    browser.until("document.activeElement.id === 'main'").await;
    // From there every button is reached.
    let mut stops = Vec::new();
    for _ in 0..12 {
        browser.press("Tab").await;
        let stop = browser.evaluate("document.activeElement.textContent.trim()").await;
        stops.push(stop.as_str().unwrap_or_default().to_owned());
        if stops.last().is_some_and(|stop| stop == "Suspend…") {
            break;
        }
    }
    assert!(stops.contains(&"Sync now".to_owned()) && stops.contains(&"Suspend…".to_owned()), "{stops:?}");
    browser.press("Enter").await;
    browser.fill("#reason", "they move to the cloud").await;
    browser.press("Enter").await;
    browser.until("document.querySelector('.status .badge')?.textContent === 'Suspended'").await;
    assert!(browser.text(".notice").await.contains("contoso is suspended"));
    assert!(browser.text(".status").await.contains("Suspended by jane: they move to the cloud"));
    browser.click(".actions form[action$=resume] button").await;
    browser.until("document.querySelector('.status .badge')?.textContent === 'Ready'").await;

    browser.click(".who button").await;
    browser.until("location.pathname === '/login'").await;
    browser.goto(&format!("{}/audit", served.url())).await;
    assert_eq!(browser.path().await, "/login?next=%2Faudit", "signed out");
    drop(browser);
    served.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_has_no_buttons_and_is_out_when_the_token_is_taken_away() {
    let (here, served) = prepared(&[("contoso", &[1])]);
    let browser = Browser::open().await;
    browser.goto(&format!("{}/customers/contoso", served.url())).await;
    sign_in(&browser, VIEWER).await;
    browser.until("location.pathname === '/customers/contoso'").await;
    assert!(browser.text(".who").await.contains("viewer"));
    assert!(!browser.has(".actions").await);
    fs::remove_file(token_file(&here, "viewer")).expect("removed");
    browser.goto(&format!("{}/", served.url())).await;
    assert_eq!(browser.path().await, "/login");
    drop(browser);
    served.end();
}
