//! Which headers an endpoint may add to its requests.

/// Longest name, bytes.
pub const NAME_MAX: usize = 100;
/// Longest value, bytes.
pub const VALUE_MAX: usize = 2_048;

/// Names that belong to the connection, to the body or to the client (RFC 9110, sections 7.2, 7.6 and 10.1).
const RESERVED: &[&str] = &[
    "accept-encoding",
    "connection",
    "date",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];
/// Beginnings of names that belong to the body, to the signature, to Kassir, to a proxy.
const RESERVED_PREFIXES: &[&str] = &["content-", "webhook-", "kassir-", "proxy-", "sec-"];

/// Why a custom header is refused. The value is never shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderRefusal {
    /// No name of a header.
    #[error("a header's name has letters, digits and - _ . only, at most {NAME_MAX}")]
    Name,
    /// The name is used otherwise.
    #[error("the header {0} is set by Kassir or by the connection and can't be set here")]
    Reserved(String),
    /// The value can't be sent.
    #[error(
        "a header's value has printable ASCII characters only, no space at its ends, at most {VALUE_MAX}"
    )]
    Value,
}

/// Judges a custom header of an endpoint.
///
/// # Errors
/// [`HeaderRefusal`] in words for the person who gave it.
pub fn check_custom_header(name: &str, value: &str) -> Result<(), HeaderRefusal> {
    check_name(name)?;
    let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if value.is_empty() || value.len() > VALUE_MAX || !printable || value.trim() != value {
        return Err(HeaderRefusal::Value);
    }
    Ok(())
}

/// Judges its name alone: whatever way a header came into the configuration, it never stands in for one of ours.
pub(super) fn check_name(name: &str) -> Result<(), HeaderRefusal> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(plain) {
        return Err(HeaderRefusal::Name);
    }
    // Gateways take an underscore for a hyphen.
    let lower = name.to_ascii_lowercase().replace('_', "-");
    let reserved = RESERVED.contains(&lower.as_str())
        || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix));
    if reserved { Err(HeaderRefusal::Reserved(lower)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_set() {
        for (name, value) in
            [("Authorization", "Bearer x y"), ("X-Api-Key", "k"), ("cookie", "a=b"), ("x_bot", "~")]
        {
            assert_eq!(check_custom_header(name, value), Ok(()), "{name}");
        }
        for name in [
            "Host",
            "content-length",
            "Content-Type",
            "content_length",
            "webhook-signature",
            "Webhook_Id",
            "Kassir-Replay",
            "transfer-encoding",
            "Connection",
            "TE",
            "Proxy-Authorization",
            "User-Agent",
        ] {
            assert!(matches!(check_custom_header(name, "v"), Err(HeaderRefusal::Reserved(_))), "{name}");
        }
        for name in ["", "a b", "a:b", "a\r\nb", "é", ":path"] {
            assert_eq!(check_custom_header(name, "v"), Err(HeaderRefusal::Name), "{name}");
        }
        for value in ["", " a", "a ", "a\r\nb: c", "a\0", "é", "\u{7f}"] {
            assert_eq!(check_custom_header("x-a", value), Err(HeaderRefusal::Value), "{value:?}");
        }
    }
}
