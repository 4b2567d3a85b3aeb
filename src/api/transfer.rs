//! Configuration as a document: `/merchants/{m}/export` and `/import`, for `kassir export` and `kassir import`.

use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Need;
use super::context::{Body, Context};
use super::idempotency::once;
use super::problem::Result;
use super::reply::Reply;
use super::schema::{ExportQuery, ImportInput, ImportQuery, MerchantPath};
use crate::manage::transfer::{Change, export};

const SWITCH: [(&str, bool); 2] = [("true", true), ("false", false)];

/// What an import did, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportView {
    /// Each record of the document.
    changes: Vec<Change>,
}

/// All that is set up for a merchant, as one document that can be imported. Secrets are left out and marked. With
/// `sealed=true` (administrators only) they are there, sealed under the router's master key: nobody can use them
/// without that key.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/export", tag = "merchants", operation_id = "export_merchant",
    params(MerchantPath, ExportQuery), responses((status = 200, body = ImportInput)))]
pub async fn export_merchant(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?;
    let mut params = context.params()?;
    let sealed = params.word("sealed", &SWITCH).unwrap_or(false);
    params.finish()?;
    let manage = context.manage();
    if sealed {
        context.caller.admin()?;
        let id = merchant.config.merchant.id;
        manage.note(&context.caller.actor, Some(id), "merchant.export", id, "with sealed secrets").await?;
    }
    Ok(Reply::ok(&export(&merchant, sealed, manage.clock.now())))
}

/// Writes a merchant with its integrations and endpoints as an export has them: records keep their ids, those that
/// are there are changed to what the document says, those that it does not name stay. A secret is a text, or
/// `{"left_out": true}`: then the one that is there stays. Nothing is written unless all of it is right.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/import", tag = "merchants", operation_id = "import_merchant",
    params(ImportQuery), request_body = ImportInput, responses((status = 200, body = ImportView)))]
pub async fn import_merchant(context: Context, body: Body) -> Result<Reply> {
    context.caller.admin()?;
    let mut params = context.params()?;
    let dry_run = params.word("dry_run", &SWITCH).unwrap_or(false);
    params.finish()?;
    let members = body.members()?;
    let inner = context.clone();
    once(&context, &body, async move {
        let changes = inner.manage().import(&inner.caller.actor, members, dry_run).await?;
        Ok(Reply::ok(&ImportView { changes }))
    })
    .await
}
