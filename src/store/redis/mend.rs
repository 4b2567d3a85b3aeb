//! Upkeep of the queues: work that waits nowhere is put back, that of deleted merchants goes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::RedisStore;
use super::call::{Call, Reply};
use super::keys::PARTITIONS;
use super::scripts;
use crate::store::Result;

/// Entries of the queue that are looked at in one step, and steps of one look in a partition.
const MEND_PAGE: usize = 1_000;
const MEND_PAGES_MAX: usize = 10;

/// Where the last look at the queues ended.
#[derive(Default)]
pub(super) struct Queues {
    /// In the queue of each partition: a cursor.
    cursors: Mutex<HashMap<u8, String>>,
    /// Deleted merchants of each partition without any work left in the queue: no more comes.
    cleared: Mutex<HashMap<u8, Vec<String>>>,
}

impl Queues {
    fn cursor(&self, partition: u8) -> String {
        let cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        cursors.get(&partition).cloned().unwrap_or_else(|| "0".to_owned())
    }

    fn set_cursor(&self, partition: u8, cursor: String) {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, cursor);
    }

    pub(super) fn cleared(&self, partition: u8) -> Vec<String> {
        let cleared = self.cleared.lock().unwrap_or_else(PoisonError::into_inner);
        cleared.get(&partition).cloned().unwrap_or_default()
    }

    pub(super) fn set_cleared(&self, partition: u8, merchants: Vec<String>) {
        self.cleared.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, merchants);
    }
}

impl RedisStore {
    /// Looks for work that waits nowhere, and puts it back: at some of the queue, from where the last look ended.
    pub(super) async fn mend_queues(&self) -> Result<()> {
        for partition in 0..PARTITIONS {
            self.sweeping.queues.set_cleared(partition, Vec::new());
            let mut cursor = self.sweeping.queues.cursor(partition);
            for _ in 0..MEND_PAGES_MAX {
                cursor = self.mend_page(partition, cursor).await?.0;
                if cursor == "0" {
                    break;
                }
            }
            self.sweeping.queues.set_cursor(partition, cursor);
        }
        Ok(())
    }

    /// Takes the work of deleted merchants out of a queue, all of it: it has to go before their records.
    pub(super) async fn clear_queue(&self, partition: u8) -> Result<()> {
        let (mut cursor, left) = self.mend_page(partition, "0".to_owned()).await?;
        while cursor != "0" {
            cursor = self.mend_page(partition, cursor).await?.0;
        }
        self.sweeping.queues.set_cleared(partition, left);
        Ok(())
    }

    /// Gives the next cursor, and the deleted merchants whose work went.
    async fn mend_page(&self, partition: u8, cursor: String) -> Result<(String, Vec<String>)> {
        let mut call = Call::new(&scripts::MEND, partition).by_pool().arg(&cursor);
        call.push_count(MEND_PAGE);
        let mut rows = self.call(call).await?.rows()?;
        let cursor = rows.item()?.text()?;
        let (works, lanes) = (rows.item()?.int()?, rows.item()?.int()?);
        let left = rows.map(Reply::text).collect::<Result<_>>()?;
        if works + lanes > 0 {
            metrics::counter!("kassir_queue_mended_total")
                .increment(u64::try_from(works + lanes).unwrap_or(0));
            tracing::error!(
                partition,
                works,
                lanes,
                "keys of the queue were missing in Redis, as if removed by hand; what waits is put back, and is due at \
                 once where its due time is gone"
            );
        }
        Ok((cursor, left))
    }
}
