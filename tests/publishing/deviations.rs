//! Services that depart from the standard, each in its way: publishing converges, takes another way, or leaves it to a
//! person. It never loops, and never touches a stranger.

use serde_json::json;

use super::fake::{Location, Wrong};
use super::{Site, name};

/// Publishes three people to a service that is wrong in some way, with a rename, a removal and a return, and expects
/// that it shows what it should, that no stranger was touched, and that a further run writes nothing.
fn converges(what: &str, order: impl FnOnce(&mut Wrong)) {
    let site = Site::new(&[1, 2, 3], "");
    let stranger = site.fake.stranger("stranger@contoso.test", None);
    let other = site.fake.stranger("other@contoso.test", Some("somebody's"));
    let strangers = site.fake.users();
    site.fake.set(order);
    site.run();
    assert_eq!(site.fake.users().len(), 5, "{what}: made once each");
    assert_eq!(site.writes(), [""; 0], "{what}");
    site.rename(&[1, 2], &name(1), "janet@contoso.test");
    site.run();
    assert!(site.fake.user("janet@contoso.test").is_some(), "{what}: renamed");
    let active = site.active();
    assert!(!active.contains(&name(3)), "{what}: deactivated: {active:?}");
    assert_eq!(site.writes(), [""; 0], "{what}");
    site.rename(&[1, 2, 3], &name(1), "janet@contoso.test");
    site.run();
    assert!(site.active().contains(&name(3)), "{what}: back");
    assert_eq!(site.fake.users().len(), 5, "{what}: nobody twice");
    assert_eq!(site.writes(), [""; 0], "{what}");
    let now = site.fake.users();
    assert_eq!(now[..2], strangers[..], "{what}: strangers as before");
    let seen = site.fake.take_writes();
    assert!(!seen.iter().any(|write| write.ends_with(&stranger) || write.ends_with(&other)), "{what}");
    assert_eq!(site.count("published"), 3, "{what}");
}

#[test]
fn filters_that_are_refused_or_ignored_are_done_without() {
    converges("externalId 400", |wrong| {
        wrong.filters_refused.insert("externalId", 400);
    });
    converges("externalId 501", |wrong| {
        wrong.filters_refused.insert("externalId", 501);
    });
    converges("404 for whomever is looked for", |wrong| {
        wrong.filters_refused.insert("externalId", 404);
        wrong.filters_refused.insert("userName", 404);
    });
    converges("neither filter", |wrong| {
        wrong.filters_refused.insert("externalId", 400);
        wrong.filters_refused.insert("userName", 501);
    });
    converges("everybody in answer to any filter", |wrong| wrong.filters_ignored = true);
    converges("everybody in answer to any filter, in pages", |wrong| {
        wrong.filters_ignored = true;
        wrong.page = 2;
    });
}

#[test]
fn answers_in_other_forms_are_understood() {
    converges("lower case", |wrong| wrong.lower_case = true);
    converges("words", |wrong| wrong.word_booleans = true);
    converges("no meta, no Location", |wrong| {
        wrong.no_meta = true;
        wrong.post_location = Location::None;
    });
    converges("a relative Location and no body", |wrong| {
        wrong.post_location = Location::Relative;
        wrong.post_is_mute = true;
    });
    converges("neither a body nor a Location", |wrong| {
        wrong.post_location = Location::None;
        wrong.post_is_mute = true;
    });
    converges("PATCH 204", |wrong| wrong.patch_status = 204);
    converges("400 for an id that is not known", |wrong| wrong.unknown_is_400 = true);
    converges("pages as errors, numbers as statuses", |wrong| {
        wrong.html_errors = true;
        wrong.number_status = true;
        wrong.filters_refused.insert("externalId", 400);
    });
}

