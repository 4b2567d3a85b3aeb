//! Creating a payment: a link, a form or a call, with the parameters that the document lists.

use serde_json::{Map, Value};

use super::api::{self, ApiAuth};
use super::base::Builder;
use super::envelope::{Envelope, Failed};
use super::keys::Keys;
use super::pointer::{Pointer, Root};
use super::prove;
use super::reader::{Node, Read};
use super::scheme::{self, Case, Encoding, Signature};
use super::template::Template;
use crate::operation::{Create as Order, Retry};
use crate::{Account, Call, Done, Failure, Fault, Link, Operation, Reply, Request, Step, form, json};

/// How the payer gets to the payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Link,
    Form,
    Api,
}

/// What a parameter may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    OrderId,
    AmountMajor,
    AmountMajorMin,
    AmountMinor,
    Currency,
    Description,
    ReturnUrl,
    NotifyUrl,
    Phone,
    Email,
}

const NAMES: [(&str, Name); 11] = [
    ("order_id", Name::OrderId),
    ("amount_major", Name::AmountMajor),
    ("amount_major_min", Name::AmountMajorMin),
    ("amount_minor", Name::AmountMinor),
    ("currency", Name::Currency),
    ("description", Name::Description),
    ("success_url", Name::ReturnUrl),
    ("fail_url", Name::ReturnUrl),
    ("notify_url", Name::NotifyUrl),
    ("phone", Name::Phone),
    ("email", Name::Email),
];

#[derive(Debug)]
struct Sign<'a> {
    param: &'a str,
    signature: Signature<'a>,
    encoding: Encoding,
    case: Case,
}

#[derive(Debug)]
struct Found<'a> {
    url: Pointer<'a>,
    provider_id: Option<Pointer<'a>>,
}

/// `create`.
#[derive(Debug)]
pub(super) struct Create<'a> {
    kind: Kind,
    url: &'a str,
    params: Vec<(&'a str, Template<'a, Name>)>,
    sign: Option<Sign<'a>>,
    is_json: bool,
    auth: ApiAuth<'a>,
    idempotency_header: Option<&'a str>,
    result: Option<Found<'a>>,
}

const MEMBERS: [&str; 8] = ["kind", "url", "params", "sign", "body", "auth", "idempotency_header", "result"];

impl<'a> Create<'a> {
    pub(super) fn read(node: Node<'a, '_>) -> Read<Create<'a>> {
        let object = node.object(&MEMBERS)?;
        let kinds = [("link", Kind::Link), ("form", Kind::Form), ("api", Kind::Api)];
        let kind = object.need("kind")?.word(&kinds)?;
        let url = object.need("url")?;
        if api::host(url.text()?).is_none() {
            return Err(url.problem("must be an https:// URL"));
        }
        if kind == Kind::Api {
            object.need("result")?;
        } else if let Some(name) =
            ["body", "auth", "idempotency_header", "result"].into_iter().find(|name| object.has(name))
        {
            return Err(node.problem(format!("{name} is for kind api only")));
        }
        Ok(Create {
            kind,
            url: url.text()?,
            params: object.need("params")?.each(param)?,
            sign: object.maybe("sign", sign)?,
            is_json: object.or("body", true, |node| node.word(&[("json", true), ("form", false)]))?,
            auth: ApiAuth::read(&object)?,
            idempotency_header: object.maybe("idempotency_header", |node| {
                let name = node.text()?;
                super::reply::header_name(name).map_err(|why| node.problem(why))?;
                Ok(name)
            })?,
            result: object.maybe("result", found)?,
        })
    }

    /// The host that the payer or we go to.
    pub(super) fn host(&self) -> Option<&'a str> {
        api::host(self.url)
    }

    /// Whether we call it ourselves.
    pub(super) fn is_call(&self) -> bool {
        self.kind == Kind::Api
    }

    /// The secrets that it needs.
    pub(super) fn secrets(&self) -> Vec<&'a str> {
        let mut names = self.auth.secrets();
        if let Some(sign) = &self.sign {
            names.extend(super::reply::secrets_of(&sign.signature));
        }
        names
    }

    pub(super) fn begin(
        &self,
        order: &Order,
        operation: &Operation,
        keys: Keys<'_>,
        account: &Account,
    ) -> Step {
        if order.hold {
            return Failure::never(
                Fault::Caller,
                "the configured provider has no holds: create the payment without hold",
            )
            .into();
        }
        let params = match self.params(order, keys) {
            Ok(params) => params,
            Err(failed) => return api::failure(failed, Fault::Merchant).into(),
        };
        let url = api::at_base(self.url, account);
        match self.kind {
            Kind::Link => {
                let mark = if url.contains('?') { '&' } else { '?' };
                let pairs: Vec<_> = params
                    .iter()
                    .map(|(name, value)| format!("{}={}", form::encode_php(name), form::encode_php(value)))
                    .collect();
                Step::link(Link::Url(format!("{url}{mark}{}", pairs.join("&"))))
            }
            Kind::Form => Step::link(Link::Form { action: url, fields: params }),
            Kind::Api => self.call(url, params, operation, keys),
        }
    }

    /// The parameters in order, the signature last.
    fn params(&self, order: &Order, keys: Keys<'_>) -> Result<Vec<(String, String)>, Failed> {
        let fill = |template: &Template<'_, Name>| template.fill(|name| value(*name, order));
        let mut params: Vec<(String, String)> =
            self.params.iter().map(|(name, template)| ((*name).to_owned(), fill(template))).collect();
        if let Some(sign) = &self.sign {
            let object: Map<String, Value> =
                params.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
            let nothing = Request::post("", Vec::new());
            let envelope = Envelope::of_params(&nothing, object);
            let base = Builder::new(&envelope, keys, false).build(&sign.signature.base)?;
            let digest = prove::sign(&sign.signature, &base.bytes, keys)?;
            params.push((sign.param.to_owned(), prove::encode(sign.encoding, sign.case, &digest)));
        }
        Ok(params)
    }

    fn call(
        &self,
        url: String,
        params: Vec<(String, String)>,
        operation: &Operation,
        keys: Keys<'_>,
    ) -> Step {
        let call = if self.is_json {
            let object: Map<String, Value> =
                params.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
            Call::post(url, "application/json", Value::Object(object).to_string())
        } else {
            let pairs = params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            Call::post(url, "application/x-www-form-urlencoded", form::build(pairs))
        };
        let mut call = call.header("accept", "application/json");
        if let Some(name) = self.idempotency_header {
            call = call.header(&name.to_ascii_lowercase(), operation.context.idempotency_key.as_str());
        }
        match self.auth.apply(call, keys) {
            Ok(call) => Step::send(call),
            Err(failed) => api::failure(failed, Fault::Merchant).into(),
        }
    }

    pub(super) fn next(&self, reply: &Reply) -> Step {
        match self.read_reply(reply) {
            Ok(done) => Step::done(done),
            Err(failure) => failure.into(),
        }
    }

    fn read_reply(&self, reply: &Reply) -> Result<Done, Failure> {
        // Without an idempotency key a repetition could make a second payment.
        let lost = if self.idempotency_header.is_some() { Retry::Later(None) } else { Retry::LookUp };
        let body = api::usable(reply, lost)?;
        let unreadable = |Failed(_, why): Failed| Failure {
            retry: lost,
            ..Failure::later(format!("the reply of the API {why}"))
        };
        let request = Request::post("application/json", body);
        let envelope = Envelope::of_json(&request).map_err(unreadable)?;
        let found = self.result.as_ref().ok_or_else(|| Failure::unsupported("create"))?;
        let text = |pointer: Pointer<'_>| {
            let text = envelope.first(&[pointer]).map_err(unreadable)?;
            Ok(text.map(std::borrow::Cow::into_owned))
        };
        let url = text(found.url)?.filter(|url| url.starts_with("https://"));
        let url = url.ok_or_else(|| {
            let why = format!("the reply of the API has no https:// link at {}", found.url.text);
            Failure::never(Fault::Provider, why)
        })?;
        let provider_id = match found.provider_id {
            Some(pointer) => text(pointer)?,
            None => None,
        };
        let payload = json::raw_body(body);
        Ok(Done { provider_id, link: Some(Link::Url(url)), payload, ..Done::default() })
    }
}

