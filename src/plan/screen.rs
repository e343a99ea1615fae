//! Decides about candidates by the directory alone: container, exclusions, privilege, state.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::model::account::{AccountType, Verdict};
use crate::model::directory::{Directory, Person};
use crate::model::register::AccountList;
use crate::model::text::{inert, same};
use crate::plan::identify::Identified;
use crate::plan::membership::Membership;
use crate::plan::outcome::{Finding, FindingCode, Severity};
use crate::plan::patterns::Patterns;
use crate::plan::refusal::unsupported_containers;
use crate::plan::select::{Resolution, Resolver, Selected, SelectedImport};
use crate::policy::fleet::{AccountPattern, Excluded, Exclusion, Import};

/// RIDs of a domain's privileged groups: Domain Admins, Domain Controllers, Schema Admins,
/// Enterprise Admins, Group Policy Creator Owners, Read-only Domain Controllers, Key Admins,
/// Enterprise Key Admins.
const PRIVILEGED_DOMAIN_RIDS: [u32; 8] = [512, 516, 518, 519, 520, 521, 526, 527];
/// RIDs of built-in privileged groups: Administrators, and the operators of accounts, servers,
/// printing and backups, and the replicator.
const PRIVILEGED_BUILTIN_RIDS: [u32; 6] = [544, 548, 549, 550, 551, 552];
/// Has no well-known RID, and may load code into the domain controllers' DNS service.
const DNS_ADMINS: &str = "DnsAdmins";

/// A user object in the scope of an import, with what the directory alone says about it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// The position of the import in [`Selected::imports`].
    pub import: u32,
    /// The position of the directory in the observation.
    pub directory: u32,
    /// The position of the person in the directory.
    pub person: u32,
    /// The verdict, if the directory alone decides.
    pub verdict: Option<Verdict>,
}

/// The rules of one import, made ready for one directory.
pub struct Screen<'a> {
    directory: &'a Directory,
    import: &'a Import,
    at: Timestamp,
    unsupported: Vec<bool>,
    excluded: ExclusionTests<'a>,
    privileged: Option<Membership>,
}

/// The exclusions of one import that apply today, made ready for one directory. Each is known by
/// its position in the import.
#[derive(Default)]
struct ExclusionTests<'a> {
    accounts: Patterns<'a>,
    /// Per container: the first exclusion whose OU holds it.
    containers: Vec<Option<usize>>,
    members: Option<Membership>,
    /// Excluded groups, each with the first exclusion that names it.
    groups: BTreeMap<u32, usize>,
    /// Excluded OUs.
    units: Vec<(usize, u32)>,
}

/// All candidates of a customer, and the screens that judged them.
pub struct Screened<'a> {
    /// By import, directory and position.
    pub candidates: Vec<Candidate>,
    /// Per import and directory.
    pub screens: Vec<Vec<Screen<'a>>>,
    /// What somebody should know.
    pub findings: Vec<Finding>,
    /// Account types for which nobody may be added or removed, as an exclusion is unclear.
    pub blocked: BTreeSet<AccountType>,
    /// Whom entries of the customer's documents name.
    pub identified: &'a Identified,
}

/// Finds the candidates of every import and judges them by the directory alone.
pub fn screen<'a>(
    selected: &Selected<'a>,
    resolver: &mut Resolver<'a>,
    identified: &'a Identified,
    at: Timestamp,
) -> Screened<'a> {
    let mut screened = Screened {
        candidates: Vec::new(),
        screens: Vec::new(),
        findings: Vec::new(),
        blocked: BTreeSet::new(),
        identified,
    };
    for (position, selected_import) in (0..).zip(&selected.imports) {
        let screens = Screen::prepare(selected_import, resolver, at, &mut screened);
        for ((index, screen), scope) in (0..).zip(&screens).zip(&selected_import.scopes) {
            for (person, record) in (0..).zip(&screen.directory.people) {
                if scope.has(screen.directory, person) {
                    let verdict = screen.judge(person, record);
                    screened.candidates.push(Candidate {
                        import: position,
                        directory: index,
                        person,
                        verdict,
                    });
                }
            }
        }
        screened.screens.push(screens);
    }
    screened
}

