//! `store.min_replicas`: without enough replicas nothing counts as kept.

use std::time::Duration;

use kassir::store::redis::{Options, RedisStore};
use kassir::store::{Conflict, Store, StoreError};

use crate::redis_faults::{bench, clock, payments, words};
use crate::redis_server::{DURABLE, Server};
use crate::redis_store::options;
use crate::store_suite::claim::done;
use crate::store_suite::conflict;
use crate::store_suite::samples::{LEASE_MS, ask, shop};

const TIMEOUT: Duration = Duration::from_millis(1_200);

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
