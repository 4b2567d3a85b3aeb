//! Faults of Redis and of routers, live: servers are killed, moved and cut off while notifications come.
//!
//! Each test counts what was accepted, delivered, sent again and lost, and prints one line that begins with `fault:`.
//! With `KASSIR_FAULTS=full` in the environment the long forms run.

mod answers;
mod backlog;
mod cluster;
mod kept;
mod network;
mod receiver;
mod replicas;
mod secured;
mod sending;
mod sentinel;
mod takeover;
mod weather;

use std::fmt::Display;

pub use crate::size::size;
pub use kept::end_and_compare;
pub use network::{Network, Weather};
pub use receiver::Receiver;
pub use sending::{Shop, Stream, accept_all, accepted_after, open_shop, shop, shop_with};

/// What came of a test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Notifications that were answered positively.
    pub accepted: usize,
    /// Of these, those whose event reached the subscriber.
    pub delivered: usize,
    /// Requests to the subscriber beyond the first for one event.
    pub duplicated: usize,
    /// Accepted and not delivered.
    pub lost: usize,
}

impl Counts {
    /// Adds what came of another.
    pub fn add(&mut self, other: Counts) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.duplicated += other.duplicated;
        self.lost += other.lost;
    }

    /// Prints the line of a test, with what else is worth saying.
    pub fn print(self, name: &str, more: &[(&str, &dyn Display)]) {
        let Counts { accepted, delivered, duplicated, lost } = self;
        print(name, [&accepted, &delivered, &duplicated, &lost], more);
    }
}

/// In the line of a test: that it did not count this.
pub const UNCOUNTED: &str = "-";

/// Prints the line of a test that does not count all of it: accepted, delivered, duplicated, lost.
pub fn print(name: &str, counts: [&dyn Display; 4], more: &[(&str, &dyn Display)]) {
    let [accepted, delivered, duplicated, lost] = counts;
    let more: String = more.iter().map(|(word, value)| format!(" {word}={value}")).collect();
    println!(
        "fault: {name} accepted={accepted} delivered={delivered} duplicated={duplicated} lost={lost}{more}"
    );
}
