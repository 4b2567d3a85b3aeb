//! Bodies that a provider may have signed before something on the way altered them: for the diagnosis of a signature
//! that does not fit. Never part of a proof.

use serde_json::Value;

use crate::json;

/// Longest body whose variants are made, bytes: diagnosis must stay cheap for whoever sends rubbish.
pub const BODY_LEN_MAX: usize = 64 * 1024;

/// The variants of a signed JSON body, each with what happened to it on the way, in words.
#[must_use]
pub fn json_bodies(body: &[u8]) -> Vec<(Vec<u8>, &'static str)> {
    const REWRITTEN: &str = "matches after rewriting the JSON: a proxy or framework reformatted the body";
    let mut all = Vec::new();
    if body.len() > BODY_LEN_MAX {
        return all;
    }
    let trimmed = body.trim_ascii();
    if trimmed.len() != body.len() {
        let words = "matches without white space at the ends: something on the way added it";
        all.push((trimmed.to_vec(), words));
    }
    for end in ["\n", "\r\n"] {
        let words = "matches with a line end: the body was trimmed on the way";
        all.push(([body, end.as_bytes()].concat(), words));
    }
    if let Some(rest) = body.strip_prefix("\u{feff}".as_bytes()) {
        let words = "matches without the byte order mark that something on the way added";
        all.push((rest.to_vec(), words));
    }
    if let Some(raw) = json::raw_body(body)
        && let Ok(value) = serde_json::from_str::<Value>(raw.get())
    {
        let plain = value.to_string();
        let escaped = escaped(&plain);
        for text in [plain.replace('/', "\\/"), escaped.replace('/', "\\/"), escaped, plain] {
            if text.as_bytes() != body {
                all.push((text.into_bytes(), REWRITTEN));
            }
        }
    }
    all
}

/// JSON text with everything that is not ASCII as `\uXXXX`, as PHP and Python write it by default.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_mul(2));
    let mut units = [0; 2];
    for letter in text.chars() {
        if letter.is_ascii() {
            out.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_alterations() {
        let texts = |body: &str| -> Vec<String> {
            json_bodies(body.as_bytes())
                .into_iter()
                .map(|(text, _)| String::from_utf8(text).unwrap())
                .collect()
        };
        let found = texts(" {\"b\": \"Чай/😀\", \"a\": 1.50}");
        for wanted in [
            "{\"b\": \"Чай/😀\", \"a\": 1.50}",
            "{\"b\":\"Чай/😀\",\"a\":1.50}",
            "{\"b\":\"\\u0427\\u0430\\u0439/\\ud83d\\ude00\",\"a\":1.50}",
            "{\"b\":\"\\u0427\\u0430\\u0439\\/\\ud83d\\ude00\",\"a\":1.50}",
        ] {
            assert!(found.iter().any(|text| text == wanted), "{wanted} is not in {found:?}");
        }
        assert!(json_bodies(&vec![b' '; BODY_LEN_MAX + 1]).is_empty());
    }
}
