//! Authenticity as the document says it: checks, base strings, received signatures.

mod check;
mod expect;
mod part;

pub(in crate::generic) use check::{Check, RsaDigest, TimeUnit};
pub(in crate::generic) use expect::{Case, Encoding, Expect, Pick, case, encoding};
pub(in crate::generic) use part::{Canonical, Field, Flatten, Missing, Params, Part, Sort, secrets};

use super::reader::{Object, Read};
use crate::digest::Hash;

/// Levels of `any`, `when` and `join` inside each other.
const DEPTH_MAX: usize = 4;

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
pub(in crate::generic) fn hashes() -> impl Iterator<Item = Hash> {
    HASHES.iter().map(|(_, hash)| *hash)
}

/// How a digest is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::generic) enum Method<'a> {
    /// A plain digest over a base with a secret inside.
    Hash,
    /// An HMAC with this key.
    Hmac(&'a str),
}

/// A signature that is computed and compared.
#[derive(Debug)]
pub(in crate::generic) struct Signature<'a> {
    pub(in crate::generic) method: Method<'a>,
    pub(in crate::generic) hash: Hash,
    pub(in crate::generic) base: Vec<Part<'a>>,
}

impl<'a> Signature<'a> {
    /// Reads `alg`, `key` and `base`; a key makes it an HMAC.
    pub(in crate::generic) fn read(object: &Object<'a, '_>) -> Read<Signature<'a>> {
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
