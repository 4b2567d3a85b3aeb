//! JSON pointers (RFC 6901) into what a request holds.

use super::reader::{Node, Read};

/// The part of a request that a pointer begins in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// The parsed body.
    Body,
    /// The parsed query.
    Query,
    /// Headers.
    Headers,
    /// Variables of the route: `kind`.
    Path,
    /// The body as text.
    Raw,
    /// The method.
    Method,
    /// What was unwrapped.
    X,
    /// Parameters of a payment that is being created.
    Params,
}

/// A checked pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pointer<'a> {
    /// Where it begins.
    pub(super) root: Root,
    /// The rest, empty or starting with a slash.
    pub(super) rest: &'a str,
    /// All of it.
    pub(super) text: &'a str,
}

/// Most steps of a pointer.
const STEPS_MAX: usize = 32;

impl<'a> Pointer<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Pointer<'a>, String> {
        let name = text.strip_prefix('/').ok_or("a pointer starts with /, such as /body/id")?;
        let (first, rest) = name.split_at(name.find('/').unwrap_or(name.len()));
        let root = match first {
            "body" => Root::Body,
            "query" => Root::Query,
            "headers" => Root::Headers,
            "path" => Root::Path,
            "raw" => Root::Raw,
            "method" => Root::Method,
            "x" => Root::X,
            "params" => Root::Params,
            _ => {
                return Err(
                    "a pointer begins with /body, /query, /headers, /path, /raw, /method or /x".into()
                );
            }
        };
        if rest.bytes().filter(|byte| *byte == b'/').count() > STEPS_MAX {
            return Err(format!("a pointer has at most {STEPS_MAX} steps"));
        }
        match root {
            Root::Headers if rest.len() < 2 || rest != rest.to_ascii_lowercase() => {
                return Err("a header is named in lower case, such as /headers/x-signature".into());
            }
            Root::Raw | Root::Method if !rest.is_empty() => return Err(format!("/{first} has no members")),
            Root::Path if rest.len() < 2 => {
                return Err("/path needs a name, such as /path/kind".into());
            }
            _ => {}
        }
        Ok(Pointer { root, rest, text })
    }

    pub(super) fn read(node: Node<'a, '_>) -> Read<Pointer<'a>> {
        Pointer::parse(node.text()?).map_err(|why| node.problem(why))
    }

    pub(super) fn list(node: Node<'a, '_>) -> Read<Vec<Pointer<'a>>> {
        node.each(Pointer::read)
    }

    /// The name of a header, a variable, a parameter.
    pub(super) fn name(&self) -> &'a str {
        self.rest.strip_prefix('/').unwrap_or("")
    }
}
