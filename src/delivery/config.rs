//! Settings of the worker.

use std::time::Duration;

use super::schedule::Schedule;
use super::send::ENDPOINT_TIMEOUT_MAX;

/// A lease must outlast the longest attempt by this much: for loading what it needs and for settling.
pub const LEASE_MARGIN: Duration = Duration::from_secs(15);

/// Settings of the worker.
#[derive(Debug, Clone)]
pub struct DeliveryConfig {
    /// The growing intervals.
    pub schedule: Schedule,
    /// Work under way at once in all.
    pub concurrency: usize,
    /// Work under way at once in one lane, unless its endpoint says otherwise.
    pub per_lane: u32,
    /// Work under way at once to one host, whatever the limits of its endpoints.
    pub per_host: u32,
    /// How long claimed work is ours.
    pub lease: Duration,
    /// Longest pause between two looks at the queue.
    pub poll: Duration,
    /// How long a stop waits for work under way.
    pub drain: Duration,
}

impl Default for DeliveryConfig {
    fn default() -> DeliveryConfig {
        DeliveryConfig {
            schedule: Schedule::default(),
            concurrency: 256,
            per_lane: 16,
            per_host: 64,
            lease: Duration::from_secs(60),
            poll: Duration::from_millis(500),
            drain: Duration::from_secs(20),
        }
    }
}

impl DeliveryConfig {
    /// Checks that a lease outlasts every attempt, so that none needs to be renewed.
    ///
    /// # Errors
    /// Words for the person who configured it.
    pub fn check(&self, outbound_timeout: Duration) -> Result<(), String> {
        let longest = outbound_timeout.max(ENDPOINT_TIMEOUT_MAX);
        let least = longest + LEASE_MARGIN;
        if self.lease < least {
            return Err(format!(
                "the lease of {} s is too short for attempts of up to {} s: at least {} s are needed",
                self.lease.as_secs(),
                longest.as_secs(),
                least.as_secs()
            ));
        }
        if self.concurrency == 0 || self.per_lane == 0 || self.per_host == 0 {
            return Err("at least one attempt must be allowed at once".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_outlasts_the_attempt() {
        let config = DeliveryConfig::default();
        assert_eq!(config.check(Duration::from_secs(15)), Ok(()));
        assert!(config.check(Duration::from_secs(46)).is_err());
        assert!(DeliveryConfig { per_lane: 0, ..config }.check(Duration::from_secs(1)).is_err());
    }
}
