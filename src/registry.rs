//! What is set up, at hand: a cache of the merchants' configuration with opened credentials.
//!
//! It never trusts itself for long. On the money's path each look-up in the store tells the current version of the
//! configuration, so a stale copy is found without a further round trip; elsewhere a copy is checked when it is older
//! than [`FRESH_MS`]. A change made through this process shows at once, one made through another router within that
//! time. What is decided for good by something that is not there, or is off, asks for it as it is now
//! ([`Registry::current`]).

mod loads;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use kassir_providers::{Account, Provider};

use crate::clock::SharedClock;
use crate::domain::config::{Integration, MerchantConfig};
use crate::domain::ids::{IntegrationId, MerchantId};
use crate::secrets::{SecretError, Vault};
use crate::store::{LookUp, Store, StoreError};
use loads::{Loaded, Loads};

/// How long a copy is used without asking the store whether it is current, milliseconds.
pub const FRESH_MS: i64 = 2_000;
/// Unknown tokens that are remembered as unknown, so that a flood of them does not reach the store.
pub const UNKNOWN_TOKENS_MAX: usize = 4_096;
/// How long an unknown token is remembered, milliseconds.
pub const UNKNOWN_TOKEN_MS: i64 = 1_000;

/// Why an integration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A credential does not open.
    #[error("credential {key} of {integration}: {source}")]
    Credential {
        /// Which credential.
        key: String,
        /// Of which integration.
        integration: IntegrationId,
        /// Why.
        source: SecretError,
    },
}

/// A credential that does not open.
#[derive(Clone)]
struct Unopened {
    key: String,
    integration: IntegrationId,
    source: SecretError,
}

impl From<Unopened> for RegistryError {
    fn from(Unopened { key, integration, source }: Unopened) -> RegistryError {
        RegistryError::Credential { key, integration, source }
    }
}

/// A merchant's configuration at one version, credentials opened.
pub struct MerchantView {
    /// The configuration.
    pub config: MerchantConfig,
    /// Of each integration; where a credential does not open, why.
    accounts: HashMap<IntegrationId, Result<Arc<Account>, Unopened>>,
    checked_at: AtomicI64,
    /// When its read had ended, among all reads and changes of this process.
    turn: u64,
}

impl MerchantView {
    /// An integration with its opened account.
    ///
    /// # Errors
    /// [`RegistryError::Credential`] when one of its credentials does not open. Those of others do not matter.
    pub fn integration(
        &self,
        id: IntegrationId,
    ) -> Result<Option<(&Integration, &Arc<Account>)>, RegistryError> {
        match self.config.integration(id).zip(self.accounts.get(&id)) {
            None => Ok(None),
            Some((integration, Ok(account))) => Ok(Some((integration, account))),
            Some((_, Err(unopened))) => Err(unopened.clone().into()),
        }
    }
}

/// The cache.
pub struct Registry {
    store: Arc<dyn Store>,
    vault: Arc<Vault>,
    clock: SharedClock,
    views: RwLock<HashMap<MerchantId, Arc<MerchantView>>>,
    tokens: RwLock<HashMap<String, (MerchantId, IntegrationId)>>,
    unknown: RwLock<HashMap<String, i64>>,
    loads: Loads,
    turns: AtomicU64,
    /// The turn of the last change: what was read before may be from before it, and is not kept.
    changed: AtomicU64,
}

