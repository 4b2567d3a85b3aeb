//! Operations at UAPAY: a session, then (for a payment that exists) a look at its invoice, then the call itself.

use super::calls::{At, Memo, lost, part, send, sum, target};
use super::replies::{Said, TIME_LIMIT, read};
use super::wire::{Payment, Weight, Wire, text};
use super::{about::ABOUT, calls};
use crate::account::Account;
use crate::date::http_date;
use crate::fact::{Fact, Note, PaymentRef, RefundFact, State, Sum};
use crate::http::Reply;
use crate::money::{Currency, Money};
use crate::operation::{Create, Done, Failure, Fault, Link, Operation, Retry, Step, Target, Wish};

pub(super) fn begin(operation: &Operation, account: &Account) -> Result<Step, Failure> {
    let never = |why| Err(Failure::never(Fault::Caller, why));
    let mut memo = Memo::default();
    match &operation.wish {
        Wish::Create(create) => creatable(create)?,
        Wish::Capture { receipt: Some(_), .. } | Wish::Refund { receipt: Some(_), .. } => {
            return never(NO_RECEIPTS);
        }
        Wish::Capture { amount: Some(amount), .. } | Wish::Refund { amount: Some(amount), .. } => {
            sum(*amount)?;
        }
        Wish::Charge { .. } => {
            return never(
                "UAPAY charges no saved card without its CVV: send the payer a new link, or make a subscription",
            );
        }
        Wish::Subscriptions { id: None } => {
            return never("UAPAY lists no subscriptions: ask for one by its invoice id");
        }
        Wish::Period { .. } => return never("UAPAY lists no payments of a period"),
        Wish::CancelSubscription { id } | Wish::Subscriptions { id: Some(id) } => memo.invoice.clone_from(id),
        _ => {}
    }
    if let Some(target) = target(operation) {
        memo.invoice = target.operation_key.clone().unwrap_or_default();
    }
    send(&memo, operation, account)
}

const NO_RECEIPTS: &str = "UAPAY's API has no fiscal receipts: leave receipt out";

fn creatable(create: &Create) -> Result<(), Failure> {
    if create.receipt.is_some() {
        return Err(Failure::never(Fault::Caller, NO_RECEIPTS));
    }
    if create.save_method {
        let why = "UAPAY keeps no card for later charges by the shop: leave save_method out, or make a subscription";
        return Err(Failure::never(Fault::Caller, why));
    }
    calls::invoice(create).map(|_| ())
}

pub(super) fn next(
    operation: &Operation,
    memo: &str,
    reply: &Reply,
    account: &Account,
) -> Result<Step, Failure> {
    let mut memo: Memo = serde_json::from_str(memo).map_err(|_| lost())?;
    let said = match read(reply, unclear(memo.at), account) {
        Ok(said) => said,
        Err(failure) if failure.code.as_deref() == Some(TIME_LIMIT) => {
            return signed_anew(memo, failure, operation, reply, account);
        }
        Err(failure) => return Err(failure),
    };
    match memo.at {
        At::Session => {
            memo.session = text(&said.wire.id).ok_or_else(|| unreadable("its session has no id"))?;
            memo.at = match &operation.wish {
                Wish::Probe => return Ok(Step::done(Done::default())),
                Wish::Create(_) => At::Create,
                Wish::CancelSubscription { .. } => At::Subscription,
                _ if memo.invoice.is_empty() => At::List,
                _ => At::Show,
            };
            send(&memo, operation, account)
        }
        At::Create => created(said),
        At::List => found(memo, &said, operation, account),
        At::Show => shown(memo, said, operation, account),
        At::Complete | At::Cancel | At::Reverse => acted(&memo, said, operation, account),
        At::Subscription => Ok(Step::done(Done {
            facts: vec![Fact::Note(Note {
                what: "subscription".to_owned(),
                why: "the subscription ends now: UAPAY makes no further charge".to_owned(),
                payment: PaymentRef::default(),
            })],
            payload: Some(said.raw),
            ..Done::default()
        })),
    }
}

/// What an answer that can't be understood means. An invoice that was made unseen has a link that nobody knows, so it
/// may be made again; a capture and a release look at the payment first; a refund must not be repeated blindly.
fn unclear(at: At) -> Retry {
    match at {
        At::Reverse => Retry::LookUp,
        _ => Retry::Later(None),
    }
}

