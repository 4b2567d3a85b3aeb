//! How work comes to this router: claimed from the queue, or handed over by a commit that leased it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::lanes::Promise;
use super::worker::{Leased, Worker};
use crate::domain::ids::{EndpointId, MerchantId};
use crate::fail_point::{Point, pass};
use crate::store::{ClaimAsk, Claimed, Fence, Material, StoreError};

/// Work that is claimed at once.
const CLAIM_MAX: usize = 64;
/// So much work in one claim is worth it: after less, and with places that become free one by one, the next claim
/// waits for [`GATHER`].
const CLAIM_WORTH: usize = 16;
/// How long freed places are gathered before the next claim.
const GATHER: Duration = Duration::from_millis(2);
/// Pause after a claim of which nothing found a place: what is known now is asked for better.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// Shortest pause for an endpoint's limit per second: what its pace allows meanwhile is taken at once.
const PACE_WAIT_MIN_MS: i64 = 20;

/// What a claim gave.
pub(super) struct Taken {
    pub work: Vec<Claimed>,
    /// The store's clock, Unix milliseconds.
    pub now: i64,
    /// When to look again at the latest, Unix milliseconds; `None` when nothing is known to wait.
    next: Option<i64>,
    /// There may be more that can be taken at once.
    more: bool,
}

impl Worker {
    /// Keeps room for new work of some endpoints while it is written, until the promise is dropped; gives those whose
    /// work should go through the queue: what would find no place here, or what others wait before. `None`: all new
    /// work should. Leasing it here only to give it back would cost two writes more.
    #[must_use]
    pub fn make_room(&self, endpoints: &[EndpointId]) -> Option<(Promise, Vec<EndpointId>)> {
        self.lanes.promise(endpoints, self.store_now())
    }

    /// Takes work that a commit leased to this process; from within a tokio runtime. What finds no place is given back
    /// to the queue. `now`: the store's clock, Unix milliseconds, as the commit said.
    pub fn hand_over(self: &Arc<Self>, work: Vec<Claimed>, now: i64) {
        let (_, refused) = self.start(work, now);
        if !refused.is_empty() {
            let worker = Arc::clone(self);
            self.runtime().spawn(async move { worker.release(&refused).await });
        }
    }

    /// Claims what is due, starts it, and says how long to pause at the most.
    pub(super) async fn look(self: &Arc<Self>) -> Result<Duration, StoreError> {
        let poll = self.parts.config.poll;
        let Some(taken) = self.take(CLAIM_MAX).await? else { return Ok(poll) };
        let Taken { work, now, next, more } = taken;
        let worth = work.len() >= CLAIM_WORTH;
        let (started, refused) = self.start(work, now);
        self.release(&refused).await;
        if started.is_empty() && !refused.is_empty() {
            return Ok(REFUSED_PAUSE.min(poll));
        }
        if more {
            return Ok(if worth { Duration::ZERO } else { GATHER });
        }
        // What is due and was not taken waits for a place: then a freed place wakes us.
        let wait = next.map(|due| due.saturating_sub(now)).filter(|wait| *wait > 0);
        let wait = wait.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
        Ok(wait.unwrap_or(poll).min(poll))
    }

    /// While much is under way, places become free one after the other: a claim for each would be most of the work.
    pub(super) async fn gather(&self) {
        if self.in_flight() >= CLAIM_WORTH {
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Claims as much as there are places for; `None` when there are none.
    pub(super) async fn take(&self, most: usize) -> Result<Option<Taken>, StoreError> {
        let taken = self.take_once(most).await?;
        // Nothing for the endpoints that work: then the others, at once.
        match taken {
            Some(taken) if taken.work.is_empty() && taken.more => self.take_once(most).await,
            taken => Ok(taken),
        }
    }

    async fn take_once(&self, most: usize) -> Result<Option<Taken>, StoreError> {
        let room = self.lanes.room(self.store_now());
        let max = room.max.min(most);
        if max == 0 && room.probes == 0 {
            return Ok(None);
        }
        let ask = ClaimAsk {
            owner: self.parts.owner.clone(),
            lease_ms: u64::try_from(self.parts.config.lease.as_millis()).unwrap_or(u64::MAX),
            max,
            per_lane: room.per_lane,
            room: room.lanes.clone(),
            probes: room.probes,
        };
        let claims = self.parts.store.claim(&ask).await?;
        if !claims.work.is_empty() {
            pass(Point::AfterClaim);
        }
        self.errors.store(0, Ordering::Relaxed);
        self.note_time(claims.now);
        let usual = claims.work.iter().filter(|claimed| claimed.probe.is_none()).count();
        if max > 0 && usual < max {
            self.lanes.caught_up(&room, &claims.work);
        }
        let pace_at = room.pace_at.map(|at| at.max(claims.now.saturating_add(PACE_WAIT_MIN_MS)));
        let later = claims.next_due.filter(|due| *due > claims.now);
        if usual < max && !room.again && claims.next_due == later {
            self.lanes.nobody_waits(room.refusals);
        }
        let next = [later, pace_at].into_iter().flatten().min();
        Ok(Some(Taken {
            more: room.again || (max > 0 && usual >= max),
            work: claims.work,
            now: claims.now,
            next,
        }))
    }

    /// Starts work for which there is a place; gives what is started, and the leases of the rest.
    pub(super) fn start(
        self: &Arc<Self>,
        work: Vec<Claimed>,
        now: i64,
    ) -> (Vec<JoinHandle<()>>, Vec<(MerchantId, Fence)>) {
        self.note_time(now);
        let (mut started, mut refused) = (Vec::new(), Vec::new());
        for claimed in work {
            let merchant = match &claimed.material {
                Material::Delivery { delivery, .. } => delivery.merchant,
                Material::Job(job) => job.merchant,
            };
            let Claimed { fence, lane, due, lease_until, probe, material } = claimed;
            if self.lanes.adopt(fence, lease_until) {
                self.note_leased_again(fence);
                continue;
            }
            let lease = (fence, lease_until);
            let place = match self.lanes.admit(lane, merchant, lease, probe.is_some(), now) {
                Ok(place) => place,
                Err(refusal) => {
                    metrics::counter!("kassir_work_refused_total", "reason" => refusal.word()).increment(1);
                    refused.push((merchant, fence));
                    continue;
                }
            };
            let leased = Leased { merchant, fence, lane, due, lease_until, probe };
            let handle = self.runtime().spawn(Arc::clone(self).work(leased, material, place));
            self.lanes.abort_with(fence.work, handle.abort_handle());
            started.push(handle);
        }
        (started, refused)
    }

    /// Says that a claim gave work that is under way here. After a jump of the store's clock it gives all of it, and it
    /// may also give what was settled or given back a moment ago and has not left its place yet.
    fn note_leased_again(&self, fence: Fence) {
        metrics::counter!("kassir_work_leased_again_total").increment(1);
        if let Some(left_out) = self.log.open() {
            let work = fence.work;
            tracing::warn!(%work, left_out, "leased again while under way: its lease ran out early, or it is just ending");
        }
    }

    /// The store's clock, Unix milliseconds, as far as it is known.
    pub(super) fn store_now(&self) -> i64 {
        self.parts.clock.now().saturating_add(self.ahead.load(Ordering::Relaxed))
    }

    pub(super) fn note_time(&self, now: i64) {
        self.ahead.store(now.saturating_sub(self.parts.clock.now()), Ordering::Relaxed);
    }
}
