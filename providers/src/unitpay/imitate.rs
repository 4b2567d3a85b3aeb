//! Requests as Unitpay would send them.

use super::project_id;
use super::signature::Params;
use crate::account::Account;
use crate::date::{Civil, MOSCOW};
use crate::digest::Hash;
use crate::fact::State;
use crate::form;
use crate::http::{Method, Request};
use crate::operation::Sample;

pub(super) fn imitate(sample: &Sample, account: &Account) -> Result<Request, String> {
    if sample.refund {
        return Err("Unitpay sends no notification of a refund: it is seen by asking getPayment".to_owned());
    }
    let method = match (sample.kind.as_deref(), sample.state) {
        (Some("check"), _) => "check",
        (None | Some("preauth"), State::WaitingForCapture) => "preauth",
        (None | Some("pay"), State::Succeeded) => "pay",
        (None | Some("error"), State::Canceled) => "error",
        (None, State::Pending) => {
            return Err("Unitpay says nothing of a payment that waits: take the kind check".to_owned());
        }
        (Some("preauth" | "pay" | "error"), state) => {
            return Err(format!("that kind does not tell the state {}", state.word()));
        }
        (Some(other), _) => return Err(format!("Unitpay has no kind {other}: check, preauth, pay, error")),
    };
    let secret = account.secret("project_secret").ok_or("project_secret is not set")?;
    let fields = fields(method, sample, account);
    let values = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let signature = Params { method, values }.signature(secret.expose());
    let mut query = form::build([("method", method)]);
    for (name, value) in fields.iter().map(|(name, value)| (*name, value)).chain([("signature", &signature)])
    {
        query.push_str(&format!("&params%5B{name}%5D={}", form::encode_percent(value)));
    }
    let peer = super::about::SOURCES.first().and_then(|address| address.parse().ok());
    Ok(Request {
        method: Method::Get,
        kind: None,
        query,
        headers: Vec::new(),
        body: Vec::new(),
        peer,
        received_at: sample.now,
    })
}

fn fields(method: &str, sample: &Sample, account: &Account) -> Vec<(&'static str, String)> {
    let (sum, currency) = (sample.amount.decimal(), sample.amount.currency.to_string());
    let number = match &sample.provider_id {
        Some(id) if super::is_number(id) => id.clone(),
        Some(id) => number_of(id),
        None => number_of(&sample.reference),
    };
    let is_preauth = if method == "preauth" { "1" } else { "0" };
    let test = if account.is_test() { "1" } else { "0" };
    let mut fields = vec![
        ("account", sample.reference.clone()),
        ("date", Civil::at(sample.now, MOSCOW).text()),
        ("ip", "203.0.113.24".to_owned()),
        ("isPreauth", is_preauth.to_owned()),
        ("operator", "card".to_owned()),
        ("orderCurrency", currency.clone()),
        ("orderSum", sum.clone()),
        ("payerCurrency", currency),
        ("payerSum", sum.clone()),
        ("paymentType", "card".to_owned()),
        ("profit", sum),
        ("projectId", project_id(account).to_owned()),
        ("purse", "220220xxxxxx1234".to_owned()),
        ("sum", sample.amount.shortest()),
        ("test", test.to_owned()),
        ("unitpayId", number),
    ];
    match method {
        "error" => fields.push(("errorMessage", "Недостаточно средств".to_owned())),
        "pay" => fields.push(("3ds", "1".to_owned())),
        _ => {}
    }
    fields
}

/// A number that is always the same for one order: ten digits out of its hash.
fn number_of(reference: &str) -> String {
    let digest = Hash::Sha256.digest(reference.as_bytes());
    let number = digest.iter().take(4).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    (2_000_000_000 + number).to_string()
}
