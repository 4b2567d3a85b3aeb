//! Kassir (кассир, a cashier): a multi-provider payment webhook router for messenger bots.
//!
//! # The path of a payment
//!
//! 1. A provider sends a notification to `/webhooks/{provider}/{token}`. [`intake`] finds whose URL that is (from
//!    [`registry`], a cache of what is set up) and hands the bytes to the provider's adapter, a pure function of the
//!    crate `kassir-providers`. The adapter proves them and says what they mean, or refuses them with a reason and,
//!    for a wrong signature, the usual mistake that fits.
//! 2. [`ledger`] looks the payment up, [`domain::apply`] decides (pure: a late word changes nothing, a repeated one is
//!    a duplicate, another amount is a mismatch), [`domain::fanout`] makes the event and its deliveries, and
//!    the store writes all of it in **one atomic, durable step** ([`store::Store::enter`]). A store whose writes come one
//!    after the other looks up and asks for the decision within its own; elsewhere, when something changed meanwhile, it
//!    is decided again.
//! 3. Only now the provider gets its answer, in its own words. While the store is away the answer is its "try later".
//! 4. What proves nothing by itself (YooKassa) is kept and answered at once; a job of the same queue asks the
//!    provider's API ([`jobs::confirm`]), and what the API says goes through step 2.
//! 5. The commit leased the new deliveries to this process: [`delivery`] signs and sends them at once. If the process
//!    dies, another router (or the next start) takes them from the store: the store is the queue.
//! 6. Each attempt ends in [`store::Store::settle`]: attempt and next due time in one step. Intervals grow for a day
//!    ([`delivery::schedule`]); then the delivery is `failed`, kept, and a person can replay it.
//!
//! Payments that we create ourselves ([`payments`]) are written down first, then asked of the provider
//! ([`operations`]), and announced as `pending` (where a provider takes only a posted form, [`pay`] shows it); [`jobs::poll`] asks about those whose notification never comes.
//!
//! [`app`] puts the parts together; [`cli`] is the command line. `docs/decisions` says why things are as they are.

pub mod api;
pub mod app;
pub mod bench;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod demo;
pub mod domain;
pub mod fail_point;
pub mod intake;
pub mod jobs;
pub mod keeping;
pub mod ledger;
pub mod limits;
pub mod manage;
pub mod nearest;
pub mod operations;
pub mod pay;
pub mod payments;
pub mod quiet;
pub mod registry;
pub mod secrets;
pub mod store;
pub mod telemetry;
pub mod tls;
