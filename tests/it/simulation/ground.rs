//! What sequences stand on: a store's file, a clock, subscribers, a client. It is costly to make, so many share one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kassir::clock::ManualClock;
use kassir::delivery::outbound::{Outbound, OutboundConfig};
use kassir::secrets::Vault;
use kassir::store::sqlite::SqliteStore;
use kassir::store::{ClaimAsk, Store as _};
use tempfile::TempDir;

use super::receiver::Receiver;
use crate::store_suite::START;

/// Memory that looks like a disk: what is kept here need not outlive a power failure, and an fsync costs nothing.
const FAST: &str = "/dev/shm";

pub struct Ground {
    pub clock: Arc<ManualClock>,
    pub receiver: Arc<Receiver>,
    pub outbound: Outbound,
    pub vault: Arc<Vault>,
    pub store: Arc<SqliteStore>,
    folder: TempDir,
}

impl Ground {
    pub fn new() -> Ground {
        let clock = Arc::new(ManualClock::at(START));
        let fast = Path::new(FAST);
        let folder = if fast.is_dir() { tempfile::tempdir_in(fast) } else { tempfile::tempdir() }.unwrap();
        let store = Arc::new(SqliteStore::open(&file(&folder), clock.clone()).unwrap());
        let outbound = Outbound::build(&OutboundConfig {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            allow_http: true,
            ..OutboundConfig::default()
        })
        .unwrap();
        let (receiver, vault) = (Receiver::start(Arc::clone(&clock)), Arc::new(Vault::throw_away().unwrap()));
        Ground { clock, receiver, outbound, vault, store, folder }
    }

    /// The process dies, with leases on all that is due, and another one opens the file, as `serve` does.
    pub async fn crash(&mut self) {
        let request = ClaimAsk {
            owner: "the dead one".to_owned(),
            lease_ms: 60_000,
            max: 100,
            per_lane: 100,
            room: [].into(),
            probes: 10,
        };
        self.store.claim(&request).await.unwrap();
        self.store.close().await;
        self.store = Arc::new(SqliteStore::open(&file(&self.folder), self.clock.clone()).unwrap());
        self.store.end_all_leases().await.unwrap();
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("kassir.db")
}
