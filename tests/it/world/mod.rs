//! A router for tests: real store, real sockets, a clock that the test steps, and a worker that the test steps.

pub mod bank;
pub mod fixture;

use std::collections::BTreeMap;
use std::sync::Arc;

use kassir::app::{Router, Start};
use kassir::clock::{Clock, ManualClock};
use kassir::config::{Config, from_parts};
use kassir::delivery::outbound::{Outbound, OutboundConfig, OutboundRequest};
use kassir::domain::config::{InboundToken, Integration, Merchant, StoredCredential};
use kassir::domain::event::Event;
use kassir::domain::ids::{IntegrationId, MerchantId};
use kassir::domain::notification::Notification;
use kassir::registry::{credential_owner, token_owner};
use kassir::secrets::{Vault, new_token, token_hash};
use kassir::store::{ConfigChange, EventFilter, NotificationFilter, Page, Store};
use kassir_providers::{Account, Method, Request, Settings};

use crate::store_suite::Bench;

pub use crate::store_suite::START;
/// The admin token of tests.
pub const ADMIN: &str = "test-admin-token-0123456789";

/// A router with one merchant.
pub struct World {
    pub router: Router,
    pub clock: Arc<ManualClock>,
    pub vault: Arc<Vault>,
    pub merchant: MerchantId,
    pub wire: Outbound,
    _bench: Option<Bench>,
}

/// What a provider was answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answered {
    pub status: u16,
    pub body: String,
}

/// An integration and how to reach it.
pub struct Shop {
    pub url: String,
    pub account: Account,
    pub slug: String,
}

/// A configuration that allows this machine's own addresses.
pub fn config(extra: &[(&str, &str)]) -> Config {
    let text = "listen = \"127.0.0.1:0\"\n[outbound]\nallow_networks = [\"127.0.0.0/8\"]\nallow_http = true\ntimeout = \"2s\"\nconnect_timeout = \"1s\"\n[delivery]\ndrain = \"1s\"\n";
    let variables: BTreeMap<String, String> =
        extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    from_parts(Some(text), "test", &variables).unwrap()
}

/// A client that may reach this machine.
pub fn wire() -> Outbound {
    kassir::tls::install();
    Outbound::build(&OutboundConfig {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        allow_http: true,
        ..OutboundConfig::default()
    })
    .unwrap()
}

impl World {
    /// On a store under test, by its clock.
    pub async fn on(bench: Bench) -> World {
        let (store, clock) = (Arc::clone(&bench.store), Arc::clone(&bench.clock));
        World { _bench: Some(bench), ..World::over(store, clock, config(&[])).await }
    }

    /// On any store.
    pub async fn over(store: Arc<dyn Store>, clock: Arc<ManualClock>, config: Config) -> World {
        kassir::tls::install();
        let vault = Arc::new(Vault::throw_away().unwrap());
        let start = Start {
            config,
            clock: clock.clone(),
            store,
            vault: Arc::clone(&vault),
            admin_token_hash: token_hash(ADMIN),
            run_worker: false,
        };
        let router = Router::start(start).await.unwrap();
        let merchant = MerchantId(clock.id());
        let record = Merchant {
            id: merchant,
            name: "Лавка".to_owned(),
            first_payment: 1,
            alert: None,
            created_at: clock.now(),
        };
        router.store.change_config(merchant, ConfigChange::CreateMerchant(record), None).await.unwrap();
        let wire = wire();
        World { router, clock, vault, merchant, wire, _bench: None }
    }

    /// Connects a shop.
    pub async fn shop(&self, slug: &str, credentials: &[(&str, &str)], settings: serde_json::Value) -> Shop {
        let id = IntegrationId(self.clock.id());
        let token = new_token("").unwrap();
        let settings: Settings = serde_json::from_value(settings).unwrap();
        let provider = kassir_providers::by_slug(slug).unwrap();
        let stored = credentials.iter().map(|(key, value)| {
            let sealed = self.vault.seal(&credential_owner(id, key), value).unwrap();
            ((*key).to_owned(), StoredCredential { sealed, hint: "…".to_owned() })
        });
        let inbound = InboundToken {
            hash: token_hash(token.expose()),
            sealed: self.vault.seal(&token_owner(id), token.expose()).unwrap(),
            expires_at: None,
        };
        let integration = Integration {
            id,
            merchant: self.merchant,
            provider: slug.to_owned(),
            name: slug.to_owned(),
            event_provider: provider.about().event_provider.to_owned(),
            credentials: stored.collect(),
            settings: settings.clone(),
            tokens: vec![inbound],
            created_at: self.clock.now(),
            updated_at: self.clock.now(),
        };
        self.put(ConfigChange::PutIntegration(Box::new(integration))).await;
        let credentials = credentials
            .iter()
            .map(|(key, value)| ((*key).to_owned(), kassir_providers::Secret::new(*value)))
            .collect();
        Shop {
            url: format!("{}/webhooks/{slug}/{}", self.router.url(), token.expose()),
            account: Account { credentials, settings },
            slug: slug.to_owned(),
        }
    }

    async fn put(&self, change: ConfigChange) {
        self.router.store.change_config(self.merchant, change, None).await.unwrap();
        self.router.services.registry.forget(self.merchant);
    }

    /// Changes a shop through another router: this one hears nothing of it.
    pub async fn change_elsewhere(&self, shop: &Shop, change: impl FnOnce(&mut Integration)) {
        let config = self.router.store.config(self.merchant).await.unwrap().unwrap();
        let hash = token_hash(shop.url.rsplit('/').next().unwrap());
        let ours = |one: &Integration| one.tokens.iter().any(|token| token.hash == hash);
        let mut integration = config.integrations.into_iter().find(ours).unwrap();
        change(&mut integration);
        let change = ConfigChange::PutIntegration(Box::new(integration));
        self.router.store.change_config(self.merchant, change, None).await.unwrap();
    }

    /// Sends a notification over a socket, as the provider would.
    pub async fn notify(&self, shop: &Shop, request: &Request) -> Answered {
        let mut url = shop.url.clone();
        if let Some(kind) = &request.kind {
            url = format!("{url}/{kind}");
        }
        if !request.query.is_empty() {
            url = format!("{url}?{}", request.query);
        }
        self.send(request.method, &url, request.headers.clone(), request.body.clone()).await
    }

    /// Sends any request.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Answered {
        let request = OutboundRequest {
            method,
            url: url.to_owned(),
            headers,
            body,
            timeout: None,
            response_max: 1 << 20,
        };
        let outcome = self.wire.send(request).await;
        let status = outcome.status.unwrap_or_else(|| panic!("{url}: {:?}", outcome.failure));
        Answered { status, body: String::from_utf8(outcome.body).unwrap() }
    }

    /// Does all the work that is due.
    pub async fn work(&self) -> usize {
        self.router.worker.run_until_idle().await.unwrap()
    }

    /// The inbound log, newest first.
    pub async fn log(&self) -> Vec<Notification> {
        let page = Page { limit: 200, before: None };
        self.router
            .store
            .notifications(self.merchant, &NotificationFilter::default(), &page)
            .await
            .unwrap()
            .rows
    }

    /// The events, newest first.
    pub async fn events(&self) -> Vec<Event> {
        let page = Page { limit: 200, before: None };
        self.router.store.events(self.merchant, &EventFilter::default(), &page).await.unwrap().rows
    }

    /// The states of a payment's events, oldest first.
    pub async fn states(&self) -> Vec<&'static str> {
        self.events().await.iter().rev().map(|event| event.state.word()).collect()
    }
}
