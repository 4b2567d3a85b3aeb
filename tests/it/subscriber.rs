//! A subscriber that does what a script says, well or badly, and remembers what it got.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// What to do with a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// A proper answer.
    Answer { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// Nothing, until the other side goes.
    Hang,
    /// A head that never ends, a byte at a time.
    DripHead,
    /// A good status, and a body that never ends, a byte at a time.
    DripBody,
    /// A good status, and a body that never ends, as fast as it is read.
    EndlessBody,
    /// A good status, and a body that breaks off.
    BrokenBody,
    /// No answer, the connection closed.
    Close,
    /// An answer with this status, once the gate is opened.
    Gate(Arc<Notify>, u16),
    /// A good answer after the first byte of the request; the rest is never read.
    Early,
    /// The same, and then the connection reset.
    EarlyReset,
    /// A good answer, and the connection closed although the answer does not say so.
    AnswerAndClose,
    /// These bytes, and then the connection closed.
    Raw(Vec<u8>),
}

impl Act {
    /// An answer with a status and no body.
    pub fn status(status: u16) -> Act {
        Act::answer(status, &[], "")
    }

    /// An answer.
    pub fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Act {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Act::Answer { status, headers, body: body.into() }
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method and path.
    pub line: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Seen {
    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<Seen>>,
    arrived: Notify,
    connections: AtomicUsize,
    written: AtomicUsize,
}

/// The subscriber. It ends when it is dropped.
pub struct Subscriber {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscriber {
    /// One that speaks http.
    pub async fn http() -> Subscriber {
        Subscriber::start(None).await
    }

    /// One that speaks https.
    pub async fn https(tls: Arc<ServerConfig>) -> Subscriber {
        Subscriber::start(Some(TlsAcceptor::from(tls))).await
    }

    async fn start(tls: Option<TlsAcceptor>) -> Subscriber {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(accept(listener, tls, Arc::clone(&shared)));
        Subscriber { address, scheme, shared, task }
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What to do with the next requests; after them it answers 200.
    pub fn script(&self, acts: impl IntoIterator<Item = Act>) {
        self.shared.script.lock().unwrap().extend(acts);
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests came.
    pub async fn wait_for(&self, count: usize) {
        loop {
            let arrived = self.shared.arrived.notified();
            if self.shared.seen.lock().unwrap().len() >= count {
                return;
            }
            arrived.await;
        }
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Bytes of endless bodies so far.
    pub fn written(&self) -> usize {
        self.shared.written.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move { serve(stream, tls, &shared).await });
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, shared: &Shared) {
    match tls {
        None => talk(stream, shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                talk(stream, shared).await;
            }
        }
    }
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) {
    const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let mut rest = Vec::new();
    let next = shared.script.lock().unwrap().front().cloned();
    if let Some(act @ (Act::Early | Act::EarlyReset)) = next {
        shared.script.lock().unwrap().pop_front();
        if stream.read_u8().await.is_err() || stream.write_all(FINE).await.is_err() {
            return;
        }
        if matches!(act, Act::Early) {
            // Open, and unread, until the test ends.
            std::future::pending::<()>().await;
        }
        return;
    }
    while let Some(seen) = request(&mut stream, &mut rest).await {
        shared.seen.lock().unwrap().push(seen);
        shared.arrived.notify_waiters();
        let act = shared.script.lock().unwrap().pop_front().unwrap_or_else(|| Act::status(200));
        if perform(act, &mut stream, shared).await.is_none() {
            return;
        }
    }
}

/// Reads a request; `None` when the other side is gone.
async fn request(stream: &mut (impl AsyncRead + Unpin), rest: &mut Vec<u8>) -> Option<Seen> {
    let head_end = loop {
        if let Some(at) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, rest).await?;
    };
    let head = String::from_utf8_lossy(&rest[..head_end]).into_owned();
    let mut lines = head.lines();
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
    while rest.len() < head_end + length {
        read_more(stream, rest).await?;
    }
    let body = rest[head_end..head_end + length].to_vec();
    rest.drain(..head_end + length);
    Some(Seen { line, headers, body })
}

async fn read_more(stream: &mut (impl AsyncRead + Unpin), rest: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 8 * 1024];
    match stream.read(&mut chunk).await {
        Ok(0) | Err(_) => None,
        Ok(count) => {
            rest.extend_from_slice(&chunk[..count]);
            Some(())
        }
    }
}

/// Does what the script says; `None` when the connection is to be closed.
async fn perform(
    act: Act,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    shared: &Shared,
) -> Option<()> {
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    const DRIP_EVERY: Duration = Duration::from_millis(20);
    match act {
        Act::Answer { status, headers, body } => {
            let mut head = format!("HTTP/1.1 {status} Status\r\n");
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            if status >= 200 && status != 204 && status != 304 {
                head.push_str(&format!("content-length: {}\r\n", body.len()));
            }
            let bytes = [head.as_bytes(), b"\r\n", &body].concat();
            stream.write_all(&bytes).await.ok()
        }
        Act::Hang => {
            read_more(stream, &mut Vec::new()).await;
            None
        }
        Act::DripHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nx-slow: ").await.ok()?;
            drip(stream, b"a", DRIP_EVERY).await
        }
        Act::DripBody => {
            stream.write_all(CHUNKED).await.ok()?;
            drip(stream, b"1\r\na\r\n", DRIP_EVERY).await
        }
        Act::EndlessBody => {
            stream.write_all(CHUNKED).await.ok()?;
            let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
            loop {
                stream.write_all(&chunk).await.ok()?;
                shared.written.fetch_add(0x4000, Ordering::SeqCst);
            }
        }
        Act::BrokenBody => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.ok()?;
            stream.shutdown().await.ok();
            None
        }
        Act::Gate(gate, status) => {
            gate.notified().await;
            let head = format!("HTTP/1.1 {status} Status\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok()
        }
        Act::AnswerAndClose => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok();
            None
        }
        Act::Close | Act::Early | Act::EarlyReset => None,
        Act::Raw(bytes) => {
            stream.write_all(&bytes).await.ok();
            stream.shutdown().await.ok();
            None
        }
    }
}

async fn drip(stream: &mut (impl AsyncWrite + Unpin), drop: &[u8], every: Duration) -> Option<()> {
    let mut ticks = tokio::time::interval(every);
    loop {
        ticks.tick().await;
        stream.write_all(drop).await.ok()?;
        stream.flush().await.ok()?;
    }
}
