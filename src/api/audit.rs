//! `/audit`: who did what.

use actix_web::{HttpResponse, web};
use futures_util::stream;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::Context;
use super::problem::{Problem, Result};
use super::reply::{List, Reply};
use super::schema::{AuditQuery, PageQuery};
use crate::domain::ids::{AuditId, MerchantId};
use crate::domain::people::AuditEntry;
use crate::manage::time;
use crate::store::Page;
use crate::store::list::PAGE_MAX;

/// Who did what.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditView {
    /// `aud_…`
    id: String,
    /// Who: a token's id and name, `admin`, `kassir`, `cli`.
    actor: String,
    /// What: `integration.create`, `delivery.replay`, …
    action: String,
    /// On what.
    target: String,
    /// Whose, if it belongs to one merchant.
    merchant_id: Option<String>,
    /// Further words.
    detail: String,
    /// RFC 3339.
    at: String,
    /// SHA-256, hex, of the hash before it (of the same merchant) and this entry: a changed or missing one shows.
    hash: String,
}

fn view(entry: AuditEntry) -> AuditView {
    AuditView {
        id: entry.id.to_string(),
        actor: entry.actor,
        action: entry.action,
        target: entry.target,
        merchant_id: entry.merchant.map(|id| id.to_string()),
        detail: entry.detail,
        at: time::show(entry.at),
        hash: entry.hash,
    }
}

/// Lists the audit log: of everything for an administrator, else of the token's merchant.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", operation_id = "list_audit",
    params(PageQuery, AuditQuery), responses((status = 200, body = List<AuditView>)))]
pub async fn list(context: Context) -> Result<Reply> {
    let mut params = context.params()?;
    let page = params.page::<AuditId>();
    let asked: Option<MerchantId> = params.parsed("merchant_id");
    params.finish()?;
    let whose = whose(&context, asked)?;
    Ok(Reply::list(context.store().audit(whose, &page).await?, view))
}

/// Whose log the caller may see of what was asked for.
fn whose(context: &Context, asked: Option<MerchantId>) -> Result<Option<MerchantId>> {
    let caller = &context.caller;
    if let Some(id) = asked.filter(|id| !caller.sees(*id)) {
        return Err(Problem::not_found("merchant", &id.to_string()));
    }
    let whose = asked.or(caller.merchant);
    if whose.is_none() {
        caller.admin()?;
    }
    Ok(whose)
}

/// The whole audit log as one JSON object a line (NDJSON), newest first, each as in the list. The hash of an entry is
/// SHA-256, in hex, of the hash before it (nothing for the first) and the JSON
/// `{"id","actor","action","target","merchant","detail","at","hash"}` with `at` in Unix milliseconds and an empty `hash`;
/// `kassir audit verify` checks that.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/audit/export", tag = "audit", operation_id = "export_audit", params(AuditQuery),
    responses((status = 200, body = String, content_type = "application/x-ndjson")))]
pub async fn export(context: Context) -> Result<HttpResponse> {
    let mut params = context.params()?;
    let asked: Option<MerchantId> = params.parsed("merchant_id");
    params.finish()?;
    let whose = whose(&context, asked)?;
    let first = Some(Page { limit: PAGE_MAX, before: None });
    let pages = stream::unfold((context, first), move |(context, page)| async move {
        let page = page?;
        match context.store().audit(whose, &page).await {
            Ok(listed) => {
                let next = listed.next.map(|next| Page { limit: PAGE_MAX, before: Some(next) });
                Some((Ok(web::Bytes::from(lines(listed.rows))), (context, next)))
            }
            // The answer breaks off, so that nobody takes a part for the whole.
            Err(error) => Some((Err(std::io::Error::other(error.to_string())), (context, None))),
        }
    });
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(pages))
}

fn lines(entries: Vec<AuditEntry>) -> String {
    let line = |entry| format!("{}\n", serde_json::to_string(&view(entry)).unwrap_or_default());
    entries.into_iter().map(line).collect()
}
