//! The queue: due times, leases, fences, lanes.

use std::collections::HashMap;

use kassir::domain::ids::{EndpointId, NotificationId};
use kassir::domain::job::WorkId;
use kassir::domain::{Delivery, Event, Job, Lane, Proven, Task};
use kassir::store::{Backlog, ClaimAsk, Claims, Commit, Conflict, Settle, SettleEnd};
use kassir_providers::{Fact, Note, PaymentRef};

use super::samples::{LEASE_MS, Shop, ask, attempt, delivery_of, id, job_of, shop};
use super::{Bench, START, conflict};

/// How long a lease lasts that nobody renews, milliseconds.
pub const LEASE: i64 = 30_000;

/// Queues one delivery per due time (milliseconds from the start; not in the past of another round) in a lane.
async fn queue_at(shop: &Shop, endpoint: EndpointId, due: i64) -> WorkId {
    let event = Event { payment: 1, ..shop.event() };
    let delivery = Delivery { next_attempt_at: Some(START + due), ..shop.delivery_to(endpoint, &event) };
    let work = WorkId::Delivery(delivery.id);
    shop.write(Commit { events: vec![event], deliveries: vec![delivery], ..shop.commit() }).await;
    work
}

/// What was claimed.
pub fn works(claims: &Claims) -> Vec<WorkId> {
    claims.work.iter().map(|claimed| claimed.fence.work).collect()
}

fn lanes(claims: &Claims) -> Vec<Lane> {
    claims.work.iter().map(|claimed| claimed.lane).collect()
}

fn endpoints<const N: usize>() -> [EndpointId; N] {
    std::array::from_fn(|_| EndpointId(id()))
}

/// A settle that changes nothing but ends the lease.
pub async fn done(shop: &Shop, claimed: &kassir::store::Claimed) -> Settle {
    let delivery = Delivery { next_attempt_at: None, ..shop.load(delivery_of(claimed).id).await };
    let end = SettleEnd::Delivery { delivery: Box::new(delivery), attempt: Some(attempt(1)) };
    Settle { fence: claimed.fence, merchant: shop.merchant, end, hold: None, tallies: Vec::new() }
}

pub async fn nothing_before_its_time(bench: Bench) {
    let shop = shop(&bench).await;
    let empty = shop.claim().await;
    assert_eq!((empty.work.len(), empty.now, empty.next_due), (0, START, None));
    let job = shop.job(Task::Poll { payment: 1 });
    shop.write(Commit { jobs: vec![(job.clone(), 1000)], ..shop.commit() }).await;
    bench.clock.advance(999);
    let early = shop.claim().await;
    assert_eq!((early.work.len(), early.now, early.next_due), (0, START + 999, Some(START + 1000)));
    bench.clock.advance(1);
    let claims = shop.claim().await;
    assert_eq!((claims.work.len(), claims.next_due), (1, None));
    let claimed = &claims.work[0];
    assert_eq!((claimed.due, claimed.lease_until), (START + 1000, START + 1000 + LEASE));
    assert_eq!(job_of(claimed), &job);
    assert!(shop.claim().await.work.is_empty(), "it is leased");
}

pub async fn the_first_attempt_is_due_at_once(bench: Bench) {
    let shop = shop(&bench).await;
    let day = 24 * 60 * 60 * 1000;
    // A router whose clock is ahead, one whose clock is behind, and something that is really meant for later.
    for ahead in [5_000, day, -5_000] {
        let [endpoint] = endpoints();
        let work = queue_at(&shop, endpoint, ahead).await;
        let claims = shop.claim().await;
        assert_eq!(works(&claims), [work], "{ahead}");
        assert_eq!(claims.work[0].due, START + ahead.min(0), "{ahead}");
    }
    let [endpoint] = endpoints();
    let work = queue_at(&shop, endpoint, day + 1).await;
    let claims = shop.claim().await;
    assert_eq!((claims.work.len(), claims.next_due), (0, Some(START + day + 1)));
    bench.clock.advance(day + 1);
    assert!(works(&shop.claim().await).contains(&work));
}

