//! Operations: forms signed with a hash, OpStateExt, and the refund service's JWT.

use serde_json::Value;

use super::about::ABOUT;
use super::result::is_invoice;
use super::state::{Answered, payment};
use super::{pay, refunds, shop};
use crate::account::Account;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, State, Sum};
use crate::form::build;
use crate::http::{Call, Reply};
use crate::money::Money;
use crate::operation::{Create, Done, Failure, Fault, Operation, Retry, Step, Target, Wish};

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// An invoice number that hardly anybody uses: asking for it proves login, password #2 and hash.
const PROBE_INVOICE: &str = "2147483647";
/// Longest words of the provider that are shown, characters.
const WORDS_CHARS_MAX: usize = 200;

const ASK: &str = "ask";
const KEY: &str = "key";

pub(super) fn begin(operation: &Operation, account: &Account) -> Result<Step, Failure> {
    match &operation.wish {
        Wish::Create(create) => pay::create(create, account),
        Wish::Status(target) => {
            live(account, "the state of a payment")?;
            ask(&invoice(target)?, ASK, account)
        }
        Wish::RefundStatus { refund_id, .. } => {
            let id = crate::form::encode(refund_id);
            let url = format!("{}/RefundService/Refund/GetState?id={id}", shop::services(account)?);
            Ok(Step::send(Call::get(url)))
        }
        Wish::Capture { payment, amount, receipt } => capture(payment, *amount, receipt.as_ref(), account),
        Wish::Cancel(payment) => cancel(payment, account),
        Wish::Refund { payment, amount, receipt, .. } => {
            live(account, "refunds")?;
            shop::password(account, "password3", "password #3")?;
            within(*amount, payment, account)?;
            match &payment.operation_key {
                Some(key) => refunds::create(payment, key, *amount, receipt.as_ref(), account),
                None => ask(&invoice(payment)?, KEY, account),
            }
        }
        Wish::Charge { create, saved_method } => charge(create, saved_method, account),
        Wish::CancelSubscription { .. } | Wish::Subscriptions { .. } => Err(Failure::unsupported(
            "subscription (charge the saved method when it is due, or stop doing so)",
        )),
        Wish::Period { .. } => Err(Failure::unsupported("list of payments by period; ask for each")),
        Wish::Probe => ask(PROBE_INVOICE, ASK, account),
    }
}

pub(super) fn next(
    operation: &Operation,
    memo: &str,
    reply: &Reply,
    account: &Account,
) -> Result<Step, Failure> {
    match &operation.wish {
        Wish::Status(target) => status(target, reply, account),
        Wish::RefundStatus { payment, refund_id } => refunds::status(payment, refund_id, reply, account),
        Wish::Capture { payment, amount, .. } => {
            agreed(reply)?;
            let amount = within(*amount, payment, account)?;
            Ok(finished(vec![captured(&invoice(payment)?, amount)]))
        }
        Wish::Cancel(target) if memo == ASK => canceled(target, reply, account),
        Wish::Cancel(target) => {
            agreed(reply)?;
            looked_at(target, account)
        }
        Wish::Refund { payment, amount, receipt, .. } if memo == KEY => {
            let answered = answered(reply)?;
            let key = if answered.found()? { answered.operation_key() } else { None };
            let key = key.ok_or_else(|| {
                Failure::never(
                    Fault::Caller,
                    "Robokassa has no operation of this payment that could be refunded",
                )
            })?;
            refunds::create(payment, &key, *amount, receipt.as_ref(), account)
        }
        Wish::Refund { payment, .. } => refunds::created(payment, reply),
        Wish::Charge { create, .. } => charged(create, reply),
        Wish::Probe => {
            answered(reply)?.found()?;
            Ok(finished(Vec::new()))
        }
        Wish::Create(_)
        | Wish::CancelSubscription { .. }
        | Wish::Subscriptions { .. }
        | Wish::Period { .. } => Err(Failure::never(Fault::Us, "this operation makes no call")),
    }
}

/// Asks OpStateExt about an invoice.
fn ask(invoice: &str, memo: &str, account: &Account) -> Result<Step, Failure> {
    let login = account.text("merchant_login");
    let password = shop::password(account, "password2", "password #2")?;
    let signature = shop::sign(account, &format!("{login}:{invoice}:{}", password.expose()))?;
    let query = build([("MerchantLogin", login), ("InvoiceID", invoice), ("Signature", &signature)]);
    let url = format!("{}/Merchant/WebService/Service.asmx/OpStateExt?{query}", shop::auth(account));
    Ok(Step::Send { call: Box::new(Call::get(url)), memo: memo.to_owned() })
}

fn answered(reply: &Reply) -> Result<Answered, Failure> {
    if !reply.is_success() {
        return Err(Failure::later(format!("Robokassa answered with HTTP status {}", reply.status)));
    }
    Answered::read(&reply.body)
}

