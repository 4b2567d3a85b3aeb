//! `kassir bench`: measures this machine. The router is the real binary in a process of its own; the senders, the
//! subscriber and the floor live in this one, on the same cores. What counts are the ratios of one run.

mod child;
mod floor;
mod load;
mod subscriber;

use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::json;

use crate::client::{Client, unguarded};
use crate::delivery::outbound::Outbound;
use crate::limits;

use child::Child;
use load::Load;
use subscriber::Subscriber;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `store.url` of the router under test; `None`: a throw-away embedded store.
    pub store: Option<String>,
    /// Notifications of each throughput measurement.
    pub count: usize,
    /// Senders at once.
    pub senders: usize,
    /// Rate of the latency measurement, per second.
    pub rate: u32,
    /// How long the latency is measured.
    pub latency_for: Duration,
}

/// The figures.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// The store, without a password.
    pub store: String,
    /// Bare handler with one durable write in the same kind of store: answers per second.
    pub floor_per_s: f64,
    /// The same, then one request to the same subscriber: arrivals per second.
    pub floor_end_to_end_per_s: f64,
    /// Notifications accepted per second, nothing to deliver.
    pub intake_per_s: f64,
    /// Intake as a part of the floor.
    pub intake_ratio: f64,
    /// Events per second from notification to subscriber.
    pub end_to_end_per_s: f64,
    /// The same as a part of its floor.
    pub end_to_end_ratio: f64,
    /// Processor time of the router per event end to end, milliseconds.
    pub cpu_ms_per_event: f64,
    /// From acceptance (the provider has its answer) to arrival, at the fixed rate, milliseconds: half of the events.
    pub latency_p50_ms: f64,
    /// … and 99 of 100.
    pub latency_p99_ms: f64,
    /// The fixed rate, per second.
    pub latency_rate: u32,
    /// Memory that the router holds at rest, before any work, MB.
    pub resident_mb: f64,
    /// … and after all of it, MB.
    pub resident_after_mb: f64,
}

/// Runs every measurement; each step is a line given to `say`.
///
/// # Errors
/// What went wrong, and in which step.
pub async fn run(plan: &Plan, say: &(dyn Fn(&str) + Send + Sync)) -> anyhow::Result<Figures> {
    let folder = std::env::temp_dir().join(format!("kassir-bench-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    let result = measure(plan, &folder, say).await;
    drop(std::fs::remove_dir_all(&folder));
    result
}

async fn measure(
    plan: &Plan,
    folder: &std::path::Path,
    say: &(dyn Fn(&str) + Send + Sync),
) -> anyhow::Result<Figures> {
    let wire = unguarded()?;
    say("floor: a bare handler with one durable write, then with a request to the subscriber");
    let floors = floor::measure(plan, folder, &wire).await?;
    say("starting the router");
    let child = Child::start(folder, plan.store.as_deref()).await?;
    let resident = child.resident_bytes()?;
    let client = child.client()?;
    let subscriber = Subscriber::start()?;
    say("intake: notifications accepted, nothing to deliver");
    let silent = shop(&client, None).await?;
    let intake = Load::new(&wire, &silent, 1).all(plan.count, plan.senders).await?;
    say("end to end: notification to subscriber");
    let shop = shop(&client, Some(&subscriber.url())).await?;
    let (cpu_before, watch) = (child.cpu()?, crate::clock::Stopwatch::start());
    Load::new(&wire, &shop, 1).all(plan.count, plan.senders).await?;
    subscriber.wait_for(plan.count).await?;
    let (end_to_end, cpu) = (watch.elapsed(), child.cpu()?.saturating_sub(cpu_before));
    say("latency at a fixed rate");
    let first = plan.count.saturating_add(1);
    let latencies = Load::new(&wire, &shop, first).at_rate(plan.rate, plan.latency_for, &subscriber).await?;
    let figures = Figures {
        store: child.store.clone(),
        floor_per_s: floors.intake,
        floor_end_to_end_per_s: floors.end_to_end,
        intake_per_s: per_second(plan.count, intake),
        intake_ratio: per_second(plan.count, intake) / floors.intake,
        end_to_end_per_s: per_second(plan.count, end_to_end),
        end_to_end_ratio: per_second(plan.count, end_to_end) / floors.end_to_end,
        cpu_ms_per_event: cpu.as_secs_f64() * 1000.0 / as_f64(plan.count),
        latency_p50_ms: percentile(&latencies, 50),
        latency_p99_ms: percentile(&latencies, 99),
        latency_rate: plan.rate,
        resident_mb: megabytes(resident),
        resident_after_mb: megabytes(child.resident_bytes()?),
    };
    subscriber.stop().await;
    child.stop().await?;
    Ok(figures)
}

/// Makes a merchant with a Robokassa shop, and an endpoint if there is one; gives the inbound URL.
async fn shop(client: &Client, endpoint: Option<&str>) -> anyhow::Result<String> {
    let text = |value: &serde_json::Value, name: &str| {
        value.get(name).and_then(serde_json::Value::as_str).unwrap_or("").to_owned()
    };
    let merchant = client.post("/merchants", &json!({ "name": "bench" })).await?;
    let path = format!("/merchants/{}", text(&merchant, "id"));
    if let Some(url) = endpoint {
        client.post(&format!("{path}/endpoints"), &json!({ "url": url, "max_in_flight": 128 })).await?;
    }
    let credentials: serde_json::Map<String, serde_json::Value> =
        load::CREDENTIALS.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let body = json!({ "provider": "robokassa", "credentials": credentials });
    let made = client.post(&format!("{path}/integrations"), &body).await?;
    Ok(text(&made, "webhook_url"))
}

fn per_second(count: usize, elapsed: Duration) -> f64 {
    as_f64(count) / elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

/// The value that so many of a hundred do not exceed, milliseconds.
fn percentile(latencies: &[Duration], of_100: usize) -> f64 {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let at = sorted.len().saturating_mul(of_100) / 100;
    let value = sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default();
    value.as_secs_f64() * 1000.0
}

/// Sends one request and gives its status.
async fn post(wire: &Outbound, url: &str, headers: &[(String, String)], body: Vec<u8>) -> Option<u16> {
    let request = crate::delivery::outbound::OutboundRequest {
        method: kassir_providers::Method::Post,
        url: url.to_owned(),
        headers: headers.to_vec(),
        body,
        timeout: None,
        response_max: limits::RESPONSE_KEPT_MAX,
    };
    wire.send(request).await.status
}
