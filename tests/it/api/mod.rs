//! The REST API over a real socket, on the embedded store.

mod access;
mod document;
mod moving;
mod once;
mod paying;
mod problems;
mod replaying;
mod setting_up;
mod world;
