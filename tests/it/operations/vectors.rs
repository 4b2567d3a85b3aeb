//! Every operation vector of every provider, through the whole service: the API is asked for the operation, the
//! provider's API gets the calls that the vector says and answers as it says, and what comes of it is what the vector
//! ends with.

use std::sync::Arc;

use kassir::domain::job::Task;
use kassir_providers::State;
use serde_json::Value;

use super::till::{Till, Told};
use super::vector::{Exchange, Failed, Vector};
use crate::world::World;
use crate::world::bank::{Asked, Bank};

/// Vectors that can't be played over a socket, or through the API.
const SKIPPED: [(&str, &str); 3] = [
    // Depends on the host of the API, which is the test's own here.
    ("robokassa", "refund_kz"),
    // Needs an answer without a Date header, which an HTTP server always sends.
    ("uapay", "clock_off_without_date"),
    // Tells of an order that nobody registered.
    ("uniteller", "status_part_refunded_not_ours"),
];

/// Replies of another amount than the payment's, which the service rightly would not take for it.
const OTHER_AMOUNT: [(&str, &str, &str, &str); 1] = [("yookassa", "charge-revoked", "1490.00", "10.50")];

fn played(slug: &'static str, wishes: &[&str]) -> Vec<Vector> {
    let mut vectors = Vector::all(slug);
    vectors
        .retain(|vector| wishes.contains(&vector.wish()) && !SKIPPED.contains(&(slug, vector.name.as_str())));
    for vector in &mut vectors {
        if let Some((.., from, to)) =
            OTHER_AMOUNT.iter().find(|(of, name, ..)| (*of, *name) == (slug, vector.name.as_str()))
        {
            *vector = Vector::changed(slug, &vector.name, &[(from, to)]);
        }
        if !vector.exchanges().is_empty() {
            *vector = vector.with_our_number();
        }
    }
    vectors
}

/// Runs a test with every vector of some wishes.
async fn with_each(slug: &'static str, wishes: &[&str], test: impl AsyncFn(&Till, &Vector)) {
    let mut world = World::on(crate::sqlite::fresh().await).await;
    let mut bank = Arc::new(Bank::start());
    for vector in &played(slug, wishes) {
        let till = Till::in_world(world, bank, vector).await;
        if let Some(now) = vector.integer("now") {
            till.at(now);
        }
        test(&till, vector).await;
        (world, bank) = till.close().await;
    }
}

/// The problem says what the vector says, and whose fault it is.
#[track_caller]
fn is_problem(told: &Told, failed: &Failed, name: &str) {
    let (text, detail) = (&told.text, told.word("detail"));
    let (status, kind) = match (failed.fault.as_deref(), failed.retry.as_deref()) {
        (Some("caller"), _) => (409, "conflict"),
        (Some("merchant"), _) => (422, "provider-account"),
        (_, Some("look_up")) => (502, "provider-unknown"),
        (_, Some("later")) => (502, "provider-unavailable"),
        _ => (502, "provider-refused"),
    };
    if failed.fault.is_some() {
        let kind = format!("urn:kassir:problem:{kind}");
        assert_eq!((told.status, told.word("type")), (status, kind.as_str()), "{name}: {text}");
    }
    assert!(told.status >= 400, "{name}: {text}");
    assert!(detail.contains(&failed.why), "{name}: {detail}");
    if let Some(code) = &failed.code {
        assert!(detail.contains(code.as_str()), "{name}: {detail}");
    }
    if let Some(seconds) = failed.retry_after_s {
        assert!(detail.contains(&format!("Try again in {seconds} s.")), "{name}: {detail}");
    }
}

/// Whether the request was refused as invalid before any provider was asked.
fn refused_before(told: &Told) -> bool {
    told.status == 422 && told.word("type") == "urn:kassir:problem:invalid"
}

