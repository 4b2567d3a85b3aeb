//! An endpoint that is edited, turned off, deleted or given another secret while an attempt is under way and others
//! wait: the attempt uses what it began with, what waits follows the new state.

use std::sync::Arc;
use std::time::Duration;

use kassir::delivery::signature::{SigningKey, verify};
use kassir::delivery::{EndpointView, LiveKey};
use kassir::domain::config::Success;
use kassir::domain::ids::DeliveryId;
use kassir::domain::{Delivery, DeliveryStatus, Lane};
use kassir_providers::Secret;
use tokio::sync::Notify;

use super::world::{World, world};
use crate::subscriber::{Act, Seen, Subscriber};

/// Nothing here takes that long; so that a failing test ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a person does to an endpoint meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Moved,
    Reheaded,
    Widened,
    Rotated,
    TurnedOff,
    Deleted,
}

struct Case {
    world: World,
    /// Where it was, and where it is after [`Done::Moved`].
    old: Subscriber,
    new: Subscriber,
    before: EndpointView,
    after: EndpointView,
    /// Under way when it is done, and one that waits behind it.
    first: DeliveryId,
    second: DeliveryId,
}

impl Case {
    /// Does it while the first attempt is under way, which is answered with `status` then; only afterwards does the
    /// second delivery is due.
    async fn run(done: Done, status: u16) -> Case {
        let world = world().await;
        let (old, new) = (Subscriber::http().await, Subscriber::http().await);
        let gate = Arc::new(Notify::new());
        old.script([Act::Gate(Arc::clone(&gate), status)]);
        let mut before = world.endpoint(&old.url("/hook"));
        // Time enough for what is done meanwhile.
        before.endpoint.timeout_s = Some(30);
        world.endpoints.put(before.clone());
        let first = world.queue(&before).await;
        let worker = Arc::clone(&world.worker);
        let step = tokio::spawn(async move { worker.step().await.unwrap() });
        tokio::time::timeout(PATIENCE, old.wait_for(1)).await.unwrap();
        let second = world.queue(&before).await;
        let mut case = Case { world, old, new, after: before.clone(), before, first, second };
        case.change(done);
        gate.notify_one();
        step.await.unwrap();
        case
    }

    fn change(&mut self, done: Done) {
        let after = &mut self.after;
        match done {
            Done::Moved => after.endpoint.url = self.new.url("/moved"),
            Done::Reheaded => after.headers = vec![("x-new".to_owned(), Secret::new("new"))],
            Done::Widened => after.endpoint.success = Success::Any2xx,
            Done::Rotated => {
                let key = SigningKey::generate().unwrap();
                after.keys = vec![LiveKey { key, expires_at: None }];
            }
            Done::TurnedOff => after.endpoint.enabled = false,
            Done::Deleted => return self.world.endpoints.remove(after.endpoint.id),
        }
        self.world.endpoints.put(after.clone());
    }

    /// Works until both are over or nothing more is to come.
    async fn finish(&self) -> (Delivery, Delivery) {
        self.world.worker.run_until_idle().await.unwrap();
        for id in [self.first, self.second] {
            if self.world.load(id).await.next_attempt_at.is_some() {
                self.world.go_to_next(id).await;
            }
        }
        (self.world.load(self.first).await, self.world.load(self.second).await)
    }

    /// What came, at either place, for a delivery.
    fn seen(&self, id: DeliveryId) -> Vec<Seen> {
        let all = self.old.seen().into_iter().chain(self.new.seen());
        all.filter(|seen| seen.header("kassir-delivery") == id.to_string()).collect()
    }

    /// Whether a request is as the endpoint was, or as it is now.
    fn is_as(&self, seen: &Seen, view: &EndpointView) -> bool {
        let at = seen.header("webhook-timestamp").parse().unwrap();
        let path = view.endpoint.url.rsplit_once('/').unwrap().1;
        let headers =
            view.headers.iter().all(|(name, value)| seen.header(&name.to_lowercase()) == value.expose());
        let others =
            [&self.before, &self.after].into_iter().flat_map(|view| &view.headers).all(|(name, _)| {
                view.headers.iter().any(|(own, _)| own == name)
                    || seen.header(&name.to_lowercase()).is_empty()
            });
        seen.line == format!("POST /{path}")
            && headers
            && others
            && verify(&seen.headers, &seen.body, &view.keys[0].key, at).is_ok()
    }
}

