//! Looking payments up: which a notification may be about, and what was found.

use std::collections::HashMap;

use crate::domain::ids::{IntegrationId, MerchantId};
use crate::domain::payment::Payment;

/// Which payments a notification may be about.
#[derive(Debug, Clone)]
pub struct LookUp {
    /// Whose.
    pub merchant: MerchantId,
    /// Within which integration.
    pub integration: IntegrationId,
    /// Providers' ids.
    pub provider_ids: Vec<String>,
    /// Our numbers.
    pub numbers: Vec<u32>,
}

/// What was found for a [`LookUp`].
#[derive(Debug, Clone)]
pub struct Found {
    /// Version of the merchant's configuration: a cached one with another version is stale. 0 when the merchant is
    /// gone.
    pub config_version: u64,
    /// Payments by provider's id.
    pub by_provider_id: HashMap<String, Payment>,
    /// Payments of this integration that the API made, by our number: only for those is it in a provider's words.
    pub by_number: HashMap<u32, Payment>,
}

impl Found {
    /// No payment, with this version of the configuration.
    #[must_use]
    pub fn nothing(config_version: u64) -> Found {
        Found { config_version, by_provider_id: HashMap::new(), by_number: HashMap::new() }
    }

    /// Whether no payment was found.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.by_provider_id.is_empty() && self.by_number.is_empty()
    }
}
