//! A payment as it usually goes, with bodies of the usual size: held, captured, and both events delivered.

use kassir::domain::delivery::Attempt;
use kassir::domain::{Delivery, DeliveryStatus, Event, EventState, Notification, Payment};
use kassir::store::{Claimed, Commit, PaymentWrite, Tally};
use kassir_providers::State;
use uuid::Uuid;

use crate::store_suite::START;
use crate::store_suite::delivery::settle;
use crate::store_suite::samples::{Shop, attempt, delivery_of, new};

/// A notification's body of about 1.2 KB.
fn body(id: &str, status: &str, number: u64) -> String {
    let (method, account) = (Uuid::new_v4(), 100_000 + number * 7919 % 900_000);
    let card = number * 104_729 % 10_000;
    format!(
        r#"{{"type":"notification","event":"payment.{status}","object":{{"id":"{id}","status":"{status}","amount":{{"value":"{}.00","currency":"RUB"}},"income_amount":{{"value":"{}.35","currency":"RUB"}},"description":"Заказ №{number} в магазине «Цветы на дом», доставка до двери","recipient":{{"account_id":"{account}","gateway_id":"2{account}"}},"payment_method":{{"type":"bank_card","id":"{method}","saved":false,"status":"inactive","title":"Bank card *{card:04}","card":{{"first6":"427{}","last4":"{card:04}","expiry_year":"2029","expiry_month":"07","card_type":"MasterCard","card_product":{{"code":"MCP","name":"MIR Privilege"}},"issuer_country":"RU","issuer_name":"Sberbank Of Russia"}}}},"captured_at":"2026-01-01T00:{:02}:{:02}.{:03}Z","created_at":"2026-01-01T00:00:{:02}.{:03}Z","test":false,"refunded_amount":{{"value":"0.00","currency":"RUB"}},"paid":true,"refundable":true,"metadata":{{"chat_id":"{}","order_id":"{number}"}},"authorization_details":{{"rrn":"{}","auth_code":"{card:06}","three_d_secure":{{"applied":false,"method_completed":false,"challenge_completed":true}}}}}}}}"#,
        900 + number % 97,
        870 + number % 97,
        account % 1000,
        number % 60,
        number % 59,
        number % 1000,
        number % 57,
        number % 991,
        number * 1_000_003 % 999_999_937,
        number * 48_611 % 999_999_937,
    )
}

fn headers(length: usize) -> Vec<(String, String)> {
    let all = [
        ("host", "pay.example.com".to_owned()),
        ("user-agent", "AHC/2.1".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("content-length", length.to_string()),
        ("accept", "*/*".to_owned()),
        ("x-forwarded-for", "185.71.76.5".to_owned()),
        ("x-forwarded-proto", "https".to_owned()),
        ("accept-encoding", "gzip, deflate, br".to_owned()),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// One notification with its event and delivery.
fn step(shop: &Shop, id: &str, state: EventState, number: u64) -> Commit {
    let body = body(id, state.word(), number);
    let tail = format!(
        ",\"provider\":\"yandex_kassa\",\"provider_id\":\"{id}\",\"currency\":\"RUB\",\"amount\":{},\"state\":\"{}\",\
         \"created_at\":{},\"payload\":{body},\"order\":[{{\"name\":\"Букет №{number}\",\"description\":\"Розы\",\
         \"amount\":900}}],\"contact\":{{\"id\":{number},\"name\":\"Дмитрий\",\"messenger\":\"whatsapp\",\
         \"phone\":\"7999{:07}\"}}}}",
        (900 + number % 97) * 100,
        state.word(),
        START / 1000,
        number * 9973 % 10_000_000,
    );
    let headers = headers(body.len());
    let notification =
        Notification { headers, body, peer: Some("185.71.76.5".to_owned()), ..shop.notification() };
    let event = Event { state, tail, notification: Some(notification.id), ..shop.event() };
    let delivery = shop.delivery(&event);
    Commit {
        notification: Some(Notification { event: Some(event.id), ..notification }),
        events: vec![event],
        deliveries: vec![delivery],
        lease: Some(("router-1".to_owned(), 30_000)),
        tallies: vec![Tally { key: format!("event.{}.yookassa", state.word()), by: 1 }],
        ..shop.commit()
    }
}

async fn deliver(shop: &Shop, claimed: &Claimed) {
    let delivery = Delivery {
        status: DeliveryStatus::Delivered,
        attempts: 1,
        round: 1,
        next_attempt_at: None,
        last_status: Some(200),
        ..delivery_of(claimed).clone()
    };
    let attempt =
        Attempt { status: Some(200), error: None, response_excerpt: Some("ok".to_owned()), ..attempt(1) };
    settle(shop, claimed, &delivery, Some(attempt)).await.unwrap();
}

/// A payment with two events, both delivered.
pub async fn paid(shop: &Shop, number: u64) {
    let id = Uuid::new_v4().to_string();
    let first = Payment {
        state: State::WaitingForCapture,
        provider_id: Some(id.clone()),
        description: format!("Заказ №{number} в магазине «Цветы на дом», доставка до двери"),
        ..shop.payment()
    };
    let held = step(shop, &id, EventState::WaitingForCapture, number);
    let committed = shop.write(Commit { payment: Some(new(first.clone(), &[&id])), ..held }).await;
    deliver(shop, &committed.leased[0]).await;

    let (given, version) = committed.payment.unwrap();
    let payment = Box::new(Payment { number: given, version, state: State::Succeeded, ..first });
    let mut captured = step(shop, &id, EventState::Succeeded, number);
    captured.payment = Some(PaymentWrite::Update { payment, links: Vec::new() });
    let committed = shop.write(captured).await;
    deliver(shop, &committed.leased[0]).await;
}
