//! SIGTERM under load, with subscribers that take their time.

use kassir::clock::Stopwatch;

use crate::faults::{Stream, end_and_compare, open_shop, size};
use crate::process::Plan;
use crate::redis_server::{DURABLE, Server};

/// Senders at once, and so deliveries in hand while the subscriber takes its time.
const SENDERS: usize = 16;

/// What is under way when the stop comes is finished within the drain time, and nothing comes twice.
async fn finished(plan: Plan, name: &str) {
    let (receiver, mut router, shop) = open_shop(&plan).await;
    let stream = Stream::start(&shop, 1, SENDERS);
    for _ in 0..size(2, 20) {
        stream.more(SENDERS).await;
        receiver.hold(true);
        let before = receiver.arrivals().len();
        receiver.wait("requests under way", |arrivals| arrivals.len() >= before + SENDERS).await;
        router.signal("TERM").await;
        receiver.hold(false);
        assert_eq!(router.ended().await, Some(0));
        router = plan.start().await;
    }
    let accepted = stream.stop().await;
    receiver.wait_for(&accepted).await;
    end_and_compare(vec![router], &plan, &accepted).await;
    receiver.assert_one_event_each();
    let counts = receiver.counts(&accepted);
    counts.print(name, &[("stops", &size(2, 20))]);
    assert_eq!((counts.duplicated, counts.lost), (0, 0));
}

/// What is not finished within the drain time is given back: the next router sends it at once, not when a lease ends.
async fn given_back(plan: Plan, name: &str) {
    let plan = plan.with("KASSIR__DELIVERY__DRAIN", "1s");
    let (receiver, router, shop) = open_shop(&plan).await;
    receiver.hold(true);
    let orders: Vec<usize> = (1..=SENDERS).collect();
    crate::faults::accept_all(&shop, &orders, 1, async |_| {}).await;
    receiver.wait_for(&orders).await;
    let stopping = Stopwatch::start();
    assert_eq!(router.terminate().await, Some(0));
    let stopped_after = stopping.elapsed().as_secs_f64();
    receiver.hold(false);
    let started = Stopwatch::start();
    let router = plan.start().await;
    receiver.wait("all again", |arrivals| arrivals.len() >= 2 * SENDERS).await;
    let again_after = started.elapsed().as_secs_f64();
    end_and_compare(vec![router], &plan, &orders).await;
    receiver.assert_one_event_each();
    let counts = receiver.counts(&orders);
    let (stopped, again) = (format!("{stopped_after:.1}"), format!("{again_after:.1}"));
    counts.print(name, &[("stopped_after_s", &stopped), ("sent_again_after_s", &again)]);
    // Only those whose answer nobody waited for.
    assert_eq!((counts.duplicated, counts.lost), (SENDERS, 0));
    // Leases end after 45 s.
    assert!(again_after < 40.0, "it waited for leases to end: {again_after} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_stop_under_load() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    finished(Plan::sqlite(one.path()), "C8-finished-sqlite").await;
    given_back(Plan::sqlite(two.path()), "C8-given-back-sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_stop_under_load() {
    let (one, two) = (Server::start(DURABLE), Server::start(DURABLE));
    let folder = tempfile::tempdir().unwrap();
    finished(Plan::on(folder.path(), &one.url()), "C8-finished-redis").await;
    given_back(Plan::on(folder.path(), &two.url()), "C8-given-back-redis").await;
}
