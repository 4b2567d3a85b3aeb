//! What people set up.

use kassir::domain::config::{InboundToken, Merchant};
use kassir::domain::people::ApiToken;
use kassir::domain::{Endpoint, Integration, Task};
use kassir::store::{Commit, ConfigChange, Conflict, Cutoffs, Page, PaymentFilter, StoreError};

use super::samples::{api_token, endpoint, integration, merchant, shop, token};
use super::{Bench, START, conflict};

fn put(integration: &Integration) -> ConfigChange {
    ConfigChange::PutIntegration(Box::new(integration.clone()))
}

pub async fn a_merchant_lives_and_dies(bench: Bench) {
    let store = bench.store;
    let mut new = merchant();
    assert!(store.config(new.id).await.unwrap().is_none());
    let version = store.change_config(new.id, ConfigChange::CreateMerchant(new.clone()), None).await.unwrap();
    let again = store.change_config(new.id, ConfigChange::CreateMerchant(new.clone()), None).await;
    assert_eq!(conflict(again), Conflict::Exists);
    let loaded = store.config(new.id).await.unwrap().unwrap();
    assert_eq!((loaded.version, &loaded.merchant), (version, &new));
    assert!(loaded.integrations.is_empty() && loaded.endpoints.is_empty());

    new = Merchant { name: "Лавка".to_owned(), first_payment: 500, ..new };
    store.change_config(new.id, ConfigChange::UpdateMerchant(new.clone()), None).await.unwrap();
    assert_eq!(store.config(new.id).await.unwrap().unwrap().merchant, new);
    assert_eq!(store.merchants(&Page::default()).await.unwrap().rows, [new.clone()]);

    store.change_config(new.id, ConfigChange::DeleteMerchant, None).await.unwrap();
    assert!(store.config(new.id).await.unwrap().is_none());
    assert!(store.merchants(&Page::default()).await.unwrap().rows.is_empty());
    let gone = store.change_config(new.id, ConfigChange::UpdateMerchant(new.clone()), None).await;
    assert!(matches!(gone, Err(StoreError::NotFound(_))), "{gone:?}");
}

pub async fn every_change_moves_the_version(bench: Bench) {
    let shop = shop(&bench).await;
    let store = &shop.store;
    let other = endpoint(shop.merchant);
    let mut version = shop.version;
    let mut changed = Integration { name: "Renamed".to_owned(), ..integration(shop.merchant) };
    for change in [
        put(&changed),
        ConfigChange::PutEndpoint(Box::new(other.clone())),
        ConfigChange::PutEndpoint(Box::new(Endpoint { enabled: false, ..other.clone() })),
        ConfigChange::DeleteEndpoint(shop.endpoint),
        ConfigChange::DeleteIntegration(shop.integration),
    ] {
        let next = store.change_config(shop.merchant, change, Some(version)).await.unwrap();
        assert!(next > version);
        version = next;
    }
    let loaded = store.config(shop.merchant).await.unwrap().unwrap();
    assert_eq!(loaded.version, version);
    assert_eq!(loaded.integrations, [changed.clone()]);
    assert_eq!(loaded.endpoints, [Endpoint { enabled: false, ..other }]);
    changed.name = "Again".to_owned();
    store.change_config(shop.merchant, put(&changed), None).await.unwrap();
    assert_eq!(store.config(shop.merchant).await.unwrap().unwrap().integrations, [changed]);
}

pub async fn a_stale_change_is_refused(bench: Bench) {
    let shop = shop(&bench).await;
    let before = shop.store.config(shop.merchant).await.unwrap();
    let change = ConfigChange::DeleteEndpoint(shop.endpoint);
    for wrong in [shop.version - 1, shop.version + 1] {
        let refused = shop.store.change_config(shop.merchant, change.clone(), Some(wrong)).await;
        assert_eq!(conflict(refused), Conflict::Config);
    }
    assert_eq!(shop.store.config(shop.merchant).await.unwrap(), before);
    let nobody = shop.store.change_config(merchant().id, change, None).await;
    assert!(matches!(nobody, Err(StoreError::NotFound(_))), "{nobody:?}");
}

