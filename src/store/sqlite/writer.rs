//! The one thread that writes. It takes what waits, runs it in one transaction, commits once, and only then answers:
//! many callers share one fsync, and nobody hears of success before the disk has it.
//!
//! A verb that fails must undo only itself. A savepoint for each verb would see to that, at the price of a copy of
//! every page it touches; but nearly all verbs succeed, and most that don't find out before they write. So a batch
//! runs without savepoints, and only when a verb failed after it had written is the whole undone and run once more,
//! with them. Verbs can therefore run twice: they borrow what they write.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use tokio::sync::{mpsc, oneshot};

use super::super::measure::Meter;
use super::super::{Result, StoreError, Tally};
use super::batch::Batch;
use super::error::{from_sqlite, is_lasting, is_of_file};
use super::file::{CHECKPOINT_PAGES, FileLock, open_writer, rewrite_log};
use super::readers::Readers;
use super::tally::Bucket;
use crate::clock::{SharedClock, Stopwatch};
use crate::domain::ids::MerchantId;
use crate::quiet::LogGate;

/// Verbs that wait for the writer; a caller beyond that waits for room.
const WAITING_MAX: usize = 1024;
/// Verbs that share one transaction at the most.
const BATCH_MAX: usize = 256;

/// What a verb writes with.
pub(super) struct Tx<'a> {
    pub(super) conn: &'a Connection,
    /// The store's clock, Unix milliseconds.
    pub(super) now: i64,
    /// What the batch reads once and writes once.
    pub(super) batch: &'a Batch,
    /// Counters to be moved.
    tallies: RefCell<Vec<(Bucket, i64)>>,
}

impl Tx<'_> {
    /// Moves counters, in the hour of the store's clock.
    pub(super) fn tally(&self, merchant: MerchantId, tallies: &[Tally]) {
        let moved = tallies.iter().map(|tally| (Bucket::of(merchant, self.now, &tally.key), tally.by));
        self.tallies.borrow_mut().extend(moved);
    }
}

/// A verb on its way: it runs, and is answered once its fate is known.
trait Job: Send {
    /// Whether it succeeded, so that its writes stay.
    fn run(&mut self, tx: &Tx<'_>) -> Ran;
    /// `lost`: why the transaction did not become durable.
    fn answer(self: Box<Self>, lost: Option<&StoreError>);
}

enum Ran {
    Well,
    /// The store said no: a conflict, a limit, a record that can't be read.
    Refused,
    /// The file said no.
    Failed,
}

struct Verb<T, F> {
    run: F,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Verb<T, F>
where
    T: Send,
    F: FnMut(&Tx<'_>) -> Result<T> + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> Ran {
        let result = (self.run)(tx);
        let ran = match &result {
            Ok(_) => Ran::Well,
            Err(error) if is_of_file(error) => Ran::Failed,
            Err(_) => Ran::Refused,
        };
        self.result = Some(result);
        ran
    }

    fn answer(self: Box<Self>, lost: Option<&StoreError>) {
        // Also a conflict is void when the transaction is: it may be with a write that was undone.
        let result = match (lost, self.result) {
            (Some(_), Some(Err(own))) if is_of_file(&own) => Err(own),
            (Some(why), _) => Err(why.clone()),
            (None, Some(result)) => result,
            (None, None) => Err(StoreError::Unavailable("the write did not run".to_owned())),
        };
        // A caller that is gone does not want to know.
        let _ = self.reply.send(result);
    }
}

enum Message {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

/// The way to the writer's thread, or why there is none. The thread ends when all of these are gone, or on
/// [`Writer::close`].
#[derive(Clone)]
pub(super) struct Writer {
    to: Result<mpsc::Sender<Message>>,
}

impl Writer {
    /// Starts the thread with a connection that is ready to write.
    pub(super) fn start(place: Place, conn: Connection) -> Result<Writer> {
        let (to, from) = mpsc::channel(WAITING_MAX);
        let thread = Thread::new(place, conn, from)?;
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || thread.serve())
            .map_err(|error| StoreError::Unusable(format!("the store's writer can't start: {error}")))?;
        Ok(Writer { to: Ok(to) })
    }

    /// One that refuses every write.
    pub(super) fn refusing(why: StoreError) -> Writer {
        Writer { to: Err(why) }
    }

    /// Runs a verb, possibly twice; returns when it is durable or has failed.
    pub(super) async fn write<T, F>(&self, meter: &Meter, run: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let watch = Stopwatch::start();
        let result = self.send(run).await;
        meter.note(watch, &result);
        result
    }

