//! Records to put into a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kassir::domain::config::{InboundToken, Signing, SigningSecret, StoredCredential, Success};
use kassir::domain::ids::{
    AuditId, DeliveryId, EndpointId, EventId, IntegrationId, JobId, MerchantId, NotificationId, ReplayId,
    TokenId,
};
use kassir::domain::notification::GivenAnswer;
use kassir::domain::payment::Origin;
use kassir::domain::people::{ApiToken, AuditEntry, Replay, ReplayFilter, ReplayStatus, Role, WhyNot};
use kassir::domain::{
    Attempt, Delivery, DeliveryStatus, Endpoint, Event, EventState, Integration, Job, Lane, Merchant,
    Notification, NotificationOutcome, Payment, Proven, Sealed, Task,
};
use kassir::store::{
    ClaimAsk, Claimed, Claims, Commit, Committed, ConfigChange, Material, PaymentWrite, Store,
};
use kassir_providers::{Currency, Money, Settings, State};
use serde_json::Map;
use uuid::Uuid;

use super::{Bench, START};

/// An id that is greater than all that were made before it, and met nowhere else.
pub fn id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = u128::from(NEXT.fetch_add(1, Ordering::SeqCst));
    let chance = Uuid::new_v4().as_u128() & u128::from(u64::MAX >> 16);
    Uuid::from_u128(u128::try_from(START).unwrap() << 80 | number << 48 | chance)
}

/// A merchant that is set up.
#[derive(Clone)]
pub struct Shop {
    pub store: Arc<dyn Store>,
    pub merchant: MerchantId,
    pub integration: IntegrationId,
    pub endpoint: EndpointId,
    /// Version of its configuration.
    pub version: u64,
}

/// A merchant with one integration and one endpoint.
pub async fn shop(bench: &Bench) -> Shop {
    let store = Arc::clone(&bench.store);
    let new = merchant();
    let (integration, endpoint) = (integration(new.id), endpoint(new.id));
    let put = async |change| store.change_config(new.id, change, None).await.unwrap();
    put(ConfigChange::CreateMerchant(new.clone())).await;
    put(ConfigChange::PutIntegration(Box::new(integration.clone()))).await;
    let version = put(ConfigChange::PutEndpoint(Box::new(endpoint.clone()))).await;
    Shop { store, merchant: new.id, integration: integration.id, endpoint: endpoint.id, version }
}

pub fn merchant() -> Merchant {
    Merchant {
        id: MerchantId(id()),
        name: "Shop".to_owned(),
        first_payment: 1,
        alert: None,
        created_at: START,
    }
}

pub fn integration(merchant: MerchantId) -> Integration {
    let credential = StoredCredential { sealed: Sealed("c2VhbGVk".to_owned()), hint: "…1234".to_owned() };
    Integration {
        id: IntegrationId(id()),
        merchant,
        provider: "yookassa".to_owned(),
        name: "Main shop".to_owned(),
        event_provider: "yandex_kassa".to_owned(),
        credentials: [("secret_key".to_owned(), credential)].into(),
        settings: Settings::default(),
        tokens: vec![token()],
        created_at: START,
        updated_at: START,
    }
}

pub fn token() -> InboundToken {
    let hash = id().simple().to_string();
    InboundToken { hash, sealed: Sealed("dG9rZW4=".to_owned()), expires_at: None }
}

pub fn endpoint(merchant: MerchantId) -> Endpoint {
    let secret = SigningSecret {
        sealed: Sealed("c2VjcmV0".to_owned()),
        public: None,
        created_at: START,
        expires_at: None,
    };
    Endpoint {
        id: EndpointId(id()),
        merchant,
        url: "https://bot.example/hook".to_owned(),
        description: String::new(),
        states: Endpoint::DEFAULT_STATES.to_vec(),
        providers: Vec::new(),
        integrations: Vec::new(),
        headers: [("X-Key".to_owned(), Sealed("aGVhZGVy".to_owned()))].into(),
        success: Success::Any2xx,
        timeout_s: Some(7),
        rate_per_s: None,
        max_in_flight: Some(3),
        ordered: true,
        enabled: true,
        disabled_reason: None,
        secrets: vec![secret],
        signing: Signing::Both,
        basic_auth: None,
        client_certificate: None,
        created_at: START,
        updated_at: START,
    }
}

