//! Delivery: due work is claimed from the store, sent, and settled.

pub mod outbound;
pub mod schedule;
pub mod signature;