    async fn send<T, F>(&self, run: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Tx<'_>) -> Result<T> + Send + 'static,
    {
        let to = self.to.as_ref().map_err(StoreError::clone)?;
        let (reply, answer) = oneshot::channel();
        let verb = Verb { run, result: None, reply };
        to.send(Message::Job(Box::new(verb))).await.map_err(|_| closed())?;
        answer
            .await
            .map_err(|_| StoreError::Unavailable("the store's writer dropped the write".to_owned()))?
    }

    /// Waits for the writes under way, then closes the file and gives its lock back.
    pub(super) async fn close(&self) {
        let Ok(to) = &self.to else { return };
        let (reply, done) = oneshot::channel();
        if to.send(Message::Close(reply)).await.is_ok() {
            let _ = done.await;
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

/// Where the writer's file is and what it needs to open it again.
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) max_pages: Option<u32>,
    pub(super) clock: SharedClock,
    /// Those who read from the file.
    pub(super) readers: Readers,
    pub(super) lock: FileLock,
}

struct Thread {
    place: Place,
    /// `None` after an error that the connection should not outlive.
    conn: Option<Connection>,
    /// Pages in the log, as the last commit said.
    log_pages: Arc<AtomicI32>,
    from: mpsc::Receiver<Message>,
    failures: LogGate,
    reopenings: LogGate,
}

impl Thread {
    fn new(place: Place, conn: Connection, from: mpsc::Receiver<Message>) -> Result<Thread> {
        let log_pages = Arc::default();
        let conn = Some(watched(conn, &log_pages)?);
        Ok(Thread { place, conn, log_pages, from, failures: LogGate::new(), reopenings: LogGate::new() })
    }

    fn serve(mut self) {
        let mut closing = Vec::new();
        while let Some(first) = self.from.blocking_recv() {
            let mut batch = Vec::new();
            take(first, &mut batch, &mut closing);
            while batch.len() < BATCH_MAX
                && let Ok(next) = self.from.try_recv()
            {
                take(next, &mut batch, &mut closing);
            }
            self.write(batch);
            self.put_log_in();
            if !closing.is_empty() {
                // Whoever was waiting for room learns that the store is closed; what is inside is still written.
                self.from.close();
            }
        }
        let Thread { place: Place { lock, .. }, conn, from, .. } = self;
        drop(from);
        // The file is closed before somebody else may open it; what its log has is put in, if all of that is durable.
        if let Some(conn) = &conn {
            let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        }
        drop(conn);
        drop(lock);
        for reply in closing {
            let _ = reply.send(());
        }
    }

    fn write(&mut self, mut batch: Vec<Box<dyn Job>>) {
        if batch.is_empty() {
            return;
        }
        let lost = match catch_unwind(AssertUnwindSafe(|| self.transact(&mut batch))) {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some(why),
            Err(_) => {
                self.conn = None;
                Some(StoreError::Unavailable("the store's writer failed inside".to_owned()))
            }
        };
        if let Some(why) = &lost
            && let Some(left_out) = self.failures.open()
        {
            tracing::error!(error = %why, verbs = batch.len(), left_out, "the store could not write");
        }
        for job in batch {
            job.answer(lost.as_ref());
        }
    }

    /// Copies what the log has into the file once that is much; nobody waits for it but who comes next.
    fn put_log_in(&mut self) {
        let Some(conn) = &self.conn else { return };
        if self.log_pages.load(Ordering::Relaxed) < CHECKPOINT_PAGES {
            return;
        }
        let put_in = conn
            .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")
            .and_then(|mut statement| statement.query_row([], |_| Ok(())));
        let Err(error) = put_in else { return };
        if is_lasting(&error) {
            self.conn = None;
        }
        if let Some(left_out) = self.failures.open() {
            tracing::error!(%error, left_out, "the log of the store's file could not be put into it");
        }
    }

    fn transact(&mut self, batch: &mut [Box<dyn Job>]) -> Result<()> {
        let conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.reopen()?,
        };
        match run_batch(&conn, &self.place.clock, batch) {
            Ok(Trust::Kept) => self.conn = Some(conn),
            Ok(Trust::Lost) => {}
            Err(error) => {
                // A connection that can't even undo what it began is of no use.
                let undone = conn.is_autocommit() || conn.execute_batch("ROLLBACK").is_ok();
                if undone && !is_lasting(&error) {
                    self.conn = Some(conn);
                }
                return Err(from_sqlite(error));
            }
        }
        Ok(())
    }

    /// A fresh connection after an error of the disk. After a failed fsync the system may hold pages for written
    /// that the disk never got. So the log is written anew as it is read, and then the checkpoint puts its content into
    /// the file; only if both work is the file trusted with new writes. The checkpoint alone would do, but for a power
    /// failure in the middle of it: then the file is whole only together with its log.
    ///
    /// What was put into the file before, all of it, is in the log too, and has to be put in again: no connection may be
    /// left that remembers how far that went.
    fn reopen(&self) -> Result<Connection> {
        let _nobody_reads = self.place.readers.pause()?;
        rewrite_log(&self.place.path)?;
        let conn = open_writer(&self.place.path, self.place.max_pages)?;
        let busy: i64 =
            conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(from_sqlite)?;
        if busy != 0 {
            let why = "the file was opened again, and somebody reads what is not yet checked: trying again";
            return Err(StoreError::Unavailable(why.to_owned()));
        }
        let conn = watched(conn, &self.log_pages)?;
        if let Some(left_out) = self.reopenings.open() {
            tracing::info!(left_out, "the store's file is open again");
        }
        Ok(conn)
    }
}

/// A connection whose commits say how many pages the log has.
fn watched(mut conn: Connection, log_pages: &Arc<AtomicI32>) -> Result<Connection> {
    let told = Arc::clone(log_pages);
    told.store(0, Ordering::Relaxed);
    let hook = move |_: &mut Wal, pages| {
        told.store(pages, Ordering::Relaxed);
        Ok(())
    };
    conn.wal_hook(Some(hook)).map_err(from_sqlite)?;
    Ok(conn)
}

fn take(message: Message, batch: &mut Vec<Box<dyn Job>>, closing: &mut Vec<oneshot::Sender<()>>) {
    match message {
        Message::Job(job) => batch.push(job),
        Message::Close(reply) => closing.push(reply),
    }
}

/// Whether a connection is used again.
enum Trust {
    Kept,
    /// The file failed a verb: what was committed is committed, but the next transaction begins on a fresh connection.
    Lost,
}

/// Why a batch did not run to its end.
enum Halt {
    /// The file failed the batch itself.
    File(rusqlite::Error),
    /// A verb failed after it had written.
    Dirty,
}

impl From<rusqlite::Error> for Halt {
    fn from(error: rusqlite::Error) -> Halt {
        Halt::File(error)
    }
}

fn run_batch(conn: &Connection, clock: &SharedClock, batch: &mut [Box<dyn Job>]) -> rusqlite::Result<Trust> {
    run(conn, "BEGIN IMMEDIATE")?;
    let ran = match run_plainly(conn, clock, batch) {
        Err(Halt::Dirty) => {
            run(conn, "ROLLBACK")?;
            run(conn, "BEGIN IMMEDIATE")?;
            run_guarded(conn, clock, batch)
        }
        ran => ran,
    };
    let (trust, batch) = match ran {
        Ok(ran) => ran,
        Err(Halt::File(error)) => return Err(error),
        Err(Halt::Dirty) => return Err(rusqlite::Error::InvalidQuery),
    };
    batch.write(conn)?;
    run(conn, "COMMIT")?;
    Ok(trust)
}

fn run(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}

/// Without savepoints: ends when a verb failed that had written.
fn run_plainly(
    conn: &Connection,
    clock: &SharedClock,
    batch: &mut [Box<dyn Job>],
) -> std::result::Result<(Trust, Batch), Halt> {
    let shared = Batch::default();
    for job in batch.iter_mut() {
        let before = (conn.total_changes(), shared.taken());
        match run_one(conn, clock, job, &shared) {
            Ran::Well => {}
            Ran::Refused if (conn.total_changes(), shared.taken()) == before => {}
            Ran::Refused | Ran::Failed => return Err(Halt::Dirty),
        }
    }
    Ok((Trust::Kept, shared))
}

/// Each verb in a savepoint of its own.
fn run_guarded(
    conn: &Connection,
    clock: &SharedClock,
    batch: &mut [Box<dyn Job>],
) -> std::result::Result<(Trust, Batch), Halt> {
    let (mut trust, shared) = (Trust::Kept, Batch::default());
    for job in batch.iter_mut() {
        run(conn, "SAVEPOINT verb")?;
        let before = shared.snapshot();
        let ran = run_one(conn, clock, job, &shared);
        if let Ran::Failed = ran {
            trust = Trust::Lost;
        }
        if !matches!(ran, Ran::Well) {
            // SQLite ends the whole transaction by itself after some errors; then this fails, and with it the batch.
            run(conn, "ROLLBACK TO verb")?;
            shared.restore(before);
        }
        run(conn, "RELEASE verb")?;
    }
    Ok((trust, shared))
}

fn run_one(conn: &Connection, clock: &SharedClock, job: &mut Box<dyn Job>, batch: &Batch) -> Ran {
    let tx = Tx { conn, now: clock.now(), batch, tallies: RefCell::default() };
    let ran = job.run(&tx);
    if let Ran::Well = ran {
        batch.tally(tx.tallies.into_inner());
    }
    ran
}
