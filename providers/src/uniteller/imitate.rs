//! Notifications as Uniteller would send them.

use super::receive::Fields;
use super::{callback_fields, currency, receive};
use crate::account::Account;
use crate::digest::Hash;
use crate::fact::State;
use crate::form;
use crate::http::Request;
use crate::money::Money;
use crate::operation::Sample;

const FORM: &str = "application/x-www-form-urlencoded";

pub(super) fn imitate(sample: &Sample, account: &Account) -> Result<Request, String> {
    if sample.kind.as_deref() == Some("control") {
        let fields = [("order_id", sample.reference.as_str()), ("upoint_id", account.text("shop_id"))];
        return Ok(Request { received_at: sample.now, ..Request::post(FORM, form::build(fields)) });
    }
    let status = status(sample)?;
    if sample.amount.currency != currency(account) {
        return Err(format!("this point of sale takes {}: notifications say no currency", currency(account)));
    }
    let password = account.secret("password").ok_or("password is not set")?;
    let zero = Money::new(0, sample.amount.currency);
    let total = sample.amount.decimal();
    let balance = match status {
        "canceled" => zero.decimal(),
        "partly canceled" => Money { minor: sample.amount.minor / 2, ..zero }.decimal(),
        _ => total.clone(),
    };
    let bill = sample.provider_id.clone().unwrap_or_else(|| bill_of(&sample.reference));
    let names = callback_fields(account);
    let mut pairs =
        vec![("Order_ID".to_owned(), sample.reference.clone()), ("Status".to_owned(), status.to_owned())];
    for name in &names {
        let value = match *name {
            "BillNumber" => bill.clone(),
            "Total" => total.clone(),
            "Balance" => balance.clone(),
            "ApprovalCode" => "123456".to_owned(),
            "AcquirerID" => "253".to_owned(),
            "PaymentType" => "1".to_owned(),
            "CardNumber" => "400000******2487".to_owned(),
            "ECI" => "5".to_owned(),
            _ => continue,
        };
        pairs.push(((*name).to_owned(), value));
    }
    let fields = Fields::new(&pairs);
    pairs.push(("Signature".to_owned(), fields.signature_over(&names, password.expose())));
    let body = form::build(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    Ok(Request { received_at: sample.now, ..Request::post(FORM, body) })
}

fn status(sample: &Sample) -> Result<&'static str, String> {
    if sample.refund {
        return Err(
            "Uniteller's notifications do not tell a refund from a released hold: results does".to_owned()
        );
    }
    match (sample.kind.as_deref(), sample.state) {
        (None | Some("waiting"), State::Pending) => Ok("waiting"),
        (None | Some("authorized"), State::WaitingForCapture) => Ok("authorized"),
        (None | Some("paid"), State::Succeeded) => Ok("paid"),
        (None | Some("canceled"), State::Canceled) => Ok("canceled"),
        (Some("partly canceled"), State::WaitingForCapture) => Ok("partly canceled"),
        (Some("waiting" | "authorized" | "paid" | "canceled" | "partly canceled"), state) => {
            Err(format!("that kind does not tell the state {}", state.word()))
        }
        (Some(other), _) => Err(format!(
            "Uniteller has no kind {other}: waiting, authorized, paid, canceled, partly canceled, control"
        )),
    }
}

/// A bill's number that is always the same for one order.
fn bill_of(reference: &str) -> String {
    let digest = Hash::Sha256.digest(reference.as_bytes());
    let number = digest.iter().take(4).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{:0width$}", 900_000_000_000 + number, width = receive::BILL_LEN)
}
