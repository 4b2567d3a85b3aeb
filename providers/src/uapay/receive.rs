//! UAPAY's callbacks: a JSON object whose one member `token` is a JWT.

use serde::Deserialize;
use serde_json::Value;

use super::wire::{Payment, Wire, text};
use crate::account::Account;
use crate::digest::{Hash, from_base64};
use crate::http::Request;
use crate::json;
use crate::jws::Compact;
use crate::outcome::{Proof, Received, Reject, RejectKind};

/// Longest foreign `alg` that is repeated in a reason, characters.
const SHOWN_MAX: usize = 20;

/// The key is used as text: it looks like base64 and must not be decoded.
pub(super) fn key(account: &Account) -> &[u8] {
    account.secret("secret_key").map_or(b"", |key| key.expose().trim().as_bytes())
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    token: Option<Value>,
}

pub(super) fn receive(request: &Request, account: &Account) -> Result<Received, Reject> {
    let token = token(request)?;
    let token = Compact::parse(&token).map_err(|error| Reject::malformed(error.to_string()))?;
    if !token.is_hs256_of(key(account)) {
        return Err(refusal(&token, account));
    }
    // No claim is looked at: there is no `exp`, `iat` may be a text, and the last repetition comes a day later.
    let payload =
        json::raw_body(&token.payload).ok_or_else(|| Reject::malformed("the token holds no JSON"))?;
    let wire =
        Wire::parse(payload.get()).ok_or_else(|| Reject::malformed("the token holds no JSON object"))?;
    let payment = wire.payment(account).map_err(Reject::malformed)?;
    let reading = payment.read();
    let proof = reading.ask.map_or(Proof::Signed, |why| Proof::Unproven(why.to_owned()));
    Ok(Received {
        facts: reading.facts,
        proof,
        dedupe: dedupe(&wire, &payment),
        payload,
        warnings: Vec::new(),
    })
}

fn token(request: &Request) -> Result<String, Reject> {
    let text = request.text().ok_or_else(|| Reject::malformed("the body is not UTF-8"))?;
    let body: Option<Body> =
        text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten();
    let body = body.ok_or_else(|| Reject::malformed("the body is not a JSON object with one token"))?;
    match body.token {
        Some(Value::String(token)) if !token.is_empty() => Ok(token),
        _ => {
            let reason =
                "there is no token: a callback that is not signed (the API before 2019) proves nothing";
            Err(Reject::new(RejectKind::MissingProof, reason))
        }
    }
}

/// A redelivery has the same states and sum of the same payment.
fn dedupe(wire: &Wire, payment: &Payment) -> String {
    let Payment { id, payment_status, status, amount, .. } = payment;
    let (id, amount) = (id.as_deref().unwrap_or_default(), amount.unwrap_or_default());
    let operation = text(&wire.operation_id).map(|id| format!("/{id}")).unwrap_or_default();
    format!("{id}/{payment_status}/{status}/{amount}{operation}")
}

fn refusal(token: &Compact<'_>, account: &Account) -> Reject {
    let alg: String = token.alg.chars().take(SHOWN_MAX).collect();
    let reason = match alg.as_str() {
        "HS256" => "the token's signature does not fit (HS256)".to_owned(),
        "none" => "the token is not signed (alg none)".to_owned(),
        _ => format!("the token's alg is {alg:?}; only HS256 is taken"),
    };
    Reject::new(RejectKind::WrongProof, reason).diagnosed(Some(diagnosis(token, account).to_owned()))
}

/// Names the mistake that makes the signature fit. A fixed number of HMACs.
fn diagnosis(token: &Compact<'_>, account: &Account) -> &'static str {
    let key = key(account);
    if token.matches(Hash::Sha256, key) {
        return "the signature itself matches as HS256: only the header's alg says something else";
    }
    if token.matches(Hash::Sha384, key) || token.matches(Hash::Sha512, key) {
        return "matches as HS384 or HS512: UAPAY's protocol signs with HS256";
    }
    let text = std::str::from_utf8(key).unwrap_or_default();
    if from_base64(text).is_some_and(|decoded| token.matches(Hash::Sha256, &decoded)) {
        return "matches with the base64-decoded key: the SECRET KEY has to be used as text";
    }
    if token.matches(Hash::Sha256, text.trim_end_matches('=').as_bytes())
        || token.matches(Hash::Sha256, format!("{text}=").as_bytes())
    {
        return "matches with another number of = at the key's end: the SECRET KEY was not copied whole";
    }
    if token.matches(Hash::Sha256, account.text("client_id").as_bytes()) {
        return "matches with the shop ID as the key: client_id and secret_key are swapped";
    }
    if token.alg.starts_with("RS") {
        return "signed with an RSA key pair, as the orders API of 2018 did: ask UAPAY to switch the shop to the SECRET \
                KEY (HS256)";
    }
    "fits no usual mistake: the callback is another shop's (one address per shop), or the SECRET KEY is that of the other \
     cabinet (demo or live), or was replaced"
}
