//! The store: one of our own, or the file of a running router, read beside it. One that is not there is not made.

use std::sync::Arc;

use super::advice::Kind;
use super::{Finding, Mark, absent, disk, keeping, router, waiting};
use crate::app::{KeyFit, key_fit, look_at_store, missing_store, open_store, wrong_key};
use crate::clock::{Clock as _, SharedClock, Stopwatch, SystemClock};
use crate::config::Config;
use crate::secrets::Vault;
use crate::store::{Store, StoreError};

/// Clocks that differ by less are fine, milliseconds.
const SKEW_MS: i64 = 2_000;
/// A durable write that takes longer is worth a warning, milliseconds.
const WRITE_MS: u32 = 250;

/// What is to be said. The disk is looked at whether or not the store opens: it may be why it does not.
pub(super) async fn findings(config: &Config) -> Vec<Finding> {
    let clock: SharedClock = Arc::new(SystemClock);
    let mut findings = match missing_store(config) {
        Some(path) => absent::findings(path, config).await,
        None => match open_store(config, &clock).await {
            Ok(store) => own(store.as_ref(), config).await,
            Err(error) => beside(error, config, &clock).await,
        },
    };
    findings.extend(disk::free(config));
    findings
}

/// Of a store that nobody else keeps us out of.
async fn own(store: &dyn Store, config: &Config) -> Vec<Finding> {
    let mut findings = described(store);
    findings.push(stored_secrets(store, config).await);
    findings.push(durable_write(store, config).await);
    findings.push(skew(store, config).await);
    findings.extend(kept(store, config, waiting::Router::Unknown).await);
    store.close().await;
    findings
}

/// Of a store that can't be opened: what its file tells who only reads, and what the router says that has it.
async fn beside(error: StoreError, config: &Config, clock: &SharedClock) -> Vec<Finding> {
    let failure = |error: &StoreError| {
        Finding::new(Mark::Failure, "store", error.to_string(), Kind::of(config).advice(error))
    };
    let looked = look_at_store(config, clock);
    let (mut findings, router) = match &error {
        StoreError::Taken { holder, .. } => {
            (vec![router::asked(config, holder).await], waiting::Router::Runs)
        }
        _ => (vec![failure(&error)], waiting::Router::Unknown),
    };
    match looked {
        Some(Ok(store)) => {
            if router == waiting::Router::Runs {
                findings.extend(described(store.as_ref()));
            }
            findings.push(stored_secrets(store.as_ref(), config).await);
            findings.extend(kept(store.as_ref(), config, router).await);
            store.close().await;
        }
        Some(Err(unread)) if router == waiting::Router::Runs => findings.push(failure(&unread)),
        // The error that was told first says it.
        Some(Err(_)) | None => {}
    }
    findings
}

fn described(store: &dyn Store) -> Vec<Finding> {
    let description = store.describe();
    let found = format!("{} {}: {}", description.kind, description.place, description.promise);
    let warned = |warning| Finding::new(Mark::Warning, "store", warning, "see README, production");
    std::iter::once(Finding::ok("store", found)).chain(description.warnings.into_iter().map(warned)).collect()
}

/// What it holds, and what of that waits.
async fn kept(store: &dyn Store, config: &Config, router: waiting::Router) -> Vec<Finding> {
    let mut findings = keeping::findings(store, config).await;
    findings.push(waiting::backlog(store, config, router).await);
    findings.push(waiting::endpoints(store, config).await);
    findings
}

/// Whether the master key is the one that the store's secrets were sealed under.
async fn stored_secrets(store: &dyn Store, config: &Config) -> Finding {
    const WHAT: &str = "stored secrets";
    let path = &config.secrets.master_key_file;
    // A file that can't be read is told of already.
    let vault = Vault::read(path).ok().flatten();
    match key_fit(store, vault.as_ref()).await {
        Ok(KeyFit::Unused) => Finding::ok(WHAT, "none so far"),
        Ok(KeyFit::Fits) => Finding::ok(WHAT, "open with the master key"),
        Ok(KeyFit::Partly) => {
            let advice = "set those credentials anew; was a router started with another master key?";
            Finding::new(Mark::Warning, WHAT, "some do not open with the master key", advice)
        }
        Ok(KeyFit::Wrong) => {
            let (found, advice) = wrong_key(path, path.exists());
            Finding::new(Mark::Failure, WHAT, found, advice)
        }
        Err(error) => Finding::new(Mark::Failure, WHAT, error.to_string(), Kind::of(config).advice(&error)),
    }
}

async fn durable_write(store: &dyn Store, config: &Config) -> Finding {
    let watch = Stopwatch::start();
    match store.ready().await {
        Err(error) => {
            Finding::new(Mark::Failure, "durable write", error.to_string(), Kind::of(config).advice(&error))
        }
        Ok(()) if watch.elapsed_ms() > WRITE_MS => {
            let found = format!("{} ms", watch.elapsed_ms());
            Finding::new(
                Mark::Warning,
                "durable write",
                found,
                "slow: providers wait for it; use a faster disk",
            )
        }
        Ok(()) => Finding::ok("durable write", format!("{} ms", watch.elapsed_ms())),
    }
}

async fn skew(store: &dyn Store, config: &Config) -> Finding {
    let before = SystemClock.now();
    match store.now().await {
        Err(error) => {
            Finding::new(Mark::Failure, "clock", error.to_string(), Kind::of(config).advice(&error))
        }
        Ok(theirs) => {
            let skew = theirs.saturating_sub(before);
            let found = format!("{skew} ms apart from the store's");
            let mark = if skew.abs() > SKEW_MS { Mark::Warning } else { Mark::Ok };
            let advice = if mark == Mark::Ok { "" } else { "run a time service (chrony, systemd-timesyncd)" };
            Finding::new(mark, "clock", found, advice)
        }
    }
}
