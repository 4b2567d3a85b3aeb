//! Whether the audit log's chains are whole: each entry follows exactly one other, and each is followed at most once.
//!
//! Entries come in the order of their ids, which is that of the routers' clocks, not that of the chain: routers whose
//! clocks differ, and a clock that was set back, put entries far from where they belong. So every hash of a chain is
//! remembered, and an entry is broken only when none of them is what it follows.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::audit::chained;
use crate::domain::ids::{AuditId, MerchantId};
use crate::domain::people::AuditEntry;

/// Entries that are checked at the most: about a hundred bytes of each are remembered.
const ENTRIES_MAX: u64 = 1_000_000;
/// An entry is looked for the one that it follows among so many on each side, before all are.
const NEAR: usize = 64;
/// Entries of a chain that stand further from the one that they follow: each is compared with the whole chain.
const FAR_MAX: usize = 10_000;

/// Checks chains; takes their entries in any order, fastest in that of the log.
#[derive(Default)]
pub struct ChainCheck {
    entries: u64,
    chains: BTreeMap<Option<MerchantId>, Chain>,
}

/// What a check found.
#[derive(Debug)]
pub struct ChainReport {
    /// Entries that were read.
    pub entries: u64,
    /// Chains: the router's own and one per merchant.
    pub chains: usize,
    /// The oldest entry that is not where it should be.
    pub first_broken: Option<Broken>,
    /// Hash of the newest entry of each chain, the one that none follows: who notes it can show later that nothing was
    /// taken away.
    pub newest: Vec<(Option<MerchantId>, String)>,
}

/// An entry that is not where it should be.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The entry.
    pub entry: AuditEntry,
    /// Another one that follows the same one; `None`: what this one follows is not there.
    pub beside: Option<AuditId>,
}

#[derive(Default)]
struct Chain {
    /// Every hash, and who follows it.
    followers: HashMap<Box<str>, Option<AuditId>>,
    /// The last hashes.
    recent: VecDeque<Box<str>>,
    /// The last entries, as long as what they follow has not come; each with its number.
    waiting: VecDeque<(u64, AuditEntry)>,
    /// Those that it did not come near for.
    far: Vec<AuditEntry>,
    taken: u64,
    broken: Option<Broken>,
}

impl ChainCheck {
    /// Takes an entry.
    ///
    /// # Errors
    /// Words when there are more than can be checked.
    pub fn take(&mut self, entry: AuditEntry) -> Result<(), String> {
        self.entries = self.entries.saturating_add(1);
        if self.entries > ENTRIES_MAX {
            return Err(format!(
                "the log has more than {ENTRIES_MAX} entries: check it merchant by merchant (--merchant)"
            ));
        }
        self.chains.entry(entry.merchant).or_default().take(entry)
    }

    /// Ends the check.
    #[must_use]
    pub fn end(mut self) -> ChainReport {
        self.chains.values_mut().for_each(Chain::end);
        let broken = self.chains.values().filter_map(|chain| chain.broken.clone());
        ChainReport {
            entries: self.entries,
            chains: self.chains.len(),
            first_broken: broken.min_by_key(|broken| (broken.entry.at, broken.entry.id)),
            newest: self.chains.iter().filter_map(|(whose, chain)| Some((*whose, chain.newest()?))).collect(),
        }
    }
}

impl Chain {
    fn take(&mut self, entry: AuditEntry) -> Result<(), String> {
        let hash: Box<str> = entry.hash.as_str().into();
        self.taken = self.taken.saturating_add(1);
        self.followers.entry(hash.clone()).or_insert(None);
        let waiting = std::mem::take(&mut self.waiting);
        for (number, entry) in waiting {
            if follows(&hash, &entry) {
                self.link(&hash, entry);
            } else {
                self.waiting.push_back((number, entry));
            }
        }
        self.waiting.push_back((self.taken, entry));
        self.recent.push_back(hash);
        if self.recent.len() > NEAR * 2 {
            self.recent.pop_front();
        }
        self.give_up_waiting()
    }

    /// Looks for what the first that waits follows among those that came before it, if it has waited long.
    fn give_up_waiting(&mut self) -> Result<(), String> {
        let long = |number: u64| self.taken.saturating_sub(number) >= NEAR as u64;
        if !self.waiting.front().is_some_and(|(number, _)| long(*number)) {
            return Ok(());
        }
        let Some((_, entry)) = self.waiting.pop_front() else { return Ok(()) };
        match self.recent.iter().find(|hash| follows(hash, &entry)).cloned() {
            Some(hash) => self.link(&hash, entry),
            None if self.far.len() >= FAR_MAX => {
                return Err(format!(
                    "more than {FAR_MAX} entries stand far from those that they follow: too many to check"
                ));
            }
            None => self.far.push(entry),
        }
        Ok(())
    }