#[tokio::test]
async fn an_attempt_uses_what_it_began_with_and_what_waits_the_new_state() {
    for done in [Done::Moved, Done::Reheaded, Done::Widened, Done::Rotated] {
        for status in [200, 500] {
            let case = Case::run(done, status).await;
            let (first, second) = case.finish().await;
            assert_eq!(
                (first.status, second.status),
                (DeliveryStatus::Delivered, DeliveryStatus::Delivered),
                "{done:?} {status}"
            );
            let tries = case.seen(case.first);
            assert!(case.is_as(&tries[0], &case.before), "{done:?} {status}");
            assert_eq!(tries.len(), if status == 200 { 1 } else { 2 });
            assert!(tries[1..].iter().all(|seen| case.is_as(seen, &case.after)), "{done:?} {status}");
            let waited = case.seen(case.second);
            assert_eq!(waited.len(), 1);
            assert!(case.is_as(&waited[0], &case.after), "{done:?} {status}");
        }
    }
}

#[tokio::test]
async fn an_answer_is_judged_by_the_rule_that_held_when_it_was_asked_for() {
    let case = Case::run(Done::Widened, 204).await;
    let attempt = &case.world.attempts(case.first).await[0];
    let words = "the answer is 204; this endpoint's success is 200 exactly";
    assert_eq!((attempt.status, attempt.error.as_deref()), (Some(204), Some(words)));
}

#[tokio::test]
async fn a_late_answer_of_the_old_url_does_not_hold_the_new_one() {
    let case = Case::run(Done::Moved, 503).await;
    let lane = Lane::Endpoint(case.after.endpoint.id);
    let holds = case.world.store.holds(case.world.shop.merchant, &[lane]).await.unwrap();
    assert!(holds.is_empty(), "{holds:?}");
    case.world.worker.run_until_idle().await.unwrap();
    assert_eq!(case.world.load(case.second).await.status, DeliveryStatus::Delivered);
    assert_eq!(case.world.load(case.first).await.attempts, 1, "it was an attempt all the same");
}

/// Taken by routers whose clocks differ.
#[tokio::test]
async fn the_order_of_a_payments_events_is_that_of_its_changes() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    subscriber.script([Act::status(500)]);
    let mut view = world.endpoint(&subscriber.url("/"));
    view.endpoint.ordered = true;
    world.endpoints.put(view.clone());
    let succeeded = world.queue_after(&view, 1, 2_000).await;
    world.worker.run_until_idle().await.unwrap();
    let refunded = world.queue_after(&view, 2, 1_000).await;
    world.worker.run_until_idle().await.unwrap();
    assert_eq!(subscriber.seen().len(), 1, "it waits for the one before");
    world.go_to_next(succeeded).await;
    let sent: Vec<String> =
        subscriber.seen().iter().map(|seen| seen.header("kassir-delivery").to_owned()).collect();
    assert_eq!(sent, [succeeded, succeeded, refunded].map(|id| id.to_string()));
}

#[tokio::test]
async fn what_is_turned_off_or_deleted_gets_nothing_more() {
    for (done, rest) in [(Done::TurnedOff, DeliveryStatus::Held), (Done::Deleted, DeliveryStatus::Canceled)] {
        for (status, end) in [(200, DeliveryStatus::Delivered), (500, rest)] {
            let case = Case::run(done, status).await;
            let (first, second) = case.finish().await;
            // What was sent already is recorded as it went.
            assert_eq!((first.status, first.attempts), (end, 1), "{done:?} {status}");
            assert_eq!(case.world.attempts(case.first).await.len(), 1);
            assert_eq!((second.status, second.attempts), (rest, 0), "{done:?} {status}");
            assert_eq!((case.old.seen().len(), case.new.seen().len()), (1, 0));
            assert_eq!((first.next_attempt_at, second.next_attempt_at), (None, None));
        }
    }
}

#[tokio::test]
async fn a_whole_backlog_follows() {
    for (done, rest) in [(Done::TurnedOff, DeliveryStatus::Held), (Done::Deleted, DeliveryStatus::Canceled)] {
        let mut case = Case::run(Done::Widened, 500).await;
        let mut ids = vec![case.first, case.second];
        for _ in 0..40 {
            ids.push(case.world.queue(&case.after).await);
        }
        case.change(done);
        case.world.worker.run_until_idle().await.unwrap();
        case.world.go_to_next(case.first).await;
        for id in ids {
            assert_eq!(case.world.load(id).await.status, rest, "{done:?}");
        }
        case.world.clock.advance(24 * 60 * 60 * 1000);
        assert_eq!(case.world.worker.run_until_idle().await.unwrap(), 0);
        assert_eq!(case.old.seen().len(), 1, "nothing more was sent");
    }
}
