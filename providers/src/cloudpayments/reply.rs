//! The API's answers: `{"Success":…,"Message":…,"Model":…}`.

use serde_json::Value;
use serde_json::value::RawValue;

use super::receive::{is_transaction_id, method, saved_method};
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, RefundFact, State, Sum};
use crate::http::Reply;
use crate::json;
use crate::money::{Currency, Money};
use crate::operation::{Failure, Fault, Retry, Target};

/// Longest message of the provider that is shown, characters.
const MESSAGE_CHARS_MAX: usize = 300;
/// Longest pause that we let the provider ask for, seconds.
const RETRY_AFTER_S_MAX: u64 = 3600;

/// An answer that was read.
pub(super) struct Answered {
    pub success: bool,
    message: String,
    /// Present with `Success:false`, too: a declined attempt.
    pub model: Option<Value>,
    pub raw: Box<RawValue>,
}

impl Answered {
    /// The words of a refusal.
    pub(super) fn refused(&self) -> Failure {
        let words = if self.message.is_empty() { "no reason given" } else { &self.message };
        Failure::never(Fault::Caller, format!("CloudPayments refused: {words}"))
    }

    /// `Success:false` with nothing else to read: there is no such operation (yet).
    pub(super) fn not_found(&self) -> bool {
        !self.success && self.model.is_none() && self.message.eq_ignore_ascii_case("not found")
    }

    pub(super) fn member(&self, name: &str) -> Option<String> {
        self.model.as_ref().and_then(|model| json::member(model, name))
    }
}

/// Reads an answer, or says what its HTTP status means.
pub(super) fn read(reply: &Reply) -> Result<Answered, Failure> {
    match reply.status {
        200..=299 => {}
        401 | 403 => {
            return Err(Failure::never(
                Fault::Merchant,
                "CloudPayments does not know this Public ID with this API password",
            )
            .code(reply.status.to_string()));
        }
        429 => {
            let after = reply.header("retry-after").and_then(|seconds| seconds.trim().parse::<u64>().ok());
            let after = after.map(|seconds| seconds.min(RETRY_AFTER_S_MAX).saturating_mul(1000));
            return Err(Failure {
                why: "CloudPayments has too many requests of this site under way (5 in test mode, 30 live)"
                    .to_owned(),
                code: Some("429".to_owned()),
                fault: Fault::Provider,
                retry: Retry::Later(after),
            });
        }
        400..=499 => {
            let why = format!("CloudPayments answered with HTTP status {}", reply.status);
            return Err(Failure::never(Fault::Us, why).code(reply.status.to_string()));
        }
        status => return Err(Failure::later(format!("CloudPayments answered with HTTP status {status}"))),
    }
    let unreadable = || Failure::later("CloudPayments' answer is not the JSON that it documents");
    let raw = json::raw_body(&reply.body).ok_or_else(unreadable)?;
    let value: Value = serde_json::from_str(raw.get()).map_err(|_| unreadable())?;
    Ok(Answered {
        success: value.get("Success").and_then(Value::as_bool).ok_or_else(unreadable)?,
        message: json::member(&value, "Message")
            .map(|text| text.chars().take(MESSAGE_CHARS_MAX).collect())
            .unwrap_or_default(),
        model: value.get("Model").filter(|model| !model.is_null()).cloned(),
        raw,
    })
}

/// A declined attempt of a transaction: its code and words.
pub(super) fn declined(model: &Value) -> Option<(String, String)> {
    (json::member(model, "Status").as_deref() == Some("Declined")).then(|| {
        let [code, reason, words] = ["ReasonCode", "Reason", "CardHolderMessage"]
            .map(|name| json::member(model, name).unwrap_or_default());
        (code, format!("{reason} {words}").trim().to_owned())
    })
}

/// The state table of a transaction's `Status`.
fn state(status: &str) -> Option<State> {
    match status {
        "AwaitingAuthentication" => Some(State::Pending),
        "Authorized" => Some(State::WaitingForCapture),
        "Completed" => Some(State::Succeeded),
        "Cancelled" => Some(State::Canceled),
        _ => None,
    }
}

/// A refund's transaction, not a payment's: it points back, or its `Type` is not 0.
pub(super) fn is_payment(model: &Value) -> bool {
    json::member(model, "OriginalTransactionId").is_none()
        && json::member(model, "Type").is_none_or(|kind| kind == "0" || kind == "Payment")
}

