//! `/merchants`.

use kassir_providers::Secret;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Need;
use super::context::{Body, Context};
use super::idempotency::{once, to_the_end};
use super::problem::Result;
use super::reply::{List, Reply};
use super::schema::{MerchantInput, MerchantPath, PageQuery};
use crate::domain::Merchant;
use crate::domain::ids::MerchantId;
use crate::manage::time;
use crate::store::Listed;

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct MerchantView {
    /// `mer_…`
    id: String,
    /// For people.
    name: String,
    /// Number of its first payment.
    first_payment: u32,
    /// Where it is told of endpoints that fail or were turned off.
    alert_url: Option<String>,
    /// RFC 3339.
    created_at: String,
    /// Signs those notices (Standard Webhooks), `whsec_…`: only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    alert_secret: Option<String>,
}

fn view(merchant: &Merchant) -> MerchantView {
    MerchantView {
        id: merchant.id.to_string(),
        name: merchant.name.clone(),
        first_payment: merchant.first_payment,
        alert_url: merchant.alert.as_ref().map(|alert| alert.url.clone()),
        created_at: time::show(merchant.created_at),
        alert_secret: None,
    }
}

fn with_secret((merchant, secret): (Merchant, Option<Secret>)) -> MerchantView {
    MerchantView { alert_secret: secret.map(|secret| secret.expose().to_owned()), ..view(&merchant) }
}

/// Creates a merchant (admin).
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants", tag = "merchants", operation_id = "create_merchant",
    request_body = MerchantInput, responses((status = 201, body = MerchantView)))]
pub async fn create(context: Context, body: Body) -> Result<Reply> {
    context.caller.admin()?;
    context.no_params()?;
    let members = body.members()?;
    let inner = context.clone();
    once(&context, &body, async move {
        let made = inner.manage().create_merchant(&inner.caller.actor, members).await?;
        Ok(Reply::json(201, &with_secret(made)))
    })
    .await
}

/// Lists the merchants that the token may see.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants", tag = "merchants", operation_id = "list_merchants",
    params(PageQuery), responses((status = 200, body = List<MerchantView>)))]
pub async fn list(context: Context) -> Result<Reply> {
    let mut params = context.params()?;
    let page = params.page::<MerchantId>();
    params.finish()?;
    let listed = match context.caller.merchant {
        None if context.caller.sees_all() => context.store().merchants(&page).await?,
        None => Listed { rows: Vec::new(), next: None },
        Some(own) => {
            let merchant = context.manage().merchant(own).await?.config.merchant.clone();
            let before = page.before.is_none_or(|before| own.to_string() < before);
            Listed { rows: before.then_some(merchant).into_iter().collect(), next: None }
        }
    };
    Ok(Reply::list(listed, |merchant| view(&merchant)))
}

/// Shows a merchant.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}", tag = "merchants", operation_id = "show_merchant",
    params(MerchantPath), responses((status = 200, body = MerchantView)))]
pub async fn show(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?;
    context.no_params()?;
    Ok(Reply::ok(&view(&merchant.config.merchant)))
}

/// Changes a merchant.
///
/// # Errors
/// A problem.
#[utoipa::path(patch, path = "/api/v1/merchants/{m}", tag = "merchants", operation_id = "update_merchant",
    params(MerchantPath), request_body = MerchantInput, responses((status = 200, body = MerchantView)))]
pub async fn update(context: Context, body: Body) -> Result<Reply> {
    to_the_end(async move {
        let merchant = context.merchant(Need::Write).await?;
        context.no_params()?;
        let id = merchant.config.merchant.id;
        let changed = context.manage().update_merchant(&context.caller.actor, id, body.members()?).await?;
        Ok(Reply::ok(&with_secret(changed)))
    })
    .await
}

/// Deletes a merchant and everything of it (admin).
///
/// # Errors
/// A problem.
#[utoipa::path(delete, path = "/api/v1/merchants/{m}", tag = "merchants", operation_id = "delete_merchant",
    params(MerchantPath), responses((status = 204)))]
pub async fn delete(context: Context) -> Result<Reply> {
    to_the_end(async move {
        let merchant = context.merchant(Need::Write).await?;
        context.caller.admin()?;
        context.no_params()?;
        context.manage().delete_merchant(&context.caller.actor, merchant.config.merchant.id).await?;
        Ok(Reply::nothing())
    })
    .await
}
