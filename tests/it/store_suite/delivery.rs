//! Deliveries: what attempts and people make of them.

use kassir::domain::delivery::ReplayMark;
use kassir::domain::ids::{EndpointId, MerchantId};
use kassir::domain::{Attempt, Delivery, DeliveryStatus, Event, Health, Lane};
use kassir::limits::ATTEMPTS_KEPT;
use kassir::store::{
    Backlog, Claimed, Commit, ConfigChange, Conflict, Failing, HealthChange, Settle, SettleEnd, StoreError,
    Tally,
};

use super::samples::{LEASE_MS, Shop, attempt, delivery_of, id, shop};
use super::{Bench, START, conflict};

pub async fn settle(
    shop: &Shop,
    claimed: &Claimed,
    delivery: &Delivery,
    attempt: Option<Attempt>,
) -> Result<(), StoreError> {
    let end = SettleEnd::Delivery { delivery: Box::new(delivery.clone()), attempt };
    shop.store
        .settle(Settle {
            fence: claimed.fence,
            merchant: shop.merchant,
            end,
            hold: None,
            tallies: Vec::new(),
        })
        .await
}

pub async fn claim_one(shop: &Shop) -> Claimed {
    let mut work = shop.claim().await.work;
    assert_eq!(work.len(), 1);
    work.remove(0)
}

pub fn over(delivery: &Delivery) -> Delivery {
    Delivery { status: DeliveryStatus::Delivered, next_attempt_at: None, ..delivery.clone() }
}

pub async fn an_attempt_is_kept_and_the_next_is_queued(bench: Bench) {
    let shop = shop(&bench).await;
    let id = shop.queue().await;
    let mut attempts = Vec::new();
    for number in 1..=3 {
        let claimed = claim_one(&shop).await;
        let loaded = delivery_of(&claimed).clone();
        assert_eq!(loaded, shop.load(id).await);
        let next = bench.store.now().await.unwrap() + 5000;
        let changed = Delivery {
            attempts: number,
            next_attempt_at: Some(next),
            last_status: Some(500),
            updated_at: next,
            ..loaded.clone()
        };
        attempts.push(Attempt { number, ..attempt(number) });
        settle(&shop, &claimed, &changed, attempts.last().cloned()).await.unwrap();
        let stored = shop.load(id).await;
        assert!(stored.version > loaded.version);
        assert_eq!(stored, Delivery { version: stored.version, ..changed });
        let early = shop.claim().await;
        assert_eq!((early.work.len(), early.next_due), (0, Some(next)));
        bench.clock.advance(5000);
    }
    assert_eq!(shop.store.attempts(shop.merchant, id).await.unwrap(), attempts);
    assert_eq!(claim_one(&shop).await.due, START + 15_000);
}

pub async fn a_delivered_one_leaves_the_queue(bench: Bench) {
    let shop = shop(&bench).await;
    let id = shop.queue().await;
    let claimed = claim_one(&shop).await;
    settle(&shop, &claimed, &over(delivery_of(&claimed)), Some(attempt(1))).await.unwrap();
    assert_eq!(shop.load(id).await.status, DeliveryStatus::Delivered);
    assert_eq!(shop.store.backlog().await.unwrap(), Backlog::default());
    bench.clock.advance(1_000_000);
    assert!(shop.claim().await.work.is_empty());
}

pub async fn only_the_newest_attempts_are_kept(bench: Bench) {
    let shop = shop(&bench).await;
    let id = shop.queue().await;
    let last = u32::try_from(ATTEMPTS_KEPT).unwrap() + 3;
    for number in 1..=last {
        let claimed = claim_one(&shop).await;
        // The next attempt may be due at once: a settle takes the due time as it is.
        settle(&shop, &claimed, delivery_of(&claimed), Some(attempt(number))).await.unwrap();
    }
    let kept = shop.store.attempts(shop.merchant, id).await.unwrap();
    let numbers: Vec<u32> = kept.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, (4..=last).collect::<Vec<_>>());
    let other = shop.queue().await;
    assert!(shop.store.attempts(shop.merchant, other).await.unwrap().is_empty());
}