pub async fn tokens_find_their_integration(bench: Bench) {
    let shop = shop(&bench).await;
    let store = &shop.store;
    let mut own = integration(shop.merchant);
    let (first, second) = (own.tokens[0].clone(), token());
    let change = async |it: &Integration| store.change_config(shop.merchant, put(it), None).await.unwrap();
    change(&own).await;
    let here = Some((shop.merchant, own.id));
    assert_eq!(store.find_token(&first.hash).await.unwrap(), here);
    assert_eq!(store.find_token("no such hash").await.unwrap(), None);

    // A rotation with an overlap, then its end.
    let old = InboundToken { expires_at: Some(START + 1000), ..first.clone() };
    own.tokens = vec![second.clone(), old];
    change(&own).await;
    assert_eq!(store.find_token(&first.hash).await.unwrap(), here);
    assert_eq!(store.find_token(&second.hash).await.unwrap(), here);
    own.tokens = vec![second.clone()];
    change(&own).await;
    assert_eq!(store.find_token(&first.hash).await.unwrap(), None);
    assert_eq!(store.find_token(&second.hash).await.unwrap(), here);

    store.change_config(shop.merchant, ConfigChange::DeleteIntegration(own.id), None).await.unwrap();
    assert_eq!(store.find_token(&second.hash).await.unwrap(), None);
}

pub async fn a_token_belongs_to_one_integration(bench: Bench) {
    let (shop, other) = (shop(&bench).await, shop(&bench).await);
    let own = integration(shop.merchant);
    shop.store.change_config(shop.merchant, put(&own), None).await.unwrap();
    let thief = Integration { tokens: own.tokens.clone(), ..integration(other.merchant) };
    let refused = shop.store.change_config(other.merchant, put(&thief), None).await;
    assert_eq!(conflict(refused), Conflict::Exists);
    assert_eq!(shop.store.find_token(&own.tokens[0].hash).await.unwrap(), Some((shop.merchant, own.id)));
    let config = shop.store.config(other.merchant).await.unwrap().unwrap();
    assert_eq!((config.version, config.integrations.len()), (other.version, 1));
}

pub async fn an_expired_token_finds_nothing(bench: Bench) {
    let shop = shop(&bench).await;
    let mut own = integration(shop.merchant);
    own.tokens.push(InboundToken { expires_at: Some(START + 1000), ..token() });
    shop.store.change_config(shop.merchant, put(&own), None).await.unwrap();
    let old = &own.tokens[1].hash;
    assert!(shop.store.find_token(old).await.unwrap().is_some());
    bench.clock.advance(999);
    assert!(shop.store.find_token(old).await.unwrap().is_some());
    bench.clock.advance(1);
    assert!(shop.store.find_token(old).await.unwrap().is_none());
    assert!(shop.store.find_token(&own.tokens[0].hash).await.unwrap().is_some());
}

pub async fn api_tokens(bench: Bench) {
    let shop = shop(&bench).await;
    let store = &shop.store;
    let (own, router) = (api_token(Some(shop.merchant)), api_token(None));
    for token in [&own, &router] {
        store.put_api_token(token).await.unwrap();
        assert_eq!(store.api_token(&token.hash).await.unwrap().as_ref(), Some(token));
    }
    assert_eq!(store.api_token("no such hash").await.unwrap(), None);
    let thief = ApiToken { hash: own.hash.clone(), ..api_token(None) };
    assert_eq!(conflict(store.put_api_token(&thief).await), Conflict::Exists);
    let own = ApiToken { name: "renamed".to_owned(), hash: "another".to_owned() + &own.hash, ..own };
    store.put_api_token(&own).await.unwrap();
    assert_eq!(store.api_token(&own.hash).await.unwrap().as_ref(), Some(&own));
    assert_eq!(store.api_token(&own.hash["another".len()..]).await.unwrap(), None);
    assert_eq!(store.api_tokens(&Page::default()).await.unwrap().rows, [router.clone(), own.clone()]);
    store.delete_api_token(router.id).await.unwrap();
    assert_eq!(store.api_token(&router.hash).await.unwrap(), None);
    // Once more is no error: it is gone, as was asked for.
    store.delete_api_token(router.id).await.unwrap();
    assert_eq!(store.api_tokens(&Page::default()).await.unwrap().rows, [own]);
}

