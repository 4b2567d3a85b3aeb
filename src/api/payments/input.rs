//! A payment to be created, read from JSON.

use kassir_providers::json::text;
use kassir_providers::operation::{Contact, OrderLine};
use kassir_providers::{Currency, Money};
use serde_json::Value;

use crate::limits;
use crate::manage::{InputError, Members, kind};
use crate::payments::NewPayment;

/// Longest description, name of goods, and other words, characters.
const WORDS_MAX: usize = 1_000;
/// Longest return URL, characters.
const URL_MAX: usize = 2_000;
/// Longest e-mail address, characters (RFC 5321).
const EMAIL_MAX: usize = 254;
/// Longest phone number, digits (ITU-T E.164 allows 15).
const PHONE_MAX: usize = 20;
/// Longest id of a contact, bytes of JSON.
const CONTACT_ID_MAX: usize = 200;
/// Largest metadata or receipt, bytes of JSON.
const DATA_MAX: usize = 32 * 1024;

/// Reads the members; what is wrong is noted in them. `None` when that leaves no payment.
pub(super) fn read(body: &mut Members) -> Option<NewPayment> {
    let integration = required(body, "integration_id", Members::parsed);
    let minor = required(body, "amount", |body, name| body.integer(name, 1..=i64::MAX));
    let currency: Option<Currency> = required(body, "currency", Members::parsed);
    let order = order(body, currency.unwrap_or(Currency::RUB));
    let contact = body.object("contact", contact).flatten();
    let description = body.text("description", WORDS_MAX).unwrap_or_default();
    let return_url = body.text("return_url", URL_MAX);
    if return_url.as_ref().is_some_and(|url| !is_web(url)) {
        body.wrong("return_url", "must start with https:// or http://");
    }
    let hold = body.switch("hold");
    let metadata = small(body, "metadata").and_then(|value| match value {
        Value::Object(map) => Some(map),
        other => {
            body.wrong("metadata", format!("must be an object, not {}", kind(&other)));
            None
        }
    });
    let email = body.text("email", EMAIL_MAX);
    if email.as_ref().is_some_and(|email| !is_email(email)) {
        body.wrong("email", "is no e-mail address");
    }
    // All are read before the first `?`: what is not read counts as unknown.
    let receipt = receipt(body);
    let save_method = body.switch("save_method").unwrap_or(false);
    let saved_method = body.text("saved_method", WORDS_MAX);
    Some(NewPayment {
        integration: integration?,
        amount: Money::new(minor?, currency?),
        order,
        contact,
        description,
        return_url,
        hold,
        metadata: metadata.unwrap_or_default(),
        email,
        receipt,
        save_method,
        saved_method,
    })
}

fn required<T>(
    body: &mut Members,
    name: &'static str,
    read: impl FnOnce(&mut Members, &'static str) -> Option<T>,
) -> Option<T> {
    if body.has(name) {
        return read(body, name);
    }
    body.cleared(name);
    body.wrong(name, "is required");
    None
}

/// Receipt data in the provider's own form.
pub(super) fn receipt(body: &mut Members) -> Option<Value> {
    small(body, "receipt")
}

fn small(body: &mut Members, name: &'static str) -> Option<Value> {
    let value = body.value(name)?;
    if value.to_string().len() > DATA_MAX {
        body.wrong(name, format!("is larger than {DATA_MAX} bytes"));
        return None;
    }
    Some(value)
}

fn order(body: &mut Members, currency: Currency) -> Vec<OrderLine> {
    let items = match body.value("order") {
        None => return Vec::new(),
        Some(Value::Array(items)) => items,
        Some(other) => {
            body.wrong("order", format!("must be a list, not {}", kind(&other)));
            return Vec::new();
        }
    };
    if items.len() > limits::ORDER_LINES_MAX {
        body.wrong("order", format!("has more than {} lines", limits::ORDER_LINES_MAX));
        return Vec::new();
    }
    let at = body.pointer("order");
    let mut lines = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let pointer = format!("{at}/{index}");
        match item {
            Value::Object(map) => {
                let mut inner = Members::of(map, pointer);
                let line = line(&mut inner, currency);
                inner.into_errors().into_iter().for_each(|error| body.error(error));
                lines.extend(line);
            }
            other => {
                body.error(InputError::at(pointer, format!("must be an object, not {}", kind(&other))));
            }
        }
    }
    lines
}

