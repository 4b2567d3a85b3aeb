//! How late events come at endpoints that work, beside very many that don't, and beside long queues.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use kassir::clock::Stopwatch;
use kassir::delivery::outbound::OutboundConfig;
use kassir::delivery::{DeliveryConfig, EndpointView};
use kassir::domain::{Delivery, Event};
use kassir::store::Commit;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::world::{World, world_through};
use crate::faults::{Receiver, Shop, UNCOUNTED, accept_all, open_shop, print, shop, size};
use crate::process::{Plan, Process};
use crate::raw::{Raw, post};
use crate::robokassa::paid;
use crate::subscriber::Subscriber;

/// Nothing here takes that long; so that a failing test ends.
const PATIENCE: Duration = Duration::from_secs(100);
/// How much later than alone an event of an endpoint that works may be, but for one in a hundred: beside dead ones …
const DEAD_MS: usize = 100;
/// … and beside a long queue of others, milliseconds.
const QUEUE_MS: usize = 1_000;
/// In the short form, beside many other tests: later than alone by less than an attempt at what hangs takes …
const HANGING_MS: usize = 10_000;
/// … and not behind the whole queue.
const QUEUE_SHORT_MS: usize = 60_000;
/// Senders, and the pause of each between two notifications: a hundred in a second.
const SENDERS: usize = 10;
const EVERY: Duration = Duration::from_millis(100);
/// First orders of those that are sent before there are dead endpoints, and of those for the dead ones.
const ALONE: usize = 1;
const BESIDE: usize = 1_000_000;
const FOR_THE_DEAD: usize = 2_000_000;
/// Dead endpoints of one merchant.
const OF_ONE_MERCHANT: usize = 100;
/// Processor time that dead endpoints may take, percent of a core.
const PROCESSOR_MAX: f64 = 50.0;
/// Endpoints of the long queues.
const HERDS: usize = 50;
/// Requests at once to their host.
const PER_HOST: u32 = 1_024;
/// Deliveries of one commit.
const BATCH: usize = 500;

fn p99(mut took: Vec<Duration>) -> usize {
    took.sort_unstable();
    usize::try_from(took[took.len() * 99 / 100].as_millis()).unwrap()
}

/// Sends so many orders, a hundred in a second; gives when each was accepted, by the subscriber's time.
async fn steadily(
    shop: &Shop,
    receiver: &Arc<Receiver>,
    first: usize,
    count: usize,
) -> Vec<(usize, Duration)> {
    let senders: Vec<_> = (0..SENDERS)
        .map(|number| {
            let (url, receiver) = (shop.urls[0].clone(), Arc::clone(receiver));
            tokio::spawn(async move {
                let (mut connection, mut turn) = (Raw::to(&url).await, tokio::time::interval(EVERY));
                let mut accepted = Vec::new();
                for order in (first + number..first + count).step_by(SENDERS) {
                    turn.tick().await;
                    connection.send(&post(&url, &paid(order))).await;
                    assert_eq!(connection.answer().await, Some((200, format!("OK{order}"))));
                    accepted.push((order, receiver.since_start()));
                }
                accepted
            })
        })
        .collect();
    let mut all = Vec::new();
    for sender in senders {
        all.extend(sender.await.unwrap());
    }
    all
}

/// How long after its acceptance each came.
async fn lateness(receiver: &Receiver, accepted: &[(usize, Duration)]) -> Vec<Duration> {
    let orders: Vec<usize> = accepted.iter().map(|(order, _)| *order).collect();
    receiver.wait_for(&orders).await;
    let arrived: std::collections::HashMap<usize, Duration> =
        receiver.arrivals().iter().rev().map(|arrival| (arrival.order, arrival.at)).collect();
    // It may come before its sender hears that it was accepted.
    accepted.iter().map(|(order, at)| arrived[order].saturating_sub(*at)).collect()
}

/// A measured time: how late events were, and the processor time, in percent of a core.
async fn measured(
    router: &Process,
    shop: &Shop,
    receiver: &Arc<Receiver>,
    first: usize,
    count: usize,
) -> (usize, f64) {
    let (watch, before) = (Stopwatch::start(), router.processor_time());
    let accepted = steadily(shop, receiver, first, count).await;
    let used = (router.processor_time() - before).as_secs_f64() / watch.elapsed().as_secs_f64();
    (p99(lateness(receiver, &accepted).await), used * 100.0)
}

/// Merchants with so many endpoints in all that are dead, each with this many events waiting: half of them refuse
/// connections, half take them and never answer. Each is a host of its own, since endpoints of one host share its places.
async fn dead(plan: &Plan, endpoints: usize, events: usize) -> TcpListener {
    let hole = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let hanging = hole.local_addr().unwrap().port();
    let refusing = TcpListener::bind("0.0.0.0:0").await.unwrap().local_addr().unwrap().port();
    let merchants = (0..endpoints).step_by(OF_ONE_MERCHANT).map(|from| {
        let urls: Vec<String> = (from..(from + OF_ONE_MERCHANT).min(endpoints))
            .map(|number| {
                let port = [hanging, refusing][number % 2];
                format!("http://127.1.{}.{}:{port}/", number / 250, number % 250 + 1)
            })
            .collect();
        merchant(plan.clone(), urls, FOR_THE_DEAD + from * events, events)
    });
    futures_util::stream::iter(merchants).for_each_concurrent(SENDERS, |merchant| merchant).await;
    hole
}

