//! Logs and metrics. Nothing that a provider or payer sent is logged: no bodies, headers, queries or inbound paths
//! (they hold the token); ids, outcomes and reasons are.

use std::io::IsTerminal as _;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, LogSection};

/// Upper ends of the latency histograms' buckets, seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 86_400.0];

/// Starts the log, to standard error so that standard output stays the command's own. A second call changes nothing.
///
/// # Errors
/// The level's directives when they can't be read.
pub fn start_log(section: &LogSection) -> Result<(), String> {
    // The web server's own words at its start say nothing to an operator, and the Redis client writes several lines for
    // each failed try to reach a node: what it means is said once a second by the store's callers.
    let directives = format!("actix_server=warn,redis=error,{}", section.level);
    let filter = EnvFilter::builder().parse(directives).map_err(|error| format!("log.level: {error}"))?;
    let registry = tracing_subscriber::registry().with(filter);
    let colours = std::io::stderr().is_terminal();
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let started = match section.format {
        LogFormat::Text => registry.with(format.with_target(false)).try_init(),
        LogFormat::Json => registry.with(format.json().flatten_event(true)).try_init(),
    };
    // Tests start several routers in one process; the first one's log serves all.
    drop(started);
    Ok(())
}

/// Starts the metrics of this process and gives what renders them. Further calls give the same.
///
/// # Errors
/// Words when the recorder can't be installed.
pub fn start_metrics() -> Result<PrometheusHandle, String> {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    static STARTING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS).map_err(|error| error.to_string())?;
    let handle = builder.install_recorder().map_err(|error| error.to_string())?;
    Ok(HANDLE.get_or_init(|| handle).clone())
}
