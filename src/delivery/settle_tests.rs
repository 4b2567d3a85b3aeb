use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::event::EventState;
use crate::domain::ids::{DeliveryId, EndpointId, EventId, IntegrationId, MerchantId};

const T0: i64 = 1_700_000_000_000;
const DAY: i64 = 24 * 60 * 60 * 1000;

fn fresh() -> Delivery {
    Delivery {
        id: DeliveryId(Uuid::from_u128(1)),
        version: 1,
        merchant: MerchantId(Uuid::from_u128(2)),
        payment: 1,
        event: EventId(Uuid::from_u128(3)),
        state: EventState::Succeeded,
        integration: IntegrationId(Uuid::from_u128(4)),
        provider: "yookassa".to_owned(),
        endpoint: EndpointId(Uuid::from_u128(5)),
        status: DeliveryStatus::Pending,
        attempts: 0,
        round: 0,
        round_started_at: T0,
        next_attempt_at: Some(T0),
        resume_at: None,
        replay: None,
        replayed_by: None,
        last_status: None,
        last_error: None,
        after: 0,
        created_at: T0,
        updated_at: T0,
    }
}

fn verdict(success: bool, at: i64) -> Verdict {
    Verdict {
        success,
        at,
        duration_ms: 10,
        status: Some(if success { 200 } else { 500 }),
        error: (!success).then(|| "the answer is 500".to_owned()),
        excerpt: None,
        remote_ip: None,
        not_before: None,
        slow_down: false,
        stop: None,
        excused: false,
        sent_again: false,
        reached: Some(true),
        word: "x",
    }
}

fn tried(delivery: &Delivery, success: bool, now: i64) -> Delivery {
    settle(delivery, delivery.clone(), &verdict(success, now), now, &Schedule::default()).delivery
}

fn replayed(delivery: &Delivery, now: i64) -> Delivery {
    request_replay(delivery.clone(), "ann", None, None, now)
}

#[test]
fn success_ends_it() {
    let settled = settle(&fresh(), fresh(), &verdict(true, T0), T0 + 10, &Schedule::default());
    assert_eq!(settled.delivery.status, DeliveryStatus::Delivered);
    assert_eq!(settled.delivery.next_attempt_at, None);
    assert_eq!((settled.delivery.attempts, settled.attempt.number), (1, 1));
    let keys: Vec<_> = tallies(&settled).into_iter().map(|tally| tally.key).collect();
    let endpoint = settled.delivery.endpoint;
    let (latencies, counts): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.contains(".le_"));
    let expected = ["attempt.success", "attempt.ms", "delivery.wait_ms", "delivery.delivered"];
    assert_eq!(counts, expected.map(|what| format!("{what}.{endpoint}")));
    assert_eq!(latencies.len(), 2, "{latencies:?}");
}

#[test]
fn an_excused_failure_stands_beside_the_schedule_but_ends_with_its_time() {
    let failed = tried(&fresh(), false, T0);
    let excused = Verdict { excused: true, ..verdict(false, T0) };
    let mut delivery = failed.clone();
    let (mut now, mut pauses) = (T0, Vec::new());
    while let Some(due) = delivery.next_attempt_at {
        pauses.push(due - now);
        now = due;
        let settled = settle(&delivery, delivery.clone(), &excused, now, &Schedule::default());
        assert!(
            settled.attempt.excused
                && tallies(&settled).iter().all(|tally| !tally.key.starts_with("attempt."))
        );
        delivery = settled.delivery;
        assert_eq!(delivery.round, failed.round, "the growing intervals stand still");
    }
    assert_eq!(delivery.status, DeliveryStatus::Failed);
    assert_eq!(now - T0, DAY - 60_000);
    assert!(pauses.iter().all(|pause| (1_000..=420_000).contains(pause)), "{pauses:?}");
    assert!((250..350).contains(&pauses.len()), "{}", pauses.len());
}

