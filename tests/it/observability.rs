//! What an operator sees, asked of the real binary: metrics that are all documented, and how many round trips to the
//! store a notification and a delivery cost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kassir::telemetry::catalog;
use serde_json::{Value, json};

use crate::process::Plan;
use crate::redis_server::{DURABLE, Server};
use crate::subscriber::{Act, Subscriber};

const NOTIFICATIONS: u64 = 50;
/// Round trips beside the notifications': the first look at a token and its merchant, and a look every two seconds
/// whether what is at hand is current. Far fewer than a third one for each notification.
const BESIDE: u64 = 25;
/// Scrapes until something must show.
const SCRAPES_MAX: usize = 20_000;
/// What goes on all the time, however much is received: the worker's looks at the queue, and the upkeep.
const BACKGROUND: &[&str] = &[
    "alive",
    "backlog",
    "claim",
    "failing",
    "hash_all",
    "health",
    "holds",
    "mend",
    "merchant_ids",
    "now",
    "payment_list",
    "ready",
    "record_list",
    "release",
    "sweep",
    "sweep_event",
    "sweep_gone",
    "sweep_idem",
    "sweep_notes",
    "sweep_payment",
    "sweep_tallies",
];

/// A scrape: samples by their series.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    async fn of(plan: &Plan) -> Scrape {
        let text = get(&format!("{}/metrics", plan.url())).await;
        let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Scrape(
            samples
                .map(|line| line.rsplit_once(' ').unwrap())
                .map(|(k, v)| (k.to_owned(), v.parse().unwrap()))
                .collect(),
        )
    }

    /// The first scrape that is as it should be.
    async fn when(plan: &Plan, is: impl Fn(&Scrape) -> bool) -> Scrape {
        for _ in 0..SCRAPES_MAX {
            let scrape = Scrape::of(plan).await;
            if is(&scrape) {
                return scrape;
            }
        }
        panic!("not as it should be after {SCRAPES_MAX} scrapes");
    }

    /// Sum of the series of a metric whose labels have all of these.
    fn sum(&self, name: &str, labels: &[&str]) -> u64 {
        let ours = |series: &str| {
            series.split('{').next() == Some(name) && labels.iter().all(|label| series.contains(label))
        };
        self.0.iter().filter(|(series, _)| ours(series)).map(|(_, value)| *value as u64).sum()
    }

    /// Names, those of a histogram's parts given as the histogram's.
    fn names(&self) -> BTreeSet<String> {
        let name = |series: &String| {
            let name = series.split('{').next().unwrap();
            let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            part.unwrap_or(name).to_owned()
        };
        self.0.keys().map(name).collect()
    }

    /// Round trips by verb.
    fn round_trips(&self) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        for (series, value) in &self.0 {
            if let Some(labels) = series.strip_prefix("kassir_store_calls_total{") {
                let verb = labels.split("verb=\"").nth(1).unwrap().split('"').next().unwrap();
                *found.entry(verb.to_owned()).or_default() += *value as u64;
            }
        }
        found
    }
}

async fn get(url: &str) -> String {
    let (method, none) = (kassir_providers::Method::Get, Vec::new());
    let answered = crate::world::wire().send(request(method, url, none.clone(), Vec::new())).await;
    String::from_utf8(answered.body).unwrap()
}

fn request(
    method: kassir_providers::Method,
    url: &str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
) -> kassir::delivery::outbound::OutboundRequest {
    kassir::delivery::outbound::OutboundRequest {
        method,
        url: url.to_owned(),
        headers,
        body,
        timeout: None,
        response_max: 1 << 22,
    }
}

/// Sends a notification of CloudPayments, signed or not.
async fn pay(url: &str, order: u64, secret: &str) -> u16 {
    let account = kassir_providers::Account {
        credentials: [("public_id", "pk_1"), ("api_secret", secret)]
            .map(|(key, value)| (key.to_owned(), kassir_providers::Secret::new(value)))
            .into(),
        ..Default::default()
    };
    let shop = crate::world::Shop { url: url.to_owned(), account, slug: "cloudpayments".to_owned() };
    let notice = crate::world::fixture::notice(
        &shop,
        kassir_providers::State::Succeeded,
        90_000,
        &format!("order-{order}"),
    );
    let url = match &notice.kind {
        Some(kind) => format!("{url}/{kind}"),
        None => url.to_owned(),
    };
    let sent = crate::world::wire().send(request(notice.method, &url, notice.headers, notice.body)).await;
    sent.status.unwrap()
}

