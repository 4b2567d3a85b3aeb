//! Notices about endpoints, to the router's operator and to the merchant: requests signed like events (Standard
//! Webhooks), through the guarded client, tried again with growing intervals for a day.

use std::sync::Arc;

use kassir_providers::{Method, Secret};
use serde::Serialize;

use crate::clock::SharedClock;
use crate::delivery::judge::{Verdict, judge};
use crate::delivery::outbound::{Outbound, OutboundRequest};
use crate::delivery::send::USER_AGENT;
use crate::delivery::signature::{self, ID_HEADER, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER};
use crate::domain::alert::{Alert, AlertTo};
use crate::domain::config::Success;
use crate::domain::ids::MerchantId;
use crate::domain::job::Job;
use crate::limits;
use crate::manage::time;
use crate::registry::{Registry, alert_owner};
use crate::secrets::Vault;
use crate::store::StoreError;

/// Where somebody is told.
pub struct Target {
    /// Where to.
    pub url: String,
    /// Signs.
    pub secret: Secret,
}

/// Sends notices.
pub struct Alerts {
    /// The HTTP client.
    pub outbound: Outbound,
    /// What is set up.
    pub registry: Arc<Registry>,
    /// Opens the merchants' secrets.
    pub vault: Arc<Vault>,
    /// The clock.
    pub clock: SharedClock,
    /// Where the operator is told.
    pub operator: Option<Target>,
    /// How long a notice is tried, milliseconds.
    pub max_age_ms: i64,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is told, or nobody wants to know, or it was tried for long enough.
    Over,
    /// To be tried again, not before so many milliseconds.
    Again(Option<u64>),
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    merchant: String,
    endpoint: String,
    host: &'a str,
    reason: &'a str,
    failing_since: Option<String>,
    disables_at: Option<String>,
    last_error: Option<&'a str>,
}

impl Alerts {
    /// Tells it, once.
    ///
    /// # Errors
    /// [`StoreError`]: it is to be tried again.
    pub async fn send(&self, job: &Job, alert: &Alert) -> Result<End, StoreError> {
        let Some(target) = self.target(job.merchant, alert.to).await? else { return Ok(End::Over) };
        let now = self.clock.now();
        let verdict = match request(job, alert, &target, now) {
            Some(request) => judge(&self.outbound.send(request).await, Success::Any2xx, now),
            None => {
                tracing::error!(
                    to = alert.to.word(),
                    "a notice can't be signed: its secret is no whsec_ secret"
                );
                return Ok(End::Over);
            }
        };
        let outcome = if verdict.success { "success" } else { "failure" };
        metrics::counter!("kassir_alerts_total", "to" => alert.to.word(), "outcome" => outcome).increment(1);
        if verdict.success {
            return Ok(End::Over);
        }
        Ok(self.again(job, alert, &verdict))
    }

    fn again(&self, job: &Job, alert: &Alert, verdict: &Verdict) -> End {
        let now = self.clock.now();
        let (to, error) = (alert.to.word(), verdict.error.as_deref().unwrap_or_default());
        if now.saturating_sub(job.created_at) >= self.max_age_ms {
            let kind = alert.kind.word();
            tracing::error!(to, kind, endpoint = %alert.endpoint, error, "a notice could not be told in time");
            return End::Over;
        }
        tracing::warn!(to, endpoint = %alert.endpoint, error, "a notice was not taken; it is sent again");
        let last = job.created_at.saturating_add(self.max_age_ms);
        let wish = verdict.not_before.map(|wish| wish.min(last).saturating_sub(now));
        End::Again(wish.and_then(|ms| u64::try_from(ms).ok()))
    }

    async fn target(&self, merchant: MerchantId, to: AlertTo) -> Result<Option<Target>, StoreError> {
        if to == AlertTo::Operator {
            let own = self.operator.as_ref();
            return Ok(own.map(|own| Target { url: own.url.clone(), secret: own.secret.clone() }));
        }
        let view = self.registry.merchant(merchant).await?;
        let Some(alert) = view.as_ref().and_then(|view| view.config.merchant.alert.as_ref()) else {
            return Ok(None);
        };
        match self.vault.open(&alert_owner(merchant), &alert.secret) {
            Ok(secret) => Ok(Some(Target { url: alert.url.clone(), secret })),
            Err(error) => {
                tracing::error!(%merchant, %error, "the secret of a merchant's notices does not open");
                Ok(None)
            }
        }
    }
}

fn request(job: &Job, alert: &Alert, target: &Target, now: i64) -> Option<OutboundRequest> {
    let key = SigningKey::parse(target.secret.expose()).ok()?;
    let body = Body {
        kind: alert.kind.word(),
        timestamp: time::show(alert.at),
        merchant: job.merchant.to_string(),
        endpoint: alert.endpoint.to_string(),
        host: &alert.host,
        reason: &alert.reason,
        failing_since: alert.failing_since.map(time::show),
        disables_at: alert.disables_at.map(time::show),
        last_error: alert.last_error.as_deref(),
    };
    let body = serde_json::to_vec(&body).ok()?;
    let (id, timestamp) = (job.id.to_string(), now.div_euclid(1000));
    let signature = signature::header(std::iter::once(&key), &id, timestamp, &body);
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("user-agent", USER_AGENT.to_owned()),
        ("accept-encoding", "identity".to_owned()),
        (ID_HEADER, id),
        (TIMESTAMP_HEADER, timestamp.to_string()),
        (SIGNATURE_HEADER, signature),
    ];
    Some(OutboundRequest {
        method: Method::Post,
        url: target.url.clone(),
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        body,
        timeout: None,
        response_max: limits::RESPONSE_READ_MAX,
    })
}
