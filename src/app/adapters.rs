//! Where parts that do not know each other meet.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use async_trait::async_trait;
use kassir_providers::{Call, Proof, Reply};
use tokio::runtime::Handle;

use super::Services;
use crate::api::{ApiState, TryOut, TryRefusal, TryResult};
use crate::delivery::outbound::{Outbound, OutboundRequest};
use crate::delivery::{DeliveryConfig, EndpointSource, EndpointView, SourceError, Worker};
use crate::domain::config::Endpoint;
use crate::domain::ids::{EndpointId, IntegrationId, MerchantId};
use crate::intake::try_out::{Trial, try_out};
use crate::ledger::{HandOver, Lease, Ledger, LedgerError};
use crate::limits::PROVIDER_REPLY_MAX;
use crate::operations::{Caller, NoReply};
use crate::registry::{MerchantView, Registry, RegistryError, endpoint_owner};
use crate::secrets::{SecretError, Vault};
use crate::store::{Claimed, StoreError};

/// Providers' APIs are reached through the guarded client, like subscribers.
pub(super) struct ProviderCaller(pub Outbound);

#[async_trait]
impl Caller for ProviderCaller {
    async fn call(&self, call: Call) -> Result<Reply, NoReply> {
        let request = OutboundRequest {
            method: call.method,
            url: call.url,
            headers: call.headers,
            body: call.body,
            timeout: None,
            response_max: PROVIDER_REPLY_MAX,
        };
        let outcome = self.0.send(request).await;
        match (outcome.status, outcome.failure) {
            (Some(status), None) if !outcome.truncated => {
                Ok(Reply { status, headers: outcome.headers, body: outcome.body })
            }
            (_, Some(failure)) => {
                Err(NoReply { may_have_arrived: failure.kind.may_have_arrived(), why: failure.to_string() })
            }
            _ => Err(NoReply {
                why: format!("its answer is longer than {PROVIDER_REPLY_MAX} bytes"),
                may_have_arrived: true,
            }),
        }
    }
}

/// Endpoints whose opened secrets are at hand; beyond, all are opened anew as they are needed.
const OPENED_MAX: usize = 16_384;

/// Endpoints with opened secrets, from the registry. What was opened is kept until the merchant's configuration has
/// another version.
pub(super) struct Endpoints {
    registry: Arc<Registry>,
    vault: Arc<Vault>,
    opened: RwLock<HashMap<EndpointId, (u64, Arc<EndpointView>)>>,
}

impl Endpoints {
    pub(super) fn new(registry: &Arc<Registry>, vault: &Arc<Vault>) -> Endpoints {
        Endpoints { registry: Arc::clone(registry), vault: Arc::clone(vault), opened: RwLock::default() }
    }

    fn opened(&self, endpoint: EndpointId, version: u64) -> Option<Arc<EndpointView>> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        let (opened_at, view) = opened.get(&endpoint)?;
        (*opened_at == version).then(|| Arc::clone(view))
    }

    fn keep(&self, endpoint: EndpointId, version: u64, view: &Arc<EndpointView>) {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if opened.len() >= OPENED_MAX {
            opened.clear();
        }
        opened.insert(endpoint, (version, Arc::clone(view)));
    }

    /// What is set up for the endpoint's merchant. A copy in which the endpoint is missing or off may be older than the
    /// endpoint, and what is done then is done for good: it is asked for as it is now.
    async fn merchant(
        &self,
        merchant: MerchantId,
        endpoint: EndpointId,
    ) -> Result<Option<Arc<MerchantView>>, StoreError> {
        let view = self.registry.merchant(merchant).await?;
        let found = view.as_ref().and_then(|view| view.config.endpoint(endpoint));
        if found.is_some_and(|endpoint| endpoint.enabled) {
            return Ok(view);
        }
        self.registry.current(merchant).await
    }

    fn open(&self, endpoint: &Endpoint) -> Result<EndpointView, SecretError> {
        let id = endpoint.id;
        EndpointView::open(endpoint.clone(), |what, sealed| {
            self.vault.open(&endpoint_owner(id, what), sealed)
        })
    }
}

#[async_trait]
impl EndpointSource for Endpoints {
    async fn get(
        &self,
        merchant: MerchantId,
        endpoint: EndpointId,
    ) -> Result<Option<Arc<EndpointView>>, SourceError> {
        let view = self.merchant(merchant, endpoint).await.map_err(|error| not_loaded(&error))?;
        let Some(view) = view else { return Ok(None) };
        let version = view.config.version;
        if let Some(opened) = self.opened(endpoint, version) {
            return Ok(Some(opened));
        }
        let Some(found) = view.config.endpoint(endpoint) else { return Ok(None) };
        let opened = Arc::new(self.open(found).map_err(|error| SourceError::Broken(error.to_string()))?);
        self.keep(endpoint, version, &opened);
        Ok(Some(opened))
    }
}

