//! Directories and tenants that tell the truth, or fail in every way in which sources fail.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use intake::model::addresses::Addresses;
use intake::model::confirmation::{PeopleNow, PersonNow};
use intake::model::directory::{
    ContainerIndex, Directory, DirectoryBuilder, Group, Origin, Person as Record,
};
use intake::model::dn::Dn;
use intake::model::guid::Guid;
use intake::model::reading::{Fault, FaultKind, Reading, Shortfall};
use intake::model::standing::Standing;
use intake::model::tenant::{Anchor, Licence, Tenant, TenantBuilder, TenantUser};
use intake::model::tenant_group::{TenantGroup, WantedGroups};
use intake::model::text::Text;
use intake::policy::fleet::{Customer, DirectorySource, TenantSource};
use intake::ports::source::{DirectoryPort, Progress, Sources, TenantPort};

use super::truth::{Change, Company, Kind, NAMES, Person, Place, User};
use super::weather::{Answer, Moment, Tally, Weather};

/// What is asked when sources are asked once more.
const CONFIRMING: &str = "confirming";

/// How far back a source that lags may be, in changes.
const HISTORY: usize = 8;

/// A customer's side of the world.
pub(super) struct Site {
    pub(super) company: Company,
    /// How it was before, the oldest first; each is one change older than the next.
    history: VecDeque<Company>,
    /// How many changes there were, and how many of them each domain controller has told of: a server
    /// may be behind another one, and never behind itself.
    changes: usize,
    told_of: [usize; 2],
    pub(super) weather: Weather,
    /// What was true at some time of this turn.
    pub(super) truths: Vec<Company>,
    /// What a source told in this turn.
    pub(super) told: Vec<Company>,
    /// Whether a source failed openly in this turn, or lied.
    pub(super) failed: bool,
    pub(super) lied: bool,
    /// Whether a source did not tell of single people when it was asked once more.
    pub(super) silent: bool,
    /// Whether what was wrong at the tenant would hide a user who was made a while ago.
    pub(super) tenant_lied: bool,
    pub(super) changed_meanwhile: bool,
    /// The domain controller that the last reading is of.
    server: bool,
    /// Whether it was behind, and no whole turn was since.
    pub(super) was_behind: bool,
    /// What the directory of this turn says of single people.
    answers: Option<Company>,
    group_calls: u32,
}

/// Everything outside of Intake.
pub(super) struct World {
    pub(super) sites: Vec<Site>,
    pub(super) tally: Tally,
    pub(super) stop: CancellationToken,
}

impl World {
    pub(super) fn new() -> Self {
        let site = |index| Site {
            company: Company::new(index),
            history: VecDeque::new(),
            changes: 0,
            told_of: [0; 2],
            weather: Weather::FINE,
            truths: Vec::new(),
            told: Vec::new(),
            failed: false,
            lied: false,
            silent: false,
            tenant_lied: false,
            changed_meanwhile: false,
            server: false,
            was_behind: false,
            answers: None,
            group_calls: 0,
        };
        Self {
            sites: (0..NAMES.len()).map(site).collect(),
            tally: Tally::default(),
            stop: CancellationToken::new(),
        }
    }
}

impl Site {
    /// Begins a turn.
    pub(super) fn begin(&mut self, weather: Weather) {
        self.weather = weather;
        self.truths = vec![self.company.clone()];
        self.told = Vec::new();
        self.answers = None;
        (self.failed, self.lied, self.silent) = (false, false, false);
        (self.tenant_lied, self.changed_meanwhile) = (false, false);
    }

    pub(super) fn change(&mut self, change: Change) {
        self.history.push_back(self.company.clone());
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
        self.company.apply(change);
        self.changes += 1;
    }

    /// What a domain controller that is behind knows, which is what it told before at least.
    fn behind(&self, server: bool) -> Company {
        let missed = self.changes - self.told_of[usize::from(server)];
        let kept = self.history.len().saturating_sub(missed);
        self.history.get(kept).unwrap_or(&self.company).clone()
    }

    fn long_ago(&self) -> Company {
        self.history.front().unwrap_or(&self.company).clone()
    }

    fn at(&mut self, moment: Moment, tally: &mut Tally) {
        if let Some((_, change)) = self.weather.meanwhile.take_if(|(when, _)| *when == moment) {
            self.change(change);
            self.truths.push(self.company.clone());
            self.changed_meanwhile = true;
            tally.count("meanwhile: people change within a turn");
        }
    }
}

