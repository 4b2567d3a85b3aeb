//! How big the store is, and what the next sweeps remove.

use super::advice::Kind;
use super::{Finding, Mark};
use crate::app::cutoffs;
use crate::config::Config;
use crate::domain::NotificationOutcome;
use crate::domain::ids::MerchantId;
use crate::store::list::{EventFilter, Listed, NotificationFilter, PAGE_MAX, PaymentFilter};
use crate::store::{Cutoffs, Page, Result, Store, StoreError};

/// Records of one kind that are counted; there may be more.
const COUNT_MAX: u64 = 10_000;
/// Pages of one kind and merchant that are looked at.
const PAGES_MAX: usize = 100;
/// Merchants that are looked at.
const MERCHANTS_MAX: usize = 200;
/// A store that is fuller than this part of what it may have is worth a warning, percent.
const FULL_PERCENT: u64 = 80;

/// What is to be said.
pub(super) async fn findings(store: &dyn Store, config: &Config) -> Vec<Finding> {
    let failed = |what, error: StoreError| {
        Finding::new(Mark::Failure, what, error.to_string(), Kind::of(config).advice(&error))
    };
    let size = match store.size().await {
        Ok(size) => sized(size.bytes, size.bytes_max),
        Err(error) => failed("size", error),
    };
    let counted = async {
        let now = store.now().await?;
        count(store, &cutoffs(&config.retention, now)).await
    };
    let kept = match counted.await {
        Ok(counts) => Finding::ok("retention", words(config, &counts)),
        Err(error) => failed("retention", error),
    };
    vec![size, kept]
}

fn sized(bytes: u64, most: Option<u64>) -> Finding {
    let Some(most) = most else { return Finding::ok("size", shown(bytes)) };
    let found = format!("{} of {}", shown(bytes), shown(most));
    if u128::from(bytes) * 100 > u128::from(most) * u128::from(FULL_PERCENT) {
        let advice = "give it more room, or keep records for a shorter time (retention.*): when it is full, nothing is accepted";
        return Finding::new(Mark::Warning, "size", found, advice);
    }
    Finding::ok("size", found)
}

/// A size for people, one decimal.
fn shown(bytes: u64) -> String {
    let (mut rest, mut unit) = (u128::from(bytes) * 10, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if rest < 10_240 {
            break;
        }
        (rest, unit) = (rest / 1024, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{}.{} {unit}", rest / 10, rest % 10) }
}

/// Records that are older than they are kept.
#[derive(Default)]
struct Counts {
    events: u64,
    notifications: u64,
    refused: u64,
    payments: u64,
}

fn words(config: &Config, counts: &Counts) -> String {
    let old = |count: u64, what: &str, span: crate::config::Span| {
        let count = if count > COUNT_MAX { format!("more than {COUNT_MAX}") } else { count.to_string() };
        format!("{count} {what} older than {}", days(span))
    };
    let retention = &config.retention;
    format!(
        "the next sweeps remove {}, {}, {}, {}; what still waits stays",
        old(counts.events, "events with their deliveries", retention.events),
        old(counts.notifications, "notifications", retention.notifications),
        old(counts.refused, "refused or repeated ones", retention.refused),
        old(counts.payments, "payments", retention.payments),
    )
}

fn days(span: crate::config::Span) -> String {
    let hours = span.ms() / 3_600_000;
    if hours % 24 == 0 { format!("{} days", hours / 24) } else { format!("{hours} h") }
}

async fn count(store: &dyn Store, cutoffs: &Cutoffs) -> Result<Counts> {
    let mut counts = Counts::default();
    for merchant in merchants(store).await? {
        let filter = EventFilter { to: cutoffs.events, ..EventFilter::default() };
        pages(&mut counts.events, async |page| store.events(merchant, &filter, &page).await, |_| true)
            .await?;
        for outcome in NotificationOutcome::ALL {
            let refused = matches!(outcome, NotificationOutcome::Rejected | NotificationOutcome::Duplicate);
            let (slot, to) = if refused {
                (&mut counts.refused, cutoffs.refused)
            } else {
                (&mut counts.notifications, cutoffs.notifications)
            };
            let filter = NotificationFilter { outcome: Some(outcome), to, ..NotificationFilter::default() };
            pages(slot, async |page| store.notifications(merchant, &filter, &page).await, |_| true).await?;
        }
        let filter = PaymentFilter { to: cutoffs.payments, ..PaymentFilter::default() };
        let is_old = |payment: &crate::domain::Payment| {
            cutoffs.payments.is_some_and(|cutoff| payment.updated_at < cutoff)
        };
        let read = async |page| store.payments(merchant, &filter, &page).await;
        pages(&mut counts.payments, read, is_old).await?;
    }
    Ok(counts)
}

async fn merchants(store: &dyn Store) -> Result<Vec<MerchantId>> {
    let page = Page { limit: PAGE_MAX, before: None };
    let listed = store.merchants(&page).await?;
    Ok(listed.rows.into_iter().take(MERCHANTS_MAX).map(|merchant| merchant.id).collect())
}

/// Counts the rows of a list, up to a little more than [`COUNT_MAX`].
async fn pages<T>(
    count: &mut u64,
    read: impl AsyncFn(Page) -> Result<Listed<T>>,
    counts: impl Fn(&T) -> bool,
) -> Result<()> {
    let mut before = None;
    for _ in 0..PAGES_MAX {
        if *count > COUNT_MAX {
            return Ok(());
        }
        let listed = read(Page { limit: PAGE_MAX, before }).await?;
        let found = listed.rows.iter().filter(|row| counts(row)).count();
        *count = count.saturating_add(u64::try_from(found).unwrap_or(u64::MAX));
        match listed.next {
            Some(next) => before = Some(next),
            None => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (3 * 1024 * 1024 * 1024, "3.0 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(shown(bytes), text);
        }
        assert!(sized(79, Some(100)).mark == Mark::Ok);
        assert!(sized(81, Some(100)).mark == Mark::Warning);
    }
}
