//! One thing of a bulk replay: sent once more, to another endpoint, or for the first time.

use kassir_providers::digest::Hash;

use super::Replayer;
use crate::delivery::request_replay;
use crate::domain::delivery::{Delivery, DeliveryStatus, ReplayMark};
use crate::domain::event::Event;
use crate::domain::ids::{DeliveryId, EndpointId, EventId, MerchantId};
use crate::domain::people::{Replay, WhyNot};
use crate::limits;
use crate::manage::replays::pick::{delivery_filter, lowest};
use crate::registry::MerchantView;
use crate::store::list::PAGE_MAX;
use crate::store::{Commit, Conflict, DeliveryFilter, Page, StoreError};

/// What became of one thing to send.
pub(super) enum Taken {
    /// Sent for, now or by an interrupted run of this step, as this delivery.
    Sent(DeliveryId),
    /// Not sent for.
    Not(WhyNot),
}

impl Replayer {
    /// Sends for what has this id.
    pub(super) async fn take(
        &self,
        view: &MerchantView,
        replay: &Replay,
        id: &str,
    ) -> Result<Taken, StoreError> {
        if replay.filter.missing {
            let endpoint = replay.to_endpoint.or(replay.filter.endpoint);
            let Some(event) = self.event(replay.merchant, id).await? else {
                return Ok(Taken::Not(WhyNot::Gone));
            };
            return match why_not(view, endpoint) {
                Err(why) => Ok(Taken::Not(why)),
                Ok(endpoint) => self.first_time(view, replay, &event, endpoint).await,
            };
        }
        let delivery = match id.parse() {
            Ok(id) => self.store.delivery(replay.merchant, id).await?,
            Err(_) => None,
        };
        let Some(delivery) = delivery else { return Ok(Taken::Not(WhyNot::Gone)) };
        match why_not(view, Some(replay.to_endpoint.unwrap_or(delivery.endpoint))) {
            Err(why) => Ok(Taken::Not(why)),
            Ok(endpoint) if endpoint == delivery.endpoint => self.again(replay, delivery).await,
            Ok(endpoint) => self.elsewhere(replay, delivery, endpoint).await,
        }
    }

    async fn event(&self, merchant: MerchantId, id: &str) -> Result<Option<Event>, StoreError> {
        match id.parse() {
            Ok(id) => self.store.event(merchant, id).await,
            Err(_) => Ok(None),
        }
    }

    /// The same delivery once more.
    async fn again(&self, replay: &Replay, mut delivery: Delivery) -> Result<Taken, StoreError> {
        let (merchant, id) = (delivery.merchant, delivery.id);
        for _ in 0..limits::CONFLICT_RETRIES_MAX {
            if delivery.replayed_by == Some(replay.id) {
                // By a run of this step that was interrupted before it was saved, and so not counted.
                return Ok(Taken::Sent(id));
            }
            let wanted = replay.filter.status.is_none_or(|status| delivery.status == status);
            if !wanted {
                return Ok(Taken::Not(WhyNot::ChangedMeanwhile));
            }
            let now = self.store.now().await?;
            let reason = replay.reason.clone();
            let again = request_replay(delivery, &replay.actor, reason, Some(replay.id), now);
            match self.store.update_delivery(again).await {
                Err(StoreError::Conflict(Conflict::Delivery)) => {
                    match self.store.delivery(merchant, id).await? {
                        Some(fresh) => delivery = fresh,
                        None => return Ok(Taken::Not(WhyNot::Gone)),
                    }
                }
                Err(StoreError::NotFound(_)) => return Ok(Taken::Not(WhyNot::Gone)),
                other => return other.map(|()| Taken::Sent(id)),
            }
        }
        Ok(Taken::Not(WhyNot::TooBusy))
    }

