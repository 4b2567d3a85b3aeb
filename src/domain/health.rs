//! How an endpoint does that fails. One that takes its events has no such record.

use serde::{Deserialize, Serialize};

use super::delivery::Attempt;

/// Longest error of an endpoint's health, characters.
const ERROR_MAX: usize = 300;

/// An endpoint that fails: since when, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The first failed attempt after the last success, Unix milliseconds.
    pub failing_since: i64,
    /// The last failed attempt, Unix milliseconds.
    pub last_failure_at: i64,
    /// Status of its answer, if there was one.
    pub last_status: Option<u16>,
    /// What went wrong, for a person.
    pub last_error: String,
    /// How far its owner was told: 0 not at all, then a [`Stage`]'s number.
    pub told: u8,
}

impl Health {
    /// The health of an endpoint whose first failure this is; `None` for an attempt that succeeded.
    #[must_use]
    pub fn after(attempt: &Attempt) -> Option<Health> {
        let error = attempt.error.as_ref()?;
        Some(Health {
            failing_since: attempt.at,
            last_failure_at: attempt.at,
            last_status: attempt.status,
            last_error: error.chars().take(ERROR_MAX).collect(),
            told: 0,
        })
    }

    /// How far it has come towards being turned off, when that happens after `limit` milliseconds of failures; `None`
    /// before the first warning, and where there is no limit. Only failures count, not the time since the last one:
    /// an endpoint that gets nothing does not fail.
    #[must_use]
    pub fn stage(&self, limit: Option<i64>) -> Option<Stage> {
        let limit = limit.filter(|limit| *limit > 0)?;
        let lasted = self.last_failure_at.saturating_sub(self.failing_since);
        let past = |tenths: i64| lasted >= (limit / 10).saturating_mul(tenths);
        match lasted {
            _ if lasted >= limit => Some(Stage::Off),
            _ if past(9) => Some(Stage::Late),
            _ if past(5) => Some(Stage::Early),
            _ => None,
        }
    }
}

/// How far a failing endpoint has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Half of the limit has passed: a warning.
    Early,
    /// Nine tenths have: another.
    Late,
    /// All of it: it is turned off.
    Off,
}

impl Stage {
    /// 1, 2, 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Stage::Early => 1,
            Stage::Late => 2,
            Stage::Off => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lasted(ms: i64) -> Health {
        let attempt = Attempt {
            number: 1,
            at: 1_000,
            duration_ms: 1,
            status: Some(500),
            error: Some("x".repeat(1_000)),
            response_excerpt: None,
            remote_ip: None,
            replay: false,
            excused: false,
            sent_again: false,
        };
        Health { last_failure_at: 1_000 + ms, ..Health::after(&attempt).unwrap() }
    }

    #[test]
    fn stages_by_what_has_passed_of_the_limit() {
        for (ms, stage) in [
            (0, None),
            (499, None),
            (500, Some(Stage::Early)),
            (899, Some(Stage::Early)),
            (900, Some(Stage::Late)),
            (999, Some(Stage::Late)),
            (1_000, Some(Stage::Off)),
            (i64::MAX - 1_000, Some(Stage::Off)),
        ] {
            assert_eq!(lasted(ms).stage(Some(1_000)), stage, "{ms}");
        }
        assert_eq!(lasted(i64::MAX - 1_000).stage(None), None);
        assert_eq!(lasted(5).stage(Some(0)), None);
        assert_eq!(lasted(0).last_error.len(), ERROR_MAX);
    }
}
