//! A merchant, its endpoints, a store, a clock and a worker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kassir::clock::{Clock as _, ManualClock, SystemClock};
use kassir::delivery::outbound::{Outbound, OutboundConfig};
use kassir::delivery::signature::SigningKey;
use kassir::delivery::{
    DeliveryConfig, EndpointSource, EndpointView, JobEnd, JobHandler, LiveKey, Parts, SourceError, Worker,
};
use kassir::domain::config::Success;
use kassir::domain::ids::{DeliveryId, EndpointId, MerchantId};
use kassir::domain::{Attempt, Delivery, Endpoint, Event, Job};
use kassir::store::sqlite::SqliteStore;
use kassir::store::{Commit, Committed, ConfigChange, Fence, Store};
use kassir_providers::Secret;
use tempfile::TempDir;

use crate::store_suite::samples::{self, Shop};

/// Whole attempts of the tests end after this.
pub const TIMEOUT: Duration = Duration::from_millis(400);

/// The endpoints of the tests.
#[derive(Default)]
pub struct Endpoints(Mutex<HashMap<EndpointId, Result<Arc<EndpointView>, String>>>);

#[async_trait]
impl EndpointSource for Endpoints {
    async fn get(&self, _: MerchantId, id: EndpointId) -> Result<Option<Arc<EndpointView>>, SourceError> {
        self.0.lock().unwrap().get(&id).cloned().transpose().map_err(SourceError::Broken)
    }
}

impl Endpoints {
    pub fn put(&self, view: EndpointView) {
        self.0.lock().unwrap().insert(view.endpoint.id, Ok(Arc::new(view)));
    }

    /// From now on a secret of this one does not open.
    pub fn spoil(&self, id: EndpointId) {
        self.0.lock().unwrap().insert(id, Err("a secret does not open".to_owned()));
    }

    pub fn remove(&self, id: EndpointId) {
        self.0.lock().unwrap().remove(&id);
    }
}

/// Keeps the jobs it is given, and does with them what it is told.
#[derive(Default)]
pub struct Jobs {
    pub ran: Mutex<Vec<Job>>,
    pub again_in: Mutex<Option<u64>>,
    /// Whether they never end.
    pub hang: Mutex<bool>,
}

#[async_trait]
impl JobHandler for Jobs {
    async fn run(&self, job: Job, _: Fence) -> JobEnd {
        self.ran.lock().unwrap().push(job.clone());
        if *self.hang.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        let job = Box::new(Job { attempts: job.attempts + 1, ..job });
        match *self.again_in.lock().unwrap() {
            Some(in_ms) => JobEnd::Again { job, in_ms },
            None => JobEnd::Done(job),
        }
    }
}

pub struct World {
    pub clock: Arc<ManualClock>,
    pub store: Arc<dyn Store>,
    pub shop: Shop,
    pub endpoints: Arc<Endpoints>,
    pub jobs: Arc<Jobs>,
    pub worker: Arc<Worker>,
    outbound: Outbound,
    _folder: TempDir,
}

/// A world whose clock stands at the present time: receivers compare it with theirs.
pub async fn world() -> World {
    world_with(DeliveryConfig::default(), |store| store).await
}

/// A world with other settings, and with something around its store.
pub async fn world_with(
    config: DeliveryConfig,
    around: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
) -> World {
    let outbound = OutboundConfig {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        allow_http: true,
        timeout: TIMEOUT,
        ..OutboundConfig::default()
    };
    world_through(&outbound, config, around).await
}

/// A world with another HTTP client.
pub async fn world_through(
    outbound: &OutboundConfig,
    config: DeliveryConfig,
    around: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
) -> World {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kassir.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&file, clock.clone()).unwrap());
    let merchant = samples::merchant();
    let integration = samples::integration(merchant.id);
    let put = async |change| store.change_config(merchant.id, change, None).await.unwrap();
    put(ConfigChange::CreateMerchant(merchant.clone())).await;
    let version = put(ConfigChange::PutIntegration(Box::new(integration.clone()))).await;
    let shop = Shop {
        store: Arc::clone(&store),
        merchant: merchant.id,
        integration: integration.id,
        endpoint: EndpointId(samples::id()),
        version,
    };
    let outbound = Outbound::build(outbound).unwrap();
    let (endpoints, jobs) = (Arc::new(Endpoints::default()), Arc::new(Jobs::default()));
    let worker = Worker::new(Parts {
        store: around(Arc::clone(&store)),
        outbound: outbound.clone(),
        endpoints: endpoints.clone(),
        jobs: jobs.clone(),
        clock: clock.clone(),
        config,
        owner: "router-1".to_owned(),
    });
    World { clock, store, shop, endpoints, jobs, worker, outbound, _folder: folder }
}

