//! Counts round trips to the store: one transaction of SQLite, one call of a script in Redis.

use metrics::{Counter, Histogram};

use super::{Result, StoreError};
use crate::clock::Stopwatch;

/// The metrics of one kind of round trip, registered once: noting one is a few atomic additions.
pub(super) struct Meter {
    ok: Counter,
    refused: Counter,
    failed: Counter,
    seconds: Histogram,
}

impl Meter {
    pub(super) fn new(verb: &'static str) -> Meter {
        // What is registered before there is a recorder is never counted.
        let _ = crate::telemetry::start_metrics();
        let calls = |outcome: &'static str| metrics::counter!("kassir_store_calls_total", "verb" => verb, "outcome" => outcome);
        Meter {
            ok: calls("ok"),
            refused: calls("refused"),
            failed: calls("failed"),
            seconds: metrics::histogram!("kassir_store_call_seconds", "verb" => verb),
        }
    }

    pub(super) fn note<T>(&self, watch: Stopwatch, result: &Result<T>) {
        let outcome = match result {
            Ok(_) => &self.ok,
            Err(StoreError::Conflict(_) | StoreError::NotFound(_) | StoreError::Limit(_)) => &self.refused,
            Err(
                StoreError::Unavailable(_)
                | StoreError::Corrupt(_)
                | StoreError::Unusable(_)
                | StoreError::Taken { .. },
            ) => &self.failed,
        };
        outcome.increment(1);
        self.seconds.record(watch.elapsed());
    }
}

/// The meter of a verb, made when it is first used.
macro_rules! verb {
    ($name:literal) => {{
        static METER: std::sync::LazyLock<$crate::store::measure::Meter> =
            std::sync::LazyLock::new(|| $crate::store::measure::Meter::new($name));
        &*METER
    }};
}

pub(super) use verb;
