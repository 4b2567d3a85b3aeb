//! Notifications of API v3: unsigned JSON.

use serde_json::Value;

use super::{ABOUT, objects};
use crate::digest::Hash;
use crate::sources::{self, Source};
use crate::{
    Account, Answer, Fact, Note, Outcome, PaymentRef, Proof, Received, Reject, RejectKind, Request, json,
};

/// Largest body, bytes. Real ones have a few KiB.
const BODY_LEN_MAX: usize = 256 * 1024;

pub(super) fn receive(request: &Request, account: &Account) -> Result<Received, Reject> {
    let source = sources::check(&ABOUT, request, account)?;
    if request.body.len() > BODY_LEN_MAX {
        return Err(Reject::malformed(format!("the body is larger than {BODY_LEN_MAX} bytes")));
    }
    let payload = json::raw_body(&request.body)
        .ok_or_else(|| Reject::malformed("the body is not JSON: YooKassa sends a JSON object"))?;
    let body: Value = serde_json::from_str(payload.get())
        .map_err(|error| Reject::malformed(format!("the body is not readable: {error}")))?;
    if body.get("type").and_then(Value::as_str) != Some("notification") {
        return Err(Reject::malformed("the body's type is not \"notification\""));
    }
    let event = body.get("event").and_then(Value::as_str).filter(|event| !event.is_empty());
    let event = event.ok_or_else(|| Reject::malformed("the body names no event"))?;
    let object = body.get("object").filter(|object| object.is_object());
    let object = object.ok_or_else(|| Reject::malformed("the body has no object"))?;
    check_shop(object, account)?;
    let fact = fact(event, object)?;
    let dedupe = match objects::id(object) {
        Ok(id) => format!("{event}:{id}"),
        Err(_) => format!("{event}:{}", Hash::Sha256.hex(&request.body)),
    };
    let (proof, warnings) = match source {
        Source::Inside => (Proof::Sourced, Vec::new()),
        Source::Outside(what) => {
            (Proof::Unproven("not signed, and from a foreign address".to_owned()), vec![what])
        }
        Source::Unchecked => (Proof::Unproven("not signed".to_owned()), Vec::new()),
    };
    Ok(Received { facts: vec![fact], proof, payload, dedupe, warnings })
}

/// The shop that a payment (`recipient`) or a saved method (`holder`) belongs to must be ours; other objects do not
/// name one.
fn check_shop(object: &Value, account: &Account) -> Result<(), Reject> {
    let named = ["recipient", "holder"].iter().find_map(|name| object.get(name));
    match named.and_then(|named| json::member(named, "account_id")) {
        Some(shop) if shop != account.text("shop_id") => Err(Reject::new(
            RejectKind::WrongAccount,
            format!("it is about shop {}, not about shop {}", objects::short(&shop), account.text("shop_id")),
        )
        .diagnosed(Some(
            "the notification URL of another shop points here; a test shop has an id, a key and a URL of its own"
                .to_owned(),
        ))),
        _ => Ok(()),
    }
}

fn fact(event: &str, object: &Value) -> Result<Fact, Reject> {
    let malformed = |why: String| Reject::malformed(format!("{}: {why}", objects::short(event)));
    let (kind, status) = event.split_once('.').unwrap_or((event, ""));
    if matches!(kind, "payment" | "refund") && objects::status(object) != status {
        return Err(malformed(format!(
            "the object's status is {:?}",
            objects::short(objects::status(object))
        )));
    }
    let why = match kind {
        "payment" => return objects::payment(object).map_err(malformed),
        "refund" => return objects::refund(object).map_err(malformed),
        "payment_method" => "a saved method, not a payment",
        "payout" => "a payout, not a payment",
        "deal" => "a safe deal, not a payment",
        _ => "an event that is not known here",
    };
    let payment = PaymentRef::default();
    Ok(Fact::Note(Note { what: objects::short(event), why: why.to_owned(), payment }))
}

/// Only status 200 counts as delivered; the body is ignored. A refused notification is kept all the same, and a
/// no would only bring it again for 24 hours.
pub(super) fn answer(outcome: &Outcome<'_>) -> Answer {
    match outcome {
        Outcome::Accepted | Outcome::Duplicate | Outcome::Told(_) | Outcome::Refused(_) => {
            Answer::text(200, "OK")
        }
        Outcome::Busy => Answer::text(503, "come again"),
        Outcome::Rejected(reject) => match reject.kind {
            RejectKind::ForeignSource
            | RejectKind::WrongAccount
            | RejectKind::WrongProof
            | RejectKind::MissingProof => Answer::text(403, "refused"),
            RejectKind::Malformed | RejectKind::Unsupported => Answer::text(400, "not understood"),
        },
    }
}
