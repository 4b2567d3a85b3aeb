//! The queue: claims over all partitions, settling, giving back, counting.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all, try_join_all};

use super::call::{Call, Rows};
use super::keys::{self, PARTITIONS, damaged};
use super::path::{merchant, number, push_tallies, refusal, span};
use super::{RedisStore, TimeSource};
use super::{health, record, scripts};
use crate::clock::Stopwatch;
use crate::domain::ids::{DeliveryId, EventId, JobId, MerchantId};
use crate::domain::job::{Lane, WorkId};
use crate::quiet::LogGate;
use crate::store::{
    Alive, Backlog, ClaimAsk, Claimed, Claims, Fence, HELD_COUNTED_MAX, Held, Holding, Material, Result,
    Settle, SettleEnd, StoreError,
};

/// Rounds of a claim: one over all partitions, then only those that had more.
const ROUNDS_MAX: usize = 4;
/// When to look again where nobody could look, milliseconds.
const UNSEEN_AGAIN_MS: i64 = 1_000;
/// No further round begins after this: what the first gave must be in hand before anybody could think it lost
/// ([`LEASE_UNKNOWN_MS`](crate::store::LEASE_UNKNOWN_MS)).
const ROUNDS_FOR: Duration = Duration::from_secs(2);
/// Work of one claim at the most.
const CLAIM_MAX: usize = 1_000;

/// Lines about partitions that can't be asked: claims are many a second.
static LOG: LogGate = LogGate::new();

/// What one partition is asked for.
#[derive(Clone, Copy)]
struct Share<'a> {
    /// Work of lanes that are not held.
    usual: usize,
    /// Of held lanes; `None`: those are not looked at.
    probes: Option<usize>,
    ask: &'a ClaimAsk,
    /// What is left of the lanes' own limits.
    room: &'a HashMap<Lane, u32>,
}

/// What a partition gave.
struct Part {
    partition: u8,
    now: i64,
    next_due: Option<i64>,
    more: bool,
    work: Vec<Claimed>,
}

impl RedisStore {
    /// Asks every partition that may have due work for its share, then those that had more for what is still wanted;
    /// when they had nothing, the others too.
    pub(super) async fn take_work(&self, ask: &ClaimAsk) -> Result<Claims> {
        let most = ask.max.min(CLAIM_MAX);
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let (mut asked, mut spared) = self.heads.part(turned(first), self.about_now());
        let mut room = ask.room.clone();
        let mut heads: HashMap<u8, Option<i64>> = HashMap::new();
        let mut work: Vec<Claimed> = Vec::new();
        let (mut now, mut failed, watch) = (0, None, Stopwatch::start());
        let resting = asked.len() + spared.len() < usize::from(PARTITIONS);
        let (mut left, mut probes) = (most, ask.probes.min(CLAIM_MAX));
        for _ in 0..ROUNDS_MAX {
            let wanted = shares(left, asked.len()).zip(shares(probes, asked.len()));
            let calls = asked.iter().zip(wanted).map(|(partition, (usual, probes))| {
                let probes = (ask.probes > 0).then_some(probes);
                self.ask_part(*partition, Share { usual, probes, ask, room: &room }).boxed()
            });
            let parts = join_all(calls).await;
            asked.clear();
            for part in parts {
                let part = match part {
                    Ok(part) => part,
                    Err(error) => {
                        failed = Some(error);
                        continue;
                    }
                };
                now = now.max(part.now);
                heads.insert(part.partition, part.next_due);
                if part.more {
                    asked.push(part.partition);
                }
                let probed = part.work.iter().filter(|claimed| claimed.probe.is_some()).count();
                left = left.saturating_sub(part.work.len().saturating_sub(probed));
                probes = probes.saturating_sub(probed);
                for claimed in &part.work {
                    let left = room.entry(claimed.lane).or_insert(ask.per_lane);
                    *left = left.saturating_sub(1);
                }
                work.extend(part.work);
            }
            if asked.is_empty() && work.is_empty() {
                asked = std::mem::take(&mut spared);
            }
            if asked.is_empty() || watch.elapsed() > ROUNDS_FOR || (left == 0 && (probes == 0 || most > 0)) {
                break;
            }
        }
        let partly = resting || failed.is_some();
        match failed {
            Some(error) if heads.is_empty() => return Err(error),
            // One master of a cluster may be down: the others' work goes on.
            Some(error) => {
                if let Some(left_out) = LOG.open() {
                    tracing::warn!(%error, left_out, "a partition gave no work");
                }
            }
            None => {}
        }
        self.note_now(now);
        // What became due there meanwhile is for the next claim, a moment later.
        let of_spared = spared.into_iter().filter_map(|partition| self.heads.due(partition));
        let of_spared = of_spared.map(|due| due.max(now.saturating_add(1)));
        // Where nobody could look, something may be due.
        let unseen = partly.then(|| now.saturating_add(UNSEEN_AGAIN_MS));
        let next_due = heads.into_values().flatten().chain(of_spared).chain(unseen).min();
        Ok(Claims { work: take_turns(work), now, next_due })
    }

