//! No URL and no answer of a name server makes us connect to a forbidden address.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kassir::delivery::outbound::{
    FailureKind, Guard, Lookup, Outbound, OutboundConfig, OutboundRequest, UrlRefusal,
};

use super::request;
use crate::subscriber::{Act, Subscriber};

/// A name server that answers from a list, one answer after the other; the last one stays.
struct Answers {
    list: Mutex<Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Answers {
    fn new(list: &[&[&str]]) -> Arc<Answers> {
        let list = list.iter().rev().map(|answer| answer.iter().map(|ip| ip.parse().unwrap()).collect());
        Arc::new(Answers { list: Mutex::new(list.collect()), asked: Mutex::default() })
    }
}

#[async_trait]
impl Lookup for Answers {
    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut list = self.list.lock().unwrap();
        let answer = if list.len() > 1 { list.pop() } else { list.last().cloned() };
        answer.ok_or_else(|| io::Error::other("no such name"))
    }
}

fn config(allow: &[&str]) -> OutboundConfig {
    OutboundConfig {
        allow_networks: allow.iter().map(|network| network.parse().unwrap()).collect(),
        allow_http: true,
        timeout: Duration::from_secs(5),
        ..OutboundConfig::default()
    }
}

/// The ways to write an IPv4 address that readers of URLs and C libraries know.
fn notations(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let whole = address.to_bits();
    let (low24, low16) = (whole & 0xff_ffff, whole & 0xffff);
    let wide = |text: &str| -> String {
        let shift = |c: char| match c {
            '0'..='9' => char::from_u32(c as u32 - '0' as u32 + 0xff10).unwrap(),
            other => other,
        };
        text.chars().map(shift).collect()
    };
    let plain = address.to_string();
    let mapped = format!("{:x}:{:x}", whole >> 16, low16);
    vec![
        plain.clone(),
        format!("{plain}."),
        format!("{whole}"),
        format!("{whole}."),
        format!("0x{whole:x}"),
        format!("0X{whole:X}"),
        format!("0{whole:o}"),
        format!("0x{whole:012x}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("000{a:o}.000{b:o}.000{c:o}.000{d:o}"),
        format!("0x{a:x}.{b}.0{c:o}.{d}"),
        format!("{a}.{low24}"),
        format!("0x{a:x}.0x{low24:x}"),
        format!("0{a:o}.0{low24:o}"),
        format!("{a}.{b}.{low16}"),
        format!("{a}.{b}.0x{low16:x}"),
        plain.replace('.', "%2e"),
        plain.replace('.', "\u{3002}"),
        plain.replace('.', "\u{ff0e}"),
        plain.chars().map(|c| format!("%{:02x}", c as u32)).collect(),
        wide(&plain),
        wide(&whole.to_string()),
        format!("[::ffff:{plain}]"),
        format!("[::ffff:{mapped}]"),
        format!("[0:0:0:0:0:ffff:{plain}]"),
        format!("[0000:0000:0000:0000:0000:FFFF:{mapped}]"),
        format!("[::{plain}]"),
        format!("[::ffff:0:{plain}]"),
        format!("[64:ff9b::{plain}]"),
        format!("[64:ff9b:1::{plain}]"),
        format!("[2002:{mapped}::1]"),
        format!("[2002:{mapped}:1:2:3:4:5]"),
        format!("[2a00:1450::5efe:{plain}]"),
        format!("[2a00:1450::200:5efe:{mapped}]"),
        format!("[fe80::5efe:{plain}]"),
        format!("user@{plain}"),
        format!("user:pass@{plain}"),
        format!("example.com@{plain}"),
        format!("example.com%40@{plain}"),
        format!("{plain}%00.example.com"),
        format!("{plain}\\@example.com"),
        format!("[{plain}]"),
        format!("[[::ffff:{plain}]]"),
        format!("[::ffff:{plain}%25lo]"),
        format!(" {plain}"),
        format!("{plain}\t"),
    ]
}

fn table() -> BTreeSet<String> {
    let addresses = [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.2.7",
        "192.168.0.1",
        "198.18.0.1",
        "203.0.113.9",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ];
    let mut table: BTreeSet<String> = addresses
        .iter()
        .flat_map(|address| notations(address.parse().unwrap()))
        .map(|host| format!("http://{host}/hook"))
        .collect();
    let hosts = [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "localhost.localdomain",
        "ip6-localhost",
        "\u{24db}ocalhost",
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::1%25lo]",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[fec0::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[100::1]",
        "[2001::1]",
        "[2001:db8::1]",
        "[3fff::1]",
        "[4000::1]",
        "[5f00::1]",
        "127.1",
        "127.0.1",
        "0",
        "0x0",
        "0.",
        "1",
        "example.com:0",
        "example.com:22",
        "example.com:25",
        "example.com:6379",
        "example.com:5432",
        "user@example.com",
        "@example.com",
        ":@example.com",
        ":@example.com:9999999",
        "",
        ".",
        "..",
        "999.999.999.999",
        "1.2.3.4.5",
        "0x1ffffffff",
    ];
    table.extend(hosts.iter().map(|host| format!("http://{host}/hook")));
    for other in [
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://example.com/",
        "javascript:alert(1)",
        "data:,x",
        "//example.com/",
        "/hook",
        "example.com",
        "http:/\\example.com",
        "http:example.com",
        "http:/example.com",
        "http:///example.com",
    ] {
        table.insert(other.to_owned());
    }
    table.insert(format!("https://example.com/{}", "a".repeat(2_048)));
    table
}