/// Bodies are compared where nothing of this installation is in them.
#[track_caller]
fn same_bodies(asked: &[Asked], exchanges: &[Exchange], name: &str) {
    for (asked, wanted) in asked.iter().zip(exchanges) {
        if let Some(json) = &wanted.json {
            let body: Value = serde_json::from_str(&asked.body).unwrap();
            assert_eq!(sorted(&body), sorted(json), "{name}");
        }
        if let Some(form) = &wanted.form {
            let parsed = kassir_providers::form::Form::parse(asked.body.as_bytes()).unwrap();
            for (field, value) in form {
                assert_eq!(parsed.get(field), Some(value.as_str()), "{name}: {field}");
            }
        }
    }
}

/// The text of a JSON value with its members in order of their names.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> =
                map.iter().map(|(name, value)| format!("{name:?}:{}", sorted(value))).collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

async fn creates(slug: &'static str) {
    with_each(slug, &["create", "charge"], async |till: &Till, vector: &Vector| {
        let name = format!("{slug}/{}", vector.name);
        let exchanges = till.expect(vector);
        let told = till.create(vector, Till::wishes(vector)).await;
        let events = till.world.states().await;
        if refused_before(&told) {
            assert!(vector.failed().is_some(), "{name}: {}", told.text);
            assert_eq!((till.bank.take_asked().len(), events.len()), (0, 0), "{name}");
            return;
        }
        till.was_asked(&exchanges, &name);
        if let Some(failed) = vector.failed() {
            is_problem(&told, &failed, &name);
            let open = failed.retry.as_deref() == Some("look_up");
            let payment = till.look(vector.number()).await;
            assert_eq!(payment.word("state"), if open { "pending" } else { "canceled" }, "{name}");
            assert!(payment.word("reason").starts_with("not created: "), "{name}");
            assert_eq!(events, [""; 0], "{name}");
            return;
        }
        let told = told.is(201);
        assert_eq!(told.json["id"], vector.number(), "{name}");
        let state = vector.told_state().unwrap_or_else(|| "pending".to_owned());
        assert_eq!(told.word("state"), state, "{name}");
        assert_eq!(events[0], "pending", "{name}");
        assert_eq!(*events.last().unwrap(), state, "{name}");
        if let Some(id) = vector.result("provider_id") {
            assert_eq!(told.word("provider_id"), id, "{name}");
        }
        if !exchanges.is_empty() && vector.result("link").is_some() {
            assert_eq!(told.word("pay_url"), vector.result("link").unwrap(), "{name}");
        }
        if vector.wish() == "create" {
            assert!(told.word("pay_url").starts_with("http"), "{name}: {}", told.text);
        }
    })
    .await;
}

fn receipt_of(vector: &Vector) -> Option<Value> {
    vector.text("receipt").map(|text| serde_json::from_str(text).unwrap())
}

/// Whether the provider says that it takes a receipt with such an operation.
fn takes_receipt(vector: &Vector) -> bool {
    let can = vector.provider().about().capabilities;
    if vector.wish() == "capture" { can.capture_receipt } else { can.refund_receipt }
}

