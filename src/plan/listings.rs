//! The lists beside the operations: who is kept, who is not imported, who is licensed outside.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use crate::model::account::{AccountKey, AccountType, Profile, Source, Verdict};
use crate::model::directory::{Person, Unidentified};
use crate::model::dn::Dn;
use crate::model::guid::Guid;
use crate::model::tenant::{Tenant, TenantUser};
use crate::model::text::{Text, fold, inert};
use crate::plan::correlate::{Link, Nearest, Rivals, Roster, describe_rivals};
use crate::plan::desire::Desired;
use crate::plan::diff::Known;
use crate::plan::licence::{LicenceTest, licence_names};
use crate::plan::outcome::{AccountView, Kept, NotImported, TenantUserView};
use crate::plan::screen::Screened;
use crate::plan::select::Selected;
use crate::plan::tenant_verdict::{self, TenantCandidate};
use crate::policy::fleet::Import;

/// What the lists are made from.
pub struct Listings<'a> {
    /// The customer, its readings and its accounts.
    pub known: &'a Known<'a>,
    /// What the policies select.
    pub selected: &'a Selected<'a>,
    /// The candidates.
    pub screened: &'a Screened<'a>,
    /// Their tenant users.
    pub roster: &'a Roster,
    /// The verdicts.
    pub desired: &'a Desired,
    /// The licence test of each import that links.
    pub licences: &'a [Option<LicenceTest>],
    /// The users of a tenant that is the only source.
    pub users: &'a [TenantCandidate],
}

impl<'a> Listings<'a> {
    /// Lists known accounts that an unclear record or match leaves as they are, by name.
    pub fn kept(&self, kept: &[(usize, Option<usize>, Verdict)]) -> Vec<Kept> {
        let mut list: Vec<Kept> = kept
            .iter()
            .map(|(account, candidate, verdict)| {
                let account = &self.known.accounts[*account];
                Kept {
                    verdict: *verdict,
                    account_type: account.key.account_type,
                    account: AccountView::of(&account.key, &account.profile),
                    candidates: candidate.map(|position| self.rivals(position)).unwrap_or_default(),
                }
            })
            .collect();
        list.sort_by_cached_key(|kept| order(&kept.account));
        list
    }

    /// Lists the candidates that are not in the desired set, by name, with what decided.
    pub fn not_imported(&self, left_out: &[usize], users_left_out: &[usize]) -> Vec<NotImported> {
        let nearest = OnceCell::new();
        let mut list: Vec<NotImported> =
            left_out.iter().map(|position| self.left_out(*position, &nearest)).collect();
        self.add_unidentified(&mut list);
        list.extend(users_left_out.iter().filter_map(|position| self.user_left_out(&self.users[*position])));
        list.sort_by_cached_key(|one| order(&one.account));
        list
    }

    /// Tells of one candidate that is not in the desired set, and what decided. `nearest` is filled where
    /// it is needed.
    pub fn left_out(&self, position: usize, nearest: &OnceCell<Nearest<'a>>) -> NotImported {
        let candidate = &self.screened.candidates[position];
        let decision = &self.desired.decisions[position];
        let import = self.selected.imports[candidate.import as usize].import;
        let person = &self.known.directories[candidate.directory as usize].people[candidate.person as usize];
        let user = decision.user.zip(self.known.tenant).map(|(user, tenant)| &tenant.users[user as usize]);
        let mut candidates = self.rivals(position);
        let evidence = match (decision.verdict, self.known.tenant, user) {
            (Verdict::NoTenantMatch, Some(tenant), _) => {
                candidates = nearest.get_or_init(|| Nearest::new(tenant)).users(person);
                "no tenant user fits by any match key".to_owned()
            }
            (Verdict::AmbiguousMatch, ..) => "more than one possible match".to_owned(),
            (Verdict::MatchConflict, ..) => "a stronger key points elsewhere than a weaker one".to_owned(),
            (
                verdict @ (Verdict::Guest | Verdict::TenantDisabled | Verdict::Unlicensed),
                Some(tenant),
                Some(user),
            ) => self.about_user(verdict, candidate.import, tenant, user),
            (verdict, ..) => self.screened.screens[candidate.import as usize][candidate.directory as usize]
                .evidence(candidate.person, verdict),
        };
        NotImported {
            verdict: decision.verdict,
            account_type: import.account_type,
            account: view_of(person, user, Some(import)),
            evidence,
            candidates,
        }
    }

    /// Tells of a user of a tenant that is the only source.
    pub fn user_left_out(&self, candidate: &TenantCandidate) -> Option<NotImported> {
        let tenant = self.known.tenant?;
        let user = tenant.users.get(candidate.user as usize)?;
        let import = self.selected.imports[candidate.import as usize].import;
        let about = || self.about_user(candidate.verdict, candidate.import, tenant, user);
        Some(NotImported {
            verdict: candidate.verdict,
            account_type: import.account_type,
            account: AccountView::of(
                &tenant_verdict::key_of(import, user),
                &tenant_verdict::profile_of(user),
            ),
            evidence: match candidate.verdict {
                Verdict::Excluded => candidate.exclusion(import).map(|text| inert(&text).into_owned()),
                _ => None,
            }
            .unwrap_or_else(about),
            candidates: Vec::new(),
        })
    }

