//! Routers under a clock that is stepped, with chance from a printed seed: real intake, real store, real worker, real
//! HTTP on the loopback, beside a model of a few lines that says what must come of it.
//!
//! `KASSIR_SEED=N` in the environment runs the one sequence or day of that seed.

mod chance;
mod clock;
mod day;
mod ground;
mod receiver;
mod sequences;
mod stage;

/// The seeds of a test: so many from 1 on, or the one of the environment.
#[allow(clippy::disallowed_methods, reason = "what a test is to do comes from its environment")]
fn seeds(count: usize) -> Vec<u64> {
    match std::env::var("KASSIR_SEED") {
        Ok(seed) => vec![seed.parse().expect("KASSIR_SEED is a number")],
        Err(_) => (1..=count as u64).collect(),
    }
}
