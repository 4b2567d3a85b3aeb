//! Refunds: a JWT signed with password #3, and the question what became of it.

use serde_json::{Map, Number, Value};

use super::operations::{within, words};
use super::result::reference;
use super::shop;
use crate::account::Account;
use crate::fact::{Fact, Note, RefundFact, Sum};
use crate::http::{Call, Reply};
use crate::money::Money;
use crate::operation::{Done, Failure, Fault, Retry, Step, Target};
use crate::{json, jws};

/// Asks for a refund of all, or of an amount.
pub(super) fn create(
    payment: &Target,
    key: &str,
    amount: Option<Money>,
    receipt: Option<&Value>,
    account: &Account,
) -> Result<Step, Failure> {
    let password = shop::password(account, "password3", "password #3")?;
    let mut body = Map::new();
    body.insert("OpKey".to_owned(), Value::String(key.to_owned()));
    if amount.is_some() {
        let money = within(amount, payment, account)?;
        let number: Number = money
            .shortest()
            .parse()
            .map_err(|_| Failure::never(Fault::Caller, format!("{money} can't be written as a number")))?;
        body.insert("RefundSum".to_owned(), Value::Number(number));
    }
    if let Some(receipt) = receipt {
        // A whole receipt, or its items alone.
        let items = receipt.get("items").or_else(|| receipt.get("InvoiceItems")).unwrap_or(receipt);
        body.insert("InvoiceItems".to_owned(), items.clone());
    }
    let token = jws::sign_hs256(Value::Object(body).to_string().as_bytes(), password.expose().as_bytes());
    let url = format!("{}/RefundService/Refund/Create", shop::services(account)?);
    Ok(Step::send(Call::post(url, "text/plain", token)))
}

/// An accepted refund is a request, not money that went back.
pub(super) fn created(payment: &Target, reply: &Reply) -> Result<Step, Failure> {
    let look_up = |why: String| Failure { why, code: None, fault: Fault::Provider, retry: Retry::LookUp };
    if matches!(reply.status, 401 | 403) {
        let why = "Robokassa does not accept password #3, or the shop has no access to the refund API";
        return Err(Failure::never(Fault::Merchant, why).code(reply.status.to_string()));
    }
    let raw = json::raw_body(&reply.body);
    let value: Option<Value> = raw.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok());
    let message = value.as_ref().and_then(|value| json::member(value, "message"));
    match (value.as_ref().and_then(|value| value.get("success")?.as_bool()), reply.status) {
        (Some(true), 200..=299) => {}
        (Some(false), _) | (None, 400..=499) => {
            let words = words(&message.unwrap_or_else(|| format!("HTTP status {}", reply.status)));
            return Err(
                Failure::never(Fault::Caller, format!("Robokassa refused the refund: {words}")).code(words)
            );
        }
        _ => {
            return Err(look_up(format!(
                "Robokassa's answer (HTTP status {}) does not say whether the refund was accepted",
                reply.status
            )));
        }
    }
    let id = value
        .as_ref()
        .and_then(|value| json::member(value, "requestId"))
        .ok_or_else(|| look_up("the refund was accepted, but the answer has no number of it".to_owned()))?;
    Ok(Step::done(Done {
        facts: vec![refund_note(payment, "refund.pending", format!("refund {id} is under way"))],
        refund_id: Some(id),
        payload: raw,
        ..Done::default()
    }))
}

pub(super) fn status(payment: &Target, id: &str, reply: &Reply, account: &Account) -> Result<Step, Failure> {
    if reply.status >= 500 || reply.status == 429 {
        return Err(Failure::later(format!("Robokassa answered with HTTP status {}", reply.status)));
    }
    let unreadable =
        || Failure::later("Robokassa's answer about the refund is not the JSON that is documented");
    let raw = json::raw_body(&reply.body).ok_or_else(unreadable)?;
    let value: Value = serde_json::from_str(raw.get()).map_err(|_| unreadable())?;
    let Some(label) = json::member(&value, "label") else {
        let words = words(&json::member(&value, "message").ok_or_else(unreadable)?);
        return Err(Failure::never(Fault::Caller, format!("Robokassa does not know this refund: {words}")));
    };
    if json::member(&value, "requestId").is_some_and(|found| !found.eq_ignore_ascii_case(id)) {
        return Err(Failure::never(Fault::Provider, "the answer is about another refund"));
    }
    let fact = match label.as_str() {
        "finished" => {
            let text = json::member(&value, "amount").ok_or_else(unreadable)?;
            let amount = Money::parse_number(&text, shop::currency(account))
                .map_err(|error| Failure::never(Fault::Provider, format!("the refund's amount: {error}")))?;
            Fact::Refund(RefundFact {
                id: id.to_owned(),
                payment: reference(&payment.order_number()),
                amount: Some(Sum::Money(amount)),
                cumulative: false,
                test: false,
                if_unpaid: None,
            })
        }
        "processing" => refund_note(payment, "refund.pending", format!("refund {id} is under way")),
        "canceled" => {
            refund_note(payment, "refund.canceled", format!("refund {id} failed; the payment stays paid"))
        }
        other => {
            refund_note(payment, "refund.unknown", format!("refund {id} has the unknown state {other:?}"))
        }
    };
    let refund_id = matches!(label.as_str(), "processing").then(|| id.to_owned());
    Ok(Step::done(Done { facts: vec![fact], refund_id, payload: Some(raw), ..Done::default() }))
}

fn refund_note(payment: &Target, what: &str, why: String) -> Fact {
    let payment = reference(&payment.order_number());
    Fact::Note(Note { what: what.to_owned(), why, payment })
}
