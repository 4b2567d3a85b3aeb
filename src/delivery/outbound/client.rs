//! The client itself: one deadline over everything, a bounded read of the answer, nothing followed or inflated.

use std::future::poll_fn;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderName, HeaderValue};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{Client, Error as ClientError};
use ipnet::IpNet;
use kassir_providers::Method;

use super::Url;
use super::clients::{Clients, Pair};
use super::connector::Connector;
use super::failure::{ClientCertificate, Failure, FailureKind, is_unprocessed, seconds};
use super::guard::{Guard, UrlRefusal};
use super::identity::ClientIdentity;
use super::proxy::Proxy;
use super::proxy::tunnel::Tunnels;
use super::resolver::{DIALLED, Dialled, GuardedResolver, Lookup, SystemLookup, note_dialled, waits_for};
use super::wire::{Content, Way, Wire};
use crate::clock::Stopwatch;

/// Header lines of an answer that are read.
pub const ANSWER_HEADERS_MAX: usize = 100;
/// Bytes of the header lines of an HTTP/2 answer that are read.
pub const ANSWER_HEAD_MAX: u32 = 64 * 1024;
/// Idle connections that are kept to one host: as many as are usually under way to it at once, so that a burst does not
/// connect anew for each of its requests.
pub(super) const IDLE_MAX: usize = 64;
/// How long the body of a subscriber's answer is read after its head came: the head has decided by then, and who lets the
/// rest drip would keep a place from others. Long enough for what is kept of it to come from anywhere in the world.
const BODY_WITHIN: Duration = Duration::from_secs(2);
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
    /// Whether it was sent a second time, on a fresh connection, because the one that had been kept open died before a
    /// byte of the answer came. The rest tells of the second time.
    pub sent_again: bool,
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
            .field("sent_again", &self.sent_again)
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
    tunnels: Option<Arc<Tunnels>>,
    timeout: Duration,
    connect_timeout: Duration,
}

impl Outbound {
    /// Makes the client.
    ///
    /// # Errors
    /// [`BuildError`] when the CA file is wrong, or nothing at all is trusted.
    pub fn build(config: &OutboundConfig) -> Result<Outbound, BuildError> {
        Outbound::with_lookup(config, Arc::new(SystemLookup::default()))
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
        let tunnels = config.proxy.clone();
        let tunnels = tunnels.map(|proxy| Arc::new(Tunnels::new(proxy, resolver.clone(), connect_timeout)));
        let clients = Arc::new(Clients::build(config, resolver.clone(), tunnels.clone())?);
        Ok(Outbound { clients, resolver, tunnels, timeout, connect_timeout })
    }

    /// Connects to the forward proxy, if there is one, without asking it for anything; gives what it is for people.
    ///
    /// # Errors
    /// Why it can't be reached.
    pub async fn check_proxy(&self) -> Option<Result<String, Failure>> {
        let proxy = self.tunnels.as_ref()?.proxy();
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
        self.run(request, None, None).await
    }

    /// Sends a request, to a server that may ask for a client certificate, once; or twice, when the first time went
    /// over a connection that had been kept open and died before a byte of the answer came: the other side had most
    /// likely closed it for having been idle. Only for what may come twice, and whose answer's head says it all: of the
    /// body comes what comes soon after it. All that happens is in the outcome.
    pub async fn deliver(&self, request: OutboundRequest, identity: Option<&ClientIdentity>) -> Outcome {
        self.run(request, identity, Some(BODY_WITHIN)).await
    }

    /// `body_within`: there for what is sent to subscribers, see [`Outbound::deliver`].
    async fn run(
        &self,
        request: OutboundRequest,
        identity: Option<&ClientIdentity>,
        body_within: Option<Duration>,
    ) -> Outcome {
        let watch = Stopwatch::start();
        let timeout = request.timeout.unwrap_or(self.timeout);
        let max = request.response_max;
        let mut outcome = Outcome::default();
        let asking = DIALLED.scope(Dialled::default(), async {
            let ways = [Arc::default(), Arc::default()];
            let sent_again = body_within.map(|_| &mut outcome.sent_again);
            let head = self.head(request, identity, &ways, sent_again);
            let answer = match tokio::time::timeout(timeout, head).await {
                Ok(answer) => answer,
                Err(_) => Err(match waits_for().filter(|_| !is_on_its_way(&ways)) {
                    Some(words) => Failure::new(FailureKind::Proxy, words),
                    None => Failure::no_answer(timeout),
                }),
            };
            let [first, second] = &ways;
            let went = second.remote().or_else(|| first.remote());
            (answer, went.or_else(|| DIALLED.with(|dialled| dialled.address.get())))
        });
        let (answer, remote) = asking.await;
        outcome.remote_ip = remote;
        match answer {
            Ok(response) => {
                outcome.status = Some(response.status().as_u16());
                outcome.headers = headers_of(&response);
                let left = timeout.saturating_sub(watch.elapsed());
                let (left, within) = match body_within.filter(|within| *within < left) {
                    Some(within) => (within, within),
                    None => (left, timeout),
                };
                let read = read_body(response.into_body(), max, &mut outcome);
                if tokio::time::timeout(left, read).await.is_err() {
                    outcome.failure = Some(Failure::body_timeout(within));
                }
            }
            Err(failure) => {
                if failure.kind == FailureKind::Proxy {
                    metrics::counter!("kassir_forward_proxy_failures_total").increment(1);
                }
                outcome.failure = Some(failure);
            }
        }
        outcome.duration_ms = watch.elapsed_ms();
        outcome
    }

