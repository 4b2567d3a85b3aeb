//! `/merchants/{m}/events`.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::auth::Need;
use super::context::Context;
use super::problem::{Problem, Result};
use super::reply::{List, Reply};
use super::schema::{EventQuery, MerchantPath, PageQuery, RecordPath, TimeQuery};
use crate::domain::Event;
use crate::domain::ids::EventId;
use crate::manage::{replays, time};
use crate::store::EventFilter;

/// A change of a payment's state, as sent to subscribers.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    /// `evt_…`: the header `webhook-id`.
    id: String,
    /// The payment's number.
    payment_id: u32,
    /// The integration.
    integration_id: String,
    /// The state.
    state: &'static str,
    /// `signed`, `sourced` or `confirmed`: how the provider's word was proved.
    proof: &'static str,
    /// Whether no real money moved.
    test: bool,
    /// The notification it comes from, if any.
    notification_id: Option<String>,
    /// RFC 3339.
    created_at: String,
    /// The body, to the byte as it is signed and sent.
    #[schema(value_type = Object)]
    body: Option<Box<RawValue>>,
}

impl From<Event> for EventView {
    fn from(event: Event) -> EventView {
        EventView {
            id: event.id.to_string(),
            payment_id: event.payment,
            integration_id: event.integration.to_string(),
            state: event.state.word(),
            proof: event.proven.word(),
            test: event.test,
            notification_id: event.notification.map(|id| id.to_string()),
            created_at: time::show(event.created_at),
            body: RawValue::from_string(event.body()).ok(),
        }
    }
}

/// Lists events.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/events", tag = "events", operation_id = "list_events",
    params(MerchantPath, PageQuery, EventQuery, TimeQuery), responses((status = 200, body = List<EventView>)))]
pub async fn list(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?.config.merchant.id;
    let mut params = context.params()?;
    let page = params.page::<EventId>();
    let filter = EventFilter {
        state: params.word("state", &replays::states()),
        integration: params.parsed("integration_id"),
        payment: params.number("payment_id"),
        from: params.time("from"),
        to: params.time("to"),
    };
    params.finish()?;
    Ok(Reply::list(context.store().events(merchant, &filter, &page).await?, EventView::from))
}

/// Shows an event.
///
/// # Errors
/// A problem.
#[utoipa::path(get, path = "/api/v1/merchants/{m}/events/{id}", tag = "events", operation_id = "show_event",
    params(RecordPath), responses((status = 200, body = EventView)))]
pub async fn show(context: Context) -> Result<Reply> {
    let merchant = context.merchant(Need::Read).await?.config.merchant.id;
    context.no_params()?;
    let event = context.store().event(merchant, context.id("event")?).await?;
    let event = event.ok_or_else(|| Problem::not_found("event", context.part("id")))?;
    Ok(Reply::ok(&EventView::from(event)))
}
