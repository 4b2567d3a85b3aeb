//! The signature over vectors that LiqPay publishes, and over those of independent libraries (`liqpay-api`, `liqpy`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use serde_json::{Map, Value};

use super::sign::{Envelope, is_signed, seal, signature};
use crate::account::{Account, Secret};
use crate::digest::{Hash, base64};

const KEY: &str = "kV3mQ9sT1xZ7bN5cL2pR8wJ4hG6fD0aYeUoIqWtB";

fn account(version: &str) -> Account {
    let mut account = Account::default();
    for (key, value) in [("public_key", "i41279053618"), ("private_key", KEY)] {
        account.credentials.insert(key.to_owned(), Secret::new(value));
    }
    account.settings.own.insert("api_version".to_owned(), version.into());
    account
}

fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap()
}

#[test]
fn published_vectors() {
    assert_eq!(
        signature(Hash::Sha1, "your_private_key", "base64_post_string"),
        "tp+ZLmKm1/E83dIzUpx5ljcttP4="
    );
    let json = r#"{"public_key":"i00000000","version":"3","action":"pay","amount":"3","currency":"UAH","description":"test","order_id":"000001"}"#;
    assert_eq!(
        signature(Hash::Sha1, "a4825234f4bae72a0be04eafe9e8e2bada209255", &base64(json.as_bytes())),
        "wR+UZDC4jjeL/qUOvIsofIWpZh8="
    );
}

#[test]
fn outgoing_envelopes() {
    for (version, json, expected) in [
        (
            "3",
            r#"{"version":3,"public_key":"i41279053618","action":"pay","amount":10.5,"currency":"UAH","description":"Order 1001","order_id":"bot-1001"}"#,
            "R18bmHt9pvzA0WPWFcgXz0Zw02I=",
        ),
        (
            "3",
            r#"{"version":3,"public_key":"i41279053618","action":"hold","amount":1000000,"currency":"UAH","description":"Оплата замовлення № 1004","order_id":"bot-1004","language":"uk","result_url":"https://t.me/examplebot","server_url":"https://pay.example.com/liqpay/m1","info":"{\"chat\":77001}"}"#,
            "JzLyLzl8hVckAiL8FTG0Emnm6u4=",
        ),
        (
            "3",
            r#"{"version":3,"public_key":"i41279053618","action":"subscribe","amount":99.9,"currency":"UAH","description":"Підписка","order_id":"sub-77","subscribe":"1","subscribe_date_start":"2026-01-31 00:00:00","subscribe_periodicity":"month","server_url":"https://pay.example.com/liqpay/m1"}"#,
            "nVp3vIeTWrt89+CkYNkNeGawH6U=",
        ),
        (
            "3",
            r#"{"version":3,"public_key":"i41279053618","action":"paytoken","amount":49,"card_token":"9C0A41D7B36E85F2014D7A6BC9E3F8D25B7E1F04","currency":"UAH","description":"Monthly","ip":"203.0.113.7","order_id":"rec-2"}"#,
            "DzXCaYvAGFLgkMXcytoXaa36Vdc=",
        ),
        (
            "3",
            r#"{"action":"pay","amount":10.5,"currency":"UAH","description":"Order 1001","order_id":"bot-1001","public_key":"i41279053618","version":3}"#,
            "xD7WfT+ggP1xd0gBYBMhGVkgg9I=",
        ),
        (
            "3",
            r#"{"version":3,"action":"pay","amount":10.5,"currency":"UAH","description":"Order 1001","order_id":"bot-1001","language":"uk","public_key":"i41279053618"}"#,
            "EqL0AUtBx4eseoCEoU5ysnLlC7c=",
        ),
        (
            "7",
            r#"{"version":7,"public_key":"i41279053618","action":"pay","amount":10.5,"currency":"UAH","description":"Кава","order_id":"bot-1007"}"#,
            "cfziyRsaNIeDEg/zJqLIw2M8tq9JhJkfREnnRAg6R5c=",
        ),
    ] {
        assert_eq!(seal(object(json), &account(version)).signature, expected, "{json}");
    }
}

#[test]
fn an_empty_key_signs_nothing() {
    let data = base64(b"{}");
    let envelope = Envelope { signature: signature(Hash::Sha1, "", &data), data };
    assert!(!is_signed(&envelope, ""));
}

proptest::proptest! {
    #[test]
    fn what_is_sealed_is_signed(text in ".*", version in proptest::sample::select(vec!["3", "7"])) {
        let mut object = Map::new();
        object.insert("description".to_owned(), text.into());
        let mut envelope = seal(object, &account(version));
        proptest::prop_assert!(is_signed(&envelope, KEY));
        proptest::prop_assert!(!is_signed(&envelope, "another"));
        envelope.data.push('A');
        proptest::prop_assert!(!is_signed(&envelope, KEY));
    }
}
