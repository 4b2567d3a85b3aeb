//! Endpoints: the address checked before it is kept, signing secrets made and rotated, custom headers sealed.

use kassir_providers::Secret;
use serde_json::Value;

use super::integrations::{OVERLAP_DEFAULT_S, OVERLAP_MAX_S};
use super::{Actor, InputError, ManageError, Manager, Members, Result, one_of};
use crate::delivery::signature::SigningKey;
use crate::delivery::{check_custom_header, send};
use crate::domain::config::{SigningSecret, Success};
use crate::domain::event::{EventState, Proven};
use crate::domain::ids::{DeliveryId, EndpointId, EventId, IntegrationId, MerchantId};
use crate::domain::{Attempt, Delivery, DeliveryStatus, Endpoint, Event};
use crate::limits;
use crate::nearest::did_you_mean;
use crate::registry::{MerchantView, endpoint_owner};
use crate::secrets::SecretError;
use crate::store::ConfigChange;

/// Longest URL, characters.
const URL_MAX: usize = 2_000;
/// Longest description, characters.
const DESCRIPTION_MAX: usize = 1_000;
/// Longest own deadline of an attempt, seconds.
pub const TIMEOUT_MAX_S: u32 = 30;
/// Highest rate of attempts per second.
pub const RATE_MAX: u32 = 10_000;
/// Most attempts under way at once.
pub const IN_FLIGHT_MAX: u32 = 1_000;
/// Integrations that an endpoint may name.
const INTEGRATIONS_NAMED_MAX: usize = limits::INTEGRATIONS_MAX;
/// Providers that an endpoint may name.
const PROVIDERS_NAMED_MAX: usize = 100;
/// The payment's number in a test event.
const TEST_PAYMENT: u32 = 1;

const SUCCESSES: [(&str, Success); 2] = [("200", Success::Exactly200), ("2xx", Success::Any2xx)];

