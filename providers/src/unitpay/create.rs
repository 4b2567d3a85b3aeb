//! Creating a payment: a link to the pay form, or `initPayment`
//! (<https://help.unitpay.ru/payments/create-payment>).

use serde_json::Value;

use super::api::{self, Effect, Key};
use super::signature::of_payment;
use super::{CURRENCIES, base, project_id};
use crate::account::Account;
use crate::digest::base64;
use crate::form::encode_percent;
use crate::http::{Call, Reply};
use crate::json;
use crate::operation::{Create, Done, Failure, Fault, Link, Retry, Step};

/// Member of a payment's metadata whose members go to Unitpay as parameters: `{"unitpay": {"locale": "en"}}`.
const METADATA: &str = "unitpay";
/// Parameters that the caller may set on the form.
const OF_FORM: &[&str] = &[
    "locale",
    "backUrl",
    "theme",
    "customerEmail",
    "customerPhone",
    "hideHint",
    "hideBackUrl",
    "hideOrderCost",
    "hideMenu",
    "hideOtherMethods",
    "hideOtherPSMethods",
];
/// Parameters that the caller may set on `initPayment`.
const OF_API: &[&str] = &[
    "locale",
    "backUrl",
    "theme",
    "customerEmail",
    "customerPhone",
    "resultUrl",
    "ip",
    "phone",
    "operator",
    "preauthExpireLogic",
];
/// Longest HTML form that is read for its fields, bytes.
const HTML_LEN_MAX: usize = 256 * 1024;
/// Most fields that such a form may have.
const HTML_FIELDS_MAX: usize = 64;

/// Begins a payment.
pub(super) fn begin(create: &Create, account: &Account) -> Result<Step, Failure> {
    let by_api = account.setting("create_with") == Some("api")
        || create.hold
        || create.save_method
        || account.is_test();
    if by_api { Ok(Step::send(init(create, None, account)?)) } else { form_link(create, account) }
}

/// The link to the pay form: everything that counts is signed.
fn form_link(create: &Create, account: &Account) -> Result<Step, Failure> {
    let mut fields = signed_fields(create, account)?;
    let given = given(create, OF_FORM)?;
    if let Some(url) = create.return_url.as_ref().filter(|_| !has(&given, "backUrl")) {
        fields.push(("backUrl".to_owned(), url.clone()));
    }
    fields.extend(contact(create, &given));
    let path = match payment_type(create) {
        Some(code) => format!("/{}", encode_percent(&code)),
        None => String::new(),
    };
    fields.extend(given);
    let key = encode_percent(account.text("public_key"));
    Ok(Step::link(Link::Url(format!("{}/pay/{key}{path}?{}", base(account), api::query(&fields)))))
}

/// `initPayment`, for a new payment or (with a subscription's number) for a charge without the payer.
pub(super) fn init(create: &Create, subscription: Option<&str>, account: &Account) -> Result<Call, Failure> {
    if create.hold && (create.save_method || subscription.is_some()) {
        return Err(Failure::never(
            Fault::Caller,
            "Unitpay can't hold money and keep or charge a subscription at once",
        ));
    }
    let mut fields = signed_fields(create, account)?;
    if account.switch("unsigned_api") {
        fields.retain(|(name, _)| name != "signature");
    }
    let code =
        payment_type(create).unwrap_or_else(|| account.setting("payment_type").unwrap_or("card").to_owned());
    let mut push = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
    push("projectId", project_id(account));
    push("paymentType", &code);
    let given = given(create, OF_API)?;
    if let Some(url) = create.return_url.as_ref().filter(|_| !has(&given, "resultUrl")) {
        push("resultUrl", url);
    }
    if create.hold {
        push("preauth", "1");
    }
    if create.save_method {
        push("subscription", "true");
    }
    if let Some(id) = subscription {
        push("subscriptionId", id);
    }
    fields.extend(contact(create, &given));
    fields.extend(given);
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    api::call(account, Key::Project, "initPayment", &fields)
}

