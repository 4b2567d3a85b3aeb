//! The Invoice object, the same in updates and in answers of the API.

use serde_json::Value;

use crate::date::iso_8601;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, State, Sum};
use crate::json;
use crate::money::{Currency, Money};

/// Longest id of an invoice, digits.
const ID_DIGITS_MAX: usize = 19;
/// Longest `payload` that is taken for an order number, bytes.
const REFERENCE_LEN_MAX: usize = 255;

/// The invoice's id, decimal.
pub(super) fn id(invoice: &Value) -> Option<String> {
    let id = json::member(invoice, "invoice_id")?;
    let fits = id.len() <= ID_DIGITS_MAX && id.bytes().all(|byte| byte.is_ascii_digit());
    fits.then_some(id)
}

pub(super) fn status(invoice: &Value) -> &str {
    invoice.get("status").and_then(Value::as_str).unwrap_or("")
}

/// The order number: our own data, echoed.
pub(super) fn reference(invoice: &Value) -> Option<String> {
    let text = invoice.get("payload").and_then(Value::as_str)?;
    (1..=REFERENCE_LEN_MAX).contains(&text.len()).then(|| text.to_owned())
}

pub(super) fn payment(invoice: &Value) -> PaymentRef {
    PaymentRef { provider_id: id(invoice), reference: reference(invoice) }
}

/// The state table of `status`.
pub(super) fn state(status: &str) -> Option<State> {
    match status {
        "active" => Some(State::Pending),
        "paid" => Some(State::Succeeded),
        "expired" => Some(State::Canceled),
        _ => None,
    }
}

/// The price: `fiat` with `amount`, or `asset` with `amount`. What was paid (`paid_amount`, a coin) is not the price.
///
/// # Errors
/// Says in words what is missing, or why it is no amount of that currency.
pub(super) fn price(invoice: &Value) -> Result<Money, PriceError> {
    let kind = invoice.get("currency_type").and_then(Value::as_str).unwrap_or("crypto");
    let code = match kind {
        "fiat" => json::member(invoice, "fiat"),
        "crypto" => json::member(invoice, "asset"),
        _ => None,
    };
    let missing = |what: &str| PriceError::Missing(format!("the invoice has no {what}"));
    let code = code.ok_or_else(|| missing("currency (asset or fiat)"))?;
    let currency: Currency = code.parse().map_err(|_| missing("currency code"))?;
    let amount = json::member(invoice, "amount").ok_or_else(|| missing("amount"))?;
    Money::parse(&amount, currency).map_err(|error| match error {
        crate::MoneyError::Format(_) => PriceError::Missing(error.to_string()),
        _ => PriceError::Unfit(error.to_string()),
    })
}

/// Why an invoice has no price for us.
pub(super) enum PriceError {
    /// It is not in the provider's format.
    Missing(String),
    /// It can't be kept exactly: an unknown coin, more decimals or digits than fit. It is not rounded.
    Unfit(String),
}

/// What an invoice says. An unknown status, or a price that can't be kept exactly, is a note: nothing is guessed.
///
/// # Errors
/// Says in words what the invoice lacks.
pub(super) fn fact(invoice: &Value, test: bool) -> Result<Fact, String> {
    let payment = payment(invoice);
    if payment.provider_id.is_none() {
        return Err("the invoice has no invoice_id".to_owned());
    }
    let note = |why: String| {
        Fact::Note(Note {
            what: format!("invoice.{}", short(status(invoice))),
            why,
            payment: payment.clone(),
        })
    };
    let Some(state) = state(status(invoice)) else {
        return Ok(note("a status that is not known here".to_owned()));
    };
    let amount = match price(invoice) {
        Ok(amount) => amount,
        Err(PriceError::Missing(why)) => return Err(why),
        Err(PriceError::Unfit(why)) => return Ok(note(format!("the price is refused: {why}"))),
    };
    let moment = |name: &str| json::member(invoice, name).and_then(|text| iso_8601(&text));
    Ok(Fact::Payment(PaymentFact {
        state,
        amount: Some(Sum::Money(amount)),
        amount_check: AmountCheck::Equal,
        reason: (state == State::Canceled).then(|| "expired".to_owned()),
        test,
        method: json::member(invoice, "paid_asset")
            .or_else(|| json::member(invoice, "asset"))
            .map(|coin| short(&coin)),
        saved_method: None,
        operation_key: None,
        expires_at: (state == State::Pending).then(|| moment("expiration_date")).flatten(),
        payment,
    }))
}

/// A word of the provider's, cut to a length that can be shown.
pub(super) fn short(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(40).collect()
}
