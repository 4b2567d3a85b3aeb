//! The state machine: what a fact does to a payment. Pure, and the only place where this is decided.
//!
//! | from \ fact           | pending | waiting_for_capture | succeeded | canceled |
//! | --------------------- | ------- | ------------------- | --------- | -------- |
//! | (unknown payment)     | event   | event               | event     | event    |
//! | `pending`             | same    | event               | event     | event    |
//! | `waiting_for_capture` | late    | same                | event     | event    |
//! | `succeeded`           | late    | late                | same      | mismatch |
//! | `canceled`            | late    | late (event if the cancellation was our own) | event | same |
//!
//! *same*: a duplicate, answered as the first time, no event. *late*: kept, no effect: a state never goes back
//! because a notification came late. `succeeded` after `canceled` is believed, for the money is there.

mod amount;
mod question;
mod refund;
#[cfg(test)]
mod tests;

use kassir_providers::account::UnknownPayments;
use kassir_providers::{AmountCheck, Fact, Mode, Money, PaymentFact, PaymentRef, Refusal, State, Sum};

use self::amount::{WrongAmount, check_amount};
use self::question::answer_question;
use self::refund::refund;
use super::config::Integration;
use super::event::EventState;
use super::notification::NotificationOutcome;
use super::payment::{Origin, Payment, Refund};

/// What the decision is made with, besides the fact and the payment.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The integration, for its settings.
    pub integration: &'a Integration,
    /// Whether several attempts with ids of their own may share our number.
    pub attempts_share_reference: bool,
    /// Now, Unix milliseconds.
    pub now: i64,
}

/// What to answer the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Kept, or the question is answered with yes.
    Accepted,
    /// Kept before.
    Duplicate,
    /// No.
    Refused(Refusal),
    /// The payment's state.
    Told(State),
}

/// A payment as it shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The record.
    pub payment: Box<Payment>,
    /// Whether it is a new one.
    pub is_new: bool,
    /// Provider's ids that shall find it.
    pub links: Vec<String>,
}

/// A state change for subscribers to hear of.
#[derive(Clone, Debug, PartialEq)]
pub struct Happened {
    /// The event's state.
    pub state: EventState,
    /// The event's amount.
    pub amount: Money,
    /// The refund, for the two refund states.
    pub refund: Option<Refund>,
}

/// What a fact does.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// For the inbound log.
    pub outcome: NotificationOutcome,
    /// Why, for a person.
    pub reason: String,
    /// For the provider.
    pub verdict: Verdict,
    /// The payment, if it changes.
    pub change: Option<Change>,
    /// The event, if there is one.
    pub happened: Option<Happened>,
    /// Nothing can be decided before the provider's API has told more: the payment is not known, or not yet paid.
    pub wait: bool,
}

impl Decision {
    fn nothing(outcome: NotificationOutcome, verdict: Verdict, reason: impl Into<String>) -> Decision {
        Decision { outcome, reason: reason.into(), verdict, change: None, happened: None, wait: false }
    }

    fn ignored(reason: impl Into<String>) -> Decision {
        Decision::nothing(NotificationOutcome::Ignored, Verdict::Accepted, reason)
    }

    fn mismatch(reason: impl Into<String>) -> Decision {
        Decision::nothing(NotificationOutcome::Mismatch, Verdict::Accepted, reason)
    }

    fn wait(reason: impl Into<String>) -> Decision {
        let decision = Decision::nothing(NotificationOutcome::Unproven, Verdict::Accepted, reason);
        Decision { wait: true, ..decision }
    }
}

