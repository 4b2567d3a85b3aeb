//! Whether the store's clock goes on as time does. One that jumps ahead (set wrong by hand, a server that took over with a
//! clock of its own) makes years of records old at once; set right again, they would be gone.

use crate::clock::Stopwatch;

/// How far the store's clock may jump ahead, milliseconds: time zones and the first setting of a clock are no more.
const JUMP_MAX_MS: i64 = 24 * 60 * 60 * 1000;
/// After how long a clock that stays ahead is believed, milliseconds: somebody has seen it by then.
const BELIEVED_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

/// Watches the store's clock, for as long as this process lives.
pub(super) struct Steady {
    since: Stopwatch,
    /// By how much the clock was ahead of the stopwatch when it was last believed.
    ahead: Option<i64>,
    /// When it jumped, by the stopwatch.
    jumped_at: Option<i64>,
}

impl Steady {
    /// Begins with whatever the clock says.
    pub(super) fn start() -> Steady {
        Steady { since: Stopwatch::start(), ahead: None, jumped_at: None }
    }

    /// Whether what is old at this time of the store's clock may go.
    pub(super) fn may_sweep(&mut self, now: i64) -> bool {
        let passed = i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.is_believed(now, passed)
    }

    fn is_believed(&mut self, now: i64, passed: i64) -> bool {
        let ahead = now.saturating_sub(passed);
        let jump_ms = ahead.saturating_sub(*self.ahead.get_or_insert(ahead));
        let jumped_at = *self.jumped_at.get_or_insert(passed);
        if jump_ms > JUMP_MAX_MS && passed.saturating_sub(jumped_at) < BELIEVED_AFTER_MS {
            tracing::error!(
                jump_ms,
                "the store's clock jumped ahead: nothing old is removed until it is right, or for a day"
            );
            return false;
        }
        (self.ahead, self.jumped_at) = (Some(ahead), None);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * 60 * 1000;
    const YEAR: i64 = 365 * 24 * HOUR;

    #[test]
    fn a_clock_that_jumped_is_believed_when_it_is_right_again_or_after_a_day() {
        let mut steady = Steady::start();
        let mut at = |now, passed| steady.is_believed(now, passed);
        assert!(at(YEAR, 0) && at(YEAR + HOUR, HOUR));
        assert!(at(YEAR + 3 * HOUR, 2 * HOUR), "an hour ahead is no jump");
        assert!(!at(2 * YEAR, 3 * HOUR) && !at(2 * YEAR + HOUR, 4 * HOUR));
        assert!(at(YEAR + 5 * HOUR, 5 * HOUR), "it was set right");
        assert!(!at(2 * YEAR, 6 * HOUR) && !at(2 * YEAR + 23 * HOUR, 29 * HOUR));
        assert!(at(2 * YEAR + 24 * HOUR, 30 * HOUR), "it stays so");
        assert!(at(2 * YEAR + 25 * HOUR, 31 * HOUR));
        assert!(at(YEAR, 32 * HOUR), "what is set back removes less");
        assert!(at(YEAR + HOUR, 33 * HOUR));
    }
}
