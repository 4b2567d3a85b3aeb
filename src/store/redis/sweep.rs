//! Upkeep: removing old records, a bounded number at a time. What goes is decided here, by the records themselves; the
//! scripts check that nothing changed meanwhile, and that nothing goes that still waits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use super::RedisStore;
use super::call::Call;
use super::failure;
use super::keys::{self, PARTITIONS};
use super::kinds::Kind;
use super::mend::Queues;
use super::path::number;
use super::people::replay_of;
use super::reading::rows_of;
use super::record::{self, Field};
use super::scripts;
use crate::domain::delivery::Delivery;
use crate::domain::event::Event;
use crate::domain::ids::MerchantId;
use crate::domain::notification::{Notification, NotificationOutcome};
use crate::domain::payment::Payment;
use crate::domain::people::ReplayStatus;
use crate::quiet::LogGate;
use crate::store::{Cutoffs, Result, StoreError, StoreSize};

/// Merchants looked up at once.
const MERCHANTS_PAGE: usize = 200;
/// Replays looked up at once.
const REPLAYS_PAGE: usize = 200;
/// Records of one kind and merchant that one call looks at.
const LOOKED_AT_MAX: usize = 5_000;
/// So many young records in a row mean that the present is reached: ids are in the order of their making.
const YOUNG_MAX: usize = 200;

/// Times that one call goes on where it stopped, while it has found nothing that may go.
const ROUNDS_MAX: usize = 20;

/// Lines about records that can't be read.
static LOG: LogGate = LogGate::new();

