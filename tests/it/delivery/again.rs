//! A kept-alive connection that the receiver closes just as an event is written to it.

use kassir::domain::DeliveryStatus;

use super::world::world;
use crate::hang_up::Moment::{Answer, Close, Say};
use crate::hang_up::Receiver;

#[tokio::test]
async fn it_is_sent_once_more_as_the_same_attempt() {
    let world = world().await;
    let receiver = Receiver::start(None, &[&[Answer, Close]]).await;
    let view = world.endpoint(&receiver.url("/hook"));
    let mut done = Vec::new();
    for _ in 0..2 {
        let id = world.queue(&view).await;
        world.worker.run_until_idle().await.unwrap();
        done.push(world.load(id).await);
    }
    assert!(done.iter().all(|delivery| delivery.status == DeliveryStatus::Delivered));
    assert_eq!(done[1].attempts, 1, "it is one attempt");
    let attempts = world.attempts(done[1].id).await;
    assert_eq!((attempts.len(), attempts[0].number, attempts[0].status), (1, 1, Some(200)));
    assert_eq!((attempts[0].sent_again, attempts[0].error.as_deref()), (true, None));
    assert!(!world.attempts(done[0].id).await[0].sent_again);
    let heads = receiver.heads();
    assert_eq!((heads.len(), receiver.connections()), (2, 2));
    for expected in ["kassir-attempt: 1\r\n".to_owned(), format!("webhook-id: {}\r\n", done[1].event)] {
        assert!(heads[1].contains(&expected.to_ascii_lowercase()), "{heads:?}");
    }
}

#[tokio::test]
async fn when_that_fails_too_the_schedule_goes_on() {
    let world = world().await;
    let receiver = Receiver::start(None, &[&[Answer, Close], &[Close]]).await;
    let view = world.endpoint(&receiver.url("/hook"));
    world.queue(&view).await;
    world.worker.run_until_idle().await.unwrap();
    let id = world.queue(&view).await;
    world.worker.run_until_idle().await.unwrap();
    let waiting = world.load(id).await;
    assert_eq!((waiting.status, waiting.attempts, waiting.round), (DeliveryStatus::Pending, 1, 1));
    let attempt = &world.attempts(id).await[0];
    let words = "the connection was closed before an answer came (sent again on a fresh connection)";
    assert_eq!((attempt.sent_again, attempt.error.as_deref()), (true, Some(words)));
    assert_eq!(world.go_to_next(id).await.status, DeliveryStatus::Delivered);
    assert_eq!(receiver.connections(), 3);
}

#[tokio::test]
async fn after_a_byte_of_an_answer_only_the_schedule_sends_it_again() {
    let world = world().await;
    let receiver = Receiver::start(None, &[&[Answer, Say("H")]]).await;
    let view = world.endpoint(&receiver.url("/hook"));
    world.queue(&view).await;
    world.worker.run_until_idle().await.unwrap();
    let id = world.queue(&view).await;
    world.worker.run_until_idle().await.unwrap();
    let attempt = &world.attempts(id).await[0];
    let words = "the connection was closed before an answer came";
    assert_eq!((attempt.sent_again, attempt.error.as_deref()), (false, Some(words)));
    assert_eq!((receiver.connections(), receiver.heads().len()), (1, 1));
    assert_eq!(world.go_to_next(id).await.attempts, 2);
}