    /// Compares those that are left with the whole chain. One follows none: the chain's first.
    fn end(&mut self) {
        let left = std::mem::take(&mut self.waiting).into_iter().map(|(_, entry)| entry);
        let left: Vec<AuditEntry> = std::mem::take(&mut self.far).into_iter().chain(left).collect();
        let mut begun = false;
        for entry in left {
            if !begun && follows("", &entry) {
                begun = true;
                continue;
            }
            match self.followers.keys().find(|hash| follows(hash, &entry)).cloned() {
                Some(hash) => self.link(&hash, entry),
                None => self.is_broken(Broken { entry, beside: None }),
            }
        }
    }

    fn link(&mut self, hash: &str, entry: AuditEntry) {
        match self.followers.get_mut(hash) {
            Some(Some(other)) => {
                let beside = Some(*other);
                self.is_broken(Broken { entry, beside });
            }
            Some(nobody) => *nobody = Some(entry.id),
            None => {}
        }
    }

    fn is_broken(&mut self, broken: Broken) {
        let age = |broken: &Broken| (broken.entry.at, broken.entry.id);
        if self.broken.as_ref().is_none_or(|known| age(&broken) < age(known)) {
            self.broken = Some(broken);
        }
    }

    fn newest(&self) -> Option<String> {
        self.followers.iter().find(|(_, follower)| follower.is_none()).map(|(hash, _)| hash.to_string())
    }
}

fn follows(hash: &str, entry: &AuditEntry) -> bool {
    chained(hash, entry) == entry.hash
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn entry(n: u128, tail: &str) -> AuditEntry {
        let mut entry = AuditEntry {
            id: AuditId(Uuid::from_u128(n)),
            actor: "admin".to_owned(),
            action: "delivery.replay".to_owned(),
            target: format!("dlv_{n}"),
            merchant: None,
            detail: String::new(),
            at: i64::try_from(n).unwrap(),
            hash: String::new(),
        };
        entry.hash = chained(tail, &entry);
        entry
    }

    /// A chain of entries with these ids, in this order.
    fn chain(ids: impl IntoIterator<Item = u128>) -> Vec<AuditEntry> {
        let mut tail = String::new();
        let next = |n| {
            let entry = entry(n, &tail);
            tail.clone_from(&entry.hash);
            entry
        };
        ids.into_iter().map(next).collect()
    }

    fn log(count: u128) -> Vec<AuditEntry> {
        newest_first(chain(1..=count))
    }

    /// As a store gives them.
    fn newest_first(mut entries: Vec<AuditEntry>) -> Vec<AuditEntry> {
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.id));
        entries
    }

    fn check(entries: Vec<AuditEntry>) -> ChainReport {
        let mut check = ChainCheck::default();
        entries.into_iter().for_each(|entry| check.take(entry).unwrap());
        check.end()
    }

    fn first_broken(entries: Vec<AuditEntry>) -> Option<i64> {
        check(entries).first_broken.map(|broken| broken.entry.at)
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
        assert_eq!(first_broken(chain(1..=300)), None, "oldest first");
    }

    #[test]
    fn a_clock_that_was_ahead_and_set_back_breaks_nothing() {
        // A hundred entries ahead of time, then two hundred of which the last hundred fall between those.
        let ahead = (0..100).map(|n| 5_000 + n * 10);
        let back = (0..100).map(|n| 1_000 + n).chain((0..100).map(|n| 5_005 + n * 10));
        let chain = chain((1..=100).chain(ahead).chain(back));
        let newest = chain.last().unwrap().hash.clone();
        let report = check(newest_first(chain));
        assert!(report.first_broken.is_none(), "{report:?}");
        assert_eq!(report.newest, [(None, newest)], "the end of the chain, not the latest time");
        // The longest way: the newest entry follows the oldest one.
        assert_eq!(first_broken(newest_first(self::chain((2..=500).chain([1])))), None);
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

    #[test]
    fn an_entry_that_was_put_in_shows() {
        let whole = chain((1..=300).map(|n| n * 10));
        for after in [0, 150, 298] {
            for id in [whole[after].at + 5, 1, 9_999] {
                let mut log = whole.clone();
                log.push(entry(u128::try_from(id).unwrap(), &whole[after].hash));
                let broken = check(newest_first(log)).first_broken.unwrap();
                let two = [broken.entry.id, broken.beside.unwrap()];
                assert!(two.contains(&AuditId(Uuid::from_u128(u128::try_from(id).unwrap()))), "{id}");
                assert!(two.contains(&whole[after + 1].id), "{after}");
            }
        }
        // A second beginning, and the same entry twice.
        let mut log = whole.clone();
        log.push(entry(5, ""));
        assert!(check(newest_first(log)).first_broken.is_some());
        let mut log = whole.clone();
        log.push(whole[150].clone());
        assert_eq!(first_broken(newest_first(log)), Some(whole[150].at));
    }
}
