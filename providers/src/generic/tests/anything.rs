//! Any document and any request: nothing panics, nothing shows a secret, nothing unsigned is believed.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::Generic;
use super::super::explain::explain;
use super::{BODY, SECRET, account, example};
use crate::{Fact, Outcome, Proof, Provider as _, Request};

/// Any JSON, with the words of the language in it more often than not.
fn anything() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "live",
        "observe",
        "POST",
        "GET",
        "json",
        "form",
        "query",
        "none",
        "php",
        "flat",
        "reject",
        "last",
        "hmac",
        "hash",
        "any",
        "when",
        "ip",
        "basic",
        "static",
        "timestamp",
        "jwt",
        "base64_json",
        "md5",
        "sha256",
        "main",
        "/body",
        "/body/a",
        "/query/a",
        "/headers/x",
        "/x/a",
        "/raw",
        "major",
        "minor",
        "RUB",
        "succeeded",
        "refunded",
        "ignore",
        "hex",
        "base64",
        "a",
        "*",
        "",
        "urlencode_php",
        "fixed2",
    ]);
    let leaf = prop_oneof![
        4 => word.prop_map(|word| json!(word)),
        1 => Just(json!(true)),
        1 => (0..3_u8).prop_map(|number| json!(number)),
        1 => Just(Value::Null),
    ];
    let name = prop::sample::select(vec![
        "type",
        "alg",
        "key",
        "base",
        "expect",
        "from",
        "encoding",
        "case",
        "pick",
        "sep",
        "kv",
        "name",
        "raw",
        "raw_query",
        "raw_urldecoded",
        "text",
        "secret",
        "field",
        "missing",
        "fmt",
        "join",
        "parts",
        "each",
        "params",
        "canonical_json",
        "flatten",
        "include",
        "exclude",
        "sort",
        "pair",
        "of",
        "ptr",
        "then",
        "else",
        "in",
        "when",
        "state",
        "unit",
        "sum",
        "over",
        "item",
        "amount",
        "currency",
        "const",
        "provider_id",
        "order_id",
        "op",
        "to",
        "body",
        "status",
        "accepted",
        "user",
        "password",
        "cidrs",
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name.clone(), inner), 0..5).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

/// The document of the example with some members replaced.
fn documents() -> impl Strategy<Value = Value> {
    let place = prop::sample::select(vec![
        "/request/body",
        "/request/methods",
        "/request/unwrap",
        "/request/form_style",
        "/secrets/main",
        "/auth",
        "/auth/0",
        "/auth/0/base",
        "/auth/0/base/0",
        "/auth/0/expect",
        "/auth/0/expect/from",
        "/auth/0/alg",
        "/map",
        "/map/amount",
        "/map/currency",
        "/map/payload",
        "/map/mask",
        "/map/dedupe",
        "/states",
        "/states/0/when",
        "/default_state",
        "/test",
        "/confirm",
        "/create",
        "/reply",
        "/reply/accepted",
        "/mode",
    ]);
    prop::collection::vec((place, anything()), 0..4).prop_map(|changes| {
        let mut document = example();
        for (pointer, value) in changes {
            if let Some((parent, name)) = pointer.rsplit_once('/') {
                match document.pointer_mut(parent) {
                    Some(Value::Object(map)) => {
                        map.insert(name.to_owned(), value);
                    }
                    Some(Value::Array(items)) if !items.is_empty() => items[0] = value,
                    _ => {}
                }
            }
        }
        document
    })
}

/// Body, query, header, time.
type Parts = (Vec<u8>, String, String, i64);

fn requests() -> impl Strategy<Value = Parts> {
    let body = prop_oneof![
        Just(BODY.as_bytes().to_vec()),
        Just(b"a=1&a[b]=2&x[]=%D0&id=7&hash=00".to_vec()),
        prop::collection::vec(any::<u8>(), 0..200),
        anything().prop_map(|value| value.to_string().into_bytes()),
    ];
    let header = prop_oneof![Just(String::new()), ".{0,40}", "sha256=[0-9a-f]{64}", "t=1,v1=[0-9a-f]{8}"];
    (body, "[a-z=&\\[\\]%0-9+]{0,40}", header, any::<i64>())
}

fn request((body, query, header, received_at): Parts) -> Request {
    let mut request = Request::post("application/json", body);
    request.headers.push(("x-signature".to_owned(), header.clone()));
    request.headers.push(("x".to_owned(), header));
    (request.query, request.received_at) = (query, received_at);
    request
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    /// Nothing panics, no step shows the secret, and what is signed with nothing is never believed.
    #[test]
    fn any_document_and_any_request(document in documents(), parts in requests()) {
        let request = request(parts);
        let account = account(document);
        let found = Generic.validate(&account);
        prop_assert!(found.iter().all(|problem| problem.pointer.starts_with('/')));
        let result = Generic.receive(&request, &account);
        for outcome in [Outcome::Accepted, Outcome::Busy] {
            let answer = Generic.answer(&request, &outcome, &account);
            prop_assert!((200..600).contains(&answer.status));
        }
        if let Err(reject) = &result {
            Generic.answer(&request, &Outcome::Rejected(reject), &account);
        }
        let told = serde_json::to_string(&explain(&request, &account)).unwrap();
        prop_assert!(!told.contains(SECRET));
        // No request here has a signature that was made with the secret.
        if let (Ok(received), true) = (&result, found.is_empty()) {
            let harmless = received.facts.iter().all(|fact| matches!(fact, Fact::Note(_)));
            prop_assert!(harmless || received.proof != Proof::Signed, "{received:?}");
        }
    }

    #[test]
    fn any_value_is_a_document_or_has_a_problem(document in anything()) {
        let account = account(document);
        prop_assert!(!Generic.validate(&account).is_empty());
    }
}
