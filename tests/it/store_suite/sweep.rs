//! Upkeep: what is old goes, what waits stays.

use std::collections::HashMap;

use kassir::domain::ids::{DeliveryId, EndpointId};
use kassir::domain::people::{Replay, ReplayStatus};
use kassir::domain::{Delivery, Event, Notification, NotificationOutcome, Payment, Task};
use kassir::store::{Commit, Conflict, Cutoffs, Idempotency, Settle, SettleEnd, Tally};
use kassir_providers::State;

use super::samples::{Shop, ask, attempt, delivery_of, id, new, replay, shop};
use super::{Bench, START, conflict, held};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Everything that is older than now.
fn all(at: i64) -> Cutoffs {
    let cut = Some(at);
    Cutoffs {
        refused: cut,
        notifications: cut,
        events: cut,
        payments: cut,
        replays: cut,
        tallies: cut,
        idempotency: cut,
    }
}

async fn sweep_all(shop: &Shop, cutoffs: &Cutoffs) -> u64 {
    let mut gone = 0;
    loop {
        match shop.store.sweep(cutoffs, 1000).await.unwrap() {
            0 => return gone,
            some => gone += some,
        }
    }
}

/// Payments, events, deliveries, notifications.
async fn left(shop: &Shop) -> [usize; 4] {
    let (store, merchant, page) = (&shop.store, shop.merchant, Default::default());
    [
        store.payments(merchant, &Default::default(), &page).await.unwrap().rows.len(),
        store.events(merchant, &Default::default(), &page).await.unwrap().rows.len(),
        store.deliveries(merchant, &Default::default(), &page).await.unwrap().rows.len(),
        store.notifications(merchant, &Default::default(), &page).await.unwrap().rows.len(),
    ]
}

async fn deliver_all(shop: &Shop) {
    for claimed in shop.claim().await.work {
        let delivery = Delivery { next_attempt_at: None, ..delivery_of(&claimed).clone() };
        let end = SettleEnd::Delivery { delivery: Box::new(delivery), attempt: Some(attempt(1)) };
        let settle =
            Settle { fence: claimed.fence, merchant: shop.merchant, end, hold: None, tallies: Vec::new() };
        shop.store.settle(settle).await.unwrap();
    }
}

pub async fn what_waits_stays(bench: Bench) {
    let shop = shop(&bench).await;
    let waiting = shop.whole("a");
    let delivery = waiting.deliveries[0].id;
    shop.write(waiting).await;
    // An unproven notification whose confirmation is still to come.
    let unproven =
        Notification { outcome: NotificationOutcome::Unproven, payment: None, ..shop.notification() };
    let (notification, facts, proven) = (unproven.id, Vec::new(), None);
    let confirm = shop.job(Task::Confirm { notification, facts, proven, payload: "{}".to_owned() });
    let (notification, jobs) = (Some(unproven), vec![(confirm, 1000)]);
    shop.write(Commit { notification, jobs, ..shop.commit() }).await;
    bench.clock.advance(DAY);
    sweep_all(&shop, &all(START + DAY)).await;
    assert_eq!(left(&shop).await, [1, 1, 1, 1], "the accepted notification went, the unproven one stays");

    // Also while it is under way, and when it waits for its next attempt.
    let claimed = shop.claim().await.work;
    assert_eq!(claimed.len(), 2);
    sweep_all(&shop, &all(START + DAY)).await;
    assert_eq!(left(&shop).await, [1, 1, 1, 1]);
    for claimed in claimed {
        let end = match &claimed.material {
            kassir::store::Material::Delivery { delivery, .. } => {
                let next_attempt_at = Some(START + 2 * DAY);
                let delivery = Box::new(Delivery { next_attempt_at, ..(**delivery).clone() });
                SettleEnd::Delivery { delivery, attempt: Some(attempt(1)) }
            }
            kassir::store::Material::Job(job) => SettleEnd::Job { job: job.clone(), again_in: None },
        };
        let settle =
            Settle { fence: claimed.fence, merchant: shop.merchant, end, hold: None, tallies: Vec::new() };
        shop.store.settle(settle).await.unwrap();
    }
    sweep_all(&shop, &all(START + DAY)).await;
    assert_eq!(left(&shop).await, [1, 1, 1, 0]);
    assert_eq!(shop.store.attempts(shop.merchant, delivery).await.unwrap().len(), 1);
    bench.clock.advance(DAY);
    deliver_all(&shop).await;
    sweep_all(&shop, &all(START + DAY)).await;
    assert_eq!(left(&shop).await, [0; 4]);
    assert!(shop.store.attempts(shop.merchant, delivery).await.unwrap().is_empty());
}

