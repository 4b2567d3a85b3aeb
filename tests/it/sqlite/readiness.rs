//! Readiness, asked of a router whose notifications can't be kept though its store can write.

use std::path::Path;
use std::sync::Arc;

use kassir::clock::ManualClock;
use kassir::keeping::FAILURE_COUNTS_MS;
use kassir::registry::credential_owner;
use kassir::secrets::Vault;
use kassir::store::sqlite::{Options, SqliteStore};
use kassir_providers::{Method, State};
use serde_json::{Value, json};

use super::File;
use super::file::damage_notifications;
use crate::store_suite::START;
use crate::world::fixture::notice;
use crate::world::{Shop, World, config};

const SECRET: &str = "0b1c2d3e4f5061728394a5b6c7d8e9f0";

async fn world(path: &Path, options: Options) -> World {
    let clock = Arc::new(ManualClock::at(START));
    let store = SqliteStore::open_with(path, Arc::clone(&clock) as _, options).unwrap();
    World::over(Arc::new(store), clock, config(&[])).await
}

async fn shop(world: &World) -> Shop {
    world.shop("cloudpayments", &[("public_id", "pk_1"), ("api_secret", SECRET)], json!({})).await
}

/// The status of the answer to a paid order.
async fn pay(world: &World, shop: &Shop, order: usize) -> u16 {
    let paid = notice(shop, State::Succeeded, 10_000, &order.to_string());
    world.notify(shop, &paid).await.status
}

/// The answer to a probe: its status, and what it says is wrong.
async fn ready(world: &World) -> (u16, String) {
    let url = format!("{}/health/ready", world.router.url());
    let answer = world.send(Method::Get, &url, Vec::new(), Vec::new()).await;
    let said: Value = serde_json::from_str(&answer.body).unwrap();
    (answer.status, said["detail"].as_str().unwrap_or_default().to_owned())
}

async fn is_ready(world: &World) -> bool {
    ready(world).await == (200, String::new())
}

#[tokio::test]
async fn a_damaged_page_of_the_inbound_log_makes_the_router_not_ready() {
    let file = File::new();
    let sound = world(&file.path(), Options::default()).await;
    let own = shop(&sound).await;
    assert_eq!((pay(&sound, &own, 1).await, is_ready(&sound).await), (200, true));
    sound.router.stop().await;
    damage_notifications(&file.path());

    let damaged = world(&file.path(), Options::default()).await;
    let own = shop(&damaged).await;
    assert!(is_ready(&damaged).await, "nobody knows yet");
    assert!(pay(&damaged, &own, 2).await >= 500);
    damaged.router.store.ready().await.unwrap();
    let (status, why) = ready(&damaged).await;
    assert!(status == 503 && why.contains("the store failed on it"), "{status} {why}");
    // Who sends what is not proved is refused all the same, and that says nothing of what is.
    let mut account = own.account.clone();
    account.credentials.insert("api_secret".to_owned(), kassir_providers::Secret::new("guessed"));
    let forger = Shop { account, slug: own.slug.clone(), url: own.url.clone() };
    assert_eq!(pay(&damaged, &forger, 3).await, 403);
    assert_eq!(ready(&damaged).await.0, 503);
    damaged.clock.advance(FAILURE_COUNTS_MS);
    assert!(is_ready(&damaged).await, "long ago");
    assert!(pay(&damaged, &own, 4).await >= 500);
    assert_eq!(ready(&damaged).await.0, 503);
    damaged.router.stop().await;
}

#[tokio::test]
async fn a_credential_that_does_not_open_makes_the_router_not_ready_until_it_does() {
    let file = File::new();
    let world = world(&file.path(), Options::default()).await;
    let own = shop(&world).await;
    assert_eq!((pay(&world, &own, 1).await, is_ready(&world).await), (200, true));
    let seal = async |vault: &Vault| {
        let change = |integration: &mut kassir::domain::config::Integration| {
            let owner = credential_owner(integration.id, "api_secret");
            let sealed = vault.seal(&owner, SECRET).unwrap();
            integration.credentials.get_mut("api_secret").unwrap().sealed = sealed;
        };
        world.change_elsewhere(&own, change).await;
    };
    seal(&Vault::throw_away().unwrap()).await;
    assert!(pay(&world, &own, 2).await >= 500);
    let (status, why) = ready(&world).await;
    assert!(status == 503 && why.contains("credential does not open"), "{status} {why}");
    // Another integration of the same merchant has its own credentials, and goes on.
    let other =
        world.shop("cloudpayments", &[("public_id", "pk_2"), ("api_secret", SECRET)], json!({})).await;
    assert_eq!((pay(&world, &other, 1).await, is_ready(&world).await), (200, true));
    assert!(pay(&world, &own, 2).await >= 500);
    seal(&world.vault).await;
    assert_eq!((pay(&world, &own, 2).await, is_ready(&world).await), (200, true));
    world.router.stop().await;
}

#[tokio::test]
async fn a_full_disk_makes_the_router_not_ready() {
    let file = File::new();
    let world = world(&file.path(), Options { max_pages: Some(200) }).await;
    let own = shop(&world).await;
    let mut order = 0;
    while pay(&world, &own, order).await == 200 {
        order += 1;
        assert!(order < 10_000, "it never fills up");
    }
    assert!(order > 10);
    assert_eq!(ready(&world).await.0, 503);
    world.router.stop().await;
}
