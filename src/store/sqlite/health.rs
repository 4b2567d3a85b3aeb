//! Endpoints that fail.

use rusqlite::{Connection, params};

use super::super::{Failing, HealthChange, Result};
use super::batch;
use super::rows::{all, execute, parse};
use super::writer::Tx;
use crate::domain::delivery::Attempt;
use crate::domain::health::Health;
use crate::domain::ids::{EndpointId, MerchantId};

/// Notes what an attempt says of its endpoint. For a success nothing is written but where there is something to end.
pub(super) fn note(tx: &Tx<'_>, merchant: MerchantId, endpoint: EndpointId, attempt: &Attempt) -> Result<()> {
    let Some(health) = Health::after(attempt) else { return forget(tx, merchant, endpoint) };
    let sql = "INSERT INTO health (merchant, endpoint, failing_since, last_failure_at, last_status, last_error) \
               SELECT merchant, id, ?3, ?3, ?4, ?5 FROM endpoint WHERE merchant = ?1 AND id = ?2 \
               ON CONFLICT (merchant, endpoint) DO UPDATE SET \
               last_failure_at = max(last_failure_at, excluded.last_failure_at), \
               last_status = excluded.last_status, last_error = excluded.last_error";
    execute(
        tx.conn,
        sql,
        params![
            merchant.to_string(),
            endpoint.to_string(),
            health.failing_since,
            health.last_status,
            health.last_error,
        ],
    )?;
    batch::note_failing(tx);
    Ok(())
}

fn forget(tx: &Tx<'_>, merchant: MerchantId, endpoint: EndpointId) -> Result<()> {
    if !batch::any_failing(tx)? {
        return Ok(());
    }
    let sql = "DELETE FROM health WHERE merchant = ?1 AND endpoint = ?2";
    execute(tx.conn, sql, [merchant.to_string(), endpoint.to_string()])?;
    Ok(())
}

pub(super) fn change(
    tx: &Tx<'_>,
    merchant: MerchantId,
    endpoint: EndpointId,
    change: HealthChange,
) -> Result<()> {
    match change {
        HealthChange::Forget => forget(tx, merchant, endpoint),
        HealthChange::Told { since, stage } => {
            let sql = "UPDATE health SET told = max(told, ?4) \
                       WHERE merchant = ?1 AND endpoint = ?2 AND failing_since = ?3";
            execute(tx.conn, sql, params![merchant.to_string(), endpoint.to_string(), since, stage])?;
            Ok(())
        }
    }
}

pub(super) fn failing(conn: &Connection, merchant: Option<MerchantId>) -> Result<Vec<Failing>> {
    let sql = "SELECT merchant, endpoint, failing_since, last_failure_at, last_status, last_error, told \
               FROM health WHERE merchant >= ?1 AND merchant <= ?2 ORDER BY merchant, endpoint";
    // Above every id: they are ASCII.
    let of = |end: &str| merchant.map_or_else(|| end.to_owned(), |merchant| merchant.to_string());
    let rows = all(conn, sql, [of(""), of("\u{7f}")], |row| {
        let health = Health {
            failing_since: row.get(2)?,
            last_failure_at: row.get(3)?,
            last_status: row.get(4)?,
            last_error: row.get(5)?,
            told: row.get(6)?,
        };
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, health))
    })?;
    rows.into_iter()
        .map(|(merchant, endpoint, health)| {
            Ok(Failing { merchant: parse(&merchant)?, endpoint: parse(&endpoint)?, health })
        })
        .collect()
}
