//! What goes in comes out: every field, every character, every byte of a body.

use kassir::domain::config::InboundToken;
use kassir::domain::delivery::ReplayMark;
use kassir::domain::ids::{IntegrationId, NotificationId, ReplayId};
use kassir::domain::notification::GivenAnswer;
use kassir::domain::payment::{Origin, Refund};
use kassir::domain::{
    Attempt, Delivery, Endpoint, Event, Integration, Merchant, Notification, Payment, Proven, Sealed,
};
use kassir::store::{Commit, ConfigChange, Settle, SettleEnd};
use kassir_providers::operation::{Contact, OrderLine};
use kassir_providers::{Currency, Money, Settings, State};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

use super::samples::{Shop, attempt, delivery_of, endpoint, id, integration, merchant, new, shop, token};
use super::{Bench, START};

/// Text that stores and formats like to get wrong.
const ODD: [&str; 8] = [
    "",
    "nul \0 in the middle, and at the end\0",
    "Кириллица, ґ, 中文, 🦀👩‍👩‍👧, e\u{301}",
    "\u{feff}bom \u{202e}rtl \u{2028}\u{2029} \u{10ffff}",
    "quotes ' \" ` \\ \\u0000 ; -- DROP TABLE payment",
    "\r\n\t\u{1}\u{1f}\u{7f}",
    "{tag} ${x} %s :key ?1 *",
    "  spaces around  ",
];

fn full_payment(shop: &Shop, text: &str) -> Payment {
    let text = || text.to_owned();
    let rubles = |minor| Money { minor, currency: Currency::RUB };
    let line = OrderLine { name: text(), description: Some(text()), amount: rubles(i64::MAX) };
    let contact = Contact {
        id: json!(12_345_678_901_234_567_890_u64),
        name: Some(text()),
        messenger: Some(text()),
        phone: Some(text()),
    };
    let numbers = r#"{"z":1.50,"a":[-0.0,1e400,12345678901234567890.10,null,true,{},[]],"":""}"#;
    let mut metadata: Map<String, Value> = serde_json::from_str(numbers).unwrap();
    metadata.insert(text(), text().into());
    Payment {
        origin: Origin::Api,
        state: State::WaitingForCapture,
        expired_by_us: true,
        amount: rubles(i64::MAX),
        captured: Some(i64::MIN),
        refunds: vec![Refund { id: text(), amount: 1, at: i64::MAX }],
        provider_id: Some(text()),
        reference: Some(text()),
        operation_key: Some(text()),
        saved_method: Some(text()),
        method: Some(text()),
        pay_url: Some(text()),
        hold: true,
        test: true,
        description: text(),
        order: vec![line],
        contact: Some(contact),
        email: Some(text()),
        return_url: Some(text()),
        metadata,
        reason: Some(text()),
        expires_at: Some(i64::MAX),
        created_at: -1,
        updated_at: i64::MAX,
        ..shop.payment()
    }
}

fn full_notification(shop: &Shop, text: &str) -> Notification {
    let text = || text.to_owned();
    Notification {
        provider: text(),
        kind: Some(text()),
        reason: text(),
        diagnosis: Some(text()),
        warnings: vec![text(), text()],
        proof: Some(text()),
        payment: None,
        event: Some(kassir::domain::ids::EventId(id())),
        answer: GivenAnswer { status: 503, body: text() },
        peer: Some(text()),
        method: text(),
        query: text(),
        headers: vec![(text(), text()), (text(), text())],
        body: text(),
        body_is_base64: true,
        received_at: i64::MIN,
        ..shop.notification()
    }
}

fn full_event(shop: &Shop, text: &str) -> Event {
    Event {
        payment: u32::MAX,
        proven: Proven::Confirmed,
        test: true,
        notification: Some(NotificationId(id())),
        created_at: START - 1,
        tail: text.to_owned(),
        ..shop.event()
    }
}

fn full_delivery(shop: &Shop, event: &Event, text: &str) -> Delivery {
    let text = || text.to_owned();
    let mark = ReplayMark { actor: text(), reason: Some(text()), replay: Some(ReplayId(id())) };
    Delivery {
        provider: text(),
        attempts: u32::MAX,
        round: 3,
        resume_at: Some(i64::MAX),
        replay: Some(mark),
        replayed_by: Some(ReplayId(id())),
        last_status: Some(u16::MAX),
        last_error: Some(text()),
        created_at: i64::MAX,
        updated_at: i64::MIN,
        ..shop.delivery(event)
    }
}

