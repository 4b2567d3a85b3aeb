//! Named points on the path of a payment at which a build for tests ends itself as abruptly as `kill -9` would.
//!
//! Without the feature `fail-points` a point is nothing at all, so that no environment can make a released router end:
//! only the tests, which depend on this crate with the feature, build it in. Then `KASSIR_FAIL_POINT=NAME:COUNT` in
//! the environment ends the process at the COUNTth time that the point is passed.

/// A point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A notification was read from its socket.
    Read,
    /// It was proved and understood; nothing is written.
    Parsed,
    /// Right before the durable step.
    BeforeCommit,
    /// Right after it, before anybody knows.
    AfterCommit,
    /// The answer is made and not yet sent.
    BeforeAnswer,
    /// The answer is sent.
    AfterAnswer,
    /// Work was claimed from the queue and is not begun.
    AfterClaim,
    /// A delivery is loaded; its request is not yet sent.
    BeforeSend,
    /// The subscriber has answered; nothing of that is written.
    AfterResponse,
    /// The result is decided, with the next attempt's time; right before it is written.
    BeforeSettle,
    /// Right after it was written.
    AfterSettle,
    /// Old records were removed, a part of them.
    InSweep,
}

impl Point {
    /// All of them, in the order of a payment's path.
    pub const ALL: [Point; 12] = [
        Point::Read,
        Point::Parsed,
        Point::BeforeCommit,
        Point::AfterCommit,
        Point::BeforeAnswer,
        Point::AfterAnswer,
        Point::AfterClaim,
        Point::BeforeSend,
        Point::AfterResponse,
        Point::BeforeSettle,
        Point::AfterSettle,
        Point::InSweep,
    ];

    /// Its name in the environment.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Point::Read => "read",
            Point::Parsed => "parsed",
            Point::BeforeCommit => "before_commit",
            Point::AfterCommit => "after_commit",
            Point::BeforeAnswer => "before_answer",
            Point::AfterAnswer => "after_answer",
            Point::AfterClaim => "after_claim",
            Point::BeforeSend => "before_send",
            Point::AfterResponse => "after_response",
            Point::BeforeSettle => "before_settle",
            Point::AfterSettle => "after_settle",
            Point::InSweep => "in_sweep",
        }
    }
}

/// Passes a point.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub const fn pass(_: Point) {}

/// Passes a point once the task that runs now has given way: what it had to send is then with the system.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub const fn pass_later(_: Point) {}

#[cfg(feature = "fail-points")]
pub use armed::{pass, pass_later};

#[cfg(feature = "fail-points")]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::Point;

    /// The point at which this process ends, and how often it is still to be passed.
    static ARMED: LazyLock<Option<(Point, AtomicU32)>> = LazyLock::new(|| {
        let text = crate::config::fail_point()?;
        let (word, count) = text.split_once(':')?;
        let point = Point::ALL.into_iter().find(|point| point.word() == word)?;
        Some((point, AtomicU32::new(count.parse().ok()?)))
    });

    /// Passes a point.
    pub fn pass(point: Point) {
        if let Some((armed, left)) = &*ARMED
            && *armed == point
            && left.fetch_sub(1, Ordering::SeqCst) <= 1
        {
            std::process::abort();
        }
    }

    /// Passes a point once the task that runs now has given way: what it had to send is then with the system.
    pub fn pass_later(point: Point) {
        if ARMED.is_some() {
            actix_web::rt::spawn(async move { pass(point) });
        }
    }
}
