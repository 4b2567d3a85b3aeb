//! Power loss: what was written and not fsynced is gone, in part or whole, and what was acknowledged is there.
//!
//! The victim of the kill -9 tests runs under strace, which writes down every write and every fsync of the store's files.
//! Then the power fails at many moments of that record: the files are made anew from what had been fsynced by then, with
//! none, all, or some of the other writes (of 512-byte sectors, too), and a store is opened on them.
//!
//! And errors of fsync: strace makes several in a row fail, and the victim goes on. After a failed fsync a system may take
//! what it had not written for written, and never write it: so it is gone with the next power failure, in any case.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;

use kassir::clock::ManualClock;
use kassir::store::sqlite::SqliteStore;

use super::File;
use super::crash::{Acknowledged, GOES_ON, check, start_by};
use crate::faults::{UNCOUNTED, print, size};
use crate::store_suite::START;
use crate::store_suite::samples::{Shop, shop};

/// What a disk writes whole.
const SECTOR: usize = 512;

/// So many steps fill the log several times.
const FILLED: usize = 20_000;

/// A call of the victim, in the order of its beginning.
struct Call {
    began: f64,
    ended: f64,
    what: What,
}

enum What {
    Write {
        file: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Cut {
        file: String,
        to: usize,
    },
    Sync {
        file: String,
    },
    /// An fsync that failed.
    NoSync {
        file: String,
    },
    Gone {
        file: String,
    },
    Acknowledged(String),
}

/// A file: what the disk has, and what only the system has.
#[derive(Default, Clone)]
struct Disk {
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone)]
enum Pending {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl Pending {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Pending::Write(at, bytes) => {
                content.resize(content.len().max(at + bytes.len()), 0);
                content[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Pending::Cut(to) => content.resize(*to, 0),
        }
    }
}

/// Which of the pending writes a power failure keeps.
#[derive(Clone, Copy, Debug)]
enum Keeps {
    Nothing,
    Everything,
    /// By chance, from this seed, sector by sector.
    Some(u64),
}

impl Disk {
    fn sync(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            pending.apply(&mut self.durable);
        }
    }

    /// What waited is taken for written from now on, and is not.
    fn lose(&mut self) -> usize {
        std::mem::take(&mut self.pending).len()
    }

    fn after_power_loss(&self, keeps: Keeps) -> Vec<u8> {
        let mut content = self.durable.clone();
        let mut chance = match keeps {
            Keeps::Nothing => return content,
            Keeps::Everything => 0,
            Keeps::Some(seed) => seed | 1,
        };
        let mut kept = || {
            if chance == 0 {
                return true;
            }
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            chance % 2 == 0
        };
        for pending in &self.pending {
            match pending {
                Pending::Cut(_) if kept() => pending.apply(&mut content),
                Pending::Cut(_) => {}
                Pending::Write(at, bytes) => {
                    for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                        if kept() {
                            Pending::Write(at + number * SECTOR, sector.to_vec()).apply(&mut content);
                        }
                    }
                }
            }
        }
        content
    }
}

