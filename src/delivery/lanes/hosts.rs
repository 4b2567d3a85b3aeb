//! What a router knows of hosts: what is under way to each, and whether any of them is reached at all.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Limits, State};
use crate::domain::job::Lane;

/// A router that reached none of so many hosts, and no other since, is cut off itself.
pub(super) const UNREACHED: usize = 3;

/// What goes to a host.
#[derive(Default)]
pub(super) struct Host {
    pub busy: u32,
    /// Of which work is under way to it, or found no place.
    pub lanes: HashSet<Lane>,
}

impl State {
    /// Places to a host; of those that are promised nothing is said.
    pub(super) fn host_left(&self, limits: &Limits, host: Option<&Arc<str>>) -> u32 {
        let busy = host.and_then(|host| self.hosts.get(host)).map_or(0, |host| host.busy);
        limits.per_host.saturating_sub(busy)
    }

    /// Work of a lane begins to go to a host.
    pub(super) fn host_takes(&mut self, host: Option<&Arc<str>>, lane: Lane) {
        if let Some(host) = host {
            let host = self.hosts.entry(Arc::clone(host)).or_default();
            host.busy = host.busy.saturating_add(1);
            host.lanes.insert(lane);
        }
    }

    /// Notes that a lane would go to a busy host.
    pub(super) fn waits_for(&mut self, host: Option<&Arc<str>>, lane: Lane) {
        if let Some(host) = host.and_then(|host| self.hosts.get_mut(host)) {
            host.lanes.insert(lane);
        }
    }

    /// Work that went to a host ended.
    pub(super) fn host_gives(&mut self, host: Option<&Arc<str>>) {
        if let Some(name) = host
            && let Some(host) = self.hosts.get_mut(name)
        {
            host.busy = host.busy.saturating_sub(1);
            // The lanes of a host only matter while it is busy; they are learnt again with the next attempt.
            if host.busy == 0 {
                self.hosts.remove(name);
            }
        }
    }
}

/// Notes whether a host was reached; gives whether this router reaches nobody.
pub(super) fn is_cut_off(
    unreached: &mut HashSet<Arc<str>>,
    host: Option<&Arc<str>>,
    reached: Option<bool>,
) -> bool {
    match (reached, host) {
        (Some(true), _) => unreached.clear(),
        (Some(false), Some(host)) if unreached.len() < UNREACHED => {
            unreached.insert(Arc::clone(host));
        }
        _ => {}
    }
    unreached.len() >= UNREACHED
}
