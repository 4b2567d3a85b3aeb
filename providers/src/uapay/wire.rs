//! UAPAY's payment objects, of three generations of its API, and what their states mean.

use serde::Deserialize;
use serde_json::Value;

use crate::account::Account;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, RefundFact, State, Sum};
use crate::json;
use crate::money::{Currency, Money};

/// Host of receipts of test payments.
const DEMO_RECEIPT: &str = "https://api.demo.uapay.ua/";
/// Longest foreign word that is passed on, characters.
const WORD_MAX: usize = 100;

/// A payment, an invoice or a row of a list; every member may be missing.
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Wire {
    pub payment_id: Option<Value>,
    pub id: Option<Value>,
    pub invoice_id: Option<Value>,
    pub order_id: Option<Value>,
    pub external_id: Option<Value>,
    /// UAPAY's own misspelling in the orders API.
    pub extarnal_id: Option<Value>,
    pub operation_external_id: Option<Value>,
    pub operation_id: Option<Value>,
    pub amount: Option<Value>,
    pub payment_amount: Option<Value>,
    pub status: Option<Value>,
    pub payment_status: Option<Value>,
    #[serde(rename = "type")]
    pub kind: Option<Value>,
    pub receipt_path: Option<Value>,
    pub payment_page_url: Option<Value>,
    pub payments: Option<Value>,
    pub invoices: Option<Value>,
}

/// The text of a member that is a text or a number.
pub(super) fn text(member: &Option<Value>) -> Option<String> {
    member.as_ref().and_then(json::text)
}

/// A payment whose members were found under whichever name.
#[derive(Clone, Debug, Default)]
pub(super) struct Payment {
    pub id: Option<String>,
    pub invoice: Option<String>,
    pub reference: Option<String>,
    /// Kopecks.
    pub amount: Option<i64>,
    /// State of the invoice's payment; only refines.
    pub status: String,
    /// State in processing: what decides.
    pub payment_status: String,
    /// `PAY`, `HOLD`, `SUBSCRIBE`.
    pub kind: Option<String>,
    pub test: bool,
}

/// How much a payment's state settles; of several attempts at one invoice the highest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    Unknown,
    Over,
    Waiting,
    Returned,
    Held,
    Paid,
}

/// What a payment object says.
pub(super) struct Reading {
    pub facts: Vec<Fact>,
    /// Why the object alone does not settle the matter, so that the invoice has to be asked for.
    pub ask: Option<&'static str>,
}

impl Wire {
    /// Reads an object; an array is none, although serde would fill the members in order from it.
    pub fn parse(json: &str) -> Option<Wire> {
        json.trim_start().starts_with('{').then(|| serde_json::from_str(json).ok())?
    }

    /// The objects of a list member.
    pub fn list(member: &Option<Value>) -> Vec<Wire> {
        let rows = member.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        rows.iter().filter_map(|row| Wire::parse(&row.to_string())).collect()
    }

    /// The payment in it.
    ///
    /// # Errors
    /// Says in words what is missing or can't be read.
    pub fn payment(&self, account: &Account) -> Result<Payment, String> {
        let first = |members: &[&Option<Value>]| members.iter().find_map(|member| text(member));
        let payment = Payment {
            id: first(&[&self.payment_id, &self.id]),
            invoice: first(&[&self.invoice_id, &self.order_id]),
            reference: first(&[&self.external_id, &self.extarnal_id, &self.operation_external_id]),
            amount: first(&[&self.amount, &self.payment_amount]).map(|text| kopecks(&text)).transpose()?,
            status: text(&self.status).unwrap_or_default(),
            payment_status: text(&self.payment_status).ok_or("there is no paymentStatus")?,
            kind: text(&self.kind),
            test: account.is_test()
                || text(&self.receipt_path).is_some_and(|path| path.starts_with(DEMO_RECEIPT)),
        };
        if payment.id.is_none() {
            return Err("there is no paymentId".to_owned());
        }
        if payment.invoice.is_none() && payment.reference.is_none() {
            return Err("there is neither externalId nor invoiceId".to_owned());
        }
        if payment.amount.is_none() {
            return Err("there is no amount".to_owned());
        }
        Ok(payment)
    }
}

