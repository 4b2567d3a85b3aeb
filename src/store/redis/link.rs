//! Connections: a few multiplexed ones for the money's path, and a small pool for batches (lists, upkeep), so that a
//! long page never waits in front of a commit.
//!
//! Why a few: with `appendfsync always` Redis syncs once for all that it read at one time, and of each connection it
//! reads 16 KB at a time. Through one connection half a dozen commits would share a sync of the disk, however many wait.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::{Client, Cmd, ErrorKind, RedisError, RedisResult, Value};

use super::place::{Address, Place};
use super::pool::Pool;
use super::sentinels::named_primary;
use crate::clock::Stopwatch;
use crate::store::Result;

/// Commands that may wait to be written to one of the shared connections.
const PIPELINE_MAX: usize = 1024;
/// After a failed attempt to connect, everybody gets its error for so long instead of trying too.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);
/// Shared connections.
const SHARED_SIZE: usize = 8;
/// Connections for writes that wait for replicas: one that waits holds up what was sent after it.
const WAITING_SIZE: usize = 8;
/// Longest question to the sentinels beside the work: it must not hold up the next word that this router lives.
const FOLLOW_MAX: Duration = Duration::from_millis(1_500);
/// Times the cluster's client follows a moved slot or a lost node within one call.
const CLUSTER_RETRIES: u32 = 3;

/// By which way a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// One of the shared connections. A call that is sent again goes the same way: what it met there is mended there.
    Shared(usize),
    /// A connection of the pool.
    Pool,
    /// One of the connections for writes that wait for replicas.
    Waiting(usize),
}

#[derive(Clone)]
enum Wire {
    One(ConnectionManager),
    Cluster(ClusterConnection),
}

/// A connection that is made when it is needed, and anew when it is lost.
#[derive(Default)]
struct Lane {
    slot: Mutex<Slot>,
    connecting: tokio::sync::Mutex<()>,
}

