//! The loop: claim due work, do it, settle it. It knows no provider and no web server.
//!
//! The store is the queue; what is in memory here (places, wake-ups, work handed over) may be lost at any moment: its
//! lease ends (`pulse`) and the work is due again, for this router or another.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::config::{DeliveryConfig, LEASE_MARGIN};
use super::endpoint::EndpointSource;
use super::jobs::{JobEnd, JobHandler};
use super::lanes::{Lanes, Limits, Place};
use super::outbound::Outbound;
use super::pulse::Pulse;
use super::taking::Taken;
use super::trouble::pause;
use crate::clock::SharedClock;
use crate::domain::ids::MerchantId;
use crate::domain::job::Job;
use crate::quiet::LogGate;
use crate::store::{Conflict, Fence, Holding, Material, Settle, SettleEnd, Store, StoreError};

/// When a job that took longer than its lease is run again at the earliest; later, as the growing intervals grow.
const JOB_TIMEOUT_AGAIN_MIN: Duration = Duration::from_secs(30);
/// Rounds of [`Worker::run_until_idle`].
const IDLE_ROUNDS_MAX: usize = 100_000;

/// What the worker works with.
pub struct Parts {
    /// The store, which is the queue.
    pub store: Arc<dyn Store>,
    /// The HTTP client.
    pub outbound: Outbound,
    /// Where endpoints come from.
    pub endpoints: Arc<dyn EndpointSource>,
    /// Who runs the other jobs.
    pub jobs: Arc<dyn JobHandler>,
    /// The clock.
    pub clock: SharedClock,
    /// Settings.
    pub config: DeliveryConfig,
    /// The name of this process in leases.
    pub owner: String,
}

/// The worker.
pub struct Worker {
    pub(super) parts: Parts,
    pub(super) lanes: Arc<Lanes>,
    pub(super) log: LogGate,
    pub(super) errors: AtomicU32,
    /// The store's clock is ahead of ours by this much, milliseconds.
    pub(super) ahead: AtomicI64,
    pub(super) pulse: Pulse,
    runtime: OnceLock<Handle>,
}

/// Leased work and the times it goes by. Its lease may have become another since ([`Worker::lease`]).
#[derive(Debug, Clone, Copy)]
pub(super) struct Leased {
    pub merchant: MerchantId,
    pub fence: Fence,
    pub lane: crate::domain::job::Lane,
    pub due: i64,
    /// Unix milliseconds of the store's clock.
    pub lease_until: i64,
    /// The step of the hold, when this is the one entry of a held lane that may be tried.
    pub probe: Option<u32>,
}

