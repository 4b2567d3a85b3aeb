//! Each answer of Redis that is an error, on each verb of the store: it is never taken for a success, nothing is asked
//! again in a hurry, and when it is over work goes on with no restart.

use std::future::Future;
use std::pin::Pin;

use kassir::domain::ids::NotificationId;
use kassir::store::{
    Alive, Cutoffs, DeliveryFilter, EventFilter, Hold, LookUp, NotificationFilter, Page, PaymentFilter,
    Settle, SettleEnd, StoreError,
};

use crate::process::Plan;
use crate::redis_faults::{behind_a_proxy, words};
use crate::redis_proxy::{Deed, Proxy};
use crate::redis_server::{DURABLE, Server};
use crate::store_suite::samples::{self, LEASE_MS, Shop, ask, attempt, delivery_of, id};

use super::sending::{Stream, open_shop};
use super::{UNCOUNTED, print};

/// What Redis says, and a word that our message has.
const ANSWERS: &[(&str, &str)] = &[
    ("OOM command not allowed when used memory > 'maxmemory'.", "(OOM)"),
    ("READONLY You can't write against a read only replica.", "(READONLY)"),
    ("MISCONF Errors writing to the AOF file: No space left on device", "(MISCONF)"),
    ("LOADING Redis is loading the dataset in memory", "(LOADING)"),
    ("NOGROUP No such key 'x' or consumer group 'y'", "NOGROUP"),
    ("NOSCRIPT No matching script. Please use EVAL.", "(NOSCRIPT)"),
    ("BUSY Redis is busy running a script. You can only call SCRIPT KILL.", "(BUSY)"),
    ("MOVED 3999 127.0.0.1:6381", "(MOVED)"),
    ("CLUSTERDOWN The cluster is down", "(CLUSTERDOWN)"),
    ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "(MASTERDOWN)"),
    ("TRYAGAIN Multiple keys request during rehashing of slot", "(TRYAGAIN)"),
    ("ERR Script attempted to access a non local key in a cluster node script: f_1", "(TRYAGAIN)"),
    ("NOREPLICAS Not enough good replicas to write.", "(NOREPLICAS)"),
    ("WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE"),
];
/// Most calls of scripts within one verb: one for each partition, each also in full when the server forgot it.
const CALLS_MAX: usize = 32;

