//! A bulk replay, step by step: each step takes one page of deliveries, and is followed by a pause that keeps the
//! rate. What a step takes is written down before, so that a step that is interrupted is done again with the same
//! deliveries, sending nothing twice: a delivery remembers the replay that took it, and a new delivery has an id that
//! follows from what it is made of.
//!
//! A replay makes way for new events: while most of what a step sent for still waits for its attempt, the next step
//! waits too, so that no more than a page of replays is ever in front of a new event.

mod take;

use std::sync::Arc;

use self::take::Taken;
use crate::clock::SharedClock;
use crate::domain::delivery::{DeliveryStatus, ReplayMark};
use crate::domain::ids::{MerchantId, ReplayId};
use crate::domain::people::{Replay, ReplayStatus};
use crate::limits;
use crate::manage::replays::pick::Pick;
use crate::registry::{MerchantView, Registry};
use crate::store::{Conflict, Store, StoreError};
use futures_util::future::join_all;

/// Deliveries of one step at the most.
pub const PAGE: u32 = 100;
/// Steps per second at most rates: a cancel is seen before the next one.
const STEPS_PER_S: u32 = 4;
/// Deliveries taken at once; a cancel is also looked for in between.
const AT_ONCE: usize = 20;
/// When to do a step again that could not be counted because others changed the replay's record at each try, milliseconds.
const UNCOUNTED_AGAIN_MS: u64 = 500;
/// When to look again whether the last step's deliveries had their attempt, milliseconds.
const MAKE_WAY_MS: u64 = 250;
/// How long a step makes way at the most, milliseconds: an endpoint that is held back for hours does not hold up the
/// others of the same replay for longer.
const MAKE_WAY_MAX_MS: i64 = 600_000;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEnd {
    /// There is more to do, after so many milliseconds.
    Again(u64),
    /// The replay is over.
    Over,
}

/// Does bulk replays.
pub struct Replayer {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What is set up.
    pub registry: Arc<Registry>,
    /// The clock.
    pub clock: SharedClock,
}

impl Replayer {
    /// One step of a replay. Its job is written together with its record: without one, the record was removed.
    ///
    /// # Errors
    /// [`StoreError`]: the step is to be done again later.
    pub async fn step(&self, merchant: MerchantId, id: ReplayId) -> Result<StepEnd, StoreError> {
        let Some(replay) = self.store.replay(merchant, id).await? else { return Ok(StepEnd::Over) };
        // As it is now: what is left out because its endpoint is missing or off is left out for good.
        let Some(view) = self.registry.current(merchant).await? else { return Ok(StepEnd::Over) };
        if replay.status != ReplayStatus::Running {
            return Ok(StepEnd::Over);
        }
        if !replay.taking.is_empty() {
            // The step was interrupted before it was counted.
            return self.take_page(&view, replay).await;
        }
        if self.must_make_way(&replay).await? {
            return Ok(StepEnd::Again(MAKE_WAY_MS));
        }
        match self.write_down(&view, replay).await? {
            Some(replay) if replay.taking.is_empty() => self.save(replay, &[]).await,
            Some(replay) => self.take_page(&view, replay).await,
            None => Ok(StepEnd::Again(0)),
        }
    }

    /// Whether most of the last step's deliveries still wait for their attempt.
    async fn must_make_way(&self, replay: &Replay) -> Result<bool, StoreError> {
        let since = self.clock.now().saturating_sub(replay.updated_at);
        if replay.waiting.is_empty() || since > MAKE_WAY_MAX_MS {
            return Ok(false);
        }
        let looked_up = replay.waiting.iter().map(|id| self.store.delivery(replay.merchant, *id));
        let mut waiting = 0_usize;
        for delivery in join_all(looked_up).await {
            let ours = |mark: &ReplayMark| mark.replay == Some(replay.id);
            if delivery?.is_some_and(|delivery| {
                delivery.status == DeliveryStatus::Pending && delivery.replay.as_ref().is_some_and(ours)
            }) {
                waiting += 1;
            }
        }
        Ok(waiting > replay.waiting.len() / 2)
    }

