//! Base strings: the bytes that a signature is computed over, and how they are shown to a person.

use serde_json::Value;
use zeroize::Zeroizing;

use super::canonical;
use super::envelope::{Envelope, Failed, text};
use super::functions::{self, Function};
use super::keys::Keys;
use super::scheme::{Field, Flatten, Missing, Params, Part, Sort};
use crate::nested;

/// Longest base string, bytes.
const BASE_LEN_MAX: usize = 4 * 1024 * 1024;

/// A base string, or a piece of one.
#[derive(Default)]
pub(super) struct Base {
    /// What is signed. It may hold secrets, so it is wiped when dropped.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// The same for a person, every secret replaced by its name; empty unless it is asked for.
    pub(super) shown: String,
}

/// Builds base strings.
#[derive(Clone, Copy)]
pub(super) struct Builder<'e> {
    pub(super) envelope: &'e Envelope<'e>,
    pub(super) keys: Keys<'e>,
    /// Whether to write the text for a person, too.
    pub(super) show: bool,
    /// What stands for the raw body, when it is not the request's.
    pub(super) raw: Option<&'e [u8]>,
    /// A secret that is used instead of another one, for diagnosis.
    pub(super) swap: Option<(&'e str, &'e str)>,
}

impl<'e> Builder<'e> {
    pub(super) fn new(envelope: &'e Envelope<'e>, keys: Keys<'e>, show: bool) -> Builder<'e> {
        Builder { envelope, keys, show, raw: None, swap: None }
    }

    /// The base string of these parts.
    pub(super) fn build(&self, parts: &[Part<'_>]) -> Result<Base, Failed> {
        let mut whole = Base::default();
        for part in parts {
            if let Some(piece) = self.piece(part)? {
                self.append(&mut whole, &piece)?;
            }
        }
        Ok(whole)
    }

    fn append(&self, whole: &mut Base, piece: &Base) -> Result<(), Failed> {
        if whole.bytes.len().saturating_add(piece.bytes.len()) > BASE_LEN_MAX {
            return Err(Failed::malformed(format!("the base string is longer than {BASE_LEN_MAX} bytes")));
        }
        whole.bytes.extend_from_slice(&piece.bytes);
        whole.shown.push_str(&piece.shown);
        Ok(())
    }

    fn plain(&self, bytes: Vec<u8>) -> Base {
        let shown = if self.show { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() };
        Base { bytes: Zeroizing::new(bytes), shown }
    }

    /// `None` where the part is skipped.
    fn piece(&self, part: &Part<'_>) -> Result<Option<Base>, Failed> {
        let request = self.envelope.request();
        let raw = self.raw.unwrap_or(&request.body);
        Ok(Some(match part {
            Part::Raw => self.plain(raw.to_vec()),
            Part::RawQuery => self.plain(request.query.as_bytes().to_vec()),
            Part::RawUrldecoded => self.plain(nested::decode(raw)),
            Part::Text(text) => self.plain(text.as_bytes().to_vec()),
            Part::Secret { name, fmt } => self.secret(name, fmt)?,
            Part::Field { field, fmt } => match self.field(field)? {
                None => return Ok(None),
                Some(text) => {
                    let text = functions::apply(fmt, &text)
                        .map_err(|why| Failed::malformed(format!("{} {why}", field.ptr.text)))?;
                    self.plain(text.into_bytes())
                }
            },
            Part::Join { sep, parts, each } => self.join(sep, parts, each)?,
            Part::Params(params) => self.plain(self.params(params)?.into_bytes()),
            Part::Canonical(rules) => {
                let value = self.envelope.value(rules.from)?;
                let value = value.ok_or_else(|| missing(rules.from.text))?;
                self.plain(canonical::write(rules, &value).into_bytes())
            }
        }))
    }

    fn secret(&self, name: &str, fmt: &[Function]) -> Result<Base, Failed> {
        let used = match self.swap {
            Some((from, to)) if from == name => to,
            _ => name,
        };
        let mut bytes = self.keys.bytes(used)?;
        if !fmt.is_empty() {
            bytes =
                apply(fmt, &bytes).map_err(|why| Failed::malformed(format!("the secret {name} {why}")))?;
        }
        let shown = if self.show { named(fmt, &format!("<secret:{name}>")) } else { String::new() };
        Ok(Base { bytes, shown })
    }

    fn field(&self, field: &Field<'_>) -> Result<Option<String>, Failed> {
        let envelope = self.envelope;
        let mut found = envelope.scalar(field.ptr)?.map(std::borrow::Cow::into_owned);
        if field.php_bool
            && let Some(Value::Bool(switch)) = envelope.value(field.ptr)?.as_deref()
        {
            found = Some(if *switch { "1" } else { "" }.to_owned());
        }
        if let (Some(pick), Some(text)) = (field.pick, &found) {
            let picked = pick.values(text).next().map(ToOwned::to_owned);
            found = picked;
        }
        match (found, field.missing) {
            (Some(text), _) => Ok(Some(text)),
            (None, Missing::Skip) => Ok(None),
            (None, Missing::Empty) => Ok(Some(String::new())),
            (None, Missing::Error) => Err(missing(field.ptr.text)),
        }
    }

    fn join(&self, sep: &str, parts: &[Part<'_>], each: &[Function]) -> Result<Base, Failed> {
        let mut whole = Base::default();
        let mut is_first = true;
        for part in parts {
            let Some(mut piece) = self.piece(part)? else { continue };
            if piece.bytes.is_empty() && matches!(part, Part::Params(_)) {
                continue;
            }
            if !each.is_empty() {
                piece.bytes = apply(each, &piece.bytes)
                    .map_err(|why| Failed::malformed(format!("an item of the base string {why}")))?;
                if self.show {
                    piece.shown = named(each, &piece.shown);
                }
            }
            if !is_first {
                self.append(&mut whole, &self.plain(sep.as_bytes().to_vec()))?;
            }
            is_first = false;
            self.append(&mut whole, &piece)?;
        }
        Ok(whole)
    }

    fn params(&self, params: &Params<'_>) -> Result<String, Failed> {
        let Some(value) = self.envelope.value(params.from)? else { return Ok(String::new()) };
        let Value::Object(map) = &*value else {
            return Err(Failed::malformed(format!("{} is no object", params.from.text)));
        };
        let mut pairs = Vec::new();
        for (name, value) in map {
            collect(params, name.clone(), value, &mut pairs)?;
        }
        match params.sort {
            Sort::Bytes => pairs.sort_by(|(a, _), (b, _)| a.cmp(b)),
            Sort::IgnoreCase => pairs.sort_by_cached_key(|(name, _)| name.to_lowercase()),
            Sort::Arrival => {}
        }
        let mut out = String::new();
        for (at, (name, value)) in pairs.iter().enumerate() {
            if at > 0 {
                out.push_str(params.pair_sep);
            }
            let unfit = |why| Failed::malformed(format!("{}: {why}", params.from.text));
            if params.with_names {
                out.push_str(&functions::apply(&params.key_fmt, name).map_err(unfit)?);
                out.push_str(params.kv_sep);
            }
            out.push_str(&functions::apply(&params.value_fmt, value).map_err(unfit)?);
            if out.len() > BASE_LEN_MAX {
                return Err(Failed::malformed(format!("is longer than {BASE_LEN_MAX} bytes")));
            }
        }
        Ok(out)
    }
}

fn missing(pointer: &str) -> Failed {
    Failed::malformed(format!("{pointer} is missing, and it is part of what is signed"))
}

fn apply(functions: &[Function], bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    functions::apply(functions, text).map(|text| Zeroizing::new(text.into_bytes()))
}

fn named(functions: &[Function], shown: &str) -> String {
    functions.iter().fold(shown.to_owned(), |text, function| format!("{}({text})", function.word()))
}

fn collect(
    params: &Params<'_>,
    name: String,
    value: &Value,
    pairs: &mut Vec<(String, String)>,
) -> Result<(), Failed> {
    if params.exclude.iter().any(|pattern| matches(pattern, &name)) {
        return Ok(());
    }
    let child = |key: &str| match params.flatten {
        Flatten::Dot => format!("{name}.{key}"),
        Flatten::Php | Flatten::None => format!("{name}[{key}]"),
    };
    let included =
        || params.include.as_ref().is_none_or(|list| list.iter().any(|pattern| matches(pattern, &name)));
    match (value, params.flatten) {
        (Value::Array(_) | Value::Object(_), Flatten::None) if included() => {
            Err(Failed::malformed(format!("{name} is an object or a list")))
        }
        (Value::Array(_) | Value::Object(_), Flatten::None) => Ok(()),
        (Value::Array(items), _) => items
            .iter()
            .enumerate()
            .try_for_each(|(at, item)| collect(params, child(&at.to_string()), item, pairs)),
        (Value::Object(map), _) => {
            map.iter().try_for_each(|(key, item)| collect(params, child(key), item, pairs))
        }
        (scalar, _) => {
            let text = text(scalar).unwrap_or_default();
            if included() && !(params.skip_empty && text.is_empty()) {
                pairs.push((name, text.into_owned()));
            }
            Ok(())
        }
    }
}

/// Whether a name fits a pattern; `*` stands for any run of characters. Linear but for backing up to the last star.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece).filter(|_| !piece.is_empty()) else {
            if piece.is_empty() {
                continue;
            }
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("Shp_*", "Shp_a", true),
            ("Shp_*", "Shp_", true),
            ("Shp_*", "shp_a", false),
            ("sign", "sign", true),
            ("sign", "signature", false),
            ("*", "", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "ac", false),
            ("a**c", "abc", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
