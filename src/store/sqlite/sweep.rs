//! Removing what is old. One call removes a bounded number of records, so that it never holds up the writer for
//! long; nothing goes that the queue still needs.

use rusqlite::{Connection, Row, params};

use super::super::{Cutoffs, Result, StoreError, StoreSize};
use super::rows::{all, execute, one, uint};
use super::writer::Tx;

/// Records of one call at the most, whatever the caller asks for.
const SWEEP_MAX: usize = 10_000;

pub(super) const OLD_REFUSED: &str = "DELETE FROM notification WHERE rowid IN (SELECT rowid FROM notification n \
     WHERE outcome IN ('rejected', 'duplicate') AND received_at < ?1 \
     AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.refers = n.id) ORDER BY received_at LIMIT ?2)";
pub(super) const OLD_NOTIFICATIONS: &str = "DELETE FROM notification WHERE rowid IN (SELECT rowid FROM notification n \
     WHERE outcome NOT IN ('rejected', 'duplicate') AND received_at < ?1 \
     AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.refers = n.id) ORDER BY received_at LIMIT ?2)";
pub(super) const OLD_EVENTS: &str = "SELECT merchant, id, payment FROM event e WHERE created_at < ?1 \
     AND NOT EXISTS (SELECT 1 FROM delivery d JOIN queue q ON q.work = d.id \
                     WHERE d.merchant = e.merchant AND d.payment = e.payment AND d.event = e.id) ORDER BY created_at LIMIT ?2";
pub(super) const OLD_PAYMENTS: &str = "SELECT merchant, number FROM payment p \
     WHERE updated_at < ?1 \
     AND NOT EXISTS (SELECT 1 FROM event e WHERE e.merchant = p.merchant AND e.payment = p.number) \
     AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.refers = p.merchant || '/' || p.number) \
     ORDER BY updated_at LIMIT ?2";
pub(super) const OLD_REPLAYS: &str = "DELETE FROM replay WHERE rowid IN (SELECT rowid FROM replay \
     WHERE json_extract(record, '$.status') <> 'running' AND json_extract(record, '$.updated_at') < ?1 \
     ORDER BY json_extract(record, '$.updated_at') LIMIT ?2)";
pub(super) const OLD_TALLIES: &str = "DELETE FROM tally WHERE (merchant, hour, key) IN \
     (SELECT merchant, hour, key FROM tally WHERE hour < ?1 ORDER BY hour LIMIT ?2)";
pub(super) const OLD_KEYS: &str = "DELETE FROM idempotency WHERE rowid IN (SELECT rowid FROM idempotency \
     WHERE at < ?1 AND (status IS NOT NULL OR held_until <= ?3) ORDER BY at LIMIT ?2)";

/// What may still go in this call.
struct Budget {
    max: usize,
    gone: usize,
}

impl Budget {
    fn left(&self) -> i64 {
        i64::try_from(self.max.saturating_sub(self.gone)).unwrap_or(0)
    }

    fn spent(&self) -> bool {
        self.gone >= self.max
    }

    fn spend(&mut self, gone: usize) {
        self.gone = self.gone.saturating_add(gone);
    }
}

pub(super) fn sweep(tx: &Tx<'_>, cutoffs: &Cutoffs, max: usize) -> Result<u64> {
    let mut budget = Budget { max: max.min(SWEEP_MAX), gone: 0 };
    gone_merchants(tx, &mut budget)?;
    for (sql, cutoff) in [(OLD_REFUSED, cutoffs.refused), (OLD_NOTIFICATIONS, cutoffs.notifications)] {
        if let Some(cutoff) = cutoff {
            budget.spend(execute(tx.conn, sql, params![cutoff, budget.left()])?);
        }
    }
    if let Some(cutoff) = cutoffs.events {
        old_events(tx, cutoff, &mut budget)?;
    }
    if let Some(cutoff) = cutoffs.payments {
        old_payments(tx, cutoff, &mut budget)?;
    }
    if let Some(cutoff) = cutoffs.replays {
        budget.spend(execute(tx.conn, OLD_REPLAYS, params![cutoff, budget.left()])?);
    }
    if let Some(cutoff) = cutoffs.tallies {
        budget.spend(execute(tx.conn, OLD_TALLIES, params![cutoff, budget.left()])?);
    }
    if let Some(cutoff) = cutoffs.idempotency {
        budget.spend(execute(tx.conn, OLD_KEYS, params![cutoff, budget.left(), tx.now])?);
    }
    Ok(u64::try_from(budget.gone).unwrap_or(0))
}

