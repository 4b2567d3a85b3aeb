//! Parts of a base string.

use super::{DEPTH_MAX, Pick};
use crate::generic::functions::{self, Function};
use crate::generic::pointer::Pointer;
use crate::generic::reader::{Node, Read};

/// What a missing value does to the base string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::generic) enum Missing {
    Error,
    Empty,
    Skip,
}

/// Order of an object's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::generic) enum Sort {
    Bytes,
    IgnoreCase,
    Arrival,
}

/// How nested members are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::generic) enum Flatten {
    None,
    Php,
    Dot,
}

/// All members of an object.
#[derive(Debug)]
pub(in crate::generic) struct Params<'a> {
    pub(in crate::generic) from: Pointer<'a>,
    pub(in crate::generic) flatten: Flatten,
    pub(in crate::generic) include: Option<Vec<&'a str>>,
    pub(in crate::generic) exclude: Vec<&'a str>,
    pub(in crate::generic) skip_empty: bool,
    pub(in crate::generic) sort: Sort,
    pub(in crate::generic) with_names: bool,
    pub(in crate::generic) kv_sep: &'a str,
    pub(in crate::generic) pair_sep: &'a str,
    pub(in crate::generic) key_fmt: Vec<Function>,
    pub(in crate::generic) value_fmt: Vec<Function>,
}

impl<'a> Params<'a> {
    fn read(node: Node<'a, '_>) -> Read<Params<'a>> {
        let object = node.object(&[
            "from",
            "flatten",
            "include",
            "exclude",
            "skip_empty",
            "sort",
            "pair",
            "kv_sep",
            "pair_sep",
            "key_fmt",
            "value_fmt",
        ])?;
        let flatten = [("none", Flatten::None), ("php", Flatten::Php), ("dot", Flatten::Dot)];
        let sort = [("bytes", Sort::Bytes), ("ci", Sort::IgnoreCase), ("none", Sort::Arrival)];
        Ok(Params {
            from: Pointer::read(object.need("from")?)?,
            flatten: object.or("flatten", Flatten::None, |node| node.word(&flatten))?,
            include: object.maybe("include", |node| node.texts())?,
            exclude: object.or("exclude", Vec::new(), |node| node.texts())?,
            skip_empty: object.or("skip_empty", false, |node| node.switch())?,
            sort: object.or("sort", Sort::Bytes, |node| node.word(&sort))?,
            with_names: object.or("pair", true, |node| node.word(&[("kv", true), ("value", false)]))?,
            kv_sep: object.or("kv_sep", "=", |node| node.text())?,
            pair_sep: object.or("pair_sep", "&", |node| node.text())?,
            key_fmt: object.or("key_fmt", Vec::new(), functions::list)?,
            value_fmt: object.or("value_fmt", Vec::new(), functions::list)?,
        })
    }
}

/// JSON text of an object.
#[derive(Debug)]
pub(in crate::generic) struct Canonical<'a> {
    pub(in crate::generic) from: Pointer<'a>,
    pub(in crate::generic) exclude: Vec<&'a str>,
    pub(in crate::generic) sort: bool,
    pub(in crate::generic) stringify: bool,
    pub(in crate::generic) escape_slash: bool,
    pub(in crate::generic) escape_unicode: bool,
}

impl<'a> Canonical<'a> {
    fn read(node: Node<'a, '_>) -> Read<Canonical<'a>> {
        let object =
            node.object(&["from", "exclude", "sort", "stringify", "escape_slash", "escape_unicode"])?;
        let switch = |name: &str, default| object.or(name, default, |node| node.switch());
        Ok(Canonical {
            from: Pointer::read(object.need("from")?)?,
            exclude: object.or("exclude", Vec::new(), |node| node.texts())?,
            sort: switch("sort", true)?,
            stringify: switch("stringify", false)?,
            escape_slash: switch("escape_slash", false)?,
            escape_unicode: switch("escape_unicode", false)?,
        })
    }
}

/// A scalar in a base string.
#[derive(Debug)]
pub(in crate::generic) struct Field<'a> {
    pub(in crate::generic) ptr: Pointer<'a>,
    pub(in crate::generic) missing: Missing,
    pub(in crate::generic) php_bool: bool,
    pub(in crate::generic) pick: Option<Pick<'a>>,
}

