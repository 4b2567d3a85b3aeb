//! Cost per event by what is there already: payments, endpoints.

use std::time::Duration;

use serde_json::json;

use super::child::Child;
use super::figures::Step;
use super::load::{Load, drive};
use super::site::{Shop, Site, shop, subscribe};
use super::subscriber::Subscriber;
use super::{Stage, megabytes, ms_each, per_second, seed};
use crate::clock::{Clock as _, Stopwatch, SystemClock};
use crate::domain::config::{Endpoint, MerchantConfig};
use crate::domain::ids::EndpointId;
use crate::store::ConfigChange;

/// Payments of the first step.
const PAYMENTS_FIRST: usize = 1_000;
/// From one step to the next.
const PAYMENTS_TIMES: usize = 10;
const ENDPOINTS_TIMES: usize = 100;
/// Shops among which the payments are spread.
const SHOPS: usize = 16;
/// Events of one step at the most, and before it, uncounted.
const EVENTS_MAX: usize = 10_000;
const WARM_UP: usize = 500;
/// Shops that are made at once: each adds to the same audit log, where only one at a time succeeds.
const AT_ONCE: usize = 4;

/// `first`, `first` × `times`, … up to `last`.
fn steps(first: usize, times: usize, last: usize) -> Vec<usize> {
    let mut all = Vec::new();
    let mut size = first.min(last);
    while size < last {
        all.push(size);
        size = size.saturating_mul(times);
    }
    all.push(last);
    all
}

/// With more and more payments stored.
pub(super) async fn payments(stage: &Stage<'_>) -> anyhow::Result<Vec<Step>> {
    let (site, subscriber) = (stage.site()?, stage.subscriber()?);
    let mut measured = Measured::new(stage, &site, &subscriber);
    let child = site.start().await?;
    let mut shops = Vec::new();
    for _ in 0..SHOPS {
        shops.push(shop(&child.client()?, Some(subscriber.url())).await?);
    }
    child.stop().await?;
    let mut stored = 0;
    for size in steps(PAYMENTS_FIRST, PAYMENTS_TIMES, stage.plan.stored) {
        stage.progress.begin(&format!("growth: storing {size} payments"), size.saturating_sub(stored));
        let store = site.open().await?;
        seed::paid(stage, &store, &shops, stored..size).await?;
        store.close().await;
        drop(store);
        stored = size;
        let child = site.start().await?;
        child.ready(stage.wire).await?;
        measured.step(&child, &shops, size, &format!("growth: {size} payments")).await?;
        child.stop().await?;
    }
    subscriber.stop().await;
    site.clear().await?;
    Ok(measured.steps)
}

/// With more and more endpoints, each of a merchant of its own; the events go to all of them in turn.
pub(super) async fn endpoints(stage: &Stage<'_>) -> anyhow::Result<Vec<Step>> {
    let (site, subscriber) = (stage.site()?, stage.subscriber()?);
    let mut measured = Measured::new(stage, &site, &subscriber);
    let child = site.start().await?;
    let client = child.client()?;
    let shops = std::sync::Mutex::new(Vec::new());
    for size in steps(1, ENDPOINTS_TIMES, stage.plan.endpoints) {
        let there = shops.lock().map_or(0, |shops| shops.len());
        stage.progress.begin(&format!("endpoints: making {size}"), size.saturating_sub(there));
        drive(size.saturating_sub(there), AT_ONCE, |_| async {
            let made = shop(&client, Some(subscriber.url())).await;
            stage.progress.advance(1);
            made.is_ok_and(|made| shops.lock().map(|mut shops| shops.push(made)).is_ok())
        })
        .await?;
        let all = shops.lock().map(|shops| shops.clone()).unwrap_or_default();
        measured.step(&child, &all, size, &format!("endpoints: {size}, each of its own merchant")).await?;
    }
    child.stop().await?;
    subscriber.stop().await;
    site.clear().await?;
    Ok(measured.steps)
}

