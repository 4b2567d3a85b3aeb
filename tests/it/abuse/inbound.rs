//! What providers and forgers send: repeated, contradicting, unprovable, disguised, oddly written.

use kassir::domain::notification::NotificationOutcome as Outcome;
use kassir_providers::State;
use serde_json::{Value, json};

use crate::faults::{Receiver, UNCOUNTED, print, shop, size};
use crate::process::Plan;
use crate::raw::{Raw, post};
use crate::redis_server::{DURABLE, Server};
use crate::robokassa::paid;
use crate::world::bank::{Bank, Reply};
use crate::world::fixture::{notice, notice_of_kind};
use crate::world::{Shop, World, config};

const SECRET: &str = "0b1c2d3e4f5061728394a5b6c7d8e9f0";
/// A network that YooKassa publishes as its own.
const OF_YOOKASSA: &str = "185.71.76.1";

async fn cloudpayments(world: &World) -> Shop {
    world.shop("cloudpayments", &[("public_id", "pk_1"), ("api_secret", SECRET)], json!({})).await
}

async fn yookassa(world: &World, settings: Value) -> Shop {
    world.shop("yookassa", &[("shop_id", "100500"), ("secret_key", "k")], settings).await
}

async fn on_sqlite() -> World {
    World::on(crate::sqlite::fresh().await).await
}

/// The same notification a hundred times at once, at two routers: one event, a hundred equal answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_at_two_routers() {
    let (server, folder) = (Server::start(DURABLE), tempfile::tempdir().unwrap());
    let plans = [Plan::on(folder.path(), &server.url()), Plan::on(folder.path(), &server.url())];
    let (first, second) = (plans[0].start().await, plans[1].start().await);
    let receiver = Receiver::start();
    let shop = shop(&[&plans[0], &plans[1]], &receiver.url).await;
    let orders: Vec<usize> = (1..=size(3, 50)).collect();
    for order in &orders {
        let all = (0..100).map(|number| {
            let url = shop.urls[number % 2].clone();
            async move {
                let mut connection = Raw::to(&url).await;
                loop {
                    connection.send(&post(&url, &paid(*order))).await;
                    // On a busy machine some hear "later", and repeat, as the provider would.
                    match connection.answer().await {
                        Some((500.., _)) => {}
                        answer => return answer,
                    }
                }
            }
        });
        for answer in futures_util::future::join_all(all).await {
            assert_eq!(answer, Some((200, format!("OK{order}"))));
        }
    }
    receiver.wait_for(&orders).await;
    assert_eq!((first.terminate().await, second.terminate().await), (Some(0), Some(0)));
    receiver.assert_one_event_each();
    let counts = receiver.counts(&orders);
    counts.print("I1", &[("sent", &(orders.len() * 100))]);
    assert_eq!((counts.lost, counts.duplicated), (0, 0));
}

/// The same id with another amount: kept and shown as a mismatch, and it changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn another_amount_is_kept_as_a_conflict() {
    let world = on_sqlite().await;
    let shop = cloudpayments(&world).await;
    world.notify(&shop, &notice(&shop, State::WaitingForCapture, 10_000, "o-1")).await;
    let other = notice_of_kind(&shop, "confirm", State::Succeeded, 99_999, "o-1");
    world.notify(&shop, &other).await;
    let log = world.log().await;
    assert_eq!((log.len(), log[0].outcome), (2, Outcome::Mismatch));
    assert!(log[0].reason.contains("999.99") && log[0].reason.contains("100"), "{}", log[0].reason);
    assert_eq!(world.states().await, ["waiting_for_capture"]);
    world.notify(&shop, &notice_of_kind(&shop, "confirm", State::Succeeded, 10_000, "o-1")).await;
    assert_eq!(world.states().await, ["waiting_for_capture", "succeeded"]);
    let mismatches = world.log().await.iter().filter(|kept| kept.outcome == Outcome::Mismatch).count();
    print("I3", [&UNCOUNTED; 4], &[("mismatches_kept", &mismatches)]);
}

