//! CloudPayments (Russia), and TipTop Pay (Kazakhstan), which speaks the same protocol.
//!
//! Facts, from <https://developers.cloudpayments.ru/> (notifications, codes, retries, HMAC, API):
//!
//! - A notification has no field that says what it is: Check, Pay, Fail, Confirm, Refund, Recurrent, Cancel and the
//!   others are told apart by the URL that the merchant gave to each. A Check carries `Status=Completed` before
//!   anything was paid, and it is genuinely signed; so the kind of the URL and the fields of the body must agree.
//! - `Content-HMAC` is base64(HMAC-SHA256(API secret, body as sent)); `X-Content-HMAC` is over the URL-decoded body.
//!   The decoded text does not fix where fields begin and end, so by itself it proves nothing to act on.
//! - Anything but `{"code":0}` is repeated up to 100 times (Check: declines the payment).
//! - Several attempts with transaction ids of their own share one order number (`InvoiceId`).

mod about;
mod diagnose;
mod imitate;
mod message;
mod operations;
mod receive;
mod reply;

pub use about::ABOUT;

use crate::operation::Sample;
use crate::{
    About, Account, Answer, Operation, Outcome, Provider, Received, Refusal, Reject, Reply, Request, Step,
};

/// The CloudPayments adapter.
pub struct CloudPayments;

impl Provider for CloudPayments {
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
            Outcome::Accepted | Outcome::Duplicate | Outcome::Told(_) => Answer::json(200, r#"{"code":0}"#),
            Outcome::Refused(refusal) => Answer::json(200, format!(r#"{{"code":{}}}"#, code(*refusal))),
            Outcome::Rejected(reject) => {
                Answer::json(if reject.kind.is_unreadable() { 400 } else { 403 }, r#"{"code":13}"#)
            }
            Outcome::Busy => Answer::json(500, r#"{"code":13}"#),
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

/// The code that says no; for a Check it is also what the payer and the cabinet are told.
const fn code(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::UnknownPayment => 10,
        Refusal::UnknownAccount => 11,
        Refusal::WrongAmount | Refusal::WrongCurrency => 12,
        Refusal::AlreadyPaid | Refusal::Closed | Refusal::NotAccepted => 13,
        Refusal::Expired => 20,
    }
}
