//! Where a merchant is told of its endpoints: what would be written.

use kassir_providers::Secret;
use serde_json::Value;

use super::slot::{Given, given};
use crate::delivery::signature::SigningKey;
use crate::domain::config::AlertTarget;
use crate::domain::ids::MerchantId;
use crate::manage::{InputError, Manager, Result};
use crate::registry::alert_owner;
use crate::secrets::SecretError;

/// What a document says of it.
pub(super) struct Said {
    /// `alert_url`.
    pub url: String,
    /// `alert_secret`.
    pub secret: Option<Value>,
}

impl Manager {
    /// Checks it; gives it with its secret, if that was made just now.
    pub(super) async fn plan_alert(
        &self,
        merchant: MerchantId,
        present: Option<&AlertTarget>,
        said: Option<Said>,
        errors: &mut Vec<InputError>,
    ) -> Result<(Option<AlertTarget>, Option<Secret>)> {
        let Some(Said { url, secret }) = said else { return Ok((None, None)) };
        if present.is_none_or(|present| present.url != url)
            && let Err(detail) = self.check_url(&url).await
        {
            errors.push(InputError::at("/alert_url", detail));
        }
        let text = match secret.map(given) {
            Some(Ok(Given::Text(text))) => Some(text),
            None | Some(Ok(Given::LeftOut)) => None,
            Some(Err(detail)) => {
                errors.push(InputError::at("/alert_secret", detail));
                None
            }
        };
        let owner = alert_owner(merchant);
        if let Some(text) = text {
            if let Err(error) = SigningKey::parse(text.expose()) {
                errors.push(InputError::at("/alert_secret", error.to_string()));
            }
            if let Some(present) = present
                && self.vault.open(&owner, &present.secret)?.same(text.expose())
            {
                return Ok((Some(AlertTarget { url, secret: present.secret.clone() }), None));
            }
            let secret = self.vault.seal(&owner, text.expose())?;
            return Ok((Some(AlertTarget { url, secret }), None));
        }
        if let Some(present) = present {
            return Ok((Some(AlertTarget { url, secret: present.secret.clone() }), None));
        }
        let fresh = SigningKey::generate().map_err(|_| SecretError::Random)?.text();
        let secret = self.vault.seal(&owner, fresh.expose())?;
        Ok((Some(AlertTarget { url, secret }), Some(fresh)))
    }
}
