//! Integrations: credentials checked against the provider's declaration and sealed, settings, inbound tokens.

use kassir_providers::about::{self, Check};
use kassir_providers::{About, Account, Provider, Secret};
use serde_json::Value;

use super::settings;
use super::whereto::{self, Moved, Secrets};
use super::{Actor, InputError, ManageError, Manager, Members, NAME_MAX, Result, kind};
use crate::domain::Integration;
use crate::domain::config::{InboundToken, StoredCredential};
use crate::domain::ids::{IntegrationId, MerchantId};
use crate::limits;
use crate::nearest::did_you_mean;
use crate::registry::{MerchantView, Registry, credential_owner, token_owner};
use crate::secrets::{new_token, token_hash};
use crate::store::ConfigChange;

/// How long an old secret or token lives on after a rotation, seconds, unless the caller says otherwise.
pub const OVERLAP_DEFAULT_S: u32 = 86_400;
/// How long it lives on at the most, seconds.
pub const OVERLAP_MAX_S: u32 = 30 * 86_400;
/// Credentials of an integration.
const CREDENTIALS_MAX: usize = 50;
/// Longest secret of which nothing is shown, characters.
const HIDDEN_WHOLE_MAX: usize = 8;
/// Characters shown of a longer one.
const HINT_LEN: usize = 4;

