//! What may be asked of a provider: checked before anything is written or sent.

use kassir_providers::operation::Wish;
use kassir_providers::{Failure, Fault, Money, Provider};
use serde_json::Value;

use super::{NewPayment, PaymentError};
use crate::domain::payment::Payment;

/// Words for the payer when the caller gives none: the order's names, else the number.
pub(super) fn describe(payment: &Payment) -> String {
    let names: Vec<&str> = payment.order.iter().map(|line| line.name.as_str()).collect();
    if names.is_empty() { format!("№ {}", payment.number) } else { names.join(", ") }
}

/// Whether the provider can do what is asked for.
pub(super) fn check(provider: &dyn Provider, new: &NewPayment, hold: bool) -> Result<(), PaymentError> {
    let about = provider.about();
    let invalid = |pointer, detail: String| Err(PaymentError::Invalid { pointer, detail });
    let can = about.capabilities;
    if !can.create && new.saved_method.is_none() {
        return invalid("/integration_id", format!("payments can't be created at {}", about.title.en));
    }
    if new.saved_method.is_some() && !can.charge {
        return invalid("/saved_method", format!("{} can't charge a saved method", about.title.en));
    }
    if hold && !can.hold {
        return invalid("/hold", format!("{} can't hold a payment", about.title.en));
    }
    if new.amount.minor <= 0 {
        return invalid("/amount", "must be more than 0, in minor units (kopecks, cents)".to_owned());
    }
    let code = new.amount.currency.code();
    if !about.currencies.is_empty() && !about.currencies.contains(&code) {
        let known = about.currencies.join(", ");
        return invalid("/currency", format!("{} takes {known}, not {code}", about.title.en));
    }
    if new.amount.currency.exponent().is_none() {
        return invalid("/currency", format!("the minor unit of {code} is not known"));
    }
    Ok(())
}

/// The receipt of a capture or a refund, where the provider takes one: it must not be lost silently.
pub(super) fn check_receipt(provider: &dyn Provider, wish: &Wish) -> Result<Option<Value>, PaymentError> {
    let can = provider.about().capabilities;
    let (receipt, taken, what) = match wish {
        Wish::Capture { receipt, .. } => (receipt, can.capture_receipt, "a capture"),
        Wish::Refund { receipt, .. } => (receipt, can.refund_receipt, "a refund"),
        _ => return Ok(None),
    };
    if receipt.is_some() && !taken {
        let detail = format!("{} takes no receipt with {what}", provider.about().title.en);
        return Err(PaymentError::Invalid { pointer: "/receipt", detail });
    }
    Ok(receipt.clone())
}

/// The refusal of an operation that the payment's state does not allow.
pub(super) fn wrong_state(what: &str, payment: &Payment, rule: &str) -> PaymentError {
    let why = format!("the payment is {} and can't be {what}: {rule}", payment.state.word());
    PaymentError::Provider(Failure::never(Fault::Caller, why), Some(payment.number))
}

/// A part of an amount: more than 0 and at most `most`; `None` is all of it.
pub(super) fn part(payment: &Payment, amount: Option<i64>, most: i64) -> Result<Option<Money>, PaymentError> {
    let Some(minor) = amount else { return Ok(None) };
    if minor <= 0 || minor > most {
        let most = Money::new(most, payment.amount.currency);
        let detail = format!("must be more than 0 and at most {} ({most})", most.minor);
        return Err(PaymentError::Invalid { pointer: "/amount", detail });
    }
    Ok(Some(Money::new(minor, payment.amount.currency)))
}
