//! Kassir: a multi-provider payment webhook router for messenger bots.

pub mod api;
pub mod app;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod demo;
pub mod domain;
pub mod intake;
pub mod jobs;
pub mod ledger;
pub mod limits;
pub mod manage;
pub mod nearest;
pub mod operations;
pub mod payments;
pub mod registry;
pub mod secrets;
pub mod store;
pub mod telemetry;
pub mod tls;
