//! What went wrong with a request, in words for people.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy::Error as ClientError;
use rustls::{AlertDescription, CertificateError, Error as TlsError, InvalidMessage, PeerIncompatible};

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

    pub(super) fn body(error: &hyper::Error) -> Failure {
        Failure::new(FailureKind::Body, format!("the answer's body broke off: {}", innermost(error)))
    }

    pub(super) fn connect_timeout(timeout: Duration) -> Failure {
        Failure::new(FailureKind::ConnectTimeout, format!("no connection within {}", seconds(timeout)))
    }

    pub(super) fn handshake_timeout(timeout: Duration) -> Failure {
        let text = format!("TLS: the handshake did not end within {} of connecting", seconds(timeout));
        Failure::new(FailureKind::ConnectTimeout, text)
    }

    /// Says what an error while a connection was made means.
    pub(super) fn connecting(
        error: &(dyn StdError + 'static),
        timeout: Duration,
        shown: ClientCertificate,
    ) -> Failure {
        if let Some(refusal) = find::<UrlRefusal>(error) {
            return Failure::refused(refusal);
        }
        if let Some(tls) = find::<TlsError>(error) {
            return Failure::new(FailureKind::Tls, tls_words(tls, shown));
        }
        match find::<io::Error>(error).map(io::Error::kind) {
            Some(io::ErrorKind::TimedOut) => Failure::connect_timeout(timeout),
            kind => Failure::new(FailureKind::Connect, connect_words(kind, error)),
        }
    }

    /// Says what a client's error before the answer means.
    pub(super) fn of(error: &ClientError, connect_timeout: Duration, shown: ClientCertificate) -> Failure {
        if let Some(failure) = find::<Failure>(error) {
            return failure.clone();
        }
        if error.is_connect() {
            return Failure::connecting(error, connect_timeout, shown);
        }
        // A server may refuse the client's certificate as late as when the request is on its way (TLS 1.3).
        if let Some(tls) = find::<TlsError>(error) {
            return Failure::new(FailureKind::Tls, tls_words(tls, shown));
        }
        if find::<io::Error>(error).is_some_and(|error| is_closing(error.kind())) {
            return Failure::new(FailureKind::Closed, "the connection was reset before an answer came");
        }
        let hyper = find::<hyper::Error>(error);
        if hyper
            .is_some_and(|error| error.is_incomplete_message() || error.is_canceled() || error.is_closed())
        {
            return Failure::new(FailureKind::Closed, "the connection was closed before an answer came");
        }
        let words = innermost(error);
        Failure::new(FailureKind::Protocol, format!("what came is not a proper HTTP answer: {words}"))
    }
}

/// Whether an HTTP/2 server said of a request that it was not processed, so that it may be sent again without a doubt
/// (RFC 9113, section 8.7): it takes no more requests on this connection, or refused this one.
pub(super) fn is_unprocessed(error: &ClientError) -> bool {
    find::<h2::Error>(error).filter(|error| error.is_remote()).is_some_and(|error| {
        let (leaves, refuses) = (Some(h2::Reason::NO_ERROR), Some(h2::Reason::REFUSED_STREAM));
        (error.is_go_away() && error.reason() == leaves) || (error.is_reset() && error.reason() == refuses)
    })
}

pub(super) fn is_closing(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(kind, ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof | NotConnected)
}

fn connect_words(kind: Option<io::ErrorKind>, error: &(dyn StdError + 'static)) -> String {
    use io::ErrorKind;
    match kind {
        Some(ErrorKind::ConnectionRefused) => "the connection was refused".to_owned(),
        Some(ErrorKind::HostUnreachable) => "the host can't be reached".to_owned(),
        Some(ErrorKind::NetworkUnreachable) => "the network can't be reached".to_owned(),
        Some(kind) if is_closing(kind) => "the connection was closed while it was being made".to_owned(),
        _ => format!("no connection: {}", innermost(error)),
    }
}

/// How it stands with a client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientCertificate {
    /// One is ready to be shown.
    Ready,
    /// There is none, and the server asked for one while the connection was made.
    AskedInVain,
    /// There is none, and nobody asked so far.
    None,
}

impl ClientCertificate {
    /// `identified`: one is ready to be shown.
    pub fn of(identified: bool) -> ClientCertificate {
        if identified { ClientCertificate::Ready } else { ClientCertificate::None }
    }
}

const TOO_OLD: &str = "TLS: the server speaks only versions older than 1.2";

/// What a TLS error means for the owner of the other side.
fn tls_words(error: &TlsError, shown: ClientCertificate) -> String {
    let identified = shown == ClientCertificate::Ready;
    match error {
        TlsError::InvalidCertificate(why) => format!("TLS: {}", certificate_words(why)),
        TlsError::AlertReceived(AlertDescription::ProtocolVersion) => TOO_OLD.to_owned(),
        TlsError::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => TOO_OLD.to_owned(),
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
        // What some servers say instead of "certificate required", above all with TLS 1.2.
        TlsError::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::BadCertificate
            | AlertDescription::NoCertificate
            | AlertDescription::AccessDenied,
        ) if shown == ClientCertificate::AskedInVain => no_certificate(identified),
        TlsError::AlertReceived(alert) => format!("TLS: the server refused the handshake ({alert:?})"),
        TlsError::PeerIncompatible(why) => {
            format!("TLS: no version or cipher in common with the server ({why:?})")
        }
        TlsError::InvalidMessage(
            InvalidMessage::CertificatePayloadTooLarge
            | InvalidMessage::HandshakePayloadTooLarge
            | InvalidMessage::MessageTooLarge,
        ) => "TLS: the server's certificate chain is too large: more than 64 KiB".to_owned(),
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
