//! Payments and refunds as the API and the notifications show them: read leniently, since fields are added often.

use serde_json::Value;

use crate::date::Civil;
use crate::{
    AmountCheck, Currency, Fact, Money, Note, PaymentFact, PaymentRef, RefundFact, State, Sum, json,
};

/// Longest id of an object, characters.
const ID_LEN_MAX: usize = 64;

/// Whether an id is plain enough to go into a URL.
pub(super) fn is_plain(id: &str) -> bool {
    (1..=ID_LEN_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The object's id.
pub(super) fn id(object: &Value) -> Result<&str, String> {
    let id = object.get("id").and_then(Value::as_str).unwrap_or("");
    if is_plain(id) { Ok(id) } else { Err("the object's id is not letters, digits and hyphens".to_owned()) }
}

/// The object's status in the provider's word.
pub(super) fn status(object: &Value) -> &str {
    object.get("status").and_then(Value::as_str).unwrap_or("")
}

/// The state table.
fn state(status: &str) -> Option<State> {
    Some(match status {
        "pending" => State::Pending,
        "waiting_for_capture" => State::WaitingForCapture,
        "succeeded" => State::Succeeded,
        "canceled" => State::Canceled,
        _ => return None,
    })
}

fn amount(object: &Value) -> Result<Money, String> {
    let amount = object.get("amount").ok_or("the object has no amount")?;
    let value = json::member(amount, "value").ok_or("the amount has no value")?;
    let code = amount.get("currency").and_then(Value::as_str).unwrap_or("");
    let currency: Currency = code.parse().map_err(|_| "the amount has no currency code".to_owned())?;
    Money::parse(&value, currency).map_err(|error| error.to_string())
}

/// Our order number.
fn reference(object: &Value) -> Option<String> {
    object.get("metadata").and_then(|metadata| json::member(metadata, "order_id"))
}

/// `2026-03-10T10:14:05.555Z` as Unix milliseconds; fractions are cut off.
fn moment(text: &str) -> Option<i64> {
    let (seconds, fraction) =
        text.strip_suffix('Z')?.split_once('.').unwrap_or((text.strip_suffix('Z')?, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    let milliseconds = digits.parse::<u16>().ok().map(i64::from)?;
    Civil::parse(seconds)?.unix_ms(0)?.checked_add(milliseconds)
}

/// What a payment object says. An unknown status is a note: it is reported, not guessed.
///
/// # Errors
/// Says what is wrong with the object.
pub(super) fn payment(object: &Value) -> Result<Fact, String> {
    let payment = PaymentRef { provider_id: Some(id(object)?.to_owned()), reference: reference(object) };
    let status = status(object);
    let Some(state) = state(status) else {
        let what = format!("payment.{}", short(status));
        return Ok(Fact::Note(Note { what, why: "a status that is not known here".to_owned(), payment }));
    };
    let method = object.get("payment_method");
    let saved = method.is_some_and(|method| method.get("saved") == Some(&Value::Bool(true)));
    let text = |value: Option<&Value>, name: &str| value.and_then(|value| json::member(value, name));
    let reason = text(object.get("cancellation_details"), "reason").filter(|_| state == State::Canceled);
    Ok(Fact::Payment(PaymentFact {
        payment,
        state,
        amount: Some(Sum::Money(amount(object)?)),
        amount_check: match state {
            // After a partial capture the rest goes back to the payer by itself.
            State::Succeeded => AmountCheck::AtMostIfHeld,
            _ => AmountCheck::Equal,
        },
        reason,
        test: object.get("test") == Some(&Value::Bool(true)),
        method: text(method, "type"),
        saved_method: text(method, "id").filter(|_| saved),
        operation_key: None,
        expires_at: json::member(object, "expires_at")
            .filter(|_| state == State::WaitingForCapture)
            .and_then(|text| moment(&text)),
    }))
}

/// What a refund object says: only a refund that succeeded is one. Whether it is test money, only its payment says.
///
/// # Errors
/// Says what is wrong with the object.
pub(super) fn refund(object: &Value) -> Result<Fact, String> {
    let refund_id = id(object)?;
    let payment_id = object.get("payment_id").and_then(Value::as_str).filter(|id| is_plain(id));
    let payment = PaymentRef {
        provider_id: Some(payment_id.ok_or("the refund has no payment_id")?.to_owned()),
        reference: reference(object),
    };
    let status = status(object);
    if status == "succeeded" {
        let amount = Some(Sum::Money(amount(object)?));
        return Ok(Fact::Refund(RefundFact {
            id: refund_id.to_owned(),
            payment,
            amount,
            cumulative: false,
            test: false,
            if_unpaid: None,
        }));
    }
    let why = match status {
        "pending" => format!("refund {refund_id} is under way"),
        "canceled" => {
            let reason =
                object.get("cancellation_details").and_then(|details| json::member(details, "reason"));
            format!(
                "refund {refund_id} failed: {}",
                short(&reason.unwrap_or_else(|| "no reason given".to_owned()))
            )
        }
        _ => "a status that is not known here".to_owned(),
    };
    Ok(Fact::Note(Note { what: format!("refund.{}", short(status)), why, payment }))
}

/// A provider's word, cut to what a log line can bear.
pub(super) fn short(word: &str) -> String {
    const WORD_LEN_MAX: usize = 64;
    word.chars().filter(|letter| !letter.is_control()).take(WORD_LEN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_milliseconds() {
        // `date -u -d 2026-03-17T10:15:41Z +%s`
        assert_eq!(moment("2026-03-17T10:15:41.203Z"), Some(1_773_742_541_203));
        assert_eq!(moment("2026-03-17T10:15:41Z"), Some(1_773_742_541_000));
        assert_eq!(moment("2026-03-17T10:15:41.2Z"), Some(1_773_742_541_200));
        assert_eq!(moment("2026-03-17T10:15:41.203"), None);
        assert_eq!(moment("2026-03-17T10:15:41.é03Z"), None);
        assert_eq!(moment("soon"), None);
    }
}
