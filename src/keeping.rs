//! Whether notifications can be kept, as the last of them tells. That the store can write something does not show that
//! it can write this: a page of the notifications may be damaged, a credential may not open.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use crate::registry::RegistryError;
use crate::store::StoreError;

/// How long a notification that could not be kept counts while no other one is kept, milliseconds: so long that no
/// usual probe misses it. It ends by itself, since the next notification may be hours away and the fault one
/// merchant's alone.
pub const FAILURE_COUNTS_MS: i64 = 30_000;

/// No time.
const NEVER: i64 = i64::MIN;

/// What of ours kept a notification from being kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The store failed or did not answer in time.
    Store,
    /// A stored credential does not open.
    Secret,
}

impl Fault {
    /// `None` when it is not our fault: a limit, a record that is gone.
    #[must_use]
    pub fn of(error: &RegistryError) -> Option<Fault> {
        match error {
            RegistryError::Credential { .. } => Some(Fault::Secret),
            RegistryError::Store(
                StoreError::Unavailable(_)
                | StoreError::Corrupt(_)
                | StoreError::Unusable(_)
                | StoreError::Taken { .. },
            ) => Some(Fault::Store),
            RegistryError::Store(
                StoreError::Conflict(_) | StoreError::NotFound(_) | StoreError::Limit(_),
            ) => None,
        }
    }
}

/// What became of the last notification of this process. Times are Unix milliseconds.
#[derive(Debug)]
pub struct Keeping {
    /// When one could not be kept, if none was kept since.
    failed_at: AtomicI64,
    by_secret: AtomicBool,
}

impl Keeping {
    /// Of a process that has received nothing yet.
    #[must_use]
    pub const fn new() -> Keeping {
        Keeping { failed_at: AtomicI64::new(NEVER), by_secret: AtomicBool::new(false) }
    }

    /// One was kept.
    pub fn kept(&self) {
        // Nearly always there is nothing to forget, and no other core's copy of it to be taken away.
        if self.failed_at.load(Ordering::Relaxed) != NEVER {
            self.failed_at.store(NEVER, Ordering::Relaxed);
        }
    }

    /// One could not be kept.
    pub fn failed(&self, fault: Fault, now: i64) {
        self.by_secret.store(fault == Fault::Secret, Ordering::Relaxed);
        self.failed_at.store(now, Ordering::Relaxed);
    }

    /// Why the last one could not be kept, if that is so and still counts.
    #[must_use]
    pub fn fault(&self, now: i64) -> Option<Fault> {
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        let counts = failed_at != NEVER && (0..FAILURE_COUNTS_MS).contains(&now.saturating_sub(failed_at));
        let fault = if self.by_secret.load(Ordering::Relaxed) { Fault::Secret } else { Fault::Store };
        counts.then_some(fault)
    }
}

impl Default for Keeping {
    fn default() -> Keeping {
        Keeping::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Conflict;

    #[test]
    fn a_failure_counts_until_one_is_kept_or_it_is_old() {
        let keeping = Keeping::new();
        assert_eq!(keeping.fault(0), None);
        keeping.failed(Fault::Secret, 1_000);
        assert_eq!(keeping.fault(1_000), Some(Fault::Secret));
        assert_eq!(keeping.fault(999 + FAILURE_COUNTS_MS), Some(Fault::Secret));
        assert_eq!(keeping.fault(1_000 + FAILURE_COUNTS_MS), None);
        assert_eq!(keeping.fault(0), None, "a clock that was set back");
        keeping.failed(Fault::Store, 2_000);
        assert_eq!(keeping.fault(2_000), Some(Fault::Store));
        keeping.kept();
        assert_eq!(keeping.fault(2_000), None);
    }

    #[test]
    fn what_a_sender_can_bring_about_is_not_our_fault() {
        let of = |error: StoreError| Fault::of(&error.into());
        assert_eq!(of(StoreError::Corrupt("a page".to_owned())), Some(Fault::Store));
        assert_eq!(of(StoreError::Unavailable("full".to_owned())), Some(Fault::Store));
        assert_eq!(of(StoreError::Limit("too large".to_owned())), None);
        assert_eq!(of(StoreError::Conflict(Conflict::Lease)), None);
    }
}
