//! One import: its fields as written become what applies, or problems.

use crate::model::account::AccountType;
use crate::model::duration::Seconds;
use crate::model::text::Text;
use crate::policy::document_import::{Exclude, Removal, Rules, Selection as Written, unsupported_containers};
use crate::policy::document_options::Choices;
use crate::policy::fleet::{
    Excluded, Exclusion, Import, LicenceRule, MatchKey, Options, RemovalLimits, Scope, Selection, SkuName,
};
use crate::policy::limits::Limits;
use crate::policy::problem::Rule;
use crate::policy::read::{Placed, Value, suggest};
use crate::policy::source::{Ledger, Place};
use crate::policy::value::{EntraGroup, Group, Ou, Sku, Word};
use crate::policy::yaml::Scalar;

/// An import that applies, and where its scope is written: the entries in their order.
#[derive(Debug, Clone)]
pub struct Built {
    /// The import.
    pub import: Import,
    /// Where each entry of its selection stands.
    pub places: Vec<Place>,
}

const MATCH_KEYS: [MatchKey; 4] =
    [MatchKey::ImmutableId, MatchKey::SecurityIdentifier, MatchKey::UserPrincipalName, MatchKey::Mail];

/// Checks the fields of an import. `None`: what is broken has been reported.
pub fn import(
    rules: &Rules,
    account_type: AccountType,
    policy: Text,
    holder: Place,
    limits: &Limits,
    ledger: &mut Ledger,
) -> Option<Built> {
    let is_end_user = account_type == AccountType::EndUser;
    let exclude_privileged = match rules.exclude_privileged {
        Some(Placed { at, .. }) if !is_end_user => {
            ledger
                .report(at, "`excludePrivileged` is for EndUser alone")
                .rule(Rule::Conflict)
                .help("remove it: administrators are imported whatever groups they are in");
            false
        }
        Some(Placed { value: false, at }) if !limits.include_privileged => {
            ledger
                .report(at, "the operator does not let a policy import privileged accounts as end users")
                .rule(Rule::NotPermitted);
            false
        }
        Some(Placed { value, .. }) => value,
        None => is_end_user,
    };
    let removal = removal(rules.removal.as_ref(), holder, limits, ledger);
    let match_keys = match_keys(rules, ledger);
    let Some(selection) = &rules.selection else {
        ledger
            .report(holder, "`selection` is missing here")
            .rule(Rule::MissingKey)
            .help("say who is imported: selection: {organizationalUnits: [\"OU=Staff\"]}");
        return None;
    };
    let (selection, places) = self::selection(selection.value.as_ref()?, ledger)?;
    if selection.is_of_tenant() {
        refuse_directory_exclusions(rules.exclude.as_deref(), places.first(), ledger);
    }
    let licenses = rules.licenses.as_ref();
    let skus = |list: Option<&Vec<Sku>>| -> Vec<SkuName> {
        list.into_iter().flatten().map(|sku| sku.0.clone()).collect()
    };
    let import = Import {
        policy,
        account_type,
        selection,
        exclude: exclusions(rules.exclude.as_deref()),
        include_disabled: rules.include_disabled.unwrap_or(false),
        exclude_privileged,
        privileged_groups: rules.privileged_groups.iter().flatten().map(|group| group.0.clone()).collect(),
        unsupported_containers: match &rules.unsupported_containers {
            Some(list) => list.iter().map(|rdn| rdn.0.clone()).collect(),
            None => unsupported_containers(),
        },
        password_sync: rules.password_sync.unwrap_or(is_end_user),
        licences: LicenceRule {
            any_of: skus(licenses.and_then(|licenses| licenses.any_of.as_ref())),
            ignore: skus(licenses.and_then(|licenses| licenses.ignore.as_ref())),
            require_plan: skus(licenses.and_then(|licenses| licenses.require_plan.as_ref())),
        },
        match_keys,
        removal,
    };
    Some(Built { import, places })
}

