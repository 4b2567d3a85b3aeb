//! What goes on beside: old records are removed in small batches, the backlog is measured, and endpoints that fail are
//! looked at.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Services;
use super::steady::Steady;
use crate::config::RetentionSection;
use crate::fail_point::{Point, pass};
use crate::store::{Cutoffs, StoreError};

/// How often the backlog is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(10);
/// How long after the start old records are looked for, so that what waited goes first.
const SWEEP_FIRST: Duration = Duration::from_secs(10);
/// How often they are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(300);
/// Records that are removed at once, so that deliveries go on in between.
const SWEEP_BATCH: usize = 500;
/// Batches of one sweep.
const SWEEP_BATCHES_MAX: usize = 2_000;
/// Difference between this machine's clock and the store's that is worth a line in the log, milliseconds.
const SKEW_TOLD_MS: i64 = 5 * 60 * 1000;

/// The tasks of the upkeep, which end when the router stops. A sweep may take many minutes: it has a task of its own, so
/// that the gauges move on, and endpoints that fail are looked at, meanwhile.
pub(super) fn start(services: &Services, stop: &watch::Receiver<bool>) -> [JoinHandle<()>; 2] {
    let measuring = until(stop.clone(), measuring(services.clone()));
    let sweeping = until(stop.clone(), sweeping(services.clone()));
    [tokio::spawn(measuring), tokio::spawn(sweeping)]
}

/// Does some work until the router stops; what is under way then is left: each step of it is whole.
async fn until(mut stop: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        ended = stop.wait_for(|stop| *stop) => drop(ended),
        () = work => {}
    }
}

async fn measuring(services: Services) {
    loop {
        if let Err(error) = measure(&services).await {
            tracing::warn!(%error, "the backlog can't be measured");
        }
        // Without this a histogram grows for as long as nobody scrapes it.
        if let Ok(metrics) = crate::telemetry::start_metrics() {
            metrics.run_upkeep();
        }
        tokio::time::sleep(MEASURE_EVERY).await;
    }
}

async fn sweeping(services: Services) {
    let mut steady = Steady::start();
    tokio::time::sleep(SWEEP_FIRST).await;
    loop {
        if let Err(error) = sweep(&services, &mut steady).await {
            tracing::warn!(%error, "old records can't be removed");
        }
        tokio::time::sleep(SWEEP_EVERY).await;
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

/// What is old is judged by the store's clock, as all that waits is: routers' clocks may differ.
async fn sweep(services: &Services, steady: &mut Steady) -> Result<(), StoreError> {
    let now = services.store.now().await?;
    let skew_ms = services.clock.now().saturating_sub(now);
    if skew_ms.abs() > SKEW_TOLD_MS {
        tracing::warn!(skew_ms, "this machine's clock and the store's differ");
    }
    if !steady.may_sweep(now) {
        return Ok(());
    }
    services.store.mend().await?;
    let cutoffs = cutoffs(&services.config.retention, now);
    for _ in 0..SWEEP_BATCHES_MAX {
        let removed = services.store.sweep(&cutoffs, SWEEP_BATCH).await?;
        if removed > 0 {
            pass(Point::InSweep);
        }
        metrics::counter!("kassir_swept_records_total").increment(removed);
        if removed == 0 {
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
        // They are of use as long as there is something to replay.
        replays: before(retention.events),
        tallies: before(retention.tallies),
        idempotency: before(retention.idempotency),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_takes_long_does_not_hold_up_the_other_and_both_end() {
        let (stop, stopped) = watch::channel(false);
        let measures = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&measures);
        let measuring = async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        };
        let tasks = [
            tokio::spawn(until(stopped.clone(), measuring)),
            tokio::spawn(until(stopped, std::future::pending())),
        ];
        while measures.load(Ordering::Relaxed) < 3 {
            tokio::task::yield_now().await;
        }
        stop.send(true).unwrap();
        for task in tasks {
            task.await.unwrap();
        }
    }
}
