//! Lists: order, pages, filters, merchants apart.

use std::fmt::Debug;

use kassir::domain::ids::{EndpointId, EventId, IntegrationId, JobId};
use kassir::domain::people::{Replay, ReplayStatus};
use kassir::domain::{
    Delivery, DeliveryStatus, Event, EventState, Job, Lane, Notification, NotificationOutcome, Payment, Task,
};
use kassir::store::list::PAGE_MAX;
use kassir::store::{
    After, Commit, ConfigChange, Conflict, DeliveryFilter, EventFilter, Listed, NotificationFilter, Page,
    PaymentFilter, Result, StoreError,
};
use kassir_providers::State;
use kassir_providers::operation::Contact;

use super::samples::{Shop, id, job_of, new, replay, shop};
use super::{Bench, START, conflict};

/// Follows a list to its end.
async fn read_all<T, F: Future<Output = Result<Listed<T>>>>(limit: u32, list: impl Fn(Page) -> F) -> Vec<T> {
    let mut rows = Vec::new();
    let mut before = None;
    for _ in 0..10_000 {
        let page = list(Page { limit, before: before.take() }).await.unwrap();
        assert!(page.rows.len() <= usize::try_from(limit.clamp(1, PAGE_MAX)).unwrap());
        rows.extend(page.rows);
        before = page.next;
        if before.is_none() {
            return rows;
        }
    }
    panic!("the list does not end");
}

/// Compares a filtered list with the filter itself, applied to all rows.
async fn holds<T, F>(
    all: &[T],
    filter: impl Debug,
    matches: impl Fn(&T) -> bool,
    list: impl Fn(Page) -> F,
) -> usize
where
    T: Clone + Debug + PartialEq,
    F: Future<Output = Result<Listed<T>>>,
{
    let expected: Vec<T> = all.iter().filter(|row| matches(row)).cloned().collect();
    assert_eq!(read_all(3, list).await, expected, "{filter:?}");
    expected.len()
}

pub async fn pages_go_to_the_end(bench: Bench) {
    let shop = shop(&bench).await;
    for index in 0..23 {
        shop.write(shop.whole(&format!("p-{index}"))).await;
    }
    let (store, merchant) = (&shop.store, shop.merchant);
    let newest_first: Vec<u32> = (1..=23).rev().collect();
    for limit in [1, 2, 7, 22, 23, 24, PAGE_MAX, u32::MAX] {
        let list = async |page| store.payments(merchant, &PaymentFilter::default(), &page).await;
        let payments = read_all(limit, list).await;
        assert_eq!(payments.iter().map(|row| row.number).collect::<Vec<_>>(), newest_first, "{limit}");
        let list = async |page| store.events(merchant, &EventFilter::default(), &page).await;
        let events = read_all(limit, list).await;
        assert_eq!(events.iter().map(|row| row.payment).collect::<Vec<_>>(), newest_first, "{limit}");
        let list = async |page| store.deliveries(merchant, &DeliveryFilter::default(), &page).await;
        assert!(read_all(limit, list).await.is_sorted_by(|a, b| a.id > b.id));
        let list = async |page| store.notifications(merchant, &NotificationFilter::default(), &page).await;
        assert!(read_all(limit, list).await.is_sorted_by(|a, b| a.id > b.id));
    }
    // A row that went meanwhile does not matter to the next page; nor does one that never was.
    let before = Some("12".to_owned());
    let page = store.payments(merchant, &PaymentFilter::default(), &Page { limit: 2, before }).await.unwrap();
    assert_eq!(page.rows.iter().map(|row| row.number).collect::<Vec<_>>(), [11, 10]);
    let page = Page { limit: 0, before: None };
    assert_eq!(store.payments(merchant, &PaymentFilter::default(), &page).await.unwrap().rows.len(), 1);
}

