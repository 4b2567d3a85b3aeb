//! What an attempt makes of a delivery, and what a person's wish to send again makes of it. Pure.

use super::judge::{Stop, Verdict};
use super::schedule::{Schedule, Stand, seed};
use super::send::number_of_next;
use crate::domain::delivery::{Attempt, Delivery, DeliveryStatus, ReplayMark};
use crate::domain::ids::ReplayId;
use crate::domain::latency;
use crate::store::Tally;

/// A delivery after an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// The changed record.
    pub delivery: Delivery,
    /// The attempt for the log.
    pub attempt: Attempt,
}

/// What an attempt makes of a delivery.
///
/// `claimed` is the record that the attempt was made with, `current` the one that the store has now: the same, or
/// changed by a person meanwhile (a wish to send again, a cancellation). `now`: Unix milliseconds.
///
/// - A success ends the delivery, whatever a person wished meanwhile; so does the receiver's wish to abort it.
/// - A failed extra attempt leaves the automatic schedule as it was.
/// - A failed attempt that is not the endpoint's fault does not count in its round: the growing intervals stand still.
/// - Another failed attempt counts in its round, and the schedule says when the next one is, if there is one.
#[must_use]
pub fn settle(
    claimed: &Delivery,
    current: Delivery,
    verdict: &Verdict,
    now: i64,
    schedule: &Schedule,
) -> Settled {
    let attempt = Attempt {
        number: number_of_next(&current),
        at: verdict.at,
        duration_ms: verdict.duration_ms,
        status: verdict.status,
        error: verdict.error.clone(),
        response_excerpt: verdict.excerpt.clone(),
        remote_ip: verdict.remote_ip.clone(),
        replay: claimed.replay.is_some(),
        excused: verdict.excused,
        sent_again: verdict.sent_again,
    };
    let mut delivery = current;
    delivery.attempts = attempt.number;
    delivery.last_status = verdict.status;
    delivery.last_error = verdict.error.clone();
    delivery.updated_at = now;
    if verdict.success {
        end(&mut delivery, DeliveryStatus::Delivered);
    } else if verdict.stop == Some(Stop::Message) && delivery.status == DeliveryStatus::Pending {
        end(&mut delivery, DeliveryStatus::Failed);
    } else if delivery.status == DeliveryStatus::Pending {
        fail(claimed, &mut delivery, verdict, now, schedule);
    }
    Settled { delivery, attempt }
}

fn fail(claimed: &Delivery, delivery: &mut Delivery, verdict: &Verdict, now: i64, schedule: &Schedule) {
    let extra = claimed.replay.is_some() && claimed.resume_at.is_some();
    let same_round = claimed.round_started_at == delivery.round_started_at && claimed.round == delivery.round;
    let next = if extra || !same_round {
        delivery.resume_at
    } else if verdict.excused {
        schedule.next_excused(delivery.round_started_at, now)
    } else {
        delivery.round = delivery.round.saturating_add(1);
        schedule.next(&Stand {
            attempts: delivery.round,
            started_at: delivery.round_started_at,
            now,
            seed: seed(delivery.id, delivery.attempts),
            not_before: verdict.not_before,
        })
    };
    if wished_meanwhile(claimed, delivery) {
        // The attempt that was asked for is still to come; the schedule goes on after it.
        delivery.resume_at = next;
        return;
    }
    match next {
        Some(due) => {
            delivery.next_attempt_at = Some(due);
            delivery.resume_at = None;
            delivery.replay = None;
        }
        None => end(delivery, DeliveryStatus::Failed),
    }
}

/// Whether a person asked for an attempt while this one was under way.
fn wished_meanwhile(claimed: &Delivery, current: &Delivery) -> bool {
    current.replay.is_some()
        && (current.replay != claimed.replay || current.next_attempt_at != claimed.next_attempt_at)
}

fn end(delivery: &mut Delivery, status: DeliveryStatus) {
    delivery.status = status;
    delivery.next_attempt_at = None;
    delivery.resume_at = None;
    delivery.replay = None;
}

/// A delivery that can't be attempted: its endpoint is off (`Held`) or gone (`Canceled`). No attempt counts.
#[must_use]
pub fn stopped(mut delivery: Delivery, status: DeliveryStatus, now: i64) -> Delivery {
    if delivery.status == DeliveryStatus::Pending {
        end(&mut delivery, status);
    }
    delivery.updated_at = now;
    delivery
}

