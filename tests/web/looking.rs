//! Looking around by the API: customers, accounts, plans, explanations and events, in pages and with tags.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use super::{OPERATOR, VIEWER, started, with_tokens, without_tokens};
use crate::support::asking::Served;
use crate::support::intake::{PATIENCE, until};

const PEOPLE: [(&str, &[u32]); 3] = [("adatum", &[1, 2]), ("contoso", &[1, 2, 3]), ("fabrikam", &[4])];

/// Watches, with a viewer's token.
fn watch(served: &Served, path: &str) -> impl Iterator<Item = String> + use<> {
    let mut stream = TcpStream::connect(served.address).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {VIEWER}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut lines = BufReader::new(stream).lines().map(|line| line.expect("a line"));
    let first = lines.next().expect("a status");
    assert!(first.contains(" 200 "), "{first}");
    assert!(lines.any(|line| line == "content-type: text/event-stream"));
    assert!(lines.any(|line| line.starts_with("retry:")));
    lines
}

/// Returns what is told next.
fn next_told(lines: &mut impl Iterator<Item = String>) -> Value {
    let line = lines.find(|line| line.starts_with("data: ")).expect("something");
    serde_json::from_str(line.trim_start_matches("data: ")).expect("JSON")
}

fn names(answer: &Value, list: &str, field: &str) -> Vec<String> {
    let list = answer[list].as_array().expect("a list");
    list.iter().map(|one| one[field].as_str().expect("a name").to_owned()).collect()
}

/// Waits until the view of the fleet, which may be some seconds old, shows everybody's first turn.
fn until_all_are_ready(served: &Served) {
    until("all are listed as ready", || {
        let ready = served.get("/api/v1/customers?state=ready").expect(200).json();
        names(&ready, "customers", "name").len() == PEOPLE.len()
    });
}

/// Goes from page to page.
fn pages(served: &Served, path: &str, list: &str) -> Vec<Value> {
    let (mut all, mut next, mut asked_for) = (Vec::new(), None::<String>, 0);
    loop {
        let separator = if path.contains('?') { '&' } else { '?' };
        let asked = match &next {
            Some(cursor) => format!("{path}{separator}cursor={cursor}"),
            None => path.to_owned(),
        };
        let page = served.get(&asked).expect(200).json();
        all.extend(page[list].as_array().expect("a list").iter().cloned());
        match page["next"].as_str() {
            Some(cursor) => next = Some(cursor.to_owned()),
            None => return all,
        }
        asked_for += 1;
        assert!(asked_for < 1_000, "pages without end");
    }
}

#[test]
fn pages_and_programs_that_watch_share_the_places() {
    let here = without_tokens();
    let served = started(&here, &[("contoso", &[1])]);
    let watch = |path: &str| {
        let mut stream = TcpStream::connect(served.address).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", served.address);
        stream.write_all(head.as_bytes()).expect("sent");
        let mut lines = BufReader::new(stream).lines().map(|line| line.expect("a line"));
        let status = lines.next().expect("a status");
        (status, lines)
    };
    let paths = ["/live", "/api/v1/stream", "/live?customer=contoso", "/api/v1/customers/contoso/stream"];
    let mut watching: Vec<_> = (0..100).map(|number| watch(paths[number % paths.len()])).collect();
    assert!(watching.iter().all(|(status, _)| status.contains(" 200 ")), "100 may watch");
    for path in paths {
        let (status, mut lines) = watch(path);
        assert!(
            status.contains(" 503 ") && lines.any(|line| line.starts_with("retry-after:")),
            "{path}: {status}"
        );
    }
    // Whoever leaves makes room, once a word that is sent finds nobody.
    let (_, mut last) = watching.pop().expect("somebody");
    watching.clear();
    until("there is room", || {
        let (status, mut lines) = watch("/live");
        status.contains(" 200 ") && lines.any(|line| line == "x-accel-buffering: no")
    });
    assert!(last.any(|line| line.starts_with("retry:")));
    served.end();
}

