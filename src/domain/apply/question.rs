//! The answer to a provider that asks before it takes money, or what became of a payment.

use kassir_providers::account::UnknownPayments;
use kassir_providers::fact::QuestionKind;
use kassir_providers::{AmountCheck, PaymentRef, Question, Refusal, State};

use super::amount::{WrongAmount, check_amount};
use super::{Change, Decision, Rules, Verdict};
use crate::domain::notification::NotificationOutcome;
use crate::domain::payment::Payment;

pub(super) fn answer_question(rules: &Rules<'_>, payment: Option<&Payment>, question: &Question) -> Decision {
    let yes = |reason: &str| Decision::nothing(NotificationOutcome::Accepted, Verdict::Accepted, reason);
    let no = |refusal: Refusal, reason: String| {
        Decision::nothing(NotificationOutcome::Accepted, Verdict::Refused(refusal), reason)
    };
    let Some(payment) = payment else {
        let accept = rules.integration.settings.unknown_payments == Some(UnknownPayments::Accept);
        return if accept && question.kind == QuestionKind::MayPay {
            yes("answered with yes: unknown payments are accepted by setting")
        } else {
            no(Refusal::UnknownPayment, "answered with no: there is no such payment".to_owned())
        };
    };
    if question.kind == QuestionKind::WhatState {
        let verdict = Verdict::Told(payment.state);
        let reason = format!("told the state {}", payment.state.word());
        return Decision::nothing(NotificationOutcome::Accepted, verdict, reason);
    }
    match payment.state {
        State::Succeeded | State::WaitingForCapture => {
            return no(Refusal::AlreadyPaid, "answered with no: it is paid already".to_owned());
        }
        State::Canceled if payment.expired_by_us => {
            return no(Refusal::Expired, "answered with no: its time is over".to_owned());
        }
        // What was canceled is an earlier attempt of the payer, not the order.
        State::Canceled if is_another_attempt(rules, payment, &question.payment) => {}
        State::Canceled => return no(Refusal::Closed, "answered with no: it is canceled".to_owned()),
        State::Pending => {}
    }
    match check_amount(rules, payment, question.amount.as_ref(), AmountCheck::Equal) {
        Ok(_) => Decision {
            change: named(rules, payment, &question.payment),
            ..yes("answered with yes: known, open, and the amount is right")
        },
        Err(WrongAmount { refusal, words }) => no(refusal, format!("answered with no: {words}")),
    }
}

/// Whether a question is about an attempt of its own, after one that failed. A hold that was released is no attempt:
/// somebody closed the order.
fn is_another_attempt(rules: &Rules<'_>, payment: &Payment, asked: &PaymentRef) -> bool {
    let other_id = match (&payment.provider_id, &asked.provider_id) {
        (Some(known), Some(asked)) => known != asked,
        _ => false,
    };
    rules.attempts_share_reference && other_id && !payment.hold
}

/// The provider's id that a question tells: some providers can only be asked about a payment by it.
fn named(rules: &Rules<'_>, payment: &Payment, asked: &PaymentRef) -> Option<Change> {
    let new = |id: &&String| rules.attempts_share_reference && payment.provider_id.as_ref() != Some(*id);
    let id = asked.provider_id.as_ref().filter(new)?;
    let mut next = payment.clone();
    next.provider_id = Some(id.clone());
    next.updated_at = rules.now;
    Some(Change { payment: Box::new(next), is_new: false, links: vec![id.clone()] })
}
