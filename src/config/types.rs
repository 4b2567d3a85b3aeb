//! Types of configuration values.

use std::time::Duration;

use kassir_providers::Secret;
use serde::{Deserialize, Deserializer, de::Error as _};

/// Shortest admin token, characters. One that is shorter than [`TOKEN_LEN_SAFE`] is warned of.
const TOKEN_LEN_MIN: usize = 8;
/// Shortest admin token that is not warned of, characters.
pub const TOKEN_LEN_SAFE: usize = 20;

/// A duration: `500ms`, `15s`, `5m`, `4h`, `90d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// Whole milliseconds.
    #[must_use]
    pub fn ms(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }

    /// Whole milliseconds, unsigned.
    #[must_use]
    pub fn ms_u64(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let wrong = || {
            format!("{text:?} is no duration: expected a number and a unit, such as 500ms, 15s, 5m, 4h, 90d")
        };
        let span: jiff::Span = text.parse().map_err(|_| wrong())?;
        let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
        Duration::try_from(duration).map(Span).map_err(|_| wrong())
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A duration that may be none: `off` or nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(pub Option<Span>);

impl Limit {
    /// Whole milliseconds; `None` without a limit.
    #[must_use]
    pub fn ms(self) -> Option<i64> {
        self.0.map(Span::ms)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Limit, D::Error> {
        let text = String::deserialize(deserializer)?;
        if matches!(text.trim(), "off" | "0") {
            return Ok(Limit(None));
        }
        let span: Span = text.parse().map_err(|error| D::Error::custom(format!("{error}, or off")))?;
        Ok(Limit(Some(span).filter(|span| !span.0.is_zero())))
    }
}

/// An `http://` or `https://` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
        let text = String::deserialize(deserializer)?;
        let url = url::Url::parse(&text)
            .map_err(|error| D::Error::custom(format!("{text:?} is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(D::Error::custom(format!("{text:?} must start with https:// or http://")));
        }
        Ok(Url(text))
    }
}

pub(super) fn required_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

pub(super) fn any_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    String::deserialize(deserializer).map(|text| Some(Secret::new(text)))
}

pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() < TOKEN_LEN_MIN {
        return Err(D::Error::custom(format!("must have at least {TOKEN_LEN_MIN} characters")));
    }
    Ok(Some(Secret::new(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        for (text, ms) in
            [("500ms", 500), ("15s", 15_000), ("5m", 300_000), ("24h", 86_400_000), ("90d", 7_776_000_000)]
        {
            assert_eq!(text.parse::<Span>().map(Span::ms), Ok(ms), "{text}");
        }
        for text in ["", "15", "-5s", "s", "1y", "soon"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
