//! The store: verbs of the domain, each one atomic and durable before it returns. The store is also the queue.
//!
//! A store never decides: it writes what `domain` decided, if what that was based on still holds, and reports a
//! conflict otherwise. It knows no provider and reads no clock but its own ([`Store::now`]): due times and leases
//! are the store's time, so that routers whose clocks differ agree.
//!
//! Two stores fulfil this trait, `sqlite` (embedded) and `redis`; one suite, `tests/it/store_suite`, holds them to
//! the same behaviour.

mod idempotency;
pub mod list;
mod look_up;
mod measure;
pub mod redis;
pub mod sqlite;
mod work;

use std::collections::HashMap;

use async_trait::async_trait;

use crate::domain::config::{Endpoint, Integration, Merchant, MerchantConfig};
use crate::domain::delivery::{Attempt, Delivery};
use crate::domain::event::Event;
use crate::domain::ids::{
    DeliveryId, EndpointId, EventId, IntegrationId, JobId, MerchantId, NotificationId, ReplayId, TokenId,
};
use crate::domain::job::{Job, Lane, WorkId};
use crate::domain::notification::Notification;
use crate::domain::payment::Payment;
use crate::domain::people::{ApiToken, AuditEntry, Replay};

pub use idempotency::{Hold, Idempotency};
pub use list::{After, DeliveryFilter, EventFilter, Listed, NotificationFilter, Page, PaymentFilter};
pub use look_up::{Found, LookUp};
pub use work::{
    Alive, ClaimAsk, Claimed, Claims, Failing, HELD_COUNTED_MAX, HealthChange, Held, Holding,
    LEASE_UNKNOWN_MS, Material, OWNER_GAP_MS, OWNER_SILENT_MS, Settle, SettleEnd,
};

/// What went wrong in a store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached or can't write now; nothing is known to be written. Trying again later is right.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// What the write was based on has changed: load again and decide again.
    #[error("{0}")]
    Conflict(Conflict),
    /// There is no such record.
    #[error("there is no {0}")]
    NotFound(&'static str),
    /// A limit of the store: too many payments, too large a record.
    #[error("{0}")]
    Limit(String),
    /// A record can't be read: damaged, or written by a newer version.
    #[error("a record of the store can't be read: {0}")]
    Corrupt(String),
    /// The store can't be used at all: wrong version, unsafe settings.
    #[error("{0}")]
    Unusable(String),
    /// Another process has the store, which serves only one.
    #[error(
        "another process ({holder}) uses the store {place}; one file serves one process: stop it, or give this one a \
         store of its own"
    )]
    Taken {
        /// What that process has left as a note of itself.
        holder: String,
        /// Where the store is.
        place: String,
    },
}

/// What has changed under a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The payment has another version.
    #[error("the payment changed meanwhile")]
    Payment,
    /// A new payment's provider id is taken already.
    #[error("the payment exists already")]
    PaymentExists,
    /// The merchant's configuration has another version.
    #[error("the configuration changed meanwhile")]
    Config,
    /// The delivery has another version.
    #[error("the delivery changed meanwhile")]
    Delivery,
    /// The replay has another version.
    #[error("the replay changed meanwhile")]
    Replay,
    /// The lease on the work ran out and somebody else has it, or it is done.
    #[error("the lease on the work was lost")]
    Lease,
    /// The idempotency key was held for too long: another request has it or may have it, or it is answered.
    #[error("the hold of the idempotency key was lost")]
    Hold,
    /// The audit log has grown meanwhile.
    #[error("the audit log grew meanwhile")]
    Audit,
    /// A name, hash or id is taken already.
    #[error("it exists already")]
    Exists,
    /// A merchant with this id was deleted, and its records have not all gone yet.
    #[error("a merchant with this id was deleted and its records are still being removed")]
    Leaving,
}

/// Result of a verb.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What a store is, in words.
#[derive(Debug, Clone)]
pub struct Description {
    /// `sqlite` or `redis`.
    pub kind: &'static str,
    /// Where it is, without a password.
    pub place: String,
    /// What "accepted" means with the present settings, for `doctor` and the start of `serve`.
    pub promise: String,
    /// What weakens that promise; empty when nothing does.
    pub warnings: Vec<String>,
}

