//! A provider's request as a person gives it: member by member, or as the text that goes over the wire.

use std::net::IpAddr;

use kassir_providers::digest::from_base64;
use kassir_providers::{Method, Request};
use serde_json::Value;

use super::{Members, kind};
use crate::limits;

const METHODS: [(&str, Method); 2] = [("GET", Method::Get), ("POST", Method::Post)];
/// Longest kind, characters.
const KIND_MAX: usize = 64;
/// Longest query string, characters.
const QUERY_MAX: usize = 16 * 1024;
/// Most headers of a pasted request.
const HEADERS_MAX: usize = 200;

/// A request given member by member: `method`, `kind`, `query`, `headers`, `body` (with `body_is_base64` where it is no
/// text), `peer`. What is wrong is noted in the members.
pub fn request(members: &mut Members, now: i64) -> Request {
    let method = members.word("method", &METHODS).unwrap_or(Method::Post);
    let kind_of = members.text("kind", KIND_MAX);
    let query = members.text("query", QUERY_MAX).unwrap_or_default();
    let headers = headers(members);
    let text = match members.value("body") {
        Some(Value::String(text)) => text,
        Some(other) => {
            members.wrong("body", format!("must be the body's exact text, not {}", kind(&other)));
            String::new()
        }
        None => String::new(),
    };
    let body = if members.switch("body_is_base64") == Some(true) {
        let decoded = from_base64(&text);
        if decoded.is_none() {
            members.wrong("body", "is not base64");
        }
        decoded.unwrap_or_default()
    } else {
        text.into_bytes()
    };
    if body.len() > limits::INBOUND_BODY_MAX {
        members.wrong("body", format!("is longer than {} bytes", limits::INBOUND_BODY_MAX));
    }
    let peer = members.parsed::<IpAddr>("peer");
    Request {
        method,
        kind: kind_of,
        query: query.trim_start_matches('?').to_owned(),
        headers,
        body,
        peer,
        received_at: now,
    }
}

fn headers(members: &mut Members) -> Vec<(String, String)> {
    let given = members.map("headers").unwrap_or_default();
    let mut headers = Vec::with_capacity(given.len());
    for (name, value) in given {
        match value {
            Value::String(value) => headers.push((name.to_ascii_lowercase(), value)),
            other => members.wrong("headers", format!("{name:?} must be a text, not {}", kind(&other))),
        }
    }
    headers
}

/// What was read of a request's text.
pub struct Pasted {
    /// The request.
    pub request: Request,
    /// Whether a line break at the end was left out: an editor adds one, and no `Content-Length` says that it counts.
    pub line_break_dropped: bool,
}

/// A request as it goes over the wire: request line, headers, an empty line, the body. Lines of the head may end as
/// they like; the body counts to the byte, as far as `Content-Length` says, if it is there. The last part of a path
/// `/webhooks/{provider}/{token}/{kind}` is its kind.
///
/// # Errors
/// Says in which line what is wrong.
pub fn text(bytes: &[u8], now: i64) -> Result<Pasted, String> {
    if bytes.len() > limits::INBOUND_BODY_MAX.saturating_mul(2) {
        return Err(format!("the request is longer than {} bytes", limits::INBOUND_BODY_MAX));
    }
    let (head, body) = split(bytes);
    let head = std::str::from_utf8(head).map_err(|_| "the request's head is not UTF-8".to_owned())?;
    let mut lines = head.lines();
    let (method, target) = first_line(lines.next().unwrap_or(""))?;
    let mut headers = Vec::new();
    for (at, line) in lines.enumerate() {
        let (name, value) = line.split_once(':').filter(|(name, _)| is_name(name)).ok_or_else(|| {
            let number = at.saturating_add(2);
            format!("line {number} must be a header such as X-Signature: …, or empty before the body")
        })?;
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    if headers.len() > HEADERS_MAX {
        return Err(format!("there are more than {HEADERS_MAX} headers"));
    }
    let (body, line_break_dropped) = measured(body, &headers)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method,
        kind: path.split('/').nth(4).filter(|_| path.starts_with("/webhooks/")).map(str::to_owned),
        query: query.to_owned(),
        headers,
        body: body.to_vec(),
        peer: None,
        received_at: now,
    };
    Ok(Pasted { request, line_break_dropped })
}

