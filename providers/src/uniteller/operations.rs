//! Operations: status, capture, cancel, refund; and which reply belongs to which step.

use serde_json::Value;

use super::errors::{self, Effect};
use super::results::{self, About, Told};
use super::signature::{joined, nested};
use super::xml::Row;
use super::{FPAY, WPAY, charge, create, is_fiscal, login, password, post};
use crate::account::Account;
use crate::digest::Hash;
use crate::fact::{AmountCheck, Fact, PaymentFact, PaymentRef, RefundFact, State, Sum};
use crate::http::{Call, Reply};
use crate::json;
use crate::money::Money;
use crate::operation::{Done, Failure, Fault, Operation, Retry, Step, Target, Wish};

/// An order that no shop has: asking for it tries login and password.
const PROBE_ORDER: &str = "kassir-probe";

// Memos: which step's reply is being read. BILL and PARTLY are followed by what was learned before.
const REFUNDS: &str = "refunds";
const BILL: &str = "bill";
const RELEASED: &str = "released:";
const CONFIRM: &str = "confirm";
const CONFIRM_PART: &str = "confirm-part";
const PARTLY: &str = "partly:";

pub(super) fn begin(operation: &Operation, account: &Account) -> Result<Step, Failure> {
    match &operation.wish {
        Wish::Create(wanted) => create::begin(wanted, operation.context.now, account),
        Wish::Charge { create: wanted, saved_method } => charge::begin(wanted, saved_method, account),
        Wish::Status(payment) | Wish::RefundStatus { payment, .. } => {
            Ok(Step::send(results::of_order(&payment.order_number(), About::LastPayment, account)?))
        }
        Wish::Capture { payment, amount, receipt } => capture(payment, *amount, receipt.as_ref(), account),
        Wish::Cancel(payment) if payment.state == State::Succeeded => {
            Err(Failure::never(Fault::Caller, "the payment is paid: refund it instead"))
        }
        Wish::Cancel(payment) => Ok(Step::send(give_back(payment, None, None, account)?)),
        Wish::Refund { payment, amount, receipt, .. } => {
            if amount.is_some_and(|amount| amount.currency != payment.amount.currency || amount.minor <= 0) {
                let why = format!("a refund must be a positive amount of {}", payment.amount.currency);
                return Err(Failure::never(Fault::Caller, why));
            }
            Ok(Step::send(give_back(payment, *amount, receipt.as_ref(), account)?))
        }
        Wish::Period { from, to } => Ok(Step::send(results::of_period(*from, *to, account)?)),
        Wish::Probe => Ok(Step::send(results::of_order(PROBE_ORDER, About::LastPayment, account)?)),
        Wish::CancelSubscription { .. } | Wish::Subscriptions { .. } => Err(Failure::never(
            Fault::Caller,
            "Uniteller runs no subscriptions: a series ends when nobody charges it any more",
        )),
    }
}

pub(super) fn next(
    operation: &Operation,
    memo: &str,
    reply: &Reply,
    account: &Account,
) -> Result<Step, Failure> {
    match &operation.wish {
        Wish::Create(_) => create::read_link(reply),
        Wish::Charge { create: wanted, .. } => charge::read(wanted, reply, account),
        Wish::Status(payment) | Wish::RefundStatus { payment, .. } => {
            status(payment, operation.context.now, memo, reply, account)
        }
        Wish::Capture { payment, amount, .. } => captured(payment, *amount, memo, reply, account),
        Wish::Cancel(payment) => canceled(payment, reply, account),
        Wish::Refund { payment, amount, .. } => {
            refunded(payment, *amount, &operation.context.idempotency_key, memo, reply, account)
        }
        Wish::Period { .. } => {
            let facts = results::of_period_rows(&results::rows(reply, Effect::Reads)?, account);
            Ok(Step::done(Done { facts, ..Done::default() }))
        }
        Wish::Probe => {
            results::rows(reply, Effect::Reads)?;
            Ok(Step::done(Done::default()))
        }
        Wish::CancelSubscription { .. } | Wish::Subscriptions { .. } => {
            Err(Failure::unsupported("subscription"))
        }
    }
}

