//! kill -9 of the real binary under full load: what was acknowledged reaches the subscriber, and no payment has two
//! different events for one state. The senders repeat what was not answered, as providers do.

use std::collections::{HashMap, HashSet};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use kassir::client::unguarded;
use kassir::delivery::outbound::Outbound;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use crate::faults::{Counts, end_and_compare, shop_with, size};
use crate::process::{Plan, Process};
use crate::redis_server::{DURABLE, Server};
use crate::robokassa::notice;
use crate::serving::serve;

/// Requests that the subscriber takes at once: no more can be under way when a router is killed.
const IN_FLIGHT: usize = 64;
/// Senders at once.
const SENDERS: usize = 48;
/// Longest pause of a sender whose request met nobody.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest wait for the last event: leases of a killed router run out within this.
const PATIENCE: Duration = Duration::from_secs(150);

/// What the subscriber got: event ids by payment and state.
#[derive(Default)]
pub struct Got {
    events: Mutex<HashMap<(u64, String), HashSet<String>>>,
    references: Mutex<HashSet<String>>,
    requests: Mutex<usize>,
    more: Notify,
}

/// Starts a subscriber over plain http that takes everything.
pub fn subscriber() -> (String, Arc<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}/events", listener.local_addr().unwrap().port());
    let got = Arc::new(Got::default());
    serve(listener, &got, take);
    (url, got)
}

async fn take(got: web::Data<Got>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let event: Value = serde_json::from_slice(&body).unwrap();
    let id = request.headers().get("webhook-id").unwrap().to_str().unwrap().to_owned();
    let key = (event["id"].as_u64().unwrap(), event["state"].as_str().unwrap().to_owned());
    got.events.lock().unwrap().entry(key).or_default().insert(id);
    if let Some(reference) = event["payload"]["InvId"].as_str() {
        got.references.lock().unwrap().insert(reference.to_owned());
    }
    *got.requests.lock().unwrap() += 1;
    got.more.notify_waiters();
    HttpResponse::Ok().finish()
}

impl Got {
    /// Waits until events of so many orders came.
    pub async fn wait_for(&self, orders: usize) {
        let all = async {
            loop {
                let more = self.more.notified();
                if self.references.lock().unwrap().len() >= orders {
                    return;
                }
                more.await;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            panic!("only {} of {orders} orders came", self.references.lock().unwrap().len());
        }
    }

    /// Waits until a payment came into this state.
    pub async fn wait_for_state(&self, count: usize, state: &str) {
        let all = async {
            loop {
                let more = self.more.notified();
                if self.events.lock().unwrap().keys().filter(|(_, known)| known == state).count() >= count {
                    return;
                }
                more.await;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            panic!("not {count} events {state} in {:?}", self.events.lock().unwrap());
        }
    }

    /// The states that came, by how many payments.
    pub fn states(&self) -> std::collections::BTreeMap<String, usize> {
        let mut states = std::collections::BTreeMap::new();
        for (_, state) in self.events.lock().unwrap().keys() {
            *states.entry(state.clone()).or_default() += 1;
        }
        states
    }

    /// Waits until these came: payments and their states.
    pub async fn wait_for_events(&self, wanted: &[(u64, String)]) {
        let all = async {
            loop {
                let more = self.more.notified();
                if wanted.iter().all(|event| self.events.lock().unwrap().contains_key(event)) {
                    return;
                }
                more.await;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            panic!("only {:?} of {wanted:?} came", self.events.lock().unwrap());
        }
    }

    /// What came of all orders, each of which was acknowledged.
    fn counts(&self, orders: usize) -> Counts {
        let delivered = self.references.lock().unwrap().len();
        let duplicated = *self.requests.lock().unwrap() - self.events.lock().unwrap().len();
        Counts { accepted: orders, delivered, duplicated, lost: orders - delivered }
    }

    /// No payment has two different events for one state, and there is one payment per order.
    pub fn check(&self, orders: usize) {
        let events = self.events.lock().unwrap();
        let twice: Vec<_> = events.iter().filter(|(_, ids)| ids.len() > 1).collect();
        assert!(twice.is_empty(), "two events for one state: {twice:?}");
        assert_eq!(events.len(), orders, "payments and orders differ");
    }
}

/// Sends one order's notification until it is acknowledged. `lives` counts the router's starts: who finds nobody
/// there waits for the next one.
async fn send_until_acknowledged(
    wire: &Outbound,
    url: &str,
    order: usize,
    mut lives: watch::Receiver<usize>,
) {
    let notice = notice(url, order);
    loop {
        let life = *lives.borrow_and_update();
        let outcome = wire.send(notice.clone()).await;
        if outcome.status == Some(200) {
            assert_eq!(String::from_utf8_lossy(&outcome.body), format!("OK{order}"));
            return;
        }
        if outcome.status.is_none() && *lives.borrow() == life {
            // Nobody there: until the next life, or for a while as a provider pauses before it repeats.
            let _ = tokio::time::timeout(PAUSE, lives.changed()).await;
        }
    }
}

/// How much is sent, and how often something is killed meanwhile.
#[derive(Clone, Copy)]
struct Storm {
    notifications: usize,
    kills: usize,
}

/// Sends all orders while the router or its Redis is killed and restarted: `disturb` is called so often, after equal parts.
async fn storm<F: AsyncFnMut()>(url: &str, storm: Storm, mut disturb: F) {
    let Storm { notifications, kills } = storm;
    let wire = unguarded().unwrap();
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(1));
    let acknowledged = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let progress = Arc::new(Notify::new());
    let (life, lives) = watch::channel(0);
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (wire, url, lives) = (wire.clone(), url.to_owned(), lives.clone());
            let (next, acknowledged, progress) =
                (Arc::clone(&next), Arc::clone(&acknowledged), Arc::clone(&progress));
            tokio::spawn(async move {
                loop {
                    let order = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    if order > notifications {
                        return;
                    }
                    send_until_acknowledged(&wire, &url, order, lives.clone()).await;
                    acknowledged.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    progress.notify_one();
                }
            })
        })
        .collect();
    for part in 1..=kills {
        let mark = notifications * part / (kills + 1);
        while acknowledged.load(std::sync::atomic::Ordering::SeqCst) < mark {
            progress.notified().await;
        }
        disturb().await;
        life.send_modify(|life| *life += 1);
    }
    for sender in senders {
        sender.await.unwrap();
    }
}

