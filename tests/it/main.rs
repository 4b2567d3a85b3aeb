//! The integration tests: one binary, a module per topic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[macro_use]
mod store_suite;
mod abuse;
mod api;
mod authority;
mod bench;
mod cli;
mod client;
mod crash;
mod crashes;
mod delivery;
mod faults;
mod forward_proxy;
mod generic;
mod hang_up;
mod intake;
mod observability;
mod operations;
mod outbound;
mod process;
mod raw;
mod redis_faults;
mod redis_load;
mod redis_proxy;
mod redis_server;
mod redis_store;
mod redis_upkeep;
mod replay_job;
mod robokassa;
mod serving;
mod signals;
mod simulate;
mod simulation;
mod size;
mod sqlite;
mod staff;
mod subscriber;
mod systemd;
mod walls;
mod world;
