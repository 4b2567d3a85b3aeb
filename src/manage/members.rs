//! Reading a JSON body member by member: each wrong one is named by its pointer, all of them at once, and an unknown
//! one with the known one nearest to it.

use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::error::{InputError, ManageError};
use crate::nearest::did_you_mean;

/// Longest name of an unknown member that an error repeats, characters.
const SHOWN_MAX: usize = 60;
/// Most errors that are told one by one; the rest are counted.
const ERRORS_MAX: usize = 100;
/// Most unknown members for which the known one that was meant is looked for.
const SUGGESTED_MAX: usize = 20;

/// The members of an object that are still to be read.
#[derive(Clone)]
pub struct Members {
    at: String,
    map: Map<String, Value>,
    asked: Vec<&'static str>,
    errors: Vec<InputError>,
    /// How many more there are.
    more: usize,
}

impl Members {
    /// Reads a body; an empty one is an empty object.
    ///
    /// # Errors
    /// Says, with line and column, that it is no JSON, or no object, or has a member twice.
    pub fn parse(body: &[u8]) -> Result<Members, String> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Members::of(Map::new(), String::new()));
        }
        let text = std::str::from_utf8(body).map_err(|error| format!("The body is not UTF-8: {error}."))?;
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("The body is not valid JSON: {error}."))?;
        if let Some(name) = kassir_providers::json::duplicate_name(text) {
            return Err(format!("The body has the member {name:?} twice."));
        }
        match value {
            Value::Object(map) => Ok(Members::of(map, String::new())),
            other => Err(format!("The body must be a JSON object, not {}.", kind(&other))),
        }
    }

    /// The members of an object at a pointer.
    #[must_use]
    pub fn of(map: Map<String, Value>, at: String) -> Members {
        Members { at, map, asked: Vec::new(), errors: Vec::new(), more: 0 }
    }

    /// Notes that something is wrong with a member.
    pub fn wrong(&mut self, name: &str, detail: impl Into<String>) {
        let pointer = self.pointer(name);
        self.error(InputError { pointer, detail: detail.into() });
    }

    /// Notes an error that knows its own pointer.
    pub fn error(&mut self, error: InputError) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(error);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// How many errors there are so far.
    fn noted(&self) -> usize {
        self.errors.len().saturating_add(self.more)
    }

    /// The pointer of a member.
    #[must_use]
    pub fn pointer(&self, name: &str) -> String {
        format!("{}/{}", self.at, name.replace('~', "~0").replace('/', "~1"))
    }

    /// Whether a member is there and not `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    /// Whether a member is given as `null`; then it is read.
    pub fn cleared(&mut self, name: &'static str) -> bool {
        self.asked.push(name);
        let cleared = self.map.get(name).is_some_and(Value::is_null);
        if cleared {
            self.map.shift_remove(name);
        }
        cleared
    }

    /// A member as it is; `null` is as if it were not there.
    pub fn value(&mut self, name: &'static str) -> Option<Value> {
        self.asked.push(name);
        self.map.shift_remove(name).filter(|value| !value.is_null())
    }

    /// A text of at most `max` characters.
    pub fn text(&mut self, name: &'static str, max: usize) -> Option<String> {
        match self.value(name)? {
            Value::String(text) if text.chars().count() > max => {
                self.wrong(name, format!("is longer than {max} characters"));
                None
            }
            Value::String(text)
                if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r')) =>
            {
                self.wrong(name, "holds control characters");
                None
            }
            Value::String(text) => Some(text),
            other => self.expected(name, "a text", &other),
        }
    }

    /// A text that must be there and not blank.
    pub fn required_text(&mut self, name: &'static str, max: usize) -> Option<String> {
        let before = self.noted();
        let text = self.text(name, max).filter(|text| !text.trim().is_empty());
        if text.is_none() && self.noted() == before {
            self.wrong(name, "is required");
        }
        text
    }

    /// A whole number within a range.
    pub fn integer(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.value(name)?;
        match value.as_i64() {
            Some(number) if range.contains(&number) => Some(number),
            _ if value.is_number() => {
                let (start, end) = range.into_inner();
                self.wrong(name, format!("must be a whole number from {start} to {end}"));
                None
            }
            _ => self.expected(name, "a whole number", &value),
        }
    }

    /// The same as an unsigned one.
    pub fn count(&mut self, name: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let (start, end) = range.into_inner();
        self.integer(name, i64::from(start)..=i64::from(end)).and_then(|number| u32::try_from(number).ok())
    }

    /// true or false.
    pub fn switch(&mut self, name: &'static str) -> Option<bool> {
        match self.value(name)? {
            Value::Bool(on) => Some(on),
            other => self.expected(name, "true or false", &other),
        }
    }

    /// One of these words.
    pub fn word<T: Copy>(&mut self, name: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let value = self.value(name)?;
        match one_of(&value, words) {
            Ok(found) => Some(found),
            Err(detail) => {
                self.wrong(name, detail);
                None
            }
        }
    }

    /// One of these words, which must be there.
    pub fn required_word<T: Copy>(&mut self, name: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let before = self.noted();
        let found = self.word(name, words);
        if found.is_none() && self.noted() == before {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(name, format!("is required: one of {}", known.join(", ")));
        }
        found
    }

    /// A text that reads as a `T`: an id, a currency, a time.
    pub fn parsed<T: FromStr>(&mut self, name: &'static str) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        match self.value(name)? {
            Value::String(text) => match text.parse() {
                Ok(found) => Some(found),
                Err(error) => {
                    self.wrong(name, error.to_string());
                    None
                }
            },
            other => self.expected(name, "a text", &other),
        }
    }

    /// A point in time, RFC 3339, as Unix milliseconds.
    pub fn time(&mut self, name: &'static str) -> Option<i64> {
        let text = self.text(name, 64)?;
        match super::time::parse(&text) {
            Ok(at) => Some(at),
            Err(detail) => {
                self.wrong(name, detail);
                None
            }
        }
    }

    /// A list of at most `max` items, each read by `read`.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        max: usize,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let items = match self.value(name)? {
            Value::Array(items) => items,
            other => return self.expected(name, "a list", &other),
        };
        if items.len() > max {
            self.wrong(name, format!("has more than {max} items"));
            return None;
        }
        let mut found = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match read(item) {
                Ok(item) => found.push(item),
                Err(detail) => {
                    let pointer = format!("{}/{index}", self.pointer(name));
                    self.error(InputError { pointer, detail });
                }
            }
        }
        Some(found)
    }

    /// An object as it is.
    pub fn map(&mut self, name: &'static str) -> Option<Map<String, Value>> {
        match self.value(name)? {
            Value::Object(map) => Some(map),
            other => self.expected(name, "an object", &other),
        }
    }

    /// An object whose members are read by `read`.
    pub fn object<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Members) -> T) -> Option<T> {
        let map = self.map(name)?;
        let mut inner = Members::of(map, self.pointer(name));
        let found = read(&mut inner);
        inner.into_errors().into_iter().for_each(|error| self.error(error));
        Some(found)
    }

    /// The names that are not read yet.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.map.keys().map(String::as_str)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`ManageError::Invalid`] with everything that is wrong, unknown members included.
    pub fn finish(self) -> Result<(), ManageError> {
        let errors = self.into_errors();
        if errors.is_empty() { Ok(()) } else { Err(ManageError::Invalid(errors)) }
    }

    /// Ends the reading: everything that is wrong.
    #[must_use]
    pub fn into_errors(mut self) -> Vec<InputError> {
        let mut known = std::mem::take(&mut self.asked);
        known.dedup();
        let unknown = std::mem::take(&mut self.map);
        let room = ERRORS_MAX.saturating_sub(self.errors.len());
        for (index, name) in unknown.keys().take(room).enumerate() {
            let shown: String = name.chars().take(SHOWN_MAX).collect();
            let detail = if index < SUGGESTED_MAX {
                format!("is unknown; {}", did_you_mean(&shown, &known))
            } else {
                "is unknown".to_owned()
            };
            self.wrong(&shown, detail);
        }
        let more = self.more.saturating_add(unknown.len().saturating_sub(room));
        if more > 0 {
            self.errors.push(InputError { pointer: self.at, detail: format!("and {more} more errors") });
        }
        self.errors
    }

    fn expected<T>(&mut self, name: &str, what: &str, found: &Value) -> Option<T> {
        self.wrong(name, format!("must be {what}, not {}", kind(found)));
        None
    }
}

