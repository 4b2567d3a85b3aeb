//! The pool of connections for batches: each is taken by one call at a time, and proves itself with a PING first.

use std::time::Duration;

use deadpool_redis::{Runtime, Timeouts, cluster, sentinel};
use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, Value};

use super::place::{Address, Place};
use crate::store::{Result, StoreError};

/// Connections: batches under way at once.
const POOL_SIZE: usize = 4;

/// The pool.
pub(super) enum Pool {
    One(deadpool_redis::Pool),
    Sentinel(sentinel::Pool),
    Cluster(cluster::Pool),
}

impl Pool {
    /// Prepares it; connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unusable`] when the address makes no sense.
    pub(super) fn new(address: &Address, timeout: Duration) -> Result<Pool> {
        Pool::made(address, timeout).map_err(|why| {
            StoreError::Unusable(format!("the pool of Redis connections can't be made: {why}"))
        })
    }

    fn made(address: &Address, timeout: Duration) -> std::result::Result<Pool, String> {
        let timeouts = Timeouts { wait: Some(timeout), create: Some(timeout), recycle: Some(timeout) };
        let words = |error: &dyn std::fmt::Display| error.to_string();
        match &address.place {
            Place::One(info) => {
                let manager = deadpool_redis::Manager::new((**info).clone()).map_err(|e| words(&e))?;
                let builder = deadpool_redis::Pool::builder(manager).max_size(POOL_SIZE);
                let pool =
                    builder.timeouts(timeouts).runtime(Runtime::Tokio1).build().map_err(|e| words(&e))?;
                Ok(Pool::One(pool))
            }
            Place::Sentinel { sentinels, master, node, tls } => {
                let info = sentinel::SentinelNodeConnectionInfo {
                    tls_mode: tls.then_some(sentinel::TlsMode::Secure),
                    redis_connection_info: Some(node.clone().into()),
                };
                let kind = sentinel::SentinelServerType::Master;
                let manager = sentinel::Manager::new(sentinels.clone(), master.clone(), Some(info), kind)
                    .map_err(|e| words(&e))?;
                let builder = sentinel::Pool::builder(manager).max_size(POOL_SIZE);
                let pool =
                    builder.timeouts(timeouts).runtime(Runtime::Tokio1).build().map_err(|e| words(&e))?;
                Ok(Pool::Sentinel(pool))
            }
            Place::Cluster(nodes) => {
                let manager = cluster::Manager::new(nodes.clone(), false).map_err(|e| words(&e))?;
                let builder = cluster::Pool::builder(manager).max_size(POOL_SIZE);
                let pool =
                    builder.timeouts(timeouts).runtime(Runtime::Tokio1).build().map_err(|e| words(&e))?;
                Ok(Pool::Cluster(pool))
            }
        }
    }

    /// Sends a command and gives the answer.
    pub(super) async fn send(&self, cmd: &Cmd) -> RedisResult<Value> {
        let no_connection = |why: String| RedisError::from((ErrorKind::Io, "no connection", why));
        let sent = match self {
            Pool::One(pool) => {
                let mut held = pool.get().await.map_err(|error| no_connection(error.to_string()))?;
                held.req_packed_command(cmd).await
            }
            Pool::Sentinel(pool) => {
                let mut held = pool.get().await.map_err(|error| no_connection(error.to_string()))?;
                held.req_packed_command(cmd).await
            }
            Pool::Cluster(pool) => {
                let mut held = pool.get().await.map_err(|error| no_connection(error.to_string()))?;
                held.req_packed_command(cmd).await
            }
        };
        sent.and_then(Value::extract_error)
    }

    /// Drops its idle connections: after a failover they lead to a replica, which answers PING as well.
    pub(super) fn forget(&self) {
        match self {
            Pool::One(pool) => drop(pool.retain(|_, _| false)),
            Pool::Sentinel(pool) => drop(pool.retain(|_, _| false)),
            Pool::Cluster(_) => {}
        }
    }

    /// Closes it.
    pub(super) fn close(&self) {
        match self {
            Pool::One(pool) => pool.close(),
            Pool::Sentinel(pool) => pool.close(),
            Pool::Cluster(pool) => pool.close(),
        }
    }
}
