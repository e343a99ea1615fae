//! Directories: the LDAP and LDIF adapters against real servers and real files.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use intake::adapters::ldap::LdapDirectory;
use intake::adapters::ldif::LdifDirectory;
use intake::model::directory::{Directory, Group, Member, Person};
use intake::model::dn::Dn;
use intake::model::duration::Seconds;
use intake::model::guid::Guid;
use intake::model::reading::{Fault, FaultKind, Reading, Shortfall};
use intake::model::text::Text;
use intake::policy::fleet::{Bind, KerberosService, LdapLocation, SecretRef};
use intake::ports::source::{DirectoryPort, Progress, Unwatched};
use secrecy::SecretString;

use crate::support::contoso;
use crate::support::ldif_text::{LdifText, guid, sid};
use crate::support::process::dead_port;
use crate::support::samba::{self, Samba};
use crate::support::scripted_server::{self, Answer, Request, texts};
use crate::support::slapd::{self, Slapd, SlapdOptions};

mod below_the_domain;
mod confirm;
mod cut;
mod field;
#[cfg(feature = "kerberos")]
mod kerberos;
mod large_group;
mod records;
mod story;

/// A slapd with one of everything, for tests that only read.
fn everything() -> &'static Slapd {
    static SHARED: OnceLock<Slapd> = OnceLock::new();
    SHARED.get_or_init(|| {
        let options = SlapdOptions { certificate: vec!["127.0.0.1"], ..SlapdOptions::default() };
        Slapd::start(&contoso::everything(), &options)
    })
}

fn location(url: &str) -> LdapLocation {
    location_read_by(url, slapd::READER)
}

fn location_read_by(url: &str, reader: &str) -> LdapLocation {
    LdapLocation {
        urls: vec![url.to_owned()],
        start_tls: false,
        ca_file: None,
        base_dn: None,
        bind: Some(Bind::Password {
            dn: reader.to_owned(),
            password_from: SecretRef::Env("INTAKE_SECRET_CONTOSO__LDAP".to_owned()),
        }),
        page_size: 1000,
        timeout: Seconds(20),
    }
}

async fn read(location: LdapLocation) -> Reading<Directory> {
    read_as(location, slapd::PASSWORD).await
}

async fn read_as(location: LdapLocation, password: &str) -> Reading<Directory> {
    let password = SecretString::from(password.to_owned());
    LdapDirectory::new(Text::from("main"), location, Some(password), Duration::ZERO).read(&Unwatched).await
}

async fn read_samba(location: impl FnOnce(&mut LdapLocation)) -> Reading<Directory> {
    let mut set_up = location_read_by(&Samba::shared().url(), samba::ADMINISTRATOR);
    location(&mut set_up);
    read_as(set_up, samba::PASSWORD).await
}

async fn read_file(path: &Path) -> Reading<Directory> {
    let directory = LdifDirectory::new(Text::from("main"), path.to_owned(), "contoso.ldif".to_owned());
    directory.read(&Unwatched).await
}

async fn read_text(text: &str) -> Reading<Directory> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    read_file(file.path()).await
}

fn complete(reading: Reading<Directory>) -> Directory {
    match reading {
        Reading::Complete(directory) => directory,
        Reading::Incomplete(shortfall) => panic!("incomplete: {shortfall:?}"),
        Reading::Unavailable(fault) => panic!("unavailable: {fault:?}"),
    }
}

fn incomplete(reading: Reading<Directory>) -> Shortfall {
    match reading {
        Reading::Incomplete(shortfall) => shortfall,
        Reading::Complete(directory) => panic!("complete, with {} people", directory.people.len()),
        Reading::Unavailable(fault) => panic!("unavailable: {fault:?}"),
    }
}

fn unavailable(reading: Reading<Directory>) -> Fault {
    match reading {
        Reading::Unavailable(fault) => fault,
        Reading::Complete(directory) => panic!("complete, with {} people", directory.people.len()),
        Reading::Incomplete(shortfall) => panic!("incomplete: {shortfall:?}"),
    }
}

fn person<'a>(directory: &'a Directory, account: &str) -> &'a Person {
    let found = directory.people.iter().find(|person| person.sam_account_name == account);
    found.unwrap_or_else(|| panic!("no {account}"))
}

fn group<'a>(directory: &'a Directory, name: &str) -> &'a Group {
    directory.groups.iter().find(|group| group.cn == name).unwrap_or_else(|| panic!("no {name}"))
}

/// Returns the names of the people and groups that are members, sorted.
fn members(directory: &Directory, group: &Group) -> Vec<String> {
    let mut names: Vec<String> = group
        .members
        .iter()
        .map(|member| match member {
            Member::Person(index) => directory.people[*index as usize].sam_account_name.to_string(),
            Member::Group(index) => format!("group {}", directory.groups[*index as usize].cn),
            Member::Other => "other".to_owned(),
        })
        .collect();
    names.sort();
    names
}

/// Everything about a directory that must not depend on how it was read, in a fixed order.
fn normal_form(directory: &Directory) -> Vec<String> {
    let mut lines = vec![format!(
        "{} base {} context {} sid {:?} well-known {:?}",
        directory.name,
        directory.base.key(),
        directory.naming_context.key(),
        directory.domain_sid,
        directory.well_known
    )];
    for person in &directory.people {
        let mut shown = person.clone();
        shown.container.0 = 0;
        lines.push(format!("person {} {shown:?}", directory.dn_of(person)));
    }
    for group in &directory.groups {
        let mut shown = group.clone();
        shown.members.clear();
        shown.unseen.sort();
        lines.push(format!("group {shown:?} {:?}", members(directory, group)));
    }
    lines.extend(directory.containers.iter().map(|container| format!("{container:?}")));
    lines.extend(directory.unidentified.iter().map(|person| format!("{person:?}")));
    lines.sort();
    lines
}

struct Counted(AtomicUsize, AtomicUsize);

impl Progress for Counted {
    fn read(&self, objects: usize) {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.store(objects, Ordering::SeqCst);
    }
}

/// Calls a function when the first page has arrived.
struct AfterFirstPage<F: Fn() + Send + Sync>(AtomicUsize, F);

impl<F: Fn() + Send + Sync> Progress for AfterFirstPage<F> {
    fn read(&self, _objects: usize) {
        if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
            self.1();
        }
    }
}

// ---------------------------------------------------------------- people, groups, containers

