//! Signing of what we send, and checking of what was received: Standard Webhooks, schemes `v1` and `v1a`
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//!
//! Signed are the bytes `id.timestamp.body`: with HMAC-SHA256 (`v1`; the key is the base64 part of a `whsec_` secret),
//! or with ed25519 (`v1a`; the key pair is a `whsk_` text of its 32-byte seed and 32-byte public key, and the receiver
//! knows the `whpk_` text of the public key only). The header is a list, so that a request verifies with the new and
//! the old key while one is being rotated, and by either scheme: receivers skip the schemes they don't know.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use kassir_providers::{Secret, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secrets::random_bytes;

/// Header with the event's id: the same in every attempt, a receiver's idempotency key.
pub const ID_HEADER: &str = "webhook-id";
/// Header with the attempt's time, Unix seconds.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header with the list of signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";
/// What the text of a secret starts with.
pub const SECRET_PREFIX: &str = "whsec_";
/// Shortest key, bytes.
pub const KEY_MIN: usize = 24;
/// Longest key, bytes.
pub const KEY_MAX: usize = 64;
/// Length of a key that we make, bytes.
pub const KEY_NEW: usize = 32;
/// How far a request's timestamp may be from the receiver's clock, seconds; the bound itself is fine.
pub const TOLERANCE_S: i64 = 5 * 60;

/// What the text of a key pair starts with.
pub const PAIR_PREFIX: &str = "whsk_";
/// What the text of a public key starts with.
pub const PUBLIC_PREFIX: &str = "whpk_";

/// Entries of a received header that are looked at.
pub const SIGNATURES_MAX: usize = 40;

const SCHEME: &str = "v1";
const SCHEME_PAIR: &str = "v1a";
/// Length of an ed25519 seed and of a public key, bytes.
const HALF: usize = 32;

/// Text that is no signing secret. The text itself is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It does not start with `whsec_` or `whsk_`.
    #[error("a signing secret starts with whsec_, a key pair with whsk_, a public key with whpk_")]
    Prefix,
    /// What follows is no standard base64 with padding.
    #[error("what follows the prefix is not base64 (standard alphabet, with padding)")]
    Encoding,
    /// It is too short or too long.
    #[error("a signing secret has 24 to 64 bytes, this one has {0}")]
    Length(usize),
    /// The halves of a key pair do not belong together, or it is none.
    #[error(
        "a key pair has 64 bytes: the ed25519 seed and the public key that belongs to it; a public key has 32"
    )]
    Pair,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// A signing key: a shared secret, or an ed25519 key pair. It has no `Debug` or `Display`; its text is wiped when it is
/// dropped.
#[derive(Clone)]
pub struct SigningKey(Kind);

#[derive(Clone)]
enum Kind {
    Shared(Zeroizing<Vec<u8>>),
    Pair(Arc<Pair>),
}

struct Pair {
    /// Seed and public key.
    text: Zeroizing<Vec<u8>>,
    signer: Ed25519KeyPair,
}

impl SigningKey {
    /// Reads `whsec_…` (a shared secret, 24 to 64 bytes) or `whsk_…` (a key pair).
    ///
    /// # Errors
    /// [`KeyError`] when it is neither.
    pub fn parse(text: &str) -> Result<SigningKey, KeyError> {
        if let Some(encoded) = text.strip_prefix(PAIR_PREFIX) {
            return SigningKey::pair(Zeroizing::new(digest::from_base64(encoded).ok_or(KeyError::Encoding)?));
        }
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(KeyError::Prefix)?;
        let bytes = Zeroizing::new(digest::from_base64(encoded).ok_or(KeyError::Encoding)?);
        if (KEY_MIN..=KEY_MAX).contains(&bytes.len()) {
            Ok(SigningKey(Kind::Shared(bytes)))
        } else {
            Err(KeyError::Length(bytes.len()))
        }
    }

