//! Signing of what we send, and checking of what was received: Standard Webhooks, scheme `v1`
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).
//!
//! Signed are the bytes `id.timestamp.body` with HMAC-SHA256; the key is the base64 part of a `whsec_` secret. The
//! header is a list, so that a request verifies with the new and the old secret while one is being rotated. A further
//! scheme (`v1a`, ed25519) would be further entries of the same list: receivers skip the schemes they don't know.

use hmac::{Hmac, KeyInit, Mac};
use kassir_providers::{Secret, digest};
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

const SCHEME: &str = "v1";

/// Text that is no signing secret. The text itself is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It does not start with `whsec_`.
    #[error("a signing secret starts with whsec_")]
    Prefix,
    /// What follows is no standard base64 with padding.
    #[error("what follows whsec_ is not base64 (standard alphabet, with padding)")]
    Encoding,
    /// It is too short or too long.
    #[error("a signing secret has 24 to 64 bytes, this one has {0}")]
    Length(usize),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// A signing key. It has no `Debug` or `Display` and is wiped when dropped.
#[derive(Clone)]
pub struct SigningKey(Zeroizing<Vec<u8>>);

impl SigningKey {
    /// Reads `whsec_…`.
    ///
    /// # Errors
    /// [`KeyError`] when that is not a key of 24 to 64 bytes.
    pub fn parse(text: &str) -> Result<SigningKey, KeyError> {
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(KeyError::Prefix)?;
        let bytes = Zeroizing::new(digest::from_base64(encoded).ok_or(KeyError::Encoding)?);
        if (KEY_MIN..=KEY_MAX).contains(&bytes.len()) {
            Ok(SigningKey(bytes))
        } else {
            Err(KeyError::Length(bytes.len()))
        }
    }

    /// Makes a new one of 32 random bytes.
    ///
    /// # Errors
    /// [`KeyError::Random`] when the system has none.
    pub fn generate() -> Result<SigningKey, KeyError> {
        let bytes = random_bytes::<KEY_NEW>().map_err(|_| KeyError::Random)?;
        Ok(SigningKey(Zeroizing::new(bytes.to_vec())))
    }

    /// The text that its owner gets: `whsec_…`.
    #[must_use]
    pub fn text(&self) -> Secret {
        Secret::new(format!("{SECRET_PREFIX}{}", digest::base64(&self.0)))
    }

    /// One entry of the signature header: `v1,…`.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let code = self.code(id.as_bytes(), timestamp.to_string().as_bytes(), body);
        format!("{SCHEME},{}", digest::base64(&code))
    }

    fn code(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> Vec<u8> {
        // HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return Vec::new() };
        for part in [id, b".", timestamp, b".", body] {
            mac.update(part);
        }
        mac.finalize().into_bytes().to_vec()
    }
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
    #[error("no signature of the scheme v1 fits the secret and the exact bytes of the body")]
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
    let code = key.code(id.as_bytes(), timestamp.as_bytes(), body);
    let fits = signatures
        .split(' ')
        .filter_map(|entry| entry.split_once(','))
        .filter(|(scheme, _)| *scheme == SCHEME)
        .fold(false, |fits, (_, claimed)| digest::same_base64(claimed, &code) | fits);
    if fits { Ok(()) } else { Err(VerifyError::Signature) }
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
