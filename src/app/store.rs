//! Opens the store that `store.url` names.

use std::path::Path;
use std::sync::Arc;

use crate::clock::SharedClock;
use crate::config::Config;
use crate::store::sqlite::SqliteStore;
use crate::store::{Result, Store, redis};

/// Opens the store.
///
/// # Errors
/// [`crate::store::StoreError`] in words: what is wrong with the place or its settings, and what to do.
pub async fn open(config: &Config, clock: &SharedClock) -> Result<Arc<dyn Store>> {
    let url = config.store.url.expose();
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        let store = SqliteStore::open(Path::new(path), Arc::clone(clock))?;
        store.end_all_leases().await?;
        return Ok(Arc::new(store));
    }
    let options = redis::Options {
        prefix: config.store.key_prefix.clone(),
        timeout: config.store.timeout.0,
        allow_unsafe: config.store.allow_unsafe,
        reinitialise: config.store.reinitialise,
        min_replicas: config.store.min_replicas,
        ..redis::Options::default()
    };
    Ok(Arc::new(redis::RedisStore::open(url, options).await?))
}
