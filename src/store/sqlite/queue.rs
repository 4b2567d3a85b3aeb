//! The queue's entries and lanes: the few moves that commit, claim, settle and update are made of.
//!
//! A lane's row holds the due time of the first entry that waits in it, so that a claim finds the lanes whose turn
//! it is without a look at the entries of the others. Leased entries don't count: a move into or out of a lease is
//! what changes a lane.

use std::borrow::Cow;

use rusqlite::{Connection, params};

use super::super::{Backlog, Conflict, Fence, Result, StoreError};
use super::holds;
use super::rows::{execute, int, one, uint};
use super::writer::Tx;
use crate::domain::ids::{DeliveryId, JobId, MerchantId, made_at};
use crate::domain::job::{Job, Lane, Task, WorkId};

/// An entry as it is found.
pub(super) struct Entry {
    pub(super) lane: String,
    pub(super) due: Option<i64>,
    pub(super) lease_until: Option<i64>,
    pub(super) token: i64,
}

/// A lease to be written.
pub(super) struct Lease<'a> {
    pub(super) owner: &'a str,
    pub(super) until: i64,
    pub(super) token: u64,
}

/// An entry to be written.
pub(super) struct NewEntry<'a> {
    pub(super) work: WorkId,
    pub(super) merchant: MerchantId,
    pub(super) lane: Lane,
    pub(super) due: i64,
    pub(super) job: Option<(&'a Job, Cow<'a, str>)>,
    /// The payment that the step makes, 0 for none: that of a job whose own is 0.
    pub(super) new_payment: u32,
}

/// Adds an entry. A job that is in the queue already stays as it is; a delivery must not be there.
pub(super) fn insert(tx: &Tx<'_>, entry: &NewEntry<'_>, lease: Option<&Lease<'_>>) -> Result<()> {
    let lane = entry.lane.to_string();
    let refers = entry.job.as_ref().and_then(|(job, _)| match &job.task {
        Task::Confirm { notification, .. } => Some(notification.to_string()),
        task => {
            let number = task.payment().map(|number| if number == 0 { entry.new_payment } else { number });
            number.map(|number| format!("{}/{number}", job.merchant))
        }
    });
    // A job whose id follows from what it is about may be there already.
    let sql = if entry.job.is_some() {
        "INSERT INTO queue (work, merchant, lane, due, lease_until, token, owner, refers, job) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (work) DO NOTHING"
    } else {
        "INSERT INTO queue (work, merchant, lane, due, lease_until, token, owner, refers, job) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
    };
    let added = execute(
        tx.conn,
        sql,
        params![
            entry.work.to_string(),
            entry.merchant.to_string(),
            lane,
            entry.due,
            lease.map(|lease| lease.until),
            lease.map_or(0, |lease| int(lease.token)),
            lease.map(|lease| lease.owner),
            refers,
            entry.job.as_ref().map(|(_, text)| text),
        ],
    )?;
    if lease.is_none() && added > 0 { lane_gains(tx, &lane, entry.due) } else { Ok(()) }
}

/// An entry that waits has come into a lane.
pub(super) fn lane_gains(tx: &Tx<'_>, lane: &str, due: i64) -> Result<()> {
    if holds::gains(tx, lane, due)? {
        return Ok(());
    }
    let sql = "INSERT INTO lane (lane, due) VALUES (?1, ?2) \
               ON CONFLICT (lane) DO UPDATE SET due = excluded.due WHERE excluded.due < lane.due";
    execute(tx.conn, sql, params![lane, due])?;
    Ok(())
}

/// An entry that waited has left a lane or moved in it. `turn`: its new place among the lanes whose turn it is,
/// `None` to keep the one it has.
pub(super) fn lane_changes(tx: &Tx<'_>, lane: &str, turn: Option<i64>) -> Result<()> {
    let first: Option<i64> = one(tx.conn, FIRST_OF_LANE, [lane], |row| row.get(0))?.flatten();
    if holds::changes(tx, lane, first)? {
        return Ok(());
    }
    match first {
        None => execute(tx.conn, "DELETE FROM lane WHERE lane = ?1", [lane])?,
        Some(due) => {
            let sql = "INSERT INTO lane (lane, due, turn) VALUES (?1, ?2, CASE WHEN ?2 <= ?3 THEN ?4 END) \
                       ON CONFLICT (lane) DO UPDATE SET due = excluded.due, \
                       turn = CASE WHEN excluded.due <= ?3 THEN coalesce(?4, lane.turn) END";
            execute(tx.conn, sql, params![lane, due, tx.now, turn])?
        }
    };
    Ok(())
}

pub(super) const FIRST_OF_LANE: &str = "SELECT min(due) FROM queue WHERE lane = ?1 AND lease_until IS NULL";

/// An entry of the queue.
pub(super) fn entry(tx: &Tx<'_>, merchant: MerchantId, work: WorkId) -> Result<Option<Entry>> {
    let sql = "SELECT lane, due, lease_until, token FROM queue WHERE work = ?1 AND merchant = ?2";
    one(tx.conn, sql, [work.to_string(), merchant.to_string()], |row| {
        Ok(Entry { lane: row.get(0)?, due: row.get(1)?, lease_until: row.get(2)?, token: row.get(3)? })
    })
}

