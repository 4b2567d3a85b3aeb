//! JustClick (and its sister InfluencerSoft): a shop that owns the order and tells what becomes of it.
//!
//! * Notifications are nested forms; `hash` is MD5 over id, e-mail, a time and the API key. Neither the amount nor the
//!   kind of event is signed, so each is confirmed by asking `getOrderDetails` before it takes effect.
//! * Whether JustClick repeats a notification is not documented: the state is to be asked, too.
//! * There is no hold and no refund by API: money goes back at the acquirer, then a moneyback notification comes.
//!
//! Pages: <https://help.justclick.ru/archives/613> (paid), <https://help.justclick.ru/archives/605> (created),
//! <https://help.justclick.ru/archives/582> (`CreateOrder`), <https://help.justclick.ru/archives/511> (answers, codes),
//! <https://help.justclick.io/archives/592> (`UpdateOrderStatus`), <https://help.justclick.io/archives/2656>
//! (`getOrderDetails`).

mod about;
mod api;
mod imitate;
mod notice;
mod operations;

pub use about::ABOUT;

use crate::about::Problem;
use crate::operation::Sample;
use crate::{About, Account, Answer, Operation, Outcome, Provider, Received, Reject, Reply, Request, Step};

/// The adapter.
pub struct JustClick;

impl Provider for JustClick {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn validate(&self, account: &Account) -> Vec<Problem> {
        about::validate(account)
    }

    fn receive(&self, request: &Request, account: &Account) -> Result<Received, Reject> {
        notice::receive(request, account)
    }

    fn answer(&self, _: &Request, outcome: &Outcome<'_>, _: &Account) -> Answer {
        notice::answer(outcome)
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
