//! Configuration: defaults < file < environment. The only place that reads the environment.
//!
//! Every key is one row of [`keys::KEYS`]; the example file, `kassir config show` and the check for unknown keys come
//! from that table.

mod check;
mod env;
pub mod keys;
mod load;
mod types;

#[cfg(feature = "fail-points")]
pub(crate) use env::fail_point;
pub(crate) use env::inherited;
pub use load::{ConfigError, from_parts, load};
pub use types::{Limit, Span, TOKEN_LEN_SAFE, Url};

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use kassir_providers::Secret;
use serde::Deserialize;

/// The whole configuration, checked.
#[derive(Clone, Deserialize)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Prefix of inbound URLs; `None` means `http://{listen}`.
    pub public_url: Option<Url>,
    /// The admin token, when it is not generated.
    #[serde(default, deserialize_with = "types::secret")]
    pub admin_token: Option<Secret>,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// HTTP worker threads; 0 means one per core.
    pub workers: usize,
    /// The store.
    pub store: StoreSection,
    /// Secrets at rest.
    pub secrets: SecretsSection,
    /// Inbound notifications.
    pub intake: IntakeSection,
    /// Outbound HTTP.
    pub outbound: OutboundSection,
    /// Delivery and its schedule.
    pub delivery: DeliverySection,
    /// Notices.
    #[serde(default)]
    pub alerts: AlertsSection,
    /// How long records are kept.
    pub retention: RetentionSection,
    /// Logs.
    pub log: LogSection,
    /// Spans.
    pub telemetry: TelemetrySection,
    /// The values as they were given.
    #[serde(skip)]
    values: serde_json::Map<String, serde_json::Value>,
}

/// `[store]`.
#[derive(Clone, Deserialize)]
pub struct StoreSection {
    /// `sqlite:PATH`, `redis://…`, `rediss://…`, `redis+sentinel://…`, `redis+cluster://…`. May hold a password.
    #[serde(deserialize_with = "types::required_secret")]
    pub url: Secret,
    /// Prefix of Redis keys.
    pub key_prefix: String,
    /// Longest time for one verb.
    pub timeout: Span,
    /// Start even though the store's settings do not keep what was accepted.
    pub allow_unsafe: bool,
    /// Replicas of Redis that must have a write before it counts as kept.
    pub min_replicas: u8,
    /// Go on with an emptied Redis.
    pub reinitialise: bool,
}

/// `[secrets]`.
#[derive(Clone, Debug, Deserialize)]
pub struct SecretsSection {
    /// File with the master key.
    pub master_key_file: PathBuf,
}

/// `[intake]`.
#[derive(Clone, Debug, Deserialize)]
pub struct IntakeSection {
    /// Refused notifications per integration and minute that are kept in the inbound log; more are only counted.
    pub refused_kept_per_minute: u32,
    /// How often a notification that the provider's API does not confirm is asked about again, at the longest.
    pub confirm_max_age: Span,
    /// Longest time for a request's head, and then for its body.
    pub read_timeout: Span,
    /// Longest time for keeping a notification.
    pub answer_timeout: Span,
}

/// `[outbound]`.
#[derive(Clone, Deserialize)]
pub struct OutboundSection {
    /// Networks that subscribers and `api_base` may be in although they are forbidden otherwise.
    pub allow_networks: Vec<IpNet>,
    /// Whether `http://` endpoints are allowed.
    pub allow_http: bool,
    /// File with further CA certificates, PEM.
    pub ca_file: Option<PathBuf>,
    /// Longest time of a whole attempt.
    pub timeout: Span,
    /// Longest time for connecting with TLS.
    pub connect_timeout: Span,
    /// The forward proxy.
    #[serde(default, deserialize_with = "types::secret")]
    pub proxy: Option<Secret>,
    /// Hosts that are reached without it.
    pub no_proxy: Vec<String>,
}

/// `[delivery]`.
#[derive(Clone, Debug, Deserialize)]
pub struct DeliverySection {
    /// Age of an event at which its delivery has failed.
    pub max_age: Span,
    /// Interval after the first attempt.
    pub first_interval: Span,
    /// Growth of the intervals.
    pub multiplier: f64,
    /// Longest interval.
    pub max_interval: Span,
    /// Random part of an interval, 0 to 1.
    pub jitter: f64,
    /// Attempts under way at once per endpoint, unless the endpoint says otherwise.
    pub max_in_flight: u32,
    /// Attempts under way at once to one host.
    pub max_in_flight_per_host: u32,
    /// Attempts under way at once in all.
    pub concurrency: usize,
    /// Most deliveries that a bulk replay sends for per second.
    pub replay_per_s: u32,
    /// How long a stop waits for attempts under way.
    pub drain: Span,
    /// After how long of failures only an endpoint is turned off.
    pub disable_after: Limit,
}

/// `[alerts]`.
#[derive(Clone, Default, Deserialize)]
pub struct AlertsSection {
    /// Where notices about endpoints are posted.
    pub url: Option<Url>,
    /// Signs them.
    #[serde(default, deserialize_with = "types::secret")]
    pub secret: Option<Secret>,
}

/// `[retention]`.
#[derive(Clone, Debug, Deserialize)]
pub struct RetentionSection {
    /// Inbound log.
    pub notifications: Span,
    /// Inbound log: refused and repeated notifications.
    pub refused: Span,
    /// Events with their deliveries and attempts, and bulk replays.
    pub events: Span,
    /// Payments, also those that nobody paid.
    pub payments: Span,
    /// Statistics.
    pub tallies: Span,
    /// Idempotency keys of the API.
    pub idempotency: Span,
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// `[log]`.
#[derive(Clone, Debug, Deserialize)]
pub struct LogSection {
    /// Form of the lines.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,kassir::delivery=debug`.
    pub level: String,
}

/// `[telemetry]`.
#[derive(Clone, Deserialize)]
pub struct TelemetrySection {
    /// Collector that gets spans, by OTLP over HTTP; `None`: there are no spans.
    pub otlp_endpoint: Option<Url>,
    /// Headers for it: `name=value,name=value`.
    #[serde(default, deserialize_with = "types::any_secret")]
    pub otlp_headers: Option<Secret>,
    /// Name of this service.
    pub service_name: String,
    /// Part of the traces that is sent, 0 to 1.
    pub sample_ratio: f64,
}

impl Config {
    /// Every key's effective value by its dotted path, secrets included: only for showing with them hidden.
    #[must_use]
    pub fn effective(&self) -> serde_json::Map<String, serde_json::Value> {
        self.values.clone()
    }

    /// Prefix of the inbound URLs, without a slash at the end.
    #[must_use]
    pub fn public_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }
}
