//! The clock: the only place that reads the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use uuid::Uuid;

/// Time and the ids that are made from it, as arguments to everything else.
pub trait Clock: Send + Sync + 'static {
    /// Unix milliseconds.
    fn now(&self) -> i64;

    /// A fresh UUIDv7 of this time.
    fn id(&self) -> Uuid {
        let now = u64::try_from(self.now()).unwrap_or(0);
        let nanos = u32::try_from(now % 1000).unwrap_or(0).saturating_mul(1_000_000);
        let context = uuid::timestamp::context::NoContext;
        Uuid::new_v7(uuid::Timestamp::from_unix(context, now / 1000, nanos))
    }
}

/// A clock that is shared.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> i64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_millis()).ok())
            .unwrap_or(0)
    }

    /// Ids of one process grow even within a millisecond.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// A clock that a test steps.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicI64,
    made: AtomicU32,
}

impl ManualClock {
    /// A clock that stands at a time, Unix milliseconds.
    #[must_use]
    pub fn at(now: i64) -> ManualClock {
        ManualClock { now: AtomicI64::new(now), made: AtomicU32::new(0) }
    }

    /// Goes on by so many milliseconds (back, if negative).
    pub fn advance(&self, by_ms: i64) {
        self.now.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    /// Ids grow even while the clock stands: a counter stands where UUIDv7 has its first random bits.
    fn id(&self) -> Uuid {
        let made = self.made.fetch_add(1, Ordering::SeqCst);
        let [_, _, low_high, low] = (made & 0x3fff).to_be_bytes();
        let [_, _, high_high, high] = (made >> 14 & 0x0fff).to_be_bytes();
        let random = Uuid::new_v4();
        let [a, b, c, d, e, f, ..] = *random.as_bytes();
        let now = u64::try_from(self.now()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(now, &[high_high, high, low_high, low, a, b, c, d, e, f])
            .into_uuid()
    }
}

/// A stopwatch for durations: monotonic, so that a step of the clock does not show.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts one.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn start() -> Stopwatch {
        Stopwatch(std::time::Instant::now())
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }

    /// Whole milliseconds since the start.
    #[must_use]
    pub fn elapsed_ms(&self) -> u32 {
        u32::try_from(self.elapsed().as_millis()).unwrap_or(u32::MAX)
    }
}