impl Manager {
    /// Creates an integration from `{"provider", "name"?, "credentials", "settings"?}`.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn create_integration(
        &self,
        actor: &Actor,
        view: &MerchantView,
        mut body: Members,
    ) -> Result<Integration> {
        let merchant = view.config.merchant.id;
        if view.config.integrations.len() >= limits::INTEGRATIONS_MAX {
            let most = limits::INTEGRATIONS_MAX;
            return Err(ManageError::Limit(format!("A merchant has at most {most} integrations.")));
        }
        let slug = body.required_text("provider", NAME_MAX);
        let Some(provider) = provider_of(slug, &mut body) else {
            // What these must hold depends on the provider: nothing can be said of them yet.
            for name in ["name", "credentials", "settings"] {
                body.value(name);
            }
            body.finish()?;
            return Err(ManageError::invalid("/provider", "is required"));
        };
        let id = IntegrationId(self.clock.id());
        let now = self.clock.now();
        let mut integration = Integration {
            id,
            merchant,
            provider: provider.about().slug.to_owned(),
            name: provider.about().title.en.to_owned(),
            event_provider: provider.about().event_provider.to_owned(),
            credentials: std::collections::BTreeMap::new(),
            settings: kassir_providers::Settings::default(),
            tokens: vec![self.fresh_token(id)?],
            created_at: now,
            updated_at: now,
        };
        self.apply(provider, &mut integration, Account::default(), body, Secrets::Stay).await?;
        let detail = format!("{} {}", integration.provider, integration.name);
        self.note(actor, Some(merchant), "integration.create", id, detail).await?;
        self.put(&integration, None).await?;
        Ok(integration)
    }

    /// Changes an integration by `{"name"?, "credentials"?, "settings"?}`: credentials and settings are merged by
    /// key, `null` takes one away. Secrets do not follow to another host: who changes that gives them anew.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn update_integration(
        &self,
        actor: &Actor,
        merchant: MerchantId,
        id: IntegrationId,
        body: Members,
    ) -> Result<Integration> {
        for attempt in 0..limits::CONFLICT_RETRIES_MAX {
            let view = self.merchant(merchant).await?;
            let (mut integration, account) = found(&view, id)?;
            let provider = known(&integration)?;
            let given: Vec<String> = body.names().filter(|name| *name != "name").map(str::to_owned).collect();
            let moved = self.apply(provider, &mut integration, account, body.clone(), Secrets::Stay).await?;
            integration.updated_at = self.clock.now();
            if attempt == 0 {
                let detail = format!("{} {}{}", integration.name, given.join(", "), noted(&moved));
                self.note(actor, Some(merchant), "integration.update", id, detail).await?;
            }
            if self.put(&integration, Some(view.config.version)).await? {
                return Ok(integration);
            }
        }
        Err(super::too_busy())
    }

    /// Deletes an integration; its payments and its inbound log stay.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn delete_integration(
        &self,
        actor: &Actor,
        merchant: MerchantId,
        id: IntegrationId,
    ) -> Result<()> {
        let view = self.merchant(merchant).await?;
        let (integration, _) = found(&view, id)?;
        self.note(actor, Some(merchant), "integration.delete", id, integration.name).await?;
        self.store.change_config(merchant, ConfigChange::DeleteIntegration(id), None).await?;
        self.registry.forget(merchant);
        Ok(())
    }

    /// Gives an integration a new inbound URL by `{"overlap_s"?}`; the old one lives on for so long. With 0 every old
    /// URL ends at once.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn rotate_token(
        &self,
        actor: &Actor,
        merchant: MerchantId,
        id: IntegrationId,
        mut body: Members,
    ) -> Result<Integration> {
        let overlap_s = body.count("overlap_s", 0..=OVERLAP_MAX_S).unwrap_or(OVERLAP_DEFAULT_S);
        body.finish()?;
        for attempt in 0..limits::CONFLICT_RETRIES_MAX {
            let view = self.merchant(merchant).await?;
            let (mut integration, _) = found(&view, id)?;
            let now = self.clock.now();
            let ends = now.saturating_add(i64::from(overlap_s).saturating_mul(1000));
            for token in &mut integration.tokens {
                token.expires_at = Some(token.expires_at.map_or(ends, |end| end.min(ends)));
            }
            integration.tokens.retain(|token| token.expires_at.is_some_and(|end| end > now));
            if integration.tokens.len() >= limits::INBOUND_TOKENS_MAX {
                let live = integration.tokens.len();
                return Err(ManageError::NotNow(format!(
                    "{live} old URLs are still alive. Wait until one has ended, or end them all by overlap_s 0."
                )));
            }
            integration.tokens.insert(0, self.fresh_token(id)?);
            integration.updated_at = now;
            if attempt == 0 {
                let detail = format!("the old URL lives on for {overlap_s} s");
                self.note(actor, Some(merchant), "integration.rotate_token", id, detail).await?;
            }
            if self.put(&integration, Some(view.config.version)).await? {
                return Ok(integration);
            }
        }
        Err(super::too_busy())
    }

    /// The present inbound URL of an integration, without a kind.
    ///
    /// # Errors
    /// [`ManageError::Secret`] when the token does not open.
    pub fn webhook_url(&self, integration: &Integration) -> Result<String> {
        let Some(token) = integration.tokens.first() else { return Ok(String::new()) };
        let token = self.vault.open(&token_owner(integration.id), &token.sealed)?;
        Ok(format!("{}/webhooks/{}/{}", self.public_url(), integration.provider, token.expose()))
    }

    pub(super) fn fresh_token(&self, id: IntegrationId) -> Result<InboundToken> {
        let token = new_token("")?;
        let sealed = self.vault.seal(&token_owner(id), token.expose())?;
        Ok(InboundToken { hash: token_hash(token.expose()), sealed, expires_at: None })
    }

    async fn put(&self, integration: &Integration, expected: Option<u64>) -> Result<bool> {
        let change = ConfigChange::PutIntegration(Box::new(integration.clone()));
        self.change_config(integration.merchant, change, expected).await
    }

    /// Puts the members into the integration, checks the whole account, and seals what is new. Gives what sends
    /// requests elsewhere now.
    pub(super) async fn apply(
        &self,
        provider: &dyn Provider,
        integration: &mut Integration,
        mut account: Account,
        mut body: Members,
        secrets: Secrets,
    ) -> Result<Vec<Moved>> {
        let (about, before) = (provider.about(), account.clone());
        if let Some(name) = body.text("name", NAME_MAX) {
            integration.name = name;
        }
        let changed = merge(provider, &mut account, &mut body);
        self.check_urls(about, &account, &mut body).await;
        let moved = whereto::moved(about, &before.settings, &account.settings);
        if secrets == Secrets::Stay {
            stay(about, &before, &changed, &moved, &mut body);
        }
        body.finish()?;
        self.seal(about, integration, &account, &changed)?;
        integration.event_provider = kassir_providers::event_provider(about, &account);
        integration.settings = account.settings;
        Ok(moved)
    }

    /// Every URL that the account brings is one we would connect to.
    async fn check_urls(&self, about: &About, account: &Account, body: &mut Members) {
        let own = about
            .settings
            .iter()
            .filter(|setting| matches!(setting.check, Check::Url))
            .filter_map(|setting| Some((setting.key, account.setting(setting.key)?)));
        for (key, url) in
            account.settings.api_base.as_deref().map(|url| ("api_base", url)).into_iter().chain(own)
        {
            if let Err(detail) = self.check_url(url).await {
                body.error(InputError::at(format!("/settings/{key}"), detail));
            }
        }
    }

    fn seal(
        &self,
        about: &About,
        integration: &mut Integration,
        account: &Account,
        changed: &[String],
    ) -> Result<()> {
        for key in changed {
            match account.secret(key) {
                None => {
                    integration.credentials.remove(key);
                }
                Some(secret) => {
                    let hint = if is_public(about, key) { secret.expose().to_owned() } else { hint(secret) };
                    let sealed = self.vault.seal(&credential_owner(integration.id, key), secret.expose())?;
                    integration.credentials.insert(key.clone(), StoredCredential { sealed, hint });
                }
            }
        }
        Ok(())
    }
}

