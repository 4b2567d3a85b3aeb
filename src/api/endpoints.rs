//! `/merchants/{m}/endpoints`.

use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Need;
use super::context::{Body, Context};
use super::deliveries::AttemptView;
use super::idempotency::{once, to_the_end};
use super::integrations::{CredentialView, page_of};
use super::problem::{Problem, Result};
use super::reply::{List, Reply};
use super::schema::{EmptyInput, EndpointInput, MerchantPath, PageQuery, RecordPath, RotationInput};
use crate::domain::config::{ClientCertificate, Success};
use crate::domain::ids::{EndpointId, MerchantId};
use crate::domain::{Endpoint, Health, Lane};
use crate::manage::time;
use crate::store::Held;

/// A client certificate's end is warned of so many days before.
const CERTIFICATE_WARNED_DAYS: i64 = 30;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// An old signing secret that still signs.
#[derive(Debug, Serialize, ToSchema)]
pub struct OldSecretView {
    /// RFC 3339: when it ends.
    expires_at: String,
}

/// How an endpoint fails.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthView {
    /// RFC 3339: the first failure after the last success.
    failing_since: String,
    /// RFC 3339: the last failure.
    last_failure_at: String,
    /// Status of its answer.
    last_status: Option<u16>,
    /// What went wrong.
    last_error: String,
    /// RFC 3339: when it is turned off, should it fail until then; null when that never happens.
    disables_at: Option<String>,
}

/// Whether an endpoint is left alone because it does not work, or asked for it.
#[derive(Debug, Serialize, ToSchema)]
pub struct BreakerView {
    /// `closed`: it gets what is due. `open`: it is left alone. `probing`: one delivery is tried now, or as soon as one
    /// is due.
    state: &'static str,
    /// RFC 3339: since when it is not `closed`.
    since: Option<String>,
    /// RFC 3339: when one delivery is tried, while it is `open`.
    next_try_at: Option<String>,
    /// Deliveries that wait meanwhile; at most 10000 are counted.
    waiting: Option<u64>,
}

impl BreakerView {
    fn of(held: Option<&Held>, now: i64) -> BreakerView {
        let Some(held) = held else {
            return BreakerView { state: "closed", since: None, next_try_at: None, waiting: None };
        };
        let is_open = now < held.until && !held.is_tried(now);
        BreakerView {
            state: if is_open { "open" } else { "probing" },
            since: Some(time::show(held.since)),
            next_try_at: is_open.then(|| time::show(held.until)),
            waiting: Some(held.waiting),
        }
    }
}

/// A public key that checks signatures of the scheme `v1a`.
#[derive(Debug, Serialize, ToSchema)]
pub struct PublicKeyView {
    /// `whpk_…`: ed25519, base64.
    public_key: String,
    /// RFC 3339: when its signatures end; null for the present one.
    expires_at: Option<String>,
}

/// HTTP Basic authentication at the endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct BasicAuthView {
    /// The user name.
    username: String,
    /// The password: never its value.
    password: CredentialView,
}

/// The client certificate that is shown to the endpoint's server.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientCertificateView {
    /// SHA-256 of the certificate, hex.
    fingerprint_sha256: String,
    /// RFC 3339.
    not_before: String,
    /// RFC 3339.
    not_after: String,
    /// What to do about its end, when that is near or past.
    warning: Option<String>,
}

/// A subscriber's URL.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndpointView {
    /// `ep_…`
    id: String,
    /// Where to.
    url: String,
    /// For people.
    description: String,
    /// Which states it gets.
    states: Vec<&'static str>,
    /// Only events of these providers; empty means all.
    providers: Vec<String>,
    /// Only events of these integrations; empty means all.
    integration_ids: Vec<String>,
    /// Names of the custom headers; their values are never shown.
    headers: Vec<String>,
    /// `200` or `2xx`.
    success: &'static str,
    /// Own deadline of an attempt, seconds.
    timeout_s: Option<u32>,
    /// Most attempts per second.
    rate_per_s: Option<u32>,
    /// Most attempts under way at once per router.
    max_in_flight: Option<u32>,
    /// Events of one payment one after the other.
    ordered: bool,
    /// Off: events are kept as `held`.
    enabled: bool,
    /// Why it is off, when Kassir turned it off.
    disabled_reason: Option<String>,
    /// How it fails; null when its last attempt succeeded, or none was made.
    health: Option<HealthView>,
    /// Whether it is left alone for a while.
    breaker: BreakerView,
    /// With which schemes it is signed: `v1`, `v1a` or `both`.
    signing: &'static str,
    /// The public keys of `v1a`, the present one first; empty before it was first asked for.
    public_keys: Vec<PublicKeyView>,
    /// HTTP Basic authentication.
    basic_auth: Option<BasicAuthView>,
    /// The client certificate.
    client_certificate: Option<ClientCertificateView>,
    /// Old signing secrets that still sign beside the present one.
    old_secrets: Vec<OldSecretView>,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
    /// The signing secret (Standard Webhooks), `whsec_…`: only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// What is looked up beside endpoints to show them.
