//! What we ask of LiqPay: checkout links, bills, and the actions of its server API.

use std::str::FromStr as _;

use serde_json::{Map, Value};

use super::about::API_BASE;
use super::errors;
use super::sign::{request, seal};
use super::wire::{Wire, text, truth};
use crate::account::Account;
use crate::date::Civil;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, State, Sum};
use crate::form;
use crate::http::{Call, Reply};
use crate::json;
use crate::money::Money;
use crate::operation::{Create, Done, Failure, Fault, Link, Operation, Retry, Step, Target, Wish};

/// Longest link that messengers and browsers take without trouble, bytes; beyond it the payer's browser posts a form.
const LINK_LEN_MAX: usize = 2000;
/// LiqPay cuts a description there, characters.
const DESCRIPTION_MAX: usize = 2048;
/// Longest `result_url` and `server_url`, bytes.
const URL_LEN_MAX: usize = 510;
/// Longest product name, characters.
const PRODUCT_NAME_MAX: usize = 100;
/// Longest product description, characters.
const PRODUCT_DESCRIPTION_MAX: usize = 500;
/// Longest `customer`, characters.
const CUSTOMER_MAX: usize = 100;
/// What a bill's `operation_key` begins with: bills can be canceled, checkout links can't.
const INVOICE: &str = "invoice:";
/// Members of a payment's metadata that are for this adapter and not for the payer's record.
const OWN_METADATA: [&str; 2] = ["subscribe", "ip"];

pub(super) fn begin(operation: &Operation, account: &Account) -> Step {
    let step = match &operation.wish {
        Wish::Create(create) => begin_create(create, operation.context.now, account),
        Wish::Charge { create, saved_method } => charge(create, saved_method, account),
        Wish::Status(target) | Wish::RefundStatus { payment: target, .. } => {
            Ok(status(&target.order_number(), account))
        }
        Wish::Capture { payment, amount, receipt } => capture(payment, *amount, receipt.as_ref(), account),
        Wish::Cancel(target) => cancel(target, account),
        Wish::Refund { payment, amount, .. } => refund(payment, *amount, account),
        Wish::CancelSubscription { id } => Ok(on_order("unsubscribe", id, account)),
        Wish::Subscriptions { id: Some(id) } => Ok(status(id, account)),
        Wish::Subscriptions { id: None } => Err(Failure::never(
            Fault::Caller,
            "LiqPay lists no subscriptions: ask for one by its order number",
        )),
        Wish::Period { from, to } => Ok(reports(*from, *to, account)),
        // An order number that nobody has: good keys get `payment_not_found`, bad ones an error of their own.
        Wish::Probe => Ok(status(&format!("kassir-probe-{}", operation.context.idempotency_key), account)),
    };
    step.unwrap_or_else(Step::from)
}

pub(super) fn next(operation: &Operation, reply: &Reply, account: &Account) -> Step {
    let step = match &operation.wish {
        Wish::Create(_) => read(reply, Unclear::LookUp).and_then(|(wire, raw)| billed(&wire, raw)),
        Wish::Charge { create, .. } => read(reply, Unclear::LookUp)
            .and_then(|(wire, raw)| told(wire, raw, &create.number.to_string(), account)),
        Wish::Status(target) | Wish::RefundStatus { payment: target, .. } => read(reply, Unclear::Later)
            .and_then(|(wire, raw)| asked(wire, raw, &target.order_number(), account)),
        Wish::Capture { payment, .. } => read(reply, Unclear::LookUp)
            .and_then(|(wire, raw)| told(wire, raw, &payment.order_number(), account)),
        Wish::Cancel(target) => {
            read(reply, Unclear::LookUp).and_then(|(wire, raw)| canceled(&wire, raw, target, account))
        }
        Wish::Refund { payment, amount, .. } => read(reply, Unclear::LookUp).and_then(|(wire, raw)| {
            refunded(wire, raw, payment, *amount, &operation.context.idempotency_key, account)
        }),
        Wish::CancelSubscription { id } => {
            read(reply, Unclear::LookUp).and_then(|(wire, raw)| told(wire, raw, id, account))
        }
        Wish::Subscriptions { id } => {
            let id = id.as_deref().unwrap_or("");
            read(reply, Unclear::Later).and_then(|(wire, raw)| asked(wire, raw, id, account))
        }
        Wish::Period { .. } => listed(reply, account),
        Wish::Probe => read(reply, Unclear::Later).and_then(|(wire, _)| probed(&wire)),
    };
    step.unwrap_or_else(Step::from)
}

