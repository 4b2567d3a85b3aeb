//! What people do: API tokens and their roles, the audit log.

use serde::{Deserialize, Serialize};

use super::ids::{AuditId, MerchantId, TokenId};
pub use super::replay::{Replay, ReplayFilter, ReplayStatus, WhyNot};

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
