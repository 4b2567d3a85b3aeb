//! The forward proxy: told judged addresses only, with TLS to the server itself, and with the blame for its own faults.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kassir::delivery::outbound::{
    FailureKind, Lookup, Outbound, OutboundConfig, OutboundRequest, Outcome, Proxy,
};
use kassir_providers::Secret;
use tokio::sync::Notify;

use super::{config, request};
use crate::authority::Authority;
use crate::forward_proxy::{ForwardProxy, Mode};
use crate::subscriber::{Act, Subscriber};

/// `shop.test` is this machine; `inside.test` is where nobody may go; the rest does not exist.
struct Names;

#[async_trait]
impl Lookup for Names {
    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        match name {
            "shop.test" => Ok(vec![[127, 0, 0, 1].into()]),
            "inside.test" => Ok(vec![[10, 0, 0, 1].into()]),
            _ => Err(io::Error::other("no such name")),
        }
    }
}

fn outbound(proxy: &str, no_proxy: &[&str], authority: &Authority) -> Outbound {
    let no_proxy: Vec<String> = no_proxy.iter().map(|entry| (*entry).to_owned()).collect();
    let config = OutboundConfig {
        connect_timeout: Duration::from_millis(700),
        proxy: Some(Proxy::parse(&Secret::new(proxy), &no_proxy).unwrap()),
        ..config(Some(authority))
    };
    Outbound::with_lookup(&config, Arc::new(Names)).unwrap()
}

async fn post(outbound: &Outbound, url: &str) -> Outcome {
    outbound.send(request(url)).await
}

fn failure(outcome: &Outcome) -> (FailureKind, &str) {
    assert_eq!(outcome.status, None);
    super::failure(outcome)
}

#[tokio::test]
async fn a_tunnel_to_the_judged_address_with_tls_to_the_server_itself() {
    let authority = Authority::new();
    let proxy = ForwardProxy::start().await;
    let subscriber = Subscriber::https(authority.server("shop.test")).await;
    let outbound = outbound(&format!("http://ann:s3cret@{}", proxy.at), &[], &authority);
    let url = format!("https://shop.test:{}/hook", subscriber.port());
    let first = post(&outbound, &url).await;
    assert_eq!((first.status, first.failure), (Some(200), None));
    assert_eq!(first.remote_ip, Some([127, 0, 0, 1].into()), "the server's address, not the proxy's");
    assert_eq!(post(&outbound, &url).await.status, Some(200));

    let credentials = "Basic YW5uOnMzY3JldA==".to_owned();
    let line = format!("CONNECT 127.0.0.1:{} HTTP/1.1", subscriber.port());
    assert_eq!(proxy.asked(), [(line, Some(credentials))], "one tunnel, by address");
    let seen = subscriber.seen();
    assert_eq!(seen[0].header("host"), format!("shop.test:{}", subscriber.port()));
    assert!(seen.iter().all(|seen| seen.header("proxy-authorization").is_empty()));
}

#[tokio::test]
async fn the_rules_hold_through_it() {
    let authority = Authority::new();
    let proxy = ForwardProxy::start().await;
    let outbound = outbound(&format!("http://{}", proxy.at), &[], &authority);
    for (url, kind) in [
        ("https://inside.test/", FailureKind::Forbidden),
        ("https://10.0.0.1/", FailureKind::Forbidden),
        ("https://[::1]/", FailureKind::Forbidden),
        ("https://169.254.169.254/", FailureKind::Forbidden),
        ("https://nowhere.test/", FailureKind::Dns),
        ("http://shop.test/", FailureKind::Forbidden),
    ] {
        assert_eq!(failure(&post(&outbound, url).await).0, kind, "{url}");
    }
    assert_eq!(proxy.asked(), [], "nothing of it reached the proxy");
}

