//! LiqPay's payment object, the same in notifications and in the answers of its API, and what its states mean.

use serde::Deserialize;
use serde_json::Value;

use super::TEST_PREFIX;
use crate::account::Account;
use crate::fact::{AmountCheck, Fact, Note, PaymentFact, PaymentRef, RefundFact, State, Sum};
use crate::json;
use crate::money::{Currency, Money};

/// How long a hold lives: LiqPay lets the shop complete or release it for 30 days.
const HOLD_MS: i64 = 30 * 86_400_000;
/// Longest words of LiqPay's that are passed on, characters.
const WORDS_MAX: usize = 300;

/// A payment object. Every member may be missing, or be a text in place of a number.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wire {
    pub public_key: Option<Value>,
    pub action: Option<Value>,
    pub status: Option<Value>,
    pub result: Option<Value>,
    #[serde(rename = "type")]
    pub kind: Option<Value>,
    pub paytype: Option<Value>,
    pub order_id: Option<Value>,
    pub payment_id: Option<Value>,
    pub amount: Option<Value>,
    pub currency: Option<Value>,
    pub refund_amount: Option<Value>,
    pub wait_amount: Option<Value>,
    pub wait_reserve_status: Option<Value>,
    pub err_code: Option<Value>,
    pub code: Option<Value>,
    pub err_description: Option<Value>,
    pub card_token: Option<Value>,
    pub redirect_to: Option<Value>,
    pub create_date: Option<Value>,
    pub end_date: Option<Value>,
    pub completion_date: Option<Value>,
    pub href: Option<Value>,
    pub id: Option<Value>,
    /// Of a report: payment objects.
    pub data: Option<Value>,
}

/// The text of a member that is a text or a number.
pub(super) fn text(member: &Option<Value>) -> Option<String> {
    member.as_ref().and_then(json::text)
}

