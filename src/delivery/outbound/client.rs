//! The client itself: one deadline over everything, a bounded read of the answer, nothing followed or inflated.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use kassir_providers::Method;
use reqwest::header::{HeaderName, HeaderValue};

use super::Url;
use super::clients::Clients;
use super::failure::{Failure, FailureKind, seconds};
use super::guard::{Guard, UrlRefusal};
use super::identity::ClientIdentity;
use super::proxy::Proxy;
use super::proxy::finding::{Finding, Followed};
use super::proxy::relay::Relay;
use super::resolver::{DIALLED, Dialled, GuardedResolver, Lookup, SystemLookup, note_dialled};
use crate::clock::Stopwatch;

/// Header lines of an answer that are read.
pub const ANSWER_HEADERS_MAX: usize = 100;
/// Bytes of the header lines of an HTTP/2 answer that are read.
pub const ANSWER_HEAD_MAX: u32 = 64 * 1024;
/// Idle connections that are kept to one host.
pub(super) const IDLE_MAX: usize = 8;
/// How long an idle connection is kept. Shorter than what common servers allow (5 s), so that we rarely write just as
/// the other side closes.
pub(super) const IDLE_FOR: Duration = Duration::from_secs(4);

/// Settings of the client.
#[derive(Clone)]
pub struct OutboundConfig {
    /// Networks that may be used although they are not the public internet.
    pub allow_networks: Vec<IpNet>,
    /// Whether `http://` is fine; for tests.
    pub allow_http: bool,
    /// Further CA certificates to trust, PEM.
    pub ca_file: Option<PathBuf>,
    /// The whole of a request, with the answer's body.
    pub timeout: Duration,
    /// Resolving, connecting and TLS.
    pub connect_timeout: Duration,
    /// The forward proxy that https goes through.
    pub proxy: Option<Proxy>,
}

impl Default for OutboundConfig {
    fn default() -> OutboundConfig {
        OutboundConfig {
            allow_networks: Vec::new(),
            allow_http: false,
            ca_file: None,
            timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            proxy: None,
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The file of `outbound.ca_file` can't be read.
    #[error("outbound.ca_file {path}: {why}")]
    CaFile {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
    /// The relay to the forward proxy can't be started.
    #[error("outbound.proxy: the relay to it can't be started: {0}")]
    Relay(String),
    /// The client can't be made, for example because this machine has no CA certificates at all.
    #[error(
        "no HTTPS client: {0}. Install the system's CA certificates (package ca-certificates) or set outbound.ca_file"
    )]
    Client(String),
}

/// A request. It has no `Debug`: headers and body may carry secrets.
#[derive(Clone)]
pub struct OutboundRequest {
    /// Method.
    pub method: Method,
    /// Where to; judged by the rules anew.
    pub url: String,
    /// Headers; what the client itself needs (`host`, `content-length`) must not be among them.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Deadline of the whole; `None` means the configuration's.
    pub timeout: Option<Duration>,
    /// Bytes of the answer's body that are read.
    pub response_max: usize,
}

/// What came of a request.
#[derive(Clone, Default)]
pub struct Outcome {
    /// Status, once it came.
    pub status: Option<u16>,
    /// The answer's headers, names in lower case, values as harmless text.
    pub headers: Vec<(String, String)>,
    /// The beginning of the answer's body, as it was sent (never inflated).
    pub body: Vec<u8>,
    /// Whether the body was longer than what was read.
    pub truncated: bool,
    /// What went wrong: also beside a status, when the body did not end.
    pub failure: Option<Failure>,
    /// The address that was connected to, or that a connection was tried to, where it is known.
    pub remote_ip: Option<IpAddr>,
    /// How long it took.
    pub duration_ms: u32,
}

impl std::fmt::Debug for Outcome {
    /// Without the headers' values and the body: a provider's answer may carry secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outcome")
            .field("status", &self.status)
            .field("failure", &self.failure)
            .field("body_bytes", &self.body.len())
            .field("truncated", &self.truncated)
            .field("remote_ip", &self.remote_ip)
            .field("duration_ms", &self.duration_ms)
            .finish_non_exhaustive()
    }
}

impl Outcome {
    /// A header of the answer.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// The only HTTP client of the router. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    clients: Arc<Clients>,
    resolver: GuardedResolver,
    relay: Option<Arc<Relay>>,
    timeout: Duration,
    connect_timeout: Duration,
}

