//! What LiqPay's server API answers. Its answers are JSON without a signature; TLS is all their protection.

use serde_json::Value;

use super::errors;
use super::operations::INVOICE;
use super::wire::{Wire, text, truth};
use crate::account::Account;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, State, Sum};
use crate::http::Reply;
use crate::json;
use crate::money::Money;
use crate::operation::{Done, Failure, Fault, Link, Operation, Retry, Step, Target, Wish};

pub(super) fn next(operation: &Operation, reply: &Reply, account: &Account) -> Step {
    let step = match &operation.wish {
        Wish::Create(_) => read(reply, Unclear::LookUp).and_then(|(wire, raw)| billed(&wire, raw)),
        Wish::Charge { create, .. } => read(reply, Unclear::LookUp)
            .and_then(|(wire, raw)| told(wire, raw, &create.number.to_string(), None, account)),
        Wish::Status(target) | Wish::RefundStatus { payment: target, .. } => read(reply, Unclear::Later)
            .and_then(|(wire, raw)| asked(wire, raw, &target.order_number(), Some(target.state), account)),
        Wish::Capture { payment, .. } => read(reply, Unclear::LookUp)
            .and_then(|(wire, raw)| told(wire, raw, &payment.order_number(), None, account)),
        Wish::Cancel(target) => {
            read(reply, Unclear::LookUp).and_then(|(wire, raw)| canceled(&wire, raw, target, account))
        }
        Wish::Refund { payment, amount, .. } => read(reply, Unclear::LookUp).and_then(|(wire, raw)| {
            refunded(wire, raw, payment, *amount, &operation.context.idempotency_key, account)
        }),
        Wish::CancelSubscription { id } => {
            read(reply, Unclear::LookUp).and_then(|(wire, raw)| told(wire, raw, id, None, account))
        }
        Wish::Subscriptions { id } => {
            let id = id.as_deref().unwrap_or("");
            read(reply, Unclear::Later).and_then(|(wire, raw)| asked(wire, raw, id, None, account))
        }
        Wish::Period { .. } => listed(reply, account),
        Wish::Probe => read(reply, Unclear::Later).and_then(|(wire, _)| probed(&wire)),
    };
    step.unwrap_or_else(Step::from)
}

/// What an answer that can't be understood means for the operation.
#[derive(Clone, Copy)]
enum Unclear {
    /// Nothing was changed: ask again.
    Later,
    /// It may have taken effect, and LiqPay has no idempotency key.
    LookUp,
}

type Raw = Option<Box<serde_json::value::RawValue>>;

fn read(reply: &Reply, unclear: Unclear) -> Result<(Wire, Raw), Failure> {
    let raw = json::raw_body(&reply.body);
    let wire = raw.as_ref().and_then(|raw| Wire::parse(raw.get()));
    match wire {
        Some(wire) if reply.is_success() || wire.error_code().is_some() => Ok((wire, raw)),
        _ => {
            let why =
                format!("LiqPay answered with HTTP status {} and nothing that can be read", reply.status);
            let retry = match unclear {
                Unclear::Later => Retry::Later(None),
                Unclear::LookUp => Retry::LookUp,
            };
            Err(Failure { why, code: None, fault: Fault::Provider, retry })
        }
    }
}

/// An error about the request; a payment that failed has a `payment_id` and is no such error.
fn is_refused(wire: &Wire) -> bool {
    let is_error = |member| text(member).as_deref() == Some("error");
    (is_error(&wire.result) || is_error(&wire.status)) && text(&wire.payment_id).is_none()
}

fn accepted(wire: &Wire) -> Result<(), Failure> {
    if is_refused(wire) { Err(errors::failure(wire)) } else { Ok(()) }
}

/// An answer about another order than the one we asked about is not used.
fn about_order(wire: &mut Wire, order: &str) -> Result<(), Failure> {
    match text(&wire.order_id) {
        Some(told) if told != order => Err(Failure {
            why: "LiqPay answered about another order number than the one it was asked about".to_owned(),
            code: None,
            fault: Fault::Provider,
            retry: Retry::LookUp,
        }),
        Some(_) => Ok(()),
        None => {
            wire.order_id = Some(order.into());
            Ok(())
        }
    }
}

/// The payment object of an answer; `known` is the state that we know of, when that was the question.
fn told(
    mut wire: Wire,
    raw: Raw,
    order: &str,
    known: Option<State>,
    account: &Account,
) -> Result<Step, Failure> {
    accepted(&wire)?;
    about_order(&mut wire, order)?;
    let facts = match known {
        Some(known) => wire.read_knowing(known, account),
        None => wire.read(account).map(|reading| reading.facts),
    };
    let facts = facts.map_err(|why| Failure {
        why: format!("LiqPay's answer can't be read: {why}"),
        code: None,
        fault: Fault::Provider,
        retry: Retry::LookUp,
    })?;
    let link = text(&wire.redirect_to).filter(|url| is_link(url)).map(Link::Url);
    Ok(Step::done(Done { provider_id: text(&wire.payment_id), link, facts, payload: raw, ..Done::default() }))
}