#[test]
fn customers_stand_as_status_says() {
    let here = without_tokens();
    let served = started(&here, &PEOPLE);
    until_all_are_ready(&served);
    let answer = served.get("/api/v1/customers").expect(200).json();
    assert_eq!(names(&answer, "customers", "name"), ["adatum", "contoso", "fabrikam"]);
    assert_eq!(answer["next"], Value::Null);
    assert_eq!(answer["tree"]["problems"], 0);
    let contoso = served.get("/api/v1/customers/contoso").expect(200).json();
    assert_eq!(contoso["state"], "ready");
    assert_eq!(
        contoso["accounts"]["EndUser"],
        json!({"active": 3, "pendingRemoval": 0, "orphaned": 0, "removed": 0})
    );
    assert_eq!(contoso["accountsByDay"].as_array().expect("days").len(), 30);
    assert_eq!(contoso["accountsByDay"][29], 3);
    assert_eq!(contoso["accountsByDay"][27], 0, "nobody was there two days ago");
    let status = here.status("contoso");
    for field in ["lastAttempt", "lastSuccess", "message", "failures", "revision"] {
        assert_eq!(contoso[field], status[field], "{field}");
    }
    let part = served.get("/api/v1/customers?q=A&limit=1").expect(200).json();
    assert_eq!(names(&part, "customers", "name"), ["adatum"]);
    let all = pages(&served, "/api/v1/customers?q=A&limit=1", "customers");
    assert_eq!(all.iter().map(|one| one["name"].clone()).collect::<Vec<_>>(), ["adatum", "fabrikam"]);
    assert_eq!(served.get("/api/v1/customers?state=held,invalid").expect(200).json()["customers"], json!([]));
    assert_eq!(pages(&served, "/api/v1/customers?state=ready&limit=2", "customers").len(), 3);
    served.end();
}

#[test]
fn accounts_and_events_come_in_pages() {
    let here = without_tokens();
    let served = started(&here, &PEOPLE);
    let all = pages(&served, "/api/v1/accounts?limit=2", "accounts");
    let whole = served.get("/api/v1/accounts").expect(200).json();
    assert_eq!(json!(all), whole["accounts"]);
    assert_eq!(all.len(), 6);
    let listed = here.json(&["accounts"], 0);
    let mut listed = listed["accounts"].as_array().expect("accounts").clone();
    for account in &mut listed {
        for field in ["since", "until", "reason"] {
            account[field] = Value::Null;
        }
    }
    assert_eq!(json!(all), json!(listed), "as the command lists them");
    let found = served.get("/api/v1/customers/contoso/accounts?q=PERSON2%20contoso&state=active").expect(200);
    assert_eq!(names(&found.json(), "accounts", "userPrincipalName"), ["person2@contoso.test"]);
    let none = served.get("/api/v1/customers/contoso/accounts?accountType=Administrator").expect(200).json();
    assert_eq!(none, json!({"accounts": [], "next": null}));

    let newest = pages(&served, "/api/v1/customers/contoso/events?limit=2", "events");
    let mut oldest = pages(&served, "/api/v1/customers/contoso/events?limit=3&order=oldest", "events");
    let record = here.json(&["history", "--customer", "contoso"], 0);
    assert_eq!(json!(oldest), record["events"], "as the command lists them");
    oldest.reverse();
    assert_eq!(newest, oldest);
    let added = pages(&served, "/api/v1/events?kind=account.added,account.removed", "events");
    assert_eq!(added.len(), 6);
    let id = all[2]["directoryId"].as_str().expect("an id");
    let of_one = pages(&served, &format!("/api/v1/customers/contoso/events?account={id}"), "events");
    assert_eq!(of_one.len(), 1);
    assert_eq!(of_one[0]["account"]["id"], *id);
    assert_eq!(pages(&served, "/api/v1/events?since=2999-01-01T00:00:00Z", "events").len(), 0);
    served.end();
}

