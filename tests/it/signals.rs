//! What a subscriber's answers do to its endpoint: turned off, warned of, its owner told, its events kept in order.

use std::sync::Arc;

use kassir::delivery::signature::{SigningKey, verify};
use kassir::domain::delivery::Delivery;
use kassir::domain::ids::{DeliveryId, EndpointId};
use kassir::domain::people::AuditEntry;
use kassir::domain::{DeliveryStatus, Event};
use kassir::store::{Commit, Page};
use kassir_providers::Method;
use serde_json::{Value, json};

use crate::store_suite::Bench;
use crate::store_suite::samples::{self, Shop};
use crate::subscriber::{Act, Seen, Subscriber};
use crate::world::{ADMIN, World, config};

const HOUR: i64 = 60 * 60 * 1000;

/// A router, a subscriber with an endpoint, and the operator's own receiver.
struct Scene {
    world: World,
    bench: Bench,
    shop: Shop,
    subscriber: Subscriber,
    operator: Subscriber,
    key: SigningKey,
}

impl Scene {
    async fn on(bench: Bench) -> Scene {
        let operator = Subscriber::http().await;
        let key = SigningKey::generate().unwrap();
        let config = config(&[
            ("KASSIR__ALERTS__URL", &operator.url("/alerts")),
            ("KASSIR__ALERTS__SECRET", key.text().expose()),
        ]);
        let world = World::over(Arc::clone(&bench.store), Arc::clone(&bench.clock), config).await;
        let subscriber = Subscriber::http().await;
        let shop = Shop {
            store: Arc::clone(&bench.store),
            merchant: world.merchant,
            integration: samples::integration(world.merchant).id,
            endpoint: EndpointId(uuid::Uuid::nil()),
            version: 0,
        };
        let mut scene = Scene { world, bench, shop, subscriber, operator, key };
        let url = scene.subscriber.url("/hook?secret=1");
        let made = scene.api(Method::Post, "/endpoints", json!({ "url": url })).await;
        scene.shop.endpoint = made["id"].as_str().unwrap().parse().unwrap();
        scene
    }

    async fn api(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/api/v1/merchants/{}{path}", self.world.router.url(), self.shop.merchant);
        let headers = vec![
            ("authorization".to_owned(), format!("Bearer {ADMIN}")),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        let body = if method == Method::Get { Vec::new() } else { body.to_string().into_bytes() };
        let answered = self.world.send(method, &url, headers, body).await;
        assert!((200..300).contains(&answered.status), "{answered:?}");
        serde_json::from_str(&answered.body).unwrap_or_default()
    }

    async fn endpoint(&self) -> Value {
        self.api(Method::Get, &format!("/endpoints/{}", self.shop.endpoint), Value::Null).await
    }

    async fn patch(&self, body: Value) -> Value {
        self.api(Method::Patch, &format!("/endpoints/{}", self.shop.endpoint), body).await
    }

    fn now(&self) -> i64 {
        kassir::clock::Clock::now(self.bench.clock.as_ref())
    }

    /// An event of a payment, due now.
    async fn event(&self, payment: u32) -> DeliveryId {
        let now = self.now();
        let event = Event { payment, created_at: now, ..self.shop.event() };
        let delivery = Delivery {
            round_started_at: now,
            next_attempt_at: Some(now),
            created_at: now,
            ..self.shop.delivery(&event)
        };
        let id = delivery.id;
        self.shop
            .write(Commit { events: vec![event], deliveries: vec![delivery], ..self.shop.commit() })
            .await;
        id
    }

    async fn status(&self, id: DeliveryId) -> DeliveryStatus {
        self.shop.load(id).await.status
    }

    async fn work(&self) {
        self.world.work().await;
    }

    async fn go(&self, ms: i64) {
        self.bench.clock.advance(ms);
        self.work().await;
    }

    /// As the upkeep does now and then.
    async fn look(&self) {
        self.world.router.services.troubles.look().await.unwrap();
        self.work().await;
    }

    async fn disablings(&self) -> Vec<AuditEntry> {
        let page = Page { limit: 200, before: None };
        let log = self.shop.store.audit(Some(self.shop.merchant), &page).await.unwrap().rows;
        log.into_iter().filter(|entry| entry.action == "endpoint.disable").collect()
    }

    /// What the operator was told, each notice verified.
    fn told(&self) -> Vec<Value> {
        self.operator.seen().iter().map(|seen| notice(seen, &self.key)).collect()
    }
}

fn notice(seen: &Seen, key: &SigningKey) -> Value {
    let at = seen.header("webhook-timestamp").parse().unwrap();
    assert_eq!(verify(&seen.headers, &seen.body, key, at), Ok(()));
    serde_json::from_slice(&seen.body).unwrap()
}

async fn gone_turns_it_off_once(bench: Bench) {
    let scene = Scene::on(bench).await;
    scene.subscriber.script(vec![Act::status(410); 100]);
    let mut ids = Vec::new();
    for payment in 1..=20 {
        ids.push(scene.event(payment).await);
    }
    let began = scene.now();
    scene.work().await;
    let off = scene.endpoint().await;
    assert_eq!(off["enabled"], false);
    let reason = off["disabled_reason"].as_str().unwrap();
    let at = kassir::manage::time::show(began);
    assert!(
        reason.starts_with(&format!("{at}: it answered dlv_")) && reason.ends_with(" 410 Gone"),
        "{reason}"
    );
    let disablings = scene.disablings().await;
    assert_eq!(disablings.len(), 1, "{disablings:?}");
    assert_eq!((disablings[0].actor.as_str(), disablings[0].detail.as_str()), ("kassir", reason));
    let told = scene.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["type"], "endpoint.disabled");
    assert_eq!(told[0]["merchant"], scene.shop.merchant.to_string());
    assert_eq!(told[0]["endpoint"], scene.shop.endpoint.to_string());
    assert_eq!((&told[0]["reason"], &told[0]["failing_since"]), (&json!(reason), &Value::Null));
    assert!(!told[0].to_string().contains("secret=1"), "a URL may hold a secret");

