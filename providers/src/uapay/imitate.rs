//! Callbacks as UAPAY sends them.

use serde_json::{Map, Value, json};

use super::receive::key;
use crate::account::Account;
use crate::date::Civil;
use crate::digest::Hash;
use crate::fact::State;
use crate::http::Request;
use crate::jws::sign_hs256;
use crate::money::Currency;
use crate::operation::Sample;

pub(super) fn imitate(sample: &Sample, account: &Account) -> Result<Request, String> {
    if sample.amount.currency != Currency::UAH {
        return Err(format!("UAPAY takes UAH only, not {}", sample.amount.currency));
    }
    let payload = match sample.kind.as_deref() {
        None | Some("invoice") => invoice(sample, account),
        Some("order") => order(sample),
        Some("operation") if sample.state == State::WaitingForCapture && !sample.refund => {
            return Err(
                "UAPAY's operation notice does not say that a hold is settled; take kind invoice".to_owned()
            );
        }
        Some("operation") => operation(sample),
        Some(other) => return Err(format!("UAPAY has no callback {other:?}")),
    };
    let token = sign_hs256(payload.to_string().as_bytes(), key(account));
    let mut request = Request::post("application/json", json!({ "token": token }).to_string());
    request.received_at = sample.now;
    Ok(request)
}

/// `status` and `paymentStatus`.
fn states(sample: &Sample) -> (&'static str, &'static str) {
    match sample.state {
        _ if sample.refund => ("REVERSED", "REVERSED"),
        State::Pending => ("NEW", "PENDING"),
        State::WaitingForCapture => ("PAID", "HOLDED"),
        State::Succeeded => ("FINISHED", "FINISHED"),
        State::Canceled => ("CANCELED", "REJECTED"),
    }
}

fn invoice(sample: &Sample, account: &Account) -> Value {
    let (status, payment_status) = states(sample);
    let id = payment_id(sample);
    let host = if account.is_test() { "api.demo.uapay.ua" } else { "api.uapay.ua" };
    let is_over = status == "FINISHED" || status == "REVERSED";
    json!({
        "paymentId": id,
        "invoiceId": uuid("invoice", &sample.reference),
        "externalId": sample.reference,
        "paymentNumber": 249_777,
        "cardFromMasked": "4111111111",
        "cardToMasked": null,
        "amount": sample.amount.minor,
        "status": status,
        "type": if sample.state == State::WaitingForCapture { "HOLD" } else { "PAY" },
        "systemType": "ECOM",
        "paymentStatus": payment_status,
        "receiptPath": is_over.then(|| format!("https://{host}/api/acquiring/receipts/v2/{id}.pdf")),
        "extraInfo": Value::Object(Map::clone(&sample.metadata)).to_string(),
        "createDate": iso(sample.now),
        "payDate": is_over.then(|| iso(sample.now)),
    })
}

fn operation(sample: &Sample) -> Value {
    let (_, payment_status) = states(sample);
    json!({
        "paymentSystem": "ECOM",
        "paymentId": payment_id(sample),
        "operationId": uuid("operation", &sample.reference),
        "operationType": "SEND",
        "operationStatus": payment_status,
        "paymentType": "PAY",
        "paymentNumber": "249777",
        "paymentAmount": sample.amount.minor,
        "paymentCommission": 0,
        "paymentStatus": payment_status,
        "postbackTime": sample.now.to_string(),
        "operationExternalId": sample.reference,
    })
}

fn order(sample: &Sample) -> Value {
    let (status, payment_status) = states(sample);
    json!({
        "id": payment_id(sample),
        "orderId": uuid("order", &sample.reference),
        "extarnalId": sample.reference,
        "number": 249_777,
        "cardPanMasked": "4111111111",
        "amount": sample.amount.minor,
        "status": status,
        "paymentStatus": payment_status,
        "extraInfo": Value::Object(Map::clone(&sample.metadata)).to_string(),
        "createdAt": sample.now.to_string(),
    })
}

fn payment_id(sample: &Sample) -> String {
    sample.provider_id.clone().unwrap_or_else(|| uuid("payment", &sample.reference))
}

/// The form of a UUID, the same for the same reference.
fn uuid(what: &str, reference: &str) -> String {
    let hex = Hash::Sha256.hex(format!("{what} {reference}").as_bytes());
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30))
}

fn iso(ms: i64) -> String {
    format!("{}.{:03}Z", Civil::at(ms, 0).text().replace(' ', "T"), ms.rem_euclid(1000))
}