/// A change of what people set up.
#[derive(Debug, Clone)]
pub enum ConfigChange {
    /// A new merchant.
    CreateMerchant(Merchant),
    /// Its name or first number.
    UpdateMerchant(Merchant),
    /// The merchant and everything of it: what is set up and its API tokens go at once, what waits at once or with the
    /// next sweep, its records with the next sweeps. The audit log stays.
    DeleteMerchant,
    /// A new or changed integration.
    PutIntegration(Box<Integration>),
    /// An integration; its payments and log stay.
    DeleteIntegration(IntegrationId),
    /// A new or changed endpoint.
    PutEndpoint(Box<Endpoint>),
    /// An endpoint and its health; its deliveries stay, those that wait are canceled when they come due.
    DeleteEndpoint(EndpointId),
}

/// A payment to be written.
#[derive(Debug, Clone)]
pub enum PaymentWrite {
    /// A new one: the store gives its number (`number` is 0 in the record and in everything of the same commit that
    /// refers to it). Fails with [`Conflict::PaymentExists`] when one of `links` is taken in its integration.
    New {
        /// The record.
        payment: Box<Payment>,
        /// Provider's ids that find it.
        links: Vec<String>,
    },
    /// A changed one: `payment.version` is the version it was loaded with. Fails with [`Conflict::Payment`], or with
    /// [`Conflict::PaymentExists`] when one of `links` belongs to another payment.
    Update {
        /// The record.
        payment: Box<Payment>,
        /// Further provider's ids that find it.
        links: Vec<String>,
    },
}

/// Proof that work is leased to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The work.
    pub work: WorkId,
    /// The lease's number: grows with each lease of the merchant's work. Work of different merchants may have the same.
    pub token: u64,
}

/// A counter of the statistics to be moved, in the hour of the store's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// `area.what.who`, for example `event.succeeded.yookassa` or `delivery.delivered.ep_…`.
    pub key: String,
    /// By how much.
    pub by: i64,
}

/// One atomic, durable step of the money's path.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Whose.
    pub merchant: MerchantId,
    /// The configuration it was decided with; [`Conflict::Config`] when there is a newer one. `None`: not checked.
    pub config_version: Option<u64>,
    /// A new record of the inbound log, or a changed one (by id): a changed one comes with `finish`, or without a `payment`.
    pub notification: Option<Notification>,
    /// A payment. Where it is new, records of this commit with payment 0 get its number.
    pub payment: Option<PaymentWrite>,
    /// New events.
    pub events: Vec<Event>,
    /// New deliveries ([`Conflict::Exists`] when one of an event that is there already has the id of another); those with `next_attempt_at` are queued at that time, or at once if that is later than the
    /// store's clock by no more than a day's worth of skew: a new delivery's first attempt is always due at once.
    pub deliveries: Vec<Delivery>,
    /// New jobs and when each is due (milliseconds from now). One whose id is in the queue already stays as it is
    /// there: a job with an id that follows from what it is about is made once.
    pub jobs: Vec<(Job, u64)>,
    /// Jobs of this merchant that are not needed any more: those that wait leave the queue. One that is leased stays, and
    /// one that is not there is no error.
    pub call_off: Vec<JobId>,
    /// A job that is finished by this step; [`Conflict::Lease`] when it is no longer ours.
    pub finish: Option<Fence>,
    /// Lease the new deliveries to this owner for so many milliseconds at once, so that nobody needs to claim them.
    /// Those of lanes that are held wait in the queue all the same.
    pub lease: Option<(String, u64)>,
    /// New deliveries to these endpoints wait in the queue although there is a `lease`.
    pub queue_only: Vec<EndpointId>,
    /// Counters.
    pub tallies: Vec<Tally>,
}

impl Commit {
    /// A step that does nothing yet.
    #[must_use]
    pub fn of(merchant: MerchantId) -> Commit {
        Commit {
            merchant,
            config_version: None,
            notification: None,
            payment: None,
            events: Vec::new(),
            deliveries: Vec::new(),
            jobs: Vec::new(),
            call_off: Vec::new(),
            finish: None,
            lease: None,
            queue_only: Vec::new(),
            tallies: Vec::new(),
        }
    }
}

