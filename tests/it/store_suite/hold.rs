//! Lanes that are held: by one decision for all routers, until its time, and then for one entry at a time.

use kassir::domain::config::Endpoint;
use kassir::domain::ids::{DeliveryId, EndpointId};
use kassir::domain::job::WorkId;
use kassir::domain::{Delivery, Event, Lane};
use kassir::store::{ClaimAsk, Claimed, Claims, Commit, ConfigChange, Held, Holding, Settle, SettleEnd};

use super::samples::{LEASE_MS, Shop, ask, attempt, delivery_of, id, shop};
use super::{Bench, START};

const LEASE: i64 = 30_000;

fn until(ms: i64, step: u32) -> Holding {
    Holding::Until { until: START + ms, step }
}

fn works(claims: &Claims) -> Vec<WorkId> {
    claims.work.iter().map(|claimed| claimed.fence.work).collect()
}

fn deliveries(ids: &[DeliveryId]) -> Vec<WorkId> {
    ids.iter().copied().map(WorkId::Delivery).collect()
}

/// Ends a lease: the delivery is due again after so many milliseconds from the start, or done.
async fn end(shop: &Shop, claimed: &Claimed, due: Option<i64>, hold: Option<Holding>) {
    let loaded = shop.load(delivery_of(claimed).id).await;
    let delivery = Delivery { next_attempt_at: due.map(|ms| START + ms), ..loaded };
    let end = SettleEnd::Delivery { delivery: Box::new(delivery), attempt: Some(attempt(1)) };
    let settle = Settle { fence: claimed.fence, merchant: shop.merchant, end, hold, tallies: Vec::new() };
    shop.store.settle(settle).await.unwrap();
}

async fn hold(shop: &Shop, holding: Holding) {
    shop.store.hold(shop.merchant, shop.lane(), holding).await.unwrap();
}

async fn three(shop: &Shop) -> [DeliveryId; 3] {
    let mut ids = Vec::new();
    for due in [-30, -20, -10] {
        let event = Event { payment: 1, ..shop.event() };
        let delivery = Delivery { next_attempt_at: Some(START + due), ..shop.delivery(&event) };
        ids.push(delivery.id);
        shop.write(Commit { events: vec![event], deliveries: vec![delivery], ..shop.commit() }).await;
    }
    ids.try_into().unwrap()
}

pub async fn a_held_lane_gives_nothing(bench: Bench) {
    let shop = shop(&bench).await;
    three(&shop).await;
    let other = EndpointId(id());
    hold(&shop, until(5_000, 0)).await;
    let claims = shop.claim().await;
    assert_eq!((claims.work.len(), claims.next_due), (0, Some(START + 5_000)), "due when the hold runs out");
    let free = shop.queue_to(other).await;
    assert_eq!(works(&shop.claim().await), deliveries(&[free]), "another lane is not held");
    let named = ClaimAsk { per_lane: 0, room: [(shop.lane(), 9)].into(), ..ask(10) };
    assert!(shop.store.claim(&named).await.unwrap().work.is_empty(), "nor by its name");
    bench.clock.advance(4_999);
    assert!(shop.claim().await.work.is_empty());
    let backlog = shop.store.backlog().await.unwrap();
    assert_eq!((backlog.waiting, backlog.held_lanes), (4, 1));
    assert_eq!(backlog.oldest_due, Some(START), "what is under way; what is spared on purpose is not late");
}

pub async fn what_is_held_is_late_only_from_its_end(bench: Bench) {
    let shop = shop(&bench).await;
    three(&shop).await;
    let late = async || shop.store.backlog().await.unwrap().oldest_due.map(|due| due - START);
    assert_eq!(late().await, Some(-30));
    hold(&shop, until(5_000, 0)).await;
    assert_eq!(late().await, Some(5_000));
    bench.clock.advance(7_000);
    assert_eq!(late().await, Some(5_000), "nobody tries it");
    let probe = shop.claim().await;
    assert_eq!(late().await, Some(7_000 + LEASE), "it is tried for as long as its lease lasts");
    end(&shop, &probe.work[0], Some(90_000), Some(Holding::Lift)).await;
    assert_eq!(late().await, Some(-20));
}

