//! Reading: a few connections that can't write, on threads that may block.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::measure::Meter;
use super::super::{Result, StoreError};
use super::error::{from_sqlite, is_of_file};
use super::file::open_reader;
use crate::clock::Stopwatch;

/// Reads at once; a caller beyond that waits.
const READERS_MAX: usize = 4;

/// Longest wait of the writer for the reads under way.
const PAUSE_WITHIN: Duration = Duration::from_secs(5);

/// The connections.
#[derive(Clone)]
pub(super) struct Readers {
    pool: Arc<Pool>,
}

struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    closed: AtomicBool,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Readers {
        let permits = Arc::new(Semaphore::new(READERS_MAX));
        Readers {
            pool: Arc::new(Pool {
                path,
                idle: Mutex::new(Vec::new()),
                permits,
                closed: AtomicBool::new(false),
            }),
        }
    }

    /// Runs a read in one snapshot of the store.
    pub(super) async fn read<T, F>(&self, meter: &Meter, run: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let watch = Stopwatch::start();
        let result = self.on_a_thread(run).await;
        meter.note(watch, &result);
        result
    }

    async fn on_a_thread<T, F>(&self, run: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.pool.permits).acquire_owned().await.map_err(|_| closed())?;
        let pool = Arc::clone(&self.pool);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            pool.read(run)
        })
        .await
        .map_err(|error| StoreError::Unavailable(format!("the read ended early: {error}")))?
    }

    /// Runs a read of a few pages right here. They are nearly always in memory, and then the read takes less than
    /// handing it to another thread would; only with more readers at once than connections is it handed over.
    pub(super) async fn glance<T, F>(&self, meter: &Meter, run: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let watch = Stopwatch::start();
        let result = match Arc::clone(&self.pool.permits).try_acquire_owned() {
            Ok(_permit) => self.pool.read(run),
            Err(_) => self.on_a_thread(run).await,
        };
        meter.note(watch, &result);
        result
    }

    /// Waits for the reads under way, not for long, and closes their connections; nobody reads until what it gives is
    /// dropped. From a thread that is not the runtime's.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when a read takes too long.
    pub(super) fn pause(&self) -> Result<OwnedSemaphorePermit> {
        let all = u32::try_from(READERS_MAX).unwrap_or(1);
        let permits = Arc::clone(&self.pool.permits).acquire_many_owned(all);
        let no_runtime = |error| StoreError::Unavailable(format!("reads can't be waited for: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let waited = runtime
            .map_err(no_runtime)?
            .block_on(async { tokio::time::timeout(PAUSE_WITHIN, permits).await });
        let paused = waited.map_err(|_| StoreError::Unavailable("a read takes too long".to_owned()))?;
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        paused.map_err(|_| closed())
    }

    /// Waits for the reads under way and closes all connections.
    pub(super) async fn close(&self) {
        self.pool.closed.store(true, Ordering::SeqCst);
        let all = u32::try_from(READERS_MAX).unwrap_or(1);
        if let Ok(permits) = self.pool.permits.acquire_many(all).await {
            permits.forget();
        }
        self.pool.permits.close();
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Pool {
    fn read<T>(&self, run: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let conn = self.take()?;
        let result = snapshot(&conn, run);
        // After an error of the file a fresh connection is the better one.
        if !result.as_ref().is_err_and(is_of_file) {
            self.put_back(conn);
        }
        result
    }

    fn take(&self) -> Result<Connection> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(closed());
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(conn) => Ok(conn),
            None => open_reader(&self.path),
        }
    }

    fn put_back(&self, conn: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
    }
}

fn snapshot<T>(conn: &Connection, run: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    let tx = conn.unchecked_transaction().map_err(from_sqlite)?;
    run(&tx)
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}
