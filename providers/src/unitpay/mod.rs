//! Unitpay (unitpay.ru, unitpay.money): card, SBP and wallet payments in Russia.
//!
//! The payment handler (<https://help.unitpay.ru/payments/payment-handler>) is one GET per step of a payment: `check`
//! before it, `preauth` when money is held, `pay` when it is taken, `error` when something failed. Everything stands
//! in the query as `method` and `params[NAME]`, signed with SHA-256 over the method, the values sorted by name and the
//! project's secret key, joined by `{up}`. The names themselves are not signed, so documented fields are demanded and
//! a value that holds the separator is not believed before the API confirmed it.
//!
//! The API (<https://help.unitpay.ru/payments/create-payment>) is a GET as well, with the secret in the URL: such a
//! URL must never be logged.
//!
//! Facts that shape this adapter:
//! - `pay` credits the merchant whatever we answer; a bad answer only marks the payment «Не завершен» (`error_pay`).
//! - `error` is not final: `pay` may still follow for the same number.
//! - There is no refund notification and no look-up by order number: refunds and lost notifications are found by
//!   asking `getPayment` with Unitpay's number, which is known from `check` or from `initPayment`.
//! - Every answer must be well-formed JSON with status 200; an empty or malformed one alarms the merchant.

mod about;
mod answer;
mod api;
mod create;
mod diagnosis;
mod imitate;
mod operations;
mod receive;
mod signature;

use crate::about::{About, Problem};
use crate::account::Account;
use crate::http::{Reply, Request};
use crate::operation::{Operation, Sample, Step};
use crate::outcome::{Answer, Outcome, Received, Reject};
use crate::{Provider, form};

pub use about::ABOUT;

/// The adapter.
pub struct Unitpay;

/// Life of a hold, milliseconds: about 114 hours from the payment's creation.
const HOLD_MS: i64 = 114 * 3_600_000;
/// The currency codes that the documentation lists (<https://help.unitpay.ru/book-of-reference/currency-codes>).
const CURRENCIES: &[&str] = &[
    "RUB", "EUR", "USD", "AUD", "AZN", "AMD", "BYN", "BGN", "BRL", "HUF", "KRW", "HKD", "DKK", "INR", "KZT",
    "CAD", "KGS", "CNY", "MDL", "TMT", "NOK", "PLN", "RON", "SGD", "TJS", "TRY", "UZS", "UAH", "GBP", "CZK",
    "SEK", "CHF", "ZAR", "JPY",
];

impl Provider for Unitpay {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn validate(&self, account: &Account) -> Vec<Problem> {
        let mut found = Vec::new();
        let from_key = account.text("public_key").split('-').next().unwrap_or("");
        let stated = account.text("project_id");
        if account.secret("public_key").is_some() && !is_number(from_key) {
            let detail = "must be the project's number, a dash and letters or digits, such as 15155-ae12d";
            found.push(Problem::credential("public_key", detail));
        } else if !stated.is_empty() && stated != from_key {
            let detail = format!("is another project than the public key's, which is {from_key}");
            found.push(Problem::credential("project_id", detail));
        }
        if account.secret("account_login").is_some() != account.secret("account_secret").is_some() {
            let detail = "account_login and account_secret are only useful together";
            found.push(Problem::credential("account_login", detail));
        }
        if !is_host(domain(account)) {
            let detail = "must be a bare host name such as unitpay.ru, without https:// and without a path";
            found.push(Problem::setting("domain", detail));
        }
        found
    }

    fn receive(&self, request: &Request, account: &Account) -> Result<Received, Reject> {
        receive::receive(request, account)
    }

    fn answer(&self, _request: &Request, outcome: &Outcome<'_>, _account: &Account) -> Answer {
        answer::answer(outcome)
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

/// The working domain that Unitpay's support gave the merchant.
fn domain(account: &Account) -> &str {
    account.setting("domain").unwrap_or("unitpay.ru")
}

/// Base URL of the pay form and of the API.
fn base(account: &Account) -> String {
    account.base(&format!("https://{}", domain(account))).to_owned()
}

/// The project's number: stated, or the part of the public key before the dash.
fn project_id(account: &Account) -> &str {
    match account.text("project_id") {
        "" => account.text("public_key").split('-').next().unwrap_or(""),
        stated => stated,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_host(text: &str) -> bool {
    text.contains('.')
        && !text.starts_with('.')
        && !text.ends_with('.')
        && form::encode(text) == text
        && !text.contains(['_', '~'])
}
