//! Trouble with the store: pauses that grow, and a log that stays short.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

/// First pause after an error.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause: work goes on soon after an outage ends.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// At most one line in this time, milliseconds.
const LINE_EVERY_MS: i64 = 1_000;

/// The pause after so many errors in a row (1, 2, …): doubled each time, spread over its upper half so that routers
/// do not come back all at once.
pub(super) fn pause(errors: u32) -> Duration {
    let whole = PAUSE_MIN.saturating_mul(1_u32 << errors.saturating_sub(1).min(10)).min(PAUSE_MAX);
    let mut byte = [0_u8; 1];
    // Without random bytes all pauses are of the same length.
    let _ = SystemRandom::new().fill(&mut byte);
    let [byte] = byte;
    whole / 2 + whole / 2 * u32::from(byte) / 255
}

/// Lets one line in a second through and counts the others.
#[derive(Debug)]
pub(super) struct LogGate {
    last: AtomicI64,
    left_out: AtomicU64,
}

impl LogGate {
    pub fn new() -> LogGate {
        LogGate { last: AtomicI64::new(i64::MIN), left_out: AtomicU64::new(0) }
    }

    /// Whether a line may be written at `now` (milliseconds), and how many were left out before it.
    pub fn open(&self, now: i64) -> Option<u64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_short() {
        for errors in 0..2_000 {
            let pause = pause(errors);
            assert!(pause >= PAUSE_MIN / 2 && pause <= PAUSE_MAX, "{errors} {pause:?}");
        }
        assert!(pause(30) >= PAUSE_MAX / 2);
    }

    #[test]
    fn a_line_a_second() {
        let gate = LogGate::new();
        assert_eq!(gate.open(0), Some(0));
        assert_eq!((gate.open(1), gate.open(999)), (None, None));
        assert_eq!(gate.open(1_000), Some(2));
        assert_eq!(gate.open(-5_000), Some(0), "a clock that was set back");
    }
}
