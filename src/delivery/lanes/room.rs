//! What may be claimed now, as a claim asks for it.

use std::collections::{HashMap, HashSet};

use super::gate::{is_ask, is_suspect};
use super::{Limits, State};
use crate::domain::job::Lane;

/// Lanes that a claim names at the most: beyond, what has no place is given back.
pub(super) const LISTED_MAX: usize = 1_024;
/// Held lanes that one claim tries at the most.
const PROBES_MAX: usize = 32;

/// What may be claimed now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::delivery) struct Room {
    /// How much.
    pub max: usize,
    /// How many of a lane that is not named; 0: only of those that are.
    pub per_lane: u32,
    /// How many of these lanes.
    pub lanes: HashMap<Lane, u32>,
    /// How many held lanes may be tried.
    pub probes: usize,
    /// Whether something else may be claimed at once after this.
    pub again: bool,
    /// When a lane's pace allows its next attempt, Unix milliseconds.
    pub pace_at: Option<i64>,
    /// Times that work found no place so far.
    pub refusals: u64,
}

impl Room {
    /// How many of a lane.
    pub(super) fn of(&self, lane: Lane) -> u32 {
        self.lanes.get(&lane).copied().unwrap_or(self.per_lane)
    }
}

impl State {
    pub(super) fn room(&mut self, limits: &Limits, now: i64) -> Room {
        self.turn = self.turn.wrapping_add(1);
        if self.closed {
            return Room::default();
        }
        let promised = &self.promised;
        let free = limits.concurrency.saturating_sub(self.in_hand.len()).saturating_sub(promised.all);
        let doubtful =
            limits.suspects().saturating_sub(self.suspects).saturating_sub(promised.suspects).min(free);
        let mut room = Room { max: free, per_lane: limits.per_lane, ..Room::default() };
        // When few places for endpoints in doubt are left, those that work are served by claims of their own between
        // the others, and by no others when none is left.
        let few = limits.suspects().div_ceil(4).min(free / 2);
        room.again = doubtful > 0 && doubtful < few && self.turn.is_multiple_of(2);
        if doubtful == 0 || room.again {
            room.per_lane = 0;
            let good = self.good_lanes();
            self.list(limits, good.into_iter(), &mut room, now);
        } else {
            room.probes = match doubtful {
                1 => self.turn / 2 % 2,
                more => (more / 4).clamp(1, PROBES_MAX),
            };
            room.max = doubtful.saturating_sub(room.probes);
        }
        let known = self.known_lanes();
        self.list(limits, known.into_iter(), &mut room, now);
        self.share_hosts(limits, &mut room);
        room
    }

    /// Lanes whose room may be another than usual.
    fn known_lanes(&self) -> HashSet<Lane> {
        let busy = self.in_hand.values().map(|work| work.lane);
        let kept = self.special.iter().chain(self.promised.lanes.keys()).chain(&self.behind);
        kept.copied().chain(busy).collect()
    }

    /// Lanes that work, beginning with those that have work waiting.
    fn good_lanes(&self) -> Vec<Lane> {
        let good = |lane: &&Lane| !is_suspect(**lane, self.gates.get(lane));
        let from = self.turn.wrapping_mul(LISTED_MAX) % self.gates.len().max(1);
        let (all, behind) = (self.gates.keys(), self.behind.iter().filter(good));
        let others = all.clone().skip(from).chain(all.take(from)).filter(good);
        behind.chain(others).take(LISTED_MAX).copied().collect()
    }

    fn list(&mut self, limits: &Limits, lanes: impl Iterator<Item = Lane>, room: &mut Room, now: i64) {
        for lane in lanes {
            let Some(gate) = self.gates.get_mut(&lane) else {
                self.special.remove(&lane);
                continue;
            };
            if room.per_lane == 0 && is_suspect(lane, Some(gate)) {
                continue;
            }
            let mut left = gate.room(limits.per_lane, now).saturating_sub(self.promised.of(lane));
            if is_ask(lane) && self.asks >= limits.asks() {
                left = 0;
            }
            let next = gate.pace.as_mut().and_then(|pace| pace.next(now));
            room.pace_at = [room.pace_at, next].into_iter().flatten().min();
            if left != room.per_lane {
                room.lanes.insert(lane, left);
            }
        }
    }

    /// What is left of a host's places is shared between those of its lanes in which work is known to wait, in turns when
    /// there is less than a place for each. The others hardly ever have any: one that has, and finds no place, is known
    /// from then on.
    fn share_hosts(&self, limits: &Limits, room: &mut Room) {
        for (name, host) in &self.hosts {
            let promised = self.promised.to(Some(name));
            let left = limits.per_host.saturating_sub(host.busy).saturating_sub(promised);
            let (waiting, others): (Vec<Lane>, Vec<Lane>) =
                host.lanes.iter().take(LISTED_MAX).partition(|lane| self.behind.contains(lane));
            for lane in others {
                limit(room, lane, left);
            }
            let count = u32::try_from(waiting.len()).unwrap_or(u32::MAX).max(1);
            let (share, served) = ((left / count).max(1), left.min(count));
            let from = self.turn.wrapping_mul(usize::try_from(served).unwrap_or(1)) % waiting.len().max(1);
            let turns = waiting.iter().skip(from).chain(waiting.iter().take(from));
            for (n, lane) in turns.enumerate() {
                let has_turn = n < usize::try_from(served).unwrap_or(usize::MAX);
                limit(room, *lane, if has_turn { share } else { 0 });
            }
        }
    }
}

/// Of a lane at the most so many.
fn limit(room: &mut Room, lane: Lane, most: u32) {
    if most < room.of(lane) {
        room.lanes.insert(lane, most);
    }
}
