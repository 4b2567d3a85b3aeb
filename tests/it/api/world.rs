//! A running API with an administrator, and what it takes to talk to it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use async_trait::async_trait;
use kassir::api::{self, ApiState, TryOut, TryRefusal, TryResult};
use kassir::clock::Clock;
use kassir::config::Config;
use kassir::delivery::outbound::{Outbound, OutboundConfig};
use kassir::delivery::{EndpointSource, EndpointView, SourceError};
use kassir::domain::ids::{EndpointId, IntegrationId, MerchantId};
use kassir::intake::try_out::try_out;
use kassir::jobs::replay::Replayer;
use kassir::ledger::{Ledger, LedgerError, NoHandOver};
use kassir::manage::Manager;
use kassir::operations::{Caller, NoReply, Operations};
use kassir::payments::Payments;
use kassir::registry::{MerchantView, Registry, RegistryError, endpoint_owner};
use kassir::secrets::{Vault, token_hash};
use kassir::store::Store;
use kassir::store::sqlite::SqliteStore;
use kassir_providers::{Call, Proof, Reply, Request};
use serde_json::{Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::store_suite::START;
use crate::store_suite::samples::Shop;

/// The administrator's token.
pub const ADMIN: &str = "an-admin-token-of-the-tests";

/// A clock that a test steps and whose ids always grow.
pub struct TestClock {
    now: AtomicI64,
    ids: AtomicI64,
}

impl TestClock {
    /// Goes on.
    pub fn advance(&self, by_ms: i64) {
        self.now.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    fn id(&self) -> Uuid {
        let count = self.ids.fetch_add(1, Ordering::SeqCst);
        let mut random = [0; 10];
        random[1..9].copy_from_slice(&count.to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(self.now().try_into().unwrap(), &random).into_uuid()
    }
}

/// A provider's API that answers what a test put there.
#[derive(Default)]
pub struct FakeProvider {
    replies: Mutex<VecDeque<Reply>>,
    calls: Mutex<Vec<String>>,
    hangs: AtomicBool,
    goes_on: Notify,
    asked: Notify,
}

impl FakeProvider {
    pub fn reply(&self, status: u16, body: Value) {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        self.replies.lock().unwrap().push_back(Reply {
            status,
            headers,
            body: body.to_string().into_bytes(),
        });
    }

    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// From now on nobody gets an answer.
    pub fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    /// Who waits for an answer gets it.
    pub fn go_on(&self) {
        self.hangs.store(false, Ordering::SeqCst);
        self.goes_on.notify_one();
    }

    /// Waits for a call.
    pub async fn is_asked(&self) {
        self.asked.notified().await;
    }
}

#[async_trait]
impl Caller for FakeProvider {
    async fn call(&self, call: Call) -> Result<Reply, NoReply> {
        self.calls.lock().unwrap().push(call.url);
        self.asked.notify_one();
        if self.hangs.load(Ordering::SeqCst) {
            self.goes_on.notified().await;
        }
        let reply = self.replies.lock().unwrap().pop_front();
        reply.ok_or_else(|| NoReply { why: "nobody answers".to_owned(), may_have_arrived: false })
    }
}

struct Endpoints {
    registry: Arc<Registry>,
    vault: Arc<Vault>,
}

#[async_trait]
impl EndpointSource for Endpoints {
    async fn get(
        &self,
        merchant: MerchantId,
        id: EndpointId,
    ) -> Result<Option<Arc<EndpointView>>, SourceError> {
        let view = self.registry.merchant(merchant).await.unwrap().unwrap();
        let Some(endpoint) = view.config.endpoint(id).cloned() else { return Ok(None) };
        let open = |what: &str, sealed: &_| self.vault.open(&endpoint_owner(id, what), sealed);
        Ok(Some(Arc::new(EndpointView::open(endpoint, open).unwrap())))
    }
}

struct Trying(Arc<Ledger>);

#[async_trait]
impl TryOut for Trying {
    async fn try_out(
        &self,
        view: &Arc<MerchantView>,
        integration: IntegrationId,
        request: &Request,
    ) -> Result<TryResult, RegistryError> {
        let trial = try_out(&self.0, view, integration, request).await.map_err(|error| match error {
            LedgerError::Registry(error) => error,
            other => panic!("{other}"),
        })?;
        let (taken, refusal) = match trial.result {
            Ok(taken) => (Some(taken), None),
            Err(reject) => {
                let kind = serde_json::to_value(reject.kind).unwrap().as_str().unwrap().to_owned();
                let (reason, diagnosis) = (reject.reason, reject.diagnosis);
                (None, Some(TryRefusal { kind, reason, diagnosis }))
            }
        };
        let taken = taken.as_ref();
        Ok(TryResult {
            proof: taken.map(|taken| match taken.proof {
                Proof::Signed => "signed",
                Proof::Sourced => "sourced",
                Proof::Unproven(_) => "unproven",
            }),
            asks_api: taken.and_then(|taken| taken.asks_api.clone()),
            refusal,
            warnings: taken.map(|taken| taken.warnings.clone()).unwrap_or_default(),
            facts: taken
                .iter()
                .flat_map(|taken| &taken.facts)
                .map(|fact| serde_json::to_value(fact).unwrap())
                .collect(),
            payload: taken.map(|taken| taken.payload.get().to_owned()),
            decisions: taken
                .iter()
                .flat_map(|taken| &taken.decisions)
                .map(|decision| (decision.outcome.word(), decision.reason.clone()))
                .collect(),
            answer: trial.answer,
            events: taken.map(|taken| taken.events.clone()).unwrap_or_default(),
        })
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub json: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The pointers of what is wrong.
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().map_or(&[][..], Vec::as_slice);
        errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
    }

    /// It has this status.
    #[track_caller]
    pub fn is(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The member `id`.
    pub fn id(&self) -> String {
        self.json["id"].as_str().unwrap().to_owned()
    }
}

/// The running API.
pub struct World {
    pub base: String,
    pub store: Arc<dyn Store>,
    pub clock: Arc<TestClock>,
    pub provider: Arc<FakeProvider>,
    pub payments: Arc<Payments>,
    pub replayer: Replayer,
    client: reqwest::Client,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    _folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn config(folder: &std::path::Path) -> Config {
    let file = folder.join("kassir.toml");
    std::fs::write(&file, "public_url = \"https://pay.example\"\n").unwrap();
    kassir::config::load(Some(&file)).unwrap()
}

impl World {
    pub async fn new() -> World {
        kassir::tls::install();
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock { now: AtomicI64::new(START + 86_400_000), ids: AtomicI64::new(1) });
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(&folder.path().join("kassir.db"), Arc::clone(&clock) as _).unwrap());
        let vault = Arc::new(Vault::throw_away().unwrap());
        let registry =
            Arc::new(Registry::new(Arc::clone(&store), Arc::clone(&vault), Arc::clone(&clock) as _));
        let outbound = Outbound::build(&OutboundConfig {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            allow_http: true,
            timeout: Duration::from_secs(5),
            ..OutboundConfig::default()
        })
        .unwrap();
        let ledger = Arc::new(Ledger {
            store: Arc::clone(&store),
            registry: Arc::clone(&registry),
            clock: Arc::clone(&clock) as _,
            hand_over: Arc::new(NoHandOver),
        });
        let provider = Arc::new(FakeProvider::default());
        let payments = Arc::new(Payments {
            ledger: Arc::clone(&ledger),
            operations: Operations::new(Arc::clone(&provider) as _),
            vault: Arc::clone(&vault),
            public_url: "https://pay.example".to_owned(),
        });
        let endpoints = Endpoints { registry: Arc::clone(&registry), vault: Arc::clone(&vault) };
        // Replays are done by another router: it hears nothing of what is set up here.
        let elsewhere = Registry::new(Arc::clone(&store), Arc::clone(&vault), Arc::clone(&clock) as _);
        let replayer = Replayer {
            store: Arc::clone(&store),
            registry: Arc::new(elsewhere),
            clock: Arc::clone(&clock) as _,
        };
        let state = ApiState {
            manage: Arc::new(Manager {
                store: Arc::clone(&store),
                clock: Arc::clone(&clock) as _,
                vault,
                registry,
                config: Arc::new(config(folder.path())),
                outbound,
                endpoints: Arc::new(endpoints),
            }),
            payments: Arc::clone(&payments),
            try_out: Arc::new(Trying(ledger)),
            admin_token_hash: token_hash(ADMIN),
            metrics: Arc::new(|| "kassir_up 1\n".to_owned()),
            keeping: Arc::default(),
            tokens: Arc::default(),
        };
        let application = move || {
            let state = state.clone();
            App::new()
                .configure(move |config| api::configure(config, state))
                .default_service(web::to(api::no_route))
        };
        let server = HttpServer::new(application).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", server.addrs()[0]);
        let server = tokio::spawn(server.run());
        #[allow(clippy::disallowed_methods, reason = "the tests' own client")]
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        World { base, store, clock, provider, payments, replayer, client, server, _folder: folder }
    }

    /// A request as it is.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let url = format!("{}{path}", self.base);
        let mut request = self.client.request(method.parse().unwrap(), url).body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, text, json }
    }

    /// A request with a token below `/api/v1`.
    pub async fn call(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str())];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.send(method, &format!("/api/v1{path}"), &headers, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(ADMIN, "GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(ADMIN, "POST", path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(ADMIN, "PATCH", path, Some(body)).await
    }

    /// A token of a role.
    pub async fn token(&self, role: &str, merchant: Option<&str>) -> String {
        let body = json!({ "role": role, "name": role, "merchant_id": merchant });
        self.post("/tokens", body).await.is(201).json["token"].as_str().unwrap().to_owned()
    }

    /// A merchant, its id.
    pub async fn merchant(&self) -> String {
        self.post("/merchants", json!({ "name": "Shop" })).await.is(201).id()
    }

    /// A YooKassa shop of a merchant, its id.
    pub async fn integration(&self, merchant: &str) -> String {
        let body = json!({ "provider": "yookassa",
            "credentials": { "shop_id": "100500", "secret_key": "test_a-secret-key-of-some-length-1234" } });
        self.post(&format!("/merchants/{merchant}/integrations"), body).await.is(201).id()
    }

    /// An endpoint of a merchant, its id.
    pub async fn endpoint(&self, merchant: &str, url: &str) -> String {
        self.post(&format!("/merchants/{merchant}/endpoints"), json!({ "url": url })).await.is(201).id()
    }

    /// A merchant with a shop and an endpoint, for writing records straight into the store.
    pub async fn shop(&self) -> Shop {
        let merchant = self.merchant().await;
        let integration = self.integration(&merchant).await;
        let endpoint = self.endpoint(&merchant, "http://127.0.0.1:8443/hook").await;
        let merchant = merchant.parse().unwrap();
        let version = self.store.config(merchant).await.unwrap().unwrap().version;
        Shop {
            store: Arc::clone(&self.store),
            merchant,
            integration: integration.parse().unwrap(),
            endpoint: endpoint.parse().unwrap(),
            version,
        }
    }
}
