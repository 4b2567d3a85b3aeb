//! Out of file descriptors.

use tokio::net::TcpStream;

use crate::faults::{Stream, accepted_after, open_shop, size};
use crate::process::Plan;
use crate::raw::split;

/// Descriptors that the router may have.
const FILES: usize = 256;

/// Somebody takes every descriptor that the router may have, again and again: it goes on once they are free.
#[tokio::test(flavor = "multi_thread")]
async fn the_router_survives_a_lack_of_file_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = Plan::sqlite(folder.path());
    plan.before = Some(format!("ulimit -n {FILES}"));
    let (receiver, router, shop) = open_shop(&plan).await;
    let mut longest = 0.0_f64;
    let mut accepted = Vec::new();
    for round in 0..size(2, 20) {
        // Those under way before go on trying.
        let stream = Stream::start(&shop, 100_000 * (round + 1), 4);
        stream.more(4).await;
        let mut taken = Vec::new();
        for _ in 0..2 * FILES {
            taken.push(TcpStream::connect(split(&shop.urls[0]).0).await.unwrap());
        }
        drop(taken);
        stream.more(4).await;
        accepted.extend(stream.stop().await);
        longest = longest.max(accepted_after(&shop, round + 1).await.as_secs_f64());
        accepted.push(round + 1);
    }
    receiver.wait_for(&accepted).await;
    assert_eq!(router.terminate().await, Some(0));
    receiver.assert_one_event_each();
    let counts = receiver.counts(&accepted);
    counts.print("C9", &[("files", &FILES), ("accepted_after_s", &format!("{longest:.1}"))]);
    assert_eq!(counts.lost, 0);
    assert!(longest < size(60, 10) as f64, "{longest} s");
}
