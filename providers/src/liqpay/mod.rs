//! LiqPay (PrivatBank, Ukraine).
//!
//! - Notification: a form with `data` (base64 of a JSON object) and `signature`
//!   (<https://www.liqpay.ua/documentation/en/api/callback>); signature: base64 of the raw digest of
//!   `private_key + data + private_key` (<https://www.liqpay.ua/documentation/en/api/data_signature>): SHA-1 (28
//!   characters), or SHA3-256 (44 characters) from version 7 on. LiqPay publishes no source addresses.
//! - Answer: not documented; 200 is taken as kept, repetitions are not promised.
//! - Amounts: JSON numbers of major units, sometimes with a needless zero (`7.0`).
//! - `order_id` is our number; `payment_id` LiqPay's. A further attempt after a decline needs a new `order_id`. Charges
//!   of a subscription carry its `order_id` and each a `payment_id` of its own.
//! - Operations: a checkout link or form, and `POST /api/request` with the same envelope
//!   (<https://www.liqpay.ua/documentation/en/api/aquiring/>). Its answers are not signed. Releasing a hold is a refund.
//!   No idempotency but for the `order_id`.
//! - Refunds have no id: `refund_amount` is taken as the total so far, and without it the status API is asked.
//!
//! Metadata of a payment with a meaning here: `subscribe` (`{"periodicity": "day"|"week"|"month"|"year",
//! "date_start": "YYYY-MM-DD HH:MM:SS"}` in UTC) makes a subscription; `ip` is the payer's address, which a charge of a
//! saved card needs.

mod about;
mod errors;
mod imitate;
mod operations;
mod receive;
mod replies;
mod sign;
#[cfg(test)]
mod tests;
mod wire;

pub use about::ABOUT;

use crate::about::{About, Problem};
use crate::account::Account;
use crate::http::{Reply, Request};
use crate::operation::{Operation, Sample, Step};
use crate::outcome::{Answer, Outcome, Received, Reject};

/// What both keys of a test pair begin with.
const TEST_PREFIX: &str = "sandbox_";

/// LiqPay's adapter.
pub struct LiqPay;

impl crate::Provider for LiqPay {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn validate(&self, account: &Account) -> Vec<Problem> {
        let (public, private) = (account.text("public_key"), account.text("private_key"));
        if public.is_empty() || private.is_empty() {
            return Vec::new();
        }
        if public == private {
            return vec![Problem::credential("private_key", "is the same text as public_key")];
        }
        let (public, private) = (public.starts_with(TEST_PREFIX), private.starts_with(TEST_PREFIX));
        if public != private {
            let detail = "both keys must be of one pair: either both begin with sandbox_ or none";
            return vec![Problem::credential("private_key", detail)];
        }
        Vec::new()
    }

    fn receive(&self, request: &Request, account: &Account) -> Result<Received, Reject> {
        receive::receive(request, account)
    }

    /// LiqPay reads nothing but the status; a repetition can't help a payment that nobody knows.
    fn answer(&self, _request: &Request, outcome: &Outcome<'_>, _account: &Account) -> Answer {
        match outcome {
            Outcome::Accepted | Outcome::Duplicate | Outcome::Told(_) | Outcome::Refused(_) => {
                Answer::text(200, "OK")
            }
            Outcome::Rejected(reject) if reject.kind.is_unreadable() => Answer::text(400, "bad request"),
            Outcome::Rejected(_) => Answer::text(403, "forbidden"),
            Outcome::Busy => Answer::text(500, "try again later"),
        }
    }

    fn begin(&self, operation: &Operation, account: &Account) -> Step {
        operations::begin(operation, account)
    }

    fn next(&self, operation: &Operation, _memo: &str, reply: &Reply, account: &Account) -> Step {
        replies::next(operation, reply, account)
    }

    fn imitate(&self, sample: &Sample, account: &Account) -> Result<Request, String> {
        imitate::imitate(sample, account)
    }
}
