//! Single records and lists. A list walks an index from the newest row to older ones, leaves out by its columns
//! what the filter can't want, and lets the filter itself have the last word. One call walks a bounded way: a page
//! may come back short with `next` set, and the caller goes on from there.

use rusqlite::types::{ToSql, Value};
use rusqlite::{Connection, Row, params, params_from_iter};
use serde::de::DeserializeOwned;

use super::super::list::PAGE_MAX;
use super::super::{
    DeliveryFilter, EventFilter, Listed, NotificationFilter, Page, PaymentFilter, Result, StoreError,
};
use super::commit::state_word;
use super::error::from_sqlite;
use super::rows::{all, from_text, one, record};
use crate::domain::Merchant;
use crate::domain::delivery::{Attempt, Delivery};
use crate::domain::event::Event;
use crate::domain::ids::{DeliveryId, EventId, MerchantId, NotificationId, ReplayId};
use crate::domain::notification::Notification;
use crate::domain::payment::Payment;
use crate::domain::people::{ApiToken, AuditEntry, Replay};

/// How far one call walks: bytes of the records that it reads, a row that is passed over counting as [`SKIP_COST`].
const WALK_MAX: usize = 16 * 1024 * 1024;
/// What passing over a row costs beside reading one, bytes.
const SKIP_COST: usize = 256;

/// A list's query: `SELECT key, wanted, record[, tail] FROM table WHERE …`.
struct Query {
    table: &'static str,
    key: &'static str,
    columns: &'static str,
    /// What an index finds.
    found_by: Vec<String>,
    /// What leaves rows out unread.
    wanted: Vec<String>,
    values: Vec<Value>,
}

impl Query {
    fn of(table: &'static str, key: &'static str) -> Query {
        Query { table, key, columns: "record", found_by: Vec::new(), wanted: Vec::new(), values: Vec::new() }
    }

    fn bind(&mut self, value: impl Into<Value>) -> usize {
        self.values.push(value.into());
        self.values.len()
    }

    fn found_by(&mut self, column: &str, value: impl Into<Value>) {
        let slot = self.bind(value);
        self.found_by.push(format!("{column} = ?{slot}"));
    }

    /// A column by which rows are found if `first` and left out otherwise.
    fn equals(&mut self, first: bool, column: &str, value: Option<impl Into<Value>>) {
        let Some(value) = value else { return };
        if first {
            self.found_by(column, value);
        } else {
            let slot = self.bind(value);
            self.wanted.push(format!("{column} = ?{slot}"));
        }
    }

    fn one_of(&mut self, column: &str, words: impl Iterator<Item = String>) {
        let slots: Vec<String> = words.map(|word| format!("?{}", self.bind(word))).collect();
        if !slots.is_empty() {
            self.wanted.push(format!("{column} IN ({})", slots.join(", ")));
        }
    }

    fn within(&mut self, column: &str, from: Option<i64>, to: Option<i64>) {
        if let Some(from) = from {
            let slot = self.bind(from);
            self.wanted.push(format!("{column} >= ?{slot}"));
        }
        if let Some(to) = to {
            let slot = self.bind(to);
            self.wanted.push(format!("{column} < ?{slot}"));
        }
    }

    fn sql(&mut self, before: Option<Value>) -> String {
        if let Some(before) = before {
            let slot = self.bind(before);
            self.found_by.push(format!("{} < ?{slot}", self.key));
        }
        let wanted = if self.wanted.is_empty() { "1".to_owned() } else { self.wanted.join(" AND ") };
        let found_by = if self.found_by.is_empty() { "1".to_owned() } else { self.found_by.join(" AND ") };
        let Query { table, key, columns, .. } = self;
        format!("SELECT {key}, {wanted}, {columns} FROM {table} WHERE {found_by} ORDER BY {key} DESC")
    }
}

