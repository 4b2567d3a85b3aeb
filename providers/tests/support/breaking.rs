//! Ways to tamper with a request: flip bytes of what is signed, take the proof away, mutate at random.

use kassir_providers::form::{Plus, decode};
use kassir_providers::{Method, Request};
use serde_json::Value;

use super::fixture::Strip;

/// The bit to flip in every byte of a signed part: it turns no letter into its other case and no text into what is
/// not UTF-8, which would be refused for another reason.
const MASK: u8 = 0x01;

/// Where a signed part lies in a request.
enum Place {
    Body(std::ops::Range<usize>),
    Query(std::ops::Range<usize>),
    Header(usize),
}

/// Every request that comes of flipping a bit in one byte of a part (`body`, `query`, `headers.<name>`,
/// `fields.<name>`, `json.<pointer>`), each with a description.
pub fn flips(request: &Request, part: &str) -> Result<Vec<(String, Request)>, String> {
    let place = find(request, part).ok_or_else(|| format!("the request has no {part} to flip"))?;
    let text = |at: usize| format!("{part}: byte {at} ^ {MASK:#04x}");
    Ok(match place {
        Place::Body(range) => range
            .map(|at| {
                let mut broken = request.clone();
                broken.body[at] ^= MASK;
                (text(at), broken)
            })
            .collect(),
        Place::Query(range) => range
            .filter_map(|at| {
                let query = flip_text(&request.query, at)?;
                Some((text(at), Request { query, ..request.clone() }))
            })
            .collect(),
        Place::Header(index) => (0..request.headers[index].1.len())
            .filter_map(|at| {
                let mut broken = request.clone();
                broken.headers[index].1 = flip_text(&request.headers[index].1, at)?;
                Some((text(at), broken))
            })
            .collect(),
    })
}

fn flip_text(text: &str, at: usize) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] ^= MASK;
    String::from_utf8(bytes).ok()
}

fn find(request: &Request, part: &str) -> Option<Place> {
    if part == "body" {
        return (!request.body.is_empty()).then_some(Place::Body(0..request.body.len()));
    }
    if part == "query" {
        return (!request.query.is_empty()).then_some(Place::Query(0..request.query.len()));
    }
    if let Some(name) = part.strip_prefix("headers.") {
        return request.headers.iter().position(|(key, _)| key == name).map(Place::Header);
    }
    if let Some(name) = part.strip_prefix("fields.") {
        return match request.method {
            Method::Get => field_range(&request.query, name).map(Place::Query),
            _ => field_range(request.text()?, name).map(Place::Body),
        };
    }
    let pointer = part.strip_prefix("json.")?;
    let text = request.text()?;
    let value: Value = serde_json::from_str(text).ok()?;
    let value = value.pointer(pointer)?;
    let token = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let start = text.find(&token)?;
    Some(Place::Body(start..start + token.len()))
}

/// The bytes of a form field's value as it stands on the wire.
fn field_range(form: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let mut start = 0;
    for pair in form.split('&') {
        let (raw_name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode(raw_name, Plus::Space).is_ok_and(|decoded| decoded == name) {
            let from = start + raw_name.len() + 1;
            return (!raw_value.is_empty()).then_some(from..from + raw_value.len());
        }
        start += pair.len() + 1;
    }
    None
}

/// The request without what carries its proof.
pub fn stripped(request: &Request, strip: &Strip) -> Result<Request, String> {
    let mut bare = request.clone();
    for name in &strip.headers {
        let before = bare.headers.len();
        bare.headers.retain(|(key, _)| key != name);
        if bare.headers.len() == before {
            return Err(format!("the request has no header {name} to strip"));
        }
    }
    for name in &strip.fields {
        match bare.method {
            Method::Get => bare.query = without_field(&bare.query, name)?,
            _ => bare.body = without_field(bare.text().unwrap_or(""), name)?.into_bytes(),
        }
    }
    if !strip.json.is_empty() {
        let mut value: Value = serde_json::from_slice(&bare.body).map_err(|error| error.to_string())?;
        for pointer in &strip.json {
            let (parent, name) = pointer.rsplit_once('/').ok_or("a JSON pointer starts with /")?;
            let object = value.pointer_mut(parent).and_then(Value::as_object_mut);
            if object.and_then(|object| object.shift_remove(name)).is_none() {
                return Err(format!("the request has no {pointer} to strip"));
            }
        }
        bare.body = value.to_string().into_bytes();
    }
    Ok(bare)
}

fn without_field(form: &str, name: &str) -> Result<String, String> {
    let is_named = |pair: &&str| {
        let raw_name = pair.split_once('=').map_or(*pair, |(raw_name, _)| raw_name);
        decode(raw_name, Plus::Space).is_ok_and(|decoded| decoded == name)
    };
    if !form.split('&').any(|pair| is_named(&pair)) {
        return Err(format!("the request has no field {name} to strip"));
    }
    Ok(form.split('&').filter(|pair| !is_named(pair)).collect::<Vec<_>>().join("&"))
}

/// A mutation of bytes, as a fuzzer would make it.
#[derive(Clone, Debug)]
pub enum Mutation {
    Truncate(usize),
    Flip(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
    Replace(Vec<u8>),
}

impl Mutation {
    /// Positions are taken modulo the length, so that every mutation does something.
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |position: usize, len: usize| if len == 0 { 0 } else { position % len };
        let len = bytes.len();
        match self {
            Mutation::Truncate(position) => bytes.truncate(at(*position, len)),
            Mutation::Flip(position, mask) => {
                let position = at(*position, len);
                if let Some(byte) = bytes.get_mut(position) {
                    *byte ^= mask | 1;
                }
            }
            Mutation::Insert(position, more) => {
                let position = at(*position, len);
                bytes.splice(position..position, more.iter().copied());
            }
            Mutation::Remove(position, count) => {
                let from = at(*position, len);
                bytes.drain(from..len.min(from + count));
            }
            Mutation::Repeat(position, count) => {
                let from = at(*position, len);
                let copy = bytes[from..len.min(from + count)].to_vec();
                bytes.splice(from..from, copy);
            }
            Mutation::Replace(other) => bytes.clone_from(other),
        }
    }

    /// The same on text; what is no UTF-8 afterwards is replaced.
    pub fn apply_text(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        self.apply(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
