//! Proof and reading of a notification.

use std::fmt::Write as _;

use super::about::ABOUT;
use super::diagnose;
use super::message::{Body, Kind};
use crate::digest::{self, Hash};
use crate::fact::{
    AmountCheck, Fact, Note, PaymentFact, PaymentRef, Question, QuestionKind, RefundFact, State, Sum,
};
use crate::form::{Plus, decode};
use crate::http::{Method, Request};
use crate::money::Money;
use crate::outcome::{Proof, Received, Reject, RejectKind};
use crate::sources::{self, Source};
use crate::{Account, Secret};

/// Longest transaction id, digits (a signed 64-bit number).
pub(super) const TRANSACTION_DIGITS_MAX: usize = 19;

pub(super) fn receive(request: &Request, account: &Account) -> Result<Received, Reject> {
    let mut warnings = Vec::new();
    if let Source::Outside(warning) = sources::check(&ABOUT, request, account)? {
        warnings.push(warning);
    }
    let proof = prove(request, account)?;
    let body = Body::read(request)?;
    let (kind, warning) = body.kind(request.kind.as_deref())?;
    warnings.extend(warning);
    let fact = fact(kind, &body)?;
    let mut dedupe = dedupe(kind, &body, message(request));
    if matches!(proof, Proof::Unproven(_)) {
        // A hint, whose fields may have been moved, must not pass for the signed notification that follows it.
        dedupe.insert_str(0, "unproven:");
    }
    Ok(Received { facts: vec![fact], proof, payload: body.payload(), dedupe, warnings })
}

/// What is signed: the body, or the query of a GET.
pub(super) fn message(request: &Request) -> &[u8] {
    match request.method {
        Method::Get => request.query.as_bytes(),
        _ => &request.body,
    }
}

fn prove(request: &Request, account: &Account) -> Result<Proof, Reject> {
    let secret = account
        .secret("api_secret")
        .ok_or_else(|| Reject::new(RejectKind::WrongProof, "the API password (api_secret) is not set"))?;
    let raw_header = request.header("content-hmac");
    let decoded_header = request.header("x-content-hmac");
    if raw_header.is_none() && decoded_header.is_none() {
        return Err(Reject::new(
            RejectKind::MissingProof,
            "neither Content-HMAC nor X-Content-HMAC is there",
        )
        .diagnosed(diagnose::missing(request)));
    }
    let message = message(request);
    let raw = hmac(secret, message);
    if raw_header.into_iter().chain(decoded_header).any(|claimed| digest::same_base64(claimed, &raw)) {
        return Ok(Proof::Signed);
    }
    if let Some(claimed) = decoded_header
        && [Plus::Space, Plus::Plus]
            .into_iter()
            .any(|plus| decoded(message, plus).is_some_and(|text| fits(secret, text.as_bytes(), claimed)))
    {
        return Ok(Proof::Unproven(
            "only X-Content-HMAC fits, which is over the decoded body and does not fix where fields begin and end"
                .to_owned(),
        ));
    }
    Err(Reject::new(RejectKind::WrongProof, "the HMAC does not fit the body and the API password")
        .diagnosed(diagnose::wrong(request, account)))
}

/// HMAC-SHA256 with the API password.
pub(super) fn hmac(secret: &Secret, message: &[u8]) -> Vec<u8> {
    Hash::Sha256.hmac(secret.expose().as_bytes(), message)
}

pub(super) fn fits(secret: &Secret, message: &[u8], claimed: &str) -> bool {
    digest::same_base64(claimed, &hmac(secret, message))
}

/// The whole message decoded, as `X-Content-HMAC` signs it.
pub(super) fn decoded(message: &[u8], plus: Plus) -> Option<String> {
    decode(std::str::from_utf8(message).ok()?, plus).ok()
}

fn fact(kind: Option<Kind>, body: &Body) -> Result<Fact, Reject> {
    if body.get("OperationType").is_some_and(|operation| operation == "CardPayout")
        && kind != Some(Kind::Check)
    {
        return Ok(note("payout", "a payout to a card is not a payment", body));
    }
    match kind {
        Some(Kind::Check) => Ok(Fact::Question(Question {
            kind: QuestionKind::MayPay,
            payment: payment(body, "TransactionId")?,
            amount: Some(sum(body)?),
        })),
        Some(Kind::Pay) => pay(body),
        Some(Kind::Confirm) => match body.get("Status").as_deref() {
            Some("Completed") => Ok(Fact::Payment(PaymentFact {
                amount_check: AmountCheck::AtMostIfHeld,
                ..in_state(State::Succeeded, body)?
            })),
            _ => Ok(unknown_status("confirm", body)),
        },
        Some(Kind::Cancel) => Ok(Fact::Payment(PaymentFact {
            amount_check: AmountCheck::Ignore,
            ..in_state(State::Canceled, body)?
        })),
        Some(Kind::Refund) => Ok(Fact::Refund(RefundFact {
            id: transaction_id(body, "TransactionId")?,
            payment: payment(body, "PaymentTransactionId")?,
            amount: Some(sum(body)?),
            cumulative: false,
            test: is_test(body),
            if_unpaid: None,
        })),
        Some(Kind::Fail) => Ok(fail(body)),
        Some(Kind::Recurrent) => {
            let mut why = "a subscription's status concerns no payment: ".to_owned();
            let [id, status] = ["Id", "Status"].map(|name| body.get(name).unwrap_or_default());
            let _ = write!(why, "{id} is {status}");
            Ok(Fact::Note(Note { what: "recurrent".to_owned(), why, payment: PaymentRef::default() }))
        }
        Some(kind @ (Kind::Receipt | Kind::Kkt | Kind::SbpToken)) => {
            Ok(note(kind.word(), "concerns no payment's state", body))
        }
        None => Ok(note("unknown", "the fields fit no kind of notification that we know", body)),
    }
}

