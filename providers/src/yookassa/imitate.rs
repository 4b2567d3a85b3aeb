//! Notifications as YooKassa would send them. They carry no proof: against a router that enforces source addresses
//! or confirms by API they count as little as anybody's.

use serde_json::{Map, Value, json};

use super::legacy;
use crate::date::Civil;
use crate::digest::Hash;
use crate::operation::Sample;
use crate::{Account, Request, State};

pub(super) fn imitate(sample: &Sample, account: &Account) -> Result<Request, String> {
    let kind = match (&sample.kind, sample.refund, sample.state) {
        (Some(kind), ..) => kind.as_str(),
        (None, true, _) => "refund.succeeded",
        (None, false, State::WaitingForCapture) => "payment.waiting_for_capture",
        (None, false, State::Succeeded) => "payment.succeeded",
        (None, false, State::Canceled) => "payment.canceled",
        (None, false, State::Pending) => {
            return Err("YooKassa sends no notification of a payment that is pending".to_owned());
        }
    };
    let object = match (kind, sample.refund) {
        ("checkOrder" | "paymentAviso" | "cancelOrder", _) => return legacy::imitate(kind, sample, account),
        ("refund.succeeded", true) => refund(sample),
        ("payment.waiting_for_capture" | "payment.succeeded" | "payment.canceled", false)
            if kind.strip_prefix("payment.") == Some(sample.state.word()) =>
        {
            payment(sample, account)
        }
        ("payment_method.active", false) => method(sample, account),
        ("payout.succeeded" | "payout.canceled", false) => payout(kind, sample),
        ("deal.closed", false) => deal(sample),
        _ => {
            let what = if sample.refund { "a refund" } else { sample.state.word() };
            return Err(format!("YooKassa has no notification {kind:?} that tells of {what}"));
        }
    };
    let body = json!({ "type": "notification", "event": kind, "object": object });
    let mut request = Request::post("application/json", body.to_string());
    request.received_at = sample.now;
    Ok(request)
}

/// An id of the provider's shape, the same for the same seed.
fn id(seed: &str) -> String {
    let hex = Hash::Sha256.hex(seed.as_bytes());
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or("");
    format!("{}-000f-5000-8000-{}", part(0..8), part(8..20))
}

fn payment_id(sample: &Sample) -> String {
    sample.provider_id.clone().unwrap_or_else(|| id(&sample.reference))
}

fn amount(sample: &Sample) -> Value {
    json!({ "value": sample.amount.decimal(), "currency": sample.amount.currency.code() })
}

fn metadata(sample: &Sample) -> Map<String, Value> {
    let mut metadata = sample.metadata.clone();
    metadata.insert("order_id".to_owned(), Value::String(sample.reference.clone()));
    metadata
}

fn time(unix_ms: i64) -> String {
    let text = Civil::at(unix_ms, 0).text().replace(' ', "T");
    format!("{text}.{:03}Z", unix_ms.rem_euclid(1000))
}

fn payment(sample: &Sample, account: &Account) -> Value {
    const HOLD_MS: i64 = 7 * 86_400_000;
    let id = payment_id(sample);
    let paid = sample.state != State::Canceled;
    let shop = account.text("shop_id");
    let mut object = json!({
        "id": id,
        "status": sample.state.word(),
        "amount": amount(sample),
        "description": sample.description,
        "recipient": { "account_id": shop, "gateway_id": shop },
        "payment_method": {
            "type": "bank_card", "id": id, "saved": false, "status": "inactive", "title": "Bank card *4477",
        },
        "created_at": time(sample.now),
        "test": account.is_test(),
        "paid": paid,
        "refundable": sample.state == State::Succeeded,
        "metadata": metadata(sample),
    });
    let more = match sample.state {
        State::WaitingForCapture => ("expires_at", json!(time(sample.now.saturating_add(HOLD_MS)))),
        State::Canceled => {
            ("cancellation_details", json!({ "party": "payment_network", "reason": "insufficient_funds" }))
        }
        _ => ("captured_at", json!(time(sample.now))),
    };
    if let Some(object) = object.as_object_mut() {
        object.insert(more.0.to_owned(), more.1);
    }
    object
}

fn refund(sample: &Sample) -> Value {
    json!({
        "id": id(&format!("refund {} {} {}", sample.reference, sample.amount.minor, sample.now)),
        "payment_id": payment_id(sample),
        "status": "succeeded",
        "created_at": time(sample.now),
        "amount": amount(sample),
        "description": sample.description,
        "metadata": metadata(sample),
    })
}

fn method(sample: &Sample, account: &Account) -> Value {
    let shop = account.text("shop_id");
    json!({
        "type": "bank_card",
        "id": payment_id(sample),
        "saved": true,
        "status": "active",
        "title": "Bank card *4477",
        "holder": { "account_id": shop, "gateway_id": shop },
        "metadata": metadata(sample),
    })
}

fn payout(kind: &str, sample: &Sample) -> Value {
    json!({
        "id": format!("po-{}", payment_id(sample)),
        "amount": amount(sample),
        "status": kind.strip_prefix("payout.").unwrap_or(""),
        "payout_destination": { "type": "bank_card", "card": { "first6": "555555", "last4": "4477" } },
        "description": sample.description,
        "created_at": time(sample.now),
    })
}

fn deal(sample: &Sample) -> Value {
    json!({
        "type": "safe_deal",
        "id": format!("dl-{}", payment_id(sample)),
        "status": "closed",
        "fee_moment": "payment_succeeded",
        "balance": amount(sample),
        "payout_balance": amount(sample),
        "created_at": time(sample.now),
    })
}
