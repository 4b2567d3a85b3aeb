//! The two signatures: of the handler's requests, and of payments that we create.

use std::collections::BTreeMap;

use crate::digest::Hash;
use crate::form::Form;
use crate::outcome::{Reject, RejectKind};

/// What joins the signed values. A value that holds it makes the signature ambiguous.
pub(super) const SEPARATOR: &str = "{up}";
/// Parameters that the signature leaves out; `sign` is the old MD5 signature of projects from before 2016.
pub(super) const UNSIGNED: [&str; 2] = ["signature", "sign"];

/// A handler request's `method` and `params[…]`, sorted by inner name; of a repeated name the last value counts, as it
/// does for Unitpay.
pub(super) struct Params<'a> {
    pub(super) method: &'a str,
    pub(super) values: BTreeMap<&'a str, &'a str>,
}

impl<'a> Params<'a> {
    /// Picks them out of a query; the handler URL's own parameters are left alone.
    ///
    /// # Errors
    /// [`RejectKind::Malformed`] without a method; [`RejectKind::WrongProof`] for nested parameters, which Unitpay
    /// never sends and whose place in the signature nobody knows.
    pub(super) fn of(form: &'a Form) -> Result<Params<'a>, Reject> {
        let mut method = None;
        let mut values = BTreeMap::new();
        for field in form.fields() {
            if field.name == "method" {
                method = Some(field.value.as_str());
            } else if let Some(rest) = field.name.strip_prefix("params") {
                let inner = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                match inner {
                    Some(inner) if !inner.is_empty() && !inner.contains(['[', ']']) => {
                        values.insert(inner, field.value.as_str());
                    }
                    _ => {
                        let reason = format!("{:?} is no params[NAME]: it can't be signed", cut(&field.name));
                        return Err(Reject::new(RejectKind::WrongProof, reason));
                    }
                }
            }
        }
        match method {
            Some(method) if !method.is_empty() => Ok(Params { method, values }),
            _ => Err(Reject::malformed("the query has no method")),
        }
    }

    /// The value of a parameter; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.values.get(name).copied().filter(|value| !value.is_empty())
    }

    /// `signature` as Unitpay would make it: 64 lower-case hex digits.
    pub(super) fn signature(&self, secret: &str) -> String {
        let signed = self.values.iter().filter(|(name, _)| !UNSIGNED.contains(name)).map(|(_, value)| *value);
        join(std::iter::once(self.method).chain(signed), secret)
    }

    /// The old `sign`: MD5 over the values and the secret without a separator and without the method. It proves
    /// nothing; it only tells that the secret is right.
    pub(super) fn legacy(&self, secret: &str) -> String {
        let mut base = String::new();
        for (name, value) in &self.values {
            if !UNSIGNED.contains(name) {
                base.push_str(value);
            }
        }
        base.push_str(secret);
        Hash::Md5.hex(base.as_bytes())
    }
}

/// SHA-256 in lower-case hex over the values and the secret, joined by [`SEPARATOR`].
pub(super) fn join<'a>(values: impl Iterator<Item = &'a str>, secret: &str) -> String {
    let mut base = String::with_capacity(256);
    for value in values {
        base.push_str(value);
        base.push_str(SEPARATOR);
    }
    base.push_str(secret);
    Hash::Sha256.hex(base.as_bytes())
}

/// Signature of the form, the widget and `initPayment`: `account`, `currency`, `desc`, `sum` in this order, the very
/// texts that are sent. A currency that is not sent leaves no empty slot.
pub(super) fn of_payment(
    account: &str,
    currency: Option<&str>,
    desc: &str,
    sum: &str,
    secret: &str,
) -> String {
    join([Some(account), currency, Some(desc), Some(sum)].into_iter().flatten(), secret)
}

pub(super) fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "c1f3d8a5e7b94026a8d1c2f3b4e5d607";

    #[test]
    fn example_of_the_documentation() {
        let form = Form::parse(b"params[b]=bob&params[c]=sam&method=check&params[a]=tod").unwrap();
        let params = Params::of(&form).unwrap();
        assert_eq!(
            params.signature("a1b1c1d1"),
            "cda8967f6fd073057f52b1978e126ace255e7b1cbd6363983188b8e0af8e049e"
        );
    }

    #[test]
    fn payments_that_we_create() {
        let cases = [
            (
                "order-1001",
                Some("RUB"),
                "Оплата заказа №1001",
                "10.50",
                "690af565ffe9419b6ebea9d6d9756e4e50275ab5c35bd388ad880a19afdbf60f",
            ),
            (
                "order-1001",
                Some("RUB"),
                "Оплата заказа №1001",
                "10.5",
                "e280587605b3e3076793b2002e6a69f15d93bdf5c5a265c7dc5032794ddc893e",
            ),
            (
                "order-1002",
                None,
                "Подписка на бота",
                "10.00",
                "ca208a8e1bf704e39bbfa4c85de0d4db148d30342f671feb152afff86989163b",
            ),
            (
                "user@example.com",
                Some("RUB"),
                "Top up & save 5% + bonus",
                "1000000",
                "cea615e820ae221b79fdaf42324e8509c746c0b52086583e2084bd020b31997f",
            ),
        ];
        for (account, currency, desc, sum, expected) in cases {
            assert_eq!(of_payment(account, currency, desc, sum, SECRET), expected);
        }
    }

    #[test]
    fn inner_names_are_sorted_by_bytes_and_the_last_of_a_name_counts() {
        let form = Form::parse(b"method=pay&params[ab]=3&params[a]=2&params[Z]=1&params[a]=9").unwrap();
        let params = Params::of(&form).unwrap();
        assert_eq!(params.signature("s"), Hash::Sha256.hex(b"pay{up}1{up}9{up}3{up}s"));
    }

    #[test]
    fn nested_and_nameless_parameters_are_refused() {
        for query in ["params[x][]=1", "params[]=1", "params=1", "params[x=1", "paramsx=1"] {
            let form = Form::parse(format!("method=pay&{query}").as_bytes()).unwrap();
            assert_eq!(
                Params::of(&form).err().map(|reject| reject.kind),
                Some(RejectKind::WrongProof),
                "{query}"
            );
        }
    }
}
