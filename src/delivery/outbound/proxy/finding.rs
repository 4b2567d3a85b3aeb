//! How far the tunnel of a request came: told by the relay, asked for by the request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::failure::Failure;

/// How far a tunnel came.
#[derive(Debug, Clone, Default)]
pub(in super::super) enum Finding {
    /// None was asked for: an open one was used again, or the request ended before.
    #[default]
    Unasked,
    /// Under way; should it take too long, this is what it waits for, in words.
    Waiting(String),
    /// It is open, to this address.
    Open(IpAddr),
    /// It can't be had.
    Failed(Failure),
}

/// What was found, by the number of the request. As many as requests are under way.
#[derive(Default)]
pub(in super::super) struct Findings {
    next: AtomicU64,
    under_way: Mutex<HashMap<u64, Finding>>,
}

impl Findings {
    fn with<T>(&self, change: impl FnOnce(&mut HashMap<u64, Finding>) -> T) -> T {
        change(&mut self.under_way.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes what became of the tunnel of a request; of one that is over, nothing.
    pub fn note(&self, number: u64, finding: Finding) {
        self.with(|all| {
            if let Some(place) = all.get_mut(&number) {
                *place = finding;
            }
        });
    }

    /// A request begins.
    pub fn follow(self: &Arc<Findings>) -> Followed {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.with(|all| all.insert(number, Finding::Unasked));
        Followed { findings: Arc::clone(self), number }
    }
}

/// A request whose tunnel is followed until this is dropped.
pub(in super::super) struct Followed {
    findings: Arc<Findings>,
    /// The number that the relay is told.
    pub number: u64,
}

impl Followed {
    /// What is known now.
    pub fn finding(&self) -> Finding {
        self.findings.with(|all| all.get(&self.number).cloned().unwrap_or_default())
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.findings.with(|all| all.remove(&self.number));
    }
}
