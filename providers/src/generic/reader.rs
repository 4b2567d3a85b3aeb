//! Reads a configuration document member by member; every error names the member by its JSON pointer.

use serde_json::{Map, Value};

use crate::about::Problem;

/// Most members of a list or object in a document.
pub(super) const LIST_LEN_MAX: usize = 64;
/// Longest text in a document, bytes.
pub(super) const TEXT_LEN_MAX: usize = 4096;

/// Where a value stands; the pointer is only written when there is something to say.
#[derive(Clone, Copy)]
enum Place<'p> {
    Root(&'p str),
    Member(&'p Place<'p>, &'p str),
    Item(&'p Place<'p>, usize),
}

impl Place<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Place::Root(pointer) => out.push_str(pointer),
            Place::Member(parent, name) => {
                parent.write(out);
                out.push('/');
                out.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            Place::Item(parent, at) => {
                parent.write(out);
                out.push('/');
                out.push_str(&at.to_string());
            }
        }
    }
}

/// A value of a document and its place.
#[derive(Clone, Copy)]
pub(super) struct Node<'a, 'p> {
    value: &'a Value,
    place: Place<'p>,
}

/// Most problems of a document that are told at once.
const PROBLEMS_MAX: usize = 50;

/// Most of them that a line shows: in the inbound log, of a failure.
const SHOWN_MAX: usize = 3;

/// What is wrong with a document: at least one problem, in the order of the document.
#[derive(Debug, Default)]
pub(super) struct Wrong(Vec<Problem>);

impl Wrong {
    fn one(place: Place<'_>, detail: impl Into<String>) -> Wrong {
        let mut pointer = String::new();
        place.write(&mut pointer);
        Wrong(vec![Problem { pointer, detail: detail.into() }])
    }

    /// Takes a part's value, or keeps what is wrong with it: so that other parts are read, too.
    pub(super) fn take<T>(&mut self, read: Read<T>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(Wrong(problems)) => {
                let room = PROBLEMS_MAX.saturating_sub(self.0.len());
                self.0.extend(problems.into_iter().take(room));
                None
            }
        }
    }

    /// All the parts, if none was wrong.
    pub(super) fn unless<T>(self, value: T) -> Read<T> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.0
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, problem) in self.0.iter().take(SHOWN_MAX).enumerate() {
            let gap = if at == 0 { "" } else { "; " };
            write!(f, "{gap}{}: {}", problem.pointer, problem.detail)?;
        }
        match self.0.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// What reading gives.
pub(super) type Read<T> = Result<T, Wrong>;

impl<'a, 'p> Node<'a, 'p> {
    pub(super) fn root(value: &'a Value, pointer: &'p str) -> Node<'a, 'p> {
        Node { value, place: Place::Root(pointer) }
    }

    pub(super) fn problem(&self, detail: impl Into<String>) -> Wrong {
        Wrong::one(self.place, detail)
    }

    /// An object that has no other members than these.
    pub(super) fn object(&self, known: &[&str]) -> Read<Object<'a, 'p>> {
        let object = self.open()?;
        object.only(known)?;
        Ok(object)
    }

    /// An object whose members have names of the writer's choice.
    pub(super) fn open(&self) -> Read<Object<'a, 'p>> {
        match self.value {
            Value::Object(map) if map.len() <= LIST_LEN_MAX => Ok(Object { map, place: self.place }),
            Value::Object(_) => Err(self.problem(format!("has more than {LIST_LEN_MAX} members"))),
            _ => Err(self.problem("must be an object")),
        }
    }

    pub(super) fn text(&self) -> Read<&'a str> {
        match self.value {
            Value::String(text) if text.len() <= TEXT_LEN_MAX => Ok(text),
            Value::String(_) => Err(self.problem(format!("is longer than {TEXT_LEN_MAX} bytes"))),
            _ => Err(self.problem("must be a text")),
        }
    }

    pub(super) fn switch(&self) -> Read<bool> {
        self.value.as_bool().ok_or_else(|| self.problem("must be true or false"))
    }

    /// A whole number of this range.
    pub(super) fn number(&self, range: std::ops::RangeInclusive<u32>) -> Read<u32> {
        let number = self.value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            self.problem(format!("must be a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// Reads every item of a list.
    pub(super) fn each<T>(&self, mut read: impl FnMut(Node<'a, '_>) -> Read<T>) -> Read<Vec<T>> {
        let items = match self.value {
            Value::Array(items) if items.len() <= LIST_LEN_MAX => items,
            Value::Array(_) => return Err(self.problem(format!("has more than {LIST_LEN_MAX} items"))),
            _ => return Err(self.problem("must be a list")),
        };
        let place = self.place;
        let mut wrong = Wrong::default();
        let mut all = Vec::with_capacity(items.len());
        for (at, value) in items.iter().enumerate() {
            all.extend(wrong.take(read(Node { value, place: Place::Item(&place, at) })));
        }
        wrong.unless(all)
    }

    pub(super) fn texts(&self) -> Read<Vec<&'a str>> {
        self.each(|item| item.text())
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Read<T> {
        let text = self.text()?;
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.problem(format!("must be one of {}", known.join(", ")))
        })
    }
}

/// An object of a document.
pub(super) struct Object<'a, 'p> {
    map: &'a Map<String, Value>,
    place: Place<'p>,
}

impl<'a> Object<'a, '_> {
    /// That it has no other members than these; every other one is told.
    pub(super) fn only(&self, known: &[&str]) -> Read<()> {
        let mut wrong = Wrong::default();
        for name in self.map.keys().filter(|name| !known.contains(&name.as_str())) {
            let shown: String = name.chars().take(64).collect();
            let detail = format!("has no member {shown:?}; it has {}", known.join(", "));
            wrong.take::<()>(Err(self.problem(detail)));
        }
        wrong.unless(())
    }

    /// A member; null counts as absent.
    pub(super) fn get<'o>(&'o self, name: &'o str) -> Option<Node<'a, 'o>> {
        let value = self.map.get(name).filter(|value| !value.is_null())?;
        Some(Node { value, place: Place::Member(&self.place, name) })
    }

    pub(super) fn need<'o>(&'o self, name: &'o str) -> Read<Node<'a, 'o>> {
        self.get(name).ok_or_else(|| self.problem(format!("needs the member {name}")))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Reads a member, or gives what it is without.
    pub(super) fn or<T>(&self, name: &str, other: T, read: impl FnOnce(Node<'a, '_>) -> Read<T>) -> Read<T> {
        self.get(name).map_or(Ok(other), read)
    }

    /// Reads a member that may be absent.
    pub(super) fn maybe<T>(&self, name: &str, read: impl FnOnce(Node<'a, '_>) -> Read<T>) -> Read<Option<T>> {
        self.get(name).map(read).transpose()
    }

    /// Reads every member under its own name.
    pub(super) fn members<T>(
        &self,
        mut read: impl FnMut(&'a str, Node<'a, '_>) -> Read<T>,
    ) -> Read<Vec<(&'a str, T)>> {
        let mut wrong = Wrong::default();
        let mut all = Vec::with_capacity(self.map.len());
        for (name, value) in self.map {
            let member = read(name, Node { value, place: Place::Member(&self.place, name) });
            all.extend(wrong.take(member).map(|member| (name.as_str(), member)));
        }
        wrong.unless(all)
    }

    pub(super) fn problem(&self, detail: impl Into<String>) -> Wrong {
        Wrong::one(self.place, detail)
    }
}
