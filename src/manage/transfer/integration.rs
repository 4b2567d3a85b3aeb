//! An integration of a document: what would be written.

use kassir_providers::{Account, Secret};
use serde_json::{Map, Value};

use super::import::{Made, Planned, required_id};
use super::slot::{changes, timed};
use crate::domain::Integration;
use crate::domain::config::InboundToken;
use crate::domain::ids::IntegrationId;
use crate::limits;
use crate::manage::integrations::provider_of;
use crate::manage::whereto::Secrets;
use crate::manage::{InputError, ManageError, Manager, Members, NAME_MAX, Result};
use crate::registry::{MerchantView, token_owner};
use crate::secrets::token_hash;

/// Fewest characters of an inbound token: 128 bits in base64.
const TOKEN_MIN: usize = 22;
/// Most characters of one.
const TOKEN_MAX: usize = 128;

impl Manager {
    /// Checks an integration of a document; pointers are relative to it.
    pub(super) async fn plan_integration(
        &self,
        merchant: crate::domain::ids::MerchantId,
        view: Option<&MerchantView>,
        mut map: Map<String, Value>,
    ) -> Result<Planned<Integration>> {
        let present = map
            .get("id")
            .and_then(|id| id.as_str()?.parse::<IntegrationId>().ok())
            .and_then(|id| Some(view?.integration(id)))
            .transpose()?
            .flatten();
        let there: Vec<(String, Secret)> = present
            .iter()
            .flat_map(|(_, account)| &account.credentials)
            .map(|(key, secret)| (key.clone(), secret.clone()))
            .collect();
        let errors = changes(&mut map, "credentials", &there);
        let mut body = Members::of(map, String::new());
        errors.into_iter().for_each(|error| body.error(error));

        let now = self.clock.now();
        let id = required_id::<IntegrationId>(&mut body);
        let slug = body.required_text("provider", NAME_MAX);
        let created_at = body.time("created_at");
        let given = timed(&mut body, ("tokens", "token"), limits::INBOUND_TOKENS_MAX, now);
        let provider = provider_of(slug, &mut body);
        let present = present.map(|(integration, account)| (integration, Account::clone(account)));
        if let (Some(provider), Some((present, _))) = (provider, &present)
            && provider.about().slug != present.provider
        {
            body.wrong(
                "provider",
                format!("is {} here, and an integration keeps its provider", present.provider),
            );
        }
        let (Some(id), Some(provider)) = (id, provider) else {
            // What these must hold depends on the provider: nothing can be said of them yet.
            for name in ["name", "credentials", "settings"] {
                body.value(name);
            }
            body.finish()?;
            return Err(ManageError::invalid("/id", "is required"));
        };
        let about = provider.about();
        let kept = present.as_ref().map(|(present, _)| *present);
        let (tokens, is_new) = self.tokens(merchant, id, kept, given, &mut body).await?;
        let mut integration = Integration {
            id,
            merchant,
            provider: about.slug.to_owned(),
            name: about.title.en.to_owned(),
            event_provider: about.event_provider.to_owned(),
            credentials: kept.map(|kept| kept.credentials.clone()).unwrap_or_default(),
            settings: kassir_providers::Settings::default(),
            tokens,
            created_at: created_at.or(kept.map(|kept| kept.created_at)).unwrap_or(now),
            updated_at: now,
        };
        let account = Account {
            credentials: present.as_ref().map(|(_, account)| account.credentials.clone()).unwrap_or_default(),
            ..Account::default()
        };
        self.apply(provider, &mut integration, account, body, Secrets::Follow).await?;
        let before = kept.map(|kept| super::export::integration(kept, true, now));
        let after = super::export::integration(&integration, true, now);
        let made = if is_new { Some(Made::WebhookUrl(self.webhook_url(&integration)?)) } else { None };
        Ok(Planned::of("integration", id, integration.name.clone(), (before, after), made, integration))
    }

    /// The inbound tokens, and whether the current one was made just now.
    async fn tokens(
        &self,
        merchant: crate::domain::ids::MerchantId,
        id: IntegrationId,
        present: Option<&Integration>,
        given: Option<Vec<super::slot::Timed>>,
        body: &mut Members,
    ) -> Result<(Vec<InboundToken>, bool)> {
        let there = present.map_or(&[][..], |present| &present.tokens);
        let Some(given) = given else {
            return if there.is_empty() {
                Ok((vec![self.fresh_token(id)?], true))
            } else {
                Ok((there.to_vec(), false))
            };
        };
        let mut tokens: Vec<InboundToken> = Vec::with_capacity(given.len());
        for one in given {
            let text = one.text.expose();
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if !(TOKEN_MIN..=TOKEN_MAX).contains(&text.len()) || !text.chars().all(is_plain) {
                let detail = format!("must be {TOKEN_MIN} to {TOKEN_MAX} letters and digits");
                body.error(InputError::at(one.at, detail));
                continue;
            }
            let hash = token_hash(text);
            let taken = self.store.find_token(&hash).await?.is_some_and(|whose| whose != (merchant, id));
            if taken || tokens.iter().any(|token| token.hash == hash) {
                body.error(InputError::at(one.at, "belongs to another integration, or is there twice"));
                continue;
            }
            let kept = there.iter().find(|token| token.hash == hash).map(|token| token.sealed.clone());
            let sealed = match kept {
                Some(sealed) => sealed,
                None => self.vault.seal(&token_owner(id), text)?,
            };
            tokens.push(InboundToken { hash, sealed, expires_at: one.expires_at });
        }
        Ok((tokens, false))
    }
}
