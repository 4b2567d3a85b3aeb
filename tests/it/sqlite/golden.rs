//! A file that the first version wrote, with work in flight, is opened by every later one.

use std::sync::Arc;

use kassir::clock::ManualClock;
use kassir::domain::DeliveryStatus;
use kassir::domain::ids::MerchantId;
use kassir::domain::job::WorkId;
use kassir::store::{Backlog, Commit, DeliveryFilter, Idempotency, Material, Page, Store};

use super::File;
use crate::store_suite::START;
use crate::store_suite::samples::{Shop, ask, new};

const V1: &str = include_str!("../../golden/store-v1.sql");

const MERCHANT: &str = "mer_01kdvdna00e008000000000001";
const INTEGRATION: &str = "int_01kdvdna00e008000000000002";
const ENDPOINT: &str = "ep_01kdvdna00e008000000000003";

#[tokio::test]
async fn the_first_schema_opens_with_work_in_flight() {
    let file = File::new();
    std::fs::create_dir_all(file.path().parent().unwrap()).unwrap();
    file.raw().execute_batch(V1).unwrap();
    let clock = Arc::new(ManualClock::at(START));
    let store: Arc<dyn Store> =
        Arc::new(kassir::store::sqlite::SqliteStore::open(&file.path(), Arc::clone(&clock) as _).unwrap());
    let merchant: MerchantId = MERCHANT.parse().unwrap();
    let config = store.config(merchant).await.unwrap().unwrap();
    assert_eq!((config.version, config.merchant.name.as_str()), (3, "Лавка"));
    let shop = Shop {
        store: Arc::clone(&store),
        merchant,
        integration: INTEGRATION.parse().unwrap(),
        endpoint: ENDPOINT.parse().unwrap(),
        version: config.version,
    };
    assert_eq!(store.find_token("ab12").await.unwrap(), Some((merchant, shop.integration)));
    assert!(store.api_token("cd34").await.unwrap().is_some());
    assert_eq!(store.audit_tail(Some(merchant)).await.unwrap(), "ef56");
    assert_eq!(store.replays(merchant, &Page::default()).await.unwrap().rows.len(), 1);
    let known = store.idempotency_begin("mer", "key", "print", 1000).await.unwrap();
    assert_eq!(known, Idempotency::Done { status: 201, body: "{}".to_owned() });
    let counted = store.tallies(merchant, START, START + 1).await.unwrap();
    assert_eq!(counted, [(START, "event.succeeded.yookassa".to_owned(), 2)]);
    work_goes_on(&shop, &clock).await;
    store.close().await;
}

/// One delivery waits for its second attempt, one was in the hands of a router that is gone, two jobs come later.
async fn work_goes_on(shop: &Shop, clock: &ManualClock) {
    let filter = DeliveryFilter { status: Some(DeliveryStatus::Pending), ..DeliveryFilter::default() };
    let deliveries = shop.store.deliveries(shop.merchant, &filter, &Page::default()).await.unwrap().rows;
    let backlog = Backlog {
        waiting: 4,
        leased: 1,
        oldest_due: Some(START),
        oldest_delivery: Some(START),
        held_lanes: 0,
    };
    assert_eq!((deliveries.len(), shop.store.backlog().await.unwrap()), (2, backlog));
    assert_eq!(shop.store.attempts(shop.merchant, deliveries[1].id).await.unwrap().len(), 1);

    assert_eq!(shop.claim().await.next_due, Some(START + 5000));
    clock.advance(5000);
    let first = shop.claim().await.work;
    assert_eq!((first.len(), first[0].fence.work), (1, WorkId::Delivery(deliveries[1].id)));
    match &first[0].material {
        Material::Delivery { event, .. } => {
            assert_eq!(event.body(), "{\"id\":100,\"amount\":900.00,\"name\":\"Ж\"}");
        }
        other @ Material::Job(_) => panic!("{other:?}"),
    }
    clock.advance(25_000);
    let second = shop.claim().await.work;
    assert_eq!((second.len(), second[0].fence.work), (1, WorkId::Delivery(deliveries[0].id)));
    assert!(
        second[0].fence.token > first[0].fence.token && first[0].fence.token > 2,
        "leases go on counting"
    );
    clock.advance(30_000);
    assert_eq!(shop.store.claim(&ask(9)).await.unwrap().work.len(), 4);

    let payment = Some(new(shop.payment(), &["p-3"]));
    assert_eq!(shop.write(Commit { payment, ..shop.commit() }).await.payment, Some((102, 1)));
    shop.write(shop.whole("p-4")).await;
}
