//! How a list is read: an index is walked from the newest row to older ones (or the other way), rows that the filter can't want are left
//! out by their columns, unread, and the filter itself has the last word. One call walks a bounded way.

use rusqlite::types::{ToSql, Value};
use rusqlite::{Connection, Row, params_from_iter};
use serde::de::DeserializeOwned;

use super::super::list::PAGE_MAX;
use super::super::{Listed, Result, StoreError};
use super::error::from_sqlite;
use super::rows::from_text;

/// How far one call walks: bytes of the records that it reads, a row that is passed over counting as [`SKIP_COST`].
const WALK_MAX: usize = 16 * 1024 * 1024;
/// What passing over a row costs beside reading one, bytes.
const SKIP_COST: usize = 256;

/// A list's query: `SELECT key, wanted, record[, tail] FROM table WHERE …`.
pub(super) struct Query {
    table: &'static str,
    key: &'static str,
    pub(super) columns: &'static str,
    /// What an index finds.
    found_by: Vec<String>,
    /// What leaves rows out unread.
    wanted: Vec<String>,
    values: Vec<Value>,
    oldest_first: bool,
}

impl Query {
    /// Rows of a table, the greatest key first.
    pub(super) fn of(table: &'static str, key: &'static str) -> Query {
        let (found_by, wanted, values) = (Vec::new(), Vec::new(), Vec::new());
        Query { table, key, columns: "record", found_by, wanted, values, oldest_first: false }
    }

    /// The same rows, the smallest key first.
    pub(super) fn oldest_first(mut self) -> Query {
        self.oldest_first = true;
        self
    }

    fn bind(&mut self, value: impl Into<Value>) -> usize {
        self.values.push(value.into());
        self.values.len()
    }

    /// A column by which an index finds rows.
    pub(super) fn found_by(&mut self, column: &str, value: impl Into<Value>) {
        let slot = self.bind(value);
        self.found_by.push(format!("{column} = ?{slot}"));
    }

    /// A condition that the index has too: it holds only such rows.
    pub(super) fn found_among(&mut self, condition: &'static str) {
        self.found_by.push(condition.to_owned());
    }

    /// Rows of the payment that an event is about. The merchant must have been bound first.
    pub(super) fn found_by_payment_of(&mut self, event: String) {
        let slot = self.bind(event);
        let payment = format!("SELECT e.payment FROM event e WHERE e.merchant = ?1 AND e.id = ?{slot}");
        self.found_by.push(format!("payment = ({payment})"));
        self.wanted.push(format!("event = ?{slot}"));
    }

    /// A column by which rows are found if `first` and left out otherwise.
    pub(super) fn equals(&mut self, first: bool, column: &str, value: Option<impl Into<Value>>) {
        let Some(value) = value else { return };
        if first {
            self.found_by(column, value);
        } else {
            let slot = self.bind(value);
            self.wanted.push(format!("{column} = ?{slot}"));
        }
    }

    /// Leaves out rows whose column has none of these words; without words, none.
    pub(super) fn one_of(&mut self, column: &str, words: impl Iterator<Item = impl Into<Value>>) {
        let slots: Vec<String> = words.map(|word| format!("?{}", self.bind(word))).collect();
        if !slots.is_empty() {
            self.wanted.push(format!("{column} IN ({})", slots.join(", ")));
        }
    }

    /// Leaves out rows before `from`, and those at `to` or after it.
    pub(super) fn within(&mut self, column: &str, from: Option<i64>, to: Option<i64>) {
        if let Some(from) = from {
            let slot = self.bind(from);
            self.wanted.push(format!("{column} >= ?{slot}"));
        }
        if let Some(to) = to {
            let slot = self.bind(to);
            self.wanted.push(format!("{column} < ?{slot}"));
        }
    }

    /// The statement, from the row next to `start` on.
    pub(super) fn sql(&mut self, start: Option<Value>) -> String {
        let (beyond, order) = if self.oldest_first { (">", "ASC") } else { ("<", "DESC") };
        if let Some(start) = start {
            let slot = self.bind(start);
            self.found_by.push(format!("{} {beyond} ?{slot}", self.key));
        }
        let wanted = if self.wanted.is_empty() { "1".to_owned() } else { self.wanted.join(" AND ") };
        let found_by = if self.found_by.is_empty() { "1".to_owned() } else { self.found_by.join(" AND ") };
        let Query { table, key, columns, .. } = self;
        format!("SELECT {key}, {wanted}, {columns} FROM {table} WHERE {found_by} ORDER BY {key} {order}")
    }
}

/// Walks the query's rows. `read` gives the record of a row and its size, `matches` has the last word.
pub(super) fn walk<T>(
    conn: &Connection,
    mut query: Query,
    start: Option<Value>,
    limit: u32,
    read: impl Fn(&Row<'_>) -> Result<(T, usize)>,
    matches: impl Fn(&T) -> bool,
) -> Result<Listed<T>> {
    let limit = usize::try_from(limit.clamp(1, PAGE_MAX)).unwrap_or(1);
    let sql = query.sql(start);
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

/// Reads a row of `SELECT key, wanted, record`; `what` names the record when it can't be read.
pub(super) fn plain<T: DeserializeOwned>(what: &'static str) -> impl Fn(&Row<'_>) -> Result<(T, usize)> {
    move |row| {
        let text = row.get_ref(2).and_then(|value| Ok(value.as_str()?)).map_err(from_sqlite)?;
        Ok((from_text(text, what)?, text.len()))
    }
}