pub async fn events_go_with_their_deliveries(bench: Bench) {
    let shop = shop(&bench).await;
    let (old, new) =
        (Event { payment: 1, ..shop.event() }, Event { payment: 2, created_at: START + 10, ..shop.event() });
    let deliveries = vec![shop.delivery(&old), shop.delivery_to(EndpointId(id()), &old), shop.delivery(&new)];
    let ids: Vec<DeliveryId> = deliveries.iter().map(|delivery| delivery.id).collect();
    shop.write(Commit { events: vec![old.clone(), new.clone()], deliveries, ..shop.commit() }).await;
    deliver_all(&shop).await;
    let cutoffs = Cutoffs { events: Some(START + 10), ..Cutoffs::default() };
    assert!(sweep_all(&shop, &cutoffs).await > 0);
    assert_eq!(left(&shop).await, [0, 1, 1, 0]);
    assert!(shop.store.event(shop.merchant, new.id).await.unwrap().is_some());
    assert!(shop.store.delivery(shop.merchant, ids[2]).await.unwrap().is_some());
    for (id, attempts) in ids.into_iter().zip([0, 0, 1]) {
        assert_eq!(shop.store.attempts(shop.merchant, id).await.unwrap().len(), attempts);
    }
    assert_eq!(shop.store.sweep(&cutoffs, 10).await.unwrap(), 0);
}

pub async fn notifications_go_by_their_kind(bench: Bench) {
    let shop = shop(&bench).await;
    for outcome in NotificationOutcome::ALL {
        for received_at in [START, START + 10] {
            let notification =
                Some(Notification { outcome, received_at, payment: None, ..shop.notification() });
            shop.write(Commit { notification, ..shop.commit() }).await;
        }
    }
    let outcomes = async || {
        let rows = shop.store.notifications(shop.merchant, &Default::default(), &Default::default()).await;
        let rows = rows.unwrap().rows;
        let refused = [NotificationOutcome::Rejected, NotificationOutcome::Duplicate];
        let old = rows.iter().filter(|row| row.received_at == START);
        let (short, long): (Vec<_>, Vec<_>) = old.partition(|row| refused.contains(&row.outcome));
        (short.len(), long.len(), rows.len())
    };
    assert_eq!(outcomes().await, (2, 4, 12));
    let refused = Cutoffs { refused: Some(START + 1), ..Cutoffs::default() };
    assert_eq!(sweep_all(&shop, &refused).await, 2);
    assert_eq!(outcomes().await, (0, 4, 10));
    let notifications = Cutoffs { notifications: Some(START + 1), ..Cutoffs::default() };
    assert_eq!(sweep_all(&shop, &notifications).await, 4);
    assert_eq!(outcomes().await, (0, 0, 6));
}

