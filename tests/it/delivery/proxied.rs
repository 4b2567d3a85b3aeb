//! Deliveries through a forward proxy that does not work: not the endpoint's fault.

use kassir::delivery::outbound::{OutboundConfig, Proxy};
use kassir::delivery::{DeliveryConfig, EndpointView};
use kassir::domain::DeliveryStatus;
use kassir_providers::Secret;

use super::world::{TIMEOUT, World, world_through};
use crate::authority::Authority;
use crate::forward_proxy::{ForwardProxy, Mode};
use crate::subscriber::Subscriber;

async fn world(authority: &Authority, proxy: &ForwardProxy) -> World {
    let proxy = Proxy::parse(&Secret::new(format!("http://{}", proxy.at)), &[]).unwrap();
    let config = OutboundConfig {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        ca_file: Some(authority.ca_file()),
        timeout: TIMEOUT * 5,
        connect_timeout: TIMEOUT * 5,
        proxy: Some(proxy),
        ..OutboundConfig::default()
    };
    world_through(&config, DeliveryConfig::default(), |store| store).await
}

async fn tallies(world: &World, view: &EndpointView) -> Vec<(String, i64)> {
    let rows = world.store.tallies(world.shop.merchant, 0, i64::MAX).await.unwrap();
    let ours = |key: &str| key.ends_with(&view.endpoint.id.to_string());
    rows.into_iter().filter(|(_, key, _)| ours(key)).map(|(_, key, value)| (key, value)).collect()
}

#[tokio::test]
async fn the_proxys_faults_are_recorded_but_not_counted() {
    let authority = Authority::new();
    let proxy = ForwardProxy::start().await;
    let subscriber = Subscriber::https(authority.server("127.0.0.1")).await;
    let world = world(&authority, &proxy).await;
    let view = world.endpoint(&subscriber.url("/"));
    proxy.set(Mode::Answer("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
    let id = world.queue(&view).await;
    let started = world.now();
    world.worker.run_until_idle().await.unwrap();
    // Far more failures than open a breaker.
    for _ in 0..30 {
        let waiting = world.go_to_next(id).await;
        assert_eq!(
            (waiting.status, waiting.round),
            (DeliveryStatus::Pending, 0),
            "the schedule stands still"
        );
    }
    let attempts = world.attempts(id).await;
    assert_eq!(attempts.len(), 31);
    let words = format!("the forward proxy {} refused to open a tunnel (502)", proxy.at);
    assert!(attempts.iter().all(|attempt| attempt.error.as_ref() == Some(&words)), "{attempts:?}");
    assert_eq!(tallies(&world, &view).await, [], "nothing counts against the endpoint");
    assert_eq!(subscriber.connections(), 0);

    // Another delivery is tried at once: nothing is held back.
    let second = world.queue(&view).await;
    world.worker.run_until_idle().await.unwrap();
    assert_eq!(world.attempts(second).await.len(), 1);

    proxy.set(Mode::Work);
    let done = world.go_to_next(id).await;
    assert_eq!(done.status, DeliveryStatus::Delivered);
    assert!(world.now() - started < 2 * 60 * 60 * 1000);
    assert_eq!(world.store.failing(None).await.unwrap(), []);
    assert_eq!(world.load(second).await.status, DeliveryStatus::Delivered);
    assert_eq!(subscriber.seen().len(), 2);
}
