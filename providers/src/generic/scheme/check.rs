//! Checks: what must hold before anything of a request is believed.

use ipnet::IpNet;

use super::{DEPTH_MAX, Expect, Method, Part, Pick, Signature};
use crate::generic::pointer::{Pointer, Root};
use crate::generic::reader::{Node, Object, Read};

/// Longest time between a signed time and now, seconds.
const SKEW_MAX_S: u32 = 3600;

/// Digest of an RSA signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::generic) enum RsaDigest {
    Sha1,
    Sha256,
    Sha512,
}

/// Unit of a signed time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::generic) enum TimeUnit {
    Seconds,
    Milliseconds,
    Rfc3339,
}

/// A check.
#[derive(Debug)]
pub(in crate::generic) enum Check<'a> {
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
    pub(in crate::generic) fn list(node: Node<'a, '_>) -> Read<Vec<Check<'a>>> {
        node.each(|item| check(item, 0))
    }

    /// The check's word in the document.
    pub(in crate::generic) fn word(&self) -> &'static str {
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
    pub(in crate::generic) fn is_strong(&self) -> bool {
        match self {
            Check::Signature { .. } | Check::Rsa { .. } | Check::Basic { .. } | Check::Static { .. } => true,
            Check::Ip { .. } | Check::Timestamp { .. } => false,
            Check::Any(of) => !of.is_empty() && of.iter().all(Check::is_strong),
            Check::When { then, otherwise, .. } => then.is_strong() && otherwise.is_strong(),
        }
    }

    /// This check and those inside it.
    pub(in crate::generic) fn walk(&self, see: &mut dyn FnMut(&Check<'a>)) {
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
    pub(in crate::generic) fn base(&self) -> &[Part<'a>] {
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