/// Reads a line of strace: `TIME call(arguments) = result <duration>`. `places`: where each descriptor stands.
fn read(line: &str, places: &mut HashMap<String, usize>) -> Option<Call> {
    let (time, rest) = line.split_once(' ')?;
    let (name, rest) = rest.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(") = ")?;
    let (value, took) = result.split_once(' ').unwrap_or((result, ""));
    let value: i64 = value.parse().ok()?;
    let began: f64 = time.parse().ok()?;
    let took = result.rsplit_once('<').map_or(took, |(_, took)| took).trim_end_matches('>');
    let ended = began + took.parse::<f64>().unwrap_or(0.0);
    let call = |what| Some(Call { began, ended, what });
    let failed = value < 0;
    if failed && !matches!(name, "fsync" | "fdatasync") {
        return None;
    }
    let (descriptor, rest) = arguments.split_once(", ").unwrap_or((arguments, ""));
    if name == "unlink" {
        return call(What::Gone { file: base(text(arguments)?) });
    }
    let (number, path) = descriptor.split_once('<')?;
    let file = base(text(&format!("\"{}\"", path.trim_end_matches('>')))?);
    if name == "write" && number == "1" {
        let said = String::from_utf8(bytes(rest)?).ok()?;
        return call(What::Acknowledged(said));
    }
    if !file.starts_with("kassir.db") || file.ends_with("-shm") || file.ends_with(".lock") {
        return None;
    }
    match name {
        "lseek" => {
            places.insert(number.to_owned(), usize::try_from(value).ok()?);
            None
        }
        "write" => {
            let at = places.entry(number.to_owned()).or_default();
            let what = What::Write { file, at: *at, bytes: bytes(rest)? };
            *at += usize::try_from(value).ok()?;
            call(what)
        }
        "pwrite64" => {
            let at = rest.rsplit_once(", ")?.1.parse().ok()?;
            call(What::Write { file, at, bytes: bytes(rest)? })
        }
        "ftruncate" => call(What::Cut { file, to: rest.parse().ok()? }),
        "fsync" | "fdatasync" if failed => call(What::NoSync { file }),
        "fsync" | "fdatasync" => call(What::Sync { file }),
        _ => None,
    }
}

fn base(path: String) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The first string among arguments, `"\x01\x02"…`, as bytes.
fn bytes(arguments: &str) -> Option<Vec<u8>> {
    let (_, rest) = arguments.split_once('"')?;
    let (string, after) = rest.split_once('"')?;
    assert!(!after.starts_with("..."), "strace cut a write");
    string.split("\\x").skip(1).map(|hex| u8::from_str_radix(hex, 16).ok()).collect()
}

fn text(arguments: &str) -> Option<String> {
    String::from_utf8(bytes(arguments)?).ok()
}

/// All calls of all threads. Within a thread descriptors stand where its calls left them; only one thread writes.
fn record(folder: &Path) -> Vec<Call> {
    let mut calls = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let trace = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut places = HashMap::new();
        calls.extend(trace.lines().filter_map(|line| read(line, &mut places)));
    }
    calls.sort_by(|one, other| one.began.total_cmp(&other.began));
    calls
}

/// How a victim lives, and dies.
enum Life {
    /// It is killed once it acknowledged so much.
    Killed { wanted: usize },
    /// The same; these of its fsyncs fail, as strace is told, and it goes on.
    Shaken { wanted: usize, failing: String },
    /// From this fsync on all fail, and it ends by itself.
    Ended { from: usize },
}

/// Runs the victim under strace.
fn victim(path: &Path, shop: &Shop, traces: &Path, life: &Life) {
    let mut strace = Command::new("strace");
    let calls = "trace=write,pwrite64,lseek,ftruncate,fsync,fdatasync,unlink";
    strace.args(["-ff", "-ttt", "-T", "-y", "-xx", "-s", "1000000", "-e", calls, "-o"]);
    strace.arg(traces.join("t"));
    let inject = |numbers: &str| format!("inject=fsync,fdatasync:error=EIO:when={numbers}");
    let wanted = match life {
        Life::Killed { wanted } => Some(*wanted),
        Life::Shaken { wanted, failing } => {
            strace.args(["-e", &inject(failing)]).env(GOES_ON, "1");
            Some(*wanted)
        }
        Life::Ended { from } => {
            strace.args(["-e", &inject(&format!("{from}+"))]);
            None
        }
    };
    strace.arg(std::env::current_exe().unwrap());
    let (mut child, mut lines) = start_by(strace, path, shop);
    let mut known = Acknowledged::default();
    if let Some(wanted) = wanted {
        let got = known.read(&mut lines, wanted as u128);
        assert_eq!(
            got, wanted as u128,
            "the victim ended by itself; strace is needed: apt-get install strace"
        );
        kill_traced(&child);
    }
    known.read(&mut lines, u128::MAX);
    child.wait().unwrap();
}

