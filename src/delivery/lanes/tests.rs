use uuid::Uuid;

use super::*;
use crate::domain::ids::{DeliveryId, EndpointId};
use crate::domain::job::WorkId;

const LIMITS: Limits = Limits { concurrency: 100, per_lane: 2, per_host: 50 };

fn lane(n: u128) -> Lane {
    Lane::Endpoint(EndpointId(Uuid::from_u128(n)))
}

fn fence(token: u64) -> Fence {
    Fence { work: work(token), token }
}

fn work(token: u64) -> WorkId {
    WorkId::Delivery(DeliveryId(Uuid::from_u128(token.into())))
}

fn lease(token: u64) -> (Fence, i64) {
    (fence(token), 1)
}

fn take(lanes: &Arc<Lanes>, lane: Lane, token: u64) -> Result<Place, Refusal> {
    lanes.admit(lane, MerchantId(Uuid::from_u128(9)), lease(token), false, 0)
}

fn refused(taken: Result<Place, Refusal>) -> Refusal {
    taken.map(drop).unwrap_err()
}

fn heard(success: bool, probe: Option<u32>) -> Heard {
    Heard { success, slow_down: false, reached: None, cut_off: false, wish: None, probe, now: 0, spread: 0.5 }
}

/// An endpoint that works.
fn good(lanes: &Arc<Lanes>, lane: Lane, token: u64) {
    let place = take(lanes, lane, token).unwrap();
    lanes.hear(lane, &heard(true, None));
    drop(place);
}

fn own(max_in_flight: Option<u32>, rate_per_s: Option<u32>, host: Option<&str>) -> Own {
    Own { max_in_flight, rate_per_s, host: host.map(str::to_owned), url: String::new() }
}

#[test]
fn places_are_limited_and_come_back() {
    let lanes = Lanes::new(Limits { concurrency: 3, ..LIMITS });
    for n in 1..=3 {
        good(&lanes, lane(n), 100);
    }
    let (a, b) = (take(&lanes, lane(1), 1), take(&lanes, lane(1), 2));
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(refused(take(&lanes, lane(1), 3)), Refusal::Lane);
    let c = take(&lanes, lane(2), 4);
    assert!(c.is_ok());
    assert_eq!(refused(take(&lanes, lane(3), 5)), Refusal::Full);
    assert_eq!(lanes.room(0).max, 0);
    drop(a);
    let room = lanes.room(0);
    assert_eq!((room.lanes.get(&lane(1)), room.lanes.get(&lane(2))), (Some(&1), Some(&1)));
    drop((b, c));
    assert_eq!(lanes.in_flight(), 0);
    lanes.close();
    assert_eq!(refused(take(&lanes, lane(1), 6)), Refusal::Full);
    let room = lanes.room(0);
    assert_eq!(room, Room { refusals: room.refusals, ..Room::default() });
}

#[test]
fn own_limits_are_learnt() {
    let lanes = Lanes::new(LIMITS);
    let (a, b) = (take(&lanes, lane(1), 1), take(&lanes, lane(1), 2));
    let one = own(Some(1), None, None);
    assert_eq!(lanes.learn(lane(1), work(1), &one, 0), Err(Refusal::Lane), "two are one too many");
    drop(b);
    assert_eq!(lanes.learn(lane(1), work(1), &one, 0), Ok(()));
    assert_eq!(lanes.room(0).lanes.get(&lane(1)), Some(&0));
    drop(a);
    assert_eq!(lanes.room(0).lanes.get(&lane(1)), Some(&1));
    let again = take(&lanes, lane(1), 3);
    assert_eq!(lanes.learn(lane(1), work(3), &Own::default(), 0), Ok(()));
    drop(again);
    assert_eq!(lanes.room(0).lanes, HashMap::new());
}

#[test]
fn a_pace_is_kept() {
    let lanes = Lanes::new(Limits { per_lane: 9, ..LIMITS });
    let two = own(None, Some(2), None);
    let places: Vec<Place> = (1..=3).map(|token| take(&lanes, lane(1), token).unwrap()).collect();
    let known: Vec<_> = (1..=3).map(|token| lanes.learn(lane(1), work(token), &two, 0)).collect();
    assert_eq!(known, [Ok(()), Ok(()), Err(Refusal::Pace)]);
    drop(places);
    let room = lanes.room(999);
    assert_eq!((room.lanes.get(&lane(1)), room.pace_at), (Some(&0), Some(1_000)));
    assert_eq!(refused(take(&lanes, lane(1), 4)), Refusal::Pace);
    assert_eq!(lanes.room(1_000).lanes.get(&lane(1)), Some(&2));
}

