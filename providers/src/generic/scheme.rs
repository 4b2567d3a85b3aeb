//! Authenticity as the document says it: checks, base strings, received signatures.

use ipnet::IpNet;

use super::functions::{self, Function};
use super::pointer::{Pointer, Root};
use super::reader::{Node, Object, Read};
use crate::digest::Hash;

/// Levels of `any`, `when` and `join` inside each other.
const DEPTH_MAX: usize = 4;
/// Longest time between a signed time and now, seconds.
const SKEW_MAX_S: u32 = 3600;

/// Hash functions by the word of the document.
const HASHES: [(&str, Hash); 8] = [
    ("md5", Hash::Md5),
    ("sha1", Hash::Sha1),
    ("sha224", Hash::Sha224),
    ("sha256", Hash::Sha256),
    ("sha384", Hash::Sha384),
    ("sha512", Hash::Sha512),
    ("ripemd160", Hash::Ripemd160),
    ("sha3-256", Hash::Sha3_256),
];

/// Every hash function that a document may name.
pub(super) fn hashes() -> impl Iterator<Item = Hash> {
    HASHES.iter().map(|(_, hash)| *hash)
}

/// Which value of a list such as `t=…,v1=…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pick<'a> {
    pub(super) sep: &'a str,
    pub(super) kv: &'a str,
    pub(super) name: &'a str,
}

impl<'a> Pick<'a> {
    fn read(node: Node<'a, '_>) -> Read<Pick<'a>> {
        let object = node.object(&["sep", "kv", "name"])?;
        let separator = |name: &str, default: &'a str| {
            object.or(name, default, |node| match node.text()? {
                "" => Err(node.problem("must not be empty")),
                text => Ok(text),
            })
        };
        Ok(Pick {
            sep: separator("sep", ",")?,
            kv: separator("kv", "=")?,
            name: object.need("name")?.text()?,
        })
    }

    /// The values of that name.
    pub(super) fn values<'t>(self, text: &'t str) -> impl Iterator<Item = &'t str> + use<'a, 't> {
        text.split(self.sep).filter_map(move |piece| {
            let (name, value) = piece.split_once(self.kv)?;
            (name.trim() == self.name).then_some(value)
        })
    }
}

/// How a digest is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Hex,
    Base64,
    Base64Url,
}

/// Letters of a hex digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Any,
    Lower,
    Upper,
}

/// Where the received signature is and how it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expect<'a> {
    pub(super) from: Pointer<'a>,
    pub(super) encoding: Encoding,
    pub(super) case: Case,
    pub(super) prefix: &'a str,
    pub(super) pick: Option<Pick<'a>>,
}

impl<'a> Expect<'a> {
    fn read(node: Node<'a, '_>) -> Read<Expect<'a>> {
        let object = node.object(&["from", "encoding", "case", "prefix", "pick"])?;
        Ok(Expect {
            from: Pointer::read(object.need("from")?)?,
            encoding: encoding(&object)?,
            case: case(&object, Case::Any)?,
            prefix: object.or("prefix", "", |node| node.text())?,
            pick: object.maybe("pick", Pick::read)?,
        })
    }
}

pub(super) fn encoding(object: &Object<'_, '_>) -> Read<Encoding> {
    let words = [("hex", Encoding::Hex), ("base64", Encoding::Base64), ("base64url", Encoding::Base64Url)];
    object.or("encoding", Encoding::Hex, |node| node.word(&words))
}

pub(super) fn case(object: &Object<'_, '_>, default: Case) -> Read<Case> {
    let words = [("any", Case::Any), ("lower", Case::Lower), ("upper", Case::Upper)];
    object.or("case", default, |node| node.word(&words))
}

/// What a missing value does to the base string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Error,
    Empty,
    Skip,
}

/// Order of an object's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Bytes,
    IgnoreCase,
    Arrival,
}

/// How nested members are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flatten {
    None,
    Php,
    Dot,
}