impl Outbound {
    /// Makes the client.
    ///
    /// # Errors
    /// [`BuildError`] when the CA file is wrong, or nothing at all is trusted.
    pub fn build(config: &OutboundConfig) -> Result<Outbound, BuildError> {
        Outbound::with_lookup(config, Arc::new(SystemLookup))
    }

    /// Makes the client with another way to look names up.
    ///
    /// # Errors
    /// As [`Outbound::build`].
    pub fn with_lookup(config: &OutboundConfig, lookup: Arc<dyn Lookup>) -> Result<Outbound, BuildError> {
        crate::tls::install();
        let guard = Guard { allow_networks: config.allow_networks.clone(), allow_http: config.allow_http };
        let resolver = GuardedResolver { guard: Arc::new(guard), lookup };
        let (timeout, connect_timeout) = (config.timeout, config.connect_timeout);
        let relay = match config.proxy.clone() {
            None => None,
            Some(proxy) => {
                let relay = Relay::start(proxy, resolver.clone(), connect_timeout);
                Some(Arc::new(relay.map_err(|error| BuildError::Relay(error.to_string()))?))
            }
        };
        let clients = Arc::new(Clients::build(config, resolver.clone(), relay.clone())?);
        Ok(Outbound { clients, resolver, relay, timeout, connect_timeout })
    }

    /// Where the relay to the forward proxy listens, if there is one: only for this process, which knows its token.
    #[must_use]
    pub fn relay_address(&self) -> Option<std::net::SocketAddr> {
        self.relay.as_ref().map(|relay| relay.address())
    }

