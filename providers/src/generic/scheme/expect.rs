//! Where a received signature is and how it is written.

use crate::generic::pointer::Pointer;
use crate::generic::reader::{Node, Object, Read};

/// Which value of a list such as `t=…,v1=…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::generic) struct Pick<'a> {
    pub(in crate::generic) sep: &'a str,
    pub(in crate::generic) kv: &'a str,
    pub(in crate::generic) name: &'a str,
}

impl<'a> Pick<'a> {
    pub(in crate::generic) fn read(node: Node<'a, '_>) -> Read<Pick<'a>> {
        let object = node.object(&["sep", "kv", "name"])?;
        let separator = |name: &str, default: &'a str| {
            object.or(name, default, |node| match node.text()? {
                "" => Err(node.problem("must not be empty")),
                text => Ok(text),
            })
        };
        Ok(Pick {
            sep: separator("sep", ",")?,
            kv: separator("kv", "=")?,
            name: object.need("name")?.text()?,
        })
    }

    /// The values of that name.
    pub(in crate::generic) fn values<'t>(self, text: &'t str) -> impl Iterator<Item = &'t str> + use<'a, 't> {
        text.split(self.sep).filter_map(move |piece| {
            let (name, value) = piece.split_once(self.kv)?;
            (name.trim() == self.name).then_some(value)
        })
    }
}

/// How a digest is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::generic) enum Encoding {
    Hex,
    Base64,
    Base64Url,
}

/// Letters of a hex digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::generic) enum Case {
    Any,
    Lower,
    Upper,
}

/// Where the received signature is and how it is written.
#[derive(Clone, Copy, Debug)]
pub(in crate::generic) struct Expect<'a> {
    pub(in crate::generic) from: Pointer<'a>,
    pub(in crate::generic) encoding: Encoding,
    pub(in crate::generic) case: Case,
    pub(in crate::generic) prefix: &'a str,
    pub(in crate::generic) pick: Option<Pick<'a>>,
}

impl<'a> Expect<'a> {
    pub(in crate::generic) fn read(node: Node<'a, '_>) -> Read<Expect<'a>> {
        let object = node.object(&["from", "encoding", "case", "prefix", "pick"])?;
        Ok(Expect {
            from: Pointer::read(object.need("from")?)?,
            encoding: encoding(&object)?,
            case: case(&object, Case::Any)?,
            prefix: object.or("prefix", "", |node| node.text())?,
            pick: object.maybe("pick", Pick::read)?,
        })
    }
}

pub(in crate::generic) fn encoding(object: &Object<'_, '_>) -> Read<Encoding> {
    let words = [("hex", Encoding::Hex), ("base64", Encoding::Base64), ("base64url", Encoding::Base64Url)];
    object.or("encoding", Encoding::Hex, |node| node.word(&words))
}

pub(in crate::generic) fn case(object: &Object<'_, '_>, default: Case) -> Read<Case> {
    let words = [("any", Case::Any), ("lower", Case::Lower), ("upper", Case::Upper)];
    object.or("case", default, |node| node.word(&words))
}
