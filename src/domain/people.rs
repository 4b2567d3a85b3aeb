//! What people do: API tokens and their roles, bulk replays, the audit log.

use serde::{Deserialize, Serialize};

use super::delivery::DeliveryStatus;
use super::event::EventState;
use super::ids::{AuditId, EndpointId, MerchantId, ReplayId, TokenId};

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Everything of its own merchant.
    Merchant,
    /// Reads and replays; of one merchant, or of all when none is named.
    Support,
}

/// An API token at rest: its hash, not itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiToken {
    /// Id.
    pub id: TokenId,
    /// SHA-256 of the token, hex.
    pub hash: String,
    /// Its first characters, to recognise it.
    pub prefix: String,
    /// Name for people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Whose; `None` for all merchants.
    pub merchant: Option<MerchantId>,
    /// Unix milliseconds.
    pub created_at: i64,
}

/// Which deliveries a bulk replay takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplayFilter {
    /// With this status.
    pub status: Option<DeliveryStatus>,
    /// To this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Of events in these states; empty means all.
    pub states: Vec<EventState>,
    /// Of these providers; empty means all.
    pub providers: Vec<String>,
    /// Made at or after, Unix milliseconds.
    pub from: Option<i64>,
    /// Made before, Unix milliseconds.
    pub to: Option<i64>,
}

/// Where a bulk replay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayStatus {
    /// Only counted.
    Preview,
    /// Under way.
    Running,
    /// All sent for.
    Done,
    /// A person stopped it.
    Canceled,
}

/// A bulk replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Id.
    pub id: ReplayId,
    /// Grows with each change; 0 before it is stored.
    pub version: u64,
    /// Whose.
    pub merchant: MerchantId,
    /// Which deliveries.
    pub filter: ReplayFilter,
    /// To another endpoint than the original one.
    pub to_endpoint: Option<EndpointId>,
    /// Where it stands.
    pub status: ReplayStatus,
    /// Deliveries that match, as far as it is known.
    pub matched: u64,
    /// Whether all that match were counted, or only so many that counting stopped.
    #[serde(default)]
    pub counted_all: bool,
    /// Deliveries sent for again.
    pub sent: u64,
    /// Deliveries that could not be sent for (deleted meanwhile).
    pub failed: u64,
    /// Where the next step goes on; `None` before the first.
    pub cursor: Option<String>,
    /// Who asked.
    pub actor: String,
    /// Why, in their words.
    pub reason: Option<String>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
}

/// Who did what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Id.
    pub id: AuditId,
    /// Who: a token's id and name, or `kassir`.
    pub actor: String,
    /// What: `integration.create`, `delivery.replay`, …
    pub action: String,
    /// On what: an id.
    pub target: String,
    /// Whose, if it belongs to one merchant.
    pub merchant: Option<MerchantId>,
    /// Further words; no secrets.
    pub detail: String,
    /// Unix milliseconds.
    pub at: i64,
    /// SHA-256, hex, of the previous entry's hash and this entry: a changed or missing entry shows.
    #[serde(default)]
    pub hash: String,
}
