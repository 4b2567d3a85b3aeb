//! Asks the provider's API about a notification that proves nothing by itself, or whose payment is not known yet, and
//! enters what the API says. The notification's own words never take effect: only the API's.

use std::sync::Arc;

use kassir_providers::operation::{Context, Done, Target, Wish};
use kassir_providers::{Account, Currency, Fact, Failure, Fault, Money, PaymentRef, Provider, Retry, State};
use serde_json::value::RawValue;

use super::Pause;
use crate::domain::apply::{Decision, number_of};
use crate::domain::event::Proven;
use crate::domain::ids::{IntegrationId, MerchantId, NotificationId};
use crate::domain::job::Job;
use crate::domain::notification::{Notification, NotificationOutcome};
use crate::ledger::{self, Entry, Finisher, Ledger, LedgerError};
use crate::operations::{Operations, Visit, target};
use crate::registry::Registry;
use crate::store::{Commit, Fence, LookUp, StoreError};

/// A confirmation is not begun any more at so many times the age at which it is given up after a question: until then
/// what waited while the router stood still is asked about once more, and after that each try is broken off.
const BROKEN_OFF_AGES: i64 = 2;

/// The confirming job.
pub struct Confirm {
    /// Where facts go.
    pub ledger: Arc<Ledger>,
    /// How the provider is asked.
    pub operations: Operations,
    /// Age at which it gives up, milliseconds.
    pub max_age_ms: i64,
}

/// What a job's task holds.
pub struct Asked {
    /// The notification.
    pub notification: NotificationId,
    /// What it says.
    pub facts: Vec<Fact>,
    /// How it was proved, when it only waits for its payment.
    pub proven: Option<Proven>,
    /// Its body as JSON; `null` when it proves nothing.
    pub payload: String,
}

/// How a run ended.
#[derive(Debug)]
pub enum End {
    /// The job is finished in the store already, or is no longer ours.
    Finished,
    /// It must be tried again.
    Again {
        /// Why.
        why: String,
        /// When.
        pause: Pause,
    },
}

/// A fact, how far it is to be believed, and whose words go out with it.
struct Said {
    fact: Fact,
    proven: Proven,
    payload: Option<Arc<RawValue>>,
}

enum Answered {
    Facts(Vec<Said>),
    Later {
        why: String,
        pause: Pause,
    },
    /// The merchant has to put a key or a right in order.
    Account(String),
    Never(String),
}

impl Confirm {
    /// Runs the job once.
    ///
    /// # Errors
    /// The store's; running it again is safe.
    pub async fn run(&self, job: &Job, asked: &Asked, fence: Fence) -> Result<End, LedgerError> {
        let store = &self.ledger.store;
        let integration_id = match job.lane {
            crate::domain::job::Lane::Integration(id) => id,
            _ => return self.give_up(job, None, fence, GivenUp::Gone, "the job has no integration").await,
        };
        let notification = store.notification(job.merchant, asked.notification).await?;
        if job.attempts > 0 && self.age(job) >= self.max_age_ms.saturating_mul(BROKEN_OFF_AGES) {
            let why = "not confirmed in time: since then no try came to its end";
            return self.give_up(job, notification, fence, GivenUp::Late, why).await;
        }
        let Some(view) = self.ledger.registry.current(job.merchant).await? else {
            return self.give_up(job, notification, fence, GivenUp::Gone, "the merchant was deleted").await;
        };
        let known = match view.integration(integration_id) {
            Ok(known) => known,
            Err(unopened) => return self.put_off(job, notification, fence, unopened.to_string()).await,
        };
        let Some((provider, account)) = known.and_then(|(integration, account)| {
            Registry::provider(integration).map(|provider| (provider, account))
        }) else {
            return self
                .give_up(job, notification, fence, GivenUp::Gone, "the integration was deleted")
                .await;
        };
        let Some(told) = asked.facts.iter().find(|fact| matches!(fact, Fact::Payment(_) | Fact::Refund(_)))
        else {
            return self
                .give_up(job, notification, fence, GivenUp::Denied, "it says nothing about a payment")
                .await;
        };
        let facts = match self.ask(provider, account, job, integration_id, told).await? {
            Answered::Facts(facts) => facts,
            Answered::Later { why, pause } => {
                return self.again(job, notification, fence, why, pause).await;
            }
            Answered::Account(why) => return self.put_off(job, notification, fence, why).await,
            // A refund that was believed needs nobody's word, only its payment.
            Answered::Never(_) if is_believed_refund(asked, told) => Vec::new(),
            Answered::Never(why) => {
                return self.give_up(job, notification, fence, GivenUp::Denied, &why).await;
            }
        };
        self.enter(job, asked, fence, notification, integration_id, told, facts).await
    }

