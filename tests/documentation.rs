//! Documentation systems: the adapters over real HTTP against stand-ins with faults to order.

use std::collections::BTreeSet;
use std::time::Duration;

use intake::adapters::connect_wise::{ConnectWise, Member, SharedConnectWise};
use intake::adapters::http::{HttpClient, Timeouts};
use intake::adapters::http_pace::{Budget, Pace};
use intake::adapters::http_pages::Bounds;
use intake::adapters::hudu::Hudu;
use intake::adapters::it_glue::ItGlue;
use intake::model::contact::{Catalogue, Contact, NewContact, NewPasswordEntry, NewPerson, Product, Shelf};
use intake::model::reading::{Fault as SourceFault, Reading, Shortfall};
use intake::model::text::Text;
use intake::ports::documentation::DocumentationPort;
use secrecy::SecretString;

use fake::{CLIENT_ID, COMPANY, DocumentationFake, KEY, LAYOUT, PRIVATE_KEY, PUBLIC_KEY};

mod connect_wise;
mod connect_wise_fake;
mod contract;
mod creating;
pub(crate) mod fake;
mod hudu;
mod hudu_fake;
mod it_glue;
mod it_glue_entries;
mod it_glue_fake;
mod limits;

/// What a reading may be delayed by faults, where a test expects it to recover.
const PATIENT: Duration = Duration::from_secs(20);

/// What a reading may be delayed by, where a test expects it to give up.
const IMPATIENT: Duration = Duration::from_millis(300);

/// A pace that stops nobody, and after which a refusal holds no longer than a test can wait.
const AT_ONCE: Budget =
    Budget { requests: 1_000_000, window: Duration::from_secs(1), rest: Duration::from_millis(20) };

/// What a reader of a stand-in has: a clone shares client and pace.
#[derive(Clone)]
struct Reader {
    client: HttpClient,
    pace: Pace,
    connect_wise: SharedConnectWise,
    patience: Duration,
    key: String,
    categories: Vec<Text>,
    bounds: Bounds,
}

impl Reader {
    fn new(patience: Duration) -> Self {
        Self::at(patience, AT_ONCE)
    }

    fn at(patience: Duration, budget: Budget) -> Self {
        Self::over(patience, budget, Duration::from_secs(10))
    }

    fn over(patience: Duration, budget: Budget, silence: Duration) -> Self {
        let timeouts = Timeouts { connect: Duration::from_secs(5), silence, whole: Duration::from_secs(60) };
        let (client, pace) = (HttpClient::with_timeouts(timeouts), Pace::new(budget));
        Self {
            connect_wise: SharedConnectWise::new(client.clone(), pace.clone()),
            client,
            pace,
            patience,
            key: String::new(),
            categories: Vec::new(),
            bounds: Bounds::default(),
        }
    }

    /// The same client, with a pace of its own: making a client takes time.
    fn of_its_own(&self) -> Self {
        let pace = Pace::new(AT_ONCE);
        let connect_wise = SharedConnectWise::new(self.client.clone(), pace.clone());
        Self { pace, connect_wise, ..self.clone() }
    }

    /// The same with another key than the right one.
    fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    fn open(&self, fake: &DocumentationFake) -> Box<dyn DocumentationPort> {
        let key = |right: &str| {
            SecretString::from(if self.key.is_empty() { right.to_owned() } else { self.key.clone() })
        };
        let (client, pace, url) = (self.client.clone(), self.pace.clone(), fake.url());
        match fake.product() {
            Product::ItGlue => Box::new(
                ItGlue::new(client, pace, &url, key(KEY), self.categories.clone(), self.patience)
                    .expect("an address")
                    .within(self.bounds),
            ),
            Product::ConnectWise => {
                let member = Member {
                    login_company: Text::from(COMPANY),
                    client_id: CLIENT_ID.parse().expect("a GUID"),
                    public_key: SecretString::from(PUBLIC_KEY),
                    private_key: key(PRIVATE_KEY),
                };
                let shared = self.connect_wise.clone();
                Box::new(
                    ConnectWise::new(shared, &url, &member, self.patience)
                        .expect("an address")
                        .within(self.bounds),
                )
            }
            Product::Hudu => Box::new(
                Hudu::new(client, pace, &url, key(KEY), self.patience)
                    .expect("an address")
                    .within(self.bounds),
            ),
        }
    }

    async fn sweep(&self, fake: &DocumentationFake, companies: &[u64]) -> Reading<Catalogue> {
        self.open(fake).sweep(&shelves(fake, companies)).await
    }
}

fn shelf(fake: &DocumentationFake, company: u64) -> Shelf {
    let asset_layout = (fake.product() == Product::Hudu).then_some(LAYOUT);
    Shelf { organization: Text::from(company.to_string()), asset_layout }
}

fn shelves(fake: &DocumentationFake, companies: &[u64]) -> BTreeSet<Shelf> {
    companies.iter().map(|company| shelf(fake, *company)).collect()
}

/// A stand-in with two companies and so many people in the first.
fn fake_of(product: Product, people: usize) -> (DocumentationFake, Vec<u64>) {
    let fake = DocumentationFake::start(product);
    fake.company(2, "Contoso").company(3, "Fabrikam");
    fake.person(3, "Not", "Wanted", &["person1@contoso.test"]);
    let ids = fake.people(2, people);
    (fake, ids)
}