pub async fn a_lease_from_the_commit(bench: Bench) {
    let shop = shop(&bench).await;
    let lease = Some(("router-1".to_owned(), LEASE_MS));
    let whole = Commit { lease, ..shop.whole("a") };
    let (event, delivery) = (whole.events[0].clone(), whole.deliveries[0].clone());
    let committed = shop.write(whole).await;
    assert_eq!(committed.leased.len(), 1);
    let claimed = &committed.leased[0];
    assert_eq!(claimed.fence.work, WorkId::Delivery(delivery.id));
    assert_eq!((claimed.lane, claimed.due, claimed.lease_until), (shop.lane(), START, START + LEASE));
    match &claimed.material {
        kassir::store::Material::Delivery { delivery: given, event: with } => {
            assert_eq!(**given, shop.load(delivery.id).await);
            assert_eq!(**with, Event { payment: 1, ..event });
        }
        other @ kassir::store::Material::Job(_) => panic!("{other:?}"),
    }
    let claims = shop.claim().await;
    assert_eq!((claims.work.len(), claims.next_due), (0, None));
    shop.store.settle(done(&shop, claimed).await).await.unwrap();
    bench.clock.advance(LEASE);
    assert!(shop.claim().await.work.is_empty());
}

pub async fn a_lease_runs_out(bench: Bench) {
    let shop = shop(&bench).await;
    shop.queue().await;
    let first = shop.claim().await.work.remove(0);
    bench.clock.advance(LEASE - 1);
    assert!(shop.claim().await.work.is_empty());
    bench.clock.advance(1);
    let second = shop.claim().await.work.remove(0);
    assert_eq!((second.fence.work, second.due), (first.fence.work, first.due), "its due time stays");
    assert!(second.fence.token > first.fence.token);
    assert_eq!(second.lease_until, START + 2 * LEASE);
}

pub async fn a_late_settle_is_refused(bench: Bench) {
    let shop = shop(&bench).await;
    let id = shop.queue().await;
    let first = shop.claim().await.work.remove(0);
    bench.clock.advance(LEASE);
    let second = shop.claim().await.work.remove(0);
    let before = shop.load(id).await;
    let late = shop.store.settle(done(&shop, &first).await).await;
    assert_eq!(conflict(late), Conflict::Lease);
    assert_eq!(shop.load(id).await, before);
    assert!(shop.store.attempts(shop.merchant, id).await.unwrap().is_empty());
    // Nor may it give back what another has.
    shop.store.release(&[(shop.merchant, first.fence)]).await.unwrap();
    assert!(shop.claim().await.work.is_empty());
    shop.store.settle(done(&shop, &second).await).await.unwrap();
    let again = shop.store.settle(done(&shop, &second).await).await;
    assert_eq!(conflict(again), Conflict::Lease);
}

pub async fn an_expired_lease_that_nobody_took_still_counts(bench: Bench) {
    let shop = shop(&bench).await;
    shop.queue().await;
    let claimed = shop.claim().await.work.remove(0);
    bench.clock.advance(LEASE * 2);
    shop.store.settle(done(&shop, &claimed).await).await.unwrap();
    assert!(shop.claim().await.work.is_empty());
}

pub async fn released_work_is_due_at_once(bench: Bench) {
    let shop = shop(&bench).await;
    shop.queue().await;
    shop.queue().await;
    let claims = shop.claim().await;
    let fences: Vec<_> = claims.work.iter().map(|claimed| (shop.merchant, claimed.fence)).collect();
    bench.clock.advance(10);
    // A foreign and a lost lease among them do no harm.
    let lost = kassir::store::Fence { token: fences[0].1.token + 1000, ..fences[0].1 };
    shop.store.release(&[(shop.merchant, lost), fences[0]]).await.unwrap();
    let again = shop.claim().await;
    assert_eq!(works(&again), [claims.work[0].fence.work]);
    assert_eq!(again.work[0].due, claims.work[0].due);
    assert_eq!(conflict(shop.store.settle(done(&shop, &claims.work[0]).await).await), Conflict::Lease);
    shop.store.settle(done(&shop, &claims.work[1]).await).await.unwrap();
    shop.store.settle(done(&shop, &again.work[0]).await).await.unwrap();
}

