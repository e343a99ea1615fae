//! Listings: by numbers and by cursors, and those that do not prove themselves whole.

use serde_json::json;

use super::fake::Wrong;
use super::{Site, name};

/// Publishes twelve people, has one changed there, and looks whether a listing in pages of five tells.
fn compared(order: impl FnOnce(&mut Wrong)) -> (Site, u64, usize) {
    let people: Vec<u32> = (1..=12).collect();
    let site = Site::new(&people, "");
    site.fake.set(|wrong| wrong.page = 5);
    site.run();
    site.fake.change(&name(12), |user| user["displayName"] = json!("Somebody"));
    site.fake.set(order);
    site.let_a_day_pass();
    site.fake.take_seen();
    site.run();
    let asked = site.fake.take_seen().iter().filter(|seen| seen.path == "/Users").count();
    let drifted = site.count("drifted");
    (site, drifted, asked)
}

fn fault(site: &Site) -> String {
    let told = site.here.json(&["status"], 0)["targets"][0].clone();
    told["comparisonFault"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn short_pages_and_those_that_overlap_are_put_together() {
    let (site, drifted, asked) = compared(|_| {});
    assert_eq!((drifted, asked, fault(&site).as_str()), (1, 3, ""));
    let (site, drifted, _) = compared(|wrong| wrong.pages_overlap = true);
    assert_eq!((drifted, fault(&site).as_str()), (1, ""));
    let (site, drifted, asked) = compared(|wrong| wrong.page = 1);
    assert_eq!((drifted, asked, fault(&site).as_str()), (1, 12, ""));
}

#[test]
fn cursors_are_followed_where_they_are_offered() {
    let offered = json!({"pagination": {"cursor": true, "index": true, "maxPageSize": 5}});
    let (site, drifted, asked) = compared(|wrong| wrong.configuration = Some(offered.clone()));
    assert_eq!((drifted, asked, fault(&site).as_str()), (1, 3, ""));
    // One that is too old is begun anew; where that does not help, pages are counted.
    for expires in [1, 2] {
        let (site, drifted, _) = compared(|wrong| {
            wrong.configuration = Some(offered.clone());
            wrong.cursor_expires = expires;
        });
        assert_eq!((drifted, fault(&site).as_str()), (1, ""), "{expires}");
    }
}

#[test]
fn a_listing_that_does_not_prove_itself_whole_concludes_nothing_and_ends() {
    let (site, drifted, asked) = compared(|wrong| wrong.pages_repeat = true);
    assert_eq!(drifted, 0);
    assert!(fault(&site).contains("brought nobody new"), "{}", fault(&site));
    assert!(asked <= 4, "{asked}");
    let (site, drifted, asked) = compared(|wrong| wrong.total_too_high = 1);
    assert_eq!(drifted, 0);
    assert!(fault(&site).contains("13 users, and 12 arrived"), "{}", fault(&site));
    assert!(asked <= 8, "{asked}");
}

#[test]
fn a_listing_without_an_end_is_left_at_some_page() {
    // Too many pages for a test: the patience of whoever runs it ends first, and nothing is concluded.
    let site = Site::new(&[1], "");
    site.run();
    site.fake.set(|wrong| wrong.pages_go_on = true);
    site.let_a_day_pass();
    let running = site.here.start(&["run", "--once"]);
    crate::support::intake::until("it lists", || {
        site.fake.users().len() == 1 && !site.fake.take_seen().is_empty()
    });
    running.signal("TERM");
    running.end();
    assert_eq!(site.count("published"), 1);
}
