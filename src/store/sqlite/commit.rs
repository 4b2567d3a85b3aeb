//! The step of the money's path, and the look before it.

use std::collections::HashMap;

use kassir_providers::State;
use rusqlite::{Connection, params};

use super::super::{
    Claimed, Commit, Committed, Conflict, Decide, Fence, Found, LookUp, Material, PaymentWrite, Result,
    StoreError,
};
use super::queue::{self, Lease, NewEntry};
use super::rows::{execute, from_text, int, one, record, to_text};
use super::writer::Tx;
use super::{batch, config, holds, lists};
use crate::domain::delivery::Delivery;
use crate::domain::event::Event;
use crate::domain::ids::MerchantId;
use crate::domain::job::{Job, Lane, Task, WorkId};
use crate::domain::notification::Notification;
use crate::domain::payment::{Origin, Payment};
use crate::limits::PAYMENT_NUMBER_MAX;

/// How far a router's clock may be ahead of the store's: a new delivery that is due later than now by no more than
/// this is due now. Milliseconds.
const SKEW_MAX: i64 = 24 * 60 * 60 * 1000;

pub(super) const BY_LINK: &str = "SELECT p.record FROM payment_link l \
     JOIN payment p ON p.merchant = l.merchant AND p.number = l.number \
     WHERE l.merchant = ?1 AND l.integration = ?2 AND l.provider_id = ?3";

/// Shops' own order numbers are often small, as ours are: of those payments the record is not read.
const BY_NUMBER: &str = "SELECT record FROM payment WHERE merchant = ?1 AND number = ?2 AND integration = ?3 \
     AND instr(record, '\"origin\":\"api\"') > 0";

pub(super) fn look_up(conn: &Connection, ask: &LookUp) -> Result<Found> {
    find(conn, ask, config::version(conn, ask.merchant)?)
}

/// `config_version`: that of the merchant's configuration now.
fn find(conn: &Connection, ask: &LookUp, config_version: u64) -> Result<Found> {
    let merchant = ask.merchant.to_string();
    let integration = ask.integration.to_string();
    let mut found = Found { config_version, by_provider_id: HashMap::new(), by_number: HashMap::new() };
    for id in &ask.provider_ids {
        if let Some(payment) = record(conn, BY_LINK, params![merchant, integration, id], "payment")? {
            found.by_provider_id.insert(id.clone(), payment);
        }
    }
    for number in &ask.numbers {
        let payment: Option<Payment> =
            record(conn, BY_NUMBER, params![merchant, number, integration], "payment")?;
        // The text that the query looks for may also be in what a merchant wrote.
        if let Some(payment) = payment.filter(|payment| payment.origin == Origin::Api) {
            found.by_number.insert(*number, payment);
        }
    }
    Ok(found)
}

pub(super) fn enter(tx: &Tx<'_>, ask: &LookUp, decide: &mut Decide) -> Result<Option<Committed>> {
    let found = find(tx.conn, ask, batch::version(tx, ask.merchant)?)?;
    let Some(step) = decide(&found) else { return Ok(None) };
    commit(tx, step).map(Some)
}

pub(super) fn commit(tx: &Tx<'_>, mut commit: Commit) -> Result<Committed> {
    let merchant = commit.merchant;
    let version = batch::version(tx, merchant)?;
    if commit.config_version.is_some_and(|expected| expected != version) {
        return Err(StoreError::Conflict(Conflict::Config));
    }
    if version == 0 {
        return Err(StoreError::NotFound("merchant"));
    }
    if let Some(fence) = commit.finish {
        queue::leased(tx, merchant, fence)?;
        queue::remove(tx, fence.work)?;
    }
    let payment = commit.payment.take().map(|write| write_payment(tx, merchant, write)).transpose()?;
    if let Some((number, _)) = payment {
        give_number(&mut commit, number);
    }
    if let Some(notification) = &commit.notification {
        put_notification(tx, notification)?;
    }
    for event in &mut commit.events {
        insert_event(tx, event)?;
    }
    let leased = insert_deliveries(tx, &mut commit)?;
    for (job, in_ms) in &commit.jobs {
        insert_job(tx, job, *in_ms)?;
    }
    tx.tally(merchant, &commit.tallies);
    Ok(Committed { payment, leased, now: tx.now })
}