/// With more and more endpoints of one merchant, of which one wants the events: the others want another provider's.
pub(super) async fn endpoints_of_one(stage: &Stage<'_>) -> anyhow::Result<Vec<Step>> {
    let (site, subscriber) = (stage.site()?, stage.subscriber()?);
    let mut measured = Measured::new(stage, &site, &subscriber);
    let child = site.start().await?;
    let shop = shop(&child.client()?, Some(subscriber.url())).await?;
    let other = json!({ "url": subscriber.url(), "providers": ["yookassa"] });
    let model = subscribe(&child.client()?, &shop.merchant.to_string(), other).await?;
    child.stop().await?;
    let last = stage.plan.endpoints.min(crate::limits::ENDPOINTS_MAX);
    let mut there = 2;
    for size in steps(1, ENDPOINTS_TIMES, last).into_iter().map(|size| size.max(2)) {
        stage
            .progress
            .begin(&format!("endpoints: making {size} of one merchant"), size.saturating_sub(there));
        let store = site.open().await?;
        let config = store.config(shop.merchant).await?;
        for _ in there..size {
            let Some(copy) = config.as_ref().and_then(|config| copy(config, model)) else { break };
            store.change_config(shop.merchant, ConfigChange::PutEndpoint(Box::new(copy)), None).await?;
            stage.progress.advance(1);
        }
        store.close().await;
        drop(store);
        there = size;
        let child = site.start().await?;
        child.ready(stage.wire).await?;
        let what = format!("endpoints: {size} of one merchant");
        measured.step(&child, std::slice::from_ref(&shop), size, &what).await?;
        child.stop().await?;
    }
    subscriber.stop().await;
    site.clear().await?;
    Ok(measured.steps)
}

/// Another endpoint like this one. Its secrets don't open for another id, and nothing is sent to it.
fn copy(config: &MerchantConfig, model: EndpointId) -> Option<Endpoint> {
    let endpoint = config.endpoints.iter().find(|endpoint| endpoint.id == model)?;
    Some(Endpoint { id: EndpointId(SystemClock.id()), ..endpoint.clone() })
}

struct Measured<'a> {
    stage: &'a Stage<'a>,
    site: &'a Site,
    subscriber: &'a Subscriber,
    /// Orders that were sent so far.
    orders: usize,
    /// Cost of the first step.
    first: Option<Duration>,
    steps: Vec<Step>,
}

impl<'a> Measured<'a> {
    fn new(stage: &'a Stage<'a>, site: &'a Site, subscriber: &'a Subscriber) -> Measured<'a> {
        Measured { stage, site, subscriber, orders: 0, first: None, steps: Vec::new() }
    }

    async fn send(&mut self, child: &Child, shops: &[Shop], count: usize) -> anyhow::Result<()> {
        let urls = shops.iter().map(|shop| child.inbound(&shop.path)).collect();
        let first = self.orders.saturating_add(1);
        self.orders = self.orders.saturating_add(count);
        self.subscriber.forget();
        Load::new(self.stage.wire, urls, first).all(count, self.stage.plan.senders).await?;
        self.subscriber.wait_for(count).await
    }

    async fn redis_cpu(&self) -> anyhow::Result<Option<Duration>> {
        match &self.site.redis {
            Some(redis) => redis.cpu().await.map(Some),
            None => Ok(None),
        }
    }

    async fn step(&mut self, child: &Child, shops: &[Shop], size: usize, what: &str) -> anyhow::Result<()> {
        self.stage.progress.begin(what, 0);
        let count = self.stage.plan.count.min(EVENTS_MAX);
        self.send(child, shops, WARM_UP.min(count).max(shops.len())).await?;
        let (cpu, redis_cpu, watch) = (child.cpu()?, self.redis_cpu().await?, Stopwatch::start());
        self.send(child, shops, count).await?;
        let elapsed = watch.elapsed();
        let cpu = child.cpu()?.saturating_sub(cpu);
        let redis_cpu =
            self.redis_cpu().await?.zip(redis_cpu).map(|(after, before)| after.saturating_sub(before));
        let both = cpu.saturating_add(redis_cpu.unwrap_or_default());
        let first = *self.first.get_or_insert(both);
        self.steps.push(Step {
            size,
            per_s: per_second(count, elapsed),
            cpu_ms_per_event: ms_each(cpu, count),
            redis_cpu_ms_per_event: redis_cpu.map(|cpu| ms_each(cpu, count)),
            ratio: both.as_secs_f64() / first.as_secs_f64().max(f64::MIN_POSITIVE),
            resident_mb: megabytes(child.resident_bytes()?),
        });
        Ok(())
    }
}
