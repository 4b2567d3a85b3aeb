//! Uniteller: a Russian gateway in front of many acquiring banks; cards, SBP, SberPay, T-Pay.
//!
//! Uniteller documents its protocol in its technical orders (internet acquiring 1.43, payments with fiscalisation
//! 02.1.18; <https://www.uniteller.ru>), which it hands to merchants; a copy is kept with the PHP SDK
//! (<https://github.com/i3bepb/uniteller-php-sdk/tree/master/docs>).
//!
//! A notification is a form (or JSON) with `Order_ID`, `Status`, `Signature` and the extra fields that the payment
//! request asked for in `CallbackFields`. The signature is an MD5 over the bare concatenation of order, status, the
//! extra fields in the order of the request, and the password. So:
//! - It covers no amount unless `Total` was asked for, and where one value ends is not signed: amounts are believed
//!   only where the shapes of the values leave no choice ([`receive`]); all else is confirmed by asking `results`.
//! - `authorized` does not say whether it is a hold; `canceled` does not say whether it was one. `results` (with
//!   `need_confirm`) and the payment as we know it do.
//! - Failed payments are never notified: only `results` shows them.
//!
//! Uniteller may also ask us for an order's state («Настройки контроля статуса заказа»). That question is unsigned; it
//! is answered from what is known and changes nothing.

mod about;
mod answer;
mod charge;
mod create;
mod csv;
mod diagnosis;
mod errors;
mod imitate;
mod operations;
mod receive;
mod results;
mod signature;
mod xml;

use crate::Provider;
use crate::about::{About, Problem};
use crate::account::Account;
use crate::http::{Call, Reply, Request};
use crate::money::Currency;
use crate::operation::{Failure, Fault, Operation, Sample, Step};
use crate::outcome::{Answer, Outcome, Received, Reject};

pub use about::ABOUT;

/// The adapter.
pub struct Uniteller;

/// Acquiring without receipts; the setting `api_base` replaces this host and the two others.
const WPAY: &str = "https://wpay.uniteller.ru";
/// Acquiring with receipts.
const FPAY: &str = "https://fpay.uniteller.ru";
/// Pay links.
const API: &str = "https://api.uniteller.ru";
/// Extra fields that a notification can be asked to carry.
const CALLBACK_FIELDS: &[&str] = &[
    "AcquirerID",
    "ApprovalCode",
    "BillNumber",
    "Card_IDP",
    "CardNumber",
    "IssuerName",
    "Token_IDP",
    "Customer_IDP",
    "ECI",
    "EMoneyType",
    "PaymentType",
    "Total",
    "Balance",
];
/// Extra fields that are asked for, and expected, unless `callback_fields` says otherwise.
const CALLBACK_FIELDS_DEFAULT: &[&str] = &["BillNumber", "Total", "Balance"];
/// Documented length of `CallbackFields`, characters. Whether it is enforced is not known.
const CALLBACK_FIELDS_LEN_MAX: usize = 29;
/// Currencies of Uniteller's points of sale.
const CURRENCIES: &[&str] = &["RUB", "AZN", "EUR", "KGS", "KZT", "UAH", "USD"];

impl Provider for Uniteller {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn validate(&self, account: &Account) -> Vec<Problem> {
        let mut found = Vec::new();
        let point = account.text("shop_id");
        let is_point = point.len() <= 64
            && point.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if !is_point {
            let detail = "must be the «Uniteller Point ID»: Latin letters, digits and a hyphen, at most 64";
            found.push(Problem::credential("shop_id", detail));
        }
        let mut seen: Vec<&str> = Vec::new();
        for name in callback_fields(account) {
            if !CALLBACK_FIELDS.contains(&name) {
                let detail = format!("has {name:?}; known are {}", CALLBACK_FIELDS.join(", "));
                found.push(Problem::setting("callback_fields", detail));
            } else if seen.contains(&name) {
                found.push(Problem::setting("callback_fields", format!("names {name} twice")));
            }
            seen.push(name);
        }
        found
    }

    fn receive(&self, request: &Request, account: &Account) -> Result<Received, Reject> {
        receive::receive(request, account)
    }

    fn answer(&self, request: &Request, outcome: &Outcome<'_>, _account: &Account) -> Answer {
        answer::answer(request, outcome)
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

/// The extra fields of notifications, in the order of the payment request.
fn callback_fields(account: &Account) -> Vec<&str> {
    match account.settings.own.get("callback_fields").and_then(serde_json::Value::as_array) {
        Some(names) => names.iter().filter_map(serde_json::Value::as_str).collect(),
        None => CALLBACK_FIELDS_DEFAULT.to_vec(),
    }
}

/// Currency of the point of sale: notifications do not say one.
fn currency(account: &Account) -> Currency {
    account.setting("currency").and_then(|code| code.parse().ok()).unwrap_or(Currency::RUB)
}

/// Whether the point of sale sends receipts: another host, other paths.
fn is_fiscal(account: &Account) -> bool {
    account.switch("receipts")
}

/// The one password that signs and authenticates.
fn password(account: &Account) -> Result<&str, Failure> {
    let secret = account.secret("password");
    secret.map(|secret| secret.expose()).ok_or_else(|| Failure::never(Fault::Merchant, "password is not set"))
}

/// Login and password as `results` and `confirm` want them.
fn login(account: &Account) -> Result<[(&'static str, &str); 2], Failure> {
    match account.text("login") {
        "" => {
            let why = "login is not set: without it Uniteller answers no questions («Параметры Авторизации»)";
            Err(Failure::never(Fault::Merchant, why))
        }
        login => Ok([("Login", login), ("Password", password(account)?)]),
    }
}

/// A form posted to Uniteller.
fn post(url: String, fields: &[(&str, &str)]) -> Call {
    let body = crate::form::build(fields.iter().copied());
    Call::post(url, "application/x-www-form-urlencoded", body)
}