fn old_event(row: &Row<'_>) -> rusqlite::Result<(String, String, i64)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

/// Events go with their deliveries, and those with their attempts. Deliveries count; an event goes after the last
/// of them, perhaps in the next call.
fn old_events(tx: &Tx<'_>, cutoff: i64, budget: &mut Budget) -> Result<()> {
    for (merchant, event, payment) in all(tx.conn, OLD_EVENTS, params![cutoff, budget.left()], old_event)? {
        if budget.spent() {
            return Ok(());
        }
        let sql = "DELETE FROM attempt WHERE merchant = ?1 AND delivery IN \
                   (SELECT id FROM delivery WHERE merchant = ?1 AND payment = ?4 AND event = ?2 ORDER BY id LIMIT ?3)";
        execute(tx.conn, sql, params![merchant, event, budget.left(), payment])?;
        let sql = "DELETE FROM delivery WHERE rowid IN \
                   (SELECT rowid FROM delivery WHERE merchant = ?1 AND payment = ?4 AND event = ?2 ORDER BY id LIMIT ?3)";
        budget.spend(execute(tx.conn, sql, params![merchant, event, budget.left(), payment])?);
        if budget.spent() {
            return Ok(());
        }
        let sql = "DELETE FROM event WHERE merchant = ?1 AND id = ?2";
        budget.spend(execute(tx.conn, sql, params![merchant, event])?);
    }
    Ok(())
}

fn old_payments(tx: &Tx<'_>, cutoff: i64, budget: &mut Budget) -> Result<()> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let old: Vec<(String, i64)> = all(tx.conn, OLD_PAYMENTS, params![cutoff, budget.left()], read)?;
    for (merchant, number) in old {
        let sql = "DELETE FROM payment_link WHERE merchant = ?1 AND number = ?2";
        execute(tx.conn, sql, params![merchant, number])?;
        let sql = "DELETE FROM payment WHERE merchant = ?1 AND number = ?2";
        budget.spend(execute(tx.conn, sql, params![merchant, number])?);
    }
    Ok(())
}

/// What deleted merchants left behind.
fn gone_merchants(tx: &Tx<'_>, budget: &mut Budget) -> Result<()> {
    while !budget.spent() {
        let sql = "SELECT merchant FROM gone LIMIT 1";
        let Some(merchant) = one(tx.conn, sql, [], |row| row.get::<_, String>(0))? else { return Ok(()) };
        for table in ["delivery", "event", "notification", "payment", "replay"] {
            let sql = format!(
                "DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE merchant = ?1 LIMIT ?2)"
            );
            budget.spend(execute(tx.conn, &sql, params![merchant, budget.left()])?);
        }
        let keyed = [
            ("attempt", "delivery, number"),
            ("payment_link", "integration, provider_id"),
            ("tally", "hour, key"),
        ];
        for (table, key) in keyed {
            let sql = format!(
                "DELETE FROM {table} WHERE merchant = ?1 AND ({key}) IN \
                 (SELECT {key} FROM {table} WHERE merchant = ?1 LIMIT ?2)"
            );
            budget.spend(execute(tx.conn, &sql, params![merchant, budget.left()])?);
        }
        if !budget.spent() {
            execute(tx.conn, "DELETE FROM gone WHERE merchant = ?1", [&merchant])?;
        }
    }
    Ok(())
}

/// The pages that are in use.
pub(super) fn size(conn: &Connection) -> Result<StoreSize> {
    let pragma = |name: &str| {
        let value = one(conn, &format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))?;
        Ok::<u64, StoreError>(value.map_or(0, uint))
    };
    let page = pragma("page_size")?;
    let used = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
    Ok(StoreSize { bytes: used.saturating_mul(page), bytes_max: None })
}
