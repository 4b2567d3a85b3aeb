//! What people set up: merchants with their integrations and endpoints, inbound tokens, API tokens.

use std::collections::HashMap;

use futures_util::future::try_join_all;

use super::RedisStore;
use super::call::Call;
use super::keys::{self, ROUTER_PARTITION, damaged};
use super::path::refusal;
use super::reading::{Scan, page_size, rows_of};
use super::{record, scripts};
use crate::domain::config::{Endpoint, Integration, Merchant, MerchantConfig};
use crate::domain::ids::{self, IntegrationId, MerchantId, TokenId};
use crate::domain::people::ApiToken;
use crate::store::list::PAGE_MAX;
use crate::store::{ConfigChange, Conflict, Listed, Page, Result, Store, StoreError};

/// One change as the script takes it.
struct Change {
    op: &'static str,
    field: String,
    value: Vec<u8>,
    first_payment: u32,
}

impl Change {
    fn of(change: &ConfigChange) -> Result<Change> {
        let with = |op, field: String, value| Change { op, field, value, first_payment: 0 };
        Ok(match change {
            ConfigChange::CreateMerchant(merchant) => Change {
                first_payment: merchant.first_payment.max(1),
                ..with("create", "m".to_owned(), record::pack_plain(merchant)?)
            },
            ConfigChange::UpdateMerchant(merchant) => Change {
                first_payment: merchant.first_payment.max(1),
                ..with("merchant", "m".to_owned(), record::pack_plain(merchant)?)
            },
            ConfigChange::DeleteMerchant => with("gone", String::new(), Vec::new()),
            ConfigChange::PutIntegration(integration) => {
                with("put", integration_field(integration.id), record::pack_plain(integration)?)
            }
            ConfigChange::DeleteIntegration(id) => with("del", integration_field(*id), Vec::new()),
            ConfigChange::PutEndpoint(endpoint) => {
                with("put", format!("e:{}", ids::encode(endpoint.id.0)), record::pack_plain(endpoint)?)
            }
            ConfigChange::DeleteEndpoint(id) => with("del", format!("e:{}", ids::encode(id.0)), Vec::new()),
        })
    }
}

fn integration_field(id: IntegrationId) -> String {
    format!("i:{}", ids::encode(id.0))
}

fn owner(merchant: MerchantId, integration: IntegrationId) -> String {
    format!("{}|{}", keys::merchant(merchant), ids::encode(integration.0))
}

fn owner_of(text: &str) -> Result<(MerchantId, IntegrationId)> {
    let (merchant, integration) = text.split_once('|').ok_or_else(|| damaged("a token's entry"))?;
    let integration = ids::decode(integration).ok_or_else(|| damaged("a token's entry"))?;
    Ok((keys::merchant_of(merchant)?, IntegrationId(integration)))
}

impl RedisStore {
    /// Tokens are registered first, then the configuration changes, then tokens that are no longer used go. A crash in
    /// between leaves entries that nobody believes: a token counts only when its integration has it.
    pub(super) async fn change_setup(
        &self,
        merchant: MerchantId,
        change: ConfigChange,
        expected: Option<u64>,
    ) -> Result<u64> {
        let old = self.tokens_before(merchant, &change).await?;
        let mut kept = Vec::new();
        if let ConfigChange::PutIntegration(integration) = &change {
            kept = integration.tokens.iter().map(|token| token.hash.clone()).collect();
            self.register(merchant, integration.id, &kept).await?;
        }
        let words = Change::of(&change)?;
        let call = Call::new(&scripts::CONFIG_CHANGE, keys::of_merchant(merchant))
            .arg(keys::merchant(merchant))
            .arg(merchant.0.as_bytes())
            .opt(expected.map(|version| i64::try_from(version).unwrap_or(i64::MAX)))
            .arg(words.op)
            .arg(words.field)
            .arg(words.value)
            .num(words.first_payment);
        let mut reply = self.call(call).await?.rows()?;
        let word = reply.item()?.text()?;
        if word != "ok" {
            return Err(match change {
                ConfigChange::DeleteIntegration(_) if word == "none" => {
                    StoreError::NotFound("such integration")
                }
                ConfigChange::DeleteEndpoint(_) if word == "none" => StoreError::NotFound("such endpoint"),
                _ => refusal(&word),
            });
        }
        let version = u64::try_from(reply.item()?.int()?).map_err(|_| damaged("a version"))?;
        for (integration, hashes) in old {
            let ended: Vec<String> = hashes.into_iter().filter(|hash| !kept.contains(hash)).collect();
            self.index_tokens("del", merchant, integration, &ended).await?;
        }
        if matches!(change, ConfigChange::DeleteEndpoint(_)) {
            // What waited in its lane, if that was held, may be claimed now.
            self.heads.waits(keys::of_merchant(merchant), None);
        }
        if matches!(change, ConfigChange::DeleteMerchant) {
            self.end_api_tokens_of(merchant).await?;
        }
        Ok(version)
    }