#[test]
fn plans_and_explanations_are_those_of_the_commands() {
    let here = without_tokens();
    let served = started(&here, &PEOPLE);
    let plan = served.get("/api/v1/customers/contoso/plan").expect(200).json();
    let expected = here.json(&["plan", "--customer", "contoso"], 0);
    assert_eq!(plan["customers"], expected["customers"]);
    assert_eq!(plan["digest"], expected["digest"]);
    assert!(plan["readAt"]["contoso"].is_string());
    let explained = served.get("/api/v1/customers/contoso/explain/PERSON1@contoso.test").expect(200).json();
    let mut expected =
        here.json(&["explain", "person1@contoso.test", "--customer", "contoso", "--cached"], 0);
    assert_eq!(explained["verdict"], "included");
    expected["readAt"] = explained["readAt"].clone();
    assert_eq!(explained, expected);
    let lost = served.get("/api/v1/customers/contoso/explain/person9@contoso.test").expect(404);
    assert!(lost.json()["hint"].as_str().expect("a hint").contains("person1@contoso.test"), "{lost:?}");
    served.end();
}

#[test]
fn a_page_is_of_its_own_list_alone() {
    let here = without_tokens();
    let served = started(&here, &PEOPLE);
    let next = |path: &str| {
        let page = served.get(path).expect(200).json();
        page["next"].as_str().expect("more").to_owned()
    };
    let of_all = next("/api/v1/events?limit=1");
    let of_contoso = next("/api/v1/customers/contoso/events?limit=1");
    let accounts = next("/api/v1/customers/contoso/accounts?limit=1");
    for (list, cursor) in [
        ("customers/contoso/events?", &of_all),
        ("customers/adatum/events?", &of_contoso),
        ("customers/contoso/events?order=oldest&", &of_contoso),
        ("customers/contoso/events?kind=account.added&", &of_contoso),
        ("customers/adatum/accounts?", &accounts),
        ("accounts?", &accounts),
        ("customers/contoso/accounts?q=person&", &accounts),
    ] {
        served.get(&format!("/api/v1/{list}cursor={cursor}")).expect(404);
    }
    served.get(&format!("/api/v1/customers/contoso/accounts?limit=7&cursor={accounts}")).expect(200);
    served.end();
}

#[test]
fn what_a_turn_changed_is_seen_as_soon_as_it_is_told() {
    let here = with_tokens();
    let served = started(&here, &PEOPLE).with(OPERATOR);
    let mut told = watch(&served, "/api/v1/customers/contoso/stream");
    for people in [&[1, 2, 3, 4][..], &[1, 2, 3, 4, 5]] {
        here.people("contoso", people);
        served.get("/api/v1/customers/contoso").expect(200);
        served.post("/api/v1/customers/contoso/sync", "").expect(202);
        // The files' change wakes it as well, sooner or later: the turn that wrote is the one that is meant.
        while next_told(&mut told)["wrote"] != true {}
        let seen = served.get("/api/v1/customers/contoso").expect(200).json();
        assert_eq!(seen["accounts"]["EndUser"]["active"], people.len());
        assert_eq!(seen["accountsByDay"][29], people.len());
        assert_eq!(seen["accountsByDay"][27], 0);
    }
    served.post("/api/v1/customers/contoso/suspend", "{\"reason\": \"moving\"}").expect(200);
    let seen = served.get("/api/v1/customers/contoso").expect(200).json();
    assert_eq!(seen["suspension"]["reason"], "moving");
    served.end();
}

#[test]
fn a_customer_of_which_nothing_was_kept_explains_nobody() {
    let here = without_tokens();
    here.default_policy("selection: {securityGroups: [Intake Users]}");
    here.customer_of_files("contoso", &[1]);
    here.write("contoso.json", "{");
    let served = Served::start(&here);
    until("its first turn is over", || here.status("contoso") != Value::Null);
    assert_eq!(here.status("contoso")["state"], "unreadable");
    let refused = served.get("/api/v1/customers/contoso/explain/person1@contoso.test").expect(409);
    assert!(refused.detail().contains("no complete reading of it yet"), "{refused:?}");
    let plan = served.get("/api/v1/customers/contoso/plan").expect(200).json();
    assert_eq!((plan["customers"][0]["state"].as_str(), &plan["readAt"]), (Some("unreadable"), &json!({})));
    served.end();
}

