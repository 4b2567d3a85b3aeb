//! `results`: the only proof of payment, says the technical order. At most one request per 5 seconds.

use super::errors::{self, Effect, declined};
use super::receive::method;
use super::xml::{self, Row};
use super::{FPAY, WPAY, is_fiscal, login, post};
use crate::account::Account;
use crate::date::{Civil, DAY_MS, MOSCOW};
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, RefundFact, State, Sum};
use crate::http::{Call, Reply};
use crate::money::{Currency, Money};
use crate::operation::{Failure, Fault, Target};

/// Longest period of one request, days.
pub(super) const PERIOD_DAYS: u32 = 7;
/// Days after which a hold is lost at the acquirer.
const HOLD_DAYS: i64 = 7;
/// `PaymentType` of the fast payment system.
const SBP: &str = "13";
const COLUMNS: &str = "OrderNumber;Status;Response_Code;Message;Recommendation;Total;Currency;BillNumber;need_confirm;\
                       PaymentType;Date;Error_Code;Error_Comment";

/// What is asked about an order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// Its last payment.
    LastPayment,
    /// Its last payment and its refunds.
    Refunds,
}

/// The request about one order.
pub(super) fn of_order(order: &str, about: About, account: &Account) -> Result<Call, Failure> {
    // Beside its refunds the payment is told as it was without them: held or paid.
    let (kind, partly) = if about == About::Refunds { ("3", "0") } else { ("0", "1") };
    ask(&[("ShopOrderNumber", order), ("PaymentsResults", kind), ("ShowPartlyCanceled", partly)], account)
}

/// The request about a period, in Moscow's time.
pub(super) fn of_period(from: i64, to: i64, account: &Account) -> Result<Call, Failure> {
    let longest = i64::from(PERIOD_DAYS).saturating_mul(DAY_MS);
    if to < from || to.saturating_sub(from) > longest {
        let why = format!("Uniteller lists payments of at most {PERIOD_DAYS} days at once");
        return Err(Failure::never(Fault::Caller, why));
    }
    let mut fields = Vec::new();
    for (side, moment) in [("Start", Civil::at(from, MOSCOW)), ("End", Civil::at(to, MOSCOW))] {
        let parts = [
            ("Day", moment.day),
            ("Month", moment.month),
            ("Year", moment.year),
            ("Hour", moment.hour),
            ("Min", moment.minute),
        ];
        fields.extend(parts.map(|(name, value)| (format!("{side}{name}"), value.to_string())));
    }
    let mut fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.extend([("PaymentsResults", "0"), ("ShowPartlyCanceled", "1")]);
    ask(&fields, account)
}

fn ask(more: &[(&str, &str)], account: &Account) -> Result<Call, Failure> {
    let url = if is_fiscal(account) {
        format!("{}/v2/results", account.base(FPAY))
    } else {
        format!("{}/results/", account.base(WPAY))
    };
    let mut fields = vec![("Shop_ID", account.text("shop_id"))];
    fields.extend(login(account)?);
    fields.extend([("Format", "4"), ("Success", "2"), ("S_FIELDS", COLUMNS)]);
    fields.extend(more);
    Ok(post(url, &fields))
}

/// The rows of an answer.
///
/// # Errors
/// Uniteller's error in words; nothing is believed of an answer that was cut off.
pub(super) fn rows(reply: &Reply, effect: Effect) -> Result<Vec<Row>, Failure> {
    if let Some(failure) = errors::of_text(reply) {
        return Err(failure);
    }
    let answer = xml::read(&reply.body).ok_or_else(|| errors::unclear(reply, effect))?;
    match errors::of_answer(&answer) {
        Some(failure) => Err(failure),
        None => Ok(answer.orders),
    }
}

/// The row of an order's payment; an airline's order has several, the first counts.
pub(super) fn payment_row<'a>(rows: &'a [Row], order: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.get("ordernumber") == Some(order) && !is(row, "Refund"))
}

fn is(row: &Row, status: &str) -> bool {
    row.get("status").is_some_and(|found| found.eq_ignore_ascii_case(status))
}

/// What follows from an order's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// A state.
    State(State),
    /// An attempt failed; the payer may try again.
    Attempt,
    /// Released or given back: which of them, the payment as we know it tells.
    Back,
    /// A part of it.
    PartBack,
    /// A word that the technical order does not have.
    Unknown,
}