    /// What the provider's API says of the payment (and refund) that a fact is about.
    async fn ask(
        &self,
        provider: &dyn Provider,
        account: &Account,
        job: &Job,
        integration: IntegrationId,
        told: &Fact,
    ) -> Result<Answered, LedgerError> {
        let target = self.target(job.merchant, integration, told).await?;
        let context = Context { now: self.ledger.clock.now(), idempotency_key: job.id.to_string() };
        let mut facts = Vec::new();
        let mut wishes = Vec::new();
        if let Fact::Refund(refund) = told {
            wishes.push(Wish::RefundStatus { payment: target.clone(), refund_id: refund.id.clone() });
        }
        wishes.insert(0, Wish::Status(target));
        // Sent away before its second question, it would begin anew with the first.
        let mut visit = Visit::default();
        for wish in wishes {
            let is_refund = matches!(wish, Wish::RefundStatus { .. });
            let asked =
                self.operations.run_within(&mut visit, provider, account, wish, context.clone()).await;
            match asked {
                Ok(done) => facts.extend(said(done, told)),
                // A provider without refund queries tells refunds with the payment, if at all.
                Err(failure) if is_refund && failure.retry == Retry::Never => {}
                Err(failure) => return Ok(refused(failure)),
            }
        }
        Ok(Answered::Facts(facts))
    }

    async fn target(
        &self,
        merchant: MerchantId,
        integration: IntegrationId,
        told: &Fact,
    ) -> Result<Target, LedgerError> {
        let reference = told.payment();
        let ask = LookUp {
            merchant,
            integration,
            provider_ids: reference.provider_id.iter().cloned().collect(),
            numbers: number_of(reference).into_iter().collect(),
        };
        let found = self.ledger.store.look_up(&ask).await?;
        let view = self.ledger.registry.merchant(merchant).await?.ok_or(LedgerError::Gone)?;
        let integration = view.config.integration(integration).ok_or(LedgerError::Gone)?;
        let provider = Registry::provider(integration).ok_or(LedgerError::Gone)?;
        let rules = ledger::rules(integration, provider, self.ledger.clock.now());
        Ok(match ledger::chosen(&rules, told, &found) {
            Some(payment) => {
                let known = target(payment);
                // The notification may name a newer attempt of the same order.
                Target { provider_id: reference.provider_id.clone().or(known.provider_id.clone()), ..known }
            }
            None => stub(reference, self.ledger.clock.now()),
        })
    }

