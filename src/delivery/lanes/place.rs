//! What is under way: the place that it has, and the lease that it goes by.

use std::sync::Arc;

use tokio::task::AbortHandle;

use super::Lanes;
use super::gate::is_ask;
use crate::domain::ids::MerchantId;
use crate::domain::job::{Lane, WorkId};
use crate::store::Fence;

/// Work that has a place.
pub(super) struct InHand {
    /// Its lease, as it was given last, and until when, Unix milliseconds of the store's clock.
    pub lease: (Fence, i64),
    /// Whether that was given while the work was under way, and is not ended.
    pub adopted: bool,
    pub lane: Lane,
    pub merchant: MerchantId,
    pub abort: Option<AbortHandle>,
    pub suspect: bool,
    pub probe: bool,
    pub paced: bool,
    pub host: Option<Arc<str>>,
}

/// A place that work has; free again when it is dropped.
pub(in crate::delivery) struct Place {
    lanes: Arc<Lanes>,
    lane: Lane,
    work: WorkId,
    given_back: bool,
}

impl Lanes {
    /// Takes a new lease of work that is under way here already, if it is: its old one ran out too early, by a clock
    /// that jumped, or was ended just now. What still comes of it is then written under the new one.
    pub fn adopt(&self, fence: Fence, lease_until: i64) -> bool {
        let mut state = self.state();
        let Some(work) = state.in_hand.get_mut(&fence.work) else { return false };
        work.lease = (fence, lease_until);
        work.adopted = true;
        true
    }

    /// A lease was ended in the store.
    pub fn ended(&self, fence: Fence) {
        let mut state = self.state();
        if let Some(work) = state.in_hand.get_mut(&fence.work).filter(|work| work.lease.0 == fence) {
            work.adopted = false;
        }
    }

    /// The lease of work that is under way, and until when it is.
    pub fn lease(&self, work: WorkId) -> Option<(Fence, i64)> {
        self.state().in_hand.get(&work).map(|work| work.lease)
    }

    /// Remembers how the work of a place can be ended.
    pub fn abort_with(&self, work: WorkId, handle: AbortHandle) {
        if let Some(work) = self.state().in_hand.get_mut(&work) {
            work.abort = Some(handle);
        }
    }

    /// How much is under way.
    pub fn in_flight(&self) -> usize {
        self.state().in_hand.len()
    }

    /// Ends all that is under way, and gives what it was.
    pub fn abort_all(&self) -> Vec<(MerchantId, Fence)> {
        let state = self.state();
        let works = state.in_hand.values();
        works
            .map(|work| {
                if let Some(abort) = &work.abort {
                    abort.abort();
                }
                (work.merchant, work.lease.0)
            })
            .collect()
    }

    /// All that is under way.
    pub fn held(&self) -> Vec<(MerchantId, Fence)> {
        self.state().in_hand.values().map(|work| (work.merchant, work.lease.0)).collect()
    }
}

impl Place {
    pub(super) fn new(lanes: Arc<Lanes>, lane: Lane, work: WorkId) -> Place {
        Place { lanes, lane, work, given_back: false }
    }

    /// Gives the place back; tells of a lease that came while the work was under way and that nobody ended.
    pub fn give_back(mut self) -> Option<(MerchantId, Fence)> {
        self.leave()
    }

    fn leave(&mut self) -> Option<(MerchantId, Fence)> {
        if std::mem::replace(&mut self.given_back, true) {
            return None;
        }
        let mut left = None;
        let mut state = self.lanes.state();
        if let Some(work) = state.in_hand.remove(&self.work) {
            left = work.adopted.then_some((work.merchant, work.lease.0));
            state.suspects = state.suspects.saturating_sub(usize::from(work.suspect));
            state.asks = state.asks.saturating_sub(usize::from(is_ask(work.lane)));
            state.host_gives(work.host.as_ref());
        }
        if let Some(gate) = state.gates.get_mut(&self.lane) {
            gate.busy = gate.busy.saturating_sub(1);
        }
        if std::mem::take(&mut state.waited_for) {
            self.lanes.freed.notify_one();
        }
        if state.in_hand.is_empty() {
            self.lanes.idle.notify_waiters();
        }
        left
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}
