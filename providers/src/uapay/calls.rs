//! UAPAY's API calls: `POST /api/<method>` of `{"params", "data", "iat", "token"}`, the token signing the other three.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::about::{DEMO_BASE, LIVE_BASE};
use super::receive::key;
use crate::account::Account;
use crate::http::Call;
use crate::jws::sign_hs256;
use crate::money::{Currency, Money};
use crate::operation::{Create, Failure, Fault, Operation, Step, Target, Wish};

/// Longest interval of a subscription, days.
const INTERVAL_DAYS_MAX: u64 = 366;

/// Which call an operation has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum At {
    /// A session for the calls that follow.
    #[default]
    Session,
    /// Make an invoice.
    Create,
    /// Find the invoices with our number.
    List,
    /// Look at an invoice and its payments.
    Show,
    /// Capture.
    Complete,
    /// Release a hold.
    Cancel,
    /// Refund.
    Reverse,
    /// Change a subscription.
    Subscription,
}

/// What an operation knows between its calls. Ids only: the session is worth nothing without the key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memo {
    pub at: At,
    pub session: String,
    pub invoice: String,
    pub payment: String,
    /// Kopecks that are paid or held.
    pub sum: i64,
    /// How many seconds UAPAY's clock is ahead of ours, once it has refused a call for that.
    pub ahead: i64,
    /// Whether a call was signed anew already.
    pub again: bool,
}

/// The next call of an operation.
pub(super) fn send(memo: &Memo, operation: &Operation, account: &Account) -> Result<Step, Failure> {
    let session = memo.session.as_str();
    let payment = || json!({"sessionId": session, "paymentId": memo.payment, "invoiceId": memo.invoice});
    let (method, params, data) = match memo.at {
        At::Session => ("sessions/create", json!({"clientId": account.text("client_id")}), None),
        At::Create => {
            let Wish::Create(create) = &operation.wish else { return Err(lost()) };
            let params = json!({"sessionId": session, "systemType": "ECOM"});
            ("invoicer/invoices/create", params, Some(invoice(create)?))
        }
        At::List => {
            let number = target(operation).map(Target::order_number).unwrap_or_default();
            ("invoicer/invoices/show/list", json!({"sessionId": session, "externalIds": [number]}), None)
        }
        At::Show => ("invoicer/invoices/show", json!({"sessionId": session, "id": memo.invoice}), None),
        At::Complete => {
            let mut params = payment();
            if let (Some(amount), Some(params)) = (part(operation, memo), params.as_object_mut()) {
                params.insert("amount".to_owned(), amount.into());
            }
            ("invoicer/payments/complete", params, None)
        }
        At::Cancel => ("invoicer/payments/cancel", payment(), None),
        At::Reverse => {
            let data = part(operation, memo).map(|amount| json!({"amount": amount}));
            ("invoicer/payments/reverse", payment(), data)
        }
        // The documentation's table says `id`, its example `invoiceId`. There is no way to cancel but to end it now.
        At::Subscription => {
            let params = json!({"sessionId": session, "id": memo.invoice, "invoiceId": memo.invoice});
            ("invoicer/subscriptions/update", params, Some(json!({"expiresAt": operation.context.now})))
        }
    };
    let iat = operation.context.now.div_euclid(1000).saturating_add(memo.ahead);
    let base = account.base(if account.is_test() { DEMO_BASE } else { LIVE_BASE });
    let call =
        Call::post(format!("{base}/api/{method}"), "application/json", body(params, data, iat, key(account)));
    let memo = serde_json::to_string(memo).map_err(|_| lost())?;
    Ok(Step::Send { call: Box::new(call), memo })
}

/// A signed body: the plain members, and the token over them.
pub(super) fn body(params: Value, data: Option<Value>, iat: i64, key: &[u8]) -> String {
    let mut object = Map::new();
    object.insert("params".to_owned(), params);
    if let Some(data) = data {
        object.insert("data".to_owned(), data);
    }
    object.insert("iat".to_owned(), iat.into());
    let mut object = Value::Object(object);
    let token = sign_hs256(object.to_string().as_bytes(), key);
    if let Some(object) = object.as_object_mut() {
        object.insert("token".to_owned(), token.into());
    }
    object.to_string()
}

