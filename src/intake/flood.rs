//! Bounds what a flood of refused, unproven or merely observed notifications can make us keep: a budget per integration
//! and span of time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::ids::IntegrationId;

const MINUTE_MS: i64 = 60_000;

/// Budgets per integration and span of time.
pub struct Flood {
    most: u32,
    span_ms: i64,
    used: Mutex<HashMap<IntegrationId, (i64, u32)>>,
}

impl Flood {
    /// So many per integration and minute.
    #[must_use]
    pub fn new(per_minute: u32) -> Flood {
        Flood::per(per_minute, MINUTE_MS)
    }

    /// So many per integration and span (milliseconds).
    #[must_use]
    pub fn per(most: u32, span_ms: i64) -> Flood {
        Flood { most, span_ms, used: Mutex::default() }
    }

    /// Whether one more is within the budget; uses it up if so.
    pub fn allows(&self, integration: IntegrationId, now: i64) -> bool {
        let span = now.checked_div_euclid(self.span_ms).unwrap_or(0);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = used.entry(integration).or_insert((span, 0));
        if slot.0 != span {
            *slot = (span, 0);
        }
        slot.1 = slot.1.saturating_add(1);
        slot.1 <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_per_minute() {
        let flood = Flood::new(2);
        let one = IntegrationId(uuid::Uuid::from_u128(1));
        let other = IntegrationId(uuid::Uuid::from_u128(2));
        assert!(flood.allows(one, 0) && flood.allows(one, 1) && !flood.allows(one, 2));
        assert!(flood.allows(other, 2));
        assert!(flood.allows(one, MINUTE_MS));
    }
}
