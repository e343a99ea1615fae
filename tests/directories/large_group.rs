//! A group that a whole company is in.

use super::*;

/// A group of so many members that a domain controller would send them in 67 portions.
const MEMBERS: u64 = 100_000;

#[tokio::test]
async fn a_group_of_a_hundred_thousand_is_read_whole() {
    let mut ldif = LdifText::default();
    contoso::domain(&mut ldif);
    contoso::unit(&mut ldif, "OU=Staff,DC=contoso,DC=test", "Staff", 11);
    let names: Vec<String> =
        (0..MEMBERS).map(|number| format!("CN=m{number},OU=Staff,DC=contoso,DC=test")).collect();
    for (name, number) in names.iter().zip(1_000..) {
        let account = format!("m{}", number - 1_000);
        let texts = [("objectClass", "user"), ("cn", account.as_str()), ("sAMAccountName", &account)];
        ldif.entry(name, &texts, &[("objectGUID", &guid(number))]);
    }
    let mut group = vec![("objectClass", "group"), ("cn", "Everybody"), ("groupType", "-2147483646")];
    group.extend(names.iter().map(|name| ("member", name.as_str())));
    ldif.entry("CN=Everybody,OU=Staff,DC=contoso,DC=test", &group, &[("objectGUID", &guid(20))]);
    let slapd = Slapd::start(&ldif.0, &SlapdOptions::default());
    drop(ldif);

    let directory = complete(read(location(&slapd.url())).await);
    let everybody = super::group(&directory, "Everybody");
    assert!(everybody.unseen.is_empty());
    let mut found: Vec<u32> = everybody
        .members
        .iter()
        .filter_map(|member| match member {
            Member::Person(person) => Some(*person),
            Member::Group(_) | Member::Other => None,
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!((found.len() as u64, directory.people.len() as u64), (MEMBERS, MEMBERS));
}
