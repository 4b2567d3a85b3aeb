//! More than the router can take: it gets slow or says "later", grows no memory, keeps what it accepted, and is itself
//! again at once when the flood ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use kassir::clock::Stopwatch;

use crate::faults::{accepted_after, end_and_compare, open_shop, size};
use crate::process::Plan;
use crate::raw::{Raw, post};
use crate::robokassa::paid;

/// Senders at once that already use all there is.
const FULL: usize = 32;
/// So many times as many are the overload.
const TIMES: usize = 5;
/// Memory of the router at any time, MiB.
const MEMORY_MAX: u64 = 300;
/// Slowest answer: providers wait 10 s and more.
const SLOWEST_MAX: usize = 10_000;

#[derive(Default)]
struct Load {
    accepted: Vec<usize>,
    statuses: BTreeMap<u16, usize>,
    slowest: u32,
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
                    let (status, _) = connection.answer().await.expect("an answer");
                    load.slowest = load.slowest.max(watch.elapsed_ms());
                    *load.statuses.entry(status).or_default() += 1;
                    if status == 200 {
                        load.accepted.push(order);
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
        let one = task.await.unwrap();
        all.accepted.extend(one.accepted);
        all.slowest = all.slowest.max(one.slowest);
        for (status, count) in one.statuses {
            *all.statuses.entry(status).or_default() += count;
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn five_times_what_fits() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    let (receiver, router, shop) = open_shop(&plan).await;
    let next = Arc::new(AtomicUsize::new(1));
    let long = Duration::from_secs(size(2, 10) as u64);
    let usual = load(&shop.urls[0], &next, FULL, long).await;
    let over = load(&shop.urls[0], &next, FULL * TIMES, long).await;
    let memory = router.memory_mib();
    let back = accepted_after(&shop, 100_000_000).await.as_millis();
    let accepted: Vec<usize> = [usual.accepted.clone(), over.accepted.clone(), vec![100_000_000]].concat();
    receiver.wait_for(&accepted).await;
    end_and_compare(vec![router], &plan, &accepted).await;
    receiver.assert_one_event_each();
    let counts = receiver.counts(&accepted);
    let per_s = |load: &Load| load.accepted.len() as u64 / long.as_secs();
    counts.print(
        "L3",
        &[
            ("usual_per_s", &per_s(&usual)),
            ("overloaded_per_s", &per_s(&over)),
            ("slowest_ms", &over.slowest),
            ("memory_mib", &memory),
            ("then_answered_after_ms", &back),
        ],
    );
    let later = over.statuses.keys().all(|status| *status == 200 || *status >= 500);
    assert!(later, "{:?}", over.statuses);
    assert_eq!(counts.lost, 0);
    // Where the subscriber itself gets no processor for an attempt's whole time, the attempt is made again.
    assert!(counts.duplicated <= size(usize::MAX, 0), "{counts:?}");
    // In the short form, beside many other tests, only what was measured is printed.
    assert!(over.slowest as usize <= size(usize::MAX, SLOWEST_MAX), "{} ms", over.slowest);
    assert!(memory < MEMORY_MAX, "{memory} MiB");
    assert!(back <= size(usize::MAX, 3_000) as u128, "{back} ms");
}