fn not_loaded(error: &StoreError) -> SourceError {
    match error {
        StoreError::Corrupt(_) => SourceError::Broken(error.to_string()),
        _ => SourceError::Away(error.to_string()),
    }
}

/// Hands leased deliveries to this process's worker, on the runtime that the worker lives on: the web server's
/// threads end before the worker does.
pub(super) struct WorkerHandOver {
    worker: OnceLock<(Weak<Worker>, Handle)>,
    owner: String,
    lease_ms: u64,
}

impl WorkerHandOver {
    pub(super) fn new(config: &DeliveryConfig) -> WorkerHandOver {
        WorkerHandOver {
            worker: OnceLock::new(),
            owner: format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple()),
            lease_ms: u64::try_from(config.lease.as_millis()).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn owner(&self) -> String {
        self.owner.clone()
    }

    /// From now on work goes to this worker.
    pub(super) fn attach(&self, worker: &Arc<Worker>) {
        drop(self.worker.set((Arc::downgrade(worker), Handle::current())));
    }

    fn worker(&self) -> Option<(Arc<Worker>, &Handle)> {
        let (worker, handle) = self.worker.get()?;
        Some((worker.upgrade()?, handle))
    }
}

impl HandOver for WorkerHandOver {
    fn hand_over(&self, work: Vec<Claimed>, now: i64) {
        if let Some((worker, handle)) = self.worker() {
            let _on_its_runtime = handle.enter();
            worker.hand_over(work, now);
        }
    }

    fn wake(&self) {
        if let Some((worker, _)) = self.worker() {
            worker.wake();
        }
    }

    fn lease(&self, endpoints: &[EndpointId]) -> Option<Lease> {
        let (worker, _) = self.worker()?;
        let (kept, queue_only) = worker.make_room(endpoints)?;
        Some(Lease { owner: self.owner.clone(), ms: self.lease_ms, queue_only, kept: Box::new(kept) })
    }
}

/// The dry run, from intake to the API.
struct Trials {
    ledger: Arc<Ledger>,
}

#[async_trait]
impl TryOut for Trials {
    async fn try_out(
        &self,
        view: &Arc<MerchantView>,
        integration: IntegrationId,
        request: &kassir_providers::Request,
    ) -> Result<TryResult, RegistryError> {
        match try_out(&self.ledger, view, integration, request).await {
            Ok(trial) => Ok(shown(trial)),
            Err(LedgerError::Registry(error)) => Err(error),
            Err(LedgerError::Gone | LedgerError::LostLease | LedgerError::Stale) => {
                Err(StoreError::NotFound("integration").into())
            }
        }
    }
}

fn shown(trial: Trial) -> TryResult {
    let nothing = TryResult {
        proof: None,
        asks_api: None,
        refusal: None,
        warnings: Vec::new(),
        facts: Vec::new(),
        payload: None,
        decisions: Vec::new(),
        answer: trial.answer,
        events: Vec::new(),
    };
    match trial.result {
        Err(reject) => TryResult {
            refusal: Some(TryRefusal {
                kind: word(&reject.kind),
                reason: reject.reason,
                diagnosis: reject.diagnosis,
            }),
            ..nothing
        },
        Ok(taken) => {
            let (proof, unproven) = match taken.proof {
                Proof::Signed => ("signed", None),
                Proof::Sourced => ("sourced", None),
                Proof::Unproven(why) => ("unproven", Some(why)),
            };
            let facts = taken.facts.iter().filter_map(|fact| serde_json::to_value(fact).ok());
            let decisions =
                taken.decisions.into_iter().map(|decision| (decision.outcome.word(), decision.reason));
            TryResult {
                proof: Some(proof),
                asks_api: taken.asks_api.or(unproven),
                warnings: taken.warnings,
                facts: facts.collect(),
                payload: Some(taken.payload.get().to_owned()),
                decisions: decisions.collect(),
                events: taken.events,
                ..nothing
            }
        }
    }
}

/// The word of an enum that serialises as one.
fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}

/// What the API needs.
pub(super) fn api_state(services: &Services, admin_token_hash: &str) -> anyhow::Result<ApiState> {
    let metrics = crate::telemetry::start_metrics().map_err(anyhow::Error::msg)?;
    Ok(ApiState {
        manage: Arc::clone(&services.manage),
        payments: Arc::clone(&services.payments),
        try_out: Arc::new(Trials { ledger: Arc::clone(&services.ledger) }),
        admin_token_hash: admin_token_hash.to_owned(),
        metrics: Arc::new(move || {
            crate::telemetry::process::measure();
            metrics.render()
        }),
        keeping: services.intake.keeping(),
        tokens: Arc::default(),
    })
}
