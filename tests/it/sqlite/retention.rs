//! A great many old records go while others are delivered.

use kassir::clock::Stopwatch;
use kassir::domain::{Delivery, DeliveryStatus, Event};
use kassir::store::{Commit, Cutoffs, Settle, SettleEnd};

use crate::size::size;
use crate::store_suite::START;
use crate::store_suite::samples::{ask, attempt, delivery_of, shop};

const DAY: i64 = 24 * 60 * 60 * 1000;
/// Records of one batch, as the router removes them.
const BATCH: usize = 500;
/// Nothing waits longer for a batch, milliseconds; judged in the long form only, on a machine of its own.
const LONGEST_MS: u32 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn old_records_go_in_batches_beside_deliveries() {
    let bench = super::fresh().await;
    let own = shop(&bench).await;
    let old = size(2_000, 200_000);
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
    bench.clock.advance(DAY);
    let fresh = || Event { created_at: START + DAY, ..own.event() };
    let cutoffs = Cutoffs { events: Some(START + DAY), ..Cutoffs::default() };

    let store = std::sync::Arc::clone(&own.store);
    let watch = Stopwatch::start();
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
    let (mut kept, mut slowest_ms) = (Vec::new(), 0);
    while !sweep.is_finished() {
        let event = fresh();
        let delivery = own.delivery(&event);
        kept.push((event.id, delivery.id));
        let step = Stopwatch::start();
        let (events, deliveries) = (vec![event], vec![delivery]);
        own.write(Commit { events, deliveries, ..own.commit() }).await;
        for claimed in own.store.claim(&ask(10)).await.unwrap().work {
            let delivery = Delivery { next_attempt_at: None, ..delivery_of(&claimed).clone() };
            let end = SettleEnd::Delivery { delivery: Box::new(delivery), attempt: Some(attempt(1)) };
            let (fence, merchant) = (claimed.fence, own.merchant);
            own.store.settle(Settle { fence, merchant, end, hold: None, tallies: Vec::new() }).await.unwrap();
        }
        slowest_ms = slowest_ms.max(step.elapsed_ms());
    }
    let (gone, batches) = sweep.await.unwrap();
    println!(
        "retention: {gone} records in {batches} batches, {} ms; {} deliveries beside, the slowest {slowest_ms} ms",
        watch.elapsed_ms(),
        kept.len()
    );
    assert_eq!(gone, u64::try_from(2 * old).unwrap(), "events and their deliveries");
    assert!(usize::try_from(batches).unwrap() >= 2 * old / BATCH);
    assert!(!kept.is_empty());
    for (event, delivery) in kept {
        assert!(own.store.event(own.merchant, event).await.unwrap().is_some());
        assert_eq!(own.load(delivery).await.next_attempt_at, None, "it was delivered");
        assert_eq!(own.store.attempts(own.merchant, delivery).await.unwrap().len(), 1);
    }
    assert!(size(0, 1) == 0 || slowest_ms < LONGEST_MS, "{slowest_ms} ms");
}