fn line(inner: &mut Members, currency: Currency) -> Option<OrderLine> {
    let name = inner.required_text("name", WORDS_MAX);
    let description = inner.text("description", WORDS_MAX);
    let amount = match inner.value("amount") {
        None => {
            inner.wrong("amount", "is required, in major units such as 900 or 900.5");
            None
        }
        Some(value @ (Value::Number(_) | Value::String(_))) => {
            match Money::parse_number(&text(&value).unwrap_or_default(), currency) {
                Ok(money) => Some(money),
                Err(error) => {
                    inner.wrong("amount", error.to_string());
                    None
                }
            }
        }
        Some(other) => {
            inner.wrong("amount", format!("must be a number in major units, not {}", kind(&other)));
            None
        }
    };
    Some(OrderLine { name: name?, description, amount: amount? })
}

fn contact(inner: &mut Members) -> Option<Contact> {
    let id = match inner.value("id") {
        None => {
            inner.wrong("id", "is required: the platform's id of the contact");
            None
        }
        Some(Value::Number(number)) if !is_whole(&number.to_string()) => {
            inner.wrong("id", "must be a whole number or a text");
            None
        }
        Some(value @ (Value::Number(_) | Value::String(_))) if value.to_string().len() <= CONTACT_ID_MAX => {
            Some(value)
        }
        Some(_) => {
            inner.wrong("id", format!("must be a whole number or a text of at most {CONTACT_ID_MAX} bytes"));
            None
        }
    };
    let name = inner.text("name", WORDS_MAX);
    let messenger = inner.text("messenger", WORDS_MAX);
    let phone = inner.text("phone", PHONE_MAX);
    if phone.as_ref().is_some_and(|phone| !phone.bytes().all(|byte| byte.is_ascii_digit())) {
        inner.wrong("phone", "must be digits only, such as 79999999999");
    }
    Some(Contact { id: id?, name, messenger, phone: phone.filter(|phone| !phone.is_empty()) })
}

fn is_whole(number: &str) -> bool {
    number.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit())
}

fn is_web(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://")) && !url.contains(char::is_whitespace)
}

fn is_email(text: &str) -> bool {
    let sound =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control());
    text.rsplit_once('@').is_some_and(|(name, host)| sound(name) && sound(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let mut body = Members::parse(text.as_bytes()).unwrap();
        read(&mut body);
        body.into_errors().into_iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect()
    }

    #[test]
    fn a_whole_payment_is_read() {
        let mut body = Members::parse(
            br#"{"integration_id":"int_00000000000000000000000001","amount":90050,"currency":"RUB",
            "order":[{"name":"a","amount":900.5}],"contact":{"id":9007199254740993,"phone":"79999999999"},
            "hold":true,"metadata":{"a":1},"email":"a@b.example","return_url":"https://a.example/"}"#,
        )
        .unwrap();
        let new = read(&mut body).unwrap();
        body.finish().unwrap();
        assert_eq!(new.amount.minor, 90_050);
        assert_eq!(new.order[0].amount.minor, 90_050);
        assert_eq!(new.contact.unwrap().id.to_string(), "9007199254740993");
        assert_eq!(new.hold, Some(true));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let found = errors(
            r#"{"amount":1.5,"currency":"R","order":[{"name":"a","amount":1.005},3],"contact":{"id":1.5,"phone":"+7"},"return_url":"javascript:1","email":"x","extra":1}"#,
        );
        let expected = [
            "/integration_id is required",
            "/amount must be a whole number from 1",
            "/currency a currency code is",
            "/order/0/amount \"1.005\" has more than 2 decimals",
            "/order/1 must be an object",
            "/contact/id must be a whole number",
            "/contact/phone must be digits",
            "/return_url must start",
            "/email is no e-mail address",
            "/extra is unknown",
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
        assert_eq!(found.len(), expected.len(), "{found:?}");
    }
}