    fn pair(text: Zeroizing<Vec<u8>>) -> Result<SigningKey, KeyError> {
        let (seed, public) = text.split_at_checked(HALF).ok_or(KeyError::Pair)?;
        let signer = Ed25519KeyPair::from_seed_and_public_key(seed, public).map_err(|_| KeyError::Pair)?;
        Ok(SigningKey(Kind::Pair(Arc::new(Pair { text, signer }))))
    }

    /// Makes a new shared secret of 32 random bytes.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system has none.
    pub fn generate() -> Result<SigningKey, KeyError> {
        let bytes = random_bytes::<KEY_NEW>().map_err(|_| KeyError::Random)?;
        Ok(SigningKey(Kind::Shared(Zeroizing::new(bytes.to_vec()))))
    }

    /// Makes a new key pair.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system has no random bytes.
    pub fn generate_pair() -> Result<SigningKey, KeyError> {
        let seed = random_bytes::<HALF>().map_err(|_| KeyError::Random)?;
        let signer = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| KeyError::Pair)?;
        let mut text = Zeroizing::new(seed.to_vec());
        text.extend_from_slice(signer.public_key().as_ref());
        Ok(SigningKey(Kind::Pair(Arc::new(Pair { text, signer }))))
    }

    /// The text that is kept: `whsec_…`, which its owner gets, or `whsk_…`, which nobody gets.
    #[must_use]
    pub fn text(&self) -> Secret {
        let (prefix, bytes) = match &self.0 {
            Kind::Shared(bytes) => (SECRET_PREFIX, bytes),
            Kind::Pair(pair) => (PAIR_PREFIX, &pair.text),
        };
        Secret::new(format!("{prefix}{}", digest::base64(bytes)))
    }

    /// What the receiver checks the signatures of a key pair with; `None` for a shared secret.
    #[must_use]
    pub fn public(&self) -> Option<PublicKey> {
        match &self.0 {
            Kind::Shared(_) => None,
            Kind::Pair(pair) => pair.signer.public_key().as_ref().try_into().ok().map(PublicKey),
        }
    }

    /// One entry of the signature header: `v1,…` or `v1a,…`.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let timestamp = timestamp.to_string();
        let (scheme, code) = match &self.0 {
            Kind::Shared(bytes) => (SCHEME, code(bytes, id.as_bytes(), timestamp.as_bytes(), body)),
            Kind::Pair(pair) => {
                let signed = content(id.as_bytes(), timestamp.as_bytes(), body);
                (SCHEME_PAIR, pair.signer.sign(&signed).as_ref().to_vec())
            }
        };
        format!("{scheme},{}", digest::base64(&code))
    }

    /// Whether an entry of the header is of this key.
    fn fits(&self, entry: &Entry<'_>) -> bool {
        match &self.0 {
            Kind::Shared(bytes) => {
                let fits =
                    digest::same_base64(entry.claimed, &code(bytes, entry.id, entry.timestamp, entry.body));
                entry.scheme == SCHEME && fits
            }
            Kind::Pair(_) => self.public().is_some_and(|public| public.fits(entry)),
        }
    }
}

/// The public half of a key pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey([u8; HALF]);

impl PublicKey {
    /// Reads `whpk_…`.
    ///
    /// # Errors
    /// [`KeyError`] when it is none.
    pub fn parse(text: &str) -> Result<PublicKey, KeyError> {
        let encoded = text.strip_prefix(PUBLIC_PREFIX).ok_or(KeyError::Prefix)?;
        let bytes = digest::from_base64(encoded).ok_or(KeyError::Encoding)?;
        bytes.as_slice().try_into().map(PublicKey).map_err(|_| KeyError::Pair)
    }

    /// The text that receivers get: `whpk_…`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{PUBLIC_PREFIX}{}", digest::base64(&self.0))
    }

    fn fits(&self, entry: &Entry<'_>) -> bool {
        if entry.scheme != SCHEME_PAIR {
            return false;
        }
        let Some(claimed) = digest::from_base64(entry.claimed) else { return false };
        let signed = content(entry.id, entry.timestamp, entry.body);
        UnparsedPublicKey::new(&ED25519, &self.0).verify(&signed, &claimed).is_ok()
    }
}

