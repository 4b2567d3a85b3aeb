//! ResultUrl2: a JWS signed by Robokassa, which tells of a hold or of a payment.

use serde_json::Value;

use super::keys;
use super::result::{is_invoice, is_sum, reference};
use super::shop;
use crate::account::Account;
use crate::digest::from_base64;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, State, Sum};
use crate::json;
use crate::jws::Compact;
use crate::money::Money;
use crate::outcome::{Proof, Received, Reject, RejectKind};
use crate::rsa::{self, Key};

/// Longest body that may be a wrapped token, bytes.
const BODY_LEN_MAX: usize = 64 * 1024;

/// The compact token in a body: bare, as a JSON string, or in base64 (integrators report all three).
pub(super) fn token(body: &[u8]) -> Option<String> {
    if body.len() > BODY_LEN_MAX || body.contains(&b'&') {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim();
    if is_compact(text) {
        return Some(text.to_owned());
    }
    let padded = |text: &str| {
        let missing = (4 - text.len() % 4) % 4;
        format!("{text}{}", "=".repeat(missing))
    };
    let standard = text.replace('-', "+").replace('_', "/");
    let inner = from_base64(&padded(standard.trim_end_matches('=')))?;
    let inner = std::str::from_utf8(&inner).ok()?.trim();
    is_compact(inner).then(|| inner.to_owned())
}

fn is_compact(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Proves and reads a ResultUrl2 notification.
pub(super) fn receive(token: &str, account: &Account, mut warnings: Vec<String>) -> Result<Received, Reject> {
    let token = Compact::parse(token).map_err(|error| Reject::malformed(error.to_string()))?;
    if token.alg != "RS256" {
        let reason = format!("the token's alg is {:?}; Robokassa signs with RS256", token.alg);
        return Err(Reject::new(RejectKind::WrongProof, reason));
    }
    let proof = prove(&token, account, &mut warnings);
    let payload =
        json::raw_body(&token.payload).ok_or_else(|| Reject::malformed("the token's payload is not JSON"))?;
    let value: Value =
        serde_json::from_str(payload.get()).map_err(|error| Reject::malformed(error.to_string()))?;
    let fact = fact(&value, account)?;
    let data = |name: &str| value.get("data").and_then(|data| json::member(data, name)).unwrap_or_default();
    let prefix = if proof == Proof::Signed { "jws" } else { "jws-hint" };
    let dedupe = format!("{prefix}:{}:{}:{}", data("invId"), data("state"), data("opKey"));
    Ok(Received { facts: vec![fact], proof, payload, dedupe, warnings })
}

/// Signed when one of the account's keys fits, or the key of the published certificate. Robokassa replaces its key
/// once a year, so a signature that no key fits makes a hint that its API has to confirm, not a refusal.
fn prove(token: &Compact<'_>, account: &Account, warnings: &mut Vec<String>) -> Proof {
    let fits = |key: &Key| key.verifies(token.signed.as_bytes(), &token.signature);
    let own = account.secret("jws_public_keys").map(|pem| rsa::read_pem(pem.expose()));
    match own {
        Some(Ok(keys)) if keys.iter().any(fits) => return Proof::Signed,
        Some(Err(problem)) => warnings.push(format!("jws_public_keys {problem}")),
        Some(Ok(_)) | None => {}
    }
    if keys::published().is_some_and(|key| fits(&key)) {
        return Proof::Signed;
    }
    Proof::Unproven(
        "no known key of Robokassa fits the token (has its yearly certificate changed? add it to jws_public_keys); \
         OpStateExt has to confirm it"
            .to_owned(),
    )
}

fn fact(value: &Value, account: &Account) -> Result<Fact, Reject> {
    let member = |part: &str, name: &str| value.get(part).and_then(|part| json::member(part, name));
    let data =
        |name: &str| member("data", name).ok_or_else(|| Reject::malformed(format!("data.{name} is missing")));
    let kind = member("header", "type").unwrap_or_default();
    if kind != "PaymentStateNotification" {
        let why = format!("header.type is {kind:?}, not PaymentStateNotification");
        let payment = member("data", "invId").map(|invoice| reference(&invoice)).unwrap_or_default();
        return Ok(Fact::Note(Note { what: "jws".to_owned(), why, payment }));
    }
    let shop = data("shop")?;
    if shop != account.text("merchant_login") {
        return Err(Reject::new(RejectKind::WrongAccount, format!("the token is of the shop {shop:?}")));
    }
    let invoice = data("invId")?;
    if !is_invoice(&invoice) {
        return Err(Reject::malformed("data.invId is not 1 to 19 digits"));
    }
    // The state table of ResultUrl2.
    let state = match data("state")?.as_str() {
        "OK" => State::Succeeded,
        "HOLD" => State::WaitingForCapture,
        other => {
            let why = format!("unknown state {other:?}");
            return Ok(Fact::Note(Note { what: "jws".to_owned(), why, payment: reference(&invoice) }));
        }
    };
    let sum = data("incSum")?;
    if !is_sum(&sum) {
        return Err(Reject::malformed("data.incSum is not digits with a dot, such as 100.00"));
    }
    let money =
        Money::parse(&sum, shop::currency(account)).map_err(|error| Reject::malformed(error.to_string()))?;
    Ok(Fact::Payment(PaymentFact {
        payment: reference(&invoice),
        state,
        amount: Some(Sum::Money(money)),
        // What the payer paid: the price, or more when the payer bears the commission.
        amount_check: AmountCheck::AtLeast,
        reason: None,
        test: false,
        method: member("data", "paymentMethod"),
        saved_method: None,
        operation_key: member("data", "opKey"),
        expires_at: None,
    }))
}
