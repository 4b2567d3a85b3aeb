//! Once more, at once: only what went over a connection that was kept open, and of whose answer not a byte came.

use std::sync::Arc;
use std::time::Duration;

use kassir::delivery::outbound::{FailureKind, Outbound, OutboundConfig, OutboundRequest, Outcome};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{config, request};
use crate::authority::Authority;
use crate::hang_up::Moment::{Answer, Close, CloseAfterAll, Reset, Say, Silence};
use crate::hang_up::{Moment, Receiver};
use crate::subscriber::{Act, Subscriber};

fn outbound(authority: &Authority) -> Outbound {
    let connect_timeout = Duration::from_secs(5);
    Outbound::build(&OutboundConfig { connect_timeout, ..config(Some(authority)) }).unwrap()
}

/// A receiver over TCP, and one over TLS.
async fn both(authority: &Authority, connections: &[&[Moment]]) -> [Receiver; 2] {
    let tls = authority.server("127.0.0.1");
    [Receiver::start(None, connections).await, Receiver::start(Some(tls), connections).await]
}

fn closed(outcome: &Outcome) {
    assert_eq!(outcome.status, None, "{outcome:?}");
    assert_eq!(outcome.failure.as_ref().unwrap().kind, FailureKind::Closed, "{outcome:?}");
}

#[tokio::test]
async fn a_kept_connection_that_died_without_a_byte() {
    let authority = Authority::new();
    for moment in [Close, Reset, CloseAfterAll] {
        for receiver in both(&authority, &[&[Answer, moment]]).await {
            let outbound = outbound(&authority);
            let first = outbound.deliver(request(&receiver.url("/1")), None).await;
            assert_eq!((first.status, first.sent_again), (Some(200), false));
            let second = outbound.deliver(request(&receiver.url("/2")), None).await;
            assert_eq!((second.status, second.sent_again), (Some(200), true), "{moment:?} {second:?}");
            assert_eq!((second.failure, second.body.as_slice()), (None, b"ok".as_slice()));
            assert_eq!(second.remote_ip, Some([127, 0, 0, 1].into()));
            assert_eq!(receiver.connections(), 2, "{moment:?}");
            let heads = receiver.heads();
            let twos: Vec<_> = heads.iter().filter(|head| head.starts_with("post /2 ")).collect();
            // What was read twice was the same request.
            assert!(twos.iter().all(|head| *head == twos[0]), "{heads:?}");
            assert_eq!(twos.len(), if moment == CloseAfterAll { 2 } else { 1 });
        }
    }
}

#[tokio::test]
async fn a_body_larger_than_the_buffers() {
    let authority = Authority::new();
    for receiver in both(&authority, &[&[Answer, Reset]]).await {
        let outbound = outbound(&authority);
        assert_eq!(outbound.deliver(request(&receiver.url("/")), None).await.status, Some(200));
        let request = OutboundRequest { body: vec![b' '; 8 * 1024 * 1024], ..request(&receiver.url("/")) };
        let outcome = outbound.deliver(request, None).await;
        assert_eq!((outcome.status, outcome.sent_again), (Some(200), true), "{outcome:?}");
    }
}

#[tokio::test]
async fn never_after_a_byte_of_the_answer() {
    let authority = Authority::new();
    let says = [
        "H",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTT",
    ];
    for says in says {
        for receiver in both(&authority, &[&[Answer, Say(says)]]).await {
            let outbound = outbound(&authority);
            assert_eq!(outbound.deliver(request(&receiver.url("/")), None).await.status, Some(200));
            let outcome = outbound.deliver(request(&receiver.url("/")), None).await;
            closed(&outcome);
            assert_eq!((outcome.sent_again, receiver.connections()), (false, 1), "{says:?}");
        }
    }
}

#[tokio::test]
async fn never_on_a_first_connection() {
    let authority = Authority::new();
    for moment in [Close, Reset, CloseAfterAll, Say("H")] {
        for receiver in both(&authority, &[&[moment]]).await {
            let outcome = outbound(&authority).deliver(request(&receiver.url("/")), None).await;
            closed(&outcome);
            assert_eq!((outcome.sent_again, receiver.connections()), (false, 1), "{moment:?}");
        }
    }
}

#[tokio::test]
async fn never_a_third_time() {
    let authority = Authority::new();
    for moment in [Close, Reset, CloseAfterAll] {
        for receiver in both(&authority, &[&[Answer, moment], &[moment], &[moment]]).await {
            let outbound = outbound(&authority);
            assert_eq!(outbound.deliver(request(&receiver.url("/")), None).await.status, Some(200));
            let outcome = outbound.deliver(request(&receiver.url("/")), None).await;
            closed(&outcome);
            assert_eq!((outcome.sent_again, receiver.connections()), (true, 2), "{moment:?}");
        }
    }
}

