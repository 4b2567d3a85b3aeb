//! Cryptopay.me, business payments in crypto currencies (not Crypto Pay of @CryptoBot, which is [`crate::cryptobot`]).
//!
//! Facts, from <https://developers.cryptopay.me/guides/api-basics/callbacks>, …/invoices/invoice-statuses and
//! …/api-basics/authentication/signature:
//!
//! - `X-Cryptopay-Signature` is hex(HMAC-SHA256(callback secret, body as sent)); the API is signed with another secret.
//! - Amounts are decimal texts. The price (`price_amount`) is the order's; what is paid is a coin.
//! - An `unresolved` invoice (underpaid, overpaid, paid late, held for its origin) has money in it and waits for a
//!   decision: recalculation by what was really paid ("capture"), or refund ("cancel"). A recalculation changes the
//!   price.
//! - `refunded` is said of an invoice that never succeeded, which is canceled then, and of one that had: a refund of all.
//! - An answer other than 200 within 10 s is repeated up to 20 times; events come twice and in any order.
//! - There are no idempotency keys: what may have been done must be looked up, not repeated.

mod about;
mod imitate;
mod objects;
mod operations;
mod receive;
mod replies;

pub use about::ABOUT;

use crate::operation::Sample;
use crate::{About, Account, Answer, Operation, Outcome, Provider, Received, Reject, Reply, Request, Step};

/// The adapter.
pub struct Cryptopay;

impl Provider for Cryptopay {
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
            // A no would only bring it again: what is genuine is answered positively.
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

/// Header of a callback's signature.
const SIGNATURE: &str = "x-cryptopay-signature";

/// Whether the account is of the sandbox: no object says so.
fn is_test(account: &Account) -> bool {
    account.setting("environment") == Some("sandbox")
}
