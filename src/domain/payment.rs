//! A payment as we know it.

use kassir_providers::operation::{Contact, OrderLine};
use kassir_providers::{Money, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ids::{IntegrationId, MerchantId};

/// Refunds that one payment may have.
pub const REFUNDS_MAX: usize = 200;
/// An unpaid payment is not asked about for longer than this after it was created, milliseconds.
pub const UNPAID_ASKED_MAX_MS: i64 = 26 * 60 * 60 * 1000;
/// A held payment is not asked about for longer than this, milliseconds: providers release holds after 7 days.
pub const HELD_ASKED_MAX_MS: i64 = 8 * 24 * 60 * 60 * 1000;

/// Where a payment came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It was created through us: the provider knows it by our number.
    Api,
    /// It was first seen in a notification.
    Notification,
}

/// A refund that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The provider's id.
    pub id: String,
    /// Minor units.
    pub amount: i64,
    /// Unix milliseconds.
    pub at: i64,
}

/// A form that the payer's browser posts to the provider, for our page that holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayForm {
    /// What makes the page's address unguessable.
    pub key: String,
    /// Where to.
    pub action: String,
    /// Names and values in order.
    pub fields: Vec<(String, String)>,
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payment {
    /// Number within its merchant, 1 to 2 147 483 647; 0 before the store has given one.
    pub number: u32,
    /// Grows with each change; 0 before it is stored.
    pub version: u64,
    /// Whose.
    pub merchant: MerchantId,
    /// Through which integration.
    pub integration: IntegrationId,
    /// The provider's slug.
    pub provider: String,
    /// Where it came from.
    pub origin: Origin,
    /// State.
    pub state: State,
    /// Whether we, not the provider, canceled it because its time was over.
    #[serde(default)]
    pub expired_by_us: bool,
    /// Registered amount (or the first one seen).
    pub amount: Money,
    /// What was really captured, minor units, once it succeeded.
    #[serde(default)]
    pub captured: Option<i64>,
    /// Refunds so far.
    #[serde(default)]
    pub refunds: Vec<Refund>,
    /// The provider's id, the newest if there were several attempts.
    pub provider_id: Option<String>,
    /// The order number that the provider knows.
    pub reference: Option<String>,
    /// Another id that operations need.
    #[serde(default)]
    pub operation_key: Option<String>,
    /// Token for later charges.
    #[serde(default)]
    pub saved_method: Option<String>,
    /// Payment method in the provider's words.
    #[serde(default)]
    pub method: Option<String>,
    /// Where the payer goes.
    #[serde(default)]
    pub pay_url: Option<String>,
    /// The form behind `pay_url`, where the provider takes no link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pay_form: Option<PayForm>,
    /// Whether it was created to be held.
    #[serde(default)]
    pub hold: bool,
    /// Whether no real money moves.
    #[serde(default)]
    pub test: bool,
    /// Words for the payer.
    #[serde(default)]
    pub description: String,
    /// Order lines.
    #[serde(default)]
    pub order: Vec<OrderLine>,
    /// The payer.
    #[serde(default)]
    pub contact: Option<Contact>,
    /// The payer's e-mail.
    #[serde(default)]
    pub email: Option<String>,
    /// Where the payer's browser goes afterwards.
    #[serde(default)]
    pub return_url: Option<String>,
    /// The caller's own data.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// Why it was canceled, or could not be created.
    #[serde(default)]
    pub reason: Option<String>,
    /// When a hold or the unpaid payment ends by itself, Unix milliseconds.
    #[serde(default)]
    pub expires_at: Option<i64>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
}

impl Payment {
    /// Whether its provider is asked about it until its notification comes, if we created it.
    #[must_use]
    pub fn is_polled(&self, now: i64) -> bool {
        let age = now.saturating_sub(self.created_at);
        match self.state {
            State::Pending => age <= UNPAID_ASKED_MAX_MS,
            State::WaitingForCapture => age <= HELD_ASKED_MAX_MS,
            State::Succeeded | State::Canceled => false,
        }
    }

    /// Minor units that can still go back to the payer.
    #[must_use]
    pub fn refundable(&self) -> i64 {
        let paid = self.captured.unwrap_or(self.amount.minor);
        paid.saturating_sub(self.refunded())
    }

    /// Minor units that went back so far.
    #[must_use]
    pub fn refunded(&self) -> i64 {
        self.refunds.iter().fold(0_i64, |sum, refund| sum.saturating_add(refund.amount))
    }
}
