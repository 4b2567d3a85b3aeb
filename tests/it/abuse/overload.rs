//! Far more than the router can take: whoever would wait too long is told "later", memory does not grow, what was accepted
//! is kept and delivered, and the router is itself again when the flood ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use kassir::clock::Stopwatch;

use crate::crash::paid;
use crate::faults::{Receiver, end_and_compare, shop, size};
use crate::process::Plan;
use crate::raw::{Raw, post};

/// Senders at once that already use all there is.
const FULL: usize = 32;
/// What bounds how many wait is the time that they may wait: so long, and no longer, before they hear "later".
const PATIENCE: &str = "250ms";
/// Memory of the router at any time, MiB.
const MEMORY_MAX: u64 = 300;
/// Slowest answer: providers wait 10 s and more.
const SLOWEST_MAX: usize = 10_000;
/// The slowest hundredth is as quick as before within this.
const RECOVERED_WITHIN: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Load {
    accepted: Vec<usize>,
    later: usize,
    others: BTreeMap<u16, usize>,
    /// Connections that ended without an answer: a kept one that nobody had time to read from in a while.
    closed: usize,
    took: Vec<u32>,
}

impl Load {
    fn note(&mut self, order: usize, status: u16, took: u32) {
        self.took.push(took);
        match status {
            200 => self.accepted.push(order),
            500.. => self.later += 1,
            other => *self.others.entry(other).or_default() += 1,
        }
    }

    fn add(&mut self, other: Load) {
        self.accepted.extend(other.accepted);
        self.later += other.later;
        self.others.extend(other.others);
        self.closed += other.closed;
        self.took.extend(other.took);
    }

    /// The slowest hundredth of answers took this or more, milliseconds.
    fn p99(&self) -> u32 {
        let mut took = self.took.clone();
        took.sort_unstable();
        took.get(took.len() * 99 / 100).copied().unwrap_or(0)
    }
}

/// So many senders, each with new orders as fast as they are answered, for this long.
async fn load(url: &str, next: &Arc<AtomicUsize>, senders: usize, long: Duration) -> Load {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..senders)
        .map(|_| {
            let (url, next, stop) = (url.to_owned(), Arc::clone(next), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut load, mut connection) = (Load::default(), Raw::to(&url).await);
                while !stop.load(Ordering::SeqCst) {
                    let order = next.fetch_add(1, Ordering::SeqCst);
                    let watch = Stopwatch::start();
                    connection.send(&post(&url, &paid(order))).await;
                    match connection.answer().await {
                        Some((status, _)) => load.note(order, status, watch.elapsed_ms()),
                        None => {
                            load.closed += 1;
                            connection = Raw::to(&url).await;
                        }
                    }
                }
                load
            })
        })
        .collect();
    tokio::time::sleep(long).await;
    stop.store(true, Ordering::SeqCst);
    let mut all = Load::default();
    for task in tasks {
        all.add(task.await.unwrap());
    }
    all
}

/// The usual load again until its slowest hundredth is as quick as it was; gives all of it, and how long that took.
async fn recovery(url: &str, next: &Arc<AtomicUsize>, usual: u32) -> (Load, Duration) {
    let (since, mut all) = (Stopwatch::start(), Load::default());
    loop {
        let again = load(url, next, FULL, Duration::from_secs(1)).await;
        let p99 = again.p99();
        all.add(again);
        if p99 <= 2 * usual + 10 || since.elapsed() > 2 * RECOVERED_WITHIN {
            return (all, since.elapsed());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn far_more_than_what_fits() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path()).with("KASSIR__INTAKE__ANSWER_TIMEOUT", PATIENCE);
    let receiver = Receiver::start();
    let router = plan.start().await;
    let shop = shop(&[&plan], &receiver.url).await;
    let next = Arc::new(AtomicUsize::new(1));
    let long = Duration::from_secs(size(3, 30) as u64);
    let usual = load(&shop.urls[0], &next, FULL, long).await;
    let over = load(&shop.urls[0], &next, size(2_000, 5_000), long).await;
    let memory = router.memory_mib();
    let (after, back) = recovery(&shop.urls[0], &next, usual.p99()).await;
    let accepted = [usual.accepted.as_slice(), &over.accepted, &after.accepted].concat();
    receiver.wait_for(&accepted).await;
    end_and_compare(vec![router], &plan, &accepted).await;
    receiver.assert_one_event_each();
    let counts = receiver.counts(&accepted);
    let per_s = |load: &Load| load.accepted.len() as u64 / long.as_secs();
    let slowest = over.took.iter().max().copied().unwrap_or(0);
    counts.print(
        "L3",
        &[
            ("usual_per_s", &per_s(&usual)),
            ("overloaded_per_s", &per_s(&over)),
            ("told_later", &over.later),
            ("closed", &over.closed),
            ("slowest_ms", &slowest),
            ("memory_mib", &memory),
            ("usual_p99_ms", &usual.p99()),
            ("usual_again_after_s", &format!("{:.1}", back.as_secs_f64())),
        ],
    );
    assert!(over.others.is_empty(), "neither yes nor later: {:?}", over.others);
    assert!(over.later > 0, "it was no overload");
    assert_eq!(counts.lost, 0);
    // Where the subscriber itself gets no processor for an attempt's whole time, the attempt is made again.
    assert!(counts.duplicated <= size(usize::MAX, 0), "{counts:?}");
    assert!(memory < MEMORY_MAX, "{memory} MiB");
    // In the short form, beside many other tests, only what was measured is printed.
    assert!(slowest as usize <= size(usize::MAX, SLOWEST_MAX), "{slowest} ms");
    assert!(back <= RECOVERED_WITHIN * size(100, 1) as u32, "{back:?}");
}
