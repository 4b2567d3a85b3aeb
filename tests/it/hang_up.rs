//! A receiver that ends connections at awkward moments, over plain TCP or TLS.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It is read and answered with 200.
    Answer,
    /// After its first byte the connection is closed in good order.
    Close,
    /// After its first byte the connection is reset.
    Reset,
    /// After all of it the connection is closed in good order.
    CloseAfterAll,
    /// After its first byte these bytes come, and then the end in good order.
    Say(&'static str),
    /// Nothing, for as long as the other side likes.
    Silence,
}

#[derive(Default)]
struct Shared {
    heads: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

/// The receiver. It ends when it is dropped.
pub struct Receiver {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// `connections`: of each connection in turn, what becomes of its requests; whatever comes after is answered.
    pub async fn start(tls: Option<Arc<ServerConfig>>, connections: &[&[Moment]]) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared::default());
        let script: Vec<Vec<Moment>> = connections.iter().map(|moments| moments.to_vec()).collect();
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = serving.connections.fetch_add(1, Ordering::SeqCst);
                let moments = script.get(number).cloned().unwrap_or_default();
                let (tls, serving) = (tls.clone(), Arc::clone(&serving));
                tokio::spawn(async move { serve(stream, tls, moments, &serving).await });
            }
        });
        Receiver { address, scheme, shared, task }
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// Heads of the requests that were read as a whole.
    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, tls: Option<Arc<ServerConfig>>, moments: Vec<Moment>, shared: &Shared) {
    let Some(tls) = tls else {
        if talk(&mut stream, moments, shared).await == Some(Moment::Reset) {
            stream.set_zero_linger().unwrap();
        }
        return;
    };
    let Ok(mut stream) = TlsAcceptor::from(tls).accept(stream).await else { return };
    if talk(&mut stream, moments, shared).await == Some(Moment::Reset) {
        stream.get_ref().0.set_zero_linger().unwrap();
    }
}

/// Gives at which moment it ended.
async fn talk(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    moments: Vec<Moment>,
    shared: &Shared,
) -> Option<Moment> {
    let mut moments = moments.into_iter();
    loop {
        let moment = moments.next().unwrap_or(Moment::Answer);
        let mut read = vec![stream.read_u8().await.ok()?];
        match moment {
            Moment::Reset => return Some(moment),
            Moment::Close => return end(stream, moment).await,
            Moment::Say(words) => {
                stream.write_all(words.as_bytes()).await.ok()?;
                return end(stream, moment).await;
            }
            Moment::Answer | Moment::CloseAfterAll | Moment::Silence => {}
        }
        let head = request(stream, &mut read).await?;
        shared.heads.lock().unwrap().push(head);
        match moment {
            Moment::Answer => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.ok()?;
            }
            Moment::Silence => std::future::pending().await,
            _ => return end(stream, moment).await,
        }
    }
}

/// The end of what this side says; what the other side still says is read, so that nothing is reset.
async fn end(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), moment: Moment) -> Option<Moment> {
    stream.shutdown().await.ok()?;
    let _ = tokio::io::copy(stream, &mut tokio::io::sink()).await;
    Some(moment)
}

/// Reads a request; gives its head in lower case.
async fn request(stream: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) -> Option<String> {
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(read.clone()).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some(head)
}
