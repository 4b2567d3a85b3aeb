//! Crypto Pay of the Telegram bot @CryptoBot (not Cryptopay.me, which is [`crate::cryptopay`]).
//!
//! Facts, from <https://help.crypt.bot/crypto-pay-api>:
//!
//! - One kind of notification, `invoice_paid`; expiry and deletion are only seen by asking (`getInvoices`).
//! - `crypto-pay-api-signature` is hex(HMAC-SHA256(SHA-256 of the token as raw bytes, body as sent)).
//! - Delivery is "at least once"; `update_id` is documented as not unique, `request_date` changes with each try: only
//!   (`invoice_id`, `status`) tells two notifications apart.
//! - When all tries of an update fail the app's webhooks are switched off, so what is genuine is answered with 200.
//! - There is no refund, no hold, no idempotency of `createInvoice`; an unpaid double does no harm.

mod about;
mod imitate;
mod invoice;
mod operations;
mod receive;

pub use about::ABOUT;

use crate::digest::Hash;
use crate::http::Method;
use crate::operation::Sample;
use crate::{About, Account, Answer, Operation, Outcome, Provider, Received, Reject, Reply, Request, Step};

/// The adapter.
pub struct CryptoBot;

impl Provider for CryptoBot {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn validate(&self, account: &Account) -> Vec<crate::about::Problem> {
        about::validate(account)
    }

    fn receive(&self, request: &Request, account: &Account) -> Result<Received, Reject> {
        receive::receive(request, account)
    }

    fn answer(&self, request: &Request, outcome: &Outcome<'_>, _account: &Account) -> Answer {
        match outcome {
            Outcome::Accepted | Outcome::Duplicate | Outcome::Told(_) | Outcome::Refused(_) => {
                Answer::json(200, r#"{"ok":true}"#)
            }
            // A GET is never an update: the bot may look whether the address answers when webhooks are switched on.
            Outcome::Rejected(_) if request.method == Method::Get => Answer::text(200, ""),
            Outcome::Rejected(reject) if reject.kind.is_unreadable() => Answer::text(400, ""),
            Outcome::Rejected(_) => Answer::text(401, ""),
            Outcome::Busy => Answer::text(503, ""),
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

/// Header of the signature.
const SIGNATURE: &str = "crypto-pay-api-signature";

/// HMAC of a body; its key is the digest's bytes, not its hex text and not the token itself.
fn sign(token: &str, body: &[u8]) -> Vec<u8> {
    Hash::Sha256.hmac(&Hash::Sha256.digest(token.as_bytes()), body)
}

/// Whether the account is of the test network (@CryptoTestnetBot): nothing in an update says so.
fn is_test(account: &Account) -> bool {
    account.setting("network") == Some("test")
}
