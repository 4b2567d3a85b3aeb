//! From a believed fact to one durable step: look the payment up, decide, write; decide again when something changed
//! meanwhile. What decides is handed to the store, which may ask it where nothing can come in between. Intake, the
//! confirming job and our own operations all go through here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use kassir_providers::{Fact, Provider};
use serde_json::value::RawValue;

use crate::clock::SharedClock;
use crate::domain::apply::{self, Decision, Rules, Verdict};
use crate::domain::config::Integration;
use crate::domain::delivery::{Delivery, DeliveryStatus};
use crate::domain::event::Proven;
use crate::domain::fanout::{self, Making};
use crate::domain::ids::{DeliveryId, EndpointId, EventId, IntegrationId, JobId, MerchantId};
use crate::domain::job::{Job, Lane, Task};
use crate::domain::notification::{Notification, NotificationOutcome};
use crate::domain::payment::Payment;
use crate::fail_point::{Point, pass};
use crate::limits::CONFLICT_RETRIES_MAX;
use crate::registry::{MerchantView, Registry, RegistryError};
use crate::store::{
    Claimed, Commit, Committed, Conflict, Decide, Fence, Found, LookUp, PaymentWrite, Store, StoreError,
    Tally,
};

/// Where new deliveries go that a commit leased to this process. An optimisation that may be lost: what nobody sends
/// is due again when its lease ends.
pub trait HandOver: Send + Sync {
    /// Takes leased deliveries. `now` is the store's clock, Unix milliseconds.
    fn hand_over(&self, work: Vec<Claimed>, now: i64);
    /// There may be due work now.
    fn wake(&self);
    /// Who leases new deliveries to these endpoints, and for how many milliseconds; `None` when this process sends
    /// nothing now.
    fn lease(&self, endpoints: &[EndpointId]) -> Option<Lease>;
}

/// Room for the new deliveries of a step, kept until they are handed over or this is dropped.
pub type Kept = Box<dyn Send>;

/// How new deliveries are leased to this process.
pub struct Lease {
    /// Its name in leases.
    pub owner: String,
    /// For how many milliseconds.
    pub ms: u64,
    /// Deliveries to these endpoints go through the queue all the same.
    pub queue_only: Vec<EndpointId>,
    /// Room for the others.
    pub kept: Kept,
}

impl Lease {
    /// Leases a step's new deliveries to this process, as far as it can send them now. What it gives is to be dropped
    /// once they are handed over.
    #[must_use]
    pub fn write(hand_over: &dyn HandOver, commit: &mut Commit) -> Option<Kept> {
        let to_send = commit.deliveries.iter().filter(|delivery| delivery.next_attempt_at.is_some());
        let endpoints: Vec<EndpointId> = to_send.map(|delivery| delivery.endpoint).collect();
        if endpoints.is_empty() {
            return None;
        }
        let Lease { owner, ms, queue_only, kept } = hand_over.lease(&endpoints)?;
        commit.lease = Some((owner, ms));
        commit.queue_only = queue_only;
        Some(kept)
    }
}

/// Nobody sends in this process.
pub struct NoHandOver;

impl HandOver for NoHandOver {
    fn hand_over(&self, _: Vec<Claimed>, _: i64) {}
    fn wake(&self) {}
    fn lease(&self, _: &[EndpointId]) -> Option<Lease> {
        None
    }
}

/// Why a fact could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store or a credential.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The merchant or integration was deleted meanwhile.
    #[error("the integration was deleted")]
    Gone,
    /// The job is no longer ours.
    #[error("the lease on the job was lost")]
    LostLease,
    /// What is set up changed since it was proved; it must be proved again.
    #[error("what is set up changed meanwhile")]
    Stale,
}

impl From<StoreError> for LedgerError {
    fn from(error: StoreError) -> LedgerError {
        match error {
            StoreError::Conflict(Conflict::Lease) => LedgerError::LostLease,
            StoreError::Conflict(Conflict::Config) => LedgerError::Stale,
            error => LedgerError::Registry(error.into()),
        }
    }
}

/// Gives a notification's record its outcome before it is written: the answer depends on the verdict.
pub type Finisher = Box<dyn Fn(&Decision) -> Notification + Send + Sync>;

/// A fact to be entered.
pub struct Entry {
    /// Whose.
    pub merchant: MerchantId,
    /// Through which integration.
    pub integration: IntegrationId,
    /// The fact.
    pub fact: Fact,
    /// How it was proved.
    pub proven: Proven,
    /// The provider's body as JSON.
    pub payload: Option<Arc<RawValue>>,
    /// Makes the inbound log's record; `None` when there is none, or another fact of the notification carries it.
    pub notification: Option<Finisher>,
    /// The job that this finishes.
    pub finish: Option<Fence>,
}