impl Manager {
    /// Creates an endpoint; gives it with its signing secret, which is shown only here.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn create_endpoint(
        &self,
        actor: &Actor,
        view: &MerchantView,
        body: Members,
    ) -> Result<(Endpoint, Secret)> {
        let merchant = view.config.merchant.id;
        if view.config.endpoints.len() >= limits::ENDPOINTS_MAX {
            let most = limits::ENDPOINTS_MAX;
            return Err(ManageError::Limit(format!("A merchant has at most {most} endpoints.")));
        }
        let id = EndpointId(self.clock.id());
        let now = self.clock.now();
        let (secret, stored) = self.fresh_secret(id)?;
        let mut endpoint = blank(id, merchant, stored, now);
        self.apply_endpoint(view, &mut endpoint, body).await?;
        self.note(actor, Some(merchant), "endpoint.create", id, host_of(&endpoint.url)).await?;
        self.put_endpoint(&endpoint, None).await?;
        Ok((endpoint, secret))
    }

    /// Changes an endpoint. Custom headers are merged by name; `null` takes one away, and puts any other member back
    /// to its default.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn update_endpoint(
        &self,
        actor: &Actor,
        merchant: MerchantId,
        id: EndpointId,
        body: Members,
    ) -> Result<Endpoint> {
        for attempt in 0..limits::CONFLICT_RETRIES_MAX {
            let view = self.merchant(merchant).await?;
            let mut endpoint = found(&view, id)?;
            let given: Vec<&str> = body.names().collect();
            self.apply_endpoint(&view, &mut endpoint, body.clone()).await?;
            endpoint.updated_at = self.clock.now();
            if attempt == 0 {
                let detail = format!("{} {}", host_of(&endpoint.url), given.join(", "));
                self.note(actor, Some(merchant), "endpoint.update", id, detail).await?;
            }
            if self.put_endpoint(&endpoint, Some(view.config.version)).await? {
                return Ok(endpoint);
            }
        }
        Err(super::too_busy())
    }

    /// Deletes an endpoint; its deliveries stay in the record, those that wait are canceled.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn delete_endpoint(&self, actor: &Actor, merchant: MerchantId, id: EndpointId) -> Result<()> {
        let view = self.merchant(merchant).await?;
        let endpoint = found(&view, id)?;
        self.note(actor, Some(merchant), "endpoint.delete", id, host_of(&endpoint.url)).await?;
        self.store.change_config(merchant, ConfigChange::DeleteEndpoint(id), None).await?;
        self.registry.forget(merchant);
        Ok(())
    }

    /// Gives an endpoint a new signing secret by `{"overlap_s"?}`; old ones sign beside it for so long. With 0 every
    /// old one ends at once.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn rotate_secret(
        &self,
        actor: &Actor,
        merchant: MerchantId,
        id: EndpointId,
        mut body: Members,
    ) -> Result<(Endpoint, Secret)> {
        let overlap_s = body.count("overlap_s", 0..=OVERLAP_MAX_S).unwrap_or(OVERLAP_DEFAULT_S);
        body.finish()?;
        let (secret, stored) = self.fresh_secret(id)?;
        for attempt in 0..limits::CONFLICT_RETRIES_MAX {
            let view = self.merchant(merchant).await?;
            let mut endpoint = found(&view, id)?;
            let now = self.clock.now();
            let ends = now.saturating_add(i64::from(overlap_s).saturating_mul(1000));
            for old in &mut endpoint.secrets {
                old.expires_at = Some(old.expires_at.map_or(ends, |end| end.min(ends)));
            }
            endpoint.secrets.retain(|old| old.expires_at.is_some_and(|end| end > now));
            if endpoint.secrets.len() >= limits::SIGNING_SECRETS_MAX {
                let live = endpoint.secrets.len();
                return Err(ManageError::NotNow(format!(
                    "{live} old secrets still sign. Wait until one has ended, or end them all by overlap_s 0."
                )));
            }
            endpoint.secrets.insert(0, stored.clone());
            endpoint.updated_at = now;
            if attempt == 0 {
                let detail = format!("old secrets sign on for {overlap_s} s");
                self.note(actor, Some(merchant), "endpoint.rotate_secret", id, detail).await?;
            }
            if self.put_endpoint(&endpoint, Some(view.config.version)).await? {
                return Ok((endpoint, secret));
            }
        }
        Err(super::too_busy())
    }

    /// Sends a marked sample event to an endpoint now, once, whether it is on or off.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn test_endpoint(&self, actor: &Actor, view: &MerchantView, id: EndpointId) -> Result<Attempt> {
        let endpoint = found(view, id)?;
        let merchant = view.config.merchant.id;
        self.note(actor, Some(merchant), "endpoint.test", id, host_of(&endpoint.url)).await?;
        let gone = || ManageError::no("endpoint", id);
        let opened = self.endpoints.get(merchant, id).await;
        let opened = opened.map_err(|error| ManageError::NotNow(format!("{error}.")))?.ok_or_else(gone)?;
        let now = self.clock.now();
        let event = sample(EventId(self.clock.id()), merchant, now);
        let delivery = delivery_of(&event, &endpoint, DeliveryId(self.clock.id()));
        let verdict = send::attempt(&self.outbound, &opened, &delivery, &event, now).await;
        Ok(Attempt {
            number: send::number_of_next(&delivery),
            at: verdict.at,
            duration_ms: verdict.duration_ms,
            status: verdict.status,
            error: verdict.error,
            response_excerpt: verdict.excerpt,
            remote_ip: verdict.remote_ip,
            replay: false,
        })
    }

    async fn put_endpoint(&self, endpoint: &Endpoint, expected: Option<u64>) -> Result<bool> {
        let change = ConfigChange::PutEndpoint(Box::new(endpoint.clone()));
        let done = self.store.change_config(endpoint.merchant, change, expected).await;
        self.registry.forget(endpoint.merchant);
        match done {
            Ok(_) => Ok(true),
            Err(error) if expected.is_some() && super::is_config_conflict(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn fresh_secret(&self, id: EndpointId) -> Result<(Secret, SigningSecret)> {
        let secret = SigningKey::generate().map_err(|_| SecretError::Random)?.text();
        let sealed = self.vault.seal(&endpoint_owner(id, "secret"), secret.expose())?;
        Ok((secret, SigningSecret { sealed, created_at: self.clock.now(), expires_at: None }))
    }

    async fn apply_endpoint(
        &self,
        view: &MerchantView,
        endpoint: &mut Endpoint,
        mut body: Members,
    ) -> Result<()> {
        let before = endpoint.url.clone();
        if before.is_empty() {
            endpoint.url = body.required_text("url", URL_MAX).unwrap_or_default();
        } else if let Some(url) = body.text("url", URL_MAX) {
            endpoint.url = url;
        }
        words(endpoint, &mut body);
        choices(view, endpoint, &mut body);
        bounds(endpoint, &mut body);
        let headers = self.headers(endpoint, &mut body);
        if endpoint.url != before
            && !endpoint.url.is_empty()
            && let Err(detail) = self.check_url(&endpoint.url).await
        {
            body.error(InputError::at("/url", detail));
        }
        body.finish()?;
        for (name, value) in headers {
            match value {
                None => {
                    endpoint.headers.remove(&name);
                }
                Some(value) => {
                    let sealed = self.vault.seal(&endpoint_owner(endpoint.id, &name), value.expose())?;
                    endpoint.headers.insert(name, sealed);
                }
            }
        }
        Ok(())
    }

    /// The changes of custom headers, checked: lower-case names, `None` takes one away.
    fn headers(&self, endpoint: &Endpoint, body: &mut Members) -> Vec<(String, Option<Secret>)> {
        if body.cleared("headers") {
            return endpoint.headers.keys().map(|name| (name.clone(), None)).collect();
        }
        let Some(given) = body.map("headers") else { return Vec::new() };
        let mut changes = Vec::new();
        let mut names: std::collections::BTreeSet<String> = endpoint.headers.keys().cloned().collect();
        for (name, value) in given {
            let pointer =
                format!("{}/{}", body.pointer("headers"), name.replace('~', "~0").replace('/', "~1"));
            let lower = name.to_ascii_lowercase();
            match value {
                Value::Null => {
                    names.remove(&lower);
                    changes.push((lower, None));
                }
                Value::String(value) => match check_custom_header(&lower, &value) {
                    Ok(()) => {
                        names.insert(lower.clone());
                        changes.push((lower, Some(Secret::new(value))));
                    }
                    Err(refusal) => body.error(InputError::at(pointer, refusal.to_string())),
                },
                other => {
                    let detail = format!("must be a text, not {}", super::kind(&other));
                    body.error(InputError::at(pointer, detail));
                }
            }
        }
        if names.len() > limits::CUSTOM_HEADERS_MAX {
            let most = limits::CUSTOM_HEADERS_MAX;
            body.wrong("headers", format!("an endpoint has at most {most} custom headers"));
        }
        changes
    }
}

fn blank(id: EndpointId, merchant: MerchantId, secret: SigningSecret, now: i64) -> Endpoint {
    Endpoint {
        id,
        merchant,
        url: String::new(),
        description: String::new(),
        states: Endpoint::DEFAULT_STATES.to_vec(),
        providers: Vec::new(),
        integrations: Vec::new(),
        headers: std::collections::BTreeMap::new(),
        success: Success::default(),
        timeout_s: None,
        rate_per_s: None,
        max_in_flight: None,
        ordered: false,
        enabled: true,
        disabled_reason: None,
        secrets: vec![secret],
        created_at: now,
        updated_at: now,
    }
}

fn words(endpoint: &mut Endpoint, body: &mut Members) {
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
fn choices(view: &MerchantView, endpoint: &mut Endpoint, body: &mut Members) {
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
    let known = known_providers(view);
    if body.cleared("providers") {
        endpoint.providers = Vec::new();
    } else if let Some(given) = body.list("providers", PROVIDERS_NAMED_MAX, |item| match item.as_str() {
        Some(slug) if known.contains(&slug) => Ok(slug.to_owned()),
        Some(slug) => Err(format!("is no provider; {}", did_you_mean(slug, &known))),
        None => Err(format!("must be a provider's slug, not {}", super::kind(item))),
    }) {
        endpoint.providers = given;
    }
    if body.cleared("integration_ids") {
        endpoint.integrations = Vec::new();
    } else if let Some(given) = body.list("integration_ids", INTEGRATIONS_NAMED_MAX, |item| {
        let id: IntegrationId = item
            .as_str()
            .ok_or_else(|| format!("must be an integration's id, not {}", super::kind(item)))?
            .parse()
            .map_err(|error: crate::domain::ids::IdError| error.to_string())?;
        view.config.integration(id).map(|_| id).ok_or_else(|| format!("there is no integration {id}"))
    }) {
        endpoint.integrations = given;
    }
}

fn bounds(endpoint: &mut Endpoint, body: &mut Members) {
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
fn known_providers(view: &MerchantView) -> Vec<&str> {
    let of_adapters = kassir_providers::ALL
        .iter()
        .flat_map(|provider| [provider.about().slug, provider.about().event_provider]);
    let of_integrations =
        view.config.integrations.iter().map(|integration| integration.event_provider.as_str());
    let mut known: Vec<&str> = of_adapters.chain(of_integrations).collect();
    known.sort_unstable();
    known.dedup();
    known
}

fn found(view: &MerchantView, id: EndpointId) -> Result<Endpoint> {
    view.config.endpoint(id).cloned().ok_or_else(|| ManageError::no("endpoint", id))
}

/// Scheme and host of a URL: its path and query may hold secrets that do not belong into the audit log.
fn host_of(url: &str) -> String {
    let end = url.match_indices(['/', '?', '#']).map(|(at, _)| at).nth(2).unwrap_or(url.len());
    let origin = url.get(..end).unwrap_or_default();
    match origin.rsplit_once('@') {
        Some((_, host)) => host.to_owned(),
        None => origin.to_owned(),
    }
}

/// A sample event in the shape of a real one.
fn sample(id: EventId, merchant: MerchantId, now: i64) -> Event {
    let tail = format!(
        r#","provider":"yandex_kassa","provider_id":"00000000-0000-0000-0000-000000000000","currency":"RUB","amount":90000,"state":"succeeded","created_at":{},"payload":{{"test":true}},"order":[{{"name":"Test","description":"A test event of Kassir","amount":900}}],"contact":{{"id":1,"name":"Test","messenger":"telegram","phone":"79999999999"}}}}"#,
        now.div_euclid(1000)
    );
    Event {
        id,
        merchant,
        integration: IntegrationId(uuid::Uuid::nil()),
        payment: TEST_PAYMENT,
        state: EventState::Succeeded,
        proven: Proven::Confirmed,
        test: true,
        notification: None,
        created_at: now,
        tail,
    }
}

/// The delivery of a test event; it is not kept.
fn delivery_of(event: &Event, endpoint: &Endpoint, id: DeliveryId) -> Delivery {
    Delivery {
        id,
        version: 0,
        merchant: event.merchant,
        payment: event.payment,
        event: event.id,
        state: event.state,
        integration: event.integration,
        provider: String::new(),
        endpoint: endpoint.id,
        status: DeliveryStatus::Pending,
        attempts: 0,
        round: 0,
        round_started_at: event.created_at,
        next_attempt_at: Some(event.created_at),
        resume_at: None,
        replay: None,
        replayed_by: None,
        last_status: None,
        last_error: None,
        created_at: event.created_at,
        updated_at: event.created_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_is_noted() {
        for (url, host) in [
            ("https://a.example/secret?x=1", "https://a.example"),
            ("https://a.example", "https://a.example"),
            ("https://a.example?x", "https://a.example"),
            ("https://user:secret@a.example/x", "a.example"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(host_of(url), host);
        }
    }

    #[test]
    fn the_sample_is_json_in_the_documented_order() {
        let event = sample(EventId(uuid::Uuid::nil()), MerchantId(uuid::Uuid::nil()), 1_554_717_099_000);
        let body: Value = serde_json::from_str(&event.body()).unwrap();
        let names: Vec<_> = body.as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            names,
            [
                "id",
                "provider",
                "provider_id",
                "currency",
                "amount",
                "state",
                "created_at",
                "payload",
                "order",
                "contact"
            ]
        );
    }
}
