//! The step of the money's path.

use std::collections::BTreeMap;

use kassir::domain::ids::{IntegrationId, JobId};
use kassir::domain::payment::Origin;
use kassir::domain::{Delivery, Event, Lane, Merchant, Notification, NotificationOutcome, Payment, Task};
use kassir::limits::PAYMENT_NUMBER_MAX;
use kassir::store::{
    Commit, Committed, ConfigChange, Conflict, Fence, LookUp, PaymentFilter, Settle, SettleEnd, StoreError,
    Tally,
};
use kassir_providers::State;

use super::samples::{Shop, id, job_of, merchant, new, shop, update};
use super::{Bench, START, conflict};

async fn number(shop: &Shop, links: &[&str]) -> u32 {
    let payment = Some(new(Payment { origin: Origin::Api, ..shop.payment() }, links));
    shop.write(Commit { payment, ..shop.commit() }).await.payment.unwrap().0
}

async fn found(
    shop: &Shop,
    integration: IntegrationId,
    ids: &[&str],
    numbers: &[u32],
) -> [BTreeMap<String, u32>; 1] {
    let provider_ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let ask = LookUp { merchant: shop.merchant, integration, provider_ids, numbers: numbers.to_vec() };
    let found = shop.store.look_up(&ask).await.unwrap();
    let by_id = found.by_provider_id.into_iter();
    let by_number = found.by_number.into_iter().map(|(number, payment)| (format!("#{number}"), payment));
    [by_id.chain(by_number).map(|(key, payment)| (key, payment.number)).collect()]
}

/// Everything that the commits of these tests write, counted.
async fn written(shop: &Shop) -> [usize; 5] {
    let (store, merchant, page) = (&shop.store, shop.merchant, Default::default());
    [
        store.payments(merchant, &Default::default(), &page).await.unwrap().rows.len(),
        store.events(merchant, &Default::default(), &page).await.unwrap().rows.len(),
        store.deliveries(merchant, &Default::default(), &page).await.unwrap().rows.len(),
        store.notifications(merchant, &Default::default(), &page).await.unwrap().rows.len(),
        store.tallies(merchant, 0, i64::MAX).await.unwrap().len(),
    ]
}

pub async fn a_new_payment_with_all_that_follows(bench: Bench) {
    let shop = shop(&bench).await;
    let job = shop.job(Task::Poll { payment: 0 });
    let commit = Commit { jobs: vec![(job.clone(), 0)], ..shop.whole("p-1") };
    let (event, delivery) = (commit.events[0].clone(), commit.deliveries[0].clone());
    let notification = commit.notification.clone().unwrap();
    let committed = shop.write(commit).await;
    assert_eq!((committed.payment, committed.now), (Some((1, 1)), START));
    assert!(committed.leased.is_empty(), "nobody asked for a lease");

    let payment = shop.store.payment(shop.merchant, 1).await.unwrap();
    let expected = Payment { number: 1, version: 1, provider_id: Some("p-1".to_owned()), ..shop.payment() };
    assert_eq!(payment, Some(expected));
    let event = Event { payment: 1, ..event };
    assert_eq!(shop.store.event(shop.merchant, event.id).await.unwrap(), Some(event));
    assert_eq!(shop.load(delivery.id).await, Delivery { payment: 1, version: 1, ..delivery });
    let notification = Notification { payment: Some(1), ..notification };
    assert_eq!(shop.store.notification(shop.merchant, notification.id).await.unwrap(), Some(notification));
    let claims = shop.claim().await;
    let poll = claims.work.iter().find(|claimed| claimed.lane == job.lane).unwrap();
    assert_eq!(job_of(poll).task, Task::Poll { payment: 1 });
}

