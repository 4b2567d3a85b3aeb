//! Proving and reading notifications and state questions.

use serde_json::Value;
use serde_json::value::RawValue;

use super::signature::{plain, receipt};
use super::{CALLBACK_FIELDS, callback_fields, currency, diagnosis};
use crate::account::Account;
use crate::digest;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, Question, QuestionKind, State, Sum};
use crate::form::Form;
use crate::http::{Method, Request};
use crate::json;
use crate::money::{Currency, Money};
use crate::outcome::{Proof, Received, Reject, RejectKind};

/// Length of `BillNumber` (the RRN), digits.
pub(super) const BILL_LEN: usize = 12;
/// Most digits before the dot of a sum that is believed: fewer than `BILL_LEN`, so that no number of a bill can pass
/// for the beginning of a sum.
const SUM_DIGITS_MAX: usize = 10;
/// Longest order number that Uniteller takes, characters.
const ORDER_LEN_MAX: usize = 127;

/// A notification's fields.
pub(super) struct Fields {
    pub(super) order: String,
    pub(super) status: String,
    pub(super) signature: String,
    receipt: Option<String>,
    receipt_signature: Option<String>,
    /// Known extra fields that are not empty, in order of arrival.
    pub(super) extra: Vec<(String, String)>,
}

impl Fields {
    /// The fields of a notification that is yet to be signed.
    pub(super) fn new(pairs: &[(String, String)]) -> Fields {
        let find =
            |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        Fields {
            order: find("Order_ID").unwrap_or_default(),
            status: find("Status").unwrap_or_default(),
            signature: String::new(),
            receipt: None,
            receipt_signature: None,
            extra: pairs
                .iter()
                .filter(|(name, _)| CALLBACK_FIELDS.contains(&name.as_str()))
                .cloned()
                .collect(),
        }
    }

    fn of(pairs: Vec<(String, String)>) -> Result<Fields, Reject> {
        let take = |wanted: &str| -> Result<Option<String>, Reject> {
            let mut found = pairs.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            let first = found.next().map(|(_, value)| value.clone()).filter(|value| !value.is_empty());
            match found.next() {
                Some(_) => Err(Reject::malformed(format!("{wanted} occurs twice"))),
                None => Ok(first),
            }
        };
        let missing = |name: &str| Reject::malformed(format!("{name} is missing"));
        let order = take("Order_ID")?.ok_or_else(|| missing("Order_ID"))?;
        let status = take("Status")?.ok_or_else(|| missing("Status"))?;
        let signature = take("Signature")?
            .ok_or_else(|| Reject::new(RejectKind::MissingProof, "there is no Signature"))?;
        if order.chars().count() > ORDER_LEN_MAX {
            return Err(Reject::malformed(format!("Order_ID is longer than {ORDER_LEN_MAX} characters")));
        }
        let (receipt, receipt_signature) = (take("Receipt")?, take("ReceiptSignature")?);
        let mut extra: Vec<(String, String)> = Vec::new();
        for (name, value) in pairs {
            if value.is_empty() || !CALLBACK_FIELDS.contains(&name.as_str()) {
                continue;
            }
            if extra.iter().any(|(other, _)| *other == name) {
                return Err(Reject::malformed(format!("{name} occurs twice")));
            }
            extra.push((name, value));
        }
        Ok(Fields { order, status, signature, receipt, receipt_signature, extra })
    }

