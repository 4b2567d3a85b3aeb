//! Money as integer minor units with a currency; decimal text is read and written exactly, never through a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Digits before the decimal point that [`Money::parse`] reads at the most.
pub const INTEGER_DIGITS_MAX: usize = 18;
/// Digits after the decimal point that [`Money::parse`] reads at the most (more than the exponent must be zeros).
pub const FRACTION_DIGITS_MAX: usize = 30;
const CODE_LEN_MAX: usize = 12;

/// Crypto currencies and the decimals of their minor unit: what the providers pay out in, near the chain's own precision
/// but so few that amounts fit 64 bits.
const COINS: &[(&str, u32)] = &[
    ("BTC", 8),
    ("LTC", 8),
    ("BCH", 8),
    ("ETH", 8),
    ("BNB", 8),
    ("SOL", 8),
    ("DAI", 8),
    ("DOGE", 8),
    ("DASH", 8),
    ("TON", 9),
    ("JET", 9),
    ("XLM", 7),
    ("USDT", 6),
    ("USDC", 6),
    ("XRP", 6),
    ("TRX", 6),
    ("ADA", 6),
];

/// A currency code: ISO 4217 letters, or a provider's own code for a crypto currency. Upper case, 2 to 12 characters
/// of `[A-Z0-9]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency {
    code: [u8; CODE_LEN_MAX],
    len: u8,
}

impl Currency {
    /// The Russian rouble.
    pub const RUB: Currency = Currency::constant(b"RUB");
    /// The Kazakhstani tenge.
    pub const KZT: Currency = Currency::constant(b"KZT");
    /// The Ukrainian hryvnia.
    pub const UAH: Currency = Currency::constant(b"UAH");
    /// The Belarusian rouble.
    pub const BYN: Currency = Currency::constant(b"BYN");
    /// The US dollar.
    pub const USD: Currency = Currency::constant(b"USD");
    /// The euro.
    pub const EUR: Currency = Currency::constant(b"EUR");

    const fn constant(letters: &[u8; 3]) -> Currency {
        let [a, b, c] = *letters;
        Currency { code: [a, b, c, 0, 0, 0, 0, 0, 0, 0, 0, 0], len: 3 }
    }

    /// The code, for example `RUB`.
    #[must_use]
    pub fn code(&self) -> &str {
        self.code.get(..usize::from(self.len)).and_then(|code| std::str::from_utf8(code).ok()).unwrap_or("")
    }

    /// How many decimal digits the minor unit has: ISO 4217's exponent, or the number of digits that the providers
    /// of a crypto currency use. `None` for a currency we do not know: its amounts are refused, not guessed.
    #[must_use]
    pub fn exponent(&self) -> Option<u32> {
        Some(match self.code() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI"
            | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            "CLF" | "UYW" => 4,
            "AED" | "AFN" | "ALL" | "AMD" | "ANG" | "AOA" | "ARS" | "AUD" | "AWG" | "AZN" | "BAM" | "BBD"
            | "BDT" | "BGN" | "BMD" | "BND" | "BOB" | "BRL" | "BSD" | "BTN" | "BWP" | "BYN" | "BZD"
            | "CAD" | "CDF" | "CHF" | "CNY" | "COP" | "CRC" | "CUP" | "CVE" | "CZK" | "DKK" | "DOP"
            | "DZD" | "EGP" | "ERN" | "ETB" | "EUR" | "FJD" | "FKP" | "GBP" | "GEL" | "GHS" | "GIP"
            | "GMD" | "GTQ" | "GYD" | "HKD" | "HNL" | "HTG" | "HUF" | "IDR" | "ILS" | "INR" | "IRR"
            | "JMD" | "KES" | "KGS" | "KHR" | "KPW" | "KYD" | "KZT" | "LAK" | "LBP" | "LKR" | "LRD"
            | "LSL" | "MAD" | "MDL" | "MGA" | "MKD" | "MMK" | "MNT" | "MOP" | "MRU" | "MUR" | "MVR"
            | "MWK" | "MXN" | "MYR" | "MZN" | "NAD" | "NGN" | "NIO" | "NOK" | "NPR" | "NZD" | "PAB"
            | "PEN" | "PGK" | "PHP" | "PKR" | "PLN" | "QAR" | "RON" | "RSD" | "RUB" | "SAR" | "SBD"
            | "SCR" | "SDG" | "SEK" | "SGD" | "SHP" | "SLE" | "SOS" | "SRD" | "SSP" | "STN" | "SVC"
            | "SYP" | "SZL" | "THB" | "TJS" | "TMT" | "TOP" | "TRY" | "TTD" | "TWD" | "TZS" | "UAH"
            | "USD" | "UYU" | "UZS" | "VES" | "WST" | "XCD" | "YER" | "ZAR" | "ZMW" | "ZWG" => 2,
            coin => return COINS.iter().find(|(code, _)| *code == coin).map(|(_, decimals)| *decimals),
        })
    }

    /// Whether this is the code of a crypto currency that we know.
    #[must_use]
    pub fn is_coin(&self) -> bool {
        COINS.iter().any(|(code, _)| *code == self.code())
    }
}

