//! What has to happen at a target so that it shows the accounts of one customer: who is made, changed and taken out,
//! under the target's own guard. Nobody goes because a file went.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::model::account::{Account, AccountKey, AccountType};
use crate::model::digest::Digest;
use crate::model::duration::Seconds;
use crate::model::publication::{
    Leavers, OnRemoval, Presence, Publication, PublicationStatus, PublishedUser, TargetRules,
};
use crate::model::text::{Text, fold};
use crate::plan::likeness::given_and_family;

/// After this time nobody tries any more what was asked for: the outbox gives up after seven days.
const GIVEN_UP_AFTER: Seconds = Seconds(8 * 86_400);

/// Why a removal waits.
const HELD: &str = "its removal is held: the target's removal limit has no room for it. It goes by itself when the \
                    limit's window has room, or when `removal` of the target in the operator's file allows more";

/// Why somebody stays.
const ORPHANED: &str =
    "nobody publishes it to this target any more, and nobody removed it: it stays as it is there";

/// Everything that is decided from.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The customer's name.
    pub customer: &'a Text,
    /// The target's name.
    pub target: &'a Text,
    /// What the operator decided about it.
    pub rules: &'a TargetRules,
    /// The customer's accounts, removed ones included.
    pub accounts: &'a [Account],
    /// The account types that the customer publishes there.
    pub published: &'a BTreeSet<AccountType>,
    /// What is known of the customer there.
    pub known: &'a [Publication],
    /// The names to sign in with, folded, that accounts of other customers are to have there.
    pub taken: &'a BTreeMap<Text, Text>,
    /// How many users it has, and how many of them lost their access lately.
    pub leavers: Leavers,
    /// The time.
    pub now: Timestamp,
}

/// What becomes of a customer at a target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Publishing {
    /// What is otherwise than it was, written whole; what is to be asked for waits.
    pub written: Vec<Publication>,
    /// What is not worth being known any more.
    pub forgotten: Vec<AccountKey>,
}

/// Returns what tells an account's user from all others, for ever: nothing of it changes by a rename.
pub fn external_id(customer: &str, account: AccountKey) -> Text {
    Text::from(format!(
        "intake:{customer}:{}:{}:{}",
        account.account_type.code(),
        account.source.code(),
        account.id
    ))
}

/// Returns an account as a target is to show it.
///
/// # Errors
/// If it has no name that is nobody else's: a sAMAccountName is unique within its domain alone.
pub fn user_of(customer: &str, account: &Account) -> Result<PublishedUser, String> {
    let profile = &account.profile;
    let name = profile.user_principal_name.as_ref().filter(|name| !name.is_empty());
    let Some(user_name) = name.cloned() else {
        return Err(
            "it has no userPrincipalName, and no other name of it is unique over all customers".to_owned()
        );
    };
    let (given_name, family_name) = given_and_family(&profile.display_name, &user_name);
    let display_name =
        if profile.display_name.trim().is_empty() { &user_name } else { &profile.display_name };
    Ok(PublishedUser {
        external_id: external_id(customer, account.key),
        display_name: display_name.clone(),
        user_name,
        given_name,
        family_name,
        email: profile.email.clone(),
        mobile_phone: profile.mobile_phone.clone(),
    })
}