#[test]
fn a_host_is_shared() {
    let lanes = Lanes::new(Limits { per_host: 3, ..LIMITS });
    let here = own(None, None, Some("bot.example"));
    let mut places = Vec::new();
    for n in 1..=3 {
        places.push(take(&lanes, lane(n), n as u64).unwrap());
        assert_eq!(lanes.learn(lane(n), work(n as u64), &here, 0), Ok(()));
    }
    places.push(take(&lanes, lane(4), 4).unwrap());
    assert_eq!(lanes.learn(lane(4), work(4), &here, 0), Err(Refusal::Host), "only now known to be there");
    places.truncate(3);
    assert_eq!(refused(take(&lanes, lane(4), 5)), Refusal::Host);
    assert_eq!(lanes.room(0).lanes.get(&lane(2)), Some(&0));
    places.truncate(2);
    let room = lanes.room(0);
    assert!((1..=4).all(|n| room.of(lane(n)) == 1), "no more than is left");
    let _last = take(&lanes, lane(4), 6).unwrap();
    assert_eq!(refused(take(&lanes, lane(1), 7)), Refusal::Host, "whoever is first: there is one");
}

#[test]
fn those_in_doubt_have_half_the_places() {
    let lanes = Lanes::new(Limits { concurrency: 8, ..LIMITS });
    good(&lanes, lane(99), 100);
    let mut places: Vec<Place> = (1..=4).map(|n| take(&lanes, lane(n), n as u64).unwrap()).collect();
    assert_eq!(refused(take(&lanes, lane(5), 5)), Refusal::Suspects);
    let room = lanes.room(0);
    assert_eq!((room.max, room.per_lane, room.probes), (4, 0, 0));
    assert_eq!(room.lanes, [(lane(99), 2)].into(), "only those that work");
    assert_eq!(queued(&lanes, &[endpoint(99), endpoint(5)]), Some(vec![endpoint(5)]));
    places.push(take(&lanes, lane(99), 6).unwrap());
    // One that begins to work leaves the places of the others when its own is free.
    lanes.hear(lane(1), &heard(true, None));
    drop(places.remove(0));
    assert!(take(&lanes, lane(5), 7).is_ok());
}

/// Many endpoints of one host, known to be there, of which some have work waiting.
fn crowd(lanes: &Arc<Lanes>, count: u128, waiting: impl Fn(u128) -> bool) {
    let here = own(None, None, Some("bot.example"));
    for n in 1..=count {
        let place = take(lanes, lane(n), 1).unwrap();
        lanes.learn(lane(n), work(1), &here, 0).unwrap();
        lanes.hear(lane(n), &heard(true, None));
        drop(place);
        if waiting(n) {
            let mut state = lanes.state();
            state.fall_behind(lane(n), 0);
        }
    }
}

#[test]
fn endpoints_of_a_busy_host_share_what_is_left_of_it() {
    let limits = Limits { per_host: 61, per_lane: 16, ..LIMITS };
    let lanes = Lanes::new(limits);
    crowd(&lanes, 50, |n| n <= 2);
    let places: Vec<Place> = (3..=50)
        .map(|n| take(&lanes, lane(n), u64::try_from(n).unwrap()).unwrap())
        .chain((101..=102).map(|token| take(&lanes, lane(3), token).unwrap()))
        .collect();
    // Those in which nothing waits are found there while the host is busy, too.
    let refused_ones = [take(&lanes, lane(1), 201), take(&lanes, lane(2), 202)];
    let room = lanes.room(0);
    assert_eq!((room.of(lane(1)), room.of(lane(2))), (4, 4), "nine are left for two");
    assert_eq!(room.of(lane(4)), 9, "of which nothing is known to wait");
    drop((places, refused_ones));
}

