//! Amounts and currencies: decimal text to minor units, exactly.

use std::borrow::Cow;

use serde_json::Value;

use super::envelope::{Envelope, Failed, text};
use super::pointer::Pointer;
use super::reader::{Node, Read};
use crate::{Currency, Money};

/// Most digits before the point.
const WHOLE_MAX: usize = 15;
/// Most digits after the point.
const FRACTION_MAX: usize = 8;
/// Most digits that a minor unit may have.
const EXPONENT_MAX: u32 = 18;
/// Exponent of an ISO 4217 currency that is not in our list.
const EXPONENT_DEFAULT: u32 = 2;
/// Most items that are summed up.
const ITEMS_MAX: usize = 1000;

/// What the numbers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Major,
    Minor,
}

/// Where an amount stands.
#[derive(Debug)]
pub(super) enum Source<'a> {
    First(Vec<Pointer<'a>>),
    Sum { over: Pointer<'a>, item: &'a str },
}

/// `map.amount`.
#[derive(Debug)]
pub(super) struct Amount<'a> {
    pub(super) source: Source<'a>,
    pub(super) unit: Unit,
    exponents: Vec<(&'a str, u32)>,
}

impl<'a> Amount<'a> {
    pub(super) fn read(node: Node<'a, '_>) -> Read<Amount<'a>> {
        let object = node.object(&["from", "sum", "unit", "exponents"])?;
        let source = match (object.get("from"), object.get("sum")) {
            (Some(from), None) => Source::First(Pointer::list(from)?),
            (None, Some(sum)) => {
                let sum = sum.object(&["over", "item"])?;
                let item = sum.need("item")?;
                if !item.text()?.starts_with('/') {
                    return Err(item.problem("must be a pointer inside an item, such as /sum"));
                }
                Source::Sum { over: Pointer::read(sum.need("over")?)?, item: item.text()? }
            }
            _ => return Err(node.problem("must have either from or sum")),
        };
        let unit = object.need("unit")?.word(&[("major", Unit::Major), ("minor", Unit::Minor)])?;
        let exponents = object.or("exponents", Vec::new(), |node| {
            node.open()?.members(|_, node| node.number(0..=EXPONENT_MAX))
        })?;
        Ok(Amount { source, unit, exponents })
    }

    /// Digits of the currency's minor unit.
    pub(super) fn exponent(&self, currency: Currency) -> Result<u32, Failed> {
        let own = self.exponents.iter().find(|(code, _)| *code == currency.code());
        let known = own.map(|(_, exponent)| *exponent).or_else(|| currency.exponent());
        let is_iso =
            currency.code().len() == 3 && currency.code().bytes().all(|byte| byte.is_ascii_uppercase());
        known.or(is_iso.then_some(EXPONENT_DEFAULT)).ok_or_else(|| {
            Failed::unfit(format!("the minor unit of {currency} is not known: name it in exponents"))
        })
    }

    /// The amount; `None` when none of the pointers holds one.
    pub(super) fn money(&self, envelope: &Envelope<'_>, currency: Currency) -> Result<Option<Money>, Failed> {
        let exponent = self.exponent(currency)?;
        let minor = match &self.source {
            Source::First(pointers) => match envelope.first(pointers)? {
                None => return Ok(None),
                Some(text) => self.minor(&text, exponent)?,
            },
            Source::Sum { over, item } => match envelope.value(*over)? {
                None => return Ok(None),
                Some(items) => self.sum(&items, item, exponent)?,
            },
        };
        Ok(Some(Money::new(minor, currency)))
    }

    fn sum(&self, items: &Value, item: &str, exponent: u32) -> Result<i64, Failed> {
        let items: Vec<&Value> = match items {
            Value::Array(items) => items.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => return Err(Failed::unfit("there are no items to sum up")),
        };
        if items.is_empty() || items.len() > ITEMS_MAX {
            return Err(Failed::unfit(format!("there are not 1 to {ITEMS_MAX} items to sum up")));
        }
        items.into_iter().try_fold(0_i64, |sum, value| {
            let text = value.pointer(item).and_then(text).unwrap_or(Cow::Borrowed(""));
            let minor = self.minor(&text, exponent)?;
            sum.checked_add(minor).ok_or_else(|| Failed::unfit("the items sum up to more than fits"))
        })
    }

    fn minor(&self, text: &str, exponent: u32) -> Result<i64, Failed> {
        let minor = match self.unit {
            Unit::Major => major(text, exponent),
            Unit::Minor => whole(text),
        };
        minor.map_err(|why| {
            let shown: String = text.chars().take(40).collect();
            Failed::unfit(format!("the amount {shown:?} {why}"))
        })
    }
}

