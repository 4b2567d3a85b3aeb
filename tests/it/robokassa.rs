//! A shop at Robokassa, and its notifications of paid orders.

use std::time::Duration;

use kassir::client::Client;
use kassir::delivery::outbound::OutboundRequest;
use kassir_providers::operation::Sample;
use kassir_providers::{Account, Currency, Money, Request, Secret, State, by_slug};
use serde_json::json;

/// What the shop and a router share.
pub const CREDENTIALS: [(&str, &str); 3] =
    [("merchant_login", "demo_shop"), ("password1", "Pass1_qwe"), ("password2", "Pass2_asd")];

/// Connects the shop to a merchant, given as `/merchants/mer_…`; gives the inbound URL.
pub async fn connect(client: &Client, merchant: &str) -> String {
    let credentials: serde_json::Map<_, _> =
        CREDENTIALS.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let body = json!({ "provider": "robokassa", "credentials": credentials });
    let made = client.post(&format!("{merchant}/integrations"), &body).await.unwrap();
    made["webhook_url"].as_str().unwrap().to_owned()
}

/// What tells of a paid order.
pub fn paid(order: usize) -> Request {
    let sample = Sample {
        kind: None,
        state: State::Succeeded,
        refund: false,
        amount: Money::new(10_000 + i64::try_from(order).unwrap(), Currency::RUB),
        reference: order.to_string(),
        provider_id: None,
        description: String::new(),
        email: None,
        metadata: serde_json::Map::new(),
        now: 0,
    };
    let credentials =
        CREDENTIALS.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(*value))).collect();
    let account = Account { credentials, ..Account::default() };
    by_slug("robokassa").unwrap().imitate(&sample, &account).unwrap()
}

/// The same as it is sent to a router.
pub fn notice(url: &str, order: usize) -> OutboundRequest {
    let Request { method, headers, body, .. } = paid(order);
    OutboundRequest {
        method,
        url: url.to_owned(),
        headers,
        body,
        timeout: Some(Duration::from_secs(10)),
        response_max: 1024,
    }
}
