//! What the handlers need.

use std::sync::Arc;

use async_trait::async_trait;
use kassir_providers::{Answer, Request};
use serde_json::Value;

use super::auth::TokenCache;
use crate::domain::ids::{EndpointId, IntegrationId};
use crate::keeping::Keeping;
use crate::manage::Manager;
use crate::payments::Payments;
use crate::registry::{MerchantView, RegistryError};

/// What would become of a provider's request.
#[derive(Debug, Clone)]
pub struct TryResult {
    /// `signed`, `sourced` or `unproven`; `None` when it was refused.
    pub proof: Option<&'static str>,
    /// Why it proves nothing, or why the provider's API would be asked first.
    pub asks_api: Option<String>,
    /// When it was refused: the kind of fault, the reason, and the usual mistake that fits.
    pub refusal: Option<TryRefusal>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// What it says, as JSON.
    pub facts: Vec<Value>,
    /// Its body as JSON text.
    pub payload: Option<String>,
    /// What would be decided, fact by fact: the outcome's word and the reason.
    pub decisions: Vec<(&'static str, String)>,
    /// What the provider would be answered.
    pub answer: Answer,
    /// The bodies that endpoints would get.
    pub events: Vec<(EndpointId, String)>,
}

/// Why a request was refused.
#[derive(Debug, Clone)]
pub struct TryRefusal {
    /// `malformed`, `missing_proof`, `wrong_proof`, …
    pub kind: String,
    /// For a person.
    pub reason: String,
    /// The usual mistake that fits.
    pub diagnosis: Option<String>,
}

/// The dry run of a provider's request; the intake does it.
#[async_trait]
pub trait TryOut: Send + Sync {
    /// Tries a request out. Stores and sends nothing.
    ///
    /// # Errors
    /// [`RegistryError`].
    async fn try_out(
        &self,
        view: &Arc<MerchantView>,
        integration: IntegrationId,
        request: &Request,
    ) -> Result<TryResult, RegistryError>;
}

/// Gives the metrics in the Prometheus text format.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What the handlers need; cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    /// Does what people ask for.
    pub manage: Arc<Manager>,
    /// Operations on payments.
    pub payments: Arc<Payments>,
    /// The dry run.
    pub try_out: Arc<dyn TryOut>,
    /// SHA-256 of the admin token, hex.
    pub admin_token_hash: String,
    /// The metrics.
    pub metrics: RenderMetrics,
    /// Whether the last notification could be kept.
    pub keeping: Arc<Keeping>,
    /// Tokens at hand.
    pub tokens: Arc<TokenCache>,
}
