//! One endpoint's trouble is its own: what does not work is left alone, what is asked for is heeded, and the others go on.

use std::sync::Arc;
use std::time::Duration;

use kassir::delivery::schedule::{Schedule, Stand, seed};
use kassir::delivery::{DeliveryConfig, EndpointSource as _, EndpointView};
use kassir::domain::ids::DeliveryId;
use kassir::domain::{Delivery, DeliveryStatus, Event, Lane};
use kassir::store::{Commit, Holding};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use super::world::{World, world, world_with};
use crate::size::size;
use crate::store_suite::samples;
use crate::subscriber::{Act, Subscriber};

/// Nothing here takes that long; so that a failing test ends.
const PATIENCE: Duration = Duration::from_secs(60);
const PER_LANE: usize = 16;
const SECOND: i64 = 1_000;
const DAY: i64 = 24 * 60 * 60 * SECOND;

async fn queue_many(world: &World, view: &EndpointView, count: usize) -> Vec<DeliveryId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(world.queue(view).await);
        // Each is due a little later than the one before.
        world.clock.advance(1);
    }
    ids
}

async fn status(world: &World, ids: &[DeliveryId], status: DeliveryStatus) -> usize {
    let mut count = 0;
    for id in ids {
        count += usize::from(world.load(*id).await.status == status);
    }
    count
}

fn delivered_as(subscriber: &Subscriber, from: usize) -> Vec<String> {
    subscriber.seen().iter().skip(from).map(|seen| seen.header("kassir-delivery").to_owned()).collect()
}

/// An endpoint that fails so often that it is left alone; gives what waits at it, the first of them tried once.
async fn broken(world: &World, subscriber: &Subscriber, count: usize) -> Vec<DeliveryId> {
    subscriber.script(std::iter::repeat_n(Act::status(500), PER_LANE));
    let view = world.endpoint(&subscriber.url("/"));
    let ids = queue_many(world, &view, count).await;
    world.worker.run_until_idle().await.unwrap();
    assert_eq!(subscriber.seen().len(), PER_LANE, "what was in hand, and no more");
    ids
}

#[tokio::test]
async fn a_broken_endpoint_is_tried_one_at_a_time_and_recovers_step_by_step() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let ids = broken(&world, &subscriber, 60).await;
    for id in &ids[PER_LANE..] {
        let waiting = world.load(*id).await;
        assert_eq!((waiting.status, waiting.attempts), (DeliveryStatus::Pending, 0), "nothing is burnt");
    }
    world.clock.advance(3 * SECOND);
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 0);

    // The hold is over: one is tried, the one that has waited longest, and fails.
    subscriber.script([Act::status(500)]);
    world.clock.advance(4 * SECOND);
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 1);
    world.clock.advance(7 * SECOND);
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 0, "the next hold is longer");
    world.clock.advance(6 * SECOND);
    let mut rounds = Vec::new();
    loop {
        match world.worker.step().await.unwrap() {
            0 => break,
            count => rounds.push(count),
        }
    }
    assert_eq!(rounds[..5], [1, 1, 2, 4, 8], "first one, then more and more at once");
    assert!(rounds.iter().all(|count| *count <= PER_LANE));
    assert_eq!(status(&world, &ids, DeliveryStatus::Delivered).await, 60);
    let tried = delivered_as(&subscriber, PER_LANE);
    assert_eq!(tried[0], ids[PER_LANE].to_string());
    // Within a round they are under way together.
    let mut first = tried[1..9].to_vec();
    first.sort();
    let oldest: Vec<String> = ids[PER_LANE + 1..PER_LANE + 9].iter().map(ToString::to_string).collect();
    assert_eq!(first, oldest, "the oldest first");
}

