//! A reading that begins below the domain: the domain's groups still decide about those in it.

use serde_json::Value;

use super::*;
use crate::support::intake::Installation;

pub(super) const STAFF: &str = "OU=Staff,DC=contoso,DC=test";

/// `S-1-5-32-544`.
const ADMINISTRATORS: [u8; 16] = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0];

fn add_group(ldif: &mut LdifText, dn: &str, number: u64, sid: &[u8], members: &[&str]) {
    let name = dn.split(',').next().and_then(|rdn| rdn.split_once('=')).map_or("x", |(_, name)| name);
    let mut texts = vec![("objectClass", "group"), ("cn", name), ("groupType", "-2147483646")];
    texts.extend(members.iter().map(|member| ("member", *member)));
    ldif.entry(dn, &texts, &[("objectGUID", &guid(number)), ("objectSid", sid)]);
}

/// Some people below `OU=Staff`, and groups outside of it that say something of them. `user` writes
/// a user of a name, an account and a number.
pub(super) fn people_and_groups(user: &dyn Fn(&mut LdifText, &str, &str, u32)) -> LdifText {
    let mut ldif = LdifText::default();
    for unit in ["Staff", "Groups"] {
        let texts = [("objectClass", "organizationalUnit"), ("ou", unit)];
        ldif.entry(&format!("OU={unit},DC=contoso,DC=test"), &texts, &[]);
    }
    let people = ["plain", "direct", "nested", "excluded", "named", "primary"];
    for (name, number) in people.iter().zip(100..) {
        user(&mut ldif, &format!("CN={name},{STAFF}"), name, number);
    }
    let outside = "CN=outside,OU=Groups,DC=contoso,DC=test";
    user(&mut ldif, outside, "outside", 106);
    let mut everybody: Vec<String> = people.iter().map(|name| format!("CN={name},{STAFF}")).collect();
    everybody.push(outside.to_owned());
    let groups: [(&str, &[usize]); 4] = [
        ("Helpers", &[2]),
        ("No Intake", &[3]),
        ("Powerful", &[4, 6]),
        ("Intake Users", &[0, 1, 2, 3, 4, 5, 6]),
    ];
    for (name, members) in groups {
        let mut texts = vec![("objectClass", "group"), ("cn", name), ("sAMAccountName", name)];
        texts.extend(members.iter().map(|member| ("member", everybody[*member].as_str())));
        ldif.entry(&format!("CN={name},OU=Groups,DC=contoso,DC=test"), &texts, &[]);
    }
    ldif
}

/// The same for slapd, with the groups that a domain has by itself.
fn groups_elsewhere() -> LdifText {
    let mut ldif = LdifText::default();
    contoso::domain(&mut ldif);
    let primary = |ldif: &mut LdifText, dn: &str| {
        let texts = [
            ("objectClass", "user"),
            ("cn", "primary"),
            ("sAMAccountName", "primary"),
            ("userAccountControl", "512"),
            ("primaryGroupID", "512"),
        ];
        ldif.entry(dn, &texts, &[("objectGUID", &guid(105))]);
    };
    let made = people_and_groups(&|ldif, dn, account, number| match account {
        "primary" => primary(ldif, dn),
        _ => contoso::user(ldif, dn, account, number),
    });
    ldif.0.push_str(&identified(&made.0));
    let direct = format!("CN=direct,{STAFF}");
    let admins = [direct.as_str(), "CN=Administrator,CN=Users,DC=contoso,DC=test"];
    add_group(&mut ldif, "CN=Domain Admins,CN=Users,DC=contoso,DC=test", 200, &sid(Some(512)), &admins);
    let helpers = "CN=Helpers,OU=Groups,DC=contoso,DC=test";
    let builtin = "CN=Administrators,CN=Builtin,DC=contoso,DC=test";
    add_group(&mut ldif, builtin, 201, &ADMINISTRATORS, &[helpers]);
    ldif
}

/// Gives an objectGUID to each record without one, as a domain controller would.
fn identified(ldif: &str) -> String {
    let with_guid = |(record, number): (&str, u64)| {
        if record.contains("objectGUID") {
            return format!("{record}\n\n");
        }
        let mut one = LdifText::default();
        one.entry("", &[], &[("objectGUID", &guid(number))]);
        let guid = one.0.lines().nth(1).expect("a line").to_owned();
        let record = record.replace(
            "objectClass: organizationalUnit",
            "objectClass: organizationalUnit\nobjectClass: identified",
        );
        format!("{record}\n{guid}\n\n")
    };
    ldif.split("\n\n").filter(|record| !record.is_empty()).zip(210..).map(with_guid).collect()
}