#[test]
fn where_nothing_is_patched_it_is_replaced_and_the_rest_of_it_stays() {
    for (status, kind) in
        [(405, None), (501, None), (400, Some("invalidPath")), (400, Some("noTarget")), (400, None)]
    {
        converges(&format!("PATCH {status} {kind:?}"), |wrong| {
            wrong.patch_status = status;
            wrong.patch_type = kind;
        });
    }
    let site = Site::new(&[1], "");
    site.fake.set(|wrong| wrong.patch_status = 405);
    site.run();
    site.fake.change(&name(1), |user| {
        user["title"] = json!("Dr");
        user["name"]["middleName"] = json!("Quincy");
        user["name"]["honorificPrefix"] = json!("Dr");
    });
    site.rename(&[1], &name(1), "janet@contoso.test");
    site.run();
    let renamed = site.fake.user("janet@contoso.test").expect("renamed");
    assert_eq!(renamed["title"], "Dr");
    let parts = [&renamed["name"]["middleName"], &renamed["name"]["honorificPrefix"]];
    assert_eq!(parts, ["Quincy", "Dr"], "{renamed}");
    assert_eq!(site.count("published"), 1);
}

/// What a service says that keeps versions; this many go together.
fn versions(wrong: &mut Wrong, together: usize) {
    wrong.versions = true;
    let bulk = json!({"supported": together > 0, "maxOperations": together, "maxPayloadSize": 100_000});
    wrong.configuration = Some(json!({"etag": {"supported": true}, "bulk": bulk}));
}

#[test]
fn a_version_that_changed_meanwhile_is_looked_at_again() {
    converges("versions", |wrong| versions(wrong, 0));
    converges("versions, and several together", |wrong| versions(wrong, 10));
    converges("versions, and no PATCH", |wrong| {
        versions(wrong, 0);
        wrong.patch_status = 405;
    });
    let site = Site::new(&[1], "");
    site.fake.set(|wrong| {
        wrong.versions = true;
        wrong.configuration = Some(json!({"etag": {"supported": true}}));
    });
    site.run();
    site.fake.set(|wrong| wrong.other_version = 1);
    site.rename(&[1], &name(1), "janet@contoso.test");
    assert_eq!(site.writes(), ["PATCH /Users/u1", "PATCH /Users/u1"]);
    assert_eq!(site.active(), ["janet@contoso.test"]);
    site.fake.set(|wrong| wrong.other_version = 100);
    site.rename(&[1], &name(1), "jane@contoso.test");
    assert_eq!(site.writes().len(), 2, "and no more for now");
    site.fake.set(|wrong| wrong.other_version = 0);
    site.let_time_pass();
    site.run();
    assert_eq!(site.active(), ["jane@contoso.test"]);
}

#[test]
fn no_write_is_blind_where_versions_are_kept() {
    for (fields, verb) in [("", "PATCH"), (", onRemoval: delete", "DELETE")] {
        for together in [0, 6] {
            let what = format!("{verb} {together}");
            let site = Site::new(
                &[1, 2, 3, 4, 5, 6],
                &format!("{fields}, removal: {{maxPercent: 100, maxCount: 100}}"),
            );
            site.fake.set(|wrong| versions(wrong, together));
            site.run();
            // Who was changed meanwhile is looked at again, and then written alone.
            site.fake.set(|wrong| wrong.other_version = 1);
            site.people(&[1, 2, 3, 4]);
            site.fake.take_seen();
            site.run();
            let seen = site.fake.take_seen();
            let seen: Vec<String> =
                seen.iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect();
            let is_write = |seen: &&String| !seen.starts_with("GET");
            let expected = if together > 0 { 2 } else { 3 };
            assert_eq!(seen.iter().filter(is_write).count(), expected, "{what}: {seen:?}");
            let refused = seen.iter().position(|seen| is_write(&seen)).expect("a write");
            let again = seen.iter().rposition(|seen| is_write(&seen)).expect("a write");
            let looked = seen[again].replace(verb, "GET");
            assert!(seen[refused..again].contains(&looked), "{what}: {seen:?}");
            assert_eq!(site.active(), [name(1), name(2), name(3), name(4)], "{what}");

            // Somebody else's by now: it is left alone.
            site.fake.set(|wrong| {
                wrong.other_version = 1;
                wrong.faster_is_another = true;
            });
            site.people(&[1, 2]);
            assert_eq!(site.writes().len(), if together > 0 { 1 } else { 2 }, "{what}");
            assert_eq!((site.active().len(), site.count("conflict")), (3, 1), "{what}");
            assert!(site.cause().contains("somebody else's"), "{what}: {}", site.cause());
        }
    }
}