    let calls = scene.subscriber.seen().len();
    scene.go(HOUR).await;
    assert_eq!(scene.subscriber.seen().len(), calls, "nothing is sent any more");
    for id in &ids {
        assert_eq!(scene.status(*id).await, DeliveryStatus::Held);
    }
    assert_eq!((scene.disablings().await.len(), scene.told().len()), (1, 1));

    let on = scene.patch(json!({ "enabled": true })).await;
    assert_eq!(
        (&on["enabled"], &on["disabled_reason"], &on["health"]),
        (&json!(true), &Value::Null, &Value::Null)
    );
    // The script has 410s left; a shop that was repaired answers 200.
    let replaced = Subscriber::http().await;
    scene.patch(json!({ "url": replaced.url("/") })).await;
    scene.api(Method::Post, &format!("/deliveries/{}/replay", ids[0]), json!({})).await;
    scene.work().await;
    assert_eq!(scene.status(ids[0]).await, DeliveryStatus::Delivered);
}

async fn a_late_410_of_another_url_changes_nothing(bench: Bench) {
    let scene = Scene::on(bench).await;
    let gate = Arc::new(tokio::sync::Notify::new());
    scene.subscriber.script([Act::Gate(Arc::clone(&gate), 410)]);
    let id = scene.event(1).await;
    let worker = Arc::clone(&scene.world.router.worker);
    let working = tokio::spawn(async move { worker.step().await });
    scene.subscriber.wait_for(1).await;
    scene.bench.clock.advance(1);
    let other = Subscriber::http().await;
    scene.patch(json!({ "url": other.url("/") })).await;
    gate.notify_one();
    working.await.unwrap().unwrap();
    scene.go(10_000).await;
    assert_eq!(scene.endpoint().await["enabled"], true);
    assert_eq!(scene.status(id).await, DeliveryStatus::Delivered);
    assert_eq!((scene.disablings().await.len(), other.seen().len()), (0, 1));
}

