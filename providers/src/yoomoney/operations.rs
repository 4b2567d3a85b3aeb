//! The payment form, and the wallet's history for payments whose notification was lost
//! (<https://yoomoney.ru/docs/wallet/user-account/operation-history>).

use serde_json::Value;

use super::ABOUT;
use super::receive::CARD_FEE;
use crate::form::{build, encode_percent};
use crate::json::{member, raw_body};
use crate::operation::{Create, Done, Failure, Fault, Link, Operation, Retry, Target, Wish};
use crate::{
    Account, AmountCheck, Call, Currency, Fact, Money, Note, PaymentFact, PaymentRef, Reply, State, Step, Sum,
};

/// Operations that are asked for with one label.
const RECORDS: &str = "100";
/// Longest operation id that is sent, characters.
const ID_LEN_MAX: usize = 64;

pub(super) fn begin(operation: &Operation, account: &Account) -> Step {
    try_begin(operation, account).unwrap_or_else(Step::from)
}

fn try_begin(operation: &Operation, account: &Account) -> Result<Step, Failure> {
    let caller = |why: &str| Err(Failure::never(Fault::Caller, why));
    match &operation.wish {
        Wish::Create(create) => create_link(create, account),
        Wish::Status(target) => match &target.provider_id {
            Some(id) => {
                if !(1..=ID_LEN_MAX).contains(&id.len()) {
                    return caller("that is no id of a YooMoney operation");
                }
                ask(account, "operation-details", &[("operation_id", id)])
            }
            None => {
                let label = target.order_number();
                ask(account, "operation-history", &[("label", &label), ("records", RECORDS)])
            }
        },
        Wish::Probe => ask(account, "account-info", &[]),
        Wish::Refund { .. } | Wish::RefundStatus { .. } => {
            caller("a YooMoney wallet has no refunds: send the money back by a transfer of your own")
        }
        Wish::Capture { .. } | Wish::Cancel(_) => caller(
            "a YooMoney wallet holds no money: a payment is there or it is not, and an unpaid form just expires",
        ),
        Wish::Charge { .. } | Wish::CancelSubscription { .. } | Wish::Subscriptions { .. } => {
            caller("a YooMoney wallet saves no payment methods and runs no subscriptions: send a new link")
        }
        Wish::Period { .. } => Err(Failure::unsupported("list of a period")),
    }
}

/// The form has no signature; its label is our number.
fn create_link(create: &Create, account: &Account) -> Result<Step, Failure> {
    if create.amount.currency != Currency::RUB {
        return Err(Failure::never(Fault::Caller, "YooMoney takes roubles only"));
    }
    if create.hold {
        return Err(Failure::never(Fault::Caller, "a YooMoney wallet can't hold a payment"));
    }
    let (sum, label) = (create.amount.decimal(), create.number.to_string());
    let mut fields = vec![
        ("receiver", account.text("receiver")),
        ("quickpay-form", "button"),
        ("paymentType", account.setting("payment_type").unwrap_or("AC")),
        ("sum", &sum),
        ("label", &label),
    ];
    if let Some(url) = &create.return_url {
        fields.push(("successURL", url));
    }
    let action = format!("{}/quickpay/confirm", account.base(ABOUT.api_base));
    let link = if account.switch("post_form") {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Link::Form { action, fields }
    } else {
        let pairs = fields.iter().map(|(name, value)| format!("{name}={}", encode_percent(value)));
        Link::Url(format!("{action}?{}", pairs.collect::<Vec<_>>().join("&")))
    };
    Ok(Step::link(link))
}

fn ask(account: &Account, method: &str, fields: &[(&str, &str)]) -> Result<Step, Failure> {
    let token = account.secret("access_token").ok_or_else(|| {
        Failure::never(
            Fault::Merchant,
            "YooMoney can only be asked with an access_token, and there is none: get one at \
             https://yoomoney.ru/myservices/new",
        )
    })?;
    let url = format!("{}/api/{method}", account.base(ABOUT.api_base));
    let call = Call::post(url, "application/x-www-form-urlencoded", build(fields.iter().copied()));
    Ok(Step::send(call.header("authorization", format!("Bearer {}", token.expose()))))
}

pub(super) fn next(operation: &Operation, reply: &Reply, account: &Account) -> Step {
    try_next(operation, reply, account).unwrap_or_else(Step::from)
}

