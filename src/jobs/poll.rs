//! Asks the provider's API for the state of an open payment whose notification never came.

use std::sync::Arc;

use kassir_providers::operation::{Context, Wish};
use kassir_providers::{Fact, Failure, Fault, Retry, State};
use serde_json::value::RawValue;

use super::Pause;
use crate::domain::event::Proven;
use crate::domain::job::Job;
use crate::domain::payment::Payment;
use crate::ledger::{Entry, Ledger, LedgerError};
use crate::operations::{Operations, target};
use crate::registry::Registry;

/// An unpaid payment is not asked about for longer than this.
const UNPAID_MAX_MS: i64 = 26 * 60 * 60 * 1000;
/// A held payment is not asked about for longer than this: providers release holds after 7 days.
const HELD_MAX_MS: i64 = 8 * 24 * 60 * 60 * 1000;

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
        if is_over(&payment, self.ledger.clock.now()) {
            return Ok(Polled::Done);
        }
        let Some(view) = self.ledger.registry.current(job.merchant).await? else { return Ok(Polled::Done) };
        let Some((integration, account)) = view.integration(payment.integration)? else {
            return Ok(Polled::Done);
        };
        let Some(provider) = Registry::provider(integration) else { return Ok(Polled::Done) };
        let context = Context { now: self.ledger.clock.now(), idempotency_key: job.id.to_string() };
        let done = match self.operations.run(provider, account, Wish::Status(target(&payment)), context).await
        {
            Ok(done) => done,
            // What has no id yet may get one: from its first notification, or with the payer's choice.
            Err(failure) if is_final(&failure) && payment.provider_id.is_some() => {
                tracing::warn!(payment = number, why = failure.why, "a payment can't be asked about");
                return Ok(Polled::Done);
            }
            Err(failure) => {
                tracing::debug!(payment = number, why = failure.why, "a payment can't be asked about now");
                return Ok(Polled::Open(Pause::after(&failure)));
            }
        };
        let payload: Option<Arc<RawValue>> = done.payload.map(Arc::from);
        for fact in done.facts.iter().filter(|fact| tells_more(fact, &payment)) {
            let entry = Entry {
                merchant: job.merchant,
                integration: payment.integration,
                fact: fact.clone(),
                proven: Proven::Confirmed,
                payload: payload.clone(),
                notification: None,
                finish: None,
            };
            self.ledger.enter(entry).await?;
        }
        Ok(Polled::Open(Pause::default()))
    }
}

/// Whether asking again can't help. Wrong credentials and missing rights are put in order by the merchant.
pub(super) fn is_final(failure: &Failure) -> bool {
    failure.retry == Retry::Never && failure.fault != Fault::Merchant
}

fn is_over(payment: &Payment, now: i64) -> bool {
    let age = now.saturating_sub(payment.created_at);
    match payment.state {
        State::Pending => age > UNPAID_MAX_MS,
        State::WaitingForCapture => age > HELD_MAX_MS,
        State::Succeeded | State::Canceled => true,
    }
}

/// Whether a fact of the answer is about this payment and says more than that it is pending.
fn tells_more(fact: &Fact, payment: &Payment) -> bool {
    let reference = fact.payment();
    let ours = match (&reference.provider_id, &payment.provider_id) {
        (Some(told), Some(known)) if told == known => true,
        _ => reference.reference.as_deref() == Some(payment.number.to_string().as_str()),
    };
    ours && !matches!(fact, Fact::Payment(fact) if fact.state == State::Pending)
        && !matches!(fact, Fact::Note(_))
}
