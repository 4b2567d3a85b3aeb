//! The embedded store: one SQLite file in WAL mode with `synchronous=FULL`, one thread that writes, a few
//! connections that read.
//!
//! A verb is a function over a transaction ([`writer::Tx`]); this file only hands it over. Writes that wait together
//! share one transaction and one fsync. Another process is kept out by a lock beside the file.

mod batch;
mod claim;
mod commit;
mod config;
mod error;
mod file;
mod health;
mod holds;
mod lists;
mod migrate;
mod owners;
mod people;
#[cfg(test)]
mod plans;
mod query;
mod queue;
mod readers;
mod rows;
mod settle;
mod step;
mod sweep;
mod tally;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::measure::verb;
use super::{
    After, Alive, Backlog, ClaimAsk, Claims, Commit, Committed, ConfigChange, Cutoffs, Decide,
    DeliveryFilter, Description, EventFilter, Failing, Fence, Found, HealthChange, Held, Hold, Holding,
    Idempotency, Listed, LookUp, NotificationFilter, Page, PaymentFilter, Result, Settle, Store, StoreError,
    StoreSize,
};
use crate::clock::SharedClock;
use crate::domain::config::{Merchant, MerchantConfig};
use crate::domain::delivery::{Attempt, Delivery};
use crate::domain::event::Event;
use crate::domain::ids::{
    DeliveryId, EndpointId, EventId, IntegrationId, MerchantId, NotificationId, ReplayId, TokenId,
};
use crate::domain::job::{Job, Lane};
use crate::domain::notification::Notification;
use crate::domain::payment::Payment;
use crate::domain::people::{ApiToken, AuditEntry, Replay};

/// How a file is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Size that the file may have, in its pages (8 KiB in files made since pages have that size, 4 KiB before); `None` is
    /// what the disk has. A full store refuses writes with
    /// [`super::StoreError::Unavailable`] until something was swept.
    pub max_pages: Option<u32>,
}

/// The embedded store.
pub struct SqliteStore {
    path: PathBuf,
    clock: SharedClock,
    writer: writer::Writer,
    readers: readers::Readers,
    owners: owners::Owners,
}

impl SqliteStore {
    /// Opens the store, makes it where there is none (folder 0700, files 0600), and brings an older one up to date.
    ///
    /// # Errors
    ///
    /// [`super::StoreError::Taken`] when another process has it, [`super::StoreError::Unusable`] when a newer version
    /// or another program wrote it, or when the file is damaged.
    pub fn open(path: &Path, clock: SharedClock) -> Result<SqliteStore> {
        SqliteStore::open_with(path, clock, Options::default())
    }

    /// [`SqliteStore::open`] with options.
    ///
    /// # Errors
    ///
    /// As [`SqliteStore::open`].
    pub fn open_with(path: &Path, clock: SharedClock, options: Options) -> Result<SqliteStore> {
        let real = &file::resolved(path);
        let lock = file::prepare(real)?;
        let damaged = |error| file::opening(path, error);
        migrate::accept(&file::open_reader(real).map_err(damaged)?, path)?;
        // Another process may have ended after an fsync that failed, and nothing says so: see `Thread::reopen`.
        file::rewrite_log(real)?;
        let mut conn = file::open_writer(real, options.max_pages).map_err(damaged)?;
        migrate::migrate(&mut conn, path)?;
        let readers = readers::Readers::new(real.clone());
        let place = writer::Place {
            path: real.clone(),
            max_pages: options.max_pages,
            clock: SharedClock::clone(&clock),
            readers: readers.clone(),
            lock,
        };
        Ok(SqliteStore {
            path: path.to_owned(),
            clock,
            writer: writer::Writer::start(place, conn)?,
            readers,
            owners: owners::Owners::default(),
        })
    }

    /// Opens the store for reading only, also while another process has it: without its lock, and nothing is made,
    /// brought up to date or written. Every write answers [`super::StoreError::Unavailable`].
    ///
    /// # Errors
    ///
    /// [`super::StoreError::Unavailable`] when it can't be opened, [`super::StoreError::Unusable`] when another
    /// version or another program wrote it, or when it is damaged.
    pub fn look(path: &Path, clock: SharedClock) -> Result<SqliteStore> {
        let conn = file::open_reader(path).map_err(|error| file::opening(path, error))?;
        migrate::check(&conn, path)?;
        let why = format!(
            "{} is open for reading only: another process has it, or it can't be written",
            path.display()
        );
        Ok(SqliteStore {
            path: path.to_owned(),
            clock,
            writer: writer::Writer::refusing(StoreError::Unavailable(why)),
            readers: readers::Readers::new(path.to_owned()),
            owners: owners::Owners::default(),
        })
    }

