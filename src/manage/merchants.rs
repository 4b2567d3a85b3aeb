//! Merchants.

use kassir_providers::Secret;

use super::endpoints::URL_MAX;
use super::{Actor, ManageError, Manager, Members, NAME_MAX, Result};
use crate::delivery::signature::SigningKey;
use crate::domain::Merchant;
use crate::domain::config::AlertTarget;
use crate::domain::ids::MerchantId;
use crate::limits;
use crate::registry::alert_owner;
use crate::secrets::SecretError;
use crate::store::ConfigChange;

impl Manager {
    /// Creates a merchant from `{"name", "first_payment"?, "alert_url"?}`; gives it with the secret of its notices,
    /// if it gets any, which is shown only here.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn create_merchant(
        &self,
        actor: &Actor,
        mut body: Members,
    ) -> Result<(Merchant, Option<Secret>)> {
        let name = body.required_text("name", NAME_MAX);
        let first_payment = first_payment(&mut body);
        let mut merchant = Merchant {
            id: MerchantId(self.clock.id()),
            name: name.unwrap_or_default(),
            first_payment: first_payment.unwrap_or(1),
            alert: None,
            created_at: self.clock.now(),
        };
        let secret = self.apply_alert(&mut merchant, &mut body).await?;
        body.finish()?;
        // The router's own log: the merchant's does not exist yet.
        self.note(actor, None, "merchant.create", merchant.id, &merchant.name).await?;
        let change = ConfigChange::CreateMerchant(merchant.clone());
        self.store.change_config(merchant.id, change, None).await?;
        self.registry.forget(merchant.id);
        Ok((merchant, secret))
    }

    /// Changes a merchant by `{"name"?, "first_payment"?, "alert_url"?}`; gives it with the secret of its notices, if
    /// another URL made one.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn update_merchant(
        &self,
        actor: &Actor,
        id: MerchantId,
        body: Members,
    ) -> Result<(Merchant, Option<Secret>)> {
        for attempt in 0..limits::CONFLICT_RETRIES_MAX {
            let view = self.merchant(id).await?;
            let mut merchant = view.config.merchant.clone();
            let mut body = body.clone();
            if let Some(name) = body.text("name", NAME_MAX) {
                if name.trim().is_empty() {
                    body.wrong("name", "must not be empty");
                }
                merchant.name = name;
            }
            if let Some(first) = first_payment(&mut body) {
                merchant.first_payment = first;
            }
            let secret = self.apply_alert(&mut merchant, &mut body).await?;
            body.finish()?;
            if attempt == 0 {
                self.note(actor, Some(id), "merchant.update", id, &merchant.name).await?;
            }
            let change = ConfigChange::UpdateMerchant(merchant.clone());
            if self.change_config(id, change, Some(view.config.version)).await? {
                return Ok((merchant, secret));
            }
        }
        Err(super::too_busy())
    }

    /// Reads `alert_url`: another one gets a secret of its own, `null` ends the notices.
    async fn apply_alert(&self, merchant: &mut Merchant, body: &mut Members) -> Result<Option<Secret>> {
        if body.cleared("alert_url") {
            merchant.alert = None;
            return Ok(None);
        }
        let Some(url) = body.text("alert_url", URL_MAX) else { return Ok(None) };
        if merchant.alert.as_ref().is_some_and(|alert| alert.url == url) {
            return Ok(None);
        }
        if let Err(detail) = self.check_url(&url).await {
            body.wrong("alert_url", detail);
            return Ok(None);
        }
        let secret = SigningKey::generate().map_err(|_| SecretError::Random)?.text();
        let sealed = self.vault.seal(&alert_owner(merchant.id), secret.expose())?;
        merchant.alert = Some(AlertTarget { url, secret: sealed });
        Ok(Some(secret))
    }

    /// Deletes a merchant and everything of it.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn delete_merchant(&self, actor: &Actor, id: MerchantId) -> Result<()> {
        let view = self.merchant(id).await?;
        // The router's own log: the merchant's goes with it.
        self.note(actor, None, "merchant.delete", id, &view.config.merchant.name).await?;
        let done = self.store.change_config(id, ConfigChange::DeleteMerchant, None).await;
        self.registry.forget(id);
        done.map(|_| ()).map_err(ManageError::from)
    }
}

fn first_payment(body: &mut Members) -> Option<u32> {
    body.count("first_payment", 1..=limits::PAYMENT_NUMBER_MAX)
}
