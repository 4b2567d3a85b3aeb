//! A Cluster whose slots move, and whose node fails, while notifications come.

use std::sync::Arc;
use std::time::Duration;

use kassir::clock::Stopwatch;
use kassir::domain::ids::MerchantId;

use super::sending::{Shop, Stream, open_shop};
use super::sentinel::drained;
use super::{Receiver, size};
use crate::process::{Plan, Process};
use crate::redis_server::{Cluster, Server};
use crate::redis_store;
use crate::store_suite::samples;

/// After which silence the nodes hold one for gone, milliseconds.
const NODE_TIMEOUT: &str = "2000";
/// After a node's replica took over notifications are accepted within this.
const GOES_ON: Duration = Duration::from_secs(10);
/// Keys that are moved at once: few, so that a slot is on its way for a while.
const KEYS_AT_ONCE: &str = "3";

struct World {
    cluster: Cluster,
    receiver: std::sync::Arc<Receiver>,
    router: Process,
    shop: Shop,
    _folder: tempfile::TempDir,
}

async fn world(cluster: Cluster) -> World {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::on(folder.path(), &cluster.url());
    let (receiver, router, shop) = open_shop(&plan).await;
    World { cluster, receiver, router, shop, _folder: folder }
}

/// The slot of a partition.
fn slot(cluster: &Cluster, partition: usize) -> u32 {
    cluster.nodes[0].command(&["CLUSTER", "KEYSLOT", &format!("{{k{partition:02}}}")])
}

/// The node (of the first three) that has a slot, once all of them say so: news of an earlier move that comes late makes
/// a node believe in the owner before for a moment.
async fn owner(cluster: &Cluster, slot: u32) -> usize {
    let told = |by: &Server| owner_by(by, cluster, slot);
    cluster
        .until("the nodes agree whose slot it is", |cluster| {
            cluster.nodes[1..3].iter().all(|node| told(node) == told(&cluster.nodes[0]))
        })
        .await;
    told(&cluster.nodes[0])
}

/// The node that has a slot, as one of them sees it.
fn owner_by(by: &Server, cluster: &Cluster, slot: u32) -> usize {
    type Range = (u32, u32, (String, u16, String));
    let ranges: Vec<redis::Value> = by.command(&["CLUSTER", "SLOTS"]);
    for range in ranges {
        let redis::Value::Array(mut parts) = range else { panic!() };
        parts.truncate(3);
        let (from, to, (_, port, _)): Range =
            redis::from_redis_value(redis::Value::Array(parts.into_iter().map(only_three).collect()))
                .unwrap();
        if (from..=to).contains(&slot) {
            return cluster.nodes.iter().position(|node| node.port == port).unwrap();
        }
    }
    panic!("slot {slot} has no owner");
}

/// A node is described by address, port, id, and in newer versions more.
fn only_three(value: redis::Value) -> redis::Value {
    match value {
        redis::Value::Array(mut parts) => {
            parts.truncate(3);
            redis::Value::Array(parts)
        }
        other => other,
    }
}

