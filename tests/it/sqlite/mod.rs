//! The embedded store: the suite of all stores, and what is its own.

mod crash;
mod file;
mod full;
mod golden;
mod power;
mod retention;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use kassir::clock::ManualClock;
use kassir::store::sqlite::SqliteStore;
use kassir::store::{ConfigChange, Conflict, Store, StoreError};
use tempfile::TempDir;

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