/// What the reply to `initPayment` says: where the payer goes, and Unitpay's number.
pub(super) fn read_init(reply: &Reply) -> Result<Step, Failure> {
    let result = api::read(reply, Effect::Writes)?;
    let Some(provider_id) = json::member(&result, "paymentId") else {
        let why = "Unitpay's answer has no paymentId; whether the payment was made is not known".to_owned();
        return Err(Failure { why, code: None, fault: Fault::Provider, retry: Retry::LookUp });
    };
    let url = |name: &str| json::member(&result, name).filter(|url| url.starts_with("http")).map(Link::Url);
    let shown = result.get("response");
    let link = url("redirectUrl")
        .or_else(|| shown.and_then(|shown| json::member(shown, "approveUrl")).map(Link::Url))
        .or_else(|| shown.and_then(Value::as_str).and_then(html_form))
        .or_else(|| url("receiptUrl"))
        .or_else(|| url("statusUrl"));
    Ok(Step::done(Done {
        provider_id: Some(provider_id),
        link,
        payload: json::raw_body(&reply.body),
        ..Done::default()
    }))
}

/// `account`, `currency`, `desc`, `sum` and their signature.
fn signed_fields(create: &Create, account: &Account) -> Result<Vec<(String, String)>, Failure> {
    let currency = create.amount.currency.to_string();
    if !CURRENCIES.contains(&currency.as_str()) {
        return Err(Failure::never(Fault::Caller, format!("Unitpay takes no payments in {currency}")));
    }
    if create.amount.minor <= 0 {
        return Err(Failure::never(Fault::Caller, "the amount must be more than nothing"));
    }
    let (number, sum) = (create.number.to_string(), create.amount.decimal());
    let desc = description(create);
    let secret = api::secret(account, Key::Project)?;
    let signature = of_payment(&number, Some(&currency), &desc, &sum, secret.expose());
    let fields =
        [("account", number), ("currency", currency), ("desc", desc), ("sum", sum), ("signature", signature)];
    Ok(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

fn description(create: &Create) -> String {
    if !create.description.is_empty() {
        return create.description.clone();
    }
    let names: Vec<&str> = create.order.iter().map(|line| line.name.as_str()).collect();
    if names.is_empty() { format!("Заказ {}", create.number) } else { names.join(", ") }
}

/// E-mail, phone and receipt lines. A phone is only told where a receipt needs it.
fn contact(create: &Create, given: &[(String, String)]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut push = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|_| !has(given, name)) {
            fields.push((name.to_owned(), value));
        }
    };
    let receipt = create.receipt.as_ref();
    let of_receipt = |name: &str| receipt.and_then(|receipt| json::member(receipt, name));
    let phone =
        create.contact.as_ref().and_then(|contact| contact.phone.clone()).filter(|_| receipt.is_some());
    push("customerEmail", of_receipt("customerEmail").or_else(|| create.email.clone()));
    push("customerPhone", of_receipt("customerPhone").or(phone));
    push("cashItems", receipt.and_then(cash_items));
    fields
}

/// `cashItems`: Base64 of the receipt's lines. The receipt is the array itself, or an object with `cashItems` (an array,
/// or Base64 already).
pub(super) fn cash_items(receipt: &Value) -> Option<String> {
    match receipt {
        Value::Array(_) => Some(base64(receipt.to_string().as_bytes())),
        Value::String(encoded) => Some(encoded.clone()),
        Value::Object(object) => {
            object.get("cashItems").filter(|items| !items.is_object()).and_then(cash_items)
        }
        _ => None,
    }
}

fn payment_type(create: &Create) -> Option<String> {
    create.metadata.get(METADATA).and_then(|given| json::member(given, "paymentType"))
}

