//! A plan without names: ids stand in their place, so that it can be shown to whoever may not know who is
//! who.
//!
//! Free text (evidence, candidates, most messages) names people in ways that nobody can list. So nothing
//! is searched for and replaced: what is known to name nobody stays, and everything else goes.

use crate::model::text::Text;
use crate::plan::outcome::{
    AccountView, CustomerPlan, FieldChange, Finding, FindingCode, Kept, NotImported, Operation, Plan,
    TenantUserView,
};

/// What stands for a value that is left out.
const LEFT_OUT: &str = "(left out)";
/// What stands for the name of a record that has no id.
const NO_ID: &str = "(without an id)";
/// Fields of an account whose values are ids or words of Intake and of the tree.
const HARMLESS: [&str; 5] = ["state", "policy", "directory", "tenantUserId", "passwordSync"];

/// Leaves all names of people out of a plan. Digests stay those of the whole plan, so that what was looked
/// at without names is what is approved and applied.
pub fn redact(mut plan: Plan) -> Plan {
    plan.redacted = true;
    plan.customers.iter_mut().for_each(customer);
    plan
}

fn customer(plan: &mut CustomerPlan) {
    plan.operations.iter_mut().chain(&mut plan.no_longer).for_each(operation);
    plan.kept.iter_mut().for_each(kept);
    plan.not_imported.iter_mut().for_each(not_imported);
    plan.licensed_outside_scope.iter_mut().for_each(user);
    plan.findings.iter_mut().for_each(finding);
    // The order of names would tell something of them.
    plan.operations.sort_by_key(|operation| operation.key);
    plan.no_longer.sort_by_key(|operation| operation.key);
    for contact in &mut plan.missing_contacts {
        (contact.account, contact.address, contact.username) = (None, None, None);
    }
    plan.kept.sort_by_key(|kept| (kept.account_type, kept.account.directory_id, kept.account.tenant_user_id));
    plan.not_imported.sort_by_key(|one| {
        (one.account_type, one.account.directory_id, one.account.tenant_user_id, one.verdict)
    });
    plan.licensed_outside_scope.sort_by_key(|user| user.tenant_user_id);
    plan.findings.sort();
}

fn operation(operation: &mut Operation) {
    let profile = &mut operation.profile;
    let id = Text::from(operation.key.id.to_string());
    profile.sam_account_name.clone_from(&id);
    profile.user_principal_name = profile.user_principal_name.take().map(|_| id.clone());
    profile.display_name = id;
    profile.email = None;
    profile.mobile_phone = None;
    operation.changes.iter_mut().for_each(change);
}

fn change(change: &mut FieldChange) {
    if !HARMLESS.contains(&change.field) {
        for value in [&mut change.before, &mut change.after] {
            *value = value.take().map(|_| Text::const_new(LEFT_OUT));
        }
    }
}

fn kept(kept: &mut Kept) {
    account(&mut kept.account);
    kept.candidates.clear();
}

fn not_imported(one: &mut NotImported) {
    account(&mut one.account);
    one.evidence.clear();
    one.candidates.clear();
}

fn account(account: &mut AccountView) {
    let id = account.directory_id.or(account.tenant_user_id);
    let id = id.map_or(Text::const_new(NO_ID), |id| Text::from(id.to_string()));
    account.sam_account_name.clone_from(&id);
    account.user_principal_name = account.user_principal_name.take().map(|_| id.clone());
    account.display_name = id;
    account.email = None;
    account.mobile_phone = None;
}

fn user(user: &mut TenantUserView) {
    let id = Text::from(user.tenant_user_id.to_string());
    user.display_name = user.display_name.take().map(|_| id.clone());
    user.user_principal_name = id;
}

fn finding(finding: &mut Finding) {
    if let Some(telling) = without_names(finding.code) {
        finding.message = format!("{}; names are left out", telling.message);
        if !telling.subject_stays {
            finding.subject.clear();
        }
    }
}

/// What is told of a finding whose own words may name somebody.
struct Telling {
    message: &'static str,
    /// Whether its subject is a source, a policy or a customer, and never an object of a directory.
    subject_stays: bool,
}

