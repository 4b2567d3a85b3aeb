//! What a document says is checked as a whole: what its parts alone can't know.

use super::confirm::{self, Confirm};
use super::document::{self, Absent, Document, Running, Unwrap};
use super::keys;
use super::mapping::Map;
use super::scheme::{Check, Method, Part, Signature};
use super::states::{States, Verdict};
use crate::about::Problem;
use crate::account::Mode;
use crate::digest::Hash;
use crate::{Account, Secret};

pub(super) fn validate(account: &Account) -> Vec<Problem> {
    let document = match document::of(account) {
        Ok(document) => document,
        Err(Absent::Wrong(wrong)) => return wrong.into_problems(),
        Err(Absent::NotGiven) if account.settings.mode == Some(Mode::Observe) => return Vec::new(),
        Err(Absent::NotGiven) => {
            return vec![Problem::setting(
                "document",
                "is required; to record notifications before it is written, set mode to observe",
            )];
        }
    };
    let mut found = Vec::new();
    let mut wrong = |member: &str, detail: &str| {
        found.push(Problem::setting(&format!("document{member}"), detail));
    };
    if document.running == Running::Live {
        live(&document, &mut wrong);
    }
    times(&document, &mut wrong);
    parts(&document, &mut wrong);
    hosts(&document, account, &mut wrong);
    secrets(&document, account, &mut found);
    found
}

type Wrong<'w> = dyn FnMut(&str, &str) + 'w;

fn live(document: &Document<'_>, wrong: &mut Wrong<'_>) {
    let fetches = confirm::fetch(document).is_some();
    if !document.is_proved() && !fetches {
        let why = "proves nobody: it needs hash, hmac, rsa, jwt, basic or static (also in every branch of any and \
                   when), or confirm.fetch";
        wrong("/auth", why);
    }
    match &document.map {
        None => wrong("", "needs the member map"),
        Some(map) => {
            whole(map, &document.states, "/map", !fetches, wrong);
        }
    }
    if document.states.rules.is_empty() && !fetches {
        wrong("", "needs the member states");
    }
    if let Some(fetch) = confirm::fetch(document) {
        whole(&fetch.map, &fetch.states, "/confirm/map", true, wrong);
        if fetch.states.rules.is_empty() {
            wrong("/confirm", "needs the member states");
        }
    }
}

fn whole(map: &Map<'_>, states: &States<'_>, at: &str, needs_amount: bool, wrong: &mut Wrong<'_>) {
    if needs_amount && map.amount.is_none() {
        wrong(at, "needs the member amount");
    }
    if map.currency.is_none() && (map.amount.is_some() || map.refund_amount.is_some()) {
        wrong(at, "needs the member currency");
    }
    if states.may_be(Verdict::PartiallyRefunded) && map.refund_amount.is_none() {
        wrong(at, "needs the member refund_amount for the state partially_refunded");
    }
}

/// A time that is not signed proves nothing.
fn times(document: &Document<'_>, wrong: &mut Wrong<'_>) {
    let mut signed = Vec::new();
    let mut told = Vec::new();
    let mut see = |check: &Check<'_>| {
        check.base().iter().for_each(|part| {
            part.walk(&mut |part| {
                if let Part::Field { field, .. } = part {
                    signed.push((field.ptr.text.to_owned(), field.pick.map(|pick| pick.name.to_owned())));
                }
            });
        });
        if let Check::Timestamp { from, pick, .. } = check {
            told.push((from.text.to_owned(), pick.map(|pick| pick.name.to_owned())));
        }
    };
    document.auth.iter().for_each(|check| check.walk(&mut see));
    if told.iter().any(|time| !signed.contains(time)) {
        wrong("/auth", "has a timestamp that is part of no signed base string: anybody could renew it");
    }
}

/// Parts that have no meaning where they stand.
fn parts(document: &Document<'_>, wrong: &mut Wrong<'_>) {
    use super::pointer::Root;
    let mut odd = false;
    let mut see = |check: &Check<'_>| {
        check.base().iter().for_each(|part| {
            part.walk(&mut |part| {
                let root = match part {
                    Part::Field { field, .. } => field.ptr.root,
                    Part::Params(params) => params.from.root,
                    Part::Canonical(rules) => rules.from.root,
                    _ => return,
                };
                odd |= root == Root::Params;
            });
        });
    };
    document.auth.iter().for_each(|check| check.walk(&mut see));
    if odd {
        wrong("/auth", "points at /params, which only create has");
    }
}

