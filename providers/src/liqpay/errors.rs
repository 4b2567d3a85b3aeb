//! LiqPay's error codes in words, with whose fault it is and whether to try again
//! (<https://www.liqpay.ua/documentation/en/api/errors>). Its own words may be in any language: only codes are branched
//! on.

use super::wire::Wire;
use crate::operation::{Failure, Fault, Retry};

/// The code of an answer for an order that LiqPay has never seen.
pub(super) const NOT_FOUND: &str = "payment_not_found";

/// The failure that an answer of the API tells.
pub(super) fn failure(wire: &Wire) -> Failure {
    let code = wire.error_code().unwrap_or_default();
    let (words, fault, retry) = known(&code);
    let why = match wire.error_words() {
        Some(own) if words.is_empty() => format!("LiqPay: {own}"),
        Some(own) => format!("{words} (LiqPay: {own})"),
        None if words.is_empty() && code.is_empty() => {
            "LiqPay answered with an error that it does not name".to_owned()
        }
        None if words.is_empty() => {
            format!("LiqPay answered with the error {}", code.chars().take(40).collect::<String>())
        }
        None => words.to_owned(),
    };
    let failure = Failure { why, code: None, fault, retry };
    if code.is_empty() { failure } else { failure.code(code) }
}

fn known(code: &str) -> (&'static str, Fault, Retry) {
    let never = |fault, words| (words, fault, Retry::Never);
    match code {
        "err_signature" | "invalid_signature" | "err_auth" => never(
            Fault::Merchant,
            "LiqPay refuses the signature: check private_key, and that both keys are of one pair",
        ),
        "public_key_not_found" => never(Fault::Merchant, "LiqPay knows no shop with this public_key"),
        "shop_blocked" => never(Fault::Merchant, "the shop is blocked at LiqPay"),
        "shop_not_active" => never(Fault::Merchant, "the shop is not active at LiqPay"),
        "err_card_receiver_def" => {
            never(Fault::Merchant, "the shop has set no card or account for payouts at LiqPay")
        }
        "err_access" | "err_api_action" | "err_action" => {
            never(Fault::Merchant, "LiqPay does not allow this operation to the shop")
        }
        "err_api_ip" => {
            never(Fault::Merchant, "LiqPay does not allow the address of this server to the shop")
        }
        "err_currency_is_not_allowed" => {
            never(Fault::Merchant, "the shop may not take this currency at LiqPay")
        }
        "err_no_card_token" => never(Fault::Caller, "LiqPay does not know this saved card (card_token)"),
        "order_id_duplicate" => never(
            Fault::Caller,
            "LiqPay has a payment with this order number already; another attempt needs a new payment",
        ),
        NOT_FOUND => never(Fault::Caller, "LiqPay has no payment with this order number"),
        "payment_err_status" => never(
            Fault::Caller,
            "the payment's state at LiqPay does not allow this: it was refunded, or is at another stage",
        ),
        "payment_err_type" => never(Fault::Caller, "LiqPay does not offer this for a payment of this kind"),
        "payment_not_subscribed" => never(Fault::Caller, "this order number is no subscription at LiqPay"),
        "err_amount_hold" => never(Fault::Caller, "the amount is more than was held"),
        "amount_limit" | "err_limit_amount" | "err_payment_amount_limit" => {
            never(Fault::Caller, "the amount is outside what LiqPay allows here")
        }
        "wrong_amount_currency" | "err_wrong_currency" => {
            never(Fault::Caller, "LiqPay refuses the amount or the currency")
        }
        "limit" => never(Fault::Caller, "declined: a limit of the payer's card"),
        "frod" | "decline" => never(Fault::Caller, "declined by LiqPay's anti-fraud check"),
        "err_cache" | "wait_info" | "payment_processing" => {
            ("LiqPay is still busy with this payment", Fault::Provider, Retry::Later(None))
        }
        expired if expired.starts_with("expired_") => {
            never(Fault::Caller, "the payer's time for a confirmation is over")
        }
        bank if !bank.is_empty() && bank.bytes().all(|byte| byte.is_ascii_digit()) => {
            never(Fault::Caller, "declined by the payer's bank")
        }
        _ => never(Fault::Provider, ""),
    }
}
