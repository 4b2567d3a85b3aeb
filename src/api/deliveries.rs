//! `/merchants/{m}/deliveries`.

use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Need;
use super::context::{Body, Context};
use super::idempotency::once;
use super::problem::{Problem, Result};
use super::reply::{List, Reply};
use super::schema::{DeliveryQuery, MerchantPath, PageQuery, ReasonInput, RecordPath, TimeQuery};
use crate::domain::ids::DeliveryId;
use crate::domain::{Attempt, Delivery};
use crate::manage::{replays, time};
use crate::store::DeliveryFilter;

/// One HTTP request to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptView {
    /// 1, 2, …
    number: u32,
    /// RFC 3339: when it began.
    at: String,
    /// How long it took.
    duration_ms: u32,
    /// The answer's status, if there was one.
    status: Option<u16>,
    /// What went wrong.
    error: Option<String>,
    /// The beginning of the answer's body.
    response_excerpt: Option<String>,
    /// The address that was connected to.
    remote_ip: Option<String>,
    /// Whether a person asked for it.
    replay: bool,
    /// It failed, but not by the endpoint's fault (the forward proxy's, for example): it does not count against the
    /// endpoint, nor in the growing intervals.
    excused: bool,
    /// The kept-alive connection died before a byte of the answer came, and it was sent again on a fresh one.
    sent_again: bool,
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> AttemptView {
        AttemptView {
            number: attempt.number,
            at: time::show(attempt.at),
            duration_ms: attempt.duration_ms,
            status: attempt.status,
            error: attempt.error,
            response_excerpt: attempt.response_excerpt,
            remote_ip: attempt.remote_ip,
            replay: attempt.replay,
            excused: attempt.excused,
            sent_again: attempt.sent_again,
        }
    }
}

/// One event on its way to one endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryView {
    /// `dlv_…`: the header `kassir-delivery`.
    id: String,
    /// `pending`, `delivered`, `failed`, `held`, `canceled`.
    status: &'static str,
    /// The event.
    event_id: String,
    /// The event's state.
    state: &'static str,
    /// The payment's number.
    payment_id: u32,
    /// The provider's slug.
    provider: String,
    /// The integration.
    integration_id: String,
    /// Where to.
    endpoint_id: String,
    /// Attempts made so far.
    attempt_count: u32,
    /// RFC 3339: when the next attempt is due.
    next_attempt_at: Option<String>,
    /// Whether the next attempt is a replay.
    replay_waits: bool,
    /// Status of the last attempt's answer.
    last_status: Option<u16>,
    /// Error of the last attempt.
    last_error: Option<String>,
    /// RFC 3339: when the event happened.
    created_at: String,
    /// RFC 3339.
    updated_at: String,
    /// The attempts, oldest first, when one delivery is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<AttemptView>>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> DeliveryView {
        DeliveryView {
            id: delivery.id.to_string(),
            status: delivery.status.word(),
            event_id: delivery.event.to_string(),
            state: delivery.state.word(),
            payment_id: delivery.payment,
            provider: delivery.provider,
            integration_id: delivery.integration.to_string(),
            endpoint_id: delivery.endpoint.to_string(),
            attempt_count: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at.map(time::show),
            replay_waits: delivery.replay.is_some(),
            last_status: delivery.last_status,
            last_error: delivery.last_error,
            created_at: time::show(delivery.created_at),
            updated_at: time::show(delivery.updated_at),
            attempts: None,
        }
    }
}

/// Lists deliveries.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/deliveries", tag = "deliveries", operation_id = "list_deliveries",
    params(MerchantPath, PageQuery, DeliveryQuery, TimeQuery),
    responses((status = 200, body = List<DeliveryView>)))]
pub async fn list(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?.config.merchant.id;
    let mut params = context.params()?;
    let page = params.page::<DeliveryId>();
    let filter = DeliveryFilter {
        status: params.word("status", &replays::statuses()),
        endpoint: params.parsed("endpoint_id"),
        states: params.word("state", &replays::states()).into_iter().collect(),
        providers: params.text("provider").into_iter().collect(),
        integrations: params.parsed("integration_id").into_iter().collect(),
        payments: Vec::new(),
        never_attempted: params.word("never_attempted", &[("true", true), ("false", false)]).unwrap_or(false),
        payment: params.number("payment_id"),
        event: params.parsed("event_id"),
        from: params.time("from"),
        to: params.time("to"),
        q: params.search(),
    };
    params.finish()?;
    Ok(Reply::list(context.store().deliveries(merchant, &filter, &page).await?, DeliveryView::from))
}

/// Shows a delivery with its attempts.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/deliveries/{id}", tag = "deliveries",
    operation_id = "show_delivery", params(RecordPath), responses((status = 200, body = DeliveryView)))]
pub async fn show(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?.config.merchant.id;
    context.no_params()?;
    let id = context.id("delivery")?;
    let delivery = context.store().delivery(merchant, id).await?;
    let delivery = delivery.ok_or_else(|| Problem::not_found("delivery", context.part("id")))?;
    let attempts = context.store().attempts(merchant, id).await?;
    let attempts = Some(attempts.into_iter().map(AttemptView::from).collect());
    Ok(Reply::ok(&DeliveryView { attempts, ..DeliveryView::from(delivery) }))
}

/// Sends a delivery again, at once. One that still waits keeps its schedule beside it.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/deliveries/{id}/replay", tag = "deliveries",
    operation_id = "replay_delivery", params(RecordPath), request_body = ReasonInput,
    responses((status = 202, body = DeliveryView)))]
pub async fn replay(context: Context, body: Body) -> Result<Reply> {
    let merchant = context.merchant(Need::Replay).await?;
    context.no_params()?;
    let id = context.id("delivery")?;
    let members = body.members()?;
    let inner = context.clone();
    once(&context, &body, async move {
        let again = inner.manage().replay_delivery(&inner.caller.actor, &merchant, id, members).await?;
        Ok(Reply::json(202, &DeliveryView::from(again)))
    })
    .await
}