pub async fn a_replay_queues_what_was_over(bench: Bench) {
    let shop = shop(&bench).await;
    let id = shop.queue().await;
    let claimed = claim_one(&shop).await;
    settle(&shop, &claimed, &over(delivery_of(&claimed)), Some(attempt(1))).await.unwrap();
    let mark = ReplayMark { actor: "tok_1".to_owned(), reason: Some("lost".to_owned()), replay: None };
    let again = Delivery {
        status: DeliveryStatus::Pending,
        next_attempt_at: Some(START + 100),
        replay: Some(mark),
        ..shop.load(id).await
    };
    shop.store.update_delivery(again.clone()).await.unwrap();
    assert_eq!(shop.claim().await.next_due, Some(START + 100));
    bench.clock.advance(100);
    let claimed = claim_one(&shop).await;
    let given = delivery_of(&claimed);
    assert_eq!((claimed.due, given), (START + 100, &Delivery { version: given.version, ..again }));
    settle(&shop, &claimed, &over(given), Some(attempt(2))).await.unwrap();
    assert_eq!(shop.store.attempts(shop.merchant, id).await.unwrap().len(), 2);
}

pub async fn a_cancel_takes_it_out_of_the_queue(bench: Bench) {
    let shop = shop(&bench).await;
    let (canceled, other) = (shop.queue().await, shop.queue().await);
    let status = DeliveryStatus::Canceled;
    let loaded = shop.load(canceled).await;
    shop.store.update_delivery(Delivery { status, next_attempt_at: None, ..loaded }).await.unwrap();
    assert_eq!(shop.store.backlog().await.unwrap().waiting, 1);
    assert_eq!(delivery_of(&claim_one(&shop).await).id, other);
    // Moving one that waits moves its lane's due time.
    let moved = shop.queue().await;
    let next_attempt_at = Some(START + 70);
    let loaded = shop.load(moved).await;
    shop.store.update_delivery(Delivery { next_attempt_at, ..loaded }).await.unwrap();
    let claims = shop.claim().await;
    assert_eq!((claims.work.len(), claims.next_due), (0, next_attempt_at));
}

pub async fn a_change_in_flight_meets_the_settle(bench: Bench) {
    let shop = shop(&bench).await;
    let id = shop.queue().await;
    let claimed = claim_one(&shop).await;
    let taken = delivery_of(&claimed).clone();
    let replayed = Delivery { resume_at: Some(START + 9), next_attempt_at: Some(START), ..taken.clone() };
    shop.store.update_delivery(replayed).await.unwrap();
    assert!(shop.claim().await.work.is_empty(), "the attempt under way keeps its lease");
    let first = settle(&shop, &claimed, &over(&taken), Some(attempt(1))).await;
    assert_eq!(conflict(first), Conflict::Delivery);
    assert!(shop.store.attempts(shop.merchant, id).await.unwrap().is_empty());

    let loaded = shop.load(id).await;
    assert_eq!(loaded.resume_at, Some(START + 9));
    let next_attempt_at = Some(START + 50);
    let settled = Delivery { resume_at: None, next_attempt_at, ..loaded };
    settle(&shop, &claimed, &settled, Some(attempt(1))).await.unwrap();
    assert_eq!(shop.store.attempts(shop.merchant, id).await.unwrap().len(), 1);
    assert_eq!(shop.claim().await.next_due, next_attempt_at);
}

pub async fn a_cancel_in_flight_holds_when_the_lease_runs_out(bench: Bench) {
    let shop = shop(&bench).await;
    let (first, second) = (shop.queue().await, shop.queue().await);
    let claims = shop.claim().await;
    let status = DeliveryStatus::Canceled;
    for id in [first, second] {
        let loaded = shop.load(id).await;
        shop.store.update_delivery(Delivery { status, next_attempt_at: None, ..loaded }).await.unwrap();
    }
    let met = settle(&shop, &claims.work[0], &over(delivery_of(&claims.work[0])), None).await;
    assert_eq!(conflict(met), Conflict::Delivery);
    // One lease is given back, the other runs out: neither brings a canceled delivery back.
    shop.store.release(&[(shop.merchant, claims.work[0].fence)]).await.unwrap();
    bench.clock.advance(i64::try_from(LEASE_MS).unwrap());
    let claims = shop.claim().await;
    assert_eq!((claims.work.len(), claims.next_due), (0, None));
    assert_eq!(shop.store.backlog().await.unwrap(), Backlog::default());
}

