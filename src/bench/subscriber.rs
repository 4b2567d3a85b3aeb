//! The subscriber: takes every event at once and remembers when each order's arrived.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use serde::Deserialize;
use tokio::sync::Notify;

use crate::clock::Stopwatch;

/// Longest wait for an event.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Inside {
    arrived: Mutex<HashMap<usize, Stopwatch>>,
    more: Notify,
}

pub(super) struct Subscriber {
    inside: Arc<Inside>,
    url: String,
    server: ServerHandle,
}

#[derive(Deserialize)]
struct Event {
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "InvId")]
    order: String,
}

impl Subscriber {
    /// Starts one; with a certificate for `localhost` it speaks TLS.
    pub(super) fn start(tls: Option<&rustls::ServerConfig>) -> anyhow::Result<Subscriber> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let inside = Arc::new(Inside::default());
        let data = web::Data::from(Arc::clone(&inside));
        let server =
            HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(take)))
                .workers(1)
                .disable_signals();
        let (server, url) = match tls {
            None => (server.listen(listener)?, format!("http://127.0.0.1:{port}/events")),
            Some(tls) => (
                server.listen_rustls_0_23(listener, tls.clone())?,
                format!("https://localhost:{port}/events"),
            ),
        };
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Subscriber { inside, url, server: handle })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Forgets what came.
    pub(super) fn forget(&self) {
        self.inside.arrived.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How long ago each order's event arrived.
    pub(super) fn ages(&self, orders: std::ops::Range<usize>) -> Vec<Duration> {
        let arrived = self.inside.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        orders.filter_map(|order| arrived.get(&order)).map(Stopwatch::elapsed).collect()
    }

    /// Waits until events of so many orders came.
    pub(super) async fn wait_for(&self, orders: usize) -> anyhow::Result<()> {
        let came = || self.inside.arrived.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.wait(|| (came() >= orders).then_some(()))
            .await
            .with_context(|| format!("{} of {orders} came", came()))
    }

    /// When an order's event arrived, by this watch.
    pub(super) async fn arrival(&self, order: usize, watch: &Stopwatch) -> anyhow::Result<Duration> {
        let find = || self.inside.arrived.lock().unwrap_or_else(PoisonError::into_inner).get(&order).copied();
        let arrived =
            self.wait(find).await.with_context(|| format!("the event of order {order} did not come"))?;
        // Both watches run on: what the younger one shows less is when it was started.
        Ok(watch.elapsed().saturating_sub(arrived.elapsed()))
    }

    async fn wait<T>(&self, find: impl Fn() -> Option<T>) -> anyhow::Result<T> {
        let waiting = async {
            loop {
                let more = self.inside.more.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                if let Some(found) = find() {
                    return found;
                }
                more.await;
            }
        };
        Ok(tokio::time::timeout(PATIENCE, waiting).await?)
    }

    pub(super) async fn stop(&self) {
        self.server.stop(false).await;
    }
}

async fn take(inside: web::Data<Inside>, body: web::Bytes) -> HttpResponse {
    let arrived = Stopwatch::start();
    let order =
        serde_json::from_slice::<Event>(&body).ok().and_then(|event| event.payload.order.parse().ok());
    if let Some(order) = order {
        inside.arrived.lock().unwrap_or_else(PoisonError::into_inner).insert(order, arrived);
    }
    inside.more.notify_waiters();
    HttpResponse::Ok().finish()
}
