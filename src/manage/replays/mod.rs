//! Replays: one delivery, or all that match a filter. A bulk replay is a record and a job of the durable queue, so
//! that it survives a restart; `jobs::replay` does its work.

mod input;
pub mod pick;

use std::collections::BTreeMap;

use kassir_providers::digest::Hash;

use self::pick::{Item, Pick};
use super::{Actor, ManageError, Manager, Members, Result};
use crate::delivery::request_replay;
use crate::domain::delivery::{Delivery, DeliveryStatus};
use crate::domain::event::EventState;
use crate::domain::ids::{DeliveryId, JobId, MerchantId, ReplayId};
use crate::domain::job::{Job, Lane, Task};
use crate::domain::people::{Replay, ReplayStatus};
use crate::limits;
use crate::registry::MerchantView;
use crate::store::{Conflict, Idempotency, Page, StoreError};

/// Longest reason, characters.
const REASON_MAX: usize = 500;
/// Deliveries that are counted before a bulk replay starts; of more it is said that there are at least so many.
pub const COUNT_MAX: u64 = 50_000;
/// Deliveries counted at once.
const COUNT_PAGE: u32 = 200;
/// Pages that are counted at the most: a rare kind of delivery among very many takes more pages than matches.
const COUNT_PAGES_MAX: u32 = 500;
/// Within which a second replay of the same deliveries asks whether it is meant, milliseconds.
const SAME_AGAIN_MS: i64 = 60_000;
/// How long one person's start of a replay keeps the same one of another waiting at the most, milliseconds.
const START_HOLD_MS: u64 = 60_000;
/// The newest replays, among which one of the same deliveries is looked for.
const RECENT: u32 = 200;