struct Beside {
    now: i64,
    failing: HashMap<EndpointId, Health>,
    held: HashMap<Lane, Held>,
    limit_ms: Option<i64>,
}

impl Beside {
    async fn of(context: &Context, merchant: MerchantId, shown: &[EndpointId]) -> Result<Beside> {
        let lanes: Vec<Lane> = shown.iter().copied().map(Lane::Endpoint).collect();
        let held = context.store().holds(merchant, &lanes).await?;
        let rows = context.store().failing(Some(merchant)).await?;
        let failing = rows.into_iter().map(|row| (row.endpoint, row.health)).collect();
        Ok(Beside { failing, held, ..Beside::nothing(context) })
    }

    fn nothing(context: &Context) -> Beside {
        let manage = context.manage();
        let limit_ms = manage.config.delivery.disable_after.ms();
        Beside { now: manage.clock.now(), failing: HashMap::new(), held: HashMap::new(), limit_ms }
    }

    fn health(&self, endpoint: &Endpoint) -> Option<HealthView> {
        let health = self.failing.get(&endpoint.id)?;
        let limit = self.limit_ms.filter(|_| endpoint.enabled);
        Some(HealthView {
            failing_since: time::show(health.failing_since),
            last_failure_at: time::show(health.last_failure_at),
            last_status: health.last_status,
            last_error: health.last_error.clone(),
            disables_at: limit.map(|limit| time::show(health.failing_since.saturating_add(limit))),
        })
    }
}

fn view(endpoint: &Endpoint, beside: &Beside) -> EndpointView {
    let now = beside.now;
    let shared = endpoint.secrets.iter().filter(|secret| secret.public.is_none());
    let old = shared.filter_map(|secret| secret.expires_at).filter(|end| *end > now);
    EndpointView {
        id: endpoint.id.to_string(),
        url: endpoint.url.clone(),
        description: endpoint.description.clone(),
        states: endpoint.states.iter().map(|state| state.word()).collect(),
        providers: endpoint.providers.clone(),
        integration_ids: endpoint.integrations.iter().map(ToString::to_string).collect(),
        headers: endpoint.headers.keys().cloned().collect(),
        success: match endpoint.success {
            Success::Exactly200 => "200",
            Success::Any2xx => "2xx",
        },
        timeout_s: endpoint.timeout_s,
        rate_per_s: endpoint.rate_per_s,
        max_in_flight: endpoint.max_in_flight,
        ordered: endpoint.ordered,
        enabled: endpoint.enabled,
        disabled_reason: endpoint.disabled_reason.clone(),
        health: beside.health(endpoint),
        breaker: BreakerView::of(beside.held.get(&Lane::Endpoint(endpoint.id)), now),
        signing: endpoint.signing.word(),
        public_keys: public_keys(endpoint, now),
        basic_auth: endpoint.basic_auth.as_ref().map(|basic| BasicAuthView {
            username: basic.username.clone(),
            password: CredentialView::of(&basic.password),
        }),
        client_certificate: endpoint.client_certificate.as_ref().map(|stored| certificate(stored, now)),
        old_secrets: old.map(|end| OldSecretView { expires_at: time::show(end) }).collect(),
        created_at: time::show(endpoint.created_at),
        updated_at: time::show(endpoint.updated_at),
        secret: None,
    }
}

fn public_keys(endpoint: &Endpoint, now: i64) -> Vec<PublicKeyView> {
    let live = endpoint.secrets.iter().filter(|secret| secret.expires_at.is_none_or(|end| end > now));
    let shown = live.filter_map(|secret| {
        let expires_at = secret.expires_at.map(time::show);
        Some(PublicKeyView { public_key: secret.public.clone()?, expires_at })
    });
    shown.collect()
}

fn certificate(stored: &ClientCertificate, now: i64) -> ClientCertificateView {
    let days = stored.not_after.saturating_sub(now).div_euclid(DAY_MS);
    let warning = match days {
        _ if now < stored.not_before => {
            Some("is not valid yet: servers refuse it until not_before".to_owned())
        }
        ..0 => Some("has expired: servers refuse it; set a new client_certificate".to_owned()),
        0..CERTIFICATE_WARNED_DAYS => {
            Some(format!("ends in {days} days: set a new client_certificate before"))
        }
        _ => None,
    };
    ClientCertificateView {
        fingerprint_sha256: stored.fingerprint.clone(),
        not_before: time::show(stored.not_before),
        not_after: time::show(stored.not_after),
        warning,
    }
}

/// Creates an endpoint. Its signing secret is in this answer only.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/endpoints", tag = "endpoints", operation_id = "create_endpoint",
    params(MerchantPath), request_body = EndpointInput, responses((status = 201, body = EndpointView)))]
