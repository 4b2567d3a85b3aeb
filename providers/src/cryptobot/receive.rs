//! Updates: proved, then read.

use serde_json::Value;

use super::{SIGNATURE, invoice, is_test, sign};
use crate::digest::{self, Hash};
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, State};
use crate::outcome::{Proof, Received, Reject, RejectKind};
use crate::{Account, Request, altered, json};

/// Largest body, bytes. Real ones have a few KiB; `payload` and the payer's comment are part of them.
const BODY_LEN_MAX: usize = 256 * 1024;

pub(super) fn receive(request: &Request, account: &Account) -> Result<Received, Reject> {
    if request.body.len() > BODY_LEN_MAX {
        return Err(Reject::malformed(format!("the body is larger than {BODY_LEN_MAX} bytes")));
    }
    prove(request, account)?;
    let payload = json::raw_body(&request.body).ok_or_else(|| Reject::malformed("the body is not JSON"))?;
    let body: Value =
        serde_json::from_str(payload.get()).map_err(|error| Reject::malformed(error.to_string()))?;
    let kind = body.get("update_type").and_then(Value::as_str);
    let kind = kind.ok_or_else(|| Reject::malformed("the body has no update_type"))?;
    if kind != "invoice_paid" {
        let what = invoice::short(kind);
        let why = "a kind of update that is not known here".to_owned();
        let dedupe = format!("{what}:{}", Hash::Sha256.hex(&request.body));
        let note = Note { what, why, payment: PaymentRef::default() };
        return Ok(Received {
            facts: vec![Fact::Note(note)],
            proof: Proof::Signed,
            payload,
            dedupe,
            warnings: Vec::new(),
        });
    }
    let object = body.get("payload").filter(|object| object.is_object());
    let object = object.ok_or_else(|| Reject::malformed("the update has no invoice (payload)"))?;
    let id = invoice::id(object).ok_or_else(|| Reject::malformed("the invoice has no invoice_id"))?;
    let status = invoice::status(object);
    let dedupe = format!("invoice_paid:{id}:{}", invoice::short(status));
    if status != "paid" {
        return Ok(Received {
            facts: vec![asked(object)],
            proof: Proof::Unproven("the update says invoice_paid, its invoice does not".to_owned()),
            payload,
            dedupe,
            warnings: vec![format!("invoice_paid with the status {:?}", invoice::short(status))],
        });
    }
    let fact = invoice::fact(object, is_test(account)).map_err(Reject::malformed)?;
    let warnings = match &fact {
        Fact::Note(note) => vec![note.why.clone()],
        _ => Vec::new(),
    };
    Ok(Received { facts: vec![fact], proof: Proof::Signed, payload, dedupe, warnings })
}

/// What to ask the API about when an update contradicts itself: says nothing by itself.
fn asked(object: &Value) -> Fact {
    Fact::Payment(PaymentFact {
        payment: invoice::payment(object),
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

fn prove(request: &Request, account: &Account) -> Result<(), Reject> {
    let claimed = request.header(SIGNATURE).unwrap_or("");
    if claimed.is_empty() {
        return Err(Reject::new(
            RejectKind::MissingProof,
            "the header crypto-pay-api-signature is missing or empty",
        )
        .diagnosed(other_header(request)));
    }
    let wrong = |reason| Reject::new(RejectKind::WrongProof, reason);
    let token = account.secret("token").ok_or_else(|| wrong("the API token (token) is not set"))?;
    if digest::same_hex(claimed, &sign(token.expose(), &request.body)) {
        return Ok(());
    }
    Err(wrong("the signature does not fit the body and the API token").diagnosed(diagnose(
        claimed,
        token.expose(),
        &request.body,
    )))
}

fn other_header(request: &Request) -> Option<String> {
    request.header("x-cryptopay-signature").map(|_| {
        "this is a callback of Cryptopay.me, another product: connect it as the provider cryptopay".to_owned()
    })
}

/// The usual mistake that fits, in words.
fn diagnose(claimed: &str, token: &str, body: &[u8]) -> Option<String> {
    let fits = |key: &[u8], body: &[u8]| digest::same_hex(claimed, &Hash::Sha256.hmac(key, body));
    if body.len() <= altered::BODY_LEN_MAX {
        let digest = Hash::Sha256.digest(token.as_bytes());
        if fits(Hash::Sha256.hex(token.as_bytes()).as_bytes(), body) {
            return Some(
                "matches with the hex text of the token's SHA-256 as the key; the sender must use its 32 bytes"
                    .to_owned(),
            );
        }
        if fits(token.as_bytes(), body) {
            return Some(
                "matches with the token itself as the key; the sender must use its SHA-256".to_owned(),
            );
        }
        let part = token.split_once(':').map_or("", |(_, part)| part);
        if !part.is_empty() && fits(&Hash::Sha256.digest(part.as_bytes()), body) {
            return Some("matches with the token without its number: it must be used whole".to_owned());
        }
        let own = Hash::Sha256.hmac(&digest, body);
        if digest::same_base64(claimed, &own) {
            return Some("the HMAC is right but written in base64; Crypto Pay writes hex".to_owned());
        }
        if let Some((_, words)) = altered::json_bodies(body).into_iter().find(|(text, _)| fits(&digest, text))
        {
            return Some(words.to_owned());
        }
    }
    (hex::decode(claimed).map_or(0, |bytes| bytes.len()) != 32)
        .then(|| "the header is not the hex text of an HMAC-SHA256 (64 digits)".to_owned())
}
