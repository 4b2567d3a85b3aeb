//! What a router had in hand when it died or stood still.

use std::sync::Arc;

use kassir::clock::Stopwatch;

use super::{Receiver, accept_all, accepted_after, end_and_compare, open_shop, shop};
use crate::process::{Plan, Process};
use crate::redis_server::{DURABLE, Server};
use crate::size::size;

/// Deliveries in hand when the router is killed.
const IN_HAND: usize = 20;
/// What another left is taken over within this, seconds: about nine, and as long again on a machine that is very busy; the
/// leases themselves last 45.
const TAKEN_OVER_S: f64 = 20.0;

/// Two routers (or more) on one store, each with a port of its own, with one folder and so with one master key.
async fn routers(server: &Server, folder: &std::path::Path, count: usize) -> Vec<(Plan, Option<Process>)> {
    let mut routers = Vec::new();
    for _ in 0..count {
        let plan = Plan::on(folder, &server.url());
        let process = plan.start().await;
        routers.push((plan, Some(process)));
    }
    routers
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_router_had_in_hand_is_taken_over_within_seconds() {
    let server = Server::start(DURABLE);
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::on(folder.path(), &server.url());
    let (receiver, first, shop) = open_shop(&plan).await;
    receiver.hold(true);
    let orders: Vec<usize> = (1..=IN_HAND).collect();
    accept_all(&shop, &orders, 1, async |_| {}).await;
    receiver.wait_for(&orders).await;
    first.kill_9().await;
    receiver.hold(false);
    let second = plan.start().await;
    let started = Stopwatch::start();
    receiver.wait("the second attempts", |arrivals| arrivals.len() >= 2 * IN_HAND).await;
    let after = started.elapsed().as_secs_f64();
    assert!(after <= TAKEN_OVER_S, "{after} s after the start");
    end_and_compare(vec![second], &plan, &orders).await;
    receiver.assert_one_event_each();
    let counts = receiver.counts(&orders);
    counts.print("router_killed_with_work_in_hand", &[("taken_over_after_s", &format!("{after:.1}"))]);
    assert_eq!((counts.lost, counts.duplicated), (0, IN_HAND));
}

/// A router stands still (SIGSTOP) for longer than others wait for it, while its attempt is under way: that attempt's
/// failure comes after the success of the one who took over, and must not overwrite it.
#[tokio::test(flavor = "multi_thread")]
async fn the_late_result_of_a_router_that_stood_still_overwrites_nothing() {
    let server = Server::start(DURABLE);
    let folder = tempfile::tempdir().unwrap();
    let mut routers = routers(&server, folder.path(), 2).await;
    let receiver = Receiver::start();
    let shop = shop(&[&routers[0].0], &receiver.url).await;
    let client = routers[1].0.client();
    receiver.hold(true);
    receiver.answer(500);
    accept_all(&shop, &[1], 1, async |_| {}).await;
    receiver.wait_for(&[1]).await;
    let stopped = routers[0].1.take().unwrap();
    stopped.signal("STOP").await;
    receiver.answer(200);
    receiver.hold(false);
    let waited = Stopwatch::start();
    receiver.wait("the attempt of the other router", |arrivals| arrivals.len() >= 2).await;
    let after = waited.elapsed().as_secs_f64();
    assert!(after <= TAKEN_OVER_S, "{after} s");
    let path = format!("{}/deliveries/{}", shop.merchant, receiver.arrivals()[0].delivery);
    let settled = async || {
        loop {
            let delivery = client.get(&path).await.unwrap();
            if delivery["status"] == "delivered" {
                return delivery;
            }
            tokio::task::yield_now().await;
        }
    };
    let before = settled().await;
    assert_eq!(before["attempts"].as_array().unwrap().len(), 1);
    stopped.signal("CONT").await;
    // It works on, and by the time it has delivered something new it has tried to write the old result.
    accepted_after(&shop, 2).await;
    receiver.wait_for(&[2]).await;
    assert_eq!(settled().await, before);
    assert_eq!(stopped.terminate().await, Some(0));
    assert_eq!(settled().await, before);
    let counts = receiver.counts(&[1, 2]);
    counts.print("router_stopped_longer_than_its_lease", &[("taken_over_after_s", &format!("{after:.1}"))]);
    assert_eq!((counts.delivered, counts.duplicated, counts.lost), (2, 1, 0));
    receiver.assert_one_event_each();
}

/// Several routers on one Redis, one of which is killed and started again, several times.
async fn several_routers(count: usize, orders: usize, kills: usize) {
    let server = Server::start(DURABLE);
    let folder = tempfile::tempdir().unwrap();
    let mut routers = routers(&server, folder.path(), count).await;
    let receiver = Receiver::start();
    let plans: Vec<Plan> = routers.iter().map(|(plan, _)| plan.clone()).collect();
    let shop = shop(&plans.iter().collect::<Vec<_>>(), &receiver.url).await;
    let orders: Vec<usize> = (1..=orders).collect();
    let mut turn = 0;
    accept_all(&shop, &orders, kills + 1, async |_| {
        turn += 1;
        let (plan, process) = &mut routers[turn % count];
        process.take().unwrap().kill_9().await;
        *process = Some(plan.start().await);
    })
    .await;
    receiver.wait_for(&orders).await;
    let processes = routers.into_iter().map(|(_, process)| process.unwrap()).collect();
    end_and_compare(processes, &plans[0], &orders).await;
    receiver.assert_one_event_each();
    let counts = receiver.counts(&orders);
    counts.print("routers_on_one_redis", &[("routers", &count), ("kills", &kills)]);
    assert_eq!(counts.lost, 0);
    // Only what a killed router had in hand comes twice: an endpoint has 64 places.
    assert!(counts.duplicated <= kills * 64, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_routers_on_one_redis() {
    several_routers(2, size(1_000, 10_000), size(2, 10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_routers_on_one_redis() {
    several_routers(5, size(1_000, 10_000), size(2, 10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_routers_that_nobody_kills_send_nothing_twice() {
    let receiver_twice = several_undisturbed().await;
    assert_eq!(receiver_twice, 0);
}

async fn several_undisturbed() -> usize {
    let server = Server::start(DURABLE);
    let folder = tempfile::tempdir().unwrap();
    let routers = routers(&server, folder.path(), 2).await;
    let receiver: Arc<Receiver> = Receiver::start();
    let plans: Vec<Plan> = routers.iter().map(|(plan, _)| plan.clone()).collect();
    let shop = shop(&plans.iter().collect::<Vec<_>>(), &receiver.url).await;
    let orders: Vec<usize> = (1..=size(500, 10_000)).collect();
    accept_all(&shop, &orders, 1, async |_| {}).await;
    receiver.wait_for(&orders).await;
    let processes = routers.into_iter().map(|(_, process)| process.unwrap()).collect();
    end_and_compare(processes, &plans[0], &orders).await;
    let counts = receiver.counts(&orders);
    counts.print("routers_undisturbed", &[("routers", &2)]);
    assert_eq!(counts.lost, 0);
    counts.duplicated
}
