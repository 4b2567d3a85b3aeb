//! Endpoints: the address checked before it is kept, signing secrets made and rotated, custom headers sealed.

mod access;
mod disable;
mod input;
mod keys;
mod sample;

use kassir_providers::Secret;
use serde_json::Value;

use super::whereto::{Secrets, place, refusal};
use super::{Actor, InputError, ManageError, Manager, Members, Result};
use crate::delivery::check_custom_header;
use crate::domain::config::{MerchantConfig, Signing, SigningSecret, Success};
use crate::domain::ids::{EndpointId, MerchantId};
use crate::domain::{Endpoint, Lane};
use crate::limits;
use crate::registry::{MerchantView, endpoint_owner};
use crate::store::{ConfigChange, HealthChange, Holding};

/// Longest URL, characters.
pub(in crate::manage) const URL_MAX: usize = 2_000;

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
        let mut endpoint = blank(id, merchant, vec![stored], now);
        self.apply_endpoint(&view.config, &mut endpoint, body, Secrets::Stay).await?;
        self.note(actor, Some(merchant), "endpoint.create", id, host_of(&endpoint.url)).await?;
        self.put_endpoint(&endpoint, None).await?;
        Ok((endpoint, secret))
    }

    /// Changes an endpoint. Custom headers are merged by name; `null` takes one away, and puts any other member back
    /// to its default. A password and custom headers do not follow to another host: who changes that gives them anew.
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
            let before = endpoint.url.clone();
            self.apply_endpoint(&view.config, &mut endpoint, body.clone(), Secrets::Stay).await?;
            endpoint.updated_at = self.clock.now();
            if attempt == 0 {
                let detail = format!("{} {}", host_of(&endpoint.url), given.join(", "));
                self.note(actor, Some(merchant), "endpoint.update", id, detail).await?;
            }
            if self.put_endpoint(&endpoint, Some(view.config.version)).await? {
                let moved = endpoint.url != before;
                if moved || (endpoint.enabled && given.contains(&"enabled")) {
                    // A person vouches for it: what it, or another URL, did before does not count any more.
                    self.store.change_health(merchant, id, HealthChange::Forget).await?;
                }
                if moved {
                    // Nor does what waits go on waiting because of it.
                    self.store.hold(merchant, Lane::Endpoint(id), Holding::Lift).await?;
                }
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

    async fn put_endpoint(&self, endpoint: &Endpoint, expected: Option<u64>) -> Result<bool> {
        let change = ConfigChange::PutEndpoint(Box::new(endpoint.clone()));
        self.change_config(endpoint.merchant, change, expected).await
    }

    pub(super) async fn apply_endpoint(
        &self,
        config: &MerchantConfig,
        endpoint: &mut Endpoint,
        mut body: Members,
        secrets: Secrets,
    ) -> Result<()> {
        let before = endpoint.url.clone();
        if before.is_empty() {
            endpoint.url = body.required_text("url", URL_MAX).unwrap_or_default();
        } else if let Some(url) = body.text("url", URL_MAX) {
            endpoint.url = url;
        }
        input::words(endpoint, &mut body);
        input::choices(config, endpoint, &mut body);
        input::bounds(endpoint, &mut body);
        let headers = self.headers(endpoint, &mut body);
        let access = access::read(endpoint, &mut body, has_authorization(endpoint, &headers));
        if endpoint.url != before
            && !endpoint.url.is_empty()
            && let Err(detail) = self.check_url(&endpoint.url).await
        {
            body.error(InputError::at("/url", detail));
        }
        if secrets == Secrets::Stay && !before.is_empty() {
            let to = place(&endpoint.url);
            let mut kept = kept_headers(endpoint, &headers);
            kept.extend(
                (endpoint.basic_auth.is_some() && access.basic.is_none()).then(|| "basic_auth".to_owned()),
            );
            if place(&before) != to && !kept.is_empty() {
                body.error(InputError::at("/url", refusal(&to, &kept)));
            }
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
        self.put_access(endpoint, access)?;
        if endpoint.signing.uses(true) && !endpoint.has_key_pair() {
            endpoint.secrets.push(self.fresh_pair(endpoint.id)?);
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

/// The custom headers that stay as they are; each may be a secret.
fn kept_headers(endpoint: &Endpoint, changes: &[(String, Option<Secret>)]) -> Vec<String> {
    let stays = |name: &&String| changes.iter().all(|(changed, _)| changed != *name);
    endpoint.headers.keys().filter(stays).map(|name| format!("headers/{name}")).collect()
}

/// Whether there is a custom header `authorization` after these changes.
fn has_authorization(endpoint: &Endpoint, changes: &[(String, Option<Secret>)]) -> bool {
    const NAME: &str = "authorization";
    let last = changes.iter().rev().find(|(name, _)| name == NAME);
    last.map_or_else(|| endpoint.headers.contains_key(NAME), |(_, value)| value.is_some())
}

pub(super) fn blank(id: EndpointId, merchant: MerchantId, secrets: Vec<SigningSecret>, now: i64) -> Endpoint {
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
        secrets,
        signing: Signing::default(),
        basic_auth: None,
        client_certificate: None,
        created_at: now,
        updated_at: now,
    }
}

fn found(view: &MerchantView, id: EndpointId) -> Result<Endpoint> {
    view.config.endpoint(id).cloned().ok_or_else(|| ManageError::no("endpoint", id))
}

/// Scheme and host of a URL: its path and query may hold secrets that do not belong into the audit log.
pub(crate) fn host_of(url: &str) -> String {
    let end = url.match_indices(['/', '?', '#']).map(|(at, _)| at).nth(2).unwrap_or(url.len());
    let origin = url.get(..end).unwrap_or_default();
    match origin.rsplit_once('@') {
        Some((_, host)) => host.to_owned(),
        None => origin.to_owned(),
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
}
