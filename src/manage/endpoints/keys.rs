//! Signing keys of an endpoint: made, and rotated with an overlap.

use kassir_providers::Secret;

use super::found;
use crate::delivery::SIGNING_SECRET;
use crate::delivery::signature::SigningKey;
use crate::domain::Endpoint;
use crate::domain::config::SigningSecret;
use crate::domain::ids::{EndpointId, MerchantId};
use crate::limits;
use crate::manage::integrations::{OVERLAP_DEFAULT_S, OVERLAP_MAX_S};
use crate::manage::{Actor, ManageError, Manager, Members, Result, too_busy};
use crate::registry::endpoint_owner;
use crate::secrets::SecretError;

impl Manager {
    /// Gives an endpoint a new signing secret by `{"overlap_s"?}`, and a new key pair if it has one; old ones sign
    /// beside them for so long. With 0 every old one ends at once.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn rotate_secret(
        &self,
        actor: &Actor,
        merchant: MerchantId,
        id: EndpointId,
        mut body: Members,
    ) -> Result<(Endpoint, Secret)> {
        let overlap_s = body.count("overlap_s", 0..=OVERLAP_MAX_S).unwrap_or(OVERLAP_DEFAULT_S);
        body.finish()?;
        let (secret, stored) = self.fresh_secret(id)?;
        let pair = self.fresh_pair(id)?;
        for attempt in 0..limits::CONFLICT_RETRIES_MAX {
            let view = self.merchant(merchant).await?;
            let mut endpoint = found(&view, id)?;
            let now = self.clock.now();
            let ends = now.saturating_add(i64::from(overlap_s).saturating_mul(1000));
            let mut fresh = vec![stored.clone()];
            fresh.extend(endpoint.has_key_pair().then(|| pair.clone()));
            for old in &mut endpoint.secrets {
                old.expires_at = Some(old.expires_at.map_or(ends, |end| end.min(ends)));
            }
            endpoint.secrets.retain(|old| old.expires_at.is_some_and(|end| end > now));
            let pairs = endpoint.secrets.iter().filter(|secret| secret.public.is_some()).count();
            let live = pairs.max(endpoint.secrets.len().saturating_sub(pairs));
            if live >= limits::SIGNING_SECRETS_MAX {
                return Err(ManageError::NotNow(format!(
                    "{live} old secrets still sign. Wait until one has ended, or end them all by overlap_s 0."
                )));
            }
            endpoint.secrets.splice(0..0, fresh);
            endpoint.updated_at = now;
            if attempt == 0 {
                let detail = format!("old secrets sign on for {overlap_s} s");
                self.note(actor, Some(merchant), "endpoint.rotate_secret", id, detail).await?;
            }
            if self.put_endpoint(&endpoint, Some(view.config.version)).await? {
                return Ok((endpoint, secret));
            }
        }
        Err(too_busy())
    }

    /// A new shared secret, and how it is kept.
    pub(in crate::manage) fn fresh_secret(&self, id: EndpointId) -> Result<(Secret, SigningSecret)> {
        let key = SigningKey::generate().map_err(|_| SecretError::Random)?;
        Ok((key.text(), self.kept(id, &key)?))
    }

    /// A new key pair, as it is kept.
    pub(in crate::manage) fn fresh_pair(&self, id: EndpointId) -> Result<SigningSecret> {
        let key = SigningKey::generate_pair().map_err(|_| SecretError::Random)?;
        self.kept(id, &key)
    }

    fn kept(&self, id: EndpointId, key: &SigningKey) -> Result<SigningSecret> {
        let sealed = self.vault.seal(&endpoint_owner(id, SIGNING_SECRET), key.text().expose())?;
        let public = key.public().map(|public| public.text());
        Ok(SigningSecret { sealed, public, created_at: self.clock.now(), expires_at: None })
    }
}
