//! What went wrong with a request, in words for people.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error as TlsError};

use super::excerpt::harmless;
use super::guard::UrlRefusal;

/// Longest text of an error, bytes.
pub const TEXT_MAX: usize = 300;

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The URL or the address is not allowed; nothing was sent.
    Forbidden,
    /// The request can't be made: a header that is none; nothing was sent.
    Request,
    /// The forward proxy of `outbound.proxy` is at fault, and not where the request goes; nothing was sent.
    Proxy,
    /// The name was not found; nothing was sent.
    Dns,
    /// No connection; nothing was sent.
    Connect,
    /// No secure connection; nothing was sent.
    Tls,
    /// No connection in time; nothing was sent.
    ConnectTimeout,
    /// No answer in time; the request may have been read.
    AnswerTimeout,
    /// The connection was closed before an answer; the request may have been read.
    Closed,
    /// What came is not HTTP; the request may have been read.
    Protocol,
    /// The status came, but its body did not end in time.
    BodyTimeout,
    /// The status came, but its body broke off.
    Body,
}

impl FailureKind {
    /// Whether the other side may have read and acted on the request.
    #[must_use]
    pub const fn may_have_arrived(self) -> bool {
        matches!(
            self,
            FailureKind::AnswerTimeout
                | FailureKind::Closed
                | FailureKind::Protocol
                | FailureKind::BodyTimeout
                | FailureKind::Body
        )
    }

    /// The word of the metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            FailureKind::Forbidden => "forbidden",
            FailureKind::Request => "request",
            FailureKind::Proxy => "proxy",
            FailureKind::Dns => "dns",
            FailureKind::Connect => "connect",
            FailureKind::Tls => "tls",
            FailureKind::ConnectTimeout => "connect_timeout",
            FailureKind::AnswerTimeout => "answer_timeout",
            FailureKind::Closed => "closed",
            FailureKind::Protocol => "protocol",
            FailureKind::BodyTimeout => "body_timeout",
            FailureKind::Body => "body",
        }
    }
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// Words for people; never a secret.
    pub text: String,
}

impl Failure {
    /// A failure in these words, cut off and made harmless.
    #[must_use]
    pub fn new(kind: FailureKind, text: impl AsRef<str>) -> Failure {
        Failure { kind, text: harmless(text.as_ref().as_bytes(), TEXT_MAX) }
    }

    /// Whether it is not the fault of where the request goes.
    #[must_use]
    pub fn is_excused(&self) -> bool {
        self.kind == FailureKind::Proxy
    }

    pub(super) fn refused(refusal: &UrlRefusal) -> Failure {
        let kind = match refusal {
            UrlRefusal::Unresolved(_) => FailureKind::Dns,
            UrlRefusal::Syntax(_) | UrlRefusal::TooLong => FailureKind::Request,
            _ => FailureKind::Forbidden,
        };
        Failure::new(kind, refusal.to_string())
    }

    pub(super) fn no_answer(timeout: Duration) -> Failure {
        Failure::new(FailureKind::AnswerTimeout, format!("no answer within {}", seconds(timeout)))
    }

    pub(super) fn body_timeout(timeout: Duration) -> Failure {
        let text = format!("the answer's body did not end within {}", seconds(timeout));
        Failure::new(FailureKind::BodyTimeout, text)
    }

    pub(super) fn body(error: &reqwest::Error) -> Failure {
        Failure::new(FailureKind::Body, format!("the answer's body broke off: {}", innermost(error)))
    }

    /// Says what a client's error before the answer means. `identified`: a client certificate was ready to be shown.
    pub(super) fn of(error: &reqwest::Error, connect_timeout: Duration, identified: bool) -> Failure {
        if let Some(refusal) = find::<UrlRefusal>(error) {
            return Failure::refused(refusal);
        }
        if error.is_timeout() && error.is_connect() {
            let text = format!("no connection within {}", seconds(connect_timeout));
            return Failure::new(FailureKind::ConnectTimeout, text);
        }
        if error.is_timeout() {
            return Failure::new(FailureKind::AnswerTimeout, "no answer in time");
        }
        if let Some(tls) = find::<TlsError>(error) {
            return Failure::new(FailureKind::Tls, tls_words(tls, identified));
        }
        let system = find::<io::Error>(error);
        if error.is_connect() {
            return Failure::new(FailureKind::Connect, connect_words(system, error));
        }
        if error.is_builder() {
            return Failure::new(
                FailureKind::Request,
                format!("the request can't be made: {}", innermost(error)),
            );
        }
        if system.is_some_and(|error| is_closing(error.kind())) {
            return Failure::new(FailureKind::Closed, "the connection was reset before an answer came");
        }
        let words = innermost(error);
        if words.contains("closed before message completed") || words.contains("connection closed") {
            return Failure::new(FailureKind::Closed, "the connection was closed before an answer came");
        }
        Failure::new(FailureKind::Protocol, format!("what came is not a proper HTTP answer: {words}"))
    }
}

fn is_closing(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(kind, ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof | NotConnected)
}

fn connect_words(system: Option<&io::Error>, error: &reqwest::Error) -> String {
    use io::ErrorKind;
    match system.map(io::Error::kind) {
        Some(ErrorKind::ConnectionRefused) => "the connection was refused".to_owned(),
        Some(ErrorKind::HostUnreachable) => "the host can't be reached".to_owned(),
        Some(ErrorKind::NetworkUnreachable) => "the network can't be reached".to_owned(),
        Some(ErrorKind::TimedOut) => "the connection timed out".to_owned(),
        Some(kind) if is_closing(kind) => "the connection was closed while it was being made".to_owned(),
        _ => format!("no connection: {}", innermost(error)),
    }
}

/// What a TLS error means for the owner of the other side.
fn tls_words(error: &TlsError, identified: bool) -> String {
    match error {
        TlsError::InvalidCertificate(why) => format!("TLS: {}", certificate_words(why)),
        TlsError::AlertReceived(AlertDescription::ProtocolVersion) => {
            "TLS: the server speaks only versions older than 1.2".to_owned()
        }
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => no_certificate(identified),
        TlsError::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::DecryptError
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::AccessDenied),
        ) if identified => format!("TLS: the server refused our client certificate ({alert:?})"),
        TlsError::AlertReceived(alert) => format!("TLS: the server refused the handshake ({alert:?})"),
        TlsError::PeerIncompatible(why) => {
            format!("TLS: no version or cipher in common with the server ({why:?})")
        }
        TlsError::InvalidMessage(_) => "TLS: the server does not speak TLS on this port".to_owned(),
        TlsError::NoCertificatesPresented => "TLS: the server shows no certificate".to_owned(),
        other => format!("TLS: {other}"),
    }
}

fn no_certificate(identified: bool) -> String {
    if identified {
        "TLS: the server asks for a client certificate, but not for one such as the endpoint's".to_owned()
    } else {
        "TLS: the server asks for a client certificate, and the endpoint has none".to_owned()
    }
}

fn certificate_words(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another name".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "the certificate's issuer is not trusted (self-signed, or an intermediate certificate is missing)"
                .to_owned()
        }
        CertificateError::Revoked => "the certificate was revoked".to_owned(),
        other => format!("the certificate is not valid ({other})"),
    }
}

/// The first error of a kind in a chain; also inside of `io::Error`, whose chain leaves its content out.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        let inside = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inside {
            Some(inside) => Some(inside),
            None => current.source(),
        };
    }
    None
}

/// The words of the last error of a chain; those before it only say "error sending request".
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

pub(super) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_millis() as f64 / 1000.0)
}