    pub(super) fn extra(&self, name: &str) -> Option<&str> {
        self.extra.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The signature over these extra fields in this order; one that did not come counts as empty.
    pub(super) fn signature_over(&self, names: &[&str], password: &str) -> String {
        let mut parts = vec![self.order.as_str(), self.status.as_str()];
        parts.extend(names.iter().filter_map(|name| self.extra(name)));
        parts.push(password);
        plain(&parts)
    }

    fn is_signed_over(&self, names: &[&str], password: &str) -> bool {
        let made = self.signature_over(names, password);
        let mut claimed = self.signature.clone();
        claimed.make_ascii_uppercase();
        digest::same(claimed.as_bytes(), made.as_bytes())
    }
}

/// Whether a request asks for an order's state: it has `upoint_id` and nothing that a notification has.
pub(super) fn is_state_question(request: &Request) -> bool {
    request.form().is_ok_and(|form| is_question(&form))
}

fn is_question(form: &Form) -> bool {
    form.find_ignore_case("upoint_id").is_some() && form.find_ignore_case("Signature").is_none()
}

pub(super) fn receive(request: &Request, account: &Account) -> Result<Received, Reject> {
    let (pairs, payload) = match read(request)? {
        Wire::Form(form) if is_question(&form) => return question(&form, account),
        Wire::Form(form) => {
            let fields = form.fields().iter();
            (fields.map(|field| (field.name.clone(), field.value.clone())).collect(), form.payload())
        }
        Wire::Json(pairs, payload) => (pairs, payload),
    };
    let fields = Fields::of(pairs)?;
    let mut warnings = Vec::new();
    let signed = prove(&fields, account, &mut warnings)?;
    prove_receipt(&fields, account)?;
    let unsigned = fields.extra.iter().map(|(name, _)| name.as_str());
    let unsigned: Vec<&str> = unsigned.filter(|name| signed.get(&fields, name).is_none()).collect();
    if !unsigned.is_empty() {
        warnings.push(format!("the signature does not cover {}", unsigned.join(", ")));
    }
    let (fact, proof) = told(&fields, &signed, account);
    let status = fields.status.to_ascii_lowercase();
    let balance = signed.get(&fields, "Balance").unwrap_or("");
    // The order number comes last: it alone may hold any character.
    let dedupe = format!("{status}:{balance}:{}", fields.order);
    Ok(Received { facts: vec![fact], proof, payload, dedupe, warnings })
}

enum Wire {
    Form(Form),
    Json(Vec<(String, String)>, Box<RawValue>),
}

/// The fields of the body, or of the query where a redirect lost the body: Uniteller sends them in both.
fn read(request: &Request) -> Result<Wire, Reject> {
    let malformed = |error: crate::form::FormError| Reject::malformed(error.to_string());
    let body = request.body.trim_ascii_start();
    if request.method != Method::Get && body.first() == Some(&b'{') {
        return read_json(body);
    }
    if request.method != Method::Get && !body.is_empty() {
        let form = Form::parse(&request.body).map_err(malformed)?;
        if form.find_ignore_case("Signature").is_some() || is_question(&form) || request.query.is_empty() {
            return Ok(Wire::Form(form));
        }
    }
    Form::parse(request.query.as_bytes()).map(Wire::Form).map_err(malformed)
}

fn read_json(body: &[u8]) -> Result<Wire, Reject> {
    let not_json = || Reject::malformed("the body begins like JSON and is none");
    let payload = json::raw_body(body).ok_or_else(not_json)?;
    if let Some(name) = json::duplicate_name(payload.get()) {
        return Err(Reject::malformed(format!("{name} occurs twice")));
    }
    let Ok(Value::Object(object)) = serde_json::from_str::<Value>(payload.get()) else {
        return Err(not_json());
    };
    let pairs = object.iter().filter_map(|(name, value)| Some((name.clone(), json::text(value)?))).collect();
    Ok(Wire::Json(pairs, payload))
}

/// The extra fields that the signature covers.
struct Covered {
    names: Vec<String>,
    /// Whether they were covered in the configured order: then none can have been renamed or left out unnoticed
    /// except as [`told`] takes care of.
    configured: bool,
}

impl Covered {
    fn get<'a>(&self, fields: &'a Fields, name: &str) -> Option<&'a str> {
        if self.names.iter().any(|covered| covered == name) { fields.extra(name) } else { None }
    }
}

