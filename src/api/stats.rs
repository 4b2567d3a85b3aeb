//! `/merchants/{m}/stats`: counts by hour.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Need;
use super::context::Context;
use super::problem::Result;
use super::reply::Reply;
use super::schema::{MerchantPath, TimeQuery};
use crate::domain::latency::{self, Histogram};
use crate::manage::time;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Longest stretch that can be asked for, days.
const DAYS_MAX: i64 = 31;

/// Latencies, milliseconds: each is the bound of the class into which it falls (1, 2, 3, 5, 7, 10, 15, … 1000, 2000, …),
/// so the true one is at most that.
#[derive(Debug, Serialize, ToSchema)]
pub struct LatencyView {
    /// How many.
    count: u64,
    /// Half of them took at most so long.
    p50: u32,
    /// 95 of 100.
    p95: u32,
    /// 99 of 100.
    p99: u32,
}

/// Latencies by what they are of, and by whom.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct LatenciesView {
    /// Of attempts, by endpoint: the subscriber's answers.
    attempt_ms: BTreeMap<String, LatencyView>,
    /// From the event to its delivery, by provider; replays do not count.
    event_to_delivery_ms: BTreeMap<String, LatencyView>,
}

/// Counts of one hour.
#[derive(Debug, Serialize, ToSchema)]
pub struct HourView {
    /// RFC 3339: its start.
    hour: String,
    /// Counts by key, as in `totals`.
    counts: BTreeMap<String, i64>,
    /// Latencies of the hour.
    latency: LatenciesView,
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
    /// Latencies of the whole stretch.
    latency: LatenciesView,
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

/// Histograms by area and by whom.
#[derive(Default)]
struct Latencies(BTreeMap<(String, String), Histogram>);

impl Latencies {
    /// Takes a counter if it is one of a histogram.
    fn take(&mut self, key: &str, value: i64) -> bool {
        let mut parts = key.splitn(3, '.');
        let (Some(area), Some(word)) = (parts.next(), parts.next()) else { return false };
        let Some(bound) = latency::bound(word) else { return false };
        let who = parts.next().unwrap_or_default();
        self.0.entry((area.to_owned(), who.to_owned())).or_default().add(bound, value);
        true
    }

    fn view(self) -> LatenciesView {
        let mut view = LatenciesView::default();
        for ((area, who), histogram) in self.0 {
            let [p50, p95, p99] = [50, 95, 99].map(|percent| histogram.percentile(percent));
            let latency = LatencyView { count: histogram.count(), p50, p95, p99 };
            let by = if area == "attempt" { &mut view.attempt_ms } else { &mut view.event_to_delivery_ms };
            by.insert(who, latency);
        }
        view
    }
}

#[derive(Default)]
struct Hour {
    counts: BTreeMap<String, i64>,
    latencies: Latencies,
}

fn view(from: i64, to: i64, rows: Vec<(i64, String, i64)>) -> StatsView {
    let mut totals: BTreeMap<String, BTreeMap<String, BTreeMap<String, i64>>> = BTreeMap::new();
    let mut hours: BTreeMap<i64, Hour> = BTreeMap::new();
    let mut latencies = Latencies::default();
    for (at, key, value) in rows {
        let hour = hours.entry(at).or_default();
        if latencies.take(&key, value) {
            hour.latencies.take(&key, value);
            continue;
        }
        let mut parts = key.splitn(3, '.').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        let total = totals.entry(part()).or_default().entry(part()).or_default().entry(part()).or_default();
        *total = total.saturating_add(value);
        let count = hour.counts.entry(key).or_default();
        *count = count.saturating_add(value);
    }
    let hours = hours.into_iter().rev().map(|(at, hour)| HourView {
        hour: time::show(at),
        counts: hour.counts,
        latency: hour.latencies.view(),
    });
    let hours = hours.collect();
    StatsView { from: time::show(from), to: time::show(to), totals, latency: latencies.view(), hours }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_stand_apart_from_counts() {
        let row = |hour: i64, key: &str, value| (hour * HOUR_MS, key.to_owned(), value);
        let rows = vec![
            row(1, "attempt.success.ep_1", 10),
            row(1, "attempt.le_20.ep_1", 9),
            row(1, "attempt.le_500.ep_1", 1),
            row(2, "attempt.le_1000.ep_1", 10),
            row(2, "wait.le_30.robokassa", 3),
        ];
        let view = serde_json::to_value(view(0, 3 * HOUR_MS, rows)).unwrap();
        assert_eq!(view["totals"], serde_json::json!({ "attempt": { "success": { "ep_1": 10 } } }));
        assert_eq!(
            view["latency"]["attempt_ms"]["ep_1"],
            serde_json::json!({ "count": 20, "p50": 500, "p95": 1000, "p99": 1000 })
        );
        assert_eq!(view["latency"]["event_to_delivery_ms"]["robokassa"]["p99"], 30);
        assert_eq!(view["hours"][1]["latency"]["attempt_ms"]["ep_1"]["p50"], 20);
        assert_eq!(view["hours"][0]["counts"], serde_json::json!({}));
    }
}