    /// The store's clock, Unix milliseconds, as far as the last claim tells.
    fn about_now(&self) -> i64 {
        if let TimeSource::Clock(clock) = &self.time {
            return clock.now();
        }
        let claimed = self.claimed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        claimed.map_or(i64::MAX, |(now, since)| now.saturating_add(i64::from(since.elapsed_ms())))
    }

    fn note_now(&self, now: i64) {
        let mut claimed = self.claimed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *claimed = Some((now, Stopwatch::start()));
    }

    /// Asks a partition for its share. One that failed last time is only looked at, and not waited for: what it leased
    /// by an answer that nobody waits for would be lost for a while. Once it answers it is asked again, at once.
    async fn ask_part(&self, partition: u8, share: Share<'_>) -> Result<Part> {
        let brief = self.heads.brief(partition);
        let share = if brief.is_some() { Share { usual: 0, probes: None, ..share } } else { share };
        let part = self.patiently(partition, brief, self.claim(partition, share).boxed()).await?;
        Ok(Part { more: part.more || brief.is_some(), ..part })
    }

    /// Waits for a partition's answer; only so long if it is to be [brief](super::heads::Heads::brief).
    async fn patiently<T>(
        &self,
        partition: u8,
        brief: Option<Duration>,
        asked: BoxFuture<'_, Result<T>>,
    ) -> Result<T> {
        let late =
            || StoreError::Unavailable("a partition that failed before did not answer at once".to_owned());
        let answer = match brief {
            None => asked.await,
            Some(brief) => tokio::time::timeout(brief, asked).await.unwrap_or_else(|_| Err(late())),
        };
        self.heads.answered(partition, answer.is_ok());
        answer
    }

    async fn claim(&self, partition: u8, share: Share<'_>) -> Result<Part> {
        let Share { usual, probes, ask, room } = share;
        self.heads.ask(partition);
        let mut call = Call::new(&scripts::CLAIM, partition).arg(&ask.owner).num(span(ask.lease_ms));
        call.push_count(usual);
        call.push_num(ask.per_lane);
        match probes {
            None => call.push_num(-1),
            Some(probes) => call.push_count(probes),
        }
        call.push_count(room.len());
        for (lane, left) in room {
            call.push(lane.to_string());
            call.push_num(*left);
        }
        let mut reply = self.call(call).await?.rows()?;
        let now = reply.item()?.int()?;
        let next_due = time_or_nothing(&mut reply)?;
        let more = reply.item()?.int()? == 1;
        let rows = reply.item()?.rows()?;
        let mut work = Vec::with_capacity(rows.left());
        for row in rows {
            match claimed(row.rows()?, now.saturating_add(span(ask.lease_ms))) {
                Ok(claimed) => work.push(claimed),
                // One damaged record must not hold up all others; its lease runs out and it is tried again.
                Err(error) => tracing::error!(%error, partition, "claimed work can't be read"),
            }
        }
        if let Some(due) = next_due {
            self.heads.waits(partition, Some(due));
        }
        Ok(Part { partition, now, next_due, more, work })
    }