#[tokio::test]
async fn people_carry_what_the_directory_says_of_them() {
    let directory = complete(read(location(&everything().url())).await);
    assert_eq!(directory.base.key(), "dc=contoso,dc=test");
    assert_eq!(directory.domain_sid.map(|sid| sid.to_string()).as_deref(), Some("S-1-5-21-11-22-33"));

    let jane = person(&directory, "jane");
    assert_eq!(jane.guid, Guid::from_octets(guid(100)));
    assert_eq!(jane.sid.map(|sid| sid.to_string()).as_deref(), Some("S-1-5-21-11-22-33-1100"));
    assert_eq!(jane.user_principal_name.as_deref(), Some("Jane@contoso.test"));
    assert_eq!(jane.display_name, "Doe, Jane");
    assert_eq!(jane.mail.as_deref(), Some("jane.doe@contoso.test"));
    assert_eq!(jane.mobile.as_deref(), Some("+49 170 1"));
    assert_eq!(jane.addresses.primary().map(Text::as_str), Some("Jane.Doe@contoso.test"));
    assert_eq!(*jane.addresses.aliases(), ["jane@old.test", "jd@contoso.test"].map(Text::from));
    assert_eq!(jane.consistency_guid, Some(guid(999)));
    assert_eq!(jane.primary_group, Some(513));
    assert!(jane.enabled && jane.invalid.is_none());
    assert_eq!(directory.container_of(jane).guid, Some(Guid::from_octets(guid(11))));
    assert!(directory.container_of(jane).is_organizational_unit);

    let zoe = person(&directory, "zoe");
    assert_eq!(zoe.display_name, "Zoë Ångström", "without displayName, the common name");
    let munich = Dn::parse("OU=München,OU=Staff,DC=contoso,DC=test").expect("a DN");
    assert_eq!(directory.container_of(zoe).dn, munich);

    assert!(!person(&directory, "disabled").enabled);
    assert!(person(&directory, "bare").enabled, "without userAccountControl, an account is enabled");
}

#[tokio::test]
async fn a_flawed_record_is_marked_and_the_reading_goes_on() {
    let directory = complete(read(location(&everything().url())).await);
    let reason = |name: &str| {
        let found = directory.people.iter().find(|person| person.rdn.eq_ignore_ascii_case(name));
        found.unwrap_or_else(|| panic!("no {name}")).invalid.clone().expect("invalid").into_string()
    };
    assert_eq!(reason("cn=Nameless"), "it has no sAMAccountName");
    assert_eq!(reason("cn=Two Names"), "userPrincipalName has 2 values");
    assert_eq!(directory.people.iter().filter(|person| person.invalid.is_some()).count(), 2);
    let mut unidentified: Vec<&str> =
        directory.unidentified.iter().filter_map(|person| person.sam_account_name.as_deref()).collect();
    unidentified.sort_unstable();
    assert_eq!(unidentified, ["noguid", "shortguid"]);
}

#[tokio::test]
async fn computers_contacts_and_trusts_are_no_people() {
    let directory = complete(read(location(&everything().url())).await);
    let mut accounts: Vec<&str> =
        directory.people.iter().map(|person| person.sam_account_name.as_str()).collect();
    accounts.sort_unstable();
    assert_eq!(accounts, ["", "bare", "disabled", "jane", "john", "two", "zoe"]);
}

#[tokio::test]
async fn members_are_found_whatever_the_spelling_of_their_names() {
    let directory = complete(read(location(&everything().url())).await);
    let team = group(&directory, "Team");
    assert_eq!(members(&directory, team), ["group Temps", "jane", "john", "other", "other", "other", "zoe"]);
    assert_eq!(team.unseen.len(), 2, "one that is hidden and one of another domain: {:?}", team.unseen);
    assert_eq!(team.sam_account_name.as_deref(), Some("TeamSam"));
    assert_eq!(members(&directory, group(&directory, "Temps")), ["bare"]);
}

#[tokio::test]
async fn groups_say_whether_they_are_of_security_and_of_the_system() {
    let directory = complete(read(location(&everything().url())).await);
    let kind = |name: &str| (group(&directory, name).is_security, group(&directory, name).is_critical);
    assert_eq!(kind("Team"), (true, false));
    assert_eq!(kind("Temps"), (true, false), "without groupType, a security group");
    assert_eq!(kind("News"), (false, false));
    assert_eq!(kind("Administrators"), (true, true));
    assert_eq!(kind("Domain Users"), (true, true));
}

#[tokio::test]
async fn well_known_containers_are_found_where_the_domain_says() {
    let directory = complete(read(location(&everything().url())).await);
    let found: Vec<(&str, &str)> =
        directory.well_known.iter().map(|(name, dn)| (name.as_str(), dn.key())).collect();
    assert_eq!(
        found,
        [
            ("cn=builtin", "cn=builtin,dc=contoso,dc=test"),
            ("cn=computers", "cn=computers,dc=contoso,dc=test"),
            ("cn=users", "ou=people,dc=contoso,dc=test"),
        ]
    );
}

#[tokio::test]
async fn a_reading_that_begins_below_the_domain_still_knows_the_domain() {
    let mut set_up = location(&everything().url());
    set_up.base_dn = Dn::parse("ou=staff,DC=Contoso,DC=test").ok();
    let directory = complete(read(set_up).await);
    assert_eq!(directory.naming_context.key(), "dc=contoso,dc=test");
    assert_eq!(directory.domain_sid.map(|sid| sid.to_string()).as_deref(), Some("S-1-5-21-11-22-33"));
    assert!(directory.well_known.contains_key("cn=users"));
    assert_eq!(group(&directory, "Administrators").guid, Guid::from_octets(guid(203)));
    assert!(directory.people.iter().all(|person| person.rdn != "CN=PARTNER$"));
    assert_eq!(person(&directory, "zoe").guid, Guid::from_octets(guid(101)));
}

// ---------------------------------------------------------------- pages

#[tokio::test]
async fn the_size_of_pages_does_not_matter() {
    let whole = normal_form(&complete(read(location(&everything().url())).await));
    for page_size in [1, 7] {
        let mut set_up = location(&everything().url());
        set_up.page_size = page_size;
        assert_eq!(normal_form(&complete(read(set_up).await)), whole, "pages of {page_size}");
    }
}

#[tokio::test]
async fn progress_is_told_after_each_page() {
    let mut set_up = location(&everything().url());
    set_up.page_size = 10;
    let counted = Counted(AtomicUsize::new(0), AtomicUsize::new(0));
    let password = SecretString::from(slapd::PASSWORD.to_owned());
    let directory = LdapDirectory::new(Text::from("main"), set_up, Some(password), Duration::ZERO);
    complete(directory.read(&counted).await);
    // 25 entries of which something is kept: not the reader's own.
    assert_eq!((counted.0.into_inner(), counted.1.into_inner()), (3, 25));
}

