//! A primary, two replicas and three sentinels; the primary dies while notifications come.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kassir::clock::Stopwatch;
use kassir::delivery::DeliveryConfig;
use kassir::store::Store;
use kassir::store::redis::{Options, RedisStore};
use tempfile::TempDir;

use super::Receiver;
use super::sending::{Shop, Stream, accepted_after, shop};
use crate::process::{Plan, free_port};
use crate::redis_server::{DURABLE, Server};
use crate::size::size;

/// Senders at once.
const SENDERS: usize = 16;
/// First order of those that go to one router each.
const ALONE: usize = 100_000_000;
/// Polls of servers until they agree.
const POLLS_MAX: usize = 1_500;
const POLL_PAUSE: Duration = Duration::from_millis(20);
/// After a new primary was elected notifications are accepted within this.
const GOES_ON: Duration = Duration::from_secs(10);
/// What a replica may lack when the primary is killed whose loss is counted, bytes: a few notifications.
const LAG_MAX: u64 = 20_000;
/// Replicas of the primary.
const REPLICAS: u8 = 2;
/// … or, where every replica is asked for, when the old primary has become one: Sentinel takes about ten seconds for that.
const ALL_AGAIN: Duration = Duration::from_secs(40);

/// The servers.
pub struct Trio {
    pub nodes: Vec<Server>,
    sentinels: Vec<(u16, Mutex<Child>, TempDir)>,
}

impl Trio {
    /// Starts them and waits until all know each other.
    pub async fn start() -> Trio {
        let primary = Server::start(DURABLE);
        let port = primary.port.to_string();
        let of = format!("127.0.0.1 {port}");
        let replica = [DURABLE, &[("replicaof", of.as_str())]].concat();
        let nodes = vec![primary, Server::start(&replica), Server::start(&replica)];
        let mut trio = Trio { nodes, sentinels: Vec::new() };
        let online = |trio: &Trio| trio.nodes[0].info("replication").matches("state=online").count() == 2;
        trio.until("the replicas are in step", online).await;
        trio.sentinels = (0..3).map(|_| sentinel(trio.nodes[0].port)).collect();
        let (replicas, others) = ("num-slaves", "num-other-sentinels");
        trio.until("the sentinels know each other", |trio| {
            trio.sentinels.iter().all(|(port, ..)| {
                let Ok(info) = ask::<Vec<String>>(*port, &["SENTINEL", "MASTER", "main"]) else {
                    return false;
                };
                let value = |name| info.iter().position(|word| word == name).map(|at| info[at + 1].as_str());
                value(replicas) == Some("2") && value(others) == Some("2")
            })
        })
        .await;
        trio
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Trio) -> bool) {
        for _ in 0..POLLS_MAX {
            if wanted(self) {
                return;
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
        panic!("not in time: {what}");
    }

    /// The URL of the store.
    pub fn url(&self) -> String {
        let hosts: Vec<String> =
            self.sentinels.iter().map(|(port, ..)| format!("127.0.0.1:{port}")).collect();
        format!("redis+sentinel://{}/main", hosts.join(","))
    }

    /// Waits until the sentinels name another primary than this one, and it takes writes; gives its place in `nodes`.
    pub async fn elected_instead_of(&self, old: u16) -> usize {
        let named = |trio: &Trio| {
            let address =
                ask::<Vec<String>>(trio.sentinels[0].0, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]);
            address.ok().and_then(|address| address[1].parse::<u16>().ok()).filter(|port| *port != old)
        };
        self.until("a new primary is elected", |trio| {
            named(trio).is_some_and(|port| trio.node(port).info("replication").contains("role:master"))
        })
        .await;
        let port = named(self).unwrap();
        self.nodes.iter().position(|node| node.port == port).unwrap()
    }

    fn node(&self, port: u16) -> &Server {
        self.nodes.iter().find(|node| node.port == port).unwrap()
    }
}

impl Drop for Trio {
    fn drop(&mut self) {
        for (_, child, _) in &self.sentinels {
            let mut child = child.lock().unwrap();
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn sentinel(primary: u16) -> (u16, Mutex<Child>, TempDir) {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let file = folder.path().join("sentinel.conf");
    let text = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {primary} 2\n\
         sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 6000\n\
         sentinel parallel-syncs main 2\n",
        folder.path().display()
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("redis-server");
    command.arg(&file).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    (port, Mutex::new(command.spawn().unwrap()), folder)
}

/// What the replica that has most lacks, bytes, as the primary tells.
fn lag(info: &str) -> u64 {
    let values = |name: &'static str| {
        info.split(|c: char| c.is_whitespace() || c == ',')
            .filter_map(move |word| word.strip_prefix(name)?.parse::<u64>().ok())
    };
    let written = values("master_repl_offset:").next().unwrap_or(u64::MAX);
    written - values("offset=").max().unwrap_or(0)
}

fn ask<T: redis::FromRedisValue>(port: u16, words: &[&str]) -> redis::RedisResult<T> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(1))?;
    let mut cmd = redis::cmd(words[0]);
    for word in &words[1..] {
        cmd.arg(*word);
    }
    cmd.query(&mut connection)
}

/// Waits until a store's queue is empty: what is delivered then is all that will be.
pub async fn drained(url: &str) {
    let store: Arc<dyn Store> = Arc::new(RedisStore::open(url, Options::default()).await.unwrap());
    for _ in 0..POLLS_MAX {
        if store.backlog().await.is_ok_and(|backlog| backlog.waiting == 0) {
            return;
        }
        tokio::time::sleep(POLL_PAUSE).await;
    }
    panic!("the queue does not empty: {:?}", store.backlog().await);
}

