//! People who are asked for once more, from real servers.

use std::time::Duration;

use intake::adapters::ldap::LdapDirectory;
use intake::model::confirmation::{PeopleNow, PersonNow};
use intake::model::directory::Origin;
use intake::model::dn::Dn;
use intake::model::guid::Guid;
use intake::model::reading::{FaultKind, Reading};
use intake::model::text::Text;
use intake::policy::fleet::LdapLocation;
use intake::ports::source::{DirectoryPort as _, Unwatched};
use secrecy::SecretString;

use super::{complete, domain_with_people, location, location_read_by, person, read_samba};
use crate::support::contoso;
use crate::support::graph::person as tenant_user;
use crate::support::intake::{Installation, directory, persons, snapshot_source};
use crate::support::ldif_text::{LdifText, guid};
use crate::support::process::dead_port;
use crate::support::samba::{self, Samba};
use crate::support::slapd::{self, Slapd, SlapdOptions};

async fn ask(location: LdapLocation, password: &str, people: &[Guid]) -> Reading<Option<PeopleNow>> {
    let password = SecretString::from(password.to_owned());
    let directory = LdapDirectory::new(Text::from("main"), location, Some(password), Duration::ZERO);
    directory.confirm(people, &Unwatched).await
}

fn people(reading: Reading<Option<PeopleNow>>) -> Vec<PersonNow> {
    match reading {
        Reading::Complete(Some(now)) => now.people,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn people_are_found_wherever_they_are_by_now_and_who_is_gone_is_not() {
    let mut ldif = LdifText::default();
    contoso::domain(&mut ldif);
    for (number, unit) in (10..).zip(["Staff", "Leavers"]) {
        contoso::unit(&mut ldif, &format!("OU={unit},DC=contoso,DC=test"), unit, number);
    }
    for number in 1..=120 {
        let dn = format!("CN=Person {number},OU=Staff,DC=contoso,DC=test");
        contoso::user(&mut ldif, &dn, &format!("person{number}"), 1_000 + number);
    }
    let slapd = Slapd::start(&ldif.0, &SlapdOptions::default());
    slapd.modify(
        "dn: CN=Person 7,OU=Staff,DC=contoso,DC=test\nchangetype: modrdn\nnewrdn: CN=Person 7\n\
         deleteoldrdn: 1\nnewsuperior: OU=Leavers,DC=contoso,DC=test\n",
    );
    slapd.modify("dn: CN=Person 8,OU=Staff,DC=contoso,DC=test\nchangetype: delete\n");
    // The reading begins below the domain; whoever moved out of it is found all the same.
    let mut below = location(&slapd.url());
    below.base_dn = Dn::parse("OU=Staff,DC=contoso,DC=test").ok();
    let asked: Vec<Guid> = (1..=120).map(|number| Guid::from_octets(guid(1_000 + number))).collect();
    let found = people(ask(below, slapd::PASSWORD, &asked).await);
    assert_eq!(found.len(), 119);
    let of = |name: &str| found.iter().find(|now| now.person.sam_account_name == name);
    let moved = of("person7").expect("found");
    assert_eq!(moved.dn.key(), "cn=person 7,ou=leavers,dc=contoso,dc=test");
    assert_eq!(moved.person.user_principal_name.as_deref(), Some("person7@contoso.test"));
    assert!(of("person8").is_none() && of("person9").is_some());
}

#[tokio::test]
async fn a_domain_controller_tells_of_each_where_and_in_which_groups_it_is() {
    domain_with_people();
    let read = complete(read_samba(|_| {}).await);
    assert!(
        matches!(&read.origin, Some(Origin::Server(name)) if name.contains("CN=DC1,")),
        "{:?}",
        read.origin
    );
    let [juergen, asleep] = ["juergen", "asleep"].map(|name| person(&read, name).guid);
    let set_up = location_read_by(&Samba::shared().url(), samba::ADMINISTRATOR);
    let found = people(ask(set_up, samba::PASSWORD, &[juergen, asleep, Guid::from_u128(404)]).await);
    let mut told: Vec<(&str, &str, Vec<&str>)> = found
        .iter()
        .map(|now| {
            let groups = now.groups.iter().map(Dn::key).collect();
            (now.person.sam_account_name.as_str(), now.dn.key(), groups)
        })
        .collect();
    told.sort_unstable();
    let names = ["CN=Asleep", "CN=Müller\\, Jürgen", "CN=Few"]
        .map(|name| Dn::parse(&format!("{name},OU=Staff,{}", samba::BASE)).expect("a DN"));
    let [asleep_dn, juergen_dn, few] = &names;
    assert_eq!(told, [("asleep", asleep_dn.key(), vec![]), ("juergen", juergen_dn.key(), vec![few.key()])]);
    assert!(!found.iter().find(|now| now.person.guid == asleep).expect("found").person.enabled);
}

#[tokio::test]
async fn a_server_that_is_gone_confirms_nobody() {
    let dead = location(&format!("ldap://127.0.0.1:{}", dead_port()));
    match ask(dead, slapd::PASSWORD, &[Guid::from_u128(1)]).await {
        Reading::Unavailable(fault) => assert_eq!(fault.kind, FaultKind::Transient),
        other => panic!("{other:?}"),
    }
}

/// A customer whose directory is served by two servers; the tenant is a file that knows everybody.
fn two_servers(first: &Slapd, second: &Slapd) -> Installation {
    let mut here = Installation::new();
    here.policy(&["contoso"]);
    let users: Vec<_> = (1..=30).map(|number| tenant_user(number, "contoso.test")).collect();
    here.write("contoso.json", &serde_json::json!({"value": users}).to_string());
    let one = here.ldap_source("contoso", &first.url());
    let both =
        one.replace(&format!("\"{}\"", first.url()), &format!("\"{}\", \"{}\"", first.url(), second.url()));
    here.customer("contoso", "Contoso", &both, &snapshot_source("contoso"));
    here
}

#[test]
fn an_account_that_only_the_first_of_two_servers_knows_stays() {
    let all: Vec<u32> = (1..=30).collect();
    let first = Slapd::start(&directory(&all, &all), &SlapdOptions::default());
    // Behind the first one: person 30 was made there a moment ago.
    let second = Slapd::start(&directory(&all[..29], &all[..29]), &SlapdOptions::default());
    let here = two_servers(&first, &second);
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(here.names("contoso", "active"), persons(&all));
    first.kill();
    let run = here.run(&["apply", "--yes"]).expect(0);
    assert!(run.stdout.contains("1 removal waits for the next complete reading"), "{run:?}");
    assert!(run.stdout.contains(&second.url()) && run.stdout.contains(&first.url()), "{run:?}");
    assert_eq!(here.names("contoso", "active"), persons(&all));
    // Missed a second time, it is no delay between the two any more.
    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(here.names("contoso", "active"), persons(&all[..29]));
}