/// Which of the payments that were found a fact is about: the one with the provider's id; else the one with our
/// number, if we made it and the provider has no other id for it. Where each attempt has an id of its own, a new
/// attempt belongs to the payment as long as that is open: money that comes when it is paid already is another
/// payment (paid twice, or a later charge of a subscription), not a repetition.
#[must_use]
pub fn choose<'a>(
    rules: &Rules<'_>,
    fact: &Fact,
    by_provider_id: Option<&'a Payment>,
    by_number: Option<&'a Payment>,
) -> Option<&'a Payment> {
    by_provider_id.or_else(|| {
        by_number.filter(|payment| {
            let same_id = match (&payment.provider_id, &fact.payment().provider_id) {
                (Some(known), Some(told)) => known == told,
                _ => true,
            };
            let open = matches!(payment.state, State::Pending | State::Canceled);
            let another_attempt =
                rules.attempts_share_reference && (open || !matches!(fact, Fact::Payment(_)));
            payment.origin == Origin::Api
                && payment.integration == rules.integration.id
                && (same_id || another_attempt)
        })
    })
}

/// Our number, when a provider's order number is one in canonical form.
#[must_use]
pub fn number_of(reference: &PaymentRef) -> Option<u32> {
    let text = reference.reference.as_deref()?;
    let number: u32 = text.parse().ok()?;
    (number > 0 && number.to_string() == text).then_some(number)
}

/// What a believed fact does to its payment.
#[must_use]
pub fn apply(rules: &Rules<'_>, payment: Option<&Payment>, fact: &Fact) -> Decision {
    match fact {
        Fact::Note(note) => Decision::ignored(note.why.clone()),
        Fact::Question(question) => answer_question(rules, payment, question),
        Fact::Payment(_) | Fact::Refund(_) if rules.integration.settings.mode == Some(Mode::Observe) => {
            Decision::ignored("the integration only observes: nothing is sent")
        }
        Fact::Payment(_) | Fact::Refund(_)
            if fact.is_test() && rules.integration.settings.mode == Some(Mode::Live) =>
        {
            Decision::ignored("a test payment, and the integration takes real money only (mode live)")
        }
        Fact::Payment(fact) => match payment {
            None => first_seen(rules, fact),
            Some(payment) => follow(rules, payment, fact),
        },
        Fact::Refund(fact) => match (payment, &fact.if_unpaid) {
            (None, Some(unpaid)) => first_seen(rules, unpaid),
            (Some(payment), Some(unpaid)) if payment.state != State::Succeeded => {
                follow(rules, payment, unpaid)
            }
            _ => refund(rules, payment, fact),
        },
    }
}

fn first_seen(rules: &Rules<'_>, fact: &PaymentFact) -> Decision {
    if rules.integration.settings.unknown_payments == Some(UnknownPayments::Reject) {
        return Decision::nothing(
            NotificationOutcome::Rejected,
            Verdict::Refused(Refusal::UnknownPayment),
            "the payment was not created through Kassir (setting unknown_payments: reject)",
        );
    }
    let Some(Sum::Money(amount)) = fact.amount else {
        return Decision::wait(
            "the payment is not known, and the notification does not tell its amount and currency",
        );
    };
    let captured = (fact.state == State::Succeeded).then_some(amount.minor);
    let payment = Payment {
        number: 0,
        version: 0,
        merchant: rules.integration.merchant,
        integration: rules.integration.id,
        provider: rules.integration.provider.clone(),
        origin: Origin::Notification,
        state: fact.state,
        expired_by_us: false,
        amount,
        captured,
        refunds: Vec::new(),
        provider_id: fact.payment.provider_id.clone(),
        reference: fact.payment.reference.clone(),
        operation_key: fact.operation_key.clone(),
        saved_method: fact.saved_method.clone(),
        method: fact.method.clone(),
        pay_url: None,
        pay_form: None,
        hold: fact.state == State::WaitingForCapture,
        test: fact.test,
        description: String::new(),
        order: Vec::new(),
        contact: None,
        email: None,
        return_url: None,
        metadata: serde_json::Map::new(),
        reason: fact.reason.clone(),
        expires_at: fact.expires_at,
        created_at: rules.now,
        updated_at: rules.now,
    };
    Decision {
        outcome: NotificationOutcome::Accepted,
        reason: format!("a payment first seen, {}", fact.state.word()),
        verdict: Verdict::Accepted,
        happened: Some(Happened { state: fact.state.into(), amount, refund: None }),
        change: Some(Change {
            links: fact.payment.provider_id.iter().cloned().collect(),
            payment: Box::new(payment),
            is_new: true,
        }),
        wait: false,
    }
}