/// Writes the payment; gives its number and new version.
fn write_payment(tx: &Tx<'_>, merchant: MerchantId, write: PaymentWrite) -> Result<(u32, u64)> {
    let (mut payment, links) = match write {
        PaymentWrite::New { mut payment, links } => {
            payment.number = next_number(tx, merchant)?;
            payment.version = 1;
            insert_payment(tx, merchant, &payment)?;
            (payment, links)
        }
        PaymentWrite::Update { payment, links } => (update_payment(tx, merchant, payment)?, links),
    };
    for link in links {
        insert_link(tx, merchant, &mut payment, &link)?;
    }
    Ok((payment.number, payment.version))
}

fn next_number(tx: &Tx<'_>, merchant: MerchantId) -> Result<u32> {
    let number = batch::next_number(tx, merchant)?;
    if number > PAYMENT_NUMBER_MAX {
        return Err(StoreError::Limit(format!(
            "the merchant has used up its payment numbers: the last is {PAYMENT_NUMBER_MAX}"
        )));
    }
    Ok(number)
}

fn insert_payment(tx: &Tx<'_>, merchant: MerchantId, payment: &Payment) -> Result<()> {
    let sql = "INSERT INTO payment \
               (merchant, number, version, integration, provider, state, created_at, updated_at, record) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    execute(
        tx.conn,
        sql,
        params![
            merchant.to_string(),
            payment.number,
            int(payment.version),
            payment.integration.to_string(),
            payment.provider,
            state_word(payment.state),
            payment.created_at,
            payment.updated_at,
            to_text(payment)?,
        ],
    )?;
    Ok(())
}

fn update_payment(tx: &Tx<'_>, merchant: MerchantId, mut payment: Box<Payment>) -> Result<Box<Payment>> {
    let loaded = payment.version;
    payment.version = loaded.saturating_add(1);
    let sql = "UPDATE payment SET version = ?4, state = ?5, updated_at = ?6, record = ?7 \
               WHERE merchant = ?1 AND number = ?2 AND version = ?3";
    let changed = execute(
        tx.conn,
        sql,
        params![
            merchant.to_string(),
            payment.number,
            int(loaded),
            int(payment.version),
            state_word(payment.state),
            payment.updated_at,
            to_text(&*payment)?,
        ],
    )?;
    if changed == 1 { Ok(payment) } else { Err(StoreError::Conflict(Conflict::Payment)) }
}

fn insert_link(tx: &Tx<'_>, merchant: MerchantId, payment: &mut Payment, link: &str) -> Result<()> {
    let (merchant, integration) = (merchant.to_string(), payment.integration.to_string());
    let sql = "INSERT INTO payment_link (merchant, integration, provider_id, number) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT DO NOTHING";
    if execute(tx.conn, sql, params![merchant, integration, link, payment.number])? > 0 {
        return Ok(());
    }
    let sql = "SELECT number FROM payment_link WHERE merchant = ?1 AND integration = ?2 AND provider_id = ?3";
    let taken: Option<u32> = one(tx.conn, sql, params![merchant, integration, link], |row| row.get(0))?;
    if taken == Some(payment.number) { Ok(()) } else { Err(StoreError::Conflict(Conflict::PaymentExists)) }
}

/// The word of a payment's state in its column.
pub(super) fn state_word(state: State) -> &'static str {
    crate::domain::event::EventState::from(state).word()
}

/// Fills in the number that only the store could give.
fn give_number(commit: &mut Commit, number: u32) {
    if let Some(notification) = &mut commit.notification
        && notification.payment == Some(0)
    {
        notification.payment = Some(number);
    }
    for event in commit.events.iter_mut().filter(|event| event.payment == 0) {
        event.payment = number;
    }
    for delivery in commit.deliveries.iter_mut().filter(|delivery| delivery.payment == 0) {
        delivery.payment = number;
    }
    for (job, _) in &mut commit.jobs {
        if let Task::Poll { payment } = &mut job.task
            && *payment == 0
        {
            *payment = number;
        }
    }
}

