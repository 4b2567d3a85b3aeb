//! Signed calls, signed answers, and orders as the API tells them.

use serde_json::Value;
use serde_json::value::RawValue;

use super::about;
use crate::digest::{Hash, same_hex};
use crate::operation::Retry;
use crate::{Account, Call, Failure, Fault, Reply, form, json};

/// Before a call is repeated that was refused for its rate, milliseconds.
const RATE_WAIT_MS: u64 = 60_000;

/// The parameters as PHP's `http_build_query` writes them: what the server rebuilds and hashes.
pub(super) fn query(params: &[(String, String)]) -> String {
    let pairs =
        params.iter().map(|(name, value)| format!("{}={}", form::encode_php(name), form::encode_php(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The hash of a call: MD5(query::login::key).
pub(super) fn hash(query: &str, account: &Account) -> String {
    Hash::Md5.hex(format!("{query}::{}::{}", account.text("login"), account.text("api_key")).as_bytes())
}

/// A signed call.
pub(super) fn call(method: &str, params: &[(String, String)], account: &Account) -> Call {
    let query = query(params);
    let hash = hash(&query, account);
    let own = format!("https://{}", about::host(account));
    let url = format!("{}/api/{method}", account.base(&own));
    Call::post(url, "application/x-www-form-urlencoded", format!("{query}&hash={hash}"))
}

/// Parameters from names and values.
pub(super) fn params<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// An answer whose hash fits.
pub(super) struct Told {
    /// 0 is success.
    pub(super) code: u32,
    /// `result`.
    pub(super) result: Value,
    /// The whole answer.
    pub(super) raw: Option<Box<RawValue>>,
}

/// Reads an answer. One whose hash does not fit is no answer.
pub(super) fn read(reply: &Reply, account: &Account, lost: Retry) -> Result<Told, Failure> {
    let later = |why: String| Failure { retry: lost, ..Failure::later(why) };
    let unreadable = |why: &str| later(format!("JustClick's answer {why} (status {})", reply.status));
    let value: Value = serde_json::from_slice(&reply.body).map_err(|_| unreadable("is not JSON"))?;
    let code = json::member(&value, "error_code").ok_or_else(|| unreadable("has no error_code"))?;
    let text = value.get("error_text").and_then(Value::as_str).unwrap_or("");
    let key =
        account.secret("api_key").ok_or_else(|| Failure::never(Fault::Merchant, "api_key is not set"))?;
    let base = format!("{code}::{text}::{}", key.expose());
    let claimed = value.get("hash").and_then(Value::as_str).unwrap_or("");
    if !same_hex(claimed, &Hash::Md5.digest(base.as_bytes())) {
        return Err(unreadable("has a hash that does not fit; is api_key right?"));
    }
    let code = code.parse().map_err(|_| unreadable("has an error_code that is no number"))?;
    let result = value.get("result").cloned().unwrap_or(Value::Null);
    Ok(Told { code, result, raw: json::raw_body(&reply.body) })
}

/// What an error code means (<https://help.justclick.ru/archives/511>).
pub(super) fn failure(code: u32) -> Failure {
    let (fault, why) = match code {
        1..=3 => (Fault::Us, "the call was not understood"),
        4 => (Fault::Merchant, "the hash is wrong: check login and api_key"),
        5 => (Fault::Merchant, "the login is unknown"),
        6 => (Fault::Merchant, "our address is not allowed: add it to the API settings"),
        7 => (Fault::Merchant, "the account is disabled"),
        8 => {
            let wait = Retry::Later(Some(RATE_WAIT_MS));
            let why = "JustClick: too many calls, or the API is off for this account";
            return Failure { retry: wait, ..Failure::later(why) }.code("8");
        }
        200 | 203 | 302 | 400 => (Fault::Caller, "there is no such order"),
        201 | 202 | 303 => (Fault::Caller, "the order's status does not allow it"),
        600 => (Fault::Caller, "the e-mail is wrong"),
        601 => (Fault::Caller, "the same open order exists already"),
        602 => return Failure::later("JustClick: the order was not made").code("602"),
        603 | 604 => (Fault::Merchant, "there is no such product: check the setting product"),
        605 => (Fault::Caller, "the product needs a delivery address"),
        606 => (Fault::Merchant, "making orders by API is off for this account"),
        _ => (Fault::Provider, "the call was refused"),
    };
    Failure::never(fault, format!("JustClick: {why}")).code(code.to_string())
}