// ---- requests

fn post(object: Map<String, Value>, account: &Account) -> Step {
    let envelope = seal(object, account);
    let body = form::build([("data", envelope.data.as_str()), ("signature", envelope.signature.as_str())]);
    let url = format!("{}/api/request", account.base(API_BASE));
    Step::send(Call::post(url, "application/x-www-form-urlencoded", body))
}

fn on_order(action: &str, order: &str, account: &Account) -> Step {
    let mut object = request(action, account);
    object.insert("order_id".to_owned(), order.into());
    post(object, account)
}

fn status(order: &str, account: &Account) -> Step {
    on_order("status", order, account)
}

/// The payments of a period.
fn reports(from: i64, to: i64, account: &Account) -> Step {
    let mut object = request("reports", account);
    object.insert("date_from".to_owned(), from.into());
    object.insert("date_to".to_owned(), to.into());
    object.insert("resp_format".to_owned(), "json".into());
    post(object, account)
}

/// The amount as a JSON number of major units.
fn number(money: Money) -> Result<Value, Failure> {
    if money.minor <= 0 {
        return Err(Failure::never(Fault::Caller, "the amount must be more than zero"));
    }
    if !matches!(money.currency.code(), "UAH" | "USD" | "EUR") {
        return Err(Failure::never(
            Fault::Caller,
            format!("LiqPay takes UAH, USD and EUR, not {}", money.currency),
        ));
    }
    serde_json::Number::from_str(&money.shortest())
        .map(Value::Number)
        .map_err(|_| Failure::never(Fault::Us, "the amount can't be written as a number"))
}

fn url(member: &str, url: &str) -> Result<Value, Failure> {
    if url.len() > URL_LEN_MAX {
        let why = format!("{member} is longer than the {URL_LEN_MAX} bytes that LiqPay takes");
        return Err(Failure::never(Fault::Caller, why));
    }
    Ok(url.into())
}

fn cut(text: &str, max: usize) -> Value {
    Value::String(text.chars().take(max).collect())
}

/// What checkout, bill and charge have in common.
fn payment(object: &mut Map<String, Value>, create: &Create) -> Result<(), Failure> {
    object.insert("amount".to_owned(), number(create.amount)?);
    object.insert("currency".to_owned(), create.amount.currency.code().into());
    object.insert("description".to_owned(), cut(&create.description, DESCRIPTION_MAX));
    object.insert("order_id".to_owned(), create.number.to_string().into());
    Ok(())
}

/// Addresses, the caller's own data, goods and receipt.
fn surroundings(object: &mut Map<String, Value>, create: &Create) -> Result<(), Failure> {
    for (member, address) in [("result_url", &create.return_url), ("server_url", &create.notify_url)] {
        if let Some(address) = address {
            object.insert(member.to_owned(), url(member, address)?);
        }
    }
    let mut metadata = create.metadata.clone();
    metadata.retain(|name, _| !OWN_METADATA.contains(&name.as_str()));
    if !metadata.is_empty() {
        object.insert("info".to_owned(), Value::Object(metadata).to_string().into());
    }
    if let [line] = create.order.as_slice() {
        object.insert("product_name".to_owned(), cut(&line.name, PRODUCT_NAME_MAX));
        if let Some(words) = &line.description {
            object.insert("product_description".to_owned(), cut(words, PRODUCT_DESCRIPTION_MAX));
        }
    }
    if let Some(receipt) = &create.receipt {
        object.insert("rro_info".to_owned(), receipt.clone());
    }
    Ok(())
}