/// An installation whose customer is read below a base, and selects, excludes and distrusts by groups of
/// `OU=Groups`.
pub(super) fn installation(base: &str, url: &str, reader: &str, password: &str) -> Installation {
    let mut here = Installation::new();
    here.secret("INTAKE_SECRET_CONTOSO__LDAP", password);
    let directory = format!(
        "{{ldap: {{urls: [\"{url}\"], baseDn: \"{base}\", timeout: 20s, \
         bind: {{dn: \"{reader}\", passwordFrom: {{env: INTAKE_SECRET_CONTOSO__LDAP}}}}}}}}"
    );
    here.write("contoso.json", r#"{"value": []}"#);
    here.customer("contoso", "Contoso", &directory, "{snapshot: {file: contoso.json}}");
    here.default_policy(
        "selection: {securityGroups: [Intake Users]}
         exclude: [{securityGroup: No Intake}]
         privilegedGroups: [\"CN=Powerful,OU=Groups,DC=contoso,DC=test\"]
         passwordSync: false",
    );
    here
}

/// Returns each candidate's verdict by its logon name, sorted; whoever is added is `included`.
pub(super) fn verdicts(plan: &Value) -> Vec<(String, String)> {
    let customer = &plan["customers"][0];
    let name = |one: &Value| one["account"]["samAccountName"].as_str().expect("a name").to_owned();
    let list = |what: &str| customer[what].as_array().expect("a list").clone();
    let left_out = list("notImported")
        .into_iter()
        .map(|one| (name(&one), one["verdict"].as_str().expect("a verdict").to_owned()));
    let mut all: Vec<(String, String)> = list("operations")
        .iter()
        .filter(|one| one["action"] == "add")
        .map(|one| (name(one), "included".to_owned()))
        .chain(left_out)
        .collect();
    all.sort();
    all
}

/// Who of `OU=Staff` is imported, and who is not and why, wherever the reading begins.
pub(super) const STAFF_VERDICTS: [(&str, &str); 6] = [
    ("direct", "privileged-account"),
    ("excluded", "excluded"),
    ("named", "privileged-account"),
    ("nested", "privileged-account"),
    ("plain", "included"),
    ("primary", "privileged-account"),
];

pub(super) fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, verdict)| ((*name).to_owned(), (*verdict).to_owned())).collect()
}

#[test]
fn groups_outside_of_the_base_select_exclude_and_mark_the_powerful() {
    let slapd = Slapd::start(&groups_elsewhere().0, &SlapdOptions::default());
    let here = installation(STAFF, &slapd.url(), slapd::READER, slapd::PASSWORD);
    let plan = here.json(&["plan"], 0);
    assert_eq!(verdicts(&plan), expected(&STAFF_VERDICTS));
    assert_eq!(plan["customers"][0]["findings"], serde_json::json!([]), "nobody outside is missed");
}

#[tokio::test]
async fn the_domains_groups_are_read_in_pages_of_any_size_and_those_below_the_base_once() {
    let mut ldif = groups_elsewhere();
    add_group(&mut ldif, &format!("CN=Near,{STAFF}"), 300, &sid(Some(1300)), &[]);
    let slapd = Slapd::start(&ldif.0, &SlapdOptions::default());
    for page_size in [1, 2, 1000] {
        let mut set_up = location(&slapd.url());
        set_up.base_dn = Dn::parse(STAFF).ok();
        set_up.page_size = page_size;
        let directory = complete(read(set_up).await);
        let mut names: Vec<&str> = directory.groups.iter().map(|group| group.cn.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["Administrators", "Domain Admins", "Helpers", "Intake Users", "Near", "No Intake", "Powerful"]
        );
        assert_eq!(directory.people.len(), 6, "nobody from outside");
        assert_eq!(members(&directory, group(&directory, "Administrators")), ["group Helpers"]);
        assert_eq!(members(&directory, group(&directory, "Domain Admins")), ["direct", "other"]);
        assert!(directory.groups.iter().all(|group| group.unseen.is_empty()), "{page_size}");
    }
}

#[tokio::test]
async fn a_reader_that_may_not_see_the_domain_reads_the_base_alone() {
    let database = format!(
        "access to attrs=userPassword by anonymous auth by * none\n\
         access to dn.subtree=\"{STAFF}\" by users read by anonymous auth\n\
         access to * by anonymous auth by * none\n"
    );
    let options = SlapdOptions { database, ..SlapdOptions::default() };
    let slapd = Slapd::start(&groups_elsewhere().0, &options);
    let mut set_up = location(&slapd.url());
    set_up.base_dn = Dn::parse(STAFF).ok();
    let directory = complete(read(set_up).await);
    assert_eq!((directory.people.len(), directory.groups.len()), (6, 0));
}

