//! What happens to an endpoint besides its deliveries, and who is told.

use kassir_providers::digest::Hash;
use serde::{Deserialize, Serialize};

use super::health::Stage;
use super::ids::{EndpointId, JobId};

/// What is the matter with an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It says that it wants no more: 410 Gone, or `webhook-delivery: disable`.
    Gone {
        /// `updated_at` of the endpoint that was called: what a changed one would say is not known.
        endpoint_at: i64,
        /// When it said so, Unix milliseconds.
        at: i64,
        /// Its words.
        how: String,
    },
    /// It has failed for long.
    Failing {
        /// Since when, Unix milliseconds.
        since: i64,
        /// How far it has come.
        stage: Stage,
    },
}

impl Trouble {
    /// The id of the job that sees to it: the same whoever notices, so that it is seen to once.
    #[must_use]
    pub fn job(&self, endpoint: EndpointId) -> JobId {
        match self {
            Trouble::Gone { endpoint_at, .. } => follows(*endpoint_at, &[&endpoint, &"gone", endpoint_at]),
            Trouble::Failing { since, stage } => {
                follows(*since, &[&endpoint, &"failing", since, &stage.number()])
            }
        }
    }
}

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertTo {
    /// Whoever runs this router: `alerts.url` of the configuration.
    Operator,
    /// The merchant: its `alert_url`.
    Merchant,
}

impl AlertTo {
    /// Both.
    pub const ALL: [AlertTo; 2] = [AlertTo::Operator, AlertTo::Merchant];

    /// A word for logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            AlertTo::Operator => "operator",
            AlertTo::Merchant => "merchant",
        }
    }

    /// The id of the job that tells of what another job saw to.
    #[must_use]
    pub fn job(self, of: JobId, at: i64) -> JobId {
        follows(at, &[&of, &self.word()])
    }
}

/// What is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AlertKind {
    /// A warning: it will be turned off.
    #[serde(rename = "endpoint.failing")]
    EndpointFailing,
    /// It is off.
    #[serde(rename = "endpoint.disabled")]
    EndpointDisabled,
}

impl AlertKind {
    /// Its `type`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            AlertKind::EndpointFailing => "endpoint.failing",
            AlertKind::EndpointDisabled => "endpoint.disabled",
        }
    }
}

/// A notice to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Of what.
    pub kind: AlertKind,
    /// To whom.
    pub to: AlertTo,
    /// Which endpoint.
    pub endpoint: EndpointId,
    /// Scheme and host of its URL; what follows may hold a secret.
    pub host: String,
    /// When that was, Unix milliseconds.
    pub at: i64,
    /// What happened, for a person.
    pub reason: String,
    /// Since when it fails, Unix milliseconds, if it fails.
    pub failing_since: Option<i64>,
    /// When it is turned off if it goes on failing, Unix milliseconds.
    pub disables_at: Option<i64>,
    /// Its last error.
    pub last_error: Option<String>,
}

/// An id that follows from what it is about: from a time, Unix milliseconds, and a digest of words.
fn follows(at: i64, of: &[&dyn std::fmt::Display]) -> JobId {
    let words: Vec<String> = of.iter().map(ToString::to_string).collect();
    let digest = Hash::Sha256.digest(words.join(" ").as_bytes());
    let mut random = [0; 10];
    for (slot, byte) in random.iter_mut().zip(digest) {
        *slot = byte;
    }
    let ms = u64::try_from(at).unwrap_or(0);
    JobId(uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn one_job_for_one_trouble() {
        let endpoint = EndpointId(Uuid::from_u128(1));
        let gone = |endpoint_at, at| Trouble::Gone { endpoint_at, at, how: at.to_string() };
        let failing = |since, stage| Trouble::Failing { since, stage };
        assert_eq!(gone(1, 5).job(endpoint), gone(1, 60_005).job(endpoint));
        let all = [
            gone(1, 5).job(endpoint),
            gone(2, 5).job(endpoint),
            failing(1, Stage::Early).job(endpoint),
            failing(1, Stage::Late).job(endpoint),
            failing(2, Stage::Early).job(endpoint),
            failing(2, Stage::Early).job(EndpointId(Uuid::from_u128(2))),
        ];
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        let told: Vec<_> = AlertTo::ALL.into_iter().map(|to| to.job(all[0], 5)).collect();
        assert_ne!(told[0], told[1]);
    }
}
