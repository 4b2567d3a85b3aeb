//! The services' replies: what was answered, or what an error means.

use serde_json::Value;
use serde_json::value::RawValue;

use super::transaction::short;
use crate::Reply;
use crate::json::{member, raw_body};
use crate::operation::{Failure, Fault, Retry};

/// Longest message of the provider that is shown, characters.
const MESSAGE_LEN_MAX: usize = 300;
/// Longest pause that is taken over from a reply, seconds.
const RETRY_AFTER_S_MAX: u64 = 3600;

/// An answer that was read.
pub(super) struct Answer {
    pub body: Value,
    pub raw: Box<RawValue>,
}

impl Answer {
    /// The object under this name.
    pub(super) fn object(&self, name: &str) -> Result<&Value, Failure> {
        self.body
            .get(name)
            .filter(|value| value.is_object())
            .ok_or_else(|| unreadable(&format!("it has no {name}")))
    }
}

pub(super) fn unreadable(why: &str) -> Failure {
    Failure::later(format!("bePaid's reply can't be used: {why}"))
}

/// The failure of a call that may have changed something: what is not clear is looked up, not repeated.
pub(super) fn looked_up(failure: Failure) -> Failure {
    match failure.retry {
        Retry::Later(_) if failure.code.as_deref() != Some("429") => {
            Failure { retry: Retry::LookUp, ..failure }
        }
        _ => failure,
    }
}

pub(super) fn read(reply: &Reply) -> Result<Answer, Failure> {
    if !reply.is_success() {
        return Err(refused(reply));
    }
    let raw = raw_body(&reply.body);
    let body = raw.as_ref().and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    match (raw, body) {
        (Some(raw), Some(body)) if body.is_object() => Ok(Answer { body, raw }),
        _ => Err(unreadable("it is not the JSON that is documented")),
    }
}

/// Whether a reply says in the provider's own words that there is no such object.
pub(super) fn is_not_found(reply: &Reply) -> bool {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    let says_so = |text: Option<&Value>| {
        text.and_then(|text| member(text, "message"))
            .is_some_and(|text| text.eq_ignore_ascii_case("record not found"))
    };
    reply.status == 404 && [Some(&body), body.get("response")].into_iter().any(says_so)
}

fn refused(reply: &Reply) -> Failure {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    let told = words(&body);
    let code = member(&body, "code").map(|code| short(&code));
    let status = reply.status;
    let (fault, retry, why) = match status {
        401 | 403 => (
            Fault::Merchant,
            Retry::Never,
            format!("bePaid does not accept shop_id and secret_key, or the shop may not do this{told}"),
        ),
        404 => (
            Fault::Caller,
            Retry::Never,
            format!("bePaid knows no such object in this shop (a uid of another shop is not shown){told}"),
        ),
        429 => {
            let after = reply.header("retry-after").and_then(|seconds| seconds.trim().parse::<u64>().ok());
            let after = after.map(|seconds| seconds.min(RETRY_AFTER_S_MAX).saturating_mul(1000));
            let why = "too many requests to bePaid".to_owned();
            let code = Some("429".to_owned());
            return Failure { why, code, fault: Fault::Provider, retry: Retry::Later(after) };
        }
        300..=399 => (
            Fault::Merchant,
            Retry::Never,
            format!(
                "the API redirects (status {status}), which is not followed: are api_base and hosts right?"
            ),
        ),
        400..=499 if told.to_ascii_lowercase().contains("duplicate") => (
            Fault::Caller,
            Retry::LookUp,
            format!("bePaid did the same a moment ago and refuses to repeat it within 30 s{told}"),
        ),
        400..=499 => (Fault::Caller, Retry::Never, format!("bePaid refuses the request{told}")),
        _ => (Fault::Provider, Retry::Later(None), format!("bePaid answers with status {status}{told}")),
    };
    Failure { why, code: code.or_else(|| Some(status.to_string())), fault, retry }
}

/// The message of an error in any of its forms (`message`, `response.message`, `checkout.message`, `errors`).
fn words(body: &Value) -> String {
    let places = [Some(body), body.get("response"), body.get("checkout")];
    let mut text = String::new();
    for place in places.into_iter().flatten() {
        let message = member(place, "message").or_else(|| member(place, "friendly_message"));
        let errors = place.get("errors").filter(|errors| match errors {
            Value::Object(map) => !map.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::String(_) => true,
            _ => false,
        });
        for part in [message, errors.map(ToString::to_string)].into_iter().flatten() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&part);
        }
    }
    let text: String = text.chars().filter(|letter| !letter.is_control()).take(MESSAGE_LEN_MAX).collect();
    if text.is_empty() { text } else { format!(": {text}") }
}
