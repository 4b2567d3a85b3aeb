//! Receivers that are slow, broken, hostile or badly set up: each request ends in time, with exact words, and with
//! bounded reading.

use std::time::Duration;

use kassir::delivery::outbound::{FailureKind, Outbound, OutboundConfig, OutboundRequest, Outcome};
use kassir::limits::INBOUND_BODY_MAX;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::{READ_MAX, config, failure, request};
use crate::authority::Authority;
use crate::subscriber::{Act, Subscriber};

fn outbound(authority: Option<&Authority>) -> Outbound {
    Outbound::build(&config(authority)).unwrap()
}

async fn sent(act: Act, timeout: Option<Duration>) -> Outcome {
    let subscriber = Subscriber::http().await;
    subscriber.script([act]);
    outbound(None).send(OutboundRequest { timeout, ..request(&subscriber.url("/hook")) }).await
}

#[tokio::test]
async fn a_good_answer() {
    let subscriber = Subscriber::http().await;
    subscriber.script([Act::answer(200, &[("X-Kind", "good")], "ok")]);
    let outcome = outbound(None).send(request(&subscriber.url("/hook?a=1"))).await;
    assert_eq!((outcome.status, outcome.body.as_slice()), (Some(200), b"ok".as_slice()));
    assert_eq!((outcome.header("x-kind"), outcome.truncated), (Some("good"), false));
    assert_eq!(outcome.remote_ip, Some("127.0.0.1".parse().unwrap()));
    let seen = &subscriber.seen()[0];
    assert_eq!(
        (seen.line.as_str(), seen.header("x-a"), seen.body.as_slice()),
        ("POST /hook?a=1", "b", b"{}".as_slice())
    );
}

#[tokio::test]
async fn connections_are_used_again() {
    let subscriber = Subscriber::http().await;
    let outbound = outbound(None);
    for _ in 0..5 {
        assert_eq!(outbound.send(request(&subscriber.url("/"))).await.status, Some(200));
    }
    assert_eq!(subscriber.connections(), 1);
}

#[tokio::test]
async fn slow_receivers_end_at_the_deadline() {
    let deadline = Duration::from_millis(300);
    for act in [Act::Hang, Act::DripHead] {
        let outcome = sent(act.clone(), Some(deadline)).await;
        assert_eq!(outcome.status, None, "{act:?}");
        assert_eq!(failure(&outcome), (FailureKind::AnswerTimeout, "no answer within 0.3 s"), "{act:?}");
        assert_eq!(outcome.remote_ip, Some("127.0.0.1".parse().unwrap()));
        assert!((300..9_000).contains(&outcome.duration_ms), "{outcome:?}");
    }
    let outcome = sent(Act::DripBody, Some(deadline)).await;
    assert_eq!(outcome.status, Some(200), "the status came in time");
    assert_eq!(failure(&outcome), (FailureKind::BodyTimeout, "the answer's body did not end within 0.3 s"));
    assert!(!outcome.body.is_empty(), "what came of the body is kept");
    assert!((300..9_000).contains(&outcome.duration_ms), "{outcome:?}");
}

#[tokio::test]
async fn a_subscribers_body_that_drips_keeps_its_place_for_a_moment_only() {
    let subscriber = Subscriber::http().await;
    subscriber.script([Act::DripBody, Act::DripBody]);
    let outcome = outbound(None).deliver(request(&subscriber.url("/")), None).await;
    assert_eq!(outcome.status, Some(200), "the status came in time");
    assert_eq!(failure(&outcome), (FailureKind::BodyTimeout, "the answer's body did not end within 2 s"));
    assert!(!outcome.body.is_empty(), "what came of the body is kept");
    assert!((2_000..9_000).contains(&outcome.duration_ms), "{outcome:?}");
    // A deadline that is nearer counts.
    let timeout = Some(Duration::from_millis(300));
    let short = OutboundRequest { timeout, ..request(&subscriber.url("/")) };
    let outcome = outbound(None).deliver(short, None).await;
    assert_eq!(failure(&outcome), (FailureKind::BodyTimeout, "the answer's body did not end within 0.3 s"));
    assert!((300..2_000).contains(&outcome.duration_ms), "{outcome:?}");
}

#[tokio::test]
async fn endless_bodies_are_cut_off() {
    let subscriber = Subscriber::http().await;
    subscriber.script([Act::EndlessBody]);
    let outcome = outbound(None).send(request(&subscriber.url("/"))).await;
    assert_eq!((outcome.status, outcome.body.len(), outcome.truncated), (Some(200), READ_MAX, true));
    assert_eq!(outcome.failure, None);
    assert!(subscriber.written() < 16 * 1024 * 1024, "{}", subscriber.written());
}

