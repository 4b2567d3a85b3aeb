//! How much a test does: the long forms are for a machine of their own.

/// The short form of a number, or the long one with `KASSIR_FAULTS=full` in the environment.
#[allow(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
pub fn size(short: usize, full: usize) -> usize {
    if std::env::var("KASSIR_FAULTS").is_ok_and(|form| form == "full") { full } else { short }
}