/// Whether a credential is none of the secret ones.
fn is_public(about: &About, key: &str) -> bool {
    about.credentials.iter().any(|field| field.key == key && !field.secret)
}

/// Refuses to send kept secrets to hosts that they were not given for.
fn stay(about: &About, before: &Account, changed: &[String], moved: &[Moved], body: &mut Members) {
    let kept: Vec<String> = before
        .credentials
        .keys()
        .filter(|key| !is_public(about, key) && !changed.contains(key))
        .cloned()
        .collect();
    for Moved { key, to } in moved.iter().filter(|moved| !moved.to.is_empty() && !kept.is_empty()) {
        let pointer = format!("/settings/{key}");
        body.error(InputError::at(pointer, whereto::refusal(&to.join(", "), &kept)));
    }
}

/// Where requests go now, for the audit log.
fn noted(moved: &[Moved]) -> String {
    let words = moved.iter().map(|Moved { key, to }| match to.as_slice() {
        [] => format!("; {key}: a host known before"),
        to => format!("; {key}: {}", to.join(", ")),
    });
    words.collect()
}

/// What may be shown of a secret.
pub(super) fn hint(secret: &Secret) -> String {
    let length = secret.expose().chars().count();
    let shown = if length > HIDDEN_WHOLE_MAX { HINT_LEN } else { 0 };
    let tail: String = secret.expose().chars().skip(length.saturating_sub(shown)).collect();
    format!("…{tail}")
}

/// Merges the given credentials and settings into the account, checks it whole, and tells which credentials changed.
fn merge(provider: &dyn Provider, account: &mut Account, body: &mut Members) -> Vec<String> {
    let about = provider.about();
    let changed = credentials(account, body);
    if let Some(given) = body.value("settings") {
        let wrong = match settings::given(given) {
            Ok(given) => settings::apply(&mut account.settings, about, given),
            Err(error) => vec![error],
        };
        wrong.into_iter().for_each(|error| body.error(error));
    }
    let mut problems = about::problems(about, account);
    if problems.is_empty() {
        problems = provider.validate(account);
    }
    problems.into_iter().for_each(|problem| body.error(problem.into()));
    changed
}

/// An account that is not saved: `{"credentials", "settings"}` on top of another one, checked as when an integration
/// is made. What is wrong with it is noted in the body.
pub fn draft(provider: &dyn Provider, base: Account, body: &mut Members) -> Account {
    let mut account = base;
    merge(provider, &mut account, body);
    account
}

/// Merges the given credentials into the account and tells which ones changed.
fn credentials(account: &mut Account, body: &mut Members) -> Vec<String> {
    let Some(given) = body.map("credentials") else { return Vec::new() };
    if given.len() > CREDENTIALS_MAX {
        body.wrong("credentials", format!("has more than {CREDENTIALS_MAX} members"));
        return Vec::new();
    }
    let mut changed = Vec::new();
    for (key, value) in given {
        match value {
            Value::String(text) => {
                account.credentials.insert(key.clone(), Secret::new(text));
            }
            Value::Null => {
                account.credentials.remove(&key);
            }
            other => {
                let pointer = format!("{}/{key}", body.pointer("credentials"));
                body.error(InputError::at(pointer, format!("must be a text, not {}", kind(&other))));
            }
        }
        changed.push(key);
    }
    changed
}

pub(super) fn provider_of(slug: Option<String>, body: &mut Members) -> Option<&'static dyn Provider> {
    let slug = slug?;
    let found = kassir_providers::by_slug(&slug);
    if found.is_none() {
        let known: Vec<_> = kassir_providers::ALL.iter().map(|provider| provider.about().slug).collect();
        body.wrong("provider", format!("is no provider; {}", did_you_mean(&slug, &known)));
    }
    found
}

fn found(view: &MerchantView, id: IntegrationId) -> Result<(Integration, Account)> {
    view.integration(id)?
        .map(|(integration, account)| (integration.clone(), Account::clone(account)))
        .ok_or_else(|| ManageError::no("integration", id))
}

fn known(integration: &Integration) -> Result<&'static dyn Provider> {
    Registry::provider(integration).ok_or_else(|| {
        let slug = &integration.provider;
        ManageError::NotNow(format!("This version of Kassir has no adapter for {slug}."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_show_little() {
        assert_eq!(hint(&Secret::new("12345678")), "…");
        assert_eq!(hint(&Secret::new("123456789")), "…6789");
        assert_eq!(hint(&Secret::new("пароль-длинный")), "…нный");
    }
}
