//! The notification as bePaid would send it, proved by HTTP Basic: only bePaid can make its signature.

use serde_json::{Map, Value, json};

use super::amount;
use crate::date::Civil;
use crate::digest::{Hash, base64};
use crate::operation::Sample;
use crate::{Account, Request, State};

pub(super) fn imitate(sample: &Sample, account: &Account) -> Result<Request, String> {
    if account.switch("require_signature") {
        return Err(
            "only bePaid can make Content-Signature: switch require_signature off to imitate".to_owned()
        );
    }
    let secret = account.secret("secret_key").ok_or("the secret key (secret_key) is not set")?;
    let body = body(sample, account)?.to_string();
    let credentials = format!("{}:{}", account.text("shop_id"), secret.expose());
    let mut request = Request::post("application/json", body);
    request.headers.push(("authorization".to_owned(), format!("Basic {}", base64(credentials.as_bytes()))));
    request.received_at = sample.now;
    Ok(request)
}

fn body(sample: &Sample, account: &Account) -> Result<Value, String> {
    let cents = amount::write(&sample.amount)?;
    let kind = match (sample.kind.as_deref(), sample.refund, sample.state) {
        (Some(kind), ..) => kind,
        (None, true, _) => "refund",
        (None, false, State::WaitingForCapture) => "authorization",
        (None, false, _) => "payment",
    };
    let status = match (kind, sample.refund, sample.state) {
        ("payment", false, State::Succeeded) | ("authorization", false, State::WaitingForCapture) => {
            "successful"
        }
        ("payment" | "authorization", false, State::Canceled) => "failed",
        ("payment" | "authorization", false, State::Pending) => "pending",
        ("capture", false, State::Succeeded) | ("void", false, State::Canceled) => "successful",
        ("refund", true, _) => "successful",
        ("expired", false, State::Canceled) => return Ok(expired(sample, account, cents)),
        ("subscription", false, State::Succeeded | State::Canceled) => {
            return Ok(subscription(sample, account));
        }
        ("payment" | "authorization" | "capture" | "void" | "refund" | "expired" | "subscription", ..) => {
            return Err(format!("a {kind} does not tell this"));
        }
        _ => return Err(format!("bePaid has no kind {kind}")),
    };
    let is_child = matches!(kind, "capture" | "void" | "refund");
    let id = sample.provider_id.clone().unwrap_or_else(|| uuid(&sample.reference));
    let mut transaction = Map::new();
    let mut put = |name: &str, value: Value| transaction.insert(name.to_owned(), value);
    put("uid", json!(if is_child { uuid(&format!("{kind} of {id}")) } else { id.clone() }));
    put("status", json!(status));
    put("amount", json!(cents));
    put("currency", json!(sample.amount.currency.code()));
    put("description", json!(sample.description));
    put("type", json!(kind));
    if is_child {
        put("parent_uid", json!(id));
    } else {
        put("payment_method_type", json!("credit_card"));
    }
    put("tracking_id", json!(sample.reference));
    put("message", json!(if status == "failed" { "Payment was declined" } else { "Successfully processed" }));
    put("test", json!(account.is_test()));
    put("created_at", json!(moment(sample.now)));
    if !is_child {
        put(
            "credit_card",
            json!({"brand": "visa", "last_4": "0000", "first_1": "4", "exp_month": 1, "exp_year": 2030, "token": null}),
        );
        put("customer", json!({ "email": sample.email }));
        put("additional_data", json!({ "meta": sample.metadata }));
    }
    Ok(json!({ "transaction": transaction }))
}

fn expired(sample: &Sample, account: &Account, cents: u64) -> Value {
    json!({
        "token": Hash::Sha256.hex(sample.reference.as_bytes()),
        "transaction_type": "payment",
        "gateway_response": null,
        "order": {
            "currency": sample.amount.currency.code(),
            "amount": cents,
            "description": sample.description,
            "tracking_id": sample.reference,
            "expired_at": moment(sample.now),
        },
        "finished": false,
        "expired": true,
        "test": account.is_test(),
        "status": "error",
        "message": "Token is expired.",
    })
}

fn subscription(sample: &Sample, account: &Account) -> Value {
    let paid = sample.state == State::Succeeded;
    json!({
        "id": format!("sbs_{}", Hash::Sha256.hex(sample.reference.as_bytes()).get(..16).unwrap_or_default()),
        "state": if paid { "active" } else { "failed" },
        "tracking_id": sample.reference,
        "plan": { "currency": sample.amount.currency.code(), "test": account.is_test() },
        "last_transaction": {
            "uid": sample.provider_id.clone().unwrap_or_else(|| uuid(&sample.reference)),
            "status": if paid { "successful" } else { "failed" },
            "message": if paid { "Successfully processed" } else { "Payment was declined" },
            "created_at": moment(sample.now),
        },
    })
}

fn moment(unix_ms: i64) -> String {
    format!("{}.{:03}Z", Civil::at(unix_ms, 0).text().replace(' ', "T"), unix_ms.rem_euclid(1000))
}

/// The form of a UUID, the same for the same text.
fn uuid(text: &str) -> String {
    let hex = Hash::Sha256.hex(text.as_bytes());
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30))
}