fn send(call: Call, memo: impl Into<String>) -> Result<Step, Failure> {
    Ok(Step::Send { call: Box::new(call), memo: memo.into() })
}

/// The end of an operation: facts, the bill's number, and the rows as objects of strings.
fn done(facts: Vec<Fact>, rows: &[Row]) -> Step {
    let object = |row: &Row| {
        let cells = row.0.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
        Value::Object(cells.collect())
    };
    let payload = match rows {
        [] => None,
        [row] => Some(json::raw(&object(row))),
        rows => Some(json::raw(&Value::Array(rows.iter().map(object).collect()))),
    };
    let mut ids = facts.iter().map(|fact| fact.payment().provider_id.clone());
    let provider_id =
        ids.next().flatten().filter(|first| ids.all(|id| id.as_ref().is_none_or(|id| id == first)));
    Step::done(Done { provider_id, facts, payload, ..Done::default() })
}

fn status(payment: &Target, now: i64, memo: &str, reply: &Reply, account: &Account) -> Result<Step, Failure> {
    let rows = results::rows(reply, Effect::Reads)?;
    if let Some(total) = memo.strip_prefix(PARTLY) {
        let total = Some(total).filter(|total| !total.is_empty());
        return Ok(done(results::of_partly(&rows, payment, total, account), &rows));
    }
    match results::of_target(&rows, payment, now, account)? {
        Told::Facts(facts) => Ok(done(facts, &rows)),
        Told::AskRefunds(total) => {
            let call = results::of_order(&payment.order_number(), About::Refunds, account)?;
            send(call, format!("{PARTLY}{}", total.unwrap_or_default()))
        }
    }
}

