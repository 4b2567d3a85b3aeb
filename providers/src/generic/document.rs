//! The configuration document as a typed structure, borrowed from the account's settings.

use serde_json::Value;

use super::confirm::Confirm;
use super::create::Create;
use super::mapping::Map;
use super::pointer::{Pointer, Root};
use super::reader::{Node, Object, Read, Wrong};
use super::reply::Replies;
use super::scheme::Check;
use super::states::{Condition, States};
use crate::digest::Hash;
use crate::nested::{Charset, Style};
use crate::{Account, Method, Settings};

/// Body limit when the document sets none, bytes.
const BODY_LEN_DEFAULT: u32 = 256 * 1024;
/// Largest body limit, bytes.
const BODY_LEN_MAX: u32 = 1024 * 1024;
/// Clock difference that a token's `exp` and `nbf` may have, seconds, when the document sets none.
const LEEWAY_DEFAULT_S: u32 = 60;
/// Longest leeway, seconds.
const LEEWAY_MAX_S: u32 = 3600;
/// The only version of the language.
const VERSION: u32 = 1;

/// What is done with notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Running {
    /// They become events.
    Live,
    /// They are recorded.
    Observe,
    /// They are not taken.
    Off,
}

/// Where the fields of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Json,
    Form,
    Query,
    None,
}

/// How a wrapped part is opened.
#[derive(Debug)]
pub(super) enum Unwrap<'a> {
    Base64Json,
    Json,
    Form,
    Jwt { algorithms: Vec<Hash>, key: &'a str, leeway_s: u32 },
}

/// A step of unwrapping.
#[derive(Debug)]
pub(super) struct UnwrapStep<'a> {
    pub(super) from: Pointer<'a>,
    /// The name under `/x`.
    pub(super) to: &'a str,
    pub(super) optional: bool,
    pub(super) how: Unwrap<'a>,
}

/// How a request is read.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) methods: Vec<Method>,
    pub(super) body: Body,
    pub(super) style: Style,
    pub(super) len_max: usize,
    pub(super) unwrap: Vec<UnwrapStep<'a>>,
}

/// How a secret's text becomes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decode {
    Utf8,
    Hex,
    Base64,
}

/// A secret that the document names.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecretRule {
    pub(super) decode: Decode,
    pub(super) derive: Option<Hash>,
    pub(super) public_key: bool,
}

/// The document.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) slug: &'a str,
    pub(super) running: Running,
    pub(super) reading: Reading<'a>,
    pub(super) secrets: Vec<(&'a str, SecretRule)>,
    pub(super) auth: Vec<Check<'a>>,
    pub(super) map: Option<Map<'a>>,
    pub(super) states: States<'a>,
    pub(super) test: Option<Vec<Condition<'a>>>,
    pub(super) confirm: Option<Confirm<'a>>,
    pub(super) reply: Replies<'a>,
    pub(super) create: Option<Create<'a>>,
}

const MEMBERS: [&str; 15] = [
    "version",
    "slug",
    "title",
    "mode",
    "request",
    "secrets",
    "auth",
    "map",
    "states",
    "default_state",
    "test",
    "confirm",
    "reply",
    "create",
    "note",
];

