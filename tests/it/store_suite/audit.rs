//! The audit log and idempotency keys.

use futures_util::future::join_all;
use kassir::store::{Conflict, Idempotency, Page};

use super::samples::{audit_entry, shop};
use super::{Bench, conflict, held};

pub async fn the_log_is_a_chain(bench: Bench) {
    let shop = shop(&bench).await;
    let (store, merchant) = (&shop.store, Some(shop.merchant));
    assert_eq!(store.audit_tail(merchant).await.unwrap(), "");
    let entries = ["h1", "h2", "h3"].map(|hash| audit_entry(merchant, hash));
    let mut tail = String::new();
    for entry in &entries {
        assert_eq!(conflict(store.append_audit(entry, "wrong").await), Conflict::Audit);
        store.append_audit(entry, &tail).await.unwrap();
        tail.clone_from(&entry.hash);
        assert_eq!(store.audit_tail(merchant).await.unwrap(), tail);
    }
    assert_eq!(conflict(store.append_audit(&audit_entry(merchant, "h4"), "h2").await), Conflict::Audit);
    assert_eq!(conflict(store.append_audit(&audit_entry(merchant, "h4"), "").await), Conflict::Audit);
    let first = store.audit(merchant, &Page { limit: 2, before: None }).await.unwrap();
    assert_eq!(first.rows, [entries[2].clone(), entries[1].clone()]);
    let rest = store.audit(merchant, &Page { limit: 2, before: first.next }).await.unwrap();
    assert_eq!((rest.rows, rest.next), (vec![entries[0].clone()], None));
}

pub async fn logs_are_apart(bench: Bench) {
    let (a, b) = (shop(&bench).await, shop(&bench).await);
    let store = &a.store;
    let logs = [Some(a.merchant), Some(b.merchant), None];
    let mut all = Vec::new();
    for (index, log) in logs.into_iter().enumerate() {
        let entry = audit_entry(log, &format!("h{index}"));
        store.append_audit(&entry, "").await.unwrap();
        all.insert(0, entry);
    }
    for (index, log) in logs.into_iter().enumerate() {
        assert_eq!(store.audit_tail(log).await.unwrap(), format!("h{index}"));
    }
    let own = store.audit(logs[0], &Page::default()).await.unwrap().rows;
    assert_eq!(own, [all[2].clone()]);
    assert_eq!(store.audit(None, &Page::default()).await.unwrap().rows, all);
}

pub async fn one_of_many_appends(bench: Bench) {
    let shop = shop(&bench).await;
    let entries: Vec<_> =
        (0..32).map(|index| audit_entry(Some(shop.merchant), &format!("h{index}"))).collect();
    let results = join_all(entries.iter().map(|entry| shop.store.append_audit(entry, ""))).await;
    let winner = results.iter().position(Result::is_ok).unwrap();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let rows = shop.store.audit(Some(shop.merchant), &Page::default()).await.unwrap().rows;
    assert_eq!(rows, [entries[winner].clone()]);
}

pub async fn idempotency_keys(bench: Bench) {
    let store = &bench.store;
    let begin = async |scope, print| store.idempotency_begin(scope, "key", print, 1000).await.unwrap();
    let hold = held(Ok(begin("a", "f1").await));
    assert_eq!(begin("a", "f1").await, Idempotency::Running);
    assert_eq!(begin("a", "f2").await, Idempotency::Mismatch);
    assert_ne!(held(Ok(begin("b", "f2").await)), hold, "another scope");

    let body = "{\"id\":1,\"name\":\"Ж\\u0000\"}".to_owned();
    store.idempotency_finish("a", "key", hold, Some((201, body.clone()))).await.unwrap();
    bench.clock.advance(100_000);
    assert_eq!(begin("a", "f1").await, Idempotency::Done { status: 201, body: body.clone() });
    assert_eq!(begin("a", "f2").await, Idempotency::Mismatch);
    // A late failure does not undo an answer that was given.
    store.idempotency_finish("a", "key", hold, None).await.unwrap();
    assert_eq!(begin("a", "f1").await, Idempotency::Done { status: 201, body });

    let hold = held(Ok(begin("c", "f1").await));
    store.idempotency_finish("c", "key", hold, None).await.unwrap();
    assert!(matches!(begin("c", "f2").await, Idempotency::Fresh(_)), "freed, also for another request");
    let none = store.idempotency_finish("d", "no such key", hold, Some((200, String::new()))).await;
    assert_eq!(conflict(none), Conflict::Hold);
    assert!(matches!(begin("d", "f1").await, Idempotency::Fresh(_)));

    let crowd = join_all((0..32).map(|_| store.idempotency_begin("e", "key", "f1", 1000))).await;
    let fresh = crowd.into_iter().filter(|result| matches!(result, Ok(Idempotency::Fresh(_)))).count();
    assert_eq!(fresh, 1);
}

