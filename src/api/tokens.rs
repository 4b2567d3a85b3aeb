//! `/tokens`: API tokens, for administrators.

use serde::Serialize;
use utoipa::ToSchema;

use super::context::{Body, Context};
use super::idempotency::{once, to_the_end};
use super::problem::Result;
use super::reply::{List, Reply};
use super::schema::{IdPath, PageQuery, TokenInput};
use crate::domain::ids::TokenId;
use crate::domain::people::ApiToken;
use crate::manage::time;
use crate::manage::tokens::role_word;

/// An API token.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenView {
    /// `tok_…`
    id: String,
    /// For people.
    name: String,
    /// `admin`, `merchant` or `support`.
    role: &'static str,
    /// Whose; null for all merchants.
    merchant_id: Option<String>,
    /// Its first characters, to recognise it.
    prefix: String,
    /// RFC 3339.
    created_at: String,
    /// The token itself: only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

fn view(token: ApiToken) -> TokenView {
    TokenView {
        id: token.id.to_string(),
        name: token.name,
        role: role_word(token.role),
        merchant_id: token.merchant.map(|id| id.to_string()),
        prefix: token.prefix,
        created_at: time::show(token.created_at),
        token: None,
    }
}

/// Makes a token, shown in this answer only.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", operation_id = "create_token",
    request_body = TokenInput, responses((status = 201, body = TokenView)))]
pub async fn create(context: Context, body: Body) -> Result<Reply> {
    context.caller.admin()?;
    context.no_params()?;
    let members = body.members()?;
    let inner = context.clone();
    once(&context, &body, async move {
        let (secret, record) = inner.manage().create_token(&inner.caller.actor, members).await?;
        inner.state.tokens.clear();
        Ok(Reply::json(201, &TokenView { token: Some(secret.expose().to_owned()), ..view(record) }))
    })
    .await
}

/// Lists tokens.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", operation_id = "list_tokens", params(PageQuery),
    responses((status = 200, body = List<TokenView>)))]
pub async fn list(context: Context) -> Result<Reply> {
    context.caller.admin()?;
    let mut params = context.params()?;
    let page = params.page::<TokenId>();
    params.finish()?;
    Ok(Reply::list(context.store().api_tokens(&page).await?, view))
}

/// Ends a token: here at once, at other routers within two seconds.
///
/// # Errors
/// A problem.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", operation_id = "delete_token",
    params(IdPath), responses((status = 204)))]
pub async fn delete(context: Context) -> Result<Reply> {
    to_the_end(async move {
        context.caller.admin()?;
        context.no_params()?;
        context.manage().delete_token(&context.caller.actor, context.id("token")?).await?;
        context.state.tokens.clear();
        Ok(Reply::nothing())
    })
    .await
}
