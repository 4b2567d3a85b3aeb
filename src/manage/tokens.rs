//! API tokens.

use kassir_providers::Secret;

use super::audit::note;
use super::{Actor, ManageError, Manager, Members, NAME_MAX, Result};
use crate::clock::Clock;
use crate::domain::ids::{MerchantId, TokenId};
use crate::domain::people::{ApiToken, Role};
use crate::secrets::{SecretError, new_token, token_hash};
use crate::store::Store;

/// What an API token starts with.
pub const TOKEN_PREFIX: &str = "kas_";
/// Characters of a token that are kept to recognise it.
const SHOWN: usize = 10;

/// The roles by their words.
pub const ROLES: [(&str, Role); 3] =
    [("admin", Role::Admin), ("merchant", Role::Merchant), ("support", Role::Support)];

/// The word of a role.
#[must_use]
pub fn role_word(role: Role) -> &'static str {
    ROLES.iter().find(|(_, known)| *known == role).map_or("", |(word, _)| word)
}

/// A fresh token and its record.
///
/// # Errors
/// [`SecretError::Random`].
pub fn make(
    clock: &dyn Clock,
    name: String,
    role: Role,
    merchant: Option<MerchantId>,
) -> std::result::Result<(Secret, ApiToken), SecretError> {
    let secret = new_token(TOKEN_PREFIX)?;
    let record = ApiToken {
        id: TokenId(clock.id()),
        hash: token_hash(secret.expose()),
        prefix: secret.expose().chars().take(SHOWN).collect(),
        name,
        role,
        merchant,
        created_at: clock.now(),
    };
    Ok((secret, record))
}

/// Creates a token from `{"role", "name"?, "merchant_id"?}`, its entry in the audit log first. The token itself is given
/// once, here. Needs no more than a store: the first token may be made before any router runs.
///
/// # Errors
/// [`ManageError`].
pub async fn create(
    store: &dyn Store,
    clock: &dyn Clock,
    actor: &Actor,
    mut body: Members,
) -> Result<(Secret, ApiToken)> {
    let role = body.required_word("role", &ROLES);
    let name = body.text("name", NAME_MAX).unwrap_or_default();
    let merchant: Option<MerchantId> = body.parsed("merchant_id");
    match (role, merchant) {
        (Some(Role::Merchant), None) => body.wrong("merchant_id", "is required for the role merchant"),
        (Some(Role::Admin), Some(_)) => {
            body.wrong("merchant_id", "must not be given for the role admin, which has all merchants");
        }
        (_, Some(id)) if store.config(id).await?.is_none() => {
            body.wrong("merchant_id", format!("there is no merchant {id}"));
        }
        _ => {}
    }
    body.finish()?;
    let Some(role) = role else { return Err(ManageError::invalid("/role", "is required")) };
    let (secret, record) = make(clock, name, role, merchant)?;
    let detail = format!("role {} {}", role_word(role), record.name);
    note(store, clock, actor, merchant, "token.create", record.id, detail).await?;
    store.put_api_token(&record).await?;
    Ok((secret, record))
}

impl Manager {
    /// [`create`] over this router's store.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn create_token(&self, actor: &Actor, body: Members) -> Result<(Secret, ApiToken)> {
        create(self.store.as_ref(), self.clock.as_ref(), actor, body).await
    }

    /// Ends a token.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn delete_token(&self, actor: &Actor, id: TokenId) -> Result<()> {
        self.note(actor, None, "token.delete", id, "").await?;
        Ok(self.store.delete_api_token(id).await?)
    }
}
