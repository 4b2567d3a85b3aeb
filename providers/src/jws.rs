//! JSON Web Signatures in compact form (RFC 7515): `header.payload.signature`, each part in URL-safe base64 without
//! padding.
//!
//! Only the signature is looked at, over the received text. Claims such as `exp` and `iat` are the caller's matter:
//! payment providers leave `exp` out, or write `iat` as a string, which ready-made JWT libraries refuse.

use serde_json::Value;

use crate::digest::{Hash, base64url, from_base64url, same};

/// Longest token that is read, bytes.
pub const TOKEN_LEN_MAX: usize = 256 * 1024;

/// The header that [`sign_hs256`] writes: `{"alg":"HS256","typ":"JWT"}`.
const HEADER_HS256: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// Why a text is no compact JWS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not three parts.
    #[error("a token has three parts with dots between them; this one has {0}")]
    Parts(usize),
    /// A part is not canonical URL-safe base64 without padding.
    #[error("the token's {0} is not URL-safe base64 without padding")]
    Base64(&'static str),
    /// The header is no JSON object with a text `alg`.
    #[error("the token's header is not a JSON object with \"alg\"")]
    Header,
    /// More than [`TOKEN_LEN_MAX`] bytes.
    #[error("the token is longer than {TOKEN_LEN_MAX} bytes")]
    TooLong,
}

/// A token taken apart. Nothing in it is proved yet.
#[derive(Clone, Debug)]
pub struct Compact<'a> {
    /// What is signed: the text `header.payload` as it was received.
    pub signed: &'a str,
    /// The header's `alg`, as the sender wrote it (`HS256`, `RS256`, `none`, …).
    pub alg: String,
    /// The payload's bytes.
    pub payload: Vec<u8>,
    /// The signature's bytes; empty for `none`.
    pub signature: Vec<u8>,
}

impl<'a> Compact<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`JwsError`].
    pub fn parse(token: &'a str) -> Result<Compact<'a>, JwsError> {
        if token.len() > TOKEN_LEN_MAX {
            return Err(JwsError::TooLong);
        }
        let parts = || JwsError::Parts(token.bytes().filter(|byte| *byte == b'.').count().saturating_add(1));
        let (signed, signature) = token.rsplit_once('.').ok_or_else(parts)?;
        let (header, payload) = signed.split_once('.').ok_or_else(parts)?;
        if payload.contains('.') {
            return Err(parts());
        }
        let decode = |part, name| from_base64url(part).ok_or(JwsError::Base64(name));
        let header: Value =
            serde_json::from_slice(&decode(header, "header")?).map_err(|_| JwsError::Header)?;
        Ok(Compact {
            signed,
            alg: header.get("alg").and_then(Value::as_str).ok_or(JwsError::Header)?.to_owned(),
            payload: decode(payload, "payload")?,
            signature: decode(signature, "signature")?,
        })
    }

    /// Whether this is an HS256 token signed with `key`. Any other `alg` is refused, whatever its signature.
    #[must_use]
    pub fn is_hs256_of(&self, key: &[u8]) -> bool {
        self.alg == "HS256" && self.matches(Hash::Sha256, key)
    }

    /// Whether the signature is the HMAC of the signed text, whatever `alg` says: for diagnosis only.
    #[must_use]
    pub fn matches(&self, hash: Hash, key: &[u8]) -> bool {
        !key.is_empty() && same(&self.signature, &hash.hmac(key, self.signed.as_bytes()))
    }
}

/// An HS256 token over a payload.
#[must_use]
pub fn sign_hs256(payload: &[u8], key: &[u8]) -> String {
    let mut token = format!("{HEADER_HS256}.{}", base64url(payload));
    let signature = Hash::Sha256.hmac(key, token.as_bytes());
    token.push('.');
    token.push_str(&base64url(&signature));
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515, appendix A.1; its key is base64url of 64 bytes.
    const RFC_TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const RFC_KEY: &str =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

    #[test]
    fn the_standards_example() {
        let key = from_base64url(RFC_KEY).unwrap();
        let token = Compact::parse(RFC_TOKEN).unwrap();
        assert_eq!(token.alg, "HS256");
        assert!(token.payload.starts_with(b"{\"iss\":\"joe\""));
        assert!(token.is_hs256_of(&key));
        assert!(!token.is_hs256_of(RFC_KEY.as_bytes()));
        assert!(!token.is_hs256_of(b""));
    }

    #[test]
    fn an_empty_key_proves_nothing() {
        let token = sign_hs256(b"{}", b"");
        assert!(!Compact::parse(&token).unwrap().is_hs256_of(b""));
    }

    #[test]
    fn only_hs256_counts() {
        let none = format!("{}.{}.", base64url(br#"{"alg":"none","typ":"JWT"}"#), base64url(b"{}"));
        let token = Compact::parse(&none).unwrap();
        assert_eq!((token.alg.as_str(), token.signature.len()), ("none", 0));
        assert!(!token.is_hs256_of(b"key"));

        let signed = format!("{}.{}", base64url(br#"{"alg":"HS512"}"#), base64url(b"{}"));
        let other = format!("{signed}.{}", base64url(&Hash::Sha256.hmac(b"key", signed.as_bytes())));
        let token = Compact::parse(&other).unwrap();
        assert!(token.matches(Hash::Sha256, b"key"));
        assert!(!token.is_hs256_of(b"key"));
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(Compact::parse("").unwrap_err(), JwsError::Parts(1));
        assert_eq!(Compact::parse("e30.e30").unwrap_err(), JwsError::Parts(2));
        assert_eq!(Compact::parse("e30.e30.e30.e30").unwrap_err(), JwsError::Parts(4));
        assert_eq!(Compact::parse("e30.e30.e30").unwrap_err(), JwsError::Header);
        assert_eq!(Compact::parse("e30=.e30.e30").unwrap_err(), JwsError::Base64("header"));
        assert_eq!(
            Compact::parse(&format!("{HEADER_HS256}.e3+.x")).unwrap_err(),
            JwsError::Base64("payload")
        );
        assert_eq!(Compact::parse(&"x".repeat(TOKEN_LEN_MAX + 1)).unwrap_err(), JwsError::TooLong);
    }

    proptest::proptest! {
        #[test]
        fn what_is_signed_is_read_back(payload: Vec<u8>, key in proptest::collection::vec(1_u8.., 1..80)) {
            let text = sign_hs256(&payload, &key);
            let token = Compact::parse(&text).unwrap();
            proptest::prop_assert!(token.is_hs256_of(&key));
            proptest::prop_assert_eq!(&token.payload, &payload);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = Compact::parse(&text);
        }
    }
}
