//! The answer to the provider, as the document words it.

use super::base::Builder;
use super::document::{self, Document};
use super::envelope::Envelope;
use super::keys::Keys;
use super::pointer::{Pointer, Root};
use super::prove;
use super::reader::{Node, Object, Read};
use super::receive;
use super::scheme::{self, Case, Encoding, Signature};
use super::template::Template;
use crate::outcome::RejectKind;
use crate::{Account, Answer, Outcome, Refusal, Reject, Request};

/// Longest body of an answer, bytes.
const BODY_LEN_MAX: usize = 1024;
/// Longest value that is put in, characters.
const VALUE_LEN_MAX: usize = 256;
/// Most headers of an answer.
const HEADERS_MAX: usize = 8;
const TEXT: &str = "text/plain; charset=utf-8";

/// Content types that an answer may have.
const CONTENT_TYPES: [(&str, &str); 11] = [
    (TEXT, TEXT),
    ("text/plain", "text/plain"),
    ("text/html", "text/html"),
    ("text/html; charset=utf-8", "text/html; charset=utf-8"),
    ("application/json", "application/json"),
    ("application/json; charset=utf-8", "application/json; charset=utf-8"),
    ("application/xml", "application/xml"),
    ("application/xml; charset=utf-8", "application/xml; charset=utf-8"),
    ("text/xml", "text/xml"),
    ("text/xml; charset=utf-8", "text/xml; charset=utf-8"),
    ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"),
];

/// A signed answer.
#[derive(Debug)]
struct Sign<'a> {
    signature: Signature<'a>,
    encoding: Encoding,
    case: Case,
    header: &'a str,
}

/// An answer.
#[derive(Debug)]
struct Entry<'a> {
    status: u16,
    content_type: &'static str,
    body: Template<'a, Pointer<'a>>,
    headers: Vec<(&'a str, &'a str)>,
    sign: Option<Sign<'a>>,
}

/// `reply`: one entry for each outcome.
#[derive(Debug, Default)]
pub(super) struct Replies<'a> {
    accepted: Option<Entry<'a>>,
    duplicate: Option<Entry<'a>>,
    ignored: Option<Entry<'a>>,
    bad_auth: Option<Entry<'a>>,
    invalid: Option<Entry<'a>>,
    mismatch: Option<Entry<'a>>,
    unknown: Option<Entry<'a>>,
    temporary: Option<Entry<'a>>,
}

const OUTCOMES: [&str; 8] =
    ["accepted", "duplicate", "ignored", "bad_auth", "invalid", "mismatch", "unknown", "temporary"];

impl<'a> Replies<'a> {
    pub(super) fn read(node: Node<'a, '_>) -> Read<Replies<'a>> {
        let object = node.object(&OUTCOMES)?;
        let entry = |name: &str, status| object.maybe(name, |node| entry(node, status));
        Ok(Replies {
            accepted: entry("accepted", 200)?,
            duplicate: entry("duplicate", 200)?,
            ignored: entry("ignored", 200)?,
            bad_auth: entry("bad_auth", 403)?,
            invalid: entry("invalid", 400)?,
            mismatch: entry("mismatch", 200)?,
            unknown: entry("unknown", 200)?,
            temporary: entry("temporary", 503)?,
        })
    }

    /// Secrets that sign answers.
    pub(super) fn secrets(&self) -> Vec<&'a str> {
        let entries = [
            &self.accepted,
            &self.duplicate,
            &self.ignored,
            &self.bad_auth,
            &self.invalid,
            &self.mismatch,
            &self.unknown,
            &self.temporary,
        ];
        let signs = entries.into_iter().flatten().filter_map(|entry| entry.sign.as_ref());
        signs.flat_map(|sign| secrets_of(&sign.signature)).collect()
    }
}

/// Every secret that a signature needs.
pub(super) fn secrets_of<'a>(signature: &Signature<'a>) -> Vec<&'a str> {
    let mut names = scheme::secrets(&signature.base);
    if let scheme::Method::Hmac(key) = signature.method {
        names.push(key);
    }
    names
}

