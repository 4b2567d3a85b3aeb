//! Foreign bytes as text that harms neither a terminal, nor a log, nor a reader.

/// The beginning of foreign bytes as text of at most `max` bytes: what is no UTF-8 becomes U+FFFD; control characters
/// (but for line feed and tab) and those that change the direction of writing are written as `\u{…}`. Angle brackets
/// stay: whoever writes HTML escapes them.
#[must_use]
pub fn harmless(bytes: &[u8], max: usize) -> String {
    let head = bytes.get(..max.saturating_add(4)).unwrap_or(bytes);
    let mut text = String::with_capacity(head.len().min(max));
    for character in String::from_utf8_lossy(head).chars() {
        let shown = if is_harmful(character) {
            character.escape_unicode().to_string()
        } else {
            character.to_string()
        };
        if text.len() + shown.len() > max {
            break;
        }
        text.push_str(&shown);
    }
    text
}

fn is_harmful(character: char) -> bool {
    let control = character.is_control() && character != '\n' && character != '\t';
    control
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_cuts() {
        for (bytes, max, expected) in [
            (b"ok\n\tfine" as &[u8], 100, "ok\n\tfine"),
            (b"\x1b[31mred\x00", 100, "\\u{1b}[31mred\\u{0}"),
            ("да\u{202e}".as_bytes(), 100, "да\\u{202e}"),
            (b"\xff\xfe", 100, "\u{fffd}\u{fffd}"),
            ("да".as_bytes(), 3, "д"),
            (b"\x1b\x1b", 8, "\\u{1b}"),
            (b"abc", 0, ""),
        ] {
            assert_eq!(harmless(bytes, max), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>, max in 0_usize..200) {
            let text = harmless(&bytes, max);
            proptest::prop_assert!(text.len() <= max);
            proptest::prop_assert!(!text.chars().any(is_harmful));
        }
    }
}
