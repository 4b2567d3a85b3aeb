//! Lanes that are held. Such a lane is not among those whose turn it may be: no claim looks at it before its time,
//! and then for one entry only.

use rusqlite::{Connection, params};

use super::super::{HELD_COUNTED_MAX, Held, Holding, Result};
use super::batch;
use super::queue::{Entry, lane_changes};
use super::rows::{all, execute, int, one, uint};
use super::writer::Tx;
use crate::domain::job::Lane;

/// A hold that ran out so long ago, and in whose lane nothing waits, is forgotten. Milliseconds.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// How many of those go at once.
const FORGOTTEN_MAX: i64 = 10;

pub(super) const DUE: &str = "SELECT lane, step FROM hold WHERE due <= ?1 ORDER BY due LIMIT ?2";
pub(super) const FORGET: &str = "DELETE FROM hold WHERE lane IN \
     (SELECT lane FROM hold WHERE due IS NULL AND until < ?1 ORDER BY until LIMIT ?2)";

pub(super) const HELD: &str = "SELECT until, step, since, tried_until, (SELECT count(*) FROM \
     (SELECT 1 FROM queue WHERE queue.lane = ?1 AND lease_until IS NULL LIMIT ?2)) FROM hold WHERE hold.lane = ?1";

/// Holds a lane, or lifts the hold.
pub(super) fn set(tx: &Tx<'_>, lane: &str, holding: Holding) -> Result<()> {
    match holding {
        Holding::Until { until, step } => {
            execute(tx.conn, FORGET, params![tx.now.saturating_sub(KEPT_MS), FORGOTTEN_MAX])?;
            let sql = "INSERT INTO hold (lane, until, step, since) VALUES (?1, ?2, ?3, ?4) \
                       ON CONFLICT (lane) DO UPDATE SET until = excluded.until, step = excluded.step";
            execute(tx.conn, sql, params![lane, until, step, tx.now])?;
            batch::note_hold(tx);
            execute(tx.conn, "DELETE FROM lane WHERE lane = ?1", [lane])?;
            lane_changes(tx, lane, None)
        }
        Holding::Lift => {
            if execute(tx.conn, "DELETE FROM hold WHERE lane = ?1", [lane])? == 0 {
                return Ok(());
            }
            lane_changes(tx, lane, Some(int(batch::last_token(tx)?)))
        }
    }
}

/// Whether a lane is held.
pub(super) fn held(tx: &Tx<'_>, lane: &str) -> Result<bool> {
    if !batch::any_hold(tx)? {
        return Ok(false);
    }
    let found: Option<i64> = one(tx.conn, "SELECT 1 FROM hold WHERE lane = ?1", [lane], |row| row.get(0))?;
    Ok(found.is_some())
}

/// An entry that waits has come into a lane; gives whether that is held.
pub(super) fn gains(tx: &Tx<'_>, lane: &str, due: i64) -> Result<bool> {
    if !batch::any_hold(tx)? {
        return Ok(false);
    }
    let sql = "UPDATE hold SET due = min(coalesce(due, ?3), max(until, ?2)) WHERE lane = ?1";
    Ok(execute(tx.conn, sql, params![lane, due, i64::MAX])? > 0)
}

/// The first entry that waits in a lane has another due time; gives whether that is held.
pub(super) fn changes(tx: &Tx<'_>, lane: &str, first: Option<i64>) -> Result<bool> {
    if !batch::any_hold(tx)? {
        return Ok(false);
    }
    let sql = "UPDATE hold SET due = max(until, ?2) WHERE lane = ?1";
    Ok(execute(tx.conn, sql, params![lane, first])? > 0)
}

/// The one entry of a held lane was taken: the lane is held as long as its lease lasts.
pub(super) fn taken(tx: &Tx<'_>, lane: &str, lease_until: i64) -> Result<()> {
    let sql = "UPDATE hold SET until = ?2, tried_until = ?2 WHERE lane = ?1";
    execute(tx.conn, sql, params![lane, lease_until])?;
    Ok(())
}

/// A lease was given up. If the lane was held for as long as that lasts, another may try now.
pub(super) fn given_back(tx: &Tx<'_>, entry: &Entry) -> Result<()> {
    let sql = "UPDATE hold SET until = ?3 WHERE lane = ?1 AND until = ?2";
    if execute(tx.conn, sql, params![entry.lane, entry.lease_until, tx.now])? > 0 {
        lane_changes(tx, &entry.lane, None)?;
    }
    Ok(())
}

/// The leases of an owner (of all: `None`) are about to be ended: lanes that are held only for as long as one of them
/// lasts may be tried again.
pub(super) fn probes_end(tx: &Tx<'_>, owner: Option<&str>) -> Result<()> {
    if !batch::any_hold(tx)? {
        return Ok(());
    }
    let sql = "SELECT h.lane FROM hold h JOIN queue q ON q.lease_until = h.until AND q.lane = h.lane \
               WHERE h.until > ?1 AND h.tried_until = h.until AND (?2 IS NULL OR q.owner = ?2)";
    let lanes: Vec<String> = all(tx.conn, sql, params![tx.now, owner], |row| row.get(0))?;
    for lane in lanes {
        execute(tx.conn, "UPDATE hold SET until = ?2 WHERE lane = ?1", params![lane, tx.now])?;
        lane_changes(tx, &lane, None)?;
    }
    Ok(())
}

/// Those of some lanes that are held.
pub(super) fn of(conn: &Connection, lanes: &[Lane]) -> Result<Vec<(Lane, Held)>> {
    let most = i64::try_from(HELD_COUNTED_MAX).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    for lane in lanes {
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Held {
                until: row.get(0)?,
                step: step_of(row.get(1)?),
                since: row.get(2)?,
                tried_until: row.get(3)?,
                waiting: uint(row.get(4)?),
            })
        };
        let row = one(conn, HELD, params![lane.to_string(), most], read)?;
        found.extend(row.map(|held| (*lane, held)));
    }
    Ok(found)
}

/// Lanes whose hold ran out and in which something is due, the longest waiting first.
pub(super) fn due(tx: &Tx<'_>, max: usize) -> Result<Vec<(String, u32)>> {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?));
    let rows: Vec<(String, i64)> = all(tx.conn, DUE, [tx.now, max], read)?;
    Ok(rows.into_iter().map(|(lane, step)| (lane, step_of(step))).collect())
}

fn step_of(step: i64) -> u32 {
    u32::try_from(uint(step)).unwrap_or(u32::MAX)
}
