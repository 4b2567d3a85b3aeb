//! Operations by API v3 (<https://yookassa.ru/developers/api>): every POST carries an idempotency key.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::errors::{failure, unreadable};
use super::{ABOUT, objects};
use crate::date::Civil;
use crate::json::raw_body;
use crate::operation::{Create, Done, Failure, Fault, Link, Operation, Target, Wish};
use crate::{Account, Call, Fact, Money, PaymentRef, Reply, Step, json as text_of};

/// Where the payer goes afterwards when the caller names no place: the field is required.
const RETURN_URL: &str = "https://yookassa.ru/";
/// Longest description of a payment, characters.
const DESCRIPTION_LEN_MAX: usize = 128;
/// Longest description of a refund, characters.
const REASON_LEN_MAX: usize = 250;
/// Most keys of `metadata`; one is ours.
const METADATA_KEYS_MAX: usize = 16;
/// Longest key of `metadata`, characters.
const METADATA_KEY_LEN_MAX: usize = 32;
/// Longest value of `metadata`, characters.
const METADATA_VALUE_LEN_MAX: usize = 512;
/// Payments on a page of the list.
const PAGE_LEN: usize = 100;
/// Most pages that one operation reads.
const PAGES_MAX: u32 = 50;
/// How far from our creation time a payment is looked for.
const LOOK_AROUND_MS: i64 = 10 * 60_000;
/// Longest cursor, bytes.
const CURSOR_LEN_MAX: usize = 512;

pub(super) fn begin(operation: &Operation, account: &Account) -> Step {
    try_begin(operation, account).unwrap_or_else(Step::from)
}

fn try_begin(operation: &Operation, account: &Account) -> Result<Step, Failure> {
    let key = &operation.context.idempotency_key;
    let post = |path: &str, body: Value| {
        let url = format!("{}/{path}", account.base(ABOUT.api_base));
        let call =
            Call::post(url, "application/json", body.to_string()).header("idempotence-key", key.as_str());
        Step::send(authorized(call, account))
    };
    Ok(match &operation.wish {
        Wish::Create(create) => post("payments", create_body(create, None)),
        Wish::Charge { create, saved_method } => post("payments", create_body(create, Some(saved_method))),
        Wish::Status(target) => match &target.provider_id {
            Some(_) => get(account, &format!("payments/{}", payment_id(target)?), ""),
            None => page(account, target, 1, ""),
        },
        Wish::RefundStatus { refund_id, .. } if objects::is_plain(refund_id) => {
            get(account, &format!("refunds/{refund_id}"), "")
        }
        Wish::RefundStatus { .. } => {
            return Err(Failure::never(Fault::Caller, "that is no id of a YooKassa refund"));
        }
        Wish::Capture { payment, amount, receipt } => {
            let mut body = Map::new();
            put(&mut body, "amount", amount.map(|amount| amount_json(&amount)));
            put(&mut body, "receipt", receipt.clone());
            post(&format!("payments/{}/capture", payment_id(payment)?), Value::Object(body))
        }
        Wish::Cancel(payment) => post(&format!("payments/{}/cancel", payment_id(payment)?), json!({})),
        Wish::Refund { payment, amount, reason, receipt } => {
            let mut body = Map::new();
            put(&mut body, "payment_id", Some(json!(payment_id(payment)?)));
            put(&mut body, "amount", Some(amount_json(&amount.unwrap_or(payment.amount))));
            put(&mut body, "description", reason.as_deref().map(|text| json!(cut(text, REASON_LEN_MAX))));
            put(&mut body, "receipt", receipt.clone());
            put(&mut body, "metadata", Some(json!({ "order_id": payment.order_number() })));
            post("refunds", Value::Object(body))
        }
        Wish::Probe => get(account, "me", "me"),
        Wish::Period { .. } => return Err(Failure::unsupported("list of a period")),
        Wish::CancelSubscription { .. } | Wish::Subscriptions { .. } => {
            return Err(Failure::never(
                Fault::Caller,
                "YooKassa keeps no subscriptions: to end one, stop charging the saved method",
            ));
        }
    })
}