#[test]
fn a_user_that_is_there_is_a_conflict_told_once_and_adopted_where_that_is_allowed() {
    for external_id in [None, Some("theirs")] {
        for is_bare in [false, true] {
            let mut site = Site::new(&[1, 2], "");
            site.fake.set(|wrong| wrong.conflict_is_bare = is_bare);
            site.fake.stranger(&name(1), external_id);
            let before = site.fake.user(&name(1));
            site.run();
            assert_eq!(site.fake.user(&name(1)), before, "not touched");
            let cause = site.cause();
            assert!(cause.contains("is there already"), "{cause}");
            assert_eq!(
                site.events(),
                ["conflict", "created"].map(str::to_owned).into_iter().collect::<Vec<_>>()
            );
            assert!(site.writes().is_empty() && site.fake.take_seen().is_empty(), "not asked again");
            let text = site.here.run(&["status", "--customer", "contoso"]).expect(0).stdout;
            assert!(text.contains(&format!("contoso at hr-app: conflict {}", name(1))), "{text}");
            // A day later it is looked at once more, and told no second time.
            site.let_a_day_pass();
            site.run();
            assert_eq!(site.events().iter().filter(|kind| *kind == "conflict").count(), 1);
            assert_eq!(site.fake.user(&name(1)), before);

            site.target(", adopt: userName");
            site.let_a_day_pass();
            site.run();
            let after = site.fake.user(&name(1)).expect("a user");
            match external_id {
                None => {
                    assert!(after["externalId"].as_str().expect("an id").starts_with("intake:"), "{after}");
                    assert_eq!(site.count("published"), 2);
                }
                Some(_) => assert_eq!(Some(after), before, "somebody else's is never taken over"),
            }
        }
    }
}

#[test]
fn a_post_that_adopts_somebody_is_noticed_and_not_followed() {
    type Order = fn(&mut Wrong);
    let orders: [(&str, Order); 3] = [
        ("it says whom", |_| {}),
        ("it does not say whom", |wrong| wrong.post_is_mute = true),
        ("together", |wrong| {
            wrong.configuration = Some(json!({"bulk": {"supported": true, "maxOperations": 4}}));
        }),
    ];
    for (what, order) in orders {
        for fields in ["", ", onRemoval: delete"] {
            let site = Site::new(&[1, 2], fields);
            site.fake.stranger("info@contoso.test", None);
            site.fake.change("info@contoso.test", |user| user["emails"] = json!([{"value": name(1)}]));
            site.fake.set(|wrong| {
                wrong.post_adopts_by_address = true;
                order(wrong);
            });
            site.run();
            let before = site.fake.user("info@contoso.test").expect("the stranger");
            assert!(before["externalId"].as_str().is_some_and(|id| id.starts_with("intake:")), "{before}");
            assert_eq!((&before["displayName"], &before["active"]), (&json!("A Stranger"), &json!(true)));
            assert!(site.cause().contains("somebody else's"), "{what}: {}", site.cause());
            assert_eq!(site.writes(), [""; 0], "{what}");
            site.let_a_day_pass();
            assert_eq!(site.writes(), [""; 0], "{what}: nor a day later");
            site.people(&[2]);
            assert_eq!(site.writes(), [""; 0], "{what}: nor when the account goes");
            site.let_a_day_pass();
            assert_eq!(site.writes(), [""; 0], "{what}: nor a day after that");
            site.people(&[1, 2]);
            assert_eq!(site.writes(), [""; 0], "{what}: nor when it is back");
            assert_eq!(site.fake.user("info@contoso.test"), Some(before), "{what}");
            let told = site.events().iter().filter(|kind| *kind == "conflict").count();
            assert_eq!(told, 1, "{what}: told once");
            // That they are called so by now does not make them somebody else.
            site.fake.change("info@contoso.test", |user| user["userName"] = json!(name(1)));
            site.let_a_day_pass();
            assert_eq!(site.writes(), [""; 0], "{what}: nor when the names agree");
        }
    }
    // One that adopts by name has whoever it is looked at before.
    let site = Site::new(&[1], "");
    site.fake.stranger(&name(1), Some("theirs"));
    site.fake.set(|wrong| wrong.post_adopts = true);
    assert_eq!(site.writes(), [""; 0]);
    assert_eq!(site.count("conflict"), 1);
}

