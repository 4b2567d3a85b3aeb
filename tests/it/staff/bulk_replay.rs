//! A bulk replay of very many, the router killed with -9 in the middle; a cancel; new events that go first.

use std::time::Duration;

use kassir::clock::Stopwatch;
use serde_json::{Value, json};
use tokio::process::Command;

use super::inbox::{Inbox, PATIENCE, Shop, pay, set_up};
use crate::process::{ADMIN, Plan};
use crate::size::size;

/// Deliveries that are replayed; with `KASSIR_FAULTS=full` more.
fn deliveries() -> usize {
    size(3_000, 10_000)
}

/// Runs a command against the router; gives what it printed.
async fn kassir(plan: &Plan, arguments: &[&str]) -> Value {
    let run = Command::new(env!("CARGO_BIN_EXE_kassir"))
        .args(arguments)
        .args(["--url", &plan.url(), "--token", ADMIN, "--json"])
        .current_dir(&plan.folder)
        .output();
    let output = tokio::time::timeout(PATIENCE, run).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn held(plan: &Plan, shop: &Shop, count: usize) {
    pay(&shop.url, 1, count).await;
    let client = plan.client();
    let endpoint = format!("{}/endpoints/{}", shop.path, shop.endpoint);
    client.patch(&endpoint, &json!({ "enabled": true })).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_killed_in_the_middle_goes_on_and_sends_each_once() {
    let count = deliveries();
    let folder = tempfile::tempdir().unwrap();
    let mut plan = Plan::sqlite(folder.path());
    plan.more.push(("KASSIR__DELIVERY__REPLAY_PER_S".to_owned(), "3000".to_owned()));
    let (subscriber, inbox) = Inbox::start();
    let router = plan.start().await;
    let shop = set_up(&plan, &subscriber, false).await;
    held(&plan, &shop, count).await;

    let preview = kassir(&plan, &["replay", "--status", "held", "--dry-run"]).await;
    assert_eq!((&preview["matched"], &preview["by_status"]), (&json!(count), &json!({ "held": count })));
    let body = json!({ "filter": { "status": "held" }, "reason": "the shop was away" });
    let started = plan.client().post(&format!("{}/replays", shop.path), &body).await.unwrap();
    let id = started["id"].as_str().unwrap();
    inbox.wait_for(true, count / 3).await;
    router.kill_9().await;
    let before = inbox.events(true);
    assert!(before < count, "killed too late");
    let router = plan.start().await;
    let ended = kassir(&plan, &["replay", "--follow", id]).await;
    let numbers = ["matched", "sent", "failed", "skipped"].map(|name| ended[name].as_u64().unwrap());
    assert_eq!(numbers, [count as u64, count as u64, 0, 0], "{ended}");
    inbox.wait_for(true, count).await;
    assert_eq!(router.terminate().await, Some(0));
    let duplicated = inbox.duplicates(true);
    println!(
        "fault: bulk-replay-kill-9 accepted={count} delivered={} duplicated={duplicated} lost={}",
        inbox.events(true),
        count - inbox.events(true)
    );
    assert_eq!((inbox.events(true), inbox.events(false)), (count, 0));
    assert!(duplicated <= 64, "more than were under way at the kill: {duplicated}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_within_a_second_and_new_events_go_first() {
    let count = 600;
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::sqlite(folder.path());
    let (subscriber, inbox) = Inbox::start();
    let router = plan.start().await;
    let shop = set_up(&plan, &subscriber, false).await;
    held(&plan, &shop, count).await;

    let body = json!({ "filter": { "status": "held" }, "per_s": 50 });
    let client = plan.client();
    let replays = format!("{}/replays", shop.path);
    let started = client.post(&replays, &body).await.unwrap();
    let id = started["id"].as_str().unwrap();
    inbox.wait_for(true, 20).await;
    let watch = Stopwatch::start();
    pay(&shop.url, count + 1, 1).await;
    inbox.wait_for(false, 1).await;
    assert!(watch.elapsed_ms() < 3_000, "a new event waited {} ms behind a replay", watch.elapsed_ms());

    let canceled = kassir(&plan, &["replay", "--cancel", id]).await;
    let watch = Stopwatch::start();
    assert_eq!(canceled["status"], "canceled");
    // A step that was under way may still be counted.
    let sent = async || client.get(&format!("{replays}/{id}")).await.unwrap()["sent"].as_u64().unwrap();
    tokio::time::timeout(Duration::from_secs(1), inbox.wait_for(true, sent().await as usize)).await.unwrap();
    assert!(watch.elapsed_ms() < 1_000);
    assert_eq!(router.terminate().await, Some(0));
    let router = plan.start().await;
    assert!(sent().await < count as u64 / 2);
    assert_eq!(inbox.requests(true) as u64, sent().await);
    println!(
        "fault: bulk-replay-cancel accepted={count} delivered={} duplicated={} lost=0",
        inbox.events(true),
        inbox.duplicates(true)
    );
    assert_eq!(router.terminate().await, Some(0));
}