/// Tries the orders in which the extra fields may have been signed.
fn prove(fields: &Fields, account: &Account, warnings: &mut Vec<String>) -> Result<Covered, Reject> {
    let wrong =
        || Reject::new(RejectKind::WrongProof, "the Signature does not fit the fields and the password");
    let Some(password) = account.secret("password").map(|secret| secret.expose()) else {
        return Err(wrong());
    };
    let configured = callback_fields(account);
    let covered = |names: &[&str], configured| Covered {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        configured,
    };
    if fields.is_signed_over(&configured, password) {
        return Ok(covered(&configured, true));
    }
    for (names, words) in other_orders(fields, &configured) {
        if fields.is_signed_over(&names, password) {
            warnings.push(format!("signed over {}, {words}; callback_fields should say so", names.join(" ")));
            return Ok(covered(&names, false));
        }
    }
    if let Some(order) = windows_1251(&fields.order) {
        let bytes = [order, fields.status.clone().into_bytes(), password.as_bytes().to_vec()].concat();
        let made = digest::Hash::Md5.digest(&bytes);
        if fields.extra.is_empty() && digest::same_hex(&fields.signature, &made) {
            warnings.push("signed over the order number in windows-1251: use ASCII order numbers".to_owned());
            return Ok(covered(&[], false));
        }
    }
    Err(wrong().diagnosed(diagnosis::diagnose(fields, account)))
}

/// Orders of extra fields besides the configured one: that of payments with receipts, and that of arrival.
fn other_orders<'a>(fields: &'a Fields, configured: &[&'a str]) -> [(Vec<&'a str>, &'static str); 2] {
    let arrived: Vec<&str> = fields.extra.iter().map(|(name, _)| name.as_str()).collect();
    let mut fiscal = vec!["ApprovalCode", "BillNumber", "Total"];
    for name in configured.iter().chain(&arrived) {
        if !fiscal.contains(name) {
            fiscal.push(name);
        }
    }
    [(fiscal, "the order of payments with receipts"), (arrived, "the order of arrival")]
}

fn prove_receipt(fields: &Fields, account: &Account) -> Result<(), Reject> {
    let Some(text) = &fields.receipt else { return Ok(()) };
    let Some(claimed) = &fields.receipt_signature else {
        return Err(Reject::new(RejectKind::MissingProof, "there is a Receipt without ReceiptSignature"));
    };
    let made = receipt(&[&fields.order, &fields.status, text, account.text("password")]);
    if digest::same(claimed.to_ascii_uppercase().as_bytes(), made.as_bytes()) {
        Ok(())
    } else {
        Err(Reject::new(RejectKind::WrongProof, "the ReceiptSignature does not fit the Receipt"))
    }
}

/// The state that each status of a notification tells; `results` has others. What the notification leaves open is told as
/// the least that it can mean, and looked up.
fn state(status: &str, paid_only: bool) -> Option<State> {
    match status {
        "waiting" => Some(State::Pending),
        // Perhaps a hold, perhaps paid.
        "authorized" if paid_only => Some(State::Pending),
        // A part of a hold, or of a payment.
        "authorized" | "partly canceled" => Some(State::WaitingForCapture),
        "paid" => Some(State::Succeeded),
        "canceled" => Some(State::Canceled),
        _ => None,
    }
}

/// What a proved notification says, and how far that goes.
fn told(fields: &Fields, signed: &Covered, account: &Account) -> (Fact, Proof) {
    let payment = PaymentRef {
        provider_id: signed.get(fields, "BillNumber").map(ToOwned::to_owned),
        reference: Some(fields.order.clone()),
    };
    let status = fields.status.to_ascii_lowercase();
    let Some(state) = state(&status, account.switch("paid_only")) else {
        let why = "a status that the technical order does not name; nothing follows from it".to_owned();
        return (
            Fact::Note(Note { what: fields.status.chars().take(40).collect(), why, payment }),
            Proof::Signed,
        );
    };
    let sums = sums(fields, signed, currency(account));
    let proof = match (status.as_str(), &sums) {
        ("waiting", _) | ("paid", Some(_)) => Proof::Signed,
        ("paid", None) => Proof::Unproven(
            "the signature covers no amount (or not beyond doubt), so the order is looked up".to_owned(),
        ),
        ("authorized", _) => {
            Proof::Unproven("the notification does not say whether this is a hold, so the order is looked up".to_owned())
        }
        _ => Proof::Unproven(
            "the notification does not say whether a hold was released or money given back, so the order is looked up"
                .to_owned(),
        ),
    };
    let saved_method = match (signed.get(fields, "Card_IDP"), signed.get(fields, "Customer_IDP")) {
        (Some(card), Some(customer)) => Some(format!("card:{card}:{customer}")),
        _ => None,
    };
    let fact = PaymentFact {
        payment,
        state,
        amount: sums.map(|(total, _)| Sum::Money(total)),
        amount_check: AmountCheck::AtMostIfHeld,
        reason: None,
        test: account.is_test(),
        method: signed.get(fields, "PaymentType").map(|code| method(code).to_owned()),
        saved_method,
        operation_key: None,
        expires_at: None,
    };
    (Fact::Payment(fact), proof)
}