/// The statuses of a delivery by their words.
#[must_use]
pub fn statuses() -> [(&'static str, DeliveryStatus); 5] {
    DeliveryStatus::ALL.map(|status| (status.word(), status))
}

/// The states of an event by their words.
#[must_use]
pub fn states() -> [(&'static str, EventState); 6] {
    EventState::ALL.map(|state| (state.word(), state))
}

impl Manager {
    /// Sends one delivery again by `{"reason"?}`: at once, whatever its status. One that still waits gets an extra
    /// attempt and keeps its schedule.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn replay_delivery(
        &self,
        actor: &Actor,
        view: &MerchantView,
        id: DeliveryId,
        mut body: Members,
    ) -> Result<Delivery> {
        let reason = body.text("reason", REASON_MAX);
        body.finish()?;
        let merchant = view.config.merchant.id;
        for attempt in 0..limits::CONFLICT_RETRIES_MAX {
            let Some(delivery) = self.store.delivery(merchant, id).await? else {
                return Err(ManageError::no("delivery", id));
            };
            sendable(view, &delivery)?;
            if attempt == 0 {
                self.note(actor, Some(merchant), "delivery.replay", id, reason.clone().unwrap_or_default())
                    .await?;
            }
            let now = self.store.now().await?;
            let again = request_replay(delivery, &actor.to_string(), reason.clone(), None, now);
            match self.store.update_delivery(again.clone()).await {
                Err(StoreError::Conflict(Conflict::Delivery)) => {}
                other => {
                    other?;
                    return Ok(Delivery { version: again.version.saturating_add(1), ..again });
                }
            }
        }
        Err(super::too_busy())
    }

    /// Begins a bulk replay by `{"filter", "to_endpoint_id"?, "dry_run"?, "confirm"?, "per_s"?, "reason"?}`; a dry run
    /// only counts. A second one of the same deliveries while the first is under way, or within a minute of it, needs
    /// `confirm`.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn create_replay(&self, actor: &Actor, view: &MerchantView, body: Members) -> Result<Replay> {
        let rate_max = self.config.delivery.replay_per_s;
        let wish = input::read(body, view, rate_max)?;
        let now = self.clock.now();
        let asked = serde_json::to_string(&(&wish.filter, wish.to_endpoint)).unwrap_or_default();
        let mut filter = wish.filter;
        // What happens from now on is not taken, else a replay could chase its own deliveries.
        filter.to = Some(filter.to.map_or(now, |to| to.min(now)));
        let mut replay = Replay {
            id: ReplayId(self.clock.id()),
            version: 0,
            merchant: view.config.merchant.id,
            filter,
            to_endpoint: wish.to_endpoint,
            asked: Hash::Sha256.hex(asked.as_bytes()),
            per_s: wish.per_s.unwrap_or(rate_max),
            status: if wish.dry_run { ReplayStatus::Preview } else { ReplayStatus::Running },
            matched: 0,
            counted_all: true,
            by_status: BTreeMap::new(),
            sent: 0,
            not_sent: BTreeMap::new(),
            cursor: None,
            at_end: false,
            taking: Vec::new(),
            waiting: Vec::new(),
            actor: actor.to_string(),
            reason: wish.reason,
            created_at: now,
            updated_at: now,
        };
        if wish.dry_run {
            self.count(view, &mut replay).await?;
            return self.begin(actor, replay).await;
        }
        // Before the counting, which may take minutes, and after it, when nobody else can begin the same one.
        self.same_already(&replay, wish.confirmed).await?;
        self.count(view, &mut replay).await?;
        // Two people who ask for the same at once come one after the other, so that the second one is told.
        let scope = format!("replay/{}", replay.merchant);
        let key = replay.asked.clone();
        let begun = self.store.idempotency_begin(&scope, &key, &key, START_HOLD_MS).await?;
        let Idempotency::Fresh(hold) = begun else {
            return Err(ManageError::NotNow("The same replay is just being started by somebody.".to_owned()));
        };
        let begun = match self.same_already(&replay, wish.confirmed).await {
            Ok(()) => self.begin(actor, replay).await,
            Err(error) => Err(error),
        };
        if let Err(error) = self.store.idempotency_finish(&scope, &key, hold, None).await {
            tracing::warn!(%error, "the start of a replay could not be freed; the same one has to wait a minute");
        }
        begun
    }

    /// Refuses what somebody asked for just now.
    async fn same_already(&self, replay: &Replay, confirmed: bool) -> Result<()> {
        if confirmed {
            return Ok(());
        }
        let page = Page { limit: RECENT, before: None };
        let recent = self.store.replays(replay.merchant, &page).await?.rows;
        let same = recent.into_iter().find(|other| {
            let fresh = replay.created_at.saturating_sub(other.created_at) < SAME_AGAIN_MS;
            let counts = match other.status {
                ReplayStatus::Running => true,
                ReplayStatus::Done => fresh,
                ReplayStatus::Preview | ReplayStatus::Canceled => false,
            };
            counts && other.asked == replay.asked
        });
        let Some(same) = same else { return Ok(()) };
        let state = if same.status == ReplayStatus::Running { "is under way" } else { "has just ended" };
        Err(ManageError::NotNow(format!(
            "The same replay {state}: {}, started by {}. Follow that one, or send this with \"confirm\": true to send \
             everything once more.",
            same.id, same.actor
        )))
    }

    /// Notes what was counted, and puts it into the queue.
    async fn begin(&self, actor: &Actor, mut replay: Replay) -> Result<Replay> {
        let action = if replay.status == ReplayStatus::Preview { "replay.preview" } else { "replay.create" };
        let detail = format!("{} deliveries {}", replay.matched, replay.reason.as_deref().unwrap_or(""));
        self.note(actor, Some(replay.merchant), action, replay.id, detail.trim_end()).await?;
        replay.version = if replay.status == ReplayStatus::Running {
            self.store.begin_replay(&replay, &job_for(&replay, JobId(self.clock.id()))).await?
        } else {
            self.store.put_replay(&replay).await?
        };
        Ok(replay)
    }

    /// Stops a bulk replay: what was sent for stays sent for.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn cancel_replay(&self, actor: &Actor, merchant: MerchantId, id: ReplayId) -> Result<Replay> {
        for attempt in 0..limits::CONFLICT_RETRIES_MAX {
            let mut replay = self.replay(merchant, id).await?;
            if replay.status != ReplayStatus::Running {
                return Err(ManageError::NotNow("The replay is not under way.".to_owned()));
            }
            if attempt == 0 {
                self.note(actor, Some(merchant), "replay.cancel", id, "").await?;
            }
            replay.status = ReplayStatus::Canceled;
            replay.updated_at = self.clock.now();
            match self.store.put_replay(&replay).await {
                Err(StoreError::Conflict(Conflict::Replay)) => {}
                other => {
                    replay.version = other?;
                    return Ok(replay);
                }
            }
        }
        Err(super::too_busy())
    }

    /// A bulk replay.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn replay(&self, merchant: MerchantId, id: ReplayId) -> Result<Replay> {
        self.store.replay(merchant, id).await?.ok_or_else(|| ManageError::no("replay", id))
    }

    /// Counts what matches, up to [`COUNT_MAX`].
    async fn count(&self, view: &MerchantView, replay: &mut Replay) -> Result<()> {
        let pick = Pick {
            store: self.store.as_ref(),
            view,
            filter: &replay.filter,
            to_endpoint: replay.to_endpoint,
            until: replay.created_at,
        };
        let (mut matched, mut cursor, mut all) = (0_u64, None::<String>, false);
        for _ in 0..COUNT_PAGES_MAX {
            let page = pick.page(cursor.as_deref(), COUNT_PAGE).await?;
            for item in &page.items {
                let status = match item {
                    Item::Delivery(delivery) => delivery.status.word(),
                    Item::Event(_) => "missing",
                };
                let counted = replay.by_status.entry(status.to_owned()).or_default();
                *counted = counted.saturating_add(1);
                matched = matched.saturating_add(1);
            }
            cursor = page.next;
            all = cursor.is_none();
            if all || matched >= COUNT_MAX {
                break;
            }
        }
        (replay.matched, replay.counted_all) = (matched, all);
        Ok(())
    }
}

/// Whether a delivery's endpoint can still be sent to.
fn sendable(view: &MerchantView, delivery: &Delivery) -> Result<()> {
    match view.config.endpoint(delivery.endpoint) {
        None => Err(ManageError::NotNow(format!(
            "Its endpoint {} was deleted. Send it to another one by a bulk replay with to_endpoint_id.",
            delivery.endpoint
        ))),
        Some(endpoint) if !endpoint.enabled => Err(ManageError::NotNow(format!(
            "Its endpoint {} is off. Turn it on by enabled, then replay.",
            endpoint.id
        ))),
        Some(_) => Ok(()),
    }
}

fn job_for(replay: &Replay, id: JobId) -> Job {
    Job {
        id,
        merchant: replay.merchant,
        lane: Lane::Merchant(replay.merchant),
        task: Task::Replay { replay: replay.id },
        attempts: 0,
        created_at: replay.created_at,
    }
}