    /// Up to the answer's headers. `sent_again`: there when it may be sent twice.
    async fn head(
        &self,
        request: OutboundRequest,
        identity: Option<&ClientIdentity>,
        ways: &[Arc<Way>; 2],
        sent_again: Option<&mut bool>,
    ) -> Result<http::Response<Incoming>, Failure> {
        // Addresses in a URL never reach the resolver.
        let url = self.check_url(&request.url).map_err(|refusal| Failure::refused(&refusal))?;
        let host = url.host_str().unwrap_or_default();
        if let Some(tunnels) = &self.tunnels
            && url.scheme() != "https"
            && tunnels.is_for(host)
        {
            let text = "through outbound.proxy goes only https; outbound.no_proxy can except a host";
            return Err(Failure::new(FailureKind::Forbidden, text));
        }
        if let Some(address) = super::guard::literal(host) {
            note_dialled(address);
        }
        let pair = self.clients.get(identity);
        let Pair { kept, fresh } =
            pair.map_err(|error| Failure::new(FailureKind::Request, error.to_string()))?;
        let asking = Asking::read(&url, request)?;
        let [first, second] = ways;
        let error = match asking.send(&kept, first).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        let shown = ClientCertificate::of(identity.is_some());
        let failure = Failure::of(&error, self.connect_timeout, shown);
        match sent_again {
            Some(sent_again) if failure.kind == FailureKind::Closed && first.died_kept_and_silent() => {
                *sent_again = true;
            }
            _ if is_unprocessed(&error) => {}
            _ => return Err(failure),
        }
        let error = |error: ClientError| Failure::of(&error, self.connect_timeout, shown);
        asking.send(&fresh, second).await.map_err(error)
    }
}

/// A request, ready to be sent as often as may be.
struct Asking {
    method: http::Method,
    uri: http::Uri,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Asking {
    fn read(url: &Url, request: OutboundRequest) -> Result<Asking, Failure> {
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Patch => http::Method::PATCH,
            Method::Delete => http::Method::DELETE,
        };
        let uri = url.as_str().parse::<http::Uri>();
        let uri = uri.map_err(|error| Failure::new(FailureKind::Request, format!("the URL: {error}")))?;
        let mut headers = http::HeaderMap::with_capacity(request.headers.len().saturating_add(3));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        for (name, value) in &request.headers {
            let wrong = |_| Failure::new(FailureKind::Request, format!("the header {name} can't be sent"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| wrong(error.to_string()))?;
            let value = HeaderValue::from_str(value).map_err(|error| wrong(error.to_string()))?;
            if name == ACCEPT {
                headers.insert(name, value);
            } else {
                headers.append(name, value);
            }
        }
        Ok(Asking { method, uri, headers, body: Bytes::from(request.body) })
    }

    async fn send(
        &self,
        client: &Client<Connector, Content>,
        way: &Arc<Way>,
    ) -> Result<http::Response<Incoming>, ClientError> {
        let mut request = http::Request::new(Content::new(self.body.clone(), Arc::clone(way)));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        way.follow(capture_connection(&mut request));
        let response = client.request(request).await?;
        if let Some(wire) = response.extensions().get::<Wire>() {
            wire.note_answer();
        }
        Ok(response)
    }
}

/// Whether a connection was chosen for a request, of which the second way is the later one. It need not be the one that
/// was being made for it: another may have become free first, and then nobody says that the wait for the forward proxy
/// is over.
fn is_on_its_way([first, second]: &[Arc<Way>; 2]) -> bool {
    if second.is_begun() { second.is_chosen() } else { first.is_chosen() }
}

/// Reads at most `max` bytes; dropping the rest closes the connection.
async fn read_body(mut body: Incoming, max: usize, outcome: &mut Outcome) {
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(chunk)) => {
                let room = max.saturating_sub(outcome.body.len());
                outcome.body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                if chunk.len() > room {
                    outcome.truncated = true;
                    return;
                }
            }
            // Trailers.
            Ok(Err(_)) => {}
            Err(error) => {
                outcome.failure = Some(Failure::body(&error));
                return;
            }
        }
    }
}

fn headers_of(response: &http::Response<Incoming>) -> Vec<(String, String)> {
    let harmless = |value: &HeaderValue| super::excerpt::harmless(value.as_bytes(), HEADER_VALUE_MAX);
    response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), harmless(value))).collect()
}

/// Longest header value of an answer that is kept, bytes.
const HEADER_VALUE_MAX: usize = 2 * 1024;
