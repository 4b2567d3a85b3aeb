//! The API's errors in words (<https://yookassa.ru/developers/using-api/response-handling/http-codes>).

use serde_json::Value;

use super::objects::short;
use crate::operation::{Failure, Fault, Retry};
use crate::{Reply, json};

/// An outcome is unknown after status 500: the same key again, about once a minute, until something else comes.
const UNKNOWN_RETRY_MS: u64 = 60_000;
/// Pause after status 202 where the reply names none.
const ACCEPTED_RETRY_MS: u64 = 1_800;
/// Longest pause that is taken over from a reply.
const RETRY_AFTER_MS_MAX: u64 = 3_600_000;
const DESCRIPTION_LEN_MAX: usize = 300;

/// What a reply that is not 200 means.
pub(super) fn failure(reply: &Reply) -> Failure {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    let code = json::member(&body, "code").map(|code| short(&code));
    let told = told(&body);
    let later = |pause: Option<u64>| {
        let asked = json::member(&body, "retry_after").and_then(|text| text.parse::<u64>().ok());
        Retry::Later(asked.map(|asked| asked.min(RETRY_AFTER_MS_MAX)).or(pause))
    };
    let (fault, retry, why) = match reply.status {
        202 => (Fault::Provider, later(Some(ACCEPTED_RETRY_MS)), "YooKassa is still processing".to_owned()),
        400 => bad_request(&body, &told),
        401 => (
            Fault::Merchant,
            Retry::Never,
            "YooKassa does not accept shop_id and secret_key: check both; a key that was issued again replaces the \
             old one, and a test shop has an id and a key of its own"
                .to_owned(),
        ),
        403 => (
            Fault::Merchant,
            Retry::Never,
            format!("the shop has no right to this (payment method or autopayments not enabled){told}"),
        ),
        404 => (Fault::Caller, Retry::Never, format!("YooKassa knows no such object in this shop{told}")),
        405 | 415 => (Fault::Us, Retry::Never, format!("YooKassa refuses the form of the request{told}")),
        410 => (Fault::Provider, Retry::Never, format!("YooKassa no longer offers this{told}")),
        429 => (Fault::Provider, later(None), "too many requests to YooKassa".to_owned()),
        500 => (
            Fault::Provider,
            later(Some(UNKNOWN_RETRY_MS)),
            "YooKassa failed and does not know the outcome".to_owned(),
        ),
        status if status > 500 => (Fault::Provider, later(None), format!("YooKassa answers with status {status}")),
        status if (300..400).contains(&status) => (
            Fault::Merchant,
            Retry::Never,
            format!("the API redirects (status {status}), which is not followed: is api_base right?"),
        ),
        status => (Fault::Provider, Retry::Never, format!("YooKassa answers with status {status}{told}")),
    };
    Failure { why, code, fault, retry }
}

fn told(body: &Value) -> String {
    let text = json::member(body, "description").unwrap_or_default();
    let text: String = text.chars().filter(|letter| !letter.is_control()).take(DESCRIPTION_LEN_MAX).collect();
    let parameter = json::member(body, "parameter").map(|name| format!(" (parameter {})", short(&name)));
    if text.is_empty() { String::new() } else { format!(": {text}{}", parameter.unwrap_or_default()) }
}

fn bad_request(body: &Value, told: &str) -> (Fault, Retry, String) {
    let text = json::member(body, "description").unwrap_or_default().to_ascii_lowercase();
    if text.contains("idempotence key") {
        let why = format!("the same idempotency key was used for something else{told}");
        return (Fault::Us, Retry::Never, why);
    }
    if json::member(body, "parameter").is_some_and(|name| name.starts_with("receipt")) {
        let why =
            format!("the shop sends receipts (54-FZ) and wants the receipt's data, or finds it wrong{told}");
        return (Fault::Caller, Retry::Never, why);
    }
    (Fault::Caller, Retry::Never, format!("YooKassa refuses the request{told}"))
}

/// A reply of status 200 that can't be read: every call has an idempotency key, so it can be made again.
pub(super) fn unreadable(why: &str) -> Failure {
    Failure::later(format!("YooKassa's reply can't be used: {why}"))
}
