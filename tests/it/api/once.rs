//! `Idempotency-Key`.

use kassir::api::problem::Problem;
use kassir::payments::{CallerKey, NewPayment, Part, PaymentError};
use kassir_providers::{Money, State};
use serde_json::{Value, json};

use super::world::{ADMIN, Answer, World};
use crate::store_suite::held;

async fn post(world: &World, token: &str, key: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers =
        [("authorization", bearer.as_str()), ("idempotency-key", key), ("content-type", "application/json")];
    world.send("POST", &format!("/api/v1{path}"), &headers, body.to_string()).await
}

#[tokio::test]
async fn a_creation_happens_once_and_answers_the_same() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let path = format!("/merchants/{merchant}/endpoints");
    let body = json!({ "url": "http://127.0.0.1:8443/a" });
    let first = post(&world, ADMIN, "k-1", &path, &body).await.is(201);
    let again = post(&world, ADMIN, "k-1", &path, &body).await.is(201);
    assert_eq!(first.text, again.text, "the secret is in the second answer too");
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(world.get(&path).await.json["data"].as_array().unwrap().len(), 1);
    let other = json!({ "url": "http://127.0.0.1:8443/b" });
    post(&world, ADMIN, "k-1", &path, &other).await.is(422);
    let owner = world.token("merchant", Some(&merchant)).await;
    let theirs = post(&world, &owner, "k-1", &path, &body).await.is(201);
    assert_ne!(theirs.id(), first.id(), "keys are of one caller");
    post(&world, ADMIN, "", &path, &body).await.is(400);
    post(&world, ADMIN, &"x".repeat(256), &path, &body).await.is(400);
}

#[tokio::test]
async fn a_dry_run_does_not_answer_for_the_deed() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let body = world.get(&format!("/merchants/{merchant}/export")).await.is(200).json;
    let mut body = body.as_object().unwrap().clone();
    body.insert("name".to_owned(), json!("Другое имя"));
    let body = Value::Object(body);
    post(&world, ADMIN, "k-1", "/import?dry_run=true", &body).await.is(200);
    post(&world, ADMIN, "k-1", "/import", &body).await.is(422);
    post(&world, ADMIN, "k-1", "/import?dry_run=true", &body).await.is(200);
    post(&world, ADMIN, "k-2", "/import", &body).await.is(200);
    let name = world.get(&format!("/merchants/{merchant}")).await.json["name"].clone();
    assert_eq!(name, "Другое имя");
}

#[tokio::test]
async fn what_failed_can_be_tried_again() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let path = format!("/merchants/{merchant}/endpoints");
    post(&world, ADMIN, "k-1", &path, &json!({ "url": "nonsense" })).await.is(422);
    post(&world, ADMIN, "k-1", &path, &json!({ "url": "http://127.0.0.1:8443/" })).await.is(201);
}

#[tokio::test]
async fn the_second_of_two_at_once_waits() {
    let world = World::new().await;
    world.store.idempotency_begin("admin", "k-1", "another", 60_000).await.unwrap();
    let busy = post(&world, ADMIN, "k-1", "/merchants", &json!({ "name": "x" })).await;
    assert!(matches!(busy.status, 409 | 422), "{}", busy.text);
    let bodies = json!({ "name": "y" });
    let all =
        futures_util::future::join_all((0..8).map(|_| post(&world, ADMIN, "k-2", "/merchants", &bodies)));
    let answers = all.await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 201 | 409)));
    let made = world.get("/merchants").await.json["data"].as_array().unwrap().len();
    assert_eq!(made, 1);
}

#[tokio::test]
async fn secrets_are_not_kept_in_the_clear() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let path = format!("/merchants/{merchant}/endpoints");
    let made = post(&world, ADMIN, "k-1", &path, &json!({ "url": "http://127.0.0.1:8443/a" })).await.is(201);
    let fingerprint = "unknown to us";
    let kept = world.store.idempotency_begin("admin", "k-1", fingerprint, 1_000).await.unwrap();
    assert!(!format!("{kept:?}").contains(made.json["secret"].as_str().unwrap()));
}

#[tokio::test]
async fn what_may_have_been_done_is_not_tried_again() {
    let world = World::new().await;
    let (path, charge) = charge(&world).await;
    // YooKassa does not know itself whether it charged the card.
    world.provider.reply(500, json!({ "type": "error", "code": "internal_server_error" }));
    let first = post(&world, ADMIN, "k-1", &path, &charge).await.is(502);
    let again = post(&world, ADMIN, "k-1", &path, &charge).await.is(502);
    assert_eq!(first.json["type"], "urn:kassir:problem:provider-unknown");
    assert_eq!(first.text, again.text);
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(again.header("content-type"), "application/problem+json");
    assert_eq!(world.provider.calls().len(), 1);
    // One that was turned away was not made.
    world.provider.reply(429, json!({ "type": "error", "code": "too_many_requests" }));
    post(&world, ADMIN, "k-2", &path, &charge).await.is(502);
    world.provider.reply(401, json!({ "type": "error", "code": "invalid_credentials" }));
    post(&world, ADMIN, "k-2", &path, &charge).await.is(422);
    assert_eq!(world.provider.calls().len(), 3);
}