/// Opens the sources.
#[derive(Clone)]
pub(super) struct Outside(pub(super) Arc<Mutex<World>>);

struct Port {
    world: Outside,
    index: usize,
}

impl Outside {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn port(&self, customer: &Customer) -> Box<Port> {
        let index = NAMES.iter().position(|name| *name == customer.name).unwrap_or_default();
        Box::new(Port { world: self.clone(), index })
    }
}

impl Sources for Outside {
    fn directory(&self, customer: &Customer, _source: &DirectorySource) -> Box<dyn DirectoryPort> {
        self.port(customer)
    }

    fn tenant(&self, customer: &Customer, _source: &TenantSource) -> Box<dyn TenantPort> {
        self.port(customer)
    }
}

impl Port {
    /// Fails in the way that an answer is of; returns where it does not fail.
    async fn fail<T>(&self, answer: Answer, source: &str) -> Option<Reading<T>> {
        {
            let mut world = self.world.world();
            world.tally.count(format!("{source}: {}", answer.word()));
            let site = &mut world.sites[self.index];
            match source {
                CONFIRMING => site.silent |= answer.fails(),
                _ => site.failed |= answer.fails(),
            }
            if world.sites[self.index].weather.stopped {
                world.tally.count("stopped while reading");
                world.stop.cancel();
            }
        }
        let fault = |kind, what: &str| Reading::Unavailable(Fault::new(kind, what));
        match answer {
            Answer::Truth | Answer::Short(_) | Answer::Stale => None,
            Answer::Unavailable => Some(fault(FaultKind::Transient, "connection refused")),
            Answer::Unauthorised => Some(fault(FaultKind::Unauthorised, "the password is wrong")),
            Answer::Throttled => Some(Reading::Unavailable(
                Fault::new(FaultKind::Transient, "too many requests").after(Some(Duration::from_secs(60))),
            )),
            Answer::Incomplete => {
                Some(Reading::Incomplete(Shortfall { what: "the listing ended early".to_owned(), read: 3 }))
            }
            // Not `panic!`, whose message would stand between the results.
            Answer::Panic => std::panic::resume_unwind(Box::new("a defect of the adapter")),
            Answer::Hang => std::future::pending().await,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Site, &mut Tally) -> T) -> T {
        let mut world = self.world.world();
        let World { sites, tally, .. } = &mut *world;
        act(&mut sites[self.index], tally)
    }
}

#[async_trait]
impl DirectoryPort for Port {
    async fn read(&self, _progress: &dyn Progress) -> Reading<Directory> {
        let answer = self.with(|site, _| {
            // Of two readings in a row one at most is behind: nobody could tell otherwise.
            let lies_again =
                site.weather.directory == Answer::Stale && site.was_behind && site.answers.is_none();
            if lies_again { Answer::Truth } else { site.weather.directory }
        });
        if let Some(failed) = self.fail(answer, "directory").await {
            return failed;
        }
        self.with(|site, tally| {
            let is_behind = answer == Answer::Stale;
            let server = if is_behind { !site.server } else { site.weather.second_server };
            let company = if is_behind { site.behind(server) } else { site.company.clone() };
            if !is_behind {
                site.told_of[usize::from(server)] = site.changes;
            }
            (site.server, site.was_behind) = (server, site.was_behind || is_behind);
            site.lied |= answer.lies();
            site.told.push(company.clone());
            site.answers = is_behind.then(|| company.clone());
            let directory = directory(&company, answer, server);
            site.at(Moment::AfterDirectory, tally);
            Reading::Complete(directory)
        })
    }

    async fn confirm(&self, people: &[Guid], _progress: &dyn Progress) -> Reading<Option<PeopleNow>> {
        let answer = self.with(|site, tally| {
            site.at(Moment::AtConfirming, tally);
            site.weather.confirming
        });
        if let Some(failed) = self.fail(answer, CONFIRMING).await {
            return failed;
        }
        self.with(|site, _| {
            let company = site.answers.as_ref().unwrap_or(&site.company);
            let asked =
                company.people.iter().filter(|one| one.exists && people.contains(&company.object(one)));
            let now = asked.map(|person| PersonNow {
                dn: dn(&person_dn(company, person)),
                person: record(company, person),
                groups: memberships(company, person).into_iter().map(|group| dn(&group)).collect(),
            });
            Reading::Complete(Some(PeopleNow { people: now.collect() }))
        })
    }
}

