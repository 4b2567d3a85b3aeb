//! Creating a payment: the pay form, or a pay link of Uniteller's API.

use serde_json::Value;

use super::errors::{self, Effect};
use super::signature::{SLOTS, SLOTS_IF_SENT, nested, of_form};
use super::{API, CALLBACK_FIELDS_LEN_MAX, FPAY, WPAY, callback_fields, currency, is_fiscal, password, post};
use crate::account::Account;
use crate::date::{Civil, MOSCOW};
use crate::digest::{Hash, base64};
use crate::form::build_percent;
use crate::http::Reply;
use crate::json;
use crate::operation::{Create, Done, Failure, Fault, Link, Retry, Step};

/// Member of a payment's metadata whose members go to Uniteller as parameters: `{"uniteller": {"Language": "en"}}`.
const METADATA: &str = "uniteller";
/// Longest pay link; what is longer (a receipt) becomes a form that the browser posts, characters.
const LINK_LEN_MAX: usize = 2000;
/// Longest `Comment`, characters.
const COMMENT_LEN_MAX: usize = 1024;
/// Longest `Receipt`, characters of Base64.
const RECEIPT_LEN_MAX: usize = 29_999;
/// Time after which an unanswered request for a pay link is repeated, milliseconds.
const REPEAT_AFTER_MS: u64 = 10_000;

/// Parameters that the caller may set on the form besides those of the signature.
const OF_FORM: &[&str] = &[
    "URL_RETURN_OK",
    "URL_RETURN_NO",
    "BackUrl",
    "DeepLink",
    "Token_IDP",
    "IsRecurrentStart",
    "IsSaveCard",
    "CallbackFormat",
    "Email",
    "Phone",
    "FirstName",
    "LastName",
    "MiddleName",
    "Address",
    "Country",
    "State",
    "City",
    "Zip",
    "Comment",
    "Language",
    "BillLifetime",
    "EWallet",
    "DestPhoneNum",
];
/// Parameters that the caller may set on a pay link; one too many makes Uniteller refuse it.
const OF_LINK: &[&str] = &[
    "Lifetime",
    "URL_RETURN_OK",
    "URL_RETURN_NO",
    "IsRecurrentStart",
    "CallbackFormat",
    "MerchantOrderId",
    "BackUrl",
    "DeepLink",
    "PaymentTypeLimits",
    "Token_IDP",
    "Customer_IDP",
    "Card_IDP",
    "Email",
];

type Fields = Vec<(String, String)>;

pub(super) fn begin(create: &Create, now: i64, account: &Account) -> Result<Step, Failure> {
    if create.hold && is_fiscal(account) && create.receipt.is_some() {
        let why = "a hold takes no receipt at Uniteller: give it when the hold is captured";
        return Err(Failure::never(Fault::Caller, why));
    }
    match account.setting("create_with") {
        Some("api") => ask_link(create, now, account),
        _ => form(create, account),
    }
}

/// The pay form: a link where it fits, else a form that the browser posts.
fn form(create: &Create, account: &Account) -> Result<Step, Failure> {
    let (shop, number, password) = (account.text("shop_id"), create.number.to_string(), password(account)?);
    let sum = sum_of(create, account)?;
    let known: Vec<&str> = [&SLOTS[..], &SLOTS_IF_SENT[..], OF_FORM].concat();
    let mut given = given(create, &known)?;
    if let Some(life) = account.setting("order_lifetime").filter(|_| !has(&given, "OrderLifetime")) {
        given.push(("OrderLifetime".to_owned(), life.to_owned()));
    }
    let sent = |name: &str| given.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let signature = of_form(shop, &number, &sum, sent, password);
    let mut fields = vec![
        ("Shop_IDP".to_owned(), shop.to_owned()),
        ("Order_IDP".to_owned(), number.clone()),
        ("Subtotal_P".to_owned(), sum.clone()),
    ];
    common(&mut fields, create, &given, account)?;
    let mut push = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty() && !has(&given, name)) {
            fields.push((name.to_owned(), value));
        }
    };
    push("Email", create.email.clone());
    push("Comment", Some(create.description.chars().take(COMMENT_LEN_MAX).collect()));
    fields.extend(given.iter().cloned());
    fields.push(("Signature".to_owned(), signature));
    let fiscal = is_fiscal(account);
    let action = match (fiscal, create.hold) {
        (false, _) => format!("{}/pay/", account.base(WPAY)),
        (true, false) => format!("{}/v2/pay", account.base(FPAY)),
        // Without an advance receipt: the receipt comes with the capture.
        (true, true) => format!("{}/v2/preauth2", account.base(FPAY)),
    };
    if fiscal && !create.hold {
        fields.extend(receipt_fields(create.receipt.as_ref(), shop, &number, &sum, password)?);
    }
    let pairs = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let url = format!("{action}?{}", build_percent(pairs));
    let link = if url.len() > LINK_LEN_MAX { Link::Form { action, fields } } else { Link::Url(url) };
    Ok(Step::link(link))
}

