//! What can go wrong with Redis: settings that do not keep, restarts, an emptied database, answers that mean "not now",
//! lost answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use kassir::clock::ManualClock;
use kassir::domain::notification::Notification;
use kassir::domain::{DeliveryStatus, Event};
use kassir::store::redis::{Options, RedisStore};
use kassir::store::{Commit, Found, LookUp, PaymentFilter, PaymentWrite, Store, StoreError};

use crate::redis_proxy::{Deed, Proxy};
use crate::redis_server::{DURABLE, Server, shared_cluster};
use crate::redis_store::{fresh_in_cluster, options};
use crate::store_suite::delivery::{claim_one, over, settle};
use crate::store_suite::enter::{ask, make};
use crate::store_suite::samples::{Shop, attempt, delivery_of, shop, update};
use crate::store_suite::{Bench, START};

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(START))
}

async fn open(url: &str) -> Result<RedisStore, StoreError> {
    RedisStore::open(url, options(clock())).await
}

/// A shop in a store of its own.
pub async fn shop_at(url: &str) -> Shop {
    let store: Arc<dyn Store> = Arc::new(open(url).await.unwrap());
    shop(&bench(store)).await
}

/// A Redis of its own, a proxy before it, and a shop that reaches it through the proxy.
pub async fn behind_a_proxy() -> (Server, Proxy, Shop) {
    let server = Server::start(DURABLE);
    let proxy = Proxy::before(server.port).await;
    let shop = shop_at(&proxy.url()).await;
    (server, proxy, shop)
}

pub fn bench(store: Arc<dyn Store>) -> Bench {
    struct Never;
    #[async_trait::async_trait]
    impl crate::store_suite::Backend for Never {
        async fn reopen(&mut self, _: Arc<ManualClock>) -> Arc<dyn Store> {
            unreachable!("these tests open stores themselves")
        }
    }
    Bench::new(store, clock(), Box::new(Never))
}

pub fn words<T>(result: Result<T, StoreError>) -> String {
    match result {
        Err(error @ (StoreError::Unavailable(_) | StoreError::Unusable(_))) => error.to_string(),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("an error was expected"),
    }
}

pub async fn payments(shop: &Shop) -> usize {
    shop.store
        .payments(shop.merchant, &PaymentFilter::default(), &Default::default())
        .await
        .unwrap()
        .rows
        .len()
}

#[tokio::test]
async fn settings_that_do_not_keep_are_refused() {
    let off = Server::start(&[("appendonly", "no"), ("save", "")]);
    let refusal = words(open(&off.url()).await);
    assert!(refusal.contains("appendonly is off, so a restart loses everything"), "{refusal}");
    assert!(refusal.contains("store.allow_unsafe = true"), "{refusal}");
    let unsafe_one = Options { allow_unsafe: true, ..options(clock()) };
    let store = RedisStore::open(&off.url(), unsafe_one).await.unwrap();
    let described = store.describe();
    assert_eq!((described.kind, described.place), ("redis", off.url()));
    assert!(described.warnings[0].contains("appendonly is off"), "{:?}", described.warnings);

    off.command::<()>(&["CONFIG", "SET", "appendonly", "yes"]);
    off.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    assert!(words(open(&off.url()).await).contains("maxmemory-policy is allkeys-lru"));
    off.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    off.command::<()>(&["CONFIG", "SET", "appendfsync", "everysec"]);
    let warned = open(&off.url()).await.unwrap().describe().warnings;
    assert!(warned.len() == 1 && warned[0].contains("the last second, two at the worst"), "{warned:?}");
    off.command::<()>(&["CONFIG", "SET", "appendfsync", "always"]);
    let durable = open(&off.url()).await.unwrap().describe();
    assert_eq!(
        (durable.warnings, durable.promise.as_str()),
        (vec![], "accepted means: on the disk of the Redis server")
    );

    // Where CONFIG is forbidden it is said what is not known.
    off.command::<()>(&["ACL", "SETUSER", "limited", "on", ">pw", "~*", "&*", "+@all", "-config"]);
    let limited = off.url().replace("redis://", "redis://limited:pw@");
    let warned = open(&limited).await.unwrap().describe();
    assert!(warned.warnings[0].contains("CONFIG is forbidden"), "{:?}", warned.warnings);
    assert!(!warned.place.contains("pw"));
    off.command::<()>(&["ACL", "SETUSER", "limited", "-info"]);
    assert!(words(open(&limited).await).contains("NOPERM"));
    assert!(
        words(open(&off.url().replace("redis://", "redis://limited:wrong@")).await).contains("WRONGPASS")
    );
}

