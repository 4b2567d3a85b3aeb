//! Our own operations on payments: create, capture, cancel, refund. Each is written down before the provider is
//! asked, with an idempotency key that a repetition finds again, and what the provider answers goes through the
//! ledger like any other word of it.

mod once;
mod operate;
mod rules;

use std::sync::Arc;

use kassir_providers::operation::{Contact, Context, Create, OrderLine, Wish};
use kassir_providers::{Done, Fact, Failure, Fault, Link, Mode, Money, Retry, State};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::domain::apply::Happened;
use crate::domain::config::Integration;
use crate::domain::event::{EventState, Proven};
use crate::domain::fanout::{self, Making};
use crate::domain::ids::{DeliveryId, EventId, IntegrationId, JobId, MerchantId};
use crate::domain::job::{Job, Lane, Operation, Task};
use crate::domain::payment::{Origin, PayForm, Payment};

use crate::ledger::{Entry, Lease, Ledger, LedgerError};
use crate::limits::{CONFLICT_RETRIES_MAX, OPERATION_HOLD_MS, POLL_FIRST_MS};
use crate::operations::{Operations, addressed, target};
use crate::registry::{MerchantView, Registry, RegistryError, token_owner};
use crate::secrets::{Vault, new_token};
use crate::store::{Commit, Conflict, Idempotency, PaymentWrite, StoreError, Tally};

pub use once::{CallerKey, broken_off};
use once::{keyed, unkeyed, unsent, unwritten};
use rules::{check, describe, wrong_state};

/// A payment to be created.
#[derive(Clone, Debug)]
pub struct NewPayment {
    /// Through which integration.
    pub integration: IntegrationId,
    /// Amount.
    pub amount: Money,
    /// Order lines.
    pub order: Vec<OrderLine>,
    /// The payer.
    pub contact: Option<Contact>,
    /// Words for the payer; made from the order when empty.
    pub description: String,
    /// Where the payer's browser goes afterwards.
    pub return_url: Option<String>,
    /// Hold now, capture later; `None` means the integration's setting `manual_capture`.
    pub hold: Option<bool>,
    /// The caller's own data.
    pub metadata: Map<String, Value>,
    /// The payer's e-mail.
    pub email: Option<String>,
    /// Receipt data in the provider's own form.
    pub receipt: Option<Value>,
    /// Ask the provider to keep the method for later charges.
    pub save_method: bool,
    /// Charge this saved method instead of asking the payer.
    pub saved_method: Option<String>,
}

/// How much of a payment, for a capture or a refund.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Minor units; `None` is all (that is left).
    pub amount: Option<i64>,
    /// Receipt data in the provider's own form, where the provider takes it.
    pub receipt: Option<Value>,
}

