//! Operations: JSON over HTTP Basic, at three hosts.

use serde_json::{Map, Value, json};

use super::about::Host;
use super::create::{charge, checkout, gateway_amount};
use super::replies::{Answer, is_not_found, looked_up, read, unreadable};
use super::status;
use super::transaction::{self, Key, Meaning, is_plain, meaning_of, uid, word};
use crate::Account;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, RefundFact, State};
use crate::http::{Call, Method, Reply};
use crate::json::member;
use crate::money::Money;
use crate::operation::{Create, Done, Failure, Fault, Link, Operation, Step, Target, Wish};

/// Longest reason of a refund, characters.
const REASON_LEN_MAX: usize = 255;
/// A reason must be given.
const REASON: &str = "Refund";
/// An order number that no payment has, to see whether the credentials work.
const PROBE: &str = "kassir-probe";
const OTHER_HOST: &str = "other-host";

pub(super) fn begin(operation: &Operation, account: &Account) -> Result<Step, Failure> {
    let api = Api { account };
    Ok(match &operation.wish {
        Wish::Create(create) => {
            let Step::Send { call, memo } =
                api.post(Host::Checkout, "/ctp/api/checkouts", &checkout(create, account)?)
            else {
                return Err(Failure::never(Fault::Us, "no call was made"));
            };
            Step::Send { call: Box::new(call.header("x-api-version", "2")), memo }
        }
        Wish::Charge { create, saved_method } => {
            let path = if create.hold { "authorizations" } else { "payments" };
            api.post(Host::Gateway, &format!("/transactions/{path}"), &charge(create, saved_method, account)?)
        }
        Wish::Status(target) => status::begin(&api, target)?,
        Wish::RefundStatus { payment, refund_id } => {
            let alternative = key(payment).is_some_and(|key| key.is_alternative());
            api.transaction(refund_id, alternative, "")?
        }
        Wish::Capture { payment, amount, .. } => {
            let body = child(payment_uid(payment)?, &amount.unwrap_or(payment.amount))?;
            api.change("captures", payment, body)
        }
        Wish::Cancel(payment) => api.cancel(payment)?,
        Wish::Refund { payment, amount, reason, .. } => {
            let parent = match key(payment) {
                Some(Key::Capture { uid, .. }) => uid,
                _ => payment_uid(payment)?.to_owned(),
            };
            let mut body = child(&parent, &amount.unwrap_or(payment.amount))?;
            let reason = reason.as_deref().filter(|reason| !reason.trim().is_empty()).unwrap_or(REASON);
            let reason: String = reason.chars().take(REASON_LEN_MAX).collect();
            body.insert("reason".to_owned(), json!(reason));
            body.insert("tracking_id".to_owned(), json!(payment.order_number()));
            api.change("refunds", payment, body)
        }
        Wish::CancelSubscription { id } => api.post(
            Host::Api,
            &format!("/subscriptions/{}/cancel", subscription(id)?),
            &json!({ "cancel_reason": "Customer's request" }),
        ),
        Wish::Subscriptions { id: Some(id) } => {
            api.get(Host::Api, &format!("/subscriptions/{}", subscription(id)?), "")
        }
        Wish::Subscriptions { id: None } => return Err(never("name a subscription of bePaid")),
        Wish::Probe => api.get(Host::Gateway, &format!("/v2/transactions/tracking_id/{PROBE}"), ""),
        Wish::Period { .. } => return Err(Failure::unsupported("list of payments by period; ask for each")),
    })
}

