//! UAPAY (Ukraine).
//!
//! - Callback: `POST` of `{"token": "<JWT>"}`
//!   (<https://uapayua.atlassian.net/wiki/spaces/AC/pages/2592146040>); the JWT is HS256 with the text of the SECRET KEY,
//!   has no `exp`, and may have a text as `iat`. Three generations of payload occur: of invoices, of operations, of
//!   orders.
//! - Answer: 200 means delivered; anything else is repeated five times within a day. The body is not looked at.
//! - `paymentStatus` decides, `status` only refines. Amounts are whole kopecks; the currency is the hryvnia.
//! - `externalId` is our number, `invoiceId` is known from the creation on and kept as the payment's operation key,
//!   `paymentId` appears with the first attempt. An invoice is paid once; another attempt needs another one.
//! - Operations: a session first (`sessions/create`), then the call, each signed like a callback and answered likewise.
//!   Capture, cancel and refund first look at the invoice, so that they know its ids and do nothing twice.
//! - A partial refund's sum in a later callback is not documented: `REVERSED` is taken as the total that went back.
//!
//! Metadata of a payment with a meaning here: `subscribe` (`{"interval_days": 30, "expires_at": <Unix ms>}`) makes a
//! subscription that UAPAY charges by itself.

mod about;
mod calls;
mod imitate;
mod operations;
mod receive;
mod replies;
#[cfg(test)]
mod tests;
mod wire;

pub use about::ABOUT;

use crate::about::{About, Problem};
use crate::account::Account;
use crate::http::{Reply, Request};
use crate::operation::{Operation, Sample, Step};
use crate::outcome::{Answer, Outcome, Received, Reject};

/// UAPAY's adapter.
pub struct Uapay;

impl crate::Provider for Uapay {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn validate(&self, account: &Account) -> Vec<Problem> {
        let (id, key) = (account.text("client_id"), account.text("secret_key"));
        if !id.is_empty() && id == key {
            return vec![Problem::credential("secret_key", "is the same text as client_id")];
        }
        Vec::new()
    }

    fn receive(&self, request: &Request, account: &Account) -> Result<Received, Reject> {
        receive::receive(request, account)
    }

    /// Only the status counts; a repetition can't help a payment that nobody knows.
    fn answer(&self, _request: &Request, outcome: &Outcome<'_>, _account: &Account) -> Answer {
        match outcome {
            Outcome::Accepted | Outcome::Duplicate | Outcome::Told(_) | Outcome::Refused(_) => {
                Answer::text(200, "OK")
            }
            Outcome::Rejected(reject) if reject.kind.is_unreadable() => Answer::text(400, "bad request"),
            Outcome::Rejected(_) => Answer::text(403, "forbidden"),
            Outcome::Busy => Answer::text(503, "try again later"),
        }
    }

    fn begin(&self, operation: &Operation, account: &Account) -> Step {
        operations::begin(operation, account).unwrap_or_else(Step::from)
    }

    fn next(&self, operation: &Operation, memo: &str, reply: &Reply, account: &Account) -> Step {
        operations::next(operation, memo, reply, account).unwrap_or_else(Step::from)
    }

    fn imitate(&self, sample: &Sample, account: &Account) -> Result<Request, String> {
        imitate::imitate(sample, account)
    }
}
