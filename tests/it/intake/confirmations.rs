//! Notifications that the provider's API has to confirm: what counts then, and when it is given up.

use kassir::domain::notification::NotificationOutcome as Outcome;
use kassir_providers::State;
use serde_json::{Value, json};

use super::cloudpayments;
use crate::world::bank::Bank;
use crate::world::fixture::notice;
use crate::world::{Shop, World};

const HOUR: i64 = 60 * 60 * 1000;

/// A shop whose notifications are not signed, so that its API is asked.
async fn yookassa(world: &World, bank: &Bank) -> Shop {
    let settings = json!({ "api_base": format!("{}/v3", bank.url()) });
    world.shop("yookassa", &[("shop_id", "100500"), ("secret_key", "k")], settings).await
}

pub async fn an_unsigned_notification_waits_for_the_providers_api(world: World) {
    let bank = Bank::start();
    let shop = yookassa(&world, &bank).await;
    let paid = notice(&shop, State::Succeeded, 90_000, "72");
    let object: Value = serde_json::from_slice::<Value>(&paid.body).unwrap()["object"].clone();
    let path = format!("GET /v3/payments/{}", object["id"].as_str().unwrap());
    bank.answer(&path, 500, "{}");
    assert_eq!(world.notify(&shop, &paid).await.status, 200);
    assert_eq!((world.states().await.len(), world.log().await[0].outcome), (0, Outcome::Unproven));
    // The API is down: it is asked again later.
    world.work().await;
    assert_eq!(world.states().await.len(), 0);
    // So it is while the shop's key is wrong: one that is issued anew replaces the old one at once.
    bank.answer(&path, 401, "{}");
    world.clock.advance(60_000);
    world.work().await;
    assert_eq!((world.states().await.len(), bank.asked().len()), (0, 2));
    let log = world.log().await;
    assert!(log[0].reason.contains("shop_id and secret_key"), "{}", log[0].reason);
    bank.answer(&path, 200, object.to_string());
    world.clock.advance(60_000);
    world.work().await;
    assert_eq!(world.states().await, ["succeeded"]);
    let event = &world.events().await[0];
    assert_eq!(event.proven.word(), "confirmed");
    let body: Value = serde_json::from_str(&event.body()).unwrap();
    assert_eq!(body["provider"], "yandex_kassa");
    assert_eq!(body["payload"]["event"], "payment.succeeded");
    let log = world.log().await;
    assert_eq!((log[0].outcome, log[0].proof.as_deref()), (Outcome::Accepted, Some("confirmed")));
    assert!(bank.asked()[0].headers["authorization"].starts_with("Basic "));
}

pub async fn a_forged_amount_of_a_real_payment_does_not_count(world: World) {
    let bank = Bank::start();
    let shop = yookassa(&world, &bank).await;
    let forged = notice(&shop, State::Succeeded, 9_000_000, "72");
    let mut object: Value = serde_json::from_slice::<Value>(&forged.body).unwrap()["object"].clone();
    object["status"] = "pending".into();
    object["amount"]["value"] = "1.00".into();
    bank.answer(&format!("GET /v3/payments/{}", object["id"].as_str().unwrap()), 200, object.to_string());
    world.notify(&shop, &forged).await;
    for _ in 0..40 {
        world.work().await;
        world.clock.advance(3_600_000);
    }
    assert_eq!(world.states().await, [""; 0]);
    let log = world.log().await;
    assert_eq!(log[0].outcome, Outcome::Unproven);
    assert!(log[0].reason.contains("pending"), "{}", log[0].reason);
}

/// A notification that the provider's API has not confirmed at its first try.
async fn unconfirmed(world: &World, bank: &Bank) -> Shop {
    let shop = yookassa(world, bank).await;
    let paid = notice(&shop, State::Succeeded, 10_000, "72");
    let mut object: Value = serde_json::from_slice::<Value>(&paid.body).unwrap()["object"].clone();
    object["status"] = "pending".into();
    bank.answer(&format!("GET /v3/payments/{}", object["id"].as_str().unwrap()), 200, object.to_string());
    world.notify(&shop, &paid).await;
    world.work().await;
    assert_eq!((bank.asked().len(), waiting(world).await), (1, 1));
    shop
}

async fn waiting(world: &World) -> u64 {
    world.router.store.backlog().await.unwrap().waiting
}

