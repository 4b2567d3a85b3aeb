//! An endpoint as an attempt needs it: with opened secrets, at one version.

use std::sync::Arc;

use async_trait::async_trait;
use kassir_providers::Secret;

use super::signature::SigningKey;
use crate::domain::config::Endpoint;
use crate::domain::ids::{EndpointId, MerchantId};

/// A signing key and when it ends.
#[derive(Clone)]
pub struct LiveKey {
    /// The key.
    pub key: SigningKey,
    /// When it ends after a rotation, Unix milliseconds; `None` for the current one.
    pub expires_at: Option<i64>,
}

/// An endpoint with opened secrets: one consistent snapshot for an attempt.
#[derive(Clone)]
pub struct EndpointView {
    /// The record.
    pub endpoint: Endpoint,
    /// Signing keys, the current one first.
    pub keys: Vec<LiveKey>,
    /// Custom headers, opened.
    pub headers: Vec<(String, Secret)>,
}

impl EndpointView {
    /// The keys that live at a time (Unix milliseconds).
    pub fn keys_at(&self, now: i64) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter().filter(move |live| live.expires_at.is_none_or(|end| now < end)).map(|live| &live.key)
    }
}

/// An endpoint can't be loaded now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the endpoint can't be loaded: {0}")]
pub struct SourceError(pub String);

/// Where the worker gets endpoints from: a cache of what is set up.
#[async_trait]
pub trait EndpointSource: Send + Sync + 'static {
    /// An endpoint as it is set up now; `None` when it was deleted.
    async fn get(
        &self,
        merchant: MerchantId,
        endpoint: EndpointId,
    ) -> Result<Option<Arc<EndpointView>>, SourceError>;
}
