//! What is wrong is said as RFC 9457 asks, everywhere.

use serde_json::json;

use super::world::{ADMIN, Answer, World};

#[track_caller]
fn is_problem(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.json["status"].to_string(), status.to_string());
    for member in ["type", "title", "detail"] {
        assert!(answer.json[member].as_str().is_some_and(|text| !text.is_empty()), "{}", answer.text);
    }
    assert!(answer.text.contains(words), "{words} is not in {}", answer.text);
}

#[tokio::test]
async fn problems_everywhere() {
    let world = World::new().await;
    let bearer = format!("Bearer {ADMIN}");
    let auth = ("authorization", bearer.as_str());
    let json = ("content-type", "application/json");
    is_problem(&world.send("GET", "/api/v1/nothing", &[auth], "").await, 404, "openapi.json");
    is_problem(&world.send("GET", "/api/nothing", &[], "").await, 404, "/api/nothing");
    is_problem(&world.send("GET", "/nothing", &[], "").await, 404, "/nothing");
    let wrong = world.send("PUT", "/api/v1/merchants", &[auth], "").await;
    is_problem(&wrong, 405, "GET, POST");
    assert_eq!(wrong.header("allow"), "GET, POST");
    let nobody = world.send("GET", "/api/v1/merchants", &[], "").await;
    is_problem(&nobody, 401, "Authorization: Bearer");
    assert!(nobody.header("www-authenticate").starts_with("Bearer"));
    is_problem(
        &world.send("GET", "/api/v1/merchants", &[("authorization", "Basic eDp5")], "").await,
        401,
        "Bearer",
    );
    let broken = world.send("POST", "/api/v1/merchants", &[auth, json], "{\n \"name\": }").await;
    is_problem(&broken, 400, "line 2 column");
    is_problem(&world.send("POST", "/api/v1/merchants", &[auth, json], "[]").await, 400, "a list");
    let form = ("content-type", "application/x-www-form-urlencoded");
    is_problem(
        &world.send("POST", "/api/v1/merchants", &[auth, form], "name=x").await,
        415,
        "application/json",
    );
    let large = vec![b' '; kassir::limits::API_BODY_MAX + 1];
    is_problem(&world.send("POST", "/api/v1/merchants", &[auth, json], large).await, 413, "1048576");
    let unknown = world.post("/merchants", json!({ "nam": "x" })).await;
    is_problem(&unknown, 422, "did you mean name?");
    assert_eq!(unknown.pointers(), ["/name", "/nam"]);
    is_problem(&world.get("/merchants?limt=5").await, 400, "did you mean limit?");
    is_problem(&world.get("/merchants?cursor=abc").await, 400, "next_cursor");
    is_problem(&world.get("/merchants?limit=201").await, 400, "1 to 200");
    is_problem(&world.get("/merchants/mer_x").await, 404, "mer_x");
    is_problem(&world.get("/merchants/mer_00000000000000000000000001").await, 404, "no merchant");
}

#[tokio::test]
async fn a_store_that_is_away_is_said_so() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    world.send("GET", "/health/live", &[], "").await.is(200);
    world.send("GET", "/health/ready", &[], "").await.is(200);
    world.store.close().await;
    let away = world.get(&format!("/merchants/{merchant}/events")).await;
    is_problem(&away, 503, "try again");
    assert_ne!(away.header("retry-after"), "");
    is_problem(&world.send("GET", "/health/ready", &[], "").await, 503, "could not be kept");
    world.send("GET", "/health/live", &[], "").await.is(200);
}

#[tokio::test]
async fn lists_are_paged() {
    let world = World::new().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(world.merchant().await);
    }
    made.reverse();
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(&format!("/merchants?limit=2&cursor={cursor}")).await.is(200);
        found.extend(
            page.json["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        match page.json["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(found, made);
}
