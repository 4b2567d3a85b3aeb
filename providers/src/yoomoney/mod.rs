//! YooMoney wallet (formerly Yandex.Money): the payment form and its notifications. Not YooKassa: other host, other
//! protocol, other addresses.
//!
//! * Since 18 May 2026 notifications are proved by `sign` (HMAC-SHA256 over every parameter); `sha1_hash`, which most
//!   published libraries still check, is no longer sent.
//! * `amount` is what is left after the fee; `withdraw_amount` is what the payer paid.
//! * Nothing protects the form: the payer may change the sum, so the amount counts, not the label.
//! * Three deliveries within an hour, then silence: the state is to be asked, too (needs `access_token`).
//!
//! Pages: <https://yoomoney.ru/docs/payment-buttons/using-api/notifications>,
//! <https://yoomoney.ru/docs/payment-buttons/using-api/forms>,
//! <https://yoomoney.ru/docs/wallet/user-account/operation-history>.

mod about;
mod imitate;
mod operations;
mod receive;
mod sign;

pub use about::ABOUT;

use crate::about::Problem;
use crate::operation::Sample;
use crate::{About, Account, Answer, Operation, Outcome, Provider, Received, Reject, Reply, Request, Step};

/// The adapter.
pub struct YooMoney;

impl Provider for YooMoney {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn validate(&self, account: &Account) -> Vec<Problem> {
        about::validate(account)
    }

    fn receive(&self, request: &Request, account: &Account) -> Result<Received, Reject> {
        receive::receive(request, account)
    }

    fn answer(&self, _: &Request, outcome: &Outcome<'_>, _: &Account) -> Answer {
        receive::answer(outcome)
    }

    fn begin(&self, operation: &Operation, account: &Account) -> Step {
        operations::begin(operation, account)
    }

    fn next(&self, operation: &Operation, _: &str, reply: &Reply, account: &Account) -> Step {
        operations::next(operation, reply, account)
    }

    fn imitate(&self, sample: &Sample, account: &Account) -> Result<Request, String> {
        imitate::imitate(sample, account)
    }
}