pub async fn a_hold_that_ended_with_nothing_behind_it_is_not_counted(bench: Bench) {
    let shop = shop(&bench).await;
    let open = async || shop.store.backlog().await.unwrap().held_lanes;
    hold(&shop, until(5_000, 0)).await;
    assert_eq!(open().await, 1);
    bench.clock.advance(5_000);
    assert_eq!(open().await, 0, "the endpoint gets no events");
    shop.queue().await;
    assert_eq!(open().await, 1, "it has still to show that it works");
    let claims = shop.claim().await;
    assert_eq!((open().await, claims.work[0].probe), (1, Some(0)));
    end(&shop, &claims.work[0], None, Some(until(20_000, 1))).await;
    assert_eq!(open().await, 1);
    bench.clock.advance(15_000);
    assert_eq!(open().await, 0);
}

pub async fn a_hold_goes_with_its_endpoint_and_its_merchant(bench: Bench) {
    let shop = shop(&bench).await;
    let open = async || shop.store.backlog().await.unwrap().held_lanes;
    let put = async || {
        let endpoint = Endpoint { id: shop.endpoint, ..super::samples::endpoint(shop.merchant) };
        let change = ConfigChange::PutEndpoint(Box::new(endpoint));
        shop.store.change_config(shop.merchant, change, None).await.unwrap();
    };
    let waits = shop.queue().await;
    hold(&shop, until(5_000, 0)).await;
    let change = ConfigChange::DeleteEndpoint(shop.endpoint);
    shop.store.change_config(shop.merchant, change, None).await.unwrap();
    assert_eq!(open().await, 0);
    assert!(shop.store.holds(shop.merchant, &[shop.lane()]).await.unwrap().is_empty());
    assert_eq!(works(&shop.claim().await), deliveries(&[waits]), "what waited is seen to at once");
    put().await;
    hold(&shop, until(5_000, 0)).await;
    assert_eq!(open().await, 1);
    shop.store.change_config(shop.merchant, ConfigChange::DeleteMerchant, None).await.unwrap();
    assert_eq!(open().await, 0);
}

pub async fn then_one_entry_and_no_second_before_it_ended(bench: Bench) {
    let shop = shop(&bench).await;
    let [first, second, _] = three(&shop).await;
    hold(&shop, until(5_000, 7)).await;
    bench.clock.advance(5_000);
    let claims = shop.claim().await;
    assert_eq!(works(&claims), deliveries(&[first]), "the oldest");
    assert_eq!((claims.work[0].probe, claims.work[0].due), (Some(7), START - 30));
    assert_eq!(claims.next_due, Some(START + 5_000 + LEASE));
    assert!(shop.claim().await.work.is_empty(), "one at a time, whoever asks");
    end(&shop, &claims.work[0], Some(60_000), Some(until(15_000, 8))).await;
    assert!(shop.claim().await.work.is_empty());
    bench.clock.advance(10_000);
    let claims = shop.claim().await;
    assert_eq!((works(&claims), claims.work[0].probe), (deliveries(&[second]), Some(8)));
    // A result that says nothing of the hold leaves it.
    end(&shop, &claims.work[0], None, None).await;
    assert!(shop.claim().await.work.is_empty());
}

pub async fn a_hold_is_set_with_the_result(bench: Bench) {
    let shop = shop(&bench).await;
    let [_, second, _] = three(&shop).await;
    let claims = shop.store.claim(&ask(1)).await.unwrap();
    assert_eq!(claims.work[0].probe, None);
    end(&shop, &claims.work[0], Some(1_000), Some(until(2_000, 0))).await;
    bench.clock.advance(1_999);
    assert!(shop.claim().await.work.is_empty());
    bench.clock.advance(1);
    assert_eq!(works(&shop.claim().await), deliveries(&[second]));
}

