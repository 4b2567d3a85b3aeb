//! What came of work, and what people change on deliveries.

use rusqlite::params;

use super::super::{Conflict, Fence, Holding, Result, Settle, SettleEnd, StoreError, Tally};
use super::batch;
use super::rows::{execute, int, one, to_text};
use super::writer::Tx;
use super::{commit, health, holds, queue};
use crate::domain::delivery::{Attempt, Delivery};
use crate::domain::ids::{DeliveryId, JobId, MerchantId};
use crate::domain::job::{Lane, WorkId};
use crate::limits::ATTEMPTS_KEPT;

/// A delivery that changed, and its record as text, written before the writer's turn.
pub(super) struct Changed {
    /// With its new version.
    delivery: Box<Delivery>,
    text: String,
}

impl Changed {
    /// `delivery`: with the version it was loaded with.
    ///
    /// # Errors
    /// [`StoreError::Limit`] when the record is too large.
    pub(super) fn ready(mut delivery: Box<Delivery>) -> Result<Changed> {
        delivery.version = delivery.version.saturating_add(1);
        Ok(Changed { text: to_text(&*delivery)?, delivery })
    }
}

/// The end of a lease, its records as text.
pub(super) struct Settling {
    fence: Fence,
    merchant: MerchantId,
    end: End,
    hold: Option<Holding>,
    tallies: Vec<Tally>,
}

enum End {
    Delivery { changed: Changed, attempt: Option<(Attempt, String)> },
    Job { id: JobId, text: String, again_in: Option<u64> },
}

impl Settling {
    /// Writes the records as text.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the lease is one of other work, [`StoreError::Limit`] when a record is too large.
    pub(super) fn ready(settle: Settle) -> Result<Settling> {
        let Settle { fence, merchant, end, hold, tallies } = settle;
        let about = match &end {
            SettleEnd::Delivery { delivery, .. } => WorkId::Delivery(delivery.id),
            SettleEnd::Job { job, .. } => WorkId::Job(job.id),
        };
        if about != fence.work {
            return Err(StoreError::Conflict(Conflict::Lease));
        }
        let end = match end {
            SettleEnd::Delivery { delivery, attempt } => {
                let attempt = attempt.map(|attempt| to_text(&attempt).map(|text| (attempt, text)));
                End::Delivery { changed: Changed::ready(delivery)?, attempt: attempt.transpose()? }
            }
            SettleEnd::Job { job, again_in } => {
                End::Job { id: job.id, text: commit::job_text(&job)?, again_in }
            }
        };
        Ok(Settling { fence, merchant, end, hold, tallies })
    }
}

pub(super) fn settle(tx: &Tx<'_>, settling: &Settling) -> Result<()> {
    let Settling { fence, merchant, end, hold, tallies } = settling;
    match end {
        // The usual end needs nothing of the entry but that it is ours.
        End::Delivery { changed, attempt }
            if hold.is_none() && changed.delivery.next_attempt_at.is_none() =>
        {
            if !queue::finish(tx, *merchant, *fence)? {
                return Err(StoreError::Conflict(Conflict::Lease));
            }
            write_outcome(tx, *merchant, changed, attempt.as_ref())?;
        }
        end => settle_entry(tx, settling, end)?,
    }
    tx.tally(*merchant, tallies);
    Ok(())
}

fn settle_entry(tx: &Tx<'_>, settling: &Settling, end: &End) -> Result<()> {
    let about = settling.fence.work;
    let entry = queue::leased(tx, settling.merchant, settling.fence)?;
    if let Some(holding) = settling.hold {
        holds::set(tx, &entry.lane, holding)?;
    }
    match end {
        End::Delivery { changed, attempt } => {
            let lane = Lane::Endpoint(changed.delivery.endpoint).to_string();
            write_outcome(tx, settling.merchant, changed, attempt.as_ref())?;
            queue::end_lease(tx, about, &lane, changed.delivery.next_attempt_at)
        }
        End::Job { id, text, again_in } => {
            let due = again_in.map(|ms| tx.now.saturating_add(int(ms)));
            execute(
                tx.conn,
                "UPDATE queue SET job = ?2 WHERE work = ?1",
                params![WorkId::Job(*id).to_string(), text],
            )?;
            queue::end_lease(tx, about, &entry.lane, due)
        }
    }
}

/// Writes what came of an attempt, or of a delivery without one.
fn write_outcome(
    tx: &Tx<'_>,
    merchant: MerchantId,
    changed: &Changed,
    attempt: Option<&(Attempt, String)>,
) -> Result<()> {
    if let Some((attempt, text)) = attempt {
        put_attempt(tx, merchant, changed.delivery.id, attempt.number, text)?;
        if !attempt.excused {
            health::note(tx, merchant, changed.delivery.endpoint, attempt)?;
        }
    }
    write_delivery(tx, merchant, changed)
}

/// Writes a changed delivery over the version it was loaded with.
fn write_delivery(tx: &Tx<'_>, merchant: MerchantId, changed: &Changed) -> Result<()> {
    let Changed { delivery, text } = changed;
    let key = (merchant.to_string(), delivery.id.to_string());
    // Only what may change: a column that is set has its indexes written anew, whatever its value.
    let sql = "UPDATE delivery SET version = ?4, status = ?5, record = ?6 \
               WHERE merchant = ?1 AND id = ?2 AND version = ?3";
    let (loaded, version) = (delivery.version.saturating_sub(1), delivery.version);
    let row = params![key.0, key.1, int(loaded), int(version), delivery.status.word(), text];
    if execute(tx.conn, sql, row)? == 1 {
        return Ok(());
    }
    let sql = "SELECT 1 FROM delivery WHERE merchant = ?1 AND id = ?2";
    let there: Option<i64> = one(tx.conn, sql, params![key.0, key.1], |row| row.get(0))?;
    Err(there.map_or(StoreError::NotFound("delivery"), |_| StoreError::Conflict(Conflict::Delivery)))
}

fn put_attempt(
    tx: &Tx<'_>,
    merchant: MerchantId,
    delivery: DeliveryId,
    number: u32,
    text: &str,
) -> Result<()> {
    let (merchant, delivery) = (merchant.to_string(), delivery.to_string());
    let sql = "INSERT OR REPLACE INTO attempt (merchant, delivery, number, record) VALUES (?1, ?2, ?3, ?4)";
    execute(tx.conn, sql, params![merchant, delivery, number, text])?;
    let oldest_kept = i64::from(number).saturating_sub(i64::try_from(ATTEMPTS_KEPT).unwrap_or(i64::MAX));
    if oldest_kept < 1 {
        return Ok(());
    }
    let sql = "DELETE FROM attempt WHERE merchant = ?1 AND delivery = ?2 AND number <= ?3";
    execute(tx.conn, sql, params![merchant, delivery, oldest_kept])?;
    Ok(())
}

pub(super) fn update_delivery(tx: &Tx<'_>, changed: &Changed) -> Result<()> {
    let delivery = &*changed.delivery;
    let (merchant, next) = (delivery.merchant, delivery.next_attempt_at);
    let work = WorkId::Delivery(delivery.id);
    let lane = Lane::Endpoint(delivery.endpoint);
    if batch::version(tx, merchant)? == 0 {
        return Err(StoreError::NotFound("merchant"));
    }
    write_delivery(tx, merchant, changed)?;
    let entry = queue::entry(tx, merchant, work)?;
    match (entry, next) {
        (None, None) => Ok(()),
        (None, Some(due)) => {
            queue::insert(tx, &queue::NewEntry { work, merchant, lane, due, job: None, new_payment: 0 }, None)
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
