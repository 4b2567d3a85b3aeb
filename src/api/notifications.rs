//! `/merchants/{m}/notifications`: the inbound log.

use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Need;
use super::context::Context;
use super::problem::{Problem, Result};
use super::reply::{List, Reply};
use super::schema::{MerchantPath, NotificationQuery, PageQuery, RecordPath, TimeQuery};
use crate::domain::ids::NotificationId;
use crate::domain::{Notification, NotificationOutcome};
use crate::manage::time;
use crate::store::NotificationFilter;

/// A header of the request.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeaderView {
    /// Lower case.
    name: String,
    /// As it came.
    value: String,
}

/// What a request held, when one notification is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct RequestView {
    /// `GET` or `POST`.
    method: String,
    /// Query string, undecoded.
    query: String,
    /// Headers, without those that carry credentials.
    headers: Vec<HeaderView>,
    /// The body; base64 when `body_is_base64`.
    body: String,
    /// Whether the body was not UTF-8.
    body_is_base64: bool,
}

/// What the provider was answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct GivenAnswerView {
    /// HTTP status.
    status: u16,
    /// Body.
    body: String,
}

/// One inbound request of a provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationView {
    /// `ntf_…`
    id: String,
    /// The integration.
    integration_id: String,
    /// The provider's slug.
    provider: String,
    /// Last segment of the URL, if any.
    kind: Option<String>,
    /// `accepted`, `duplicate`, `ignored`, `unproven`, `mismatch`, `rejected`.
    outcome: &'static str,
    /// Why.
    reason: String,
    /// For a refused signature: the usual mistake that fits.
    diagnosis: Option<String>,
    /// What a person should know besides.
    warnings: Vec<String>,
    /// `signed`, `sourced`, `confirmed` or `unproven`; null when it was refused.
    proof: Option<String>,
    /// The payment's number, when there is one.
    payment_id: Option<u32>,
    /// The event that came of it, if any.
    event_id: Option<String>,
    /// The sender's address.
    peer: Option<String>,
    /// RFC 3339.
    received_at: String,
    /// What the provider was answered.
    answer: GivenAnswerView,
    /// The request itself, when one notification is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<RequestView>,
}

impl NotificationView {
    /// Without the request.
    #[must_use]
    pub fn short(notification: Notification) -> NotificationView {
        NotificationView { request: None, ..NotificationView::whole(notification) }
    }

    fn whole(notification: Notification) -> NotificationView {
        let headers = notification.headers.into_iter().map(|(name, value)| HeaderView { name, value });
        NotificationView {
            id: notification.id.to_string(),
            integration_id: notification.integration.to_string(),
            provider: notification.provider,
            kind: notification.kind,
            outcome: notification.outcome.word(),
            reason: notification.reason,
            diagnosis: notification.diagnosis,
            warnings: notification.warnings,
            proof: notification.proof,
            payment_id: notification.payment,
            event_id: notification.event.map(|id| id.to_string()),
            peer: notification.peer,
            received_at: time::show(notification.received_at),
            answer: GivenAnswerView { status: notification.answer.status, body: notification.answer.body },
            request: Some(RequestView {
                method: notification.method,
                query: notification.query,
                headers: headers.collect(),
                body: notification.body,
                body_is_base64: notification.body_is_base64,
            }),
        }
    }
}

/// Lists the inbound log.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/notifications", tag = "notifications",
    operation_id = "list_notifications", params(MerchantPath, PageQuery, NotificationQuery, TimeQuery),
    responses((status = 200, body = List<NotificationView>)))]
pub async fn list(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?.config.merchant.id;
    let mut params = context.params()?;
    let page = params.page::<NotificationId>();
    let outcomes = NotificationOutcome::ALL.map(|outcome| (outcome.word(), outcome));
    let filter = NotificationFilter {
        outcome: params.word("outcome", &outcomes),
        provider: params.text("provider"),
        integration: params.parsed("integration_id"),
        payment: params.number("payment_id"),
        from: params.time("from"),
        to: params.time("to"),
        q: params.search(),
    };
    params.finish()?;
    Ok(Reply::list(context.store().notifications(merchant, &filter, &page).await?, NotificationView::short))
}

/// Shows a notification with the request as it came.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/notifications/{id}", tag = "notifications",
    operation_id = "show_notification", params(RecordPath), responses((status = 200, body = NotificationView)))]
pub async fn show(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?.config.merchant.id;
    context.no_params()?;
    let found = context.store().notification(merchant, context.id("notification")?).await?;
    let found = found.ok_or_else(|| Problem::not_found("notification", context.part("id")))?;
    Ok(Reply::ok(&NotificationView::whole(found)))
}
