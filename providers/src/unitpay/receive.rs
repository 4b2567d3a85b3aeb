//! Proving and reading the handler's requests.

use std::str::FromStr;

use super::about::{ABOUT, LEGACY_SOURCES};
use super::signature::{Params, SEPARATOR, cut};
use super::{HOLD_MS, diagnosis, project_id};
use crate::account::Account;
use crate::date::{Civil, MOSCOW};
use crate::digest;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, Question, QuestionKind, State, Sum};
use crate::form::Form;
use crate::http::{Method, Request};
use crate::money::{Currency, Money};
use crate::outcome::{Proof, Received, Reject, RejectKind};
use crate::sources::{self, Source};

/// The state that each method tells; `check` asks, and an unknown method is noted.
fn state(method: &str) -> Option<State> {
    match method {
        "preauth" => Some(State::WaitingForCapture),
        "pay" => Some(State::Succeeded),
        // Not final: a pay may follow and wins.
        "error" => Some(State::Canceled),
        _ => None,
    }
}

pub(super) fn receive(request: &Request, account: &Account) -> Result<Received, Reject> {
    if request.method != Method::Get {
        return Err(Reject::new(RejectKind::Unsupported, "Unitpay's handler requests are GET").diagnosed(
            Some("a redirect or a proxy on the way turned the GET into another method".to_owned()),
        ));
    }
    let form = request.form().map_err(|error| Reject::malformed(error.to_string()))?;
    let params = Params::of(&form)?;
    let mut warnings = Vec::new();
    prove(&params, &form, account, &mut warnings)?;
    warnings.extend(check_source(request, account)?);
    let facts = vec![read(&params, account)?];
    let test = params.get("test") == Some("1");
    let dedupe = format!(
        "{}:{}{}",
        params.get("unitpayId").unwrap_or(""),
        params.method,
        if test { ":test" } else { "" }
    );
    let proof = if params.values.values().any(|value| value.contains(SEPARATOR)) {
        Proof::Unproven(format!(
            "a value holds {SEPARATOR}, which joins the signed values: it may be several values"
        ))
    } else {
        Proof::Signed
    };
    Ok(Received { facts, proof, payload: payload(&form), dedupe, warnings })
}

/// Checks the signature. A test request may be signed with the key for test mode, which only ever proves test facts.
fn prove(
    params: &Params<'_>,
    form: &Form,
    account: &Account,
    warnings: &mut Vec<String>,
) -> Result<(), Reject> {
    let Some(claimed) = params.get("signature") else {
        return Err(Reject::new(RejectKind::MissingProof, "there is no params[signature]")
            .diagnosed(diagnosis::without_signature(params, account)));
    };
    let fits = |key: &str| {
        account.secret(key).is_some_and(|secret| {
            digest::same(claimed.as_bytes(), params.signature(secret.expose()).as_bytes())
        })
    };
    if fits("project_secret") {
        return Ok(());
    }
    if params.get("test") == Some("1") && fits("test_secret") {
        warnings.push("signed with the secret key for test mode".to_owned());
        return Ok(());
    }
    Err(Reject::new(
        RejectKind::WrongProof,
        "the signature does not fit the request and the project's secret key",
    )
    .diagnosed(diagnosis::diagnose(params, form, account)))
}

/// The source rule, with the addresses of before 2025 where the merchant opted in.
fn check_source(request: &Request, account: &Account) -> Result<Option<String>, Reject> {
    let legacy = account.switch("legacy_sources")
        && request.peer.is_some_and(|address| sources::contains(LEGACY_SOURCES, address));
    if legacy {
        return Ok(None);
    }
    Ok(match sources::check(&ABOUT, request, account)? {
        Source::Outside(words) => Some(words),
        Source::Inside | Source::Unchecked => None,
    })
}

fn read(params: &Params<'_>, account: &Account) -> Result<Fact, Reject> {
    let payment = PaymentRef {
        provider_id: Some(demand(params, "unitpayId", "digits", super::is_number)?.to_owned()),
        reference: params.get("account").map(ToOwned::to_owned),
    };
    let project = demand(params, "projectId", "digits", super::is_number)?;
    if project != project_id(account) {
        let reason = format!("is for project {}, not for {}", cut(project), project_id(account));
        return Err(Reject::new(RejectKind::WrongAccount, reason));
    }
    if params.method == "check" {
        let amount = Some(Sum::Money(amount(params)?));
        return Ok(Fact::Question(Question { kind: QuestionKind::MayPay, payment, amount }));
    }
    let Some(state) = state(params.method) else {
        let why = "a method that the documentation does not name; nothing follows from it".to_owned();
        return Ok(Fact::Note(Note { what: cut(params.method), why, payment }));
    };
    let held_since = params.get("date").and_then(Civil::parse).and_then(|civil| civil.unix_ms(MOSCOW));
    Ok(Fact::Payment(PaymentFact {
        payment,
        state,
        amount: Some(Sum::Money(amount(params)?)),
        amount_check: AmountCheck::Equal,
        reason: params.get("errorMessage").filter(|_| state == State::Canceled).map(ToOwned::to_owned),
        test: params.get("test") == Some("1"),
        method: params.get("paymentType").map(ToOwned::to_owned),
        saved_method: params.get("subscriptionId").map(ToOwned::to_owned),
        operation_key: None,
        expires_at: held_since
            .filter(|_| state == State::WaitingForCapture)
            .map(|since| since.saturating_add(HOLD_MS)),
    }))
}

fn amount(params: &Params<'_>) -> Result<Money, Reject> {
    let code = demand(params, "orderCurrency", "a currency code", |text| text.len() == 3)?;
    let sum = demand(params, "orderSum", "an amount", |_| true)?;
    let currency = Currency::from_str(code).map_err(|error| Reject::malformed(error.to_string()))?;
    Money::parse(sum, currency).map_err(|error| Reject::malformed(format!("orderSum: {error}")))
}

/// A documented parameter that must be there: names are not signed, so a renamed one must not pass for it.
fn demand<'a>(
    params: &Params<'a>,
    name: &str,
    what: &str,
    fits: fn(&str) -> bool,
) -> Result<&'a str, Reject> {
    params
        .get(name)
        .filter(|value| fits(value))
        .ok_or_else(|| Reject::malformed(format!("params[{name}] is missing or is not {what}")))
}

/// The query as an object; of a repeated name the last value, which is the one that counted.
fn payload(form: &Form) -> Box<serde_json::value::RawValue> {
    let fields = form.fields().iter().map(|field| (field.name.clone(), field.value.clone().into()));
    crate::json::raw(&serde_json::Value::Object(fields.collect()))
}