pub async fn lifting_lets_all_through_oldest_first(bench: Bench) {
    let shop = shop(&bench).await;
    let [first, second, third] = three(&shop).await;
    hold(&shop, until(5_000, 0)).await;
    bench.clock.advance(5_000);
    let probe = shop.claim().await;
    assert_eq!(works(&probe), deliveries(&[first]));
    end(&shop, &probe.work[0], None, Some(Holding::Lift)).await;
    let rest = shop.claim().await;
    assert_eq!(works(&rest), deliveries(&[second, third]));
    assert!(rest.work.iter().all(|claimed| claimed.probe.is_none()));
    assert_eq!(shop.store.backlog().await.unwrap().held_lanes, 0);
    // Once more is no error.
    hold(&shop, Holding::Lift).await;
}

pub async fn new_work_of_a_held_lane_is_not_leased(bench: Bench) {
    let shop = shop(&bench).await;
    hold(&shop, until(5_000, 0)).await;
    let lease = Some(("router-1".to_owned(), LEASE_MS));
    let committed = shop.write(Commit { lease: lease.clone(), ..shop.whole("a") }).await;
    assert!(committed.leased.is_empty());
    assert_eq!(shop.claim().await.next_due, Some(START + 5_000));
    bench.clock.advance(6_000);
    // Also after its time, until it worked once.
    let committed = shop.write(Commit { lease: lease.clone(), ..shop.whole("b") }).await;
    assert!(committed.leased.is_empty());
    hold(&shop, Holding::Lift).await;
    assert_eq!(shop.write(Commit { lease, ..shop.whole("c") }).await.leased.len(), 1);
    assert_eq!(shop.claim().await.work.len(), 2);
}

pub async fn work_may_be_queued_although_there_is_a_lease(bench: Bench) {
    let shop = shop(&bench).await;
    let lease = Some(("router-1".to_owned(), LEASE_MS));
    let event = Event { payment: 1, ..shop.event() };
    let (own, other) = (shop.delivery(&event), shop.delivery_to(EndpointId(id()), &event));
    let (waits, leased) = (own.id, other.id);
    let queue_only = vec![shop.endpoint];
    let commit =
        Commit { events: vec![event], deliveries: vec![own, other], lease, queue_only, ..shop.commit() };
    let committed = shop.write(commit).await;
    assert_eq!(committed.leased.iter().map(|it| it.fence.work).collect::<Vec<_>>(), deliveries(&[leased]));
    assert_eq!(works(&shop.claim().await), deliveries(&[waits]));
}

pub async fn a_probe_that_is_given_back_may_be_tried_at_once(bench: Bench) {
    let shop = shop(&bench).await;
    let [first, ..] = three(&shop).await;
    hold(&shop, until(1_000, 3)).await;
    bench.clock.advance(1_000);
    let probe = shop.claim().await;
    shop.store.release(&[(shop.merchant, probe.work[0].fence)]).await.unwrap();
    let again = shop.claim().await;
    assert_eq!((works(&again), again.work[0].probe), (deliveries(&[first]), Some(3)));
    assert!(shop.claim().await.work.is_empty());
    // A hold that was set meanwhile stays.
    hold(&shop, until(9_000, 4)).await;
    shop.store.release(&[(shop.merchant, again.work[0].fence)]).await.unwrap();
    assert_eq!(shop.claim().await.next_due, Some(START + 9_000));
}

pub async fn a_probe_that_is_lost_may_be_tried_when_its_lease_ends(bench: Bench) {
    let shop = shop(&bench).await;
    let [first, ..] = three(&shop).await;
    hold(&shop, until(1_000, 3)).await;
    bench.clock.advance(1_000);
    assert_eq!(shop.claim().await.work.len(), 1);
    bench.clock.advance(LEASE - 1);
    assert!(shop.claim().await.work.is_empty());
    bench.clock.advance(1);
    let again = shop.claim().await;
    assert_eq!((works(&again), again.work[0].probe), (deliveries(&[first]), Some(3)));
}