impl Worker {
    /// A worker; it does nothing before it is run, stepped or handed work.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Worker> {
        let DeliveryConfig { concurrency, per_lane, per_host, .. } = parts.config;
        let lanes = Lanes::new(Limits { concurrency, per_lane, per_host });
        Arc::new(Worker {
            parts,
            lanes,
            log: LogGate::new(),
            errors: AtomicU32::new(0),
            ahead: AtomicI64::new(0),
            pulse: Pulse::default(),
            runtime: OnceLock::new(),
        })
    }

    /// Looks at the queue now: there is new work. May be called from anywhere, and as often as one likes.
    pub fn wake(&self) {
        self.lanes.freed.notify_one();
    }

    /// How much is under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.lanes.in_flight()
    }

    /// The runtime that the worker runs on. Work that a web server's thread hands over runs there too, and outlives
    /// that thread.
    pub(super) fn runtime(&self) -> Handle {
        self.runtime.get().cloned().unwrap_or_else(Handle::current)
    }

    /// Works until `stop` says so (or is dropped); then takes nothing more, waits a while for what is under way, and
    /// gives the rest back.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let _ = self.runtime.set(Handle::current());
        let beating = tokio::spawn(Arc::clone(&self).beat());
        while !*stop.borrow() {
            let (pause, may_be_woken) = match self.look().await {
                Ok(pause) => (pause, true),
                // No wake-up shortens the pause after an error: there would be one for each new notification.
                Err(error) => (self.note_error("claim", &error), false),
            };
            if pause.is_zero() {
                continue;
            }
            let woken = tokio::select! {
                ended = stop.wait_for(|stop| *stop) => { let _ = ended; break }
                () = self.lanes.freed.notified(), if may_be_woken => true,
                () = tokio::time::sleep(pause) => false,
            };
            if woken {
                self.gather().await;
            }
        }
        self.drain().await;
        beating.abort();
    }

    pub(super) async fn work(self: Arc<Self>, leased: Leased, material: Material, place: Place) {
        metrics::gauge!("kassir_work_in_flight").set(self.lanes.in_flight() as f64);
        let late = self.store_now().saturating_sub(leased.due).max(0);
        metrics::histogram!("kassir_work_lateness_seconds").record(late as f64 / 1000.0);
        let doing = async {
            match material {
                Material::Delivery { delivery, event } => self.deliver(&leased, *delivery, &event).await,
                Material::Job(job) => self.job(&leased, *job).await,
            }
        };
        if AssertUnwindSafe(doing).catch_unwind().await.is_err() {
            tracing::error!(work = %leased.fence.work, "work ended in a panic; it is due again when its lease ends");
        }
        if let Some(left) = place.give_back() {
            self.release(&[left]).await;
        }
        metrics::gauge!("kassir_work_in_flight").set(self.lanes.in_flight() as f64);
    }

    async fn job(&self, leased: &Leased, job: Job) {
        let limit = self.parts.config.lease.saturating_sub(LEASE_MARGIN / 3);
        let running = self.parts.jobs.run(job.clone(), leased.fence);
        let end = match tokio::time::timeout(limit, running).await {
            Ok(end) => end,
            Err(_) => {
                tracing::warn!(job = %job.id, "a job took longer than its lease; it is run again");
                let job = Job { attempts: job.attempts.saturating_add(1), ..job };
                let pause = self.parts.config.schedule.interval(job.attempts).max(JOB_TIMEOUT_AGAIN_MIN);
                let in_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                JobEnd::Again { job: Box::new(job), in_ms }
            }
        };
        let (job, again_in) = match end {
            JobEnd::Settled => return,
            JobEnd::Done(job) => (job, None),
            JobEnd::Again { job, in_ms } => (job, Some(in_ms)),
        };
        let settle = Settle {
            fence: leased.fence,
            merchant: leased.merchant,
            end: SettleEnd::Job { job, again_in },
            hold: None,
            tallies: Vec::new(),
        };
        if let Err(error) = self.write(leased, settle).await {
            self.note_lost(leased, &error);
        }
    }

    /// Settles; while the store is not available, again and again until the lease ends: a result that is not written
    /// means an event sent twice.
    pub(super) async fn write(&self, leased: &Leased, settle: Settle) -> Result<(), StoreError> {
        let hold = settle.hold;
        loop {
            let (fence, lease_until) = self.lease(leased);
            match self.parts.store.settle(Settle { fence, ..settle.clone() }).await {
                Err(error @ StoreError::Unavailable(_)) => {
                    let wait = self.note_error("settle", &error);
                    if self.store_now() >= lease_until {
                        return Err(error);
                    }
                    tokio::time::sleep(wait).await;
                }
                Err(StoreError::Conflict(Conflict::Lease)) if self.lease(leased).0 != fence => {}
                other => {
                    if other.is_ok() {
                        self.lanes.ended(fence);
                        self.errors.store(0, Ordering::Relaxed);
                        self.wake_if_free(hold);
                    }
                    return other;
                }
            }
        }
    }

    /// What waits in a lane that is held no longer can be taken at once: nothing else says so.
    fn wake_if_free(&self, hold: Option<Holding>) {
        let is_free = match hold {
            None => false,
            Some(Holding::Lift) => true,
            Some(Holding::Until { until, .. }) => until <= self.store_now(),
        };
        if is_free {
            self.wake();
        }
    }

    /// The lease of work as it is now, and until when it is.
    pub(super) fn lease(&self, leased: &Leased) -> (Fence, i64) {
        self.lanes.lease(leased.fence.work).unwrap_or((leased.fence, leased.lease_until))
    }

    /// Counts an error of the store, writes a line now and then, and says how long to pause.
    pub(super) fn note_error(&self, verb: &'static str, error: &StoreError) -> Duration {
        metrics::counter!("kassir_worker_store_errors_total", "verb" => verb).increment(1);
        if let Some(left_out) = self.log.open() {
            tracing::error!(verb, %error, left_out, "the store fails; trying again");
        }
        pause(self.errors.fetch_add(1, Ordering::Relaxed).saturating_add(1))
    }

    /// Says that a result could not be written.
    pub(super) fn note_lost(&self, leased: &Leased, error: &StoreError) {
        metrics::counter!("kassir_worker_results_lost_total").increment(1);
        if let Some(left_out) = self.log.open() {
            let work = leased.fence.work;
            tracing::warn!(%work, %error, left_out, "a result was not written; the work may be done again");
        }
    }

    /// Gives back what a place was found for.
    pub(super) async fn release_one(&self, leased: &Leased) {
        let (fence, _) = self.lease(leased);
        self.release(&[(leased.merchant, fence)]).await;
        self.lanes.ended(fence);
    }

    /// Gives work back. What can't be given back now is due again when its lease ends.
    pub(super) async fn release(&self, work: &[(MerchantId, Fence)]) {
        if work.is_empty() {
            return;
        }
        if let Err(error) = self.parts.store.release(work).await {
            let _ = self.note_error("release", &error);
        }
    }

    async fn drain(&self) {
        self.lanes.close();
        let done = async {
            loop {
                let idle = self.lanes.idle.notified();
                tokio::pin!(idle);
                // Registers before looking, so that the last one's word is not missed.
                idle.as_mut().enable();
                if self.lanes.in_flight() == 0 {
                    return;
                }
                idle.await;
            }
        };
        if tokio::time::timeout(self.parts.config.drain, done).await.is_err() {
            let rest = self.lanes.abort_all();
            tracing::warn!(count = rest.len(), "stopping with work under way; it is given back to the queue");
            self.release(&rest).await;
        }
    }

    /// Claims what is due now and does it to the end; gives how much that was. For tests, which step a clock.
    ///
    /// # Errors
    /// [`StoreError`] of the claim.
    pub async fn step(self: &Arc<Self>) -> Result<usize, StoreError> {
        let Some(Taken { work, now, .. }) = self.take(usize::MAX).await? else { return Ok(0) };
        let (started, refused) = self.start(work, now);
        self.release(&refused).await;
        let count = started.len();
        join_all(started).await;
        Ok(count)
    }

    /// Steps until nothing is due; gives how much was done. For tests.
    ///
    /// # Errors
    /// [`StoreError`] of a claim.
    pub async fn run_until_idle(self: &Arc<Self>) -> Result<usize, StoreError> {
        let mut total = 0;
        for _ in 0..IDLE_ROUNDS_MAX {
            match self.step().await? {
                0 => break,
                count => total += count,
            }
        }
        Ok(total)
    }
}
