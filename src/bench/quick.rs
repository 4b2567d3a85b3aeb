//! Intake, end to end, latency, and latency beside an endpoint that hangs: on one router, one after the other.

use std::time::Duration;

use super::calls::StoreCalls;
use super::child::Child;
use super::figures::{Figures, FloorFigures, Latency, Slow, Throughput};
use super::floor::Floors;
use super::hang::Hanging;
use super::load::Load;
use super::site::{Shop, Site, shop};
use super::subscriber::Subscriber;
use super::{Part, Stage, megabytes, milliseconds, ms_each, per_second, percentile};
use crate::clock::Stopwatch;

pub(super) async fn measure(stage: &Stage<'_>, figures: &mut Figures) -> anyhow::Result<()> {
    let mut floors = None;
    if stage.wants(Part::Intake) || stage.wants(Part::EndToEnd) {
        stage
            .progress
            .begin("floor: a bare handler with one durable write, then a request to the subscriber", 0);
        let measured = Floors::measure(stage).await?;
        (figures.floor, figures.shared_floor) = (Some(measured.own), measured.shared);
        floors = Some(measured);
    }
    let site = stage.site()?;
    let child = site.start().await?;
    figures.store.clone_from(&child.store);
    figures.resident_mb = Some(megabytes(child.resident_bytes()?));
    let run = Run { stage, site: &site, child: &child, subscriber: stage.subscriber()? };
    if let Some(floors) = floors.as_ref().filter(|_| stage.wants(Part::Intake)) {
        figures.intake = Some(run.intake(floors).await?);
    }
    let shop = shop(&child.client()?, Some(run.subscriber.url())).await?;
    if let Some(floors) = floors.as_ref().filter(|_| stage.wants(Part::EndToEnd)) {
        figures.end_to_end = Some(run.end_to_end(&shop, floors).await?);
    }
    figures.resident_after_mb =
        floors.is_some().then(|| child.resident_bytes().map(megabytes)).transpose()?;
    if stage.wants(Part::Latency) {
        stage.progress.begin("latency at a fixed rate", run.ticks());
        figures.latency = Some(run.latency(&shop).await?);
    }
    if stage.wants(Part::Slow) {
        figures.slow = Some(run.slow(&shop).await?);
    }
    run.subscriber.stop().await;
    child.stop().await?;
    site.clear().await
}

struct Run<'a> {
    stage: &'a Stage<'a>,
    site: &'a Site,
    child: &'a Child,
    subscriber: Subscriber,
}

/// What was used up so far.
struct Used {
    watch: Stopwatch,
    cpu: Duration,
    redis_cpu: Option<Duration>,
    calls: StoreCalls,
}

impl Run<'_> {
    async fn used(&self) -> anyhow::Result<Used> {
        Ok(Used {
            calls: self.child.store_calls(self.stage.wire).await?,
            redis_cpu: match &self.site.redis {
                Some(redis) => Some(redis.cpu().await?),
                None => None,
            },
            cpu: self.child.cpu()?,
            watch: Stopwatch::start(),
        })
    }

    /// `floor`: which figure of a floor it is compared with.
    async fn throughput(
        &self,
        elapsed: Duration,
        before: &Used,
        floors: &Floors,
        floor: impl Fn(&FloorFigures) -> f64,
    ) -> anyhow::Result<Throughput> {
        let count = self.stage.plan.count;
        let after = self.used().await?;
        let redis_cpu = after.redis_cpu.zip(before.redis_cpu);
        let per_s = per_second(count, elapsed);
        Ok(Throughput {
            count,
            per_s,
            ratio: per_s / floor(&floors.own),
            shared_ratio: floors.shared.as_ref().map(|shared| per_s / floor(shared)),
            cpu_ms_per_event: ms_each(after.cpu.saturating_sub(before.cpu), count),
            redis_cpu_ms_per_event: redis_cpu
                .map(|(after, before)| ms_each(after.saturating_sub(before), count)),
            round_trips: after.calls.since(&before.calls, count),
        })
    }

    async fn intake(&self, floors: &Floors) -> anyhow::Result<Throughput> {
        let Stage { plan, progress, wire, .. } = self.stage;
        progress.begin("intake: notifications accepted, nothing to deliver", 0);
        let silent = shop(&self.child.client()?, None).await?;
        let load = Load::new(wire, vec![self.child.inbound(&silent.path)], 1);
        let before = self.used().await?;
        let elapsed = load.all(plan.count, plan.senders).await?;
        self.throughput(elapsed, &before, floors, |floor| floor.intake_per_s).await
    }

    async fn end_to_end(&self, shop: &Shop, floors: &Floors) -> anyhow::Result<Throughput> {
        let Stage { plan, progress, wire, .. } = self.stage;
        progress.begin("end to end: notification to subscriber", 0);
        let load = Load::new(wire, vec![self.child.inbound(&shop.path)], 1);
        let before = self.used().await?;
        load.all(plan.count, plan.senders).await?;
        self.subscriber.wait_for(plan.count).await?;
        self.throughput(before.watch.elapsed(), &before, floors, |floor| floor.end_to_end_per_s).await
    }

    /// Notifications of a latency measurement, as far as one can know.
    fn ticks(&self) -> usize {
        let Stage { plan, .. } = self.stage;
        let seconds = usize::try_from(plan.latency_for.as_secs()).unwrap_or(usize::MAX);
        seconds.saturating_mul(usize::try_from(plan.rate).unwrap_or(usize::MAX))
    }

    async fn latency(&self, shop: &Shop) -> anyhow::Result<Latency> {
        let Stage { plan, progress, wire, .. } = self.stage;
        self.subscriber.forget();
        let first = NEXT_ORDER.fetch_add(ORDERS_EACH, std::sync::atomic::Ordering::Relaxed);
        let load = Load::new(wire, vec![self.child.inbound(&shop.path)], first);
        let before = self.used().await?;
        let latencies =
            load.at_rate(plan.rate, plan.latency_for, &self.subscriber, &|| progress.advance(1)).await?;
        let after = self.used().await?;
        Ok(Latency {
            rate: plan.rate,
            p50_ms: milliseconds(percentile(&latencies, 50)),
            p99_ms: milliseconds(percentile(&latencies, 99)),
            max_ms: milliseconds(percentile(&latencies, 100)),
            round_trips: after.calls.since(&before.calls, latencies.len()),
        })
    }

    async fn slow(&self, healthy: &Shop) -> anyhow::Result<Slow> {
        let Stage { plan, progress, wire, .. } = self.stage;
        progress.begin("latency of a healthy endpoint alone", self.ticks());
        let alone = self.latency(healthy).await?;
        progress.begin("events for an endpoint that hangs", 0);
        let hanging = Hanging::start().await?;
        let shop = shop(&self.child.client()?, Some(hanging.url())).await?;
        let load = Load::new(wire, vec![self.child.inbound(&shop.path)], 1);
        load.all(plan.waiting, plan.senders).await?;
        progress.begin("latency of a healthy endpoint beside it", self.ticks());
        let beside = self.latency(healthy).await?;
        hanging.stop();
        Ok(Slow { waiting: plan.waiting, alone, beside, added_p99_ms: beside.p99_ms - alone.p99_ms })
    }
}

/// Orders of the latency measurements: beyond those of the others, and of each other.
static NEXT_ORDER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(ORDERS_EACH);
const ORDERS_EACH: usize = 10_000_000;
