//! How many round trips to the store a notification and a delivery cost.

use super::{Scrape, pay, set_up};
use crate::process::Plan;
use crate::redis_server::{DURABLE, Server};
use crate::subscriber::Subscriber;

const NOTIFICATIONS: u64 = 50;
/// Round trips beside the notifications': the first look at a token and its merchant, and a look every two seconds
/// whether what is at hand is current. Far fewer than a third one for each notification.
const BESIDE: u64 = 25;
/// What goes on all the time, however much is received: the worker's looks at the queue, and the upkeep.
const BACKGROUND: &[&str] = &[
    "alive",
    "backlog",
    "claim",
    "failing",
    "hash_all",
    "health",
    "holds",
    "mend",
    "merchant_ids",
    "now",
    "payment_list",
    "ready",
    "record_list",
    "release",
    "sweep",
    "sweep_event",
    "sweep_gone",
    "sweep_idem",
    "sweep_notes",
    "sweep_payment",
    "sweep_tallies",
];

async fn two_a_notification_and_one_a_delivery(plan: Plan) {
    let router = plan.start().await;
    let subscriber = Subscriber::http().await;
    let url = set_up(&plan, &subscriber).await;
    let before = Scrape::of(&plan).await;
    for order in 0..NOTIFICATIONS {
        assert_eq!(pay(&url, order, "abc").await, 200);
    }
    subscriber.wait_for(NOTIFICATIONS as usize).await;
    // The last answers are still being settled.
    let after = Scrape::when(&plan, |scrape| {
        scrape.sum("kassir_store_calls_total", &["verb=\"settle\""]) >= NOTIFICATIONS
    });
    let after = after.await;
    let earlier = before.round_trips();
    let mut made = after.round_trips();
    for (verb, count) in &mut made {
        *count -= earlier.get(verb).copied().unwrap_or(0);
    }
    assert_eq!(made["settle"], NOTIFICATIONS, "one a delivery: {made:?}");
    let background = |verb: &str| BACKGROUND.contains(&verb);
    let inbound: u64 =
        made.iter().filter(|(verb, _)| !background(verb) && *verb != "settle").map(|(_, count)| count).sum();
    assert!(inbound <= 2 * NOTIFICATIONS + BESIDE, "two a notification: {made:?}");
    let accepted = ["provider=\"cloudpayments\"", "outcome=\"accepted\""];
    assert_eq!(after.sum("kassir_notifications_total", &accepted), NOTIFICATIONS);
    assert_eq!(after.sum("kassir_delivery_attempts_total", &["outcome=\"success\""]), NOTIFICATIONS);
    assert_eq!(router.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn round_trips_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    two_a_notification_and_one_a_delivery(Plan::sqlite(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn round_trips_on_redis() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(DURABLE);
    two_a_notification_and_one_a_delivery(Plan::on(folder.path(), &server.url())).await;
}
