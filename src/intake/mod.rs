//! Receiving: a provider's request in, its answer out, and in between one durable step. Never waits for a provider's
//! API nor for a subscriber, and answers with yes only after the commit.

mod arrival;
mod belief;
pub mod bodies;
mod flood;
pub mod http;
mod measure;
pub mod peer;
pub mod record;
pub mod try_out;
mod under_way;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use kassir_providers::{Answer, Fact, Outcome, Proof, Received, Reject, Request, generic};
use serde_json::value::RawValue;

use self::arrival::Arrival;
use self::belief::{Belief, believe, proof_word};
use self::measure::{measure, reason_word, tell};
use self::under_way::UnderWay;
use crate::clock::Stopwatch;
use crate::domain::apply::{Decision, Verdict};
use crate::domain::config::Integration;
use crate::domain::event::Proven;
use crate::domain::ids::{IntegrationId, JobId, MerchantId, NotificationId};
use crate::domain::job::{Job, Lane, Task};
use crate::domain::notification::{Notification, NotificationOutcome};
use crate::fail_point::{Point, pass};
use crate::keeping::{Fault, Keeping};
use crate::ledger::{self, Entry, Finisher, Ledger, LedgerError};
use crate::limits::CONFLICT_RETRIES_MAX;
use crate::quiet::LogGate;
use crate::registry::{MerchantView, RegistryError};
use crate::store::{Commit, StoreError, Tally};

/// Budget for unproven notifications, as a multiple of that for refused ones.
const UNPROVEN_BUDGET: u32 = 10;

/// Observed requests that are kept, per integration and [`OBSERVED_SPAN_MS`]: nothing proves them, and a person reads
/// them to write a document.
const OBSERVED_KEPT: u32 = 50;
/// Seven days, milliseconds.
const OBSERVED_SPAN_MS: i64 = 7 * 24 * 3600 * 1000;

/// The payload of a job that asks about an unproven notification: nobody goes by its words.
const NO_PAYLOAD: &str = "null";

/// What is answered to a request.
#[derive(Debug)]
pub enum Response {
    /// In the provider's words.
    Answer(Answer),
    /// There is no such URL.
    NotFound,
    /// The store is away and it is not even known whose URL this is.
    Unavailable,
}

/// Receives notifications.
pub struct Intake {
    ledger: Arc<Ledger>,
    answer_within: Duration,
    refused: flood::Flood,
    unproven: flood::Flood,
    log: LogGate,
    observed: flood::Flood,
    keeping: Arc<Keeping>,
    /// Notifications that are worked on.
    under_way: AtomicUsize,
}

/// An answer, and in a word what came of the notification.
struct Taken {
    answer: Answer,
    outcome: &'static str,
}

