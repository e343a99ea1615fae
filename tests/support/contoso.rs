//! A small domain with one of everything, as entries for slapd.

use crate::support::ldif_text::{LdifText, guid, sid};

/// A user of the domain: its name, its account, its number (objectGUID and RID).
pub fn user(ldif: &mut LdifText, dn: &str, account: &str, number: u32) {
    let name = dn.split(',').next().and_then(|rdn| rdn.split_once('=')).map_or("x", |(_, name)| name);
    let address = format!("{account}@contoso.test");
    ldif.entry(
        dn,
        &[
            ("objectClass", "user"),
            ("cn", name),
            ("sAMAccountName", account),
            ("userPrincipalName", &address),
            ("mail", &address),
            ("userAccountControl", "512"),
            ("primaryGroupID", "513"),
        ],
        &[("objectGUID", &guid(number.into())), ("objectSid", &sid(Some(number)))],
    );
}

/// The domain object and the containers that every domain has.
pub fn domain(ldif: &mut LdifText) {
    ldif.entry(
        "dc=contoso,dc=test",
        &[
            ("objectClass", "domainDNS"),
            ("dc", "contoso"),
            ("wellKnownObjects", "B:32:A9D1CA15768811D1ADED00C04FD8D5CD:OU=People,DC=contoso,DC=test"),
            ("wellKnownObjects", "B:32:AA312825768811D1ADED00C04FD8D5CD:CN=Computers,DC=contoso,DC=test"),
            (
                "wellKnownObjects",
                "B:32:18E2EA80684F11D2B9AA00C04F79F805:CN=Deleted Objects,DC=contoso,DC=test",
            ),
        ],
        &[("objectGUID", &guid(1)), ("objectSid", &sid(None))],
    );
    for (name, number) in [("Users", 2), ("Computers", 3)] {
        let dn = format!("CN={name},DC=contoso,DC=test");
        ldif.entry(&dn, &[("objectClass", "container"), ("cn", name)], &[("objectGUID", &guid(number))]);
    }
    let builtin = [1, 1, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0];
    ldif.entry(
        "CN=Builtin,DC=contoso,DC=test",
        &[("objectClass", "builtinDomain"), ("cn", "Builtin")],
        &[("objectGUID", &guid(4)), ("objectSid", &builtin)],
    );
}

/// An organizational unit.
pub fn unit(ldif: &mut LdifText, dn: &str, name: &str, number: u64) {
    let texts = [("objectClass", "organizationalUnit"), ("objectClass", "identified"), ("ou", name)];
    ldif.entry(dn, &texts, &[("objectGUID", &guid(number))]);
}