fn status(target: &Target, reply: &Reply, account: &Account) -> Result<Step, Failure> {
    let answered = answered(reply)?;
    let fact = answered.fact(target, account)?;
    Ok(Step::done(Done {
        operation_key: answered.operation_key(),
        facts: vec![fact],
        payload: Some(answered.payload()),
        ..Done::default()
    }))
}

/// Posts a form of the merchant interface.
fn post(path: &str, fields: &[(&str, &str)], account: &Account) -> Step {
    let url = format!("{}{path}", shop::auth(account));
    Step::send(Call::post(url, FORM, build(fields.iter().copied())))
}

fn capture(
    payment: &Target,
    amount: Option<Money>,
    receipt: Option<&Value>,
    account: &Account,
) -> Result<Step, Failure> {
    live(account, "holds")?;
    let (login, invoice) = (account.text("merchant_login"), invoice(payment)?);
    let sum = within(amount, payment, account)?.decimal();
    let receipt = receipt.map(pay::receipt);
    let password = shop::password(account, "password1", "password #1")?.expose();
    let mut parts = vec![login, &sum, &invoice];
    parts.extend(receipt.as_deref());
    parts.push(password);
    let signature = shop::sign(account, &parts.join(":"))?;
    let mut fields = vec![("MerchantLogin", login), ("InvoiceID", &invoice), ("OutSum", &sum)];
    fields.extend(receipt.as_deref().map(|receipt| ("Receipt", receipt)));
    fields.push(("SignatureValue", &signature));
    Ok(post("/Merchant/Payment/Confirm", &fields, account))
}

fn cancel(payment: &Target, account: &Account) -> Result<Step, Failure> {
    live(account, "holds")?;
    let caller = |why: &str| Failure::never(Fault::Caller, why);
    match payment.state {
        State::WaitingForCapture => {}
        State::Pending => return Err(caller("an unpaid link of Robokassa can't be revoked: let it expire")),
        State::Succeeded => return Err(caller("the payment is paid: give the money back with a refund")),
        State::Canceled => return Err(caller("the payment is canceled already")),
    }
    let (login, invoice) = (account.text("merchant_login"), invoice(payment)?);
    let sum = sum(payment.amount, account)?;
    let password = shop::password(account, "password1", "password #1")?;
    // The sum is sent, but its slot in the signed text is empty.
    let signature = shop::sign(account, &format!("{login}::{invoice}:{}", password.expose()))?;
    let fields =
        [("MerchantLogin", login), ("InvoiceID", &invoice), ("OutSum", &sum), ("SignatureValue", &signature)];
    Ok(post("/Merchant/Payment/Cancel", &fields, account))
}

/// Whether a hold operation was accepted: the JSON text `"success: true"`. Anything else has to be looked up.
fn agreed(reply: &Reply) -> Result<(), Failure> {
    let look_up = |why: String| Failure { why, code: None, fault: Fault::Provider, retry: Retry::LookUp };
    if !reply.is_success() {
        return Err(look_up(format!("Robokassa answered with HTTP status {}", reply.status)));
    }
    let text = String::from_utf8_lossy(&reply.body);
    let text = serde_json::from_str::<String>(&text).unwrap_or_else(|_| text.trim().to_owned());
    match text.as_str() {
        "success: true" => Ok(()),
        "success: false" => Err(look_up("Robokassa refused, without a reason".to_owned())),
        _ => Err(look_up("Robokassa's answer is not the one that is documented".to_owned())),
    }
}

/// A cancel was accepted: what the payment is now.
fn looked_at(target: &Target, account: &Account) -> Result<Step, Failure> {
    let unknown =
        Failure::later("Robokassa accepted the cancel, but does not answer what the payment is now");
    let otherwise = Box::new(Failure { retry: Retry::LookUp, ..unknown }.into());
    Ok(match ask(&invoice(target)?, ASK, account)? {
        Step::Send { call, memo } => Step::FollowUp { call, memo, otherwise },
        other => other,
    })
}

/// A cancel that was accepted counts once OpStateExt shows it.
fn canceled(target: &Target, reply: &Reply, account: &Account) -> Result<Step, Failure> {
    let look_up = |failure: Failure| Failure { retry: Retry::LookUp, ..failure };
    let answered = answered(reply).map_err(look_up)?;
    let fact = answered.fact(target, account).map_err(look_up)?;
    let fact = match fact {
        Fact::Payment(fact) if fact.state == State::Canceled => Fact::Payment(fact),
        other => Fact::Note(Note {
            what: "cancel.pending".to_owned(),
            why: "the cancel was accepted, but OpStateExt does not show it yet".to_owned(),
            payment: other.payment().clone(),
        }),
    };
    Ok(Step::done(Done { facts: vec![fact], payload: Some(answered.payload()), ..Done::default() }))
}

