//! The verdict for everybody whom an import selects in a tenant that is a customer's only source.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::account::{AccountKey, Profile, Source, Verdict};
use crate::model::register::AccountList;
use crate::model::tenant::{Tenant, TenantUser};
use crate::model::text::Text;
use crate::plan::identify::Identified;
use crate::plan::licence::LicenceTest;
use crate::plan::patterns::Patterns;
use crate::plan::screen::describe_exclusion;
use crate::plan::select::Selected;
use crate::plan::tenant_scope::{Selects, TenantScope};
use crate::policy::fleet::Import;

/// A user of the tenant in the scope of an import, with what the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantCandidate {
    /// The position of the import in [`Selected::imports`].
    pub import: u32,
    /// The position of the user in the tenant.
    pub user: u32,
    /// The first rule that applies.
    pub verdict: Verdict,
    /// The position of the exclusion that applies first.
    exclusion: Option<usize>,
}

/// What users of a tenant are judged by.
pub struct Judging<'a> {
    /// The imports that apply.
    pub selected: &'a Selected<'a>,
    /// Whom they select.
    pub scope: &'a TenantScope,
    /// The tenant.
    pub tenant: Option<&'a Tenant>,
    /// Whom entries of the customer's documents name.
    pub identified: &'a Identified,
    /// The licence test of each import that needs a licence.
    pub licences: &'a [Option<LicenceTest>],
    /// When the observation was made.
    pub at: Timestamp,
}

impl Judging<'_> {
    /// Judges everybody in the scope of an import. A guest whom no group names is no candidate, unless
    /// `is_known` has an account of it, which then goes as a guest's.
    pub fn candidates(&self, is_known: impl Fn(&AccountKey) -> bool) -> Vec<TenantCandidate> {
        let mut candidates = Vec::new();
        let Some(tenant) = self.tenant else { return candidates };
        for (position, (one, selects)) in (0..).zip(self.selected.imports.iter().zip(&self.scope.users)) {
            let Some(selects) = selects else { continue };
            let import = one.import;
            let excluded = self.exclusions(import);
            let licence = self.licences.get(position as usize).and_then(Option::as_ref);
            for (user, record) in (0..).zip(&tenant.users) {
                let is_selected = match selects {
                    Selects::Everybody => !record.is_guest || is_known(&key_of(import, record)),
                    Selects::Members(members) => members.contains(&record.id),
                };
                if is_selected {
                    let exclusion = excluded.first(record.id, Some(&record.user_principal_name), "");
                    let verdict = verdict(record, exclusion.is_some(), licence);
                    candidates.push(TenantCandidate { import: position, user, verdict, exclusion });
                }
            }
        }
        candidates
    }

    /// The exclusions of accounts that apply today, each with its position in the import.
    fn exclusions<'i>(&self, import: &'i Import) -> Patterns<'i> {
        let today = self.at.to_zoned(TimeZone::UTC).date();
        self.identified.patterns(AccountList::Exclude, import.excluded_accounts(today))
    }
}

fn verdict(user: &TenantUser, is_excluded: bool, licence: Option<&LicenceTest>) -> Verdict {
    if is_excluded {
        Verdict::Excluded
    } else if user.is_guest {
        Verdict::Guest
    } else if !user.enabled {
        Verdict::TenantDisabled
    } else if licence.is_some_and(|licence| !licence.is_licensed(user)) {
        Verdict::Unlicensed
    } else {
        Verdict::Included
    }
}

impl TenantCandidate {
    /// Says for people which exclusion left the user out; nothing of somebody who is not excluded.
    pub fn exclusion(&self, import: &Import) -> Option<String> {
        self.exclusion.and_then(|position| import.exclude.get(position)).map(describe_exclusion)
    }
}

/// Returns who a user of the tenant is as an account.
pub fn key_of(import: &Import, user: &TenantUser) -> AccountKey {
    AccountKey { account_type: import.account_type, source: Source::Tenant, id: user.id }
}

/// Returns what is known of an account that the tenant alone holds. It counts in one directory, so there
/// is no other whose password it could share.
pub fn profile_of(user: &TenantUser) -> Profile {
    Profile {
        sam_account_name: Text::default(),
        user_principal_name: Some(user.user_principal_name.clone()),
        display_name: user.display_name.clone().unwrap_or_else(|| user.user_principal_name.clone()),
        email: user.mail.clone().or_else(|| user.addresses.primary().cloned()),
        mobile_phone: user.mobile.clone(),
        tenant_user_id: Some(user.id),
        password_sync: false,
    }
}
