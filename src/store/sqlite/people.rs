//! What people do: bulk replays, the audit log, idempotency keys.

use rusqlite::{Connection, params};

use super::super::{Conflict, Hold, Idempotency, Result, StoreError};
use super::batch;
use super::rows::{execute, int, one, text, to_text};
use super::writer::Tx;
use crate::domain::ids::MerchantId;
use crate::domain::people::{AuditEntry, Replay};

pub(super) fn put_replay(tx: &Tx<'_>, replay: &Replay) -> Result<u64> {
    let version = replay.version.saturating_add(1);
    let record = to_text(&Replay { version, ..replay.clone() })?;
    if batch::version(tx, replay.merchant)? == 0 {
        return Err(StoreError::NotFound("merchant"));
    }
    let (merchant, id) = (replay.merchant.to_string(), replay.id.to_string());
    let sql = if replay.version == 0 {
        "INSERT INTO replay (merchant, id, version, record) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING"
    } else {
        "UPDATE replay SET version = ?3, record = ?4 WHERE merchant = ?1 AND id = ?2 AND version = ?3 - 1"
    };
    match execute(tx.conn, sql, params![merchant, id, int(version), record])? {
        0 => Err(StoreError::Conflict(Conflict::Replay)),
        _ => Ok(version),
    }
}

/// The name of a log: a merchant's, or the router's own.
fn log_of(merchant: Option<MerchantId>) -> String {
    merchant.map_or(String::new(), |merchant| merchant.to_string())
}

pub(super) const AUDIT_TAIL: &str = "SELECT hash FROM audit WHERE merchant = ?1 ORDER BY seq DESC LIMIT 1";

pub(super) fn audit_tail(conn: &Connection, merchant: Option<MerchantId>) -> Result<String> {
    Ok(text(conn, AUDIT_TAIL, [log_of(merchant)])?.unwrap_or_default())
}

pub(super) fn append_audit(tx: &Tx<'_>, entry: &AuditEntry, tail: &str) -> Result<()> {
    if audit_tail(tx.conn, entry.merchant)? != tail {
        return Err(StoreError::Conflict(Conflict::Audit));
    }
    let sql = "INSERT INTO audit (id, merchant, hash, record) VALUES (?1, ?2, ?3, ?4)";
    execute(
        tx.conn,
        sql,
        params![entry.id.to_string(), log_of(entry.merchant), entry.hash, to_text(entry)?],
    )?;
    Ok(())
}

struct Known {
    fingerprint: String,
    held_until: i64,
    status: Option<u16>,
    body: Option<String>,
}

pub(super) fn idempotency_begin(
    tx: &Tx<'_>,
    scope: &str,
    key: &str,
    fingerprint: &str,
    hold_ms: u64,
) -> Result<Idempotency> {
    let sql = "SELECT fingerprint, held_until, status, body FROM idempotency WHERE scope = ?1 AND key = ?2";
    let known = one(tx.conn, sql, [scope, key], |row| {
        Ok(Known {
            fingerprint: row.get(0)?,
            held_until: row.get(1)?,
            status: row.get(2)?,
            body: row.get(3)?,
        })
    })?;
    match known {
        Some(known) if known.body.is_some() || known.held_until > tx.now => {
            if known.fingerprint != fingerprint {
                return Ok(Idempotency::Mismatch);
            }
            Ok(match (known.status, known.body) {
                (Some(status), Some(body)) => Idempotency::Done { status, body },
                (None, Some(note)) if known.held_until <= tx.now => Idempotency::BrokenOff { note },
                _ => Idempotency::Running,
            })
        }
        // New, or its first request never came to an end and did nothing that it would have noted.
        _ => {
            let sql = "INSERT OR REPLACE INTO idempotency (scope, key, fingerprint, hold, held_until, at) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let hold = Hold::fresh();
            let held_until = tx.now.saturating_add(int(hold_ms));
            execute(tx.conn, sql, params![scope, key, fingerprint, hold.text(), held_until, tx.now])?;
            Ok(Idempotency::Fresh(hold))
        }
    }
}

pub(super) fn idempotency_note(tx: &Tx<'_>, scope: &str, key: &str, hold: Hold, note: &str) -> Result<()> {
    let sql = "UPDATE idempotency SET body = ?4 \
               WHERE scope = ?1 AND key = ?2 AND hold = ?3 AND status IS NULL";
    match execute(tx.conn, sql, params![scope, key, hold.text(), note])? {
        0 => Err(StoreError::Conflict(Conflict::Hold)),
        _ => Ok(()),
    }
}

pub(super) fn idempotency_finish(
    tx: &Tx<'_>,
    scope: &str,
    key: &str,
    hold: Hold,
    answer: Option<&(u16, String)>,
) -> Result<()> {
    let sql = "SELECT status IS NOT NULL FROM idempotency WHERE scope = ?1 AND key = ?2 AND hold = ?3";
    match one(tx.conn, sql, params![scope, key, hold.text()], |row| row.get(0))? {
        None => return Err(StoreError::Conflict(Conflict::Hold)),
        Some(true) => return Ok(()),
        Some(false) => {}
    }
    match answer {
        Some((status, body)) => {
            let sql = "UPDATE idempotency SET status = ?3, body = ?4 WHERE scope = ?1 AND key = ?2";
            execute(tx.conn, sql, params![scope, key, status, body])?;
        }
        None => {
            let sql = "DELETE FROM idempotency WHERE scope = ?1 AND key = ?2";
            execute(tx.conn, sql, [scope, key])?;
        }
    }
    Ok(())
}