/// Moves a slot as an operator's tools do it.
async fn move_slot(cluster: &Cluster, slot: u32, from: &Server, to: &Server) {
    let (text, [old, new]) =
        (slot.to_string(), [from, to].map(|node| node.command::<String>(&["CLUSTER", "MYID"])));
    to.command::<()>(&["CLUSTER", "SETSLOT", &text, "IMPORTING", &old]);
    from.command::<()>(&["CLUSTER", "SETSLOT", &text, "MIGRATING", &new]);
    let port = to.port.to_string();
    loop {
        // Names of chunks are no text.
        let keys: Vec<Vec<u8>> = from.command(&["CLUSTER", "GETKEYSINSLOT", &text, KEYS_AT_ONCE]);
        if keys.is_empty() {
            break;
        }
        let words = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        let words: Vec<&[u8]> =
            words.iter().map(|word| word.as_bytes()).chain(keys.iter().map(Vec::as_slice)).collect();
        from.command::<String>(&words);
    }
    for node in [to, from] {
        node.command::<()>(&["CLUSTER", "SETSLOT", &text, "NODE", &new]);
    }
    // News of the owner before that come late may make a node believe in it again, for good if that one's epoch is newer
    // than the new owner could know: then it is told once more.
    cluster
        .until("the nodes know whose slot it is", |cluster| {
            let wrong = |node: &&Server| cluster.nodes[owner_by(node, cluster, slot)].port != to.port;
            let mut others = cluster.nodes[..3].iter().filter(wrong).peekable();
            let agree = others.peek().is_none();
            others.for_each(|node| node.command::<()>(&["CLUSTER", "SETSLOT", &text, "NODE", &new]));
            agree
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_move_while_notifications_come() {
    let World { cluster, receiver, router, shop, _folder } = world(Cluster::start().await).await;
    let stream = Stream::start(&shop, 1, 16);
    stream.more(size(200, 3_000)).await;
    let started = Stopwatch::start();
    let mut moved = 0;
    for _ in 0..size(1, 5) {
        for partition in 0..16 {
            let slot = slot(&cluster, partition);
            let from = owner(&cluster, slot).await;
            move_slot(&cluster, slot, &cluster.nodes[from], &cluster.nodes[(from + 1) % 3]).await;
            moved += 1;
            assert_eq!(owner(&cluster, slot).await, (from + 1) % 3);
        }
        stream.more(size(100, 1_000)).await;
    }
    let took = format!("{:.1}", started.elapsed().as_secs_f64());
    let accepted = stream.stop().await;
    drained(&cluster.url()).await;
    receiver.wait_for(&accepted).await;
    assert_eq!(router.terminate().await, Some(0));
    receiver.assert_one_event_each();
    let counts = receiver.counts(&accepted);
    counts.print("cluster_slots_move", &[("slots", &moved), ("took_s", &took)]);
    assert_eq!((counts.lost, counts.duplicated), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_the_cluster_fails() {
    let mut cluster = Cluster::start_with(NODE_TIMEOUT).await;
    for of in 0..3 {
        cluster.add_replica(of, NODE_TIMEOUT).await;
    }
    let World { cluster, receiver, router, shop, _folder } = world(cluster).await;
    let stream = Stream::start(&shop, 1, 16);
    stream.more(size(200, 3_000)).await;
    // The node that has the merchant's records.
    let records = |node: &Server| {
        node.command::<Vec<Vec<u8>>>(&["KEYS", "kassir:*:q:*"]).len()
            + node.command::<Vec<Vec<u8>>>(&["KEYS", "kassir:*:c:*"]).len()
    };
    let victim = (0..3).max_by_key(|node| records(&cluster.nodes[*node])).unwrap();
    cluster.nodes[victim].kill();
    let replica = &cluster.nodes[3 + victim];
    let killed = Stopwatch::start();
    cluster.until("the replica takes over", |_| replica.info("replication").contains("role:master")).await;
    let elected = killed.elapsed();
    let goes_on = stream.more(16).await;
    assert!(goes_on <= GOES_ON, "{goes_on:?} after the election");
    stream.more(size(200, 3_000)).await;
    let accepted = stream.stop().await;
    drained(&cluster.url()).await;
    assert_eq!(router.terminate().await, Some(0));
    let counts = receiver.counts(&accepted);
    let (elected, goes_on) =
        (format!("{:.1}", elected.as_secs_f64()), format!("{:.1}", goes_on.as_secs_f64()));
    counts
        .print("cluster_node_killed", &[("elected_after_s", &elected), ("accepts_again_after_s", &goes_on)]);
    // Asynchronous replication: of the 16 senders' last words.
    assert!(counts.lost <= 16 && counts.duplicated <= 64, "{counts:?}");
}

/// How long the store waits for Redis here.
const TIMEOUT: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stands_still_keeps_the_others_work_waiting_once() {
    // So long that the others don't hold it for gone.
    let cluster = Arc::new(Cluster::start_with("60000").await);
    let bench = redis_store::in_cluster(Arc::clone(&cluster), TIMEOUT).await;
    let mut shops = Vec::new();
    for _ in 0..12 {
        shops.push(samples::shop(&bench).await);
    }
    let nodes: Vec<usize> = shops.iter().map(|shop| node_of(&cluster, shop.merchant)).collect();
    let stopped = nodes[0];
    let living: Vec<_> = shops.iter().zip(&nodes).filter(|(_, node)| **node != stopped).collect();
    shops[0].queue().await;
    cluster.nodes[stopped].signal("STOP");
    for round in 0..2 {
        // Somebody always has business there, in vain.
        let vain = shops[0].store.commit(shops[0].whole("in vain"));
        let business = async {
            let (watch, mut taken) = (Stopwatch::start(), 0);
            for (shop, _) in &living {
                shop.queue().await;
            }
            while taken < living.len() {
                taken += shops[0].claim().await.work.len();
            }
            watch.elapsed()
        };
        let (vain, took) = tokio::join!(vain, business);
        assert!(vain.is_err());
        // The cluster's client itself waits a moment for a node that it tries to reach again.
        assert!(round == 0 || took < TIMEOUT, "in round {round} it took {took:?}");
    }
    cluster.nodes[stopped].signal("CONT");
    let found = async || while shops[0].claim().await.work.is_empty() {};
    tokio::time::timeout(GOES_ON, found()).await.expect("its own work is found again");
    bench.store.close().await;
}

/// The node that has a merchant's records.
fn node_of(cluster: &Cluster, merchant: MerchantId) -> usize {
    let name = merchant.to_string();
    let name = name.trim_start_matches("mer_").as_bytes();
    let has = |keys: &Vec<Vec<u8>>| keys.iter().any(|key| key.windows(name.len()).any(|part| part == name));
    cluster.keys().iter().position(has).unwrap()
}