fn entry<'a>(node: Node<'a, '_>, status: u32) -> Read<Entry<'a>> {
    let object = node.object(&["status", "content_type", "body", "headers", "sign"])?;
    let status = object.or("status", status, |node| node.number(200..=599))?;
    let body = object.or("body", Template(Vec::new()), |node| {
        if node.text()?.len() > BODY_LEN_MAX {
            return Err(node.problem(format!("is longer than {BODY_LEN_MAX} bytes")));
        }
        Template::read(node, |name| {
            let pointer = Pointer::parse(name)?;
            match pointer.root {
                Root::Body | Root::Query | Root::X => Ok(pointer),
                _ => Err("only values below /body, /query and /x can be put into an answer".to_owned()),
            }
        })
    })?;
    Ok(Entry {
        status: u16::try_from(status).unwrap_or(200),
        content_type: object.or("content_type", TEXT, |node| node.word(&CONTENT_TYPES))?,
        body,
        headers: object.or("headers", Vec::new(), headers)?,
        sign: object.maybe("sign", sign)?,
    })
}

fn headers<'a>(node: Node<'a, '_>) -> Read<Vec<(&'a str, &'a str)>> {
    let headers = node.open()?.members(|name, node| {
        header_name(name).map_err(|why| node.problem(why))?;
        let value = node.text()?;
        let printable = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if printable { Ok(value) } else { Err(node.problem("must be printable ASCII")) }
    })?;
    if headers.len() > HEADERS_MAX {
        Err(node.problem(format!("has more than {HEADERS_MAX} headers")))
    } else {
        Ok(headers)
    }
}

/// Headers that a document may set: not those that frame the answer or carry a session.
pub(super) fn header_name(name: &str) -> Result<(), &'static str> {
    const FRAMING: [&str; 6] =
        ["content-length", "content-type", "transfer-encoding", "connection", "set-cookie", "host"];
    let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
        return Err("is no header name");
    }
    if FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
        return Err("can't be set by a document");
    }
    Ok(())
}

fn sign<'a>(node: Node<'a, '_>) -> Read<Sign<'a>> {
    let object: Object<'a, '_> = node.object(&["alg", "key", "base", "encoding", "case", "to"])?;
    let to = object.need("to")?;
    let header = to.text()?.strip_prefix("header ").map(str::trim);
    let header = header.ok_or_else(|| to.problem("must be \"header NAME\""))?;
    header_name(header).map_err(|why| to.problem(why))?;
    Ok(Sign {
        signature: Signature::read(&object)?,
        encoding: scheme::encoding(&object)?,
        case: scheme::case(&object, Case::Lower)?,
        header,
    })
}

/// The answer to an outcome.
pub(super) fn answer(request: &Request, outcome: &Outcome<'_>, account: &Account) -> Answer {
    let Ok(document) = document::of(account) else {
        return match outcome {
            Outcome::Rejected(_) => Answer::text(404, ""),
            Outcome::Busy => Answer::text(503, ""),
            _ => Answer::text(200, "OK"),
        };
    };
    let reading = &document.reading;
    if matches!(outcome, Outcome::Rejected(_)) {
        if document.running == document::Running::Off {
            return Answer::text(404, "");
        }
        if !reading.methods.contains(&request.method) {
            return Answer::text(405, "");
        }
        if request.body.len() > reading.len_max {
            return Answer::text(413, "");
        }
    }
    let replies = &document.reply;
    let has_values = |entry: &Option<Entry<'_>>| {
        entry.as_ref().is_some_and(|entry| entry.body.has_values() || entry.sign.is_some())
    };
    let is_good = !matches!(outcome, Outcome::Rejected(_) | Outcome::Busy);
    let needed = (is_good && replies.ignored.is_some())
        || has_values(&replies.accepted)
        || has_values(pick(replies, outcome, false).0);
    let envelope = if needed { reopen(&document, request, account) } else { None };
    let ignored = is_good
        && replies.ignored.is_some()
        && envelope
            .as_ref()
            .is_some_and(|envelope| receive::is_ignored(&document, envelope).unwrap_or(false));
    let (entry, default) = pick(replies, outcome, ignored);
    match entry {
        Some(entry) => write(entry, envelope.as_ref(), Keys::new(&document, account)),
        None => default,
    }
}