    pub(super) async fn end_work(&self, settle: Settle) -> Result<()> {
        let mut call = Call::new(&scripts::SETTLE, keys::of_merchant(settle.merchant));
        call.push(keys::work(settle.fence.work));
        call.push(settle.fence.token.to_string());
        match settle.hold {
            Some(holding) => push_holding(&mut call, holding),
            None => {
                call.push("");
                call.push("");
            }
        }
        match (&settle.end, settle.fence.work) {
            (SettleEnd::Delivery { delivery, attempt }, WorkId::Delivery(_)) => {
                call.push(keys::merchant(settle.merchant));
                call.push_num(delivery.payment);
                call.push_num(i64::try_from(delivery.version).unwrap_or(i64::MAX));
                call.push(record::pack_delivery(delivery)?);
                call.push_opt(delivery.next_attempt_at);
                call.push(attempt.as_ref().map(record::pack_attempt).transpose()?.unwrap_or_default());
                health::push(&mut call, delivery, attempt.as_ref());
            }
            (SettleEnd::Job { job, again_in }, WorkId::Job(_)) => {
                call.push(record::pack_job(job)?);
                call.push_opt(again_in.map(span));
            }
            _ => {
                return Err(StoreError::NotFound(
                    "such work: a delivery was settled as a job, or a job as a delivery",
                ));
            }
        }
        call.push(keys::merchant(settle.merchant));
        push_tallies(&mut call, &settle.tallies);
        let request = self.unsure.request(settle.fence);
        let reply = self.call_as(call, request).await;
        self.unsure.note(settle.fence, request, &reply);
        let word = reply?.rows()?.item()?.text()?;
        let waits = match &settle.end {
            SettleEnd::Delivery { delivery, .. } => delivery.next_attempt_at.map(Some),
            SettleEnd::Job { again_in, .. } => again_in.map(|_| None),
        };
        if let Some(due) = waits.or(settle.hold.map(|_| None)) {
            self.heads.waits(keys::of_merchant(settle.merchant), due);
        }
        if word == "ok" { Ok(()) } else { Err(refusal(&word)) }
    }

    pub(super) async fn give_back(&self, work: &[(MerchantId, Fence)]) -> Result<()> {
        let mut calls: HashMap<u8, Call> = HashMap::new();
        for (merchant, fence) in work {
            let partition = keys::of_merchant(*merchant);
            let call = calls.entry(partition).or_insert_with(|| Call::new(&scripts::RELEASE, partition));
            call.push(keys::work(fence.work));
            call.push(fence.token.to_string());
        }
        let partitions: Vec<u8> = calls.keys().copied().collect();
        let given = try_join_all(calls.into_values().map(|call| self.call(call))).await.map(drop);
        partitions.into_iter().for_each(|partition| self.heads.waits(partition, None));
        given
    }

