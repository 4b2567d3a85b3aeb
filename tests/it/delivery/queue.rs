//! How the worker treats the queue: fairness, people's wishes, stops and outages.

use std::sync::Arc;
use std::time::Duration;

use kassir::delivery::schedule::Schedule;
use kassir::delivery::{DeliveryConfig, LEASE_MARGIN, request_replay};
use kassir::domain::ids::ReplayId;
use kassir::domain::{DeliveryStatus, Task};
use kassir::store::Commit;
use tokio::sync::{Notify, watch};

use super::flaky::{Flaky, Verb};
use super::world::{World, world, world_with};
use crate::store_suite::samples;
use crate::subscriber::{Act, Subscriber};

/// Nothing here takes that long; so that a failing test ends.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_endpoint_that_hangs_does_not_hold_up_another() {
    let drain = Duration::from_millis(50);
    let config = DeliveryConfig { concurrency: 8, per_lane: 2, drain, ..DeliveryConfig::default() };
    let world = world_with(config, |store| store).await;
    let (hanging, healthy) = (Subscriber::http().await, Subscriber::http().await);
    hanging.script(std::iter::repeat_n(Act::Hang, 100));
    let mut slow = world.endpoint(&hanging.url("/"));
    slow.endpoint.timeout_s = Some(30);
    world.endpoints.put(slow.clone());
    let good = world.endpoint(&healthy.url("/"));
    for _ in 0..50 {
        world.queue(&slow).await;
    }
    for _ in 0..5 {
        world.queue(&good).await;
    }
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&world.worker).run(stopped));
    tokio::time::timeout(PATIENCE, healthy.wait_for(5)).await.unwrap();
    assert!(hanging.seen().len() <= 2, "at most two at once: {}", hanging.seen().len());
    stop.send(true).unwrap();
    running.await.unwrap();
    assert_eq!(world.store.backlog().await.unwrap().leased, 0, "nothing is left behind leased");
}

#[tokio::test]
async fn an_endpoints_own_limit_is_kept() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let gate = Arc::new(Notify::new());
    subscriber.script(std::iter::repeat_n(Act::Gate(Arc::clone(&gate), 200), 3));
    let mut view = world.endpoint(&subscriber.url("/"));
    view.endpoint.max_in_flight = Some(1);
    world.endpoints.put(view.clone());
    for _ in 0..3 {
        world.queue(&view).await;
    }
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&world.worker).run(stopped));
    for count in 1..=3 {
        tokio::time::timeout(PATIENCE, subscriber.wait_for(count)).await.unwrap();
        assert_eq!(subscriber.seen().len(), count, "one after the other");
        gate.notify_one();
    }
    stop.send(true).unwrap();
    running.await.unwrap();
    assert_eq!(world.store.backlog().await.unwrap().waiting, 0);
}

#[tokio::test]
async fn one_lane_with_a_long_queue_leaves_room_for_others() {
    let config = DeliveryConfig { concurrency: 10, per_lane: 3, ..DeliveryConfig::default() };
    let world = world_with(config, |store| store).await;
    let (busy, quiet) = (Subscriber::http().await, Subscriber::http().await);
    let (many, one) = (world.endpoint(&busy.url("/")), world.endpoint(&quiet.url("/")));
    for _ in 0..30 {
        world.queue(&many).await;
    }
    world.queue(&one).await;
    assert_eq!(world.worker.step().await.unwrap(), 4);
    assert_eq!((busy.seen().len(), quiet.seen().len()), (3, 1));
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 27);
}