impl World {
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// A router beside, or after a restart: it knows only what the store knows.
    pub fn another_router(&self, owner: &str) -> Arc<Worker> {
        Worker::new(Parts {
            store: Arc::clone(&self.store),
            outbound: self.outbound.clone(),
            endpoints: self.endpoints.clone(),
            jobs: self.jobs.clone(),
            clock: self.clock.clone(),
            config: DeliveryConfig::default(),
            owner: owner.to_owned(),
        })
    }

    /// An endpoint with one fresh key.
    pub fn endpoint(&self, url: &str) -> EndpointView {
        let endpoint = Endpoint {
            url: url.to_owned(),
            success: Success::Exactly200,
            timeout_s: None,
            max_in_flight: None,
            ordered: false,
            ..samples::endpoint(self.shop.merchant)
        };
        let keys = vec![LiveKey { key: SigningKey::generate().unwrap(), expires_at: None }];
        let headers = vec![("X-Key".to_owned(), Secret::new("custom"))];
        let view = EndpointView { endpoint, keys, headers, identity: None };
        self.endpoints.put(view.clone());
        view
    }

    fn due_now(&self, endpoint: EndpointId, test: bool) -> (Event, Delivery) {
        let now = self.now();
        let event = Event { payment: 7, created_at: now, test, ..self.shop.event() };
        let delivery = Delivery {
            round_started_at: now,
            next_attempt_at: Some(now),
            created_at: now,
            ..self.shop.delivery_to(endpoint, &event)
        };
        (event, delivery)
    }

    async fn commit(&self, endpoint: EndpointId, test: bool, lease: bool) -> (DeliveryId, Committed) {
        let (event, delivery) = self.due_now(endpoint, test);
        let id = delivery.id;
        let commit = Commit {
            events: vec![event],
            deliveries: vec![delivery],
            lease: lease.then(|| ("router-1".to_owned(), 60_000)),
            ..self.shop.commit()
        };
        (id, self.store.commit(commit).await.unwrap())
    }

    /// An event that changed such a version of the payment, with a delivery, due now; the router that took it had a
    /// clock so far ahead.
    pub async fn queue_after(&self, view: &EndpointView, after: u64, ahead_ms: i64) -> DeliveryId {
        let (event, delivery) = self.due_now(view.endpoint.id, false);
        let at = event.created_at + ahead_ms;
        let event = Event { created_at: at, ..event };
        let delivery = Delivery { after, created_at: at, round_started_at: at, ..delivery };
        let id = delivery.id;
        self.shop
            .write(Commit { events: vec![event], deliveries: vec![delivery], ..self.shop.commit() })
            .await;
        id
    }

    /// An event with a delivery, due now.
    pub async fn queue(&self, view: &EndpointView) -> DeliveryId {
        self.commit(view.endpoint.id, false, false).await.0
    }

    /// The same for an event by which no real money moved.
    pub async fn queue_test(&self, view: &EndpointView) -> DeliveryId {
        self.commit(view.endpoint.id, true, false).await.0
    }

    /// The same, leased to this router at once.
    pub async fn queue_leased(&self, view: &EndpointView) -> (DeliveryId, Committed) {
        self.commit(view.endpoint.id, false, true).await
    }

    pub async fn load(&self, id: DeliveryId) -> Delivery {
        self.shop.load(id).await
    }

    pub async fn attempts(&self, id: DeliveryId) -> Vec<Attempt> {
        self.store.attempts(self.shop.merchant, id).await.unwrap()
    }

    /// Steps the clock to a delivery's next attempt and works.
    pub async fn go_to_next(&self, id: DeliveryId) -> Delivery {
        let due = self.load(id).await.next_attempt_at.expect("an attempt is to come");
        self.clock.advance((due - self.now()).max(0));
        self.worker.run_until_idle().await.unwrap();
        self.load(id).await
    }
}