fn put_notification(tx: &Tx<'_>, notification: &Notification) -> Result<()> {
    let sql = "INSERT INTO notification \
               (merchant, id, integration, provider, outcome, payment, received_at, record) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
               ON CONFLICT (merchant, id) DO UPDATE SET outcome = excluded.outcome, payment = excluded.payment, \
               received_at = excluded.received_at, record = excluded.record";
    execute(
        tx.conn,
        sql,
        params![
            notification.merchant.to_string(),
            notification.id.to_string(),
            notification.integration.to_string(),
            notification.provider,
            notification.outcome.word(),
            notification.payment,
            notification.received_at,
            to_text(notification)?,
        ],
    )?;
    Ok(())
}

fn insert_event(tx: &Tx<'_>, event: &mut Event) -> Result<()> {
    // The tail has a column of its own: the body must come back to the byte, and people should find it.
    let tail = std::mem::take(&mut event.tail);
    let record = to_text(event)?;
    event.tail = tail;
    let sql = "INSERT INTO event (merchant, id, integration, payment, state, created_at, record, tail) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    execute(
        tx.conn,
        sql,
        params![
            event.merchant.to_string(),
            event.id.to_string(),
            event.integration.to_string(),
            event.payment,
            event.state.word(),
            event.created_at,
            record,
            event.tail,
        ],
    )?;
    Ok(())
}

fn insert_deliveries(tx: &Tx<'_>, commit: &mut Commit) -> Result<Vec<Claimed>> {
    let lease = commit.lease.take();
    let mut leased = Vec::new();
    for mut delivery in std::mem::take(&mut commit.deliveries) {
        delivery.version = 1;
        insert_delivery(tx, &delivery)?;
        let event = match commit.events.iter().find(|event| event.id == delivery.event) {
            Some(event) => event.clone(),
            None => lists::event(tx.conn, delivery.merchant, delivery.event)?
                .ok_or(StoreError::NotFound("event"))?,
        };
        let Some(next) = delivery.next_attempt_at else { continue };
        let due = if next.saturating_sub(tx.now) <= SKEW_MAX { next.min(tx.now) } else { next };
        let work = WorkId::Delivery(delivery.id);
        let lane = Lane::Endpoint(delivery.endpoint);
        let entry = NewEntry { work, merchant: delivery.merchant, lane, due, job: None };
        let queue_only = due > tx.now || commit.queue_only.contains(&delivery.endpoint);
        let lease = lease.as_ref().filter(|_| !queue_only);
        let held = lease.is_some() && holds::held(tx, &lane.to_string())?;
        let Some((owner, lease_ms)) = lease.filter(|_| !held) else {
            queue::insert(tx, &entry, None)?;
            continue;
        };
        let token = batch::take_tokens(tx, 1)?;
        let until = tx.now.saturating_add(int(*lease_ms));
        queue::insert(tx, &entry, Some(&Lease { owner, until, token }))?;
        leased.push(Claimed {
            fence: Fence { work, token },
            lane,
            due,
            lease_until: until,
            probe: None,
            material: Material::Delivery { delivery: Box::new(delivery), event: Box::new(event) },
        });
    }
    Ok(leased)
}

fn insert_delivery(tx: &Tx<'_>, delivery: &Delivery) -> Result<()> {
    let sql = "INSERT INTO delivery \
               (merchant, id, version, event, payment, endpoint, provider, state, status, created_at, record) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    execute(
        tx.conn,
        sql,
        params![
            delivery.merchant.to_string(),
            delivery.id.to_string(),
            int(delivery.version),
            delivery.event.to_string(),
            delivery.payment,
            delivery.endpoint.to_string(),
            delivery.provider,
            delivery.state.word(),
            delivery.status.word(),
            delivery.created_at,
            to_text(delivery)?,
        ],
    )?;
    Ok(())
}

fn insert_job(tx: &Tx<'_>, job: &Job, in_ms: u64) -> Result<()> {
    let entry = NewEntry {
        work: WorkId::Job(job.id),
        merchant: job.merchant,
        lane: job.lane,
        due: tx.now.saturating_add(int(in_ms)),
        job: Some((job, job_text(job)?)),
    };
    queue::insert(tx, &entry, None)
}

/// A job as it stands in the queue.
pub(super) fn job_text(job: &Job) -> Result<String> {
    to_text(job)
}

/// Reads what [`job_text`] wrote.
pub(super) fn job_from(text: &str) -> Result<Job> {
    from_text(text, "job")
}
