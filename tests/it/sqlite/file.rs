//! The file: whose it is, who may read it, and what is said of one that can't be used.

use std::sync::Arc;

use kassir::clock::ManualClock;
use kassir::store::sqlite::SqliteStore;
use kassir::store::{PaymentFilter, Store, StoreError};

use super::File;
use crate::store_suite::START;
use crate::store_suite::samples::shop;

#[track_caller]
fn unusable(result: kassir::store::Result<SqliteStore>) -> String {
    match result {
        Err(StoreError::Unusable(why)) => why,
        Err(other) => panic!("another error: {other:?}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[tokio::test]
async fn a_second_opener_is_kept_out() {
    let file = File::new();
    let store = file.open().unwrap();
    let Err(refused @ StoreError::Taken { .. }) = file.open() else { panic!("it was opened") };
    let why = refused.to_string();
    assert!(why.contains("another process") && why.contains(&format!("pid {}", std::process::id())), "{why}");
    store.ready().await.unwrap();
    store.close().await;
    file.open().unwrap().ready().await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_dropped_gives_the_file_back_after_its_writes() {
    let file = File::new();
    let store = file.open().unwrap();
    store.ready().await.unwrap();
    // The second close waits for the first one's end.
    let (first, second) = tokio::join!(store.close(), store.close());
    assert_eq!((first, second), ((), ()));
    file.open().unwrap().close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;

    let file = File::new();
    let store = file.open().unwrap();
    store.ready().await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = file.path().parent().unwrap().to_owned();
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for path in files {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    store.close().await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let file = File::new();
    file.open().unwrap().close().await;
    file.raw().pragma_update(None, "user_version", 9999).unwrap();
    let why = unusable(file.open());
    assert!(why.contains("newer Kassir") && why.contains("9999"), "{why}");
    let version: i64 = file.raw().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 9999);
}

#[tokio::test]
async fn who_only_looks_reads_beside_the_owner_and_writes_nothing() {
    let file = File::new();
    let path = file.path();
    let look = || SqliteStore::look(&path, Arc::new(ManualClock::at(START)));
    let missing = look().map(drop).unwrap_err();
    assert!(matches!(missing, StoreError::Unavailable(_)), "{missing:?}");
    assert!(!path.parent().unwrap().exists(), "it made the folder");

    let bench = file.bench(
        SqliteStore::open(&path, Arc::new(ManualClock::at(START))).unwrap(),
        Arc::new(ManualClock::at(START)),
    );
    let own = shop(&bench).await;
    own.queue().await;
    let seen = look().unwrap();
    assert_eq!(seen.backlog().await.unwrap(), own.store.backlog().await.unwrap());
    assert_eq!(seen.backlog().await.unwrap().waiting, 1);
    assert!(seen.size().await.unwrap().bytes > 0);
    for refused in [seen.ready().await, seen.end_all_leases().await] {
        assert!(
            matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("reading only")),
            "{refused:?}"
        );
    }
    // What the owner writes meanwhile is seen, and who looked does not keep it from closing.
    own.queue().await;
    assert_eq!(seen.backlog().await.unwrap().waiting, 2);
    bench.store.close().await;
    assert_eq!(seen.backlog().await.unwrap().waiting, 2);
    seen.close().await;
    assert!(matches!(seen.backlog().await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn who_only_looks_refuses_another_schema() {
    let file = File::new();
    file.open().unwrap().close().await;
    let look = || unusable(SqliteStore::look(&file.path(), Arc::new(ManualClock::at(START))));
    file.raw().pragma_update(None, "user_version", 9999).unwrap();
    assert!(look().contains("newer Kassir"), "{}", look());
    file.raw().pragma_update(None, "user_version", 0).unwrap();
    assert!(look().contains("older Kassir (schema 0"), "{}", look());
}

#[tokio::test]
async fn a_file_of_another_program_is_refused() {
    let file = File::new();
    std::fs::create_dir_all(file.path().parent().unwrap()).unwrap();
    file.raw().execute_batch("CREATE TABLE photos (a); INSERT INTO photos VALUES (1)").unwrap();
    let why = unusable(file.open());
    assert!(why.contains("another program"), "{why}");
    let rows: i64 = file.raw().query_row("SELECT a FROM photos", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_with_advice() {
    let file = File::new();
    std::fs::create_dir_all(file.path().parent().unwrap()).unwrap();
    std::fs::write(file.path(), "not a database at all, ".repeat(500)).unwrap();
    let why = unusable(file.open());
    assert!(why.contains("damaged or no database") && why.contains(".recover"), "{why}");
}

#[tokio::test]
async fn a_folder_in_the_way_is_told() {
    let file = File::new();
    std::fs::create_dir_all(file.path()).unwrap();
    let why = unusable(file.open());
    assert!(why.contains("can't be opened"), "{why}");
}

#[tokio::test]
async fn a_damaged_page_is_told_and_the_rest_works() {
    let file = File::new();
    let path = file.path();
    let clock = Arc::new(ManualClock::at(START));
    let store = file.open().unwrap();
    let mut bench = file.bench(store, clock);
    let mut own = shop(&bench).await;
    for index in 0..50 {
        own.write(own.whole(&format!("p-{index}"))).await;
    }
    bench.store.close().await;
    damage_notifications(&path);
    bench.restart().await;
    own.store = bench.store.clone();
    let broken = own.store.notifications(own.merchant, &Default::default(), &Default::default()).await;
    assert!(matches!(&broken, Err(StoreError::Corrupt(why)) if why.contains("damaged")), "{broken:?}");
    // A notification can't be kept: no part of it is.
    let refused = own.store.commit(own.whole("new")).await;
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
    let payments = own.store.payments(own.merchant, &PaymentFilter::default(), &Default::default()).await;
    assert_eq!(payments.unwrap().rows.len(), 50);
    assert_eq!(own.claim().await.work.len(), 50);
}

/// Damages the page of a closed file that all of the inbound log hangs on.
pub fn damage_notifications(path: &std::path::Path) {
    let (page, page_size) = {
        let raw = rusqlite::Connection::open(path).unwrap();
        let sql =
            "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'notification'";
        raw.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    assert_eq!(page_size, 8 * 1024, "that of a new file");
    damage(path, page, page_size);
}

fn damage(path: &std::path::Path, page: u32, size: u32) {
    use std::io::{Seek, SeekFrom, Write};

    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(u64::from(page - 1) * u64::from(size))).unwrap();
    file.write_all(&vec![0xA5; size as usize]).unwrap();
}

#[tokio::test]
async fn a_record_that_cant_be_read_does_not_stop_the_queue() {
    let file = File::new();
    let path = file.path();
    let store = file.open().unwrap();
    let bench = file.bench(store, Arc::new(ManualClock::at(START)));
    let own = shop(&bench).await;
    let ids = [own.queue().await, own.queue().await];
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute("UPDATE delivery SET record = '{' WHERE id = ?1", [ids[0].to_string()]).unwrap();
    let claims = own.claim().await;
    assert_eq!(claims.work.len(), 1);
    assert_eq!(own.store.backlog().await.unwrap().waiting, 2, "it stays, and is told about again");
    let read = own.store.delivery(own.merchant, ids[0]).await;
    assert!(matches!(&read, Err(StoreError::Corrupt(why)) if why.starts_with("delivery")), "{read:?}");
}
