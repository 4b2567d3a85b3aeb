//! What a bulk replay takes, page by page, oldest first: deliveries, or events of which an endpoint has no delivery.
//! Counting and sending read the same pages.

use futures_util::future::try_join_all;

use crate::domain::delivery::Delivery;
use crate::domain::event::Event;
use crate::domain::ids::{DeliveryId, EndpointId, EventId};
use crate::domain::people::ReplayFilter;
use crate::registry::MerchantView;
use crate::store::{After, DeliveryFilter, EventFilter, Page, Result, Store};

/// Ids are made a little after what they stand for happened, or, where clocks differ, a little before; milliseconds.
const SKEW_MS: i64 = 3_600_000;

/// What a replay is about.
pub struct Pick<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// Whose.
    pub view: &'a MerchantView,
    /// Which.
    pub filter: &'a ReplayFilter,
    /// Where to, when not to the original endpoint.
    pub to_endpoint: Option<EndpointId>,
    /// Nothing that was made from then on (Unix milliseconds): else a replay could chase its own deliveries.
    pub until: i64,
}

/// One thing to send.
#[derive(Debug, Clone)]
pub enum Item {
    /// A delivery, once more.
    Delivery(Box<Delivery>),
    /// An event, for the first time.
    Event(Box<Event>),
}

impl Item {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Item::Delivery(delivery) => delivery.id.to_string(),
            Item::Event(event) => event.id.to_string(),
        }
    }
}

/// A page of it.
#[derive(Debug, Default)]
pub struct Picked {
    /// What is to be sent; may be empty although more comes.
    pub items: Vec<Item>,
    /// Where the next page goes on, if there is one.
    pub next: Option<String>,
}

impl Pick<'_> {
    /// The page after `cursor`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn page(&self, cursor: Option<&str>, limit: u32) -> Result<Picked> {
        if self.filter.missing { self.missing(cursor, limit).await } else { self.there(cursor, limit).await }
    }

    /// Where the walk begins.
    fn start(&self, cursor: Option<&str>, first: impl Fn(uuid::Uuid) -> String) -> Option<String> {
        let from = self.filter.from.map(|from| first(lowest(from.saturating_sub(SKEW_MS))));
        cursor.map(str::to_owned).or(from)
    }

    async fn there(&self, cursor: Option<&str>, limit: u32) -> Result<Picked> {
        let after = self.start(cursor, |id| DeliveryId(id).to_string());
        let filter = delivery_filter(self.filter);
        let merchant = self.view.config.merchant.id;
        let listed = self.store.deliveries_after(merchant, &filter, &After { limit, after }).await?;
        let end = DeliveryId(lowest(self.until));
        let own = listed.rows.iter().filter(|delivery| delivery.id < end).count();
        let next = listed.next.filter(|_| own == listed.rows.len());
        let items = listed.rows.into_iter().take(own).map(|delivery| Item::Delivery(Box::new(delivery)));
        Ok(Picked { items: items.collect(), next })
    }

    async fn missing(&self, cursor: Option<&str>, limit: u32) -> Result<Picked> {
        let Some(endpoint) = self.to_endpoint.or(self.filter.endpoint) else { return Ok(Picked::default()) };
        let after = self.start(cursor, |id| EventId(id).to_string());
        let filter = EventFilter { from: self.filter.from, to: self.filter.to, ..EventFilter::default() };
        let merchant = self.view.config.merchant.id;
        let listed = self.store.events_after(merchant, &filter, &After { limit, after }).await?;
        let wanted = listed.rows.into_iter().filter(|event| self.wants(endpoint, event));
        let looked_up = try_join_all(wanted.map(|event| async move {
            let there = self.has_delivery(event.id, endpoint).await?;
            Ok::<_, crate::store::StoreError>((!there).then(|| Item::Event(Box::new(event))))
        }));
        Ok(Picked { items: looked_up.await?.into_iter().flatten().collect(), next: listed.next })
    }

    async fn has_delivery(&self, event: EventId, endpoint: EndpointId) -> Result<bool> {
        let filter =
            DeliveryFilter { event: Some(event), endpoint: Some(endpoint), ..DeliveryFilter::default() };
        let page = Page { limit: 1, before: None };
        let merchant = self.view.config.merchant.id;
        Ok(!self.store.deliveries(merchant, &filter, &page).await?.rows.is_empty())
    }

    /// Whether an endpoint would get an event that happened now, and the filter wants it.
    fn wants(&self, endpoint: EndpointId, event: &Event) -> bool {
        let Some(endpoint) = self.view.config.endpoint(endpoint) else { return false };
        let Some(integration) = self.view.config.integration(event.integration) else { return false };
        let filter = self.filter;
        endpoint.wants(event.state, integration)
            && (filter.states.is_empty() || filter.states.contains(&event.state))
            && (filter.integrations.is_empty() || filter.integrations.contains(&event.integration))
            && (filter.payments.is_empty() || filter.payments.contains(&event.payment))
            && (filter.providers.is_empty()
                || filter.providers.contains(&integration.provider)
                || filter.providers.contains(&integration.event_provider))
    }
}

/// Which deliveries a replay's filter takes.
#[must_use]
pub fn delivery_filter(filter: &ReplayFilter) -> DeliveryFilter {
    DeliveryFilter {
        status: filter.status,
        endpoint: filter.endpoint,
        states: filter.states.clone(),
        providers: filter.providers.clone(),
        integrations: filter.integrations.clone(),
        payments: filter.payments.clone(),
        never_attempted: filter.never_attempted,
        from: filter.from,
        to: filter.to,
        q: filter.q.clone(),
        ..DeliveryFilter::default()
    }
}

/// The lowest id of a time: what is below it is older.
#[must_use]
pub fn lowest(at: i64) -> uuid::Uuid {
    uuid::Uuid::from_u128(u128::try_from(at).unwrap_or(0) << 80)
}
