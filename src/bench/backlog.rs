//! A router that starts with many scheduled retries: how soon it is ready, what it holds in memory, how late the first
//! ones go out.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kassir_providers::State;

use super::figures::BacklogFigures;
use super::record::Sample;
use super::site::{Shop, shop};
use super::{Stage, megabytes, milliseconds, percentile, seed};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::delivery::Delivery;
use crate::store::Store;

/// Shops with an endpoint each among which the retries are spread.
const SHOPS: usize = 64;
/// Retries that are overdue when the router starts, and as many that become due while it runs.
const DUE: usize = 200;
/// The first of all others are due after this, milliseconds; a commit takes what is due within a day for due at once.
const LATER_MS: i64 = 25 * 60 * 60 * 1000;
/// They are spread over this, milliseconds.
const SPREAD_MS: i64 = 24 * 60 * 60 * 1000;
/// When those that become due do so, after the router was started, milliseconds.
const SOON_MS: i64 = 15_000;

pub(super) async fn measure(stage: &Stage<'_>) -> anyhow::Result<BacklogFigures> {
    let Stage { plan, progress, wire, .. } = stage;
    let (site, subscriber) = (stage.site()?, stage.subscriber()?);
    progress.begin("backlog: setting up", 0);
    let child = site.start().await?;
    let mut shops = Vec::new();
    for _ in 0..SHOPS {
        shops.push(shop(&child.client()?, Some(subscriber.url())).await?);
    }
    child.stop().await?;

    let store = site.open().await?;
    let due = DUE.min(plan.scheduled / 2);
    progress.begin("backlog: storing scheduled retries", plan.scheduled);
    let spread = |index: usize| i64::try_from(index).unwrap_or(0).wrapping_mul(7_919).rem_euclid(SPREAD_MS);
    let later = SystemClock.now().saturating_add(LATER_MS);
    seed::put(stage, &store, plan.scheduled.saturating_sub(due), |index| {
        commit(&shops, index.saturating_add(due), Some(later.saturating_add(spread(index))))
    })
    .await?;
    let soon_at = schedule_soon(&store, &shops, due).await?;
    seed::put(stage, &store, due, |index| commit(&shops, index.saturating_add(FIRST_OVERDUE), None)).await?;
    store.close().await;
    drop(store);

    progress.begin("backlog: starting the router", 0);
    let child = site.start().await?;
    let ready = child.ready(wire).await?;
    let mut resident = child.resident_bytes()?;
    progress.begin("backlog: what is due", 0);
    subscriber.wait_for(due.saturating_mul(2)).await?;
    let overdue = subscriber.ages(FIRST_OVERDUE..FIRST_OVERDUE.saturating_add(due));
    let first_overdue = child.age().saturating_sub(overdue.iter().max().copied().unwrap_or_default());
    let now = SystemClock.now();
    let late: Vec<Duration> =
        subscriber.ages(0..due).into_iter().map(|age| lateness(now, age, soon_at)).collect();
    resident = resident.max(child.resident_bytes()?);
    subscriber.stop().await;
    child.stop().await?;
    site.clear().await?;
    Ok(BacklogFigures {
        scheduled: plan.scheduled,
        ready_s: ready.as_secs_f64(),
        resident_mb: megabytes(resident),
        first_overdue_s: first_overdue.as_secs_f64(),
        first_due_ms: milliseconds(late.iter().min().copied().unwrap_or_default()),
        due_p99_ms: milliseconds(percentile(&late, 99)),
    })
}

/// Orders of those that are overdue; those that become due begin at 0.
const FIRST_OVERDUE: usize = 2_000_000_000;

fn commit(shops: &[Shop], order: usize, due: Option<i64>) -> Option<crate::store::Commit> {
    let shop = shops.get(order % shops.len().max(1))?;
    let tried = |delivery: &mut Delivery| {
        delivery.attempts = 1;
        delivery.round = 1;
        delivery.last_status = Some(503);
        delivery.next_attempt_at = due.or(delivery.next_attempt_at);
    };
    Some(Sample::new(shop, shop.endpoint?, order).first(State::Succeeded, tried))
}

/// Stores so many that become due soon; when that is, Unix milliseconds. As a retry is scheduled: by a change of what
/// is there.
async fn schedule_soon(store: &Arc<dyn Store>, shops: &[Shop], count: usize) -> anyhow::Result<i64> {
    let far = SystemClock.now().saturating_add(LATER_MS);
    let mut made = Vec::new();
    for order in 0..count {
        let commit = commit(shops, order, Some(far)).context("no shop")?;
        let mut delivery = commit.deliveries.first().cloned().context("no delivery")?;
        let committed = store.commit(commit).await?;
        delivery.payment = committed.payment.map(|(number, _)| number).context("no payment")?;
        delivery.version = 1;
        made.push(delivery);
    }
    let soon = store.now().await?.saturating_add(SOON_MS);
    for mut delivery in made {
        delivery.next_attempt_at = Some(soon);
        store.update_delivery(delivery).await?;
    }
    Ok(soon)
}

/// How late something that came so long ago came.
fn lateness(now: i64, age: Duration, due: i64) -> Duration {
    let since_due = u64::try_from(now.saturating_sub(due)).unwrap_or(0);
    Duration::from_millis(since_due).saturating_sub(age)
}