pub(super) fn next(
    operation: &Operation,
    memo: &str,
    reply: &Reply,
    account: &Account,
) -> Result<Step, Failure> {
    let api = Api { account };
    match &operation.wish {
        Wish::Status(target) => status::next(&api, target, memo, reply),
        Wish::RefundStatus { payment, refund_id } => {
            if is_not_found(reply) && memo != OTHER_HOST {
                let alternative = !key(payment).is_some_and(|key| key.is_alternative());
                return api.transaction(refund_id, alternative, OTHER_HOST);
            }
            let answer = read(reply)?;
            let refund = answer.object("transaction")?;
            if uid(refund, "uid").as_ref() != Some(refund_id) || !is_child_of(refund, payment) {
                return Err(unreadable("it is no refund of this payment"));
            }
            refund_told(payment, &answer, false)
        }
        Wish::Create(_) => created(&read(reply).map_err(looked_up)?).map_err(looked_up),
        Wish::Charge { create, .. } => charged(create, read(reply).map_err(looked_up)?).map_err(looked_up),
        Wish::Capture { payment, .. } => {
            let answer = read(reply).map_err(looked_up)?;
            changed(payment, answer, Meaning::Captured).map_err(looked_up)
        }
        Wish::Cancel(payment) => {
            let answer = read(reply).map_err(looked_up)?;
            match payment.state {
                State::WaitingForCapture => changed(payment, answer, Meaning::Voided).map_err(looked_up),
                _ => Ok(withdrawn(payment, answer, account.is_test())),
            }
        }
        Wish::Refund { payment, .. } => {
            let answer = read(reply).map_err(looked_up)?;
            refund_told(payment, &answer, true).map_err(looked_up)
        }
        Wish::CancelSubscription { id } | Wish::Subscriptions { id: Some(id) } => {
            let answer = read(reply)?;
            // A cancellation may be answered with less than the subscription.
            match uid(&answer.body, "id") {
                Some(told) if &told != id => Err(unreadable("it is about another subscription")),
                _ => Ok(Step::done(Done { payload: Some(answer.raw), ..Done::default() })),
            }
        }
        Wish::Probe => probed(reply),
        Wish::Subscriptions { id: None } | Wish::Period { .. } => {
            Err(Failure::never(Fault::Us, "an answer to a question that was not asked"))
        }
    }
}

pub(super) fn never(why: &str) -> Failure {
    Failure::never(Fault::Caller, why)
}

/// What we keep of a payment besides its uid.
pub(super) fn key(payment: &Target) -> Option<Key> {
    payment.operation_key.as_deref().and_then(Key::parse)
}

fn payment_uid(payment: &Target) -> Result<&str, Failure> {
    let uid = payment.provider_id.as_deref().filter(|uid| is_plain(uid));
    uid.ok_or_else(|| never("bePaid's uid of the transaction is not known: nothing was paid yet"))
}

fn subscription(id: &str) -> Result<&str, Failure> {
    Some(id).filter(|id| is_plain(id)).ok_or_else(|| never("that is no id of a subscription of bePaid"))
}

fn child(parent: &str, amount: &Money) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    body.insert("parent_uid".to_owned(), json!(parent));
    body.insert("amount".to_owned(), json!(gateway_amount(amount)?));
    Ok(body)
}

/// Whether a transaction is a child of the payment or of its capture.
pub(super) fn is_child_of(transaction: &Value, payment: &Target) -> bool {
    let parent = uid(transaction, "parent_uid");
    let capture = match key(payment) {
        Some(Key::Capture { uid, .. }) => Some(uid),
        _ => None,
    };
    parent.is_some() && (parent == payment.provider_id || parent == capture)
}

/// The payment as we know it, for facts of its children.
pub(super) fn reference(payment: &Target) -> PaymentRef {
    PaymentRef { provider_id: payment.provider_id.clone(), reference: Some(payment.order_number()) }
}

pub(super) struct Api<'a> {
    pub account: &'a Account,
}

