//! A bulk replay, step by step: each step takes one page of deliveries and saves how far it came. A step that is
//! interrupted is done again without sending anything twice: a delivery remembers the replay that took it, and a
//! delivery to another endpoint has an id that follows from the replay's and the original's.

use std::sync::Arc;

use kassir_providers::digest::Hash;

use crate::clock::SharedClock;
use crate::delivery::request_replay;
use crate::domain::delivery::{Delivery, DeliveryStatus, ReplayMark};
use crate::domain::ids::{DeliveryId, EndpointId, MerchantId, ReplayId};
use crate::domain::people::{Replay, ReplayStatus};
use crate::limits;
use crate::manage::replays::delivery_filter;
use crate::registry::{MerchantView, Registry, RegistryError};
use crate::store::{Commit, Conflict, Page, Store, StoreError};

/// Deliveries of one step.
pub const PAGE: u32 = 100;
/// How long the job waits for its record, which is written right after it, milliseconds.
const RECORD_WAIT_MS: i64 = 60_000;
/// When to look for the record again, milliseconds.
const RECORD_AGAIN_MS: u64 = 500;

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

enum Taken {
    /// Sent for, now or by an interrupted run of this step.
    Sent,
    /// Its endpoint is off or gone, or its event is.
    Failed,
}

impl Replayer {
    /// One step of a replay whose job was made at `made_at` (Unix milliseconds).
    ///
    /// # Errors
    /// [`RegistryError`]: the step is to be done again later.
    pub async fn step(
        &self,
        merchant: MerchantId,
        id: ReplayId,
        made_at: i64,
    ) -> Result<StepEnd, RegistryError> {
        let Some(replay) = self.store.replay(merchant, id).await? else {
            let age = self.clock.now().saturating_sub(made_at);
            return Ok(if age < RECORD_WAIT_MS { StepEnd::Again(RECORD_AGAIN_MS) } else { StepEnd::Over });
        };
        let Some(view) = self.registry.merchant(merchant).await? else { return Ok(StepEnd::Over) };
        if replay.status != ReplayStatus::Running {
            return Ok(StepEnd::Over);
        }
        let before = replay.cursor.clone().unwrap_or_else(|| first_id(replay.created_at).to_string());
        let page = Page { limit: PAGE, before: Some(before) };
        let listed = self.store.deliveries(merchant, &delivery_filter(&replay.filter), &page).await?;
        let (mut sent, mut failed) = (0_u64, 0_u64);
        for delivery in listed.rows {
            match self.take(&view, &replay, delivery).await? {
                Taken::Sent => sent = sent.saturating_add(1),
                Taken::Failed => failed = failed.saturating_add(1),
            }
        }
        self.save(replay, sent, failed, listed.next).await
    }

    /// Adds what the step did; a replay that was canceled meanwhile stays so.
    async fn save(
        &self,
        mut replay: Replay,
        sent: u64,
        failed: u64,
        next: Option<String>,
    ) -> Result<StepEnd, RegistryError> {
        let (merchant, id) = (replay.merchant, replay.id);
        for _ in 0..limits::CONFLICT_RETRIES_MAX {
            replay.sent = replay.sent.saturating_add(sent);
            replay.failed = replay.failed.saturating_add(failed);
            replay.matched = replay.matched.max(replay.sent.saturating_add(replay.failed));
            replay.updated_at = self.clock.now();
            replay.cursor.clone_from(&next);
            if next.is_none() && replay.status == ReplayStatus::Running {
                replay.status = ReplayStatus::Done;
            }
            match self.store.put_replay(&replay).await {
                Err(StoreError::Conflict(Conflict::Replay)) => {
                    let Some(fresh) = self.store.replay(merchant, id).await? else {
                        return Ok(StepEnd::Over);
                    };
                    replay = fresh;
                }
                other => {
                    other?;
                    let more = replay.status == ReplayStatus::Running;
                    return Ok(if more { StepEnd::Again(0) } else { StepEnd::Over });
                }
            }
        }
        Ok(StepEnd::Again(RECORD_AGAIN_MS))
    }

