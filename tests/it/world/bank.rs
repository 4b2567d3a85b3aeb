//! A provider's API for tests: answers each path with what the test told it to, or a script of calls one after the
//! other, and records what it was asked.

use std::collections::{HashMap, VecDeque};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use actix_web::{HttpRequest, HttpResponse, web};
use tokio::sync::Notify;

use crate::serving::serve;

/// A request that it got.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// Path, with the query if there is one.
    pub target: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

/// What it answers.
#[derive(Debug, Clone)]
pub enum Reply {
    Say {
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    /// It takes the request and never answers.
    Silence,
    /// It answers status 200 once the test lets it.
    Held {
        gate: Arc<Notify>,
        body: String,
    },
}

impl Reply {
    pub fn json(status: u16, body: impl Into<String>) -> Reply {
        Reply::Say { status, headers: Vec::new(), body: body.into() }
    }
}

#[derive(Default)]
struct Inside {
    answers: Mutex<HashMap<String, (u16, String)>>,
    script: Mutex<VecDeque<(String, Reply)>>,
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
        serve(listener, &inside, answer);
        Bank { inside, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Answers a path (`GET /payments/1`) so from now on. `GET /payments/*` stands for every path with another last
    /// part, which takes the place of `{id}` in the body.
    pub fn answer(&self, method_and_path: &str, status: u16, body: impl Into<String>) {
        self.inside.answers.lock().unwrap().insert(method_and_path.to_owned(), (status, body.into()));
    }

    /// Knows nothing any more.
    pub fn forget(&self) {
        self.inside.answers.lock().unwrap().clear();
    }

    /// The next call must be this one (`GET /payments/1`), and is answered so. Scripted calls come before all others.
    pub fn next(&self, method_and_path: &str, reply: Reply) {
        self.inside.script.lock().unwrap().push_back((method_and_path.to_owned(), reply));
    }

    /// Scripted calls that were not made; forgets them.
    pub fn left(&self) -> Vec<String> {
        self.inside.script.lock().unwrap().drain(..).map(|(call, _)| call).collect()
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.inside.asked.lock().unwrap().clone()
    }

    /// Waits until it is asked something.
    pub async fn is_asked(&self) {
        while self.inside.asked.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    /// What it was asked since the last time.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.inside.asked.lock().unwrap())
    }
}

async fn answer(inside: web::Data<Inside>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let target = request.uri().path_and_query().unwrap().to_string();
    inside.asked.lock().unwrap().push(Asked {
        method: request.method().to_string(),
        target,
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let key = format!("{} {}", request.method(), request.path());
    let scripted = {
        let mut script = inside.script.lock().unwrap();
        let fits = script.front().is_some_and(|(call, _)| *call == key);
        if fits { script.pop_front() } else { None }
    };
    if let Some((_, reply)) = scripted {
        return said(reply).await;
    }
    let (folder, last) = key.rsplit_once('/').unwrap();
    let known = {
        let answers = inside.answers.lock().unwrap();
        answers.get(&key).or_else(|| answers.get(&format!("{folder}/*"))).cloned()
    };
    let known = known.map(|(status, body)| (status, body.replace("{id}", last)));
    match known {
        Some((status, body)) => said(Reply::json(status, body)).await,
        None => HttpResponse::NotFound().body("{}"),
    }
}

async fn said(reply: Reply) -> HttpResponse {
    let (status, headers, body) = match reply {
        Reply::Say { status, headers, body } => (status, headers, body),
        Reply::Held { gate, body } => {
            gate.notified().await;
            (200, Vec::new(), body)
        }
        Reply::Silence => return std::future::pending().await,
    };
    let mut response = HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap());
    response.content_type("application/json");
    for (name, value) in headers {
        response.insert_header((name, value));
    }
    response.body(body)
}
