//! A router starts on a Redis that has very many retries waiting.

use std::time::Duration;

use kassir::clock::{Clock as _, Stopwatch, SystemClock};
use kassir::domain::ids::{EndpointId, IntegrationId, MerchantId};
use kassir::domain::{Delivery, Event};
use kassir::store::redis::{Options, RedisStore};
use kassir::store::{Commit, Store};
use std::sync::Arc;

use super::{open_shop, size};
use crate::process::Plan;
use crate::redis_server::{DURABLE, Server};
use crate::store_suite::samples;

/// Deliveries of one commit.
const BATCH: usize = 500;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// A router with a backlog is ready within this; what is due goes out within that.
const READY: Duration = Duration::from_secs(5);
const FIRST_DUE: Duration = Duration::from_secs(1);

/// What the API says about the one endpoint and integration.
async fn only(plan: &Plan, path: &str) -> String {
    let list = plan.client().get(path).await.unwrap();
    list["data"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_starts_on_a_long_queue() {
    let server = Server::start(&[DURABLE, &[("appendfsync", "everysec")]].concat());
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::on(folder.path(), &server.url());
    let (receiver, router, shop) = open_shop(&plan).await;
    let merchant: MerchantId = shop.merchant.trim_start_matches("/merchants/").parse().unwrap();
    let endpoint: EndpointId = only(&plan, &format!("{}/endpoints", shop.merchant)).await.parse().unwrap();
    let integration: IntegrationId =
        only(&plan, &format!("{}/integrations", shop.merchant)).await.parse().unwrap();
    assert_eq!(router.terminate().await, Some(0));

    let store: Arc<dyn Store> = Arc::new(RedisStore::open(&server.url(), Options::default()).await.unwrap());
    let samples = samples::Shop { store: Arc::clone(&store), merchant, integration, endpoint, version: 0 };
    let now = SystemClock.now();
    let event = |order: usize| Event {
        tail: format!(",\"provider\":\"robokassa\",\"payload\":{{\"InvId\":\"{order}\"}}}}"),
        created_at: now,
        payment: 1,
        ..samples.event()
    };
    let count = size(20_000, 1_000_000);
    for batch in 0..count / BATCH {
        let event = event(batch + 2);
        let later = |n: usize| Delivery {
            next_attempt_at: Some(now + 2 * DAY_MS + i64::try_from(batch * BATCH + n).unwrap()),
            created_at: now,
            round_started_at: now,
            ..samples.delivery(&event)
        };
        let deliveries = (0..BATCH).map(later).collect();
        samples.write(Commit { events: vec![event.clone()], deliveries, ..samples.commit() }).await;
    }
    let due = event(1);
    let delivery = Delivery {
        next_attempt_at: Some(now),
        created_at: now,
        round_started_at: now,
        ..samples.delivery(&due)
    };
    samples.write(Commit { events: vec![due], deliveries: vec![delivery], ..samples.commit() }).await;
    assert_eq!(store.backlog().await.unwrap().waiting, count as u64 + 1);

    let started = Stopwatch::start();
    let router = plan.start().await;
    let ready = started.elapsed();
    receiver.wait_for(&[1]).await;
    let first = started.elapsed().saturating_sub(ready);
    let rss_mb = router.memory_mib();
    let (ready_ms, first_ms) = (ready.as_millis(), first.as_millis());
    receiver.counts(&[1]).print(
        "long_queue_at_start",
        &[("scheduled", &count), ("ready_ms", &ready_ms), ("first_due_ms", &first_ms), ("rss_mb", &rss_mb)],
    );
    assert!(ready <= READY && first <= FIRST_DUE, "ready {ready:?}, first {first:?}");
    assert!(rss_mb < 200, "{rss_mb} MB");
    assert_eq!(receiver.arrivals().len(), 1, "nothing goes out before its time");
    assert_eq!(router.terminate().await, Some(0));
}
