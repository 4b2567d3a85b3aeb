//! Makes connections: to a judged address, or through the forward proxy's tunnel, with TLS where the URL says so.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::failure::{ClientCertificate, Failure, FailureKind};
use super::proxy::tunnel::Tunnels;
use super::resolver::{GuardedResolver, asked_in_vain, waits_for};
use super::wire::{Counted, Stream};

/// A quiet connection is asked so often whether the other side is still there, and given up after so many times.
const TCP_KEEPALIVE: Duration = Duration::from_secs(15);
const TCP_KEEPALIVE_TIMES: u32 = 3;

/// Makes connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector {
    http: HttpConnector<GuardedResolver>,
    tunnels: Option<Arc<Tunnels>>,
    tls: TlsConnector,
    /// Whether a client certificate is ready to be shown.
    identified: bool,
    timeout: Duration,
}

impl Connector {
    /// `timeout`: for resolving, connecting and TLS together.
    pub fn new(
        resolver: GuardedResolver,
        tunnels: Option<Arc<Tunnels>>,
        tls: Arc<ClientConfig>,
        timeout: Duration,
    ) -> Connector {
        let mut http = HttpConnector::new_with_resolver(resolver);
        http.enforce_http(false);
        http.set_nodelay(true);
        // Of several addresses each gets a part of it.
        http.set_connect_timeout(Some(timeout));
        http.set_keepalive(Some(TCP_KEEPALIVE));
        http.set_keepalive_interval(Some(TCP_KEEPALIVE));
        http.set_keepalive_retries(Some(TCP_KEEPALIVE_TIMES));
        let identified = tls.client_auth_cert_resolver.has_certs();
        Connector { http, tunnels, tls: TlsConnector::from(tls), identified, timeout }
    }

    async fn connect(mut self, to: Uri) -> Result<TokioIo<Counted>, Failure> {
        let (timeout, is_connected) = (self.timeout, AtomicBool::new(false));
        let connecting = self.connect_slowly(to, &is_connected);
        match tokio::time::timeout(timeout, connecting).await {
            Ok(connected) => connected.map(TokioIo::new),
            Err(_) => Err(match waits_for() {
                Some(words) => Failure::new(FailureKind::Proxy, words),
                None if is_connected.into_inner() => Failure::handshake_timeout(timeout),
                None => Failure::connect_timeout(timeout),
            }),
        }
    }

    async fn connect_slowly(&mut self, to: Uri, is_connected: &AtomicBool) -> Result<Counted, Failure> {
        let host = to.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let is_https = to.scheme() == Some(&http::uri::Scheme::HTTPS);
        let (stream, remote) = self.stream(&host, to).await?;
        is_connected.store(true, Ordering::Relaxed);
        if !is_https {
            return Ok(Counted::new(Stream::Plain(stream), remote));
        }
        let name = ServerName::try_from(host).map_err(|error| {
            Failure::new(FailureKind::Request, format!("TLS: the URL's host can't be asked for: {error}"))
        })?;
        match self.tls.connect(name, stream).await {
            Ok(stream) => Ok(Counted::new(Stream::Tls(Box::new(stream)), remote)),
            Err(error) => Err(Failure::connecting(&error, self.timeout, self.shown())),
        }
    }

    fn shown(&self) -> ClientCertificate {
        match ClientCertificate::of(self.identified) {
            ClientCertificate::None if asked_in_vain() => ClientCertificate::AskedInVain,
            shown => shown,
        }
    }

    async fn stream(&mut self, host: &str, to: Uri) -> Result<(TcpStream, Option<IpAddr>), Failure> {
        if let Some(tunnels) = self.tunnels.as_ref().filter(|tunnels| tunnels.is_for(host)) {
            const HTTPS: u16 = 443;
            let (stream, remote) = tunnels.open(host, to.port_u16().unwrap_or(HTTPS)).await?;
            return Ok((stream, Some(remote)));
        }
        let stream = self.http.call(to).await;
        let stream = stream.map_err(|error| Failure::connecting(&error, self.timeout, self.shown()))?;
        let stream = stream.into_inner();
        let remote = stream.peer_addr().ok().map(|address| address.ip().to_canonical());
        Ok((stream, remote))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Counted>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().connect(to))
    }
}
