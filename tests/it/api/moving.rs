//! Secrets do not follow to another host: who changes where requests go gives them anew.

use serde_json::{Value, json};

use super::world::{ADMIN, World};

const SECRET: &str = "test_a-secret-key-of-some-length-1234";

/// The newest entry of a merchant's audit log: what was done, with its words.
async fn noted(world: &World, merchant: &str) -> (String, String) {
    let log = world.get(&format!("/audit?merchant_id={merchant}")).await.is(200).json;
    let word = |name: &str| log["data"][0][name].as_str().unwrap().to_owned();
    (word("action"), word("detail"))
}

#[tokio::test]
async fn a_shop_that_is_asked_elsewhere_needs_its_secrets_anew() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let id = world.integration(&merchant).await;
    let path = format!("/merchants/{merchant}/integrations/{id}");
    let owner = world.token("merchant", Some(&merchant)).await;
    let change = async |settings: Value, credentials: Value| {
        let body = json!({ "settings": settings, "credentials": credentials });
        world.call(&owner, "PATCH", &path, Some(body)).await
    };
    let thief = "http://127.0.0.1:9443";
    for (base, credentials) in
        [(thief, json!({})), ("http://127.0.0.1:9443/v3", json!({})), (thief, json!({ "shop_id": "100500" }))]
    {
        let refused = change(json!({ "api_base": base }), credentials).await.is(422);
        assert_eq!(refused.pointers(), ["/settings/api_base"]);
        for words in [thief, "secret_key", "anew in the same request"] {
            assert!(refused.text.contains(words), "{words}: {}", refused.text);
        }
        assert!(!refused.text.contains(SECRET) && !refused.text.contains("shop_id"), "{}", refused.text);
    }
    assert!(world.get(&path).await.json["settings"].get("api_base").is_none());
    // Who knows them may; the log says where they go.
    let known = || json!({ "secret_key": SECRET });
    change(json!({ "api_base": thief }), known()).await.is(200);
    let (action, detail) = noted(&world, &merchant).await;
    assert!(action == "integration.update" && detail.contains("api_base: http://127.0.0.1:9443"), "{detail}");
    // Another path, and other settings, are no other host; home again needs nothing.
    change(json!({ "api_base": "http://127.0.0.1:9443/v4", "mode": "test" }), json!({})).await.is(200);
    change(json!({ "api_base": "http://127.0.0.1:9444/" }), json!({})).await.is(422);
    change(json!({ "api_base": null }), json!({})).await.is(200);
    change(json!({ "api_base": "http://127.0.0.1:9443/v4" }), json!({})).await.is(422);
}

#[tokio::test]
async fn so_does_one_with_hosts_of_its_own() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let path = format!("/merchants/{merchant}/integrations");
    let unitpay = json!({ "public_key": "15155-ae12d", "project_secret": "a-secret-of-a-project",
        "account_login": "a@b.example", "account_secret": "an-account-secret" });
    let body = json!({ "provider": "unitpay", "credentials": unitpay });
    let one = format!("{path}/{}", world.post(&path, body).await.is(201).id());
    let elsewhere = json!({ "settings": { "domain": "unitpay.example" },
        "credentials": { "project_secret": "a-secret-of-a-project" } });
    let refused = world.patch(&one, elsewhere).await.is(422);
    assert_eq!(refused.pointers(), ["/settings/domain"]);
    let told = refused.json["errors"][0]["detail"].as_str().unwrap();
    assert!(told.contains("unitpay.example") && told.contains("account_secret"), "{told}");
    assert!(!told.contains("project_secret"), "{told}");
    let less = json!({ "settings": { "domain": "unitpay.example" },
        "credentials": { "project_secret": "a-secret-of-a-project", "account_login": null, "account_secret": null } });
    world.patch(&one, less).await.is(200);
}

#[tokio::test]
async fn an_endpoint_at_another_host_needs_its_password_and_headers_anew() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let path = format!("/merchants/{merchant}/endpoints");
    let basic = || json!({ "username": "kassir", "password": "a-long-password" });
    let body =
        json!({ "url": "http://127.0.0.1:8443/hook", "basic_auth": basic(), "headers": { "X-Key": "k" } });
    let made = world.post(&path, body).await.is(201);
    let one = format!("{path}/{}", made.id());
    let thief = "http://127.0.0.1:9443/hook";
    for (body, kept) in [
        (json!({ "url": thief }), "headers/x-key, basic_auth"),
        (json!({ "url": thief, "basic_auth": basic() }), "headers/x-key"),
        (json!({ "url": thief, "headers": { "x-key": "k", "x-other": "o" } }), "basic_auth"),
        (json!({ "url": thief, "headers": null }), "basic_auth"),
    ] {
        let refused = world.patch(&one, body).await.is(422);
        assert_eq!(refused.pointers(), ["/url"]);
        let told = refused.json["errors"][0]["detail"].as_str().unwrap();
        assert!(told.ends_with(&format!(": {kept}")) && told.contains("http://127.0.0.1:9443"), "{told}");
    }
    world.patch(&one, json!({ "url": "http://127.0.0.1:8443/another?path=1" })).await.is(200);
    let whole = json!({ "url": thief, "basic_auth": basic(), "headers": { "X-Key": "k" } });
    world.patch(&one, whole).await.is(200);
    let (action, detail) = noted(&world, &merchant).await;
    assert!(action == "endpoint.update" && detail.starts_with("http://127.0.0.1:9443 "), "{detail}");
    // Nothing of the rest is sent: the signing secret stays.
    world.patch(&one, json!({ "headers": null, "basic_auth": null })).await.is(200);
    world.patch(&one, json!({ "url": "http://127.0.0.1:8443/" })).await.is(200);
}

/// An import is the administrator's, and says the whole.
#[tokio::test]
async fn an_import_may_move_a_shop_with_its_secrets() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let id = world.integration(&merchant).await;
    let mut body = world.get(&format!("/merchants/{merchant}/export")).await.is(200).json;
    body["integrations"][0]["settings"]["api_base"] = json!("http://127.0.0.1:9443/v3");
    world.call(ADMIN, "POST", "/import", Some(body)).await.is(200);
    let shown = world.get(&format!("/merchants/{merchant}/integrations/{id}")).await.is(200).json;
    assert_eq!(shown["settings"]["api_base"], "http://127.0.0.1:9443/v3");
    assert_eq!(shown["credentials"]["secret_key"]["set"], true);
}
