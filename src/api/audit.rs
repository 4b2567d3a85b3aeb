//! `/audit`: who did what.

use serde::Serialize;
use utoipa::ToSchema;

use super::context::Context;
use super::problem::{Problem, Result};
use super::reply::{List, Reply};
use super::schema::{AuditQuery, PageQuery};
use crate::domain::ids::{AuditId, MerchantId};
use crate::domain::people::AuditEntry;
use crate::manage::time;

/// Who did what.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditView {
    /// `aud_…`
    id: String,
    /// Who: a token's id and name, `admin`, `kassir`.
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
    let caller = &context.caller;
    if let Some(id) = asked.filter(|id| !caller.sees(*id)) {
        return Err(Problem::not_found("merchant", &id.to_string()));
    }
    let whose = asked.or(caller.merchant);
    if whose.is_none() {
        caller.admin()?;
    }
    Ok(Reply::list(context.store().audit(whose, &page).await?, view))
}
