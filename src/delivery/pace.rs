//! A limit of attempts per second: never more of them in any second. Pure.

use std::collections::VecDeque;

const SECOND_MS: i64 = 1_000;

/// When the attempts of the last second began.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    pub per_s: u32,
    begun: VecDeque<i64>,
}

impl Pace {
    pub fn new(per_s: u32) -> Pace {
        Pace { per_s: per_s.max(1), begun: VecDeque::new() }
    }

    /// How many may begin now (Unix milliseconds).
    pub fn left(&mut self, now: i64) -> u32 {
        // What lies in the future was noted before the clock was set back.
        while self.begun.front().is_some_and(|at| *at <= now.saturating_sub(SECOND_MS) || *at > now) {
            self.begun.pop_front();
        }
        self.per_s.saturating_sub(u32::try_from(self.begun.len()).unwrap_or(u32::MAX))
    }

    /// One begins now, if it may.
    pub fn take(&mut self, now: i64) -> bool {
        let may = self.left(now) > 0;
        if may {
            self.begun.push_back(now);
        }
        may
    }

    /// When the next may begin, if none may now.
    pub fn next(&mut self, now: i64) -> Option<i64> {
        if self.left(now) > 0 {
            return None;
        }
        self.begun.front().map(|at| at.saturating_add(SECOND_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_in_a_second() {
        let mut pace = Pace::new(3);
        assert!(pace.take(0) && pace.take(400) && pace.take(400) && !pace.take(999));
        assert_eq!(pace.next(999), Some(1_000));
        assert!(pace.take(1_000) && !pace.take(1_000));
        assert_eq!((pace.left(1_400), pace.next(1_400)), (2, None));
        assert_eq!(pace.left(-5_000), 3, "a clock that was set back stops nothing");
    }

    proptest::proptest! {
        #[test]
        fn in_any_second(per_s in 1_u32..20, steps in proptest::collection::vec(0_i64..300, 1..300)) {
            let (mut pace, mut now, mut begun) = (Pace::new(per_s), 0_i64, Vec::new());
            for step in steps {
                now += step;
                if pace.take(now) {
                    begun.push(now);
                } else {
                    let next = pace.next(now).unwrap();
                    proptest::prop_assert!(next > now && next <= now + SECOND_MS);
                }
            }
            for from in &begun {
                let count = begun.iter().filter(|at| (*from..from + SECOND_MS).contains(at)).count();
                proptest::prop_assert!(count <= per_s as usize);
            }
        }
    }
}
