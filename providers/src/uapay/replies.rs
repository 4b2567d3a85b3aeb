//! UAPAY's answers: `{"status": 1, "data": {"token": "<JWT>"}}`, or `{"error": {"code", "message", "fields"}}`.

use serde_json::Value;
use serde_json::value::RawValue;

use super::receive::key;
use super::wire::Wire;
use crate::account::Account;
use crate::http::Reply;
use crate::json;
use crate::jws::Compact;
use crate::operation::{Failure, Fault, Retry};

/// The error of a call whose `iat` is more than 20 seconds off UAPAY's clock.
pub(super) const TIME_LIMIT: &str = "TIMELIMIT_ERROR";
/// Most fields of an error that are told.
const FIELDS_MAX: usize = 10;
/// Longest words of UAPAY's that are passed on, characters.
const WORDS_MAX: usize = 300;

/// What a good answer says.
pub(super) struct Said {
    pub wire: Wire,
    pub raw: Box<RawValue>,
}

/// Reads an answer. `unclear` is what to do when it is not known whether the call took effect.
pub(super) fn read(reply: &Reply, unclear: Retry, account: &Account) -> Result<Said, Failure> {
    let body: Option<Value> = serde_json::from_slice(&reply.body).ok().filter(Value::is_object);
    // The body goes first: the documentation does not say which HTTP status errors have.
    let Some(body) = body else {
        let why = format!("UAPAY answered with HTTP status {} and nothing that can be read", reply.status);
        return Err(Failure { why, code: None, fault: Fault::Provider, retry: unclear });
    };
    if let Some(error) = body.get("error").filter(|error| !error.is_null()) {
        return Err(failure(error));
    }
    let status = json::member(&body, "status");
    let data = body.get("data").unwrap_or(&Value::Null);
    if let Some(token) = data.get("token").and_then(Value::as_str) {
        return verified(token, unclear, account);
    }
    // A shop without signing gets its data as it is, a session even beside the status; TLS vouches for both.
    let plain = if data.is_object() { data } else { &body };
    let raw = json::raw(plain);
    match Wire::parse(raw.get()) {
        Some(wire) if status.as_deref() == Some("1") && reply.is_success() => Ok(Said { wire, raw }),
        _ => {
            let why =
                format!("UAPAY answered with HTTP status {} and neither data nor an error", reply.status);
            Err(Failure { why, code: None, fault: Fault::Provider, retry: unclear })
        }
    }
}

fn verified(token: &str, unclear: Retry, account: &Account) -> Result<Said, Failure> {
    let refuse = |why: &str, fault| Failure { why: why.to_owned(), code: None, fault, retry: unclear };
    let token = Compact::parse(token)
        .map_err(|error| refuse(&format!("UAPAY's answer can't be read: {error}"), Fault::Provider))?;
    if !token.is_hs256_of(key(account)) {
        return Err(refuse(
            "UAPAY's answer is not signed with this shop's SECRET KEY: check secret_key",
            Fault::Merchant,
        ));
    }
    let raw = json::raw_body(&token.payload);
    match raw.and_then(|raw| Some(Said { wire: Wire::parse(raw.get())?, raw })) {
        Some(said) => Ok(said),
        None => Err(refuse("UAPAY's answer holds no JSON object", Fault::Provider)),
    }
}

/// The failure that an error object tells: its message, else its code, and the fields it names.
fn failure(error: &Value) -> Failure {
    let code = json::member(error, "code").unwrap_or_default();
    let fields = fields(error.get("fields").unwrap_or(&Value::Null));
    let is_account = fields.iter().any(|field| field.contains("clientId"));
    let mut why = match (code.as_str(), json::member(error, "message")) {
        (TIME_LIMIT, _) => {
            "UAPAY's clock and this server's differ by more than 20 seconds: set the server's clock"
                .to_owned()
        }
        (_, Some(message)) => format!("UAPAY: {message}"),
        ("", None) => "UAPAY answered with an error that it does not name".to_owned(),
        (code, None) => format!("UAPAY answered with the error {code}"),
    };
    if !fields.is_empty() {
        why = format!("{why} ({})", fields.join(", "));
    }
    let (fault, retry) = match code.as_str() {
        TIME_LIMIT => (Fault::Us, Retry::Later(None)),
        _ if is_account => (Fault::Merchant, Retry::Never),
        "FORMAT_ERROR" => (Fault::Caller, Retry::Never),
        _ => (Fault::Provider, Retry::Never),
    };
    let why = why.chars().take(WORDS_MAX).collect();
    let code = (!code.is_empty()).then(|| code.chars().take(WORDS_MAX).collect());
    Failure { why, code, fault, retry }
}

/// `{"params": {"clientId": "REQUIRED"}}` → `params.clientId: REQUIRED`.
fn fields(object: &Value) -> Vec<String> {
    let groups = object.as_object().into_iter().flatten();
    let all = groups.flat_map(|(group, fields)| {
        let fields = fields.as_object().into_iter().flatten();
        fields.map(move |(name, value)| format!("{group}.{name}: {}", json::text(value).unwrap_or_default()))
    });
    all.take(FIELDS_MAX).collect()
}
