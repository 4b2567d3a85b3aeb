//! JSON helpers: bodies kept to the byte, numbers kept as their text.

use serde_json::Value;
use serde_json::value::RawValue;

/// A value as raw JSON.
#[must_use]
pub fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).unwrap_or_default()
}

/// A JSON body to the byte (white space around it aside), or nothing when it is not JSON.
#[must_use]
pub fn raw_body(body: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(body).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_json::from_str::<&RawValue>(text).ok().map(ToOwned::to_owned)
}

/// The exact text of a number, or a string's text: amounts and ids that come as either.
#[must_use]
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// [`text`] of an object's member.
#[must_use]
pub fn member(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(text)
}

/// The first name that an object of this JSON text repeats at any depth: two readers may see two different bodies.
#[must_use]
pub fn duplicate_name(body: &str) -> Option<String> {
    struct Names(Option<String>);
    impl<'de> serde::de::Visitor<'de> for &mut Names {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("JSON")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let mut seen = std::collections::HashSet::new();
            while let Some(name) = map.next_key::<String>()? {
                map.next_value_seed(&mut *self)?;
                if !seen.insert(name.clone()) && self.0.is_none() {
                    self.0 = Some(name);
                }
            }
            Ok(())
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            while seq.next_element_seed(&mut *self)?.is_some() {}
            Ok(())
        }
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
    }
    impl<'de> serde::de::DeserializeSeed<'de> for &mut Names {
        type Value = ();
        fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_any(self)
        }
    }
    let mut names = Names(None);
    let mut deserializer = serde_json::Deserializer::from_str(body);
    serde::de::DeserializeSeed::deserialize(&mut names, &mut deserializer).ok()?;
    names.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_text() {
        let value: Value = serde_json::from_str(r#"{"a":10.50,"b":3355303842,"c":"x","d":null}"#).unwrap();
        assert_eq!(member(&value, "a").as_deref(), Some("10.50"));
        assert_eq!(member(&value, "b").as_deref(), Some("3355303842"));
        assert_eq!(member(&value, "c").as_deref(), Some("x"));
        assert_eq!(member(&value, "d"), None);
    }

    #[test]
    fn bodies_are_kept_to_the_byte() {
        let body = "{ \"b\" : 1.0, \"a\": [ ] }";
        assert_eq!(raw_body(body.as_bytes()).unwrap().get(), body);
        assert!(raw_body(b"{").is_none());
    }

    #[test]
    fn duplicate_names_are_seen_at_any_depth() {
        assert_eq!(duplicate_name(r#"{"a":1,"b":{"c":1,"c":2}}"#).as_deref(), Some("c"));
        assert_eq!(duplicate_name(r#"{"a":1.5,"b":[{"a":1},{"a":null}]}"#), None);
    }
}