fn begin_create(create: &Create, now: i64, account: &Account) -> Result<Step, Failure> {
    let subscription = subscription(create, now)?;
    let kind = match (&subscription, create.hold) {
        (Some(_), true) => {
            return Err(Failure::never(Fault::Caller, "LiqPay can't hold the sum of a subscription"));
        }
        (Some(_), false) => "subscribe",
        (None, true) => "hold",
        (None, false) => "pay",
    };
    let is_bill = account.setting("create_with") == Some("invoice");
    let mut object = request(if is_bill { "invoice_send" } else { kind }, account);
    payment(&mut object, create)?;
    if is_bill {
        object.insert("action_payment".to_owned(), kind.into());
        bill_receiver(&mut object, create)?;
    }
    if let Some(language) = account.setting("language") {
        object.insert("language".to_owned(), language.into());
    }
    if let Some(paytypes) = account.setting("paytypes").filter(|_| !is_bill) {
        object.insert("paytypes".to_owned(), paytypes.into());
    }
    object.extend(subscription.into_iter().flatten());
    surroundings(&mut object, create)?;
    if create.save_method {
        object.insert("recurringbytoken".to_owned(), "1".into());
        if let Some(id) = create.contact.as_ref().and_then(|contact| json::text(&contact.id)) {
            object.insert("customer".to_owned(), cut(&id, CUSTOMER_MAX));
        }
    }
    Ok(if is_bill { post(object, account) } else { Step::link(checkout(object, account)) })
}

fn checkout(object: Map<String, Value>, account: &Account) -> Link {
    let envelope = seal(object, account);
    let action = format!("{}/api/3/checkout", account.base(API_BASE));
    let query = form::build([("data", envelope.data.as_str()), ("signature", envelope.signature.as_str())]);
    if action.len().saturating_add(query.len()) < LINK_LEN_MAX {
        return Link::Url(format!("{action}?{query}"));
    }
    let fields = vec![("data".to_owned(), envelope.data), ("signature".to_owned(), envelope.signature)];
    Link::Form { action, fields }
}

/// A bill goes to an e-mail or a phone; one is enough.
fn bill_receiver(object: &mut Map<String, Value>, create: &Create) -> Result<(), Failure> {
    let phone = create.contact.as_ref().and_then(|contact| contact.phone.as_deref());
    match (create.email.as_deref(), phone) {
        (Some(email), _) => object.insert("email".to_owned(), email.into()),
        (None, Some(phone)) => object.insert("phone".to_owned(), phone.into()),
        (None, None) => {
            let why = "LiqPay sends a bill to an e-mail or a phone: give email, or contact.phone, or set create_with \
                       to checkout";
            return Err(Failure::never(Fault::Caller, why));
        }
    };
    Ok(())
}

/// `metadata.subscribe = {"periodicity": "month", "date_start": "2026-01-31 00:00:00"}`: the members of a subscription
/// that LiqPay runs. Without a date it starts now.
fn subscription(create: &Create, now: i64) -> Result<Option<Map<String, Value>>, Failure> {
    let Some(wanted) = create.metadata.get("subscribe") else { return Ok(None) };
    let periodicity = wanted.get("periodicity").and_then(Value::as_str).unwrap_or("");
    if !matches!(periodicity, "day" | "week" | "month" | "year") {
        let why = "metadata.subscribe.periodicity must be day, week, month or year";
        return Err(Failure::never(Fault::Caller, why));
    }
    let start = wanted.get("date_start").and_then(Value::as_str);
    let start = start.map_or_else(|| Civil::at(now, 0).text(), ToOwned::to_owned);
    let mut members = Map::new();
    members.insert("subscribe".to_owned(), "1".into());
    members.insert("subscribe_date_start".to_owned(), start.into());
    members.insert("subscribe_periodicity".to_owned(), periodicity.into());
    Ok(Some(members))
}

fn charge(create: &Create, card_token: &str, account: &Account) -> Result<Step, Failure> {
    let ip = create.metadata.get("ip").and_then(Value::as_str).ok_or_else(|| {
        Failure::never(Fault::Caller, "LiqPay wants the payer's address for a charge: give it in metadata.ip")
    })?;
    let mut object = request("paytoken", account);
    payment(&mut object, create)?;
    object.insert("card_token".to_owned(), card_token.into());
    object.insert("ip".to_owned(), ip.into());
    surroundings(&mut object, create)?;
    Ok(post(object, account))
}

