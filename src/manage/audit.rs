//! The audit log: who did what. Each entry's hash covers the hash of the one before, so that an entry that was changed
//! or removed later shows.

use kassir_providers::digest::Hash;

use super::{Actor, ManageError, Manager};
use crate::clock::Clock;
use crate::domain::ids::{AuditId, MerchantId};
use crate::domain::people::AuditEntry;
use crate::limits;
use crate::store::{Conflict, Store, StoreError};

/// Longest `detail` of an entry, characters.
const DETAIL_MAX: usize = 500;

impl Manager {
    /// Writes down what is about to be done. It comes before the deed, so that nothing can be done without its entry;
    /// what then fails leaves an entry of the attempt.
    ///
    /// # Errors
    /// [`ManageError::Store`]: then the deed must not be done.
    pub async fn note(
        &self,
        actor: &Actor,
        merchant: Option<MerchantId>,
        action: &str,
        target: impl std::fmt::Display,
        detail: impl Into<String>,
    ) -> Result<(), ManageError> {
        note(self.store.as_ref(), self.clock.as_ref(), actor, merchant, action, target, detail).await
    }
}

/// [`Manager::note`], where no router runs.
///
/// # Errors
/// As there.
pub async fn note(
    store: &dyn Store,
    clock: &dyn Clock,
    actor: &Actor,
    merchant: Option<MerchantId>,
    action: &str,
    target: impl std::fmt::Display,
    detail: impl Into<String>,
) -> Result<(), ManageError> {
    let mut entry = AuditEntry {
        id: AuditId(clock.id()),
        actor: actor.to_string(),
        action: action.to_owned(),
        target: target.to_string(),
        merchant,
        detail: detail.into().chars().take(DETAIL_MAX).collect(),
        at: clock.now(),
        hash: String::new(),
    };
    for _ in 0..limits::CONFLICT_RETRIES_MAX {
        let tail = store.audit_tail(merchant).await?;
        entry.id = AuditId(clock.id());
        entry.hash = String::new();
        entry.hash = chained(&tail, &entry);
        match store.append_audit(&entry, &tail).await {
            Err(StoreError::Conflict(Conflict::Audit)) => {}
            other => return Ok(other?),
        }
    }
    Err(StoreError::Unavailable("the audit log is too busy".to_owned()).into())
}

/// The hash of an entry that follows one with the hash `tail` (empty for the first).
#[must_use]
pub fn chained(tail: &str, entry: &AuditEntry) -> String {
    let bare = AuditEntry { hash: String::new(), ..entry.clone() };
    let text = serde_json::to_string(&bare).unwrap_or_default();
    Hash::Sha256.hex(format!("{tail}{text}").as_bytes())
}
