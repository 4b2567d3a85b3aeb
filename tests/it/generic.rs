//! The configurable adapter as a person uses it: a made-up provider connected by a document alone, a wrong document
//! refused in words that help, a document tried on a request by the API and by the command.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use kassir::client::unguarded;
use kassir::delivery::outbound::OutboundRequest;
use kassir_providers::Method;
use kassir_providers::digest::{Hash, base64};
use serde_json::{Value, json};

use crate::process::{ADMIN, Plan, Process};
use crate::subscriber::Subscriber;

const SECRET: &str = "kopilka-Secret+0001";

/// A provider that nobody has heard of: a form, an HMAC-SHA512 over a time and the sorted fields, in a header with
/// both, and an answer that repeats the operation.
fn document() -> Value {
    json!({
        "version": 1,
        "slug": "kopilka",
        "request": { "body": "form", "form_style": "php", "duplicates": "reject" },
        "secrets": { "shared": {} },
        "auth": [
            { "type": "hmac", "alg": "sha512", "key": "shared",
              "base": [
                { "field": "/headers/x-kopilka", "pick": { "name": "t" } },
                { "text": "|" },
                { "params": { "from": "/body", "flatten": "php", "pair_sep": "|" } }
              ],
              "expect": { "from": "/headers/x-kopilka", "encoding": "base64", "pick": { "name": "v1" } } },
            { "type": "timestamp", "from": "/headers/x-kopilka", "pick": { "name": "t" }, "max_skew_s": 3600 }
        ],
        "map": {
            "provider_id": ["/body/op"],
            "order_id": ["/body/order"],
            "amount": { "from": ["/body/sum"], "unit": "major" },
            "currency": { "from": ["/body/cur"], "aliases": { "RUR": "RUB" } },
            "mask": ["/body/card"],
            "contact": { "id": "/body/order", "name": "/body/user/name", "messenger": "=telegram" },
            "order": { "name": "/body/op" }
        },
        "states": [
            { "when": [{ "ptr": "/body/result", "in": ["done"] }], "state": "succeeded" },
            { "when": [{ "ptr": "/body/result", "in": ["gone"] }], "state": "canceled" }
        ],
        "reply": { "accepted": { "body": "YES {{/body/op}}" }, "bad_auth": { "status": 401, "body": "NO" } }
    })
}

/// Body and signature header of a notification.
fn signed(time_s: i64, secret: &str) -> (String, String) {
    let body = "op=K-77&order=shop-5&sum=1499%2C90&cur=RUR&result=done&card=4000&user%5Bname%5D=%D0%90+B";
    let base =
        format!("{time_s}|card=4000|cur=RUR|op=K-77|order=shop-5|result=done|sum=1499,90|user[name]=А B");
    let digest = Hash::Sha512.hmac(secret.as_bytes(), base.as_bytes());
    (body.to_owned(), format!("t={time_s},v1={}", base64(&digest)))
}

fn now_s() -> i64 {
    use kassir::clock::Clock as _;
    kassir::clock::SystemClock.now() / 1000
}

struct Answer {
    status: u16,
    kind: String,
    text: String,
    json: Value,
}

struct Town {
    plan: Plan,
    router: Process,
    merchant: String,
    _folder: tempfile::TempDir,
}

impl Town {
    async fn new() -> Town {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::sqlite(folder.path());
        let router = plan.start().await;
        let merchant = plan.client().post("/merchants", &json!({ "name": "Лавка" })).await.unwrap();
        let merchant = merchant["id"].as_str().unwrap().to_owned();
        Town { plan, router, merchant, _folder: folder }
    }