#[async_trait]
impl TenantPort for Port {
    async fn read(&self, _progress: &dyn Progress) -> Reading<Tenant> {
        let answer = self.with(|site, _| {
            site.group_calls = 0;
            site.weather.tenant
        });
        if let Some(failed) = self.fail(answer, "tenant").await {
            return failed;
        }
        self.with(|site, tally| {
            let company = if answer == Answer::Stale { site.long_ago() } else { site.company.clone() };
            (site.lied, site.tenant_lied) = (site.lied || answer.lies(), site.tenant_lied || answer.lies());
            site.told.push(company.clone());
            let omitted = |person: &Person| matches!(answer, Answer::Short(n) if person.number % 3 == n % 3);
            let tenant = tenant(&company, |person, _| !omitted(person));
            site.at(Moment::AfterTenant, tally);
            Reading::Complete(tenant)
        })
    }

    async fn confirm(&self, users: &[Guid], _progress: &dyn Progress) -> Reading<Option<Tenant>> {
        let answer = self.with(|site, tally| {
            site.at(Moment::AtConfirming, tally);
            site.weather.confirming
        });
        if let Some(failed) = self.fail(answer, CONFIRMING).await {
            return failed;
        }
        self.with(|site, _| Reading::Complete(Some(tenant(&site.company, |_, id| users.contains(&id)))))
    }

    async fn groups(
        &self,
        wanted: &WantedGroups,
        _progress: &dyn Progress,
    ) -> Reading<Option<Vec<TenantGroup>>> {
        let (answer, again) = self.with(|site, _| {
            site.group_calls += 1;
            let again = site.group_calls > 1;
            (if again { site.weather.confirming } else { site.weather.groups }, again)
        });
        if let Some(failed) = self.fail(answer, if again { CONFIRMING } else { "groups" }).await {
            return failed;
        }
        self.with(|site, _| {
            let company = if answer == Answer::Stale { site.long_ago() } else { site.company.clone() };
            if !again {
                site.lied |= answer.lies();
                site.told.push(company.clone());
            }
            let name = company.group_name();
            let id = company.thing(7);
            let is_wanted = wanted.ids.contains(&id) || wanted.names.iter().any(|one| one == name);
            let omitted = |person: &Person| matches!(answer, Answer::Short(n) if person.number % 3 == n % 3);
            let people = company.people.iter().filter(|person| !omitted(person));
            let members = people.filter_map(|person| person.user.as_ref().filter(|user| user.member));
            let group = TenantGroup {
                id,
                display_name: Text::from(name),
                is_security: true,
                holds_roles: false,
                hides_members: company.group_hidden,
                users: members.map(|user| user.id).collect(),
                groups: Vec::new(),
            };
            let exists = is_wanted && !company.group_gone;
            Reading::Complete(Some(exists.then_some(group).into_iter().collect()))
        })
    }
}

fn dn(text: &str) -> Dn {
    Dn::parse(text).expect("a DN")
}

fn base(company: &Company) -> String {
    format!("DC={},DC=test", NAMES[company.index])
}

fn domain(company: &Company) -> String {
    format!("S-1-5-21-7-7-{}", company.index + 1)
}

fn person_dn(company: &Company, person: &Person) -> String {
    format!("CN=p{}.{},{},{}", person.number, person.name, person.place.rdns(), base(company))
}

fn group_dn(company: &Company, name: &str) -> String {
    format!("CN={name},OU=Groups,{}", base(company))
}