fn hosts(document: &Document<'_>, account: &Account, wrong: &mut Wrong<'_>) {
    let listed = account.settings.own.get("hosts").and_then(serde_json::Value::as_array);
    let mut check = |host: Option<&str>, at: &str| {
        let known = listed.is_some_and(|list| list.iter().any(|known| known.as_str() == host));
        if !known && let Some(host) = host {
            wrong(at, &format!("calls {host}, which the setting hosts does not list"));
        }
    };
    if let Some(fetch) = confirm::fetch(document) {
        check(fetch.host(), "/confirm/fetch/url");
    }
    if let Some(create) = document.create.as_ref().filter(|create| create.is_call()) {
        check(create.host(), "/create/url");
    }
}

/// Every secret that the document uses, by name, and whether it is a public key.
fn used<'a>(document: &Document<'a>) -> Vec<(&'a str, bool)> {
    let mut names = Vec::new();
    let mut see = |check: &Check<'a>| match check {
        Check::Signature { signature, .. } => names.extend(of(signature)),
        Check::Rsa { key, base, .. } => {
            names.push((*key, true));
            names.extend(super::scheme::secrets(base).into_iter().map(|name| (name, false)));
        }
        Check::Basic { user, password } => names.extend([(*user, false), (*password, false)]),
        Check::Static { secret, .. } => names.push((*secret, false)),
        Check::Ip { .. } | Check::Timestamp { .. } | Check::Any(_) | Check::When { .. } => {}
    };
    document.auth.iter().for_each(|check| check.walk(&mut see));
    for step in &document.reading.unwrap {
        if let Unwrap::Jwt { key, .. } = &step.how {
            names.push((key, false));
        }
    }
    let mut plain: Vec<&'a str> = document.reply.secrets();
    if let Some(Confirm::Fetch(fetch)) = &document.confirm {
        plain.extend(fetch.auth.secrets());
    }
    if let Some(create) = &document.create {
        plain.extend(create.secrets());
    }
    names.extend(plain.into_iter().map(|name| (name, false)));
    names
}

fn of<'a>(signature: &Signature<'a>) -> Vec<(&'a str, bool)> {
    super::reply::secrets_of(signature).into_iter().map(|name| (name, false)).collect()
}

fn secrets(document: &Document<'_>, account: &Account, found: &mut Vec<Problem>) {
    for (name, public) in used(document) {
        match document.secret(name) {
            None => {
                let detail = format!("does not name the secret {name:?}, which the document uses");
                found.push(Problem::setting("document/secrets", detail));
            }
            Some(rule) if rule.public_key != public => {
                let wanted = if public { "public_key" } else { "secret" };
                let detail = format!("must be {wanted}, as it is used");
                found.push(Problem::setting(&format!("document/secrets/{name}/kind"), detail));
            }
            Some(_) => {}
        }
    }
    for (name, rule) in &document.secrets {
        let wrong = match account.secret(name) {
            None => Some("is required: the document names it".to_owned()),
            Some(secret) if rule.public_key => crate::rsa::read_pem(secret.expose()).err(),
            Some(secret) => plain(*rule, secret),
        };
        found.extend(wrong.map(|detail| Problem::credential(name, detail)));
    }
    for name in account.credentials.keys().filter(|name| document.secret(name).is_none()) {
        found.push(Problem::credential(name, "is not named by the document's secrets"));
    }
}

fn plain(rule: document::SecretRule, secret: &Secret) -> Option<String> {
    let text = secret.expose();
    if text.trim() != text {
        return Some("has white space at its start or end".to_owned());
    }
    keys::bytes(rule, secret).err().map(ToOwned::to_owned)
}

/// What works but is weak, in words, for the person who writes the document.
pub(super) fn advice(document: &Document<'_>) -> Vec<String> {
    let mut said = Vec::new();
    let fetches = confirm::fetch(document).is_some();
    let mut see = |check: &Check<'_>| {
        if let Check::Signature { signature, .. } = check {
            if signature.method == Method::Hash && matches!(signature.hash, Hash::Md5 | Hash::Sha1) {
                said.push(format!("{} is weak; use it only where the provider does", signature.hash.name()));
            }
            let mut neighbours = signature
                .base
                .windows(2)
                .map(|pair| pair.iter().all(|part| matches!(part, Part::Field { .. })));
            if neighbours.any(|both| both) && !fetches {
                said.push(
                    "fields are signed without separators: bytes can be moved between them; confirm.fetch cures that"
                        .to_owned(),
                );
            }
        }
        if check.base().iter().any(|part| matches!(part, Part::RawUrldecoded)) && !fetches {
            said.push(
                "the decoded body does not fix where fields begin and end; confirm.fetch cures that"
                    .to_owned(),
            );
        }
    };
    document.auth.iter().for_each(|check| check.walk(&mut see));
    said
}
