//! What goes out, and what is recorded of it.

use std::sync::Arc;

use kassir::delivery::schedule::Schedule;
use kassir::delivery::signature::{SigningKey, VerifyError, verify, verify_public};
use kassir::delivery::{DeliveryConfig, LiveKey, outbound::harmless, request_replay};
use kassir::domain::DeliveryStatus;
use kassir::domain::config::Success;
use kassir_providers::Secret;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Notify;

use super::world::{world, world_with};
use crate::subscriber::{Act, Seen, Subscriber};

/// The official Rust library of Standard Webhooks.
fn verify_independently(seen: &Seen, key: &SigningKey) -> Result<(), standardwebhooks::WebhookError> {
    let headers: HeaderMap = seen
        .headers
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect();
    standardwebhooks::Webhook::new(key.text().expose()).unwrap().verify(&seen.body, &headers)
}

#[tokio::test]
async fn failures_of_every_kind_and_then_success() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    subscriber.script([
        Act::status(500),
        Act::answer(500, &[], "<b>\u{1b}[31msorry</b>"),
        Act::Hang,
        Act::answer(302, &[("location", "http://169.254.169.254/")], ""),
        Act::answer(200, &[], "thanks"),
    ]);
    let view = world.endpoint(&subscriber.url("/hook"));
    let id = world.queue(&view).await;
    let started = world.now();
    world.worker.run_until_idle().await.unwrap();
    for _ in 0..4 {
        let waiting = world.load(id).await;
        assert_eq!(waiting.status, DeliveryStatus::Pending);
        assert!(waiting.next_attempt_at.unwrap() > world.now());
        assert_eq!(world.worker.run_until_idle().await.unwrap(), 0, "nothing is sent early");
        world.go_to_next(id).await;
    }
    let done = world.load(id).await;
    assert_eq!((done.status, done.attempts, done.next_attempt_at), (DeliveryStatus::Delivered, 5, None));

    let seen = subscriber.seen();
    assert_eq!(seen.len(), 5);
    let body = r#"{"id":7,"provider":"yandex_kassa","payload":{"amount":900.00}}"#;
    for (index, seen) in seen.iter().enumerate() {
        assert_eq!(seen.line, "POST /hook");
        assert_eq!(seen.header("webhook-id"), done.event.to_string());
        assert_eq!(seen.header("kassir-attempt"), (index + 1).to_string());
        assert_eq!(seen.header("kassir-delivery"), id.to_string());
        assert_eq!(seen.header("kassir-proof"), "signed");
        assert_eq!(seen.header("content-type"), "application/json");
        assert_eq!(seen.header("user-agent"), format!("Kassir/{}", env!("CARGO_PKG_VERSION")));
        assert_eq!((seen.header("x-key"), seen.header("accept-encoding")), ("custom", "identity"));
        assert_eq!((seen.header("kassir-replay"), seen.header("kassir-test")), ("", ""));

        assert_eq!(String::from_utf8_lossy(&seen.body), body);
        let at: i64 = seen.header("webhook-timestamp").parse().unwrap();
        assert_eq!(verify(&seen.headers, &seen.body, &view.keys[0].key, at), Ok(()));
        verify_independently(seen, &view.keys[0].key).unwrap();
    }

    let attempts = world.attempts(id).await;
    let told: Vec<_> =
        attempts.iter().map(|attempt| (attempt.number, attempt.status, attempt.error.as_deref())).collect();
    assert_eq!(
        told,
        [
            (1, Some(500), Some("the answer is 500")),
            (2, Some(500), Some("the answer is 500")),
            (3, None, Some("no answer within 0.4 s")),
            (
                4,
                Some(302),
                Some("the answer is 302, a redirect to http://169.254.169.254/; redirects are not followed")
            ),
            (5, Some(200), None),
        ]
    );
    assert_eq!(attempts[1].response_excerpt.as_deref(), Some("<b>\\u{1b}[31msorry</b>"));
    assert_eq!(attempts[4].response_excerpt.as_deref(), Some("thanks"));
    assert_eq!(attempts[4].remote_ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(attempts[0].at, started);
    assert!(attempts.windows(2).all(|pair| pair[0].at < pair[1].at));
    assert!(attempts[2].duration_ms >= 400);
}

