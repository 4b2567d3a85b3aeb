//! Metrics: all are documented, and they tell what an operator must know.

use std::collections::BTreeSet;
use std::path::Path;

use kassir::telemetry::catalog;
use serde_json::json;

use super::{Scrape, pay, request, set_up};
use crate::process::Plan;
use crate::subscriber::{Act, Subscriber};

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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_not_kept_is_told_apart_from_what_is_told_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path()).with("KASSIR__INTAKE__REFUSED_KEPT_PER_MINUTE", "1");
    let router = plan.start().await;
    let client = plan.client();
    let merchant = client.post("/merchants", &json!({ "name": "Лавка" })).await.unwrap();
    let path = format!("/merchants/{}/integrations", merchant["id"].as_str().unwrap());
    let send = async |payment: &str| {
        let shop =
            json!({ "provider": "yookassa", "credentials": { "shop_id": "100500", "secret_key": "k" } });
        let shop = client.post(&path, &shop).await.unwrap();
        let url = shop["webhook_url"].as_str().unwrap().to_owned();
        let mut answers = BTreeSet::new();
        // Ten are kept in a minute, and two minutes may see these.
        for _ in 0..25 {
            let body = payment.as_bytes().to_vec();
            let sent = request(kassir_providers::Method::Post, &url, Vec::new(), body);
            answers.insert(crate::world::wire().send(sent).await.status.unwrap());
        }
        answers
    };
    let flooded = async || {
        let scrape = Scrape::of(&plan).await;
        ["unlogged", "unproven"]
            .map(|kind| scrape.sum("kassir_intake_flood_total", &[&format!("kind=\"{kind}\"")]).min(1))
    };
    let nothing = r#"{"type":"notification","event":"payout.x","object":{}}"#;
    assert_eq!(send(nothing).await, BTreeSet::from([200]));
    assert_eq!(flooded().await, [1, 0]);
    let paid = r#"{"type":"notification","event":"payment.succeeded","object":{"id":"22d6d597-000f-5000-9000-145f6df21d6f","status":"succeeded","paid":true,"amount":{"value":"2.00","currency":"RUB"},"created_at":"2018-07-10T14:27:54.691Z","recipient":{"account_id":"100500","gateway_id":"100700"},"refundable":true,"test":false}}"#;
    let answers = send(paid).await;
    assert!(answers.contains(&200) && answers.len() == 2, "{answers:?}");
    assert_eq!(flooded().await, [1, 1]);
    assert_eq!(router.terminate().await, Some(0));
}