pub async fn a_text_that_looks_like_a_number_stays_as_it_is(bench: Bench) {
    let shop = shop(&bench).await;
    let text = r#""number":0,"payment":0,{"payment":0}"#.to_owned();
    let payment = Payment { description: text.clone(), reference: Some(text.clone()), ..shop.payment() };
    let notification = Notification {
        kind: Some(text.clone()),
        reason: text.clone(),
        warnings: vec![text.clone()],
        body: text.clone(),
        ..shop.notification()
    };
    let event = Event { tail: format!(",{text}}}"), ..shop.event() };
    let whole = shop.whole("p-1");
    let commit = Commit {
        payment: Some(new(payment.clone(), &["p-1"])),
        notification: Some(notification.clone()),
        events: vec![event.clone()],
        deliveries: Vec::new(),
        ..whole
    };
    shop.write(commit).await;
    let payment = Payment { number: 1, version: 1, ..payment };
    assert_eq!(shop.store.payment(shop.merchant, 1).await.unwrap(), Some(payment));
    let notification = Notification { payment: Some(1), ..notification };
    assert_eq!(shop.store.notification(shop.merchant, notification.id).await.unwrap(), Some(notification));
    let event = Event { payment: 1, ..event };
    assert_eq!(shop.store.event(shop.merchant, event.id).await.unwrap(), Some(event));
}

pub async fn numbers_are_given_in_order_and_never_twice(mut bench: Bench) {
    let mut shop = shop(&bench).await;
    assert_eq!(number(&shop, &["a"]).await, 1);
    let taken = Commit { payment: Some(new(shop.payment(), &["a"])), ..shop.commit() };
    assert_eq!(conflict(shop.store.commit(taken).await), Conflict::PaymentExists);
    let second = number(&shop, &["b"]).await;
    assert!(second > 1);
    bench.restart().await;
    shop.store = bench.store.clone();
    assert!(number(&shop, &["c"]).await > second);
}

pub async fn numbers_start_where_the_merchant_says(bench: Bench) {
    let shop = shop(&bench).await;
    let config = shop.store.config(shop.merchant).await.unwrap().unwrap();
    let starts_at = async |first_payment| {
        let change = ConfigChange::UpdateMerchant(Merchant { first_payment, ..config.merchant.clone() });
        shop.store.change_config(shop.merchant, change, None).await.unwrap();
    };
    starts_at(10_000).await;
    assert_eq!(number(&shop, &[]).await, 10_000);
    assert_eq!(number(&shop, &[]).await, 10_001);
    starts_at(20_000).await;
    assert_eq!(number(&shop, &[]).await, 20_000);
    // What was a mistake can be taken back as long as no number was given by it.
    starts_at(1_000_000).await;
    starts_at(15_000).await;
    starts_at(30_000).await;
    starts_at(25_000).await;
    assert_eq!(number(&shop, &[]).await, 25_000);
    // Back is not possible: numbers were given.
    starts_at(5).await;
    assert_eq!(number(&shop, &[]).await, 25_001);
    starts_at(0).await;
    assert_eq!(number(&shop, &[]).await, 25_002);
}

pub async fn numbers_end(bench: Bench) {
    let shop = shop(&bench).await;
    let config = shop.store.config(shop.merchant).await.unwrap().unwrap();
    let change = Merchant { first_payment: PAYMENT_NUMBER_MAX, ..config.merchant };
    shop.store.change_config(shop.merchant, ConfigChange::UpdateMerchant(change), None).await.unwrap();
    assert_eq!(number(&shop, &["last"]).await, PAYMENT_NUMBER_MAX);
    for _ in 0..2 {
        let refused = shop.store.commit(Commit { config_version: None, ..shop.whole("too-many") }).await;
        assert!(matches!(refused, Err(StoreError::Limit(_))), "{refused:?}");
    }
    assert_eq!(written(&shop).await, [1, 0, 0, 0, 0]);
}

pub async fn payments_are_found_by_link_and_number(bench: Bench) {
    let shop = shop(&bench).await;
    let first = number(&shop, &["a", "b", "a"]).await;
    let second = number(&shop, &["c"]).await;
    let ids = ["a", "b", "c", "no such"];
    let [all] = found(&shop, shop.integration, &ids, &[first, second, 77]).await;
    let named = [("a", first), ("b", first), ("c", second)].map(|(id, number)| (id.to_owned(), number));
    let numbered = [first, second].map(|number| (format!("#{number}"), number));
    assert_eq!(all, named.into_iter().chain(numbered).collect());

    let ask = LookUp {
        merchant: shop.merchant,
        integration: shop.integration,
        provider_ids: Vec::new(),
        numbers: Vec::new(),
    };
    assert_eq!(shop.store.look_up(&ask).await.unwrap().config_version, shop.version);
    let nobody = LookUp { merchant: merchant().id, provider_ids: vec!["a".to_owned()], ..ask };
    let nothing = shop.store.look_up(&nobody).await.unwrap();
    assert_eq!((nothing.config_version, nothing.by_provider_id.len()), (0, 0));
}