impl Intake {
    /// An intake that keeps at most so many refused notifications per integration and minute, and answers within this
    /// time: what could not be kept by then is answered with the provider's "try later".
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, refused_kept_per_minute: u32, answer_within: Duration) -> Intake {
        Intake {
            ledger,
            answer_within,
            refused: flood::Flood::new(refused_kept_per_minute),
            unproven: flood::Flood::new(refused_kept_per_minute.saturating_mul(UNPROVEN_BUDGET)),
            log: LogGate::new(),
            observed: flood::Flood::per(OBSERVED_KEPT, OBSERVED_SPAN_MS),
            keeping: Arc::default(),
            under_way: AtomicUsize::new(0),
        }
    }

    /// Whether the last notification could be kept.
    #[must_use]
    pub fn keeping(&self) -> Arc<Keeping> {
        Arc::clone(&self.keeping)
    }

    /// Receives a request to `/webhooks/{slug}/{token}`.
    pub async fn receive(&self, slug: &str, token: &str, request: Request) -> Response {
        let Some(_place) = UnderWay::of(&self.under_way) else {
            metrics::counter!("kassir_intake_flood_total", "kind" => "at_once").increment(1);
            return Response::Unavailable;
        };
        let watch = Stopwatch::start();
        let hash = crate::secrets::token_hash(token);
        let request = Arc::new(request);
        let arrival = match self.in_time(self.find(slug, &hash, &request)).await {
            Ok(Some(arrival)) => arrival,
            Ok(None) => return unknown_address(),
            Err(error) => return self.unavailable(&error),
        };
        let taken = match self.in_time(self.take(&arrival, slug, &hash)).await {
            Ok(Some(taken)) => taken,
            Ok(None) => return unknown_address(),
            Err(error) => {
                match &error {
                    LedgerError::Registry(error) => self.failed(error),
                    _ => count_busy(),
                }
                if let Some(left_out) = self.log.open() {
                    let integration = arrival.integration;
                    tracing::warn!(%error, %integration, left_out, "a notification could not be kept; the provider is told to come again");
                }
                Taken { answer: arrival.answer(&Outcome::Busy), outcome: "busy" }
            }
        };
        measure(arrival.slug(), taken.outcome, watch);
        Response::Answer(taken.answer)
    }

    /// What to answer before a large body is read: `None` where the URL may be somebody's. Whose it is stays at hand,
    /// so that [`Intake::receive`] does not ask the store again.
    pub async fn knock(&self, token: &str) -> Option<Response> {
        let hash = crate::secrets::token_hash(token);
        match self.in_time(self.ledger.registry.find_token(&hash)).await {
            Ok(Some(_)) => None,
            Ok(None) => Some(unknown_address()),
            Err(error) => Some(self.unavailable(&error.into())),
        }
    }

    fn unavailable(&self, error: &RegistryError) -> Response {
        self.failed(error);
        if let Some(left_out) = self.log.open() {
            tracing::warn!(%error, left_out, "a notification could not be looked up");
        }
        Response::Unavailable
    }

    /// Notes that a notification could not be kept.
    fn failed(&self, error: &RegistryError) {
        count_busy();
        if let Some(fault) = Fault::of(error) {
            self.keeping.failed(fault, self.ledger.clock.now());
        }
    }

    /// Gives up on a store that is slower than the provider's patience. Whether its write succeeds all the same does
    /// not matter: the provider comes again, and finds it done.
    async fn in_time<T, E: From<StoreError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let late = || StoreError::Unavailable("it did not answer in time".to_owned());
        tokio::time::timeout(self.answer_within, work).await.unwrap_or_else(|_| Err(late().into()))
    }

    /// Proves, decides and keeps. Where what is set up turns out to have changed, the request arrives anew: its URL may
    /// have ended, and what proved it may prove nothing any more. `None`: there is no such URL now.
    async fn take(&self, arrival: &Arrival, slug: &str, hash: &str) -> Result<Option<Taken>, LedgerError> {
        let mut arrival = arrival.clone();
        for _ in 0..CONFLICT_RETRIES_MAX {
            match self.take_once(&arrival).await {
                Err(LedgerError::Stale) => {}
                taken => return taken.map(Some),
            }
            let merchant = arrival.view.config.merchant.id;
            self.ledger.registry.reload(merchant).await?;
            match self.find(slug, hash, &arrival.request).await? {
                Some(anew) => arrival = anew,
                None => return Ok(None),
            }
        }
        Err(StoreError::Unavailable("what is set up keeps changing; try again".to_owned()).into())
    }

    /// A refusal is believed only of the newest credentials.
    async fn take_once(&self, arrival: &Arrival) -> Result<Taken, LedgerError> {
        let (integration, account) = arrival.account().ok_or(LedgerError::Gone)?;
        let received = arrival.provider.receive(&arrival.request, account);
        pass(Point::Parsed);
        match received {
            Ok(received) => self.keep(arrival, integration, received).await,
            Err(reject) => {
                let current = self.ledger.registry.merchant(integration.merchant).await.ok().flatten();
                if current.is_some_and(|current| current.config.version != arrival.view.config.version) {
                    return Err(LedgerError::Stale);
                }
                Ok(self.refuse(arrival, integration, &reject).await)
            }
        }
    }

    async fn keep(
        &self,
        arrival: &Arrival,
        integration: &Integration,
        received: Received,
    ) -> Result<Taken, LedgerError> {
        let clock = &self.ledger.clock;
        if is_observed(&received) && !self.observed.allows(integration.id, clock.now()) {
            metrics::counter!("kassir_intake_flood_total", "kind" => "observed").increment(1);
            let outcome = NotificationOutcome::Ignored.word();
            return Ok(Taken { answer: arrival.answer(&Outcome::Accepted), outcome });
        }
        let id = NotificationId(clock.id());
        let has_effect = received.facts.iter().any(|fact| matches!(fact, Fact::Payment(_) | Fact::Refund(_)));
        let proven = match believe(arrival.provider, integration, &received.proof) {
            Belief::Proven(proven) => proven,
            // What has no effect needs no proof beyond what there is.
            Belief::Ask(_) | Belief::No(_) if !has_effect => Proven::Sourced,
            Belief::Ask(why) => {
                let template = template(arrival, id, &received.warnings);
                return self.keep_unproven(arrival, template, received, &why, true).await;
            }
            Belief::No(why) => {
                let template = template(arrival, id, &received.warnings);
                return self.keep_unproven(arrival, template, received, &why, false).await;
            }
        };
        self.enter_all(arrival, integration, id, received, proven).await
    }

    async fn enter_all(
        &self,
        arrival: &Arrival,
        integration: &Integration,
        id: NotificationId,
        received: Received,
        proven: Proven,
    ) -> Result<Taken, LedgerError> {
        let room = self.room(integration.id, &received);
        let Received { mut facts, payload, warnings, proof, .. } = received;
        let proof = proof_word(&proof, proven);
        let Some(last) = facts.pop() else {
            let template = template(arrival, id, &warnings);
            let template = Notification { proof: Some(proof.to_owned()), ..template };
            return self.keep_empty(arrival, template, room).await;
        };
        let payload: Arc<RawValue> = Arc::from(payload);
        let entry = |fact| Entry {
            merchant: integration.merchant,
            integration: integration.id,
            fact,
            proven,
            payload: Some(Arc::clone(&payload)),
            notification: None,
            finish: None,
        };
        let mut earlier = Vec::new();
        for fact in facts {
            earlier.push(self.ledger.enter_proved(entry(fact), &arrival.view).await?.decision);
        }
        let earlier = Arc::new(earlier);
        let finisher = (room != Room::No).then(|| -> Finisher {
            let (arrival, earlier) = (arrival.clone(), Arc::clone(&earlier));
            Box::new(move |decision| room.fit(finish(&arrival, id, &warnings, proof, &earlier, decision)))
        });
        let last = Entry { notification: finisher, ..entry(last) };
        let entered = self.ledger.enter_proved(last, &arrival.view).await?;
        if room != Room::No {
            self.keeping.kept();
        }
        let answer = arrival.answer(&ledger::outcome(verdict(&earlier, &entered.decision)));
        tell(id, integration.id, entered.event);
        Ok(Taken { answer, outcome: weightiest(&earlier, &entered.decision).word() })
    }

    async fn keep_empty(
        &self,
        arrival: &Arrival,
        template: Notification,
        room: Room,
    ) -> Result<Taken, LedgerError> {
        let answer = arrival.answer(&Outcome::Accepted);
        let reason = "it says nothing about a payment".to_owned();
        let notification = Notification { reason, answer: record::given(&answer), ..template };
        let outcome = notification.outcome.word();
        if room != Room::No {
            self.write(room.fit(notification), None, Some(arrival.view.config.version)).await?;
            self.keeping.kept();
        }
        Ok(Taken { answer, outcome })
    }

    /// How much of a notification without a payment in it is kept. Anybody who knows the URL could have sent one that
    /// proves nothing; that it is answered all the same costs nobody anything.
    fn room(&self, integration: IntegrationId, received: &Received) -> Room {
        // What is observed has a budget of its own, and a person reads it to the end.
        if !matches!(received.proof, Proof::Unproven(_)) || is_observed(received) {
            return Room::Whole;
        }
        if self.unproven.allows(integration, self.ledger.clock.now()) {
            return Room::Short;
        }
        metrics::counter!("kassir_intake_flood_total", "kind" => "unlogged").increment(1);
        Room::No
    }

    /// Keeps what proves nothing by itself, with a job that asks the provider's API, unless that can't be asked.
    async fn keep_unproven(
        &self,
        arrival: &Arrival,
        template: Notification,
        received: Received,
        why: &str,
        ask: bool,
    ) -> Result<Taken, LedgerError> {
        let clock = &self.ledger.clock;
        if !self.unproven.allows(template.integration, clock.now()) {
            metrics::counter!("kassir_intake_flood_total", "kind" => "unproven").increment(1);
            return Ok(Taken { answer: arrival.answer(&Outcome::Busy), outcome: "busy" });
        }
        let answer = arrival.answer(&Outcome::Accepted);
        let reason = if ask { format!("{why}; the provider's API is asked") } else { why.to_owned() };
        // Asked about by setting: its own words are proved all the same.
        let is_signed = matches!(received.proof, Proof::Signed);
        let (room, payload) =
            if is_signed { (Room::Whole, received.payload.get()) } else { (Room::Short, NO_PAYLOAD) };
        let notification = room.fit(Notification {
            outcome: NotificationOutcome::Unproven,
            reason,
            proof: Some("unproven".to_owned()),
            answer: record::given(&answer),
            ..template
        });
        let job = ask.then(|| Job {
            id: JobId(clock.id()),
            merchant: notification.merchant,
            lane: Lane::Integration(notification.integration),
            task: Task::Confirm {
                notification: notification.id,
                facts: received.facts,
                proven: None,
                payload: payload.to_owned(),
            },
            attempts: 0,
            created_at: clock.now(),
        });
        self.write(notification, job, Some(arrival.view.config.version)).await?;
        self.keeping.kept();
        Ok(Taken { answer, outcome: NotificationOutcome::Unproven.word() })
    }

    /// Keeps a refused notification as far as the budget goes; the answer does not depend on that.
    async fn refuse(&self, arrival: &Arrival, integration: &Integration, reject: &Reject) -> Taken {
        let (answer, outcome) =
            (arrival.answer(&Outcome::Rejected(reject)), NotificationOutcome::Rejected.word());
        metrics::counter!("kassir_notifications_refused_total", "provider" => arrival.slug(), "reason" => reason_word(reject.kind))
            .increment(1);
        let clock = &self.ledger.clock;
        if !self.refused.allows(integration.id, clock.now()) {
            metrics::counter!("kassir_intake_flood_total", "kind" => "refused").increment(1);
            return Taken { answer, outcome };
        }
        let mut notification = template(arrival, NotificationId(clock.id()), &[]);
        record::shorten(&mut notification);
        notification.outcome = NotificationOutcome::Rejected;
        notification.reason.clone_from(&reject.reason);
        notification.diagnosis.clone_from(&reject.diagnosis);
        notification.answer = record::given(&answer);
        if let Err(error) = self.write(notification, None, None).await
            && let Some(left_out) = self.log.open()
        {
            tracing::warn!(%error, left_out, "a refused notification could not be kept in the inbound log");
        }
        Taken { answer, outcome }
    }

    /// `version`: of the configuration that it was decided with, when the decision rests on it.
    async fn write(
        &self,
        notification: Notification,
        job: Option<Job>,
        version: Option<u64>,
    ) -> Result<(), StoreError> {
        let mut commit = Commit::of(notification.merchant);
        commit.config_version = version;
        let key = format!("notification.{}.{}", notification.outcome.word(), notification.provider);
        commit.tallies.push(Tally { key, by: 1 });
        commit.notification = Some(notification);
        commit.jobs.extend(job.map(|job| (job, 0)));
        self.ledger.write(commit).await.map(drop)
    }

    /// The merchant that an inbound URL belongs to, for the dry run.
    pub async fn view(&self, merchant: MerchantId) -> Result<Option<Arc<MerchantView>>, StoreError> {
        self.ledger.registry.merchant(merchant).await
    }
}

