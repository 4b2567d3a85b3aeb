//! Members of an endpoint that need no look outside: read, checked, put into the record.

use crate::domain::Endpoint;
use crate::domain::config::{MerchantConfig, Signing, Success};
use crate::domain::event::EventState;
use crate::domain::ids::IntegrationId;
use crate::limits;
use crate::manage::{Members, kind, one_of};
use crate::nearest::did_you_mean;

/// Longest description, characters.
const DESCRIPTION_MAX: usize = 1_000;
/// Integrations that an endpoint may name.
const INTEGRATIONS_NAMED_MAX: usize = limits::INTEGRATIONS_MAX;
/// Providers that an endpoint may name.
const PROVIDERS_NAMED_MAX: usize = 100;
/// Longest own deadline of an attempt, seconds.
pub const TIMEOUT_MAX_S: u32 = 30;
/// Highest rate of attempts per second.
pub const RATE_MAX: u32 = 10_000;
/// Most attempts under way at once.
pub const IN_FLIGHT_MAX: u32 = 1_000;
const SUCCESSES: [(&str, Success); 2] = [("200", Success::Exactly200), ("2xx", Success::Any2xx)];

pub(super) fn words(endpoint: &mut Endpoint, body: &mut Members) {
    if body.cleared("description") {
        endpoint.description = String::new();
    } else if let Some(text) = body.text("description", DESCRIPTION_MAX) {
        endpoint.description = text;
    }
    if body.cleared("success") {
        endpoint.success = Success::default();
    } else if let Some(success) = body.word("success", &SUCCESSES) {
        endpoint.success = success;
    }
    if body.cleared("signing") {
        endpoint.signing = Signing::default();
    } else if let Some(signing) = body.word("signing", &Signing::WORDS) {
        endpoint.signing = signing;
    }
    if body.cleared("ordered") {
        endpoint.ordered = false;
    } else if let Some(on) = body.switch("ordered") {
        endpoint.ordered = on;
    }
    if let Some(on) = body.switch("enabled") {
        endpoint.enabled = on;
        if on {
            endpoint.disabled_reason = None;
        }
    }
}

/// Which events it gets.
pub(super) fn choices(config: &MerchantConfig, endpoint: &mut Endpoint, body: &mut Members) {
    let states: Vec<_> = EventState::ALL.into_iter().map(|state| (state.word(), state)).collect();
    if body.cleared("states") {
        endpoint.states = Endpoint::DEFAULT_STATES.to_vec();
    } else if let Some(mut given) = body.list("states", states.len(), |item| one_of(item, &states)) {
        if given.is_empty() {
            body.wrong("states", "must name at least one state; null puts the default back");
        }
        given.dedup();
        endpoint.states = given;
    }
    let known = known_providers(config);
    if body.cleared("providers") {
        endpoint.providers = Vec::new();
    } else if let Some(given) = body.list("providers", PROVIDERS_NAMED_MAX, |item| match item.as_str() {
        Some(slug) if known.contains(&slug) => Ok(slug.to_owned()),
        Some(slug) => Err(format!("is no provider; {}", did_you_mean(slug, &known))),
        None => Err(format!("must be a provider's slug, not {}", kind(item))),
    }) {
        endpoint.providers = given;
    }
    if body.cleared("integration_ids") {
        endpoint.integrations = Vec::new();
    } else if let Some(given) = body.list("integration_ids", INTEGRATIONS_NAMED_MAX, |item| {
        let id: IntegrationId = item
            .as_str()
            .ok_or_else(|| format!("must be an integration's id, not {}", kind(item)))?
            .parse()
            .map_err(|error: crate::domain::ids::IdError| error.to_string())?;
        config.integration(id).map(|_| id).ok_or_else(|| format!("there is no integration {id}"))
    }) {
        endpoint.integrations = given;
    }
}

pub(super) fn bounds(endpoint: &mut Endpoint, body: &mut Members) {
    let mut bound = |name: &'static str, most: u32, slot: &mut Option<u32>| {
        if body.cleared(name) {
            *slot = None;
        } else if let Some(count) = body.count(name, 1..=most) {
            *slot = Some(count);
        }
    };
    bound("timeout_s", TIMEOUT_MAX_S, &mut endpoint.timeout_s);
    bound("rate_per_s", RATE_MAX, &mut endpoint.rate_per_s);
    bound("max_in_flight", IN_FLIGHT_MAX, &mut endpoint.max_in_flight);
}

/// Slugs and the event's `provider` values that can occur.
fn known_providers(config: &MerchantConfig) -> Vec<&str> {
    let of_adapters = kassir_providers::ALL
        .iter()
        .flat_map(|provider| [provider.about().slug, provider.about().event_provider]);
    let of_integrations = config.integrations.iter().map(|integration| integration.event_provider.as_str());
    let mut known: Vec<&str> = of_adapters.chain(of_integrations).collect();
    known.sort_unstable();
    known.dedup();
    known
}
