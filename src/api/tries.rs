//! `/merchants/{m}/integrations/{id}/try`: what would become of a request.

use std::net::IpAddr;

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
use crate::domain::ids::{IntegrationId, NotificationId};
use crate::limits;
use crate::manage::{Members, kind};

const METHODS: [(&str, Method); 2] = [("GET", Method::Get), ("POST", Method::Post)];
/// Longest kind, characters.
const KIND_MAX: usize = 64;
/// Longest query string, characters.
const QUERY_MAX: usize = 16 * 1024;

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
    let request = match members.parsed::<NotificationId>("notification_id") {
        Some(notification) => {
            members.finish()?;
            let found = context.store().notification(merchant.config.merchant.id, notification).await?;
            let found = found.filter(|found| found.integration == id);
            let found = found.ok_or_else(|| {
                let detail = format!("there is no notification {notification} of this integration");
                Problem::invalid_at("/notification_id", detail)
            })?;
            logged(found)
        }
        None => {
            let request = pasted(&mut members, context.manage().clock.now());
            members.finish()?;
            request
        }
    };
    Ok(Reply::ok(&view(context.state.try_out.try_out(&merchant, id, &request).await?)))
}

fn pasted(members: &mut Members, now: i64) -> Request {
    let method = members.word("method", &METHODS).unwrap_or(Method::Post);
    let kind_of = members.text("kind", KIND_MAX);
    let query = members.text("query", QUERY_MAX).unwrap_or_default();
    let headers = headers(members);
    let text = match members.value("body") {
        Some(Value::String(text)) => text,
        Some(other) => {
            members.wrong("body", format!("must be the body's exact text, not {}", kind(&other)));
            String::new()
        }
        None => String::new(),
    };
    let body = if members.switch("body_is_base64") == Some(true) {
        let decoded = from_base64(&text);
        if decoded.is_none() {
            members.wrong("body", "is not base64");
        }
        decoded.unwrap_or_default()
    } else {
        text.into_bytes()
    };
    if body.len() > limits::INBOUND_BODY_MAX {
        members.wrong("body", format!("is longer than {} bytes", limits::INBOUND_BODY_MAX));
    }
    let peer = members.parsed::<IpAddr>("peer");
    Request {
        method,
        kind: kind_of,
        query: query.trim_start_matches('?').to_owned(),
        headers,
        body,
        peer,
        received_at: now,
    }
}

fn headers(members: &mut Members) -> Vec<(String, String)> {
    let given = members.map("headers").unwrap_or_default();
    let mut headers = Vec::with_capacity(given.len());
    for (name, value) in given {
        match value {
            Value::String(value) => headers.push((name.to_ascii_lowercase(), value)),
            other => members.wrong("headers", format!("{name:?} must be a text, not {}", kind(&other))),
        }
    }
    headers
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
