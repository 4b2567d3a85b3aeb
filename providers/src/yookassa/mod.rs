//! YooKassa (formerly Yandex.Kassa), API v3, and the older "commonHTTP-3.0" notifications of Yandex.Kassa.
//!
//! * Notifications are unsigned: the documentation names the object's status, asked by API, and the sender's address
//!   as the only checks. So nothing here is ever [`crate::Proof::Signed`] but the old protocol (MD5 with a password).
//! * `paid` is true while the money is only held; `status` is the only field that says the state.
//! * There is no field for an order number: ours travels in `metadata.order_id`.
//!
//! Pages: <https://yookassa.ru/developers/using-api/webhooks>, <https://yookassa.ru/developers/api>,
//! <https://yookassa.ru/developers/using-api/response-handling/http-codes>; the old protocol:
//! <https://yookassa.ru/docs/payment-solution/>.

mod about;
mod errors;
mod imitate;
mod legacy;
mod objects;
mod operations;
mod receive;

pub use about::ABOUT;

use crate::about::Problem;
use crate::operation::Sample;
use crate::{About, Account, Answer, Operation, Outcome, Provider, Received, Reject, Reply, Request, Step};

/// The adapter.
pub struct YooKassa;

impl Provider for YooKassa {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn validate(&self, account: &Account) -> Vec<Problem> {
        about::validate(account)
    }

    fn receive(&self, request: &Request, account: &Account) -> Result<Received, Reject> {
        if legacy::speaks(request) {
            legacy::receive(request, account)
        } else {
            receive::receive(request, account)
        }
    }

    fn answer(&self, request: &Request, outcome: &Outcome<'_>, _: &Account) -> Answer {
        if legacy::speaks(request) { legacy::answer(request, outcome) } else { receive::answer(outcome) }
    }

    fn begin(&self, operation: &Operation, account: &Account) -> Step {
        operations::begin(operation, account)
    }

    fn next(&self, operation: &Operation, memo: &str, reply: &Reply, account: &Account) -> Step {
        operations::next(operation, memo, reply, account)
    }

    fn imitate(&self, sample: &Sample, account: &Account) -> Result<Request, String> {
        imitate::imitate(sample, account)
    }
}