/// Decides on what was found and gives the step to be written, if any. It may be asked more than once, each time anew,
/// and does not wait for anything: others wait for it.
pub type Decide = Box<dyn FnMut(&Found) -> Option<Commit> + Send>;

/// What a commit gave.
#[derive(Debug, Clone, Default)]
pub struct Committed {
    /// The payment's number and new version, if one was written.
    pub payment: Option<(u32, u64)>,
    /// The leased deliveries with what is needed to send them.
    pub leased: Vec<Claimed>,
    /// The store's clock, Unix milliseconds.
    pub now: i64,
}

/// What is older than this goes (Unix milliseconds; `None` keeps all). Nothing that still waits for delivery goes.
#[derive(Debug, Clone, Default)]
pub struct Cutoffs {
    /// Inbound log: rejected and duplicate notifications.
    pub refused: Option<i64>,
    /// Inbound log: all others.
    pub notifications: Option<i64>,
    /// Events with their deliveries and attempts.
    pub events: Option<i64>,
    /// Payments, whatever their state, that have no events left and that no job is about.
    pub payments: Option<i64>,
    /// Bulk replays that are not under way.
    pub replays: Option<i64>,
    /// Statistics.
    pub tallies: Option<i64>,
    /// Idempotency keys.
    pub idempotency: Option<i64>,
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Queue entries.
    pub waiting: u64,
    /// Those that are leased.
    pub leased: u64,
    /// Due time of the oldest one, Unix milliseconds; in a lane that is held not before the end of the hold.
    pub oldest_due: Option<i64>,
    /// When the oldest delivery that is neither delivered nor given up was made, Unix milliseconds. In Redis: of those
    /// that are looked at, the first and last ones of the lanes that are due or held first.
    pub oldest_delivery: Option<i64>,
    /// Lanes that are held: whose hold has not ended, or has and something waits. In Redis: of those whose hold has
    /// ended the last 500 per partition are looked at.
    pub held_lanes: u64,
}

/// How big a store is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// What its records take, bytes: of a file without what is free in it, of a server's memory all that it uses.
    pub bytes: u64,
    /// How much it may become, bytes; `None`: as much as there is room.
    pub bytes_max: Option<u64>,
}

