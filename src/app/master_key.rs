//! The master key: read from its file or made at the first start, and whether it is the one that the store's secrets
//! were sealed under. With another one every merchant would fail to load, while all else looks healthy.

use std::path::Path;

use crate::config::Config;
use crate::delivery::SIGNING_SECRET;
use crate::domain::Sealed;
use crate::domain::config::MerchantConfig;
use crate::registry::{alert_owner, credential_owner, endpoint_owner, token_owner};
use crate::secrets::{SecretError, Vault};
use crate::store::{Page, Store, StoreError, list::PAGE_MAX};

/// Merchants whose secrets are tried, the newest ones: one page of the list.
const MERCHANTS_TRIED: u32 = PAGE_MAX;

/// Whether the master key opens what the store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFit {
    /// Nothing is sealed yet: any key is right.
    Unused,
    /// The first secret opens.
    Fits,
    /// One opens, and some that were tried before do not: they are damaged, or were sealed under another key.
    Partly,
    /// There are secrets, and none of them opens.
    Wrong,
}

/// Why there is no master key to go on with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The store's secrets were sealed under another one; says what to do.
    #[error("{0}")]
    Wrong(String),
    /// The file.
    #[error(transparent)]
    File(#[from] SecretError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The master key of the configuration, and whether it was made just now: it is when its file is not there and the
/// store holds no secret.
///
/// # Errors
/// [`KeyError`].
pub async fn master_key(config: &Config, store: &dyn Store) -> Result<(Vault, bool), KeyError> {
    let path = &config.secrets.master_key_file;
    let there = Vault::read(path)?;
    match key_fit(store, there.as_ref()).await? {
        KeyFit::Wrong => {
            let (found, advice) = wrong_key(path, there.is_some());
            return Err(KeyError::Wrong(format!("{found}: {advice}")));
        }
        KeyFit::Partly => tracing::warn!("some stored secrets do not open with the master key"),
        KeyFit::Unused | KeyFit::Fits => {}
    }
    Ok(match there {
        Some(vault) => (vault, false),
        None => Vault::open_or_create(path)?,
    })
}

/// What is wrong with a key file that does not fit, and what to do.
#[must_use]
pub fn wrong_key(path: &Path, is_there: bool) -> (String, String) {
    let path = path.display();
    let found = if is_there {
        format!("the store's secrets were sealed under another master key than {path}")
    } else {
        format!("the store holds secrets sealed under a master key, and {path} is not there")
    };
    let advice = format!(
        "put this store's key file at {path} (its copy, or the one of another router on this store), or name it by \
         secrets.master_key_file (KASSIR__SECRETS__MASTER_KEY_FILE); if it is lost for good, nothing opens them: begin \
         with a new store (store.url)"
    );
    (found, advice)
}

/// Tries secrets of the store until one opens. Without a key none does.
///
/// # Errors
/// [`StoreError`].
pub async fn key_fit(store: &dyn Store, vault: Option<&Vault>) -> Result<KeyFit, StoreError> {
    let page = Page { limit: MERCHANTS_TRIED, before: None };
    let mut fit = KeyFit::Unused;
    for merchant in store.merchants(&page).await?.rows {
        let config = match store.config(merchant.id).await {
            Ok(Some(config)) => config,
            // It was deleted meanwhile, or is damaged: that says nothing about the key.
            Ok(None) | Err(StoreError::Corrupt(_)) => continue,
            Err(error) => return Err(error),
        };
        for (owner, sealed) in sealed(&config) {
            match vault {
                Some(vault) if vault.open(&owner, sealed).is_ok() => {
                    return Ok(if fit == KeyFit::Unused { KeyFit::Fits } else { KeyFit::Partly });
                }
                _ => fit = KeyFit::Wrong,
            }
        }
    }
    Ok(fit)
}

/// Secrets of a merchant, each with what it was sealed for.
fn sealed(config: &MerchantConfig) -> Vec<(String, &Sealed)> {
    let mut all = Vec::new();
    for integration in &config.integrations {
        let id = integration.id;
        all.extend(
            integration.credentials.iter().map(|(key, kept)| (credential_owner(id, key), &kept.sealed)),
        );
        all.extend(integration.tokens.iter().map(|token| (token_owner(id), &token.sealed)));
    }
    for endpoint in &config.endpoints {
        let owner = || endpoint_owner(endpoint.id, SIGNING_SECRET);
        all.extend(endpoint.secrets.iter().map(|secret| (owner(), &secret.sealed)));
    }
    let merchant = &config.merchant;
    all.extend(merchant.alert.iter().map(|alert| (alert_owner(merchant.id), &alert.secret)));
    all
}