#[tokio::test]
async fn replays_and_tests_are_marked() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let mut view = world.endpoint(&subscriber.url("/"));
    view.headers.push(("Kassir-Replay".to_owned(), Secret::new("forged")));
    world.endpoints.put(view.clone());
    let id = world.queue_test(&view).await;
    world.worker.run_until_idle().await.unwrap();
    let delivered = world.load(id).await;
    let asked = request_replay(delivered, "ann", Some("lost it".to_owned()), None, world.now());
    world.store.update_delivery(asked).await.unwrap();
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 1);
    let seen = subscriber.seen();
    assert_eq!((seen[0].header("kassir-replay"), seen[0].header("kassir-test")), ("", "true"));
    assert_eq!((seen[1].header("kassir-replay"), seen[1].header("kassir-test")), ("true", "true"));
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
    assert_eq!(seen[1].header("kassir-attempt"), "2");
    let replays: Vec<bool> = world.attempts(id).await.iter().map(|attempt| attempt.replay).collect();
    assert_eq!(replays, [false, true]);
    assert_eq!(world.load(id).await.status, DeliveryStatus::Delivered);
}

#[tokio::test]
async fn a_rotated_secret_signs_beside_the_new_one_until_it_ends() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let mut view = world.endpoint(&subscriber.url("/"));
    let (new, old) = (view.keys[0].key.clone(), SigningKey::generate().unwrap());
    view.keys.push(LiveKey { key: old.clone(), expires_at: Some(world.now() + 1_000) });
    world.endpoints.put(view.clone());
    world.queue(&view).await;
    world.worker.run_until_idle().await.unwrap();
    world.clock.advance(1_000);
    world.queue(&view).await;
    world.worker.run_until_idle().await.unwrap();
    let seen = subscriber.seen();
    for key in [&new, &old] {
        verify_independently(&seen[0], key).unwrap();
    }
    verify_independently(&seen[1], &new).unwrap();
    assert!(verify_independently(&seen[1], &old).is_err());
    let at = seen[1].header("webhook-timestamp").parse().unwrap();
    assert_eq!(verify(&seen[1].headers, &seen[1].body, &old, at), Err(VerifyError::Signature));
}

#[tokio::test]
async fn a_rotation_during_a_backlog_is_followed_by_what_waits() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    subscriber.script([Act::status(500)]);
    let mut view = world.endpoint(&subscriber.url("/"));
    let old = view.keys[0].key.clone();
    let waiting = world.queue(&view).await;
    world.worker.run_until_idle().await.unwrap();
    let (new, pair) = (SigningKey::generate().unwrap(), SigningKey::generate_pair().unwrap());
    view.keys = [(&new, None), (&old, Some(world.now() + 60_000)), (&pair, None)]
        .map(|(key, expires_at)| LiveKey { key: key.clone(), expires_at })
        .into();
    world.endpoints.put(view.clone());
    world.go_to_next(waiting).await;
    let seen = subscriber.seen();
    verify_independently(&seen[0], &old).unwrap();
    assert!(verify_independently(&seen[0], &new).is_err());
    for key in [&new, &old] {
        verify_independently(&seen[1], key).unwrap();
    }
    let at = seen[1].header("webhook-timestamp").parse().unwrap();
    assert_eq!(verify_public(&seen[1].headers, &seen[1].body, &pair.public().unwrap(), at), Ok(()));
}

#[tokio::test]
async fn nothing_goes_out_unsigned() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let mut view = world.endpoint(&subscriber.url("/"));
    view.keys[0].expires_at = Some(world.now());
    world.endpoints.put(view.clone());
    let id = world.queue(&view).await;
    world.worker.run_until_idle().await.unwrap();
    assert_eq!(subscriber.connections(), 0);
    let error = world.attempts(id).await[0].error.clone();
    assert_eq!(error.as_deref(), Some("the endpoint has no signing secret"));
}

#[tokio::test]
async fn what_counts_as_success_is_the_endpoints_choice() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    subscriber.script([Act::status(204), Act::status(204)]);
    let mut view = world.endpoint(&subscriber.url("/"));
    let strict = world.queue(&view).await;
    world.worker.run_until_idle().await.unwrap();
    assert_eq!(world.load(strict).await.status, DeliveryStatus::Pending);
    view.endpoint.success = Success::Any2xx;
    world.endpoints.put(view.clone());
    let wide = world.queue(&view).await;
    world.worker.run_until_idle().await.unwrap();
    assert_eq!(world.load(wide).await.status, DeliveryStatus::Delivered);
}

#[tokio::test]
async fn the_receivers_wish_for_later_is_kept() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    subscriber.script([Act::answer(503, &[("retry-after", "600")], "")]);
    let view = world.endpoint(&subscriber.url("/"));
    let id = world.queue(&view).await;
    let started = world.now();
    world.worker.run_until_idle().await.unwrap();
    let due = world.load(id).await.next_attempt_at.unwrap();
    assert!((600_000..602_000).contains(&(due - started)), "{}", due - started);
}

