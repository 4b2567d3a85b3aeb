//! What a router knows of a lane: how much of it is under way, its own limits, and whether its endpoint works.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::breaker::Breaker;
use super::super::pace::Pace;
use crate::domain::job::Lane;

/// Lanes of which something is remembered; beyond, some of which nothing is under way are forgotten and learnt anew.
const GATES_MAX: usize = 20_000;
/// How many of them are forgotten at once.
const FORGOTTEN: usize = GATES_MAX / 8;

/// A lane's gate.
#[derive(Default)]
pub(super) struct Gate {
    pub busy: u32,
    /// Its own limit of what is under way at once.
    pub own: Option<u32>,
    pub pace: Option<Pace>,
    pub host: Option<Arc<str>>,
    /// Where its last attempt went; empty before the first.
    pub url: Box<str>,
    pub breaker: Breaker,
    /// Work of it found no place: new work queues up behind that.
    pub behind: bool,
}

impl Gate {
    /// How many may be under way at once.
    pub fn limit(&self, per_lane: u32) -> u32 {
        let own = self.own.unwrap_or(per_lane);
        self.breaker.at_once().map_or(own, |at_once| at_once.min(own))
    }

    /// How many more of it could begin now; the places of its host are not looked at.
    pub fn room(&mut self, per_lane: u32, now: i64) -> u32 {
        // While what opened the breaker is still to be written, the store does not hold the lane yet.
        if self.busy > 0 && self.breaker.is_open(now) {
            return 0;
        }
        let room = self.limit(per_lane).saturating_sub(self.busy);
        self.pace.as_mut().map_or(room, |pace| room.min(pace.left(now)))
    }

    /// Whether its room differs from that of a lane of which nothing is known, even while nothing of it is under way.
    pub fn is_special(&self) -> bool {
        self.own.is_some() || self.pace.is_some() || self.breaker.at_once().is_some()
    }
}

/// Work for an endpoint of which is not known that it works. Work for others is our own, or a provider's.
pub(super) fn is_suspect(lane: Lane, gate: Option<&Gate>) -> bool {
    matches!(lane, Lane::Endpoint(_)) && !gate.is_some_and(|gate| gate.breaker.is_good())
}

/// Whether it is a provider's API that is asked.
pub(super) fn is_ask(lane: Lane) -> bool {
    matches!(lane, Lane::Integration(_))
}

/// Makes room for one more gate.
pub(super) fn make_room(gates: &mut HashMap<Lane, Gate>, now: i64) {
    if gates.len() < GATES_MAX {
        return;
    }
    let mut left = FORGOTTEN;
    gates.retain(|_, gate| {
        // A pace is forgotten only after a second without attempts: it is kept all the same then.
        let paced = gate.pace.as_mut().is_some_and(|pace| pace.left(now) < pace.per_s);
        let stays = left == 0 || gate.busy > 0 || paced;
        left = left.saturating_sub(usize::from(!stays));
        stays
    });
}
