//! Calls of the API and what their replies say (<https://help.unitpay.ru/payments/payment-info>).

use serde_json::Value;

use super::base;
use crate::account::{Account, Secret};
use crate::form::{build_percent, encode_percent};
use crate::http::{Call, Reply};
use crate::json;
use crate::operation::{Failure, Fault, Retry};

/// Whose key a method wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// The project's: payments and subscriptions.
    Project,
    /// The account's, with `login`: balance.
    Account,
}

/// Whether repeating a call may do the thing twice: Unitpay has no idempotency key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It only reads.
    Reads,
    /// It moves money or changes something.
    Writes,
}

/// The secret for a call; in mode `test` the key for test mode stands for both others.
///
/// # Errors
/// A merchant's fault when it is not set.
pub(super) fn secret(account: &Account, key: Key) -> Result<&Secret, Failure> {
    let (name, words) = match key {
        _ if account.is_test() => {
            ("test_secret", "mode test needs test_secret: profile → «Секретный ключ для тестового режима»")
        }
        Key::Project => ("project_secret", "project_secret is not set"),
        Key::Account => ("account_secret", "account_secret is not set"),
    };
    account.secret(name).ok_or_else(|| Failure::never(Fault::Merchant, words))
}

/// A GET of the API. The secret stands in the URL: it is never to be logged.
///
/// # Errors
/// When the secret is not set.
pub(super) fn call(
    account: &Account,
    key: Key,
    method: &str,
    params: &[(&str, &str)],
) -> Result<Call, Failure> {
    let secret = secret(account, key)?;
    let mut url = format!("{}/api?method={method}", base(account));
    let flat = account.switch("flat_api");
    let test = account.is_test().then_some(("test", "1"));
    let fixed = [("secretKey", secret.expose())];
    for (name, value) in params.iter().copied().chain(fixed).chain(test) {
        let value = encode_percent(value);
        let pair = if flat { format!("&{name}={value}") } else { format!("&params%5B{name}%5D={value}") };
        url.push_str(&pair);
    }
    Ok(Call::get(url))
}

/// The JSON of a reply that is no error: `result`, or the whole object for methods that answer with a bare `message`.
///
/// # Errors
/// Unitpay's error in words, with fault and retry.
pub(super) fn read(reply: &Reply, effect: Effect) -> Result<Value, Failure> {
    let parsed = lenient(&reply.body);
    if let Some(error) = parsed.as_ref().and_then(|value| value.get("error")) {
        return Err(failure(error, effect));
    }
    let whole = match parsed {
        Some(whole) if reply.is_success() => whole,
        Some(_) | None => return Err(unclear(reply.status, effect)),
    };
    match whole.get("result") {
        Some(result) => Ok(result.clone()),
        None if whole.get("message").is_some() => Ok(whole),
        None => Err(unclear(reply.status, effect)),
    }
}

fn failure(error: &Value, effect: Effect) -> Failure {
    let code = json::member(error, "code");
    let words = json::member(error, "message").or_else(|| json::text(error)).unwrap_or_default();
    let words: String = words.chars().take(300).collect();
    let failure = match (code.as_deref(), effect) {
        (Some("-32000"), _) => Failure::never(
            Fault::Merchant,
            format!("Unitpay refused the key: {words}. The project's SECRET KEY belongs into project_secret"),
        ),
        (Some("-32602"), _) => Failure::never(Fault::Caller, format!("Unitpay refused a parameter: {words}")),
        (Some("-32603"), Effect::Reads) => Failure::later(format!("Unitpay had an internal error: {words}")),
        (Some("-32603"), Effect::Writes) => {
            look_up(format!("Unitpay had an internal error: {words}; whether it was done is not known"))
        }
        _ if words.contains("одпись") => Failure::never(
            Fault::Merchant,
            format!(
                "Unitpay refused the signature: {words}. Check project_secret, or switch on unsigned_api"
            ),
        ),
        _ => Failure::never(Fault::Caller, format!("Unitpay refused: {words}")),
    };
    match code {
        Some(code) => failure.code(code),
        None => failure,
    }
}

fn unclear(status: u16, effect: Effect) -> Failure {
    let words = format!("Unitpay's answer (status {status}) is not its JSON");
    match effect {
        Effect::Reads => Failure::later(words),
        Effect::Writes => look_up(format!("{words}; whether it was done is not known")),
    }
}

fn look_up(why: String) -> Failure {
    Failure { why, code: None, fault: Fault::Provider, retry: Retry::LookUp }
}

/// Reads JSON; a comma before a closing bracket, as in the documentation's own sample, is forgiven.
fn lenient(body: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?;
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text).ok().or_else(|| serde_json::from_str(&without_trailing_commas(text)).ok())
}

fn without_trailing_commas(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_text, mut escaped) = (false, false);
    let mut comma = None;
    for character in text.chars() {
        if in_text {
            in_text = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if matches!(character, '}' | ']') {
            if let Some(at) = comma {
                out.remove(at);
            }
            comma = None;
        } else if character == ',' {
            comma = Some(out.len());
        } else if !character.is_whitespace() {
            comma = None;
            in_text = character == '"';
        }
        out.push(character);
    }
    // One at the very end belongs to the sample as well: `{"result":{…}},`.
    out.trim_end().trim_end_matches(',').to_owned()
}

/// The pay form's or the API's query.
pub(super) fn query(fields: &[(String, String)]) -> String {
    build_percent(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_commas_are_forgiven_and_cut_off_json_is_not() {
        let read = |text: &str| lenient(text.as_bytes()).map(|value| value.to_string());
        let expected = Some(r#"{"result":{"message":"a,}"}}"#.to_owned());
        assert_eq!(read(r#"{"result":{"message":"a,}", } ,}"#), expected);
        assert_eq!(read(r#"{"result":{"message":"a,}"}}"#), expected);
        assert_eq!(
            read(r#"{"result":{"message":"a\",}"}, }"#),
            Some(r#"{"result":{"message":"a\",}"}}"#.to_owned())
        );
        assert_eq!(read(r#"{"result":{"message":"a","#), None);
        assert_eq!(read("<html>"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_read_or_refused(body: Vec<u8>, text in "[{}\\[\\],\"a\\\\ ]{0,40}") {
            let _ = lenient(&body);
            let _ = lenient(text.as_bytes());
        }
    }
}