#[test]
fn all_that_wait_for_a_busy_host_have_their_turn() {
    let lanes = Lanes::new(Limits { per_host: 4, ..LIMITS });
    crowd(&lanes, 10, |_| true);
    let busy = [take(&lanes, lane(1), 1).unwrap(), take(&lanes, lane(2), 2).unwrap()];
    let known = [take(&lanes, lane(1), 3).unwrap(), take(&lanes, lane(2), 4).unwrap()];
    for n in 3..=10 {
        assert_eq!(refused(take(&lanes, lane(n), 9)), Refusal::Host);
    }
    drop(known);
    let mut served = HashSet::new();
    for _ in 0..10 {
        let room = lanes.room(0);
        let has_room: Vec<u128> = (1..=10).filter(|n| room.of(lane(*n)) > 0).collect();
        assert!(has_room.len() <= 2, "{has_room:?}");
        served.extend(has_room);
    }
    assert_eq!(served.len(), 10, "{served:?}");
    drop(busy);
}

#[test]
fn questions_to_providers_take_half_of_the_places() {
    let lanes = Lanes::new(Limits { concurrency: 4, ..LIMITS });
    let shop = |n: u128| Lane::Integration(crate::domain::ids::IntegrationId(Uuid::from_u128(n)));
    let places = [take(&lanes, shop(1), 1).unwrap(), take(&lanes, shop(2), 2).unwrap()];
    assert_eq!(refused(take(&lanes, shop(3), 3)), Refusal::Asks);
    assert_eq!(lanes.room(0).of(shop(3)), 0, "nor is it claimed again");
    assert!(take(&lanes, lane(1), 4).is_ok());
    drop(places);
    assert!(lanes.room(0).of(shop(3)) > 0);
}

/// Those whose new work queues up.
fn queued(lanes: &Arc<Lanes>, endpoints: &[EndpointId]) -> Option<Vec<EndpointId>> {
    lanes.promise(endpoints, 0).map(|(_, queue_only)| queue_only)
}

fn endpoint(n: u128) -> EndpointId {
    EndpointId(Uuid::from_u128(n))
}

#[test]
fn new_work_queues_up_behind_what_found_no_place() {
    let lanes = Lanes::new(LIMITS);
    good(&lanes, lane(1), 100);
    assert_eq!(queued(&lanes, &[endpoint(1), endpoint(2)]), Some(vec![]));
    let places = [take(&lanes, lane(1), 1), take(&lanes, lane(1), 2)];
    assert_eq!(queued(&lanes, &[endpoint(1)]), Some(vec![endpoint(1)]), "full");
    drop(places);
    assert_eq!(queued(&lanes, &[endpoint(1)]), Some(vec![endpoint(1)]), "something waits");
    let room = lanes.room(0);
    lanes.caught_up(&room, &[claimed(1), claimed(1)]);
    assert_eq!(queued(&lanes, &[endpoint(1)]), Some(vec![endpoint(1)]), "there may be more than had room");
    lanes.caught_up(&room, &[claimed(1)]);
    assert_eq!(queued(&lanes, &[endpoint(1)]), Some(vec![]));
}

#[test]
fn a_place_is_promised_once() {
    let lanes = Lanes::new(Limits { per_host: 5, ..LIMITS });
    good(&lanes, lane(1), 100);
    let (first, queue_only) = lanes.promise(&[endpoint(1)], 0).unwrap();
    assert_eq!(queue_only, []);
    let place = take(&lanes, lane(1), 1).unwrap();
    let (second, queue_only) = lanes.promise(&[endpoint(1)], 0).unwrap();
    assert_eq!(queue_only, [endpoint(1)], "one is taken, one promised");
    assert_eq!(lanes.room(0).of(lane(1)), 0, "nor does a claim take it");
    drop((first, second, place));
    assert_eq!(lanes.room(0).of(lane(1)), 2);
}

#[test]
fn a_promise_counts_for_the_host_and_for_those_in_doubt() {
    let lanes = Lanes::new(Limits { per_host: 1, concurrency: 4, ..LIMITS });
    let here = own(None, None, Some("bot.example"));
    for n in [1, 2] {
        let place = take(&lanes, lane(n), 9).unwrap();
        lanes.learn(lane(n), work(9), &here, 0).unwrap();
        lanes.hear(lane(n), &heard(true, None));
        drop(place);
    }
    let host = lanes.promise(&[endpoint(1), endpoint(2)], 0).unwrap();
    assert_eq!(host.1, [endpoint(2)]);
    let doubt = lanes.promise(&[endpoint(3), endpoint(4), endpoint(5)], 0).unwrap();
    assert_eq!(doubt.1, [endpoint(5)]);
    lanes.close();
    assert!(lanes.promise(&[endpoint(1)], 0).is_none());
}

