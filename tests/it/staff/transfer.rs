//! `kassir export` and `kassir import`, with the real binary.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::authority::Authority;
use crate::process::{ADMIN, Plan};

const PASSPHRASE: &str = "correct horse battery staple\n";

fn kassir(plan: &Plan, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kassir"))
        .args(arguments)
        .args(["--url", &plan.url(), "--token", ADMIN])
        .env("KASSIR__SECRETS__MASTER_KEY_FILE", plan.folder.join("master.key"))
        .current_dir(&plan.folder)
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs it, expects this exit code, gives all that it printed.
fn run(plan: &Plan, code: i32, arguments: &[&str]) -> String {
    let output = kassir(plan, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", told(&output));
    told(&output)
}

fn read(folder: &Path, name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join(name)).unwrap()).unwrap()
}

fn write(folder: &Path, name: &str, value: &Value) {
    std::fs::write(folder.join(name), value.to_string()).unwrap();
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

/// Two merchants with a bit of everything. Gives the path of an inbound URL and a signing secret.
async fn set_up(plan: &Plan) -> (String, String) {
    let client = plan.client();
    let (certificate, key) = Authority::new().client(2024, 2090);
    let body = json!({ "name": "Лавка", "first_payment": 700, "alert_url": "http://127.0.0.1:8090/alerts" });
    let merchant = client.post("/merchants", &body).await.unwrap();
    let at = format!("/merchants/{}", id(&merchant));
    let body = json!({
        "provider": "robokassa", "name": "Касса",
        "credentials": { "merchant_login": "shop", "password1": "secret-one-1", "password2": "secret-two-2" },
        "settings": { "hash": "sha256", "mode": "test", "contact_from": { "id": "Shp_chat", "messenger": "=telegram" } },
    });
    let shop = client.post(&format!("{at}/integrations"), &body).await.unwrap();
    let rotated = format!("{at}/integrations/{}/rotate-token", id(&shop));
    let shop = client.post(&rotated, &json!({ "overlap_s": 86_400 })).await.unwrap();
    let body = json!({
        "url": "http://127.0.0.1:8090/hook?key=1", "states": ["succeeded", "refunded"], "providers": ["robokassa"],
        "integration_ids": [id(&shop)], "headers": { "X-Key": "header-secret" }, "success": "2xx", "timeout_s": 7,
        "rate_per_s": 3, "ordered": true, "enabled": false, "description": "бот",
        "basic_auth": { "username": "kassir", "password": "basic-secret" },
        "client_certificate": { "certificate": certificate, "private_key": key.expose() },
    });
    let endpoint = client.post(&format!("{at}/endpoints"), &body).await.unwrap();
    client.post(&format!("{at}/endpoints"), &json!({ "url": "http://127.0.0.1:8090/other" })).await.unwrap();
    client.post("/merchants", &json!({ "name": "Empty" })).await.unwrap();
    let url = shop["webhook_url"].as_str().unwrap().rsplit_once("/webhooks/").unwrap().1.to_owned();
    (url, endpoint["secret"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_up_survives_its_store() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    std::fs::write(plan.folder.join("passphrase"), PASSPHRASE).unwrap();
    std::fs::write(plan.folder.join("wrong"), "another phrase altogether\n").unwrap();
    let router = plan.start().await;
    let (url, secret) = set_up(&plan).await;
    let sealed = ["--with-secrets", "--passphrase-file", "passphrase"];
    run(&plan, 0, &["export", "--out", "plain.json"]);
    run(&plan, 0, &[&["export", "--out", "sealed.json"], &sealed[..]].concat());
    assert_eq!(run(&plan, 1, &["export", "--out", "plain.json"]).matches("can't write").count(), 1);
    for file in ["plain.json", "sealed.json"] {
        let text = std::fs::read_to_string(plan.folder.join(file)).unwrap();
        for hidden in [
            "secret-one-1",
            "secret-two-2",
            "header-secret",
            "basic-secret",
            "PRIVATE KEY",
            "whsec_",
            url.split_once('/').unwrap().1,
        ] {
            assert!(!text.contains(hidden), "{file} holds {hidden}");
        }
        assert!(text.contains("\"merchant_login\": \"shop\""), "what is no secret is there: {text}");
    }

    // Into the store that it came from: nothing changes.
    let same = run(&plan, 0, &["import", "plain.json"]);
    assert!(
        same.contains("5 records are as in the file") && same.contains("0 records were written"),
        "{same}"
    );
    assert_eq!(router.terminate().await, Some(0));

    // Another store with another master key.
    let second = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(second.path());
    for file in ["plain.json", "sealed.json", "passphrase", "wrong"] {
        std::fs::copy(folder.path().join(file), plan.folder.join(file)).unwrap();
    }
    let router = plan.start().await;
    let refused = run(&plan, 2, &["import", "sealed.json", "--passphrase-file", "wrong"]);
    assert!(
        refused.contains("/merchants/0/integrations/0/credentials/password1: does not open"),
        "{refused}"
    );
    let refused = run(&plan, 2, &["import", "sealed.json"]);
    assert!(refused.contains("--passphrase-file"), "{refused}");
    let refused = run(&plan, 2, &["import", "plain.json"]);
    assert!(refused.contains("/merchants/0/integrations/0/credentials/password1: was left out"), "{refused}");
    assert!(refused.contains("/merchants/0/endpoints/0/headers/x-key: was left out"), "{refused}");
    assert!(refused.contains("/merchants/0/endpoints/0/basic_auth/password: was left out"), "{refused}");
    let key = "/merchants/0/endpoints/0/client_certificate/private_key: was left out";
    assert!(refused.contains(key), "{refused}");
    let client = plan.client();
    assert_eq!(client.get("/merchants").await.unwrap()["data"], json!([]), "nothing was written so far");

    let done = run(&plan, 0, &["import", "sealed.json", "--passphrase-file", "passphrase"]);
    assert!(done.contains("integration") && done.contains("5 records were written"), "{done}");
    run(&plan, 0, &["export", "--out", "again.json"]);
    assert_eq!(read(&plan.folder, "again.json"), read(&plan.folder, "plain.json"));
    // The secrets are the same too: the same inbound URL, the same signing secret.
    let merchant = id(&read(&plan.folder, "plain.json")["merchants"][0]);
    let shops = client.get(&format!("/merchants/{merchant}/integrations")).await.unwrap();
    assert!(shops["data"][0]["webhook_url"].as_str().unwrap().ends_with(&url), "{shops}");
    let mut document = read(&plan.folder, "plain.json");
    document["merchants"][0]["endpoints"][0]["secrets"][0]["secret"] = json!(secret);
    write(&plan.folder, "known.json", &document);
    let same = run(&plan, 0, &["import", "known.json", "--dry-run"]);
    assert!(same.contains("5 records are as in the file"), "{same}");
    document["merchants"][0]["endpoints"][0]["basic_auth"]["password"] = json!("basic-secret");
    write(&plan.folder, "known.json", &document);
    let same = run(&plan, 0, &["import", "known.json", "--dry-run"]);
    assert!(same.contains("5 records are as in the file"), "{same}");
    // Of a pair one part may change and the other stay as it is; null takes it away.
    let mut renamed = read(&plan.folder, "plain.json");
    renamed["merchants"][0]["endpoints"][0]["basic_auth"]["username"] = json!("cashier");
    write(&plan.folder, "renamed.json", &renamed);
    assert!(run(&plan, 0, &["import", "renamed.json"]).contains("1 records were written"));
    let at = format!("/merchants/{merchant}/endpoints/{}", id(&renamed["merchants"][0]["endpoints"][0]));
    let shown = client.get(&at).await.unwrap();
    assert_eq!(shown["basic_auth"]["username"], "cashier");
    document["merchants"][0]["endpoints"][0]["client_certificate"] = Value::Null;
    write(&plan.folder, "without.json", &document);
    assert!(run(&plan, 0, &["import", "without.json"]).contains("1 records were written"));
    let shown = client.get(&at).await.unwrap();
    assert_eq!(
        (&shown["client_certificate"], &shown["basic_auth"]["username"]),
        (&Value::Null, &json!("kassir"))
    );
    // A change shows as one, a dry run writes nothing, and it is written once.
    document["merchants"][0]["endpoints"][0]["timeout_s"] = json!(9);
    document["merchants"][0]["integrations"][0]["credentials"]["password2"] = json!("secret-three");
    write(&plan.folder, "changed.json", &document);
    let preview = run(&plan, 0, &["import", "changed.json", "--dry-run"]);
    assert!(preview.contains("timeout_s") && preview.contains("nothing was written"), "{preview}");
    let changed = run(&plan, 0, &["import", "changed.json"]);
    assert!(changed.contains("timeout_s") && changed.contains("credentials"), "{changed}");
    assert!(changed.contains("2 records were written"), "{changed}");
    assert!(run(&plan, 0, &["import", "changed.json"]).contains("0 records were written"));
    assert_eq!(router.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_is_told_place_by_place_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    let router = plan.start().await;
    let merchant = |index: u32| format!("mer_{index:026}");
    let file = json!({ "kassir_export": 1, "secrets": null, "merchants": [
        { "id": merchant(1), "name": "right", "integrations": [], "endpoints": [
            { "id": format!("ep_{:026}", 1), "url": "http://127.0.0.1:8090/" },
        ] },
        { "id": merchant(2), "name": "wrong", "integrations": [
            { "id": format!("int_{:026}", 1), "provider": "yookasa" },
            { "id": format!("int_{:026}", 2), "provider": "yookassa", "credentials": { "shop_id": "1" },
              "tokens": [{ "token": "short" }], "settings": { "confrim": "never" } },
            { "id": format!("int_{:026}", 2), "provider": "yookassa",
              "credentials": { "shop_id": "1", "secret_key": 5 } },
        ], "endpoints": [
            { "id": "nonsense", "url": "http://127.0.0.1:8090/", "integration_ids": [format!("int_{:026}", 3)],
              "secrets": [{ "secret": "x" }] },
        ] },
    ] });
    write(&plan.folder, "wrong.json", &file);
    let refused = run(&plan, 2, &["import", "wrong.json"]);
    for place in [
        "/merchants/1/integrations/0/provider: ",
        "/merchants/1/integrations/1/credentials/secret_key: ",
        "/merchants/1/integrations/1/tokens/0/token: ",
        "/merchants/1/integrations/1/settings/confrim: ",
        "/merchants/1/integrations/2/id: ",
        "/merchants/1/integrations/2/credentials/secret_key: ",
        "/merchants/1/endpoints/0/id: ",
        "/merchants/1/endpoints/0/secrets/0/secret: ",
        "/merchants/1/endpoints/0/integration_ids/0: ",
    ] {
        assert!(refused.contains(place), "{place} is not in {refused}");
    }
    assert!(!refused.contains("/merchants/0"), "{refused}");
    let client = plan.client();
    assert_eq!(client.get("/merchants").await.unwrap()["data"], json!([]));

    for (text, words) in [
        ("{", "not JSON"),
        ("{}", "/kassir_export: is missing"),
        (r#"{"kassir_export":2,"secrets":null,"merchants":[]}"#, "/kassir_export: is 2"),
        (r#"{"kassir_export":1,"secrets":null,"merchants":[1]}"#, "/merchants/0: must be an object"),
        (r#"{"kassir_export":1,"secrets":null,"merchants":[],"more":1}"#, "more"),
        (r#"{"kassir_export":1,"kassir_export":1,"secrets":null,"merchants":[]}"#, "twice"),
    ] {
        std::fs::write(plan.folder.join("strange.json"), text).unwrap();
        let refused = run(&plan, 2, &["import", "strange.json"]);
        assert!(refused.contains(words), "{words} is not in {refused}");
    }

    // What the file leaves out is made, and told once.
    let mut right = file.clone();
    right["merchants"].as_array_mut().unwrap().truncate(1);
    write(&plan.folder, "right.json", &right);
    let made = run(&plan, 0, &["import", "right.json"]);
    assert!(made.contains("whsec_"), "{made}");
    assert!(!run(&plan, 0, &["import", "right.json"]).contains("whsec_"));
    assert_eq!(router.terminate().await, Some(0));
}
