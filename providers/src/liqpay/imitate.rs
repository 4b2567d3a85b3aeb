//! Notifications as LiqPay sends them.

use serde_json::{Map, Value};

use super::TEST_PREFIX;
use super::sign::{request, seal};
use crate::account::Account;
use crate::digest::Hash;
use crate::fact::State;
use crate::form;
use crate::http::Request;
use crate::operation::Sample;

pub(super) fn imitate(sample: &Sample, account: &Account) -> Result<Request, String> {
    let kind = match sample.kind.as_deref() {
        Some(kind @ ("pay" | "hold" | "subscribe" | "regular" | "paysplit" | "auth")) => kind,
        Some(other) => return Err(format!("LiqPay has no notification {other:?}")),
        None if sample.state == State::WaitingForCapture => "hold",
        None => "pay",
    };
    if sample.state == State::WaitingForCapture && kind != "hold" && !sample.refund {
        return Err(format!("only a hold waits for its capture at LiqPay, not {kind}"));
    }
    let mut object = request(kind, account);
    for (name, value) in members(sample, kind, account) {
        object.insert(name.to_owned(), value);
    }
    let envelope = seal(object, account);
    let body = form::build([("data", envelope.data.as_str()), ("signature", envelope.signature.as_str())]);
    let mut request = Request::post("application/x-www-form-urlencoded", body);
    request.received_at = sample.now;
    Ok(request)
}

fn members(sample: &Sample, kind: &str, account: &Account) -> Vec<(&'static str, Value)> {
    let status = status(sample, kind, account);
    let id = sample.provider_id.as_deref().map_or_else(|| made_up_id(&sample.reference), number);
    let mut members = vec![
        ("payment_id", id.clone()),
        ("status", status.into()),
        ("type", if kind == "pay" { "buy" } else { kind }.into()),
        ("paytype", "card".into()),
        ("order_id", sample.reference.clone().into()),
        ("description", sample.description.clone().into()),
        ("sender_card_mask2", "424242*42".into()),
        ("amount", number(&sample.amount.shortest())),
        ("currency", sample.amount.currency.code().into()),
        ("is_3ds", false.into()),
        ("create_date", sample.now.into()),
        ("transaction_id", id),
    ];
    if status != "hold_wait" {
        members.push(("end_date", sample.now.into()));
    }
    if kind == "hold" && (sample.refund || sample.state == State::Succeeded) {
        members.push(("completion_date", sample.now.into()));
    }
    if status == "failure" {
        members.push(("err_code", "limit".into()));
        members.push(("err_description", "Перевищено ліміт".into()));
    }
    if sample.refund {
        members.push(("refund_amount", number(&sample.amount.shortest())));
        members.push(("refund_date_last", sample.now.into()));
    }
    if !sample.metadata.is_empty() {
        members.push(("info", Value::Object(Map::clone(&sample.metadata)).to_string().into()));
    }
    members
}

fn status(sample: &Sample, kind: &str, account: &Account) -> &'static str {
    match sample.state {
        _ if sample.refund => "reversed",
        State::Canceled if kind == "subscribe" => "unsubscribed",
        _ if kind == "subscribe" => "subscribed",
        State::Pending => "processing",
        State::WaitingForCapture => "hold_wait",
        State::Succeeded if account.text("public_key").starts_with(TEST_PREFIX) => "sandbox",
        State::Succeeded => "success",
        State::Canceled => "failure",
    }
}

/// A JSON number where the text is one, else the text.
fn number(text: &str) -> Value {
    serde_json::from_str::<serde_json::Number>(text).map_or_else(|_| text.into(), Value::Number)
}

/// LiqPay's ids are numbers; one made from the reference stays the same.
fn made_up_id(reference: &str) -> Value {
    let digest = Hash::Sha256.digest(reference.as_bytes());
    let id = digest.iter().take(4).fold(0_u64, |id, byte| id << 8 | u64::from(*byte));
    id.into()
}
