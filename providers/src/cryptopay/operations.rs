//! Operations: JSON, each request signed with HMAC-SHA1
//! (<https://developers.cryptopay.me/guides/api-basics/authentication/signature>).

use serde_json::{Map, Value, json};

use super::replies::{Answer, is_not_found, read, unreadable};
use super::{about, is_test, objects};
use crate::date::http_date_text;
use crate::digest::{Hash, base64};
use crate::fact::{AmountCheck, Fact, PaymentFact, PaymentRef, State, Sum};
use crate::http::{Call, Method, Reply};
use crate::json::member;
use crate::money::{Currency, Money};
use crate::operation::{Create, Done, Failure, Fault, Link, Operation, Retry, Step, Target, Wish};
use crate::{Account, Secret};

/// Longest description, characters (our own bound; the documentation names none).
const DESCRIPTION_LEN_MAX: usize = 1000;
/// Most members of `metadata`, and the longest key and value, characters (our own bounds).
const METADATA_MAX: usize = 32;
const METADATA_LEN_MAX: usize = 500;
/// An order number that no invoice has, to see whether the credentials work.
const PROBE: &str = "kassir-probe";

const LOOK: &str = "look";
const REFUND: &str = "refund";

pub(super) fn begin(operation: &Operation, account: &Account) -> Result<Step, Failure> {
    let api = Api::of(operation, account)?;
    Ok(match &operation.wish {
        Wish::Create(create) => api.post("/api/invoices", &invoice(create, account)?),
        Wish::Status(target) => match &target.provider_id {
            Some(_) => api.get(&format!("/api/invoices/{}", invoice_id(target)?), ""),
            None => api.get(&by_custom_id(target)?, ""),
        },
        Wish::Capture { payment, amount, .. } => {
            if amount.is_some_and(|amount| amount != payment.amount) {
                return Err(never(
                    "Cryptopay takes what was really paid; another amount can't be named: capture without an amount",
                ));
            }
            let path = format!("/api/invoices/{}/recalculations", invoice_id(payment)?);
            api.post(&path, &json!({ "force_commit": true }))
        }
        Wish::Cancel(payment) => match payment.state {
            State::Succeeded => return Err(no_refund()),
            _ => api.get(&format!("/api/invoices/{}", invoice_id(payment)?), LOOK),
        },
        Wish::CancelSubscription { id } => {
            api.send(Method::Post, &format!("/api/subscriptions/{}/cancel", subscription(id)?), None, "")
        }
        Wish::Subscriptions { id: Some(id) } => {
            api.get(&format!("/api/subscriptions/{}", subscription(id)?), "")
        }
        Wish::Probe => api.get(&format!("/api/invoices/custom_id/{PROBE}"), ""),
        Wish::Subscriptions { id: None } => return Err(never("name a subscription of Cryptopay")),
        Wish::Refund { .. } => return Err(no_refund()),
        Wish::RefundStatus { .. } => return Err(Failure::unsupported("refund status")),
        Wish::Charge { .. } => {
            return Err(never(
                "coins can't be pulled from a payer: send a new invoice's link for each period",
            ));
        }
        Wish::Period { .. } => return Err(Failure::unsupported("list of payments by period; ask for each")),
    })
}

pub(super) fn next(
    operation: &Operation,
    memo: &str,
    reply: &Reply,
    account: &Account,
) -> Result<Step, Failure> {
    let api = Api::of(operation, account)?;
    let test = is_test(account);
    if matches!(operation.wish, Wish::Probe) && is_not_found(reply) {
        return Ok(Step::done(Done::default()));
    }
    let changes = match operation.wish {
        Wish::Create(_) | Wish::Capture { .. } => true,
        _ => memo == REFUND,
    };
    let answer = read(reply, changes)?;
    match &operation.wish {
        Wish::Create(_) => created(answer, test),
        Wish::Status(target) => status(target, answer, test),
        Wish::Capture { payment, .. } => captured(payment, answer, test),
        Wish::Cancel(payment) if memo == REFUND => refunded(payment, answer, test),
        Wish::Cancel(payment) => api.refund(payment, answer),
        Wish::CancelSubscription { .. } | Wish::Subscriptions { .. } | Wish::Probe => {
            Ok(Step::done(Done { payload: Some(answer.raw), ..Done::default() }))
        }
        _ => Err(Failure::never(Fault::Us, "an answer to a question that was not asked")),
    }
}

