//! Replays: of one delivery, of many, and across crashes.

use kassir::domain::delivery::Delivery;
use kassir::domain::ids::{DeliveryId, ReplayId};
use kassir::domain::{DeliveryStatus, Event};
use kassir::jobs::replay::StepEnd;
use kassir::store::{Commit, DeliveryFilter, Page};
use serde_json::json;

use super::world::World;
use crate::store_suite::START;
use crate::store_suite::samples::Shop;

/// Failed deliveries of so many events.
async fn failed(shop: &Shop, count: usize) -> Vec<DeliveryId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let event = Event { payment: 1, ..shop.event() };
        let delivery =
            Delivery { status: DeliveryStatus::Failed, next_attempt_at: None, ..shop.delivery(&event) };
        ids.push(delivery.id);
        shop.write(Commit { events: vec![event], deliveries: vec![delivery], ..shop.commit() }).await;
    }
    ids
}

async fn run(world: &World, shop: &Shop, id: ReplayId) -> usize {
    let mut steps = 0;
    while let StepEnd::Again(_) = world.replayer.step(shop.merchant, id, START).await.unwrap() {
        steps += 1;
        assert!(steps < 100);
    }
    steps
}

#[tokio::test]
async fn one_delivery_is_sent_again() {
    let world = World::new().await;
    let shop = world.shop().await;
    let id = failed(&shop, 1).await[0];
    let path = format!("/merchants/{}/deliveries/{id}", shop.merchant);
    let again = world.post(&format!("{path}/replay"), json!({ "reason": "the shop was away" })).await.is(202);
    assert_eq!((&again.json["status"], &again.json["replay_waits"]), (&json!("pending"), &json!(true)));
    let kept = shop.load(id).await;
    assert_eq!(kept.replay.unwrap().reason.as_deref(), Some("the shop was away"));
    assert!(kept.next_attempt_at.is_some());
    let shown = world.get(&path).await.is(200);
    assert_eq!(shown.json["attempts"], json!([]));
    let endpoint = format!("/merchants/{}/endpoints/{}", shop.merchant, shop.endpoint);
    world.patch(&endpoint, json!({ "enabled": false })).await.is(200);
    let off = world.post(&format!("{path}/replay"), json!({})).await.is(409);
    assert!(off.text.contains("is off"), "{}", off.text);
    let listed = world.get(&format!("/merchants/{}/deliveries?status=pending", shop.merchant)).await;
    assert_eq!(listed.json["data"][0]["id"], id.to_string());
}

#[tokio::test]
async fn many_are_counted_then_sent_again_once_each() {
    let world = World::new().await;
    let shop = world.shop().await;
    let ids = failed(&shop, 230).await;
    let path = format!("/merchants/{}/replays", shop.merchant);
    let body = json!({ "filter": { "status": "failed" }, "dry_run": true });
    let preview = world.post(&path, body).await.is(202);
    assert_eq!((&preview.json["status"], &preview.json["matched"]), (&json!("preview"), &json!(230)));
    assert_eq!(preview.json["matched_is_exact"], true);
    assert_eq!(shop.load(ids[0]).await.status, DeliveryStatus::Failed);
    let body = json!({ "filter": { "status": "failed", "states": ["succeeded"] }, "reason": "an outage" });
    let made = world.post(&path, body).await.is(202);
    assert_eq!(made.json["status"], "running");
    let id: ReplayId = made.id().parse().unwrap();
    assert!(run(&world, &shop, id).await >= 2);
    let done = world.get(&format!("{path}/{id}")).await.is(200);
    assert_eq!((&done.json["status"], &done.json["sent"]), (&json!("done"), &json!(230)));
    for id in &ids {
        let delivery = shop.load(*id).await;
        assert_eq!(
            (delivery.status, delivery.replayed_by),
            (DeliveryStatus::Pending, Some(made.id().parse().unwrap()))
        );
    }
    world.post(&format!("{path}/{id}/cancel"), json!({})).await.is(409);
}

#[tokio::test]
async fn a_step_that_is_done_twice_sends_nothing_twice() {
    let world = World::new().await;
    let shop = world.shop().await;
    failed(&shop, 30).await;
    let merchant = shop.merchant.to_string();
    let other = world.endpoint(&merchant, "http://127.0.0.1:8443/other").await;
    let path = format!("/merchants/{merchant}/replays");
    let body = json!({ "filter": { "status": "failed" }, "to_endpoint_id": other });
    let id: ReplayId = world.post(&path, body).await.is(202).id().parse().unwrap();
    let before = world.store.replay(shop.merchant, id).await.unwrap().unwrap();
    run(&world, &shop, id).await;
    // As after a crash before the progress was saved.
    let after = world.store.replay(shop.merchant, id).await.unwrap().unwrap();
    let back = kassir::domain::people::Replay { version: after.version, ..before };
    world.store.put_replay(&back).await.unwrap();
    run(&world, &shop, id).await;
    let filter = DeliveryFilter { endpoint: Some(other.parse().unwrap()), ..DeliveryFilter::default() };
    let made =
        world.store.deliveries(shop.merchant, &filter, &Page { limit: 200, before: None }).await.unwrap();
    assert_eq!(made.rows.len(), 30);
    assert!(made.rows.iter().all(|delivery| delivery.replay.is_some()));
}

#[tokio::test]
async fn a_canceled_replay_stops_within_a_step() {
    let world = World::new().await;
    let shop = world.shop().await;
    let ids = failed(&shop, 150).await;
    let path = format!("/merchants/{}/replays", shop.merchant);
    let id: ReplayId =
        world.post(&path, json!({ "filter": { "status": "failed" } })).await.is(202).id().parse().unwrap();
    assert_eq!(world.replayer.step(shop.merchant, id, START).await.unwrap(), StepEnd::Again(0));
    let canceled = world.post(&format!("{path}/{id}/cancel"), json!({})).await.is(200);
    assert_eq!((&canceled.json["status"], &canceled.json["sent"]), (&json!("canceled"), &json!(100)));
    assert_eq!(world.replayer.step(shop.merchant, id, START).await.unwrap(), StepEnd::Over);
    assert_eq!(shop.load(ids[0]).await.status, DeliveryStatus::Failed, "the oldest was not reached");
}

#[tokio::test]
async fn a_job_without_its_record_ends() {
    let world = World::new().await;
    let shop = world.shop().await;
    let id: ReplayId = "rpl_00000000000000000000000001".parse().unwrap();
    let now = kassir::clock::Clock::now(world.clock.as_ref());
    assert!(matches!(world.replayer.step(shop.merchant, id, now).await.unwrap(), StepEnd::Again(_)));
    world.clock.advance(61_000);
    assert_eq!(world.replayer.step(shop.merchant, id, now).await.unwrap(), StepEnd::Over);
    let wrong = json!({ "filter": { "status": "lost", "endpoint_id": "ep_00000000000000000000000001" } });
    let wrong = world.post(&format!("/merchants/{}/replays", shop.merchant), wrong).await.is(422);
    let mut pointers = wrong.pointers();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/filter/endpoint_id", "/filter/status"]);
}