#[tokio::test]
async fn a_search_that_the_server_cuts_short_is_not_the_directory() {
    let options = SlapdOptions {
        limits: "size.soft=100 size.hard=100 size.pr=50 size.prtotal=100".to_owned(),
        ..SlapdOptions::default()
    };
    let slapd = Slapd::start(&contoso::many(300), &options);
    let mut set_up = location(&slapd.url());
    set_up.page_size = 50;
    let shortfall = incomplete(read(set_up).await);
    assert_eq!(shortfall.read, 100);
    assert!(shortfall.what.contains("size limit"), "{}", shortfall.what);
}

#[tokio::test]
async fn pages_larger_than_the_server_permits_are_explained() {
    let options = SlapdOptions {
        limits: "size.soft=100 size.hard=100 size.pr=50 size.prtotal=unlimited".to_owned(),
        ..SlapdOptions::default()
    };
    let slapd = Slapd::start(&contoso::many(300), &options);
    let fault = unavailable(read(location(&slapd.url())).await);
    assert_eq!(fault.hint.as_deref(), Some("make pageSize smaller"), "{fault:?}");
    let mut set_up = location(&slapd.url());
    set_up.page_size = 50;
    assert_eq!(complete(read(set_up).await).people.len(), 300);
}

#[tokio::test]
async fn a_server_that_dies_between_two_pages_leaves_no_directory() {
    let slapd = Slapd::start(&contoso::many(3000), &SlapdOptions::default());
    let mut set_up = location(&slapd.url());
    set_up.page_size = 100;
    let password = SecretString::from(slapd::PASSWORD.to_owned());
    let directory = LdapDirectory::new(Text::from("main"), set_up, Some(password), Duration::ZERO);
    let shortfall = incomplete(directory.read(&AfterFirstPage(AtomicUsize::new(0), || slapd.kill())).await);
    assert!(shortfall.read >= 100 && shortfall.read < 3000, "{shortfall:?}");
    assert!(shortfall.what.contains("connection"), "{}", shortfall.what);
}

#[tokio::test]
async fn when_a_server_dies_between_two_pages_the_next_one_is_read_from_the_start() {
    let dying = Slapd::start(&contoso::many(3000), &SlapdOptions::default());
    let mut set_up = location(&dying.url());
    set_up.urls.push(everything().url());
    set_up.page_size = 100;
    let password = SecretString::from(slapd::PASSWORD.to_owned());
    let directory = LdapDirectory::new(Text::from("main"), set_up, Some(password), Duration::ZERO);
    let read_from_both = directory.read(&AfterFirstPage(AtomicUsize::new(0), || dying.kill())).await;
    let alone = normal_form(&complete(read(location(&everything().url())).await));
    assert_eq!(normal_form(&complete(read_from_both)), alone, "nothing of the first server is in it");
}

#[tokio::test]
async fn a_base_that_may_not_be_seen_makes_the_reading_incomplete() {
    let database = "access to dn.base=\"dc=contoso,dc=test\" attrs=entry by users search by anonymous auth\n\
                    access to attrs=userPassword by anonymous auth by * none\n\
                    access to * by users read by anonymous auth\n";
    let options = SlapdOptions { database: database.to_owned(), ..SlapdOptions::default() };
    let slapd = Slapd::start(&contoso::everything(), &options);
    let mut set_up = location(&slapd.url());
    set_up.base_dn = Dn::parse("DC=contoso,DC=test").ok();
    let shortfall = incomplete(read(set_up).await);
    assert!(shortfall.what.contains("did not show DC=contoso,DC=test itself"), "{}", shortfall.what);
}

#[tokio::test]
async fn a_base_that_does_not_exist_is_refused() {
    let mut set_up = location(&everything().url());
    set_up.base_dn = Dn::parse("OU=Gone,DC=contoso,DC=test").ok();
    let fault = unavailable(read(set_up).await);
    assert_eq!(fault.kind, FaultKind::Refused);
    assert!(fault.what.contains("there is no OU=Gone,DC=contoso,DC=test"), "{}", fault.what);
}

// ---------------------------------------------------------------- connections

