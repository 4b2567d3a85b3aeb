//! The durable queue's entries: everything that must happen later.

use kassir_providers::{Fact, State};
use serde::{Deserialize, Serialize};

use super::alert::{Alert, Trouble};
use super::event::Proven;
use super::ids::{DeliveryId, EndpointId, IntegrationId, JobId, MerchantId, NotificationId, ReplayId};
use super::payment::Payment;

/// Work that waits its turn together: one endpoint's deliveries, one integration's calls to its provider. A router
/// has a limited number of each lane's work in hand, so that one that hangs does not hold up the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Deliveries to an endpoint.
    Endpoint(EndpointId),
    /// Calls to a provider's API for an integration.
    Integration(IntegrationId),
    /// A merchant's bulk replays and other chores.
    Merchant(MerchantId),
}

impl std::fmt::Display for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lane::Endpoint(id) => id.fmt(f),
            Lane::Integration(id) => id.fmt(f),
            Lane::Merchant(id) => id.fmt(f),
        }
    }
}

impl std::str::FromStr for Lane {
    type Err = super::ids::IdError;

    fn from_str(text: &str) -> Result<Lane, Self::Err> {
        if text.starts_with(EndpointId::PREFIX) {
            text.parse().map(Lane::Endpoint)
        } else if text.starts_with(IntegrationId::PREFIX) {
            text.parse().map(Lane::Integration)
        } else {
            text.parse().map(Lane::Merchant)
        }
    }
}

impl Serialize for Lane {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lane {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Ask the provider's API about a notification that proves nothing, or whose payment is not known yet, and apply
    /// what it says.
    Confirm {
        /// The notification.
        notification: NotificationId,
        /// What it says.
        facts: Vec<Fact>,
        /// How it was proved, when it is believed and only waits for its payment to be known; `None` when it is not
        /// believed yet.
        proven: Option<Proven>,
        /// Its body as JSON, the payload of the event that comes of it; `null` when it proves nothing.
        payload: String,
    },
    /// Ask the provider's API for the state of a payment whose notification never came.
    Poll {
        /// The payment's number.
        payment: u32,
    },
    /// Ask the provider's API what became of a refund that is under way.
    Refund {
        /// The payment's number.
        payment: u32,
        /// The provider's id of the refund.
        refund: String,
    },
    /// Ask the provider's API what became of an operation: made before the operation is asked for, called off when its
    /// end is written down.
    Outcome {
        /// The payment's number.
        payment: u32,
        /// Which operation.
        of: Operation,
    },
    /// Go on with a bulk replay.
    Replay {
        /// The replay.
        replay: ReplayId,
    },
    /// See to an endpoint that wants no more, or that has failed for long.
    Endpoint {
        /// Which.
        endpoint: EndpointId,
        /// What is the matter.
        trouble: Trouble,
    },
    /// Tell somebody of what happened to an endpoint.
    Alert(Box<Alert>),
}

impl Task {
    /// The payment that it is about, if it is about one that is known.
    #[must_use]
    pub const fn payment(&self) -> Option<u32> {
        match self {
            Task::Poll { payment } | Task::Refund { payment, .. } | Task::Outcome { payment, .. } => {
                Some(*payment)
            }
            Task::Confirm { .. } | Task::Replay { .. } | Task::Endpoint { .. } | Task::Alert(_) => None,
        }
    }
}

/// An operation on a payment that its provider was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A capture.
    Capture,
    /// A cancellation.
    Cancel,
    /// A refund.
    Refund {
        /// How many refunds were known before it.
        known: usize,
        /// How much goes back, minor units.
        #[serde(default)]
        amount: Option<i64>,
    },
}

impl Operation {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Operation::Capture => "capture",
            Operation::Cancel => "cancel",
            Operation::Refund { .. } => "refund",
        }
    }

    /// Whether the payment shows what came of it. A refund that became known since may be another one's, and a provider
    /// that tells sums may tell of two as of one; so one is taken for this one by its amount.
    #[must_use]
    pub fn is_known(self, payment: &Payment) -> bool {
        match self {
            Operation::Capture | Operation::Cancel => {
                matches!(payment.state, State::Succeeded | State::Canceled)
            }
            Operation::Refund { known, amount } => {
                let mut since = payment.refunds.iter().skip(known);
                since.any(|refund| amount.is_none_or(|amount| amount == refund.amount))
            }
        }
    }
}

/// A job that is no delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Id.
    pub id: JobId,
    /// Whose.
    pub merchant: MerchantId,
    /// Its lane.
    pub lane: Lane,
    /// What to do.
    pub task: Task,
    /// Times it was tried so far.
    pub attempts: u32,
    /// When it was made, Unix milliseconds.
    pub created_at: i64,
}

impl Job {
    /// The job that sees to what is the matter with an endpoint.
    #[must_use]
    pub fn about(merchant: MerchantId, endpoint: EndpointId, trouble: Trouble, now: i64) -> Job {
        Job {
            id: trouble.job(endpoint),
            merchant,
            lane: Lane::Merchant(merchant),
            task: Task::Endpoint { endpoint, trouble },
            attempts: 0,
            created_at: now,
        }
    }
}

/// What a queue entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkId {
    /// A delivery.
    Delivery(DeliveryId),
    /// Another job.
    Job(JobId),
}

impl std::fmt::Display for WorkId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WorkId::Delivery(id) => id.fmt(f),
            WorkId::Job(id) => id.fmt(f),
        }
    }
}

impl std::str::FromStr for WorkId {
    type Err = super::ids::IdError;

    fn from_str(text: &str) -> Result<WorkId, Self::Err> {
        if text.starts_with(DeliveryId::PREFIX) {
            text.parse().map(WorkId::Delivery)
        } else {
            text.parse().map(WorkId::Job)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_of_earlier_versions_are_read() {
        let read: Operation = serde_json::from_str(r#"{"refund":{"known":1}}"#).unwrap();
        assert_eq!(read, Operation::Refund { known: 1, amount: None });
    }
}
