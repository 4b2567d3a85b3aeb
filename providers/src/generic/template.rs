//! Texts with `{{names}}`.

use super::reader::{Node, Read};

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a, T> {
    Text(&'a str),
    Value(T),
}

/// A text with values to be put in.
#[derive(Clone, Debug)]
pub(super) struct Template<'a, T>(pub(super) Vec<Piece<'a, T>>);

impl<'a, T> Template<'a, T> {
    /// Reads a template; `value` says what a name stands for.
    pub(super) fn read(
        node: Node<'a, '_>,
        value: impl Fn(&'a str) -> Result<T, String>,
    ) -> Read<Template<'a, T>> {
        let mut pieces = Vec::new();
        let mut rest = node.text()?;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or_else(|| node.problem("has {{ without }}"))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before));
            }
            pieces.push(Piece::Value(value(name.trim()).map_err(|why| node.problem(why))?));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest));
        }
        Ok(Template(pieces))
    }

    /// Whether values are put in.
    pub(super) fn has_values(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Value(_)))
    }

    /// The text, each value as `fill` gives it.
    pub(super) fn fill(&self, mut fill: impl FnMut(&T) -> String) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value(value) => out.push_str(&fill(value)),
            }
        }
        out
    }
}
