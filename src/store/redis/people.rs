//! What people do: replays of single deliveries and in bulk, the audit log, idempotency keys.

use super::RedisStore;
use super::call::Call;
use super::keys::{self, ROUTER_PARTITION, damaged};
use super::path::{refusal, span};
use super::reading::{Scan, page_size, rows_of};
use super::{record, scripts};
use crate::domain::delivery::Delivery;
use crate::domain::ids::{AuditId, MerchantId, ReplayId};
use crate::domain::job::{Job, Lane, WorkId};
use crate::domain::people::{AuditEntry, Replay};
use crate::store::{Hold, Idempotency, Listed, Page, Result, StoreError};

/// The partition and the name of an audit log.
fn log_of(merchant: Option<MerchantId>) -> (u8, String) {
    match merchant {
        Some(merchant) => (keys::of_merchant(merchant), keys::merchant(merchant)),
        None => (ROUTER_PARTITION, "-".to_owned()),
    }
}

pub(super) fn replay_of(merchant: MerchantId, bytes: &[u8]) -> Result<Replay> {
    let (version, bytes) = record::versioned(bytes)?;
    let read: Replay = record::plain(bytes)?;
    Ok(Replay { version, merchant, ..read })
}

impl RedisStore {
    pub(super) async fn change_delivery(&self, delivery: Delivery) -> Result<()> {
        let call = Call::new(&scripts::DELIVERY_UPDATE, keys::of_merchant(delivery.merchant))
            .arg(keys::merchant(delivery.merchant))
            .num(delivery.payment)
            .arg(delivery.id.0.as_bytes())
            .arg(Lane::Endpoint(delivery.endpoint).to_string())
            .num(i64::try_from(delivery.version).unwrap_or(i64::MAX))
            .opt(delivery.next_attempt_at)
            .arg(record::pack_delivery(&delivery)?);
        match self.call(call).await?.rows()?.item()?.text()?.as_str() {
            "ok" => {
                self.heads.waits(keys::of_merchant(delivery.merchant), delivery.next_attempt_at);
                Ok(())
            }
            "none" => Err(StoreError::NotFound("such delivery")),
            word => Err(refusal(word)),
        }
    }

    /// `job`: what does the replay, if it is to be queued with it.
    pub(super) async fn keep_replay(&self, replay: &Replay, job: Option<&Job>) -> Result<u64> {
        let mut call = Call::new(&scripts::REPLAY_PUT, keys::of_merchant(replay.merchant))
            .arg(keys::merchant(replay.merchant))
            .arg(replay.id.0.as_bytes())
            .num(i64::try_from(replay.version).unwrap_or(i64::MAX))
            .arg(record::pack_plain(replay)?);
        if let Some(job) = job {
            call.push(keys::work(WorkId::Job(job.id)));
            call.push(job.lane.to_string());
            call.push(record::pack_job(job)?);
        }
        let mut reply = self.call(call).await?.rows()?;
        match reply.item()?.text()?.as_str() {
            "ok" => u64::try_from(reply.item()?.int()?).map_err(|_| damaged("a version")),
            word => Err(refusal(word)),
        }
    }

    pub(super) async fn read_replay(&self, merchant: MerchantId, id: ReplayId) -> Result<Option<Replay>> {
        let call = Call::new(&scripts::FIELD_GET, keys::of_merchant(merchant))
            .arg(format!("rp:{}", keys::merchant(merchant)))
            .arg(id.0.as_bytes());
        let bytes = self.call(call).await?.maybe_bytes()?;
        bytes.map(|bytes| replay_of(merchant, &bytes)).transpose()
    }

    pub(super) async fn list_replays(&self, merchant: MerchantId, page: &Page) -> Result<Listed<Replay>> {
        let key = keys::merchant(merchant);
        let mut call = Call::new(&scripts::HASH_LIST, keys::of_merchant(merchant))
            .by_pool()
            .arg(format!("rx:{key}"))
            .arg(format!("rp:{key}"))
            .arg(Scan::before::<ReplayId>(page)?);
        call.push_count(page_size(page) + 1);
        let rows = rows_of(self.call(call).await?)?;
        let found = rows.iter().map(|(_, bytes)| replay_of(merchant, bytes)).collect::<Result<Vec<_>>>()?;
        Ok(Scan::cut(found, page, |replay| replay.id.to_string()))
    }