/// The state table of Pay: `Completed` is paid, `Authorized` is held (two-stage); the rest is not guessed.
fn pay(body: &Body) -> Result<Fact, Reject> {
    let operation = body.get("OperationType");
    let state = match (operation.as_deref(), body.get("Status").as_deref()) {
        (None | Some("Payment"), Some("Completed")) => State::Succeeded,
        (None | Some("Payment"), Some("Authorized")) => State::WaitingForCapture,
        _ => return Ok(unknown_status("pay", body)),
    };
    Ok(Fact::Payment(in_state(state, body)?))
}

fn in_state(state: State, body: &Body) -> Result<PaymentFact, Reject> {
    Ok(PaymentFact {
        payment: payment(body, "TransactionId")?,
        state,
        amount: Some(sum(body)?),
        amount_check: AmountCheck::Equal,
        reason: None,
        test: is_test(body),
        method: method(body.get("PaymentMethod").as_deref(), body.get("CardType").as_deref()),
        saved_method: saved_method(body.get("Token").as_deref(), body.get("AccountId").as_deref()),
        operation_key: None,
        expires_at: None,
    })
}

/// `PaymentMethod` is empty for cards.
pub(super) fn method(method: Option<&str>, card_type: Option<&str>) -> Option<String> {
    method.map(ToOwned::to_owned).or_else(|| card_type.map(|_| "card".to_owned()))
}

/// `token:account`: a charge by token must name the `AccountId` under which the token was issued.
pub(super) fn saved_method(token: Option<&str>, account_id: Option<&str>) -> Option<String> {
    let token = token?;
    Some(match account_id {
        Some(account) => format!("{token}:{account}"),
        None => token.to_owned(),
    })
}

fn fail(body: &Body) -> Fact {
    let [code, reason] = ["ReasonCode", "Reason"].map(|name| body.get(name).unwrap_or_default());
    note(
        "fail",
        format!("an attempt was declined, the payer may try again: {code} {reason}").trim_end(),
        body,
    )
}

fn unknown_status(what: &str, body: &Body) -> Fact {
    let [operation, status] = ["OperationType", "Status"].map(|name| body.get(name).unwrap_or_default());
    note(what, &format!("unknown OperationType {operation:?} with Status {status:?}"), body)
}

fn note(what: &str, why: &str, body: &Body) -> Fact {
    let payment = PaymentRef { provider_id: body.owned("TransactionId"), reference: body.owned("InvoiceId") };
    Fact::Note(Note { what: what.to_owned(), why: why.to_owned(), payment })
}

fn payment(body: &Body, id: &str) -> Result<PaymentRef, Reject> {
    Ok(PaymentRef { provider_id: Some(transaction_id(body, id)?), reference: body.owned("InvoiceId") })
}

fn transaction_id(body: &Body, name: &str) -> Result<String, Reject> {
    body.owned(name).filter(|id| is_transaction_id(id)).ok_or_else(|| {
        Reject::malformed(format!("{name} is missing or is not 1 to {TRANSACTION_DIGITS_MAX} digits"))
    })
}

pub(super) fn is_transaction_id(text: &str) -> bool {
    (1..=TRANSACTION_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `Amount` with `Currency`; Refund and Cancel have no currency, theirs is the payment's.
fn sum(body: &Body) -> Result<Sum, Reject> {
    let amount = body.owned("Amount").ok_or_else(|| Reject::malformed("Amount is missing"))?;
    let Some(currency) = body.get("Currency") else {
        // Any currency with two decimals will do to see that it is an amount at all.
        Money::parse(&amount, crate::Currency::RUB).map_err(|error| Reject::malformed(error.to_string()))?;
        return Ok(Sum::InPaymentCurrency(amount));
    };
    let currency = currency.parse().map_err(|_| Reject::malformed("Currency is not a currency code"))?;
    Money::parse(&amount, currency).map(Sum::Money).map_err(|error| Reject::malformed(error.to_string()))
}

fn is_test(body: &Body) -> bool {
    body.get("TestMode").is_some_and(|mode| mode == "1" || mode.eq_ignore_ascii_case("true"))
}

fn dedupe(kind: Option<Kind>, body: &Body, message: &[u8]) -> String {
    let fields: &[&str] = match kind {
        Some(Kind::Pay) => &["TransactionId", "Status"],
        Some(Kind::Check | Kind::Fail | Kind::Confirm | Kind::Cancel | Kind::Refund) => &["TransactionId"],
        Some(Kind::Recurrent) => {
            &["Id", "Status", "SuccessfulTransactionsNumber", "FailedTransactionsNumber"]
        }
        Some(Kind::Receipt | Kind::Kkt | Kind::SbpToken) | None => &[],
    };
    let mut key = kind.map_or("unknown", Kind::word).to_owned();
    for name in fields {
        let _ = write!(key, ":{}", body.get(name).unwrap_or_default());
    }
    if fields.is_empty() {
        let _ = write!(key, ":{}", Hash::Sha256.hex(message));
    }
    key
}
