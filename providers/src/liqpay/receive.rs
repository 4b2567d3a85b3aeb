//! LiqPay's notifications: proof, reading, and what is wrong with a signature that does not fit.

use serde_json::Value;

use super::sign::{self, Envelope};
use super::wire::{Wire, text};
use super::{TEST_PREFIX, sign::hash_of_length};
use crate::account::Account;
use crate::digest::{Hash, base64, from_base64};
use crate::http::Request;
use crate::json;
use crate::outcome::{Proof, Received, Reject, RejectKind};

/// Longest foreign key that is repeated in a reason, characters.
const SHOWN_MAX: usize = 40;

pub(super) fn receive(request: &Request, account: &Account) -> Result<Received, Reject> {
    let envelope = envelope(request)?;
    let key = account.secret("private_key").map_or("", |key| key.expose());
    if !sign::is_signed(&envelope, key) {
        return Err(refusal(&envelope, key, account));
    }
    let object =
        from_base64(&envelope.data).ok_or_else(|| Reject::malformed("the field data is not base64"))?;
    let payload = json::raw_body(&object).ok_or_else(|| Reject::malformed("the field data holds no JSON"))?;
    let wire =
        Wire::parse(payload.get()).ok_or_else(|| Reject::malformed("the field data holds no JSON object"))?;
    if let Some(foreign) = foreign_key(&wire, account) {
        return Err(foreign);
    }
    let reading = wire.read(account).map_err(Reject::malformed)?;
    let proof = reading.ask.map_or(Proof::Signed, |why| Proof::Unproven(why.to_owned()));
    let warnings = warnings(&wire, account);
    Ok(Received { facts: reading.facts, proof, dedupe: dedupe(&wire), payload, warnings })
}

/// The form's two fields. A space can only be a `+` that a proxy decoded once too often: base64 has no spaces.
fn envelope(request: &Request) -> Result<Envelope, Reject> {
    let form = request.form().map_err(|error| Reject::malformed(error.to_string()))?;
    if let Some(name) = form.duplicate().filter(|name| matches!(*name, "data" | "signature")) {
        return Err(Reject::malformed(format!("the form has the field {name} twice")));
    }
    let data = form.get("data").ok_or_else(|| {
        Reject::malformed("there is no form field data: LiqPay posts data and signature as a form")
    })?;
    let signature = form
        .get("signature")
        .ok_or_else(|| Reject::new(RejectKind::MissingProof, "there is no form field signature"))?;
    Ok(Envelope { data: data.replace(' ', "+"), signature: signature.replace(' ', "+") })
}

/// A redelivery has the same payment, status and dates; a further refund another total.
fn dedupe(wire: &Wire) -> String {
    let members = [
        &wire.payment_id,
        &wire.order_id,
        &wire.action,
        &wire.status,
        &wire.end_date,
        &wire.completion_date,
        &wire.refund_amount,
        &wire.amount,
    ];
    members.map(|member| text(member).unwrap_or_default()).join("/")
}

fn warnings(wire: &Wire, account: &Account) -> Vec<String> {
    let mut found = Vec::new();
    if text(&wire.status).as_deref() == Some("sandbox")
        && !account.text("public_key").starts_with(TEST_PREFIX)
    {
        found.push("a test payment (status sandbox) that is signed with the live keys".to_owned());
    }
    if text(&wire.status).as_deref() == Some("wait_accept") {
        found.push("the shop is not verified by LiqPay yet: the money is returned after 60 days".to_owned());
    }
    found
}