/// A delivery that waits for its turn until a time, Unix milliseconds. No attempt counts.
#[must_use]
pub fn parked(mut delivery: Delivery, until: i64, now: i64) -> Delivery {
    delivery.next_attempt_at = Some(until);
    delivery.updated_at = now;
    delivery
}

/// A delivery whose endpoint can't be loaded until somebody sees to it: put off by growing pauses and told why, and over
/// when its time is. No attempt counts.
#[must_use]
pub fn unloaded(mut delivery: Delivery, why: &str, now: i64, schedule: &Schedule) -> Delivery {
    if delivery.status == DeliveryStatus::Pending {
        match schedule.next_excused(delivery.round_started_at, now) {
            Some(due) => delivery.next_attempt_at = Some(due),
            None => end(&mut delivery, DeliveryStatus::Failed),
        }
        delivery.last_error = Some(why.to_owned());
    }
    delivery.updated_at = now;
    delivery
}

/// A delivery whose time was over while its endpoint did not work and was left alone. No attempt counts.
#[must_use]
pub fn too_old(mut delivery: Delivery, now: i64) -> Delivery {
    if delivery.status == DeliveryStatus::Pending {
        end(&mut delivery, DeliveryStatus::Failed);
        let why = "its time was over while the endpoint was left alone because it did not work";
        delivery.last_error.get_or_insert_with(|| why.to_owned());
    }
    delivery.updated_at = now;
    delivery
}

/// A delivery that a person wants sent again, due at once.
///
/// While it is pending that is an extra attempt: should it fail, the automatic schedule goes on as if it had not
/// been. A delivery that was over starts a new round with a whole schedule of its own.
#[must_use]
pub fn request_replay(
    mut delivery: Delivery,
    actor: &str,
    reason: Option<String>,
    replay: Option<ReplayId>,
    now: i64,
) -> Delivery {
    if delivery.status == DeliveryStatus::Pending {
        // A round that a replay has started, and that has made no attempt yet, has no schedule to go on with.
        let untouched = delivery.replay.is_some() && delivery.resume_at.is_none();
        if !untouched {
            delivery.resume_at = delivery.resume_at.or(delivery.next_attempt_at);
        }
    } else {
        delivery.status = DeliveryStatus::Pending;
        delivery.round = 0;
        delivery.round_started_at = now;
        delivery.resume_at = None;
    }
    delivery.next_attempt_at = Some(now);
    delivery.replayed_by = replay.or(delivery.replayed_by);
    delivery.replay = Some(ReplayMark { actor: actor.to_owned(), reason, replay });
    delivery.updated_at = now;
    delivery
}

/// The counters that a settled attempt moves.
#[must_use]
pub fn tallies(settled: &Settled) -> Vec<Tally> {
    let delivery = &settled.delivery;
    let tally = |what: &str, by: i64| Tally { key: format!("{what}.{}", delivery.endpoint), by };
    let mut tallies = Vec::new();
    // What is not the endpoint's fault says nothing of the endpoint.
    if !settled.attempt.excused {
        let outcome = if settled.attempt.error.is_none() { "attempt.success" } else { "attempt.failure" };
        let took = i64::from(settled.attempt.duration_ms);
        tallies.extend([tally(outcome, 1), tally("attempt.ms", took)]);
        tallies.push(tally(&format!("attempt.{}", latency::word(took)), 1));
    }
    if delivery.status == DeliveryStatus::Delivered {
        let wait = delivery.updated_at.saturating_sub(delivery.created_at).max(0);
        tallies.push(tally("delivery.wait_ms", wait));
        if !settled.attempt.replay {
            tallies.push(Tally { key: format!("wait.{}.{}", latency::word(wait), delivery.provider), by: 1 });
        }
    }
    tallies.extend(ending_tally(delivery));
    tallies
}

/// The counter that a delivery's end moves.
#[must_use]
pub fn ending_tally(delivery: &Delivery) -> Option<Tally> {
    let over = delivery.status != DeliveryStatus::Pending;
    over.then(|| Tally { key: format!("delivery.{}.{}", delivery.status.word(), delivery.endpoint), by: 1 })
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;
