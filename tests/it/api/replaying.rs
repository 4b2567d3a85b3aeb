//! Replays: of one delivery, of many, and across crashes.

use kassir::domain::delivery::Delivery;
use kassir::domain::ids::{DeliveryId, ReplayId};
use kassir::domain::{DeliveryStatus, Event};
use kassir::jobs::replay::StepEnd;
use kassir::store::{Commit, DeliveryFilter, Page};
use serde_json::json;

use super::world::World;
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

/// Steps a replay to its end, as if all it sends for had its attempt at once.
async fn run(world: &World, shop: &Shop, id: ReplayId) -> usize {
    let mut steps = 0;
    while let StepEnd::Again(_) = world.replayer.step(shop.merchant, id).await.unwrap() {
        attempted(world, shop, id).await;
        steps += 1;
        assert!(steps < 100);
    }
    steps
}

/// Everything that a replay sends for and that still waits is delivered.
async fn attempted(world: &World, shop: &Shop, id: ReplayId) {
    let waiting = world.store.replay(shop.merchant, id).await.unwrap().unwrap().waiting;
    for id in waiting {
        let delivery = shop.load(id).await;
        let status = DeliveryStatus::Delivered;
        let done = Delivery { status, next_attempt_at: None, replay: None, attempts: 1, ..delivery };
        world.store.update_delivery(done).await.unwrap();
    }
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
        assert_ne!(delivery.status, DeliveryStatus::Failed);
        assert_eq!(delivery.replayed_by, Some(made.id().parse().unwrap()));
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
    assert!(made.rows.iter().all(|delivery| delivery.replayed_by.is_some()));
}

#[tokio::test]
async fn another_endpoint_gets_each_event_once() {
    let world = World::new().await;
    let shop = world.shop().await;
    let merchant = shop.merchant.to_string();
    let second = world.endpoint(&merchant, "http://127.0.0.1:8443/second").await.parse().unwrap();
    let third = world.endpoint(&merchant, "http://127.0.0.1:8443/third").await;
    let third_id = third.parse().unwrap();
    // Three events that two endpoints did not take; the first of them the third one neither.
    for endpoints in
        [&[shop.endpoint, second, third_id][..], &[shop.endpoint, second], &[shop.endpoint, second]]
    {
        let event = Event { payment: 1, ..shop.event() };
        let to = |endpoint: &_| {
            let delivery = shop.delivery_to(*endpoint, &event);
            Delivery { status: DeliveryStatus::Failed, next_attempt_at: None, ..delivery }
        };
        let deliveries = endpoints.iter().map(to).collect();
        shop.write(Commit { events: vec![event.clone()], deliveries, ..shop.commit() }).await;
    }
    let path = format!("/merchants/{merchant}/replays");
    let body = json!({ "filter": { "status": "failed" }, "to_endpoint_id": third });
    let id: ReplayId = world.post(&path, body).await.is(202).id().parse().unwrap();
    run(&world, &shop, id).await;
    let done = world.get(&format!("{path}/{id}")).await.is(200);
    assert_eq!((&done.json["sent"], &done.json["not_sent"]), (&json!(3), &json!({ "sent_once": 4 })));
    let filter = DeliveryFilter { endpoint: Some(third_id), ..DeliveryFilter::default() };
    let made = world.store.deliveries(shop.merchant, &filter, &Page::default()).await.unwrap().rows;
    assert_eq!(made.len(), 3);
    assert!(made.iter().all(|delivery| delivery.replayed_by == Some(id)));
    let mut events: Vec<_> = made.iter().map(|delivery| delivery.event).collect();
    events.sort_unstable();
    events.dedup();
    assert_eq!(events.len(), 3);
}

#[tokio::test]
async fn a_canceled_replay_stops_within_a_step() {
    let world = World::new().await;
    let shop = world.shop().await;
    let ids = failed(&shop, 150).await;
    let path = format!("/merchants/{}/replays", shop.merchant);
    let id: ReplayId =
        world.post(&path, json!({ "filter": { "status": "failed" } })).await.is(202).id().parse().unwrap();
    assert_eq!(world.replayer.step(shop.merchant, id).await.unwrap(), StepEnd::Again(250));
    let canceled = world.post(&format!("{path}/{id}/cancel"), json!({})).await.is(200);
    assert_eq!((&canceled.json["status"], &canceled.json["sent"]), (&json!("canceled"), &json!(25)));
    assert_eq!(world.replayer.step(shop.merchant, id).await.unwrap(), StepEnd::Over);
    assert_eq!(shop.load(ids[0]).await.status, DeliveryStatus::Pending, "the oldest comes first");
    assert_eq!(shop.load(ids[149]).await.status, DeliveryStatus::Failed, "the newest was not reached");
}