/// A currency code that is not 2 to 12 characters of `[A-Za-z0-9]`.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
#[error("a currency code is 2 to 12 letters or digits, such as RUB")]
pub struct CurrencyError;

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(text: &str) -> Result<Self, CurrencyError> {
        if !(2..=CODE_LEN_MAX).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            return Err(CurrencyError);
        }
        let mut code = [0; CODE_LEN_MAX];
        for (slot, byte) in code.iter_mut().zip(text.bytes()) {
            *slot = byte.to_ascii_uppercase();
        }
        Ok(Currency { code, len: u8::try_from(text.len()).map_err(|_| CurrencyError)? })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why decimal text is no amount of money.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum MoneyError {
    /// Not digits with at most one dot: a sign, an exponent, a comma, a space, nothing.
    #[error("{0:?} is not an amount: expected digits with an optional dot, such as 1499.90")]
    Format(String),
    /// More decimals than the currency's minor unit has, and not all zeros.
    #[error("{text:?} has more than {exponent} decimals, which {currency} does not have; it is not rounded")]
    Precision {
        /// The text as it came.
        text: String,
        /// Decimals of the minor unit.
        exponent: u32,
        /// The currency.
        currency: Currency,
    },
    /// More than fits a 64-bit integer of minor units.
    #[error("{0:?} is more than fits a 64-bit number of minor units")]
    Range(String),
    /// We do not know the currency's minor unit.
    #[error("the minor unit of currency {0} is not known")]
    UnknownCurrency(Currency),
}

