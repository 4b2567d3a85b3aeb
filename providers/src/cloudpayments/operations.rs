//! Operations: JSON over HTTP Basic, each with `X-Request-ID` (its result is kept for an hour).

use serde_json::{Map, Number, Value, json};

use super::about::ABOUT;
use super::receive::is_transaction_id;
use super::reply::{self, Answered};
use crate::date::Civil;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, State, Sum};
use crate::http::Call;
use crate::money::Money;
use crate::operation::{Create, Done, Failure, Fault, Link, Operation, Retry, Step, Target, Wish};
use crate::{Account, Reply};

/// Pages of a hundred that are looked through for an order's earlier, paid attempt.
const PAGES_MAX: u32 = 3;
const PAGE_LEN: usize = 100;
/// Most that a single look-through goes back, milliseconds.
const LIST_SPAN_MAX_MS: i64 = 7 * 86_400_000;

const GET: &str = "get";
const FIND: &str = "find";
const FIND_ANY: &str = "find-any";
const LIST: &str = "list:";
const REFUNDED: &str = "refunded:";

pub(super) fn begin(operation: &Operation, account: &Account) -> Result<Step, Failure> {
    let api = Api { operation, account };
    Ok(match &operation.wish {
        Wish::Create(create) => api.act("/orders/create", &order(create)?),
        Wish::Status(target) => match &target.provider_id {
            Some(id) => api.ask("/payments/get", &json!({"TransactionId": transaction(id)?}), GET),
            None => api.ask("/payments/find", &json!({"InvoiceId": target.order_number()}), FIND),
        },
        Wish::RefundStatus { refund_id, .. } => {
            api.ask("/payments/get", &json!({"TransactionId": transaction(refund_id)?}), "")
        }
        Wish::Capture { payment, amount, receipt } => {
            let amount = within(*amount, payment, "was held")?;
            let mut body = object(json!({"TransactionId": paid(payment)?, "Amount": number(amount)?}));
            data(&mut body, &Map::new(), receipt.as_ref());
            api.act("/payments/confirm", &Value::Object(body))
        }
        Wish::Cancel(payment) => api.cancel(payment)?,
        Wish::Refund { payment, amount, receipt, .. } => {
            let amount = within(*amount, payment, "was paid")?;
            let mut body = object(json!({"TransactionId": paid(payment)?, "Amount": number(amount)?}));
            data(&mut body, &Map::new(), receipt.as_ref());
            api.act("/payments/refund", &Value::Object(body))
        }
        Wish::Charge { create, saved_method } => {
            let path = if create.hold { "/payments/tokens/auth" } else { "/payments/tokens/charge" };
            api.act(path, &charge(create, saved_method)?)
        }
        Wish::CancelSubscription { id } => api.act("/subscriptions/cancel", &json!({"Id": id})),
        Wish::Subscriptions { id: Some(id) } => api.ask("/subscriptions/get", &json!({"Id": id}), ""),
        Wish::Subscriptions { id: None } => {
            return Err(Failure::never(
                Fault::Caller,
                "CloudPayments lists subscriptions of one payer only; name a subscription",
            ));
        }
        Wish::Period { .. } => return Err(Failure::unsupported("list of payments by period; ask for each")),
        Wish::Probe => api.ask("/test", &json!({}), ""),
    })
}

pub(super) fn next(
    operation: &Operation,
    memo: &str,
    reply: &Reply,
    account: &Account,
) -> Result<Step, Failure> {
    let api = Api { operation, account };
    if let (Wish::Refund { payment, .. }, Some(id)) = (&operation.wish, memo.strip_prefix(REFUNDED)) {
        let answered = reply::read(reply).map_err(|failure| Failure {
            why: format!("refund {id} was accepted, its state can't be read yet: {}", failure.why),
            retry: Retry::LookUp,
            ..failure
        })?;
        return refund_state(payment, id, answered, true)
            .map_err(|failure| Failure { retry: Retry::LookUp, ..failure });
    }
    let answered = reply::read(reply)?;
    match &operation.wish {
        Wish::Status(target) => api.status(target, memo, answered),
        Wish::RefundStatus { payment, refund_id } => refund_state(payment, refund_id, answered, false),
        Wish::Charge { .. } => charged(answered),
        _ if !answered.success => Err(answered.refused()),
        Wish::Create(_) => created(answered),
        Wish::Refund { .. } => {
            let id =
                answered.member("TransactionId").filter(|id| is_transaction_id(id)).ok_or_else(|| {
                    let why = "the refund was accepted, but the answer has no number of it";
                    Failure { retry: Retry::LookUp, ..Failure::never(Fault::Provider, why) }
                })?;
            Ok(Step::FollowUp {
                call: Box::new(api.call("/payments/get", &json!({"TransactionId": transaction(&id)?}))),
                memo: format!("{REFUNDED}{id}"),
                otherwise: Box::new(accepted(&id, answered)),
            })
        }
        Wish::Capture { payment, amount, .. } => {
            let amount = Some(Sum::Money(amount.unwrap_or(payment.amount)));
            Ok(finished(answered, vec![changed(payment, State::Succeeded, amount)]))
        }
        Wish::Cancel(payment) => Ok(finished(answered, vec![changed(payment, State::Canceled, None)])),
        Wish::CancelSubscription { .. } | Wish::Subscriptions { .. } | Wish::Probe | Wish::Period { .. } => {
            Ok(finished(answered, Vec::new()))
        }
    }
}