async fn failing_for_long_warns_twice_and_turns_it_off(bench: Bench) {
    let scene = Scene::on(bench).await;
    let own = Subscriber::http().await;
    own.script([Act::status(503)]);
    let merchant = scene.api(Method::Patch, "", json!({ "alert_url": own.url("/me") })).await;
    let own_key = SigningKey::parse(merchant["alert_secret"].as_str().unwrap()).unwrap();
    scene.subscriber.script(vec![Act::status(500); 200]);
    let since = scene.now();
    scene.event(1).await;
    scene.work().await;
    let health = &scene.endpoint().await["health"];
    assert_eq!(health["failing_since"], kassir::manage::time::show(since));
    assert_eq!(health["disables_at"], kassir::manage::time::show(since + 24 * HOUR));
    assert_eq!((&health["last_status"], &health["last_error"]), (&json!(500), &json!("the answer is 500")));
    scene.look().await;
    assert_eq!(scene.told().len(), 0);
    scene.go(13 * HOUR).await;
    scene.look().await;
    scene.look().await;
    let told = scene.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["type"], "endpoint.failing");
    assert_eq!(told[0]["failing_since"], kassir::manage::time::show(since));
    assert_eq!(told[0]["disables_at"], kassir::manage::time::show(since + 24 * HOUR));
    scene.go(10 * HOUR).await;
    scene.look().await;
    scene.look().await;
    assert_eq!(scene.told().len(), 2, "at nine tenths");
    assert_eq!(scene.endpoint().await["enabled"], true);
    // The last attempt of the day falls a minute before its end.
    scene.go(HOUR - 30_000).await;
    scene.go(2 * HOUR).await;
    scene.look().await;
    assert_eq!(scene.endpoint().await["enabled"], true, "without a failure after the limit it stays");
    let last = scene.event(2).await;
    scene.work().await;
    scene.look().await;
    scene.look().await;
    let off = scene.endpoint().await;
    assert_eq!((&off["enabled"], &off["health"]["disables_at"]), (&json!(false), &Value::Null));
    let kinds: Vec<_> = scene.told().iter().map(|told| told["type"].clone()).collect();
    assert_eq!(kinds, ["endpoint.failing", "endpoint.failing", "endpoint.disabled"]);
    assert_eq!(scene.disablings().await.len(), 1);
    scene.go(HOUR).await;
    assert_eq!(scene.status(last).await, DeliveryStatus::Held);

    // The merchant was told the same, what was not taken once more, under the same id.
    let seen = own.seen();
    let kinds: Vec<_> = seen.iter().map(|seen| notice(seen, &own_key)["type"].clone()).collect();
    assert_eq!(kinds, ["endpoint.failing", "endpoint.failing", "endpoint.failing", "endpoint.disabled"]);
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
    assert_ne!(seen[1].header("webhook-id"), seen[2].header("webhook-id"));

    let on = scene.patch(json!({ "enabled": true })).await;
    assert_eq!((&on["disabled_reason"], &on["health"]), (&Value::Null, &Value::Null));
}

async fn a_success_ends_it(bench: Bench) {
    let scene = Scene::on(bench).await;
    scene.subscriber.script(vec![Act::status(500), Act::status(500), Act::status(200), Act::status(500)]);
    scene.event(1).await;
    scene.work().await;
    scene.go(20 * HOUR).await;
    assert_ne!(scene.endpoint().await["health"], Value::Null);
    scene.go(4 * HOUR).await;
    assert_eq!(scene.endpoint().await["health"], Value::Null);
    scene.look().await;
    let again = scene.now();
    scene.event(2).await;
    scene.work().await;
    let health = &scene.endpoint().await["health"];
    assert_eq!(health["failing_since"], kassir::manage::time::show(again), "counted anew");
    scene.look().await;
    assert_eq!(scene.told().len(), 0);
}

async fn headers_that_stop(bench: Bench) {
    let scene = Scene::on(bench).await;
    scene.subscriber.script([
        Act::answer(500, &[("webhook-delivery", "abort-message")], ""),
        Act::answer(200, &[("webhook-delivery", "disable")], ""),
    ]);
    let aborted = scene.event(1).await;
    scene.work().await;
    let over = scene.shop.load(aborted).await;
    assert_eq!((over.status, over.attempts), (DeliveryStatus::Failed, 1));
    assert_eq!(scene.endpoint().await["enabled"], true);
    let taken = scene.event(2).await;
    scene.work().await;
    assert_eq!(scene.status(taken).await, DeliveryStatus::Delivered);
    let off = scene.endpoint().await;
    assert_eq!(off["enabled"], false);
    assert!(off["disabled_reason"].as_str().unwrap().ends_with("the header webhook-delivery: disable"));
}

