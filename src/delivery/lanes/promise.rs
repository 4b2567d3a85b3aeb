//! Places that are kept for new work while a commit leases it: without that, all that is being written at one moment would
//! count on the same free places, and most of it be given back to the queue.

use std::collections::HashMap;
use std::sync::Arc;

use super::gate::is_suspect;
use super::{Lanes, Limits, State};
use crate::domain::ids::EndpointId;
use crate::domain::job::Lane;

/// Places that are kept, until this is dropped.
pub struct Promise {
    lanes: Arc<Lanes>,
    places: Vec<Kept>,
}

struct Kept {
    lane: Lane,
    host: Option<Arc<str>>,
    suspect: bool,
}

/// How many places are kept.
#[derive(Default)]
pub(super) struct Promised {
    pub all: usize,
    pub suspects: usize,
    pub lanes: HashMap<Lane, u32>,
    hosts: HashMap<Arc<str>, u32>,
}

impl Promised {
    pub fn of(&self, lane: Lane) -> u32 {
        self.lanes.get(&lane).copied().unwrap_or(0)
    }

    pub fn to(&self, host: Option<&Arc<str>>) -> u32 {
        host.and_then(|host| self.hosts.get(host)).copied().unwrap_or(0)
    }

    fn keep(&mut self, kept: &Kept) {
        self.all = self.all.saturating_add(1);
        self.suspects = self.suspects.saturating_add(usize::from(kept.suspect));
        let of = self.lanes.entry(kept.lane).or_default();
        *of = of.saturating_add(1);
        if let Some(host) = &kept.host {
            let to = self.hosts.entry(Arc::clone(host)).or_default();
            *to = to.saturating_add(1);
        }
    }

    fn give_up(&mut self, kept: &Kept) {
        self.all = self.all.saturating_sub(1);
        self.suspects = self.suspects.saturating_sub(usize::from(kept.suspect));
        one_less(&mut self.lanes, &kept.lane);
        if let Some(host) = &kept.host {
            one_less(&mut self.hosts, host);
        }
    }
}

fn one_less<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, u32>, of: &K) {
    if let Some(count) = counts.get_mut(of) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(of);
        }
    }
}

impl Lanes {
    /// Keeps places for new work of some endpoints; gives those whose work should queue up rather than begin here at
    /// once: what would find no place, or what others wait before. `None` when no new work should begin here.
    pub fn promise(
        self: &Arc<Self>,
        endpoints: &[EndpointId],
        now: i64,
    ) -> Option<(Promise, Vec<EndpointId>)> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        let mut promise = Promise { lanes: Arc::clone(self), places: Vec::new() };
        let mut queue_only = Vec::new();
        for endpoint in endpoints {
            let lane = Lane::Endpoint(*endpoint);
            match state.keep(&self.limits, lane, now) {
                Some(kept) => promise.places.push(kept),
                None => {
                    state.waited_for = true;
                    state.refusals = state.refusals.wrapping_add(1);
                    state.fall_behind(lane, now);
                    queue_only.push(*endpoint);
                }
            }
        }
        Some((promise, queue_only))
    }
}

impl State {
    fn keep(&mut self, limits: &Limits, lane: Lane, now: i64) -> Option<Kept> {
        if self.in_hand.len().saturating_add(self.promised.all) >= limits.concurrency {
            return None;
        }
        let suspect = is_suspect(lane, self.gates.get(&lane));
        if suspect && self.suspects.saturating_add(self.promised.suspects) >= limits.suspects() {
            return None;
        }
        let gate = self.gates.get_mut(&lane);
        let (behind, host) = gate.as_ref().map_or((false, None), |gate| (gate.behind, gate.host.clone()));
        let room = gate.map_or(limits.per_lane, |gate| gate.room(limits.per_lane, now));
        if self.host_left(limits, host.as_ref()) <= self.promised.to(host.as_ref()) {
            self.waits_for(host.as_ref(), lane);
            return None;
        }
        if behind || room <= self.promised.of(lane) {
            return None;
        }
        let kept = Kept { lane, host, suspect };
        self.promised.keep(&kept);
        Some(kept)
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if self.places.is_empty() {
            return;
        }
        let mut state = self.lanes.state();
        for kept in &self.places {
            state.promised.give_up(kept);
        }
        // What was leased has its place by now; what was not leaves one to others.
        if std::mem::take(&mut state.waited_for) {
            self.lanes.freed.notify_one();
        }
    }
}
