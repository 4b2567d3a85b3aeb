//! The step of the money's path, and the look before it.

use std::borrow::Cow;

use kassir_providers::State;
use rusqlite::{Connection, params};

use super::super::{
    Claimed, Commit, Committed, Conflict, Decide, Fence, Found, LookUp, Material, PaymentWrite, Result,
    StoreError,
};
use super::queue::{self, Lease, NewEntry};
use super::rows::{execute, from_text, int, one, record, to_text};
use super::step::{Guess, Step, Text};
use super::writer::Tx;
use super::{batch, config, holds, lists};
use crate::domain::delivery::Delivery;
use crate::domain::event::Event;
use crate::domain::ids::MerchantId;
use crate::domain::job::{Job, Lane, WorkId};
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
    let mut found = Found::nothing(config_version);
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

/// Looks, decides and writes. `guess` is what was decided before anybody looked; once `decide` was asked here, only its
/// last answer counts, since whoever asked reads in it what was written.
pub(super) struct Entering {
    ask: LookUp,
    guess: Option<Guess>,
    decide: Decide,
}

impl Entering {
    /// Guesses that nothing will be found.
    pub(super) fn new(ask: LookUp, at_hand: u64, mut decide: Decide) -> Entering {
        Entering { ask, guess: Guess::ask(at_hand, &mut decide), decide }
    }

    pub(super) fn run(&mut self, tx: &Tx<'_>) -> Result<Option<Committed>> {
        let found = find(tx.conn, &self.ask, batch::version(tx, self.ask.merchant)?)?;
        if let Some(answer) = self.guess.as_ref().and_then(|guess| guess.answer(&found)) {
            return answer.map(|step| commit(tx, step)).transpose();
        }
        self.guess = None;
        let Some(step) = (self.decide)(&found) else { return Ok(None) };
        commit(tx, &Step::ready(step)?).map(Some)
    }
}

pub(super) fn commit(tx: &Tx<'_>, step: &Step) -> Result<Committed> {
    let commit = &step.commit;
    let version = batch::version(tx, commit.merchant)?;
    if commit.config_version.is_some_and(|expected| expected != version) {
        return Err(StoreError::Conflict(Conflict::Config));
    }
    if version == 0 {
        return Err(StoreError::NotFound("merchant"));
    }
    if let Some(fence) = commit.finish {
        queue::leased(tx, commit.merchant, fence)?;
        queue::remove(tx, fence.work)?;
    }
    for job in &commit.call_off {
        queue::call_off(tx, commit.merchant, *job)?;
    }
    let mut writing =
        Writing { tx, id: commit.merchant, merchant: commit.merchant.to_string(), number: None };
    let payment = step.payment.as_ref().zip(commit.payment.as_ref());
    let payment = payment.map(|(text, write)| writing.write_payment(write, text)).transpose()?;
    writing.number = payment.map(|(number, _)| number);
    if let (Some(text), Some(notification)) = (&step.notification, &commit.notification) {
        writing.put_notification(notification, text)?;
    }
    for (event, text) in commit.events.iter().zip(&step.events) {
        writing.insert_event(event, text)?;
    }
    let leased = writing.insert_deliveries(step)?;
    for ((job, in_ms), text) in commit.jobs.iter().zip(&step.jobs) {
        writing.insert_job(job, *in_ms, text)?;
    }
    tx.tally(commit.merchant, &commit.tallies);
    Ok(Committed { payment, leased, now: tx.now })
}

/// The word of a payment's state in its column.
pub(super) fn state_word(state: State) -> &'static str {
    crate::domain::event::EventState::from(state).word()
}

/// A step that is being written.
struct Writing<'a> {
    tx: &'a Tx<'a>,
    id: MerchantId,
    /// `id` as it stands in columns.
    merchant: String,
    /// The payment's number, once it is written: that of records of which the number is 0.
    number: Option<u32>,
}