fn unreadable(what: &str) -> Failure {
    Failure::later(format!("UAPAY's answer can't be read: {what}"))
}

/// The `Date` of the refusal says how far the clocks are apart; one repetition.
fn signed_anew(
    mut memo: Memo,
    failure: Failure,
    operation: &Operation,
    reply: &Reply,
    account: &Account,
) -> Result<Step, Failure> {
    match reply.header("date").and_then(http_date) {
        Some(theirs) if !memo.again => {
            memo.again = true;
            memo.ahead = theirs.saturating_sub(operation.context.now.div_euclid(1000));
            send(&memo, operation, account)
        }
        _ => Err(failure),
    }
}

fn created(said: Said) -> Result<Step, Failure> {
    let id = text(&said.wire.id).ok_or_else(|| unreadable("the invoice has no id"))?;
    let link = text(&said.wire.payment_page_url)
        .filter(|url| url.starts_with("https://") || url.starts_with("http://"))
        .ok_or_else(|| unreadable("the invoice has no paymentPageUrl"))?;
    Ok(Step::done(Done {
        operation_key: Some(id),
        link: Some(Link::Url(link)),
        payload: Some(said.raw),
        ..Done::default()
    }))
}

/// The newest of the invoices with our number.
fn found(mut memo: Memo, said: &Said, operation: &Operation, account: &Account) -> Result<Step, Failure> {
    let number = target(operation).map(Target::order_number).ok_or_else(lost)?;
    let invoices = Wire::list(&said.wire.invoices);
    let ours = invoices.iter().rev().find(|invoice| text(&invoice.external_id).as_ref() == Some(&number));
    let Some(id) = ours.and_then(|invoice| text(&invoice.id)) else {
        let why = "UAPAY has no invoice with this order number";
        return match &operation.wish {
            Wish::Status(_) | Wish::RefundStatus { .. } => {
                let payment = PaymentRef { provider_id: None, reference: Some(number) };
                let note = Note { what: "no_invoice".to_owned(), why: why.to_owned(), payment };
                Ok(Step::done(Done { facts: vec![Fact::Note(note)], ..Done::default() }))
            }
            _ => Err(Failure::never(Fault::Caller, why)),
        };
    };
    memo.invoice = id;
    memo.at = At::Show;
    send(&memo, operation, account)
}

/// An invoice and its payments: told as they are, or the ground for the call that is wanted.
fn shown(mut memo: Memo, said: Said, operation: &Operation, account: &Account) -> Result<Step, Failure> {
    if text(&said.wire.id).is_some_and(|id| id != memo.invoice) {
        return Err(unreadable("it is about another invoice"));
    }
    let Some(target) = target(operation) else {
        return Ok(Step::done(Done {
            operation_key: Some(memo.invoice),
            payload: Some(said.raw),
            ..Done::default()
        }));
    };
    let payment = best(&said.wire, &memo, target, account)?;
    let told = |payment: &Payment| {
        Ok(Step::done(Done {
            provider_id: payment.id.clone(),
            operation_key: Some(memo.invoice.clone()),
            facts: payment.read_knowing(target.state),
            payload: Some(said.raw.clone()),
            ..Done::default()
        }))
    };
    let refuse = |why: &str| {
        Err(Failure::never(Fault::Caller, format!("{why} (paymentStatus {})", payment.payment_status)))
    };
    let held = payment.amount.unwrap_or_default();
    memo.at = match (&operation.wish, payment.weight()) {
        (Wish::Status(_) | Wish::RefundStatus { .. }, _) => return told(&payment),
        (Wish::Capture { amount: Some(amount), .. } | Wish::Refund { amount: Some(amount), .. }, _)
            if amount.minor > held =>
        {
            return refuse("the amount is more than was paid or held");
        }
        (Wish::Capture { .. }, Weight::Held) => At::Complete,
        (Wish::Cancel(_), Weight::Held) => At::Cancel,
        (Wish::Refund { amount, .. }, Weight::Held) if amount.is_none_or(|amount| amount.minor == held) => {
            At::Cancel
        }
        (Wish::Refund { .. }, Weight::Held) => {
            return refuse("the sum is only held: capture the smaller amount instead");
        }
        (Wish::Refund { .. }, Weight::Paid) => At::Reverse,
        // What was wanted has happened: an earlier call whose answer was lost.
        (Wish::Capture { .. }, Weight::Paid)
        | (Wish::Cancel(_), Weight::Over)
        | (Wish::Refund { amount: None, .. }, Weight::Returned) => return told(&payment),
        (Wish::Refund { .. }, Weight::Returned) => At::Reverse,
        (Wish::Capture { .. }, _) => {
            return refuse("UAPAY holds no sum of this payment that could be captured");
        }
        (Wish::Cancel(_), Weight::Paid) => return refuse("the payment is paid: refund it instead"),
        (Wish::Cancel(_), _) => {
            return refuse(
                "UAPAY has no documented way to withdraw an unpaid invoice: it ends when nobody pays it",
            );
        }
        _ => return refuse("there is nothing to refund"),
    };
    memo.payment = payment.id.clone().ok_or_else(|| unreadable("the payment has no id"))?;
    memo.sum = held;
    send(&memo, operation, account)
}