impl Lane {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Slot {
    generation: u64,
    wire: Option<Wire>,
    failed: Option<(Stopwatch, String)>,
}

/// The connections of a store.
pub(super) struct Link {
    address: Address,
    timeout: Duration,
    shared: [Lane; SHARED_SIZE],
    waiting: [Lane; WAITING_SIZE],
    turn: AtomicUsize,
    /// The address that the sentinels named last, when a connection was made.
    primary: Mutex<Option<String>>,
    /// Numbers the connections that were ever made.
    generations: AtomicU64,
    pool: Pool,
    /// Whether a cluster's connections are being made anew.
    renewing: AtomicBool,
    closed: AtomicBool,
}

impl Link {
    /// Prepares connections; makes none yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] when the address makes no sense.
    pub(super) fn new(address: Address, timeout: Duration) -> Result<Link> {
        if address.tls {
            // A second provider in the process is no harm: the first one stays.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let pool = Pool::new(&address, timeout)?;
        Ok(Link {
            address,
            timeout,
            shared: Default::default(),
            waiting: Default::default(),
            turn: AtomicUsize::new(0),
            primary: Mutex::default(),
            generations: AtomicU64::new(0),
            pool,
            renewing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })
    }

    /// The address, for people.
    pub(super) fn shown(&self) -> &str {
        &self.address.shown
    }

    /// Whether a command may be sent more than once by itself: the cluster's client follows moved slots and lost nodes.
    pub(super) fn repeats(&self) -> bool {
        matches!(self.pool, Pool::Cluster(_))
    }

    /// The number of the connection whose turn it is.
    pub(super) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    fn lane(&self, via: Via) -> RedisResult<&Lane> {
        let lane = match via {
            Via::Shared(number) => self.shared.get(number % SHARED_SIZE),
            Via::Waiting(number) => self.waiting.get(number % WAITING_SIZE),
            Via::Pool => None,
        };
        lane.ok_or_else(|| RedisError::from((ErrorKind::Client, "there is no such connection")))
    }

    /// Sends a command and gives the answer; with an error, the generation of the connection that it came from.
    pub(super) async fn send(&self, via: Via, cmd: &Cmd) -> std::result::Result<Value, (u64, RedisError)> {
        if self.closed.load(Ordering::Relaxed) {
            return Err((u64::MAX, RedisError::from((ErrorKind::Client, "the store was closed"))));
        }
        let unsent = |error| (u64::MAX, error);
        if via == Via::Pool {
            return self.pool.send(cmd).await.map_err(unsent);
        }
        let (generation, wire) = self.wire(self.lane(via).map_err(unsent)?).await.map_err(unsent)?;
        let sent = match wire {
            Wire::One(mut wire) => wire.send_packed_command(cmd).await,
            Wire::Cluster(mut wire) => wire.req_packed_command(cmd).await,
        };
        sent.and_then(Value::extract_error).map_err(|error| (generation, error))
    }

    /// Sends a write and, right behind it on the same connection, the command that waits for replicas; gives both
    /// answers.
    pub(super) async fn send_and_wait(
        &self,
        via: Via,
        cmd: &Cmd,
        wait: Cmd,
    ) -> std::result::Result<(Value, Value), (u64, RedisError)> {
        if self.closed.load(Ordering::Relaxed) {
            return Err((u64::MAX, RedisError::from((ErrorKind::Client, "the store was closed"))));
        }
        let unsent = |error| (u64::MAX, error);
        let (generation, wire) = self.wire(self.lane(via).map_err(unsent)?).await.map_err(unsent)?;
        let mut both = redis::pipe();
        both.add_command(cmd.clone()).add_command(wait);
        let sent = match wire {
            Wire::One(mut wire) => wire.send_packed_commands(&both, 0, 2).await,
            Wire::Cluster(mut wire) => wire.req_packed_commands(&both, 0, 2).await,
        };
        let answers = sent.and_then(|answers| answers.into_iter().map(Value::extract_error).collect());
        let answers: Vec<Value> = answers.map_err(|error| (generation, error))?;
        match <[Value; 2]>::try_from(answers) {
            Ok([written, waited]) => Ok((written, waited)),
            Err(_) => Err((generation, RedisError::from((ErrorKind::Parse, "an answer is missing")))),
        }
    }

    /// Sends a command to each master and gives the answers by node; the name is empty where there is only one.
    pub(super) async fn on_each_master(&self, cmd: Cmd) -> RedisResult<Vec<(String, Value)>> {
        let (_, wire) = self.wire(self.lane(Via::Shared(0))?).await?;
        let asked = async {
            match wire {
                Wire::One(mut wire) => {
                    Ok(vec![(String::new(), wire.send_packed_command(&cmd).await?.extract_error()?)])
                }
                Wire::Cluster(mut wire) => {
                    let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                    let answers = wire.route_command(cmd, all).await?.extract_error()?;
                    redis::from_redis_value::<HashMap<String, Value>>(answers)
                        .map(|answers| answers.into_iter().collect())
                        .map_err(RedisError::from)
                }
            }
        };
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(answers) => answers,
            Err(_) => Err(RedisError::from((ErrorKind::Io, "there was no answer"))),
        }
    }

    fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.shared.iter().chain(&self.waiting)
    }

    /// Drops a connection if it is still there, and those that were made before it: the next calls make new ones. The
    /// pool's connections prove themselves with a PING each time they are taken.
    pub(super) fn forget(self: &Arc<Self>, generation: u64) {
        if self.renews() {
            return;
        }
        for lane in self.lanes() {
            let mut slot = lane.slot();
            if generation != u64::MAX && slot.generation <= generation {
                slot.wire = None;
            }
        }
    }

    /// A cluster's connections lead to all of its nodes, and one that is gone must not cost the way to the others: they
    /// are used until new ones are there, which know the nodes anew. Gives whether these are such.
    fn renews(self: &Arc<Self>) -> bool {
        if !self.repeats() {
            return false;
        }
        if !self.renewing.swap(true, Ordering::Relaxed) {
            let link = Arc::clone(self);
            tokio::spawn(async move {
                join_all(link.lanes().map(|lane| link.renew(lane))).await;
                link.renewing.store(false, Ordering::Relaxed);
            });
        }
        true
    }

    /// Makes a connection that is there anew; nobody waits for it.
    async fn renew(&self, lane: &Lane) {
        if lane.slot().wire.is_none() {
            return;
        }
        let _one_at_a_time = lane.connecting.lock().await;
        let Ok(Ok(wire)) = tokio::time::timeout(self.timeout, self.connect()).await else { return };
        let mut slot = lane.slot();
        if !self.closed.load(Ordering::Relaxed) {
            slot.generation = self.generations.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            slot.wire = Some(wire);
        }
    }

