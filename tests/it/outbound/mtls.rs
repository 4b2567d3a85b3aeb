//! Servers that ask for a client certificate.

use kassir::delivery::outbound::{ClientIdentity, FailureKind, IDENTITIES_MAX, Outbound, Outcome};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::{config, failure, request};
use crate::authority::Authority;
use crate::subscriber::Subscriber;

const VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];

fn outbound(authority: &Authority) -> Outbound {
    Outbound::build(&config(Some(authority))).unwrap()
}

async fn post(outbound: &Outbound, url: &str, identity: Option<&ClientIdentity>) -> Outcome {
    outbound.deliver(request(url), identity).await
}

fn identity(authority: &Authority, from: i32, to: i32) -> ClientIdentity {
    let (certificate, key) = authority.client(from, to);
    ClientIdentity::parse(&certificate, &key).unwrap()
}

#[tokio::test]
async fn the_certificate_is_shown_where_it_belongs_and_nowhere_else() {
    let authority = Authority::new();
    let (good, expired) = (identity(&authority, 2024, 2090), identity(&authority, 2019, 2020));
    let foreign = identity(&Authority::new(), 2024, 2090);
    for versions in VERSIONS {
        let subscriber = Subscriber::https(authority.demanding("127.0.0.1", versions)).await;
        let outbound = outbound(&authority);
        let url = subscriber.url("/");
        for _ in 0..2 {
            assert_eq!(post(&outbound, &url, Some(&good)).await.status, Some(200));
        }
        assert_eq!(subscriber.connections(), 1, "its connection is used again");

        let none = "TLS: the server asks for a client certificate, and the endpoint has none";
        assert_eq!(failure(&post(&outbound, &url, None).await), (FailureKind::Tls, none), "{versions:?}");
        for wrong in [&expired, &foreign] {
            let outcome = post(&outbound, &url, Some(wrong)).await;
            let (kind, words) = failure(&outcome);
            assert_eq!(kind, FailureKind::Tls, "{words}");
            assert!(words.starts_with("TLS: the server refused our client certificate ("), "{words}");
        }
        assert_eq!(subscriber.seen().len(), 2);
    }
}

#[tokio::test]
async fn who_asks_for_none_is_not_bothered() {
    let authority = Authority::new();
    let subscriber = Subscriber::https(authority.server("127.0.0.1")).await;
    let outbound = outbound(&authority);
    let good = identity(&authority, 2024, 2090);
    assert_eq!(post(&outbound, &subscriber.url("/"), Some(&good)).await.status, Some(200));
    assert_eq!(post(&outbound, &subscriber.url("/"), None).await.status, Some(200));
    assert_eq!(subscriber.connections(), 2, "connections are not shared between certificates");
}

#[tokio::test]
async fn clients_of_certificates_are_bounded() {
    let authority = Authority::new();
    let subscriber = Subscriber::https(authority.demanding("127.0.0.1", &[&TLS13])).await;
    let outbound = outbound(&authority);
    let first = identity(&authority, 2024, 2090);
    for _ in 0..=IDENTITIES_MAX {
        let other = identity(&authority, 2024, 2090);
        assert_eq!(post(&outbound, &subscriber.url("/"), Some(&other)).await.status, Some(200));
        assert_eq!(post(&outbound, &subscriber.url("/"), Some(&first)).await.status, Some(200));
    }
    assert_eq!(outbound.identities(), IDENTITIES_MAX);
}