/// The store.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What it is, in words.
    fn describe(&self) -> Description;
    /// Whether a notification could be kept now: makes a durable write.
    async fn ready(&self) -> Result<()>;
    /// Its clock, Unix milliseconds.
    async fn now(&self) -> Result<i64>;
    /// Ends orderly: waits for writes under way.
    async fn close(&self);

    // What people set up.

    /// Changes what is set up for a merchant and gives the new version. `expected`: [`Conflict::Config`] when the
    /// version is another; [`StoreError::NotFound`] when there is no such merchant. The hashes of an integration's
    /// tokens are registered so that [`Store::find_token`] finds them.
    async fn change_config(
        &self,
        merchant: MerchantId,
        change: ConfigChange,
        expected: Option<u64>,
    ) -> Result<u64>;
    /// All that is set up for a merchant, integrations and endpoints in the order of their ids.
    async fn config(&self, merchant: MerchantId) -> Result<Option<MerchantConfig>>;
    /// Merchants, newest first.
    async fn merchants(&self, page: &Page) -> Result<Listed<Merchant>>;
    /// Whose inbound URL this is, by the hash of its token; `None` from the moment the token ends.
    async fn find_token(&self, hash: &str) -> Result<Option<(MerchantId, IntegrationId)>>;
    /// A new or changed API token; [`Conflict::Exists`] when the hash belongs to another.
    async fn put_api_token(&self, token: &ApiToken) -> Result<()>;
    /// The API token with this hash.
    async fn api_token(&self, hash: &str) -> Result<Option<ApiToken>>;
    /// API tokens, newest first.
    async fn api_tokens(&self, page: &Page) -> Result<Listed<ApiToken>>;
    /// Ends an API token; one that is gone already is no error.
    async fn delete_api_token(&self, id: TokenId) -> Result<()>;

    // The money's path.

    /// Payments that a notification may be about. One round trip.
    async fn look_up(&self, ask: &LookUp) -> Result<Found>;
    /// One atomic, durable step; [`StoreError::NotFound`] when there is no such merchant. One round trip.
    async fn commit(&self, commit: Commit) -> Result<Committed>;
    /// [`Store::look_up`], then what `decide` makes of that, then [`Store::commit`] of the step that it gives; `None`
    /// when it gives none. A store whose writes come one after the other does all three as one of them: then nothing
    /// changes in between, and there is no conflict but for the configuration and leases. Elsewhere it is two round
    /// trips at the most, and after a conflict to be called again.
    ///
    /// `at_hand`: the version of the configuration that `decide` knows. A store may ask it first what is to be written
    /// if nothing is found (mostly it is the first notification of a payment), and write that if so.
    async fn enter(&self, ask: LookUp, at_hand: u64, mut decide: Decide) -> Result<Option<Committed>> {
        let _ = at_hand;
        let found = self.look_up(&ask).await?;
        match decide(&found) {
            Some(commit) => self.commit(commit).await.map(Some),
            None => Ok(None),
        }
    }
    /// Takes due work under a lease; work whose lease ran out is due again.
    async fn claim(&self, ask: &ClaimAsk) -> Result<Claims>;
    /// Ends a lease with its result. One round trip.
    async fn settle(&self, settle: Settle) -> Result<()>;
    /// Gives leased work back unchanged: it is due as it was before, that is at once; so is the next try of a held lane
    /// whose one entry this was. Leases that are lost are passed over.
    async fn release(&self, work: &[(MerchantId, Fence)]) -> Result<()>;
    /// Says that an owner lives; gives the store's clock. To be called every few seconds by who has leases.
    ///
    /// - Leases of an owner that fell silent for [`OWNER_SILENT_MS`] are ended by the next claim of another owner that
    ///   has not; an owner that never spoke is not judged, its leases run out by themselves. After an outage of the
    ///   store nobody is taken for silent.
    /// - Leases older than [`LEASE_UNKNOWN_MS`] that the owner does not list are ended: their answer was lost.
    async fn alive(&self, alive: &Alive) -> Result<i64>;
    /// Holds a merchant's lane, or lifts the hold.
    async fn hold(&self, merchant: MerchantId, lane: Lane, holding: Holding) -> Result<()>;
    /// Those of a merchant's lanes that are held.
    async fn holds(&self, merchant: MerchantId, lanes: &[Lane]) -> Result<HashMap<Lane, Held>>;
    /// How much waits.
    async fn backlog(&self) -> Result<Backlog>;

    // Reading.

    /// A payment.
    async fn payment(&self, merchant: MerchantId, number: u32) -> Result<Option<Payment>>;
    /// Payments, newest first.
    async fn payments(
        &self,
        merchant: MerchantId,
        filter: &PaymentFilter,
        page: &Page,
    ) -> Result<Listed<Payment>>;
    /// An event.
    async fn event(&self, merchant: MerchantId, id: EventId) -> Result<Option<Event>>;
    /// Events, newest first.
    async fn events(&self, merchant: MerchantId, filter: &EventFilter, page: &Page) -> Result<Listed<Event>>;
    /// Events, oldest first: in the order of their ids, which is that of their making but for commits at the same time.
    async fn events_after(
        &self,
        merchant: MerchantId,
        filter: &EventFilter,
        page: &After,
    ) -> Result<Listed<Event>>;
    /// A delivery.
    async fn delivery(&self, merchant: MerchantId, id: DeliveryId) -> Result<Option<Delivery>>;
    /// Deliveries, newest first.
    async fn deliveries(
        &self,
        merchant: MerchantId,
        filter: &DeliveryFilter,
        page: &Page,
    ) -> Result<Listed<Delivery>>;
    /// Deliveries, oldest first.
    async fn deliveries_after(
        &self,
        merchant: MerchantId,
        filter: &DeliveryFilter,
        page: &After,
    ) -> Result<Listed<Delivery>>;
    /// A delivery's attempts, oldest first; the oldest ones beyond `limits::ATTEMPTS_KEPT` are gone.
    async fn attempts(&self, merchant: MerchantId, id: DeliveryId) -> Result<Vec<Attempt>>;
    /// A notification.
    async fn notification(&self, merchant: MerchantId, id: NotificationId) -> Result<Option<Notification>>;
    /// Notifications, newest first.
    async fn notifications(
        &self,
        merchant: MerchantId,
        filter: &NotificationFilter,
        page: &Page,
    ) -> Result<Listed<Notification>>;
    /// Counters from one hour (Unix milliseconds) to another, that one excluded: hour, key, value.
    async fn tallies(&self, merchant: MerchantId, from: i64, to: i64) -> Result<Vec<(i64, String, i64)>>;

    /// The endpoints that fail: of one merchant, or all.
    async fn failing(&self, merchant: Option<MerchantId>) -> Result<Vec<Failing>>;
    /// Changes what is known of a failing endpoint; one that does not fail stays so.
    async fn change_health(
        &self,
        merchant: MerchantId,
        endpoint: EndpointId,
        change: HealthChange,
    ) -> Result<()>;

    // What people do.

    /// Changes a delivery on a person's behalf: `delivery.version` is the version it was loaded with
    /// ([`Conflict::Delivery`]). It is queued at `next_attempt_at`, or leaves the queue when that is `None`; while an
    /// attempt is under way its lease stays, and its settling meets the conflict.
    async fn update_delivery(&self, delivery: Delivery) -> Result<()>;
    /// A new replay with the job that does it, due now, in one step: neither is there without the other.
    async fn begin_replay(&self, replay: &Replay, job: &Job) -> Result<u64>;
    /// A new (version 0) or changed replay ([`Conflict::Replay`]).
    async fn put_replay(&self, replay: &Replay) -> Result<u64>;
    /// A replay.
    async fn replay(&self, merchant: MerchantId, id: ReplayId) -> Result<Option<Replay>>;
    /// Replays, newest first.
    async fn replays(&self, merchant: MerchantId, page: &Page) -> Result<Listed<Replay>>;
    /// Hash of the newest entry of the audit log of a merchant (`None`: of the router itself); empty at first.
    async fn audit_tail(&self, merchant: Option<MerchantId>) -> Result<String>;
    /// Appends to the audit log of `entry.merchant`; [`Conflict::Audit`] when `tail` is not its newest hash.
    async fn append_audit(&self, entry: &AuditEntry, tail: &str) -> Result<()>;
    /// The audit log, newest first; `None`: of the router itself and all merchants.
    async fn audit(&self, merchant: Option<MerchantId>, page: &Page) -> Result<Listed<AuditEntry>>;
    /// Takes an idempotency key for a request with this fingerprint; held for `hold_ms` until it is finished.
    async fn idempotency_begin(
        &self,
        scope: &str,
        key: &str,
        fingerprint: &str,
        hold_ms: u64,
    ) -> Result<Idempotency>;
    /// Leaves a note under a key that is held: should its request never come to an end, the key is not free again.
    /// [`Conflict::Hold`] when the key is not ours any more. A hold that ran out is ours until somebody takes the key.
    async fn idempotency_note(&self, scope: &str, key: &str, hold: Hold, note: &str) -> Result<()>;
    /// Keeps the answer for the key (`None`: frees the key, so that the request can be tried again). An answer that was
    /// given stays; [`Conflict::Hold`] when the key is not ours any more.
    async fn idempotency_finish(
        &self,
        scope: &str,
        key: &str,
        hold: Hold,
        answer: Option<(u16, String)>,
    ) -> Result<()>;

    // Upkeep.

    /// How big it is.
    async fn size(&self) -> Result<StoreSize>;
    /// Puts in order what can be lost beside the store's own steps: before each row of sweeps. Some of it each time, if
    /// there is much.
    async fn mend(&self) -> Result<()> {
        Ok(())
    }
    /// Removes at most `max` old records; gives how many went. 0 means done.
    async fn sweep(&self, cutoffs: &Cutoffs, max: usize) -> Result<u64>;
}
