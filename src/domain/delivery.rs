//! Deliveries: one event on its way to one endpoint, and the attempts made.

use serde::{Deserialize, Serialize};

use super::event::{Event, EventState};
use super::ids::{DeliveryId, EndpointId, EventId, IntegrationId, MerchantId, ReplayId};

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// On its way: due now or later.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// Its time is over; kept, and replayable.
    Failed,
    /// The endpoint is off; kept, and replayable.
    Held,
    /// A person stopped it, or its endpoint was deleted.
    Canceled,
}

impl DeliveryStatus {
    /// Every status.
    pub const ALL: [DeliveryStatus; 5] = [
        DeliveryStatus::Pending,
        DeliveryStatus::Delivered,
        DeliveryStatus::Failed,
        DeliveryStatus::Held,
        DeliveryStatus::Canceled,
    ];

    /// The word of the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            DeliveryStatus::Pending => "pending",
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Failed => "failed",
            DeliveryStatus::Held => "held",
            DeliveryStatus::Canceled => "canceled",
        }
    }

    /// The status with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<DeliveryStatus> {
        DeliveryStatus::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// A person's wish to send again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayMark {
    /// Who asked: a token's id or name.
    pub actor: String,
    /// Why, in their words.
    pub reason: Option<String>,
    /// The bulk replay it belongs to, if any.
    pub replay: Option<ReplayId>,
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Id.
    pub id: DeliveryId,
    /// Grows with each change; 0 before it is stored.
    pub version: u64,
    /// Whose.
    pub merchant: MerchantId,
    /// The payment's number.
    pub payment: u32,
    /// The event.
    pub event: EventId,
    /// The event's state.
    pub state: EventState,
    /// The event's integration.
    pub integration: IntegrationId,
    /// The provider's slug.
    pub provider: String,
    /// Where to; it stays so: what goes to another endpoint is another delivery.
    pub endpoint: EndpointId,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// Attempts made so far.
    pub attempts: u32,
    /// Attempts of the current round: the schedule counts these. A replay of a delivery that was over starts a round.
    pub round: u32,
    /// When the current round began, Unix milliseconds: its age ends the round.
    pub round_started_at: i64,
    /// When the next attempt is due, Unix milliseconds; `None` when none is.
    pub next_attempt_at: Option<i64>,
    /// Set while an extra attempt that a person asked for is waiting: when the automatic schedule goes on after it.
    /// A failed extra attempt leaves that schedule untouched.
    #[serde(default)]
    pub resume_at: Option<i64>,
    /// Set while the next attempt is a replay.
    #[serde(default)]
    pub replay: Option<ReplayMark>,
    /// The last bulk replay that took it: a replay that goes on after a crash takes none twice.
    #[serde(default)]
    pub replayed_by: Option<ReplayId>,
    /// Status of the last attempt's answer.
    #[serde(default)]
    pub last_status: Option<u16>,
    /// Error of the last attempt.
    #[serde(default)]
    pub last_error: Option<String>,
    /// The payment's version that the event changed: the order of a payment's events, which no router's clock can
    /// upset. 0 of the first, and of records that were made before this was kept.
    #[serde(default, skip_serializing_if = "is_first")]
    pub after: u64,
    /// Unix milliseconds: when the event happened.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
}

impl Delivery {
    /// A delivery of an event to an endpoint, due since the event happened; nothing was tried yet. `provider`: the slug of
    /// the event's integration.
    #[must_use]
    pub fn of(event: &Event, endpoint: EndpointId, id: DeliveryId, provider: &str) -> Delivery {
        Delivery {
            id,
            version: 0,
            merchant: event.merchant,
            payment: event.payment,
            event: event.id,
            state: event.state,
            integration: event.integration,
            provider: provider.to_owned(),
            endpoint,
            status: DeliveryStatus::Pending,
            attempts: 0,
            round: 0,
            round_started_at: event.created_at,
            next_attempt_at: Some(event.created_at),
            resume_at: None,
            replay: None,
            replayed_by: None,
            last_status: None,
            last_error: None,
            after: 0,
            created_at: event.created_at,
            updated_at: event.created_at,
        }
    }
}

fn is_first(after: &u64) -> bool {
    *after == 0
}

/// One HTTP request to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1, 2, …
    pub number: u32,
    /// When it began, Unix milliseconds.
    pub at: i64,
    /// How long it took.
    pub duration_ms: u32,
    /// The answer's status, if there was one.
    pub status: Option<u16>,
    /// What went wrong, for a person.
    pub error: Option<String>,
    /// The beginning of the answer's body, at most 2 KiB, made harmless.
    pub response_excerpt: Option<String>,
    /// The address that was connected to.
    pub remote_ip: Option<String>,
    /// Whether a person asked for it.
    #[serde(default)]
    pub replay: bool,
    /// It failed, but not by the endpoint's fault: it says nothing of the endpoint's health.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub excused: bool,
    /// It was sent a second time, on a fresh connection, because the one that had been kept open died before a byte of
    /// the answer came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sent_again: bool,
}