#[tokio::test]
async fn never_when_time_ran_out_and_both_times_have_one_deadline() {
    let authority = Authority::new();
    let timeout = Some(Duration::from_millis(400));
    for (script, again, connections) in [
        (&[[Answer, Silence].as_slice()] as &[&[Moment]], false, 1),
        (&[[Answer, Close].as_slice(), &[Silence]], true, 2),
    ] {
        for receiver in both(&authority, script).await {
            let outbound = outbound(&authority);
            assert_eq!(outbound.deliver(request(&receiver.url("/")), None).await.status, Some(200));
            let request = OutboundRequest { timeout, ..request(&receiver.url("/")) };
            let outcome = outbound.deliver(request, None).await;
            let failure = outcome.failure.unwrap();
            assert_eq!(
                (failure.kind, failure.text.as_str()),
                (FailureKind::AnswerTimeout, "no answer within 0.4 s")
            );
            assert_eq!((outcome.sent_again, receiver.connections()), (again, connections));
            assert!((400..3_000).contains(&outcome.duration_ms), "{}", outcome.duration_ms);
        }
    }
}

#[tokio::test]
async fn only_what_may_come_twice() {
    let authority = Authority::new();
    for receiver in both(&authority, &[&[Answer, Close]]).await {
        let outbound = outbound(&authority);
        assert_eq!(outbound.send(request(&receiver.url("/"))).await.status, Some(200));
        let outcome = outbound.send(request(&receiver.url("/"))).await;
        closed(&outcome);
        assert_eq!((outcome.sent_again, receiver.connections()), (false, 1));
    }
}

#[tokio::test]
async fn connections_that_close_without_a_word_cost_nothing() {
    let authority = Authority::new();
    let (subscriber, outbound) = (Subscriber::http().await, outbound(&authority));
    for round in 0..50 {
        subscriber.script([Act::AnswerAndClose]);
        let path = format!("/{round}");
        let outcome = outbound.deliver(request(&subscriber.url(&path)), None).await;
        assert_eq!(outcome.status, Some(200), "{outcome:?}");
        let sent = subscriber.seen().iter().filter(|seen| seen.line == format!("POST {path}")).count();
        assert_eq!(sent, 1);
    }
}

/// An HTTP/2 server: of its first connection, the second request is treated so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Second {
    Reset,
    Refused,
    Stopped,
}

async fn http2(authority: &Authority, second: Second) -> (String, Arc<std::sync::Mutex<Vec<usize>>>) {
    let mut tls = (*authority.server("127.0.0.1")).clone();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let served = Arc::new(std::sync::Mutex::new(Vec::new()));
    let counting = Arc::clone(&served);
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        for connection in 0_usize.. {
            let (stream, _) = listener.accept().await.unwrap();
            counting.lock().unwrap().push(0);
            let (acceptor, counting) = (acceptor.clone(), Arc::clone(&counting));
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await.unwrap();
                let mut server = h2::server::handshake(&mut stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = server.accept().await {
                    let number = {
                        let mut counting = counting.lock().unwrap();
                        counting[connection] += 1;
                        counting[connection]
                    };
                    if connection > 0 || number == 1 {
                        respond.send_response(http::Response::new(()), true).unwrap();
                        continue;
                    }
                    match second {
                        Second::Reset => break,
                        Second::Refused => respond.send_reset(h2::Reason::REFUSED_STREAM),
                        Second::Stopped => respond.send_reset(h2::Reason::INTERNAL_ERROR),
                    }
                }
                drop(server);
                stream.get_ref().0.set_zero_linger().unwrap();
            });
        }
    });
    (url, served)
}

#[tokio::test]
async fn of_http2_too() {
    let authority = Authority::new();
    for (second, status, again, requests) in [
        (Second::Reset, Some(200), true, vec![2, 1]),
        // The server said itself that it did nothing with it.
        (Second::Refused, Some(200), false, vec![2, 1]),
        (Second::Stopped, None, false, vec![2]),
    ] {
        let (url, served) = http2(&authority, second).await;
        let outbound = outbound(&authority);
        assert_eq!(outbound.deliver(request(&url), None).await.status, Some(200));
        let outcome = outbound.deliver(request(&url), None).await;
        assert_eq!((outcome.status, outcome.sent_again), (status, again), "{second:?} {outcome:?}");
        assert_eq!(*served.lock().unwrap(), requests, "{second:?}");
    }
}