/// How much of a notification goes into the inbound log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Whole,
    /// The beginning of its body.
    Short,
    No,
}

impl Room {
    fn fit(self, mut notification: Notification) -> Notification {
        if self != Room::Whole {
            record::shorten(&mut notification);
        }
        notification
    }
}

fn count_busy() {
    metrics::counter!("kassir_intake_busy_total").increment(1);
}

fn unknown_address() -> Response {
    metrics::counter!("kassir_notifications_total", "provider" => "none", "outcome" => "unknown_address")
        .increment(1);
    Response::NotFound
}

/// A notification's record, yet without an outcome.
fn template(arrival: &Arrival, id: NotificationId, warnings: &[String]) -> Notification {
    let merchant = arrival.view.config.merchant.id;
    let record = record::record(id, merchant, arrival.integration, arrival.slug(), &arrival.request);
    Notification { warnings: warnings.to_vec(), ..record }
}

/// A notification's record once it is decided what comes of its last fact.
fn finish(
    arrival: &Arrival,
    id: NotificationId,
    warnings: &[String],
    proof: &str,
    earlier: &[Decision],
    decision: &Decision,
) -> Notification {
    let reasons = earlier.iter().chain([decision]).map(|decision| decision.reason.as_str());
    Notification {
        outcome: weightiest(earlier, decision),
        reason: reasons.collect::<Vec<_>>().join("; "),
        proof: Some(proof.to_owned()),
        answer: record::given(&arrival.answer(&ledger::outcome(verdict(earlier, decision)))),
        ..template(arrival, id, warnings)
    }
}

/// Whether a request is only kept to be looked at: anybody who knows the URL could have sent it.
fn is_observed(received: &Received) -> bool {
    received.facts.iter().any(|fact| matches!(fact, Fact::Note(note) if note.what == generic::OBSERVED))
}

fn weightiest(earlier: &[Decision], last: &Decision) -> NotificationOutcome {
    earlier.iter().fold(last.outcome, |outcome, decision| ledger::weightier(outcome, decision.outcome))
}

/// The verdict over several facts: a refusal counts most, a duplicate only when all are.
fn verdict(earlier: &[Decision], last: &Decision) -> Verdict {
    let all = || earlier.iter().chain([last]).map(|decision| decision.verdict);
    all()
        .find(|verdict| matches!(verdict, Verdict::Refused(_) | Verdict::Told(_)))
        .or_else(|| all().find(|verdict| *verdict == Verdict::Accepted))
        .unwrap_or(last.verdict)
}
