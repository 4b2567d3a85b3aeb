//! Owners of leases: who falls silent loses its work to the others, and who does not know of a lease gives it up.

use kassir::domain::job::WorkId;
use kassir::store::{
    Alive, ClaimAsk, Claims, Conflict, Fence, Holding, LEASE_UNKNOWN_MS, OWNER_GAP_MS, OWNER_SILENT_MS,
};

use super::claim::{LEASE, done, works};
use super::samples::{LEASE_MS, Shop, ask, shop};
use super::{Bench, START, conflict};

/// Gives an owner's word.
async fn speak(shop: &Shop, owner: &str, held: &[Fence]) -> i64 {
    let held = held.iter().map(|fence| (shop.merchant, *fence)).collect();
    let alive = Alive { owner: owner.to_owned(), lease_ms: LEASE_MS, held, as_of: None };
    shop.store.alive(&alive).await.unwrap()
}

async fn claim_as(shop: &Shop, owner: &str) -> Claims {
    shop.store.claim(&ClaimAsk { owner: owner.to_owned(), ..ask(100) }).await.unwrap()
}

/// Lets time go by in which these owners speak every two seconds.
async fn speaking(bench: &Bench, shop: &Shop, owners: &[&str], ms: i64) {
    for _ in 0..ms / 2_000 {
        bench.clock.advance(2_000);
        for owner in owners {
            speak(shop, owner, &[]).await;
        }
    }
}

pub async fn the_work_of_a_silent_owner_is_taken_over(bench: Bench) {
    let shop = shop(&bench).await;
    let id = shop.queue().await;
    speak(&shop, "a", &[]).await;
    speak(&shop, "b", &[]).await;
    let old = claim_as(&shop, "a").await.work.remove(0);
    speaking(&bench, &shop, &["a", "b"], 4_000).await;
    speaking(&bench, &shop, &["b"], OWNER_SILENT_MS - 2_000).await;
    assert!(claim_as(&shop, "b").await.work.is_empty(), "not silent for long enough");
    speaking(&bench, &shop, &["b"], 2_000).await;
    assert!(claim_as(&shop, "c").await.work.is_empty(), "one who has not spoken does not judge");
    let new = claim_as(&shop, "b").await.work.remove(0);
    assert_eq!((new.fence.work, new.due), (WorkId::Delivery(id), START));
    assert!(new.fence.token > old.fence.token);
    assert_eq!(conflict(shop.store.settle(done(&shop, &old).await).await), Conflict::Lease);
    shop.store.settle(done(&shop, &new).await).await.unwrap();
    // It comes back and works as before.
    shop.queue().await;
    speak(&shop, "a", &[]).await;
    let again = claim_as(&shop, "a").await.work.remove(0);
    speaking(&bench, &shop, &["a", "b"], OWNER_SILENT_MS).await;
    assert!(claim_as(&shop, "b").await.work.is_empty());
    shop.store.settle(done(&shop, &again).await).await.unwrap();
}

pub async fn after_an_outage_nobody_is_silent(bench: Bench) {
    let shop = shop(&bench).await;
    shop.queue().await;
    for owner in ["a", "b"] {
        speak(&shop, owner, &[]).await;
    }
    let held = claim_as(&shop, "a").await.work.remove(0);
    speaking(&bench, &shop, &["a", "b"], OWNER_SILENT_MS).await;
    // Nobody reached the store; then one comes back somewhat sooner than the other.
    bench.clock.advance(OWNER_GAP_MS + OWNER_SILENT_MS);
    speak(&shop, "b", &[]).await;
    assert!(claim_as(&shop, "b").await.work.is_empty());
    speaking(&bench, &shop, &["b"], OWNER_GAP_MS).await;
    assert!(claim_as(&shop, "b").await.work.is_empty());
    speaking(&bench, &shop, &["a", "b"], 2_000).await;
    assert!(claim_as(&shop, "b").await.work.is_empty());
    shop.store.settle(done(&shop, &held).await).await.unwrap();
}

