//! The laws of the record: what it tells of a register is what the register was.

use std::collections::BTreeSet;

use intake::adapters::store::connection::Store;
use intake::model::event::EventKind;
use intake::plan::diff::RESTORABLE;
use intake::ports::register::{ChainCheck, Register, RegisterReader};
use intake::reconcile::meant::Meant;
use intake::reconcile::replay::Replay;

use super::*;

/// Some turns of one customer: what it is like at each, how long after the one before, and whether the
/// held removals are approved.
#[derive(Debug, Clone)]
struct Story {
    turns: Vec<(World, i64, bool)>,
    tenant_only: bool,
}

fn stories() -> impl Strategy<Value = Story> {
    // Hours, and now and then weeks: graces end, and removed accounts are forgotten.
    let waits = prop_oneof![2 => 600_i64..90_000, 1 => 864_000_i64..3_500_000];
    let turns = proptest::collection::vec((worlds(), waits, mostly(50)), 2..9);
    (turns, mostly(30)).prop_map(|(turns, tenant_only)| Story { turns, tenant_only })
}

/// What the register held after a turn.
struct Moment {
    at: Timestamp,
    accounts: Vec<Account>,
}

/// Lives through a story as turns do, with a store; returns what the register held after each.
async fn live(story: &Story, store: &Store) -> Vec<Moment> {
    let mut now = moment(100_000_000);
    let mut moments = Vec::new();
    for (number, (world, wait, approves)) in story.turns.iter().enumerate() {
        now = now.checked_add(jiff::SignedDuration::new(*wait, 123_456_789)).unwrap();
        let world = World { tenant_only: story.tenant_only, ..world.clone() };
        let mut customer = world.customer();
        if number % 3 == 2 {
            // Another policy answers for nobody whom the first one imported: accounts are orphaned.
            customer.imports = BTreeMap::new();
        }
        let observed = |register| Observation { at: now, register, ..world.observation(false) };
        let load = async || store.load("contoso").await.unwrap();
        let seen = observed(load().await);
        let mut plan = plan_customer(&customer, &seen);
        if let (Some(approval), true) = (plan.approval, *approves) {
            write(store, &plan, &seen, number).await;
            customer.approve_once.insert(approval, Text::from("somebody"));
            plan = plan_customer(&customer, &observed(load().await));
        }
        write(store, &plan, &observed(load().await), number).await;
        store.forget_removed("contoso", RESTORABLE.before(now)).await.unwrap();
        moments.push(Moment { at: now, accounts: load().await.accounts });
    }
    moments
}

async fn write(store: &Store, plan: &CustomerPlan, seen: &Observation, number: usize) {
    let run = Text::from(format!("run-{number}"));
    let stamp = Stamp { run, tree_revision: Text::from(format!("tree-{number}")), at: seen.at };
    let readings = ReadingDigests::of(seen);
    if let Some(commit) = commit_of(plan, &seen.register, &readings, &stamp, &[]) {
        store.commit(commit).await.unwrap();
    }
}

async fn replayed(store: &Store, at: Timestamp) -> Vec<Account> {
    let mut replay = Replay::default();
    for event in store.events(Some("contoso")).await.unwrap() {
        if event.at <= at {
            replay.follow(&event).unwrap();
        }
    }
    replay.accounts(at)
}

fn in_a_runtime(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_register_as_it_was_is_the_register_that_was(story in stories()) {
        in_a_runtime(async {
            let store = Store::open("sqlite::memory:").await.unwrap();
            let moments = live(&story, &store).await;
            for moment in &moments {
                assert_eq!(replayed(&store, moment.at).await, moment.accounts, "at {}", moment.at);
            }
            let before_all = moments[0].at.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap();
            assert_eq!(replayed(&store, before_all).await, []);
            assert!(matches!(store.verify("contoso").await.unwrap(), ChainCheck::Whole(_)));
        });
    }

    #[test]
    fn every_event_of_an_account_is_found_by_its_id_and_no_other(story in stories(), number in number()) {
        in_a_runtime(async {
            let store = Store::open("sqlite::memory:").await.unwrap();
            live(&story, &store).await;
            let id = if story.tenant_only { user_id(number) } else { person_id(number) };
            let events = store.events(None).await.unwrap();
            let mut meant = Meant::new(&id.to_string());
            events.iter().for_each(|event| meant.note(event));
            for event in events.iter().filter(|event| event.account.is_some()) {
                assert_eq!(meant.is_about(event), event.account.is_some_and(|(_, of)| of == id), "{event:?}");
            }
        });
    }
}

#[test]
fn stories_tell_of_every_kind_of_event_and_of_forgetting() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut kinds, mut forgotten) = (BTreeSet::new(), 0);
    in_a_runtime(async {
        for _ in 0..150 {
            let story = stories().new_tree(&mut runner).unwrap().current();
            let store = Store::open("sqlite::memory:").await.unwrap();
            let moments = live(&story, &store).await;
            kinds.extend(store.events(None).await.unwrap().into_iter().map(|event| event.kind));
            let keys = |moment: &Moment| -> BTreeSet<AccountKey> {
                moment.accounts.iter().map(|account| account.key).collect()
            };
            forgotten += moments.windows(2).filter(|pair| !keys(&pair[0]).is_subset(&keys(&pair[1]))).count();
        }
    });
    let told: Vec<&str> = kinds.iter().map(Text::as_str).collect();
    let mut all: Vec<&str> = EventKind::ALL.map(EventKind::code).to_vec();
    // No turn suspends or resumes anybody: people do. Contacts are looked for, and accounts published, after turns.
    let is_of_turns =
        |kind: &&str| !["customer.", "contact.", "publication."].iter().any(|of| kind.starts_with(of));
    all.retain(is_of_turns);
    all.sort_unstable();
    assert_eq!(told, all);
    assert!(forgotten > 0, "nobody was ever forgotten");
}