    /// Lets every lease run out, so that the next claim finds its work due: for the start of a router. The lock says
    /// that nobody else works on this file, so whoever held a lease is gone.
    ///
    /// # Errors
    ///
    /// [`super::StoreError::Unavailable`] when it can't be written.
    pub async fn end_all_leases(&self) -> Result<()> {
        self.writer.write(verb!("end_all_leases"), queue::end_all_leases).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn describe(&self) -> Description {
        Description {
            kind: "sqlite",
            place: self.path.display().to_string(),
            promise: "an accepted notification is fsynced, with its event and deliveries, in one transaction before \
                      the provider hears of it; it survives a crash of Kassir, of the system, and a power failure \
                      (of a disk that keeps what it says it has written)"
                .to_owned(),
            warnings: Vec::new(),
        }
    }

    async fn ready(&self) -> Result<()> {
        self.writer
            .write(verb!("ready"), |tx| {
                let sql = "UPDATE counter SET value = ?1 WHERE name = 'ready'";
                rows::execute(tx.conn, sql, [tx.now]).map(drop)
            })
            .await
    }

    async fn now(&self) -> Result<i64> {
        Ok(self.clock.now())
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn change_config(
        &self,
        merchant: MerchantId,
        change: ConfigChange,
        expected: Option<u64>,
    ) -> Result<u64> {
        self.writer
            .write(verb!("change_config"), move |tx| config::change(tx, merchant, &change, expected))
            .await
    }

    async fn config(&self, merchant: MerchantId) -> Result<Option<MerchantConfig>> {
        self.readers.read(verb!("config"), move |conn| config::load(conn, merchant)).await
    }

    async fn merchants(&self, page: &Page) -> Result<Listed<Merchant>> {
        let page = page.clone();
        self.readers.read(verb!("merchants"), move |conn| lists::merchants(conn, &page)).await
    }

    async fn find_token(&self, hash: &str) -> Result<Option<(MerchantId, IntegrationId)>> {
        let (hash, now) = (hash.to_owned(), self.clock.now());
        self.readers.read(verb!("find_token"), move |conn| config::find_token(conn, &hash, now)).await
    }

    async fn put_api_token(&self, token: &ApiToken) -> Result<()> {
        let token = token.clone();
        self.writer.write(verb!("put_api_token"), move |tx| config::put_api_token(tx, &token)).await
    }

    async fn api_token(&self, hash: &str) -> Result<Option<ApiToken>> {
        let hash = hash.to_owned();
        self.readers.read(verb!("api_token"), move |conn| config::api_token(conn, &hash)).await
    }

    async fn api_tokens(&self, page: &Page) -> Result<Listed<ApiToken>> {
        let page = page.clone();
        self.readers.read(verb!("api_tokens"), move |conn| lists::api_tokens(conn, &page)).await
    }

    async fn delete_api_token(&self, id: TokenId) -> Result<()> {
        self.writer.write(verb!("delete_api_token"), move |tx| config::delete_api_token(tx, id)).await
    }

    async fn look_up(&self, ask: &LookUp) -> Result<Found> {
        let ask = ask.clone();
        self.readers.glance(verb!("look_up"), move |conn| commit::look_up(conn, &ask)).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let step = step::Step::ready(commit)?;
        self.writer.write(verb!("commit"), move |tx| commit::commit(tx, &step)).await
    }

    async fn enter(&self, ask: LookUp, at_hand: u64, decide: Decide) -> Result<Option<Committed>> {
        let mut entering = commit::Entering::new(ask, at_hand, decide);
        self.writer.write(verb!("enter"), move |tx| entering.run(tx)).await
    }

    async fn claim(&self, ask: &ClaimAsk) -> Result<Claims> {
        let ask = ask.clone();
        let silent = self.owners.silent(&ask.owner, self.clock.now());
        self.writer
            .write(verb!("claim"), move |tx| {
                owners::end_leases_of(tx, &silent)?;
                claim::claim(tx, &ask)
            })
            .await
    }

    async fn alive(&self, alive: &Alive) -> Result<i64> {
        let now = self.clock.now();
        self.owners.note(&alive.owner, now);
        let asked = alive.clone();
        let unknown = self.readers.read(verb!("alive"), move |conn| owners::unknown(conn, &asked)).await?;
        if !unknown.is_empty() {
            self.writer.write(verb!("alive"), move |tx| queue::release(tx, &unknown)).await?;
        }
        Ok(now)
    }

    async fn settle(&self, settle: Settle) -> Result<()> {
        let settling = settle::Settling::ready(settle)?;
        self.writer.write(verb!("settle"), move |tx| settle::settle(tx, &settling)).await
    }

    async fn release(&self, work: &[(MerchantId, Fence)]) -> Result<()> {
        let work = work.to_vec();
        self.writer.write(verb!("release"), move |tx| queue::release(tx, &work)).await
    }

    async fn hold(&self, _: MerchantId, lane: Lane, holding: Holding) -> Result<()> {
        self.writer.write(verb!("hold"), move |tx| holds::set(tx, &lane.to_string(), holding)).await
    }

    async fn holds(&self, _: MerchantId, lanes: &[Lane]) -> Result<HashMap<Lane, Held>> {
        let lanes = lanes.to_vec();
        self.readers
            .read(verb!("holds"), move |conn| Ok(holds::of(conn, &lanes)?.into_iter().collect()))
            .await
    }

    async fn backlog(&self) -> Result<Backlog> {
        let now = self.clock.now();
        self.readers.read(verb!("backlog"), move |conn| queue::backlog(conn, now)).await
    }

    async fn size(&self) -> Result<StoreSize> {
        self.readers.read(verb!("size"), sweep::size).await
    }

    async fn payment(&self, merchant: MerchantId, number: u32) -> Result<Option<Payment>> {
        self.readers.read(verb!("payment"), move |conn| lists::payment(conn, merchant, number)).await
    }

    async fn payments(
        &self,
        merchant: MerchantId,
        filter: &PaymentFilter,
        page: &Page,
    ) -> Result<Listed<Payment>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.readers
            .read(verb!("payments"), move |conn| lists::payments(conn, merchant, &filter, &page))
            .await
    }

    async fn event(&self, merchant: MerchantId, id: EventId) -> Result<Option<Event>> {
        self.readers.read(verb!("event"), move |conn| lists::event(conn, merchant, id)).await
    }

    async fn events(&self, merchant: MerchantId, filter: &EventFilter, page: &Page) -> Result<Listed<Event>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.readers.read(verb!("events"), move |conn| lists::events(conn, merchant, &filter, &page)).await
    }

