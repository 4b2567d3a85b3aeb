//! One merchant with one shop and two subscribers, and routers that serve it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kassir::clock::{Clock as _, SharedClock};
use kassir::delivery::signature::SigningKey;
use kassir::delivery::{
    DeliveryConfig, EndpointSource, EndpointView, JobEnd, JobHandler, LiveKey, Parts, SourceError, Worker,
    request_replay,
};
use kassir::domain::config::{InboundToken, Integration, StoredCredential, Success};
use kassir::domain::ids::{EndpointId, IntegrationId, MerchantId};
use kassir::domain::{Delivery, DeliveryStatus, Endpoint, Event, Job, Lane, Merchant};
use kassir::intake::{Intake, Response};
use kassir::ledger::{Ledger, NoHandOver};
use kassir::registry::{Registry, credential_owner, token_owner};
use kassir::secrets::{new_token, token_hash};
use kassir::store::{ConfigChange, DeliveryFilter, EventFilter, Fence, Page, Store};
use kassir_providers::operation::Sample;
use kassir_providers::{Account, Currency, Money, Request, Secret, Settings, State, by_slug};

use super::ground::Ground;
use super::receiver::Arrival;
use crate::delivery::flaky::Flaky;
use crate::store_suite::samples;

/// How long the old inbound URL lives on beside a new one, milliseconds.
pub const OVERLAP_MS: i64 = 60_000;
pub const ENDPOINTS: usize = 2;
const SECRET: &str = "0b1c2d3e4f5061728394a5b6c7d8e9f0";

/// A router: what the process keeps in memory.
pub struct Router {
    pub worker: Arc<Worker>,
    pub flaky: Arc<Flaky>,
    intake: Intake,
    registry: Arc<Registry>,
}

/// A merchant and its routers.
pub struct Stage {
    pub merchant: MerchantId,
    pub endpoints: Vec<Endpoint>,
    pub routers: Vec<Router>,
    /// Inbound tokens: hash's text and until when it lives.
    pub tokens: Vec<(Secret, Option<i64>)>,
    /// What arrived for this merchant.
    pub arrivals: Vec<Arrival>,
    integration: Integration,
    account: Account,
    made: usize,
}

struct Endpoints(Arc<Registry>, SigningKey);

#[async_trait]
impl EndpointSource for Endpoints {
    async fn get(
        &self,
        merchant: MerchantId,
        id: EndpointId,
    ) -> Result<Option<Arc<EndpointView>>, SourceError> {
        let view = self.0.merchant(merchant).await.map_err(|error| SourceError::Away(error.to_string()))?;
        let found = view.as_ref().and_then(|view| view.config.endpoint(id));
        let keys = || vec![LiveKey { key: self.1.clone(), expires_at: None }];
        Ok(found.map(|endpoint| {
            Arc::new(EndpointView {
                endpoint: endpoint.clone(),
                keys: keys(),
                headers: Vec::new(),
                identity: None,
            })
        }))
    }
}

struct NoJobs;

#[async_trait]
impl JobHandler for NoJobs {
    async fn run(&self, job: Job, _: Fence) -> JobEnd {
        JobEnd::Done(Box::new(job))
    }
}

impl Stage {
    pub async fn set(ground: &Ground, routers: usize) -> Stage {
        let merchant = MerchantId(ground.clock.id());
        let record = Merchant {
            id: merchant,
            name: "Лавка".to_owned(),
            first_payment: 1,
            alert: None,
            created_at: ground.clock.now(),
        };
        put(ground, merchant, ConfigChange::CreateMerchant(record)).await;
        let id = IntegrationId(ground.clock.id());
        let credentials = [("public_id", "pk_1"), ("api_secret", SECRET)];
        let stored = credentials.iter().map(|(key, value)| {
            let sealed = ground.vault.seal(&credential_owner(id, key), value).unwrap();
            ((*key).to_owned(), StoredCredential { sealed, hint: "…".to_owned() })
        });
        let integration = Integration {
            id,
            merchant,
            provider: "cloudpayments".to_owned(),
            name: "shop".to_owned(),
            event_provider: "cloudpayments".to_owned(),
            credentials: stored.collect(),
            settings: Settings::default(),
            tokens: Vec::new(),
            created_at: ground.clock.now(),
            updated_at: ground.clock.now(),
        };
        let secrets = credentials.iter().map(|(key, value)| ((*key).to_owned(), Secret::new(*value)));
        let account = Account { credentials: secrets.collect(), settings: Settings::default() };
        let mut stage = Stage {
            merchant,
            endpoints: Vec::new(),
            routers: Vec::new(),
            tokens: Vec::new(),
            arrivals: Vec::new(),
            integration,
            account,
            made: 0,
        };
        for number in 0..ENDPOINTS {
            let endpoint = Endpoint {
                url: format!("http://127.0.0.1:{}{}", ground.receiver.port, stage.path(number)),
                success: Success::Exactly200,
                timeout_s: None,
                max_in_flight: None,
                ordered: false,
                headers: BTreeMap::default(),
                ..samples::endpoint(merchant)
            };
            put(ground, merchant, ConfigChange::PutEndpoint(Box::new(endpoint.clone()))).await;
            stage.endpoints.push(endpoint);
        }
        stage.rotate(ground).await;
        for _ in 0..routers {
            let router = stage.router(ground);
            stage.routers.push(router);
        }
        stage
    }