/// All members of an object.
#[derive(Debug)]
pub(super) struct Params<'a> {
    pub(super) from: Pointer<'a>,
    pub(super) flatten: Flatten,
    pub(super) include: Option<Vec<&'a str>>,
    pub(super) exclude: Vec<&'a str>,
    pub(super) skip_empty: bool,
    pub(super) sort: Sort,
    pub(super) with_names: bool,
    pub(super) kv_sep: &'a str,
    pub(super) pair_sep: &'a str,
    pub(super) key_fmt: Vec<Function>,
    pub(super) value_fmt: Vec<Function>,
}

impl<'a> Params<'a> {
    fn read(node: Node<'a, '_>) -> Read<Params<'a>> {
        let object = node.object(&[
            "from",
            "flatten",
            "include",
            "exclude",
            "skip_empty",
            "sort",
            "pair",
            "kv_sep",
            "pair_sep",
            "key_fmt",
            "value_fmt",
        ])?;
        let flatten = [("none", Flatten::None), ("php", Flatten::Php), ("dot", Flatten::Dot)];
        let sort = [("bytes", Sort::Bytes), ("ci", Sort::IgnoreCase), ("none", Sort::Arrival)];
        Ok(Params {
            from: Pointer::read(object.need("from")?)?,
            flatten: object.or("flatten", Flatten::None, |node| node.word(&flatten))?,
            include: object.maybe("include", |node| node.texts())?,
            exclude: object.or("exclude", Vec::new(), |node| node.texts())?,
            skip_empty: object.or("skip_empty", false, |node| node.switch())?,
            sort: object.or("sort", Sort::Bytes, |node| node.word(&sort))?,
            with_names: object.or("pair", true, |node| node.word(&[("kv", true), ("value", false)]))?,
            kv_sep: object.or("kv_sep", "=", |node| node.text())?,
            pair_sep: object.or("pair_sep", "&", |node| node.text())?,
            key_fmt: object.or("key_fmt", Vec::new(), functions::list)?,
            value_fmt: object.or("value_fmt", Vec::new(), functions::list)?,
        })
    }
}

/// JSON text of an object.
#[derive(Debug)]
pub(super) struct Canonical<'a> {
    pub(super) from: Pointer<'a>,
    pub(super) exclude: Vec<&'a str>,
    pub(super) sort: bool,
    pub(super) stringify: bool,
    pub(super) escape_slash: bool,
    pub(super) escape_unicode: bool,
}

impl<'a> Canonical<'a> {
    fn read(node: Node<'a, '_>) -> Read<Canonical<'a>> {
        let object =
            node.object(&["from", "exclude", "sort", "stringify", "escape_slash", "escape_unicode"])?;
        let switch = |name: &str, default| object.or(name, default, |node| node.switch());
        Ok(Canonical {
            from: Pointer::read(object.need("from")?)?,
            exclude: object.or("exclude", Vec::new(), |node| node.texts())?,
            sort: switch("sort", true)?,
            stringify: switch("stringify", false)?,
            escape_slash: switch("escape_slash", false)?,
            escape_unicode: switch("escape_unicode", false)?,
        })
    }
}

/// A scalar in a base string.
#[derive(Debug)]
pub(super) struct Field<'a> {
    pub(super) ptr: Pointer<'a>,
    pub(super) missing: Missing,
    pub(super) php_bool: bool,
    pub(super) pick: Option<Pick<'a>>,
}