    /// Tells every partition: each judges for itself, since each may live in another server.
    pub(super) async fn tell_alive(&self, alive: &Alive) -> Result<i64> {
        let mut calls: Vec<Call> = (0..PARTITIONS)
            .map(|partition| {
                let call = Call::new(&scripts::ALIVE, partition).arg(&alive.owner);
                call.num(span(alive.lease_ms)).opt(alive.as_of)
            })
            .collect();
        for (merchant, fence) in &alive.held {
            if let Some(call) = calls.get_mut(usize::from(keys::of_merchant(*merchant))) {
                call.push(fence.token.to_string());
            }
        }
        let (mut earliest, mut failed) = (None::<i64>, None);
        let calls = (0..PARTITIONS).zip(calls);
        let calls = join_all(calls.map(|(partition, call)| {
            self.patiently(partition, self.heads.brief(partition), self.call(call).boxed())
        }));
        let (told, ()) = futures_util::future::join(calls, self.link.follow_primary()).await;
        for told in told {
            match told.and_then(|reply| reply.int()) {
                Ok(now) => earliest = Some(earliest.map_or(now, |earliest| earliest.min(now))),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or_else(|| earliest.ok_or_else(|| damaged("the time")), Err)
    }

    pub(super) async fn hold_lane(&self, merchant: MerchantId, lane: Lane, holding: Holding) -> Result<()> {
        let mut call = Call::new(&scripts::HOLD, keys::of_merchant(merchant)).arg(lane.to_string());
        push_holding(&mut call, holding);
        self.call(call).await?;
        self.heads.waits(keys::of_merchant(merchant), None);
        Ok(())
    }

    pub(super) async fn held_lanes(
        &self,
        merchant: MerchantId,
        lanes: &[Lane],
    ) -> Result<HashMap<Lane, Held>> {
        let mut call = Call::new(&scripts::HOLDS, keys::of_merchant(merchant));
        for lane in lanes {
            call.push(lane.to_string());
        }
        let mut rows = self.call(call).await?.rows()?;
        let mut held = HashMap::new();
        for lane in lanes {
            let (ends, step) = (time_or_nothing(&mut rows)?, rows.item()?.text()?);
            let (since, tried_until) = (time_or_nothing(&mut rows)?, time_or_nothing(&mut rows)?);
            let waiting = rows.item()?.text()?.parse().unwrap_or(0);
            let Some(until) = ends else { continue };
            let row = Held {
                until,
                step: step.parse().unwrap_or(0),
                since: since.unwrap_or(until),
                tried_until,
                waiting: HELD_COUNTED_MAX.min(waiting),
            };
            held.insert(*lane, row);
        }
        Ok(held)
    }

    pub(super) async fn count_work(&self) -> Result<Backlog> {
        let mut sum = Backlog::default();
        for reply in self.call_all(|partition| Call::new(&scripts::BACKLOG, partition)).await? {
            let mut row = reply.rows()?;
            sum.waiting += u64::try_from(row.item()?.int()?).unwrap_or(0);
            sum.leased += u64::try_from(row.item()?.int()?).unwrap_or(0);
            let oldest = time_or_nothing(&mut row)?;
            let held = row.item()?.int()?;
            sum.held_lanes += u64::try_from(held).unwrap_or(0);
            sum.oldest_due = [sum.oldest_due, oldest].into_iter().flatten().min();
            let made = time_or_nothing(&mut row)?;
            sum.oldest_delivery = [sum.oldest_delivery, made].into_iter().flatten().min();
        }
        Ok(sum)
    }
}

fn push_holding(call: &mut Call, holding: Holding) {
    match holding {
        Holding::Until { until, step } => {
            call.push_num(until);
            call.push_num(step);
        }
        Holding::Lift => {
            call.push("lift");
            call.push("");
        }
    }
}

fn time_or_nothing(row: &mut Rows) -> Result<Option<i64>> {
    let reply = row.item()?;
    if reply.is_empty() { Ok(None) } else { reply.int().map(Some) }
}

/// Every partition, beginning with another one each time.
fn turned(first: usize) -> Vec<u8> {
    let mut all: Vec<u8> = (0..PARTITIONS).collect();
    let by = first % all.len().max(1);
    all.rotate_left(by);
    all
}

/// How much each of so many partitions may give: together exactly `most`; some are only looked at.
fn shares(most: usize, partitions: usize) -> impl Iterator<Item = usize> {
    let (each, over) = (most / partitions.max(1), most % partitions.max(1));
    (0..partitions).map(move |index| each + usize::from(index < over))
}

/// Puts work in an order in which lanes take turns; within a lane it stays.
fn take_turns(work: Vec<Claimed>) -> Vec<Claimed> {
    let mut places: HashMap<Lane, usize> = HashMap::new();
    let mut lanes: Vec<VecDeque<Claimed>> = Vec::new();
    let all = work.len();
    for claimed in work {
        let place = *places.entry(claimed.lane).or_insert_with(|| {
            lanes.push(VecDeque::new());
            lanes.len() - 1
        });
        if let Some(lane) = lanes.get_mut(place) {
            lane.push_back(claimed);
        }
    }
    let mut ordered = Vec::with_capacity(all);
    while ordered.len() < all {
        ordered.extend(lanes.iter_mut().filter_map(VecDeque::pop_front));
    }
    ordered
}

fn claimed(mut row: Rows, lease_until: i64) -> Result<Claimed> {
    let name = row.item()?.bytes()?;
    let token = row.item()?.text()?.parse().map_err(|_| damaged("a lease"))?;
    let lane: Lane = row.item()?.text()?.parse().map_err(|_| damaged("a lane"))?;
    let due = row.item()?.int()?;
    let merchant = merchant(row.item()?)?;
    let number = number(row.item()?)?;
    let bytes = row.item()?.bytes()?;
    let (event_id, event) = (row.item()?.bytes()?, row.item()?.bytes()?);
    let probe = row.item()?.text()?.parse().ok();
    let (work, material) = match name.split_first() {
        Some((b'd', id)) => {
            let id = DeliveryId(keys::id(id)?);
            let delivery = Box::new(record::delivery(merchant, id, number, &bytes)?);
            let event = record::event(merchant, EventId(keys::id(&event_id)?), number, &event)?;
            (WorkId::Delivery(id), Material::Delivery { delivery, event: Box::new(event) })
        }
        Some((b'j', id)) => {
            (WorkId::Job(JobId(keys::id(id)?)), Material::Job(Box::new(record::job(number, &bytes)?)))
        }
        _ => return Err(damaged("a queue entry")),
    };
    Ok(Claimed { fence: Fence { work, token }, lane, due, lease_until, probe, material })
}
