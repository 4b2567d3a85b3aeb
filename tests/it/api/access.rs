//! Every route for every role, with one's own records and another's: nothing unexpected succeeds.

use serde_json::json;

use super::world::{ADMIN, World};
use crate::store_suite::samples::Shop;

/// What a route needs, said once more and independently of the code.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Needs {
    Admin,
    AdminOfThis,
    Write,
    Read,
    AnyToken,
    AuditLog,
    Nothing,
}

fn needs(method: &str, path: &str) -> Needs {
    let last = path.rsplit('/').next().unwrap();
    match (method, path) {
        (_, path) if !path.starts_with("/api/v1") => Needs::Nothing,
        ("GET", "/api/v1/providers" | "/api/v1/merchants") => Needs::AnyToken,
        ("GET", "/api/v1/audit" | "/api/v1/audit/export") => Needs::AuditLog,
        (_, path) if path.starts_with("/api/v1/tokens") => Needs::Admin,
        ("POST", "/api/v1/merchants" | "/api/v1/import") => Needs::Admin,
        ("DELETE", "/api/v1/merchants/{m}") => Needs::AdminOfThis,
        ("GET", _) => Needs::Read,
        ("POST", path) if matches!(last, "try" | "explain") || path.contains("/replay") => Needs::Read,
        _ => Needs::Write,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Nobody,
    Stranger,
    Admin,
    Owner,
    OtherOwner,
    Support,
    OwnSupport,
    OtherSupport,
}

/// The statuses that a refusal has; `None` when the request is let in.
fn refusal(needs: Needs, who: Who) -> Option<u16> {
    use {Needs as N, Who as W};
    match (needs, who) {
        (N::Nothing, _) => None,
        (_, W::Nobody | W::Stranger) => Some(401),
        (_, W::Admin) | (N::AnyToken, _) => None,
        (N::Read | N::Write | N::AdminOfThis, W::OtherOwner | W::OtherSupport) => Some(404),
        (N::Read, _) => None,
        (N::Write, W::Owner) => None,
        (N::AuditLog, W::Support) => Some(403),
        (N::AuditLog, _) => None,
        (N::Write | N::Admin | N::AdminOfThis, _) => Some(403),
    }
}

/// A record of the kind that a path speaks of.
struct Records {
    shop: Shop,
    event: String,
    delivery: String,
    notification: String,
    replay: String,
}

async fn records(world: &World) -> Records {
    let shop = world.shop().await;
    let mut commit = shop.whole("p-1");
    commit.config_version = None;
    let (event, delivery) = (commit.events[0].id.to_string(), commit.deliveries[0].id.to_string());
    let notification = commit.notification.as_ref().unwrap().id.to_string();
    shop.write(commit).await;
    let path = format!("/merchants/{}/replays", shop.merchant);
    let replay = world.post(&path, json!({ "filter": {}, "dry_run": true })).await.is(202).id();
    Records { shop, event, delivery, notification, replay }
}

fn record_of(records: &Records, path: &str) -> String {
    let kind = path.split('/').nth(5).unwrap_or("tokens");
    match kind {
        "integrations" => records.shop.integration.to_string(),
        "endpoints" => records.shop.endpoint.to_string(),
        "payments" => "1".to_owned(),
        "events" => records.event.clone(),
        "deliveries" => records.delivery.clone(),
        "notifications" => records.notification.clone(),
        "replays" => records.replay.clone(),
        _ => "tok_00000000000000000000000001".to_owned(),
    }
}

fn filled(path: &str, merchant: &str, id: &str) -> String {
    path.replace("{m}", merchant).replace("{id}", id)
}

#[tokio::test]
async fn every_route_for_every_role() {
    let world = World::new().await;
    let own = records(&world).await;
    let other = world.merchant().await;
    let merchant = own.shop.merchant.to_string();
    let tokens = [
        (Who::Nobody, String::new()),
        (Who::Stranger, "kas_not-a-token".to_owned()),
        (Who::OtherOwner, world.token("merchant", Some(&other)).await),
        (Who::OtherSupport, world.token("support", Some(&other)).await),
        (Who::Support, world.token("support", None).await),
        (Who::OwnSupport, world.token("support", Some(&merchant)).await),
        (Who::Owner, world.token("merchant", Some(&merchant)).await),
        (Who::Admin, ADMIN.to_owned()),
    ];
    let mut checked = 0;
    for (who, token) in &tokens {
        for routes in kassir::api::routes() {
            for (method, _) in &routes.methods {
                let refused = refusal(needs(method, routes.path), *who);
                if refused.is_none() && *method == "DELETE" {
                    continue;
                }
                let path = filled(routes.path, &merchant, &record_of(&own, routes.path));
                let bearer = format!("Bearer {token}");
                let mut headers = vec![("content-type", "application/json")];
                if *who != Who::Nobody {
                    headers.push(("authorization", &bearer));
                }
                let body = if *method == "GET" { "" } else { "{}" };
                let answer = world.send(method, &path, &headers, body).await;
                let told = format!("{who:?} {method} {path}: {} {}", answer.status, answer.text);
                match refused {
                    Some(status) => assert_eq!(answer.status, status, "{told}"),
                    None => assert!(![401, 403, 404, 405].contains(&answer.status), "{told}"),
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 300, "{checked}");
}

#[tokio::test]
async fn anothers_records_do_not_exist_under_ones_own_merchant() {
    let world = World::new().await;
    let other = records(&world).await;
    let own = world.merchant().await;
    let token = world.token("merchant", Some(&own)).await;
    for routes in kassir::api::routes() {
        if !(routes.path.contains("{m}") && routes.path.contains("{id}")) {
            continue;
        }
        for (method, _) in &routes.methods {
            let path = filled(routes.path, &own, &record_of(&other, routes.path));
            let path = path.strip_prefix("/api/v1").unwrap();
            let answer = world.call(&token, method, path, (*method != "GET").then(|| json!({}))).await;
            assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text);
        }
    }
    let body =
        json!({ "url": "http://127.0.0.1:8443/", "integration_ids": [other.shop.integration.to_string()] });
    let answer = world.call(&token, "POST", &format!("/merchants/{own}/endpoints"), Some(body)).await.is(422);
    assert_eq!(answer.pointers(), ["/integration_ids/0"]);
}

#[tokio::test]
async fn lists_show_what_the_token_may_see() {
    let world = World::new().await;
    let (one, two) = (world.merchant().await, world.merchant().await);
    let token = world.token("merchant", Some(&one)).await;
    let seen = world.call(&token, "GET", "/merchants", None).await.is(200);
    assert_eq!(seen.json["data"].as_array().unwrap().len(), 1);
    assert_eq!(seen.json["data"][0]["id"], one.as_str());
    let all = world.get("/merchants").await.is(200);
    assert_eq!(all.json["data"][0]["id"], two.as_str(), "newest first");
    let log = world.call(&token, "GET", "/audit", None).await.is(200);
    assert!(!log.text.contains(&two));
    world.call(&token, "GET", &format!("/audit?merchant_id={two}"), None).await.is(404);
}

#[tokio::test]
async fn a_deleted_token_ends() {
    let world = World::new().await;
    let made = world.post("/tokens", json!({ "role": "support" })).await.is(201);
    let token = made.json["token"].as_str().unwrap().to_owned();
    world.call(&token, "GET", "/merchants", None).await.is(200);
    assert!(!world.get("/tokens").await.is(200).text.contains(&token));
    world.call(ADMIN, "DELETE", &format!("/tokens/{}", made.id()), None).await.is(204);
    world.call(&token, "GET", "/merchants", None).await.is(401);
    for (body, pointer) in [
        (json!({}), "/role"),
        (json!({ "role": "merchant" }), "/merchant_id"),
        (json!({ "role": "boss" }), "/role"),
        (json!({ "role": "support", "merchant_id": "mer_00000000000000000000000001" }), "/merchant_id"),
    ] {
        assert_eq!(world.post("/tokens", body).await.is(422).pointers(), [pointer]);
    }
}