#[test]
fn failures_follow_the_schedule_until_the_round_ends() {
    let mut delivery = fresh();
    let mut now = T0;
    while delivery.status == DeliveryStatus::Pending {
        let next = tried(&delivery, false, now);
        assert_eq!((next.attempts, next.round), (delivery.attempts + 1, delivery.round + 1));
        now = next.next_attempt_at.unwrap_or(now);
        delivery = next;
    }
    assert_eq!(delivery.status, DeliveryStatus::Failed);
    assert_eq!(delivery.next_attempt_at, None);
    assert_eq!(now, T0 + DAY - 60_000);
    assert!((14..=18).contains(&delivery.attempts), "{}", delivery.attempts);
}

#[test]
fn a_failed_extra_attempt_leaves_the_schedule_untouched() {
    let waiting = tried(&fresh(), false, T0);
    let asked = replayed(&waiting, T0 + 1_000);
    assert_eq!((asked.next_attempt_at, asked.resume_at), (Some(T0 + 1_000), waiting.next_attempt_at));
    let twice = replayed(&asked, T0 + 1_500);
    assert_eq!(twice.resume_at, waiting.next_attempt_at, "a second wish keeps the schedule too");
    let after = tried(&asked, false, T0 + 1_200);
    assert_eq!(after.next_attempt_at, waiting.next_attempt_at);
    assert_eq!((after.round, after.attempts), (waiting.round, waiting.attempts + 1));
    assert_eq!((after.resume_at, after.replay.clone()), (None, None));
    assert_eq!(tried(&asked, true, T0 + 1_200).status, DeliveryStatus::Delivered);
}

#[test]
fn a_replay_of_what_was_over_starts_a_round() {
    for status in
        [DeliveryStatus::Delivered, DeliveryStatus::Failed, DeliveryStatus::Held, DeliveryStatus::Canceled]
    {
        let mut over = fresh();
        over.status = status;
        over.next_attempt_at = None;
        (over.attempts, over.round) = (9, 9);
        let later = T0 + 3 * DAY;
        let asked = replayed(&over, later);
        assert_eq!((asked.status, asked.round, asked.attempts), (DeliveryStatus::Pending, 0, 9));
        assert_eq!((asked.round_started_at, asked.next_attempt_at), (later, Some(later)));
        let again = replayed(&asked, later + 1);
        assert_eq!((again.resume_at, again.round), (None, 0), "it has no schedule to go on with yet");
        let failed = tried(&asked, false, later);
        assert_eq!((failed.status, failed.round, failed.attempts), (DeliveryStatus::Pending, 1, 10));
        assert!(failed.next_attempt_at.is_some_and(|due| (later + 4_000..=later + 6_000).contains(&due)));
        assert_eq!(failed.replay, None, "the attempts after it are not replays");
    }
}

#[test]
fn a_wish_during_an_attempt_is_kept() {
    let claimed = fresh();
    let asked = replayed(&claimed, T0 + 3_000);
    let after =
        settle(&claimed, asked.clone(), &verdict(false, T0), T0 + 5_000, &Schedule::default()).delivery;
    assert_eq!(after.next_attempt_at, Some(T0 + 3_000), "the wish is still due");
    assert!(after.replay.is_some());
    assert_eq!((after.round, after.attempts), (1, 1));
    assert!(after.resume_at.is_some_and(|due| due >= T0 + 9_000), "and the schedule after it");
    let done = settle(&claimed, asked, &verdict(true, T0), T0 + 5_000, &Schedule::default()).delivery;
    assert_eq!((done.status, done.next_attempt_at), (DeliveryStatus::Delivered, None));
    // The same while an extra attempt is under way.
    let extra = replayed(&tried(&claimed, false, T0), T0 + 1_000);
    let again = replayed(&extra, T0 + 2_000);
    let after = settle(&extra, again, &verdict(false, T0), T0 + 2_500, &Schedule::default()).delivery;
    assert_eq!((after.next_attempt_at, after.resume_at), (Some(T0 + 2_000), extra.resume_at));
    assert_eq!(after.round, 1);
}