impl<'a> Document<'a> {
    /// Reads a document. Errors name the members by their pointers below `root`; what can be read beside a wrong
    /// member is read, so that a person sees all that is wrong at once.
    pub(super) fn read(value: &'a Value, root: &str) -> Read<Document<'a>> {
        let node = Node::root(value, root);
        let object = node.open()?;
        let mut wrong = Wrong::default();
        wrong.take(object.only(&MEMBERS));
        wrong.take(object.need("version").and_then(|node| node.number(VERSION..=VERSION)));
        for name in ["title", "note"] {
            wrong.take(object.maybe(name, |node| node.text()));
        }
        let modes = [("live", Running::Live), ("observe", Running::Observe), ("off", Running::Off)];
        let slug = wrong.take(object.need("slug").and_then(slug));
        let running = wrong.take(object.or("mode", Running::Live, |node| node.word(&modes)));
        let reading = wrong.take(reading(&object));
        let secrets = wrong.take(object.or("secrets", Vec::new(), secrets));
        let auth = wrong.take(object.or("auth", Vec::new(), Check::list));
        let map = wrong.take(object.maybe("map", Map::read));
        let states = wrong.take(States::read(&object));
        let test = |node: Node<'a, '_>| Condition::list(node.object(&["when"])?.need("when")?);
        let test = wrong.take(object.maybe("test", test));
        let confirm = wrong.take(object.maybe("confirm", Confirm::read));
        let reply = wrong.take(object.or("reply", Replies::default(), Replies::read));
        let create = wrong.take(object.maybe("create", Create::read));
        let document = (|| {
            Some(Document {
                slug: slug?,
                running: running?,
                reading: reading?,
                secrets: secrets?,
                auth: auth?,
                map: map?,
                states: states?,
                test: test?,
                confirm: confirm?,
                reply: reply?,
                create: create?,
            })
        })();
        // Where a part is missing, there is a problem that tells why.
        wrong.unless(document)?.ok_or_else(|| node.problem("can't be read"))
    }

    pub(super) fn secret(&self, name: &str) -> Option<SecretRule> {
        self.secrets.iter().find(|(known, _)| *known == name).map(|(_, rule)| *rule)
    }

    /// Whether something in it proves the sender.
    pub(super) fn is_proved(&self) -> bool {
        let token = self.reading.unwrap.iter().any(|step| matches!(step.how, Unwrap::Jwt { .. }));
        token || self.auth.iter().any(Check::is_strong)
    }
}

fn slug<'a>(node: Node<'a, '_>) -> Read<&'a str> {
    let slug = node.text()?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let fits = (2..=32).contains(&slug.len())
        && slug.starts_with(|first: char| first.is_ascii_lowercase())
        && slug.bytes().all(allowed);
    if !fits {
        return Err(node.problem("must be 2 to 32 of a-z, 0-9 and _, with a letter first"));
    }
    if crate::ALL.iter().any(|provider| provider.about().slug == slug) {
        return Err(node.problem("is the name of a built-in provider"));
    }
    Ok(slug)
}

fn reading<'a>(document: &Object<'a, '_>) -> Read<Reading<'a>> {
    let Some(node) = document.get("request") else {
        return Ok(Reading {
            methods: vec![Method::Post],
            body: Body::Json,
            style: Style::default(),
            len_max: usize::try_from(BODY_LEN_DEFAULT).unwrap_or(0),
            unwrap: Vec::new(),
        });
    };
    let object =
        node.object(&["methods", "body", "form_style", "duplicates", "charset", "max_bytes", "unwrap"])?;
    let methods = object.or("methods", vec![Method::Post], |node| {
        let methods = node.each(|item| item.word(&[("POST", Method::Post), ("GET", Method::Get)]))?;
        if methods.is_empty() { Err(node.problem("must not be empty")) } else { Ok(methods) }
    })?;
    let bodies = [("json", Body::Json), ("form", Body::Form), ("query", Body::Query), ("none", Body::None)];
    let charsets = [("utf-8", Charset::Utf8), ("windows-1251", Charset::Windows1251)];
    let len_max = object.or("max_bytes", BODY_LEN_DEFAULT, |node| node.number(1..=BODY_LEN_MAX))?;
    Ok(Reading {
        methods,
        body: object.or("body", Body::Json, |node| node.word(&bodies))?,
        style: Style {
            flat: object.or("form_style", false, |node| node.word(&[("php", false), ("flat", true)]))?,
            refuse_equal: object
                .or("duplicates", false, |node| node.word(&[("last", false), ("reject", true)]))?,
            charset: object.or("charset", Charset::Utf8, |node| node.word(&charsets))?,
        },
        len_max: usize::try_from(len_max).unwrap_or(0),
        unwrap: object.or("unwrap", Vec::new(), |node| node.each(unwrap_step))?,
    })
}

#[derive(Clone, Copy)]
enum Op {
    Base64Json,
    Json,
    Form,
    Jwt,
}

fn unwrap_step<'a>(node: Node<'a, '_>) -> Read<UnwrapStep<'a>> {
    let ops = [("base64_json", Op::Base64Json), ("json", Op::Json), ("form", Op::Form), ("jwt", Op::Jwt)];
    let op = node.open()?.need("op")?.word(&ops)?;
    let object = match op {
        Op::Jwt => node.object(&["op", "from", "to", "alg", "key", "leeway_s"])?,
        _ => node.object(&["op", "from", "to", "optional"])?,
    };
    let to = object.need("to")?;
    let target = Pointer::read(to)?;
    if target.root != Root::X || target.name().contains('/') {
        return Err(to.problem("must be /x/ and a name"));
    }
    let how = match op {
        Op::Base64Json => Unwrap::Base64Json,
        Op::Json => Unwrap::Json,
        Op::Form => Unwrap::Form,
        Op::Jwt => {
            let hashes = [("HS256", Hash::Sha256), ("HS384", Hash::Sha384), ("HS512", Hash::Sha512)];
            Unwrap::Jwt {
                algorithms: object.need("alg")?.each(|item| item.word(&hashes))?,
                key: object.need("key")?.text()?,
                leeway_s: object.or("leeway_s", LEEWAY_DEFAULT_S, |node| node.number(0..=LEEWAY_MAX_S))?,
            }
        }
    };
    Ok(UnwrapStep {
        from: Pointer::read(object.need("from")?)?,
        to: target.name(),
        optional: object.or("optional", false, |node| node.switch())?,
        how,
    })
}

fn secrets<'a>(node: Node<'a, '_>) -> Read<Vec<(&'a str, SecretRule)>> {
    node.open()?.members(|name, node| {
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !fits {
            return Err(node.problem("a secret's name is 1 to 64 of letters, digits and _"));
        }
        let object = node.object(&["decode", "derive", "kind"])?;
        let decodes = [("utf8", Decode::Utf8), ("hex", Decode::Hex), ("base64", Decode::Base64)];
        let derives = [
            ("none", None),
            ("md5", Some(Hash::Md5)),
            ("sha1", Some(Hash::Sha1)),
            ("sha256", Some(Hash::Sha256)),
            ("sha512", Some(Hash::Sha512)),
        ];
        let kinds = [("secret", false), ("public_key", true)];
        Ok(SecretRule {
            decode: object.or("decode", Decode::Utf8, |node| node.word(&decodes))?,
            derive: object.or("derive", None, |node| node.word(&derives))?,
            public_key: object.or("kind", false, |node| node.word(&kinds))?,
        })
    })
}

/// Why there is no document.
#[derive(Debug)]
pub(super) enum Absent {
    /// None was given yet.
    NotGiven,
    /// It can't be read.
    Wrong(Wrong),
}

/// The document of an account: its own, else that of its preset.
pub(super) fn of(account: &Account) -> Result<Document<'_>, Absent> {
    of_settings(&account.settings)
}

pub(super) fn of_settings(settings: &Settings) -> Result<Document<'_>, Absent> {
    if let Some(value) = settings.own.get("document").filter(|value| !value.is_null()) {
        return Document::read(value, "/settings/document").map_err(Absent::Wrong);
    }
    let preset = settings.own.get("preset").and_then(Value::as_str).and_then(super::presets::document);
    Document::read(preset.ok_or(Absent::NotGiven)?, "/settings/preset").map_err(Absent::Wrong)
}
