//! When a provider does not answer, answers late, or refuses: what the caller is told, what the payment is then, and
//! that a repetition is the same operation at the provider.

use std::sync::Arc;

use kassir::limits::POLL_FIRST_MS;
use kassir_providers::operation::Sample;
use kassir_providers::{Money, Request, State, by_slug};
use serde_json::{Map, json};
use tokio::sync::Notify;

use super::till::Till;
use super::vector::Vector;
use crate::world::bank::{Asked, Reply};

/// When a payment is asked about for the first time.
fn first_poll() -> i64 {
    i64::try_from(POLL_FIRST_MS).unwrap()
}

fn keys(asked: &[Asked], header: &str) -> Vec<String> {
    asked.iter().map(|asked| asked.headers.get(header).cloned().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_refund_is_the_same_refund() {
    for (slug, name, header) in
        [("yookassa", "refund", "idempotence-key"), ("cloudpayments", "refund", "x-request-id")]
    {
        let vector = Vector::named(slug, name);
        let till = Till::open(&vector).await;
        let number = till.stage(&vector, State::Succeeded).await;
        let part = vector.part().map(|part| part.minor);
        let call = vector.exchanges()[0].call();
        till.bank.next(&call, Reply::Silence);
        let silent = till.act(number, "refund", part).await.is(502);
        assert_eq!(silent.word("type"), "urn:kassir:problem:provider-unknown", "{}", silent.text);
        assert!(silent.word("detail").contains("look the payment up"), "{}", silent.text);
        assert_eq!(till.look(number).await.json["refunded_amount"], 0);
        till.expect(&vector);
        till.act(number, "refund", part).await.is(200);
        let asked = till.bank.take_asked();
        let keys = keys(&asked[..2], header);
        assert_eq!((keys[0].len(), &keys[0]), (40, &keys[1]));
        // The next one is another.
        till.expect(&vector);
        till.act(number, "refund", part).await;
        assert_ne!(till.bank.take_asked()[0].headers[header], keys[0]);
        till.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_holds_no_secret_and_changes_nothing() {
    let cases = [
        ("yookassa", "capture", State::WaitingForCapture),
        ("robokassa", "capture", State::WaitingForCapture),
        ("cloudpayments", "capture_all", State::WaitingForCapture),
        ("liqpay", "capture_in_part", State::WaitingForCapture),
        ("uapay", "capture", State::WaitingForCapture),
        ("uniteller", "capture", State::WaitingForCapture),
        ("unitpay", "capture", State::WaitingForCapture),
    ];
    for (slug, name, state) in cases {
        let vector = Vector::named(slug, name);
        let till = Till::open(&vector).await;
        let number = till.stage(&vector, state).await;
        till.bank.next(&vector.exchanges()[0].call(), Reply::Silence);
        let silent = till.act(number, "capture", vector.part().map(|part| part.minor)).await.is(502);
        assert_eq!(silent.word("type"), "urn:kassir:problem:provider-unknown", "{slug}: {}", silent.text);
        let payment = till.look(number).await;
        assert_eq!(payment.word("state"), state.word(), "{slug}");
        assert_eq!(till.world.states().await, [""; 0], "{slug}");
        till.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_whose_creation_is_unknown_stays_open() {
    let vector = Vector::named("yookassa", "create");
    let till = Till::open(&vector).await;
    till.bank.next("POST /v3/payments", Reply::Silence);
    let silent = till.create(&vector, json!({})).await.is(502);
    assert_eq!(silent.word("type"), "urn:kassir:problem:provider-unknown", "{}", silent.text);
    assert!(silent.word("detail").contains("Payment 72."), "{}", silent.text);
    let payment = till.look(72).await;
    assert_eq!((payment.word("state"), payment.word("pay_url")), ("pending", ""));
    assert!(payment.word("reason").contains("can't be reached"), "{}", payment.text);
    assert_eq!(till.world.states().await, [""; 0]);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_not_created() {
    let vector = Vector::named("yookassa", "create");
    let mut till = Till::open(&vector).await;
    let nobody = format!("http://127.0.0.1:{}", crate::process::free_port());
    till.rebase(&format!("{nobody}/v3")).await;
    let away = till.create(&vector, json!({})).await.is(502);
    assert_eq!(away.word("type"), "urn:kassir:problem:provider-unavailable", "{}", away.text);
    assert_eq!(till.look(72).await.word("state"), "canceled");
    assert_eq!(till.world.states().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_that_may_have_been_made_stays_open_and_is_asked_about() {
    let cases = [
        ("yookassa", Reply::json(202, "{}")),
        ("yookassa", Reply::json(500, "{}")),
        ("yookassa", Reply::json(200, "<html>")),
        ("cloudpayments", Reply::json(503, "")),
    ];
    for (slug, reply) in cases {
        let vector = Vector::named(slug, "charge");
        let till = Till::open(&vector).await;
        let what = format!("{slug}: {reply:?}");
        till.bank.next(&vector.exchanges()[0].call(), reply);
        let told = till.create(&vector, Till::wishes(&vector)).await.is(502);
        assert_eq!(told.word("type"), "urn:kassir:problem:provider-unknown", "{what}: {}", told.text);
        assert_eq!(till.look(vector.number()).await.word("state"), "pending", "{what}");
        assert_eq!(till.bank.take_asked().len(), 1, "{what}");
        till.later(first_poll()).await;
        assert_eq!(till.bank.take_asked().len(), 1, "{what}");
        till.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_that_was_turned_away_was_not_made() {
    for slug in ["yookassa", "cloudpayments"] {
        let vector = Vector::named(slug, "charge");
        let till = Till::open(&vector).await;
        till.bank.next(&vector.exchanges()[0].call(), Reply::json(429, "{}"));
        let told = till.create(&vector, Till::wishes(&vector)).await.is(502);
        assert_eq!(told.word("type"), "urn:kassir:problem:provider-unavailable", "{slug}: {}", told.text);
        assert_eq!(till.look(vector.number()).await.word("state"), "canceled", "{slug}");
        till.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_asked_about_although_nobody_heard_the_end_of_its_creation() {
    let vector = Vector::named("yookassa", "charge");
    let till = Till::open(&vector).await;
    till.bank.next("POST /v3/payments", Reply::Silence);
    let meanwhile = async {
        till.bank.is_asked().await;
        till.later(first_poll()).await;
        till.bank.take_asked()
    };
    let (_, asked) = tokio::join!(till.create(&vector, Till::wishes(&vector)), meanwhile);
    let methods: Vec<&str> = asked.iter().map(|asked| asked.method.as_str()).collect();
    assert_eq!(methods, ["POST", "GET"]);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_is_asked_about_again_once_the_credentials_are_right() {
    let vector = Vector::changed("yookassa", "create", &[("10.50", "1490.00")]);
    let till = Till::open(&vector).await;
    till.expect(&vector);
    till.create(&vector, Till::wishes(&vector)).await.is(201);
    till.bank.take_asked();
    let paid = Vector::named("yookassa", "status");
    till.bank.next(&paid.exchanges()[0].call(), Reply::json(401, "{}"));
    till.later(first_poll()).await;
    assert_eq!((till.bank.take_asked().len(), till.world.states().await), (1, vec!["pending"]));
    till.expect(&paid);
    till.later(2 * first_poll()).await;
    assert_eq!(till.world.states().await, ["pending", "succeeded"]);
    till.close().await;
}

/// A notification of a shop's provider about a payment.
fn told(till: &Till, kind: Option<&str>, refund: bool, amount: Money, number: u32, id: &str) -> Request {
    let sample = Sample {
        kind: kind.map(ToOwned::to_owned),
        state: State::Succeeded,
        refund,
        amount,
        reference: number.to_string(),
        provider_id: Some(id.to_owned()),
        description: "Заказ".to_owned(),
        email: None,
        metadata: Map::new(),
        now: crate::world::START,
    };
    by_slug(till.slug).unwrap().imitate(&sample, &till.shop.account).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_without_an_id_is_asked_about_once_it_has_one() {
    let vector = Vector::named("unitpay", "create_form");
    let till = Till::open(&vector).await;
    till.create(&vector, Till::wishes(&vector)).await.is(201);
    till.later(first_poll()).await;
    assert_eq!(till.bank.take_asked().len(), 0);
    let check = told(&till, Some("check"), false, vector.amount(), vector.number(), "153091501");
    assert_eq!(till.world.notify(&till.shop, &check).await.body, r#"{"result":{"message":"OK"}}"#);
    let exchanges = till.expect(&Vector::named("unitpay", "status_success"));
    till.later(2 * first_poll()).await;
    till.was_asked(&exchanges, "after CHECK");
    assert_eq!(till.world.states().await, ["pending", "succeeded"]);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_told_before_its_answer_counts_once() {
    let vector = Vector::named("liqpay", "refund_in_part").with_our_number();
    let till = Till::open(&vector).await;
    let number = till.stage(&vector, State::Succeeded).await;
    let exchange = &vector.exchanges()[0];
    let Reply::Say { body, .. } = exchange.reply.clone() else { panic!("the vector has no answer") };
    let gate = Arc::new(Notify::new());
    till.bank.next(&exchange.call(), Reply::Held { gate: Arc::clone(&gate), body });
    let part = vector.part().unwrap();
    let meanwhile = async {
        till.bank.is_asked().await;
        let callback = told(&till, None, true, part, number, "3170554201");
        assert_eq!(till.world.notify(&till.shop, &callback).await.status, 200);
        // Which of two refunds at once a callback tells of, nobody could say.
        let busy = till.act(number, "refund", Some(100)).await.is(409);
        assert!(busy.word("detail").contains("another refund"), "{}", busy.text);
        gate.notify_one();
    };
    let (refunded, ()) = tokio::join!(till.act(number, "refund", Some(part.minor)), meanwhile);
    let refunded = refunded.is(200);
    assert_eq!(refunded.json["refunded_amount"], part.minor, "{}", refunded.text);
    assert_eq!(till.world.states().await, ["partially_refunded"]);
    assert_eq!(till.bank.take_asked().len(), 1);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_under_a_callers_key_is_the_same_one_whatever_became_known_meanwhile() {
    let vector = Vector::named("cloudpayments", "refund");
    let till = Till::open(&vector).await;
    let number = till.stage(&vector, State::Succeeded).await;
    let (part, call) = (vector.part().unwrap(), vector.exchanges()[0].call());
    till.bank.next(&call, Reply::json(503, ""));
    let failed = till.refund_under("k-1", number, Some(part.minor)).await.is(502);
    assert_eq!(failed.word("type"), "urn:kassir:problem:provider-unavailable", "{}", failed.text);
    // It was done all the same.
    let callback = told(&till, None, true, part, number, "3355303842");
    assert_eq!(till.world.notify(&till.shop, &callback).await.status, 200);
    assert_eq!(till.look(number).await.json["refunded_amount"], part.minor);
    for key in ["k-1", "k-2"] {
        till.expect(&vector);
        till.refund_under(key, number, Some(part.minor)).await.is(200);
    }
    let refunds = till.bank.take_asked().into_iter().filter(|asked| call.ends_with(&asked.target));
    let keys = keys(&refunds.collect::<Vec<_>>(), "x-request-id");
    assert_eq!((keys.len(), &keys[0]), (3, &keys[1]));
    assert_ne!(keys[0], keys[2]);
    till.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_without_a_key_that_may_have_been_done_is_not_asked_for_again() {
    let vector = Vector::named("cloudpayments", "refund");
    let till = Till::open(&vector).await;
    let number = till.stage(&vector, State::Succeeded).await;
    let part = vector.part().map(|part| part.minor);
    till.bank.next(&vector.exchanges()[0].call(), Reply::json(503, ""));
    let unknown = till.act(number, "refund", part).await.is(502);
    assert_eq!(unknown.word("type"), "urn:kassir:problem:provider-unknown", "{}", unknown.text);
    till.bank.next(&vector.exchanges()[0].call(), Reply::json(429, ""));
    let busy = till.act(number, "refund", part).await.is(502);
    assert_eq!(busy.word("type"), "urn:kassir:problem:provider-unavailable", "{}", busy.text);
    till.close().await;
}
