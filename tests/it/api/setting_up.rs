//! Merchants, integrations, endpoints, and the audit log of their changes.

use kassir::domain::people::AuditEntry;
use kassir::manage::audit::chained;
use kassir::secrets::token_hash;
use kassir::store::Page;
use serde_json::json;

use super::world::{ADMIN, World};
use crate::subscriber::{Act, Subscriber};

const SECRET: &str = "test_a-secret-key-of-some-length-1234";

#[tokio::test]
async fn a_merchant_is_made_renamed_and_deleted() {
    let world = World::new().await;
    let made = world.post("/merchants", json!({ "name": "Shop", "first_payment": 5000 })).await.is(201);
    assert_eq!(made.json["created_at"], "2026-01-02T00:00:00.000Z");
    let path = format!("/merchants/{}", made.id());
    let renamed = world.patch(&path, json!({ "name": "New" })).await.is(200);
    assert_eq!((&renamed.json["name"], &renamed.json["first_payment"]), (&json!("New"), &json!(5000)));
    assert_eq!(world.patch(&path, json!({ "name": " " })).await.is(422).pointers(), ["/name"]);
    assert_eq!(
        world.post("/merchants", json!({ "name": "x", "first_payment": 0 })).await.is(422).pointers(),
        ["/first_payment"]
    );
    world.call(ADMIN, "DELETE", &path, None).await.is(204);
    world.get(&path).await.is(404);
    let log = world.get("/audit").await.is(200);
    assert_eq!(log.json["data"][0]["action"], "merchant.delete");
}

#[tokio::test]
async fn a_shop_is_connected_without_its_secrets_coming_back() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let path = format!("/merchants/{merchant}/integrations");
    let body = json!({ "provider": "yookassa", "name": "Main",
        "credentials": { "shop_id": "100500", "secret_key": SECRET },
        "settings": { "mode": "test", "contact_from": { "id": "/object/metadata/chat_id", "messenger": "=telegram" } } });
    let made = world.post(&path, body).await.is(201);
    assert_eq!(made.json["event_provider"], "yandex_kassa");
    assert_eq!(made.json["credentials"]["secret_key"], json!({ "set": true, "hint": "…1234" }));
    let url = made.json["webhook_url"].as_str().unwrap();
    let token = url.strip_prefix("https://pay.example/webhooks/yookassa/").unwrap();
    assert!(token.len() >= 26, "at least 128 bits");
    let found = world.store.find_token(&token_hash(token)).await.unwrap().unwrap();
    assert_eq!(found.1.to_string(), made.id());
    assert!(made.json["setup"].to_string().contains(url), "the steps name the URL");
    for path in [path.clone(), format!("{path}/{}", made.id()), "/audit".to_owned()] {
        let text = world.get(&path).await.is(200).text;
        assert!(!text.contains(SECRET), "{path}");
    }
    let dump = format!("{:?}", world.store.config(merchant.parse().unwrap()).await.unwrap());
    assert!(!dump.contains(SECRET));
}

#[tokio::test]
async fn what_is_wrong_with_a_shop_is_named() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let path = format!("/merchants/{merchant}/integrations");
    let unknown = world.post(&path, json!({ "provider": "yookasa" })).await.is(422);
    assert!(unknown.text.contains("did you mean yookassa?"), "{}", unknown.text);
    let body = json!({ "provider": "yookassa", "credentials": { "shop_id": "x", "secret": "y" },
        "settings": { "mod": "test", "confirm": "sometimes", "api_base": "https://10.0.0.1/", "contact_from": { "phon": "/a" } } });
    let wrong = world.post(&path, body).await.is(422);
    let pointers = wrong.pointers();
    for pointer in [
        "/credentials/secret_key",
        "/credentials/secret",
        "/settings/mod",
        "/settings/confirm",
        "/settings/api_base",
        "/settings/contact_from/phon",
    ] {
        assert!(pointers.contains(&pointer), "{pointer} is not in {}", wrong.text);
    }
    assert!(wrong.text.contains("did you mean mode?"));
    assert!(wrong.text.contains("always, when_unproven, never"));
}

#[tokio::test]
async fn credentials_and_settings_are_merged() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let id = world.integration(&merchant).await;
    let path = format!("/merchants/{merchant}/integrations/{id}");
    let body = json!({ "name": "New", "credentials": { "secret_key": "test_another-secret-key-9876" },
        "settings": { "mode": "observe", "event_provider": "kassa" } });
    let changed = world.patch(&path, body).await.is(200);
    assert_eq!(changed.json["credentials"]["shop_id"]["set"], true);
    assert_eq!(changed.json["credentials"]["secret_key"]["hint"], "…9876");
    assert_eq!(changed.json["event_provider"], "kassa");
    let back =
        world.patch(&path, json!({ "settings": { "mode": null, "event_provider": null } })).await.is(200);
    assert_eq!(back.json["event_provider"], "yandex_kassa");
    assert!(back.json["settings"].get("mode").is_none());
    let gone = world.patch(&path, json!({ "credentials": { "secret_key": null } })).await.is(422);
    assert_eq!(gone.pointers(), ["/credentials/secret_key"]);
    world.call(ADMIN, "DELETE", &path, None).await.is(204);
    world.get(&path).await.is(404);
}