fn meaning(status: &str, held: bool, paid_only: bool) -> Meaning {
    match status.to_ascii_lowercase().as_str() {
        "waiting" | "pending" => Meaning::State(State::Pending),
        "not authorized" => Meaning::Attempt,
        "authorized" if held => Meaning::State(State::WaitingForCapture),
        // One-stage: settlement follows by itself; a careful merchant waits for it.
        "authorized" if paid_only => Meaning::State(State::Pending),
        "authorized" | "paid" => Meaning::State(State::Succeeded),
        "canceled" => Meaning::Back,
        "partly canceled" => Meaning::PartBack,
        _ => Meaning::Unknown,
    }
}

/// What an answer about an order comes to.
pub(super) enum Told {
    /// These facts.
    Facts(Vec<Fact>),
    /// A part was released or given back: its refunds are to be asked for. Holds the row's `Total`.
    AskRefunds(Option<String>),
}

/// Reads what `results` says about one order.
pub(super) fn of_target(
    rows: &[Row],
    payment: &Target,
    now: i64,
    account: &Account,
) -> Result<Told, Failure> {
    let order = payment.order_number();
    let expired = lifetime_ms(account).is_some_and(|life| now > payment.created_at.saturating_add(life));
    let reference = PaymentRef { provider_id: payment.provider_id.clone(), reference: Some(order.clone()) };
    let Some(row) = payment_row(rows, &order) else {
        let state = if expired { State::Canceled } else { State::Pending };
        let reason = expired.then(|| "nobody paid in time".to_owned());
        return Ok(Told::Facts(vec![fact(None, reference, state, None, reason, account)]));
    };
    let facts = of_row(row, reference.clone(), account)?;
    let paid = payment.state == State::Succeeded;
    let status = row.get("status").unwrap_or("");
    Ok(match meaning(status, is_held(row), account.switch("paid_only")) {
        Meaning::Attempt if expired => {
            let reason = Some(declined(row, row.get("response_code").unwrap_or("")));
            Told::Facts(vec![fact(Some(row), reference, State::Canceled, None, reason, account)])
        }
        Meaning::Back if paid => Told::Facts(given_back(row, reference, account)),
        Meaning::Back => Told::Facts(vec![fact(Some(row), reference, State::Canceled, None, None, account)]),
        Meaning::PartBack => Told::AskRefunds(row.get("total").map(ToOwned::to_owned)),
        _ => Told::Facts(facts),
    })
}

/// Reads what `results` says about an order of which a part went back: is it held or paid, and how much went back.
/// SBP payments have no rows beside their refunds, and no holds.
pub(super) fn of_partly(
    rows: &[Row],
    payment: &Target,
    total_before: Option<&str>,
    account: &Account,
) -> Vec<Fact> {
    let order = payment.order_number();
    let reference = PaymentRef { provider_id: payment.provider_id.clone(), reference: Some(order.clone()) };
    let main = payment_row(rows, &order);
    let told =
        main.map(|row| meaning(row.get("status").unwrap_or(""), is_held(row), account.switch("paid_only")));
    let state = match told {
        Some(Meaning::Back) if payment.state != State::Succeeded => State::Canceled,
        Some(Meaning::State(state)) if payment.state != State::Succeeded => state,
        _ => State::Succeeded,
    };
    // Only of a payment that nobody registered the price is wanted.
    let amount = main.filter(|_| payment.number == 0).and_then(|row| amount(row).ok());
    let mut facts = vec![fact(main, reference, state, amount, None, account)];
    if state == State::Succeeded {
        facts.extend(refunds(rows, payment, total_before, account));
    }
    facts
}

/// The refunds of an order, as one fact about all of them. Rows of refunds exist for cards only; for SBP the order's
/// `Total` is what is left, as it was in `total_before`.
pub(super) fn refunds(
    rows: &[Row],
    payment: &Target,
    total_before: Option<&str>,
    account: &Account,
) -> Option<Fact> {
    let order = payment.order_number();
    let currency = payment.amount.currency;
    let main = payment_row(rows, &order);
    let reference = PaymentRef {
        provider_id: payment
            .provider_id
            .clone()
            .or_else(|| main.and_then(|row| row.get("billnumber")).map(ToOwned::to_owned)),
        reference: Some(order.clone()),
    };
    if main.is_some_and(|row| is(row, "Canceled")) {
        return Some(refund(reference, None, account));
    }
    let own = rows.iter().filter(|row| row.get("ordernumber") == Some(&order) && is(row, "Refund"));
    let mut back: i64 = 0;
    for row in own {
        back = back.saturating_add(Money::parse(row.get("total")?, currency).ok()?.minor);
    }
    if back == 0 {
        let by_sbp = main.filter(|row| row.get("paymenttype") == Some(SBP)).and_then(|row| row.get("total"));
        let left = Money::parse(by_sbp.or(total_before)?, currency).ok()?;
        back = payment.amount.minor.saturating_sub(left.minor);
    }
    (back > 0).then(|| refund(reference, Some(Money::new(back, currency)), account))
}

