//! The OpenAPI document says what the API does.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::world::{ADMIN, World};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

fn document() -> Value {
    serde_json::from_str(&kassir::api::openapi::json()).unwrap()
}

#[test]
fn the_golden_document_is_current() {
    let json = kassir::api::openapi::json();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &json).unwrap();
    }
    let current = std::fs::read_to_string(GOLDEN).unwrap() == json;
    assert!(current, "docs/openapi.json is not current; run with UPDATE_GOLDEN=1 to renew it");
}

#[test]
fn every_route_is_in_it_and_nothing_else() {
    let routes: BTreeSet<String> = kassir::api::routes()
        .iter()
        .flat_map(|routes| routes.methods.iter().map(|(method, _)| format!("{method} {}", routes.path)))
        .collect();
    let document = document();
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    assert_eq!(routes, described);
}

/// The properties of a schema; it may be a reference.
fn properties(document: &Value, schema: &Value) -> Map<String, Value> {
    let schema = match schema["$ref"].as_str() {
        Some(place) => document.pointer(place.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    schema["properties"].as_object().cloned().unwrap_or_default()
}

#[tokio::test]
async fn bodies_are_read_as_they_are_described() {
    let world = World::new().await;
    let shop = world.shop().await;
    let mut commit = shop.whole("p-1");
    commit.config_version = None;
    let delivery = commit.deliveries[0].id.to_string();
    shop.write(commit).await;
    let document = document();
    let mut compared = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if schema.is_null() {
                continue;
            }
            let described: BTreeSet<String> = properties(&document, schema).keys().cloned().collect();
            let id = match path.split('/').nth(5) {
                Some("integrations") => shop.integration.to_string(),
                Some("endpoints") => shop.endpoint.to_string(),
                Some("deliveries") => delivery.clone(),
                _ => "1".to_owned(),
            };
            if path.ends_with("/replays/{id}/cancel") {
                continue;
            }
            let path = path.replace("{m}", &shop.merchant.to_string()).replace("{id}", &id);
            let path = path.strip_prefix("/api/v1").unwrap();
            // An unknown member makes the reader say which ones it knows.
            let body = serde_json::json!({ "zzzzzzzzzzzz": 1 });
            let answer = world.call(ADMIN, &method.to_uppercase(), path, Some(body)).await.is(422);
            let errors = answer.json["errors"].as_array().unwrap();
            let unknown = errors.iter().find(|error| error["pointer"] == "/zzzzzzzzzzzz").unwrap();
            let detail = unknown["detail"].as_str().unwrap();
            let known: BTreeSet<String> = match detail.split_once("known are: ") {
                Some((_, known)) => known.split(", ").map(str::to_owned).collect(),
                None => BTreeSet::new(),
            };
            let name_on_creation = known.is_subset(&described);
            assert!(name_on_creation, "{method} {path} reads {known:?}, described are {described:?}");
            // A request is either one of the log or given member by member: not all are looked at.
            let one_of_two = path.ends_with("/try") || path.ends_with("/explain");
            if !(one_of_two || path == "/merchants" || path.ends_with("/integrations")) {
                assert_eq!(known, described, "{method} {path}");
            }
            compared += 1;
        }
    }
    assert!(compared >= 14, "{compared}");
}

#[tokio::test]
async fn the_document_and_its_page_are_served_from_here() {
    let world = World::new().await;
    let served = world.send("GET", "/api/openapi.json", &[], "").await.is(200);
    assert_eq!(served.json, document());
    let page = world.send("GET", "/api/docs/", &[], "").await.is(200);
    assert!(!page.text.contains("https://") && !page.text.contains("src=\"//"), "{}", page.text);
    let moved = world.send("GET", "/api/docs", &[], "").await;
    assert_eq!((moved.status, moved.header("location")), (307, "/api/docs/"));
    world.send("GET", "/metrics", &[], "").await.is(200);
}
