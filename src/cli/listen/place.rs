//! Where a listener stands, in a file that only its owner may read: it holds the signing secret.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use kassir_providers::digest::Hash;
use serde::{Deserialize, Serialize};

use crate::cli::Failed;
use crate::delivery::signature::SigningKey;
use crate::domain::ids::EventId;
use crate::manage::replays::pick::lowest;
use crate::secrets::write_private;

/// How far back events may still show that were not there before, milliseconds.
const LATE_MS: u64 = 60_000;
/// Events that are remembered by their ids at the most; of more the oldest are taken as settled.
const KNOWN_MAX: usize = 20_000;
/// Characters of a target's hash in the name of its file.
const TARGET_LEN: usize = 8;

#[derive(Serialize, Deserialize)]
struct Kept {
    merchant: String,
    secret: String,
    /// Everything up to here is done with.
    settled: Option<EventId>,
    /// What is done with beyond that.
    done: BTreeSet<EventId>,
}

/// Where a listener stands.
pub(super) struct Place {
    file: PathBuf,
    /// Held for as long as this listens: two would write over each other's place.
    _lock: File,
    is_new: bool,
    kept: Kept,
    /// The `whsec_…` text of this listener.
    pub(super) secret: String,
}

impl Place {
    /// Reads the file, or begins with a new secret.
    pub(super) fn open(file: PathBuf, merchant: &str) -> Result<Place, Failed> {
        let lock = lock(&file)?;
        let kept = match std::fs::read(&file) {
            Ok(text) => {
                let wrong = |why: String| Failed::Usage(format!("{}: {why}", file.display()));
                let kept: Kept = serde_json::from_slice(&text)
                    .map_err(|error| wrong(format!("{error}; remove it to begin anew")))?;
                if kept.merchant != merchant {
                    let why = format!("it belongs to {}; name another file by --state", kept.merchant);
                    return Err(wrong(why));
                }
                Some(kept)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failed::Work(format!("can't read {}: {error}", file.display()))),
        };
        let is_new = kept.is_none();
        let kept = match kept {
            Some(kept) => kept,
            None => {
                let key = SigningKey::generate().map_err(|error| Failed::Work(error.to_string()))?;
                let secret = key.text().expose().to_owned();
                Kept { merchant: merchant.to_owned(), secret, settled: None, done: BTreeSet::new() }
            }
        };
        Ok(Place { file, _lock: lock, is_new, secret: kept.secret.clone(), kept })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Whether nothing was kept of an earlier run.
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Begins after an event; `None`: with the oldest.
    pub(super) fn begin(&mut self, after: Option<EventId>) {
        self.kept.settled = after;
        self.kept.done.clear();
    }

    /// Everything up to here is done with.
    pub(super) const fn settled(&self) -> Option<EventId> {
        self.kept.settled
    }

    /// Whether an event is done with.
    pub(super) fn knows(&self, id: EventId) -> bool {
        self.kept.done.contains(&id) || self.kept.settled.is_some_and(|settled| id <= settled)
    }

    /// An event is done with.
    pub(super) fn done(&mut self, id: EventId) {
        self.kept.done.insert(id);
        while self.kept.done.len() > KNOWN_MAX {
            self.kept.settled = self.kept.done.pop_first().max(self.kept.settled);
        }
    }

    /// All that was there up to `newest` is done with: what is old enough needs not be remembered one by one.
    pub(super) fn settle(&mut self, newest: Option<EventId>) {
        let Some(newest) = newest else { return };
        let ms = u64::try_from(newest.0.as_u128() >> 80).unwrap_or(0).saturating_sub(LATE_MS);
        let settled = EventId(lowest(i64::try_from(ms).unwrap_or(0)));
        if self.kept.settled.is_none_or(|before| before < settled) {
            self.kept.settled = Some(settled);
            self.kept.done.retain(|id| *id > settled);
        }
    }

    /// Keeps it: whole, or not at all.
    pub(super) fn save(&self) -> Result<(), Failed> {
        let text = serde_json::to_string(&self.kept).map_err(|error| Failed::Work(error.to_string()))?;
        let fresh = beside(&self.file, "new");
        let write = || {
            match std::fs::remove_file(&fresh) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => write_private(&fresh, &text)?,
            }
            std::fs::rename(&fresh, &self.file)
        };
        write().map_err(|error| Failed::Work(format!("can't write {}: {error}", self.file.display())))
    }
}

/// The file that is kept for a merchant and a target, unless another is named: each target has a place of its own.
pub(super) fn file_for(merchant: &str, target: &str) -> PathBuf {
    let hash = Hash::Sha256.hex(target.trim_end_matches('/').as_bytes());
    let short = hash.get(..TARGET_LEN).unwrap_or(&hash);
    PathBuf::from(format!("kassir-listen-{merchant}-{short}.json"))
}

/// The file's whole name and something behind it.
fn beside(file: &Path, more: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{more}"));
    PathBuf::from(name)
}

/// Takes the place for this process. The lock is on a file of its own, which stays: the place's is replaced with each
/// write. The system lifts it when the process ends, however it does.
fn lock(file: &Path) -> Result<File, Failed> {
    let path = beside(file, "lock");
    let can_not = |error: std::io::Error| Failed::Work(format!("can't lock {}: {error}", path.display()));
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(can_not)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Failed::Usage(format!(
            "{} is in use: another kassir listen forwards from there; end it, or name another file by --state",
            file.display()
        ))),
        Err(TryLockError::Error(error)) => Err(can_not(error)),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(ms: u128, n: u128) -> EventId {
        EventId(Uuid::from_u128((ms << 80) | n))
    }

    #[test]
    fn what_is_done_with_is_known_and_late_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("place.json");
        let mut place = Place::open(file.clone(), "mer_1").unwrap();
        assert!(place.is_new());
        place.begin(Some(id(1_000, 0)));
        for ms in [2_000, 90_000, 100_000] {
            place.done(id(ms, 1));
        }
        place.settle(Some(id(100_000, 1)));
        place.save().unwrap();
        drop(place);
        let place = Place::open(file.clone(), "mer_1").unwrap();
        assert!(!place.is_new());
        assert!(place.knows(id(2_000, 1)) && place.knows(id(39_000, 7)) && place.knows(id(90_000, 1)));
        assert!(!place.knows(id(90_000, 2)), "one that shows late is not known");
        assert!(!place.knows(id(100_001, 0)));
        drop(place);
        assert!(Place::open(file, "mer_2").is_err());
    }

    #[test]
    fn a_place_is_for_one_listener_and_a_target_has_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["http://localhost:3000/a", "http://localhost:3000/b"]
            .map(|to| folder.path().join(file_for("mer_1", to)));
        assert_ne!(one, other);
        assert_eq!(file_for("mer_1", "http://h/"), file_for("mer_1", "http://h"));
        let first = Place::open(one.clone(), "mer_1").unwrap();
        let second = Place::open(other, "mer_1").unwrap();
        let Err(Failed::Usage(why)) = Place::open(one.clone(), "mer_1") else { panic!("it was let in") };
        assert!(why.contains("is in use: another kassir listen"), "{why}");
        for place in [&first, &second, &first] {
            place.save().unwrap();
        }
        drop(first);
        assert!(!Place::open(one, "mer_1").unwrap().is_new());
    }
}
