//! How fast a provider's API is asked what became of something: as its adapter declares, for each account. Whoever makes
//! or changes a payment does not wait here: that is a person, and one call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kassir_providers::digest::Hash;
use kassir_providers::{Account, Provider};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Stopwatch;

/// Longest wait for a turn, milliseconds, or the account's gap where that is longer: whoever would wait longer comes again
/// when its turn is, and leaves its place to others. A question of several calls needs a gap between them, and would
/// begin anew for ever if it could not wait for that.
const WAIT_MAX_MS: u64 = 2_000;
/// Accounts of which something is remembered.
const ACCOUNTS_MAX: usize = 10_000;

/// The turns of all accounts.
pub(super) struct Pace {
    since: Stopwatch,
    accounts: Mutex<HashMap<Vec<u8>, Turns>>,
}

/// The turns of one account.
struct Turns {
    /// When the next call may begin, milliseconds.
    next: u64,
    /// When the next one comes again of those that were sent away: each of them at a time of its own.
    next_again: u64,
    under_way: Arc<Semaphore>,
}

impl Turns {
    fn new(at_once: u32) -> Turns {
        let at_once = usize::try_from(at_once.max(1)).unwrap_or(1);
        Turns { next: 0, next_again: 0, under_way: Arc::new(Semaphore::new(at_once)) }
    }

    /// Takes the next turn and gives the wait for it; or after how long to come again.
    fn take(&mut self, now: u64, gap: u64) -> Result<u64, u64> {
        let begins = self.next.max(now);
        let wait = begins.saturating_sub(now);
        if wait > WAIT_MAX_MS.max(gap) {
            let again = begins.max(self.next_again);
            self.next_again = again.saturating_add(gap);
            return Err(again.saturating_sub(now));
        }
        self.next = begins.saturating_add(gap);
        Ok(wait)
    }
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { since: Stopwatch::start(), accounts: Mutex::default() }
    }

    /// Waits for an account's turn; a call is under way until the permit is dropped.
    ///
    /// # Errors
    /// Milliseconds after which to come again.
    pub(super) async fn turn(
        &self,
        provider: &dyn Provider,
        account: &Account,
    ) -> Result<OwnedSemaphorePermit, u64> {
        let gap = u64::from(provider.about().limits.call_gap_ms);
        let (wait, under_way) = self.take(provider, account, gap)?;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let patience = Duration::from_millis(WAIT_MAX_MS);
        match tokio::time::timeout(patience, under_way.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(gap.max(WAIT_MAX_MS)),
        }
    }

    fn take(
        &self,
        provider: &dyn Provider,
        account: &Account,
        gap: u64,
    ) -> Result<(u64, Arc<Semaphore>), u64> {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let limits = provider.about().limits;
        let key = key(provider, account);
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= ACCOUNTS_MAX {
            accounts.retain(|_, turns| turns.next > now || Arc::strong_count(&turns.under_way) > 1);
        }
        let turns = accounts.entry(key).or_insert_with(|| Turns::new(limits.calls_at_once));
        Ok((turns.take(now, gap)?, Arc::clone(&turns.under_way)))
    }
}

/// What an account is known by: its provider counts by credentials, whatever integrations there are.
fn key(provider: &dyn Provider, account: &Account) -> Vec<u8> {
    let mut text = provider.about().slug.to_owned();
    for (name, secret) in &account.credentials {
        text.push_str(&format!("\n{name}={}", secret.expose()));
    }
    Hash::Sha256.digest(text.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_apart_and_none_waits_for_long() {
        let mut turns = Turns::new(1);
        let waits: Vec<_> = (0..6).map(|_| turns.take(1_000, 1_000)).collect();
        assert_eq!(waits, [Ok(0), Ok(1_000), Ok(2_000), Err(3_000), Err(4_000), Err(5_000)]);
        assert_eq!(turns.take(4_000, 1_000), Ok(0), "who comes again when it was told has its turn");
        assert_eq!(turns.take(60_000, 1_000), Ok(0), "time that passed is not saved up");
        assert_eq!(turns.take(60_000, 1_000), Ok(1_000));
    }

    #[test]
    fn a_question_of_several_calls_comes_to_its_end() {
        let mut turns = Turns::new(1);
        let calls = [0, 300, 5_300].map(|now| turns.take(now, 5_000));
        assert_eq!(calls, [Ok(0), Ok(4_700), Ok(4_700)]);
        assert_eq!(turns.take(5_400, 5_000), Err(9_600));
    }

    #[test]
    fn a_burst_is_done_as_fast_as_its_provider_allows() {
        const GAP: u64 = 1_000;
        let mut turns = Turns::new(1);
        let mut waiting: std::collections::BinaryHeap<_> = (0..200).map(|_| std::cmp::Reverse(0)).collect();
        let mut ends = 0;
        while let Some(std::cmp::Reverse(now)) = waiting.pop() {
            match turns.take(now, GAP) {
                Ok(wait) => ends = now + wait,
                Err(again) => waiting.push(std::cmp::Reverse(now + again)),
            }
        }
        assert!(ends <= 210 * GAP, "{ends}");
    }

    #[tokio::test]
    async fn each_account_has_its_own_turns() {
        let (pace, uniteller) = (Pace::new(), kassir_providers::by_slug("uniteller").unwrap());
        let account = |login: &str| Account {
            credentials: [("login".to_owned(), kassir_providers::Secret::new(login))].into(),
            ..Account::default()
        };
        let gap = u64::from(uniteller.about().limits.call_gap_ms);
        assert_eq!((gap, uniteller.about().limits.calls_at_once), (5_000, 1));
        let under_way = pace.turn(uniteller, &account("a")).await.unwrap();
        let (wait, places) = pace.take(uniteller, &account("a"), gap).unwrap();
        assert!(wait > 0 && places.available_permits() == 0);
        assert!(pace.turn(uniteller, &account("a")).await.unwrap_err() > gap);
        drop(under_way);
        assert!(pace.turn(uniteller, &account("b")).await.is_ok());
    }
}