    /// Writes down what this step takes; `None` when the record changed meanwhile.
    async fn write_down(
        &self,
        view: &MerchantView,
        mut replay: Replay,
    ) -> Result<Option<Replay>, StoreError> {
        let pick = Pick {
            store: self.store.as_ref(),
            view,
            filter: &replay.filter,
            to_endpoint: replay.to_endpoint,
            until: replay.created_at,
        };
        let limit = replay.per_s.div_ceil(STEPS_PER_S).clamp(1, PAGE);
        let page = pick.page(replay.cursor.as_deref(), limit).await?;
        replay.taking = page.items.iter().map(|item| item.id()).collect();
        replay.at_end = page.next.is_none();
        replay.cursor = page.next;
        match self.store.put_replay(&replay).await {
            Err(StoreError::Conflict(Conflict::Replay)) => Ok(None),
            other => {
                replay.version = other?;
                Ok(Some(replay))
            }
        }
    }

    async fn take_page(&self, view: &MerchantView, replay: Replay) -> Result<StepEnd, StoreError> {
        let mut taken = Vec::with_capacity(replay.taking.len());
        for some in replay.taking.chunks(AT_ONCE) {
            if !taken.is_empty() && self.is_canceled(&replay).await? {
                break;
            }
            for one in join_all(some.iter().map(|id| self.take(view, &replay, id))).await {
                taken.push(one?);
            }
        }
        self.save(replay, &taken).await
    }

    async fn is_canceled(&self, replay: &Replay) -> Result<bool, StoreError> {
        let now = self.store.replay(replay.merchant, replay.id).await?;
        Ok(now.is_none_or(|now| now.status != ReplayStatus::Running))
    }

    /// Adds what the step did; a replay that was canceled meanwhile stays so.
    async fn save(&self, replay: Replay, taken: &[Taken]) -> Result<StepEnd, StoreError> {
        let pause = pause_ms(taken.len(), replay.per_s);
        let mut current = replay.clone();
        for _ in 0..limits::CONFLICT_RETRIES_MAX {
            count(&mut current, taken);
            current.updated_at = self.clock.now();
            if current.at_end && current.status == ReplayStatus::Running {
                current.end();
            }
            match self.store.put_replay(&current).await {
                Err(StoreError::Conflict(Conflict::Replay)) => {}
                other => {
                    other?;
                    let more = current.status == ReplayStatus::Running;
                    return Ok(if more { StepEnd::Again(pause) } else { StepEnd::Over });
                }
            }
            match self.store.replay(replay.merchant, replay.id).await? {
                // Canceled meanwhile.
                Some(fresh) if fresh.taking == replay.taking && fresh.cursor == replay.cursor => {
                    current = fresh;
                }
                // Another router that took over has counted this step.
                Some(_) => return Ok(StepEnd::Again(pause)),
                None => return Ok(StepEnd::Over),
            }
        }
        Ok(StepEnd::Again(UNCOUNTED_AGAIN_MS))
    }
}

/// Adds a step's results to the record.
fn count(replay: &mut Replay, taken: &[Taken]) {
    replay.taking.clear();
    replay.waiting.clear();
    for one in taken {
        match one {
            Taken::Sent(id) => {
                replay.sent = replay.sent.saturating_add(1);
                replay.waiting.push(*id);
            }
            Taken::Not(why) => replay.leave_out(*why, 1),
        }
    }
    replay.matched = replay.matched.max(replay.dealt_with());
}

/// The pause that keeps the rate, milliseconds.
fn pause_ms(taken: usize, per_s: u32) -> u64 {
    u64::try_from(taken).unwrap_or(u64::MAX).saturating_mul(1000) / u64::from(per_s.max(1))
}
