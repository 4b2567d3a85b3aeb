//! Records as text, and the few shapes of statement that all verbs are made of.

use rusqlite::{Connection, OptionalExtension, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::{Result, StoreError};
use super::error::from_sqlite;

/// Largest record, bytes of JSON.
const RECORD_MAX: usize = 32 * 1024 * 1024;
/// A record that most are not larger than, bytes of JSON.
const RECORD_USUAL: usize = 1_024;

/// A record as it is stored.
pub(super) fn to_text<T: Serialize>(record: &T) -> Result<String> {
    let wrong = |error: String| StoreError::Limit(format!("the record can't be written as JSON: {error}"));
    let mut text = Vec::with_capacity(RECORD_USUAL);
    serde_json::to_writer(&mut text, record).map_err(|error| wrong(error.to_string()))?;
    let text = String::from_utf8(text).map_err(|error| wrong(error.to_string()))?;
    if text.len() > RECORD_MAX {
        return Err(StoreError::Limit(format!(
            "the record has {} bytes; the store takes {RECORD_MAX}",
            text.len()
        )));
    }
    Ok(text)
}

/// A record as it was stored; `what` names it when it can't be read.
pub(super) fn from_text<T: DeserializeOwned>(text: &str, what: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("{what}: {error}")))
}

/// An id or a lane in a column.
pub(super) fn parse<T: std::str::FromStr>(text: &str) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| StoreError::Corrupt(error.to_string()))
}

/// A number as SQLite keeps it.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number as it was kept.
pub(super) fn uint(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Runs a statement; gives how many rows it changed.
pub(super) fn execute(conn: &Connection, sql: &str, params: impl Params) -> Result<usize> {
    conn.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).map_err(from_sqlite)
}

/// The one row of a query, if there is one.
pub(super) fn one<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    conn.prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(params, read).optional())
        .map_err(from_sqlite)
}

/// All rows of a query that is known to be small.
pub(super) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    conn.prepare_cached(sql)
        .and_then(|mut statement| statement.query_map(params, read)?.collect())
        .map_err(from_sqlite)
}

/// The text of a query's first column, if there is a row.
pub(super) fn text(conn: &Connection, sql: &str, params: impl Params) -> Result<Option<String>> {
    one(conn, sql, params, |row| row.get(0))
}

/// A record by its key: `sql` selects its text.
pub(super) fn record<T: DeserializeOwned>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    what: &str,
) -> Result<Option<T>> {
    text(conn, sql, params)?.map(|text| from_text(&text, what)).transpose()
}
