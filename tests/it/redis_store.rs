//! The Redis store: the suite of all stores, alone and as a cluster, and what is its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use kassir::clock::ManualClock;
use kassir::store::Store;
use kassir::store::redis::{Options, RedisStore, TimeSource};

use crate::redis_server::{Cluster, Server, shared, shared_cluster};
use crate::store_suite::{Backend, Bench, START};

store_suite!(suite, crate::redis_store::fresh);
store_suite!(cluster, crate::redis_store::fresh_in_cluster);

#[tokio::test]
async fn a_clock_that_jumps_ahead_takes_nothing_from_who_lives() {
    crate::store_suite::owner::a_clock_that_jumps_ahead_takes_nothing_from_who_lives(fresh().await).await;
}

enum Place {
    One(Arc<Server>),
    Cluster(Arc<Cluster>),
}

struct Prefixed {
    place: Place,
    prefix: String,
    timeout: Duration,
}

#[async_trait]
impl Backend for Prefixed {
    async fn reopen(&mut self, clock: Arc<ManualClock>) -> Arc<dyn Store> {
        let url = match &self.place {
            Place::One(server) => server.url(),
            Place::Cluster(cluster) => cluster.url(),
        };
        let options = Options { prefix: self.prefix.clone(), timeout: self.timeout, ..options(clock) };
        Arc::new(RedisStore::open(&url, options).await.unwrap())
    }
}

/// Options with a test's clock.
pub fn options(clock: Arc<ManualClock>) -> Options {
    Options { time: TimeSource::Clock(clock), ..Options::default() }
}

async fn bench(place: Place, timeout: Duration) -> Bench {
    static TESTS: AtomicU32 = AtomicU32::new(0);
    let clock = Arc::new(ManualClock::at(START));
    let prefix = format!("test-{}", TESTS.fetch_add(1, Ordering::Relaxed));
    let mut backend = Prefixed { place, prefix, timeout };
    let store = backend.reopen(Arc::clone(&clock)).await;
    Bench::new(store, clock, Box::new(backend))
}

pub async fn fresh() -> Bench {
    bench(Place::One(shared()), Options::default().timeout).await
}

/// On a server that no other test has.
pub async fn alone(server: Arc<Server>) -> Bench {
    bench(Place::One(server), Options::default().timeout).await
}

pub async fn fresh_in_cluster() -> Bench {
    in_cluster(shared_cluster().await, Options::default().timeout).await
}

/// One in this cluster, which waits so long for its answers.
pub async fn in_cluster(cluster: Arc<Cluster>, timeout: Duration) -> Bench {
    bench(Place::Cluster(cluster), timeout).await
}
