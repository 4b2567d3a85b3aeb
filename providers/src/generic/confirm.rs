//! Confirmation and status: the provider's API is asked, and its answer decides.

use super::api::{self, ApiAuth};
use super::document::Document;
use super::envelope::{Envelope, Failed};
use super::keys::Keys;
use super::mapping::Map;
use super::reader::{Node, Read};
use super::states::{States, Verdict};
use super::template::{Piece, Template};
use crate::operation::{Retry, Target};
use crate::{Account, Call, Done, Fact, Failure, Fault, Method, Note, Reply, Request, Step, form};

/// Longest time-out that a document may wish for, seconds. The router's own limit for calls holds in any case.
const TIMEOUT_MAX_S: u32 = 60;

/// What a URL of `confirm.fetch` may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    Provider,
    Order,
}

/// `confirm.fetch` with the map and rules of the answer.
#[derive(Debug)]
pub(super) struct Fetch<'a> {
    url: Template<'a, Id>,
    method: Method,
    pub(super) auth: ApiAuth<'a>,
    pub(super) map: Map<'a>,
    pub(super) states: States<'a>,
}

/// `confirm`.
#[derive(Debug)]
pub(super) enum Confirm<'a> {
    Fetch(Box<Fetch<'a>>),
    Manual,
}

impl<'a> Confirm<'a> {
    pub(super) fn read(node: Node<'a, '_>) -> Read<Confirm<'a>> {
        let object = node.object(&["fetch", "map", "states", "default_state", "manual"])?;
        let Some(fetch) = object.get("fetch") else {
            let manual = object.need("manual")?;
            return if manual.switch()? {
                Ok(Confirm::Manual)
            } else {
                Err(manual.problem("must be true, or give fetch"))
            };
        };
        let map = object.need("map")?;
        if let Some(payload) = map.open()?.get("payload") {
            return Err(payload.problem("is not a member here: the payload is the whole answer"));
        }
        let map = Map::read(map)?;
        let states = States::read(&object)?;
        let inner = fetch.object(&["url", "method", "auth", "timeout_s"])?;
        inner.maybe("timeout_s", |node| node.number(1..=TIMEOUT_MAX_S))?;
        let url = inner.need("url")?;
        let template = Template::read(url, |name| match name {
            "provider_id" => Ok(Id::Provider),
            "order_id" => Ok(Id::Order),
            _ => Err("knows {{provider_id}} and {{order_id}}".to_owned()),
        })?;
        let fetch = Fetch {
            url: template,
            method: inner.or("method", Method::Get, |node| {
                node.word(&[("GET", Method::Get), ("POST", Method::Post)])
            })?,
            auth: ApiAuth::read(&inner)?,
            map,
            states,
        };
        if fetch.host().is_none() {
            return Err(url.problem("must be an https:// URL whose host has no placeholder"));
        }
        Ok(Confirm::Fetch(Box::new(fetch)))
    }
}

impl Fetch<'_> {
    /// The host that is asked.
    pub(super) fn host(&self) -> Option<&str> {
        let Some(Piece::Text(first)) = self.url.0.first() else { return None };
        // The host is complete only when something follows it, or nothing is put in.
        let complete = !self.url.has_values() || first.get(8..).is_some_and(|rest| rest.contains('/'));
        api::host(first).filter(|_| complete)
    }

    pub(super) fn begin(&self, target: &Target, keys: Keys<'_>, account: &Account) -> Step {
        let provider_id = target.provider_id.as_deref().unwrap_or("");
        let needs_id = self.url.0.contains(&Piece::Value(Id::Provider));
        if needs_id && provider_id.is_empty() {
            let why = "the provider's id of the payment is not known yet";
            return Failure::never(Fault::Caller, why).into();
        }
        let url = self.url.fill(|id| match id {
            Id::Provider => form::encode_percent(provider_id),
            Id::Order => form::encode_percent(&target.order_number()),
        });
        let url = api::at_base(&url, account);
        let call = match self.method {
            Method::Post => Call::post(url, "application/json", Vec::new()),
            _ => Call::get(url),
        };
        match self.auth.apply(call.header("accept", "application/json"), keys) {
            Ok(call) => Step::send(call),
            Err(failed) => api::failure(failed, Fault::Merchant).into(),
        }
    }

    pub(super) fn next(&self, target: &Target, reply: &Reply) -> Step {
        match self.read(target, reply) {
            Ok(done) => Step::done(done),
            Err(failure) => failure.into(),
        }
    }

    fn read(&self, target: &Target, reply: &Reply) -> Result<Done, Failure> {
        let body = api::usable(reply, Retry::Later(None))?;
        let request = Request::post("application/json", body);
        let unreadable = |Failed(_, why): Failed| Failure::later(format!("the reply of the API {why}"));
        let envelope = Envelope::of_json(&request).map_err(unreadable)?;
        let unfit = |failed| api::failure(failed, Fault::Provider);
        let values = self.map.values(&envelope).map_err(unfit)?;
        let same = match (&target.provider_id, &values.reference) {
            (Some(id), _) => *id == values.provider_id,
            (None, Some(reference)) => *reference == target.order_number(),
            (None, None) => true,
        };
        if !same {
            return Err(Failure::never(Fault::Provider, "the reply of the API is about another payment"));
        }
        let (verdict, rule) = self.states.decide(&envelope).map_err(unfit)?;
        let dedupe = self.map.dedupe(&envelope, &values, verdict).map_err(unfit)?;
        let fact = match (verdict, rule) {
            (Verdict::Reject, _) | (Verdict::Ignore, None) => Fact::Note(Note {
                what: "unknown".to_owned(),
                why: "no rule of the document knows the state that the API tells".to_owned(),
                payment: values.payment(),
            }),
            _ => values.fact(verdict, &dedupe, false).map_err(unfit)?,
        };
        let payload = self.map.payload(&envelope, true).map_err(unfit)?;
        Ok(Done {
            provider_id: Some(values.provider_id),
            facts: vec![fact],
            payload: Some(payload),
            ..Done::default()
        })
    }
}

/// The fetch that answers for a payment's state, where the document has one.
pub(super) fn fetch<'d, 'a>(document: &'d Document<'a>) -> Option<&'d Fetch<'a>> {
    match &document.confirm {
        Some(Confirm::Fetch(fetch)) => Some(fetch),
        _ => None,
    }
}