#[tokio::test]
async fn work_handed_over_needs_no_claim() {
    let config = DeliveryConfig { per_lane: 1, ..DeliveryConfig::default() };
    let world = world_with(config, |store| store).await;
    let subscriber = Subscriber::http().await;
    let gate = Arc::new(Notify::new());
    subscriber.script([Act::Gate(Arc::clone(&gate), 200)]);
    let view = world.endpoint(&subscriber.url("/"));
    let (first, committed) = world.queue_leased(&view).await;
    assert_eq!(world.worker.step().await.unwrap(), 0, "it is leased already");
    world.worker.hand_over(committed.leased, committed.now);
    tokio::time::timeout(PATIENCE, subscriber.wait_for(1)).await.unwrap();
    let (second, committed) = world.queue_leased(&view).await;
    world.worker.hand_over(committed.leased, committed.now);
    gate.notify_one();
    let both = async {
        while world.load(second).await.status != DeliveryStatus::Delivered {
            world.worker.run_until_idle().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, both).await.unwrap();
    assert_eq!(world.load(first).await.status, DeliveryStatus::Delivered);
    assert_eq!(subscriber.seen().len(), 2);
}

#[tokio::test]
async fn endpoints_that_are_off_or_gone() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let mut off = world.endpoint(&subscriber.url("/off"));
    off.endpoint.enabled = false;
    world.endpoints.put(off.clone());
    let gone = world.endpoint(&subscriber.url("/gone"));
    world.endpoints.remove(gone.endpoint.id);
    let (held, canceled) = (world.queue(&off).await, world.queue(&gone).await);
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 2);
    for (id, status) in [(held, DeliveryStatus::Held), (canceled, DeliveryStatus::Canceled)] {
        let delivery = world.load(id).await;
        assert_eq!((delivery.status, delivery.attempts, delivery.next_attempt_at), (status, 0, None));
        assert_eq!(world.attempts(id).await, []);
    }
    assert_eq!(subscriber.connections(), 0);
    off.endpoint.enabled = true;
    world.endpoints.put(off);
    let asked = request_replay(world.load(held).await, "ann", None, None, world.now());
    world.store.update_delivery(asked).await.unwrap();
    world.worker.run_until_idle().await.unwrap();
    assert_eq!(world.load(held).await.status, DeliveryStatus::Delivered);
}

#[tokio::test]
async fn an_endpoint_whose_secret_does_not_open_is_looked_at_again_until_its_time_is_over() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let view = world.endpoint(&subscriber.url("/"));
    world.endpoints.spoil(view.endpoint.id);
    let [healed, lost] = [world.queue(&view).await, world.queue(&view).await];
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 2, "no hot loop");
    let delivery = world.load(healed).await;
    assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Pending, 0));
    assert_eq!(delivery.last_error.as_deref(), Some("the endpoint can't be loaded: a secret does not open"));
    assert_eq!(delivery.next_attempt_at, Some(world.now() + 5_000));
    assert!(world.attempts(healed).await.is_empty());
    // Somebody sees to it in time.
    world.endpoints.put(view.clone());
    assert_eq!(world.go_to_next(healed).await.status, DeliveryStatus::Delivered);
    assert_eq!(world.load(lost).await.status, DeliveryStatus::Delivered);
    // Nobody does.
    world.endpoints.spoil(view.endpoint.id);
    let (began, lost) = (world.now(), world.queue(&view).await);
    world.worker.run_until_idle().await.unwrap();
    let (mut looks, mut longest) = (0, 0);
    let ended = loop {
        let before = world.now();
        let delivery = world.go_to_next(lost).await;
        (looks, longest) = (looks + 1, longest.max(world.now() - before));
        if delivery.status != DeliveryStatus::Pending {
            break delivery;
        }
    };
    assert_eq!((ended.status, ended.attempts), (DeliveryStatus::Failed, 0));
    assert!(ended.last_error.is_some_and(|error| error.contains("can't be loaded")));
    // Every five minutes; the last time takes in what is left of the time.
    assert!(looks < 350 && (300_000..=360_000).contains(&longest), "{looks} {longest}");
    assert_eq!(world.now(), Schedule::default().last_slot(began));
    assert_eq!(subscriber.seen().len(), 2);
}

