//! Lists: pages and filters. A store may use its indexes, but what a filter means is said here once.

use kassir_providers::State;

use crate::domain::delivery::{Delivery, DeliveryStatus};
use crate::domain::event::{Event, EventState};
use crate::domain::ids::{EndpointId, EventId, IntegrationId};
use crate::domain::notification::{Notification, NotificationOutcome};
use crate::domain::payment::Payment;

/// Rows of a page when the caller does not say.
pub const PAGE_DEFAULT: u32 = 50;
/// Rows of a page at the most.
pub const PAGE_MAX: u32 = 200;

/// A page of a list, newest first.
#[derive(Debug, Clone)]
pub struct Page {
    /// Rows at the most.
    pub limit: u32,
    /// Only what is older than this row: its id (for payments, its number) as text.
    pub before: Option<String>,
}

impl Default for Page {
    fn default() -> Page {
        Page { limit: PAGE_DEFAULT, before: None }
    }
}

/// A page of a list that is read oldest first.
#[derive(Debug, Clone)]
pub struct After {
    /// Rows at the most.
    pub limit: u32,
    /// Only what is newer than this row: its id as text; the row need not be there.
    pub after: Option<String>,
}

/// A page's rows.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// `before` (oldest first: `after`) of the next page, if there is one.
    pub next: Option<String>,
}

/// Which payments.
#[derive(Debug, Clone, Default)]
pub struct PaymentFilter {
    /// In this state.
    pub state: Option<State>,
    /// Of this provider.
    pub provider: Option<String>,
    /// Of this integration.
    pub integration: Option<IntegrationId>,
    /// Made at or after, Unix milliseconds.
    pub from: Option<i64>,
    /// Made before, Unix milliseconds.
    pub to: Option<i64>,
    /// Text in number, provider's id, order number, description, contact or e-mail.
    pub q: Option<String>,
}

impl PaymentFilter {
    /// Whether a payment is one of them.
    #[must_use]
    pub fn matches(&self, payment: &Payment) -> bool {
        self.state.is_none_or(|state| payment.state == state)
            && self.provider.as_ref().is_none_or(|provider| payment.provider == *provider)
            && self.integration.is_none_or(|integration| payment.integration == integration)
            && within(payment.created_at, self.from, self.to)
            && self.q.as_ref().is_none_or(|q| {
                let contact = payment.contact.as_ref();
                payment.number.to_string() == *q
                    || contains_any(
                        q,
                        [
                            payment.provider_id.as_deref(),
                            payment.reference.as_deref(),
                            Some(payment.description.as_str()),
                            payment.email.as_deref(),
                            contact.and_then(|contact| contact.name.as_deref()),
                            contact.and_then(|contact| contact.phone.as_deref()),
                        ],
                    )
            })
    }
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// In this state.
    pub state: Option<EventState>,
    /// Of this integration.
    pub integration: Option<IntegrationId>,
    /// Of this payment.
    pub payment: Option<u32>,
    /// Made at or after, Unix milliseconds.
    pub from: Option<i64>,
    /// Made before, Unix milliseconds.
    pub to: Option<i64>,
}

impl EventFilter {
    /// Whether an event is one of them.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        self.state.is_none_or(|state| event.state == state)
            && self.integration.is_none_or(|integration| event.integration == integration)
            && self.payment.is_none_or(|payment| event.payment == payment)
            && within(event.created_at, self.from, self.to)
    }
}

/// Which deliveries.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// With this status.
    pub status: Option<DeliveryStatus>,
    /// To this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Of events in these states; empty means all.
    pub states: Vec<EventState>,
    /// Of these providers; empty means all.
    pub providers: Vec<String>,
    /// Of events of these integrations; empty means all.
    pub integrations: Vec<IntegrationId>,
    /// Of these payments; empty means all.
    pub payments: Vec<u32>,
    /// Only those without any attempt so far.
    pub never_attempted: bool,
    /// Of this payment.
    pub payment: Option<u32>,
    /// Of this event.
    pub event: Option<EventId>,
    /// Made at or after, Unix milliseconds.
    pub from: Option<i64>,
    /// Made before, Unix milliseconds.
    pub to: Option<i64>,
    /// Text: the payment's number, an id, or part of the last error.
    pub q: Option<String>,
}

impl DeliveryFilter {
    /// Whether a delivery is one of them.
    #[must_use]
    pub fn matches(&self, delivery: &Delivery) -> bool {
        self.status.is_none_or(|status| delivery.status == status)
            && self.endpoint.is_none_or(|endpoint| delivery.endpoint == endpoint)
            && (self.states.is_empty() || self.states.contains(&delivery.state))
            && (self.providers.is_empty() || self.providers.contains(&delivery.provider))
            && (self.integrations.is_empty() || self.integrations.contains(&delivery.integration))
            && (self.payments.is_empty() || self.payments.contains(&delivery.payment))
            && !(self.never_attempted && delivery.attempts > 0)
            && self.payment.is_none_or(|payment| delivery.payment == payment)
            && self.event.is_none_or(|event| delivery.event == event)
            && within(delivery.created_at, self.from, self.to)
            && self.q.as_ref().is_none_or(|q| {
                delivery.payment.to_string() == *q
                    || delivery.id.to_string() == *q
                    || delivery.event.to_string() == *q
                    || contains_any(q, [delivery.last_error.as_deref()])
            })
    }
}

/// Which notifications.
#[derive(Debug, Clone, Default)]
pub struct NotificationFilter {
    /// With this outcome.
    pub outcome: Option<NotificationOutcome>,
    /// Of this provider.
    pub provider: Option<String>,
    /// Of this integration.
    pub integration: Option<IntegrationId>,
    /// About this payment.
    pub payment: Option<u32>,
    /// Received at or after, Unix milliseconds.
    pub from: Option<i64>,
    /// Received before, Unix milliseconds.
    pub to: Option<i64>,
    /// Text in the body, the query or the reason.
    pub q: Option<String>,
}

impl NotificationFilter {
    /// Whether a notification is one of them.
    #[must_use]
    pub fn matches(&self, notification: &Notification) -> bool {
        self.outcome.is_none_or(|outcome| notification.outcome == outcome)
            && self.provider.as_ref().is_none_or(|provider| notification.provider == *provider)
            && self.integration.is_none_or(|integration| notification.integration == integration)
            && self.payment.is_none_or(|payment| notification.payment == Some(payment))
            && within(notification.received_at, self.from, self.to)
            && self.q.as_ref().is_none_or(|q| {
                contains_any(
                    q,
                    [
                        Some(notification.body.as_str()),
                        Some(notification.query.as_str()),
                        Some(notification.reason.as_str()),
                    ],
                )
            })
    }
}

fn within(at: i64, from: Option<i64>, to: Option<i64>) -> bool {
    from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to)
}

fn contains_any<const N: usize>(q: &str, texts: [Option<&str>; N]) -> bool {
    let q = q.to_lowercase();
    texts.into_iter().flatten().any(|text| text.to_lowercase().contains(&q))
}
