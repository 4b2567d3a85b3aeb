//! `application/x-www-form-urlencoded`, read strictly: order, duplicates and the undecoded text are kept.

use serde_json::value::RawValue;

/// Most fields that a form may have.
pub const FIELDS_MAX: usize = 512;

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormField {
    /// Decoded name.
    pub name: String,
    /// Decoded value.
    pub value: String,
    /// The value as it stood on the wire.
    pub raw_value: String,
}

/// A form's fields in order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    fields: Vec<FormField>,
}

/// Why a form can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A `%` without two hex digits.
    #[error("a percent sign in the form is not followed by two hex digits")]
    Percent,
    /// The decoded text is not UTF-8.
    #[error("the form is not UTF-8")]
    Utf8,
    /// Too many fields.
    #[error("the form has more than {FIELDS_MAX} fields")]
    TooMany,
}

impl Form {
    /// Reads a form strictly: `+` is a space, `%XX` a byte, the result must be UTF-8.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn parse(bytes: &[u8]) -> Result<Form, FormError> {
        let text = std::str::from_utf8(bytes).map_err(|_| FormError::Utf8)?;
        let mut fields = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if fields.len() >= FIELDS_MAX {
                return Err(FormError::TooMany);
            }
            let (raw_name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
            fields.push(FormField {
                name: decode(raw_name, Plus::Space)?,
                value: decode(raw_value, Plus::Space)?,
                raw_value: raw_value.to_owned(),
            });
        }
        Ok(Form { fields })
    }

    /// The fields in order of arrival.
    #[must_use]
    pub fn fields(&self) -> &[FormField] {
        &self.fields
    }

    /// The value of the first field of exactly that name; an empty value counts as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|field| field.name == name)?;
        Some(field.value.as_str()).filter(|value| !value.is_empty())
    }

    /// The first field whose name is equal but for the case of ASCII letters.
    #[must_use]
    pub fn find_ignore_case(&self, name: &str) -> Option<&FormField> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// The first name that occurs more than once.
    #[must_use]
    pub fn duplicate(&self) -> Option<&str> {
        let mut names: Vec<&str> = self.fields.iter().map(|field| field.name.as_str()).collect();
        names.sort_unstable();
        names.windows(2).find_map(|pair| match pair {
            [a, b] if a == b => Some(*a),
            _ => None,
        })
    }

    /// The form as a JSON object of strings; of a repeated name the first value is kept.
    #[must_use]
    pub fn payload(&self) -> Box<RawValue> {
        let mut object = serde_json::Map::new();
        for field in &self.fields {
            object
                .entry(field.name.clone())
                .or_insert_with(|| serde_json::Value::String(field.value.clone()));
        }
        crate::json::raw(&serde_json::Value::Object(object))
    }
}

/// What a `+` decodes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plus {
    /// A space, as forms do.
    Space,
    /// Itself, as plain percent-encoding does.
    Plus,
}

/// Decodes percent-encoding strictly.
///
/// # Errors
/// [`FormError`] on a stray `%` or bytes that are not UTF-8.
pub fn decode(text: &str, plus: Plus) -> Result<String, FormError> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = bytes.next().and_then(hex_digit).ok_or(FormError::Percent)?;
                let low = bytes.next().and_then(hex_digit).ok_or(FormError::Percent)?;
                out.push(high << 4 | low);
            }
            b'+' if plus == Plus::Space => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8(out).map_err(|_| FormError::Utf8)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Encodes a value for a form or query: unreserved characters stay, a space becomes `+`, all else `%XX` in upper
/// case.
#[must_use]
pub fn encode(text: &str) -> String {
    encode_with(text, "+")
}

/// Encodes like PHP's `rawurlencode` and JavaScript's stricter relatives: a space becomes `%20`.
#[must_use]
pub fn encode_percent(text: &str) -> String {
    encode_with(text, "%20")
}

/// Encodes like PHP's `urlencode`: as [`encode`], but `~` becomes `%7E`.
#[must_use]
pub fn encode_php(text: &str) -> String {
    encode(text).replace('~', "%7E")
}

fn encode_with(text: &str, space: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_mul(2));
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push_str(space),
            other => {
                out.push('%');
                for nibble in [other >> 4, other & 15] {
                    let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                    out.push(digit.to_ascii_uppercase());
                }
            }
        }
    }
    out
}

/// Joins names and values into a form body or query.
#[must_use]
pub fn build<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    build_with(fields, encode)
}

/// Joins names and values into a query whose spaces are `%20`.
#[must_use]
pub fn build_percent<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    build_with(fields, encode_percent)
}

fn build_with<'a>(
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    encode: fn(&str) -> String,
) -> String {
    let mut out = String::new();
    for (name, value) in fields {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(&encode(name));
        out.push('=');
        out.push_str(&encode(value));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_duplicates_and_wire_text_are_kept() {
        let form = Form::parse("b=1&a=%D0%98+x&b=2&empty=".as_bytes()).unwrap();
        let names: Vec<_> = form.fields().iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["b", "a", "b", "empty"]);
        assert_eq!(form.get("a"), Some("И x"));
        assert_eq!(form.fields()[1].raw_value, "%D0%98+x");
        assert_eq!(form.get("empty"), None);
        assert_eq!(form.duplicate(), Some("b"));
        assert_eq!(form.payload().get(), r#"{"b":"1","a":"И x","empty":""}"#);
    }

    #[test]
    fn refuses_what_is_not_strictly_encoded() {
        assert_eq!(Form::parse(b"a=%"), Err(FormError::Percent));
        assert_eq!(Form::parse(b"a=%4"), Err(FormError::Percent));
        assert_eq!(Form::parse(b"a=%zz"), Err(FormError::Percent));
        assert_eq!(Form::parse(b"a=%FF"), Err(FormError::Utf8));
        assert_eq!(Form::parse(b"a=\xFF"), Err(FormError::Utf8));
    }

    proptest::proptest! {
        #[test]
        fn encoding_round_trips(text in ".*") {
            proptest::prop_assert_eq!(decode(&encode(&text), Plus::Space), Ok(text.clone()));
            proptest::prop_assert_eq!(decode(&encode_percent(&text), Plus::Plus), Ok(text));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Form::parse(&bytes);
        }
    }
}