#[tokio::test]
async fn an_encrypted_connection_is_checked_against_the_named_authority() {
    let slapd = everything();
    for start_tls in [false, true] {
        let url = if start_tls { slapd.url() } else { slapd.tls_url("127.0.0.1") };
        let mut set_up = location(&url);
        set_up.start_tls = start_tls;
        set_up.ca_file = Some(slapd.authority());
        assert_eq!(complete(read(set_up.clone()).await).people.len(), 7);

        set_up.ca_file = None;
        let fault = unavailable(read(set_up).await);
        assert_eq!(fault.kind, FaultKind::Refused);
        assert!(fault.what.contains("an authority that is not trusted here"), "{}", fault.what);
        assert_eq!(fault.hint.as_deref(), Some("name the authority's certificate with caFile"));
    }
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused_and_both_names_are_told() {
    let slapd = everything();
    for start_tls in [false, true] {
        let url = if start_tls { slapd.url_as("localhost") } else { slapd.tls_url("localhost") };
        let mut set_up = location(&url);
        set_up.start_tls = start_tls;
        set_up.ca_file = Some(slapd.authority());
        let fault = unavailable(read(set_up).await);
        assert_eq!(fault.kind, FaultKind::Refused);
        assert!(fault.what.contains("for another host"), "{}", fault.what);
        assert!(fault.what.contains("127.0.0.1") && fault.what.contains("localhost"), "{}", fault.what);
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let options = SlapdOptions { certificate: vec!["127.0.0.1"], expired: true, ..SlapdOptions::default() };
    let slapd = Slapd::start(&contoso::everything(), &options);
    let mut set_up = location(&slapd.tls_url("127.0.0.1"));
    set_up.ca_file = Some(slapd.authority());
    let fault = unavailable(read(set_up).await);
    assert!(fault.what.ends_with("the server's certificate has expired"), "{}", fault.what);
}

#[tokio::test]
async fn a_file_without_certificates_is_refused_before_anybody_is_asked() {
    let slapd = everything();
    let file = slapd.folder().join("nothing.pem");
    std::fs::write(&file, "nothing").expect("written");
    let mut set_up = location(&slapd.tls_url("127.0.0.1"));
    set_up.ca_file = Some(file);
    let fault = unavailable(read(set_up).await);
    assert_eq!(
        (fault.kind, fault.what.as_str()),
        (FaultKind::Refused, "caFile nothing.pem holds no certificate")
    );
}

#[tokio::test]
async fn a_server_that_cannot_encrypt_is_not_spoken_to_in_the_clear() {
    let slapd = Slapd::start(&contoso::everything(), &SlapdOptions::default());
    let mut set_up = location(&slapd.url());
    set_up.start_tls = true;
    let fault = unavailable(read(set_up).await);
    assert!(fault.what.contains("refused to encrypt"), "{}", fault.what);
}

#[tokio::test]
async fn a_wrong_password_is_tried_on_one_server_only() {
    let mut set_up = location(&everything().url());
    set_up.urls.push(format!("ldap://127.0.0.1:{}", dead_port()));
    let fault = unavailable(read_as(set_up, "wrong").await);
    assert_eq!(fault.kind, FaultKind::Unauthorised);
    assert!(fault.what.ends_with("may not sign in: the name or the password is wrong"), "{}", fault.what);
    assert!(!fault.what.contains("; "), "the second server was not asked: {}", fault.what);
}

#[tokio::test]
async fn an_empty_password_is_refused_by_ourselves() {
    for password in [Some(SecretString::from(String::new())), None] {
        let set_up = location(&everything().url());
        let directory = LdapDirectory::new(Text::from("main"), set_up, password, Duration::ZERO);
        let fault = unavailable(directory.read(&Unwatched).await);
        assert_eq!(fault.kind, FaultKind::Unauthorised);
        assert!(fault.what.contains("is empty"), "{}", fault.what);
    }
}

#[tokio::test]
async fn a_reader_that_may_see_nothing_gets_no_directory() {
    let mut set_up = location(&everything().url());
    set_up.bind = None;
    let directory = LdapDirectory::new(Text::from("main"), set_up, None, Duration::ZERO);
    let reading = directory.read(&Unwatched).await;
    assert!(reading.complete().is_none(), "{reading:?}");
}

#[tokio::test]
async fn a_dead_server_is_passed_over() {
    let mut set_up = location(&format!("ldap://127.0.0.1:{}", dead_port()));
    set_up.urls.push(everything().url());
    assert_eq!(complete(read(set_up).await).people.len(), 7);
}

#[tokio::test]
async fn a_silent_connection_is_kept_alive() {
    // Its own, so that no other test's connection is taken for this one.
    let slapd = Slapd::start(&contoso::many(20), &SlapdOptions::default());
    let url = slapd.url();
    let (_, port) = url.rsplit_once(':').expect("a port");
    let server = format!(":{:04X} 01", port.parse::<u16>().expect("a port"));
    // In the kernel's list of connections: whose other end is the server, is open, and waits for the
    // keep-alive alone.
    let is_kept_alive = || {
        let list = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
        list.lines().any(|line| line.contains(&server) && line.contains(" 02:"))
    };
    let mut set_up = location(&slapd.url());
    set_up.page_size = 5;
    let password = SecretString::from(slapd::PASSWORD.to_owned());
    let directory = LdapDirectory::new(Text::from("main"), set_up, Some(password), Duration::ZERO);
    let kept_alive = AtomicUsize::new(0);
    let wait = || {
        crate::support::intake::until("a keep-alive", is_kept_alive);
        kept_alive.store(1, Ordering::SeqCst);
    };
    complete(directory.read(&AfterFirstPage(AtomicUsize::new(0), wait)).await);
    assert_eq!(kept_alive.into_inner(), 1);
}

#[tokio::test]
async fn dead_servers_are_a_passing_fault_and_are_tried_until_patience_ends() {
    let mut set_up = location(&format!("ldap://127.0.0.1:{}", dead_port()));
    set_up.urls.push(format!("ldap://127.0.0.1:{}", dead_port()));
    let directory = LdapDirectory::new(Text::from("main"), set_up, None, Duration::from_millis(1_200));
    let started = Instant::now();
    let fault = unavailable(directory.read(&Unwatched).await);
    assert_eq!(fault.kind, FaultKind::Transient);
    assert_eq!(fault.what.matches("the connection was refused").count(), 2, "{}", fault.what);
    // One wait of half a second; the next, of one, would pass the patience.
    assert!(started.elapsed() >= Duration::from_millis(500), "tried again");
}

// ---------------------------------------------------------------- answers that no server at hand gives

async fn read_script(
    script: impl Fn(&Request) -> Vec<Answer> + Send + Sync + Clone + 'static,
) -> Reading<Directory> {
    read(location(&scripted_server::start(script))).await
}

fn domain_entry() -> Answer {
    Answer::Entry("DC=contoso,DC=test".to_owned(), vec![texts("objectClass", &["top", "domainDNS"])])
}

fn person_entry(number: u64) -> Answer {
    let mut attributes =
        vec![texts("objectClass", &["user"]), texts("sAMAccountName", &[&format!("user{number}")])];
    attributes.push(("objectGUID".to_owned(), vec![guid(number).to_vec()]));
    Answer::Entry(format!("CN=user{number},DC=contoso,DC=test"), attributes)
}

fn names(numbers: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    numbers.map(|number| format!("CN=user{number},DC=contoso,DC=test").into_bytes()).collect()
}

/// A domain of ten people and one group, whose members the server sends as `portion` says for a
/// first member's number.
async fn read_portions(
    portion: impl Fn(usize) -> (String, Vec<Vec<u8>>) + Send + Sync + Clone + 'static,
) -> Reading<Directory> {
    read_script(move |request| {
        let group = |first: usize| {
            let attributes = vec![
                texts("objectClass", &["group"]),
                texts("cn", &["Big"]),
                ("objectGUID".to_owned(), vec![guid(500).to_vec()]),
                ("member".to_owned(), Vec::new()),
                portion(first),
            ];
            Answer::Entry("CN=Big,DC=contoso,DC=test".to_owned(), attributes)
        };
        if request.scope == 0 {
            let first = request.attributes[0].trim_start_matches("member;range=").trim_end_matches("-*");
            return vec![group(first.parse().expect("a number")), Answer::DoneUnpaged(0)];
        }
        let mut answers = vec![domain_entry(), group(0)];
        answers.extend((0..10).map(person_entry));
        answers.push(Answer::Done(0, Vec::new()));
        answers
    })
    .await
}

#[tokio::test]
async fn members_that_come_in_portions_are_fetched_to_the_last() {
    let directory = complete(
        read_portions(|first| match first {
            0 => ("member;range=0-3".to_owned(), names(0..4)),
            4 => ("member;Range=4-7".to_owned(), names(4..8)),
            _ => ("member;range=8-*".to_owned(), names(8..10)),
        })
        .await,
    );
    assert_eq!(members(&directory, group(&directory, "Big")).len(), 10);
    assert!(group(&directory, "Big").unseen.is_empty());
}

#[tokio::test]
async fn portions_that_contradict_themselves_are_not_the_members() {
    let gap = read_portions(|first| match first {
        0 => ("member;range=0-3".to_owned(), names(0..4)),
        _ => ("member;range=6-*".to_owned(), names(6..10)),
    });
    assert!(incomplete(gap.await).what.contains("does not continue"));
    let short = read_portions(|first| match first {
        0 => ("member;range=0-3".to_owned(), names(0..3)),
        _ => ("member;range=3-*".to_owned(), names(3..10)),
    });
    assert!(incomplete(short.await).what.contains("does not hold what it says"));
    let none = read_portions(|first| match first {
        0 => ("member;range=0-3".to_owned(), names(0..4)),
        _ => ("description".to_owned(), Vec::new()),
    });
    assert!(incomplete(none.await).what.contains("a portion is missing"));
    let endless = read_portions(|_| ("member;range=0-18446744073709551615".to_owned(), Vec::new()));
    assert!(incomplete(endless.await).what.contains("does not hold what it says"));
    let nonsense = read_portions(|_| ("member;range=3-0".to_owned(), names(0..4)));
    assert!(incomplete(nonsense.await).what.contains("is no range of members"));
}

#[tokio::test]
async fn a_part_of_the_domain_on_another_server_makes_the_reading_incomplete() {
    let with = |url: &'static str| {
        read_script(move |_| {
            vec![
                domain_entry(),
                person_entry(1),
                Answer::Reference(url.to_owned()),
                Answer::Done(0, Vec::new()),
            ]
        })
    };
    assert_eq!(
        complete(with("ldap://contoso.test/CN=Configuration,DC=contoso,DC=test").await).people.len(),
        1
    );
    let shortfall = incomplete(with("ldap://berlin.contoso.test/DC=berlin,DC=contoso,DC=test").await);
    assert!(shortfall.what.contains("ldap://berlin.contoso.test/"), "{}", shortfall.what);
}

#[tokio::test]
async fn no_end_but_the_last_page_of_a_search_makes_a_directory() {
    let end_after = |answers: Vec<Answer>| {
        let timeout = scripted_server::patience(&answers);
        let url = scripted_server::start(move |_| {
            let mut all = vec![domain_entry(), person_entry(1)];
            all.extend(answers.clone());
            all
        });
        read(LdapLocation { timeout, ..location(&url) })
    };
    // Time limit, size limit, referral, administrative limit, no such object, not permitted, busy,
    // unwilling, other.
    for code in [3, 4, 10, 11, 32, 50, 51, 53, 80] {
        let shortfall = incomplete(end_after(vec![Answer::Done(code, Vec::new())]).await);
        assert_eq!(shortfall.read, 2, "result code {code}: {}", shortfall.what);
    }
    for end in [Answer::Close, Answer::Silence, Answer::DoneUnpaged(0)] {
        let shown = format!("{end:?}");
        assert_eq!(incomplete(end_after(vec![end]).await).read, 2, "{shown}");
    }
    let without_base = read_script(|_| vec![person_entry(1), Answer::Done(0, Vec::new())]).await;
    assert!(incomplete(without_base).what.contains("did not show"));
    let nothing = read_script(|_| vec![Answer::Done(0, Vec::new())]).await;
    assert!(incomplete(nothing).what.contains("showed nothing"));
}

#[tokio::test]
async fn what_breaks_the_protocol_costs_the_reading_and_nothing_else() {
    // An extended response in place of a search's, a result without a code, an entry that is none.
    let broken = [
        Answer::Operation(0x78, scripted_server::tlv(0x0A, &[12])),
        Answer::Operation(0x65, Vec::new()),
        Answer::Operation(0x64, scripted_server::tlv(0x04, b"x")),
        Answer::Operation(0x64, Vec::new()),
    ];
    for answer in broken {
        let shown = format!("{answer:?}");
        let reading =
            read_script(move |_| vec![domain_entry(), answer.clone(), Answer::Done(0, Vec::new())]).await;
        assert!(reading.complete().is_none(), "{shown}: {reading:?}");
    }
}

#[tokio::test]
async fn one_object_on_two_pages_is_not_read_twice() {
    let reading = read_script(|request| {
        if request.cookie.is_empty() {
            vec![domain_entry(), person_entry(1), Answer::Done(0, b"next".to_vec())]
        } else {
            vec![person_entry(1), Answer::Done(0, Vec::new())]
        }
    });
    let shortfall = incomplete(reading.await);
    assert!(shortfall.what.contains("changed while it was read"), "{}", shortfall.what);
}

#[tokio::test]
async fn an_entry_that_hides_its_class_makes_the_reading_incomplete() {
    let hidden = || Answer::Entry("CN=x,DC=contoso,DC=test".to_owned(), vec![texts("cn", &["x"])]);
    let reading = read_script(move |_| vec![domain_entry(), hidden(), Answer::Done(0, Vec::new())]).await;
    let shortfall = incomplete(reading);
    assert!(shortfall.what.contains("CN=x,DC=contoso,DC=test shows no objectClass"), "{}", shortfall.what);

    let database = "access to filter=(sAMAccountName=zoe) attrs=objectClass \
                    by users search by anonymous auth\n\
                    access to attrs=userPassword by anonymous auth by * none\n\
                    access to * by users read by anonymous auth\n";
    let options = SlapdOptions { database: database.to_owned(), ..SlapdOptions::default() };
    let slapd = Slapd::start(&contoso::everything(), &options);
    let shortfall = incomplete(read(location(&slapd.url())).await);
    assert!(shortfall.what.contains("shows no objectClass"), "{}", shortfall.what);
}

/// Reads with a patience that allows for one more attempt, from a server that answers the first
/// search of the subtree, and what belongs to it, in another way than later ones.
async fn read_twice(
    script: impl Fn(bool, &Request) -> Vec<Answer> + Send + Sync + Clone + 'static,
    patience: Duration,
) -> (Reading<Directory>, usize) {
    let readings = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&readings);
    let url = scripted_server::start(move |request| {
        if request.scope == 2 && request.cookie.is_empty() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        script(counted.load(Ordering::SeqCst) == 1, request)
    });
    let password = SecretString::from(slapd::PASSWORD.to_owned());
    let directory = LdapDirectory::new(Text::from("main"), location(&url), Some(password), patience);
    (directory.read(&Unwatched).await, readings.load(Ordering::SeqCst))
}