/// Why an operation did not work.
#[derive(Debug, thiserror::Error)]
pub enum PaymentError {
    /// There is no such thing.
    #[error("there is no {0}")]
    NotFound(&'static str),
    /// The request can't be right.
    #[error("{detail}")]
    Invalid {
        /// JSON pointer into the request.
        pointer: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// The provider refused, or can't be reached; the payment's number, where there is one.
    #[error("{}", .0.why)]
    Provider(Failure, Option<u32>),
    /// The store or a credential.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<StoreError> for PaymentError {
    fn from(error: StoreError) -> PaymentError {
        PaymentError::Ledger(error.into())
    }
}

impl From<RegistryError> for PaymentError {
    fn from(error: RegistryError) -> PaymentError {
        PaymentError::Ledger(error.into())
    }
}

/// The service.
pub struct Payments {
    /// Where facts go.
    pub ledger: Arc<Ledger>,
    /// How providers are asked.
    pub operations: Operations,
    /// Opens the inbound token, for the address that a provider is told to notify.
    pub vault: Arc<Vault>,
    /// Prefix of inbound URLs.
    pub public_url: String,
}

impl Payments {
    /// Creates a payment: registers it, asks the provider for a pay link, and emits `pending`.
    ///
    /// # Errors
    /// [`PaymentError`]. When the provider refuses, the payment stays, canceled, with the reason; when it is not known
    /// whether the provider did it, the payment stays open.
    pub async fn create(
        &self,
        merchant: MerchantId,
        new: NewPayment,
        caller: Option<&CallerKey>,
    ) -> Result<Payment, PaymentError> {
        let view = self.view(merchant).await?;
        let (integration, account) = view.integration(new.integration)?.ok_or(PaymentError::Invalid {
            pointer: "/integration_id",
            detail: "there is no such integration of this merchant".to_owned(),
        })?;
        let provider = Registry::provider(integration).ok_or(PaymentError::NotFound("provider"))?;
        let hold = new.hold.unwrap_or(integration.settings.manual_capture);
        check(provider, &new, hold)?;
        let payment = self.register(integration, &new, hold).await?;
        let create = Box::new(Create {
            number: payment.number,
            amount: payment.amount,
            description: payment.description.clone(),
            order: payment.order.clone(),
            contact: payment.contact.clone(),
            email: payment.email.clone(),
            return_url: payment.return_url.clone(),
            notify_url: self.notify_url(integration),
            hold,
            save_method: new.save_method,
            metadata: payment.metadata.clone(),
            receipt: new.receipt,
        });
        let number = payment.number;
        let charges = new.saved_method.is_some();
        let wish = match new.saved_method {
            Some(saved_method) => Wish::Charge { create, saved_method },
            None => Wish::Create(create),
        };
        if charges && let Err(error) = self.announce(caller, number).await {
            return Err(self.not_created(payment, unsent(&error)).await);
        }
        let context = self.context(merchant, &payment, "create");
        match self.operations.run(provider, account, wish, context).await {
            Ok(done) => self
                .created(&view, payment, done)
                .await
                .map_err(|error| if charges { unwritten(&error, number) } else { error }),
            Err(failure) => Err(self.not_created(payment, failure).await),
        }
    }

    /// Captures a held payment, all or part of it.
    ///
    /// # Errors
    /// [`PaymentError`].
    pub async fn capture(
        &self,
        merchant: MerchantId,
        number: u32,
        part: Part,
    ) -> Result<Payment, PaymentError> {
        let payment = self.load(merchant, number).await?;
        if payment.state != State::WaitingForCapture {
            return Err(wrong_state("captured", &payment, "only one that is waiting_for_capture can be"));
        }
        let amount = rules::part(&payment, part.amount, payment.amount.minor)?;
        let wish = Wish::Capture { payment: target(&payment), amount, receipt: part.receipt };
        let what = unkeyed("capture", &payment, amount);
        self.operate(payment, wish, Operation::Capture, what, &self.operations).await
    }

    /// Cancels an unpaid or held payment.
    ///
    /// # Errors
    /// [`PaymentError`].
    pub async fn cancel(&self, merchant: MerchantId, number: u32) -> Result<Payment, PaymentError> {
        let payment = self.load(merchant, number).await?;
        if !matches!(payment.state, State::Pending | State::WaitingForCapture) {
            return Err(wrong_state("canceled", &payment, "a succeeded one must be refunded"));
        }
        let wish = Wish::Cancel(target(&payment));
        let what = unkeyed("cancel", &payment, None);
        self.operate(payment, wish, Operation::Cancel, what, &self.operations).await
    }

    /// Gives money back, all that is left or part of it. One after the other: what is left is known only then, and
    /// where a provider's refunds have no id, only what went back before tells one from the next.
    ///
    /// # Errors
    /// [`PaymentError`].
    pub async fn refund(
        &self,
        merchant: MerchantId,
        number: u32,
        part: Part,
        caller: Option<&CallerKey>,
    ) -> Result<Payment, PaymentError> {
        let (store, scope, key) = (&self.ledger.store, format!("refund/{merchant}"), number.to_string());
        let Idempotency::Fresh(hold) = store.idempotency_begin(&scope, &key, "", OPERATION_HOLD_MS).await?
        else {
            let why = "another refund of this payment is under way: look what came of it, then ask again";
            return Err(PaymentError::Provider(Failure::never(Fault::Caller, why), Some(number)));
        };
        let refunded = self.refund_alone(merchant, number, part, caller).await;
        if let Err(error) = store.idempotency_finish(&scope, &key, hold, None).await {
            tracing::warn!(%error, number, "another refund of this payment has to wait for some minutes");
        }
        refunded
    }

    async fn refund_alone(
        &self,
        merchant: MerchantId,
        number: u32,
        part: Part,
        caller: Option<&CallerKey>,
    ) -> Result<Payment, PaymentError> {
        let payment = self.load(merchant, number).await?;
        if payment.state != State::Succeeded {
            return Err(wrong_state("refunded", &payment, "only one that succeeded can be"));
        }
        let left = payment.refundable();
        let amount =
            rules::part(&payment, part.amount, left)?.unwrap_or(Money::new(left, payment.amount.currency));
        let of = Operation::Refund { known: payment.refunds.len(), amount: Some(amount.minor) };
        // Providers see better than a sum that all goes back: whether that was done before, what a fee took.
        let amount = (amount != payment.amount).then_some(amount);
        let wish = Wish::Refund { payment: target(&payment), amount, reason: None, receipt: part.receipt };
        self.announce(caller, number).await.map_err(|error| match error {
            StoreError::Conflict(Conflict::Hold) => PaymentError::Provider(unsent(&error), Some(number)),
            error => error.into(),
        })?;
        match caller {
            Some(caller) => self.operate(payment, wish, of, keyed("refund", caller), &self.operations).await,
            None => {
                let what = unkeyed("refund", &payment, amount);
                self.operate(payment, wish, of, what, &self.operations.said_once()).await
            }
        }
    }

    /// Leaves the payment's number under the caller's key, if that is still ours: a process that was frozen meanwhile
    /// must not move money beside the one that took the key since.
    async fn announce(&self, caller: Option<&CallerKey>, number: u32) -> Result<(), StoreError> {
        let Some(CallerKey { scope, key, hold }) = caller else { return Ok(()) };
        self.ledger.store.idempotency_note(scope, key, *hold, &number.to_string()).await
    }

    async fn view(&self, merchant: MerchantId) -> Result<Arc<MerchantView>, PaymentError> {
        self.ledger.registry.merchant(merchant).await?.ok_or(PaymentError::NotFound("merchant"))
    }

    async fn load(&self, merchant: MerchantId, number: u32) -> Result<Payment, PaymentError> {
        self.ledger.store.payment(merchant, number).await?.ok_or(PaymentError::NotFound("payment"))
    }

    fn context(&self, merchant: MerchantId, payment: &Payment, what: &str) -> Context {
        // Unique over everything that shares a provider's account: the merchant's id tells installations apart.
        let seed = format!("{merchant}/{}/{what}", payment.number);
        let digest = crate::secrets::token_hash(&seed);
        let idempotency_key = digest.get(..40).unwrap_or(&digest).to_owned();
        Context { now: self.ledger.clock.now(), idempotency_key }
    }

    fn notify_url(&self, integration: &Integration) -> Option<String> {
        let token = integration.tokens.first()?;
        let token = self.vault.open(&token_owner(integration.id), &token.sealed).ok()?;
        Some(format!("{}/webhooks/{}/{}", self.public_url, integration.provider, token.expose()))
    }

    /// Writes the payment down, with the job that asks about it: should this process die before the provider has
    /// answered, or should nobody know what it did, the payment is asked about all the same.
    async fn register(
        &self,
        integration: &Integration,
        new: &NewPayment,
        hold: bool,
    ) -> Result<Payment, PaymentError> {
        let now = self.ledger.clock.now();
        let mut payment = Payment {
            number: 0,
            version: 0,
            merchant: integration.merchant,
            integration: integration.id,
            provider: integration.provider.clone(),
            origin: Origin::Api,
            state: State::Pending,
            expired_by_us: false,
            amount: new.amount,
            captured: None,
            refunds: Vec::new(),
            provider_id: None,
            reference: None,
            operation_key: None,
            saved_method: None,
            method: None,
            pay_url: None,
            pay_form: None,
            hold,
            test: integration.settings.mode == Some(Mode::Test),
            description: new.description.clone(),
            order: new.order.clone(),
            contact: new.contact.clone(),
            email: new.email.clone(),
            return_url: new.return_url.clone(),
            metadata: new.metadata.clone(),
            reason: None,
            expires_at: None,
            created_at: now,
            updated_at: now,
        };
        let mut commit = Commit::of(payment.merchant);
        commit.jobs.extend(self.poll_job(integration, &payment).map(|job| (job, POLL_FIRST_MS)));
        commit.payment = Some(PaymentWrite::New { payment: Box::new(payment.clone()), links: Vec::new() });
        let committed = self.ledger.store.commit(commit).await?;
        let (number, version) = committed.payment.ok_or(PaymentError::NotFound("payment"))?;
        payment.number = number;
        payment.version = version;
        if payment.description.is_empty() {
            payment.description = describe(&payment);
        }
        Ok(payment)
    }

    /// Writes down what the provider gave, with the `pending` event, in one step.
    async fn created(
        &self,
        view: &Arc<MerchantView>,
        registered: Payment,
        done: Done,
    ) -> Result<Payment, PaymentError> {
        let mut view = Arc::clone(view);
        let mut payment = registered.clone();
        for _ in 0..CONFLICT_RETRIES_MAX {
            self.fill(&mut payment, &done)?;
            match self.write_created(&view, &payment).await {
                Ok(version) => {
                    payment.version = version;
                    self.enter_facts(&payment, &done).await?;
                    return self.load(payment.merchant, payment.number).await;
                }
                Err(StoreError::Conflict(Conflict::Config)) => {
                    self.ledger.registry.forget(payment.merchant);
                    view = self.view(payment.merchant).await?;
                }
                // A notification was quicker than we.
                Err(StoreError::Conflict(_)) => payment = self.load(payment.merchant, payment.number).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Unavailable("the payment keeps changing; look it up".to_owned()).into())
    }

    async fn write_created(&self, view: &MerchantView, payment: &Payment) -> Result<u64, StoreError> {
        let integration =
            view.config.integration(payment.integration).ok_or(StoreError::NotFound("integration"))?;
        let mut commit = Commit::of(payment.merchant);
        commit.config_version = Some(view.config.version);
        let making = Making {
            config: &view.config,
            integration,
            proven: Proven::Confirmed,
            notification: None,
            payload: None,
            at: self.ledger.clock.now(),
        };
        let mut kept = None;
        // A notification may have been quicker: then subscribers know more than "pending" already.
        if payment.state == State::Pending {
            let happened = Happened { state: EventState::Pending, amount: payment.amount, refund: None };
            let event = fanout::event(&making, EventId(self.ledger.clock.id()), payment, &happened);
            commit.deliveries =
                fanout::deliveries(&making, payment, &event, || DeliveryId(self.ledger.clock.id()));
            commit.tallies.push(Tally { key: format!("event.pending.{}", payment.provider), by: 1 });
            commit.events.push(event);
            kept = Lease::write(&*self.ledger.hand_over, &mut commit);
        }
        let links = payment.provider_id.iter().cloned().collect();
        commit.payment = Some(PaymentWrite::Update { payment: Box::new(payment.clone()), links });
        let committed = self.ledger.write(commit).await?;
        drop(kept);
        Ok(committed.payment.map_or(payment.version, |(_, version)| version))
    }

    /// What the provider gave, into the payment. A form, which no link can say, gets a page of ours.
    fn fill(&self, payment: &mut Payment, done: &Done) -> Result<(), StoreError> {
        if let Some(id) = &done.provider_id {
            payment.provider_id = Some(id.clone());
        }
        if let Some(key) = &done.operation_key {
            payment.operation_key = Some(key.clone());
        }
        match &done.link {
            Some(Link::Url(url)) => payment.pay_url = Some(url.clone()),
            Some(Link::Form { action, fields }) => {
                let key = new_token("").map_err(|error| StoreError::Unavailable(error.to_string()))?;
                let form =
                    PayForm { key: key.expose().to_owned(), action: action.clone(), fields: fields.clone() };
                payment.pay_url = Some(crate::pay::url(&self.public_url, payment, &form));
                payment.pay_form = Some(form);
            }
            None => {}
        }
        payment.updated_at = self.ledger.clock.now();
        Ok(())
    }

    /// The job that asks about the payment in case that its notification never comes.
    fn poll_job(&self, integration: &Integration, payment: &Payment) -> Option<Job> {
        let can_ask = Registry::provider(integration)?.about().capabilities.status;
        can_ask.then(|| self.job(payment, Task::Poll { payment: payment.number }))
    }

    fn job(&self, payment: &Payment, task: Task) -> Job {
        Job {
            id: JobId(self.ledger.clock.id()),
            merchant: payment.merchant,
            lane: Lane::Integration(payment.integration),
            task,
            attempts: 0,
            created_at: self.ledger.clock.now(),
        }
    }

    async fn not_created(&self, mut payment: Payment, failure: Failure) -> PaymentError {
        let number = payment.number;
        let mut commit = Commit::of(payment.merchant);
        // With an unknown outcome the payment stays open: a notification may still come, and the provider is asked.
        if failure.retry != Retry::LookUp {
            payment.state = State::Canceled;
            payment.expired_by_us = true;
        }
        payment.reason = Some(format!("not created: {}", failure.why));
        payment.updated_at = self.ledger.clock.now();
        commit.payment = Some(PaymentWrite::Update { payment: Box::new(payment), links: Vec::new() });
        if let Err(error) = self.ledger.store.commit(commit).await {
            tracing::warn!(%error, number, "a payment that the provider refused could not be closed");
        }
        PaymentError::Provider(failure, Some(number))
    }

    /// Enters what the provider's answer says beyond `pending`.
    async fn enter_facts(&self, payment: &Payment, done: &Done) -> Result<(), PaymentError> {
        let payload: Option<Arc<RawValue>> = done.payload.clone().map(Arc::from);
        for fact in &done.facts {
            if matches!(fact, Fact::Payment(fact) if fact.state == State::Pending) {
                continue;
            }
            let fact = addressed(fact, payment);
            let entry = Entry::confirmed(payment, fact, payload.clone());
            self.ledger.enter(entry).await?;
        }
        Ok(())
    }
}
