//! A subscriber that writes down every request, and answers when and how it is told.

use std::collections::{HashMap, HashSet};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use kassir::clock::Stopwatch;
use serde_json::Value;
use tokio::sync::watch;

use super::Counts;
use crate::serving::serve;

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(120);
/// Missing orders that are named.
const SHOWN: usize = 10;

/// A request of the router.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The provider's number of the order.
    pub order: usize,
    /// `webhook-id`.
    pub event: String,
    /// `kassir-delivery`.
    pub delivery: String,
    /// When, since the subscriber's start.
    pub at: Duration,
}

/// The subscriber.
pub struct Receiver {
    pub url: String,
    started: Stopwatch,
    arrivals: Mutex<Vec<Arrival>>,
    count: watch::Sender<usize>,
    held: watch::Sender<bool>,
    status: AtomicU16,
    /// Every so-manyth order is refused when it first comes; 0: none.
    refuse_each: AtomicUsize,
    refused: Mutex<HashSet<usize>>,
}

impl Receiver {
    /// Starts one over plain http that takes everything at once.
    pub fn start() -> Arc<Receiver> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Arc::new(Receiver {
            url: format!("http://127.0.0.1:{}/events", listener.local_addr().unwrap().port()),
            started: Stopwatch::start(),
            arrivals: Mutex::default(),
            count: watch::Sender::new(0),
            held: watch::Sender::new(false),
            status: AtomicU16::new(200),
            refuse_each: AtomicUsize::new(0),
            refused: Mutex::default(),
        });
        serve(listener, &receiver, take);
        receiver
    }

    /// Lets requests wait for their answer, or not any more.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// What requests that arrive from now on are answered.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// Refuses every so-manyth order when it first comes; that does not count as an arrival.
    pub fn refuse_each(&self, each: usize) {
        self.refuse_each.store(each, Ordering::SeqCst);
    }

    fn refuses(&self, order: usize) -> bool {
        let each = self.refuse_each.load(Ordering::SeqCst);
        each > 0 && order.is_multiple_of(each) && self.refused.lock().unwrap().insert(order)
    }

    /// The time by which arrivals are noted.
    pub fn since_start(&self) -> Duration {
        self.started.elapsed()
    }

    /// All requests so far.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().clone()
    }

    /// Waits until what arrived is as wanted.
    pub async fn wait(&self, what: &str, wanted: impl Fn(&[Arrival]) -> bool) {
        let mut count = self.count.subscribe();
        let enough = count.wait_for(|_| wanted(&self.arrivals.lock().unwrap()));
        let ended = tokio::time::timeout(PATIENCE, enough).await;
        assert!(ended.is_ok(), "{what} did not come: {} requests", self.arrivals.lock().unwrap().len());
    }

    /// Waits until an event of each of these orders came; gives up when none of them came for a while, for a backlog of
    /// many thousands takes its time. Each arrival is looked at once: requests wait while somebody looks.
    pub async fn wait_for(&self, orders: &[usize]) {
        let mut count = self.count.subscribe();
        let (mut missing, mut seen) = (orders.iter().copied().collect::<HashSet<_>>(), 0);
        while !missing.is_empty() {
            let next = count.wait_for(|count| *count > seen);
            if tokio::time::timeout(PATIENCE, next).await.is_err() {
                break;
            }
            let new = self.arrivals.lock().unwrap().get(seen..).unwrap_or_default().to_vec();
            seen += new.len();
            for arrival in new {
                missing.remove(&arrival.order);
            }
        }
        let mut first: Vec<&usize> = missing.iter().collect();
        first.sort_unstable();
        first.truncate(SHOWN);
        let (missed, all) = (missing.len(), orders.len());
        assert!(missing.is_empty(), "{missed} of {all} orders did not come, such as {first:?}");
    }

    /// What came of these accepted orders.
    pub fn counts(&self, accepted: &[usize]) -> Counts {
        let arrivals = self.arrivals();
        let came: HashSet<usize> = arrivals.iter().map(|arrival| arrival.order).collect();
        let events: HashSet<&String> = arrivals.iter().map(|arrival| &arrival.event).collect();
        let delivered = accepted.iter().filter(|order| came.contains(order)).count();
        Counts {
            accepted: accepted.len(),
            delivered,
            duplicated: arrivals.len() - events.len(),
            lost: accepted.len() - delivered,
        }
    }

    /// No order has two different events.
    pub fn assert_one_event_each(&self) {
        let twice = self.twice();
        assert!(twice.is_empty(), "two events for one order: {twice:?}");
    }

    /// How many orders have two different events.
    pub fn with_two_events(&self) -> usize {
        self.twice().len()
    }

    fn twice(&self) -> HashMap<usize, HashSet<String>> {
        let mut events: HashMap<usize, HashSet<String>> = HashMap::new();
        for arrival in self.arrivals() {
            events.entry(arrival.order).or_default().insert(arrival.event);
        }
        events.retain(|_, ids| ids.len() > 1);
        events
    }
}

async fn take(receiver: web::Data<Receiver>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let event: Value = serde_json::from_slice(&body).unwrap();
    let header = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
    let order = event["payload"]["InvId"].as_str().unwrap().parse().unwrap();
    if receiver.refuses(order) {
        return HttpResponse::InternalServerError().finish();
    }
    let at = receiver.since_start();
    let arrival = Arrival { order, event: header("webhook-id"), delivery: header("kassir-delivery"), at };
    let status = receiver.status.load(Ordering::SeqCst);
    receiver.arrivals.lock().unwrap().push(arrival);
    receiver.count.send_modify(|count| *count += 1);
    // An answer that nobody waits for any more ends with its connection.
    let _ = receiver.held.subscribe().wait_for(|held| !held).await;
    HttpResponse::new(StatusCode::from_u16(status).unwrap())
}