enum Transition {
    Same,
    Late,
    Contradiction,
    Event,
}

fn transition(payment: &Payment, to: State) -> Transition {
    match (payment.state, to) {
        (from, to) if from == to => Transition::Same,
        (State::Pending, _)
        | (State::WaitingForCapture, State::Succeeded | State::Canceled)
        | (State::Canceled, State::Succeeded) => Transition::Event,
        (State::Canceled, State::WaitingForCapture) if payment.expired_by_us => Transition::Event,
        (State::Succeeded, State::Canceled) => Transition::Contradiction,
        _ => Transition::Late,
    }
}

fn follow(rules: &Rules<'_>, payment: &Payment, fact: &PaymentFact) -> Decision {
    let told = match check_amount(rules, payment, fact.amount.as_ref(), fact.amount_check) {
        Ok(told) => told,
        Err(WrongAmount { words, .. }) => {
            return Decision::mismatch(format!("the notification says {words}"));
        }
    };
    let state = fact.state;
    match transition(payment, state) {
        Transition::Same => {
            let reason = format!("it is known already that the payment is {}", state.word());
            let duplicate = Decision::nothing(NotificationOutcome::Duplicate, Verdict::Duplicate, reason);
            Decision { change: enrich(rules, payment, fact), ..duplicate }
        }
        Transition::Late => {
            let words = format!(
                "late: it says {}, and the payment is {} already",
                state.word(),
                payment.state.word()
            );
            Decision::ignored(words)
        }
        Transition::Contradiction => Decision::mismatch(format!(
            "it says {}, but the payment is {}",
            state.word(),
            payment.state.word()
        )),
        Transition::Event => {
            let mut next = enriched(rules, payment, fact);
            next.state = state;
            next.test = fact.test;
            next.expired_by_us = false;
            next.reason.clone_from(&fact.reason);
            next.updated_at = rules.now;
            let is_price = !matches!(fact.amount_check, AmountCheck::AtLeast | AmountCheck::AfterFee(_));
            let paid = told.filter(|_| is_price).unwrap_or(payment.amount);
            if state == State::Succeeded {
                next.captured = Some(paid.minor);
            }
            let amount = if state == State::Succeeded { paid } else { payment.amount };
            Decision {
                outcome: NotificationOutcome::Accepted,
                reason: format!("{} → {}", payment.state.word(), state.word()),
                verdict: Verdict::Accepted,
                happened: Some(Happened { state: state.into(), amount, refund: None }),
                change: Some(Change { payment: Box::new(next), is_new: false, links: links(payment, fact) }),
                wait: false,
            }
        }
    }
}

/// Provider's ids that a fact adds to a payment.
fn links(payment: &Payment, fact: &PaymentFact) -> Vec<String> {
    fact.payment.provider_id.iter().filter(|id| payment.provider_id.as_ref() != Some(id)).cloned().collect()
}

/// The payment with what a fact adds to it besides its state.
fn enriched(rules: &Rules<'_>, payment: &Payment, fact: &PaymentFact) -> Payment {
    let mut next = payment.clone();
    let fill = |slot: &mut Option<String>, value: &Option<String>| {
        if value.is_some() {
            slot.clone_from(value);
        }
    };
    fill(&mut next.provider_id, &fact.payment.provider_id);
    fill(&mut next.operation_key, &fact.operation_key);
    fill(&mut next.saved_method, &fact.saved_method);
    fill(&mut next.method, &fact.method);
    if next.reference.is_none() {
        next.reference.clone_from(&fact.payment.reference);
    }
    next.expires_at = fact.expires_at.or(next.expires_at);
    if next != *payment {
        next.updated_at = rules.now;
    }
    next
}

fn enrich(rules: &Rules<'_>, payment: &Payment, fact: &PaymentFact) -> Option<Change> {
    let next = enriched(rules, payment, fact);
    (next != *payment).then(|| Change { payment: Box::new(next), is_new: false, links: links(payment, fact) })
}