pub(super) fn next(operation: &Operation, memo: &str, reply: &Reply, account: &Account) -> Step {
    try_next(operation, memo, reply, account).unwrap_or_else(Step::from)
}

fn try_next(operation: &Operation, memo: &str, reply: &Reply, account: &Account) -> Result<Step, Failure> {
    if let Wish::Probe = operation.wish {
        return probed(memo, reply, account);
    }
    if let (Wish::RefundStatus { .. }, true) = (&operation.wish, !memo.is_empty()) {
        return refund_of(memo, reply);
    }
    if reply.status != 200 {
        return Err(failure(reply));
    }
    let payload = raw_body(&reply.body).ok_or_else(|| unreadable("it is not JSON"))?;
    let object: Value =
        serde_json::from_str(payload.get()).map_err(|error| unreadable(&error.to_string()))?;
    let step = match &operation.wish {
        Wish::RefundStatus { refund_id, .. } => {
            expect_id(&object, refund_id)?;
            return refund_found(&object, &payload, account);
        }
        Wish::Refund { payment, .. } => refunded(&object, payment_id(payment)?)?,
        Wish::Capture { payment, .. } | Wish::Cancel(payment) => {
            expect_id(&object, payment_id(payment)?)?;
            paid(&object)?
        }
        Wish::Status(target) => match (&target.provider_id, pages_read(memo)) {
            (None, Some(pages)) => return listed(&object, target, pages, account),
            (Some(id), _) => {
                expect_id(&object, id)?;
                paid(&object)?
            }
            (None, None) => return Err(Failure::never(Fault::Us, "the memo of a look-up is missing")),
        },
        Wish::Create(_) => created(&object)?,
        _ => paid(&object)?,
    };
    let kind = if matches!(operation.wish, Wish::Refund { .. }) { "refund" } else { "payment" };
    Ok(Step::done(Done { payload: Some(as_notified(kind, &object, &payload)), ..step }))
}

fn authorized(call: Call, account: &Account) -> Call {
    call.basic(account.text("shop_id"), account.text("secret_key"))
}

fn get(account: &Account, path: &str, memo: &str) -> Step {
    let call = Call::get(format!("{}/{path}", account.base(ABOUT.api_base)));
    Step::Send { call: Box::new(authorized(call, account)), memo: memo.to_owned() }
}

fn payment_id(target: &Target) -> Result<&str, Failure> {
    let id = target.provider_id.as_deref().filter(|id| objects::is_plain(id));
    id.ok_or_else(|| Failure::never(Fault::Caller, "YooKassa's id of the payment is not known"))
}

fn put(body: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value);
    }
}

fn cut(text: &str, len: usize) -> String {
    text.chars().take(len).collect()
}

fn amount_json(amount: &Money) -> Value {
    json!({ "value": amount.decimal(), "currency": amount.currency.code() })
}

fn create_body(create: &Create, saved_method: Option<&str>) -> Value {
    let mut body = Map::new();
    put(&mut body, "amount", Some(amount_json(&create.amount)));
    // The API's default is a hold, so it is always said.
    put(&mut body, "capture", Some(json!(!create.hold)));
    match saved_method {
        Some(token) => put(&mut body, "payment_method_id", Some(json!(token))),
        None => {
            let return_url = create.return_url.as_deref().unwrap_or(RETURN_URL);
            put(&mut body, "confirmation", Some(json!({ "type": "redirect", "return_url": return_url })));
        }
    }
    if create.save_method && saved_method.is_none() {
        put(&mut body, "save_payment_method", Some(json!(true)));
    }
    if !create.description.is_empty() {
        put(&mut body, "description", Some(json!(cut(&create.description, DESCRIPTION_LEN_MAX))));
    }
    put(&mut body, "metadata", Some(metadata(create)));
    put(&mut body, "receipt", create.receipt.clone());
    Value::Object(body)
}

