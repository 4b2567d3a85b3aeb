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
use kassir::store::Store;
use kassir::store::sqlite::SqliteStore;
use tempfile::TempDir;

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
