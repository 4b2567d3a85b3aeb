//! The language as a whole: what documents are refused, and what is explained.

mod anything;

use serde_json::{Value, json};

use super::explain::{Verdict, explain};
use super::slug;
use crate::{Account, Fact, Mode, Outcome, Proof, Provider as _, RejectKind, Request, Secret, State};

const SECRET: &str = "flowell-test-secret";
const BODY: &str = r#"{"payment":{"id":"a","order_id":"7","status":"paid","amount":10.50,"currency":"RUB"}}"#;

fn account(document: Value) -> Account {
    let mut account = Account::default();
    account.settings.own.insert("document".to_owned(), document);
    account.credentials.insert("main".to_owned(), Secret::new(SECRET));
    account
}

fn example() -> Value {
    super::presets::document("flowell-json-hmac").unwrap().clone()
}

fn signed(body: &str) -> Request {
    let mut request = Request::post("application/json", body);
    let digest = crate::digest::Hash::Sha256.hmac(SECRET.as_bytes(), body.as_bytes());
    request.headers.push(("x-signature".to_owned(), format!("sha256={}", hex::encode(digest))));
    request
}

/// The document with a value at a pointer replaced (or, with null, taken away), and what `validate` says to it.
fn problems(pointer: &str, value: Value) -> String {
    let mut document = example();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(map) if value.is_null() => {
            map.shift_remove(name);
        }
        Value::Object(map) => {
            map.insert(name.to_owned(), value);
        }
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        _ => unreachable!(),
    }
    let found = super::Generic.validate(&account(document));
    found.iter().map(|problem| format!("{}: {}\n", problem.pointer, problem.detail)).collect()
}

#[test]
fn errors_name_the_member_and_the_reason() {
    for (pointer, value, says) in [
        ("/version", json!(2), "/settings/document/version: must be a whole number"),
        ("/odd", json!(1), "/settings/document: has no member \"odd\""),
        ("/slug", json!("yookassa"), "/settings/document/slug: is the name of a built-in provider"),
        ("/slug", json!("A b"), "/settings/document/slug: must be"),
        ("/mode", json!("on"), "/settings/document/mode: must be one of live, observe, off"),
        ("/request/max_bytes", json!(2_000_000), "/settings/document/request/max_bytes: must be"),
        ("/request/body", json!("xml"), "/settings/document/request/body: must be one of"),
        ("/auth/0/alg", json!("md4"), "/settings/document/auth/0/alg: must be one of md5"),
        ("/auth/0/type", json!("hash"), "/settings/document/auth/0: has no member \"key\""),
        ("/auth/0/base/0", json!({"raw": true, "text": "x"}), "auth/0/base/0: must have exactly one of"),
        ("/auth/0/base", json!([]), "/settings/document/auth/0/base: must not be empty"),
        ("/auth/0/key", json!("other"), "/settings/document/secrets: does not name the secret \"other\""),
        ("/auth/0/expect/from", json!("x"), "auth/0/expect/from: a pointer starts with /"),
        ("/auth/0/expect/from", json!("/headers/X-Sign"), "auth/0/expect/from: a header is named in lower"),
        ("/auth", json!([]), "/settings/document/auth: proves nobody"),
        ("/auth/0", json!({"type": "ip", "cidrs": ["192.0.2.0/24"]}), "/auth: proves nobody"),
        (
            "/auth/0",
            json!({"type": "hash", "alg": "md5", "base": [{"raw": true}], "expect": {"from": "/body/s"}}),
            "auth/0/base: has no secret",
        ),
        ("/map/amount", Value::Null, "/settings/document/map: needs the member amount"),
        ("/map/amount/unit", json!("kopecks"), "/settings/document/map/amount/unit: must be one of major"),
        ("/map/provider_id", json!([]), "/settings/document/map/provider_id: must not be empty"),
        ("/map/contact", json!({}), "/settings/document/map/contact: needs the member id"),
        (
            "/map/contact",
            json!({"id": "/query/id"}),
            "/map/contact/id: must be below /body, which is the payload",
        ),
        ("/map/contact", json!({"id": "chat"}), "/map/contact/id: a pointer starts with /"),
        ("/map/order", json!({"over": "/body/items"}), "/map/order: needs the member name"),
        (
            "/map/order",
            json!({"over": "/body/i", "name": "title"}),
            "/map/order/name: must be a pointer into an item",
        ),
        ("/map/created_at", json!({}), "/map/created_at: is not a member: an event's time"),
        ("/states/0/state", json!("done"), "/settings/document/states/0/state: must be one of pending"),
        ("/states/0/state", json!("partially_refunded"), "/map: needs the member refund_amount"),
        ("/states/0/when/0/in", Value::Null, "/settings/document/states/0/when/0: asks nothing"),
        ("/reply/accepted/body", json!("{{/headers/a}}"), "/reply/accepted/body: only values below /body"),
        ("/reply/accepted/body", json!("{{/body/a"), "/reply/accepted/body: has {{ without }}"),
        ("/reply/accepted/content_type", json!("a/b"), "/reply/accepted/content_type: must be one of"),
        ("/secrets/main/decode", json!("hex"), "/credentials/main: is not hex"),
        ("/secrets/other", json!({}), "/credentials/other: is required"),
        ("/secrets/main/kind", json!("public_key"), "/settings/document/secrets/main/kind: must be secret"),
        ("/confirm", json!({"manual": false}), "/settings/document/confirm/manual: must be true"),
    ] {
        let said = problems(pointer, value.clone());
        assert!(said.contains(says), "{pointer} = {value}\n{said}");
    }
    assert_eq!(super::Generic.validate(&account(example())), []);
}