fn complete<T: std::fmt::Debug>(reading: Reading<T>) -> T {
    match reading {
        Reading::Complete(value) => value,
        other => panic!("not complete: {other:?}"),
    }
}

fn incomplete<T: std::fmt::Debug>(reading: Reading<T>) -> Shortfall {
    match reading {
        Reading::Incomplete(shortfall) => shortfall,
        other => panic!("not incomplete: {other:?}"),
    }
}

fn unavailable<T: std::fmt::Debug>(reading: Reading<T>) -> SourceFault {
    match reading {
        Reading::Unavailable(fault) => fault,
        other => panic!("not unavailable: {other:?}"),
    }
}

/// Returns the contacts of a company.
fn contacts(catalogue: &Catalogue, company: u64) -> Vec<Contact> {
    let organization = Text::from(company.to_string());
    let shelf = catalogue.shelves.iter().find(|(shelf, _)| shelf.organization == organization);
    shelf.expect("the shelf").1.clone()
}

/// Returns the ids of the contacts of a company, as numbers, in order.
fn ids(catalogue: &Catalogue, company: u64) -> Vec<u64> {
    let mut ids: Vec<u64> =
        contacts(catalogue, company).iter().map(|contact| contact.id.parse().expect("a number")).collect();
    ids.sort_unstable();
    ids
}

fn new_contact(address: &str) -> NewContact {
    NewContact::Person(new_person(address))
}

fn new_person(address: &str) -> NewPerson {
    NewPerson {
        first_name: Text::from("Ada"),
        last_name: Text::from("Lovelace"),
        address: Text::from(address),
        mark: Text::from(MARK),
    }
}

fn new_entry(username: &str) -> NewContact {
    NewContact::PasswordEntry(NewPasswordEntry {
        name: Text::from("Ada Lovelace"),
        username: Text::from(username),
        mark: Text::from(MARK),
    })
}

/// What says that Intake made something, and for whom.
const MARK: &str = "intake:0192f0c1-2a3b-7c4d-8e5f-60718293a4b5";

/// The whole way from an operator's file to contacts, as commands and stories go it.
#[tokio::test]
async fn connections_are_opened_by_name_with_their_secrets_as_they_are_now() {
    let folder = tempfile::tempdir().expect("a folder");
    let key_file = folder.path().join("key");
    for product in Product::ALL {
        let (fake, people) = fake_of(product, 3);
        let connection = fake.operator_connection("docs");
        // Secrets in files, so that they can change while the program runs.
        let files = ["DOCUMENTATION_KEY", "DOCUMENTATION_PRIVATE_KEY"];
        let mut connection = files.into_iter().fold(connection, |text, name| {
            text.replace(&format!("{{env: {name}}}"), &format!("{{file: {}}}", key_file.display()))
        });
        let public = folder.path().join("public");
        std::fs::write(&public, PUBLIC_KEY).expect("a file");
        connection =
            connection.replace("{env: DOCUMENTATION_PUBLIC_KEY}", &format!("{{file: {}}}", public.display()));
        let file = folder.path().join("operator.yaml");
        let text =
            format!("secrets:\n  files: [\"{}/*\"]\nconnections:\n{connection}", folder.path().display());
        std::fs::write(&file, text).expect("a file");
        let operator =
            intake::cli::wiring::operator(Some(&file)).unwrap_or_else(|_| panic!("an operator's file"));
        let systems = operator.documentation(
            intake::model::duration::Seconds(1),
            std::sync::Arc::new(intake::ports::meter::Unmeasured),
        );

        assert_eq!((systems.product("docs"), systems.product("other")), (Some(product), None));
        assert!(systems.open("other").err().expect("no such connection").what.contains("`other`"));
        let _ = std::fs::remove_file(&key_file);
        assert!(systems.open("docs").is_err(), "{product:?}: its secret is not there");

        std::fs::write(&key_file, "wrong").expect("a file");
        let wrong = systems.open("docs").expect("a system");
        unavailable(wrong.sweep(&shelves(&fake, &[2])).await);
        let right = if product == Product::ConnectWise { fake::PRIVATE_KEY } else { KEY };
        std::fs::write(&key_file, right).expect("a file");
        let opened = systems.open("docs").expect("a system");
        assert_eq!(ids(&complete(opened.sweep(&shelves(&fake, &[2])).await), 2), people, "{product:?}");

        // What one was told to wait holds for whoever opens the connection next, by whatever way.
        fake.fault(fake::At::companies(), fake::Fault::TooFast(Some(3_600)), 1);
        let fault = unavailable(opened.sweep(&shelves(&fake, &[2])).await);
        assert!(fault.retry_after.is_some());
        let asked = fake.requests().len();
        let again = operator.documentation(
            intake::model::duration::Seconds(1),
            std::sync::Arc::new(intake::ports::meter::Unmeasured),
        );
        let reading = again.open("docs").expect("a system").sweep(&shelves(&fake, &[2])).await;
        assert!(unavailable(reading).retry_after.is_some());
        assert_eq!(fake.requests().len(), asked, "{product:?}: nothing was sent");
    }
}