/// The entry that a lease is about, if it is still the lease of its holder. One that ran out counts as long as
/// nobody else took the work.
pub(super) fn leased(tx: &Tx<'_>, merchant: MerchantId, fence: Fence) -> Result<Entry> {
    entry(tx, merchant, fence.work)?
        .filter(|entry| entry.lease_until.is_some() && entry.token == int(fence.token))
        .ok_or(StoreError::Conflict(Conflict::Lease))
}

/// Puts an entry (back) among those that wait.
pub(super) fn wait(tx: &Tx<'_>, work: WorkId, lane: &str, due: i64) -> Result<()> {
    let sql =
        "UPDATE queue SET lane = ?2, due = ?3, lease_until = NULL, token = 0, owner = NULL WHERE work = ?1";
    execute(tx.conn, sql, params![work.to_string(), lane, due])?;
    lane_gains(tx, lane, due)
}

/// Takes an entry out of the queue. When it waited, its lane has to be told.
pub(super) fn remove(tx: &Tx<'_>, work: WorkId) -> Result<()> {
    execute(tx.conn, "DELETE FROM queue WHERE work = ?1", [work.to_string()])?;
    Ok(())
}

/// Takes a job out of the queue that waits there; one that is leased stays.
pub(super) fn call_off(tx: &Tx<'_>, merchant: MerchantId, job: JobId) -> Result<()> {
    let work = WorkId::Job(job);
    let waits = entry(tx, merchant, work)?.filter(|entry| entry.lease_until.is_none());
    let Some(entry) = waits else { return Ok(()) };
    remove(tx, work)?;
    lane_changes(tx, &entry.lane, None)
}

/// Ends a lease without a result: the entry waits again as it did before, or leaves if that was decided meanwhile.
pub(super) fn end_lease(tx: &Tx<'_>, work: WorkId, lane: &str, due: Option<i64>) -> Result<()> {
    match due {
        Some(due) => wait(tx, work, lane, due),
        None => remove(tx, work),
    }
}

/// Takes a delivery's entry out of the queue by its lease alone; gives whether that is still the lease of its holder,
/// as [`leased`] does.
pub(super) fn finish(tx: &Tx<'_>, merchant: MerchantId, fence: Fence) -> Result<bool> {
    let sql =
        "DELETE FROM queue WHERE work = ?1 AND merchant = ?2 AND token = ?3 AND lease_until IS NOT NULL";
    let key = params![fence.work.to_string(), merchant.to_string(), int(fence.token)];
    Ok(execute(tx.conn, sql, key)? > 0)
}

/// Gives leased work back; leases that are lost are passed over.
pub(super) fn release(tx: &Tx<'_>, work: &[(MerchantId, Fence)]) -> Result<()> {
    for (merchant, fence) in work {
        match leased(tx, *merchant, *fence) {
            Ok(entry) => {
                end_lease(tx, fence.work, &entry.lane, entry.due)?;
                holds::given_back(tx, &entry)?;
            }
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Lets every lease run out: the next claim finds its work due again.
pub(super) fn end_all_leases(tx: &Tx<'_>) -> Result<()> {
    holds::probes_end(tx, None)?;
    execute(tx.conn, "UPDATE queue SET lease_until = 0 WHERE lease_until IS NOT NULL", [])?;
    Ok(())
}

/// Ids are in the order of their making, and begin with their kind.
pub(super) const OLDEST_DELIVERY: &str =
    "SELECT work FROM queue WHERE work >= 'dlv_' AND work < 'dlv`' ORDER BY work LIMIT 1";

/// What waits in a held lane, or is tried there, is due when the hold ends: `hold.due` is that already.
const OLDEST_DUE: &str = "SELECT min(due) FROM (SELECT min(due) AS due FROM lane \
     UNION ALL SELECT min(due) FROM hold WHERE due IS NOT NULL \
     UNION ALL SELECT min(max(queue.due, coalesce(hold.until, queue.due))) \
     FROM queue LEFT JOIN hold ON hold.lane = queue.lane WHERE lease_until IS NOT NULL)";

/// How much waits.
pub(super) fn backlog(conn: &Connection, now: i64) -> Result<Backlog> {
    let count = |sql, at: &[i64]| {
        Ok(one(conn, sql, rusqlite::params_from_iter(at), |row| row.get::<_, i64>(0))?.map_or(0, uint))
    };
    let oldest: Option<Option<i64>> = one(conn, OLDEST_DUE, [], |row| row.get(0))?;
    let first: Option<String> = one(conn, OLDEST_DELIVERY, [], |row| row.get(0))?;
    let first = first.and_then(|id| id.parse::<DeliveryId>().ok());
    Ok(Backlog {
        waiting: count("SELECT count(*) FROM queue", &[])?,
        leased: count("SELECT count(*) FROM queue WHERE lease_until > ?1", &[now])?,
        oldest_due: oldest.flatten(),
        oldest_delivery: first.map(|id| made_at(id.0)),
        held_lanes: count("SELECT count(*) FROM hold WHERE due IS NOT NULL OR until > ?1", &[now])?,
    })
}