/// The provider's API hangs, fails, and lies about an id: no event, whatever the notification says; once it answers, the
/// event comes by itself.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_counts_as_paid_while_the_provider_cannot_be_asked() {
    let world = on_sqlite().await;
    let bank = Bank::start();
    let shop = yookassa(&world, json!({ "api_base": format!("{}/v3", bank.url()) })).await;
    let notification = notice(&shop, State::Succeeded, 90_000, "72");
    let object: Value = serde_json::from_slice::<Value>(&notification.body).unwrap()["object"].clone();
    let path = format!("GET /v3/payments/{}", object["id"].as_str().unwrap());
    let outages = [Reply::Silence, Reply::json(503, "busy"), Reply::json(200, "{\"not\":\"a payment\"}")];
    let count = outages.len();
    for outage in outages {
        bank.next(&path, outage);
    }
    assert_eq!(world.notify(&shop, &notification).await.status, 200);
    for _ in 0..count {
        world.work().await;
        assert_eq!(world.states().await, [""; 0]);
        assert_eq!(world.log().await[0].outcome, Outcome::Unproven);
        world.clock.advance(600_000);
    }
    assert_eq!(bank.left(), [""; 0]);
    bank.answer(&path, 200, object.to_string());
    world.work().await;
    assert_eq!(world.states().await, ["succeeded"]);
    print("I6", [&UNCOUNTED; 4], &[("outages", &count)]);
}

/// Anybody can write `X-Forwarded-For`: only what a trusted proxy wrote counts, and of that only the last hop.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_forwarding_header_does_not_count() {
    let mut rows = 0;
    for (proxies, forwarded, status) in [
        ("", OF_YOOKASSA, 403),
        ("127.0.0.0/8", OF_YOOKASSA, 200),
        ("127.0.0.0/8", "203.0.113.9", 403),
        ("127.0.0.0/8", format!("{OF_YOOKASSA}, 203.0.113.9").as_str(), 403),
        ("127.0.0.0/8", format!("203.0.113.9, {OF_YOOKASSA}").as_str(), 200),
        ("127.0.0.0/8", format!("{OF_YOOKASSA}, rubbish").as_str(), 403),
        ("127.0.0.0/8", "::ffff:185.71.76.1", 200),
        ("127.0.0.0/8", "2a02:5180::1", 200),
        ("127.0.0.0/8", "2a03:5180::1", 403),
        ("10.0.0.0/8", OF_YOOKASSA, 403),
    ] {
        rows += 1;
        let bench = crate::sqlite::fresh().await;
        let config = config(&[("KASSIR__TRUSTED_PROXIES", proxies)]);
        let world = World::over(bench.store.clone(), bench.clock.clone(), config).await;
        let shop = yookassa(&world, json!({ "source_ips": "enforce" })).await;
        let mut notification = notice(&shop, State::Succeeded, 90_000, "72");
        notification.headers.push(("x-forwarded-for".to_owned(), forwarded.to_owned()));
        let answered = world.notify(&shop, &notification).await;
        assert_eq!(answered.status, status, "{forwarded} through {proxies:?}");
    }
    print("I7", [&UNCOUNTED; 4], &[("rows", &rows)]);
}

/// Bytes are kept as they came, and go out as they came: numbers beyond 64 bits and beyond doubles, key order, escapes,
/// emoji; and a body is the same in every attempt.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_and_numbers_are_kept() {
    let world = on_sqlite().await;
    let shop = world.shop("cryptobot", &[("token", "12345:AAbbCCddEE")], json!({})).await;
    let mut paid = notice(&shop, State::Succeeded, 1_050, "o-1");
    let odd = r#""zz":18446744073709551617,"aa":0.30000000000000004,"e":1.10e-7,"text":"\u0041\/😀\u00e9 é","update_id""#;
    let body = String::from_utf8(paid.body.clone()).unwrap().replacen("\"update_id\"", odd, 1);
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use sha2::{Digest as _, Sha256};
    let mut mac = Hmac::<Sha256>::new_from_slice(&Sha256::digest(b"12345:AAbbCCddEE")).unwrap();
    mac.update(body.as_bytes());
    let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    paid.headers.retain(|(name, _)| name != "crypto-pay-api-signature");
    paid.headers.push(("crypto-pay-api-signature".to_owned(), signature));
    paid.body = body.clone().into_bytes();
    assert_eq!(world.notify(&shop, &paid).await.status, 200);
    assert_eq!(world.log().await[0].body, body);
    let events = world.events().await;
    let sent = events[0].body();
    assert!(sent.contains(&format!("\"payload\":{body}")), "{sent}");
    assert_eq!(sent, world.events().await[0].body());
    // The adapter reads the amount from text, as integers of minor units.
    assert!(sent.contains("\"amount\":1050,"), "{sent}");

    // A form in a charset of its own, and bytes that are no text at all: kept to the byte, refused or not.
    let cloud = cloudpayments(&world).await;
    let mut bytes = notice(&cloud, State::Succeeded, 100, "o-2");
    bytes.body = b"\xef\xbb\xbfName=\xcf\xf0\xe8\xe2\xe5\xf2&Amount=1.00\x00\xff".to_vec();
    world.notify(&cloud, &bytes).await;
    let kept = world.log().await[0].clone();
    assert!(kept.body_is_base64);
    use base64::Engine as _;
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(&kept.body).unwrap(), bytes.body);
}