/// A part of a base string.
#[derive(Debug)]
pub(in crate::generic) enum Part<'a> {
    Raw,
    RawQuery,
    RawUrldecoded,
    Text(&'a str),
    Secret { name: &'a str, fmt: Vec<Function> },
    Field { field: Field<'a>, fmt: Vec<Function> },
    Join { sep: &'a str, parts: Vec<Part<'a>>, each: Vec<Function> },
    Params(Box<Params<'a>>),
    Canonical(Canonical<'a>),
}

/// Members of which a part has exactly one.
const PART_KINDS: [&str; 9] =
    ["raw", "raw_query", "raw_urldecoded", "text", "secret", "field", "join", "params", "canonical_json"];

impl<'a> Part<'a> {
    /// Reads the parts of a base string.
    pub(in crate::generic) fn list(node: Node<'a, '_>) -> Read<Vec<Part<'a>>> {
        let parts = parts(node, 0)?;
        if parts.is_empty() { Err(node.problem("must not be empty")) } else { Ok(parts) }
    }

    /// This part and those inside it.
    pub(in crate::generic) fn walk(&self, see: &mut dyn FnMut(&Part<'a>)) {
        see(self);
        if let Part::Join { parts, .. } = self {
            parts.iter().for_each(|part| part.walk(see));
        }
    }
}

fn parts<'a>(node: Node<'a, '_>, depth: usize) -> Read<Vec<Part<'a>>> {
    if depth > DEPTH_MAX {
        return Err(node.problem(format!("is nested more than {DEPTH_MAX} levels deep")));
    }
    node.each(|item| part(item, depth))
}

fn part<'a>(node: Node<'a, '_>, depth: usize) -> Read<Part<'a>> {
    let object = node.open()?;
    let mut kinds = PART_KINDS.into_iter().filter(|kind| object.has(kind));
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        return Err(node.problem(format!("must have exactly one of {}", PART_KINDS.join(", "))));
    };
    let allowed: &[&str] = match kind {
        "field" => &["field", "missing", "fmt", "bool", "pick"],
        "secret" => &["secret", "fmt"],
        _ => &[kind],
    };
    let object = node.object(allowed)?;
    let inner = object.need(kind)?;
    let fmt = || object.or("fmt", Vec::new(), functions::list);
    let on = |part| if inner.switch()? { Ok(part) } else { Err(inner.problem("must be true")) };
    match kind {
        "raw" => on(Part::Raw),
        "raw_query" => on(Part::RawQuery),
        "raw_urldecoded" => on(Part::RawUrldecoded),
        "text" => Ok(Part::Text(inner.text()?)),
        "secret" => Ok(Part::Secret { name: inner.text()?, fmt: fmt()? }),
        "field" => {
            let missing = [("error", Missing::Error), ("empty", Missing::Empty), ("skip", Missing::Skip)];
            let field = Field {
                ptr: Pointer::read(inner)?,
                missing: object.or("missing", Missing::Error, |node| node.word(&missing))?,
                php_bool: object.or("bool", false, |node| node.word(&[("php", true)]))?,
                pick: object.maybe("pick", Pick::read)?,
            };
            Ok(Part::Field { field, fmt: fmt()? })
        }
        "join" => {
            let join = inner.object(&["sep", "parts", "each"])?;
            Ok(Part::Join {
                sep: join.or("sep", "", |node| node.text())?,
                parts: parts(join.need("parts")?, depth.saturating_add(1))?,
                each: join.or("each", Vec::new(), functions::list)?,
            })
        }
        "params" => Ok(Part::Params(Box::new(Params::read(inner)?))),
        _ => Ok(Part::Canonical(Canonical::read(inner)?)),
    }
}

/// The secrets that a base string holds.
pub(in crate::generic) fn secrets<'a>(base: &[Part<'a>]) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut see = |part: &Part<'a>| {
        if let Part::Secret { name, .. } = part {
            found.push(*name);
        }
    };
    base.iter().for_each(|part| part.walk(&mut see));
    found
}