/// The request for a pay link. A point of sale with receipts has one of its own.
fn ask_link(create: &Create, now: i64, account: &Account) -> Result<Step, Failure> {
    let (shop, number, password) = (account.text("shop_id"), create.number.to_string(), password(account)?);
    let sum = sum_of(create, account)?;
    let life = account.setting("order_lifetime").map(hours_and_minutes).unwrap_or_default();
    let date = Civil::at(now, MOSCOW).text();
    let mut fields: Fields =
        [("OrderID", number.as_str()), ("UPID", shop), ("OrderLifeTime", &life), ("CurrentDate", &date)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let mut more = Vec::new();
    let path = if is_fiscal(account) {
        let (name, value) = if create.hold {
            ("Subtotal", sum)
        } else {
            ("Receipt", receipt_base64(create.receipt.as_ref())?)
        };
        fields.extend(create.hold.then(|| ("Preauth".to_owned(), "1".to_owned())));
        fields.push((name.to_owned(), value));
        format!("{}/v2/api/register", account.base(FPAY))
    } else {
        let mut given = given(create, OF_LINK)?;
        let at = given.iter().position(|(name, _)| name == "Lifetime");
        let lifetime = at.map(|at| given.remove(at).1).unwrap_or_default();
        fields.extend([("Subtotal_P".to_owned(), sum), ("Lifetime".to_owned(), lifetime)]);
        common(&mut more, create, &given, account)?;
        if let Some(email) = create.email.clone().filter(|_| !has(&given, "Email")) {
            more.push(("Email".to_owned(), email));
        }
        more.extend(given);
        format!("{}/simple/register", account.base(API))
    };
    let signed = fields.iter().map(|(_, value)| value.as_str()).chain([password]);
    let signature = nested(Hash::Sha256, signed);
    fields.extend(more);
    fields.push(("Signature".to_owned(), signature));
    let pairs: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Ok(Step::send(post(path, &pairs)))
}

/// Reads the answer to the request for a pay link.
pub(super) fn read_link(reply: &Reply) -> Result<Step, Failure> {
    let later =
        || Failure { retry: Retry::Later(Some(REPEAT_AFTER_MS)), ..errors::unclear(reply, Effect::Reads) };
    let body: Value = serde_json::from_slice(&reply.body).map_err(|_| later())?;
    let note = json::member(&body, "Note").unwrap_or_default();
    match json::member(&body, "Code").as_deref() {
        // 04: registered before; the link is the same.
        Some("00" | "04") => {
            let link =
                json::member(&body, "Link").filter(|link| link.starts_with("http")).ok_or_else(later)?;
            Ok(Step::done(Done {
                link: Some(Link::Url(link)),
                payload: json::raw_body(&reply.body),
                ..Done::default()
            }))
        }
        Some("01") => Err(Failure { code: Some("01".to_owned()), ..later() }),
        Some(code @ "02") => {
            Err(Failure::never(Fault::Us, format!("Uniteller refused the form of the request: {note}"))
                .code(code))
        }
        Some(code @ "03") => {
            Err(Failure::never(Fault::Merchant, format!("Uniteller refused the data: {note}")).code(code))
        }
        Some(code) => Err(errors::of_code(code, &note)),
        None => Err(later()),
    }
}

/// What form and link have in common: where the payer comes back to, hold, currency, fields of the notification.
fn common(fields: &mut Fields, create: &Create, given: &Fields, account: &Account) -> Result<(), Failure> {
    let mut push = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
    if !has(given, "URL_RETURN_OK") {
        let back = create.return_url.as_deref().or_else(|| account.setting("return_url")).ok_or_else(|| {
            let why = "Uniteller wants an address for the payer to return to: give return_url, or set it for the integration";
            Failure::never(Fault::Caller, why)
        })?;
        if !back.is_ascii() || back.len() > 255 {
            let why = "Uniteller takes a return_url of at most 255 ASCII characters (a Cyrillic domain in punycode)";
            return Err(Failure::never(Fault::Caller, why));
        }
        push("URL_RETURN", back);
    }
    if create.amount.currency.code() != "RUB" {
        push("Currency", create.amount.currency.code());
    }
    if create.hold {
        push("Preauth", "1");
    }
    if create.save_method && !has(given, "IsRecurrentStart") {
        push("IsRecurrentStart", "1");
    }
    let callback = callback_fields_sent(account);
    if !callback.is_empty() {
        push("CallbackFields", &callback);
    }
    Ok(())
}

/// As many of the configured fields as fit the documented length, so that the pay page is not refused.
fn callback_fields_sent(account: &Account) -> String {
    let mut sent = String::new();
    for name in callback_fields(account) {
        let gap = usize::from(!sent.is_empty());
        if sent.len().saturating_add(gap).saturating_add(name.len()) > CALLBACK_FIELDS_LEN_MAX {
            break;
        }
        if gap == 1 {
            sent.push(' ');
        }
        sent.push_str(name);
    }
    sent
}

/// The sum as it is sent and signed: always two decimals.
pub(super) fn sum_of(create: &Create, account: &Account) -> Result<String, Failure> {
    let own = currency(account);
    if create.amount.currency != own {
        let why = format!("this point of sale takes {own}; another currency is the setting currency");
        return Err(Failure::never(Fault::Caller, why));
    }
    if create.amount.minor <= 0 {
        return Err(Failure::never(Fault::Caller, "the amount must be more than nothing"));
    }
    Ok(create.amount.decimal())
}

/// `Receipt` (Base64 of its JSON; a text is taken for Base64 already).
pub(super) fn receipt_base64(receipt: Option<&Value>) -> Result<String, Failure> {
    let encoded = match receipt {
        Some(Value::String(encoded)) => encoded.clone(),
        Some(receipt @ Value::Object(_)) => base64(receipt.to_string().as_bytes()),
        _ => {
            let why = "this point of sale sends receipts (setting receipts): give the receipt as an object";
            return Err(Failure::never(Fault::Caller, why));
        }
    };
    if encoded.len() > RECEIPT_LEN_MAX {
        let why = format!("the receipt is longer than {RECEIPT_LEN_MAX} characters of Base64");
        return Err(Failure::never(Fault::Caller, why));
    }
    Ok(encoded)
}

/// `Receipt` and `ReceiptSignature`.
pub(super) fn receipt_fields(
    receipt: Option<&Value>,
    shop: &str,
    order: &str,
    sum: &str,
    password: &str,
) -> Result<Fields, Failure> {
    let encoded = receipt_base64(receipt)?;
    let signature = nested(Hash::Sha256, [shop, order, sum, &encoded, password]);
    Ok(vec![("Receipt".to_owned(), encoded), ("ReceiptSignature".to_owned(), signature)])
}

/// The caller's own parameters.
pub(super) fn given(create: &Create, known: &[&str]) -> Result<Fields, Failure> {
    let Some(Value::Object(given)) = create.metadata.get(METADATA) else { return Ok(Vec::new()) };
    let mut fields = Vec::new();
    for (name, value) in given {
        let text = match value {
            Value::Object(_) => Some(value.to_string()),
            value => json::text(value),
        };
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

fn has(fields: &Fields, name: &str) -> bool {
    fields.iter().any(|(field, _)| field == name)
}

/// Seconds as `hhh:mm`.
fn hours_and_minutes(seconds: &str) -> String {
    let minutes = seconds.parse::<u64>().unwrap_or(0) / 60;
    format!("{:03}:{:02}", minutes / 60, minutes % 60)
}