pub async fn the_same_rows_come_oldest_first(bench: Bench) {
    let shop = shop(&bench).await;
    for index in 0..23 {
        shop.write(shop.whole(&format!("p-{index}"))).await;
    }
    let (store, merchant) = (&shop.store, shop.merchant);
    let newest = Page { limit: PAGE_MAX, before: None };
    for payment in [None, Some(7)] {
        let wanted = EventFilter { payment, ..EventFilter::default() };
        let mut events = store.events(merchant, &wanted, &newest).await.unwrap().rows;
        events.reverse();
        let filter = DeliveryFilter { payment, ..DeliveryFilter::default() };
        let mut deliveries = store.deliveries(merchant, &filter, &newest).await.unwrap().rows;
        deliveries.reverse();
        for limit in [1, 2, 7, 23, PAGE_MAX] {
            let list = async |page: Page| {
                store.events_after(merchant, &wanted, &After { limit: page.limit, after: page.before }).await
            };
            assert_eq!(read_all(limit, list).await, events, "{limit}");
            let list = async |page: Page| {
                let page = After { limit: page.limit, after: page.before };
                store.deliveries_after(merchant, &filter, &page).await
            };
            assert_eq!(read_all(limit, list).await, deliveries, "{limit}");
        }
    }
    // From an id that is nobody's.
    let after = After { limit: 1, after: Some(EventId(uuid::Uuid::nil()).to_string()) };
    let first = store.events_after(merchant, &EventFilter::default(), &after).await.unwrap();
    assert_eq!(first.rows.iter().map(|row| row.payment).collect::<Vec<_>>(), [1]);
}

pub async fn payments_by_every_filter(bench: Bench) {
    let shop = shop(&bench).await;
    let other = IntegrationId(id());
    let states = [State::Pending, State::WaitingForCapture, State::Succeeded, State::Canceled];
    for index in 0..24_usize {
        let name = Some(if index % 3 == 0 { "Дмитрий" } else { "Anna" }.to_owned());
        let contact = Contact { name, phone: Some("79990000000".to_owned()), ..Contact::default() };
        let payment = Payment {
            state: states[index % 4],
            provider: ["yookassa", "robokassa"][index % 2].to_owned(),
            integration: [shop.integration, other][usize::from(index % 5 == 0)],
            created_at: START + i64::try_from(index).unwrap() * 10,
            provider_id: Some(format!("Id-{index}")),
            contact: (index % 2 == 0).then_some(contact),
            email: Some(format!("payer{index}@example.com")),
            ..shop.payment()
        };
        shop.write(Commit { payment: Some(new(payment, &[])), ..shop.commit() }).await;
    }
    let list = |filter: PaymentFilter| {
        let (store, merchant) = (shop.store.clone(), shop.merchant);
        move |page: Page| {
            let (store, filter) = (store.clone(), filter.clone());
            async move { store.payments(merchant, &filter, &page).await }
        }
    };
    let all = read_all(PAGE_MAX, list(PaymentFilter::default())).await;
    assert_eq!(all.len(), 24);
    let none = PaymentFilter::default;
    let q = |text: &str| PaymentFilter { q: Some(text.to_owned()), ..none() };
    let filters = [
        (PaymentFilter { state: Some(State::Succeeded), ..none() }, 6),
        (PaymentFilter { provider: Some("robokassa".to_owned()), ..none() }, 12),
        (PaymentFilter { integration: Some(other), ..none() }, 5),
        (PaymentFilter { from: Some(START + 50), ..none() }, 19),
        (PaymentFilter { to: Some(START + 50), ..none() }, 5),
        (PaymentFilter { from: Some(START + 50), to: Some(START + 60), ..none() }, 1),
        (q("21"), 2),
        (q("iD-1"), 11),
        (q("дмитрий"), 4),
        (q("PAYER2@"), 1),
        (q("nothing like it"), 0),
        (
            PaymentFilter {
                state: Some(State::Pending),
                provider: Some("yookassa".to_owned()),
                integration: Some(shop.integration),
                from: Some(START + 10),
                to: Some(START + 200),
                q: Some("example.com".to_owned()),
            },
            4,
        ),
    ];
    for (filter, count) in filters {
        let found = holds(&all, &filter, |row| filter.matches(row), list(filter.clone())).await;
        assert_eq!(found, count, "{filter:?}");
    }
}