/// Writes a record of each kind with this text everywhere, and reads them again.
async fn check(shop: &Shop, text: &str) {
    let (store, merchant) = (&shop.store, shop.merchant);
    let payment = full_payment(shop, text);
    let notification = full_notification(shop, text);
    let event = full_event(shop, text);
    let delivery = full_delivery(shop, &event, text);
    // One link per round, so that the same text may come again.
    let link = format!("{text}{}", notification.id);
    let commit = Commit {
        payment: Some(new(payment.clone(), &[&link])),
        notification: Some(notification.clone()),
        events: vec![event.clone()],
        deliveries: vec![delivery.clone()],
        ..shop.commit()
    };
    let (number, version) = shop.write(commit).await.payment.unwrap();
    let stored = store.payment(merchant, number).await.unwrap();
    assert_eq!(stored, Some(Payment { number, version, ..payment }));
    let ask = kassir::store::LookUp {
        merchant,
        integration: shop.integration,
        provider_ids: vec![link.clone()],
        numbers: Vec::new(),
    };
    assert_eq!(store.look_up(&ask).await.unwrap().by_provider_id.remove(&link), stored);
    assert_eq!(store.notification(merchant, notification.id).await.unwrap(), Some(notification));
    assert_eq!(store.event(merchant, event.id).await.unwrap(), Some(event));
    let claimed = shop.claim().await.work.remove(0);
    let given = delivery_of(&claimed);
    assert_eq!(given, &Delivery { version: given.version, ..delivery });

    let words = || Some(text.to_owned());
    let (number, at, duration_ms, status) = (u32::MAX, i64::MAX, u32::MAX, None);
    let (error, response_excerpt, remote_ip) = (words(), words(), words());
    let attempt = Attempt {
        number,
        at,
        duration_ms,
        status,
        error,
        response_excerpt,
        remote_ip,
        replay: true,
        excused: true,
        sent_again: true,
    };
    let over = Box::new(Delivery { next_attempt_at: None, ..given.clone() });
    let end = SettleEnd::Delivery { delivery: over, attempt: Some(attempt.clone()) };
    store
        .settle(Settle { fence: claimed.fence, merchant, end, hold: None, tallies: Vec::new() })
        .await
        .unwrap();
    assert_eq!(store.attempts(merchant, given.id).await.unwrap(), [attempt]);
}

pub async fn every_field_comes_back(bench: Bench) {
    let shop = shop(&bench).await;
    check(&shop, "plain").await;
    // And what people set up.
    let own = json!({ "hash": "sha512", "number": 12.50, "list": ["a", 1], "nested": { "z": 1, "a": null } });
    let settings = Settings {
        api_base: Some("https://api.example".to_owned()),
        manual_capture: true,
        contact_from: Some([("id".to_owned(), "/object/id".to_owned())].into()),
        own: own.as_object().unwrap().clone(),
        ..Settings::default()
    };
    let second = InboundToken { expires_at: Some(START + 1), ..token() };
    let mut full = Integration { settings, updated_at: i64::MAX, ..integration(shop.merchant) };
    full.tokens.push(second);
    let wide = Endpoint {
        description: ODD.concat(),
        providers: vec!["yookassa".to_owned()],
        integrations: vec![IntegrationId(id())],
        headers: [("X-Ж".to_owned(), Sealed(ODD[4].to_owned()))].into(),
        timeout_s: None,
        rate_per_s: Some(u32::MAX),
        max_in_flight: None,
        ordered: false,
        enabled: false,
        disabled_reason: Some("gone".to_owned()),
        ..endpoint(shop.merchant)
    };
    let put = async |change| shop.store.change_config(shop.merchant, change, None).await.unwrap();
    put(ConfigChange::PutIntegration(Box::new(full.clone()))).await;
    put(ConfigChange::PutEndpoint(Box::new(wide.clone()))).await;
    let renamed = Merchant { id: shop.merchant, name: ODD.concat(), first_payment: u32::MAX, ..merchant() };
    put(ConfigChange::UpdateMerchant(renamed.clone())).await;
    let loaded = shop.store.config(shop.merchant).await.unwrap().unwrap();
    assert_eq!(loaded.merchant, renamed);
    assert_eq!(loaded.integration(full.id), Some(&full));
    assert_eq!(loaded.endpoint(wide.id), Some(&wide));
}

pub async fn odd_text_comes_back(bench: Bench) {
    let shop = shop(&bench).await;
    for text in ODD {
        check(&shop, text).await;
    }
}

pub async fn large_fields_come_back(bench: Bench) {
    let shop = shop(&bench).await;
    check(&shop, &"Ж\0\"x".repeat(64 * 1024)).await;
}

pub async fn a_body_keeps_its_bytes(mut bench: Bench) {
    let mut shop = shop(&bench).await;
    let tail = ",\"amount\":1.10,\"big\":12345678901234567890.000,\"b\":1,\"a\": 2 ,\"t\":\"\\u0416\\/\"}";
    let event = Event { tail: tail.to_owned(), ..shop.event() };
    let (first, id) = (shop.delivery(&event), event.id);
    let payment = Some(new(shop.payment(), &[]));
    shop.write(Commit { payment, events: vec![event], deliveries: vec![first], ..shop.commit() }).await;
    let expected = format!("{{\"id\":1{tail}");
    for _ in 0..2 {
        assert_eq!(shop.store.event(shop.merchant, id).await.unwrap().unwrap().body(), expected);
        let listed =
            shop.store.events(shop.merchant, &Default::default(), &Default::default()).await.unwrap();
        assert_eq!(listed.rows[0].body(), expected);
        let claimed = shop.claim().await.work.remove(0);
        match &claimed.material {
            kassir::store::Material::Delivery { event, .. } => assert_eq!(event.body(), expected),
            other @ kassir::store::Material::Job(_) => panic!("{other:?}"),
        }
        let end = SettleEnd::Delivery {
            delivery: Box::new(delivery_of(&claimed).clone()),
            attempt: Some(attempt(1)),
        };
        let settle =
            Settle { fence: claimed.fence, merchant: shop.merchant, end, hold: None, tallies: Vec::new() };
        shop.store.settle(settle).await.unwrap();
        bench.restart().await;
        shop.store = bench.store.clone();
    }
}

pub async fn any_text_comes_back(bench: Bench) {
    let shop = shop(&bench).await;
    let mut runner = TestRunner::default();
    let texts = proptest::collection::vec(proptest::char::any(), 0..60);
    for _ in 0..32 {
        let text: String = texts.new_tree(&mut runner).unwrap().current().into_iter().collect();
        check(&shop, &text).await;
    }
}
