//! Many at once: exactly one wins, and nothing is lost or half done.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use kassir::domain::{Merchant, Payment};
use kassir::store::{Commit, ConfigChange, Conflict};

use super::samples::{Shop, ask, new, shop, update};
use super::{Bench, conflict};

/// Callers at once.
const CROWD: usize = 64;

async fn payments(shop: &Shop) -> Vec<Payment> {
    shop.store.payments(shop.merchant, &Default::default(), &Default::default()).await.unwrap().rows
}

pub async fn one_of_many_makes_the_payment(bench: Bench) {
    let shop = shop(&bench).await;
    let results = join_all((0..CROWD).map(|_| shop.store.commit(shop.whole("same")))).await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for result in lost {
        assert_eq!(conflict(result), Conflict::PaymentExists);
    }
    assert_eq!(payments(&shop).await.len(), 1);
    let events = shop.store.events(shop.merchant, &Default::default(), &Default::default()).await.unwrap();
    assert_eq!(events.rows.len(), 1);
    assert_eq!(shop.claim().await.work.len(), 1);
}

pub async fn one_of_many_updates_the_payment(bench: Bench) {
    let shop = shop(&bench).await;
    shop.write(Commit { payment: Some(new(shop.payment(), &["a"])), ..shop.commit() }).await;
    for _ in 0..3 {
        let loaded = payments(&shop).await.remove(0);
        let step = |index: usize| {
            let payment = Payment { description: index.to_string(), ..loaded.clone() };
            let event = shop.event();
            Commit { payment: Some(update(payment, &[])), events: vec![event], ..shop.commit() }
        };
        let results = join_all((0..CROWD).map(|index| shop.store.commit(step(index)))).await;
        let winner = results.iter().position(Result::is_ok).unwrap();
        for (index, result) in results.into_iter().enumerate().filter(|(index, _)| *index != winner) {
            assert_eq!(conflict(result), Conflict::Payment, "{index}");
        }
        let stored = payments(&shop).await.remove(0);
        assert_eq!(stored.description, winner.to_string());
        assert!(stored.version > loaded.version);
    }
    let events = shop.store.events(shop.merchant, &Default::default(), &Default::default()).await.unwrap();
    assert_eq!(events.rows.len(), 3);
}

pub async fn one_of_many_changes_the_configuration(bench: Bench) {
    let shop = shop(&bench).await;
    let merchant = shop.store.config(shop.merchant).await.unwrap().unwrap().merchant;
    let change = |index: usize| {
        let change = ConfigChange::UpdateMerchant(Merchant { name: index.to_string(), ..merchant.clone() });
        shop.store.change_config(shop.merchant, change, Some(shop.version))
    };
    let results = join_all((0..CROWD).map(change)).await;
    let winner = results.iter().position(Result::is_ok).unwrap();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let stored = shop.store.config(shop.merchant).await.unwrap().unwrap();
    assert_eq!(
        (stored.merchant.name, Ok(stored.version)),
        (winner.to_string(), results[winner].clone().map_err(drop))
    );
}

pub async fn no_work_is_claimed_twice(bench: Bench) {
    let shop = shop(&bench).await;
    let mut queued = BTreeSet::new();
    for _ in 0..CROWD {
        queued.insert(shop.queue().await.to_string());
    }
    let claims = join_all((0..16).map(|_| async { shop.store.claim(&ask(7)).await.unwrap() })).await;
    let works: Vec<_> = claims.into_iter().flat_map(|claims| claims.work).collect();
    let taken: BTreeSet<_> = works.iter().map(|claimed| claimed.fence.work.to_string()).collect();
    assert_eq!((works.len(), taken), (CROWD, queued));
    let tokens: BTreeSet<_> = works.iter().map(|claimed| claimed.fence.token).collect();
    assert_eq!(tokens.len(), CROWD);
}