/// The caller's own parameters.
fn given(create: &Create, known: &[&str]) -> Result<Vec<(String, String)>, Failure> {
    let Some(Value::Object(given)) = create.metadata.get(METADATA) else { return Ok(Vec::new()) };
    let mut fields = Vec::new();
    for (name, value) in given.iter().filter(|(name, _)| *name != "paymentType") {
        let text = json::text(value).or_else(|| value.as_bool().map(|value| value.to_string()));
        match text {
            Some(text) if known.contains(&name.as_str()) => fields.push((name.clone(), text)),
            _ => {
                let why = format!("metadata.{METADATA}.{name} is no text for one of: {}", known.join(", "));
                return Err(Failure::never(Fault::Caller, why));
            }
        }
    }
    Ok(fields)
}

fn has(fields: &[(String, String)], name: &str) -> bool {
    fields.iter().any(|(field, _)| field == name)
}

/// A form that the payer's browser posts, out of the HTML that some methods answer with.
fn html_form(html: &str) -> Option<Link> {
    let html = html.get(..html.len().min(HTML_LEN_MAX)).filter(|html| html.contains("<form"))?;
    let mut action = None;
    let mut fields = Vec::new();
    for tag in html.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or("");
        if tag.starts_with("form") {
            action = attribute(tag, "action").filter(|action| action.starts_with("https://"));
        } else if tag.starts_with("input") && fields.len() < HTML_FIELDS_MAX {
            fields.extend(
                attribute(tag, "name").map(|name| (name, attribute(tag, "value").unwrap_or_default())),
            );
        }
    }
    Some(Link::Form { action: action?, fields })
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}="))?.checked_add(name.len())?.checked_add(2)?;
    let rest = tag.get(start..)?;
    let value = match rest.chars().next()? {
        quote @ ('"' | '\'') => rest.get(1..)?.split(quote).next()?,
        _ => rest.split_whitespace().next()?,
    };
    let plain =
        [("&quot;", "\""), ("&#039;", "'"), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    Some(plain.iter().fold(value.to_owned(), |text, (from, to)| text.replace(from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_forms_become_forms() {
        let html = r#"<html><form method="post" action="https://bank.example/a?b=1&amp;c=2"><input type=hidden name="x" value="1 &quot;2&quot;"><input name='y'/></form>"#;
        let fields = vec![("x".to_owned(), "1 \"2\"".to_owned()), ("y".to_owned(), String::new())];
        let action = "https://bank.example/a?b=1&c=2".to_owned();
        assert_eq!(html_form(html), Some(Link::Form { action, fields }));
        assert_eq!(html_form("<b>no form</b>"), None);
        assert_eq!(html_form("<form action='javascript:1'>"), None);
    }

    #[test]
    fn receipt_lines() {
        let expected = "W3sibmFtZSI6ItCf0L7QtNC/0LjRgdC60LAg0L3QsCDQsdC+0YLQsCIsImNvdW50IjoxLCJwcmljZSI6MTAuNSwibmRzIjoibm9uZSIsInR5cGUiOiJzZXJ2aWNlIiwicGF5bWVudE1ldGhvZCI6ImZ1bGxfcGF5bWVudCJ9XQ==";
        let lines = r#"[{"name":"Подписка на бота","count":1,"price":10.5,"nds":"none","type":"service","paymentMethod":"full_payment"}]"#;
        let lines: Value = serde_json::from_str(lines).unwrap();
        assert_eq!(cash_items(&lines).as_deref(), Some(expected));
        assert_eq!(cash_items(&serde_json::json!({ "cashItems": lines })).as_deref(), Some(expected));
        assert_eq!(cash_items(&serde_json::json!({ "cashItems": expected })).as_deref(), Some(expected));
        assert_eq!(cash_items(&serde_json::json!({ "cashItems": {} })), None);
    }

    proptest::proptest! {
        #[test]
        fn any_html_is_read_or_refused(html in ".*", tag in "<form [a-z=\"' ]*>") {
            let _ = html_form(&html);
            let _ = html_form(&tag);
        }
    }
}
