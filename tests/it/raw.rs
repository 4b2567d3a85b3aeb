//! HTTP/1.1 by hand: what no proper client would send, and many requests over one connection.

use std::time::Duration;

use kassir_providers::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing here takes that long; so that a failing test ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection.
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// `127.0.0.1:PORT` and the path of a URL.
pub fn split(url: &str) -> (&str, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    (host, format!("/{path}"))
}

/// The bytes of a notification.
pub fn post(url: &str, request: &Request) -> Vec<u8> {
    let (host, path) = split(url);
    let mut head =
        format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n", request.body.len());
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    [head.as_bytes(), b"\r\n", &request.body].concat()
}

impl Raw {
    /// Connects to a URL's host.
    pub async fn to(url: &str) -> Raw {
        Raw { stream: TcpStream::connect(split(url).0).await.unwrap(), read: Vec::new() }
    }

    /// Sends bytes; false when the other side has closed.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// The next answer: status and body. `None` when the connection ends without one.
    pub async fn answer(&mut self) -> Option<(u16, String)> {
        tokio::time::timeout(PATIENCE, self.read_answer()).await.expect("an answer or an end")
    }

    async fn read_answer(&mut self) -> Option<(u16, String)> {
        let head_end = loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.read[..head_end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let end = head_end + length.unwrap_or(0_usize);
        while self.read.len() < end {
            self.more().await?;
        }
        let body = String::from_utf8_lossy(&self.read[head_end..end]).into_owned();
        self.read.drain(..end);
        Some((status, body))
    }

    async fn more(&mut self) -> Option<()> {
        let mut part = [0; 4096];
        match self.stream.read(&mut part).await {
            Ok(0) | Err(_) => None,
            Ok(count) => {
                self.read.extend_from_slice(&part[..count]);
                Some(())
            }
        }
    }

    /// Waits until the other side closes; gives what it said before.
    pub async fn closed(mut self) -> String {
        let all = async { while self.more().await.is_some() {} };
        tokio::time::timeout(PATIENCE, all).await.expect("an end");
        String::from_utf8_lossy(&self.read).into_owned()
    }
}
