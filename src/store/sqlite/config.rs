//! What people set up: merchants with their integrations and endpoints, inbound tokens, API tokens.

use rusqlite::{Connection, params};

use super::super::{ConfigChange, Conflict, Holding, Result, StoreError};
use super::rows::{all, execute, from_text, int, one, parse, record, to_text, uint};
use super::writer::Tx;
use super::{batch, holds};
use crate::domain::config::{Endpoint, Integration, Merchant, MerchantConfig};
use crate::domain::ids::{EndpointId, IntegrationId, MerchantId, TokenId};
use crate::domain::job::Lane;
use crate::domain::people::ApiToken;

/// The version of a merchant's configuration, 0 when there is no such merchant.
pub(super) fn version(conn: &Connection, merchant: MerchantId) -> Result<u64> {
    let sql = "SELECT version FROM merchant WHERE id = ?1";
    Ok(one(conn, sql, [merchant.to_string()], |row| row.get(0))?.map_or(0, uint))
}

pub(super) fn change(
    tx: &Tx<'_>,
    merchant: MerchantId,
    change: &ConfigChange,
    expected: Option<u64>,
) -> Result<u64> {
    let version = version(tx.conn, merchant)?;
    let creates = matches!(change, ConfigChange::CreateMerchant(_));
    match (version, creates) {
        (0, false) => return Err(StoreError::NotFound("merchant")),
        (1.., true) => return Err(StoreError::Conflict(Conflict::Exists)),
        (0, true) if is_leaving(tx, merchant)? => return Err(StoreError::Conflict(Conflict::Leaving)),
        _ => {}
    }
    if expected.is_some_and(|expected| expected != version) {
        return Err(StoreError::Conflict(Conflict::Config));
    }
    batch::forget(tx, merchant)?;
    apply(tx, merchant, change)?;
    // At least the time, so that one who is made anew after it was deleted does not get numbers that a router has at hand.
    let next = version.saturating_add(1).max(uint(tx.now));
    let sql = "UPDATE merchant SET version = ?2 WHERE id = ?1";
    execute(tx.conn, sql, params![merchant.to_string(), int(next)])?;
    Ok(next)
}

/// Whether a merchant was deleted, and a sweep has still to remove its records: those of a new one would go with them.
fn is_leaving(tx: &Tx<'_>, merchant: MerchantId) -> Result<bool> {
    let sql = "SELECT 1 FROM gone WHERE merchant = ?1";
    Ok(one(tx.conn, sql, [merchant.to_string()], |row| row.get::<_, i64>(0))?.is_some())
}

fn apply(tx: &Tx<'_>, merchant: MerchantId, change: &ConfigChange) -> Result<()> {
    match change {
        ConfigChange::CreateMerchant(new) => {
            let sql = "INSERT INTO merchant (id, version, first_payment, last_payment, record) \
                       VALUES (?1, 0, ?2, 0, ?3)";
            execute(tx.conn, sql, params![merchant.to_string(), new.first_payment, to_text(new)?])?;
        }
        ConfigChange::UpdateMerchant(new) => {
            let sql = "UPDATE merchant SET first_payment = ?2, record = ?3 WHERE id = ?1";
            execute(tx.conn, sql, params![merchant.to_string(), new.first_payment, to_text(new)?])?;
        }
        ConfigChange::DeleteMerchant => delete_merchant(tx, merchant)?,
        ConfigChange::PutIntegration(integration) => put_integration(tx, merchant, integration)?,
        ConfigChange::DeleteIntegration(id) => delete_integration(tx, merchant, *id)?,
        ConfigChange::PutEndpoint(endpoint) => put_endpoint(tx, merchant, endpoint)?,
        ConfigChange::DeleteEndpoint(id) => delete_endpoint(tx, merchant, *id)?,
    }
    Ok(())
}

fn put_integration(tx: &Tx<'_>, merchant: MerchantId, integration: &Integration) -> Result<()> {
    let (merchant, id) = (merchant.to_string(), integration.id.to_string());
    let sql = "INSERT INTO integration (merchant, id, record) VALUES (?1, ?2, ?3) \
               ON CONFLICT (merchant, id) DO UPDATE SET record = excluded.record";
    execute(tx.conn, sql, params![merchant, id, to_text(integration)?])?;
    let sql = "DELETE FROM inbound_token WHERE merchant = ?1 AND integration = ?2";
    execute(tx.conn, sql, params![merchant, id])?;
    for token in &integration.tokens {
        // A hash that belongs to another integration breaks the primary key: Conflict::Exists.
        let sql =
            "INSERT INTO inbound_token (hash, merchant, integration, expires_at) VALUES (?1, ?2, ?3, ?4)";
        execute(tx.conn, sql, params![token.hash, merchant, id, token.expires_at])?;
    }
    Ok(())
}

fn delete_integration(tx: &Tx<'_>, merchant: MerchantId, id: IntegrationId) -> Result<()> {
    let (merchant, id) = (merchant.to_string(), id.to_string());
    let key = [&merchant, &id];
    execute(tx.conn, "DELETE FROM inbound_token WHERE merchant = ?1 AND integration = ?2", key)?;
    let gone = execute(tx.conn, "DELETE FROM integration WHERE merchant = ?1 AND id = ?2", key)?;
    if gone == 0 { Err(StoreError::NotFound("integration")) } else { Ok(()) }
}