impl Writing<'_> {
    /// Writes the payment; gives its number and new version.
    fn write_payment(&self, write: &PaymentWrite, text: &Text) -> Result<(u32, u64)> {
        let (payment, number, links) = match write {
            PaymentWrite::New { payment, links } => {
                let number = self.next_number()?;
                self.insert_payment(payment, number, text)?;
                (payment, number, links)
            }
            PaymentWrite::Update { payment, links } => {
                self.update_payment(payment, text)?;
                (payment, payment.number, links)
            }
        };
        for link in links {
            self.insert_link(payment, number, link)?;
        }
        Ok((number, payment.version))
    }

    fn next_number(&self) -> Result<u32> {
        let number = batch::next_number(self.tx, self.id)?;
        if number > PAYMENT_NUMBER_MAX {
            return Err(StoreError::Limit(format!(
                "the merchant has used up its payment numbers: the last is {PAYMENT_NUMBER_MAX}"
            )));
        }
        Ok(number)
    }

    fn insert_payment(&self, payment: &Payment, number: u32, text: &Text) -> Result<()> {
        let sql = "INSERT INTO payment \
                   (merchant, number, version, integration, provider, state, created_at, updated_at, record) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        execute(
            self.tx.conn,
            sql,
            params![
                self.merchant,
                number,
                int(payment.version),
                payment.integration.to_string(),
                payment.provider,
                state_word(payment.state),
                payment.created_at,
                payment.updated_at,
                text.with(Some(number)),
            ],
        )?;
        Ok(())
    }

    fn update_payment(&self, payment: &Payment, text: &Text) -> Result<()> {
        let sql = "UPDATE payment SET version = ?4, state = ?5, updated_at = ?6, record = ?7 \
                   WHERE merchant = ?1 AND number = ?2 AND version = ?3";
        let changed = execute(
            self.tx.conn,
            sql,
            params![
                self.merchant,
                payment.number,
                int(payment.version.saturating_sub(1)),
                int(payment.version),
                state_word(payment.state),
                payment.updated_at,
                text.with(None),
            ],
        )?;
        if changed == 1 { Ok(()) } else { Err(StoreError::Conflict(Conflict::Payment)) }
    }

    fn insert_link(&self, payment: &Payment, number: u32, link: &str) -> Result<()> {
        let (merchant, integration) = (&self.merchant, payment.integration.to_string());
        let sql = "INSERT INTO payment_link (merchant, integration, provider_id, number) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT DO NOTHING";
        if execute(self.tx.conn, sql, params![merchant, integration, link, number])? > 0 {
            return Ok(());
        }
        let sql =
            "SELECT number FROM payment_link WHERE merchant = ?1 AND integration = ?2 AND provider_id = ?3";
        let taken: Option<u32> =
            one(self.tx.conn, sql, params![merchant, integration, link], |row| row.get(0))?;
        if taken == Some(number) { Ok(()) } else { Err(StoreError::Conflict(Conflict::PaymentExists)) }
    }

    fn number(&self, own: u32) -> u32 {
        if own == 0 { self.number.unwrap_or(0) } else { own }
    }

    fn put_notification(&self, notification: &Notification, text: &Text) -> Result<()> {
        let sql = "INSERT INTO notification \
                   (merchant, id, integration, provider, outcome, payment, received_at, record) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                   ON CONFLICT (merchant, id) DO UPDATE SET outcome = excluded.outcome, payment = excluded.payment, \
                   received_at = excluded.received_at, record = excluded.record";
        execute(
            self.tx.conn,
            sql,
            params![
                self.merchant,
                notification.id.to_string(),
                notification.integration.to_string(),
                notification.provider,
                notification.outcome.word(),
                notification.payment.map(|own| self.number(own)),
                notification.received_at,
                text.with(self.number),
            ],
        )?;
        Ok(())
    }

    fn insert_event(&self, event: &Event, text: &Text) -> Result<()> {
        let sql = "INSERT INTO event (merchant, id, integration, payment, state, created_at, record, tail) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        execute(
            self.tx.conn,
            sql,
            params![
                self.merchant,
                event.id.to_string(),
                event.integration.to_string(),
                self.number(event.payment),
                event.state.word(),
                event.created_at,
                text.with(self.number),
                event.tail,
            ],
        )?;
        Ok(())
    }

    /// Gives those that are leased.
    fn insert_deliveries(&self, step: &Step) -> Result<Vec<Claimed>> {
        let mut leased = Vec::new();
        for (delivery, text) in step.commit.deliveries.iter().zip(&step.deliveries) {
            self.insert_delivery(delivery, text)?;
            let event = self.event(&step.commit, delivery)?;
            if let Some((fence, due, lease_until)) = self.queue(&step.commit, delivery)? {
                let lane = Lane::Endpoint(delivery.endpoint);
                let delivery = Delivery { payment: self.number(delivery.payment), ..delivery.clone() };
                let event = Event { payment: self.number(event.payment), ..event.into_owned() };
                let material = Material::Delivery { delivery: Box::new(delivery), event: Box::new(event) };
                leased.push(Claimed { fence, lane, due, lease_until, probe: None, material });
            }
        }
        Ok(leased)
    }

    fn insert_delivery(&self, delivery: &Delivery, text: &Text) -> Result<()> {
        let sql = "INSERT INTO delivery \
                   (merchant, id, version, event, payment, endpoint, provider, state, status, created_at, record) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        execute(
            self.tx.conn,
            sql,
            params![
                self.merchant,
                delivery.id.to_string(),
                int(delivery.version),
                delivery.event.to_string(),
                self.number(delivery.payment),
                delivery.endpoint.to_string(),
                delivery.provider,
                delivery.state.word(),
                delivery.status.word(),
                delivery.created_at,
                text.with(self.number),
            ],
        )?;
        Ok(())
    }

    /// Puts a delivery in the queue, if it is to be sent; gives its lease, when it is due and when the lease ends, if
    /// it is leased at once.
    fn queue(&self, commit: &Commit, delivery: &Delivery) -> Result<Option<(Fence, i64, i64)>> {
        let tx = self.tx;
        let Some(next) = delivery.next_attempt_at else { return Ok(None) };
        let due = if next.saturating_sub(tx.now) <= SKEW_MAX { next.min(tx.now) } else { next };
        let work = WorkId::Delivery(delivery.id);
        let lane = Lane::Endpoint(delivery.endpoint);
        let entry = NewEntry { work, merchant: delivery.merchant, lane, due, job: None, new_payment: 0 };
        let queue_only = due > tx.now || commit.queue_only.contains(&delivery.endpoint);
        let lease = commit.lease.as_ref().filter(|_| !queue_only);
        let held = lease.is_some() && holds::held(tx, &lane.to_string())?;
        let Some((owner, lease_ms)) = lease.filter(|_| !held) else {
            queue::insert(tx, &entry, None)?;
            return Ok(None);
        };
        let token = batch::take_tokens(tx, 1)?;
        let until = tx.now.saturating_add(int(*lease_ms));
        queue::insert(tx, &entry, Some(&Lease { owner, until, token }))?;
        Ok(Some((Fence { work, token }, due, until)))
    }

    /// A delivery's event, of this step or an earlier one.
    fn event<'a>(&self, commit: &'a Commit, delivery: &Delivery) -> Result<Cow<'a, Event>> {
        if let Some(event) = commit.events.iter().find(|event| event.id == delivery.event) {
            return Ok(Cow::Borrowed(event));
        }
        let event = lists::event(self.tx.conn, delivery.merchant, delivery.event)?;
        event.map(Cow::Owned).ok_or(StoreError::NotFound("event"))
    }

    fn insert_job(&self, job: &Job, in_ms: u64, text: &Text) -> Result<()> {
        let entry = NewEntry {
            work: WorkId::Job(job.id),
            merchant: job.merchant,
            lane: job.lane,
            due: self.tx.now.saturating_add(int(in_ms)),
            job: Some((job, text.with(self.number))),
            new_payment: self.number.unwrap_or(0),
        };
        queue::insert(self.tx, &entry, None)
    }
}

/// Puts a job into the queue that is due now.
pub(super) fn queue_job(tx: &Tx<'_>, job: &Job) -> Result<()> {
    let entry = NewEntry {
        work: WorkId::Job(job.id),
        merchant: job.merchant,
        lane: job.lane,
        due: tx.now,
        job: Some((job, job_text(job)?.into())),
        new_payment: 0,
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