    /// Connects to the forward proxy, if there is one, without asking it for anything; gives what it is for people.
    ///
    /// # Errors
    /// Why it can't be reached.
    pub async fn check_proxy(&self) -> Option<Result<String, Failure>> {
        let proxy = self.relay.as_ref()?.proxy();
        let place = proxy.place();
        let why = match tokio::time::timeout(self.connect_timeout, proxy.dial()).await {
            Ok(Ok(_)) => return Some(Ok(place)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {}", seconds(self.connect_timeout)),
        };
        let text = format!("the forward proxy {place} can't be reached: {why}");
        Some(Err(Failure::new(FailureKind::Proxy, text)))
    }

    /// Client certificates whose connections are kept now; at most [`super::IDENTITIES_MAX`].
    #[must_use]
    pub fn identities(&self) -> usize {
        self.clients.kept()
    }

    /// Deadline of a request that brings none of its own.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Judges a URL by all that can be judged without asking for its host's addresses.
    ///
    /// # Errors
    /// [`UrlRefusal`] in words for the person who gave it.
    pub fn check_url(&self, url: &str) -> Result<Url, UrlRefusal> {
        self.resolver.guard.check_url(url)
    }

    /// Judges a URL and the addresses that its host has now.
    ///
    /// # Errors
    /// [`UrlRefusal`]; `Unresolved` when the name has no address now.
    pub async fn check_resolved(&self, url: &str) -> Result<Url, UrlRefusal> {
        let url = self.check_url(url)?;
        let host = url.host_str().unwrap_or_default();
        if super::guard::literal(host).is_none() {
            let answer = tokio::time::timeout(self.connect_timeout, self.resolver.allowed(host)).await;
            answer.unwrap_or_else(|_| {
                let why = "the name server did not answer in time".to_owned();
                Err(super::guard::DnsFailure { name: host.to_owned(), why }.into())
            })?;
        }
        Ok(url)
    }

    /// Sends a request once. All that happens is in the outcome.
    pub async fn send(&self, request: OutboundRequest) -> Outcome {
        self.send_as(request, None).await
    }

    /// Sends a request once, to a server that may ask for a client certificate. All that happens is in the outcome.
    pub async fn send_as(&self, request: OutboundRequest, identity: Option<&ClientIdentity>) -> Outcome {
        let watch = Stopwatch::start();
        let timeout = request.timeout.unwrap_or(self.timeout);
        let max = request.response_max;
        let mut outcome = Outcome::default();
        let asking = DIALLED.scope(Dialled::default(), async {
            let answer = self.head(request, identity, timeout).await;
            (answer, DIALLED.with(|dialled| dialled.address.get()))
        });
        match asking.await {
            (Ok((response, remote)), _) => {
                outcome.status = Some(response.status().as_u16());
                outcome.remote_ip = remote;
                outcome.headers = headers_of(&response);
                let left = timeout.saturating_sub(watch.elapsed());
                let read = read_body(response, max, &mut outcome);
                if tokio::time::timeout(left, read).await.is_err() {
                    outcome.failure = Some(Failure::body_timeout(timeout));
                }
            }
            (Err(failure), dialled) => {
                if failure.kind == FailureKind::Proxy {
                    metrics::counter!("kassir_forward_proxy_failures_total").increment(1);
                }
                outcome.remote_ip = dialled;
                outcome.failure = Some(failure);
            }
        }
        outcome.duration_ms = watch.elapsed_ms();
        outcome
    }

    /// Up to the answer's headers; beside them, the address that was connected to.
    async fn head(
        &self,
        request: OutboundRequest,
        identity: Option<&ClientIdentity>,
        timeout: Duration,
    ) -> Result<(reqwest::Response, Option<IpAddr>), Failure> {
        // Addresses in a URL never reach the resolver.
        let url = self.check_url(&request.url).map_err(|refusal| Failure::refused(&refusal))?;
        if let Some(address) = super::guard::literal(url.host_str().unwrap_or_default()) {
            note_dialled(address);
        }
        let followed = self.follow(&url)?;
        let client = self.clients.get(identity);
        let client = client.map_err(|error| Failure::new(FailureKind::Request, error.to_string()))?;
        let building = building(&client, url, request)?;
        let failure = match tokio::time::timeout(timeout, building.send()).await {
            Ok(Ok(response)) => {
                let remote = match followed.map(|followed| followed.finding()) {
                    None => response.remote_addr().map(|address| address.ip().to_canonical()),
                    Some(Finding::Open(address)) => Some(address),
                    // A tunnel of an earlier request was used again.
                    Some(_) => None,
                };
                return Ok((response, remote));
            }
            Ok(Err(error)) => Failure::of(&error, self.connect_timeout, identity.is_some()),
            Err(_) => Failure::no_answer(timeout),
        };
        Err(match followed.map(|followed| followed.finding()) {
            None => failure,
            Some(finding) => through_proxy(finding, failure),
        })
    }

    /// Follows the tunnel of a request that goes through the forward proxy.
    fn follow(&self, url: &Url) -> Result<Option<Followed>, Failure> {
        let Some(relay) = &self.relay else { return Ok(None) };
        let followed = relay.follow(url.host_str().unwrap_or_default());
        if let Some(followed) = &followed {
            if url.scheme() != "https" {
                let text = "through outbound.proxy goes only https; outbound.no_proxy can except a host";
                return Err(Failure::new(FailureKind::Forbidden, text));
            }
            let _ = DIALLED.try_with(|dialled| dialled.number.set(followed.number));
        }
        Ok(followed)
    }
}

/// Whose fault a failure is: until the tunnel is open, the proxy's, but for a name that leads nowhere good.
fn through_proxy(finding: Finding, failure: Failure) -> Failure {
    match finding {
        Finding::Failed(why) => why,
        Finding::Waiting(words) => Failure::new(FailureKind::Proxy, words),
        Finding::Open(address) => {
            note_dialled(address);
            failure
        }
        Finding::Unasked if matches!(failure.kind, FailureKind::Connect | FailureKind::ConnectTimeout) => {
            Failure::new(FailureKind::Proxy, "Kassir's own relay to the forward proxy can't be reached")
        }
        Finding::Unasked => failure,
    }
}

fn building(
    client: &reqwest::Client,
    url: Url,
    request: OutboundRequest,
) -> Result<reqwest::RequestBuilder, Failure> {
    let method = match request.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    };
    let mut building = client.request(method, url).body(request.body);
    for (name, value) in &request.headers {
        let wrong = |_| Failure::new(FailureKind::Request, format!("the header {name} can't be sent"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        let value = HeaderValue::from_str(value).map_err(|error| wrong(error.to_string()))?;
        building = building.header(name, value);
    }
    Ok(building)
}

/// Reads at most `max` bytes; dropping the rest closes the connection.
async fn read_body(mut response: reqwest::Response, max: usize, outcome: &mut Outcome) {
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = max.saturating_sub(outcome.body.len());
                outcome.body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                if chunk.len() > room {
                    outcome.truncated = true;
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                outcome.failure = Some(Failure::body(&error));
                return;
            }
        }
    }
}

fn headers_of(response: &reqwest::Response) -> Vec<(String, String)> {
    let harmless = |value: &HeaderValue| super::excerpt::harmless(value.as_bytes(), HEADER_VALUE_MAX);
    response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), harmless(value))).collect()
}

/// Longest header value of an answer that is kept, bytes.
const HEADER_VALUE_MAX: usize = 2 * 1024;
