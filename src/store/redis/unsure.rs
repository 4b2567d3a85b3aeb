//! Results of which nobody knows whether they were written: the connection broke, or too few replicas have them. Whoever
//! writes one again must get the first answer, and not hear that the lease is not theirs any more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::call::{Reply, Request};
use crate::store::{Fence, Result, StoreError};

/// Results that are remembered: more than are under way.
const REMEMBERED_MAX: usize = 4_096;

/// What was asked for such results.
#[derive(Default)]
pub(super) struct Unsure(Mutex<HashMap<Fence, Request>>);

impl Unsure {
    fn all(&self) -> MutexGuard<'_, HashMap<Fence, Request>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As what a result is to be written.
    pub(super) fn request(&self, fence: Fence) -> Request {
        self.all().get(&fence).map_or_else(Request::new, |before| before.again())
    }

    /// What came of it.
    pub(super) fn note(&self, fence: Fence, request: Request, reply: &Result<Reply>) {
        let mut all = self.all();
        if !matches!(reply, Err(StoreError::Unavailable(_))) {
            all.remove(&fence);
            return;
        }
        if all.len() >= REMEMBERED_MAX {
            all.clear();
        }
        all.insert(fence, request);
    }
}