async fn one_payments_events_go_one_after_the_other(bench: Bench) {
    let scene = Scene::on(bench).await;
    scene.patch(json!({ "ordered": true })).await;
    scene.subscriber.script([Act::status(500)]);
    let first = scene.event(1).await;
    scene.work().await;
    scene.bench.clock.advance(1);
    let second = scene.event(1).await;
    scene.bench.clock.advance(1);
    let third = scene.event(1).await;
    let other = scene.event(2).await;
    scene.work().await;
    assert_eq!(scene.status(other).await, DeliveryStatus::Delivered, "another payment is not held up");
    for waiting in [second, third] {
        let waiting = scene.shop.load(waiting).await;
        assert_eq!((waiting.status, waiting.attempts, waiting.round), (DeliveryStatus::Pending, 0, 0));
        assert!(waiting.next_attempt_at.unwrap() > scene.now(), "it is not looked at all the time");
    }
    // Ends when the first one's retry comes: the others follow at once, in their order.
    let due = scene.shop.load(first).await.next_attempt_at.unwrap();
    scene.go(due - scene.now()).await;
    for id in [first, second, third] {
        assert_eq!(scene.status(id).await, DeliveryStatus::Delivered);
    }
    let order: Vec<String> =
        scene.subscriber.seen().iter().map(|seen| seen.header("kassir-delivery").to_owned()).collect();
    let expected = [first, other, first, second, third].map(|id| id.to_string());
    assert_eq!(order, expected);
    assert_eq!(scene.shop.load(second).await.attempts, 1, "waiting is no attempt");
}

async fn what_is_over_blocks_nobody_and_a_replay_is_exempt(bench: Bench) {
    let scene = Scene::on(bench).await;
    scene.patch(json!({ "ordered": true })).await;
    scene.subscriber.script([
        Act::status(200),
        Act::status(500),
        Act::status(200),
        Act::answer(500, &[("webhook-delivery", "abort-message")], ""),
        Act::status(200),
    ]);
    let old = scene.event(1).await;
    scene.work().await;
    scene.bench.clock.advance(1);
    let blocked = scene.event(1).await;
    scene.work().await;
    // A person sends the first again while the second waits for its retry: at once, and it blocks nobody.
    scene.api(Method::Post, &format!("/deliveries/{old}/replay"), json!({})).await;
    scene.work().await;
    assert_eq!(scene.subscriber.seen().len(), 3);
    scene.bench.clock.advance(1);
    let next = scene.event(1).await;
    scene.work().await;
    assert_eq!(scene.shop.load(next).await.attempts, 0);
    let due = scene.shop.load(blocked).await.next_attempt_at.unwrap();
    scene.go(due - scene.now()).await;
    assert_eq!(scene.status(blocked).await, DeliveryStatus::Failed);
    assert_eq!(scene.status(next).await, DeliveryStatus::Delivered, "failed is over too");
}

/// Every change while an attempt is under way and others wait: the attempt goes on with what it began with, the rest
/// follows what holds now.
async fn changes_during_a_call(bench: Bench) {
    let scene = Scene::on(bench).await;
    scene.patch(json!({ "max_in_flight": 1 })).await;
    let path = format!("/endpoints/{}", scene.shop.endpoint);
    let other = Subscriber::http().await;
    let gate = Arc::new(tokio::sync::Notify::new());
    for (round, change) in ["url", "secret", "off", "gone"].into_iter().enumerate() {
        let receiver = if round == 0 { &scene.subscriber } else { &other };
        let before = receiver.seen().len();
        receiver.script([Act::Gate(Arc::clone(&gate), 200)]);
        let called = scene.event(1).await;
        let worker = Arc::clone(&scene.world.router.worker);
        let working = tokio::spawn(async move { worker.step().await });
        receiver.wait_for(before + 1).await;
        let waiting = scene.event(2).await;
        scene.bench.clock.advance(1);
        match change {
            "url" => drop(scene.patch(json!({ "url": other.url("/") })).await),
            "secret" => {
                let path = format!("{path}/rotate-secret");
                let made = scene.api(Method::Post, &path, json!({ "overlap_s": 0 })).await;
                assert!(made["secret"].is_string());
            }
            "off" => drop(scene.patch(json!({ "enabled": false })).await),
            _ => drop(scene.api(Method::Delete, &path, Value::Null).await),
        }
        gate.notify_one();
        working.await.unwrap().unwrap();
        scene.work().await;
        assert_eq!(scene.status(called).await, DeliveryStatus::Delivered, "{change}");
        let (then, more) = match change {
            "url" | "secret" => (DeliveryStatus::Delivered, 1),
            "off" => (DeliveryStatus::Held, 0),
            _ => (DeliveryStatus::Canceled, 0),
        };
        assert_eq!(scene.status(waiting).await, then, "{change}");
        let seen = other.seen();
        let own = if round == 0 { 0 } else { 1 };
        assert_eq!(seen.len(), if round == 0 { 0 } else { before } + own + more, "{change}");
        if change == "secret" {
            let signed = |seen: &Seen| seen.header("webhook-signature").to_owned();
            assert_ne!(signed(&seen[before]), signed(&seen[before + 1]));
        }
        if change == "off" {
            scene.patch(json!({ "enabled": true })).await;
        }
    }
}