/// Which of the words a value is.
///
/// # Errors
/// Says which words there are.
pub fn one_of<T: Copy>(value: &Value, words: &[(&'static str, T)]) -> Result<T, String> {
    let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    let text = value.as_str().ok_or_else(|| format!("must be one of {}, not {}", known(), kind(value)))?;
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, found)| *found)
        .ok_or_else(|| format!("must be one of {}", known()))
}

/// What kind of JSON value it is, in words.
#[must_use]
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(members: Members) -> Vec<(String, String)> {
        members.into_errors().into_iter().map(|error| (error.pointer, error.detail)).collect()
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let mut body =
            Members::parse(br#"{"ulr":"x","count":99,"on":"yes","list":[1,"a"],"deep":{"a/b":1}}"#).unwrap();
        assert_eq!(body.required_text("url", 10), None);
        assert_eq!(body.count("count", 1..=30), None);
        assert_eq!(body.switch("on"), None);
        let list =
            body.list("list", 5, |item| item.as_str().map(str::to_owned).ok_or_else(|| "no".to_owned()));
        assert_eq!(list, Some(vec!["a".to_owned()]));
        body.object("deep", |deep| deep.text("name", 5));
        assert_eq!(
            errors(body),
            [
                ("/url", "is required"),
                ("/count", "must be a whole number from 1 to 30"),
                ("/on", "must be true or false, not a text"),
                ("/list/0", "no"),
                ("/deep/a~1b", "is unknown; known are: name"),
                ("/ulr", "is unknown; did you mean url? Known are: url, count, on, list, deep"),
            ]
            .map(|(pointer, detail)| (pointer.to_owned(), detail.to_owned()))
        );
    }

    #[test]
    fn no_more_errors_are_told_than_a_person_reads() {
        let map = (0..100_000).map(|n| (format!("m{n}"), Value::Null)).collect();
        let mut body = Members::of(map, "/deep".to_owned());
        assert_eq!(body.required_text("name", 10), None);
        let errors = errors(body);
        assert_eq!(errors.len(), ERRORS_MAX + 1);
        assert_eq!(errors[0], ("/deep/name".to_owned(), "is required".to_owned()));
        assert_eq!(errors[1], ("/deep/m0".to_owned(), "is unknown; known are: name".to_owned()));
        assert_eq!(errors[99], ("/deep/m98".to_owned(), "is unknown".to_owned()));
        assert_eq!(errors[100], ("/deep".to_owned(), "and 99901 more errors".to_owned()));
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_place() {
        for (body, words) in [
            (&b"{\n  \"a\": }"[..], "line 2 column 8"),
            (b"[1]", "not a list"),
            (b"{\"a\":1,\"a\":2}", "twice"),
            (b"\xff", "UTF-8"),
        ] {
            let problem = Members::parse(body).err().unwrap();
            assert!(problem.contains(words), "{problem}");
        }
        assert!(Members::parse(b" ").unwrap().finish().is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            if let Ok(mut body) = Members::parse(&bytes) {
                body.text("a", 3);
                let _ = body.finish();
            }
        }
    }
}
