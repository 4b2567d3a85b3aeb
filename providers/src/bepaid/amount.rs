//! beGateway's minor units: integers by a table of its own
//! (<https://github.com/begateway/begateway-api-php>, lib/Money.php).

use serde_json::Value;

use crate::json;
use crate::money::{Currency, Money, MoneyError};

/// Most digits of an amount.
const DIGITS_MAX: usize = 19;

/// Decimals of beGateway's minor unit; for some currencies not those of ISO 4217.
fn exponent(currency: Currency) -> usize {
    match currency.code() {
        "BIF" | "BYR" | "CLF" | "CLP" | "CVE" | "DJF" | "GNF" | "IDR" | "IQD" | "IRR" | "ISK" | "JPY"
        | "KMF" | "KPW" | "KRW" | "LAK" | "LBP" | "MMK" | "PYG" | "RWF" | "SLL" | "STD" | "UYI" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "MOP" => 1,
        "BHD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// Why an amount is none for us.
#[derive(Debug)]
pub(super) enum AmountError {
    /// It is not in the provider's format.
    Malformed(String),
    /// It can't be kept exactly; it is not rounded.
    Unfit(String),
}

impl AmountError {
    pub(super) fn words(self) -> String {
        match self {
            AmountError::Malformed(words) | AmountError::Unfit(words) => words,
        }
    }
}

/// The amount of an object with `amount` and `currency`.
pub(super) fn read(object: &Value) -> Result<Money, AmountError> {
    let missing = |what: &str| AmountError::Malformed(format!("{what} is missing or ill-formed"));
    let code: Currency = json::member(object, "currency")
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| missing("currency"))?;
    let digits = json::member(object, "amount").ok_or_else(|| missing("amount"))?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AmountError::Malformed("amount is not an integer of minor units".to_owned()));
    }
    if digits.len() > DIGITS_MAX {
        return Err(AmountError::Unfit(MoneyError::Range(digits.chars().take(60).collect()).to_string()));
    }
    let width = exponent(code);
    let least = width.saturating_add(1);
    let padded = format!("{digits:0>least$}");
    let (whole, fraction) = padded.split_at(padded.len().saturating_sub(width));
    let decimal = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
    Money::parse(&decimal, code).map_err(|error| AmountError::Unfit(error.to_string()))
}

/// The integer that beGateway takes for an amount; in words why there is none.
pub(super) fn write(money: &Money) -> Result<u64, String> {
    let width = exponent(money.currency);
    let decimal = money.decimal();
    let (whole, fraction) = decimal.split_once('.').unwrap_or((&decimal, ""));
    let (kept, beyond) = fraction.split_at(width.min(fraction.len()));
    if beyond.bytes().any(|byte| byte != b'0') {
        return Err(format!("bePaid takes {width} decimals of {}; {decimal} is not rounded", money.currency));
    }
    format!("{whole}{kept:0<width$}").parse().map_err(|_| format!("{decimal} is no amount to be paid"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn money(text: &str, code: &str) -> Money {
        Money::parse(text, code.parse().unwrap()).unwrap()
    }

    /// As the official SDK's `Money::getCents()` gives them.
    #[test]
    fn like_the_official_sdk() {
        for (text, code, cents) in [
            ("10.5", "BYN", 1050),
            ("10.00", "BYN", 1000),
            ("1000000", "BYN", 100_000_000),
            ("0.29", "BYN", 29),
            ("1.15", "BYN", 115),
            ("4.35", "EUR", 435),
            ("1000", "JPY", 1000),
            ("1.234", "KWD", 1234),
            ("19.99", "RUB", 1999),
            ("5000.00", "IDR", 5000),
            ("12.5", "MOP", 125),
        ] {
            let money = money(text, code);
            assert_eq!(write(&money), Ok(cents), "{text} {code}");
            let back = read(&json!({"amount": cents, "currency": code})).unwrap();
            assert_eq!(back, money, "{text} {code}");
        }
        assert!(write(&money("5000.50", "IDR")).unwrap_err().contains("not rounded"));
        assert!(write(&Money::new(-100, Currency::BYN)).is_err());
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for amount in
            [json!(10.5), json!("10.50"), json!(-1), json!(null), json!(""), json!("1e3"), json!([])]
        {
            let object = json!({"amount": amount, "currency": "BYN"});
            assert!(matches!(read(&object), Err(AmountError::Malformed(_))), "{object}");
        }
        for (amount, code) in [("9223372036854775808", "BYN"), ("99999999999999999999", "BYN"), ("1", "XQQ")]
        {
            let object = json!({"amount": amount, "currency": code});
            assert!(matches!(read(&object), Err(AmountError::Unfit(_))), "{object}");
        }
        assert_eq!(
            read(&json!({"amount": i64::MAX.to_string(), "currency": "JPY"})).unwrap_err().words(),
            "\"9223372036854775807\" is more than fits a 64-bit number of minor units"
        );
    }

    proptest::proptest! {
        #[test]
        fn amounts_round_trip(minor in 0_i64..10_000_000_000_000_000) {
            for code in ["BYN", "JPY", "KWD", "RUB"] {
                let money = Money::new(minor, code.parse().unwrap());
                let object = json!({"amount": write(&money).unwrap(), "currency": code});
                proptest::prop_assert_eq!(read(&object).unwrap(), money);
            }
        }
    }
}
