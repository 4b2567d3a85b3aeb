//! Operations on a payment that exists. What asks about one later is written down before the provider is asked: should
//! this process die meanwhile, or the store be away afterwards, what the provider did becomes known all the same.

use kassir_providers::operation::Wish;
use kassir_providers::{Done, Fact, Retry};

use super::once::unwritten;
use super::rules::check_receipt;
use super::{PaymentError, Payments};
use crate::domain::ids::JobId;
use crate::domain::job::{Operation, Task};
use crate::domain::payment::{Origin, Payment};
use crate::limits::{OPERATION_HOLD_MS, POLL_FIRST_MS};
use crate::operations::Operations;
use crate::registry::Registry;
use crate::store::{Commit, StoreError};

impl Payments {
    /// Asks the provider for an operation and writes down what it answers. `what`: the operation's part of the
    /// idempotency key.
    pub(super) async fn operate(
        &self,
        payment: Payment,
        wish: Wish,
        of: Operation,
        mut what: String,
        operations: &Operations,
    ) -> Result<Payment, PaymentError> {
        let view = self.view(payment.merchant).await?;
        let (integration, account) =
            view.integration(payment.integration)?.ok_or(PaymentError::NotFound("integration"))?;
        let provider = Registry::provider(integration).ok_or(PaymentError::NotFound("provider"))?;
        let receipt = check_receipt(provider, &wish)?;
        if let Some(receipt) = receipt {
            // One whose receipt was put right after a refusal is another.
            what.push_str(&format!("-{}", crate::secrets::token_hash(&receipt.to_string())));
        }
        let context = self.context(payment.merchant, &payment, &what);
        let asks = self.leave_question(&payment, of).await?;
        match operations.run(provider, account, wish, context).await {
            Ok(done) => {
                let written = self.written_down(&payment, done, of, asks).await;
                written.map_err(|error| unwritten(&error, payment.number))
            }
            Err(failure) => {
                // What is to be tried again, or to be looked up, may have been done.
                if failure.retry == Retry::Never {
                    self.call_off(&payment, asks).await;
                }
                Err(PaymentError::Provider(failure, Some(payment.number)))
            }
        }
    }

    /// Writes down the job that asks what became of an operation, unless the payment is asked about anyway.
    async fn leave_question(&self, payment: &Payment, of: Operation) -> Result<Option<JobId>, StoreError> {
        let moves_state = !matches!(of, Operation::Refund { .. });
        if moves_state && payment.origin == Origin::Api && payment.is_polled(self.ledger.clock.now()) {
            return Ok(None);
        }
        // Each attempt has its own: the refusal of a repetition says nothing of the first one.
        let job = self.job(payment, Task::Outcome { payment: payment.number, of });
        let id = job.id;
        let jobs = vec![(job, OPERATION_HOLD_MS)];
        self.ledger.store.commit(Commit { jobs, ..Commit::of(payment.merchant) }).await?;
        Ok(Some(id))
    }

    async fn written_down(
        &self,
        payment: &Payment,
        done: Done,
        of: Operation,
        asks: Option<JobId>,
    ) -> Result<Payment, PaymentError> {
        let under_way = done.refund_id.is_some();
        if let Some(refund) = &done.refund_id {
            let kept = self.ask_later(payment, refund.clone(), asks).await;
            kept.inspect_err(|error| {
                // Some providers tell of a refund by this number alone.
                tracing::error!(%error, payment = payment.number, refund, "a refund that the provider took could not be written down");
            })?;
        }
        self.enter_facts(payment, &done).await?;
        let payment = self.load(payment.merchant, payment.number).await?;
        // Under a caller's key it may be the answer of a refund that is known already.
        let told = done.facts.iter().any(|fact| matches!(fact, Fact::Refund(_)));
        if !under_way && (told || of.is_known(&payment)) {
            self.call_off(&payment, asks).await;
        }
        Ok(payment)
    }

    /// A refund that is under way is asked about by its own number until the provider says what became of it.
    async fn ask_later(
        &self,
        payment: &Payment,
        refund: String,
        instead_of: Option<JobId>,
    ) -> Result<(), StoreError> {
        let job = self.job(payment, Task::Refund { payment: payment.number, refund });
        let mut commit = Commit::of(payment.merchant);
        commit.jobs.push((job, POLL_FIRST_MS));
        commit.call_off.extend(instead_of);
        self.ledger.store.commit(commit).await?;
        Ok(())
    }

    /// Nobody needs to ask any more. If this fails, somebody asks once too often.
    async fn call_off(&self, payment: &Payment, asks: Option<JobId>) {
        if asks.is_none() {
            return;
        }
        let commit = Commit { call_off: asks.into_iter().collect(), ..Commit::of(payment.merchant) };
        if let Err(error) = self.ledger.store.commit(commit).await {
            tracing::debug!(%error, payment = payment.number, "a question that nobody needs stays in the queue");
        }
    }
}