    async fn send(&self, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let outcome = unguarded()
            .unwrap()
            .send(OutboundRequest {
                method: Method::Post,
                url: url.to_owned(),
                headers,
                body: body.as_bytes().to_vec(),
                timeout: None,
                response_max: 1 << 20,
            })
            .await;
        let kind = outcome.headers.iter().find(|(name, _)| name == "content-type");
        let text = String::from_utf8(outcome.body).unwrap();
        Answer {
            status: outcome.status.unwrap(),
            kind: kind.map(|(_, value)| value.clone()).unwrap_or_default(),
            json: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }

    /// Asks the API, with a token.
    async fn ask_as(&self, token: &str, path: &str, body: &Value) -> Answer {
        let url = format!("{}/api/v1/merchants/{}{path}", self.plan.url(), self.merchant);
        let token = format!("Bearer {token}");
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        self.send(&url, &headers, &body.to_string()).await
    }

    async fn ask(&self, path: &str, body: &Value) -> Answer {
        self.ask_as(ADMIN, path, body).await
    }

    async fn get(&self, path: &str) -> Value {
        self.plan.client().get(&format!("/merchants/{}{path}", self.merchant)).await.unwrap()
    }

    async fn connect(&self, settings: Value, credentials: Value) -> Value {
        let body = json!({ "provider": "generic", "settings": settings, "credentials": credentials });
        let made = self.ask("/integrations", &body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json
    }

    async fn notify(&self, integration: &Value, time_s: i64, secret: &str) -> Answer {
        let (body, header) = signed(time_s, secret);
        let form = "application/x-www-form-urlencoded";
        let url = integration["webhook_url"].as_str().unwrap();
        self.send(url, &[("content-type", form), ("x-kopilka", &header)], &body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_provider_is_connected_by_a_document_alone() {
    let town = Town::new().await;
    let subscriber = Subscriber::http().await;
    town.ask("/endpoints", &json!({ "url": subscriber.url("/events") })).await;
    let shop = town.connect(json!({ "document": document() }), json!({ "shared": SECRET })).await;
    assert_eq!(shop["event_provider"], "kopilka");
    assert!(!shop.to_string().contains(SECRET));

    let refused = town.notify(&shop, now_s(), "another secret").await;
    assert_eq!((refused.status, refused.text.as_str()), (401, "NO"));
    let late = town.notify(&shop, now_s() - 7200, SECRET).await;
    assert_eq!((late.status, late.text.as_str()), (401, "NO"));
    for _ in 0..2 {
        let taken = town.notify(&shop, now_s(), SECRET).await;
        assert_eq!((taken.status, taken.text.as_str()), (200, "YES K-77"));
    }
    subscriber.wait_for(1).await;
    let seen = subscriber.seen();
    let event: Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!((seen.len(), seen[0].header("kassir-proof")), (1, "signed"));
    assert_eq!((&event["provider"], &event["provider_id"]), (&json!("kopilka"), &json!("K-77")));
    assert_eq!((&event["amount"], &event["currency"]), (&json!(149_990), &json!("RUB")));
    assert_eq!(event["state"], "succeeded");
    let contact = json!({ "id": "shop-5", "name": "А B", "messenger": "telegram", "phone": null });
    assert_eq!((&event["contact"], &event["order"][0]["name"]), (&contact, &json!("K-77")));
    assert_eq!((&event["payload"]["sum"], &event["payload"]["card"]), (&json!("1499,90"), &json!("***")));
    let log = town.get("/notifications").await;
    let outcomes: Vec<_> = log["data"].as_array().unwrap().iter().map(|entry| &entry["outcome"]).collect();
    assert_eq!(outcomes, ["duplicate", "accepted", "rejected", "rejected"]);
    assert_eq!(town.router.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_document_is_refused_with_the_member_and_the_reason() {
    let town = Town::new().await;
    for (member, value, pointer, says) in [
        ("/auth/0/alg", json!("sha-512"), "/settings/document/auth/0/alg", "must be one of md5, sha1"),
        ("/auth/0/key", json!("shred"), "/settings/document/secrets", "does not name the secret \"shred\""),
        (
            "/map/amount/unit",
            json!("rub"),
            "/settings/document/map/amount/unit",
            "must be one of major, minor",
        ),
        ("/states/1/state", json!("void"), "/settings/document/states/1/state", "must be one of pending"),
        ("/auth", json!([]), "/settings/document/auth", "proves nobody"),
        ("/secrets/shared", json!({ "decode": "hex" }), "/credentials/shared", "is not hex"),
    ] {
        let mut wrong = document();
        *wrong.pointer_mut(member).unwrap() = value;
        let body = json!({
            "provider": "generic", "settings": { "document": wrong }, "credentials": { "shared": SECRET },
        });
        let answer = town.ask("/integrations", &body).await;
        assert_eq!((answer.status, answer.kind.as_str()), (422, "application/problem+json"), "{member}");
        let errors = answer.json["errors"].as_array().unwrap();
        let fits =
            |error: &Value| error["pointer"] == pointer && error["detail"].as_str().unwrap().contains(says);
        assert!(errors.iter().any(fits), "{member}: {}", answer.text);
        assert!(!answer.text.contains(SECRET));
    }
    let unset = json!({ "provider": "generic", "settings": { "document": document() } });
    let answer = town.ask("/integrations", &unset).await;
    assert_eq!(answer.json["errors"][0]["pointer"], "/credentials/shared", "{}", answer.text);
    let none = town.get("/integrations").await;
    assert_eq!(none["data"], json!([]));
    assert_eq!(town.router.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn observing_answers_as_told_and_emits_nothing() {
    let town = Town::new().await;
    let subscriber = Subscriber::http().await;
    let all = json!(["pending", "succeeded", "canceled", "refunded", "waiting_for_capture"]);
    town.ask("/endpoints", &json!({ "url": subscriber.url("/events"), "states": all })).await;
    // By the document's own mode, by the integration's, and before there is a document.
    let mut watching = document();
    watching["mode"] = json!("observe");
    let shared = json!({ "shared": SECRET });
    let by_document = town.connect(json!({ "document": watching }), shared.clone()).await;
    let by_setting = town.connect(json!({ "document": document(), "mode": "observe" }), shared).await;
    let bare = town.connect(json!({ "mode": "observe" }), json!({})).await;
    for (shop, says) in [(&by_document, "YES K-77"), (&by_setting, "YES K-77"), (&bare, "OK")] {
        let answer = town.notify(shop, now_s(), SECRET).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, says));
    }
    // What a live document would refuse is recorded, too.
    let forged = town.notify(&by_document, now_s(), "forged").await;
    assert_eq!((forged.status, forged.text.as_str()), (200, "YES K-77"));
    let log = town.get("/notifications").await;
    let log = log["data"].as_array().unwrap();
    assert_eq!(log.len(), 4);
    assert!(log.iter().all(|entry| entry["outcome"] == "ignored"), "{log:?}");
    assert!(log[0]["reason"].as_str().unwrap().contains("does not fit"), "{}", log[0]);
    assert_eq!(town.get("/events").await["data"], json!([]));
    assert_eq!(town.get("/payments").await["data"], json!([]));
    // A flood of what nothing proves is answered alike, and fifty requests of an integration are kept.
    for _ in 0..60 {
        assert_eq!(town.notify(&bare, now_s(), SECRET).await.status, 200);
    }
    let flooded = town.get("/notifications?limit=200").await;
    assert_eq!(flooded["data"].as_array().unwrap().len(), 3 + 50);
    // What was recorded is what the document is then tried on.
    let body = json!({
        "settings": { "document": document() }, "credentials": { "shared": SECRET },
        "request": { "notification_id": log[3]["id"] },
    });
    let told = town.ask("/generic/explain", &body).await;
    assert_eq!((told.status, &told.json["verdict"]), (200, &json!("proven")), "{}", told.text);
    assert_eq!(town.router.terminate().await, Some(0));
    assert_eq!(subscriber.seen().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_explains_what_is_saved_and_what_is_not() {
    let town = Town::new().await;
    let shop = town.connect(json!({ "document": document() }), json!({ "shared": SECRET })).await;
    let saved = format!("/integrations/{}/explain", shop["id"].as_str().unwrap());
    let (body, header) = signed(now_s(), SECRET);
    let good = json!({ "method": "POST", "headers": { "X-Kopilka": header }, "body": body });
    let step = |told: &Answer, what: &str| {
        let steps = told.json["steps"].as_array().unwrap();
        steps.iter().find(|step| step["what"] == what).unwrap_or_else(|| panic!("{}", told.text)).clone()
    };

    let told = town.ask(&saved, &good).await;
    assert_eq!((told.status, &told.json["verdict"]), (200, &json!("proven")), "{}", told.text);
    let base = step(&told, "hmac")["base"].as_str().unwrap().to_owned();
    assert!(base.contains("|op=K-77|order=shop-5|"), "{base}");
    assert_eq!(step(&told, "answer")["detail"], "200 text/plain; charset=utf-8 YES K-77");

    // Somebody pastes the secret itself: it comes back as its name.
    let mut leaking = good.clone();
    leaking["headers"]["X-Kopilka"] = json!(format!("t=1,v1={SECRET}"));
    leaking["body"] = json!(format!("op={}&sum=1&cur=RUB", "kopilka-Secret%2B0001"));
    let told = town.ask(&saved, &leaking).await;
    assert_eq!(told.json["verdict"], "refused");
    let hmac = step(&told, "hmac");
    assert_eq!((&hmac["ok"], &hmac["received"]), (&json!(false), &json!("<secret:shared>")));
    assert!(hmac["base"].as_str().unwrap().contains("op=<secret:shared>"), "{hmac}");
    assert!(!told.text.contains(SECRET) && !told.text.contains("kopilka-Secret"), "{}", told.text);

    // A draft: other digest than the provider's; then the right one, on the saved secrets.
    let mut other = document();
    other["auth"][0]["alg"] = json!("sha256");
    let draft = json!({
        "settings": { "document": other }, "credentials": { "shared": SECRET }, "request": good,
    });
    let told = town.ask("/generic/explain", &draft).await;
    assert!(
        step(&told, "refused")["detail"].as_str().unwrap().contains("matches with SHA-512"),
        "{}",
        told.text
    );
    let on_saved = json!({
        "integration_id": shop["id"], "settings": { "document": document() }, "request": good,
    });
    assert_eq!(town.ask("/generic/explain", &on_saved).await.json["verdict"], "proven");

    // A wrong draft is refused as when it is saved.
    let mut wrong = draft.clone();
    wrong["settings"]["document"]["auth"][0]["alg"] = json!("crc32");
    wrong["request"]["method"] = json!("PUT");
    let told = town.ask("/generic/explain", &wrong).await;
    let pointers: Vec<_> = told.json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!((told.status, pointers), (422, vec!["/request/method", "/settings/document/auth/0/alg"]));

    // Support may look, but not put a document of its own over saved secrets; nobody explains what has no document.
    let token = json!({ "name": "s", "role": "support", "merchant_id": town.merchant });
    let token = town.plan.client().post("/tokens", &token).await.unwrap();
    let token = token["token"].as_str().unwrap();
    assert_eq!(town.ask_as(token, &saved, &good).await.status, 200);
    assert_eq!(town.ask_as(token, "/generic/explain", &draft).await.status, 200);
    assert_eq!(town.ask_as(token, "/generic/explain", &on_saved).await.status, 403);
    let pay =
        json!({ "provider": "cloudpayments", "credentials": { "public_id": "pk_1", "api_secret": "abc" } });
    let pay = town.ask("/integrations", &pay).await.json["id"].as_str().unwrap().to_owned();
    let told = town.ask(&format!("/integrations/{pay}/explain"), &good).await;
    assert_eq!(told.status, 422);
    assert!(told.text.contains("use its try instead"), "{}", told.text);
    assert_eq!(town.router.terminate().await, Some(0));
}

fn kassir(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kassir"))
        .arg("explain")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn both(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_command_explains_without_a_router() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let paper = file("document.json", &document().to_string());
    let secret = format!("shared={SECRET}");
    let (body, header) = signed(1_700_000_000, SECRET);
    let raw = format!("POST /webhooks/kopilka/t HTTP/1.1\r\nHost: x\r\nX-Kopilka: {header}\r\n\r\n{body}\n");
    let usual = ["--document", &paper, "--credential", &secret, "--at", "2023-11-14T22:13:20Z"];
    let run = |request: &str, more: &[&str], input: &str| {
        let arguments = [&usual[..], &["--request", request], more].concat();
        both(&kassir(&arguments, input.as_bytes()))
    };

    let (code, out, err) = run("-", &[], &raw);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("ok    hmac") && out.contains("verdict: proven"), "{out}");
    assert!(out.contains("1700000000|card=4000|"), "{out}");
    assert!(err.contains("line break"), "{err}");
    let request = json!({ "headers": { "x-kopilka": header }, "body": body });
    let (code, out, err) = run(&file("request.json", &request.to_string()), &["--json"], "");
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["verdict"], &told["steps"][0]["ok"]), (&json!("proven"), &json!(true)));

    // Changed on the way; and with the secret in it, which is shown by its name.
    let forged = raw.replace("1499%2C90", "1%2C00").replace("card=4000", "card=kopilka-Secret%2B0001");
    let (code, out, err) = run("-", &[], &forged);
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("FAIL  hmac") && out.contains("FAIL  refused"), "{out}");
    assert!(out.contains("card=<secret:shared>|"), "{out}");
    assert!(!format!("{out}{err}").contains("kopilka-Secret"), "{out}{err}");

    // A wrong document, a missing secret, a wrong request: exit code 2, each with its place.
    let mut wrong = document();
    wrong["auth"][0]["alg"] = json!("crc32");
    let wrong = file("wrong.json", &wrong.to_string());
    let (code, _, err) =
        both(&kassir(&["--document", &wrong, "--credential", &secret, "--request", "-"], raw.as_bytes()));
    assert_eq!(code, Some(2));
    assert!(err.contains("/settings/document/auth/0/alg: must be one of md5"), "{err}");
    let (code, out, err) = both(&kassir(&["--document", &paper, "--request", "-", "--json"], raw.as_bytes()));
    assert_eq!(code, Some(2), "{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["errors"][0]["pointer"], "/credentials/shared");
    let (code, _, err) = run("-", &[], "hello");
    assert_eq!(code, Some(2));
    assert!(err.contains("line 1 must be a request line"), "{err}");
    let twice = file("twice.json", r#"{"version":1,"slug":"aa","slug":"bb"}"#);
    let (code, _, err) = both(&kassir(&["--document", &twice, "--request", "-"], raw.as_bytes()));
    assert_eq!(code, Some(2));
    assert!(err.contains("\"slug\" twice"), "{err}");
}