/// `Total` and `Balance`, where the signature leaves no doubt about them. Nothing separates the signed values, so they
/// are believed only when the configured fields are none but these and the bill's number, and each has its own shape:
/// then no digit can have moved from one to the other.
fn sums(fields: &Fields, signed: &Covered, currency: Currency) -> Option<(Money, Option<Money>)> {
    let plain = |name: &String| matches!(name.as_str(), "BillNumber" | "Total" | "Balance");
    if !signed.configured || !signed.names.iter().all(plain) {
        return None;
    }
    let bill = signed
        .get(fields, "BillNumber")
        .is_none_or(|bill| bill.len() == BILL_LEN && bill.bytes().all(|byte| byte.is_ascii_digit()));
    let total = sum(signed.get(fields, "Total")?, currency)?;
    let balance = match signed.get(fields, "Balance") {
        Some(text) => Some(sum(text, currency)?),
        None => None,
    };
    bill.then_some((total, balance))
}

/// A sum of the one shape `0.00`: two decimals, no needless zeros.
fn sum(text: &str, currency: Currency) -> Option<Money> {
    let (whole, decimals) = text.split_once('.')?;
    let has_shape = decimals.len() == 2
        && (1..=SUM_DIGITS_MAX).contains(&whole.len())
        && (whole == "0" || !whole.starts_with('0'));
    if has_shape { Money::parse(text, currency).ok() } else { None }
}

/// `PaymentType` in words.
pub(super) fn method(code: &str) -> &str {
    match code {
        "1" => "card",
        "3" => "emoney",
        "13" => "sbp",
        "14" => "sberpay",
        "15" => "tpay",
        "16" => "yandex_split",
        other => other,
    }
}

/// «Контроль статуса заказа»: unsigned, so it may be answered and must change nothing.
fn question(form: &Form, account: &Account) -> Result<Received, Reject> {
    let value = |name: &str| {
        let mut found = form.fields().iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        let first = found.next().map(|field| field.value.clone()).filter(|value| !value.is_empty());
        first.filter(|_| found.next().is_none())
    };
    let missing = |name: &str| Reject::malformed(format!("{name} is missing or occurs twice"));
    let point = value("upoint_id").ok_or_else(|| missing("upoint_id"))?;
    let order = value("order_id").ok_or_else(|| missing("order_id"))?;
    if !point.eq_ignore_ascii_case(account.text("shop_id")) {
        return Err(Reject::new(RejectKind::WrongAccount, "asks about another point of sale (upoint_id)"));
    }
    let payment = PaymentRef { provider_id: None, reference: Some(order.clone()) };
    let question = Question { kind: QuestionKind::WhatState, payment, amount: None };
    let proof =
        Proof::Unproven("a state question is not signed: it is answered and changes nothing".to_owned());
    let dedupe = format!("question::{order}");
    Ok(Received {
        facts: vec![Fact::Question(question)],
        proof,
        payload: form.payload(),
        dedupe,
        warnings: Vec::new(),
    })
}

/// A text that is not ASCII in windows-1251: the technical order says ASCII and has a Cyrillic example.
fn windows_1251(text: &str) -> Option<Vec<u8>> {
    if text.is_ascii() {
        return None;
    }
    text.chars()
        .map(|character| match character {
            '\0'..='\x7f' => u8::try_from(character).ok(),
            'А'..='я' => u8::try_from(u32::from(character) - u32::from('А') + 0xC0).ok(),
            'Ё' => Some(0xA8),
            'ё' => Some(0xB8),
            '№' => Some(0xB9),
            _ => None,
        })
        .collect()
}