#[tokio::test]
async fn odd_notations_are_refused_at_creation_and_when_sending() {
    let lookup = Answers::new(&[&["127.0.0.1", "::1"]]);
    let outbound = Outbound::with_lookup(&config(&[]), lookup.clone()).unwrap();
    let table = table();
    assert!(table.len() >= 300, "{}", table.len());
    for url in &table {
        for url in [url.clone(), url.replacen("http:", "https:", 1)] {
            assert!(outbound.check_url(&url).is_err(), "{url}");
            assert!(outbound.check_resolved(&url).await.is_err(), "{url}");
            let outcome = outbound.send(request(&url)).await;
            let kind = outcome.failure.map(|failure| failure.kind);
            assert!(matches!(kind, Some(FailureKind::Forbidden | FailureKind::Request)), "{url} {kind:?}");
        }
    }
    assert_eq!(*lookup.asked.lock().unwrap(), Vec::<String>::new(), "nothing was even looked up");
}

#[test]
fn what_is_fine() {
    let guard = Guard::default();
    for (url, understood) in [
        ("https://example.com/hook?a=1#part", "https://example.com/hook?a=1"),
        ("https://EXAMPLE.com:8443/", "https://example.com:8443/"),
        ("https://example.com./", "https://example.com./"),
        ("https://xn--e1afmkfd.xn--p1ai/", "https://xn--e1afmkfd.xn--p1ai/"),
        ("https://пример.рф/", "https://xn--e1afmkfd.xn--p1ai/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
    ] {
        assert_eq!(guard.check_url(url).unwrap().as_str(), understood);
    }
    assert_eq!(guard.check_url("http://example.com/"), Err(UrlRefusal::Scheme("https://")));
    let refusal = guard.check_url("https://2130706433/").unwrap_err().to_string();
    assert_eq!(refusal, "127.0.0.1 is a loopback address; outbound.allow_networks can allow it");
    let local = Guard { allow_networks: vec!["127.0.0.0/8".parse().unwrap()], allow_http: true };
    for url in ["http://localhost:8080/", "http://127.1:8080/", "http://[::ffff:127.0.0.1]:8080/"] {
        assert!(local.check_url(url).is_ok(), "{url}");
    }
    assert!(local.check_url("http://10.0.0.1/").is_err());
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_judged_as_it_is_connected_to() {
    let subscriber = Subscriber::http().await;
    let lookup = Answers::new(&[&["93.184.215.14"], &["127.0.0.1"]]);
    let outbound = Outbound::with_lookup(&config(&[]), lookup.clone()).unwrap();
    let url = format!("http://rebind.example:{}/hook", subscriber.port());
    assert!(outbound.check_resolved(&url).await.is_ok(), "public when it was created");
    let failure = outbound.send(request(&url)).await.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Forbidden);
    assert_eq!(
        failure.text,
        "rebind.example leads to 127.0.0.1, a loopback address; outbound.allow_networks can allow it"
    );
    assert_eq!(lookup.asked.lock().unwrap().len(), 2);
    assert_eq!(subscriber.connections(), 0);
}

#[tokio::test]
async fn of_a_mixed_answer_only_the_good_part_is_used() {
    let subscriber = Subscriber::http().await;
    let mixed = Answers::new(&[&["10.0.0.1", "::1", "fe80::1", "127.0.0.1", "169.254.169.254"]]);
    let outbound = Outbound::with_lookup(&config(&["127.0.0.0/8"]), mixed).unwrap();
    let outcome = outbound.send(request(&format!("http://mixed.example:{}/", subscriber.port()))).await;
    assert_eq!(outcome.status, Some(200), "{outcome:?}");
    assert_eq!(outcome.remote_ip, Some("127.0.0.1".parse().unwrap()));
    let hang = OutboundRequest {
        timeout: Some(Duration::from_millis(200)),
        ..request(&format!("http://one.example:{}/", subscriber.port()))
    };
    subscriber.script([Act::Hang]);
    let outcome = outbound.send(hang).await;
    assert_eq!((outcome.status, outcome.remote_ip), (None, Some("127.0.0.1".parse().unwrap())));
    let bad = Answers::new(&[&["10.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]]);
    let outbound = Outbound::with_lookup(&config(&[]), bad).unwrap();
    let outcome = outbound.send(request(&format!("http://bad.example:{}/", subscriber.port()))).await;
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::Forbidden);
    assert_eq!(subscriber.connections(), 2);
}

#[tokio::test]
async fn many_answers_and_none() {
    let many: Vec<String> = (0..1_000).map(|n| format!("10.0.{}.{}", n / 256, n % 256)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let outbound = Outbound::with_lookup(&config(&[]), Answers::new(&[&many])).unwrap();
    let outcome = outbound.send(request("http://many.example/")).await;
    assert_eq!(outcome.failure.unwrap().kind, FailureKind::Forbidden);
    let outbound = Outbound::with_lookup(&config(&[]), Answers::new(&[&[]])).unwrap();
    let failure = outbound.send(request("http://none.example/")).await.failure.unwrap();
    assert_eq!(failure.kind, FailureKind::Dns);
    assert_eq!(failure.text, "the name none.example was not found: it has no address");
    let outbound = Outbound::with_lookup(&config(&[]), Answers::new(&[])).unwrap();
    let failure = outbound.send(request("http://none.example/")).await.failure.unwrap();
    assert_eq!(failure.text, "the name none.example was not found: no such name");
    assert!(matches!(outbound.check_resolved("http://none.example/").await, Err(UrlRefusal::Unresolved(_))));
}
