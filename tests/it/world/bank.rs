//! A provider's API for tests: answers each path with what the test told it to, and records what it was asked.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

/// A request that it got.
#[derive(Debug, Clone)]
pub struct Asked {
    pub headers: HashMap<String, String>,
}

#[derive(Default)]
struct Inside {
    answers: Mutex<HashMap<String, (u16, String)>>,
    asked: Mutex<Vec<Asked>>,
}

/// A provider's API.
pub struct Bank {
    inside: Arc<Inside>,
    port: u16,
}

impl Bank {
    pub fn start() -> Bank {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inside = Arc::new(Inside::default());
        let data = web::Data::from(Arc::clone(&inside));
        let server =
            HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(answer)))
                .workers(1)
                .disable_signals()
                .listen(listener)
                .unwrap()
                .run();
        tokio::spawn(server);
        Bank { inside, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Answers a path (`GET /payments/1`) so from now on.
    pub fn answer(&self, method_and_path: &str, status: u16, body: impl Into<String>) {
        self.inside.answers.lock().unwrap().insert(method_and_path.to_owned(), (status, body.into()));
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.inside.asked.lock().unwrap().clone()
    }
}

async fn answer(inside: web::Data<Inside>, request: HttpRequest) -> HttpResponse {
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    inside.asked.lock().unwrap().push(Asked { headers: headers.collect() });
    let key = format!("{} {}", request.method(), request.path());
    match inside.answers.lock().unwrap().get(&key) {
        Some((status, body)) => HttpResponse::build(actix_web::http::StatusCode::from_u16(*status).unwrap())
            .content_type("application/json")
            .body(body.clone()),
        None => HttpResponse::NotFound().body("{}"),
    }
}