pub async fn holds_outlive_a_restart(mut bench: Bench) {
    let mut shop = shop(&bench).await;
    three(&shop).await;
    hold(&shop, until(5_000, 2)).await;
    bench.restart().await;
    shop.store = bench.store.clone();
    assert_eq!((shop.claim().await.work.len(), shop.claim().await.next_due), (0, Some(START + 5_000)));
    bench.clock.advance(5_000);
    let claims = shop.claim().await;
    assert_eq!((claims.work.len(), claims.work[0].probe), (1, Some(2)));
}

pub async fn held_lanes_cost_no_claim_anything(bench: Bench) {
    let shop = shop(&bench).await;
    // Many more held lanes than any claim would look at, all of them due long before the free one.
    let mut held = Vec::new();
    for _ in 0..300 {
        let endpoint = EndpointId(id());
        let event = Event { payment: 1, ..shop.event() };
        let delivery =
            Delivery { next_attempt_at: Some(START - 50_000), ..shop.delivery_to(endpoint, &event) };
        shop.write(Commit { events: vec![event], deliveries: vec![delivery], ..shop.commit() }).await;
        let lane = Lane::Endpoint(endpoint);
        shop.store.hold(shop.merchant, lane, until(60_000, 0)).await.unwrap();
        held.push(lane);
    }
    let free = shop.queue().await;
    let claims = shop.store.claim(&ask(1)).await.unwrap();
    assert_eq!((works(&claims), claims.next_due), (deliveries(&[free]), Some(START + 60_000)));
    // Nor do those whose hold ran out, where no probe is wanted.
    bench.clock.advance(60_000);
    let free = shop.queue_to(EndpointId(id())).await;
    let none = ClaimAsk { probes: 0, ..ask(1) };
    let claims = shop.store.claim(&none).await.unwrap();
    assert!(works(&claims).contains(&WorkId::Delivery(free)) || claims.work.len() == 1);
    assert!(claims.work.iter().all(|claimed| claimed.probe.is_none() && !held.contains(&claimed.lane)));
}

pub async fn only_so_many_probes(bench: Bench) {
    let shop = shop(&bench).await;
    for _ in 0..5 {
        let endpoint = EndpointId(id());
        for _ in 0..2 {
            shop.queue_to(endpoint).await;
        }
        shop.store.hold(shop.merchant, Lane::Endpoint(endpoint), until(1_000, 0)).await.unwrap();
    }
    let free = [shop.queue().await, shop.queue().await];
    bench.clock.advance(1_000);
    // Beside `max`, so that neither takes the other's places.
    let mut probed = 0;
    let claims = shop.store.claim(&ClaimAsk { probes: 2, ..ask(2) }).await.unwrap();
    let (probes, others): (Vec<_>, Vec<_>) = claims.work.iter().partition(|claimed| claimed.probe.is_some());
    assert!(probes.len() <= 2 && others.len() == 2, "{} {}", probes.len(), others.len());
    assert!(others.iter().all(|claimed| deliveries(&free).contains(&claimed.fence.work)));
    probed += probes.len();
    for _ in 0..5 {
        probed += shop.store.claim(&ClaimAsk { probes: 2, ..ask(2) }).await.unwrap().work.len();
    }
    assert_eq!(probed, 5, "each lane once");
}

pub async fn an_empty_lane_is_held_too(bench: Bench) {
    let shop = shop(&bench).await;
    let id = shop.queue().await;
    let only = shop.claim().await;
    end(&shop, &only.work[0], None, Some(until(5_000, 0))).await;
    assert_eq!(shop.claim().await.next_due, None);
    let next = shop.queue().await;
    assert_ne!(id, next);
    assert_eq!((shop.claim().await.work.len(), shop.claim().await.next_due), (0, Some(START + 5_000)));
    // A person takes it back meanwhile; then another comes for later.
    let taken_back = Delivery { next_attempt_at: None, ..shop.load(next).await };
    shop.store.update_delivery(taken_back).await.unwrap();
    assert_eq!(shop.claim().await.next_due, None);
    let later = Delivery { next_attempt_at: Some(START + 8_000), ..shop.load(next).await };
    shop.store.update_delivery(later).await.unwrap();
    assert_eq!(shop.claim().await.next_due, Some(START + 8_000));
}

