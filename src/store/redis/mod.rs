//! The production store: Redis 6.2 or newer, alone, behind Sentinel, or as a Cluster.
//!
//! Each verb that changes something is one Lua script (`lua/`), so it happens wholly or not at all, and lasts as the
//! server's append-only file says. Everything of a merchant lives in one of 16 partitions, whose keys share a hash tag
//! and so a slot; no script touches two. `docs/redis-keys.md` lists every key and says how to run the server.
//!
//! - Time is Redis's own ([`TimeSource::Redis`]), so routers whose clocks differ agree about leases.
//! - A write carries an id of its own, and its first answer is kept for some minutes: when the connection breaks before
//!   the answer came, the same request is sent again and is not done twice.
//! - With `store.min_replicas` a write counts only when so many replicas have it (`replicas`).
//! - Each partition has a mark, the epoch, which every script checks: an emptied database is an error in words, never
//!   an empty answer.

mod call;
mod codec;
mod dictionary;
mod failure;
mod heads;
mod health;
mod keys;
mod kinds;
mod link;
mod mend;
mod path;
mod people;
mod place;
mod pool;
mod queue;
mod reading;
mod record;
mod replicas;
mod scripts;
mod sentinels;
mod settings;
mod setup;
mod start;
mod sweep;
mod unsure;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    After, Alive, Backlog, ClaimAsk, Claims, Commit, Committed, ConfigChange, Cutoffs, Decide,
    DeliveryFilter, Description, EventFilter, Failing, Fence, Found, HealthChange, Held, Hold, Holding,
    Idempotency, Listed, LookUp, NotificationFilter, Page, PaymentFilter, Result, Settle, Store, StoreSize,
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

pub use keys::PREFIX_MAX;

/// Where the store's time comes from.
#[derive(Clone)]
pub enum TimeSource {
    /// Redis's `TIME`, inside the scripts.
    Redis,
    /// A clock that a test steps.
    Clock(SharedClock),
}

impl TimeSource {
    /// As the scripts take it.
    fn argument(&self) -> String {
        match self {
            TimeSource::Redis => String::new(),
            TimeSource::Clock(clock) => clock.now().to_string(),
        }
    }
}

/// How to open the store.
#[derive(Clone)]
pub struct Options {
    /// What every key starts with: several routers' data may live in one Redis.
    pub prefix: String,
    /// Longest time for one verb, with its repetitions.
    pub timeout: Duration,
    /// Start although the server's settings may lose what was accepted; warns instead.
    pub allow_unsafe: bool,
    /// Replicas that must have a write before it counts as kept; 0 waits for none.
    pub min_replicas: u8,
    /// Set the marks of partitions that have lost theirs: after an operator saw to it that their data is gone for good.
    pub reinitialise: bool,
    /// Time.
    pub time: TimeSource,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            prefix: "kassir".to_owned(),
            timeout: Duration::from_secs(5),
            allow_unsafe: false,
            min_replicas: 0,
            reinitialise: false,
            time: TimeSource::Redis,
        }
    }
}

/// The store in Redis.
pub struct RedisStore {
    link: Arc<link::Link>,
    prefix: String,
    epoch: String,
    timeout: Duration,
    replicas: Option<replicas::Wait>,
    time: TimeSource,
    description: Description,
    /// Turns the order in which partitions are asked for work, so that none is always first.
    turn: std::sync::atomic::AtomicUsize,
    heads: heads::Heads,
    unsure: unsure::Unsure,
    /// The store's clock at the last claim, Unix milliseconds, and since when.
    claimed: std::sync::Mutex<Option<(i64, crate::clock::Stopwatch)>>,
    sweeping: sweep::Places,
}

#[async_trait]
impl Store for RedisStore {
    fn describe(&self) -> Description {
        self.description.clone()
    }

    async fn ready(&self) -> Result<()> {
        self.call_all(|partition| call::Call::new(&scripts::READY, partition)).await.map(drop)
    }

    async fn now(&self) -> Result<i64> {
        self.call(call::Call::new(&scripts::NOW, keys::ROUTER_PARTITION)).await?.int()
    }

    async fn close(&self) {
        self.link.close();
    }

    async fn change_config(
        &self,
        merchant: MerchantId,
        change: ConfigChange,
        expected: Option<u64>,
    ) -> Result<u64> {
        self.change_setup(merchant, change, expected).await
    }

    async fn config(&self, merchant: MerchantId) -> Result<Option<MerchantConfig>> {
        self.read_setup(merchant).await
    }

    async fn merchants(&self, page: &Page) -> Result<Listed<Merchant>> {
        self.list_merchants(page).await
    }

    async fn find_token(&self, hash: &str) -> Result<Option<(MerchantId, IntegrationId)>> {
        self.token_owner(hash).await
    }

    async fn put_api_token(&self, token: &ApiToken) -> Result<()> {
        self.keep_api_token(token).await
    }

    async fn api_token(&self, hash: &str) -> Result<Option<ApiToken>> {
        self.read_api_token(hash).await
    }

    async fn api_tokens(&self, page: &Page) -> Result<Listed<ApiToken>> {
        self.list_api_tokens(page).await
    }

    async fn delete_api_token(&self, id: TokenId) -> Result<()> {
        self.end_api_token(id).await
    }

    async fn look_up(&self, ask: &LookUp) -> Result<Found> {
        self.find_payments(ask).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.keep(commit).await
    }

    async fn enter(&self, ask: LookUp, at_hand: u64, decide: Decide) -> Result<Option<Committed>> {
        self.look_and_keep(ask, at_hand, decide).await
    }

    async fn claim(&self, ask: &ClaimAsk) -> Result<Claims> {
        self.take_work(ask).await
    }

