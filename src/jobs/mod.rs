//! What happens later, besides delivering: one file per kind of job of the durable queue.

pub mod confirm;
pub mod replay;
