//! ResultURL: the form, its hash, its fact.

use super::diagnose;
use super::shop;
use crate::account::{Account, Secret};
use crate::digest::{self, Hash};
use crate::fact::{AmountCheck, Fact, PaymentFact, PaymentRef, State, Sum};
use crate::form::{Form, FormField};
use crate::http::Request;
use crate::money::Money;
use crate::outcome::{Proof, Received, Reject, RejectKind};

/// Longest invoice number, digits (a signed 64-bit number).
const INVOICE_DIGITS_MAX: usize = 19;
const SUM_WHOLE_DIGITS_MAX: usize = 15;
const SUM_DECIMALS_MAX: usize = 6;
/// What proves a notification, beside the merchant's own parameters.
const PROVING: [&str; 3] = ["OutSum", "InvId", "SignatureValue"];
const SHP_PREFIX: &str = "shp_";
/// Length of the prefix `Shp_`, bytes.
const SHP_PREFIX_LEN: usize = 4;

/// The fields that matter, checked for their form but not proved.
pub(super) struct ResultForm {
    form: Form,
    pub(super) out_sum: String,
    pub(super) invoice: String,
    pub(super) signature: String,
}

/// A parameter of the merchant's own.
#[derive(Clone, Copy)]
pub(super) struct Shp<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) raw_value: &'a str,
}

impl ResultForm {
    /// Reads the form, strictly: nothing may be able to move between the fields that are signed.
    pub(super) fn read(request: &Request) -> Result<ResultForm, Reject> {
        let form = request.form().map_err(|error| Reject::malformed(error.to_string()))?;
        let field = |name: &str| form.find_ignore_case(name).map(|field| field.value.clone());
        let out_sum = field("OutSum").ok_or_else(|| Reject::malformed("OutSum is missing"))?;
        let invoice = field("InvId").ok_or_else(|| Reject::malformed("InvId is missing"))?;
        if !is_sum(&out_sum) {
            return Err(Reject::malformed("OutSum is not digits with a dot, such as 100.000000"));
        }
        if !is_invoice(&invoice) {
            return Err(Reject::malformed("InvId is not 1 to 19 digits"));
        }
        let signature = field("SignatureValue").filter(|text| !text.is_empty()).ok_or_else(|| {
            Reject::new(RejectKind::MissingProof, "SignatureValue is missing").diagnosed(Some(
                "FailURL has no signature: the address of this integration belongs into Result URL"
                    .to_owned(),
            ))
        })?;
        check_names(&form)?;
        Ok(ResultForm { form, out_sum, invoice, signature })
    }

    /// The merchant's own parameters in order of arrival.
    pub(super) fn shp(&self) -> Vec<Shp<'_>> {
        let own = self.form.fields().iter().filter(|field| is_shp(field));
        own.map(|field| Shp { name: &field.name, value: &field.value, raw_value: &field.raw_value }).collect()
    }

    fn field(&self, name: &str) -> Option<&str> {
        let field = self.form.find_ignore_case(name)?;
        Some(field.value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether the signature fits a password, in any of the ways in which sources disagree (each is as unforgeable as
    /// the others): `Shp_` parameters sorted without regard to case, by bytes, or as they came; their values decoded,
    /// or as they stood on the wire.
    pub(super) fn fits(&self, password: &Secret, hash: Hash) -> bool {
        let mut shp = self.shp();
        if shp.is_empty() {
            return self.fits_base(password, hash, &shp, false);
        }
        let arrival = shp.clone();
        shp.sort_by(|a, b| by_letters(a.name, b.name));
        let mut orders = vec![shp.clone()];
        for other in [sorted_by_bytes(&shp), arrival] {
            if !orders.iter().any(|order| same_order(order, &other)) {
                orders.push(other);
            }
        }
        let encoded = shp.iter().any(|shp| shp.value != shp.raw_value);
        orders.iter().any(|order| self.fits_base(password, hash, order, false))
            || (encoded && orders.iter().any(|order| self.fits_base(password, hash, order, true)))
    }

    fn fits_base(&self, password: &Secret, hash: Hash, shp: &[Shp<'_>], raw: bool) -> bool {
        let base = base(&self.out_sum, &self.invoice, password.expose(), shp, raw);
        digest::same_hex(&self.signature, &hash.digest(base.as_bytes()))
    }
}

/// `OutSum:InvId:Password[:Shp_name=value]…`
pub(super) fn base(out_sum: &str, invoice: &str, password: &str, shp: &[Shp<'_>], raw: bool) -> String {
    let mut base = format!("{out_sum}:{invoice}:{password}");
    for Shp { name, value, raw_value } in shp {
        base.push(':');
        base.push_str(name);
        base.push('=');
        base.push_str(if raw { raw_value } else { value });
    }
    base
}

fn by_letters(a: &str, b: &str) -> std::cmp::Ordering {
    let lower = |name: &str| name.bytes().map(|byte| byte.to_ascii_lowercase()).collect::<Vec<_>>();
    lower(a).cmp(&lower(b))
}

fn sorted_by_bytes<'a>(shp: &[Shp<'a>]) -> Vec<Shp<'a>> {
    let mut sorted = shp.to_vec();
    sorted.sort_by_key(|shp| shp.name);
    sorted
}

fn same_order(a: &[Shp<'_>], b: &[Shp<'_>]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.name == b.name)
}