pub async fn a_stale_change_is_refused(bench: Bench) {
    let shop = shop(&bench).await;
    let id = shop.queue().await;
    let loaded = shop.load(id).await;
    shop.store.update_delivery(loaded.clone()).await.unwrap();
    let stored = shop.load(id).await;
    for wrong in [loaded.version, stored.version + 1] {
        let stale = Delivery { version: wrong, next_attempt_at: None, ..loaded.clone() };
        assert_eq!(conflict(shop.store.update_delivery(stale).await), Conflict::Delivery);
    }
    assert_eq!(shop.load(id).await, stored);
    assert_eq!(shop.claim().await.work.len(), 1);
    let nobody = Delivery { id: kassir::domain::ids::DeliveryId(self::id()), ..stored };
    let missing = shop.store.update_delivery(nobody).await;
    assert!(matches!(missing, Err(StoreError::NotFound(_))), "{missing:?}");
}

pub async fn a_held_one_is_not_queued(bench: Bench) {
    let shop = shop(&bench).await;
    let event = shop.event();
    let (status, next_attempt_at) = (DeliveryStatus::Held, None);
    let held = Delivery { status, next_attempt_at, payment: 1, ..shop.delivery(&event) };
    let lease = Some(("router-1".to_owned(), LEASE_MS));
    let commit = Commit { events: vec![event], deliveries: vec![held.clone()], lease, ..shop.commit() };
    assert!(shop.write(commit).await.leased.is_empty());
    assert!(shop.claim().await.work.is_empty());
    let loaded = shop.load(held.id).await;
    assert_eq!(loaded, Delivery { version: loaded.version, ..held });
}

pub async fn a_later_delivery_of_an_old_event(bench: Bench) {
    let shop = shop(&bench).await;
    let event = Event { payment: 4, ..shop.event() };
    shop.write(Commit { events: vec![event.clone()], ..shop.commit() }).await;
    let elsewhere = EndpointId(id());
    let deliveries = vec![shop.delivery_to(elsewhere, &event)];
    let given_id = deliveries[0].id;
    let lease = Some(("router-1".to_owned(), LEASE_MS));
    let leased = shop.write(Commit { deliveries, lease, ..shop.commit() }).await.leased;
    assert_eq!((leased.len(), leased[0].lane), (1, Lane::Endpoint(elsewhere)));
    match &leased[0].material {
        kassir::store::Material::Delivery { event: given, .. } => assert_eq!(**given, event),
        other @ kassir::store::Material::Job(_) => panic!("{other:?}"),
    }
    let same = vec![Delivery { id: given_id, ..shop.delivery_to(EndpointId(id()), &event) }];
    let taken = shop.store.commit(Commit { deliveries: same, ..shop.commit() }).await;
    assert_eq!(conflict(taken), Conflict::Exists);
    assert_eq!(shop.load(given_id).await.endpoint, elsewhere);
    let nothing = vec![shop.delivery_to(elsewhere, &shop.event())];
    let refused = shop.store.commit(Commit { deliveries: nothing, ..shop.commit() }).await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
}

pub async fn settling_counts(bench: Bench) {
    let shop = shop(&bench).await;
    shop.queue().await;
    let claimed = claim_one(&shop).await;
    let tallies = vec![Tally { key: "delivery.delivered".to_owned(), by: 1 }];
    let settle = |delivery| Settle {
        fence: claimed.fence,
        merchant: shop.merchant,
        end: SettleEnd::Delivery { delivery: Box::new(delivery), attempt: None },
        hold: None,
        tallies: tallies.clone(),
    };
    let loaded = delivery_of(&claimed);
    let stale = Delivery { version: loaded.version + 1, ..loaded.clone() };
    assert_eq!(conflict(shop.store.settle(settle(stale)).await), Conflict::Delivery);
    assert!(shop.store.tallies(shop.merchant, 0, i64::MAX).await.unwrap().is_empty());
    shop.store.settle(settle(over(loaded))).await.unwrap();
    let counted = shop.store.tallies(shop.merchant, START, START + 1).await.unwrap();
    assert_eq!(counted, [(START, "delivery.delivered".to_owned(), 1)]);
}

fn failed_at(number: u32, at: i64, status: Option<u16>) -> Attempt {
    Attempt { number, at, status, error: Some(format!("bad|{number}")), ..attempt(number) }
}

/// Attempts of one delivery, one after the other.
async fn attempts(bench: &Bench, shop: &Shop, made: &[Attempt]) {
    let endpoint = shop.endpoint;
    let id = shop.queue_to(endpoint).await;
    for attempt in made {
        let claimed = claim_one(shop).await;
        let next = Some(bench.store.now().await.unwrap());
        let changed = Delivery { next_attempt_at: next, ..shop.load(id).await };
        settle(shop, &claimed, &changed, Some(attempt.clone())).await.unwrap();
    }
    let claimed = claim_one(shop).await;
    settle(shop, &claimed, &over(&shop.load(id).await), None).await.unwrap();
}

