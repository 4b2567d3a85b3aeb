//! Whether an endpoint works, judged by what became of its attempts. Pure.
//!
//! ```text
//! closed ──too many failures, or asked to slow down──► open ──hold ran out──► one attempt ──failed──► open, for longer
//!    ▲                                                                            │
//!    └──── as many at once as ever ◄── 1, 2, 4, … at once ◄──────────────success──┘
//! ```
//!
//! The hold itself is the store's, so it is the same for all routers and outlives them; here is only what leads to it.

use crate::store::Holding;

/// Failures in a row that open the breaker.
const IN_A_ROW: u32 = 5;
/// …of an endpoint that has not worked yet since this router knows it, or has only just begun to work again.
const IN_A_ROW_DOUBTED: u32 = 3;
/// Failures in a row after which an endpoint that worked is in doubt: one that fails now and then is not.
const IN_A_ROW_DOUBT: u32 = 2;
/// The failure rate is taken over this time, milliseconds, in two halves.
const WINDOW_MS: i64 = 30_000;
/// Attempts that a rate needs.
const WINDOW_ATTEMPTS_MIN: u32 = 10;
/// Percentage of failures that opens the breaker.
const WINDOW_FAILED_PERCENT: u32 = 70;
/// First hold on an endpoint that does not work, milliseconds; doubled each time.
const BROKEN_MS: i64 = 5_000;
/// First hold on an endpoint that answers 429 or 503 and does not say for how long, milliseconds; doubled each time.
const SLOW_MS: i64 = 1_000;
/// Longest hold of our own making, milliseconds.
const HOLD_MAX_MS: i64 = 5 * 60 * 1000;
/// …while this router reaches nobody at all, which is its own trouble rather than theirs: soon after that ends all goes
/// on. Milliseconds, with its jitter less than 10 s.
const CUT_OFF_MAX_MS: i64 = 8_000;
/// Longest hold that an endpoint may ask for by `Retry-After`, milliseconds.
pub(super) const ASKED_MAX_MS: i64 = 60 * 60 * 1000;
/// So long after it opened, what is claimed was claimed after the hold was written, milliseconds.
const WRITTEN_MS: i64 = 5_000;
/// Part of a hold by which it may be shorter or longer: endpoints that broke together are not tried together.
const JITTER: f64 = 0.2;

/// What became of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub success: bool,
    /// It asked to be sent less: 429, 503, or any failure with `Retry-After`.
    pub slow_down: bool,
    /// Whether its host was reached, where that can be told.
    pub reached: Option<bool>,
    /// Whether this router reaches nobody: [`super::lanes::Lanes`] knows.
    pub cut_off: bool,
    /// Not before this time, Unix milliseconds.
    pub wish: Option<i64>,
    /// The step of the hold, when this was the one attempt of a held lane.
    pub probe: Option<u32>,
    /// When, Unix milliseconds of the store's clock.
    pub now: i64,
    /// From 0 to 1: where in the jitter's range a hold lies.
    pub spread: f64,
}

/// What that changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Judged {
    pub hold: Option<Holding>,
    pub change: Option<Change>,
}

/// A change that is worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Opened { until: i64, slow_down: bool },
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { since: i64, until: i64 },
    Ramp { at_once: u32 },
}

/// The breaker of an endpoint.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    state: State,
    /// Holds in a row.
    step: u32,
    failed_in_a_row: u32,
    worked: bool,
    /// It opened, and nothing has succeeded since.
    broken: bool,
    this_half: Half,
    last_half: Half,
}

#[derive(Debug, Clone, Copy, Default)]
struct Half {
    number: i64,
    attempts: u32,
    failed: u32,
}

impl Default for Breaker {
    fn default() -> Breaker {
        let half = Half::default();
        Breaker {
            state: State::Closed,
            step: 0,
            failed_in_a_row: 0,
            worked: false,
            broken: false,
            this_half: half,
            last_half: half,
        }
    }
}

impl Breaker {
    /// Whether it is known to work.
    pub fn is_good(&self) -> bool {
        self.worked && !self.broken && self.failed_in_a_row < IN_A_ROW_DOUBT
    }

    /// How many may be under way at once while it recovers.
    pub fn at_once(&self) -> Option<u32> {
        match self.state {
            State::Ramp { at_once } => Some(at_once),
            State::Closed | State::Open { .. } => None,
        }
    }

    /// Whether it opened, and this time has not passed yet.
    pub fn is_open(&self, now: i64) -> bool {
        matches!(self.state, State::Open { until, .. } if now < until)
    }