/// Our number, and as much of the caller's own data as the API takes: texts of limited length, 16 in all.
fn metadata(create: &Create) -> Value {
    let mut metadata = Map::new();
    metadata.insert("order_id".to_owned(), json!(create.number.to_string()));
    for (key, value) in &create.metadata {
        let text = text_of::text(value).unwrap_or_else(|| value.to_string());
        let fits = key.chars().count() <= METADATA_KEY_LEN_MAX
            && text.chars().count() <= METADATA_VALUE_LEN_MAX
            && metadata.len() < METADATA_KEYS_MAX;
        if fits && !value.is_null() && key != "order_id" {
            metadata.insert(key.clone(), Value::String(text));
        }
    }
    Value::Object(metadata)
}

/// An object of the API as its notification would show it: what subscribers and `contact_from` look into has one
/// shape, whoever told it. `raw` is the object's own text.
fn as_notified(kind: &str, object: &Value, raw: &RawValue) -> Box<RawValue> {
    let event = json!(format!("{kind}.{}", objects::status(object)));
    let text = format!(r#"{{"type":"notification","event":{event},"object":{raw}}}"#);
    RawValue::from_string(text).unwrap_or_else(|_| raw.to_owned())
}

fn expect_id(object: &Value, id: &str) -> Result<(), Failure> {
    match objects::id(object) {
        Ok(found) if found == id => Ok(()),
        _ => Err(unreadable("it is about another object")),
    }
}

fn paid(object: &Value) -> Result<Done, Failure> {
    let fact = objects::payment(object).map_err(|why| unreadable(&why))?;
    Ok(Done { provider_id: fact.payment().provider_id.clone(), facts: vec![fact], ..Done::default() })
}

fn created(object: &Value) -> Result<Done, Failure> {
    let done = paid(object)?;
    let url = object.pointer("/confirmation/confirmation_url").and_then(Value::as_str);
    let is_link = |url: &&str| url.starts_with("https://") || url.starts_with("http://");
    match url.filter(is_link) {
        Some(url) => Ok(Done { link: Some(Link::Url(url.to_owned())), ..done }),
        None if objects::status(object) == "pending" => Err(unreadable("it has no link to pay at")),
        None => Ok(done),
    }
}

fn refunded(object: &Value, payment: &str) -> Result<Done, Failure> {
    let fact = objects::refund(object).map_err(|why| unreadable(&why))?;
    if fact.payment().provider_id.as_deref() != Some(payment) {
        return Err(unreadable("it is about another payment"));
    }
    match (&fact, objects::status(object)) {
        (Fact::Note(note), "canceled") => {
            let reason = object.pointer("/cancellation_details/reason").and_then(Value::as_str).unwrap_or("");
            Err(Failure::never(Fault::Provider, format!("YooKassa refused the refund: {}", note.why))
                .code(objects::short(reason)))
        }
        _ => {
            Ok(Done { provider_id: fact.payment().provider_id.clone(), facts: vec![fact], ..Done::default() })
        }
    }
}

/// A refund was read; only its payment says whether it is test money, and what our number of it is.
fn refund_found(object: &Value, raw: &RawValue, account: &Account) -> Result<Step, Failure> {
    let fact = objects::refund(object).map_err(|why| unreadable(&why))?;
    let payment = fact.payment().provider_id.clone().unwrap_or_default();
    let found = (&fact, as_notified("refund", object, raw));
    let memo = serde_json::to_string(&found).map_err(|error| unreadable(&error.to_string()))?;
    Ok(get(account, &format!("payments/{payment}"), &memo))
}

fn refund_of(memo: &str, reply: &Reply) -> Result<Step, Failure> {
    let (mut fact, payload): (Fact, Box<RawValue>) = serde_json::from_str(memo)
        .map_err(|error| Failure::never(Fault::Us, format!("the memo of a refund can't be read: {error}")))?;
    if reply.status != 200 {
        return Err(failure(reply));
    }
    let object: Value =
        serde_json::from_slice(&reply.body).map_err(|error| unreadable(&error.to_string()))?;
    expect_id(&object, fact.payment().provider_id.as_deref().unwrap_or(""))?;
    let payment = objects::payment(&object).map_err(|why| unreadable(&why))?;
    let found = payment.payment().clone();
    match &mut fact {
        Fact::Refund(refund) => {
            refund.test = payment.is_test();
            complete(&mut refund.payment, found);
        }
        Fact::Note(note) => complete(&mut note.payment, found),
        Fact::Payment(_) | Fact::Question(_) => {}
    }
    Ok(Step::done(Done {
        provider_id: fact.payment().provider_id.clone(),
        facts: vec![fact],
        payload: Some(payload),
        ..Done::default()
    }))
}

/// The payment's own order number counts: the refund's metadata is whatever was sent with the refund.
fn complete(reference: &mut PaymentRef, found: PaymentRef) {
    if found.reference.is_some() {
        reference.reference = found.reference;
    }
}

/// Asks for the `number`-th page of the payments created when ours was.
fn page(account: &Account, target: &Target, number: u32, cursor: &str) -> Step {
    let time = |unix_ms: i64| {
        let text = Civil::at(unix_ms, 0).text().replace(' ', "T");
        crate::form::encode_percent(&format!("{text}.{:03}Z", unix_ms.rem_euclid(1000)))
    };
    let mut path = format!(
        "payments?created_at.gte={}&created_at.lt={}&limit={PAGE_LEN}",
        time(target.created_at.saturating_sub(LOOK_AROUND_MS)),
        time(target.created_at.saturating_add(LOOK_AROUND_MS))
    );
    if !cursor.is_empty() {
        path.push_str("&cursor=");
        path.push_str(&crate::form::encode_percent(cursor));
    }
    get(account, &path, &format!("page {number}"))
}

fn pages_read(memo: &str) -> Option<u32> {
    memo.strip_prefix("page ").and_then(|number| number.parse().ok())
}

/// A page of the list was read: the payment with our order number is on it, or there is a next page.
fn listed(list: &Value, target: &Target, pages: u32, account: &Account) -> Result<Step, Failure> {
    let items = list.get("items").and_then(Value::as_array).ok_or_else(|| unreadable("it has no list"))?;
    let cursor = list.get("next_cursor").and_then(Value::as_str).filter(|cursor| !cursor.is_empty());
    let facts = items.iter().map(objects::payment).collect::<Result<Vec<_>, _>>();
    let facts = facts.map_err(|why| unreadable(&why))?;
    let number = target.order_number();
    let mut found = facts.into_iter().zip(items);
    let found = found.find(|(fact, _)| fact.payment().reference.as_ref() == Some(&number));
    match (found, cursor) {
        (Some((fact, item)), _) => {
            let provider_id = fact.payment().provider_id.clone();
            let payload = Some(as_notified("payment", item, &text_of::raw(item)));
            Ok(Step::done(Done { provider_id, facts: vec![fact], payload, ..Done::default() }))
        }
        (None, Some(cursor)) if pages < PAGES_MAX && cursor.len() <= CURSOR_LEN_MAX => {
            Ok(page(account, target, pages.saturating_add(1), cursor))
        }
        (None, _) => {
            Err(Failure::never(Fault::Caller, "YooKassa has no payment with this order number")
                .code("not_found"))
        }
    }
}

/// The reply to a check of the credentials: `/me` is not open to every shop, so a list of one payment is the second
/// try.
fn probed(memo: &str, reply: &Reply, account: &Account) -> Result<Step, Failure> {
    if memo == "me" && matches!(reply.status, 403..=405) {
        return Ok(get(account, "payments?limit=1", "list"));
    }
    if reply.status != 200 {
        return Err(failure(reply));
    }
    let body: Value = serde_json::from_slice(&reply.body).map_err(|error| unreadable(&error.to_string()))?;
    let shop = text_of::member(&body, "account_id");
    if memo == "me" && shop.as_deref().is_some_and(|shop| shop != account.text("shop_id")) {
        return Err(Failure::never(Fault::Merchant, "the key belongs to another shop than shop_id says"));
    }
    if body.get("status").and_then(Value::as_str) == Some("disabled") {
        return Err(Failure::never(Fault::Merchant, "the shop is disabled at YooKassa"));
    }
    Ok(Step::done(Done::default()))
}