/// Decides about everybody.
pub fn publish(scene: &Scene<'_>) -> Publishing {
    let known: BTreeMap<AccountKey, &Publication> =
        scene.known.iter().map(|known| (known.account, known)).collect();
    let accounts: BTreeMap<AccountKey, &Account> =
        scene.accounts.iter().map(|account| (account.key, account)).collect();
    let mine = names(scene);
    let mut publishing = Publishing::default();
    let mut leaving = Vec::new();
    let everybody: BTreeSet<AccountKey> = known.keys().chain(accounts.keys()).copied().collect();
    for key in everybody {
        let before = known.get(&key).copied();
        let account = accounts.get(&key).copied();
        let is_published = scene.published.contains(&key.account_type);
        let after = match account.filter(|account| account.state.is_imported()) {
            Some(account) if is_published => present(scene, account, before, &mine),
            _ => match before {
                None => continue,
                Some(before) if is_at_rest(before) => {
                    // Whoever takes up room in the guard's window is remembered for as long.
                    let window = scene.rules.removal.window.before(scene.now);
                    if account.is_none() && before.removal_at.is_none_or(|at| at <= window) {
                        publishing.forgotten.push(key);
                    }
                    continue;
                }
                // Of whom nothing can be there nothing has to be known.
                Some(before) if !before.may_be_there() => {
                    publishing.forgotten.push(key);
                    continue;
                }
                Some(before) if !is_published => orphaned(before, scene.now),
                Some(before) => {
                    if is_leaving(scene, before) {
                        leaving.push(before);
                        continue;
                    }
                    before.clone()
                }
            },
        };
        if before != Some(&after) {
            publishing.written.push(after);
        }
    }
    // Whoever asked before and was let through does not need room twice.
    let planned =
        leaving.iter().filter(|before| before.wanted == Presence::Present && before.remote_id.is_some());
    let planned = u64::try_from(planned.count()).unwrap_or(u64::MAX);
    let may_go = scene.rules.removal.allows(planned, scene.leavers);
    for before in leaving {
        let needs_room = before.wanted == Presence::Present && before.remote_id.is_some();
        let after = if may_go || !needs_room {
            Publication {
                status: PublicationStatus::Waiting,
                wanted: Presence::Absent,
                user_name: None,
                asked: None,
                asked_at: Some(scene.now),
                since: scene.now,
                removal_at: if needs_room { Some(scene.now) } else { before.removal_at },
                ..before.clone()
            }
        } else {
            changed(before, PublicationStatus::Held, HELD, scene.now)
        };
        if after != *before {
            publishing.written.push(after);
        }
    }
    publishing.written.sort_by_key(|written| (written.remote_id.is_none(), written.account));
    publishing
}

/// Counts who of the customer is to have which name there.
fn names(scene: &Scene<'_>) -> BTreeMap<Text, usize> {
    let mut names = BTreeMap::new();
    let wanted = scene
        .accounts
        .iter()
        .filter(|account| account.state.is_imported() && scene.published.contains(&account.key.account_type));
    for name in wanted.filter_map(|account| account.profile.user_principal_name.as_ref()) {
        *names.entry(Text::from(fold(name).as_ref())).or_default() += 1;
    }
    names
}

fn present(
    scene: &Scene<'_>,
    account: &Account,
    before: Option<&Publication>,
    mine: &BTreeMap<Text, usize>,
) -> Publication {
    let fresh = || Publication {
        account: account.key,
        target: scene.target.clone(),
        subject: Text::default(),
        status: PublicationStatus::Waiting,
        cause: String::new(),
        since: scene.now,
        wanted: Presence::Present,
        user_name: None,
        remote_id: None,
        asked: None,
        asked_at: None,
        confirmed: None,
        removal_at: None,
        corrected: None,
    };
    let subject = account.profile.user_principal_name.clone();
    let subject = subject.unwrap_or_else(|| Text::from(account.listed_name().as_ref()));
    let known = Publication { subject, ..before.cloned().unwrap_or_else(fresh) };
    let user = match user_of(scene.customer, account) {
        Ok(user) => user,
        Err(why) => {
            let failed = changed(&known, PublicationStatus::Failed, &why, scene.now);
            return Publication { wanted: Presence::Present, user_name: None, asked: None, ..failed };
        }
    };
    let user_name = Text::from(fold(&user.user_name).as_ref());
    let clash = match (mine.get(&user_name), scene.taken.get(&user_name)) {
        (Some(count), _) if *count > 1 => Some(format!(
            "{count} accounts of this customer are to have the userName `{}` there",
            user.user_name
        )),
        (_, Some(other)) => Some(format!(
            "an account of the customer `{other}` is to have the userName `{}` there as well",
            user.user_name
        )),
        _ => None,
    };
    let known = Publication { user_name: Some(user_name), ..known };
    if let Some(cause) = clash {
        let conflict = changed(&known, PublicationStatus::Conflict, &cause, scene.now);
        return Publication { wanted: Presence::Present, asked: None, ..conflict };
    }
    let digest = user.digest();
    if is_as_asked(scene, &known, digest) {
        return known;
    }
    Publication {
        status: PublicationStatus::Waiting,
        wanted: Presence::Present,
        since: scene.now,
        asked: Some(digest),
        asked_at: Some(scene.now),
        ..known
    }
}

