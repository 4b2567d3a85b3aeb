//! Functions on texts: `fmt`, `each`, `key_fmt`, `value_fmt`.

use super::reader::{Node, Read};
use crate::digest::Hash;
use crate::form;
use crate::nested;

/// Most functions in a row.
const FUNCTIONS_MAX: usize = 8;
/// Longest text that a function may make, bytes: percent-encoding triples.
const OUTPUT_LEN_MAX: usize = 3 * 1024 * 1024;

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Trim,
    Lower,
    Upper,
    Fixed2,
    Strip0,
    UrlencodePhp,
    UrlencodeRfc3986,
    Urldecode,
    Digest(Hash),
}

/// Functions by the word of the document.
const WORDS: [(&str, Function); 11] = [
    ("trim", Function::Trim),
    ("lower", Function::Lower),
    ("upper", Function::Upper),
    ("fixed2", Function::Fixed2),
    ("strip0", Function::Strip0),
    ("urlencode_php", Function::UrlencodePhp),
    ("urlencode_rfc3986", Function::UrlencodeRfc3986),
    ("urldecode", Function::Urldecode),
    ("md5", Function::Digest(Hash::Md5)),
    ("sha1", Function::Digest(Hash::Sha1)),
    ("sha256", Function::Digest(Hash::Sha256)),
];

impl Function {
    /// The word of the document.
    pub(super) fn word(self) -> &'static str {
        WORDS.iter().find(|(_, function)| *function == self).map_or("", |(word, _)| word)
    }

    fn apply(self, text: &str) -> Result<String, String> {
        Ok(match self {
            Function::Trim => text.trim().to_owned(),
            Function::Lower => text.to_lowercase(),
            Function::Upper => text.to_uppercase(),
            Function::Fixed2 => fixed2(text)?,
            Function::Strip0 => strip0(text)?,
            Function::UrlencodePhp => form::encode_php(text),
            Function::UrlencodeRfc3986 => form::encode_percent(text),
            Function::Urldecode => {
                String::from_utf8(nested::decode(text.as_bytes())).map_err(|_| "decodes to no UTF-8 text")?
            }
            Function::Digest(hash) => hash.hex(text.as_bytes()),
        })
    }
}

pub(super) fn list(node: Node<'_, '_>) -> Read<Vec<Function>> {
    let functions = node.each(|item| item.word(&WORDS))?;
    if functions.len() > FUNCTIONS_MAX {
        return Err(node.problem(format!("has more than {FUNCTIONS_MAX} functions")));
    }
    Ok(functions)
}

/// Applies functions from left to right.
pub(super) fn apply(functions: &[Function], text: &str) -> Result<String, String> {
    let mut text = text.to_owned();
    for function in functions {
        text = function.apply(&text)?;
        if text.len() > OUTPUT_LEN_MAX {
            return Err(format!("becomes longer than {OUTPUT_LEN_MAX} bytes"));
        }
    }
    Ok(text)
}

/// A decimal taken apart: sign, digits before and after the point.
fn decimal(text: &str) -> Result<(&str, &str, &str), String> {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let fits = !whole.is_empty() && digits(whole) && digits(fraction) && !rest.ends_with('.');
    fits.then_some((sign, whole, fraction)).ok_or_else(|| "is no decimal number".to_owned())
}

fn fixed2(text: &str) -> Result<String, String> {
    let (sign, whole, fraction) = decimal(text)?;
    let significant = fraction.trim_end_matches('0');
    if significant.len() > 2 {
        return Err("has more than two decimals".to_owned());
    }
    Ok(format!("{sign}{whole}.{significant:0<2}"))
}

fn strip0(text: &str) -> Result<String, String> {
    let (sign, whole, fraction) = decimal(text)?;
    let significant = fraction.trim_end_matches('0');
    let point = if significant.is_empty() { "" } else { "." };
    Ok(format!("{sign}{whole}{point}{significant}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for (text, fixed, stripped) in [
            ("10.5", "10.50", "10.5"),
            ("10.50", "10.50", "10.5"),
            ("10", "10.00", "10"),
            ("10.00", "10.00", "10"),
            ("1000000", "1000000.00", "1000000"),
            ("-0.100", "-0.10", "-0.1"),
        ] {
            assert_eq!(fixed2(text).as_deref(), Ok(fixed));
            assert_eq!(strip0(text).as_deref(), Ok(stripped));
        }
        for text in ["", ".", "1.", "1e3", "1,5", "+1", "--1"] {
            assert!(fixed2(text).is_err() && strip0(text).is_err(), "{text}");
        }
        assert!(fixed2("1.005").is_err());
    }

    #[test]
    fn encodings_differ_where_they_should() {
        let text = "a b~*+é";
        assert_eq!(apply(&[Function::UrlencodePhp], text).as_deref(), Ok("a+b%7E%2A%2B%C3%A9"));
        assert_eq!(apply(&[Function::UrlencodeRfc3986], text).as_deref(), Ok("a%20b~%2A%2B%C3%A9"));
        assert_eq!(apply(&[Function::UrlencodePhp, Function::Urldecode], text).as_deref(), Ok(text));
    }
}
