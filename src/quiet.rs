//! A log that stays short while something fails again and again.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::clock::Stopwatch;

/// At most one line in this time, milliseconds.
const LINE_EVERY_MS: i64 = 1_000;

/// Lets one line in a second through and counts the others.
#[derive(Debug)]
pub struct LogGate {
    last: AtomicI64,
    left_out: AtomicU64,
}

impl LogGate {
    /// A gate that has let nothing through yet.
    #[must_use]
    pub const fn new() -> LogGate {
        LogGate { last: AtomicI64::new(i64::MIN), left_out: AtomicU64::new(0) }
    }

    /// Whether a line may be written now, and how many were left out before it.
    #[must_use]
    pub fn open(&self) -> Option<u64> {
        static START: LazyLock<Stopwatch> = LazyLock::new(Stopwatch::start);
        self.open_at(i64::try_from(START.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    fn open_at(&self, now: i64) -> Option<u64> {
        let last = self.last.load(Ordering::Relaxed);
        let quiet = last == i64::MIN || now < last || now.saturating_sub(last) >= LINE_EVERY_MS;
        if quiet && self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            Some(self.left_out.swap(0, Ordering::Relaxed))
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

impl Default for LogGate {
    fn default() -> LogGate {
        LogGate::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_second() {
        let gate = LogGate::new();
        assert_eq!(gate.open_at(0), Some(0));
        assert_eq!((gate.open_at(1), gate.open_at(999)), (None, None));
        assert_eq!(gate.open_at(1_000), Some(2));
        assert_eq!(gate.open_at(-5_000), Some(0), "a clock that was set back");
    }
}
