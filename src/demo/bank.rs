//! The demo's stand-in for YooKassa's API: tells the state of the payments that it was told to know.
//! Protocol: <https://yookassa.ru/developers/api#get_payment>.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::Value;

type Payments = Mutex<HashMap<String, Value>>;

pub(super) struct Bank {
    payments: Arc<Payments>,
    port: u16,
    server: ServerHandle,
}

impl Bank {
    pub(super) fn start() -> anyhow::Result<Bank> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let payments = Arc::new(Payments::default());
        let data = web::Data::from(Arc::clone(&payments));
        let server = HttpServer::new(move || {
            App::new().app_data(data.clone()).route("/v3/payments/{id}", web::get().to(show))
        })
        .workers(1)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Bank { payments, port, server: handle })
    }

    /// The value for the setting `api_base`.
    pub(super) fn api_base(&self) -> String {
        format!("http://127.0.0.1:{}/v3", self.port)
    }

    /// Knows a payment from now on.
    pub(super) fn know(&self, payment: &Value) {
        let id = payment.get("id").and_then(Value::as_str).unwrap_or("").to_owned();
        self.payments.lock().unwrap_or_else(PoisonError::into_inner).insert(id, payment.clone());
    }

    pub(super) async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn show(payments: web::Data<Payments>, id: web::Path<String>) -> HttpResponse {
    match payments.lock().unwrap_or_else(PoisonError::into_inner).get(id.as_str()) {
        Some(payment) => HttpResponse::Ok().json(payment),
        None => HttpResponse::NotFound().json(serde_json::json!({ "type": "error", "code": "not_found" })),
    }
}
