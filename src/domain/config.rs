//! What people set up: merchants, integrations, endpoints. Secrets in here are sealed.

use std::collections::BTreeMap;

use kassir_providers::Settings;
use serde::{Deserialize, Serialize};

use super::event::EventState;
use super::ids::{EndpointId, IntegrationId, MerchantId};

/// A secret under the master key: text that is safe to store. Only `secrets` opens it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(…)")
    }
}

/// Where a merchant is told of its endpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertTarget {
    /// Where to.
    pub url: String,
    /// Signs what is sent there: the `whsec_…` text, sealed.
    pub secret: Sealed,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Merchant {
    /// Id.
    pub id: MerchantId,
    /// Name for people.
    pub name: String,
    /// Number of its first payment; a shop that used numbers before starts above them.
    pub first_payment: u32,
    /// Where it is told of endpoints that fail or were turned off.
    #[serde(default)]
    pub alert: Option<AlertTarget>,
    /// Unix milliseconds.
    pub created_at: i64,
}

/// A credential at rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredCredential {
    /// The value, sealed.
    pub sealed: Sealed,
    /// What may be shown: the last characters of a secret, the whole of a public value.
    pub hint: String,
}

/// A token of an inbound URL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InboundToken {
    /// SHA-256 of the token, hex: how it is found.
    pub hash: String,
    /// The token itself, sealed: shown again as part of the URL.
    pub sealed: Sealed,
    /// When it ends after a rotation, Unix milliseconds; `None` for the current one.
    pub expires_at: Option<i64>,
}

/// One account of a merchant at a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Integration {
    /// Id.
    pub id: IntegrationId,
    /// Whose.
    pub merchant: MerchantId,
    /// The provider's slug.
    pub provider: String,
    /// Name for people.
    pub name: String,
    /// Value of the event's `provider`.
    pub event_provider: String,
    /// Credentials by key.
    pub credentials: BTreeMap<String, StoredCredential>,
    /// Settings.
    pub settings: Settings,
    /// Inbound tokens: the current one first, then those that still live.
    pub tokens: Vec<InboundToken>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
}

/// Which statuses of a subscriber's answer are a success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Success {
    /// 200 and nothing else: the documented contract.
    #[default]
    #[serde(rename = "200")]
    Exactly200,
    /// 200 to 299.
    #[serde(rename = "2xx")]
    Any2xx,
}

/// With which schemes of Standard Webhooks an endpoint's events are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signing {
    /// HMAC-SHA256 with the shared secret: what every library checks.
    #[default]
    #[serde(rename = "v1")]
    V1,
    /// ed25519: the receiver knows only the public key.
    #[serde(rename = "v1a")]
    V1a,
    /// Both, in one header.
    #[serde(rename = "both")]
    Both,
}

impl Signing {
    /// The words of the API.
    pub const WORDS: [(&'static str, Signing); 3] =
        [("v1", Signing::V1), ("v1a", Signing::V1a), ("both", Signing::Both)];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Signing::V1 => "v1",
            Signing::V1a => "v1a",
            Signing::Both => "both",
        }
    }

    /// Whether secrets of a kind sign: key pairs, or shared ones.
    #[must_use]
    pub const fn uses(self, key_pairs: bool) -> bool {
        match self {
            Signing::V1 => !key_pairs,
            Signing::V1a => key_pairs,
            Signing::Both => true,
        }
    }
}

/// HTTP Basic authentication at a subscriber (RFC 7617).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BasicAuth {
    /// The user name; it is shown.
    pub username: String,
    /// The password.
    pub password: StoredCredential,
}

/// A client certificate for a subscriber that asks for one (mutual TLS).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// The certificate and its chain, PEM: no secret.
    pub certificate: String,
    /// Its private key, PEM, sealed.
    pub key: Sealed,
    /// SHA-256 of the certificate, hex.
    pub fingerprint: String,
    /// Unix milliseconds.
    pub not_before: i64,
    /// Unix milliseconds.
    pub not_after: i64,
}

/// A signing secret of an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SigningSecret {
    /// The `whsec_…` text, or the `whsk_…` text of a key pair, sealed.
    pub sealed: Sealed,
    /// The `whpk_…` text of a key pair; `None` for a shared secret.
    #[serde(default)]
    pub public: Option<String>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// When it ends after a rotation, Unix milliseconds; `None` for the current one.
    pub expires_at: Option<i64>,
}

/// A subscriber's URL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Id.
    pub id: EndpointId,
    /// Whose.
    pub merchant: MerchantId,
    /// Where to; https unless the configuration allows http.
    pub url: String,
    /// Words for people.
    pub description: String,
    /// Which states it gets.
    pub states: Vec<EventState>,
    /// Only events of these providers (slugs or the event's `provider`); empty means all.
    pub providers: Vec<String>,
    /// Only events of these integrations; empty means all.
    pub integrations: Vec<IntegrationId>,
    /// Custom headers; values sealed.
    pub headers: BTreeMap<String, Sealed>,
    /// What counts as a success.
    pub success: Success,
    /// Own deadline of an attempt, seconds; `None` means the configuration's.
    pub timeout_s: Option<u32>,
    /// Most attempts per second; `None` means no limit.
    pub rate_per_s: Option<u32>,
    /// Most attempts under way at once per router; `None` means the configuration's.
    pub max_in_flight: Option<u32>,
    /// Events of one payment one after the other.
    #[serde(default)]
    pub ordered: bool,
    /// Off: events are kept as `held`.
    pub enabled: bool,
    /// Why it is off, when Kassir turned it off.
    #[serde(default)]
    pub disabled_reason: Option<String>,
    /// Signing secrets: of each kind the current one first, then those that still live.
    pub secrets: Vec<SigningSecret>,
    /// Which of them sign.
    #[serde(default)]
    pub signing: Signing,
    /// HTTP Basic authentication.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// The client certificate.
    #[serde(default)]
    pub client_certificate: Option<ClientCertificate>,
    /// Unix milliseconds.
    pub created_at: i64,
    /// Unix milliseconds.
    pub updated_at: i64,
}

impl Endpoint {
    /// The default of `states`: the four of the platform's documented format.
    pub const DEFAULT_STATES: [EventState; 4] =
        [EventState::Pending, EventState::WaitingForCapture, EventState::Succeeded, EventState::Canceled];

    /// Whether it has a key pair that is not about to end.
    #[must_use]
    pub fn has_key_pair(&self) -> bool {
        self.secrets.iter().any(|secret| secret.public.is_some() && secret.expires_at.is_none())
    }

    /// Whether it wants an event.
    #[must_use]
    pub fn wants(&self, state: EventState, integration: &Integration) -> bool {
        self.states.contains(&state)
            && (self.providers.is_empty()
                || self.providers.contains(&integration.provider)
                || self.providers.contains(&integration.event_provider))
            && (self.integrations.is_empty() || self.integrations.contains(&integration.id))
    }
}

/// All that is set up for a merchant, at one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MerchantConfig {
    /// Grows with each change of anything below.
    pub version: u64,
    /// The merchant.
    pub merchant: Merchant,
    /// Its integrations.
    pub integrations: Vec<Integration>,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
}

impl MerchantConfig {
    /// One of its integrations.
    #[must_use]
    pub fn integration(&self, id: IntegrationId) -> Option<&Integration> {
        self.integrations.iter().find(|integration| integration.id == id)
    }

    /// One of its endpoints.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.id == id)
    }
}