#[tokio::test]
async fn what_changed_while_it_was_read_is_read_again_from_the_start() {
    let moved = |first: bool, request: &Request| match (first, request.cookie.is_empty()) {
        (_, true) => vec![domain_entry(), person_entry(1), Answer::Done(0, b"next".to_vec())],
        (true, false) => vec![person_entry(1), Answer::Done(0, Vec::new())],
        (false, false) => vec![person_entry(2), Answer::Done(0, Vec::new())],
    };
    let group = |attribute: &str, members: std::ops::Range<u64>| {
        let attributes = vec![
            texts("objectClass", &["group"]),
            texts("cn", &["Big"]),
            ("objectGUID".to_owned(), vec![guid(500).to_vec()]),
            (attribute.to_owned(), names(members)),
        ];
        Answer::Entry("CN=Big,DC=contoso,DC=test".to_owned(), attributes)
    };
    let all = move || {
        vec![
            domain_entry(),
            group("member;range=0-0", 1..2),
            person_entry(1),
            person_entry(2),
            Answer::Done(0, Vec::new()),
        ]
    };
    let vanished = move |first: bool, request: &Request| match (request.scope, first) {
        (2, _) => all(),
        (_, true) => vec![Answer::DoneUnpaged(32)],
        (_, false) => vec![group("member;range=1-*", 2..3), Answer::DoneUnpaged(0)],
    };
    let changed = move |first: bool, request: &Request| match (request.scope, first) {
        (2, _) => all(),
        (_, true) => vec![group("member;range=2-*", 2..3), Answer::DoneUnpaged(0)],
        (_, false) => vec![group("member;range=1-*", 2..3), Answer::DoneUnpaged(0)],
    };
    async fn survived(
        what: &str,
        said: &str,
        script: impl Fn(bool, &Request) -> Vec<Answer> + Send + Sync + Clone + 'static,
    ) {
        let (reading, readings) = read_twice(script.clone(), Duration::from_secs(10)).await;
        assert_eq!((complete(reading).people.len(), readings), (2, 2), "{what}");
        let (reading, readings) = read_twice(script, Duration::ZERO).await;
        let shortfall = incomplete(reading);
        assert!(shortfall.what.contains(said), "{what}: {}", shortfall.what);
        assert_eq!(readings, 1, "{what}: without patience once only");
    }
    survived("moved", "changed while it was read", moved).await;
    survived("vanished", "vanished while its members were read", vanished).await;
    survived("changed", "does not continue", changed).await;
}

