//! The embedded store: the suite of all stores, and what is its own.

mod crash;
mod file;
mod full;
mod golden;
mod power;
mod readiness;
mod retention;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kassir::clock::ManualClock;
use kassir::store::sqlite::SqliteStore;
use kassir::store::{ConfigChange, Conflict, Found, Holding, Store, StoreError};
use tempfile::TempDir;

use crate::store_suite::enter::{ask, make};
use crate::store_suite::samples::{merchant, shop};
use crate::store_suite::{Backend, Bench, START};

store_suite!(suite, crate::sqlite::fresh);

struct File {
    folder: TempDir,
}

impl File {
    fn new() -> File {
        File { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data").join("kassir.db")
    }

    /// Opens the store with a clock that stands at the start.
    fn open(&self) -> kassir::store::Result<SqliteStore> {
        SqliteStore::open(&self.path(), Arc::new(ManualClock::at(START)))
    }

    /// Opens the file past the store.
    fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    /// A bench around a store that this test opened by itself.
    fn bench(self, store: SqliteStore, clock: Arc<ManualClock>) -> Bench {
        Bench::new(Arc::new(store), clock, Box::new(self))
    }
}

#[async_trait]
impl Backend for File {
    async fn reopen(&mut self, clock: Arc<ManualClock>) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.path(), clock).unwrap())
    }
}

pub async fn fresh() -> Bench {
    let (file, clock) = (File::new(), Arc::new(ManualClock::at(START)));
    let store = SqliteStore::open(&file.path(), Arc::clone(&clock) as _).unwrap();
    file.bench(store, clock)
}

/// Steps that wait at once are run in their order, most of them in one transaction.
#[tokio::test]
async fn a_change_of_the_configuration_counts_for_the_steps_behind_it() {
    let shop = shop(&fresh().await).await;
    let renamed = kassir::domain::config::Merchant { id: shop.merchant, ..merchant() };
    let change =
        || shop.store.change_config(shop.merchant, ConfigChange::UpdateMerchant(renamed.clone()), None);
    let steps = |ids: std::ops::Range<u32>| {
        futures_util::future::join_all(ids.map(|id| shop.store.commit(shop.whole(&id.to_string()))))
    };
    let (before, changed, behind) = tokio::join!(biased; steps(0..20), change(), steps(20..40));
    assert!(before.iter().all(Result::is_ok), "{before:?}");
    assert_eq!(changed.unwrap(), shop.version + 1);
    for refused in behind {
        assert!(matches!(refused, Err(StoreError::Conflict(Conflict::Config))), "{refused:?}");
    }
}

/// The thread that writes decides only where something was found; all others wait for it.
#[tokio::test]
async fn what_becomes_of_a_new_payment_is_decided_before_the_writers_turn() {
    let shop = shop(&fresh().await).await;
    let enter = async |id: &'static str| {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (told, mut make) = (Arc::clone(&asked), make(&shop, id));
        let decide = move |found: &Found| {
            let here = std::thread::current().name() == Some("store-writer");
            told.lock().unwrap().push((here, found.by_provider_id.len()));
            make(found)
        };
        let committed = shop.store.enter(ask(&shop, id), shop.version, Box::new(decide)).await.unwrap();
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        (asked, committed.and_then(|committed| committed.payment))
    };
    assert_eq!(enter("p-1").await, (vec![(false, 0)], Some((1, 1))));
    assert_eq!(enter("p-1").await, (vec![(false, 0), (true, 1)], None));
}

#[tokio::test]
async fn after_a_start_a_lane_that_was_probed_may_be_tried_again() {
    let (file, clock) = (File::new(), Arc::new(ManualClock::at(START)));
    let store = Arc::new(SqliteStore::open(&file.path(), Arc::clone(&clock) as _).unwrap());
    let bench = Bench::new(Arc::clone(&store) as _, Arc::clone(&clock), Box::new(file));
    let shop = shop(&bench).await;
    shop.queue().await;
    shop.queue().await;
    let holding = Holding::Until { until: START + 1_000, step: 3 };
    store.hold(shop.merchant, shop.lane(), holding).await.unwrap();
    clock.advance(1_000);
    assert_eq!(shop.claim().await.work.len(), 1);
    assert_eq!(shop.claim().await.work.len(), 0);
    store.end_all_leases().await.unwrap();
    let again = shop.claim().await.work;
    assert_eq!((again.len(), again[0].probe), (1, Some(3)));
}
