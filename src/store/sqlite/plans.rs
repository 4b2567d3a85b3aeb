//! No statement of the money's path, of the queue or of upkeep reads a whole table: SQLite's own plans say so.

use kassir_providers::State;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use uuid::Uuid;

use super::super::{DeliveryFilter, EventFilter, NotificationFilter, PaymentFilter};
use super::query::Query;
use super::{claim, commit, holds, lists, migrate, people, queue, sweep};
use crate::domain::ids::{EndpointId, EventId, IntegrationId, MerchantId};
use crate::domain::{DeliveryStatus, NotificationOutcome};

fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nulls = vec![Value::Null; statement.parameter_count()];
    let rows = statement.query_map(params_from_iter(nulls), |row| row.get::<_, String>(3)).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

fn schema() -> Connection {
    let mut conn = Connection::open_in_memory().unwrap();
    migrate::migrate(&mut conn, std::path::Path::new("plans.db")).unwrap();
    conn
}

/// Every step searches, or walks an index that holds only what is wanted, in the order that is wanted.
fn is_good(step: &str) -> bool {
    let walks_what_it_wants = step == "SCAN lane USING INDEX lane_by_turn"
        || step == "SCAN lane USING COVERING INDEX lane_by_turn"
        || step.starts_with("SCAN lane USING COVERING INDEX lane_by_due");
    let sorts_everything = step.contains("TEMP B-TREE FOR ORDER BY");
    walks_what_it_wants || !(step.starts_with("SCAN") || sorts_everything)
}

fn lists() -> Vec<String> {
    let merchant = MerchantId(Uuid::nil());
    let (integration, endpoint) = (Some(IntegrationId(Uuid::nil())), Some(EndpointId(Uuid::nil())));
    let (payment, event) = (Some(1), Some(EventId(Uuid::nil())));
    let status = Some(DeliveryStatus::Failed);
    let outcome = Some(NotificationOutcome::Rejected);
    let queries = [
        lists::payments_query(merchant, &PaymentFilter::default()),
        lists::payments_query(merchant, &PaymentFilter { integration, ..Default::default() }),
        lists::payments_query(merchant, &PaymentFilter { state: Some(State::Pending), ..Default::default() }),
        lists::events_query(merchant, &EventFilter::default()),
        lists::events_query(merchant, &EventFilter { payment, ..Default::default() }),
        lists::deliveries_query(merchant, &DeliveryFilter::default()),
        lists::deliveries_query(merchant, &DeliveryFilter { status, ..Default::default() }),
        lists::deliveries_query(merchant, &DeliveryFilter { endpoint, status, ..Default::default() }),
        lists::deliveries_query(merchant, &DeliveryFilter { endpoint, ..Default::default() }),
        lists::deliveries_query(merchant, &DeliveryFilter { payment, ..Default::default() }),
        lists::deliveries_query(merchant, &DeliveryFilter { event, ..Default::default() }),
        lists::notifications_query(merchant, &NotificationFilter::default()),
        lists::notifications_query(merchant, &NotificationFilter { payment, ..Default::default() }),
        lists::notifications_query(merchant, &NotificationFilter { outcome, ..Default::default() }),
    ];
    let oldest_first = [
        lists::events_query(merchant, &EventFilter::default()),
        lists::deliveries_query(merchant, &DeliveryFilter::default()),
        lists::deliveries_query(merchant, &DeliveryFilter { endpoint, status, ..Default::default() }),
    ];
    let oldest_first = oldest_first.into_iter().map(Query::oldest_first);
    queries.into_iter().chain(oldest_first).map(|mut query| query.sql(Some(Value::Integer(7)))).collect()
}

#[test]
fn nothing_reads_a_whole_table() {
    let conn = schema();
    let queue = [claim::EXPIRED, claim::PROMOTE, claim::TURNS, claim::DUE_OF_LANE, claim::NEXT_DUE];
    let holds = [claim::TURN_OF, claim::NEXT_HELD, holds::DUE, holds::FORGET];
    let upkeep = [
        sweep::OLD_REFUSED,
        sweep::OLD_NOTIFICATIONS,
        sweep::OLD_EVENTS,
        sweep::OLD_PAYMENTS,
        sweep::OLD_REPLAYS,
        sweep::OLD_TALLIES,
        sweep::OLD_KEYS,
    ];
    let others = [queue::FIRST_OF_LANE, queue::OLDEST_DELIVERY, commit::BY_LINK, people::AUDIT_TAIL];
    let fixed = queue.into_iter().chain(holds).chain(upkeep).chain(others).map(str::to_owned);
    let bad: Vec<_> = fixed
        .chain(lists())
        .map(|sql| (plan(&conn, &sql), sql))
        .filter(|(steps, _)| !steps.iter().all(|step| is_good(step)))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn a_plan_that_reads_everything_is_noticed() {
    let steps = plan(&schema(), "SELECT record FROM payment WHERE provider = 'x' ORDER BY created_at");
    assert!(!steps.iter().all(|step| is_good(step)), "{steps:?}");
}