/// A part of a base string.
#[derive(Debug)]
pub(super) enum Part<'a> {
    Raw,
    RawQuery,
    RawUrldecoded,
    Text(&'a str),
    Secret { name: &'a str, fmt: Vec<Function> },
    Field { field: Field<'a>, fmt: Vec<Function> },
    Join { sep: &'a str, parts: Vec<Part<'a>>, each: Vec<Function> },
    Params(Box<Params<'a>>),
    Canonical(Canonical<'a>),
}

/// Members of which a part has exactly one.
const PART_KINDS: [&str; 9] =
    ["raw", "raw_query", "raw_urldecoded", "text", "secret", "field", "join", "params", "canonical_json"];

impl<'a> Part<'a> {
    /// Reads the parts of a base string.
    pub(super) fn list(node: Node<'a, '_>) -> Read<Vec<Part<'a>>> {
        let parts = parts(node, 0)?;
        if parts.is_empty() { Err(node.problem("must not be empty")) } else { Ok(parts) }
    }

    /// This part and those inside it.
    pub(super) fn walk(&self, see: &mut dyn FnMut(&Part<'a>)) {
        see(self);
        if let Part::Join { parts, .. } = self {
            parts.iter().for_each(|part| part.walk(see));
        }
    }
}

fn parts<'a>(node: Node<'a, '_>, depth: usize) -> Read<Vec<Part<'a>>> {
    if depth > DEPTH_MAX {
        return Err(node.problem(format!("is nested more than {DEPTH_MAX} levels deep")));
    }
    node.each(|item| part(item, depth))
}

fn part<'a>(node: Node<'a, '_>, depth: usize) -> Read<Part<'a>> {
    let object = node.open()?;
    let mut kinds = PART_KINDS.into_iter().filter(|kind| object.has(kind));
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        return Err(node.problem(format!("must have exactly one of {}", PART_KINDS.join(", "))));
    };
    let allowed: &[&str] = match kind {
        "field" => &["field", "missing", "fmt", "bool", "pick"],
        "secret" => &["secret", "fmt"],
        _ => &[kind],
    };
    let object = node.object(allowed)?;
    let inner = object.need(kind)?;
    let fmt = || object.or("fmt", Vec::new(), functions::list);
    let on = |part| if inner.switch()? { Ok(part) } else { Err(inner.problem("must be true")) };
    match kind {
        "raw" => on(Part::Raw),
        "raw_query" => on(Part::RawQuery),
        "raw_urldecoded" => on(Part::RawUrldecoded),
        "text" => Ok(Part::Text(inner.text()?)),
        "secret" => Ok(Part::Secret { name: inner.text()?, fmt: fmt()? }),
        "field" => {
            let missing = [("error", Missing::Error), ("empty", Missing::Empty), ("skip", Missing::Skip)];
            let field = Field {
                ptr: Pointer::read(inner)?,
                missing: object.or("missing", Missing::Error, |node| node.word(&missing))?,
                php_bool: object.or("bool", false, |node| node.word(&[("php", true)]))?,
                pick: object.maybe("pick", Pick::read)?,
            };
            Ok(Part::Field { field, fmt: fmt()? })
        }
        "join" => {
            let join = inner.object(&["sep", "parts", "each"])?;
            Ok(Part::Join {
                sep: join.or("sep", "", |node| node.text())?,
                parts: parts(join.need("parts")?, depth.saturating_add(1))?,
                each: join.or("each", Vec::new(), functions::list)?,
            })
        }
        "params" => Ok(Part::Params(Box::new(Params::read(inner)?))),
        _ => Ok(Part::Canonical(Canonical::read(inner)?)),
    }
}

/// How a digest is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method<'a> {
    /// A plain digest over a base with a secret inside.
    Hash,
    /// An HMAC with this key.
    Hmac(&'a str),
}

/// A signature that is computed and compared.
#[derive(Debug)]
pub(super) struct Signature<'a> {
    pub(super) method: Method<'a>,
    pub(super) hash: Hash,
    pub(super) base: Vec<Part<'a>>,
}

impl<'a> Signature<'a> {
    /// Reads `alg`, `key` and `base`; a key makes it an HMAC.
    pub(super) fn read(object: &Object<'a, '_>) -> Read<Signature<'a>> {
        let base = object.need("base")?;
        let signature = Signature {
            method: object.maybe("key", |node| node.text())?.map_or(Method::Hash, Method::Hmac),
            hash: object.need("alg")?.word(&HASHES)?,
            base: Part::list(base)?,
        };
        if signature.method == Method::Hash && secrets(&signature.base).is_empty() {
            return Err(base.problem("has no secret: anybody could compute this digest"));
        }
        Ok(signature)
    }
}

/// The secrets that a base string holds.
pub(super) fn secrets<'a>(base: &[Part<'a>]) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut see = |part: &Part<'a>| {
        if let Part::Secret { name, .. } = part {
            found.push(*name);
        }
    };
    base.iter().for_each(|part| part.walk(&mut see));
    found
}

