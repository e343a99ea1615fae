//! One Samba domain with what is found in the field: powerful people, hidden members, odd objects and
//! names, accounts that may not sign in.

use super::below_the_domain::{STAFF, STAFF_VERDICTS, expected, installation, people_and_groups, verdicts};
use super::*;
use crate::support::intake::{Installation, Run};
use crate::support::ldap_proxy::LdapProxy;

/// The account that the program signs in as: an ordinary user.
const READER: &str = "svc-intake@contoso.test";
const READER_PASSWORD: &str = "Reading-horse-1";
const GROUPS: &str = "OU=Groups,DC=contoso,DC=test";
const ODD_UNIT: &str = "OU=Büro\\, Süd \\+ Nord \\#1,OU=Staff,DC=contoso,DC=test";
/// 2020-01-01T00:00:00Z as accountExpires has it.
const LONG_AGO: &str = "132223104000000000";

/// The domain; made once.
fn field() -> &'static Samba {
    static FIELD: OnceLock<Samba> = OnceLock::new();
    FIELD.get_or_init(|| {
        let samba = Samba::start();
        samba.load(&objects());
        samba.administer(&["account", "svc-intake", READER_PASSWORD]);
        for name in ["svc-disabled", "svc-expired", "svc-change", "svc-locked"] {
            samba.administer(&["account", name, READER_PASSWORD]);
        }
        samba.modify(&changes());
        samba
    })
}

/// What is loaded.
fn objects() -> String {
    let mut ldif = people_and_groups(&|ldif, dn, account, _| user(ldif, dn, account, "544"));
    ldif.entry(ODD_UNIT, &[("objectClass", "organizationalUnit")], &[]);
    let odd = format!("CN=\\#Zoë \\\"Z\\\" \\<x\\>\\; O'Brien \\\\,{ODD_UNIT}");
    user(&mut ldif, &odd, "zoe", "544");
    user(&mut ldif, &format!("CN=asleep,{STAFF}"), "asleep", "546");
    user(&mut ldif, &format!("CN=hidden,{STAFF}"), "hidden", "544");
    ldif.entry(
        &format!("CN=unix,{STAFF}"),
        &[("objectClass", "inetOrgPerson"), ("sAMAccountName", "unix"), ("userAccountControl", "544")],
        &[],
    );
    ldif.entry(
        &format!("CN=pc,{STAFF}"),
        &[("objectClass", "computer"), ("sAMAccountName", "PC7$"), ("userAccountControl", "4096")],
        &[],
    );
    ldif.entry(&format!("CN=friend,{STAFF}"), &[("objectClass", "contact")], &[]);
    let managed = [
        ("objectClass", "msDS-GroupManagedServiceAccount"),
        ("sAMAccountName", "managed$"),
        ("msDS-ManagedPasswordInterval", "30"),
        ("userAccountControl", "4096"),
    ];
    ldif.entry(&format!("CN=managed,{STAFF}"), &managed, &[]);

    let everything: Vec<String> = ["unix", "pc", "friend", "managed"]
        .iter()
        .map(|name| format!("CN={name},{STAFF}"))
        .chain([odd, format!("CN=plain,{STAFF}")])
        .collect();
    let everything: Vec<&str> = everything.iter().map(String::as_str).collect();
    let plain = [format!("CN=plain,{STAFF}")];
    let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
    group(&mut ldif, "Local", "-2147483644", &everything);
    group(&mut ldif, "Global", "-2147483646", &plain);
    group(&mut ldif, "Universal", "-2147483640", &plain);
    group(&mut ldif, "News", "8", &plain);
    let hidden = [format!("CN=hidden,{STAFF}"), format!("CN=plain,{STAFF}"), format!("CN=named,{STAFF}")];
    let hidden: Vec<&str> = hidden.iter().map(String::as_str).collect();
    group(&mut ldif, "Hidden Users", "-2147483646", &hidden);
    group(&mut ldif, "Nobody Yet", "-2147483646", &[]);
    ldif.0
}

fn user(ldif: &mut LdifText, dn: &str, account: &str, control: &str) {
    let texts = [("objectClass", "user"), ("sAMAccountName", account), ("userAccountControl", control)];
    ldif.entry(dn, &texts, &[]);
}

fn group(ldif: &mut LdifText, name: &str, kind: &str, members: &[&str]) {
    let mut texts = vec![("objectClass", "group"), ("sAMAccountName", name), ("groupType", kind)];
    texts.extend(members.iter().map(|member| ("member", *member)));
    ldif.entry(&format!("CN={name},{GROUPS}"), &texts, &[]);
}

