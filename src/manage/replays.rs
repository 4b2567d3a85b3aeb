//! Replays: one delivery, or all that match a filter. A bulk replay is a record and a job of the durable queue, so
//! that it survives a restart; `jobs::replay` does its work.

use super::{Actor, ManageError, Manager, Members, Result, one_of};
use crate::delivery::request_replay;
use crate::domain::delivery::{Delivery, DeliveryStatus};
use crate::domain::event::EventState;
use crate::domain::ids::{DeliveryId, JobId, MerchantId, ReplayId};
use crate::domain::job::{Job, Lane, Task};
use crate::domain::people::{Replay, ReplayFilter, ReplayStatus};
use crate::limits;
use crate::registry::MerchantView;
use crate::store::{Commit, Conflict, DeliveryFilter, Page, StoreError};

/// Longest reason, characters.
const REASON_MAX: usize = 500;
/// Deliveries that are counted before a bulk replay starts; of more it is said that there are at least so many.
pub const COUNT_MAX: u64 = 10_000;
/// Deliveries counted at once.
const COUNT_PAGE: u32 = 200;
/// Pages that are counted at the most: a rare kind of delivery among very many takes more pages than matches.
const COUNT_PAGES_MAX: u32 = 500;
/// Providers that a filter may name.
const PROVIDERS_MAX: usize = 100;

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

    /// Begins a bulk replay by `{"filter", "to_endpoint_id"?, "dry_run"?, "reason"?}`; a dry run only counts.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn create_replay(
        &self,
        actor: &Actor,
        view: &MerchantView,
        mut body: Members,
    ) -> Result<Replay> {
        let merchant = view.config.merchant.id;
        let filter = body.object("filter", |inner| read_filter(inner, view));
        if filter.is_none() {
            body.wrong("filter", "is required; {} takes every delivery");
        }
        let to_endpoint = body.parsed("to_endpoint_id");
        if let Some(id) = to_endpoint
            && view.config.endpoint(id).is_none()
        {
            body.wrong("to_endpoint_id", format!("there is no endpoint {id}"));
        }
        let dry_run = body.switch("dry_run").unwrap_or(false);
        let reason = body.text("reason", REASON_MAX);
        body.finish()?;
        let mut filter = filter.unwrap_or_default();
        let now = self.clock.now();
        // What happens from now on is not taken, else a replay could chase its own deliveries.
        filter.to = Some(filter.to.map_or(now, |to| to.min(now)));
        let id = ReplayId(self.clock.id());
        let (matched, counted_all) = self.count(merchant, &filter).await?;
        let mut replay = Replay {
            id,
            version: 0,
            merchant,
            matched,
            counted_all,
            filter,
            to_endpoint,
            status: if dry_run { ReplayStatus::Preview } else { ReplayStatus::Running },
            sent: 0,
            failed: 0,
            cursor: None,
            actor: actor.to_string(),
            reason,
            created_at: now,
            updated_at: now,
        };
        let action = if dry_run { "replay.preview" } else { "replay.create" };
        let detail = format!("{} deliveries {}", replay.matched, replay.reason.as_deref().unwrap_or(""));
        self.note(actor, Some(merchant), action, id, detail).await?;
        if !dry_run {
            // The job first: without its record it ends by itself, a record without its job would never end.
            self.store.commit(job_for(&replay, JobId(self.clock.id()))).await?;
        }
        replay.version = self.store.put_replay(&replay).await?;
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

    /// How many deliveries match, counted up to [`COUNT_MAX`], and whether these are all.
    async fn count(&self, merchant: MerchantId, filter: &ReplayFilter) -> Result<(u64, bool)> {
        let filter = delivery_filter(filter);
        let mut page = Page { limit: COUNT_PAGE, before: None };
        let mut counted: u64 = 0;
        for _ in 0..COUNT_PAGES_MAX {
            let listed = self.store.deliveries(merchant, &filter, &page).await?;
            counted = counted.saturating_add(u64::try_from(listed.rows.len()).unwrap_or(0));
            match listed.next {
                Some(next) if counted < COUNT_MAX => page.before = Some(next),
                next => return Ok((counted, next.is_none())),
            }
        }
        Ok((counted, false))
    }
}

/// Which deliveries a replay's filter takes.
#[must_use]
pub fn delivery_filter(filter: &ReplayFilter) -> DeliveryFilter {
    DeliveryFilter {
        status: filter.status,
        endpoint: filter.endpoint,
        states: filter.states.clone(),
        providers: filter.providers.clone(),
        from: filter.from,
        to: filter.to,
        ..DeliveryFilter::default()
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

fn read_filter(inner: &mut Members, view: &MerchantView) -> ReplayFilter {
    let endpoint = inner.parsed("endpoint_id");
    if let Some(id) = endpoint
        && view.config.endpoint(id).is_none()
    {
        inner.wrong("endpoint_id", format!("there is no endpoint {id}"));
    }
    ReplayFilter {
        status: inner.word("status", &statuses()),
        endpoint,
        states: inner
            .list("states", EventState::ALL.len(), |item| one_of(item, &states()))
            .unwrap_or_default(),
        providers: inner
            .list("providers", PROVIDERS_MAX, |item| {
                item.as_str().map(str::to_owned).ok_or_else(|| "must be a provider's slug".to_owned())
            })
            .unwrap_or_default(),
        from: inner.time("from"),
        to: inner.time("to"),
    }
}

fn job_for(replay: &Replay, id: JobId) -> Commit {
    let job = Job {
        id,
        merchant: replay.merchant,
        lane: Lane::Merchant(replay.merchant),
        task: Task::Replay { replay: replay.id },
        attempts: 0,
        created_at: replay.created_at,
    };
    Commit { jobs: vec![(job, 0)], ..Commit::of(replay.merchant) }
}
