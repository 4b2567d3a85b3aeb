//! The system itself refuses an fsync (EIO) or has no room for a write (ENOSPC) of the store's files, under load. strace
//! does that to the router: from one call on, up to another, or for good. Nothing is acknowledged meanwhile, readiness is
//! red, the log is short; and once it is over the router goes on, and all that it ever acknowledged is there.

use std::time::Duration;

use kassir::clock::Stopwatch;

use crate::faults::{Counts, Receiver, Shop, Stream, end_and_compare, open_shop, size};
use crate::process::{Plan, Process, ready, until_ready};

/// Senders at once.
const SENDERS: usize = 8;
/// Requests that the subscriber takes at once: no more can be sent again because their result was not written.
const IN_FLIGHT: usize = 64;
/// The refused calls begin after about so many notifications.
const BEFORE: usize = 60;
/// Calls that are refused before all is well again.
const REFUSED: usize = 40;
/// Pause between two looks at the readiness.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a lasting outage is watched, seconds.
const WATCHED_S: u64 = 2;
/// Lines of log in a second of an outage: about one from each part that is hindered.
const LINES_PER_S: usize = 6;
/// … and beside those, for the beginning and the end.
const LINES: usize = 20;

/// What the system refuses.
#[derive(Clone, Copy)]
struct Refusal {
    name: &'static str,
    /// Of these calls, which a thread makes on the store's files …
    calls: &'static str,
    error: &'static str,
    /// … about so many come with each commit.
    per_commit: usize,
}

const FSYNC_FAILS: Refusal =
    Refusal { name: "C7-fsync", calls: "fsync,fdatasync", error: "EIO", per_commit: 1 };
const NO_ROOM: Refusal =
    Refusal { name: "C6-enospc", calls: "write,pwrite64", error: "ENOSPC", per_commit: 20 };

impl Refusal {
    /// The router of a plan under strace, which refuses calls of these numbers, such as `60..120` or `60+`. With -D the
    /// router itself is the test's child.
    fn of(self, plan: &Plan, numbers: &str) -> Plan {
        let Refusal { calls, error, .. } = self;
        let folder = plan.folder.canonicalize().unwrap();
        let file = folder.join("kassir.db").display().to_string();
        let options = "-D -f -qq --seccomp-bpf -e signal=none -o /dev/null";
        let paths = format!("-P '{file}' -P '{file}-wal'");
        let inject = format!("-e trace={calls} -e inject={calls}:error={error}:when={numbers}");
        let before = format!("exec strace {options} {paths} {inject} \"$0\" \"$@\"");
        Plan { before: Some(before), log: Some(plan.folder.join("log")), ..plan.clone() }
    }
}

/// An oracle of the whole test: one shop, one subscriber, one log.
struct Ground {
    plan: Plan,
    shop: Shop,
    receiver: std::sync::Arc<Receiver>,
    accepted: Vec<usize>,
    outage: Duration,
    lines: usize,
}

impl Ground {
    async fn new(folder: &std::path::Path) -> Ground {
        let plan = Plan::sqlite(folder);
        let (receiver, router, shop) = open_shop(&plan).await;
        assert_eq!(router.terminate().await, Some(0));
        Ground { plan, shop, receiver, accepted: Vec::new(), outage: Duration::ZERO, lines: 0 }
    }

    fn log_lines(&self) -> usize {
        std::fs::read_to_string(self.plan.folder.join("log")).unwrap_or_default().lines().count()
    }

    /// It passes: the router goes on by itself.
    async fn passes(&mut self, refusal: Refusal, first: usize, round: usize) -> Process {
        let before = self.log_lines();
        let numbers = format!("{first}..{}", first + REFUSED);
        let plan = refusal.of(&self.plan, &numbers);
        let router = plan.start().await;
        let stream = Stream::start(&self.shop, 100_000 * (round + 1), SENDERS);
        until_ready(&plan, false).await;
        let began = Stopwatch::start();
        until_ready(&plan, true).await;
        let outage = began.elapsed();
        stream.more(SENDERS * 10).await;
        self.accepted.extend(stream.stop().await);
        self.note(before, outage);
        router
    }

    /// It lasts: nothing is accepted until the router is killed and finds a disk that works.
    async fn lasts(&mut self, refusal: Refusal, first: usize, round: usize) {
        let before = self.log_lines();
        let plan = refusal.of(&self.plan, &format!("{first}+"));
        let router = plan.start().await;
        let stream = Stream::start(&self.shop, 100_000 * (round + 1), SENDERS);
        until_ready(&plan, false).await;
        let (accepted, began) = (stream.count(), Stopwatch::start());
        while began.elapsed() < Duration::from_secs(WATCHED_S) {
            assert!(!ready(&plan).await, "ready while every commit fails");
            tokio::time::sleep(PAUSE).await;
        }
        // Those whose commit was the last that worked may have heard of it just now.
        let more = stream.count() - accepted;
        assert!(more <= SENDERS, "{more} acknowledged although their commits failed");
        let outage = began.elapsed();
        router.kill_9().await;
        self.note(before, outage);
        let router = self.plan.start().await;
        stream.more(SENDERS * 10).await;
        self.accepted.extend(stream.stop().await);
        assert_eq!(router.terminate().await, Some(0));
    }

    fn note(&mut self, lines_before: usize, outage: Duration) {
        let lines = self.log_lines() - lines_before;
        let most = LINES + LINES_PER_S * usize::try_from(outage.as_secs() + 1).unwrap();
        assert!(lines <= most, "{lines} lines of log, most of an outage of {outage:?}");
        self.lines = self.lines.max(lines);
        self.outage = self.outage.max(outage);
    }

    async fn compare(&self, router: Process) -> Counts {
        self.receiver.wait_for(&self.accepted).await;
        end_and_compare(vec![router], &self.plan, &self.accepted).await;
        self.receiver.assert_one_event_each();
        self.receiver.counts(&self.accepted)
    }
}

async fn refused(refusal: Refusal) {
    let folder = tempfile::tempdir().unwrap();
    let mut ground = Ground::new(folder.path()).await;
    let rounds = size(1, 10);
    for round in 0..rounds {
        // Not always at the same moment.
        let first = refusal.per_commit * (BEFORE + round * 13);
        let router = ground.passes(refusal, first, 2 * round).await;
        assert_eq!(router.terminate().await, Some(0));
        ground.lasts(refusal, first, 2 * round + 1).await;
    }
    let router = ground.plan.start().await;
    let counts = ground.compare(router).await;
    let longest = format!("{:.1}", ground.outage.as_secs_f64());
    let outages = 2 * rounds;
    counts.print(
        refusal.name,
        &[("outages", &outages), ("longest_s", &longest), ("log_lines_in_one", &ground.lines)],
    );
    assert_eq!(counts.lost, 0);
    assert!(counts.duplicated <= outages * IN_FLIGHT, "more than could be under way: {counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_fsync_that_fails() {
    refused(FSYNC_FAILS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_room_for_a_write() {
    refused(NO_ROOM).await;
}
