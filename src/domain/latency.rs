//! Latencies as counters: how many fell under each of a few bounds, from which percentiles follow, near enough.

use std::collections::BTreeMap;

/// The bounds, milliseconds. What takes longer counts under the last one.
const BOUNDS_MS: [u32; 26] = [
    1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000, 2_000, 3_000, 5_000, 10_000,
    30_000, 300_000, 3_600_000, 86_400_000,
];
/// What the word of a counter starts with.
const PREFIX: &str = "le_";

/// The word of the counter that a latency moves: `le_150` for up to 150 ms.
#[must_use]
pub fn word(ms: i64) -> String {
    let under = BOUNDS_MS.iter().find(|bound| ms <= i64::from(**bound));
    let bound = under.or(BOUNDS_MS.last()).copied().unwrap_or(0);
    format!("{PREFIX}{bound}")
}

/// The bound of a counter's word, if it is one of these.
#[must_use]
pub fn bound(word: &str) -> Option<u32> {
    word.strip_prefix(PREFIX)?.parse().ok().filter(|bound| BOUNDS_MS.contains(bound))
}

/// Counts by bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<u32, u64>);

impl Histogram {
    /// Adds counts under a bound.
    pub fn add(&mut self, bound: u32, count: i64) {
        let counted = self.0.entry(bound).or_default();
        *counted = counted.saturating_add(u64::try_from(count).unwrap_or(0));
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The bound under which so many of a hundred are.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> u32 {
        let wanted = self.count().saturating_mul(percent).div_ceil(100);
        let mut sum = 0_u64;
        let mut reaches = |count: &u64| {
            sum = sum.saturating_add(*count);
            sum >= wanted
        };
        self.0.iter().find(|(_, count)| reaches(count)).map_or(0, |(bound, _)| *bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_finds_its_bound_and_percentiles_follow() {
        for (ms, expected) in
            [(-5, "le_1"), (1, "le_1"), (2, "le_2"), (101, "le_150"), (i64::MAX, "le_86400000")]
        {
            assert_eq!(word(ms), expected);
            assert!(bound(&word(ms)).is_some());
        }
        assert_eq!((bound("ms"), bound("le_4"), bound("le_x")), (None, None, None));
        let mut histogram = Histogram::default();
        assert_eq!((histogram.count(), histogram.percentile(99)), (0, 0));
        for ms in 1..=100_i64 {
            histogram.add(bound(&word(ms)).unwrap(), 1);
        }
        assert_eq!(histogram.count(), 100);
        assert_eq!([50, 95, 99, 100].map(|percent| histogram.percentile(percent)), [50, 100, 100, 100]);
    }
}