pub async fn links_are_of_one_integration(bench: Bench) {
    let shop = shop(&bench).await;
    let other = IntegrationId(id());
    let first = number(&shop, &["a"]).await;
    let elsewhere = Payment { integration: other, origin: Origin::Api, ..shop.payment() };
    let payment = Some(new(elsewhere, &["a"]));
    let second = shop.write(Commit { payment, ..shop.commit() }).await.payment.unwrap().0;
    assert_ne!(first, second);
    let [here] = found(&shop, shop.integration, &["a"], &[first, second]).await;
    assert_eq!(here, [("a".to_owned(), first), (format!("#{first}"), first)].into());
    let [there] = found(&shop, other, &["a"], &[first, second]).await;
    assert_eq!(there, [("a".to_owned(), second), (format!("#{second}"), second)].into());
}

pub async fn an_update_needs_the_version_it_was_loaded_with(bench: Bench) {
    let shop = shop(&bench).await;
    let number = number(&shop, &["a"]).await;
    let loaded = shop.store.payment(shop.merchant, number).await.unwrap().unwrap();
    let changed = Payment { state: State::Canceled, updated_at: START + 1, ..loaded.clone() };
    let step = |payment: &Payment| Commit { payment: Some(update(payment.clone(), &[])), ..shop.commit() };
    let (same, version) = shop.write(step(&changed)).await.payment.unwrap();
    assert_eq!(same, number);
    assert!(version > loaded.version);
    let stored = shop.store.payment(shop.merchant, number).await.unwrap().unwrap();
    assert_eq!(stored, Payment { version, ..changed.clone() });
    for stale in
        [changed, Payment { version: version + 1, ..loaded.clone() }, Payment { number: 99, ..loaded }]
    {
        assert_eq!(conflict(shop.store.commit(step(&stale)).await), Conflict::Payment);
    }
    assert_eq!(shop.store.payment(shop.merchant, number).await.unwrap(), Some(stored));
}

pub async fn further_links_find_the_payment(bench: Bench) {
    let shop = shop(&bench).await;
    let (first, second) = (number(&shop, &["a"]).await, number(&shop, &["b"]).await);
    let loaded = shop.store.payment(shop.merchant, first).await.unwrap().unwrap();
    let payment = Some(update(loaded.clone(), &["a", "a2"]));
    shop.write(Commit { payment, ..shop.commit() }).await;
    let [all] = found(&shop, shop.integration, &["a", "a2"], &[]).await;
    assert_eq!(all, [("a".to_owned(), first), ("a2".to_owned(), first)].into());

    let loaded = shop.store.payment(shop.merchant, first).await.unwrap().unwrap();
    let payment = Some(update(loaded.clone(), &["b"]));
    let taken = shop.store.commit(Commit { payment, ..shop.commit() }).await;
    assert_eq!(conflict(taken), Conflict::PaymentExists);
    assert_eq!(shop.store.payment(shop.merchant, first).await.unwrap(), Some(loaded));
    let [all] = found(&shop, shop.integration, &["b"], &[]).await;
    assert_eq!(all, [("b".to_owned(), second)].into());
}

pub async fn a_notification_is_changed_by_its_id(bench: Bench) {
    let shop = shop(&bench).await;
    let outcome = NotificationOutcome::Unproven;
    let first = Notification { outcome, payment: None, ..shop.notification() };
    let with = |it: &Notification| Commit { notification: Some(it.clone()), ..shop.commit() };
    shop.write(with(&first)).await;
    let outcome = NotificationOutcome::Accepted;
    let second = Notification { outcome, payment: Some(5), reason: "confirmed".to_owned(), ..first };
    shop.write(with(&second)).await;
    let listed = shop.store.notifications(shop.merchant, &Default::default(), &Default::default()).await;
    assert_eq!(listed.unwrap().rows, [second]);
}

pub async fn a_stale_configuration_is_refused(bench: Bench) {
    let shop = shop(&bench).await;
    for wrong in [shop.version - 1, shop.version + 1] {
        let stale = Commit { config_version: Some(wrong), ..shop.whole("a") };
        assert_eq!(conflict(shop.store.commit(stale).await), Conflict::Config);
    }
    assert_eq!(written(&shop).await, [0; 5]);
    shop.write(shop.whole("a")).await;
    shop.write(Commit { config_version: None, ..shop.whole("b") }).await;
}

