//! What we ask of LiqPay: checkout links, bills, and the actions of its server API.

use std::str::FromStr as _;

use serde_json::{Map, Value};

use super::about::API_BASE;
use super::sign::{request, seal};
use crate::account::Account;
use crate::date::Civil;
use crate::fact::State;
use crate::form;
use crate::http::Call;
use crate::json;
use crate::money::Money;
use crate::operation::{Create, Failure, Fault, Link, Operation, Step, Target, Wish};

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
pub(super) const INVOICE: &str = "invoice:";
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