async fn deeds(slug: &'static str) {
    with_each(slug, &["capture", "cancel", "refund"], async |till: &Till, vector: &Vector| {
        let name = format!("{slug}/{}", vector.name);
        let usual = match vector.wish() {
            "capture" => State::WaitingForCapture,
            "refund" => State::Succeeded,
            _ => State::Pending,
        };
        let state = vector.state().unwrap_or(usual);
        let number = till.stage(vector, state).await;
        let part = vector.part();
        let exchanges = till.expect(vector);
        let receipt = receipt_of(vector);
        let has_receipt = receipt.is_some();
        let told = till.act_with(number, vector.wish(), part.map(|part| part.minor), receipt).await;
        let allowed = match vector.wish() {
            "cancel" => matches!(state, State::Pending | State::WaitingForCapture),
            _ => state == usual,
        };
        if !allowed || part.is_some_and(|part| part.minor > vector.amount().minor || part.minor <= 0) {
            assert!(matches!(told.status, 409 | 422), "{name}: {}", told.text);
            assert_eq!(till.bank.take_asked().len(), 0, "{name}");
            return;
        }
        if has_receipt && refused_before(&told) {
            assert!(vector.failed().is_some() && !takes_receipt(vector), "{name}: {}", told.text);
            assert!(told.text.contains("takes no receipt with"), "{name}: {}", told.text);
            assert_eq!(till.bank.take_asked().len(), 0, "{name}");
            return;
        }
        assert_eq!(has_receipt, has_receipt && takes_receipt(vector), "{name}");
        let asked = till.was_asked(&exchanges, &name);
        if ["reason", "reference"].iter().all(|name| vector.value(name).is_none()) {
            same_bodies(&asked, &exchanges, &name);
        }
        let payment = till.look(number).await;
        if let Some(mut failed) = vector.failed() {
            // Without a caller's key the same refund can't be asked for again.
            if (vector.wish(), failed.retry.as_deref()) == ("refund", Some("later")) {
                failed.retry = Some("look_up".to_owned());
            }
            is_problem(&told, &failed, &name);
            assert_eq!(payment.word("state"), state.word(), "{name}");
            assert_eq!(till.world.states().await, [""; 0], "{name}");
            return;
        }
        let told = told.is(200);
        assert_eq!(
            told.word("state"),
            vector.told_state().unwrap_or_else(|| state.word().to_owned()),
            "{name}"
        );
        let refunds: Vec<Value> =
            vector.facts().iter().filter_map(|fact| Some(fact.get("refund")?.clone())).collect();
        // Without an amount it is all that is left.
        let whole = vector.amount().minor;
        let wanted =
            refunds.last().map_or(0, |refund| refund["amount"]["money"]["minor"].as_i64().unwrap_or(whole));
        assert_eq!(told.json["refunded_amount"], wanted, "{name}: {}", told.text);
    })
    .await;
}

async fn states(slug: &'static str) {
    with_each(slug, &["status", "refund_status"], async |till: &Till, vector: &Vector| {
        let name = format!("{slug}/{}", vector.name);
        let is_refund = vector.wish() == "refund_status";
        let usual = if is_refund { State::Succeeded } else { State::Pending };
        let state = if is_refund { usual } else { vector.state().unwrap_or(usual) };
        let number = till.stage(vector, state).await;
        let task = match vector.text("refund_id") {
            Some(refund) => Task::Refund { payment: number, refund: refund.to_owned() },
            None => Task::Poll { payment: number },
        };
        let exchanges = till.expect(vector);
        till.queue(task).await;
        till.world.work().await;
        let over = !is_refund && matches!(state, State::Succeeded | State::Canceled);
        if over {
            assert_eq!(till.bank.take_asked().len(), 0, "{name}");
            return;
        }
        let asked = till.was_asked(&exchanges, &name);
        if vector.value("reference").is_none() {
            same_bodies(&asked, &exchanges, &name);
        }
        let payment = till.look(number).await;
        if vector.failed().is_some() {
            assert_eq!(payment.word("state"), state.word(), "{name}");
            return;
        }
        let wanted = vector.told_state().filter(|told| told != "pending" && !is_refund);
        assert_eq!(payment.word("state"), wanted.as_deref().unwrap_or(state.word()), "{name}");
    })
    .await;
}

macro_rules! every_vector {
    ($($slug:ident)*) => {
        $(
            mod $slug {
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn creates() {
                    super::creates(stringify!($slug)).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn deeds() {
                    super::deeds(stringify!($slug)).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn states() {
                    super::states(stringify!($slug)).await;
                }
            }
        )*
    };
}

every_vector! {
    yookassa yoomoney robokassa cloudpayments liqpay uapay uniteller unitpay
    bepaid cryptopay cryptobot justclick generic
}