#[tokio::test]
async fn a_restart_of_redis_keeps_what_was_accepted_and_work_goes_on() {
    let server = Server::start(DURABLE);
    let shop = shop_at(&server.url()).await;
    shop.write(shop.whole("a")).await;
    server.restart();
    shop.write(shop.whole("b")).await;
    server.kill();
    let down = words(shop.store.ready().await);
    assert!(down.contains("Redis can't be reached"), "{down}");
    server.resume();
    shop.store.ready().await.unwrap();
    shop.write(shop.whole("c")).await;
    assert_eq!(payments(&shop).await, 3);
    assert_eq!(shop.claim().await.work.len(), 3);
}

#[tokio::test]
async fn an_emptied_redis_is_loud() {
    let server = Server::start(DURABLE);
    let shop = shop_at(&server.url()).await;
    shop.write(shop.whole("a")).await;
    server.command::<()>(&["FLUSHALL"]);
    let all = [
        words(shop.store.ready().await),
        words(shop.store.commit(shop.whole("b")).await),
        words(shop.store.claim(&crate::store_suite::samples::ask(1)).await),
        words(shop.store.payment(shop.merchant, 1).await),
    ];
    for said in all {
        assert!(said.contains("the Redis database was emptied: the mark"), "{said}");
    }
    assert_eq!(server.command::<u64>(&["DBSIZE"]), 0, "nothing was written into it");
    // Another start begins anew; the router from before must be started again, too.
    let other = shop_at(&server.url()).await;
    other.write(other.whole("a")).await;
    assert!(words(shop.store.ready().await).contains("emptied and set up anew"));
    assert_eq!(payments(&other).await, 1);
}

#[tokio::test]
async fn a_lost_part_is_refused_until_an_operator_says_so() {
    let server = Server::start(DURABLE);
    let shop = shop_at(&server.url()).await;
    shop.write(shop.whole("a")).await;
    server.command::<()>(&["DEL", "kassir:{k07}:meta"]);
    assert!(words(shop.store.ready().await).contains("was emptied"));
    let refusal = words(open(&server.url()).await);
    assert!(refusal.contains("the marks of the partitions k07 are gone"), "{refusal}");
    let again = Options { reinitialise: true, ..options(clock()) };
    RedisStore::open(&server.url(), again).await.unwrap().ready().await.unwrap();
    shop.store.ready().await.unwrap();
    open(&server.url()).await.unwrap();
}

/// Somebody removes single keys of the queue: what was in it still goes out.
#[tokio::test]
async fn removed_keys_of_the_queue_are_mended() {
    let server = Server::start(DURABLE);
    for what in ["q", "q:*", "z", "t", "o"] {
        server.command::<()>(&["FLUSHALL"]);
        let clock = clock();
        let options = options(Arc::clone(&clock));
        let store: Arc<dyn Store> = Arc::new(RedisStore::open(&server.url(), options).await.unwrap());
        let shop = shop(&bench(store)).await;
        for _ in 0..3 {
            shop.queue().await;
        }
        assert_eq!(shop.store.claim(&crate::store_suite::samples::ask(1)).await.unwrap().work.len(), 1);
        let keys: Vec<String> = server.command(&["KEYS", &format!("kassir:{{k??}}:{what}")]);
        for key in &keys {
            server.command::<()>(&["DEL", key]);
        }
        assert_eq!(keys.is_empty(), what == "o", "{what}");
        shop.store.mend().await.unwrap();
        clock.advance(60_000);
        assert_eq!(shop.claim().await.work.len(), 3, "{what}");
    }
}

