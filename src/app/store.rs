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
    if let Some(path) = file(config) {
        let store = SqliteStore::open(path, Arc::clone(clock))?;
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
    Ok(Arc::new(redis::RedisStore::open(config.store.url.expose(), options).await?))
}

/// The store's file when it is not there: opening it would make a new store.
#[must_use]
pub fn missing(config: &Config) -> Option<&Path> {
    // Of a place that can't be looked at, opening says what is wrong.
    file(config).filter(|path| matches!(path.try_exists(), Ok(false)))
}

/// Opens the store's file for reading only: also while another process has it, or when it can't be written. Nothing
/// where the store is no file.
#[must_use]
pub fn look(config: &Config, clock: &SharedClock) -> Option<Result<Arc<dyn Store>>> {
    let store = SqliteStore::look(file(config)?, Arc::clone(clock));
    Some(store.map(|store| Arc::new(store) as Arc<dyn Store>))
}

/// The store's file; nothing where the store is a server.
#[must_use]
pub fn file(config: &Config) -> Option<&Path> {
    let path = config.store.url.expose().strip_prefix("sqlite:")?;
    Some(Path::new(path.strip_prefix("//").unwrap_or(path)))
}
