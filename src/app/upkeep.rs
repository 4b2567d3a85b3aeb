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

/// When it is done.
#[derive(Clone, Copy)]
pub(super) struct Rhythm {
    /// How often the backlog is measured.
    measure_every: Duration,
    /// How long after the start old records are looked for.
    sweep_first: Duration,
    /// How often they are looked for.
    sweep_every: Duration,
}

impl Rhythm {
    /// A router's: what waited goes before what is old is looked for.
    pub(super) const USUAL: Rhythm = Rhythm {
        measure_every: Duration::from_secs(10),
        sweep_first: Duration::from_secs(10),
        sweep_every: Duration::from_secs(300),
    };
}

/// Records that are removed at once, so that deliveries go on in between.
const SWEEP_BATCH: usize = 500;
/// Batches of one sweep.
const SWEEP_BATCHES_MAX: usize = 2_000;
/// Difference between this machine's clock and the store's that is worth a line in the log, milliseconds.
const SKEW_TOLD_MS: i64 = 5 * 60 * 1000;

/// The tasks of the upkeep, which end when the router stops. A sweep may take many minutes: it has a task of its own, so
/// that the gauges move on, and endpoints that fail are looked at, meanwhile.
pub(super) fn start(
    services: &Services,
    stop: &watch::Receiver<bool>,
    rhythm: Rhythm,
) -> [JoinHandle<()>; 2] {
    let measuring = until(stop.clone(), measuring(services.clone(), rhythm));
    let sweeping = until(stop.clone(), sweeping(services.clone(), rhythm));
    [tokio::spawn(measuring), tokio::spawn(sweeping)]
}

/// Does some work until the router stops; what is under way then is left: each step of it is whole.
async fn until(mut stop: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        ended = stop.wait_for(|stop| *stop) => drop(ended),
        () = work => {}
    }
}

async fn measuring(services: Services, rhythm: Rhythm) {
    loop {
        if let Err(error) = measure(&services).await {
            tracing::warn!(%error, "the backlog can't be measured");
        }
        // Without this a histogram grows for as long as nobody scrapes it.
        if let Ok(metrics) = crate::telemetry::start_metrics() {
            metrics.run_upkeep();
        }
        tokio::time::sleep(rhythm.measure_every).await;
    }
}

async fn sweeping(services: Services, rhythm: Rhythm) {
    let mut steady = Steady::start();
    tokio::time::sleep(rhythm.sweep_first).await;
    loop {
        if let Err(error) = sweep(&services, &mut steady).await {
            tracing::warn!(%error, "old records can't be removed");
        }
        tokio::time::sleep(rhythm.sweep_every).await;
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
    // Only now: whoever reads the others must see when one of them is old.
    let seconds = services.clock.now() as f64 / 1000.0;
    metrics::gauge!("kassir_queue_measured_timestamp_seconds").set(seconds);
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
    use std::path::Path;
    use std::sync::{Arc, mpsc};

    use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
    use tokio::sync::oneshot;

    use super::super::{Start, assemble};
    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::ids::{IntegrationId, MerchantId};
    use crate::secrets::Vault;
    use crate::store::sqlite::SqliteStore;
    use crate::store::{LookUp, Store as _};

    /// Longest wait for what must come.
    const PATIENCE: Duration = Duration::from_secs(60);
    /// When the tests begin, Unix seconds.
    const BEGIN: i64 = 1_700_000_000;
    const AT_ONCE: Rhythm = Rhythm {
        measure_every: Duration::from_millis(1),
        sweep_first: Duration::ZERO,
        sweep_every: Duration::ZERO,
    };

    struct Site {
        store: Arc<SqliteStore>,
        clock: Arc<ManualClock>,
        services: Services,
    }

    fn site(folder: &Path) -> Site {
        crate::tls::install();
        let clock = Arc::new(ManualClock::at(BEGIN * 1000));
        let store = Arc::new(SqliteStore::open(&folder.join("kassir.db"), clock.clone()).unwrap());
        let start = Start {
            config: crate::config::from_parts(None, "test", &std::collections::BTreeMap::new()).unwrap(),
            clock: clock.clone(),
            store: store.clone(),
            vault: Arc::new(Vault::throw_away().unwrap()),
            admin_token_hash: String::new(),
            run_worker: false,
        };
        let (services, _) = assemble(&start).unwrap();
        Site { store, clock, services }
    }

    /// When the last measurement was, Unix seconds, as it is shown.
    fn measured(shown: &PrometheusHandle) -> Option<i64> {
        let text = shown.render();
        let line =
            text.lines().find_map(|line| line.strip_prefix("kassir_queue_measured_timestamp_seconds "));
        line.map(|seconds| seconds.parse().unwrap())
    }

    /// Keeps the store's writer from going on until what it gives is dropped: a sweep hangs, and what only reads does
    /// not.
    async fn hold_writer(store: &Arc<SqliteStore>) -> mpsc::Sender<()> {
        let ask = LookUp {
            merchant: MerchantId(uuid::Uuid::from_u128(1)),
            integration: IntegrationId(uuid::Uuid::from_u128(1)),
            provider_ids: Vec::new(),
            numbers: Vec::new(),
        };
        let (held, is_held) = oneshot::channel();
        let (release, released) = mpsc::channel();
        // The first call is a guess at what is to be written, not yet the writer's.
        let mut calls = [None, Some((held, released))].into_iter();
        let wait = move |_: &_| {
            if let Some((held, released)) = calls.next().flatten() {
                let _ = held.send(());
                let _ = released.recv();
            }
            None
        };
        let store = Arc::clone(store);
        tokio::spawn(async move { store.enter(ask, 1, Box::new(wait)).await });
        is_held.await.unwrap();
        release
    }

    #[tokio::test]
    async fn a_sweep_that_hangs_does_not_hold_up_the_measuring_and_both_end() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let folder = tempfile::tempdir().unwrap();
        let Site { store, clock, services } = site(folder.path());
        let writer = hold_writer(&store).await;
        let (stop, stopped) = watch::channel(false);
        let tasks = start(&services, &stopped, AT_ONCE);
        let watched = async {
            for later in 1..4 {
                clock.advance(1000);
                while measured(&recorder.handle()) != Some(BEGIN + later) {
                    tokio::task::yield_now().await;
                }
            }
            stop.send(true).unwrap();
            for task in tasks {
                task.await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, watched).await.expect("the sweep holds up the measuring");
        drop(writer);
        store.close().await;
    }

    #[tokio::test]
    async fn a_measurement_that_fails_is_not_shown_as_one() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let folder = tempfile::tempdir().unwrap();
        let Site { store, clock, services } = site(folder.path());
        measure(&services).await.unwrap();
        assert_eq!(measured(&recorder.handle()), Some(BEGIN));

        let other = rusqlite::Connection::open(folder.path().join("kassir.db")).unwrap();
        other.execute_batch("ALTER TABLE queue RENAME TO elsewhere").unwrap();
        clock.advance(1000);
        assert!(measure(&services).await.is_err());
        assert_eq!(measured(&recorder.handle()), Some(BEGIN));

        other.execute_batch("ALTER TABLE elsewhere RENAME TO queue").unwrap();
        measure(&services).await.unwrap();
        assert_eq!(measured(&recorder.handle()), Some(BEGIN + 1));
        store.close().await;
    }
}