/// What happens to the primary.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// kill -9.
    Killed,
    /// It stands still until another is elected, then goes on.
    Stopped,
    /// Sentinels and replicas can't reach it any more; the router can.
    CutOff,
}

/// The primary fails under load; the others elect a new one.
async fn failover(name: &str, fault: Fault, min_replicas: u8) -> super::Counts {
    failover_of(name, fault, min_replicas, 1).await
}

/// The same with so many routers, each of which goes on.
async fn failover_of(name: &str, fault: Fault, min_replicas: u8, routers: usize) -> super::Counts {
    let trio = Trio::start().await;
    for node in &trio.nodes {
        // The router's own login, so that the others' can be taken away.
        node.command::<()>(&["ACL", "SETUSER", "kassir", "on", ">pw", "~*", "&*", "+@all"]);
    }
    let url = trio.url().replace("redis+sentinel://", "redis+sentinel://kassir:pw@");
    let folder = tempfile::tempdir().unwrap();
    let mut plan = Plan::on(folder.path(), &url);
    plan.more = vec![("KASSIR__STORE__MIN_REPLICAS".to_owned(), min_replicas.to_string())];
    let plans: Vec<Plan> = (0..routers).map(|_| Plan { port: free_port(), ..plan.clone() }).collect();
    let receiver = Receiver::start();
    let mut running = Vec::new();
    for plan in &plans {
        running.push(plan.start().await);
    }
    let shop = shop(&plans.iter().collect::<Vec<_>>(), &receiver.url).await;
    let stream = Stream::start(&shop, 1, SENDERS);
    stream.more(size(200, 3_000)).await;
    let old = &trio.nodes[0];
    if fault == Fault::Killed && min_replicas == 0 {
        // A machine that is busy may let replicas fall behind by seconds, and those would be lost: nobody promises else.
        trio.until("a replica is nearly in step", |_| lag(&old.info("replication")) <= LAG_MAX).await;
    }
    match fault {
        Fault::Killed => old.kill(),
        Fault::Stopped => old.signal("STOP"),
        Fault::CutOff => {
            old.command::<()>(&["ACL", "SETUSER", "default", "off"]);
            old.command_as::<()>("kassir:pw", &["CLIENT", "KILL", "USER", "default"]);
            old.command_as::<()>("kassir:pw", &["CLIENT", "KILL", "TYPE", "replica"]);
        }
    }
    let killed = Stopwatch::start();
    trio.elected_instead_of(old.port).await;
    let elected = killed.elapsed();
    if fault == Fault::Stopped {
        old.signal("CONT");
    }
    let goes_on = stream.more(1).await;
    let limit = if min_replicas < REPLICAS { GOES_ON } else { ALL_AGAIN };
    assert!(goes_on <= limit, "{goes_on:?} after the election");
    let mut accepted = Vec::new();
    for (number, url) in shop.urls.iter().enumerate() {
        let alone = Shop { urls: vec![url.clone()], ..shop.clone() };
        let goes_on = accepted_after(&alone, ALONE + number).await;
        assert!(goes_on <= limit, "router {number}: {goes_on:?} after the first");
        accepted.push(ALONE + number);
    }
    stream.more(size(200, 3_000)).await;
    accepted.extend(stream.stop().await);
    drained(&url).await;
    for router in running {
        assert_eq!(router.terminate().await, Some(0));
    }
    // An order may have two events only where the first was with a primary that took it, sent it and never told the
    // sender: that was under way.
    let twice = receiver.with_two_events();
    assert!(
        fault != Fault::Killed || min_replicas == 0 || twice <= SENDERS,
        "{twice} orders have two events"
    );
    let counts = receiver.counts(&accepted);
    let (elected, goes_on) =
        (format!("{:.1}", elected.as_secs_f64()), format!("{:.1}", goes_on.as_secs_f64()));
    let more: [(&str, &dyn std::fmt::Display); 5] = [
        ("routers", &routers),
        ("min_replicas", &min_replicas),
        ("elected_after_s", &elected),
        ("accepts_again_after_s", &goes_on),
        ("with_two_events", &twice),
    ];
    counts.print(name, &more);
    // What was in hand, or settled and not yet replicated.
    let in_hand = DeliveryConfig::default().concurrency;
    assert!(counts.duplicated <= in_hand * routers, "{counts:?}");
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_costs_no_more_than_its_last_moments() {
    let counts = failover("sentinel_failover", Fault::Killed, 0).await;
    // What the primary had acknowledged and not yet sent to a replica: of the 16 senders' last words.
    assert!(counts.lost <= 16, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_replica_asked_for_a_failover_loses_nothing() {
    assert_eq!(failover("sentinel_failover", Fault::Killed, 1).await.lost, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_routers_go_on_after_a_failover() {
    assert_eq!(failover_of("sentinel_failover", Fault::Killed, 1, 2).await.lost, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_stood_still_accepts_nothing_that_is_lost() {
    // Both replicas are asked: one that still follows the old primary when that goes on would vouch for it alone.
    assert_eq!(failover("sentinel_stopped_primary", Fault::Stopped, 2).await.lost, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_cut_off_is_left() {
    let counts = failover("sentinel_split_brain", Fault::CutOff, 0).await;
    // It is left with the next question to the sentinels, two seconds after the election: what was accepted in between
    // and not delivered yet is the loss.
    assert!(counts.lost < counts.accepted / 2, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_cut_off_accepts_nothing_when_a_replica_is_asked_for() {
    assert_eq!(failover("sentinel_split_brain", Fault::CutOff, 1).await.lost, 0);
}
