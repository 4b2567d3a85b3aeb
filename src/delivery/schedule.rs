//! When the next attempt is due: growing intervals for a day, then a last attempt shortly before its end.
//!
//! Pure arithmetic from the stored number of attempts, so that a restart, another router or a changed configuration
//! goes on where the delivery stands. Only this file names `backoff`.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use sha2::{Digest as _, Sha256};

use crate::domain::ids::DeliveryId;

/// The last attempt falls this long before the end of the round, at the most.
pub const LAST_MARGIN_MAX: Duration = Duration::from_secs(60);
/// …and at the most this part of the round's age (so that short rounds have one too).
const LAST_MARGIN_PART: i64 = 100;
/// An attempt that failed by nobody's fault at the other side is made again after this part of the round's age…
const EXCUSED_PART: i64 = 4;
/// …but at the latest after this, so that work goes on soon after the trouble ends.
const EXCUSED_MAX: Duration = Duration::from_secs(5 * 60);
/// Intervals grow no further after so many attempts.
const STEPS_MAX: u32 = 1_000;

/// The growing intervals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Interval after the first attempt.
    pub first: Duration,
    /// By how much each interval grows; at least 1.
    pub multiplier: f64,
    /// Longest interval.
    pub max_interval: Duration,
    /// Part of the interval by which it may be shorter or longer, 0 to 0.9.
    pub jitter: f64,
    /// How long after its start a round ends.
    pub max_age: Duration,
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule {
            first: Duration::from_secs(5),
            multiplier: 2.5,
            max_interval: Duration::from_secs(4 * 60 * 60),
            jitter: 0.2,
            max_age: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Where a round stands after a failed attempt.
#[derive(Debug, Clone, Copy)]
pub struct Stand {
    /// Attempts of the round so far, the failed one included.
    pub attempts: u32,
    /// When the round began, Unix milliseconds.
    pub started_at: i64,
    /// Now, Unix milliseconds.
    pub now: i64,
    /// Where in the jitter's range this one lies, 0 to 1: [`seed`].
    pub seed: f64,
    /// Not before this time, Unix milliseconds: the receiver asked for it (`Retry-After`).
    pub not_before: Option<i64>,
}

impl Schedule {
    /// When the next attempt is due, Unix milliseconds; `None` when the round is over. Never before now, never beyond
    /// the end of the round. A receiver's wish is kept unless it lies beyond the end: then the last attempt is made
    /// shortly before that.
    #[must_use]
    pub fn next(&self, stand: &Stand) -> Option<i64> {
        let last = self.last_slot(stand.started_at);
        if stand.now >= last {
            return None;
        }
        let due = stand.now.saturating_add(self.jittered(stand)).max(stand.not_before.unwrap_or(i64::MIN));
        // An attempt in the last margin before the last one would be of no use.
        Some(if due > last.saturating_sub(self.margin()) { last } else { due.max(stand.now) })
    }

    /// When an attempt is made again that failed, but not by the fault of the other side; as [`Schedule::next`]. It
    /// takes nothing of the growing intervals: the pause depends on the round's age alone.
    #[must_use]
    pub fn next_excused(&self, started_at: i64, now: i64) -> Option<i64> {
        let last = self.last_slot(started_at);
        if now >= last {
            return None;
        }
        let age = now.saturating_sub(started_at).max(0);
        let shortest = millis(self.first.min(EXCUSED_MAX)).max(1);
        let due = now.saturating_add((age / EXCUSED_PART).clamp(shortest, millis(EXCUSED_MAX)));
        Some(if due > last.saturating_sub(self.margin()) { last } else { due })
    }

    /// When a round's last attempt is due at the latest, Unix milliseconds.
    #[must_use]
    pub fn last_slot(&self, started_at: i64) -> i64 {
        started_at.saturating_add(millis(self.max_age)).saturating_sub(self.margin())
    }

    /// When the attempts of a round fall, milliseconds after its start, if all of them fail at once and without
    /// jitter; at most `max` of them.
    #[must_use]
    pub fn preview(&self, max: usize) -> Vec<i64> {
        let mut times = vec![0];
        while let (Some(now), true) = (times.last().copied(), times.len() < max) {
            let attempts = u32::try_from(times.len()).unwrap_or(u32::MAX);
            match self.next(&Stand { attempts, started_at: 0, now, seed: 0.5, not_before: None }) {
                Some(due) => times.push(due),
                None => break,
            }
        }
        times
    }

    /// The interval after so many attempts, without jitter.
    #[must_use]
    pub fn interval(&self, attempts: u32) -> Duration {
        let mut growing = ExponentialBackoff {
            current_interval: self.first.min(self.max_interval),
            initial_interval: self.first.min(self.max_interval),
            randomization_factor: 0.0,
            multiplier: self.multiplier.max(1.0),
            max_interval: self.max_interval,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        for _ in 1..attempts.min(STEPS_MAX) {
            if growing.current_interval >= self.max_interval {
                break;
            }
            // Gives the interval and grows it.
            let _ = growing.next_backoff();
        }
        growing.current_interval
    }

    fn jittered(&self, stand: &Stand) -> i64 {
        let part = 1.0 + inside(self.jitter, 0.9) * (inside(stand.seed, 1.0) * 2.0 - 1.0);
        millis(self.interval(stand.attempts).mul_f64(part)).max(1)
    }

    fn margin(&self) -> i64 {
        (millis(self.max_age) / LAST_MARGIN_PART).min(millis(LAST_MARGIN_MAX))
    }
}

/// Where in the jitter's range an attempt of a delivery lies, 0 to 1: spread evenly over deliveries, the same each
/// time it is computed.
#[must_use]
pub fn seed(delivery: DeliveryId, attempts: u32) -> f64 {
    let digest =
        Sha256::new().chain_update(delivery.0.as_bytes()).chain_update(attempts.to_be_bytes()).finalize();
    let head = digest.iter().take(4).fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
    f64::from(head) / f64::from(u32::MAX)
}

/// From 0 to `max`, also where it is no number.
fn inside(value: f64, max: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, max) }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn clock_times(times: &[i64]) -> String {
        times
            .iter()
            .map(|ms| {
                let s = ms / 1000;
                format!("{:02}:{:02}:{:02}.{:03}\n", s / 3600, s / 60 % 60, s % 60, ms % 1000)
            })
            .collect()
    }

    #[test]
    fn a_whole_day() {
        expect![[r#"
            00:00:00.000
            00:00:05.000
            00:00:17.500
            00:00:48.750
            00:02:06.875
            00:05:22.187
            00:13:30.468
            00:33:51.171
            01:24:42.928
            03:31:52.322
            07:31:52.322
            11:31:52.322
            15:31:52.322
            19:31:52.322
            23:31:52.322
            23:59:00.000
        "#]]
        .assert_eq(&clock_times(&Schedule::default().preview(100)));
    }

    #[test]
    fn a_wish_is_kept_inside_the_round() {
        let schedule = Schedule::default();
        let day = 24 * 60 * 60 * 1000;
        let at = |now, not_before| {
            schedule.next(&Stand { attempts: 1, started_at: 0, now, seed: 0.5, not_before: Some(not_before) })
        };
        assert_eq!(at(0, 3_600_000), Some(3_600_000), "later than the schedule");
        assert_eq!(at(0, -5), Some(5_000), "in the past");
        assert_eq!(at(0, i64::MAX), Some(day - 60_000), "beyond the end: one last attempt before it");
        assert_eq!(at(day - 60_000, day), None, "that was the last one");
    }

    #[test]
    fn seeds_differ_and_repeat() {
        let id = DeliveryId(Uuid::from_u128(7));
        assert!((seed(id, 1) - seed(id, 1)).abs() < f64::EPSILON);
        assert!((seed(id, 1) - seed(id, 2)).abs() > f64::EPSILON);
    }

    proptest! {
        #[test]
        fn a_round_goes_forward_stays_inside_and_ends(
            first in 1_000_u64..100_000,
            multiplier in 1.2_f64..10.0,
            max_interval in 60_000_u64..30_000_000,
            jitter in 0.0_f64..2.0,
            max_age in 100_000_u64..100_000_000,
            started_at in 0_i64..2_000_000_000_000,
            id: u128,
            slow in 0_i64..15_000,
            hints in proptest::collection::vec(proptest::option::of(-1_000_i64..100_000_000), 1..20),
        ) {
            let schedule = Schedule {
                first: Duration::from_millis(first),
                multiplier,
                max_interval: Duration::from_millis(max_interval),
                jitter,
                max_age: Duration::from_millis(max_age),
            };
            let end = started_at + i64::try_from(max_age).unwrap();
            let id = DeliveryId(Uuid::from_u128(id));
            let (mut now, mut attempts) = (started_at, 1_u32);
            loop {
                let not_before = hints[attempts as usize % hints.len()].map(|hint| now + hint);
                let stand = Stand { attempts, started_at, now, seed: seed(id, attempts), not_before };
                let Some(due) = schedule.next(&stand) else { break };
                prop_assert!(due > now && due < end, "{due} {now} {end}");
                let interval = i64::try_from(schedule.interval(attempts).as_millis()).unwrap();
                let last = schedule.last_slot(started_at);
                if due != last {
                    prop_assert!(due >= now + interval / 10 - 1);
                    prop_assert!(not_before.is_some_and(|hint| hint == due) || due <= now + interval * 19 / 10 + 1);
                    prop_assert!(not_before.is_none_or(|hint| hint <= due));
                }
                now = due + slow;
                attempts += 1;
                prop_assert!(attempts < 100_000);
            }
            prop_assert!(now >= schedule.last_slot(started_at), "the last attempt was made");
        }

        #[test]
        fn jitter_stays_in_its_range(attempts in 1_u32..100, id: u128) {
            let schedule = Schedule::default();
            let interval = i64::try_from(schedule.interval(attempts).as_millis()).unwrap();
            let seed = seed(DeliveryId(Uuid::from_u128(id)), attempts);
            let due = schedule.next(&Stand { attempts, started_at: 0, now: 0, seed, not_before: None }).unwrap();
            prop_assert!((interval * 4 / 5 - 1..=interval * 6 / 5 + 1).contains(&due));
        }

        #[test]
        fn no_numbers_panic(
            attempts: u32, started_at: i64, now: i64, seed: f64, not_before: Option<i64>,
            multiplier: f64, jitter: f64, ms: u64,
        ) {
            let any = Duration::from_millis(ms);
            let schedule = Schedule { first: any, multiplier, max_interval: any, jitter, max_age: any };
            let _ = schedule.next(&Stand { attempts, started_at, now, seed, not_before });
        }
    }
}
