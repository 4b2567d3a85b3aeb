//! An endpoint as an attempt needs it: with opened secrets, at one version.

use std::sync::Arc;

use async_trait::async_trait;
use kassir_providers::{Secret, digest};

use super::outbound::ClientIdentity;
use super::signature::SigningKey;
use crate::domain::config::{BasicAuth, Endpoint, Sealed};
use crate::domain::ids::{EndpointId, MerchantId};
use crate::secrets::SecretError;

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
    /// Custom headers, and the one of `basic_auth`, opened.
    pub headers: Vec<(String, Secret)>,
    /// The client certificate for servers that ask for one.
    pub identity: Option<ClientIdentity>,
}

/// What a signing secret is sealed for, within its endpoint.
pub const SIGNING_SECRET: &str = "secret";
/// What the password of `basic_auth` is sealed for; no custom header has such a name.
pub const BASIC_AUTH: &str = "basic auth";
/// What the private key of the client certificate is sealed for; no custom header has such a name.
pub const CLIENT_KEY: &str = "client key";

impl EndpointView {
    /// An endpoint with its secrets opened by `open`, which gets what each is sealed for within the endpoint.
    ///
    /// # Errors
    /// That of `open`, or [`SecretError::Sealed`] for a secret that is not what it should be.
    pub fn open(
        endpoint: Endpoint,
        open: impl Fn(&str, &Sealed) -> Result<Secret, SecretError>,
    ) -> Result<EndpointView, SecretError> {
        let mut keys = Vec::new();
        // Shared secrets first: every receiver knows their scheme.
        for of_pairs in [false, true].into_iter().filter(|of_pairs| endpoint.signing.uses(*of_pairs)) {
            for secret in endpoint.secrets.iter().filter(|secret| secret.public.is_some() == of_pairs) {
                let text = open(SIGNING_SECRET, &secret.sealed)?;
                let key = SigningKey::parse(text.expose()).map_err(|_| SecretError::Sealed)?;
                keys.push(LiveKey { key, expires_at: secret.expires_at });
            }
        }
        let mut headers = Vec::new();
        for (name, sealed) in &endpoint.headers {
            headers.push((name.clone(), open(name, sealed)?));
        }
        if let Some(basic) = &endpoint.basic_auth {
            headers.push((
                "authorization".to_owned(),
                basic_value(basic, &open(BASIC_AUTH, &basic.password.sealed)?),
            ));
        }
        let identity = match &endpoint.client_certificate {
            None => None,
            Some(stored) => {
                let key = open(CLIENT_KEY, &stored.key)?;
                Some(ClientIdentity::parse(&stored.certificate, &key).map_err(|_| SecretError::Sealed)?)
            }
        };
        Ok(EndpointView { endpoint, keys, headers, identity })
    }

    /// The keys that live at a time (Unix milliseconds).
    pub fn keys_at(&self, now: i64) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter().filter(move |live| live.expires_at.is_none_or(|end| now < end)).map(|live| &live.key)
    }
}

/// The value of `Authorization` (RFC 7617).
fn basic_value(basic: &BasicAuth, password: &Secret) -> Secret {
    let pair = Secret::new(format!("{}:{}", basic.username, password.expose()));
    Secret::new(format!("Basic {}", digest::base64(pair.expose().as_bytes())))
}

/// An endpoint can't be loaded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// The store does not answer now.
    #[error("the endpoint can't be loaded: {0}")]
    Away(String),
    /// A secret does not open, or a record can't be read: that lasts until somebody sees to it.
    #[error("the endpoint can't be loaded: {0}")]
    Broken(String),
}

/// Where the worker gets endpoints from: a cache of what is set up.
#[async_trait]
pub trait EndpointSource: Send + Sync + 'static {
    /// An endpoint as it is set up; `None` when it was deleted. What it was may be a moment old, but never that it is
    /// missing or off: a delivery ends by that.
    async fn get(
        &self,
        merchant: MerchantId,
        endpoint: EndpointId,
    ) -> Result<Option<Arc<EndpointView>>, SourceError>;
}