/// The refusal of a notification that names another shop than the account's.
fn foreign_key(wire: &Wire, account: &Account) -> Option<Reject> {
    let named = text(&wire.public_key)?;
    let own = account.text("public_key");
    if named == own {
        return None;
    }
    let diagnosis = match (named.starts_with(TEST_PREFIX), own.starts_with(TEST_PREFIX)) {
        (true, false) => {
            "it comes from the test pair of keys (sandbox_…), this integration has the live pair"
        }
        (false, true) => {
            "it comes from the live pair of keys, this integration has the test pair (sandbox_…)"
        }
        _ => "it comes from another shop: its server_url holds the address of this integration",
    };
    let named: String = named.chars().take(SHOWN_MAX).collect();
    let reason = format!("the notification is for the shop {named:?}, not for {own:?}");
    Some(Reject::new(RejectKind::WrongAccount, reason).diagnosed(Some(diagnosis.to_owned())))
}

/// Why the signature does not fit: a foreign shop first, then the usual mistakes.
fn refusal(envelope: &Envelope, key: &str, account: &Account) -> Reject {
    let object = from_base64(&envelope.data);
    let wire = object.as_deref().and_then(|object| std::str::from_utf8(object).ok()).and_then(Wire::parse);
    if let Some(foreign) = wire.as_ref().and_then(|wire| foreign_key(wire, account)) {
        return foreign;
    }
    let reason = match hash_of_length(&envelope.signature) {
        Some(hash) => format!("the signature does not fit ({})", hash.name()),
        None => format!(
            "the signature has {} characters: 28 (SHA-1) or 44 (SHA3-256) are expected",
            envelope.signature.len()
        ),
    };
    let diagnosis = diagnosis(envelope, object.as_deref(), key, account.text("public_key"));
    Reject::new(RejectKind::WrongProof, reason).diagnosed(Some(diagnosis.to_owned()))
}

/// Names the mistake that makes the signature fit. A fixed number of digests.
fn diagnosis(envelope: &Envelope, object: Option<&[u8]>, key: &str, public_key: &str) -> &'static str {
    let Envelope { data, signature } = envelope;
    let fits = |data: &str, key: &str| {
        [Hash::Sha1, Hash::Sha3_256].iter().any(|hash| sign::signature(*hash, key, data) == *signature)
    };
    let joined = [key, data, key].concat();
    let trimmed = data.trim();
    let standard = data.replace('-', "+").replace('_', "/");
    if object.is_none() && fits(&standard, key) {
        return "matches in the standard base64 alphabet: a proxy or a script rewrote + and / of the field data";
    }
    if trimmed != data && fits(trimmed, key) {
        return "matches without the white space around the field data";
    }
    if fits(data, public_key) {
        return "matches with the public key: the two keys are swapped in the sender or in this integration";
    }
    if key.trim() != key && fits(data, key.trim()) {
        return "matches after trimming the private key: it was saved with white space around it";
    }
    let other = [Hash::Sha256, Hash::Sha512, Hash::Md5];
    if other.iter().any(|hash| sign::signature(*hash, key, data) == *signature) {
        return "matches with another hash: LiqPay uses SHA-1, or SHA3-256 from version 7 on";
    }
    if [Hash::Sha1, Hash::Sha3_256].iter().any(|hash| {
        let digest = hash.digest(joined.as_bytes());
        hex::encode(&digest) == *signature || base64(hex::encode(&digest).as_bytes()) == *signature
    }) {
        return "matches as hex: the raw digest must be written in base64";
    }
    if [Hash::Sha1, Hash::Sha256, Hash::Sha3_256]
        .iter()
        .any(|hash| base64(&hash.hmac(key.as_bytes(), data.as_bytes())) == *signature)
    {
        return "matches as an HMAC: LiqPay hashes private_key + data + private_key";
    }
    if object.and_then(|object| std::str::from_utf8(object).ok()).is_some_and(|object| fits(object, key)) {
        return "matches over the decoded JSON: the base64 text of the field data is what has to be signed";
    }
    if object.is_some_and(|object| {
        serde_json::from_slice::<Value>(object)
            .is_ok_and(|value| fits(&base64(value.to_string().as_bytes()), key))
    }) {
        return "matches after writing the JSON anew: something on the way changed its white space";
    }
    "fits no usual mistake: the private key is another one (of another shop, or replaced in the cabinet), or the \
     field data was changed on the way"
}
