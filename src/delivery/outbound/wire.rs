//! What passes over a connection: enough to know, of a request that failed, whether it went over a connection that was
//! kept open after an earlier answer, and whether a byte of its own answer came.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Extensions;
use http_body::{Body, Frame, SizeHint};
use hyper_util::client::legacy::connect::{CaptureConnection, Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::failure::is_closing;

/// A connection, as far as it concerns requests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Wire(Arc<State>);

struct State {
    remote: Option<IpAddr>,
    /// Bytes of answers that were read so far; of TLS only what was inside.
    read: AtomicU64,
    /// Whether an answer came over it.
    answered: AtomicBool,
}

impl Wire {
    fn to(remote: Option<IpAddr>) -> Wire {
        Wire(Arc::new(State { remote, read: AtomicU64::new(0), answered: AtomicBool::new(false) }))
    }

    /// The address that was connected to.
    pub fn remote(&self) -> Option<IpAddr> {
        self.0.remote
    }

    /// Notes that an answer came over it.
    pub fn note_answer(&self) {
        self.0.answered.store(true, Ordering::Relaxed);
    }

    fn of(connected: &Connected) -> Option<Wire> {
        let mut extras = Extensions::new();
        connected.get_extras(&mut extras);
        extras.remove::<Wire>()
    }
}

/// A connection with or without TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection whose bytes are counted.
///
/// A failed write is not the end of it: a receiver may answer before it has read everything, and reset the connection
/// then; its answer lies in the system's buffer still. So what can't be written any more is thrown away, and reading
/// goes on until it ends by itself.
pub(super) struct Counted {
    stream: Stream,
    wire: Wire,
    is_deaf: bool,
}

impl Counted {
    /// `remote`: the address where requests go, which is not the stream's when there is a tunnel between.
    pub fn new(stream: Stream, remote: Option<IpAddr>) -> Counted {
        Counted { stream, wire: Wire::to(remote), is_deaf: false }
    }

    /// What becomes of a write of so many bytes.
    fn written(&mut self, polled: Poll<io::Result<usize>>, all: usize) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Ready(Err(error)) if is_closing(error.kind()) => {
                self.is_deaf = true;
                Poll::Ready(Ok(all))
            }
            other => other,
        }
    }
}

impl Connection for Counted {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(self.wire.clone());
        match &self.stream {
            Stream::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                connected.negotiated_h2()
            }
            _ => connected,
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        let count = buf.filled().len().saturating_sub(before);
        self.wire.0.read.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.written(polled, bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_deaf {
            return Poll::Ready(Ok(()));
        }
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        };
        self.written(polled.map_ok(|()| 0), 0).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = parts.iter().map(|part| part.len()).sum();
        if self.is_deaf {
            return Poll::Ready(Ok(all));
        }
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        };
        self.written(polled, all)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

/// The way of one request.
#[derive(Default)]
pub(super) struct Way {
    connection: OnceLock<CaptureConnection>,
    start: OnceLock<Start>,
}

/// The connection of a request, as it was just before the request went out.
struct Start {
    wire: Wire,
    read: u64,
    answered: bool,
}

impl Way {
    /// Follows the connection that the HTTP client will choose.
    pub fn follow(&self, connection: CaptureConnection) {
        let _ = self.connection.set(connection);
    }

    /// Whether it was begun.
    pub fn is_begun(&self) -> bool {
        self.connection.get().is_some()
    }

    /// Whether a connection is chosen.
    pub fn is_chosen(&self) -> bool {
        self.connection.get().is_some_and(|connection| connection.connection_metadata().is_some())
    }

    /// The address that the request went to, once a connection is chosen.
    pub fn remote(&self) -> Option<IpAddr> {
        self.wire().and_then(|wire| wire.remote())
    }

    /// Of a request whose connection died: whether that connection had been kept open after an earlier answer, and
    /// not a byte came since this request went out.
    pub fn died_kept_and_silent(&self) -> bool {
        let silent = |start: &Start| start.wire.0.read.load(Ordering::Relaxed) == start.read;
        self.start.get().is_some_and(|start| start.answered && silent(start))
    }

    fn wire(&self) -> Option<Wire> {
        self.connection.get()?.connection_metadata().as_ref().and_then(Wire::of)
    }

    /// Notes how far the connection is. The connection's own task asks for the body's end before it writes a byte of
    /// the request, so what is read later is an answer to this request (or, of HTTP/2, to another one beside it).
    fn begin(&self) {
        if self.start.get().is_none()
            && let Some(wire) = self.wire()
        {
            let (read, answered) = (&wire.0.read, &wire.0.answered);
            let (read, answered) = (read.load(Ordering::Relaxed), answered.load(Ordering::Relaxed));
            let _ = self.start.set(Start { wire, read, answered });
        }
    }
}

/// The body of a request.
pub(super) struct Content {
    bytes: Option<Bytes>,
    way: Arc<Way>,
}

impl Content {
    pub fn new(bytes: Bytes, way: Arc<Way>) -> Content {
        Content { bytes: (!bytes.is_empty()).then_some(bytes), way }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.way.begin();
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.bytes.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}