#[tokio::test]
async fn a_hold_is_kept_by_all_routers_and_over_a_restart() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let ids = broken(&world, &subscriber, 40).await;
    // Routers that know nothing of what happened.
    let (second, third) = (world.another_router("router-2"), world.another_router("router-3"));
    assert_eq!(second.run_until_idle().await.unwrap(), 0);
    world.clock.advance(7 * SECOND);
    subscriber.script([Act::status(500)]);
    let (two, three) = tokio::join!(second.step(), third.step());
    assert_eq!(two.unwrap() + three.unwrap(), 1, "one attempt in all");
    world.clock.advance(7 * SECOND);
    assert_eq!(third.run_until_idle().await.unwrap(), 0, "holds grow from router to router");
    world.clock.advance(6 * SECOND);
    third.run_until_idle().await.unwrap();
    assert_eq!(status(&world, &ids, DeliveryStatus::Delivered).await, 40);
}

/// Where the one try of a held lane goes to the old URL while a person gives the endpoint another one.
#[tokio::test]
async fn the_old_urls_last_try_says_nothing_of_the_new_one() {
    for (old_says, new_says) in [(500, 200), (200, 503)] {
        let world = world().await;
        let (old, new) = (Subscriber::http().await, Subscriber::http().await);
        let ids = broken(&world, &old, PER_LANE + 4).await;
        let (merchant, endpoint) = (world.shop.merchant, world.load(ids[0]).await.endpoint);
        let mut view = world.endpoints.get(merchant, endpoint).await.unwrap().unwrap().as_ref().clone();
        // Time enough for what is done meanwhile.
        view.endpoint.timeout_s = Some(30);
        world.endpoints.put(view.clone());
        let gate = Arc::new(Notify::new());
        old.script([Act::Gate(Arc::clone(&gate), old_says)]);
        world.clock.advance(7 * SECOND);
        let worker = Arc::clone(&world.worker);
        let trying = tokio::spawn(async move { worker.step().await.unwrap() });
        tokio::time::timeout(PATIENCE, old.wait_for(PER_LANE + 1)).await.unwrap();

        view.endpoint.url = new.url("/moved");
        world.endpoints.put(view);
        world.store.hold(merchant, Lane::Endpoint(endpoint), Holding::Lift).await.unwrap();
        new.script(std::iter::repeat_n(Act::status(new_says), 2 * PER_LANE));
        world.worker.step().await.unwrap();
        assert!(new.seen().len() >= 3, "what waited goes at once");
        gate.notify_one();
        trying.await.unwrap();
        let holds = world.store.holds(merchant, &[Lane::Endpoint(endpoint)]).await.unwrap();
        assert_eq!(holds.is_empty(), new_says == 200, "{old_says} {new_says}: {holds:?}");
    }
}

/// By a person's sample event, or by another router: this one does not hear of it.
#[tokio::test]
async fn an_endpoint_that_somebody_else_let_go_is_held_again_when_it_fails() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let asks = Act::answer(503, &[("retry-after", "3600")], "");
    subscriber.script([asks].into_iter().chain(std::iter::repeat_n(Act::status(500), 100)));
    let view = world.endpoint(&subscriber.url("/"));
    queue_many(&world, &view, 100).await;
    world.worker.run_until_idle().await.unwrap();
    assert_eq!(subscriber.seen().len(), PER_LANE);
    world.clock.advance(20 * SECOND);
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 0);
    let lane = Lane::Endpoint(view.endpoint.id);
    world.store.hold(world.shop.merchant, lane, Holding::Lift).await.unwrap();
    world.worker.run_until_idle().await.unwrap();
    assert_eq!(subscriber.seen().len(), 2 * PER_LANE, "what was in hand, and no more");
}

/// What ends without an attempt in a held lane makes room for the next at once, not when the queue is looked at anyway.
#[tokio::test]
async fn those_that_are_too_old_keep_nobody_waiting() {
    let poll = Duration::from_secs(60 * 60);
    let world = world_with(DeliveryConfig { poll, ..DeliveryConfig::default() }, |store| store).await;
    let subscriber = Subscriber::http().await;
    let ids = broken(&world, &subscriber, PER_LANE + 40).await;
    world.clock.advance(DAY + SECOND);
    let endpoint = world.load(ids[0]).await.endpoint;
    let view = world.endpoints.get(world.shop.merchant, endpoint).await.unwrap().unwrap();
    let fresh = queue_many(&world, &view, 3).await;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&world.worker).run(stopped));
    tokio::time::timeout(PATIENCE / 2, subscriber.wait_for(PER_LANE + 3)).await.unwrap();
    stop.send(true).unwrap();
    running.await.unwrap();
    assert_eq!(status(&world, &ids, DeliveryStatus::Failed).await, ids.len());
    assert_eq!(status(&world, &fresh, DeliveryStatus::Delivered).await, 3);
}