pub async fn payments_go_when_bare(bench: Bench) {
    let shop = shop(&bench).await;
    for state in [State::Pending, State::WaitingForCapture, State::Succeeded, State::Canceled] {
        for at in [START, START + 10] {
            let payment = Payment { state, created_at: at, updated_at: at, ..shop.payment() };
            let link = format!("{state:?}-{at}");
            shop.write(Commit { payment: Some(new(payment, &[&link])), ..shop.commit() }).await;
        }
    }
    let event = Event { payment: 5, ..shop.event() };
    shop.write(Commit { events: vec![event], ..shop.commit() }).await;
    // Two jobs are about number 1, and one about a payment that was made with it.
    let jobs = [1, 2].map(|in_s| (shop.job(Task::Poll { payment: 1 }), in_s * 1000));
    shop.write(Commit { jobs: jobs.to_vec(), ..shop.commit() }).await;
    let asked = Payment { created_at: START, updated_at: START, ..shop.payment() };
    let jobs = vec![(shop.job(Task::Poll { payment: 0 }), 9_000)];
    shop.write(Commit { payment: Some(new(asked, &[])), jobs, ..shop.commit() }).await;
    let cutoffs = Cutoffs { payments: Some(START + 1), ..Cutoffs::default() };
    assert_eq!(sweep_all(&shop, &cutoffs).await, 2, "number 5 has an event, numbers 1 and 9 have jobs");
    assert_eq!(left(&shop).await, [7, 1, 0, 0]);
    for number in [3, 7] {
        assert!(shop.store.payment(shop.merchant, number).await.unwrap().is_none(), "{number}");
    }
    sweep_all(&shop, &Cutoffs { events: Some(START + 1), ..cutoffs.clone() }).await;
    assert_eq!(left(&shop).await, [6, 0, 0, 0]);
    for left_over in [6, 5] {
        bench.clock.advance(1_000);
        let fence = shop.claim().await.work.remove(0).fence;
        assert_eq!(sweep_all(&shop, &cutoffs).await, 0, "a job is under way, or waits");
        shop.write(Commit { finish: Some(fence), ..shop.commit() }).await;
        assert_eq!(sweep_all(&shop, &cutoffs).await, 6 - left_over);
    }
    assert!(shop.store.payment(shop.merchant, 1).await.unwrap().is_none());
    assert!(shop.store.payment(shop.merchant, 9).await.unwrap().is_some());
    // What found it finds it no more, and may find another.
    let link = format!("{:?}-{START}", State::Canceled);
    let again = shop.write(Commit { payment: Some(new(shop.payment(), &[&link])), ..shop.commit() }).await;
    assert!(again.payment.unwrap().0 > 9, "its number is not given again");
}

/// More than any store reads at once.
const MANY: usize = 250;

pub async fn replays_that_are_over_go(bench: Bench) {
    let shop = shop(&bench).await;
    let store = &shop.store;
    let put = async |status, updated_at| {
        let replay = Replay { status, updated_at, ..replay(shop.merchant) };
        store.put_replay(&replay).await.unwrap();
        replay.id
    };
    let old = START;
    for status in [ReplayStatus::Done, ReplayStatus::Canceled, ReplayStatus::Preview] {
        put(status, old).await;
    }
    let kept = [put(ReplayStatus::Done, START + 2 * DAY).await, put(ReplayStatus::Running, old).await];
    // However many that stay stand before those that go.
    for _ in 0..MANY {
        put(ReplayStatus::Running, old).await;
    }
    let cutoffs = Cutoffs { replays: Some(START + DAY), ..Cutoffs::default() };
    assert_eq!(store.sweep(&cutoffs, 2).await.unwrap(), 2);
    assert_eq!(sweep_all(&shop, &cutoffs).await, 1);
    for id in kept {
        assert!(store.replay(shop.merchant, id).await.unwrap().is_some());
    }
}