/// An amount in minor units (kopecks, cents) of a currency. Never negative when it comes from [`Money::parse`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Money {
    /// Minor units: 149990 for 1499.90 roubles.
    pub minor: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// An amount of minor units.
    #[must_use]
    pub const fn new(minor: i64, currency: Currency) -> Money {
        Money { minor, currency }
    }

    /// Reads decimal text of major units exactly: `"10.5"` → 1050 kopecks. Digits beyond the minor unit must be
    /// zeros (`100.000000` is accepted, `10.505` is not).
    ///
    /// # Errors
    /// [`MoneyError`] for anything else: signs, exponents, commas, spaces, an unknown currency.
    pub fn parse(text: &str, currency: Currency) -> Result<Money, MoneyError> {
        let format = || MoneyError::Format(text.chars().take(40).collect());
        let exponent = currency.exponent().ok_or(MoneyError::UnknownCurrency(currency))?;
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(format()),
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return Err(format());
        }
        if whole.len() > INTEGER_DIGITS_MAX || fraction.len() > FRACTION_DIGITS_MAX {
            return Err(MoneyError::Range(text.chars().take(60).collect()));
        }
        let kept = usize::try_from(exponent).unwrap_or(usize::MAX).min(fraction.len());
        let (minor_digits, beyond) = fraction.split_at(kept);
        if beyond.bytes().any(|byte| byte != b'0') {
            return Err(MoneyError::Precision { text: text.to_owned(), exponent, currency });
        }
        let range = || MoneyError::Range(text.to_owned());
        let mut minor: i64 = whole.parse().map_err(|_| range())?;
        let scale = |value: i64, by: u32| 10_i64.checked_pow(by).and_then(|factor| value.checked_mul(factor));
        minor = scale(minor, exponent).ok_or_else(range)?;
        if !minor_digits.is_empty() {
            let missing = exponent.saturating_sub(u32::try_from(minor_digits.len()).unwrap_or(0));
            let part: i64 = minor_digits.parse().map_err(|_| range())?;
            minor = scale(part, missing).and_then(|part| minor.checked_add(part)).ok_or_else(range)?;
        }
        Ok(Money { minor, currency })
    }

    /// Reads a number's text as JSON writes it: like [`Money::parse`], but an exponent is allowed (`1.0E7`).
    ///
    /// # Errors
    /// [`MoneyError`], as for [`Money::parse`].
    pub fn parse_number(text: &str, currency: Currency) -> Result<Money, MoneyError> {
        if !text.contains(['e', 'E']) {
            return Money::parse(text, currency);
        }
        let decimal = rust_decimal::Decimal::from_scientific(text)
            .map_err(|_| MoneyError::Format(text.chars().take(40).collect()))?;
        Money::parse(&decimal.to_string(), currency)
    }

    /// Major units with exactly the currency's number of decimals: `1499.90`, `10.00`, `500` for a currency without
    /// a minor unit. An unknown currency is written with two decimals.
    #[must_use]
    pub fn decimal(&self) -> String {
        let exponent = self.currency.exponent().unwrap_or(2);
        if exponent == 0 {
            return self.minor.to_string();
        }
        let sign = if self.minor < 0 { "-" } else { "" };
        let width = usize::try_from(exponent).unwrap_or(0);
        let digits = format!("{:0>1$}", self.minor.unsigned_abs(), width.saturating_add(1));
        let (whole, fraction) = digits.split_at(digits.len().saturating_sub(width));
        format!("{sign}{whole}.{fraction}")
    }

    /// Major units without needless zeros, as a JSON number's text: `1499.9`, `10`, `10.05`.
    #[must_use]
    pub fn shortest(&self) -> String {
        let full = self.decimal();
        if full.contains('.') { full.trim_end_matches('0').trim_end_matches('.').to_owned() } else { full }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_decimals() {
        for (text, minor) in [
            ("10.50", 1050),
            ("10.5", 1050),
            ("10", 1000),
            ("0.01", 1),
            ("1000000.00", 100_000_000),
            ("19.99", 1999),
            ("4.35", 435),
            ("100.000000", 10_000),
        ] {
            assert_eq!(Money::parse(text, Currency::RUB).map(|money| money.minor), Ok(minor), "{text}");
        }
        for text in [
            "1 000.00",
            "10,50",
            "-1.00",
            "+1",
            "1e3",
            "10.505",
            "",
            ".",
            "1.",
            ".5",
            "٣",
            "99999999999999999999",
        ] {
            assert!(Money::parse(text, Currency::RUB).is_err(), "{text}");
        }
    }

    #[test]
    fn coins_have_many_decimals_and_are_never_rounded() {
        let parse = |text: &str, code: &str| Money::parse(text, code.parse().unwrap());
        assert_eq!(parse("0.00000001", "BTC").map(|money| money.minor), Ok(1));
        assert_eq!(parse("10.5", "TON").map(|money| money.minor), Ok(10_500_000_000));
        assert_eq!(parse("92233720368.54775807", "ETH").map(|money| money.minor), Ok(i64::MAX));
        assert_eq!(
            parse("92233720368.54775808", "ETH"),
            Err(MoneyError::Range("92233720368.54775808".to_owned()))
        );
        assert!(parse("10989.0109890", "USDT").is_ok());
        assert!(matches!(parse("10989.01098901", "USDT"), Err(MoneyError::Precision { exponent: 6, .. })));
        assert!(matches!(parse("1", "SHIB"), Err(MoneyError::UnknownCurrency(_))));
        assert!("USDT".parse::<Currency>().unwrap().is_coin() && !Currency::EUR.is_coin());
    }

    #[test]
    fn numbers_may_have_an_exponent() {
        for (text, minor) in [("1.0E7", 1_000_000_000), ("1e3", 100_000), ("1050e-2", 1050), ("10.5", 1050)] {
            let money = Money::parse_number(text, Currency::UAH);
            assert_eq!(money.map(|money| money.minor), Ok(minor), "{text}");
        }
        for text in ["-1e3", "1e40", "1e-3", "e", "1e", "1e99999999999999999999"] {
            assert!(Money::parse_number(text, Currency::UAH).is_err(), "{text}");
        }
    }

    #[test]
    fn written_as_read() {
        assert_eq!(Money::new(149_990, Currency::RUB).decimal(), "1499.90");
        assert_eq!(Money::new(149_990, Currency::RUB).shortest(), "1499.9");
        assert_eq!(Money::new(5, Currency::RUB).decimal(), "0.05");
        assert_eq!(Money::new(100_000, Currency::RUB).shortest(), "1000");
        let yen: Currency = "JPY".parse().unwrap();
        assert_eq!(Money::new(500, yen).decimal(), "500");
        assert_eq!(Money::new(500, yen).shortest(), "500");
    }

    proptest::proptest! {
        #[test]
        fn decimal_round_trips(minor in 0_i64..i64::MAX / 1000) {
            let money = Money::new(minor, Currency::RUB);
            proptest::prop_assert_eq!(Money::parse(&money.decimal(), Currency::RUB), Ok(money));
            proptest::prop_assert_eq!(Money::parse(&money.shortest(), Currency::RUB), Ok(money));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = Money::parse(&text, Currency::RUB);
        }
    }
}
