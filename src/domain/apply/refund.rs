//! What a refund does to its payment.

use kassir_providers::{Money, RefundFact, State};

use super::{Change, Decision, Happened, Rules, Verdict};
use crate::domain::event::EventState;
use crate::domain::notification::NotificationOutcome;
use crate::domain::payment::{Payment, REFUNDS_MAX, Refund};

pub(super) fn refund(rules: &Rules<'_>, payment: Option<&Payment>, fact: &RefundFact) -> Decision {
    let Some(payment) = payment else {
        return Decision::wait("a refund of a payment that is not known yet");
    };
    match payment.state {
        State::Succeeded => {}
        // What was canceled may be an earlier attempt: the success of the next one is still on its way.
        State::Canceled => {
            return Decision::wait("a refund of a payment that is canceled, as far as we know");
        }
        State::Pending | State::WaitingForCapture => {
            return Decision::wait("a refund of a payment whose success was not heard of yet");
        }
    }
    let duplicate =
        |reason: &str| Decision::nothing(NotificationOutcome::Duplicate, Verdict::Duplicate, reason);
    if payment.refunds.iter().any(|known| known.id == fact.id) {
        return duplicate("this refund is known already");
    }
    let left = payment.refundable();
    let told = fact.amount.as_ref().map(|sum| sum.in_currency(payment.amount.currency)).transpose();
    let amount = match told {
        Ok(Some(money)) if money.currency != payment.amount.currency => {
            return Decision::mismatch(format!(
                "a refund in {} of a payment in {}",
                money.currency, payment.amount.currency
            ));
        }
        Ok(Some(money)) if fact.cumulative => money.minor.saturating_sub(payment.refunded()),
        Ok(Some(money)) => money.minor,
        Ok(None) => left,
        Err(error) => return Decision::mismatch(error.to_string()),
    };
    if amount <= 0 {
        return duplicate("nothing was refunded that is not known already");
    }
    if amount > left {
        let said = Money::new(amount, payment.amount.currency);
        let left = Money::new(left, payment.amount.currency);
        return Decision::mismatch(format!("a refund of {said}, but only {left} is left"));
    }
    if payment.refunds.len() >= REFUNDS_MAX {
        return Decision::mismatch(format!("more than {REFUNDS_MAX} refunds of one payment"));
    }
    let entry = Refund { id: fact.id.clone(), amount, at: rules.now };
    let mut next = payment.clone();
    next.refunds.push(entry.clone());
    next.updated_at = rules.now;
    let state = if next.refundable() == 0 { EventState::Refunded } else { EventState::PartiallyRefunded };
    let paid = Money::new(payment.captured.unwrap_or(payment.amount.minor), payment.amount.currency);
    Decision {
        outcome: NotificationOutcome::Accepted,
        reason: format!("{}: {}", state.word(), Money::new(amount, payment.amount.currency)),
        verdict: Verdict::Accepted,
        happened: Some(Happened { state, amount: paid, refund: Some(entry) }),
        change: Some(Change { payment: Box::new(next), is_new: false, links: Vec::new() }),
        wait: false,
    }
}
