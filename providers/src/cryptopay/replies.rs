//! The API's replies: `{"data":…}`, or `{"error":{"code","message","details"},"meta":{"request_id"}}`.

use serde_json::Value;
use serde_json::value::RawValue;

use super::objects::short;
use crate::Reply;
use crate::json::{member, raw_body};
use crate::operation::{Failure, Fault, Retry};

/// Longest message of the provider that is shown, characters.
const MESSAGE_LEN_MAX: usize = 300;
/// Longest pause that is taken over from a reply, seconds.
const RETRY_AFTER_S_MAX: u64 = 3600;

/// An answer that was read.
pub(super) struct Answer {
    pub data: Value,
    pub raw: Box<RawValue>,
}

pub(super) fn unreadable(why: &str) -> Failure {
    Failure::later(format!("Cryptopay's reply can't be used: {why}"))
}

/// Reads an answer, or says what the error means. `changes`: the call may have changed something, so what is not
/// clear is looked up, not repeated.
pub(super) fn read(reply: &Reply, changes: bool) -> Result<Answer, Failure> {
    let failed = |failure: Failure| match failure.retry {
        Retry::Later(_) if changes && reply.status != 429 => Failure { retry: Retry::LookUp, ..failure },
        _ => failure,
    };
    if !reply.is_success() {
        return Err(failed(refused(reply)));
    }
    let raw = raw_body(&reply.body);
    let body = raw.as_ref().and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let data = body.and_then(|mut body| body.get_mut("data").map(Value::take));
    match (raw, data) {
        (Some(raw), Some(data)) => Ok(Answer { data, raw }),
        _ => Err(failed(unreadable("it is not the JSON that is documented"))),
    }
}

/// Whether a reply says in the provider's own words that there is no such object.
pub(super) fn is_not_found(reply: &Reply) -> bool {
    let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let code = body.and_then(|body| body.get("error").and_then(|error| member(error, "code")));
    reply.status == 404 && code.as_deref() == Some("not_found")
}

fn refused(reply: &Reply) -> Failure {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    let error = body.get("error").unwrap_or(&Value::Null);
    let code = member(error, "code").map(|code| short(&code));
    let told = told(error, &body);
    let (fault, retry, why) = match reply.status {
        401 => (
            Fault::Merchant,
            Retry::Never,
            format!(
                "Cryptopay does not accept the signature: check api_key, api_secret, environment and this server's \
                 clock{told}"
            ),
        ),
        403 => (Fault::Merchant, Retry::Never, format!("the account may not do this at Cryptopay{told}")),
        404 => (Fault::Caller, Retry::Never, format!("Cryptopay knows no such object{told}")),
        429 => {
            let after = reply.header("retry-after").and_then(|seconds| seconds.trim().parse::<u64>().ok());
            let after = after.map(|seconds| seconds.min(RETRY_AFTER_S_MAX).saturating_mul(1000));
            (Fault::Provider, Retry::Later(after), "too many requests to Cryptopay".to_owned())
        }
        300..=399 => (
            Fault::Merchant,
            Retry::Never,
            format!("the API redirects (status {}), which is not followed: is api_base right?", reply.status),
        ),
        400..=499 => (Fault::Caller, Retry::Never, format!("Cryptopay refuses the request{told}")),
        status => {
            (Fault::Provider, Retry::Later(None), format!("Cryptopay answers with status {status}{told}"))
        }
    };
    Failure { why, code: code.or_else(|| Some(reply.status.to_string())), fault, retry }
}

fn told(error: &Value, body: &Value) -> String {
    let mut text = member(error, "message").unwrap_or_default();
    if let Some(details) =
        error.get("details").filter(|details| details.as_array().is_some_and(|all| !all.is_empty()))
    {
        text = format!("{text} {details}");
    }
    let text: String = text.chars().filter(|letter| !letter.is_control()).take(MESSAGE_LEN_MAX).collect();
    let request = body.get("meta").and_then(|meta| member(meta, "request_id"));
    let request = request.map(|id| format!(" (request {})", short(&id))).unwrap_or_default();
    if text.trim().is_empty() { request } else { format!(": {}{request}", text.trim()) }
}
