//! The word to the store that this router lives: what it has in hand stays its own, and what a router had that died
//! is taken over within seconds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::worker::{Leased, Worker};
use crate::clock::Stopwatch;
use crate::store::{Alive, OWNER_SILENT_MS};

/// How often the word is given. Of the store's longest gap it is half, so that one that comes late breaks nothing.
const EVERY: Duration = Duration::from_secs(2);
/// From this silence on, milliseconds, others may soon take over what we have: nothing of it is begun any more.
const DOUBT_MS: i64 = OWNER_SILENT_MS - 2_000;

/// When the store last heard of us.
#[derive(Default)]
pub(super) struct Pulse(Mutex<Option<Heard>>);

#[derive(Clone, Copy)]
struct Heard {
    /// Since before the word was given.
    since: Stopwatch,
    /// The store's clock, as its answer said, and since when we have that answer.
    at: (i64, Stopwatch),
}

impl Pulse {
    fn heard(&self) -> Option<Heard> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A time of the store's clock that has been reached: its last answer's, and what went by since then.
    fn store_time(&self) -> Option<i64> {
        let (at, answered) = self.heard()?.at;
        Some(at.saturating_add(i64::from(answered.elapsed_ms())))
    }
}

impl Worker {
    /// Gives the word every [`EVERY`], whatever else goes on, until it is dropped.
    pub(super) async fn beat(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.say_alive().await;
        }
    }

    async fn say_alive(&self) {
        // The time is read before what is in hand: what comes in between is younger, and not missed.
        let as_of = self.pulse.store_time();
        let since = Stopwatch::start();
        let alive = Alive {
            owner: self.parts.owner.clone(),
            lease_ms: u64::try_from(self.parts.config.lease.as_millis()).unwrap_or(u64::MAX),
            held: self.lanes.held(),
            as_of,
        };
        match self.parts.store.alive(&alive).await {
            Ok(at) => {
                self.note_time(at);
                let at = (at, Stopwatch::start());
                *self.pulse.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Heard { since, at });
            }
            Err(error) => drop(self.note_error("alive", &error)),
        }
    }

    /// Whether somebody else may have taken this work over because the store has not heard of us for long (this
    /// process stood still, or the store was away): what was leased before the silence is not begun any more.
    pub(super) fn may_be_lost(&self, leased: &Leased) -> bool {
        let silent = self.pulse.heard().map_or(0, |heard| i64::from(heard.since.elapsed_ms()));
        let lease_ms = i64::try_from(self.parts.config.lease.as_millis()).unwrap_or(i64::MAX);
        let lease_until = self.lease(leased).1;
        let age = self.store_now().saturating_sub(lease_until.saturating_sub(lease_ms));
        silent >= DOUBT_MS && age >= DOUBT_MS
    }
}
