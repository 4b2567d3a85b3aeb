//! Delivery: due work is claimed from the store, sent, and settled.
//!
//! ```text
//! worker   claim ──► deliver ──► send ──► outbound ──► the subscriber
//!                       ▲                    │ outcome
//!                       │        judge ◄─────┘
//! store    settle ◄── settle (pure) ◄─┘ verdict
//! ```

mod breaker;
mod config;
mod custom_header;
mod deliver;
mod endpoint;
mod jobs;
pub mod judge;
mod lanes;
mod ordered;
pub mod outbound;
mod pace;
mod pulse;
pub mod schedule;
pub mod send;
pub mod settle;
pub mod signature;
mod taking;
mod trouble;
mod trying;
mod worker;

pub use config::{DeliveryConfig, LEASE_MARGIN};
pub use custom_header::{HeaderRefusal, check_custom_header};
pub use endpoint::{
    BASIC_AUTH, CLIENT_KEY, EndpointSource, EndpointView, LiveKey, SIGNING_SECRET, SourceError,
};
pub use jobs::{JobEnd, JobHandler};
pub use settle::request_replay;
pub use worker::{Parts, Worker};