    /// A router that has just started.
    pub fn router(&mut self, ground: &Ground) -> Router {
        self.made += 1;
        let flaky = Flaky::around(ground.store.clone());
        let store: Arc<dyn Store> = flaky.clone();
        let clock: SharedClock = ground.clock.clone();
        let registry = Arc::new(Registry::new(store.clone(), ground.vault.clone(), clock.clone()));
        let ledger = Arc::new(Ledger {
            store: store.clone(),
            registry: Arc::clone(&registry),
            clock: clock.clone(),
            hand_over: Arc::new(NoHandOver),
        });
        let worker = Worker::new(Parts {
            store,
            outbound: ground.outbound.clone(),
            endpoints: Arc::new(Endpoints(Arc::clone(&registry), SigningKey::generate().unwrap())),
            jobs: Arc::new(NoJobs),
            clock,
            config: DeliveryConfig::default(),
            owner: format!("router-{}", self.made),
        });
        Router { worker, flaky, registry, intake: Intake::new(ledger, 1_000, Duration::from_secs(8)) }
    }

    pub fn path(&self, endpoint: usize) -> String {
        format!("/{}/{endpoint}", self.merchant)
    }

    /// A new inbound URL; the old one lives on for a while.
    pub async fn rotate(&mut self, ground: &Ground) {
        let now = ground.clock.now();
        for (_, until) in &mut self.tokens {
            until.get_or_insert(now + OVERLAP_MS);
        }
        self.tokens.push((new_token("").unwrap(), None));
        let newest = self.tokens.len().saturating_sub(4);
        let id = self.integration.id;
        self.integration.tokens = self.tokens[newest..]
            .iter()
            .map(|(token, until)| InboundToken {
                hash: token_hash(token.expose()),
                sealed: ground.vault.seal(&token_owner(id), token.expose()).unwrap(),
                expires_at: *until,
            })
            .collect();
        self.change(ground, ConfigChange::PutIntegration(Box::new(self.integration.clone()))).await;
    }

    /// A person changes what is set up, through the first router; the others see it within two seconds.
    async fn change(&self, ground: &Ground, change: ConfigChange) {
        put(ground, self.merchant, change).await;
        if let Some(router) = self.routers.first() {
            router.registry.forget(self.merchant);
        }
    }

    /// Turns an endpoint on or off.
    pub async fn turn(&mut self, ground: &Ground, endpoint: usize, on: bool) {
        self.endpoints[endpoint].enabled = on;
        self.change(ground, ConfigChange::PutEndpoint(Box::new(self.endpoints[endpoint].clone()))).await;
    }

    /// What the provider says of an order.
    pub fn notice(&self, order: usize, state: State) -> Request {
        let sample = Sample {
            kind: None,
            state,
            refund: false,
            amount: Money::new(10_000 + order as i64, Currency::RUB),
            reference: format!("order-{order}"),
            provider_id: None,
            description: "Заказ".to_owned(),
            email: None,
            metadata: serde_json::Map::new(),
            now: crate::store_suite::START,
        };
        by_slug("cloudpayments").unwrap().imitate(&sample, &self.account).unwrap()
    }