/// Where several routers share a store.
pub async fn a_clock_that_jumps_ahead_takes_nothing_from_who_lives(bench: Bench) {
    let shop = shop(&bench).await;
    let id = shop.queue().await;
    for owner in ["a", "b"] {
        speak(&shop, owner, &[]).await;
    }
    let held = claim_as(&shop, "a").await.work.remove(0);
    bench.clock.advance(24 * 3_600_000);
    assert!(claim_as(&shop, "b").await.work.is_empty(), "nobody spoke at this time yet");
    speaking(&bench, &shop, &["a", "b"], 2 * LEASE).await;
    assert!(claim_as(&shop, "b").await.work.is_empty(), "its owner lives");
    // The owner itself has it again, and knows that it is under way.
    bench.clock.advance(OWNER_GAP_MS);
    let again = claim_as(&shop, "a").await.work.remove(0);
    assert_eq!(again.fence.work, WorkId::Delivery(id));
    assert_eq!(conflict(shop.store.settle(done(&shop, &held).await).await), Conflict::Lease);
    // Once it is silent others take it.
    speaking(&bench, &shop, &["b"], 2 * OWNER_SILENT_MS).await;
    let taken = claim_as(&shop, "b").await.work.remove(0);
    shop.store.settle(done(&shop, &taken).await).await.unwrap();
}

pub async fn an_owner_that_never_spoke_keeps_its_leases(bench: Bench) {
    let shop = shop(&bench).await;
    shop.queue().await;
    let held = claim_as(&shop, "a").await.work.remove(0);
    speaking(&bench, &shop, &["b"], LEASE - 2_000).await;
    assert!(claim_as(&shop, "b").await.work.is_empty());
    shop.store.settle(done(&shop, &held).await).await.unwrap();
}

pub async fn a_lease_that_its_owner_does_not_know_of_ends(bench: Bench) {
    let shop = shop(&bench).await;
    shop.queue().await;
    shop.queue().await;
    let work = claim_as(&shop, "a").await.work;
    let (known, lost) = (&work[0], &work[1]);
    let tell = async |owner: &str, as_of| {
        let held = vec![(shop.merchant, known.fence)];
        let alive = Alive { owner: owner.to_owned(), lease_ms: LEASE_MS, held, as_of };
        assert_eq!(shop.store.alive(&alive).await.unwrap(), START + LEASE_UNKNOWN_MS);
        works(&claim_as(&shop, "a").await)
    };
    bench.clock.advance(LEASE_UNKNOWN_MS);
    assert_eq!(tell("a", None).await, []);
    assert_eq!(tell("a", Some(START + LEASE_UNKNOWN_MS - 1)).await, [], "it was too young then");
    assert_eq!(tell("b", Some(START + LEASE_UNKNOWN_MS)).await, [], "nobody speaks for another");
    assert_eq!(tell("a", Some(START + LEASE_UNKNOWN_MS)).await, [lost.fence.work]);
    shop.store.settle(done(&shop, known).await).await.unwrap();
}

/// A lane with two entries, of which one is probed by `a`.
async fn probed(bench: &Bench) -> Shop {
    let shop = shop(bench).await;
    shop.queue().await;
    shop.queue().await;
    let until = START + 1_000;
    shop.store.hold(shop.merchant, shop.lane(), Holding::Until { until, step: 3 }).await.unwrap();
    bench.clock.advance(1_000);
    let probe = claim_as(&shop, "a").await.work;
    assert_eq!((probe.len(), probe[0].probe), (1, Some(3)));
    shop
}

pub async fn a_lane_that_a_silent_owner_probed_may_be_tried_again(bench: Bench) {
    let shop = probed(&bench).await;
    speak(&shop, "a", &[]).await;
    speak(&shop, "b", &[]).await;
    speaking(&bench, &shop, &["b"], OWNER_SILENT_MS).await;
    let again = claim_as(&shop, "b").await.work;
    assert_eq!((again.len(), again[0].probe), (1, Some(3)));
}

pub async fn a_lane_with_a_probe_that_its_owner_does_not_know_of_may_be_tried_again(bench: Bench) {
    let shop = probed(&bench).await;
    bench.clock.advance(LEASE_UNKNOWN_MS);
    let as_of = Some(START + 1_000 + LEASE_UNKNOWN_MS);
    let alive = Alive { owner: "a".to_owned(), lease_ms: LEASE_MS, held: Vec::new(), as_of };
    shop.store.alive(&alive).await.unwrap();
    let again = claim_as(&shop, "a").await.work;
    assert_eq!((again.len(), again[0].probe), (1, Some(3)));
}