#[tokio::test]
async fn long_and_foreign_answers_are_kept_short() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    subscriber.script([Act::EndlessBody, Act::answer(200, &[], vec![0xff; 5_000])]);
    let view = world.endpoint(&subscriber.url("/"));
    for _ in 0..2 {
        let id = world.queue(&view).await;
        world.worker.run_until_idle().await.unwrap();
        let excerpt = world.attempts(id).await[0].response_excerpt.clone().unwrap();
        assert!((1_500..=2_048).contains(&excerpt.len()), "{}", excerpt.len());
        assert_eq!(harmless(excerpt.as_bytes(), usize::MAX / 2), excerpt);
    }
}

#[tokio::test]
async fn a_whole_day_of_failures_ends_with_a_last_attempt() {
    // With jitter the attempt before it may fall so late that its endpoint is still left alone when the day is over.
    let schedule = Schedule { jitter: 0.0, ..Schedule::default() };
    let world = world_with(DeliveryConfig { schedule, ..DeliveryConfig::default() }, |store| store).await;
    let subscriber = Subscriber::http().await;
    subscriber.script(std::iter::repeat_n(Act::status(500), 100));
    let view = world.endpoint(&subscriber.url("/"));
    let id = world.queue(&view).await;
    let started = world.now();
    world.worker.run_until_idle().await.unwrap();
    while world.load(id).await.status == DeliveryStatus::Pending {
        world.go_to_next(id).await;
    }
    assert_eq!(world.load(id).await.status, DeliveryStatus::Failed);
    let attempts = world.attempts(id).await;
    assert!((14..=18).contains(&attempts.len()), "{}", attempts.len());
    assert_eq!(attempts.last().unwrap().at - started, 24 * 60 * 60 * 1000 - 60_000);
}

#[tokio::test]
async fn what_is_hostile_is_kept_harmless() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let hostile =
        b"\0\xff\xfe\x1b[2J\xe2\x80\xae<script>alert(1)</script>\r\n2026-01-01 INFO forged".to_vec();
    let redirect = "http://x/\u{9}a";
    subscriber.script([
        Act::answer(500, &[("x-odd", "a\u{9}b"), ("set-cookie", "\u{202e}")], hostile),
        Act::answer(302, &[("location", redirect)], ""),
        Act::answer(500, &[("content-encoding", "gzip\u{9}<b>")], vec![0x1f, 0x8b, 8]),
    ]);
    let view = world.endpoint(&subscriber.url("/"));
    let id = world.queue(&view).await;
    world.worker.run_until_idle().await.unwrap();
    for _ in 0..3 {
        world.go_to_next(id).await;
    }
    let done = world.load(id).await;
    assert_eq!((done.status, done.attempts), (DeliveryStatus::Delivered, 4), "delivery goes on");
    let attempts = world.attempts(id).await;
    assert_eq!(
        attempts[0].response_excerpt.as_deref(),
        Some(
            "\\u{0}\u{fffd}\u{fffd}\\u{1b}[2J\\u{202e}<script>alert(1)</script>\\u{d}\n2026-01-01 INFO forged"
        )
    );
    let kept = attempts.iter().flat_map(|attempt| [&attempt.error, &attempt.response_excerpt]).flatten();
    let bad = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(kept.flat_map(|text| text.chars()).all(|c| !bad(c)));
}

#[tokio::test]
async fn a_clock_that_jumps_during_an_attempt_sends_nothing_twice() {
    let world = world().await;
    let subscriber = Subscriber::http().await;
    let gate = Arc::new(Notify::new());
    subscriber.script([Act::Gate(Arc::clone(&gate), 200)]);
    let mut view = world.endpoint(&subscriber.url("/"));
    view.endpoint.timeout_s = Some(30);
    world.endpoints.put(view.clone());
    let id = world.queue(&view).await;
    let worker = Arc::clone(&world.worker);
    let step = tokio::spawn(async move { worker.step().await.unwrap() });
    subscriber.wait_for(1).await;
    for _ in 0..2 {
        // Longer than any lease: the work is due again.
        world.clock.advance(3_600_000);
        assert_eq!(world.worker.step().await.unwrap(), 0, "it is under way");
    }
    gate.notify_one();
    assert_eq!(step.await.unwrap(), 1);
    let delivery = world.load(id).await;
    assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Delivered, 1));
    assert_eq!(world.worker.run_until_idle().await.unwrap(), 0);
    assert_eq!(subscriber.seen().len(), 1);
}
