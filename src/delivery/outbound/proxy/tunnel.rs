//! Tunnels through the forward proxy: the name's addresses are judged here, and the proxy is asked for one of them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kassir_providers::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::failure::{Failure, FailureKind, seconds};
use super::super::guard::{UrlRefusal, literal};
use super::super::resolver::{GuardedResolver, note_dialled, note_waiting};
use super::Proxy;

/// Addresses of a name that the proxy is asked for, one after the other.
const ADDRESSES_TRIED: usize = 3;
/// Longest head of the proxy's answer, bytes.
const HEAD_MAX: usize = 8 * 1024;

/// Opens tunnels.
pub(in super::super) struct Tunnels {
    proxy: Proxy,
    resolver: GuardedResolver,
    /// For each of connecting to the proxy and opening a tunnel.
    timeout: Duration,
}

impl Tunnels {
    pub fn new(proxy: Proxy, resolver: GuardedResolver, timeout: Duration) -> Tunnels {
        Tunnels { proxy, resolver, timeout }
    }

    /// Whether requests to this host go through the proxy.
    pub fn is_for(&self, host: &str) -> bool {
        self.proxy.is_for(host)
    }

    /// The proxy itself.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// A tunnel to one of a host's addresses; beside it, which one.
    ///
    /// # Errors
    /// [`Failure`]: the proxy's fault, but for a name that leads nowhere good.
    pub async fn open(&self, host: &str, port: u16) -> Result<(TcpStream, IpAddr), Failure> {
        let opened = self.open_noting(host, port).await;
        note_waiting(None);
        opened
    }

    async fn open_noting(&self, host: &str, port: u16) -> Result<(TcpStream, IpAddr), Failure> {
        let addresses = self.addresses(host).await?;
        let mut last = Failure::new(FailureKind::Dns, format!("the name {host} has no address"));
        for address in addresses.into_iter().take(ADDRESSES_TRIED) {
            match self.tunnel(SocketAddr::new(address, port)).await {
                Ok(stream) => {
                    note_dialled(address);
                    return Ok((stream, address.to_canonical()));
                }
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
    async fn tunnel(&self, to: SocketAddr) -> Result<TcpStream, (Failure, bool)> {
        let place = self.proxy.place();
        let stage = |words: &str| format!("{words} within {}", seconds(self.timeout));
        let proxys = |words: String| Failure::new(FailureKind::Proxy, words);

        let slow = stage(&format!("the forward proxy {place} can't be reached"));
        note_waiting(Some(slow.clone()));
        let mut stream = match tokio::time::timeout(self.timeout, self.proxy.dial()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return Err((proxys(format!("the forward proxy {place} can't be reached: {error}")), false));
            }
            Err(_) => return Err((proxys(slow), false)),
        };

        let slow = stage(&format!("the forward proxy {place} did not open a tunnel"));
        note_waiting(Some(slow.clone()));
        let asking = async {
            stream.write_all(self.proxy.request(to).expose().as_bytes()).await?;
            read_head(&mut stream).await
        };
        let head = match tokio::time::timeout(self.timeout, asking).await {
            Ok(Ok(head)) => head,
            Ok(Err(error)) => {
                let words = format!("the forward proxy {place} gave no proper answer: {error}");
                return Err((proxys(words), false));
            }
            Err(_) => return Err((proxys(slow), false)),
        };
        match status(&head) {
            Some(200..300) => Ok(stream),
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

/// Reads up to the empty line and not a byte further: what follows is the server's.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its head is too long"));
        }
        head.push(stream.read_u8().await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed")
            }
            _ => error,
        })?);
    }
    Ok(head)
}

/// The status of an answer's head.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let (version, rest) = line.split_once(' ')?;
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    rest.get(..3)?.parse().ok().filter(|status| (100..600).contains(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Some(200)),
            ("HTTP/1.0 407\r\n", Some(407)),
            ("HTTP/2 200\r\n", None),
            ("HTTP/1.1 99\r\n", None),
            ("hello", None),
            ("", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let _ = status(&bytes);
        }
    }
}