#[test]
fn what_did_not_change_is_not_sent_again() {
    let here = without_tokens();
    let served = started(&here, &PEOPLE);
    until_all_are_ready(&served);
    for path in ["/api/v1/customers", "/api/v1/customers/contoso/accounts", "/api/v1/openapi.json"] {
        let first = served.get(path).expect(200);
        let tag = first.headers["etag"].clone();
        assert_eq!(first.headers["cache-control"], "no-store");
        let again = served.ask("GET", path, &[("If-None-Match", &tag)], b"").expect(304);
        assert_eq!((again.body.as_str(), &again.headers["etag"]), ("", &tag));
        let head = served.ask("HEAD", path, &[], b"").expect(200);
        assert_eq!((head.body.as_str(), &head.headers["etag"]), ("", &tag));
        assert_eq!(head.headers["content-length"], first.body.len().to_string());
        let other = served.ask("GET", path, &[("If-None-Match", "\"other\"")], b"").expect(200);
        assert_eq!(other.body, first.body);
    }
    served.end();
}

#[test]
fn what_nobody_can_mean_is_refused_and_says_what_can_be_meant() {
    let here = without_tokens();
    let served = started(&here, &PEOPLE);
    for (path, status, part) in [
        ("customers?state=red", 400, "`state` knows no `red`"),
        ("customers?stat=ready", 400, "unknown field `stat`"),
        ("customers?limit=0", 400, "1 to 1000"),
        ("customers?limit=1001", 400, "1 to 1000"),
        ("customers?limit=-1", 400, "limit"),
        ("customers?q=a&q=b", 400, "q"),
        ("accounts?q=a+b+c+d+e", 400, "4 are looked for"),
        ("customers?cursor=x", 404, "no page"),
        ("accounts?cursor=bnVsbA", 404, "no page"),
        ("accounts?state=gone", 400, "gone"),
        ("accounts?accountType=endUser", 400, "endUser"),
        ("accounts?reason=because", 400, "because"),
        ("events?kind=account.added,", 400, "`kind` knows no ``"),
        ("events?since=yesterday", 400, "`since` is no time"),
        ("events?account=0", 400, "account"),
        ("customers/contoso/events?account=jane", 400, "account"),
        ("customers/contosso", 404, "no customer `contosso`"),
        ("customers/contosso/plan", 404, "no customer `contosso`"),
        ("customers/contosso/accounts", 404, "no customer `contosso`"),
        ("customers/contosso/events", 404, "no customer `contosso`"),
        ("customers/contosso/stream", 404, "no customer `contosso`"),
        ("customers/%ff", 400, "UTF-8"),
        ("customers/%e2%80%ae", 404, "\\u{202e}"),
    ] {
        let refused = served.get(&format!("/api/v1/{path}")).expect(status);
        assert!(refused.detail().contains(part), "{path}: {refused:?}");
    }
    let long = "ä".repeat(201);
    served.get(&format!("/api/v1/accounts?q={}", long.replace('ä', "%c3%a4"))).expect(400);
    let wrong = served.post("/api/v1/customers", "{}").expect(405);
    assert_eq!(wrong.headers["allow"], "GET, HEAD");
    served.end();
}

