//! The API's objects, the same in callbacks and answers: invoices and channel payments.

use serde_json::Value;

use crate::date::iso_8601;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, RefundFact, State, Sum};
use crate::json;
use crate::money::{Currency, Money, MoneyError};

/// Longest id, bytes; real ones are UUIDs.
const ID_LEN_MAX: usize = 64;
/// Longest order number that is read, bytes.
const REFERENCE_LEN_MAX: usize = 255;

/// Whether a text can stand in a path: a UUID's letters, digits and dashes.
pub(super) fn is_plain(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=ID_LEN_MAX).contains(&id.len()) && id.bytes().all(plain)
}

/// An object's id.
pub(super) fn id(object: &Value) -> Option<String> {
    json::member(object, "id").filter(|id| is_plain(id))
}

pub(super) fn status(object: &Value) -> &str {
    object.get("status").and_then(Value::as_str).unwrap_or("")
}

pub(super) fn context(object: &Value) -> &str {
    object.get("status_context").and_then(Value::as_str).unwrap_or("")
}

/// A word of the provider's, cut to a length that can be shown.
pub(super) fn short(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(60).collect()
}

/// The order number of an invoice.
fn reference(invoice: &Value) -> Option<String> {
    json::member(invoice, "custom_id").filter(|text| text.len() <= REFERENCE_LEN_MAX)
}

/// The state table of an invoice.
fn invoice_state(status: &str) -> Option<State> {
    match status {
        "new" => Some(State::Pending),
        "completed" => Some(State::Succeeded),
        // There is money in it, and a decision is needed, whatever the context.
        "unresolved" => Some(State::WaitingForCapture),
        "refunded" | "cancelled" => Some(State::Canceled),
        _ => None,
    }
}

/// The state table of a channel payment.
fn channel_state(status: &str) -> Option<State> {
    match status {
        "pending" => Some(State::Pending),
        "on_hold" => Some(State::WaitingForCapture),
        "completed" => Some(State::Succeeded),
        "refunded" | "cancelled" => Some(State::Canceled),
        _ => None,
    }
}

/// What an invoice says. What is unknown, or can't be kept exactly, is a note.
///
/// # Errors
/// Says in words what the invoice lacks.
pub(super) fn invoice(object: &Value, test: bool) -> Result<Vec<Fact>, String> {
    let payment = PaymentRef { provider_id: id(object), reference: reference(object) };
    let method = json::member(object, "pay_currency");
    facts(
        object,
        "invoice",
        payment,
        invoice_state(status(object)),
        ["price_amount", "price_currency"],
        method,
        test,
    )
}

/// What a channel payment says. Its `custom_id` is the channel's, the same for every payment: no order number.
///
/// # Errors
/// Says in words what it lacks.
pub(super) fn channel_payment(object: &Value, test: bool) -> Result<Vec<Fact>, String> {
    let payment = PaymentRef { provider_id: id(object), reference: None };
    let names = ["received_amount", "received_currency"];
    let method = json::member(object, "paid_currency");
    facts(object, "channel_payment", payment, channel_state(status(object)), names, method, test)
}

fn facts(
    object: &Value,
    what: &str,
    payment: PaymentRef,
    state: Option<State>,
    [amount, currency]: [&str; 2],
    method: Option<String>,
    test: bool,
) -> Result<Vec<Fact>, String> {
    if payment.provider_id.is_none() {
        return Err("the object has no id".to_owned());
    }
    let what = format!("{what}.{}", short(status(object)));
    let note = |why: String| Ok(vec![Fact::Note(Note { what: what.clone(), why, payment: payment.clone() })]);
    let Some(state) = state else { return note("a status that is not known here".to_owned()) };
    let code: Currency = json::member(object, currency)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| format!("{currency} is missing or no currency code"))?;
    let text = json::member(object, amount).ok_or_else(|| format!("{amount} is missing"))?;
    let money = match Money::parse(&text, code) {
        Ok(money) => money,
        Err(error @ MoneyError::Format(_)) => return Err(error.to_string()),
        Err(error) => return note(format!("{amount} is refused: {error}")),
    };
    let refunded = status(object) == "refunded";
    let fact = PaymentFact {
        payment: payment.clone(),
        state,
        amount: Some(Sum::Money(money)),
        amount_check: match state {
            State::Pending | State::WaitingForCapture => AmountCheck::Equal,
            State::Succeeded => AmountCheck::AnyIfHeld,
            State::Canceled => AmountCheck::Ignore,
        },
        reason: reason(object, state),
        test,
        method: method.map(|method| short(&method)),
        saved_method: None,
        operation_key: None,
        expires_at: json::member(object, "expires_at")
            .filter(|_| state == State::Pending)
            .and_then(|text| iso_8601(&text)),
    };
    if !refunded {
        return Ok(vec![Fact::Payment(fact)]);
    }
    // All of it went back if it had succeeded; else it is canceled.
    let id = format!("{}-refund", payment.provider_id.as_deref().unwrap_or_default());
    let if_unpaid = Some(Box::new(fact));
    Ok(vec![Fact::Refund(RefundFact { id, payment, amount: None, cumulative: false, test, if_unpaid })])
}

/// Why a payment was canceled, or what waits for a decision.
fn reason(object: &Value, state: State) -> Option<String> {
    match (state, context(object)) {
        (State::Pending | State::Succeeded, _) => None,
        (State::WaitingForCapture | State::Canceled, "") => Some(short(status(object))),
        (State::WaitingForCapture | State::Canceled, context) => Some(short(context)),
    }
}

/// What a person should know of an object that waits for a decision.
pub(super) fn warning(object: &Value) -> Option<String> {
    let advice = match (status(object), context(object)) {
        ("unresolved", "illicit_resource") => "held because of where the coins came from: see the dashboard",
        ("unresolved", "overpaid") => {
            "overpaid: capture takes all that was paid, the dashboard can refund what is too much"
        }
        ("unresolved", "underpaid") => "underpaid: capture takes what was paid, cancel refunds it",
        ("unresolved", "paid_late") => "paid late: capture takes it at the present rate, cancel refunds it",
        ("unresolved", _) => "waits for a decision: capture takes what was paid, cancel refunds it",
        ("on_hold", "channel_disabled") => "on hold because the channel is disabled: see the dashboard",
        ("on_hold", _) => "on hold: see the dashboard",
        _ => return None,
    };
    Some(advice.to_owned())
}
