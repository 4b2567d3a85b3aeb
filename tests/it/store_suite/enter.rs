//! Looking up, deciding and writing as one step.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use kassir::domain::Payment;
use kassir::domain::payment::Origin;
use kassir::store::{Commit, ConfigChange, Conflict, Decide, Found, LookUp, StoreError};

use super::samples::{Shop, endpoint, new, shop, update};
use super::{Bench, conflict};

/// Callers at once.
const CROWD: usize = 64;

/// A look-up of a payment by its provider's id.
pub fn ask(shop: &Shop, id: &str) -> LookUp {
    LookUp {
        merchant: shop.merchant,
        integration: shop.integration,
        provider_ids: vec![id.to_owned()],
        numbers: Vec::new(),
    }
}

/// Makes the payment where there is none yet.
pub fn make(shop: &Shop, id: &str) -> Decide {
    let (step, id) = (shop.whole(id), id.to_owned());
    Box::new(move |found: &Found| (!found.by_provider_id.contains_key(&id)).then(|| step.clone()))
}

async fn count(shop: &Shop) -> (usize, usize) {
    let (payments, events) = (Default::default(), Default::default());
    let payments = shop.store.payments(shop.merchant, &payments, &Default::default()).await.unwrap();
    let events = shop.store.events(shop.merchant, &events, &Default::default()).await.unwrap();
    (payments.rows.len(), events.rows.len())
}

pub async fn what_is_found_is_decided_on(bench: Bench) {
    let shop = shop(&bench).await;
    let made = shop.store.enter(ask(&shop, "p-1"), shop.version, make(&shop, "p-1")).await.unwrap().unwrap();
    assert_eq!(made.payment, Some((1, 1)));
    let seen = Arc::new(Mutex::new(None));
    let told = Arc::clone(&seen);
    let look = Box::new(move |found: &Found| {
        *told.lock().unwrap() = Some(found.clone());
        None
    });
    assert!(shop.store.enter(ask(&shop, "p-1"), shop.version, look).await.unwrap().is_none());
    let found = seen.lock().unwrap().take().unwrap();
    let looked_up = shop.store.look_up(&ask(&shop, "p-1")).await.unwrap();
    assert_eq!(found.config_version, looked_up.config_version);
    assert_eq!(found.by_provider_id, looked_up.by_provider_id);
    assert_eq!(count(&shop).await, (1, 1));
}

/// Makes a payment, unless the API made one with this number.
fn make_unless_ours(shop: &Shop, number: u32) -> Decide {
    let step = shop.whole(&format!("beside {number}"));
    let ours =
        move |found: &Found| found.by_number.get(&number).is_some_and(|found| found.origin == Origin::Api);
    Box::new(move |found: &Found| (!ours(found)).then(|| step.clone()))
}

pub async fn what_the_api_made_is_found_by_its_number(bench: Bench) {
    let shop = shop(&bench).await;
    let by_number = |number| LookUp { provider_ids: Vec::new(), numbers: vec![number], ..ask(&shop, "") };
    for (number, origin) in [(1, Origin::Notification), (3, Origin::Api)] {
        let payment = new(Payment { origin, ..shop.payment() }, &[]);
        let made = shop.write(Commit { payment: Some(payment), ..shop.commit() }).await;
        assert_eq!(made.payment, Some((number, 1)));
        let decide = make_unless_ours(&shop, number);
        let beside = shop.store.enter(by_number(number), shop.version, decide).await.unwrap();
        let expected = (origin == Origin::Notification).then_some((number + 1, 1));
        assert_eq!(beside.and_then(|made| made.payment), expected);
    }
    // It stays what it is when it changes.
    let known = shop.store.payment(shop.merchant, 3).await.unwrap().unwrap();
    shop.write(Commit { payment: Some(update(known, &[])), ..shop.commit() }).await;
    let decide = make_unless_ours(&shop, 3);
    assert!(shop.store.enter(by_number(3), shop.version, decide).await.unwrap().is_none());
}

pub async fn another_configuration_than_the_one_at_hand_is_a_conflict(bench: Bench) {
    let shop = shop(&bench).await;
    let change = ConfigChange::PutEndpoint(Box::new(endpoint(shop.merchant)));
    let version = shop.store.change_config(shop.merchant, change, None).await.unwrap();
    for id in ["a", "b"] {
        let written = shop.store.enter(ask(&shop, id), shop.version, make(&shop, id)).await;
        assert_eq!(conflict(written), Conflict::Config);
    }
    assert_eq!(count(&shop).await, (0, 0));
    let shop = Shop { version, ..shop };
    assert!(shop.store.enter(ask(&shop, "a"), version, make(&shop, "a")).await.unwrap().is_some());
}

pub async fn a_crowd_makes_one_payment(bench: Bench) {
    let shop = shop(&bench).await;
    let made = AtomicUsize::new(0);
    let enter = || async {
        loop {
            match shop.store.enter(ask(&shop, "same"), shop.version, make(&shop, "same")).await {
                Ok(committed) => return made.fetch_add(usize::from(committed.is_some()), Ordering::SeqCst),
                Err(StoreError::Conflict(Conflict::PaymentExists)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    join_all((0..CROWD).map(|_| enter())).await;
    assert_eq!(made.load(Ordering::SeqCst), 1);
    assert_eq!(count(&shop).await, (1, 1));
}

pub async fn a_refused_step_leaves_nothing_to_those_beside_it(bench: Bench) {
    let shop = shop(&bench).await;
    shop.write(Commit { payment: Some(new(shop.payment(), &["taken"])), ..shop.commit() }).await;
    let each = |index: usize| {
        let step = if index.is_multiple_of(2) { shop.whole("taken") } else { shop.whole(&index.to_string()) };
        shop.store.enter(ask(&shop, "unknown"), shop.version, Box::new(move |_: &Found| Some(step.clone())))
    };
    for (index, result) in join_all((0..CROWD).map(each)).await.into_iter().enumerate() {
        if index.is_multiple_of(2) {
            assert_eq!(conflict(result), Conflict::PaymentExists);
        } else {
            assert!(result.unwrap().unwrap().payment.is_some());
        }
    }
    assert_eq!(count(&shop).await, (1 + CROWD / 2, CROWD / 2));
}
