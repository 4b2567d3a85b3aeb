//! Notifications: a form for every transfer that has come.

use super::sign::{Proved, prove};
use crate::form::Form;
use crate::{
    Account, AmountCheck, Answer, Currency, Fact, Money, Note, Outcome, PaymentFact, PaymentRef, Proof,
    Received, Reject, RejectKind, Request, State, Sum,
};

/// Largest body, bytes.
const BODY_LEN_MAX: usize = 64 * 1024;
/// Code of the rouble here.
const ROUBLE: &str = "643";
/// The fee of a payment by card, millionths of the price.
pub(super) const CARD_FEE: u32 = 30_000;
/// The fee of a payment from a wallet, millionths of the price: a / (1 + a) with a = 1 %, rounded up.
pub(super) const WALLET_FEE: u32 = 9_901;

pub(super) fn receive(request: &Request, account: &Account) -> Result<Received, Reject> {
    if request.body.len() > BODY_LEN_MAX {
        return Err(Reject::malformed(format!("the body is larger than {BODY_LEN_MAX} bytes")));
    }
    let form = request.form().map_err(|error| Reject::malformed(error.to_string()))?;
    let proved = prove(&form, account)?;
    let mut warnings = Vec::new();
    if proved == Proved::Sha1 {
        warnings.push(
            "believed by the old sha1_hash, which does not cover withdraw_amount and unaccepted".to_owned(),
        );
    }
    let operation = form.get("operation_id").ok_or_else(|| Reject::malformed("there is no operation_id"))?;
    let kind = form.get("notification_type").unwrap_or("");
    let is_test = form.get("test_notification") == Some("true");
    let (fact, dedupe) = if is_test {
        let why = "the test button was pressed: the URL and the secret are right";
        let when = form.get("datetime").unwrap_or("");
        let what = "test-notification".to_owned();
        let note = Note { what, why: why.to_owned(), payment: PaymentRef::default() };
        (Fact::Note(note), format!("test:{when}:{}", form.get("amount").unwrap_or("")))
    } else if kind.ends_with("-incoming") {
        if !matches!(kind, "p2p-incoming" | "card-incoming") {
            warnings.push(format!("notification_type {kind:?} is new; taken like the known ones"));
        }
        let fact = incoming(kind, operation, &form, proved)?;
        let word = fact.state.word();
        (Fact::Payment(fact), format!("{operation}:{word}"))
    } else {
        let why = "a notification_type that is not known here".to_owned();
        let note = Note { what: kind.chars().take(64).collect(), why, payment: reference(operation, &form) };
        (Fact::Note(note), format!("{operation}:{kind}"))
    };
    Ok(Received { facts: vec![fact], proof: Proof::Signed, payload: form.payload(), dedupe, warnings })
}

fn reference(operation: &str, form: &Form) -> PaymentRef {
    PaymentRef {
        provider_id: Some(operation.to_owned()),
        reference: form.get("label").map(ToOwned::to_owned),
    }
}

/// The state table: money has come, or waits for the wallet's owner.
fn state(form: &Form) -> State {
    match (form.get("unaccepted"), form.get("codepro")) {
        (Some("true"), _) | (_, Some("true")) => State::Pending,
        _ => State::Succeeded,
    }
}

fn incoming(kind: &str, operation: &str, form: &Form, proved: Proved) -> Result<PaymentFact, Reject> {
    if form.get("currency") != Some(ROUBLE) {
        return Err(Reject::new(RejectKind::Unsupported, "the currency is not 643 (rouble)"));
    }
    let money = |name: &str, text: &str| {
        Money::parse(text, Currency::RUB).map_err(|error| Reject::malformed(format!("{name}: {error}")))
    };
    let net = money("amount", form.get("amount").unwrap_or(""))?;
    // What the payer paid is the price, but only `sign` covers it.
    let gross = form.get("withdraw_amount").filter(|_| proved == Proved::Sign);
    let (amount, amount_check) = match gross {
        Some(text) => (money("withdraw_amount", text)?, AmountCheck::AtLeast),
        None => (net, AmountCheck::AfterFee(if kind == "p2p-incoming" { WALLET_FEE } else { CARD_FEE })),
    };
    Ok(PaymentFact {
        payment: reference(operation, form),
        state: state(form),
        amount: Some(Sum::Money(amount)),
        amount_check,
        reason: None,
        test: false,
        method: Some(kind.to_owned()),
        saved_method: None,
        operation_key: None,
        expires_at: None,
    })
}

/// Only status 200 counts as delivered; there are three deliveries within an hour, time enough to cure a mistyped
/// secret.
pub(super) fn answer(outcome: &Outcome<'_>) -> Answer {
    match outcome {
        Outcome::Accepted | Outcome::Duplicate | Outcome::Told(_) | Outcome::Refused(_) => {
            Answer::text(200, "OK")
        }
        Outcome::Busy => Answer::text(503, "come again"),
        Outcome::Rejected(_) => Answer::text(400, "refused"),
    }
}
