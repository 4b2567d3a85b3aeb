//! Who has said that it lives, and when: in memory, because all leases end when the file is opened.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::{Alive, Fence, LEASE_UNKNOWN_MS, OWNER_GAP_MS, OWNER_SILENT_MS, Result};
use super::holds;
use super::rows::{all, execute, int, parse, uint};
use super::writer::Tx;
use crate::domain::ids::MerchantId;
use crate::domain::job::WorkId;

/// Owners that are remembered; one process has one.
const OWNERS_MAX: usize = 1_000;

struct Life {
    since: i64,
    last: i64,
}

/// The owners of leases.
#[derive(Default)]
pub(super) struct Owners(Mutex<HashMap<String, Life>>);

impl Owners {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Life>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that one lives.
    pub(super) fn note(&self, owner: &str, now: i64) {
        let mut all = self.all();
        if all.len() >= OWNERS_MAX {
            all.clear();
        }
        let life = all.entry(owner.to_owned()).or_insert(Life { since: now, last: now });
        if now - life.last > OWNER_GAP_MS || now < life.last {
            life.since = now;
        }
        life.last = now;
    }

    /// Those that fell silent while this one, which asks, did not. They are forgotten.
    pub(super) fn silent(&self, owner: &str, now: i64) -> Vec<String> {
        let mut all = self.all();
        let spoke = |life: &Life| now - life.since >= OWNER_SILENT_MS && now - life.last <= OWNER_GAP_MS;
        if !all.get(owner).is_some_and(spoke) {
            return Vec::new();
        }
        let gone = |life: &Life| now - life.last >= OWNER_SILENT_MS;
        let silent = all.iter().filter(|(_, life)| gone(life)).map(|(name, _)| name.clone()).collect();
        all.retain(|_, life| !gone(life));
        silent
    }
}

/// Lets the leases of these owners run out.
pub(super) fn end_leases_of(tx: &Tx<'_>, owners: &[String]) -> Result<()> {
    for owner in owners {
        holds::probes_end(tx, Some(owner))?;
        let sql = "UPDATE queue SET lease_until = 0 WHERE lease_until IS NOT NULL AND owner = ?1";
        execute(tx.conn, sql, [owner])?;
    }
    Ok(())
}

/// Leases of an owner that it should know of and does not list.
pub(super) fn unknown(conn: &rusqlite::Connection, alive: &Alive) -> Result<Vec<(MerchantId, Fence)>> {
    let Some(as_of) = alive.as_of else { return Ok(Vec::new()) };
    let before = as_of.saturating_add(int(alive.lease_ms)).saturating_sub(LEASE_UNKNOWN_MS);
    let sql = "SELECT merchant, work, token FROM queue \
               WHERE lease_until IS NOT NULL AND lease_until <= ?1 AND owner = ?2";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let leased: Vec<(String, String, i64)> = all(conn, sql, rusqlite::params![before, alive.owner], read)?;
    let mut unknown = Vec::new();
    for (merchant, work, token) in leased {
        let fence = Fence { work: parse::<WorkId>(&work)?, token: uint(token) };
        if !alive.held.iter().any(|(_, held)| *held == fence) {
            unknown.push((parse(&merchant)?, fence));
        }
    }
    Ok(unknown)
}