/// What is changed once it is there.
fn changes() -> String {
    let mut ldif = String::new();
    let mut change = |dn: &str, how: &str, attribute: &str, value: &str| {
        ldif.push_str(&format!("dn: {dn}\nchangetype: modify\n{how}: {attribute}\n{attribute}: {value}\n\n"));
    };
    let admins = "CN=Domain Admins,CN=Users,DC=contoso,DC=test";
    for name in ["direct", "primary"] {
        change(admins, "add", "member", &format!("CN={name},{STAFF}"));
    }
    change(&format!("CN=primary,{STAFF}"), "replace", "primaryGroupID", "512");
    change(
        "CN=Administrators,CN=Builtin,DC=contoso,DC=test",
        "add",
        "member",
        &format!("CN=Helpers,{GROUPS}"),
    );
    change(&format!("CN=asleep,{STAFF}"), "replace", "accountExpires", LONG_AGO);
    change(&format!("CN=direct,{STAFF}"), "replace", "adminCount", "1");
    let service = |name: &str| format!("CN={name},CN=Users,DC=contoso,DC=test");
    change(&service("svc-disabled"), "replace", "userAccountControl", "514");
    change(&service("svc-expired"), "replace", "accountExpires", LONG_AGO);
    change(&service("svc-change"), "replace", "pwdLastSet", "0");
    change("DC=contoso,DC=test", "replace", "lockoutThreshold", "3");
    ldif
}

async fn read_field(url: &str) -> Directory {
    complete(read_as(location_read_by(url, READER), READER_PASSWORD).await)
}

/// An installation over the whole domain whose policy selects as said.
fn selecting(selection: &str) -> Installation {
    let here = installation("DC=contoso,DC=test", &field().url(), READER, READER_PASSWORD);
    let limits = "maxPercent: 100, maxCount: 1000, minCount: 1000, maxShrinkPercent: 100, allowEmpty: true";
    here.default_policy(&format!("selection: {selection}\npasswordSync: false\nremoval: {{{limits}}}"));
    here
}

fn finding_codes(run: &serde_json::Value) -> Vec<String> {
    let findings = run["customers"][0]["findings"].as_array().expect("a list");
    findings.iter().map(|finding| finding["code"].as_str().expect("a code").to_owned()).collect()
}

#[test]
fn on_a_domain_controller_the_powerful_are_known_from_wherever_the_reading_begins() {
    let below = installation(STAFF, &field().url(), READER, READER_PASSWORD);
    let plan = below.json(&["plan"], 0);
    assert_eq!(verdicts(&plan), expected(&STAFF_VERDICTS));
    let direct = plan["customers"][0]["notImported"].as_array().expect("a list").iter();
    let direct = direct.clone().find(|one| one["account"]["samAccountName"] == "direct").expect("direct");
    assert_eq!(
        direct["evidence"],
        "member of CN=Domain Admins,CN=Users,DC=contoso,DC=test (its adminCount is 1)"
    );

    let whole = installation("DC=contoso,DC=test", &field().url(), READER, READER_PASSWORD);
    let mut all = STAFF_VERDICTS.to_vec();
    all.insert(4, ("outside", "privileged-account"));
    assert_eq!(verdicts(&whole.json(&["plan"], 0)), expected(&all));
}

#[tokio::test]
async fn members_that_the_reader_may_not_read_hold_removals() {
    let samba = field();
    let group = format!("CN=Hidden Users,{GROUPS}");
    let here = selecting("{securityGroups: [Hidden Users]}");
    let apply = || -> Run { here.run(&["apply", "--yes"]) };
    apply().expect(0);
    let before = here.accounts();
    assert_eq!(before.len(), 3);

    samba.administer(&["deny-member", &group, "svc-intake"]);
    // Samba is asked by person; without its name, as Active Directory is, by group.
    let proxy = LdapProxy::start(&samba.url());
    proxy.replace(b"Samba Team", b"Tango Team");
    for url in [samba.url(), proxy.url()] {
        let directory = read_field(&url).await;
        assert_eq!(super::hiding_groups(&directory), ["Hidden Users"], "and not those that are empty");
        assert!(super::group(&directory, "Nobody Yet").unseen.is_empty());
    }
    let plan = here.json(&["plan"], 3);
    assert!(finding_codes(&plan).contains(&"member-unreadable".to_owned()), "{plan:#}");
    apply().expect(3);
    assert_eq!(here.accounts(), before, "nobody has left");

    samba.administer(&["allow-member", &group, "svc-intake"]);
    apply().expect(0);
    assert_eq!(here.accounts(), before);
}

