//! The third witness beside sender and subscriber: what the store itself says once its routers have ended.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kassir::clock::{Stopwatch, SystemClock};
use kassir::domain::DeliveryStatus;
use kassir::domain::event::EventState;
use kassir::store::list::PAGE_MAX;
use kassir::store::redis::{Options, RedisStore};
use kassir::store::sqlite::SqliteStore;
use kassir::store::{Listed, Page, Result, Store};

use crate::process::{Plan, Process};

/// Leases of a killed router end within this.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL_PAUSE: Duration = Duration::from_millis(20);
/// Payments that are named when something is wrong with them.
const SHOWN: usize = 10;

/// Ends routers of one store once no delivery waits any more, and holds the store to what was accepted: each order is one
/// payment with one event and one delivery of it that succeeded, and the queue is empty. `plan`: of one of the routers.
pub async fn end_and_compare(routers: Vec<Process>, plan: &Plan, accepted: &[usize]) {
    nothing_waits(plan).await;
    for router in routers {
        assert_eq!(router.terminate().await, Some(0));
    }
    let store = open(plan).await;
    compare(&*store, accepted).await;
    store.close().await;
}

/// What was in hand when a router was killed may have reached the subscriber, and is sent once more all the same.
async fn nothing_waits(plan: &Plan) {
    let (client, waited) = (plan.client(), Stopwatch::start());
    let merchants = client.get("/merchants").await.unwrap();
    let merchant = merchants["data"][0]["id"].as_str().unwrap();
    let path = format!("/merchants/{merchant}/deliveries?status=pending&limit=1");
    loop {
        let waiting = client.get(&path).await.unwrap();
        if waiting["data"].as_array().unwrap().is_empty() {
            return;
        }
        assert!(waited.elapsed() < PATIENCE, "it waits for ever: {waiting}");
        tokio::time::sleep(POLL_PAUSE).await;
    }
}

async fn open(plan: &Plan) -> Arc<dyn Store> {
    match plan.store.strip_prefix("sqlite:") {
        Some(path) => Arc::new(SqliteStore::open(Path::new(path), Arc::new(SystemClock)).unwrap()),
        None => Arc::new(RedisStore::open(&plan.store, Options::default()).await.unwrap()),
    }
}

/// What the store has of a payment.
#[derive(Debug, Default)]
struct Kept {
    reference: String,
    events: usize,
    deliveries: usize,
}

async fn compare(store: &dyn Store, accepted: &[usize]) {
    assert_eq!(store.backlog().await.unwrap().waiting, 0, "the queue is not empty");
    let merchants = store.merchants(&Page::default()).await.unwrap().rows;
    assert_eq!(merchants.len(), 1);
    let merchant = merchants[0].id;
    let mut kept: HashMap<u32, Kept> = HashMap::new();
    let payments = async |page| store.payments(merchant, &Default::default(), &page).await;
    each(payments, |payment| {
        let reference = payment.reference.expect("the number of its order");
        let before = kept.insert(payment.number, Kept { reference, ..Kept::default() });
        assert!(before.is_none(), "listed twice: {}", payment.number);
    })
    .await;
    let events = async |page| store.events(merchant, &Default::default(), &page).await;
    each(events, |event| {
        assert_eq!(event.state, EventState::Succeeded, "{}", event.id);
        kept.get_mut(&event.payment).expect("its payment").events += 1;
    })
    .await;
    let deliveries = async |page| store.deliveries(merchant, &Default::default(), &page).await;
    each(deliveries, |delivery| {
        assert_eq!(delivery.status, DeliveryStatus::Delivered, "{}", delivery.id);
        kept.get_mut(&delivery.payment).expect("its payment").deliveries += 1;
    })
    .await;
    let mut wrong: Vec<_> = kept.values().filter(|kept| (kept.events, kept.deliveries) != (1, 1)).collect();
    wrong.truncate(SHOWN);
    assert!(wrong.is_empty(), "not one event with one delivery: {wrong:?}");
    // Those whose answer was lost and that nobody repeated may be there as well.
    let references: HashSet<&str> = kept.values().map(|kept| kept.reference.as_str()).collect();
    assert_eq!(references.len(), kept.len(), "two payments for one order");
    let missing: Vec<_> = accepted
        .iter()
        .filter(|order| !references.contains(order.to_string().as_str()))
        .take(SHOWN)
        .collect();
    assert!(missing.is_empty(), "accepted and not in the store: {missing:?}");
}

/// Goes through a list to its end.
async fn each<T, F>(list: impl Fn(Page) -> F, mut visit: impl FnMut(T))
where
    F: Future<Output = Result<Listed<T>>>,
{
    let mut before = None;
    loop {
        let page = list(Page { limit: PAGE_MAX, before }).await.unwrap();
        page.rows.into_iter().for_each(&mut visit);
        before = page.next;
        if before.is_none() {
            return;
        }
    }
}