pub fn api_token(merchant: Option<MerchantId>) -> ApiToken {
    let id = TokenId(id());
    ApiToken {
        id,
        hash: id.0.simple().to_string(),
        prefix: "ksr_ab".to_owned(),
        name: "bot".to_owned(),
        role: Role::Merchant,
        merchant,
        created_at: START,
    }
}

pub fn replay(merchant: MerchantId) -> Replay {
    Replay {
        id: ReplayId(id()),
        version: 0,
        merchant,
        filter: ReplayFilter { status: Some(DeliveryStatus::Failed), ..ReplayFilter::default() },
        to_endpoint: None,
        status: ReplayStatus::Running,
        counted_all: true,
        matched: 10,
        by_status: [("failed".to_owned(), 10)].into(),
        sent: 3,
        not_sent: [(WhyNot::EndpointOff, 1)].into(),
        asked: "ab".to_owned(),
        per_s: 100,
        at_end: false,
        taking: vec!["dlv_y".to_owned()],
        waiting: vec![DeliveryId(id())],
        cursor: Some("dlv_x".to_owned()),
        actor: "tok_1".to_owned(),
        reason: Some("outage".to_owned()),
        created_at: START,
        updated_at: START,
    }
}

pub fn audit_entry(merchant: Option<MerchantId>, hash: &str) -> AuditEntry {
    AuditEntry {
        id: AuditId(id()),
        actor: "kassir".to_owned(),
        action: "integration.create".to_owned(),
        target: "int_x".to_owned(),
        merchant,
        detail: "made".to_owned(),
        at: START,
        hash: hash.to_owned(),
    }
}

impl Shop {
    pub fn payment(&self) -> Payment {
        Payment {
            number: 0,
            version: 0,
            merchant: self.merchant,
            integration: self.integration,
            provider: "yookassa".to_owned(),
            origin: Origin::Notification,
            state: State::Succeeded,
            expired_by_us: false,
            amount: Money { minor: 90_000, currency: Currency::RUB },
            captured: Some(90_000),
            refunds: Vec::new(),
            provider_id: Some("22d6d597".to_owned()),
            reference: None,
            operation_key: None,
            saved_method: None,
            method: Some("bank_card".to_owned()),
            pay_url: None,
            pay_form: None,
            hold: false,
            test: false,
            description: "Order".to_owned(),
            order: Vec::new(),
            contact: None,
            email: None,
            return_url: None,
            metadata: Map::new(),
            reason: None,
            expires_at: None,
            created_at: START,
            updated_at: START,
        }
    }

