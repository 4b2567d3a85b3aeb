//! The demo's subscriber: an HTTPS server with a certificate of its own CA that verifies each event's signature.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Context as _;
use tokio::sync::{Mutex, OnceCell, mpsc};

use super::PATIENCE;
use crate::clock::{Clock as _, SystemClock};
use crate::delivery::signature::{self, SigningKey};

/// A request as the subscriber got it.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub id: String,
    pub attempt: String,
    pub delivery: String,
    pub proof: String,
    pub replay: bool,
    /// Whether its signature was right.
    pub verified: bool,
    /// What it was answered.
    pub answered: u16,
    pub body: String,
}

struct Inside {
    key: OnceCell<SigningKey>,
    failures: AtomicU32,
    got: mpsc::UnboundedSender<Got>,
}

pub(super) struct Subscriber {
    inside: Arc<Inside>,
    got: Mutex<mpsc::UnboundedReceiver<Got>>,
    port: u16,
    server: ServerHandle,
}

impl Subscriber {
    pub(super) fn start(folder: &Path) -> anyhow::Result<Subscriber> {
        let tls = crate::tls::for_localhost(&folder.join("ca.pem"))?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (sender, receiver) = mpsc::unbounded_channel();
        let inside = Arc::new(Inside { key: OnceCell::new(), failures: AtomicU32::new(0), got: sender });
        let data = web::Data::from(Arc::clone(&inside));
        let server =
            HttpServer::new(move || App::new().app_data(data.clone()).route("/events", web::post().to(take)))
                .workers(1)
                .shutdown_timeout(1)
                .disable_signals()
                .listen_rustls_0_23(listener, tls)?
                .run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Subscriber { inside, got: Mutex::new(receiver), port, server: handle })
    }

    pub(super) fn url(&self) -> String {
        format!("https://localhost:{}/events", self.port)
    }

    /// Verifies with this secret from now on.
    ///
    /// # Errors
    /// When it is no `whsec_…` secret.
    pub(super) fn trust(&self, secret: &str) -> anyhow::Result<()> {
        self.inside.key.set(SigningKey::parse(secret)?).ok();
        Ok(())
    }

    /// Answers the next so many requests with 500.
    pub(super) fn fail_next(&self, times: u32) {
        self.inside.failures.store(times, Ordering::SeqCst);
    }

    /// The next request.
    pub(super) async fn next(&self) -> anyhow::Result<Got> {
        let mut got = self.got.lock().await;
        let next = tokio::time::timeout(PATIENCE, got.recv()).await;
        next.context("the subscriber got nothing in time")?.context("the subscriber ended")
    }

    /// What has come that nobody asked for yet.
    pub(super) async fn unexpected(&self) -> Option<Got> {
        self.got.lock().await.try_recv().ok()
    }

    pub(super) async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn take(inside: web::Data<Inside>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let header = |name: &str| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned()
    };
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let now = SystemClock.now().div_euclid(1000);
    let verified = inside.key.get().is_some_and(|key| signature::verify(&headers, &body, key, now).is_ok());
    let fails =
        inside.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
    let answered = match (fails, verified) {
        (true, _) => 500,
        (false, true) => 200,
        (false, false) => 401,
    };
    let got = Got {
        id: header("webhook-id"),
        attempt: header("kassir-attempt"),
        delivery: header("kassir-delivery"),
        proof: header("kassir-proof"),
        replay: header("kassir-replay") == "true",
        verified,
        answered,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    drop(inside.got.send(got));
    match answered {
        200 => HttpResponse::Ok().finish(),
        401 => HttpResponse::Unauthorized().finish(),
        _ => HttpResponse::InternalServerError().body("the shop's database is restarting"),
    }
}
