//! The properties, by what they are about.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod answers;
mod coverage;
mod declaration;
mod differential;
mod documents;
mod imitation;
mod noise;
mod notifications;
mod operations;
mod secrecy;
mod tampering;
