//! `/merchants/{m}/replays`: many deliveries sent again.

use std::collections::BTreeMap;

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
    /// Of these integrations; empty means all.
    integration_ids: Vec<String>,
    /// Of these payments; empty means all.
    payment_ids: Vec<u32>,
    /// Only those without any attempt so far.
    never_attempted: bool,
    /// Events that the endpoint wants and of which it has no delivery.
    missing: bool,
    /// Text: the payment's number, an id, or part of the last error.
    q: Option<String>,
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
    /// Whether `matched` is exact. Counting stops at about 50 000: then there are at least so many.
    matched_is_exact: bool,
    /// Of those that match, how many have each status; `missing` for events without a delivery.
    by_status: BTreeMap<String, u64>,
    /// Deliveries sent for again so far.
    sent: u64,
    /// Deliveries that could not be sent for.
    failed: u64,
    /// Deliveries that matched when they were counted, and for which nothing was to be done when their turn came. In the
    /// end `sent`, `failed` and `skipped` add up to `matched`.
    skipped: u64,
    /// Those of `failed` and `skipped` by the reason: `endpoint_off`, `endpoint_deleted`, `gone` (removed by the
    /// retention), `too_busy`, `changed_meanwhile`, `sent_once` (the other endpoint gets the event with
    /// another delivery of this replay).
    not_sent: BTreeMap<&'static str, u64>,
    /// Most deliveries sent for per second.
    per_s: u32,
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
        let (failed, skipped) = (replay.failed(), replay.skipped());
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
            failed,
            skipped,
            not_sent: replay.not_sent.iter().map(|(why, count)| (why.word(), *count)).collect(),
            by_status: replay.by_status,
            per_s: replay.per_s,
            filter: ReplayFilterView {
                status: filter.status.map(|status| status.word()),
                endpoint_id: filter.endpoint.map(|id| id.to_string()),
                states: filter.states.iter().map(|state| state.word()).collect(),
                providers: filter.providers,
                integration_ids: filter.integrations.iter().map(ToString::to_string).collect(),
                payment_ids: filter.payments,
                never_attempted: filter.never_attempted,
                missing: filter.missing,
                q: filter.q,
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

/// Begins a bulk replay, or only counts with `dry_run`. It goes oldest first, at `per_s` at the most, and makes way for
/// new events. The same replay while the first is under way, or within a minute of it, is refused with 409 unless it
/// has `confirm`.
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