/// Connects a shop and an endpoint; gives the shop's inbound URL.
async fn set_up(plan: &Plan, subscriber: &Subscriber) -> String {
    let client = plan.client();
    let merchant = client.post("/merchants", &json!({ "name": "Лавка" })).await.unwrap();
    let merchant = merchant["id"].as_str().unwrap().to_owned();
    let endpoint = json!({ "url": subscriber.url("/hook") });
    client.post(&format!("/merchants/{merchant}/endpoints"), &endpoint).await.unwrap();
    let shop =
        json!({ "provider": "cloudpayments", "credentials": { "public_id": "pk_1", "api_secret": "abc" } });
    let shop: Value = client.post(&format!("/merchants/{merchant}/integrations"), &shop).await.unwrap();
    shop["webhook_url"].as_str().unwrap().to_owned()
}

async fn two_a_notification_and_one_a_delivery(plan: Plan) {
    let router = plan.start().await;
    let subscriber = Subscriber::http().await;
    let url = set_up(&plan, &subscriber).await;
    let before = Scrape::of(&plan).await;
    for order in 0..NOTIFICATIONS {
        assert_eq!(pay(&url, order, "abc").await, 200);
    }
    subscriber.wait_for(NOTIFICATIONS as usize).await;
    // The last answers are still being settled.
    let after = Scrape::when(&plan, |scrape| {
        scrape.sum("kassir_store_calls_total", &["verb=\"settle\""]) >= NOTIFICATIONS
    });
    let after = after.await;
    let earlier = before.round_trips();
    let mut made = after.round_trips();
    for (verb, count) in &mut made {
        *count -= earlier.get(verb).copied().unwrap_or(0);
    }
    assert_eq!(made["settle"], NOTIFICATIONS, "one a delivery: {made:?}");
    let background = |verb: &str| BACKGROUND.contains(&verb);
    let inbound: u64 =
        made.iter().filter(|(verb, _)| !background(verb) && *verb != "settle").map(|(_, count)| count).sum();
    assert!(inbound <= 2 * NOTIFICATIONS + BESIDE, "two a notification: {made:?}");
    let accepted = ["provider=\"cloudpayments\"", "outcome=\"accepted\""];
    assert_eq!(after.sum("kassir_notifications_total", &accepted), NOTIFICATIONS);
    assert_eq!(after.sum("kassir_delivery_attempts_total", &["outcome=\"success\""]), NOTIFICATIONS);
    assert_eq!(router.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn round_trips_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    two_a_notification_and_one_a_delivery(Plan::sqlite(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn round_trips_on_redis() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(DURABLE);
    two_a_notification_and_one_a_delivery(Plan::on(folder.path(), &server.url())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_documented_and_every_documented_one_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    let router = plan.start().await;
    let subscriber = Subscriber::http().await;
    subscriber.script([Act::status(500)]);
    let url = set_up(&plan, &subscriber).await;
    assert_eq!(pay(&url, 1, "abc").await, 200);
    assert_ne!(pay(&url, 2, "wrong").await, 200);
    assert_eq!(pay(&format!("{}/webhooks/cloudpayments/none", plan.url()), 3, "abc").await, 404);
    ask_a_provider(&plan).await;
    subscriber.wait_for(1).await;
    let scrape = Scrape::when(&plan, |scrape| {
        scrape.sum("kassir_delivery_attempts_total", &["outcome=\"status_5xx\""]) > 0
            && scrape.sum("kassir_provider_calls_total", &["provider=\"yookassa\""]) > 0
            && scrape.sum("kassir_store_calls_total", &["verb=\"settle\""]) > 1
    });
    let scrape = scrape.await;
    let documented: BTreeSet<String> = catalog::all().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(scrape.names(), documented);
    let refused = ["provider=\"cloudpayments\"", "reason=\"wrong_proof\""];
    assert_eq!(scrape.sum("kassir_notifications_refused_total", &refused), 1);
    assert_eq!(scrape.sum("kassir_notifications_total", &["outcome=\"unknown_address\""]), 1);
    assert!(scrape.sum("process_resident_memory_bytes", &[]) > 1 << 20);
    assert!(scrape.sum("process_open_fds", &[]) > 3);
    assert_eq!(router.terminate().await, Some(0));
}

/// An unsigned notification, about which the provider's API is asked; nobody answers there.
async fn ask_a_provider(plan: &Plan) {
    let client = plan.client();
    let merchants = client.get("/merchants").await.unwrap();
    let merchant = merchants["data"][0]["id"].as_str().unwrap();
    let nobody = format!("http://127.0.0.1:{}/v3", crate::process::free_port());
    let shop = json!({
        "provider": "yookassa",
        "credentials": { "shop_id": "100500", "secret_key": "k" },
        "settings": { "api_base": nobody }
    });
    let shop = client.post(&format!("/merchants/{merchant}/integrations"), &shop).await.unwrap();
    let url = shop["webhook_url"].as_str().unwrap().to_owned();
    let account = kassir_providers::Account::default();
    let shop = crate::world::Shop { url: url.clone(), account, slug: "yookassa".to_owned() };
    let notice = crate::world::fixture::notice(&shop, kassir_providers::State::Succeeded, 90_000, "72");
    let sent = crate::world::wire().send(request(notice.method, &url, notice.headers, notice.body)).await;
    assert_eq!(sent.status, Some(200));
}

#[test]
fn every_metric_of_the_source_is_in_the_catalogue() {
    let known: BTreeSet<&str> = catalog::all().map(|metric| metric.name).collect();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for after in
                text.split("::counter!").chain(text.split("::gauge!")).chain(text.split("::histogram!"))
            {
                let argument = after.trim_start_matches(['(', ' ', '\n']);
                let Some(name) = argument.strip_prefix('"').and_then(|text| text.split('"').next()) else {
                    continue;
                };
                if after.starts_with('(') {
                    assert!(known.contains(name), "{}: {name}", path.display());
                    found += 1;
                }
            }
        }
    }
    assert!(found > 25);
}

/// Names of metrics in a text.
fn named(text: &str) -> BTreeSet<String> {
    let name = |word: &&str| word.starts_with("kassir_") || word.starts_with("process_");
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(name)
        .map(|word| {
            ["_bucket", "_sum", "_count"].iter().find_map(|part| word.strip_suffix(part)).unwrap_or(word)
        })
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn dashboard_and_alerts_name_documented_metrics() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let documented = named(&read("docs/metrics.md"));
    let dashboard: Value = serde_json::from_str(&read("ops/grafana/kassir.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let asked: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    assert!(asked.len() > 20);
    let alerts = read("ops/prometheus/alerts.yml");
    let rules: Vec<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("expr:")).collect();
    assert!(rules.len() > 8);
    for expression in asked.iter().chain(&rules) {
        let names = named(expression);
        let unknown: Vec<_> = names.difference(&documented).collect();
        assert!(unknown.is_empty(), "{expression}: {unknown:?}");
    }
    // What keeps money from coming in, or ends its way, has a rule.
    for metric in [
        "kassir_intake_busy_total",
        "kassir_intake_flood_total",
        "kassir_deliveries_ended_total",
        "kassir_endpoints_disabled_total",
        "kassir_confirmations_given_up_total",
        "kassir_provider_calls_total",
    ] {
        assert!(rules.iter().any(|rule| rule.contains(metric)), "no rule looks at {metric}");
    }
    // A sum of no series is nothing, not 0.
    for rule in rules.iter().filter(|rule| rule.contains("sum(") && rule.contains("== 0")) {
        assert!(rule.contains("or vector(0)) == 0"), "does not fire without a series: {rule}");
    }
    for rule in alerts.split("- alert:").skip(1) {
        assert!(
            rule.contains("summary:") && rule.contains("runbook:"),
            "says what it means and what to do: {rule}"
        );
    }
}

#[test]
fn the_two_recipes_for_production_are_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let readme = read("README.md");
    let recipe = readme.split("## Production").nth(1).unwrap().split("```").nth(1).unwrap();
    let recipe: Vec<&str> = recipe.lines().skip(1).collect();
    let compose = read("docker-compose.yml");
    let head: Vec<&str> = compose.lines().map(|line| line.trim_start_matches('#').trim()).collect();
    assert!(recipe.len() > 4 && head.windows(recipe.len()).any(|lines| lines == recipe), "{recipe:?}");
    // The container's user is another one than who made the files.
    assert!(recipe.contains(&"chmod 644 secrets/*"), "{recipe:?}");
    assert!(read(".dockerignore").lines().any(|line| line == "secrets"));
}

#[test]
fn who_stops_a_router_waits_for_both_of_its_drains() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let drain = kassir::config::from_parts(None, "test", &BTreeMap::new()).unwrap().delivery.drain.0;
    let patience = |path: &str, before: &str| {
        let text = std::fs::read_to_string(root.join(path)).unwrap();
        let mut lines = text.lines().filter_map(|line| line.trim().strip_prefix(before));
        lines.next_back().unwrap().trim_end_matches('s').parse::<u64>().unwrap()
    };
    for seconds in [
        patience("ops/systemd/kassir.service", "TimeoutStopSec="),
        patience("docker-compose.yml", "stop_grace_period: "),
    ] {
        assert!(seconds > 2 * drain.as_secs(), "{seconds} s");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_cannot_open_a_credential_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    let router = plan.start().await;
    let subscriber = Subscriber::http().await;
    let url = set_up(&plan, &subscriber).await;
    assert_eq!(router.terminate().await, Some(0));
    // As if it had been sealed for something else.
    let sql = "UPDATE integration SET record = json_set(record, '$.credentials.api_secret.sealed', \
               json_extract(record, '$.credentials.public_id.sealed'))";
    let file = rusqlite::Connection::open(folder.path().join("kassir.db")).unwrap();
    assert_eq!(file.execute(sql, []).unwrap(), 1);
    drop(file);
    let router = plan.start().await;
    assert_eq!(pay(&url, 1, "abc").await, 503);
    assert_eq!(Scrape::of(&plan).await.sum("kassir_intake_busy_total", &[]), 1);
    assert_eq!(router.terminate().await, Some(0));
}

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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_or_held_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = Plan::sqlite(folder.path());
    for key in ["FIRST_INTERVAL", "MAX_INTERVAL", "MAX_AGE"] {
        plan = plan.with(&format!("KASSIR__DELIVERY__{key}"), "10ms");
    }
    let router = plan.start().await;
    let subscriber = Subscriber::http().await;
    subscriber.script((0..100).map(|_| Act::status(400)));
    let url = set_up(&plan, &subscriber).await;
    let client = plan.client();
    let merchant = client.get("/merchants").await.unwrap();
    let merchant = merchant["data"][0]["id"].as_str().unwrap().to_owned();
    let off = json!({ "url": subscriber.url("/off") });
    let path = format!("/merchants/{merchant}/endpoints");
    let off = client.post(&path, &off).await.unwrap();
    let off = format!("{path}/{}", off["id"].as_str().unwrap());
    client.patch(&off, &json!({ "enabled": false })).await.unwrap();
    assert_eq!(pay(&url, 1, "abc").await, 200);
    let ended = |scrape: &Scrape, status: &str| {
        scrape.sum("kassir_deliveries_ended_total", &[&format!("status=\"{status}\"")])
    };
    let scrape = Scrape::when(&plan, |scrape| ended(scrape, "failed") > 0).await;
    assert_eq!(["failed", "held", "canceled"].map(|status| ended(&scrape, status)), [1, 1, 0]);
    assert_eq!(router.terminate().await, Some(0));
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