impl Api<'_> {
    fn call(&self, method: Method, host: Host, path: &str) -> Call {
        let url = format!("{}{path}", host.base(self.account));
        Call { method, url, headers: Vec::new(), body: Vec::new() }
            .basic(self.account.text("shop_id"), self.account.text("secret_key"))
            .header("accept", "application/json")
    }

    /// A question. It has no content type: the gateway refuses a GET that has one.
    pub(super) fn get(&self, host: Host, path: &str, memo: &str) -> Step {
        Step::Send { call: Box::new(self.call(Method::Get, host, path)), memo: memo.to_owned() }
    }

    fn post(&self, host: Host, path: &str, body: &Value) -> Step {
        let mut call = self.call(Method::Post, host, path).header("content-type", "application/json");
        call.body = body.to_string().into_bytes();
        Step::send(call)
    }

    /// A transaction by its uid, at the gateway of cards or at the service of alternative methods.
    pub(super) fn transaction(&self, uid: &str, alternative: bool, memo: &str) -> Result<Step, Failure> {
        if !is_plain(uid) {
            return Err(never("that is no uid of a transaction of bePaid"));
        }
        Ok(if alternative {
            self.get(Host::Api, &format!("/beyag/transactions/{uid}"), memo)
        } else {
            self.get(Host::Gateway, &format!("/transactions/{uid}"), memo)
        })
    }

    /// The transactions of an order number, newest ten.
    pub(super) fn transactions(&self, number: &str, alternative: bool, memo: &str) -> Step {
        if alternative {
            self.get(Host::Api, &format!("/beyag/transactions/tracking_id/{number}"), memo)
        } else {
            self.get(Host::Gateway, &format!("/v2/transactions/tracking_id/{number}"), memo)
        }
    }

    fn change(&self, what: &str, payment: &Target, body: Map<String, Value>) -> Step {
        let body = json!({ "request": body });
        if key(payment).is_some_and(|key| key.is_alternative()) {
            self.post(Host::Api, &format!("/beyag/transactions/{what}"), &body)
        } else {
            self.post(Host::Gateway, &format!("/transactions/{what}"), &body)
        }
    }

    fn cancel(&self, payment: &Target) -> Result<Step, Failure> {
        match payment.state {
            State::Succeeded => Err(never("the payment is paid: give the money back with a refund")),
            State::Canceled => Err(never("the payment is canceled already")),
            State::WaitingForCapture => {
                let mut body = child(payment_uid(payment)?, &payment.amount)?;
                body.insert("tracking_id".to_owned(), json!(payment.order_number()));
                Ok(self.change("voids", payment, body))
            }
            State::Pending if key(payment).is_some_and(|key| key.is_alternative()) => {
                let path = format!("/beyag/payments/{}", payment_uid(payment)?);
                Ok(Step::send(self.call(Method::Delete, Host::Api, &path)))
            }
            State::Pending => Err(never(
                "an unpaid pay page can't be withdrawn: it expires by itself, by default after 24 hours",
            )),
        }
    }
}

fn created(answer: &Answer) -> Result<Step, Failure> {
    let checkout = answer.object("checkout")?;
    let token = uid(checkout, "token").ok_or_else(|| unreadable("it has no token"))?;
    let url = member(checkout, "redirect_url").filter(|url| url.starts_with("https://"));
    let url = url.ok_or_else(|| unreadable("it has no link to pay at"))?;
    Ok(Step::done(Done {
        operation_key: Some(Key::Token(token).text()),
        link: Some(Link::Url(url)),
        payload: Some(answer.raw.clone()),
        ..Done::default()
    }))
}

/// A charge says its result at once, unless the payer must confirm it.
fn charged(create: &Create, answer: Answer) -> Result<Step, Failure> {
    let transaction = answer.object("transaction")?;
    if transaction::tracking_id(transaction).is_some_and(|told| told != create.number.to_string()) {
        return Err(unreadable("it is about another payment"));
    }
    if word(transaction, "status") == "failed" {
        return Err(declined(transaction, "declined"));
    }
    let fact = transaction::fact(transaction).map_err(|why| unreadable(&why))?;
    let link = member(transaction, "redirect_url").filter(|url| url.starts_with("https://"));
    let is_pending = matches!(&fact, Fact::Payment(fact) if fact.state == State::Pending);
    Ok(Step::done(Done {
        provider_id: fact.payment().provider_id.clone(),
        link: link.filter(|_| is_pending).map(Link::Url),
        facts: vec![fact],
        payload: Some(answer.raw),
        ..Done::default()
    }))
}

