//! `/providers`: every adapter's declaration.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::context::Context;
use super::problem::Result;
use super::reply::Reply;

/// Every provider. They are few: there is one page.
#[derive(Debug, Serialize, ToSchema)]
pub struct Providers {
    /// Declarations: slug, title, credential fields, settings, capabilities, setup steps with the dashboard's own
    /// labels.
    data: Vec<Value>,
    /// Always null.
    next_cursor: Option<String>,
}

/// Lists the providers with their credential fields, settings, capabilities and setup steps.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/providers", tag = "providers", operation_id = "list_providers",
    responses((status = 200, body = Providers)))]
pub async fn list(context: Context) -> Result<Reply> {
    context.no_params()?;
    let declarations = kassir_providers::ALL.iter().map(|provider| serde_json::to_value(provider.about()));
    Ok(Reply::ok(&Providers {
        data: declarations.filter_map(std::result::Result::ok).collect(),
        next_cursor: None,
    }))
}
