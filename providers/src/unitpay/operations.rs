//! Operations on payments and subscriptions.

use serde_json::Value;

use super::api::{self, Effect, Key};
use super::{HOLD_MS, create, project_id};
use crate::account::Account;
use crate::date::{Civil, MOSCOW};
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, RefundFact, State, Sum};
use crate::http::{Call, Reply};
use crate::json;
use crate::money::{Currency, Money};
use crate::operation::{Done, Failure, Fault, Operation, Step, Target, Wish};

/// Time after a hold's end in which its payment may still be reported as before, milliseconds.
const HOLD_GRACE_MS: i64 = 3_600_000;

// Memos: which step's reply is being read.
const INIT: &str = "init";
const PARTNER: &str = "partner";
const REFUND: &str = "refund:";

pub(super) fn begin(operation: &Operation, account: &Account) -> Result<Step, Failure> {
    let by_number = |number: &str, method: &str, what: &str| {
        Ok(Step::send(api::call(account, Key::Project, method, &[(what, number)])?))
    };
    match &operation.wish {
        Wish::Create(wanted) => create::begin(wanted, account),
        Wish::Status(payment) | Wish::RefundStatus { payment, .. } | Wish::Refund { payment, .. } => {
            by_number(number(payment)?, "getPayment", "paymentId")
        }
        Wish::Capture { payment, amount, .. } => {
            if amount.is_some_and(|amount| amount != payment.amount) {
                let why =
                    "Unitpay captures a hold as a whole only: capture all of it and refund the difference";
                return Err(Failure::never(Fault::Caller, why));
            }
            by_number(number(payment)?, "confirmPayment", "paymentId")
        }
        Wish::Cancel(payment) if payment.state == State::Succeeded => {
            Err(Failure::never(Fault::Caller, "the payment is paid: refund it instead"))
        }
        Wish::Cancel(payment) => by_number(number(payment)?, "cancelPayment", "paymentId"),
        // Nothing tells us when a subscription is closed, so it is looked at before each charge.
        Wish::Charge { saved_method: id, .. } | Wish::Subscriptions { id: Some(id) } => {
            by_number(id, "getSubscription", "subscriptionId")
        }
        Wish::CancelSubscription { id } => by_number(id, "closeSubscription", "subscriptionId"),
        Wish::Subscriptions { id: None } => {
            let params = [("projectId", project_id(account)), ("all", "1")];
            Ok(Step::send(api::call(account, Key::Project, "listSubscriptions", &params)?))
        }
        Wish::Probe => {
            let params = [("projectId", project_id(account))];
            Ok(Step::send(api::call(account, Key::Project, "getMethodsAvailable", &params)?))
        }
        Wish::Period { .. } => Err(Failure::unsupported("list of payments by period")),
    }
}

pub(super) fn next(
    operation: &Operation,
    memo: &str,
    reply: &Reply,
    account: &Account,
) -> Result<Step, Failure> {
    match &operation.wish {
        Wish::Create(_) => create::read_init(reply),
        Wish::Status(payment) | Wish::RefundStatus { payment, .. } => {
            let result = api::read(reply, Effect::Reads)?;
            Ok(done(reply, facts(&result, payment, operation.context.now, account)?))
        }
        Wish::Refund { payment, amount, receipt, .. } => match memo.strip_prefix(REFUND) {
            None => refund(payment, *amount, receipt.as_ref(), reply, account),
            Some(total) => {
                api::read(reply, Effect::Writes)?;
                let total = total.parse().map_err(|_| Failure::never(Fault::Us, "a memo is broken"))?;
                Ok(done(
                    reply,
                    vec![refund_fact(
                        reference(payment),
                        Money::new(total, payment.amount.currency),
                        account.is_test(),
                    )],
                ))
            }
        },
        Wish::Capture { payment, .. } => {
            api::read(reply, Effect::Writes)?;
            Ok(done(reply, vec![moved(payment, State::Succeeded, account)]))
        }
        Wish::Cancel(payment) => {
            api::read(reply, Effect::Writes)?;
            Ok(done(reply, vec![moved(payment, State::Canceled, account)]))
        }
        Wish::Charge { create: wanted, saved_method } if memo != INIT => {
            charge(&api::read(reply, Effect::Reads)?)?;
            send(create::init(wanted, Some(saved_method), account)?, INIT.to_owned())
        }
        Wish::Charge { .. } => create::read_init(reply),
        Wish::CancelSubscription { .. } => {
            api::read(reply, Effect::Writes)?;
            Ok(done(reply, Vec::new()))
        }
        Wish::Subscriptions { .. } => {
            let result = api::read(reply, Effect::Reads)?;
            let payload = json::raw_body(&reply.body).unwrap_or_else(|| json::raw(&result));
            Ok(Step::done(Done { payload: Some(payload), ..Done::default() }))
        }
        Wish::Probe => {
            api::read(reply, Effect::Reads)?;
            if memo == PARTNER || account.is_test() || account.secret("account_secret").is_none() {
                return Ok(done(reply, Vec::new()));
            }
            let params = [("login", account.text("account_login"))];
            send(api::call(account, Key::Account, "getPartner", &params)?, PARTNER.to_owned())
        }
        Wish::Period { .. } => Err(Failure::unsupported("list of payments by period")),
    }
}

