//! Random sequences of what can happen, beside a model: which events there must be, and what must have become of each
//! delivery.

use std::collections::HashMap;

use kassir::clock::Clock as _;
use kassir::domain::DeliveryStatus as Status;
use kassir_providers::{Request, State};

use super::chance::Chance;
use super::ground::Ground;
use super::seeds;
use super::stage::{ENDPOINTS, Stage};
use crate::delivery::flaky::{Fate, Verb};
use crate::faults::{Counts, size};

/// Payments of a sequence.
const ORDERS: usize = 3;
/// Steps of a sequence at the most.
const STEPS_MAX: usize = 14;
/// Sequences on one file.
const ON_ONE_FILE: usize = 500;
const TICKS_MS: [i64; 6] = [1, 999, 5_000, 60_000, 3_600_000, 20_000_000];

/// What must be: the state of each payment, and the events in their order.
#[derive(Default)]
struct Model {
    states: HashMap<usize, State>,
    events: Vec<(usize, State)>,
    sent: Vec<(usize, State, Request)>,
}

impl Model {
    /// The provider says so.
    fn hear(&mut self, order: usize, state: State) {
        use State::{Canceled, Succeeded, WaitingForCapture};
        let moves = match (self.states.get(&order), state) {
            // A cancellation tells no currency: of a payment that nobody knows it waits.
            (None, Succeeded | WaitingForCapture) => true,
            (Some(WaitingForCapture), Succeeded | Canceled) | (Some(Canceled), Succeeded) => true,
            _ => false,
        };
        if moves {
            self.states.insert(order, state);
            self.events.push((order, state));
        }
    }
}

struct Sequence<'a> {
    ground: &'a mut Ground,
    stage: Stage,
    model: Model,
    chance: Chance,
    /// Results that were lost by crashes, and wishes of people, by delivery: so many more requests are right.
    more: HashMap<String, usize>,
    told: Vec<String>,
}