/// The payment that an operation is about.
pub(super) fn target(operation: &Operation) -> Option<&Target> {
    match &operation.wish {
        Wish::Status(target) | Wish::Cancel(target) => Some(target),
        Wish::RefundStatus { payment, .. } | Wish::Capture { payment, .. } | Wish::Refund { payment, .. } => {
            Some(payment)
        }
        _ => None,
    }
}

/// The amount that a capture or refund names, when it is less than the whole.
pub(super) fn part(operation: &Operation, memo: &Memo) -> Option<i64> {
    let amount = match &operation.wish {
        Wish::Capture { amount, .. } | Wish::Refund { amount, .. } => *amount,
        _ => None,
    };
    amount.map(|amount| amount.minor).filter(|minor| *minor < memo.sum)
}

/// A memo that does not belong to the operation.
pub(super) fn lost() -> Failure {
    Failure::never(Fault::Us, "the operation's memo can't be read")
}

/// Hryvnias only, and more than zero.
pub(super) fn sum(money: Money) -> Result<i64, Failure> {
    if money.currency != Currency::UAH {
        return Err(Failure::never(Fault::Caller, format!("UAPAY takes UAH, not {}", money.currency)));
    }
    if money.minor <= 0 {
        return Err(Failure::never(Fault::Caller, "the amount must be more than zero"));
    }
    Ok(money.minor)
}

/// The `data` of an invoice.
pub(super) fn invoice(create: &Create) -> Result<Value, Failure> {
    let amount = sum(create.amount)?;
    let subscription = subscription(create)?;
    let kind = match (&subscription, create.hold) {
        (Some(_), true) => {
            return Err(Failure::never(Fault::Caller, "UAPAY can't hold the sum of a subscription"));
        }
        (Some(_), false) => "SUBSCRIBE",
        (None, true) => "HOLD",
        (None, false) => "PAY",
    };
    let mut data = Map::new();
    let mut set = |name: &str, value: Value| data.insert(name.to_owned(), value);
    set("externalId", create.number.to_string().into());
    set("type", kind.into());
    // An invoice that can be paid again would settle one payment twice.
    set("reusability", false.into());
    set("description", create.description.clone().into());
    set("amount", amount.into());
    if let Some(url) = &create.return_url {
        set("redirectUrl", url.clone().into());
    }
    if let Some(url) = &create.notify_url {
        set("callbackUrl", url.clone().into());
    }
    let mut metadata = create.metadata.clone();
    metadata.shift_remove("subscribe");
    if !metadata.is_empty() {
        set("extraInfo", Value::Object(metadata).to_string().into());
    }
    if let Some(email) = &create.email {
        set("email", email.clone().into());
    }
    if let Some((interval, expires_at)) = subscription {
        set("recurringInterval", interval.into());
        set("expiresAt", expires_at.into());
    }
    Ok(Value::Object(data))
}

/// Interval in days and end in Unix milliseconds, from `metadata.subscribe`.
fn subscription(create: &Create) -> Result<Option<(u64, i64)>, Failure> {
    let Some(wanted) = create.metadata.get("subscribe") else { return Ok(None) };
    let interval = wanted.get("interval_days").and_then(Value::as_u64);
    let interval = interval.filter(|days| (1..=INTERVAL_DAYS_MAX).contains(days)).ok_or_else(|| {
        let why = format!("metadata.subscribe.interval_days must be a number from 1 to {INTERVAL_DAYS_MAX}");
        Failure::never(Fault::Caller, why)
    })?;
    let expires_at = wanted.get("expires_at").and_then(Value::as_i64).ok_or_else(|| {
        Failure::never(
            Fault::Caller,
            "metadata.subscribe.expires_at must be the subscription's end in Unix milliseconds",
        )
    })?;
    Ok(Some((interval, expires_at)))
}
