//! Notifications: proved, then read by their shape.

use serde_json::Value;

use super::amount::{self, AmountError};
use super::prove::prove;
use super::transaction::{self, Meaning, is_test, short, tracking_id, uid, word};
use crate::digest::Hash;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, State, Sum};
use crate::outcome::{Proof, Received, Reject};
use crate::{Account, Request, json};

/// Largest body, bytes. Real ones have a few KiB.
const BODY_LEN_MAX: usize = 256 * 1024;

pub(super) fn receive(request: &Request, account: &Account) -> Result<Received, Reject> {
    if request.body.len() > BODY_LEN_MAX {
        return Err(Reject::malformed(format!("the body is larger than {BODY_LEN_MAX} bytes")));
    }
    let mut warnings = prove(request, account)?;
    let payload = json::raw_body(&request.body).ok_or_else(|| Reject::malformed("the body is not JSON"))?;
    let body: Value =
        serde_json::from_str(payload.get()).map_err(|error| Reject::malformed(error.to_string()))?;
    if !body.is_object() {
        return Err(Reject::malformed("the body is not a JSON object"));
    }
    let (fact, dedupe) = match shape(&body) {
        Shape::Transaction(transaction) => {
            (transaction::fact(transaction).map_err(Reject::malformed)?, transaction_key(transaction))
        }
        Shape::Checkout(token) => {
            (checkout(&body).map_err(Reject::malformed)?, format!("{token}:{}", expiry(&body)))
        }
        Shape::Subscription(id) => (subscription(&body, &id), subscription_key(&body, &id)),
        Shape::Unknown => (unknown(&body), format!("unknown:{}", Hash::Sha256.hex(&request.body))),
    };
    if let Shape::Transaction(transaction) = shape(&body)
        && transaction::meaning_of(transaction) == Meaning::ChargedBack
    {
        warnings.push("a chargeback: the payer's bank took the money back".to_owned());
    }
    if let Fact::Note(note) = &fact
        && note.why.contains("is refused")
    {
        warnings.push(note.why.clone());
    }
    Ok(Received { facts: vec![fact], proof: Proof::Signed, payload, dedupe, warnings })
}

/// The shapes of body that come to one address.
enum Shape<'a> {
    Transaction(&'a Value),
    /// Of the pay page, which has no transaction: its token.
    Checkout(String),
    Subscription(String),
    Unknown,
}

fn shape(body: &Value) -> Shape<'_> {
    if let Some(transaction) = body.get("transaction").filter(|transaction| transaction.is_object()) {
        return Shape::Transaction(transaction);
    }
    if let Some(id) = uid(body, "id").filter(|id| id.starts_with("sbs_") && body.get("state").is_some()) {
        return Shape::Subscription(id);
    }
    match uid(body, "token").filter(|_| body.get("order").is_some() && body.get("expired").is_some()) {
        Some(token) => Shape::Checkout(token),
        None => Shape::Unknown,
    }
}

fn transaction_key(transaction: &Value) -> String {
    format!("{}:{}", uid(transaction, "uid").unwrap_or_default(), short(word(transaction, "status")))
}

/// Whether the token of a pay page is expired with nothing paid.
fn is_expired(body: &Value) -> bool {
    body.get("expired") == Some(&Value::Bool(true)) && word(body, "status") != "successful"
}

fn expiry(body: &Value) -> String {
    if is_expired(body) { "expired".to_owned() } else { short(word(body, "status")) }
}

fn checkout(body: &Value) -> Result<Fact, String> {
    let order = body.get("order").unwrap_or(&Value::Null);
    let payment = PaymentRef { provider_id: None, reference: tracking_id(order) };
    let note = |why: String| {
        Ok(Fact::Note(Note { what: format!("checkout.{}", expiry(body)), why, payment: payment.clone() }))
    };
    if !is_expired(body) {
        return note("a state of the pay page that is not known here".to_owned());
    }
    if payment.reference.is_none() {
        return note("the pay page expired; it has no order number, so it belongs to no payment".to_owned());
    }
    let amount = match amount::read(order) {
        Ok(amount) => amount,
        Err(AmountError::Malformed(why)) => return Err(why),
        Err(AmountError::Unfit(why)) => return note(format!("the amount is refused: {why}")),
    };
    Ok(Fact::Payment(PaymentFact {
        payment,
        state: State::Canceled,
        amount: Some(Sum::Money(amount)),
        amount_check: AmountCheck::Equal,
        reason: Some("expired".to_owned()),
        test: is_test(body),
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    }))
}

/// A subscription's last transaction, by the subscription's state and its own.
fn cycle(state: &str, last: &str) -> Option<State> {
    match (state, last) {
        ("trial" | "active", "successful") => Some(State::Succeeded),
        ("failed" | "error", "failed" | "error" | "expired") => Some(State::Canceled),
        _ => None,
    }
}

/// A charge of a subscription is a payment of its own, known by its transaction. The amount is not told, so the API is
/// asked before a payment comes of it. The subscription's order number is the same for all its charges.
fn subscription(body: &Value, id: &str) -> Fact {
    let last = body.get("last_transaction").filter(|last| last.is_object());
    let state = word(body, "state");
    let plan = body.get("plan").unwrap_or(&Value::Null);
    let charge = last.and_then(|last| Some((uid(last, "uid")?, cycle(state, word(last, "status"))?)));
    let Some((charge, state)) = charge else {
        let known = matches!(
            state,
            "pending"
                | "tokenizing"
                | "redirecting"
                | "trial_get_status"
                | "getting_status"
                | "processing"
                | "trial_processing"
                | "notified"
                | "canceled"
                | "expired"
                | "trial"
                | "active"
                | "failed"
                | "error"
        );
        let why = if known { "a subscription without a charge" } else { "a state that is not known here" };
        let what = format!("subscription.{}", short(state));
        return Fact::Note(Note { what, why: format!("{why}: {id}"), payment: PaymentRef::default() });
    };
    Fact::Payment(PaymentFact {
        payment: PaymentRef { provider_id: Some(charge), reference: None },
        state,
        amount: None,
        amount_check: AmountCheck::Equal,
        reason: (state == State::Canceled).then(|| last.map(transaction::words).unwrap_or_default()),
        test: is_test(plan) || is_test(body),
        method: None,
        saved_method: body
            .get("card")
            .and_then(|card| json::member(card, "token"))
            .filter(|token| transaction::is_token(token)),
        operation_key: None,
        expires_at: None,
    })
}

fn subscription_key(body: &Value, id: &str) -> String {
    let last = body.get("last_transaction").and_then(|last| uid(last, "uid")).unwrap_or_default();
    format!("{id}:{}:{last}", short(word(body, "state")))
}

fn unknown(body: &Value) -> Fact {
    let card = body.get("last_4").is_some() && body.get("brand").is_some();
    let (what, why) = match card {
        true => ("card", "data of a card, not a payment"),
        false => {
            ("unknown", "no transaction, no pay page and no subscription: a shape that is not known here")
        }
    };
    Fact::Note(Note { what: what.to_owned(), why: why.to_owned(), payment: PaymentRef::default() })
}
