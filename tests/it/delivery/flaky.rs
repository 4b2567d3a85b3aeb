//! A store that is not available now and then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kassir::domain::config::MerchantConfig;
use kassir::domain::ids::{
    DeliveryId, EndpointId, EventId, IntegrationId, MerchantId, NotificationId, ReplayId, TokenId,
};
use kassir::domain::people::{ApiToken, AuditEntry, Replay};
use kassir::domain::{Attempt, Delivery, Event, Job, Lane, Merchant, Notification, Payment};
use kassir::store::*;
use tokio::sync::Notify;

/// A verb that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Claim,
    Settle,
    Commit,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Well,
    /// It is not done, and the caller is told so.
    FailBefore,
    /// It is done, and the caller is told that it is not.
    FailAfter,
    /// It is not done, and the caller never hears of it.
    HangBefore,
    /// It is done, and the caller never hears of it.
    HangAfter,
    /// It is not done because somebody else has the work.
    LeaseLost,
}

type Decide = Box<dyn FnMut(Verb) -> Fate + Send>;

/// The store around another.
pub struct Flaky {
    store: Arc<dyn Store>,
    /// How often a verb is still to fail, and how often it did.
    faults: Mutex<HashMap<Verb, (usize, usize)>>,
    changed: Notify,
    decide: Mutex<Option<Decide>>,
}

impl Flaky {
    pub fn around(store: Arc<dyn Store>) -> Arc<Flaky> {
        Arc::new(Flaky { store, faults: Mutex::default(), changed: Notify::new(), decide: Mutex::new(None) })
    }

    /// Lets the next calls of a verb fail.
    pub fn fail(&self, verb: Verb, times: usize) {
        self.faults.lock().unwrap().entry(verb).or_default().0 += times;
    }

    /// Waits until a verb has failed so often.
    pub async fn failed(&self, verb: Verb, times: usize) {
        loop {
            let changed = self.changed.notified();
            if self.faults.lock().unwrap().get(&verb).is_some_and(|(_, failed)| *failed >= times) {
                return;
            }
            changed.await;
        }
    }

    /// Decides from now on what becomes of each call.
    pub fn decide(&self, decide: impl FnMut(Verb) -> Fate + Send + 'static) {
        *self.decide.lock().unwrap() = Some(Box::new(decide));
    }

    /// A call with what was decided about it.
    async fn call<T>(&self, verb: Verb, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.fault(verb)?;
        let fate = self.decide.lock().unwrap().as_mut().map_or(Fate::Well, |decide| decide(verb));
        let fails = || Err(StoreError::Unavailable("the test says so".to_owned()));
        match fate {
            Fate::Well => call.await,
            Fate::FailBefore => fails(),
            Fate::FailAfter => call.await.and_then(|_| fails()),
            Fate::HangBefore => std::future::pending().await,
            Fate::HangAfter => {
                call.await?;
                std::future::pending().await
            }
            Fate::LeaseLost => Err(StoreError::Conflict(Conflict::Lease)),
        }
    }

    fn fault(&self, verb: Verb) -> Result<()> {
        let mut faults = self.faults.lock().unwrap();
        let (left, failed) = faults.entry(verb).or_default();
        if *left == 0 {
            return Ok(());
        }
        *left -= 1;
        *failed += 1;
        self.changed.notify_waiters();
        Err(StoreError::Unavailable("the test says so".to_owned()))
    }
}

#[async_trait]
impl Store for Flaky {
    fn describe(&self) -> Description {
        self.store.describe()
    }

    async fn ready(&self) -> Result<()> {
        self.store.ready().await
    }

    async fn now(&self) -> Result<i64> {
        self.store.now().await
    }

    async fn close(&self) {
        self.store.close().await
    }

    async fn change_config(
        &self,
        merchant: MerchantId,
        change: ConfigChange,
        expected: Option<u64>,
    ) -> Result<u64> {
        self.store.change_config(merchant, change, expected).await
    }

    async fn config(&self, merchant: MerchantId) -> Result<Option<MerchantConfig>> {
        self.store.config(merchant).await
    }

    async fn merchants(&self, page: &Page) -> Result<Listed<Merchant>> {
        self.store.merchants(page).await
    }

    async fn find_token(&self, hash: &str) -> Result<Option<(MerchantId, IntegrationId)>> {
        self.store.find_token(hash).await
    }

    async fn put_api_token(&self, token: &ApiToken) -> Result<()> {
        self.store.put_api_token(token).await
    }

    async fn api_token(&self, hash: &str) -> Result<Option<ApiToken>> {
        self.store.api_token(hash).await
    }

    async fn api_tokens(&self, page: &Page) -> Result<Listed<ApiToken>> {
        self.store.api_tokens(page).await
    }

    async fn delete_api_token(&self, id: TokenId) -> Result<()> {
        self.store.delete_api_token(id).await
    }

    async fn look_up(&self, ask: &LookUp) -> Result<Found> {
        self.store.look_up(ask).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.call(Verb::Commit, self.store.commit(commit)).await
    }

    async fn alive(&self, alive: &Alive) -> Result<i64> {
        self.store.alive(alive).await
    }

    async fn claim(&self, ask: &ClaimAsk) -> Result<Claims> {
        self.call(Verb::Claim, self.store.claim(ask)).await
    }

    async fn settle(&self, settle: Settle) -> Result<()> {
        self.call(Verb::Settle, self.store.settle(settle)).await
    }

