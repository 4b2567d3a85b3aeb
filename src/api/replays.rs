//! `/merchants/{m}/replays`: many deliveries sent again.

use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Need;
use super::context::{Body, Context};
use super::idempotency::once;
use super::problem::Result;
use super::reply::{List, Reply};
use super::schema::{EmptyInput, MerchantPath, PageQuery, RecordPath, ReplayInput};
use crate::domain::ids::ReplayId;
use crate::domain::people::{Replay, ReplayStatus};
use crate::manage::time;

/// Which deliveries a bulk replay takes.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayFilterView {
    /// With this status.
    status: Option<&'static str>,
    /// To this endpoint.
    endpoint_id: Option<String>,
    /// Of events in these states; empty means all.
    states: Vec<&'static str>,
    /// Of these providers; empty means all.
    providers: Vec<String>,
    /// RFC 3339.
    from: Option<String>,
    /// RFC 3339.
    to: Option<String>,
}

/// A bulk replay.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayView {
    /// `rpl_…`
    id: String,
    /// `preview` (only counted), `running`, `done`, `canceled`.
    status: &'static str,
    /// Deliveries that match.
    matched: u64,
    /// Whether `matched` is exact. Counting stops at about 10 000: then there are at least so many.
    matched_is_exact: bool,
    /// Deliveries sent for again so far.
    sent: u64,
    /// Deliveries that could not be sent for: their endpoint is off or was deleted.
    failed: u64,
    /// Which deliveries.
    filter: ReplayFilterView,
    /// To another endpoint than the original one.
    to_endpoint_id: Option<String>,
    /// Who asked.
    actor: String,
    /// Why.
    reason: Option<String>,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
}

impl From<Replay> for ReplayView {
    fn from(replay: Replay) -> ReplayView {
        let filter = replay.filter;
        ReplayView {
            id: replay.id.to_string(),
            status: match replay.status {
                ReplayStatus::Preview => "preview",
                ReplayStatus::Running => "running",
                ReplayStatus::Done => "done",
                ReplayStatus::Canceled => "canceled",
            },
            matched: replay.matched,
            matched_is_exact: replay.counted_all || replay.status == ReplayStatus::Done,
            sent: replay.sent,
            failed: replay.failed,
            filter: ReplayFilterView {
                status: filter.status.map(|status| status.word()),
                endpoint_id: filter.endpoint.map(|id| id.to_string()),
                states: filter.states.iter().map(|state| state.word()).collect(),
                providers: filter.providers,
                from: filter.from.map(time::show),
                to: filter.to.map(time::show),
            },
            to_endpoint_id: replay.to_endpoint.map(|id| id.to_string()),
            actor: replay.actor,
            reason: replay.reason,
            created_at: time::show(replay.created_at),
            updated_at: time::show(replay.updated_at),
        }
    }
}

/// Begins a bulk replay, or only counts with `dry_run`.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/replays", tag = "replays", operation_id = "create_replay",
    params(MerchantPath), request_body = ReplayInput, responses((status = 202, body = ReplayView)))]
pub async fn create(context: Context, body: Body) -> Result<Reply> {
    let merchant = context.merchant(Need::Replay).await?;
    context.no_params()?;
    let members = body.members()?;
    let inner = context.clone();
    once(&context, &body, async move {
        let replay = inner.manage().create_replay(&inner.caller.actor, &merchant, members).await?;
        Ok(Reply::json(202, &ReplayView::from(replay)))
    })
    .await
}

/// Lists bulk replays.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/replays", tag = "replays", operation_id = "list_replays",
    params(MerchantPath, PageQuery), responses((status = 200, body = List<ReplayView>)))]
pub async fn list(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?.config.merchant.id;
    let mut params = context.params()?;
    let page = params.page::<ReplayId>();
    params.finish()?;
    Ok(Reply::list(context.store().replays(merchant, &page).await?, ReplayView::from))
}

/// Shows how far a bulk replay came.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/replays/{id}", tag = "replays", operation_id = "show_replay",
    params(RecordPath), responses((status = 200, body = ReplayView)))]
pub async fn show(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?.config.merchant.id;
    context.no_params()?;
    let replay = context.manage().replay(merchant, context.id("replay")?).await?;
    Ok(Reply::ok(&ReplayView::from(replay)))
}

/// Stops a bulk replay: what was sent for stays sent for.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/replays/{id}/cancel", tag = "replays",
    operation_id = "cancel_replay", params(RecordPath), request_body = EmptyInput,
    responses((status = 200, body = ReplayView)))]
pub async fn cancel(context: Context, body: Body) -> Result<Reply> {
    let merchant = context.merchant(Need::Replay).await?.config.merchant.id;
    context.no_params()?;
    let id = context.id("replay")?;
    body.members()?.finish()?;
    let inner = context.clone();
    once(&context, &body, async move {
        let replay = inner.manage().cancel_replay(&inner.caller.actor, merchant, id).await?;
        Ok(Reply::ok(&ReplayView::from(replay)))
    })
    .await
}
