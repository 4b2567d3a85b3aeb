//! Bulk replays: which deliveries, how fast, and how far it came.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::delivery::DeliveryStatus;
use super::event::EventState;
use super::ids::{DeliveryId, EndpointId, IntegrationId, MerchantId, ReplayId};

/// Which deliveries a bulk replay takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplayFilter {
    /// With this status.
    pub status: Option<DeliveryStatus>,
    /// To this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Of events in these states; empty means all.
    pub states: Vec<EventState>,
    /// Of these providers; empty means all.
    pub providers: Vec<String>,
    /// Of events of these integrations; empty means all.
    pub integrations: Vec<IntegrationId>,
    /// Of these payments; empty means all.
    pub payments: Vec<u32>,
    /// Only those without any attempt so far.
    pub never_attempted: bool,
    /// Instead of deliveries: events that the endpoint wants and of which it has no delivery.
    pub missing: bool,
    /// Text, as in a list of deliveries.
    pub q: Option<String>,
    /// Made at or after, Unix milliseconds.
    pub from: Option<i64>,
    /// Made before, Unix milliseconds.
    pub to: Option<i64>,
}

/// Where a bulk replay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayStatus {
    /// Only counted.
    Preview,
    /// Under way.
    Running,
    /// All sent for.
    Done,
    /// A person stopped it.
    Canceled,
}

/// Why something that matched was not sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyNot {
    /// Its endpoint is off.
    EndpointOff,
    /// Its endpoint was deleted.
    EndpointDeleted,
    /// It went with the retention, or its event did.
    Gone,
    /// Others changed it again and again.
    TooBusy,
    /// It matched when it was counted, and no longer when its turn came.
    ChangedMeanwhile,
    /// The other endpoint gets its event with another delivery of this replay.
    SentOnce,
}

impl WhyNot {
    /// The word of the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            WhyNot::EndpointOff => "endpoint_off",
            WhyNot::EndpointDeleted => "endpoint_deleted",
            WhyNot::Gone => "gone",
            WhyNot::TooBusy => "too_busy",
            WhyNot::ChangedMeanwhile => "changed_meanwhile",
            WhyNot::SentOnce => "sent_once",
        }
    }

    /// Whether there was nothing to do any more; else it could not be done.
    #[must_use]
    pub const fn is_skip(self) -> bool {
        matches!(self, WhyNot::ChangedMeanwhile | WhyNot::SentOnce)
    }
}

/// A bulk replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Id.
    pub id: ReplayId,
    /// Grows with each change; 0 before it is stored.
    pub version: u64,
    /// Whose.
    pub merchant: MerchantId,
    /// Which deliveries.
    pub filter: ReplayFilter,
    /// To another endpoint than the original one.
    pub to_endpoint: Option<EndpointId>,
    /// SHA-256, hex, of filter and endpoint as they were asked for: the same for a second person who asks the same.
    #[serde(default)]
    pub asked: String,
    /// Most deliveries sent for per second.
    #[serde(default = "slow")]
    pub per_s: u32,
    /// Where it stands.
    pub status: ReplayStatus,
    /// Deliveries that match, as far as it is known.
    pub matched: u64,
    /// Whether all that match were counted, or only so many that counting stopped.
    #[serde(default)]
    pub counted_all: bool,
    /// Of those that match, how many have each status.
    #[serde(default)]
    pub by_status: BTreeMap<String, u64>,
    /// Deliveries sent for again.
    pub sent: u64,
    /// What was not sent for, by the reason.
    #[serde(default)]
    pub not_sent: BTreeMap<WhyNot, u64>,
    /// Where the next step goes on; `None` before the first.
    pub cursor: Option<String>,
    /// Nothing comes after what is being taken.
    #[serde(default)]
    pub at_end: bool,
    /// Ids of what the step under way takes (deliveries, or events): written down before, so that a step which is
    /// done again after a crash counts the same ones.
    #[serde(default)]
    pub taking: Vec<String>,
    /// What the last step sent for: the next one waits while most of these still wait for their attempt, so that
    /// there is never a long row of replays in front of new events.
    #[serde(default)]
    pub waiting: Vec<DeliveryId>,
    /// Who asked.
    pub actor: String,
    /// Why, in their words.
    pub reason: Option<String>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
}

impl Replay {
    /// How many could not be sent for.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.counted(|why| !why.is_skip())
    }

    /// How many did not need to be sent for any more.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.counted(WhyNot::is_skip)
    }

    fn counted(&self, which: impl Fn(WhyNot) -> bool) -> u64 {
        self.not_sent.iter().filter(|(why, _)| which(**why)).fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }

    /// How many are dealt with.
    #[must_use]
    pub fn dealt_with(&self) -> u64 {
        self.sent.saturating_add(self.failed()).saturating_add(self.skipped())
    }

    /// Notes what was not sent for.
    pub fn leave_out(&mut self, why: WhyNot, count: u64) {
        let counted = self.not_sent.entry(why).or_default();
        *counted = counted.saturating_add(count);
    }

    /// Ends it: what was counted and never came up no longer matched.
    pub fn end(&mut self) {
        self.status = ReplayStatus::Done;
        let missed = self.matched.saturating_sub(self.dealt_with());
        if self.counted_all && missed > 0 {
            self.leave_out(WhyNot::ChangedMeanwhile, missed);
        }
        self.matched = self.dealt_with();
        self.counted_all = true;
    }
}

/// A replay that was written before replays had a rate goes on slowly.
const fn slow() -> u32 {
    10
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn replay() -> Replay {
        Replay {
            id: ReplayId(Uuid::nil()),
            version: 0,
            merchant: MerchantId(Uuid::nil()),
            filter: ReplayFilter::default(),
            to_endpoint: None,
            asked: String::new(),
            per_s: 1,
            status: ReplayStatus::Running,
            matched: 10,
            counted_all: true,
            by_status: BTreeMap::new(),
            sent: 6,
            not_sent: BTreeMap::from([(WhyNot::EndpointOff, 1)]),
            cursor: None,
            at_end: false,
            taking: Vec::new(),
            waiting: Vec::new(),
            actor: String::new(),
            reason: None,
            created_at: 0,
            updated_at: 0,
        }
    }

    #[test]
    fn the_sum_is_always_what_matched() {
        let mut counted = replay();
        counted.end();
        assert_eq!((counted.sent, counted.failed(), counted.skipped(), counted.matched), (6, 1, 3, 10));
        let mut more_came_up = Replay { sent: 20, ..replay() };
        more_came_up.end();
        assert_eq!((more_came_up.matched, more_came_up.skipped()), (21, 0));
        let mut uncounted = Replay { counted_all: false, ..replay() };
        uncounted.end();
        assert_eq!((uncounted.matched, uncounted.skipped()), (7, 0));
    }
}
