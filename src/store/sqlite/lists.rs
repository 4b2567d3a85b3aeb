//! Single records, and which index finds the rows of each list. A page may come back short with `next` set: a call
//! walks a bounded way (see [`super::query`]), and the caller goes on from there.

use kassir_providers::State;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params};

use super::super::{
    After, DeliveryFilter, EventFilter, Listed, NotificationFilter, Page, PaymentFilter, Result, StoreError,
};
use super::commit::state_word;
use super::error::from_sqlite;
use super::query::{Query, plain, walk};
use super::rows::{all, from_text, one, record};
use crate::domain::Merchant;
use crate::domain::delivery::{Attempt, Delivery, DeliveryStatus};
use crate::domain::event::Event;
use crate::domain::ids::{DeliveryId, EventId, MerchantId, NotificationId, ReplayId};
use crate::domain::notification::{Notification, NotificationOutcome};
use crate::domain::payment::Payment;
use crate::domain::people::{ApiToken, AuditEntry, Replay};

fn before(page: &Page) -> Option<Value> {
    page.before.clone().map(Value::Text)
}

fn after(page: &After) -> Option<Value> {
    page.after.clone().map(Value::Text)
}

// Single records.

pub(super) fn payment(conn: &Connection, merchant: MerchantId, number: u32) -> Result<Option<Payment>> {
    let sql = "SELECT record FROM payment WHERE merchant = ?1 AND number = ?2";
    record(conn, sql, params![merchant.to_string(), number], "payment")
}

pub(super) fn event(conn: &Connection, merchant: MerchantId, id: EventId) -> Result<Option<Event>> {
    let sql = "SELECT record, tail FROM event WHERE merchant = ?1 AND id = ?2";
    let key = [merchant.to_string(), id.to_string()];
    let found: Option<(String, String)> = one(conn, sql, key, |row| Ok((row.get(0)?, row.get(1)?)))?;
    found.map(|(record, tail)| Ok(Event { tail, ..from_text(&record, "event")? })).transpose()
}

pub(super) fn delivery(conn: &Connection, merchant: MerchantId, id: DeliveryId) -> Result<Option<Delivery>> {
    let sql = "SELECT record FROM delivery WHERE merchant = ?1 AND id = ?2";
    record(conn, sql, [merchant.to_string(), id.to_string()], "delivery")
}

pub(super) fn notification(
    conn: &Connection,
    merchant: MerchantId,
    id: NotificationId,
) -> Result<Option<Notification>> {
    let sql = "SELECT record FROM notification WHERE merchant = ?1 AND id = ?2";
    record(conn, sql, [merchant.to_string(), id.to_string()], "notification")
}

pub(super) fn replay(conn: &Connection, merchant: MerchantId, id: ReplayId) -> Result<Option<Replay>> {
    let sql = "SELECT record FROM replay WHERE merchant = ?1 AND id = ?2";
    record(conn, sql, [merchant.to_string(), id.to_string()], "replay")
}

pub(super) fn attempts(conn: &Connection, merchant: MerchantId, id: DeliveryId) -> Result<Vec<Attempt>> {
    let sql = "SELECT record FROM attempt WHERE merchant = ?1 AND delivery = ?2 ORDER BY number";
    let texts = all(conn, sql, [merchant.to_string(), id.to_string()], |row| row.get::<_, String>(0))?;
    texts.iter().map(|text| from_text(text, "attempt")).collect()
}

