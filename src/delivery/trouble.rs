//! Trouble with the store: pauses that grow.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

/// First pause after an error.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause: work goes on soon after an outage ends.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The pause after so many errors in a row (1, 2, …): doubled each time, spread over its upper half so that routers
/// do not come back all at once.
pub(super) fn pause(errors: u32) -> Duration {
    let whole = PAUSE_MIN.saturating_mul(1_u32 << errors.saturating_sub(1).min(10)).min(PAUSE_MAX);
    let mut byte = [0_u8; 1];
    // Without random bytes all pauses are of the same length.
    let _ = SystemRandom::new().fill(&mut byte);
    let [byte] = byte;
    whole / 2 + whole / 2 * u32::from(byte) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_short() {
        for errors in 0..2_000 {
            let pause = pause(errors);
            assert!(pause >= PAUSE_MIN / 2 && pause <= PAUSE_MAX, "{errors} {pause:?}");
        }
        assert!(pause(30) >= PAUSE_MAX / 2);
    }
}