#[test]
fn who_exists_and_cannot_be_found_is_left_to_a_person() {
    let site = Site::new(&[1], "");
    site.fake.set(|wrong| wrong.post_conflicts = true);
    assert_eq!(site.writes(), ["POST /Users"]);
    assert!(site.cause().contains("cannot be found"), "{}", site.cause());
    assert_eq!(site.writes(), [""; 0]);
    // Who is hidden because inactive is found by its id.
    let site = Site::new(&[1, 2], "");
    site.fake.set(|wrong| wrong.filters_hide_inactive = true);
    site.run();
    site.people(&[2]);
    site.run();
    site.people(&[1, 2]);
    site.run();
    assert_eq!((site.active().len(), site.fake.users().len()), (2, 2));
}

#[test]
fn a_post_that_fails_and_was_kept_all_the_same_is_found_again() {
    for status in [500, 501, 502, 503] {
        let site = Site::new(&[1, 2], "");
        site.fake.set(|wrong| wrong.post_keeps_and_fails = vec![status; 2]);
        site.run();
        site.let_time_pass();
        site.run();
        assert_eq!(site.fake.users().len(), 2, "{status}: nobody twice");
        assert_eq!(site.count("published"), 2, "{status}");
        let posts = site.fake.take_writes().iter().filter(|write| *write == "POST /Users").count();
        assert_eq!(posts, 2, "{status}");
    }
}

#[test]
fn what_a_service_drops_is_told_as_drift_and_not_written_again() {
    for drops in
        [vec!["displayName"], vec!["name"], vec!["externalId"], vec!["displayName", "name", "externalId"]]
    {
        let site = Site::new(&[1, 2], ", drift: {check: 24h, correct: true}");
        site.fake.set(|wrong| wrong.drops.clone_from(&drops));
        site.run();
        assert_eq!(site.count("drifted"), 2, "{drops:?}");
        for _ in 0..3 {
            assert_eq!(site.writes(), [""; 0], "{drops:?}");
        }
        // It is set right once where the operator wants that, and then told of.
        let mut writes = Vec::new();
        for _ in 0..4 {
            site.let_a_day_pass();
            writes.push(site.writes().len());
        }
        assert!(writes[0] <= 2, "{drops:?}: {writes:?}");
        assert_eq!(writes[1..], [0, 0, 0], "{drops:?}");
        assert_eq!(site.count("drifted"), 2, "{drops:?}");
        assert_eq!(site.fake.users().len(), 2, "{drops:?}");
        // And who is removed is deactivated all the same.
        site.people(&[2]);
        site.run();
        assert_eq!(site.active(), [name(2)], "{drops:?}");
    }
}

#[test]
fn who_stays_active_whatever_it_is_told_is_told_of() {
    let site = Site::new(&[1, 2], "");
    site.run();
    site.fake.set(|wrong| wrong.stays_active = true);
    site.people(&[2]);
    assert_eq!(site.writes(), ["PATCH /Users/u1"]);
    assert_eq!(site.writes(), [""; 0]);
    assert!(site.cause().contains("active all the same"), "{}", site.cause());
}

