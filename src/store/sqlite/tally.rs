//! Counters of the statistics.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use crate::domain::ids::MerchantId;

/// A bucket of the statistics, milliseconds.
const HOUR: i64 = 60 * 60 * 1000;

/// A counter in its hour.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Bucket {
    merchant: MerchantId,
    hour: i64,
    key: String,
}

impl Bucket {
    /// The counter of a merchant at a time (Unix milliseconds).
    pub(super) fn of(merchant: MerchantId, now: i64, key: &str) -> Bucket {
        Bucket { merchant, hour: now.saturating_sub(now.rem_euclid(HOUR)), key: key.to_owned() }
    }
}

/// Moves the counters.
pub(super) fn write(conn: &Connection, moves: &HashMap<Bucket, i64>) -> rusqlite::Result<()> {
    let sql = "INSERT INTO tally (merchant, hour, key, value) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (merchant, hour, key) DO UPDATE SET value = value + excluded.value";
    for (bucket, by) in moves {
        let merchant = bucket.merchant.to_string();
        conn.prepare_cached(sql)?.execute(params![merchant, bucket.hour, bucket.key, by])?;
    }
    Ok(())
}