/// A charge of the card of an earlier ("parent") payment, whose number `saved_method` is.
fn charge(create: &Create, parent: &str, account: &Account) -> Result<Step, Failure> {
    live(account, "recurring charges")?;
    if create.hold {
        return Err(Failure::never(Fault::Caller, "Robokassa can't hold a recurring charge"));
    }
    if !is_invoice(parent) {
        return Err(Failure::never(
            Fault::Caller,
            "the saved method of Robokassa is the number of the first payment",
        ));
    }
    let login = account.text("merchant_login");
    let (sum, invoice) = (sum(create.amount, account)?, create.number.to_string());
    let receipt = create.receipt.as_ref().map(pay::receipt);
    let own = pay::shp(&create.metadata, false);
    let signed_own: Vec<String> = own.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let password = shop::password(account, "password1", "password #1")?.expose();
    let mut parts = vec![login, &sum, &invoice];
    parts.extend(receipt.as_deref());
    parts.push(password);
    parts.extend(signed_own.iter().map(String::as_str));
    let signature = shop::sign(account, &parts.join(":"))?;
    let description = pay::description(&create.description);
    let mut fields = vec![
        ("MerchantLogin", login),
        ("InvoiceID", &invoice),
        ("PreviousInvoiceID", parent),
        ("OutSum", &sum),
        ("Description", &description),
    ];
    fields.extend(receipt.as_deref().map(|receipt| ("Receipt", receipt)));
    fields.extend(own.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    fields.push(("SignatureValue", &signature));
    Ok(post("/Merchant/Recurring", &fields, account))
}

/// `OK1043` (also seen: `OK+1043`) says only that the charge was accepted; ResultURL or OpStateExt tells its result.
fn charged(create: &Create, reply: &Reply) -> Result<Step, Failure> {
    let text = String::from_utf8_lossy(&reply.body);
    let invoice = create.number.to_string();
    if !reply.is_success() {
        let why = format!("Robokassa answered with HTTP status {}", reply.status);
        return Err(Failure { why, code: None, fault: Fault::Provider, retry: Retry::LookUp });
    }
    let accepted = text.trim().trim_matches('"').strip_prefix("OK").map(|rest| rest.trim_start_matches('+'));
    if accepted != Some(invoice.as_str()) {
        let why = format!("Robokassa did not accept the charge: {}", words(text.trim()));
        return Err(Failure { why, code: None, fault: Fault::Merchant, retry: Retry::LookUp });
    }
    Ok(Step::done(Done {
        provider_id: Some(invoice.clone()),
        facts: vec![payment(&invoice, State::Pending)],
        ..Done::default()
    }))
}

fn captured(invoice: &str, amount: Money) -> Fact {
    match payment(invoice, State::Succeeded) {
        Fact::Payment(fact) => Fact::Payment(PaymentFact {
            amount: Some(Sum::Money(amount)),
            amount_check: AmountCheck::AtMostIfHeld,
            ..fact
        }),
        other => other,
    }
}

fn finished(facts: Vec<Fact>) -> Step {
    Step::done(Done { facts, ..Done::default() })
}

/// The provider's words, short and without mark-up.
pub(super) fn words(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(WORDS_CHARS_MAX).collect()
}

/// What Robokassa has only for real payments.
fn live(account: &Account, what: &str) -> Result<(), Failure> {
    if account.is_test() {
        return Err(Failure::never(Fault::Caller, format!("{} has no {what} in test mode", ABOUT.title.en)));
    }
    Ok(())
}

/// An amount as Robokassa wants it, in the account's currency.
pub(super) fn sum(amount: Money, account: &Account) -> Result<String, Failure> {
    let currency = shop::currency(account);
    if amount.currency != currency {
        return Err(Failure::never(
            Fault::Caller,
            format!("this account of Robokassa takes {currency} only"),
        ));
    }
    if amount.minor <= 0 {
        return Err(Failure::never(Fault::Caller, "the amount must be more than nothing"));
    }
    Ok(amount.decimal())
}

pub(super) fn within(amount: Option<Money>, payment: &Target, account: &Account) -> Result<Money, Failure> {
    let amount = amount.unwrap_or(payment.amount);
    sum(amount, account)?;
    if amount.minor > payment.amount.minor {
        return Err(Failure::never(
            Fault::Caller,
            format!("{amount} is more than the payment's {}", payment.amount),
        ));
    }
    Ok(amount)
}

fn invoice(target: &Target) -> Result<String, Failure> {
    Some(target.order_number()).filter(|invoice| is_invoice(invoice)).ok_or_else(|| {
        Failure::never(
            Fault::Caller,
            "Robokassa's invoice numbers are digits; this payment has no such number",
        )
    })
}
