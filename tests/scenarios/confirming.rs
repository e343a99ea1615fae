//! Before somebody is removed, the sources are asked once more: whom a listing missed stays, and who
//! cannot be confirmed waits.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use intake::model::account::Account;
use intake::model::confirmation::{PeopleNow, PersonNow};
use intake::model::contact_match::{ContactMatch, DocumentationStatus};
use intake::model::digest::Digest;
use intake::model::directory::{Directory, Origin};
use intake::model::dn::Dn;
use intake::model::event::{ChainHead, EventPage, EventQuery};
use intake::model::guid::Guid;
use intake::model::reading::{Fault, FaultKind, Reading};
use intake::model::register::{CustomerStatus, LateDelivery, PackedReadings, RegisterState};
use intake::model::tenant::{SyncState, Tenant};
use intake::model::text::Text;
use intake::model::tree_status::TreeStatus;
use intake::plan::outcome::{CustomerPlan, CustomerState, FindingCode, Operation};
use intake::policy::fleet::{Customer, DirectorySource, TenantSource};
use intake::ports::clock::Clock;
use intake::ports::register::{ChainCheck, RegisterFault, RegisterReader};
use intake::ports::source::{DirectoryPort, Progress, Sources, TenantPort, Unwatched};
use intake::reconcile::judge::{Job, Judge, Judged};
use intake::reconcile::observe::{Observer, STALL};

use super::stage::{Stage, codes};

/// What the sources list, and what they say of single people.
struct World {
    at: Timestamp,
    directory: Directory,
    tenant: Tenant,
    register: RegisterState,
    now: Now,
    /// Who was asked for, in the directory and in the tenant.
    asked: Mutex<(Vec<Guid>, Vec<Guid>)>,
}

/// What the sources say of single people.
enum Now {
    /// What another listing held.
    As(Box<(Directory, Tenant)>),
    Silence,
    SilenceOfTheTenant,
}

fn silence<T>() -> Reading<T> {
    Reading::Unavailable(Fault::new(FaultKind::Transient, "ldaps://dc1: no answer in time"))
}

