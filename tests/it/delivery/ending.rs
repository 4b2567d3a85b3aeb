//! A router whose worker ends by a defect: it must not go on taking notifications that nobody delivers.

use std::sync::Arc;
use std::time::Duration;

use kassir::app::{Router, Start};
use kassir::clock::ManualClock;
use kassir::secrets::{Vault, token_hash};
use kassir::store::sqlite::SqliteStore;

use super::flaky::Flaky;
use crate::store_suite::START;
use crate::world::config;

/// So that a failing test ends.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_router_without_its_worker_ends_and_says_so() {
    kassir::tls::install();
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START));
    let store = SqliteStore::open(&folder.path().join("kassir.db"), Arc::clone(&clock) as _).unwrap();
    let store = Flaky::around(Arc::new(store));
    store.decide(|verb| panic!("a defect in {verb:?}"));
    let start = Start {
        config: config(&[]),
        clock,
        store,
        vault: Arc::new(Vault::throw_away().unwrap()),
        admin_token_hash: token_hash("admin"),
        run_worker: true,
    };
    let mut router = Router::start(start).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, router.ended()).await.unwrap();
    let why = ended.unwrap_err().to_string();
    assert!(why.starts_with("the worker ended (") && why.contains("start it again"), "{why}");
    router.stop().await;
}