#[tokio::test]
async fn nothing_is_inflated() {
    let packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
    let act = Act::answer(200, &[("content-encoding", "gzip")], packed.clone());
    let outcome = sent(act, None).await;
    assert_eq!((outcome.status, outcome.body), (Some(200), packed));
}

#[tokio::test]
async fn bombs_and_wrong_lengths_are_read_as_far_as_the_bound() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packer, &vec![0; 100 * 1024 * 1024]).unwrap();
    let bomb = packer.finish().unwrap();
    assert!(bomb.len() > READ_MAX);
    for coding in ["gzip", "gzip, gzip", "br", "deflate", "zstd"] {
        let outcome = sent(Act::answer(200, &[("content-encoding", coding)], bomb.clone()), None).await;
        assert_eq!((outcome.status, outcome.truncated), (Some(200), true), "{coding}");
        assert_eq!(outcome.body, bomb[..READ_MAX], "{coding}");
    }
    let mut large = b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n".to_vec();
    large.extend(vec![b'x'; 1024 * 1024]);
    let outcome = sent(Act::Raw(large), None).await;
    assert_eq!((outcome.status, outcome.body.len(), outcome.truncated), (Some(200), READ_MAX, true));
    let short = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and much more".to_vec();
    let outcome = sent(Act::Raw(short), None).await;
    assert_eq!((outcome.status, outcome.body.as_slice()), (Some(200), b"ok".as_slice()));
}

#[tokio::test]
async fn an_answer_before_the_request_is_read_counts() {
    for act in [Act::Early, Act::EarlyReset] {
        for size in [2, INBOUND_BODY_MAX, 8 * 1024 * 1024] {
            let subscriber = Subscriber::http().await;
            subscriber.script([act.clone()]);
            let request = OutboundRequest { body: vec![b' '; size], ..request(&subscriber.url("/")) };
            let outcome = outbound(None).send(request).await;
            assert_eq!(outcome.status, Some(200), "{act:?} {size} {outcome:?}");
        }
    }
}

#[tokio::test]
async fn one_that_never_reads_ends_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let timeout = Some(Duration::from_millis(300));
    let body = vec![b' '; 16 * 1024 * 1024];
    let outcome = outbound(None).send(OutboundRequest { timeout, body, ..request(&url) }).await;
    assert_eq!(failure(&outcome), (FailureKind::AnswerTimeout, "no answer within 0.3 s"));
    assert!((300..9_000).contains(&outcome.duration_ms), "{outcome:?}");
}

