//! How many notifications are worked on at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::limits::INBOUND_AT_ONCE_MAX;

/// A notification that is worked on, until this is dropped.
pub(super) struct UnderWay<'a>(&'a AtomicUsize);

impl UnderWay<'_> {
    /// `None` when there are too many.
    pub(super) fn of(count: &AtomicUsize) -> Option<UnderWay<'_>> {
        let place = UnderWay(count);
        (count.fetch_add(1, Ordering::Relaxed) < INBOUND_AT_ONCE_MAX).then_some(place)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_worked_on_at_once() {
        let count = AtomicUsize::new(0);
        let mut places: Vec<_> = (0..INBOUND_AT_ONCE_MAX).map(|_| UnderWay::of(&count)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!((0..3).all(|_| UnderWay::of(&count).is_none()));
        places.pop();
        assert!(UnderWay::of(&count).is_some(), "one that is turned away keeps no place");
    }
}
