//! Several controllers on one register: whatever happens to them, to the database and to the way between, everybody is
//! imported once, nothing is lost, and the work goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::intake::{Installation, PATIENCE, Running, persons, until, until_within};
use crate::support::postgres::{Database, Postgres, PostgresOptions};
use crate::support::receiver::Receiver;
use crate::support::wire::Wire;

/// As many as give each of three replicas several, also one that is late.
const CUSTOMERS: u32 = 36;

/// A lease that is short enough for a test to stand still for longer.
const LEASE: Duration = Duration::from_secs(3);

/// How long everybody may wait where the database was away: whoever was due meanwhile waits longer each time.
const AFTER_AN_OUTAGE: Duration = Duration::from_secs(180);

/// How long a replica may take to end in the middle of its turns.
const GRACE: Duration = Duration::from_secs(60);

fn name(customer: u32) -> String {
    format!("customer-{customer:02}")
}

/// Replicas, and what they work with.
struct Fleet {
    here: Installation,
    receiver: Receiver,
    /// Each customer has the people from 1 to this number.
    people: u32,
}

impl Fleet {
    fn new(database: &Database) -> Self {
        let (here, receiver) = (Installation::new(), Receiver::start());
        // The test's own questions have time; and a replica that makes one turn at a time leaves the others some.
        here.operator_at(&database.url(), &format!("{}concurrency: 1\n", receiver.notify("changed")));
        let names: Vec<String> = (0..CUSTOMERS).map(name).collect();
        here.policy(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let fleet = Self { here, receiver, people: 3 };
        fleet.write_people();
        fleet
    }

    fn write_people(&self) {
        let people: Vec<u32> = (1..=self.people).collect();
        (0..CUSTOMERS).for_each(|customer| self.here.customer_of_files(&name(customer), &people));
    }

    /// Two more people for everybody: everybody is due.
    fn grow(&mut self) {
        self.people += 2;
        self.write_people();
    }

    /// The same, and waits until some of them had their turns: most are still due.
    fn grow_until_at_work(&mut self, replicas: [&Running; 3]) {
        let had_their_turns = || replicas.iter().map(|replica| applied(replica)).sum::<usize>();
        let before = had_their_turns();
        self.grow();
        let _logs = Logs(&replicas);
        // What was done before may still be on its way into the logs, one line of each.
        until("the work begins", || had_their_turns() > before + replicas.len());
    }

    fn start(&self, url: &str) -> Running {
        self.here.start(&["run", "--state", &address(url)])
    }

    /// Waits until everybody is imported who is there.
    fn expect_imported(&self, replicas: &[&Running]) {
        self.expect_imported_within(PATIENCE, replicas);
    }

    fn expect_imported_within(&self, patience: Duration, replicas: &[&Running]) {
        let _logs = Logs(replicas);
        let everybody: Vec<u32> = (1..=self.people).collect();
        let everybody = persons(&everybody);
        until_within(patience, "everybody is imported", || {
            let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for account in self.here.accounts() {
                let customer = account["customer"].as_str().expect("a name").to_owned();
                found
                    .entry(customer)
                    .or_default()
                    .insert(account["samAccountName"].as_str().expect("one").to_owned());
            }
            (0..CUSTOMERS).all(|customer| found.get(&name(customer)) == Some(&everybody))
        });
    }

    /// Nobody was imported twice, every write was told, the record is whole, and nothing is left to do.
    fn expect_whole(&self) {
        self.here.expect_whole();
        let mut added: BTreeMap<(String, String), u32> = BTreeMap::new();
        let mut written: BTreeSet<(String, String)> = BTreeSet::new();
        for event in self.here.events().iter().filter(|event| event["kind"] == "account.added") {
            *added.entry((event["customer"].to_string(), event["account"].to_string())).or_default() += 1;
            written.insert((event["customer"].to_string(), event["run"].to_string()));
        }
        assert_eq!(added.len() as u32, CUSTOMERS * self.people);
        assert!(added.values().all(|times| *times == 1), "{added:?}");
        let told = || -> BTreeSet<(String, String)> {
            let of = |event: &Value| (event["subject"].to_string(), event["data"]["run"].to_string());
            self.receiver.told().iter().map(of).collect()
        };
        // Whoever was killed over a delivery left it to the others two minutes later.
        let begun = Instant::now();
        while told() != written {
            assert!(begun.elapsed() < Duration::from_secs(300), "told: {:?}\nwritten: {written:?}", told());
            std::thread::sleep(Duration::from_millis(200));
        }
        self.here.run(&["plan", "--detailed-exitcode"]).expect(0);
    }
}

/// Tells what replicas said when the test fails.
struct Logs<'a>(&'a [&'a Running]);

impl Drop for Logs<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (number, replica) in self.0.iter().enumerate() {
                let log = replica.log();
                let lines: Vec<&str> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(40)..].join("\n");
                let _ = writeln!(std::io::stderr(), "replica {number}:\n{last}");
            }
        }
    }
}