impl<'a> Screen<'a> {
    fn prepare(
        selected: &SelectedImport<'a>,
        resolver: &mut Resolver<'a>,
        at: Timestamp,
        screened: &mut Screened<'a>,
    ) -> Vec<Self> {
        let import = selected.import;
        let today: Date = at.to_zoned(TimeZone::UTC).date();
        let mut screens: Vec<Self> = resolver
            .directories()
            .iter()
            .map(|directory| Self {
                directory,
                import,
                at,
                unsupported: unsupported_containers(directory, &import.unsupported_containers),
                excluded: ExclusionTests::default(),
                privileged: None,
            })
            .collect();
        for (position, exclusion) in import.exclusions(today) {
            resolve_exclusion(&mut screens, position, exclusion, import, resolver, screened);
        }
        for screen in &mut screens {
            let accounts = import.excluded_accounts(today);
            let accounts = screened.identified.patterns(AccountList::Exclude, accounts);
            screen.excluded.prepare(screen.directory, accounts);
        }
        for screen in &screens {
            screened.expect_shown(screen.directory, screen.excluded.members.as_ref(), import);
        }
        if import.exclude_privileged {
            let mut roots: Vec<Vec<u32>> =
                screens.iter().map(|screen| privileged_groups(screen.directory)).collect();
            for name in &import.privileged_groups {
                match resolver.group(name) {
                    Resolution::Found(places) => {
                        places.into_iter().for_each(|(directory, group)| roots[directory].push(group));
                    }
                    Resolution::NeverFound(finding) => {
                        screened.findings.push(not_found(finding, "privileged group"))
                    }
                    Resolution::Unclear(finding) => {
                        screened.blocked.insert(import.account_type);
                        screened.findings.push(finding);
                    }
                }
            }
            for (screen, roots) in screens.iter_mut().zip(roots) {
                let privileged = Membership::nested(screen.directory, &roots);
                screened.expect_shown(screen.directory, Some(&privileged), import);
                screen.privileged = Some(privileged);
            }
        }
        screens
    }

    /// Returns the verdict of the first rule that applies, or `None` if the tenant has to be asked.
    fn judge(&self, position: u32, person: &Person) -> Option<Verdict> {
        if person.invalid.is_some() {
            Some(Verdict::InvalidRecord)
        } else if self.unsupported[person.container.0 as usize] {
            Some(Verdict::UnsupportedContainer)
        } else if self.exclusion_of(position, person).is_some() {
            Some(Verdict::Excluded)
        } else if self.privileged.as_ref().is_some_and(|privileged| privileged.has(position)) {
            Some(Verdict::PrivilegedAccount)
        } else if !person.enabled && !self.import.include_disabled {
            Some(Verdict::DirectoryDisabled)
        } else {
            None
        }
    }

    fn exclusion_of(&self, position: u32, person: &Person) -> Option<&'a Exclusion> {
        let tests = &self.excluded;
        let by_account = tests.accounts.first(
            person.guid,
            person.user_principal_name.as_deref(),
            &person.sam_account_name,
        );
        let by_container = tests.containers.get(person.container.0 as usize).copied().flatten();
        let by_group = tests.members.as_ref().and_then(|members| members.path(position).pop());
        let by_group = by_group.and_then(|root| tests.groups.get(&root).copied());
        let first = by_account.into_iter().chain(by_container).chain(by_group).min()?;
        self.import.exclude.get(first)
    }

    /// Says for people what a verdict of this stage was decided from.
    pub fn evidence(&self, position: u32, verdict: Verdict) -> String {
        let person = &self.directory.people[position as usize];
        let dn = self.directory.dn_of(person);
        let text = match verdict {
            Verdict::InvalidRecord => format!("{dn}: {}", person.invalid.as_deref().unwrap_or_default()),
            Verdict::UnsupportedContainer => format!("lies in {}", self.directory.container_of(person).dn),
            Verdict::Excluded => match self.exclusion_of(position, person) {
                Some(exclusion) => describe_exclusion(exclusion),
                None => String::new(),
            },
            Verdict::PrivilegedAccount => match &self.privileged {
                Some(privileged) => {
                    let name = |group: u32| self.directory.groups[group as usize].dn.to_string();
                    let path: Vec<String> = privileged.path(position).into_iter().map(name).collect();
                    let mark = if person.standing.has_admin_count { " (its adminCount is 1)" } else { "" };
                    format!("member of {}{mark}", path.join(" → "))
                }
                None => String::new(),
            },
            Verdict::DirectoryDisabled => format!("{dn} is {}", describe_state(person, self.at)),
            _ => dn,
        };
        inert(&text).into_owned()
    }
}

/// Says in words what keeps an account from signing in to its directory: that it is disabled, has
/// expired, is locked. Empty for an account that may. Only the first of them is a rule.
pub fn describe_state(person: &Person, at: Timestamp) -> String {
    let mut said = Vec::new();
    if !person.enabled {
        said.push("disabled (userAccountControl)".to_owned());
    }
    if let Some(expiry) = person.standing.expires.filter(|expiry| expiry.is_over(at))
        && let Some(instant) = expiry.instant()
    {
        said.push(format!("expired since {} (accountExpires)", instant.to_zoned(TimeZone::UTC).date()));
    }
    if person.standing.is_locked {
        said.push("locked after wrong passwords (lockoutTime)".to_owned());
    }
    said.join(", ")
}

fn privileged_groups(directory: &Directory) -> Vec<u32> {
    let is_privileged = |sid: crate::model::sid::Sid| {
        let known = if sid.is_builtin() {
            PRIVILEGED_BUILTIN_RIDS.as_slice()
        } else if directory.is_of_domain(&sid) {
            PRIVILEGED_DOMAIN_RIDS.as_slice()
        } else {
            &[]
        };
        sid.rid().is_some_and(|rid| known.contains(&rid))
    };
    (0..)
        .zip(&directory.groups)
        .filter(|(_, group)| {
            group.sid.is_some_and(is_privileged)
                || group.sam_account_name.as_deref().is_some_and(|name| same(name, DNS_ADMINS))
        })
        .map(|(position, _)| position)
        .collect()
}

