//! Delivery from the queue to scripted subscribers, over the embedded store.

mod again;
mod answers;
mod attempts;
mod beside;
mod changes;
mod elsewhere;
mod ending;
mod fairness;
pub mod flaky;
mod proxied;
mod queue;
mod skew;
mod world;
