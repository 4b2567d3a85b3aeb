//! Kassir: a multi-provider payment webhook router for messenger bots.

pub mod clock;
pub mod domain;
pub mod limits;
pub mod store;
