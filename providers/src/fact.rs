//! What a provider's word comes down to: the vocabulary between adapters and the domain.

use serde::{Deserialize, Serialize};

use crate::money::{Currency, Money, MoneyError};

/// A payment's state as subscribers see it (`contract`: `pending`, `waiting_for_capture`, `succeeded`, `canceled`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Created, not paid.
    Pending,
    /// The money is held; we may capture or cancel.
    WaitingForCapture,
    /// The money is ours.
    Succeeded,
    /// Declined, expired, voided.
    Canceled,
}

impl State {
    /// The word of the event body.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::WaitingForCapture => "waiting_for_capture",
            State::Succeeded => "succeeded",
            State::Canceled => "canceled",
        }
    }
}

/// How a provider points at a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRef {
    /// The provider's own id of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// The order number that was given to the provider: our payment's number when we created it, else the
    /// merchant's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A sum of money, perhaps without a currency of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sum {
    /// Complete.
    Money(Money),
    /// Decimal text in the currency of the payment it belongs to (CloudPayments refunds).
    InPaymentCurrency(String),
}

impl Sum {
    /// The money, given the currency of the payment.
    ///
    /// # Errors
    /// [`MoneyError`] when the text is no amount of that currency.
    pub fn in_currency(&self, currency: Currency) -> Result<Money, MoneyError> {
        match self {
            Sum::Money(money) => Ok(*money),
            Sum::InPaymentCurrency(text) => Money::parse(text, currency),
        }
    }
}

/// How the amount of a fact may differ from the registered one, by the provider's own rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmountCheck {
    /// Must be equal.
    #[default]
    Equal,
    /// May be more: the payer bore the commission (Robokassa `incSum`).
    AtLeast,
    /// May be less when the payment was held: a partial capture. For a payment that was not held this is `Equal`.
    AtMostIfHeld,
    /// May be any amount when the payment was held: the provider set the price anew by what was really paid
    /// (Cryptopay's recalculation). For a payment that was not held this is `Equal`.
    AnyIfHeld,
    /// Is what is left of the price after the provider's fee of this many millionths at the most (`YooMoney`): must be
    /// at least the price without that fee and one minor unit for rounding.
    AfterFee(u32),
    /// Says nothing about the price (net of commission, another currency): not compared, not used.
    Ignore,
}

/// A payment is in a state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentFact {
    /// Which payment.
    pub payment: PaymentRef,
    /// Its state.
    pub state: State,
    /// Its amount; `None` when the provider does not say one.
    pub amount: Option<Sum>,
    /// How to compare the amount.
    #[serde(default)]
    pub amount_check: AmountCheck,
    /// Why, for `canceled`: the provider's code or words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether no real money moved.
    #[serde(default)]
    pub test: bool,
    /// Payment method in the provider's words (`bank_card`, `sbp`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Token for later charges, when the payer agreed to keep the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_method: Option<String>,
    /// Another id that later operations need (Robokassa's OpKey); kept with the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_key: Option<String>,
    /// When a hold or an unpaid payment ends by itself, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

/// Money went back to the payer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RefundFact {
    /// Id of the refund: the provider's, or one made from what tells two refunds of a payment apart.
    pub id: String,
    /// Which payment.
    pub payment: PaymentRef,
    /// How much; `None` means all that is left.
    pub amount: Option<Sum>,
    /// Whether `amount` is the total of all refunds so far, not of this one.
    #[serde(default)]
    pub cumulative: bool,
    /// Whether no real money moved.
    #[serde(default)]
    pub test: bool,
    /// What it means for a payment that never succeeded, where the provider has one word for both: the money was given
    /// back, and the payment is canceled. `None`: a refund is always of a payment that had succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_unpaid: Option<Box<PaymentFact>>,
}

/// What a provider asks before it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuestionKind {
    /// May this payment be paid?
    MayPay,
    /// In which state is this payment?
    WhatState,
}

/// A question of the provider, decided on the spot from what we know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// What is asked.
    pub kind: QuestionKind,
    /// Which payment.
    pub payment: PaymentRef,
    /// The amount that the payer is about to pay.
    pub amount: Option<Sum>,
}

/// Something that concerns no payment's state: payouts, subscriptions, a declined attempt that may be tried again,
/// an event we do not know. Kept in the inbound log, answered positively, without effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// What it is, in the provider's word: `payout.succeeded`, `fail`, `recurrent`.
    pub what: String,
    /// Why it has no effect, for a person.
    pub why: String,
    /// The payment it belongs to, if any.
    pub payment: PaymentRef,
}

/// One thing that a notification or an API reply says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// A payment is in a state.
    Payment(PaymentFact),
    /// Money went back.
    Refund(RefundFact),
    /// The provider asks.
    Question(Question),
    /// Of no consequence.
    Note(Note),
}

impl Fact {
    /// The payment that the fact is about.
    #[must_use]
    pub fn payment(&self) -> &PaymentRef {
        match self {
            Fact::Payment(fact) => &fact.payment,
            Fact::Refund(fact) => &fact.payment,
            Fact::Question(fact) => &fact.payment,
            Fact::Note(fact) => &fact.payment,
        }
    }

    /// Whether no real money moved.
    #[must_use]
    pub fn is_test(&self) -> bool {
        match self {
            Fact::Payment(fact) => fact.test,
            Fact::Refund(fact) => fact.test,
            Fact::Question(_) | Fact::Note(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_round_trip_as_json() {
        let fact = Fact::Payment(PaymentFact {
            payment: PaymentRef { provider_id: Some("a".to_owned()), reference: None },
            state: State::Succeeded,
            amount: Some(Sum::Money(Money::new(149_990, Currency::RUB))),
            amount_check: AmountCheck::Equal,
            reason: None,
            test: false,
            method: None,
            saved_method: None,
            operation_key: None,
            expires_at: Some(1),
        });
        let text = serde_json::to_string(&fact).unwrap();
        assert_eq!(serde_json::from_str::<Fact>(&text).unwrap(), fact);
    }
}
