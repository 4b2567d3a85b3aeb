//! A merchant as a document.

use serde_json::{Map, Value, json};

use super::slot::shown;
use crate::domain::config::{Endpoint, Integration, Merchant, Success};
use crate::manage::time;
use crate::registry::{MerchantView, Registry};

/// All that is set up for a merchant. Secrets are sealed under the master key, or left out.
#[must_use]
pub fn export(view: &MerchantView, with_secrets: bool, now: i64) -> Value {
    let mut document = merchant(&view.config.merchant, with_secrets);
    let integrations = view.config.integrations.iter().map(|one| integration(one, with_secrets, now));
    document.insert("integrations".to_owned(), integrations.collect());
    let endpoints = view.config.endpoints.iter().map(|one| endpoint(one, with_secrets, now));
    document.insert("endpoints".to_owned(), endpoints.collect());
    Value::Object(document)
}

/// The merchant itself.
pub(super) fn merchant(merchant: &Merchant, with_secrets: bool) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("id".to_owned(), json!(merchant.id.to_string()));
    map.insert("name".to_owned(), json!(merchant.name));
    map.insert("first_payment".to_owned(), json!(merchant.first_payment));
    if let Some(alert) = &merchant.alert {
        map.insert("alert_url".to_owned(), json!(alert.url));
        map.insert("alert_secret".to_owned(), shown(&alert.secret, with_secrets));
    }
    map.insert("created_at".to_owned(), json!(time::show(merchant.created_at)));
    map
}

/// An integration. Credentials that are no secrets are written out.
pub(super) fn integration(integration: &Integration, with_secrets: bool, now: i64) -> Value {
    let about = Registry::provider(integration).map(|provider| provider.about());
    let is_public = |key: &str| {
        about.is_some_and(|about| about.credentials.iter().any(|field| field.key == key && !field.secret))
    };
    let credentials: Map<String, Value> = integration
        .credentials
        .iter()
        .map(|(key, stored)| {
            let public = is_public(key).then(|| json!(stored.hint));
            (key.clone(), public.unwrap_or_else(|| shown(&stored.sealed, with_secrets)))
        })
        .collect();
    let tokens = integration.tokens.iter().filter(|token| token.expires_at.is_none_or(|end| end > now));
    let tokens: Vec<Value> = tokens
        .map(|token| ended(json!({ "token": shown(&token.sealed, with_secrets) }), token.expires_at))
        .collect();
    json!({
        "id": integration.id.to_string(),
        "provider": integration.provider,
        "name": integration.name,
        "credentials": credentials,
        "settings": serde_json::to_value(&integration.settings).unwrap_or_default(),
        "tokens": tokens,
        "created_at": time::show(integration.created_at),
    })
}

/// An endpoint.
pub(super) fn endpoint(endpoint: &Endpoint, with_secrets: bool, now: i64) -> Value {
    let headers: Map<String, Value> =
        endpoint.headers.iter().map(|(name, sealed)| (name.clone(), shown(sealed, with_secrets))).collect();
    let secrets = endpoint.secrets.iter().filter(|secret| secret.expires_at.is_none_or(|end| end > now));
    let secrets: Vec<Value> = secrets
        .map(|secret| {
            let place = shown(&secret.sealed, with_secrets);
            let created_at = time::show(secret.created_at);
            ended(json!({ "secret": place, "created_at": created_at }), secret.expires_at)
        })
        .collect();
    let integrations: Vec<String> = endpoint.integrations.iter().map(ToString::to_string).collect();
    let states: Vec<&str> = endpoint.states.iter().map(|state| state.word()).collect();
    json!({
        "id": endpoint.id.to_string(),
        "url": endpoint.url,
        "description": endpoint.description,
        "states": states,
        "providers": endpoint.providers,
        "integration_ids": integrations,
        "headers": headers,
        "basic_auth": endpoint.basic_auth.as_ref().map(|basic| {
            json!({ "username": basic.username, "password": shown(&basic.password.sealed, with_secrets) })
        }),
        "client_certificate": endpoint.client_certificate.as_ref().map(|stored| {
            json!({ "certificate": stored.certificate, "private_key": shown(&stored.key, with_secrets) })
        }),
        "success": match endpoint.success {
            Success::Exactly200 => "200",
            Success::Any2xx => "2xx",
        },
        "signing": endpoint.signing.word(),
        "timeout_s": endpoint.timeout_s,
        "rate_per_s": endpoint.rate_per_s,
        "max_in_flight": endpoint.max_in_flight,
        "ordered": endpoint.ordered,
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason,
        "secrets": secrets,
        "created_at": time::show(endpoint.created_at),
    })
}

fn ended(mut item: Value, expires_at: Option<i64>) -> Value {
    if let (Some(map), Some(end)) = (item.as_object_mut(), expires_at) {
        map.insert("expires_at".to_owned(), json!(time::show(end)));
    }
    item
}
