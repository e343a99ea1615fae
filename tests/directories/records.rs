//! Records that cannot be used: their people are kept as they are, and all others go on.

use super::below_the_domain::verdicts;
use super::*;
use crate::support::intake::{Installation, persons};

/// Values of attributes, by name.
type Values<'a> = &'a [(&'a str, &'a [u8])];

/// A person by number, with these values in place of the usual ones.
fn record(ldif: &mut LdifText, number: u64, values: Values<'_>) {
    let (account, address) = (format!("person{number}"), format!("person{number}@contoso.test"));
    let usual: [(&str, &[u8]); 4] = [
        ("sAMAccountName", account.as_bytes()),
        ("userPrincipalName", address.as_bytes()),
        ("displayName", account.as_bytes()),
        ("userAccountControl", b"512"),
    ];
    let identity = guid(1_000 + number);
    let mut octets: Vec<(&str, &[u8])> =
        usual.into_iter().filter(|(name, _)| values.iter().all(|(other, _)| other != name)).collect();
    octets.extend_from_slice(values);
    octets.push(("objectGUID", &identity));
    let dn = format!("CN=person{number},OU=Staff,DC=contoso,DC=test");
    ldif.entry(&dn, &[("objectClass", "user"), ("cn", &account)], &octets);
}

/// A customer of a file, whose policy needs no tenant.
fn write(here: &Installation, people: &[(u64, Values<'_>)]) {
    let mut ldif = LdifText::default();
    contoso::domain(&mut ldif);
    contoso::unit(&mut ldif, "OU=Staff,DC=contoso,DC=test", "Staff", 11);
    people.iter().for_each(|(number, values)| record(&mut ldif, *number, values));
    here.write("contoso.ldif", &format!("# intake: begin\nversion: 1\n\n{}# intake: end\n", ldif.0));
}

#[test]
fn a_record_that_breaks_is_kept_and_the_others_go_on() {
    let long = vec![b'x'; 1 << 20];
    let here = Installation::new();
    here.write("contoso.json", r#"{"value": []}"#);
    here.customer("contoso", "Contoso", "{ldif: {file: contoso.ldif}}", "{snapshot: {file: contoso.json}}");
    here.default_policy(
        "selection: {organizationalUnits: [OU=Staff]}
         passwordSync: false",
    );
    let sound: Vec<(u64, Values<'_>)> = (1..=6).map(|number| (number, &[][..])).collect();
    write(&here, &sound);
    here.run(&["apply", "--yes"]).expect(0);
    let before = here.accounts();
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2, 3, 4, 5, 6]));

    // Known ones break; one is new and broken, and one is new and sound.
    let two_names: [(&str, &[u8]); 2] =
        [("userPrincipalName", b"one@contoso.test"), ("userPrincipalName", b"two@contoso.test")];
    let broken: [(u64, Values<'_>); 8] = [
        (1, &[("displayName", &long)]),
        (2, &[("userPrincipalName", b"\xFF\xFE@contoso.test")]),
        (3, &[("sAMAccountName", b"   ")]),
        (4, &two_names),
        (5, &[("objectSid", b"no SID")]),
        (6, &[]),
        (7, &[("mail", &long)]),
        (8, &[]),
    ];
    write(&here, &broken);
    let plan = here.json(&["plan"], 0);
    let kept = plan["customers"][0]["kept"].as_array().expect("a list");
    assert_eq!(kept.len(), 5, "{plan:#}");
    assert!(kept.iter().all(|one| one["verdict"] == "invalid-record"), "{plan:#}");
    let told = verdicts(&plan);
    let of = |name: &str| told.iter().find(|(other, _)| other == name).map(|(_, verdict)| verdict.as_str());
    assert_eq!((of("person7"), of("person8")), (Some("invalid-record"), Some("included")));

    here.run(&["apply", "--yes"]).expect(0);
    assert_eq!(here.names("contoso", "active"), persons(&[1, 2, 3, 4, 5, 6, 8]));
    let after = here.accounts();
    assert!(before.iter().all(|account| after.contains(account)), "the broken ones are as they were");
}

#[tokio::test]
async fn values_of_a_megabyte_and_a_thousand_addresses_do_not_stop_a_reading() {
    let long = vec![b'x'; 1 << 20];
    let addresses: Vec<String> =
        (0..1_000).map(|number| format!("smtp:alias{number}@contoso.test")).collect();
    let addresses: Vec<(&str, &[u8])> =
        addresses.iter().map(|address| ("proxyAddresses", address.as_bytes())).collect();
    let mut ldif = LdifText::default();
    contoso::domain(&mut ldif);
    contoso::unit(&mut ldif, "OU=Staff,DC=contoso,DC=test", "Staff", 11);
    record(&mut ldif, 1, &[("displayName", &long)]);
    record(&mut ldif, 2, &[("description", &long)]);
    record(&mut ldif, 3, &addresses);
    let slapd = Slapd::start(&ldif.0, &SlapdOptions::default());
    let directory = complete(read(location(&slapd.url())).await);
    let flaw = |name: &str| person(&directory, name).invalid.as_deref().map(str::to_owned);
    assert_eq!(flaw("person1").as_deref(), Some("displayName is 1048576 bytes long"));
    assert_eq!((flaw("person2"), flaw("person3")), (None, None), "what is not asked for is not read");
    assert_eq!(person(&directory, "person3").addresses.aliases().len(), 1_000);
}
