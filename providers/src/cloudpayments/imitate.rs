//! Notifications as CloudPayments sends them.

use serde_json::Value;

use super::message::Kind;
use super::receive::{decoded, hmac};
use crate::date::Civil;
use crate::digest;
use crate::form::{self, Plus};
use crate::operation::Sample;
use crate::{Account, Request, State};

/// Makes a notification of the sample's kind, else of the kind that tells its state.
pub(super) fn imitate(sample: &Sample, account: &Account) -> Result<Request, String> {
    let secret = account.secret("api_secret").ok_or("the API password (api_secret) is not set")?;
    let kind = kind(sample)?;
    let fields = fields(kind, sample, account);
    let body = form::build(fields.iter().map(|(name, value)| (*name, value.as_str())));
    let decoded = decoded(body.as_bytes(), Plus::Space).unwrap_or_default();
    let headers = [("content-hmac", body.as_bytes()), ("x-content-hmac", decoded.as_bytes())]
        .map(|(name, message)| (name.to_owned(), digest::base64(&hmac(secret, message))));
    let mut request = Request::post("application/x-www-form-urlencoded", body);
    request.headers.extend(headers);
    request.kind = Some(kind.word().to_owned());
    request.received_at = sample.now;
    Ok(request)
}

fn kind(sample: &Sample) -> Result<Kind, String> {
    if let Some(word) = &sample.kind {
        let kind =
            Kind::from_word(word).ok_or_else(|| format!("CloudPayments has no notification {word:?}"))?;
        return if tells(kind, sample) {
            Ok(kind)
        } else {
            let what = if sample.refund { "of a refund" } else { sample.state.word() };
            Err(format!("a {word} notification does not tell {what}"))
        };
    }
    if sample.refund {
        return Ok(Kind::Refund);
    }
    match sample.state {
        State::Succeeded | State::WaitingForCapture => Ok(Kind::Pay),
        State::Canceled => Ok(Kind::Cancel),
        State::Pending => Err("CloudPayments sends nothing for a pending payment; \
                               the kinds check and fail belong to one"
            .to_owned()),
    }
}

/// Whether a notification of this kind can say what the sample wants to be told.
fn tells(kind: Kind, sample: &Sample) -> bool {
    match kind {
        Kind::Refund => sample.refund,
        Kind::Pay => !sample.refund && matches!(sample.state, State::Succeeded | State::WaitingForCapture),
        Kind::Confirm => !sample.refund && sample.state == State::Succeeded,
        Kind::Cancel => !sample.refund && sample.state == State::Canceled,
        Kind::Check | Kind::Fail | Kind::Recurrent | Kind::Receipt | Kind::Kkt | Kind::SbpToken => true,
    }
}

fn fields(kind: Kind, sample: &Sample, account: &Account) -> Vec<(&'static str, String)> {
    let id = sample.provider_id.clone().unwrap_or_else(|| number_of(&sample.reference));
    let amount = sample.amount.decimal();
    let currency = sample.amount.currency.code().to_owned();
    let time = Civil::at(sample.now, 0).text();
    let email = sample.email.clone().unwrap_or_default();
    let text = |text: &str| text.to_owned();
    let order = |fields: &mut Vec<(&'static str, String)>| {
        fields.push(("InvoiceId", sample.reference.clone()));
        fields.push(("AccountId", String::new()));
        fields.push(("Email", email.clone()));
    };
    let mut fields = Vec::new();
    match kind {
        Kind::Recurrent => {
            return vec![
                ("Id", format!("sc_{id}")),
                ("AccountId", sample.reference.clone()),
                ("Description", sample.description.clone()),
                ("Email", email),
                ("Amount", amount),
                ("Currency", currency),
                ("RequireConfirmation", text("false")),
                ("StartDate", time),
                ("Interval", text("Month")),
                ("Period", text("1")),
                ("Status", text("Active")),
                ("SuccessfulTransactionsNumber", text("1")),
                ("FailedTransactionsNumber", text("0")),
            ];
        }
        Kind::Refund => {
            fields.push(("TransactionId", number_of(&format!("refund of {id}"))));
            fields.push(("PaymentTransactionId", id));
            fields.push(("Amount", amount));
            fields.push(("DateTime", time));
            fields.push(("OperationType", text("Refund")));
            order(&mut fields);
        }
        Kind::Cancel => {
            fields.push(("TransactionId", id));
            fields.push(("Amount", amount));
            fields.push(("DateTime", time));
            order(&mut fields);
        }
        Kind::Receipt | Kind::Kkt | Kind::SbpToken => {
            fields.push(("Id", format!("{}-{id}", kind.word())));
            fields.push(("TransactionId", id));
            fields.push(("Amount", amount));
            fields.push(("DateTime", time));
            if kind == Kind::Receipt {
                fields.push(("DocumentNumber", text("1")));
                fields.push(("FiscalSign", text("1")));
                fields.push(("Type", text("Income")));
            }
            order(&mut fields);
        }
        Kind::Check | Kind::Pay | Kind::Fail | Kind::Confirm => {
            fields.push(("TransactionId", id));
            fields.push(("Amount", amount.clone()));
            fields.push(("Currency", currency.clone()));
            fields.push(("PaymentAmount", amount));
            fields.push(("PaymentCurrency", currency));
            if kind != Kind::Confirm {
                fields.push(("OperationType", text("Payment")));
            }
            order(&mut fields);
            fields.push(("DateTime", time));
            fields.push(("CardFirstSix", text("424242")));
            fields.push(("CardLastFour", text("4242")));
            fields.push(("CardType", text("Visa")));
            fields.push(("CardExpDate", text("12/30")));
            fields.push(("Description", sample.description.clone()));
            fields.push(("TestMode", text(if account.is_test() { "1" } else { "0" })));
            if kind == Kind::Fail {
                fields.push(("Reason", text("InsufficientFunds")));
                fields.push(("ReasonCode", text("5051")));
            } else {
                let held = sample.state == State::WaitingForCapture && kind != Kind::Confirm;
                fields.push(("Status", text(if held { "Authorized" } else { "Completed" })));
            }
            if kind == Kind::Pay {
                fields.push(("GatewayName", text(if account.is_test() { "Test" } else { "Imitation" })));
            }
        }
    }
    if !sample.metadata.is_empty() {
        fields.push(("Data", Value::Object(sample.metadata.clone()).to_string()));
    }
    fields
}

/// A transaction id made from text: the same for the same text, above 2^31 as today's real ones are.
fn number_of(text: &str) -> String {
    let digest = digest::Hash::Sha256.digest(text.as_bytes());
    let tail = digest.iter().take(4).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    (3_000_000_000_u64 + tail).to_string()
}