#[test]
fn every_wrong_member_is_told_at_once() {
    let mut document = example();
    document["odd"] = json!(1);
    document["mode"] = json!("on");
    document["auth"][0]["alg"] = json!("md4");
    document["map"]["amount"]["unit"] = json!("kopecks");
    document["map"]["currency"] = json!(7);
    document["states"][0]["state"] = json!("done");
    document["states"][1]["state"] = json!("over");
    let found = super::Generic.validate(&account(document));
    let pointers: Vec<_> = found.iter().map(|problem| problem.pointer.as_str()).collect();
    let at = |rest: &str| format!("/settings/document{rest}");
    assert_eq!(
        pointers,
        [
            "",
            "/mode",
            "/auth/0/alg",
            "/map/amount/unit",
            "/map/currency",
            "/states/0/state",
            "/states/1/state"
        ]
        .map(at)
    );
}

#[test]
fn contact_and_order_are_found_as_the_settings_would_say_it() {
    let mut document = example();
    document["map"]["contact"] = json!({"id": "/body/payment/chat", "messenger": "=telegram"});
    document["map"]["order"] = json!({"over": "/body/cart", "name": "/title", "amount": "/sum"});
    let account = account(document);
    assert_eq!(super::Generic.validate(&account), []);
    let super::Sources { contact, order } = super::sources(&account.settings);
    assert_eq!(json!(contact), json!({"id": "/payment/chat", "messenger": "=telegram"}));
    assert_eq!(json!(order), json!({"items": "/cart", "name": "/title", "amount": "/sum"}));
}

#[test]
fn a_time_that_is_not_signed_is_refused() {
    let mut document = example();
    let time = json!({"type": "timestamp", "from": "/headers/x-time", "max_skew_s": 60});
    document["auth"].as_array_mut().unwrap().push(time);
    assert!(super::Generic.validate(&account(document.clone()))[0].detail.contains("no signed base string"));
    document["auth"][0]["base"].as_array_mut().unwrap().push(json!({"field": "/headers/x-time"}));
    assert_eq!(super::Generic.validate(&account(document)), []);
}

#[test]
fn only_listed_hosts_are_called() {
    let mut document = example();
    document["confirm"] = json!({
        "fetch": {"url": "https://api.example/{{provider_id}}"}, "map": document["map"],
        "states": document["states"],
    });
    let mut account = account(document);
    assert!(super::Generic.validate(&account)[0].detail.contains("api.example"));
    account.settings.own.insert("hosts".to_owned(), json!(["api.example"]));
    assert_eq!(super::Generic.validate(&account), []);
    for url in ["http://api.example/x", "https://{{order_id}}.example/", "https://api.example{{order_id}}"] {
        account.settings.own["document"]["confirm"]["fetch"]["url"] = json!(url);
        assert!(super::Generic.validate(&account)[0].pointer.ends_with("/confirm/fetch/url"), "{url}");
    }
}