fn try_next(operation: &Operation, reply: &Reply, account: &Account) -> Result<Step, Failure> {
    let unreadable = |why: &str| Failure::later(format!("YooMoney's reply can't be used: {why}"));
    let rights =
        || Failure::never(Fault::Merchant, "the access_token lacks the right to this, or was revoked");
    match reply.status {
        200 if reply.body.is_empty() => return Err(rights()),
        401 | 403 => return Err(rights()),
        429 => return Err(Failure::later("too many requests to YooMoney")),
        status if status >= 500 => {
            return Err(Failure::later(format!("YooMoney answers with status {status}")));
        }
        _ => {}
    }
    let payload = raw_body(&reply.body).ok_or_else(|| unreadable("it is not JSON"));
    if reply.status != 200 && payload.is_err() {
        return Err(Failure::never(Fault::Us, format!("YooMoney answers with status {}", reply.status)));
    }
    let payload = payload?;
    let body: Value = serde_json::from_str(payload.get()).map_err(|error| unreadable(&error.to_string()))?;
    if let Some(code) = member(&body, "error") {
        return Err(refused(&code));
    }
    if reply.status != 200 {
        return Err(Failure::never(Fault::Us, format!("YooMoney answers with status {}", reply.status)));
    }
    match &operation.wish {
        Wish::Probe => match member(&body, "account") {
            Some(wallet) if wallet == account.text("receiver") => Ok(Step::done(Done::default())),
            Some(_) => Err(Failure::never(
                Fault::Merchant,
                "the access_token belongs to another wallet than receiver",
            )),
            None => Err(unreadable("it names no wallet")),
        },
        Wish::Status(target) => {
            let facts = match &target.provider_id {
                Some(id) if member(&body, "operation_id").as_ref() == Some(id) => vec![fact(&body, target)?],
                Some(_) => return Err(unreadable("it is about another operation")),
                None => history(&body, target)?,
            };
            let provider_id = facts.iter().find_map(|fact| fact.payment().provider_id.clone());
            Ok(Step::done(Done { provider_id, facts, payload: Some(payload), ..Done::default() }))
        }
        _ => Err(Failure::never(Fault::Us, "this operation makes no calls")),
    }
}

fn refused(code: &str) -> Failure {
    let code: String = code.chars().filter(|letter| !letter.is_control()).take(64).collect();
    let why = format!("YooMoney refuses the request: {code}");
    let failure = match code.as_str() {
        "illegal_param_operation_id" => Failure::never(Fault::Caller, "YooMoney knows no such operation"),
        known if known.starts_with("illegal_param") => Failure::never(Fault::Us, why),
        // The page calls every other code a technical error: later again.
        _ => Failure { retry: Retry::Later(None), ..Failure::never(Fault::Provider, why) },
    };
    failure.code(code)
}

/// What the history says about a label: each transfer that came with it; an unpaid form leaves no trace.
fn history(body: &Value, target: &Target) -> Result<Vec<Fact>, Failure> {
    let operations = body.get("operations").and_then(Value::as_array);
    let operations = operations.ok_or_else(|| Failure::later("YooMoney's reply has no operations"))?;
    let label = target.order_number();
    let ours = |operation: &&Value| {
        member(operation, "direction").as_deref() == Some("in")
            && member(operation, "label").as_ref() == Some(&label)
    };
    // Newest first, as it comes; the first payment of a label is the oldest.
    let facts: Result<Vec<_>, _> =
        operations.iter().rev().filter(ours).map(|operation| fact(operation, target)).collect();
    let mut facts = facts?;
    if facts.is_empty() {
        let payment = PaymentRef { provider_id: None, reference: Some(label) };
        let fact = PaymentFact { amount: None, ..payment_fact(payment, State::Pending, target.amount) };
        facts.push(Fact::Payment(fact));
    }
    Ok(facts)
}

fn payment_fact(payment: PaymentRef, state: State, amount: Money) -> PaymentFact {
    PaymentFact {
        payment,
        state,
        amount: Some(Sum::Money(amount)),
        // The history has the net amount only, and does not say from what it came.
        amount_check: AmountCheck::AfterFee(CARD_FEE),
        reason: None,
        test: false,
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    }
}

fn fact(operation: &Value, target: &Target) -> Result<Fact, Failure> {
    let unreadable = |why: String| Failure::later(format!("YooMoney's reply can't be used: {why}"));
    let payment = PaymentRef {
        provider_id: member(operation, "operation_id"),
        reference: member(operation, "label").or_else(|| target.reference.clone()),
    };
    let status = member(operation, "status").unwrap_or_default();
    let state = match (member(operation, "direction").as_deref(), status.as_str()) {
        (Some("in"), "success") => State::Succeeded,
        (Some("in"), "in_progress") => State::Pending,
        (Some("in"), "refused") => State::Canceled,
        _ => {
            let what = format!("operation {}", status.chars().take(32).collect::<String>());
            let why = "a status or a direction that is not known here".to_owned();
            return Ok(Fact::Note(Note { what, why, payment }));
        }
    };
    let text =
        member(operation, "amount").ok_or_else(|| unreadable("an operation has no amount".to_owned()))?;
    let amount = Money::parse_number(&text, Currency::RUB).map_err(|error| unreadable(error.to_string()))?;
    Ok(Fact::Payment(payment_fact(payment, state, amount)))
}