/// One of everything.
pub fn everything() -> String {
    let mut ldif = LdifText::default();
    domain(&mut ldif);
    unit(&mut ldif, "OU=People,DC=contoso,DC=test", "People", 10);
    unit(&mut ldif, "OU=Staff,DC=contoso,DC=test", "Staff", 11);
    unit(&mut ldif, "OU=München,OU=Staff,DC=contoso,DC=test", "München", 12);

    ldif.entry(
        "CN=Jane Doe,OU=Staff,DC=contoso,DC=test",
        &[
            ("objectClass", "user"),
            ("cn", "Jane Doe"),
            ("sAMAccountName", "jane"),
            ("userPrincipalName", "Jane@contoso.test"),
            ("displayName", "Doe, Jane"),
            ("mail", "jane.doe@contoso.test"),
            ("mobile", "+49 170 1"),
            ("proxyAddresses", "smtp:jd@contoso.test"),
            ("proxyAddresses", "SMTP:Jane.Doe@contoso.test"),
            ("proxyAddresses", "smtp:jane@old.test"),
            ("proxyAddresses", "X500:/o=Contoso/cn=jane"),
            ("userAccountControl", "66048"),
            ("primaryGroupID", "513"),
            ("title", "not asked for"),
        ],
        &[("objectGUID", &guid(100)), ("objectSid", &sid(Some(1100))), ("mS-DS-ConsistencyGuid", &guid(999))],
    );
    user(&mut ldif, "CN=Zoë Ångström,OU=München,OU=Staff,DC=contoso,DC=test", "zoe", 101);
    user(&mut ldif, "CN=Doe\\, John \\#1,OU=Staff,DC=contoso,DC=test", "john", 102);

    let flawed = |ldif: &mut LdifText, name: &str, number: u64, texts: &[(&str, &str)]| {
        let mut all = vec![("objectClass", "user"), ("cn", name)];
        all.extend_from_slice(texts);
        let dn = format!("CN={name},OU=Staff,DC=contoso,DC=test");
        ldif.entry(&dn, &all, &[("objectGUID", &guid(number))]);
    };
    flawed(&mut ldif, "Disabled", 110, &[("sAMAccountName", "disabled"), ("userAccountControl", "514")]);
    flawed(&mut ldif, "Bare", 111, &[("sAMAccountName", "bare")]);
    flawed(&mut ldif, "Nameless", 112, &[("userPrincipalName", "nameless@contoso.test")]);
    let two = [
        ("sAMAccountName", "two"),
        ("userPrincipalName", "two@contoso.test"),
        ("userPrincipalName", "zwei@contoso.test"),
    ];
    flawed(&mut ldif, "Two Names", 113, &two);
    flawed(&mut ldif, "PARTNER$", 114, &[("sAMAccountName", "PARTNER$"), ("userAccountControl", "2080")]);

    ldif.entry(
        "CN=No Guid,OU=Staff,DC=contoso,DC=test",
        &[("objectClass", "user"), ("cn", "No Guid"), ("sAMAccountName", "noguid")],
        &[],
    );
    ldif.entry(
        "CN=Short Guid,OU=Staff,DC=contoso,DC=test",
        &[("objectClass", "user"), ("cn", "Short Guid"), ("sAMAccountName", "shortguid")],
        &[("objectGUID", &guid(115)[..15])],
    );
    ldif.entry(
        "CN=PC1,CN=Computers,DC=contoso,DC=test",
        &[
            ("objectClass", "computer"),
            ("cn", "PC1"),
            ("sAMAccountName", "PC1$"),
            ("userAccountControl", "4096"),
        ],
        &[("objectGUID", &guid(116))],
    );
    ldif.entry(
        "CN=Friend,OU=Staff,DC=contoso,DC=test",
        &[("objectClass", "contact"), ("cn", "Friend")],
        &[("objectGUID", &guid(117))],
    );
    ldif.entry(
        "CN=Unix,OU=Staff,DC=contoso,DC=test",
        &[("objectClass", "inetOrgPerson"), ("cn", "Unix"), ("sn", "Unix")],
        &[],
    );

    ldif.entry(
        "CN=Team,OU=Staff,DC=contoso,DC=test",
        &[
            ("objectClass", "group"),
            ("cn", "Team"),
            ("sAMAccountName", "TeamSam"),
            ("groupType", "-2147483646"),
            ("member", "cn=JANE DOE,ou=staff,dc=contoso,dc=test"),
            ("member", "CN=Doe\\2C John \\231,OU=Staff,DC=contoso,DC=test"),
            ("member", "CN=Zo\\C3\\AB Ångström,OU=München,OU=Staff,DC=contoso,DC=test"),
            ("member", "CN=Temps,OU=Staff,DC=contoso,DC=test"),
            ("member", "CN=PC1,CN=Computers,DC=contoso,DC=test"),
            ("member", "CN=Friend,OU=Staff,DC=contoso,DC=test"),
            ("member", "CN=Unix,OU=Staff,DC=contoso,DC=test"),
            ("member", "CN=Nobody,OU=Staff,DC=contoso,DC=test"),
            ("member", "CN=Foreign,DC=fabrikam,DC=test"),
        ],
        &[("objectGUID", &guid(200)), ("objectSid", &sid(Some(1200)))],
    );
    ldif.entry(
        "CN=Temps,OU=Staff,DC=contoso,DC=test",
        &[("objectClass", "group"), ("cn", "Temps"), ("member", "CN=Bare,OU=Staff,DC=contoso,DC=test")],
        &[("objectGUID", &guid(201))],
    );
    ldif.entry(
        "CN=News,OU=Staff,DC=contoso,DC=test",
        &[("objectClass", "group"), ("cn", "News"), ("groupType", "2")],
        &[("objectGUID", &guid(202))],
    );
    ldif.entry(
        "CN=Administrators,CN=Builtin,DC=contoso,DC=test",
        &[("objectClass", "group"), ("cn", "Administrators"), ("groupType", "-2147483643")],
        &[("objectGUID", &guid(203))],
    );
    ldif.entry(
        "CN=Domain Users,CN=Users,DC=contoso,DC=test",
        &[
            ("objectClass", "group"),
            ("cn", "Domain Users"),
            ("groupType", "-2147483646"),
            ("isCriticalSystemObject", "TRUE"),
        ],
        &[("objectGUID", &guid(204)), ("objectSid", &sid(Some(513)))],
    );
    ldif.0
}

