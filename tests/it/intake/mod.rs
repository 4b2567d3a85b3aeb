//! Receiving, black-box: notifications over sockets, answers to the byte, events, the inbound log. The same on every
//! store.

mod confirmations;

use kassir::domain::event::EventState;
use kassir::domain::ids::IntegrationId;
use kassir::domain::notification::NotificationOutcome as Outcome;
use kassir::domain::{Endpoint, Integration};
use kassir::store::{ConfigChange, DeliveryFilter, Page};
use kassir_providers::{Method, State};
use serde_json::{Value, json};

use self::confirmations::*;
use crate::robokassa::CREDENTIALS;
use crate::store_suite::samples;
use crate::world::bank::Bank;
use crate::world::fixture::{notice, notice_of_kind, refund};
use crate::world::{Answered, Shop, World, config};

const SECRET: &str = "0b1c2d3e4f5061728394a5b6c7d8e9f0";

async fn cloudpayments(world: &World, settings: Value) -> Shop {
    world.shop("cloudpayments", &[("public_id", "pk_1"), ("api_secret", SECRET)], settings).await
}

async fn robokassa(world: &World, settings: Value) -> Shop {
    world.shop("robokassa", &CREDENTIALS, settings).await
}

fn answered(status: u16, body: &str) -> Answered {
    Answered { status, body: body.to_owned() }
}

pub async fn a_signed_notification_becomes_one_event(world: World) {
    let shop = cloudpayments(&world, json!({})).await;
    let paid = notice(&shop, State::Succeeded, 149_990, "order-1");
    assert_eq!(world.notify(&shop, &paid).await, answered(200, r#"{"code":0}"#));
    assert_eq!(world.states().await, ["succeeded"]);
    let event: Value = serde_json::from_str(&world.events().await[0].body()).unwrap();
    assert_eq!(event["id"], json!(1));
    assert_eq!(event["amount"].to_string(), "149990");
    assert_eq!(event["provider"], "cloudpayments");
    assert_eq!(event["payload"]["InvoiceId"], "order-1");
    let log = world.log().await;
    assert_eq!((log.len(), log[0].outcome, log[0].payment), (1, Outcome::Accepted, Some(1)));
    assert_eq!(log[0].answer.body, r#"{"code":0}"#);
}

pub async fn the_same_again_is_answered_the_same_and_is_no_second_event(world: World) {
    let shop = robokassa(&world, json!({})).await;
    let paid = notice(&shop, State::Succeeded, 10_000, "77");
    for _ in 0..3 {
        assert_eq!(world.notify(&shop, &paid).await, answered(200, "OK77"));
    }
    assert_eq!(world.states().await, ["succeeded"]);
    let outcomes: Vec<_> = world.log().await.iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::Duplicate, Outcome::Duplicate, Outcome::Accepted]);
}

pub async fn a_hundred_at_once_are_one_event(world: World) {
    let shop = robokassa(&world, json!({})).await;
    let paid = notice(&shop, State::Succeeded, 10_000, "77");
    let all = (0..100).map(|_| world.notify(&shop, &paid));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer, answered(200, "OK77"));
    }
    assert_eq!(world.states().await, ["succeeded"]);
}