    /// Something of the lane was claimed now that is no try of a held one: so the store does not hold it, and somebody
    /// else (another router, or a person) lifted what this one had made it hold. Judged anew from here; nothing of it may
    /// be under way, or what opened it may still have to be written.
    pub fn is_not_held(&mut self, now: i64) {
        if matches!(self.state, State::Open { since, .. } if now >= since.saturating_add(WRITTEN_MS)) {
            *self = Breaker { worked: self.worked, broken: self.broken, ..Breaker::default() };
        }
    }

    /// Learns what became of an attempt. `full`: how many are under way at once when all is well.
    pub fn hear(&mut self, heard: &Heard, full: u32) -> Judged {
        self.count(heard);
        match (heard.success, heard.probe) {
            (true, Some(step)) => self.recover(step, full),
            (true, None) => self.go_on(heard.now, full),
            (false, Some(step)) if says_when(heard) => self.open(heard, step),
            (false, Some(step)) => self.open(heard, step.saturating_add(1)),
            (false, None) => match self.state {
                State::Open { since, until } if heard.now < until => self.longer(heard, since, until),
                _ if heard.slow_down || self.is_too_much() => self.open(heard, self.step),
                _ => Judged::default(),
            },
        }
    }

    fn count(&mut self, heard: &Heard) {
        let number = heard.now.div_euclid(WINDOW_MS / 2);
        if number != self.this_half.number {
            let is_next = number == self.this_half.number.saturating_add(1);
            self.last_half = if is_next { self.this_half } else { Half::default() };
            self.this_half = Half { number, ..Half::default() };
        }
        self.this_half.attempts = self.this_half.attempts.saturating_add(1);
        if heard.success {
            self.worked = true;
            self.broken = false;
            self.failed_in_a_row = 0;
        } else {
            self.this_half.failed = self.this_half.failed.saturating_add(1);
            self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
        }
    }

    fn is_too_much(&self) -> bool {
        let sure = self.worked && self.at_once().is_none();
        if self.failed_in_a_row >= if sure { IN_A_ROW } else { IN_A_ROW_DOUBTED } {
            return true;
        }
        let attempts = self.this_half.attempts.saturating_add(self.last_half.attempts);
        let failed = self.this_half.failed.saturating_add(self.last_half.failed);
        attempts >= WINDOW_ATTEMPTS_MIN
            && failed.saturating_mul(100) >= attempts.saturating_mul(WINDOW_FAILED_PERCENT)
    }

    fn open(&mut self, heard: &Heard, step: u32) -> Judged {
        let until =
            if says_when(heard) { asked(heard) } else { heard.now.saturating_add(grown(heard, step)) };
        let was_open = heard.probe.is_some() || matches!(self.state, State::Open { .. });
        let state = State::Open { since: heard.now, until };
        *self = Breaker { state, step, worked: self.worked, broken: true, ..Breaker::default() };
        let opened = Change::Opened { until, slow_down: heard.slow_down };
        Judged { hold: Some(Holding::Until { until, step }), change: (!was_open).then_some(opened) }
    }

    /// One more failure of those that were under way when it opened: at most a wish for a longer hold.
    fn longer(&mut self, heard: &Heard, since: i64, until: i64) -> Judged {
        let asked = asked(heard);
        if asked <= until {
            return Judged::default();
        }
        self.state = State::Open { since, until: asked };
        Judged { hold: Some(Holding::Until { until: asked, step: self.step }), change: None }
    }

    fn recover(&mut self, step: u32, full: u32) -> Judged {
        self.step = step;
        self.state = State::Ramp { at_once: 1 };
        self.this_half = Half::default();
        self.last_half = Half::default();
        if full <= 1 {
            self.close();
        }
        Judged { hold: Some(Holding::Lift), change: Some(Change::Closed) }
    }

    fn go_on(&mut self, now: i64, full: u32) -> Judged {
        match self.state {
            State::Ramp { at_once } if at_once.saturating_add(1) < full => {
                self.state = State::Ramp { at_once: at_once.saturating_add(1) };
            }
            State::Ramp { .. } => self.close(),
            // What succeeds after it is no try of a held lane: somebody else lifted the hold.
            State::Open { until, .. } if now >= until => self.close(),
            State::Open { .. } | State::Closed => {}
        }
        Judged::default()
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.step = 0;
    }
}

