//! Where a measurement takes place: a folder, a store of its own, and the routers that are started on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use kassir_providers::Secret;
use serde_json::{Value, json};

use super::child::Child;
use super::load;
use super::server::RedisServer;
use crate::client::Client;
use crate::clock::SystemClock;
use crate::domain::ids::{EndpointId, IntegrationId, MerchantId};
use crate::secrets::new_token;
use crate::store::Store;

/// Attempts under way at once to the bench's endpoint.
const MAX_IN_FLIGHT: u32 = 128;

/// A place with an empty store.
pub(super) struct Site {
    folder: PathBuf,
    store: String,
    prefix: String,
    ca_file: Option<PathBuf>,
    token: Secret,
    /// The server, when the store is a single Redis.
    pub redis: Option<RedisServer>,
}

/// A merchant with a Robokassa shop.
#[derive(Debug, Clone)]
pub(super) struct Shop {
    pub merchant: MerchantId,
    pub integration: IntegrationId,
    pub endpoint: Option<EndpointId>,
    /// Its inbound URL, without the router's address: that changes with each start.
    pub path: String,
}

impl Site {
    /// `prefix`: of its keys in Redis, and the name of its folder.
    pub(super) fn new(
        base: &Path,
        prefix: String,
        store: Option<&str>,
        ca_file: Option<PathBuf>,
    ) -> anyhow::Result<Site> {
        let folder = base.join(&prefix);
        std::fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        let embedded = format!("sqlite:{}", folder.join("kassir.db").display());
        Ok(Site {
            store: store.unwrap_or(&embedded).to_owned(),
            redis: store.and_then(RedisServer::at),
            prefix,
            token: new_token("kas_")?,
            folder,
            ca_file,
        })
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = [
            ("KASSIR__LISTEN", "127.0.0.1:0".to_owned()),
            ("KASSIR__STORE__URL", self.store.clone()),
            ("KASSIR__STORE__KEY_PREFIX", self.prefix.clone()),
            ("KASSIR__SECRETS__MASTER_KEY_FILE", self.folder.join("master.key").display().to_string()),
            ("KASSIR__ADMIN_TOKEN", self.token.expose().to_owned()),
            ("KASSIR__OUTBOUND__ALLOW_NETWORKS", "127.0.0.0/8".to_owned()),
            ("KASSIR__OUTBOUND__ALLOW_HTTP", "true".to_owned()),
            ("KASSIR__LOG__LEVEL", "error".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        if let Some(file) = &self.ca_file {
            all.insert("KASSIR__OUTBOUND__CA_FILE".to_owned(), file.display().to_string());
        }
        all
    }

    /// Starts a router.
    pub(super) async fn start(&self) -> anyhow::Result<Child> {
        Child::start(&self.folder, &self.environment(), &self.token).await
    }

    /// Opens the store, while no router has it.
    pub(super) async fn open(&self) -> anyhow::Result<Arc<dyn Store>> {
        crate::tls::install();
        let config = crate::config::from_parts(None, "bench", &self.environment())?;
        Ok(crate::app::open_store(&config, &(Arc::new(SystemClock) as crate::clock::SharedClock)).await?)
    }

    /// Throws away what is in the store.
    pub(super) async fn clear(&self) -> anyhow::Result<()> {
        if let Some(redis) = &self.redis {
            redis.clear(&self.prefix).await?;
        }
        std::fs::remove_dir_all(&self.folder)
            .with_context(|| format!("can't remove {}", self.folder.display()))
    }
}

/// Makes a merchant with a Robokassa shop, and an endpoint if there is one.
pub(super) async fn shop(client: &Client, endpoint: Option<&str>) -> anyhow::Result<Shop> {
    let merchant = client.post("/merchants", &json!({ "name": "bench" })).await?;
    let merchant = text(&merchant, "id");
    let endpoint = match endpoint {
        Some(url) => Some(subscribe(client, &merchant, json!({ "url": url })).await?),
        None => None,
    };
    let credentials: serde_json::Map<String, Value> =
        load::CREDENTIALS.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let body = json!({ "provider": "robokassa", "credentials": credentials });
    let made = client.post(&format!("/merchants/{merchant}/integrations"), &body).await?;
    let url = text(&made, "webhook_url");
    let path = url.find("/webhooks/").and_then(|at| url.get(at..)).context("a strange inbound URL")?;
    Ok(Shop {
        merchant: merchant.parse()?,
        integration: text(&made, "id").parse()?,
        endpoint,
        path: path.to_owned(),
    })
}

/// Makes an endpoint.
pub(super) async fn subscribe(client: &Client, merchant: &str, body: Value) -> anyhow::Result<EndpointId> {
    let mut body = body;
    if let Some(body) = body.as_object_mut() {
        body.insert("max_in_flight".to_owned(), json!(MAX_IN_FLIGHT));
    }
    let made = client.post(&format!("/merchants/{merchant}/endpoints"), &body).await?;
    Ok(text(&made, "id").parse()?)
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or("").to_owned()
}
