//! The money's path: looking payments up, and the commit.

use super::RedisStore;
use super::call::{Call, Reply, Rows};
use super::keys::{self, damaged};
use super::{record, scripts};
use crate::domain::delivery::Delivery;
use crate::domain::event::Event;
use crate::domain::ids::MerchantId;
use crate::domain::job::{Lane, Task, WorkId};
use crate::domain::notification::Notification;
use crate::domain::payment::Origin;
use crate::store::{
    Claimed, Commit, Committed, Conflict, Decide, Fence, Found, LookUp, Material, PaymentWrite, Result,
    StoreError, Tally,
};

/// Payments asked for in one look-up, at the most of each kind.
const LOOK_UP_MAX: usize = 100;

/// A time span of the caller as the scripts take it.
pub(super) fn span(ms: u64) -> i64 {
    // About 30 000 years: sums with it stay exact in Lua's numbers.
    i64::try_from(ms).unwrap_or(i64::MAX).min(1_000_000_000_000_000)
}

pub(super) fn push_tallies(call: &mut Call, tallies: &[Tally]) {
    call.push_count(tallies.len());
    for tally in tallies {
        call.push(&tally.key);
        call.push_num(tally.by);
    }
}

/// What a script's word for a conflict means.
pub(super) fn refusal(word: &str) -> StoreError {
    StoreError::Conflict(match word {
        "config" => Conflict::Config,
        "lease" => Conflict::Lease,
        "payment" => Conflict::Payment,
        "payment_exists" => Conflict::PaymentExists,
        "delivery" => Conflict::Delivery,
        "replay" => Conflict::Replay,
        "audit" => Conflict::Audit,
        "hold" => Conflict::Hold,
        "exists" => Conflict::Exists,
        "leaving" => Conflict::Leaving,
        "none" => return StoreError::NotFound("such merchant"),
        "no_event" => return StoreError::NotFound("such event"),
        "full" => return StoreError::Limit("the merchant has used up its payment numbers".to_owned()),
        _ => return damaged("an answer"),
    })
}

impl RedisStore {
    pub(super) async fn find_payments(&self, ask: &LookUp) -> Result<Found> {
        let mut call = Call::new(&scripts::LOOK_UP, keys::of_merchant(ask.merchant));
        call.push(keys::merchant(ask.merchant));
        push_question(&mut call, Some(ask))?;
        found(ask, &mut self.call(call).await?.rows()?)
    }

    /// Mostly it is the first notification of a payment: what is to be written then is tried at once. If something is
    /// found nothing is written, and the answer says what, so that two round trips are the most.
    pub(super) async fn look_and_keep(
        &self,
        ask: LookUp,
        at_hand: u64,
        mut decide: Decide,
    ) -> Result<Option<Committed>> {
        let guess = decide(&Found::nothing(at_hand)).filter(|guess| guess.merchant == ask.merchant);
        let found = match guess {
            Some(guess) => match self.keep_if_new(guess, Some(&ask)).await? {
                Kept::Written(committed) => return Ok(Some(committed)),
                Kept::Found(found) => found,
            },
            None => self.find_payments(&ask).await?,
        };
        match decide(&found) {
            Some(commit) => self.keep(commit).await.map(Some),
            None => Ok(None),
        }
    }

    pub(super) async fn keep(&self, commit: Commit) -> Result<Committed> {
        match self.keep_if_new(commit, None).await? {
            Kept::Written(committed) => Ok(committed),
            Kept::Found(_) => Err(damaged("an answer")),
        }
    }

    /// Writes a step, but not if one of these payments is there already.
    async fn keep_if_new(&self, commit: Commit, new: Option<&LookUp>) -> Result<Kept> {
        let reply = self.call(commit_call(&commit, new)?).await?;
        let mut rows = reply.rows()?;
        let word = rows.item()?.text()?;
        match (word.as_str(), new) {
            ("ok", _) => self.kept(commit, rows).await.map(Kept::Written),
            ("found", Some(ask)) => found(ask, &mut rows).map(Kept::Found),
            _ => Err(refusal(&word)),
        }
    }