pub async fn only_named_lanes(bench: Bench) {
    let shop = shop(&bench).await;
    let [a, b, c] = std::array::from_fn(|_| EndpointId(id()));
    for endpoint in [a, a, b, b, c, c] {
        shop.queue_to(endpoint).await;
    }
    let lane = Lane::Endpoint;
    let room = [(lane(a), 1), (lane(b), 5), (lane(EndpointId(id())), 5), (lane(c), 0)].into();
    let claims = shop.store.claim(&ClaimAsk { per_lane: 0, room, ..ask(10) }).await.unwrap();
    let count = |lane| claims.work.iter().filter(|claimed| claimed.lane == lane).count();
    assert_eq!([count(lane(a)), count(lane(b)), count(lane(c))], [1, 2, 0]);
    assert_eq!(claims.next_due, Some(START));
}

pub async fn what_is_tried_of_a_held_lane_is_told(bench: Bench) {
    let shop = shop(&bench).await;
    three(&shop).await;
    let told = async || {
        let held = shop.store.holds(shop.merchant, &[shop.lane()]).await.unwrap();
        let now = shop.store.now().await.unwrap();
        held.get(&shop.lane()).map(|held| (held.until - START, held.is_tried(now), held.waiting, held.since))
    };
    hold(&shop, until(5_000, 0)).await;
    assert_eq!(told().await, Some((5_000, false, 3, START)));
    bench.clock.advance(5_000);
    assert_eq!(told().await, Some((5_000, false, 3, START)));
    let probe = shop.claim().await.work.remove(0);
    assert_eq!(told().await, Some((5_000 + LEASE, true, 2, START)));
    // It failed: held anew.
    end(&shop, &probe, Some(90_000), Some(until(15_000, 1))).await;
    assert_eq!(told().await, Some((15_000, false, 3, START)));
    bench.clock.advance(10_000);
    let probe = shop.claim().await.work.remove(0);
    assert!(told().await.unwrap().1);
    shop.store.release(&[(shop.merchant, probe.fence)]).await.unwrap();
    assert_eq!(told().await, Some((15_000, false, 3, START)), "given back untried");
    let probe = shop.claim().await.work.remove(0);
    end(&shop, &probe, None, Some(Holding::Lift)).await;
    assert_eq!(told().await, None);
    bench.clock.advance(1_000);
    hold(&shop, until(20_000, 0)).await;
    assert_eq!(told().await, Some((20_000, false, 2, START + 16_000)), "another time");
}

pub async fn what_is_held_is_told(bench: Bench) {
    let shop = shop(&bench).await;
    let free = Lane::Endpoint(EndpointId(id()));
    let lanes = [shop.lane(), free];
    let told = async || shop.store.holds(shop.merchant, &lanes).await.unwrap();
    assert!(told().await.is_empty());
    hold(&shop, until(5_000, 3)).await;
    let held = Held { until: START + 5_000, step: 3, since: START, tried_until: None, waiting: 0 };
    assert_eq!(told().await, [(shop.lane(), held)].into());
    bench.clock.advance(100);
    hold(&shop, until(2_000, 4)).await;
    let held = Held { until: START + 2_000, step: 4, ..held };
    assert_eq!(told().await, [(shop.lane(), held)].into(), "the newest word holds, and since when stays");
    hold(&shop, Holding::Lift).await;
    assert!(told().await.is_empty());
    // A hold that ran out a day ago, and that nothing waits for, is forgotten when the next one is set.
    hold(&shop, until(0, 0)).await;
    bench.clock.advance(24 * 60 * 60 * 1000 + 1);
    shop.store.hold(shop.merchant, free, until(5_000, 0)).await.unwrap();
    assert_eq!(told().await.keys().collect::<Vec<_>>(), [&free]);
}