fn is_shp(field: &FormField) -> bool {
    field.name.get(..SHP_PREFIX_LEN).is_some_and(|prefix| prefix.eq_ignore_ascii_case(SHP_PREFIX))
}

/// Repeated names would let two readers see two notifications. Control characters stand in the padding of a
/// lengthened hash (a plain hash with the secret in its middle can be extended at its end).
fn check_names(form: &Form) -> Result<(), Reject> {
    let mut seen: Vec<String> = Vec::new();
    for field in form.fields() {
        let own = is_shp(field);
        if own {
            let tail = field.name.get(SHP_PREFIX_LEN..).unwrap_or_default();
            if tail.is_empty() || !tail.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(Reject::malformed("the name of a Shp_ parameter is not of A-Z, a-z, 0-9 and _"));
            }
            if field.value.chars().any(char::is_control) {
                return Err(Reject::malformed(format!("{} holds control characters", field.name)));
            }
        }
        if own || PROVING.iter().any(|name| field.name.eq_ignore_ascii_case(name)) {
            seen.push(field.name.to_ascii_lowercase());
        }
    }
    seen.sort_unstable();
    match seen.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
        Some(_) => {
            Err(Reject::malformed("OutSum, InvId, SignatureValue or a Shp_ parameter occurs more than once"))
        }
        None => Ok(()),
    }
}

/// Digits, then perhaps a dot and one to six digits.
pub(super) fn is_sum(text: &str) -> bool {
    let digits =
        |part: &str, max| (1..=max).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((whole, decimals)) => digits(whole, SUM_WHOLE_DIGITS_MAX) && digits(decimals, SUM_DECIMALS_MAX),
        None => digits(text, SUM_WHOLE_DIGITS_MAX),
    }
}

pub(super) fn is_invoice(text: &str) -> bool {
    (1..=INVOICE_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Proves and reads a ResultURL notification.
pub(super) fn receive(
    request: &Request,
    account: &Account,
    mut warnings: Vec<String>,
) -> Result<Received, Reject> {
    let result = ResultForm::read(request)?;
    let hash = shop::hash(account).ok_or_else(|| {
        Reject::new(RejectKind::WrongProof, "the setting hash names no algorithm of Robokassa")
    })?;
    let fits = |key: &str| account.secret(key).is_some_and(|password| result.fits(password, hash));
    let test = if fits("password2") {
        false
    } else if fits("test_password2") {
        true
    } else {
        let reason = "SignatureValue does not fit OutSum, InvId, the Shp_ parameters and password #2";
        return Err(
            Reject::new(RejectKind::WrongProof, reason).diagnosed(diagnose::wrong(&result, account, hash))
        );
    };
    if (result.field("IsTest") == Some("1")) != test {
        let which = if test { "the test password #2" } else { "the live password #2" };
        warnings.push(format!("IsTest says otherwise, but it is not signed: {which} fits, and that decides"));
    }
    if result.shp().iter().any(|shp| shp.value.to_ascii_lowercase().contains(":shp_")) {
        warnings.push(
            "a Shp_ value holds \":Shp_\": where one ends and the next begins is not proved".to_owned(),
        );
    }
    let money = Money::parse(&result.out_sum, shop::currency(account))
        .map_err(|error| Reject::malformed(error.to_string()))?;
    let mode = if test { "test" } else { "live" };
    let fact = PaymentFact {
        payment: reference(&result.invoice),
        state: State::Succeeded,
        amount: Some(Sum::Money(money)),
        amount_check: AmountCheck::AtMostIfHeld,
        reason: None,
        test,
        method: result.field("PaymentMethod").map(ToOwned::to_owned),
        saved_method: saved_method(&result),
        operation_key: None,
        expires_at: None,
    };
    Ok(Received {
        dedupe: format!("result:{mode}:{}:{}", result.invoice, money.minor),
        facts: vec![Fact::Payment(fact)],
        proof: Proof::Signed,
        payload: result.form.payload(),
        warnings,
    })
}

/// What a later charge needs is the number of the first payment. Whether its card was kept is not said, so the link
/// carries the signed parameter `Shp_save_method` when it asked for that.
fn saved_method(result: &ResultForm) -> Option<String> {
    let asked = result.field(super::pay::SAVE_METHOD) == Some("1");
    asked.then(|| result.invoice.clone())
}

/// Robokassa knows a payment by the shop's invoice number alone; its own OpKey comes only with some messages and is
/// kept as the operation key.
pub(super) fn reference(invoice: &str) -> PaymentRef {
    PaymentRef { provider_id: Some(invoice.to_owned()), reference: Some(invoice.to_owned()) }
}
