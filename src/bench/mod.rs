//! `kassir bench`: measures this machine. The router is the real binary in a process of its own; the senders, the
//! subscriber and the floor live in this one, on the same cores. What counts are the ratios of one run.

mod backlog;
mod calls;
mod child;
mod figures;
mod floor;
mod growth;
mod hang;
mod load;
mod quick;
mod record;
mod seed;
mod server;
mod site;
mod size;
mod subscriber;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;

use crate::client::TIMEOUT;
use crate::delivery::outbound::{Outbound, OutboundConfig, OutboundRequest};
use crate::limits;

pub use figures::{
    BacklogFigures, Figures, FloorFigures, Latency, RoundTrips, SizeFigures, Slow, Step, Throughput,
};
use site::Site;
use subscriber::Subscriber;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Notifications accepted, nothing to deliver, beside a bare handler with one durable write.
    Intake,
    /// From notification to subscriber, beside the same handler and one request to the subscriber.
    EndToEnd,
    /// From acceptance to arrival at a fixed rate.
    Latency,
    /// The same beside an endpoint that takes connections and never answers.
    Slow,
    /// A router that starts with many scheduled retries.
    Backlog,
    /// What the store takes for one payment with two events and one endpoint.
    Size,
    /// Cost per event with few and many stored payments.
    Growth,
    /// Cost per event with few and many endpoints.
    Endpoints,
}

impl Part {
    /// What is measured when nothing is named: what is done within about a minute.
    pub const QUICK: [Part; 5] = [Part::Intake, Part::EndToEnd, Part::Latency, Part::Slow, Part::Backlog];
    /// Everything.
    pub const ALL: [Part; 8] = [
        Part::Intake,
        Part::EndToEnd,
        Part::Latency,
        Part::Slow,
        Part::Backlog,
        Part::Size,
        Part::Growth,
        Part::Endpoints,
    ];
}

/// What is measured, and how much.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which parts.
    pub parts: Vec<Part>,
    /// `store.url` of the router under test; `None`: a throw-away embedded store.
    pub store: Option<String>,
    /// Whether the subscriber speaks TLS.
    pub tls: bool,
    /// Notifications of each throughput measurement.
    pub count: usize,
    /// Senders at once.
    pub senders: usize,
    /// Rate of the latency measurement, per second.
    pub rate: u32,
    /// How long the latency is measured.
    pub latency_for: Duration,
    /// Events that wait for the endpoint that hangs.
    pub waiting: usize,
    /// Scheduled retries of the backlog.
    pub scheduled: usize,
    /// Payments of the last step of growth, and of the store's size at the most.
    pub stored: usize,
    /// Endpoints of the last step.
    pub endpoints: usize,
}

/// Who is told how far the measuring is.
pub trait Progress: Send + Sync {
    /// A step begins that has so many parts; 0 when that is not known.
    fn begin(&self, what: &str, parts: usize);
    /// So many more of them are done.
    fn advance(&self, parts: usize);
}

/// What every measurement needs.
struct Stage<'a> {
    plan: &'a Plan,
    progress: &'a dyn Progress,
    /// The senders' client; it trusts the subscriber's certificate.
    wire: &'a Outbound,
    folder: &'a Path,
    /// What everything in a store begins with that this run makes.
    prefix: &'a str,
    sites: AtomicUsize,
    tls: Option<rustls::ServerConfig>,
}

impl Stage<'_> {
    fn wants(&self, part: Part) -> bool {
        self.plan.parts.contains(&part)
    }

    /// A place with an empty store of the kind that is measured.
    fn site(&self) -> anyhow::Result<Site> {
        let ca_file = self.tls.is_some().then(|| self.folder.join(CA_FILE));
        let number = self.sites.fetch_add(1, Ordering::Relaxed);
        Site::new(self.folder, format!("{}-{number}", self.prefix), self.plan.store.as_deref(), ca_file)
    }

    fn subscriber(&self) -> anyhow::Result<Subscriber> {
        Subscriber::start(self.tls.as_ref())
    }
}