pub async fn a_confirmation_without_a_credential_that_opens_is_given_up_in_time(world: World) {
    let bank = Bank::start();
    let shop = unconfirmed(&world, &bank).await;
    let elsewhere = kassir::secrets::Vault::throw_away().unwrap().seal("another", "k").unwrap();
    world
        .change_elsewhere(&shop, |integration| {
            integration.credentials.get_mut("secret_key").unwrap().sealed = elsewhere;
        })
        .await;
    for _ in 0..10 {
        world.clock.advance(HOUR);
        world.work().await;
    }
    let reason = world.log().await.remove(0).reason;
    assert!(reason.starts_with("not confirmed yet: credential secret_key of"), "{reason}");
    assert_eq!(waiting(&world).await, 1);
    for _ in 0..20 {
        world.clock.advance(HOUR);
        world.work().await;
    }
    let entry = world.log().await.remove(0);
    assert!(entry.reason.starts_with("not confirmed in time: credential"), "{}", entry.reason);
    assert_eq!((entry.outcome, waiting(&world).await, bank.asked().len()), (Outcome::Unproven, 0, 1));
}

pub async fn a_confirmation_that_waited_for_the_router_is_asked_about_once_more(world: World) {
    let bank = Bank::start();
    unconfirmed(&world, &bank).await;
    world.clock.advance(30 * HOUR);
    world.work().await;
    assert_eq!((bank.asked().len(), waiting(&world).await), (2, 0));
    assert!(world.log().await[0].reason.contains("not confirmed in time"));
}

pub async fn a_confirmation_whose_tries_do_not_end_is_given_up(world: World) {
    let bank = Bank::start();
    unconfirmed(&world, &bank).await;
    // As if the lease had ended in the middle of each try since.
    world.clock.advance(50 * HOUR);
    world.work().await;
    assert_eq!((bank.asked().len(), waiting(&world).await), (1, 0), "no further try is begun");
    assert!(world.log().await[0].reason.contains("no try came to its end"));
}

pub async fn what_else_a_forged_notification_says_of_a_real_payment_does_not_count(world: World) {
    let bank = Bank::start();
    let settings = json!({
        "api_base": format!("{}/v3", bank.url()),
        "contact_from": { "id": "/object/metadata/chat_id", "messenger": "=telegram" },
        "order_from": { "name": "/object/metadata/order_id" },
    });
    let shop = world.shop("yookassa", &[("shop_id", "100500"), ("secret_key", "k")], settings).await;
    let mut forged = notice(&shop, State::Succeeded, 10_000, "72");
    let mut body: Value = serde_json::from_slice(&forged.body).unwrap();
    body["object"]["metadata"] = json!({ "order_id": "72", "chat_id": "payer" });
    let object = body["object"].to_string();
    bank.answer(&format!("GET /v3/payments/{}", body["object"]["id"].as_str().unwrap()), 200, &*object);
    body["object"]["metadata"] = json!({ "order_id": "1", "chat_id": "somebody" });
    body["object"]["description"] = "forged".into();
    forged.body = body.to_string().into_bytes();
    assert_eq!(world.notify(&shop, &forged).await.status, 200);
    world.work().await;
    assert_eq!(world.states().await, ["succeeded"]);
    let event = world.events().await[0].body();
    let payload =
        format!(r#""payload":{{"type":"notification","event":"payment.succeeded","object":{object}}}"#);
    assert!(event.contains(&payload), "{event}");
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!((&event["contact"]["id"], &event["order"][0]["name"]), (&json!("payer"), &json!("72")));
}

pub async fn what_is_signed_keeps_its_own_words_when_the_api_is_asked_too(world: World) {
    let bank = Bank::start();
    let shop = cloudpayments(&world, json!({ "api_base": bank.url(), "confirm": "always" })).await;
    let notice = notice(&shop, State::Succeeded, 10_000, "72");
    let body = String::from_utf8(notice.body.clone()).unwrap();
    let id = body.split('&').find_map(|pair| pair.strip_prefix("TransactionId=")).unwrap();
    let model = json!({
        "TransactionId": id.parse::<u64>().unwrap(), "Amount": 100.0, "Currency": "RUB", "InvoiceId": "72",
        "Status": "Completed", "TestMode": false,
    });
    bank.answer("POST /payments/get", 200, json!({ "Model": model, "Success": true }).to_string());
    assert_eq!(world.notify(&shop, &notice).await.status, 200);
    assert_eq!(world.log().await[0].outcome, Outcome::Unproven);
    world.work().await;
    assert_eq!(world.states().await, ["succeeded"]);
    let event: Value = serde_json::from_str(&world.events().await[0].body()).unwrap();
    assert_eq!(event["payload"]["TransactionId"], id, "{event}");
    assert!(event["payload"].get("Model").is_none(), "{event}");
}