#[test]
fn whoever_watches_is_told_as_it_happens() {
    let here = with_tokens();
    let served = started(&here, &PEOPLE).with(OPERATOR);
    let mut all = watch(&served, "/api/v1/stream");
    let mut of_contoso = watch(&served, "/api/v1/customers/contoso/stream");
    served.post("/api/v1/customers/fabrikam/sync", "").expect(202);
    assert_eq!(next_told(&mut all), json!({"event": "turnBegan", "customer": "fabrikam"}));
    loop {
        match next_told(&mut all) {
            ended if ended["event"] == "turnEnded" => {
                let expected =
                    json!({"event": "turnEnded", "customer": "fabrikam", "state": "ready", "wrote": false});
                assert_eq!(ended, expected);
                break;
            }
            reads => assert_eq!(reads["event"], "turnReads"),
        }
    }
    served.post("/api/v1/customers/contoso/sync", "").expect(202);
    assert_eq!(
        next_told(&mut of_contoso),
        json!({"event": "turnBegan", "customer": "contoso"}),
        "and nothing of others"
    );
    // Whoever watches holds nothing up: the streams end with the program, before it would cut them off.
    served.end();
    let [_, of_contoso] = [all, of_contoso].map(|stream| {
        let rest: Vec<String> = stream.collect();
        // The last chunk of a whole answer; one that is cut off has none.
        assert!(rest.ends_with(&["0".to_owned(), String::new()]), "{rest:?}");
        rest
    });
    assert!(of_contoso.iter().all(|line| !line.contains("fabrikam")), "to its end");
}

/// As many as there are places, all of whom ask again and again by the connection that they have.
#[test]
fn whoever_comes_has_room_however_many_keep_their_connections() {
    let here = without_tokens();
    let served = started(&here, &PEOPLE);
    let connect = || {
        let stream = TcpStream::connect_timeout(&served.address, PATIENCE).expect("it takes it");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        BufReader::new(stream)
    };
    let head = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", served.address);
    // Returns whether it was answered: whoever has to make room is cut off.
    let ask_again = |connection: &mut BufReader<TcpStream>| {
        if connection.get_mut().write_all(head.as_bytes()).is_err() {
            return false;
        }
        let mut length = None;
        loop {
            let mut line = String::new();
            match connection.read_line(&mut line) {
                Ok(0) | Err(_) => return false,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => {}
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let mut content = vec![0; length.expect("a length")];
        connection.read_exact(&mut content).is_ok()
    };
    let mut asking: Vec<_> = (0..256).map(|_| connect()).collect();
    assert!(asking.iter_mut().all(&ask_again), "there is a place for each");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let holding = scope.spawn(|| {
            // Longer than anybody is waited for, and not for ever.
            let began = Instant::now();
            while !over.load(Ordering::Relaxed) && began.elapsed() < 2 * PATIENCE {
                for connection in asking.iter_mut() {
                    let _ = ask_again(connection);
                }
            }
        });
        // Each is a connection of its own, and one more than there are places.
        let answers: Vec<u16> = (0..20).map(|_| served.get("/healthz").status).collect();
        over.store(true, Ordering::Relaxed);
        holding.join().expect("it holds them to the end");
        assert_eq!(answers, [200; 20]);
    });
    served.end();
}

#[test]
fn a_crowd_of_watchers_leaves_room_for_whoever_asks() {
    let here = without_tokens();
    let served = started(&here, &PEOPLE);
    let mut watchers = Vec::new();
    let mut refused = 0;
    for _ in 0..1_000 {
        let Ok(mut stream) = TcpStream::connect_timeout(&served.address, PATIENCE) else {
            continue;
        };
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let head = format!("GET /api/v1/stream HTTP/1.1\r\nHost: {}\r\n\r\n", served.address);
        stream.write_all(head.as_bytes()).expect("sent");
        let mut lines = BufReader::new(stream);
        let mut first = String::new();
        lines.read_line(&mut first).expect("a status");
        if first.contains(" 200 ") {
            watchers.push(lines);
        } else {
            assert!(first.contains(" 503 "), "{first}");
            refused += 1;
        }
    }
    assert_eq!((watchers.len(), refused), (100, 900));
    served.get("/api/v1/customers").expect(200);
    served.get("/healthz").expect(200);
    // A place that is given up is somebody else's.
    drop(watchers);
    until("there is a place again", || {
        let answer = served.ask("HEAD", "/api/v1/stream", &[], b"");
        answer.status == 200
    });
    served.end();
}
