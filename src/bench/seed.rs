//! Puts records into a store that no router has, many at once.

use std::sync::Arc;

use super::Stage;
use super::load::drive;
use super::record::Sample;
use super::site::Shop;
use crate::domain::delivery::{Delivery, DeliveryStatus};
use crate::store::{Commit, Store};
use kassir_providers::State;

/// Writes under way at once: as many as share one commit.
const AT_ONCE: usize = 256;
/// Orders of what is put in: beyond those of any load.
const FIRST_ORDER: usize = 1_000_000_000;

/// Stores payments that are over, numbers `from` to `to`, the shops taking turns: a notification, an event, a delivery
/// that was taken.
pub(super) async fn paid(
    stage: &Stage<'_>,
    store: &Arc<dyn Store>,
    shops: &[Shop],
    numbers: std::ops::Range<usize>,
) -> anyhow::Result<()> {
    put(stage, store, numbers.len(), |index| {
        let order = FIRST_ORDER.saturating_add(numbers.start).saturating_add(index);
        let shop = shops.get(order % shops.len().max(1))?;
        Some(Sample::new(shop, shop.endpoint?, order).first(State::Succeeded, done))
    })
    .await
}

fn done(delivery: &mut Delivery) {
    delivery.status = DeliveryStatus::Delivered;
    delivery.attempts = 1;
    delivery.round = 1;
    delivery.next_attempt_at = None;
    delivery.last_status = Some(200);
}

/// Makes so many commits.
pub(super) async fn put(
    stage: &Stage<'_>,
    store: &Arc<dyn Store>,
    count: usize,
    make: impl Fn(usize) -> Option<Commit> + Send + Sync,
) -> anyhow::Result<()> {
    drive(count, AT_ONCE, |index| {
        let made = make(index);
        async move {
            let Some(commit) = made else { return false };
            let kept = store.commit(commit).await;
            stage.progress.advance(1);
            kept.inspect_err(|error| tracing::error!(%error, "a record was not stored")).is_ok()
        }
    })
    .await
    .map(drop)
}
