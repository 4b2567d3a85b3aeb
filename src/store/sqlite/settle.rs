//! What came of work, and what people change on deliveries.

use rusqlite::params;

use super::super::{Conflict, Result, Settle, SettleEnd, StoreError};
use super::rows::{execute, int, one, to_text};
use super::writer::Tx;
use super::{commit, health, holds, queue};
use crate::domain::delivery::{Attempt, Delivery};
use crate::domain::ids::{DeliveryId, MerchantId};
use crate::domain::job::{Job, Lane, WorkId};
use crate::limits::ATTEMPTS_KEPT;

pub(super) fn settle(tx: &Tx<'_>, settle: Settle) -> Result<()> {
    let about = match &settle.end {
        SettleEnd::Delivery { delivery, .. } => WorkId::Delivery(delivery.id),
        SettleEnd::Job { job, .. } => WorkId::Job(job.id),
    };
    if about != settle.fence.work {
        return Err(StoreError::Conflict(Conflict::Lease));
    }
    match settle.end {
        SettleEnd::Delivery { delivery, attempt }
            if settle.hold.is_none() && delivery.next_attempt_at.is_none() =>
        {
            // The usual end needs nothing of the entry but that it is ours.
            if !queue::finish(tx, settle.merchant, settle.fence)? {
                return Err(StoreError::Conflict(Conflict::Lease));
            }
            note_attempt(tx, settle.merchant, &delivery, attempt.as_ref())?;
            write_delivery(tx, settle.merchant, *delivery)?;
            tx.tally(settle.merchant, &settle.tallies);
            Ok(())
        }
        end => settle_entry(tx, Settle { end, ..settle }),
    }
}

fn settle_entry(tx: &Tx<'_>, settle: Settle) -> Result<()> {
    let about = settle.fence.work;
    let entry = queue::leased(tx, settle.merchant, settle.fence)?;
    if let Some(holding) = settle.hold {
        holds::set(tx, &entry.lane, holding)?;
    }
    match settle.end {
        SettleEnd::Delivery { delivery, attempt } => {
            let next = delivery.next_attempt_at;
            let lane = Lane::Endpoint(delivery.endpoint).to_string();
            note_attempt(tx, settle.merchant, &delivery, attempt.as_ref())?;
            write_delivery(tx, settle.merchant, *delivery)?;
            queue::end_lease(tx, about, &lane, next)?;
        }
        SettleEnd::Job { job, again_in } => {
            let due = again_in.map(|ms| tx.now.saturating_add(int(ms)));
            keep_job(tx, &job)?;
            queue::end_lease(tx, about, &entry.lane, due)?;
        }
    }
    tx.tally(settle.merchant, &settle.tallies);
    Ok(())
}

fn note_attempt(
    tx: &Tx<'_>,
    merchant: MerchantId,
    delivery: &Delivery,
    attempt: Option<&Attempt>,
) -> Result<()> {
    let Some(attempt) = attempt else { return Ok(()) };
    put_attempt(tx, merchant, delivery.id, attempt)?;
    if attempt.excused { Ok(()) } else { health::note(tx, merchant, delivery.endpoint, attempt) }
}

fn keep_job(tx: &Tx<'_>, job: &Job) -> Result<()> {
    let sql = "UPDATE queue SET job = ?2 WHERE work = ?1";
    execute(tx.conn, sql, params![WorkId::Job(job.id).to_string(), commit::job_text(job)?])?;
    Ok(())
}

/// Writes a changed delivery over the version it was loaded with.
fn write_delivery(tx: &Tx<'_>, merchant: MerchantId, mut delivery: Delivery) -> Result<()> {
    let key = (merchant.to_string(), delivery.id.to_string());
    let loaded = delivery.version;
    delivery.version = loaded.saturating_add(1);
    // Only what may change: a column that is set has its indexes written anew, whatever its value.
    let sql = "UPDATE delivery SET version = ?4, status = ?5, record = ?6 \
               WHERE merchant = ?1 AND id = ?2 AND version = ?3";
    let changed = execute(
        tx.conn,
        sql,
        params![
            key.0,
            key.1,
            int(loaded),
            int(delivery.version),
            delivery.status.word(),
            to_text(&delivery)?,
        ],
    )?;
    if changed == 1 {
        return Ok(());
    }
    let sql = "SELECT 1 FROM delivery WHERE merchant = ?1 AND id = ?2";
    let there: Option<i64> = one(tx.conn, sql, params![key.0, key.1], |row| row.get(0))?;
    Err(there.map_or(StoreError::NotFound("delivery"), |_| StoreError::Conflict(Conflict::Delivery)))
}

fn put_attempt(tx: &Tx<'_>, merchant: MerchantId, delivery: DeliveryId, attempt: &Attempt) -> Result<()> {
    let (merchant, delivery) = (merchant.to_string(), delivery.to_string());
    let sql = "INSERT OR REPLACE INTO attempt (merchant, delivery, number, record) VALUES (?1, ?2, ?3, ?4)";
    execute(tx.conn, sql, params![merchant, delivery, attempt.number, to_text(attempt)?])?;
    let oldest_kept =
        i64::from(attempt.number).saturating_sub(i64::try_from(ATTEMPTS_KEPT).unwrap_or(i64::MAX));
    if oldest_kept < 1 {
        return Ok(());
    }
    let sql = "DELETE FROM attempt WHERE merchant = ?1 AND delivery = ?2 AND number <= ?3";
    execute(tx.conn, sql, params![merchant, delivery, oldest_kept])?;
    Ok(())
}

pub(super) fn update_delivery(tx: &Tx<'_>, delivery: Delivery) -> Result<()> {
    let (merchant, next) = (delivery.merchant, delivery.next_attempt_at);
    let work = WorkId::Delivery(delivery.id);
    let lane = Lane::Endpoint(delivery.endpoint);
    write_delivery(tx, merchant, delivery)?;
    let entry = queue::entry(tx, merchant, work)?;
    match (entry, next) {
        (None, None) => Ok(()),
        (None, Some(due)) => {
            queue::insert(tx, &queue::NewEntry { work, merchant, lane, due, job: None }, None)
        }
        // The attempt under way keeps its lease, and learns of the change when it settles. Should it never settle,
        // the entry goes on as was decided here when the lease runs out.
        (Some(entry), next) if entry.lease_until.is_some() => {
            execute(tx.conn, "UPDATE queue SET due = ?2 WHERE work = ?1", params![work.to_string(), next])?;
            Ok(())
        }
        (Some(entry), next) => {
            queue::end_lease(tx, work, &lane.to_string(), next)?;
            queue::lane_changes(tx, &entry.lane, None)
        }
    }
}
