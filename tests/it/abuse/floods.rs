//! Floods and oddities at the inbound URL of a real router, while an honest sender goes on: each is refused by size and
//! time, memory stays bounded, and the honest sender hardly notices.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use kassir::clock::Stopwatch;
use tokio::task::JoinHandle;

use crate::faults::{Receiver, Shop, open_shop, size};
use crate::process::{Plan, Process};
use crate::raw::{Raw, post, split};
use crate::robokassa::paid;

/// Tries until room is given back, and the pause between two.
const POLLS_MAX: usize = 1_500;
const POLL_PAUSE: Duration = Duration::from_millis(20);
/// Memory of the router at any time, MiB.
const MEMORY_MAX: u64 = 300;
/// The honest sender's slowest answers but one in a hundred, milliseconds. In the short form, beside many other tests,
/// only what was measured is printed.
const P99_MAX: usize = 1_000;
/// How long the router waits for heads and bodies in these tests.
const READ_TIMEOUT: &str = "1s";

/// An honest sender: one new order after the other over one connection.
struct Honest {
    stop: Arc<AtomicBool>,
    took: JoinHandle<Vec<u32>>,
}

impl Honest {
    fn start(url: &str, first: usize) -> Honest {
        let (stop, url) = (Arc::new(AtomicBool::new(false)), url.to_owned());
        let stopped = Arc::clone(&stop);
        let took = tokio::spawn(async move {
            let mut took = Vec::new();
            let mut connection = Raw::to(&url).await;
            while !stopped.load(Ordering::SeqCst) || took.len() < 20 {
                let order = first + took.len();
                let watch = Stopwatch::start();
                assert!(connection.send(&post(&url, &paid(order))).await);
                assert_eq!(connection.answer().await, Some((200, format!("OK{order}"))));
                took.push(watch.elapsed_ms());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            took
        });
        Honest { stop, took }
    }

    /// Ends it; gives how many it sent, and its p99 in milliseconds.
    async fn stop(self) -> (usize, u32) {
        self.stop.store(true, Ordering::SeqCst);
        let mut took = self.took.await.unwrap();
        took.sort_unstable();
        (took.len(), took[took.len() * 99 / 100])
    }
}

struct Stage {
    router: Process,
    receiver: Arc<Receiver>,
    shop: Shop,
    url: String,
    sent: Vec<usize>,
    _folder: tempfile::TempDir,
}

async fn stage() -> Stage {
    stage_with(READ_TIMEOUT).await
}

async fn stage_with(read_timeout: &str) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path()).with("KASSIR__INTAKE__READ_TIMEOUT", read_timeout);
    let (receiver, router, shop) = open_shop(&plan).await;
    let url = shop.urls[0].clone();
    Stage { router, receiver, shop, url, sent: Vec::new(), _folder: folder }
}

impl Stage {
    /// Runs an attack beside an honest sender.
    async fn attack<T>(&mut self, name: &str, attack: impl Future<Output = T>) -> T {
        let first = 1 + self.sent.len();
        let honest = Honest::start(&self.shop.urls[0], first);
        let result = attack.await;
        let memory = self.router.memory_mib();
        let (count, p99) = honest.stop().await;
        self.sent.extend(first..first + count);
        self.receiver.wait_for(&self.sent).await;
        let counts = self.receiver.counts(&self.sent);
        counts.print(name, &[("honest_p99_ms", &p99), ("memory_mib", &memory)]);
        assert!(memory < MEMORY_MAX, "{memory} MiB");
        assert!(p99 as usize <= size(usize::MAX, P99_MAX), "{p99} ms");
        assert_eq!((counts.lost, counts.duplicated), (0, 0));
        result
    }

    fn head(&self, more: &str) -> String {
        let (host, path) = split(&self.url);
        format!("POST {path} HTTP/1.1\r\nhost: {host}\r\n{more}\r\n")
    }
}

