//! Notifications as JustClick would send them.

use super::about;
use crate::digest::Hash;
use crate::operation::Sample;
use crate::{Account, Request, State, form};

pub(super) fn imitate(sample: &Sample, account: &Account) -> Result<Request, String> {
    let key = account.secret("api_key").ok_or("api_key is not set")?;
    let kind = match (&sample.kind, sample.refund, sample.state) {
        (Some(kind), ..) => kind.as_str(),
        (None, true, _) => "moneyback",
        (None, false, State::Pending) => "created",
        (None, false, State::Succeeded) => "paid",
        (None, false, State::Canceled) => "canceled",
        (None, false, State::WaitingForCapture) => return Err("JustClick has no holds".to_owned()),
    };
    let fits = match kind {
        "moneyback" => sample.refund,
        "created" | "prepayment" => !sample.refund && sample.state == State::Pending,
        "paid" => !sample.refund && sample.state == State::Succeeded,
        "canceled" => !sample.refund && sample.state == State::Canceled,
        _ => return Err("JustClick has no such kind".to_owned()),
    };
    if !fits {
        return Err(format!("{kind} does not tell that state"));
    }
    if about::currency(account) != Some(sample.amount.currency) {
        return Err("the account has another currency".to_owned());
    }
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let id = match &sample.provider_id {
        Some(id) => id.clone(),
        None if digits(&sample.reference) => format!("10{}", sample.reference),
        None => "102937".to_owned(),
    };
    let email = sample.email.as_deref().unwrap_or("payer@example.com");
    let now = sample.now.div_euclid(1000).to_string();
    let amount = sample.amount.decimal();
    let status = match kind {
        "created" => "new_order",
        "canceled" => "cancel_order",
        "moneyback" => "moneyback",
        _ => "",
    };
    let third = match kind {
        "moneyback" | "prepayment" => "",
        _ => now.as_str(),
    };
    let base = format!("{id}{email}{third}{}", key.expose());
    let hash = Hash::Md5.hex(base.as_bytes());
    let is = |wanted: &str| kind == wanted;
    let fields = [
        ("status", status, !status.is_empty()),
        ("id", &id, true),
        ("email", email, true),
        ("created", &now, true),
        ("paid", &now, is("paid")),
        ("last_payment_sum", &amount, is("paid")),
        ("prepayment_sum", &amount, is("prepayment")),
        ("tag", &sample.reference, !is("canceled") && !is("moneyback")),
        ("items[0][id]", "kurs", true),
        ("items[0][title]", &sample.description, true),
        ("items[0][sum]", &amount, true),
        ("items[0][price]", &amount, true),
        ("hash", &hash, true),
    ];
    let sent = fields.into_iter().filter(|(.., is_sent)| *is_sent).map(|(name, value, _)| (name, value));
    Ok(Request::post("application/x-www-form-urlencoded", form::build(sent)))
}