/// A domain of groups that look empty, some of which have members that are hidden; the number of those
/// whose member attribute is read again, and what it then holds.
async fn read_looking_empty(
    groups: usize,
    with_members: &'static [usize],
    shown_again: &'static [&'static str],
) -> (Reading<Directory>, usize) {
    let name = |number: usize| format!("CN=Group {number} (*\\\\),DC=contoso,DC=test");
    let entry = move |number: usize, member: &[&str]| {
        let number_of_guid = u64::try_from(number).expect("a number");
        let attributes = vec![
            texts("objectClass", &["group"]),
            ("objectGUID".to_owned(), vec![guid(number_of_guid).to_vec()]),
            texts("member", member),
        ];
        Answer::Entry(name(number), attributes)
    };
    let searches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&searches);
    let reading = read_script(move |request| {
        if request.scope == 0 {
            let number = (0..groups).find(|number| name(*number) == request.base).expect("a group");
            return vec![entry(number, shown_again), Answer::DoneUnpaged(0)];
        }
        if request.filter.first().is_some_and(|attribute| attribute == "memberOf") {
            counted.fetch_add(1, Ordering::SeqCst);
            let found = with_members.iter().any(|number| request.filter.contains(&name(*number)));
            let mut answers = if found { vec![person_entry(1)] } else { Vec::new() };
            answers.push(Answer::Done(0, if found { b"more".to_vec() } else { Vec::new() }));
            return answers;
        }
        let mut answers = vec![domain_entry()];
        answers.extend((0..groups).map(|number| entry(number, &[])));
        answers.push(Answer::Done(0, Vec::new()));
        answers
    })
    .await;
    (reading, searches.load(Ordering::SeqCst))
}

/// The names of the groups whose members the reader may not see.
fn hiding_groups(directory: &Directory) -> Vec<&str> {
    let hiding = directory.groups.iter().filter(|group| group.hides_members());
    hiding.map(|group| group.cn.as_str()).collect()
}

#[tokio::test]
async fn groups_that_look_empty_are_asked_for_members_many_at_once() {
    let (reading, searches) = read_looking_empty(120, &[], &[]).await;
    assert!(hiding_groups(&complete(reading)).is_empty());
    assert_eq!(searches, 3, "fifty at once");

    let (reading, searches) = read_looking_empty(120, &[7], &[]).await;
    let directory = complete(reading);
    assert_eq!(hiding_groups(&directory), ["Group 7 (*\\)"]);
    assert_eq!(searches, 3 + 50, "and those of which one has some one by one");

    let (reading, _) = read_looking_empty(120, &[7], &["CN=user1,DC=contoso,DC=test"]).await;
    let shortfall = incomplete(reading);
    assert!(shortfall.what.contains("changed while the directory was read"), "{}", shortfall.what);
}

// ---------------------------------------------------------------- Samba

/// People and groups that the tests of Samba read; made once.
fn domain_with_people() -> &'static Samba {
    static LOADED: OnceLock<()> = OnceLock::new();
    let samba = Samba::shared();
    LOADED.get_or_init(|| {
        let mut ldif = LdifText::default();
        let base = samba::BASE;
        ldif.entry(&format!("OU=Staff,{base}"), &[("objectClass", "organizationalUnit")], &[]);
        let user = |ldif: &mut LdifText, name: &str, account: &str, control: &str| {
            let texts = [
                ("objectClass", "user"),
                ("sAMAccountName", account),
                ("userPrincipalName", &format!("{account}@contoso.test")),
                ("userAccountControl", control),
            ];
            ldif.entry(&format!("CN={name},OU=Staff,{base}"), &texts, &[]);
        };
        for number in 0..5000 {
            user(&mut ldif, &format!("Member {number}"), &format!("m{number:04}"), "544");
        }
        user(&mut ldif, "Müller\\, Jürgen", "juergen", "544");
        user(&mut ldif, "Asleep", "asleep", "546");
        let computer =
            [("objectClass", "computer"), ("sAMAccountName", "PC7$"), ("userAccountControl", "4096")];
        ldif.entry(&format!("CN=PC7,OU=Staff,{base}"), &computer, &[]);
        ldif.entry(&format!("CN=Friend,OU=Staff,{base}"), &[("objectClass", "contact")], &[]);

        let mut big = vec![("objectClass", "group".to_owned()), ("sAMAccountName", "big".to_owned())];
        big.extend((0..5000).map(|number| ("member", format!("CN=Member {number},OU=Staff,{base}"))));
        let big: Vec<(&str, &str)> = big.iter().map(|(name, value)| (*name, value.as_str())).collect();
        ldif.entry(&format!("CN=Big,OU=Staff,{base}"), &big, &[]);
        let few = [
            ("objectClass", "group"),
            ("sAMAccountName", "few"),
            ("member", &format!("CN=Müller\\, Jürgen,OU=Staff,{base}")),
            ("member", &format!("CN=Big,OU=Staff,{base}")),
            ("member", &format!("CN=PC7,OU=Staff,{base}")),
            ("member", &format!("CN=Friend,OU=Staff,{base}")),
        ];
        ldif.entry(&format!("CN=Few,OU=Staff,{base}"), &few, &[]);
        samba.load(&ldif.0);
    });
    samba
}