struct Api<'a> {
    operation: &'a Operation,
    account: &'a Account,
}

impl Api<'_> {
    fn call(&self, path: &str, body: &Value) -> Call {
        let url = format!("{}{path}", self.account.base(ABOUT.api_base));
        Call::post(url, "application/json", body.to_string())
            .basic(self.account.text("public_id"), self.account.text("api_secret"))
    }

    /// A call that changes something; the provider gives the first answer again when the key is repeated.
    fn act(&self, path: &str, body: &Value) -> Step {
        let key = self.operation.context.idempotency_key.clone();
        Step::send(self.call(path, body).header("x-request-id", key))
    }

    /// A question. It has no `X-Request-ID`: with one, a repeated question would get an answer that is an hour old.
    fn ask(&self, path: &str, body: &Value, memo: &str) -> Step {
        Step::Send { call: Box::new(self.call(path, body)), memo: memo.to_owned() }
    }

    fn cancel(&self, payment: &Target) -> Result<Step, Failure> {
        match (payment.state, &payment.operation_key) {
            (State::Succeeded, _) => {
                Err(Failure::never(Fault::Caller, "the payment is paid: give the money back with a refund"))
            }
            (State::Canceled, _) => Err(Failure::never(Fault::Caller, "the payment is canceled already")),
            (State::WaitingForCapture, _) => {
                Ok(self.act("/payments/void", &json!({"TransactionId": paid(payment)?})))
            }
            (State::Pending, Some(link)) => Ok(self.act("/orders/cancel", &json!({"Id": link}))),
            (State::Pending, None) => Err(Failure::never(
                Fault::Caller,
                "nothing was paid yet and the pay link was not made here, so there is nothing to cancel",
            )),
        }
    }

    /// By transaction, then by order number, then among all the order's attempts: `find` shows only the latest one,
    /// so a later declined attempt can hide an earlier paid one.
    fn status(&self, target: &Target, memo: &str, answered: Answered) -> Result<Step, Failure> {
        if let Some(page) = memo.strip_prefix(LIST) {
            return self.listed(target, page.parse().unwrap_or(PAGES_MAX), answered);
        }
        let find = |path, memo| self.ask(path, &json!({"InvoiceId": target.order_number()}), memo);
        if answered.not_found() {
            return Ok(match memo {
                FIND => find("/v2/payments/find", FIND_ANY),
                FIND_ANY => finished(answered, vec![changed(target, State::Pending, None)]),
                _ => finished(answered, vec![unknown_transaction(target)]),
            });
        }
        let Some(model) = &answered.model else { return Err(answered.refused()) };
        if reply::declined(model).is_some() || !reply::is_payment(model) {
            return Ok(match memo {
                GET => find("/payments/find", FIND),
                _ => self.list(target, 1),
            });
        }
        let facts = reply::facts(model)?;
        Ok(finished(answered, facts))
    }

    fn list(&self, target: &Target, page: u32) -> Step {
        let now = self.operation.context.now;
        let from = target.created_at.max(now.saturating_sub(LIST_SPAN_MAX_MS));
        let body = json!({
            "PageNumber": page,
            "CreatedDateGte": moment(from),
            "CreatedDateLte": moment(now),
            "TimeZone": "UTC",
            "Statuses": ["Authorized", "Completed", "Cancelled"],
        });
        self.ask("/v2/payments/list", &body, &format!("{LIST}{page}"))
    }

    fn listed(&self, target: &Target, page: u32, answered: Answered) -> Result<Step, Failure> {
        let Some(Value::Array(models)) = &answered.model else { return Err(answered.refused()) };
        let order = target.order_number();
        let ours = |model: &&Value| {
            crate::json::member(model, "InvoiceId").as_deref() == Some(&order) && reply::is_payment(model)
        };
        // Oldest first: of several the last one that took money counts, a void only when there is no other.
        let taken =
            models.iter().rev().filter(ours).find(|model| {
                crate::json::member(model, "Status").is_some_and(|status| status != "Cancelled")
            });
        if let Some(model) = taken {
            let facts = reply::facts(model)?;
            return Ok(finished(answered, facts));
        }
        if models.len() >= PAGE_LEN && page < PAGES_MAX {
            return Ok(self.list(target, page.saturating_add(1)));
        }
        let why = if models.len() >= PAGE_LEN {
            format!(
                "the latest attempt was declined; {PAGES_MAX} pages of payments show no paid one, there are more"
            )
        } else {
            "all attempts so far were declined or canceled; the payer may try again".to_owned()
        };
        let note = Note { what: "fail".to_owned(), why, payment: reference(target) };
        Ok(finished(answered, vec![Fact::Note(note)]))
    }
}

