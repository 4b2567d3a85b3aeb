//! What keeps a Redis store in order for years: indexes in any locale, retention past what it can't read or may not remove.

use std::process::Command;

use kassir::domain::ids::EventId;
use kassir::domain::{Event, Notification, NotificationOutcome};
use kassir::store::{After, Commit, Cutoffs, DeliveryFilter, EventFilter, Page, Settle, SettleEnd};
use uuid::Uuid;

use crate::redis_faults::shop_at;
use crate::redis_server::{DURABLE, Server, shared};
use crate::store_suite::START;
use crate::store_suite::samples::{Shop, ask, attempt, delivery_of};

/// A locale in which capital letters come after small ones.
fn english(folder: &std::path::Path) {
    let made = Command::new("localedef")
        .args(["-i", "en_US", "-f", "UTF-8"])
        .arg(folder.join("en_US.UTF-8"))
        .output()
        .expect("localedef is part of the C library");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}\n(Debian, Ubuntu: apt-get install locales)");
}

/// An id that is these sixteen letters.
fn spelled(letters: &str) -> EventId {
    EventId(Uuid::from_slice(letters.as_bytes()).unwrap())
}

#[tokio::test]
async fn an_index_is_in_the_order_of_bytes_in_any_locale() {
    let folder = tempfile::tempdir().unwrap();
    english(folder.path());
    let server = Server::start_in(folder.path(), "en_US.UTF-8", DURABLE);
    let said: String = server.command(&["EVAL", "return tostring('B' < 'a')", "0"]);
    assert_eq!(said, "false", "the server compares by that locale");
    let shop = shop_at(&server.url()).await;
    // The 121st comes when the index's first part is full, half of which begins with capitals.
    let ids: Vec<_> = (0..60)
        .map(|n| spelled(&format!("0000000000000A{n:02}")))
        .chain((0..60).map(|n| spelled(&format!("0000000000000B{n:02}"))))
        .chain((0..60).map(|n| spelled(&format!("0000000000000a{n:02}"))))
        .collect();
    for id in &ids {
        let event = Event { id: *id, payment: 1, ..shop.event() };
        shop.write(Commit { events: vec![event], ..shop.commit() }).await;
    }
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page = After { limit: 50, after };
        let page = shop.store.events_after(shop.merchant, &EventFilter::default(), &page).await.unwrap();
        listed.extend(page.rows.iter().map(|event| event.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, ids);
    for id in ids {
        assert!(shop.store.event(shop.merchant, id).await.unwrap().is_some(), "{id}");
    }
}

/// Everything that is older than the start and a millisecond.
fn all() -> Cutoffs {
    let cut = Some(START + 1);
    Cutoffs {
        refused: cut,
        notifications: cut,
        events: cut,
        payments: cut,
        idempotency: cut,
        ..Cutoffs::default()
    }
}

async fn deliver_all(shop: &Shop) {
    for claimed in shop.store.claim(&ask(100)).await.unwrap().work {
        let loaded = delivery_of(&claimed).clone();
        let delivery = kassir::domain::Delivery { next_attempt_at: None, ..loaded };
        let end = SettleEnd::Delivery { delivery: Box::new(delivery), attempt: Some(attempt(1)) };
        let (fence, merchant) = (claimed.fence, shop.merchant);
        let settle = Settle { fence, merchant, end, hold: None, tallies: Vec::new() };
        shop.store.settle(settle).await.unwrap();
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_does_not_hold_up_retention() {
    let server = Server::start(DURABLE);
    let shop = shop_at(&server.url()).await;
    for id in ["a", "b", "c"] {
        shop.write(shop.whole(id)).await;
    }
    deliver_all(&shop).await;
    let mut keys: Vec<String> = server.command(&["KEYS", "*:p:*:1"]);
    let key = keys.pop().unwrap();
    let fields: Vec<Vec<u8>> = server.command(&["HKEYS", &key]);
    assert!(fields.len() >= 4, "payment, event, delivery, notification");
    for field in fields {
        let damage = [b"HSET".to_vec(), key.clone().into_bytes(), field, b"\xff\xff".to_vec()];
        server.command::<()>(&damage);
    }
    while shop.store.sweep(&all(), 1000).await.unwrap() > 0 {}
    for number in [2, 3] {
        assert_eq!(shop.store.payment(shop.merchant, number).await.unwrap(), None);
    }
    let left: Vec<String> = server.command(&["KEYS", "*:p:*"]);
    assert_eq!(left, [key], "it is kept, whatever it is");
}

/// One call looks at 5,000 records of a kind, of which none may go; then it goes on.
#[tokio::test]
async fn what_may_go_is_found_behind_much_that_stays() {
    let server = shared();
    let shop = shop_at(&server.url()).await;
    let keep = |outcome| {
        let notification = Some(Notification { outcome, payment: None, ..shop.notification() });
        shop.write(Commit { notification, ..shop.commit() })
    };
    for _ in 0..51 {
        futures_util::future::join_all((0..100).map(|_| keep(NotificationOutcome::Accepted))).await;
    }
    keep(NotificationOutcome::Rejected).await;
    let cutoffs = Cutoffs { refused: Some(START + 1), notifications: Some(START), ..Cutoffs::default() };
    assert_eq!(shop.store.sweep(&cutoffs, 1000).await.unwrap(), 1);
    assert_eq!(shop.store.sweep(&cutoffs, 1000).await.unwrap(), 0);
}

/// Number 0 stands for the notifications of no payment, which may be very many.
#[tokio::test]
async fn nothing_is_of_payment_0() {
    let server = Server::start(DURABLE);
    let shop = shop_at(&server.url()).await;
    let notification = Some(Notification { payment: None, ..shop.notification() });
    shop.write(Commit { notification, ..shop.commit() }).await;
    // A record of a kind that is read there would show.
    let event = Event { payment: 0, ..shop.event() };
    let delivery = shop.delivery(&event);
    let both = Commit { events: vec![event], deliveries: vec![delivery], ..shop.commit() };
    shop.write(both).await;
    let (store, merchant, page) = (&shop.store, shop.merchant, Page::default());
    let after = || After { limit: 9, after: None };
    let events = EventFilter { payment: Some(0), ..EventFilter::default() };
    assert!(store.events(merchant, &events, &page).await.unwrap().rows.is_empty());
    assert!(store.events_after(merchant, &events, &after()).await.unwrap().rows.is_empty());
    let deliveries = DeliveryFilter { payment: Some(0), ..DeliveryFilter::default() };
    assert!(store.deliveries(merchant, &deliveries, &page).await.unwrap().rows.is_empty());
    assert!(store.deliveries_after(merchant, &deliveries, &after()).await.unwrap().rows.is_empty());
}