#[tokio::test]
async fn its_own_faults_are_its_own() {
    let authority = Authority::new();
    let proxy = ForwardProxy::start().await;
    let subscriber = Subscriber::https(authority.server("shop.test")).await;
    let outbound = outbound(&format!("http://{}", proxy.at), &[], &authority);
    let url = format!("https://shop.test:{}/", subscriber.port());
    let at = proxy.at;
    for (mode, words) in [
        (
            Mode::Answer("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
            format!("the forward proxy {at} wants other credentials (407): see outbound.proxy"),
        ),
        (
            Mode::Answer("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"),
            format!("the forward proxy {at} refused to open a tunnel (502)"),
        ),
        (Mode::Answer("SSH-2.0-OpenSSH_9\r\n\r\n"), format!("the forward proxy {at} does not speak HTTP")),
        (
            Mode::Answer("HTTP/1.1 20"),
            format!("the forward proxy {at} gave no proper answer: the connection was closed"),
        ),
        (Mode::Silent, format!("the forward proxy {at} did not open a tunnel within 0.7 s")),
    ] {
        proxy.set(mode.clone());
        assert_eq!(failure(&post(&outbound, &url).await), (FailureKind::Proxy, words.as_str()), "{mode:?}");
    }
    proxy.set(Mode::Close);
    let closed = post(&outbound, &url).await;
    assert_eq!(failure(&closed).0, FailureKind::Proxy, "{closed:?}");
    assert_eq!(subscriber.connections(), 0);
    proxy.set(Mode::Work);
    assert_eq!(post(&outbound, &url).await.status, Some(200), "it is well again at once");
}

#[tokio::test]
async fn a_proxy_that_is_down() {
    let authority = Authority::new();
    let at = ForwardProxy::start().await.at;
    let outbound = outbound(&format!("http://{at}"), &[], &authority);
    let outcome = post(&outbound, "https://shop.test/").await;
    let (kind, words) = failure(&outcome);
    assert_eq!(kind, FailureKind::Proxy);
    assert!(words.starts_with(&format!("the forward proxy {at} can't be reached: ")), "{words}");
    let check = outbound.check_proxy().await.unwrap();
    assert!(check.unwrap_err().text.starts_with(&format!("the forward proxy {at} can't be reached")));
}

#[tokio::test]
async fn the_servers_faults_stay_its_own() {
    let authority = Authority::new();
    let proxy = ForwardProxy::start().await;
    let wrong = Subscriber::https(authority.server("other.test")).await;
    let outbound = outbound(&format!("http://{}", proxy.at), &[], &authority);
    let outcome = post(&outbound, &format!("https://shop.test:{}/", wrong.port())).await;
    assert_eq!(failure(&outcome), (FailureKind::Tls, "TLS: the certificate is for another name"));
    assert_eq!(outcome.remote_ip, Some([127, 0, 0, 1].into()));
    assert_eq!(outbound.check_proxy().await.unwrap().unwrap(), proxy.at.to_string());
}

/// While a tunnel is being opened for a request, another's connection becomes free, and the request goes over that: what
/// is waited for then is the server.
#[tokio::test]
async fn a_server_that_says_nothing_is_not_excused_by_a_proxy_that_was_waited_for_before() {
    const PATIENCE: Duration = Duration::from_secs(60);
    let authority = Authority::new();
    let proxy = ForwardProxy::start().await;
    let subscriber = Subscriber::https(authority.server("shop.test")).await;
    let outbound = outbound(&format!("http://{}", proxy.at), &[], &authority);
    let url = format!("https://shop.test:{}/", subscriber.port());
    let gate = Arc::new(Notify::new());
    subscriber.script([Act::Gate(Arc::clone(&gate), 200), Act::Hang]);
    let (ours, first) = (outbound.clone(), request(&url));
    let first = tokio::spawn(async move { ours.send(first).await });
    tokio::time::timeout(PATIENCE, subscriber.wait_for(1)).await.unwrap();

    proxy.set(Mode::Silent);
    let second = OutboundRequest { timeout: Some(Duration::from_millis(600)), ..request(&url) };
    let second = tokio::spawn(async move { outbound.send(second).await });
    tokio::time::timeout(PATIENCE, proxy.wait_for(2)).await.unwrap();
    gate.notify_one();
    assert_eq!(first.await.unwrap().status, Some(200));
    let outcome = second.await.unwrap();
    assert_eq!(failure(&outcome), (FailureKind::AnswerTimeout, "no answer within 0.6 s"));
    assert_eq!((subscriber.seen().len(), subscriber.connections()), (2, 1));
}

#[tokio::test]
async fn what_goes_past_it() {
    let authority = Authority::new();
    let proxy = ForwardProxy::start().await;
    let subscriber = Subscriber::https(authority.server("shop.test")).await;
    let plain = Subscriber::http().await;
    let past = outbound(&format!("http://{}", proxy.at), &["test", "127.0.0.1"], &authority);
    let url = format!("https://shop.test:{}/", subscriber.port());
    assert_eq!(post(&past, &url).await.status, Some(200));
    assert_eq!(post(&past, &plain.url("/")).await.status, Some(200));
    assert_eq!(proxy.asked(), []);
}
