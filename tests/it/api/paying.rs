//! Payments, events, notifications, statistics, and the dry run.

use kassir_providers::operation::Sample;
use kassir_providers::{Account, Currency, Money, Secret, State, by_slug};
use serde_json::{Map, json};

use super::world::World;

fn created() -> serde_json::Value {
    json!({ "id": "22d6d597-000f-5000-9000-145f6df21d6f", "status": "pending", "paid": false,
        "amount": { "value": "900.50", "currency": "RUB" }, "created_at": "2026-01-02T00:00:00.000Z",
        "confirmation": { "type": "redirect", "confirmation_url": "https://yoomoney.example/pay" },
        "test": false, "refundable": false, "recipient": { "account_id": "100500", "gateway_id": "1" },
        "metadata": {} })
}

#[tokio::test]
async fn a_payment_is_created_listed_and_shown() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let integration = world.integration(&merchant).await;
    world.endpoint(&merchant, "http://127.0.0.1:8443/").await;
    let path = format!("/merchants/{merchant}/payments");
    world.provider.reply(200, created());
    let body = json!({ "integration_id": integration, "amount": 90050, "currency": "RUB",
        "order": [{ "name": "Goods", "amount": 900.5 }],
        "contact": { "id": 9_007_199_254_740_993_i64, "messenger": "telegram", "phone": "79999999999" } });
    let made = world.post(&path, body).await.is(201);
    assert_eq!(made.json["pay_url"], "https://yoomoney.example/pay");
    assert_eq!((&made.json["id"], &made.json["state"]), (&json!(1), &json!("pending")));
    assert!(
        made.text.contains(r#""amount":900.5"#) && made.text.contains("9007199254740993"),
        "{}",
        made.text
    );
    assert_eq!(world.provider.calls(), ["https://api.yookassa.ru/v3/payments"]);
    let shown = world.get(&format!("{path}/1")).await.is(200);
    assert_eq!(shown.json["events"][0]["body"]["state"], "pending");
    assert_eq!(shown.json["deliveries"][0]["status"], "pending");
    assert_eq!(shown.json["notifications"], json!([]));
    let all = world.get(&format!("{path}?state=pending&q=goods&from=2020-01-01T00:00:00Z")).await.is(200);
    assert_eq!(all.json["data"].as_array().unwrap().len(), 1);
    let none = world.get(&format!("{path}?state=canceled")).await.is(200);
    assert_eq!(none.json, json!({ "data": [], "next_cursor": null }));
    assert_eq!(world.get(&format!("{path}?state=paid")).await.is(400).pointers(), ["?state"]);
    let stats = world.get(&format!("/merchants/{merchant}/stats")).await.is(200);
    assert_eq!(stats.json["totals"]["event"]["pending"]["yookassa"], 1);
    world.get(&format!("{path}/2")).await.is(404);
    world.get(&format!("{path}/x")).await.is(404);
}

#[tokio::test]
async fn what_does_not_work_says_whose_fault_it_is() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let integration = world.integration(&merchant).await;
    let path = format!("/merchants/{merchant}/payments");
    let body = json!({ "integration_id": integration, "amount": 100, "currency": "RUB" });
    let wrong = world.post(&path, json!({ "amount": 0, "currency": "RUB" })).await.is(422);
    assert_eq!(wrong.pointers(), ["/integration_id", "/amount"]);
    let foreign =
        json!({ "integration_id": "int_00000000000000000000000001", "amount": 1, "currency": "RUB" });
    assert_eq!(world.post(&path, foreign).await.is(422).pointers(), ["/integration_id"]);
    let away = world.post(&path, body.clone()).await.is(502);
    assert!(away.text.contains("nobody answers"), "{}", away.text);
    world.provider.reply(401, json!({ "type": "error", "code": "invalid_credentials", "description": "no" }));
    let refused = world.post(&path, body.clone()).await.is(422);
    assert!(refused.text.contains("credentials"), "{}", refused.text);
    world.provider.reply(200, created());
    let made = world.post(&path, body).await.is(201);
    let one = format!("{path}/{}", made.json["id"]);
    world.post(&format!("{one}/capture"), json!({})).await.is(409);
    world.post(&format!("{one}/refund"), json!({ "amount": 1 })).await.is(409);
    world.post(&format!("{one}/cancel"), json!({ "amount": 1 })).await.is(422);
}

