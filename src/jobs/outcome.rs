//! Asks the provider's API what became of a capture, cancel or refund of which nobody wrote down the end: the router
//! died, the store was away, or the provider did not answer. Mostly it is known, and nobody is asked.
//!
//! About a refund the provider is asked all the same: what became known meanwhile may be another refund, and the job of
//! one whose end was written down is called off.

use std::sync::Arc;

use kassir_providers::{Fact, State};
use serde_json::value::RawValue;

use super::Pause;
use super::poll::{Answer, Poll, Polled, tells_more};
use crate::domain::job::{Job, Operation};
use crate::domain::payment::Payment;
use crate::ledger::LedgerError;
use crate::operations::addressed;

/// An operation is not asked about for longer than this, milliseconds: who never got the request shows nothing of it for
/// ever, and banks need some days for a refund.
const OUTCOME_MAX_MS: i64 = 4 * 24 * 60 * 60 * 1000;

impl Poll {
    /// Asks once what became of an operation.
    ///
    /// # Errors
    /// The store's; running it again is safe.
    pub(super) async fn outcome(&self, job: &Job, number: u32, of: Operation) -> Result<Polled, LedgerError> {
        let store = &self.ledger.store;
        let Some(payment) = store.payment(job.merchant, number).await? else { return Ok(Polled::Done) };
        let is_refund = matches!(of, Operation::Refund { .. });
        if !is_refund && of.is_known(&payment) {
            return Ok(Polled::Done);
        }
        let what = of.word();
        if self.ledger.clock.now().saturating_sub(job.created_at) > OUTCOME_MAX_MS {
            if !of.is_known(&payment) {
                tracing::warn!(
                    payment = number,
                    what,
                    "what became of an operation could not be learnt; look it up at the provider"
                );
            }
            return Ok(Polled::Done);
        }
        if job.attempts == 0 {
            tracing::warn!(
                payment = number,
                what,
                "the end of an operation is not known; the provider is asked"
            );
        }
        let done = match self.ask(job, &payment).await? {
            Answer::Done(done) => done,
            Answer::None(polled) => return Ok(polled),
        };
        let payload: Option<Arc<RawValue>> = done.payload.map(Arc::from);
        for fact in done.facts.iter().filter(|fact| tells_more(fact, &payment) || is_named(fact, &payment)) {
            self.enter(&payment, addressed(fact, &payment), payload.clone()).await?;
        }
        let Some(now) = store.payment(job.merchant, number).await? else { return Ok(Polled::Done) };
        // What the answer brought was nobody's before.
        let is_new = is_refund && now.refunds.len() > payment.refunds.len();
        Ok(if is_new || of.is_known(&now) { Polled::Done } else { Polled::Open(Pause::default()) })
    }
}

/// Whether a fact is about a payment by the provider's order number, where that is not ours.
fn is_named(fact: &Fact, payment: &Payment) -> bool {
    let told = fact.payment();
    let other_id = told.provider_id.is_some() && told.provider_id != payment.provider_id;
    payment.reference.is_some()
        && told.reference == payment.reference
        && !other_id
        && !matches!(fact, Fact::Payment(fact) if fact.state == State::Pending)
        && !matches!(fact, Fact::Note(_))
}
