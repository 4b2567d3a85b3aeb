//! Events: changes of a payment's state, as subscribers get them.

use kassir_providers::State;
use serde::{Deserialize, Serialize};

use super::ids::{EventId, IntegrationId, MerchantId, NotificationId};

/// The state of an event: a payment's state, or what a refund made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventState {
    /// Created, not paid.
    Pending,
    /// The money is held.
    WaitingForCapture,
    /// The money is ours.
    Succeeded,
    /// Declined, expired, voided.
    Canceled,
    /// Part of the money went back.
    PartiallyRefunded,
    /// All of the money went back.
    Refunded,
}

impl EventState {
    /// Every state, in the order of a payment's life.
    pub const ALL: [EventState; 6] = [
        EventState::Pending,
        EventState::WaitingForCapture,
        EventState::Succeeded,
        EventState::Canceled,
        EventState::PartiallyRefunded,
        EventState::Refunded,
    ];

    /// The word of the event body.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            EventState::Pending => "pending",
            EventState::WaitingForCapture => "waiting_for_capture",
            EventState::Succeeded => "succeeded",
            EventState::Canceled => "canceled",
            EventState::PartiallyRefunded => "partially_refunded",
            EventState::Refunded => "refunded",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<EventState> {
        EventState::ALL.into_iter().find(|state| state.word() == word)
    }
}

impl From<State> for EventState {
    fn from(state: State) -> EventState {
        match state {
            State::Pending => EventState::Pending,
            State::WaitingForCapture => EventState::WaitingForCapture,
            State::Succeeded => EventState::Succeeded,
            State::Canceled => EventState::Canceled,
        }
    }
}

/// How the provider's word was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proven {
    /// By its signature.
    Signed,
    /// By the network it came from.
    Sourced,
    /// By asking the provider's API, or because we made the payment ourselves.
    Confirmed,
}

impl Proven {
    /// The word of the header `kassir-proof`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Proven::Signed => "signed",
            Proven::Sourced => "sourced",
            Proven::Confirmed => "confirmed",
        }
    }
}

/// An event. Its body is fixed when it is made, but for the payment's number, which the store may only then give.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Id: the `webhook-id` of every attempt and replay.
    pub id: EventId,
    /// Whose.
    pub merchant: MerchantId,
    /// Through which integration.
    pub integration: IntegrationId,
    /// The payment's number.
    pub payment: u32,
    /// State.
    pub state: EventState,
    /// How it was proved.
    pub proven: Proven,
    /// Whether no real money moved.
    pub test: bool,
    /// The notification it comes from, if any.
    pub notification: Option<NotificationId>,
    /// When it happened, Unix milliseconds.
    pub created_at: i64,
    /// The body after `{"id":<number>`, starting with a comma.
    pub tail: String,
}

impl Event {
    /// The body as it is signed and sent: the same bytes in every attempt.
    #[must_use]
    pub fn body(&self) -> String {
        format!("{{\"id\":{}{}", self.payment, self.tail)
    }
}