fn declined(transaction: &Value, what: &str) -> Failure {
    let failure = never(&format!("{what}: {}", transaction::words(transaction)));
    match member(transaction, "code") {
        Some(code) => failure.code(transaction::short(&code)),
        None => failure,
    }
}

/// A capture or a void: a transaction of its own that names its parent.
fn changed(payment: &Target, answer: Answer, wanted: Meaning) -> Result<Step, Failure> {
    let transaction = answer.object("transaction")?;
    if uid(transaction, "parent_uid") != payment.provider_id {
        return Err(unreadable("it is about another payment"));
    }
    if matches!(word(transaction, "status"), "failed" | "error" | "expired") {
        return Err(declined(transaction, "bePaid could not do it"));
    }
    if meaning_of(transaction) != wanted {
        let why = format!("it is under way: {}", transaction::words(transaction));
        return Err(unreadable(&why));
    }
    let mut fact = transaction::fact(transaction).map_err(|why| unreadable(&why))?;
    if let Fact::Payment(fact) = &mut fact {
        fact.payment = reference(payment);
        let capture = uid(transaction, "uid").filter(|_| wanted == Meaning::Captured);
        let alternative = key(payment).is_some_and(|key| key.is_alternative());
        fact.operation_key = capture.map(|uid| Key::Capture { uid, alternative }.text());
    }
    Ok(Step::done(Done {
        provider_id: payment.provider_id.clone(),
        facts: vec![fact],
        payload: Some(answer.raw),
        ..Done::default()
    }))
}

/// An unpaid request to pay (ERIP) was withdrawn.
fn withdrawn(payment: &Target, answer: Answer, test: bool) -> Step {
    let fact = PaymentFact {
        payment: reference(payment),
        state: State::Canceled,
        amount: None,
        amount_check: AmountCheck::Ignore,
        reason: Some("deleted".to_owned()),
        test,
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    };
    Step::done(Done {
        provider_id: payment.provider_id.clone(),
        facts: vec![Fact::Payment(fact)],
        payload: Some(answer.raw),
        ..Done::default()
    })
}

/// The facts of a refund's transaction, with the payment as we know it. `now`: it was just asked for.
fn refund_told(payment: &Target, answer: &Answer, now: bool) -> Result<Step, Failure> {
    let refund = answer.object("transaction")?;
    let id = uid(refund, "uid").ok_or_else(|| unreadable("it has no uid"))?;
    if !is_child_of(refund, payment) {
        return Err(unreadable("it is about another payment"));
    }
    let failed = matches!(word(refund, "status"), "failed" | "error" | "expired");
    if failed && now {
        return Err(declined(refund, "bePaid refused the refund"));
    }
    let fact = transaction::fact(refund).map_err(|why| unreadable(&why))?;
    let (fact, refund_id) = match fact {
        Fact::Refund(fact) => (Fact::Refund(RefundFact { payment: reference(payment), ..fact }), None),
        Fact::Note(note) if word(refund, "type") == "refund" => {
            (Fact::Note(Note { payment: reference(payment), ..note }), (!failed).then_some(id))
        }
        _ => return Err(unreadable("it is no refund")),
    };
    Ok(Step::done(Done {
        provider_id: payment.provider_id.clone(),
        refund_id,
        facts: vec![fact],
        payload: Some(answer.raw.clone()),
        ..Done::default()
    }))
}

/// The credentials work when the gateway answers a question about an order number that no payment has.
fn probed(reply: &Reply) -> Result<Step, Failure> {
    if is_not_found(reply) {
        return Ok(Step::done(Done::default()));
    }
    let answer = read(reply)?;
    match answer.body.get("transactions") {
        Some(Value::Array(_)) => Ok(Step::done(Done::default())),
        _ => Err(unreadable("it has no list of transactions: are api_base and hosts right?")),
    }
}