/// Digest of an RSA signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RsaDigest {
    Sha1,
    Sha256,
    Sha512,
}

/// Unit of a signed time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeUnit {
    Seconds,
    Milliseconds,
    Rfc3339,
}

/// A check.
#[derive(Debug)]
pub(super) enum Check<'a> {
    Signature { signature: Signature<'a>, expect: Expect<'a> },
    Rsa { digest: RsaDigest, key: &'a str, base: Vec<Part<'a>>, expect: Expect<'a> },
    Basic { user: &'a str, password: &'a str },
    Static { from: Pointer<'a>, secret: &'a str, prefix: &'a str },
    Ip { networks: Vec<IpNet> },
    Timestamp { from: Pointer<'a>, pick: Option<Pick<'a>>, unit: TimeUnit, skew_s: u32 },
    Any(Vec<Check<'a>>),
    When { ptr: Pointer<'a>, then: Box<Check<'a>>, otherwise: Box<Check<'a>> },
}

#[derive(Clone, Copy)]
enum Kind {
    Hash,
    Hmac,
    Rsa,
    Basic,
    Static,
    Ip,
    Timestamp,
    Any,
    When,
}

const KINDS: [(&str, Kind); 9] = [
    ("hash", Kind::Hash),
    ("hmac", Kind::Hmac),
    ("rsa", Kind::Rsa),
    ("basic", Kind::Basic),
    ("static", Kind::Static),
    ("ip", Kind::Ip),
    ("timestamp", Kind::Timestamp),
    ("any", Kind::Any),
    ("when", Kind::When),
];

impl<'a> Check<'a> {
    pub(super) fn list(node: Node<'a, '_>) -> Read<Vec<Check<'a>>> {
        node.each(|item| check(item, 0))
    }

    /// The check's word in the document.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Check::Signature { signature: Signature { method: Method::Hash, .. }, .. } => "hash",
            Check::Signature { .. } => "hmac",
            Check::Rsa { .. } => "rsa",
            Check::Basic { .. } => "basic",
            Check::Static { .. } => "static",
            Check::Ip { .. } => "ip",
            Check::Timestamp { .. } => "timestamp",
            Check::Any(_) => "any",
            Check::When { .. } => "when",
        }
    }

    /// Whether passing it proves who sent the request.
    pub(super) fn is_strong(&self) -> bool {
        match self {
            Check::Signature { .. } | Check::Rsa { .. } | Check::Basic { .. } | Check::Static { .. } => true,
            Check::Ip { .. } | Check::Timestamp { .. } => false,
            Check::Any(of) => !of.is_empty() && of.iter().all(Check::is_strong),
            Check::When { then, otherwise, .. } => then.is_strong() && otherwise.is_strong(),
        }
    }

    /// This check and those inside it.
    pub(super) fn walk(&self, see: &mut dyn FnMut(&Check<'a>)) {
        see(self);
        match self {
            Check::Any(of) => of.iter().for_each(|check| check.walk(see)),
            Check::When { then, otherwise, .. } => {
                then.walk(see);
                otherwise.walk(see);
            }
            _ => {}
        }
    }

    /// The base string, where it has one.
    pub(super) fn base(&self) -> &[Part<'a>] {
        match self {
            Check::Signature { signature, .. } => &signature.base,
            Check::Rsa { base, .. } => base,
            _ => &[],
        }
    }
}

fn check<'a>(node: Node<'a, '_>, depth: usize) -> Read<Check<'a>> {
    if depth > DEPTH_MAX {
        return Err(node.problem(format!("is nested more than {DEPTH_MAX} levels deep")));
    }
    let kind = node.open()?.need("type")?.word(&KINDS)?;
    let deeper = |node: Node<'a, '_>| check(node, depth.saturating_add(1));
    match kind {
        Kind::Hash => {
            let object = node.object(&["type", "alg", "base", "expect"])?;
            Ok(Check::Signature { signature: Signature::read(&object)?, expect: expect(&object)? })
        }
        Kind::Hmac => {
            let object = node.object(&["type", "alg", "key", "base", "expect"])?;
            object.need("key")?;
            Ok(Check::Signature { signature: Signature::read(&object)?, expect: expect(&object)? })
        }
        Kind::Rsa => rsa(node),
        Kind::Basic => {
            let object = node.object(&["type", "user", "password"])?;
            Ok(Check::Basic {
                user: object.need("user")?.text()?,
                password: object.need("password")?.text()?,
            })
        }
        Kind::Static => {
            let object = node.object(&["type", "from", "secret", "prefix"])?;
            Ok(Check::Static {
                from: Pointer::read(object.need("from")?)?,
                secret: object.need("secret")?.text()?,
                prefix: object.or("prefix", "", |node| node.text())?,
            })
        }
        Kind::Ip => ip(node),
        Kind::Timestamp => timestamp(node),
        Kind::Any => {
            let object = node.object(&["type", "of"])?;
            let of = object.need("of")?;
            let checks = of.each(deeper)?;
            if checks.is_empty() { Err(of.problem("must not be empty")) } else { Ok(Check::Any(checks)) }
        }
        Kind::When => {
            let object = node.object(&["type", "ptr", "then", "else"])?;
            Ok(Check::When {
                ptr: Pointer::read(object.need("ptr")?)?,
                then: Box::new(deeper(object.need("then")?)?),
                otherwise: Box::new(deeper(object.need("else")?)?),
            })
        }
    }
}

fn expect<'a>(object: &Object<'a, '_>) -> Read<Expect<'a>> {
    Expect::read(object.need("expect")?)
}

fn rsa<'a>(node: Node<'a, '_>) -> Read<Check<'a>> {
    let object = node.object(&["type", "alg", "key", "base", "expect"])?;
    let digests = [("sha256", RsaDigest::Sha256), ("sha1", RsaDigest::Sha1), ("sha512", RsaDigest::Sha512)];
    Ok(Check::Rsa {
        digest: object.need("alg")?.word(&digests)?,
        key: object.need("key")?.text()?,
        base: Part::list(object.need("base")?)?,
        expect: expect(&object)?,
    })
}

fn ip<'a>(node: Node<'a, '_>) -> Read<Check<'a>> {
    let object = node.object(&["type", "cidrs"])?;
    let networks = object.need("cidrs")?.each(|item| {
        let text = item.text()?;
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        network.map_err(|_| item.problem("must be a network such as 192.0.2.0/24"))
    })?;
    Ok(Check::Ip { networks })
}

fn timestamp<'a>(node: Node<'a, '_>) -> Read<Check<'a>> {
    let object = node.object(&["type", "from", "pick", "unit", "max_skew_s"])?;
    let units = [("s", TimeUnit::Seconds), ("ms", TimeUnit::Milliseconds), ("rfc3339", TimeUnit::Rfc3339)];
    let from = object.need("from")?;
    let pointer = Pointer::read(from)?;
    if matches!(pointer.root, Root::Raw | Root::Method) {
        return Err(from.problem("must point at a field or a header"));
    }
    Ok(Check::Timestamp {
        from: pointer,
        pick: object.maybe("pick", Pick::read)?,
        unit: object.or("unit", TimeUnit::Seconds, |node| node.word(&units))?,
        skew_s: object.need("max_skew_s")?.number(1..=SKEW_MAX_S)?,
    })
}
