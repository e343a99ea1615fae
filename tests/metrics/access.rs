//! Who reads the metrics, and what is there while the store is not.

use std::fs;

use super::*;

#[test]
fn with_tokens_a_viewers_is_needed() {
    let mut here = Installation::new();
    operator(&mut here, "");
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1]);
    let served = Served::start(&here);
    let refused = served.get("/metrics").expect(401);
    assert!(refused.headers["www-authenticate"].starts_with("Bearer"), "{refused:?}");
    served.ask("GET", "/metrics", &[("Authorization", "Bearer wrong")], b"").expect(401);
    let served = served.with(VIEWER);
    page(&served);
    assert_eq!(served.post("/metrics", "").expect(405).headers["allow"], "GET, HEAD");
    served.end();
}

#[test]
fn without_tokens_this_machine_alone_is_answered() {
    let here = Installation::new();
    here.operator("listen: 127.0.0.1:0\n");
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1]);
    let served = Served::start(&here);
    page(&served);
    // A page that has its own name lead here says that name.
    served.ask("GET", "/metrics", &[("Host", "evil.example")], b"").expect(421);
    served.end();
}

#[test]
fn a_store_that_does_not_answer_is_told_and_the_rest_as_well() {
    let here = Installation::new();
    here.operator("listen: 127.0.0.1:0\n");
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1]);
    let served = Served::start(&here);
    let up = |value: f64| {
        until("the store", || Metrics::read(&page(&served)).get("intake_store_up") == value);
        page(&served)
    };
    until("a turn", || page(&served).contains("intake_customer_state"));
    let (state, aside) = (here.state(), here.folder().join("aside.db"));
    fs::rename(&state, &aside).expect("renamed");
    fs::create_dir(&state).expect("a folder in its place");
    let told = up(0.0);
    assert!(told.contains("intake_tree_info{") && told.contains("intake_turns_total{"), "{told}");
    for of_the_store in ["intake_customer_state", "intake_accounts", "intake_outbox"] {
        assert!(!told.contains(of_the_store), "{told}");
    }
    run_with_input(promtool().args(["check", "metrics"]), &told);
    fs::remove_dir(&state).expect("removed");
    fs::rename(&aside, &state).expect("renamed");
    assert!(up(1.0).contains("intake_customer_state{customer=\"contoso\""));
    served.end();
}

#[test]
fn many_who_read_at_once_are_all_answered() {
    let here = Installation::new();
    here.operator("listen: 127.0.0.1:0\n");
    here.policy(&["contoso"]);
    here.customer_of_files("contoso", &[1]);
    let served = Served::start(&here);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..32).map(|_| scope.spawn(|| page(&served))).collect();
        for reader in readers {
            assert!(reader.join().expect("answered").contains("intake_store_up 1"));
        }
    });
    served.end();
}

#[test]
fn a_tree_that_is_away_or_broken_is_told_and_nobody_vanishes() {
    let here = Installation::new();
    here.operator("listen: 127.0.0.1:0\n");
    here.default_policy("selection: {securityGroups: [Intake Users]}");
    here.customer_of_files("contoso", &[1]);
    let served = Served::start(&here);
    let is = |series: &str, value: f64| {
        until(series, || Metrics::read(&page(&served)).0.get(series).copied() == Some(value));
    };
    let ready = "intake_customer_state{customer=\"contoso\",state=\"ready\"}";
    is(ready, 1.0);
    is("intake_tree_stale", 0.0);
    let aside = here.folder().join("aside");
    fs::rename(here.tree(), &aside).expect("renamed");
    served.running.signal("HUP");
    is("intake_tree_stale", 1.0);
    is(ready, 1.0);
    fs::rename(&aside, here.tree()).expect("renamed");
    served.running.signal("HUP");
    is("intake_tree_stale", 0.0);
    // Whose document this is, nobody can tell.
    here.write("contoso.yaml", "kind: [");
    served.running.signal("HUP");
    is("intake_customer_state{customer=\"contoso\",state=\"invalid\"}", 1.0);
    let told = Metrics::read(&page(&served));
    assert!(told.0.contains_key("intake_customer_interval_seconds{customer=\"contoso\"}"));
    assert!(told.get("intake_tree_problems") > 0.0);
    here.customer_of_files("contoso", &[1]);
    served.running.signal("HUP");
    is("intake_tree_problems", 0.0);
    is(ready, 1.0);
    served.end();
}