/// Kills the victim, not strace, so that strace writes down all that it saw.
fn kill_traced(strace: &Child) {
    let children = format!("/proc/{0}/task/{0}/children", strace.id());
    let traced = std::fs::read_to_string(children).unwrap();
    assert!(Command::new("kill").args(["-9", traced.trim()]).status().unwrap().success());
}

/// Opens a store on the files as the power failure left them; everything acknowledged must be there, and whole.
async fn survives(disks: &HashMap<String, Disk>, keeps: Keeps, own: &Shop, known: &Acknowledged) {
    let folder = tempfile::tempdir().unwrap();
    for (name, disk) in disks {
        let mut file = std::fs::File::create(folder.path().join(name)).unwrap();
        file.write_all(&disk.after_power_loss(keeps)).unwrap();
    }
    let path = folder.path().join("kassir.db");
    let store = SqliteStore::open(&path, Arc::new(ManualClock::at(START))).unwrap();
    let mut own = own.clone();
    own.store = Arc::new(store);
    check(&own, known).await;
    own.store.close().await;
}

/// What came of one victim's power failures.
#[derive(Default)]
struct Failures {
    tried: usize,
    dropped: usize,
    /// Writes that a failed fsync lost.
    lost_by_fsync: usize,
    fsyncs_failed: usize,
    accepted: usize,
    /// … of which after the last fsync that failed.
    accepted_after: usize,
}

impl Failures {
    fn add(&mut self, one: &Failures) {
        self.tried += one.tried;
        self.lost_by_fsync += one.lost_by_fsync;
        self.fsyncs_failed += one.fsyncs_failed;
        self.accepted += one.accepted;
    }

    fn print(&self, test: &str) {
        print(
            test,
            [&self.accepted, &UNCOUNTED, &UNCOUNTED, &0],
            &[
                ("fsyncs_failed", &self.fsyncs_failed),
                ("writes_lost_by_them", &self.lost_by_fsync),
                ("power_failures", &self.tried),
            ],
        );
    }
}