impl<'a> ExclusionTests<'a> {
    fn prepare(&mut self, directory: &Directory, accounts: Patterns<'a>) {
        self.accounts = accounts;
        self.containers = vec![None; directory.containers.len()];
        // The first exclusion counts, so the others are entered before it.
        self.units.sort_unstable_by_key(|(position, _)| std::cmp::Reverse(*position));
        for (position, unit) in &self.units {
            let root = &directory.containers[*unit as usize].dn;
            for (container, is_below) in self.containers.iter_mut().zip(directory.containers_under(&[root])) {
                if is_below {
                    *container = Some(*position);
                }
            }
        }
        let groups: Vec<u32> = self.groups.keys().copied().collect();
        self.members = (!groups.is_empty()).then(|| Membership::nested(directory, &groups));
    }
}

/// Resolves the OU or group of an exclusion.
fn resolve_exclusion<'a>(
    screens: &mut [Screen<'a>],
    position: usize,
    exclusion: &Exclusion,
    import: &Import,
    resolver: &mut Resolver<'_>,
    screened: &mut Screened<'a>,
) {
    let resolution = match &exclusion.who {
        Excluded::Account(_) => return,
        Excluded::OrganizationalUnit(name) => resolver.unit(name),
        Excluded::SecurityGroup(name) => resolver.group(name),
    };
    match resolution {
        Resolution::Found(places) => {
            for (directory, place) in places {
                let tests = &mut screens[directory].excluded;
                match &exclusion.who {
                    Excluded::SecurityGroup(_) => drop(tests.groups.entry(place).or_insert(position)),
                    _ => tests.units.push((position, place)),
                }
            }
        }
        Resolution::NeverFound(finding) => screened.findings.push(not_found(finding, "exclusion")),
        // It excluded people once: without it they would be added, so nobody moves.
        Resolution::Unclear(finding) => {
            screened.blocked.insert(import.account_type);
            screened.findings.push(finding);
        }
    }
}

impl Screened<'_> {
    /// Blocks an import whose exclusions or privileged groups hide their members: whom they mean would
    /// be added.
    fn expect_shown(&mut self, directory: &Directory, members: Option<&Membership>, import: &Import) {
        let groups = members.into_iter().flat_map(Membership::groups);
        for group in
            groups.map(|group| &directory.groups[group as usize]).filter(|group| group.hides_members())
        {
            self.blocked.insert(import.account_type);
            self.findings.push(Finding {
                code: FindingCode::MemberUnreadable,
                severity: Severity::Error,
                subject: inert(group.dn.as_str()).into_owned(),
                message: "it leaves people out, and its members cannot be read: nobody is added or removed; give the \
                          reading account permission to read the attribute `member`"
                    .to_owned(),
            });
        }
    }
}

fn not_found(finding: Finding, what: &str) -> Finding {
    Finding {
        code: FindingCode::ExcludeNotFound,
        severity: Severity::Warning,
        message: format!(
            "this {what} names something that does not exist in this customer's directory, and has no effect"
        ),
        subject: finding.subject,
    }
}

/// Says for people whom an exclusion names, why and until when.
pub fn describe_exclusion(exclusion: &Exclusion) -> String {
    let who = match &exclusion.who {
        Excluded::Account(AccountPattern::Guid(guid)) => format!("account {guid}"),
        Excluded::Account(AccountPattern::Name(name) | AccountPattern::Glob { written: name, .. }) => {
            format!("account {name}")
        }
        Excluded::OrganizationalUnit(unit) => unit.written.to_string(),
        Excluded::SecurityGroup(group) => format!("group {}", group.written()),
    };
    let reason = exclusion.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let until = exclusion.until.map(|until| format!(" (until {until})")).unwrap_or_default();
    format!("excluded by {who}{reason}{until}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::standing::{Expiry, Standing};

    /// 2020-01-01T00:00:00Z.
    const EXPIRES: i64 = 132_223_104_000_000_000;

    fn described(enabled: bool, standing: Standing, at: &str) -> String {
        let person = Person { enabled, standing, ..Person::numbered(1) };
        describe_state(&person, at.parse().expect("a time"))
    }

    #[test]
    fn disabled_expired_and_locked_are_told_apart() {
        let expires = Expiry::from_file_time(EXPIRES);
        let all = Standing { expires, is_locked: true, has_admin_count: true };
        let (before, after) = ("2019-12-31T23:59:59Z", "2020-01-01T00:00:00Z");
        assert_eq!(described(true, Standing::default(), after), "");
        assert_eq!(described(false, Standing::default(), after), "disabled (userAccountControl)");
        assert_eq!(described(true, Standing { is_locked: false, ..all }, before), "");
        assert_eq!(
            described(true, Standing { is_locked: false, ..all }, after),
            "expired since 2020-01-01 (accountExpires)"
        );
        assert_eq!(
            described(false, all, after),
            "disabled (userAccountControl), expired since 2020-01-01 (accountExpires), locked after wrong \
             passwords (lockoutTime)"
        );
    }
}