impl World {
    fn note(&self, note: impl FnOnce(&mut (Vec<Guid>, Vec<Guid>))) {
        note(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

struct Port(Arc<World>);

impl Sources for Port {
    fn directory(&self, _customer: &Customer, _source: &DirectorySource) -> Box<dyn DirectoryPort> {
        Box::new(Self(self.0.clone()))
    }

    fn tenant(&self, _customer: &Customer, _source: &TenantSource) -> Box<dyn TenantPort> {
        Box::new(Self(self.0.clone()))
    }
}

#[async_trait]
impl DirectoryPort for Port {
    async fn read(&self, _progress: &dyn Progress) -> Reading<Directory> {
        Reading::Complete(self.0.directory.clone())
    }

    async fn confirm(&self, people: &[Guid], _progress: &dyn Progress) -> Reading<Option<PeopleNow>> {
        self.0.note(|asked| asked.0.extend(people));
        let Now::As(whole) = &self.0.now else {
            return match self.0.now {
                Now::Silence => silence(),
                _ => Reading::Complete(Some(PeopleNow::default())),
            };
        };
        let directory = &whole.0;
        let here = directory.people.iter().enumerate().filter(|(_, person)| people.contains(&person.guid));
        let now = here.map(|(position, person)| PersonNow {
            dn: Dn::parse(&directory.dn_of(person)).expect("a DN"),
            person: person.clone(),
            groups: directory
                .groups
                .iter()
                .filter(|group| {
                    let member = u32::try_from(position).expect("a position");
                    group.members.contains(&intake::model::directory::Member::Person(member))
                })
                .map(|group| group.dn.clone())
                .collect(),
        });
        Reading::Complete(Some(PeopleNow { people: now.collect() }))
    }
}

#[async_trait]
impl TenantPort for Port {
    async fn read(&self, _progress: &dyn Progress) -> Reading<Tenant> {
        Reading::Complete(self.0.tenant.clone())
    }

    async fn confirm(&self, users: &[Guid], _progress: &dyn Progress) -> Reading<Option<Tenant>> {
        self.0.note(|asked| asked.1.extend(users));
        let Now::As(whole) = &self.0.now else { return silence() };
        let mut tenant = whole.1.clone();
        tenant.users.retain(|user| users.contains(&user.id));
        Reading::Complete(Some(tenant))
    }
}

#[async_trait]
impl RegisterReader for Port {
    async fn customers(&self) -> Result<Vec<Text>, RegisterFault> {
        Ok(Vec::new())
    }

    async fn load(&self, _customer: &str) -> Result<RegisterState, RegisterFault> {
        Ok(self.0.register.clone())
    }

    async fn accounts(&self, _customer: Option<&str>) -> Result<Vec<(Text, Account)>, RegisterFault> {
        Ok(Vec::new())
    }

    async fn event_page(&self, _query: &EventQuery, _after: Option<i64>) -> Result<EventPage, RegisterFault> {
        Ok(EventPage::default())
    }

    async fn verify(&self, _customer: &str) -> Result<ChainCheck, RegisterFault> {
        Ok(ChainCheck::Whole(ChainHead::default()))
    }

    async fn sequence_of(&self, _customer: &str, _hash: Digest) -> Result<Option<u64>, RegisterFault> {
        Ok(None)
    }

    async fn removals_since(&self, _since: Timestamp) -> Result<u64, RegisterFault> {
        Ok(0)
    }

    async fn statuses(&self) -> Result<Vec<CustomerStatus>, RegisterFault> {
        Ok(Vec::new())
    }

    async fn status(&self, _customer: &str) -> Result<Option<CustomerStatus>, RegisterFault> {
        Ok(None)
    }

    async fn tree(&self) -> Result<Option<TreeStatus>, RegisterFault> {
        Ok(None)
    }

    async fn readings(&self, _customer: &str) -> Result<Option<PackedReadings>, RegisterFault> {
        Ok(None)
    }

    async fn sync_state(&self, _: &str) -> Result<Option<SyncState>, RegisterFault> {
        Ok(None)
    }

    async fn contacts(&self, _: Option<&str>) -> Result<Vec<(Text, ContactMatch)>, RegisterFault> {
        Ok(Vec::new())
    }

    async fn documentation(&self) -> Result<Vec<DocumentationStatus>, RegisterFault> {
        Ok(Vec::new())
    }

    async fn late_deliveries(&self, _: &str) -> Result<Vec<LateDelivery>, RegisterFault> {
        Ok(Vec::new())
    }
}

impl Clock for Port {
    fn now(&self) -> Timestamp {
        self.0.at
    }
}

fn readings(stage: &Stage) -> (Directory, Tenant) {
    let directory = stage.observation.directories[0].1.complete().expect("a directory").clone();
    let tenant = stage.observation.tenant.as_ref().and_then(Reading::complete).expect("a tenant").clone();
    (directory, tenant)
}

/// Plans as a turn does, with sources that list what `listed` holds and say `now` when they are asked
/// once more. Returns also who was asked for.
async fn judge(listed: &Stage, now: Now) -> (Judged, (Vec<Guid>, Vec<Guid>)) {
    let (directory, tenant) = readings(listed);
    let register = listed.observation.register.clone();
    let world = Arc::new(World {
        at: listed.observation.at,
        directory,
        tenant,
        register,
        now,
        asked: Mutex::default(),
    });
    let judge = Judge::new(Observer {
        sources: Arc::new(Port(world.clone())),
        register: Arc::new(Port(world.clone())),
        clock: Arc::new(Port(world.clone())),
        stall: STALL.min(Duration::from_secs(30)),
    });
    let progress: Arc<dyn Progress> = Arc::new(Unwatched);
    let judged = judge.judge(&Job::Listed(Arc::new(listed.customer.clone())), &progress).await;
    let asked = world.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (judged.expect("a plan"), asked)
}

fn as_in(stage: &Stage) -> Now {
    Now::As(Box::new(readings(stage)))
}

/// Twenty who stay, and Jane and John of the register; `people` and `users` are what sources hold of
/// the two.
fn staff(people: &str, users: &str) -> Stage {
    Stage::of(&format!(
        "
crowd: 20
directory: {{people: [{people}]}}
tenant: {{users: [{users}]}}
register:
  domain: S-1-5-21-1-2-3
  tenant: tenant-1
  accounts: [{{sam: jane, name: jane, guid: 501, linked: 601}}, {{sam: john, name: john, guid: 502, linked: 602}}]
"
    ))
}

const JANE: &str = "{sam: jane, guid: 501}";
const JOHN: &str = "{sam: john, guid: 502}";
const BOTH: &str = "{sam: jane, guid: 501}, {sam: john, guid: 502}";
const BOTH_USERS: &str = "{upn: jane@contoso.test, id: 601}, {upn: john@contoso.test, id: 602}";

/// Action, sAMAccountName and reason of each operation.
fn operations(plan: &CustomerPlan) -> Vec<String> {
    let shown = |one: &Operation| {
        let reason = one.reason.map(|reason| format!(" {}", reason.code())).unwrap_or_default();
        format!("{} {}{reason}", one.action.code(), one.profile.sam_account_name)
    };
    plan.operations.iter().map(shown).collect()
}

fn ids(numbers: &[u128]) -> BTreeSet<Guid> {
    numbers.iter().map(|number| Guid::from_u128(*number)).collect()
}

#[tokio::test]
async fn whom_a_listing_missed_stays() {
    let whole = staff(BOTH, BOTH_USERS);
    let (judged, asked) = judge(&staff(JOHN, BOTH_USERS), as_in(&whole)).await;
    assert_eq!(operations(&judged.plan), Vec::<String>::new());
    assert_eq!(judged.plan.state, CustomerState::Ready);
    assert_eq!(asked.0.into_iter().collect::<BTreeSet<_>>(), ids(&[501]), "nobody else is asked for");
}

#[tokio::test]
async fn who_is_gone_goes() {
    let listed = staff(JOHN, BOTH_USERS);
    let (judged, _) = judge(&listed, as_in(&listed)).await;
    assert_eq!(operations(&judged.plan), ["remove jane not-in-scope"]);
}

#[tokio::test]
async fn who_moved_back_while_it_was_read_stays() {
    let away = format!("{{sam: jane, guid: 501, ou: OU=Leavers}}, {JOHN}");
    let (judged, _) = judge(&staff(&away, BOTH_USERS), as_in(&staff(BOTH, BOTH_USERS))).await;
    assert_eq!(operations(&judged.plan), Vec::<String>::new());
    let disabled = format!("{{sam: jane, guid: 501, disabled: true}}, {JOHN}");
    let (judged, _) = judge(&staff(&disabled, BOTH_USERS), as_in(&staff(BOTH, BOTH_USERS))).await;
    assert_eq!(operations(&judged.plan), Vec::<String>::new());
}

#[tokio::test]
async fn who_is_read_once_more_and_still_out_goes_for_what_is_so_now() {
    let away = format!("{{sam: jane, guid: 501, ou: OU=Leavers}}, {JOHN}");
    let disabled = format!("{{sam: jane, guid: 501, disabled: true}}, {JOHN}");
    let (judged, _) = judge(&staff(&away, BOTH_USERS), as_in(&staff(&disabled, BOTH_USERS))).await;
    assert_eq!(operations(&judged.plan), ["remove jane directory-disabled"]);
}

#[tokio::test]
async fn whom_a_stale_listing_of_the_tenant_missed_stays() {
    let stale = staff(BOTH, "{upn: john@contoso.test, id: 602}");
    let (judged, asked) = judge(&stale, as_in(&staff(BOTH, BOTH_USERS))).await;
    assert_eq!(operations(&judged.plan), Vec::<String>::new());
    assert_eq!(asked.1.len(), 1, "{asked:?}");
    let unlicensed = "{upn: jane@contoso.test, id: 601, licences: []}, {upn: john@contoso.test, id: 602}";
    let (judged, _) = judge(&staff(BOTH, unlicensed), as_in(&staff(BOTH, BOTH_USERS))).await;
    assert_eq!(operations(&judged.plan), Vec::<String>::new());
    let unlicensed = staff(BOTH, unlicensed);
    let (judged, _) = judge(&unlicensed, as_in(&unlicensed)).await;
    assert_eq!(operations(&judged.plan), ["remove jane unlicensed"]);
}

#[tokio::test]
async fn a_member_whom_the_list_of_the_group_hides_stays() {
    let members = |members: &str| {
        Stage::of(&format!(
            "
policies: {{staff: {{selection: {{securityGroups: [Intake]}}}}}}
directory:
  people: [{JANE}, {JOHN}]
  groups: [{{name: Intake, guid: 700, members: [{members}]}}]
tenant: {{users: [{BOTH_USERS}]}}
register:
  accounts: [{{sam: jane, guid: 501, linked: 601}}, {{sam: john, guid: 502, linked: 602}}]
"
        ))
    };
    let (judged, _) = judge(&members("john"), as_in(&members("jane, john"))).await;
    assert!(operations(&judged.plan).iter().all(|line| !line.contains("jane")), "{:?}", judged.plan);
    let (judged, _) = judge(&members("john"), as_in(&members("john"))).await;
    assert!(operations(&judged.plan).contains(&"remove jane not-in-scope".to_owned()), "{:?}", judged.plan);
}

#[tokio::test]
async fn while_a_source_is_silent_nobody_goes_and_the_others_go_on() {
    let listed = staff(
        "{sam: john, guid: 502, name: Jonathan}, {sam: joins, guid: 503}",
        &format!("{BOTH_USERS}, {{upn: joins@contoso.test, anchor: 503}}"),
    );
    for now in [Now::Silence, Now::SilenceOfTheTenant] {
        let source = match now {
            Now::Silence => FindingCode::DirectoryUnavailable,
            _ => FindingCode::TenantUnavailable,
        };
        let (judged, _) = judge(&listed, now).await;
        let done = operations(&judged.plan);
        assert!(done.iter().all(|line| !line.starts_with("remove")), "{done:?}");
        assert!(done.iter().any(|line| line.starts_with("add joins")), "{done:?}");
        assert!(done.iter().any(|line| line.starts_with("update john")), "{done:?}");
        assert_eq!(judged.plan.state, CustomerState::Unreadable);
        assert!(codes(&judged.plan).contains(&source), "{:?}", judged.plan.findings);
        assert!(judged.unread.transient && !judged.unread.reasons.is_empty(), "it is tried again soon");
    }
}

/// Thirty of fifty left.
fn thirty_left() -> Stage {
    let leavers: Vec<String> = (501..=530)
        .map(|guid| format!("{{sam: left{guid}, guid: {guid}, linked: {}}}", guid + 100))
        .collect();
    Stage::of(&format!("crowd: 20\nregister: {{accounts: [{}]}}\n", leavers.join(", ")))
}

#[tokio::test]
async fn an_approval_is_not_used_up_while_a_source_is_silent() {
    for is_recorded in [true, false] {
        let mut listed = thirty_left();
        if is_recorded {
            listed.turn();
        }
        let approval = listed.approve();
        let (judged, _) = judge(&listed, Now::Silence).await;
        assert_eq!(judged.plan.state, CustomerState::Unreadable);
        let holds = &judged.plan.consequences.holds;
        assert!(holds.iter().all(|hold| hold.used_at.is_none()), "{holds:?}");
        assert_eq!(holds.len(), usize::from(is_recorded), "nothing is held under an approval that counts");
        listed.observation.register.holds.clone_from(holds);
        let (judged, _) = judge(&listed, as_in(&listed)).await;
        assert_eq!(operations(&judged.plan).len(), 30);
        let used = judged.plan.consequences.holds.iter().find(|hold| hold.approval == approval);
        assert!(used.is_some_and(|hold| hold.used_at.is_some()));
    }
}

#[tokio::test]
async fn nobody_is_asked_for_whose_removal_is_held() {
    let listed = thirty_left();
    let (judged, asked) = judge(&listed, as_in(&listed)).await;
    assert_eq!(judged.plan.state, CustomerState::Held);
    assert_eq!(asked, (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn whoever_comes_up_only_then_waits_for_the_next_turn() {
    let listed = staff(JOHN, BOTH_USERS);
    let (mut judged, _) = judge(&listed, as_in(&listed)).await;
    assert_eq!(operations(&judged.plan), ["remove jane not-in-scope"]);
    // Planned again with what was asked for Jane alone, John is out as well.
    let confirmation = judged.observation.confirmation.take().expect("asked");
    let mut later = staff("", BOTH_USERS);
    later.observation.confirmation = Some(confirmation);
    let plan = later.plan();
    assert_eq!(operations(&plan), ["remove jane not-in-scope"], "John was not asked for");
    assert!(codes(&plan).contains(&FindingCode::DirectoryIncomplete), "{:?}", plan.findings);
}

/// Says which server was read.
fn read_from(mut stage: Stage, server: &str) -> Stage {
    if let Reading::Complete(directory) = &mut stage.observation.directories[0].1 {
        directory.origin = Some(Origin::Server(Text::from(server)));
    }
    stage
}

#[test]
fn whom_another_server_misses_for_the_first_time_waits_for_the_next_reading() {
    let mut first = read_from(staff(BOTH, BOTH_USERS), "dc1");
    first.turn();
    let register = first.observation.register;
    let mut behind = read_from(staff(JANE, BOTH_USERS), "dc2");
    behind.observation.register = register.clone();
    let plan = behind.turn();
    assert_eq!(operations(&plan), Vec::<String>::new(), "dc2 may be behind dc1");
    assert_eq!(plan.state, CustomerState::Ready);
    assert_eq!(codes(&plan), [FindingCode::DirectoryIncomplete]);
    // The next reading decides, whoever it is of.
    for server in ["dc2", "dc1", "dc3"] {
        let mut next = read_from(staff(JANE, BOTH_USERS), server);
        next.observation.register = behind.observation.register.clone();
        assert_eq!(operations(&next.turn()), ["remove john not-in-scope"], "{server}");
    }
    let mut back = read_from(staff(BOTH, BOTH_USERS), "dc1");
    back.observation.register = behind.observation.register.clone();
    assert_eq!(operations(&back.turn()), Vec::<String>::new());
    // Missed by the server that was read before as well, nobody waits.
    let mut same = read_from(staff(JANE, BOTH_USERS), "dc1");
    same.observation.register = register;
    assert_eq!(operations(&same.turn()), ["remove john not-in-scope"]);
}

#[test]
fn whom_a_file_misses_that_proves_nothing_waits_until_it_says_so_twice() {
    let file = |people: &str, state: &str| {
        let mut stage = staff(people, BOTH_USERS);
        stage.directory().origin = Some(Origin::File(Text::from(state)));
        stage
    };
    let mut whole = file(BOTH, "contoso.ldif at noon");
    whole.turn();
    let mut register = whole.observation.register;
    // Half written twice, and then at rest.
    for (people, state, done) in [
        ("", "contoso.ldif at one", &[][..]),
        (JANE, "contoso.ldif at two", &[]),
        (JANE, "contoso.ldif at two", &["remove john not-in-scope"]),
    ] {
        let mut stage = file(people, state);
        stage.observation.register = register;
        assert_eq!(operations(&stage.turn()), done, "{state}");
        register = stage.observation.register;
    }
}

#[test]
fn what_waits_is_not_what_the_next_reading_is_measured_by() {
    let people: Vec<String> =
        (1..=40).map(|number| format!("{{sam: p{number}, guid: {}}}", 800 + number)).collect();
    let of = |count: usize, server: &str| {
        let yaml = format!(
            "crowd: 30\ndirectory: {{people: [{}], ous: {{OU=Staff: 2001}}}}\nregister: {{accounts: [{{sam: p40, guid: 840}}]}}\n\
             policies: {{staff: {{selection: {{organizationalUnits: [OU=Staff]}}, passwordSync: false}}}}\n",
            people[..count].join(", ")
        );
        read_from(Stage::of(&yaml), server)
    };
    let mut whole = of(40, "dc1");
    whole.turn();
    let measured = whole.observation.register.measures.directories.clone();
    let mut behind = of(10, "dc2");
    behind.observation.register = whole.observation.register;
    let plan = behind.turn();
    assert!(codes(&plan).contains(&FindingCode::DirectoryIncomplete), "{:?}", plan.findings);
    assert_eq!(behind.observation.register.measures.directories, measured);
    let plan = behind.turn();
    assert!(codes(&plan).contains(&FindingCode::SourceShrunk), "{:?}", plan.findings);
    assert!(plan.removals().next().is_none());
}

#[test]
fn who_was_out_already_does_not_wait_for_another_server() {
    // Held where it was read first, and approved when another server is read.
    let gone: Vec<String> = (501..=510).map(|guid| format!("{{sam: left{guid}, guid: {guid}}}")).collect();
    let yaml = format!("crowd: 20\nregister: {{accounts: [{}]}}\n", gone.join(", "));
    let mut held = read_from(Stage::of(&yaml), "dc1");
    assert_eq!(held.turn().state, CustomerState::Held);
    let mut stage = read_from(Stage::of(&yaml), "dc2");
    stage.observation.register = held.observation.register.clone();
    stage.approve();
    assert_eq!(operations(&stage.turn()).len(), 10);
}
