//! What the verbs of one transaction share: rows that nearly all of them would read and write again are read once and
//! written once, at its end.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::super::{Result, StoreError};
use super::config;
use super::rows::{int, one, uint};
use super::tally::{self, Bucket};
use super::writer::Tx;
use crate::domain::ids::MerchantId;

/// The rows.
#[derive(Default)]
pub(super) struct Batch {
    tallies: RefCell<HashMap<Bucket, i64>>,
    /// The versions of the configurations of merchants that were asked for.
    versions: RefCell<HashMap<MerchantId, u64>>,
    /// The last payment's number of merchants that got one.
    numbers: RefCell<HashMap<MerchantId, u32>>,
    /// The number of the last lease, and whether it moved.
    token: Cell<Option<(u64, bool)>>,
    /// How often a number or token was taken.
    taken: Cell<u64>,
    /// Whether there may be any lane that is held, any endpoint that fails.
    holds: Cell<Option<bool>>,
    failing: Cell<Option<bool>>,
}

/// What a verb took, to be undone with it.
pub(super) struct Snapshot {
    numbers: HashMap<MerchantId, u32>,
    token: Option<(u64, bool)>,
}

impl Batch {
    pub(super) fn taken(&self) -> u64 {
        self.taken.get()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { numbers: self.numbers.borrow().clone(), token: self.token.get() }
    }

    pub(super) fn restore(&self, before: Snapshot) {
        self.numbers.replace(before.numbers);
        self.token.set(before.token);
    }

    pub(super) fn tally(&self, moved: Vec<(Bucket, i64)>) {
        let mut tallies = self.tallies.borrow_mut();
        for (bucket, by) in moved {
            let value = tallies.entry(bucket).or_default();
            *value = value.saturating_add(by);
        }
    }

    /// Writes what has moved.
    pub(super) fn write(&self, conn: &Connection) -> rusqlite::Result<()> {
        tally::write(conn, &self.tallies.borrow())?;
        for (merchant, last) in &*self.numbers.borrow() {
            write_number(conn, *merchant, *last)?;
        }
        if let Some((last, true)) = self.token.get() {
            let sql = "UPDATE counter SET value = ?1 WHERE name = 'fence'";
            conn.prepare_cached(sql)?.execute([int(last)])?;
        }
        Ok(())
    }

    fn take(&self) {
        self.taken.set(self.taken.get().wrapping_add(1));
    }
}

fn write_number(conn: &Connection, merchant: MerchantId, last: u32) -> rusqlite::Result<()> {
    let sql = "UPDATE merchant SET last_payment = ?2 WHERE id = ?1";
    conn.prepare_cached(sql)?.execute(params![merchant.to_string(), last]).map(drop)
}

/// The number of a merchant's next payment, which is then used up.
pub(super) fn next_number(tx: &Tx<'_>, merchant: MerchantId) -> Result<u32> {
    tx.batch.take();
    let mut numbers = tx.batch.numbers.borrow_mut();
    if let Some(last) = numbers.get_mut(&merchant) {
        *last = last.saturating_add(1);
        return Ok(*last);
    }
    let sql = "SELECT max(last_payment + 1, first_payment, 1) FROM merchant WHERE id = ?1";
    let next: i64 = one(tx.conn, sql, [merchant.to_string()], |row| row.get(0))?
        .ok_or(StoreError::NotFound("merchant"))?;
    let next = u32::try_from(next).unwrap_or(u32::MAX);
    numbers.insert(merchant, next);
    Ok(next)
}

/// The version of a merchant's configuration, 0 when there is no such merchant.
pub(super) fn version(tx: &Tx<'_>, merchant: MerchantId) -> Result<u64> {
    if let Some(version) = tx.batch.versions.borrow().get(&merchant) {
        return Ok(*version);
    }
    let version = config::version(tx.conn, merchant)?;
    tx.batch.versions.borrow_mut().insert(merchant, version);
    Ok(version)
}

/// Forgets a merchant's version and writes the last number that its payments got: what it is set up with changes.
pub(super) fn forget(tx: &Tx<'_>, merchant: MerchantId) -> Result<()> {
    tx.batch.versions.borrow_mut().remove(&merchant);
    let last = tx.batch.numbers.borrow_mut().remove(&merchant);
    last.map_or(Ok(()), |last| write_number(tx.conn, merchant, last)).map_err(super::error::from_sqlite)
}

/// Takes the numbers of so many leases; gives the first of them.
pub(super) fn take_tokens(tx: &Tx<'_>, count: usize) -> Result<u64> {
    tx.batch.take();
    let before = last_token(tx)?;
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    tx.batch.token.set(Some((before.saturating_add(count), true)));
    Ok(before.saturating_add(1))
}

/// The number of the last lease.
pub(super) fn last_token(tx: &Tx<'_>) -> Result<u64> {
    if let Some((last, _)) = tx.batch.token.get() {
        return Ok(last);
    }
    let sql = "SELECT value FROM counter WHERE name = 'fence'";
    let last = one(tx.conn, sql, [], |row| row.get(0))?.map_or(0, uint);
    tx.batch.token.set(Some((last, false)));
    Ok(last)
}

/// Whether any lane may be held: mostly none is.
pub(super) fn any_hold(tx: &Tx<'_>) -> Result<bool> {
    any(tx, &tx.batch.holds, "SELECT 1 FROM hold LIMIT 1")
}

/// A lane is held from now on.
pub(super) fn note_hold(tx: &Tx<'_>) {
    tx.batch.holds.set(Some(true));
}

/// Whether any endpoint may be failing.
pub(super) fn any_failing(tx: &Tx<'_>) -> Result<bool> {
    any(tx, &tx.batch.failing, "SELECT 1 FROM health LIMIT 1")
}

/// An endpoint fails from now on.
pub(super) fn note_failing(tx: &Tx<'_>) {
    tx.batch.failing.set(Some(true));
}

fn any(tx: &Tx<'_>, known: &Cell<Option<bool>>, sql: &str) -> Result<bool> {
    if let Some(known) = known.get() {
        return Ok(known);
    }
    let found = one(tx.conn, sql, [], |row| row.get::<_, i64>(0))?.is_some();
    known.set(Some(found));
    Ok(found)
}