fn whole(text: &str) -> Result<i64, &'static str> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("is no whole number");
    }
    match text.parse::<i64>() {
        Ok(minor) if minor >= 0 => Ok(minor),
        Ok(_) => Err("is negative"),
        Err(_) => Err("is more than fits"),
    }
}

/// `-?`, 1 to 15 digits, perhaps a point or comma and 1 to 8 digits; what is beyond the minor unit must be zeros.
fn major(text: &str, exponent: u32) -> Result<i64, &'static str> {
    const FORM: &str = "is not digits with an optional point";
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once(['.', ',']) {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(FORM),
        None => (unsigned, ""),
    };
    if whole.is_empty() || whole.len() > WHOLE_MAX || fraction.len() > FRACTION_MAX {
        return Err(FORM);
    }
    if !digits(whole) || !digits(fraction) {
        return Err(FORM);
    }
    if unsigned.len() < text.len() {
        return Err("is negative");
    }
    let kept = usize::try_from(exponent).unwrap_or(usize::MAX);
    let (minor_digits, beyond) = fraction.split_at(kept.min(fraction.len()));
    if beyond.bytes().any(|byte| byte != b'0') {
        return Err("has a fraction of the minor unit; it is not rounded");
    }
    let padded = format!("{whole}{minor_digits:0<kept$}");
    padded.parse().map_err(|_| "is more than fits")
}

/// `map.currency`.
#[derive(Debug)]
pub(super) struct CurrencyRule<'a> {
    pub(super) from: Vec<Pointer<'a>>,
    pub(super) aliases: Vec<(&'a str, Currency)>,
    pub(super) constant: Option<Currency>,
}

impl<'a> CurrencyRule<'a> {
    pub(super) fn read(node: Node<'a, '_>) -> Read<CurrencyRule<'a>> {
        let object = node.object(&["from", "aliases", "const"])?;
        let code = |node: Node<'a, '_>| {
            node.text()?.parse::<Currency>().map_err(|error| node.problem(error.to_string()))
        };
        if !object.has("from") && !object.has("const") {
            return Err(node.problem("must have from, const or both"));
        }
        Ok(CurrencyRule {
            from: object.or("from", Vec::new(), Pointer::list)?,
            aliases: object.or("aliases", Vec::new(), |node| node.open()?.members(|_, node| code(node)))?,
            constant: object.maybe("const", code)?,
        })
    }

    pub(super) fn currency(&self, envelope: &Envelope<'_>) -> Result<Currency, Failed> {
        let Some(text) = envelope.first(&self.from)? else {
            return self.constant.ok_or_else(|| Failed::unfit("there is no currency"));
        };
        if let Some((_, currency)) = self.aliases.iter().find(|(alias, _)| *alias == text) {
            return Ok(*currency);
        }
        text.parse().map_err(|_| {
            let shown: String = text.chars().take(20).collect();
            Failed::unfit(format!("{shown:?} is no currency code"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_units() {
        for (text, exponent, minor) in [
            ("10.5", 2, 1050),
            ("10,5", 2, 1050),
            ("10.500000", 2, 1050),
            ("0", 2, 0),
            ("1000", 0, 1000),
            ("1.00", 0, 1),
            ("10.5", 6, 10_500_000),
            ("1000000.0", 2, 100_000_000),
        ] {
            assert_eq!(major(text, exponent), Ok(minor), "{text}");
        }
        for text in ["", "-1", "+1", "1e3", "10.505", "1.", ".5", "1 000", "1234567890123456", "1.123456789"]
        {
            assert!(major(text, 2).is_err(), "{text}");
        }
        assert!(major("999999999999999", 18).is_err());
        assert!(whole("-1").is_err() && whole("1.0").is_err() && whole("").is_err());
        assert_eq!(whole("1050"), Ok(1050));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}", exponent in 0_u32..=18) {
            let _ = (major(&text, exponent), whole(&text));
        }

        #[test]
        fn agrees_with_money(minor in 0_i64..100_000_000_000) {
            let text = Money::new(minor, Currency::RUB).decimal();
            proptest::prop_assert_eq!(major(&text, 2), Ok(minor));
        }
    }
}