    async fn events_after(
        &self,
        merchant: MerchantId,
        filter: &EventFilter,
        page: &After,
    ) -> Result<Listed<Event>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.readers
            .read(verb!("events_after"), move |conn| lists::events_after(conn, merchant, &filter, &page))
            .await
    }

    async fn delivery(&self, merchant: MerchantId, id: DeliveryId) -> Result<Option<Delivery>> {
        self.readers.read(verb!("delivery"), move |conn| lists::delivery(conn, merchant, id)).await
    }

    async fn deliveries(
        &self,
        merchant: MerchantId,
        filter: &DeliveryFilter,
        page: &Page,
    ) -> Result<Listed<Delivery>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.readers
            .read(verb!("deliveries"), move |conn| lists::deliveries(conn, merchant, &filter, &page))
            .await
    }

    async fn deliveries_after(
        &self,
        merchant: MerchantId,
        filter: &DeliveryFilter,
        page: &After,
    ) -> Result<Listed<Delivery>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.readers
            .read(verb!("deliveries_after"), move |conn| {
                lists::deliveries_after(conn, merchant, &filter, &page)
            })
            .await
    }

    async fn attempts(&self, merchant: MerchantId, id: DeliveryId) -> Result<Vec<Attempt>> {
        self.readers.read(verb!("attempts"), move |conn| lists::attempts(conn, merchant, id)).await
    }

    async fn notification(&self, merchant: MerchantId, id: NotificationId) -> Result<Option<Notification>> {
        self.readers.read(verb!("notification"), move |conn| lists::notification(conn, merchant, id)).await
    }

    async fn notifications(
        &self,
        merchant: MerchantId,
        filter: &NotificationFilter,
        page: &Page,
    ) -> Result<Listed<Notification>> {
        let (filter, page) = (filter.clone(), page.clone());
        self.readers
            .read(verb!("notifications"), move |conn| lists::notifications(conn, merchant, &filter, &page))
            .await
    }

    async fn tallies(&self, merchant: MerchantId, from: i64, to: i64) -> Result<Vec<(i64, String, i64)>> {
        self.readers.read(verb!("tallies"), move |conn| lists::tallies(conn, merchant, from, to)).await
    }

    async fn failing(&self, merchant: Option<MerchantId>) -> Result<Vec<Failing>> {
        self.readers.read(verb!("failing"), move |conn| health::failing(conn, merchant)).await
    }

    async fn change_health(
        &self,
        merchant: MerchantId,
        endpoint: EndpointId,
        change: HealthChange,
    ) -> Result<()> {
        self.writer
            .write(verb!("change_health"), move |tx| health::change(tx, merchant, endpoint, change))
            .await
    }

    async fn update_delivery(&self, delivery: Delivery) -> Result<()> {
        let changed = settle::Changed::ready(Box::new(delivery))?;
        self.writer.write(verb!("update_delivery"), move |tx| settle::update_delivery(tx, &changed)).await
    }

    async fn begin_replay(&self, replay: &Replay, job: &Job) -> Result<u64> {
        let (replay, job) = (replay.clone(), job.clone());
        self.writer
            .write(verb!("begin_replay"), move |tx| {
                let version = people::put_replay(tx, &replay)?;
                commit::queue_job(tx, &job)?;
                Ok(version)
            })
            .await
    }

    async fn put_replay(&self, replay: &Replay) -> Result<u64> {
        let replay = replay.clone();
        self.writer.write(verb!("put_replay"), move |tx| people::put_replay(tx, &replay)).await
    }

    async fn replay(&self, merchant: MerchantId, id: ReplayId) -> Result<Option<Replay>> {
        self.readers.read(verb!("replay"), move |conn| lists::replay(conn, merchant, id)).await
    }

    async fn replays(&self, merchant: MerchantId, page: &Page) -> Result<Listed<Replay>> {
        let page = page.clone();
        self.readers.read(verb!("replays"), move |conn| lists::replays(conn, merchant, &page)).await
    }

    async fn audit_tail(&self, merchant: Option<MerchantId>) -> Result<String> {
        self.readers.read(verb!("audit_tail"), move |conn| people::audit_tail(conn, merchant)).await
    }

    async fn append_audit(&self, entry: &AuditEntry, tail: &str) -> Result<()> {
        let (entry, tail) = (entry.clone(), tail.to_owned());
        self.writer.write(verb!("append_audit"), move |tx| people::append_audit(tx, &entry, &tail)).await
    }

    async fn audit(&self, merchant: Option<MerchantId>, page: &Page) -> Result<Listed<AuditEntry>> {
        let page = page.clone();
        self.readers.read(verb!("audit"), move |conn| lists::audit(conn, merchant, &page)).await
    }

    async fn idempotency_begin(
        &self,
        scope: &str,
        key: &str,
        fingerprint: &str,
        hold_ms: u64,
    ) -> Result<Idempotency> {
        let (scope, key, fingerprint) = (scope.to_owned(), key.to_owned(), fingerprint.to_owned());
        self.writer
            .write(verb!("idempotency_begin"), move |tx| {
                people::idempotency_begin(tx, &scope, &key, &fingerprint, hold_ms)
            })
            .await
    }

    async fn idempotency_note(&self, scope: &str, key: &str, hold: Hold, note: &str) -> Result<()> {
        let (scope, key, note) = (scope.to_owned(), key.to_owned(), note.to_owned());
        self.writer
            .write(verb!("idempotency_note"), move |tx| {
                people::idempotency_note(tx, &scope, &key, hold, &note)
            })
            .await
    }

    async fn idempotency_finish(
        &self,
        scope: &str,
        key: &str,
        hold: Hold,
        answer: Option<(u16, String)>,
    ) -> Result<()> {
        let (scope, key) = (scope.to_owned(), key.to_owned());
        self.writer
            .write(verb!("idempotency_finish"), move |tx| {
                people::idempotency_finish(tx, &scope, &key, hold, answer.as_ref())
            })
            .await
    }

    async fn sweep(&self, cutoffs: &Cutoffs, max: usize) -> Result<u64> {
        let cutoffs = cutoffs.clone();
        self.writer.write(verb!("sweep"), move |tx| sweep::sweep(tx, &cutoffs, max)).await
    }
}