    /// Tokens that may end with a change.
    async fn tokens_before(
        &self,
        merchant: MerchantId,
        change: &ConfigChange,
    ) -> Result<Vec<(IntegrationId, Vec<String>)>> {
        let hashes = |integration: Integration| {
            (integration.id, integration.tokens.into_iter().map(|token| token.hash).collect())
        };
        let one = match change {
            ConfigChange::PutIntegration(integration) => integration.id,
            ConfigChange::DeleteIntegration(id) => *id,
            ConfigChange::DeleteMerchant => {
                let config = self.read_setup(merchant).await?;
                let integrations = config.map(|config| config.integrations).unwrap_or_default();
                return Ok(integrations.into_iter().map(hashes).collect());
            }
            _ => return Ok(Vec::new()),
        };
        Ok(self.read_integration(merchant, one).await?.map(hashes).into_iter().collect())
    }

    /// Registers an integration's tokens. An entry of another integration that does not have the token is left over,
    /// and is taken over.
    async fn register(&self, merchant: MerchantId, id: IntegrationId, hashes: &[String]) -> Result<()> {
        for (hash, holder) in self.index_tokens("put", merchant, id, hashes).await? {
            let (other, integration) = owner_of(&holder)?;
            let other = self.read_integration(other, integration).await?;
            if other.is_some_and(|other| other.tokens.iter().any(|token| token.hash == hash)) {
                return Err(StoreError::Conflict(Conflict::Exists));
            }
            let call = Call::new(&scripts::TOKEN_MOVE, keys::of_text(&hash))
                .arg(&hash)
                .arg(&holder)
                .arg(owner(merchant, id));
            if self.call(call).await?.int()? == 0 {
                return Err(StoreError::Conflict(Conflict::Exists));
            }
        }
        Ok(())
    }

    /// Writes or removes index entries; gives those that belong to another, with their owner.
    async fn index_tokens(
        &self,
        op: &str,
        merchant: MerchantId,
        id: IntegrationId,
        hashes: &[String],
    ) -> Result<Vec<(String, String)>> {
        let mut calls: HashMap<u8, Call> = HashMap::new();
        for hash in hashes {
            let partition = keys::of_text(hash);
            let fresh = || Call::new(&scripts::TOKEN_PUT, partition).arg(op).arg(owner(merchant, id));
            calls.entry(partition).or_insert_with(fresh).push(hash);
        }
        let mut foreign = Vec::new();
        for reply in try_join_all(calls.into_values().map(|call| self.call(call))).await? {
            let mut rows = reply.rows()?;
            while let Some(hash) = rows.next() {
                foreign.push((hash.text()?, rows.item()?.text()?));
            }
        }
        Ok(foreign)
    }

    pub(super) async fn token_owner(&self, hash: &str) -> Result<Option<(MerchantId, IntegrationId)>> {
        let call = Call::new(&scripts::TOKEN_GET, keys::of_text(hash)).arg(hash);
        let Some(entry) = self.call(call).await?.maybe_bytes()? else { return Ok(None) };
        let entry = String::from_utf8(entry).map_err(|_| damaged("a token's entry"))?;
        let (merchant, id) = owner_of(&entry)?;
        let Some(integration) = self.read_integration(merchant, id).await? else { return Ok(None) };
        let token = integration.tokens.iter().find(|token| token.hash == hash);
        let lives = match token.map(|token| token.expires_at) {
            None => false,
            Some(None) => true,
            Some(Some(end)) => self.now().await? < end,
        };
        Ok(lives.then_some((merchant, id)))
    }

    async fn read_integration(&self, merchant: MerchantId, id: IntegrationId) -> Result<Option<Integration>> {
        let call = Call::new(&scripts::FIELD_GET, keys::of_merchant(merchant))
            .arg(format!("c:{}", keys::merchant(merchant)))
            .arg(integration_field(id));
        self.call(call).await?.maybe_bytes()?.map(|bytes| record::plain(&bytes)).transpose()
    }