    /// A new delivery of the same event to another endpoint.
    async fn elsewhere(
        &self,
        replay: &Replay,
        original: Delivery,
        endpoint: EndpointId,
    ) -> Result<Taken, StoreError> {
        let beside = self.beside(replay, &original).await?;
        if beside.iter().any(|other| other.endpoint == endpoint) {
            return Ok(Taken::Not(WhyNot::SentOnce));
        }
        let id = derived_id(replay, original.event, endpoint);
        let is_first = beside.iter().all(|other| other.id > original.id);
        if self.store.delivery(replay.merchant, id).await?.is_none() {
            if self.store.event(replay.merchant, original.event).await?.is_none() {
                return Ok(Taken::Not(WhyNot::Gone));
            }
            self.make(replay, original, id, endpoint).await?;
        }
        Ok(if is_first { Taken::Sent(id) } else { Taken::Not(WhyNot::SentOnce) })
    }

    /// The other deliveries of a delivery's event that this replay takes.
    async fn beside(&self, replay: &Replay, original: &Delivery) -> Result<Vec<Delivery>, StoreError> {
        let of_event = DeliveryFilter { event: Some(original.event), ..DeliveryFilter::default() };
        let page = Page { limit: PAGE_MAX, before: None };
        let mut others = self.store.deliveries(replay.merchant, &of_event, &page).await?.rows;
        let (wanted, end) = (delivery_filter(&replay.filter), DeliveryId(lowest(replay.created_at)));
        others.retain(|other| {
            let is_taken = other.replayed_by == Some(replay.id) || wanted.matches(other);
            other.id != original.id && other.id < end && is_taken
        });
        Ok(others)
    }

    /// The delivery that an event would have had, had the endpoint been there.
    async fn first_time(
        &self,
        view: &MerchantView,
        replay: &Replay,
        event: &Event,
        endpoint: EndpointId,
    ) -> Result<Taken, StoreError> {
        let id = derived_id(replay, event.id, endpoint);
        if self.store.delivery(replay.merchant, id).await?.is_some() {
            return Ok(Taken::Sent(id));
        }
        let integration = view.config.integration(event.integration);
        let provider = integration.map_or("", |integration| &integration.provider);
        let like = Delivery::of(event, endpoint, id, provider);
        self.make(replay, like, id, endpoint).await
    }

    async fn make(
        &self,
        replay: &Replay,
        like: Delivery,
        id: DeliveryId,
        endpoint: EndpointId,
    ) -> Result<Taken, StoreError> {
        let now = self.store.now().await?;
        let fresh = Delivery {
            id,
            version: 0,
            endpoint,
            status: DeliveryStatus::Pending,
            attempts: 0,
            round: 0,
            round_started_at: now,
            next_attempt_at: Some(now),
            resume_at: None,
            replay: Some(mark(replay)),
            replayed_by: Some(replay.id),
            last_status: None,
            last_error: None,
            updated_at: now,
            ..like
        };
        let commit = Commit { deliveries: vec![fresh], ..Commit::of(replay.merchant) };
        match self.store.commit(commit).await {
            // By another delivery of the same event, or a run of this step that was interrupted.
            Ok(_) | Err(StoreError::Conflict(Conflict::Exists)) => Ok(Taken::Sent(id)),
            Err(error) => Err(error),
        }
    }
}

/// Why nothing can be sent to an endpoint, if that is so.
fn why_not(view: &MerchantView, endpoint: Option<EndpointId>) -> Result<EndpointId, WhyNot> {
    match endpoint.and_then(|endpoint| view.config.endpoint(endpoint)) {
        None => Err(WhyNot::EndpointDeleted),
        Some(endpoint) if !endpoint.enabled => Err(WhyNot::EndpointOff),
        Some(endpoint) => Ok(endpoint.id),
    }
}

fn mark(replay: &Replay) -> ReplayMark {
    ReplayMark { actor: replay.actor.clone(), reason: replay.reason.clone(), replay: Some(replay.id) }
}

/// The id of the delivery that a replay makes of an event for an endpoint: the same whenever the step is done again,
/// and the same for two deliveries of one event, which the other endpoint shall get only once.
fn derived_id(replay: &Replay, event: EventId, endpoint: EndpointId) -> DeliveryId {
    let digest = Hash::Sha256.digest(format!("{}{event}{endpoint}", replay.id).as_bytes());
    let mut random = [0; 10];
    for (slot, byte) in random.iter_mut().zip(digest) {
        *slot = byte;
    }
    let ms = u64::try_from(replay.created_at).unwrap_or(0);
    DeliveryId(uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
}
