//! The database file: who may open it, and how.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::super::{Result, StoreError};
use super::error::from_sqlite;

/// `PRAGMA application_id`: "KASS".
pub(super) const APPLICATION_ID: i32 = 0x4b41_5353;
/// How long SQLite waits for a lock of its own (a checkpoint, somebody's `sqlite3` shell).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements that a connection keeps prepared.
const STATEMENTS_KEPT: usize = 128;
/// Size to which the write-ahead log is cut back after a burst, bytes.
const WAL_KEPT_MAX: i64 = 64 * 1024 * 1024;
/// Bytes of a page of a new file: a record takes about a kilobyte, and each page that a commit touches is two writes to
/// the log. A file keeps the size that it was made with.
const PAGE_SIZE: i64 = 8 * 1024;
/// Pages in the write-ahead log from which on a commit copies them into the file: pages that change again and again, as
/// the last one of each table does, are then copied once for many commits.
pub(super) const CHECKPOINT_PAGES: i32 = 2_000;
/// Page cache of the writer, KiB.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// Page cache of a reader, KiB.
const READER_CACHE_KIB: i64 = 4 * 1024;
/// Characters of the lock file that are shown to whom it keeps out.
const LOCK_NOTE_MAX: u64 = 40;

/// The right to use the file: the system takes it back when this process ends, however it ends.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
}

impl Drop for FileLock {
    /// A child that is just being started has the file open too, and the lock with it, until it becomes another program.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// The file itself, where a path is a link to it: SQLite has its log beside the file, and the lock has to be there.
pub(super) fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Makes the folder (0700) and the file (0600) where they are missing, and keeps other processes out.
pub(super) fn prepare(path: &Path) -> Result<FileLock> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder).map_err(|error| unusable(folder, "can't be made", &error))?;
    }
    let lock = lock(path)?;
    private_file(path).map_err(|error| unusable(path, "can't be opened", &error))?;
    Ok(lock)
}

fn lock(path: &Path) -> Result<FileLock> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let mut file = private_file(&beside).map_err(|error| unusable(&beside, "can't be opened", &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = (&file).take(LOCK_NOTE_MAX).read_to_string(&mut holder);
            let holder = holder.trim().to_owned();
            return Err(StoreError::Taken { holder, place: path.display().to_string() });
        }
        Err(TryLockError::Error(error)) => return Err(unusable(&beside, "can't be locked", &error)),
    }
    // Only a note for people: the lock itself does not depend on it.
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "pid {}", std::process::id()));
    Ok(FileLock { file })
}

fn unusable(path: &Path, what: &str, error: &std::io::Error) -> StoreError {
    StoreError::Unusable(format!("the store's {} {what}: {error}", path.display()))
}

fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Says of a file that can't be opened what may be done about it.
pub(super) fn opening(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(why) => StoreError::Unusable(format!(
            "{path} is damaged or no database: {why}, or save what is left with `sqlite3 {path} .recover`",
            path = path.display()
        )),
        other => other,
    }
}

/// Bytes of the log that are written anew at a time.
const LOG_CHUNK: usize = 64 * 1024;

/// Writes the log of a database file over itself, as it is read now, and syncs it: what a failed fsync left out reaches
/// the disk by that. Nobody may write to it meanwhile.
///
/// # Errors
/// [`StoreError::Unavailable`]. That there is no log is no error.
pub(super) fn rewrite_log(database: &Path) -> Result<()> {
    rewrite_wal(database).map_err(|error| {
        StoreError::Unavailable(format!("the log of the store's file can't be written anew: {error}"))
    })
}

fn rewrite_wal(database: &Path) -> std::io::Result<()> {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    let log = match OpenOptions::new().read(true).write(true).open(name) {
        Ok(log) => log,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let (mut chunk, mut at) = (vec![0; LOG_CHUNK], 0_u64);
    loop {
        let count = log.read_at(&mut chunk, at)?;
        let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { break };
        log.write_all_at(read, at)?;
        at = at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
    log.sync_all()
}

/// The one connection that writes. It leaves the log as it is when it is closed: after a failed fsync that is not
/// what the disk has.
pub(super) fn open_writer(path: &Path, max_pages: Option<u32>) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(from_sqlite)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(from_sqlite)?;
    common(&conn, WRITER_CACHE_KIB).map_err(from_sqlite)?;
    conn.pragma_update(None, "page_size", PAGE_SIZE).map_err(from_sqlite)?;
    let mode: String =
        conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(from_sqlite)?;
    if mode != "wal" {
        return Err(StoreError::Unusable(format!(
            "the file system of {} does not allow SQLite's write-ahead log (it is {mode}); use a local disk",
            path.display()
        )));
    }
    conn.pragma_update(None, "synchronous", "FULL").map_err(from_sqlite)?;
    // macOS: `fsync` alone leaves the data in the drive's cache.
    conn.pragma_update(None, "fullfsync", true).map_err(from_sqlite)?;
    let _: i64 = conn
        .query_row(&format!("PRAGMA journal_size_limit = {WAL_KEPT_MAX}"), [], |row| row.get(0))
        .map_err(from_sqlite)?;
    // The writer does it: SQLite would keep to itself that an fsync failed.
    conn.pragma_update(None, "wal_autocheckpoint", 0).map_err(from_sqlite)?;
    if let Some(pages) = max_pages {
        let _: i64 = conn
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get(0))
            .map_err(from_sqlite)?;
    }
    Ok(conn)
}

/// A connection that can't write.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(from_sqlite)?;
    common(&conn, READER_CACHE_KIB).map_err(from_sqlite)?;
    conn.pragma_update(None, "query_only", true).map_err(from_sqlite)?;
    Ok(conn)
}

fn common(conn: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // A plan must not depend on what is bound: SQLite would plan such a statement anew each time it is used.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -cache_kib)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_although_a_child_still_has_it_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kassir.db");
        let lock = prepare(&path).unwrap();
        assert!(matches!(prepare(&path), Err(StoreError::Taken { .. })));
        let inherited = lock.file.try_clone().unwrap();
        drop(lock);
        drop(prepare(&path).unwrap());
        drop(inherited);
    }
}
