//! Who gets a place: how much is under way in all, in each lane, to each host, and for endpoints that are in doubt.
//!
//! Every limit here is a router's own, and so is what it knows; only the holds on lanes are in the store.

mod gate;
mod hosts;
mod place;
mod promise;
mod room;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::breaker::{Breaker, Heard, Judged};
use super::pace::Pace;
use crate::domain::ids::MerchantId;
use crate::domain::job::{Lane, WorkId};
use crate::store::{Claimed, Fence};

use gate::{Gate, is_ask, is_suspect, make_room};
use hosts::{Host, is_cut_off};
use place::InHand;
pub(super) use place::Place;
pub use promise::Promise;
use promise::Promised;
pub(super) use room::Room;

/// How many places there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// In all.
    pub concurrency: usize,
    /// Of one lane, unless its endpoint says otherwise.
    pub per_lane: u32,
    /// To one host.
    pub per_host: u32,
}

impl Limits {
    /// How many places endpoints may take of which is not known that they work: half of them.
    fn suspects(&self) -> usize {
        self.concurrency.div_ceil(2)
    }

    /// How many places questions to providers may take: half of them, however slowly they answer.
    fn asks(&self) -> usize {
        self.concurrency.div_ceil(2)
    }
}

/// Why work has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    Suspects,
    Asks,
    Lane,
    Host,
    Pace,
}

impl Refusal {
    /// The word of the metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Refusal::Full => "full",
            Refusal::Suspects => "suspects",
            Refusal::Asks => "asks",
            Refusal::Lane => "lane",
            Refusal::Host => "host",
            Refusal::Pace => "rate",
        }
    }
}

/// An endpoint's own limits.
#[derive(Debug, Clone, Default)]
pub(super) struct Own {
    pub max_in_flight: Option<u32>,
    pub rate_per_s: Option<u32>,
    pub host: Option<String>,
    /// Where it goes: what was learnt of another URL does not hold for this one.
    pub url: String,
}

/// The places.
pub(super) struct Lanes {
    limits: Limits,
    state: Mutex<State>,
    /// A place became free that somebody waited for.
    pub freed: Notify,
    /// Nothing is under way any more.
    pub idle: Notify,
}

#[derive(Default)]
struct State {
    gates: HashMap<Lane, Gate>,
    /// Lanes whose room is another than usual although nothing of them is under way.
    special: HashSet<Lane>,
    /// Lanes behind which new work queues up.
    behind: HashSet<Lane>,
    hosts: HashMap<Arc<str>, Host>,
    /// An entry of the queue is never under way twice.
    in_hand: HashMap<WorkId, InHand>,
    /// Hosts that were not reached since one was: some of them, at the most [`hosts::UNREACHED`].
    unreached: HashSet<Arc<str>>,
    suspects: usize,
    /// Questions to providers that are under way.
    asks: usize,
    /// Places that are kept for work on its way.
    promised: Promised,
    /// Turns at what is scarce.
    turn: usize,
    /// Whether a freed place is worth a look at the queue.
    waited_for: bool,
    /// Times that work found no place.
    refusals: u64,
    closed: bool,
}

/// What an admitted one takes.
struct Admitted {
    suspect: bool,
    paced: bool,
    host: Option<Arc<str>>,
}

