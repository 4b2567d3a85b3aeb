//! Performs a provider's operation: takes the steps that its adapter gives as data, one request after the other.

mod pace;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kassir_providers::operation::{Context, Target, Wish};
use kassir_providers::{
    Account, Call, Done, Fact, Failure, Fault, Operation, PaymentRef, Provider, Reply, Retry, Step,
};

use self::pace::{Pace, Place};
use crate::clock::Stopwatch;
use crate::domain::payment::Payment;
use crate::limits::{OPERATION_MS_MAX, OPERATION_STEPS_MAX, QUESTION_STEPS_MAX};

/// Status of a request that the provider turned away unread.
const TOO_MANY_REQUESTS: u16 = 429;

/// Makes requests to providers' APIs: the outbound client, or a test's.
#[async_trait]
pub trait Caller: Send + Sync {
    /// Makes one request.
    ///
    /// # Errors
    /// Words for a person when there was no reply, and whether the request may have arrived.
    async fn call(&self, call: Call) -> Result<Reply, NoReply>;
}

/// There was no reply.
#[derive(Debug, Clone)]
pub struct NoReply {
    /// What happened.
    pub why: String,
    /// Whether the provider may have got the request all the same.
    pub may_have_arrived: bool,
}

/// A question's place among those that its account may be asked at once: kept from its first call to its last, and by
/// all questions about one account that are asked within it.
#[derive(Default)]
pub struct Visit(Option<Place>);

/// Performs operations.
#[derive(Clone)]
pub struct Operations {
    caller: Arc<dyn Caller>,
    /// `None`: nobody waits.
    pace: Option<Arc<Pace>>,
    /// Whoever asks can't say the same refund again: a repetition may be another one.
    said_once: bool,
    /// How long an operation that changes something may take.
    most: Duration,
}

impl Operations {
    /// Operations through a client.
    #[must_use]
    pub fn new(caller: Arc<dyn Caller>) -> Operations {
        let most = Duration::from_millis(OPERATION_MS_MAX);
        Operations { caller, pace: None, said_once: false, most }
    }

    /// The same, but questions about payments and refunds wait their turn, as fast as the provider's declaration allows.
    #[must_use]
    pub fn paced(self) -> Operations {
        Operations { pace: Some(Arc::new(Pace::new())), ..self }
    }

    /// The same for a caller without a key of its own: once the first of two refunds is known, a repetition is the
    /// second, under another idempotency key. So what may have been done must be looked up.
    #[must_use]
    pub fn said_once(&self) -> Operations {
        Operations { said_once: true, ..self.clone() }
    }

    /// The same with another time for what changes something.
    #[must_use]
    pub fn within(self, most: Duration) -> Operations {
        Operations { most, ..self }
    }

    /// Performs one operation to its end. Questions take as long as whoever asks them waits; what changes something ends
    /// before anybody may take it for broken off and begin anew.
    ///
    /// # Errors
    /// The [`Failure`] with its cause, whose fault it is and whether to try again.
    pub async fn run(
        &self,
        provider: &dyn Provider,
        account: &Account,
        wish: Wish,
        context: Context,
    ) -> Result<Done, Failure> {
        self.run_within(&mut Visit::default(), provider, account, wish, context).await
    }

    /// The same within a visit: once the first call of its first question was let in, all others get their turn.
    ///
    /// # Errors
    /// As for [`Operations::run`].
    pub async fn run_within(
        &self,
        visit: &mut Visit,
        provider: &dyn Provider,
        account: &Account,
        wish: Wish,
        context: Context,
    ) -> Result<Done, Failure> {
        let questions = matches!(
            wish,
            Wish::Status(_)
                | Wish::RefundStatus { .. }
                | Wish::Probe
                | Wish::Period { .. }
                | Wish::Subscriptions { .. }
        );
        let sends_max = if questions { QUESTION_STEPS_MAX } else { OPERATION_STEPS_MAX };
        let operation = Operation { context, wish };
        let mut step = provider.begin(&operation, account);
        let (mut sends, watch) = (0_usize, Stopwatch::start());
        loop {
            let (call, memo, otherwise) = match step {
                Step::Done(done) => return Ok(*done),
                Step::Failed(failure) => return Err(failure),
                Step::Send { call, memo } => (call, memo, None),
                Step::FollowUp { call, memo, otherwise } => (call, memo, Some(otherwise)),
            };
            let went_on = if sends < sends_max {
                let left = (!questions).then(|| self.most.saturating_sub(watch.elapsed()));
                self.go_on(visit, provider, account, &operation, (*call, &memo), left).await
            } else {
                Err(endless(sends_max, questions))
            };
            sends = sends.saturating_add(1);
            // Where the change is made already, "it was not done" would be wrong, whatever became of the question.
            step = went_on.unwrap_or_else(|failure| otherwise.map_or(Step::Failed(failure), |end| *end));
        }
    }

    /// Makes a call and gives its reply to the adapter.
    async fn go_on(
        &self,
        visit: &mut Visit,
        provider: &dyn Provider,
        account: &Account,
        operation: &Operation,
        (call, memo): (Call, &str),
        left: Option<Duration>,
    ) -> Result<Step, Failure> {
        let wish = &operation.wish;
        let changes_something = !matches!(wish, Wish::Status(_) | Wish::RefundStatus { .. } | Wish::Probe);
        let moves_money = match wish {
            Wish::Charge { .. } => true,
            // Calls without the key are questions before it, or their adapter knows that they can't be repeated.
            Wish::Refund { .. } => self.said_once && has_key(&call, &operation.context),
            _ => false,
        };
        if !changes_something {
            self.turn(visit, provider, account).await?;
        }
        let watch = Stopwatch::start();
        let reply = self.call(call, left).await;
        measure(provider.about().slug, watch, &reply);
        let reply = reply.map_err(|no_reply| unreached(provider, no_reply, changes_something))?;
        let step = provider.next(operation, memo, &reply, account);
        Ok(if moves_money && reply.status != TOO_MANY_REQUESTS { moved_perhaps(step) } else { step })
    }