pub async fn nothing_for_a_merchant_that_is_not_there(bench: Bench) {
    let shop = shop(&bench).await;
    let nobody = Shop { merchant: merchant().id, ..shop.clone() };
    let checked = nobody.store.commit(nobody.whole("a")).await;
    assert_eq!(conflict(checked), Conflict::Config);
    let unchecked = nobody.store.commit(Commit { config_version: None, ..nobody.whole("a") }).await;
    assert!(matches!(unchecked, Err(StoreError::NotFound(_))), "{unchecked:?}");
    assert_eq!(written(&nobody).await, [0; 5]);
}

pub async fn all_or_nothing(bench: Bench) {
    let shop = shop(&bench).await;
    let first = number(&shop, &["a"]).await;
    let loaded = shop.store.payment(shop.merchant, first).await.unwrap().unwrap();
    let tallies = vec![Tally { key: "event.succeeded.yookassa".to_owned(), by: 1 }];
    let jobs = || vec![(shop.job(Task::Poll { payment: 1 }), 0)];
    let lost = || shop.job(Task::Poll { payment: 1 });
    let fence = Fence { work: kassir::domain::job::WorkId::Job(JobId(id())), token: 1 };
    let whole = |commit| Commit { tallies: tallies.clone(), jobs: jobs(), ..commit };
    let bad = [
        ("config", whole(Commit { config_version: Some(99), ..shop.whole("z") })),
        ("exists", whole(shop.whole("a"))),
        ("lease", whole(Commit { finish: Some(fence), ..shop.whole("z") })),
        (
            "payment",
            whole(Commit {
                payment: Some(update(Payment { version: 99, ..loaded.clone() }, &["z"])),
                ..shop.whole("z")
            }),
        ),
    ];
    for (name, commit) in bad {
        let refused = shop.store.commit(Commit { lease: Some(("me".to_owned(), 1000)), ..commit }).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{name}: {refused:?}");
        assert_eq!(written(&shop).await, [1, 0, 0, 0, 0], "{name}");
        assert_eq!(shop.store.backlog().await.unwrap(), Default::default(), "{name}");
    }
    // A finish that conflicts elsewhere does not finish.
    let job = lost();
    shop.write(Commit { jobs: vec![(job.clone(), 0)], ..shop.commit() }).await;
    let fence = shop.claim().await.work[0].fence;
    let refused = shop.store.commit(Commit { finish: Some(fence), ..shop.whole("a") }).await;
    assert_eq!(conflict(refused), Conflict::PaymentExists);
    shop.write(Commit { finish: Some(fence), ..shop.whole("z") }).await;
    let [links] = found(&shop, shop.integration, &["a", "z"], &[]).await;
    assert_eq!(links.len(), 2);
    assert_eq!(shop.store.payment(shop.merchant, first).await.unwrap(), Some(loaded));
}

pub async fn a_job_is_finished_once(bench: Bench) {
    let shop = shop(&bench).await;
    let job = shop.job(Task::Poll { payment: 7 });
    shop.write(Commit { jobs: vec![(job.clone(), 0)], ..shop.commit() }).await;
    let claimed = shop.claim().await.work.remove(0);
    assert_eq!((job_of(&claimed), claimed.lane), (&job, Lane::Integration(shop.integration)));
    let forged = Fence { token: claimed.fence.token + 1, ..claimed.fence };
    let finish = |fence| Commit { finish: Some(fence), ..shop.commit() };
    assert_eq!(conflict(shop.store.commit(finish(forged)).await), Conflict::Lease);
    shop.write(finish(claimed.fence)).await;
    assert_eq!(conflict(shop.store.commit(finish(claimed.fence)).await), Conflict::Lease);
    assert_eq!(shop.store.backlog().await.unwrap(), Default::default());
}

