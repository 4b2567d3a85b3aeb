//! What a person asks for: read and checked.

use super::{REASON_MAX, states, statuses};
use crate::domain::event::EventState;
use crate::domain::ids::{EndpointId, IntegrationId};
use crate::domain::people::ReplayFilter;
use crate::limits;
use crate::manage::{ManageError, Members, one_of};
use crate::registry::MerchantView;

/// Providers that a filter may name.
const PROVIDERS_MAX: usize = 100;
/// Payments that a filter may name.
const PAYMENTS_MAX: usize = 1_000;
/// Longest text to search for, characters.
const SEARCH_MAX: usize = 200;

/// A wish for a bulk replay.
pub(super) struct Wish {
    pub filter: ReplayFilter,
    pub to_endpoint: Option<EndpointId>,
    pub dry_run: bool,
    pub confirmed: bool,
    pub per_s: Option<u32>,
    pub reason: Option<String>,
}

/// Reads a wish; `rate_max` is the highest rate.
pub(super) fn read(mut body: Members, view: &MerchantView, rate_max: u32) -> Result<Wish, ManageError> {
    let filter = body.object("filter", |inner| read_filter(inner, view));
    if filter.is_none() {
        body.wrong("filter", "is required; {} takes every delivery");
    }
    let filter = filter.unwrap_or_default();
    let to_endpoint = endpoint(&mut body, "to_endpoint_id", view);
    let wish = Wish {
        to_endpoint,
        dry_run: body.switch("dry_run").unwrap_or(false),
        confirmed: body.switch("confirm").unwrap_or(false),
        per_s: body.count("per_s", 1..=rate_max),
        reason: body.text("reason", REASON_MAX),
        filter,
    };
    if wish.filter.missing && wish.filter.endpoint.or(to_endpoint).is_none() {
        body.wrong("filter", "missing needs an endpoint: endpoint_id, or to_endpoint_id beside the filter");
    }
    body.finish()?;
    Ok(wish)
}

fn endpoint(body: &mut Members, name: &'static str, view: &MerchantView) -> Option<EndpointId> {
    let id = body.parsed(name)?;
    if view.config.endpoint(id).is_none() {
        body.wrong(name, format!("there is no endpoint {id}"));
    }
    Some(id)
}

fn read_filter(inner: &mut Members, view: &MerchantView) -> ReplayFilter {
    let text = |item: &serde_json::Value| {
        item.as_str().map(str::to_owned).ok_or_else(|| "must be a provider's slug".to_owned())
    };
    let integration = |item: &serde_json::Value| {
        let id: IntegrationId = item.as_str().unwrap_or("").parse().map_err(|error| format!("{error}"))?;
        // One that was deleted may still have deliveries.
        Ok(id)
    };
    let payment = |item: &serde_json::Value| {
        let number = item.as_u64().and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| "must be a payment's number".to_owned())
    };
    let filter = ReplayFilter {
        status: inner.word("status", &statuses()),
        endpoint: endpoint(inner, "endpoint_id", view),
        states: inner
            .list("states", EventState::ALL.len(), |item| one_of(item, &states()))
            .unwrap_or_default(),
        providers: inner.list("providers", PROVIDERS_MAX, text).unwrap_or_default(),
        integrations: inner
            .list("integration_ids", limits::INTEGRATIONS_MAX, integration)
            .unwrap_or_default(),
        payments: inner.list("payment_ids", PAYMENTS_MAX, payment).unwrap_or_default(),
        never_attempted: inner.switch("never_attempted").unwrap_or(false),
        missing: inner.switch("missing").unwrap_or(false),
        q: inner.text("q", SEARCH_MAX),
        from: inner.time("from"),
        to: inner.time("to"),
    };
    if filter.missing {
        let of_deliveries = [
            ("status", filter.status.is_some()),
            ("never_attempted", filter.never_attempted),
            ("q", filter.q.is_some()),
        ];
        for (name, given) in of_deliveries {
            if given {
                inner.wrong(name, "speaks of deliveries; missing takes events that have none");
            }
        }
    }
    filter
}
