//! `/merchants/{m}/integrations/{id}/try`: what would become of a request.

use kassir_providers::digest::from_base64;
use kassir_providers::{Method, Request};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::auth::Need;
use super::context::{Body, Context};
use super::problem::{Problem, Result};
use super::reply::Reply;
use super::schema::{RecordPath, TryInput};
use super::state::TryResult;
use crate::domain::Notification;
use crate::domain::ids::{IntegrationId, MerchantId, NotificationId};
use crate::manage::{Members, pasted};

/// Why a request was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusalView {
    /// `malformed`, `missing_proof`, `wrong_proof`, `foreign_source`, `wrong_account`, `unsupported`.
    kind: String,
    /// For a person.
    reason: String,
    /// The usual mistake that fits.
    diagnosis: Option<String>,
}

/// What would be decided about one fact.
#[derive(Debug, Serialize, ToSchema)]
pub struct DecisionView {
    /// The outcome of the inbound log.
    outcome: &'static str,
    /// Why.
    reason: String,
}

/// What the provider would be answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct TryAnswerView {
    /// HTTP status.
    status: u16,
    /// Content type.
    content_type: &'static str,
    /// Body, exact to the byte.
    body: String,
}

/// What an endpoint would get.
#[derive(Debug, Serialize, ToSchema)]
pub struct TryEventView {
    /// The endpoint.
    endpoint_id: String,
    /// The event's body; a payment not seen before has the id 0 in it.
    #[schema(value_type = Object)]
    body: Box<RawValue>,
}

/// What would become of a request. Nothing was stored or sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct TryView {
    /// `signed`, `sourced` or `unproven`; null when it is refused.
    proof: Option<&'static str>,
    /// Why the provider's API would be asked before the request takes effect, if it would.
    asks_api: Option<String>,
    /// Why it is refused, with the diagnosis; null when it is not.
    refusal: Option<RefusalView>,
    /// What a person should know.
    warnings: Vec<String>,
    /// What it says.
    #[schema(value_type = Vec<Object>)]
    facts: Vec<Value>,
    /// What would be decided, fact by fact.
    decisions: Vec<DecisionView>,
    /// The event's `payload`.
    #[schema(value_type = Option<Object>)]
    payload: Option<Box<RawValue>>,
    /// What the provider would be answered.
    answer: TryAnswerView,
    /// What each endpoint would get.
    events: Vec<TryEventView>,
}

fn view(result: TryResult) -> TryView {
    let raw = |text: String| RawValue::from_string(text).ok();
    TryView {
        proof: result.proof,
        asks_api: result.asks_api,
        refusal: result.refusal.map(|refusal| RefusalView {
            kind: refusal.kind,
            reason: refusal.reason,
            diagnosis: refusal.diagnosis,
        }),
        warnings: result.warnings,
        facts: result.facts,
        decisions: result
            .decisions
            .into_iter()
            .map(|(outcome, reason)| DecisionView { outcome, reason })
            .collect(),
        payload: result.payload.and_then(raw),
        answer: TryAnswerView {
            status: result.answer.status,
            content_type: result.answer.content_type,
            body: result.answer.body,
        },
        events: result
            .events
            .into_iter()
            .filter_map(|(id, body)| Some(TryEventView { endpoint_id: id.to_string(), body: raw(body)? }))
            .collect(),
    }
}

/// Tries a provider's request out: proof, facts, answer, and the event that each endpoint would get.
///
/// # Errors
/// A problem.
#[utoipa::path(post, path = "/api/v1/merchants/{m}/integrations/{id}/try", tag = "integrations",
    operation_id = "try_request", params(RecordPath), request_body = TryInput,
    responses((status = 200, body = TryView)))]
pub async fn try_request(context: Context, body: Body) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?;
    context.no_params()?;
    let id: IntegrationId = context.id("integration")?;
    if merchant.config.integration(id).is_none() {
        return Err(Problem::not_found("integration", context.part("id")));
    }
    let mut members = body.members()?;
    let request = asked(&context, merchant.config.merchant.id, Some(id), &mut members).await?;
    members.finish()?;
    Ok(Reply::ok(&view(context.state.try_out.try_out(&merchant, id, &request).await?)))
}

/// The request that is asked about: one of the inbound log, or a pasted one. What is wrong with it is noted in the
/// members.
pub(super) async fn asked(
    context: &Context,
    merchant: MerchantId,
    integration: Option<IntegrationId>,
    members: &mut Members,
) -> Result<Request> {
    let Some(id) = members.parsed::<NotificationId>("notification_id") else {
        return Ok(pasted::request(members, context.manage().clock.now()));
    };
    let found = context.store().notification(merchant, id).await?;
    let found = found.filter(|found| integration.is_none_or(|integration| found.integration == integration));
    let pointer = members.pointer("notification_id");
    found.map(logged).ok_or_else(|| {
        let whose = if integration.is_some() { "this integration" } else { "this merchant" };
        Problem::invalid_at(&pointer, format!("there is no notification {id} of {whose}"))
    })
}

/// A request as the inbound log kept it. What carried credentials was not kept.
fn logged(notification: Notification) -> Request {
    let body = if notification.body_is_base64 {
        from_base64(&notification.body).unwrap_or_default()
    } else {
        notification.body.into_bytes()
    };
    Request {
        method: if notification.method == "GET" { Method::Get } else { Method::Post },
        kind: notification.kind,
        query: notification.query,
        headers: notification.headers,
        body,
        peer: notification.peer.and_then(|peer| peer.parse().ok()),
        received_at: notification.received_at,
    }
}