/// One entry of a received header, and what it is about.
struct Entry<'a> {
    scheme: &'a str,
    claimed: &'a str,
    id: &'a [u8],
    timestamp: &'a [u8],
    body: &'a [u8],
}

fn code(key: &[u8], id: &[u8], timestamp: &[u8], body: &[u8]) -> Vec<u8> {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    for part in [id, b".", timestamp, b".", body] {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// What is signed.
fn content(id: &[u8], timestamp: &[u8], body: &[u8]) -> Vec<u8> {
    [id, b".", timestamp, b".", body].concat()
}

/// The value of the signature header: one entry for each key, the current one first, one space between them (some
/// receivers fail on any other separator, and on a second header line).
#[must_use]
pub fn header<'a>(
    keys: impl IntoIterator<Item = &'a SigningKey>,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> String {
    keys.into_iter().map(|key| key.sign(id, timestamp, body)).collect::<Vec<_>>().join(" ")
}

/// Why a received request does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A header is missing or empty.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header is there more than once.
    #[error("the header {0} is there more than once")]
    Repeated(&'static str),
    /// The timestamp is no whole number.
    #[error("the timestamp is not a whole number of seconds")]
    Timestamp,
    /// It was signed more than five minutes ago.
    #[error("the timestamp is more than five minutes old")]
    TooOld,
    /// It was signed more than five minutes ahead of this clock.
    #[error("the timestamp is more than five minutes ahead of this clock")]
    TooNew,
    /// No signature fits.
    #[error("no signature fits the key and the exact bytes of the body")]
    Signature,
}

/// Checks a received request as a subscriber does. `headers` are pairs in any case; `body` the exact bytes received;
/// `now` the receiver's clock, Unix seconds.
///
/// # Errors
/// [`VerifyError`] with the first thing that is wrong.
pub fn verify(
    headers: &[(String, String)],
    body: &[u8],
    key: &SigningKey,
    now: i64,
) -> Result<(), VerifyError> {
    verify_by(headers, body, now, |entry| key.fits(entry))
}

/// The same for a subscriber that knows only the public key of a key pair.
///
/// # Errors
/// As [`verify`].
pub fn verify_public(
    headers: &[(String, String)],
    body: &[u8],
    key: &PublicKey,
    now: i64,
) -> Result<(), VerifyError> {
    verify_by(headers, body, now, |entry| key.fits(entry))
}

fn verify_by(
    headers: &[(String, String)],
    body: &[u8],
    now: i64,
    fits: impl Fn(&Entry<'_>) -> bool,
) -> Result<(), VerifyError> {
    let id = single(headers, ID_HEADER)?;
    let timestamp = single(headers, TIMESTAMP_HEADER)?;
    let signatures = single(headers, SIGNATURE_HEADER)?;
    let signed_at = seconds(timestamp).ok_or(VerifyError::Timestamp)?;
    if now.saturating_sub(signed_at) > TOLERANCE_S {
        return Err(VerifyError::TooOld);
    }
    if signed_at.saturating_sub(now) > TOLERANCE_S {
        return Err(VerifyError::TooNew);
    }
    let (id, timestamp) = (id.as_bytes(), timestamp.as_bytes());
    let found = signatures
        .split(' ')
        .take(SIGNATURES_MAX)
        .filter_map(|entry| entry.split_once(','))
        .fold(false, |found, (scheme, claimed)| {
            fits(&Entry { scheme, claimed, id, timestamp, body }) | found
        });
    if found { Ok(()) } else { Err(VerifyError::Signature) }
}

fn single<'a>(headers: &'a [(String, String)], name: &'static str) -> Result<&'a str, VerifyError> {
    let mut values = headers.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
    match (values.next(), values.next()) {
        (Some((_, value)), None) if !value.is_empty() => Ok(value),
        (Some(_), Some(_)) => Err(VerifyError::Repeated(name)),
        _ => Err(VerifyError::Missing(name)),
    }
}

fn seconds(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