pub async fn failures_are_noted_until_a_success(mut bench: Bench) {
    let mut shop = shop(&bench).await;
    let fine = |number| Attempt { status: Some(200), error: None, ..attempt(number) };
    attempts(&bench, &shop, &[fine(1)]).await;
    assert_eq!(shop.store.failing(None).await.unwrap(), []);
    attempts(&bench, &shop, &[failed_at(1, 5_000, None), failed_at(2, 9_000, Some(503))]).await;
    // One that began before, and ended late.
    attempts(&bench, &shop, &[failed_at(1, 7_000, Some(500))]).await;
    bench.restart().await;
    shop.store = std::sync::Arc::clone(&bench.store);
    let health = Health {
        failing_since: 5_000,
        last_failure_at: 9_000,
        last_status: Some(500),
        last_error: "bad|1".to_owned(),
        told: 0,
    };
    let failing = |health: &Health| {
        vec![Failing { merchant: shop.merchant, endpoint: shop.endpoint, health: health.clone() }]
    };
    assert_eq!(shop.store.failing(None).await.unwrap(), failing(&health));
    assert_eq!(shop.store.failing(Some(shop.merchant)).await.unwrap(), failing(&health));
    assert_eq!(shop.store.failing(Some(MerchantId(id()))).await.unwrap(), []);

    let change = |change| shop.store.change_health(shop.merchant, shop.endpoint, change);
    change(HealthChange::Told { since: 4_999, stage: 1 }).await.unwrap();
    assert_eq!(shop.store.failing(None).await.unwrap(), failing(&health), "that was another time");
    change(HealthChange::Told { since: 5_000, stage: 2 }).await.unwrap();
    change(HealthChange::Told { since: 5_000, stage: 1 }).await.unwrap();
    let told = Health { told: 2, ..health };
    assert_eq!(shop.store.failing(None).await.unwrap(), failing(&told));
    // What is not the endpoint's fault says nothing of it: neither that it fails, nor that it works.
    attempts(&bench, &shop, &[Attempt { excused: true, ..failed_at(1, 11_000, None) }]).await;
    assert_eq!(shop.store.failing(None).await.unwrap(), failing(&told));
    attempts(&bench, &shop, &[failed_at(1, 10_000, None)]).await;
    let later = shop.store.failing(None).await.unwrap().remove(0).health;
    assert_eq!((later.failing_since, later.last_failure_at, later.told), (5_000, 10_000, 2));

    attempts(&bench, &shop, &[fine(1)]).await;
    assert_eq!(shop.store.failing(None).await.unwrap(), []);
    attempts(&bench, &shop, &[failed_at(1, 20_000, Some(500))]).await;
    let anew = shop.store.failing(None).await.unwrap().remove(0).health;
    assert_eq!((anew.failing_since, anew.told), (20_000, 0));
    change(HealthChange::Forget).await.unwrap();
    change(HealthChange::Forget).await.unwrap();
    assert_eq!(shop.store.failing(None).await.unwrap(), []);
}

pub async fn a_deleted_endpoint_has_no_health(bench: Bench) {
    let shop = shop(&bench).await;
    let failed = [failed_at(1, 5_000, None)];
    attempts(&bench, &shop, &failed).await;
    let change = ConfigChange::DeleteEndpoint(shop.endpoint);
    shop.store.change_config(shop.merchant, change, None).await.unwrap();
    assert_eq!(shop.store.failing(None).await.unwrap(), []);
    attempts(&bench, &shop, &failed).await;
    assert_eq!(shop.store.failing(None).await.unwrap(), [], "what was under way leaves nothing behind");
    let endpoint = super::samples::endpoint(shop.merchant);
    let other = Shop { endpoint: endpoint.id, store: std::sync::Arc::clone(&shop.store), ..shop };
    let change = ConfigChange::PutEndpoint(Box::new(endpoint));
    other.store.change_config(other.merchant, change, None).await.unwrap();
    attempts(&bench, &other, &failed).await;
    assert_eq!(other.store.failing(None).await.unwrap().len(), 1);
    other.store.change_config(other.merchant, ConfigChange::DeleteMerchant, None).await.unwrap();
    assert_eq!(other.store.failing(None).await.unwrap(), []);
}