fn state_of(payment: &Target, state: State, account: &Account) -> Fact {
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

fn reference(payment: &Target) -> PaymentRef {
    PaymentRef { provider_id: payment.provider_id.clone(), reference: Some(payment.order_number()) }
}

/// What is to be captured when it is less than was held.
fn part(payment: &Target, amount: Option<Money>) -> Result<Option<Money>, Failure> {
    match amount {
        None => Ok(None),
        Some(amount) if amount == payment.amount => Ok(None),
        Some(amount)
            if amount.currency == payment.amount.currency
                && (1..payment.amount.minor).contains(&amount.minor) =>
        {
            Ok(Some(amount))
        }
        Some(_) => {
            let why = format!("at most {} can be captured, in its currency", payment.amount);
            Err(Failure::never(Fault::Caller, why))
        }
    }
}

fn capture(
    payment: &Target,
    amount: Option<Money>,
    receipt: Option<&Value>,
    account: &Account,
) -> Result<Step, Failure> {
    let part = part(payment, amount)?;
    if is_fiscal(account) {
        let sum = part.unwrap_or(payment.amount).decimal();
        let (shop, order, password) = (account.text("shop_id"), payment.order_number(), password(account)?);
        let receipt = create::receipt_fields(receipt, shop, &order, &sum, password)?;
        let signature = joined(Hash::Md5, [shop, &order, &sum, password], "");
        let mut fields = vec![("ShopID", shop), ("OrderID", &order)];
        fields.extend(receipt.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        fields.extend([("Subtotal", sum.as_str()), ("Signature", &signature)]);
        return Ok(Step::send(post(format!("{}/v2/api/iaconfirm", account.base(FPAY)), &fields)));
    }
    match &payment.provider_id {
        None => send(results::of_order(&payment.order_number(), About::LastPayment, account)?, BILL),
        Some(bill) => with_bill(payment, part, bill, account),
    }
}

/// Captures by the bill's number. For a part the rest is released first: else some acquirers keep it for 30 days.
fn with_bill(payment: &Target, part: Option<Money>, bill: &str, account: &Account) -> Result<Step, Failure> {
    match part {
        None => send(confirm(bill, None, account)?, CONFIRM),
        Some(part) => {
            // Both calls of this capture must be possible before the first is made.
            login(account)?;
            let rest = Money::new(payment.amount.minor.saturating_sub(part.minor), part.currency);
            send(unblock(&payment.order_number(), Some(rest), account)?, format!("{RELEASED}{bill}"))
        }
    }
}

fn confirm(bill: &str, part: Option<Money>, account: &Account) -> Result<Call, Failure> {
    let sum = part.map(|part| part.decimal());
    let mut fields = vec![("Billnumber", bill), ("Shop_ID", account.text("shop_id"))];
    fields.extend(login(account)?);
    fields.extend(sum.as_deref().map(|sum| ("Subtotal_P", sum)));
    fields.push(("Format", "3"));
    Ok(post(format!("{}/confirm/", account.base(WPAY)), &fields))
}

/// The command goes to the bank at the close of the day: the state changes when `paid` comes.
fn captured(
    payment: &Target,
    amount: Option<Money>,
    memo: &str,
    reply: &Reply,
    account: &Account,
) -> Result<Step, Failure> {
    if memo == BILL {
        let rows = results::rows(reply, Effect::Reads)?;
        let row = results::payment_row(&rows, &payment.order_number());
        let bill = row.and_then(|row| row.get("billnumber")).ok_or_else(|| {
            Failure::never(
                Fault::Caller,
                "Uniteller knows no payment of this order: there is nothing to capture",
            )
        })?;
        return with_bill(payment, part(payment, amount)?, bill, account);
    }
    if let Some(bill) = memo.strip_prefix(RELEASED) {
        check(reply)?;
        let call = Box::new(confirm(bill, part(payment, amount)?, account)?);
        let unsaid = Failure::later("Uniteller did not answer the capture");
        // Done again from its start, this would release as much of the hold once more.
        let otherwise = Box::new(half_done(Failure { retry: Retry::LookUp, ..unsaid }).into());
        return Ok(Step::FollowUp { call, memo: CONFIRM_PART.to_owned(), otherwise });
    }
    let rows =
        check(reply).map_err(|failure| if memo == CONFIRM_PART { half_done(failure) } else { failure })?;
    Ok(done(Vec::new(), &rows))
}

/// A capture in part whose second call failed.
fn half_done(failure: Failure) -> Failure {
    let why =
        format!("{}; the rest of the hold was released before, so capture what is left by hand", failure.why);
    Failure { why, ..failure }
}

/// The rows of a successful answer that moved money.
fn check(reply: &Reply) -> Result<Vec<Row>, Failure> {
    let rows = results::rows(reply, Effect::Writes)?;
    match rows.iter().find_map(errors::of_row) {
        Some(failure) => Err(failure),
        None => Ok(rows),
    }
}

/// `unblock` is void and refund in one; Uniteller decides which it is.
fn give_back(
    payment: &Target,
    amount: Option<Money>,
    receipt: Option<&Value>,
    account: &Account,
) -> Result<Call, Failure> {
    let order = payment.order_number();
    // A whole refund is asked for as such: not every acquirer gives back parts.
    let amount = amount.filter(|amount| *amount != payment.amount);
    if !is_fiscal(account) {
        return unblock(&order, amount, account);
    }
    let (shop, password) = (account.text("shop_id"), password(account)?);
    let sum = amount.map(|amount| amount.decimal());
    let receipt = match receipt {
        Some(receipt) => Some(create::receipt_base64(Some(receipt))?),
        None => None,
    };
    let mut fields = vec![("OrderID", order.as_str()), ("UPID", shop)];
    fields.extend(sum.as_deref().map(|sum| ("Subtotal", sum)));
    fields.extend(receipt.as_deref().map(|receipt| ("Receipt", receipt)));
    let signature = nested(Hash::Sha256, fields.iter().map(|(_, value)| *value).chain([password]));
    fields.push(("Signature", &signature));
    Ok(post(format!("{}/v2/cancel", account.base(FPAY)), &fields))
}

fn unblock(order: &str, amount: Option<Money>, account: &Account) -> Result<Call, Failure> {
    let sum = amount.map(|amount| amount.decimal());
    let mut fields = vec![("OrderID", order), ("Shop_ID", account.text("shop_id"))];
    fields.extend(sum.as_deref().map(|sum| ("Subtotal_P", sum)));
    fields.push(("Format", "3"));
    let signature = nested(Hash::Sha256, fields.iter().map(|(_, value)| *value).chain([password(account)?]));
    fields.push(("Signature", &signature));
    Ok(post(format!("{}/unblock/", account.base(WPAY)), &fields))
}

fn canceled(payment: &Target, reply: &Reply, account: &Account) -> Result<Step, Failure> {
    let rows = if is_fiscal(account) { fiscal_answer(reply).map(|_| Vec::new()) } else { check(reply) };
    let rows = match rows {
        // Canceled before: what was wanted is so.
        Err(failure) if failure.code.as_deref() == Some("16") => Vec::new(),
        rows => rows?,
    };
    Ok(done(vec![state_of(payment, State::Canceled, account)], &rows))
}

/// After a refund the order is looked up where that is possible, so that whoever finds the refund first tells it in the
/// same words. What does not show yet (SBP) is told by the notification.
fn refunded(
    payment: &Target,
    amount: Option<Money>,
    key: &str,
    memo: &str,
    reply: &Reply,
    account: &Account,
) -> Result<Step, Failure> {
    let reference = reference(payment);
    let id = format!("{}-{key}", payment.order_number());
    if memo == REFUNDS {
        // The refund is done, whatever this look-up says.
        let rows = results::rows(reply, Effect::Reads).unwrap_or_default();
        return Ok(under_way(results::refunds(&rows, payment, None, account), id, reply));
    }
    if is_fiscal(account) {
        let answer = fiscal_answer(reply)?;
        let left = json::member(&answer, "Balance");
        let left = left.and_then(|text| Money::parse(&text, payment.amount.currency).ok());
        let fact = left.map(|left| match amount.filter(|_| left.minor > 0) {
            None => results::refund(reference, None, account),
            // A notification of it tells the total, too.
            Some(part) => Fact::Refund(RefundFact {
                id: id.clone(),
                payment: reference,
                amount: Some(Sum::Money(payment.refunded_with(part))),
                cumulative: true,
                test: account.is_test(),
                if_unpaid: None,
            }),
        });
        return Ok(under_way(fact, id, reply));
    }
    let rows = check(reply)?;
    let whole = rows
        .iter()
        .any(|row| row.get("status").is_some_and(|status| status.eq_ignore_ascii_case("canceled")));
    if whole {
        return Ok(done(vec![results::refund(reference, None, account)], &rows));
    }
    match results::of_order(&payment.order_number(), About::Refunds, account) {
        Ok(call) => {
            let otherwise = Box::new(under_way(None, id, reply));
            Ok(Step::FollowUp { call: Box::new(call), memo: REFUNDS.to_owned(), otherwise })
        }
        Err(_) => Ok(under_way(None, id, reply)),
    }
}

/// A refund that the provider took; without a fact it is still under way.
fn under_way(fact: Option<Fact>, id: String, reply: &Reply) -> Step {
    let refund_id = fact.is_none().then_some(id);
    let payload = json::raw_body(&reply.body);
    Step::done(Done { refund_id, facts: fact.into_iter().collect(), payload, ..Done::default() })
}

/// The JSON of `/v2/cancel`.
fn fiscal_answer(reply: &Reply) -> Result<Value, Failure> {
    if let Some(failure) = errors::of_text(reply) {
        return Err(failure);
    }
    let answer: Value =
        serde_json::from_slice(&reply.body).map_err(|_| errors::unclear(reply, Effect::Writes))?;
    match json::member(&answer, "Code").as_deref() {
        Some("0" | "00") => Ok(answer),
        Some(code) => Err(errors::of_code(code, &json::member(&answer, "Note").unwrap_or_default())),
        None => Err(errors::unclear(reply, Effect::Writes)),
    }
}
