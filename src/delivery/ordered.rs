//! Endpoints that want the events of a payment one after the other. What must go first is asked of the store only for
//! them; a delivery whose turn has not come waits without an attempt, and is due at once when the one before it ends.
//!
//! A person's replay is exempt: it neither waits nor makes others wait.

use super::settle::parked;
use super::worker::{Leased, Worker};
use crate::domain::delivery::{Delivery, DeliveryStatus};
use crate::domain::ids::EventId;
use crate::store::{DeliveryFilter, Holding, Page, Settle, SettleEnd, StoreError};

/// Deliveries of one payment to one endpoint that are looked at.
const LOOKED_AT_MAX: u32 = 200;
/// When to look again while the one before is under way, milliseconds. Only needed when the router that has it dies.
const AGAIN_MS: i64 = 5_000;
/// …and at the latest while it waits for its own next attempt, milliseconds.
const AGAIN_MAX_MS: i64 = 10 * 60 * 1000;

/// The order of a payment's events: that of the payment's changes. Times are those of the routers that took the events,
/// and only tell of records that know no such order.
fn place(delivery: &Delivery) -> (u64, i64, EventId) {
    (delivery.after, delivery.created_at, delivery.event)
}

/// Whether a delivery stands in the row: its first round, without a wish of a person.
fn in_row(delivery: &Delivery) -> bool {
    delivery.replay.is_none() && is_first_round(delivery)
}

/// A replay of what was over starts another round.
fn is_first_round(delivery: &Delivery) -> bool {
    delivery.round_started_at == delivery.created_at
}

impl Worker {
    /// Whether a delivery to an ordered endpoint has to wait; then it was put back.
    pub(super) async fn waits_its_turn(&self, leased: &Leased, delivery: &Delivery) -> bool {
        if !in_row(delivery) {
            return false;
        }
        let before = match self.before(delivery).await {
            Ok(None) => return false,
            Ok(Some(before)) => before,
            Err(error) => {
                let _ = self.note_error("deliveries", &error);
                self.give_back(leased).await;
                return true;
            }
        };
        let now = self.store_now();
        let until = match before.next_attempt_at {
            Some(due) if due > now => due.saturating_add(1).clamp(now + AGAIN_MS, now + AGAIN_MAX_MS),
            _ => now + AGAIN_MS,
        };
        let end =
            SettleEnd::Delivery { delivery: Box::new(parked(delivery.clone(), until, now)), attempt: None };
        // Where the lane is tried one at a time, the next of it may be tried instead.
        let hold = leased.probe.map(|step| Holding::Until { until: now, step });
        let settle =
            Settle { fence: leased.fence, merchant: leased.merchant, end, hold, tallies: Vec::new() };
        match self.write(leased, settle).await {
            // The one before may have ended between the look and the write, and not have seen this one wait.
            Ok(()) => self.next_in_row(delivery, now).await,
            Err(StoreError::Conflict(_)) => self.release_one(leased).await,
            Err(error) => self.note_lost(leased, &error),
        }
        true
    }

    /// The delivery that must end before this one may be sent.
    async fn before(&self, delivery: &Delivery) -> Result<Option<Delivery>, StoreError> {
        let others = self.pending_beside(delivery).await?;
        Ok(others
            .into_iter()
            .filter(|other| is_first_round(other) && place(other) < place(delivery))
            .min_by_key(place))
    }

    async fn pending_beside(&self, delivery: &Delivery) -> Result<Vec<Delivery>, StoreError> {
        let filter = DeliveryFilter {
            status: Some(DeliveryStatus::Pending),
            endpoint: Some(delivery.endpoint),
            payment: Some(delivery.payment),
            ..DeliveryFilter::default()
        };
        let page = Page { limit: LOOKED_AT_MAX, before: None };
        Ok(self.parts.store.deliveries(delivery.merchant, &filter, &page).await?.rows)
    }

    /// Makes the first of those that wait their turn behind a delivery due now, if its turn has come. Should that fail,
    /// it looks itself after a while.
    pub(super) async fn next_in_row(&self, of: &Delivery, now: i64) {
        let row = match self.pending_beside(of).await {
            Ok(row) => row,
            Err(error) => {
                let _ = self.note_error("deliveries", &error);
                return;
            }
        };
        let Some(first) = row.into_iter().filter(is_first_round).min_by_key(place) else { return };
        let waits = first.attempts == 0 && first.next_attempt_at.is_some_and(|due| due > now);
        if !waits || !in_row(&first) {
            return;
        }
        match self.parts.store.update_delivery(parked(first, now, now)).await {
            Ok(()) => self.wake(),
            // It is under way, or a person changed it.
            Err(StoreError::Conflict(_) | StoreError::NotFound(_)) => {}
            Err(error) => {
                let _ = self.note_error("update_delivery", &error);
            }
        }
    }
}
