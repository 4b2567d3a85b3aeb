//! Ids as people see them: a prefix that says what it is, and a UUIDv7 (RFC 9562) in 26 characters of Crockford's
//! base32, lower case. Ids of one kind sort by the time they were made; none contains a full stop, as Standard
//! Webhooks demands of `webhook-id`.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const TEXT_LEN: usize = 26;

/// The digit of each letter; [`NO_DIGIT`] for what is none.
const DIGITS: [u8; 256] = digits();
const NO_DIGIT: u8 = u8::MAX;

#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "at compile time; indices below 32"
)]
const fn digits() -> [u8; 256] {
    let mut digits = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < ALPHABET.len() {
        digits[ALPHABET[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
}

/// When a UUIDv7 was made, Unix milliseconds: its first 48 bits.
#[must_use]
pub fn made_at(id: Uuid) -> i64 {
    i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX)
}

/// 128 bits as 26 characters.
pub struct Encoded([u8; TEXT_LEN]);

impl Encoded {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Writes 128 bits as 26 characters.
#[must_use]
pub fn encode(id: Uuid) -> Encoded {
    let mut value = id.as_u128();
    let mut text = [b'0'; TEXT_LEN];
    for slot in text.iter_mut().rev() {
        let digit = usize::try_from(value & 31).unwrap_or(0);
        *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
        value >>= 5;
    }
    Encoded(text)
}

/// Reads what [`encode`] wrote; nothing else.
#[must_use]
pub fn decode(text: &str) -> Option<Uuid> {
    if text.len() != TEXT_LEN || text.as_bytes().first().is_none_or(|first| *first > b'7') {
        return None;
    }
    let mut value: u128 = 0;
    for byte in text.bytes() {
        let digit = DIGITS.get(usize::from(byte)).copied().filter(|digit| *digit != NO_DIGIT)?;
        value = value << 5 | u128::from(digit);
    }
    Some(Uuid::from_u128(value))
}

/// Text that is no id of the kind that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id that starts with {prefix}")]
pub struct IdError {
    /// The text as it came, cut off.
    pub text: String,
    /// The expected prefix.
    pub prefix: &'static str,
}

/// Reads an id out of a text without a copy of it.
struct Parsed<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = IdError>> serde::de::Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl $name {
            /// What its text starts with.
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                f.write_str(encode(self.0).as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix($prefix)
                    .and_then(decode)
                    .map($name)
                    .ok_or_else(|| IdError { text: text.chars().take(40).collect(), prefix: $prefix })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Parsed(std::marker::PhantomData))
            }
        }
    )*};
}

ids! {
    /// A merchant.
    MerchantId "mer_";
    /// An integration.
    IntegrationId "int_";
    /// An endpoint.
    EndpointId "ep_";
    /// An event: the `webhook-id`.
    EventId "evt_";
    /// A delivery.
    DeliveryId "dlv_";
    /// A notification.
    NotificationId "ntf_";
    /// A bulk replay.
    ReplayId "rpl_";
    /// An API token.
    TokenId "tok_";
    /// A job of the queue that is no delivery.
    JobId "job_";
    /// An entry of the audit log.
    AuditId "aud_";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_sorts_like_the_id_and_comes_back() {
        let low = MerchantId(Uuid::from_u128(1));
        let high = MerchantId(Uuid::from_u128(u128::MAX));
        assert_eq!(low.to_string(), "mer_00000000000000000000000001");
        assert_eq!(high.to_string(), "mer_7zzzzzzzzzzzzzzzzzzzzzzzzz");
        assert!(low.to_string() < high.to_string());
        assert_eq!(high.to_string().parse(), Ok(high));
        for wrong in ["", "mer_", "evt_00000000000000000000000001", "mer_8zzzzzzzzzzzzzzzzzzzzzzzzz", "mer_i"]
        {
            assert!(wrong.parse::<MerchantId>().is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_id_comes_back(bits: u128) {
            proptest::prop_assert_eq!(decode(encode(Uuid::from_u128(bits)).as_str()), Some(Uuid::from_u128(bits)));
        }
    }
}
