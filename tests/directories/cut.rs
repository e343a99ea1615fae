//! The program over a directory server whose connection is cut, at every page and in its middle.

use super::below_the_domain::{STAFF, installation};
use super::*;
use crate::support::intake::{Installation, directory};
use crate::support::ldap_proxy::{Cut, LdapProxy};

/// The kind of the message that ends a page.
const PAGE_END: u64 = 5;

/// An installation that imports a whole OU in pages of four, through a proxy.
fn paged(url: &str, base: &str) -> Installation {
    let here = installation(base, url, slapd::READER, slapd::PASSWORD);
    let customer = std::fs::read_to_string(here.tree().join("contoso.yaml")).expect("a customer");
    here.write("contoso.yaml", &customer.replace("timeout: 20s", "timeout: 20s, pageSize: 4"));
    here.default_policy(
        "selection: {organizationalUnits: [\"OU=Staff,DC=contoso,DC=test\"]}
         passwordSync: false
         removal: {maxPercent: 100, maxCount: 1000, maxShrinkPercent: 100, allowEmpty: true}",
    );
    here
}

#[test]
fn a_connection_that_is_cut_anywhere_removes_nobody() {
    let people: Vec<u32> = (1..=10).collect();
    let slapd = Slapd::start(&directory(&people, &people), &SlapdOptions::default());
    for base in ["DC=contoso,DC=test", STAFF] {
        let proxy = LdapProxy::start(&slapd.url());
        let here = paged(&proxy.url(), base);
        here.run(&["apply", "--yes"]).expect(0);
        let kinds = proxy.kinds();
        let (accounts, events) = (here.accounts(), here.events());
        assert_eq!(accounts.len(), 10);

        // At the sign-in, before and after the end of every page, and between and within its entries.
        let ends: Vec<usize> =
            kinds.iter().enumerate().filter(|(_, kind)| **kind == PAGE_END).map(|(at, _)| at).collect();
        assert!(ends.len() > 4, "{kinds:?}");
        let mut cuts = vec![Cut::After(0), Cut::Within(0), Cut::After(1)];
        for end in ends {
            cuts.extend([Cut::After(end), Cut::Within(end), Cut::Within(end.saturating_sub(1))]);
            // After the last page there is nothing left to be cut off.
            if end + 1 < kinds.len() && kinds[end + 1..].contains(&PAGE_END) {
                cuts.extend([Cut::After(end + 1), Cut::Within(end + 2)]);
            }
        }
        for (number, cut) in cuts.into_iter().enumerate() {
            proxy.cut(Some(cut));
            let once: &[&str] = if number % 2 == 0 { &["apply", "--yes"] } else { &["run", "--once"] };
            let run = here.run(&[once, &["--max-wait", "0s"]].concat()).expect(3);
            let said = format!("{}{}", run.stdout, run.stderr);
            // The controller tells of the customer, the plan of the finding.
            let words: &[&str] = match once[0] {
                "run" => &["unreadable"],
                _ => &["directory-incomplete", "directory-unavailable"],
            };
            assert!(words.iter().any(|word| said.contains(word)), "{base} {cut:?}: {said}");
        }
        assert_eq!((here.accounts(), here.events()), (accounts.clone(), events.clone()), "{base}");
        proxy.cut(None);
        here.run(&["apply", "--yes"]).expect(0);
        assert_eq!((here.accounts(), here.events()), (accounts, events), "{base}");
    }
}
