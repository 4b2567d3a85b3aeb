//! Round trips to the store, as the router's own metric counts them.

use std::collections::BTreeMap;

use super::as_f64;
use super::figures::RoundTrips;

const METRIC: &str = "kassir_store_calls_total{";
/// Verbs of the way from a notification to the durable step.
const INTAKE: [&str; 7] = ["enter", "look_up", "commit", "config", "config_read", "find_token", "token_get"];
/// Verbs with which a delivery ends; `event`: read again for a delivery of an older one.
const DELIVERY: [&str; 6] = ["settle", "release", "delivery", "event", "record_get", "hold"];
const CLAIM: [&str; 1] = ["claim"];

/// Calls by verb.
pub(super) struct StoreCalls(BTreeMap<String, u64>);

impl StoreCalls {
    /// Reads the Prometheus text format.
    pub(super) fn read(text: &str) -> StoreCalls {
        let mut calls = BTreeMap::new();
        for line in text.lines().filter_map(|line| line.strip_prefix(METRIC)) {
            let verb = line.split_once("verb=\"").and_then(|(_, rest)| rest.split_once('"'));
            let count = line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
            if let (Some((verb, _)), Some(count)) = (verb, count) {
                let sum: &mut u64 = calls.entry(verb.to_owned()).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        StoreCalls(calls)
    }

    /// What there were since `before`, for each of so many notifications and deliveries.
    pub(super) fn since(&self, before: &StoreCalls, count: usize) -> RoundTrips {
        let each = |verbs: &[&str]| {
            let sum = |calls: &StoreCalls| verbs.iter().filter_map(|verb| calls.0.get(*verb)).sum::<u64>();
            let calls = usize::try_from(sum(self).saturating_sub(sum(before))).unwrap_or(usize::MAX);
            as_f64(calls) / as_f64(count.max(1))
        };
        RoundTrips {
            per_notification: each(&INTAKE),
            per_delivery: each(&DELIVERY),
            claims_per_delivery: each(&CLAIM),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_verb_whatever_their_outcome() {
        let before =
            StoreCalls::read("kassir_store_calls_total{verb=\"commit\",outcome=\"ok\"} 5\nother 7\n");
        let after = StoreCalls::read(
            "kassir_store_calls_total{verb=\"commit\",outcome=\"ok\"} 15\n\
             kassir_store_calls_total{verb=\"commit\",outcome=\"refused\"} 2\n\
             kassir_store_calls_total{verb=\"alive\",outcome=\"ok\"} 100\n\
             kassir_store_calls_total{outcome=\"ok\",verb=\"claim\"} 3\n",
        );
        let trips = after.since(&before, 4);
        assert!((trips.per_notification - 3.0).abs() < 1e-9);
        assert!((trips.claims_per_delivery - 0.75).abs() < 1e-9);
        assert!(trips.per_delivery.abs() < 1e-9);
    }
}
