//! The relay: takes the HTTP client's wish for a tunnel to a name, judges the name's addresses, and has the proxy open
//! a tunnel to one of them.
//!
//! It listens on a port of the loopback interface and serves only who knows a token made at the start of this process.
//! It lives on a thread of its own, because the client is used from several runtimes that end at different times.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kassir_providers::{Secret, digest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use super::super::Url;
use super::super::failure::{Failure, FailureKind, seconds};
use super::super::guard::{UrlRefusal, literal};
use super::super::resolver::GuardedResolver;
use super::Proxy;
use super::ask::{Ask, HEAD_MAX, status};
use super::finding::{Finding, Findings, Followed};
use crate::secrets::new_token;

/// Tunnels at once; more wait.
pub const TUNNELS_MAX: usize = 2_048;
/// Addresses of a name that the proxy is asked for, one after the other.
const ADDRESSES_TRIED: usize = 3;
/// Attempts to take a connection after the system refused one (no file handles left): a pause.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running relay; it ends when this is dropped.
pub(in super::super) struct Relay {
    at: SocketAddr,
    token: Secret,
    proxy: Proxy,
    findings: Arc<Findings>,
    _stop: oneshot::Sender<()>,
}

struct Serving {
    token: Secret,
    proxy: Proxy,
    resolver: GuardedResolver,
    findings: Arc<Findings>,
    timeout: Duration,
}

impl Relay {
    /// Starts one. `timeout`: for opening a tunnel.
    pub fn start(proxy: Proxy, resolver: GuardedResolver, timeout: Duration) -> io::Result<Relay> {
        let token = new_token("").map_err(io::Error::other)?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let at = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let findings = Arc::new(Findings::default());
        let serving = Arc::new(Serving {
            token: token.clone(),
            proxy: proxy.clone(),
            resolver,
            findings: Arc::clone(&findings),
            timeout,
        });
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("kassir-proxy".to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    _ = stopped => {}
                    () = accept(listener, serving) => {}
                }
            });
        })?;
        Ok(Relay { at, token, proxy, findings, _stop: stop })
    }

    /// Follows the tunnel of a request to this host, when it goes through the proxy.
    pub fn follow(&self, host: &str) -> Option<Followed> {
        self.proxy.is_for(host).then(|| self.findings.follow())
    }

    /// What the HTTP client is told as its proxy for a host; `None` when it goes there directly.
    pub fn url_for(&self, target: &Url, number: u64) -> Option<Url> {
        if !self.proxy.is_for(target.host_str().unwrap_or_default()) {
            return None;
        }
        let mut url = Url::parse(&format!("http://{}", self.at)).ok()?;
        url.set_username(&number.to_string()).ok()?;
        url.set_password(Some(self.token.expose())).ok()?;
        Some(url)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// The proxy behind it.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }
}

async fn accept(listener: std::net::TcpListener, serving: Arc<Serving>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let places = Arc::new(Semaphore::new(TUNNELS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((client, _)) => {
                let serving = Arc::clone(&serving);
                tokio::spawn(async move {
                    serving.serve(client).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

impl Serving {
    async fn serve(&self, mut client: TcpStream) {
        let _ = client.set_nodelay(true);
        let head = tokio::time::timeout(self.timeout, read_head(&mut client)).await;
        let Ok(Ok((head, _))) = head else { return };
        let ask = std::str::from_utf8(&head).ok().and_then(Ask::parse);
        let Some(ask) = ask.filter(|ask| digest::same(ask.token.as_bytes(), self.token.expose().as_bytes()))
        else {
            let _ = client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
            return;
        };
        match self.open(&ask).await {
            Ok((address, mut upstream, early)) => {
                self.findings.note(ask.number, Finding::Open(address));
                let greeting = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &early].concat();
                if client.write_all(&greeting).await.is_ok() {
                    // The client ends it: by its deadline, or when the connection was idle for too long.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
                }
            }
            Err(failure) => {
                self.findings.note(ask.number, Finding::Failed(failure));
                let _ = client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
            }
        }
    }

    async fn open(&self, ask: &Ask) -> Result<(IpAddr, TcpStream, Vec<u8>), Failure> {
        let addresses = self.addresses(&ask.host).await?;
        let mut last = Failure::new(FailureKind::Dns, format!("the name {} has no address", ask.host));
        for address in addresses.into_iter().take(ADDRESSES_TRIED) {
            match self.tunnel(ask.number, SocketAddr::new(address, ask.port)).await {
                Ok((stream, early)) => return Ok((address.to_canonical(), stream, early)),
                Err((failure, go_on)) => {
                    last = failure;
                    if !go_on {
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    /// The addresses of a host that may be used.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Failure> {
        let found = match literal(host) {
            Some(address) => {
                let refused = |why| UrlRefusal::Address { host: host.to_owned(), why };
                self.resolver.guard.check_address(address).map(|()| vec![address]).map_err(refused)
            }
            None => self.resolver.allowed(host).await,
        };
        found.map_err(|refusal| Failure::refused(&refusal))
    }

    /// Has the proxy open a tunnel. With a failure: whether another address may do better.
    async fn tunnel(&self, number: u64, to: SocketAddr) -> Result<(TcpStream, Vec<u8>), (Failure, bool)> {
        let place = self.proxy.place();
        let stage = |words: &str| format!("{words} within {}", seconds(self.timeout));
        let proxys = |words: String| Failure::new(FailureKind::Proxy, words);

        let slow = stage(&format!("the forward proxy {place} can't be reached"));
        self.findings.note(number, Finding::Waiting(slow.clone()));
        let mut stream = match tokio::time::timeout(self.timeout, self.proxy.dial()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return Err((proxys(format!("the forward proxy {place} can't be reached: {error}")), false));
            }
            Err(_) => return Err((proxys(slow), false)),
        };

        let slow = stage(&format!("the forward proxy {place} did not open a tunnel"));
        self.findings.note(number, Finding::Waiting(slow.clone()));
        let asking = async {
            stream.write_all(self.proxy.request(to).expose().as_bytes()).await?;
            read_head(&mut stream).await
        };
        let (head, early) = match tokio::time::timeout(self.timeout, asking).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                return Err((
                    proxys(format!("the forward proxy {place} gave no proper answer: {error}")),
                    false,
                ));
            }
            Err(_) => return Err((proxys(slow), false)),
        };
        match status(&head) {
            Some(200..300) => Ok((stream, early)),
            Some(407) => {
                let words =
                    format!("the forward proxy {place} wants other credentials (407): see outbound.proxy");
                Err((proxys(words), false))
            }
            Some(other) => {
                Err((proxys(format!("the forward proxy {place} refused to open a tunnel ({other})")), true))
            }
            None => Err((proxys(format!("the forward proxy {place} does not speak HTTP")), false)),
        }
    }
}

impl Proxy {
    /// Connects to the proxy itself. Its address is the operator's choice: no rule holds for it.
    pub(in super::super) async fn dial(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// `CONNECT` to a judged address.
    fn request(&self, to: SocketAddr) -> Secret {
        let mut text = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
        if let Some(credentials) = &self.credentials {
            text.push_str(&format!("Proxy-Authorization: {}\r\n", credentials.expose()));
        }
        text.push_str("\r\n");
        Secret::new(text)
    }
}

/// Reads up to the empty line; beside it, what came after.
async fn read_head(stream: &mut TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut read = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"));
        }
        read.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = read.split_off(at + 4);
            return Ok((read, rest));
        }
        if read.len() > HEAD_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its head is too long"));
        }
    }
}