impl Entry {
    /// What the provider's API says of a payment.
    #[must_use]
    pub fn confirmed(payment: &Payment, fact: Fact, payload: Option<Arc<RawValue>>) -> Entry {
        Entry {
            merchant: payment.merchant,
            integration: payment.integration,
            fact,
            proven: Proven::Confirmed,
            payload,
            notification: None,
            finish: None,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Entered {
    /// What was decided.
    pub decision: Decision,
    /// The payment's number, if there is one.
    pub payment: Option<u32>,
    /// The event, if there was one.
    pub event: Option<EventId>,
}

/// The ledger.
pub struct Ledger {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What is set up.
    pub registry: Arc<Registry>,
    /// The clock.
    pub clock: SharedClock,
    /// Where new deliveries go.
    pub hand_over: Arc<dyn HandOver>,
}

impl Ledger {
    /// Enters a fact: looked up, decided and written in one step of the store, again from the start when something
    /// changed meanwhile.
    ///
    /// # Errors
    /// [`LedgerError`]; nothing is known to be written then, and entering the same fact again is safe.
    pub async fn enter(&self, entry: Entry) -> Result<Entered, LedgerError> {
        let view = self.registry.merchant_at_hand(entry.merchant).await?.ok_or(LedgerError::Gone)?;
        self.enter_with(entry, view, false).await
    }

    /// As [`Ledger::enter`], for a fact that was proved with this configuration: it counts only while that is the
    /// current one. Credentials that were replaced through another router prove nothing any more.
    ///
    /// # Errors
    /// [`LedgerError`]; [`LedgerError::Stale`] when there is a newer configuration, and nothing is written then.
    pub async fn enter_proved(&self, entry: Entry, with: &Arc<MerchantView>) -> Result<Entered, LedgerError> {
        self.enter_with(entry, Arc::clone(with), true).await
    }

    async fn enter_with(
        &self,
        entry: Entry,
        mut view: Arc<MerchantView>,
        proved_with_it: bool,
    ) -> Result<Entered, LedgerError> {
        let entry = Arc::new(entry);
        for _ in 0..CONFLICT_RETRIES_MAX {
            let (decided, decide) = self.decide(&entry, &view);
            pass(Point::BeforeCommit);
            let written = self.store.enter(look_up(&entry), view.config.version, decide).await;
            pass(Point::AfterCommit);
            let committed = match written {
                Ok(committed) => committed,
                Err(StoreError::Conflict(Conflict::Config)) if !proved_with_it => {
                    view = self.registry.reload(entry.merchant).await?.ok_or(LedgerError::Gone)?;
                    continue;
                }
                Err(StoreError::Conflict(conflict))
                    if !matches!(conflict, Conflict::Lease | Conflict::Config) =>
                {
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let made = decided.lock().unwrap_or_else(PoisonError::into_inner).take();
            match made {
                None => {}
                Some(Decided::Stale) if proved_with_it => return Err(LedgerError::Stale),
                Some(Decided::Stale) => {
                    view = self.registry.reload(entry.merchant).await?.ok_or(LedgerError::Gone)?;
                }
                Some(Decided::Gone) => return Err(LedgerError::Gone),
                Some(Decided::Made { mut entered, to_do, kept: _until_handed_over }) => {
                    if let Some(mut committed) = committed {
                        self.pass_on(&mut committed, to_do);
                        entered.payment = committed.payment.map(|(number, _)| number).or(entered.payment);
                    }
                    return Ok(*entered);
                }
            }
        }
        Err(StoreError::Unavailable("the payment keeps changing; try again".to_owned()).into())
    }

    /// What the store asks once it has looked, and where the answer is found afterwards.
    fn decide(&self, entry: &Arc<Entry>, view: &Arc<MerchantView>) -> (Arc<Mutex<Option<Decided>>>, Decide) {
        let deciding = Deciding {
            entry: Arc::clone(entry),
            view: Arc::clone(view),
            clock: Arc::clone(&self.clock),
            hand_over: Arc::clone(&self.hand_over),
        };
        let decided = Arc::new(Mutex::new(None));
        let told = Arc::clone(&decided);
        let decide = move |found: &Found| {
            // What was decided before, and the room that it kept, is void.
            drop(told.lock().unwrap_or_else(PoisonError::into_inner).take());
            // It may run in the store's own thread, which others need too.
            let made = catch_unwind(AssertUnwindSafe(|| deciding.decide(found)));
            let (made, commit) = made.map_or((None, None), |(made, commit)| (Some(made), commit));
            *told.lock().unwrap_or_else(PoisonError::into_inner) = made;
            commit
        };
        (decided, Box::new(decide))
    }

    /// Writes a step; new deliveries that it leased are handed over, and what is queued is looked at soon.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is known to be written then.
    pub async fn write(&self, commit: Commit) -> Result<Committed, StoreError> {
        let to_do = ToDo::of(&commit);
        pass(Point::BeforeCommit);
        let mut committed = self.store.commit(commit).await?;
        pass(Point::AfterCommit);
        self.pass_on(&mut committed, to_do);
        Ok(committed)
    }

    fn pass_on(&self, committed: &mut Committed, to_do: ToDo) {
        let leased = std::mem::take(&mut committed.leased);
        if to_do.job_now || leased.len() < to_do.to_send {
            self.hand_over.wake();
        }
        if to_do.held > 0 {
            metrics::counter!("kassir_deliveries_ended_total", "status" => "held").increment(to_do.held);
        }
        if !leased.is_empty() {
            self.hand_over.hand_over(leased, committed.now);
        }
    }
}

/// What is decided with.
struct Deciding {
    entry: Arc<Entry>,
    view: Arc<MerchantView>,
    clock: SharedClock,
    hand_over: Arc<dyn HandOver>,
}

/// What was decided.
enum Decided {
    /// Nothing: the configuration at hand is not the current one.
    Stale,
    /// Nothing: the integration is no more.
    Gone,
    /// This, and what the step leaves to be done.
    Made { entered: Box<Entered>, to_do: ToDo, kept: Option<Kept> },
}

impl Deciding {
    fn decide(&self, found: &Found) -> (Decided, Option<Commit>) {
        let (entry, view) = (&*self.entry, &*self.view);
        if found.config_version != view.config.version {
            return (Decided::Stale, None);
        }
        let Some(integration) = view.config.integration(entry.integration) else {
            return (Decided::Gone, None);
        };
        let Some(provider) = Registry::provider(integration) else { return (Decided::Gone, None) };
        let rules = rules(integration, provider, self.clock.now());
        let payment = chosen(&rules, &entry.fact, found);
        let mut decision = apply::apply(&rules, payment, &entry.fact);
        if let (Some(change), Some(payload)) = (&mut decision.change, &entry.payload)
            && change.is_new
        {
            fanout::fill_from_payload(integration, payload, &mut change.payment);
        }
        // The job that asked goes on asking: nothing is written.
        let nothing = decision.wait && entry.finish.is_some();
        let mut commit = Commit::of(entry.merchant);
        let event = if nothing { None } else { self.fill(&mut commit, &decision, payment, integration) };
        let kept = Lease::write(&*self.hand_over, &mut commit);
        let to_do = ToDo::of(&commit);
        let number = payment.map(|payment| payment.number);
        let commit = Some(commit).filter(|commit| !nothing && !is_empty(commit));
        let entered = Box::new(Entered { decision, payment: number, event });
        (Decided::Made { entered, to_do, kept }, commit)
    }

    /// Fills the step; gives the event's id.
    fn fill(
        &self,
        commit: &mut Commit,
        decision: &Decision,
        payment: Option<&Payment>,
        integration: &Integration,
    ) -> Option<EventId> {
        let entry = &*self.entry;
        commit.config_version = Some(self.view.config.version);
        commit.finish = entry.finish;
        let mut notification = entry.notification.as_ref().map(|finish| finish(decision));
        let event = self.write_change(decision, commit, integration, notification.as_ref());
        if let Some(notification) = &mut notification {
            notification.payment = number(payment, decision).or(notification.payment);
            notification.event = event.or(notification.event);
            let key = format!("notification.{}.{}", notification.outcome.word(), notification.provider);
            commit.tallies.push(Tally { key, by: 1 });
            if decision.wait {
                commit.jobs.push((self.waiting_job(notification), 0));
            }
        }
        commit.notification = notification;
        event
    }

    fn write_change(
        &self,
        decision: &Decision,
        commit: &mut Commit,
        integration: &Integration,
        notification: Option<&Notification>,
    ) -> Option<EventId> {
        let change = decision.change.as_ref()?;
        let making = Making {
            config: &self.view.config,
            integration,
            proven: self.entry.proven,
            notification: notification.map(|notification| notification.id),
            payload: self.entry.payload.as_deref(),
            at: self.clock.now(),
        };
        let event = decision.happened.as_ref().map(|happened| {
            let event = fanout::event(&making, EventId(self.clock.id()), &change.payment, happened);
            commit.deliveries =
                fanout::deliveries(&making, &change.payment, &event, || DeliveryId(self.clock.id()));
            commit
                .tallies
                .push(Tally { key: format!("event.{}.{}", event.state.word(), integration.provider), by: 1 });
            event
        });
        let payment = change.payment.clone();
        let links = change.links.clone();
        commit.payment = Some(if change.is_new {
            PaymentWrite::New { payment, links }
        } else {
            PaymentWrite::Update { payment, links }
        });
        let id = event.as_ref().map(|event| event.id);
        commit.events.extend(event);
        id
    }

    fn waiting_job(&self, notification: &Notification) -> Job {
        let entry = &*self.entry;
        let payload = entry.payload.as_ref();
        let payload = payload.map_or_else(|| "null".to_owned(), |payload| payload.get().to_owned());
        Job {
            id: JobId(self.clock.id()),
            merchant: entry.merchant,
            lane: Lane::Integration(entry.integration),
            task: Task::Confirm {
                notification: notification.id,
                facts: vec![entry.fact.clone()],
                proven: Some(entry.proven),
                payload,
            },
            attempts: 0,
            created_at: self.clock.now(),
        }
    }
}

/// The payment's number; 0 for one that the store gives its number in this step.
fn number(payment: Option<&Payment>, decision: &Decision) -> Option<u32> {
    let is_new = decision.change.as_ref().is_some_and(|change| change.is_new);
    payment.map(|payment| payment.number).or(is_new.then_some(0))
}

/// What a step leaves to be done, and what it leaves undone.
#[derive(Clone, Copy)]
struct ToDo {
    /// Deliveries to be sent.
    to_send: usize,
    /// Whether a job is due at once.
    job_now: bool,
    /// Deliveries that are not sent: their endpoint is off.
    held: u64,
}

impl ToDo {
    fn of(commit: &Commit) -> ToDo {
        let count =
            |is: fn(&Delivery) -> bool| commit.deliveries.iter().filter(|delivery| is(delivery)).count();
        let held = count(|delivery| delivery.status == DeliveryStatus::Held);
        ToDo {
            to_send: count(|delivery| delivery.next_attempt_at.is_some()),
            job_now: commit.jobs.iter().any(|(_, in_ms)| *in_ms == 0),
            held: u64::try_from(held).unwrap_or(u64::MAX),
        }
    }
}

fn is_empty(commit: &Commit) -> bool {
    commit.notification.is_none()
        && commit.payment.is_none()
        && commit.events.is_empty()
        && commit.jobs.is_empty()
        && commit.finish.is_none()
}

fn look_up(entry: &Entry) -> LookUp {
    let reference = entry.fact.payment();
    LookUp {
        merchant: entry.merchant,
        integration: entry.integration,
        provider_ids: reference.provider_id.iter().cloned().collect(),
        numbers: apply::number_of(reference).into_iter().collect(),
    }
}

/// What decisions for an integration are made with.
#[must_use]
pub fn rules<'a>(integration: &'a Integration, provider: &dyn Provider, now: i64) -> Rules<'a> {
    let attempts_share_reference = provider.about().capabilities.attempts_share_reference;
    Rules { integration, attempts_share_reference, now }
}

/// The payment that a fact is about.
#[must_use]
pub fn chosen<'a>(rules: &Rules<'_>, fact: &Fact, found: &'a Found) -> Option<&'a Payment> {
    let reference = fact.payment();
    let by_id = reference.provider_id.as_ref().and_then(|id| found.by_provider_id.get(id));
    let by_number = apply::number_of(reference).and_then(|number| found.by_number.get(&number));
    apply::choose(rules, fact, by_id, by_number)
}

/// The outcome that says most, when a notification holds several facts.
#[must_use]
pub fn weightier(a: NotificationOutcome, b: NotificationOutcome) -> NotificationOutcome {
    use NotificationOutcome as O;
    const ORDER: [O; 6] = [O::Ignored, O::Duplicate, O::Accepted, O::Unproven, O::Mismatch, O::Rejected];
    let rank = |outcome: O| ORDER.iter().position(|each| *each == outcome).unwrap_or(0);
    if rank(b) > rank(a) { b } else { a }
}

/// A verdict as the provider's adapter takes it.
#[must_use]
pub fn outcome(verdict: Verdict) -> kassir_providers::Outcome<'static> {
    match verdict {
        Verdict::Accepted => kassir_providers::Outcome::Accepted,
        Verdict::Duplicate => kassir_providers::Outcome::Duplicate,
        Verdict::Refused(refusal) => kassir_providers::Outcome::Refused(refusal),
        Verdict::Told(state) => kassir_providers::Outcome::Told(state),
    }
}