#[tokio::test]
async fn what_is_too_old_ends_without_an_attempt() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let ids = broken(&world, &subscriber, PER_LANE + 4).await;
    world.clock.advance(DAY + SECOND);
    let view = world.endpoint(&subscriber.url("/new"));
    let fresh = world.queue(&view).await;
    world.worker.run_until_idle().await.unwrap();
    assert_eq!(status(&world, &ids, DeliveryStatus::Failed).await, ids.len());
    assert_eq!(subscriber.seen().len(), PER_LANE + 1, "only the other endpoint's was sent");
    let never = world.load(ids[PER_LANE]).await;
    assert_eq!((never.attempts, never.next_attempt_at), (0, None));
    assert!(never.last_error.unwrap().contains("left alone"));
    assert_eq!(world.load(fresh).await.status, DeliveryStatus::Delivered);
}

#[tokio::test]
async fn an_endpoint_that_asks_to_slow_down_is_left_alone_as_a_whole() {
    for (status, header, wait) in [(429, "60", 60), (503, "60", 60), (500, "60", 60), (503, "", 1)] {
        let world = world().await;
        let subscriber = Subscriber::http().await;
        let headers = if header.is_empty() { vec![] } else { vec![("retry-after", header)] };
        subscriber.script([Act::answer(status, &headers, "")]);
        let mut view = world.endpoint(&subscriber.url("/"));
        view.endpoint.max_in_flight = Some(1);
        world.endpoints.put(view.clone());
        let ids = queue_many(&world, &view, 3).await;
        world.worker.run_until_idle().await.unwrap();
        assert_eq!(subscriber.seen().len(), 1, "{status} {header}");
        let by = world.load(ids[0]).await.next_attempt_at.unwrap() - world.now();
        assert!(by > 0);
        world.clock.advance(wait * SECOND * 7 / 10);
        assert_eq!(world.worker.run_until_idle().await.unwrap(), 0, "{status} {header}");
        world.clock.advance(wait * SECOND);
        world.worker.run_until_idle().await.unwrap();
        assert!(subscriber.seen().len() >= 3, "{status} {header}");
    }
}

#[tokio::test]
async fn a_limit_per_second_is_never_exceeded() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let mut view = world.endpoint(&subscriber.url("/"));
    view.endpoint.rate_per_s = Some(5);
    world.endpoints.put(view.clone());
    for _ in 0..23 {
        world.queue(&view).await;
    }
    world.worker.run_until_idle().await.unwrap();
    assert_eq!(subscriber.seen().len(), 5);
    for expected in [10, 15, 20, 23] {
        world.clock.advance(SECOND - 1);
        assert_eq!(world.worker.run_until_idle().await.unwrap(), 0, "not a millisecond early");
        world.clock.advance(1);
        world.worker.run_until_idle().await.unwrap();
        assert_eq!(subscriber.seen().len(), expected);
    }
    assert_eq!(world.store.backlog().await.unwrap().waiting, 0);
}