pub async fn tokens_grow(mut bench: Bench) {
    let mut shop = shop(&bench).await;
    let mut last = 0;
    for round in 0..6 {
        shop.queue().await;
        if round == 3 {
            bench.restart().await;
            shop.store = bench.store.clone();
        }
        let mut tokens: Vec<u64> = shop.claim().await.work.iter().map(|it| it.fence.token).collect();
        let lease = Some(("router-1".to_owned(), LEASE_MS));
        let whole = Commit { lease, ..shop.whole(&format!("p-{round}")) };
        tokens.extend(shop.write(whole).await.leased.iter().map(|it| it.fence.token));
        assert_eq!(tokens.len(), 2);
        for token in tokens {
            assert!(token > last, "{token} after {last}");
            last = token;
        }
    }
}

pub async fn the_longest_due_comes_first(bench: Bench) {
    let shop = shop(&bench).await;
    let mut expected = Vec::new();
    for due in [-10, -500, -20, -400, -30] {
        expected.push((due, queue_at(&shop, shop.endpoint, due).await));
    }
    expected.sort_by_key(|(due, _)| *due);
    let order: Vec<WorkId> = expected.into_iter().map(|(_, work)| work).collect();
    let first = shop.store.claim(&ask(2)).await.unwrap();
    assert_eq!((works(&first), first.next_due), (order[..2].to_vec(), Some(START - 30)));
    assert_eq!(works(&shop.claim().await), order[2..]);
    // Work that comes back from a lease has its old place.
    let late = queue_at(&shop, shop.endpoint, -5).await;
    bench.clock.advance(LEASE);
    assert_eq!(works(&shop.claim().await), [&order[..], &[late]].concat());
}

pub async fn lanes_take_turns(bench: Bench) {
    let shop = shop(&bench).await;
    let [a, b, c] = endpoints();
    for (endpoint, count) in [(a, 5), (b, 2), (c, 3)] {
        for due in 0..count {
            queue_at(&shop, endpoint, due - 100).await;
        }
    }
    let claims = shop.claim().await;
    let mut counts: HashMap<Lane, usize> = HashMap::new();
    // In each round every lane that still has something comes once.
    let rounds = [3, 3, 2, 1, 1];
    let mut work = lanes(&claims).into_iter();
    for (round, size) in rounds.into_iter().enumerate() {
        for lane in work.by_ref().take(size) {
            let count = counts.entry(lane).or_default();
            assert_eq!(*count, round);
            *count += 1;
        }
    }
    assert_eq!(work.next(), None);
    assert_eq!(counts[&Lane::Endpoint(a)], 5);
}

pub async fn a_long_lane_hides_no_other(bench: Bench) {
    let shop = shop(&bench).await;
    let [long, short] = endpoints();
    let event = Event { payment: 1, ..shop.event() };
    let due = |by| Some(START - 1000 - by);
    let deliveries = |count: i64| {
        let make = |by| Delivery { next_attempt_at: due(by), ..shop.delivery_to(long, &event) };
        (0..count).map(make).collect::<Vec<_>>()
    };
    let first = Commit { events: vec![event.clone()], deliveries: deliveries(500), ..shop.commit() };
    shop.write(first).await;
    for _ in 0..3 {
        shop.write(Commit { deliveries: deliveries(500), ..shop.commit() }).await;
    }
    let one = queue_at(&shop, short, 0).await;
    let claims = shop.store.claim(&ask(10)).await.unwrap();
    assert_eq!(claims.work.len(), 10);
    assert!(works(&claims).contains(&one));
    assert_eq!(shop.store.backlog().await.unwrap().waiting, 2001);
}

