//! Looking up, deciding and writing as one step.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use kassir::store::{Commit, Conflict, Decide, Found, LookUp, StoreError};

use super::samples::{Shop, new, shop};
use super::{Bench, conflict};

/// Callers at once.
const CROWD: usize = 64;

fn ask(shop: &Shop, id: &str) -> LookUp {
    LookUp {
        merchant: shop.merchant,
        integration: shop.integration,
        provider_ids: vec![id.to_owned()],
        numbers: Vec::new(),
    }
}

/// Makes the payment where there is none yet.
fn make(shop: &Shop, id: &str) -> Decide {
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
    let made = shop.store.enter(ask(&shop, "p-1"), make(&shop, "p-1")).await.unwrap().unwrap();
    assert_eq!(made.payment, Some((1, 1)));
    let seen = Arc::new(Mutex::new(None));
    let told = Arc::clone(&seen);
    let look = Box::new(move |found: &Found| {
        *told.lock().unwrap() = Some(found.clone());
        None
    });
    assert!(shop.store.enter(ask(&shop, "p-1"), look).await.unwrap().is_none());
    let found = seen.lock().unwrap().take().unwrap();
    let looked_up = shop.store.look_up(&ask(&shop, "p-1")).await.unwrap();
    assert_eq!(found.config_version, looked_up.config_version);
    assert_eq!(found.by_provider_id, looked_up.by_provider_id);
    assert_eq!(count(&shop).await, (1, 1));
}

pub async fn a_crowd_makes_one_payment(bench: Bench) {
    let shop = shop(&bench).await;
    let made = AtomicUsize::new(0);
    let enter = || async {
        loop {
            match shop.store.enter(ask(&shop, "same"), make(&shop, "same")).await {
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
        shop.store.enter(ask(&shop, "unknown"), Box::new(move |_: &Found| Some(step.clone())))
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
