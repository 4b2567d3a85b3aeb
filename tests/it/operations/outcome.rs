//! What becomes of a capture, cancel or refund whose end nobody wrote down: the provider is asked, and nobody is asked
//! where it is known.

use kassir::domain::job::{Operation, Task};
use kassir::domain::payment::Origin;
use kassir::limits::OPERATION_HOLD_MS;
use kassir::store::{Commit, PaymentWrite};
use kassir_providers::State;

use super::till::Till;
use super::vector::Vector;
use crate::world::bank::Reply;

const STILL_HELD: (&str, &str) = (r#""status":"succeeded""#, r#""status":"waiting_for_capture""#);
const DAY: i64 = 24 * 60 * 60 * 1000;

/// When it is asked what became of an operation.
fn held() -> i64 {
    i64::try_from(OPERATION_HOLD_MS).unwrap()
}

/// A refund of more than is left: refused for good.
fn too_much() -> Vector {
    let left = r#""availableForRefund": "#;
    Vector::changed(
        "unitpay",
        "refund_too_much",
        &[(&format!(r#"{left}"5.25""#), &format!(r#"{left}"1.00""#))],
    )
}

async fn waiting(till: &Till) -> u64 {
    till.world.router.store.backlog().await.unwrap().waiting
}

/// As if the payment had been first seen in a notification: no job asks about it.
async fn first_seen(till: &Till, number: u32) {
    let store = &till.world.router.store;
    let mut payment = store.payment(till.world.merchant, number).await.unwrap().unwrap();
    payment.origin = Origin::Notification;
    let payment = Some(PaymentWrite::Update { payment: Box::new(payment), links: Vec::new() });
    store.commit(Commit { payment, ..Commit::of(till.world.merchant) }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_whose_end_nobody_heard_is_asked_about() {
    let vector = Vector::named("unitpay", "refund_partial");
    let till = Till::open(&vector).await;
    let number = till.stage(&vector, State::Succeeded).await;
    let exchanges = vector.exchanges();
    till.bank.next(&exchanges[0].call(), exchanges[0].reply.clone());
    till.bank.next(&exchanges[1].call(), Reply::Silence);
    // The router has written nothing down yet, and never does if it dies now.
    let meanwhile = async {
        while till.bank.asked().len() < 2 {
            tokio::task::yield_now().await;
        }
        till.bank.take_asked();
        let told = till.expect(&Vector::named("unitpay", "status_partial_refund"));
        till.later(held()).await;
        till.was_asked(&told, "what became of it");
        assert_eq!(till.world.states().await, ["partially_refunded"]);
    };
    let part = vector.part().map(|part| part.minor);
    let (silent, ()) = tokio::join!(till.act(number, "refund", part), meanwhile);
    assert_eq!(silent.is(502).word("type"), "urn:kassir:problem:provider-unknown");
    assert_eq!(till.look(number).await.json["refunded_amount"], 525);
    assert_eq!(waiting(&till).await, 0);
    till.later(DAY).await;
    assert_eq!(till.bank.take_asked().len(), 0, "it is known");
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_asked_about_a_refund_that_is_known_or_was_refused() {
    let vector = Vector::named("unitpay", "refund_partial");
    let till = Till::open(&vector).await;
    let number = till.stage(&vector, State::Succeeded).await;
    let part = vector.part().map(|part| part.minor);
    till.expect(&vector);
    till.act(number, "refund", part).await.is(200);
    assert_eq!(waiting(&till).await, 0);
    till.expect(&too_much());
    assert!(till.act(number, "refund", part).await.status >= 400);
    assert_eq!(waiting(&till).await, 0);
    till.bank.take_asked();
    till.later(DAY).await;
    assert_eq!(till.bank.take_asked().len(), 0);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_refusal_of_a_repetition_does_not_end_the_question_about_the_first() {
    let vector = Vector::named("unitpay", "refund_partial");
    let till = Till::open(&vector).await;
    let number = till.stage(&vector, State::Succeeded).await;
    let (part, exchanges) = (vector.part().map(|part| part.minor), vector.exchanges());
    till.bank.next(&exchanges[0].call(), exchanges[0].reply.clone());
    till.bank.next(&exchanges[1].call(), Reply::json(503, ""));
    till.act(number, "refund", part).await.is(502);
    till.expect(&too_much());
    till.act(number, "refund", part).await.is(409);
    assert_eq!(waiting(&till).await, 1);
    till.bank.take_asked();
    let told = till.expect(&Vector::named("unitpay", "status_partial_refund"));
    till.later(held()).await;
    till.was_asked(&told, "about the first");
    assert_eq!((till.world.states().await, waiting(&till).await), (vec!["partially_refunded"], 0));
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_under_way_is_asked_about_by_its_number_alone() {
    let vector = Vector::named("robokassa", "refund_part");
    let till = Till::open(&vector).await;
    let number = till.stage(&vector, State::Succeeded).await;
    till.expect(&vector);
    till.act(number, "refund", vector.part().map(|part| part.minor)).await.is(200);
    assert_eq!(waiting(&till).await, 1);
    till.bank.take_asked();
    let told = till.expect(&Vector::named("robokassa", "refund_status"));
    till.later(2 * held()).await;
    till.was_asked(&told, "by its number");
    assert_eq!((till.world.states().await, waiting(&till).await), (vec!["partially_refunded"], 0));
    till.close().await;
}

/// A payment with the job of a refund of so much whose router died, and another refund that was written down since.
async fn lost_before_another(vector: &Vector, lost: i64) -> Till {
    let till = Till::open(vector).await;
    let number = till.stage(vector, State::Succeeded).await;
    let of = Operation::Refund { known: 0, amount: Some(lost) };
    till.queue(Task::Outcome { payment: number, of }).await;
    till.expect(vector);
    till.act(number, "refund", vector.part().map(|part| part.minor)).await.is(200);
    till.bank.take_asked();
    assert_eq!(
        (till.look(number).await.json["refunded_amount"].as_i64(), waiting(&till).await),
        (Some(525), 1)
    );
    till
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_is_asked_about_though_another_one_is_known() {
    let till = lost_before_another(&Vector::named("unitpay", "refund_partial"), 100).await;
    let other_alone = till.expect(&Vector::named("unitpay", "status_partial_refund"));
    till.world.work().await;
    till.was_asked(&other_alone, "whether it knows of more than the other");
    assert_eq!((till.world.states().await.len(), waiting(&till).await), (1, 1));
    let left = r#""availableForRefund": "#;
    let both = [(&*format!(r#"{left}"5.25""#), &*format!(r#"{left}"4.25""#))];
    let both = till.expect(&Vector::changed("unitpay", "status_partial_refund", &both));
    till.later(held()).await;
    till.was_asked(&both, "now it does");
    assert_eq!(till.world.states().await, ["partially_refunded", "partially_refunded"]);
    assert_eq!(waiting(&till).await, 0);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_is_asked_about_once_where_one_of_its_amount_is_known() {
    let till = lost_before_another(&Vector::named("unitpay", "refund_partial"), 525).await;
    let known = till.expect(&Vector::named("unitpay", "status_partial_refund"));
    till.world.work().await;
    till.was_asked(&known, "whether that is all");
    assert_eq!((till.world.states().await, waiting(&till).await), (vec!["partially_refunded"], 0));
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capture_of_a_payment_that_no_job_asks_about_is_asked_about() {
    let vector = Vector::named("yookassa", "capture");
    let till = Till::open(&vector).await;
    let number = till.stage(&vector, State::WaitingForCapture).await;
    first_seen(&till, number).await;
    let exchange = &vector.exchanges()[0];
    till.bank.next(&exchange.call(), Reply::Silence);
    till.act(number, "capture", None).await.is(502);
    assert_eq!((till.bank.take_asked().len(), waiting(&till).await), (1, 1));
    // It is still held, so it is asked about again; then it is paid.
    let held_yet = till.expect(&Vector::changed("yookassa", "status", &[STILL_HELD]));
    till.later(held()).await;
    till.was_asked(&held_yet, "held yet");
    let paid = till.expect(&Vector::named("yookassa", "status"));
    till.later(held()).await;
    till.was_asked(&paid, "paid");
    assert_eq!(till.look(number).await.word("state"), "succeeded");
    assert_eq!((till.world.states().await, waiting(&till).await), (vec!["succeeded"], 0));
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_never_came_about_is_not_asked_about_for_ever() {
    let vector = Vector::named("unitpay", "refund_partial");
    let till = Till::open(&vector).await;
    let number = till.stage(&vector, State::Succeeded).await;
    let of = Operation::Refund { known: 0, amount: Some(525) };
    till.queue(Task::Outcome { payment: number, of }).await;
    let paid = Vector::named("unitpay", "status_success").exchanges();
    let Reply::Say { body, .. } = paid[0].reply.clone() else { panic!("the vector has no answer") };
    till.bank.answer(&paid[0].call(), 200, body);
    for _ in 0..100 {
        till.later(DAY / 4).await;
    }
    assert_eq!((waiting(&till).await, till.world.states().await.len()), (0, 0));
    assert!((2..30).contains(&till.bank.take_asked().len()));
    till.close().await;
}