fn send(call: Call, memo: String) -> Result<Step, Failure> {
    Ok(Step::Send { call: Box::new(call), memo })
}

fn done(reply: &Reply, facts: Vec<Fact>) -> Step {
    let provider_id = facts.iter().find_map(|fact| fact.payment().provider_id.clone());
    Step::done(Done { provider_id, facts, payload: json::raw_body(&reply.body), ..Done::default() })
}

/// Unitpay's number of a payment.
fn number(payment: &Target) -> Result<&str, Failure> {
    payment.provider_id.as_deref().ok_or_else(|| {
        let why = "Unitpay finds a payment only by its own number, which is known once the payer has chosen to pay \
                   (CHECK); before that there is nothing to ask about, and an unpaid form needs no canceling";
        Failure::never(Fault::Caller, why)
    })
}

/// The state that `getPayment` tells. `held`: a two-stage payment that we have not captured.
fn state(status: &str, held: bool) -> Option<State> {
    match status {
        "wait" | "secure" | "success" | "error_pay" if held => Some(State::WaitingForCapture),
        "wait" | "secure" => Some(State::Pending),
        // error_pay: the payer paid and the merchant has the money, only the handler's answer was bad.
        "success" | "error_pay" => Some(State::Succeeded),
        "error" | "error_check" => Some(State::Canceled),
        // A hold that was given back never was a payment.
        "refund" if held => Some(State::Canceled),
        "refund" => Some(State::Succeeded),
        _ => None,
    }
}

/// Refuses an answer about another payment. In test mode Unitpay answers with ids of its own.
fn is_of(result: &Value, payment: &Target, account: &Account) -> Result<(), Failure> {
    let told = json::member(result, "paymentId");
    if account.is_test() || told.is_none() || told == payment.provider_id {
        Ok(())
    } else {
        Err(Failure::later("Unitpay answered about another payment than the one that was asked for"))
    }
}

fn facts(result: &Value, payment: &Target, now: i64, account: &Account) -> Result<Vec<Fact>, Failure> {
    let unreadable = |what: &str| Failure::later(format!("Unitpay's answer has no readable {what}"));
    let reference = PaymentRef {
        provider_id: json::member(result, "paymentId").or_else(|| payment.provider_id.clone()),
        reference: json::member(result, "account"),
    };
    is_of(result, payment, account)?;
    let status = json::member(result, "status").ok_or_else(|| unreadable("status"))?;
    let paid_at = json::member(result, "date")
        .and_then(|date| Civil::parse(&date))
        .and_then(|civil| civil.unix_ms(MOSCOW))
        .unwrap_or(payment.created_at);
    let is_preauth = json::member(result, "isPreauth").as_deref() == Some("1");
    let ends_at = paid_at.saturating_add(HOLD_MS);
    let held = is_preauth && payment.state != State::Succeeded && now < ends_at.saturating_add(HOLD_GRACE_MS);
    let Some(state) = state(&status, held) else {
        let why = "a status that the documentation does not name; nothing follows from it".to_owned();
        return Ok(vec![Fact::Note(Note { what: status, why, payment: reference })]);
    };
    let currency: Currency = json::member(result, "orderCurrency")
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| unreadable("orderCurrency"))?;
    let money = |name: &str| json::member(result, name).and_then(|sum| Money::parse(&sum, currency).ok());
    let amount = money("orderSum").ok_or_else(|| unreadable("orderSum"))?;
    let mut facts = vec![Fact::Payment(PaymentFact {
        payment: reference.clone(),
        state,
        amount: Some(Sum::Money(amount)),
        amount_check: AmountCheck::Equal,
        reason: json::member(result, "errorMessage").filter(|_| state == State::Canceled),
        test: account.is_test(),
        method: json::member(result, "paymentType"),
        saved_method: None,
        operation_key: None,
        expires_at: (state == State::WaitingForCapture).then_some(ends_at),
    })];
    if state == State::Succeeded {
        let left =
            if status == "refund" { Some(Money::new(0, currency)) } else { money("availableForRefund") };
        // An empty list says that there was none, whatever is available; its elements' format is not published.
        let none =
            status != "refund" && result.get("refunds").and_then(Value::as_array).is_some_and(Vec::is_empty);
        let back = left.map_or(0, |left| amount.minor.saturating_sub(left.minor));
        if back > 0 && !none {
            facts.push(refund_fact(reference, Money::new(back, currency), account.is_test()));
        }
    }
    Ok(facts)
}

