//! The senders: Robokassa's notifications, each of another order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use kassir_providers::operation::Sample;
use kassir_providers::{Account, Currency, Money, Request, Secret, State, by_slug};

use super::post;
use super::subscriber::Subscriber;
use crate::clock::Stopwatch;
use crate::delivery::outbound::Outbound;

/// Credentials of the shop.
pub(super) const CREDENTIALS: [(&str, &str); 3] =
    [("merchant_login", "bench"), ("password1", "bench-password-1"), ("password2", "bench-password-2")];

/// Senders for some inbound URLs, which take turns.
pub(super) struct Load {
    wire: Outbound,
    urls: Arc<Vec<String>>,
    first: usize,
}

impl Load {
    /// Orders are numbered from `first` on.
    pub(super) fn new(wire: &Outbound, urls: Vec<String>, first: usize) -> Load {
        Load { wire: wire.clone(), urls: Arc::new(urls), first }
    }

    fn url(&self, index: usize) -> String {
        self.urls.get(index % self.urls.len().max(1)).cloned().unwrap_or_default()
    }

    /// Sends so many as fast as so many senders can; how long that took.
    pub(super) async fn all(&self, count: usize, senders: usize) -> anyhow::Result<Duration> {
        // Signed before the clock runs: the provider's work is not ours.
        let notices: anyhow::Result<Vec<Request>> = (0..count).map(|index| self.notice(index)).collect();
        let notices = Arc::new(notices?);
        drive(count, senders, |index| {
            let (wire, url, notices) = (self.wire.clone(), self.url(index), Arc::clone(&notices));
            async move {
                let Some(notice) = notices.get(index) else { return false };
                post(&wire, &url, &notice.headers, notice.body.clone()).await == Some(200)
            }
        })
        .await
    }

    /// Sends at a fixed rate and gives the times from acceptance to arrival.
    pub(super) async fn at_rate(
        &self,
        rate: u32,
        how_long: Duration,
        subscriber: &Subscriber,
        sent_one: &(dyn Fn() + Sync),
    ) -> anyhow::Result<Vec<Duration>> {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        let watch = Stopwatch::start();
        let mut sent = Vec::new();
        let mut index = 0;
        while watch.elapsed() < how_long {
            ticks.tick().await;
            let notice = self.notice(index)?;
            let (wire, url) = (self.wire.clone(), self.url(index));
            let order = self.first.saturating_add(index);
            index = index.saturating_add(1);
            sent_one();
            sent.push(tokio::spawn(async move {
                let accepted = post(&wire, &url, &notice.headers, notice.body.clone()).await == Some(200);
                (order, accepted.then(|| watch.elapsed()))
            }));
        }
        let mut latencies = Vec::new();
        for task in sent {
            let (order, accepted_at) = task.await?;
            let Some(accepted_at) = accepted_at else { anyhow::bail!("order {order} was not accepted") };
            let arrived_at = subscriber.arrival(order, &watch).await?;
            latencies.push(arrived_at.saturating_sub(accepted_at));
        }
        Ok(latencies)
    }

    fn notice(&self, index: usize) -> anyhow::Result<Request> {
        let account = Account {
            credentials: CREDENTIALS
                .iter()
                .map(|(key, value)| ((*key).to_owned(), Secret::new(*value)))
                .collect(),
            ..Account::default()
        };
        let sample = Sample {
            kind: None,
            state: State::Succeeded,
            refund: false,
            amount: Money::new(149_990, Currency::RUB),
            reference: self.first.saturating_add(index).to_string(),
            provider_id: None,
            description: "Подписка".to_owned(),
            email: Some("ivan@example.com".to_owned()),
            metadata: serde_json::Map::new(),
            now: 0,
        };
        let provider = by_slug("robokassa").ok_or_else(|| anyhow::anyhow!("there is no robokassa"))?;
        provider.imitate(&sample, &account).map_err(anyhow::Error::msg)
    }
}

/// Does `count` things, `workers` at once; how long that took. A thing that gives false fails the whole.
pub(super) async fn drive<F>(
    count: usize,
    workers: usize,
    thing: impl Fn(usize) -> F + Send + Sync,
) -> anyhow::Result<Duration>
where
    F: Future<Output = bool> + Send,
{
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let watch = Stopwatch::start();
    let work = (0..workers).map(|_| async {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            if !thing(index).await {
                failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    futures_util::future::join_all(work).await;
    let failed = failed.load(Ordering::Relaxed);
    ensure!(
        failed == 0,
        "{failed} of {count} did not succeed: a request that was not answered with 200, or a write that failed"
    );
    Ok(watch.elapsed())
}