pub async fn create(context: Context, body: Body) -> Result<Reply> {
    let merchant = context.merchant(Need::Write).await?;
    context.no_params()?;
    let members = body.members()?;
    let inner = context.clone();
    once(&context, &body, async move {
        let manage = inner.manage();
        let (made, secret) = manage.create_endpoint(&inner.caller.actor, &merchant, members).await?;
        let secret = Some(secret.expose().to_owned());
        Ok(Reply::json(201, &EndpointView { secret, ..view(&made, &Beside::nothing(&inner)) }))
    })
    .await
}

/// Lists endpoints.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/endpoints", tag = "endpoints", operation_id = "list_endpoints",
    params(MerchantPath, PageQuery), responses((status = 200, body = List<EndpointView>)))]
pub async fn list(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?;
    let mut params = context.params()?;
    let page = params.page::<EndpointId>();
    params.finish()?;
    let listed = page_of(&merchant.config.endpoints, &page, |row| row.id.to_string());
    let shown: Vec<EndpointId> = listed.rows.iter().map(|row| row.id).collect();
    let beside = Beside::of(&context, merchant.config.merchant.id, &shown).await?;
    Ok(Reply::list(listed, |row| view(&row, &beside)))
}

/// Shows an endpoint.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/endpoints/{id}", tag = "endpoints",
    operation_id = "show_endpoint", params(RecordPath), responses((status = 200, body = EndpointView)))]
pub async fn show(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?;
    context.no_params()?;
    let found = merchant.config.endpoint(context.id("endpoint")?);
    let found = found.ok_or_else(|| Problem::not_found("endpoint", context.part("id")))?;
    Ok(Reply::ok(&view(found, &Beside::of(&context, found.merchant, &[found.id]).await?)))
}

/// Changes an endpoint. With a `url` at another host (scheme, name or port) than before, `basic_auth` and every custom
/// header that are set must be given anew in the same request, or taken away.
///
/// # Errors
/// A problem.
#[utoipa::path(patch, path = "/api/v1/merchants/{m}/endpoints/{id}", tag = "endpoints",
    operation_id = "update_endpoint", params(RecordPath), request_body = EndpointInput,
    responses((status = 200, body = EndpointView)))]
pub async fn update(context: Context, body: Body) -> Result<Reply> {
    to_the_end(async move {
        let merchant = context.merchant(Need::Write).await?.config.merchant.id;
        context.no_params()?;
        let id = context.id("endpoint")?;
        let manage = context.manage();
        let changed = manage.update_endpoint(&context.caller.actor, merchant, id, body.members()?).await?;
        Ok(Reply::ok(&view(&changed, &Beside::of(&context, merchant, &[id]).await?)))
    })
    .await
}

/// Deletes an endpoint; its deliveries stay in the record, those that wait are canceled.
///
/// # Errors
/// A problem.
#[utoipa::path(delete, path = "/api/v1/merchants/{m}/endpoints/{id}", tag = "endpoints",
    operation_id = "delete_endpoint", params(RecordPath), responses((status = 204)))]
pub async fn delete(context: Context) -> Result<Reply> {
    to_the_end(async move {
        let merchant = context.merchant(Need::Write).await?.config.merchant.id;
        context.no_params()?;
        let id = context.id("endpoint")?;
        context.manage().delete_endpoint(&context.caller.actor, merchant, id).await?;
        Ok(Reply::nothing())
    })
    .await
}

/// Gives an endpoint a new signing secret, in this answer only; old ones sign beside it for a while.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/endpoints/{id}/rotate-secret", tag = "endpoints",
    operation_id = "rotate_secret", params(RecordPath), request_body = RotationInput,
    responses((status = 200, body = EndpointView)))]
pub async fn rotate_secret(context: Context, body: Body) -> Result<Reply> {
    let merchant = context.merchant(Need::Write).await?.config.merchant.id;
    context.no_params()?;
    let id = context.id("endpoint")?;
    let members = body.members()?;
    let inner = context.clone();
    once(&context, &body, async move {
        let manage = inner.manage();
        let (changed, secret) = manage.rotate_secret(&inner.caller.actor, merchant, id, members).await?;
        let secret = Some(secret.expose().to_owned());
        let beside = Beside::of(&inner, merchant, &[id]).await?;
        Ok(Reply::ok(&EndpointView { secret, ..view(&changed, &beside) }))
    })
    .await
}

/// Sends one marked sample event now and answers with the attempt. It is sent even when the endpoint is off.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/endpoints/{id}/test", tag = "endpoints",
    operation_id = "test_endpoint", params(RecordPath), request_body = EmptyInput,
    responses((status = 200, body = AttemptView)))]
pub async fn test(context: Context, body: Body) -> Result<Reply> {
    let merchant = context.merchant(Need::Write).await?;
    context.no_params()?;
    let id = context.id("endpoint")?;
    body.members()?.finish()?;
    let inner = context.clone();
    once(&context, &body, async move {
        let attempt = inner.manage().test_endpoint(&inner.caller.actor, &merchant, id).await?;
        Ok(Reply::ok(&AttemptView::from(attempt)))
    })
    .await
}
