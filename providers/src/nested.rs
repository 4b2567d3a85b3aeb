//! Forms with nested names, read as PHP reads them: `items[0][sum]=9` makes `{"items":[{"sum":"9"}]}`.
//!
//! Unlike [`crate::form`] this reader is lenient: a bad percent sequence stays as it is, of equal names the last one
//! counts unless they are refused. Rules: <https://www.php.net/manual/en/function.parse-str.php>.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

/// Most pairs of a form.
pub const PAIRS_MAX: usize = 1000;
/// Most levels of a nested name.
pub const DEPTH_MAX: usize = 8;

/// What the bytes of a decoded name or value are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8.
    #[default]
    Utf8,
    /// Windows-1251.
    Windows1251,
}

/// How to read a form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether names are taken literally, without nesting.
    pub flat: bool,
    /// Whether equal names are refused; else the last one counts.
    pub refuse_equal: bool,
    /// Charset of names and values.
    pub charset: Charset,
}

/// Why a form can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NestedError {
    /// Too many pairs.
    #[error("the form has more than {PAIRS_MAX} pairs")]
    TooMany,
    /// A name is nested too deeply.
    #[error("a name of the form is nested more than {DEPTH_MAX} levels deep")]
    TooDeep,
    /// A name or value is not in the charset.
    #[error("the form is not in the expected charset")]
    Charset,
    /// A name occurs more than once.
    #[error("a name occurs more than once in the form")]
    Equal,
}

/// Reads a form or query into a JSON object of texts, arrays and objects.
///
/// # Errors
/// [`NestedError`].
pub fn parse(bytes: &[u8], style: Style) -> Result<Value, NestedError> {
    let mut root = Level::default();
    let mut names = HashSet::new();
    let mut count = 0_usize;
    for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        count = count.saturating_add(1);
        if count > PAIRS_MAX {
            return Err(NestedError::TooMany);
        }
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        let name = text(name, style.charset)?;
        let value = text(value.get(1..).unwrap_or_default(), style.charset)?;
        let path = if style.flat { None } else { nested(&name) };
        let fits = match path {
            Some(path) if path.len() > DEPTH_MAX => return Err(NestedError::TooDeep),
            Some(path) => root.set(&path, value),
            // A name that is empty is one, too: only inside brackets it asks for a number.
            None if name.is_empty() => true,
            None => root.set(&[name.as_str()], value),
        };
        if style.refuse_equal && (!fits || (!name.ends_with("[]") && !names.insert(name))) {
            return Err(NestedError::Equal);
        }
    }
    Ok(Value::Object(root.entries.into_iter().map(|(name, node)| (name, node.value())).collect()))
}

/// `+` is a space, `%XX` a byte; anything else stays.
#[must_use]
pub fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => out.push(b' '),
            b'%' => match after {
                [high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    out.push(digit(*high) << 4 | digit(*low));
                    rest = tail;
                }
                _ => out.push(byte),
            },
            other => out.push(other),
        }
    }
    out
}

fn digit(byte: u8) -> u8 {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0)
}

fn text(bytes: &[u8], charset: Charset) -> Result<String, NestedError> {
    let bytes = decode(bytes);
    match charset {
        Charset::Utf8 => String::from_utf8(bytes).map_err(|_| NestedError::Charset),
        Charset::Windows1251 => {
            bytes.into_iter().map(windows_1251).collect::<Option<_>>().ok_or(NestedError::Charset)
        }
    }
}

/// 0x80 to 0xbf of Windows-1251; the blank stands for 0x98, which means nothing.
const MIDDLE: &str = "ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–— ™љ›њќћџ\u{a0}ЎўЈ¤Ґ¦§Ё©Є«¬\u{ad}®Ї°±Ііґµ¶·ё№є»јЅѕї";

fn windows_1251(byte: u8) -> Option<char> {
    match byte {
        0..=0x7f => Some(char::from(byte)),
        0x98 => None,
        0x80..=0xbf => MIDDLE.chars().nth(usize::from(byte & 0x3f)),
        0xc0..=0xff => char::from_u32(0x410_u32.saturating_add(u32::from(byte & 0x3f))),
    }
}

/// The parts of a name with brackets: `a[b][]` → `a`, `b`, ``. `None` when the brackets make no nesting.
fn nested(name: &str) -> Option<Vec<&str>> {
    let (first, mut rest) = name.split_at_checked(name.find('[')?)?;
    if first.is_empty() || first.contains(']') {
        return None;
    }
    let mut path = vec![first];
    while !rest.is_empty() {
        let (key, after) = rest.strip_prefix('[')?.split_once(']')?;
        if key.contains('[') {
            return None;
        }
        path.push(key);
        rest = after;
    }
    Some(path)
}

enum Node {
    Text(String),
    Level(Level),
}

#[derive(Default)]
struct Level {
    entries: Vec<(String, Node)>,
    index: HashMap<String, usize>,
    next: u64,
}