    /// Drops the connections on which a call by this way may have gone.
    pub(super) fn forget_all(self: &Arc<Self>, via: Via) {
        if self.renews() {
            return;
        }
        match via {
            Via::Shared(_) => self.shared.iter().for_each(|lane| lane.slot().wire = None),
            Via::Pool => self.forget_pool(),
            Via::Waiting(_) => self.waiting.iter().for_each(|lane| lane.slot().wire = None),
        }
    }

    /// Drops the pool's idle connections.
    pub(super) fn forget_pool(&self) {
        self.pool.forget();
    }

    /// Closes everything.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.pool.close();
        for lane in self.lanes() {
            lane.slot().wire = None;
        }
    }

    fn present(lane: &Lane) -> RedisResult<Option<(u64, Wire)>> {
        let slot = lane.slot();
        if let Some(wire) = &slot.wire {
            return Ok(Some((slot.generation, wire.clone())));
        }
        match &slot.failed {
            Some((since, why)) if since.elapsed() < CONNECT_PAUSE => {
                Err(RedisError::from((ErrorKind::Io, "no connection", why.clone())))
            }
            _ => Ok(None),
        }
    }

    async fn wire(&self, lane: &Lane) -> RedisResult<(u64, Wire)> {
        if let Some(present) = Link::present(lane)? {
            return Ok(present);
        }
        let _one_at_a_time = lane.connecting.lock().await;
        if let Some(present) = Link::present(lane)? {
            return Ok(present);
        }
        let made = match tokio::time::timeout(self.timeout, self.connect()).await {
            Ok(made) => made,
            Err(_) => Err(RedisError::from((ErrorKind::Io, "connecting took too long"))),
        };
        let mut slot = lane.slot();
        match made {
            Ok(wire) => {
                slot.generation = self.generations.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
                slot.wire = Some(wire.clone());
                slot.failed = None;
                Ok((slot.generation, wire))
            }
            Err(error) => {
                slot.failed = Some((Stopwatch::start(), error.to_string()));
                Err(error)
            }
        }
    }

    async fn connect(&self) -> RedisResult<Wire> {
        match &self.address.place {
            Place::One(info) => self.manager(Client::open((**info).clone())?).await,
            Place::Sentinel { .. } => {
                let found = named_primary(&self.address.place).await?;
                self.work_with(&found);
                self.manager(found).await
            }
            Place::Cluster(nodes) => {
                let client = ClusterClient::builder(nodes.clone())
                    // Two rounds of connecting, to the nodes that were named and to those that they name, must fit into
                    // the whole: one that drops packets must not keep us from the others.
                    .connection_timeout(self.timeout / 4)
                    .response_timeout(self.timeout)
                    .retries(CLUSTER_RETRIES)
                    .build()?;
                client.get_async_connection().await.map(Wire::Cluster)
            }
        }
    }

    fn primary(&self) -> MutexGuard<'_, Option<String>> {
        self.primary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this is the primary; connections to another one are left: calls that go to both by turns would lose
    /// what only one of them has.
    fn work_with(&self, primary: &Client) {
        let named = primary.get_connection_info().addr().to_string();
        let before = self.primary().replace(named.clone());
        let Some(before) = before.filter(|before| *before != named) else { return };
        tracing::warn!(from = %before, to = %named, "the sentinels name another Redis primary: leaving the old one");
        self.lanes().for_each(|lane| lane.slot().wire = None);
        self.forget_pool();
    }

    /// Asks the sentinels whether the primary is still the one that we work with, and leaves it if not: one that was
    /// cut off from them and from its replicas goes on answering us, and what it accepts is lost when it comes back.
    pub(super) async fn follow_primary(&self) {
        if self.primary().is_none() {
            return;
        }
        if let Ok(Ok(named)) = tokio::time::timeout(FOLLOW_MAX, named_primary(&self.address.place)).await {
            self.work_with(&named);
        }
    }

    /// The manager connects anew after an I/O error; after any other failure to connect (a server that still loads,
    /// a wrong password) it would keep that failure for ever, so `forget` drops the whole manager then.
    async fn manager(&self, client: Client) -> RedisResult<Wire> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout))
            .set_pipeline_buffer_size(PIPELINE_MAX);
        ConnectionManager::new_with_config(client, config).await.map(Wire::One)
    }
}