/// Whether a transaction is a refund of this payment: it points back at it, or is at least no payment and of the same
/// order. (A payment's own transaction is `Completed`, too, and must not pass for the refund of itself.)
pub(super) fn is_refund_of(model: &Value, payment: &Target) -> bool {
    let is_payout = json::member(model, "Type").is_some_and(|kind| kind == "2" || kind == "CardPayout");
    let of_payment = match json::member(model, "OriginalTransactionId") {
        Some(original) => payment.provider_id == Some(original),
        None => json::member(model, "InvoiceId") == Some(payment.order_number()),
    };
    !is_payment(model) && !is_payout && of_payment
}

/// What a payment's transaction says.
///
/// # Errors
/// [`Failure`] when its amount or currency can't be read.
pub(super) fn facts(model: &Value) -> Result<Vec<Fact>, Failure> {
    let member = |name| json::member(model, name);
    let payment = PaymentRef {
        provider_id: member("TransactionId").filter(|id| is_transaction_id(id)),
        reference: member("InvoiceId"),
    };
    let note =
        |what: &str, why: String| Fact::Note(Note { what: what.to_owned(), why, payment: payment.clone() });
    if !is_payment(model) {
        return Ok(vec![note(
            "operation",
            "the last operation of this order is a refund or a payout".to_owned(),
        )]);
    }
    if let Some((code, words)) = declined(model) {
        return Ok(vec![note(
            "fail",
            format!("an attempt was declined: {code} {words}").trim_end().to_owned(),
        )]);
    }
    let status = member("Status").unwrap_or_default();
    let Some(state) = state(&status) else {
        return Ok(vec![note("status", format!("unknown transaction status {status:?}"))]);
    };
    let mut facts = vec![Fact::Payment(PaymentFact {
        payment: payment.clone(),
        state,
        amount: Some(Sum::Money(money(model)?)),
        amount_check: match state {
            State::Succeeded => AmountCheck::AtMostIfHeld,
            State::Canceled => AmountCheck::Ignore,
            State::Pending | State::WaitingForCapture => AmountCheck::Equal,
        },
        reason: None,
        test: is_test(model),
        method: method(member("PaymentMethod").as_deref(), member("CardType").as_deref()),
        saved_method: saved_method(member("Token").as_deref(), member("AccountId").as_deref()),
        operation_key: None,
        expires_at: None,
    })];
    if model.get("Refunded").and_then(Value::as_bool) == Some(true) {
        facts.push(note(
            "refunded",
            "money went back, all or in part; the Refund notifications say how much".to_owned(),
        ));
    }
    Ok(facts)
}

/// The refund that a refund's transaction tells of, once it is done.
pub(super) fn refund(model: &Value, id: &str, payment: PaymentRef) -> Result<Option<Fact>, Failure> {
    if json::member(model, "Status").as_deref() != Some("Completed") {
        return Ok(None);
    }
    Ok(Some(Fact::Refund(RefundFact {
        id: id.to_owned(),
        payment,
        amount: Some(Sum::Money(money(model)?)),
        cumulative: false,
        test: is_test(model),
        if_unpaid: None,
    })))
}

fn is_test(model: &Value) -> bool {
    model.get("TestMode").and_then(Value::as_bool) == Some(true)
}

fn money(model: &Value) -> Result<Money, Failure> {
    let unreadable =
        |why: String| Failure::never(Fault::Provider, format!("the transaction's amount: {why}"));
    let currency: Currency = json::member(model, "Currency")
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| unreadable("no currency".to_owned()))?;
    let amount = json::member(model, "Amount").unwrap_or_default();
    Money::parse_number(&amount, currency).map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_that_is_asked_for_has_an_end() {
        for (asked, expected) in [
            ("5", Some(5_000)),
            (" 60 ", Some(60_000)),
            ("18446744073709551615", Some(3_600_000)),
            ("soon", None),
        ] {
            let headers = vec![("retry-after".to_owned(), asked.to_owned())];
            let failure = read(&Reply { status: 429, headers, body: Vec::new() }).err().unwrap();
            assert_eq!(failure.retry, Retry::Later(expected), "{asked}");
        }
    }
}