#[tokio::test]
async fn a_domain_controller_is_read_whole() {
    domain_with_people();
    let directory = complete(read_samba(|_| {}).await);
    let domain_sid = directory.domain_sid.expect("the domain's SID");
    assert_eq!(directory.base.key(), "dc=contoso,dc=test");

    let big = members(&directory, group(&directory, "Big"));
    assert_eq!((big.len(), big[0].as_str(), big[4999].as_str()), (5000, "m0000", "m4999"));
    assert_eq!(members(&directory, group(&directory, "Few")), ["group Big", "juergen", "other", "other"]);

    let juergen = person(&directory, "juergen");
    assert_eq!(juergen.display_name, "Müller, Jürgen");
    assert_eq!(juergen.primary_group, Some(513));
    assert_eq!(juergen.sid.and_then(|sid| sid.domain()), Some(domain_sid));
    assert!(juergen.enabled && !person(&directory, "asleep").enabled);
    assert!(directory.container_of(juergen).is_organizational_unit);
    // Ours, and those that Samba makes; no computer and no domain controller.
    let mut others: Vec<&str> = directory
        .people
        .iter()
        .map(|person| person.sam_account_name.as_str())
        .filter(|name| !name.starts_with('m'))
        .collect();
    others.sort_unstable();
    assert_eq!(others, ["Administrator", "Guest", "asleep", "dns-dc1", "juergen", "krbtgt"]);
    assert_eq!(directory.people.len(), 5006);
    assert!(directory.unidentified.is_empty());
    assert!(directory.people.iter().all(|person| person.invalid.is_none()));

    let domain_users = group(&directory, "Domain Users");
    assert_eq!(domain_users.sid, domain_sid.with_rid(513));
    assert!(domain_users.members.is_empty(), "a primary group lists nobody");
    for name in ["Administrators", "Domain Admins", "Domain Users", "Account Operators"] {
        assert!(group(&directory, name).is_critical && group(&directory, name).is_security, "{name}");
    }
    assert!(!group(&directory, "Big").is_critical);
    assert!(directory.groups.iter().all(|group| group.unseen.is_empty()), "nothing is hidden");

    let well_known: Vec<&str> = directory.well_known.keys().map(Text::as_str).collect();
    assert_eq!(
        well_known,
        [
            "cn=builtin",
            "cn=computers",
            "cn=foreignsecurityprincipals",
            "cn=lostandfound",
            "cn=managed service accounts",
            "cn=ntds quotas",
            "cn=program data",
            "cn=system",
            "cn=users",
            "ou=domain controllers",
        ]
    );
}

#[tokio::test]
async fn a_domain_controller_is_read_over_encrypted_connections() {
    let samba = domain_with_people();
    for start_tls in [false, true] {
        let reading = read_samba(|set_up| {
            set_up.urls = vec![if start_tls { samba.url() } else { samba.tls_url() }];
            set_up.start_tls = start_tls;
            set_up.ca_file = Some(samba.authority());
            set_up.base_dn = Dn::parse("CN=Users,DC=contoso,DC=test").ok();
        });
        let directory = complete(reading.await);
        assert_eq!(person(&directory, "Administrator").primary_group, Some(513));
    }
}

#[tokio::test]
async fn a_domain_controller_says_why_it_refuses() {
    let set_up = |dn: &str| location_read_by(&Samba::shared().url(), dn);
    let fault = unavailable(read_as(set_up(samba::ADMINISTRATOR), "wrong").await);
    assert_eq!(fault.kind, FaultKind::Unauthorised);
    assert!(fault.what.ends_with("the name or the password is wrong"), "{}", fault.what);

    let mut anonymous = location(&Samba::shared().url());
    anonymous.bind = None;
    let fault = unavailable(read(anonymous).await);
    assert_eq!(fault.kind, FaultKind::Unauthorised);
    assert!(fault.what.contains("may not read"), "{}", fault.what);
}

#[tokio::test]
async fn what_a_domain_controller_exports_reads_as_it_does() {
    let samba = domain_with_people();
    let over_ldap = complete(read_samba(|_| {}).await);
    let exported = samba.search(&["-b", samba::BASE, "-E", "pr=1000/noprompt", "(objectClass=*)"]);
    let from_file = complete(read_text(&exported).await);
    assert_eq!(normal_form(&from_file), normal_form(&over_ldap));
}

// ---------------------------------------------------------------- LDIF

#[tokio::test]
async fn what_slapd_exports_reads_as_it_does() {
    let over_ldap = normal_form(&complete(read(location(&everything().url())).await));
    for arguments in [&["-LLL"][..], &["-LLL", "-o", "ldif-wrap=no"], &["-L"], &[]] {
        let exported = everything().search(arguments);
        assert_eq!(normal_form(&complete(read_text(&exported).await)), over_ldap, "ldapsearch {arguments:?}");
        let windows = exported.replace('\n', "\r\n");
        assert_eq!(normal_form(&complete(read_text(&windows).await)), over_ldap, "ldapsearch {arguments:?}");
    }
}

fn forty() -> String {
    contoso::many(40)
}

/// Cuts a text at every byte; returns how many cuts passed for a directory of fewer people, and
/// where.
async fn cuts_that_pass(text: &str) -> Vec<usize> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("contoso.ldif");
    std::fs::write(&path, text).expect("written");
    let whole = complete(read_file(&path).await);
    let mut passed = Vec::new();
    for length in 0..text.len() {
        std::fs::write(&path, &text.as_bytes()[..length]).expect("written");
        if let Reading::Complete(directory) = read_file(&path).await
            && normal_form(&directory) != normal_form(&whole)
        {
            passed.push(length);
        }
    }
    passed
}

#[tokio::test]
async fn a_marked_file_that_is_cut_anywhere_is_never_taken_for_whole() {
    let text = contoso::few();
    let entries = text.matches("dn: ").count() + text.matches("dn:: ").count();
    let marked = [
        format!("# intake: begin\n{text}# intake: end\n"),
        format!("version: 1\n\n# intake: entries {entries}\n\n{text}"),
    ];
    for text in marked {
        assert_eq!(cuts_that_pass(&text).await, [0_usize; 0]);
    }
}

#[tokio::test]
async fn what_a_search_wrote_is_never_taken_for_whole_when_cut() {
    let slapd = Slapd::start(&contoso::few(), &SlapdOptions::default());
    for arguments in [&["-L"][..], &[]] {
        assert_eq!(cuts_that_pass(&slapd.search(arguments)).await, [0_usize; 0], "ldapsearch {arguments:?}");
    }
}

