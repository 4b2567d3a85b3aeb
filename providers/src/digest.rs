//! Digests, HMACs and signatures, each once; comparisons in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Digest as _;
use subtle::ConstantTimeEq as _;

/// Hash functions that occur in providers' protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// MD5 (RFC 1321): broken as a signature in general; providers still use it with a secret inside.
    Md5,
    /// RIPEMD-160.
    Ripemd160,
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// SHA3-256.
    Sha3_256,
}

impl Hash {
    /// Name for a person.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Hash::Md5 => "MD5",
            Hash::Ripemd160 => "RIPEMD160",
            Hash::Sha1 => "SHA-1",
            Hash::Sha224 => "SHA-224",
            Hash::Sha256 => "SHA-256",
            Hash::Sha384 => "SHA-384",
            Hash::Sha512 => "SHA-512",
            Hash::Sha3_256 => "SHA3-256",
        }
    }

    /// The digest of a message.
    #[must_use]
    pub fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Hash::Md5 => md5::Md5::digest(message).to_vec(),
            Hash::Ripemd160 => ripemd::Ripemd160::digest(message).to_vec(),
            Hash::Sha1 => sha1::Sha1::digest(message).to_vec(),
            Hash::Sha224 => sha2::Sha224::digest(message).to_vec(),
            Hash::Sha256 => sha2::Sha256::digest(message).to_vec(),
            Hash::Sha384 => sha2::Sha384::digest(message).to_vec(),
            Hash::Sha512 => sha2::Sha512::digest(message).to_vec(),
            Hash::Sha3_256 => sha3::Sha3_256::digest(message).to_vec(),
        }
    }

    /// The digest in lower-case hex.
    #[must_use]
    pub fn hex(self, message: &[u8]) -> String {
        hex::encode(self.digest(message))
    }

    /// The HMAC (RFC 2104) of a message.
    #[must_use]
    pub fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        macro_rules! hmac {
            ($hash:ty) => {
                Hmac::<$hash>::new_from_slice(key)
                    .map(|mac| mac.chain_update(message).finalize().into_bytes().to_vec())
                    .unwrap_or_default()
            };
        }
        match self {
            Hash::Md5 => hmac!(md5::Md5),
            Hash::Ripemd160 => hmac!(ripemd::Ripemd160),
            Hash::Sha1 => hmac!(sha1::Sha1),
            Hash::Sha224 => hmac!(sha2::Sha224),
            Hash::Sha256 => hmac!(sha2::Sha256),
            Hash::Sha384 => hmac!(sha2::Sha384),
            Hash::Sha512 => hmac!(sha2::Sha512),
            Hash::Sha3_256 => hmac!(sha3::Sha3_256),
        }
    }
}

/// Whether two byte strings are equal, in constant time; empty ones never are, so that a missing digest can't match.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    !a.is_empty() && bool::from(a.ct_eq(b))
}

/// Whether hex text of either case is this digest, in constant time.
#[must_use]
pub fn same_hex(claimed: &str, digest: &[u8]) -> bool {
    hex::decode(claimed).is_ok_and(|claimed| same(&claimed, digest))
}

/// Whether standard base64 text (with padding) is this digest, in constant time.
#[must_use]
pub fn same_base64(claimed: &str, digest: &[u8]) -> bool {
    STANDARD.decode(claimed).is_ok_and(|claimed| same(&claimed, digest))
}

/// Standard base64 with padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Standard base64 with padding, decoded.
#[must_use]
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Standard base64, decoded; padding may be left out, but is not wrong where it is there.
#[must_use]
pub fn from_base64_any(text: &str) -> Option<Vec<u8>> {
    let engine = if text.contains('=') { STANDARD } else { STANDARD_NO_PAD };
    engine.decode(text).ok()
}

/// The same for URL-safe base64.
#[must_use]
pub fn from_base64url_any(text: &str) -> Option<Vec<u8>> {
    let engine = if text.contains('=') { URL_SAFE } else { URL_SAFE_NO_PAD };
    engine.decode(text).ok()
}

/// URL-safe base64 without padding, as in JWS.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// URL-safe base64 without padding, decoded.
#[must_use]
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_the_standards() {
        assert_eq!(Hash::Md5.hex(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(Hash::Ripemd160.hex(b"abc"), "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc");
        assert_eq!(Hash::Sha1.hex(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(
            Hash::Sha3_256.hex(b"abc"),
            "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"
        );
        // RFC 4231, test case 2.
        assert_eq!(
            hex::encode(Hash::Sha256.hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn nothing_equals_an_empty_digest() {
        assert!(!same(b"", b""));
        assert!(!same_hex("", b""));
        assert!(!same_base64("", b""));
        assert!(same_hex("AbCd", &[0xab, 0xcd]));
    }
}