/// ISO 8601 in UTC with its offset, as the list of payments wants it.
fn moment(unix_ms: i64) -> String {
    format!("{}+00:00", Civil::at(unix_ms, 0).text().replace(' ', "T"))
}

fn order(create: &Create) -> Result<Value, Failure> {
    let mut body = object(json!({
        "Amount": number(create.amount)?,
        "Currency": create.amount.currency.code(),
        "Description": create.description,
        "InvoiceId": create.number.to_string(),
    }));
    if let Some(account) = payer(create) {
        body.insert("AccountId".to_owned(), Value::String(account));
    }
    if let Some(email) = &create.email {
        body.insert("Email".to_owned(), Value::String(email.clone()));
    }
    if let Some(phone) = create.contact.as_ref().and_then(|contact| contact.phone.as_ref()) {
        body.insert("Phone".to_owned(), Value::String(format!("+{phone}")));
    }
    body.insert("RequireConfirmation".to_owned(), Value::Bool(create.hold));
    body.insert("SendEmail".to_owned(), Value::Bool(false));
    if let Some(url) = &create.return_url {
        for name in ["SuccessRedirectUrl", "FailRedirectUrl"] {
            body.insert(name.to_owned(), Value::String(url.clone()));
        }
    }
    data(&mut body, &create.metadata, create.receipt.as_ref());
    Ok(Value::Object(body))
}

fn created(answered: Answered) -> Result<Step, Failure> {
    let url = answered
        .member("Url")
        .ok_or_else(|| Failure::never(Fault::Provider, "the order was made, but the answer has no link"))?;
    Ok(Step::done(Done {
        operation_key: answered.member("Id"),
        link: Some(Link::Url(url)),
        payload: Some(answered.raw),
        ..Done::default()
    }))
}

fn charge(create: &Create, saved_method: &str) -> Result<Value, Failure> {
    let (token, account) = match saved_method.split_once(':') {
        Some((token, account)) => (token, Some(account.to_owned())),
        None => (saved_method, None),
    };
    let account = account.or_else(|| payer(create)).ok_or_else(|| {
        Failure::never(Fault::Caller, "a charge by token needs the AccountId that the token was issued for")
    })?;
    let mut body = object(json!({
        "Amount": number(create.amount)?,
        "Currency": create.amount.currency.code(),
        "InvoiceId": create.number.to_string(),
        "Description": create.description,
        "AccountId": account,
        "TrInitiatorCode": 0,
        "PaymentScheduled": 1,
        "Token": token,
    }));
    if let Some(email) = &create.email {
        body.insert("Email".to_owned(), Value::String(email.clone()));
    }
    data(&mut body, &create.metadata, create.receipt.as_ref());
    Ok(Value::Object(body))
}

/// A charge says its result at once, but for SBP, where Pay or Fail tells it later.
fn charged(answered: Answered) -> Result<Step, Failure> {
    let Some(model) = &answered.model else { return Err(answered.refused()) };
    if let Some((code, words)) = reply::declined(model) {
        let advice = if NEVER_AGAIN.contains(&code.as_str()) {
            "do not charge this method again"
        } else {
            "a new charge may be tried later"
        };
        return Err(Failure::never(Fault::Caller, format!("declined: {words} ({advice})")).code(code));
    }
    let facts = reply::facts(model)?;
    let provider_id = answered.member("TransactionId");
    Ok(Step::done(Done { provider_id, facts, payload: Some(answered.raw), ..Done::default() }))
}