impl Level {
    /// Puts a value where the path says. False when something else had to give way.
    fn set(&mut self, path: &[&str], value: String) -> bool {
        let Some((name, deeper)) = path.split_first() else { return true };
        let numbered;
        let name = if name.is_empty() {
            numbered = self.next.to_string();
            numbered.as_str()
        } else {
            name
        };
        if let Some(number) = number(name) {
            self.next = self.next.max(number.saturating_add(1));
        }
        let at = *self.index.entry(name.to_owned()).or_insert(self.entries.len());
        if at == self.entries.len() {
            let node =
                if deeper.is_empty() { Node::Text(String::new()) } else { Node::Level(Level::default()) };
            self.entries.push((name.to_owned(), node));
        }
        let Some((_, node)) = self.entries.get_mut(at) else { return true };
        match (node, deeper.is_empty()) {
            (Node::Level(level), false) => level.set(deeper, value),
            (Node::Text(text), true) => {
                let fresh = text.is_empty();
                *text = value;
                fresh
            }
            (node @ Node::Level(_), true) => {
                *node = Node::Text(value);
                false
            }
            (node @ Node::Text(_), false) => {
                let mut level = Level::default();
                level.set(deeper, value);
                *node = Node::Level(level);
                false
            }
        }
    }
}

/// A number in its shortest form, as PHP takes for an array's index.
fn number(text: &str) -> Option<u64> {
    let digits = text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) { None } else { text.parse().ok() }
}

impl Node {
    /// A level whose names are exactly 0, 1, … in order is an array.
    fn value(self) -> Value {
        let level = match self {
            Node::Text(text) => return Value::String(text),
            Node::Level(level) => level,
        };
        let is_list = level.entries.iter().enumerate().all(|(at, (name, _))| *name == at.to_string());
        let entries = level.entries.into_iter();
        if is_list {
            Value::Array(entries.map(|(_, node)| node.value()).collect())
        } else {
            Value::Object(entries.map(|(name, node)| (name, node.value())).collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn php(text: &str) -> String {
        parse(text.as_bytes(), Style::default()).unwrap().to_string()
    }

    #[test]
    fn nests_like_php() {
        assert_eq!(
            php("a=1&a=2&b[]=x&b[]=y&c[0][id]=k&c[0][sum]=9&d[x][y]=z&e=%2B+%7E&f[1]=q&g"),
            r#"{"a":"2","b":["x","y"],"c":[{"id":"k","sum":"9"}],"d":{"x":{"y":"z"}},"e":"+ ~","f":{"1":"q"},"g":""}"#
        );
        assert_eq!(php("a[5]=x&a[]=y"), r#"{"a":{"5":"x","6":"y"}}"#);
        assert_eq!(php("a[b]c=1&[x]=2&a[b=3&a]=4"), r#"{"a[b]c":"1","[x]":"2","a[b":"3","a]":"4"}"#);
        assert_eq!(php("a=1&a[b]=2"), r#"{"a":{"b":"2"}}"#);
        assert_eq!(php("a[b]=1&a=2&&%zz=%"), r#"{"a":"2","%zz":"%"}"#);
    }

    #[test]
    fn equal_names_are_refused_on_request() {
        let strict = Style { refuse_equal: true, ..Style::default() };
        for text in ["a=1&a=2", "a=&a=", "a[b]=1&a[b]=2", "a=1&a[b]=2", "a[b]=1&a=2"] {
            assert_eq!(parse(text.as_bytes(), strict), Err(NestedError::Equal), "{text}");
        }
        assert!(parse(b"a[]=1&a[]=2&b=1", strict).is_ok());
    }

    #[test]
    fn limits_hold() {
        let deep = format!("a{}=1", "[b]".repeat(DEPTH_MAX));
        assert_eq!(parse(deep.as_bytes(), Style::default()), Err(NestedError::TooDeep));
        let many = "a=1&".repeat(PAIRS_MAX + 1);
        assert_eq!(parse(many.as_bytes(), Style::default()), Err(NestedError::TooMany));
    }

    #[test]
    fn charsets() {
        let cyrillic = Style { charset: Charset::Windows1251, ..Style::default() };
        let value = parse(b"a=%CA%F3%F0%F1+%B9%A8", cyrillic).unwrap();
        assert_eq!(value["a"], "Курс №Ё");
        assert_eq!(parse(b"a=%98", cyrillic), Err(NestedError::Charset));
        assert_eq!(parse(b"a=%FF", Style::default()), Err(NestedError::Charset));
        assert_eq!(MIDDLE.chars().count(), 64);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, flat: bool, refuse_equal: bool) {
            let _ = parse(&bytes, Style { flat, refuse_equal, charset: Charset::Utf8 });
        }

        #[test]
        fn any_name_is_read(text in r"([ab01\[\]]{0,12}=[x%+]{0,3}&){0,8}") {
            let _ = parse(text.as_bytes(), Style::default());
        }
    }
}
