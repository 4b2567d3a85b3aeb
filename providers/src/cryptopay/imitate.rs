//! The callback as Cryptopay would send it.

use serde_json::{Value, json};

use super::{SIGNATURE, objects};
use crate::date::Civil;
use crate::digest::Hash;
use crate::operation::Sample;
use crate::{Account, Request, State};

pub(super) fn imitate(sample: &Sample, account: &Account) -> Result<Request, String> {
    let secret =
        account.secret("callback_secret").ok_or("the callback secret (callback_secret) is not set")?;
    if sample.refund {
        return Err("Cryptopay refunds only what never succeeded; ask for canceled".to_owned());
    }
    let id = sample.provider_id.clone().unwrap_or_else(|| uuid(&sample.reference));
    if !objects::is_plain(&id) {
        return Err("an id of Cryptopay is a UUID".to_owned());
    }
    let (kind, event, data) = match sample.kind.as_deref() {
        None | Some("Invoice") => invoice(sample, &id),
        Some("ChannelPayment") => channel_payment(sample, &id),
        Some("CoinWithdrawal") => {
            ("CoinWithdrawal", "status_changed", json!({ "id": id, "status": "completed" }))
        }
        Some("Subscription") => ("Subscription", "paid", json!({ "id": id, "status": "active" })),
        Some(other) => return Err(format!("Cryptopay has no kind {other}")),
    };
    let body = json!({ "type": kind, "event": event, "data": data }).to_string();
    let signature = hex::encode(Hash::Sha256.hmac(secret.expose().as_bytes(), body.as_bytes()));
    let mut request = Request::post("application/json", body);
    request.headers.push((SIGNATURE.to_owned(), signature));
    request.received_at = sample.now;
    Ok(request)
}

fn invoice(sample: &Sample, id: &str) -> (&'static str, &'static str, Value) {
    let (event, status, context) = match sample.state {
        State::Pending => ("created", "new", None),
        State::WaitingForCapture => ("status_changed", "unresolved", Some("underpaid")),
        State::Succeeded => ("status_changed", "completed", None),
        State::Canceled => ("status_changed", "cancelled", None),
    };
    let data = json!({
        "id": id,
        "custom_id": sample.reference,
        "customer_id": null,
        "subscription_id": null,
        "status": status,
        "status_context": context,
        "address": "2NF15TqiXev1nHo66XimydDtLQ4VNaaYgaj",
        "network": "bitcoin",
        "price_amount": sample.amount.decimal(),
        "price_currency": sample.amount.currency.code(),
        "pay_amount": "0.001",
        "pay_currency": "BTC",
        "paid_amount": if sample.state == State::Succeeded { "0.001" } else { "0.0" },
        "transactions": [],
        "name": null,
        "description": sample.description,
        "metadata": sample.metadata,
        "hosted_page_url": format!("https://hosted-business.cryptopay.me/invoices/{id}"),
        "created_at": moment(sample.now),
        "expires_at": moment(sample.now.saturating_add(600_000)),
    });
    ("Invoice", event, data)
}

fn channel_payment(sample: &Sample, id: &str) -> (&'static str, &'static str, Value) {
    let (event, status, context) = match sample.state {
        State::Pending => ("created", "pending", None),
        State::WaitingForCapture => ("on_hold", "on_hold", Some("channel_disabled")),
        State::Succeeded => ("completed", "completed", None),
        State::Canceled => ("cancelled", "cancelled", None),
    };
    let data = json!({
        "id": id,
        "paid_amount": "0.001",
        "paid_currency": "BTC",
        "received_amount": sample.amount.decimal(),
        "received_currency": sample.amount.currency.code(),
        "status": status,
        "status_context": context,
        "channel_id": uuid("channel"),
        "custom_id": sample.reference,
        "network": "bitcoin",
        "created_at": moment(sample.now),
    });
    ("ChannelPayment", event, data)
}

fn moment(unix_ms: i64) -> String {
    format!("{}+00:00", Civil::at(unix_ms, 0).text().replace(' ', "T"))
}

/// The form of a UUID, the same for the same text.
fn uuid(text: &str) -> String {
    let hex = Hash::Sha256.hex(text.as_bytes());
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30))
}