pub async fn events_by_every_filter(bench: Bench) {
    let shop = shop(&bench).await;
    let other = IntegrationId(id());
    let events: Vec<Event> = (0..18_usize)
        .map(|index| Event {
            state: EventState::ALL[index % 6],
            integration: [shop.integration, other][index % 2],
            payment: u32::try_from(index % 4).unwrap() + 1,
            created_at: START + i64::try_from(index).unwrap(),
            ..shop.event()
        })
        .collect();
    shop.write(Commit { events, ..shop.commit() }).await;
    let list = |filter: EventFilter| {
        let (store, merchant) = (shop.store.clone(), shop.merchant);
        move |page: Page| {
            let (store, filter) = (store.clone(), filter.clone());
            async move { store.events(merchant, &filter, &page).await }
        }
    };
    let all = read_all(PAGE_MAX, list(EventFilter::default())).await;
    assert_eq!(all.len(), 18);
    let none = EventFilter::default;
    let filters = [
        (EventFilter { state: Some(EventState::Refunded), ..none() }, 3),
        (EventFilter { integration: Some(other), ..none() }, 9),
        (EventFilter { payment: Some(2), ..none() }, 5),
        (EventFilter { payment: Some(99), ..none() }, 0),
        (EventFilter { from: Some(START + 4), to: Some(START + 9), ..none() }, 5),
        (
            EventFilter {
                state: Some(EventState::Pending),
                integration: Some(shop.integration),
                payment: Some(1),
                from: Some(START + 1),
                to: Some(START + 13),
            },
            1,
        ),
    ];
    for (filter, count) in filters {
        let found = holds(&all, &filter, |row| filter.matches(row), list(filter.clone())).await;
        assert_eq!(found, count, "{filter:?}");
    }
}

pub async fn deliveries_by_every_filter(bench: Bench) {
    let shop = shop(&bench).await;
    let other = EndpointId(id());
    let mut events = Vec::new();
    for index in 0..20_usize {
        let event = Event {
            state: EventState::ALL[index % 3],
            payment: u32::try_from(index % 4).unwrap() + 1,
            ..shop.event()
        };
        let to = [shop.endpoint, other][index % 2];
        let delivery = Delivery {
            status: DeliveryStatus::ALL[index % 5],
            provider: ["yookassa", "robokassa", "liqpay"][index % 3].to_owned(),
            created_at: START + i64::try_from(index).unwrap(),
            last_error: (index % 4 == 0).then(|| format!("Connection refused {index}")),
            next_attempt_at: None,
            ..shop.delivery_to(to, &event)
        };
        events.push(event.id);
        shop.write(Commit { events: vec![event], deliveries: vec![delivery], ..shop.commit() }).await;
    }
    let list = |filter: DeliveryFilter| {
        let (store, merchant) = (shop.store.clone(), shop.merchant);
        move |page: Page| {
            let (store, filter) = (store.clone(), filter.clone());
            async move { store.deliveries(merchant, &filter, &page).await }
        }
    };
    let all = read_all(PAGE_MAX, list(DeliveryFilter::default())).await;
    assert_eq!(all.len(), 20);
    let none = DeliveryFilter::default;
    let q = |text: &str| DeliveryFilter { q: Some(text.to_owned()), ..none() };
    let both = vec![EventState::Pending, EventState::Succeeded];
    let filters = [
        (DeliveryFilter { status: Some(DeliveryStatus::Failed), ..none() }, 4),
        (DeliveryFilter { endpoint: Some(other), ..none() }, 10),
        (DeliveryFilter { states: both.clone(), ..none() }, 13),
        (DeliveryFilter { providers: vec!["liqpay".to_owned(), "none".to_owned()], ..none() }, 6),
        (DeliveryFilter { payment: Some(3), ..none() }, 5),
        (DeliveryFilter { payments: vec![3, 1], ..none() }, 10),
        (DeliveryFilter { payments: vec![3], never_attempted: true, ..none() }, 5),
        (DeliveryFilter { integrations: vec![shop.integration], ..none() }, 20),
        (DeliveryFilter { integrations: vec![IntegrationId(id())], ..none() }, 0),
        (DeliveryFilter { event: Some(events[5]), ..none() }, 1),
        (DeliveryFilter { from: Some(START + 3), ..none() }, 17),
        (DeliveryFilter { to: Some(START + 3), ..none() }, 3),
        (q("connection REFUSED"), 5),
        (q("4"), 6),
        (q(&all[0].id.to_string()), 1),
        (q(&events[2].to_string()), 1),
        (
            DeliveryFilter {
                status: Some(DeliveryStatus::Pending),
                endpoint: Some(shop.endpoint),
                states: both,
                providers: vec!["yookassa".to_owned()],
                integrations: vec![shop.integration],
                payments: vec![1, 9],
                never_attempted: true,
                payment: Some(1),
                event: Some(events[0]),
                from: Some(START),
                to: Some(START + 1),
                q: Some("refused".to_owned()),
            },
            1,
        ),
    ];
    for (filter, count) in filters {
        let found = holds(&all, &filter, |row| filter.matches(row), list(filter.clone())).await;
        assert_eq!(found, count, "{filter:?}");
    }
    // What changed is found under its new status.
    let status = DeliveryStatus::Canceled;
    let pending = all.iter().find(|row| row.status == DeliveryStatus::Pending).unwrap();
    shop.store.update_delivery(Delivery { status, ..pending.clone() }).await.unwrap();
    for (status, count) in [(DeliveryStatus::Pending, 3), (status, 5)] {
        let filter = DeliveryFilter { status: Some(status), ..none() };
        assert_eq!(read_all(50, list(filter)).await.len(), count);
    }
}

