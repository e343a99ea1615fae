//! A reading that begins below the domain: the domain's groups still decide about those in it.

use serde_json::Value;

use super::*;
use crate::support::intake::Installation;

const STAFF: &str = "OU=Staff,DC=contoso,DC=test";

/// A group of a given place, kind and number; `rid` under the domain's SID.
fn add_group(ldif: &mut LdifText, dn: &str, number: u64, sid: &[u8], members: &[&str]) {
    let name = dn.split(',').next().and_then(|rdn| rdn.split_once('=')).map_or("x", |(_, name)| name);
    let mut texts = vec![("objectClass", "group"), ("cn", name), ("groupType", "-2147483646")];
    texts.extend(members.iter().map(|member| ("member", *member)));
    ldif.entry(dn, &texts, &[("objectGUID", &guid(number)), ("objectSid", sid)]);
}

/// `S-1-5-32-544`.
const ADMINISTRATORS: [u8; 16] = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0];

/// Some people below `OU=Staff`, and every group that says something of them outside of it.
fn groups_elsewhere() -> LdifText {
    let mut ldif = LdifText::default();
    contoso::domain(&mut ldif);
    contoso::unit(&mut ldif, STAFF, "Staff", 11);
    contoso::unit(&mut ldif, "OU=Groups,DC=contoso,DC=test", "Groups", 12);
    for (name, number) in
        [("plain", 100), ("direct", 101), ("nested", 102), ("excluded", 103), ("named", 104)]
    {
        contoso::user(&mut ldif, &format!("CN={name},{STAFF}"), name, number);
    }
    let texts = [
        ("objectClass", "user"),
        ("cn", "primary"),
        ("sAMAccountName", "primary"),
        ("userAccountControl", "512"),
        ("primaryGroupID", "512"),
    ];
    ldif.entry(&format!("CN=primary,{STAFF}"), &texts, &[("objectGUID", &guid(105))]);
    contoso::user(&mut ldif, "CN=outside,OU=Groups,DC=contoso,DC=test", "outside", 106);

    let direct = format!("CN=direct,{STAFF}");
    let admins = [direct.as_str(), "CN=Administrator,CN=Users,DC=contoso,DC=test"];
    add_group(&mut ldif, "CN=Domain Admins,CN=Users,DC=contoso,DC=test", 200, &sid(Some(512)), &admins);
    let inner = "CN=Helpers,OU=Groups,DC=contoso,DC=test";
    let builtin = "CN=Administrators,CN=Builtin,DC=contoso,DC=test";
    add_group(&mut ldif, builtin, 201, &ADMINISTRATORS, &[inner]);
    add_group(&mut ldif, inner, 202, &sid(Some(1202)), &[&format!("CN=nested,{STAFF}")]);
    let excluded = [format!("CN=excluded,{STAFF}")];
    let excluded: Vec<&str> = excluded.iter().map(String::as_str).collect();
    add_group(&mut ldif, "CN=No Intake,OU=Groups,DC=contoso,DC=test", 203, &sid(Some(1203)), &excluded);
    let named = format!("CN=named,{STAFF}");
    let named = [named.as_str(), "CN=outside,OU=Groups,DC=contoso,DC=test"];
    add_group(&mut ldif, "CN=Powerful,OU=Groups,DC=contoso,DC=test", 204, &sid(Some(1204)), &named);
    let everybody: Vec<String> = ["plain", "direct", "nested", "excluded", "named", "primary"]
        .iter()
        .map(|name| format!("CN={name},{STAFF}"))
        .chain(["CN=outside,OU=Groups,DC=contoso,DC=test".to_owned()])
        .collect();
    let everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
    add_group(&mut ldif, "CN=Intake Users,OU=Groups,DC=contoso,DC=test", 205, &sid(Some(1205)), &everybody);
    ldif
}

/// An installation whose customer is read below `OU=Staff`, and selects, excludes and distrusts by
/// groups outside of it.
fn installation(url: &str, reader: &str, password: &str) -> Installation {
    let mut here = Installation::new();
    here.secret("INTAKE_SECRET_CONTOSO__LDAP", password);
    let directory = format!(
        "{{ldap: {{urls: [\"{url}\"], baseDn: \"{STAFF}\", timeout: 20s, \
         bind: {{dn: \"{reader}\", passwordFrom: {{env: INTAKE_SECRET_CONTOSO__LDAP}}}}}}}}"
    );
    here.write("contoso.json", r#"{"value": []}"#);
    here.customer("contoso", "Contoso", &directory, "{snapshot: {file: contoso.json}}");
    here.write(
        "staff.yaml",
        "apiVersion: intake.dev/v1
kind: ImportPolicy
metadata: {name: staff}
spec:
  accountType: EndUser
  default: true
  selection: {securityGroups: [Intake Users]}
  exclude: [{securityGroup: No Intake}]
  privilegedGroups: [\"CN=Powerful,OU=Groups,DC=contoso,DC=test\"]
  passwordSync: false
",
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

fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, verdict)| ((*name).to_owned(), (*verdict).to_owned())).collect()
}

#[test]
fn groups_outside_of_the_base_select_exclude_and_mark_the_powerful() {
    let slapd = Slapd::start(&groups_elsewhere().0, &SlapdOptions::default());
    let here = installation(&slapd.url(), slapd::READER, slapd::PASSWORD);
    let plan = here.json(&["plan"], 0);
    assert_eq!(
        verdicts(&plan),
        expected(&[
            ("direct", "privileged-account"),
            ("excluded", "excluded"),
            ("named", "privileged-account"),
            ("nested", "privileged-account"),
            ("plain", "included"),
            ("primary", "privileged-account"),
        ])
    );
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
    set_up.timeout = Seconds(2);
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
    let here = installation(&slapd.url(), slapd::READER, slapd::PASSWORD);
    assert_eq!(verdicts(&here.json(&["plan"], 0)), expected(&[("plain", "included")]));
}