fn signed_notification() -> (String, Vec<(String, String)>) {
    let mut account = Account::default();
    account.credentials.insert("public_id".to_owned(), Secret::new("pk_0123456789"));
    account.credentials.insert("api_secret".to_owned(), Secret::new("a-secret-of-cloudpayments"));
    let sample = Sample {
        kind: Some("pay".to_owned()),
        state: State::Succeeded,
        refund: false,
        amount: Money::new(90_000, Currency::RUB),
        reference: "77".to_owned(),
        provider_id: None,
        description: "Goods".to_owned(),
        email: None,
        metadata: Map::new(),
        now: 1_767_312_000_000,
    };
    let request = by_slug("cloudpayments").unwrap().imitate(&sample, &account).unwrap();
    (String::from_utf8(request.body).unwrap(), request.headers)
}

#[tokio::test]
async fn a_pasted_request_is_tried_out() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let body = json!({ "provider": "cloudpayments",
        "credentials": { "public_id": "pk_0123456789", "api_secret": "a-secret-of-cloudpayments" } });
    let integration = world.post(&format!("/merchants/{merchant}/integrations"), body).await.is(201).id();
    let endpoint = world.endpoint(&merchant, "http://127.0.0.1:8443/").await;
    let path = format!("/merchants/{merchant}/integrations/{integration}/try");
    let (body, headers) = signed_notification();
    let headers: serde_json::Value = headers
        .into_iter()
        .collect::<std::collections::BTreeMap<_, _>>()
        .into_iter()
        .map(|(name, value)| (name, json!(value)))
        .collect::<Map<_, _>>()
        .into();
    let tried = world.post(&path, json!({ "kind": "pay", "headers": headers, "body": body })).await.is(200);
    assert_eq!(tried.json["proof"], "signed", "{}", tried.text);
    assert_eq!(tried.json["refusal"], json!(null));
    assert_eq!(tried.json["events"][0]["endpoint_id"], endpoint.as_str());
    assert_eq!(tried.json["events"][0]["body"]["state"], "succeeded");
    assert_eq!(tried.json["answer"]["body"], r#"{"code":0}"#);
    let forged = body.replace("900", "901");
    let forged =
        world.post(&path, json!({ "kind": "pay", "headers": headers, "body": forged })).await.is(200);
    assert_eq!(forged.json["refusal"]["kind"], "wrong_proof", "{}", forged.text);
    assert_eq!(forged.json["events"], json!([]));
    assert_eq!(world.get(&format!("/merchants/{merchant}/notifications")).await.json["data"], json!([]));
    assert_eq!(world.get(&format!("/merchants/{merchant}/payments")).await.json["data"], json!([]));
    let wrong = json!({ "method": "PUT", "headers": { "a": 1 }, "body": {}, "peer": "x" });
    assert_eq!(world.post(&path, wrong).await.is(422).pointers(), ["/method", "/headers", "/body", "/peer"]);
    let nothing = json!({ "notification_id": "ntf_00000000000000000000000001" });
    assert_eq!(world.post(&path, nothing).await.is(422).pointers(), ["/notification_id"]);
}

#[tokio::test]
async fn the_inbound_log_shows_requests_one_by_one() {
    let world = World::new().await;
    let shop = world.shop().await;
    let mut commit = shop.whole("p-1");
    commit.config_version = None;
    let id = commit.notification.as_ref().unwrap().id;
    let event = commit.events[0].id;
    shop.write(commit).await;
    let path = format!("/merchants/{}", shop.merchant);
    let listed = world.get(&format!("{path}/notifications?outcome=accepted&q=900.00")).await.is(200);
    assert_eq!(listed.json["data"][0]["id"], id.to_string());
    assert!(listed.json["data"][0].get("request").is_none());
    let shown = world.get(&format!("{path}/notifications/{id}")).await.is(200);
    assert_eq!(shown.json["request"]["body"], "{\"amount\":900.00}");
    let events = world.get(&format!("{path}/events?payment_id=1")).await.is(200);
    assert!(events.text.contains(r#""payload":{"amount":900.00}"#), "numbers keep their text");
    assert_eq!(world.get(&format!("{path}/events/{event}")).await.is(200).id(), event.to_string());
}
