//! Why a proof does not fit: the usual mistakes, tried one after the other.

use super::prove::{Basic, basic as basic_of, decoded};
use crate::digest::{from_base64url, same};
use crate::rsa::Key;
use crate::{Account, Request, altered};

/// The mistake that fits a wrong `Content-Signature`, in words.
pub(super) fn signature(claimed: &str, key: &Key, request: &Request, account: &Account) -> Option<String> {
    let body = &request.body;
    let Some(signature) = decoded(claimed) else {
        let url_safe = from_base64url(claimed.trim().trim_end_matches('='));
        let fits = url_safe.is_some_and(|signature| key.verifies(body, &signature));
        return Some(
            if fits {
                "the signature is right but in URL-safe base64; bePaid writes standard base64"
            } else {
                "the header is not base64: something on the way changed it"
            }
            .to_owned(),
        );
    };
    let altered = altered::json_bodies(body);
    if let Some((_, words)) = altered.iter().find(|(text, _)| key.verifies(text, &signature)) {
        return Some((*words).to_owned());
    }
    match basic_of(request, account) {
        Basic::Right => Some(
            "HTTP Basic is right: either public_key is of another shop, or something on the way changed the body"
                .to_owned(),
        ),
        Basic::Wrong(_) => {
            Some("HTTP Basic does not fit, either: the notification is of another shop, or forged".to_owned())
        }
        Basic::Missing => None,
    }
}

/// Words for a notification without a proof.
pub(super) fn missing(request: &Request) -> Option<String> {
    let told = request.header(super::prove::SIGNATURE).is_some();
    Some(
        if told {
            "public_key is not set and a proxy took the Authorization header away: set public_key, or let the \
             header through"
        } else {
            "a proxy may take the headers Authorization and Content-Signature away: let them through"
        }
        .to_owned(),
    )
}

/// The mistake that fits a wrong HTTP Basic, in words.
pub(super) fn basic(user: &[u8], password: &[u8], account: &Account) -> Option<String> {
    let secret = account.secret("secret_key")?.expose();
    let shop = account.text("shop_id");
    let is = |text: &[u8], other: &str| same(text, other.as_bytes());
    let words = if is(password, secret) {
        "the secret key is right, the shop's id is another one: check shop_id"
    } else if is(user, secret) && is(password, shop) {
        "the shop's id and the secret key are swapped at the sender"
    } else if !is(user, shop) {
        "the notification is of another shop: its notification URL points here"
    } else if is(password.trim_ascii(), secret) || is(password, secret.trim()) {
        "the secret key differs by white space around it"
    } else if password.eq_ignore_ascii_case(secret.as_bytes()) {
        "the secret key differs by capital and small letters"
    } else if account.secret("public_key").is_some_and(|key| is(password, key.expose())) {
        "the sender uses the public key in place of the secret key"
    } else {
        "the shop's id is right, the secret key is another one: was it issued again?"
    };
    Some(words.to_owned())
}