    async fn settle(&self, settle: Settle) -> Result<()> {
        self.end_work(settle).await
    }

    async fn release(&self, work: &[(MerchantId, Fence)]) -> Result<()> {
        self.give_back(work).await
    }

    async fn alive(&self, alive: &Alive) -> Result<i64> {
        self.tell_alive(alive).await
    }

    async fn hold(&self, merchant: MerchantId, lane: Lane, holding: Holding) -> Result<()> {
        self.hold_lane(merchant, lane, holding).await
    }

    async fn holds(&self, merchant: MerchantId, lanes: &[Lane]) -> Result<HashMap<Lane, Held>> {
        self.held_lanes(merchant, lanes).await
    }

    async fn backlog(&self) -> Result<Backlog> {
        self.count_work().await
    }

    async fn size(&self) -> Result<StoreSize> {
        self.used_memory().await
    }

    async fn payment(&self, merchant: MerchantId, number: u32) -> Result<Option<Payment>> {
        self.read_payment(merchant, number).await
    }

    async fn payments(
        &self,
        merchant: MerchantId,
        filter: &PaymentFilter,
        page: &Page,
    ) -> Result<Listed<Payment>> {
        self.list_payments(merchant, filter, page).await
    }

    async fn event(&self, merchant: MerchantId, id: EventId) -> Result<Option<Event>> {
        self.read_event(merchant, id).await
    }

    async fn events(&self, merchant: MerchantId, filter: &EventFilter, page: &Page) -> Result<Listed<Event>> {
        self.list_events(merchant, filter, page).await
    }

    async fn events_after(
        &self,
        merchant: MerchantId,
        filter: &EventFilter,
        page: &After,
    ) -> Result<Listed<Event>> {
        self.list_events_after(merchant, filter, page).await
    }

    async fn delivery(&self, merchant: MerchantId, id: DeliveryId) -> Result<Option<Delivery>> {
        self.read_delivery(merchant, id).await
    }

    async fn deliveries(
        &self,
        merchant: MerchantId,
        filter: &DeliveryFilter,
        page: &Page,
    ) -> Result<Listed<Delivery>> {
        self.list_deliveries(merchant, filter, page).await
    }

    async fn deliveries_after(
        &self,
        merchant: MerchantId,
        filter: &DeliveryFilter,
        page: &After,
    ) -> Result<Listed<Delivery>> {
        self.list_deliveries_after(merchant, filter, page).await
    }

    async fn attempts(&self, merchant: MerchantId, id: DeliveryId) -> Result<Vec<Attempt>> {
        self.read_attempts(merchant, id).await
    }

    async fn notification(&self, merchant: MerchantId, id: NotificationId) -> Result<Option<Notification>> {
        self.read_notification(merchant, id).await
    }

    async fn notifications(
        &self,
        merchant: MerchantId,
        filter: &NotificationFilter,
        page: &Page,
    ) -> Result<Listed<Notification>> {
        self.list_notifications(merchant, filter, page).await
    }

    async fn tallies(&self, merchant: MerchantId, from: i64, to: i64) -> Result<Vec<(i64, String, i64)>> {
        self.read_tallies(merchant, from, to).await
    }

    async fn failing(&self, merchant: Option<MerchantId>) -> Result<Vec<Failing>> {
        self.list_failing(merchant).await
    }

    async fn change_health(
        &self,
        merchant: MerchantId,
        endpoint: EndpointId,
        change: HealthChange,
    ) -> Result<()> {
        self.change_failing(merchant, endpoint, change).await
    }

    async fn update_delivery(&self, delivery: Delivery) -> Result<()> {
        self.change_delivery(delivery).await
    }

    async fn begin_replay(&self, replay: &Replay, job: &Job) -> Result<u64> {
        let version = self.keep_replay(replay, Some(job)).await?;
        self.heads.waits(keys::of_merchant(replay.merchant), None);
        Ok(version)
    }

    async fn put_replay(&self, replay: &Replay) -> Result<u64> {
        self.keep_replay(replay, None).await
    }

    async fn replay(&self, merchant: MerchantId, id: ReplayId) -> Result<Option<Replay>> {
        self.read_replay(merchant, id).await
    }

    async fn replays(&self, merchant: MerchantId, page: &Page) -> Result<Listed<Replay>> {
        self.list_replays(merchant, page).await
    }

    async fn audit_tail(&self, merchant: Option<MerchantId>) -> Result<String> {
        self.newest_audit_hash(merchant).await
    }

    async fn append_audit(&self, entry: &AuditEntry, tail: &str) -> Result<()> {
        self.keep_audit(entry, tail).await
    }

    async fn audit(&self, merchant: Option<MerchantId>, page: &Page) -> Result<Listed<AuditEntry>> {
        self.list_audit(merchant, page).await
    }

    async fn idempotency_begin(
        &self,
        scope: &str,
        key: &str,
        fingerprint: &str,
        hold_ms: u64,
    ) -> Result<Idempotency> {
        self.take_key(scope, key, fingerprint, hold_ms).await
    }

    async fn idempotency_note(&self, scope: &str, key: &str, hold: Hold, note: &str) -> Result<()> {
        self.note_under_key(scope, key, hold, note).await
    }

    async fn idempotency_finish(
        &self,
        scope: &str,
        key: &str,
        hold: Hold,
        answer: Option<(u16, String)>,
    ) -> Result<()> {
        self.finish_key(scope, key, hold, answer).await
    }

    async fn mend(&self) -> Result<()> {
        self.mend_queues().await
    }

    async fn sweep(&self, cutoffs: &Cutoffs, max: usize) -> Result<u64> {
        self.sweep_old(cutoffs, max).await
    }
}