/// Runs victims, one after the other on the same files, and lets the power fail at so many moments of what they did.
async fn failures(lives: &[Life], cuts: usize) -> Failures {
    let file = File::new();
    let path: PathBuf = file.path();
    let store = file.open().unwrap();
    let bench = file.bench(store, Arc::new(ManualClock::at(START)));
    let own = shop(&bench).await;
    bench.store.close().await;
    let mut disks: HashMap<String, Disk> = HashMap::new();
    let durable = std::fs::read(&path).unwrap();
    disks.insert("kassir.db".to_owned(), Disk { durable, pending: Vec::new() });
    let mut calls = Vec::new();
    for life in lives {
        let traces = tempfile::tempdir().unwrap();
        victim(&path, &own, traces.path(), life);
        calls.extend(record(traces.path()));
    }
    let every = (calls.len() / cuts).max(1);
    // An fsync counts once it has returned.
    let mut syncing: Vec<(f64, String)> = Vec::new();
    let mut known = Acknowledged::default();
    let (mut came, mut before) = (Failures::default(), 0);
    for (number, call) in calls.iter().enumerate() {
        syncing.retain(|(ended, file)| {
            let done = *ended <= call.began;
            if done && let Some(disk) = disks.get_mut(file) {
                disk.sync();
            }
            !done
        });
        match &call.what {
            What::Write { file, at, bytes } => {
                let disk = disks.entry(file.clone()).or_default();
                disk.pending.push(Pending::Write(*at, bytes.clone()));
            }
            What::Cut { file, to } => {
                disks.entry(file.clone()).or_default().pending.push(Pending::Cut(*to));
            }
            What::Sync { file } => syncing.push((call.ended, file.clone())),
            What::NoSync { file } => {
                came.lost_by_fsync += disks.get_mut(file).map_or(0, Disk::lose);
                came.fsyncs_failed += 1;
                before = known.count();
            }
            What::Gone { file } => drop(disks.remove(file)),
            What::Acknowledged(said) => drop(known.read(&mut said.as_bytes(), u128::MAX)),
        }
        if number % every == 0 {
            for keeps in [Keeps::Nothing, Keeps::Everything, Keeps::Some(number as u64 * 2 + 1)] {
                survives(&disks, keeps, &own, &known).await;
                came.tried += 1;
            }
            came.dropped += disks.values().map(|disk| disk.pending.len()).sum::<usize>();
        }
    }
    (came.accepted, came.accepted_after) = (known.count(), known.count() - before);
    came
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_power_failure_at_any_moment() {
    let life = Life::Killed { wanted: size(150, 3_000) };
    let Failures { tried, dropped, accepted, .. } = failures(&[life], size(40, 1_000)).await;
    assert!(accepted > 0 && dropped > 0, "{accepted} acknowledged, {dropped} writes pending");
    // Nobody delivers here; that none is lost is what each look at the files asserts.
    print(
        "C4",
        [&accepted, &UNCOUNTED, &UNCOUNTED, &0],
        &[("power_failures", &tried), ("unsynced_writes_in_them", &dropped)],
    );
}

#[tokio::test]
async fn what_was_acknowledged_survives_fsyncs_that_failed_and_lost_what_was_written() {
    let (mut all, rounds) = (Failures::default(), size(2, 30));
    for round in 0..rounds {
        // Always at another moment. One in a row is a commit's; three are also those of what the store does then.
        let (first, row) = (5 + 7 * round, [4, 1, 3, 2, 5, 6][round % 6]);
        let failing = format!("{first}..{}", first + row - 1);
        let life = Life::Shaken { wanted: size(100, 600), failing };
        let one = failures(&[life], size(12, 30)).await;
        assert_eq!(one.fsyncs_failed, row, "from {first}");
        assert!(one.accepted_after > 0, "from {first}: it did not go on");
        all.add(&one);
    }
    assert!(all.lost_by_fsync > 0);
    all.print("C7-lost-writes");
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_restart_after_fsyncs_that_failed() {
    let (mut all, rounds) = (Failures::default(), size(2, 30));
    for round in 0..rounds {
        let lives = [Life::Ended { from: 5 + 7 * round }, Life::Killed { wanted: size(60, 300) }];
        let one = failures(&lives, size(12, 30)).await;
        assert!(one.accepted_after > 0, "round {round}: the second one did not go on");
        all.add(&one);
    }
    assert!(all.lost_by_fsync > 0);
    all.print("C7-restart");
}

/// SQLite itself would tell nobody of that, since no commit depends on it.
#[tokio::test]
async fn a_failed_fsync_of_the_file_itself_is_noticed() {
    let file = File::new();
    let path = file.path();
    let store = file.open().unwrap();
    let mut bench = file.bench(store, Arc::new(ManualClock::at(START)));
    let mut own = shop(&bench).await;
    bench.store.close().await;

    let (folder, mut strace) = (tempfile::tempdir().unwrap(), Command::new("strace"));
    let trace = folder.path().join("t");
    strace.args(["-f", "-qq", "-e", "trace=openat,fsync,fdatasync", "-e"]);
    // Of this file only, and not of its log.
    strace.args(["inject=fsync,fdatasync:error=EIO:when=1", "-P"]).arg(&path).arg("-o").arg(&trace);
    strace.arg(std::env::current_exe().unwrap()).env(GOES_ON, "1");
    let (mut child, mut lines) = start_by(strace, &path, &own);
    let mut known = Acknowledged::default();
    let opened_again = || {
        let trace = std::fs::read_to_string(&trace).unwrap();
        trace.split_once("EIO").is_some_and(|(_, after)| after.contains("O_RDWR"))
    };
    loop {
        assert_eq!(known.read(&mut lines, 100), 100, "the victim ended by itself");
        if opened_again() {
            break;
        }
        assert!(known.count() < FILLED, "no fsync failed, or nobody noticed");
    }
    assert_eq!(known.read(&mut lines, 100), 100, "it goes on");
    kill_traced(&child);
    known.read(&mut lines, u128::MAX);
    child.wait().unwrap();
    bench.restart().await;
    own.store = bench.store.clone();
    check(&own, &known).await;
}