/// A payment that was paid and is given back as a whole.
fn given_back(row: &Row, payment: PaymentRef, account: &Account) -> Vec<Fact> {
    let paid = fact(Some(row), payment.clone(), State::Succeeded, None, None, account);
    vec![paid, refund(payment, None, account)]
}

/// Facts of a period's rows. Whether money was released or given back depends on the payment, so such orders are only
/// pointed at.
pub(super) fn of_period_rows(rows: &[Row], account: &Account) -> Vec<Fact> {
    rows.iter()
        .filter_map(|row| {
            let order = row.get("ordernumber")?.to_owned();
            let reference = PaymentRef { provider_id: None, reference: Some(order) };
            Some(
                of_row(row, reference.clone(), account)
                    .unwrap_or_else(|failure| vec![note(row, reference, failure.why)]),
            )
        })
        .flatten()
        .collect()
}

/// Facts of a row that need no knowledge of the payment.
fn of_row(row: &Row, reference: PaymentRef, account: &Account) -> Result<Vec<Fact>, Failure> {
    let reference = PaymentRef {
        provider_id: row.get("billnumber").map(ToOwned::to_owned).or(reference.provider_id),
        ..reference
    };
    let status = row.get("status").unwrap_or("");
    Ok(vec![match meaning(status, is_held(row), account.switch("paid_only")) {
        // Nothing follows from the amount of what is not paid yet.
        Meaning::State(State::Pending) => {
            fact(Some(row), reference, State::Pending, amount(row).ok(), None, account)
        }
        Meaning::State(state) => fact(Some(row), reference, state, Some(amount(row)?), None, account),
        Meaning::Attempt => note(row, reference, declined(row, row.get("response_code").unwrap_or(""))),
        Meaning::Back | Meaning::PartBack => {
            let why = "released or given back: ask about the order itself to know which".to_owned();
            note(row, reference, why)
        }
        Meaning::Unknown => {
            let why = "a status that the technical order does not name; nothing follows from it".to_owned();
            note(row, reference, why)
        }
    }])
}

/// A hold, or something that does not say that it is none.
fn is_held(row: &Row) -> bool {
    row.get("need_confirm") != Some("0")
}

fn amount(row: &Row) -> Result<Money, Failure> {
    let unreadable = || Failure::later("Uniteller's answer has no readable Total and Currency");
    let currency: Currency = row.get("currency").and_then(|code| code.parse().ok()).ok_or_else(unreadable)?;
    row.get("total").and_then(|total| Money::parse(total, currency).ok()).ok_or_else(unreadable)
}

fn fact(
    row: Option<&Row>,
    payment: PaymentRef,
    state: State,
    amount: Option<Money>,
    reason: Option<String>,
    account: &Account,
) -> Fact {
    let of = |name: &str| row.and_then(|row| row.get(name));
    let paid_at = of("date").and_then(Civil::parse_dotted).and_then(|civil| civil.unix_ms(MOSCOW));
    let provider_id = of("billnumber").map(ToOwned::to_owned).or(payment.provider_id);
    Fact::Payment(PaymentFact {
        payment: PaymentRef { provider_id, ..payment },
        state,
        amount: amount.map(Sum::Money),
        amount_check: AmountCheck::AtMostIfHeld,
        reason,
        test: account.is_test(),
        method: of("paymenttype").map(|code| method(code).to_owned()),
        saved_method: None,
        operation_key: None,
        expires_at: paid_at
            .filter(|_| state == State::WaitingForCapture)
            .map(|at| at.saturating_add(HOLD_DAYS.saturating_mul(DAY_MS))),
    })
}

/// A refund of so much in all; `None` is all that was paid (after a capture of a part that is less than the price).
pub(super) fn refund(payment: PaymentRef, total: Option<Money>, account: &Account) -> Fact {
    let order = payment.reference.as_deref().unwrap_or("");
    Fact::Refund(RefundFact {
        id: total.map_or_else(|| format!("{order}-all"), |total| format!("{order}-{}", total.minor)),
        payment,
        amount: total.map(Sum::Money),
        cumulative: total.is_some(),
        test: account.is_test(),
        if_unpaid: None,
    })
}

fn note(row: &Row, payment: PaymentRef, why: String) -> Fact {
    let what = row.get("status").unwrap_or("").chars().take(40).collect();
    Fact::Note(Note { what, why, payment })
}

/// How long an order may be paid, milliseconds; `None` when nobody set it.
fn lifetime_ms(account: &Account) -> Option<i64> {
    account.setting("order_lifetime")?.parse::<i64>().ok()?.checked_mul(1000)
}