    async fn kept(&self, commit: Commit, mut rows: Rows) -> Result<Committed> {
        let now = rows.item()?.int()?;
        let new_number = number(rows.item()?)?;
        let version = u64::try_from(rows.item()?.int()?).map_err(|_| damaged("a version"))?;
        let ends = rows.item()?.int()?;
        let payment = commit.payment.as_ref().map(|_| (new_number, version));
        let partition = keys::of_merchant(commit.merchant);
        if !commit.jobs.is_empty() {
            self.heads.waits(partition, None);
        }
        let mut leased = Vec::new();
        let Commit { deliveries, events, .. } = commit;
        for delivery in deliveries {
            let due = rows.item()?.int()?;
            let token = rows.item()?.text()?;
            if token.is_empty() {
                if delivery.next_attempt_at.is_some() {
                    self.heads.waits(partition, None);
                }
                continue;
            }
            let claimed = Leased { due, token, ends, payment: payment.map(|(number, _)| number) };
            leased.extend(self.leased(claimed, delivery, &events).await?);
        }
        Ok(Committed { payment, leased, now })
    }

    /// A delivery that the commit leased, with its event: mostly one of the same commit; a replay's is older.
    async fn leased(
        &self,
        lease: Leased,
        mut delivery: Delivery,
        events: &[Event],
    ) -> Result<Option<Claimed>> {
        let real = |number: u32| if number == 0 { lease.payment.unwrap_or(0) } else { number };
        delivery.payment = real(delivery.payment);
        delivery.version = 1;
        let event = match events.iter().find(|event| event.id == delivery.event) {
            Some(event) => Some(Event { payment: real(event.payment), ..event.clone() }),
            None => self.read_event(delivery.merchant, delivery.event).await?,
        };
        let token = lease.token.parse().map_err(|_| damaged("a lease"))?;
        Ok(event.map(|event| Claimed {
            fence: Fence { work: WorkId::Delivery(delivery.id), token },
            lane: Lane::Endpoint(delivery.endpoint),
            due: lease.due,
            lease_until: lease.ends,
            probe: None,
            material: Material::Delivery { delivery: Box::new(delivery), event: Box::new(event) },
        }))
    }
}

/// What became of a step.
enum Kept {
    Written(Committed),
    /// Nothing: these payments are there.
    Found(Found),
}

fn push_question(call: &mut Call, ask: Option<&LookUp>) -> Result<()> {
    let Some(ask) = ask else {
        call.push_count(0);
        call.push_count(0);
        return Ok(());
    };
    if ask.provider_ids.len() > LOOK_UP_MAX || ask.numbers.len() > LOOK_UP_MAX {
        return Err(StoreError::Limit(format!("more than {LOOK_UP_MAX} payments looked up at once")));
    }
    call.push_count(ask.provider_ids.len());
    for provider_id in &ask.provider_ids {
        call.push(keys::link(ask.integration, provider_id));
    }
    call.push_count(ask.numbers.len());
    for number in &ask.numbers {
        call.push_num(*number);
    }
    Ok(())
}

/// Reads the answer to a question.
fn found(ask: &LookUp, rows: &mut Rows) -> Result<Found> {
    let version = u64::try_from(rows.item()?.int()?).map_err(|_| damaged("a version"))?;
    let mut found = Found::nothing(version);
    for provider_id in &ask.provider_ids {
        let row = rows.item()?;
        if row.is_nil() {
            continue;
        }
        let mut row = row.rows()?;
        let number = number(row.item()?)?;
        let payment = record::payment(ask.merchant, number, &row.item()?.bytes()?)?;
        found.by_provider_id.insert(provider_id.clone(), payment);
    }
    for number in &ask.numbers {
        let Some(bytes) = rows.item()?.maybe_bytes()? else { continue };
        let payment = record::payment(ask.merchant, *number, &bytes)?;
        if payment.integration == ask.integration && payment.origin == Origin::Api {
            found.by_number.insert(*number, payment);
        }
    }
    Ok(found)
}

struct Leased {
    due: i64,
    token: String,
    ends: i64,
    payment: Option<u32>,
}

/// A payment's number.
pub(super) fn number(reply: Reply) -> Result<u32> {
    u32::try_from(reply.int()?).map_err(|_| damaged("a payment's number"))
}