/// A domain so small that it can be cut at every byte.
pub fn few() -> String {
    let mut ldif = LdifText::default();
    domain(&mut ldif);
    unit(&mut ldif, "OU=Staff,DC=contoso,DC=test", "Staff", 11);
    user(&mut ldif, "CN=Jane,OU=Staff,DC=contoso,DC=test", "jane", 100);
    user(&mut ldif, "CN=Zoë,OU=Staff,DC=contoso,DC=test", "zoe", 101);
    let texts = [
        ("objectClass", "group"),
        ("cn", "Team"),
        ("member", "CN=Jane,OU=Staff,DC=contoso,DC=test"),
        ("member", "CN=Zoë,OU=Staff,DC=contoso,DC=test"),
    ];
    ldif.entry("CN=Team,OU=Staff,DC=contoso,DC=test", &texts, &[("objectGUID", &guid(200))]);
    ldif.0
}

/// A domain of many users in twenty OUs.
pub fn many(users: u32) -> String {
    let mut ldif = LdifText::default();
    domain(&mut ldif);
    unit(&mut ldif, "OU=Staff,DC=contoso,DC=test", "Staff", 11);
    for number in 0..20_u32 {
        let name = format!("Dept{number:02}");
        let dn = format!("OU={name},OU=Staff,DC=contoso,DC=test");
        unit(&mut ldif, &dn, &name, 1_000_000_000 + u64::from(number));
    }
    for number in 0..users {
        let (given, last) = (GIVEN[number as usize % GIVEN.len()], LAST[(number / 30) as usize % LAST.len()]);
        let (name, account) = (format!("{given} {last} {number}"), format!("user{number:06}"));
        let dn = format!("CN={name},OU=Dept{:02},OU=Staff,DC=contoso,DC=test", number % 20);
        let address = format!("{account}@contoso.test");
        let display = format!("{given} {last}");
        let (primary, alias) = (format!("SMTP:{address}"), format!("smtp:{account}@alias.contoso.test"));
        let mobile = format!("+49 170 {number:07}");
        let texts = [
            ("objectClass", "user"),
            ("cn", name.as_str()),
            ("sAMAccountName", &account),
            ("userPrincipalName", &address),
            ("displayName", &display),
            ("givenName", given),
            ("sn", last),
            ("mail", &address),
            ("mobile", &mobile),
            ("title", "Engineer"),
            ("proxyAddresses", &primary),
            ("proxyAddresses", &alias),
            ("userAccountControl", if number % 25 == 0 { "514" } else { "512" }),
            ("primaryGroupID", "513"),
        ];
        let number = number + 1_000_000;
        ldif.entry(&dn, &texts, &[("objectGUID", &guid(number.into())), ("objectSid", &sid(Some(number)))]);
    }
    ldif.0
}

const GIVEN: [&str; 10] = ["Anna", "Ben", "Carla", "David", "Elif", "Åsa", "Georg", "Hana", "Łukasz", "Zoe"];
const LAST: [&str; 8] = ["Meyer", "Novak", "Smith", "Müller", "Garcia", "O'Brien", "Tanaka", "Størk"];
