//! The process ends at each step of a payment's path, while the provider repeats what was not answered: nothing that was
//! acknowledged is lost, each payment is exactly one event, and only what was under way comes twice.

use std::os::unix::process::ExitStatusExt as _;

use kassir::fail_point::Point;

use crate::faults::{Receiver, Shop, Stream, end_and_compare, shop_with, size};
use crate::process::Plan;
use crate::redis_server::{DURABLE, Server};

/// Requests that the subscriber takes at once: no more can be under way when the process ends.
const IN_FLIGHT: usize = 8;
/// Senders at once.
const SENDERS: usize = 8;
/// One order in so many is refused when it first comes, so that there is something to schedule and to claim.
const REFUSED: usize = 5;
/// First order of those that come while old records go.
const LATER: usize = 1_000_000;
/// How the process ends itself.
const SIGABRT: i32 = 6;

/// Ends the process at a point, several times.
async fn end_at(plan: &Plan, point: Point, rounds: usize) {
    for round in 0..rounds {
        // Not always the first time: sometimes in the middle of much else.
        let count = 1 + round * 7 % 20;
        let armed = plan.with("KASSIR_FAIL_POINT", &format!("{}:{count}", point.word()));
        let ended = armed.run_to_its_end().await;
        assert_eq!(ended.signal(), Some(SIGABRT), "it ended otherwise than at {}: {ended:?}", point.word());
    }
}

/// Kills it once the subscriber has got a request and not answered: the request is sent, its answer is not there.
async fn end_while_sending(plan: &Plan, receiver: &Receiver, rounds: usize) {
    for _ in 0..rounds {
        receiver.hold(true);
        let before = receiver.arrivals().len();
        let router = plan.start().await;
        receiver.wait("a request", |arrivals| arrivals.len() > before).await;
        router.kill_9().await;
        receiver.hold(false);
    }
}

/// A last router delivers all; then sender, subscriber and store are compared.
async fn all_delivered(plan: &Plan, receiver: &Receiver, stream: Stream) -> Vec<usize> {
    let router = plan.start().await;
    stream.more(SENDERS).await;
    let accepted = stream.stop().await;
    receiver.wait_for(&accepted).await;
    end_and_compare(vec![router], plan, &accepted).await;
    accepted
}

/// What old records there are goes meanwhile, so that the store is no witness of them any more.
async fn ended_while_old_records_go(
    plan: &Plan,
    receiver: &Receiver,
    shop: &Shop,
    rounds: usize,
) -> Vec<usize> {
    let sweeping =
        plan.with("KASSIR__RETENTION__EVENTS", "1s").with("KASSIR__RETENTION__NOTIFICATIONS", "1s");
    let stream = Stream::start(shop, LATER, SENDERS);
    end_at(&sweeping, Point::InSweep, rounds).await;
    let router = plan.start().await;
    stream.more(SENDERS).await;
    let accepted = stream.stop().await;
    receiver.wait_for(&accepted).await;
    assert_eq!(router.terminate().await, Some(0));
    accepted
}

async fn ended_everywhere(plan: Plan, name: &str) {
    let plan = plan.with("KASSIR__DELIVERY__FIRST_INTERVAL", "50ms");
    let receiver = Receiver::start();
    receiver.refuse_each(REFUSED);
    let router = plan.start().await;
    let shop: Shop = shop_with(&[&plan], &receiver.url, IN_FLIGHT).await;
    router.kill_9().await;
    let stream = Stream::start(&shop, 1, SENDERS);
    let rounds = size(3, 20);
    let points: Vec<Point> = Point::ALL.into_iter().filter(|point| *point != Point::InSweep).collect();
    for point in &points {
        end_at(&plan, *point, rounds).await;
    }
    end_while_sending(&plan, &receiver, rounds).await;
    let mut accepted = all_delivered(&plan, &receiver, stream).await;
    // A router looks for old records ten seconds after its start: only the long form has time for that.
    let sweeps = size(0, rounds);
    if sweeps > 0 {
        accepted.extend(ended_while_old_records_go(&plan, &receiver, &shop, sweeps).await);
    }
    receiver.assert_one_event_each();
    let kills = (points.len() + 1) * rounds + sweeps;
    let counts = receiver.counts(&accepted);
    counts.print(name, &[("kills", &kills), ("points", &(points.len() + 1 + sweeps.min(1)))]);
    assert_eq!(counts.lost, 0);
    assert!(counts.duplicated <= kills * IN_FLIGHT, "more than could be under way: {counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_ended_at_every_point() {
    let folder = tempfile::tempdir().unwrap();
    ended_everywhere(Plan::sqlite(folder.path()), "C1-sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_ended_at_every_point() {
    let server = Server::start(DURABLE);
    let folder = tempfile::tempdir().unwrap();
    ended_everywhere(Plan::on(folder.path(), &server.url()), "C1-redis").await;
}