async fn what_is_left_alone_is_shown_and_another_url_lets_it_go(bench: Bench) {
    let scene = Scene::on(bench).await;
    let show = kassir::manage::time::show;
    let closed = json!({ "state": "closed", "since": null, "next_try_at": null, "waiting": null });
    assert_eq!(scene.endpoint().await["breaker"], closed);
    scene.subscriber.script(vec![Act::status(500); 100]);
    let mut ids = Vec::new();
    for payment in 1..=4 {
        ids.push(scene.event(payment).await);
        scene.work().await;
    }
    let began = scene.now();
    let sent = scene.subscriber.seen().len();
    assert_eq!(sent, 3, "three failures in a row, and the fourth waits");
    let held = scene.endpoint().await;
    assert_eq!((&held["breaker"]["state"], &held["breaker"]["since"]), (&json!("open"), &json!(show(began))));
    assert_eq!(held["breaker"]["waiting"], 4);
    let next = kassir::manage::time::parse(held["breaker"]["next_try_at"].as_str().unwrap()).unwrap();
    assert!((4_000..=6_000).contains(&(next - began)), "{held}");
    let listed = scene.api(Method::Get, "/endpoints", Value::Null).await;
    assert_eq!(listed["data"][0]["breaker"], held["breaker"]);

    // The time of the one try has come.
    let probed = Subscriber::http().await;
    let late =
        scene.patch(json!({ "url": scene.subscriber.url("/hook?secret=1"), "description": "same" })).await;
    assert_eq!(late["breaker"], held["breaker"], "the same URL changes nothing");
    scene.bench.clock.advance(next - began);
    let due = scene.endpoint().await;
    assert_eq!((&due["breaker"]["state"], &due["breaker"]["next_try_at"]), (&json!("probing"), &Value::Null));

    // Another URL: what waits and is due goes at once, and what the old one did is forgotten.
    let moved = scene.patch(json!({ "url": probed.url("/new") })).await;
    assert_eq!((&moved["breaker"], &moved["health"]), (&closed, &Value::Null));
    scene.work().await;
    assert!(probed.seen().iter().any(|seen| seen.header("kassir-delivery") == ids[3].to_string()));
    assert_eq!(scene.subscriber.seen().len(), sent, "the old URL got nothing more");
    assert_eq!(scene.status(ids[3]).await, DeliveryStatus::Delivered);
    // The rest goes by its own schedule, without a hold between.
    scene.go(60 * 1000).await;
    for id in ids {
        assert_eq!(scene.status(id).await, DeliveryStatus::Delivered);
    }
    // Two failures of the new URL, which works, are not the old one's third.
    probed.script([Act::status(500), Act::status(500)]);
    for payment in 5..=6 {
        scene.event(payment).await;
        scene.work().await;
    }
    assert_eq!(scene.endpoint().await["breaker"], closed);
}

/// Makes a test of each property for each store.
macro_rules! on_every_store {
    ($($property:ident)*) => {
        on_every_store! { @ sqlite, crate::sqlite::fresh: $($property)* }
        on_every_store! { @ redis, crate::redis_store::fresh: $($property)* }
        on_every_store! { @ cluster, crate::redis_store::fresh_in_cluster: $($property)* }
    };
    (@ $name:ident, $factory:path: $($property:ident)*) => {
        mod $name {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                super::$property($factory().await).await;
            })*
        }
    };
}

on_every_store! {
    gone_turns_it_off_once
    a_late_410_of_another_url_changes_nothing
    failing_for_long_warns_twice_and_turns_it_off
    a_success_ends_it
    headers_that_stop
    changes_during_a_call
    what_is_left_alone_is_shown_and_another_url_lets_it_go
    one_payments_events_go_one_after_the_other
    what_is_over_blocks_nobody_and_a_replay_is_exempt
}
