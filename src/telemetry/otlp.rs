//! Spans to an OpenTelemetry collector, by OTLP over HTTP, when `telemetry.otlp_endpoint` names one.
//!
//! They go in batches from a thread of their own; what the collector does not take is dropped, and nothing waits for
//! it. Spans hold ids, routes and outcomes, as the log does.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use kassir_providers::Method;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;

use crate::config::{Config, TelemetrySection};
use crate::delivery::outbound::{Outbound, OutboundConfig, OutboundRequest, Outcome};
use crate::quiet::LogGate;

/// Longest time of one export.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the last spans at the end.
const LAST_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of the collector's answer that are read.
const ANSWER_MAX: usize = 64 * 1024;
/// Where spans go below the endpoint.
const TRACES: &str = "/v1/traces";

/// What sends the spans.
pub(super) struct Export {
    pub(super) tracer: SdkTracer,
    pub(super) provider: SdkTracerProvider,
}

/// Starts the export, if one is configured. Called within the runtime that is to send.
pub(super) fn start(config: &Config) -> Result<Option<Export>, String> {
    let section = &config.telemetry;
    let Some(endpoint) = &section.otlp_endpoint else { return Ok(None) };
    let client = Collector { runtime: Handle::current(), outbound: client(config)?, log: LogGate::new() };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{}{TRACES}", endpoint.as_str().trim_end_matches('/')))
        .with_headers(headers(section)?)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|error| format!("telemetry.otlp_endpoint: {error}"))?;
    let resource = Resource::builder_empty()
        .with_service_name(section.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(section.sample_ratio)));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_resource(resource)
        .build();
    Ok(Some(Export { tracer: provider.tracer("kassir"), provider }))
}

/// Whether the headers for the collector can be read, where there is one.
pub(super) fn check(section: &TelemetrySection) -> Result<(), String> {
    section.otlp_endpoint.as_ref().map_or(Ok(()), |_| headers(section).map(drop))
}

/// Sends what is left.
pub(super) async fn end(provider: SdkTracerProvider) {
    let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_TIMEOUT)).await;
    if let Ok(Err(error)) = ended {
        tracing::warn!(%error, "the last spans were not sent");
    }
}

/// The operator names the collector, so no network is forbidden.
fn client(config: &Config) -> Result<Outbound, String> {
    Outbound::build(&OutboundConfig {
        allow_networks: ["0.0.0.0/0", "::/0"].iter().filter_map(|network| network.parse().ok()).collect(),
        allow_http: true,
        ca_file: config.outbound.ca_file.clone(),
        timeout: EXPORT_TIMEOUT,
        ..OutboundConfig::default()
    })
    .map_err(|error| error.to_string())
}

/// `name=value,name=value`, as in OpenTelemetry's own settings.
fn headers(section: &TelemetrySection) -> Result<HashMap<String, String>, String> {
    let given = section.otlp_headers.as_ref().map_or("", |headers| headers.expose());
    let pairs = given.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .zip(1..)
        .map(|(pair, number)| {
            let (name, value) = pair
                .split_once('=')
                .ok_or("telemetry.otlp_headers: expected name=value, several with commas between them")?;
            let (name, value) = (name.trim(), value.trim());
            // The exporter would leave out what is no header, without a word.
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                // What is taken for a name may be a secret whose name was forgotten.
                return Err(format!(
                    "telemetry.otlp_headers: what stands before = in number {number} is no name"
                ));
            }
            if http::HeaderValue::from_str(value).is_err() {
                return Err(format!("telemetry.otlp_headers: the value of number {number} can't be sent"));
            }
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// The collector, through the one HTTP client. The exporter's thread has no runtime: requests run on ours.
struct Collector {
    runtime: Handle,
    outbound: Outbound,
    log: LogGate,
}

impl Collector {
    /// Says that spans were not taken: nothing else would.
    fn tell(&self, why: &str) {
        metrics::counter!("kassir_telemetry_exports_failed_total").increment(1);
        if let Some(left_out) = self.log.open() {
            tracing::warn!(why, left_out, "the collector (telemetry.otlp_endpoint) does not take the spans");
        }
    }
}

/// Why spans were not taken, when they were not.
fn refused(outcome: &Outcome) -> Option<String> {
    match (outcome.status, &outcome.failure) {
        (Some(200..=299), _) => None,
        (Some(status), _) => Some(format!("it answers {status}")),
        (None, Some(failure)) => Some(failure.to_string()),
        (None, None) => Some("no answer".to_owned()),
    }
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Collector")
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        let request = OutboundRequest {
            method: Method::Post,
            url: head.uri.to_string(),
            headers: headers.collect(),
            body: body.to_vec(),
            timeout: None,
            response_max: ANSWER_MAX,
        };
        let outbound = self.outbound.clone();
        let outcome = self.runtime.spawn(async move { outbound.send(request).await }).await?;
        let why = refused(&outcome);
        if let Some(why) = &why {
            self.tell(why);
        }
        match outcome.status {
            Some(status) => Ok(Response::builder().status(status).body(outcome.body.into())?),
            None => Err(why.unwrap_or_default().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use kassir_providers::Secret;

    use super::*;

    #[test]
    fn headers_are_read_and_never_shown() {
        let section = |text: &str| TelemetrySection {
            otlp_endpoint: None,
            otlp_headers: Some(Secret::new(text)),
            service_name: "kassir".to_owned(),
            sample_ratio: 1.0,
        };
        let read = headers(&section("authorization=Bearer a=b, x-team = pay,")).unwrap();
        assert_eq!((read["authorization"].as_str(), read["x-team"].as_str()), ("Bearer a=b", "pay"));
        assert!(!headers(&section("geheim")).unwrap_err().contains("geheim"));
        let error = headers(&section("x key=geheim")).unwrap_err();
        assert_eq!(error, "telemetry.otlp_headers: what stands before = in number 1 is no name");
        let error = headers(&section("x-key=geheim\n")).map(drop);
        assert_eq!(error, Ok(()), "spaces at the ends are cut off");
        let error = headers(&section("a=b,x-key=ge\nheim")).unwrap_err();
        assert_eq!(error, "telemetry.otlp_headers: the value of number 2 can't be sent");
    }
}
