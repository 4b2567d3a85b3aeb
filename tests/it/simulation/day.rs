//! A day of two routers on one store with a network and a store that fail now and then, by a clock that is stepped in
//! seconds. The provider repeats what was not answered, as providers do.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use kassir::clock::Clock as _;
use kassir::domain::DeliveryStatus as Status;
use kassir_providers::State;

use super::chance::Chance;
use super::ground::Ground;
use super::seeds;
use super::stage::{ENDPOINTS, Stage};
use crate::delivery::flaky::{Fate, Verb};
use crate::faults::{Counts, size};

const SECOND: i64 = 1_000;
const DAY: i64 = 24 * 3_600 * SECOND;
/// Longest step of the clock, seconds.
const STEP_MAX: usize = 240;
/// When an unanswered notification is repeated, milliseconds.
const REPEATED_AFTER: i64 = 60 * SECOND;
/// The day's notifications come in its first hours, so that all of them can be delivered within it.
const NOTIFICATIONS_UNTIL: i64 = 12 * 3_600 * SECOND;

/// A notification that is not acknowledged yet.
struct Open {
    order: usize,
    state: State,
    /// What the provider says next, once this is acknowledged.
    then: Option<State>,
    at: i64,
}

/// What came of a day.
struct Ended {
    counts: Counts,
    /// Deliveries that were given up for their age.
    given_up: usize,
    orders: usize,
    restarts: usize,
}

struct Day {
    ground: Ground,
    stage: Stage,
    chance: Chance,
    open: Vec<Open>,
    acknowledged: HashSet<(usize, State)>,
    orders: usize,
    /// Results of attempts that were not written.
    lost_results: Arc<Mutex<usize>>,
    restarts: usize,
}

impl Day {
    /// Each router's way to the store fails now and then, by its own chance.
    fn disturb(&mut self, router: usize) {
        let (mut chance, lost) = (Chance::of(self.chance.next()), Arc::clone(&self.lost_results));
        self.stage.routers[router].flaky.decide(move |verb| match verb {
            Verb::Commit => match chance.below(20) {
                0 => Fate::FailBefore,
                1 => Fate::FailAfter,
                _ => Fate::Well,
            },
            Verb::Claim => match chance.below(100) {
                0 => Fate::FailBefore,
                1 => Fate::FailAfter,
                _ => Fate::Well,
            },
            Verb::Settle => match chance.below(50) {
                0 => {
                    *lost.lock().unwrap() += 1;
                    Fate::LeaseLost
                }
                _ => Fate::Well,
            },
        });
    }

    async fn hour_by_hour(&mut self) {
        let start = self.ground.clock.now();
        loop {
            let now = self.ground.clock.now();
            if now - start >= DAY {
                return;
            }
            if now - start < NOTIFICATIONS_UNTIL && self.chance.permille(150) {
                self.orders += 1;
                let order = self.orders;
                let then = self.chance.of_these(&[None, Some(State::Succeeded), Some(State::Canceled)]);
                let state = if then.is_some() { State::WaitingForCapture } else { State::Succeeded };
                self.open.push(Open { order, state, then, at: now });
            }
            self.provider(now).await;
            if self.chance.permille(20) {
                let path = self.stage.path(self.chance.below(ENDPOINTS));
                self.ground.receiver.answer(&path, self.chance.of_these(&[200, 200, 200, 500, 503, 404]));
            }
            for router in 0..self.stage.routers.len() {
                if self.chance.permille(800) {
                    // A claim that fails is tried again at the next look.
                    let _ = self.stage.routers[router].worker.step().await;
                }
                if self.chance.permille(3) {
                    self.restarts += 1;
                    self.stage.routers[router] = self.stage.router(&self.ground);
                    self.disturb(router);
                }
            }
            self.stage.note_arrivals(&self.ground);
            self.ground.clock.advance((1 + self.chance.below(STEP_MAX)) as i64 * SECOND);
        }
    }

