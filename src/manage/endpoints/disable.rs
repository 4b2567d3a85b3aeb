//! An endpoint that Kassir turns off itself.

use super::Endpoint;
use crate::domain::ids::{EndpointId, MerchantId};
use crate::limits;
use crate::manage::{Actor, ManageError, Manager, Result};

/// Who turns endpoints off, in the audit log.
const ACTOR: &str = "kassir";

impl Manager {
    /// Turns an endpoint off for a reason, in words that name this one occasion: done again, after a crash for
    /// example, it gives the same. `None` when the endpoint is gone, off already for another reason, or `fits` says of
    /// it as it is now that the reason does not hold any more.
    ///
    /// # Errors
    /// [`ManageError`]: it is to be tried again.
    pub async fn disable_endpoint(
        &self,
        merchant: MerchantId,
        id: EndpointId,
        reason: &str,
        fits: impl Fn(&Endpoint) -> bool,
    ) -> Result<Option<Endpoint>> {
        let actor = Actor { id: ACTOR.to_owned(), name: String::new() };
        for attempt in 0..limits::CONFLICT_RETRIES_MAX {
            let view = match self.merchant(merchant).await {
                Err(ManageError::NotFound { .. }) => return Ok(None),
                other => other?,
            };
            let Some(mut endpoint) = view.config.endpoint(id).cloned() else { return Ok(None) };
            if !endpoint.enabled {
                let by_us = endpoint.disabled_reason.as_deref() == Some(reason);
                return Ok(by_us.then_some(endpoint));
            }
            if !fits(&endpoint) {
                return Ok(None);
            }
            endpoint.enabled = false;
            endpoint.disabled_reason = Some(reason.to_owned());
            endpoint.updated_at = self.clock.now();
            if attempt == 0 {
                self.note(&actor, Some(merchant), "endpoint.disable", id, reason).await?;
            }
            if self.put_endpoint(&endpoint, Some(view.config.version)).await? {
                return Ok(Some(endpoint));
            }
        }
        Err(crate::manage::too_busy())
    }
}