#[tokio::test]
async fn data_of_a_newer_version_is_refused() {
    let server = Server::start(DURABLE);
    open(&server.url()).await.unwrap();
    server.command::<()>(&["HSET", "kassir:{k15}:meta", "schema", "99"]);
    assert!(words(open(&server.url()).await).contains("a newer version of Kassir (schema"));
    server.command::<()>(&["HSET", "kassir:{k15}:meta", "schema", "1", "partitions", "32"]);
    assert!(words(open(&server.url()).await).contains("has 32 partitions"));
}

#[tokio::test]
async fn each_answer_that_means_not_now_has_its_words() {
    let (_server, proxy, shop) = behind_a_proxy().await;
    let answers = [
        ("OOM command not allowed when used memory > 'maxmemory'.", "out of memory (OOM)"),
        (
            "ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed",
            "out of memory (OOM)",
        ),
        ("READONLY You can't write against a read only replica.", "read-only replica (READONLY)"),
        ("LOADING Redis is loading the dataset in memory", "loading its data (LOADING)"),
        ("MISCONF Errors writing to the AOF file: No space left on device", "(MISCONF)"),
        ("BUSY Redis is busy running a script.", "busy with a long script (BUSY)"),
        ("CLUSTERDOWN The cluster is down", "(CLUSTERDOWN)"),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "(TRYAGAIN)"),
        ("MASTERDOWN Link with MASTER is down", "(MASTERDOWN)"),
        ("NOREPLICAS Not enough good replicas to write.", "(NOREPLICAS)"),
        ("ERR something else", "something else"),
    ];
    for (answer, said) in answers {
        for verb in 0..3 {
            proxy.plan(vec![Deed::Answer(answer); 16]);
            let words = match verb {
                0 => words(shop.store.commit(shop.whole("a")).await),
                1 => words(shop.store.payment(shop.merchant, 1).await),
                _ => words(shop.store.ready().await),
            };
            assert!(words.contains(said), "{answer}: {words}");
            assert!(proxy.seen().len() <= 16, "an answer is not asked for again at once");
        }
        proxy.plan(Vec::new());
        shop.store.ready().await.unwrap();
    }
    assert_eq!(payments(&shop).await, 0);
    shop.write(shop.whole("a")).await;
}

#[tokio::test]
async fn a_forgotten_script_is_loaded_again() {
    let (server, proxy, shop) = behind_a_proxy().await;
    server.command::<()>(&["SCRIPT", "FLUSH"]);
    proxy.plan(Vec::new());
    shop.write(shop.whole("a")).await;
    assert_eq!(proxy.seen(), ["EVALSHA", "EVAL"]);
    proxy.plan(Vec::new());
    shop.write(shop.whole("b")).await;
    assert_eq!(proxy.seen(), ["EVALSHA"]);
    proxy.plan(vec![Deed::Answer("NOSCRIPT No matching script."); 2]);
    assert!(words(shop.store.commit(shop.whole("c")).await).contains("(NOSCRIPT)"));
}

