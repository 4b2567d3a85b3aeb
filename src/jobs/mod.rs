//! What happens later, besides delivering: one file per kind of job of the durable queue.
//!
//! No job moves money: jobs ask, tell and send again, and each of these may happen twice. The worker ends a handler
//! shortly before its lease ends, so that mostly it does not; but a router that stood still for that long goes on beside
//! the one that took its work over. Then both ask the same, and what they learn is entered once: a payment has a
//! version, a refund an id, a notification is confirmed in the step that ends its job by the lease's number, a replay's
//! page is written down before it is taken, a notice keeps its id. What moves money is a caller's request
//! (`payments`), fenced by its `Idempotency-Key`; a job that did would need such a note of its own, written before the
//! provider is asked.

pub mod alert;
pub mod confirm;
mod outcome;
pub mod poll;
pub mod refund;
pub mod replay;
pub mod trouble;

use std::sync::Arc;

use async_trait::async_trait;
use kassir_providers::{Failure, Retry};

use crate::delivery::schedule::Schedule;
use crate::delivery::{JobEnd, JobHandler};
use crate::domain::job::{Job, Task};
use crate::ledger::LedgerError;
use crate::operations::had_no_turn;
use crate::store::Fence;

/// When a job comes again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pause {
    /// Not before so many milliseconds from now: somebody's wish.
    pub after_ms: Option<u64>,
    /// It was no try: others had their turn.
    pub no_try: bool,
}

impl Pause {
    /// After a question to a provider that failed.
    #[must_use]
    pub fn after(failure: &Failure) -> Pause {
        let after_ms = if let Retry::Later(after) = failure.retry { after } else { None };
        Pause { after_ms, no_try: had_no_turn(failure) }
    }
}

/// Longest pause that somebody may wish for, milliseconds: a job has to see in time that it is too old.
const WISH_MAX_MS: u64 = 60 * 60 * 1000;
/// Pause after an error of our own store, milliseconds.
const STORE_PAUSE_MS: u64 = 5_000;

/// Runs every kind of job.
pub struct Jobs {
    /// Confirms notifications.
    pub confirm: confirm::Confirm,
    /// Polls open payments, and those of which an operation was asked for.
    pub poll: poll::Poll,
    /// Asks about refunds.
    pub refunds: refund::Refunds,
    /// Does bulk replays.
    pub replayer: replay::Replayer,
    /// Sees to endpoints in trouble.
    pub troubles: Arc<trouble::Troubles>,
    /// Tells of them.
    pub alerts: alert::Alerts,
    /// Intervals between tries: the same policy as for deliveries.
    pub schedule: Schedule,
}

impl Jobs {
    fn again(&self, mut job: Job, pause: Pause, first_ms: u64) -> JobEnd {
        let wish = pause.after_ms.map_or(0, |wish| wish.min(WISH_MAX_MS));
        if pause.no_try {
            return JobEnd::Again { job: Box::new(job), in_ms: wish };
        }
        job.attempts = job.attempts.saturating_add(1);
        let interval = u64::try_from(self.schedule.interval(job.attempts).as_millis()).unwrap_or(u64::MAX);
        let in_ms = interval.max(first_ms).max(wish);
        JobEnd::Again { job: Box::new(job), in_ms }
    }

    async fn confirm(&self, job: Job, fence: Fence, asked: confirm::Asked) -> JobEnd {
        match self.confirm.run(&job, &asked, fence).await {
            Ok(confirm::End::Finished) | Err(LedgerError::LostLease) => JobEnd::Settled,
            Ok(confirm::End::Again { why, pause }) => {
                tracing::info!(job = %job.id, why, "a notification is not confirmed yet; it is asked about again");
                self.again(job, pause, 0)
            }
            Err(error) => self.failed(job, &error),
        }
    }

    fn polled(&self, job: Job, result: Result<poll::Polled, LedgerError>) -> JobEnd {
        match result {
            Ok(poll::Polled::Done) => JobEnd::Done(Box::new(job)),
            Ok(poll::Polled::Open(pause)) => self.again(job, pause, crate::limits::POLL_FIRST_MS),
            Err(error) => self.failed(job, &error),
        }
    }

    fn failed(&self, job: Job, error: &dyn std::fmt::Display) -> JobEnd {
        tracing::warn!(job = %job.id, %error, "a job failed; it is run again");
        self.again(job, Pause { after_ms: Some(STORE_PAUSE_MS), ..Pause::default() }, 0)
    }
}

#[async_trait]
impl JobHandler for Jobs {
    async fn run(&self, job: Job, fence: Fence) -> JobEnd {
        match job.task.clone() {
            Task::Confirm { notification, facts, proven, payload } => {
                self.confirm(job, fence, confirm::Asked { notification, facts, proven, payload }).await
            }
            Task::Poll { payment } => {
                let result = self.poll.run(&job, payment).await;
                self.polled(job, result)
            }
            Task::Outcome { payment, of } => {
                let result = self.poll.outcome(&job, payment, of).await;
                self.polled(job, result)
            }
            Task::Refund { payment, ref refund } => {
                let result = self.refunds.run(&job, payment, refund).await;
                self.polled(job, result)
            }
            Task::Replay { replay } => match self.replayer.step(job.merchant, replay).await {
                Ok(replay::StepEnd::Over) => JobEnd::Done(Box::new(job)),
                // A step that went well is the end of a row of failures.
                Ok(replay::StepEnd::Again(in_ms)) => {
                    JobEnd::Again { job: Box::new(Job { attempts: 0, ..job }), in_ms }
                }
                Err(error) => self.failed(job, &error),
            },
            Task::Endpoint { endpoint, trouble } => {
                match self.troubles.see_to(&job, endpoint, &trouble).await {
                    Ok(()) => JobEnd::Done(Box::new(job)),
                    Err(error) => self.failed(job, &error),
                }
            }
            Task::Alert(ref alert) => match self.alerts.send(&job, alert).await {
                Ok(alert::End::Over) => JobEnd::Done(Box::new(job)),
                Ok(alert::End::Again(after_ms)) => self.again(job, Pause { after_ms, ..Pause::default() }, 0),
                Err(error) => self.failed(job, &error),
            },
        }
    }
}

/// The handler, shared.
#[must_use]
pub fn shared(jobs: Jobs) -> Arc<dyn JobHandler> {
    Arc::new(jobs)
}