    async fn release(&self, work: &[(MerchantId, Fence)]) -> Result<()> {
        self.store.release(work).await
    }

    async fn hold(&self, merchant: MerchantId, lane: Lane, holding: Holding) -> Result<()> {
        self.store.hold(merchant, lane, holding).await
    }

    async fn holds(&self, merchant: MerchantId, lanes: &[Lane]) -> Result<HashMap<Lane, Held>> {
        self.store.holds(merchant, lanes).await
    }

    async fn size(&self) -> Result<StoreSize> {
        self.store.size().await
    }

    async fn backlog(&self) -> Result<Backlog> {
        self.store.backlog().await
    }

    async fn payment(&self, merchant: MerchantId, number: u32) -> Result<Option<Payment>> {
        self.store.payment(merchant, number).await
    }

    async fn payments(
        &self,
        merchant: MerchantId,
        filter: &PaymentFilter,
        page: &Page,
    ) -> Result<Listed<Payment>> {
        self.store.payments(merchant, filter, page).await
    }

    async fn event(&self, merchant: MerchantId, id: EventId) -> Result<Option<Event>> {
        self.store.event(merchant, id).await
    }

    async fn events(&self, merchant: MerchantId, filter: &EventFilter, page: &Page) -> Result<Listed<Event>> {
        self.store.events(merchant, filter, page).await
    }

    async fn events_after(
        &self,
        merchant: MerchantId,
        filter: &EventFilter,
        page: &After,
    ) -> Result<Listed<Event>> {
        self.store.events_after(merchant, filter, page).await
    }

    async fn delivery(&self, merchant: MerchantId, id: DeliveryId) -> Result<Option<Delivery>> {
        self.store.delivery(merchant, id).await
    }

    async fn deliveries(
        &self,
        merchant: MerchantId,
        filter: &DeliveryFilter,
        page: &Page,
    ) -> Result<Listed<Delivery>> {
        self.store.deliveries(merchant, filter, page).await
    }

    async fn deliveries_after(
        &self,
        merchant: MerchantId,
        filter: &DeliveryFilter,
        page: &After,
    ) -> Result<Listed<Delivery>> {
        self.store.deliveries_after(merchant, filter, page).await
    }

    async fn attempts(&self, merchant: MerchantId, id: DeliveryId) -> Result<Vec<Attempt>> {
        self.store.attempts(merchant, id).await
    }

    async fn notification(&self, merchant: MerchantId, id: NotificationId) -> Result<Option<Notification>> {
        self.store.notification(merchant, id).await
    }

    async fn notifications(
        &self,
        merchant: MerchantId,
        filter: &NotificationFilter,
        page: &Page,
    ) -> Result<Listed<Notification>> {
        self.store.notifications(merchant, filter, page).await
    }

    async fn tallies(&self, merchant: MerchantId, from: i64, to: i64) -> Result<Vec<(i64, String, i64)>> {
        self.store.tallies(merchant, from, to).await
    }

    async fn failing(&self, merchant: Option<MerchantId>) -> Result<Vec<Failing>> {
        self.store.failing(merchant).await
    }

    async fn change_health(
        &self,
        merchant: MerchantId,
        endpoint: EndpointId,
        change: HealthChange,
    ) -> Result<()> {
        self.store.change_health(merchant, endpoint, change).await
    }

    async fn update_delivery(&self, delivery: Delivery) -> Result<()> {
        self.store.update_delivery(delivery).await
    }

    async fn begin_replay(&self, replay: &Replay, job: &Job) -> Result<u64> {
        self.store.begin_replay(replay, job).await
    }

    async fn put_replay(&self, replay: &Replay) -> Result<u64> {
        self.store.put_replay(replay).await
    }

    async fn replay(&self, merchant: MerchantId, id: ReplayId) -> Result<Option<Replay>> {
        self.store.replay(merchant, id).await
    }

    async fn replays(&self, merchant: MerchantId, page: &Page) -> Result<Listed<Replay>> {
        self.store.replays(merchant, page).await
    }

    async fn audit_tail(&self, merchant: Option<MerchantId>) -> Result<String> {
        self.store.audit_tail(merchant).await
    }

    async fn append_audit(&self, entry: &AuditEntry, tail: &str) -> Result<()> {
        self.store.append_audit(entry, tail).await
    }

    async fn audit(&self, merchant: Option<MerchantId>, page: &Page) -> Result<Listed<AuditEntry>> {
        self.store.audit(merchant, page).await
    }

    async fn idempotency_begin(
        &self,
        scope: &str,
        key: &str,
        fingerprint: &str,
        hold_ms: u64,
    ) -> Result<Idempotency> {
        self.store.idempotency_begin(scope, key, fingerprint, hold_ms).await
    }

    async fn idempotency_note(&self, scope: &str, key: &str, hold: Hold, note: &str) -> Result<()> {
        self.store.idempotency_note(scope, key, hold, note).await
    }

    async fn idempotency_finish(
        &self,
        scope: &str,
        key: &str,
        hold: Hold,
        answer: Option<(u16, String)>,
    ) -> Result<()> {
        self.store.idempotency_finish(scope, key, hold, answer).await
    }

    async fn mend(&self) -> Result<()> {
        self.store.mend().await
    }

    async fn sweep(&self, cutoffs: &Cutoffs, max: usize) -> Result<u64> {
        self.store.sweep(cutoffs, max).await
    }
}
