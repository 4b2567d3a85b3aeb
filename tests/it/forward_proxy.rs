//! A small forward proxy of the tests' own: works, or does not.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// How it behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Opens tunnels.
    Work,
    /// Answers this instead.
    Answer(&'static str),
    /// Takes the connection and says nothing.
    Silent,
    /// Closes at once.
    Close,
}

/// What it was asked: the request's line, and the credentials.
pub type Asked = (String, Option<String>);

struct Shared {
    mode: Mutex<Mode>,
    asked: Mutex<Vec<Asked>>,
    arrived: Notify,
}

/// The proxy. It ends when it is dropped.
pub struct ForwardProxy {
    pub at: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ForwardProxy {
    pub async fn start() -> ForwardProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            mode: Mutex::new(Mode::Work),
            asked: Mutex::default(),
            arrived: Notify::new(),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = Arc::clone(&serving);
                tokio::spawn(async move { serve(stream, &serving).await });
            }
        });
        ForwardProxy { at, shared, task }
    }

    /// From now on it behaves so.
    pub fn set(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
    }

    /// Waits until it was asked so often.
    pub async fn wait_for(&self, count: usize) {
        loop {
            let arrived = self.shared.arrived.notified();
            if self.asked().len() >= count {
                return;
            }
            arrived.await;
        }
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let mode = shared.mode.lock().unwrap().clone();
    if mode == Mode::Close {
        return None;
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let line = head.lines().next()?.to_owned();
    let credentials = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: "));
    shared.asked.lock().unwrap().push((line.clone(), credentials.map(str::to_owned)));
    shared.arrived.notify_waiters();
    match mode {
        Mode::Work => {
            let target = line.strip_prefix("CONNECT ")?.strip_suffix(" HTTP/1.1")?.to_owned();
            let mut upstream = TcpStream::connect(target).await.ok()?;
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
            tokio::io::copy_bidirectional(&mut stream, &mut upstream).await.ok()?;
        }
        Mode::Answer(text) => {
            stream.write_all(text.as_bytes()).await.ok()?;
            stream.shutdown().await.ok()?;
        }
        Mode::Silent => {
            let _ = stream.read_u8().await;
        }
        Mode::Close => {}
    }
    Some(())
}
