//! `map.contact` and `map.order`: the settings `contact_from` and `order_from` in the words of a document.
//!
//! They fill contact and order of a payment that was not created here. Their pointers are those of the document; what
//! they name must be in the payload, because that is what is kept and what a confirmed event is made of.

use std::collections::BTreeMap;

use super::pointer::Pointer;
use super::reader::{Node, Read, Wrong};

/// Rules by member, in the form of `contact_from` and `order_from`.
pub(super) type Rules = BTreeMap<String, String>;

/// `{"id", "name", "messenger", "phone"}`: pointers, or constants that begin with `=`.
pub(super) fn contact(node: Node<'_, '_>, payload: Pointer<'_>) -> Read<Rules> {
    let object = node.object(&["id", "name", "messenger", "phone"])?;
    object.need("id")?;
    let mut wrong = Wrong::default();
    let mut found = Rules::new();
    for name in ["id", "name", "messenger", "phone"] {
        let rule = wrong.take(object.maybe(name, |node| rule(node, payload)));
        found.extend(rule.flatten().map(|rule| (name.to_owned(), rule)));
    }
    wrong.unless(found)
}

/// Lines: `{"over": pointer to a list, "name", "description", "amount"}` with pointers into an item. One line: the same
/// without `over`, with pointers into the request. Amounts are in major units.
pub(super) fn order(node: Node<'_, '_>, payload: Pointer<'_>) -> Read<Rules> {
    let object = node.object(&["over", "name", "description", "amount"])?;
    object.need("name")?;
    let mut wrong = Wrong::default();
    let mut found = Rules::new();
    let over = wrong.take(object.maybe("over", |node| inside(node, payload)));
    found.extend(over.flatten().map(|rule| ("items".to_owned(), rule)));
    let of_items = object.has("over");
    for name in ["name", "description", "amount"] {
        let rule = object.maybe(name, |node| if of_items { item(node) } else { rule(node, payload) });
        found.extend(wrong.take(rule).flatten().map(|rule| (name.to_owned(), rule)));
    }
    wrong.unless(found)
}

/// A pointer into the payload, or a constant.
fn rule(node: Node<'_, '_>, payload: Pointer<'_>) -> Read<String> {
    match node.text()? {
        text if text.starts_with('=') && text.len() > 1 => Ok(text.to_owned()),
        _ => inside(node, payload),
    }
}

/// A pointer below the payload's, as the rest that is below.
fn inside(node: Node<'_, '_>, payload: Pointer<'_>) -> Read<String> {
    let pointer = Pointer::read(node)?;
    let rest = pointer.text.strip_prefix(payload.text).filter(|rest| rest.starts_with('/'));
    rest.map(ToOwned::to_owned)
        .ok_or_else(|| node.problem(format!("must be below {}, which is the payload", payload.text)))
}

/// A pointer into an item of a list.
fn item(node: Node<'_, '_>) -> Read<String> {
    let text = node.text()?;
    if text.len() > 1 && text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(node.problem("must be a pointer into an item, such as /title"))
    }
}