impl Registry {
    /// A cache over a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, vault: Arc<Vault>, clock: SharedClock) -> Registry {
        Registry {
            store,
            vault,
            clock,
            views: RwLock::default(),
            tokens: RwLock::default(),
            unknown: RwLock::default(),
            loads: Loads::default(),
            turns: AtomicU64::new(1),
            changed: AtomicU64::new(0),
        }
    }

    /// The adapter of an integration.
    #[must_use]
    pub fn provider(integration: &Integration) -> Option<&'static dyn Provider> {
        kassir_providers::by_slug(&integration.provider)
    }

    /// A merchant's configuration, at most [`FRESH_MS`] old.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn merchant(&self, id: MerchantId) -> Result<Option<Arc<MerchantView>>, StoreError> {
        let Some(view) = self.cached(id) else { return self.reload(id).await };
        let checked_at = view.checked_at.load(Ordering::Relaxed);
        if (0..FRESH_MS).contains(&self.clock.now().saturating_sub(checked_at)) {
            return Ok(Some(view));
        }
        self.check(view).await
    }

    /// A merchant's configuration as it is now: unlike [`Registry::merchant`] this also sees at once what was changed
    /// through another router. One round trip where nothing was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn current(&self, id: MerchantId) -> Result<Option<Arc<MerchantView>>, StoreError> {
        match self.cached(id) {
            Some(view) => self.check(view).await,
            None => self.reload(id).await,
        }
    }

    /// Asks the store whether a copy is current, and loads the merchant anew if it is not.
    async fn check(&self, view: Arc<MerchantView>) -> Result<Option<Arc<MerchantView>>, StoreError> {
        let (id, now) = (view.config.merchant.id, self.clock.now());
        let ask = LookUp {
            merchant: id,
            integration: IntegrationId(uuid::Uuid::nil()),
            provider_ids: Vec::new(),
            numbers: Vec::new(),
        };
        if self.store.look_up(&ask).await?.config_version == view.config.version {
            view.checked_at.store(now, Ordering::Relaxed);
            return Ok(Some(view));
        }
        self.reload(id).await
    }

    /// The copy at hand, however old; for callers that learn the current version from the store anyway.
    ///
    /// # Errors
    /// [`StoreError`] when there is none and it can't be loaded.
    pub async fn merchant_at_hand(&self, id: MerchantId) -> Result<Option<Arc<MerchantView>>, StoreError> {
        match self.cached(id) {
            Some(view) => Ok(Some(view)),
            None => self.current(id).await,
        }
    }

    /// Loads a merchant's configuration anew. Of several reads at once the newest is kept, whichever ends last; callers
    /// who ask at once share them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reload(&self, id: MerchantId) -> Result<Option<Arc<MerchantView>>, StoreError> {
        self.loads.share(id, self.load(id)).await
    }

    async fn load(&self, id: MerchantId) -> Loaded {
        let (checked_at, begun) = (self.clock.now(), self.turn());
        let Some(config) = self.store.config(id).await? else {
            self.forget(id);
            return Ok(None);
        };
        let opened = |integration: &Integration| (integration.id, self.open(integration).map(Arc::new));
        let accounts = config.integrations.iter().map(opened).collect();
        let (checked_at, turn) = (checked_at.into(), self.turn());
        let view = Arc::new(MerchantView { config, accounts, checked_at, turn });
        Ok(Some(self.keep(view, begun)))
    }

    /// Keeps what was read from that turn on, unless something newer is at hand by now; gives the newer of both.
    fn keep(&self, view: Arc<MerchantView>, begun: u64) -> Arc<MerchantView> {
        let id = view.config.merchant.id;
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        // A lower version alone does not tell: of a merchant that was made anew, and of a store that lost its last
        // writes, versions go back, and what was read after the other is right.
        let newer =
            views.get(&id).filter(|there| there.turn > begun && there.config.version >= view.config.version);
        if let Some(newer) = newer {
            return Arc::clone(newer);
        }
        if begun > self.changed.load(Ordering::Relaxed) {
            views.insert(id, Arc::clone(&view));
        }
        view
    }

    fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    fn open(&self, integration: &Integration) -> Result<Account, Unopened> {
        let mut account = Account { settings: integration.settings.clone(), ..Account::default() };
        for (key, stored) in &integration.credentials {
            let owner = credential_owner(integration.id, key);
            let secret = self.vault.open(&owner, &stored.sealed).map_err(|source| Unopened {
                key: key.clone(),
                integration: integration.id,
                source,
            })?;
            account.credentials.insert(key.clone(), secret);
        }
        Ok(account)
    }

    /// Whose inbound URL this is, by the hash of its token. The token may have ended since: look at the integration.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_token(&self, hash: &str) -> Result<Option<(MerchantId, IntegrationId)>, StoreError> {
        if let Some(found) = self.tokens.read().unwrap_or_else(PoisonError::into_inner).get(hash) {
            return Ok(Some(*found));
        }
        let now = self.clock.now();
        let unknown_since = self.unknown.read().unwrap_or_else(PoisonError::into_inner).get(hash).copied();
        if unknown_since.is_some_and(|since| (0..UNKNOWN_TOKEN_MS).contains(&now.saturating_sub(since))) {
            return Ok(None);
        }
        let found = self.store.find_token(hash).await?;
        match found {
            Some(found) => {
                self.tokens.write().unwrap_or_else(PoisonError::into_inner).insert(hash.to_owned(), found);
            }
            None => {
                let mut unknown = self.unknown.write().unwrap_or_else(PoisonError::into_inner);
                if unknown.len() >= UNKNOWN_TOKENS_MAX {
                    unknown.clear();
                }
                unknown.insert(hash.to_owned(), now);
            }
        }
        Ok(found)
    }

    /// Asks the store anew whose inbound URL this is, because it is not that of `was` any more as far as is known here.
    /// `None` when nobody else has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find_token_anew(
        &self,
        hash: &str,
        was: (MerchantId, IntegrationId),
    ) -> Result<Option<(MerchantId, IntegrationId)>, StoreError> {
        self.tokens.write().unwrap_or_else(PoisonError::into_inner).remove(hash);
        Ok(self.find_token(hash).await?.filter(|owner| *owner != was))
    }

    /// Drops what is at hand of a merchant, after a change or when a look-up showed a newer version.
    pub fn forget(&self, id: MerchantId) {
        {
            let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
            views.remove(&id);
            self.changed.fetch_max(self.turn(), Ordering::Relaxed);
        }
        self.tokens
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, (merchant, _)| *merchant != id);
        self.unknown.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn cached(&self, id: MerchantId) -> Option<Arc<MerchantView>> {
        self.views.read().unwrap_or_else(PoisonError::into_inner).get(&id).map(Arc::clone)
    }
}

