//! `/merchants/{m}/stats`: counts by hour.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Need;
use super::context::Context;
use super::problem::Result;
use super::reply::Reply;
use super::schema::{MerchantPath, TimeQuery};
use crate::manage::time;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Longest stretch that can be asked for, days.
const DAYS_MAX: i64 = 31;

/// Counts of one hour.
#[derive(Debug, Serialize, ToSchema)]
pub struct HourView {
    /// RFC 3339: its start.
    hour: String,
    /// Counts by key, as in `totals`.
    counts: BTreeMap<String, i64>,
}

/// Counts of a stretch of time.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsView {
    /// RFC 3339: start of the first hour.
    from: String,
    /// RFC 3339: end of the last hour.
    to: String,
    /// Counts by area, what happened, and who: `{"event":{"succeeded":{"yookassa":3}}}`; where a count has no "who",
    /// it stands under `""`.
    totals: BTreeMap<String, BTreeMap<String, BTreeMap<String, i64>>>,
    /// Hours in which something was counted, newest first. Keys are `area.what.who`.
    hours: Vec<HourView>,
}

/// Counts and latency by provider, endpoint, state and hour; the last day by default.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/stats", tag = "stats", operation_id = "show_stats",
    params(MerchantPath, TimeQuery), responses((status = 200, body = StatsView)))]
pub async fn show(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?.config.merchant.id;
    let mut params = context.params()?;
    let now = context.manage().clock.now();
    // The present hour counts, also at its very start.
    let to = params.time("to").unwrap_or_else(|| now.saturating_add(1));
    let from = params.time("from").unwrap_or_else(|| to.saturating_sub(DAY_MS));
    if from >= to {
        params.wrong::<()>("from", "must be before to".to_owned());
    } else if to.saturating_sub(from) > DAYS_MAX * DAY_MS {
        params.wrong::<()>("from", format!("must be at most {DAYS_MAX} days before to"));
    }
    params.finish()?;
    // Whole hours: that is how they are kept.
    let from = from.div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
    let to = to.saturating_add(HOUR_MS - 1).div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
    let rows = context.store().tallies(merchant, from, to).await?;
    Ok(Reply::ok(&view(from, to, rows)))
}

fn view(from: i64, to: i64, rows: Vec<(i64, String, i64)>) -> StatsView {
    let mut totals: BTreeMap<String, BTreeMap<String, BTreeMap<String, i64>>> = BTreeMap::new();
    let mut hours: BTreeMap<i64, BTreeMap<String, i64>> = BTreeMap::new();
    for (hour, key, value) in rows {
        let mut parts = key.splitn(3, '.').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        let total = totals.entry(part()).or_default().entry(part()).or_default().entry(part()).or_default();
        *total = total.saturating_add(value);
        let count = hours.entry(hour).or_default().entry(key).or_default();
        *count = count.saturating_add(value);
    }
    let hours = hours.into_iter().rev().map(|(hour, counts)| HourView { hour: time::show(hour), counts });
    StatsView { from: time::show(from), to: time::show(to), totals, hours: hours.collect() }
}