fn reopen<'a>(document: &Document<'_>, request: &'a Request, account: &Account) -> Option<Envelope<'a>> {
    let mut envelope = Envelope::open(document, request).ok()?;
    // What can't be opened counts as missing.
    let _ = envelope.unwrap(&document.reading.unwrap, &Keys::new(document, account));
    Some(envelope)
}

/// The entry for an outcome, and the answer where there is none.
fn pick<'e, 'a>(
    replies: &'e Replies<'a>,
    outcome: &Outcome<'_>,
    ignored: bool,
) -> (&'e Option<Entry<'a>>, Answer) {
    let ok = || Answer::text(200, "OK");
    let accepted = |own: &'e Option<Entry<'a>>| (if own.is_some() { own } else { &replies.accepted }, ok());
    match outcome {
        Outcome::Accepted | Outcome::Duplicate | Outcome::Told(_) if ignored => accepted(&replies.ignored),
        Outcome::Accepted | Outcome::Told(_) => accepted(&replies.accepted),
        Outcome::Duplicate => accepted(&replies.duplicate),
        Outcome::Refused(Refusal::WrongAmount | Refusal::WrongCurrency) => accepted(&replies.mismatch),
        Outcome::Refused(Refusal::UnknownPayment | Refusal::UnknownAccount) => accepted(&replies.unknown),
        Outcome::Refused(_) => accepted(&replies.accepted),
        Outcome::Rejected(reject) => rejected(replies, reject),
        Outcome::Busy => (&replies.temporary, Answer::text(503, "")),
    }
}

fn rejected<'e, 'a>(replies: &'e Replies<'a>, reject: &Reject) -> (&'e Option<Entry<'a>>, Answer) {
    match reject.kind {
        RejectKind::Malformed => (&replies.invalid, Answer::text(400, "")),
        RejectKind::Unsupported => (&replies.invalid, Answer::text(422, "")),
        RejectKind::MissingProof
        | RejectKind::WrongProof
        | RejectKind::ForeignSource
        | RejectKind::WrongAccount => (&replies.bad_auth, Answer::text(403, "")),
    }
}

fn write(entry: &Entry<'_>, envelope: Option<&Envelope<'_>>, keys: Keys<'_>) -> Answer {
    let body = entry.body.fill(|pointer| {
        let text = envelope.and_then(|envelope| envelope.scalar(*pointer).ok().flatten());
        text.map(|text| escape(entry.content_type, &text)).unwrap_or_default()
    });
    let body = cut(body, BODY_LEN_MAX);
    let mut headers: Vec<(String, String)> =
        entry.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), (*value).to_owned())).collect();
    if let (Some(sign), Some(envelope)) = (&entry.sign, envelope) {
        // Here the raw body is the answer's own.
        let builder = Builder { raw: Some(body.as_bytes()), ..Builder::new(envelope, keys, false) };
        let base = builder.build(&sign.signature.base);
        if let Ok(digest) = base.and_then(|base| prove::sign(&sign.signature, &base.bytes, keys)) {
            let text = prove::encode(sign.encoding, sign.case, &digest);
            headers.push((sign.header.to_ascii_lowercase(), text));
        }
    }
    Answer { status: entry.status, content_type: entry.content_type, body, headers }
}

fn cut(mut text: String, len: usize) -> String {
    if text.len() > len {
        let at = (0..=len).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(at);
    }
    text
}

fn escape(content_type: &str, text: &str) -> String {
    let text: String = text.chars().take(VALUE_LEN_MAX).collect();
    if content_type.contains("json") {
        let quoted = serde_json::Value::String(text).to_string();
        return quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or("").to_owned();
    }
    if content_type.contains("html") || content_type.contains("xml") {
        return text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;");
    }
    text.chars().filter(|letter| !letter.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn values_can_not_break_out() {
        assert_eq!(escape("application/json", "\"a\"\n\\"), "\\\"a\\\"\\n\\\\");
        assert_eq!(escape("text/html", "<b>'&\""), "&lt;b&gt;&#39;&amp;&quot;");
        assert_eq!(escape("text/plain", "a\r\nb"), "ab");
    }
}