#[test]
fn an_explanation_shows_every_step_and_no_secret() {
    let account = account(example());
    let told = explain(&signed(BODY), &account);
    assert_eq!(told.verdict, Verdict::Proven);
    let steps = told.steps;
    let words: Vec<_> = steps.iter().map(|step| step.what.as_str()).collect();
    assert_eq!(words, ["document", "read", "hmac", "map", "state", "fact", "dedupe", "answer"]);
    assert!(steps.iter().all(|step| step.ok));
    assert_eq!(steps[2].base.as_deref(), Some(BODY));
    assert_eq!(steps[2].expected, steps[2].received.as_ref().map(|_| steps[2].expected.clone().unwrap()));
    let mut forged = signed(BODY);
    forged.body = BODY.replace("10.50", "1.00").into_bytes();
    let told = explain(&forged, &account);
    assert_eq!(told.verdict, Verdict::Refused);
    let steps = told.steps;
    let failed = steps.iter().find(|step| step.what == "hmac").unwrap();
    assert!(!failed.ok && failed.expected.as_ref().unwrap().len() == 8);
    let [.., refused, answer] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!(
        (refused.what.as_str(), answer.detail.as_str()),
        ("refused", "403 text/plain; charset=utf-8 ")
    );
    let mut document = super::presets::document("flowell-form-md5").unwrap().clone();
    document["auth"][0]["base"] = json!([{"join": {"sep": "|", "each": ["md5"], "parts": [{"field": "/body/id"}, {"secret": "main"}]}}]);
    let steps = explain(&Request::post("", "id=1&hash=00"), &self::account(document)).steps;
    let base = steps.iter().find_map(|step| step.base.as_deref()).unwrap();
    assert_eq!(base, "md5(1)|md5(<secret:main>)");
    assert!(!serde_json::to_string(&steps).unwrap().contains(SECRET));
}

#[test]
fn the_usual_mistakes_are_named() {
    let account = account(example());
    let said = |request: &Request| super::Generic.receive(request, &account).unwrap_err().diagnosis;
    let with = |digest: &[u8]| {
        let mut request = Request::post("application/json", BODY);
        request.headers.push(("x-signature".to_owned(), format!("sha256={}", hex::encode(digest))));
        request
    };
    use crate::digest::Hash;
    let sha1 = Hash::Sha1.hmac(SECRET.as_bytes(), BODY.as_bytes());
    assert_eq!(said(&with(&sha1)).as_deref(), Some("matches with SHA-1; the document says SHA-256"));
    let base64 = crate::digest::base64(&Hash::Sha256.hmac(SECRET.as_bytes(), BODY.as_bytes()));
    let mut request = with(&[]);
    request.headers[1].1 = format!("sha256={base64}");
    assert!(said(&request).unwrap().contains("written differently"));
    let newline = Hash::Sha256.hmac(SECRET.as_bytes(), format!("{BODY}\n").as_bytes());
    assert!(said(&with(&newline)).unwrap().contains("newline"));
    assert!(said(&with(&Hash::Sha256.digest(BODY.as_bytes()))).unwrap().contains("without a key"));
    assert_eq!(said(&with(&[1; 32])), None);
}