#[test]
fn a_service_that_finds_nothing_at_all_for_a_while_has_lost_nobody() {
    for (fields, status) in [("", "deactivated"), (", onRemoval: delete", "deleted")] {
        for drops in [vec![], vec!["externalId"]] {
            // All requests, or the first few: those for the configuration, for the user, and for others.
            for requests in [usize::MAX, 2, 3, 4] {
                let what = format!("{fields} {drops:?} {requests}");
                let site = Site::new(&[1, 2, 3], fields);
                site.fake.set(|wrong| wrong.drops.clone_from(&drops));
                site.run();
                let kinds = site.events();
                site.fake.set(|wrong| wrong.nothing_is_there = requests);
                site.people(&[1, 2]);
                site.run();
                if site.active().len() == 3 {
                    assert_eq!((site.count("waiting"), site.count(status)), (1, 0), "{what}");
                    assert_eq!(site.events(), kinds, "{what}: nothing came of it");
                    let told = site.here.json(&["status"], 0)["targets"][0].clone();
                    assert!(told["fault"].is_string(), "{what}: {told:#}");
                }
                site.fake.set(|wrong| wrong.nothing_is_there = 0);
                site.let_time_pass();
                site.run();
                assert_eq!(site.active(), [name(1), name(2)], "{what}");
                assert_eq!(site.count(status), 1, "{what}");
            }
        }
    }
}

#[test]
fn what_is_no_user_is_nobody_who_is_gone() {
    let site = Site::new(&[1, 2, 3], "");
    site.fake.set(|wrong| wrong.drops = vec!["externalId"]);
    site.run();
    site.fake.set(|wrong| wrong.shows_nobody = true);
    site.people(&[1, 2]);
    assert_eq!(site.writes(), [""; 0]);
    assert_eq!((site.count("waiting"), site.count("deactivated")), (1, 0));
    site.fake.set(|wrong| wrong.shows_nobody = false);
    site.let_time_pass();
    site.run();
    assert_eq!(site.active(), [name(1), name(2)]);
}

#[test]
fn a_token_that_may_not_write_is_a_fault_of_the_target_and_fails_nobody() {
    for status in [403, 404] {
        let site = Site::new(&[1, 2, 3], "");
        let fault = || {
            let told = site.here.json(&["status"], 0)["targets"][0].clone();
            told["fault"].as_str().unwrap_or_default().to_owned()
        };
        site.fake.set(|wrong| wrong.writes_refused = Some(("/Users", status)));
        site.run();
        assert_eq!((site.count("waiting"), site.count("failed")), (3, 0), "{status}");
        assert!(fault().contains(&status.to_string()), "{}", fault());
        site.fake.set(|wrong| wrong.writes_refused = None);
        site.let_time_pass();
        site.run();
        assert_eq!((site.active().len(), fault().as_str()), (3, ""));
        site.fake.set(|wrong| wrong.writes_refused = Some(("/Users", status)));
        site.rename(&[1, 2], &name(1), "janet@contoso.test");
        site.run();
        assert_eq!((site.count("waiting"), site.count("failed")), (2, 0), "{status}");
        assert!(fault().contains(&status.to_string()), "{}", fault());
        let asked = site.fake.take_seen().len();
        site.run();
        assert_eq!(site.fake.take_seen().len(), 0, "{status}: not again at once, after {asked}");
        site.fake.set(|wrong| wrong.writes_refused = None);
        site.let_time_pass();
        site.run();
        assert_eq!((site.active(), fault().as_str()), (vec!["janet@contoso.test".to_owned(), name(2)], ""));
    }
    // Of one user alone it stops nobody else.
    let people: Vec<u32> = (1..=12).collect();
    let site = Site::new(&people, ", removal: {maxPercent: 100, maxCount: 100}");
    site.run();
    site.fake.set(|wrong| wrong.writes_refused = Some(("/Users/u2", 403)));
    site.people(&[12]);
    site.run();
    assert_eq!((site.active(), site.count("waiting")), (vec![name(12), name(2)], 1));
    // Nor of three, the first of all among them (u1, u10 and u11).
    let site = Site::new(&people, ", removal: {maxPercent: 100, maxCount: 100}");
    site.run();
    site.fake.set(|wrong| wrong.writes_refused = Some(("/Users/u1", 403)));
    site.people(&[12]);
    site.run();
    let mut left: Vec<String> = [1, 10, 11, 12].map(name).into();
    left.sort_unstable();
    assert_eq!((site.active(), site.count("waiting")), (left, 3));
}