#[test]
fn a_wish_during_the_last_attempt_is_kept() {
    let mut claimed = fresh();
    (claimed.round, claimed.attempts) = (15, 15);
    let end = T0 + DAY - 60_000;
    claimed.next_attempt_at = Some(end);
    let asked = replayed(&claimed, end + 1);
    let after = settle(&claimed, asked, &verdict(false, end), end + 2, &Schedule::default()).delivery;
    assert_eq!((after.status, after.next_attempt_at), (DeliveryStatus::Pending, Some(end + 1)));
    assert_eq!(tried(&after, false, end + 3).status, DeliveryStatus::Failed);
}

#[test]
fn a_cancellation_during_an_attempt_stays_unless_it_arrived() {
    let claimed = fresh();
    let canceled = stopped(claimed.clone(), DeliveryStatus::Canceled, T0 + 1);
    assert_eq!((canceled.attempts, canceled.next_attempt_at), (0, None));
    let after =
        settle(&claimed, canceled.clone(), &verdict(false, T0), T0 + 2, &Schedule::default()).delivery;
    assert_eq!((after.status, after.next_attempt_at), (DeliveryStatus::Canceled, None));
    let arrived = settle(&claimed, canceled, &verdict(true, T0), T0 + 2, &Schedule::default()).delivery;
    assert_eq!(arrived.status, DeliveryStatus::Delivered);
}

#[test]
fn what_is_over_is_not_stopped_again() {
    let mut over = fresh();
    end(&mut over, DeliveryStatus::Delivered);
    assert_eq!(stopped(over, DeliveryStatus::Held, T0).status, DeliveryStatus::Delivered);
}

#[derive(Debug, Clone)]
enum Step {
    Try { success: bool },
    Replay { after: i64 },
    ReplayDuring { success: bool },
    Hold,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => proptest::bool::weighted(0.05).prop_map(|success| Step::Try { success }),
        2 => (0_i64..DAY).prop_map(|after| Step::Replay { after }),
        1 => any::<bool>().prop_map(|success| Step::ReplayDuring { success }),
        1 => Just(Step::Hold),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    /// Whatever happens: what is pending has a due time, what is over has none, and attempts count by one.
    #[test]
    fn nothing_ends_silently(steps in steps()) {
        let mut delivery = fresh();
        let mut now = T0;
        for step in steps {
            let before = delivery.clone();
            match step {
                Step::Try { success } if before.status == DeliveryStatus::Pending => {
                    now = now.max(before.next_attempt_at.unwrap());
                    delivery = tried(&before, success, now);
                    prop_assert_eq!(delivery.attempts, before.attempts + 1);
                    if before.resume_at.is_some() && !success {
                        prop_assert_eq!(delivery.next_attempt_at, before.resume_at);
                    }
                }
                Step::Replay { after } => {
                    now += after;
                    delivery = replayed(&before, now);
                }
                Step::ReplayDuring { success } if before.status == DeliveryStatus::Pending => {
                    let asked = replayed(&before, now + 1);
                    now += 2;
                    let verdict = verdict(success, now);
                    delivery = settle(&before, asked, &verdict, now, &Schedule::default()).delivery;
                    prop_assert!(success || delivery.replay.is_some());
                }
                Step::Hold => delivery = stopped(before, DeliveryStatus::Held, now),
                _ => {}
            }
            let pending = delivery.status == DeliveryStatus::Pending;
            prop_assert_eq!(pending, delivery.next_attempt_at.is_some());
            prop_assert!(pending || (delivery.resume_at.is_none() && delivery.replay.is_none()));
            prop_assert!(delivery.resume_at.is_none() || delivery.replay.is_some());
        }
    }
}
