//! Taking due work: lanes take turns, and within a lane what has been due longest comes first.
//!
//! A lane whose first entry has come due gets a place in the row of lanes; one that was served goes to the row's
//! end. So a lane with 100 000 entries and one with a single entry are served alike, and no claim looks at more
//! entries than it takes.

use std::collections::HashMap;

use rusqlite::params;

use super::super::{ClaimAsk, Claimed, Claims, Fence, Material, Result, StoreError};
use super::batch::{last_token, take_tokens};
use super::queue::{self, end_lease, lane_changes};
use super::rows::{all, execute, int, one, parse};
use super::writer::Tx;
use super::{commit, holds, lists};
use crate::domain::ids::MerchantId;
use crate::domain::job::{Lane, WorkId};

/// Work of one claim at the most.
const CLAIM_MAX: usize = 1000;
/// Leases that ran out and are taken back by one claim at the most.
const EXPIRED_MAX: i64 = 1000;

pub(super) const EXPIRED: &str = "SELECT work, lane, due FROM queue WHERE lease_until IS NOT NULL AND lease_until <= ?1 \
     ORDER BY lease_until LIMIT ?2";
pub(super) const PROMOTE: &str = "UPDATE lane SET turn = ?1 WHERE turn IS NULL AND due <= ?2";
pub(super) const TURNS: &str = "SELECT lane FROM lane WHERE turn IS NOT NULL ORDER BY turn, due";
pub(super) const DUE_OF_LANE: &str = "SELECT work, merchant, due, job FROM queue \
     WHERE lane = ?1 AND lease_until IS NULL AND due <= ?2 ORDER BY due LIMIT ?3 OFFSET ?4";
/// Where only named lanes are wanted.
pub(super) const TURN_OF: &str = "SELECT turn FROM lane WHERE lane = ?1 AND turn IS NOT NULL";
pub(super) const NEXT_DUE: &str = "SELECT min(due) FROM lane";
pub(super) const NEXT_HELD: &str = "SELECT min(due) FROM hold WHERE due IS NOT NULL";

/// A lane whose turn it is, and what is taken of it.
struct Pick {
    lane: Lane,
    name: String,
    room: usize,
    taken: Vec<Taken>,
    empty: bool,
    /// The step of the hold on it.
    probe: Option<u32>,
}

struct Taken {
    work: String,
    merchant: String,
    due: i64,
    job: Option<String>,
}

pub(super) fn claim(tx: &Tx<'_>, ask: &ClaimAsk) -> Result<Claims> {
    expire(tx)?;
    execute(tx.conn, PROMOTE, params![int(last_token(tx)?), tx.now])?;
    let mut picks = if ask.per_lane == 0 { named(tx, ask)? } else { choose(tx, ask)? };
    fill(tx, &mut picks, ask.max.min(CLAIM_MAX))?;
    picks.extend(probes(tx, ask)?);
    let work = lease(tx, ask, picks)?;
    let first = |sql| Ok::<Option<i64>, StoreError>(one(tx.conn, sql, [], |row| row.get(0))?.flatten());
    let next_due = [first(NEXT_DUE)?, first(NEXT_HELD)?].into_iter().flatten().min();
    Ok(Claims { work, now: tx.now, next_due })
}

/// Work whose lease ran out waits again, due as it was.
fn expire(tx: &Tx<'_>) -> Result<()> {
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let expired: Vec<(String, String, Option<i64>)> = all(tx.conn, EXPIRED, [tx.now, EXPIRED_MAX], read)?;
    for (work, lane, due) in expired {
        end_lease(tx, parse::<WorkId>(&work)?, &lane, due)?;
    }
    Ok(())
}

/// The lanes that are served now: those with room, in their order.
fn choose(tx: &Tx<'_>, ask: &ClaimAsk) -> Result<Vec<Pick>> {
    let max = ask.max.min(CLAIM_MAX);
    let mut picks = Vec::new();
    let mut statement = tx.conn.prepare_cached(TURNS).map_err(super::error::from_sqlite)?;
    let mut rows = statement.query([]).map_err(super::error::from_sqlite)?;
    while picks.len() < max
        && let Some(row) = rows.next().map_err(super::error::from_sqlite)?
    {
        let name: String = row.get(0).map_err(super::error::from_sqlite)?;
        let lane: Lane = parse(&name)?;
        let room = ask.room.get(&lane).copied().unwrap_or(ask.per_lane);
        if room > 0 {
            picks.push(Pick::of(lane, name, room));
        }
    }
    Ok(picks)
}

/// Of the lanes that the router names, those whose turn it is, in their order: lanes it does not want are not even
/// looked at, however many they are.
fn named(tx: &Tx<'_>, ask: &ClaimAsk) -> Result<Vec<Pick>> {
    let mut turns = Vec::new();
    for (lane, room) in ask.room.iter().filter(|(_, room)| **room > 0) {
        let name = lane.to_string();
        let turn: Option<i64> = one(tx.conn, TURN_OF, [&name], |row| row.get(0))?;
        turns.extend(turn.map(|turn| (turn, Pick::of(*lane, name, *room))));
    }
    turns.sort_by_key(|(turn, pick)| (*turn, pick.lane));
    Ok(turns.into_iter().map(|(_, pick)| pick).take(ask.max.min(CLAIM_MAX)).collect())
}