    #[allow(clippy::too_many_arguments, reason = "one step of one job, with all that the job holds")]
    async fn enter(
        &self,
        job: &Job,
        asked: &Asked,
        fence: Fence,
        notification: Option<Notification>,
        integration: IntegrationId,
        told: &Fact,
        mut to_enter: Vec<Said>,
    ) -> Result<End, LedgerError> {
        let own_words = own_words(asked);
        // Without a proof of its own, what has words was signed, and is asked about all the same.
        if own_words.is_some() && matches!(asked.proven, None | Some(Proven::Signed)) {
            to_enter.iter_mut().for_each(|said| said.payload.clone_from(&own_words));
        }
        if let (Some(proven), Fact::Refund(_)) = (asked.proven, told) {
            to_enter.push(Said { fact: told.clone(), proven, payload: own_words });
        }
        if behind(told, &to_enter) {
            let why = match to_enter.iter().find_map(|said| state_of(&said.fact)) {
                Some(state) => format!("the provider's API says that the payment is {} (yet)", state.word()),
                None => "the provider's API does not know of it (yet)".to_owned(),
            };
            return self.again(job, notification, fence, why, Pause::default()).await;
        }
        let canceled = to_enter.iter().any(|said| state_of(&said.fact) == Some(State::Canceled));
        let Some(last) = to_enter.pop() else {
            let why = "the provider's API says nothing of the payment";
            return self.give_up(job, notification, fence, GivenUp::Denied, why).await;
        };
        let entry = |said: Said| Entry {
            merchant: job.merchant,
            integration,
            fact: said.fact,
            proven: said.proven,
            payload: said.payload,
            notification: None,
            finish: None,
        };
        let mut earlier: Vec<Decision> = Vec::new();
        for said in to_enter {
            earlier.push(self.ledger.enter(entry(said)).await?.decision);
        }
        let finisher = notification
            .clone()
            .map(|record| -> Finisher { Box::new(move |decision| finished(&record, &earlier, decision)) });
        let last = Entry { notification: finisher, finish: Some(fence), ..entry(last) };
        match self.ledger.enter(last).await {
            Ok(entered) if entered.decision.wait => {
                // Should this be the last time: what the provider itself calls canceled gives nothing back.
                let notification = notification.map(|mut notification| {
                    if canceled {
                        notification.outcome = NotificationOutcome::Mismatch;
                    }
                    notification
                });
                self.again(job, notification, fence, entered.decision.reason, Pause::default()).await
            }
            Ok(_) | Err(LedgerError::LostLease) => Ok(End::Finished),
            Err(error) => Err(error),
        }
    }

    async fn again(
        &self,
        job: &Job,
        notification: Option<Notification>,
        fence: Fence,
        why: String,
        pause: Pause,
    ) -> Result<End, LedgerError> {
        if self.age(job) >= self.max_age_ms {
            let why = format!("not confirmed in time: {why}");
            return self.give_up(job, notification, fence, GivenUp::Late, &why).await;
        }
        Ok(End::Again { why, pause })
    }

    fn age(&self, job: &Job) -> i64 {
        self.ledger.clock.now().saturating_sub(job.created_at)
    }

    /// Asks again when somebody has put in order what keeps us from asking.
    async fn put_off(
        &self,
        job: &Job,
        notification: Option<Notification>,
        fence: Fence,
        why: String,
    ) -> Result<End, LedgerError> {
        let notification = self.tell(job, notification, &why).await?;
        self.again(job, notification, fence, why, Pause::default()).await
    }

    /// Writes into the inbound log what the merchant has to put in order.
    async fn tell(
        &self,
        job: &Job,
        notification: Option<Notification>,
        why: &str,
    ) -> Result<Option<Notification>, LedgerError> {
        let Some(mut notification) = notification else { return Ok(None) };
        let reason = format!("not confirmed yet: {why}");
        if notification.reason != reason {
            notification.reason = reason;
            let mut commit = Commit::of(job.merchant);
            commit.notification = Some(notification.clone());
            self.ledger.store.commit(commit).await?;
        }
        Ok(Some(notification))
    }

