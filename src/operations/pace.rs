//! How fast a provider's API is asked what became of something: as its adapter declares, for each account. Whoever makes
//! or changes a payment does not wait here: that is a person, and one call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kassir_providers::about::Limits;
use kassir_providers::digest::Hash;
use kassir_providers::{Account, Provider};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Stopwatch;

/// Longest wait for a place, milliseconds, or the account's gap where that is longer: whoever would wait longer comes
/// again when its turn is, and leaves its place in the router to others.
const WAIT_MAX_MS: u64 = 2_000;
/// Accounts of which something is remembered.
const ACCOUNTS_MAX: usize = 10_000;

/// The turns of all accounts.
pub(super) struct Pace {
    since: Stopwatch,
    accounts: Mutex<HashMap<Vec<u8>, Turns>>,
}

/// The turns of one account.
///
/// Only a question's first call may be sent away. One that was let in keeps its place to its last call: were each call
/// a newcomer, first calls would take all the turns, and no question of several calls would ever end. There are as many
/// places as calls may be under way, so that no call waits for more than so many gaps once its question is in.
struct Turns {
    /// When the next call may begin, milliseconds.
    next: u64,
    /// When the next one comes again of those that were sent away: each of them at a time of its own.
    next_again: u64,
    places: Arc<Semaphore>,
    /// Each who waits for a place has one more of it.
    queue: Arc<()>,
}

/// A question that waits for a place.
struct Waiter {
    places: Arc<Semaphore>,
    _counted: Arc<()>,
}

/// A question's place among those of its account.
pub(super) struct Place {
    key: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl Turns {
    fn new(at_once: u32) -> Turns {
        let at_once = usize::try_from(at_once.max(1)).unwrap_or(1);
        Turns { next: 0, next_again: 0, places: Arc::new(Semaphore::new(at_once)), queue: Arc::default() }
    }

    /// Lets a question wait for a place; or gives after how long to come again.
    fn come(&mut self, now: u64, gap: u64) -> Result<Waiter, u64> {
        let before = Arc::strong_count(&self.queue).saturating_sub(1);
        // Each of them makes one call at least.
        let theirs = gap.saturating_mul(u64::try_from(before).unwrap_or(u64::MAX));
        let begins = self.next.max(now).saturating_add(theirs);
        if begins.saturating_sub(now) > patience(gap) {
            return Err(self.send_away(begins, now, gap));
        }
        Ok(Waiter { places: Arc::clone(&self.places), _counted: Arc::clone(&self.queue) })
    }

    /// After how long to come again, not before a time.
    fn send_away(&mut self, earliest: u64, now: u64, gap: u64) -> u64 {
        let again = earliest.max(self.next_again);
        self.next_again = again.saturating_add(gap);
        again.saturating_sub(now)
    }

    /// Takes the next turn and gives the wait for it.
    fn take(&mut self, now: u64, gap: u64) -> u64 {
        let begins = self.next.max(now);
        self.next = begins.saturating_add(gap);
        begins.saturating_sub(now)
    }
}

/// How long a question waits for a place, milliseconds.
fn patience(gap: u64) -> u64 {
    WAIT_MAX_MS.max(gap)
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { since: Stopwatch::start(), accounts: Mutex::default() }
    }

    /// Waits for an account's turn, and before a question's first call for a place, which is left when it is dropped.
    ///
    /// # Errors
    /// Milliseconds after which to come again; only where there was no place yet.
    pub(super) async fn turn(
        &self,
        place: &mut Option<Place>,
        provider: &dyn Provider,
        account: &Account,
    ) -> Result<(), u64> {
        let limits = provider.about().limits;
        let held = match place.take() {
            Some(held) => held,
            None => self.enter(key(provider, account), limits).await?,
        };
        let gap = u64::from(limits.call_gap_ms);
        let wait = self.with(&held.key, limits, |turns, now| turns.take(now, gap));
        *place = Some(held);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        Ok(())
    }

    async fn enter(&self, key: Vec<u8>, limits: Limits) -> Result<Place, u64> {
        let gap = u64::from(limits.call_gap_ms);
        let waiter = self.with(&key, limits, |turns, now| turns.come(now, gap))?;
        let place = Arc::clone(&waiter.places).acquire_owned();
        match tokio::time::timeout(Duration::from_millis(patience(gap)), place).await {
            Ok(Ok(permit)) => Ok(Place { key, _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(self.with(&key, limits, |turns, now| {
                turns.send_away(now.saturating_add(patience(gap)), now, gap)
            })),
        }
    }

    fn with<T>(&self, key: &[u8], limits: Limits, then: impl FnOnce(&mut Turns, u64) -> T) -> T {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= ACCOUNTS_MAX {
            accounts.retain(|_, turns| turns.next > now || Arc::strong_count(&turns.places) > 1);
        }
        let turns = accounts.entry(key.to_vec()).or_insert_with(|| Turns::new(limits.calls_at_once));
        then(turns, now)
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
#[path = "pace_tests.rs"]
mod tests;