fn claimed(n: u128) -> Claimed {
    let job = crate::domain::job::Job {
        id: crate::domain::ids::JobId(Uuid::from_u128(n)),
        merchant: MerchantId(Uuid::from_u128(9)),
        lane: lane(n),
        task: crate::domain::job::Task::Poll { payment: 1 },
        attempts: 0,
        created_at: 0,
    };
    let material = crate::store::Material::Job(Box::new(job));
    Claimed { fence: fence(1), lane: lane(n), due: 0, lease_until: 1, probe: None, material }
}

#[test]
fn a_lane_that_recovers_has_few_places() {
    let lanes = Lanes::new(Limits { per_lane: 4, ..LIMITS });
    let place = lanes.admit(lane(1), MerchantId(Uuid::from_u128(9)), lease(1), true, 0).unwrap();
    lanes.hear(lane(1), &heard(true, Some(2)));
    drop(place);
    for expected in 1..=3 {
        assert_eq!(lanes.room(0).lanes.get(&lane(1)), Some(&expected));
        good(&lanes, lane(1), 2);
    }
    assert_eq!(lanes.room(0).lanes, HashMap::new());
}

#[test]
fn what_is_claimed_while_nothing_is_under_way_is_not_held() {
    const LATER: i64 = 10_000;
    let lanes = Lanes::new(LIMITS);
    let merchant = MerchantId(Uuid::from_u128(9));
    let failed = |probe| lanes.hear(lane(1), &Heard { now: LATER, ..heard(false, probe) }).hold;
    let probe = lanes.admit(lane(1), merchant, lease(1), true, 0).unwrap();
    lanes.hear(lane(1), &heard(false, Some(5)));
    // While what opened it is under way, its hold may still have to be written.
    let beside = lanes.admit(lane(1), merchant, lease(2), false, LATER).unwrap();
    assert!((0..9).all(|_| failed(None).is_none()));
    drop((probe, beside));
    let another = lanes.admit(lane(1), merchant, lease(3), true, LATER).unwrap();
    assert!((0..9).all(|_| failed(None).is_none()), "that is one of a held lane");
    drop(another);
    let _usual = lanes.admit(lane(1), merchant, lease(4), false, LATER).unwrap();
    let holds: Vec<_> = (0..3).map(|_| failed(None)).collect();
    let until = LATER + 5_000;
    assert_eq!(holds, [None, None, Some(crate::store::Holding::Until { until, step: 0 })]);
}

#[test]
fn a_router_that_reaches_nobody_blames_nobody() {
    const LONG: i64 = 160_000;
    let lanes = Lanes::new(LIMITS);
    let hold = |n: u128, host: &str, reached: bool| {
        let (token, lane) = (u64::try_from(n).unwrap(), lane(n));
        let _place = lanes.admit(lane, MerchantId(Uuid::from_u128(9)), lease(token), true, 0).unwrap();
        lanes.learn(lane, work(token), &own(None, None, Some(host)), 0).unwrap();
        let heard = Heard { reached: Some(reached), ..heard(false, Some(4)) };
        match lanes.hear(lane, &heard).hold {
            Some(crate::store::Holding::Until { until, .. }) => until,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(hold(1, "a.example", false), LONG);
    assert_eq!(hold(2, "a.example", false), LONG, "one host may be down");
    assert_eq!(hold(3, "b.example", false), LONG);
    assert_eq!(hold(4, "c.example", false), 8_000, "three are not: it is us");
    assert_eq!(hold(1, "a.example", false), 8_000);
    assert_eq!(hold(5, "d.example", true), LONG, "somebody answers");
    assert_eq!(hold(4, "c.example", false), LONG);
}

#[test]
fn memory_is_bounded() {
    let lanes = Lanes::new(Limits { concurrency: 1_000_000, ..LIMITS });
    for n in 0..60_000 {
        good(&lanes, lane(n), 1);
    }
    assert!(lanes.state().gates.len() <= 20_000);
}