/// Head and body, without the empty line between them.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut from = 0;
    while let Some(rest) = bytes.get(from..).filter(|rest| !rest.is_empty()) {
        let len = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at.saturating_add(1));
        let (line, after) = rest.split_at(len);
        if from > 0 && line.trim_ascii().is_empty() {
            return (bytes.get(..from).unwrap_or(bytes), after);
        }
        from = from.saturating_add(len);
    }
    (bytes, &[])
}

fn first_line(line: &str) -> Result<(Method, &str), String> {
    let wrong = || "line 1 must be a request line such as POST /path?query HTTP/1.1".to_owned();
    let mut words = line.split_ascii_whitespace();
    let method = words.next().unwrap_or("");
    let target = words.next().ok_or_else(wrong)?;
    let method = METHODS.iter().find(|(word, _)| word.eq_ignore_ascii_case(method)).ok_or_else(wrong)?.1;
    // An absolute URL is as good as its path.
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => target,
    };
    Ok((method, path))
}

fn is_name(name: &str) -> bool {
    let name = name.trim_end();
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The body as long as it is said to be.
fn measured<'b>(body: &'b [u8], headers: &[(String, String)]) -> Result<(&'b [u8], bool), String> {
    let said = headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value);
    if let Some(said) = said {
        let len: usize = said.parse().map_err(|_| format!("Content-Length: {said} is no number"))?;
        return match body.get(..len) {
            Some(body) => Ok((body, false)),
            None => {
                let got = body.len();
                Err(format!(
                    "the body has {got} bytes, Content-Length says {len}: something was lost in pasting"
                ))
            }
        };
    }
    let cut = body.strip_suffix(b"\n").map(|body| body.strip_suffix(b"\r").unwrap_or(body));
    Ok(cut.map_or((body, false), |cut| (cut, true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_goes_over_the_wire() {
        let read = text(
            b"POST https://pay.example/webhooks/flowell/abc/check?a=1 HTTP/1.1\r\nX-Sign:  q: 1 \r\nHost: x\r\n\r\n{\n\n}\n",
            5,
        )
        .unwrap();
        let Pasted { request, line_break_dropped } = read;
        assert_eq!(
            (request.method, request.query.as_str(), request.kind.as_deref()),
            (Method::Post, "a=1", Some("check"))
        );
        assert_eq!(request.headers[0], ("x-sign".to_owned(), "q: 1".to_owned()));
        assert_eq!(
            (request.body.as_slice(), line_break_dropped, request.received_at),
            (&b"{\n\n}"[..], true, 5)
        );
        let exact = text(b"post /\nContent-Length: 3\n\nab\n\n", 0).unwrap();
        assert_eq!((exact.request.body.as_slice(), exact.line_break_dropped), (&b"ab\n"[..], false));
        let bare = text(b"GET /x?y=%20", 0).unwrap().request;
        assert_eq!((bare.method, bare.query.as_str(), bare.body.len()), (Method::Get, "y=%20", 0));
    }

    #[test]
    fn what_is_no_request_is_named_by_its_line() {
        for (bytes, says) in [
            (&b""[..], "line 1"),
            (b"PUT / HTTP/1.1", "line 1"),
            (b"{\"a\":1}", "line 1"),
            (b"POST /\nHost: x\nno header\n\n", "line 3"),
            (b"POST /\nContent-Length: 9\n\nabc", "the body has 3 bytes"),
            (b"POST /\nContent-Length: many\n\nabc", "is no number"),
            (b"POST /\nX: \xff\n\n", "UTF-8"),
        ] {
            let why = text(bytes, 0).err().unwrap();
            assert!(why.contains(says), "{why}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = text(&bytes, 0);
        }
    }
}
