//! What is known of publications is written only if what it was decided from is still so.

use intake::adapters::store::connection::Store;
use intake::model::account::{AccountKey, AccountType};
use intake::model::publication::{
    CountedRemovals, Presence, Publication, PublicationRecord, PublicationStatus,
};
use intake::model::text::Text;
use intake::ports::browse::Browse as _;
use intake::ports::publishing::{PublicationReader as _, Publications as _};
use intake::ports::register::Register as _;
use intake::ports::register::RegisterFault;

use crate::support::postgres::Postgres;

use super::sample::{account, at, small};

pub(super) fn publication(number: u128, status: PublicationStatus) -> Publication {
    Publication {
        account: account(number).key,
        target: "hr".into(),
        subject: "jane".into(),
        status,
        cause: String::new(),
        since: at(1),
        wanted: Presence::Present,
        user_name: Some(Text::from(format!("user{number}@contoso.test"))),
        remote_id: None,
        asked: None,
        asked_at: Some(at(1)),
        confirmed: None,
        removal_at: None,
        corrected: None,
    }
}

pub(super) fn record(customer: &str, read: &[Publication], written: &[Publication]) -> PublicationRecord {
    PublicationRecord {
        customer: customer.into(),
        run: "run-1".into(),
        tree_revision: "1".into(),
        at: at(2),
        read: read.to_vec(),
        counted: None,
        written: written.to_vec(),
        forgotten: Vec::new(),
        events: Vec::new(),
        deliveries: Vec::new(),
    }
}

async fn stores() -> [Store; 2] {
    let database = Postgres::shared().database().await;
    let stores = [Store::open("sqlite::memory:").await.unwrap(), Store::open(&database.url()).await.unwrap()];
    for store in &stores {
        for customer in ["contoso", "fabrikam"] {
            store.commit(small(customer, 0)).await.unwrap();
        }
    }
    stores
}

fn is_overtaken<T>(outcome: Result<T, RegisterFault>) -> bool {
    matches!(outcome, Err(RegisterFault::Overtaken { .. }))
}

/// A delivery that takes minutes must not undo what was asked for meanwhile, nor the other way round.
#[tokio::test]
async fn what_was_read_before_somebody_else_wrote_is_not_written_over_it() {
    for store in stores().await {
        let waiting = publication(1, PublicationStatus::Waiting);
        store.record(record("contoso", &[], std::slice::from_ref(&waiting))).await.unwrap();
        // Who believes that nothing is known yet.
        assert!(is_overtaken(store.record(record("contoso", &[], std::slice::from_ref(&waiting))).await));
        let published = Publication {
            status: PublicationStatus::Published,
            remote_id: Some("72".into()),
            ..waiting.clone()
        };
        let leaving = Publication { wanted: Presence::Absent, asked_at: Some(at(9)), ..waiting.clone() };
        let read = std::slice::from_ref(&waiting);
        store.record(record("contoso", read, std::slice::from_ref(&leaving))).await.unwrap();
        assert!(is_overtaken(store.record(record("contoso", read, &[published])).await));
        let forgetting = PublicationRecord {
            forgotten: vec![("hr".into(), waiting.account)],
            ..record("contoso", read, &[])
        };
        assert!(is_overtaken(store.record(forgetting).await));
        let known = store.publications(Some("contoso")).await.unwrap();
        assert_eq!(known, [("contoso".into(), leaving)]);
    }
}

#[tokio::test]
async fn many_are_written_together_and_found_by_their_account() {
    // More than one statement writes, twice, and some that are left over.
    const MANY: u128 = 133;
    for store in stores().await {
        let of = |status| (0..MANY).map(|number| publication(number, status)).collect::<Vec<_>>();
        let (waiting, published) = (of(PublicationStatus::Waiting), of(PublicationStatus::Published));
        store.record(record("contoso", &[], &waiting)).await.unwrap();
        store.record(record("contoso", &waiting, &published)).await.unwrap();
        let mut known = store.publications(Some("contoso")).await.unwrap();
        known.sort_by_key(|(_, known)| known.account.id);
        assert_eq!(known, published.iter().map(|one| ("contoso".into(), one.clone())).collect::<Vec<_>>());

        // Somebody who is in both roles, at two targets; and somebody else's, of the same id.
        let here = &published[7];
        let as_administrator = AccountKey { account_type: AccountType::Administrator, ..here.account };
        let elsewhere = Publication { target: "chat".into(), ..here.clone() };
        let administrator = Publication { account: as_administrator, ..here.clone() };
        store.record(record("contoso", &[], &[elsewhere.clone(), administrator.clone()])).await.unwrap();
        store.record(record("fabrikam", &[], std::slice::from_ref(here))).await.unwrap();
        let browse = store.browse();
        let found = browse.publications_of("contoso", here.account.id).await.unwrap();
        assert_eq!(found, [elsewhere, administrator, here.clone()]);
        assert!(browse.publications_of("adatum", here.account.id).await.unwrap().is_empty());
    }
}

/// Two processes that count at the same moment must not both use the room that is left.
#[tokio::test]
async fn removals_that_were_counted_before_others_began_are_counted_anew() {
    for store in stores().await {
        let here = [publication(1, PublicationStatus::Published)];
        for customer in ["contoso", "fabrikam"] {
            store.record(record(customer, &[], &here)).await.unwrap();
        }
        let leaving = [Publication { wanted: Presence::Absent, removal_at: Some(at(5)), ..here[0].clone() }];
        let counted = Some(CountedRemovals { target: "hr".into(), since: at(0), recent: 0 });
        let removal = |customer: &str| PublicationRecord {
            counted: counted.clone(),
            ..record(customer, &here, &leaving)
        };
        store.record(removal("contoso")).await.unwrap();
        assert!(is_overtaken(store.record(removal("fabrikam")).await));
        assert_eq!(store.leavers("hr", at(0)).await.unwrap().recent, 1);
    }
}
