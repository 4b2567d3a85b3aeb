//! Delivery from the queue to scripted subscribers, over the embedded store.

mod attempts;
mod fairness;
mod flaky;
mod queue;
mod world;