#[tokio::test]
async fn a_failed_replay_of_a_waiting_delivery_keeps_its_schedule() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    subscriber.script([Act::status(500), Act::status(500)]);
    let view = world.endpoint(&subscriber.url("/"));
    let id = world.queue(&view).await;
    world.worker.run_until_idle().await.unwrap();
    let due = world.load(id).await.next_attempt_at;
    world.clock.advance(1_000);
    let replay = ReplayId(samples::id());
    let asked = request_replay(world.load(id).await, "ann", None, Some(replay), world.now());
    world.store.update_delivery(asked).await.unwrap();
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 1);
    let after = world.load(id).await;
    assert_eq!((after.next_attempt_at, after.attempts, after.round), (due, 2, 1));
    assert_eq!(after.replayed_by, Some(replay));
    assert_eq!(world.go_to_next(id).await.status, DeliveryStatus::Delivered);
    let seen = subscriber.seen();
    let marks: Vec<&str> = seen.iter().map(|seen| seen.header("kassir-replay")).collect();
    assert_eq!(marks, ["", "true", ""]);
}

#[tokio::test]
async fn a_wish_during_an_attempt_is_not_lost() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let gate = Arc::new(Notify::new());
    subscriber.script([Act::Gate(Arc::clone(&gate), 500)]);
    let view = world.endpoint(&subscriber.url("/"));
    let id = world.queue(&view).await;
    let worker = Arc::clone(&world.worker);
    let step = tokio::spawn(async move { worker.step().await.unwrap() });
    tokio::time::timeout(PATIENCE, subscriber.wait_for(1)).await.unwrap();
    world.clock.advance(10);
    let asked = request_replay(world.load(id).await, "ann", None, None, world.now());
    world.store.update_delivery(asked).await.unwrap();
    gate.notify_one();
    assert_eq!(step.await.unwrap(), 1);
    let after = world.load(id).await;
    assert_eq!((after.attempts, after.round, after.next_attempt_at), (1, 1, Some(world.now())));
    assert!(after.resume_at.is_some() && after.replay.is_some());
    assert_eq!(world.attempts(id).await.len(), 1);
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 1);
    assert_eq!(world.load(id).await.status, DeliveryStatus::Delivered);
    assert_eq!(subscriber.seen()[1].header("kassir-replay"), "true");
}

#[tokio::test]
async fn a_stop_gives_back_what_is_under_way() {
    let config = DeliveryConfig { drain: Duration::from_millis(50), ..DeliveryConfig::default() };
    let world = world_with(config, |store| store).await;
    let subscriber = Subscriber::http().await;
    subscriber.script([Act::Gate(Arc::new(Notify::new()), 200)]);
    let mut view = world.endpoint(&subscriber.url("/"));
    view.endpoint.timeout_s = Some(30);
    world.endpoints.put(view.clone());
    let id = world.queue(&view).await;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&world.worker).run(stopped));
    tokio::time::timeout(PATIENCE, subscriber.wait_for(1)).await.unwrap();
    drop(stop);
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    assert_eq!(world.store.backlog().await.unwrap().leased, 0);
    assert_eq!(world.store.claim(&samples::ask(10)).await.unwrap().work.len(), 1, "due at once");
    assert_eq!(world.load(id).await.attempts, 0);
    let (other, committed) = world.queue_leased(&view).await;
    world.worker.hand_over(committed.leased, committed.now);
    let given_back = async {
        while !world.shop.claim().await.work.iter().any(|work| samples::delivery_of(work).id == other) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, given_back).await.unwrap();
    assert_eq!(subscriber.seen().len(), 1, "nothing is begun after the stop");
}