/// Amounts are whole kopecks everywhere.
fn kopecks(text: &str) -> Result<i64, String> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits).ok_or_else(|| {
        format!("the amount {:?} is not a whole number of kopecks", text.chars().take(40).collect::<String>())
    })
}

impl Payment {
    /// How much its state settles.
    pub fn weight(&self) -> Weight {
        match (self.payment_status.as_str(), self.status.as_str()) {
            ("FINISHED", _) => Weight::Paid,
            ("HOLDED", "PAID") => Weight::Held,
            ("REVERSED" | "RETURNED", _) => Weight::Returned,
            ("HOLDED" | "PAYED" | "OPEN" | "PENDING" | "NEEDS_CONFIRMATION", _) => Weight::Waiting,
            ("CANCELED" | "REJECTED", _) => Weight::Over,
            _ => Weight::Unknown,
        }
    }

    /// What the state means (wiki, "Callback": `paymentStatus`).
    pub fn read(&self) -> Reading {
        let settled = |fact| Reading { facts: vec![fact], ask: None };
        let open = |fact, why| Reading { facts: vec![fact], ask: Some(why) };
        match (self.payment_status.as_str(), self.status.as_str()) {
            ("FINISHED", _) => settled(self.state(State::Succeeded, None)),
            ("HOLDED", "PAID") => settled(self.state(State::WaitingForCapture, None)),
            ("HOLDED", _) => open(
                self.state(State::Pending, None),
                "the hold is in transition: paymentStatus HOLDED without status PAID",
            ),
            ("PAYED", _) => {
                open(self.state(State::Pending, None), "the money was debited but not passed on yet (PAYED)")
            }
            ("OPEN" | "PENDING" | "NEEDS_CONFIRMATION", _) => settled(self.state(State::Pending, None)),
            ("CANCELED" | "REJECTED", _) => {
                settled(self.state(State::Canceled, Some(self.payment_status.clone())))
            }
            ("REVERSED", _) => settled(self.returned()),
            ("RETURNED", _) => {
                open(self.returned(), "RETURNED: the documentation does not say which sum came back")
            }
            ("CLOSED", _) => open(
                self.note("the documentation does not say what became of a closed payment"),
                "the payment was closed (CLOSED)",
            ),
            _ => settled(self.note("UAPAY's documentation does not list this paymentStatus")),
        }
    }

    /// The facts of a payment whose state we know: what was only held, or paid and returned unnoticed, is canceled.
    pub fn read_knowing(&self, known: State) -> Vec<Fact> {
        match (self.weight(), known) {
            (Weight::Returned, State::Succeeded) => vec![self.state(State::Succeeded, None), self.returned()],
            (Weight::Returned, _) => vec![self.state(State::Canceled, Some(self.payment_status.clone()))],
            _ => self.read().facts,
        }
    }

    pub fn reference(&self) -> PaymentRef {
        PaymentRef { provider_id: self.id.clone(), reference: self.reference.clone() }
    }

    fn sum(&self) -> Option<Sum> {
        self.amount.map(|minor| Sum::Money(Money::new(minor, Currency::UAH)))
    }

    /// The payment in a state.
    pub fn state(&self, state: State, reason: Option<String>) -> Fact {
        let was_held = self.kind.as_deref() == Some("HOLD");
        Fact::Payment(PaymentFact {
            payment: self.reference(),
            state,
            amount: self.sum(),
            // A capture may lower the sum.
            amount_check: if state == State::Succeeded && was_held {
                AmountCheck::AtMostIfHeld
            } else {
                AmountCheck::Equal
            },
            reason,
            test: self.test,
            method: None,
            saved_method: None,
            operation_key: self.invoice.clone(),
            expires_at: None,
        })
    }

    /// `REVERSED`: UAPAY gives refunds no id, so the sum is taken as the total that went back.
    fn returned(&self) -> Fact {
        Fact::Refund(RefundFact {
            id: self.id.clone().unwrap_or_default(),
            payment: self.reference(),
            amount: self.sum(),
            cumulative: true,
            test: self.test,
            if_unpaid: None,
        })
    }

    fn note(&self, why: &str) -> Fact {
        let what = self.payment_status.chars().take(WORD_MAX).collect();
        Fact::Note(Note { what, why: why.to_owned(), payment: self.reference() })
    }
}
