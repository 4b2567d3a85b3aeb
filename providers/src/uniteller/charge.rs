//! `recurrent`: charging again what was paid once, without the payer.

use super::create::{given, receipt_fields, sum_of};
use super::errors::{self, Effect, declined};
use super::signature::{nested, plain};
use super::{FPAY, WPAY, csv, is_fiscal, password, post};
use crate::account::Account;
use crate::digest::{self, Hash};
use crate::fact::{AmountCheck, Fact, PaymentFact, PaymentRef, State, Sum};
use crate::http::Reply;
use crate::json;
use crate::money::{Currency, Money};
use crate::operation::{Create, Done, Failure, Fault, Retry, Step};

/// Parameters that the caller may set.
const OF_CHARGE: &[&str] = &["Parent_Shop_IDP", "MerchantOrderId", "CallbackFormat"];
/// What a saved card begins with: `card:CARD:CUSTOMER`. Everything else is the order number of the first payment.
const CARD: &str = "card:";

pub(super) fn begin(create: &Create, saved_method: &str, account: &Account) -> Result<Step, Failure> {
    let (shop, password, number) = (account.text("shop_id"), password(account)?, create.number.to_string());
    let sum = sum_of(create, account)?;
    let given = given(create, OF_CHARGE)?;
    let parent_shop =
        given.iter().find(|(name, _)| name == "Parent_Shop_IDP").map(|(_, value)| value.as_str());
    let mut fields = vec![("Shop_IDP", shop)];
    fields.extend(parent_shop.map(|parent| ("Parent_Shop_IDP", parent)));
    fields.extend([("Order_IDP", number.as_str()), ("Subtotal_P", sum.as_str())]);
    match saved_method.strip_prefix(CARD).map(|card| card.split_once(':')) {
        Some(Some((card, customer))) => fields.extend([("Customer_IDP", customer), ("Card_IDP", card)]),
        Some(None) => {
            return Err(Failure::never(Fault::Caller, "a saved card is card:CARD_IDP:CUSTOMER_IDP"));
        }
        None => fields.push(("Parent_Order_IDP", saved_method)),
    }
    let signed = fields.iter().map(|(_, value)| *value).chain([password]);
    let signature = nested(Hash::Md5, signed);
    fields.push(("Signature", &signature));
    let receipt = if is_fiscal(account) {
        receipt_fields(create.receipt.as_ref(), shop, &number, &sum, password)?
    } else {
        Vec::new()
    };
    fields.extend(receipt.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let rest = given.iter().filter(|(name, _)| name != "Parent_Shop_IDP");
    fields.extend(rest.map(|(name, value)| (name.as_str(), value.as_str())));
    let url = if is_fiscal(account) {
        format!("{}/v2/recurrent", account.base(FPAY))
    } else {
        format!("{}/recurrent/", account.base(WPAY))
    };
    Ok(Step::send(post(url, &fields)))
}

/// Reads the answer. Never repeated when unclear: that would charge twice.
pub(super) fn read(create: &Create, reply: &Reply, account: &Account) -> Result<Step, Failure> {
    if let Some(failure) = errors::of_text(reply) {
        return Err(failure);
    }
    let row = csv::read(&reply.body).ok_or_else(|| errors::unclear(reply, Effect::Writes))?;
    if let Some(code) = row.get("errorcode") {
        return Err(errors::of_code(code, row.get("errormessage").unwrap_or("")));
    }
    let unbelieved =
        |why: &str| Failure { why: why.to_owned(), code: None, fault: Fault::Provider, retry: Retry::LookUp };
    let order = row.get("ordernumber").unwrap_or("");
    let total = row.get("total").unwrap_or("");
    let made = plain(&[order, total, password(account)?]);
    let claimed = row.get("signature").unwrap_or("").to_ascii_uppercase();
    if order != create.number.to_string() || !digest::same(claimed.as_bytes(), made.as_bytes()) {
        return Err(unbelieved(
            "the signature of Uniteller's answer does not fit; whether it charged is not known",
        ));
    }
    let currency: Currency =
        row.get("currency").and_then(|code| code.parse().ok()).unwrap_or(create.amount.currency);
    let amount = Money::parse(total, currency).map_err(|_| unbelieved("the answer's Total can't be read"))?;
    let code = row.get("response_code").unwrap_or("");
    let status = row.get("status").unwrap_or("").to_ascii_lowercase();
    let (state, reason) = match (code, status.as_str()) {
        ("AS000", "authorized") if account.switch("paid_only") => (State::Pending, None),
        ("AS000", "authorized" | "paid") => (State::Succeeded, None),
        ("AS000", _) => (State::Pending, None),
        (code, _) => (State::Canceled, Some(declined(&row, code))),
    };
    let provider_id = row.get("billnumber").map(ToOwned::to_owned);
    let fact = PaymentFact {
        payment: PaymentRef { provider_id: provider_id.clone(), reference: Some(order.to_owned()) },
        state,
        amount: Some(Sum::Money(amount)),
        amount_check: AmountCheck::Equal,
        reason,
        test: account.is_test(),
        method: None,
        saved_method: None,
        operation_key: None,
        expires_at: None,
    };
    let cells = row.0.iter().filter(|(name, _)| name != "signature");
    let object = cells.map(|(name, value)| (name.clone(), value.clone().into())).collect();
    Ok(Step::done(Done {
        provider_id,
        facts: vec![Fact::Payment(fact)],
        payload: Some(json::raw(&serde_json::Value::Object(object))),
        ..Done::default()
    }))
}