/// Whether nothing is to be asked for anew.
fn is_as_asked(scene: &Scene<'_>, known: &Publication, digest: Digest) -> bool {
    if known.asked != Some(digest) || known.wanted == Presence::Absent {
        return false;
    }
    match known.status {
        PublicationStatus::Published | PublicationStatus::Drifted => true,
        PublicationStatus::Waiting => !is_older(known, GIVEN_UP_AFTER, scene.now),
        PublicationStatus::Conflict | PublicationStatus::Failed => {
            !is_older(known, scene.rules.check, scene.now)
        }
        PublicationStatus::Held
        | PublicationStatus::Orphaned
        | PublicationStatus::Deactivated
        | PublicationStatus::Deleted => false,
    }
}

fn is_older(known: &Publication, age: Seconds, now: Timestamp) -> bool {
    known.asked_at.is_none_or(|asked_at| age.after(asked_at) <= now)
}

/// Whether the removal of somebody who was removed is to be asked for.
fn is_leaving(scene: &Scene<'_>, before: &Publication) -> bool {
    match (before.wanted, before.status) {
        (Presence::Present, _) => true,
        (Presence::Absent, PublicationStatus::Waiting) => is_older(before, GIVEN_UP_AFTER, scene.now),
        (Presence::Absent, PublicationStatus::Conflict | PublicationStatus::Failed) => {
            is_older(before, scene.rules.check, scene.now)
        }
        // Orphaned while it was waiting to go, and published again since.
        (Presence::Absent, PublicationStatus::Orphaned) => true,
        (Presence::Absent, _) => false,
    }
}

/// Whether somebody left, and the target was told.
fn is_at_rest(before: &Publication) -> bool {
    matches!(before.status, PublicationStatus::Deactivated | PublicationStatus::Deleted)
}

fn orphaned(before: &Publication, now: Timestamp) -> Publication {
    // The name stays taken, as the user stays there.
    Publication { asked: None, ..changed(before, PublicationStatus::Orphaned, ORPHANED, now) }
}

fn changed(before: &Publication, status: PublicationStatus, cause: &str, now: Timestamp) -> Publication {
    if before.status == status && before.cause == cause {
        return before.clone();
    }
    Publication { status, cause: cause.to_owned(), since: now, ..before.clone() }
}