#[tokio::test]
async fn entering_is_one_round_trip_for_a_new_payment_and_two_for_a_known_one() {
    let (_server, proxy, shop) = behind_a_proxy().await;
    shop.write(shop.whole("known")).await;
    let enter = async |id: &str| shop.store.enter(ask(&shop, id), shop.version, make(&shop, id)).await;
    for (id, deeds, trips, number) in [
        ("new", vec![], 1, Some(2)),
        // What was guessed is not guessed once more when only the answer was lost.
        ("lost", vec![Deed::LoseAnswer], 2, Some(3)),
        ("new", vec![], 1, None),
    ] {
        proxy.plan(deeds);
        let made = enter(id).await.unwrap();
        assert_eq!(made.and_then(|made| made.payment).map(|(number, _)| number), number, "{id}");
        assert_eq!(proxy.seen(), vec!["EVALSHA"; trips], "{id}");
    }
    // Somebody who has to write to the payment that was found needs the second one.
    let known = Arc::new(shop.store.payment(shop.merchant, 1).await.unwrap().unwrap());
    proxy.plan(Vec::new());
    let (whole, commit) = (shop.whole("known"), shop.commit());
    let decide = Box::new(move |found: &Found| match found.by_provider_id.len() {
        0 => Some(whole.clone()),
        _ => Some(Commit { payment: Some(update((*known).clone(), &[])), ..commit.clone() }),
    });
    let written = shop.store.enter(ask(&shop, "known"), shop.version, decide).await.unwrap().unwrap();
    assert_eq!((written.payment, proxy.seen().len()), (Some((1, 2)), 2));

    let many = LookUp { provider_ids: vec!["x".to_owned(); 101], ..ask(&shop, "") };
    let refused = shop.store.enter(many, shop.version, make(&shop, "x")).await;
    assert!(matches!(refused, Err(StoreError::Limit(_))), "{refused:?}");
}

#[tokio::test]
async fn a_lost_answer_does_nothing_twice() {
    let (_server, proxy, shop) = behind_a_proxy().await;
    // Redis knows the scripts from now on, so that what is lost is their answers.
    shop.write(shop.whole("known")).await;
    shop.store.release(&[(shop.merchant, shop.claim().await.work[0].fence)]).await.unwrap();
    for (losses, name) in [(1, "a"), (2, "b")] {
        proxy.plan(vec![Deed::LoseAnswer; losses]);
        let lease = Some(("me".to_owned(), 30_000));
        let committed = shop.write(Commit { lease, ..shop.whole(name) }).await;
        assert_eq!(proxy.seen().len(), losses + 1);
        assert_eq!(committed.leased.len(), 1);
        // The repeated one got the first answer: the lease that it tells of is the one that counts.
        shop.store.release(&[(shop.merchant, committed.leased[0].fence)]).await.unwrap();
    }
    assert_eq!(payments(&shop).await, 3);
    let numbers = [1, 2, 3].map(|number| shop.store.payment(shop.merchant, number));
    assert!(futures_util::future::join_all(numbers).await.into_iter().all(|found| found.unwrap().is_some()));

    // A claim whose answer was lost gives the same work when it is repeated, whichever partition's answer it was.
    for partition in 0..16 {
        proxy.plan([vec![Deed::Pass; partition], vec![Deed::LoseAnswer]].concat());
        let claims = shop.claim().await;
        let works: BTreeSet<_> = claims.work.iter().map(|claimed| claimed.fence.work).collect();
        assert_eq!((claims.work.len(), works.len()), (3, 3));
        assert_eq!(shop.store.backlog().await.unwrap().leased, 3);
        let fences: Vec<_> = claims.work.iter().map(|claimed| (shop.merchant, claimed.fence)).collect();
        shop.store.release(&fences).await.unwrap();
    }

    // Lost for good: the caller hears that it is not known.
    proxy.plan(vec![Deed::LoseAnswer; 3]);
    assert!(words(shop.store.commit(shop.whole("c")).await).contains("can't be reached"));
    assert_eq!(payments(&shop).await, 4);
}

