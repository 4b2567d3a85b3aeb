//! Routers whose clocks are five minutes off, on one Redis: what is due goes by Redis's clock.

use std::sync::Arc;

use kassir::clock::{Clock as _, ManualClock, SystemClock};
use kassir::delivery::outbound::{Outbound, OutboundConfig};
use kassir::delivery::signature::SigningKey;
use kassir::delivery::{DeliveryConfig, EndpointView, LiveKey, Parts, Worker};
use kassir::domain::config::Success;
use kassir::domain::{Delivery, Endpoint, Event};
use kassir::store::redis::{Options, RedisStore};
use kassir::store::{Commit, Store};

use super::world::{Endpoints, Jobs};
use crate::faults::Receiver;
use crate::redis_faults::bench;
use crate::redis_server::{DURABLE, Server};
use crate::store_suite::samples;

/// How far a clock is off, milliseconds.
const SKEW_MS: i64 = 300_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_goes_by_the_clock_of_redis() {
    let server = Server::start(DURABLE);
    let store: Arc<dyn Store> = Arc::new(RedisStore::open(&server.url(), Options::default()).await.unwrap());
    let shop = samples::shop(&bench(Arc::clone(&store))).await;
    let receiver = Receiver::start();
    receiver.answer(500);
    let endpoint = Endpoint {
        url: receiver.url.clone(),
        success: Success::Exactly200,
        max_in_flight: None,
        ordered: false,
        ..samples::endpoint(shop.merchant)
    };
    let id = endpoint.id;
    let keys = vec![LiveKey { key: SigningKey::generate().unwrap(), expires_at: None }];
    let endpoints = Arc::new(Endpoints::default());
    endpoints.put(EndpointView { endpoint, keys, headers: Vec::new(), identity: None });
    let worker = |owner: &str, skew: i64| {
        let clock = Arc::new(ManualClock::at(SystemClock.now() + skew));
        let outbound = Outbound::build(&OutboundConfig {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            allow_http: true,
            ..OutboundConfig::default()
        })
        .unwrap();
        let worker = Worker::new(Parts {
            store: Arc::clone(&store),
            outbound,
            endpoints: endpoints.clone(),
            jobs: Arc::new(Jobs::default()),
            clock: clock.clone(),
            config: DeliveryConfig::default(),
            owner: owner.to_owned(),
        });
        (worker, clock)
    };
    let routers = [worker("ahead", SKEW_MS), worker("behind", -SKEW_MS)];
    for (turn, (sender, _)) in routers.iter().enumerate() {
        for (accepted_by, (_, clock)) in routers.iter().enumerate() {
            let now = clock.now();
            let order = 10 * turn + accepted_by;
            let event = Event {
                tail: format!(",\"provider\":\"robokassa\",\"payload\":{{\"InvId\":\"{order}\"}}}}"),
                created_at: now,
                payment: 1,
                ..shop.event()
            };
            let delivery = Delivery {
                next_attempt_at: Some(now),
                created_at: now,
                round_started_at: now,
                ..shop.delivery_to(id, &event)
            };
            let work = delivery.id;
            shop.write(Commit { events: vec![event], deliveries: vec![delivery], ..shop.commit() }).await;
            assert_eq!(sender.step().await.unwrap(), 1, "the first attempt is due at once");
            let next = shop.load(work).await.next_attempt_at.unwrap() - store.now().await.unwrap();
            // 5 s, spread by a fifth, less what went by since.
            assert!((2_500..=6_100).contains(&next), "{next} ms");
            for (other, _) in &routers {
                assert_eq!(other.step().await.unwrap(), 0, "nobody is early");
            }
        }
    }
    assert_eq!(receiver.arrivals().len(), 4);
}
