//! Outgoing bodies over vectors of independent libraries (PyJWT, jsonwebtoken), and what goes wrong on the way.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use serde_json::{Value, json};

use super::calls::body;
use crate::jws::Compact;

const KEY: &[u8] = b"3Qm9vT1xZ7bN5cL2pR8wJ4hG6fD0aYeUoIqWtBkVsX4=";
const SESSION: &str = "0d5f2a8e-3b61-4c7a-9f20-5a1b6c7d8e90";
const INVOICE: &str = "c2e4a6f8-1b3d-4f5a-8c7e-9d0b1a2c3e4f";
const PAYMENT: &str = "7b1d0c52-6e0a-4d3f-8a52-0c9e4f1a2b3c";

/// The signature part of a body's token.
fn signature(params: Value, data: Option<Value>, iat: i64) -> String {
    let body: Value = serde_json::from_str(&body(params, data, iat, KEY)).unwrap();
    let token = body["token"].as_str().unwrap();
    assert!(Compact::parse(token).unwrap().is_hs256_of(KEY));
    token.rsplit('.').next().unwrap().to_owned()
}

#[test]
fn outgoing_vectors() {
    let params = json!({"clientId": "6001"});
    assert_eq!(signature(params, None, 1_762_531_200), "GJD7opzZgFpGC4RAJy2BSFWJtWJSs1u4ZS41G2LeegE");

    let params = json!({"sessionId": SESSION, "systemType": "ECOM"});
    let data = json!({"externalId": "bot-1001", "type": "PAY", "reusability": false, "description": "Order 1001",
        "amount": 1050, "redirectUrl": "https://t.me/examplebot",
        "callbackUrl": "https://pay.example.com/uapay/m1?order=bot-1001", "extraInfo": "{\"chat\":77001}"});
    assert_eq!(
        signature(params.clone(), Some(data), 1_762_531_201),
        "NUQk0A2zmLCPMMS0TycAIxSn9-xJOGNx0vYm--x0j4Y"
    );

    let data = json!({"externalId": "bot-1004", "type": "HOLD", "reusability": false,
        "description": "Оплата замовлення № 1004", "amount": 100_000_000,
        "callbackUrl": "https://pay.example.com/uapay/m1"});
    assert_eq!(signature(params, Some(data), 1_762_531_202), "gF9lvtVxiK8afbCs9kXYuVhCSw6AlMMZqrvxw2wisg0");

    let params = json!({"sessionId": SESSION, "id": INVOICE});
    assert_eq!(signature(params, None, 1_762_531_300), "GcwvDaP18DWvJQdMkp6vl6IK1K1NxJTsHkILjOZ-nMM");

    let params =
        json!({"sessionId": SESSION, "paymentId": PAYMENT, "invoiceId": INVOICE, "amount": 50_000_000});
    assert_eq!(signature(params, None, 1_762_531_301), "YCNHwHzXudUXzXObvq8xbz1d0BkspR71gZgegdv97Ik");

    let params = json!({"sessionId": SESSION, "paymentId": PAYMENT, "invoiceId": INVOICE});
    assert_eq!(signature(params.clone(), None, 1_762_531_302), "CJnijVba4HGWNfy7i-7VPFEmvb-T0JhpzFur-d79uAk");
    assert_eq!(
        signature(params, Some(json!({"amount": 525})), 1_762_531_303),
        "uxTR9Sq3e_0mmt_yIgQC03yLi5lzWFIPJ9f9_5kM6qQ"
    );
}