#[tokio::test]
async fn an_inbound_url_is_rotated_with_an_overlap() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let id = world.integration(&merchant).await;
    let path = format!("/merchants/{merchant}/integrations/{id}");
    let before = world.get(&path).await.json["webhook_url"].clone();
    let after = world.post(&format!("{path}/rotate-token"), json!({ "overlap_s": 60 })).await.is(200);
    assert_ne!(after.json["webhook_url"], before);
    assert_eq!(after.json["old_urls"].as_array().unwrap().len(), 1);
    let hash = |url: &serde_json::Value| token_hash(url.as_str().unwrap().rsplit('/').next().unwrap());
    assert!(world.store.find_token(&hash(&before)).await.unwrap().is_some());
    world.clock.advance(61_000);
    assert!(world.store.find_token(&hash(&before)).await.unwrap().is_none());
    assert!(world.store.find_token(&hash(&after.json["webhook_url"])).await.unwrap().is_some());
    assert_eq!(world.get(&path).await.json["old_urls"], json!([]));
    let long = world.post(&format!("{path}/rotate-token"), json!({ "overlap_s": 2_592_001 })).await.is(422);
    assert_eq!(long.pointers(), ["/overlap_s"]);
    for _ in 0..4 {
        world.post(&format!("{path}/rotate-token"), json!({})).await.is(200);
    }
    world.post(&format!("{path}/rotate-token"), json!({})).await.is(409);
    let ended = world.post(&format!("{path}/rotate-token"), json!({ "overlap_s": 0 })).await.is(200);
    assert_eq!(ended.json["old_urls"], json!([]));
}

#[tokio::test]
async fn endpoints_are_checked_made_and_changed() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let path = format!("/merchants/{merchant}/endpoints");
    for url in [
        "ftp://a.example/",
        "https://10.0.0.1/",
        "https://2130706433.example:22/",
        "http://0x0a000001/",
        "https://user:pw@a.example/",
        "https://[::ffff:169.254.169.254]/",
        "",
    ] {
        let wrong = world.post(&path, json!({ "url": url })).await.is(422);
        assert_eq!(wrong.pointers(), ["/url"], "{url}: {}", wrong.text);
    }
    let body = json!({ "url": "http://127.0.0.1:8443/hook?key=1", "states": ["succeeded", "refunded"],
        "providers": ["yookassa"], "headers": { "X-Key": "a-custom-value" }, "success": "2xx", "timeout_s": 30 });
    let made = world.post(&path, body).await.is(201);
    assert!(made.json["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(made.json["headers"], json!(["x-key"]));
    let one = format!("{path}/{}", made.id());
    let shown = world.get(&one).await.is(200);
    assert!(shown.json.get("secret").is_none() && !shown.text.contains("a-custom-value"));
    let wrong = json!({ "states": ["payed", "pending"], "providers": ["yukassa"], "success": "3xx", "timeout_s": 31,
        "headers": { "Host": "a", "x": 1 }, "enabled": 1 });
    let wrong = world.patch(&one, wrong).await.is(422);
    let mut pointers = wrong.pointers();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        ["/enabled", "/headers/Host", "/headers/x", "/providers/0", "/states/0", "/success", "/timeout_s"]
    );
    let changed =
        json!({ "states": null, "timeout_s": null, "headers": { "x-key": null }, "enabled": false });
    let changed = world.patch(&one, changed).await.is(200);
    assert_eq!(changed.json["states"], json!(["pending", "waiting_for_capture", "succeeded", "canceled"]));
    assert_eq!(changed.json["headers"], json!([]));
    assert_eq!(changed.json["enabled"], false);
    let rotated = world.post(&format!("{one}/rotate-secret"), json!({})).await.is(200);
    assert_ne!(rotated.json["secret"], made.json["secret"]);
    assert_eq!(rotated.json["old_secrets"].as_array().unwrap().len(), 1);
    world.call(ADMIN, "DELETE", &one, None).await.is(204);
    world.get(&one).await.is(404);
}