#[tokio::test]
async fn a_request_is_sent_once_unless_nothing_of_it_left() {
    // On a fresh connection, and on one that was used before: what was read is not sent again.
    for act in [Act::Close, Act::Raw(b"H".to_vec()), Act::Raw(b"HTTP/1.1 200 OK\r\nx".to_vec())] {
        for used in [false, true] {
            let subscriber = Subscriber::http().await;
            let outbound = outbound(None);
            if used {
                assert_eq!(outbound.send(request(&subscriber.url("/"))).await.status, Some(200));
            }
            subscriber.script([act.clone()]);
            let outcome = outbound.send(request(&subscriber.url("/once"))).await;
            assert_eq!(failure(&outcome).0, FailureKind::Closed, "{act:?}");
            let sent = subscriber.seen().iter().filter(|seen| seen.line == "POST /once").count();
            assert_eq!((sent, subscriber.connections()), (1, 1), "{act:?} {used}");
        }
    }
    // A connection that the receiver closes without a word: each request comes at most once, and exactly once
    // where there was an answer.
    let (subscriber, outbound) = (Subscriber::http().await, outbound(None));
    for round in 0..50 {
        subscriber.script([Act::AnswerAndClose]);
        let path = format!("/{round}");
        let outcome = outbound.send(request(&subscriber.url(&path))).await;
        let sent = subscriber.seen().iter().filter(|seen| seen.line == format!("POST {path}")).count();
        match outcome.status {
            Some(status) => assert_eq!((status, sent), (200, 1)),
            None => assert_eq!((failure(&outcome).0, sent), (FailureKind::Closed, 0)),
        }
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Subscriber::http().await;
    for status in [301, 302, 303, 307, 308] {
        for place in [other.url("/"), "http://169.254.169.254/".to_owned(), "file:///etc/passwd".to_owned()] {
            let outcome = sent(Act::answer(status, &[("location", &place)], ""), None).await;
            assert_eq!((outcome.status, outcome.failure.is_none()), (Some(status), true));
            assert_eq!(outcome.header("location"), Some(place.as_str()));
        }
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn broken_answers() {
    use FailureKind::{Body, Closed, Protocol};
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(10 * 1024 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: a\r\n".repeat(10_000));
    for (act, kind) in [
        (Act::Close, Closed),
        (Act::Raw(b"HTTP/1.1 2".to_vec()), Closed),
        (Act::Raw(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), Protocol),
        (Act::Raw(b"HTTP/1.1 200 OK\r\nbad header\0: x\r\n\r\n".to_vec()), Protocol),
        (Act::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n".to_vec()), Protocol),
        (Act::Raw(many.into_bytes()), Protocol),
        (Act::BrokenBody, Body),
    ] {
        let outcome = sent(act, None).await;
        assert_eq!(failure(&outcome).0, kind, "{outcome:?}");
        assert_eq!(outcome.status.is_some(), kind == Body);
    }
    // The receiver is still writing when we hang up: it may see that as a reset, and so may we.
    let outcome = sent(Act::Raw(long.into_bytes()), None).await;
    assert!(matches!(failure(&outcome).0, Protocol | Closed), "{outcome:?}");
}

#[tokio::test]
async fn odd_but_proper_answers() {
    let early =
        b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let outcome = sent(Act::Raw(early.to_vec()), None).await;
    assert_eq!((outcome.status, outcome.body.as_slice()), (Some(200), b"ok".as_slice()));
    let bytes = b"HTTP/1.1 200 OK\r\nx-odd: \xff\x1b[31m\r\ncontent-length: 0\r\n\r\n";
    let outcome = sent(Act::Raw(bytes.to_vec()), None).await;
    if outcome.status.is_some() {
        assert!(!outcome.header("x-odd").unwrap().contains('\u{1b}'));
    } else {
        assert_eq!(failure(&outcome).0, FailureKind::Protocol);
    }
    for status in [204, 304, 410, 429, 500, 599] {
        assert_eq!(sent(Act::status(status), None).await.status, Some(status));
    }
}

#[tokio::test]
async fn no_connection() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let outcome = outbound(None).send(request(&format!("http://127.0.0.1:{port}/"))).await;
    assert_eq!(failure(&outcome), (FailureKind::Connect, "the connection was refused"));
    assert!(!failure(&outcome).0.may_have_arrived());
}

#[tokio::test]
async fn headers_that_are_none_are_not_sent() {
    let subscriber = Subscriber::http().await;
    for (name, value) in [("a b", "c"), ("a", "b\r\nc: d"), ("", "x")] {
        let headers = vec![(name.to_owned(), value.to_owned())];
        let outcome = outbound(None).send(OutboundRequest { headers, ..request(&subscriber.url("/")) }).await;
        assert_eq!(failure(&outcome).0, FailureKind::Request);
        assert!(!failure(&outcome).1.contains("c: d"), "no value is shown");
    }
    assert_eq!(subscriber.connections(), 0);
}

#[tokio::test]
async fn certificates() {
    let authority = Authority::new();
    let outbound = outbound(Some(&authority));
    let good = Subscriber::https(authority.server("127.0.0.1")).await;
    assert_eq!(outbound.send(request(&good.url("/"))).await.status, Some(200));
    for (tls, words) in [
        (authority.expired("127.0.0.1"), "TLS: the certificate has expired"),
        (authority.server("other.example"), "TLS: the certificate is for another name"),
        (
            Authority::self_signed("127.0.0.1"),
            "TLS: the certificate's issuer is not trusted (self-signed, or an intermediate certificate is missing)",
        ),
    ] {
        let subscriber = Subscriber::https(tls).await;
        let outcome = outbound.send(request(&subscriber.url("/"))).await;
        assert_eq!(failure(&outcome), (FailureKind::Tls, words));
        assert_eq!(subscriber.seen().len(), 0);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let plain = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    });
    let outcome = outbound.send(request(&url)).await;
    drop(plain.await.unwrap());
    assert_eq!(failure(&outcome), (FailureKind::Tls, "TLS: the server does not speak TLS on this port"));
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_with_the_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect_timeout = Duration::from_millis(200);
    let outbound = Outbound::build(&OutboundConfig { connect_timeout, ..config(None) }).unwrap();
    let outcome = outbound.send(request(&format!("https://127.0.0.1:{port}/"))).await;
    assert_eq!(
        failure(&outcome),
        (FailureKind::ConnectTimeout, "TLS: the handshake did not end within 0.2 s of connecting")
    );
}

#[test]
fn a_wrong_ca_file_is_named() {
    for content in ["", "not a certificate"] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let config = OutboundConfig { ca_file: Some(file.path().to_path_buf()), ..OutboundConfig::default() };
        let error = Outbound::build(&config).err().unwrap().to_string();
        assert!(error.starts_with("outbound.ca_file /"), "{error}");
    }
    let config = OutboundConfig { ca_file: Some("/nowhere".into()), ..OutboundConfig::default() };
    assert!(Outbound::build(&config).err().unwrap().to_string().starts_with("outbound.ca_file /nowhere"));
}
