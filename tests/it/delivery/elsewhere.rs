//! What was set up through another router a moment ago: this one heard nothing of it, and must not end a delivery by the
//! copy that it has.

use kassir::delivery::SIGNING_SECRET;
use kassir::delivery::signature::SigningKey;
use kassir::domain::config::{Signing, SigningSecret};
use kassir::domain::ids::{DeliveryId, IntegrationId};
use kassir::domain::{Delivery, DeliveryStatus, Endpoint};
use kassir::registry::endpoint_owner;
use kassir::store::ConfigChange;

use crate::store_suite::START;
use crate::store_suite::samples::{self, Shop};
use crate::subscriber::Subscriber;
use crate::world::World;

/// A world whose router has a copy of what is set up.
async fn world() -> World {
    let world = World::on(crate::sqlite::fresh().await).await;
    assert!(world.router.services.registry.merchant(world.merchant).await.unwrap().is_some());
    world
}

/// An endpoint whose secrets open.
fn endpoint(world: &World, url: &str) -> Endpoint {
    let endpoint = samples::endpoint(world.merchant);
    let key = SigningKey::generate().unwrap();
    let sealed = world.vault.seal(&endpoint_owner(endpoint.id, SIGNING_SECRET), key.text().expose()).unwrap();
    let secret = SigningSecret { sealed, public: None, created_at: START, expires_at: None };
    Endpoint {
        url: url.to_owned(),
        headers: Default::default(),
        secrets: vec![secret],
        signing: Signing::default(),
        ordered: false,
        ..endpoint
    }
}

async fn put_elsewhere(world: &World, endpoint: &Endpoint) {
    let change = ConfigChange::PutEndpoint(Box::new(endpoint.clone()));
    world.router.store.change_config(world.merchant, change, None).await.unwrap();
}

/// A delivery that another router queued.
async fn queue(world: &World, endpoint: &Endpoint) -> DeliveryId {
    shop(world, endpoint).queue().await
}

fn shop(world: &World, endpoint: &Endpoint) -> Shop {
    let store = world.router.store.clone();
    let integration = IntegrationId(samples::id());
    Shop { store, merchant: world.merchant, integration, endpoint: endpoint.id, version: 0 }
}

async fn load(world: &World, id: DeliveryId) -> Delivery {
    world.router.store.delivery(world.merchant, id).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_was_made_or_turned_on_elsewhere_gets_its_events() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let made = endpoint(&world, &subscriber.url("/made"));
    put_elsewhere(&world, &made).await;
    let id = queue(&world, &made).await;
    world.work().await;
    assert_eq!(load(&world, id).await.status, DeliveryStatus::Delivered);
    // Turned off: that is true, and known here from now on.
    let off = Endpoint { enabled: false, ..made.clone() };
    put_elsewhere(&world, &off).await;
    world.clock.advance(kassir::registry::FRESH_MS);
    let id = queue(&world, &off).await;
    world.work().await;
    assert_eq!(load(&world, id).await.status, DeliveryStatus::Held);
    // Turned on again.
    put_elsewhere(&world, &made).await;
    let id = queue(&world, &made).await;
    world.work().await;
    assert_eq!(load(&world, id).await.status, DeliveryStatus::Delivered);
    assert_eq!(subscriber.seen().len(), 2);
    // One that nobody made.
    let id = queue(&world, &endpoint(&world, &subscriber.url("/none"))).await;
    world.work().await;
    assert_eq!(load(&world, id).await.status, DeliveryStatus::Canceled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_does_not_open_keeps_no_delivery_waiting() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let endpoint = endpoint(&world, &subscriber.url("/"));
    put_elsewhere(&world, &endpoint).await;
    // Sealed by nobody.
    let integration = samples::integration(world.merchant);
    let id = integration.id;
    let change = ConfigChange::PutIntegration(Box::new(integration));
    world.router.store.change_config(world.merchant, change, None).await.unwrap();
    let registry = &world.router.services.registry;
    registry.forget(world.merchant);
    let view = registry.current(world.merchant).await.unwrap().unwrap();
    assert!(view.integration(id).is_err(), "of others nothing is said");
    let id = queue(&world, &endpoint).await;
    world.work().await;
    assert_eq!(load(&world, id).await.status, DeliveryStatus::Delivered);
}