pub async fn notifications_by_every_filter(bench: Bench) {
    let shop = shop(&bench).await;
    let other = IntegrationId(id());
    for index in 0..18_usize {
        let notification = Notification {
            outcome: NotificationOutcome::ALL[index % 6],
            provider: ["yookassa", "robokassa"][index % 2].to_owned(),
            integration: [shop.integration, other][usize::from(index % 3 == 0)],
            payment: (index % 2 == 0).then(|| u32::try_from(index % 4).unwrap() + 1),
            body: format!("OutSum={index}.00"),
            query: format!("inv={}", index % 5),
            reason: if index == 4 { "Подпись не сошлась" } else { "" }.to_owned(),
            received_at: START + i64::try_from(index).unwrap(),
            ..shop.notification()
        };
        shop.write(Commit { notification: Some(notification), ..shop.commit() }).await;
    }
    let list = |filter: NotificationFilter| {
        let (store, merchant) = (shop.store.clone(), shop.merchant);
        move |page: Page| {
            let (store, filter) = (store.clone(), filter.clone());
            async move { store.notifications(merchant, &filter, &page).await }
        }
    };
    let all = read_all(PAGE_MAX, list(NotificationFilter::default())).await;
    assert_eq!(all.len(), 18);
    let none = NotificationFilter::default;
    let q = |text: &str| NotificationFilter { q: Some(text.to_owned()), ..none() };
    let filters = [
        (NotificationFilter { outcome: Some(NotificationOutcome::Mismatch), ..none() }, 3),
        (NotificationFilter { provider: Some("robokassa".to_owned()), ..none() }, 9),
        (NotificationFilter { integration: Some(other), ..none() }, 6),
        (NotificationFilter { payment: Some(3), ..none() }, 4),
        (NotificationFilter { from: Some(START + 6), to: Some(START + 8), ..none() }, 2),
        (q("outsum=7.00"), 1),
        (q("INV=4"), 3),
        (q("подпись"), 1),
        (
            NotificationFilter {
                outcome: Some(NotificationOutcome::Accepted),
                provider: Some("yookassa".to_owned()),
                integration: Some(other),
                payment: Some(1),
                from: Some(START),
                to: Some(START + 12),
                q: Some("out".to_owned()),
            },
            1,
        ),
    ];
    for (filter, count) in filters {
        let found = holds(&all, &filter, |row| filter.matches(row), list(filter.clone())).await;
        assert_eq!(found, count, "{filter:?}");
    }
}