fn asked(
    wire: Wire,
    raw: Raw,
    order: &str,
    known: Option<State>,
    account: &Account,
) -> Result<Step, Failure> {
    if is_refused(&wire) && wire.error_code().as_deref() == Some(errors::NOT_FOUND) {
        let why = "LiqPay has no payment with this order number: nobody has begun to pay";
        let payment = PaymentRef { provider_id: None, reference: Some(order.to_owned()) };
        let note = Note { what: errors::NOT_FOUND.to_owned(), why: why.to_owned(), payment };
        return Ok(Step::done(Done { facts: vec![Fact::Note(note)], payload: raw, ..Done::default() }));
    }
    told(wire, raw, order, known, account)
}

/// The payments of a period; one that can't be read does not hide the others.
fn listed(reply: &Reply, account: &Account) -> Result<Step, Failure> {
    let (wire, raw) = read(reply, Unclear::Later)?;
    accepted(&wire)?;
    let Some(Value::Array(rows)) = wire.data else {
        return Err(Failure::later("LiqPay's report has no list of payments"));
    };
    let mut facts = Vec::new();
    for row in rows {
        let read = Wire::parse(&row.to_string()).and_then(|wire| wire.read(account).ok());
        match read {
            Some(reading) => facts.extend(reading.facts),
            None => facts.push(Fact::Note(Note {
                what: "reports".to_owned(),
                why: "a payment of LiqPay's report can't be read".to_owned(),
                payment: PaymentRef::default(),
            })),
        }
    }
    Ok(Step::done(Done { facts, payload: raw, ..Done::default() }))
}

fn is_link(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

fn billed(wire: &Wire, raw: Raw) -> Result<Step, Failure> {
    accepted(wire)?;
    let link = text(&wire.href).filter(|url| is_link(url)).ok_or_else(|| Failure {
        why: "LiqPay made the bill but gave no link (href) to it".to_owned(),
        code: None,
        fault: Fault::Provider,
        retry: Retry::LookUp,
    })?;
    Ok(Step::done(Done {
        provider_id: None,
        operation_key: Some(format!("{INVOICE}{}", text(&wire.id).unwrap_or_default())),
        link: Some(Link::Url(link)),
        facts: Vec::new(),
        payload: raw,
        ..Done::default()
    }))
}

/// Whether LiqPay only promises to give the money back (out of future payments).
fn is_promise(wire: &Wire) -> bool {
    truth(&wire.wait_amount) || text(&wire.status).as_deref() == Some("wait_reserve")
}

fn promise(wire: &Wire) -> Fact {
    Fact::Note(Note {
        what: "wait_reserve".to_owned(),
        why: "LiqPay accepted the refund and makes it out of future payments".to_owned(),
        payment: wire.payment(),
    })
}

/// Whether the answer says that the money went back; the payment's own failure is none of the refund's.
fn is_given_back(wire: &Wire) -> Result<(), Failure> {
    match text(&wire.status).as_deref() {
        Some("reversed" | "success" | "sandbox" | "wait_reserve") => Ok(()),
        None if text(&wire.result).as_deref() == Some("ok") => Ok(()),
        _ => Err(errors::failure(wire)),
    }
}

fn canceled(wire: &Wire, raw: Raw, target: &Target, account: &Account) -> Result<Step, Failure> {
    accepted(wire)?;
    if target.state == State::WaitingForCapture {
        is_given_back(wire)?;
    }
    let provider_id = text(&wire.payment_id).or_else(|| target.provider_id.clone());
    let fact = Fact::Payment(PaymentFact {
        payment: PaymentRef { provider_id: provider_id.clone(), reference: Some(target.order_number()) },
        state: State::Canceled,
        amount: Some(Sum::Money(target.amount)),
        amount_check: AmountCheck::Equal,
        reason: Some("canceled by the merchant".to_owned()),
        test: account.text("public_key").starts_with(super::TEST_PREFIX),
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    });
    Ok(Step::done(Done { provider_id, facts: vec![fact], payload: raw, ..Done::default() }))
}

fn refunded(
    mut wire: Wire,
    raw: Raw,
    target: &Target,
    amount: Option<Money>,
    key: &str,
    account: &Account,
) -> Result<Step, Failure> {
    if target.state == State::WaitingForCapture {
        return canceled(&wire, raw, target, account);
    }
    accepted(&wire)?;
    is_given_back(&wire)?;
    about_order(&mut wire, &target.order_number())?;
    if wire.currency.is_none() {
        wire.currency = Some(target.amount.currency.code().into());
    }
    let so_far = wire.refund_so_far(account).unwrap_or(None);
    let refund = match so_far {
        Some(fact) if !is_promise(&wire) => fact,
        _ => wire.refund(key, amount.map(|part| target.refunded_with(part)), account),
    };
    let provider_id = text(&wire.payment_id);
    let done = Done { provider_id, payload: raw, ..Done::default() };
    Ok(Step::done(match refund {
        Fact::Refund(refund) if is_promise(&wire) => {
            Done { refund_id: Some(refund.id), facts: vec![promise(&wire)], ..done }
        }
        refund => Done { facts: vec![refund], ..done },
    }))
}

fn probed(wire: &Wire) -> Result<Step, Failure> {
    let is_unknown = wire.error_code().as_deref() == Some(errors::NOT_FOUND);
    if is_refused(wire) && !is_unknown {
        return Err(errors::failure(wire));
    }
    Ok(Step::done(Done::default()))
}
