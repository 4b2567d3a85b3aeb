//! Whether the amount that a provider tells is the registered one.

use kassir_providers::account::AmountPolicy;
use kassir_providers::{AmountCheck, Money, Refusal, State, Sum};

use super::Rules;
use crate::domain::payment::Payment;

/// How it is wrong.
pub(super) struct WrongAmount {
    pub refusal: Refusal,
    pub words: String,
}

/// Compares an amount with the registered one; gives the amount that the provider tells, if it tells one.
pub(super) fn check_amount(
    rules: &Rules<'_>,
    payment: &Payment,
    told: Option<&Sum>,
    check: AmountCheck,
) -> Result<Option<Money>, WrongAmount> {
    let Some(told) = told.filter(|_| check != AmountCheck::Ignore) else { return Ok(None) };
    let wrong = |refusal: Refusal, words: String| Err(WrongAmount { refusal, words });
    let registered = payment.amount;
    let told = match told.in_currency(registered.currency) {
        Ok(told) => told,
        Err(error) => return wrong(Refusal::WrongAmount, error.to_string()),
    };
    if told.currency != registered.currency {
        let words = format!("currency {} instead of {}", told.currency, registered.currency);
        return wrong(Refusal::WrongCurrency, words);
    }
    let held = payment.hold || payment.state == State::WaitingForCapture;
    let fits = match (rules.integration.settings.amount_check, check) {
        (AmountPolicy::Off, _) => true,
        (_, AmountCheck::AfterFee(millionths)) => told.minor >= after_fee(registered.minor, millionths),
        (AmountPolicy::AtLeast, _) | (AmountPolicy::Equal, AmountCheck::AtLeast) => {
            told.minor >= registered.minor
        }
        (AmountPolicy::Equal, AmountCheck::AtMostIfHeld) => {
            told.minor == registered.minor
                || payment.captured == Some(told.minor)
                || (held && told.minor > 0 && told.minor <= registered.minor)
        }
        (AmountPolicy::Equal, AmountCheck::AnyIfHeld) => {
            told.minor == registered.minor || payment.captured == Some(told.minor) || (held && told.minor > 0)
        }
        (AmountPolicy::Equal, AmountCheck::Equal | AmountCheck::Ignore) => told.minor == registered.minor,
    };
    if fits { Ok(Some(told)) } else { wrong(Refusal::WrongAmount, format!("{told} instead of {registered}")) }
}

/// The least that is left of a price after a fee of so many millionths, with one minor unit for rounding.
fn after_fee(price: i64, millionths: u32) -> i64 {
    let fee = i128::from(price) * i128::from(millionths) / 1_000_000;
    i64::try_from(i128::from(price) - fee - 1).unwrap_or(price)
}
