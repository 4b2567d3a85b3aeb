//! Whose a request is: by the token in its URL.

use std::sync::Arc;

use kassir_providers::{Account, Answer, Outcome, Provider, Request};

use super::Intake;
use crate::domain::config::Integration;
use crate::domain::ids::{IntegrationId, MerchantId};
use crate::registry::{MerchantView, Registry, RegistryError};

/// A request whose URL is known.
#[derive(Clone)]
pub(super) struct Arrival {
    pub(super) view: Arc<MerchantView>,
    pub(super) integration: IntegrationId,
    pub(super) provider: &'static dyn Provider,
    pub(super) request: Arc<Request>,
}

impl Arrival {
    pub(super) fn slug(&self) -> &'static str {
        self.provider.about().slug
    }

    pub(super) fn account(&self) -> Option<(&Integration, &Arc<Account>)> {
        // It arrived by an account that opened.
        self.view.integration(self.integration).ok().flatten()
    }

    pub(super) fn answer(&self, outcome: &Outcome<'_>) -> Answer {
        match self.account() {
            Some((_, account)) => self.provider.answer(&self.request, outcome, account),
            None => Answer::text(404, "no such integration"),
        }
    }
}

impl Intake {
    /// By what is at hand of the URL's token; by the store, when it is not there any more: it may have moved to another
    /// integration, or merchant, through another router.
    pub(super) async fn find(
        &self,
        slug: &str,
        hash: &str,
        request: &Arc<Request>,
    ) -> Result<Option<Arrival>, RegistryError> {
        let registry = &self.ledger.registry;
        let Some(owner) = registry.find_token(hash).await? else { return Ok(None) };
        if let Some(arrival) = self.find_at(owner, slug, hash, request).await? {
            return Ok(Some(arrival));
        }
        if self.is_token_of(owner, hash).await? {
            return Ok(None);
        }
        match registry.find_token_anew(hash, owner).await? {
            Some(owner) => self.find_at(owner, slug, hash, request).await,
            None => Ok(None),
        }
    }

    async fn find_at(
        &self,
        (merchant, integration): (MerchantId, IntegrationId),
        slug: &str,
        hash: &str,
        request: &Arc<Request>,
    ) -> Result<Option<Arrival>, RegistryError> {
        let registry = &self.ledger.registry;
        let Some(view) = registry.merchant_at_hand(merchant).await? else { return Ok(None) };
        if let Ok(Some(arrival)) = self.arrive(view, integration, slug, hash, request) {
            return Ok(Some(arrival));
        }
        // The copy at hand may be older than the token, or than the credentials.
        let Some(view) = registry.current(merchant).await? else { return Ok(None) };
        self.arrive(view, integration, slug, hash, request)
    }

    /// Whether an integration has this token, though it may have ended.
    async fn is_token_of(
        &self,
        (merchant, integration): (MerchantId, IntegrationId),
        hash: &str,
    ) -> Result<bool, RegistryError> {
        let view = self.ledger.registry.merchant_at_hand(merchant).await?;
        let integration = view.as_ref().and_then(|view| view.config.integration(integration));
        Ok(integration.is_some_and(|integration| integration.tokens.iter().any(|token| token.hash == hash)))
    }

    fn arrive(
        &self,
        view: Arc<MerchantView>,
        id: IntegrationId,
        slug: &str,
        hash: &str,
        request: &Arc<Request>,
    ) -> Result<Option<Arrival>, RegistryError> {
        let Some((integration, _)) = view.integration(id)? else { return Ok(None) };
        let Some(provider) = Registry::provider(integration) else { return Ok(None) };
        let now = self.ledger.clock.now();
        let lives = |expires_at: Option<i64>| expires_at.is_none_or(|end| now < end);
        let token_lives =
            integration.tokens.iter().any(|token| token.hash == hash && lives(token.expires_at));
        let right_slug = slug == provider.about().slug || slug == integration.event_provider;
        let arrived = token_lives && right_slug;
        Ok(arrived.then(|| Arrival {
            view: Arc::clone(&view),
            integration: id,
            provider,
            request: Arc::clone(request),
        }))
    }
}