    pub fn notification(&self) -> Notification {
        Notification {
            id: NotificationId(id()),
            merchant: self.merchant,
            integration: self.integration,
            provider: "yookassa".to_owned(),
            kind: None,
            outcome: NotificationOutcome::Accepted,
            reason: String::new(),
            diagnosis: None,
            warnings: Vec::new(),
            proof: Some("signed".to_owned()),
            payment: Some(0),
            event: None,
            answer: GivenAnswer { status: 200, body: "ok".to_owned() },
            peer: Some("192.0.2.1".to_owned()),
            method: "POST".to_owned(),
            query: String::new(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: "{\"amount\":900.00}".to_owned(),
            body_is_base64: false,
            received_at: START,
        }
    }

    pub fn event(&self) -> Event {
        Event {
            id: EventId(id()),
            merchant: self.merchant,
            integration: self.integration,
            payment: 0,
            state: EventState::Succeeded,
            proven: Proven::Signed,
            test: false,
            notification: None,
            created_at: START,
            tail: ",\"provider\":\"yandex_kassa\",\"payload\":{\"amount\":900.00}}".to_owned(),
        }
    }

    /// A delivery of an event to the shop's endpoint, due now.
    pub fn delivery(&self, event: &Event) -> Delivery {
        self.delivery_to(self.endpoint, event)
    }

    pub fn delivery_to(&self, endpoint: EndpointId, event: &Event) -> Delivery {
        Delivery {
            id: DeliveryId(id()),
            version: 0,
            merchant: self.merchant,
            payment: event.payment,
            event: event.id,
            state: event.state,
            integration: self.integration,
            provider: "yookassa".to_owned(),
            endpoint,
            status: DeliveryStatus::Pending,
            attempts: 0,
            round: 0,
            round_started_at: START,
            next_attempt_at: Some(START),
            resume_at: None,
            replay: None,
            replayed_by: None,
            last_status: None,
            last_error: None,
            after: 3,
            created_at: START,
            updated_at: START,
        }
    }

    pub fn job(&self, task: Task) -> Job {
        Job {
            id: JobId(id()),
            merchant: self.merchant,
            lane: Lane::Integration(self.integration),
            task,
            attempts: 0,
            created_at: START,
        }
    }

    pub fn lane(&self) -> Lane {
        Lane::Endpoint(self.endpoint)
    }

    pub fn commit(&self) -> Commit {
        Commit::of(self.merchant)
    }

    /// What an accepted notification gives: the payment, its event, a delivery.
    pub fn whole(&self, provider_id: &str) -> Commit {
        let event = self.event();
        let delivery = self.delivery(&event);
        let payment = Payment { provider_id: Some(provider_id.to_owned()), ..self.payment() };
        Commit {
            config_version: Some(self.version),
            notification: Some(Notification { event: Some(event.id), ..self.notification() }),
            payment: Some(new(payment, &[provider_id])),
            events: vec![event],
            deliveries: vec![delivery],
            ..self.commit()
        }
    }

    pub async fn write(&self, commit: Commit) -> Committed {
        self.store.commit(commit).await.unwrap()
    }

    /// One event with one delivery to this endpoint, due now; gives the delivery's id.
    pub async fn queue_to(&self, endpoint: EndpointId) -> DeliveryId {
        let event = Event { payment: 1, ..self.event() };
        let delivery = self.delivery_to(endpoint, &event);
        let id = delivery.id;
        self.write(Commit { events: vec![event], deliveries: vec![delivery], ..self.commit() }).await;
        id
    }

    /// One event with one delivery to the shop's endpoint, due now.
    pub async fn queue(&self) -> DeliveryId {
        self.queue_to(self.endpoint).await
    }

    pub async fn load(&self, id: DeliveryId) -> Delivery {
        self.store.delivery(self.merchant, id).await.unwrap().expect("the delivery is there")
    }

    pub async fn claim(&self) -> Claims {
        self.store.claim(&ask(100)).await.unwrap()
    }
}

/// A new payment that these provider's ids find.
pub fn new(payment: Payment, links: &[&str]) -> PaymentWrite {
    let links = links.iter().map(|link| (*link).to_owned()).collect();
    PaymentWrite::New { payment: Box::new(payment), links }
}

/// A changed payment.
pub fn update(payment: Payment, links: &[&str]) -> PaymentWrite {
    let links = links.iter().map(|link| (*link).to_owned()).collect();
    PaymentWrite::Update { payment: Box::new(payment), links }
}

/// How long the tests' leases are, milliseconds.
pub const LEASE_MS: u64 = 30_000;

/// Asks for so much work of any lane.
pub fn ask(max: usize) -> ClaimAsk {
    ClaimAsk {
        owner: "router-1".to_owned(),
        lease_ms: LEASE_MS,
        max,
        per_lane: 1000,
        room: [].into(),
        probes: 100,
    }
}

/// The delivery of claimed work.
#[track_caller]
pub fn delivery_of(claimed: &Claimed) -> &Delivery {
    match &claimed.material {
        Material::Delivery { delivery, .. } => delivery,
        Material::Job(job) => panic!("a delivery was expected, not {job:?}"),
    }
}

/// The job of claimed work.
#[track_caller]
pub fn job_of(claimed: &Claimed) -> &Job {
    match &claimed.material {
        Material::Job(job) => job,
        Material::Delivery { delivery, .. } => panic!("a job was expected, not {delivery:?}"),
    }
}

pub fn attempt(number: u32) -> Attempt {
    Attempt {
        number,
        at: START,
        duration_ms: 12,
        status: Some(500),
        error: Some("status 500".to_owned()),
        response_excerpt: Some("sorry".to_owned()),
        remote_ip: Some("192.0.2.7".to_owned()),
        replay: false,
        excused: false,
        sent_again: false,
    }
}
