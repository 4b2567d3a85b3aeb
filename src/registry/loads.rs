//! Reads of one merchant's configuration that many ask for at once: it is large for some, and each change of it is
//! followed by a read of everybody who has work for that merchant.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::MerchantView;
use crate::domain::ids::MerchantId;
use crate::store::StoreError;

/// What a read gave.
pub(super) type Loaded = Result<Option<Arc<MerchantView>>, StoreError>;

/// A read's turn and what it gave; whoever reads holds it locked.
type Load = Arc<tokio::sync::Mutex<Option<(u64, Loaded)>>>;

/// The reads that are under way.
#[derive(Default)]
pub(super) struct Loads {
    under_way: Mutex<HashMap<MerchantId, Load>>,
    turns: AtomicU64,
}

impl Loads {
    fn under_way(&self) -> MutexGuard<'_, HashMap<MerchantId, Load>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a read gives that begins now or later: the caller's own, or that of another who asked meanwhile. One that
    /// is under way already may not see what the caller knows of.
    pub(super) async fn share(&self, id: MerchantId, read: impl Future<Output = Loaded>) -> Loaded {
        let asked = self.turns.fetch_add(1, Ordering::Relaxed);
        let load = Arc::clone(self.under_way().entry(id).or_default());
        let asker = Asker { loads: self, id, load };
        let mut last = asker.load.lock().await;
        match &*last {
            Some((begun, loaded)) if *begun > asked => loaded.clone(),
            _ => {
                let begun = self.turns.fetch_add(1, Ordering::Relaxed);
                let loaded = read.await;
                *last = Some((begun, loaded.clone()));
                loaded
            }
        }
    }
}

/// Somebody who reads or waits for a read; the last one takes it away.
struct Asker<'a> {
    loads: &'a Loads,
    id: MerchantId,
    load: Load,
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        let mut under_way = self.loads.under_way();
        // The map's and ours.
        if Arc::strong_count(&self.load) <= 2 {
            under_way.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_hundred_at_once_are_two_reads() {
        let (loads, reads, gate) = (Loads::default(), AtomicUsize::new(0), Semaphore::new(0));
        let id = MerchantId(uuid::Uuid::nil());
        let ask = |_| {
            loads.share(id, async {
                reads.fetch_add(1, Ordering::Relaxed);
                gate.acquire().await.unwrap().forget();
                Err(StoreError::Unavailable("away".to_owned()))
            })
        };
        let all = join_all((0..100).map(ask));
        let answers = tokio::join!(all, async {
            tokio::task::yield_now().await;
            gate.add_permits(2);
        });
        assert!(
            answers.0.iter().all(Result::is_err),
            "an error is shared as well: nobody waits for a timeout each"
        );
        assert_eq!(reads.load(Ordering::Relaxed), 2, "the first, and one that began after all had asked");
        assert!(loads.under_way().is_empty());
        gate.add_permits(1);
        let _ = ask(0).await;
        assert_eq!(reads.load(Ordering::Relaxed), 3, "what was read before says nothing of now");
    }

    #[tokio::test]
    async fn a_read_that_is_given_up_keeps_nobody_waiting() {
        let loads = Loads::default();
        let id = MerchantId(uuid::Uuid::nil());
        let mut first = Box::pin(loads.share(id, std::future::pending()));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut second = Box::pin(loads.share(id, async { Ok(None) }));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert!(second.await.unwrap().is_none());
        assert!(loads.under_way().is_empty());
    }
}