    pub(super) async fn read_setup(&self, merchant: MerchantId) -> Result<Option<MerchantConfig>> {
        let call =
            Call::new(&scripts::CONFIG_READ, keys::of_merchant(merchant)).arg(keys::merchant(merchant));
        let mut rows = self.call(call).await?.rows()?;
        let (mut version, mut tenant) = (0, None::<Merchant>);
        let (mut integrations, mut endpoints) = (Vec::<Integration>::new(), Vec::<Endpoint>::new());
        while let Some(field) = rows.next() {
            let (field, value) = (field.text()?, rows.item()?);
            match field.as_str() {
                "version" => version = u64::try_from(value.int()?).map_err(|_| damaged("a version"))?,
                "first" | "last" => {}
                "m" => tenant = Some(record::plain(&value.bytes()?)?),
                _ if field.starts_with("i:") => integrations.push(record::plain(&value.bytes()?)?),
                _ => endpoints.push(record::plain(&value.bytes()?)?),
            }
        }
        integrations.sort_by_key(|integration| integration.id);
        endpoints.sort_by_key(|endpoint| endpoint.id);
        Ok(tenant.map(|merchant| MerchantConfig { version, merchant, integrations, endpoints }))
    }

    pub(super) async fn list_merchants(&self, page: &Page) -> Result<Listed<Merchant>> {
        let before = Scan::before::<MerchantId>(page)?;
        let wanted = page_size(page) + 1;
        let calls = |partition| {
            let mut call = Call::new(&scripts::MERCHANT_LIST, partition).by_pool().arg(&before);
            call.push_count(wanted);
            call
        };
        let mut found: Vec<Merchant> = Vec::new();
        for reply in self.call_all(calls).await? {
            for (_, bytes) in rows_of(reply)? {
                found.push(record::plain(&bytes)?);
            }
        }
        found.sort_by_key(|merchant| std::cmp::Reverse(merchant.id));
        Ok(Scan::cut(found, page, |merchant| merchant.id.to_string()))
    }

    pub(super) async fn keep_api_token(&self, token: &ApiToken) -> Result<()> {
        let call = Call::new(&scripts::API_TOKEN_PUT, ROUTER_PARTITION)
            .arg(token.id.0.as_bytes())
            .arg(&token.hash)
            .arg(record::pack_plain(token)?);
        let word = self.call(call).await?.rows()?.item()?.text()?;
        if word == "ok" { Ok(()) } else { Err(refusal(&word)) }
    }

    pub(super) async fn read_api_token(&self, hash: &str) -> Result<Option<ApiToken>> {
        let call = Call::new(&scripts::API_TOKEN_GET, ROUTER_PARTITION).arg(hash);
        let Some(bytes) = self.call(call).await?.maybe_bytes()? else { return Ok(None) };
        let token = after_bar(&bytes)?;
        // A deleted merchant's tokens may outlive it by a crash: they count no more.
        match token.merchant {
            Some(merchant) if !self.has_merchant(merchant).await? => Ok(None),
            _ => Ok(Some(token)),
        }
    }

    async fn has_merchant(&self, merchant: MerchantId) -> Result<bool> {
        let call = Call::new(&scripts::FIELD_GET, keys::of_merchant(merchant))
            .arg(format!("c:{}", keys::merchant(merchant)))
            .arg("version");
        Ok(!self.call(call).await?.is_nil())
    }

    async fn end_api_tokens_of(&self, merchant: MerchantId) -> Result<()> {
        let mut page = Page { limit: PAGE_MAX, before: None };
        loop {
            let listed = self.list_api_tokens(&page).await?;
            for token in listed.rows.iter().filter(|token| token.merchant == Some(merchant)) {
                self.end_api_token(token.id).await?;
            }
            page.before = match listed.next {
                Some(next) => Some(next),
                None => return Ok(()),
            };
        }
    }

    pub(super) async fn list_api_tokens(&self, page: &Page) -> Result<Listed<ApiToken>> {
        let mut call = Call::new(&scripts::HASH_LIST, ROUTER_PARTITION).by_pool();
        call = call.arg("ai").arg("at").arg(Scan::before::<TokenId>(page)?);
        call.push_count(page_size(page) + 1);
        let rows = rows_of(self.call(call).await?)?;
        let found = rows.iter().map(|(_, bytes)| after_bar(bytes)).collect::<Result<Vec<ApiToken>>>()?;
        Ok(Scan::cut(found, page, |token| token.id.to_string()))
    }

    pub(super) async fn end_api_token(&self, id: TokenId) -> Result<()> {
        let call = Call::new(&scripts::API_TOKEN_DEL, ROUTER_PARTITION).arg(id.0.as_bytes());
        self.call(call).await.map(drop)
    }
}

/// A token is kept as `<hash>|<record>`.
fn after_bar(bytes: &[u8]) -> Result<ApiToken> {
    let bar = bytes.iter().position(|byte| *byte == b'|').ok_or_else(|| damaged("an API token"))?;
    record::plain(bytes.get(bar + 1..).unwrap_or_default())
}
