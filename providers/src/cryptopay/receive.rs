//! Callbacks: proved, then read.

use serde_json::Value;

use super::{SIGNATURE, is_test, objects};
use crate::digest::{self, Hash};
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, State};
use crate::outcome::{Proof, Received, Reject, RejectKind};
use crate::{Account, Request, Secret, altered, json};

/// Largest body, bytes. Real ones have a few KiB.
const BODY_LEN_MAX: usize = 256 * 1024;

pub(super) fn receive(request: &Request, account: &Account) -> Result<Received, Reject> {
    if request.body.len() > BODY_LEN_MAX {
        return Err(Reject::malformed(format!("the body is larger than {BODY_LEN_MAX} bytes")));
    }
    prove(request, account)?;
    let payload = json::raw_body(&request.body).ok_or_else(|| Reject::malformed("the body is not JSON"))?;
    let body: Value =
        serde_json::from_str(payload.get()).map_err(|error| Reject::malformed(error.to_string()))?;
    let member = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let kind = member("type").ok_or_else(|| Reject::malformed("the body has no type"))?;
    let event = member("event").ok_or_else(|| Reject::malformed("the body has no event"))?;
    let data = body.get("data").filter(|data| data.is_object());
    let data = data.ok_or_else(|| Reject::malformed("the body has no data"))?;

    let mut proof = Proof::Signed;
    let facts = match kind {
        "Invoice" => match json::member(data, "invoice_id").filter(|id| objects::is_plain(id)) {
            // A refund or a recalculation in place of its invoice: the invoice itself says what is now.
            Some(id) => {
                proof = Proof::Unproven("it shows no invoice but names one".to_owned());
                vec![asked(id)]
            }
            None => objects::invoice(data, is_test(account)).map_err(Reject::malformed)?,
        },
        "ChannelPayment" => objects::channel_payment(data, is_test(account)).map_err(Reject::malformed)?,
        _ => vec![note(kind, event)],
    };
    let dedupe = dedupe(kind, event, data, &facts, &request.body);
    let mut warnings: Vec<String> = objects::warning(data).into_iter().collect();
    warnings.extend(facts.iter().filter_map(|fact| match fact {
        Fact::Note(note) if note.why.contains("refused") => Some(note.why.clone()),
        _ => None,
    }));
    Ok(Received { facts, proof, payload, dedupe, warnings })
}

/// What to ask the API about: says nothing by itself.
fn asked(id: String) -> Fact {
    Fact::Payment(PaymentFact {
        payment: PaymentRef { provider_id: Some(id), reference: None },
        state: State::Pending,
        amount: None,
        amount_check: AmountCheck::Ignore,
        reason: None,
        test: false,
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    })
}

fn note(kind: &str, event: &str) -> Fact {
    let why = match kind {
        "CoinWithdrawal" => "a payout, not a payment",
        "Subscription" => "a subscription; its money is told by the callbacks of its invoices",
        _ => "a type that is not known here",
    };
    let what = format!("{}.{}", objects::short(kind), objects::short(event));
    Fact::Note(Note { what, why: why.to_owned(), payment: PaymentRef::default() })
}

/// Object, event and state; of what has no effect the whole body, because a subscription is paid again and again.
fn dedupe(kind: &str, event: &str, data: &Value, facts: &[Fact], body: &[u8]) -> String {
    let has_effect = facts.iter().any(|fact| matches!(fact, Fact::Payment(_) | Fact::Refund(_)));
    match objects::id(data).filter(|_| has_effect) {
        Some(id) => {
            let [status, context] = [objects::status(data), objects::context(data)].map(objects::short);
            format!("{kind}:{id}:{}:{status}:{context}", objects::short(event))
        }
        None => format!("{}:{}", objects::short(kind), Hash::Sha256.hex(body)),
    }
}

fn prove(request: &Request, account: &Account) -> Result<(), Reject> {
    let claimed = request.header(SIGNATURE).unwrap_or("");
    if claimed.is_empty() {
        return Err(Reject::new(RejectKind::MissingProof, "the header X-Cryptopay-Signature is missing or empty")
            .diagnosed(request.header("crypto-pay-api-signature").map(|_| {
                "this is an update of Crypto Pay (@CryptoBot), another product: connect it as the provider cryptobot"
                    .to_owned()
            })));
    }
    let wrong = |reason| Reject::new(RejectKind::WrongProof, reason);
    let secret = account.secret("callback_secret");
    let secret = secret.ok_or_else(|| wrong("the callback secret (callback_secret) is not set"))?;
    if fits(claimed, secret.expose().as_bytes(), &request.body) {
        return Ok(());
    }
    Err(wrong("the signature does not fit the body and the callback secret").diagnosed(diagnose(
        claimed,
        secret,
        account,
        &request.body,
    )))
}

fn fits(claimed: &str, key: &[u8], body: &[u8]) -> bool {
    digest::same_hex(claimed, &Hash::Sha256.hmac(key, body))
}

/// The usual mistake that fits, in words.
fn diagnose(claimed: &str, secret: &Secret, account: &Account, body: &[u8]) -> Option<String> {
    let key = secret.expose().as_bytes();
    if body.len() <= altered::BODY_LEN_MAX {
        if account.secret("api_secret").is_some_and(|api| fits(claimed, api.expose().as_bytes(), body)) {
            return Some(
                "matches with the API secret: callback_secret and api_secret are swapped here".to_owned(),
            );
        }
        if digest::from_base64url(secret.expose()).is_some_and(|key| fits(claimed, &key, body)) {
            return Some("matches with the decoded secret; the text itself is the key".to_owned());
        }
        if digest::same_base64(claimed, &Hash::Sha256.hmac(key, body)) {
            return Some("the HMAC is right but written in base64; Cryptopay writes hex".to_owned());
        }
        for hash in [Hash::Sha1, Hash::Sha512] {
            if digest::same_hex(claimed, &hash.hmac(key, body)) {
                return Some(format!("matches as HMAC-{}; Cryptopay uses SHA-256", hash.name()));
            }
        }
        let altered = altered::json_bodies(body);
        if let Some((_, words)) = altered.iter().find(|(text, _)| fits(claimed, key, text)) {
            return Some((*words).to_owned());
        }
    }
    (hex::decode(claimed).map_or(0, |bytes| bytes.len()) != 32)
        .then(|| "the header is not the hex text of an HMAC-SHA256 (64 digits)".to_owned())
}