fn commit_call(commit: &Commit, new: Option<&LookUp>) -> Result<Call> {
    let mut call = Call::new(&scripts::COMMIT, keys::of_merchant(commit.merchant));
    call.push(keys::merchant(commit.merchant));
    call.push_opt(commit.config_version.map(|version| i64::try_from(version).unwrap_or(i64::MAX)));
    match commit.finish {
        Some(fence) => {
            call.push(keys::work(fence.work));
            call.push(fence.token.to_string());
        }
        None => {
            call.push("");
            call.push("");
        }
    }
    push_question(&mut call, new)?;
    push_payment(&mut call, commit.payment.as_ref())?;
    let older: Vec<&Delivery> =
        commit.deliveries.iter().filter(|delivery| is_older(delivery, commit)).collect();
    call.push_count(older.len());
    for delivery in older {
        call.push_num(delivery.payment);
        call.push(delivery.event.0.as_bytes());
        call.push(delivery.id.0.as_bytes());
    }
    push_records(&mut call, commit)?;
    call.push_count(commit.jobs.len());
    for (job, delay) in &commit.jobs {
        call.push(keys::work(WorkId::Job(job.id)));
        call.push(job.lane.to_string());
        call.push_num(span(*delay));
        call.push(record::pack_job(job)?);
        match &job.task {
            Task::Confirm { notification, .. } => call.push(notification.0.as_bytes()),
            task => match task.payment() {
                Some(number) => call.push(format!("#{number}")),
                None => call.push(""),
            },
        }
    }
    call.push_count(commit.call_off.len());
    for job in &commit.call_off {
        call.push(keys::work(WorkId::Job(*job)));
    }
    let lease = commit.lease.as_ref();
    call.push(lease.map_or("", |(owner, _)| owner.as_str()));
    call.push_opt(lease.map(|(_, ms)| span(*ms)));
    push_tallies(&mut call, &commit.tallies);
    Ok(call)
}

/// The event of the same commit that has the notification's body as its payload. Both are kept with one payment.
fn event_of<'a>(notification: &Notification, commit: &'a Commit) -> Option<&'a Event> {
    commit.events.iter().find(|event| {
        let belong = event.notification == Some(notification.id) || notification.event == Some(event.id);
        belong && notification.payment == Some(event.payment)
    })
}

/// Whether a delivery is of an event that is there already.
fn is_older(delivery: &Delivery, commit: &Commit) -> bool {
    commit.events.iter().all(|event| event.id != delivery.event)
}

fn push_payment(call: &mut Call, write: Option<&PaymentWrite>) -> Result<()> {
    let (op, payment, links) = match write {
        None => {
            call.push("");
            call.push_num(0);
            call.push_num(0);
            call.push("");
            call.push("");
            call.push_count(0);
            return Ok(());
        }
        Some(PaymentWrite::New { payment, links }) => ("new", payment, links),
        Some(PaymentWrite::Update { payment, links }) => ("upd", payment, links),
    };
    call.push(op);
    call.push_num(if op == "new" { 0 } else { payment.number });
    let loaded = if op == "new" { 0 } else { payment.version };
    call.push_num(i64::try_from(loaded).unwrap_or(i64::MAX));
    call.push(record::payment_mark(payment));
    call.push(record::pack_payment(payment)?);
    call.push_count(links.len());
    for provider_id in links {
        call.push(keys::link(payment.integration, provider_id));
    }
    Ok(())
}

fn push_records(call: &mut Call, commit: &Commit) -> Result<()> {
    match &commit.notification {
        Some(notification) => {
            call.push(notification.id.0.as_bytes());
            call.push_opt(notification.payment.map(i64::from));
            call.push(record::pack_notification(notification, event_of(notification, commit))?);
        }
        None => {
            for _ in 0..3 {
                call.push("");
            }
        }
    }
    call.push_count(commit.events.len());
    for event in &commit.events {
        call.push(event.id.0.as_bytes());
        call.push_num(event.payment);
        call.push(record::pack_event(event)?);
    }
    call.push_count(commit.deliveries.len());
    for delivery in &commit.deliveries {
        call.push(delivery.id.0.as_bytes());
        call.push(Lane::Endpoint(delivery.endpoint).to_string());
        call.push_num(delivery.payment);
        call.push_opt(delivery.next_attempt_at);
        call.push(if commit.queue_only.contains(&delivery.endpoint) { "wait" } else { "" });
        call.push(record::pack_delivery(delivery)?);
    }
    Ok(())
}

/// The merchant of a row.
pub(super) fn merchant(reply: Reply) -> Result<MerchantId> {
    keys::merchant_of(&reply.text()?)
}