pub async fn a_job_that_is_called_off_goes(bench: Bench) {
    let (shop, other) = (shop(&bench).await, super::samples::shop(&bench).await);
    let jobs = [0, 0, 5_000].map(|in_ms| (shop.job(Task::Poll { payment: 7 }), in_ms));
    let ids = jobs.each_ref().map(|(job, _)| job.id);
    shop.write(Commit { jobs: jobs.to_vec(), ..shop.commit() }).await;
    let call_off = |ids: &[JobId]| Commit { call_off: ids.to_vec(), ..shop.commit() };
    other.write(Commit { call_off: ids.to_vec(), ..other.commit() }).await;
    assert_eq!(shop.store.backlog().await.unwrap().waiting, 3, "another merchant's");
    shop.write(call_off(&ids[1..])).await;
    assert_eq!(shop.store.backlog().await.unwrap().waiting, 1);
    let claimed = shop.claim().await.work.remove(0);
    assert_eq!(job_of(&claimed).id, ids[0]);
    // One that is under way stays; one that is gone is no error.
    shop.write(call_off(&ids)).await;
    let fence = claimed.fence;
    shop.write(Commit { finish: Some(fence), ..shop.commit() }).await;
    assert_eq!(shop.store.backlog().await.unwrap(), Default::default());
    bench.clock.advance(10_000);
    assert!(shop.claim().await.work.is_empty());
    // It can be made again.
    let again = jobs.last().cloned().into_iter().collect();
    shop.write(Commit { jobs: again, ..shop.commit() }).await;
    assert_eq!(shop.store.backlog().await.unwrap().waiting, 1);
}

pub async fn tallies_add_up_by_the_hour(bench: Bench) {
    let shop = shop(&bench).await;
    let add = async |key: &str, by| {
        let tallies = vec![Tally { key: key.to_owned(), by }];
        shop.write(Commit { tallies, ..shop.commit() }).await;
    };
    add("b", 2).await;
    add("a", 1).await;
    bench.clock.advance(3_599_999);
    add("b", 3).await;
    bench.clock.advance(1);
    add("b", -4).await;
    let hour = 3_600_000;
    let rows = async |from, to| shop.store.tallies(shop.merchant, from, to).await.unwrap();
    let first = [(START, "a".to_owned(), 1), (START, "b".to_owned(), 5)];
    let second = [(START + hour, "b".to_owned(), -4)];
    assert_eq!(rows(START, START + hour).await, first);
    assert_eq!(rows(START + hour, START + 2 * hour).await, second);
    assert_eq!(rows(START - hour, START + 2 * hour).await, [&first[..], &second].concat());
    assert!(rows(START + 2 * hour, START + 9 * hour).await.is_empty());
    let other = super::samples::shop(&bench).await;
    assert!(other.store.tallies(other.merchant, 0, i64::MAX).await.unwrap().is_empty());
}

pub async fn it_is_all_there_after_a_restart(mut bench: Bench) {
    let mut shop = shop(&bench).await;
    let Committed { payment, .. } = shop.write(shop.whole("a")).await;
    let config = shop.store.config(shop.merchant).await.unwrap();
    let before = written(&shop).await;
    bench.restart().await;
    shop.store = bench.store.clone();
    assert_eq!(shop.store.config(shop.merchant).await.unwrap(), config);
    assert_eq!(written(&shop).await, before);
    let [links] = found(&shop, shop.integration, &["a"], &[]).await;
    assert_eq!(links, [("a".to_owned(), payment.unwrap().0)].into());
    assert_eq!(shop.claim().await.work.len(), 1);
    let none = PaymentFilter { state: Some(State::Pending), ..PaymentFilter::default() };
    assert!(shop.store.payments(shop.merchant, &none, &Default::default()).await.unwrap().rows.is_empty());
}

pub async fn a_job_that_is_there_stays_as_it_is(bench: Bench) {
    let shop = shop(&bench).await;
    let job = shop.job(Task::Poll { payment: 1 });
    let write = |due| shop.write(Commit { jobs: vec![(job.clone(), due)], ..shop.commit() });
    write(5_000).await;
    write(0).await;
    assert_eq!(shop.claim().await.work.len(), 0, "it is due when it was");
    bench.clock.advance(5_000);
    let claimed = shop.claim().await.work.remove(0);
    write(0).await;
    let again = shop.claim().await;
    assert_eq!(again.work.len(), 0, "it is leased, and stays so");
    let end = SettleEnd::Job { job: Box::new(job.clone()), again_in: None };
    let settle =
        Settle { fence: claimed.fence, merchant: shop.merchant, end, hold: None, tallies: Vec::new() };
    shop.store.settle(settle).await.unwrap();
    assert_eq!(shop.claim().await.work.len(), 0);
    write(0).await;
    assert_eq!(shop.claim().await.work.len(), 1, "once it is done it may come again");
}