type Done<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'a>>;
type Verb = (&'static str, for<'a> fn(&'a Shop, &'a Stock) -> Done<'a>);

/// What verbs need that must be made before the fault.
struct Stock {
    claimed: kassir::store::Claimed,
    delivery: kassir::domain::Delivery,
    hold: Hold,
}

macro_rules! verbs {
    ($($name:literal: |$shop:ident, $stock:ident| $call:expr;)+) => {
        &[$(($name, {
            fn call<'a>($shop: &'a Shop, $stock: &'a Stock) -> Done<'a> {
                let _ = $stock;
                Box::pin(async move { $call.await.map(drop) })
            }
            call
        })),+]
    };
}

const VERBS: &[Verb] = verbs! {
    "ready": |s, _k| s.store.ready();
    "now": |s, _k| s.store.now();
    "change_config": |s, _k| s.store.change_config(
        s.merchant, kassir::store::ConfigChange::PutEndpoint(Box::new(samples::endpoint(s.merchant))), None);
    "put_integration": |s, _k| s.store.change_config(
        s.merchant, kassir::store::ConfigChange::PutIntegration(Box::new(samples::integration(s.merchant))), None);
    "config": |s, _k| s.store.config(s.merchant);
    "merchants": |s, _k| s.store.merchants(&Page::default());
    "find_token": |s, _k| s.store.find_token("hash");
    "put_api_token": |s, _k| s.store.put_api_token(&samples::api_token(None));
    "api_token": |s, _k| s.store.api_token("hash");
    "api_tokens": |s, _k| s.store.api_tokens(&Page::default());
    "delete_api_token": |s, _k| s.store.delete_api_token(kassir::domain::ids::TokenId(id()));
    "look_up": |s, _k| s.store.look_up(&LookUp {
        merchant: s.merchant, integration: s.integration, provider_ids: vec!["a".to_owned()], numbers: vec![1] });
    "commit": |s, _k| s.store.commit(kassir::store::Commit { config_version: None, ..s.whole("b") });
    "claim": |s, _k| s.store.claim(&ask(10));
    "settle": |s, k| s.store.settle(Settle {
        fence: k.claimed.fence,
        merchant: s.merchant,
        end: SettleEnd::Delivery { delivery: Box::new(k.delivery.clone()), attempt: Some(attempt(1)) },
        hold: None,
        tallies: Vec::new() });
    "release": |s, k| s.store.release(&[(s.merchant, k.claimed.fence)]);
    "holds": |s, _k| s.store.holds(s.merchant, &[s.lane()]);
    "alive": |s, _k| s.store.alive(&Alive {
        owner: "me".to_owned(), lease_ms: LEASE_MS, held: Vec::new(), as_of: None });
    "backlog": |s, _k| s.store.backlog();
    "payment": |s, _k| s.store.payment(s.merchant, 1);
    "payments": |s, _k| s.store.payments(s.merchant, &PaymentFilter::default(), &Page::default());
    "event": |s, k| s.store.event(s.merchant, k.delivery.event);
    "events": |s, _k| s.store.events(s.merchant, &EventFilter::default(), &Page::default());
    "delivery": |s, k| s.store.delivery(s.merchant, k.delivery.id);
    "deliveries": |s, _k| s.store.deliveries(s.merchant, &DeliveryFilter::default(), &Page::default());
    "attempts": |s, k| s.store.attempts(s.merchant, k.delivery.id);
    "notification": |s, _k| s.store.notification(s.merchant, NotificationId(id()));
    "notifications": |s, _k| s.store.notifications(s.merchant, &NotificationFilter::default(), &Page::default());
    "tallies": |s, _k| s.store.tallies(s.merchant, 0, i64::MAX);
    "update_delivery": |s, k| s.store.update_delivery(k.delivery.clone());
    "begin_replay": |s, _k| async {
        let job = s.job(kassir::domain::Task::Poll { payment: 1 });
        s.store.begin_replay(&samples::replay(s.merchant), &job).await
    };
    "put_replay": |s, _k| async { s.store.put_replay(&samples::replay(s.merchant)).await };
    "replay": |s, _k| s.store.replay(s.merchant, kassir::domain::ids::ReplayId(id()));
    "replays": |s, _k| s.store.replays(s.merchant, &Page::default());
    "audit_tail": |s, _k| s.store.audit_tail(None);
    "append_audit": |s, _k| async { s.store.append_audit(&samples::audit_entry(None, "x"), "").await };
    "audit": |s, _k| s.store.audit(None, &Page::default());
    "idempotency_begin": |s, _k| s.store.idempotency_begin("a", "b", "c", 1_000);
    "idempotency_note": |s, k| s.store.idempotency_note("a", "held", k.hold, "x");
    "idempotency_finish": |s, k| s.store.idempotency_finish("a", "held", k.hold, Some((200, "x".to_owned())));
    "mend": |s, _k| s.store.mend();
    "sweep": |s, _k| async { s.store.sweep(&Cutoffs { events: Some(1), ..Cutoffs::default() }, 10).await };
};

#[tokio::test]
async fn every_answer_on_every_verb() {
    let (_server, proxy, shop) = behind_a_proxy().await;
    shop.write(shop.whole("a")).await;
    let claimed = shop.claim().await.work.remove(0);
    let hold = crate::store_suite::held(shop.store.idempotency_begin("a", "held", "c", 1_000).await);
    let stock = Stock { delivery: delivery_of(&claimed).clone(), claimed, hold };
    for (answer, said) in ANSWERS {
        for (verb, call) in VERBS {
            proxy.plan(vec![Deed::Answer(answer); 4 * CALLS_MAX]);
            let words = words(call(&shop, &stock).await);
            assert!(words.contains(said), "{verb}, {answer}: {words}");
            let calls = proxy.seen().len();
            assert!(calls <= CALLS_MAX, "{verb}, {answer}: {calls} calls");
        }
        proxy.plan(Vec::new());
        shop.store.ready().await.unwrap();
    }
    // Nothing of it was done, and all works as before.
    assert_eq!(shop.store.backlog().await.unwrap().leased, 1);
    for (verb, call) in VERBS {
        if !matches!(*verb, "release" | "update_delivery" | "append_audit") {
            call(&shop, &stock).await.unwrap_or_else(|error| panic!("{verb}: {error}"));
        }
    }
    let pairs = ANSWERS.len() * VERBS.len();
    print("redis_error_answers", [&UNCOUNTED; 4], &[("answers_times_verbs", &pairs)]);
}

/// A router whose Redis answers with an error for seconds, under load: no positive answer, few lines of log, and work
/// goes on when it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_router_bears_error_answers_quietly() {
    const SECONDS: u64 = 3;
    const LINES_PER_S: u64 = 10;
    let server = Server::start(DURABLE);
    let proxy = Proxy::before(server.port).await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let plan = Plan { log: Some(log.clone()), ..Plan::on(folder.path(), &proxy.url()) };
    let (receiver, router, shop) = open_shop(&plan).await;
    let stream = Stream::start(&shop, 1, 16);
    stream.more(20).await;
    let lines = || std::fs::read_to_string(&log).unwrap().lines().count() as u64;
    let mut worst = 0;
    for answer in ["OOM command not allowed", "READONLY You can't write", "NOSCRIPT No matching script."] {
        let (before, accepted) = (lines(), stream.count());
        proxy.always(Some(Deed::Answer(answer)));
        tokio::time::sleep(std::time::Duration::from_secs(SECONDS)).await;
        // Those under way when it began may have been kept just before.
        assert!(stream.count() - accepted <= 16, "{answer}");
        proxy.always(None);
        worst = worst.max((lines() - before) / SECONDS);
        let goes_on = stream.more(20).await;
        assert!(goes_on.as_secs() < 10, "{answer}: {goes_on:?}");
    }
    assert!(worst <= LINES_PER_S, "{worst} lines a second");
    let accepted = stream.stop().await;
    receiver.wait_for(&accepted).await;
    assert_eq!(router.terminate().await, Some(0));
    receiver.assert_one_event_each();
    let counts = receiver.counts(&accepted);
    counts.print("redis_error_answers_under_load", &[("log_lines_per_s", &worst)]);
    assert_eq!(counts.lost, 0);
}