fn match_keys(rules: &Rules, ledger: &mut Ledger) -> Vec<MatchKey> {
    let Some(keys) = rules.matching.as_ref().and_then(|matching| matching.keys.as_ref()) else {
        return MATCH_KEYS.to_vec();
    };
    let mut known: Vec<&Placed<MatchKey>> = Vec::new();
    for key in &keys.0 {
        match known.iter().find(|earlier| earlier.value == key.value) {
            Some(first) => {
                ledger
                    .report(key.at, "this match key is here twice")
                    .rule(Rule::Duplicate)
                    .label(first.at, "first here");
            }
            None => known.push(key),
        }
    }
    known.into_iter().map(|key| key.value).collect()
}

fn removal(written: Option<&Removal>, holder: Place, limits: &Limits, ledger: &mut Ledger) -> RemovalLimits {
    let field = |written: Option<(u32, Place)>, default: u32| written.unwrap_or((default, holder));
    let percent = field(
        written.and_then(|removal| removal.max_percent.as_ref()).map(|field| (field.value.0, field.at)),
        10,
    );
    let count = field(
        written.and_then(|removal| removal.max_count.as_ref()).map(|field| (field.value.0, field.at)),
        25,
    );
    let minimum = field(
        written.and_then(|removal| removal.min_count.as_ref()).map(|field| (field.value.0, field.at)),
        2,
    );
    let ceilings = [
        ("maxPercent", percent, limits.max_percent),
        ("maxCount", count, limits.max_count),
        ("minCount", minimum, limits.max_count),
    ];
    for (key, (value, at), ceiling) in ceilings {
        if value > ceiling {
            let what = format!("`removal.{key}` is {value}, and the operator allows {ceiling} at most");
            ledger
                .report(at, what)
                .rule(Rule::NotPermitted)
                .help(format!("write `{key}: {ceiling}` or less"));
        }
    }
    let allow_empty = written.and_then(|removal| removal.allow_empty.as_ref());
    if let Some(Placed { value: true, at }) = allow_empty
        && !limits.allow_empty
    {
        ledger
            .report(*at, "the operator does not let a policy say `allowEmpty: true`")
            .rule(Rule::NotPermitted);
    }
    RemovalLimits {
        grace: written.and_then(|removal| removal.grace).map_or(Seconds(0), |grace| grace.0),
        window: written
            .and_then(|removal| removal.window.as_ref())
            .map_or(Seconds(86_400), |window| window.value.0),
        max_percent: percent.0,
        max_count: count.0,
        min_count: minimum.0,
        max_shrink_percent: written
            .and_then(|removal| removal.max_shrink_percent)
            .map_or(30, |percent| percent.0),
        allow_empty: allow_empty.is_some_and(|allow| allow.value),
    }
}

fn selection(written: &Written, ledger: &mut Ledger) -> Option<(Selection, Vec<Place>)> {
    let optional = written.optional.as_deref();
    match written {
        Written { organizational_units: Some(units), .. } => {
            let (scopes, places) = scopes(&units.0, optional, |ou: &Ou| ou.0.clone(), ledger);
            Some((Selection::OrganizationalUnits(scopes), places))
        }
        Written { security_groups: Some(groups), .. } => {
            let (scopes, places) = scopes(&groups.0, optional, |group: &Group| group.0.clone(), ledger);
            Some((Selection::SecurityGroups(scopes), places))
        }
        Written { entra_groups: Some(groups), .. } => {
            let (scopes, places) = scopes(&groups.0, optional, |group: &EntraGroup| group.0.clone(), ledger);
            Some((Selection::EntraGroups(scopes), places))
        }
        Written { licensed: Some(licensed), .. } => {
            if !licensed.value {
                ledger
                    .report(licensed.at, "`licensed` can only be true")
                    .rule(Rule::MalformedValue)
                    .help("write `licensed: true`, or say in another way who is imported");
                return None;
            }
            for entry in optional.into_iter().flatten() {
                ledger
                    .report(entry.at, "`optional` goes with names, and `licensed` has none")
                    .rule(Rule::Conflict)
                    .label(licensed.at, "everybody licensed is selected");
            }
            Some((Selection::Licensed, vec![licensed.at]))
        }
        _ => None,
    }
}

