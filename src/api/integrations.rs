//! `/merchants/{m}/integrations`.

use std::collections::BTreeMap;

use kassir_providers::about::Text;
use kassir_providers::by_slug;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::Need;
use super::context::{Body, Context};
use super::idempotency::{once, to_the_end};
use super::problem::{Problem, Result};
use super::reply::{List, Reply};
use super::schema::{IntegrationInput, IntegrationPatch, MerchantPath, PageQuery, RecordPath, RotationInput};
use crate::domain::Integration;
use crate::domain::config::StoredCredential;
use crate::domain::ids::IntegrationId;
use crate::manage::{Manager, time};
use crate::store::{Listed, Page};

/// A credential: never its value.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialView {
    /// Always true.
    set: bool,
    /// The last four characters of a secret that is longer than eight; the whole of a public value.
    hint: String,
}

impl CredentialView {
    pub(super) fn of(stored: &StoredCredential) -> CredentialView {
        CredentialView { set: true, hint: stored.hint.clone() }
    }
}

/// An old inbound URL that lives on.
#[derive(Debug, Serialize, ToSchema)]
pub struct OldUrlView {
    /// RFC 3339: when it ends.
    expires_at: String,
}

/// A step of the setup in the provider's dashboard, by language.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepView {
    /// English.
    en: String,
    /// Russian.
    ru: String,
    /// Ukrainian, where the provider's merchants read it.
    #[serde(skip_serializing_if = "String::is_empty")]
    uk: String,
}

/// One account of a merchant at a provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct IntegrationView {
    /// `int_…`
    id: String,
    /// The provider's slug.
    provider: String,
    /// Value of the event's `provider`.
    event_provider: String,
    /// For people.
    name: String,
    /// Where the provider sends its notifications.
    webhook_url: String,
    /// Credentials by key.
    credentials: BTreeMap<String, CredentialView>,
    /// Settings.
    #[schema(value_type = Object)]
    settings: Value,
    /// Old inbound URLs that live on after a rotation.
    old_urls: Vec<OldUrlView>,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
    /// What to do in the provider's dashboard, with its own labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    setup: Vec<StepView>,
}

fn view(manage: &Manager, integration: &Integration, with_setup: bool) -> Result<IntegrationView> {
    let webhook_url = manage.webhook_url(integration)?;
    let steps =
        by_slug(&integration.provider).filter(|_| with_setup).map_or(&[][..], |found| found.about().setup);
    let now = manage.clock.now();
    let old = integration.tokens.iter().filter_map(|token| token.expires_at).filter(|end| *end > now);
    let credentials =
        integration.credentials.iter().map(|(key, stored)| (key.clone(), CredentialView::of(stored)));
    Ok(IntegrationView {
        id: integration.id.to_string(),
        provider: integration.provider.clone(),
        event_provider: integration.event_provider.clone(),
        name: integration.name.clone(),
        credentials: credentials.collect(),
        settings: serde_json::to_value(&integration.settings).unwrap_or_default(),
        old_urls: old.map(|end| OldUrlView { expires_at: time::show(end) }).collect(),
        created_at: time::show(integration.created_at),
        updated_at: time::show(integration.updated_at),
        setup: steps.iter().map(|step| filled(step, &webhook_url)).collect(),
        webhook_url,
    })
}

fn filled(step: &Text, url: &str) -> StepView {
    let fill = |text: &str| text.replace("{webhook_url}", url);
    StepView { en: fill(step.en), ru: fill(step.ru), uk: fill(step.uk) }
}

/// One page of what is held in memory, newest first.
pub(super) fn page_of<T: Clone>(all: &[T], page: &Page, id: impl Fn(&T) -> String) -> Listed<T> {
    let mut rows: Vec<(String, &T)> = all.iter().map(|row| (id(row), row)).collect();
    rows.retain(|(id, _)| page.before.as_ref().is_none_or(|before| id < before));
    rows.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(id, _)| id.clone());
    Listed { rows: rows.into_iter().map(|(_, row)| row.clone()).collect(), next }
}