    /// The provider sends what is due, and repeats what was not acknowledged.
    async fn provider(&mut self, now: i64) {
        for mut open in std::mem::take(&mut self.open) {
            if open.at > now {
                self.open.push(open);
                continue;
            }
            let request = self.stage.notice(open.order, open.state);
            let router = self.chance.below(self.stage.routers.len());
            if self.stage.send(router, 0, &request).await == Some(true) {
                self.acknowledged.insert((open.order, open.state));
                if let Some(state) = open.then {
                    self.open.push(Open { state, then: None, at: now + 30 * SECOND, ..open });
                }
            } else {
                open.at = now + REPEATED_AFTER;
                self.open.push(open);
            }
        }
    }

    async fn end(mut self) -> Ended {
        for router in 0..self.stage.routers.len() {
            self.stage.routers[router].flaky.decide(|_| Fate::Well);
        }
        while !self.open.is_empty() {
            let now = self.ground.clock.now();
            self.provider(now).await;
            self.ground.clock.advance(REPEATED_AFTER);
        }
        // What was claimed by an answer that was lost is free when its lease ends.
        self.ground.clock.advance(120 * SECOND);
        self.stage.settle_all(&self.ground).await;
        self.stage.check(&self.ground).await;
        self.counts().await
    }

    async fn counts(self) -> Ended {
        let events = self.stage.events(&self.ground).await;
        let states = |state: State| self.acknowledged.iter().filter(|(_, each)| *each == state).count();
        // Each order ends in one of these, and says so once.
        let wanted = self.orders;
        let ends: HashMap<u32, usize> = events
            .iter()
            .filter(|event| event.state.word() != "waiting_for_capture")
            .fold(HashMap::new(), |mut ends, event| {
                *ends.entry(event.payment).or_default() += 1;
                ends
            });
        assert!(ends.values().all(|count| *count == 1), "two events for one state: {ends:?}");
        assert_eq!(ends.len(), wanted);
        assert_eq!(states(State::Succeeded) + states(State::Canceled), wanted);
        let mut counts = Counts { accepted: events.len() * ENDPOINTS, ..Counts::default() };
        let mut given_up = 0;
        for delivery in self.stage.deliveries(&self.ground).await {
            let id = delivery.id.to_string();
            let good = |arrival: &&super::receiver::Arrival| arrival.delivery == id && arrival.status == 200;
            let good = self.stage.arrivals.iter().filter(good).count();
            match delivery.status {
                Status::Delivered => {
                    assert!(good >= 1, "said to be delivered, and never came: {delivery:?}");
                    counts.delivered += 1;
                    counts.duplicated += good - 1;
                }
                Status::Failed => {
                    let age = self.ground.clock.now() - delivery.round_started_at;
                    assert!(age >= DAY - 120 * SECOND, "given up after {age} ms");
                    given_up += 1;
                }
                _ => {}
            }
        }
        counts.lost = counts.accepted - counts.delivered - given_up;
        let lost_results = *self.lost_results.lock().unwrap();
        assert!(counts.duplicated <= lost_results, "{} of {lost_results}", counts.duplicated);
        Ended { counts, given_up, orders: self.orders, restarts: self.restarts }
    }
}

async fn run(seed: u64) -> Ended {
    let ground = Ground::new();
    let stage = Stage::set(&ground, 2).await;
    let mut day = Day {
        ground,
        stage,
        chance: Chance::of(seed),
        open: Vec::new(),
        acknowledged: HashSet::new(),
        orders: 0,
        lost_results: Arc::default(),
        restarts: 0,
    };
    day.disturb(0);
    day.disturb(1);
    day.hour_by_hour().await;
    day.end().await
}

#[tokio::test]
async fn a_day_of_two_routers_with_faults_everywhere() {
    let seeds = seeds(size(1, 200));
    let (mut total, mut given_up, mut orders, mut restarts) = (Counts::default(), 0, 0, 0);
    for seed in &seeds {
        eprintln!("a day with KASSIR_SEED={seed}");
        let ended = run(*seed).await;
        total.add(ended.counts);
        given_up += ended.given_up;
        orders += ended.orders;
        restarts += ended.restarts;
    }
    total.print(
        "L7",
        &[("given_up", &given_up), ("days", &seeds.len()), ("orders", &orders), ("restarts", &restarts)],
    );
    assert_eq!(total.lost, 0);
}