pub(super) fn tallies(
    conn: &Connection,
    merchant: MerchantId,
    from: i64,
    to: i64,
) -> Result<Vec<(i64, String, i64)>> {
    let sql = "SELECT hour, key, value FROM tally WHERE merchant = ?1 AND hour >= ?2 AND hour < ?3 \
               ORDER BY hour, key";
    let key = params![merchant.to_string(), from, to];
    all(conn, sql, key, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

// Lists.

pub(super) fn merchants(conn: &Connection, page: &Page) -> Result<Listed<Merchant>> {
    walk(conn, Query::of("merchant", "id"), before(page), page.limit, plain("merchant"), |_| true)
}

pub(super) fn api_tokens(conn: &Connection, page: &Page) -> Result<Listed<ApiToken>> {
    walk(conn, Query::of("api_token", "id"), before(page), page.limit, plain("API token"), |_| true)
}

pub(super) fn replays(conn: &Connection, merchant: MerchantId, page: &Page) -> Result<Listed<Replay>> {
    let mut query = Query::of("replay", "id");
    query.found_by("merchant", merchant.to_string());
    walk(conn, query, before(page), page.limit, plain("replay"), |_| true)
}

pub(super) fn audit(
    conn: &Connection,
    merchant: Option<MerchantId>,
    page: &Page,
) -> Result<Listed<AuditEntry>> {
    let mut query = Query::of("audit", "id");
    if let Some(merchant) = merchant {
        query.found_by("merchant", merchant.to_string());
    }
    walk(conn, query, before(page), page.limit, plain("audit entry"), |_| true)
}

pub(super) fn payments(
    conn: &Connection,
    merchant: MerchantId,
    filter: &PaymentFilter,
    page: &Page,
) -> Result<Listed<Payment>> {
    let before = match &page.before {
        None => None,
        Some(text) => Some(Value::Integer(text.parse().map_err(|_| StoreError::NotFound("such page"))?)),
    };
    let query = payments_query(merchant, filter);
    walk(conn, query, before, page.limit, plain("payment"), |payment| filter.matches(payment))
}

pub(super) fn payments_query(merchant: MerchantId, filter: &PaymentFilter) -> Query {
    let mut query = Query::of("payment", "number");
    query.found_by("merchant", merchant.to_string());
    query.equals(true, "integration", filter.integration.map(|id| id.to_string()));
    let by_state = filter.integration.is_none() && !matches!(filter.state, None | Some(State::Succeeded));
    query.equals(by_state, "state", filter.state.map(|it| state_word(it).to_owned()));
    if by_state {
        query.found_among("state <> 'succeeded'");
    }
    query.equals(false, "provider", filter.provider.clone());
    query.within("created_at", filter.from, filter.to);
    query
}

pub(super) fn events(
    conn: &Connection,
    merchant: MerchantId,
    filter: &EventFilter,
    page: &Page,
) -> Result<Listed<Event>> {
    let query = events_query(merchant, filter);
    walk(conn, query, before(page), page.limit, read_event, |event| filter.matches(event))
}

pub(super) fn events_after(
    conn: &Connection,
    merchant: MerchantId,
    filter: &EventFilter,
    page: &After,
) -> Result<Listed<Event>> {
    let query = events_query(merchant, filter).oldest_first();
    walk(conn, query, after(page), page.limit, read_event, |event| filter.matches(event))
}

fn read_event(row: &Row<'_>) -> Result<(Event, usize)> {
    let (event, size) = plain::<Event>("event")(row)?;
    let tail: String = row.get(3).map_err(from_sqlite)?;
    let size = size.saturating_add(tail.len());
    Ok((Event { tail, ..event }, size))
}

pub(super) fn events_query(merchant: MerchantId, filter: &EventFilter) -> Query {
    let mut query = Query::of("event", "id");
    query.columns = "record, tail";
    query.found_by("merchant", merchant.to_string());
    query.equals(true, "payment", filter.payment.map(i64::from));
    query.equals(false, "integration", filter.integration.map(|id| id.to_string()));
    query.equals(false, "state", filter.state.map(|state| state.word().to_owned()));
    query.within("created_at", filter.from, filter.to);
    query
}

pub(super) fn deliveries(
    conn: &Connection,
    merchant: MerchantId,
    filter: &DeliveryFilter,
    page: &Page,
) -> Result<Listed<Delivery>> {
    let query = deliveries_query(merchant, filter);
    walk(conn, query, before(page), page.limit, plain("delivery"), |delivery| filter.matches(delivery))
}

pub(super) fn deliveries_after(
    conn: &Connection,
    merchant: MerchantId,
    filter: &DeliveryFilter,
    page: &After,
) -> Result<Listed<Delivery>> {
    let query = deliveries_query(merchant, filter).oldest_first();
    walk(conn, query, after(page), page.limit, plain("delivery"), |delivery| filter.matches(delivery))
}

pub(super) fn deliveries_query(merchant: MerchantId, filter: &DeliveryFilter) -> Query {
    let mut query = Query::of("delivery", "id");
    query.found_by("merchant", merchant.to_string());
    // One index serves: that of the column which leaves the fewest rows.
    let by_event = filter.event.is_some();
    let by_payment = !by_event && filter.payment.is_some();
    let status = filter.status.map(|status| status.word().to_owned());
    let by_status =
        !by_event && !by_payment && !matches!(filter.status, None | Some(DeliveryStatus::Delivered));
    let by_endpoint = !by_event && !by_payment && !by_status;
    if let Some(event) = filter.event {
        query.found_by_payment_of(event.to_string());
    }
    query.equals(by_payment, "payment", filter.payment.map(i64::from));
    query.equals(by_status, "status", status);
    if by_status {
        query.found_among("status <> 'delivered'");
    }
    query.equals(by_endpoint, "endpoint", filter.endpoint.map(|id| id.to_string()));
    query.one_of("payment", filter.payments.iter().copied().map(i64::from));
    query.one_of("state", filter.states.iter().map(|state| state.word().to_owned()));
    query.one_of("provider", filter.providers.iter().cloned());
    query.within("created_at", filter.from, filter.to);
    query
}

pub(super) fn notifications(
    conn: &Connection,
    merchant: MerchantId,
    filter: &NotificationFilter,
    page: &Page,
) -> Result<Listed<Notification>> {
    let query = notifications_query(merchant, filter);
    walk(conn, query, before(page), page.limit, plain("notification"), |it| filter.matches(it))
}

pub(super) fn notifications_query(merchant: MerchantId, filter: &NotificationFilter) -> Query {
    let mut query = Query::of("notification", "id");
    query.found_by("merchant", merchant.to_string());
    query.equals(true, "payment", filter.payment.map(i64::from));
    let by_outcome =
        filter.payment.is_none() && !matches!(filter.outcome, None | Some(NotificationOutcome::Accepted));
    query.equals(by_outcome, "outcome", filter.outcome.map(|outcome| outcome.word().to_owned()));
    if by_outcome {
        query.found_among("outcome <> 'accepted'");
    }
    query.equals(false, "integration", filter.integration.map(|id| id.to_string()));
    query.equals(false, "provider", filter.provider.clone());
    query.within("received_at", filter.from, filter.to);
    query
}
