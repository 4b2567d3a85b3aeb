//! A payment as the API shows it.

use std::str::FromStr as _;

use kassir_providers::operation::{Contact, OrderLine};
use serde::Serialize;
use serde_json::{Map, Number, Value};
use utoipa::ToSchema;

use crate::api::deliveries::DeliveryView;
use crate::api::events::EventView;
use crate::api::notifications::NotificationView;
use crate::domain::Payment;
use crate::domain::payment::Origin;
use crate::manage::time;

/// One line of an order.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderLineView {
    /// Name of the goods.
    name: String,
    /// Further words.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Price in **major** units (900, 900.5), as in events.
    #[schema(value_type = f64)]
    amount: Value,
}

/// The payer as the bot platform knows them.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContactView {
    /// The platform's id: an integer or a text.
    id: Value,
    /// Name.
    name: Option<String>,
    /// `whatsapp`, `telegram`, `viber`, …
    messenger: Option<String>,
    /// Digits only.
    phone: Option<String>,
}

/// A refund that happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefundView {
    /// The provider's id.
    id: String,
    /// Minor units.
    amount: i64,
    /// RFC 3339.
    created_at: String,
}

/// A payment.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentView {
    /// Its number within the merchant.
    id: u32,
    /// `pending`, `waiting_for_capture`, `succeeded`, `canceled`.
    state: &'static str,
    /// The provider's slug.
    provider: String,
    /// The provider's id.
    provider_id: Option<String>,
    /// The order number that the provider knows, when it is not our number.
    reference: Option<String>,
    /// The integration.
    integration_id: String,
    /// Registered amount, minor units.
    amount: i64,
    /// ISO 4217, or the provider's code of a crypto currency.
    currency: String,
    /// What was really captured, minor units, once it succeeded.
    captured_amount: Option<i64>,
    /// What went back so far, minor units.
    refunded_amount: i64,
    /// Refunds so far.
    refunds: Vec<RefundView>,
    /// Where the payer goes.
    pay_url: Option<String>,
    /// Order lines.
    order: Vec<OrderLineView>,
    /// The payer.
    contact: Option<ContactView>,
    /// The payer's e-mail.
    email: Option<String>,
    /// Words for the payer.
    description: String,
    /// Where the payer's browser goes afterwards.
    return_url: Option<String>,
    /// Whether it was created to be held.
    hold: bool,
    /// Whether no real money moves.
    test: bool,
    /// Payment method in the provider's words.
    method: Option<String>,
    /// Token for later charges.
    saved_method: Option<String>,
    /// The caller's own data.
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    /// Why it was canceled, or could not be created.
    reason: Option<String>,
    /// `api` when it was created through us, `notification` when it was first seen in one.
    origin: &'static str,
    /// RFC 3339: when a hold or the unpaid payment ends by itself.
    expires_at: Option<String>,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
    /// Its events, when one payment is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) events: Option<Vec<EventView>>,
    /// Its notifications, when one payment is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notifications: Option<Vec<NotificationView>>,
    /// Its deliveries, when one payment is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deliveries: Option<Vec<DeliveryView>>,
}

impl From<Payment> for PaymentView {
    fn from(payment: Payment) -> PaymentView {
        let refunds = payment.refunds.iter().map(|refund| RefundView {
            id: refund.id.clone(),
            amount: refund.amount,
            created_at: time::show(refund.at),
        });
        PaymentView {
            id: payment.number,
            state: payment.state.word(),
            refunded_amount: payment.refunded(),
            refunds: refunds.collect(),
            provider: payment.provider,
            provider_id: payment.provider_id,
            reference: payment.reference,
            integration_id: payment.integration.to_string(),
            amount: payment.amount.minor,
            currency: payment.amount.currency.code().to_owned(),
            captured_amount: payment.captured,
            pay_url: payment.pay_url,
            order: payment.order.into_iter().map(line).collect(),
            contact: payment.contact.map(contact),
            email: payment.email,
            description: payment.description,
            return_url: payment.return_url,
            hold: payment.hold,
            test: payment.test,
            method: payment.method,
            saved_method: payment.saved_method,
            metadata: payment.metadata,
            reason: payment.reason,
            origin: match payment.origin {
                Origin::Api => "api",
                Origin::Notification => "notification",
            },
            expires_at: payment.expires_at.map(time::show),
            created_at: time::show(payment.created_at),
            updated_at: time::show(payment.updated_at),
            events: None,
            notifications: None,
            deliveries: None,
        }
    }
}

fn line(line: OrderLine) -> OrderLineView {
    let amount = Number::from_str(&line.amount.shortest()).map_or(Value::Null, Value::Number);
    OrderLineView { name: line.name, description: line.description, amount }
}

fn contact(contact: Contact) -> ContactView {
    ContactView { id: contact.id, name: contact.name, messenger: contact.messenger, phone: contact.phone }
}