/// Returns how an account stands whose user is gone from a target, as the operator wants it.
pub fn gone(on_removal: OnRemoval) -> PublicationStatus {
    match on_removal {
        OnRemoval::Deactivate => PublicationStatus::Deactivated,
        OnRemoval::Delete => PublicationStatus::Deleted,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::account::{AccountState, Profile, Provenance, Source, Verdict};
    use crate::model::guid::Guid;

    const NOW: i64 = 1_795_000_000;

    fn moment(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a moment")
    }

    fn account(number: u128, name: &str, is_removed: bool) -> Account {
        let since = moment(NOW - 10);
        Account {
            key: AccountKey {
                account_type: AccountType::EndUser,
                source: Source::Directory,
                id: Guid::from_u128(number),
            },
            profile: Profile {
                sam_account_name: Text::from(name),
                user_principal_name: (!name.is_empty()).then(|| Text::from(format!("{name}@contoso.test"))),
                display_name: Text::from(name),
                email: None,
                mobile_phone: None,
                tenant_user_id: None,
                password_sync: false,
            },
            state: match is_removed {
                true => AccountState::Removed { since, reason: Verdict::NotInScope, approved: false },
                false => AccountState::Active,
            },
            provenance: Arc::new(Provenance {
                directory: None,
                policy: Text::from("staff"),
                tree_revision: Text::default(),
                run: Text::default(),
            }),
            imported_at: since,
            removal_began_at: None,
        }
    }

    fn number_of(id: Guid) -> u128 {
        (0..100).find(|number| Guid::from_u128(*number) == id).expect("a small number")
    }

    struct World {
        rules: TargetRules,
        published: BTreeSet<AccountType>,
        known: BTreeMap<AccountKey, Publication>,
        taken: BTreeMap<Text, Text>,
        now: i64,
    }

    impl World {
        fn new() -> Self {
            Self {
                rules: TargetRules::default(),
                published: [AccountType::EndUser].into(),
                known: BTreeMap::new(),
                taken: BTreeMap::new(),
                now: NOW,
            }
        }

        /// Decides, and takes it down.
        fn publish(&mut self, accounts: &[Account]) -> Vec<(u128, PublicationStatus)> {
            let window = self.rules.removal.window.before(moment(self.now));
            let is_recent = |known: &&Publication| known.removal_at.is_some_and(|at| at > window);
            let is_counted = |known: &&Publication| match known.wanted {
                Presence::Present => known.remote_id.is_some(),
                Presence::Absent => is_recent(known),
            };
            let base = self.known.values().filter(is_counted).count() as u64;
            let recent = self.known.values().filter(is_recent).count() as u64;
            let leavers = Leavers { base, recent };
            let known: Vec<Publication> = self.known.values().cloned().collect();
            let publishing = publish(&Scene {
                customer: &Text::from("contoso"),
                target: &Text::from("hr-app"),
                rules: &self.rules,
                accounts,
                published: &self.published,
                known: &known,
                taken: &self.taken,
                leavers,
                now: moment(self.now),
            });
            for key in publishing.forgotten {
                self.known.remove(&key);
            }
            let mut told = Vec::new();
            for written in publishing.written {
                told.push((number_of(written.account.id), written.status));
                self.known.insert(written.account, written);
            }
            told.sort();
            told
        }

        /// Everything that waits arrives.
        fn arrive(&mut self) {
            for known in self.known.values_mut().filter(|known| known.status == PublicationStatus::Waiting) {
                known.status = match known.wanted {
                    Presence::Present => PublicationStatus::Published,
                    Presence::Absent => PublicationStatus::Deactivated,
                };
                known.confirmed = known.asked;
                known.remote_id = Some(Text::from(known.account.id.to_string()));
            }
        }
    }

    use PublicationStatus::{Conflict, Failed, Held, Orphaned, Waiting};

    #[test]
    fn what_is_imported_is_asked_for_once_and_what_was_removed_is_taken_out_once() {
        let mut world = World::new();
        assert_eq!(world.publish(&[account(1, "jane", false)]), [(1, Waiting)]);
        assert_eq!(world.publish(&[account(1, "jane", false)]), [], "it waits already");
        world.arrive();
        assert_eq!(world.publish(&[account(1, "jane", false)]), []);
        assert_eq!(world.publish(&[account(1, "janet", false)]), [(1, Waiting)]);
        world.arrive();
        assert_eq!(world.publish(&[account(1, "janet", true)]), [(1, Waiting)]);
        world.arrive();
        assert_eq!(world.publish(&[account(1, "janet", true)]), []);
        assert_eq!(world.publish(&[account(1, "janet", false)]), [(1, Waiting)], "back again");
        world.arrive();
        world.publish(&[account(1, "janet", true)]);
        world.arrive();
        assert_eq!(world.publish(&[]), []);
        assert_eq!(world.known.len(), 1, "the guard counts it still");
        world.now += 90_000;
        assert_eq!(world.publish(&[]), []);
        assert!(world.known.is_empty(), "whom the register forgot is forgotten here as well");
    }

    #[test]
    fn a_file_that_goes_takes_nobody_out() {
        let mut world = World::new();
        world.publish(&[account(1, "jane", false), account(2, "joe", false)]);
        world.arrive();
        world.published.clear();
        assert_eq!(
            world.publish(&[account(1, "jane", false), account(2, "joe", true)]),
            [(1, Orphaned), (2, Orphaned)]
        );
        assert_eq!(world.publish(&[account(1, "jane", false), account(2, "joe", true)]), []);
        world.published.insert(AccountType::EndUser);
        assert_eq!(
            world.publish(&[account(1, "jane", false), account(2, "joe", true)]),
            [(1, Waiting), (2, Waiting)]
        );
        let wanted: Vec<Presence> = world.known.values().map(|known| known.wanted).collect();
        assert_eq!(wanted, [Presence::Present, Presence::Absent]);
    }

    #[test]
    fn more_removals_than_there_is_room_for_are_held_whole_and_go_when_there_is() {
        let mut world = World::new();
        let people = |removed: u128| -> Vec<Account> {
            (1..=20).map(|number| account(number, &format!("user{number}"), number <= removed)).collect()
        };
        world.publish(&people(0));
        world.arrive();
        assert_eq!(world.publish(&people(2)), [(1, Waiting), (2, Waiting)]);
        world.arrive();
        assert_eq!(world.publish(&people(4)), [(3, Held), (4, Held)], "none of both");
        assert_eq!(world.publish(&people(4)), []);
        world.now += 90_000;
        assert_eq!(world.publish(&people(4)), [(3, Waiting), (4, Waiting)], "the window has room");
        world.arrive();
        assert_eq!(world.publish(&people(8)).len(), 4, "held");
        world.rules.removal.max_percent = 100;
        assert_eq!(world.publish(&people(8)).len(), 4, "and let go by the operator");
    }

    #[test]
    fn one_name_for_two_is_a_conflict_for_both_until_it_is_none() {
        let mut world = World::new();
        assert_eq!(
            world.publish(&[account(1, "jane", false), account(2, "Jane", false)]),
            [(1, Conflict), (2, Conflict)]
        );
        assert_eq!(world.publish(&[account(1, "jane", false), account(2, "Jane", false)]), []);
        assert_eq!(
            world.publish(&[account(1, "jane", false), account(2, "joe", false)]),
            [(1, Waiting), (2, Waiting)]
        );
        world.taken.insert(Text::from("joe@contoso.test"), Text::from("fabrikam"));
        assert_eq!(world.publish(&[account(1, "jane", false), account(2, "joe", false)]), [(2, Conflict)]);
        assert_eq!(world.publish(&[account(1, "jane", false), account(2, "", false)]), [(2, Failed)]);
    }

    #[test]
    fn what_was_refused_is_left_alone_for_a_while() {
        let mut world = World::new();
        world.publish(&[account(1, "jane", false)]);
        for known in world.known.values_mut() {
            known.status = Conflict;
        }
        assert_eq!(world.publish(&[account(1, "jane", false)]), []);
        world.now += 86_400;
        assert_eq!(world.publish(&[account(1, "jane", false)]), [(1, Waiting)]);
        world.now += 86_400;
        assert_eq!(world.publish(&[account(1, "jane", false)]), [], "the outbox tries");
        world.now += 8 * 86_400;
        assert_eq!(world.publish(&[account(1, "jane", false)]), [(1, Waiting)], "it gave up");
    }

    proptest! {
        /// Whatever happens: what was decided is decided once, nobody goes whom nobody removed, and never more go
        /// at once than the guard lets.
        #[test]
        fn whatever_happens_a_second_look_decides_nothing_and_only_removed_people_go(
            steps in prop::collection::vec((prop::collection::vec((1_u128..8, 0_u8..3), 0..7), any::<bool>(), any::<bool>()), 1..12)
        ) {
            let mut world = World::new();
            for (people, is_published, arrives) in steps {
                let unique: BTreeMap<u128, u8> = people.into_iter().collect();
                let accounts: Vec<Account> = unique.iter().map(|(number, how)| {
                    account(*number, &format!("user{}", number % 5), *how == 0)
                }).collect();
                world.published = if is_published { [AccountType::EndUser].into() } else { BTreeSet::new() };
                let before = world.known.clone();
                world.publish(&accounts);
                let mut fresh = 0;
                for (key, known) in &world.known {
                    let was_present = before.get(key).is_none_or(|before| before.wanted == Presence::Present);
                    if known.wanted == Presence::Absent && was_present {
                        prop_assert!(is_published);
                        let stays = accounts.iter().any(|account| account.key == *key && account.state.is_imported());
                        prop_assert!(!stays);
                        fresh += u64::from(known.remote_id.is_some());
                    }
                }
                prop_assert!(fresh <= 2, "the guard of so few");
                prop_assert_eq!(world.publish(&accounts), []);
                if arrives {
                    world.arrive();
                }
                world.now += 60;
            }
        }
    }
}