/// What a credential is sealed for.
#[must_use]
pub fn credential_owner(integration: IntegrationId, key: &str) -> String {
    format!("{integration}/{key}")
}

/// What an inbound token is sealed for.
#[must_use]
pub fn token_owner(integration: IntegrationId) -> String {
    format!("{integration}/token")
}

/// What the secret of a merchant's notices is sealed for.
#[must_use]
pub fn alert_owner(merchant: MerchantId) -> String {
    format!("{merchant}/alert")
}

/// What an endpoint's signing secret or custom header is sealed for.
#[must_use]
pub fn endpoint_owner(endpoint: crate::domain::ids::EndpointId, what: &str) -> String {
    format!("{endpoint}/{what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::config::Merchant;
    use crate::store::sqlite::SqliteStore;

    #[tokio::test]
    async fn an_older_read_never_replaces_a_newer_one() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(0));
        let store = SqliteStore::open(&folder.path().join("kassir.db"), Arc::clone(&clock) as _).unwrap();
        let registry = Registry::new(Arc::new(store), Arc::new(Vault::throw_away().unwrap()), clock);
        let id = MerchantId(uuid::Uuid::nil());
        let read = |version| {
            let merchant = Merchant { id, name: String::new(), first_payment: 1, alert: None, created_at: 0 };
            let config =
                MerchantConfig { version, merchant, integrations: Vec::new(), endpoints: Vec::new() };
            let (accounts, turn) = (HashMap::new(), registry.turn());
            Arc::new(MerchantView { config, accounts, checked_at: 0.into(), turn })
        };
        let at_hand = || registry.cached(id).map(|view| view.config.version);
        // Two at once: the one that read less ends last, whichever began first.
        let (first, second) = (registry.turn(), registry.turn());
        assert_eq!(registry.keep(read(6), first).config.version, 6);
        assert_eq!(registry.keep(read(5), second).config.version, 6);
        assert_eq!(registry.keep(read(7), second).config.version, 7);
        assert_eq!(at_hand(), Some(7));
        // The store lost its last writes: what is read from then on is right.
        let after = registry.turn();
        assert_eq!(registry.keep(read(3), after).config.version, 3);
        assert_eq!(at_hand(), Some(3));
        // One that began before a change is not kept.
        let before = registry.turn();
        registry.forget(id);
        assert_eq!(registry.keep(read(4), before).config.version, 4);
        assert_eq!(at_hand(), None);
    }
}