/// The groups of a directory: name, number, RID, and who is in it.
type GroupPart = (&'static str, u32, u32, fn(&Person) -> bool);

fn groups(company: &Company) -> Vec<GroupPart> {
    let mut groups: Vec<GroupPart> = vec![
        ("No Intake", 1, 1101, |person| person.opted_out),
        ("Admins", 2, 1102, |person| person.admin),
        ("Domain Admins", 3, 512, |person| person.privileged),
    ];
    if !company.group_gone {
        groups.push((company.group_name(), 4, 1104, |person| person.member));
    }
    groups
}

fn memberships(company: &Company, person: &Person) -> Vec<String> {
    let of = groups(company).into_iter().filter(|(.., holds)| holds(person));
    of.map(|(name, ..)| group_dn(company, name)).collect()
}

fn record(company: &Company, person: &Person) -> Record {
    let mail = Text::from(company.email(person));
    Record {
        guid: company.object(person),
        sid: None,
        rdn: Text::default(),
        container: ContainerIndex(0),
        sam_account_name: Text::from(format!("p{}.{}", person.number, person.name)),
        user_principal_name: Some(Text::from(company.upn(person.number, person.name))),
        display_name: Text::from(format!("Person {} {}", person.number, person.name)),
        mail: Some(mail),
        mobile: Some(Text::from(format!("+41 {} {}", person.number, person.mail))),
        addresses: Addresses::default(),
        consistency_guid: None,
        primary_group: Some(513),
        enabled: person.enabled,
        standing: Standing::default(),
        invalid: None,
    }
}

fn directory(company: &Company, answer: Answer, second_server: bool) -> Directory {
    let base = dn(&base(company));
    let mut builder = DirectoryBuilder::new(Text::from("main"), base.clone(), base);
    builder.domain_sid(domain(company).parse().expect("a SID"));
    builder.origin(Origin::Server(Text::from(if second_server { "dc2" } else { "dc1" })));
    for (place, number) in Place::ALL.into_iter().zip(20..) {
        let name = format!("{},{}", place.rdns(), self::base(company));
        builder.container(&dn(&name), Some(company.thing(number)), place != Place::Users).expect("added");
    }
    let omitted = |person: &Person| matches!(answer, Answer::Short(n) if person.number % 3 == n % 3);
    let people: Vec<&Person> =
        company.people.iter().filter(|person| person.exists && !omitted(person)).collect();
    for person in &people {
        builder.person(&dn(&person_dn(company, person)), record(company, person)).expect("added");
    }
    for (name, number, rid, holds) in groups(company) {
        let members: Vec<String> =
            people.iter().filter(|person| holds(person)).map(|person| person_dn(company, person)).collect();
        let hidden = number == 4 && company.group_hidden;
        let group = Group {
            guid: company.thing(number),
            sid: Some(format!("{}-{rid}", domain(company)).parse().expect("a SID")),
            dn: dn(&group_dn(company, name)),
            cn: Text::from(name),
            sam_account_name: Some(Text::from(name)),
            is_security: true,
            is_critical: false,
            members: Vec::new(),
            unseen: if hidden { vec![Text::from("CN=x,DC=other,DC=test")] } else { Vec::new() },
            foreign: Vec::new(),
        };
        builder.group(group, members.iter().map(String::as_str)).expect("added");
    }
    builder.finish()
}

fn tenant(company: &Company, holds: impl Fn(&Person, Guid) -> bool) -> Tenant {
    let mut builder = TenantBuilder::new();
    builder.id(Text::from(NAMES[company.index]));
    let licence = Licence { sku: Guid::from_u128(3), disabled_plans: Vec::new(), effective: true };
    let licensed = builder.licence_set(vec![licence]);
    let unlicensed = builder.licence_set(Vec::new());
    let record = |person: &Person, id: Guid, user: &User, name: String| TenantUser {
        id,
        user_principal_name: Text::from(name),
        display_name: Some(Text::from(format!("Person {} {}", person.number, user.name))),
        mail: None,
        mobile: None,
        addresses: Addresses::default(),
        anchor: user.anchor.map_or(Anchor::None, |anchor| Anchor::Octets(anchor.octets())),
        on_premises_sid: None,
        enabled: user.enabled,
        is_guest: user.guest,
        licences: if user.licensed { licensed } else { unlicensed },
    };
    for person in &company.people {
        if let Some(user) = person.user.as_ref().filter(|user| holds(person, user.id)) {
            builder.user(record(person, user.id, user, company.upn(person.number, user.name)));
        }
        let twin = company.twin(person);
        if person.twin && !Kind::of(company.index).is_of_tenant() && holds(person, twin) {
            let anchor = Some(company.object(person));
            let user = User {
                id: twin,
                anchor,
                name: 0,
                licensed: true,
                enabled: true,
                guest: false,
                member: false,
            };
            builder.user(record(person, twin, &user, format!("twin{}@other.test", person.number)));
        }
    }
    builder.finish()
}
