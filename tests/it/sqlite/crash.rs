//! kill -9 at any moment: what was acknowledged is there, and nothing is there by halves.
//!
//! The victim is this very test binary, run again with one test, [`victim`], and the path of a store in the
//! environment. It writes as fast as it can and prints what the store acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use futures_util::future::select_all;
use kassir::clock::{ManualClock, SystemClock};
use kassir::domain::ids::{DeliveryId, MerchantId};
use kassir::domain::{Delivery, DeliveryStatus};
use kassir::store::sqlite::SqliteStore;
use kassir::store::{ClaimAsk, Listed, LookUp, Page, Settle, SettleEnd, Store, StoreError};
use uuid::Uuid;

use super::File;
use crate::store_suite::samples::{Shop, ask, attempt, delivery_of, shop};
use crate::store_suite::{Bench, START};

/// Names the store of the victim.
const STORE: &str = "KASSIR_TEST_CRASH_STORE";
/// Names the shop: merchant, integration, endpoint, version of its configuration.
const SHOP: &str = "KASSIR_TEST_CRASH_SHOP";
/// Set: the victim goes on when the store tells it that it can't write.
pub(super) const GOES_ON: &str = "KASSIR_TEST_CRASH_GOES_ON";
/// Times the victim is killed.
const ROUNDS: usize = 20;
/// Acknowledgements after which it is killed, at the most.
const LINES_MAX: u128 = 60;
/// Writers at once in the victim.
const WRITERS: usize = 6;

/// Does nothing unless it is run as the victim.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim() {
    #[allow(clippy::disallowed_methods, reason = "this is how the test tells its child what to do")]
    let (Ok(path), Ok(names)) = (std::env::var(STORE), std::env::var(SHOP)) else { return };
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(Path::new(&path), Arc::new(SystemClock)).unwrap());
    let names: Vec<&str> = names.split(' ').collect();
    let shop = Shop {
        store,
        merchant: names[0].parse().unwrap(),
        integration: names[1].parse().unwrap(),
        endpoint: names[2].parse().unwrap(),
        version: names[3].parse().unwrap(),
    };
    #[allow(clippy::disallowed_methods, reason = "as above")]
    let goes_on = std::env::var(GOES_ON).is_ok();
    let writers = (0..WRITERS).map(|_| tokio::spawn(keep_writing(shop.clone(), goes_on)));
    // Whoever hears first that the store can't write ends the victim: the others may have nothing left to write.
    tokio::select! {
        (ended, ..) = select_all(writers) => ended.unwrap(),
        () = keep_settling(shop.clone(), goes_on) => {}
        () = keep_reading(shop) => {}
    }
}

/// There is always somebody who reads, as it is in a router.
async fn keep_reading(shop: Shop) {
    loop {
        let page = Page::default();
        drop(shop.store.payments(shop.merchant, &Default::default(), &page).await);
    }
}