/// The payment that counts: the one we know if it is paid, held or returned, else that which settles most. Nobody may
/// have tried yet.
fn best(wire: &Wire, memo: &Memo, target: &Target, account: &Account) -> Result<Payment, Failure> {
    let mut payments = Vec::new();
    for row in Wire::list(&wire.payments) {
        let mut row = row;
        row.invoice_id = Some(memo.invoice.clone().into());
        let mut payment = row.payment(account).map_err(|why| unreadable(&why))?;
        payment.reference = Some(target.order_number());
        payment.kind = text(&wire.kind);
        payments.push(payment);
    }
    let own = payments.iter().find(|payment| {
        payment.id.is_some() && payment.id == target.provider_id && payment.weight() >= Weight::Returned
    });
    let best = own.or_else(|| payments.iter().max_by_key(|payment| payment.weight()));
    Ok(best.cloned().unwrap_or_else(|| Payment {
        id: None,
        invoice: Some(memo.invoice.clone()),
        reference: Some(target.order_number()),
        amount: text(&wire.amount).and_then(|text| text.parse().ok()),
        status: "NEW".to_owned(),
        payment_status: "OPEN".to_owned(),
        kind: text(&wire.kind),
        test: account.is_test(),
    }))
}

/// UAPAY accepted a capture, a release or a refund.
fn acted(memo: &Memo, said: Said, operation: &Operation, account: &Account) -> Result<Step, Failure> {
    let target = target(operation).ok_or_else(lost)?;
    if text(&said.wire.payment_id).is_some_and(|id| id != memo.payment) {
        return Err(Failure {
            why: format!("{} answered about another payment", ABOUT.title.en),
            code: None,
            fault: Fault::Provider,
            retry: Retry::LookUp,
        });
    }
    let mut payment = Payment {
        id: Some(memo.payment.clone()),
        invoice: Some(memo.invoice.clone()),
        reference: Some(target.order_number()),
        amount: Some(memo.sum),
        test: account.is_test(),
        ..Payment::default()
    };
    let part = part(operation, memo);
    let fact = match memo.at {
        At::Complete => {
            payment.kind = Some("HOLD".to_owned());
            payment.amount = part.or(Some(memo.sum));
            payment.state(State::Succeeded, None)
        }
        At::Cancel => payment.state(State::Canceled, Some("canceled by the merchant".to_owned())),
        _ => Fact::Refund(RefundFact {
            // The whole sum carries the id of the callback that follows; a part one of its own.
            id: match part {
                Some(_) => format!("{}-{}", memo.payment, operation.context.idempotency_key),
                None => memo.payment.clone(),
            },
            payment: payment.reference(),
            amount: Some(Sum::Money(part.map_or(Money::new(memo.sum, Currency::UAH), |part| {
                target.refunded_with(Money::new(part, Currency::UAH))
            }))),
            cumulative: part.is_some(),
            test: payment.test,
            if_unpaid: None,
        }),
    };
    Ok(Step::done(Done {
        provider_id: payment.id,
        operation_key: payment.invoice,
        facts: vec![fact],
        payload: Some(said.raw),
        ..Done::default()
    }))
}
