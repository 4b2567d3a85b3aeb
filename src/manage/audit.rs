//! The audit log: who did what. Each entry's hash covers the hash of the one before, so that an entry that was changed
//! or removed later shows.

use std::collections::{BTreeMap, VecDeque};

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

/// How far entries of a chain may stand from where their ids put them: routers whose clocks differ a little append in
/// another order than that of their ids.
const OUT_OF_ORDER: usize = 64;

/// Checks chains whose entries come newest first, in memory that does not grow with them.
#[derive(Default)]
pub struct ChainCheck {
    chains: BTreeMap<Option<MerchantId>, Chain>,
}

#[derive(Default)]
struct Chain {
    entries: u64,
    newest: Option<String>,
    /// The last entries that are linked, and before them those that wait for older ones.
    near: VecDeque<AuditEntry>,
    waiting: usize,
    broken: Option<AuditEntry>,
    begun: bool,
}

/// What a check found.
#[derive(Debug)]
pub struct ChainReport {
    /// Entries that were read.
    pub entries: u64,
    /// Chains: the router's own and one per merchant.
    pub chains: usize,
    /// The oldest entry that does not follow from another one.
    pub first_broken: Option<AuditEntry>,
    /// Hash of the newest entry of each chain: who notes it can show later that nothing was taken away.
    pub newest: Vec<(Option<MerchantId>, String)>,
}

impl ChainCheck {
    /// Takes the next older entry.
    pub fn take(&mut self, entry: AuditEntry) {
        self.chains.entry(entry.merchant).or_default().take(entry);
    }

    /// Ends the check.
    #[must_use]
    pub fn end(mut self) -> ChainReport {
        for chain in self.chains.values_mut() {
            while chain.waiting > 0 {
                chain.link();
            }
        }
        let broken = self.chains.values().filter_map(|chain| chain.broken.clone());
        ChainReport {
            entries: self.chains.values().map(|chain| chain.entries).sum(),
            chains: self.chains.len(),
            first_broken: broken.min_by_key(|entry| (entry.at, entry.id)),
            newest: self
                .chains
                .into_iter()
                .filter_map(|(whose, chain)| Some((whose, chain.newest?)))
                .collect(),
        }
    }
}

impl Chain {
    fn take(&mut self, entry: AuditEntry) {
        self.entries = self.entries.saturating_add(1);
        self.newest.get_or_insert_with(|| entry.hash.clone());
        self.near.push_back(entry);
        self.waiting = self.waiting.saturating_add(1);
        if self.waiting > OUT_OF_ORDER {
            self.link();
        }
    }

    /// Looks for what the newest one that waits follows.
    fn link(&mut self) {
        let at = self.near.len().saturating_sub(self.waiting);
        self.waiting = self.waiting.saturating_sub(1);
        let Some(entry) = self.near.get(at) else { return };
        // The one right before it is the usual case.
        let older = self.near.iter().skip(at.saturating_add(1));
        let newer = self.near.iter().take(at);
        let follows = older.chain(newer).any(|other| chained(&other.hash, entry) == entry.hash);
        let is_first = !follows && !self.begun && chained("", entry) == entry.hash;
        self.begun |= is_first;
        if !follows && !is_first {
            self.broken = Some(entry.clone());
        }
        if at > OUT_OF_ORDER {
            self.near.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn log(count: u128) -> Vec<AuditEntry> {
        let mut tail = String::new();
        let entry = |n: u128| AuditEntry {
            id: AuditId(Uuid::from_u128(n)),
            actor: "admin".to_owned(),
            action: "delivery.replay".to_owned(),
            target: format!("dlv_{n}"),
            merchant: None,
            detail: String::new(),
            at: i64::try_from(n).unwrap(),
            hash: String::new(),
        };
        let chain = (1..=count).map(|n| {
            let mut entry = entry(n);
            entry.hash = chained(&tail, &entry);
            tail.clone_from(&entry.hash);
            entry
        });
        let mut chain: Vec<_> = chain.collect();
        chain.reverse();
        chain
    }

    fn first_broken(entries: Vec<AuditEntry>) -> Option<i64> {
        let mut check = ChainCheck::default();
        entries.into_iter().for_each(|entry| check.take(entry));
        check.end().first_broken.map(|entry| entry.at)
    }

    #[test]
    fn a_whole_chain_is_whole_also_when_routers_clocks_differ() {
        assert_eq!(first_broken(log(500)), None);
        assert_eq!(first_broken(Vec::new()), None);
        let mut shuffled = log(300);
        shuffled.swap(10, 30);
        shuffled.swap(0, 5);
        shuffled.swap(299, 290);
        assert_eq!(first_broken(shuffled), None);
    }

    #[test]
    fn every_change_and_removal_shows() {
        for at in [0, 1, 150, 298, 299] {
            let mut changed = log(300);
            changed[at].detail = "nothing happened".to_owned();
            assert_eq!(first_broken(changed), Some(300 - i64::try_from(at).unwrap()), "{at}");
        }
        for at in [1, 150, 299] {
            let mut removed = log(300);
            removed.remove(at);
            assert_eq!(first_broken(removed), Some(301 - i64::try_from(at).unwrap()), "{at}");
        }
    }
}
