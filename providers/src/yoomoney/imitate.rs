//! Notifications as YooMoney would send them.

use super::receive::{CARD_FEE, WALLET_FEE};
use super::sign::base;
use crate::date::Civil;
use crate::digest::Hash;
use crate::form::{Form, build, encode_percent};
use crate::operation::Sample;
use crate::{Account, Currency, Money, Request, State};

pub(super) fn imitate(sample: &Sample, account: &Account) -> Result<Request, String> {
    let kind = sample.kind.as_deref().unwrap_or("card-incoming");
    let (notification_type, fee) = match kind {
        "card-incoming" => ("card-incoming", CARD_FEE),
        "p2p-incoming" | "test-notification" => ("p2p-incoming", WALLET_FEE),
        _ => return Err(format!("YooMoney has no notification {kind:?}")),
    };
    let is_test = kind == "test-notification";
    let unaccepted = match (sample.refund, sample.state) {
        (true, _) => return Err("YooMoney knows no refunds".to_owned()),
        (false, State::Succeeded) => "false",
        (false, State::Pending) => "true",
        (false, state) => {
            return Err(format!("YooMoney sends no notification that tells of {}", state.word()));
        }
    };
    if sample.amount.currency != Currency::RUB {
        return Err("YooMoney knows roubles only".to_owned());
    }
    let kept = i128::from(sample.amount.minor) * i128::from(1_000_000 - fee) / 1_000_000;
    let net = Money::new(i64::try_from(kept).unwrap_or(0), Currency::RUB).decimal();
    let gross = sample.amount.decimal();
    let datetime = format!("{}Z", Civil::at(sample.now, 0).text().replace(' ', "T"));
    let operation = match (&sample.provider_id, is_test) {
        (_, true) => "test-notification".to_owned(),
        (Some(id), _) => id.clone(),
        (None, _) => operation_id(&sample.reference),
    };
    let sender = if notification_type == "p2p-incoming" { "41001000040" } else { "" };
    let mut fields = vec![
        ("notification_type", notification_type),
        ("bill_id", ""),
        ("amount", &net),
        ("codepro", "false"),
        ("label", if is_test { "" } else { &sample.reference }),
        ("datetime", &datetime),
        ("sender", sender),
        ("operation_label", ""),
        ("operation_id", &operation),
        ("currency", "643"),
    ];
    if is_test {
        fields.push(("test_notification", "true"));
    } else {
        fields.extend([("withdraw_amount", gross.as_str()), ("unaccepted", unaccepted)]);
    }
    let unsigned =
        Form::parse(build(fields.iter().copied()).as_bytes()).map_err(|error| error.to_string())?;
    let text = base(&unsigned, encode_percent);
    let sign =
        hex::encode(Hash::Sha256.hmac(account.text("notification_secret").as_bytes(), text.as_bytes()));
    fields.push(("sign", &sign));
    let mut request = Request::post("application/x-www-form-urlencoded", build(fields));
    request.received_at = sample.now;
    Ok(request)
}

/// Eighteen digits, the same for the same order number.
fn operation_id(reference: &str) -> String {
    let digest = Hash::Sha256.digest(reference.as_bytes());
    let digits = digest.iter().take(17).map(|byte| char::from(b'0' + byte % 10));
    std::iter::once('7').chain(digits).collect()
}