pub async fn no_lane_is_forgotten(bench: Bench) {
    let shop = shop(&bench).await;
    // More busy lanes than a claim takes, and their work older than that of the quiet ones.
    let busy: [EndpointId; 6] = endpoints();
    let quiet: [EndpointId; 3] = endpoints();
    for endpoint in busy {
        for _ in 0..8 {
            queue_at(&shop, endpoint, -1_000_000).await;
        }
    }
    assert_eq!(shop.store.claim(&ask(4)).await.unwrap().work.len(), 4);
    for endpoint in quiet {
        queue_at(&shop, endpoint, 0).await;
    }
    let mut served: HashMap<Lane, usize> = HashMap::new();
    for _ in 0..3 {
        for lane in lanes(&shop.store.claim(&ask(4)).await.unwrap()) {
            *served.entry(lane).or_default() += 1;
        }
    }
    // Twelve places for nine lanes: each had its turn before any had a third.
    for endpoint in quiet {
        assert_eq!(served.get(&Lane::Endpoint(endpoint)), Some(&1));
    }
    assert!(served.values().all(|count| *count <= 2), "{served:?}");
}

pub async fn room_bounds_a_lane(bench: Bench) {
    let shop = shop(&bench).await;
    let [full, narrow, free] = endpoints();
    for endpoint in [full, narrow, free] {
        for due in 0..5 {
            queue_at(&shop, endpoint, due - 50).await;
        }
    }
    let room = [(Lane::Endpoint(full), 0), (Lane::Endpoint(narrow), 2)].into();
    let request = ClaimAsk { per_lane: 3, room, ..ask(100) };
    let claims = shop.store.claim(&request).await.unwrap();
    let count = |lane| lanes(&claims).iter().filter(|it| **it == Lane::Endpoint(lane)).count();
    assert_eq!([count(full), count(narrow), count(free)], [0, 2, 3]);
    assert_eq!(claims.next_due, Some(START - 50), "that of the lane without room");
    // `room` also widens.
    let room = [(Lane::Endpoint(full), 5)].into();
    let request = ClaimAsk { per_lane: 0, room, ..ask(100) };
    let claims = shop.store.claim(&request).await.unwrap();
    assert_eq!(lanes(&claims), [Lane::Endpoint(full); 5]);
    assert_eq!(shop.claim().await.work.len(), 5);
}

pub async fn a_claim_is_bounded(bench: Bench) {
    let shop = shop(&bench).await;
    for _ in 0..5 {
        shop.queue().await;
    }
    let none = shop.store.claim(&ask(0)).await.unwrap();
    assert_eq!((none.work.len(), none.next_due), (0, Some(START)));
    for expected in [3, 2, 0] {
        assert_eq!(shop.store.claim(&ask(3)).await.unwrap().work.len(), expected);
    }
}

pub async fn the_next_due_time_is_told(bench: Bench) {
    let shop = shop(&bench).await;
    let jobs = [700, 300, 500].map(|in_ms| (shop.job(Task::Poll { payment: 1 }), in_ms));
    shop.write(Commit { jobs: jobs.to_vec(), ..shop.commit() }).await;
    for (step, due, next) in [(0, 0, Some(300)), (300, 1, Some(500)), (200, 1, Some(700)), (200, 1, None)] {
        bench.clock.advance(step);
        let claims = shop.claim().await;
        assert_eq!((claims.work.len(), claims.next_due), (due, next.map(|next| START + next)));
    }
}