    /// Ends the job without an effect; the notification stays `unproven`, with the reason.
    async fn give_up(
        &self,
        job: &Job,
        notification: Option<Notification>,
        fence: Fence,
        given_up: GivenUp,
        why: &str,
    ) -> Result<End, LedgerError> {
        tracing::warn!(job = %job.id, why, "a notification was not confirmed");
        let mut commit = Commit::of(job.merchant);
        commit.finish = Some(fence);
        commit.notification = notification.map(|mut notification| {
            why.clone_into(&mut notification.reason);
            notification
        });
        match self.ledger.store.commit(commit).await {
            Ok(_) => {
                let why = given_up.word();
                metrics::counter!("kassir_confirmations_given_up_total", "why" => why).increment(1);
                Ok(End::Finished)
            }
            Err(StoreError::Conflict(_)) => Ok(End::Finished),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why nobody asks any more.
#[derive(Clone, Copy)]
enum GivenUp {
    /// The provider's API did not confirm it in time, or never answered.
    Late,
    /// It says that there is nothing to confirm.
    Denied,
    /// Whom it was for was deleted.
    Gone,
}

impl GivenUp {
    const fn word(self) -> &'static str {
        match self {
            GivenUp::Late => "late",
            GivenUp::Denied => "denied",
            GivenUp::Gone => "gone",
        }
    }
}

/// Whether it is a refund that was believed and only waits for its payment.
fn is_believed_refund(asked: &Asked, told: &Fact) -> bool {
    asked.proven.is_some() && matches!(told, Fact::Refund(_))
}

fn refused(failure: Failure) -> Answered {
    let pause = Pause::after(&failure);
    match failure.retry {
        Retry::Later(_) | Retry::LookUp => Answered::Later { why: failure.why, pause },
        // A key or a right that the merchant puts in order: what was told meanwhile is asked about then.
        Retry::Never if failure.fault == Fault::Merchant => Answered::Account(failure.why),
        Retry::Never => Answered::Never(format!("the provider's API does not confirm it: {}", failure.why)),
    }
}

/// A payment that we do not know, as a target to ask about.
fn stub(reference: &PaymentRef, now: i64) -> Target {
    Target {
        number: 0,
        reference: reference.reference.clone(),
        provider_id: reference.provider_id.clone(),
        operation_key: None,
        amount: Money::new(0, Currency::RUB),
        refunded: 0,
        state: State::Pending,
        created_at: now,
    }
}

/// What the API's answer says of the payment that was asked about, in the API's own words.
fn said(done: Done, told: &Fact) -> impl Iterator<Item = Said> {
    let payload: Option<Arc<RawValue>> = done.payload.map(Arc::from);
    let facts = done.facts.into_iter().filter(move |fact| same_payment(fact, told));
    facts.map(move |fact| Said { fact, proven: Proven::Confirmed, payload: payload.clone() })
}

/// The notification's own words: they go out only as far as they are proved themselves. What the API confirms of an
/// unsigned notification is the payment's state, not what else somebody wrote beside it.
fn own_words(asked: &Asked) -> Option<Arc<RawValue>> {
    let payload = serde_json::from_str::<Box<RawValue>>(&asked.payload).ok();
    payload.filter(|raw| raw.get() != "null").map(Arc::from)
}

/// Whether the API's fact is about the payment that was asked about.
fn same_payment(fact: &Fact, told: &Fact) -> bool {
    let (ours, asked) = (fact.payment(), told.payment());
    match (&ours.provider_id, &asked.provider_id) {
        (Some(ours), Some(asked)) => ours == asked,
        _ => ours.reference.is_some() && ours.reference == asked.reference,
    }
}

fn state_of(fact: &Fact) -> Option<State> {
    match fact {
        Fact::Payment(fact) => Some(fact.state),
        Fact::Refund(fact) => fact.if_unpaid.as_ref().map(|unpaid| unpaid.state),
        _ => None,
    }
}

const fn rank(state: State) -> u8 {
    match state {
        State::Pending => 0,
        State::WaitingForCapture => 1,
        State::Succeeded | State::Canceled => 2,
    }
}

/// Whether the API is behind what the notification said: an earlier state, or a refund that it does not show.
fn behind(told: &Fact, facts: &[Said]) -> bool {
    match told {
        Fact::Payment(told) => {
            let said = facts.iter().filter_map(|said| state_of(&said.fact)).map(rank).max();
            said.is_none_or(|said| said < rank(told.state))
        }
        Fact::Refund(_) => !facts.iter().any(|said| matches!(said.fact, Fact::Refund(_))),
        _ => false,
    }
}

/// The notification's record with what came of it.
fn finished(record: &Notification, earlier: &[Decision], decision: &Decision) -> Notification {
    let mut notification = record.clone();
    let outcomes = earlier.iter().map(|decision| decision.outcome);
    notification.outcome = outcomes.fold(decision.outcome, ledger::weightier);
    let mut reasons: Vec<&str> =
        earlier.iter().chain([decision]).map(|decision| decision.reason.as_str()).collect();
    reasons.dedup();
    notification.reason = format!("confirmed by the provider's API: {}", reasons.join("; "));
    notification.proof = Some(Proven::Confirmed.word().to_owned());
    notification
}
