//! A full disk: nothing is accepted, reading works, and it goes on by itself when there is room again.

use std::sync::Arc;

use kassir::clock::ManualClock;
use kassir::domain::Notification;
use kassir::store::sqlite::{Options, SqliteStore};
use kassir::store::{Commit, Cutoffs, StoreError};

use super::File;
use crate::store_suite::START;
use crate::store_suite::samples::shop;

#[tokio::test]
async fn a_full_store_refuses_and_recovers() {
    let file = File::new();
    let options = Options { max_pages: Some(400) };
    let clock = Arc::new(ManualClock::at(START));
    let store = SqliteStore::open_with(&file.path(), Arc::clone(&clock) as _, options).unwrap();
    let bench = file.bench(store, clock);
    let own = shop(&bench).await;
    let note = || Notification { payment: None, body: "x".repeat(40_000), ..own.notification() };
    let mut kept = Vec::new();
    let refused = loop {
        let notification = note();
        let id = notification.id;
        match own.store.commit(Commit { notification: Some(notification), ..own.commit() }).await {
            Ok(_) => kept.push(id),
            Err(error) => break error,
        }
        assert!(kept.len() < 1000, "it never fills up");
    };
    assert!(matches!(&refused, StoreError::Unavailable(why) if why.contains("full")), "{refused:?}");
    assert!(kept.len() > 10);

    // Still full, still honest; what was kept can be read.
    for _ in 0..3 {
        let again = own.store.commit(Commit { notification: Some(note()), ..own.commit() }).await;
        assert!(matches!(again, Err(StoreError::Unavailable(_))), "{again:?}");
    }
    for id in &kept {
        assert!(own.store.notification(own.merchant, *id).await.unwrap().is_some());
    }

    // Room again.
    bench.clock.advance(10);
    let cutoffs = Cutoffs { notifications: Some(START + 1), ..Cutoffs::default() };
    while own.store.sweep(&cutoffs, 5).await.unwrap() > 0 {}
    own.store.ready().await.unwrap();
    own.write(Commit { notification: Some(note()), ..own.commit() }).await;
    own.write(own.whole("p-1")).await;
}