fn put_endpoint(tx: &Tx<'_>, merchant: MerchantId, endpoint: &Endpoint) -> Result<()> {
    let sql = "INSERT INTO endpoint (merchant, id, record) VALUES (?1, ?2, ?3) \
               ON CONFLICT (merchant, id) DO UPDATE SET record = excluded.record";
    execute(tx.conn, sql, params![merchant.to_string(), endpoint.id.to_string(), to_text(endpoint)?])?;
    Ok(())
}

fn delete_endpoint(tx: &Tx<'_>, merchant: MerchantId, id: EndpointId) -> Result<()> {
    let (merchant, name) = (merchant.to_string(), id.to_string());
    let key = [&merchant, &name];
    execute(tx.conn, "DELETE FROM health WHERE merchant = ?1 AND endpoint = ?2", key)?;
    let gone = execute(tx.conn, "DELETE FROM endpoint WHERE merchant = ?1 AND id = ?2", key)?;
    if gone == 0 {
        return Err(StoreError::NotFound("endpoint"));
    }
    // What waits there goes on at once: there is nobody any more who could be spared.
    holds::set(tx, &Lane::Endpoint(id).to_string(), Holding::Lift)
}

/// The merchant, what it set up and what waits for it go at once; its records, which may be many, go with the next
/// sweeps. The audit log stays.
fn delete_merchant(tx: &Tx<'_>, merchant: MerchantId) -> Result<()> {
    let merchant = merchant.to_string();
    let key = [&merchant];
    // The whole queue is read here, once in a merchant's life; an index by merchant would cost every delivery.
    let lanes = "DELETE FROM lane WHERE lane IN (SELECT DISTINCT lane FROM queue WHERE merchant = ?1)";
    execute(tx.conn, lanes, key)?;
    let holds = "DELETE FROM hold WHERE lane IN (SELECT DISTINCT lane FROM queue WHERE merchant = ?1 \
                 UNION SELECT id FROM endpoint WHERE merchant = ?1)";
    execute(tx.conn, holds, key)?;
    for table in ["queue", "inbound_token", "integration", "endpoint", "health", "api_token"] {
        execute(tx.conn, &format!("DELETE FROM {table} WHERE merchant = ?1"), key)?;
    }
    execute(tx.conn, "DELETE FROM merchant WHERE id = ?1", key)?;
    execute(tx.conn, "INSERT INTO gone (merchant) VALUES (?1)", key)?;
    Ok(())
}

pub(super) fn load(conn: &Connection, merchant: MerchantId) -> Result<Option<MerchantConfig>> {
    let merchant = merchant.to_string();
    let key = [&merchant];
    let found: Option<(i64, String)> =
        one(conn, "SELECT version, record FROM merchant WHERE id = ?1", key, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let Some((version, record)) = found else { return Ok(None) };
    let texts = |sql| all(conn, sql, key, |row| row.get::<_, String>(0));
    let integrations = texts("SELECT record FROM integration WHERE merchant = ?1 ORDER BY id")?;
    let endpoints = texts("SELECT record FROM endpoint WHERE merchant = ?1 ORDER BY id")?;
    Ok(Some(MerchantConfig {
        version: uint(version),
        merchant: from_text::<Merchant>(&record, "merchant")?,
        integrations: integrations
            .iter()
            .map(|text| from_text(text, "integration"))
            .collect::<Result<_>>()?,
        endpoints: endpoints.iter().map(|text| from_text(text, "endpoint")).collect::<Result<_>>()?,
    }))
}

pub(super) fn find_token(
    conn: &Connection,
    hash: &str,
    now: i64,
) -> Result<Option<(MerchantId, IntegrationId)>> {
    let sql = "SELECT merchant, integration FROM inbound_token \
               WHERE hash = ?1 AND (expires_at IS NULL OR expires_at > ?2)";
    let found: Option<(String, String)> =
        one(conn, sql, params![hash, now], |row| Ok((row.get(0)?, row.get(1)?)))?;
    found.map(|(merchant, integration)| Ok((parse(&merchant)?, parse(&integration)?))).transpose()
}

pub(super) fn put_api_token(tx: &Tx<'_>, token: &ApiToken) -> Result<()> {
    // Another token with the same hash breaks UNIQUE: Conflict::Exists.
    let sql = "INSERT INTO api_token (id, hash, merchant, record) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (id) DO UPDATE \
               SET hash = excluded.hash, merchant = excluded.merchant, record = excluded.record";
    let merchant = token.merchant.map(|merchant| merchant.to_string());
    execute(tx.conn, sql, params![token.id.to_string(), token.hash, merchant, to_text(token)?])?;
    Ok(())
}

pub(super) fn api_token(conn: &Connection, hash: &str) -> Result<Option<ApiToken>> {
    record(conn, "SELECT record FROM api_token WHERE hash = ?1", [hash], "API token")
}

pub(super) fn delete_api_token(tx: &Tx<'_>, id: TokenId) -> Result<()> {
    execute(tx.conn, "DELETE FROM api_token WHERE id = ?1", [id.to_string()])?;
    Ok(())
}
