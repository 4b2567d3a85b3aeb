//! Servers whose TLS is old, slow, huge or asks for more than there is: nothing is sent, and the reason is exact.

use std::time::Duration;

use kassir::delivery::outbound::{FailureKind, Outbound, OutboundConfig, Outcome};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{config, request};
use crate::authority::Authority;
use crate::subscriber::Subscriber;

const VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];
const CONNECT_TIMEOUT: Duration = Duration::from_millis(700);

async fn post(authority: &Authority, url: &str) -> Outcome {
    let config = OutboundConfig { connect_timeout: CONNECT_TIMEOUT, ..config(Some(authority)) };
    Outbound::build(&config).unwrap().deliver(request(url), None).await
}

fn failure(outcome: &Outcome) -> (FailureKind, &str) {
    let failure = super::failure(outcome);
    assert!(!failure.0.may_have_arrived(), "{failure:?}");
    failure
}

/// Takes one connection, reads the client's first words, says these bytes, and waits for the other side to go.
async fn saying(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(&bytes).await.unwrap();
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    url
}

/// A record of TLS: its type, and the version 1.0 on it.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind, 3, 1], length.as_slice(), content].concat()
}

#[tokio::test]
async fn a_server_of_tls_1_0() {
    let authority = Authority::new();
    // RFC 5246, section 7.2: a fatal alert, protocol_version.
    let alert = record(21, &[2, 70]);
    // RFC 2246, section 7.4.1.3: a ServerHello of version 1.0, no session, TLS_RSA_WITH_AES_128_CBC_SHA.
    let hello = [&[2, 0, 0, 38, 3, 1], [7; 32].as_slice(), &[0, 0, 0x2f, 0]].concat();
    for words in [alert, record(22, &hello)] {
        let outcome = post(&authority, &saying(words).await).await;
        assert_eq!(
            failure(&outcome),
            (FailureKind::Tls, "TLS: the server speaks only versions older than 1.2")
        );
    }
}

#[tokio::test]
async fn a_handshake_that_stalls_in_the_middle() {
    let authority = Authority::new();
    // The head of a ServerHello, and nothing more of it; and nothing at all.
    for words in [record(22, &[2, 0, 0, 38, 3]), Vec::new()] {
        let outcome = post(&authority, &saying(words).await).await;
        let text = "TLS: the handshake did not end within 0.7 s of connecting";
        assert_eq!(failure(&outcome), (FailureKind::ConnectTimeout, text));
        assert!((700..5_000).contains(&outcome.duration_ms), "{}", outcome.duration_ms);
        assert_eq!(outcome.remote_ip, Some([127, 0, 0, 1].into()));
    }
}

#[tokio::test]
async fn a_chain_of_a_megabyte() {
    let authority = Authority::new();
    for versions in VERSIONS {
        let small = Subscriber::https(authority.server_with_chain("127.0.0.1", 10, versions)).await;
        assert_eq!(post(&authority, &small.url("/")).await.status, Some(200));
        // A certificate has at least 300 bytes.
        let huge = Subscriber::https(authority.server_with_chain("127.0.0.1", 3_500, versions)).await;
        let outcome = post(&authority, &huge.url("/")).await;
        let text = "TLS: the server's certificate chain is too large: more than 64 KiB";
        assert_eq!(failure(&outcome), (FailureKind::Tls, text), "{versions:?}");
        assert_eq!(huge.seen().len(), 0);
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_but_can_do_without() {
    let authority = Authority::new();
    for versions in VERSIONS {
        let subscriber = Subscriber::https(authority.asking("127.0.0.1", versions)).await;
        assert_eq!(post(&authority, &subscriber.url("/")).await.status, Some(200));
    }
}

#[tokio::test]
async fn servers_that_say_only_handshake_failure_when_they_miss_a_certificate() {
    let authority = Authority::new();
    let subscriber = Subscriber::https(authority.demanding("127.0.0.1", &[&TLS12])).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let port = subscriber.port();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        let mut said = [0; 8 * 1024];
        while let Ok(count @ 1..) = from_server.read(&mut said).await {
            // As OpenSSL says it with TLS 1.2: handshake_failure for certificate_required.
            if let Some(alert) = said[..count].windows(7).position(|part| part == [21, 3, 3, 0, 2, 2, 116]) {
                said[alert + 6] = 40;
            }
            if to_client.write_all(&said[..count]).await.is_err() {
                return;
            }
        }
    });
    let outcome = post(&authority, &url).await;
    let text = "TLS: the server asks for a client certificate, and the endpoint has none";
    assert_eq!(failure(&outcome), (FailureKind::Tls, text));
    // The same alert of a server that did not ask for one.
    let outcome = post(&authority, &saying(record(21, &[2, 40])).await).await;
    let text = "TLS: the server refused the handshake (HandshakeFailure)";
    assert_eq!(failure(&outcome), (FailureKind::Tls, text));
}