#[test]
fn of_several_with_one_name_none_is_taken_over() {
    for is_filtered in [true, false] {
        let site = Site::new(&[1, 2], ", adopt: userName");
        site.fake.stranger(&name(1), None);
        site.fake.stranger(&name(1).to_uppercase(), None);
        let before = site.fake.users();
        if !is_filtered {
            site.fake.set(|wrong| {
                wrong.filters_refused.insert("externalId", 400);
                wrong.filters_refused.insert("userName", 400);
            });
        }
        site.run();
        assert_eq!(site.fake.users()[..2], before, "{is_filtered}");
        assert!(site.cause().contains("2 users at the target have the userName"), "{}", site.cause());
    }
}

#[test]
fn who_is_gone_already_is_gone_and_who_cannot_be_deleted_is_deactivated() {
    let site = Site::new(&[1, 2, 3], ", onRemoval: delete");
    site.run();
    site.fake.remove(&name(3));
    site.people(&[1, 2]);
    assert_eq!(site.writes(), [""; 0]);
    assert_eq!(site.count("deleted"), 1);
    for status in [405, 501, 400] {
        let site = Site::new(&[1, 2, 3], ", onRemoval: delete");
        site.run();
        site.fake.set(|wrong| wrong.delete_status = status);
        site.people(&[1, 2]);
        assert_eq!(site.writes(), ["DELETE /Users/u3", "PATCH /Users/u3"], "{status}");
        assert_eq!(site.active().len(), 2);
        assert_eq!(site.writes(), [""; 0]);
    }
}

#[test]
fn a_service_that_wants_to_be_left_alone_is_left_alone() {
    let site = Site::new(&[1, 2, 3], "");
    site.fake.set(|wrong| wrong.too_fast = 1);
    site.run();
    assert_eq!(site.active().len(), 3, "a second is waited for");
    let site = Site::new(&[1, 2, 3], "");
    site.fake.set(|wrong| wrong.too_fast = 1_000);
    site.run();
    let asked = site.fake.take_seen().len();
    assert!(asked < 30, "{asked} requests");
    assert_eq!((site.count("waiting"), site.fake.users().len()), (3, 0));
    site.fake.set(|wrong| wrong.too_fast = 0);
    site.let_time_pass();
    site.run();
    assert_eq!(site.active().len(), 3);
}

#[test]
fn several_go_together_where_that_is_offered_and_singly_where_it_fails() {
    let bulk = json!({"bulk": {"supported": true, "maxOperations": 4, "maxPayloadSize": 100_000}});
    let people: Vec<u32> = (1..=10).collect();
    type Order = fn(&mut Wrong);
    let orders: [(&str, Order, usize); 6] = [
        ("all of it works", |_| {}, 3),
        ("some fail", |wrong| wrong.bulk_fails = 3, 3),
        ("only two go together", |wrong| wrong.bulk_takes = 2, 6),
        ("none go together", |wrong| wrong.bulk_takes = 0, 3),
        ("it is not there", |wrong| wrong.bulk_status = 501, 1),
        ("it fails", |wrong| wrong.bulk_status = 500, 1),
    ];
    for (what, order, expected) in orders {
        let site = Site::new(&people, "");
        site.fake.set(|wrong| {
            wrong.configuration = Some(bulk.clone());
            order(wrong);
        });
        site.run();
        let writes = site.fake.take_writes();
        let together = writes.iter().filter(|write| *write == "POST /Bulk").count();
        assert_eq!(together, expected, "{what}: {writes:?}");
        assert_eq!(site.fake.users().len(), 10, "{what}");
        assert_eq!(site.count("published"), 10, "{what}");
        assert_eq!(site.writes(), [""; 0], "{what}");
        site.people(&[1, 2, 3, 4, 5, 6, 7, 8]);
        site.run();
        assert_eq!(site.active().len(), 8, "{what}");
    }
}

#[test]
fn names_with_quotes_reach_nobody_else() {
    let site = Site::new(&[1, 2], "");
    site.rename(&[1, 2], &name(1), "a\\b@contoso.test");
    site.run();
    site.run();
    assert!(site.fake.user(&name(2)).is_some());
    assert!(site.fake.users().len() <= 2);
}
