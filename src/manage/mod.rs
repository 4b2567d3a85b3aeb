//! What people do: setting up merchants, integrations, endpoints and tokens, replays, and the audit log of it all.
//! Both faces, the API and the console, come through here, so that a rule exists once. Every change is validated
//! whole, written to the audit log, then made against the version it was decided with.

pub mod audit;
pub mod chain;
pub mod endpoints;
mod error;
pub mod integrations;
mod members;
pub mod merchants;
pub mod pasted;
pub mod replays;
pub mod settings;
pub mod time;
pub mod tokens;
pub mod transfer;
mod whereto;

use std::sync::Arc;

pub use error::{InputError, ManageError};
pub use members::{Members, kind, one_of};

use crate::clock::SharedClock;
use crate::config::Config;
use crate::delivery::EndpointSource;
use crate::delivery::outbound::{Outbound, UrlRefusal};
use crate::domain::ids::MerchantId;
use crate::limits;
use crate::registry::{MerchantView, Registry};
use crate::secrets::Vault;
use crate::store::{ConfigChange, Conflict, Store, StoreError};

/// Longest name of anything, characters.
pub const NAME_MAX: usize = 200;

/// Result of what people do.
pub type Result<T> = std::result::Result<T, ManageError>;

/// Who does something, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// A token's id, `admin` for the configured admin token, `console`, `cli`.
    pub id: String,
    /// Its name, if it has another.
    pub name: String,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.name.is_empty() { f.write_str(&self.id) } else { write!(f, "{} ({})", self.id, self.name) }
    }
}

/// Does what people ask for.
pub struct Manager {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: SharedClock,
    /// Seals secrets.
    pub vault: Arc<Vault>,
    /// What is set up, at hand.
    pub registry: Arc<Registry>,
    /// The configuration.
    pub config: Arc<Config>,
    /// The way out: address rules, and sending of test events.
    pub outbound: Outbound,
    /// Endpoints with opened secrets, for test events.
    pub endpoints: Arc<dyn EndpointSource>,
}

impl Manager {
    /// What is set up for a merchant, as it is now: unlike [`Registry::merchant`] this also sees at once what was
    /// changed through another router.
    ///
    /// # Errors
    /// [`ManageError::NotFound`] when there is no such merchant.
    pub async fn merchant(&self, id: MerchantId) -> Result<Arc<MerchantView>> {
        self.registry.current(id).await?.ok_or_else(|| ManageError::no("merchant", id))
    }

    /// Whether we would connect to this URL: scheme, port, notation of the host, and every address its name has now.
    /// A name that has no address just now passes: it is judged again whenever it is connected to.
    ///
    /// # Errors
    /// Says why not.
    async fn check_url(&self, url: &str) -> std::result::Result<(), String> {
        match self.outbound.check_resolved(url).await {
            Ok(_) | Err(UrlRefusal::Unresolved(_)) => Ok(()),
            Err(refusal) => Err(refusal.to_string()),
        }
    }

    /// Writes a change of what a merchant has; `false` when it was changed since `expected` and is worth deciding again.
    async fn change_config(
        &self,
        merchant: MerchantId,
        change: ConfigChange,
        expected: Option<u64>,
    ) -> Result<bool> {
        let done = self.store.change_config(merchant, change, expected).await;
        self.registry.forget(merchant);
        match done {
            Ok(_) => Ok(true),
            Err(error) if expected.is_some() && is_config_conflict(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Prefix of inbound URLs.
    #[must_use]
    pub fn public_url(&self) -> String {
        self.config.public_url()
    }
}

/// Whether a write met a change of the configuration and is worth deciding again.
fn is_config_conflict(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict(Conflict::Config))
}

/// The error after too many conflicts.
fn too_busy() -> ManageError {
    let tries = limits::CONFLICT_RETRIES_MAX;
    ManageError::NotNow(format!("It was changed by others {tries} times in a row. Try again."))
}