fn param<'a>(node: Node<'a, '_>) -> Read<(&'a str, Template<'a, Name>)> {
    let texts = node.texts()?;
    let [name, _] = texts.as_slice() else {
        return Err(node.problem("must be a list of a name and a template"));
    };
    let mut template = None;
    node.each(|item| {
        // The second item is read last, so it is the one that stays.
        template = Some(Template::read(item, |name| {
            NAMES.iter().find(|(known, _)| *known == name).map(|(_, name)| *name).ok_or_else(|| {
                let known: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
                format!("knows {}", known.join(", "))
            })
        })?);
        Ok(())
    })?;
    Ok((name, template.unwrap_or(Template(Vec::new()))))
}

fn sign<'a>(node: Node<'a, '_>) -> Read<Sign<'a>> {
    let object = node.object(&["param", "alg", "key", "base", "encoding", "case"])?;
    Ok(Sign {
        param: object.need("param")?.text()?,
        signature: Signature::read(&object)?,
        encoding: scheme::encoding(&object)?,
        case: scheme::case(&object, Case::Lower)?,
    })
}

fn found<'a>(node: Node<'a, '_>) -> Read<Found<'a>> {
    let object = node.object(&["url", "provider_id"])?;
    // As in the reply itself: `/pay_url` is `/body/pay_url` of its envelope.
    let inside = |node: Node<'a, '_>| {
        let text = node.text()?;
        if text.len() < 2 || !text.starts_with('/') {
            return Err(node.problem("must be a pointer into the reply, such as /pay_url"));
        }
        Ok(Pointer { root: Root::Body, rest: text, text })
    };
    Ok(Found { url: inside(object.need("url")?)?, provider_id: object.maybe("provider_id", inside)? })
}

fn value(name: Name, order: &Order) -> String {
    match name {
        Name::OrderId => order.number.to_string(),
        Name::AmountMajor => order.amount.decimal(),
        Name::AmountMajorMin => order.amount.shortest(),
        Name::AmountMinor => order.amount.minor.to_string(),
        Name::Currency => order.amount.currency.code().to_owned(),
        Name::Description => order.description.clone(),
        Name::ReturnUrl => order.return_url.clone().unwrap_or_default(),
        Name::NotifyUrl => order.notify_url.clone().unwrap_or_default(),
        Name::Phone => order.contact.as_ref().and_then(|contact| contact.phone.clone()).unwrap_or_default(),
        Name::Email => order.email.clone().unwrap_or_default(),
    }
}