/// A merchant with endpoints at these addresses, and so many events for all of them.
async fn merchant(plan: Plan, urls: Vec<String>, first: usize, events: usize) {
    let shop = shop(&[&plan], &urls[0]).await;
    let (client, path) = (plan.client(), format!("{}/endpoints", shop.merchant));
    for url in &urls[1..] {
        client.post(&path, &json!({ "url": url })).await.unwrap();
    }
    let orders: Vec<usize> = (first..first + events).collect();
    accept_all(&shop, &orders, 1, async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_works_beside_dead_ones() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let plan = Plan { log: Some(log.clone()), ..Plan::sqlite(folder.path()) };
    let (receiver, router, shop) = open_shop(&plan).await;
    let count = size(100, 3_000);
    let (alone, used_alone) = measured(&router, &shop, &receiver, ALONE, count).await;

    let (endpoints, events) = (size(40, 10_000), size(5, 10));
    let hole = dead(&plan, endpoints, events).await;
    let (beside, used_beside) = measured(&router, &shop, &receiver, BESIDE, count).await;
    drop(hole);
    let lines = std::fs::read_to_string(&log).unwrap().lines().count();
    let orders: Vec<usize> = (ALONE..ALONE + count).chain(BESIDE..BESIDE + count).collect();
    let counts = receiver.counts(&orders);
    let dead_used = used_beside - used_alone;
    counts.print(
        "H3-dead",
        &[
            ("dead", &endpoints),
            ("waiting", &(endpoints * events)),
            ("p99_alone_ms", &alone),
            ("p99_beside_ms", &beside),
            ("processor_alone_percent", &format!("{used_alone:.0}")),
            ("processor_of_the_dead_percent", &format!("{dead_used:.0}")),
            ("log_lines", &lines),
        ],
    );
    drop(router);
    assert_eq!((counts.lost, counts.duplicated), (0, 0));
    assert!(lines <= endpoints, "{lines} lines of log: more than one for an endpoint");
    let most = size(HANGING_MS + 2 * alone, DEAD_MS + alone);
    assert!(beside <= most, "{beside} ms, and {alone} ms alone");
    assert!(size(0, 1) == 0 || dead_used <= PROCESSOR_MAX, "{dead_used} percent of a core");
}

/// So many deliveries that are due now, spread over endpoints.
async fn fill(world: &World, views: &[EndpointView], count: usize, attempts: u32) {
    for _ in 0..count / BATCH {
        let event = Event { payment: 7, created_at: world.now(), ..world.shop.event() };
        let deliver = |number: usize| Delivery {
            attempts,
            round_started_at: world.now(),
            next_attempt_at: Some(world.now()),
            ..world.shop.delivery_to(views[number % views.len()].endpoint.id, &event)
        };
        let deliveries = (0..BATCH).map(deliver).collect();
        world.shop.write(Commit { events: vec![event.clone()], deliveries, ..world.shop.commit() }).await;
    }
}

/// What waits is sent as fast as it goes, and meanwhile other endpoints get one event each, from the queue.
async fn beside_queues(name: &str, crowded: usize, attempts: u32) {
    let outbound = OutboundConfig {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        allow_http: true,
        // Its usual timeouts: the clock stands still, and what a busy machine does not send in time is never tried again.
        ..OutboundConfig::default()
    };
    // All are on one host, whose places are not what this is about.
    let config = DeliveryConfig { per_host: PER_HOST, ..DeliveryConfig::default() };
    let world = world_through(&outbound, config, |store| store).await;
    let (busy, quiet) = (Subscriber::http().await, Subscriber::http().await);
    let many: Vec<_> = (0..crowded).map(|n| world.endpoint(&busy.url(&format!("/{n}")))).collect();
    let waiting = size(1_000, 100_000);
    fill(&world, &many, waiting, attempts).await;
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(Arc::clone(&world.worker).run(stopped));
    tokio::time::timeout(PATIENCE, busy.wait_for(1)).await.unwrap();
    let mut took = Vec::new();
    for number in 0..size(20, 200) {
        let view = world.endpoint(&quiet.url(&format!("/{number}")));
        world.queue(&view).await;
        let watch = Stopwatch::start();
        world.worker.wake();
        tokio::time::timeout(PATIENCE, quiet.wait_for(number + 1)).await.unwrap();
        took.push(watch.elapsed());
    }
    let (others, sent) = (took.len(), busy.seen().len());
    stop.send(true).unwrap();
    running.await.unwrap();
    let p99 = p99(took);
    print(
        name,
        [&UNCOUNTED; 4],
        &[
            ("waiting", &waiting),
            ("at_endpoints", &crowded),
            ("sent_meanwhile", &sent),
            ("others", &others),
            ("others_p99_ms", &p99),
        ],
    );
    assert!(sent < waiting || size(0, 1) == 0, "nothing waited any more");
    assert!(p99 <= size(QUEUE_SHORT_MS, QUEUE_MS), "{p99} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_with_one_event_beside_one_with_a_long_queue() {
    beside_queues("H4-crowded", 1, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_with_one_event_beside_a_herd_of_retries() {
    beside_queues("L4-herd", HERDS, 3).await;
}
