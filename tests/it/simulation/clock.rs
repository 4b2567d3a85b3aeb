//! The machine's clock is set back, set forward, stands still: nothing is sent before its stored time, nothing comes in
//! a storm, nothing is lost.

use kassir::clock::Clock as _;
use kassir::domain::DeliveryStatus as Status;
use kassir_providers::State;

use super::ground::Ground;
use super::stage::{ENDPOINTS, Stage};
use crate::faults::Counts;

const HOUR: i64 = 3_600_000;
/// Payments that wait when the clock jumps: so few failures do not make their endpoint be left alone.
const ORDERS: usize = 2;

/// Payments whose events failed once, at a moment before the jump.
async fn waiting(ground: &Ground) -> Stage {
    let mut stage = Stage::set(ground, 1).await;
    for number in 0..ENDPOINTS {
        ground.receiver.answer(&stage.path(number), 500);
    }
    for order in 0..ORDERS {
        let notice = stage.notice(order, State::Succeeded);
        assert_eq!(stage.send(0, 0, &notice).await, Some(true));
    }
    stage.routers[0].worker.run_until_idle().await.unwrap();
    assert_eq!(stage.note_arrivals(ground).len(), ORDERS * ENDPOINTS);
    stage
}

async fn after_a_jump(by: i64) -> (Counts, usize) {
    let ground = Ground::new();
    let mut stage = waiting(&ground).await;
    ground.clock.advance(by);
    let now = ground.clock.now();
    let due = stage.deliveries(&ground).await;
    let due = due.iter().filter(|delivery| delivery.next_attempt_at.is_some_and(|due| due <= now)).count();
    // However often it looks while the clock stands.
    for _ in 0..50 {
        stage.routers[0].worker.run_until_idle().await.unwrap();
    }
    let sent = stage.note_arrivals(&ground).len();
    assert!(sent <= due, "{sent} sent, {due} due");
    // A new event goes out at once, whatever the clock did.
    for number in 0..ENDPOINTS {
        ground.receiver.answer(&stage.path(number), 200);
    }
    let notice = stage.notice(ORDERS, State::Succeeded);
    assert_eq!(stage.send(0, 0, &notice).await, Some(true));
    stage.routers[0].worker.run_until_idle().await.unwrap();
    let new = stage.note_arrivals(&ground).len();
    // After a jump ahead all failed once more, and the endpoints may be left alone for it.
    assert!(new >= ENDPOINTS || by > 0, "{new} of a new event");
    stage.settle_all(&ground).await;
    stage.check(&ground).await;
    let deliveries = stage.deliveries(&ground).await;
    let delivered = deliveries.iter().filter(|delivery| delivery.status == Status::Delivered).count();
    let good = stage.arrivals.iter().filter(|arrival| arrival.status == 200).count();
    let counts = Counts {
        accepted: deliveries.len(),
        delivered,
        duplicated: good - delivered,
        lost: deliveries.len() - delivered,
    };
    assert_eq!(((ORDERS + 1) * ENDPOINTS, 0, 0), (counts.accepted, counts.lost, counts.duplicated));
    (counts, sent)
}

#[tokio::test]
async fn the_clock_jumps_and_nothing_is_early_or_lost() {
    for (name, by) in
        [("M4-back-1h", -HOUR), ("M4-forward-1h", HOUR), ("M4-back-1d", -24 * HOUR), ("M4-stands", 0)]
    {
        let (counts, sent) = after_a_jump(by).await;
        counts.print(name, &[("sent_at_once_after", &sent)]);
        if by <= 0 {
            assert_eq!(sent, 0, "{name}");
        }
    }
}