/// The address with a short lease, and with patience that fits it.
fn address(url: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}lease={}s&statementTimeout=3s&maxConnections=6", LEASE.as_secs())
}

/// How many turns ended in a replica that wrote.
fn applied(replica: &Running) -> usize {
    replica.log().matches("intake::applied").count().max(replica.log().matches("applied customer=").count())
}

/// Waits until everybody's writes were logged, which is after they can be seen; returns the share of each replica.
fn shares(replicas: [&Running; 3], before: [usize; 3]) -> [usize; 3] {
    let _logs = Logs(&replicas);
    let shares = || [0, 1, 2].map(|replica: usize| applied(replicas[replica]) - before[replica]);
    until("the writes were logged", || shares().iter().sum::<usize>() >= CUSTOMERS as usize);
    shares()
}

#[test]
fn three_replicas_share_the_work_and_lose_nothing_whatever_happens_to_them() {
    let mut server = Postgres::start(&PostgresOptions { over_tcp: true, ..PostgresOptions::default() });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let database = runtime.block_on(server.database());
    let mut fleet = Fleet::new(&database);
    let wire = Wire::to(server.port());
    let mut first = fleet.start(&database.url());
    let mut second = fleet.start(&database.url());
    let mut third = fleet.start(&database.url_by(wire.port()));
    fleet.expect_imported(&[&first, &second, &third]);
    let begin = shares([&first, &second, &third], [0; 3]);
    assert_eq!(begin.iter().sum::<usize>(), CUSTOMERS as usize, "one turn that wrote for each: {begin:?}");

    // Everybody is due at once, and all three are there.
    [&mut first, &mut second, &mut third].into_iter().for_each(|replica| replica.logs("tree read"));
    fleet.grow();
    fleet.expect_imported(&[&first, &second, &third]);
    let shares = shares([&first, &second, &third], begin);
    assert_eq!(shares.iter().sum::<usize>(), CUSTOMERS as usize, "{shares:?}");
    assert!(shares.iter().all(|share| *share >= 2), "the work spreads: {shares:?}");

    // Killed in the middle of its turns.
    fleet.grow_until_at_work([&first, &second, &third]);
    second.kill();
    fleet.expect_imported(&[&first, &third]);

    // A new one in its place, and another that stands still for longer than its leases last, in the middle of turns.
    let mut second = fleet.start(&database.url());
    second.logs("tree read");
    fleet.grow_until_at_work([&first, &second, &third]);
    first.signal("STOP");
    fleet.expect_imported(&[&first, &second, &third]);
    std::thread::sleep(LEASE + Duration::from_secs(1));
    first.signal("CONT");

    // The database dies while they work, and comes back.
    fleet.grow_until_at_work([&first, &second, &third]);
    server.kill();
    std::thread::sleep(Duration::from_secs(1));
    server.begin();
    fleet.expect_imported_within(AFTER_AN_OUTAGE, &[&first, &second, &third]);

    // Nothing goes through between one of them and the database.
    fleet.grow_until_at_work([&first, &second, &third]);
    wire.hold(true);
    fleet.expect_imported(&[&first, &second, &third]);
    wire.hold(false);

    // One after the other is replaced, while there is work.
    fleet.grow();
    let fourth = fleet.start(&database.url());
    std::thread::sleep(Duration::from_secs(3));
    first.signal("TERM");
    first.end_within(GRACE).expect(0);
    second.signal("TERM");
    second.end_within(GRACE).expect(0);
    fleet.expect_imported(&[&third, &fourth]);
    fleet.expect_whole();
    assert!(!third.log().contains("failed inside Intake") && !fourth.log().contains("failed inside Intake"));
}
