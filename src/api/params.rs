//! Query parameters of lists: filters, `limit` and the opaque `cursor`. Unknown ones are errors.

use std::str::FromStr;

use kassir_providers::digest::{base64url, from_base64url};
use kassir_providers::form::Form;

use super::problem::Problem;
use crate::manage::{InputError, time};
use crate::nearest::did_you_mean;
use crate::store::Page;
use crate::store::list::{PAGE_DEFAULT, PAGE_MAX};

/// Longest query string, bytes.
const QUERY_MAX: usize = 4 * 1024;
/// Longest text to search for, characters.
const SEARCH_MAX: usize = 200;
/// Longest cursor, characters.
const CURSOR_MAX: usize = 120;

/// A query string's parameters that are still to be read.
pub struct Params {
    fields: Vec<(String, String)>,
    asked: Vec<&'static str>,
    errors: Vec<InputError>,
}

impl Params {
    /// Reads a query string.
    ///
    /// # Errors
    /// 400 when it is not properly encoded, too long, or has a parameter twice.
    pub fn parse(query: &str) -> Result<Params, Problem> {
        if query.len() > QUERY_MAX {
            return Err(Problem::malformed(format!("The query string is longer than {QUERY_MAX} bytes.")));
        }
        let form = Form::parse(query.as_bytes())
            .map_err(|error| Problem::malformed(format!("The query string can't be read: {error}.")))?;
        if let Some(name) = form.duplicate() {
            return Err(Problem::malformed(format!("The query string has the parameter {name:?} twice.")));
        }
        let fields = form.fields().iter().map(|field| (field.name.clone(), field.value.clone())).collect();
        Ok(Params { fields, asked: Vec::new(), errors: Vec::new() })
    }

    /// A parameter's text; an empty one is as if it were not there.
    pub fn text(&mut self, name: &'static str) -> Option<String> {
        self.asked.push(name);
        let at = self.fields.iter().position(|(key, _)| key == name)?;
        Some(self.fields.swap_remove(at).1).filter(|text| !text.is_empty())
    }

    /// A parameter that reads as a `T`.
    pub fn parsed<T: FromStr>(&mut self, name: &'static str) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.text(name)?;
        match text.parse() {
            Ok(found) => Some(found),
            Err(error) => self.wrong(name, error.to_string()),
        }
    }

    /// A payment's number.
    pub fn number(&mut self, name: &'static str) -> Option<u32> {
        let text = self.text(name)?;
        match text.parse() {
            Ok(found) => Some(found),
            Err(_) => self.wrong(name, "must be a payment's number".to_owned()),
        }
    }

    /// A whole number within a range.
    pub fn count(&mut self, name: &'static str, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let text = self.text(name)?;
        match text.parse() {
            Ok(found) if range.contains(&found) => Some(found),
            _ => {
                let (start, end) = range.into_inner();
                self.wrong(name, format!("must be a whole number from {start} to {end}"))
            }
        }
    }

    /// One of a set of words.
    pub fn word<T: Copy>(&mut self, name: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(name)?;
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, found)) => Some(*found),
            None => {
                let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                self.wrong(name, format!("must be one of {}", known.join(", ")))
            }
        }
    }

    /// A point in time as Unix milliseconds.
    pub fn time(&mut self, name: &'static str) -> Option<i64> {
        let text = self.text(name)?;
        match time::parse(&text) {
            Ok(at) => Some(at),
            Err(detail) => self.wrong(name, detail),
        }
    }

    /// Text to search for.
    pub fn search(&mut self) -> Option<String> {
        let text = self.text("q")?;
        if text.chars().count() > SEARCH_MAX {
            return self.wrong("q", format!("is longer than {SEARCH_MAX} characters"));
        }
        Some(text)
    }

    /// `limit` and `cursor` of a list whose rows are found by a `Row`: an id, or a number.
    pub fn page<Row: FromStr>(&mut self) -> Page {
        let mut page = Page::default();
        if let Some(text) = self.text("limit") {
            match text.parse() {
                Ok(limit) if (1..=PAGE_MAX).contains(&limit) => page.limit = limit,
                _ => {
                    self.wrong::<()>(
                        "limit",
                        format!("must be a whole number from 1 to {PAGE_MAX} (default {PAGE_DEFAULT})"),
                    );
                }
            }
        }
        if let Some(text) = self.text("cursor") {
            page.before = open_cursor(&text).filter(|before| before.parse::<Row>().is_ok());
            if page.before.is_none() {
                self.wrong::<()>(
                    "cursor",
                    "is not a cursor of this list: take it unchanged from next_cursor".to_owned(),
                );
            }
        }
        page
    }

    /// Notes that a parameter is wrong.
    pub fn wrong<T>(&mut self, name: &str, detail: String) -> Option<T> {
        self.errors.push(InputError { pointer: format!("?{name}"), detail });
        None
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// 400 with everything that is wrong, unknown parameters included.
    pub fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.fields) {
            let shown: String = name.chars().take(60).collect();
            let detail = format!("is an unknown parameter; {}", did_you_mean(&shown, &self.asked));
            self.wrong::<()>(&shown, detail);
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::invalid(400, self.errors)) }
    }
}

/// The opaque form of a page's `next`.
#[must_use]
pub fn cursor(next: &str) -> String {
    base64url(format!("1:{next}").as_bytes())
}

fn open_cursor(text: &str) -> Option<String> {
    let bytes = Some(text).filter(|text| text.len() <= CURSOR_MAX).and_then(from_base64url)?;
    let text = String::from_utf8(bytes).ok()?;
    text.strip_prefix("1:").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::EventId;

    #[test]
    fn pages_are_read_and_checked() {
        let id = "evt_00000000000000000000000001";
        let mut params = Params::parse(&format!("limit=7&cursor={}", cursor(id))).unwrap();
        let page = params.page::<EventId>();
        assert_eq!((page.limit, page.before.as_deref()), (7, Some(id)));
        params.finish().unwrap();
        for wrong in ["limit=0", "limit=201", "limit=x", "cursor=zzz", "limt=5"] {
            let mut params = Params::parse(wrong).unwrap();
            params.page::<EventId>();
            assert_eq!(params.finish().unwrap_err().status, 400, "{wrong}");
        }
        let mut params = Params::parse(&format!("cursor={}", cursor("17"))).unwrap();
        params.page::<EventId>();
        assert!(params.finish().is_err());
        assert!(Params::parse("a=1&a=2").is_err());
    }
}