#[tokio::test]
async fn money_whose_request_never_came_to_an_end_does_not_move_again() {
    let world = World::new().await;
    let (payments, charge) = charge(&world).await;
    world.provider.reply(200, charged());
    post(&world, ADMIN, "k-0", &payments, &charge).await.is(201);
    world.provider.is_asked().await;
    world.provider.hang();
    let cases =
        [(payments.clone(), charge, 2), (format!("{payments}/1/refund"), json!({ "amount": 100 }), 1)];
    for (n, (path, body, number)) in cases.iter().enumerate() {
        let (key, calls) = (format!("k-{}", n + 1), world.provider.calls().len());
        let again = || post(&world, ADMIN, &key, path, body);
        let later = async {
            world.provider.is_asked().await;
            again().await.is(409);
            world.clock.advance(120_000);
            again().await.is(502)
        };
        let told = tokio::select! {
            ended = again() => panic!("{}", ended.text),
            told = later => told,
        };
        assert_eq!(told.json["type"], "urn:kassir:problem:provider-unknown", "{path}");
        assert!(told.text.contains(&format!("Payment {number}.")), "{}", told.text);
        assert_eq!(again().await.is(502).text, told.text);
        assert_eq!(world.provider.calls().len(), calls + 1, "{path}");
    }
}

#[tokio::test]
async fn what_was_done_and_could_not_be_written_down_is_not_tried_again() {
    let world = World::new().await;
    let (path, charge) = charge(&world).await;
    world.provider.reply(200, charged());
    world.provider.hang();
    let meanwhile = async {
        world.provider.is_asked().await;
        let merchant = path.trim_end_matches("/payments");
        let gone = format!("{merchant}/integrations/{}", charge["integration_id"].as_str().unwrap());
        world.call(ADMIN, "DELETE", &gone, None).await.is(204);
        world.provider.go_on();
    };
    let (told, ()) = tokio::join!(post(&world, ADMIN, "k-1", &path, &charge), meanwhile);
    assert_eq!(told.json["type"], "urn:kassir:problem:provider-unknown", "{}", told.text);
    let detail = told.json["detail"].as_str().unwrap();
    assert!(detail.contains("could not be written down") && detail.contains("Payment 1."), "{detail}");
    assert_eq!(post(&world, ADMIN, "k-1", &path, &charge).await.is(502).text, told.text);
    assert_eq!(world.provider.calls().len(), 1);
}

/// A router that was frozen before it noted that money is about to move finds its key with another, and moves none.
#[tokio::test]
async fn who_lost_its_key_meanwhile_moves_no_money() {
    let world = World::new().await;
    let (path, charge) = charge(&world).await;
    let merchant = path.split('/').nth(2).unwrap().parse().unwrap();
    let new = NewPayment {
        integration: charge["integration_id"].as_str().unwrap().parse().unwrap(),
        amount: Money::new(90_050, "RUB".parse().unwrap()),
        order: Vec::new(),
        contact: None,
        description: String::new(),
        return_url: None,
        hold: None,
        metadata: serde_json::Map::new(),
        email: None,
        receipt: None,
        save_method: false,
        saved_method: Some("m-1".to_owned()),
    };
    let take = async || {
        let begun = world.store.idempotency_begin("admin", "k-1", "f", 120_000).await;
        CallerKey { scope: "admin".to_owned(), key: "k-1".to_owned(), hold: held(begun) }
    };
    let frozen = take().await;
    world.clock.advance(120_000);
    let other = take().await;
    let told = |error: PaymentError| {
        let problem = Problem::from(error);
        assert_eq!((problem.status, problem.is_for_good()), (409, false), "{problem}");
        assert!(problem.detail.contains("the provider was not asked"), "{problem}");
    };
    told(world.payments.create(merchant, new.clone(), Some(&frozen)).await.unwrap_err());
    assert!(world.provider.calls().is_empty());
    let left = world.store.payment(merchant, 1).await.unwrap().unwrap();
    assert_eq!(left.state, State::Canceled);

    world.provider.reply(200, charged());
    let paid = world.payments.create(merchant, new, Some(&other)).await.unwrap();
    assert_eq!((paid.state, world.provider.calls().len()), (State::Succeeded, 1));
    told(world.payments.refund(merchant, paid.number, Part::default(), Some(&frozen)).await.unwrap_err());
    assert_eq!(world.provider.calls().len(), 1);
}

/// Where payments of a new shop are made, and a charge of a saved method.
async fn charge(world: &World) -> (String, Value) {
    let merchant = world.merchant().await;
    let integration = world.integration(&merchant).await;
    let charge =
        json!({ "integration_id": integration, "amount": 90050, "currency": "RUB", "saved_method": "m-1" });
    (format!("/merchants/{merchant}/payments"), charge)
}

/// What the provider answers to it.
fn charged() -> Value {
    json!({ "id": "22d6d597-000f-5000-9000-145f6df21d6f", "status": "succeeded", "paid": true,
        "amount": { "value": "900.50", "currency": "RUB" }, "created_at": "2026-01-02T00:00:00.000Z",
        "test": false, "refundable": true, "recipient": { "account_id": "100500", "gateway_id": "1" },
        "metadata": {} })
}