    pub(super) async fn newest_audit_hash(&self, merchant: Option<MerchantId>) -> Result<String> {
        let (partition, log) = log_of(merchant);
        let call = Call::new(&scripts::FIELD_GET, partition).arg("al").arg(log);
        let hash = self.call(call).await?.maybe_bytes()?.unwrap_or_default();
        String::from_utf8(hash).map_err(|_| damaged("the audit log"))
    }

    pub(super) async fn keep_audit(&self, entry: &AuditEntry, tail: &str) -> Result<()> {
        let (partition, log) = log_of(entry.merchant);
        let call = Call::new(&scripts::AUDIT_APPEND, partition)
            .arg(log)
            .arg(entry.id.0.as_bytes())
            .arg(tail)
            .arg(&entry.hash)
            .arg(record::pack_plain(entry)?);
        self.done(call).await
    }

    pub(super) async fn list_audit(
        &self,
        merchant: Option<MerchantId>,
        page: &Page,
    ) -> Result<Listed<AuditEntry>> {
        let before = Scan::before::<AuditId>(page)?;
        let wanted = page_size(page) + 1;
        let call = |partition: u8, index: &str| {
            let mut call =
                Call::new(&scripts::HASH_LIST, partition).by_pool().arg(index).arg("ab").arg(&before);
            call.push_count(wanted);
            call
        };
        let replies = match merchant {
            Some(merchant) => {
                let (partition, log) = log_of(Some(merchant));
                vec![self.call(call(partition, &format!("ax:{log}"))).await?]
            }
            None => self.call_all(|partition| call(partition, "ag")).await?,
        };
        let mut found: Vec<AuditEntry> = Vec::new();
        for reply in replies {
            for (_, bytes) in rows_of(reply)? {
                found.push(record::plain(&bytes)?);
            }
        }
        found.sort_by_key(|entry| std::cmp::Reverse(entry.id));
        Ok(Scan::cut(found, page, |entry| entry.id.to_string()))
    }

    pub(super) async fn take_key(
        &self,
        scope: &str,
        key: &str,
        fingerprint: &str,
        hold_ms: u64,
    ) -> Result<Idempotency> {
        let (digest, hold) = (keys::idempotency(scope, key), Hold::fresh());
        let call = Call::new(&scripts::IDEM_BEGIN, keys::of_digest(&digest))
            .arg(digest)
            .arg(fingerprint)
            .arg(hold.text())
            .num(span(hold_ms));
        let mut reply = self.call(call).await?.rows()?;
        match reply.item()?.text()?.as_str() {
            "fresh" => Ok(Idempotency::Fresh(hold)),
            "running" => Ok(Idempotency::Running),
            "mismatch" => Ok(Idempotency::Mismatch),
            "done" => {
                let status = u16::try_from(reply.item()?.int()?).map_err(|_| damaged("an answer"))?;
                Ok(Idempotency::Done { status, body: reply.item()?.text()? })
            }
            "broken" => Ok(Idempotency::BrokenOff { note: reply.item()?.text()? }),
            _ => Err(damaged("an idempotency key")),
        }
    }

    pub(super) async fn note_under_key(&self, scope: &str, key: &str, hold: Hold, note: &str) -> Result<()> {
        let digest = keys::idempotency(scope, key);
        let call =
            Call::new(&scripts::IDEM_NOTE, keys::of_digest(&digest)).arg(digest).arg(hold.text()).arg(note);
        self.done(call).await
    }

    pub(super) async fn finish_key(
        &self,
        scope: &str,
        key: &str,
        hold: Hold,
        answer: Option<(u16, String)>,
    ) -> Result<()> {
        let digest = keys::idempotency(scope, key);
        let (status, body) = answer.unwrap_or_default();
        let call = Call::new(&scripts::IDEM_FINISH, keys::of_digest(&digest))
            .arg(digest)
            .arg(hold.text())
            .num(status)
            .arg(body);
        self.done(call).await
    }

    /// Calls a script that says nothing but `ok`, or why not.
    async fn done(&self, call: Call) -> Result<()> {
        match self.call(call).await?.rows()?.item()?.text()?.as_str() {
            "ok" => Ok(()),
            word => Err(refusal(word)),
        }
    }
}
