//! The inbound log: every request of a provider, with what became of it and why.

use serde::{Deserialize, Serialize};

use super::ids::{EventId, IntegrationId, MerchantId, NotificationId};

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationOutcome {
    /// Believed; it changed something, or answered a question.
    Accepted,
    /// Seen before, or it tells what is known.
    Duplicate,
    /// Genuine, without effect: late, of no consequence, of test money, observed only.
    Ignored,
    /// It proves nothing by itself and is not confirmed (yet).
    Unproven,
    /// Another amount or currency than registered, or a state that can't follow.
    Mismatch,
    /// Refused: forged, malformed, not wanted.
    Rejected,
}

impl NotificationOutcome {
    /// Every outcome.
    pub const ALL: [NotificationOutcome; 6] = [
        NotificationOutcome::Accepted,
        NotificationOutcome::Duplicate,
        NotificationOutcome::Ignored,
        NotificationOutcome::Unproven,
        NotificationOutcome::Mismatch,
        NotificationOutcome::Rejected,
    ];

    /// The word of the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            NotificationOutcome::Accepted => "accepted",
            NotificationOutcome::Duplicate => "duplicate",
            NotificationOutcome::Ignored => "ignored",
            NotificationOutcome::Unproven => "unproven",
            NotificationOutcome::Mismatch => "mismatch",
            NotificationOutcome::Rejected => "rejected",
        }
    }

    /// The outcome with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<NotificationOutcome> {
        NotificationOutcome::ALL.into_iter().find(|outcome| outcome.word() == word)
    }
}

/// What was answered to the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenAnswer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: String,
}

/// One inbound request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Id.
    pub id: NotificationId,
    /// Whose.
    pub merchant: MerchantId,
    /// To which integration's URL.
    pub integration: IntegrationId,
    /// The provider's slug.
    pub provider: String,
    /// Last segment of the URL, if any.
    pub kind: Option<String>,
    /// What became of it.
    pub outcome: NotificationOutcome,
    /// Why, for a person.
    pub reason: String,
    /// For a refused signature: the usual mistake that fits.
    pub diagnosis: Option<String>,
    /// What a person should know besides.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// `signed`, `sourced`, `confirmed` or `unproven`; `None` when it was refused.
    pub proof: Option<String>,
    /// The payment it is about, when there is one.
    pub payment: Option<u32>,
    /// The event that came of it, if any.
    pub event: Option<EventId>,
    /// The answer.
    pub answer: GivenAnswer,
    /// The sender's address.
    pub peer: Option<String>,
    /// `GET` or `POST`.
    pub method: String,
    /// Query string, undecoded.
    pub query: String,
    /// Headers, without those that carry credentials.
    pub headers: Vec<(String, String)>,
    /// The body; base64 when `body_is_base64`.
    pub body: String,
    /// Whether the body was not UTF-8.
    #[serde(default)]
    pub body_is_base64: bool,
    /// Unix milliseconds.
    pub received_at: i64,
}