#[tokio::test]
async fn changes_at_once_are_all_made() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let path = format!("/merchants/{merchant}/endpoints");
    let id = world.endpoint(&merchant, "http://127.0.0.1:8443/").await;
    let one = format!("{path}/{id}");
    let (a, b, c, d) = tokio::join!(
        world.patch(&one, json!({ "description": "words" })),
        world.patch(&one, json!({ "timeout_s": 7 })),
        world.patch(&one, json!({ "success": "2xx" })),
        world.patch(&one, json!({ "ordered": true })),
    );
    for answer in [a, b, c, d] {
        answer.is(200);
    }
    let shown = world.get(&one).await.json;
    assert_eq!(
        (&shown["description"], &shown["timeout_s"], &shown["success"], &shown["ordered"]),
        (&json!("words"), &json!(7), &json!("2xx"), &json!(true))
    );
}

#[tokio::test]
async fn a_test_event_is_sent_now_marked_and_signed() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let subscriber = Subscriber::http().await;
    subscriber.script([Act::answer(418, &[], "no coffee")]);
    let id = world.endpoint(&merchant, &subscriber.url("/hook")).await;
    let path = format!("/merchants/{merchant}/endpoints/{id}/test");
    let attempt = world.post(&path, json!({})).await.is(200);
    assert_eq!((&attempt.json["status"], &attempt.json["number"]), (&json!(418), &json!(1)));
    assert_eq!(attempt.json["response_excerpt"], "no coffee");
    let seen = &subscriber.seen()[0];
    assert_eq!(seen.header("kassir-test"), "true");
    assert!(seen.header("webhook-signature").starts_with("v1,"));
    let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!((&body["state"], &body["payload"]["test"]), (&json!("succeeded"), &json!(true)));
    assert_eq!(world.post(&path, json!({})).await.is(200).json["error"], json!(null));
}

#[tokio::test]
async fn the_audit_log_is_a_chain() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let owner = world.token("merchant", Some(&merchant)).await;
    let path = format!("/merchants/{merchant}/endpoints");
    let bodies = (0..6).map(|n| json!({ "url": format!("http://127.0.0.1:8443/{n}?secret=hush") }));
    let made = bodies.map(|body| world.call(&owner, "POST", &path, Some(body)));
    for answer in futures_util::future::join_all(made).await {
        answer.is(201);
    }
    let listed = world.call(&owner, "GET", "/audit?limit=200", None).await.is(200);
    let first = &listed.json["data"][0];
    assert_eq!(first["action"], "endpoint.create");
    assert!(first["actor"].as_str().unwrap().starts_with("tok_"));
    assert!(!listed.text.contains("hush"));
    let page = Page { limit: 200, before: None };
    let mut log = world.store.audit(Some(merchant.parse().unwrap()), &page).await.unwrap().rows;
    log.reverse();
    assert!(log.len() >= 7);
    let broken = |log: &[AuditEntry]| {
        let mut tail = String::new();
        log.iter().any(|entry| {
            let sound = chained(&tail, entry) == entry.hash;
            tail.clone_from(&entry.hash);
            !sound
        })
    };
    assert!(!broken(&log));
    let mut forged = log.clone();
    forged[2].detail = "nothing happened".to_owned();
    assert!(broken(&forged), "a changed entry shows");
    log.remove(3);
    assert!(broken(&log), "a missing entry shows");
}

#[tokio::test]
async fn providers_tell_what_they_need() {
    let world = World::new().await;
    let listed = world.get("/providers").await.is(200);
    let all = listed.json["data"].as_array().unwrap();
    assert_eq!(all.len(), kassir_providers::ALL.len());
    let yookassa = all.iter().find(|about| about["slug"] == "yookassa").unwrap();
    assert_eq!(yookassa["credentials"][0]["key"], "shop_id");
}

#[tokio::test]
async fn key_pairs_are_made_on_request_and_rotated() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let path = format!("/merchants/{merchant}/endpoints");
    let made = world.post(&path, json!({ "url": "http://127.0.0.1:8443/" })).await.is(201);
    assert_eq!((&made.json["signing"], &made.json["public_keys"]), (&json!("v1"), &json!([])));
    let one = format!("{path}/{}", made.id());
    let wrong = world.patch(&one, json!({ "signing": "v2" })).await.is(422);
    assert_eq!(wrong.pointers(), ["/signing"]);

    let both = world.patch(&one, json!({ "signing": "both" })).await.is(200);
    let public = both.json["public_keys"][0]["public_key"].as_str().unwrap().to_owned();
    assert!(public.starts_with("whpk_") && !both.text.contains("whsk_"), "{}", both.text);
    let back = world.patch(&one, json!({ "signing": null })).await.is(200);
    assert_eq!(
        (&back.json["signing"], &back.json["public_keys"][0]["public_key"]),
        (&json!("v1"), &json!(public))
    );

    let rotated = world.post(&format!("{one}/rotate-secret"), json!({ "overlap_s": 60 })).await.is(200);
    let keys = rotated.json["public_keys"].as_array().unwrap();
    assert_eq!((keys.len(), &keys[1]["public_key"]), (2, &json!(public)));
    assert!(keys[0]["expires_at"].is_null() && keys[1]["expires_at"].is_string());
    assert_eq!(rotated.json["old_secrets"].as_array().unwrap().len(), 1);
    let ended = world.post(&format!("{one}/rotate-secret"), json!({ "overlap_s": 0 })).await.is(200);
    assert_eq!(ended.json["public_keys"].as_array().unwrap().len(), 1);
    assert_eq!(ended.json["old_secrets"], json!([]));
    for _ in 1..10 {
        world.post(&format!("{one}/rotate-secret"), json!({})).await.is(200);
    }
    world.post(&format!("{one}/rotate-secret"), json!({})).await.is(409);
}