/// Connects a shop: its credentials are checked as far as that is possible without the provider, and sealed.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/integrations", tag = "integrations",
    operation_id = "create_integration", params(MerchantPath), request_body = IntegrationInput,
    responses((status = 201, body = IntegrationView)))]
pub async fn create(context: Context, body: Body) -> Result<Reply> {
    let merchant = context.merchant(Need::Write).await?;
    context.no_params()?;
    let members = body.members()?;
    let inner = context.clone();
    once(&context, &body, async move {
        let manage = inner.manage();
        let made = manage.create_integration(&inner.caller.actor, &merchant, members).await?;
        Ok(Reply::json(201, &view(manage, &made, true)?))
    })
    .await
}

/// Lists integrations.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/integrations", tag = "integrations",
    operation_id = "list_integrations", params(MerchantPath, PageQuery),
    responses((status = 200, body = List<IntegrationView>)))]
pub async fn list(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?;
    let mut params = context.params()?;
    let page = params.page::<IntegrationId>();
    params.finish()?;
    let listed = page_of(&merchant.config.integrations, &page, |row| row.id.to_string());
    let next = listed.next;
    let rows: Result<Vec<_>> = listed.rows.iter().map(|row| view(context.manage(), row, false)).collect();
    Ok(Reply::list(Listed { rows: rows?, next }, |row| row))
}

/// Shows an integration, with what to do in the provider's dashboard.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/integrations/{id}", tag = "integrations",
    operation_id = "show_integration", params(RecordPath), responses((status = 200, body = IntegrationView)))]
pub async fn show(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?;
    context.no_params()?;
    let found = merchant.config.integration(context.id("integration")?);
    let found = found.ok_or_else(|| Problem::not_found("integration", context.part("id")))?;
    Ok(Reply::ok(&view(context.manage(), found, true)?))
}

/// Changes an integration. Where `api_base`, `domain` or `hosts` sends requests to another host than before, other than
/// the provider's own, every secret credential that is set must be given anew in the same request, or taken away.
///
/// # Errors
/// A problem.
#[utoipa::path(patch, path = "/api/v1/merchants/{m}/integrations/{id}", tag = "integrations",
    operation_id = "update_integration", params(RecordPath), request_body = IntegrationPatch,
    responses((status = 200, body = IntegrationView)))]
pub async fn update(context: Context, body: Body) -> Result<Reply> {
    to_the_end(async move {
        let merchant = context.merchant(Need::Write).await?.config.merchant.id;
        context.no_params()?;
        let id = context.id("integration")?;
        let manage = context.manage();
        let changed = manage.update_integration(&context.caller.actor, merchant, id, body.members()?).await?;
        Ok(Reply::ok(&view(manage, &changed, true)?))
    })
    .await
}

/// Deletes an integration; its payments and its inbound log stay.
///
/// # Errors
/// A problem.
#[utoipa::path(delete, path = "/api/v1/merchants/{m}/integrations/{id}", tag = "integrations",
    operation_id = "delete_integration", params(RecordPath), responses((status = 204)))]
pub async fn delete(context: Context) -> Result<Reply> {
    to_the_end(async move {
        let merchant = context.merchant(Need::Write).await?.config.merchant.id;
        context.no_params()?;
        let id = context.id("integration")?;
        context.manage().delete_integration(&context.caller.actor, merchant, id).await?;
        Ok(Reply::nothing())
    })
    .await
}

/// Gives an integration a new inbound URL; the old one lives on for a while.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/integrations/{id}/rotate-token", tag = "integrations",
    operation_id = "rotate_token", params(RecordPath), request_body = RotationInput,
    responses((status = 200, body = IntegrationView)))]
pub async fn rotate_token(context: Context, body: Body) -> Result<Reply> {
    let merchant = context.merchant(Need::Write).await?.config.merchant.id;
    context.no_params()?;
    let id = context.id("integration")?;
    let members = body.members()?;
    let inner = context.clone();
    once(&context, &body, async move {
        let manage = inner.manage();
        let changed = manage.rotate_token(&inner.caller.actor, merchant, id, members).await?;
        Ok(Reply::ok(&view(manage, &changed, true)?))
    })
    .await
}
