//! What an operator sees, asked of the real binary and of what is shipped beside it.

mod metrics;
mod round_trips;
mod scrape;
mod shipped;
mod traces;

use serde_json::{Value, json};

use self::scrape::Scrape;
use crate::process::Plan;
use crate::subscriber::Subscriber;

fn request(
    method: kassir_providers::Method,
    url: &str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
) -> kassir::delivery::outbound::OutboundRequest {
    kassir::delivery::outbound::OutboundRequest {
        method,
        url: url.to_owned(),
        headers,
        body,
        timeout: None,
        response_max: 1 << 22,
    }
}

/// Sends a notification of CloudPayments, signed or not.
async fn pay(url: &str, order: u64, secret: &str) -> u16 {
    let account = kassir_providers::Account {
        credentials: [("public_id", "pk_1"), ("api_secret", secret)]
            .map(|(key, value)| (key.to_owned(), kassir_providers::Secret::new(value)))
            .into(),
        ..Default::default()
    };
    let shop = crate::world::Shop { url: url.to_owned(), account, slug: "cloudpayments".to_owned() };
    let notice = crate::world::fixture::notice(
        &shop,
        kassir_providers::State::Succeeded,
        90_000,
        &format!("order-{order}"),
    );
    let url = match &notice.kind {
        Some(kind) => format!("{url}/{kind}"),
        None => url.to_owned(),
    };
    let sent = crate::world::wire().send(request(notice.method, &url, notice.headers, notice.body)).await;
    sent.status.unwrap()
}

/// Connects a shop and an endpoint; gives the shop's inbound URL.
async fn set_up(plan: &Plan, subscriber: &Subscriber) -> String {
    let client = plan.client();
    let merchant = client.post("/merchants", &json!({ "name": "Лавка" })).await.unwrap();
    let merchant = merchant["id"].as_str().unwrap().to_owned();
    let endpoint = json!({ "url": subscriber.url("/hook") });
    client.post(&format!("/merchants/{merchant}/endpoints"), &endpoint).await.unwrap();
    let shop =
        json!({ "provider": "cloudpayments", "credentials": { "public_id": "pk_1", "api_secret": "abc" } });
    let shop: Value = client.post(&format!("/merchants/{merchant}/integrations"), &shop).await.unwrap();
    shop["webhook_url"].as_str().unwrap().to_owned()
}
