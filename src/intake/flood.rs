//! Bounds what a flood of refused or unproven notifications can make us keep: a budget per integration and minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::ids::IntegrationId;

const MINUTE_MS: i64 = 60_000;

/// Budgets per integration and minute.
pub struct Flood {
    per_minute: u32,
    used: Mutex<HashMap<IntegrationId, (i64, u32)>>,
}

impl Flood {
    /// So many per integration and minute.
    #[must_use]
    pub fn new(per_minute: u32) -> Flood {
        Flood { per_minute, used: Mutex::default() }
    }

    /// Whether one more is within the budget; uses it up if so.
    pub fn allows(&self, integration: IntegrationId, now: i64) -> bool {
        let minute = now.div_euclid(MINUTE_MS);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = used.entry(integration).or_insert((minute, 0));
        if slot.0 != minute {
            *slot = (minute, 0);
        }
        slot.1 = slot.1.saturating_add(1);
        slot.1 <= self.per_minute
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
