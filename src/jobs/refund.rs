//! Asks the provider's API what became of a refund that we asked for and that is under way: some providers never tell.

use std::sync::Arc;

use kassir_providers::Fact;
use kassir_providers::operation::{Context, Wish};
use serde_json::value::RawValue;

use super::Pause;
use super::poll::{Polled, is_final};
use crate::domain::job::Job;
use crate::ledger::{Entry, Ledger, LedgerError};
use crate::operations::{Operations, addressed, target};
use crate::registry::Registry;

/// A refund is not asked about for longer than this, milliseconds: banks take up to some days.
const REFUND_MAX_MS: i64 = 10 * 24 * 60 * 60 * 1000;

/// The job that asks about refunds.
pub struct Refunds {
    /// Where facts go.
    pub ledger: Arc<Ledger>,
    /// How the provider is asked.
    pub operations: Operations,
}

impl Refunds {
    /// Asks once.
    ///
    /// # Errors
    /// The store's; running it again is safe.
    pub async fn run(&self, job: &Job, number: u32, refund_id: &str) -> Result<Polled, LedgerError> {
        let now = self.ledger.clock.now();
        if now.saturating_sub(job.created_at) > REFUND_MAX_MS {
            tracing::warn!(
                payment = number,
                "what became of a refund could not be learnt; look it up at the provider"
            );
            return Ok(Polled::Done);
        }
        let Some(payment) = self.ledger.store.payment(job.merchant, number).await? else {
            return Ok(Polled::Done);
        };
        let Some(view) = self.ledger.registry.current(job.merchant).await? else { return Ok(Polled::Done) };
        let Some((integration, account)) = view.integration(payment.integration)? else {
            return Ok(Polled::Done);
        };
        let Some(provider) = Registry::provider(integration) else { return Ok(Polled::Done) };
        let context = Context { now, idempotency_key: job.id.to_string() };
        let wish = Wish::RefundStatus { payment: target(&payment), refund_id: refund_id.to_owned() };
        let done = match self.operations.run(provider, account, wish, context).await {
            Ok(done) => done,
            Err(failure) if is_final(&failure) => {
                tracing::warn!(payment = number, why = failure.why, "a refund did not happen");
                return Ok(Polled::Done);
            }
            Err(failure) => {
                tracing::debug!(payment = number, why = failure.why, "a refund can't be asked about now");
                return Ok(Polled::Open(Pause::after(&failure)));
            }
        };
        let mut known = done.refund_id.is_none();
        let payload: Option<Arc<RawValue>> = done.payload.map(Arc::from);
        for fact in &done.facts {
            let fact = addressed(fact, &payment);
            known |= matches!(fact, Fact::Refund(_));
            let entry = Entry::confirmed(&payment, fact, payload.clone());
            self.ledger.enter(entry).await?;
        }
        Ok(if known { Polled::Done } else { Polled::Open(Pause::default()) })
    }
}