/// After `getPayment`: refuse what can't be given back, else ask for the refund. Unitpay has no protection against
/// refunding twice, so what is left is read first.
fn refund(
    payment: &Target,
    wanted: Option<Money>,
    receipt: Option<&Value>,
    reply: &Reply,
    account: &Account,
) -> Result<Step, Failure> {
    let result = api::read(reply, Effect::Reads)?;
    is_of(&result, payment, account)?;
    let caller = |why: String| Failure::never(Fault::Caller, why);
    let currency = payment.amount.currency;
    if json::member(&result, "orderCurrency").is_some_and(|code| code != currency.code()) {
        return Err(caller("the payment at Unitpay is in another currency".to_owned()));
    }
    if wanted.is_some_and(|wanted| wanted.currency != currency || wanted.minor <= 0) {
        return Err(caller(format!("a refund must be a positive amount of {currency}")));
    }
    let money = |name: &str| json::member(&result, name).and_then(|sum| Money::parse(&sum, currency).ok());
    let total = money("orderSum").unwrap_or(payment.amount);
    let left = money("availableForRefund").unwrap_or(total);
    let sum = wanted.unwrap_or(left);
    if sum.minor > left.minor || left.minor <= 0 {
        return Err(caller(format!("Unitpay has {left} left to refund of this payment")));
    }
    let (number, text) = (number(payment)?, sum.decimal());
    let items = receipt.and_then(create::cash_items);
    let kind = receipt.and_then(|receipt| json::member(receipt, "paymentMethod"));
    let mut params = vec![("paymentId", number)];
    if sum != total {
        params.push(("sum", &text));
    }
    params.extend(kind.as_deref().map(|kind| ("paymentMethod", kind)));
    params.extend(items.as_deref().map(|items| ("cashItems", items)));
    let back = total.minor.saturating_sub(left.minor).saturating_add(sum.minor);
    send(api::call(account, Key::Project, "refundPayment", &params)?, format!("{REFUND}{back}"))
}

fn charge(subscription: &Value) -> Result<(), Failure> {
    if json::member(subscription, "status").as_deref() != Some("close") {
        return Ok(());
    }
    let why = match json::member(subscription, "closeType").as_deref() {
        Some("api") => "it was closed by the shop",
        Some("error") => "too many charges failed",
        Some("abuse") => "the payer complained",
        _ => "it is closed",
    };
    Err(Failure::never(Fault::Caller, format!("the subscription can't be charged: {why}")).code("close"))
}

fn moved(payment: &Target, state: State, account: &Account) -> Fact {
    Fact::Payment(PaymentFact {
        payment: reference(payment),
        state,
        amount: Some(Sum::Money(payment.amount)),
        amount_check: AmountCheck::Equal,
        reason: None,
        test: account.is_test(),
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    })
}

/// Unitpay gives refunds no number: what was given back in all tells them apart, whoever found them.
fn refund_fact(payment: PaymentRef, total: Money, test: bool) -> Fact {
    let number = payment.provider_id.as_deref().unwrap_or("");
    Fact::Refund(RefundFact {
        id: format!("{number}-{}", total.minor),
        payment,
        amount: Some(Sum::Money(total)),
        cumulative: true,
        test,
        if_unpaid: None,
    })
}

fn reference(payment: &Target) -> PaymentRef {
    PaymentRef { provider_id: payment.provider_id.clone(), reference: Some(payment.order_number()) }
}