/// The subscriber's CA.
const CA_FILE: &str = "ca.pem";

/// Characters of a run's own name in the keys of a store: those are as short as usual ones, since their length costs time.
const RUN_LEN: usize = 8;

/// Measures, until it is done or `stop` is. However it ends, nothing of it stays: no router, no file, no key.
///
/// # Errors
/// What went wrong.
pub async fn run(
    plan: &Plan,
    progress: &dyn Progress,
    stop: impl Future<Output = &'static str>,
) -> anyhow::Result<Figures> {
    let run = uuid::Uuid::new_v4().simple().to_string();
    let folder = std::env::temp_dir().join(format!("kassir-bench-{run}"));
    let prefix = format!("bench-{}", run.get(..RUN_LEN).unwrap_or(&run));
    std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    // What is left undone is dropped here, and with it the routers are killed.
    let result = tokio::select! {
        result = measure(plan, &folder, &prefix, progress) => result,
        signal = stop => Err(anyhow::anyhow!("{signal}: stopped before the end")),
    };
    drop(std::fs::remove_dir_all(&folder));
    if let Some(redis) = plan.store.as_deref().and_then(server::RedisServer::at)
        && let Err(error) = redis.clear(&prefix).await
    {
        tracing::warn!(%error, prefix, "keys of this run may be left in Redis");
    }
    result
}

async fn measure(
    plan: &Plan,
    folder: &Path,
    prefix: &str,
    progress: &dyn Progress,
) -> anyhow::Result<Figures> {
    crate::tls::install();
    let tls = plan.tls.then(|| crate::tls::for_localhost(&folder.join(CA_FILE))).transpose()?;
    let wire = client(tls.is_some().then(|| folder.join(CA_FILE)))?;
    let stage = Stage { plan, progress, wire: &wire, folder, prefix, sites: AtomicUsize::new(0), tls };
    let mut figures = Figures { tls: plan.tls, ..Figures::default() };
    quick::measure(&stage, &mut figures).await?;
    if stage.wants(Part::Backlog) {
        figures.backlog = Some(backlog::measure(&stage).await?);
    }
    if stage.wants(Part::Size) {
        figures.size = Some(size::measure(&stage).await?);
    }
    if stage.wants(Part::Growth) {
        figures.growth = Some(growth::payments(&stage).await?);
    }
    if stage.wants(Part::Endpoints) {
        figures.endpoints = Some(growth::endpoints(&stage).await?);
        figures.endpoints_of_one = Some(growth::endpoints_of_one(&stage).await?);
    }
    Ok(figures)
}

/// The senders' client: everything is allowed.
fn client(ca_file: Option<std::path::PathBuf>) -> anyhow::Result<Outbound> {
    let everywhere = ["0.0.0.0/0", "::/0"].iter().filter_map(|network| network.parse().ok()).collect();
    Ok(Outbound::build(&OutboundConfig {
        allow_networks: everywhere,
        allow_http: true,
        timeout: TIMEOUT,
        ca_file,
        ..OutboundConfig::default()
    })?)
}

fn per_second(count: usize, elapsed: Duration) -> f64 {
    as_f64(count) / elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Milliseconds of a processor for each of so many.
fn ms_each(cpu: Duration, count: usize) -> f64 {
    cpu.as_secs_f64() * 1000.0 / as_f64(count.max(1))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

/// The value that so many of a hundred do not exceed.
fn percentile(latencies: &[Duration], of_100: usize) -> Duration {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let at = sorted.len().saturating_mul(of_100) / 100;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Sends one request and gives its status.
async fn post(wire: &Outbound, url: &str, headers: &[(String, String)], body: Vec<u8>) -> Option<u16> {
    let request = OutboundRequest {
        method: kassir_providers::Method::Post,
        url: url.to_owned(),
        headers: headers.to_vec(),
        body,
        timeout: None,
        response_max: limits::RESPONSE_KEPT_MAX,
    };
    wire.send(request).await.status
}