/// Whether a member is true, as a boolean or as text.
pub(super) fn truth(member: &Option<Value>) -> bool {
    match member {
        Some(Value::Bool(truth)) => *truth,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// What a status means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Paid,
    Held,
    Waiting,
    /// Charged, but the shop is not verified: a setting says how to take it.
    NotVerified,
    Failed,
    Returned,
    RefundPending,
    Subscription,
    Unknown,
}

/// <https://www.liqpay.ua/documentation/en/api/callback>, field `status`.
fn meaning(status: &str) -> Meaning {
    match status {
        "success" | "sandbox" | "wait_compensation" | "wait_lc" => Meaning::Paid,
        "hold_wait" => Meaning::Held,
        "wait_accept" => Meaning::NotVerified,
        "wait_secure" | "wait_card" | "processing" | "prepared" | "try_again" | "invoice_wait"
        | "cash_wait" | "wait_qr" | "wait_sender" | "3ds_verify" | "otp_verify" | "cvv_verify"
        | "captcha_verify" | "ivr_verify" | "password_verify" | "phone_verify" | "pin_verify"
        | "receiver_verify" | "sender_verify" | "senderapp_verify" | "p24_verify" | "mp_verify" => {
            Meaning::Waiting
        }
        "failure" | "error" | "expired" => Meaning::Failed,
        "reversed" => Meaning::Returned,
        "wait_reserve" => Meaning::RefundPending,
        "subscribed" | "unsubscribed" => Meaning::Subscription,
        _ => Meaning::Unknown,
    }
}

/// What a payment object says.
pub(super) struct Reading {
    pub facts: Vec<Fact>,
    /// Why the object alone does not settle the matter, so that the status API has to be asked.
    pub ask: Option<&'static str>,
}

impl From<Fact> for Reading {
    fn from(fact: Fact) -> Reading {
        Reading { facts: vec![fact], ask: None }
    }
}

impl Wire {
    /// Reads a payment object; an array is none, although serde would fill the members in order from it.
    pub fn parse(json: &str) -> Option<Wire> {
        json.trim_start().starts_with('{').then(|| serde_json::from_str(json).ok())?
    }

    /// Which payment.
    pub fn payment(&self) -> PaymentRef {
        PaymentRef { provider_id: text(&self.payment_id), reference: text(&self.order_id) }
    }

    /// LiqPay's code of a failure.
    pub fn error_code(&self) -> Option<String> {
        text(&self.err_code).or_else(|| text(&self.code))
    }

    /// LiqPay's words of a failure, cut to a bearable length.
    pub fn error_words(&self) -> Option<String> {
        text(&self.err_description).map(|words| words.chars().take(WORDS_MAX).collect())
    }

    /// Whether no real money moves: a test pair's key, or the status of old test payments.
    fn is_test(&self, account: &Account) -> bool {
        text(&self.status).as_deref() == Some("sandbox")
            || account.text("public_key").starts_with(TEST_PREFIX)
    }

    /// A sum in the payment's currency.
    fn sum(&self, member: &Option<Value>) -> Result<Option<Sum>, String> {
        let Some(amount) = text(member) else { return Ok(None) };
        let Some(code) = text(&self.currency) else { return Ok(Some(Sum::InPaymentCurrency(amount))) };
        let currency: Currency = code.parse().map_err(|error| format!("currency: {error}"))?;
        Money::parse_number(&amount, currency)
            .map(|money| Some(Sum::Money(money)))
            .map_err(|error| error.to_string())
    }

    /// The facts of the object.
    ///
    /// # Errors
    /// Says in words which member can't be read.
    pub fn read(&self, account: &Account) -> Result<Reading, String> {
        let status = text(&self.status).ok_or("there is no status")?;
        if text(&self.order_id).is_none() && text(&self.payment_id).is_none() {
            return Err("there is neither order_id nor payment_id".to_owned());
        }
        match text(&self.action).as_deref() {
            Some("paysplit") => {
                return Ok(self
                    .note("paysplit", "a receiver's part of a split payment; the whole is told apart")
                    .into());
            }
            Some("auth") => return Ok(self.note("auth", "a card was verified; nothing was paid").into()),
            Some("refund") => return self.refund_action(&status, account),
            _ => {}
        }
        match meaning(&status) {
            Meaning::Paid => self.paid(account),
            Meaning::Held => Ok(self.state(State::WaitingForCapture, account)?.into()),
            Meaning::Waiting => Ok(self.state(State::Pending, account)?.into()),
            Meaning::NotVerified if account.setting("wait_accept") == Some("succeeded") => self.paid(account),
            Meaning::NotVerified => Ok(self.state(State::Pending, account)?.into()),
            Meaning::Failed if text(&self.payment_id).is_none() => {
                Ok(self.note(&status, "it names no payment of LiqPay's, so no payment was declined").into())
            }
            Meaning::Failed => Ok(self.state(State::Canceled, account)?.into()),
            Meaning::Returned => self.returned(account),
            Meaning::RefundPending => {
                Ok(self.note(&status, "the sum is reserved for a refund that is not made yet").into())
            }
            Meaning::Subscription => {
                Ok(self.note(&status, "a subscription's own event; its charges are told apart").into())
            }
            Meaning::Unknown => {
                let status: String = status.chars().take(WORDS_MAX).collect();
                Ok(self.note(&status, "LiqPay's documentation does not list this status").into())
            }
        }
    }

    fn note(&self, what: &str, why: &str) -> Fact {
        Fact::Note(Note { what: what.to_owned(), why: why.to_owned(), payment: self.payment() })
    }

    fn state(&self, state: State, account: &Account) -> Result<Fact, String> {
        let created = text(&self.create_date).and_then(|date| date.parse::<i64>().ok());
        Ok(Fact::Payment(PaymentFact {
            payment: self.payment(),
            state,
            amount: self.sum(&self.amount)?,
            // After a partial capture the payment's amount is what was captured.
            amount_check: if state == State::Succeeded && self.was_held() {
                AmountCheck::AtMostIfHeld
            } else {
                AmountCheck::Equal
            },
            reason: (state == State::Canceled).then(|| self.reason()).flatten(),
            test: self.is_test(account),
            method: text(&self.paytype),
            saved_method: text(&self.card_token),
            operation_key: None,
            expires_at: created
                .filter(|_| state == State::WaitingForCapture)
                .and_then(|created| created.checked_add(HOLD_MS)),
        }))
    }

    fn reason(&self) -> Option<String> {
        match (self.error_code(), self.error_words()) {
            (Some(code), Some(words)) => Some(format!("{code}: {words}")),
            (code, words) => code.or(words).or_else(|| text(&self.status)),
        }
    }

    fn was_held(&self) -> bool {
        text(&self.action).as_deref() == Some("hold") || text(&self.kind).as_deref() == Some("hold")
    }

    /// Paid; after a partial refund the payment stays paid and says how much went back so far.
    fn paid(&self, account: &Account) -> Result<Reading, String> {
        let mut facts = vec![self.state(State::Succeeded, account)?];
        if truth(&self.wait_reserve_status) {
            facts.push(self.note("wait_reserve", "the sum is reserved for a refund that is not made yet"));
        } else if let Some(refund) = self.refund_so_far(account)? {
            facts.push(refund);
        }
        Ok(Reading { facts, ask: None })
    }

    /// The total of all refunds, when the object says one that is not zero.
    pub fn refund_so_far(&self, account: &Account) -> Result<Option<Fact>, String> {
        let Some(sum) = self.sum(&self.refund_amount)? else { return Ok(None) };
        let told = match &sum {
            Sum::Money(money) if money.minor == 0 => return Ok(None),
            Sum::Money(money) => money.minor.to_string(),
            Sum::InPaymentCurrency(text) => text.clone(),
        };
        Ok(Some(Fact::Refund(RefundFact {
            id: format!("{}-{told}", self.own_id()),
            payment: self.payment(),
            amount: Some(sum),
            cumulative: true,
            test: self.is_test(account),
            if_unpaid: None,
        })))
    }

    /// LiqPay gives refunds no id: the payment's, or the order's in its place.
    fn own_id(&self) -> String {
        text(&self.payment_id).or_else(|| text(&self.order_id)).unwrap_or_default()
    }

    /// A refund that this object tells or that was asked for: `total` of all refunds with it; `None` is all that is left.
    pub fn refund(&self, id: &str, total: Option<Money>, account: &Account) -> Fact {
        Fact::Refund(RefundFact {
            id: format!("{}-{id}", self.own_id()),
            payment: self.payment(),
            cumulative: total.is_some(),
            amount: total.map(Sum::Money),
            test: self.is_test(account),
            if_unpaid: None,
        })
    }

    /// `reversed`: a refund, or the release of a hold that was never captured.
    fn returned(&self, account: &Account) -> Result<Reading, String> {
        let refund = self.refund_so_far(account)?;
        if self.was_held() && self.completion_date.is_none() && self.is_whole(refund.as_ref())? {
            return Ok(Reading {
                facts: vec![self.state(State::Canceled, account)?],
                ask: Some("a hold was returned: only if it was captured before, this is a refund"),
            });
        }
        match refund {
            Some(refund) => Ok(refund.into()),
            None => Ok(Reading {
                facts: vec![self.refund("reversed", None, account)],
                ask: Some("LiqPay tells a refund without its sum, which need not be the whole payment"),
            }),
        }
    }

    /// Whether a refund is of the whole payment, as far as the object says.
    fn is_whole(&self, refund: Option<&Fact>) -> Result<bool, String> {
        Ok(match (refund, self.sum(&self.amount)?) {
            (Some(Fact::Refund(refund)), Some(amount)) => refund.amount.as_ref() == Some(&amount),
            _ => true,
        })
    }

    /// [`Wire::read`] of a payment whose state we know: it tells a refund from a release, and money that came and went
    /// unnoticed is no success.
    ///
    /// # Errors
    /// As [`Wire::read`].
    pub fn read_knowing(&self, known: State, account: &Account) -> Result<Vec<Fact>, String> {
        let reading = self.read(account)?;
        let is_returned = text(&self.status).is_some_and(|status| meaning(&status) == Meaning::Returned);
        if !is_returned || reading.facts.iter().any(|fact| matches!(fact, Fact::Note(_))) {
            return Ok(reading.facts);
        }
        let refund = self.refund_so_far(account)?;
        if known != State::Succeeded && self.is_whole(refund.as_ref())? {
            return Ok(vec![self.state(State::Canceled, account)?]);
        }
        let refund = refund.unwrap_or_else(|| self.refund("reversed", None, account));
        Ok(vec![self.state(State::Succeeded, account)?, refund])
    }

    /// A notification with `action=refund`: its `amount` may be the refund's, so only `refund_amount` counts.
    fn refund_action(&self, status: &str, account: &Account) -> Result<Reading, String> {
        match meaning(status) {
            Meaning::Returned | Meaning::Paid => match self.refund_so_far(account)? {
                Some(refund) => Ok(refund.into()),
                None => Ok(Reading {
                    facts: vec![self.refund("reversed", None, account)],
                    ask: Some("LiqPay tells a refund without its sum, which need not be the whole payment"),
                }),
            },
            _ => Ok(self.note("refund", "a refund that is not made yet, or failed").into()),
        }
    }
}