/// Returns what stands for a finding's words, or nothing where these hold numbers, digests, ids and words of
/// the tree alone.
fn without_names(code: FindingCode) -> Option<Telling> {
    use FindingCode as Code;
    let object = |message| Some(Telling { message, subject_stays: false });
    let source = |message| Some(Telling { message, subject_stays: true });
    match code {
        Code::RemovalLimit
        | Code::FleetRemovalLimit
        | Code::EmptyDesiredSet
        | Code::SourceShrunk
        | Code::SourceChanged
        | Code::ApprovalUsed
        | Code::ApprovalUnknown
        | Code::SkuNotOwned
        | Code::Orphaned => None,
        Code::NestedGroupIgnored => {
            object("a selected group has a group as member, whose members are not imported")
        }
        Code::BuiltinGroupRefused => object("a built-in or default group is selected"),
        Code::GroupInUnsupportedContainer => {
            object("a selected group lies in the Builtin or Users container")
        }
        Code::ScopeNotFound => object("a selected OU or group does not exist"),
        Code::ScopeAmbiguous => object("several groups have the selected name"),
        Code::ScopeRenamed => object("what an entry names has another name by now"),
        Code::ScopeOverlap => object("both account types select the same OU or group, or one inside another"),
        Code::MemberUnreadable => object("members of a selected group cannot be read"),
        Code::ExcludeNotFound => object("an exclusion fits nothing"),
        Code::AccountNotFound => object("an entry of `protect` or `matches` fits nobody"),
        Code::ChoiceNotFollowed => object("a contact that `matches` chooses cannot be taken"),
        Code::Flapping => source("accounts went and came back a short while ago, and would go again"),
        Code::DirectoryUnavailable => source("the directory could not be read"),
        Code::DirectoryIncomplete => source("the directory's answer does not prove itself whole"),
        Code::TenantUnavailable => source("the tenant could not be read"),
        Code::TenantUnconsented => source("the tenant did not consent to the application"),
        Code::TenantIncomplete => source("the tenant's answer does not prove itself whole"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::{AccountType, Verdict};
    use crate::model::guid::Guid;
    use crate::plan::outcome::{Action, Severity};
    use crate::plan::planner::unite;
    use crate::plan::report::{self, Style};
    use crate::reconcile::fakes;

    /// Every field of a plan that can hold a name holds one.
    fn full_of_names() -> Plan {
        let mut update = fakes::operation(Action::Update, 2);
        let profile = &mut update.profile;
        profile.sam_account_name = Text::const_new("Jane-sam");
        profile.user_principal_name = Some(Text::const_new("Jane-upn"));
        profile.display_name = Text::const_new("Jane-display");
        profile.email = Some(Text::const_new("Jane-mail"));
        profile.mobile_phone = Some(Text::const_new("Jane-phone"));
        let text = |text| Some(Text::const_new(text));
        update.changes = vec![
            FieldChange { field: "displayName", before: text("Jane-before"), after: None },
            FieldChange { field: "policy", before: text("staff"), after: text("others") },
        ];
        let mut account = update.account();
        let mut nameless = account.clone();
        (nameless.directory_id, nameless.tenant_user_id) = (None, None);
        account.directory_id = Some(Guid::from_u128(5));
        let mut customer = fakes::plan("contoso", 1, vec![update]);
        customer.kept = vec![Kept {
            verdict: Verdict::AmbiguousMatch,
            account_type: AccountType::EndUser,
            account,
            candidates: vec!["Jane-candidate".to_owned()],
        }];
        customer.not_imported = vec![NotImported {
            verdict: Verdict::Guest,
            account_type: AccountType::EndUser,
            account: nameless,
            evidence: "Jane-evidence".to_owned(),
            candidates: vec!["Jane-nearest".to_owned()],
        }];
        customer.licensed_outside_scope = vec![TenantUserView {
            tenant_user_id: Guid::from_u128(6),
            user_principal_name: Text::const_new("Jane-outside"),
            display_name: text("Jane-outside-display"),
            licenses: vec![Text::const_new("SPE_E3")],
        }];
        customer.findings = FindingCode::ALL
            .into_iter()
            .filter(|code| without_names(*code).is_some())
            .map(|code| Finding {
                code,
                severity: Severity::Warning,
                subject: if without_names(code).is_some_and(|telling| telling.subject_stays) {
                    "directory main".to_owned()
                } else {
                    "Jane-subject".to_owned()
                },
                message: "Jane-message".to_owned(),
            })
            .collect();
        unite(Text::const_new("tree"), vec![customer])
    }

    #[test]
    fn no_name_is_left_in_any_form_and_ids_stand_in_their_place() {
        let whole = full_of_names();
        let plan = redact(whole.clone());
        assert_eq!(plan.digest, whole.digest, "it is the same plan");
        let mut text = String::new();
        report::write(&mut text, &plan, Style { verbose: true, ..Style::default() }).expect("text");
        let json = serde_json::to_string(&plan).expect("JSON");
        for shown in [&text, &json] {
            assert!(!shown.to_lowercase().contains("jane"), "{shown}");
            for stays in ["SPE_E3", "ambiguous-match", "staff", "others", "directory main", NO_ID] {
                assert!(shown.contains(stays), "{stays} in {shown}");
            }
            for id in [2, 5, 6].map(Guid::from_u128) {
                assert!(shown.contains(&id.to_string()), "{id} in {shown}");
            }
        }
        assert!(json.contains("\"redacted\":true"), "{json}");
        assert!(!serde_json::to_string(&whole).expect("JSON").contains("redacted"));
    }
}