fn acknowledge(what: &str, id: &str) {
    // One write, so that the line comes out whole or not at all.
    std::io::stdout().write_all(format!("\nack {what} {id}\n").as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

async fn keep_writing(shop: Shop, goes_on: bool) {
    loop {
        let id = Uuid::new_v4().simple().to_string();
        match shop.store.commit(shop.whole(&id)).await {
            Ok(_) => acknowledge("payment", &id),
            Err(StoreError::Unavailable(_)) if goes_on => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn keep_settling(shop: Shop, goes_on: bool) {
    loop {
        // A short lease: the next victim soon takes over what this one held.
        let request = ClaimAsk { lease_ms: 1, ..ask(3) };
        let claims = match shop.store.claim(&request).await {
            Err(StoreError::Unavailable(_)) if goes_on => continue,
            claims => claims.unwrap(),
        };
        for claimed in claims.work {
            let taken = delivery_of(&claimed).clone();
            let (status, id) = (DeliveryStatus::Delivered, taken.id);
            let delivery = Box::new(Delivery { status, next_attempt_at: None, ..taken });
            let end = SettleEnd::Delivery { delivery, attempt: Some(attempt(1)) };
            let settle = Settle {
                fence: claimed.fence,
                merchant: shop.merchant,
                end,
                hold: None,
                tallies: Vec::new(),
            };
            match shop.store.settle(settle).await {
                Ok(()) => acknowledge("settled", &id.to_string()),
                Err(StoreError::Conflict(_)) => {}
                Err(StoreError::Unavailable(_)) if goes_on => {}
                Err(error) => panic!("{error}"),
            }
        }
        tokio::task::yield_now().await;
    }
}

fn start(path: &Path, shop: &Shop) -> (Child, BufReader<ChildStdout>) {
    start_by(Command::new(std::env::current_exe().unwrap()), path, shop)
}

pub(super) fn start_by(mut command: Command, path: &Path, shop: &Shop) -> (Child, BufReader<ChildStdout>) {
    let names = format!("{} {} {} {}", shop.merchant, shop.integration, shop.endpoint, shop.version);
    let mut child = command
        .args(["--exact", "sqlite::crash::victim", "--nocapture"])
        .env(STORE, path)
        .env(SHOP, names)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines)
}

#[derive(Default)]
pub(super) struct Acknowledged {
    payments: BTreeSet<String>,
    settled: BTreeSet<DeliveryId>,
}

impl Acknowledged {
    /// How much was acknowledged.
    pub(super) fn count(&self) -> usize {
        self.payments.len() + self.settled.len()
    }

    /// Reads lines, `max` acknowledgements at the most; gives how many there were.
    pub(super) fn read(&mut self, lines: &mut impl BufRead, max: u128) -> u128 {
        let mut count = 0;
        let mut line = String::new();
        while count < max && lines.read_line(&mut line).unwrap() > 0 {
            if line.ends_with('\n')
                && let Some((what, id)) = ack(&line)
            {
                match what {
                    "payment" => drop(self.payments.insert(id.to_owned())),
                    _ => drop(self.settled.insert(id.parse().unwrap())),
                }
                count += 1;
            }
            line.clear();
        }
        count
    }
}

fn ack(line: &str) -> Option<(&str, &str)> {
    line.trim_end().strip_prefix("ack ")?.split_once(' ')
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_is_half_done() {
    let file = File::new();
    let path = file.path();
    let store = file.open().unwrap();
    let mut bench = file.bench(store, Arc::new(ManualClock::at(START)));
    let mut own = shop(&bench).await;
    let mut known = Acknowledged::default();
    for round in 0..ROUNDS {
        bench.store.close().await;
        let (mut child, mut lines) = start(&path, &own);
        let wanted = 1 + Uuid::new_v4().as_u128() % LINES_MAX;
        assert_eq!(known.read(&mut lines, wanted), wanted, "round {round}: the victim ended by itself");
        if round == 0 {
            let refused = SqliteStore::open(&path, Arc::new(SystemClock));
            let why = format!("pid {}", child.id());
            assert!(matches!(refused, Err(StoreError::Taken { holder, .. }) if holder == why));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it could still say.
        known.read(&mut lines, u128::MAX);
        bench.restart().await;
        own.store = bench.store.clone();
        check(&own, &known).await;
    }
    assert!(known.payments.len() > ROUNDS && !known.settled.is_empty());
    check_queue(&bench, &own).await;
}

/// The system refuses a write in the middle of a transaction (here: beyond 1 MiB of a file): SQLite reports an I/O
/// error, nobody is told that the write succeeded, and what was acknowledged before is there.
#[cfg(unix)]
#[tokio::test]
async fn a_write_that_the_system_refuses_is_not_acknowledged() {
    let file = File::new();
    let path = file.path();
    let store = file.open().unwrap();
    let mut bench = file.bench(store, Arc::new(ManualClock::at(START)));
    let mut own = shop(&bench).await;
    bench.store.close().await;
    let mut shell = Command::new("sh");
    let limited = "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\"";
    shell.args(["-c", limited]).arg(std::env::current_exe().unwrap());
    let (mut child, mut lines) = start_by(shell, &path, &own);
    let mut known = Acknowledged::default();
    // The victim ends by itself when the store tells it that it can't write.
    known.read(&mut lines, u128::MAX);
    assert!(!child.wait().unwrap().success());
    assert!(!known.payments.is_empty());
    bench.restart().await;
    own.store = bench.store.clone();
    check(&own, &known).await;
    own.write(own.whole("after")).await;
}

async fn read_all<T, F>(list: impl Fn(Page) -> F) -> Vec<T>
where
    F: Future<Output = kassir::store::Result<Listed<T>>>,
{
    let (mut rows, mut before) = (Vec::new(), None);
    loop {
        let page = list(Page { limit: 200, before }).await.unwrap();
        rows.extend(page.rows);
        before = page.next;
        if before.is_none() {
            return rows;
        }
    }
}

/// Every acknowledged step is there, and every payment with all that came with it.
pub(super) async fn check(own: &Shop, known: &Acknowledged) {
    let (store, merchant): (&Arc<dyn Store>, MerchantId) = (&own.store, own.merchant);
    let ask = LookUp {
        merchant,
        integration: own.integration,
        provider_ids: known.payments.iter().cloned().collect(),
        numbers: Vec::new(),
    };
    assert_eq!(store.look_up(&ask).await.unwrap().by_provider_id.len(), known.payments.len());
    let payments = read_all(async |page| store.payments(merchant, &Default::default(), &page).await).await;
    let mut parts: BTreeMap<u32, [usize; 3]> =
        payments.iter().map(|payment| (payment.number, [0; 3])).collect();
    let mut count =
        |payment: u32, part: usize| parts.get_mut(&payment).expect("its payment is there")[part] += 1;
    for event in read_all(async |page| store.events(merchant, &Default::default(), &page).await).await {
        count(event.payment, 0);
    }
    let deliveries =
        read_all(async |page| store.deliveries(merchant, &Default::default(), &page).await).await;
    for delivery in &deliveries {
        count(delivery.payment, 1);
    }
    let log = read_all(async |page| store.notifications(merchant, &Default::default(), &page).await).await;
    for notification in log {
        count(notification.payment.unwrap(), 2);
    }
    assert!(parts.values().all(|counts| *counts == [1; 3]), "{parts:?}");

    let delivered: BTreeSet<DeliveryId> = deliveries
        .iter()
        .filter(|delivery| delivery.status == DeliveryStatus::Delivered)
        .map(|delivery| delivery.id)
        .collect();
    assert!(delivered.is_superset(&known.settled), "a result was lost");
    let waiting = store.backlog().await.unwrap().waiting;
    assert_eq!(waiting, u64::try_from(deliveries.len() - delivered.len()).unwrap());
}

/// All that is not delivered can still be claimed, each once; all that is has its attempt.
async fn check_queue(bench: &Bench, own: &Shop) {
    // Far beyond the leases of the victims, whose clock was the machine's.
    bench.clock.advance(1_000_000_000_000);
    let waiting = own.store.backlog().await.unwrap().waiting;
    let mut claimed = BTreeSet::new();
    loop {
        let work = own.claim().await.work;
        if work.is_empty() {
            break;
        }
        for work in work {
            assert_eq!(delivery_of(&work).status, DeliveryStatus::Pending);
            assert!(claimed.insert(work.fence.work), "claimed twice");
        }
    }
    assert_eq!(u64::try_from(claimed.len()).unwrap(), waiting);
    let filter =
        kassir::store::DeliveryFilter { status: Some(DeliveryStatus::Delivered), ..Default::default() };
    for delivery in read_all(async |page| own.store.deliveries(own.merchant, &filter, &page).await).await {
        assert_eq!(own.store.attempts(own.merchant, delivery.id).await.unwrap().len(), 1);
    }
}
