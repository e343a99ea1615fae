//! The verdict for every candidate: who is in the desired set, and why the others are not.

use crate::model::account::Verdict;
use crate::model::tenant::Tenant;
use crate::plan::correlate::{Link, Roster};
use crate::plan::licence::LicenceTest;
use crate::plan::screen::Screened;
use crate::policy::fleet::MatchKey;

/// The desired set, as one decision per candidate of the screen.
pub struct Desired {
    /// In the order of [`Screened::candidates`].
    pub decisions: Vec<Decision>,
}

/// What the rules decided about one candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// The first rule that applies.
    pub verdict: Verdict,
    /// The tenant user it is tied to, a position in the tenant.
    pub user: Option<u32>,
    /// The key that tied them just now.
    pub key: Option<MatchKey>,
}

/// Decides about every candidate. `licences` holds the test of each import that links.
pub fn desire(
    screened: &Screened<'_>,
    roster: &Roster,
    tenant: Option<&Tenant>,
    licences: &[Option<LicenceTest>],
) -> Desired {
    let decide = |(candidate, link): (&crate::plan::screen::Candidate, &Link)| {
        let alone = |verdict| Decision { verdict, user: None, key: None };
        match (candidate.verdict, link) {
            (Some(verdict), _) => alone(verdict),
            (None, Link::NotAsked) => alone(Verdict::Included),
            (None, Link::Nobody) => alone(Verdict::NoTenantMatch),
            (None, Link::Ambiguous(_)) => alone(Verdict::AmbiguousMatch),
            (None, Link::Conflict(_)) => alone(Verdict::MatchConflict),
            (None, Link::One { user, key }) => {
                let licence = licences[candidate.import as usize].as_ref();
                let found = tenant.map(|tenant| &tenant.users[*user as usize]);
                let verdict = match (found, licence) {
                    (Some(found), _) if found.is_guest => Verdict::Guest,
                    (Some(found), _) if !found.enabled => Verdict::TenantDisabled,
                    (Some(found), Some(licence)) if licence.is_licensed(found) => Verdict::Included,
                    _ => Verdict::Unlicensed,
                };
                Decision { verdict, user: Some(*user), key: *key }
            }
        }
    };
    Desired { decisions: screened.candidates.iter().zip(&roster.links).map(decide).collect() }
}