    /// Sends it to a router, at one of the tokens; `None` when there is no such URL, else whether it was accepted.
    pub async fn send(&self, router: usize, token: usize, request: &Request) -> Option<bool> {
        let token = self.tokens[token].0.expose();
        match self.routers[router].intake.receive("cloudpayments", token, request.clone()).await {
            Response::Answer(answer) => Some(answer.status == 200 && answer.body == r#"{"code":0}"#),
            Response::Unavailable => Some(false),
            Response::NotFound => None,
        }
    }

    /// Takes down what arrived.
    pub fn note_arrivals(&mut self, ground: &Ground) -> Vec<Arrival> {
        let prefix = format!("/{}/", self.merchant);
        let mut new = ground.receiver.take_arrivals();
        new.retain(|arrival| arrival.path.starts_with(&prefix));
        self.arrivals.extend(new.iter().cloned());
        new
    }

    /// The events, oldest first.
    pub async fn events(&self, ground: &Ground) -> Vec<Event> {
        let (mut rows, mut page) = (Vec::new(), Page { limit: 200, before: None });
        loop {
            let listed = ground.store.events(self.merchant, &EventFilter::default(), &page).await.unwrap();
            rows.extend(listed.rows);
            page.before = listed.next;
            if page.before.is_none() {
                rows.reverse();
                return rows;
            }
        }
    }

    pub async fn deliveries(&self, ground: &Ground) -> Vec<Delivery> {
        let (mut rows, mut page) = (Vec::new(), Page { limit: 200, before: None });
        loop {
            let filter = DeliveryFilter::default();
            let listed = ground.store.deliveries(self.merchant, &filter, &page).await.unwrap();
            rows.extend(listed.rows);
            page.before = listed.next;
            if page.before.is_none() {
                return rows;
            }
        }
    }

    /// Until when each subscriber's lane is held.
    pub async fn holds(&self, ground: &Ground) -> HashMap<EndpointId, i64> {
        let lanes: Vec<Lane> = self.endpoints.iter().map(|endpoint| Lane::Endpoint(endpoint.id)).collect();
        let holds = ground.store.holds(self.merchant, &lanes).await.unwrap();
        let of = |lane: Lane| match lane {
            Lane::Endpoint(id) => Some(id),
            _ => None,
        };
        holds.into_iter().filter_map(|(lane, held)| Some((of(lane)?, held.until))).collect()
    }

    /// A person has a delivery sent again.
    pub async fn replay(&self, ground: &Ground, delivery: Delivery) {
        let asked = request_replay(delivery, "ann", None, None, ground.clock.now());
        ground.store.update_delivery(asked).await.unwrap();
    }

    /// All subscribers work and are on; what is held is sent again; the clock goes on until nothing waits any more.
    pub async fn settle_all(&mut self, ground: &Ground) {
        for number in 0..ENDPOINTS {
            ground.receiver.answer(&self.path(number), 200);
            if !self.endpoints[number].enabled {
                self.turn(ground, number, true).await;
            }
        }
        for delivery in self.deliveries(ground).await {
            if delivery.status == DeliveryStatus::Held {
                self.replay(ground, delivery).await;
            }
        }
        for _ in 0..2_000 {
            for router in &self.routers {
                router.worker.run_until_idle().await.unwrap();
            }
            self.note_arrivals(ground);
            let waiting = self.deliveries(ground).await;
            let Some(due) = waiting.iter().filter_map(|delivery| delivery.next_attempt_at).min() else {
                return;
            };
            let held = self.holds(ground).await.values().copied().min().unwrap_or(i64::MAX);
            let now = ground.clock.now();
            let next = [due, held].into_iter().filter(|at| *at > now).min().unwrap_or(now + 1_000);
            ground.clock.advance(next - now);
        }
        panic!("something waits for ever: {:?}", self.deliveries(ground).await);
    }

    /// What holds at any time: one event and one delivery of each for each subscriber, the same body in all attempts,
    /// the time of sending in each.
    pub async fn check(&self, ground: &Ground) {
        let events: HashSet<String> =
            self.events(ground).await.iter().map(|event| event.id.to_string()).collect();
        let deliveries = self.deliveries(ground).await;
        assert_eq!(deliveries.len(), events.len() * ENDPOINTS);
        let mut bodies: HashMap<&str, [u8; 32]> = HashMap::new();
        for arrival in &self.arrivals {
            assert!(events.contains(&arrival.event), "an event that is nowhere written: {arrival:?}");
            assert_eq!(*bodies.entry(&arrival.event).or_insert(arrival.body), arrival.body, "{arrival:?}");
            assert_eq!(arrival.timestamp, arrival.at.div_euclid(1_000), "{arrival:?}");
        }
    }

    /// Removes it all.
    pub async fn strike(self, ground: &Ground) {
        put(ground, self.merchant, ConfigChange::DeleteMerchant).await;
    }
}

async fn put(ground: &Ground, merchant: MerchantId, change: ConfigChange) {
    ground.store.change_config(merchant, change, None).await.unwrap();
}
