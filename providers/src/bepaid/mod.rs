//! bePaid (Belarus), and other shops on the same software, beGateway.
//!
//! Facts, from <https://docs.bepaid.by/en/using_api/webhooks/>, …/integration/ and the official SDK (begateway-api-php):
//!
//! - One address gets four shapes of body: transactions of cards, transactions of other methods (ERIP), "payment token
//!   expired" of the pay page, and subscriptions. The last two have no `transaction`.
//! - Two proofs: `Content-Signature` (RSA, SHA-256, over the body as sent, with a key that only bePaid holds) and HTTP
//!   Basic with the shop's id and secret key. Where the signature and the public key are there, the signature decides.
//! - Amounts are integers of minor units by beGateway's own table, which differs from ISO 4217 for some currencies.
//! - The pay page knows its token before there is a transaction; captures, voids and refunds are transactions of their
//!   own that name their parent, and often no order number.
//! - Only 200 counts; a refusal brings the notification again up to 15 times in 37 hours.
//! - There are no idempotency keys: what may have been done must be looked up, not repeated.

mod about;
mod amount;
mod create;
mod diagnose;
mod imitate;
mod operations;
mod prove;
mod receive;
mod replies;
mod status;
mod transaction;

pub use about::ABOUT;

use crate::operation::Sample;
use crate::{About, Account, Answer, Operation, Outcome, Provider, Received, Reject, Reply, Request, Step};

/// The adapter.
pub struct BePaid;

impl Provider for BePaid {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn validate(&self, account: &Account) -> Vec<crate::about::Problem> {
        about::validate(account)
    }

    fn receive(&self, request: &Request, account: &Account) -> Result<Received, Reject> {
        receive::receive(request, account)
    }

    fn answer(&self, _request: &Request, outcome: &Outcome<'_>, _account: &Account) -> Answer {
        match outcome {
            // Genuine but not wanted: a no would only bring it again.
            Outcome::Accepted | Outcome::Duplicate | Outcome::Told(_) | Outcome::Refused(_) => {
                Answer::text(200, "OK")
            }
            Outcome::Rejected(reject) if reject.kind.is_unreadable() => Answer::text(400, "not understood"),
            Outcome::Rejected(_) => Answer::text(401, "refused"),
            Outcome::Busy => Answer::text(503, "come again"),
        }
    }

    fn begin(&self, operation: &Operation, account: &Account) -> Step {
        operations::begin(operation, account).unwrap_or_else(Step::Failed)
    }

    fn next(&self, operation: &Operation, memo: &str, reply: &Reply, account: &Account) -> Step {
        operations::next(operation, memo, reply, account).unwrap_or_else(Step::Failed)
    }

    fn imitate(&self, sample: &Sample, account: &Account) -> Result<Request, String> {
        imitate::imitate(sample, account)
    }
}
