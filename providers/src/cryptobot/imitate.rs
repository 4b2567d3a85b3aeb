//! The update as Crypto Pay would send it.

use serde_json::{Map, Value, json};

use super::{SIGNATURE, is_test, sign};
use crate::date::Civil;
use crate::digest::Hash;
use crate::operation::Sample;
use crate::{Account, Request, State};

pub(super) fn imitate(sample: &Sample, account: &Account) -> Result<Request, String> {
    match sample.kind.as_deref() {
        None | Some("invoice_paid") => {}
        Some(other) => return Err(format!("Crypto Pay has no kind {other}; it has invoice_paid")),
    }
    if sample.refund || sample.state != State::Succeeded {
        return Err("Crypto Pay only tells that an invoice was paid; the rest is seen by asking".to_owned());
    }
    let token = account.secret("token").ok_or("the API token (token) is not set")?;
    let body = json!({
        "update_id": 1,
        "update_type": "invoice_paid",
        "request_date": moment(sample.now),
        "payload": invoice(sample, account),
    })
    .to_string();
    let signature = hex::encode(sign(token.expose(), body.as_bytes()));
    let mut request = Request::post("application/json", body);
    request.headers.push((SIGNATURE.to_owned(), signature));
    request.received_at = sample.now;
    Ok(request)
}

fn invoice(sample: &Sample, account: &Account) -> Value {
    let currency = sample.amount.currency;
    let id = sample.provider_id.clone().unwrap_or_else(|| number_of(&sample.reference));
    let hash: String = Hash::Sha256.hex(id.as_bytes()).chars().take(12).collect();
    let bot = if is_test(account) { "CryptoTestnetBot" } else { "CryptoBot" };
    let mut invoice = Map::new();
    let mut put = |name: &str, value: Value| invoice.insert(name.to_owned(), value);
    // An id that is no number can't be Crypto Pay's, but is what the caller asked for.
    put("invoice_id", id.parse::<u64>().map_or_else(|_| json!(id), |id| json!(id)));
    put("hash", json!(hash));
    if currency.is_coin() {
        put("currency_type", json!("crypto"));
        put("asset", json!(currency.code()));
    } else {
        put("currency_type", json!("fiat"));
        put("fiat", json!(currency.code()));
        put("paid_asset", json!("USDT"));
        put("paid_amount", json!("1"));
    }
    put("amount", json!(sample.amount.shortest()));
    put("bot_invoice_url", json!(format!("https://t.me/{bot}?start={hash}")));
    put("description", json!(sample.description));
    put("status", json!("paid"));
    put("created_at", json!(moment(sample.now)));
    put("allow_comments", json!(false));
    put("allow_anonymous", json!(true));
    put("paid_at", json!(moment(sample.now)));
    put("paid_anonymously", json!(false));
    put("payload", json!(sample.reference));
    Value::Object(invoice)
}

fn moment(unix_ms: i64) -> String {
    format!("{}.{:03}Z", Civil::at(unix_ms, 0).text().replace(' ', "T"), unix_ms.rem_euclid(1000))
}

/// An invoice's id made from text: the same for the same text.
fn number_of(text: &str) -> String {
    let digest = Hash::Sha256.digest(text.as_bytes());
    digest.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte)).to_string()
}