#[tokio::test]
async fn basic_authentication_is_kept_and_not_shown() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let path = format!("/merchants/{merchant}/endpoints");
    let basic = json!({ "username": "kassir", "password": "a-long-password" });
    let body = json!({ "url": "http://127.0.0.1:8443/", "basic_auth": basic });
    let made = world.post(&path, body).await.is(201);
    assert_eq!(
        made.json["basic_auth"],
        json!({ "username": "kassir", "password": { "set": true, "hint": "…word" } })
    );
    assert!(!made.text.contains("a-long-password"));
    let one = format!("{path}/{}", made.id());
    let clash = world.patch(&one, json!({ "headers": { "Authorization": "Bearer x" } })).await.is(422);
    assert_eq!(clash.pointers(), ["/headers"]);
    assert!(clash.text.contains("either basic_auth or a custom header authorization"), "{}", clash.text);
    for (wrong, pointer) in [
        (json!({ "username": "a:b", "password": "p" }), "/basic_auth/username"),
        (json!({ "username": "a", "password": "p\nq" }), "/basic_auth/password"),
        (json!({ "username": "a" }), "/basic_auth/password"),
        (json!({ "username": "a", "password": "p", "token": "t" }), "/basic_auth/token"),
    ] {
        let answer = world.patch(&one, json!({ "basic_auth": wrong })).await.is(422);
        assert_eq!(answer.pointers(), [pointer], "{}", answer.text);
    }
    let other = json!({ "basic_auth": null, "headers": { "Authorization": "Bearer x" } });
    let other = world.patch(&one, other).await.is(200);
    assert_eq!(
        (&other.json["basic_auth"], &other.json["headers"]),
        (&json!(null), &json!(["authorization"]))
    );
    let clash = world.patch(&one, json!({ "basic_auth": basic })).await.is(422);
    assert_eq!(clash.pointers(), ["/basic_auth"]);
}

#[tokio::test]
async fn client_certificates_are_checked_when_they_are_set() {
    let world = World::new().await;
    let merchant = world.merchant().await;
    let authority = crate::authority::Authority::new();
    let path = format!("/merchants/{merchant}/endpoints");
    let given = |from, to| {
        let (certificate, key) = authority.client(from, to);
        json!({ "certificate": certificate, "private_key": key.expose() })
    };
    let good = given(2000, 2090);
    let body = json!({ "url": "http://127.0.0.1:8443/", "client_certificate": good });
    let made = world.post(&path, body).await.is(201);
    let shown = &made.json["client_certificate"];
    assert_eq!(shown["not_after"], "2090-01-01T00:00:00.000Z");
    assert!(shown["warning"].is_null() && shown["fingerprint_sha256"].as_str().unwrap().len() == 64);
    assert!(!made.text.contains("PRIVATE KEY"));
    let one = format!("{path}/{}", made.id());
    let set = async |value| world.patch(&one, json!({ "client_certificate": value })).await;
    let expired = set(given(2000, 2001)).await.is(200);
    let warning = expired.json["client_certificate"]["warning"].as_str().unwrap();
    assert!(warning.starts_with("has expired"), "{warning}");
    let mixed =
        json!({ "certificate": good["certificate"], "private_key": given(2000, 2090)["private_key"] });
    for (wrong, pointer) in [
        (mixed, "/client_certificate/private_key"),
        (
            json!({ "certificate": "x", "private_key": good["private_key"] }),
            "/client_certificate/certificate",
        ),
        (json!({ "certificate": good["certificate"] }), "/client_certificate/private_key"),
    ] {
        let answer = set(wrong).await.is(422);
        assert_eq!(answer.pointers(), [pointer], "{}", answer.text);
        assert!(!answer.text.contains("BEGIN PRIVATE KEY-----\\n"));
    }
    let none = set(json!(null)).await.is(200);
    assert!(none.json["client_certificate"].is_null());
}