/// Every place that endpoints in doubt may have is taken for good, thousands more of them wait, and the endpoints that
/// work go on: from the queue, and handed over by commits.
#[tokio::test]
async fn dead_endpoints_do_not_hold_up_those_that_work() {
    let drain = Duration::from_millis(50);
    let config = DeliveryConfig { concurrency: 16, per_lane: 4, drain, ..DeliveryConfig::default() };
    let world = world_with(config, |store| store).await;
    let (hanging, healthy) = (Subscriber::http().await, Subscriber::http().await);
    hanging.script(std::iter::repeat_n(Act::Hang, 10_000));
    let good: Vec<EndpointView> = (0..3).map(|n| world.endpoint(&healthy.url(&format!("/{n}")))).collect();
    for view in &good {
        world.queue(view).await;
    }
    world.worker.run_until_idle().await.unwrap();
    for n in 0..size(20, 5_000) {
        let mut dead = world.endpoint(&hanging.url(&format!("/{n}")));
        dead.endpoint.timeout_s = Some(30);
        world.endpoints.put(dead.clone());
        for _ in 0..4 {
            world.queue(&dead).await;
        }
    }
    let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for n in 0..size(20, 5_000) {
        let dead = world.endpoint(&format!("http://{refusing}/{n}"));
        for _ in 0..10 {
            world.queue(&dead).await;
        }
    }
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&world.worker).run(stopped));
    tokio::time::timeout(PATIENCE, hanging.wait_for(4)).await.unwrap();
    for _ in 0..10 {
        for view in &good {
            world.queue(view).await;
            let (_, committed) = world.queue_leased(view).await;
            world.worker.hand_over(committed.leased, committed.now);
        }
    }
    world.worker.wake();
    tokio::time::timeout(PATIENCE, healthy.wait_for(3 + 60)).await.unwrap();
    assert!(hanging.seen().len() <= 8, "half of the places: {}", hanging.seen().len());
    stop.send(true).unwrap();
    running.await.unwrap();
    assert_eq!(world.store.backlog().await.unwrap().leased, 0);
}

#[tokio::test]
async fn endpoints_that_refuse_cost_few_attempts() {
    let world = world().await;
    let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let dead = world.endpoint(&format!("http://{refusing}/"));
    let ids = queue_many(&world, &dead, 100).await;
    let mut tried = world.worker.run_until_idle().await.unwrap();
    for _ in 0..60 {
        world.clock.advance(10 * SECOND);
        tried += world.worker.run_until_idle().await.unwrap();
    }
    // In ten minutes: those of the beginning, then one after 5, 10, 20, 40, 80, 160 and 300 seconds.
    assert!((PER_LANE..PER_LANE + 9).contains(&tried), "{tried}");
    assert_eq!(status(&world, &ids, DeliveryStatus::Pending).await, 100);
}

#[tokio::test]
async fn a_long_queue_hides_no_short_one() {
    let world = world().await;
    let (busy, quiet) = (Subscriber::http().await, Subscriber::http().await);
    let (many, one) = (world.endpoint(&busy.url("/")), world.endpoint(&quiet.url("/")));
    let count = size(5_000, 100_000);
    for _ in 0..count / 500 {
        let event = Event { payment: 7, created_at: world.now(), ..world.shop.event() };
        let deliver = |_| Delivery {
            round_started_at: world.now(),
            next_attempt_at: Some(world.now()),
            ..world.shop.delivery_to(many.endpoint.id, &event)
        };
        let deliveries = (0..500).map(deliver).collect();
        world.shop.write(Commit { events: vec![event.clone()], deliveries, ..world.shop.commit() }).await;
    }
    world.worker.step().await.unwrap();
    world.queue(&one).await;
    world.worker.step().await.unwrap();
    assert_eq!(quiet.seen().len(), 1, "in the next claim");
    assert_eq!(busy.seen().len(), 2 * PER_LANE);
}

#[test]
fn what_failed_together_is_not_tried_together() {
    let (schedule, count) = (Schedule::default(), size(2_000, 50_000));
    let mut seconds = std::collections::BTreeMap::new();
    for _ in 0..count {
        let seed = seed(DeliveryId(samples::id()), 4);
        let stand = Stand { attempts: 4, started_at: 0, now: 60 * SECOND, seed, not_before: None };
        *seconds.entry(schedule.next(&stand).unwrap() / SECOND).or_insert(0_usize) += 1;
    }
    // The interval is 78 s: its jitter spreads them over 31 s.
    assert!(seconds.len() >= 31, "{seconds:?}");
    let most = seconds.values().max().unwrap();
    assert!(*most <= count / 31 * 2, "{most} of {count} in one second");
}
