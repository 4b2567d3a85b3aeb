//! The subscribers: every path answers as it is told, and what arrives is written down with the time of the stepped clock.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use kassir::clock::{Clock as _, ManualClock};
use sha2::{Digest as _, Sha256};

use crate::serving::serve;

/// A request of a router.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The subscriber's path.
    pub path: String,
    /// `webhook-id`.
    pub event: String,
    /// `kassir-delivery`.
    pub delivery: String,
    /// `webhook-timestamp`, seconds.
    pub timestamp: i64,
    /// When it came, Unix milliseconds.
    pub at: i64,
    /// What it was answered.
    pub status: u16,
    /// SHA-256 of its body.
    pub body: [u8; 32],
}

pub struct Receiver {
    pub port: u16,
    clock: Arc<ManualClock>,
    answers: Mutex<HashMap<String, u16>>,
    arrivals: Mutex<Vec<Arrival>>,
}

impl Receiver {
    pub fn start(clock: Arc<ManualClock>) -> Arc<Receiver> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver =
            Arc::new(Receiver { port, clock, answers: Mutex::default(), arrivals: Mutex::default() });
        serve(listener, &receiver, take);
        receiver
    }

    /// What a path answers from now on; 200 before.
    pub fn answer(&self, path: &str, status: u16) {
        self.answers.lock().unwrap().insert(path.to_owned(), status);
    }

    /// All requests since the last time.
    pub fn take_arrivals(&self) -> Vec<Arrival> {
        std::mem::take(&mut self.arrivals.lock().unwrap())
    }
}

async fn take(receiver: web::Data<Receiver>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
    let path = request.path().to_owned();
    let status = receiver.answers.lock().unwrap().get(&path).copied().unwrap_or(200);
    receiver.arrivals.lock().unwrap().push(Arrival {
        path,
        event: header("webhook-id"),
        delivery: header("kassir-delivery"),
        timestamp: header("webhook-timestamp").parse().unwrap(),
        at: receiver.clock.now(),
        status,
        body: Sha256::digest(&body).into(),
    });
    HttpResponse::new(StatusCode::from_u16(status).unwrap())
}
