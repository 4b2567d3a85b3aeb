//! The places of a document that hold a secret.

use kassir_providers::Secret;
use serde_json::{Map, Value, json};

use crate::delivery::{BASIC_AUTH, CLIENT_KEY};
use crate::domain::Sealed;
use crate::manage::{InputError, Members, kind};

/// The member that holds a sealed secret.
const SEALED: &str = "sealed";
/// Of an endpoint: the member, its secret, and what that is sealed for within the endpoint.
const OF_PAIRS: [(&str, &str, &str); 2] =
    [("basic_auth", "password", BASIC_AUTH), ("client_certificate", "private_key", CLIENT_KEY)];
/// The member that says that a secret was left out.
const LEFT_OUT: &str = "left_out";

/// A place as it is exported: `{"sealed": "…"}`, or `{"left_out": true}`.
pub(super) fn shown(sealed: &Sealed, with_secrets: bool) -> Value {
    if with_secrets { json!({ SEALED: sealed.0 }) } else { json!({ LEFT_OUT: true }) }
}

/// What is given at a place.
pub(super) enum Given {
    Text(Secret),
    LeftOut,
}

/// Reads a place.
///
/// # Errors
/// Says what else it is.
pub(super) fn given(value: Value) -> Result<Given, String> {
    match value {
        Value::String(text) => Ok(Given::Text(Secret::new(text))),
        Value::Object(map) if map.get(LEFT_OUT) == Some(&Value::Bool(true)) => Ok(Given::LeftOut),
        Value::Object(map) if map.contains_key(SEALED) => {
            Err("is sealed: `kassir import` opens it with the passphrase".to_owned())
        }
        other => Err(format!("must be a text or {{\"left_out\": true}}, not {}", kind(&other))),
    }
}

/// Why a secret that was left out can't be done without.
pub(super) const MISSING: &str =
    "was left out of the file, and there is none here: write it in its place, or export --with-secrets";

/// Turns the places below `name` (credentials, headers) into changes of what is there: what is the same is left away,
/// what is there and not in the document becomes `null`.
pub(super) fn changes(
    map: &mut Map<String, Value>,
    name: &str,
    present: &[(String, Secret)],
) -> Vec<InputError> {
    let mut errors = Vec::new();
    let given_here = match map.get_mut(name) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(found)) => std::mem::take(found),
        // What else it is, its reader says.
        Some(_) => return errors,
    };
    let mut changed = Map::new();
    for (key, _) in present.iter().filter(|(key, _)| !given_here.contains_key(key)) {
        changed.insert(key.clone(), Value::Null);
    }
    for (key, value) in given_here {
        let there = present.iter().find(|(name, _)| *name == key).map(|(_, secret)| secret);
        let at = || format!("/{name}/{}", key.replace('~', "~0").replace('/', "~1"));
        match (given(value), there) {
            (Ok(Given::Text(text)), Some(there)) if there.same(text.expose()) => {}
            (Ok(Given::Text(text)), _) => {
                changed.insert(key, Value::String(text.expose().to_owned()));
            }
            (Ok(Given::LeftOut), Some(_)) => {}
            (Ok(Given::LeftOut), None) => errors.push(InputError::at(at(), MISSING)),
            (Err(detail), _) => errors.push(InputError::at(at(), detail)),
        }
    }
    map.insert(name.to_owned(), Value::Object(changed));
    errors
}