pub async fn late_notifications_change_nothing(world: World) {
    let shop = cloudpayments(&world, json!({})).await;
    let held = notice(&shop, State::WaitingForCapture, 50_000, "o");
    let confirmed = notice_of_kind(&shop, "confirm", State::Succeeded, 40_000, "o");
    world.notify(&shop, &held).await;
    world.notify(&shop, &confirmed).await;
    assert_eq!(world.notify(&shop, &held).await, answered(200, r#"{"code":0}"#));
    assert_eq!(world.states().await, ["waiting_for_capture", "succeeded"]);
    assert_eq!(world.log().await[0].outcome, Outcome::Ignored);
}

pub async fn refunds_add_up(world: World) {
    let shop = cloudpayments(&world, json!({})).await;
    world.notify(&shop, &notice(&shop, State::Succeeded, 50_000, "o")).await;
    let part = refund(&shop, 20_000, "o");
    world.notify(&shop, &part).await;
    world.notify(&shop, &part).await;
    assert_eq!(world.states().await, ["succeeded", "partially_refunded"]);
    let event: Value = serde_json::from_str(&world.events().await[0].body()).unwrap();
    assert_eq!(event["refund"]["amount"].to_string(), "20000");
    assert_eq!(event["amount"].to_string(), "50000");
}

pub async fn a_refund_that_came_before_its_payment_is_not_lost(world: World) {
    // The provider's API does not help.
    let bank = Bank::start();
    let shop = cloudpayments(&world, json!({ "api_base": bank.url() })).await;
    world.notify(&shop, &refund(&shop, 20_000, "o")).await;
    world.work().await;
    assert_eq!((world.states().await.len(), world.log().await[0].outcome), (0, Outcome::Unproven));
    world.notify(&shop, &notice(&shop, State::Succeeded, 50_000, "o")).await;
    world.clock.advance(60_000);
    world.work().await;
    assert_eq!(world.states().await, ["succeeded", "partially_refunded"]);
}

pub async fn a_refund_that_overtakes_the_success_of_a_second_attempt_is_not_lost(world: World) {
    let bank = Bank::start();
    let shop = cloudpayments(&world, json!({ "api_base": bank.url() })).await;
    world.notify(&shop, &notice(&shop, State::WaitingForCapture, 50_000, "o")).await;
    world.notify(&shop, &notice(&shop, State::Canceled, 50_000, "o")).await;
    // The success was told to come again, and the refund is quicker.
    world.notify(&shop, &refund(&shop, 20_000, "o")).await;
    world.work().await;
    let so_far = vec!["waiting_for_capture", "canceled"];
    assert_eq!((world.states().await, world.log().await[0].outcome), (so_far.clone(), Outcome::Unproven));
    world.notify(&shop, &notice(&shop, State::Succeeded, 50_000, "o")).await;
    world.clock.advance(60_000);
    world.work().await;
    assert_eq!(world.states().await, [so_far, vec!["succeeded", "partially_refunded"]].concat());
}

pub async fn a_refund_of_what_stays_canceled_is_a_mismatch_in_the_end(world: World) {
    let bank = Bank::start();
    let shop = cloudpayments(&world, json!({ "api_base": bank.url() })).await;
    let canceled = notice(&shop, State::Canceled, 50_000, "o");
    let form = kassir_providers::form::Form::parse(&canceled.body).unwrap();
    let id: i64 = form.get("TransactionId").unwrap().parse().unwrap();
    let model = json!({ "TransactionId": id, "Amount": 500.0, "Currency": "RUB", "InvoiceId": "o", "Type": 0,
        "Status": "Cancelled", "StatusCode": 4, "TestMode": false, "CreatedDateIso": "2026-02-25T19:08:11" });
    bank.answer("POST /payments/get", 200, json!({ "Model": model, "Success": true }).to_string());
    world.notify(&shop, &canceled).await;
    world.notify(&shop, &refund(&shop, 20_000, "o")).await;
    world.work().await;
    assert_eq!(world.log().await[0].outcome, Outcome::Unproven);
    while world.work().await > 0 || world.router.store.backlog().await.unwrap().waiting > 0 {
        world.clock.advance(3_600_000);
    }
    assert_eq!((world.states().await, world.log().await[0].outcome), (vec!["canceled"], Outcome::Mismatch));
}

pub async fn deliveries_know_the_order_of_their_payments_events(world: World) {
    let shop = cloudpayments(&world, json!({})).await;
    let endpoint = Endpoint {
        states: vec![EventState::Succeeded, EventState::PartiallyRefunded],
        providers: Vec::new(),
        integrations: Vec::new(),
        // Nothing is sent.
        enabled: false,
        ..samples::endpoint(world.merchant)
    };
    let store = &world.router.store;
    store.change_config(world.merchant, ConfigChange::PutEndpoint(Box::new(endpoint)), None).await.unwrap();
    world.router.services.registry.forget(world.merchant);
    world.notify(&shop, &notice(&shop, State::Succeeded, 50_000, "o")).await;
    // Taken by a router whose clock is behind.
    world.clock.advance(-5_000);
    world.notify(&shop, &refund(&shop, 20_000, "o")).await;
    let page = Page { limit: 9, before: None };
    let deliveries = store.deliveries(world.merchant, &DeliveryFilter::default(), &page).await.unwrap().rows;
    let mut order: Vec<_> = deliveries.iter().map(|delivery| (delivery.after, delivery.state)).collect();
    order.sort_by_key(|(after, _)| *after);
    let states: Vec<_> = order.iter().map(|(_, state)| *state).collect();
    assert_eq!(states, [EventState::Succeeded, EventState::PartiallyRefunded]);
    assert!(order[0].0 < order[1].0, "{order:?}");
}

pub async fn forged_notifications_are_refused_and_shown(world: World) {
    let (cloud, robo) = (cloudpayments(&world, json!({})).await, robokassa(&world, json!({})).await);
    let mut forged = notice(&cloud, State::Succeeded, 100, "o");
    forged.body = String::from_utf8(forged.body).unwrap().replace("Amount=1.00", "Amount=9.00").into_bytes();
    assert!(world.notify(&cloud, &forged).await.status >= 400);
    let mut forged = notice(&robo, State::Succeeded, 10_000, "77");
    forged.body = String::from_utf8(forged.body).unwrap().replace("InvId=77", "InvId=78").into_bytes();
    assert!(world.notify(&robo, &forged).await.status >= 400);
    let yoo = world
        .shop("yookassa", &[("shop_id", "100500"), ("secret_key", "k")], json!({ "source_ips": "enforce" }))
        .await;
    let from_elsewhere = notice(&yoo, State::Succeeded, 10_000, "78");
    assert_eq!(world.notify(&yoo, &from_elsewhere).await.status, 403);
    assert_eq!(world.states().await, [""; 0]);
    let log = world.log().await;
    assert_eq!(log.len(), 3);
    assert!(log.iter().all(|entry| entry.outcome == Outcome::Rejected && !entry.reason.is_empty()));
    let shown = serde_json::to_string(&log).unwrap();
    assert!(!shown.contains(SECRET) && !shown.contains("Pass2_asd"));
}

pub async fn what_another_router_changed_counts_at_once(world: World) {
    let mut shop = cloudpayments(&world, json!({})).await;
    let yoo = [("shop_id", "100500"), ("secret_key", "k")];
    let yoo = world.shop("yookassa", &yoo, json!({ "confirm": "never" })).await;
    let paid = |shop: &Shop, reference: &str| notice(shop, State::Succeeded, 10_000, reference);
    assert_eq!(world.notify(&shop, &paid(&shop, "1")).await.status, 200);
    assert_eq!(world.notify(&yoo, &paid(&yoo, "1")).await.status, 200);
    assert_eq!(world.states().await.len(), 1);

    // The secret leaked and was replaced.
    let forged = paid(&shop, "2");
    let fresh = "another-secret";
    world
        .change_elsewhere(&shop, |integration| {
            let owner = kassir::registry::credential_owner(integration.id, "api_secret");
            integration.credentials.get_mut("api_secret").unwrap().sealed =
                world.vault.seal(&owner, fresh).unwrap();
        })
        .await;
    assert_eq!(world.notify(&shop, &forged).await.status, 403);
    assert_eq!(world.log().await[0].outcome, Outcome::Rejected);
    shop.account.credentials.insert("api_secret".to_owned(), kassir_providers::Secret::new(fresh));
    assert_eq!(world.notify(&shop, &paid(&shop, "3")).await, answered(200, r#"{"code":0}"#));
    assert_eq!(world.states().await.len(), 2);

    // What is signed is confirmed all the same.
    world
        .change_elsewhere(&shop, |integration| {
            integration.settings.confirm = kassir_providers::account::Confirm::Always;
        })
        .await;
    assert_eq!(world.notify(&shop, &paid(&shop, "4")).await.status, 200);
    assert_eq!(world.log().await[0].outcome, Outcome::Unproven);
    // Others' networks are refused.
    world
        .change_elsewhere(&yoo, |integration| {
            integration.settings.source_ips = Some(kassir_providers::account::SourceIps::Enforce);
        })
        .await;
    assert_eq!(world.notify(&yoo, &paid(&yoo, "4")).await.status, 403);
    // The URL ended.
    let now = kassir::clock::Clock::now(&*world.clock);
    world.change_elsewhere(&shop, |integration| integration.tokens[0].expires_at = Some(now)).await;
    assert_eq!(world.notify(&shop, &paid(&shop, "5")).await.status, 404);
    assert_eq!((world.states().await.len(), world.log().await.len()), (2, 6));
}

pub async fn a_url_that_another_router_moved_goes_on(world: World) {
    let shop = cloudpayments(&world, json!({})).await;
    let paid = |reference: &str| notice(&shop, State::Succeeded, 10_000, reference);
    assert_eq!(world.notify(&shop, &paid("1")).await, answered(200, r#"{"code":0}"#));
    // Its token goes to another integration, which has the same account.
    let mut moved = None;
    world
        .change_elsewhere(&shop, |integration| {
            let tokens = std::mem::take(&mut integration.tokens);
            moved = Some(Integration { tokens, ..integration.clone() });
        })
        .await;
    let id = IntegrationId(samples::id());
    let mut moved = Integration { id, ..moved.unwrap() };
    for (key, stored) in &mut moved.credentials {
        let secret = shop.account.credentials[key].expose();
        stored.sealed = world.vault.seal(&kassir::registry::credential_owner(id, key), secret).unwrap();
    }
    let store = &world.router.store;
    store.change_config(world.merchant, ConfigChange::PutIntegration(Box::new(moved)), None).await.unwrap();
    for reference in ["2", "3"] {
        assert_eq!(world.notify(&shop, &paid(reference)).await, answered(200, r#"{"code":0}"#));
        assert_eq!(world.events().await[0].integration, id);
    }
    // Then it ends there.
    world.change_elsewhere(&shop, |integration| integration.tokens.clear()).await;
    assert_eq!(world.notify(&shop, &paid("4")).await.status, 404);
    assert_eq!(world.states().await.len(), 3);
}

pub async fn questions_are_answered_from_what_we_know(world: World) {
    let shop = cloudpayments(&world, json!({})).await;
    let ask = |minor, reference: &str| notice_of_kind(&shop, "check", State::Succeeded, minor, reference);
    assert_eq!(world.notify(&shop, &ask(100, "7")).await, answered(200, r#"{"code":10}"#));
    let willing = cloudpayments(&world, json!({ "unknown_payments": "accept" })).await;
    let question = notice_of_kind(&willing, "check", State::Succeeded, 100, "7");
    assert_eq!(world.notify(&willing, &question).await, answered(200, r#"{"code":0}"#));
    assert_eq!(world.states().await, [""; 0]);
}

pub async fn unknown_payments_can_be_refused(world: World) {
    let shop = cloudpayments(&world, json!({ "unknown_payments": "reject" })).await;
    let answer = world.notify(&shop, &notice(&shop, State::Succeeded, 100, "7")).await;
    assert_ne!(answer, answered(200, r#"{"code":0}"#));
    assert_eq!(world.states().await, [""; 0]);
    assert_eq!(world.log().await[0].outcome, Outcome::Rejected);
}

pub async fn modes_decide_what_becomes_an_event(world: World) {
    let observing = cloudpayments(&world, json!({ "mode": "observe" })).await;
    world.notify(&observing, &notice(&observing, State::Succeeded, 100, "7")).await;
    assert_eq!(world.states().await, [""; 0]);
    assert_eq!(world.log().await[0].outcome, Outcome::Ignored);
}

pub async fn contact_and_order_are_taken_from_the_payload(world: World) {
    let settings = json!({
        "contact_from": { "id": "AccountId", "messenger": "=telegram", "name": "Name" },
        "order_from": { "name": "Description" },
    });
    let shop = cloudpayments(&world, settings).await;
    world.notify(&shop, &notice(&shop, State::Succeeded, 90_050, "7")).await;
    let event: Value = serde_json::from_str(&world.events().await[0].body()).unwrap();
    if event["payload"]["AccountId"].as_str().is_some_and(|account| !account.is_empty()) {
        assert_eq!(event["contact"]["id"], event["payload"]["AccountId"]);
        assert_eq!(event["contact"]["messenger"], "telegram");
    }
    assert_eq!(event["order"][0]["name"], "Заказ № 7");
    assert_eq!(event["order"][0]["amount"].to_string(), "900.5");
}

pub async fn what_is_no_notification_gets_a_clear_answer(world: World) {
    let shop = cloudpayments(&world, json!({})).await;
    let base = world.router.url();
    let post = |url: String, body: Vec<u8>| {
        let world = &world;
        async move { world.send(Method::Post, &url, Vec::new(), body).await }
    };
    assert_eq!(post(format!("{base}/webhooks/cloudpayments/nosuchtoken"), Vec::new()).await.status, 404);
    assert_eq!(post(shop.url.replace("cloudpayments", "robokassa"), Vec::new()).await.status, 404);
    let large = post(format!("{}/pay", shop.url), vec![b'x'; 300 * 1024]).await;
    assert_eq!(large.status, 413);
    assert!(large.body.contains("262144"));
    assert_eq!(world.send(Method::Delete, &shop.url, Vec::new(), Vec::new()).await.status, 405);
    assert_eq!(
        world.send(Method::Get, &format!("{}/pay", shop.url), Vec::new(), Vec::new()).await.status / 100,
        4
    );
    let yoo = world.shop("yookassa", &[("shop_id", "1"), ("secret_key", "k")], json!({})).await;
    assert_eq!(post(yoo.url.clone(), b"{not json".to_vec()).await.status, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_what_proves_nothing_and_says_nothing_is_not_kept() {
    let bench = crate::sqlite::fresh().await;
    let one_a_minute = config(&[("KASSIR__INTAKE__REFUSED_KEPT_PER_MINUTE", "1")]);
    let world = World::over(bench.store.clone(), bench.clock.clone(), one_a_minute).await;
    let yoo = world.shop("yookassa", &[("shop_id", "100500"), ("secret_key", "k")], json!({})).await;
    let body = format!(
        r#"{{"type":"notification","event":"payout.x","object":{{}},"padding":"{}"}}"#,
        "x".repeat(200_000)
    );
    let send = || world.send(Method::Post, &yoo.url, Vec::new(), body.clone().into_bytes());
    for _ in 0..15 {
        assert_eq!(send().await, answered(200, "OK"));
    }
    let log = world.log().await;
    // Ten times the budget of refused ones.
    assert_eq!(log.len(), 10);
    assert!(log.iter().all(|entry| entry.outcome == Outcome::Ignored && entry.body.len() <= 8_192));
    assert!(log[0].warnings.iter().any(|warning| warning.contains("8192")), "{:?}", log[0].warnings);
    world.clock.advance(60_000);
    assert_eq!(send().await, answered(200, "OK"));
    assert_eq!(world.log().await.len(), 11);
}

/// Makes a test of each property for a store.
macro_rules! on {
    ($name:ident, $factory:path: $($property:ident)*) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $property() {
                    super::$property(crate::world::World::on($factory().await).await).await;
                }
            )*
        }
    };
}

macro_rules! on_every_store {
    ($($property:ident)*) => {
        on! { sqlite, crate::sqlite::fresh: $($property)* }
        on! { redis, crate::redis_store::fresh: $($property)* }
        on! { cluster, crate::redis_store::fresh_in_cluster: $($property)* }
    };
}

on_every_store! {
    a_signed_notification_becomes_one_event
    the_same_again_is_answered_the_same_and_is_no_second_event
    a_hundred_at_once_are_one_event
    late_notifications_change_nothing
    refunds_add_up
    a_refund_that_came_before_its_payment_is_not_lost
    a_refund_that_overtakes_the_success_of_a_second_attempt_is_not_lost
    a_refund_of_what_stays_canceled_is_a_mismatch_in_the_end
    deliveries_know_the_order_of_their_payments_events
    forged_notifications_are_refused_and_shown
    an_unsigned_notification_waits_for_the_providers_api
    a_forged_amount_of_a_real_payment_does_not_count
    a_confirmation_without_a_credential_that_opens_is_given_up_in_time
    a_confirmation_that_waited_for_the_router_is_asked_about_once_more
    a_confirmation_whose_tries_do_not_end_is_given_up
    what_else_a_forged_notification_says_of_a_real_payment_does_not_count
    what_is_signed_keeps_its_own_words_when_the_api_is_asked_too
    what_another_router_changed_counts_at_once
    a_url_that_another_router_moved_goes_on
    questions_are_answered_from_what_we_know
    unknown_payments_can_be_refused
    modes_decide_what_becomes_an_event
    contact_and_order_are_taken_from_the_payload
    what_is_no_notification_gets_a_clear_answer
}
