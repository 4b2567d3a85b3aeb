//! A slow store, and more notifications at once than are worked on: the surplus is told "later" at once instead of waiting
//! behind all others, memory stays bounded, each accepted one is one event, and when the store is fast again so is the router.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kassir::clock::Stopwatch;
use tokio::sync::watch;

use crate::faults::{Network, Weather, accepted_after, end_and_compare, open_shop, size};
use crate::process::Plan;
use crate::raw::{Raw, post};
use crate::redis_server::{DURABLE, Server};
use crate::robokassa::paid;

/// Notifications that the router works on at once.
const AT_ONCE: usize = kassir::limits::INBOUND_AT_ONCE_MAX;
/// Senders beyond those.
const SURPLUS: usize = 120;
/// How much later the store hears of everything, and is heard: an answer takes twice that.
const SLOW: Duration = Duration::from_millis(1_800);
/// Pause of a sender that was told "later".
const PAUSE: Duration = Duration::from_secs(1);
/// The surplus hears "later" within this, but for one in a hundred, milliseconds: about a second on a machine of its own …
const LATER_MS: usize = 2_000;
/// … and beside many other tests within this.
const LATER_SHORT_MS: usize = 10_000;
/// Longest wait for the first of them.
const PATIENCE: Duration = Duration::from_secs(60);
/// Memory of the router at any time, MiB; and the pause between two looks at it: nothing tells when it is at its highest.
const MEMORY_MAX: u64 = 300;
const POLL_PAUSE: Duration = Duration::from_millis(20);
/// After the store is fast again a notification is accepted within this, seconds: what is under way to it comes late all
/// the same; and beside many other tests within that.
const GOES_ON_S: usize = 10;
const GOES_ON_SHORT_S: usize = 60;
/// Those before, those after, and the first of the senders' orders.
const BEFORE: usize = 1;
const AFTER: usize = 2;
const FIRST: usize = 1_000;

/// What the senders heard.
#[derive(Default)]
struct Heard {
    accepted: Mutex<Vec<usize>>,
    /// How long each "later" took, milliseconds.
    later: Mutex<Vec<u32>>,
    slowest: Mutex<u32>,
}

/// One sender: an order after the other, each repeated until it is accepted.
async fn send(url: String, next: Arc<AtomicUsize>, heard: Arc<Heard>, stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let order = next.fetch_add(1, Ordering::SeqCst);
        loop {
            // Who paused may find a kept connection closed.
            let mut connection = Raw::to(&url).await;
            let watch = Stopwatch::start();
            connection.send(&post(&url, &paid(order))).await;
            let (status, body) = connection.answer().await.expect("an answer");
            let took = watch.elapsed_ms();
            {
                let mut slowest = heard.slowest.lock().unwrap();
                *slowest = took.max(*slowest);
            }
            if status == 200 {
                assert_eq!(body, format!("OK{order}"));
                heard.accepted.lock().unwrap().push(order);
                break;
            }
            // The provider's "later" where it had a place and the store was slower than it may wait; the router's where not.
            assert!(status == 500 || status == 503, "{status} {body}");
            if status == 503 {
                heard.later.lock().unwrap().push(took);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// How many the router turned away because too many were worked on.
async fn turned_away(plan: &Plan) -> usize {
    let mut connection = Raw::to(&format!("{}/", plan.url())).await;
    connection.send(b"GET /metrics HTTP/1.1\r\nhost: router\r\naccept-encoding: identity\r\n\r\n").await;
    let (status, text) = connection.answer().await.expect("an answer");
    assert_eq!(status, 200);
    let line = text
        .lines()
        .find(|line| line.starts_with("kassir_intake_flood_total{") && line.contains("kind=\"at_once\""));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_at_once_than_a_slow_store_can_take() {
    let server = Server::start(DURABLE);
    let network = Network::before(server.port).await;
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { log: Some(folder.path().join("log")), ..Plan::on(folder.path(), &network.url()) };
    let (receiver, router, shop) = open_shop(&plan).await;
    let usual = accepted_after(&shop, BEFORE).await.as_millis();

    network.weather.send_replace(Weather::Latency(SLOW));
    let (heard, next, stop) =
        (Arc::<Heard>::default(), Arc::new(AtomicUsize::new(FIRST)), watch::Sender::new(false));
    let senders: Vec<_> = (0..AT_ONCE + SURPLUS)
        .map(|_| {
            let sender = send(shop.urls[0].clone(), Arc::clone(&next), Arc::clone(&heard), stop.subscribe());
            tokio::spawn(sender)
        })
        .collect();
    let (long, watch) = (Duration::from_secs(size(4, 20) as u64), Stopwatch::start());
    let mut memory = 0;
    while watch.elapsed() < long || (heard.later.lock().unwrap().is_empty() && watch.elapsed() < PATIENCE) {
        memory = memory.max(router.memory_mib());
        tokio::time::sleep(POLL_PAUSE).await;
    }
    stop.send_replace(true);
    network.weather.send_replace(Weather::Fine);
    let goes_on = accepted_after(&shop, AFTER).await;
    for sender in senders {
        sender.await.unwrap();
    }
    let again = accepted_after(&shop, AFTER + 1).await.as_millis();
    let turned_away = turned_away(&plan).await;
    let mut accepted = heard.accepted.lock().unwrap().clone();
    accepted.extend([BEFORE, AFTER, AFTER + 1]);
    receiver.wait_for(&accepted).await;
    end_and_compare(vec![router], &plan, &accepted).await;
    receiver.assert_one_event_each();

    let counts = receiver.counts(&accepted);
    let mut later = heard.later.lock().unwrap().clone();
    later.sort_unstable();
    // And some of those who asked whether it goes on again.
    let heard_later = later.len();
    assert!((1..=turned_away).contains(&heard_later), "{turned_away} and {heard_later}");
    let p99 = later[heard_later * 99 / 100];
    counts.print(
        "L3-later",
        &[
            ("at_once", &(AT_ONCE + SURPLUS)),
            ("turned_away", &turned_away),
            ("turned_away_p99_ms", &p99),
            ("slowest_answer_ms", &*heard.slowest.lock().unwrap()),
            ("memory_mib", &memory),
            ("usual_ms", &usual),
            ("accepts_again_after_ms", &goes_on.as_millis()),
            ("then_ms", &again),
        ],
    );
    assert_eq!(counts.lost, 0);
    assert!(memory < MEMORY_MAX, "{memory} MiB");
    assert!(goes_on.as_secs() as usize <= size(GOES_ON_SHORT_S, GOES_ON_S), "{goes_on:?}");
    assert!(p99 as usize <= size(LATER_SHORT_MS, LATER_MS), "{p99} ms");
}
