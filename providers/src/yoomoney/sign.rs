//! `sign` and the old `sha1_hash`.
//!
//! `sign` = HMAC-SHA256, keyed with the secret's text, over `name=value` of all parameters but `sign`, sorted by name,
//! values percent-encoded per RFC 3986, joined with `&`; empty values count.
//! (<https://yoomoney.ru/docs/payment-buttons/using-api/notifications>)

use crate::digest::{Hash, from_base64, same_hex};
use crate::form::{Form, encode_percent};
use crate::{Account, Reject, RejectKind};

/// What proved a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proved {
    /// `sign`: every parameter.
    Sign,
    /// `sha1_hash`: not `withdraw_amount`, not `unaccepted`.
    Sha1,
}

/// Names are letters, digits and `_`, so that no name can pass for a name and a value.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// Proves a form.
///
/// # Errors
/// A [`Reject`] with a diagnosis.
pub(super) fn prove(form: &Form, account: &Account) -> Result<Proved, Reject> {
    if let Some(field) = form.fields().iter().find(|field| !is_plain(&field.name)) {
        let name: String = field.name.chars().take(40).collect();
        return Err(Reject::malformed(format!(
            "the parameter name {name:?} is not of letters, digits and _"
        )));
    }
    if let Some(name) = form.duplicate() {
        return Err(Reject::malformed(format!("the parameter {name} occurs twice")));
    }
    let secret = account.text("notification_secret");
    if secret.is_empty() {
        return Err(Reject::new(RejectKind::WrongProof, "the credential notification_secret is empty"));
    }
    match (form.get("sign"), form.get("sha1_hash")) {
        (Some(sign), _) if sign_fits(form, sign, secret) => Ok(Proved::Sign),
        (Some(sign), _) => Err(Reject::new(RejectKind::WrongProof, "sign does not fit notification_secret")
            .diagnosed(diagnose(form, sign, account))),
        (None, Some(hash)) if account.switch("legacy_sha1") => {
            if same_hex(hash, &Hash::Sha1.digest(sha1_base(form, secret).as_bytes())) {
                return Ok(Proved::Sha1);
            }
            Err(Reject::new(RejectKind::WrongProof, "sha1_hash does not fit notification_secret"))
        }
        (None, old) => {
            let only_old = "it has the old sha1_hash only; to believe that, set legacy_sha1";
            Err(Reject::new(RejectKind::MissingProof, "the parameter sign is missing")
                .diagnosed(old.map(|_| only_old.to_owned())))
        }
    }
}

fn sign_fits(form: &Form, sign: &str, secret: &str) -> bool {
    let fits = |base: &str| same_hex(sign, &Hash::Sha256.hmac(secret.as_bytes(), base.as_bytes()));
    let strict = base(form, encode_percent);
    // The page says RFC 3986; many encoders leave these five characters, and it is not known whether YooMoney's does.
    fits(&strict) || (strict.contains("%2") && fits(&base(form, encode_like_javascript)))
}

/// The text that `sign` is made of.
pub(super) fn base(form: &Form, encode: fn(&str) -> String) -> String {
    let fields = form.fields().iter().filter(|field| field.name != "sign");
    let mut pairs: Vec<(&str, &str)> =
        fields.map(|field| (field.name.as_str(), field.value.as_str())).collect();
    pairs.sort_unstable();
    join(&pairs, encode)
}

fn join(pairs: &[(&str, &str)], encode: fn(&str) -> String) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        out.push_str(&encode(value));
    }
    out
}

fn encode_like_javascript(value: &str) -> String {
    let mut out = encode_percent(value);
    for (encoded, plain) in [("%21", "!"), ("%27", "'"), ("%28", "("), ("%29", ")"), ("%2A", "*")] {
        out = out.replace(encoded, plain);
    }
    out
}

/// The text that the old `sha1_hash` is made of: nine values as received.
pub(super) fn sha1_base(form: &Form, secret: &str) -> String {
    let value = |name| form.get(name).unwrap_or("");
    [
        value("notification_type"),
        value("operation_id"),
        value("amount"),
        value("currency"),
        value("datetime"),
        value("sender"),
        value("codepro"),
        secret,
        value("label"),
    ]
    .join("&")
}

/// Parameters that real notifications carry though they are empty, and that something on the way may drop.
const OFTEN_EMPTY: [&str; 4] = ["bill_id", "label", "operation_label", "sender"];

/// The usual mistake that explains a wrong `sign`.
fn diagnose(form: &Form, sign: &str, account: &Account) -> Option<String> {
    let secret = account.text("notification_secret");
    let fits = |base: &str, key: &[u8]| same_hex(sign, &Hash::Sha256.hmac(key, base.as_bytes()));
    let strict = base(form, encode_percent);
    let words = if fits(&strict, secret.trim().as_bytes()) {
        "matches without the white space around notification_secret"
    } else if from_base64(secret).is_some_and(|key| fits(&strict, &key)) {
        "matches with notification_secret decoded from base64"
    } else if hex::decode(secret).is_ok_and(|key| fits(&strict, &key)) {
        "matches with notification_secret decoded from hex"
    } else if fits(&strict, account.text("access_token").as_bytes()) {
        "matches with access_token: the two credentials are swapped"
    } else if fits(&base(form, str::to_owned), secret.as_bytes()) {
        "matches with values that are not percent-encoded: the sender is not YooMoney, or an imitation of it is wrong"
    } else if fits(&base(form, crate::form::encode), secret.as_bytes()) {
        "matches with + in place of %20: the sender is not YooMoney, or an imitation of it is wrong"
    } else if fits(&with_empty_ones(form), secret.as_bytes()) {
        "matches when empty parameters are put back: something on the way dropped them"
    } else if sha1_matches(form, secret) {
        "sha1_hash fits, so the secret is right: something on the way changed other parameters"
    } else {
        return None;
    };
    Some(words.to_owned())
}

fn sha1_matches(form: &Form, secret: &str) -> bool {
    let hash = form.get("sha1_hash").unwrap_or("");
    same_hex(hash, &Hash::Sha1.digest(sha1_base(form, secret).as_bytes()))
}

/// The base with [`OFTEN_EMPTY`] put back.
fn with_empty_ones(form: &Form) -> String {
    let fields = form.fields().iter().filter(|field| field.name != "sign");
    let mut pairs: Vec<(&str, &str)> =
        fields.map(|field| (field.name.as_str(), field.value.as_str())).collect();
    for name in OFTEN_EMPTY {
        if !pairs.iter().any(|(known, _)| *known == name) {
            pairs.push((name, ""));
        }
    }
    pairs.sort_unstable();
    join(&pairs, encode_percent)
}