    /// Says for people what a verdict about a tenant user was decided from.
    fn about_user(&self, verdict: Verdict, import: u32, tenant: &Tenant, user: &TenantUser) -> String {
        let name = inert(&user.user_principal_name);
        match verdict {
            Verdict::Guest => format!("tenant user {name} is a guest"),
            Verdict::TenantDisabled => format!("sign-in of tenant user {name} is blocked"),
            Verdict::Unlicensed => {
                let licence = self.licences[import as usize].as_ref();
                match licence.map(|licence| licence.objections(tenant, user).join(", ")) {
                    Some(objections) if !objections.is_empty() => {
                        format!("tenant user {name} holds no licence that counts: {objections}")
                    }
                    _ => format!("tenant user {name} holds no licence"),
                }
            }
            _ => format!("tenant user {name}"),
        }
    }

    /// Adds records without an objectGUID that lie in a selected OU.
    fn add_unidentified(&self, list: &mut Vec<NotImported>) {
        let mut told = BTreeSet::new();
        for one in &self.selected.imports {
            for (scope, directory) in one.scopes.iter().zip(self.known.directories) {
                let records: Vec<&Unidentified> = directory
                    .unidentified
                    .iter()
                    .filter(|record| Dn::parse(&record.dn).is_ok_and(|dn| scope.has_name(directory, &dn)))
                    .filter(|record| told.insert((one.import.account_type, &record.dn)))
                    .collect();
                list.extend(records.into_iter().map(|record| NotImported {
                    verdict: Verdict::InvalidRecord,
                    account_type: one.import.account_type,
                    account: view_of_record(record, one.import.password_sync),
                    evidence: format!("{}: {}", inert(&record.dn), record.reason),
                    candidates: Vec::new(),
                }));
            }
        }
    }

    /// Lists licensed people of the tenant whom no scope holds, by name.
    pub fn licensed_outside_scope(&self) -> Vec<TenantUserView> {
        let Some(tenant) = self.known.tenant else { return Vec::new() };
        let Some(licence) = self.licences.iter().flatten().next() else { return Vec::new() };
        let mut is_inside = vec![false; tenant.users.len()];
        let linked = self.roster.links.iter().flat_map(Link::users);
        let judged = self.users.iter().map(|candidate| candidate.user);
        for user in linked.chain(self.roster.ruled_out.iter().copied()).chain(judged) {
            is_inside[user as usize] = true;
        }
        let mut list: Vec<TenantUserView> = tenant
            .users
            .iter()
            .zip(is_inside)
            .filter(|(user, is_inside)| !is_inside && !user.is_guest && licence.is_licensed(user))
            .map(|(user, _)| TenantUserView {
                tenant_user_id: user.id,
                user_principal_name: user.user_principal_name.clone(),
                display_name: user.display_name.clone(),
                licenses: licence_names(tenant, user),
            })
            .collect();
        list.sort_by_cached_key(|user| (fold(&user.user_principal_name).into_owned(), user.tenant_user_id));
        list
    }

    /// Describes everybody whom a candidate with an unclear match could have been.
    pub fn rivals(&self, position: usize) -> Vec<String> {
        let candidate = &self.screened.candidates[position];
        let place = (candidate.directory, candidate.person);
        let describe = |rivals: &Rivals| match self.known.tenant {
            Some(tenant) => describe_rivals(rivals, place, self.known.directories, tenant),
            None => Vec::new(),
        };
        match &self.roster.links[position] {
            Link::Ambiguous(rivals) | Link::Conflict(rivals) => describe(rivals),
            Link::NotAsked | Link::Nobody | Link::One { .. } => Vec::new(),
        }
    }
}

/// Shows a person of a directory as plans show an account; `user` is the tenant user it is tied to.
pub fn view_of(person: &Person, user: Option<&TenantUser>, import: Option<&Import>) -> AccountView {
    let account_type = import.map_or(AccountType::EndUser, |import| import.account_type);
    let key = AccountKey { account_type, source: Source::Directory, id: person.guid };
    let profile = Profile {
        sam_account_name: person.sam_account_name.clone(),
        user_principal_name: person.user_principal_name.clone(),
        display_name: person.display_name.clone(),
        email: person.mail.clone(),
        mobile_phone: person.mobile.clone(),
        tenant_user_id: user.map(|user| user.id),
        password_sync: import.is_some_and(|import| import.password_sync),
    };
    AccountView::of(&key, &profile)
}

/// Shows a record without an objectGUID as plans show an account.
pub fn view_of_record(record: &Unidentified, password_sync: bool) -> AccountView {
    AccountView {
        directory_id: None,
        tenant_user_id: None,
        sam_account_name: record.sam_account_name.clone().unwrap_or_default(),
        user_principal_name: record.user_principal_name.clone(),
        display_name: record.dn.clone(),
        email: None,
        mobile_phone: None,
        sources: vec!["activeDirectory"],
        password_sync,
    }
}

/// Orders accounts in every output: by name, then id.
fn order(account: &AccountView) -> (String, Option<Guid>, Text, Option<Guid>) {
    let name = fold(&account.display_name).into_owned();
    (name, account.directory_id, account.sam_account_name.clone(), account.tenant_user_id)
}