pub async fn counters_and_keys_go(bench: Bench) {
    let shop = shop(&bench).await;
    let hour = 3_600_000;
    for _ in 0..3 {
        let tallies = vec![Tally { key: "a".to_owned(), by: 1 }];
        shop.write(Commit { tallies, ..shop.commit() }).await;
        bench.clock.advance(hour);
    }
    let store = &shop.store;
    let mut holds = Vec::new();
    for key in ["done", "running", "left"] {
        let ms = if key == "left" { 1 } else { 1_000_000 };
        holds.push(held(store.idempotency_begin("s", key, "f", ms).await));
    }
    store.idempotency_finish("s", "done", holds[0], Some((200, "{}".to_owned()))).await.unwrap();
    bench.clock.advance(1000);
    let now = START + 3 * hour + 1000;
    let cutoffs = Cutoffs { tallies: Some(START + hour), idempotency: Some(now), ..Cutoffs::default() };
    assert_eq!(sweep_all(&shop, &cutoffs).await, 3);
    let tallies = store.tallies(shop.merchant, 0, i64::MAX).await.unwrap();
    assert_eq!(tallies.iter().map(|(hour, ..)| *hour).collect::<Vec<_>>(), [START + hour, START + 2 * hour]);
    let begin = async |key| store.idempotency_begin("s", key, "f", 1000).await.unwrap();
    assert_eq!(begin("running").await, Idempotency::Running, "it is still held");
    assert!(matches!(begin("done").await, Idempotency::Fresh(_)));
    // What was swept away is no longer the hold of who took it.
    assert_eq!(conflict(store.idempotency_note("s", "left", holds[2], "1").await), Conflict::Hold);
}

pub async fn a_sweep_is_bounded(bench: Bench) {
    let shop = shop(&bench).await;
    for index in 0..12 {
        shop.write(shop.whole(&format!("p-{index}"))).await;
    }
    deliver_all(&shop).await;
    bench.clock.advance(10);
    let cutoffs = all(START + 10);
    let mut calls = 0;
    loop {
        let gone = shop.store.sweep(&cutoffs, 5).await.unwrap();
        assert!(gone <= 5);
        if gone == 0 {
            break;
        }
        calls += 1;
    }
    assert!(calls >= 8, "48 records in {calls} calls");
    assert_eq!(left(&shop).await, [0; 4]);
    shop.write(shop.whole("after")).await;
    assert_eq!(shop.store.sweep(&Cutoffs::default(), 100).await.unwrap(), 0, "no cutoff, nothing goes");
    assert_eq!(left(&shop).await, [1; 4]);
}

/// Everything is old from the start: only that it waits or is under way keeps it.
pub async fn nothing_under_way_goes_in_a_sweep(bench: Bench) {
    const COUNT: usize = 60;
    let shop = shop(&bench).await;
    bench.clock.advance(10);
    let over = std::cell::Cell::new(false);
    let delivering = async {
        let mut tries: HashMap<DeliveryId, u32> = HashMap::new();
        let (mut written, mut done) = (0, 0);
        while done < COUNT {
            if written < COUNT {
                shop.write(shop.whole(&format!("p-{written}"))).await;
                written += 1;
            }
            for claimed in shop.store.claim(&ask(4)).await.unwrap().work {
                let (fence, delivery) = (claimed.fence, delivery_of(&claimed).clone());
                let tried = tries.entry(delivery.id).or_default();
                *tried += 1;
                assert_eq!(shop.load(delivery.id).await.attempts, *tried - 1);
                let kept = shop.store.attempts(shop.merchant, delivery.id).await.unwrap().len();
                assert_eq!(kept, usize::try_from(*tried).unwrap() - 1, "its attempts stay");
                // Each is tried three times.
                let last = *tried == 3;
                done += usize::from(last);
                let number = *tried;
                let next_attempt_at = (!last).then_some(START);
                let delivery = Box::new(Delivery { attempts: number, next_attempt_at, ..delivery });
                let end = SettleEnd::Delivery { delivery, attempt: Some(attempt(number)) };
                let merchant = shop.merchant;
                let settle = Settle { fence, merchant, end, hold: None, tallies: Vec::new() };
                shop.store.settle(settle).await.expect("it is still there");
            }
        }
        over.set(true);
    };
    let sweeping = async {
        while !over.get() {
            shop.store.sweep(&all(START + 10), 3).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(delivering, sweeping);
    sweep_all(&shop, &all(START + 10)).await;
    assert_eq!(left(&shop).await, [0; 4]);
}