/// Held lanes that may be tried again, each with its one entry.
fn probes(tx: &Tx<'_>, ask: &ClaimAsk) -> Result<Vec<Pick>> {
    let max = ask.probes.min(CLAIM_MAX);
    if max == 0 {
        return Ok(Vec::new());
    }
    let mut picks = Vec::new();
    for (name, step) in holds::due(tx, max.saturating_add(ask.room.len()))? {
        let lane: Lane = parse(&name)?;
        if picks.len() < max && ask.room.get(&lane) != Some(&0) {
            let mut pick = Pick { probe: Some(step), ..Pick::of(lane, name, 1) };
            pick.taken = due_of(tx, &pick, 1)?;
            picks.push(pick);
        }
    }
    Ok(picks)
}

/// Takes from the lanes in turns until `max` is reached or nothing more may be taken.
fn fill(tx: &Tx<'_>, picks: &mut [Pick], max: usize) -> Result<()> {
    let mut left = max;
    loop {
        let open = picks.iter().filter(|pick| pick.open()).count();
        if left == 0 || open == 0 {
            return Ok(());
        }
        let share = (left / open).max(1);
        for pick in picks.iter_mut().filter(|pick| pick.open()) {
            let want = share.min(pick.room.saturating_sub(pick.taken.len())).min(left);
            let got = due_of(tx, pick, want)?;
            pick.empty = got.len() < want;
            left = left.saturating_sub(got.len());
            pick.taken.extend(got);
        }
    }
}

impl Pick {
    fn of(lane: Lane, name: String, room: u32) -> Pick {
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        Pick { lane, name, room, taken: Vec::new(), empty: false, probe: None }
    }

    fn open(&self) -> bool {
        !self.empty && self.taken.len() < self.room
    }
}

fn due_of(tx: &Tx<'_>, pick: &Pick, want: usize) -> Result<Vec<Taken>> {
    let want = i64::try_from(want).unwrap_or(0);
    let offset = i64::try_from(pick.taken.len()).unwrap_or(i64::MAX);
    all(tx.conn, DUE_OF_LANE, params![pick.name, tx.now, want, offset], |row| {
        Ok(Taken { work: row.get(0)?, merchant: row.get(1)?, due: row.get(2)?, job: row.get(3)? })
    })
}

/// Leases what was taken, lanes interleaved, and brings the lanes up to date.
fn lease(tx: &Tx<'_>, ask: &ClaimAsk, picks: Vec<Pick>) -> Result<Vec<Claimed>> {
    let count = picks.iter().map(|pick| pick.taken.len()).sum::<usize>();
    let names: Vec<(String, bool)> =
        picks.iter().map(|pick| (pick.name.clone(), pick.probe.is_some())).collect();
    let steps: HashMap<Lane, u32> =
        picks.iter().filter_map(|pick| pick.probe.map(|step| (pick.lane, step))).collect();
    let mut work = Vec::with_capacity(count);
    if count > 0 {
        let mut token = take_tokens(tx, count)?;
        let lease_until = tx.now.saturating_add(int(ask.lease_ms));
        for (lane, taken) in interleave(picks) {
            let sql = "UPDATE queue SET lease_until = ?2, token = ?3, owner = ?4 WHERE work = ?1";
            execute(tx.conn, sql, params![taken.work, lease_until, int(token), ask.owner])?;
            let fence = Fence { work: parse(&taken.work)?, token };
            if let Some(material) = material(tx, &fence.work, &taken)? {
                let probe = steps.get(&lane).copied();
                work.push(Claimed { fence, lane, due: taken.due, lease_until, probe, material });
            }
            token = token.saturating_add(1);
        }
    }
    let turn = int(last_token(tx)?);
    for (name, probe) in names {
        if probe {
            holds::taken(tx, &name, tx.now.saturating_add(int(ask.lease_ms)))?;
        }
        lane_changes(tx, &name, Some(turn))?;
    }
    Ok(work)
}

/// The first of each lane, then the second of each, and so on.
fn interleave(picks: Vec<Pick>) -> Vec<(Lane, Taken)> {
    let mut lanes: Vec<_> = picks.into_iter().map(|pick| (pick.lane, pick.taken.into_iter())).collect();
    let mut row = Vec::new();
    loop {
        let before = row.len();
        for (lane, taken) in &mut lanes {
            row.extend(taken.next().map(|taken| (*lane, taken)));
        }
        if row.len() == before {
            return row;
        }
    }
}

/// What the work needs. One damaged record must not stop the queue: it stays leased, and so comes up (and is told
/// about) once per lease.
fn material(tx: &Tx<'_>, work: &WorkId, taken: &Taken) -> Result<Option<Material>> {
    let merchant: MerchantId = parse(&taken.merchant)?;
    let found = match (work, &taken.job) {
        (WorkId::Delivery(id), _) => {
            let delivery = lists::delivery(tx.conn, merchant, *id);
            delivery.and_then(|delivery| {
                let Some(delivery) = delivery else { return Ok(None) };
                let event = lists::event(tx.conn, merchant, delivery.event)?;
                Ok(event
                    .map(|event| Material::Delivery { delivery: Box::new(delivery), event: Box::new(event) }))
            })
        }
        (WorkId::Job(_), Some(text)) => commit::job_from(text).map(|job| Some(Material::Job(Box::new(job)))),
        (WorkId::Job(_), None) => Ok(None),
    };
    match found {
        Ok(Some(material)) => Ok(Some(material)),
        Ok(None) => {
            tracing::error!(%work, "the queue names work that has no record; it leaves the queue");
            queue::remove(tx, *work)?;
            Ok(None)
        }
        Err(StoreError::Corrupt(why)) => {
            tracing::error!(%work, why, "work of the queue can't be read");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