    /// Makes a call, within what is left of the operation's time.
    async fn call(&self, call: Call, left: Option<Duration>) -> Result<Reply, NoReply> {
        let Some(left) = left else { return self.caller.call(call).await };
        tokio::time::timeout(left, self.caller.call(call)).await.unwrap_or_else(|_| {
            let why = format!("no answer within the {} s that an operation may take", self.most.as_secs());
            Err(NoReply { why, may_have_arrived: true })
        })
    }
}

impl Operations {
    /// Waits for the account's turn to ask.
    async fn turn(
        &self,
        visit: &mut Visit,
        provider: &dyn Provider,
        account: &Account,
    ) -> Result<(), Failure> {
        let Some(pace) = &self.pace else { return Ok(()) };
        pace.turn(&mut visit.0, provider, account).await.map_err(|wait_ms| Failure {
            why: format!(
                "{} is asked as often as it allows; others wait before this",
                provider.about().title.en
            ),
            code: Some(NOT_ITS_TURN.to_owned()),
            fault: Fault::Us,
            retry: Retry::Later(Some(wait_ms)),
        })
    }
}

fn unreached(provider: &dyn Provider, no_reply: NoReply, changes_something: bool) -> Failure {
    let retry =
        if changes_something && no_reply.may_have_arrived { Retry::LookUp } else { Retry::Later(None) };
    Failure {
        why: format!("{} can't be reached: {}", provider.about().title.en, no_reply.why),
        code: None,
        fault: Fault::Provider,
        retry,
    }
}

/// Nobody knows what an operation that does not end has changed by then; a question has changed nothing.
fn endless(sends: usize, questions: bool) -> Failure {
    let retry = if questions { Retry::Never } else { Retry::LookUp };
    let why = format!("the operation did not end after {sends} requests");
    Failure { retry, ..Failure::never(Fault::Us, why) }
}

fn measure(provider: &'static str, watch: Stopwatch, reply: &Result<Reply, NoReply>) {
    let outcome = match reply {
        Ok(reply) if reply.status < 300 => "answered",
        Ok(reply) if reply.status < 500 => "refused",
        Ok(_) => "failed",
        Err(_) => "no_reply",
    };
    metrics::counter!("kassir_provider_calls_total", "provider" => provider, "outcome" => outcome)
        .increment(1);
    metrics::histogram!("kassir_provider_call_seconds", "provider" => provider).record(watch.elapsed());
}

/// Whether a call carries the operation's idempotency key: then it is the one that changes something.
fn has_key(call: &Call, context: &Context) -> bool {
    call.headers.iter().any(|(_, value)| *value == context.idempotency_key)
}

/// "Later, with the same idempotency key" can't be said to whoever asks for a charge: each is a payment of its own, with
/// a key of its own, and the card may have been charged. (Nobody has the link of a payment that was created unseen.)
/// Nor to whoever asks for a refund and can't name it.
fn moved_perhaps(step: Step) -> Step {
    match step {
        Step::Failed(failure) if matches!(failure.retry, Retry::Later(_)) => {
            Step::Failed(Failure { retry: Retry::LookUp, ..failure })
        }
        step => step,
    }
}

/// The code of a failure that is none: nobody was asked, since others had their turn.
const NOT_ITS_TURN: &str = "turn";

/// Whether nobody was asked, since others had their turn at the provider.
#[must_use]
pub fn had_no_turn(failure: &Failure) -> bool {
    failure.fault == Fault::Us && failure.code.as_deref() == Some(NOT_ITS_TURN)
}

/// A payment as the target of an operation.
#[must_use]
pub fn target(payment: &Payment) -> Target {
    Target {
        number: payment.number,
        reference: payment.reference.clone(),
        provider_id: payment.provider_id.clone(),
        operation_key: payment.operation_key.clone(),
        amount: payment.amount,
        refunded: payment.refunded(),
        state: payment.state,
        created_at: payment.created_at,
    }
}

/// An answer's fact is about the payment that was asked for, even where the provider names it only by its own new id.
#[must_use]
pub fn addressed(fact: &Fact, payment: &Payment) -> Fact {
    let mut fact = fact.clone();
    let own = PaymentRef {
        provider_id: payment.provider_id.clone(),
        reference: payment.reference.clone().or_else(|| Some(payment.number.to_string())),
    };
    let reference = match &mut fact {
        Fact::Payment(fact) => &mut fact.payment,
        Fact::Refund(fact) => &mut fact.payment,
        Fact::Question(fact) => &mut fact.payment,
        Fact::Note(fact) => &mut fact.payment,
    };
    if reference.provider_id.is_none() || payment.provider_id.is_some() {
        *reference = own;
    } else {
        reference.reference = own.reference;
    }
    let reference = reference.clone();
    if let Fact::Refund(fact) = &mut fact
        && let Some(unpaid) = &mut fact.if_unpaid
    {
        unpaid.payment = reference;
    }
    fact
}
