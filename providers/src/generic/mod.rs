//! A provider without code: a configuration document says how its requests are read, proved, mapped and answered.
//!
//! The document is the setting `document`; the secrets that it names are the integration's credentials. Order of
//! work: size limit → parse → unwrap → checks → rules → map → answer; nothing of the content is believed before the
//! checks passed. It is read anew for each request: it borrows from the settings, so that costs a few microseconds
//! and nothing is shared between requests.
//!
//! * Pointers are JSON pointers (<https://www.rfc-editor.org/rfc/rfc6901>) into `/body`, `/query`, `/headers/NAME`,
//!   `/path/kind`, `/raw`, `/method` and `/x/NAME` (what was unwrapped).
//! * Numbers count as they were written: `900.50` is signed as `900.50`.
//! * A document in mode live needs a check that proves the sender, or `confirm.fetch`.
//! * Capture, cancel, refund and charge are not part of the language: a provider that needs them deserves an adapter.
//!
//! [`explain`] tells every step for the person who writes a document.

mod about;
mod amount;
mod api;
mod base;
mod canonical;
mod confirm;
mod create;
mod diagnose;
mod document;
mod envelope;
mod explain;
mod functions;
mod imitate;
mod keys;
mod mapping;
mod mask;
mod pointer;
mod presets;
mod prove;
mod reader;
mod receive;
mod reply;
mod scheme;
mod sources;
mod states;
mod template;
#[cfg(test)]
mod tests;
mod validate;

pub use about::ABOUT;
pub use explain::{Explanation, Step as ExplainStep, Verdict as ExplainVerdict, explain};

use std::collections::BTreeMap;

use crate::about::Problem;
use crate::operation::{Sample, Wish};
use crate::{
    About, Account, Answer, Failure, Fault, Operation, Outcome, Provider, Received, Reject, Reply, Request,
    Settings, Step,
};

/// What the note of a request says that is only kept to be looked at (mode `observe`).
pub const OBSERVED: &str = "observed";

/// The configurable adapter.
pub struct Generic;

/// The name that a document gives its provider, for the event's `provider`: `None` while there is no good document,
/// but of the preset `flowell` always `flowell`.
#[must_use]
pub fn slug(account: &Account) -> Option<String> {
    match document::of(account) {
        Ok(document) => Some(document.slug.to_owned()),
        Err(_) => {
            account.setting("preset").filter(|name| name.starts_with("flowell")).map(|_| "flowell".to_owned())
        }
    }
}

/// Where a payment that was not created here gets contact and order from, in the form of the settings `contact_from` and
/// `order_from`, which go before them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// `map.contact`: rules by member.
    pub contact: Option<BTreeMap<String, String>>,
    /// `map.order`: rules by member.
    pub order: Option<BTreeMap<String, String>>,
}

/// What the document says of contact and order; nothing while there is no good document.
#[must_use]
pub fn sources(settings: &Settings) -> Sources {
    let document = document::of_settings(settings).ok();
    let map = match document.map(|document| (document.confirm, document.map)) {
        // What is kept of a confirmed payment is the answer of the provider's API.
        Some((Some(confirm::Confirm::Fetch(fetch)), _)) => Some(fetch.map),
        Some((_, map)) => map,
        None => None,
    };
    map.map_or_else(Sources::default, |map| Sources { contact: map.contact, order: map.order })
}

impl Provider for Generic {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn validate(&self, account: &Account) -> Vec<Problem> {
        validate::validate(account)
    }

    fn receive(&self, request: &Request, account: &Account) -> Result<Received, Reject> {
        receive::receive(request, account)
    }

    fn answer(&self, request: &Request, outcome: &Outcome<'_>, account: &Account) -> Answer {
        reply::answer(request, outcome, account)
    }

    fn begin(&self, operation: &Operation, account: &Account) -> Step {
        with(operation, account, |document, keys| match &operation.wish {
            Wish::Create(order) => {
                let create = document.create.as_ref();
                create.map(|create| create.begin(order, operation, keys, account))
            }
            Wish::Status(target) => confirm::fetch(document).map(|fetch| fetch.begin(target, keys, account)),
            _ => None,
        })
    }

    fn next(&self, operation: &Operation, _: &str, reply: &Reply, account: &Account) -> Step {
        with(operation, account, |document, _| match &operation.wish {
            Wish::Create(_) => document.create.as_ref().map(|create| create.next(reply)),
            Wish::Status(target) => confirm::fetch(document).map(|fetch| fetch.next(target, reply)),
            _ => None,
        })
    }

    fn imitate(&self, sample: &Sample, account: &Account) -> Result<Request, String> {
        imitate::imitate(sample, account)
    }
}

/// Does something with the account's document; what it has no words for is not supported.
fn with(
    operation: &Operation,
    account: &Account,
    act: impl FnOnce(&document::Document<'_>, keys::Keys<'_>) -> Option<Step>,
) -> Step {
    let document = match document::of(account) {
        Ok(document) => document,
        Err(document::Absent::NotGiven) => {
            return Failure::never(Fault::Merchant, "the integration has no document yet").into();
        }
        Err(document::Absent::Wrong(wrong)) => {
            return Failure::never(Fault::Merchant, wrong.to_string()).into();
        }
    };
    let keys = keys::Keys::new(&document, account);
    act(&document, keys).unwrap_or_else(|| {
        let why = match &operation.wish {
            Wish::Create(_) => "the document has no create: make the payment at the provider",
            Wish::Status(_) => "the document has no confirm.fetch: the provider's API can't be asked",
            _ => "a document can't describe this operation: do it in the provider's dashboard",
        };
        Failure::never(Fault::Caller, why).into()
    })
}