/// Opens so many connections and sends the same on each; waits until the router has ended all of them.
async fn all_ended(url: &str, count: usize, bytes: &[u8]) {
    let mut open = Vec::new();
    for _ in 0..count {
        let mut connection = Raw::to(url).await;
        connection.send(bytes).await;
        open.push(connection);
    }
    for connection in open {
        connection.closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_are_ended() {
    let mut stage = stage().await;
    let (url, connections) = (stage.url.clone(), size(300, 5_000));
    stage.attack("I8-idle-connections", all_ended(&url, connections, b"POST /webhooks/robo")).await;
    let half = format!("{}a", stage.head("content-length: 100000\r\n"));
    stage.attack("I8-bodies-that-stop", all_ended(&url, size(100, 1_000), half.as_bytes())).await;
    let dripping = async {
        let mut connection = Raw::to(&url).await;
        connection.send(half.as_bytes()).await;
        let mut bytes = 0;
        // Without a bound this would go on for hours.
        while bytes < 600 && connection.send(b"a").await {
            bytes += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bytes
    };
    assert!(stage.attack("I8-byte-by-byte", dripping).await < 600);
    assert_eq!(stage.router.terminate().await, Some(0));
}

/// Sends nearly all of the largest body that there may be after a while, and no more; gives the connection and what was answered
/// meanwhile.
async fn held_back(url: String, head: String, begins: Duration) -> (Raw, Option<u16>) {
    tokio::time::sleep(begins).await;
    let mut connection = Raw::to(&url).await;
    connection.send(head.as_bytes()).await;
    connection.send(&vec![b'a'; 255 << 10]).await;
    let answer = tokio::time::timeout(Duration::from_secs(2), connection.answer()).await;
    (connection, answer.ok().flatten().map(|(status, _)| status))
}

/// More bodies than there is room for, each held back just before its end: who comes when there is no room hears
/// "later", small notifications go through, and once the bodies are gone there is room for large ones again.
#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_that_stop_take_up_no_more_than_their_room() {
    let mut stage = stage_with("60s").await;
    let (url, connections) = (stage.url.clone(), size(600, 1_000));
    let head = stage.head("content-length: 262144\r\n");
    let sender = |number: usize| {
        let begins = Duration::from_millis(5 * number as u64);
        tokio::spawn(held_back(url.clone(), head.clone(), begins))
    };
    let senders = (0..connections).map(sender);
    let senders: Vec<_> = senders.collect();
    let held = stage.attack("I8-bodies-held-back", futures_util::future::join_all(senders)).await;
    let held: Vec<_> = held.into_iter().map(Result::unwrap).collect();
    let later = held.iter().filter(|(_, status)| *status == Some(503)).count();
    let waiting = held.iter().filter(|(_, status)| status.is_none()).count();
    assert!(later > 0 && waiting > 0, "{later} of {connections} were told to come again");

    // Without knowing a URL nobody takes up room.
    let (host, path) = split(&url);
    let unknown = format!("POST {path}x HTTP/1.1\r\nhost: {host}\r\ncontent-length: 262144\r\n\r\n");
    assert_eq!(poured(&url, unknown, Vec::new(), 0).await, Some(404));

    drop(held);
    let whole = vec![b'a'; 256 << 10];
    for _ in 0..3 {
        // The router sees that its peers are gone a moment later.
        let mut answered = poured(&url, head.clone(), whole.clone(), 1).await;
        for _ in 0..POLLS_MAX {
            if answered != Some(503) {
                break;
            }
            tokio::time::sleep(POLL_PAUSE).await;
            answered = poured(&url, head.clone(), whole.clone(), 1).await;
        }
        assert!(answered.is_some_and(|status| status != 503), "{answered:?}: their room is not given back");
    }
    assert_eq!(stage.router.terminate().await, Some(0));
}

/// Sends parts until all are sent or the router closes; gives its answer.
async fn poured(url: &str, head: String, part: Vec<u8>, parts: usize) -> Option<u16> {
    let mut connection = Raw::to(url).await;
    connection.send(head.as_bytes()).await;
    for _ in 0..parts {
        if !connection.send(&part).await {
            break;
        }
    }
    connection.answer().await.map(|(status, _)| status)
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_are_refused() {
    let mut stage = stage().await;
    let url = stage.url.clone();
    let told = stage.head("content-length: 104857600\r\n");
    let status = stage.attack("I8-body-of-100-MB", poured(&url, told, vec![b'a'; 1 << 16], 1_600)).await;
    // An answer that came before a reset may be lost with it; what counts is that the body was not kept.
    assert!(matches!(status, Some(413) | None), "{status:?}");
    let endless = stage.head("transfer-encoding: chunked\r\n");
    let chunk = [b"10000\r\n".to_vec(), vec![b'a'; 1 << 16], b"\r\n".to_vec()].concat();
    let status = stage.attack("I8-endless-chunks", poured(&url, endless, chunk, 1_600)).await;
    assert!(matches!(status, Some(413) | None), "{status:?}");

    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&vec![0; 16 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 50_000);
    let more = format!("content-encoding: gzip\r\ncontent-length: {}\r\n", bomb.len());
    let status = stage.attack("I8-gzip-bomb", poured(&url, stage.head(&more), bomb, 1)).await;
    assert!(status.is_some_and(|status| (400..500).contains(&status)), "{status:?}");
    assert_eq!(stage.router.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_requests_are_refused_and_proper_ones_in_a_row_are_answered_in_order() {
    let mut stage = stage().await;
    let url = stage.url.clone();
    let headers: String = (0..10_000).map(|number| format!("x-{number}: {number}\r\n")).collect();
    let head = stage.head(&format!("content-length: 0\r\n{headers}"));
    let status = stage.attack("I8-10000-headers", poured(&url, head, Vec::new(), 1)).await;
    assert!(status.is_none_or(|status| (400..500).contains(&status)), "{status:?}");

    // Where a proxy takes one length and we the other, a second request could hide in the first one's body.
    let hidden = "GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n";
    let smuggling = [
        format!("{}0\r\n\r\n{hidden}", stage.head("content-length: 5\r\ntransfer-encoding: chunked\r\n")),
        format!("{}{hidden}", stage.head("content-length: 0\r\ncontent-length: 40\r\n")),
        format!("{}0\r\n\r\n{hidden}", stage.head("transfer-encoding: xchunked\r\ncontent-length: 5\r\n")),
        format!("{}0\r\n\r\n{hidden}", stage.head("transfer-encoding : chunked\r\ncontent-length: 5\r\n")),
    ];
    for (number, bytes) in smuggling.into_iter().enumerate() {
        let sent = async {
            let mut connection = Raw::to(&url).await;
            connection.send(bytes.as_bytes()).await;
            connection.closed().await
        };
        let said = stage.attack(&format!("I8-smuggling-{}", number + 1), sent).await;
        assert!(said.starts_with("HTTP/1.1 400") || said.is_empty(), "{number}: {said}");
        assert_eq!(said.matches("HTTP/1.1").count(), usize::from(!said.is_empty()), "{said}");
    }

    let orders: Vec<usize> = (1_000_000..1_000_050).collect();
    let all: Vec<u8> = orders.iter().flat_map(|order| post(&url, &paid(*order))).collect();
    let pipelined = async {
        let mut connection = Raw::to(&url).await;
        connection.send(&all).await;
        for order in &orders {
            assert_eq!(connection.answer().await, Some((200, format!("OK{order}"))));
        }
    };
    stage.attack("I8-pipelined", pipelined).await;
    stage.receiver.wait_for(&orders).await;
    assert_eq!(stage.router.terminate().await, Some(0));
}