pub async fn lists_keep_merchants_apart(bench: Bench) {
    let shops: [Shop; 2] = [shop(&bench).await, shop(&bench).await];
    for shop in &shops {
        shop.write(shop.whole("same")).await;
    }
    let [a, b] = &shops;
    let page = Page::default();
    for shop in &shops {
        let (store, merchant) = (&shop.store, shop.merchant);
        let payments = store.payments(merchant, &PaymentFilter::default(), &page).await.unwrap().rows;
        assert_eq!((payments.len(), payments[0].merchant, payments[0].number), (1, merchant, 1));
        let events = store.events(merchant, &EventFilter::default(), &page).await.unwrap().rows;
        let deliveries = store.deliveries(merchant, &DeliveryFilter::default(), &page).await.unwrap().rows;
        let log = store.notifications(merchant, &NotificationFilter::default(), &page).await.unwrap().rows;
        assert_eq!((events.len(), deliveries.len(), log.len()), (1, 1, 1));
        assert_eq!(
            (events[0].merchant, deliveries[0].merchant, log[0].merchant),
            (merchant, merchant, merchant)
        );
        let stranger = if merchant == a.merchant { b } else { a };
        assert_eq!(store.event(stranger.merchant, events[0].id).await.unwrap(), None);
        assert_eq!(store.delivery(stranger.merchant, deliveries[0].id).await.unwrap(), None);
        assert_eq!(store.notification(stranger.merchant, log[0].id).await.unwrap(), None);
    }
    let merchants = a.store.merchants(&Page { limit: 1, before: None }).await.unwrap();
    assert_eq!((merchants.rows[0].id, merchants.rows.len()), (b.merchant, 1));
    let merchants = a.store.merchants(&Page { limit: 1, before: merchants.next }).await.unwrap();
    assert_eq!((merchants.rows[0].id, merchants.next), (a.merchant, None));
}

pub async fn a_replay_and_its_job_are_there_together(bench: Bench) {
    let (shop, other) = (shop(&bench).await, shop(&bench).await);
    let store = &shop.store;
    let begun = replay(shop.merchant);
    let lane = Lane::Merchant(shop.merchant);
    let job = Job { lane, ..shop.job(Task::Replay { replay: begun.id }) };
    let version = store.begin_replay(&begun, &job).await.unwrap();
    let again = Job { id: JobId(id()), ..job.clone() };
    assert_eq!(conflict(store.begin_replay(&begun, &again).await), Conflict::Replay);
    let claimed = shop.claim().await.work;
    assert_eq!(
        claimed.iter().map(|claimed| (job_of(claimed), claimed.lane)).collect::<Vec<_>>(),
        [(&job, lane)]
    );
    let kept = store.replay(shop.merchant, begun.id).await.unwrap().unwrap();
    assert_eq!(kept, Replay { version, ..begun });
    store.change_config(other.merchant, ConfigChange::DeleteMerchant, None).await.unwrap();
    let late = store.begin_replay(&replay(other.merchant), &Job { id: JobId(id()), ..again }).await;
    assert!(matches!(late, Err(StoreError::NotFound(_))), "{late:?}");
    assert_eq!(store.backlog().await.unwrap().waiting, 1);
}

pub async fn replays(bench: Bench) {
    let (shop, other) = (shop(&bench).await, shop(&bench).await);
    let store = &shop.store;
    let (first, second) = (replay(shop.merchant), replay(shop.merchant));
    let version = store.put_replay(&first).await.unwrap();
    assert!(version > 0);
    assert_eq!(conflict(store.put_replay(&first).await), Conflict::Replay);
    store.put_replay(&second).await.unwrap();
    let stored = store.replay(shop.merchant, first.id).await.unwrap().unwrap();
    assert_eq!(stored, Replay { version, ..first.clone() });
    let changed = Replay { status: ReplayStatus::Done, sent: 10, cursor: None, ..stored.clone() };
    let next = store.put_replay(&changed).await.unwrap();
    assert!(next > version);
    assert_eq!(conflict(store.put_replay(&changed).await), Conflict::Replay);
    let rows = store.replays(shop.merchant, &Page::default()).await.unwrap().rows;
    assert_eq!(rows, [Replay { version: rows[0].version, ..second }, Replay { version: next, ..changed }]);
    assert!(store.replays(other.merchant, &Page::default()).await.unwrap().rows.is_empty());
    assert_eq!(store.replay(other.merchant, first.id).await.unwrap(), None);
    store.change_config(other.merchant, ConfigChange::DeleteMerchant, None).await.unwrap();
    let late = store.put_replay(&replay(other.merchant)).await;
    assert!(matches!(late, Err(StoreError::NotFound(_))), "{late:?}");
}