pub async fn jobs_come_back_as_they_were(bench: Bench) {
    let shop = shop(&bench).await;
    let notification = NotificationId(id());
    let payment = PaymentRef { provider_id: Some("p-1".to_owned()), ..PaymentRef::default() };
    let fact = Fact::Note(Note { what: "чек".to_owned(), why: String::new(), payment });
    let payload = "{\"amount\":900.00,\"b\":1,\"a\":2}".to_owned();
    let confirm = Task::Confirm { notification, facts: vec![fact], proven: Some(Proven::Sourced), payload };
    let replay = Task::Replay { replay: kassir::domain::ids::ReplayId(id()) };
    let mut jobs = [confirm, Task::Poll { payment: 12 }, replay].map(|task| shop.job(task));
    jobs[2].lane = Lane::Merchant(shop.merchant);
    jobs[1].attempts = 4;
    shop.write(Commit { jobs: jobs.clone().map(|job| (job, 0)).to_vec(), ..shop.commit() }).await;
    let mut given: Vec<Job> = shop.claim().await.work.iter().map(|claimed| job_of(claimed).clone()).collect();
    given.sort_by_key(|job| job.id);
    assert_eq!(given, jobs);
}

pub async fn a_job_is_tried_again(bench: Bench) {
    let shop = shop(&bench).await;
    let job = shop.job(Task::Poll { payment: 1 });
    shop.write(Commit { jobs: vec![(job.clone(), 0)], ..shop.commit() }).await;
    let first = shop.claim().await.work.remove(0);
    let again = Job { attempts: 1, ..job };
    let settle = |fence, again_in| {
        let end = SettleEnd::Job { job: Box::new(again.clone()), again_in };
        shop.store.settle(Settle { fence, merchant: shop.merchant, end, hold: None, tallies: Vec::new() })
    };
    settle(first.fence, Some(5000)).await.unwrap();
    assert_eq!(conflict(settle(first.fence, None).await), Conflict::Lease);
    assert_eq!(shop.claim().await.next_due, Some(START + 5000));
    bench.clock.advance(5000);
    let second = shop.claim().await.work.remove(0);
    assert_eq!(job_of(&second), &again);
    settle(second.fence, None).await.unwrap();
    assert_eq!(shop.store.backlog().await.unwrap(), Backlog::default());
}

pub async fn the_backlog_is_counted(bench: Bench) {
    let shop = shop(&bench).await;
    let [a, b] = endpoints();
    let backlog = async || shop.store.backlog().await.unwrap();
    assert_eq!(backlog().await, Backlog::default());
    queue_at(&shop, a, -200).await;
    queue_at(&shop, b, -100).await;
    let job = shop.job(Task::Poll { payment: 1 });
    shop.write(Commit { jobs: vec![(job, 60_000)], ..shop.commit() }).await;
    assert_eq!(
        backlog().await,
        Backlog {
            waiting: 3,
            oldest_due: Some(START - 200),
            oldest_delivery: Some(START),
            ..Backlog::default()
        }
    );
    let claimed = shop.store.claim(&ask(2)).await.unwrap().work;
    assert_eq!(
        backlog().await,
        Backlog {
            waiting: 3,
            leased: 2,
            oldest_due: Some(START - 200),
            oldest_delivery: Some(START),
            held_lanes: 0
        }
    );
    let (older, newer): (Vec<_>, Vec<_>) = claimed.iter().partition(|claimed| claimed.due == START - 200);
    shop.store.settle(done(&shop, older[0]).await).await.unwrap();
    assert_eq!(
        backlog().await,
        Backlog {
            waiting: 2,
            leased: 1,
            oldest_due: Some(START - 100),
            oldest_delivery: Some(START),
            held_lanes: 0
        }
    );
    shop.store.settle(done(&shop, newer[0]).await).await.unwrap();
    let job_only = backlog().await;
    assert_eq!((job_only.waiting, job_only.oldest_delivery), (1, None), "a job is no delivery");
}

pub async fn leases_outlive_a_restart(mut bench: Bench) {
    let mut shop = shop(&bench).await;
    shop.queue().await;
    shop.queue().await;
    let claimed = shop.store.claim(&ask(1)).await.unwrap().work.remove(0);
    bench.restart().await;
    shop.store = bench.store.clone();
    assert_eq!(shop.claim().await.work.len(), 1, "only what was not leased");
    shop.store.settle(done(&shop, &claimed).await).await.unwrap();
    bench.clock.advance(LEASE);
    assert_eq!(shop.claim().await.work.len(), 1);
}
