//! One document of all that a request holds, addressed by pointers.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::document::{Body, Document, Unwrap, UnwrapStep};
use super::keys::Keys;
use super::pointer::{Pointer, Root};
use crate::jws::Compact;
use crate::nested::{self, Style};
use crate::outcome::RejectKind;
use crate::{Reject, Request, digest, json};

/// Most levels of a JSON body.
const DEPTH_MAX: usize = 32;

/// Why a value can't be had; the kind says what it means for the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed(pub(super) RejectKind, pub(super) String);

impl Failed {
    pub(super) fn malformed(why: impl Into<String>) -> Failed {
        Failed(RejectKind::Malformed, why.into())
    }

    /// Readable, but not what the document says.
    pub(super) fn unfit(why: impl Into<String>) -> Failed {
        Failed(RejectKind::Unsupported, why.into())
    }
}

impl From<Failed> for Reject {
    fn from(Failed(kind, why): Failed) -> Reject {
        Reject::new(kind, why)
    }
}

/// What a request holds.
pub(super) struct Envelope<'a> {
    request: &'a Request,
    body: Value,
    query: Value,
    body_is_query: bool,
    unwrapped: Value,
    params: Value,
}

impl<'a> Envelope<'a> {
    /// Reads a request as the document says, without unwrapping.
    pub(super) fn open(document: &Document<'_>, request: &'a Request) -> Result<Envelope<'a>, Failed> {
        let reading = &document.reading;
        if !reading.methods.contains(&request.method) {
            return Err(Failed(RejectKind::Unsupported, format!("{} is not served", request.method.word())));
        }
        if request.body.len() > reading.len_max || request.query.len() > reading.len_max {
            return Err(Failed::malformed(format!("is larger than {} bytes", reading.len_max)));
        }
        let form = |bytes: &[u8]| {
            nested::parse(bytes, reading.style).map_err(|error| Failed::malformed(error.to_string()))
        };
        let body_is_query = reading.body == Body::Query;
        let query = match form(request.query.as_bytes()) {
            Err(error) if body_is_query => return Err(error),
            query => query.unwrap_or(Value::Null),
        };
        let body = match reading.body {
            Body::Json => parse_json(&request.body)?,
            Body::Form => form(&request.body)?,
            Body::Query | Body::None => Value::Null,
        };
        let (unwrapped, params) = (Value::Null, Value::Null);
        Ok(Envelope { request, body, query, body_is_query, unwrapped, params })
    }

    /// A reply of a provider's API, which is JSON.
    pub(super) fn of_json(request: &'a Request) -> Result<Envelope<'a>, Failed> {
        let body = parse_json(&request.body)?;
        let (query, unwrapped, params) = (Value::Null, Value::Null, Value::Null);
        Ok(Envelope { request, body, query, body_is_query: false, unwrapped, params })
    }

    /// Parameters of a payment that is being created.
    pub(super) fn of_params(request: &'a Request, params: Map<String, Value>) -> Envelope<'a> {
        let (body, query, unwrapped) = (Value::Null, Value::Null, Value::Null);
        Envelope { request, body, query, body_is_query: false, unwrapped, params: Value::Object(params) }
    }

    pub(super) fn request(&self) -> &'a Request {
        self.request
    }

    /// Opens what is wrapped, step by step.
    pub(super) fn unwrap(&mut self, steps: &[UnwrapStep<'_>], keys: &Keys<'_>) -> Result<(), Failed> {
        for step in steps {
            let text = self.scalar(step.from)?.filter(|text| !text.is_empty());
            let Some(text) = text else {
                if step.optional {
                    continue;
                }
                let kind = match step.how {
                    Unwrap::Jwt { .. } => RejectKind::MissingProof,
                    _ => RejectKind::Malformed,
                };
                return Err(Failed(kind, format!("{} is missing", step.from.text)));
            };
            let value = open(&step.how, &text, keys, self.request.received_at);
            let value =
                value.map_err(|Failed(kind, why)| Failed(kind, format!("{}: {why}", step.from.text)))?;
            self.put(step.to, value);
        }
        Ok(())
    }

    /// Keeps what was unwrapped.
    fn put(&mut self, name: &str, value: Value) {
        if let Value::Object(map) = &mut self.unwrapped {
            map.insert(name.to_owned(), value);
        } else {
            self.unwrapped = Value::Object(Map::from_iter([(name.to_owned(), value)]));
        }
    }

    /// The part of the request that is a tree, where the pointer begins in one.
    fn tree(&self, root: Root) -> Option<&Value> {
        match root {
            Root::Body if self.body_is_query => Some(&self.query),
            Root::Body => Some(&self.body),
            Root::Query => Some(&self.query),
            Root::X => Some(&self.unwrapped),
            Root::Params => Some(&self.params),
            Root::Headers | Root::Path | Root::Raw | Root::Method => None,
        }
    }

    /// The value at a pointer; null counts as absent. Headers and the like are texts.
    pub(super) fn value(&self, pointer: Pointer<'_>) -> Result<Option<Cow<'_, Value>>, Failed> {
        let Some(tree) = self.tree(pointer.root) else {
            let text = self.plain(pointer)?;
            return Ok(text.map(|text| Cow::Owned(Value::String(text.to_owned()))));
        };
        Ok(tree.pointer(pointer.rest).filter(|value| !value.is_null()).map(Cow::Borrowed))
    }

    fn plain(&self, pointer: Pointer<'_>) -> Result<Option<&str>, Failed> {
        Ok(match pointer.root {
            Root::Headers => match self.request.header_count(pointer.name()) {
                0 | 1 => self.request.header(pointer.name()),
                _ => {
                    let why = format!("the header {} occurs more than once", pointer.name());
                    return Err(Failed::malformed(why));
                }
            },
            Root::Path if pointer.name() == "kind" => self.request.kind.as_deref(),
            Root::Raw => self.request.text(),
            Root::Method => Some(self.request.method.word()),
            _ => None,
        })
    }

    /// The text of the scalar at a pointer.
    pub(super) fn scalar(&self, pointer: Pointer<'_>) -> Result<Option<Cow<'_, str>>, Failed> {
        let Some(tree) = self.tree(pointer.root) else {
            return Ok(self.plain(pointer)?.map(Cow::Borrowed));
        };
        match tree.pointer(pointer.rest) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => text(value).map(Some).ok_or_else(|| {
                Failed::malformed(format!("{} is an object or a list, not a text or number", pointer.text))
            }),
        }
    }

    /// The first of several scalars that is not empty.
    pub(super) fn first(&self, pointers: &[Pointer<'_>]) -> Result<Option<Cow<'_, str>>, Failed> {
        for pointer in pointers {
            if let Some(text) = self.scalar(*pointer)?.filter(|text| !text.is_empty()) {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }
}

/// The text of a scalar; `None` for lists and objects.
pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(switch) => Some(Cow::Borrowed(if *switch { "true" } else { "false" })),
        Value::Null => Some(Cow::Borrowed("")),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Reads JSON strictly: no repeated names, no deep nesting.
pub(super) fn parse_json(bytes: &[u8]) -> Result<Value, Failed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failed::malformed("is not UTF-8"))?;
    let mut value: Value = serde_json::from_str(text).map_err(|_| Failed::malformed("is not JSON"))?;
    if json::duplicate_name(text).is_some() {
        return Err(Failed::malformed("a member of the JSON is repeated"));
    }
    if is_deeper(&value, DEPTH_MAX) {
        return Err(Failed::malformed(format!("the JSON is nested more than {DEPTH_MAX} levels deep")));
    }
    let exponent = |pair: &[u8]| matches!(pair, [digit, b'e' | b'E'] if digit.is_ascii_digit());
    if bytes.windows(2).any(exponent) {
        keep_exponents(&mut value, &mut numbers(bytes).into_iter());
    }
    Ok(value)
}

/// The numbers of a JSON text in order, as they are written.
fn numbers(json: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut rest = json;
    while let Some((&first, after)) = rest.split_first() {
        match first {
            b'"' => rest = after_text(after),
            b'-' | b'0'..=b'9' => {
                let part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let len = rest.iter().position(|byte| !part(byte)).unwrap_or(rest.len());
                let (number, after) = rest.split_at(len);
                found.push(number);
                rest = after;
            }
            _ => rest = after,
        }
    }
    found
}

/// What follows the text whose first quote was read.
fn after_text(mut rest: &[u8]) -> &[u8] {
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'"' => return after,
            b'\\' => after.get(1..).unwrap_or_default(),
            _ => after,
        };
    }
    rest
}

/// The JSON reader writes `1e3` as `1e+3`; signatures are over what was sent, so such a number is kept as a text.
fn keep_exponents<'n>(value: &mut Value, numbers: &mut impl Iterator<Item = &'n [u8]>) {
    match value {
        Value::Number(_) => {
            let text = numbers.next().and_then(|number| std::str::from_utf8(number).ok()).unwrap_or_default();
            if text.contains(['e', 'E']) {
                *value = Value::String(text.to_owned());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| keep_exponents(item, numbers)),
        Value::Object(map) => map.values_mut().for_each(|item| keep_exponents(item, numbers)),
        _ => {}
    }
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => {
            levels == 0 || items.iter().any(|item| is_deeper(item, levels.saturating_sub(1)))
        }
        Value::Object(map) => {
            levels == 0 || map.values().any(|item| is_deeper(item, levels.saturating_sub(1)))
        }
        _ => false,
    }
}

fn open(how: &Unwrap<'_>, text: &str, keys: &Keys<'_>, now: i64) -> Result<Value, Failed> {
    match how {
        Unwrap::Base64Json => {
            let bytes = digest::from_base64(text).ok_or_else(|| Failed::malformed("is not base64"))?;
            parse_json(&bytes)
        }
        Unwrap::Json => parse_json(text.as_bytes()),
        Unwrap::Form => nested::parse(text.as_bytes(), Style::default())
            .map_err(|error| Failed::malformed(error.to_string())),
        Unwrap::Jwt { algorithms, key, leeway_s } => {
            let token = Compact::parse(text).map_err(|error| Failed::malformed(error.to_string()))?;
            let wrong = |why: &str| Failed(RejectKind::WrongProof, why.to_owned());
            let hash = match token.alg.as_str() {
                "HS256" => digest::Hash::Sha256,
                "HS384" => digest::Hash::Sha384,
                "HS512" => digest::Hash::Sha512,
                _ => return Err(wrong("the token's algorithm is not allowed")),
            };
            if !algorithms.contains(&hash) {
                return Err(wrong("the token's algorithm is not allowed"));
            }
            if !token.matches(hash, &keys.bytes(key)?) {
                return Err(wrong("the token's signature does not fit"));
            }
            let claims = parse_json(&token.payload)?;
            in_time(&claims, now, i64::from(*leeway_s)).map_err(wrong)?;
            Ok(claims)
        }
    }
}

/// `exp` and `nbf` (RFC 7519), where they are numbers; `iat` is not looked at.
fn in_time(claims: &Value, now: i64, leeway_s: i64) -> Result<(), &'static str> {
    let seconds = now.div_euclid(1000);
    let claim = |name: &str| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let text = value.to_string();
            let whole = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
            whole.parse::<i64>().map(Some).map_err(|_| "a time in the token is no number")
        }
    };
    if claim("exp")?.is_some_and(|exp| seconds > exp.saturating_add(leeway_s)) {
        return Err("the token has expired");
    }
    if claim("nbf")?.is_some_and(|nbf| seconds < nbf.saturating_sub(leeway_s)) {
        return Err("the token is not valid yet");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_was_sent() {
        let json = br#"{"a":1e3,"\"1e9":[-1.50E+2,"5e5\\",{"b":10.50}],"c":7}"#;
        let value = parse_json(json).unwrap();
        let text = |pointer| text(value.pointer(pointer).unwrap()).unwrap().into_owned();
        assert_eq!(text("/a"), "1e3");
        assert_eq!(text("/\"1e9/0"), "-1.50E+2");
        assert_eq!(text("/\"1e9/1"), "5e5\\");
        assert_eq!(text("/\"1e9/2/b"), "10.50");
        assert_eq!(text("/c"), "7");
    }

    #[test]
    fn json_is_read_strictly() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse_json(deep(DEPTH_MAX).as_bytes()).is_ok());
        for json in ["", "{", "{} {}", r#"{"a":1,"a":2}"#, r#"{"b":{"a":1,"a":2}}"#, "\"\u{1}\""] {
            assert!(parse_json(json.as_bytes()).is_err(), "{json}");
        }
        assert!(parse_json(deep(DEPTH_MAX + 1).as_bytes()).is_err());
        assert!(parse_json(b"\"\xff\"").is_err());
    }
}
