//! Microsoft's description of Graph judges what Intake asks, and what the stand-in for Graph answers.
//!
//! `cargo test --test shapes -- DESCRIPTION`, an OpenAPI file of the calls that Intake makes. Stoplight's
//! Prism stands between the two, compares both directions with it, and turns what does not fit into an
//! error: then the reading is not whole.
#![allow(missing_docs, clippy::print_stdout, reason = "a program for developers, which prints what it saw")]

use std::path::Path;
use std::time::Duration;

use intake::adapters::graph::{GraphTenant, SharedGraph};
use intake::adapters::graph_credential::Credential;
use intake::adapters::http::HttpClient;
use intake::model::guid::Guid;
use intake::model::reading::Reading;
use intake::model::tenant::{SyncState, Tenant};
use intake::model::tenant_group::WantedGroups;
use intake::policy::fleet::GraphEndpoints;
use intake::ports::source::{TenantPort as _, Unwatched};
use secrecy::SecretString;
use serde_json::json;

mod support;

use support::graph::{CLIENT_ID, GraphFake, SECRET, e3, person_id};
use support::others::Others;
use support::process::{Process, free_port, listens, wait_for};

const DOMAIN: &str = "contoso.com";

/// Starting Node and reading the description, on the slowest machine.
const START: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    let description = std::env::args().nth(1).expect("an OpenAPI file of Microsoft Graph");
    assert!(Path::new(&description).is_file(), "{description} is no file");
    let fake = GraphFake::spawn();
    people(&fake);
    let (_prism, url) = prism(&description, &fake.url());
    fake.answers_behind(&url);
    let tenant = source(&fake, &url);

    let listed = whole(tenant.read(&Unwatched).await);
    assert_eq!(listed.users.len(), 8);
    println!("users, subscriptions and the organisation: as described");

    let now = jiff::Timestamp::now();
    let first = whole(tenant.read_on(None, now, &Unwatched).await);
    fake.tenant(DOMAIN).remove(&person_id(2)).change(&person_id(3), json!({"mail": null}));
    let state = first.sync_state.expect("something to go on from");
    let kept = SyncState { generation: 1, ..state };
    assert_eq!(whole(tenant.read_on(Some(kept), now, &Unwatched).await).users.len(), 7);
    println!("changes of users: as described");

    let asked: Vec<Guid> = [1, 2].map(|number| person_id(number).parse().expect("an id")).to_vec();
    let confirmed = tenant.confirm(&asked, &Unwatched).await;
    assert!(matches!(&confirmed, Reading::Complete(Some(now)) if now.users.len() == 1), "{confirmed:?}");
    println!("single users in a batch: as described");

    let wanted = WantedGroups { names: ["Intake Users".into()].into(), ..WantedGroups::default() };
    let groups = tenant.groups(&wanted, &Unwatched).await;
    assert!(matches!(&groups, Reading::Complete(Some(groups)) if groups.len() == 1), "{groups:?}");
    println!("groups and their members: as described");

    // What Intake itself never looks at, and the description does: so it is the description that judges.
    fake.tenant(DOMAIN).sku(json!({"skuId": e3()["skuId"], "skuPartNumber": "X", "consumedUnits": "many"}));
    let judged = tenant.read(&Unwatched).await;
    assert!(!matches!(judged, Reading::Complete(_)), "nobody judges: {judged:?}");
    println!("and what is not as described is told: {judged:?}");
}

fn people(fake: &GraphFake) {
    let tenant = fake.tenant(DOMAIN);
    tenant.people(8).page_size(3).sku(e3()).roles(&[
        "User.Read.All",
        "LicenseAssignment.Read.All",
        "GroupMember.Read.All",
    ]);
    tenant.group(1, "Intake Users").members(1, &[1, 3, 4]);
    tenant.change(&person_id(4), json!({"assignedLicenses": [], "licenseAssignmentStates": []}));
    tenant.change(&person_id(5), json!({"userType": "Guest", "mail": null, "mobilePhone": "+1 555"}));
    tenant.change(
        &person_id(6),
        json!({"accountEnabled": false, "onPremisesImmutableId": "MyIRAFVEd2aImaq7zN3u/w==",
            "onPremisesSecurityIdentifier": "S-1-5-21-1-2-3-1104"}),
    );
}

/// Starts Prism in front of a server; returns also where it is.
fn prism(description: &str, upstream: &str) -> (Process, String) {
    let others = Others::get();
    let (program, port) = (others.prism(), free_port());
    let folder = tempfile::tempdir().expect("a folder").keep();
    // Prism knows paths alone, and takes the version for none of its server's.
    let versioned = std::fs::read_to_string(description).expect("text").replace("\n  /", "\n  /v1.0/");
    let description = folder.join("description.yaml");
    std::fs::write(&description, versioned).expect("written");
    let process = Process::start(
        &others.node().display().to_string(),
        &[
            &program.display().to_string(),
            "proxy",
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--errors",
            &description.display().to_string(),
            upstream,
        ],
        &folder,
    );
    wait_for(&process, &folder, START, || listens([127, 0, 0, 1], port));
    (process, format!("http://127.0.0.1:{port}"))
}

fn source(fake: &GraphFake, graph: &str) -> GraphTenant {
    let client = HttpClient::new();
    GraphTenant::new(
        SharedGraph::new(client),
        DOMAIN,
        CLIENT_ID.parse().expect("a GUID"),
        &GraphEndpoints { login: fake.url(), graph: graph.to_owned() },
        Credential::Secret(SecretString::from(SECRET)),
        Duration::from_secs(5),
    )
}

fn whole(reading: Reading<Tenant>) -> Tenant {
    match reading {
        Reading::Complete(tenant) => tenant,
        other => panic!("not as described: {other:?}"),
    }
}