fn capture(
    payment: &Target,
    amount: Option<Money>,
    receipt: Option<&Value>,
    account: &Account,
) -> Result<Step, Failure> {
    let mut object = request("hold_completion", account);
    object.insert("amount".to_owned(), number(amount.unwrap_or(payment.amount))?);
    object.insert("order_id".to_owned(), payment.order_number().into());
    if let Some(receipt) = receipt {
        object.insert("rro_info".to_owned(), receipt.clone());
    }
    Ok(post(object, account))
}

fn give_back(payment: &Target, amount: Money, account: &Account) -> Result<Step, Failure> {
    let mut object = request("refund", account);
    object.insert("amount".to_owned(), number(amount)?);
    object.insert("order_id".to_owned(), payment.order_number().into());
    Ok(post(object, account))
}

/// A hold is released by a refund of the whole sum; a bill is withdrawn.
fn cancel(target: &Target, account: &Account) -> Result<Step, Failure> {
    let is_bill = target.operation_key.as_deref().is_some_and(|key| key.starts_with(INVOICE));
    let why = match target.state {
        State::WaitingForCapture => return give_back(target, target.amount, account),
        State::Pending if is_bill => return Ok(on_order("invoice_cancel", &target.order_number(), account)),
        State::Pending => "LiqPay can't withdraw a checkout link: the payment ends when nobody pays it",
        State::Succeeded => "the payment is paid: refund it instead",
        State::Canceled => "the payment is canceled already",
    };
    Err(Failure::never(Fault::Caller, why))
}

fn refund(payment: &Target, amount: Option<Money>, account: &Account) -> Result<Step, Failure> {
    let whole = amount.unwrap_or(payment.amount);
    if payment.state == State::WaitingForCapture && whole != payment.amount {
        let why = "the sum is only held: capture the smaller amount instead, LiqPay releases the rest";
        return Err(Failure::never(Fault::Caller, why));
    }
    give_back(payment, whole, account)
}

// ---- answers

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
    let wire = raw.as_ref().and_then(|raw| serde_json::from_str::<Wire>(raw.get()).ok());
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

/// The payment object of an answer.
fn told(mut wire: Wire, raw: Raw, order: &str, account: &Account) -> Result<Step, Failure> {
    accepted(&wire)?;
    about_order(&mut wire, order)?;
    let unclear = |why| Failure { why, code: None, fault: Fault::Provider, retry: Retry::LookUp };
    let reading =
        wire.read(account).map_err(|why| unclear(format!("LiqPay's answer can't be read: {why}")))?;
    let link = text(&wire.redirect_to).filter(|url| is_link(url)).map(Link::Url);
    let provider_id = text(&wire.payment_id);
    Ok(Step::done(Done { provider_id, operation_key: None, link, facts: reading.facts, payload: raw }))
}

fn asked(wire: Wire, raw: Raw, order: &str, account: &Account) -> Result<Step, Failure> {
    if is_refused(&wire) && wire.error_code().as_deref() == Some(errors::NOT_FOUND) {
        let why = "LiqPay has no payment with this order number: nobody has begun to pay";
        let payment = PaymentRef { provider_id: None, reference: Some(order.to_owned()) };
        let note = Note { what: errors::NOT_FOUND.to_owned(), why: why.to_owned(), payment };
        return Ok(Step::done(Done { facts: vec![Fact::Note(note)], payload: raw, ..Done::default() }));
    }
    told(wire, raw, order, account)
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
        let read = serde_json::from_value::<Wire>(row).ok().and_then(|wire| wire.read(account).ok());
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
    let fact = match so_far {
        _ if is_promise(&wire) => promise(&wire),
        Some(fact) => fact,
        None => wire.refund(key, amount, account),
    };
    let provider_id = text(&wire.payment_id);
    Ok(Step::done(Done { provider_id, facts: vec![fact], payload: raw, ..Done::default() }))
}

fn probed(wire: &Wire) -> Result<Step, Failure> {
    let is_unknown = wire.error_code().as_deref() == Some(errors::NOT_FOUND);
    if is_refused(wire) && !is_unknown {
        return Err(errors::failure(wire));
    }
    Ok(Step::done(Done::default()))
}