#[tokio::test]
async fn jobs_go_to_their_handler() {
    let world = world().await;
    let job = world.shop.job(Task::Poll { payment: 1 });
    let commit = Commit { jobs: vec![(job.clone(), 0)], ..world.shop.commit() };
    world.store.commit(commit).await.unwrap();
    *world.jobs.again_in.lock().unwrap() = Some(5_000);
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 1);
    world.clock.advance(4_999);
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 0);
    world.clock.advance(1);
    *world.jobs.again_in.lock().unwrap() = None;
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 1);
    let ran: Vec<u32> = world.jobs.ran.lock().unwrap().iter().map(|job| job.attempts).collect();
    assert_eq!(ran, [0, 1]);
    assert_eq!(world.store.backlog().await.unwrap().waiting, 0);
}

#[tokio::test]
async fn a_job_that_never_ends_is_run_more_and_more_rarely() {
    let lease = LEASE_MARGIN / 3 + Duration::from_millis(50);
    let world = world_with(DeliveryConfig { lease, ..DeliveryConfig::default() }, |store| store).await;
    *world.jobs.hang.lock().unwrap() = true;
    let job = world.shop.job(Task::Poll { payment: 1 });
    world.store.commit(Commit { jobs: vec![(job, 0)], ..world.shop.commit() }).await.unwrap();
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 1);
    // The growing intervals, once they are longer than the shortest pause.
    for pause in [30_000, 30_000, 31_250, 78_125] {
        world.clock.advance(pause - 1);
        assert_eq!(world.worker.run_until_idle().await.unwrap(), 0, "{pause}");
        world.clock.advance(1);
        assert_eq!(world.worker.run_until_idle().await.unwrap(), 1, "{pause}");
    }
}

async fn on_a_flaky_store() -> (World, Arc<Flaky>) {
    let mut flaky = None;
    let world = world_with(DeliveryConfig::default(), |store| {
        let around = Flaky::around(store);
        flaky = Some(Arc::clone(&around));
        around
    })
    .await;
    (world, flaky.unwrap())
}

#[tokio::test]
async fn a_result_is_written_as_soon_as_the_store_is_back() {
    let (world, flaky) = on_a_flaky_store().await;
    let subscriber = Subscriber::http().await;
    let view = world.endpoint(&subscriber.url("/"));
    let id = world.queue(&view).await;
    flaky.fail(Verb::Settle, 3);
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 1);
    assert_eq!(world.load(id).await.status, DeliveryStatus::Delivered);
    assert_eq!((subscriber.seen().len(), world.attempts(id).await.len()), (1, 1), "sent once");
}

#[tokio::test]
async fn work_goes_on_after_an_outage_without_a_hot_loop() {
    let (world, flaky) = on_a_flaky_store().await;
    flaky.fail(Verb::Claim, 4);
    let subscriber = Subscriber::http().await;
    let view = world.endpoint(&subscriber.url("/"));
    world.queue(&view).await;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&world.worker).run(stopped));
    let waking = tokio::spawn({
        let worker = Arc::clone(&world.worker);
        async move {
            loop {
                worker.wake();
                tokio::task::yield_now().await;
            }
        }
    });
    tokio::time::timeout(PATIENCE, flaky.failed(Verb::Claim, 4)).await.unwrap();
    assert_eq!(subscriber.seen().len(), 0);
    waking.abort();
    tokio::time::timeout(PATIENCE, subscriber.wait_for(1)).await.unwrap();
    stop.send(true).unwrap();
    running.await.unwrap();
}

#[tokio::test]
async fn a_lease_that_is_nearly_over_is_not_used() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let view = world.endpoint(&subscriber.url("/"));
    let (id, committed) = world.queue_leased(&view).await;
    // The process stood still for nearly as long as the lease.
    world.clock.advance(59_900);
    world.worker.hand_over(committed.leased, world.now());
    let sent = async {
        while world.load(id).await.status != DeliveryStatus::Delivered {
            world.worker.run_until_idle().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, sent).await.unwrap();
    assert_eq!((subscriber.seen().len(), world.attempts(id).await.len()), (1, 1));
}
