//! A subscriber that counts what it gets, and a sender of paid orders.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::join_all;
use kassir::client::unguarded;
use kassir::delivery::outbound::OutboundRequest;
use serde_json::json;
use tokio::sync::Notify;

use crate::process::Plan;
use crate::robokassa::{connect, notice};
use crate::serving::serve;

/// Longest wait for anything: leases of a killed router run out within this.
pub const PATIENCE: Duration = Duration::from_secs(150);
/// Senders at once.
const SENDERS: usize = 32;

/// What came: requests by event, those of replays apart.
#[derive(Default)]
pub struct Inbox {
    first: Mutex<HashMap<String, usize>>,
    again: Mutex<HashMap<String, usize>>,
    more: Notify,
}

impl Inbox {
    /// Starts one over plain http; gives its URL.
    pub fn start() -> (String, Arc<Inbox>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}/events", listener.local_addr().unwrap().port());
        let inbox = Arc::new(Inbox::default());
        serve(listener, &inbox, take);
        (url, inbox)
    }

    /// Different events that came for the first time, or as a replay.
    pub fn events(&self, replay: bool) -> usize {
        self.map(replay).lock().unwrap().len()
    }

    /// Requests beyond the first of each event.
    pub fn duplicates(&self, replay: bool) -> usize {
        self.map(replay).lock().unwrap().values().map(|count| count - 1).sum()
    }

    /// Requests.
    pub fn requests(&self, replay: bool) -> usize {
        self.map(replay).lock().unwrap().values().sum()
    }

    fn map(&self, replay: bool) -> &Mutex<HashMap<String, usize>> {
        if replay { &self.again } else { &self.first }
    }

    /// Waits until so many different events came.
    pub async fn wait_for(&self, replay: bool, events: usize) {
        let all = async {
            loop {
                let more = self.more.notified();
                if self.events(replay) >= events {
                    return;
                }
                more.await;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            panic!("only {} of {events} came", self.events(replay));
        }
    }
}

async fn take(inbox: web::Data<Inbox>, request: HttpRequest) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let replay = header("kassir-replay").is_some();
    *inbox.map(replay).lock().unwrap().entry(header("webhook-id").unwrap()).or_default() += 1;
    inbox.more.notify_waiters();
    HttpResponse::Ok().finish()
}

/// A merchant with a Robokassa shop and an endpoint.
pub struct Shop {
    /// `/merchants/mer_…`.
    pub path: String,
    /// Its id.
    pub merchant: String,
    /// The endpoint's id.
    pub endpoint: String,
    /// The inbound URL.
    pub url: String,
}

/// Sets it up.
pub async fn set_up(plan: &Plan, subscriber: &str, enabled: bool) -> Shop {
    let client = plan.client();
    let merchant = client.post("/merchants", &json!({ "name": "Лавка" })).await.unwrap();
    let merchant = merchant["id"].as_str().unwrap().to_owned();
    let path = format!("/merchants/{merchant}");
    let endpoint = json!({ "url": subscriber, "max_in_flight": 64, "enabled": enabled });
    let endpoint = client.post(&format!("{path}/endpoints"), &endpoint).await.unwrap();
    let url = connect(&client, &path).await;
    Shop { path, merchant, endpoint: endpoint["id"].as_str().unwrap().to_owned(), url }
}

/// Sends so many paid orders, numbered from `from` on; each is acknowledged.
pub async fn pay(url: &str, from: usize, count: usize) {
    let wire = unguarded().unwrap();
    let next = AtomicUsize::new(from);
    let send = async || {
        loop {
            let order = next.fetch_add(1, Ordering::SeqCst);
            if order >= from + count {
                return;
            }
            let timeout = Some(Duration::from_secs(30));
            let outcome = wire.send(OutboundRequest { timeout, ..notice(url, order) }).await;
            assert_eq!(String::from_utf8_lossy(&outcome.body), format!("OK{order}"));
        }
    };
    join_all((0..SENDERS).map(|_| send())).await;
}