/// Answers the reading of `OU=Staff` with one person, and the search for the domain's groups as said.
async fn read_elsewhere(answers: Vec<Answer>) -> Reading<Directory> {
    let timeout = scripted_server::patience(&answers);
    let url = scripted_server::start(move |request| match (request.scope, request.base.as_str()) {
        (2, STAFF) => vec![
            Answer::Entry(STAFF.to_owned(), vec![texts("objectClass", &["organizationalUnit"])]),
            known_group(),
            Answer::Done(0, Vec::new()),
        ],
        (2, _) => answers.clone(),
        _ => vec![Answer::DoneUnpaged(32)],
    });
    let mut set_up = location(&url);
    set_up.base_dn = Dn::parse(STAFF).ok();
    set_up.timeout = timeout;
    read(set_up).await
}

fn group_entry(dn: &str, number: u64) -> Answer {
    let attributes = vec![
        texts("objectClass", &["group"]),
        texts("member", &["CN=x,OU=Staff,DC=contoso,DC=test"]),
        ("objectGUID".to_owned(), vec![guid(number).to_vec()]),
    ];
    Answer::Entry(dn.to_owned(), attributes)
}

fn known_group() -> Answer {
    group_entry(&format!("CN=Known,{STAFF}"), 1)
}

#[tokio::test]
async fn a_search_for_the_domains_groups_that_is_cut_makes_the_reading_incomplete() {
    let far = || group_entry("CN=Far,DC=contoso,DC=test", 2);
    for code in [1, 3, 4, 10, 11, 51, 53, 80] {
        for answers in [vec![Answer::Done(code, Vec::new())], vec![far(), Answer::Done(code, Vec::new())]] {
            let shortfall = incomplete(read_elsewhere(answers).await);
            assert!(shortfall.read >= 2, "result code {code}: {shortfall:?}");
        }
    }
    for end in [Answer::Close, Answer::Silence, Answer::DoneUnpaged(0)] {
        incomplete(read_elsewhere(vec![far(), end]).await);
    }
    // Not to be seen at all is an answer; not to be seen any more is none.
    for code in [32, 50] {
        let directory = complete(read_elsewhere(vec![Answer::Done(code, Vec::new())]).await);
        assert_eq!(directory.groups.len(), 1);
        incomplete(read_elsewhere(vec![far(), Answer::Done(code, Vec::new())]).await);
    }
    let whole = complete(read_elsewhere(vec![far(), known_group(), Answer::Done(0, Vec::new())]).await);
    assert_eq!(whole.groups.len(), 2);
}

#[tokio::test]
async fn a_group_that_moves_while_it_is_read_is_not_lost() {
    // It lay outside when the base was read, and lies below the base now.
    let came = group_entry(&format!("CN=Came,{STAFF}"), 3);
    let shortfall = incomplete(read_elsewhere(vec![came, Answer::Done(0, Vec::new())]).await);
    assert!(shortfall.what.contains("came to its place while"), "{}", shortfall.what);
    // It lay below the base, and was read there, and lies outside now.
    let went = group_entry("CN=Known,DC=contoso,DC=test", 1);
    let shortfall = incomplete(read_elsewhere(vec![went, Answer::Done(0, Vec::new())]).await);
    assert!(shortfall.what.contains("changed while it was read"), "{}", shortfall.what);
}

#[tokio::test]
async fn another_domain_below_this_one_is_no_part_of_its_groups() {
    let reference = |url: &str| vec![Answer::Reference(url.to_owned()), Answer::Done(0, Vec::new())];
    let child = "ldap://berlin.contoso.test/DC=berlin,DC=contoso,DC=test";
    assert_eq!(complete(read_elsewhere(reference(child)).await).groups.len(), 1);
    let part = "ldap://other.contoso.test/OU=Groups,DC=contoso,DC=test";
    incomplete(read_elsewhere(reference(part)).await);
}

#[test]
fn a_group_below_the_base_is_meant_before_one_of_the_same_name_elsewhere() {
    let mut ldif = groups_elsewhere();
    let plain = format!("CN=plain,{STAFF}");
    add_group(&mut ldif, &format!("CN=Intake Users,{STAFF}"), 300, &sid(Some(1300)), &[&plain]);
    let slapd = Slapd::start(&ldif.0, &SlapdOptions::default());
    let here = installation(STAFF, &slapd.url(), slapd::READER, slapd::PASSWORD);
    assert_eq!(verdicts(&here.json(&["plan"], 0)), expected(&[("plain", "included")]));
}