#[tokio::test]
async fn a_step_that_was_interrupted_is_counted_once() {
    let world = World::new().await;
    let shop = world.shop().await;
    failed(&shop, 30).await;
    let path = format!("/merchants/{}/replays", shop.merchant);
    let body = json!({ "filter": { "status": "failed" }, "per_s": 40 });
    let id: ReplayId = world.post(&path, body).await.is(202).id().parse().unwrap();
    let load = async || world.store.replay(shop.merchant, id).await.unwrap().unwrap();
    assert_eq!(world.replayer.step(shop.merchant, id).await.unwrap(), StepEnd::Again(250));
    assert_eq!(load().await.sent, 10);
    // As after a crash when everything was sent for and nothing counted.
    let mut back = load().await;
    (back.taking, back.sent) = (back.waiting.iter().map(ToString::to_string).collect(), 0);
    world.store.put_replay(&back).await.unwrap();
    run(&world, &shop, id).await;
    let done = load().await;
    assert_eq!((done.sent, done.failed(), done.skipped(), done.matched), (30, 0, 0, 30));
}

#[tokio::test]
async fn it_makes_way_for_new_events() {
    let world = World::new().await;
    let shop = world.shop().await;
    failed(&shop, 60).await;
    let path = format!("/merchants/{}/replays", shop.merchant);
    let body = json!({ "filter": { "status": "failed" } });
    let id: ReplayId = world.post(&path, body).await.is(202).id().parse().unwrap();
    let step = async || world.replayer.step(shop.merchant, id).await.unwrap();
    let sent = async || world.store.replay(shop.merchant, id).await.unwrap().unwrap().sent;
    for _ in 0..5 {
        assert_eq!(step().await, StepEnd::Again(250));
        assert_eq!(sent().await, 25, "no more while these wait");
    }
    attempted(&world, &shop, id).await;
    step().await;
    assert_eq!(sent().await, 50);
    // An endpoint that is held back for long does not hold up the replay for ever.
    world.clock.advance(601_000);
    assert_eq!(step().await, StepEnd::Over);
    assert_eq!(sent().await, 60);
}

#[tokio::test]
async fn nothing_is_left_out_silently() {
    let world = World::new().await;
    let shop = world.shop().await;
    let ids = failed(&shop, 12).await;
    let merchant = shop.merchant.to_string();
    let path = format!("/merchants/{merchant}/replays");
    let body = json!({ "filter": { "status": "failed" }, "per_s": 4 });
    let made = world.post(&path, body).await.is(202);
    assert_eq!((&made.json["per_s"], &made.json["by_status"]), (&json!(4), &json!({ "failed": 12 })));
    let id: ReplayId = made.id().parse().unwrap();
    world.replayer.step(shop.merchant, id).await.unwrap();
    // One is sent by hand, another endpoint's rest meets an endpoint that is off.
    world.post(&format!("/merchants/{merchant}/deliveries/{}/replay", ids[11]), json!({})).await.is(202);
    world
        .patch(&format!("/merchants/{merchant}/endpoints/{}", shop.endpoint), json!({ "enabled": false }))
        .await
        .is(200);
    run(&world, &shop, id).await;
    let done = world.get(&format!("{path}/{id}")).await.is(200).json;
    assert_eq!(
        (&done["matched"], &done["sent"], &done["failed"], &done["skipped"]),
        (&json!(12), &json!(1), &json!(10), &json!(1))
    );
    assert_eq!(done["not_sent"], json!({ "endpoint_off": 10, "changed_meanwhile": 1 }));
}

#[tokio::test]
async fn two_people_at_once_start_one_replay() {
    let world = World::new().await;
    let shop = world.shop().await;
    failed(&shop, 5).await;
    let path = format!("/merchants/{}/replays", shop.merchant);
    let body = json!({ "filter": { "status": "failed" }, "reason": "an outage" });
    let (one, two) = (world.token("support", None).await, world.token("support", None).await);
    let (a, b) = tokio::join!(
        world.call(&one, "POST", &path, Some(body.clone())),
        world.call(&two, "POST", &path, Some(body.clone()))
    );
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409], "{} {}", a.text, b.text);
    let again = world.call(&two, "POST", &path, Some(body.clone())).await.is(409);
    assert!(again.text.contains("rpl_") && again.text.contains("confirm"), "{}", again.text);
    let log = world.get(&format!("/audit?merchant_id={}", shop.merchant)).await.json;
    let created = log["data"].as_array().unwrap().iter().filter(|entry| entry["action"] == "replay.create");
    assert_eq!(created.count(), 1);
    // Another filter is another replay; the same one goes when it is meant.
    world.post(&path, json!({ "filter": { "status": "held" } })).await.is(202);
    world.post(&path, json!({ "filter": { "status": "failed" }, "confirm": true })).await.is(202);
    world.post(&path, json!({ "filter": { "status": "failed" }, "dry_run": true })).await.is(202);
}

