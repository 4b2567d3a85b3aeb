//! The usual mistakes behind a signature that does not fit, tried one after the other. Bounded work: a fixed number
//! of hash functions, secrets and forms of the body, and only for bodies of ordinary size.

use super::base::Builder;
use super::prove::Prover;
use super::scheme::{self, Expect, Method, Part, Signature};
use crate::digest::{self, same};
use crate::nested;

/// Largest body that is looked at, bytes.
const BODY_LEN_MAX: usize = 64 * 1024;
/// Most secrets that are tried in each other's place.
const SECRETS_MAX: usize = 6;

/// The mistake that fits, in words; no secret is in them.
pub(super) fn signature(
    prover: Prover<'_>,
    signature: &Signature<'_>,
    expect: &Expect<'_>,
) -> Option<String> {
    let body = &prover.envelope.request().body;
    if body.len() > BODY_LEN_MAX {
        return None;
    }
    let offered = prover.offered(expect).ok()?;
    let claimed: Vec<Vec<u8>> = offered.iter().flat_map(|text| readings(text)).collect();
    let fits = |digest: &[u8]| claimed.iter().any(|claimed| same(claimed, digest));
    let base = Builder::new(prover.envelope, prover.keys, false);
    if let Some(found) = other_digest(prover, signature, base, &fits) {
        return Some(found);
    }
    if let Some(found) = other_secret(prover, signature, base, &fits) {
        return Some(found);
    }
    for (raw, what) in bodies(body, &signature.base) {
        let base = Builder { raw: Some(&raw), ..base }.build(&signature.base).ok()?;
        if super::prove::sign(signature, &base.bytes, prover.keys).is_ok_and(|digest| fits(&digest)) {
            return Some(what.to_owned());
        }
    }
    None
}

/// What a received text may mean: hex or base64.
fn readings(text: &str) -> impl Iterator<Item = Vec<u8>> {
    let all = [hex::decode(text).ok(), digest::from_base64_any(text), digest::from_base64url_any(text)];
    all.into_iter().flatten()
}

fn other_digest(
    prover: Prover<'_>,
    signature: &Signature<'_>,
    base: Builder<'_>,
    fits: &dyn Fn(&[u8]) -> bool,
) -> Option<String> {
    let base = base.build(&signature.base).ok()?;
    for hash in scheme::hashes() {
        let made = match signature.method {
            Method::Hash => hash.digest(&base.bytes),
            Method::Hmac(key) => hash.hmac(&prover.keys.bytes(key).ok()?, &base.bytes),
        };
        if fits(&made) {
            return Some(if hash == signature.hash {
                "matches, but it is written differently: look at encoding and case of expect".to_owned()
            } else {
                format!("matches with {}; the document says {}", hash.name(), signature.hash.name())
            });
        }
        for key in prover.keys.names().take(SECRETS_MAX).filter(|_| signature.method == Method::Hash) {
            if prover.keys.bytes(key).is_ok_and(|key| fits(&hash.hmac(&key, &base.bytes))) {
                return Some(format!("matches as an HMAC-{} with {key}", hash.name()));
            }
        }
        if signature.method != Method::Hash && fits(&hash.digest(&base.bytes)) {
            return Some(format!("matches as a plain {} without a key", hash.name()));
        }
    }
    None
}

fn other_secret(
    prover: Prover<'_>,
    signature: &Signature<'_>,
    base: Builder<'_>,
    fits: &dyn Fn(&[u8]) -> bool,
) -> Option<String> {
    let used = match signature.method {
        Method::Hash => scheme::secrets(&signature.base).first().copied()?,
        Method::Hmac(key) => key,
    };
    for name in prover.keys.names().take(SECRETS_MAX).filter(|name| *name != used) {
        let swapped = Signature {
            method: match signature.method {
                Method::Hash => Method::Hash,
                Method::Hmac(_) => Method::Hmac(name),
            },
            hash: signature.hash,
            base: Vec::new(),
        };
        let base = Builder { swap: Some((used, name)), ..base }.build(&signature.base).ok()?;
        if super::prove::sign(&swapped, &base.bytes, prover.keys).is_ok_and(|digest| fits(&digest)) {
            return Some(format!("matches with the secret {name} in place of {used}"));
        }
    }
    None
}

/// Other forms of the body that somebody may have signed, where the body is signed as it is.
fn bodies(body: &[u8], parts: &[Part<'_>]) -> Vec<(Vec<u8>, &'static str)> {
    let mut is_raw = false;
    parts.iter().for_each(|part| part.walk(&mut |part| is_raw |= matches!(part, Part::Raw)));
    if !is_raw {
        return Vec::new();
    }
    let with_newline = [body, b"\n"].concat();
    let mut forms = vec![
        (body.trim_ascii().to_vec(), "matches without white space around the body: something added it"),
        (with_newline, "matches with a newline at the end of the body: something cut it off"),
        (nested::decode(body), "matches over the URL-decoded body"),
    ];
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) {
        forms.push((
            value.to_string().into_bytes(),
            "matches over the body without blanks: a proxy or the sender rewrites the JSON",
        ));
    }
    forms
}
