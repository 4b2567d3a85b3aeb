//! Endpoints that fail.

use super::RedisStore;
use super::call::Call;
use super::keys::{self, damaged};
use super::reading::rows_of;
use super::scripts;
use crate::domain::delivery::{Attempt, Delivery};
use crate::domain::health::Health;
use crate::domain::ids::{self, EndpointId, MerchantId};
use crate::store::{Failing, HealthChange, Result};

/// The hash of a partition that has them.
const NAME: &str = "eh";

fn field(merchant: MerchantId, endpoint: EndpointId) -> String {
    format!("{}:{}", keys::merchant(merchant), ids::encode(endpoint.0))
}

/// What settling a delivery says of its endpoint.
pub(super) fn push(call: &mut Call, delivery: &Delivery, attempt: Option<&Attempt>) {
    let excused = attempt.is_some_and(|attempt| attempt.excused);
    call.push(if excused { String::new() } else { field(delivery.merchant, delivery.endpoint) });
    call.push(format!("e:{}", ids::encode(delivery.endpoint.0)));
    let failed = attempt.filter(|_| !excused).and_then(Health::after);
    call.push_opt(failed.as_ref().map(|health| health.failing_since.max(0)));
    call.push_opt(failed.as_ref().and_then(|health| health.last_status).map(i64::from));
    call.push(failed.map(|health| health.last_error).unwrap_or_default());
}

fn read(name: &[u8], value: &[u8]) -> Option<Failing> {
    let (merchant, endpoint) = std::str::from_utf8(name).ok()?.split_once(':')?;
    let mut parts = std::str::from_utf8(value).ok()?.splitn(5, '|');
    let health = Health {
        failing_since: parts.next()?.parse().ok()?,
        last_failure_at: parts.next()?.parse().ok()?,
        last_status: parts.next()?.parse().ok(),
        told: parts.next()?.parse().ok()?,
        last_error: parts.next()?.to_owned(),
    };
    let endpoint = EndpointId(ids::decode(endpoint)?);
    Some(Failing { merchant: keys::merchant_of(merchant).ok()?, endpoint, health })
}

impl RedisStore {
    pub(super) async fn list_failing(&self, merchant: Option<MerchantId>) -> Result<Vec<Failing>> {
        let call = |partition| Call::new(&scripts::HASH_ALL, partition).by_pool().arg(NAME);
        let replies = match merchant {
            Some(merchant) => vec![self.call(call(keys::of_merchant(merchant))).await?],
            None => self.call_all(call).await?,
        };
        let mut found = Vec::new();
        for reply in replies {
            for (name, value) in rows_of(reply)? {
                found.push(read(&name, &value).ok_or_else(|| damaged("an endpoint's health"))?);
            }
        }
        found.retain(|failing| merchant.is_none_or(|merchant| failing.merchant == merchant));
        found.sort_by_key(|failing| (failing.merchant, failing.endpoint));
        Ok(found)
    }

    pub(super) async fn change_failing(
        &self,
        merchant: MerchantId,
        endpoint: EndpointId,
        change: HealthChange,
    ) -> Result<()> {
        let call = Call::new(&scripts::HEALTH, keys::of_merchant(merchant)).arg(field(merchant, endpoint));
        let call = match change {
            HealthChange::Told { since, stage } => call.num(since).num(stage),
            HealthChange::Forget => call.arg("").arg(""),
        };
        self.call(call).await.map(drop)
    }
}
