//! How many names are looked up at once. The operating system's resolver takes a thread for each, and for a name whose
//! servers don't answer it keeps it for half a minute, whoever gave up waiting. Names that were not found last time get
//! half of the places: very many dead ones keep no place from the others, nor a thread from the store's reads.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Names that are looked up at once: tokio has 512 threads for such work, and others need some.
const PLACES: usize = 384;
/// Of these, names that were not found last time.
const DOUBTFUL: usize = PLACES / 2;
/// Names that are remembered as not found.
const REMEMBERED_MAX: usize = 65_536;

/// The places.
pub(super) struct Lookups {
    all: Arc<Semaphore>,
    doubtful: Arc<Semaphore>,
    /// Names that were not found last time, or not in time.
    unanswered: Mutex<BTreeSet<String>>,
}

impl Default for Lookups {
    fn default() -> Lookups {
        Lookups::of(PLACES, DOUBTFUL)
    }
}

impl Lookups {
    fn of(all: usize, doubtful: usize) -> Lookups {
        let [all, doubtful] = [all, doubtful].map(|places| Arc::new(Semaphore::new(places)));
        Lookups { all, doubtful, unanswered: Mutex::default() }
    }

    fn unanswered(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks a name up on a thread of its own, once there is a place; that is free again when the thread has ended.
    ///
    /// # Errors
    /// Those of `look_up`.
    pub(super) async fn run<F>(&self, name: &str, look_up: F) -> io::Result<Vec<IpAddr>>
    where
        F: FnOnce(&str) -> io::Result<Vec<IpAddr>> + Send + 'static,
    {
        let mut asking = Asking { lookups: self, name, found: false };
        let doubtful = self.unanswered().contains(name);
        let doubtful = if doubtful { place(&self.doubtful).await } else { None };
        let places = (doubtful, place(&self.all).await);
        let owned = name.to_owned();
        let running = tokio::task::spawn_blocking(move || {
            let found = look_up(&owned);
            drop(places);
            found
        });
        let found = running.await.map_err(io::Error::other)??;
        asking.found = true;
        Ok(found)
    }

    fn note(&self, name: &str, found: bool) {
        let mut unanswered = self.unanswered();
        if found {
            unanswered.remove(name);
            return;
        }
        if unanswered.len() >= REMEMBERED_MAX {
            unanswered.clear();
        }
        unanswered.insert(name.to_owned());
    }
}

/// A look-up, which whoever asked for it may give up.
struct Asking<'a> {
    lookups: &'a Lookups,
    name: &'a str,
    found: bool,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.lookups.note(self.name, self.found);
    }
}

/// A place; the semaphore is never closed.
async fn place(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(places).acquire_owned().await.ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn names_that_are_not_found_take_half_of_the_places() {
        let lookups = Lookups::of(4, 2);
        let good = |name| lookups.run(name, |_| Ok(vec![HERE]));
        for name in ["a", "b", "c"] {
            assert!(lookups.run(name, |_| Err(io::Error::other("none"))).await.is_err());
        }
        // Their servers don't answer any more, and who asked gives up.
        let (end, ended) = mpsc::channel::<()>();
        let ended = Arc::new(Mutex::new(ended));
        for name in ["a", "b", "c"] {
            let ended = Arc::clone(&ended);
            let hangs = lookups.run(name, move |_| {
                let _ = ended.lock().unwrap().recv();
                Err(io::Error::other("no answer"))
            });
            assert!(tokio::time::timeout(Duration::from_millis(10), hangs).await.is_err());
        }
        assert_eq!((lookups.all.available_permits(), lookups.doubtful.available_permits()), (2, 0));
        assert_eq!(good("d").await.unwrap(), [HERE]);
        assert_eq!(good("d").await.unwrap(), [HERE], "it was found");
        drop(end);
        assert_eq!(good("c").await.unwrap(), [HERE], "a thread has ended, and there is a place");
        assert!(!lookups.unanswered().contains("c"));
    }
}
