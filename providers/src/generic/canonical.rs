//! JSON text in one exact form, for schemes that sign a rewritten body.

use std::fmt::Write as _;

use serde_json::Value;

use super::envelope::text;
use super::scheme::Canonical;

/// Writes a value as the rules say.
pub(super) fn write(rules: &Canonical<'_>, value: &Value) -> String {
    let mut out = String::new();
    value_into(rules, value, true, &mut out);
    out
}

fn value_into(rules: &Canonical<'_>, value: &Value, is_top: bool, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> =
                map.iter().filter(|(name, _)| !is_top || !rules.exclude.contains(&name.as_str())).collect();
            if rules.sort {
                members.sort_by_key(|(name, _)| *name);
            }
            out.push('{');
            for (at, (name, member)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                string(rules, name, out);
                out.push(':');
                value_into(rules, member, false, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                value_into(rules, item, false, out);
            }
            out.push(']');
        }
        Value::String(text) => string(rules, text, out),
        Value::Bool(switch) if rules.stringify => string(rules, if *switch { "1" } else { "" }, out),
        Value::Number(_) | Value::Null if rules.stringify => {
            string(rules, &text(value).unwrap_or_default(), out);
        }
        other => out.push_str(&other.to_string()),
    }
}

fn string(rules: &Canonical<'_>, text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '/' if rules.escape_slash => out.push_str("\\/"),
            letter if letter < ' ' || (rules.escape_unicode && !letter.is_ascii()) => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    // Writing to a text can't fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generic::pointer::Pointer;

    #[test]
    fn escapes_and_numbers() {
        let value: Value =
            serde_json::from_str(r#"{"b":[1.50,true,null,false],"a":"é/\u0001\"𝄞","x":1}"#).unwrap();
        let mut rules = Canonical {
            from: Pointer::parse("/body").unwrap(),
            exclude: vec!["x"],
            sort: true,
            stringify: true,
            escape_slash: true,
            escape_unicode: true,
        };
        assert_eq!(write(&rules, &value), r#"{"a":"\u00e9\/\u0001\"\ud834\udd1e","b":["1.50","1","",""]}"#);
        (rules.sort, rules.stringify, rules.escape_slash, rules.escape_unicode) =
            (false, false, false, false);
        assert_eq!(write(&rules, &value), "{\"b\":[1.50,true,null,false],\"a\":\"é/\\u0001\\\"𝄞\"}");
    }
}