/// A pair of a text and a secret that belong together, as it is there.
pub(super) struct Pair {
    /// The member of the text, and the text.
    pub text: (&'static str, String),
    /// The secret.
    pub secret: Secret,
}

/// Turns the object at `name` (a user name with its password, a certificate with its key) into a change of what is
/// there: what is the same is left away, and a secret that was left out is the one that is there. `secret`: the member
/// that is the secret.
pub(super) fn change(
    map: &mut Map<String, Value>,
    name: &'static str,
    secret: &'static str,
    present: Option<&Pair>,
) -> Option<InputError> {
    let object = map.get_mut(name)?.as_object_mut()?;
    let place = object.get_mut(secret)?;
    let at = || format!("/{name}/{secret}");
    let text = match (given(std::mem::take(place)), present) {
        (Ok(Given::Text(text)), _) => text,
        (Ok(Given::LeftOut), Some(present)) => present.secret.clone(),
        (Ok(Given::LeftOut), None) => return Some(InputError::at(at(), MISSING)),
        (Err(detail), _) => return Some(InputError::at(at(), detail)),
    };
    *place = Value::String(text.expose().to_owned());
    let is_same = |present: &Pair| {
        let (member, there) = &present.text;
        object.len() == 2
            && present.secret.same(text.expose())
            && object.get(*member).and_then(Value::as_str) == Some(there.as_str())
    };
    if present.is_some_and(is_same) {
        map.remove(name);
    }
    None
}

/// A secret of a list in which old ones live on for a while: inbound tokens, signing secrets.
pub(super) struct Timed {
    /// Pointer of the secret.
    pub at: String,
    /// The secret.
    pub text: Secret,
    /// Unix milliseconds.
    pub created_at: Option<i64>,
    /// Unix milliseconds; `None` for the current one.
    pub expires_at: Option<i64>,
}

/// Reads such a list: the current secret first, then old ones with their ends; those that have ended are left away.
/// `None` when there is none, or one of them was left out.
pub(super) fn timed(
    body: &mut Members,
    (list, member): (&'static str, &'static str),
    most: usize,
    now: i64,
) -> Option<Vec<Timed>> {
    let at = body.pointer(list);
    let items = match body.value(list)? {
        Value::Array(items) if items.len() > most => {
            body.wrong(list, format!("has more than {most} items"));
            return None;
        }
        Value::Array(items) => items,
        other => {
            body.wrong(list, format!("must be a list, not {}", kind(&other)));
            return None;
        }
    };
    let mut whole = !items.is_empty();
    let mut found = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let at = format!("{at}/{index}");
        let Value::Object(map) = item else {
            body.error(InputError::at(at, format!("must be an object, not {}", kind(&item))));
            continue;
        };
        let mut item = Members::of(map, at);
        let secret = item.value(member);
        let (created_at, expires_at) = (item.time("created_at"), item.time("expires_at"));
        if expires_at.is_none() != (index == 0) {
            item.wrong("expires_at", "the first one is the current one and has no end, all others have one");
        }
        match secret.map(given) {
            None => item.wrong(member, "is required"),
            Some(Err(detail)) => item.wrong(member, detail),
            Some(Ok(Given::LeftOut)) => whole = false,
            Some(Ok(Given::Text(text))) => {
                found.push(Timed { at: item.pointer(member), text, created_at, expires_at });
            }
        }
        item.into_errors().into_iter().for_each(|error| body.error(error));
    }
    found.retain(|one| one.expires_at.is_none_or(|end| end > now));
    whole.then_some(found)
}

/// Why a sealed secret of a document could not be turned into something else.
pub type SlotError = (String, String);

/// Goes through every sealed secret of a merchant's document, with the words that it is sealed for, and puts in its
/// place what `turn` makes of it.
///
/// # Errors
/// The pointers of those that `turn` refused, with its words.
pub fn each_secret(
    merchant: &mut Value,
    mut turn: impl FnMut(&str, &Sealed) -> Result<Value, String>,
) -> Result<(), Vec<SlotError>> {
    let mut errors = Vec::new();
    let mut visit = |owner: String, at: String, place: &mut Value| {
        let Some(Value::String(text)) = place.get(SEALED) else { return };
        match turn(&owner, &Sealed(text.clone())) {
            Ok(turned) => *place = turned,
            Err(why) => errors.push((at, why)),
        }
    };
    let id = merchant.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(place) = merchant.get_mut("alert_secret") {
        visit(format!("{id}/alert"), "/alert_secret".to_owned(), place);
    }
    for (list, secrets, member, named) in
        [("integrations", "tokens", "token", "credentials"), ("endpoints", "secrets", "secret", "headers")]
    {
        for (index, record) in items(merchant, list) {
            let id = record.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            for (name, place) in record.get_mut(named).and_then(Value::as_object_mut).into_iter().flatten() {
                let key = name.replace('~', "~0").replace('/', "~1");
                visit(format!("{id}/{name}"), format!("/{list}/{index}/{named}/{key}"), place);
            }
            for (name, secret, owner) in OF_PAIRS {
                if let Some(place) = record.get_mut(name).and_then(|pair| pair.get_mut(secret)) {
                    visit(format!("{id}/{owner}"), format!("/{list}/{index}/{name}/{secret}"), place);
                }
            }
            for (inner, item) in items(record, secrets) {
                if let Some(place) = item.get_mut(member) {
                    let at = format!("/{list}/{index}/{secrets}/{inner}/{member}");
                    visit(format!("{id}/{member}"), at, place);
                }
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn items<'a>(value: &'a mut Value, name: &str) -> impl Iterator<Item = (usize, &'a mut Value)> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten().enumerate()
}

/// A place as it is sealed under something else than the master key.
#[must_use]
pub fn sealed(secret: &Sealed) -> Value {
    json!({ SEALED: secret.0 })
}
