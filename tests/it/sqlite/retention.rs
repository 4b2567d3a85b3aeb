//! A great many old records go while others are delivered: from the file, and from Redis.

use std::sync::Arc;
use std::time::Duration;

use kassir::clock::{ManualClock, Stopwatch};
use kassir::domain::ids::{DeliveryId, EventId};
use kassir::domain::{Delivery, DeliveryStatus, Event};
use kassir::store::sqlite::SqliteStore;
use kassir::store::{Commit, Cutoffs, Settle, SettleEnd};

use super::File;
use crate::faults::{UNCOUNTED, print};
use crate::redis_server::{DURABLE, Server};
use crate::size::size;
use crate::store_suite::samples::{Shop, ask, attempt, delivery_of, shop};
use crate::store_suite::{Bench, START};

const DAY: i64 = 24 * 60 * 60 * 1000;
/// Records of one batch, as the router removes them.
const BATCH: usize = 500;
/// Nothing waits so much longer for a batch than alone; judged in the long form only, on a machine of its own.
const LONGEST: Duration = Duration::from_secs(1);

/// One event from its commit to its delivery's result: all that a delivery waits for in the store.
async fn deliver(own: &Shop) -> (EventId, DeliveryId, Duration) {
    let event = Event { created_at: START + DAY, ..own.event() };
    let delivery = own.delivery(&event);
    let ids = (event.id, delivery.id);
    let step = Stopwatch::start();
    let (events, deliveries) = (vec![event], vec![delivery]);
    own.write(Commit { events, deliveries, ..own.commit() }).await;
    for claimed in own.store.claim(&ask(10)).await.unwrap().work {
        let delivery = Delivery { next_attempt_at: None, ..delivery_of(&claimed).clone() };
        let end = SettleEnd::Delivery { delivery: Box::new(delivery), attempt: Some(attempt(1)) };
        let (fence, merchant) = (claimed.fence, own.merchant);
        own.store.settle(Settle { fence, merchant, end, hold: None, tallies: Vec::new() }).await.unwrap();
    }
    (ids.0, ids.1, step.elapsed())
}

/// The longest but one in a hundred, and the longest.
fn p99(mut took: Vec<Duration>) -> (Duration, Duration) {
    took.sort_unstable();
    (took[took.len() * 99 / 100], took[took.len() - 1])
}

async fn fill(own: &Shop, old: usize) {
    for from in (0..old).step_by(BATCH) {
        let mut commit = own.commit();
        for index in from..(from + BATCH).min(old) {
            let event = Event { payment: u32::try_from(index / 4 + 1).unwrap(), ..own.event() };
            let delivery = own.delivery(&event);
            let (status, next_attempt_at) = (DeliveryStatus::Delivered, None);
            commit.deliveries.push(Delivery { status, next_attempt_at, ..delivery });
            commit.events.push(event);
        }
        own.write(commit).await;
    }
}

/// Delivers beside nothing, and then, while so many old events go. `used`: bytes that the store has in use.
async fn beside_deliveries(name: &str, bench: Bench, old: usize, used: impl Fn() -> u64) {
    let own = shop(&bench).await;
    fill(&own, old).await;
    bench.clock.advance(DAY);
    let cutoffs = Cutoffs { events: Some(START + DAY), ..Cutoffs::default() };
    let (mut kept, mut alone, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size(50, 3_000) {
        let (event, delivery, took) = deliver(&own).await;
        kept.push((event, delivery));
        alone.push(took);
    }

    let (store, before, watch) = (Arc::clone(&own.store), used(), Stopwatch::start());
    let sweep = tokio::spawn(async move {
        let (mut gone, mut batches) = (0, 0_u32);
        loop {
            match store.sweep(&cutoffs, BATCH).await.unwrap() {
                0 => return (gone, batches),
                some => gone += some,
            }
            batches += 1;
        }
    });
    // Enough of them to say how long one in a hundred takes; what they leave is not to outweigh what goes.
    while beside.is_empty() || (!sweep.is_finished() && beside.len() < size(50, 2_000)) {
        let (event, delivery, took) = deliver(&own).await;
        kept.push((event, delivery));
        beside.push(took);
    }
    let (gone, batches) = sweep.await.unwrap();
    let swept_ms = watch.elapsed_ms();
    let after = used();
    assert_eq!(gone, u64::try_from(2 * old).unwrap(), "events and their deliveries");
    assert!(usize::try_from(batches).unwrap() >= 2 * old / BATCH);
    for (event, delivery) in &kept {
        assert!(own.store.event(own.merchant, *event).await.unwrap().is_some());
        assert_eq!(own.load(*delivery).await.next_attempt_at, None, "it was delivered");
        assert_eq!(own.store.attempts(own.merchant, *delivery).await.unwrap().len(), 1);
    }
    let count = beside.len();
    let ((alone, slowest_alone), (beside, slowest)) = (p99(alone), p99(beside));
    let ms = |took: Duration| format!("{:.1}", took.as_secs_f64() * 1_000.0);
    print(
        name,
        [&kept.len(), &kept.len(), &UNCOUNTED, &0],
        &[
            ("removed", &gone),
            ("in_ms", &swept_ms),
            ("beside", &count),
            ("p99_alone_ms", &ms(alone)),
            ("p99_beside_ms", &ms(beside)),
            ("slowest_ms", &ms(slowest)),
            ("used_before_kib", &(before / 1024)),
            ("used_after_kib", &(after / 1024)),
        ],
    );
    // What a few events take is less than what the store itself needs now and then.
    assert!(
        size(0, 1) == 0 || after < before,
        "the room is not given back: {before} bytes in use, then {after}"
    );
    assert!(size(0, 1) == 0 || slowest < LONGEST + slowest_alone, "{slowest:?}");
    bench.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_records_go_in_batches_beside_deliveries() {
    let file = File::new();
    let (raw, clock) = (file.path(), Arc::new(ManualClock::at(START)));
    let store = SqliteStore::open(&raw, Arc::clone(&clock) as _).unwrap();
    let used = || {
        let conn = rusqlite::Connection::open(&raw).unwrap();
        let pragma =
            |name: &str| -> i64 { conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap() };
        u64::try_from(pragma("page_size") * (pragma("page_count") - pragma("freelist_count"))).unwrap()
    };
    let bench = file.bench(store, clock);
    beside_deliveries("S6-sqlite", bench, size(2_000, 200_000), used).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_records_go_from_redis_beside_deliveries() {
    let server = Arc::new(Server::start(DURABLE));
    let bench = crate::redis_store::alone(Arc::clone(&server)).await;
    let used = || {
        let info = server.info("memory");
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        line.trim().parse().unwrap()
    };
    // Each event is a step of its own there, with an fsync.
    beside_deliveries("S6-redis", bench, size(300, 10_000), used).await;
}
