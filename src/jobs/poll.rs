//! Asks the provider's API for the state of an open payment whose notification never came.

use std::sync::Arc;

use kassir_providers::operation::{Context, Done, Wish};
use kassir_providers::{Fact, Failure, Fault, Retry, State};
use serde_json::value::RawValue;

use super::Pause;
use crate::domain::job::Job;
use crate::domain::payment::Payment;
use crate::ledger::{Entry, Ledger, LedgerError};
use crate::operations::{Operations, target};
use crate::registry::Registry;

/// The polling job.
pub struct Poll {
    /// Where facts go.
    pub ledger: Arc<Ledger>,
    /// How the provider is asked.
    pub operations: Operations,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// The payment is over, or asked about for long enough.
    Done,
    /// It is still open.
    Open(Pause),
}

impl Poll {
    /// Asks once.
    ///
    /// # Errors
    /// The store's; running it again is safe.
    pub async fn run(&self, job: &Job, number: u32) -> Result<Polled, LedgerError> {
        let Some(payment) = self.ledger.store.payment(job.merchant, number).await? else {
            return Ok(Polled::Done);
        };
        if !payment.is_polled(self.ledger.clock.now()) {
            return Ok(Polled::Done);
        }
        let done = match self.ask(job, &payment).await? {
            Answer::Done(done) => done,
            Answer::None(polled) => return Ok(polled),
        };
        let payload: Option<Arc<RawValue>> = done.payload.map(Arc::from);
        for fact in done.facts.into_iter().filter(|fact| tells_more(fact, &payment)) {
            self.enter(&payment, fact, payload.clone()).await?;
        }
        Ok(Polled::Open(Pause::default()))
    }

    /// Asks the provider's API for a payment.
    pub(super) async fn ask(&self, job: &Job, payment: &Payment) -> Result<Answer, LedgerError> {
        let over = Ok(Answer::None(Polled::Done));
        let Some(view) = self.ledger.registry.current(job.merchant).await? else { return over };
        let Some((integration, account)) = view.integration(payment.integration)? else { return over };
        let Some(provider) = Registry::provider(integration) else { return over };
        let context = Context { now: self.ledger.clock.now(), idempotency_key: job.id.to_string() };
        match self.operations.run(provider, account, Wish::Status(target(payment)), context).await {
            Ok(done) => Ok(Answer::Done(done)),
            // What has no id yet may get one: from its first notification, or with the payer's choice.
            Err(failure) if is_final(&failure) && payment.provider_id.is_some() => {
                tracing::warn!(payment = payment.number, why = failure.why, "a payment can't be asked about");
                over
            }
            Err(failure) => {
                tracing::debug!(
                    payment = payment.number,
                    why = failure.why,
                    "a payment can't be asked about now"
                );
                Ok(Answer::None(Polled::Open(Pause::after(&failure))))
            }
        }
    }

    /// Enters what the provider's API says.
    pub(super) async fn enter(
        &self,
        payment: &Payment,
        fact: Fact,
        payload: Option<Arc<RawValue>>,
    ) -> Result<(), LedgerError> {
        let entry = Entry::confirmed(payment, fact, payload);
        self.ledger.enter(entry).await.map(drop)
    }
}

/// What came of a question.
pub(super) enum Answer {
    /// The answer.
    Done(Done),
    /// There is none, and this becomes of the job.
    None(Polled),
}

/// Whether asking again can't help. Wrong credentials and missing rights are put in order by the merchant.
pub(super) fn is_final(failure: &Failure) -> bool {
    failure.retry == Retry::Never && failure.fault != Fault::Merchant
}

/// Whether a fact of the answer is about this payment and says more than that it is pending.
pub(super) fn tells_more(fact: &Fact, payment: &Payment) -> bool {
    let reference = fact.payment();
    let ours = match (&reference.provider_id, &payment.provider_id) {
        (Some(told), Some(known)) if told == known => true,
        _ => reference.reference.as_deref() == Some(payment.number.to_string().as_str()),
    };
    ours && !matches!(fact, Fact::Payment(fact) if fact.state == State::Pending)
        && !matches!(fact, Fact::Note(_))
}
