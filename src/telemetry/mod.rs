//! Logs, spans and metrics. Nothing that a provider or payer sent is logged: no bodies, headers, queries or inbound paths
//! (they hold the token); ids, outcomes and reasons are.

pub mod catalog;
mod otlp;
pub mod process;
pub mod requests;

use std::io::IsTerminal as _;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{Config, LogFormat, LogSection};

/// Upper ends of the latency histograms' buckets, seconds.
const SECONDS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3_600.0, 86_400.0];

/// The log and the export of spans; ends the latter in order.
#[must_use = "the last spans are sent by `end`"]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Sends what is left of the spans.
    pub async fn end(self) {
        if let Some(provider) = self.0 {
            otlp::end(provider).await;
        }
    }
}

/// Starts the log and, if one is configured, the export of spans. Called within the runtime. A second call changes
/// nothing.
///
/// # Errors
/// What is wrong with `[log]` or `[telemetry]`, in words.
pub fn start(config: &Config) -> Result<Telemetry, String> {
    let Some(export) = otlp::start(config)? else {
        start_log(&config.log)?;
        return Ok(Telemetry(None));
    };
    let spans = tracing_opentelemetry::layer()
        .with_tracer(export.tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(Targets::new().with_target("kassir", LevelFilter::INFO));
    let log = lines(&config.log).with_filter(filter(&config.log)?);
    drop(tracing_subscriber::registry().with(log).with(spans).try_init());
    Ok(Telemetry(Some(export.provider)))
}

/// Whether `[log]` and `[telemetry]` can be started with, without starting anything.
///
/// # Errors
/// What is wrong with them, in words.
pub(crate) fn check(config: &Config) -> Result<(), String> {
    filter(&config.log)?;
    otlp::check(&config.telemetry)
}

/// Starts the log, to standard error so that standard output stays the command's own. A second call changes nothing.
///
/// # Errors
/// The level's directives when they can't be read.
pub fn start_log(section: &LogSection) -> Result<(), String> {
    let registry = tracing_subscriber::registry().with(filter(section)?);
    // Tests start several routers in one process; the first one's log serves all.
    drop(registry.with(lines(section)).try_init());
    Ok(())
}

fn filter(section: &LogSection) -> Result<EnvFilter, String> {
    // The web server's own words at its start say nothing to an operator, and the Redis client writes several lines for
    // each failed try to reach a node: what it means is said once a second by the store's callers.
    let directives = format!("actix_server=warn,redis=error,{}", section.level);
    EnvFilter::builder().parse(directives).map_err(|error| format!("log.level: {error}"))
}

fn lines<S>(section: &LogSection) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let colours = std::io::stderr().is_terminal();
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    match section.format {
        LogFormat::Text => format.with_target(false).boxed(),
        LogFormat::Json => format.json().flatten_event(true).with_span_list(false).boxed(),
    }
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
    catalog::register();
    process::start();
    Ok(HANDLE.get_or_init(|| handle).clone())
}
