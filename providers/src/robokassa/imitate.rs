//! Notifications as Robokassa sends them.

use serde_json::json;

use super::pay;
use super::shop;
use crate::account::Account;
use crate::digest::{Hash, base64url};
use crate::form::build;
use crate::operation::Sample;
use crate::{Request, State};

const RESULT: &str = "result";
const RESULT2: &str = "result2";
/// Length of an RSA signature with a key of 2048 bits, bytes.
const SIGNATURE_LEN: usize = 256;

/// Makes a notification. ResultURL is signed with the account's password #2 (the test one in test mode). A ResultUrl2
/// can't be: it needs Robokassa's private key; so its signature is made up, and it counts for what such a token
/// counts, a hint that the API has to confirm.
pub(super) fn imitate(sample: &Sample, account: &Account) -> Result<Request, String> {
    if sample.refund {
        return Err("Robokassa sends nothing about refunds".to_owned());
    }
    super::operations::sum(sample.amount, account).map_err(|failure| failure.why)?;
    let held = sample.state == State::WaitingForCapture;
    match (sample.kind.as_deref(), sample.state) {
        (_, State::Pending | State::Canceled) => {
            Err(format!("Robokassa sends nothing for a payment that is {}", sample.state.word()))
        }
        (Some(RESULT), State::WaitingForCapture) => {
            Err("Result URL tells of no holds; the kind result2 does".to_owned())
        }
        (None | Some(RESULT), State::Succeeded) => result(sample, account),
        (None | Some(RESULT2), _) => Ok(result2(sample, account, held)),
        (Some(other), _) => Err(format!("Robokassa has no notification {other:?}")),
    }
}

fn result(sample: &Sample, account: &Account) -> Result<Request, String> {
    let hash = shop::hash(account).ok_or("the setting hash names no algorithm of Robokassa")?;
    let test = account.is_test();
    let key = if test { "test_password2" } else { "password2" };
    let password = account.secret(key).ok_or_else(|| format!("{key} is not set"))?.expose();
    let sum = if test { sample.amount.decimal() } else { format!("{}0000", sample.amount.decimal()) };
    let shp = pay::shp(&sample.metadata, false);
    let mut base = format!("{sum}:{}:{password}", sample.reference);
    for (name, value) in &shp {
        base.push_str(&format!(":{name}={value}"));
    }
    let signature = hash.hex(base.as_bytes()).to_uppercase();
    let email = if test { "" } else { sample.email.as_deref().unwrap_or_default() };
    let mut fields = vec![
        ("out_summ", sum.as_str()),
        ("OutSum", &sum),
        ("inv_id", &sample.reference),
        ("InvId", &sample.reference),
        ("crc", &signature),
        ("SignatureValue", &signature),
        ("PaymentMethod", "BankCard"),
        ("IncSum", &sum),
        ("IncCurrLabel", "BankCardPSR"),
    ];
    if test {
        fields.push(("IsTest", "1"));
    }
    fields.extend([("EMail", email), ("Fee", "0.0")]);
    fields.extend(shp.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let mut request = Request::post("application/x-www-form-urlencoded; charset=utf-8", build(fields));
    request.received_at = sample.now;
    Ok(request)
}

fn result2(sample: &Sample, account: &Account, held: bool) -> Request {
    let seed = Hash::Sha256.hex(sample.reference.as_bytes());
    let payload = json!({
        "header": {
            "type": "PaymentStateNotification",
            "version": "1.0.0",
            "timestamp": sample.now.div_euclid(1000).to_string(),
        },
        "data": {
            "shop": account.text("merchant_login"),
            "opKey": format!("{}-imitated", seed.get(..32).unwrap_or_default()),
            "invId": sample.reference,
            "paymentMethod": "BankCard",
            "incSum": sample.amount.decimal(),
            "state": if held { "HOLD" } else { "OK" },
        },
    });
    let signed = format!(
        "{}.{}",
        base64url(br#"{"typ":"JWT","alg":"RS256"}"#),
        base64url(payload.to_string().as_bytes())
    );
    let made_up: Vec<u8> =
        Hash::Sha512.digest(signed.as_bytes()).into_iter().cycle().take(SIGNATURE_LEN).collect();
    let mut request = Request::post("application/json", format!("{signed}.{}", base64url(&made_up)));
    request.received_at = sample.now;
    request
}