impl Sequence<'_> {
    async fn step(&mut self) {
        let what = self.chance.below(100);
        let endpoint = self.chance.below(ENDPOINTS);
        match what {
            0..26 => self.notify().await,
            26..34 => self.again().await,
            34..50 => {
                let by = self.chance.of_these(&TICKS_MS);
                self.tell(format!("tick {by}"));
                self.ground.clock.advance(by);
            }
            50..72 => self.work().await,
            72..78 => self.answer(endpoint, 500),
            78..84 => self.answer(endpoint, 200),
            84..90 => {
                let on = !self.stage.endpoints[endpoint].enabled;
                self.tell(format!("turn {endpoint} {on}"));
                self.stage.turn(self.ground, endpoint, on).await;
            }
            90..93 => {
                self.tell("rotate".to_owned());
                self.stage.rotate(self.ground).await;
            }
            93..97 => self.replay().await,
            _ => self.crash().await,
        }
    }

    fn tell(&mut self, what: String) {
        self.told.push(what);
    }

    fn answer(&mut self, endpoint: usize, status: u16) {
        self.tell(format!("answer {endpoint} {status}"));
        self.ground.receiver.answer(&self.stage.path(endpoint), status);
    }

    /// Another process with nothing in memory.
    fn restart(&mut self) {
        let router = self.stage.router(self.ground);
        self.stage.routers = vec![router];
    }

    async fn notify(&mut self) {
        let order = self.chance.below(ORDERS);
        let state = self.chance.of_these(&[State::WaitingForCapture, State::Succeeded, State::Canceled]);
        let request = self.stage.notice(order, state);
        self.send(order, state, request).await;
    }

    async fn again(&mut self) {
        if self.model.sent.is_empty() {
            return;
        }
        let number = self.chance.below(self.model.sent.len());
        let (order, state, request) = self.model.sent[number].clone();
        self.send(order, state, request).await;
    }

    async fn send(&mut self, order: usize, state: State, request: Request) {
        let token = self.chance.below(self.stage.tokens.len());
        self.tell(format!("send {order} {state:?} at token {token}"));
        let now = self.ground.clock.now();
        let newest = self.stage.tokens.len().saturating_sub(4);
        let lives = token >= newest && self.stage.tokens[token].1.is_none_or(|until| now < until);
        let answered = self.stage.send(0, token, &request).await;
        assert_eq!(answered.is_some(), lives, "the URL lives: {lives}");
        if lives {
            self.model.hear(order, state);
            self.model.sent.push((order, state, request));
        }
        let events = self.stage.events(self.ground).await;
        let found: Vec<_> = events.iter().map(|event| event.state.word()).collect();
        let wanted: Vec<_> = self.model.events.iter().map(|(_, state)| state.word()).collect();
        assert_eq!(found, wanted);
    }

    async fn work(&mut self) {
        self.tell("work".to_owned());
        let before = self.stage.deliveries(self.ground).await;
        let due: HashMap<String, Option<i64>> =
            before.iter().map(|delivery| (delivery.id.to_string(), delivery.next_attempt_at)).collect();
        let holds = self.stage.holds(self.ground).await;
        self.stage.routers[0].worker.run_until_idle().await.unwrap();
        let now = self.ground.clock.now();
        let new = self.stage.note_arrivals(self.ground);
        for arrival in &new {
            let was_due = due[&arrival.delivery].expect("only what waits is sent");
            assert!(was_due <= now, "{} ms early: {arrival:?}", was_due - now);
        }
        for delivery in self.stage.deliveries(self.ground).await {
            let id = delivery.id.to_string();
            let tried: Vec<u16> =
                new.iter().filter(|arrival| arrival.delivery == id).map(|arrival| arrival.status).collect();
            // An attempt that a person asked for leaves the schedule's own, which may be due as well.
            let most = 1 + self.more.get(&id).copied().unwrap_or(0);
            assert!(tried.len() <= most, "tried {} times at one time", tried.len());
            let was_due = due[&id].is_some_and(|due| due <= now);
            let held = holds.contains_key(&delivery.endpoint)
                || self.stage.holds(self.ground).await.contains_key(&delivery.endpoint);
            let on = self.stage.endpoints.iter().any(|each| each.id == delivery.endpoint && each.enabled);
            match (was_due, on, tried.first()) {
                (true, true, Some(200)) => assert_eq!(delivery.status, Status::Delivered),
                (true, true, Some(_)) => {
                    assert!(matches!(delivery.status, Status::Pending | Status::Failed), "{delivery:?}");
                }
                (true, true, None) => {
                    assert!(held, "nothing holds it up, and it was not tried: {delivery:?}")
                }
                (true, false, tried) => {
                    assert_eq!(tried, None);
                    assert!(delivery.status == Status::Held || held, "{delivery:?}");
                }
                (false, _, tried) => assert_eq!(tried, None),
            }
        }
    }

    async fn replay(&mut self) {
        let deliveries = self.stage.deliveries(self.ground).await;
        if deliveries.is_empty() {
            return;
        }
        let delivery = deliveries[self.chance.below(deliveries.len())].clone();
        self.tell(format!("replay {}", delivery.id));
        *self.more.entry(delivery.id.to_string()).or_default() += 1;
        self.stage.replay(self.ground, delivery).await;
    }

    /// The process dies: with work in hand, or after subscribers answered and before that was written.
    async fn crash(&mut self) {
        let after_answers = self.chance.permille(500);
        self.tell(format!("crash, after answers: {after_answers}"));
        if after_answers {
            let router = &self.stage.routers[0];
            router.flaky.decide(|verb| if verb == Verb::Settle { Fate::LeaseLost } else { Fate::Well });
            router.worker.run_until_idle().await.unwrap();
            for arrival in self.stage.note_arrivals(self.ground) {
                *self.more.entry(arrival.delivery).or_default() += 1;
            }
        }
        self.ground.crash().await;
        self.restart();
    }

    /// At the end everything is delivered, or was given up for its age, and nothing came twice without a cause.
    async fn end(mut self) -> (Counts, usize) {
        self.tell("end".to_owned());
        self.restart();
        self.stage.settle_all(self.ground).await;
        self.stage.check(self.ground).await;
        let (mut counts, mut given_up) = (Counts::default(), 0);
        let deliveries = self.stage.deliveries(self.ground).await;
        assert_eq!(deliveries.len(), self.model.events.len() * ENDPOINTS);
        for delivery in deliveries {
            let id = delivery.id.to_string();
            let good =
                self.stage.arrivals.iter().filter(|arrival| arrival.delivery == id && arrival.status == 200);
            let good = good.count();
            counts.accepted += 1;
            match delivery.status {
                Status::Delivered => {
                    let most = 1 + self.more.get(&id).copied().unwrap_or(0);
                    assert!((1..=most).contains(&good), "{good} good answers of {most}: {delivery:?}");
                    counts.delivered += 1;
                    counts.duplicated += good - 1;
                }
                Status::Failed => {
                    let age = self.ground.clock.now() - delivery.round_started_at;
                    assert!(age >= 23 * 3_600_000, "given up after {age} ms");
                    given_up += 1;
                }
                _ => counts.lost += 1,
            }
        }
        assert_eq!(counts.lost, 0);
        self.stage.strike(self.ground).await;
        (counts, given_up)
    }
}

/// What came of it, and how many deliveries were given up for their age.
async fn run(ground: &mut Ground, seed: u64) -> (Counts, usize) {
    let mut chance = Chance::of(seed);
    let steps = 3 + chance.below(STEPS_MAX - 2);
    let stage = Stage::set(ground, 1).await;
    let (model, more, told) = (Model::default(), HashMap::new(), Vec::new());
    let mut sequence = Sequence { ground, stage, model, chance, more, told };
    for _ in 0..steps {
        sequence.step().await;
    }
    sequence.end().await
}

/// Says which seed it was when a sequence fails.
struct Says(u64);

impl Drop for Says {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the sequence of KASSIR_SEED={} failed", self.0);
        }
    }
}

#[tokio::test]
async fn random_sequences_end_as_the_model_says() {
    let seeds = seeds(size(300, 100_000));
    let (mut total, mut given_up) = (Counts::default(), 0);
    for part in seeds.chunks(ON_ONE_FILE) {
        let mut ground = Ground::new();
        for seed in part {
            let _says = Says(*seed);
            let (counts, of_it) = run(&mut ground, *seed).await;
            total.add(counts);
            given_up += of_it;
        }
    }
    total.print("L6", &[("given_up", &given_up), ("sequences", &seeds.len()), ("first_seed", &seeds[0])]);
}