pub async fn what_a_deleted_merchant_leaves_goes(bench: Bench) {
    let (shop, other) = (shop(&bench).await, shop(&bench).await);
    let store = &shop.store;
    let own = integration(shop.merchant);
    let last = store.change_config(shop.merchant, put(&own), None).await.unwrap();
    let token = api_token(Some(shop.merchant));
    store.put_api_token(&token).await.unwrap();
    let config_version = None;
    let with = |shop: &super::samples::Shop| Commit { config_version, ..shop.whole("p-1") };
    let job = shop.job(Task::Refund { payment: 1, refund: "r-1".to_owned() });
    shop.write(Commit { jobs: vec![(job, 60_000)], ..with(&shop) }).await;
    other.write(with(&other)).await;

    store.change_config(shop.merchant, ConfigChange::DeleteMerchant, None).await.unwrap();
    assert_eq!(store.find_token(&own.tokens[0].hash).await.unwrap(), None);
    assert_eq!(store.api_token(&token.hash).await.unwrap(), None);
    let claims = shop.claim().await;
    assert_eq!(claims.work.len(), 1, "only the other merchant's delivery");
    assert!(claims.next_due.is_none_or(|due| due > START), "{:?}", claims.next_due);

    // It may come back, as from a backup, but not before all of it has gone: new records would go with the old ones.
    let back = || {
        let again = Merchant { id: shop.merchant, ..merchant() };
        store.change_config(shop.merchant, ConfigChange::CreateMerchant(again), None)
    };
    assert_eq!(conflict(back().await), Conflict::Leaving);
    assert!(store.sweep(&Cutoffs::default(), 2).await.unwrap() > 0);
    assert_eq!(conflict(back().await), Conflict::Leaving);
    while store.sweep(&Cutoffs::default(), 2).await.unwrap() > 0 {}
    for (shop, left) in [(&shop, 0), (&other, 1)] {
        let page = Page::default();
        let payments = store.payments(shop.merchant, &PaymentFilter::default(), &page).await.unwrap();
        let events = store.events(shop.merchant, &Default::default(), &page).await.unwrap();
        let deliveries = store.deliveries(shop.merchant, &Default::default(), &page).await.unwrap();
        let log = store.notifications(shop.merchant, &Default::default(), &page).await.unwrap();
        let rows = [payments.rows.len(), events.rows.len(), deliveries.rows.len(), log.rows.len()];
        assert_eq!(rows, [left; 4]);
    }
    bench.clock.advance(1_000);
    assert!(back().await.unwrap() > last, "a version that some router may have at hand is not given again");
    bench.clock.advance(60_000);
    let claims = shop.claim().await;
    assert!(claims.work.iter().all(|claimed| claimed.lane == other.lane()), "nothing is done to new records");
}

pub async fn it_describes_itself_and_is_ready(bench: Bench) {
    let description = bench.store.describe();
    assert!(!description.kind.is_empty() && !description.place.is_empty() && !description.promise.is_empty());
    bench.store.ready().await.unwrap();
    assert_eq!(bench.store.now().await.unwrap(), START);
    bench.clock.advance(5);
    assert_eq!(bench.store.now().await.unwrap(), START + 5);
    bench.store.close().await;
    assert!(bench.store.ready().await.is_err(), "a closed store keeps nothing");
}