#[tokio::test]
async fn an_endpoint_gets_what_it_missed_before_it_was_there() {
    let world = World::new().await;
    let shop = world.shop().await;
    failed(&shop, 30).await;
    let merchant = shop.merchant.to_string();
    world.clock.advance(1_000);
    // The router that does the replay has a copy from before the endpoint.
    assert!(world.replayer.registry.merchant(shop.merchant).await.unwrap().is_some());
    let late = world.endpoint(&merchant, "http://127.0.0.1:8443/late").await;
    let path = format!("/merchants/{merchant}/replays");
    let body = json!({ "filter": { "missing": true, "endpoint_id": late } });
    let made = world.post(&path, body.clone()).await.is(202);
    assert_eq!((&made.json["matched"], &made.json["by_status"]), (&json!(30), &json!({ "missing": 30 })));
    let id: ReplayId = made.id().parse().unwrap();
    run(&world, &shop, id).await;
    let filter = DeliveryFilter { endpoint: Some(late.parse().unwrap()), ..DeliveryFilter::default() };
    let page = Page { limit: 200, before: None };
    assert_eq!(world.store.deliveries(shop.merchant, &filter, &page).await.unwrap().rows.len(), 30);
    let again = json!({ "filter": { "missing": true, "endpoint_id": late }, "dry_run": true });
    assert_eq!(world.post(&path, again).await.is(202).json["matched"], 0);
    // The first endpoint has a delivery of each.
    let first =
        json!({ "filter": { "missing": true, "endpoint_id": shop.endpoint.to_string() }, "dry_run": true });
    assert_eq!(world.post(&path, first).await.is(202).json["matched"], 0);
    for (wrong, pointer) in [
        (json!({ "filter": { "missing": true } }), "/filter"),
        (json!({ "filter": { "missing": true, "endpoint_id": late, "status": "failed" } }), "/filter/status"),
        (json!({ "filter": {}, "per_s": 101 }), "/per_s"),
        (json!({ "filter": { "payment_ids": [-1] } }), "/filter/payment_ids/0"),
    ] {
        assert_eq!(world.post(&path, wrong).await.is(422).pointers(), [pointer]);
    }
}

#[tokio::test]
async fn what_was_never_attempted_is_found() {
    let world = World::new().await;
    let shop = world.shop().await;
    let ids = failed(&shop, 3).await;
    let tried = Delivery { attempts: 4, ..shop.load(ids[1]).await };
    world.store.update_delivery(tried).await.unwrap();
    let path = format!("/merchants/{}/replays", shop.merchant);
    let ask = async |filter: serde_json::Value| {
        let body = json!({ "filter": filter, "dry_run": true });
        world.post(&path, body).await.is(202).json["matched"].as_u64().unwrap()
    };
    assert_eq!(ask(json!({ "never_attempted": true })).await, 2);
    assert_eq!(ask(json!({ "integration_ids": [shop.integration.to_string()] })).await, 3);
    assert_eq!(ask(json!({ "payment_ids": [1] })).await, 3);
    assert_eq!(ask(json!({ "payment_ids": [2, 3] })).await, 0);
    assert_eq!(ask(json!({ "q": ids[2].to_string() })).await, 1);
}

#[tokio::test]
async fn a_job_without_its_record_ends() {
    let world = World::new().await;
    let shop = world.shop().await;
    let id: ReplayId = "rpl_00000000000000000000000001".parse().unwrap();
    assert_eq!(world.replayer.step(shop.merchant, id).await.unwrap(), StepEnd::Over);
    let wrong = json!({ "filter": { "status": "lost", "endpoint_id": "ep_00000000000000000000000001" } });
    let wrong = world.post(&format!("/merchants/{}/replays", shop.merchant), wrong).await.is(422);
    let mut pointers = wrong.pointers();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/filter/endpoint_id", "/filter/status"]);
}
