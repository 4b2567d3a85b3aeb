//! From what happened to an event and its deliveries: one for each endpoint that wants it.

use kassir_providers::generic;
use kassir_providers::operation::Contact;
use serde_json::value::RawValue;

use super::apply::Happened;
use super::body;
use super::config::{Integration, MerchantConfig};
use super::delivery::{Delivery, DeliveryStatus};
use super::event::{Event, Proven};
use super::ids::{DeliveryId, EventId, NotificationId};
use super::payment::Payment;

/// What an event is made with, besides the payment and what happened.
pub struct Making<'a> {
    /// The merchant's configuration.
    pub config: &'a MerchantConfig,
    /// The integration.
    pub integration: &'a Integration,
    /// How it was proved.
    pub proven: Proven,
    /// The notification it comes from.
    pub notification: Option<NotificationId>,
    /// The provider's body as JSON; `None` for what we made ourselves.
    pub payload: Option<&'a RawValue>,
    /// When it happened, Unix milliseconds.
    pub at: i64,
}

/// The event, with the given id.
#[must_use]
pub fn event(making: &Making<'_>, id: EventId, payment: &Payment, happened: &Happened) -> Event {
    Event {
        id,
        merchant: payment.merchant,
        integration: payment.integration,
        payment: payment.number,
        state: happened.state,
        proven: making.proven,
        test: payment.test,
        notification: making.notification,
        created_at: making.at,
        tail: body::tail(payment, &making.integration.event_provider, happened, making.payload, making.at),
    }
}

/// Its deliveries: `held` where the endpoint is off. `payment` is at the version that the event changes; `id` gives
/// fresh ids.
pub fn deliveries(
    making: &Making<'_>,
    payment: &Payment,
    event: &Event,
    mut id: impl FnMut() -> DeliveryId,
) -> Vec<Delivery> {
    let wanted =
        making.config.endpoints.iter().filter(|endpoint| endpoint.wants(event.state, making.integration));
    wanted
        .map(|endpoint| Delivery {
            status: if endpoint.enabled { DeliveryStatus::Pending } else { DeliveryStatus::Held },
            next_attempt_at: endpoint.enabled.then_some(event.created_at),
            after: payment.version,
            ..Delivery::of(event, endpoint.id, id(), &making.integration.provider)
        })
        .collect()
}

/// Fills order and contact of a payment that was not created through us, as the integration's settings say, or where
/// they don't the document of the configurable adapter.
pub fn fill_from_payload(integration: &Integration, payload: &RawValue, payment: &mut Payment) {
    let settings = &integration.settings;
    let of_document = if integration.provider == generic::ABOUT.slug {
        generic::sources(settings)
    } else {
        generic::Sources::default()
    };
    let contact_from = settings.contact_from.as_ref().or(of_document.contact.as_ref());
    let order_from = settings.order_from.as_ref().or(of_document.order.as_ref());
    if contact_from.is_none() && order_from.is_none() {
        return;
    }
    let Ok(payload) = serde_json::from_str(payload.get()) else { return };
    if let (Some(from), None) = (contact_from, &payment.contact) {
        let take = |name: &str| from.get(name).and_then(|rule| super::extract::value(&payload, rule));
        let text = |name: &str| take(name).as_ref().and_then(super::extract::text);
        if let Some(id) = take("id") {
            let (name, messenger, phone) = (text("name"), text("messenger"), text("phone"));
            payment.contact = Some(Contact { id, name, messenger, phone });
        }
    }
    if let (Some(from), true) = (order_from, payment.order.is_empty()) {
        payment.order = super::extract::order(&payload, from, payment.amount);
    }
}