/// Returns the required and the optional entries of a selection.
fn scopes<V: Value, T>(
    required: &[Placed<V>],
    optional: Option<&[Placed<Word>]>,
    take: impl Fn(&V) -> T,
    ledger: &mut Ledger,
) -> (Vec<Scope<T>>, Vec<Place>) {
    let mut scopes = Vec::new();
    let mut places = Vec::new();
    for entry in required {
        scopes.push(Scope { name: take(&entry.value), optional: false });
        places.push(entry.at);
    }
    for entry in optional.into_iter().flatten() {
        match V::from_scalar(&Scalar { text: entry.value.0.to_string(), plain: false }) {
            Ok(value) => {
                scopes.push(Scope { name: take(&value), optional: true });
                places.push(entry.at);
            }
            Err(wrong) => {
                ledger.report(entry.at, wrong.what).rule(Rule::MalformedValue).maybe_help(wrong.help);
            }
        }
    }
    (scopes, places)
}

/// Nobody of a tenant lies in an OU, or in a group of a directory that the customer does not have: such
/// an exclusion would silently leave nobody out.
fn refuse_directory_exclusions(written: Option<&[Exclude]>, selected: Option<&Place>, ledger: &mut Ledger) {
    for exclude in written.into_iter().flatten() {
        let unit = exclude.organizational_unit.as_ref().map(|unit| ("organizationalUnit", unit.at));
        let group = exclude.security_group.as_ref().map(|group| ("securityGroup", group.at));
        for (key, at) in unit.into_iter().chain(group) {
            let what = format!("`{key}` is about a directory, and this import selects from the tenant");
            let report = ledger.report(at, what).rule(Rule::Conflict);
            let report = report.help("exclude by `account`, or give this import an `exclude` of its own");
            if let Some(selected) = selected {
                report.label(*selected, "the selection");
            }
        }
    }
}

/// Returns exclusions; broken ones have been reported.
pub fn exclusions(written: Option<&[Exclude]>) -> Vec<Exclusion> {
    let one = |exclude: &Exclude| {
        let who = match exclude {
            Exclude { account: Some(account), .. } => Excluded::Account(account.0.clone()),
            Exclude { organizational_unit: Some(unit), .. } => {
                Excluded::OrganizationalUnit(unit.value.0.clone())
            }
            Exclude { security_group: Some(group), .. } => Excluded::SecurityGroup(group.value.0.clone()),
            _ => return None,
        };
        Some(Exclusion { who, reason: exclude.reason.clone(), until: exclude.until.map(|day| day.0) })
    };
    written.into_iter().flatten().filter_map(one).collect()
}

/// Checks the fields of options.
pub fn options(written: &Choices, holder: Place, limits: &Limits, ledger: &mut Ledger) -> Options {
    let (interval, at) = written
        .interval
        .as_ref()
        .map_or((Seconds(10_800), holder), |interval| (interval.value.0, interval.at));
    let shortest = limits.min_interval.max(Seconds(60));
    if interval < shortest {
        let whose = if shortest == Seconds(60) { "" } else { " for the operator" };
        ledger
            .report(at, format!("`interval` is {interval}, and must be {shortest} at least{whose}"))
            .rule(Rule::MalformedValue)
            .help(format!("write `interval: {shortest}` or longer"));
    }
    for target in written.publish.iter().flatten() {
        let name = &target.value.0;
        if !limits.targets.contains(name) {
            let help = suggest(name, limits.targets.iter().map(Text::as_str)).unwrap_or_else(|| {
                "targets are in the operator's file (`--config`), which has none".to_owned()
            });
            ledger
                .report(target.at, format!("there is no target `{name}`"))
                .rule(Rule::UnknownReference)
                .help(help);
        }
    }
    let documentation = written.documentation.as_ref();
    Options {
        interval,
        match_documentation: documentation.and_then(|choices| choices.matching).unwrap_or(true),
        create_missing_documentation: documentation
            .and_then(|choices| choices.create_missing)
            .unwrap_or(false),
        publish: written.publish.iter().flatten().map(|target| target.value.0.clone()).collect(),
    }
}
