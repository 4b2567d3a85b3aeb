//! How much is under way: in all, and in each lane, so that one endpoint that hangs takes only its own places.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::domain::ids::MerchantId;
use crate::domain::job::Lane;
use crate::store::Fence;

/// Lanes whose own limit is remembered; beyond, some are forgotten and learnt anew.
const OWN_LIMITS_MAX: usize = 1_024;

/// The places.
pub(super) struct Lanes {
    concurrency: usize,
    per_lane: u32,
    state: Mutex<State>,
    /// A place became free that somebody waited for.
    pub freed: Notify,
    /// Nothing is under way any more.
    pub idle: Notify,
}

#[derive(Default)]
struct State {
    busy: HashMap<Lane, u32>,
    own: HashMap<Lane, u32>,
    in_hand: HashMap<Fence, InHand>,
    waited_for: bool,
    closed: bool,
}

struct InHand {
    merchant: MerchantId,
    abort: Option<AbortHandle>,
}

/// A place that work has; free again when it is dropped.
pub(super) struct Place {
    lanes: Arc<Lanes>,
    lane: Lane,
    fence: Fence,
}

impl Lanes {
    pub fn new(concurrency: usize, per_lane: u32) -> Arc<Lanes> {
        Arc::new(Lanes {
            concurrency,
            per_lane,
            state: Mutex::default(),
            freed: Notify::new(),
            idle: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for work, if there is one.
    pub fn admit(self: &Arc<Self>, lane: Lane, merchant: MerchantId, fence: Fence) -> Option<Place> {
        let mut state = self.state();
        let limit = state.own.get(&lane).copied().unwrap_or(self.per_lane);
        let busy = state.busy.get(&lane).copied().unwrap_or(0);
        if state.closed || state.in_hand.len() >= self.concurrency || busy >= limit {
            state.waited_for = true;
            return None;
        }
        state.busy.insert(lane, busy + 1);
        state.in_hand.insert(fence, InHand { merchant, abort: None });
        Some(Place { lanes: Arc::clone(self), lane, fence })
    }

    /// Remembers how the work of a place can be ended.
    pub fn abort_with(&self, fence: Fence, handle: AbortHandle) {
        if let Some(work) = self.state().in_hand.get_mut(&fence) {
            work.abort = Some(handle);
        }
    }

    /// Learns a lane's own limit, and says whether this place is within it.
    pub fn learn(&self, lane: Lane, own: Option<u32>) -> bool {
        let mut state = self.state();
        match own.filter(|own| *own != self.per_lane) {
            Some(own) => {
                if state.own.len() >= OWN_LIMITS_MAX && !state.own.contains_key(&lane) {
                    state.own.clear();
                }
                state.own.insert(lane, own.max(1));
            }
            None => {
                state.own.remove(&lane);
            }
        }
        let limit = own.unwrap_or(self.per_lane).max(1);
        state.busy.get(&lane).copied().unwrap_or(0) <= limit
    }

    /// Free places in all, and how many each lane has left that differs from the usual number. From now on whoever
    /// frees a place says so.
    pub fn room(&self) -> (usize, HashMap<Lane, u32>) {
        let mut state = self.state();
        state.waited_for = true;
        let free = if state.closed { 0 } else { self.concurrency.saturating_sub(state.in_hand.len()) };
        let limit = |lane: &Lane| state.own.get(lane).copied().unwrap_or(self.per_lane);
        let mut room: HashMap<Lane, u32> =
            state.busy.iter().map(|(lane, busy)| (*lane, limit(lane).saturating_sub(*busy))).collect();
        for (lane, own) in &state.own {
            room.entry(*lane).or_insert(*own);
        }
        (free, room)
    }

    /// Takes nothing more.
    pub fn close(&self) {
        self.state().closed = true;
    }

    /// How much is under way.
    pub fn in_flight(&self) -> usize {
        self.state().in_hand.len()
    }

    /// Ends all that is under way, and gives what it was.
    pub fn abort_all(&self) -> Vec<(MerchantId, Fence)> {
        let state = self.state();
        let works = state.in_hand.iter();
        works
            .map(|(fence, work)| {
                if let Some(abort) = &work.abort {
                    abort.abort();
                }
                (work.merchant, *fence)
            })
            .collect()
    }

    /// All that is under way.
    pub fn held(&self) -> Vec<(MerchantId, Fence)> {
        self.state().in_hand.iter().map(|(fence, work)| (work.merchant, *fence)).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.lanes.state();
        state.in_hand.remove(&self.fence);
        match state.busy.get(&self.lane).copied() {
            Some(busy) if busy > 1 => {
                state.busy.insert(self.lane, busy - 1);
            }
            _ => {
                state.busy.remove(&self.lane);
            }
        }
        if std::mem::take(&mut state.waited_for) {
            self.lanes.freed.notify_one();
        }
        if state.in_hand.is_empty() {
            self.lanes.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::{DeliveryId, EndpointId};
    use crate::domain::job::WorkId;

    fn lane(n: u128) -> Lane {
        Lane::Endpoint(EndpointId(Uuid::from_u128(n)))
    }

    fn take(lanes: &Arc<Lanes>, n: u128, token: u64) -> Option<Place> {
        let fence = Fence { work: WorkId::Delivery(DeliveryId(Uuid::from_u128(token.into()))), token };
        lanes.admit(lane(n), MerchantId(Uuid::from_u128(9)), fence)
    }

    #[test]
    fn places_are_limited_and_come_back() {
        let lanes = Lanes::new(3, 2);
        let (a, b) = (take(&lanes, 1, 1), take(&lanes, 1, 2));
        assert!(a.is_some() && b.is_some());
        assert!(take(&lanes, 1, 3).is_none(), "the lane is full");
        let c = take(&lanes, 2, 4);
        assert!(c.is_some());
        assert!(take(&lanes, 3, 5).is_none(), "all is full");
        assert_eq!(lanes.room().0, 0);
        drop(a);
        let (free, room) = lanes.room();
        assert_eq!((free, room.get(&lane(1)), room.get(&lane(2))), (1, Some(&1), Some(&1)));
        drop((b, c));
        assert_eq!(lanes.room(), (3, HashMap::new()));
        lanes.close();
        assert!(take(&lanes, 1, 6).is_none());
        assert_eq!(lanes.room().0, 0);
    }

    #[test]
    fn own_limits_are_learnt() {
        let lanes = Lanes::new(10, 2);
        let (a, b) = (take(&lanes, 1, 1), take(&lanes, 1, 2));
        assert!(!lanes.learn(lane(1), Some(1)), "two are one too many");
        drop(b);
        assert!(lanes.learn(lane(1), Some(1)));
        assert_eq!(lanes.room().1.get(&lane(1)), Some(&0));
        drop(a);
        assert_eq!(lanes.room().1.get(&lane(1)), Some(&1));
        assert!(lanes.learn(lane(1), None));
        assert_eq!(lanes.room().1, HashMap::new());
        for n in 0..2 * OWN_LIMITS_MAX {
            lanes.learn(lane(n as u128), Some(7));
        }
        assert!(lanes.room().1.len() <= OWN_LIMITS_MAX);
    }
}