    async fn take(
        &self,
        view: &MerchantView,
        replay: &Replay,
        delivery: Delivery,
    ) -> Result<Taken, StoreError> {
        let endpoint = replay.to_endpoint.unwrap_or(delivery.endpoint);
        if view.config.endpoint(endpoint).is_none_or(|endpoint| !endpoint.enabled) {
            return Ok(Taken::Failed);
        }
        if endpoint == delivery.endpoint {
            self.again(replay, delivery).await
        } else {
            self.elsewhere(replay, delivery, endpoint).await
        }
    }

    /// The same delivery once more.
    async fn again(&self, replay: &Replay, mut delivery: Delivery) -> Result<Taken, StoreError> {
        let (merchant, id) = (delivery.merchant, delivery.id);
        for _ in 0..limits::CONFLICT_RETRIES_MAX {
            if delivery.replayed_by == Some(replay.id) {
                // By a run of this step that was interrupted before it was saved, and so not counted.
                return Ok(Taken::Sent);
            }
            let now = self.store.now().await?;
            let reason = replay.reason.clone();
            let again = request_replay(delivery, &replay.actor, reason, Some(replay.id), now);
            match self.store.update_delivery(again).await {
                Err(StoreError::Conflict(Conflict::Delivery)) => {
                    match self.store.delivery(merchant, id).await? {
                        Some(fresh) => delivery = fresh,
                        None => return Ok(Taken::Failed),
                    }
                }
                Err(StoreError::NotFound(_)) => return Ok(Taken::Failed),
                other => return other.map(|()| Taken::Sent),
            }
        }
        Ok(Taken::Failed)
    }

    /// A new delivery of the same event to another endpoint.
    async fn elsewhere(
        &self,
        replay: &Replay,
        original: Delivery,
        endpoint: EndpointId,
    ) -> Result<Taken, StoreError> {
        let id = derived_id(replay, original.event, endpoint);
        if self.store.delivery(replay.merchant, id).await?.is_some() {
            return Ok(Taken::Sent);
        }
        if self.store.event(replay.merchant, original.event).await?.is_none() {
            return Ok(Taken::Failed);
        }
        let now = self.store.now().await?;
        let fresh = Delivery {
            id,
            version: 0,
            endpoint,
            status: DeliveryStatus::Pending,
            attempts: 0,
            round: 0,
            round_started_at: now,
            next_attempt_at: Some(now),
            resume_at: None,
            replay: Some(mark(replay)),
            replayed_by: Some(replay.id),
            last_status: None,
            last_error: None,
            updated_at: now,
            ..original
        };
        let commit = Commit { deliveries: vec![fresh], ..Commit::of(replay.merchant) };
        self.store.commit(commit).await.map(|_| Taken::Sent)
    }
}

fn mark(replay: &Replay) -> ReplayMark {
    ReplayMark { actor: replay.actor.clone(), reason: replay.reason.clone(), replay: Some(replay.id) }
}

/// The lowest id of a time: what is before it is older.
fn first_id(at: i64) -> DeliveryId {
    let ms = u128::try_from(at).unwrap_or(0);
    DeliveryId(uuid::Uuid::from_u128(ms << 80))
}

/// The id of the delivery that a replay makes of an event for another endpoint: the same whenever the step is done
/// again, and the same for two deliveries of one event, which the other endpoint shall get only once.
fn derived_id(replay: &Replay, event: crate::domain::ids::EventId, endpoint: EndpointId) -> DeliveryId {
    let digest = Hash::Sha256.digest(format!("{}{event}{endpoint}", replay.id).as_bytes());
    let mut random = [0; 10];
    for (slot, byte) in random.iter_mut().zip(digest) {
        *slot = byte;
    }
    let ms = u64::try_from(replay.created_at).unwrap_or(0);
    DeliveryId(uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
}