/// Every key has the hash tag of a partition; and Redis itself would have refused a script that left its slot.
#[tokio::test]
async fn no_script_leaves_its_slot() {
    let bench = fresh_in_cluster().await;
    for number in 0..20 {
        let shop = shop(&bench).await;
        shop.write(shop.whole(&format!("p-{number}"))).await;
        shop.claim().await;
    }
    let nodes = shared_cluster().await.keys();
    let mut tags = BTreeSet::new();
    for key in nodes.iter().flatten() {
        let key = String::from_utf8_lossy(key);
        let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).expect(&key).0;
        tags.insert(tag.to_owned());
    }
    let expected: BTreeSet<String> = (0..16).map(|partition| format!("k{partition:02}")).collect();
    assert_eq!(tags, expected);
    assert!(nodes.iter().all(|keys| !keys.is_empty()), "each node has some of the partitions");
}

/// What was sent must be settled, or it would be sent again with each lease until somebody makes room.
#[tokio::test]
async fn out_of_memory_nothing_new_is_kept_and_what_was_sent_is_settled() {
    let server = Server::start(DURABLE);
    let shop = shop_at(&server.url()).await;
    let id = shop.queue().await;
    let limit = |bytes: &str| server.command::<()>(&["CONFIG", "SET", "maxmemory", bytes]);
    let known = shop.write(Commit { deliveries: Vec::new(), ..shop.whole("known") }).await;
    let number = known.payment.unwrap().0;
    let payment = shop.store.payment(shop.merchant, number).await.unwrap().unwrap();
    let notification = || Some(Notification { payment: Some(number), ..shop.notification() });
    let duplicate = Commit { notification: notification(), ..shop.commit() };
    let update = Commit {
        payment: Some(PaymentWrite::Update { payment: Box::new(payment), links: Vec::new() }),
        events: vec![Event { payment: number, ..shop.event() }],
        ..duplicate.clone()
    };
    limit("1");
    for commit in [shop.whole("a"), duplicate, update] {
        let refused = words(shop.store.commit(commit).await);
        assert!(refused.contains("out of memory"), "{refused}");
    }
    let claimed = claim_one(&shop).await;
    settle(&shop, &claimed, &over(delivery_of(&claimed)), Some(attempt(1))).await.unwrap();
    limit("0");
    assert_eq!(shop.load(id).await.status, DeliveryStatus::Delivered);
    assert!(shop.claim().await.work.is_empty());
}

/// What a payment with two events, their notifications and one endpoint takes of Redis's memory: with Redis's own
/// settings, and with the one that docs/redis-keys.md recommends.
#[tokio::test]
async fn a_payment_takes_little_memory() {
    let usual = [DURABLE, &[("appendfsync", "everysec")]].concat();
    let recommended = [&usual[..], &[("hash-max-listpack-value", "2048")]].concat();
    for (settings, bytes_max) in [(usual, 3_200), (recommended, 2_500)] {
        let each = bytes_per_payment(&settings).await;
        assert!(each <= bytes_max, "{each} bytes with {settings:?}");
    }
}

async fn bytes_per_payment(settings: &[(&str, &str)]) -> u64 {
    const WARM_UP: u64 = 20;
    const PAYMENTS: u64 = 600;
    let server = Server::start(settings);
    let shop = shop_at(&server.url()).await;
    let used = || -> u64 {
        for partition in 0..16 {
            // The answers of the last minutes go by themselves.
            let [newer, older] = ["r0", "r1"].map(|name| format!("kassir:{{k{partition:02}}}:{name}"));
            server.command::<u64>(&["DEL", &newer, &older]);
        }
        let info: String = server.command(&["INFO", "memory"]);
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory_dataset:"));
        line.unwrap().trim().parse().unwrap()
    };
    // Redis keeps the scripts, too: they are loaded before it is measured.
    for number in 0..WARM_UP {
        crate::redis_load::paid(&shop, number).await;
    }
    let before = used();
    for number in WARM_UP..WARM_UP + PAYMENTS {
        crate::redis_load::paid(&shop, number).await;
    }
    let each = used().saturating_sub(before) / PAYMENTS;
    println!("{each} bytes of Redis's memory for each payment with {settings:?}");
    each
}