#[test]
fn flowell_is_off_until_somebody_describes_it() {
    let mut account = Account::default();
    account.settings.own.insert("preset".to_owned(), json!("flowell"));
    assert_eq!(slug(&account).as_deref(), Some("flowell"));
    assert_eq!(super::Generic.validate(&account).len(), 1);
    let request = Request::post("application/json", BODY);
    let reject = super::Generic.receive(&request, &account).unwrap_err();
    assert_eq!(reject.kind, RejectKind::Unsupported);
    let answer = super::Generic.answer(&request, &Outcome::Rejected(&reject), &account);
    assert_eq!(answer.status, 404);
    account.settings.mode = Some(Mode::Observe);
    assert_eq!(super::Generic.validate(&account), []);
    let received = super::Generic.receive(&request, &account).unwrap();
    assert!(matches!(received.facts.as_slice(), [Fact::Note(_)]));
    assert_eq!(received.payload.get(), BODY);
    account.settings.mode = None;
    account.settings.own.insert("preset".to_owned(), json!("flowell-token"));
    account.credentials.insert("token".to_owned(), Secret::new("t-123456"));
    assert_eq!(super::Generic.validate(&account), []);
    let mut request = Request::post("application/json", r#"{"id":"a","status":"paid","amount":"5"}"#);
    assert_eq!(super::Generic.receive(&request, &account).unwrap_err().kind, RejectKind::MissingProof);
    request.headers.push(("authorization".to_owned(), "Bearer t-123456".to_owned()));
    let received = super::Generic.receive(&request, &account).unwrap();
    // A person has to confirm it: no money is believed.
    let [Fact::Payment(fact)] = received.facts.as_slice() else { panic!("{:?}", received.facts) };
    assert_eq!((fact.state, received.proof), (State::Pending, Proof::Signed));
}

#[test]
fn observing_keeps_what_would_be_refused() {
    let mut account = account(example());
    account.settings.own["document"]["mode"] = json!("observe");
    let received = super::Generic.receive(&Request::post("application/json", BODY), &account).unwrap();
    let [Fact::Note(note)] = received.facts.as_slice() else { panic!("{:?}", received.facts) };
    assert!(note.why.contains("holds no signature"));
    let received = super::Generic.receive(&signed(BODY), &account).unwrap();
    assert!(matches!(received.facts.as_slice(), [Fact::Note(_)]));
    account.settings.own["document"]["mode"] = json!("off");
    assert!(super::Generic.receive(&signed(BODY), &account).is_err());
}

#[test]
fn headers_that_count_may_not_be_repeated() {
    let account = account(example());
    let mut request = signed(BODY);
    let again = request.headers[1].clone();
    request.headers.push(again);
    assert_eq!(super::Generic.receive(&request, &account).unwrap_err().kind, RejectKind::Malformed);
    let mut request = signed(BODY);
    request.headers.push(("x-other".to_owned(), "1".to_owned()));
    request.headers.push(("x-other".to_owned(), "2".to_owned()));
    assert!(super::Generic.receive(&request, &account).is_ok());
}

#[test]
fn sizes_and_methods_are_answered_in_their_own_words() {
    let mut account = account(example());
    account.settings.own["document"]["request"]["max_bytes"] = json!(10);
    let status = |request: &Request, account: &Account| {
        let reject = super::Generic.receive(request, account).unwrap_err();
        super::Generic.answer(request, &Outcome::Rejected(&reject), account).status
    };
    assert_eq!(status(&signed(BODY), &account), 413);
    let mut get = signed(BODY);
    get.method = crate::Method::Get;
    assert_eq!(status(&get, &account), 405);
}

#[test]
fn answers_are_signed_masked_and_cut() {
    let mut document = example();
    document["reply"]["accepted"] = json!({
        "body": "ok {{/body/payment/id}}", "headers": {"X-Kind": "webhook"},
        "sign": {"alg": "sha256", "key": "main", "base": [{"raw": true}], "to": "header X-Answer"},
    });
    document["reply"]["ignored"] = json!({"status": 202, "body": "not ours"});
    document["map"]["mask"] = json!(["/body/payment/order_id"]);
    let account = account(document);
    let answer = super::Generic.answer(&signed(BODY), &Outcome::Accepted, &account);
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok a"));
    let digest = hex::encode(crate::digest::Hash::Sha256.hmac(SECRET.as_bytes(), b"ok a"));
    let wanted = [("x-kind".to_owned(), "webhook".to_owned()), ("x-answer".to_owned(), digest)];
    assert_eq!(answer.headers, wanted);
    let odd = signed(&BODY.replace("paid", "odd"));
    assert_eq!(super::Generic.answer(&odd, &Outcome::Accepted, &account).status, 202);
    let received = super::Generic.receive(&signed(BODY), &account).unwrap();
    assert!(received.payload.get().contains(r#""order_id":"***""#));
}