/// Refusals after which a method must not be charged again (the provider's recommendation for repeated charges).
const NEVER_AGAIN: [&str; 8] = ["5001", "5003", "5005", "5012", "5017", "5033", "5034", "5057"];

/// A refund by card is done at once; by SBP its result comes with the Refund notification. Whether the transaction is
/// a refund of this payment is clear when the number is from the answer to our own request (`ours`).
fn refund_state(payment: &Target, id: &str, answered: Answered, ours: bool) -> Result<Step, Failure> {
    let Some(model) = &answered.model else { return Err(answered.refused()) };
    let note = |what: &str, why: String| {
        Fact::Note(Note { what: what.to_owned(), why, payment: reference(payment) })
    };
    let (fact, refund_id) = if !ours && !reply::is_refund_of(model, payment) {
        (note("refund.unknown", format!("transaction {id} is no refund of this payment")), None)
    } else if let Some(fact) = reply::refund(model, id, reference(payment))? {
        (fact, None)
    } else {
        let status = answered.member("Status").unwrap_or_default();
        (note("refund.pending", format!("refund {id} is under way: {status}")), Some(id.to_owned()))
    };
    Ok(Step::done(Done { refund_id, facts: vec![fact], payload: Some(answered.raw), ..Done::default() }))
}

/// A refund that was taken, and whose state could not be asked for: that is done later, by its number.
fn accepted(id: &str, answered: Answered) -> Step {
    Step::done(Done { refund_id: Some(id.to_owned()), payload: Some(answered.raw), ..Done::default() })
}

fn finished(answered: Answered, facts: Vec<Fact>) -> Step {
    Step::done(Done { facts, payload: Some(answered.raw), ..Done::default() })
}

fn changed(payment: &Target, state: State, amount: Option<Sum>) -> Fact {
    Fact::Payment(PaymentFact {
        payment: reference(payment),
        state,
        amount,
        amount_check: AmountCheck::AtMostIfHeld,
        reason: None,
        test: false,
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    })
}

fn unknown_transaction(target: &Target) -> Fact {
    Fact::Note(Note {
        what: "not_found".to_owned(),
        why: "CloudPayments does not know this transaction in this account".to_owned(),
        payment: reference(target),
    })
}

fn reference(target: &Target) -> PaymentRef {
    PaymentRef { provider_id: target.provider_id.clone(), reference: Some(target.order_number()) }
}

/// The payer's key at the provider: the bot platform's contact id.
fn payer(create: &Create) -> Option<String> {
    crate::json::text(&create.contact.as_ref()?.id)
}

/// `JsonData`: the caller's metadata, and the receipt under the name that the provider reads.
fn data(body: &mut Map<String, Value>, metadata: &Map<String, Value>, receipt: Option<&Value>) {
    let mut data = metadata.clone();
    if let Some(receipt) = receipt {
        let slot = data.entry("CloudPayments").or_insert_with(|| json!({}));
        if let Value::Object(instructions) = slot {
            instructions.insert("CustomerReceipt".to_owned(), receipt.clone());
        }
    }
    if !data.is_empty() {
        body.insert("JsonData".to_owned(), Value::Object(data));
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// An amount as a JSON number, exact.
fn number(money: Money) -> Result<Number, Failure> {
    money
        .shortest()
        .parse()
        .map_err(|_| Failure::never(Fault::Caller, format!("{money} can't be written as a number")))
}

fn within(amount: Option<Money>, payment: &Target, what: &str) -> Result<Money, Failure> {
    let amount = amount.unwrap_or(payment.amount);
    if amount.currency != payment.amount.currency {
        return Err(Failure::never(Fault::Caller, format!("the payment is in {}", payment.amount.currency)));
    }
    if amount.minor <= 0 || amount.minor > payment.amount.minor {
        return Err(Failure::never(
            Fault::Caller,
            format!("{amount} is not within the {} that {what}", payment.amount),
        ));
    }
    Ok(amount)
}

fn paid(payment: &Target) -> Result<Number, Failure> {
    transaction(payment.provider_id.as_deref().ok_or_else(|| {
        Failure::never(Fault::Caller, "no TransactionId is known: nobody has paid this order yet")
    })?)
}

fn transaction(id: &str) -> Result<Number, Failure> {
    if is_transaction_id(id)
        && let Ok(number) = id.parse::<u64>()
    {
        return Ok(number.into());
    }
    Err(Failure::never(Fault::Caller, format!("{id:?} is no TransactionId of CloudPayments")))
}
