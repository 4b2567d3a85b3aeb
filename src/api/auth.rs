//! Who asks, and what they may: tokens, roles and merchants.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use kassir_providers::digest;

use super::problem::{Problem, Result};
use super::state::ApiState;
use crate::domain::ids::MerchantId;
use crate::domain::people::{ApiToken, Role};
use crate::manage::Actor;
use crate::registry::MerchantView;
use crate::secrets::token_hash;

/// How long a token is used without asking the store, milliseconds: how long a deleted one may still work at another
/// router.
const FRESH_MS: i64 = 2_000;
/// Tokens at hand, unknown ones included.
const CACHED_MAX: usize = 10_000;
/// Longest token, bytes.
const TOKEN_MAX: usize = 512;

/// Tokens that were looked up lately.
#[derive(Default)]
pub struct TokenCache {
    found: RwLock<HashMap<String, (i64, Option<ApiToken>)>>,
}

impl TokenCache {
    /// Forgets everything, after a change.
    pub fn clear(&self) {
        self.found.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn find(&self, state: &ApiState, hash: &str) -> Result<Option<ApiToken>> {
        let now = state.manage.clock.now();
        let cached = self.found.read().unwrap_or_else(PoisonError::into_inner).get(hash).cloned();
        if let Some((at, token)) = cached
            && (0..FRESH_MS).contains(&now.saturating_sub(at))
        {
            return Ok(token);
        }
        let token = state.manage.store.api_token(hash).await?;
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= CACHED_MAX {
            found.clear();
        }
        found.insert(hash.to_owned(), (now, token.clone()));
        Ok(token)
    }
}

/// What a request does, for the roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Looks.
    Read,
    /// Sends something again.
    Replay,
    /// Changes something.
    Write,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// For the audit log.
    pub actor: Actor,
    /// What they may do.
    pub role: Role,
    /// Whose; `None` for all merchants.
    pub merchant: Option<MerchantId>,
}

impl Caller {
    /// Finds out who asks, by the value of `Authorization`.
    ///
    /// # Errors
    /// 401; 503 when the store can't tell.
    pub async fn identify(state: &ApiState, authorization: Option<&str>) -> Result<Caller> {
        let Some(value) = authorization else {
            return Err(Problem::unauthorized("Send the header Authorization: Bearer <token>."));
        };
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > TOKEN_MAX {
            return Err(Problem::unauthorized("The header must be Authorization: Bearer <token>."));
        }
        let hash = token_hash(token);
        if digest::same(hash.as_bytes(), state.admin_token_hash.as_bytes()) {
            let actor = Actor { id: "admin".to_owned(), name: String::new() };
            return Ok(Caller { actor, role: Role::Admin, merchant: None });
        }
        // Looked up by its hash: the time that takes says nothing about the token.
        let Some(token) = state.tokens.find(state, &hash).await? else {
            return Err(Problem::unauthorized("The token is not known, or was deleted."));
        };
        let actor = Actor { id: token.id.to_string(), name: token.name };
        Ok(Caller { actor, role: token.role, merchant: token.merchant })
    }

    /// Enters a merchant: another's is as if it did not exist.
    ///
    /// # Errors
    /// 404, or 403 when the role does not allow this.
    pub async fn enter(&self, state: &ApiState, merchant: &str, need: Need) -> Result<Arc<MerchantView>> {
        let gone = || Problem::not_found("merchant", merchant);
        let id: MerchantId = merchant.parse().map_err(|_| gone())?;
        if !self.sees(id) {
            return Err(gone());
        }
        let view = state.manage.merchant(id).await?;
        self.may(need)?;
        Ok(view)
    }

    /// Whether a merchant is among this caller's.
    #[must_use]
    pub fn sees(&self, merchant: MerchantId) -> bool {
        match self.role {
            Role::Admin => true,
            Role::Merchant => self.merchant == Some(merchant),
            Role::Support => self.merchant.is_none_or(|own| own == merchant),
        }
    }

    /// Whether every merchant is among this caller's.
    #[must_use]
    pub fn sees_all(&self) -> bool {
        self.role != Role::Merchant && self.merchant.is_none()
    }

    /// Whether the role allows this.
    ///
    /// # Errors
    /// 403.
    pub fn may(&self, need: Need) -> Result<()> {
        if self.role == Role::Support && need == Need::Write {
            return Err(Problem::forbidden("The role support reads and replays; it changes nothing else."));
        }
        Ok(())
    }

    /// Only administrators go on.
    ///
    /// # Errors
    /// 403.
    pub fn admin(&self) -> Result<()> {
        if self.role == Role::Admin {
            Ok(())
        } else {
            Err(Problem::forbidden("This needs a token with the role admin."))
        }
    }

    /// Whose idempotency keys these are.
    #[must_use]
    pub fn scope(&self) -> String {
        self.merchant
            .map_or_else(|| crate::manage::tokens::role_word(self.role).to_owned(), |id| id.to_string())
    }
}