impl Lanes {
    pub fn new(limits: Limits) -> Arc<Lanes> {
        Arc::new(Lanes { limits, state: Mutex::default(), freed: Notify::new(), idle: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for work, if there is one. `lease_until`, `now`: the store's clock, Unix milliseconds; `probe`: it is the
    /// one entry of a held lane.
    ///
    /// # Errors
    /// Why there is none; the next new work of the lane then queues up behind this.
    pub fn admit(
        self: &Arc<Self>,
        lane: Lane,
        merchant: MerchantId,
        lease: (Fence, i64),
        probe: bool,
        now: i64,
    ) -> Result<Place, Refusal> {
        let mut state = self.state();
        let admitted = state.admit(&self.limits, lane, probe, now);
        match admitted {
            Ok(Admitted { suspect, paced, host }) => {
                let work = lease.0.work;
                let in_hand = InHand {
                    lease,
                    adopted: false,
                    lane,
                    merchant,
                    abort: None,
                    suspect,
                    probe,
                    paced,
                    host,
                };
                state.in_hand.insert(work, in_hand);
                Ok(Place::new(Arc::clone(self), lane, work))
            }
            Err(refusal) => {
                state.waited_for = true;
                state.refusals = state.refusals.wrapping_add(1);
                state.fall_behind(lane, now);
                Err(refusal)
            }
        }
    }

    /// Learns an endpoint's own limits, and says whether this work, which has a place already, is within them.
    ///
    /// # Errors
    /// Which limit it is beyond; it is to be given back then.
    pub fn learn(&self, lane: Lane, work: WorkId, own: &Own, now: i64) -> Result<(), Refusal> {
        let mut state = self.state();
        let known = state.learn(&self.limits, lane, work, own, now);
        if known.is_err() {
            state.fall_behind(lane, now);
        }
        known
    }

    /// Learns what became of an attempt.
    pub fn hear(&self, lane: Lane, heard: &Heard) -> Judged {
        let mut state = self.state();
        let state = &mut *state;
        let per_lane = self.limits.per_lane;
        let Some(gate) = state.gates.get_mut(&lane) else { return Judged::default() };
        let full = gate.own.unwrap_or(per_lane);
        let cut_off = is_cut_off(&mut state.unreached, gate.host.as_ref(), heard.reached);
        let judged = gate.breaker.hear(&Heard { cut_off, ..*heard }, full);
        let special = gate.is_special();
        state.note_special(lane, special);
        judged
    }

    /// What may be claimed now.
    pub fn room(&self, now: i64) -> Room {
        let mut state = self.state();
        state.waited_for = true;
        let refusals = state.refusals;
        Room { refusals, ..state.room(&self.limits, now) }
    }

    /// Nothing that is due waits for a place: a freed one needs no look at the queue. `refusals`: as [`Room`] said
    /// before the claim that found so; when work was refused since, that waits.
    pub fn nobody_waits(&self, refusals: u64) {
        let mut state = self.state();
        if state.refusals == refusals {
            state.waited_for = false;
        }
    }

    /// A claim took less in all than it had room for: new work of the lanes of which it took less than it might has
    /// nothing before it.
    pub fn caught_up(&self, room: &Room, claimed: &[Claimed]) {
        let mut taken: HashMap<Lane, u32> = HashMap::new();
        for work in claimed {
            let count = taken.entry(work.lane).or_default();
            *count = count.saturating_add(1);
        }
        let mut state = self.state();
        let State { behind, gates, .. } = &mut *state;
        behind.retain(|lane| {
            let Some(gate) = gates.get_mut(lane) else { return false };
            gate.behind = taken.get(lane).copied().unwrap_or(0) >= room.of(*lane);
            gate.behind
        });
    }

    /// Takes nothing more.
    pub fn close(&self) {
        self.state().closed = true;
    }
}

impl State {
    fn gate(&mut self, lane: Lane, now: i64) -> &mut Gate {
        if !self.gates.contains_key(&lane) {
            make_room(&mut self.gates, now);
        }
        self.gates.entry(lane).or_default()
    }

    fn admit(&mut self, limits: &Limits, lane: Lane, probe: bool, now: i64) -> Result<Admitted, Refusal> {
        if self.closed || self.in_hand.len() >= limits.concurrency {
            return Err(Refusal::Full);
        }
        let suspect = is_suspect(lane, self.gates.get(&lane));
        if suspect && self.suspects >= limits.suspects() {
            return Err(Refusal::Suspects);
        }
        if is_ask(lane) && self.asks >= limits.asks() {
            return Err(Refusal::Asks);
        }
        let host = self.gates.get(&lane).and_then(|gate| gate.host.clone());
        if self.host_left(limits, host.as_ref()) == 0 {
            self.waits_for(host.as_ref(), lane);
            return Err(Refusal::Host);
        }
        let gate = self.gate(lane, now);
        if !probe && gate.busy >= gate.limit(limits.per_lane) {
            return Err(Refusal::Lane);
        }
        let paced = gate.pace.is_some();
        if gate.pace.as_mut().is_some_and(|pace| !pace.take(now)) {
            return Err(Refusal::Pace);
        }
        if !probe && gate.busy == 0 {
            gate.breaker.is_not_held(now);
        }
        gate.busy = gate.busy.saturating_add(1);
        self.suspects = self.suspects.saturating_add(usize::from(suspect));
        self.asks = self.asks.saturating_add(usize::from(is_ask(lane)));
        self.host_takes(host.as_ref(), lane);
        Ok(Admitted { suspect, paced, host })
    }

    fn learn(&mut self, limits: &Limits, lane: Lane, id: WorkId, own: &Own, now: i64) -> Result<(), Refusal> {
        let Some(work) = self.in_hand.get(&id) else { return Ok(()) };
        let (probe, paced, had_host) = (work.probe, work.paced, work.host.clone());
        let host: Option<Arc<str>> = own.host.as_deref().map(Arc::from);
        let per_lane = limits.per_lane;
        let gate = self.gate(lane, now);
        gate.own = own.max_in_flight.map(|own| own.max(1)).filter(|own| *own != per_lane);
        if gate.pace.as_ref().map(|pace| pace.per_s) != own.rate_per_s.map(|per_s| per_s.max(1)) {
            gate.pace = own.rate_per_s.map(Pace::new);
        }
        gate.host.clone_from(&host);
        if *gate.url != own.url {
            if !gate.url.is_empty() {
                gate.breaker = Breaker::default();
            }
            gate.url = own.url.as_str().into();
        }
        let in_pace = paced || gate.pace.as_mut().is_none_or(|pace| pace.take(now));
        let (in_lane, special) = (gate.busy <= gate.limit(per_lane), gate.is_special());
        self.note_special(lane, special);
        let in_host = had_host == host || self.host_left(limits, host.as_ref()) > 0;
        if had_host != host {
            self.host_gives(had_host.as_ref());
            self.host_takes(host.as_ref(), lane);
        }
        if let Some(work) = self.in_hand.get_mut(&id) {
            work.paced = true;
            work.host = host;
        }
        match (in_lane || probe, in_host, in_pace) {
            (false, ..) => Err(Refusal::Lane),
            (_, false, _) => Err(Refusal::Host),
            (.., false) => Err(Refusal::Pace),
            _ => Ok(()),
        }
    }

    fn note_special(&mut self, lane: Lane, special: bool) {
        if !special {
            self.special.remove(&lane);
        } else if self.special.len() < room::LISTED_MAX {
            self.special.insert(lane);
        }
    }

    fn fall_behind(&mut self, lane: Lane, now: i64) {
        if self.behind.len() < room::LISTED_MAX {
            self.gate(lane, now).behind = true;
            self.behind.insert(lane);
        }
    }
}