#[test]
fn security_groups_of_every_reach_are_selected_and_distribution_groups_are_not() {
    let here = selecting("{securityGroups: [Local, Global, Universal]}");
    assert_eq!(
        verdicts(&here.json(&["plan"], 0)),
        expected(&[("plain", "included"), ("unix", "included"), ("zoe", "included")])
    );
    let plan = selecting("{securityGroups: [News]}").json(&["plan"], 3);
    assert_eq!(verdicts(&plan), []);
    assert_eq!(finding_codes(&plan), ["scope-not-found"]);
    assert!(
        plan["customers"][0]["findings"][0]["message"].as_str().expect("text").contains("distribution group"),
        "{plan:#}"
    );
}

#[tokio::test]
async fn computers_contacts_and_managed_accounts_of_a_domain_are_no_people_and_odd_names_are_some() {
    let directory = read_field(&field().url()).await;
    let staff = Dn::parse(STAFF).expect("a DN");
    let mut people: Vec<&str> = directory
        .people
        .iter()
        .filter(|person| directory.container_of(person).dn.is_under(&staff))
        .map(|person| person.sam_account_name.as_str())
        .collect();
    people.sort_unstable();
    let ours =
        ["asleep", "direct", "excluded", "hidden", "named", "nested", "plain", "primary", "unix", "zoe"];
    assert_eq!(people, ours);
    let local = super::group(&directory, "Local");
    assert_eq!(members(&directory, local), ["other", "other", "other", "plain", "unix", "zoe"]);
    assert!(local.unseen.is_empty());

    let zoe = person(&directory, "zoe");
    assert_eq!(zoe.display_name, "#Zoë \"Z\" <x>; O'Brien \\");
    assert_eq!(directory.container_of(zoe).dn, Dn::parse(ODD_UNIT).expect("a DN"));
    assert!(directory.container_of(zoe).is_organizational_unit);
}

#[test]
fn an_ou_with_an_odd_name_is_selected_by_it() {
    let here = selecting("{organizationalUnits: ['OU=Büro\\2C Süd \\2B Nord \\231,OU=Staff']}");
    assert_eq!(verdicts(&here.json(&["plan"], 0)), expected(&[("zoe", "included")]));
}

#[test]
fn the_evidence_tells_disabled_and_expired_apart() {
    let plan = selecting("{organizationalUnits: [OU=Staff]}").json(&["plan"], 0);
    let left_out = plan["customers"][0]["notImported"].as_array().expect("a list");
    let asleep = left_out.iter().find(|one| one["account"]["samAccountName"] == "asleep").expect("asleep");
    assert_eq!(asleep["verdict"], "directory-disabled");
    assert_eq!(
        asleep["evidence"],
        "CN=asleep,OU=Staff,DC=contoso,DC=test is disabled (userAccountControl), expired since 2020-01-01 \
         (accountExpires)"
    );
}

#[tokio::test]
async fn a_domain_controller_says_why_each_account_may_not_sign_in() {
    let samba = field();
    let refused = async |name: &str, password: &str| {
        let reader = format!("{name}@contoso.test");
        let fault = unavailable(read_as(location_read_by(&samba.url(), &reader), password).await);
        assert_eq!(fault.kind, FaultKind::Unauthorised, "{}", fault.what);
        fault.what.rsplit(": ").next().expect("a reason").to_owned()
    };
    assert_eq!(refused("svc-disabled", READER_PASSWORD).await, "the account is disabled");
    assert_eq!(refused("svc-expired", READER_PASSWORD).await, "the account has expired");
    assert_eq!(refused("svc-change", READER_PASSWORD).await, "its password must be changed first");
    for _ in 0..3 {
        assert_eq!(refused("svc-locked", "wrong").await, "the name or the password is wrong");
    }
    assert_eq!(refused("svc-locked", READER_PASSWORD).await, "the account is locked");
    let directory = read_field(&samba.url()).await;
    assert!(person(&directory, "svc-locked").standing.is_locked);
    assert!(!person(&directory, "svc-disabled").standing.is_locked);
}

#[tokio::test]
async fn an_ordinary_user_reads_a_domain_over_encrypted_connections() {
    let samba = field();
    for start_tls in [false, true] {
        let mut set_up = location_read_by(&if start_tls { samba.url() } else { samba.tls_url() }, READER);
        set_up.start_tls = start_tls;
        set_up.ca_file = Some(samba.authority());
        let directory = complete(read_as(set_up.clone(), READER_PASSWORD).await);
        assert!(person(&directory, "plain").enabled);
        set_up.ca_file = None;
        let fault = unavailable(read_as(set_up, READER_PASSWORD).await);
        assert!(fault.what.contains("an authority that is not trusted here"), "{}", fault.what);
    }
}
