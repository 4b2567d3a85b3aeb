//! The embedded store: the suite of all stores, and what is its own.

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
    fn path(&self) -> PathBuf {
        self.folder.path().join("kassir.db")
    }
}

#[async_trait]
impl Backend for File {
    async fn reopen(&mut self, clock: Arc<ManualClock>) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.path(), clock).unwrap())
    }
}

pub async fn fresh() -> Bench {
    let clock = Arc::new(ManualClock::at(START));
    let mut file = File { folder: tempfile::tempdir().unwrap() };
    let store = file.reopen(Arc::clone(&clock)).await;
    Bench::new(store, clock, Box::new(file))
}
