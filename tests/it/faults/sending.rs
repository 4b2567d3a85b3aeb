//! Notifications of a Robokassa shop, repeated until they are acknowledged, as the provider does.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kassir::client::unguarded;
use kassir::clock::Stopwatch;
use kassir::delivery::outbound::Outbound;
use serde_json::json;

use super::Receiver;
use crate::process::{Plan, Process};
use crate::robokassa::{connect, notice};

/// Pause of a sender whose notification was not acknowledged.
const PAUSE: Duration = Duration::from_millis(100);
/// Tries of one notification.
const TRIES_MAX: usize = 600;
/// Senders at once.
const SENDERS: usize = 24;

/// A shop that is set up: where its notifications go, at each router.
#[derive(Clone)]
pub struct Shop {
    pub merchant: String,
    pub urls: Vec<String>,
}

/// Sets a merchant with a Robokassa shop and a subscriber up; all routers work on one store.
pub async fn shop(routers: &[&Plan], subscriber: &str) -> Shop {
    shop_with(routers, subscriber, 64).await
}

/// The same; the subscriber takes at most so many requests at once.
pub async fn shop_with(routers: &[&Plan], subscriber: &str, max_in_flight: usize) -> Shop {
    let client = routers[0].client();
    let merchant = client.post("/merchants", &json!({ "name": "Лавка" })).await.unwrap();
    let path = format!("/merchants/{}", merchant["id"].as_str().unwrap());
    let endpoint = json!({ "url": subscriber, "max_in_flight": max_in_flight });
    client.post(&format!("{path}/endpoints"), &endpoint).await.unwrap();
    let url = connect(&client, &path).await;
    let (_, path_of_hook) = url.split_once("/webhooks/").unwrap();
    let urls = routers.iter().map(|plan| format!("{}/webhooks/{path_of_hook}", plan.url())).collect();
    Shop { merchant: path, urls }
}

/// Starts a subscriber and a router, and sets a shop up there.
pub async fn open_shop(plan: &Plan) -> (Arc<Receiver>, Process, Shop) {
    let receiver = Receiver::start();
    let router = plan.start().await;
    let shop = shop(&[plan], &receiver.url).await;
    (receiver, router, shop)
}

/// Sends one notification once; whether it was acknowledged.
async fn send(wire: &Outbound, url: &str, order: usize) -> bool {
    let outcome = wire.send(notice(url, order)).await;
    let acknowledged = outcome.status == Some(200);
    if acknowledged {
        assert_eq!(String::from_utf8_lossy(&outcome.body), format!("OK{order}"));
    }
    acknowledged
}

/// Sends one until it is acknowledged, to the routers in turn.
async fn send_until_acknowledged(wire: &Outbound, shop: &Shop, order: usize) {
    for turn in 0..TRIES_MAX {
        if send(wire, &shop.urls[(order + turn) % shop.urls.len()], order).await {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("order {order} was never acknowledged");
}

/// How long it takes until this order is acknowledged.
pub async fn accepted_after(shop: &Shop, order: usize) -> Duration {
    let started = Stopwatch::start();
    send_until_acknowledged(&unguarded().unwrap(), shop, order).await;
    started.elapsed()
}

/// Sends all these orders until each is acknowledged. `disturb` is called, with how many were acknowledged, each time
/// that another part of `parts` is done, while the senders go on.
pub async fn accept_all<F: AsyncFnMut(usize)>(shop: &Shop, orders: &[usize], parts: usize, mut disturb: F) {
    let wire = unguarded().unwrap();
    let (next, done) = (Arc::new(AtomicUsize::new(0)), tokio::sync::watch::Sender::new(0_usize));
    let orders: Arc<Vec<usize>> = Arc::new(orders.to_vec());
    let senders: Vec<_> = (0..SENDERS.min(orders.len()))
        .map(|_| {
            let (wire, shop, next, done) = (wire.clone(), shop.clone(), Arc::clone(&next), done.clone());
            let orders = Arc::clone(&orders);
            tokio::spawn(async move {
                while let Some(order) = orders.get(next.fetch_add(1, Ordering::SeqCst)) {
                    send_until_acknowledged(&wire, &shop, *order).await;
                    done.send_modify(|done| *done += 1);
                }
            })
        })
        .collect();
    let mut progress = done.subscribe();
    for part in 1..parts {
        let mark = orders.len() * part / parts;
        let reached = *progress.wait_for(|done| *done >= mark).await.unwrap();
        disturb(reached).await;
    }
    for sender in senders {
        sender.await.unwrap();
    }
}

/// Acknowledged orders that a test goes on sending until it is told to stop.
pub struct Stream {
    stop: tokio::sync::watch::Sender<bool>,
    accepted: Arc<Mutex<Vec<usize>>>,
    senders: Vec<tokio::task::JoinHandle<()>>,
}

impl Stream {
    /// Begins to send, from this order on, with so many senders at once.
    pub fn start(shop: &Shop, first: usize, senders: usize) -> Stream {
        let wire = unguarded().unwrap();
        let (stop, next) = (tokio::sync::watch::Sender::new(false), Arc::new(AtomicUsize::new(first)));
        let accepted: Arc<Mutex<Vec<usize>>> = Arc::default();
        let senders = (0..senders)
            .map(|_| {
                let (wire, shop, next) = (wire.clone(), shop.clone(), Arc::clone(&next));
                let (stopped, accepted) = (stop.subscribe(), Arc::clone(&accepted));
                tokio::spawn(async move {
                    while !*stopped.borrow() {
                        let order = next.fetch_add(1, Ordering::SeqCst);
                        send_until_acknowledged(&wire, &shop, order).await;
                        accepted.lock().unwrap().push(order);
                    }
                })
            })
            .collect();
        Stream { stop, accepted, senders }
    }

    /// How many were acknowledged.
    pub fn count(&self) -> usize {
        self.accepted.lock().unwrap().len()
    }

    /// Waits until so many more were acknowledged; gives how long that took.
    pub async fn more(&self, count: usize) -> Duration {
        let (started, wanted) = (Stopwatch::start(), self.count() + count);
        while self.count() < wanted {
            assert!(started.elapsed() < Duration::from_secs(120), "nothing is accepted any more");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        started.elapsed()
    }

    /// Stops when those under way are acknowledged; gives all that were.
    pub async fn stop(self) -> Vec<usize> {
        self.stop.send_replace(true);
        for sender in self.senders {
            sender.await.unwrap();
        }
        self.accepted.lock().unwrap().clone()
    }
}
