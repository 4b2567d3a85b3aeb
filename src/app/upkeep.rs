//! What goes on beside: old records are removed in small batches, the backlog is measured, and endpoints that fail are
//! looked at.

use std::time::Duration;

use tokio::sync::watch;

use super::Services;
use crate::config::RetentionSection;
use crate::fail_point::{Point, pass};
use crate::store::{Cutoffs, StoreError};

/// How often the backlog is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(10);
/// Old records are looked for every so many measures.
const SWEEP_EVERY: u32 = 30;
/// Records that are removed at once, so that deliveries go on in between.
const SWEEP_BATCH: usize = 500;
/// Batches of one sweep.
const SWEEP_BATCHES_MAX: usize = 2_000;

pub(super) async fn run(services: Services, mut stop: watch::Receiver<bool>) {
    let mut turn: u32 = 0;
    loop {
        if let Err(error) = measure(&services).await {
            tracing::warn!(%error, "the backlog can't be measured");
        }
        if turn % SWEEP_EVERY == 1
            && let Err(error) = sweep(&services, &stop).await
        {
            tracing::warn!(%error, "old records can't be removed");
        }
        turn = turn.wrapping_add(1);
        // Without this a histogram grows for as long as nobody scrapes it.
        if let Ok(metrics) = crate::telemetry::start_metrics() {
            metrics.run_upkeep();
        }
        tokio::select! {
            ended = stop.wait_for(|stop| *stop) => {
                drop(ended);
                return;
            }
            () = tokio::time::sleep(MEASURE_EVERY) => {}
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "gauges are floats")]
async fn measure(services: &Services) -> Result<(), StoreError> {
    let backlog = services.store.backlog().await?;
    let now = services.store.now().await?;
    let age = |at: Option<i64>| at.map_or(0, |at| now.saturating_sub(at).max(0)) as f64 / 1000.0;
    metrics::gauge!("kassir_queue_waiting").set(backlog.waiting as f64);
    metrics::gauge!("kassir_queue_leased").set(backlog.leased as f64);
    metrics::gauge!("kassir_endpoint_breaker", "state" => "open").set(backlog.held_lanes as f64);
    metrics::gauge!("kassir_queue_oldest_due_seconds").set(age(backlog.oldest_due));
    metrics::gauge!("kassir_queue_oldest_undelivered_seconds").set(age(backlog.oldest_delivery));
    let failing = services.troubles.look().await?;
    metrics::gauge!("kassir_endpoints_failing").set(failing as f64);
    Ok(())
}

async fn sweep(services: &Services, stop: &watch::Receiver<bool>) -> Result<(), StoreError> {
    let cutoffs = cutoffs(&services.config.retention, services.clock.now());
    for _ in 0..SWEEP_BATCHES_MAX {
        let removed = services.store.sweep(&cutoffs, SWEEP_BATCH).await?;
        if removed > 0 {
            pass(Point::InSweep);
        }
        metrics::counter!("kassir_swept_records_total").increment(removed);
        if removed == 0 || *stop.borrow() {
            break;
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// What is older than it is kept, at a time in Unix milliseconds.
#[must_use]
pub fn cutoffs(retention: &RetentionSection, now: i64) -> Cutoffs {
    let before = |span: crate::config::Span| Some(now.saturating_sub(span.ms()));
    // A payment stays as long as its events do: one that is older than they may be is not even looked at.
    let payments = [before(retention.payments), before(retention.events)].into_iter().flatten().min();
    Cutoffs {
        refused: before(retention.refused),
        notifications: before(retention.notifications),
        events: before(retention.events),
        payments,
        tallies: before(retention.tallies),
        idempotency: before(retention.idempotency),
    }
}