/// A pause of our own making, milliseconds.
fn grown(heard: &Heard, step: u32) -> i64 {
    let first = if heard.slow_down { SLOW_MS } else { BROKEN_MS };
    let most = if heard.cut_off { CUT_OFF_MAX_MS } else { HOLD_MAX_MS };
    let whole = first.saturating_mul(1_i64 << step.min(20)).min(most);
    let part = 1.0 + JITTER * (heard.spread.clamp(0.0, 1.0) * 2.0 - 1.0);
    (whole as f64 * part) as i64
}

/// Whether it says when it wants to be asked again: then no pause of our own making grows.
fn says_when(heard: &Heard) -> bool {
    asked(heard) > heard.now
}

/// The time before which it does not want to be asked, within what is heeded.
fn asked(heard: &Heard) -> i64 {
    heard.wish.map_or(i64::MIN, |wish| wish.min(heard.now.saturating_add(ASKED_MAX_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: u32 = 16;

    fn heard(success: bool, now: i64) -> Heard {
        Heard {
            success,
            slow_down: false,
            reached: None,
            cut_off: false,
            wish: None,
            probe: None,
            now,
            spread: 0.5,
        }
    }

    fn held(judged: Judged) -> Option<(i64, u32)> {
        match judged.hold {
            Some(Holding::Until { until, step }) => Some((until, step)),
            _ => None,
        }
    }

    #[test]
    fn opens_after_failures_in_a_row() {
        for (worked, most) in [(false, IN_A_ROW_DOUBTED), (true, IN_A_ROW)] {
            let mut breaker = Breaker::default();
            if worked {
                breaker.hear(&heard(true, 0), FULL);
            }
            for _ in 1..most {
                assert_eq!(breaker.hear(&heard(false, 1), FULL), Judged::default());
            }
            let judged = breaker.hear(&heard(false, 2), FULL);
            assert_eq!(held(judged), Some((2 + BROKEN_MS, 0)));
            assert_eq!(judged.change, Some(Change::Opened { until: 2 + BROKEN_MS, slow_down: false }));
            // Those that were under way change nothing more.
            assert_eq!(breaker.hear(&heard(false, 3), FULL), Judged::default());
            assert_eq!(breaker.hear(&heard(true, 4), FULL), Judged::default());
            assert!(breaker.is_open(5) && !breaker.is_open(2 + BROKEN_MS));
        }
    }

    #[test]
    fn opens_by_the_rate_of_failures() {
        let run = |failures: &dyn Fn(u32) -> bool, every_ms: i64| {
            let mut breaker = Breaker::default();
            (0..200_u32).any(|n| {
                let judged = breaker.hear(&heard(!failures(n), i64::from(n) * every_ms), FULL);
                held(judged).is_some()
            })
        };
        assert!(run(&|n| n % 4 != 0, 10), "75 % fail");
        assert!(!run(&|n| n % 3 != 0, 10), "67 % fail");
        assert!(!run(&|n| n % 4 != 0, 5_000), "75 % of too few");
    }

    #[test]
    fn holds_grow_and_a_success_lifts() {
        let mut breaker = Breaker::default();
        let mut step = 0;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let judged = breaker.hear(&Heard { probe: Some(step), ..heard(false, 0) }, FULL);
            let (until, next) = held(judged).unwrap();
            assert_eq!((next, judged.change), (step + 1, None), "one line for each change, not for each try");
            pauses.push(until / 1000);
            step = next;
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300, 300]);
        let ours = Heard { probe: Some(step), cut_off: true, ..heard(false, 0) };
        assert_eq!(held(breaker.hear(&ours, FULL)), Some((CUT_OFF_MAX_MS, step + 1)));
        let judged = breaker.hear(&Heard { probe: Some(step), ..heard(true, 0) }, FULL);
        assert_eq!((judged.hold, judged.change), (Some(Holding::Lift), Some(Change::Closed)));
        assert!(breaker.is_good());
    }

    #[test]
    fn one_failure_now_and_then_is_no_doubt() {
        let mut breaker = Breaker::default();
        assert!(!breaker.is_good(), "nothing is known yet");
        for now in 0..20 {
            breaker.hear(&heard(true, now), FULL);
            breaker.hear(&heard(false, now), FULL);
            assert!(breaker.is_good());
        }
        breaker.hear(&heard(false, 21), FULL);
        assert!(!breaker.is_good());
        breaker.hear(&heard(true, 22), FULL);
        assert!(breaker.is_good());
        breaker.hear(&Heard { slow_down: true, ..heard(false, 23) }, FULL);
        assert!(!breaker.is_good(), "it is left alone");
        breaker.is_not_held(23 + WRITTEN_MS);
        assert!(!breaker.is_good(), "nor has it worked since");
    }

    #[test]
    fn it_begins_slowly_again() {
        let mut breaker = Breaker::default();
        breaker.hear(&Heard { probe: Some(3), ..heard(true, 0) }, 4);
        let mut limits = vec![breaker.at_once()];
        for _ in 0..3 {
            breaker.hear(&heard(true, 0), 4);
            limits.push(breaker.at_once());
        }
        assert_eq!(limits, [Some(1), Some(2), Some(3), None]);
        // While it recovers it is doubted, and its holds go on where they were.
        breaker.hear(&Heard { probe: Some(3), ..heard(true, 0) }, 4);
        let last = (0..IN_A_ROW_DOUBTED).map(|_| breaker.hear(&heard(false, 0), 4)).last().unwrap();
        assert_eq!(held(last), Some((BROKEN_MS << 3, 3)));
    }

    #[test]
    fn slows_down_when_asked() {
        let slow = |wish| Heard { slow_down: true, wish, ..heard(false, 0) };
        let of = |wish| held(Breaker::default().hear(&slow(wish), FULL));
        assert_eq!(of(None), Some((SLOW_MS, 0)));
        assert_eq!(of(Some(30_000)), Some((30_000, 0)));
        assert_eq!(of(Some(-9)), Some((SLOW_MS, 0)), "a wish in the past is none");
        assert_eq!(of(Some(i64::MAX)), Some((ASKED_MAX_MS, 0)), "within what is heeded");
        let mut breaker = Breaker::default();
        breaker.hear(&slow(Some(5_000)), FULL);
        assert_eq!(held(breaker.hear(&slow(Some(4_000)), FULL)), None);
        assert_eq!(held(breaker.hear(&slow(Some(9_000)), FULL)), Some((9_000, 0)), "the latest wish counts");
    }

    #[test]
    fn a_wish_that_is_repeated_does_not_grow() {
        let mut breaker = Breaker::default();
        let slow = |wish, step| Heard { slow_down: true, wish, probe: Some(step), ..heard(false, 0) };
        for step in [0, 0, 0, 7] {
            assert_eq!(held(breaker.hear(&slow(Some(5_000), step), FULL)), Some((5_000, step)));
        }
        // One that does not say when is left alone for longer each time.
        assert_eq!(held(breaker.hear(&slow(None, 2), FULL)), Some((SLOW_MS << 3, 3)));
    }

    #[test]
    fn what_somebody_else_lifted_is_judged_anew() {
        let opened = || {
            let mut breaker = Breaker::default();
            breaker.hear(&Heard { probe: Some(5), ..heard(false, 0) }, FULL);
            breaker
        };
        let next = |mut breaker: Breaker, now| {
            (0..IN_A_ROW_DOUBTED).find_map(|_| held(breaker.hear(&heard(false, now), FULL)))
        };
        let (soon, later, long_after) = (WRITTEN_MS - 1, WRITTEN_MS, HOLD_MAX_MS * 2);
        for (now, step) in [(soon, None), (later, Some(0)), (long_after, Some(0))] {
            let mut breaker = opened();
            breaker.is_not_held(now);
            assert_eq!(next(breaker, now).map(|(_, step)| step), step, "{now}");
        }
        // A success says the same, once the hold is over.
        for (now, step) in [(later, None), (long_after, Some(0))] {
            let mut breaker = opened();
            breaker.hear(&heard(true, now), FULL);
            breaker.hear(&heard(false, now), FULL);
            breaker.hear(&heard(false, now), FULL);
            assert_eq!(next(breaker, now).map(|(_, step)| step), step, "{now}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_story(story: Vec<(bool, bool, Option<i64>, Option<u32>, i64, f64)>, full: u32) {
            let mut breaker = Breaker::default();
            for (success, slow_down, wish, probe, now, spread) in story {
                let judged = breaker.hear(&Heard { slow_down, wish, probe, spread, ..heard(success, now) }, full);
                if let Some((until, _)) = held(judged) {
                    proptest::prop_assert!(!success && until >= now);
                    proptest::prop_assert!(until <= now.saturating_add(ASKED_MAX_MS));
                }
                proptest::prop_assert!(!(success && probe.is_some()) || judged.hold == Some(Holding::Lift));
            }
        }
    }
}
