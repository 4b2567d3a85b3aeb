//! Log lines and spans: by which ids one finds one's way through them, and what is never in them.

use serde_json::Value;

use super::{Scrape, pay, request, set_up};
use crate::process::Plan;
use crate::subscriber::Subscriber;

#[tokio::test(flavor = "multi_thread")]
async fn an_id_follows_a_request_into_log_and_answer() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let more = [("KASSIR__LOG__FORMAT", "json"), ("KASSIR__LOG__LEVEL", "info,kassir=debug")];
    let more = more.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let plan = Plan { more, log: Some(log.clone()), ..Plan::sqlite(folder.path()) };
    let router = plan.start().await;
    let subscriber = Subscriber::http().await;
    let url = set_up(&plan, &subscriber).await;
    let given = async |id: &str| {
        let headers = vec![("x-request-id".to_owned(), id.to_owned())];
        let live = request(
            kassir_providers::Method::Get,
            &format!("{}/health/live", plan.url()),
            headers,
            Vec::new(),
        );
        crate::world::wire().send(live).await.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(given("of-the-proxy-77").await, "of-the-proxy-77");
    let made = given("not \"sane\"").await;
    assert!(made.starts_with("req_") && made.len() == 36, "{made}");
    assert_eq!(pay(&url, 1, "abc").await, 200);
    subscriber.wait_for(1).await;
    assert_eq!(router.terminate().await, Some(0));

    let text = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = |message: &str| lines.iter().find(|line| line["message"] == message).unwrap();
    let kept = line("a notification was kept");
    assert!(kept["span"]["request"].as_str().unwrap().starts_with("req_"), "{kept}");
    assert!(kept["notification"].as_str().unwrap().starts_with("ntf_"), "{kept}");
    assert_eq!(kept["span"]["route"], "/webhooks/{provider}/{token}/{kind}");
    let attempted = line("attempted");
    let seen = subscriber.seen().remove(0);
    assert_eq!(attempted["span"]["event"], seen.header("webhook-id"));
    assert_eq!(attempted["span"]["delivery"], seen.header("kassir-delivery"));
    assert_eq!(kept["event"], attempted["span"]["event"]);
    let token = url.rsplit('/').next().unwrap();
    for secret in [token, crate::process::ADMIN, "whsec_", "90000", "Заказ", &subscriber.url("/hook")] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_spans() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Subscriber::http().await;
    let more = [
        ("KASSIR__TELEMETRY__OTLP_ENDPOINT", collector.url("")),
        ("KASSIR__TELEMETRY__OTLP_HEADERS", "x-key=sesame".to_owned()),
        ("KASSIR__TELEMETRY__SERVICE_NAME", "till-7".to_owned()),
    ];
    let more = more.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let plan = Plan { more, ..Plan::sqlite(folder.path()) };
    let router = plan.start().await;
    let subscriber = Subscriber::http().await;
    let url = set_up(&plan, &subscriber).await;
    assert_eq!(pay(&url, 1, "abc").await, 200);
    subscriber.wait_for(1).await;
    assert_eq!(router.terminate().await, Some(0));

    let exports = collector.seen();
    assert!(exports.iter().all(|export| export.line.starts_with("POST /v1/traces")));
    assert!(exports.iter().all(|export| export.header("x-key") == "sesame"));
    assert!(exports.iter().all(|export| export.header("content-type") == "application/x-protobuf"));
    let bytes: Vec<u8> = exports.into_iter().flat_map(|export| export.body).collect();
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    let seen = subscriber.seen().remove(0);
    assert!(has(b"till-7") && has(&string_field(5, "delivery")) && has(&string_field(5, "request")));
    assert!(has(&attribute("event", seen.header("webhook-id"))));
    assert!(has(&attribute("delivery", seen.header("kassir-delivery"))));
    assert!(has(&attribute("outcome", "success")));
    assert!(!has(url.rsplit('/').next().unwrap().as_bytes()), "the inbound token is in no span");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let nobody = format!("http://127.0.0.1:{}", crate::process::free_port());
    let plan = Plan { log: Some(log.clone()), ..Plan::sqlite(folder.path()) }
        .with("KASSIR__TELEMETRY__OTLP_ENDPOINT", &nobody);
    let router = plan.start().await;
    let subscriber = Subscriber::http().await;
    let url = set_up(&plan, &subscriber).await;
    assert_eq!(pay(&url, 1, "abc").await, 200);
    let failed = |scrape: &Scrape| scrape.sum("kassir_telemetry_exports_failed_total", &[]) > 0;
    Scrape::when(&plan, failed).await;
    assert_eq!(router.terminate().await, Some(0));
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("does not take the spans"), "{said}");
}

/// A short text as a field of a protobuf message.
fn string_field(number: u8, text: &str) -> Vec<u8> {
    bytes_field(number, text.as_bytes())
}

fn bytes_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
    field.extend(bytes);
    field
}

/// `KeyValue` of OTLP: key 1, value 2, of which a text is 1.
fn attribute(key: &str, value: &str) -> Vec<u8> {
    [string_field(1, key), bytes_field(2, &string_field(1, value))].concat()
}