#[tokio::test]
async fn an_unmarked_file_passes_only_when_cut_between_two_records() {
    let text = contoso::few();
    let between: Vec<usize> = text.match_indices("\n\n").map(|(at, _)| at + 2).collect();
    let passed = cuts_that_pass(&text).await;
    assert!(!passed.is_empty(), "a cut between two records cannot be seen without a mark");
    assert!(passed.iter().all(|cut| between.contains(cut)), "{passed:?} {between:?}");
}

#[tokio::test]
async fn half_a_file_is_no_file() {
    let text = forty();
    let half = text.len() / 2;
    // Wherever the middle happens to lie, a few bytes on lies another kind of cut.
    for length in half..half + 40 {
        let cut = String::from_utf8_lossy(&text.as_bytes()[..length]).into_owned();
        if cut.ends_with("\n\n") {
            continue;
        }
        let reading = read_text(&cut).await;
        assert!(reading.complete().is_none(), "cut at {length}");
    }
}

#[tokio::test]
async fn marks_that_disagree_make_the_reading_incomplete() {
    let text = forty();
    for mark in ["# entries: 7\n", "# numEntries: 70\n", "# 3 entries\n", "# intake: entries 7\n"] {
        let shortfall = incomplete(read_text(&format!("{text}{mark}")).await);
        assert!(shortfall.what.contains("the file says that it holds"), "{}", shortfall.what);
        assert_eq!(shortfall.read, 65);
    }
    assert_eq!(complete(read_text(&format!("{text}# entries: 65\n")).await).people.len(), 40);
    let failed = format!("{text}search: 2\nresult: 4 Size limit exceeded\n");
    assert!(incomplete(read_text(&failed).await).what.contains("4 Size limit exceeded"));
    let in_the_middle = format!(
        "# intake: begin\n{text}# intake: end\n\n{}",
        "dn: OU=x,DC=contoso,DC=test\nobjectClass: organizationalUnit\n\n"
    );
    assert!(incomplete(read_text(&in_the_middle).await).what.contains("records follow"));
}

#[tokio::test]
async fn broken_files_are_refused_with_their_place() {
    let start = "dn: DC=contoso,DC=test\nobjectClass: domainDNS\n\n";
    let refused = async |text: &str| {
        let fault = unavailable(read_text(text).await);
        assert_eq!(fault.kind, FaultKind::Refused);
        fault.what
    };
    assert!(
        refused(&format!("{start}dn: CN=a,DC=contoso,DC=test\ncn:: !!\n\n"))
            .await
            .starts_with("contoso.ldif:5:6: ")
    );
    let no_class = refused(&format!("{start}dn: CN=a,DC=contoso,DC=test\ncn: a\n\n")).await;
    assert_eq!(no_class, "contoso.ldif:4: CN=a,DC=contoso,DC=test has no objectClass: is the record whole?");
    let foreign = refused(&format!("{start}dn: DC=fabrikam,DC=test\nobjectClass: domainDNS\n\n")).await;
    assert!(
        foreign.starts_with("contoso.ldif:4: DC=fabrikam,DC=test does not lie in DC=contoso,DC=test"),
        "{foreign}"
    );
    assert!(refused("dn: CN=a\nobjectClass: user\n\n").await.contains("lies in no domain"));
    assert!(
        refused("dn: nonsense\nobjectClass: user\n\n")
            .await
            .starts_with("contoso.ldif:1: `nonsense` is no name")
    );
    let part = format!(
        "{start}dn: CN=g,DC=contoso,DC=test\nobjectClass: group\nobjectGUID:: AAAAAAAAAAAAAAAAAAAAAA==\nmember;range=0-1499: CN=a,DC=contoso,DC=test\n\n"
    );
    assert!(refused(&part).await.contains("only a part of the members"));
    let nameless = format!("{start}dn: CN=g,DC=contoso,DC=test\nobjectClass: group\n\n");
    assert!(refused(&nameless).await.contains("has no readable objectGUID"));

    let mut twice = LdifText::default();
    contoso::domain(&mut twice);
    contoso::user(&mut twice, "CN=a,DC=contoso,DC=test", "a", 70);
    let first = twice.0[..twice.0.find("dn: CN=a").expect("there")].matches('\n').count() + 1;
    let second = twice.0.matches('\n').count() + 1;
    let mut same_guid = twice.clone();
    contoso::user(&mut same_guid, "CN=b,DC=contoso,DC=test", "b", 70);
    let said = refused(&same_guid.0).await;
    assert!(said.starts_with(&format!("contoso.ldif:{second}: two objects have the objectGUID")), "{said}");
    assert!(said.ends_with(&format!("(the first is in line {first})")), "{said}");
    contoso::user(&mut twice, "cn=A,dc=contoso,dc=test", "b", 71);
    let said = refused(&twice.0).await;
    assert!(said.starts_with(&format!("contoso.ldif:{second}: two objects have the name")), "{said}");
    assert!(said.ends_with(&format!("(the first is in line {first})")), "{said}");
}

#[tokio::test]
async fn a_file_that_is_not_there_or_empty_is_no_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = unavailable(read_file(&folder.path().join("gone.ldif")).await);
    assert_eq!(
        (missing.kind, missing.what.as_str()),
        (FaultKind::Refused, "contoso.ldif: there is no such file")
    );
    assert_eq!(unavailable(read_file(folder.path()).await).what, "contoso.ldif: this is no file");
    assert_eq!(incomplete(read_text("").await).what, "contoso.ldif: the file holds no entry");
    assert_eq!(incomplete(read_text("version: 1\n\n# nothing\n").await).read, 0);
}

// ---------------------------------------------------------------- Kerberos, as far as no KDC is needed

fn by_kerberos(url: &str) -> LdapLocation {
    let service = KerberosService { host: Some(Text::from("dc1.contoso.test")), realm: None };
    LdapLocation {
        bind: Some(Bind::Kerberos(service)),
        ca_file: Some(everything().authority()),
        ..location(url)
    }
}

#[cfg(feature = "kerberos")]
#[tokio::test]
async fn kerberos_never_protects_a_connection_in_place_of_tls() {
    let fault = unavailable(read(by_kerberos(&everything().url())).await);
    assert!(fault.what.contains("over encrypted connections alone"), "{}", fault.what);
}

#[cfg(not(feature = "kerberos"))]
#[tokio::test]
async fn a_build_without_kerberos_says_so() {
    let fault = unavailable(read(by_kerberos(&everything().tls_url("127.0.0.1"))).await);
    assert_eq!(fault.what, "this build of Intake cannot speak Kerberos");
    assert!(fault.hint.is_some_and(|hint| hint.contains("--features kerberos")));
}
