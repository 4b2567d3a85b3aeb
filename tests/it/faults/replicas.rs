//! `store.min_replicas`: without enough replicas nothing counts as kept.

use std::time::Duration;

use kassir::clock::Stopwatch;
use kassir::store::redis::{Options, RedisStore};
use kassir::store::{Conflict, Store, StoreError};

use super::{Receiver, Stream, shop as shop_of, size};
use crate::process::{Plan, ready, until_ready};
use crate::redis_faults::{bench, clock, payments, words};
use crate::redis_server::{DURABLE, Server};
use crate::redis_store::options;
use crate::store_suite::claim::done;
use crate::store_suite::conflict;
use crate::store_suite::samples::{LEASE_MS, ask, shop};

const TIMEOUT: Duration = Duration::from_millis(1_200);
/// Senders at once.
const SENDERS: usize = 8;
/// How long the replica stands still.
const STANDS_STILL: Duration = Duration::from_secs(4);
/// When the replica goes on, notifications are accepted within this.
const GOES_ON: Duration = Duration::from_secs(10);

async fn open(server: &Server, min_replicas: u8) -> Result<RedisStore, StoreError> {
    let options = Options { min_replicas, timeout: TIMEOUT, ..options(clock()) };
    RedisStore::open(&server.url(), options).await
}

fn replica_of(server: &Server) -> Server {
    let of = format!("127.0.0.1 {}", server.port);
    Server::start(&[DURABLE, &[("replicaof", of.as_str())]].concat())
}

async fn in_step(server: &Server) {
    for _ in 0..1_500 {
        if server.info("replication").contains("state=online") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the replica does not come");
}

#[tokio::test]
async fn with_too_few_replicas_nothing_counts_as_kept() {
    let server = Server::start(DURABLE);
    let refusal = words(open(&server, 1).await);
    assert!(refusal.contains("nothing could ever be accepted"), "{refusal}");
    let replica = replica_of(&server);
    in_step(&server).await;
    let store = std::sync::Arc::new(open(&server, 1).await.unwrap());
    let described = store.describe();
    let promise =
        "received by at least 1 of its replicas before the provider hears of it (store.min_replicas = 1)";
    assert!(described.promise.contains(promise), "{}", described.promise);
    assert!(described.warnings[0].contains("exactly the 1 replicas"), "{:?}", described.warnings);
    assert!(described.warnings[1].contains("neither Sentinel nor a Cluster"), "{:?}", described.warnings);
    let shop = shop(&bench(store)).await;
    shop.write(shop.whole("a")).await;
    shop.store.ready().await.unwrap();

    replica.signal("STOP");
    let refused = [words(shop.store.commit(shop.whole("b")).await), words(shop.store.ready().await)];
    for said in &refused {
        assert!(said.contains("0 of the 1 replicas that store.min_replicas asks for"), "{said}");
    }
    // It was sent again and done once; that it is there is known only when a replica has it. Work already accepted
    // may be claimed all the while, and its result is not lost.
    assert_eq!(payments(&shop).await, 2);
    let claimed = shop.store.claim(&ask(10)).await.unwrap().work;
    assert_eq!((claimed.len(), LEASE_MS), (2, ask(1).lease_ms));
    let result = done(&shop, &claimed[0]).await;
    let unsure = words(shop.store.settle(result.clone()).await);
    assert!(unsure.contains("replicas"), "{unsure}");
    replica.signal("CONT");
    in_step(&server).await;
    shop.store.settle(result.clone()).await.expect("it is the same result, and it was written");
    assert_eq!(conflict(shop.store.settle(result).await), Conflict::Lease);
    shop.store.ready().await.unwrap();
    shop.write(shop.whole("c")).await;
    assert_eq!(payments(&shop).await, 3);
}

/// The only replica stands still, under load: nothing is accepted meanwhile, and all goes on when it does.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_replica_stands_still_a_router_accepts_nothing() {
    let server = Server::start(DURABLE);
    let replica = replica_of(&server);
    in_step(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { log: Some(folder.path().join("log")), ..Plan::on(folder.path(), &server.url()) };
    let plan = plan.with("KASSIR__STORE__MIN_REPLICAS", "1");
    let receiver = Receiver::start();
    let router = plan.start().await;
    let shop = shop_of(&[&plan], &receiver.url).await;
    let stream = Stream::start(&shop, 1, SENDERS);
    stream.more(20).await;
    let (mut slowest, rounds) = (Duration::ZERO, size(1, 10));
    for _ in 0..rounds {
        replica.signal("STOP");
        let (accepted, stopped) = (stream.count(), Stopwatch::start());
        while stopped.elapsed() < STANDS_STILL {
            assert!(!ready(&plan).await, "ready while no replica takes anything");
        }
        // Of those before, whose answers were on their way.
        let more = stream.count() - accepted;
        assert!(more <= SENDERS, "{more} were accepted that no replica has");
        replica.signal("CONT");
        let goes_on = stream.more(SENDERS).await;
        assert!(goes_on <= GOES_ON, "{goes_on:?}");
        slowest = slowest.max(goes_on);
        until_ready(&plan, true).await;
    }
    let accepted = stream.stop().await;
    receiver.wait_for(&accepted).await;
    super::end_and_compare(vec![router], &plan, &accepted).await;
    receiver.assert_one_event_each();
    let lines = std::fs::read_to_string(folder.path().join("log")).unwrap().lines().count();
    let lines_per_s = lines as u64 / (STANDS_STILL.as_secs() * rounds as u64);
    let counts = receiver.counts(&accepted);
    let slowest = format!("{:.1}", slowest.as_secs_f64());
    counts.print(
        "replica_stands_still",
        &[("times", &rounds), ("slowest_recovery_s", &slowest), ("log_lines_per_s", &lines_per_s)],
    );
    assert_eq!(counts.lost, 0);
    assert!(lines_per_s <= 10, "{lines_per_s} lines of log a second");
    // What was in hand when a result could not be written.
    assert!(counts.duplicated <= 64 * rounds, "{counts:?}");
}
