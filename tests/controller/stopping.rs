//! The controller is told to stop, in the middle of anything.

use std::time::Duration;

use crate::support::graph::{ALWAYS, At, Fault, GraphFake, Place};
use crate::support::intake::{Installation, directory, persons, until};
use crate::support::slapd::{Slapd, SlapdOptions};

/// What a supervisor grants before it kills: Kubernetes, unless told otherwise.
const GRACE: Duration = Duration::from_secs(30);

fn of_files_and_graph(graph: &GraphFake) -> Installation {
    let mut here = Installation::new();
    here.policy(&["contoso"]);
    here.people("contoso", &[1, 2, 3]);
    let tenant = here.graph_source("contoso", graph);
    here.customer("contoso", "Contoso", &crate::support::intake::ldif_source("contoso"), &tenant);
    here
}

#[test]
fn it_stops_in_the_middle_of_a_reading_and_writes_nothing_of_it() {
    for (signal, place) in [("TERM", Place::Users), ("INT", Place::Token), ("TERM", Place::Skus)] {
        let graph = GraphFake::spawn();
        graph.tenant("contoso.test").people(3);
        let here = of_files_and_graph(&graph);
        graph.fault(At { place, page: None, tenant: None }, Fault::Hang, ALWAYS);
        let controller = here.start(&["run"]);
        until("it asks the tenant", || graph.count(place) > 0);
        controller.signal(signal);
        let run = controller.end_within(GRACE).expect(0);
        assert!(run.stderr.contains("stopped"), "{run:?}");
        assert!(here.accounts().is_empty());
        here.expect_whole();

        graph.clear_faults();
        here.run(&["run", "--once"]).expect(0);
        assert_eq!(here.names("contoso", "active"), persons(&[1, 2, 3]));
    }
}

#[test]
fn it_stops_in_the_middle_of_a_reading_of_a_silent_directory() {
    let slapd = Slapd::start(&directory(&[1], &[1]), &SlapdOptions::default());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ldap://{}", silent.local_addr().expect("an address"));
    let graph = GraphFake::spawn();
    graph.tenant("contoso.test").people(1);
    let mut here = Installation::new();
    here.policy(&["contoso"]);
    let tenant = here.graph_source("contoso", &graph);
    let main = here.ldap_source("contoso", &url);
    here.customer("contoso", "Contoso", &main, &tenant);
    let controller = here.start(&["run"]);
    let (_connection, _) = silent.accept().expect("it asks the directory");
    controller.signal("TERM");
    controller.end_within(GRACE).expect(0);
    assert!(here.accounts().is_empty());

    let main = here.ldap_source("contoso", &slapd.url());
    here.customer("contoso", "Contoso", &main, &tenant);
    here.run(&["run", "--once"]).expect(0);
    assert_eq!(here.names("contoso", "active"), persons(&[1]));
}

#[test]
fn it_stops_while_it_has_nothing_to_do() {
    for signal in ["TERM", "INT"] {
        let here = Installation::new();
        here.policy(&["contoso"]);
        here.customer_of_files("contoso", &[1, 2, 3]);
        let mut controller = here.start(&["run"]);
        controller.logs("applied");
        controller.signal(signal);
        let run = controller.end_within(GRACE).expect(0);
        assert!(run.stderr.contains("stopped"), "{run:?}");
        here.expect_whole();
        let again = here.run(&["plan", "--detailed-exitcode"]);
        again.expect(0);
    }
}

#[test]
fn it_stops_while_it_writes_and_what_it_began_is_whole() {
    let people: Vec<u32> = (1..=400).collect();
    let customers = ["a", "b", "c", "d", "e", "f"];
    for milliseconds in [0, 30, 60, 100, 150, 220, 300] {
        let here = Installation::new();
        here.policy(&customers);
        for name in customers {
            here.customer_of_files(name, &people);
        }
        let mut controller = here.start(&["run"]);
        controller.logs("tree read");
        // A moment somewhere in the turns is what is meant, not that something has happened by then.
        std::thread::sleep(Duration::from_millis(milliseconds));
        controller.signal("TERM");
        controller.end_within(GRACE).expect(0);
        here.expect_whole();
        for name in customers {
            let count = here.names(name, "active").len();
            assert!(count == 0 || count == 400, "{name} has {count} accounts: its write was cut in two");
        }
    }
}

#[test]
fn a_round_that_is_told_to_stop_says_that_it_did_not_do_everything() {
    let graph = GraphFake::spawn();
    graph.tenant("contoso.test").people(3);
    let here = of_files_and_graph(&graph);
    graph.fault(At::users(), Fault::Hang, ALWAYS);
    let round = here.start(&["run", "--once"]);
    until("it asks the tenant", || graph.count(Place::Users) > 0);
    round.signal("TERM");
    let run = round.end_within(GRACE).expect(1);
    assert!(run.stderr.contains("stopped"), "{run:?}");
    assert!(here.accounts().is_empty());
}
