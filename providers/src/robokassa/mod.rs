//! Robokassa (Russia, Kazakhstan).
//!
//! Facts, from <https://docs.robokassa.ru/pay-interface>, <https://docs.robokassa.ru/ru/notifications-and-redirects>,
//! <https://docs.robokassa.ru/ru/holding>, <https://docs.robokassa.ru/xml-interfaces>,
//! <https://docs.robokassa.ru/ru/refund-api>, <https://docs.robokassa.ru/recurring>:
//!
//! - ResultURL tells that money was received; it is proved by a hash over `OutSum:InvId:Password #2[:Shp_…]`, over
//!   the very characters that came (six decimals live, two in test mode).
//! - ResultUrl2 tells of a hold or a payment; it is a JWS signed by Robokassa's RSA key, which changes once a year.
//! - Nothing is pushed for declines, expired holds and refunds: those have to be asked for (OpStateExt, GetState).
//! - No notification has a currency: it is the account's. Test payments are signed with other passwords.
//! - There are no idempotency keys: what may have been done must be looked up, not repeated.

mod about;
mod diagnose;
mod imitate;
mod keys;
mod notice;
mod operations;
mod pay;
mod receive;
mod refunds;
mod result;
mod shop;
mod state;

pub use about::ABOUT;

use crate::operation::Sample;
use crate::outcome::RejectKind;
use crate::{About, Account, Answer, Operation, Outcome, Provider, Received, Reject, Reply, Request, Step};

/// The Robokassa adapter.
pub struct Robokassa;

impl Provider for Robokassa {
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
            Outcome::Accepted | Outcome::Duplicate | Outcome::Told(_) => {
                Answer::text(200, format!("OK{}", receive::invoice(request).unwrap_or_default()))
            }
            Outcome::Refused(_) => Answer::text(409, "refused"),
            Outcome::Rejected(reject) => match reject.kind {
                kind if kind.is_unreadable() => Answer::text(400, "bad request"),
                RejectKind::MissingProof | RejectKind::WrongProof => Answer::text(403, "bad sign"),
                _ => Answer::text(403, "refused"),
            },
            Outcome::Busy => Answer::text(500, "try again later"),
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