fn never(why: &str) -> Failure {
    Failure::never(Fault::Caller, why)
}

fn no_refund() -> Failure {
    never("Cryptopay does not refund a completed invoice: pay out by a coin withdrawal in the dashboard")
}

struct Api<'a> {
    account: &'a Account,
    secret: &'a Secret,
    now: i64,
}

impl<'a> Api<'a> {
    fn of(operation: &Operation, account: &'a Account) -> Result<Api<'a>, Failure> {
        let secret = account.secret("api_secret");
        let secret = secret
            .ok_or_else(|| Failure::never(Fault::Merchant, "the API secret (api_secret) is not set"))?;
        Ok(Api { account, secret, now: operation.context.now })
    }

    fn get(&self, path: &str, memo: &str) -> Step {
        self.send(Method::Get, path, None, memo)
    }

    fn post(&self, path: &str, body: &Value) -> Step {
        self.send(Method::Post, path, Some(body.to_string()), "")
    }

    fn send(&self, method: Method, path: &str, body: Option<String>, memo: &str) -> Step {
        let date = http_date_text(self.now);
        let body = body.unwrap_or_default().into_bytes();
        let signature = sign(self.secret, method, &body, &date, path);
        let call =
            Call { method, url: format!("{}{path}", about::base(self.account)), headers: Vec::new(), body }
                .header("content-type", "application/json")
                .header("date", date)
                .header("authorization", format!("HMAC {}:{signature}", self.account.text("api_key")));
        Step::Send { call: Box::new(call), memo: memo.to_owned() }
    }

    /// The invoice was looked at. Only an unresolved one can be refunded; of an overpaid one only what is too much
    /// would go back, and the rest would complete it.
    fn refund(&self, payment: &Target, answer: Answer) -> Result<Step, Failure> {
        expect(payment, &answer.data)?;
        match (objects::status(&answer.data), objects::context(&answer.data)) {
            ("unresolved", "overpaid") => Err(never(
                "of an overpaid invoice only what is too much would go back, and the invoice would be completed: \
                 capture it, or decide in the dashboard",
            )),
            ("unresolved", _) => {
                let path = format!("/api/invoices/{}/refunds", invoice_id(payment)?);
                Ok(self.send(Method::Post, &path, None, REFUND))
            }
            ("new", _) => {
                Err(never("an unpaid invoice can't be withdrawn; it ends by itself after ten minutes"))
            }
            ("completed", _) => Err(Failure { retry: Retry::LookUp, ..no_refund() }),
            _ => status(payment, answer, is_test(self.account)),
        }
    }
}

/// `base64(HMAC-SHA1(API secret, METHOD, MD5 of the body, content type, date, path))`; without a body the line of the
/// MD5 is empty. The path has its query, encoded as it is sent.
fn sign(secret: &Secret, method: Method, body: &[u8], date: &str, path: &str) -> String {
    let md5 = if body.is_empty() { String::new() } else { Hash::Md5.hex(body) };
    let text = format!("{}\n{md5}\napplication/json\n{date}\n{path}", method.word());
    base64(&Hash::Sha1.hmac(secret.expose().as_bytes(), text.as_bytes()))
}

fn invoice_id(target: &Target) -> Result<&str, Failure> {
    let id = target.provider_id.as_deref().filter(|id| objects::is_plain(id));
    id.ok_or_else(|| never("Cryptopay's id of the invoice is not known"))
}

fn by_custom_id(target: &Target) -> Result<String, Failure> {
    let number = target.order_number();
    if !objects::is_plain(&number) {
        return Err(never("an order number of letters, digits, - and _ is needed to ask for its invoice"));
    }
    Ok(format!("/api/invoices/custom_id/{number}"))
}

fn subscription(id: &str) -> Result<&str, Failure> {
    Some(id)
        .filter(|id| objects::is_plain(id))
        .ok_or_else(|| never("that is no id of a subscription of Cryptopay"))
}

fn invoice(create: &Create, account: &Account) -> Result<Value, Failure> {
    if create.hold {
        return Err(never("Cryptopay has no holds"));
    }
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    let price = create.amount;
    put("price_amount", Some(json!(price.decimal())));
    put("price_currency", Some(json!(price.currency.code())));
    put("pay_currency", Some(json!(pay_currency(create, account)?)));
    let network = create.metadata.get("network").and_then(Value::as_str).or(account.setting("network"));
    put("network", network.map(|network| json!(network)));
    put("custom_id", Some(json!(create.number.to_string())));
    let description: String = create.description.chars().take(DESCRIPTION_LEN_MAX).collect();
    put("description", Some(json!(description)).filter(|_| !create.description.is_empty()));
    put("metadata", metadata(create));
    put("payer_email", create.email.as_ref().map(|email| json!(email)));
    for name in ["success_redirect_url", "unsuccess_redirect_url"] {
        put(name, create.return_url.as_ref().map(|url| json!(url)));
    }
    Ok(Value::Object(body))
}

/// The coin that the payer will use must be named at creation.
fn pay_currency(create: &Create, account: &Account) -> Result<String, Failure> {
    let named = create.metadata.get("pay_currency").and_then(Value::as_str);
    let price = create.amount.currency;
    let code = match named.or_else(|| account.setting("pay_currency")) {
        Some(code) => code,
        None if price.is_coin() => price.code(),
        None => {
            return Err(Failure::never(
                Fault::Merchant,
                "Cryptopay must know the coin to pay with: set pay_currency (BTC, USDT, …) in the integration's \
                 settings or in the payment's metadata",
            ));
        }
    };
    let code: Currency = code.parse().map_err(|_| never("pay_currency is no currency code"))?;
    Ok(code.code().to_owned())
}

/// Texts only, as the API takes them; what chose the coin is not repeated.
fn metadata(create: &Create) -> Option<Value> {
    let mut metadata = Map::new();
    for (key, value) in &create.metadata {
        let text = crate::json::text(value).unwrap_or_else(|| value.to_string());
        let fits = key.chars().count() <= METADATA_LEN_MAX
            && text.chars().count() <= METADATA_LEN_MAX
            && metadata.len() < METADATA_MAX;
        if fits && !value.is_null() && key != "pay_currency" && key != "network" {
            metadata.insert(key.clone(), Value::String(text));
        }
    }
    (!metadata.is_empty()).then(|| Value::Object(metadata))
}

fn created(answer: Answer, test: bool) -> Result<Step, Failure> {
    let lost = |why: &str| Failure { retry: Retry::LookUp, ..unreadable(why) };
    let facts = objects::invoice(&answer.data, test).map_err(|why| lost(&why))?;
    let url = member(&answer.data, "hosted_page_url").filter(|url| url.starts_with("https://"));
    let url = url.ok_or_else(|| lost("it has no link to pay at"))?;
    Ok(Step::done(Done {
        provider_id: objects::id(&answer.data),
        link: Some(Link::Url(url)),
        facts,
        payload: Some(answer.raw),
        ..Done::default()
    }))
}

/// The answer must be about the invoice that was asked for.
fn expect(target: &Target, invoice: &Value) -> Result<(), Failure> {
    let fits = match &target.provider_id {
        Some(id) => objects::id(invoice).as_ref() == Some(id),
        None => member(invoice, "custom_id") == Some(target.order_number()),
    };
    if fits { Ok(()) } else { Err(unreadable("it is about another invoice")) }
}

fn status(target: &Target, answer: Answer, test: bool) -> Result<Step, Failure> {
    expect(target, &answer.data)?;
    let facts = objects::invoice(&answer.data, test).map_err(|why| unreadable(&why))?;
    let provider_id = objects::id(&answer.data);
    Ok(Step::done(Done { provider_id, facts, payload: Some(answer.raw), ..Done::default() }))
}

fn changed(target: &Target, state: State, amount: Option<Money>, test: bool) -> Fact {
    Fact::Payment(PaymentFact {
        payment: PaymentRef {
            provider_id: target.provider_id.clone(),
            reference: Some(target.order_number()),
        },
        state,
        amount: amount.map(Sum::Money),
        amount_check: if amount.is_some() { AmountCheck::AnyIfHeld } else { AmountCheck::Ignore },
        reason: (state == State::Canceled).then(|| "refunded".to_owned()),
        test,
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    })
}

/// A recalculation was committed: the price is now what was really paid.
fn captured(payment: &Target, answer: Answer, test: bool) -> Result<Step, Failure> {
    let lost = |why: &str| Failure { retry: Retry::LookUp, ..unreadable(why) };
    if member(&answer.data, "invoice_id") != payment.provider_id {
        return Err(lost("it is about another invoice"));
    }
    let code = member(&answer.data, "price_currency").and_then(|code| code.parse::<Currency>().ok());
    let code = code.ok_or_else(|| lost("it has no price"))?;
    let price = member(&answer.data, "price_amount").unwrap_or_default();
    let price = Money::parse(&price, code).map_err(|error| lost(&error.to_string()))?;
    Ok(Step::done(Done {
        provider_id: payment.provider_id.clone(),
        facts: vec![changed(payment, State::Succeeded, Some(price), test)],
        payload: Some(answer.raw),
        ..Done::default()
    }))
}

fn refunded(payment: &Target, answer: Answer, test: bool) -> Result<Step, Failure> {
    if member(&answer.data, "invoice_id") != payment.provider_id {
        return Err(Failure { retry: Retry::LookUp, ..unreadable("it is about another invoice") });
    }
    Ok(Step::done(Done {
        provider_id: payment.provider_id.clone(),
        facts: vec![changed(payment, State::Canceled, None, test)],
        payload: Some(answer.raw),
        ..Done::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out with the official Ruby SDK's `Cryptopay::Authentication#sign` and the way of the Node SDK.
    #[test]
    fn requests_are_signed_like_the_official_sdks() {
        let secret = Secret::new("ApiSecretExample0001-abcdefghijkl");
        let id = "c8233d57-78c8-4c36-b35e-940ae9067c78";
        let first = r#"{"price_amount":"100.0","price_currency":"EUR","pay_currency":"BTC","custom_id":"bot42-ord-17"}"#;
        let third = r#"{"price_amount":"10.50","price_currency":"EUR","pay_currency":"USDT","network":"tron","custom_id":"bot42-ord-18","name":"Заказ №18","description":"чай «Улун»","metadata":{"contact_id":"1001"}}"#;
        let (invoices, one) = ("/api/invoices".to_owned(), format!("/api/invoices/{id}"));
        let list = format!("/api/invoices?customer_id=CUSTOMER-123&starting_after={id}");
        for (method, path, body, date, expected) in [
            (Method::Post, &invoices, first, "Thu, 14 Oct 2021 10:51:56 GMT", "qpkI+qkdhBp8Efk5WM2dTG4IPsM="),
            (Method::Get, &one, "", "Thu, 14 Oct 2021 11:37:40 GMT", "PC/TJrzJ7qGReE/0f4xf25oxVG4="),
            (Method::Post, &invoices, third, "Mon, 01 May 2023 10:00:00 GMT", "3HkgAjB4bX87ndtiYcWGvpuoxwQ="),
            (Method::Get, &list, "", "Thu, 14 Oct 2021 11:37:41 GMT", "phLVE51yRgKjZZhmFpF4e0wUiSY="),
        ] {
            assert_eq!(sign(&secret, method, body.as_bytes(), date, path), expected, "{path}");
        }
    }
}
