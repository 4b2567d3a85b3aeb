//! Why a notification's HMAC does not fit: the usual mistakes, tried one after the other.

use super::receive::{decoded, hmac, message};
use crate::digest::{self, Hash};
use crate::form::{Form, Plus, encode, encode_percent};
use crate::http::{Method, Request};
use crate::{Account, Secret};

/// Longest message whose variants are tried, bytes: diagnosis must stay cheap for whoever sends rubbish.
const MESSAGE_LEN_MAX: usize = 64 * 1024;

/// Words for a notification that has neither header.
pub(super) fn missing(request: &Request) -> Option<String> {
    let text = String::from_utf8_lossy(message(request).get(..512).unwrap_or(message(request))).into_owned();
    let is_osmp = |text: &str| text.contains("txn_id=") || text.contains("command=");
    (is_osmp(&text) || is_osmp(&request.query)).then(|| {
        "the notification is in the format ОСМП (QIWI) or Ростелеком; choose the format CloudPayments in «Уведомления»"
            .to_owned()
    })
}

/// The mistake that fits, in words.
pub(super) fn wrong(request: &Request, account: &Account) -> Option<String> {
    let claimed: Vec<&str> =
        ["content-hmac", "x-content-hmac"].into_iter().filter_map(|name| request.header(name)).collect();
    let message = message(request);
    if message.len() > MESSAGE_LEN_MAX {
        return None;
    }
    let secret = account.secret("api_secret")?;
    let fits = |secret: &Secret, message: &[u8]| {
        let digest = hmac(secret, message);
        claimed.iter().any(|claimed| digest::same_base64(claimed, &digest))
    };
    for (text, words) in texts(request) {
        if fits(secret, &text) {
            return Some(words.to_owned());
        }
    }
    for (key, words) in secrets(account, secret) {
        if fits(&key, message) {
            return Some(words.to_owned());
        }
    }
    let digest = hmac(secret, message);
    if claimed.iter().any(|claimed| digest::same_hex(claimed, &digest)) {
        return Some("the HMAC is right but written in hex; CloudPayments writes base64".to_owned());
    }
    let url_safe = |digest: &[u8]| {
        let text = digest::base64url(digest);
        claimed.iter().any(|claimed| digest::same(claimed.trim_end_matches('=').as_bytes(), text.as_bytes()))
    };
    if url_safe(&digest) {
        return Some("the HMAC is right but in URL-safe base64 or without padding".to_owned());
    }
    for hash in [Hash::Sha1, Hash::Sha512, Hash::Md5] {
        let digest = hash.hmac(secret.expose().as_bytes(), message);
        if claimed.iter().any(|claimed| digest::same_base64(claimed, &digest)) {
            return Some(format!("matches as HMAC-{}; CloudPayments uses SHA-256", hash.name()));
        }
    }
    message.is_empty().then(|| {
        "the body arrived empty: a redirect (http to https, a slash at the end) drops it; give the exact address"
            .to_owned()
    })
}

/// Other texts that the provider may have signed, before something on the way changed the body.
fn texts(request: &Request) -> Vec<(Vec<u8>, &'static str)> {
    const REENCODED: &str = "matches after re-encoding the form: a proxy or framework re-encoded the body";
    let message = message(request);
    let mut texts = Vec::new();
    if let Some(text) = decoded(message, Plus::Space) {
        texts.push((text.into_bytes(), "matches after decoding: a proxy re-encoded the body"));
    }
    let trimmed = message.trim_ascii();
    if trimmed.len() != message.len() {
        texts.push((
            trimmed.to_vec(),
            "matches without white space at the ends: something on the way added it",
        ));
    }
    for end in ["\n", "\r\n"] {
        texts.push((
            [message, end.as_bytes()].concat(),
            "matches with a line end: the body was trimmed on the way",
        ));
    }
    if let Some(text) = message.strip_prefix("\u{feff}".as_bytes()) {
        texts.push((text.to_vec(), "matches without the byte order mark that something on the way added"));
    }
    if let Ok(form) = Form::parse(message) {
        for encoder in [encode, encode_percent] {
            texts.push((rebuilt(&form, encoder).into_bytes(), REENCODED));
            texts.push((lower_hex(&rebuilt(&form, encoder)).into_bytes(), REENCODED));
        }
    }
    if let Some(raw) = crate::json::raw_body(message)
        && let Ok(value) = serde_json::from_str::<serde_json::Value>(raw.get())
    {
        texts.push((
            value.to_string().into_bytes(),
            "matches after rewriting the JSON: a proxy reformatted the body",
        ));
    }
    match request.method {
        Method::Get => {
            texts.push((request.body.clone(), "matches the body: the provider sent POST, it arrived as GET"));
        }
        _ => texts.push((
            request.query.clone().into_bytes(),
            "matches the query: the notification was sent by GET and arrived as POST",
        )),
    }
    texts
}

/// Other keys that merchants take for the API password.
fn secrets(account: &Account, secret: &Secret) -> Vec<(Secret, &'static str)> {
    let text = secret.expose();
    let changed = |text: String, words| (Secret::new(text), words);
    vec![
        changed(
            account.text("public_id").to_owned(),
            "matches with the Public ID: credentials are swapped at the sender",
        ),
        changed(text.trim().to_owned(), "matches with the API password without the white space around it"),
        changed(text.to_lowercase(), "matches with the API password in lower case"),
        changed(text.to_uppercase(), "matches with the API password in upper case"),
    ]
}

fn rebuilt(form: &Form, encoder: fn(&str) -> String) -> String {
    let pairs: Vec<String> = form
        .fields()
        .iter()
        .map(|field| format!("{}={}", encoder(&field.name), encoder(&field.value)))
        .collect();
    pairs.join("&")
}

fn lower_hex(encoded: &str) -> String {
    let mut rest = 0_u8;
    encoded
        .chars()
        .map(|letter| {
            if letter == '%' {
                rest = 2;
                return letter;
            }
            let is_hex = rest > 0;
            rest = rest.saturating_sub(1);
            if is_hex { letter.to_ascii_lowercase() } else { letter }
        })
        .collect()
}