/// Walks the query's rows. `read` gives the record of a row and its size, `matches` has the last word.
fn walk<T>(
    conn: &Connection,
    mut query: Query,
    before: Option<Value>,
    page: &Page,
    read: impl Fn(&Row<'_>) -> Result<(T, usize)>,
    matches: impl Fn(&T) -> bool,
) -> Result<Listed<T>> {
    let limit = usize::try_from(page.limit.clamp(1, PAGE_MAX)).unwrap_or(1);
    let sql = query.sql(before);
    let mut statement = conn.prepare_cached(&sql).map_err(from_sqlite)?;
    let values = query.values.iter().map(|value| value as &dyn ToSql);
    let mut cursor = statement.query(params_from_iter(values)).map_err(from_sqlite)?;
    let mut rows = Vec::new();
    let mut walked = 0_usize;
    let mut last = None;
    while let Some(row) = cursor.next().map_err(from_sqlite)? {
        if walked >= WALK_MAX {
            return Ok(Listed { rows, next: last });
        }
        let key = key_text(row)?;
        let mut cost = SKIP_COST;
        if row.get::<_, bool>(1).map_err(from_sqlite)? {
            let (record, size) = read(row)?;
            cost = cost.max(size);
            if matches(&record) {
                if rows.len() == limit {
                    return Ok(Listed { rows, next: last });
                }
                rows.push(record);
            }
        }
        walked = walked.saturating_add(cost);
        last = Some(key);
    }
    Ok(Listed { rows, next: None })
}

fn key_text(row: &Row<'_>) -> Result<String> {
    match row.get(0).map_err(from_sqlite)? {
        Value::Text(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        _ => Err(StoreError::Corrupt("a row without a key".to_owned())),
    }
}

fn plain<T: DeserializeOwned>(what: &'static str) -> impl Fn(&Row<'_>) -> Result<(T, usize)> {
    move |row| {
        let text = row.get_ref(2).and_then(|value| Ok(value.as_str()?)).map_err(from_sqlite)?;
        Ok((from_text(text, what)?, text.len()))
    }
}

fn before(page: &Page) -> Option<Value> {
    page.before.clone().map(Value::Text)
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
    walk(conn, Query::of("merchant", "id"), before(page), page, plain("merchant"), |_| true)
}

pub(super) fn api_tokens(conn: &Connection, page: &Page) -> Result<Listed<ApiToken>> {
    walk(conn, Query::of("api_token", "id"), before(page), page, plain("API token"), |_| true)
}

pub(super) fn replays(conn: &Connection, merchant: MerchantId, page: &Page) -> Result<Listed<Replay>> {
    let mut query = Query::of("replay", "id");
    query.found_by("merchant", merchant.to_string());
    walk(conn, query, before(page), page, plain("replay"), |_| true)
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
    walk(conn, query, before(page), page, plain("audit entry"), |_| true)
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
    let mut query = Query::of("payment", "number");
    query.found_by("merchant", merchant.to_string());
    query.equals(true, "integration", filter.integration.map(|id| id.to_string()));
    query.equals(filter.integration.is_none(), "state", filter.state.map(|it| state_word(it).to_owned()));
    query.equals(false, "provider", filter.provider.clone());
    query.within("created_at", filter.from, filter.to);
    walk(conn, query, before, page, plain("payment"), |payment| filter.matches(payment))
}

pub(super) fn events(
    conn: &Connection,
    merchant: MerchantId,
    filter: &EventFilter,
    page: &Page,
) -> Result<Listed<Event>> {
    let mut query = Query::of("event", "id");
    query.columns = "record, tail";
    query.found_by("merchant", merchant.to_string());
    query.equals(true, "payment", filter.payment.map(i64::from));
    query.equals(false, "integration", filter.integration.map(|id| id.to_string()));
    query.equals(false, "state", filter.state.map(|state| state.word().to_owned()));
    query.within("created_at", filter.from, filter.to);
    let read = |row: &Row<'_>| {
        let (event, size) = plain::<Event>("event")(row)?;
        let tail: String = row.get(3).map_err(from_sqlite)?;
        let size = size.saturating_add(tail.len());
        Ok((Event { tail, ..event }, size))
    };
    walk(conn, query, before(page), page, read, |event| filter.matches(event))
}

pub(super) fn deliveries(
    conn: &Connection,
    merchant: MerchantId,
    filter: &DeliveryFilter,
    page: &Page,
) -> Result<Listed<Delivery>> {
    let mut query = Query::of("delivery", "id");
    query.found_by("merchant", merchant.to_string());
    // One index serves: that of the column which leaves the fewest rows.
    let by_event = filter.event.is_some();
    let by_payment = !by_event && filter.payment.is_some();
    let by_status = !by_event && !by_payment && filter.status.is_some();
    let by_endpoint = !by_event && !by_payment && !by_status;
    query.equals(by_event, "event", filter.event.map(|id| id.to_string()));
    query.equals(by_payment, "payment", filter.payment.map(i64::from));
    query.equals(by_status, "status", filter.status.map(|status| status.word().to_owned()));
    query.equals(by_endpoint, "endpoint", filter.endpoint.map(|id| id.to_string()));
    query.one_of("state", filter.states.iter().map(|state| state.word().to_owned()));
    query.one_of("provider", filter.providers.iter().cloned());
    query.within("created_at", filter.from, filter.to);
    walk(conn, query, before(page), page, plain("delivery"), |delivery| filter.matches(delivery))
}

pub(super) fn notifications(
    conn: &Connection,
    merchant: MerchantId,
    filter: &NotificationFilter,
    page: &Page,
) -> Result<Listed<Notification>> {
    let mut query = Query::of("notification", "id");
    query.found_by("merchant", merchant.to_string());
    query.equals(true, "payment", filter.payment.map(i64::from));
    query.equals(
        filter.payment.is_none(),
        "outcome",
        filter.outcome.map(|outcome| outcome.word().to_owned()),
    );
    query.equals(false, "integration", filter.integration.map(|id| id.to_string()));
    query.equals(false, "provider", filter.provider.clone());
    query.within("received_at", filter.from, filter.to);
    walk(conn, query, before(page), page, plain("notification"), |it| filter.matches(it))
}
