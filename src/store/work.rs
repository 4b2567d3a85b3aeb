//! What a worker and the store say to each other: claims, what became of them, and what is held against a lane.

use std::collections::HashMap;

use super::{Fence, Tally};
use crate::domain::delivery::{Attempt, Delivery};
use crate::domain::event::Event;
use crate::domain::health::Health;
use crate::domain::ids::{EndpointId, MerchantId};
use crate::domain::job::{Job, Lane};

/// A request for due work.
#[derive(Debug, Clone)]
pub struct ClaimAsk {
    /// Who takes it: this process.
    pub owner: String,
    /// How long, milliseconds.
    pub lease_ms: u64,
    /// How many at the most.
    pub max: usize,
    /// How many of one lane at the most, where `room` says nothing. 0: of no other lanes than those of `room`, which
    /// are then looked up one by one.
    pub per_lane: u32,
    /// How many of these lanes at the most (0: none).
    pub room: HashMap<Lane, u32>,
    /// Of how many lanes whose hold ran out one entry each may be taken, beside `max`.
    pub probes: usize,
}

/// What is to become of the hold on a lane. None of a held lane's waiting work is claimed before the hold runs out,
/// and then one entry at a time, which holds the lane for as long as its lease lasts, until the hold is lifted.
/// Durable, and the same for all routers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Held (or held longer, or shorter) until then.
    Until {
        /// Unix milliseconds of the store's clock.
        until: i64,
        /// A number that whoever takes the lane's next entry gets to see: how often in a row it was held.
        step: u32,
    },
    /// Not held.
    Lift,
}

/// Entries of a held lane that are counted at the most.
pub const HELD_COUNTED_MAX: u64 = 10_000;

/// A lane that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Until when, Unix milliseconds of the store's clock.
    pub until: i64,
    /// How often in a row it was held, as whoever held it last said.
    pub step: u32,
    /// Since when it is held without a break, Unix milliseconds.
    pub since: i64,
    /// Until when the lease of the last entry that was tried lasts, or lasted, Unix milliseconds.
    pub tried_until: Option<i64>,
    /// Entries that wait; at most [`HELD_COUNTED_MAX`] are counted.
    pub waiting: u64,
}

impl Held {
    /// Whether one entry is being tried now: then it is held for as long as that one's lease lasts.
    #[must_use]
    pub fn is_tried(&self, now: i64) -> bool {
        self.tried_until == Some(self.until) && now < self.until
    }
}

/// What the claimed work needs.
#[derive(Debug, Clone)]
pub enum Material {
    /// A delivery and its event.
    Delivery {
        /// The delivery.
        delivery: Box<Delivery>,
        /// The event.
        event: Box<Event>,
    },
    /// Another job.
    Job(Box<Job>),
}

/// Work that is leased to us.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The lease.
    pub fence: Fence,
    /// Its lane.
    pub lane: Lane,
    /// When it was due, Unix milliseconds.
    pub due: i64,
    /// When the lease ends, Unix milliseconds of the store's clock.
    pub lease_until: i64,
    /// The step of the hold on its lane, if that is held: then this is the one entry that may be tried.
    pub probe: Option<u32>,
    /// What it is.
    pub material: Material,
}

/// What a claim gave.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// The work, the longest due first within each lane, lanes taking turns.
    pub work: Vec<Claimed>,
    /// The store's clock, Unix milliseconds.
    pub now: i64,
    /// When the next work that was not taken is due, if there is any: also in the past, when lanes had no room. Work
    /// that is leased does not count; that of a held lane is due when the hold runs out.
    pub next_due: Option<i64>,
}

/// Milliseconds after which an owner of leases that said it lives, and then nothing more, is taken for gone.
pub const OWNER_SILENT_MS: i64 = 8_000;
/// Milliseconds between two words of an owner after which it starts anew: it may judge others only when it has spoken
/// without such a gap for as long as they were silent.
pub const OWNER_GAP_MS: i64 = 4_000;
/// Age at which a lease that its owner does not know of is ended, milliseconds.
pub const LEASE_UNKNOWN_MS: i64 = 10_000;

/// The word of an owner of leases that it lives.
#[derive(Debug, Clone)]
pub struct Alive {
    /// The owner: this process.
    pub owner: String,
    /// How long its leases are, milliseconds.
    pub lease_ms: u64,
    /// What it has in hand.
    pub held: Vec<(MerchantId, Fence)>,
    /// When `held` was written down, by the store's clock; `None` when that is not known, then no lease is missed.
    pub as_of: Option<i64>,
}

/// The end of a lease, with what came of it.
#[derive(Debug, Clone)]
pub struct Settle {
    /// The lease.
    pub fence: Fence,
    /// Whose work.
    pub merchant: MerchantId,
    /// What came of it.
    pub end: SettleEnd,
    /// What becomes of the hold on its lane; `None` leaves that as it is.
    pub hold: Option<Holding>,
    /// Counters.
    pub tallies: Vec<Tally>,
}

/// What came of leased work.
#[derive(Debug, Clone)]
pub enum SettleEnd {
    /// A delivery: the changed record (with the version it was loaded with; [`Conflict::Delivery`] when a person
    /// changed it meanwhile: load it and settle again), and the attempt. It is queued again at `next_attempt_at`,
    /// or leaves the queue when that is `None`. A failed attempt is noted as the health of its endpoint, if that is
    /// still set up, a successful one ends its failing; an excused one says nothing of it.
    Delivery {
        /// The record.
        delivery: Box<Delivery>,
        /// The attempt, if one was made.
        attempt: Option<Attempt>,
    },
    /// A job: queued again after so many milliseconds, or done.
    Job {
        /// The record.
        job: Box<Job>,
        /// Milliseconds from now.
        again_in: Option<u64>,
    },
}

/// An endpoint that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// Whose.
    pub merchant: MerchantId,
    /// Which.
    pub endpoint: EndpointId,
    /// How it does.
    pub health: Health,
}

/// A change of what is known of a failing endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthChange {
    /// Its owner was told so far ([`Health::told`]); nothing when it does not fail since then any more, or its owner
    /// was told more.
    Told {
        /// [`Health::failing_since`].
        since: i64,
        /// The number of the stage.
        stage: u8,
    },
    /// Nothing is held against it any more.
    Forget,
}
