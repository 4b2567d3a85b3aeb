//! Which partitions may have due work, as far as this router knows: a claim that finds work need not ask those that
//! had none a moment ago. What other routers put there is found a little later, or at once when nothing else is found.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::keys::PARTITIONS;
use crate::clock::Stopwatch;

/// After so long a partition is asked again, whatever it said.
const ASKED_AGAIN: Duration = Duration::from_millis(100);

/// How long a partition that failed is waited for, when it is asked again: all others wait with it.
const BRIEF: Duration = Duration::from_millis(250);
/// How long it is not asked then.
const REST: Duration = Duration::from_secs(1);
/// After so long it is waited for as long as any other: it may be slow for good, and not down.
const PATIENT_AGAIN: Duration = Duration::from_secs(30);

/// What is known of a partition.
#[derive(Default, Clone, Copy)]
struct Head {
    /// When it was asked last.
    asked: Option<Stopwatch>,
    /// When its next work is due, by the store's clock: as it said, or as was written since.
    due: Option<i64>,
    /// Since its last answer to a claim was an error: when it was waited for patiently last.
    failed: Option<Stopwatch>,
}

impl Head {
    fn rests(&self) -> bool {
        self.failed.is_some() && self.asked.is_some_and(|asked| asked.elapsed() < REST)
    }
}

/// What is known of each partition.
#[derive(Default)]
pub(super) struct Heads(Mutex<[Head; PARTITIONS as usize]>);

impl Heads {
    fn all(&self) -> MutexGuard<'_, [Head; PARTITIONS as usize]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of the partitions that should be asked now, and the others that may be; those that failed a moment ago are
    /// in neither, unless all did.
    pub(super) fn part(&self, mut partitions: Vec<u8>, now: i64) -> (Vec<u8>, Vec<u8>) {
        let all = self.all();
        if !all.iter().all(|head| head.failed.is_some()) {
            partitions.retain(|partition| !all.get(usize::from(*partition)).is_some_and(Head::rests));
        }
        let (asked, spared): (Vec<u8>, Vec<u8>) = partitions.iter().partition(|partition| {
            let head = all.get(usize::from(**partition)).copied().unwrap_or_default();
            let fresh = head.asked.is_some_and(|asked| asked.elapsed() < ASKED_AGAIN);
            !fresh || head.due.is_some_and(|due| due <= now)
        });
        if asked.is_empty() { (spared, asked) } else { (asked, spared) }
    }

    /// When a partition's next work is due, as far as that is known.
    pub(super) fn due(&self, partition: u8) -> Option<i64> {
        self.all().get(usize::from(partition)).and_then(|head| head.due)
    }

    /// A partition is asked: what is written from now on is news.
    pub(super) fn ask(&self, partition: u8) {
        if let Some(head) = self.all().get_mut(usize::from(partition)) {
            *head = Head { asked: Some(Stopwatch::start()), due: None, ..*head };
        }
    }

    /// How long to wait for a partition, if that is not as long as usual: it failed last time, and others did not.
    pub(super) fn brief(&self, partition: u8) -> Option<Duration> {
        let mut all = self.all();
        if all.iter().all(|head| head.failed.is_some()) {
            return None;
        }
        let patient = all.get_mut(usize::from(partition))?.failed.as_mut()?;
        if patient.elapsed() < PATIENT_AGAIN {
            return Some(BRIEF);
        }
        *patient = Stopwatch::start();
        None
    }

    /// Whether a partition answered a claim.
    pub(super) fn answered(&self, partition: u8, well: bool) {
        if let Some(head) = self.all().get_mut(usize::from(partition)) {
            head.failed = if well { None } else { head.failed.or_else(|| Some(Stopwatch::start())) };
        }
    }

    /// Work waits there that is due then; `None`: perhaps at once.
    pub(super) fn waits(&self, partition: u8, due: Option<i64>) {
        if let Some(head) = self.all().get_mut(usize::from(partition)) {
            let due = due.unwrap_or(i64::MIN);
            head.due = Some(head.due.map_or(due, |known| known.min(due)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_without_work_is_spared_until_work_is_due_there() {
        let heads = Heads::default();
        let part = |now| heads.part(vec![0, 1, 2], now);
        assert_eq!(part(10), (vec![0, 1, 2], vec![]), "none was asked yet");
        for partition in 0..3 {
            heads.ask(partition);
        }
        assert_eq!(part(10), (vec![0, 1, 2], vec![]), "nothing is known: all are asked");
        heads.waits(1, Some(10));
        heads.waits(2, Some(20));
        assert_eq!(part(10), (vec![1], vec![0, 2]));
        heads.waits(2, None);
        assert_eq!(part(10), (vec![1, 2], vec![0]));
        heads.ask(1);
        assert_eq!(heads.due(1), None);
    }

    #[test]
    fn nobody_waits_long_for_a_partition_that_failed_until_it_answers() {
        let heads = Heads::default();
        assert_eq!(heads.brief(1), None);
        heads.answered(1, false);
        heads.ask(1);
        assert_eq!(heads.part(vec![0, 1], 0), (vec![0], vec![]));
        assert_eq!((heads.brief(1), heads.brief(2)), (Some(BRIEF), None));
        heads.answered(1, true);
        assert_eq!(heads.brief(1), None);
        (0..PARTITIONS).for_each(|partition| heads.answered(partition, false));
        assert_eq!(heads.brief(1), None, "none answers: nobody is kept waiting");
        assert_eq!(heads.part(vec![0, 1], 0), (vec![0], vec![1]));
    }
}