/// Where the last call ended: what is kept is not looked at anew in each call. Only this process knows it; after a restart
/// it begins with the oldest again.
#[derive(Default)]
pub(super) struct Places {
    /// By merchant and kind.
    records: Mutex<HashMap<(MerchantId, &'static str), Uuid>>,
    /// In the queues.
    pub(super) queues: Queues,
    /// Whether somewhere more was left to be looked at than one call may.
    cut_short: AtomicBool,
}

impl Places {
    fn get(&self, at: (MerchantId, &'static str)) -> Vec<u8> {
        let places = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(&at).map(|id| id.as_bytes().to_vec()).unwrap_or_default()
    }

    fn set(&self, at: (MerchantId, &'static str), id: Option<Uuid>) {
        let mut places = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        match id {
            Some(id) => drop(places.insert(at, id)),
            None => drop(places.remove(&at)),
        }
    }
}

/// What to do with a record.
enum Fate {
    /// It is too young.
    Young,
    /// It is kept for another reason.
    Kept,
    /// It goes.
    Old,
}

impl RedisStore {
    pub(super) async fn sweep_old(&self, cutoffs: &Cutoffs, max: usize) -> Result<u64> {
        for _ in 0..ROUNDS_MAX {
            self.sweeping.cut_short.store(false, Ordering::Relaxed);
            let gone = self.sweep_round(cutoffs, max).await?;
            if gone > 0 || !self.sweeping.cut_short.load(Ordering::Relaxed) {
                return Ok(gone);
            }
        }
        Ok(0)
    }

    async fn sweep_round(&self, cutoffs: &Cutoffs, max: usize) -> Result<u64> {
        let mut gone = 0_usize;
        for partition in 0..PARTITIONS {
            gone += self.sweep_deleted(partition, max.saturating_sub(gone)).await?;
            if let Some(cutoff) = cutoffs.idempotency {
                let mut call = Call::new(&scripts::SWEEP_IDEM, partition).by_pool().num(cutoff);
                call.push_count(max.saturating_sub(gone));
                gone += self.count(call).await?;
            }
            let mut after = Vec::new();
            while gone < max {
                let merchants = self.merchants_of(partition, &after).await?;
                let Some(last) = merchants.last() else { break };
                after = last.0.as_bytes().to_vec();
                for merchant in merchants {
                    gone += self.sweep_merchant(merchant, cutoffs, max.saturating_sub(gone)).await?;
                }
            }
        }
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }

    /// What all primaries use, and may use. A managed service may not tell: then there is no upper bound.
    pub(super) async fn used_memory(&self) -> Result<StoreSize> {
        let mut info = redis::cmd("INFO");
        info.arg("memory");
        let told = self.link.on_each_master(info).await;
        let told = told.map_err(|error| failure::read(&error, "INFO").error)?;
        let mut size = StoreSize { bytes: 0, bytes_max: Some(0) };
        for (_, info) in told {
            let info: String = redis::from_redis_value(info).unwrap_or_default();
            let says = |name: &str| -> Option<u64> {
                let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                line?.trim().parse().ok()
            };
            size.bytes = size.bytes.saturating_add(says("used_memory").unwrap_or(0));
            let most = says("maxmemory").filter(|most| *most > 0);
            size.bytes_max = size.bytes_max.zip(most).map(|(sum, most)| sum.saturating_add(most));
        }
        Ok(size)
    }

    async fn count(&self, call: Call) -> Result<usize> {
        Ok(usize::try_from(self.call(call).await?.int()?).unwrap_or(0))
    }

    async fn sweep_deleted(&self, partition: u8, max: usize) -> Result<usize> {
        if max == 0 {
            return Ok(0);
        }
        loop {
            let cleared = self.sweeping.queues.cleared(partition);
            let mut call = Call::new(&scripts::SWEEP_GONE, partition).by_pool();
            call.push_count(max.min(MERCHANTS_PAGE));
            for merchant in &cleared {
                call.push(merchant);
            }
            let gone = self.call(call).await?.int()?;
            if gone >= 0 {
                if gone == 0 {
                    // One that is made again and deleted again has work anew.
                    self.sweeping.queues.set_cleared(partition, Vec::new());
                }
                return Ok(usize::try_from(gone).unwrap_or(0));
            }
            // Some that are deleted may still have work.
            self.clear_queue(partition).await?;
        }
    }

    async fn merchants_of(&self, partition: u8, after: &[u8]) -> Result<Vec<MerchantId>> {
        let mut call = Call::new(&scripts::MERCHANT_IDS, partition).by_pool().arg(after);
        call.push_count(MERCHANTS_PAGE);
        self.call(call).await?.rows()?.map(|id| Ok(MerchantId(keys::id(&id.bytes()?)?))).collect()
    }

    async fn sweep_merchant(&self, merchant: MerchantId, cutoffs: &Cutoffs, max: usize) -> Result<usize> {
        let mut gone = self.sweep_notifications(merchant, cutoffs, max).await?;
        if let Some(cutoff) = cutoffs.events {
            gone += self.sweep_events(merchant, cutoff, max.saturating_sub(gone)).await?;
        }
        if let Some(cutoff) = cutoffs.payments {
            gone += self.sweep_payments(merchant, cutoff, max.saturating_sub(gone)).await?;
        }
        if let Some(cutoff) = cutoffs.replays {
            gone += self.sweep_replays(merchant, cutoff, max.saturating_sub(gone)).await?;
        }
        if let Some(cutoff) = cutoffs.tallies
            && gone < max
        {
            let mut call = Call::new(&scripts::SWEEP_TALLIES, keys::of_merchant(merchant))
                .by_pool()
                .arg(keys::merchant(merchant))
                .num(cutoff);
            call.push_count(max.saturating_sub(gone));
            gone += self.count(call).await?;
        }
        Ok(gone)
    }

    /// Old records of one kind, the oldest first: at most `max` of those that may go.
    async fn old<K: Kind>(
        &self,
        merchant: MerchantId,
        max: usize,
        fate: impl Fn(&K) -> Fate,
    ) -> Result<Vec<(Uuid, u32, K)>> {
        let (mut old, mut young, mut looked_at) = (Vec::new(), 0, 0);
        if max == 0 {
            return Ok(old);
        }
        let place = (merchant, K::INDEX);
        let mut from = self.sweeping.get(place);
        let mut from_middle = !from.is_empty();
        loop {
            let page = self.index_page::<K>(merchant, "old", &from).await?;
            let Some(last) = page.last() else {
                self.sweeping.set(place, None);
                if from_middle && old.is_empty() {
                    // Once around: what was left behind before is looked at again before all is said to be done.
                    (from_middle, young) = (false, 0);
                    from.clear();
                    continue;
                }
                return Ok(old);
            };
            from = last.id.as_bytes().to_vec();
            for row in page {
                looked_at += 1;
                let (id, number) = (row.id, row.number);
                let Some(read) = readable(row.read::<K>(merchant), merchant)?.flatten() else { continue };
                match fate(&read) {
                    Fate::Young => young += 1,
                    Fate::Kept => young = 0,
                    Fate::Old => {
                        young = 0;
                        old.push((id, number, read));
                    }
                }
                if old.len() >= max || looked_at >= LOOKED_AT_MAX {
                    self.sweeping.set(place, Some(id));
                    self.sweeping.cut_short.fetch_or(old.is_empty(), Ordering::Relaxed);
                    return Ok(old);
                }
            }
            if young >= YOUNG_MAX && !(from_middle && old.is_empty()) {
                self.sweeping.set(place, None);
                return Ok(old);
            }
        }
    }

    async fn sweep_notifications(
        &self,
        merchant: MerchantId,
        cutoffs: &Cutoffs,
        max: usize,
    ) -> Result<usize> {
        if cutoffs.refused.is_none() && cutoffs.notifications.is_none() {
            return Ok(0);
        }
        let fate = |notification: &Notification| {
            let refused = matches!(
                notification.outcome,
                NotificationOutcome::Rejected | NotificationOutcome::Duplicate
            );
            let cutoff = if refused { cutoffs.refused } else { cutoffs.notifications };
            match cutoff {
                Some(cutoff) if notification.received_at < cutoff => Fate::Old,
                None => Fate::Kept,
                Some(_)
                    if [cutoffs.refused, cutoffs.notifications]
                        .iter()
                        .flatten()
                        .any(|at| notification.received_at < *at) =>
                {
                    Fate::Kept
                }
                Some(_) => Fate::Young,
            }
        };
        let old = self.old(merchant, max, fate).await?;
        if old.is_empty() {
            return Ok(0);
        }
        let mut call = Call::new(&scripts::SWEEP_NOTES, keys::of_merchant(merchant)).by_pool();
        call.push(keys::merchant(merchant));
        for (id, number, _) in &old {
            call.push(id.as_bytes());
            call.push_num(*number);
        }
        self.count(call).await
    }

    async fn sweep_events(&self, merchant: MerchantId, cutoff: i64, max: usize) -> Result<usize> {
        let fate = |event: &Event| if event.created_at < cutoff { Fate::Old } else { Fate::Young };
        let mut gone = 0;
        for (id, number, event) in self.old(merchant, max, fate).await? {
            if gone >= max {
                break;
            }
            let fields = self.everything_of(merchant, number).await?;
            let mut call = Call::new(&scripts::SWEEP_EVENT, keys::of_merchant(merchant)).by_pool();
            call.push(keys::merchant(merchant));
            call.push_num(number);
            call.push_count(fields.0.len());
            call.push(id.as_bytes());
            call.push_count(max.saturating_sub(gone));
            let (Some(leaning), Some(deliveries)) = (
                readable(fields.stood_up(merchant, number, event.id), merchant)?,
                readable(fields.all::<Delivery>(merchant, number), merchant)?,
            ) else {
                continue;
            };
            call.push_count(leaning.len());
            for (notification, record) in leaning {
                call.push(notification.0.as_bytes());
                call.push(record);
            }
            for delivery in deliveries {
                if delivery.event == event.id {
                    call.push(delivery.id.0.as_bytes());
                }
            }
            gone += self.count(call).await?;
        }
        Ok(gone)
    }

    /// Payments have no index by age: their numbers are gone through, the highest first, as the list does.
    async fn sweep_payments(&self, merchant: MerchantId, cutoff: i64, max: usize) -> Result<usize> {
        let place = (merchant, "payments");
        let mut below = Uuid::from_slice(&self.sweeping.get(place)).map(|id| id.as_u128()).unwrap_or(0);
        let mut from_middle = below > 0;
        let (mut gone, mut looked_at) = (0, 0);
        while gone < max && looked_at < LOOKED_AT_MAX {
            let call = Call::new(&scripts::PAYMENT_LIST, keys::of_merchant(merchant))
                .by_pool()
                .arg(keys::merchant(merchant))
                .num(i64::try_from(below).unwrap_or(0))
                .num(200_i64);
            let mut page = self.call(call).await?.rows()?;
            let next = number(page.item()?)?;
            looked_at += 1;
            while let Some(found) = page.next() {
                let found = number(found)?;
                looked_at += 1;
                let payment = record::payment(merchant, found, &page.item()?.bytes()?);
                if let Some(payment) = readable(payment, merchant)?
                    && payment.updated_at < cutoff
                {
                    gone += self.sweep_payment(&payment).await?;
                }
                if gone >= max {
                    self.sweeping.set(place, Some(Uuid::from_u128(u128::from(found))));
                    return Ok(gone);
                }
            }
            below = u128::from(next);
            if next == 0 && !(from_middle && gone == 0) {
                break;
            }
            from_middle &= next > 0;
        }
        self.sweeping.set(place, (below > 0).then(|| Uuid::from_u128(below)));
        self.sweeping.cut_short.fetch_or(below > 0 && gone == 0, Ordering::Relaxed);
        Ok(gone)
    }

    /// Replays have no index by age, but their ids are in the order of their making: the newest of the old ones first.
    async fn sweep_replays(&self, merchant: MerchantId, cutoff: i64, max: usize) -> Result<usize> {
        let mut before = (u128::from(u64::try_from(cutoff).unwrap_or(0)) << 80).to_be_bytes().to_vec();
        let (mut gone, mut looked_at) = (0, 0);
        while gone < max && looked_at < LOOKED_AT_MAX {
            let page = self.replays_made_before(merchant, &before).await?;
            let Some((last, _)) = page.last() else { break };
            before = last.clone();
            looked_at += page.len();
            let mut call = Call::new(&scripts::SWEEP_REPLAYS, keys::of_merchant(merchant)).by_pool();
            call.push_count(max.saturating_sub(gone));
            call.push(keys::merchant(merchant));
            let mut any = false;
            for (_, bytes) in page {
                let Some(replay) = readable(replay_of(merchant, &bytes), merchant)? else { continue };
                if replay.status != ReplayStatus::Running && replay.updated_at < cutoff {
                    call.push(replay.id.0.as_bytes());
                    call.push_num(i64::try_from(replay.version).unwrap_or(i64::MAX));
                    any = true;
                }
            }
            if any {
                gone += self.count(call).await?;
            }
        }
        Ok(gone)
    }

    /// Ids and records of some of the replays that were made before another one, the newest first.
    async fn replays_made_before(
        &self,
        merchant: MerchantId,
        before: &[u8],
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let key = keys::merchant(merchant);
        let mut call = Call::new(&scripts::HASH_LIST, keys::of_merchant(merchant))
            .by_pool()
            .arg(format!("rx:{key}"))
            .arg(format!("rp:{key}"))
            .arg(before);
        call.push_count(REPLAYS_PAGE);
        rows_of(self.call(call).await?)
    }

    async fn sweep_payment(&self, payment: &Payment) -> Result<usize> {
        let fields = self.everything_of(payment.merchant, payment.number).await?;
        for (name, _) in &fields.0 {
            match readable(record::field(name), payment.merchant)? {
                None | Some(Field::Event(_)) => return Ok(0),
                Some(_) => {}
            }
        }
        let mut call = Call::new(&scripts::SWEEP_PAYMENT, keys::of_merchant(payment.merchant)).by_pool();
        call.push(keys::merchant(payment.merchant));
        call.push_num(payment.number);
        call.push_count(fields.0.len());
        call.push_num(i64::try_from(payment.version).unwrap_or(i64::MAX));
        self.count(call).await
    }
}

/// A record that can't be read is kept, and does not hold up the others: it is damaged, or a newer version wrote it.
fn readable<T>(read: Result<T>, merchant: MerchantId) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(StoreError::Corrupt(why)) => {
            if let Some(left_out) = LOG.open() {
                tracing::error!(%merchant, why, left_out, "a record can't be read, and is kept");
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