async fn killed_again_and_again(plan: Plan, name: &str) {
    let told = Storm { notifications: size(5_000, 50_000), kills: size(5, 200) };
    let (subscriber, got) = subscriber();
    let mut router = Some(plan.start().await);
    let url = &shop_with(&[&plan], &subscriber, IN_FLIGHT).await.urls[0];
    storm(url, told, async || {
        router.take().unwrap().kill_9().await;
        router = Some(plan.start().await);
    })
    .await;
    let counts = ended(&got, name, told, router.unwrap(), &plan).await;
    assert!(counts.duplicated <= told.kills * IN_FLIGHT, "more than could be under way: {counts:?}");
}

/// Waits until all is delivered, ends the router, and compares sender, subscriber and store.
async fn ended(got: &Got, name: &str, told: Storm, router: Process, plan: &Plan) -> Counts {
    let orders = told.notifications;
    got.wait_for(orders).await;
    end_and_compare(vec![router], plan, &(1..=orders).collect::<Vec<_>>()).await;
    let counts = got.counts(orders);
    counts.print(name, &[("kills", &told.kills)]);
    got.check(orders);
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_killed_again_and_again_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    killed_again_and_again(Plan::sqlite(folder.path()), "C3-sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_killed_again_and_again_loses_nothing() {
    let server = Server::start(DURABLE);
    let folder = tempfile::tempdir().unwrap();
    killed_again_and_again(Plan::on(folder.path(), &server.url()), "C3-redis").await;
}

/// The router stays; its Redis is killed with -9 and started again, several times.
#[tokio::test(flavor = "multi_thread")]
async fn redis_itself_killed_again_and_again_loses_nothing() {
    // A Redis reads all that it had when it starts: the more there is, the longer nobody is there.
    let told = Storm { notifications: size(5_000, 20_000), kills: size(5, 20) };
    let server = Server::start(DURABLE);
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::on(folder.path(), &server.url());
    let (subscriber, got) = subscriber();
    let router = plan.start().await;
    let url = &shop_with(&[&plan], &subscriber, IN_FLIGHT).await.urls[0];
    storm(url, told, async || {
        server.kill();
        server.resume();
    })
    .await;
    ended(&got, "R1", told, router, &plan).await;
}