pub async fn an_idempotency_key_that_was_left_behind(bench: Bench) {
    let store = &bench.store;
    let begin = async || store.idempotency_begin("a", "key", "f1", 1000).await.unwrap();
    held(Ok(begin().await));
    bench.clock.advance(999);
    assert_eq!(begin().await, Idempotency::Running);
    bench.clock.advance(1);
    let hold = held(Ok(begin().await));
    assert_eq!(begin().await, Idempotency::Running);

    // What may have been done is not done again.
    store.idempotency_note("a", "key", hold, "17").await.unwrap();
    assert_eq!(begin().await, Idempotency::Running);
    bench.clock.advance(1000);
    assert_eq!(begin().await, Idempotency::BrokenOff { note: "17".to_owned() });
    let other = store.idempotency_begin("a", "key", "f2", 1000).await.unwrap();
    assert_eq!(other, Idempotency::Mismatch);
    // It took long, and comes to an end after all.
    store.idempotency_finish("a", "key", hold, Some((201, "{}".to_owned()))).await.unwrap();
    assert_eq!(begin().await, Idempotency::Done { status: 201, body: "{}".to_owned() });
    store.idempotency_finish("a", "key", hold, Some((500, "late".to_owned()))).await.unwrap();
    assert_eq!(conflict(store.idempotency_note("a", "key", hold, "18").await), Conflict::Hold);
    assert_eq!(begin().await, Idempotency::Done { status: 201, body: "{}".to_owned() });

    let hold = held(store.idempotency_begin("b", "key", "f1", 1000).await);
    store.idempotency_note("b", "key", hold, "17").await.unwrap();
    store.idempotency_finish("b", "key", hold, None).await.unwrap();
    let hold = held(store.idempotency_begin("b", "key", "f1", 1000).await);
    assert_eq!(conflict(store.idempotency_note("c", "key", hold, "17").await), Conflict::Hold);
    held(store.idempotency_begin("c", "key", "f1", 1000).await);
}

/// Who was frozen for longer than it held a key does nothing to it once another has it.
pub async fn an_idempotency_key_that_another_took(bench: Bench) {
    let store = &bench.store;
    let begin = async || store.idempotency_begin("a", "key", "f1", 1000).await;
    let frozen = held(begin().await);
    bench.clock.advance(1000);
    let other = held(begin().await);
    assert_ne!(frozen, other);
    let late = async |answer| {
        let noted = conflict(store.idempotency_note("a", "key", frozen, "17").await);
        let finished = conflict(store.idempotency_finish("a", "key", frozen, answer).await);
        assert_eq!([noted, finished], [Conflict::Hold; 2]);
    };
    let answer = || Some((500, "late".to_owned()));
    late(answer()).await;
    late(None).await;
    assert_eq!(begin().await.unwrap(), Idempotency::Running, "the other's hold is as it was");

    store.idempotency_note("a", "key", other, "18").await.unwrap();
    late(answer()).await;
    late(None).await;
    bench.clock.advance(1000);
    assert_eq!(begin().await.unwrap(), Idempotency::BrokenOff { note: "18".to_owned() });

    store.idempotency_finish("a", "key", other, Some((201, "{}".to_owned()))).await.unwrap();
    late(answer()).await;
    late(None).await;
    assert_eq!(begin().await.unwrap(), Idempotency::Done { status: 201, body: "{}".to_owned() });

    // One that the other freed is nobody's; one that ran out is still of who took it last.
    let begin = async || store.idempotency_begin("b", "key", "f1", 1000).await;
    let frozen = held(begin().await);
    bench.clock.advance(1000);
    let other = held(begin().await);
    store.idempotency_finish("b", "key", other, None).await.unwrap();
    assert_eq!(conflict(store.idempotency_note("b", "key", frozen, "17").await), Conflict::Hold);
    let slow = held(begin().await);
    bench.clock.advance(5000);
    store.idempotency_note("b", "key", slow, "19").await.unwrap();
    assert_eq!(begin().await.unwrap(), Idempotency::BrokenOff { note: "19".to_owned() });
}
